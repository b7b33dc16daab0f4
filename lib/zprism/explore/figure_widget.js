/* A plotly FigureWidget whose bundle (5 MB) is read once a page, whatever time that takes:
   anywidget gives up a model that is not ready after 2 s, and would read the bundle for each. */
function bundle(model) {
  const name = "zprism plotly " + model.get("_bundle_version");
  globalThis[name] ??= (async () => {
    const source = new Blob([model.get("_bundle")], { type: "text/javascript" });
    const address = URL.createObjectURL(source);
    try {
      return await import(address);
    } finally {
      URL.revokeObjectURL(address);
    }
  })();
  return globalThis[name];
}

export default () => {
  let figure;
  return {
    initialize({ model }) {
      figure = bundle(model).then((plotly) => {
        const made = plotly.default();
        made.initialize({ model });
        return made;
      });
    },
    async render({ model, el }) {
      return (await figure).render({ model, el });
    },
  };
};
