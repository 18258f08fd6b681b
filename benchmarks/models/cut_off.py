"""Where the ROC AUC of `stack` is lost on graphs that hiding edges takes apart. Writes the end of docs/far-pairs.md.

Under `--protocol seal` on a split that no table uses: test edges and 60,000 non-edges are parted into those whose ends a
path joins in the message graph and those that are cut off, and the AUC of each kind of edge against each kind of non-edge
says what share of the loss 1 - AUC it makes. Looked at in hindsight, for what there is to gain: the best shift of all
cut-off pairs, three times the folds, and the connected pairs beyond five steps in the order of their exact distance.

One JSON a graph and number of folds in benchmarks/results/models/cut-off/; what is there is skipped.

    python benchmarks/models/cut_off.py [--data FOLDER] [--page]
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path
from sklearn.metrics import roc_auc_score

from linkodds.comparison.protocols import PROTOCOLS, deal
from linkodds.graph.graph import Graph
from linkodds.metrics.non_edges import draw_non_edges
from linkodds.models.structural.masked_edges import StackOptions
from linkodds.models.structural.stack import fit_stack

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "models" / "cut-off"
PAGE = HERE.parents[1] / "docs" / "far-pairs.md"
TITLE = "## Where the rest is lost"
GRAPHS, SEED, FOLDS = ("seal_power", "seal_router"), 100, (10, 30)
NUM_NON_EDGES, COUNTED_STEPS = 60_000, 5
SHIFTS = np.arange(-1.0, 2.01, 0.25)


def measure(data: Path, name: str, folds: int) -> dict:
    graph = Graph.from_edges(data / name / "edges.csv.gz")
    trial = deal(graph, PROTOCOLS["seal"], np.random.SeedSequence(SEED))
    split, together = trial.split, trial.final_split
    non_edges = draw_non_edges(split.recorded(), NUM_NON_EDGES, np.random.default_rng(SEED)).sample
    usual = StackOptions.of_size(len(split.train), split.space.num_pairs)
    options = replace(usual, folds=folds, zeros=usual.zeros * usual.folds // folds)
    start, seeds = time.process_time(), np.random.SeedSequence(0)
    chosen = fit_stack(split, None, seeds=seeds.spawn(1)[0], options=options)
    scorer = fit_stack(together, None, seeds=seeds.spawn(1)[0], options=options, offset=chosen.offset).scorer
    seconds = time.process_time() - start

    steps = shortest_path(together.message_graph(), unweighted=True)
    ends = {"edges": split.test, "non-edges": non_edges}
    hops = {kind: steps[pairs[:, 0], pairs[:, 1]] for kind, pairs in ends.items()}
    logits = {kind: scorer.logits(pairs) for kind, pairs in ends.items()}
    cut = {kind: np.isinf(each) for kind, each in hops.items()}
    whole = auc(logits["edges"], logits["non-edges"])
    parts = {}
    for of_edges in (False, True):
        for of_others in (False, True):
            some, others = cut["edges"] == of_edges, cut["non-edges"] == of_others
            part = auc(logits["edges"][some], logits["non-edges"][others])
            lost = (1 - part) * some.mean() * others.mean() / (1 - whole)
            key = f"{'cut off' if of_edges else 'connected'} / {'cut off' if of_others else 'connected'}"
            parts[key] = {"roc_auc": round(part, 4), "share_of_loss": round(float(lost), 3)}
    shifted = {round(float(by), 2): auc(*(logits[kind] + by * cut[kind] for kind in ends)) for by in SHIFTS}
    best = max(shifted, key=lambda by: shifted[by])
    return {
        "graph": name,
        "folds": folds,
        "seed": SEED,
        "cut_off_share": {kind: round(float(each.mean()), 4) for kind, each in cut.items()},
        "roc_auc": round(whole, 4),
        "parts": parts,
        "best_shift": {"by": best, "roc_auc": round(shifted[best], 4)},
        "by_exact_distance": round(auc(*in_order_of_distance(logits, hops)), 4),
        "processor_seconds": round(seconds, 1),
    }


def auc(edges: NDArray[np.float64], non_edges: NDArray[np.float64]) -> float:
    truth = np.arange(len(edges) + len(non_edges)) < len(edges)
    return float(roc_auc_score(truth, np.concatenate([edges, non_edges])))


def in_order_of_distance(
    logits: dict[str, NDArray[np.float64]], hops: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits dealt out anew among connected pairs beyond the counted steps: the nearer has the larger."""
    everything, steps = (np.concatenate([each["edges"], each["non-edges"]]) for each in (logits, hops))
    far = np.flatnonzero(np.isfinite(steps) & (steps > COUNTED_STEPS))
    by_distance = far[np.lexsort((-everything[far], steps[far]))]
    everything[by_distance] = np.sort(everything[far])[::-1]
    return everything[: len(logits["edges"])], everything[len(logits["edges"]) :]


def section(rows: list[dict]) -> str:
    lines = [
        TITLE,
        "",
        f"Made by `benchmarks/models/cut_off.py`: `stack` under `--protocol seal`, split seed {SEED}, test edges against",
        f"{NUM_NON_EDGES:,} non-edges. Connected: a path joins the two in the message graph. In brackets, the share of",
        "1 - AUC that these pairs make.",
        "",
        "| | " + " | ".join(f"{row['graph']}, {row['folds']} folds" for row in rows) + " |",
        "|---|" + "---|" * len(rows),
    ]

    def line(title: str, cells: list[str]) -> None:
        lines.append(f"| {title} | " + " | ".join(cells) + " |")

    line(
        "cut off, of edges and of non-edges",
        [" and ".join(f"{100 * share:.0f} %" for share in row["cut_off_share"].values()) for row in rows],
    )
    line("ROC AUC", [f"{100 * row['roc_auc']:.2f}" for row in rows])
    for key in rows[0]["parts"]:
        edges, others = key.split(" / ")
        parts = [row["parts"][key] for row in rows]
        cells = [f"{100 * part['roc_auc']:.2f} ({100 * part['share_of_loss']:.0f} %)" for part in parts]
        line(f"{edges} edges, {others} non-edges", cells)
    bests = [row["best_shift"] for row in rows]
    line(
        "best shift of the cut off, in hindsight", [f"{100 * each['roc_auc']:.2f} ({each['by']:+g})" for each in bests]
    )
    line("far connected pairs by exact distance", [f"{100 * row['by_exact_distance']:.2f}" for row in rows])
    line("processor seconds", [f"{row['processor_seconds']:.0f}" for row in rows])
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    given = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in GRAPHS:
        for folds in FOLDS:
            path = RESULTS / f"{name}-{folds}.json"
            if not given.page and not path.exists():
                path.write_text(json.dumps(measure(given.data, name, folds), indent=1) + "\n")
    paths = [RESULTS / f"{name}-{folds}.json" for name in GRAPHS for folds in FOLDS]
    rows = [json.loads(path.read_text()) for path in paths if path.exists()]
    before, _, after = PAGE.read_text().partition(TITLE)
    _, marker, said = after.partition("\n\nWhat it says: ")
    PAGE.write_text(before.rstrip() + "\n\n" + section(rows).rstrip() + "\n" + (marker[1:] + said if marker else ""))


if __name__ == "__main__":
    main()
