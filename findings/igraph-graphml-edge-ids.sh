#!/usr/bin/env bash
# igraph 1.0.0 (Python)
#
# Read_GraphML gives edges an attribute "id", and its values are not the ids of the edges in the file but those of the first
# nodes: edges e0 and e1 of nodes x, y, z have the ids x and y.
# Likely guess: graph.es["id"] holds the id attributes of <edge>, as graph.vs["id"] holds those of <node>.
# Source: igraph's documentation of igraph_read_graph_graphml and the file src/io/graphml.c of its C core; the output below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet igraph==1.0.0
cat > "$folder/tiny.graphml" <<'XML'
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <graph edgedefault="undirected">
    <node id="x"/><node id="y"/><node id="z"/>
    <edge id="e0" source="z" target="y"/>
    <edge id="e1" source="z" target="x"/>
  </graph>
</graphml>
XML
cat > "$folder/read.py" <<'PY'
import sys

import igraph

graph = igraph.Graph.Read_GraphML(sys.argv[1])
print("nodes", graph.vs["id"], "edges", graph.get_edgelist(), "edge ids", graph.es["id"])
assert graph.es["id"] == ["x", "y"], "edges have other ids now"
PY
"$folder/venv/bin/python" "$folder/read.py" "$folder/tiny.graphml"
