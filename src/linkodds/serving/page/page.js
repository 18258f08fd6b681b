// The page: reads the API, shows text as text. One run is looked at; all stand side by side in the table of figures.
import { element, id, numberText, oddsText, pairsOf, shown } from "./text.js";
import { drawNetwork } from "./network.js";

const PER_PAGE = 10;
const at = (name) => document.getElementById(name);
const state = { runs: [], run: 0, minLogit: null, offset: 0, asked: null, searchNumber: 0, nodeNumber: 0, linkNumber: 0, timer: 0 };

async function ask(path, options) {
  const answer = await fetch(path, { headers: { accept: "application/json" }, ...options });
  if (answer.ok) return answer;
  let message = `The server answered ${answer.status}.`;
  try { message = (await answer.json()).error.message; } catch { /* no JSON: its number has to do */ }
  throw new Error(message);
}
const read = async (path, options) => (await ask(path, options)).json();
const api = (rest) => `/api/runs/${state.run}${rest}`;

function failed(where, error) {
  where.textContent = error.message;
  where.classList.add("failed");
}
function say(where, text) {
  where.textContent = text;
  where.classList.remove("failed");
}

function table(caption, columns, rows) {
  const head = element("tr", {}, ...columns.map(([name, kind]) => element("th", { scope: "col", class: kind }, name)));
  const body = rows.map((cells) => element("tr", {}, ...cells.map((cell, i) => element(i ? "td" : "th", { class: columns[i][1], scope: i ? null : "row", "data-label": columns[i][0] }, cell ?? ""))));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", { class: "cards" }, element("caption", { class: "hidden" }, caption), element("thead", {}, head), element("tbody", {}, ...body)));
}

// verdict and figures

function showRun() {
  const run = state.runs[state.run];
  document.title = `${run.name} · linkodds`;
  at("run").value = String(state.run);
  at("verdict").className = `verdict ${run.verdict.tone}`;
  const { num_nodes: nodes, num_edges: edges } = run.graph;
  at("verdict-title").textContent = `${run.name}: ${run.model}, ${numberText(nodes)} nodes, ${numberText(edges)} recorded edges`;
  at("headline").textContent = run.verdict.headline;
  at("details").replaceChildren(...run.verdict.details.map((each) => element("li", {}, each)));
  at("rates").replaceChildren(...Object.entries(run.base_rates).map(([name, text]) => element("div", {}, element("dt", {}, NAMES[name] || name), element("dd", {}, text))));
  at("assumption").textContent = run.assumption;
  at("report-link").href = `/runs/${state.run}/report`;
  at("findings").replaceChildren(...(run.findings.length ? run.findings.map(finding) : [element("p", {}, "None.")]));
  showFigures();
}
const NAMES = { graph: "The graph's ratio", rehearsal: "The rehearsal's prevalence", "restated at": "Restated at" };
const SIGNS = { error: "✖", warning: "▲", info: "●" };

function finding(each) {
  return element("div", { class: `finding ${each.severity}` },
    element("p", {}, element("strong", {}, `${SIGNS[each.severity] || ""} ${each.severity} ${each.id}: `), each.message),
    element("p", { class: "note" }, each.remedy));
}

