// Write a graph as a JavaScript library does: node write.mjs WHAT GRAPH.json FILE
import { readFileSync, writeFileSync } from "node:fs";

const [what, from, to] = process.argv.slice(2);
const known = JSON.parse(readFileSync(from, "utf8"));

async function graphology() {
  const { default: graphologyModule } = await import("graphology");
  const { DirectedGraph, UndirectedGraph } = graphologyModule;
  const graph = known.directed ? new DirectedGraph() : new UndirectedGraph();
  for (const node of known.nodes) graph.addNode(node, { label: node });
  for (const [u, v, kind, weight] of known.edges) graph.addEdge(u, v, { kind, weight });
  return graph;
}

async function cytoscape() {
  const { default: make } = await import("cytoscape");
  const nodes = known.nodes.map((id) => ({ data: { id } }));
  const edges = known.edges.map(([source, target, kind, weight]) => ({ data: { source, target, kind, weight } }));
  return make({ headless: true, elements: { nodes, edges } });
}

const writers = {
  json: async () => JSON.stringify((await graphology()).export()),
  gexf: async () => (await import("graphology-gexf")).default.write(await graphology()),
  cyjs: async () => JSON.stringify((await cytoscape()).json()),
  elements: async () => JSON.stringify((await cytoscape()).json().elements),
  graphlib: async () => {
    const graphlib = (await import("@dagrejs/graphlib")).default ?? (await import("@dagrejs/graphlib"));
    const graph = new graphlib.Graph({ directed: known.directed });
    for (const node of known.nodes) graph.setNode(node);
    for (const [u, v, kind] of known.edges) graph.setEdge(u, v, kind);
    return JSON.stringify(graphlib.json.write(graph));
  },
  ngraph: async () => {
    const make = (await import("ngraph.graph")).default;
    const toJson = (await import("ngraph.tojson")).default;
    const graph = make();
    for (const node of known.nodes) graph.addNode(node);
    for (const [u, v, kind] of known.edges) graph.addLink(u, v, { kind });
    return toJson(graph);
  },
  papaparse: async () => (await import("papaparse")).default.unparse(rows()),
  "papaparse-tabs": async () => (await import("papaparse")).default.unparse(rows(), { delimiter: "\t", quotes: true }),
  n3: async () => {
    const { Writer, DataFactory } = (await import("n3")).default;
    const { namedNode, quad } = DataFactory;
    const writer = new Writer({ format: "N-Triples" });
    for (const [u, v] of known.edges) writer.addQuad(quad(namedNode(u), namedNode("http://example.org/knows"), namedNode(v)));
    return new Promise((resolve, reject) => writer.end((error, text) => (error ? reject(error) : resolve(text))));
  },
};

function rows() {
  return known.edges.map(([source, target, kind, weight]) => ({ source, target, kind, weight }));
}

writeFileSync(to, await writers[what]());
