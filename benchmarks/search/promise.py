"""Do lists of new links keep the number of true ones that they state? Edges hidden before the fit, on ten real graphs.

A tenth of the edges is taken out before `fit` sees the graph, `--expected-missing` is told their number, and the best
1,000 pairs are listed. The hidden edges among them are held against the sum of the stated probabilities (observed /
expected: within 0.8 to 1.25 pooled, within 0.5 to 2 on nine of ten graphs), and against the interval that the list states
for the number of its true links.

Graphs: the eight of benchmarks/statistics/hidden_edges.py, and citeseer and lglp_yst. Model: stack, default options, seed 0.
One JSON a graph in benchmarks/results/search/promise/, what is there is skipped; speed.py puts them on docs/search.md.

    python benchmarks/search/promise.py [--data FOLDER] [--runs FOLDER] [--fit-only]
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.graph import Graph
from linkodds.pairs import Pairs
from linkodds.pipeline import fit_graph
from linkodds.record import PartialRun, Run, load_run

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search" / "promise"
GRAPHS = (
    "genelink_mdc500_string",
    "cora",
    "seal_router",
    "seal_power",
    "seal_yeast",
    "lglp_grq",
    "skipgnn_dti",
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
