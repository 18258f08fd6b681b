"""Do 95 % intervals cover? 2,000 repetitions each at 1:80, 1:1,000 and 1:100,000, kinds F and S, three designs.

Non-edges are a fixed population in two strata: a few near ones with higher logits (normal, mean 1.5), the rest normal around
0. In every repetition edges are drawn anew (normal, the mean as the table says), and non-edges are enumerated, sampled at one
rate, or stratified (near ones all, the rest at half that rate). The sampled counts at the logits of the edges are drawn as
multivariate hypergeometric, which is the law of a sample that is drawn and counted. Intervals are those of linkodds:

    precision, recall   confusion_interval at a threshold that half of all edges pass, fixed beforehand
    average precision   average_precision_interval
    AUC                 roc_auc_interval

Kind S is held against its own target, the value with the true distribution of edges (for average precision also the mean
over draws of as many edges: the lower of both coverages counts); kind F against the value of these very edges with all
non-edges. A cell passes unless an exact one-sided binomial test says, at 0.05 / number of cells, that coverage is below
0.95. Widths are beside those of an oracle that knows the distribution of the estimate (2.5 % to 97.5 %).

Negative controls, which must fail somewhere in every sampled design: "unweighted" is the same interval where the sample is
taken for all non-edges; "as if known" takes the weighted count of non-edges as known.

    python benchmarks/statistics/intervals.py [--repetitions 2000] [--out FOLDER]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Kind, clopper_pearson, confusion_interval
from linkodds.metrics.logit_bins import LogitBins
from linkodds.metrics.non_edge_scores import NonEdgeScores, StratumScores
from linkodds.metrics.ranking import average_precision_interval, roc_auc_interval

HERE = Path(__file__).parents[1]
RESULTS, PAGE = HERE / "results" / "statistics" / "intervals", HERE.parent / "docs" / "intervals.md"
RATIOS = {80: 2.2, 1_000: 3.3, 100_000: 4.5}
"""Non-edges for each edge, and the mean logit of the edges."""
PLAN = ((80, 100), (1_000, 100), (100_000, 100), (80, 500))
"""Ratio and number of edges."""
NEAR, NEAR_MEAN = 0.002, 1.5
RATES = (0.03, 0.3)
METRICS = ("precision", "recall", "average_precision", "roc_auc")
EMPTY = LogitBins(np.zeros(0, np.uint8), np.zeros(0), np.zeros(0), np.zeros(0), 1.0)
Floats = NDArray[np.float64]
Interval = tuple[float, float]


def population(num_non_edges: int, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Sorted logits of the near ones and of the rest."""
    sizes = round(NEAR * num_non_edges), num_non_edges - round(NEAR * num_non_edges)
    strata = [rng.standard_normal(size, dtype=np.float32) for size in sizes]
    strata[0] += np.float32(NEAR_MEAN)
    for stratum in strata:
        stratum.sort()
    return strata


