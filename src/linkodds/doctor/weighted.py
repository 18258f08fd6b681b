"""Weighted statistics of logits and labels, for rows that stand for any number of pairs each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.metrics import roc_curve

from linkodds.metrics.intervals import Z95
from linkodds.metrics.logistic import fit_line
from linkodds.metrics.logit_bins import Floats

Labels = NDArray[np.bool_]


def best_balanced_accuracy(labels: Labels, logits: Floats, weights: Floats) -> tuple[float, float]:
    """The best (recall + 1 - false positive rate) / 2 that any threshold reaches, and its threshold."""
    thresholds, recall, fpr = _rates_at_thresholds(labels, logits, weights)
    best = int(np.argmax(recall - fpr))
    return float(1 + recall[best] - fpr[best]) / 2, float(thresholds[best])


def best_f1(labels: Labels, logits: Floats, weights: Floats) -> tuple[float, float]:
    """The best F1 that any threshold reaches, and its threshold.

    Example:
        >>> best_f1(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]), np.array([1.0, 4.0, 1.0]))
        (0.6666666666666666, 3.0)
    """
    thresholds, recall, fpr = _rates_at_thresholds(labels, logits, weights)
    edges, non_edges = float(weights[labels].sum()), float(weights[~labels].sum())
    f1 = 2 * recall * edges / (recall * edges + fpr * non_edges + edges)
    best = int(np.argmax(f1))
    return float(f1[best]), float(thresholds[best])


def _rates_at_thresholds(labels: Labels, logits: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct logits from high to low, and the recall and false positive rate of `logit >= threshold` at each."""
    fpr, recall, thresholds = roc_curve(labels, logits, sample_weight=weights, drop_intermediate=False)
    return thresholds[1:], recall[1:], fpr[1:]  # the first threshold is infinity, which lets nothing in


def intercept_shift(labels: Labels, logits: Floats, weights: Floats) -> float:
    """The number that, added to every logit, makes the expected edges equal to the observed ones.

    Example:
        >>> shift = intercept_shift(np.array([True, False]), np.zeros(2), np.array([1.0, 79.0]))
        >>> round(shift, 4) == round(float(np.log(1 / 79)), 4)
        True
    """
    observed = float(weights[labels].sum())
    reach = 40.0 + float(np.abs(logits).max())
    return float(brentq(lambda shift: float(weights @ expit(logits + shift)) - observed, -reach, reach, xtol=1e-10))


@dataclass(frozen=True)
class CoxFit:
    """Cox calibration: log odds of an edge = slope * logit + intercept, with the slope's 95 % interval."""

    slope: float
    intercept: float
    low: float
    high: float


def fit_cox(labels: Labels, logits: Floats, weights: Floats) -> CoxFit | None:
    """Weighted logistic regression of the labels on the logits (Cox, Biometrika 45, 1958).

    The interval comes from the sandwich covariance, which holds for rows that stand for several pairs each.

    Returns:
        None where there is no finite maximum: the logits are all equal, or separate edges from non-edges.
    """
    edges, non_edges = weights[labels], weights[~labels]
    line = fit_line(logits[labels], logits[~labels], edge_weights=edges, non_edge_weights=non_edges)
    if line is None:
        return None
    scores = np.concatenate([line.edge_scores * edges[:, None], line.non_edge_scores * non_edges[:, None]])
    margin = Z95 * float(np.sqrt(line.covariance(scores.T @ scores)[0, 0]))
    return CoxFit(line.slope, line.intercept, line.slope - margin, line.slope + margin)
