"""Do lists with a stated error keep it? 200 planted graphs, a trained gae as the score, alpha .05 .1 .2 .3.

A degree-corrected planted partition of 400 nodes whose edge probabilities are known; a quarter of the true edges is hidden
before the fit. What is false is known, and the false discovery proportion of every list is counted:

    half, tenth      find --fdr among unobserved pairs: all hidden edges and a half, a tenth of the false pairs
    audit            evaluate --fdr on a second fit, to the whole graph; false is what is not in the record
    leak             as tenth, the score a forest fitted on the calibration nulls as zeros: must fail
    mismatch         as half, on a fit whose train part is half of the edges, the nulls scored with all recorded edges in the
                     message graph: must fail
    mismatch_other   the same with the candidates in their place; a normalised propagation gives richer graphs lower logits,
                     so this one loses power
    hubs             false pairs unobserved in proportion to their edge probability: must fail
    bound            the 90 % bound of the audit at thresholds fixed before: how often it is broken
    rates, counts    find --mode discover with the true number of missing links, by the probabilities of linkodds and by
                     the counts 1 - M TPR / R; rates_half and rates_double assume half and twice that number

For half, tenth and hubs also what `find` warns of: the estimated false share, and how unlike the nulls the degrees are.

An error is accepted when its mean less 1.645 standard errors is at most alpha. One line a graph is appended to
benchmarks/results/statistics/fdr*.jsonl, graphs that are there are skipped; then fdr.json is written beside it, and the
tables of docs/error-control.md.

    python benchmarks/statistics/fdr.py [--graphs 200] [--out FOLDER]
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from linkodds.config import FitConfig
from linkodds.errors import UnkeptPromise
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import adjacency
from linkodds.links.error_control import audit_run, share_of_other_degrees
from linkodds.metrics.non_edges import NUM_CLASSES, DegreeClasses
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.pairs import Pairs, PairSpace
from linkodds.probability.deployment import longest_list
from linkodds.probability.selection import ErrorControl, PairCounts, Treatment
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run
from linkodds.scorers.scoring import InnerProductScorer

RESULTS = Path(__file__).parents[1] / "results" / "statistics"
PAGE = Path(__file__).parents[2] / "docs" / "error-control.md"
BEGIN, END = "<!-- benchmarks/statistics/fdr.py writes from here -->", "<!-- to here -->"
NODES, GROUPS, DENSITY, HIDDEN = 400, 10, 0.05, 0.25
ALPHAS = (0.05, 0.1, 0.2, 0.3)
TARGETS = (0.1, 0.2, 0.3, 0.5)
MUST_HOLD, MUST_FAIL = ("half", "tenth", "audit"), ("leak", "mismatch", "hubs")
OTHERS = ("mismatch_other",)
DISCOVER = ("rates", "counts", "rates_half", "rates_double")
FEWEST = 20
CONTROLS = 60
"""Graphs for leak and mismatch, which take a training of their own and fail by far."""
CONFIG = FitConfig(model="gae", hidden=32, dim=16, learning_rate=0.03, epochs=100, folds=1, threads=1)
Result = dict[str, float]


def planted_graph(rng: np.random.Generator) -> tuple[PairSpace, Pairs, NDArray[np.float64], NDArray[np.bool_]]:
    """All pairs, the probability of each to be an edge, and which are."""
    space = PairSpace(NODES)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    u, v = pairs.T
    group, hub = rng.integers(0, GROUPS, NODES), rng.lognormal(0.0, 0.4, NODES)
    weight = np.where(group[u] == group[v], 150.0, 0.3) * hub[u] * hub[v]
    probability = np.minimum(weight * DENSITY * len(pairs) / weight.sum(), 0.9)
    return space, pairs, probability, rng.random(len(pairs)) < probability


def measure(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    space, pairs, probability, is_edge = planted_graph(rng)
    hidden = is_edge & (rng.random(len(pairs)) < HIDDEN)
    ids = np.array([f"n{i}" for i in range(NODES)], dtype=object)
    config = CONFIG.model_copy(update={"seed": seed})
    run = fit_graph(Graph(ids, pairs[is_edge & ~hidden], space), config)
    logits = run.scorer.logits(pairs).astype(np.float32)
    false = np.flatnonzero(~is_edge)
    row: dict[str, Any] = {"seed": seed, "average_precision": run.evaluation.metrics["average_precision"].value}

    def parted(taken: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return false[~taken], np.concatenate([np.flatnonzero(hidden), false[taken]])

    nulls, candidates = parted(rng.random(len(false)) < 0.5)
    row["half"] = listed(logits[nulls], logits[candidates], hidden[candidates])
    nulls, candidates = parted(rng.random(len(false)) < 0.1)
    row["tenth"] = listed(logits[nulls], logits[candidates], hidden[candidates])
    if seed < CONTROLS:
        leaking = forest(run, pairs, space.rank_of_pair(run.split.train), nulls, seed)
        row["leak"] = listed(leaking[nulls], leaking[candidates], hidden[candidates])
    affinity = probability[false] * 0.25 * len(false) / probability[false].sum()
    nulls, candidates = parted(rng.random(len(false)) < affinity)
    row["hubs"] = listed(logits[nulls], logits[candidates], hidden[candidates])

    whole = fit_graph(Graph(ids, pairs[is_edge], space), config.model_copy(update={"split": (0.7, 0.05, 0.05, 0.2)}))
    audits = [audit_run(whole, alpha) for alpha in ALPHAS]
    row["audit"] = {
        f"{alpha:g}": {
            "fdp": entry["false_discovery_proportion"],
            "power": entry["num_true"] / len(whole.split.test),
            "selected": entry["num_selected"],
        }
        for alpha, (entry, _) in zip(ALPHAS, audits, strict=True)
    }
    row["bound"] = {each["rule"]: each["false_discovery_proportion"] > each["bound"] for each in audits[0][1]}
    row |= discovered(run, logits[~is_edge | hidden], hidden[~is_edge | hidden])
    return row


def measure_mismatch(seed: int) -> dict[str, Any]:
    """The same graph, a fit whose message graph lacks half of the edges, and how unlike the degrees of the pairs are."""
    rng = np.random.default_rng(seed)
    space, pairs, probability, is_edge = planted_graph(rng)
    hidden = is_edge & (rng.random(len(pairs)) < HIDDEN)
    ids = np.array([f"n{i}" for i in range(NODES)], dtype=object)
    options = {"seed": seed, "split": (0.5, 0.05, 0.05, 0.4), "degree_calibration": "no"}
    run = fit_graph(Graph(ids, pairs[is_edge & ~hidden], space), CONFIG.model_copy(update=options))
    logits, other = (scorer.logits(pairs).astype(np.float32) for scorer in (run.scorer, with_all_edges(run)))
    false = np.flatnonzero(~is_edge)
    classes = DegreeClasses.of(run.split.train, space, excluded=run.split.recorded().pairs).of_pairs(pairs)
    affinity = probability[false] * 0.25 * len(false) / probability[false].sum()
    row: dict[str, Any] = {"seed": seed}
    for name, share in (("half", 0.5), ("tenth", 0.1), ("hubs", affinity)):
        taken = rng.random(len(false)) < share
        nulls, candidates = false[~taken], np.concatenate([np.flatnonzero(hidden), false[taken]])
        by_class = np.bincount(classes[nulls], minlength=NUM_CLASSES).astype(np.float64)
        row[f"{name}_degrees"] = share_of_other_degrees(classes[candidates], by_class)
        row[f"{name}_false_share"] = control_of(logits[nulls], logits[candidates]).false_share()
        if name == "half":
            row["mismatch"] = listed(other[nulls], logits[candidates], hidden[candidates])
            row["mismatch_other"] = listed(logits[nulls], other[candidates], hidden[candidates])
    return row


def control_of(nulls: Any, candidates: Any) -> ErrorControl:
    """At every logit of a candidate."""
    thresholds, alike = np.unique(candidates)[::-1].astype(np.float64), Treatment("", "zeros")
    return ErrorControl(
        nulls=PairCounts.of(nulls, thresholds, alike), candidates=PairCounts.of(candidates, thresholds, alike)
    )


def listed(nulls: Any, candidates: Any, is_link: NDArray[np.bool_]) -> dict[str, Result]:
    """The list at each alpha: its false discovery proportion, the share of links found, and its length."""
    control = control_of(nulls, candidates)
    results = {}
    for alpha in ALPHAS:
        threshold = control.threshold(alpha)
        selected = candidates >= (np.inf if threshold is None else threshold)
        results[f"{alpha:g}"] = result(int(selected.sum()), int(is_link[selected].sum()), int(is_link.sum()))
    return results


def result(num_selected: int, num_true: int, num_links: int) -> Result:
    return {
        "fdp": (num_selected - num_true) / max(num_selected, 1),
        "power": num_true / num_links,
        "selected": num_selected,
    }


def forest(run: Run, pairs: Pairs, edges: NDArray[np.int64], nulls: NDArray[np.intp], seed: int) -> NDArray[np.float64]:
    """Scores of all pairs by a forest on products of embeddings that has seen the calibration nulls as zeros."""
    assert run.embeddings is not None
    z = run.embeddings[0]
    products = z[pairs[:, 0]] * z[pairs[:, 1]]
    rows = np.concatenate([edges, nulls])
    labels = np.arange(len(rows)) < len(edges)
    trees = ExtraTreesClassifier(20, random_state=seed, n_jobs=1).fit(products[rows], labels)
    scores: NDArray[np.float64] = trees.predict_proba(products)[:, 1]
    return scores


def with_all_edges(run: Run) -> InnerProductScorer:
    """The same weights with all recorded edges in the message graph."""
    graph = adjacency(run.split.recorded().pairs, run.split.space)
    propagation = SparseMatrix.from_scipy(normalized_adjacency(graph))
    first, second = (torch.from_numpy(run.weights[f"encoder.{name}"]) for name in ("first", "second"))
    z = (propagation @ (torch.relu(propagation @ first) @ second)).numpy()
    decoder = run.config["decoder"]
    return InnerProductScorer(z, z, decoder["scale"], decoder["bias"])


def discovered(run: Run, logits: NDArray[np.float32], is_link: NDArray[np.bool_]) -> dict[str, dict[str, Result]]:
    """Lists among all pairs without a recorded edge, with a number of missing links given."""
    order = np.argsort(-logits, kind="stable")
    ordered, found = logits[order].astype(np.float64), np.cumsum(is_link[order])
    edges = np.sort(np.concatenate([run.test.edge_logits, run.calibration[0].edge_logits]))
    recall = 1 - np.searchsorted(edges, ordered, side="left") / len(edges)
    lengths = np.arange(1, len(ordered) + 1)
    num_links = int(is_link.sum())
    rows: dict[str, dict[str, Result]] = {name: {} for name in DISCOVER}
    for target in TARGETS:
        passing = (1 - num_links * recall / lengths <= target) & (lengths >= FEWEST)
        counted = int(lengths[passing][-1]) if passing.any() else 0
        sizes = {"counts": counted}
        for name, factor in (("rates", 1.0), ("rates_half", 0.5), ("rates_double", 2.0)):
            try:
                deployment = MissingLinksAssumption(expected_missing=factor * num_links).deployment(run)
                sizes[name] = longest_list(ordered, deployment, 1 - target)
            except UnkeptPromise:
                sizes[name] = 0
        for name, size in sizes.items():
            rows[name][f"{target:g}"] = result(size, int(found[size - 1]) if size else 0, num_links)
    return rows


def summary(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean, standard error and the verdict of every list; an empty list has no false pair."""
    table = []
    for name in (*MUST_HOLD, *MUST_FAIL, *OTHERS, *DISCOVER):
        given = [row for row in rows if name in row]
        for level in given[0][name]:
            results = [row[name][level] for row in given]
            proportions = np.array([each["fdp"] for each in results])
            some = [each["fdp"] for each in results if each["selected"]]
            se = float(proportions.std(ddof=1) / np.sqrt(len(proportions))) if len(proportions) > 1 else 0.0
            table.append(
                {
                    "list": name,
                    "level": float(level),
                    "graphs": len(results),
                    "fdr": float(proportions.mean()),
                    "se": se,
                    "fdr_where_not_empty": float(np.mean(some)) if some else None,
                    "power": float(np.mean([each["power"] for each in results])),
                    "selected": float(np.mean([each["selected"] for each in results])),
                    "empty": float(np.mean([each["selected"] == 0 for each in results])),
                    "within": bool(proportions.mean() - 1.645 * se <= float(level)),
                }
            )
    return table


