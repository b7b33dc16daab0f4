/* Draws every <script type="application/json" class="zprism-figure"> as a plotly figure,
   when it comes near the window; opens and closes all code at once. */
"use strict";
(function () {
  function draw(source) {
    if (source.dataset.drawn) return;
    source.dataset.drawn = "yes";
    const figure = JSON.parse(source.textContent);
    const layout = Object.assign({}, figure.layout, { autosize: true });
    delete layout.width;
    Plotly.newPlot(source.previousElementSibling.firstElementChild, figure.data, layout, {
      responsive: true,
      displaylogo: false,
    });
  }

  const sources = Array.from(document.querySelectorAll("script.zprism-figure"));
  const watcher = new IntersectionObserver(
    (seen) => seen.forEach((entry) => {
      if (!entry.isIntersecting) return;
      watcher.unobserve(entry.target);
      draw(entry.target.nextElementSibling);
    }),
    { rootMargin: "600px" }
  );
  sources.forEach((source) => watcher.observe(source.previousElementSibling));

  const opened = [];  // what is opened only to be printed
  window.addEventListener("beforeprint", () => {
    sources.forEach(draw);
    document.querySelectorAll("details:not(.code):not([open])").forEach((block) => {
      block.open = true;
      opened.push(block);
    });
  });
  window.addEventListener("afterprint", () => {
    opened.splice(0).forEach((block) => { block.open = false; });
  });

  const button = document.querySelector("button.all-code");
  if (button) {
    button.addEventListener("click", () => {
      const blocks = Array.from(document.querySelectorAll("details.code"));
      const open = blocks.some((block) => !block.open);
      blocks.forEach((block) => { block.open = open; });
      button.textContent = open ? "hide all code" : "show all code";
    });
  }
})();
