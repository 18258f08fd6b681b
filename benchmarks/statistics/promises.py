"""Do recall>=R and precision>=P keep their promises? Simulation with known truth, and re-dealt edges of real graphs.

A promise may be broken in at most a share 0.1 of all draws of the calibration edges.

simulated   Edge logits are drawn from a pool and the non-edge logits are fixed, so that recall and precision at every
            threshold are known. 1,000 draws a cell, each decided by `linkodds.probability.decision.decide` as a fit does.
real        A model is fitted, its calibration and test edges are pooled, and dealt anew 100 times. The promise is judged
            on the pool, from which both are drawn, and on the test edges: fewer pass than the beta-binomial's lower tenth
            given the calibration edges.

A rule is accepted where it is broken in at most 0.1 + 2 standard errors. Negative control: the plug-in, the loosest
threshold whose recall or precision, as counted on the calibration edges, is enough. It has to fail.

One file a cell under benchmarks/results/statistics/; cells that are there are skipped. Then docs/promises.md is written.

    python benchmarks/statistics/promises.py [--only simulated|real] [--data FOLDER] [--seeds N] [--page]
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.metrics.held_out import HeldOut
from linkodds.probability.calibration import Calibrator
from linkodds.probability.decision import DELTA, Decision, decide, parse_rule

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "statistics"
PAGE = ROOT / "docs" / "promises.md"
RULES = ("recall>=0.5", "recall>=0.8", "recall>=0.9", "precision>=0.3", "precision>=0.5", "precision>=0.8")
POOL, DRAWS, REDEALS = 20_000, 1_000, 100
GRAPHS = ("seal_celegans", "seal_usair", "seal_ns", "seal_yeast", "seal_pb", "lglp_yst", "cora", "citeseer")
MODELS, SEEDS = ("resource-allocation", "gae"), 5
Logits = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """One population. Edge logits are N(shift, 1), non-edge logits N(0, 1) but for the missing links among them.

    Args:
        name: of the result file.
        odds: non-edges for each test edge.
        num_calibration: edges that a decision is fixed on.
        num_test: test edges.
        shift: how well the model tells edges.
        missing: links nobody has recorded, which score like edges and count as non-edges.
        rate: share of the non-edges that is scored.
    """

    name: str
    odds: int
    num_calibration: int
    num_test: int
    shift: float
    missing: int = 0
    rate: float = 1.0


CELLS = tuple(
    replace(cell, name=f"{cell.name}-{design}", rate=rate)
    for cell, sampled in (
        (Cell("80", 80, 200, 400, 3.0), 0.25),
        (Cell("80-missing", 80, 200, 400, 3.0, missing=100), 0.25),
        (Cell("80-small", 80, 30, 60, 3.5), 0.5),
        (Cell("30-small-missing", 30, 40, 80, 3.0, missing=10), 0.5),
        (Cell("1000", 1_000, 200, 400, 4.0), 0.25),
        (Cell("100000", 100_000, 200, 400, 6.0), 0.0025),
    )
    for design, rate in (("enumerated", 1.0), ("sampled", sampled))
)


def simulate(cell: Cell, draws: int) -> dict[str, Any]:
    """Every rule on every draw of calibration edges, and of the sample where there is one."""
    rng = np.random.default_rng([CELLS.index(cell) // 2, 7])
    num_non_edges = cell.odds * cell.num_test
    pool = np.sort(rng.normal(cell.shift, 1, POOL).astype(np.float32)).astype(np.float64)
    population = rng.standard_normal(num_non_edges, dtype=np.float32)
    population[: cell.missing] = rng.normal(cell.shift, 1, cell.missing)
    whole = HeldOut.from_logits(pool, population, num_non_edges)
    ordered = np.sort(population)
    del population

    def truth(threshold: float) -> tuple[float, float]:
        recall = 1 - np.searchsorted(pool, threshold) / POOL
        rounded = np.float32(threshold)
        lowest = np.nextafter(rounded, np.float32(np.inf)) if rounded < threshold else rounded
        false = num_non_edges - int(np.searchsorted(ordered, lowest))
        return recall, recall * cell.num_test / max(recall * cell.num_test + false, 1e-300)

    def sample_of(edges: Logits) -> HeldOut:
        if cell.rate == 1.0:
            return replace(whole, edge_logits=edges, edge_classes=np.zeros(len(edges), dtype=np.uint8))
        drawn = rng.choice(num_non_edges, round(cell.rate * num_non_edges), replace=False, shuffle=False)
        return HeldOut.from_logits(edges, ordered[drawn], num_non_edges)

    rules = [_Tally(rule) for rule in RULES]
    for _ in range(draws):
        sample = sample_of(pool[rng.integers(0, POOL, cell.num_calibration)])
        test = pool[rng.integers(0, POOL, cell.num_test)]
        for tally in rules:
            tally.add(sample, test, cell.num_test, truth)
    ladder = whole.ladder
    recall = ladder.edges_at_least / POOL
    precision = recall * cell.num_test / (recall * cell.num_test + ladder.non_edges_at_least)
    return {
        **vars(cell),
        "num_non_edges": num_non_edges,
        "draws": draws,
        "rules": [tally.result(recall, precision) for tally in rules],
    }


class _Tally:
    """What became of one rule over all draws."""

    def __init__(self, rule: str) -> None:
        self.rule = parse_rule(rule)
        self.wanted = self.rule.values[0]
        self.recalls: list[float | None] = []
        self.broken: list[bool] = []
        self.broken_on_test: list[bool] = []
        self.plug_in: list[bool | None] = []
        self.reason: str | None = None

    def add(self, sample: HeldOut, test: Logits, num_test: int, truth: Callable[[float], tuple[float, float]]) -> None:
        decision = decide(self.rule, [sample], UNIT, num_test_edges=num_test)
        which = 0 if self.rule.name == "recall" else 1
        threshold = decision.threshold_logit
        if threshold is None:
            self.recalls.append(None)
            self.reason = decision.reason
        else:
            self.recalls.append(truth(threshold)[0])
            self.broken.append(truth(threshold)[which] < self.wanted)
            self.broken_on_test.append(float(np.mean(test >= threshold)) < _on_test(decision, num_test))
        naive = _plug_in(sample, num_test, self.rule.name, self.wanted)
        self.plug_in.append(None if naive is None else truth(naive)[which] < self.wanted)

    def result(self, recall: Logits, precision: Logits) -> dict[str, Any]:
        """Shares over all draws; a refusal breaks nothing."""
        draws = len(self.recalls)
        given = [each for each in self.recalls if each is not None]
        reachable = float(recall[precision >= self.wanted].max(initial=0.0))
        oracle = self.wanted if self.rule.name == "recall" else reachable
        naive = [each for each in self.plug_in if each is not None]
        return {
            "rule": str(self.rule),
            "broken": sum(self.broken) / draws,
            "broken_on_test": sum(self.broken_on_test) / draws,
            "plug_in_broken": sum(naive) / draws,
            "plug_in_given": len(naive) / draws,
            "refused": 1 - len(given) / draws,
            "recall": float(np.mean(given)) if given else None,
            "oracle_recall": oracle,
            "a_reason": self.reason,
        }


UNIT = Calibrator(1.0, 0.0, "platt", 0.5, 100, 100)
"""No guaranteed rule looks at it."""


def _on_test(decision: Decision, num_test: int) -> float:
    """Share of the test edges that passes with 90 % probability, given how many calibration edges did: beta-binomial."""
    n = decision.num_edges
    passing = round((decision.expected_recall or 0.0) * n)
    return float(betabinom.ppf(DELTA, num_test, passing, n - passing + 1)) / num_test if passing else 0.0


def _plug_in(sample: HeldOut, num_test: int, name: str, wanted: float) -> float | None:
    """The loosest threshold whose counted recall or precision is enough."""
    thresholds, false = sample.non_edges.bins.borders()
    edges = np.sort(sample.edge_logits)
    if name == "recall":
        return float(np.quantile(edges, 1 - wanted, method="higher"))
    true = (1 - np.searchsorted(edges, thresholds) / len(edges)) * num_test
    enough = np.flatnonzero((true >= wanted * (true + false)) & (true > 0))
    return float(thresholds[enough[-1]]) if len(enough) else None


def redeal(graph: str, model: str, seed: int, data: Path, draws: int) -> dict[str, Any]:
    """Fit once, then deal the held-out edges into calibration and test again and again."""
    config = FitConfig.from_options(
        {"model": model, "seed": seed, "epochs": 60, "hidden": 32, "dim": 16, "folds": 1, "threads": 1,
         "split": (0.7, 0.05, 0.125, 0.125)}
    )  # fmt: skip
    run = fit_graph(Graph.from_edges(data / graph / "edges.csv.gz"), config)
    calibration, test = run.calibration[0], run.test
    pool = np.concatenate([calibration.edge_logits, test.edge_logits])
    non_edges = calibration.non_edges
    rng = np.random.default_rng([seed, 11])
    ordered = np.sort(pool)
    num_test = test.num_edges

    def truth(threshold: float) -> tuple[float, float]:
        recall = 1 - np.searchsorted(ordered, threshold) / len(pool)
        false = _false_at(calibration, threshold)
        return recall, recall * num_test / max(recall * num_test + false, 1e-300)

    rules = [_Tally(rule) for rule in RULES]
    for _ in range(draws):
        dealt = rng.permutation(pool)
        edges = dealt[: calibration.num_edges]
        sample = replace(calibration, edge_logits=edges, edge_classes=np.zeros(len(edges), dtype=np.uint8))
        for tally in rules:
            tally.add(sample, dealt[calibration.num_edges :], num_test, truth)
    recall = np.arange(1, len(pool) + 1) / len(pool)
    false = np.array([non_edges.num_at_least(each) for each in ordered[::-1]])
    precision = recall * num_test / (recall * num_test + false)
    return {
        "graph": graph,
        "model": model,
        "seed": seed,
        "num_calibration": calibration.num_edges,
        "num_test": num_test,
        "num_non_edges": calibration.num_non_edges,
        "design": calibration.design,
        "draws": draws,
        "rules": [tally.result(recall, precision) for tally in rules],
    }


def _false_at(sample: HeldOut, threshold: float) -> float:
    """Non-edges at or above a threshold; a border of bins or a float32 edge, so the bins settle it."""
    try:
        return sample.non_edges.num_at_least(threshold)
    except ValueError:
        logits, weights = sample.non_edges.bins.points()
        return float(weights[logits >= threshold].sum())


def allowed(draws: int) -> float:
    """A rule that is broken in exactly a share 0.1 of all draws exceeds this about once in 44 times."""
    return DELTA + 2 * float(np.sqrt(DELTA * (1 - DELTA) / draws))


def simulated_rows(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a cell and rule, with both verdicts."""
    rows = []
    for result in results:
        for rule in result["rules"]:
            most = allowed(result["draws"])
            control = rule["plug_in_broken"] / rule["plug_in_given"] if rule["plug_in_given"] else None
            rows.append(
                {
                    **rule,
                    "cell": result["name"],
                    "control": control,
                    "is_kept": rule["broken"] <= most and rule["broken_on_test"] <= most,
                    "control_fails": control is not None and control > most,
                }
            )
    return rows


