"""Rules on a confusion matrix and the figures reported with it: D03, D04, D07 to D10."""

from linkodds.doctor.confusion import ConfusionMatrix
from linkodds.findings import Finding

MIN_PAIRS = 200
"""Counts of fewer pairs say too little: only D07 and D09 are judged."""

_RULE_CURE = (
    "Set the threshold by a rule on held-out edges, not at 0.5. The matrix does not say why; bring the scores as well: a "
    "table with the columns label and logit."
)


def normalised(report: ConfusionMatrix) -> Finding | None:
    """D07: shares in the place of counts."""
    of = {"rows": "shares of their rows", "columns": "shares of their columns", "all": "shares of all pairs"}
    if not (kind := report.normalised):
        return None
    message = f"The cells are {of[kind]}, no counts"
    if kind == "rows":
        message += (
            f": (tp + tn) / 2 = {report.balanced_accuracy:.3f} is the balanced accuracy and no accuracy, and tp / (tp + fp) "
            + ("does not exist" if report.precision is None else f"= {report.precision:.3f}")
            + " is the precision with one non-edge for each edge"
        )
        if report.ratio is not None and report.precision is not None:
            message += f", {at_ratio(report.precision, report.ratio):.3g} at 1:{report.ratio:.4g}"
        message += "."
    elif kind == "columns":
        message += ": recall and accuracy cannot be read from them."
    else:
        message += ": how many pairs they rest on, and so how sure they are, cannot be read from them."
    remedy = "Report the four counts (confusion_matrix without normalize), over all candidates or with their weights."
    return Finding("D07", "error", message, remedy, report.tp + report.fn)


def at_ratio(precision: float, ratio: float) -> float:
    """The precision at `ratio` non-edges for each edge of decisions that have `precision` at one for each.

    Example:
        >>> round(at_ratio(0.95, 80.0), 3)
        0.192
    """
    return precision / (precision + (1 - precision) * ratio)


def constant_decisions(report: ConfusionMatrix) -> Finding | None:
    """D03: (nearly) every pair is called an edge, or none is."""
    if report.normalised == "columns":
        return None
    prevalence = (report.tp + report.fn) / report.total
    share = (report.tp + report.fp) / report.total
    if share >= 0.999:
        said = "(nearly) every pair is called an edge"
    elif share <= min(0.001, prevalence / 10):
        said = "(nearly) no pair is called an edge"
    else:
        return None
    auc = report.figures.get("roc_auc", report.figures.get("auc"))
    ranking = "" if auc is None else f", and a ROC AUC of {auc:.3f} is lost on it"
    message = (
        f"{share:.2%}: {said}, so the balanced accuracy is {report.balanced_accuracy:.3f} whatever the model has learnt"
        f"{ranking}."
    )
    return Finding("D03", "warning", message, _RULE_CURE, share)


def threshold_only(report: ConfusionMatrix) -> Finding | None:
    """D04: a good ROC AUC was reported, and the decisions are no better than chance."""
    auc = report.figures.get("roc_auc", report.figures.get("auc"))
    if report.normalised == "columns" or auc is None or auc < 0.75 or abs(report.balanced_accuracy - 0.5) > 0.02:
        return None
    message = (
        f"The ranking is fine (ROC AUC {auc:.3f}) and the threshold is not: balanced accuracy "
        f"{report.balanced_accuracy:.3f}."
    )
    return Finding("D04", "warning", message, _RULE_CURE, report.balanced_accuracy)


def balanced_non_edges(report: ConfusionMatrix) -> Finding | None:
    """D08: counts on far fewer non-edges than there are."""
    ratio, precision = report.ratio, report.precision
    if report.normalised or ratio is None:
        return None
    here = (report.tn + report.fp) / (report.tp + report.fn)
    if here >= ratio / 5:
        return None
    edges = report.tp + report.fn
    # No false positive among m non-edges leaves a rate of up to 3 / m.
    lowest = report.tp / (report.tp + max(report.fp, 3) * ratio / here) if report.tp else 0.0
    message = (
        f"{here:.3g} non-edges for each of {edges:g} edges in the matrix, {ratio:.4g} among the pairs it stands for: "
    ) + (
        "no precision can be read from it."
        if precision is None
        else f"a precision of {precision:.3f} here is {'' if report.fp >= 3 else 'as little as '}{lowest:.3g} there."
    )
    remedy = "Judge all non-edges, or a uniform sample of them with weights, and quote the precision at the base rate."
    return Finding("D08", "error", message, remedy, here)


def averaged_f1(report: ConfusionMatrix) -> Finding | None:
    """D09: an F1 over edges and non-edges stands where that of the edges belongs.

    It does when it is named so, or when a plain `f1` is the weighted one of the matrix and not that of the edges; and it
    misleads where edges are under a tenth and it is over 0.2 higher. A report that has the F1 of the edges too is warned.
    """
    named = {name: value for name, value in report.figures.items() if name.startswith("f1")}
    averaged = {name: value for name, value in named.items() if "weighted" in name or "micro" in name}
    own = next((value for name, value in named.items() if name in ("f1", "f1_score", "f1_positive", "f1_edge")), None)
    if own is not None and not averaged and not report.normalised and abs(own - report.f1) > 0.005:
        if abs(own - report.weighted_f1) > 0.005:
            return None
        averaged, own = {"f1": own}, None
    if not averaged:
        return None
    name, value = next(iter(averaged.items()))
    prevalence = (report.tp + report.fn) / report.total
    misleads = prevalence < 0.1 and value - report.f1 > 0.2 and not report.normalised
    if own is not None and not misleads:
        return None
    message = f"{name} = {value:.4f} is averaged over edges and non-edges" + (
        "" if report.normalised else f"; the F1 of the edges is {report.f1:.4f}"
    )
    message += ". Where edges are rare, a model that finds none has nearly 1."
    remedy = "Report the F1 of the edges (average='binary'), better the average precision at the base rate."
    return Finding("D09", "error" if own is None else "warning", message, remedy, value)


def accuracy_trap(report: ConfusionMatrix) -> Finding | None:
    """D10: an accuracy that saying the same of every pair reaches as well."""
    if report.normalised:
        return None
    prevalence = (report.tp + report.fn) / report.total
    accuracy, constant = (report.tp + report.tn) / report.total, max(prevalence, 1 - prevalence)
    if accuracy > constant + 0.001:
        return None
    said = "none is" if prevalence < 0.5 else "all are"
    message = f"The accuracy is {accuracy:.4f}; who says that {said} an edge has {constant:.4f}."
    remedy = "Leave the accuracy out; report precision and recall of the edges, or the balanced accuracy."
    return Finding("D10", "warning", message, remedy, accuracy)


ALWAYS = (normalised, averaged_f1)
"""Rules on any matrix."""

ON_COUNTS = (constant_decisions, threshold_only, balanced_non_edges, accuracy_trap)
"""Rules on enough pairs, or on shares."""
