"""Non-edges counted jointly by logit and by the degrees of both ends."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edge_scores import in_order
from linkodds.metrics.non_edges import MAX_CELLS, NonEdges
from linkodds.pairs import Block, Pairs
from linkodds.scorers.scoring import Scorer

Degrees = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Degree + 1 of every node as a source and as a target, shape (nodes,) each, from `degrees_of`."""

NUM_LOGIT_BINS, NUM_DEGREE_BINS = 512, 32


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