function showFigures() {
  const { runs } = state;
  const pick = (run, i) => (runs.length === 1 ? run.name : element("button", { type: "button", class: "link", "aria-pressed": String(i === state.run), onclick: () => chooseRun(i) }, run.name));
  const head = element("tr", {}, element("td", {}), ...runs.map((run, i) => element("th", { scope: "col", class: `num${i === state.run ? " here" : ""}` }, pick(run, i))));
  const cells = (name, meaning, values) => element("tr", {}, element("th", { scope: "row" }, name, meaning ? element("span", { class: "meaning" }, meaning) : null), ...values.map((value, i) => element("td", { class: `num${i === state.run ? " here" : ""}` }, value)));
  const rows = runs[state.run].figures.map((figure) => cells(figure.name, figure.meaning, runs.map((run) => (run.figures.find((each) => each.key === figure.key) || { text: "n/a" }).text)));
  rows.unshift(
    cells("model", "", runs.map((run) => run.model)),
    cells("graph", "", runs.map((run) => `${numberText(run.graph.num_nodes)} nodes, ${numberText(run.graph.num_edges)} edges`)));
  rows.push(
    cells("best baseline", "its average precision", runs.map((run) => (run.best_baseline ? `${run.best_baseline.name} ${numberText(run.best_baseline.average_precision)}` : "none"))),
    cells("decision", "the rule that predict applies", runs.map((run) => (run.decision.threshold_logit === null ? `${run.decision.rule}: ${run.decision.reason}` : run.decision.rule))));
  at("figures").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

async function chooseRun(index, node = null) {
  Object.assign(state, { run: index, minLogit: null, offset: 0, asked: null });
  state.nodeNumber += 1;
  state.searchNumber += 1;
  history.replaceState(null, "", `#run=${index}`);
  showRun();
  for (const name of ["matches", "node-view", "pairs-table"]) at(name).replaceChildren();
  for (const name of ["matches-said", "pairs-said"]) say(at(name), "");
  at("pairs-download").disabled = true;
  at("links-above").checked = false;
  await Promise.all([showThreshold(), showLinks(), node === null ? null : showNode(node)]);
}

// threshold

async function showThreshold() {
  const run = state.run;
  const root = element("div", { "data-threshold": "" });
  at("threshold-control").replaceChildren(root);
  try {
    const points = await read(api("/thresholds"));
    if (run !== state.run) return;
    window.linkoddsThreshold(root, points);
    const slider = root.querySelector("input[type=range]");
    const moved = () => {
      const minLogit = points.threshold_logit[points.threshold_logit.length - 1 - Number(slider.value)];
      if (minLogit === state.minLogit) return;
      state.minLogit = minLogit;
      if (!at("links-above").checked) return;
      state.offset = 0;
      clearTimeout(state.timer);
      state.timer = setTimeout(showLinks, 150);
    };
    for (const kind of ["input", "click"]) root.addEventListener(kind, moved);
    moved();
  } catch (error) { if (run === state.run) failed(root, error); }
}

// a node

async function search() {
  const query = at("query").value;
  const mine = ++state.searchNumber;
  if (!query) { at("matches").replaceChildren(); say(at("matches-said"), ""); return null; }
  try {
    const found = await read(api(`/nodes?limit=10&q=${encodeURIComponent(query)}`));
    if (mine !== state.searchNumber) return null;
    say(at("matches-said"), found.num_matches === 0 ? "No id holds this text." : `${numberText(found.num_matches)} ${found.num_matches === 1 ? "id" : "ids"}${found.num_matches > found.matches.length ? `, the first ${found.matches.length}:` : ":"}`);
    at("matches").replaceChildren(...found.matches.map((each) => element("li", {}, element("button", { type: "button", onclick: () => showNode(each.index) }, id(each.id, 60), element("span", { class: "note" }, ` ${numberText(each.degree)}`)))));
    return found;
  } catch (error) { if (mine === state.searchNumber) failed(at("matches-said"), error); return null; }
}

async function showNode(index) {
  const mine = ++state.nodeNumber;
  const view = at("node-view");
  view.replaceChildren(element("p", { role: "status" }, "Looking for partners…"));
  try {
    const found = await read(api(`/nodes/${index}?partners=10`));
    if (mine !== state.nodeNumber) return;
    history.replaceState(null, "", `#run=${state.run}&node=${index}`);
    const neighbors = found.neighbors.slice(0, 12).flatMap((each, i) => [i ? ", " : "", nodeButton(each)]);
    const more = found.num_neighbors > 12 ? `, and ${numberText(found.num_neighbors - 12)} more` : "";
    view.replaceChildren(
      element("h3", {}, id(found.node.id)),
      element("p", { class: "neighbors" }, `${numberText(found.num_neighbors)} recorded ${found.num_neighbors === 1 ? "neighbour" : "neighbours"}${found.num_neighbors ? ": " : "."}`, ...neighbors, found.num_neighbors ? `${more}.` : ""),
      element("div", { class: "around" },
        element("figure", {}, drawNetwork(found, showNode), element("figcaption", {},
          element("span", { class: "key likely" }, "likely link"), " ", element("span", { class: "key recorded" }, "recorded edge"), " The inner ring: neighbours that they share.")),
        table("Likely partners", [["Partner", "name"], ["Probability", "num"], ["Odds", "num"], ["Evidence", "evidence"]],
          found.partners.map((each) => [nodeButton(each), chance(each), oddsText(each.probability), shown(each.evidence, 1500)]))));
    view.focus({ preventScroll: true });
  } catch (error) {
    if (mine === state.nodeNumber) { view.replaceChildren(element("p", { role: "status", class: "failed" }, error.message)); }
  }
}

function nodeButton(node) {
  return element("button", { type: "button", class: "link", onclick: () => showNode(node.index) }, id(node.id, 60));
}

function chance(row) {
  if (row.probability === null) return "";
  const band = row.probability_low === null ? "" : ` [${numberText(row.probability_low)}, ${numberText(row.probability_high)}]`;
  return numberText(row.probability) + band;
}

// pairs

const question = (pairs) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ pairs }) });

