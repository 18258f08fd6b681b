"""Weighted statistics of logits and labels, for rows that stand for any number of pairs each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from linkodds.doctor.inputs import Floats, sigmoid

Labels = NDArray[np.bool_]


def roc_curve(labels: Labels, logits: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct logits from high to low, and the shares of edges and of non-edges at or above each.

    Returns:
        Three arrays of shape (distinct logits,): thresholds, recall, false positive rate.
    """
    order = np.argsort(-logits, kind="stable")
    labels, logits, weights = labels[order], logits[order], weights[order]
    last = np.append(np.flatnonzero(np.diff(logits)), len(logits) - 1)  # the last row of each run of equal logits
    edges, non_edges = np.cumsum(weights * labels), np.cumsum(weights * ~labels)
    return logits[last], edges[last] / edges[-1], non_edges[last] / non_edges[-1]


def roc_auc(labels: Labels, logits: Floats, weights: Floats) -> float:
    """Chance that an edge ranks above a non-edge, ties counted half.

    Example:
        >>> roc_auc(np.array([True, False, False]), np.array([1.0, 1.0, 0.0]), np.ones(3))
        0.75
    """
    _, recall, fpr = roc_curve(labels, logits, weights)
    return float(np.trapezoid(np.append(0.0, recall), np.append(0.0, fpr)))


def best_balanced_accuracy(labels: Labels, logits: Floats, weights: Floats) -> tuple[float, float]:
    """The best (recall + 1 - false positive rate) / 2 that any threshold reaches, and the lowest logit let in."""
    thresholds, recall, fpr = roc_curve(labels, logits, weights)
    best = int(np.argmax(recall - fpr))
    return float(1 + recall[best] - fpr[best]) / 2, float(thresholds[best])


def intercept_shift(labels: Labels, logits: Floats, weights: Floats) -> float:
    """The number that, added to every logit, makes the expected edges equal to the observed ones.

    Example:
        >>> shift = intercept_shift(np.array([True, False]), np.zeros(2), np.array([1.0, 79.0]))
        >>> round(shift, 4) == round(float(np.log(1 / 79)), 4)
        True
    """
    observed = float(weights[labels].sum())
    reach = 40.0 + float(np.abs(logits).max())
    return float(brentq(lambda shift: float(weights @ sigmoid(logits + shift)) - observed, -reach, reach, xtol=1e-10))


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
    scale = float(logits.std())
    edges, non_edges = logits[labels], logits[~labels]
    if scale == 0 or edges.min() >= non_edges.max() or edges.max() <= non_edges.min():
        return None
    x = np.column_stack([(logits - logits.mean()) / scale, np.ones(len(logits))])
    weights = weights / weights.sum()
    odds = weights[labels].sum() / weights[~labels].sum()
    beta = np.array([0.0, np.log(odds)])

    def loss(at: Floats) -> float:
        return float(weights @ np.logaddexp(0.0, np.where(labels, -1.0, 1.0) * (x @ at)))

    for _ in range(100):
        p = sigmoid(x @ beta)
        gradient = x.T @ (weights * (labels - p))
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None
        size, before = 1.0, loss(beta)
        while loss(beta + size * step) > before + 1e-12 and size > 1e-8:
            size /= 2
        beta = beta + size * step
        if np.abs(size * step).max() < 1e-9 * (1 + np.abs(beta).max()):
            break
    else:
        return None
    residual = weights * (labels - sigmoid(x @ beta))
    bread = np.linalg.inv(hessian)
    deviation = float(np.sqrt((bread @ ((x * residual[:, None] ** 2).T @ x) @ bread)[0, 0]))
    slope = float(beta[0]) / scale
    margin = 1.959964 * deviation / scale
    return CoxFit(slope, float(beta[1]) - slope * float(logits.mean()), slope - margin, slope + margin)
