"use strict";
// A threshold that a reader moves. Every number shown is read from the points that Python counted; the one that is
// worked out here is the cost, ratio * fp + fn, as OperatingPoints.cost says.
// An element with data-threshold="ID" is filled from the JSON text of the element with that id; other pages call
// linkoddsThreshold(element, points) themselves. Text goes in as text only.
(function () {
  const RATES = { rehearsal: "in the rehearsal", graph: "at the graph’s ratio" };
  const MEASURES = [
    ["precision", "precision"], ["recall", "recall"], ["f1", "F1"], ["mcc", "MCC"],
    ["list_length", "length of the list"], ["cost", "cost, in missed edges"],
  ];
  const LINES = [["precision", ""], ["recall", "7 4"], ["f1", "2 3"]];
  const WIDTH = 720, HEIGHT = 170;
  let made = 0;

  // The digits of the report: three, or whole with grouped thousands.
  function numberText(value) {
    if (value === null || value === undefined || !Number.isFinite(value)) return "n/a";
    if (Math.abs(value) >= 999.5 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US");
    if (Math.abs(value) < 1e-4) return value.toExponential(2).replace("e", "×10^");
    return value.toPrecision(3);
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function drawing(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function linkoddsThreshold(root, points) {
    const last = points.threshold_logit.length - 1;
    const prefix = `threshold-${++made}`;
    const applied = points.rules.find((rule) => rule.applied) || points.rules[0];
    let rate = points.rates[0];
    let index = applied ? applied.index : Math.floor(last / 2);
    const placeOf = (at) => last - at; // the slider runs from the lowest threshold to the highest

    const slider = element("input", { type: "range", min: "0", max: String(last), step: "1", id: `${prefix}-slider` });
    const ratio = element("input", { type: "number", min: "0", step: "any", value: "20", id: `${prefix}-ratio` });
    const rates = element("fieldset", {}, element("legend", {}, "Base rate"));
    points.rates.forEach((each, i) => {
      const choice = element("input", { type: "radio", name: `${prefix}-rate`, value: String(i), id: `${prefix}-rate-${i}` });
      choice.checked = i === 0;
      choice.addEventListener("change", () => { rate = points.rates[i]; draw(); show(); });
      const to = numberText((1 - each.prevalence) / each.prevalence);
      rates.append(element("span", { class: "choice" }, choice,
        element("label", { for: choice.id }, `${RATES[each.name] || each.name}, 1 : ${to}`)));
    });

    const jumps = element("div", { class: "jumps", role: "group", "aria-label": "Jump to a threshold" });
    for (const rule of points.rules) {
      const button = element("button", { type: "button", "data-index": String(rule.index) }, rule.applied ? `${rule.rule} (applied)` : rule.rule);
      button.addEventListener("click", () => moveTo(rule.index));
      jumps.append(button);
    }
    const cheapest = element("button", { type: "button" }, "least cost");
    cheapest.addEventListener("click", () => {
      let best = 0;
      for (let i = 1; i <= last; i++) if (cost(i) < cost(best)) best = i;
      moveTo(best);
    });
    jumps.append(cheapest);

    const values = {};
    const measures = element("dl", { class: "threshold-measures" });
    for (const [key, label] of MEASURES) {
      values[key] = element("dd", {});
      measures.append(element("div", {}, element("dt", {}, label), values[key]));
    }
    const cells = {};
    const cell = (key, kind) => (cells[key] = element("td", { class: `num ${kind}` }));
    const table = element("table", { class: "confusion" },
      element("caption", {}, "Candidates at this threshold"),
      element("thead", {}, element("tr", {}, element("td", {}),
        element("th", { scope: "col", class: "num" }, "edge"), element("th", { scope: "col", class: "num" }, "no recorded edge"))),
      element("tbody", {},
        element("tr", {}, element("th", { scope: "row" }, "taken"), cell("tp", "right"), cell("fp", "wrong")),
        element("tr", {}, element("th", { scope: "row" }, "left"), cell("fn", "wrong"), cell("tn", "right"))));

    const chart = drawing("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "threshold-chart" });
    const curves = LINES.map(([key, dash]) => {
      const line = drawing("polyline", { class: `line-${key}`, fill: "none", "stroke-dasharray": dash, "vector-effect": "non-scaling-stroke" });
      chart.append(line);
      return line;
    });
    const here = drawing("line", { class: "here", y1: "0", y2: String(HEIGHT), "vector-effect": "non-scaling-stroke" });
    chart.append(here);
    const key = element("p", { class: "threshold-key", "aria-hidden": "true" }, "upwards, 0 to 1: ");
    for (const [name] of LINES) key.append(element("span", { class: `key-${name}` }, name === "f1" ? "F1" : name), " ");

    const said = element("p", { class: "threshold-said", id: `${prefix}-said` });
    const note = element("p", { class: "note" });

    const cost = (i) => Number(ratio.value) * rate.fp[i] + rate.fn[i];

    function draw() {
      LINES.forEach(([name], i) => {
        const at = (value, k) => `${((last ? placeOf(k) / last : 0.5) * WIDTH).toFixed(1)},${((1 - value) * (HEIGHT - 8) + 4).toFixed(1)}`;
        curves[i].setAttribute("points", rate[name].map((value, k) => (value === null ? "" : at(value, k))).join(" ").trim());
      });
    }

    function show() {
      for (const [name] of MEASURES) if (name !== "cost") values[name].textContent = numberText(rate[name][index]);
      const isPrice = ratio.value !== "" && Number(ratio.value) >= 0;
      values.cost.textContent = isPrice ? numberText(cost(index)) : "n/a";
      cheapest.disabled = !isPrice;
      for (const name of Object.keys(cells)) cells[name].textContent = numberText(rate[name][index]);
      const x = String((last ? placeOf(index) / last : 0.5) * WIDTH);
      here.setAttribute("x1", x);
      here.setAttribute("x2", x);
      const text = `probability at least ${numberText(rate.probability[index])} (logit ${numberText(points.threshold_logit[index])})`;
      said.textContent = text;
      slider.value = String(placeOf(index));
      slider.setAttribute("aria-valuetext",
        `${text}: precision ${numberText(rate.precision[index])}, recall ${numberText(rate.recall[index])}, a list of ${numberText(rate.list_length[index])}`);
      for (const button of jumps.querySelectorAll("[data-index]")) {
        button.setAttribute("aria-pressed", String(Number(button.dataset.index) === index));
      }
      const none = isPrice && cost(index) > rate.num_edges
        ? ` Calling nothing an edge costs ${numberText(rate.num_edges)}, less than this threshold.` : "";
      note.textContent = `Of ${numberText(rate.num_pairs)} candidates, ${numberText(rate.num_edges)} are edges.${none}`;
    }

    function moveTo(at) {
      index = Math.min(Math.max(at, 0), last);
      show();
    }
    slider.addEventListener("input", () => moveTo(last - Number(slider.value)));
    ratio.addEventListener("input", show);

    root.replaceChildren(
      rates,
      element("label", { for: slider.id, class: "threshold-label" }, "Threshold"),
      said, chart, slider,
      element("p", { class: "threshold-ends", "aria-hidden": "true" }, element("span", {}, "longest list"), element("span", {}, "shortest list")),
      key, jumps, measures,
      element("p", { class: "threshold-ratio" }, element("label", { for: ratio.id }, "A false positive costs as much as "), ratio, " missed edges."),
      table, note);
    draw();
    show();
  }

  window.linkoddsThreshold = linkoddsThreshold;
  for (const root of document.querySelectorAll("[data-threshold]")) {
    linkoddsThreshold(root, JSON.parse(document.getElementById(root.dataset.threshold).textContent));
  }
})();
