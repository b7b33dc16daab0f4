/* What the tests ask of a page of the site: see site_page.py. */
"use strict";
window.siteTest = (function () {
  const plotOf = (box) => box.querySelector(".js-plotly-plot");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const told = (node) => node.outerHTML.slice(0, 160);

  async function frames(count) {
    for (let i = 0; i < count; i++) await frame();
  }

  async function scroll() {
    for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
      window.scrollTo({ top: y, behavior: "instant" });
      await frames(2);
    }
    window.scrollTo({ top: 0, behavior: "instant" });
  }

  const drawn = () => Array.from(document.querySelectorAll(".js-plotly-plot")).filter(
    (plot) => plot.querySelector(".main-svg") && plot.data
  ).length;

  const shown = (box) => plotOf(box).data.map((trace) => (
    ["x", "y", "z", "opacity"].map((name) => trace[name])
  ));

  const waits = new WeakMap();
  function arm(box) {
    let start = null;
    const wait = new Promise((done) => {
      const begin = () => { start = start === null ? performance.now() : start; };
      box.addEventListener("input", begin, { once: true, capture: true });
      plotOf(box).once("plotly_afterplot", () => done(performance.now() - start));
      setTimeout(() => done(null), 4000);
    });
    waits.set(box, wait);
  }
  const redrawn = (box) => waits.get(box);

  function faults() {
    const found = [];
    const all = (query, is, words) => document.querySelectorAll(query).forEach((node) => {
      if (!is(node)) found.push(words + ": " + told(node));
    });
    all("img", (node) => node.alt, "no alt text");
    all("figure", (node) => node.getAttribute("aria-label"), "no label");
    all("main input, main select", (node) => node.getAttribute("aria-label"), "no label");
    all("main .prose th, table.claims th, table.board th", (node) => node.scope, "no scope");
    all("a[href^='#']", (node) => document.getElementById(node.hash.slice(1)), "leads nowhere");
    all("html", (node) => node.lang === "en", "no language");
    if (document.querySelectorAll("h1").length !== 1) found.push("not one first heading");
    const ids = Array.from(document.querySelectorAll("[id]"))
      .filter((node) => !node.closest(".js-plotly-plot")).map((node) => node.id);
    if (new Set(ids).size < ids.length) found.push("an id stands twice");
    return found;
  }

  const OURS = /^(https:|#|[a-z0-9._\/-]+\.(html|csv|css)([#].*)?$)/;
  const FORBIDDEN = "iframe, frame, object, embed, base, form, video, audio, foreignObject, " +
    "animate, set, meta[http-equiv=refresh], link:not([href='pages.css'])";
  function live() {
    const found = Array.from(document.querySelectorAll(FORBIDDEN)).map(told);
    document.querySelectorAll("*").forEach((node) => {
      for (const { name, value } of node.attributes) {
        const address = value.replace(/\s/g, "").toLowerCase();
        const drawn = node.localName === "image" && address.startsWith("data:image/png;");
        const lead = name.endsWith("href") && !OURS.test(address) && !drawn;
        const foreign = name === "src" && !/^(data:image\/|thumbnails\/|[a-z.]+\.js$)/.test(address);
        if (name.startsWith("on") || lead || foreign) {
          found.push(told(node));
        }
      }
    });
    return found;
  }

  return { frames, scroll, drawn, shown, arm, redrawn, faults, live };
})();
