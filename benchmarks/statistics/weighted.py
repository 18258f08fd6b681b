"""Are weighted estimates right? Samples of the non-edges against all of them, on trained models.

A gae is trained on two real graphs, then the run's own test edges are measured against all non-edges, and against 50 draws
of a uniform sample and 50 of strata (with the best by the final logits as a stratum), a quarter of the non-edges each: 200
draws. For average precision, AUC and the precision of the stored decision the distance to the full enumeration is counted in
standard errors, a standard error being the distance from the estimate to that end of its 95 % interval of kind F on the side
of the truth / 1.96. At least 296 of 300 (198 of 200) have to be within 3 of them (Wilson and the like are no normal intervals, so 3
standard errors are asked for, and not 1.96). Runtime is processor time, scoring included.

Negative control, which must fail: the same with the weights ignored, for average precision and precision. It takes the
sample for an enumeration, so its intervals are points; for AUC, whose values need few weights, that proves nothing.

    python benchmarks/statistics/weighted.py [--data FOLDER] [--draws 50]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import confusion_interval
from linkodds.metrics.non_edge_scores import NonEdgeScores
from linkodds.metrics.non_edges import NonEdges, draw_non_edges
from linkodds.metrics.ranking import average_precision_interval, roc_auc_interval
from linkodds.metrics.strata import draw_strata
from linkodds.search.pair_search import find_pairs

HERE = Path(__file__).parents[1]
RESULTS, PAGE = HERE / "results" / "statistics" / "weighted", HERE.parent / "docs" / "weighted-estimates.md"
GRAPHS = ("seal_celegans", "seal_usair", "genelink_mdc500_string")
CONFIG = FitConfig(model="gae", epochs=60, folds=1, degree_calibration="no", threads=1)
SHARE, WITHIN, ENOUGH = 4, 3.0, 296 / 300
Figures = dict[str, tuple[float, tuple[float, float]]]


def figures(sample: HeldOut, threshold: float) -> Figures:
    precision = metrics.confusion_at(sample, threshold).precision or 0.0
    return {
        "average_precision": (metrics.average_precision(sample), average_precision_interval(sample, kind="F")),
        "roc_auc": (metrics.roc_auc(sample), roc_auc_interval(sample, kind="F")),
        "precision": (precision, confusion_interval(sample, threshold, lambda c: c.precision, kind="F")),
    }


def distance(value: float, interval: tuple[float, float], truth: float) -> float:
    """In standard errors; a point that is right is at distance 0."""
    off = truth - value
    reach = interval[1] - value if off > 0 else value - interval[0]
    return 0.0 if abs(off) < 1e-12 else abs(off) / max(reach / 1.96, 1e-12)


def measure(folder: Path, name: str, num_draws: int) -> dict[str, Any]:
    features = folder / name / "features.npz"
    graph = Graph.from_edges(folder / name / "edges.csv.gz", features=features if features.exists() else None)
    run = fit_graph(graph, CONFIG)
    known, test, threshold = run.split.recorded(), run.split.test, run.decision.threshold_logit
    assert threshold is not None

    def scored(non_edges: NonEdges) -> HeldOut:
        return HeldOut.from_scorer(run.scorer, test, non_edges, thresholds=(threshold,), threads=1)

    start = time.process_time()
    exact = figures(scored(NonEdges(known)), threshold)
    seconds = {"enumerated": time.process_time() - start}
    count = known.num_absent // SHARE
    top = min(10 * len(test), count // 4)
    designs: dict[str, Callable[[np.random.Generator], NonEdges]] = {
        "sampled": lambda rng: draw_non_edges(known, count, rng),
        "stratified": lambda rng: draw_strata(known, run.split.train, count, rng).with_top(
            find_pairs(run.scorer, known, top=top).pairs
        ),
    }
    draws = []
    for design, draw in designs.items():
        taken = []
        for seed in range(num_draws):
            start = time.process_time()
            sample = scored(draw(np.random.default_rng(seed)))
            taken.append(time.process_time() - start)
            seen, ignored = figures(sample, threshold), figures(_unweighted(sample), threshold)
            draws.append(
                {
                    "design": design,
                    "value": {name: value for name, (value, _) in seen.items()},
                    "distance": {name: distance(*seen[name], exact[name][0]) for name in exact},
                    "unweighted": {name: distance(*ignored[name], exact[name][0]) for name in exact},
                }
            )
        seconds[design] = float(np.median(taken))
    return {
        "graph": name,
        "num_test": len(test),
        "num_non_edges": known.num_absent,
        "num_scored": count,
        "strata": [
            [part.name, part.size, part.num_scored] for part in designs["stratified"](np.random.default_rng(0)).strata
        ],
        "exact": {name: value for name, (value, _) in exact.items()},
        "seconds": seconds,
        "draws": draws,
    }


def _unweighted(sample: HeldOut) -> HeldOut:
    """The scored non-edges as if they were all there are."""
    scores = sample.non_edges
    counts = {side: np.sum([getattr(part, side) for part in scores.parts], axis=0) for side in ("at_least", "above")}
    plain = NonEdgeScores(
        scores.anchors, counts["at_least"], counts["above"], scores.num_scored, scores.num_scored, 1.0, scores.bins
    )
    return HeldOut(sample.edge_logits, plain, sample.edge_classes)


def page(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0]["exact"])
    draws = [draw for row in rows for draw in row["draws"]]

    def within(key: str, name: str) -> int:
        return sum(draw[key][name] <= WITHIN for draw in draws)

    lines = [
        "# Weighted estimates against full enumeration",
        "",
        f"`python benchmarks/statistics/weighted.py`: a gae on {len(rows)} graphs, {len(draws)} draws of a quarter of the "
        "non-edges, half of them uniform and half from strata. Standard errors come from the 95 % intervals of kind F.",
        "",
        f"| figure | within {WITHIN:g} standard errors | needed | weights ignored (must fail) |",
        "|---|---|---|---|",
    ]
    needed = int(np.ceil(ENOUGH * len(draws)))
    for name in names:
        good, control = within("distance", name), within("unweighted", name)
        verdict = "" if good >= needed else " **fails**"
        blind = control >= needed
        note = (
            " (says nothing: it has no width)"
            if name == "roc_auc"
            else " **passes, so the check is blind**"
            if blind
            else " fails"
        )
        lines.append(f"| {name} | {good} of {len(draws)}{verdict} | {needed} | {control} of {len(draws)}{note} |")
    lines += [
        "",
        "Scatter of the estimates (standard deviation over draws), bias, and processor seconds of one evaluation:",
        "",
        "| graph | non-edges | design | "
        + " | ".join(f"{name}: sd, bias" for name in names)
        + " | seconds | against enumerated |",
        "|---|---|---|" + "---|" * (len(names) + 2),
    ]
    for row in rows:
        exact, seconds = row["exact"], row["seconds"]
        lines.append(
            f"| {row['graph']} | {row['num_non_edges']:,} | enumerated | "
            + " | ".join(f"{exact[name]:.4g} exact" for name in names)
            + f" | {seconds['enumerated']:.4f} | 1 |"
        )
        for design in ("sampled", "stratified"):
            values = {name: [d["value"][name] for d in row["draws"] if d["design"] == design] for name in names}
            shown = [
                f"{np.std(values[name], ddof=1):.2g}, {np.mean(values[name]) - exact[name]:+.2g}" for name in names
            ]
            lines.append(
                f"| | {row['num_scored']:,} | {design} | "
                + " | ".join(shown)
                + f" | {seconds[design]:.4f} | {seconds[design] / seconds['enumerated']:.2f} |"
            )
    lines += ["", "The time of strata has the search of all pairs for the best by the final logits in it."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in GRAPHS:
        path = arguments.out / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(measure(arguments.data, name, arguments.draws), indent=1) + "\n")
            print(path, flush=True)
        rows.append(json.loads(path.read_text()))
    arguments.page.write_text(page(rows))


if __name__ == "__main__":
    main()
