"""Rules on scores that tie: D11, D12, D34."""

import numpy as np

from linkodds.doctor.inputs import ScoreTable
from linkodds.findings import Finding, Severity
from linkodds.metrics.logit_bins import Floats

FEW_STEPS = 10
"""Rows for each distinct value, from which values come in steps."""


def one_score(table: ScoreTable) -> Finding | None:
    """D34: every pair has the same score, but for rounding."""
    low, high = float(table.values.min()), float(table.values.max())
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return None
    message = (
        f"All {table.num_rows:,} pairs have the {table.kind} {high:.6g}: nothing is ranked, and whatever is measured is that "
        "of a constant. The model has collapsed, or this is the wrong column."
    )
    remedy = (
        "Look at what goes into the decoder: embeddings that are all alike (D15), features that are constant (D14), a loss "
        "that stays at ln 2 (D18)."
    )
    return Finding("D34", "error", message, remedy, high)


def hard_labels(table: ScoreTable) -> Finding | None:
    """D11: two distinct scores."""
    distinct = np.unique(table.values)
    if len(distinct) != 2:
        return None
    values = f"{distinct[0]:g} and {distinct[1]:g}"
    what = "decisions, not scores" if set(distinct.tolist()) <= {-1.0, 0.0, 1.0} else "two classes of pairs, not scores"
    message = (
        f"There are only 2 distinct value(s), {values}: these are {what}, and a ROC AUC or an average "
        "precision of decisions is that of one threshold."
    )
    remedy = "Give the metric the scores from before the threshold: logits or probabilities."
    return Finding("D11", "error", message, remedy, 2.0)


def ties_at_an_end(table: ScoreTable) -> Finding | None:
    """D12: many pairs share the highest or the lowest score, or a probability is exactly 0 or 1. Counts may tie.

    An edge at probability 0, or a non-edge at 1, makes it an error: the log loss is infinite.
    """
    if table.kind != "probability":
        if (table.values == np.round(table.values)).all():
            return None  # counts, such as of shared neighbours
        return tied_share(table.values, table.num_edges, table.kind)
    p, labels = table.values, table.labels
    exact = {end: p == end for end in (1.0, 0.0)}
    if not any(at.any() for at in exact.values()):
        return tied_share(p, table.num_edges, table.kind)
    counted = [f"{at.sum():,} of {len(p):,} pairs have probability {end:g}" for end, at in exact.items() if at.any()]
    wrong = [
        f"{at.sum():,} {what}"
        for what, at in {
            "edge(s) have probability 0, which calls them impossible": labels & exact[0.0],
            "non-edge(s) have probability 1, which calls them certain": ~labels & exact[1.0],
        }.items()
        if at.any()
    ]
    message = f"{' and '.join(counted)}{_why_exact(p)}."
    if wrong:
        message += f" {'; '.join(wrong)}: the log loss is infinite."
    else:
        message += " Their order is lost, and with it what the top of the list is measured by."
    share = float(max(at.sum() for at in exact.values()) / len(p))
    return Finding("D12", "error" if wrong else "warning", message, _cure_of_exact(p), share)


def tied_share(values: Floats, num_edges: int, kind: str) -> Finding | None:
    """D12 on scores of any kind: a tie at an end of more than max(0.001, 5 / edges) of them.

    Args:
        values: shape (pairs,).
        num_edges: how many of them are edges.
        kind: "logit", "probability" or "score".
    """
    limit = max(1e-3, 5 / num_edges)
    for name, end in (("highest", float(values.max())), ("lowest", float(values.min()))):
        num = int((values == end).sum())
        if num < 2 or num <= limit * len(values):
            continue
        steps = num_steps(values)
        why = (
            ", a clip or a saturation"
            if steps is None
            else f", one of {steps:,} distinct values, as those of trees are"
        )
        message = f"{num} of {len(values)} pairs have the {name} {kind}, {end:.6g}{why}. Their order is lost"
        message += ", and with it what the top of the list is measured by." if name == "highest" else "."
        remedy = "Rank on logits, write them in full, and take the sigmoid (in float64) only for display."
        if steps is not None:
            remedy = (
                "Rank on a score that tells these pairs apart (more trees, deeper ones), and count ties in proportion."
            )
        severity: Severity = (
            "warning" if name == "highest" else "info"
        )  # pairs without a common neighbour tie at the end
        return Finding("D12", severity, message, remedy, num / len(values))
    return None


def num_steps(values: Floats) -> int | None:
    """Number of distinct values where they come in steps: ten rows or more for each; else None.

    Example:
        >>> num_steps(np.arange(100) % 7), num_steps(np.arange(100.0))
        (7, None)
    """
    distinct = len(np.unique(values))
    return distinct if distinct * FEW_STEPS <= len(values) else None


def _is_rounded_sigmoid(p: Floats) -> bool:
    """Whether values come as near to 1 as those of a float32 sigmoid do before they are 1, and do not come in steps."""
    below = p[p < 1]
    return num_steps(p) is None and len(below) > 0 and float(below.max()) > 1 - 1e-4


def _why_exact(p: Floats) -> str:
    """What makes probabilities of exactly 0 or 1, from the values beside them."""
    if (p == 1).any() and not (p == 0).any() and _is_rounded_sigmoid(p):
        return ": 1 was rounded, in float32 the sigmoid is 1 from a logit of 17 on"
    steps = num_steps(p)
    if steps is not None:
        return f": there are {steps:,} distinct values, and the outermost of isotonic regression or of trees are exactly 0 and 1"
    return ": no sigmoid in float64 gives that, but isotonic regression, trees, a clip and too few digits do"


def _cure_of_exact(p: Floats) -> str:
    if (p == 1).any() and not (p == 0).any() and _is_rounded_sigmoid(p):
        return "Rank on logits, write them in full, and take the sigmoid (in float64) only for display."
    return (
        "Rank on the scores from before the calibrator, and give a step of n held-out pairs with k edges (k + 1) / (n + 2) in "
        "the place of k / n (Venn-Abers calibration, more leaves to a tree), so that no answer is impossible."
    )


RULES = (one_score, hard_labels, ties_at_an_end)
"""Rules on finite scores of any kind."""
