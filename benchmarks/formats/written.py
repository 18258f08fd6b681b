"""Do other programs open what linkodds writes, with each node, edge, direction and an id of its own for each edge?

Networks of recorded edges and new links, undirected and directed, with names that are hard on files, are written as .graphml,
.cyjs and .cx2, and opened by igraph, NetworkX, ndex2, graphology and Cytoscape.js. The environments are those of run.py.
(.h5ad is opened by anndata in tests/links/test_written_and_read.py, where a run is at hand.)

    python benchmarks/formats/written.py [--folder FOLDER]

Writes benchmarks/results/formats_written.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "formats_written.json"
sys.path.insert(0, str(HERE))

from known import ARCS, GENES, QUOTED, Known  # noqa: E402
from run import prepare  # noqa: E402

from linkodds import __version__  # noqa: E402
from linkodds.links.network_files import NETWORK_FORMATS, Network  # noqa: E402


def network_of(known: Known) -> Network:
    """The recorded edges of a graph but the last five, and these as new links with a logit."""
    kinds = ["recorded"] * (len(known.edges) - 5) + ["new"] * 5
    edges = {
        "source": [edge.source for edge in known.edges],
        "target": [edge.target for edge in known.edges],
        "interaction": kinds,
        "logit": [None if kind == "recorded" else 0.5 for kind in kinds],
    }
    return Network(pl.DataFrame({"id": known.nodes}), pl.DataFrame(edges), known.directed, {"linkodds": __version__})


def problem_of(seen: dict[str, Any], network: Network) -> str:
    """The first difference between what a program saw and what was written; empty where there is none."""
    if sorted(seen["nodes"]) != sorted(network.nodes["id"]):
        return "nodes"
    if bool(seen["directed"]) != network.directed:
        return "direction"

    def keys(rows: Any) -> list[Any]:
        return sorted([*(ends if network.directed else sorted(ends)), kind] for *ends, kind in rows)

    if keys(seen["edges"]) != keys(network.edges.select("source", "target", "interaction").rows()):
        return "edges"
    return "" if seen["ids"] == len(network.edges) else "ids of edges"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "linkodds-formats")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    places = prepare(args.folder)
    script = places["node"] / "open_written.mjs"
    script.write_bytes((HERE / "open_written.mjs").read_bytes())
    rows = []
    for name, known in (("undirected", GENES), ("directed", ARCS), ("hard names", QUOTED)):
        network = network_of(known)
        with tempfile.TemporaryDirectory() as folder:
            for suffix, write in NETWORK_FORMATS.items():
                (Path(folder) / f"run{suffix}").write_bytes(write(network))
            seen: dict[str, Any] = {}
            for command in ([places["python"], HERE / "open_written_here.py", folder], ["node", script, folder]):
                done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=True)
                seen |= json.loads(done.stdout)
        for program, what in seen.items():
            rows.append({"graph": name, "program": program, "problem": problem_of(what, network)})
            print(rows[-1])
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(row["problem"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