def counted(anchors: Floats, strata: list[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
    """Non-edges of each stratum in each cell: above the last anchor, tied with it, between, and so on down."""
    cells = []
    for logits in strata:
        at = anchors.astype(np.float32)
        corners = len(logits) - np.column_stack([np.searchsorted(logits, at, side) for side in ("right", "left")])
        cells.append(np.diff(corners[::-1].ravel(), prepend=0, append=len(logits)))
    return cells


def held_out(edges: Floats, anchors: Floats, parts: list[tuple[int, NDArray[np.int64]]]) -> HeldOut:
    """From the size of each stratum and the scored ones in each cell."""
    strata = []
    for size, cells in parts:
        corners = np.cumsum(cells)[:-1].astype(np.float64).reshape(-1, 2)[::-1]
        scored = int(cells.sum())
        strata.append(
            StratumScores("", float(size), scored, scored / size, corners[:, 1].copy(), corners[:, 0].copy(), EMPTY)
        )
    total, num_scored = sum(size for size, _ in parts), sum(part.num_scored for part in strata)
    scores = NonEdgeScores(
        anchors=anchors,
        at_least=np.sum([part.at_least * part.weight for part in strata], axis=0),
        above=np.sum([part.above * part.weight for part in strata], axis=0),
        num_non_edges=float(total),
        num_scored=num_scored,
        rate=num_scored / total,
        bins=EMPTY,
        strata=tuple(strata) if len(strata) > 1 else (),
    )
    return HeldOut(edges, scores, np.zeros(len(edges), np.uint8))


def figures(sample: HeldOut, threshold: float) -> dict[str, float]:
    table = metrics.confusion_at(sample, threshold)
    return {
        "precision": table.precision or 0.0,
        "recall": table.recall,
        "average_precision": metrics.average_precision(sample),
        "roc_auc": metrics.roc_auc(sample),
    }


def intervals(sample: HeldOut, threshold: float, kind: Kind) -> dict[str, Interval]:
    return {
        "precision": confusion_interval(sample, threshold, lambda c: c.precision, kind=kind),
        "recall": confusion_interval(sample, threshold, lambda c: c.recall, kind=kind),
        "average_precision": average_precision_interval(sample, kind=kind),
        "roc_auc": roc_auc_interval(sample, kind=kind),
    }


def true_figures(strata: list[NDArray[np.float32]], mean: float, num_edges: int, threshold: float) -> dict[str, float]:
    """With the true distribution of edges at the same prevalence: 200,000 quantiles stand for it."""
    edges = norm.ppf((np.arange(200_000) + 0.5) / 200_000, loc=mean)
    edges = np.unique(np.append(edges.astype(np.float32), np.float32(threshold))).astype(np.float64)
    whole = held_out(
        edges, edges, [(len(each), cells) for each, cells in zip(strata, counted(edges, strata), strict=True)]
    )
    return figures(whole.at_prevalence(num_edges / (num_edges + sum(map(len, strata)))), threshold)


def measure(ratio: int, num_edges: int, repetitions: int) -> dict[str, Any]:
    rng = np.random.default_rng([ratio, num_edges])
    mean, threshold = RATIOS[ratio], float(np.float32(RATIOS[ratio]))
    strata = population(ratio * num_edges, rng)
    sizes = [len(each) for each in strata]
    truth = true_figures(strata, mean, num_edges, threshold)
    designs = {"enumerated": 1.0} | {
        f"{design} {rate:g}": rate for rate in RATES for design in ("sampled", "stratified")
    }
    rows: dict[str, dict[str, list[Any]]] = {name: {} for name in designs}

    def keep(design: str, name: str, value: Any) -> None:
        rows[design].setdefault(name, []).append(value)

    for _ in range(repetitions):
        edges = rng.normal(mean, 1.0, num_edges).astype(np.float32).astype(np.float64)
        anchors = np.unique(np.append(edges, threshold))
        cells = counted(anchors, strata)
        everything = held_out(edges, anchors, [(sum(sizes), cells[0] + cells[1])])
        exact = figures(everything, threshold)
        for design, rate in designs.items():
            if design == "enumerated":
                sample = everything
            elif design.startswith("sampled"):
                drawn = _draw(cells[0] + cells[1], rate, rng)
                sample = held_out(edges, anchors, [(sum(sizes), drawn)])
                unweighted = held_out(edges, anchors, [(int(drawn.sum()), drawn)])
                for name, each in intervals(unweighted, threshold, "S").items():
                    keep(design, f"unweighted {name}", each)
                keep(design, "as if known precision", _as_if_known(sample, threshold))
            else:
                drawn = _draw(cells[1], rate / 2, rng)
                sample = held_out(edges, anchors, [(sizes[0], cells[0]), (sizes[1], drawn)])
                unweighted = held_out(edges, anchors, [(int((cells[0] + drawn).sum()), cells[0] + drawn)])
                for name, each in intervals(unweighted, threshold, "S").items():
                    keep(design, f"unweighted {name}", each)
                keep(design, "as if known precision", _as_if_known(sample, threshold))
            value = figures(sample, threshold)
            for kind in ("S", "F"):
                for name, each in intervals(sample, threshold, kind).items():
                    keep(design, f"{kind} {name}", each)
            for name in METRICS:
                keep(design, f"value {name}", value[name])
                keep(design, f"exact {name}", exact[name])
    return {
        "ratio": ratio,
        "num_edges": num_edges,
        "repetitions": repetitions,
        "truth": truth,
        "cells": [cell for design in designs for cell in _cells(design, rows[design], truth)],
    }


def _draw(cells: NDArray[np.int64], rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.multivariate_hypergeometric(cells, round(rate * int(cells.sum())), method="marginals")


def _as_if_known(sample: HeldOut, threshold: float) -> Interval:
    table = metrics.confusion_at(sample, threshold)
    return tuple(  # type: ignore[return-value]
        share * sample.num_edges / max(share * sample.num_edges + table.fp, 1e-9)
        for share in clopper_pearson(table.tp, sample.num_edges)
    )


def _cells(design: str, rows: dict[str, list[Any]], truth: dict[str, float]) -> list[dict[str, Any]]:
    cells = []
    for name in METRICS:
        value, exact = np.array(rows[f"value {name}"]), np.array(rows[f"exact {name}"])
        targets = {"S": [np.full(len(value), truth[name])], "F": [exact]}
        if name == "average_precision":
            targets["S"].append(np.full(len(value), exact.mean()))
        kinds = [("S", "S"), ("F", "F")]
        if design != "enumerated":
            kinds += [("unweighted", "S")]
            kinds += [("as if known", "S")] if name == "precision" else []
        for kind, target in kinds:
            low, high = np.array(rows[f"{kind} {name}"]).T
            tolerance = 1e-9  # of float64 sums
            covered = min(
                int(np.count_nonzero((low - tolerance <= t) & (t <= high + tolerance))) for t in targets[target]
            )
            estimate = value if target == "S" else value - exact
            cells.append(
                {
                    "design": design,
                    "metric": name,
                    "kind": kind,
                    "covered": covered,
                    "runs": len(value),
                    "width": float(np.mean(high - low)),
                    "oracle_width": float(np.diff(np.quantile(estimate, [0.025, 0.975]))[0]),
                    "bias": float(np.mean(value - (truth[name] if target == "S" else exact))),
                }
            )
    return cells


def is_exact(cell: dict[str, Any]) -> bool:
    """Kind F without a sampling error: nothing to cover, and no cell."""
    return cell["kind"] == "F" and (cell["design"] == "enumerated" or cell["metric"] == "recall")


def page(rows: list[dict[str, Any]]) -> str:
    tested = [cell for row in rows for cell in row["cells"] if cell["kind"] in "SF" and not is_exact(cell)]
    level = 0.05 / len(tested)

    def passes(cell: dict[str, Any]) -> bool:
        return float(binom.cdf(cell["covered"], cell["runs"], 0.95)) > level

    failed = sum(not passes(cell) for cell in tested)
    lowest = min(cell["covered"] / cell["runs"] for cell in tested)
    exact = [cell for row in rows for cell in row["cells"] if is_exact(cell)]
    points = sum(cell["covered"] == cell["runs"] and cell["width"] < 1e-9 for cell in exact)
    controls = [cell for row in rows for cell in row["cells"] if cell["kind"] not in "SF"]
    caught = {
        name: sum(not passes(cell) for cell in controls if f"{cell['kind']} {cell['metric']}" == name)
        for name in ("unweighted precision", "unweighted average_precision", "as if known precision")
    }
    of_each = len([cell for cell in controls if cell["kind"] == "as if known"])
    lines = [
        "# Do 95 % intervals cover?",
        "",
        f"`python benchmarks/statistics/intervals.py`: {rows[0]['repetitions']:,} repetitions a cell, planted logits. Kind S: "
        "other edges could have been held out. Kind F: these edges, other sampled non-edges. A cell fails where an exact "
        f"one-sided test at 0.05 / {len(tested)} says that coverage is below 0.95.",
        "",
        f"- {len(tested) - failed} of {len(tested)} cells pass; the lowest coverage seen is {lowest:.3f}.",
        f"- Kind F without sampling (enumerated, and recall): {points} of {len(exact)} cells are points that are exact.",
        f"- Negative controls that fail, as they must: the sample taken for all non-edges, precision "
        f"{caught['unweighted precision']} and average precision {caught['unweighted average_precision']} of {of_each}; the "
        f"weighted count taken as known, precision {caught['as if known precision']} of {of_each} (where the sample is "
        "rich the error that it leaves out is small). AUC and recall need no weights.",
        "",
        "Coverage, and in brackets the mean width of the intervals over that of an oracle that knows the distribution of "
        "the estimate. The number beside a design is its rate (of the rest, in strata, half of it).",
        "",
        "| non-edges an edge | edges | design | kind | " + " | ".join(METRICS) + " |",
        "|---|---|---|---|" + "---|" * len(METRICS),
    ]
    for row in rows:
        for design in dict.fromkeys(cell["design"] for cell in row["cells"]):
            for kind in ("S", "F"):
                cells = {c["metric"]: c for c in row["cells"] if c["design"] == design and c["kind"] == kind}
                if all(is_exact(cell) for cell in cells.values()):
                    continue
                shown = [
                    "exact"
                    if is_exact(cells[name])
                    else f"{cells[name]['covered'] / cells[name]['runs']:.3f}"
                    f" ({cells[name]['width'] / max(cells[name]['oracle_width'], 1e-12):.2f})"
                    + ("" if passes(cells[name]) else " **fails**")
                    for name in METRICS
                ]
                lines.append(
                    f"| {row['ratio']:,} | {row['num_edges']} | {design} | {kind} | " + " | ".join(shown) + " |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for ratio, num_edges in PLAN:
        path = arguments.out / f"{ratio}-{num_edges}.json"
        if not path.exists():
            path.write_text(json.dumps(measure(ratio, num_edges, arguments.repetitions), indent=1) + "\n")
            print(path, flush=True)
        rows.append(json.loads(path.read_text()))
    arguments.page.write_text(page(rows))


if __name__ == "__main__":
    main()
