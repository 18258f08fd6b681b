#!/usr/bin/env bash
# igraph 1.0.0 (Python)
#
# Read_GraphML turns &amp; in the id of a node into the five characters &#38; and not into &. In the text of <data> it is &.
# Likely guess: an XML reader gives back the character that the file means, in attributes as in text, so that ids match
# those of other tools that read the same file.
# Source: XML 1.0, section 4.1 and appendix D, on predefined entities; igraph's C core, src/io/graphml.c; the output below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet igraph==1.0.0
cat > "$folder/tiny.graphml" <<'XML'
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="k" for="node" attr.name="name" attr.type="string"/>
  <graph edgedefault="undirected">
    <node id="salt &amp; water"><data key="k">salt &amp; water</data></node>
    <node id="ice"><data key="k">ice</data></node>
    <edge source="salt &amp; water" target="ice"/>
  </graph>
</graphml>
XML
cat > "$folder/read.py" <<'PY'
import sys

import igraph

graph = igraph.Graph.Read_GraphML(sys.argv[1])
print("ids", graph.vs["id"], "names", graph.vs["name"])
assert graph.vs["id"][0] == "salt &#38; water", "the id is another one now"
assert graph.vs["name"][0] == "salt & water"
PY
"$folder/venv/bin/python" "$folder/read.py" "$folder/tiny.graphml"
