"""How much of the pairs a search computes with the embeddings of trained models, and that its answer is that of all pairs.

A gae (32 dimensions, 40 epochs) is fitted to each graph of --data; then the best 10,000 new links are searched by tiles,
and by scoring all pairs in blocks. Fails where the two differ. Writes benchmarks/results/search/real/*.json, skipping what
is there; speed.py puts them on docs/search-speed.md.

    python benchmarks/search/real.py [--data FOLDER]
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.pairs import KnownPairs
from linkodds.scorers.scoring import DegreeAwareScorer, Scorer
from linkodds.search.pair_search import PairSearch

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search" / "real"
GRAPHS = ("seal_yeast", "ppi_shs27k_seq", "lastfm_asia")
TOP = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in GRAPHS:
        path = RESULTS / f"{name}.json"
        if path.exists():
            continue
        result = measure(Graph.from_edges(arguments.data / name / "edges.csv.gz"))
        print(name, result, flush=True)
        if not result["identical"]:
            sys.exit(f"{name}: the answer is not that of all pairs")
        path.write_text(json.dumps({"graph": name} | result, indent=1) + "\n")


def measure(graph: Graph) -> dict:
    run = fit_graph(graph, FitConfig(model="gae", hidden=32, dim=32, epochs=40, threads=1))
    known = run.split.recorded()
    start = time.process_time()
    search = PairSearch(run.scorer, known, top=TOP)
    for _ in search.steps():
        pass
    found = search.found()
    seconds, start = time.process_time() - start, time.process_time()
    pairs = by_all_pairs(run.scorer, known)
    return {
        "nodes": graph.num_nodes,
        "surface": isinstance(run.scorer, DegreeAwareScorer),
        "seconds": seconds,
        "seconds_of_all_pairs": time.process_time() - start,
        "computed": search.num_computed,
        "pairs": known.space.num_pairs,
        "identical": bool(np.array_equal(found.pairs, pairs)),
    }


def by_all_pairs(scorer: Scorer, known: KnownPairs) -> np.ndarray:
    """The TOP best of the blocks' float32 logits, and what ties with the last; then in exact order."""
    kept, floor = np.empty((0, 2), dtype=np.int64), -np.inf
    logits = np.empty(0, dtype=np.float32)
    for block in known.space.blocks():
        of_block = scorer.block(block.rows, block.columns)
        row, column = np.nonzero(known.absent_cells(block) & (of_block >= floor))
        kept = np.concatenate([kept, np.column_stack([row + block.rows.start, column + block.columns.start])])
        logits = np.concatenate([logits, of_block[row, column]])
        if len(logits) > TOP:
            floor = np.partition(logits, -TOP)[-TOP]
            kept, logits = kept[logits >= floor], logits[logits >= floor]
    exact = scorer.logits(kept)
    return kept[np.lexsort((kept[:, 1], kept[:, 0], -exact))[:TOP]]


if __name__ == "__main__":
    main()
