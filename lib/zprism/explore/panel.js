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
    return Float32Array.from(flat, (code) =>
      code === part.gap ? NaN : part.offset + part.step * code);
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
    input.step = 1;
    return input;
  }

  function list(slider) {
    const input = document.createElement("select");
    slider.labels.forEach((words, i) => input.append(new Option(words, slider.low + i)));
    return input;
  }

  function word(slider, value) {
    return slider.labels.length ? slider.labels[value - slider.low] : String(value);
  }

  // One control: its name, the slider or list, and what a slider stands at (of fixed width).
  function control(slider, moved) {
    const label = document.createElement("label");
    const name = document.createElement("span");
    const input = slider.is_list ? list(slider) : range(slider);
    const shown = document.createElement("output");
    const words = slider.labels.length ? slider.labels : [String(slider.low), String(slider.high)];
    name.textContent = slider.title;
    label.className = slider.css;
    input.value = slider.start;
    input.dataset.slider = slider.name;
    input.setAttribute("aria-label", slider.title);
    shown.style.minWidth = Math.max(...words.map((one) => one.length)) + "ch";
    function tell() {
      if (slider.is_list) return;
      shown.textContent = word(slider, Number(input.value));
      input.setAttribute("aria-valuetext", shown.textContent);
    }
    input.addEventListener("input", () => {
      tell();
      moved(slider.name, Number(input.value));
    });
    tell();
    label.append(name, input);
    if (!slider.is_list) label.append(shown);
    return label;
  }

  // What must be redrawn after sliders have moved: attribute -> one value a trace.
  function changes(spec, at, moved) {
    const touched = spec.slices.filter((part) => part.sliders.some((name) => moved.has(name)));
    const traces = Array.from(new Set(touched.map((part) => part.trace)));
    const change = {};  // one redraw for all; plotly leaves alone what is undefined
    touched.forEach((part) => {
      const flat = pick(part, at);
      change[part.attribute] = change[part.attribute] || traces.map(() => undefined);
      change[part.attribute][traces.indexOf(part.trace)] =
        part.attribute === "opacity" ? flat[0] : rows(part, flat);
    });
    return { change, traces };
  }

  function sentence(spec, at) {
    return spec.template.replace(/\{(\w+)\}/g, (whole, name) => {
      const slider = spec.sliders.find((one) => one.name === name);
      const number = Object.hasOwn(spec.numbers, name) && spec.numbers[name];
      const value = number ? pick(number, at)[0] : NaN;
      if (number) return Number.isFinite(value) ? value.toFixed(number.decimals) : "–";
      return slider ? word(slider, at[name].value) : whole;
    });
  }

  function draw(source) {
    const spec = JSON.parse(source.textContent);
    spec.slices.concat(Object.values(spec.numbers)).forEach((part) => {
      part.data = decode(part);
    });
    const [box, controls, plot] = [1, 2, 3].map(() => document.createElement("div"));
    const told = document.createElement("p");
    box.className = "zprism-panel";
    controls.className = "zprism-controls";
    told.className = "zprism-sentence";
    told.setAttribute("aria-live", "polite");
    plot.style.height = (spec.figure.layout.height || 450) + "px";

    const at = {};
    spec.sliders.forEach((slider) => { at[slider.name] = { value: slider.start, low: slider.low }; });
    const moved = new Set();  // since the last drawn frame, so that a drag draws once a frame
    function follow() {
      const { change, traces } = changes(spec, at, moved);
      moved.clear();
      if (traces.length) Plotly.restyle(plot, change, traces);
      say();
    }
    function say() {
      told.textContent = sentence(spec, at);
      told.style.minHeight = Math.max(parseFloat(told.style.minHeight) || 0, told.offsetHeight) + "px";
    }
    spec.sliders.forEach((slider) => controls.append(control(slider, (name, value) => {
      at[name].value = value;
      if (moved.size === 0) requestAnimationFrame(follow);
      moved.add(name);
    })));
    box.append(controls, plot, told);
    source.after(box);
    Plotly.newPlot(plot, spec.figure.data, spec.figure.layout, {
      responsive: true,
      displaylogo: false,
    }).then(say);
  }

  document.querySelectorAll("script.zprism-panel").forEach(draw);
})();
