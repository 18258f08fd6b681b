"""Temporal metrics: horizons, new nodes, and how optimistic a random split would have been; with the findings about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.findings import Finding
from linkodds.graph.split import PARTS, TIES, Split
from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Quantity, wilson
from linkodds.metrics.ranking import average_precision_interval, roc_auc_interval

MOST_ROWS, LEAST_EDGES = 4, 25
STATEMENT = "Claims about the future rest on this split by time alone; a random split says nothing about it."

MANY_NEW = 0.1
"""Share of test edges with a new end from which it is a warning."""


@dataclass(frozen=True, eq=False)
class SplitComparison:
    """The best baseline of the split by time and of a random one, each by name, with its test edges.

    Each is the best on the validation edges of its split: what somebody would quote who had made the one or the other.
    """

    time: tuple[str, HeldOut]
    random: tuple[str, HeldOut]


def time_section(
    test: HeldOut, split: Split, threshold: float | None, compared: SplitComparison | None
) -> dict[str, Any]:
    """The part of evaluation.json about time.

    Args:
        test: the test edges as the model in use scores them.
        split: with times.
        threshold: logit of the decision in use, or None.
        compared: baselines on this split and on a random one; None where no cheap baseline was measured.
    """
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
    return section if compared is None else section | {"random_split": _optimism(compared)}


def time_findings(section: Mapping[str, Any]) -> list[Finding]:
    """What to mind of a split by time.

    Args:
        section: from `time_section`.
    """
    findings = [_about_split(section), *_about_new_nodes(section)]
    return [*findings, _about_optimism(section["random_split"])] if "random_split" in section else findings


def ranking_of(held_out: HeldOut) -> dict[str, Quantity]:
    """Average precision and ROC AUC with their intervals."""
    precision, auc = metrics.average_precision(held_out), metrics.roc_auc(held_out)
    return {
        "average_precision": Quantity.around(precision, average_precision_interval(held_out)),
        "roc_auc": Quantity.around(auc, roc_auc_interval(held_out)),
    }


def horizon_rows(test: HeldOut, split: Split, threshold: float | None) -> list[dict[str, Any]]:
    """The test edges in up to four groups by time, near to far, with about as many edges each; edges of one time stay together.

    Each group is held against all non-edges, at the prevalence of the whole test: so the rows can be held against each
    other and against the headline, and a random order has the same average precision in all.

    Args:
        test: scored, at any prevalence; its edges in the order of the split's.
        split: with times.
        threshold: logit of the decision in use, or None.
    """
    assert split.times is not None
    times = split.times.of("test")
    end = split.times.train_end
    rows = []
    for chosen in _groups(times.values):
        inside = times.of(chosen)
        low, high = inside.values.min(), inside.values.max()
        rows.append(
            {
                "from": times.text(low),
                "to": times.text(high),
                "after_train_end": [times.span(low - end), times.span(high - end)],
                **_fate(test, chosen, threshold),
            }
        )
    return rows


def new_node_rows(test: HeldOut, split: Split, threshold: float | None) -> dict[str, Any]:
    """Test edges between nodes that have train edges, and how many more have an end that appears only later.

    The latter are not measured: that such a node has an edge at all is what put it on the list of nodes.

    Args:
        test: as for `horizon_rows`, like the next two.
        split: with times.
        threshold: logit of the decision in use.
    """
    is_old = np.zeros(split.space.num_nodes, dtype=np.bool_)
    is_old[split.train] = True
    later = np.zeros_like(is_old)
    later[split.recorded().pairs] = True
    is_known = is_old[split.test].all(axis=1)
    groups = {"both_ends_known": is_known, "new_end": ~is_known}
    rows = {name: _fate(test, np.flatnonzero(chosen), threshold) for name, chosen in groups.items()}
    if split.cut_off.num_test:
        not_judged = Quantity.missing("not measured: such a node is in the graph only because it gets an edge later")
        rows["new_end"] = {name: not_judged for name in rows["new_end"]} | {"num_edges": split.cut_off.num_test}
    return {"num_nodes": int((later & ~is_old).sum()), **rows}


def restated(section: Mapping[str, Any], test: HeldOut, split: Split, threshold: float | None) -> dict[str, Any]:
    """What `evaluation.json` says about time, at another prevalence; what was measured on a random split is left out.

    Args:
        section: as it was saved.
        test: at the other prevalence.
        split: with times.
        threshold: logit of the decision in use.
    """
    kept = {name: value for name, value in section.items() if name != "random_split"}
    return kept | {
        "horizon": horizon_rows(test, split, threshold),
        "new_nodes": new_node_rows(test, split, threshold),
    }


def _fate(test: HeldOut, chosen: NDArray[np.intp], threshold: float | None) -> dict[str, Any]:
    if len(chosen) == 0:
        missing = Quantity.missing("there is no such edge")
        return {"num_edges": 0, "average_precision": missing, "roc_auc": missing, "recall": missing}
    logits = test.edge_logits[chosen]
    some = test.of(chosen).at_prevalence(test.prevalence)
    recall = Quantity.missing("the decision has no threshold")
    if threshold is not None:
        passing = float((logits >= threshold).sum())
        recall = Quantity.around(passing / len(logits), wilson(passing, len(logits)))
    return {"num_edges": len(logits), **ranking_of(some), "recall": recall}


def _groups(values: NDArray[Any]) -> list[NDArray[np.intp]]:
    """Indices by time in groups of about one size, none of which parts edges of one time."""
    count = min(MOST_ROWS, max(1, len(values) // LEAST_EDGES))
    order = np.argsort(values, kind="stable")
    # An edge belongs where the middle of those of its time belongs.
    sorted_values = values[order]
    low, high = np.searchsorted(sorted_values, sorted_values), np.searchsorted(sorted_values, sorted_values, "right")
    group = np.minimum((low + high - 1) * count // (2 * len(values)), count - 1)
    return [order[group == each] for each in np.unique(group)]


def _optimism(compared: SplitComparison) -> dict[str, Any]:
    (best, of_time), (best_at_random, of_random) = compared.time, compared.random
    by_time, random = ranking_of(of_time), ranking_of(of_random)
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
        "test edges touch them. Pairs with them are not measured, for such a node is known only because it gets an edge; they "
        "stay in the graph as isolated nodes, which only features tell apart."
    )
    remedy = (
        "Links of these nodes are listed unmeasured; a later end of training (--split) gives more of them train edges."
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
