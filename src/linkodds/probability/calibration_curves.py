"""Calibration curves: maps from logits to log odds that bend, where a straight line (Platt) does not fit.

    beta        log odds = a log s - b log(1 - s) + c, s = sigmoid(logit), a and b >= 0   two slopes, one at each end
    isotonic    the best rising steps, each drawn a little towards the prevalence         no shape assumed, needs many edges
    venn-abers  two isotonic fits, the pair counted once as a non-edge and once as an edge

All three are fitted on the same thing: logits of edges and of non-edges, as weighted points.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, isotonic_regression
from scipy.special import log_expit, logit

from linkodds.metrics.logistic import fit_plane
from linkodds.metrics.logit_bins import Floats

PSEUDO_PAIRS = 1.0
"""Pairs at the prevalence that every isotonic step is mixed with, in units of one calibration edge: no step is 0 or 1."""
MAX_KNOTS = 1000
"""Logits at which Venn-Abers is worked out; between two of them its log odds are a straight line."""


@dataclass(frozen=True)
class BetaCurve:
    """log odds = a log sigmoid(z) - b log sigmoid(-z) + c (Kull, Silva Filho and Flach, AISTATS 2017).

    Its slope goes from a, far below 0, to b, far above; a = b is Platt's line.

    Args:
        a: at least 0.
        b: at least 0; not both 0.
        c: any number.
    Example:
        >>> curve = BetaCurve(2.0, 0.5, -3.0)
        >>> curve.log_odds(np.array([-20.0, 0.0, 20.0])).round(2).tolist(), round(curve.inverse(7.0), 6)
        ([-43.0, -4.04, 7.0], 20.0)
    """

    a: float
    b: float
    c: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.a, self.b, self.c]).all() and min(self.a, self.b) >= 0 and max(self.a, self.b) > 0):
            raise ValueError(f"a and b are at least 0 and not both 0, c is finite, not {self.a}, {self.b}, {self.c}")

    def log_odds(self, logits: Floats) -> Floats:
        """Any shape, float64; never falling."""
        return np.asarray(self.a * log_expit(logits) - self.b * log_expit(-logits) + self.c)

    def inverse(self, log_odds: float) -> float:
        """The smallest logit with these log odds; plus or minus infinity where none reaches them, or all exceed them."""
        if self.a == 0 and log_odds <= self.c:
            return -np.inf
        if self.b == 0 and log_odds >= self.c:
            return np.inf
        reach = 1.0
        while not self.log_odds(np.array(-reach)) <= log_odds <= self.log_odds(np.array(reach)):
            reach *= 2
        return float(brentq(lambda z: float(self.log_odds(np.array(z))) - log_odds, -reach, reach, xtol=1e-12))

    def shifted(self, by: float) -> "BetaCurve":
        """The curve with `by` added to all log odds."""
        return replace(self, c=self.c + by)

    def to_json(self) -> dict[str, Any]:
        """As calibration.json holds it."""
        return {"kind": "beta", "a": self.a, "b": self.b, "c": self.c}


@dataclass(frozen=True)
class Knots:
    """Log odds at increasing logits: straight lines between, constant beyond.

    Args:
        logits: increasing, at least one.
        log_odds: never falling, finite, one for each.
    Example:
        >>> knots = Knots((0.0, 1.0, 2.0), (-5.0, -5.0, -1.0))
        >>> knots.log_odds(np.array([-9.0, 0.5, 1.5, 9.0])).tolist(), knots.inverse(-3.0), knots.inverse(0.0)
        ([-5.0, -5.0, -3.0, -1.0], 1.5, inf)
    """

    logits: tuple[float, ...]
    log_odds_at: tuple[float, ...]

    def __post_init__(self) -> None:
        z, f = np.array(self.logits), np.array(self.log_odds_at)
        if not (len(z) == len(f) > 0 and np.isfinite(z).all() and np.isfinite(f).all()):
            raise ValueError(f"{len(z)} logits and {len(f)} log odds: as many as each other, one at least, all finite")
        if (np.diff(z) <= 0).any() or (np.diff(f) < 0).any():
            raise ValueError("the logits of knots increase, and their log odds never fall")

    def log_odds(self, logits: Floats) -> Floats:
        """Any shape, float64; never falling."""
        return np.asarray(np.interp(logits, self.logits, self.log_odds_at), dtype=np.float64)

    def inverse(self, log_odds: float) -> float:
        """The smallest logit with at least these log odds; infinity where none has, minus infinity where all have."""
        z, f = self.logits, self.log_odds_at
        after = int(np.searchsorted(f, log_odds, side="left"))
        if after == 0:
            return -np.inf
        if after == len(f):
            return np.inf
        share = (log_odds - f[after - 1]) / (f[after] - f[after - 1])
        return z[after - 1] + share * (z[after] - z[after - 1])

    def shifted(self, by: float) -> "Knots":
        """The curve with `by` added to all log odds."""
        return replace(self, log_odds_at=tuple(f + by for f in self.log_odds_at))

    def to_json(self) -> dict[str, Any]:
        """As calibration.json holds it."""
        return {"kind": "knots", "logits": list(self.logits), "log_odds": list(self.log_odds_at)}


Curve = BetaCurve | Knots


def curve_from_json(values: dict[str, Any]) -> Curve:
    """The inverse of `to_json`.

    Raises:
        KeyError: a value is missing.
        ValueError: no such curve, or values that none has.
    """
    if values["kind"] == "beta":
        return BetaCurve(float(values["a"]), float(values["b"]), float(values["c"]))
    if values["kind"] == "knots":
        return Knots(tuple(map(float, values["logits"])), tuple(map(float, values["log_odds"])))
    raise ValueError(f"no calibration curve is called {values['kind']!r}")


def fit_beta(edges: Floats, non_edges: Floats, *, edge_weights: Floats, non_edge_weights: Floats) -> BetaCurve | None:
    """The beta curve of the largest weighted likelihood: logistic regression on log s and -log(1 - s).

    The likelihood is concave, so where a or b would be negative the best curve has that one at 0.

    Args:
        edges: shape (edges,), logits.
        non_edges: shape (non-edges,), logits.
        edge_weights: shape (edges,), above 0.
        non_edge_weights: shape (non-edges,), above 0.
    Returns:
        None where no finite curve is best, or none that rises.
    Example:
        >>> z = np.array([-2.0, 0.0, 2.0])
        >>> curve = fit_beta(z, z, edge_weights=np.array([1.0, 2.0, 9.0]), non_edge_weights=np.array([9.0, 4.0, 3.0]))
        >>> np.exp(curve.log_odds(z)).round(6).tolist()  # three parameters pass through three points
        [0.111111, 0.5, 3.0]
    """

    def features(z: Floats) -> Floats:
        return np.column_stack([log_expit(z), -log_expit(-z)])

    def loss(curve: BetaCurve) -> float:
        of_edges, of_non_edges = -log_expit(curve.log_odds(edges)), -log_expit(-curve.log_odds(non_edges))
        return float(edge_weights @ of_edges + non_edge_weights @ of_non_edges)

    curves = []
    for kept in ([0, 1], [0], [1]):
        plane = fit_plane(
            features(edges)[:, kept],
            features(non_edges)[:, kept],
            edge_weights=edge_weights,
            non_edge_weights=non_edge_weights,
        )
        if plane is not None and (plane.coefficients > 0).all():
            a, b = (plane.coefficients[kept.index(each)] if each in kept else 0.0 for each in (0, 1))
            curves.append(BetaCurve(float(a), float(b), plane.intercept))
            if len(kept) == 2:
                break
    return min(curves, key=loss, default=None)


def fit_isotonic(
    edges: Floats, non_edges: Floats, *, edge_weights: Floats, non_edge_weights: Floats, prevalence: float
) -> Knots:
    """Rising steps of the largest weighted likelihood (pool adjacent violators), each mixed with the prevalence.

    A step that holds n edges and N non-edges, in units of one edge, gets the odds (n + k q) / (N + k (1 - q)), with
    k = PSEUDO_PAIRS and q the prevalence, so that none is ever 0 or infinite; where that makes a step fall below the
    one before, they are pooled again. Between the last logit of a step and the first of the next the log odds are a
    straight line.

    Args:
        edges: shape (edges,), logits.
        non_edges: shape (non-edges,), logits.
        edge_weights: shape (edges,), all alike.
        non_edge_weights: shape (non-edges,), above 0.
        prevalence: edges among the candidates, in (0, 1); the weights have this ratio.
    Example:
        >>> z, ones = np.array([0.0, 1.0, 2.0]), np.ones(3)
        >>> knots = fit_isotonic(z, z, edge_weights=np.array([1., 1, 2]), non_edge_weights=np.array([4., 2, 2]), prevalence=1/3)
        >>> np.exp(knots.log_odds_at).round(3).tolist()  # (1 + 1/3) / (4 + 2/3), (1 + 1/3) / (2 + 2/3), (2 + 1/3) / (2 + 2/3)
        [0.286, 0.5, 0.875]
    """
    unit = float(edge_weights[0])
    z, num_edges, num_non_edges = _tally(edges, non_edges, edge_weights / unit, non_edge_weights / unit)
    total = num_edges + num_non_edges
    starts = isotonic_regression(num_edges / total, weights=total).blocks
    n, m = np.add.reduceat(num_edges, starts[:-1]), np.add.reduceat(num_non_edges, starts[:-1])
    n, m = n + PSEUDO_PAIRS * prevalence, m + PSEUDO_PAIRS * (1 - prevalence)
    p = isotonic_regression(n / (n + m), weights=n + m).x
    first, last = z[starts[:-1]], z[starts[1:] - 1]
    logits = np.column_stack([first, last]).ravel()
    log_odds = np.repeat(logit(p), 2)
    keep = np.append(True, np.diff(logits) > 0)
    return Knots(tuple(logits[keep].tolist()), tuple(log_odds[keep].tolist()))


def fit_venn_abers(edges: Floats, non_edges: Floats, num_non_edges: Floats) -> Knots:
    """Inductive Venn-Abers (Vovk, Petej and Fedorova, NIPS 2015) on pairs that count one each.

    For a pair with logit z, p0 is the isotonic fit at z to the sample and a non-edge at z, p1 the one to the sample and
    an edge at z; the log odds are log(p1 / (1 - p0)). The pair (p0, p1) is valid for the sample's own share of edges and
    no other: moved to another prevalence, by adding to the log odds, the result is a heuristic.

    Every fit is the slope of a tangent: of the sample's cumulative sum diagram (pairs, edges) what lies below z and what
    lies above, moved by the one pair, touch the same line from above. So both lower hulls are all that is needed.

    Args:
        edges: shape (edges,), logits.
        non_edges: shape (non-edges,), logits.
        num_non_edges: shape (non-edges,): pairs that each of them counts.
    Returns:
        Knots at the edge logits (an even choice of MAX_KNOTS of them), with log odds for the sample's share of edges.
    Example:
        >>> knots = fit_venn_abers(np.array([1.0]), np.array([0.0]), np.array([1.0]))
        >>> np.exp(knots.log_odds_at).tolist()  # p0 = 1 / 2 and p1 = 1
        [2.0]
    """
    z, n, m = _tally(edges, non_edges, np.ones(len(edges)), num_non_edges)
    diagram = np.column_stack([np.append(0.0, np.cumsum(n + m)), np.append(0.0, np.cumsum(n))])
    knots = np.flatnonzero(n)
    if len(knots) > MAX_KNOTS:
        knots = knots[np.unique(np.round(np.linspace(0, len(knots) - 1, MAX_KNOTS)).astype(np.intp))]
    mirror = np.array([-1.0, 1.0])  # seen in a mirror, what lies above z grows from the left as well
    above = list(_hulls((diagram * mirror)[::-1], (len(z) - 1 - knots)[::-1]))[::-1]
    log_odds = []
    for left, right in zip(_hulls(diagram, knots), (hull * mirror for hull in above), strict=True):
        p0, p1 = (_tangent(left, right + np.array([1.0, label])) for label in (0.0, 1.0))
        log_odds.append(np.log(p1) - np.log1p(-p0))
    rising = np.maximum.accumulate(np.array(log_odds))  # it rises but for rounding
    return Knots(tuple(z[knots].tolist()), tuple(rising.tolist()))


def _tally(
    edges: Floats, non_edges: Floats, edge_weights: Floats, non_edge_weights: Floats
) -> tuple[Floats, Floats, Floats]:
    """Distinct logits, and the weights of edges and of non-edges there."""
    z, place = np.unique(np.concatenate([edges, non_edges]), return_inverse=True)
    parts = (place[: len(edges)], edge_weights), (place[len(edges) :], non_edge_weights)
    tallies = (np.bincount(at, weights=w, minlength=len(z)).astype(np.float64) for at, w in parts)
    return z, next(tallies), next(tallies)


def _hulls(diagram: Floats, ends: NDArray[np.intp]) -> Iterator[Floats]:
    """Lower convex hulls of diagram[: end + 1], one for each end (increasing)."""
    points, done = diagram.tolist(), 0
    hull: list[tuple[float, float]] = []
    for end in ends.tolist():
        for x, y in points[done : end + 1]:
            while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-1][0]) >= (y - hull[-1][1]) * (
                hull[-1][0] - hull[-2][0]
            ):
                hull.pop()
            hull.append((x, y))
        done = end + 1
        yield np.array(hull)


def _tangent(left: Floats, right: Floats) -> float:
    """Slope of the line that both hulls touch from above, `right` lying wholly to the right of `left`."""
    dx = right[None, :, 0] - left[:, None, 0]
    dy = right[None, :, 1] - left[:, None, 1]
    return float((dy / dx).min(axis=1).max())
