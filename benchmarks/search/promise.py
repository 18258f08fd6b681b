"""Do lists of new links keep the number of true ones that they state? Edges hidden before the fit, on ten real graphs.

A tenth of the edges is taken out before `fit` sees the graph, `--expected-missing` is told their number, and the best
1,000 pairs are listed. The hidden edges among them are held against the sum of the stated probabilities (observed /
expected: within 0.8 to 1.25 pooled, within 0.5 to 2 on nine of ten graphs), and against the interval that the list states
for the number of its true links.

Graphs: those of benchmarks/statistics/hidden_edges.py, but for skipgnn_dti, whose fit takes too long, and citeseer, lglp_yst
and seal_ns. Model: stack, default options, seed 0.
One JSON a graph in benchmarks/results/search/promise/, what is there is skipped; speed.py puts them on docs/search-speed.md.

    python benchmarks/search/promise.py [--data FOLDER] [--runs FOLDER] [--fitted-only]
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.link_search import ALL_PAIRS, LinkSearch
from linkodds.pairs import Pairs
from linkodds.probability.expected_links import expected_links
from linkodds.runs.missing_links import MissingLinksAssumption, held_out_of
from linkodds.runs.record import Run, load_run
from linkodds.runs.run_directory import PartialRun

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search" / "promise"
GRAPHS = (
    "genelink_mdc500_string",
    "cora",
    "seal_router",
    "seal_power",
    "seal_yeast",
    "lglp_grq",
    "seal_ns",
    "seal_pb",
    "citeseer",
    "lglp_yst",
)
HIDDEN, TOP, MODEL, SEED = 0.1, 1000, "stack", 0


def hide(graph: Graph, rng: np.random.Generator) -> tuple[Graph, Pairs]:
    """The graph without a tenth of its edges, and these."""
    is_hidden = np.zeros(graph.num_edges, dtype=bool)
    is_hidden[rng.choice(graph.num_edges, round(HIDDEN * graph.num_edges), replace=False)] = True
    return replace(graph, edges=graph.edges[~is_hidden]), graph.edges[is_hidden]


def read(data: Path, name: str) -> Graph:
    features = data / name / "features.npz"
    return Graph.from_edges(data / name / "edges.csv.gz", features=features if features.exists() else None)


def fitted(graph: Graph, path: Path | None) -> Run:
    if path is not None and path.is_dir():
        return load_run(path)
    config = FitConfig(model=MODEL, seed=SEED, threads=1)
    return fit_graph(graph, config, partial=None if path is None else PartialRun(path, force=False))


def measure(run: Run, hidden: Pairs) -> dict:
    """Hidden edges among the best 1,000 pairs, and what was stated."""
    deployment = MissingLinksAssumption(expected_missing=len(hidden)).deployment(run)
    start = time.process_time()
    search = LinkSearch(run, ALL_PAIRS, top=TOP, threshold=None, way="exhaustive")
    found = search.run_to_end(None, None, None)
    stated = expected_links(held_out_of(run), deployment, found.logits)
    return {
        "num_hidden": len(hidden),
        "observed": int(run.split.space.contains(hidden, found.pairs).sum()),
        "expected": stated.value,
        "low": stated.low,
        "high": stated.high,
        "seconds": time.process_time() - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--runs", type=Path, help="keep the fitted runs here; those that are here are not fitted anew")
    parser.add_argument("--fitted-only", action="store_true", help="leave out graphs whose runs are not there")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(GRAPHS):
        path, kept = RESULTS / f"{name}.json", arguments.runs and arguments.runs / f"promise-{name}"
        if path.exists() or (arguments.fitted_only and not (kept and kept.is_dir())):
            continue
        left, hidden = hide(read(arguments.data, name), np.random.default_rng([SEED, place]))
        row = {"graph": name, "model": MODEL} | measure(fitted(left, kept), hidden)
        print(row, flush=True)
        path.write_text(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
