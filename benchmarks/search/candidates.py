"""Candidates against all pairs: how many of the best 1,000 links of a model they hold, in which share of the time.

Fits a stack, or a structural-gae (seed 0, default options but for a smaller sample that evaluates it), on each graph, or
loads it from --runs; lists the best 1,000 pairs exhaustively and from candidates (median of three turns), each in processor
seconds of one thread, and holds the recall that the list states for itself against the true one. Writes
benchmarks/results/search/candidates/*.json, skipping what is there; speed.py puts them on docs/search-speed.md.

10 candidates for one link by each quantity, and half of that for a structural-gae, were chosen on lglp_yst and citeseer, as
were the quantities (--tune prints other numbers on these). That larger graphs get more was decided when lastfm_asia had been
seen with 20,000 by each: 0.974.

    python benchmarks/search/candidates.py [--model structural-gae] [--data FOLDER] [--runs FOLDER] [--tune]
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.link_search import ALL_PAIRS, LinkSearch
from linkodds.runs.record import Run, load_run
from linkodds.runs.run_directory import PartialRun
from linkodds.search import candidates
from linkodds.search.pair_search import FoundPairs

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search" / "candidates"
GRAPHS = ("lastfm_asia", "lglp_grq", "cora")
TUNED_ON = ("lglp_yst", "citeseer")
TOP = 1000
TURNS = 3
MAX_PAIRS = 2_000_000
"""Non-edges that the evaluation of a fit looks at, about twenty times: how good a model is does not matter here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--runs", type=Path, help="keep the fitted runs here; those that are here are not fitted anew")
    parser.add_argument("--model", choices=("stack", "structural-gae"), default="stack")
    parser.add_argument("--tune", action="store_true")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in TUNED_ON if arguments.tune else GRAPHS:
        path = RESULTS / (f"{name}.json" if arguments.model == "stack" else f"{arguments.model}-{name}.json")
        if path.exists():
            continue
        run = fitted(
            arguments.data, name, arguments.model, arguments.runs and arguments.runs / f"{arguments.model}-{name}"
        )
        if arguments.tune:
            tune(name, run)
            continue
        result = {"graph": name, "model": arguments.model, "nodes": run.split.space.num_nodes} | measure(run)
        print(result, flush=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


def fitted(data: Path, name: str, model: str, path: Path | None) -> Run:
    if path is not None and path.is_dir():
        return load_run(path)
    features = data / name / "features.npz"
    graph = Graph.from_edges(data / name / "edges.csv.gz", features=features if features.exists() else None)
    config = FitConfig(model=model, threads=1, max_pairs=MAX_PAIRS)
    return fit_graph(graph, config, partial=None if path is None else PartialRun(path, force=False))


def listed(run: Run, way: str) -> tuple[FoundPairs, LinkSearch, float]:
    run.scorer.logits(run.split.train[:1])  # what is made once
    start = time.process_time()
    search = LinkSearch(run, ALL_PAIRS, top=TOP, threshold=None, way=way)
    found = search.run_to_end(None, None, None)
    return found, search, time.process_time() - start


def measure(run: Run) -> dict:
    everything, _, seconds_of_all = listed(run, "exhaustive")
    turns = [listed(run, "candidates") for _ in range(TURNS)]
    found, search, _ = turns[0]
    start = time.process_time()
    searched = search.searched(found)
    keys = run.split.space.keys
    return {
        "pairs": run.split.space.num_pairs,
        "candidates": searched.num_candidates,
        "recall": float(np.isin(keys(everything.pairs), keys(found.pairs)).mean()),
        "stated": vars(searched.recall),
        "seconds_of_all_pairs": seconds_of_all,
        "seconds": statistics.median(seconds for _, _, seconds in turns),
        "seconds_of_recall": time.process_time() - start,
    }


def tune(name: str, run: Run) -> None:
    everything, _, seconds_of_all = listed(run, "exhaustive")
    keys = run.split.space.keys
    for fewest in (2_500, 5_000, 10_000, 20_000):
        candidates.EACH, candidates.SHARE_EACH, candidates.FEWEST_EACH = 0, 0.0, fewest
        found, _, seconds = listed(run, "candidates")
        recall = np.isin(keys(everything.pairs), keys(found.pairs)).mean()
        print(f"{name} {fewest:,} by each: recall {recall:.3f}, {seconds:.2f} s of {seconds_of_all:.1f} s", flush=True)


if __name__ == "__main__":
    main()
