"""Does a fit take credit for what its split did? Accuracy and lists held against links that were hidden before the fit.

A tenth of the edges of a complete graph is taken out first; what is left names the nodes, as ids come from edges. Then

    reported      ROC AUC and average precision of evaluation.json
    truly missing the same of the hidden edges, with the test edges among the non-edges in their place, at the same prevalence:
                  between the nodes that are judged (held-out and hidden edges are exchangeable there, so the difference is 0
                  but for chance), and between all nodes that remain
    lists         find --top 100 and 500, told how many links are missing between the nodes that remain: stated and found
    verdict       whether the model "earns its keep", and whether the interval of the ROC AUC holds 0.5

Graphs: `random-K` (G(n, m), 3,000 nodes, mean degree K: nothing to predict), `listed-K` (the same with a list of all nodes),
`buyers` (2,500 users with one or two purchases each of 300 things, some far more popular), `mapping` (one to one), and
seal_power and seal_router. One JSON a fit in benchmarks/results/statistics/split_credit/, what is there is skipped; the page is
docs/split-credit.md.

    python benchmarks/statistics/split_credit.py [--data FOLDER] [--seeds N] [--models A,B] [--only GRAPH]
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from linkodds.config import FitConfig
from linkodds.errors import LinkoddsError
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.inference import find_links
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision, roc_auc
from linkodds.metrics.non_edges import NonEdges
from linkodds.pairs import KnownPairs, Pairs
from linkodds.report.verdict import verdict
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run

HERE = Path(__file__).parents[1]
RESULTS, PAGE = HERE / "results" / "statistics" / "split_credit", HERE.parent / "docs" / "split-credit.md"
HIDDEN, EPOCHS = 0.1, 100
DEGREES = (1, 2, 3, 4, 5, 6)
REAL = ("seal_power", "seal_router")
MODELS = ("l3", "gae")
TOPS = (100, 500)
RANGE, ENOUGH = (0.8, 1.25), 100


def kinds(seed: int) -> list[str]:
    """Graphs of a seed: of the random ones one mean degree a seed."""
    degree = DEGREES[seed % len(DEGREES)]
    return [f"random-{degree}", f"listed-{degree}", "buyers", "mapping", *REAL]


def whole(kind: str, seed: int, data: Path) -> tuple[list[tuple[str, str]], bool]:
    """All edges as pairs of ids, and whether the graph has two sides."""
    rng = np.random.default_rng([seed, 41])
    name, _, degree = kind.partition("-")
    if name in ("random", "listed"):
        graph = nx.gnm_random_graph(3000, 1500 * int(degree), seed=seed)
        return [(f"n{u}", f"n{v}") for u, v in graph.edges()], False
    if kind == "buyers":
        taste = rng.dirichlet(np.full(300, 0.3))
        sizes = rng.choice([1, 2], size=2500, p=[0.6, 0.4])
        baskets = [rng.choice(300, size=size, replace=False, p=taste) for size in sizes]
        return [(f"u{u}", f"i{i}") for u, basket in enumerate(baskets) for i in basket], True
    if kind == "mapping":
        return [(f"a{i}", f"b{i}") for i in range(1000)], True
    graph = Graph.from_edges(data / kind / "edges.csv.gz")
    return [(str(u), str(v)) for u, v in graph.ids[graph.edges].tolist()], graph.space.bipartite


def measure(kind: str, seed: int, model: str, data: Path) -> dict[str, Any]:
    """One fit and what is true."""
    row: dict[str, Any] = {"graph": kind, "seed": seed, "model": model}
    edges, two_sides = whole(kind, seed, data)
    is_hidden = np.zeros(len(edges), dtype=bool)
    is_hidden[np.random.default_rng([seed, 42]).permutation(len(edges))[: round(HIDDEN * len(edges))]] = True
    record = [edge for edge, hides in zip(edges, is_hidden, strict=True) if not hides]
    nodes = [f"n{u}" for u in range(3000)] if kind.startswith("listed") else None
    graph = Graph.from_edges(record, nodes=nodes, bipartite=two_sides or None)
    index = {name: place for place, name in enumerate(graph.ids)}
    hidden = np.array(
        [
            (index[u], index[v])
            for (u, v), hides in zip(edges, is_hidden, strict=True)
            if hides and u in index and v in index
        ],
        dtype=np.int64,
    ).reshape(-1, 2)
    hidden = graph.space.canonical(hidden)
    row["num_hidden"] = len(hidden)
    try:
        epochs = {"epochs": EPOCHS} if model == "gae" else {}
        run = fit_graph(graph, FitConfig(model=model, seed=seed, threads=1, **epochs))
    except LinkoddsError as error:
        return row | {"refused": str(error)}
    said, metrics = verdict(run.evaluation), run.evaluation.metrics
    row |= {
        "chosen": run.model,
        "verdict": said.headline,
        "earns": "earns its keep:" in said.headline and "not" not in said.headline.partition(":")[0],
        "auc_interval": [metrics["roc_auc"].low, metrics["roc_auc"].high],
        "candidates": dict(run.evaluation.candidates),
        "reported": {"roc_auc": metrics["roc_auc"].value, "average_precision": metrics["average_precision"].value},
        "judged": truth(run, hidden, run.split.cut_off.nodes),
        "remaining": truth(run, hidden, None),
    }
    links = find_links(run, MissingLinksAssumption(expected_missing=len(hidden)).deployment(run), top=max(TOPS))
    ends = np.array([[run.index[u], run.index[v]] for u, v in links.select("source", "target").iter_rows()])
    found = graph.space.contains(hidden, graph.space.canonical(ends))
    cut = np.isin(ends, run.split.cut_off.nodes).any(axis=1)
    row["lists"] = {
        str(top): {
            "stated": float(links["probability"][:top].sum()),
            "found": int(found[:top].sum()),
            "with_cut_off_end": int(cut[:top].sum()),
        }
        for top in TOPS
    }
    return row


def truth(run: Run, hidden: Pairs, without: NDArray[np.int64] | None) -> dict[str, float] | None:
    """Hidden edges in the place of the test edges, and these in theirs."""
    split = run.split
    others = [split.train, split.validation, split.calibration, hidden]
    known = KnownPairs(split.space, np.concatenate(others), without)
    edges = hidden[~known.touches_nodes(hidden)]
    if not len(edges):
        return None
    held_out = HeldOut.from_scorer(run.scorer, edges, NonEdges(known), threads=1).at_prevalence(run.test.prevalence)
    return {
        "roc_auc": roc_auc(held_out),
        "average_precision": average_precision(held_out),
        "num_edges": float(len(edges)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--only")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in range(arguments.seeds):
        for kind in kinds(seed):
            for model in arguments.models.split(","):
                path = RESULTS / f"{kind}-{model}-{seed}.json"
                if path.exists() or (arguments.only and not kind.startswith(arguments.only)):
                    continue
                start = time.perf_counter()
                row = measure(kind, seed, model, arguments.data)
                path.write_text(json.dumps(row) + "\n")
                brief = row.get("refused") or {name: row[name] for name in ("reported", "judged", "remaining", "lists")}
                print(path.stem, f"{time.perf_counter() - start:.0f} s", brief, flush=True)
    PAGE.write_text(page([json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]))


def family(row: dict[str, Any]) -> str:
    return str(row["graph"]).partition("-")[0]


def difference(rows: Sequence[dict[str, Any]], against: str, metric: str) -> str:
    """Mean of reported less true over the fits, its 95 % interval by Student's t, and whether that holds 0."""
    values = [row["reported"][metric] - row[against][metric] for row in rows if row[against]]
    if metric == "average_precision":  # as a share: graphs differ by orders of magnitude
        values = [float(np.log(row["reported"][metric] / row[against][metric])) for row in rows if row[against]]
    if len(values) < 2:
        return "-"
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    mark = "" if abs(mean) <= half else " ✗"
    return f"{mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}]{mark}"


