"use strict";
// Figures carry data and roles; the page decides light or dark, wide or narrow, screen or paper.
const PALETTE = {
  light: { ink: "#1d2329", grid: "#e4e3de", line: "#9aa0a6", swap: {} },
  dark: { ink: "#dfe2e5", grid: "#2c3238", line: "#6d757d", swap: { "#0072B2": "#56B4E9", "#FFFFFF": "#14171a" } },
};
const darkness = window.matchMedia("(prefers-color-scheme: dark)");

function drawFigure(plot, theme, width) {
  const source = document.getElementById(plot.id.replace("plot-", "data-")).textContent;
  const spec = JSON.parse(source, (_, value) => (typeof value === "string" && theme.swap[value]) || value);
  spec.layout.width = width || plot.clientWidth;
  const narrow = spec.layout.width < 520;
  spec.layout.font = { ...spec.layout.font, color: theme.ink, size: narrow ? 11 : 13 };
  const hasLegend = spec.data.some((trace) => trace.showlegend !== false);
  if (narrow && !hasLegend) {
    spec.layout.margin = { ...spec.layout.margin, l: 8, r: 8 };
    spec.layout.height = spec.layout.width;
  } else if (narrow) {
    // Legends take more rows here: give them room below instead of taking it from the curves.
    spec.layout.margin = { ...spec.layout.margin, l: 48, r: 8, b: 150 };
    spec.layout.height += 20;
  }
  for (const trace of spec.data) {
    if (trace.marker && trace.marker.colorbar) Object.assign(trace.marker.colorbar, { tickcolor: theme.line, tickfont: { color: theme.ink } });
  }
  for (const name of Object.keys(spec.layout)) {
    if (/^[xy]axis\d*$/.test(name)) {
      const title = { ...spec.layout[name].title, font: { size: narrow ? 11 : 13 } };
      Object.assign(spec.layout[name], { title, gridcolor: theme.grid, linecolor: theme.line, tickcolor: theme.line });
    }
  }
  return Plotly.react(plot, spec.data, spec.layout, { displayModeBar: false, responsive: false });
}

// One figure a task, from the top: the page can be read and used while those below are still to come.
const drawn = new Set();

function drawAll(theme, width) {
  for (const plot of drawn) drawFigure(plot, theme, width && Math.min(width, plot.closest(".beside") ? 330 : width));
}

function drawNext() {
  const plot = [...document.querySelectorAll(".plot")].find((each) => !drawn.has(each));
  if (!plot) return;
  drawn.add(plot);
  drawFigure(plot, current());
  followWidth(plot);
  setTimeout(drawNext);
}

// A figure is redrawn when its column changes width: a turned phone, a resized window, an opened fold.
function followWidth(plot) {
  let drawnAt = plot.clientWidth;
  new ResizeObserver(() => {
    if (plot.clientWidth === drawnAt || plot.clientWidth === 0) return;
    drawnAt = plot.clientWidth;
    requestAnimationFrame(() => drawFigure(plot, current()));
  }).observe(plot);
}

const current = () => (darkness.matches ? PALETTE.dark : PALETTE.light);
setTimeout(drawNext);
darkness.addEventListener("change", () => drawAll(current()));
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not(.long)").forEach((fold) => (fold.open = true));
  document.querySelectorAll(".plot").forEach((plot) => drawn.add(plot));
  drawAll(PALETTE.light, 680);
});
window.addEventListener("afterprint", () => drawAll(current()));
