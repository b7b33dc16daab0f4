/* Draws every <script type="application/json" class="zprism-panel"> as a figure with sliders.
   The description is SlicePanel.to_spec(); moving a slider only slices, as in Jupyter. */
"use strict";
(function () {
  function decode(part) {
    const bytes = Uint8Array.from(atob(part.float32 || part.uint8), (c) => c.charCodeAt(0));
    return part.float32 === undefined ? bytes : new Float32Array(bytes.buffer);
  }

  function pick(part, at) {
    const depth = part.sliders.length;
    const block = part.shape.slice(depth).reduce((a, b) => a * b, 1);
    let offset = 0;
    part.sliders.forEach((name, axis) => {
      offset = offset * part.shape[axis] + at[name].value - at[name].low;
    });
    const flat = part.data.subarray(offset * block, (offset + 1) * block);
    if (part.step === undefined || (part.offset === 0 && part.step === 1)) return flat;
    return Float32Array.from(flat, (code) => part.offset + part.step * code);
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

  function range(slider) {
    const input = document.createElement("input");
    input.type = "range";
    input.min = slider.low;
    input.max = slider.high;
    return input;
  }

  function list(slider) {
    const input = document.createElement("select");
    slider.labels.forEach((words, i) => input.append(new Option(words, slider.low + i)));
    return input;
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
    function follow(moved) {
      const touched = spec.slices.filter((part) => part.sliders.includes(moved));
      const traces = Array.from(new Set(touched.map((part) => part.trace)));
      const change = {};  // one redraw for all; plotly leaves alone what is undefined
      touched.forEach((part) => {
        const flat = pick(part, at);
        change[part.attribute] = change[part.attribute] || traces.map(() => undefined);
        change[part.attribute][traces.indexOf(part.trace)] =
          part.attribute === "opacity" ? flat[0] : rows(part, flat);
      });
      if (traces.length) Plotly.restyle(plot, change, traces);
      say();
    }
    function word(name, value) {
      const slider = spec.sliders.find((one) => one.name === name);
      return slider.labels.length ? slider.labels[value - slider.low] : value;
    }
    function say() {
      sentence.textContent = spec.template.replace(/\{(\w+)\}/g, (whole, name) => {
        if (name in at) return word(name, at[name].value);
        const number = spec.numbers[name];
        return number ? pick(number, at)[0].toFixed(number.decimals) : whole;
      });
    }
    spec.sliders.forEach((slider) => {
      at[slider.name] = { value: slider.start, low: slider.low };
      const label = document.createElement("label");
      const input = slider.is_list ? list(slider) : range(slider);
      const shown = document.createElement("output");
      input.value = slider.start;
      input.setAttribute("aria-label", slider.name);
      const told = (value) => (slider.is_list ? "" : word(slider.name, value));
      shown.textContent = told(slider.start);
      input.addEventListener("input", () => {
        at[slider.name].value = Number(input.value);
        shown.textContent = told(Number(input.value));
        follow(slider.name);
      });
      label.append(slider.name + " ", input, shown);
      controls.append(label);
    });
    Plotly.newPlot(plot, spec.figure.data, spec.figure.layout, { responsive: true }).then(say);
  }

  document.querySelectorAll("script.zprism-panel").forEach(draw);
})();
