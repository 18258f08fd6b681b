"""What a degree term does to ranking and calibration by degree on real graphs, and which calibrator fits best after it.

Each graph and seed is trained once; its logits are then calibrated as they are, with the product term alone, and with
what `--degree-calibration yes` takes. Test edges against all non-edges. Writes one JSON a graph and seed to
benchmarks/results/degree_calibration/ and skips what is there, then one table to docs/degree-calibration.md.

    python benchmarks/degree_calibration.py --data FOLDER [--only GRAPH] [--threads N]
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from linkodds.calibration import fit_calibrator
from linkodds.config import FitConfig
from linkodds.degree_term import DegreeTerm, count_jointly
from linkodds.graph import Graph
from linkodds.held_out import HeldOut
from linkodds.intervals import poisson_interval
from linkodds.logistic import fit_plane
from linkodds.metrics import (
    average_precision,
    degree_bins,
    degree_relative_ece,
    log_loss,
    log_loss_of_constant,
    roc_auc,
)
from linkodds.non_edges import DegreeClasses, NonEdges, degrees_of
from linkodds.pipeline import fit_graph
from linkodds.scoring import DegreeAwareScorer

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "degree_calibration"
GRAPHS = ("seal_pb", "lglp_yst", "ppi_shs27k_seq", "pubmed")
CALIBRATORS = ("platt", "bias", "beta", "isotonic", "venn-abers")
VARIANTS = ("without", "product", "yes")


def measure(folder: Path, graph_name: str, seed: int, threads: int) -> dict:
    features = folder / graph_name / "features.npz"
    graph = Graph.from_edges(folder / graph_name / "edges.csv.gz", features=features if features.exists() else None)
    start = time.perf_counter()
    run = fit_graph(graph, FitConfig(model="vgae", seed=seed, threads=threads, degree_calibration="yes"))
    seconds = time.perf_counter() - start
    split, term = run.split, DegreeTerm(**run.config["degree_term"])
    base = run.scorer.base if isinstance(run.scorer, DegreeAwareScorer) else run.scorer
    non_edges = NonEdges(split.recorded())
    excluded = np.concatenate([split.train, split.validation, split.calibration])
    classes = DegreeClasses.of(split.train, split.space, excluded=excluded)
    degrees = degrees_of(split.train, split.space)
    prevalence = run.test.prevalence

    def product_term() -> DegreeTerm:
        counts = count_jointly(base, non_edges, degrees, limits=(-40.0, 20.0), threads=threads)
        edges = split.validation
        x = np.log(degrees[0][edges[:, 0]] * degrees[1][edges[:, 1]])
        plane = fit_plane(
            np.column_stack([base.logits(edges), x]),
            counts.points,
            edge_weights=np.full(len(edges), prevalence / len(edges)),
            non_edge_weights=(1 - prevalence) * counts.weights / counts.weights.sum(),
        )
        assert plane is not None
        slope, product = plane.coefficients.tolist()
        return DegreeTerm("product", "", slope, plane.intercept, product, odds=prevalence / (1 - prevalence))

    scorers = {
        "without": (base, run.config["effective_odds"]),
        "product": (product_term().applied(base, degrees), prevalence / (1 - prevalence)),
        "yes": (run.scorer, term.odds or run.config["effective_odds"]),
    }
    variants = {}
    for name, (scorer, odds) in scorers.items():
        calibration, test = (
            HeldOut.from_scorer(scorer, part, non_edges, classes=classes, threads=threads)
            for part in (split.calibration, split.test)
        )
        skills = {}
        for choice in CALIBRATORS:
            calibrator = fit_calibrator([calibration], prevalence=prevalence, odds_trained_at=odds, choice=choice)
            skills[choice] = 1 - log_loss(test, calibrator.calibrated_logit) / log_loss_of_constant(test)
        calibrator = fit_calibrator([calibration], prevalence=prevalence, odds_trained_at=odds)
        bins = degree_bins(test, calibrator.calibrated_logit)
        low, high = poisson_interval(bins.observed)
        variants[name] = {
            "average_precision": average_precision(test),
            "roc_auc": roc_auc(test),
            "log_loss_skill": skills,
            "degree_relative_ece": degree_relative_ece(bins),
            "observed": bins.observed.tolist(),
            "observed_over_expected": (bins.observed / bins.expected).tolist(),
            "low": (low / bins.expected).tolist(),
            "high": (high / bins.expected).tolist(),
        }
    return {
        "graph": graph_name,
        "seed": seed,
        "seconds": round(seconds, 1),
        "calibration_seconds": run.cost["calibration"]["seconds"],
        "num_pairs": graph.space.num_pairs,
        "num_validation_edges": len(split.validation),
        "term": term.to_json(),
        "variants": variants,
        "versions": run.config["versions"],
    }


def table(rows: list[dict]) -> str:
    lines = [
        "# Degrees in the logit: what they change on real graphs",
        "",
        "vgae with the default options, default split, test edges against all non-edges; made by",
        "`benchmarks/degree_calibration.py`, one file a graph and seed in `benchmarks/results/degree_calibration/`. Each model",
        "was trained once and calibrated three times: as it is, with the product term alone, and with what",
        "`--degree-calibration yes` takes (all Platt). O/E: edges observed / sum of probabilities, in fifths of the candidates",
        "by degree product from low to high. Error by degree: their absolute differences, as a share of the edges.",
        "",
        "| graph | seed | term (gain, nats an edge) | logits | AP | AUC | log loss skill | error by degree | O/E by degree |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        term = row["term"]
        for name in VARIANTS:
            each = row["variants"][name]
            by_degree = ", ".join(f"{value:.2f}" for value in each["observed_over_expected"])
            head = ("", "", "")
            if name == "without":
                gain = f" ({term['gain']:.3f} ± {term['gain_error']:.3f})" if term["gain"] is not None else ""
                head = (row["graph"], str(row["seed"]), term["kind"] + gain)
            lines.append(
                f"| {' | '.join(head)} | {name} | {each['average_precision']:.4f} | {each['roc_auc']:.4f} "
                f"| {each['log_loss_skill']['platt']:.4f} | {each['degree_relative_ece']:.3f} | {by_degree} |"
            )
    lines += [
        "",
        "± is the standard error that the choice rests on, from the validation edges. The product term alone is shown for",
        "comparison.",
        "",
        "## Which calibrator, on those logits",
        "",
        "Log loss skill on the test edges (1 is perfect, 0 is the constant prevalence), each fitted on the calibration edges.",
        "",
        f"| graph | seed | {' | '.join(CALIBRATORS)} |",
        f"|---|---|{'---|' * len(CALIBRATORS)}",
    ]
    for row in rows:
        skills = row["variants"]["yes"]["log_loss_skill"]
        lines.append(
            f"| {row['graph']} | {row['seed']} | {' | '.join(f'{skills[name]:.4f}' for name in CALIBRATORS)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--only")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for graph in GRAPHS:
        for seed in range(3):
            path = RESULTS / f"{graph}-{seed}.json"
            if path.exists() or (arguments.only and arguments.only != graph):
                continue
            result = measure(arguments.data, graph, seed, arguments.threads)
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(path.name, result["seconds"], "s", result["term"]["kind"], flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    (HERE.parent / "docs" / "degree-calibration.md").write_text(table(rows))


if __name__ == "__main__":
    main()