def tables(values: Mapping[str, Any]) -> str:
    """What the page shows."""
    by_name = {(each["list"], each["level"]): each for each in values["lists"]}
    lines = [
        f"{values['graphs']} planted graphs of {NODES} nodes (the first two controls: {by_name['mismatch', ALPHAS[0]]['graphs']}),",
        "a quarter of the edges hidden, a trained `gae` as score. Mean false",
        "discovery proportion (± one standard error), empty lists counting 0; then the share of links found.",
        "",
        "| list | " + " | ".join(f"{alpha:g}" for alpha in ALPHAS) + " |",
        "|---|" + "---|" * len(ALPHAS),
    ]
    names = {
        "half": "masked, half of the false pairs unobserved",
        "tenth": "masked, a tenth of them",
        "audit": "audit",
        "leak": "control: score fitted on the nulls",
        "mismatch": "control: nulls scored with more edges in the message graph",
        "hubs": "control: hubs left unobserved first",
    }
    for name, words in names.items():
        cells = []
        for alpha in ALPHAS:
            each = by_name[name, alpha]
            fails = name in MUST_FAIL
            mark = "" if each["within"] != fails else " **(!)**"
            cells.append(f"{each['fdr']:.3f} ± {each['se']:.3f}, found {each['power']:.3f}{mark}")
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    broken = ", ".join(f"{share:.3f} (`{rule}`)" for rule, share in values["bound_broken"].items())
    doubts = {
        what: ", ".join(
            f"{name} {middle:.2f} ({low:.2f} to {high:.2f})"
            for name, (low, middle, high) in (
                (name, values["doubts"][f"{name}_{what}"]) for name in ("half", "tenth", "hubs")
            )
        )
        for what in ("false_share", "degrees")
    }
    lines += [
        "",
        "A list holds where its mean less 1.645 standard errors is at most alpha; a control has to exceed it. (!) marks what",
        "does not do what it should.",
        f"The 90 % bound at a fixed threshold was broken in a share of {broken}.",
        "",
        "What `find` can see of pairs that were not left unobserved at random, median and range over the graphs:",
        "",
        f"- false share of the unobserved pairs by Storey's estimate: {doubts['false_share']}; below 0.5 it warns;",
        f"- share that would have to move to another fifth by degree: {doubts['degrees']}; above 0.1 it warns.",
        "",
        "Discover, with the number of missing links given: true, by counts in place of rates, half of it, twice it.",
        "",
        "| list | " + " | ".join(f"{target:g}" for target in TARGETS) + " |",
        "|---|" + "---|" * len(TARGETS),
    ]
    for name in DISCOVER:
        cells = [
            f"{by_name[name, target]['fdr']:.3f} ± {by_name[name, target]['se']:.3f}, none on {by_name[name, target]['empty']:.0%}"
            for target in TARGETS
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measured(path: Path, function: Callable[[int], dict[str, Any]], graphs: int) -> dict[int, dict[str, Any]]:
    """The rows that are there and those that are missing, one a seed."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    by_seed = {row["seed"]: row for row in rows}
    start = time.perf_counter()
    for seed in range(graphs):
        if seed not in by_seed:
            by_seed[seed] = function(seed)
            with path.open("a") as file:
                file.write(json.dumps(by_seed[seed]) + "\n")
            print(f"{path.stem} {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    return by_seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=200)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = [
        measured(arguments.out / name, function, graphs)
        for name, function, graphs in (
            ("fdr-mismatch.jsonl", measure_mismatch, min(CONTROLS, arguments.graphs)),
            ("fdr.jsonl", measure, arguments.graphs),
        )
    ]
    rows = [parts[0].get(seed, {}) | parts[1].get(seed, {}) for seed in sorted({*parts[0], *parts[1]})]
    table = summary(rows)
    bound = {
        rule: float(np.mean([row["bound"][rule] for row in rows if rule in row.get("bound", {})]))
        for rule in sorted({rule for row in rows for rule in row.get("bound", {})})
    }
    doubts = {
        f"{name}_{what}": np.quantile([row[f"{name}_{what}"] for row in parts[0].values()], (0.0, 0.5, 1.0)).tolist()
        for name in ("half", "tenth", "hubs")
        for what in ("degrees", "false_share")
    }
    values = {"graphs": len(parts[1]), "lists": table, "bound_broken": bound, "doubts": doubts}
    (arguments.out / "fdr.json").write_text(json.dumps(values, indent=1) + "\n")
    if arguments.out == RESULTS:
        text = PAGE.read_text()
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{tables(values)}\n{END}{after}")
    print(
        f"{'list':14} {'level':>6} {'FDR':>7} {'se':>7} {'if any':>7} {'power':>7} {'length':>8} {'empty':>6}  within"
    )
    for each in table:
        print(
            f"{each['list']:14} {each['level']:6g} {each['fdr']:7.4f} {each['se']:7.4f} "
            f"{float('nan') if each['fdr_where_not_empty'] is None else each['fdr_where_not_empty']:7.4f} {each['power']:7.4f} "
            f"{each['selected']:8.1f} {each['empty']:6.2f}  {'yes' if each['within'] else 'NO'}"
        )
    print("bound at fixed thresholds broken in a share of", {rule: round(share, 3) for rule, share in bound.items()})


if __name__ == "__main__":
    main()
