#!/usr/bin/env bash
# rustworkx 0.18.1
#
# write_matrix_market declares the matrix real and writes 1 for every edge, though the edges hold floats. Nothing is raised.
# Likely guess: the weights are the values of the matrix, as with networkx.to_scipy_sparse_array and scipy.io.mmwrite.
# Source: docstring of rustworkx.write_matrix_market, which speaks of row, column and value; the output below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet rustworkx==0.18.1
cat > "$folder/write.py" <<'PY'
import rustworkx

graph = rustworkx.PyGraph()
graph.add_nodes_from(["bark", "leaf", "root"])
graph.add_edges_from([(0, 1, 0.25), (1, 2, 4.0)])
text = rustworkx.write_matrix_market(graph)
print(text)
rows = [line.split() for line in text.splitlines() if line and not line.startswith("%")][1:]
assert "real" in text.splitlines()[0], "the banner says something else now"
assert [float(row[2]) for row in rows] == [1.0, 1.0, 1.0, 1.0], "the values are no longer 1"
PY
"$folder/venv/bin/python" "$folder/write.py"
