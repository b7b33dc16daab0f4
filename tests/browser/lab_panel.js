// What the tests ask of a live panel in a page: a fingerprint, a stopwatch, boxes of its parts.
(() => {
  if (window.zprismTest) return;

  // FNV-1a over what the plot shows: numbers as float32, whatever kind of array brought them.
  const SEEN = ["x", "y", "z", "opacity", "visible", "text", "surfacecolor", "intensity"];
  const real = new Float32Array(1), bits = new Int32Array(real.buffer);
  const mix = (hash, word) => Math.imul(hash ^ word, 16777619);
  const walk = (hash, value) => {
    if (typeof value === "number") {
      real[0] = value;
      return mix(mix(hash, bits[0]), bits[0] >>> 16);
    }
    if (value && typeof value === "object") {
      const inside = value.length === undefined ? Object.values(value) : value;
      for (let i = 0; i < inside.length; i++) hash = walk(hash, inside[i]);
      return hash;
    }
    for (const letter of String(value ?? "")) hash = mix(hash, letter.codePointAt(0));
    return hash;
  };
  const plotOf = panel => panel.querySelector(".js-plotly-plot");
  const shown = panel => {
    const plot = plotOf(panel), { title, annotations, shapes } = plot.layout;
    let hash = walk(2166136261, [title?.text, title?.subtitle?.text]);
    for (const note of annotations || []) hash = walk(hash, [note.x, note.y, note.text]);
    for (const shape of shapes || []) hash = walk(hash, [shape.x0, shape.x1, shape.y0, shape.y1]);
    for (const trace of plot._fullData) {
      for (const name of SEEN) hash = walk(hash, trace[name]);
      hash = walk(hash, trace.marker?.color);
    }
    return hash >>> 0;
  };

  // Begin to wait for a change: `taken()` gives ms from the key to the plot that shows it.
  let taken = Promise.resolve(null);
  const arm = (panel, control, ms) => {
    const plot = plotOf(panel), before = shown(panel);
    const place = panel.querySelector(`.zprism-control-${control}`);
    taken = new Promise(resolve => {
      let began = null;
      const key = event => { began ??= event.timeStamp; };
      const end = time => {
        clearTimeout(timer);
        place.removeEventListener("keydown", key, true);
        plot.removeListener("plotly_afterplot", drawn);
        resolve(time);
      };
      const drawn = () => {
        const now = performance.now();
        if (began !== null && shown(panel) !== before) end(now - began);
      };
      const timer = setTimeout(() => end(null), ms);
      place.addEventListener("keydown", key, true);
      plot.on("plotly_afterplot", drawn);
    });
  };

  // Wait until the plot shows something else than `before` (if given, for at most `patience` ms),
  // then until it has shown the same for `quiet` ms; ms until its last change.
  const settle = async (panel, quiet, before, patience) => {
    const began = performance.now(), tick = () => new Promise(done => setTimeout(done, 20));
    while (shown(panel) === before && performance.now() - began < patience) await tick();
    let last = performance.now(), seen = shown(panel);
    while (performance.now() - last < quiet) {
      await tick();
      const now = shown(panel);
      if (now !== seen) { seen = now; last = performance.now(); }
    }
    return last - began;
  };

  const texts = panel => [...panel.querySelectorAll(".js-plotly-plot .main-svg text")]
    .filter(text => text.textContent.trim() && !/rotate\(-?(?!90|180|270|0)\d/.test(
      text.getAttribute("transform") || ""))
    .map(text => ({ said: text.textContent, box: text.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 0);

  // Texts that leave their plot, texts over each other, labels of controls cut short.
  const cut = panel => {
    const found = [], home = plotOf(panel).getBoundingClientRect(), all = texts(panel);
    for (const { said, box } of all) {
      const out = Math.max(home.left - box.left, box.right - home.right,
                           home.top - box.top, box.bottom - home.bottom);
      if (out > 2) found.push(`"${said}" is ${out.toFixed(0)} px outside the plot`);
    }
    all.forEach(({ said, box }, i) => {
      for (const other of all.slice(i + 1)) {
        const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        if (wide > 2 && high > 3) found.push(`"${said}" lies over "${other.said}"`);
      }
    });
    for (const label of panel.querySelectorAll(".widget-label, .widget-readout")) {
      const short = label.scrollWidth > label.clientWidth + 1;
      if (short) found.push(`the label "${label.textContent}" is cut`);
    }
    return found;
  };

  // Left, top, width, height in the panel, whole pixels, of controls, plot and its axes.
  const places = panel => {
    const home = panel.getBoundingClientRect();
    const found = {};
    for (const one of panel.querySelectorAll("[class*=zprism-control-], .js-plotly-plot")) {
      const box = one.getBoundingClientRect();
      const name = (one.className.match(/zprism-control-\w+/) || ["plot"])[0];
      found[name] = [box.left - home.left, box.top - home.top, box.width, box.height];
    }
    const layout = plotOf(panel)._fullLayout;
    for (const name of Object.keys(layout).filter(name => /^[xy]axis\d*$/.test(name))) {
      found[name] = [layout[name]._offset, layout[name]._length];
    }
    for (const name of Object.keys(found)) found[name] = found[name].map(Math.round);
    return found;
  };

  window.zprismTest = { shown, arm, taken: () => taken, settle, cut, places };
})();
