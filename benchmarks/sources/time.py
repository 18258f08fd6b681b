"""The split by time beside the random split of the same sizes, on simulated growing graphs and a real one with simulated times.

Writes one JSON a graph and seed to benchmarks/results/sources/time/ and skips what is there; --page writes the table of
docs/time.md.

    python benchmarks/sources/time.py --data FOLDER [--seeds N ...] [--only GRAPH ...] [--threads N] [--page]
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS
from linkodds.pairs import PairSpace
from linkodds.reading.times import EdgeTimes

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "sources" / "time"
PAGE = ROOT / "docs" / "time.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
GRAPHS = {
    "fast-drift": "growing, fast drift",
    "slow-drift": "growing, slow drift",
    "still": "all nodes there from the start, no drift",
    "ppi-by-study": "skipgnn_ppi, well-studied proteins first",
    "ppi-at-random": "skipgnn_ppi, times dealt out at random",
}
DRIFT = {"fast-drift": 0.055, "slow-drift": 0.015, "still": 0.0}
MODEL = "gae"


def growing(rng: np.random.Generator, *, drift: float, num_nodes: int = 1500, steps: int = 40) -> Graph:
    """Nodes on a torus that link with those near them, well-connected kinds more often; 250 rows a step, the first counts.

    With drift nodes arrive one after another over all steps, and walk: by so much a step along either axis. Links reach 0.04.
    """
    arrival = np.sort(rng.integers(steps, size=num_nodes)) if drift else np.zeros(num_nodes, dtype=np.int64)
    arrival[: num_nodes // 4] = 0
    place, size = rng.random((num_nodes, 2)), rng.lognormal(0, 0.8, num_nodes)
    first: dict[tuple[int, int], int] = {}
    for step in range(steps):
        place = (place + drift * rng.normal(size=place.shape)) % 1.0
        live = np.flatnonzero(arrival <= step)
        u, v = np.triu_indices(len(live), 1)
        gap = np.abs(place[live[u]] - place[live[v]])
        near = np.square(np.minimum(gap, 1 - gap)).sum(1)
        log_rate = np.log(size[live[u]] * size[live[v]]) - near / (2 * 0.04**2)
        drawn = np.argpartition(-(log_rate + rng.gumbel(size=len(u))), 250)[:250]
        for a, b in zip(live[u[drawn]], live[v[drawn]], strict=True):
            first.setdefault((int(a), int(b)), step)
    edges = np.array(sorted(first))
    times = np.array([first[a, b] for a, b in edges.tolist()])
    return _graph(edges, times, num_nodes)


def proteins(folder: Path, rng: np.random.Generator, *, by_study: bool) -> Graph:
    """A real graph. By study: a node comes up by its rank of degree with much noise, an edge some time after both ends."""
    graph = Graph.from_edges(folder / "skipgnn_ppi" / "edges.csv.gz", bipartite=False)
    if not by_study:
        return replace(graph, times=EdgeTimes(rng.integers(1000, size=graph.num_edges), "integer", "t"))
    rank = np.argsort(np.argsort(-np.log(graph.degrees() + 1.0) + rng.gumbel(size=graph.num_nodes)))
    arrival = 700.0 * rank / graph.num_nodes
    times = arrival[graph.edges].max(axis=1) + rng.exponential(200.0, graph.num_edges)
    return replace(graph, times=EdgeTimes(times.astype(np.int64), "integer", "t"))


def _graph(edges: np.ndarray, times: np.ndarray, num_nodes: int) -> Graph:
    ids = np.array([f"n{i}" for i in range(num_nodes)], dtype=object)
    return Graph(ids, edges, PairSpace(num_nodes), times=EdgeTimes(times, "integer", "step"))


def measure(name: str, folder: Path, seed: int, threads: int) -> dict:
    rng = np.random.default_rng([seed, 9])
    is_simulated = name in DRIFT
    graph = growing(rng, drift=DRIFT[name]) if is_simulated else proteins(folder, rng, by_study=name == "ppi-by-study")
    config = FitConfig(model=MODEL, folds=1, seed=seed, threads=threads)
    by_time = fit_graph(graph, config)
    sizes = tuple(len(getattr(by_time.split, part)) / graph.num_edges for part in PARTS)
    at_random = fit_graph(replace(graph, times=None), config.model_copy(update={"split": sizes}))
    row = {"graph": name, "seed": seed, "nodes": graph.num_nodes, "edges": graph.num_edges}
    for split, run in (("time", by_time), ("random", at_random)):
        evaluation = run.evaluation.to_json()
        keys = ("average_precision", "roc_auc", "observed_over_expected", "calibration_slope", "precision_at_100")
        row[split] = {key: evaluation["metrics"][key] for key in keys}
        row[split]["baselines"] = evaluation["baselines"]
        row[split]["num_test"] = len(run.split.test)
    row["section"] = by_time.evaluation.to_json()["time"]
    row["versions"] = by_time.config["versions"]
    return row


def table(rows: list[dict]) -> str:
    lines = [
        "| graph | seeds | edges | test edges with a new end | gae AP, random | gae AP, time | random / time | best baseline AP, random | time | ROC AUC of gae, random | time | calibration slope, random | time | called flattering |",
        "|---|" + "---|" * 13,
    ]
    for name, title in GRAPHS.items():
        own = [row for row in rows if row["graph"] == name]
        if not own:
            continue

        def mean(split: str, key: str, own: list[dict] = own) -> float:
            return statistics.mean(row[split][key]["value"] for row in own)

        def baseline(split: str, own: list[dict] = own) -> float:
            return statistics.mean(row["section"]["random_split"]["average_precision"][split]["value"] for row in own)

        new = [row["section"]["new_nodes"] for row in own]
        share = statistics.mean(
            each["new_end"]["num_edges"] / (each["new_end"]["num_edges"] + each["both_ends_known"]["num_edges"])
            for each in new
        )
        ratios = [
            row["random"]["average_precision"]["value"] / row["time"]["average_precision"]["value"] for row in own
        ]
        flagged = sum(row["section"]["random_split"]["flatters"] for row in own)
        lines.append(
            f"| {title} | {len(own)} | {statistics.mean(row['edges'] for row in own):,.0f} | {share:.0%} "
            f"| {mean('random', 'average_precision'):.4f} | {mean('time', 'average_precision'):.4f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} | {baseline('random'):.4f} | {baseline('time'):.4f} "
            f"| {mean('random', 'roc_auc'):.3f} | {mean('time', 'roc_auc'):.3f} "
            f"| {mean('random', 'calibration_slope'):.2f} | {mean('time', 'calibration_slope'):.2f} "
            f"| {flagged} of {len(own)} |"
        )
    lines += ["", "By horizon, average precision of gae at the prevalence of the whole test, seed 0:", ""]
    lines += [
        "| graph | test edges from | to | after the train edges | edges | average precision | ROC AUC |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in GRAPHS.items():
        for row in rows:
            if row["graph"] == name and row["seed"] == 0:
                lines += [
                    f"| {title} | {each['from']} | {each['to']} | {each['after_train_end'][0]} to {each['after_train_end'][1]} "
                    f"| {each['num_edges']} | {each['average_precision']['value']:.4f} | {each['roc_auc']['value']:.3f} |"
                    for each in row["section"]["horizon"]
                ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", default=list(GRAPHS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    if args.data is not None:
        for seed in args.seeds:
            for name in args.only:
                path = RESULTS / f"{name}-{seed}.json"
                if path.exists():
                    continue
                row = measure(name, args.data, seed, args.threads)
                path.with_suffix(".new").write_text(json.dumps(row, indent=1) + "\n")
                path.with_suffix(".new").replace(path)
                print(
                    name,
                    seed,
                    row["random"]["average_precision"]["value"],
                    row["time"]["average_precision"]["value"],
                    flush=True,
                )
    if args.page:
        rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
