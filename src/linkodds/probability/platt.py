"""Platt's line: slope and intercept, or the intercept alone, on weighted points that stand for edges and non-edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Z95
from linkodds.metrics.logistic import fit_line
from linkodds.metrics.logit_bins import Floats

Interval = tuple[float, float]


@dataclass(frozen=True)
class LineFit:
    """Slope and intercept at the prevalence of the points, each with its 95 % interval where it was fitted."""

    slope: float
    intercept: float
    slope_interval: Interval | None
    intercept_interval: Interval | None


@dataclass(frozen=True, eq=False)
class Points:
    """Edges, then non-edges, as weighted points whose weights sum to the prevalence and to its complement."""

    logits: Floats
    weights: Floats
    targets: Floats
    num_edges: int
    num_independent: float
    """Edges that weigh alike and would leave as much open as these: all of them where all weigh alike."""
    num_scored: float
    separated: bool
    sampled: tuple[tuple[slice, float], ...]
    """Points of one stratum of one fold, and the variance of a mean over it in units of the variance among it, 0 when all
    of it was scored."""

    def deviation(self) -> float:
        """Standard deviation of the non-edge logits (of all logits, should they be constant)."""
        z, w = self.logits[self.num_edges :], self.weights[self.num_edges :]
        spread = float(np.sqrt(np.average((z - np.average(z, weights=w)) ** 2, weights=w)))
        return spread or float(np.std(self.logits))

    def score_covariance(self, of_edges: Floats, of_non_edges: Floats) -> Floats:
        """Covariance of the weighted sum of per-point scores, (points, k) each: edges drawn, non-edges known or sampled."""
        parts = [(of_edges, self.weights[: self.num_edges], 1 / max(self.num_independent - 1, 1))]
        of_strata = self.weights[self.num_edges :]
        parts += [(of_non_edges[where], of_strata[where], variance) for where, variance in self.sampled]
        return np.asarray(sum(variance * w.sum() ** 2 * _covariance(rows, w) for rows, w, variance in parts))


def weighted_points(held_out: Sequence[HeldOut], prevalence: float) -> Points:
    """The points of one or more folds: edges are pooled, by their confidences; folds weigh alike in the non-edges."""
    edges = np.concatenate([sample.edge_logits for sample in held_out]).astype(np.float64)
    strata = [(part, sample.non_edges.num_non_edges) for sample in held_out for part in sample.non_edges.parts]
    parts = [part.bins.points() for part, _ in strata]
    non_edges = np.concatenate([z for z, _ in parts])
    mass = np.concatenate([w / total for (_, w), (_, total) in zip(parts, strata, strict=True)]) / len(held_out)
    ends = np.cumsum([0, *(len(z) for z, _ in parts)]).tolist()
    separated = bool(non_edges.max() <= edges.min() or edges.max() <= non_edges.min())
    confidences = _confidences(held_out)
    n, m = len(edges), sum(part.num_scored for part, _ in strata)
    target_of_edge, target_of_non_edge = ((n + 1) / (n + 2), 1 / (m + 2)) if separated else (1.0, 0.0)
    return Points(
        logits=np.concatenate([edges, non_edges]),
        weights=np.concatenate([prevalence * confidences, (1 - prevalence) * mass])
        if confidences is not None
        else np.concatenate([np.full(n, prevalence / n), (1 - prevalence) * mass]),
        targets=np.concatenate([np.full(n, target_of_edge), np.full(len(non_edges), target_of_non_edge)]),
        num_edges=n,
        num_independent=float(n) if confidences is None else float(1 / np.square(confidences).sum()),
        num_scored=float(m),
        separated=separated,
        sampled=tuple(
            (slice(start, stop), (1 - part.rate) / part.num_scored)
            for (part, _), start, stop in zip(strata, ends[:-1], ends[1:], strict=True)
        ),
    )


def _confidences(held_out: Sequence[HeldOut]) -> Floats | None:
    """Shape (edges,), of all folds, with the sum 1; None where nothing says how sure the edges are."""
    if all(sample.confidences is None for sample in held_out):
        return None
    parts = [np.ones(sample.num_edges) if sample.confidences is None else sample.confidences for sample in held_out]
    values: Floats = np.concatenate(parts)
    return np.asarray(values / values.sum())


def _covariance(rows: Floats, weights: Floats) -> Floats:
    centred = rows - np.average(rows, axis=0, weights=weights)
    return np.asarray(centred.T @ (centred * (weights / weights.sum())[:, None]))


def fit_platt(points: Points) -> LineFit | None:
    """Slope and intercept of the largest weighted likelihood, any sign; None where no line can be told."""
    edges, non_edges = slice(None, points.num_edges), slice(points.num_edges, None)
    z, w, y = points.logits, points.weights, points.targets
    line = fit_line(
        z[edges],
        z[non_edges],
        edge_weights=w[edges],
        non_edge_weights=w[non_edges],
        targets=(float(y[0]), float(y[-1])),
    )
    if line is None:
        return None
    if points.separated or np.ptp(z[edges]) == 0:
        # Edges that all look alike, or lie beyond the line's steep part, have no spread of their own: take the model's.
        of_scores = line.information * float(w[edges].sum()) / points.num_independent
    else:
        of_scores = points.score_covariance(line.edge_scores, line.non_edge_scores)
    slope_error, intercept_error = (Z95 * np.sqrt(np.diag(line.covariance(of_scores)))).tolist()
    return LineFit(
        line.slope,
        line.intercept,
        (line.slope - slope_error, line.slope + slope_error),
        (line.intercept - intercept_error, line.intercept + intercept_error),
    )


def fit_bias(points: Points, slope: float) -> LineFit:
    """The intercept at which probabilities sum to the number of edges, the slope given."""
    z, w = slope * points.logits, points.weights
    prevalence = float(w[: points.num_edges].sum())
    bracket = float(logit(prevalence)) - float(z.max()) - 1.0, float(logit(prevalence)) - float(z.min()) + 1.0
    intercept = float(brentq(lambda b: float(w @ expit(z + b)) - prevalence, *bracket, xtol=1e-12))
    p = expit(z + intercept)
    of_edges, of_non_edges = np.split((p - points.targets)[:, None], [points.num_edges])
    error = float(np.sqrt(points.score_covariance(of_edges, of_non_edges)[0, 0]) / (w @ (p * (1 - p))))
    return LineFit(slope, intercept, None, (intercept - Z95 * error, intercept + Z95 * error))
