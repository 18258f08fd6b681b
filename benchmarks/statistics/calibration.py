"""Do probabilities hold after a fit, on the whole and by degree, on 8 real graphs x 5 seeds?

vgae with the default options, test edges against all non-edges. The graphs are the eight with the most edges among those
of at most 20,000 nodes: a fifth of their test edges is 300 at least, enough to tell observed / expected to a fifth. For each
fit, from one training:

    as fitted        what linkodds does: a surface over logit and degrees where the validation edges ask for it, then Platt
    logits alone     the same logits without it, calibrated in the same way: the control that must fail by degree
    prior alone      the same logits moved from the odds of the training loss to the prevalence in closed form, nothing
                     fitted: the control that must fail on the slope
    as trained       the same logits with nothing done to them: the control that must fail on the log loss (16 fits)

and what each other calibrator makes of the logits as fitted. Classes by degree product hold a fifth of the validation and
calibration edges each; classes of a fifth of the candidates each are shown beside, though the lowest expect few edges.

One file a graph and seed in benchmarks/results/statistics/calibration/, what is there is skipped; then the table goes to
docs/calibration.md.

    python benchmarks/statistics/calibration.py [--data FOLDER] [--only GRAPH] [--threads N]
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
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import (
    average_precision,
    calibration_line,
    degree_bins,
    degree_relative_ece,
    log_loss,
    log_loss_of_constant,
)
from linkodds.metrics.non_edges import DegreeClasses, NonEdges
from linkodds.probability.calibration import fit_calibrator
from linkodds.scorers.scoring import DegreeAwareScorer

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results" / "statistics" / "calibration"
PAGE = HERE.parent / "docs" / "calibration.md"
GRAPHS = (
    *("bionev_ctd_dda", "bionev_ndfrt_dda", "pubmed", "twitch_ptbr"),
    *("lastfm_asia", "skipgnn_ppi", "seal_pb", "skipgnn_dti"),
)
SEEDS = 5
CALIBRATORS = ("platt", "bias", "beta", "isotonic", "venn-abers")
LOW, HIGH = 0.8, 1.25
VARIANTS = ("as fitted", "logits alone", "prior alone", "as trained")
BARS = {"slope": 38, "by degree": 36, "log loss": 40}


def measure(folder: Path, name: str, seed: int, threads: int) -> dict:
    features = folder / name / "features.npz"
    graph = Graph.from_edges(folder / name / "edges.csv.gz", features=features if features.exists() else None)
    start = time.perf_counter()
    run = fit_graph(graph, FitConfig(model="vgae", seed=seed, threads=threads))
    seconds = time.perf_counter() - start
    split, term = run.split, run.config["degree_term"]
    excluded = np.concatenate([split.train, split.validation, split.calibration])
    held_out = np.concatenate([split.validation, split.calibration])
    classes = {
        "edges": DegreeClasses.of(split.train, split.space, excluded=excluded, fifths_of=held_out),
        "candidates": DegreeClasses.of(split.train, split.space, excluded=excluded),
    }
    scorers = {"as fitted": (run.scorer, term["odds"] or run.config["effective_odds"])}
    base = run.scorer.base if isinstance(run.scorer, DegreeAwareScorer) else run.scorer
    scorers["logits alone"] = (base, run.config["effective_odds"])
    variants = {}
    for variant, (scorer, odds) in scorers.items():
        variants[variant] = {"by_degree": {}}
        for kind, of in classes.items():
            non_edges = NonEdges(split.recorded())
            calibration, test = (
                HeldOut.from_scorer(scorer, part, non_edges, classes=of, threads=threads)
                for part in (split.calibration, split.test)
            )
            prevalence = test.prevalence
            calibrator = fit_calibrator([calibration], prevalence=prevalence, odds_trained_at=odds)
            bins = degree_bins(test, calibrator.calibrated_logit)
            variants[variant]["by_degree"][kind] = {
                "observed": bins.observed.tolist(),
                "expected": bins.expected.tolist(),
                "relative_ece": degree_relative_ece(bins),
            }
        line = calibration_line(test, calibrator.calibrated_logit)
        variants[variant] |= {
            "average_precision": average_precision(test),
            "slope": None if line is None else line.slope,
            "skill": skill(test, calibrator),
            "calibrators": {
                choice: skill(
                    test, fit_calibrator([calibration], prevalence=prevalence, odds_trained_at=odds, choice=choice)
                )
                for choice in CALIBRATORS
            },
        }
    moved = fit_calibrator([], prevalence=prevalence, odds_trained_at=odds)  # of the last: the logits alone
    raw = replace(moved, intercept=0.0)
    variants["as trained"] = {"slope": None, "skill": skill(test, raw)}
    line = calibration_line(test, moved.calibrated_logit)
    variants["prior alone"] = {"slope": None if line is None else line.slope, "skill": skill(test, moved)}
    return {
        "graph": name,
        "seed": seed,
        "seconds": round(seconds, 1),
        "calibration_seconds": run.cost["calibration"]["seconds"],
        "num_test_edges": len(split.test),
        "num_validation_edges": len(split.validation),
        "kind": term["kind"],
        "gain": term["gain"],
        "variants": variants,
        "versions": run.config["versions"],
    }


def skill(test: HeldOut, calibrator: object) -> float:
    """1 - log loss / log loss of the constant prevalence."""
    return 1 - log_loss(test, calibrator.calibrated_logit) / log_loss_of_constant(test)


def ratios(variant: dict, kind: str = "edges") -> np.ndarray:
    """Observed / expected edges by degree class."""
    by_degree = variant["by_degree"][kind]
    return np.array(by_degree["observed"]) / np.array(by_degree["expected"])


def passes(variant: dict) -> dict[str, bool]:
    """Which bars one fit reaches."""
    reached = {
        "slope": variant["slope"] is not None and LOW <= variant["slope"] <= HIGH,
        "log loss": variant["skill"] > 0,
    }
    if "by_degree" in variant:
        inside = ratios(variant)
        reached["by degree"] = bool(((inside >= LOW) & (inside <= HIGH)).all())
    return reached


def reached(rows: list[dict], variant: str, bar: str) -> str:
    """How many fits reach a bar, of how many where not all were asked."""
    got = [passes(row["variants"][variant]) for row in rows if variant in row["variants"]]
    got = [each[bar] for each in got if bar in each]
    if not got or (variant == "as trained" and bar == "slope"):
        return ""
    return str(sum(got)) if len(got) == len(rows) else f"{sum(got)} of {len(got)}"


def page(rows: list[dict]) -> str:
    lines = [
        "# Do probabilities hold?",
        "",
        "vgae with the default options, default split, test edges against all non-edges, on the eight graphs with the most",
        "edges among those of at most 20,000 nodes, five seeds each; made by `benchmarks/statistics/calibration.py`.",
        "",
        f"| of {len(rows)} fits | must | as fitted | logits alone | prior alone | as trained |",
        "|---|---|---|---|---|---|",
    ]
    says = {
        "slope": f"calibration slope in [{LOW}, {HIGH}]",
        "by degree": f"observed / expected in [{LOW}, {HIGH}] in each of five classes by degree",
        "log loss": "log loss below the constant forecast's",
    }
    for bar, words in says.items():
        counts = [reached(rows, variant, bar) for variant in VARIANTS]
        lines.append(f"| {words} | {BARS[bar]} of {len(GRAPHS) * SEEDS} | {' | '.join(counts)} |")
    lines += [
        "",
        "Three controls: logits calibrated without a look at degrees fail by degree, logits that are only moved to the base",
        "rate fail on the slope, and logits as they were trained are worse than a constant. Each class holds about a fifth of",
        "the validation and calibration edges. Observed / expected (O/E), from low degrees to high:",
        "",
        "| graph | seed | test edges | logits | AP | slope | skill | error by degree | O/E by degree |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for variant in ("as fitted", "logits alone"):
            each = row["variants"][variant]
            first = variant == "as fitted"
            head = (row["graph"], row["seed"], row["num_test_edges"]) if first else ("", "", "")
            name = row["kind"] if first else variant
            by_degree = ", ".join(f"{value:.2f}" for value in ratios(each))
            lines.append(
                f"| {' | '.join(map(str, head))} | {name} | {each['average_precision']:.4f} | {each['slope']:.3f} "
                f"| {each['skill']:.4f} | {each['by_degree']['edges']['relative_ece']:.3f} | {by_degree} |"
            )
    lines += [
        "",
        "Skill: 1 - log loss / log loss of the constant forecast. Error by degree: absolute differences, as a share of the",
        "edges.",
        "",
        "## Fifths of the candidates instead",
        "",
        "Most candidates join nodes of few edges, so the lowest of these classes expect few edges, and chance alone takes",
        "their O/E out of any narrow band. Expected edges in brackets; pooled over the seeds.",
        "",
        "| graph | as fitted | logits alone |",
        "|---|---|---|",
    ]
    for name in GRAPHS:
        cells = []
        for variant in ("as fitted", "logits alone"):
            parts = [
                row["variants"][variant]["by_degree"]["candidates"]
                for row in rows
                if row["graph"] == name and variant in row["variants"]
            ]
            observed, expected = (np.sum([part[key] for part in parts], axis=0) for key in ("observed", "expected"))
            cells.append(
                ", ".join(f"{o / e:.2f} ({e:.0f})" for o, e in zip(observed, expected, strict=True)) if parts else ""
            )
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        "## Which calibrator, on the logits as fitted",
        "",
        "Skill on the test edges, mean of the seeds, each fitted on the same calibration edges.",
        "",
        f"| graph | {' | '.join(CALIBRATORS)} |",
        f"|---|{'---|' * len(CALIBRATORS)}",
    ]
    for name in GRAPHS:
        each = [row["variants"]["as fitted"]["calibrators"] for row in rows if row["graph"] == name]
        means = (f"{np.mean([one[choice] for one in each]):.4f}" for choice in CALIBRATORS)
        if each:
            lines.append(f"| {name} | {' | '.join(means)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--only")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in range(SEEDS):
        for graph in GRAPHS:
            path = RESULTS / f"{graph}-{seed}.json"
            if path.exists() or (arguments.only and arguments.only != graph):
                continue
            result = measure(arguments.data, graph, seed, arguments.threads)
            path.write_text(json.dumps(result, indent=1) + "\n")
            got = passes(result["variants"]["as fitted"])
            print(path.name, result["seconds"], "s", result["kind"], got, flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