def real_rows(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a model and rule over all graphs and seeds: given the edges of a fit, every deal is a draw of its own."""
    rows = []
    for model in sorted({result["model"] for result in results}):
        fits = [result for result in results if result["model"] == model]
        for place, name in enumerate(RULES):
            rules = [result["rules"][place] for result in fits]
            draws = np.array([result["draws"] for result in fits])
            means = {
                key: float(np.average([rule[key] for rule in rules], weights=draws))
                for key in ("broken", "broken_on_test", "plug_in_broken", "plug_in_given", "refused")
            }
            control = means["plug_in_broken"] / means["plug_in_given"] if means["plug_in_given"] else None
            given = [rule for rule in rules if rule["recall"] is not None]
            most = allowed(int(draws.sum()))
            rows.append(
                {
                    "model": model,
                    "rule": name,
                    "fits": len(fits),
                    **means,
                    "worst_fit": max(rule["broken"] for rule in rules),
                    "recall": float(np.mean([rule["recall"] for rule in given])) if given else None,
                    "oracle_recall": float(np.mean([rule["oracle_recall"] for rule in given])) if given else None,
                    "is_kept": means["broken"] <= most and means["broken_on_test"] <= most,
                    "control": control,
                    "control_fails": control is not None and control > most,
                    "most": most,
                }
            )
    return rows


def page() -> str:
    """docs/promises.md, from the stored results alone."""
    simulated = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("promises-simulated-*.json"))]
    real = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("promises-real-*.json"))]
    order = {cell.name: place for place, cell in enumerate(CELLS)}
    simulated.sort(key=lambda result: order[result["name"]])
    first, second = simulated_rows(simulated), real_rows(real)
    lines = [
        "# Promises: are `recall>=R` and `precision>=P` kept?",
        "",
        "Both rules promise something with 90 % confidence over the draw of the calibration edges, so they may be broken in",
        "a tenth of all draws. Written by `benchmarks/statistics/promises.py`, which says how each figure is made.",
        "",
        "*broken*: share of draws in which recall or precision is below what was promised. *on test*: share in which fewer",
        "test edges pass than the lower tenth of the beta-binomial allows, given the calibration edges. *plug-in*: the same",
        "as *broken* for the loosest threshold that is good enough on the calibration edges, of the draws in which there is",
        "one; the negative control, it has to fail. *refused*: no threshold was given, with the reason. *recall*: reached where one was given, beside what could",
        "have been reached had the truth been known.",
        "",
        "## Simulated, truth known",
        "",
        *_simulated_text(simulated, first),
        "",
        "## Real graphs, edges dealt anew",
        "",
        *_real_text(real, second),
        "",
    ]
    return "\n".join(lines)


def _simulated_text(results: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["Not run."]
    kept, failing = sum(row["is_kept"] for row in rows), sum(row["control_fails"] for row in rows)
    draws = results[0]["draws"]
    lines = [
        f"{draws:,} draws a cell; a rule passes where both shares are at most {allowed(draws):.3f}: {kept} of {len(rows)} do. "
        f"The plug-in is above it in {failing} of the {sum(row['control'] is not None for row in rows)} where it has a threshold.",
        "",
        "Edge logits are normal with standard deviation 1 about the shift, non-edge logits about 0. *missing*: non-edges",
        "that score like edges. *scored*: share of the non-edges that is.",
        "",
        "| non-edges an edge | missing | calibration edges | test edges | shift | scored | rule | broken | on test | plug-in "
        "| refused | recall | of |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    by_name = {result["name"]: result for result in results}
    for row in rows:
        cell = by_name[row["cell"]]
        lines.append(
            f"| {cell['odds']:,} | {cell['missing']} | {cell['num_calibration']} | {cell['num_test']} | {cell['shift']:g} "
            f"| {cell['rate']:g} | `{row['rule']}` {_figures(row)}"
        )
    return lines


def _real_text(results: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["Not run."]
    kept, failing = sum(row["is_kept"] for row in rows), sum(row["control_fails"] for row in rows)
    graphs = sorted({result["graph"] for result in results})
    lines = [
        f"{len(results)} fits on {len(graphs)} graphs ({', '.join(graphs)}), edges split 0.7/0.05/0.125/0.125, "
        f"{results[0]['draws']} deals each; a rule passes where both shares over all fits of a model are at most 0.1 and two "
        f"standard errors: {kept} of {len(rows)} do. The plug-in is above in {failing} of {len(rows)}. Deals from one pool "
        "know less of each other than draws from a population, so a kept promise is broken less often than in a tenth.",
        "",
        "| model | fits | rule | broken | on test | plug-in | refused | recall | of | worst fit |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['model']} | {row['fits']} | `{row['rule']}` {_figures(row)} {row['worst_fit']:.2f} |" for row in rows
    ]
    return lines


def _figures(row: dict[str, Any]) -> str:
    reached = ("", "") if row["recall"] is None else (f"{row['recall']:.3f}", f"{row['oracle_recall']:.3f}")
    mark = "" if row["is_kept"] else " **too often**"
    control = (
        "none" if row["control"] is None else f"{row['control']:.3f}{'' if row['control_fails'] else ' (not above)'}"
    )
    return (
        f"| {row['broken']:.3f}{mark} | {row['broken_on_test']:.3f} | {control} "
        f"| {row['refused']:.3f} | {reached[0]} | {reached[1]} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("simulated", "real"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="fits of each model on each real graph")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    work: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    if arguments.only != "real":
        work += [(f"simulated-{cell.name}", lambda cell=cell: simulate(cell, DRAWS)) for cell in CELLS]  # type: ignore[misc]
    if arguments.only != "simulated":
        work += [
            (
                f"real-{graph}-{model}-{seed}",
                lambda graph=graph, model=model, seed=seed: redeal(graph, model, seed, arguments.data, REDEALS),  # type: ignore[misc]
            )
            for seed in range(arguments.seeds)
            for model in MODELS
            for graph in GRAPHS
        ]
    for name, measure in () if arguments.page else work:
        path = RESULTS / f"promises-{name}.json"
        if not path.exists():
            start = time.perf_counter()
            result = measure()
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
