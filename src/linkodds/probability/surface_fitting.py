"""Fitting a surface to counts of logits and degrees together:
where it may bend, and the one under which held-out edges and non-edges are likeliest.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from linkodds.metrics.logistic import fit_plane
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edge_scores import in_order
from linkodds.metrics.non_edges import MAX_CELLS, NonEdges
from linkodds.pairs import Block, Pairs
from linkodds.scorers.scoring import Scorer
from linkodds.scorers.surface import PiecewiseLinear, Surface, pieces

LOWEST_SLOPE = 0.02
"""Least of low_j and high_j, as a share of the slope that a line on the logit alone would have."""
WEIGHT_OF_PRIOR = 0.1
"""Held-out edges' worth of a prior that keeps bends straight where nothing is seen of them."""


NUM_LOGIT_BINS, NUM_DEGREE_BINS = 512, 32


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


Degrees = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Degree + 1 of every node as a source and as a target, shape (nodes,) each, from `degrees_of`."""


@dataclass(frozen=True, eq=False)
class JointCounts:
    """Non-edges in cells of logit x log degree of the source x of the target: sums over all of them of smooth functions.

    A cell keeps a count, its mean logit, and the mean log degrees of the nodes in its two degree bins. What a sum through
    the means misses is the spread inside a cell: with log odds a z + c x, cells h wide in z and k wide in each log degree,
    about (a^2 h^2 + 2 c^2 k^2) / 24 of a small probability; that is 5e-3 for a = c = 1, logits over a range of 40 and log
    degrees over one of 7, and less in truth, since low degrees have a bin of their own.

    Args:
        points: shape (cells, 3): mean logit, log degree of the source and of the target, of each cell that holds any.
        weights: shape (cells,): non-edges, weighted to all of the graph.
        strata: cells of each stratum of the non-edges, how many of it got a logit, and the share of it that did.
    """

    points: Floats
    weights: Floats
    strata: tuple[tuple[slice, int, float], ...]

    def variance_of_mean(self, values: Floats) -> float:
        """Of the mean of `values`, shape (cells,), over all non-edges: from the draw of those that were sampled."""
        total, variance = float(self.weights.sum()), 0.0
        for where, num_scored, rate in self.strata:
            mass, of_stratum = self.weights[where] / self.weights[where].sum(), values[where]
            spread = float(mass @ (of_stratum - mass @ of_stratum) ** 2)
            variance += (self.weights[where].sum() / total) ** 2 * spread * (1 - rate) / num_scored
        return float(variance)


def count_jointly(
    scorer: Scorer,
    non_edges: NonEdges,
    degrees: Degrees,
    *,
    limits: tuple[float, float],
    threads: int | None = None,
    max_cells: int = MAX_CELLS,
) -> JointCounts:
    """Score every non-edge (or the sample) once and count it by logit and degrees.

    Blocks are added up in their order, so the numbers do not depend on `threads`; memory O(block + cells). Where edges
    have no direction the two ends are counted as one unordered pair.

    Args:
        scorer: gives the logits.
        non_edges: which pairs.
        degrees: from `degrees_of`, 1 at least.
        limits: lowest and highest logit between which bins are of one width.
        threads: how many blocks at a time, as in `score_non_edges`.
        max_cells: pairs in a block, about.
    """
    low, high = limits
    per_logit = np.float32(NUM_LOGIT_BINS / max(high - low, 1e-30))
    (source, of_source), (target, of_target) = (_binned(side) for side in degrees)
    space, size = non_edges.known.space, NUM_LOGIT_BINS * NUM_DEGREE_BINS**2
    is_ordered = space.directed or space.bipartite

    def work(chunk: Block | Pairs) -> Floats:
        if isinstance(chunk, Block):
            keep = non_edges.known.absent_cells(chunk)
            z = scorer.block(chunk.rows, chunk.columns)[keep]
            shape = keep.shape
            a = np.broadcast_to(source[chunk.rows, None], shape)[keep]
            b = np.broadcast_to(target[chunk.columns], shape)[keep]
        else:
            z, a, b = scorer.logits(chunk).astype(np.float32), source[chunk[:, 0]], target[chunk[:, 1]]
        if not is_ordered:
            a, b = np.minimum(a, b), np.maximum(a, b)
        row = np.clip((z - np.float32(low)) * per_logit, 0, NUM_LOGIT_BINS - 1).astype(np.int32)
        cell = (row * NUM_DEGREE_BINS + a) * NUM_DEGREE_BINS + b
        return np.stack([np.bincount(cell, weights=of, minlength=size) for of in (None, z)]).astype(np.float64)

    points, weights, strata, start = [], [], [], 0
    for part in non_edges.parts:
        count, sums = reduce(np.add, in_order(work, non_edges.chunks(part, max_cells=max_cells), threads))
        filled = np.flatnonzero(count)
        a, b = np.divmod(filled % NUM_DEGREE_BINS**2, NUM_DEGREE_BINS)
        points.append(np.column_stack([sums[filled] / count[filled], of_source[a], of_target[b]]))
        weights.append(count[filled] / part.rate)
        strata.append((slice(start, start + len(filled)), part.num_scored, part.rate))
        start += len(filled)
    return JointCounts(np.concatenate(points), np.concatenate(weights), tuple(strata))


def _binned(degrees: NDArray[np.int64]) -> tuple[NDArray[np.int32], Floats]:
    """The bin of every node by log degree, and the mean log degree of the nodes in every bin (0 where it has none)."""
    logs = np.log(degrees)
    bins = np.minimum(logs * (NUM_DEGREE_BINS / max(float(logs.max()), 1e-30)), NUM_DEGREE_BINS - 1).astype(np.int32)
    sizes = np.bincount(bins, minlength=NUM_DEGREE_BINS)
    return bins, np.bincount(bins, weights=logs, minlength=NUM_DEGREE_BINS) / np.maximum(sizes, 1)
