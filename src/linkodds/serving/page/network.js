// A node, its likely partners and the neighbours that they share, drawn as a small network.
import { shown, numberText } from "./text.js";

const WIDTH = 460, HEIGHT = 400;
const CENTRE = [WIDTH / 2, HEIGHT / 2];

function shape(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

function onRing(angle, share) {
  return [CENTRE[0] + share * 182 * Math.cos(angle), CENTRE[1] + share * 165 * Math.sin(angle)];
}

// The place of each node: partners on the outer ring, shared neighbours on the inner one, near the partners they know.
function placesOf(network) {
  const places = [CENTRE];
  const angles = new Map();
  const partners = network.nodes.flatMap((each, i) => (each.kind === "partner" ? [i] : []));
  partners.forEach((i, k) => {
    angles.set(i, -Math.PI / 2 + (2 * Math.PI * k) / partners.length);
    places[i] = onRing(angles.get(i), 1);
  });
  const wanted = network.nodes.flatMap((each, i) => {
    if (each.kind !== "shared") return [];
    const known = network.edges.flatMap(([u, v]) => (u === i ? [v] : v === i ? [u] : [])).filter((at) => angles.has(at));
    const x = known.reduce((sum, at) => sum + Math.cos(angles.get(at)), 0);
    const y = known.reduce((sum, at) => sum + Math.sin(angles.get(at)), 0);
    return [[i, Math.atan2(y, x)]];
  });
  wanted.sort((a, b) => a[1] - b[1]);
  wanted.forEach(([i], k) => { places[i] = onRing(-Math.PI + (2 * Math.PI * (k + 0.5)) / wanted.length, wanted.length > 6 && k % 2 ? 0.62 : 0.46); });
  return places;
}

export function drawNetwork(view, choose) {
  const { network, partners } = view;
  const places = placesOf(network);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "network", role: "group" });
  svg.setAttribute("aria-label", `Network around ${shown(view.node.id, 60)}; the table of partners says the same.`);
  const probability = new Map(partners.map((each) => [each.index, each.probability]));
  for (const [u, v] of network.edges) {
    svg.append(shape("line", { class: "recorded", x1: places[u][0], y1: places[u][1], x2: places[v][0], y2: places[v][1] }));
  }
  network.nodes.forEach((each, i) => {
    if (each.kind !== "partner") return;
    const width = 1 + 3 * Math.sqrt(probability.get(each.index) || 0);
    svg.append(shape("line", { class: "likely", "stroke-width": width, x1: CENTRE[0], y1: CENTRE[1], x2: places[i][0], y2: places[i][1] }));
  });
  network.nodes.forEach((each, i) => {
    const [x, y] = places[i];
    const below = y >= CENTRE[1] - 1;
    const group = shape("g", { class: each.kind, tabindex: i ? 0 : -1, role: "button" });
    const chance = probability.has(each.index) ? `, probability ${numberText(probability.get(each.index))}` : "";
    group.setAttribute("aria-label", `${shown(each.id, 60)}, ${each.kind}${chance}`);
    group.append(shape("circle", { cx: x, cy: y, r: i === 0 ? 9 : each.kind === "partner" ? 7 : 5 }));
    const text = shown(each.id, 400);
    const name = text.length > 13 ? `${text.slice(0, 12)}…` : text;
    const half = 4.5 * name.length; // about, so that no name leaves the drawing
    const middle = Math.min(Math.max(x, half), WIDTH - half);
    const label = shape("text", { x: middle, y: y + (below ? (i === 0 ? 22 : 19) : -11), "text-anchor": "middle" });
    label.textContent = name;
    group.append(label);
    const title = shape("title", {});
    title.textContent = `${shown(each.id, 300)}${chance}`;
    group.append(title);
    if (i) {
      group.addEventListener("click", () => choose(each.index));
      group.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(each.index); }
      });
    }
    svg.append(group);
  });
  return svg;
}
