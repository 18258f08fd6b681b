"""Fitting a surface: where it may bend, and the one under which held-out edges and non-edges are likeliest."""

from dataclasses import dataclass

import numpy as np

from linkodds.metrics.logistic import fit_plane
from linkodds.metrics.logit_bins import Floats
from linkodds.scorers.surface import PiecewiseLinear, Surface, pieces

LOWEST_SLOPE = 0.02
"""Least of low_j and high_j, as a share of the slope that a line on the logit alone would have."""
WEIGHT_OF_PRIOR = 0.1
"""Held-out edges' worth of a prior that keeps bends straight where nothing is seen of them."""


@dataclass(frozen=True)
class Form:
    """How a surface may bend.

    Args:
        logit_knots: see `Surface`.
        source_knots: inner knots of the source's log degree; of both ends where edges have no direction.
        target_knots: inner knots of the target's log degree.
        product_knots: inner knots of x.
        tilts: whether the slope may change with x.
        directed: whether source and target have curves of their own.
        sources: the smallest and the largest log degree of a source.
        targets: the same of a target.
    """

    logit_knots: tuple[float, ...]
    source_knots: tuple[float, ...]
    target_knots: tuple[float, ...]
    product_knots: tuple[float, ...]
    tilts: bool
    directed: bool
    sources: tuple[float, float]
    targets: tuple[float, float]

    @property
    def products(self) -> tuple[float, float]:
        """The smallest and the largest x that two ends can make."""
        return self.sources[0] + self.targets[0], self.sources[1] + self.targets[1]

    def slopes(self, points: Floats) -> Floats:
        """What the slopes multiply, shape (points, pieces), or twice as many where they tilt."""
        z, a, b = points.T
        smallest, largest = self.products
        t = (a + b - smallest) / (largest - smallest)
        parts = pieces(z, self.logit_knots)
        return np.column_stack(
            [each for piece in parts for each in ((piece * (1 - t), piece * t) if self.tilts else (piece,))]
        )

    def levels(self, points: Floats) -> Floats:
        """What the coefficients of the level multiply: a and b (or their sum), then the bends at every inner knot."""
        a, b = points[:, 1], points[:, 2]
        of_source, of_target = _bends(a, self.source_knots), _bends(b, self.target_knots)
        straight, bent = ([a, b], [of_source, of_target]) if self.directed else ([a + b], [of_source + of_target])
        return np.column_stack([*straight, *bent, _bends(a + b, self.product_knots)])

    def surface(self, slopes: Floats, levels: Floats, intercept: float) -> Surface:
        """The surface of fitted coefficients, in the order of `slopes` and `levels`."""
        ends = 2 if self.directed else 1
        low, high = (slopes[::2], slopes[1::2]) if self.tilts else (slopes, slopes)
        straight, bends = levels[:ends], levels[ends:]
        num_source, num_product = len(self.source_knots), len(self.product_knots)
        of_source, of_product = bends[:num_source], bends[len(bends) - num_product :]
        of_target = bends[num_source : len(bends) - num_product] if self.directed else of_source
        return Surface(
            self.logit_knots,
            tuple(low.tolist()),
            tuple(high.tolist()),
            self.products,
            _broken(self.sources, self.source_knots, straight[0], of_source, 0.0),
            _broken(self.targets, self.target_knots, straight[-1], of_target, 0.0),
            _broken(self.products, self.product_knots, 0.0, of_product, intercept),
        )


def fit_surface(
    form: Form, edges: Floats, non_edges: Floats, *, edge_weights: Floats, non_edge_weights: Floats, slope: float
) -> Surface | None:
    """The surface of this form under which the weighted likelihood is largest, with a weak prior against bends.

    Args:
        form: where it may bend.
        edges: shape (edges, 3): logit and log degrees of source and target.
        non_edges: shape (non-edges, 3).
        edge_weights: shape (edges,), above 0.
        non_edge_weights: shape (non-edges,), above 0.
        slope: that of a line on the logits alone, above 0; slopes stay above `LOWEST_SLOPE` of it.
    Returns:
        None where no finite surface is best: edges and non-edges can be parted, or a feature is constant.
    """

    def features(points: Floats) -> Floats:
        return np.column_stack([form.slopes(points), form.levels(points)])

    num_slopes = form.slopes(edges[:1]).shape[1]
    straight = 2 if form.directed else 1
    num_features = features(edges[:1]).shape[1]
    lower = np.where(np.arange(num_features) < num_slopes, LOWEST_SLOPE * slope, -np.inf)
    prior = np.where(np.arange(num_features) < num_slopes + straight, 0.0, WEIGHT_OF_PRIOR * float(edge_weights.mean()))
    plane = fit_plane(
        features(edges),
        features(non_edges),
        edge_weights=edge_weights,
        non_edge_weights=non_edge_weights,
        lower=lower,
        prior=prior,
    )
    if plane is None:
        return None
    return form.surface(plane.coefficients[:num_slopes], plane.coefficients[num_slopes:], plane.intercept)


def _bends(values: Floats, knots: tuple[float, ...]) -> Floats:
    return np.asarray(np.maximum(values[:, None] - np.array(knots)[None, :], 0.0))


def _broken(
    limits: tuple[float, float], knots: tuple[float, ...], straight: float, bends: Floats, intercept: float
) -> PiecewiseLinear:
    at = np.array([limits[0], *knots, limits[1]])
    values = intercept + straight * at + _bends(at, knots) @ bends
    return PiecewiseLinear(tuple(at.tolist()), tuple(values.tolist()))
