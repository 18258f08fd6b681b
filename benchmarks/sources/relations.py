"""What edges of another kind gain as messages, on a simulated graph of two kinds, beside a control in which they tell nothing.

Writes one JSON a model and seed to benchmarks/results/sources/relations/ and skips what is there; --page writes the table of
docs/relations.md.

    python benchmarks/sources/relations.py [--seeds N ...] [--models NAME ...] [--page]
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
import polars as pl

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.pairs import PairSpace

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "sources" / "relations"
PAGE = ROOT / "docs" / "relations.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
MODELS = ("gae", "vgae")
NODES, COMMUNITIES = 800, 40
PREDICTED, OTHER = 1500, 2000
ARMS = {
    "alone": "none: the predicted kind alone",
    "other": "edges in the same communities",
    "control": "the same edges, their nodes permuted",
}


def rows_of_kinds(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Edges of the predicted kind, of another in the same communities, and of that one with its nodes permuted.

    Both kinds are drawn alone from one rate: the product of the sizes of both ends, times e^5 within a community.
    """
    space = PairSpace(NODES)
    community, size = rng.integers(COMMUNITIES, size=NODES), rng.lognormal(0, 0.5, NODES)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    log_rate = np.log(size[pairs].prod(axis=1)) + 5.0 * (community[pairs[:, 0]] == community[pairs[:, 1]])

    def drawn(count: int) -> np.ndarray:
        return pairs[np.argpartition(-(log_rate + rng.gumbel(size=len(pairs))), count)[:count]]

    predicted, other = drawn(PREDICTED), drawn(OTHER)
    return {"predicted": predicted, "other": other, "control": rng.permutation(NODES)[other]}


def graph_of(rows: dict[str, np.ndarray], arm: str) -> Graph:
    kinds = ["predicted"] if arm == "alone" else ["predicted", arm]
    table = pl.concat(
        pl.DataFrame({"a": rows[kind][:, 0].astype(str), "b": rows[kind][:, 1].astype(str)}).with_columns(
            kind=pl.lit(kind)
        )
        for kind in kinds
    )
    options = {} if arm == "alone" else {"relation": "kind", "predict_kind": "predicted"}
    return Graph.from_edges(table, nodes=[str(i) for i in range(NODES)], bipartite=False, **options)


def measure(model: str, seed: int) -> dict:
    rows = rows_of_kinds(np.random.default_rng([seed, 13]))
    space = PairSpace(NODES)
    shared = np.isin(space.keys(rows["other"]), space.keys(rows["predicted"])).mean()
    row = {"model": model, "seed": seed, "shared_with_predicted": float(shared), "arms": {}}
    for arm in ARMS:
        run = fit_graph(graph_of(rows, arm), FitConfig(model=model, folds=1, seed=seed, threads=1))
        metrics = run.evaluation.metrics
        row["arms"][arm] = {name: metrics[name].value for name in ("average_precision", "roc_auc")}
        row["versions"] = run.config["versions"]
    return row


def table(rows: list[dict]) -> str:
    lines = [
        "| model | seeds | edges of the other kind | AP | least to most | better than alone | ROC AUC |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        own = [row["arms"] for row in rows if row["model"] == model]
        for arm, said in ARMS.items() if own else ():
            aps = [each[arm]["average_precision"] for each in own]
            better = sum(each[arm]["average_precision"] > each["alone"]["average_precision"] for each in own)
            lines.append(
                f"| {model} | {len(own)} | {said} | {statistics.mean(aps):.4f} | {min(aps):.4f} to {max(aps):.4f} "
                f"| {'' if arm == 'alone' else f'{better} of {len(own)}'} "
                f"| {statistics.mean(each[arm]['roc_auc'] for each in own):.3f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for model in args.models:
            path = RESULTS / f"{model}-{seed}.json"
            if path.exists():
                continue
            row = measure(model, seed)
            path.with_suffix(".new").write_text(json.dumps(row, indent=1) + "\n")
            path.with_suffix(".new").replace(path)
            found = {arm: round(each["average_precision"], 4) for arm, each in row["arms"].items()}
            print(model, seed, found, flush=True)
    if args.page:
        rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
