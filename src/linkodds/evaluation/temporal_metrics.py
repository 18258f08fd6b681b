"""Horizons: how the test edges of a split by time fare by their distance from the end of the train edges."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.graph.split import PARTS, Split
from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Quantity, wilson
from linkodds.metrics.ranking_intervals import average_precision_interval, roc_auc_interval

MOST_ROWS, LEAST_EDGES = 4, 25
STATEMENT = "Claims about the future rest on this split by time alone; a random split says nothing about it."


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
    """Test edges between nodes that have train edges, and those with an end that appears only later.

    Args:
        test: as for `horizon_rows`, like the next two.
        split: with times.
        threshold: logit of the decision in use.
    """
    is_old = np.zeros(split.space.num_nodes, dtype=np.bool_)
    is_old[split.train] = True
    later = np.zeros_like(is_old)
    for part in PARTS[1:]:
        later[getattr(split, part)] = True
    is_known = is_old[split.test].all(axis=1)
    groups = {"both_ends_known": is_known, "new_end": ~is_known}
    return {
        "num_nodes": int((later & ~is_old).sum()),
        **{name: _fate(test, np.flatnonzero(chosen), threshold) for name, chosen in groups.items()},
    }


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
