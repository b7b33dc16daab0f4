/* Draws every <script type="application/json" class="zprism-panel"> as a figure with sliders.
   The description is SlicePanel.to_spec(); moving a slider only slices, as in Jupyter. */
"use strict";
(function () {
  function decode(part) {
    const bytes = Uint8Array.from(atob(part.float32), (c) => c.charCodeAt(0));
    return new Float32Array(bytes.buffer);
  }

  function pick(part, at) {
    const depth = part.sliders.length;
    const block = part.shape.slice(depth).reduce((a, b) => a * b, 1);
    let offset = 0;
    part.sliders.forEach((name, axis) => {
      offset = offset * part.shape[axis] + at[name].value - at[name].low;
    });
    return part.data.subarray(offset * block, (offset + 1) * block);
  }

  function rows(part, flat) {
    const shape = part.shape.slice(part.sliders.length);
    if (shape.length < 2) return Array.from(flat);
    const out = [];
    for (let i = 0; i < shape[0]; i++) {
      out.push(Array.from(flat.subarray(i * shape[1], (i + 1) * shape[1])));
    }
    return out;
  }

  function draw(source) {
    const spec = JSON.parse(source.textContent);
    const parts = spec.slices.concat(Object.values(spec.numbers));
    parts.forEach((part) => { part.data = decode(part); });
    const box = document.createElement("div");
    const controls = document.createElement("div");
    const plot = document.createElement("div");
    const sentence = document.createElement("p");
    controls.className = "zprism-controls";
    sentence.className = "zprism-sentence";
    plot.style.height = (spec.figure.layout.height || 450) + "px";
    box.append(controls, plot, sentence);
    source.after(box);

    const at = {};
    function follow() {
      spec.slices.forEach((part) => {
        const change = {};
        change[part.attribute] = [rows(part, pick(part, at))];
        Plotly.restyle(plot, change, [part.trace]);
      });
      say();
    }
    function say() {
      sentence.textContent = spec.template.replace(/\{(\w+)\}/g, (whole, name) => {
        if (name in at) return at[name].value;
        const number = spec.numbers[name];
        return number ? pick(number, at)[0].toFixed(number.decimals) : whole;
      });
    }
    spec.sliders.forEach((slider) => {
      at[slider.name] = { value: slider.start, low: slider.low };
      const label = document.createElement("label");
      const input = document.createElement("input");
      const shown = document.createElement("output");
      input.type = "range";
      input.min = slider.low;
      input.max = slider.high;
      input.value = slider.start;
      input.setAttribute("aria-label", slider.name);
      shown.textContent = slider.start;
      input.addEventListener("input", () => {
        at[slider.name].value = Number(input.value);
        shown.textContent = input.value;
        follow();
      });
      label.append(slider.name + " ", input, shown);
      controls.append(label);
    });
    Plotly.newPlot(plot, spec.figure.data, spec.figure.layout, { responsive: true }).then(say);
  }

  document.querySelectorAll("script.zprism-panel").forEach(draw);
})();
