// Open what linkodds wrote: node open_written.mjs FOLDER; prints JSON, one object a file.
import { readFileSync } from "node:fs";

const folder = process.argv[2];
const found = {};

const { default: graphology } = await import("graphology");
const { default: graphml } = await import("graphology-graphml");
const graph = graphml.parse(graphology.MultiGraph ? graphology : graphology.default, readFileSync(`${folder}/run.graphml`, "utf8"));
found["graphology-graphml"] = {
  nodes: graph.nodes().sort(),
  edges: graph.mapEdges((edge, about, u, v) => [u, v, about.interaction]),
  directed: graph.directedSize > 0,
  ids: new Set(graph.edges()).size,
};

const { default: cytoscape } = await import("cytoscape");
const cyjs = JSON.parse(readFileSync(`${folder}/run.cyjs`, "utf8"));
const cy = cytoscape({ headless: true, elements: cyjs.elements });
found.cytoscape = {
  nodes: cy.nodes().map((node) => node.data("name")).sort(),
  edges: cy.edges().map((edge) => [edge.source().data("name"), edge.target().data("name"), edge.data("interaction")]),
  directed: cyjs.directed,
  ids: new Set(cy.edges().map((edge) => edge.id())).size,
};
console.log(JSON.stringify(found));
