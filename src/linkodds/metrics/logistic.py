"""Logistic regression on one logit or a few features: what calibrates, and what measures calibration."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from linkodds.metrics.logit_bins import Floats


@dataclass(frozen=True, eq=False)
class Line:
    """log odds = slope * logit + intercept, at the maximum of the weighted likelihood.

    Args:
        slope: any sign.
        intercept: at logit 0.
        edge_scores: shape (edges, 2): derivatives of the log likelihood of one edge of weight 1, in the coordinates of
            the solver (standardised logits); what a sandwich covariance is made of.
        non_edge_scores: shape (non-edges, 2), the same.
        information: shape (2, 2): minus the second derivatives of the weighted log likelihood, in these coordinates.
        back: shape (2, 2): from these coordinates to (slope, intercept).
    """

    slope: float
    intercept: float
    edge_scores: Floats
    non_edge_scores: Floats
    information: Floats
    back: Floats

    def covariance(self, of_scores: Floats) -> Floats:
        """Shape (2, 2), of (slope, intercept), from the covariance of the weighted sum of the scores: the sandwich.

        `information` itself in its place gives the covariance that holds if the model does and weights are counts.
        """
        bread = self.back @ np.linalg.inv(self.information)
        return np.asarray(bread @ of_scores @ bread.T)


@dataclass(frozen=True, eq=False)
class Plane:
    """log odds = coefficients . features + intercept, at the maximum of the weighted likelihood.

    Args:
        coefficients: shape (features,), any signs.
        intercept: where all features are 0.
    """

    coefficients: Floats
    intercept: float

    def __call__(self, features: Floats) -> Floats:
        """Log odds, shape (points,), of features of shape (points, features)."""
        return np.asarray(features @ self.coefficients + self.intercept)


def fit_line(
    edges: Floats,
    non_edges: Floats,
    *,
    edge_weights: Floats,
    non_edge_weights: Floats,
    targets: tuple[float, float] = (1.0, 0.0),
) -> Line | None:
    """Maximise the weighted likelihood by Newton steps, halved where they overshoot: it is concave, so that ends.

    Args:
        edges: shape (edges,), logits.
        non_edges: shape (non-edges,), logits.
        edge_weights: shape (edges,), above 0.
        non_edge_weights: shape (non-edges,), above 0.
        targets: of edges and of non-edges; strictly inside (0, 1) they have a finite maximum for separated logits too.
    Returns:
        None where no finite line is best (all logits equal; edges on one side of all non-edges, with targets 1 and 0),
        or where none can be told: one weighted point outweighs everything.
    Example:
        >>> logits = np.array([0.0, 1.0])
        >>> line = fit_line(logits, logits, edge_weights=np.array([1.0, 3.0]), non_edge_weights=np.array([3.0, 1.0]))
        >>> round(line.slope, 3), round(line.intercept, 3)  # the odds are 1/3 and 3
        (2.197, -1.099)
    """
    overlap = edges.min() < non_edges.max() and non_edges.min() < edges.max()
    if targets == (1.0, 0.0) and not overlap:
        return None
    best = _maximum(edges[:, None], non_edges[:, None], edge_weights, non_edge_weights, targets)
    if best is None:
        return None
    (slope,), intercept = best.coefficients.tolist(), best.intercept
    scores = best.scores
    return Line(slope, intercept, scores[: len(edges)], scores[len(edges) :], best.information, best.back)


def fit_plane(
    edges: Floats,
    non_edges: Floats,
    *,
    edge_weights: Floats,
    non_edge_weights: Floats,
    lower: Floats | None = None,
    prior: Floats | None = None,
) -> Plane | None:
    """The same for several features.

    Args:
        edges: shape (edges, features).
        non_edges: shape (non-edges, features).
        edge_weights: shape (edges,), above 0.
        non_edge_weights: shape (non-edges,), above 0.
        lower: shape (features,): the least that each coefficient may be.
        prior: shape (features,): weight of a normal prior around 0 on each coefficient, its feature in standard deviations;
            0 is no prior, 1 pulls like an observation of weight 1.
    Returns:
        None where a feature is constant, or a multiple of another, or where edges and non-edges can be parted.
    Example:
        >>> features = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> plane = fit_plane(
        ...     features, features, edge_weights=np.array([1.0, 2.0, 4.0]), non_edge_weights=np.ones(3))
        >>> np.exp(plane(features)).round(6).tolist()
        [1.0, 2.0, 4.0]
    """
    best = _maximum(edges, non_edges, edge_weights, non_edge_weights, (1.0, 0.0), lower, prior)
    if best is None or not best.last_step < 1e-6:  # parted edges and non-edges: the steps never end
        return None
    return Plane(best.coefficients, best.intercept)


@dataclass(frozen=True, eq=False)
class _Maximum:
    coefficients: Floats
    intercept: float
    scores: Floats
    information: Floats
    back: Floats
    last_step: float


def _maximum(
    edges: Floats,
    non_edges: Floats,
    edge_weights: Floats,
    non_edge_weights: Floats,
    targets: tuple[float, float],
    lower: Floats | None = None,
    prior: Floats | None = None,
) -> _Maximum | None:
    # Both classes alike, not the rare edges alone or the many non-edges, set centre and scale: Newton's method then
    # starts, and stays, well conditioned.
    parts = ((edges, edge_weights), (non_edges, non_edge_weights))
    centre = sum(np.average(x, axis=0, weights=w) for x, w in parts) / 2
    scale = np.sqrt(sum(np.average((x - centre) ** 2, axis=0, weights=w) for x, w in parts) / 2)
    if (scale == 0).any():
        return None
    points, weights = np.concatenate([edges, non_edges]), np.concatenate([edge_weights, non_edge_weights])
    target = np.repeat(targets, [len(edges), len(non_edges)])
    features = np.column_stack([(points - centre) / scale, np.ones(len(points))])
    floor = np.append(np.full(len(scale), -np.inf) if lower is None else lower * scale, -np.inf)
    pull = np.append(np.zeros(len(scale)) if prior is None else prior, 0.0)

    def loss(line: Floats) -> float:
        f = features @ line
        return float(pull @ line**2) / 2 - float(weights @ (target * log_expit(f) + (1 - target) * log_expit(-f)))

    start = np.append(np.zeros(edges.shape[1]), np.log(edge_weights.sum() / non_edge_weights.sum()))
    line = np.maximum(start, floor)
    for _ in range(200):
        p = expit(features @ line)
        information = (features.T * (weights * p * (1 - p))) @ features + np.diag(pull)
        if not np.linalg.cond(information) < 1e15:
            return None
        step = _step(line, floor, features.T @ (weights * (target - p)) - pull * line, information)
        if np.abs(step).max() < 1e-12 * (1 + np.abs(line).max()):
            break
        falling = np.flatnonzero(step < 0)
        size = min(1.0, float(((floor - line)[falling] / step[falling]).min(initial=np.inf)))
        before = loss(line)
        while loss(line + size * step) > before * (1 + 1e-14) and size > 1e-12:
            size /= 2
        line = np.maximum(line + size * step, floor)
    scores = features * (target - p)[:, None]
    back = np.diag(np.append(1 / scale, 1.0))
    back[-1, :-1] = -centre / scale
    *coefficients, intercept = (back @ line).tolist()
    return _Maximum(np.array(coefficients), intercept, scores, information, back, float(np.abs(step).max()))


def _step(line: Floats, floor: Floats, slope: Floats, information: Floats) -> Floats:
    """Newton's step among the coefficients that may move: those on their floor that would fall below it stay."""
    on_floor = line <= floor
    held = on_floor & (slope < 0)
    while True:
        free, step = np.flatnonzero(~held), np.zeros(len(line))
        step[free] = np.linalg.solve(information[np.ix_(free, free)], slope[free])
        falling = on_floor & (step < 0)
        if not falling.any():
            return step
        held |= falling
