#!/usr/bin/env bash
# networkit 11.3
#
# writeGraph with Format.SNAP begins with a line "p 3 2 u u 0", which no file of the SNAP collection has, and readGraph with the
# same Format.SNAP refuses the file at that line.
# Likely guess: the file is a SNAP edge list, two ids a line below # comments, and the same library reads it back.
# Source: NetworKit, networkit/cpp/io/SNAPGraphWriter.cpp and SNAPGraphReader.cpp; the output below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet networkit==11.3
cat > "$folder/round.py" <<'PY'
import sys
from pathlib import Path

import networkit

path = sys.argv[1]
graph = networkit.Graph(3)
graph.addEdge(0, 1)
graph.addEdge(1, 2)
networkit.writeGraph(graph, path, networkit.Format.SNAP)
print(Path(path).read_text())
assert Path(path).read_text().startswith("p 3 2 u u 0\n"), "the first line is another one now"
try:
    networkit.readGraph(path, networkit.Format.SNAP)
except OSError as error:
    print("refused:", error)
else:
    raise AssertionError("it reads its own file now")
PY
"$folder/venv/bin/python" "$folder/round.py" "$folder/tiny.txt"
