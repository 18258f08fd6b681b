"""What cross-fitting gains over one split: ranking, calibration, promises, on real graphs.

vgae on five graphs and three seeds, with one split (80/5/5/10) and with `--folds 5`: same test and validation edges. Of
both the figures of `evaluation.json`, and the width of what calibration fits. Beside the product two controls, both fitted
by the product's own calibrator for the mean of the five models:

    unmoved   on the logits of the folds as the single models give them, not moved to the scale of the mean
    seen      on the logits that the mean itself gives to the folds: four of its five models were trained on each edge

`seen` must fail: its slope on the test edges is further from 1 than 1.96 standard errors of calibration and test together
in more runs than chance explains (99 % quantile of the binomial distribution at 5 %).

Promises of recall and precision are judged on the test edges, and in a simulation of five noisy models whose true recall
is known, 1,000 repetitions: broken in at most 10 % plus two standard errors. Control: `seen` again, which must fail.

Writes one JSON a graph and seed to benchmarks/results/statistics/ and skips what is there, then docs/folds.md.

    python benchmarks/statistics/folds.py [--data FOLDER] [--only GRAPH] [--repetitions N] [--page]
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import betabinom, binom

from linkodds.config import FitConfig
from linkodds.errors import UnkeptPromise
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import calibration_line, log_loss, log_loss_of_constant, reliability
from linkodds.metrics.non_edges import NonEdges
from linkodds.probability.calibration import Calibrator, fit_calibrator, on_the_scale_of_the_mean
from linkodds.probability.decision import decide, parse_rule
from linkodds.runs.missing_links import decision_of
from linkodds.runs.record import Run
from linkodds.scorers.scoring import InnerProductScorer

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "statistics"
GRAPHS = ("seal_celegans", "seal_usair", "seal_ns", "genelink_mdc500_string", "seal_pb")
SEEDS, FOLDS, EPOCHS = 3, 5, 200
METRICS = (
    *("average_precision", "roc_auc", "log_loss_skill", "precision_at_100"),
    *("calibration_slope", "observed_over_expected"),
)
KINDS = ("promised", "moved", "seen")
RULES = ("recall>=0.8", "recall>=0.5", "precision>=0.5", "precision>=0.2")
Result = dict[str, Any]


def measure(folder: Path, name: str, seed: int) -> Result:
    features = folder / name / "features.npz"
    graph = Graph.from_edges(folder / name / "edges.csv.gz", features=features if features.exists() else None)
    result: Result = {"graph": name, "seed": seed, "num_edges": graph.num_edges, "num_pairs": graph.space.num_pairs}
    for folds in (1, FOLDS):
        start = time.perf_counter()
        run = fit_graph(
            graph, FitConfig(model="vgae", seed=seed, epochs=EPOCHS, folds=folds, degree_calibration="no", threads=1)
        )
        seconds = time.perf_counter() - start
        result[f"folds_{folds}"] = {**figures(run), "seconds": round(seconds, 1)}
        if folds > 1:
            result["controls"] = {kind: judged(run, each) for kind, each in controls(run).items()}
            result["versions"] = run.config["versions"]
    return result


def figures(run: Run) -> Result:
    metrics, calibrator = run.evaluation.metrics, run.calibrator
    return {
        **{name: metrics[name].to_json() for name in METRICS},
        "num_calibration_edges": calibrator.num_edges,
        "num_test_edges": run.test.num_edges,
        "slope": calibrator.slope,
        "slope_interval": calibrator.slope_interval,
        "intercept_interval": calibrator.intercept_interval,
        "promises": {rule: decided(run, rule) for rule in RULES},
    }


def decided(run: Run, rule: str) -> Result | None:
    """What a promised decision reaches on the test edges (non-edges to within half a narrow bin); None for no promise."""
    try:
        decision = decision_of(run, rule)
    except UnkeptPromise:
        return None
    assert decision.threshold_logit is not None
    tp = int((run.test.edge_logits >= decision.threshold_logit).sum())
    logits, weights = run.test.non_edges.bins.points()
    fp = float(weights[logits >= decision.threshold_logit].sum())
    return {"tp": tp, "fp": fp}


def controls(run: Run) -> dict[str, Calibrator]:
    """Calibrators of the mean that were fitted on logits that are not as those of unseen edges under the mean."""
    non_edges = NonEdges(run.split.recorded())
    pool = np.concatenate([each.calibration for each in run.split.rotations()])
    as_seen = HeldOut.from_scorer(run.scorer, pool, non_edges, threads=1)
    assert run.embeddings is not None
    singles, dims = [], run.embeddings[0].shape[1] // FOLDS
    for k, rotation in enumerate(run.split.rotations()):
        singles.append(HeldOut.from_scorer(single(run, k, dims), rotation.calibration, non_edges, threads=1))
    prevalence = run.test.prevalence
    odds = run.config["effective_odds"]
    return {
        "unmoved": fit_calibrator(singles, prevalence=prevalence, odds_trained_at=odds),
        "seen": fit_calibrator([as_seen], prevalence=prevalence, odds_trained_at=odds),
    }


def single(run: Run, k: int, dims: int) -> InnerProductScorer:
    """Model k of the mean: its own columns of the vectors that stand side by side, its bias from its weights."""
    columns = slice(k * dims, (k + 1) * dims)
    assert isinstance(run.scorer, InnerProductScorer)
    source, target = run.scorer.source[:, columns], run.scorer.target[:, columns]
    return InnerProductScorer(source, target, float(FOLDS), float(run.weights[f"fold-{k + 1}.decoder.bias"]))


def judged(run: Run, calibrator: Calibrator) -> Result:
    """Slope, O/E and skill of a calibrator on the test edges."""
    line = calibration_line(run.test, calibrator.calibrated_logit)
    assert line is not None
    half = 1.96 * float(np.sqrt(line.covariance[0, 0]))
    bins = reliability(run.test, calibrator.calibrated_logit)
    loss = log_loss(run.test, calibrator.calibrated_logit)
    return {
        "calibration_slope": {"value": line.slope, "low": line.slope - half, "high": line.slope + half},
        "observed_over_expected": {
            "value": float(bins.num_edges.sum() / (bins.mean_probability * bins.num_pairs).sum())
        },
        "log_loss_skill": {"value": 1 - loss / log_loss_of_constant(run.test)},
    }


def simulate(repetitions: int, num_validation: int, tails: str) -> Result:
    """How often recall and precision fall short of what was promised: as the product promises, and two controls.

    Logits of model k are signal + noise of its own, 1 + 1 in variance, edges 2.5 higher; the truth is that of the mean.
    """
    rng = np.random.default_rng(0)
    num_edges, num_test = 900, 100

    def drawn(count: int, shift: float) -> np.ndarray:
        noise = (
            rng.standard_t(4, size=(FOLDS, count)) / np.sqrt(2) if tails == "heavy" else rng.normal(size=(FOLDS, count))
        )
        return shift + rng.normal(size=count) + noise

    non_edges = drawn(10_000, 0.0).mean(axis=0).astype(np.float32)
    truth = np.sort(drawn(400_000, 2.5).mean(axis=0))
    rules = {"recall>=0.8": 0.8, "recall>=0.5": 0.5, "precision>=0.3": 0.3}
    broken: dict[str, dict[str, list[bool]]] = {kind: {rule: [] for rule in rules} for kind in KINDS}
    for _ in range(repetitions):
        validation = drawn(num_validation, 2.5)
        own = [drawn(num_edges // FOLDS, 2.5)[k] for k in range(FOLDS)]
        of_mean = validation.mean(axis=0)
        moved = [on_the_scale_of_the_mean(z, v, of_mean) for z, v in zip(own, validation, strict=True)]
        seen = drawn(num_edges, 2.5).mean(axis=0) + 1.0  # four of five models were trained on them
        first = HeldOut.from_logits(np.concatenate(moved), non_edges, len(non_edges))
        samples = {
            "promised": [replace(first, num_models=FOLDS), HeldOut.from_logits(of_mean, non_edges, len(non_edges))],
            "moved": [first],
            "seen": [HeldOut.from_logits(seen, non_edges, len(non_edges))],
        }
        for kind, sample in samples.items():
            calibrator = Calibrator(
                1.0, 0.0, "platt", num_test / (num_test + len(non_edges)), num_edges, len(non_edges)
            )
            for rule, wanted in rules.items():
                threshold = decide(parse_rule(rule), sample, calibrator, num_test_edges=num_test).threshold_logit
                if threshold is None:
                    broken[kind][rule].append(False)
                    continue
                reached = 1 - float(np.searchsorted(truth, threshold)) / len(truth)
                if rule.startswith("precision"):
                    fp = int((non_edges >= threshold).sum())
                    reached = num_test * reached / (num_test * reached + fp)
                broken[kind][rule].append(reached < wanted)
    shares = {kind: {rule: float(np.mean(each)) for rule, each in by.items()} for kind, by in broken.items()}
    return {"repetitions": repetitions, "num_validation": num_validation, "tails": tails, "broken": shares}


def standardised(slope: Result, calibration: Result | None) -> float:
    """(slope on test - 1) / its standard error, that of the fit on the calibration edges included."""
    error = (slope["high"] - slope["low"]) / 2 / 1.96
    if calibration is not None and calibration["slope_interval"] is not None:
        low, high = calibration["slope_interval"]
        error = float(np.hypot(error, slope["value"] * (high - low) / 2 / 1.96 / calibration["slope"]))
    return float((slope["value"] - 1) / error)


def recall_floor(wanted: float, num_calibration: int, num_test: int) -> float:
    """Test edges that pass in nine of ten draws, were calibration and test edges drawn alike."""
    k = int(np.count_nonzero(binom.cdf(np.arange(num_calibration), num_calibration, 1 - wanted) <= 0.1))
    return float(betabinom.ppf(0.1, num_test, num_calibration - k + 1, k)) if k else 0.0


def page(rows: list[Result], simulations: list[Result]) -> str:
    one, many = "folds_1", f"folds_{FOLDS}"
    by_graph: dict[str, list[Result]] = {name: [row for row in rows if row["graph"] == name] for name in GRAPHS}
    by_graph = {name: group for name, group in by_graph.items() if group}
    lines = [
        "# What cross-fitting gains over one split",
        "",
        f"vgae, {EPOCHS} epochs, default options but no degree term; one split (80/5/5/10) against `--folds {FOLDS}`, which deals the",
        "85 % of train and calibration edges into five, trains five models without a fold each and uses their mean. Same test and",
        "validation edges. Made by `benchmarks/statistics/folds.py`; one file a graph and seed, and the simulation, in",
        "`benchmarks/results/statistics/`.",
        "",
        "## Ranking and log loss on the test edges",
        "",
        f"Means over {min(map(len, by_graph.values()))} to {max(map(len, by_graph.values()))} seeds; in brackets in how many of them folds are better.",
        "",
        "| graph | AP, one split | AP, folds | AUC, one | AUC, folds | log loss skill, one | folds | training and all, folds / one |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, group in by_graph.items():
        cells = []
        for metric in ("average_precision", "roc_auc", "log_loss_skill"):
            before, after = ([row[kind][metric]["value"] for row in group] for kind in (one, many))
            better = sum(b > a for a, b in zip(before, after, strict=True))
            cells += [f"{statistics.mean(before):.4f}", f"{statistics.mean(after):.4f} ({better}/{len(group)})"]
        slower = statistics.mean(row[many]["seconds"] / row[one]["seconds"] for row in group)
        lines.append(f"| {name} | {' | '.join(cells)} | {slower:.1f} x |")
    for metric, words in (("average_precision", "AP"), ("roc_auc", "AUC"), ("log_loss_skill", "log loss skill")):
        gaps = [row[many][metric]["value"] - row[one][metric]["value"] for row in rows]
        wins = sum(gap > 0 for gap in gaps)
        p = float(binom.sf(wins - 1, len(gaps), 0.5))
        lines += [
            "" if metric == "average_precision" else None,
            f"{words}: better in {wins} of {len(gaps)} runs (sign test p = {p:.2g}, runs on one graph taken as independent).",
        ]  # type: ignore[list-item]
    lines = [line for line in lines if line is not None]
    lines += [
        "",
        "## Width of what calibration fits",
        "",
        "95 % intervals of the calibrator's slope (relative to the slope) and intercept, as the run states them.",
        "",
        "| graph | edges, one split | edges, folds | slope width, one | folds | ratio | intercept width, one | folds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, group in by_graph.items():
        kinds = {kind: [row[kind] for row in group if row[kind]["slope_interval"]] for kind in (one, many)}
        slope = {
            k: statistics.mean((e["slope_interval"][1] - e["slope_interval"][0]) / e["slope"] for e in v)
            for k, v in kinds.items()
        }
        cut = {
            k: statistics.mean(e["intercept_interval"][1] - e["intercept_interval"][0] for e in v)
            for k, v in kinds.items()
        }
        count = {k: round(statistics.mean(e["num_calibration_edges"] for e in v)) for k, v in kinds.items()}
        lines.append(
            f"| {name} | {count[one]} | {count[many]} | {slope[one]:.3f} | {slope[many]:.3f} | {slope[one] / slope[many]:.1f} "
            f"| {cut[one]:.2f} | {cut[many]:.2f} |"
        )
    judged_on = [row for row in rows if "promises" in row[many]]
    judged_rows = {
        "one split": [(row[one]["calibration_slope"], row[one]) for row in rows],
        "folds": [(row[many]["calibration_slope"], row[many]) for row in rows],
        "control unmoved": [(row["controls"]["unmoved"]["calibration_slope"], None) for row in rows],
        "control seen": [(row["controls"]["seen"]["calibration_slope"], None) for row in rows],
    }
    allowed = int(binom.ppf(0.99, len(rows), 0.05))
    lines += [
        "",
        "## Slope on the test edges",
        "",
        f"1 is right. Outside: further from 1 than 1.96 standard errors of calibration and test together; of {len(rows)} runs chance",
        f"explains up to {allowed}. Edges that share nodes count as independent, so the errors are on the small side.",
        "",
        "| calibrated by | mean slope | lowest | highest | outside | O/E, mean | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, pairs in judged_rows.items():
        values = [slope["value"] for slope, _ in pairs]
        outside = sum(abs(standardised(*pair)) > 1.96 for pair in pairs)
        source = {"one split": one, "folds": many}.get(kind)
        ratios = [
            (row[source] if source else row["controls"][kind.split()[1]])["observed_over_expected"]["value"]
            for row in rows
        ]
        verdict = "holds" if outside <= allowed else "fails"
        if kind == "control seen":
            verdict = "fails, as it must" if outside > allowed else "DOES NOT FAIL, though it must"
        lines.append(
            f"| {kind} | {statistics.mean(values):.3f} | {min(values):.3f} | {max(values):.3f} | {outside} of {len(rows)} "
            f"| {statistics.mean(ratios):.3f} | {verdict} |"
        )
    lines += [
        "",
        "`unmoved`: fitted on the logits of the folds as the single models give them. `seen`: on the logits that the mean gives to",
        "the folds, four of its five models having been trained on each edge.",
        "",
        "## Promises on the test edges",
        "",
        "With folds a promise is kept on the moved edges and on the validation edges, which are as many as one split calibrates",
        "on. Short: fewer test edges pass than would in nine of ten draws, were both drawn alike (beta-binomial); one in ten is",
        f"allowed. Measured in {len(judged_on)} runs.",
        "",
        "| rule | kind | promised | short | mean recall | mean precision |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        for kind, words in ((one, "one split"), (many, "folds")):
            kept = [(row[kind]["promises"][rule], row[one]) for row in judged_on if row[kind]["promises"][rule]]
            if not kept:
                lines.append(f"| {rule} | {words} | 0 of {len(judged_on)} | - | - | - |")
                continue
            short = "-"
            if rule.startswith("recall"):
                wanted = float(rule.split("=")[1])
                floors = [recall_floor(wanted, e["num_calibration_edges"], e["num_test_edges"]) for _, e in kept]
                short = f"{sum(d['tp'] < floor for (d, _), floor in zip(kept, floors, strict=True))}"
            recall = statistics.mean(d["tp"] / e["num_test_edges"] for d, e in kept)
            precision = statistics.mean(d["tp"] / max(d["tp"] + d["fp"], 1) for d, _ in kept)
            lines.append(
                f"| {rule} | {words} | {len(kept)} of {len(judged_on)} | {short} | {recall:.3f} | {precision:.3f} |"
            )
    lines += [
        "",
        "## Promises where the truth is known",
        "",
        "Simulated: five models see the same signal, each with noise of its own; recall and precision are those of their mean in the",
        "population. Broken: they fall short of what was promised with 90 % confidence. Control moved: promised on the moved edges",
        "alone, which is why the validation edges have their say; control seen: on edges that four of five models were trained on.",
        "",
        "| noise | validation edges | repetitions | rule | broken | most that is allowed | control moved | control seen |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in simulations:
        most = 0.1 + 2 * np.sqrt(0.09 / each["repetitions"])
        for rule, share in each["broken"]["promised"].items():
            verdict = "" if share <= most else " **too often**"
            lines.append(
                f"| {each['tails']} tails | {each['num_validation']} | {each['repetitions']} | {rule} | {share:.3f}{verdict} "
                f"| {most:.3f} | {each['broken']['moved'][rule]:.3f} | {each['broken']['seen'][rule]:.3f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--page", action="store_true", help="write the page from what is there, and measure nothing")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in GRAPHS:
        for seed in range(SEEDS):
            path = RESULTS / f"folds-{name}-{seed}.json"
            is_there = path.exists() and "promises" in json.loads(path.read_text())["folds_1"]
            if arguments.page or is_there or (arguments.only and arguments.only != name):
                continue
            result = measure(arguments.data, name, seed)
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(path.name, result["folds_1"]["seconds"], result[f"folds_{FOLDS}"]["seconds"], flush=True)
    for tails in ("normal", "heavy"):
        for num_validation in (50, 400):
            path = RESULTS / f"folds_simulated-{tails}-{num_validation}.json"
            if not (arguments.page or path.exists() or arguments.only):
                path.write_text(json.dumps(simulate(arguments.repetitions, num_validation, tails), indent=1) + "\n")
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("folds-*-*.json"))]
    simulations = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("folds_simulated-*.json"))]
    (ROOT / "docs" / "folds.md").write_text(page(rows, simulations))


if __name__ == "__main__":
    main()