async function predict() {
  const { pairs, others } = pairsOf(at("pairs-text").value);
  const said = at("pairs-said");
  at("pairs-table").replaceChildren();
  at("pairs-download").disabled = true;
  if (!pairs.length) { say(said, "There is no pair: write two ids on each line."); return; }
  say(said, "Asking…");
  const run = state.run;
  try {
    const found = await read(api("/predict"), question(pairs));
    if (run !== state.run) return;
    state.asked = pairs;
    at("pairs-download").disabled = false;
    const parts = [`${numberText(pairs.length)} ${pairs.length === 1 ? "pair" : "pairs"}.`];
    if (others) parts.push(`${numberText(others)} ${others === 1 ? "line has" : "lines have"} no two ids and ${others === 1 ? "was" : "were"} left out.`);
    if (found.num_unknown) parts.push(`${numberText(found.num_unknown)} with an id that the graph does not have.`);
    if (found.num_inadmissible) parts.push(`${numberText(found.num_inadmissible)} that are no pair of this graph.`);
    parts.push(found.reason ? `Nothing is decided: ${found.reason}` : `Decided by ${found.decision}.`);
    if (found.rows.length > 500) parts.push("The first 500 are shown; the CSV has all.");
    say(said, parts.join(" "));
    at("pairs-table").replaceChildren(table("Your pairs",
      [["Source", "name"], ["Target", "name"], ["Probability", "num"], ["Odds", "num"], ["Logit", "num"], ["Decision", ""]],
      found.rows.slice(0, 500).map((each) => [id(each.source), id(each.target), chance(each), oddsText(each.probability), each.logit === null ? "" : numberText(each.logit), decisionText(each)])));
  } catch (error) { if (run === state.run) failed(said, error); }
}

function decisionText(row) {
  if (row.problem) return row.problem;
  if (row.known) return "recorded already";
  return row.decision === null ? "" : row.decision ? "edge" : "no edge";
}

async function download() {
  try {
    const answer = await ask(api("/predict.csv"), question(state.asked));
    const url = URL.createObjectURL(await answer.blob());
    element("a", { href: url, download: "predictions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  } catch (error) { failed(at("pairs-said"), error); }
}

// new links

async function showLinks() {
  const mine = ++state.linkNumber;
  clearTimeout(state.timer);
  const above = at("links-above").checked && state.minLogit !== null ? `min_logit=${state.minLogit}` : "";
  try {
    const found = await read(api(`/links?offset=${state.offset}&limit=${PER_PAGE}&${above}`));
    if (mine !== state.linkNumber) return;
    const isReady = found.state === "ready";
    at("links-back").disabled = state.offset === 0;
    at("links-on").disabled = found.next_offset === null;
    at("links-download").hidden = !isReady;
    at("links-download").href = api(`/links.csv${above ? `?${above}` : ""}`);
    if (!isReady) {
      say(at("links-said"), found.state === "refused" ? found.note : `Searching, ${Math.round(100 * found.share)} % done. ${found.note}`);
      at("links-table").replaceChildren();
      if (found.state !== "refused") state.timer = setTimeout(showLinks, 1500);
      return;
    }
    const span = found.num_links ? ` Shown: ${numberText(found.offset + 1)} to ${numberText(found.offset + found.links.length)}.` : "";
    say(at("links-said"), `${found.note} ${numberText(found.num_links)} ${above ? "at or above the threshold" : "in the list"}, ${numberText(found.expected_links)} of them expected to be true, not guaranteed.${span}`);
    at("links-table").replaceChildren(table("New links",
      [["Source", "name"], ["Target", "name"], ["Probability", "num"], ["Odds", "num"], ["Evidence", "evidence"]],
      found.links.map((each) => [id(each.source, 60), id(each.target, 60), chance(each), oddsText(each.probability), shown(each.evidence, 1500)])));
  } catch (error) { if (mine === state.linkNumber) failed(at("links-said"), error); }
}

function turn(pages) {
  state.offset = Math.max(0, state.offset + pages * PER_PAGE);
  showLinks();
}

function listen() {
  let typing = 0;
  at("run").addEventListener("change", () => chooseRun(Number(at("run").value)));
  at("query").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 200); });
  at("node-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(typing);
    const found = await search();
    if (found && found.matches.length) showNode(found.matches[0].index);
  });
  at("pairs-form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  at("pairs-download").addEventListener("click", download);
  at("links-above").addEventListener("change", () => { state.offset = 0; showLinks(); });
  at("links-back").addEventListener("click", () => turn(-1));
  at("links-on").addEventListener("click", () => turn(1));
}

async function start() {
  try {
    state.runs = (await read("/api/runs")).runs;
  } catch (error) { failed(at("status"), error); return; }
  const wanted = new URLSearchParams(location.hash.slice(1));
  at("run").append(...state.runs.map((run, i) => element("option", { value: String(i) }, `${run.name} (${run.model})`)));
  document.querySelector(".run-choice").hidden = state.runs.length < 2;
  at("runs-title").textContent = state.runs.length > 1 ? "Runs side by side" : "The figures";
  at("content").hidden = false;
  at("status").remove();
  listen();
  const first = Number(wanted.get("run"));
  await chooseRun(first < state.runs.length && first >= 0 ? Math.floor(first) : 0, wanted.has("node") ? Number(wanted.get("node")) : null);
}

start();
