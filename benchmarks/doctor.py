"""What the doctor says of healthy runs on real graphs, and of the same runs once something in them is broken.

A default fit a graph and model (`auto` within TIME_BUDGET), kept in --runs and not done again; then one JSON a run in
benchmarks/results/doctor/ and one table, docs/doctor-runs.md. Of a healthy run no finding may be an error and at most one a warning. Each broken copy is the
negative control: it must give the rule that names what was broken, and the program ends with 1 where one does not.

    python benchmarks/doctor.py --data FOLDER [--runs FOLDER] [--only GRAPH]
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.doctor import ScoreTable, diagnose_run, diagnose_split, diagnose_table, examine
from linkodds.doctor.model_rules import (
    ModelScores,
    auc_of,
    effective_rank,
    embedding_collapse,
    hub_shares,
    mean_cosine,
    rank_correlation,
    scores_rng,
)
from linkodds.fitting.pipeline import fit_run
from linkodds.graph.split import PARTS
from linkodds.metrics.intervals import Quantity
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.record import Run, load_run

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "doctor"
PLAN = {
    "seal_celegans": ("vgae", "auto"),
    "seal_usair": ("gae", "auto"),
    "genelink_mdc500_string": ("auto",),
    "seal_ns": ("vgae", "auto"),
    "ppi_shs27k_seq": ("gae", "auto"),
    "seal_yeast": ("vgae", "auto"),
    "lglp_yst": ("gae", "auto"),
    "cora": ("vgae", "auto"),
    "seal_pb": ("gae", "auto"),
    "citeseer": ("auto",),
    "seal_power": ("vgae", "auto"),
    "seal_router": ("gae", "auto"),
}
TIME_BUDGET = 60.0
"""Seconds of counted work that `auto` has for training."""


def measure(path: Path) -> dict:
    run = load_run(path)
    embeddings = None if run.embeddings is None else run.embeddings[0]
    scores = ModelScores.of(run.scorer, run.split, scores_rng(run.config["options"]["seed"]), embeddings=embeddings)
    test = auc_of(scores.test, scores.non_edges)
    products = scores.products["non_edges"]
    graph, candidates = run.evaluation.graph, run.evaluation.candidates
    in_top, in_test = hub_shares(scores)
    return {
        "model": run.model,
        "findings": [finding.to_json() for finding in examine(path, load_run=load_run)],
        "roc_auc": round(test, 4),
        "roc_auc_of_train_edges": round(auc_of(scores.train, scores.non_edges), 4),
        "roc_auc_of_degree_product": round(auc_of(scores.products["test"], products), 4),
        "roc_auc_against_non_edges_by_degree": round(auc_of(scores.test, scores.like_edges), 4),
        "rank_correlation_with_degree": round(rank_correlation(scores.non_edges, products), 4),
        "hubs_in_top_and_in_test": [round(in_top, 4), round(in_test, 4)],
        "mean_cosine": None if embeddings is None else round(mean_cosine(embeddings), 4),
        "effective_rank": None if embeddings is None else round(effective_rank(embeddings), 2),
        "pairs_over_candidates": candidates["prevalence"] * graph["num_pairs"] / candidates["num_edges"],
        "best_heuristic_roc_auc": max(each.roc_auc for each in run.evaluation.baselines.values()),
        "broken": broken(run, scores),
    }


def broken(run: Run, scores: ModelScores) -> dict[str, bool]:
    """What was broken, with the rule that must say so -> whether it does."""
    rows = run.predictions
    labels, logits = rows["label"].to_numpy() == 1, rows["logit"].to_numpy()
    weights, probability = rows["weight"].to_numpy(), rows["probability"].to_numpy()
    calibrated = np.log(probability) - np.log1p(-probability)
    parts = {part: getattr(run.split, part) for part in PARTS}
    evaluation = run.evaluation
    twice = replace(evaluation, graph={**evaluation.graph, "num_pairs": 2 * evaluation.graph["num_pairs"]})
    metrics = {**evaluation.metrics, "roc_auc": Quantity(0.999)}
    weak = {name: replace(each, roc_auc=0.8) for name, each in evaluation.baselines.items()}
    judged = {"history": run.history, "split": run.split, "decision": run.decision.rule}

    def of_table(values, kind="probability"):
        return {each.id for each in diagnose_table(ScoreTable(labels, values, kind, weights=weights))}

    def of_run(changed, **more):
        return {each.id for each in diagnose_run(evaluation=changed, **{**judged, **more})}

    ones = np.ones((run.split.space.num_nodes, 8), dtype=np.float32)
    spiked = {**run.history, "kl": [1.0] * 60 + [9.0] + [1.0] * 20, "loss": [1.0] * 81, "event": [""] * 81}
    copied = replace(evaluation, model={**evaluation.model, "name": "gae"}, metrics=metrics, baselines=weak)
    return {
        "a sigmoid over the probabilities: D01": "D01" in of_table(1 / (1 + np.exp(-probability))),
        "logits weighted up by 20: D05": "D05" in of_table(calibrated + np.log(20.0), "logit"),
        "logits times 4: D06": "D06" in of_table(4 * calibrated, "logit"),
        "decisions for scores: D11": "D11" in of_table((logits > np.median(logits)).astype(float)),
        "one score is NaN: D13": "D13" in of_table(np.where(np.arange(len(logits)) == 3, np.nan, logits), "logit"),
        "embeddings all ones: D15": embedding_collapse(ones, scores.non_edges) is not None,
        "a KL term that jumps: D17": "D17"
        in of_run(
            evaluation, history={k: v for k, v in spiked.items() if len(v) == 81 and k in ("kl", "loss", "event")}
        ),
        "a test edge reversed in train: D19": "D19"
        in {
            e.id for e in diagnose_split({**parts, "train": np.concatenate([parts["train"], parts["test"][:1, ::-1]])})
        },
        "logits replaced by degree products: D22": "D22" in of_run(evaluation, scores=_by_degree(scores)),
        "ROC AUC 0.999 over heuristics at 0.8: D23": "D23" in of_run(copied, scores=scores),
        "train edges on top, test edges anywhere: D25": "D25" in of_run(copied, scores=_by_heart(scores)),
        "twice the pairs in the graph: D28": "D28" in of_run(twice),
    }


def _by_heart(scores: ModelScores) -> ModelScores:
    anywhere = scores.non_edges[: len(scores.test)]
    return replace(scores, train=np.full(len(scores.train), scores.non_edges.max() + 1), test=anywhere)


def _by_degree(scores: ModelScores) -> ModelScores:
    products = scores.products
    return ModelScores(
        products["test"], products["test"], products["non_edges"], scores.like_edges[:0], products, scores.hubs
    )


def page(results: dict[str, dict]) -> str:
    counted = {name: severities(result) for name, result in results.items()}
    errors = sum(error for error, _ in counted.values())
    most = max(warning for _, warning in counted.values())
    kinds = list(next(iter(results.values()))["broken"])
    lines = [
        "# What the doctor says of healthy runs",
        "",
        f"{len(results)} default fits on real graphs (`auto` with {TIME_BUDGET:.0f} s), made by `benchmarks/doctor.py`; one file a run lies in",
        f"`benchmarks/results/doctor/`. Findings that are errors: {errors}. Most warnings of a run: {most}. What each rule finds",
        "is in [doctor.md](doctor.md).",
        "",
        "| run | model chosen | errors | warnings | which |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        error, warning = counted[name]
        which = "; ".join(
            f"{each['id']}: {each['message']}" for each in result["findings"] if each["severity"] != "info"
        )
        lines.append(f"| {name} | {result['model']} | {error} | {warning} | {which or 'none'} |")
    lines += [
        "",
        "## What the rules on models saw",
        "",
        "ROC AUC of test edges against uniform non-edges, of train edges, of the degree product, and against non-edges whose",
        "ends are drawn by degree; rank correlation of logit and degree product; share of pairs that touch one of the 1 %",
        "largest nodes, in the top 0.5 % of the non-edges and among the test edges; mean cosine and effective rank of the",
        "embeddings; all pairs over candidates.",
        "",
        "| run | test | train | degree | by degree | correlation | hubs | cosine | rank | pairs / candidates |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, r in results.items():
        top, test = r["hubs_in_top_and_in_test"]
        shape = "- | -" if r["mean_cosine"] is None else f"{r['mean_cosine']:.3f} | {r['effective_rank']:.1f}"
        lines.append(
            f"| {name} | {r['roc_auc']:.3f} | {r['roc_auc_of_train_edges']:.3f} | {r['roc_auc_of_degree_product']:.3f} "
            f"| {r['roc_auc_against_non_edges_by_degree']:.3f} | {r['rank_correlation_with_degree']:.2f} | {top:.2f} / {test:.2f} "
            f"| {shape} | {r['pairs_over_candidates']:.3f} |"
        )
    lines += ["", "## Broken copies", "", "Each run with one thing broken; the rule has to say so.", ""]
    lines += ["| broken, and the rule | said of |", "|---|---|"]
    lines += [f"| {kind} | {sum(r['broken'][kind] for r in results.values())} of {len(results)} |" for kind in kinds]
    return "\n".join(lines) + "\n"


def severities(result: dict) -> tuple[int, int]:
    found = [each["severity"] for each in result["findings"]]
    return found.count("error"), found.count("warning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--runs", type=Path, default=HERE.parent / "build" / "doctor-runs")
    parser.add_argument("--only")
    parser.add_argument("--judge-only", action="store_true", help="judge the runs that are there, fit none")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for graph, model in ((graph, model) for graph, models in PLAN.items() for model in models):
        path, out = arguments.runs / f"{graph}-{model}", RESULTS / f"{graph}-{model}.json"
        if out.exists() or (arguments.only and graph != arguments.only):
            continue
        if not path.exists():
            if arguments.judge_only:
                continue
            features = arguments.data / graph / "features.npz"
            reading = ReadingOptions(features=features if features.exists() else None)
            config = FitConfig(model=model, threads=1, time_budget=TIME_BUDGET)
            fit_run(arguments.data / graph / "edges.csv.gz", path, config, reading=reading, resume=True)
        out.write_text(json.dumps(measure(path), indent=1) + "\n")
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    (HERE.parent / "docs" / "doctor-runs.md").write_text(page(results))
    unsaid = [f"{name}: {kind}" for name, r in results.items() for kind, said in r["broken"].items() if not said]
    sick = [name for name, r in results.items() if severities(r)[0] or severities(r)[1] > 1]
    for line in (*(f"not said: {each}" for each in unsaid), *(f"not healthy: {each}" for each in sick)):
        print(line)
    sys.exit(1 if unsaid or sick else 0)


if __name__ == "__main__":
    main()
