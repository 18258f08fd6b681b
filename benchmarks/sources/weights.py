"""Confidences of edges used and ignored, on graphs with planted false edges whose confidences are low.

Writes one JSON a graph, model and seed to benchmarks/results/sources/weights/ and skips the arms that are there; --page writes the table
of docs/weights.md.

    python benchmarks/sources/weights.py --data FOLDER [--seeds N ...] [--only GRAPH ...] [--models NAME ...] [--page]
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import beta

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.metrics.metrics import average_precision, roc_auc
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.reading.edge_weights import EdgeWeights

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "sources" / "weights"
PAGE = ROOT / "docs" / "weights.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
GRAPHS = {"communities": "simulated communities", "seal_yeast": "seal_yeast"}
MODELS = ("gae", "signed-gae")
SHARE_FALSE = 0.4
"""False edges for each true one."""
OF_TRUE, OF_FALSE = (5, 1.5), (1.5, 5)
"""Beta distributions of the confidences."""
ARMS = {
    "ignored": "ignored",
    "confidence": "used",
    "probability": "used, made probabilities",
    "shuffled": "used, but dealt out at random",
}


def true_graph(name: str, folder: Path, rng: np.random.Generator) -> Graph:
    if name != "communities":
        return Graph.from_edges(folder / name / "edges.csv.gz", bipartite=False)
    space = PairSpace(1000)
    community, size = rng.integers(40, size=1000), rng.lognormal(0, 0.7, 1000)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    log_rate = np.log(size[pairs].prod(axis=1)) + 4.0 * (community[pairs[:, 0]] == community[pairs[:, 1]])
    best = np.argpartition(-(log_rate + rng.gumbel(size=len(pairs))), 5000)[:5000]
    return Graph(np.array([f"n{i}" for i in range(1000)], dtype=object), pairs[np.sort(best)], space)


def planted(graph: Graph, rng: np.random.Generator) -> tuple[Graph, np.ndarray]:
    """The graph with false edges among pairs without one, uniform, and which of its edges are false.

    Confidences: Beta(5, 1.5) of true edges, mean 0.77; Beta(1.5, 5) of false ones, mean 0.23. They overlap.
    """
    known = KnownPairs(graph.space, graph.edges)
    count = round(SHARE_FALSE * graph.num_edges)
    false = known.absent_pairs(np.sort(rng.choice(known.num_absent, count, replace=False)))
    edges = np.concatenate([graph.edges, false])
    is_false = np.repeat([False, True], [graph.num_edges, count])
    sure = np.where(is_false, rng.beta(*OF_FALSE, len(edges)), rng.beta(*OF_TRUE, len(edges))).clip(1e-3, 1)
    keys = graph.space.keys(edges)
    order = np.argsort(keys)
    weights = EdgeWeights(sure[order], keys[order], "confidence", "confidence")
    return Graph(graph.ids, edges[order], graph.space, weights=weights), is_false[order]


def probabilities(confidences: np.ndarray) -> np.ndarray:
    """Of an edge with such a confidence to be true, by the rule of Bayes: what a calibrated source would say."""
    inside = confidences.clip(1e-3, 1 - 1e-6)
    true, false = beta.pdf(inside, *OF_TRUE), SHARE_FALSE * beta.pdf(inside, *OF_FALSE)
    return (true / (true + false)).clip(1e-3, 1)


def measure(name: str, folder: Path, model: str, seed: int, row: dict | None = None) -> dict:
    """What is missing in a row, or all of it."""
    rng = np.random.default_rng([seed, 11])
    graph, is_false = planted(true_graph(name, folder, rng), rng)
    assert graph.weights is not None
    false_keys = graph.weights.keys[is_false]
    if row is None:
        row = {"graph": name, "model": model, "seed": seed, "nodes": graph.num_nodes, "edges": graph.num_edges}
        row["arms"] = {}
    for arm in ARMS:
        if arm in row["arms"]:
            continue
        weights = None if arm == "ignored" else graph.weights
        if arm == "probability":
            weights = replace(graph.weights, values=probabilities(graph.weights.values))
        if arm == "shuffled":
            weights = replace(graph.weights, values=rng.permutation(graph.weights.values))
        run = fit_graph(replace(graph, weights=weights), FitConfig(model=model, folds=1, seed=seed, threads=1))
        figures = {}
        for part in ("train", "test"):
            pairs = getattr(run.split, part)
            false = np.isin(graph.space.keys(pairs), false_keys)
            probability = run.calibrator.probability(run.scorer.logits(pairs))
            figures[part] = {
                "num_false": int(false.sum()),
                "probability_false": float(probability[false].mean()),
                "probability_true": float(probability[~false].mean()),
            }
            if part == "test":
                true = run.test.of(~false)
                figures["average_precision_true"] = average_precision(true)
                figures["roc_auc_true"] = roc_auc(true)
                figures["average_precision_recorded"] = run.evaluation.metrics["average_precision"].value
        row["arms"][arm] = figures | {"calibrator": run.calibrator.to_json()}
        row["versions"] = run.config["versions"]
    return row


def table(rows: list[dict]) -> str:
    lines = [
        "| graph | model | seeds | confidences | AP on true test edges | better than ignored | ROC AUC on them "
        "| probability of false train edges | of true ones | of false test edges | of true ones |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, title in GRAPHS.items():
        for model in MODELS:
            fitted = [row for row in rows if (row["graph"], row["model"]) == (name, model)]
            for arm, said in ARMS.items():
                own = [row for row in fitted if arm in row["arms"]]
                if not own:
                    continue
                found = [row["arms"][arm] for row in own]
                better = sum(
                    row["arms"][arm]["average_precision_true"] > row["arms"]["ignored"]["average_precision_true"]
                    for row in own
                )
                means = [
                    statistics.mean(each[part][key] for each in found)
                    for part in ("train", "test")
                    for key in ("probability_false", "probability_true")
                ]
                lines.append(
                    f"| {title} | {model} | {len(own)} | {said} "
                    f"| {statistics.mean(each['average_precision_true'] for each in found):.4f} "
                    f"| {'' if arm == 'ignored' else f'{better} of {len(own)}'} "
                    f"| {statistics.mean(each['roc_auc_true'] for each in found):.4f} "
                    f"| {' | '.join(f'{mean:.4g}' for mean in means)} |"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", default=list(GRAPHS))
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if args.data is not None:
        for seed in args.seeds:
            for name in args.only:
                for model in args.models:
                    path = RESULTS / f"{name}-{model}-{seed}.json"
                    there = json.loads(path.read_text()) if path.exists() else None
                    if there is not None and set(ARMS) <= set(there["arms"]):
                        continue
                    row = measure(name, args.data, model, seed, there)
                    path.with_suffix(".new").write_text(json.dumps(row, indent=1) + "\n")
                    path.with_suffix(".new").replace(path)
                    found = {arm: each["average_precision_true"] for arm, each in row["arms"].items()}
                    print(name, model, seed, found, flush=True)
    if args.page:
        rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
