"""Tests of precision>=P at thresholds chosen by the non-edges alone: which thresholds, in which order, which are kept.

A sequence of tests, each at what was left of delta by the one before, with a second start of its own share (Learn then
Test, Angelopoulos et al., arXiv 2110.01052; fallback procedure, Wiens, Pharmaceutical Statistics 2, 2003): with
probability 1 - delta everything that passes is true, so the loosest threshold that passes may be taken.
"""

from math import log

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edge_scores import NonEdgeScores

FIRST_NON_EDGES, GRID_FACTOR = 20, 1.1
"""Scored non-edges at or above the strictest threshold, and how fast they grow."""
SECOND_START, SECOND_SHARE = 0.3, 0.2
"""Where the sequence starts anew should it fail, in shares of the affordable non-edges, and with how much of delta.

Missing links among the best non-edges, or few calibration edges, can make a strict start fail where a looser threshold is
fine.
"""


def least_recall(num_passing: Floats, num_edges: int, delta: float) -> Floats:
    """Lower Clopper-Pearson bound of the recall, shape (thresholds,); 0 where nothing passes."""
    bound = betaincinv(np.maximum(num_passing, 1.0), num_edges - num_passing + 1.0, delta)
    return np.where(num_passing > 0, bound, 0.0)


def last_kept(passing: Floats, num_edges: int, needed: Floats, is_late: NDArray[np.bool_], delta: float) -> int | None:
    """The loosest threshold whose recall is sure to be `needed`; None where none is.

    One test after the other at what was left of delta, which is lost at the first failure; a share of it is kept for a
    second start. All thresholds that pass hold together but for delta, so the loosest may be taken.
    """
    second = int(np.argmax(is_late)) if is_late.any() else 0
    deltas = np.zeros(len(passing))
    deltas[0] += delta * (1 - SECOND_SHARE)
    deltas[second] += delta * SECOND_SHARE
    kept, left = None, 0.0
    for place, (count, added) in enumerate(zip(passing, deltas, strict=True)):
        left += float(added)
        if left and count and needed[place] <= float(least_recall(np.array([count]), num_edges, left)[0]):
            kept = place
        else:
            left = 0.0
    return kept


def precision_grid(scores: NonEdgeScores, affordable: float, delta: float) -> tuple[Floats, Floats, Floats]:
    """Thresholds, non-edges at or above, and the most there may be; strictest first, from the non-edges alone.

    Planned counts are whole, and none is planned twice: each one costs confidence where non-edges are sampled.

    Counts grow from FIRST_NON_EDGES scored ones by GRID_FACTOR to `affordable`, beyond which precision is out of reach
    even if all edges pass. A strict start has few edges to show, and the sequence stops at its first failure; so where
    little is affordable it starts at a tenth of that, where a tenth of the edges would do.

    Of a sample at most the planned k pass a threshold, so the share of all non-edges that do is below that of the
    (k + 1)-th best scored one, Beta(k + 1, m - k): its quantile holds for all planned thresholds together (Bonferroni),
    wherever ties put them. All non-edges, enumerated, need no bound.
    """
    borders, counts = scores.bins.borders()
    borders = np.append(borders[0] + scores.bins.width, borders)  # above all non-edges
    if scores.design == "stratified":
        return _precision_grid_of_strata(scores, borders, counts, affordable, delta)
    scored = np.append(0.0, np.rint(counts / scores.weight))
    last = affordable / scores.weight
    first = min(float(FIRST_NON_EDGES), max(1.0, last / 10))
    num_planned = int(1 + log(max(last / first, 1.0)) // log(GRID_FACTOR)) if last >= 1 else 0
    planned = np.unique(np.floor(first * GRID_FACTOR ** np.arange(max(num_planned, 1)) * (1 + 1e-12)))
    planned = planned if num_planned else np.zeros(1)
    grid, place = np.unique(np.searchsorted(scored, planned, side="right") - 1, return_index=True)
    if (grid > 0).any():
        grid, place = grid[grid > 0], place[grid > 0]
    counts = scored[grid] * scores.weight
    if scores.rate == 1.0:
        return borders[grid], counts, counts
    k, m = planned[place], scores.num_scored
    share = np.where(k < m, betaincinv(k + 1, np.maximum(m - k, 1), 1 - delta / len(planned)), 1.0)
    return borders[grid], counts, scores.num_non_edges * share


def _precision_grid_of_strata(
    scores: NonEdgeScores, borders: Floats, counts: Floats, affordable: float, delta: float
) -> tuple[Floats, Floats, Floats]:
    """The same for strata: enumerated ones are counted, the others bounded at a geometric sequence of their own ranks.

    In a stratum with m of N scored, the share above its (k + 1)-th best scored one is below a quantile of Beta(k + 1, m - k).
    That holds for all planned k of all strata together (Bonferroni), and a threshold that c of them pass lies above the
    (k + 1)-th best for the first planned k >= c; so the sum of the bounds holds at every threshold, wherever it came from.
    """
    first = min(float(FIRST_NON_EDGES), max(1.0, affordable / 10))
    num_planned = int(1 + log(max(affordable / first, 1.0)) // log(GRID_FACTOR)) if affordable >= 1 else 0
    planned = np.unique(np.floor(first * GRID_FACTOR ** np.arange(max(num_planned, 1)) * (1 + 1e-12)))
    planned = planned if num_planned else np.zeros(1)
    reached = np.append(0.0, counts)
    grid = np.unique(np.searchsorted(reached, planned, side="right") - 1)
    grid = grid[grid > 0] if (grid > 0).any() else grid
    ranks = {part.name: _planned_ranks(part.num_scored) for part in scores.sampled_parts}
    level = delta / sum(map(len, ranks.values()))
    most = np.zeros(len(grid))
    for part in scores.parts:
        at, counted = part.bins.borders()
        passing = np.append(0.0, np.rint(counted / part.weight))[np.searchsorted(-at, -borders[grid], side="right")]
        if part.rate == 1.0:
            most += passing * part.weight
            continue
        k, m = ranks[part.name], part.num_scored
        bound = np.where(k < m, betaincinv(k + 1, np.maximum(m - k, 1), 1 - level), 1.0)
        most += part.num_non_edges * bound[np.searchsorted(k, passing)]
    return borders[grid], reached[grid], most


def _planned_ranks(num_scored: int) -> Floats:
    """0, 1, 2, ... growing by a tenth, up to all that were scored."""
    steps = np.floor(GRID_FACTOR ** np.arange(int(log(max(num_scored, 1)) // log(GRID_FACTOR)) + 1))
    return np.unique(np.concatenate([[0.0], steps, [float(num_scored)]]))