def listed(rows: Sequence[dict[str, Any]], top: int) -> str:
    stated, found = (sum(row["lists"][str(top)][name] for row in rows) for name in ("stated", "found"))
    outside = max(stated, found) >= ENOUGH and not RANGE[0] <= stated / max(found, 1) <= RANGE[1]
    return f"{stated:.0f} / {found}{' ✗' if outside else ''}"


def page(rows: list[dict[str, Any]]) -> str:
    fitted = [row for row in rows if "refused" not in row]
    lines = [
        "# No credit for what the split did",
        "",
        "A tenth of the edges was taken out before `fit` saw the graph; what is left names the nodes. *Reported* is what",
        "`evaluation.json` says; *true* the same of the hidden edges: between the nodes that are judged, and between all nodes that",
        "remain (those that the split cut off included). Differences are reported less true, for average precision of its natural",
        "logarithm, over all fits of the row, with a 95 % interval; ✗: it leaves 0 out. Lists: links stated / found, told how many",
        f"are missing, all fits together; ✗: {ENOUGH} or more and outside {RANGE[0]} to {RANGE[1]}. [Decision 0018](decisions/0018-no-credit-for-what-the-split-did.md) says why; made by",
        "`benchmarks/statistics/split_credit.py`, `random` and `listed` with mean degrees 1 to 6, one a seed.",
        "",
        "| graph | model | fits | AUC reported | true, judged nodes | true, all nodes | AUC, judged | AUC, all | log AP, judged | log AP, all "
        "| find --top 100 | --top 500 | earns its keep | AUC holds 0.5 |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups = sorted({(family(row), row["model"]) for row in fitted})
    for name, model in groups:
        of = [row for row in fitted if (family(row), row["model"]) == (name, model)]
        means = [
            np.mean([row[key]["roc_auc"] for row in of if row[key]]) for key in ("reported", "judged", "remaining")
        ]
        half = sum(low <= 0.5 <= high for low, high in (row["auc_interval"] for row in of))
        lines.append(
            f"| {name} | {model} | {len(of)} | "
            + " | ".join(f"{each:.3f}" for each in means)
            + " | "
            + " | ".join(
                difference(of, key, metric)
                for metric in ("roc_auc", "average_precision")
                for key in ("judged", "remaining")
            )
            + f" | {listed(of, 100)} | {listed(of, 500)} | {sum(row['earns'] for row in of)} of {len(of)} | {half} of {len(of)} |"
        )
    lines += ["", "Pooled over all graphs and models:", ""]
    for metric, said in (("roc_auc", "ROC AUC"), ("average_precision", "log average precision")):
        lines.append(
            f"- {said}, reported less true: {difference(fitted, 'judged', metric)} between the judged nodes, "
            f"{difference(fitted, 'remaining', metric)} between all that remain."
        )
    for top in TOPS:
        lines.append(f"- find --top {top}, stated / found: {listed(fitted, top)}.")
    refused = [row for row in rows if "refused" in row]
    if refused:
        names = ", ".join(sorted({family(row) for row in refused}))
        lines += ["", f'Refused in one sentence ({len(refused)} fits of {names}): "{refused[0]["refused"]}"']
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
