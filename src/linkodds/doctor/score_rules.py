"""Rules on a table of labels and scores: D01 to D06, D08, D10, D13, D24, D33. Each takes the table and returns what it found."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from linkodds.doctor.inputs import ScoreTable
from linkodds.doctor.weighted import CoxFit, best_balanced_accuracy, best_f1, fit_cox, intercept_shift
from linkodds.findings import Finding
from linkodds.metrics.logit_bins import Floats

MIN_ROWS = 200
"""Fewer rows say too little: only D13 is judged."""

ONE_SIGMOID = 0.7310586
"""sigmoid(1): what a second sigmoid makes of a probability of 1; of 0 it makes 0.5."""

TOP_FACTOR = 1.5
"""Between what the top promises and what it holds; D33 speaks of more alone."""

OVERFLOW = 80.0
"""exp(88.7) is the largest float32."""


def nonfinite_scores(table: ScoreTable) -> Finding | None:
    """D13: a score that is no number, or a logit whose exponential is about to overflow."""
    bad = int((~np.isfinite(table.values)).sum())
    if bad:
        row = int(np.argmax(~np.isfinite(table.values))) + 1
        message = (
            f"{bad} of {table.num_rows} scores are NaN or infinite (the first in row {row}): the training or the "
            "score overflowed."
        )
        return Finding("D13", "error", message, OVERFLOW_CURE, float(bad))
    largest = float(np.abs(table.values).max())
    if table.kind == "logit" and largest > OVERFLOW:
        message = (
            f"The largest logit is {largest:.4g} in size: exp of it overflows float32 at 88.7, so probabilities "
            "become 0, 1 or NaN."
        )
        return Finding("D13", "error", message, OVERFLOW_CURE, largest)
    return None


def double_sigmoid(table: ScoreTable) -> Finding | None:
    """D01: probabilities between sigmoid(0) and sigmoid(1), or "logits" between 0 and 1. A constant is not enough."""
    low, high = float(table.values.min()), float(table.values.max())
    if low == high:
        return None
    if table.kind == "logit" and low >= 0 and high <= 1:
        message = (
            f"The logits all lie between {low:.4g} and {high:.4g}, inside [0, 1]: they are probabilities, and a loss "
            "or a decision on logits applies a second sigmoid."
        )
        remedy = (
            "Take the sigmoid out of the decoder and pass its logits to binary_cross_entropy_with_logits; to undo "
            "it, logit = log(p / (1 - p)) of these values."
        )
    elif table.kind == "probability" and low >= 0.5 - 1e-6 and high <= ONE_SIGMOID + 1e-6:
        message = (
            f"The probabilities all lie between {low:.4g} and {high:.4g}, which is what two sigmoids in a row leave: "
            "sigmoid(0) = 0.5 to sigmoid(1) = 0.731."
        )
        message += " (One sigmoid of logits between 0 and 1 looks the same.)"
        remedy = (
            "Apply the sigmoid once: logits to the loss, sigmoid of the logits for probabilities; to undo it, logit "
            "= logit(logit(p))."
        )
    else:
        return None
    return Finding("D01", "error", message, remedy, high)


def nonnegative_logits(table: ScoreTable) -> Finding | None:
    """D02: no probability below one half, though some lie above what two sigmoids reach."""
    low, high = (table.values.min(), table.values.max())
    half, beyond_two_sigmoids = (0.0, np.log(0.732 / 0.268)) if table.kind == "logit" else (0.5, 0.732)
    if low < half or high <= beyond_two_sigmoids:
        return None
    message = (
        f"No {table.kind} is below {low:.4g}, so every pair is called an edge at 0.5: the decoder cannot say no, "
        "as an inner product without a bias, of embeddings that all point one way, cannot."
    )
    remedy = (
        "Make the last layer of the encoder linear, give the decoder a bias, calibrate on held-out edges, and give "
        "the nodes features that differ."
    )
    return Finding("D02", "error", message, remedy, float(table.probabilities.min()))


def constant_decisions(table: ScoreTable) -> Finding | None:
    """D03: at one half (nearly) every pair is an edge, or none is."""
    weights = table.row_weights
    share = float(weights[table.probabilities >= 0.5].sum() / weights.sum())
    prevalence = 1 / (1 + table.ratio)
    if share >= 0.999:
        said = "(nearly) all are"
    elif share <= min(0.001, prevalence / 10):
        said = "(nearly) none is"
    else:
        return None
    auc = float(roc_auc_score(table.labels, table.logits, sample_weight=weights))
    message = (
        f"At a threshold of 0.5, {share:.2%} of the pairs are predicted edges: {said} an edge for this decision, "
        f"and a ROC AUC of {auc:.3f} is lost on it."
    )
    return Finding("D03", "warning", message, _threshold_cure(table), share)


def threshold_only(table: ScoreTable) -> Finding | None:
    """D04: a good ranking with decisions no better than chance at one half."""
    weights = table.row_weights
    auc = float(roc_auc_score(table.labels, table.logits, sample_weight=weights))
    yes = table.probabilities >= 0.5
    recall = weights[yes & table.labels].sum() / weights[table.labels].sum()
    fpr = weights[yes & ~table.labels].sum() / weights[~table.labels].sum()
    balanced = float(1 + recall - fpr) / 2
    if auc < 0.75 or abs(balanced - 0.5) > 0.02:
        return None
    message = (
        f"The ranking is fine (ROC AUC {auc:.3f}) and the threshold is not: balanced accuracy {balanced:.3f} at 0.5."
    )
    return Finding("D04", "warning", message, _threshold_cure(table), balanced)


def prior_mismatch(table: ScoreTable) -> Finding | None:
    """D05: the probabilities add up to another number of edges than there are.

    Silent while the difference is within three standard errors: Poisson noise of the edges, and the noise of a sum
    over non-edges that stand for many others each.
    """
    weights, p = table.row_weights, table.probabilities
    observed, expected = float(weights[table.labels].sum()), float(weights @ p)
    ratio = observed / max(expected, 1e-300)
    sampled = (weights * np.maximum(weights - 1, 0) * p**2)[~table.labels].sum()
    noise = float(np.sqrt(max(float((weights[table.labels] ** 2).sum()), 1.0) + sampled))
    if 0.8 <= ratio <= 1.25 or abs(observed - expected) <= 3 * noise:
        return None
    shift = intercept_shift(table.labels, table.logits, weights)
    message = (
        f"{observed:.6g} edges observed, {expected:.6g} expected from the probabilities (observed / expected "
        f"{ratio:.3g}): they are made for another base rate"
    )
    message += (
        ""
        if table.at_base_rate
        else ", unless these rows are no fair sample of the pairs (then say --prevalence or --num-candidates)"
    )
    if table.odds_trained_at is not None:
        known = -np.log(table.ratio) - np.log(table.odds_trained_at)
        if abs(shift - known) < 0.5:
            message += (
                f"; the cause is the weight or the sampling in training, which alone explains a shift of {known:+.2f} "
                "in the logit"
            )
    remedy = f"Add {shift:+.3f} to every logit, or better, fit a calibrator (slope and intercept) on held-out edges."
    return Finding("D05", "warning", message + ".", remedy, ratio)


def calibration_slope(table: ScoreTable) -> Finding | None:
    """D06: the 95 % interval of the Cox slope lies outside [0.8, 1.25]."""
    fit = fit_cox(table.labels, table.logits, table.row_weights)
    return None if fit is None else judge_slope(fit)


def judge_slope(fit: CoxFit) -> Finding | None:
    """D06 on a slope that is known already. An interval below 0 is an error: the ranking is inverted."""
    interval = f"{fit.slope:.3f} (95 % {fit.low:.3f} to {fit.high:.3f})"
    if fit.high < 0:
        message = (
            f"The calibration slope is {interval}, below 0: the ranking is inverted, non-edges score above edges (ROC "
            "AUC under 0.5)."
        )
        return Finding(
            "D06",
            "error",
            message,
            "Look for a swapped label or a sign; no increasing map of these scores is a probability.",
            fit.slope,
        )
    if fit.low > 1.25:
        meaning = "above 1: the probabilities are underconfident, too close to each other"
    elif fit.high < 0.8:
        meaning = "below 1: the probabilities are overconfident, as an overfitted model's are"
    else:
        return None
    message = f"The calibration slope is {interval}, {meaning}."
    return Finding(
        "D06",
        "warning",
        message,
        "Fit a Platt calibrator (slope and intercept) on held-out edges that the model never saw.",
        fit.slope,
    )


def balanced_non_edges(table: ScoreTable) -> Finding | None:
    """D08: far fewer non-edges than there are, and no weights; what the precision becomes at the base rate."""
    num_non_edges = table.num_rows - table.num_edges
    here = num_non_edges / table.num_edges
    if table.weights is not None or not table.at_base_rate or here >= table.ratio / 5:
        return None
    best, threshold = best_balanced_accuracy(table.labels, table.logits, table.row_weights)
    yes = table.logits >= threshold
    tp, fp = int((yes & table.labels).sum()), int((yes & ~table.labels).sum())
    on_table = tp / (tp + fp)
    # odds of precision scale with the ratio; no false positive among m non-edges leaves a rate of up to 3 / m.
    at_base_rate = tp / (tp + max(fp, 3) * table.ratio / here)
    message = (
        f"{here:.3g} non-edges for each edge in the table, {table.ratio:.4g} among the pairs it stands for, and "
        "no weights: "
        f"a precision of {on_table:.3f} here (best balanced accuracy, {best:.3f}) is "
        f"{'' if fp >= 3 else 'as little as '}{at_base_rate:.3g} at the base rate."
    )
    remedy = (
        "Score all non-edges, or a uniform sample of them with weights, and quote precision and average precision at "
        "the base rate."
    )
    return Finding("D08", "error", message, remedy, here)


def accuracy_trap(table: ScoreTable) -> Finding | None:
    """D10: at one half, the share of right answers is below that of saying the same of every pair.

    A calibrated model is right about more than half of the pairs that it puts above one half, so it is never below, but
    for noise: 0.001 and two standard errors.
    """
    weights, yes = table.row_weights, table.probabilities >= 0.5
    total, prevalence = float(weights.sum()), 1 / (1 + table.ratio)
    accuracy, constant = float(weights[yes == table.labels].sum()) / total, max(prevalence, 1 - prevalence)
    different = weights[yes] if prevalence < 0.5 else weights[~yes]
    noise = float(np.sqrt((different**2).sum())) / total
    if accuracy > constant - max(0.001, 2 * noise):
        return None
    said = "none is" if prevalence < 0.5 else "all are"
    message = (
        f"At a threshold of 0.5, {accuracy:.4f} of the pairs are judged right; who says that {said} an edge is right "
        f"about {constant:.4f}."
    )
    return Finding("D10", "warning", message, _threshold_cure(table), accuracy)


def low_resolution(table: ScoreTable) -> Finding | None:
    """D24: a sampled non-edge stands for more than 0.005 of the number of edges, or under 10 are above the best F1."""
    non_edges = ~table.labels
    weight = float(table.row_weights[non_edges].mean() / table.row_weights[table.labels].mean())
    if not table.at_base_rate or weight <= 1 + 1e-9:
        return None
    _, threshold = best_f1(table.labels, table.logits, table.row_weights)
    above = int((table.logits[non_edges] >= threshold).sum())
    if weight <= 0.005 * table.num_edges and above >= 10:
        return None
    message = (
        f"Each of the {int(non_edges.sum())} non-edges stands for {weight:.4g}, with {table.num_edges} edges, and "
        f"{above} of them lie above the threshold of the best F1: precision and average precision are read off a handful of "
        "pairs and come out too high on average."
    )
    remedy = "Score all non-edges, or more of them where scores are high (by strata, with weights); print intervals."
    return Finding("D24", "warning", message, remedy, weight)


def inverted_ranking(table: ScoreTable) -> Finding | None:
    """D06 on scores that only rank: non-edges score above edges."""
    fit = fit_cox(table.labels, table.logits, table.row_weights)
    return judge_slope(fit) if fit is not None and fit.high < 0 else None


def _pairs_per_row(labels: NDArray[np.bool_], weights: Floats, p: Floats, of_non_edges: Floats) -> float:
    """How many times as wide the sum of weighted labels less probabilities scatters as that of all pairs would.

    A pair with probability p is an edge and kept as one row in w_e, or none and kept as one in w_n: its residual has the
    variance p (1 - p)^2 w_e + (1 - p) p^2 w_n, where that of a pair that is always kept is p (1 - p).

    Args:
        labels: shape (rows,), of a top of the list.
        weights: shape (rows,).
        p: shape (rows,), probabilities.
        of_non_edges: weights of all non-edges, for a top with fewer than ten.
    """
    inside = weights[~labels]
    of_edges = float(weights[labels].mean()) if labels.any() else 1.0
    of_none = float((inside if len(inside) >= 10 else of_non_edges).mean())
    kept = float(weights @ (p * (1 - p)))
    sampled = float(weights @ (p * (1 - p) ** 2 * of_edges + (1 - p) * p**2 * of_none))
    return max(1.0, sampled / kept) if kept > 0 else 1.0


def promise_at_the_top(table: ScoreTable) -> Finding | None:
    """D33: the highest 20, 50, 100, ... rows hold another number of edges than their probabilities add up to.

    Under independent labels the number of edges in a top of k rows has no wider tails than a binomial one of the same
    mean (Hoeffding, 1956). A finding needs a chance under 1e-4 even if the promise were `TOP_FACTOR` times nearer to what is
    held: a calibrator that was fitted to few edges is off by as much.
    Rows that stand for several pairs count for as many fewer as they add to the variance. Rows that tie with the last one
    of a top belong to it; a top is half of the rows at most. The shortest one is told.
    """
    order = np.argsort(-table.logits, kind="stable")
    logits, labels, weights = table.logits[order], table.labels[order], table.row_weights[order]
    p = table.probabilities[order]
    lengths = np.array([k * 10**digit for digit in range(1, 7) for k in (2, 5, 10)])
    ends = np.unique(np.searchsorted(-logits, -logits[lengths[lengths <= len(p) // 2] - 1], side="right"))
    for k in ends[ends <= len(p) // 2].tolist():
        w, of_top = weights[:k], p[:k]
        promised, held = float(w @ of_top), float(w @ labels[:k])
        stands_for = _pairs_per_row(labels[:k], w, of_top, weights[~labels])
        trials, mean = max(round(float(w.sum()) / stands_for), 1), promised / float(w.sum())
        seen = min(round(held / stands_for), trials)
        chance = float(
            binom.cdf(seen, trials, mean / TOP_FACTOR)
            if held < promised
            else binom.sf(seen - 1, trials, min(mean * TOP_FACTOR, 1.0))
        )
        if chance >= 1e-4:
            continue
        message = (
            f"The {k:,} highest rows promise {promised:.3g} edges and hold {held:.3g}: the curve has the wrong shape there, "
            "whatever the sum over all rows and the slope say, as of a sigmoid that was fitted to probabilities in the "
            "place of logits."
        )
        remedy = (
            "Fit the sigmoid on log odds, log(p / (1 - p)) (scikit-learn's CalibratedClassifierCV(method='sigmoid') fits it "
            "on probabilities where a model has predict_proba alone), or take isotonic or Venn-Abers calibration; hold the "
            "first ranges against held-out edges."
        )
        return Finding("D33", "warning", message, remedy, held / max(promised, 1e-300))
    return None


RULES = (
    double_sigmoid,
    nonnegative_logits,
    constant_decisions,
    threshold_only,
    prior_mismatch,
    calibration_slope,
    promise_at_the_top,
    balanced_non_edges,
    accuracy_trap,
    low_resolution,
)
"""Rules on finite logits or probabilities, causes first."""

ON_A_RANKING = (inverted_ranking, balanced_non_edges, low_resolution)
"""Those of them that look at the order alone."""

OVERFLOW_CURE = (
    "Clamp the log deviation to about [-6, 2], take the loss on logits in its softplus form, lower the learning rate, "
    "clip the gradient norm at 1, and standardise the features."
)


def _threshold_cure(table: ScoreTable) -> str:
    best, logit = best_balanced_accuracy(table.labels, table.logits, table.row_weights)
    at = f"logit {logit:.6g}" if table.kind == "logit" else f"probability {1 / (1 + np.exp(-logit)):.6g}"
    return f"Set the threshold by a rule on held-out edges, not at 0.5: here balanced accuracy is {best:.3f} at {at}."
