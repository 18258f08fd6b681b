"""Future: what a fit on a split by time may say about links to come, and how a random split would have flattered."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from linkodds.config import BASELINES, COSTLY
from linkodds.evaluation.temporal_metrics import STATEMENT, horizon_rows, new_node_rows, ranking_of
from linkodds.findings import Finding
from linkodds.fitting.model_selection import ModelCandidate, ModelSelection
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, TIES, split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Quantity
from linkodds.metrics.metrics import average_precision
from linkodds.scorers.baselines import baseline_scorer

MANY_NEW = 0.1
"""Share of test edges with a new end from which it is a warning."""
COUNTED = ("resource-allocation", "l3")
"""Baselines that are counted on a random split too, beside the one that is best on the split by time."""


def about_time(
    graph: Graph,
    contest: ModelSelection,
    contenders: Mapping[str, ModelCandidate],
    test: HeldOut,
    threshold: float | None,
    rng: np.random.Generator,
) -> tuple[dict[str, Any], list[Finding]]:
    """The part of evaluation.json about time, and what to mind.

    The optimism of a random split is measured with cheap baselines, on each split by the one that is best on its validation
    edges, against the same non-edges: what somebody would quote who had made the one split or the other.

    Args:
        graph: with times.
        contest: on a split by time.
        contenders: by name, the baselines among them.
        test: the test edges as the model in use scores them.
        threshold: logit of the decision in use, or None.
        rng: of the random split.
    """
    split = contest.rehearsal.split
    assert split.times is not None
    ranges = split.times.ranges()
    section: dict[str, Any] = {
        "column": split.times.column,
        "kind": split.times.kind,
        "statement": STATEMENT,
        "ties": TIES,
        "parts": {
            part: {"first": ranges[part][0], "last": ranges[part][1], "num_edges": len(getattr(split, part))}
            for part in PARTS
        },
        "horizon": horizon_rows(test, split, threshold),
        "new_nodes": new_node_rows(test, split, threshold),
    }
    findings = [_about_split(section), *_about_new_nodes(section)]
    cheap = [name for name in BASELINES if name in contenders and name not in COSTLY]
    if cheap:
        section["random_split"] = _random_split(graph, contest, contenders, cheap, rng)
        findings.append(_about_optimism(section["random_split"]))
    return section, findings


def _random_split(
    graph: Graph,
    contest: ModelSelection,
    contenders: Mapping[str, ModelCandidate],
    cheap: list[str],
    rng: np.random.Generator,
) -> dict[str, Any]:
    split = contest.rehearsal.split
    sizes = [len(getattr(split, part)) / graph.num_edges for part in PARTS]
    at_random = split_edges(graph, fractions=(sizes[0], sizes[1], sizes[2], sizes[3]), rng=rng)
    best = max(cheap, key=lambda name: contenders[name].validation_ap)
    found = {}
    with contest.fitting.costs.stage("baselines"):
        for name in dict.fromkeys((best, *(each for each in COUNTED if each in cheap))):
            scorer = baseline_scorer(name, at_random, contest.fitting.features)
            found[name] = contest.rehearsal.held_out(scorer, at_random, ("validation", "test"))
    best_at_random = max(found, key=lambda name: average_precision(found[name]["validation"]))
    by_time, random = ranking_of(contenders[best].parts["test"]), ranking_of(found[best_at_random]["test"])
    # Disjoint intervals, so that the luck of two splits rarely passes for drift.
    flatters = any(_is_above(random[metric], by_time[metric]) for metric in by_time)
    return {
        "baseline": {"time": best, "random": best_at_random},
        **{metric: {"time": by_time[metric], "random": random[metric]} for metric in by_time},
        "flatters": bool(flatters),
    }


def _is_above(one: Quantity, other: Quantity) -> bool:
    return one.low is not None and other.high is not None and one.low > other.high


def _about_split(section: Mapping[str, Any]) -> Finding:
    parts = ", ".join(f"{part} {each['first']} to {each['last']}" for part, each in section["parts"].items())
    return Finding("split", "info", f"Split by time ({parts}): {TIES}.", STATEMENT)


def _about_new_nodes(section: Mapping[str, Any]) -> list[Finding]:
    new = section["new_nodes"]
    num_new, num_known = new["new_end"]["num_edges"], new["both_ends_known"]["num_edges"]
    if not new["num_nodes"]:
        return []
    share = num_new / (num_new + num_known)
    message = (
        f"{new['num_nodes']:,} node(s) have no train edge and appear only later; {num_new:,} of {num_new + num_known:,} "
        "test edges touch them. They stay in the graph as isolated nodes: pairs with them are candidates, and only features "
        "tell them apart."
    )
    remedy = (
        "Read the figures of edges between known nodes on their own (new_nodes in evaluation.json), or add --features."
    )
    return [Finding("split", "warning" if share > MANY_NEW else "info", message, remedy, share)]


def _about_optimism(found: Mapping[str, Any]) -> Finding:
    precision, auc = found["average_precision"], found["roc_auc"]
    measured = (
        f"the best baseline has an average precision of {precision['random'].value:.3g} on a random split "
        f"({found['baseline']['random']}) and of {precision['time'].value:.3g} on the split by time "
        f"({found['baseline']['time']}); ROC AUC {auc['random'].value:.3f} and {auc['time'].value:.3f}"
    )
    ratio = precision["random"].value / max(precision["time"].value, 1e-12)
    if found["flatters"]:
        message = f"A random split would flatter: {measured}."
        return Finding("split", "warning", message, "Quote the figures of the split by time alone.", ratio)
    message = f"A random split would not clearly flatter: {measured}."
    return Finding("split", "info", message, "Nothing to do.", ratio)
