"""Ranking of held-out edges: their reciprocal ranks, and intervals of AUC and average precision.

Ranks are taken in full rows, recorded edges left out. Intervals come from what one edge, or one sampled non-edge, moves
AUC and average precision by. Both are functions of two distributions of logits, that of the edges and that of the
non-edges. With tp and fp the counts at or above the logit of an edge,

    AUC  = mean over edges of the share of non-edges below      moved by an edge through its own term,
    AP   = mean over edges of tp / (tp + fp)                    and through tp of all edges below it.

The variance of these movements over the edges, divided by their number, is that of the figure (for AUC the variance of
DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988); the interval is built on its log odds and stays inside (0, 1).
Losses of AUC are often those of a few edges far down, which a sample may have missed: the lower end therefore allows for one
more edge that is placed at random, and without it covered as little as 72 % where AUC is 0.999.

Sampled non-edges: for AUC their variance is added, stratum by stratum with its finite-population correction, and for the
lower end one more of the largest weight that lies above half of the edges. Of average
precision it says too little, since few non-edges stand for many at the top of the list: there the interval of every single
count is pushed through, all the upper ends together and all the lower ones, which is on the wide side; distances to both
intervals are added in squares.

Kind "F" keeps the edges and leaves only what the draw of non-edges adds: nothing, where all were enumerated.
"""

from collections.abc import Callable, Iterator
from math import hypot

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import FEW_EDGES, Z95, Kind, non_edges_interval, wilson
from linkodds.metrics.logit_bins import Floats
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scorers.scoring import Scorer


def reciprocal_ranks(
    scorer: Scorer, edges: Pairs, recorded: KnownPairs, *, max_cells: int = 1 << 21
) -> NDArray[np.float64]:
    """1 / rank of each held-out edge among all candidates of its nodes, averaged over both ends.

    Full rows, filtered: the target competes with every node that the source has no recorded edge to, and the source
    likewise (not when directed). An edge tied with t non-edges gets the middle of the t + 1 places.

    Args:
        scorer: its blocks are symmetric unless the space is directed or bipartite.
        edges: shape (edges, 2), canonical, recorded.
        recorded: all recorded edges, these ones included; nodes whose pairs are no candidates compete nowhere.
        max_cells: logits held at a time, about.
    Returns:
        Shape (edges,), float64, in (0, 1]; the mean is the mean reciprocal rank.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.scorers.scoring import InnerProductScorer
        >>> z = np.array([[1], [2], [3]], dtype=np.float32)
        >>> known = KnownPairs(PairSpace(3), np.array([[0, 1]]))
        >>> reciprocal_ranks(InnerProductScorer(z, z, 1.0, 0.0), known.pairs, known)  # both ends prefer node 2
        array([0.5])
    """
    space, known = recorded.space, recorded.pairs
    apart = np.empty(0, dtype=np.int64) if recorded.nodes is None else recorded.nodes
    if space.sides is not None:
        left, right = slice(0, space.sides[0]), slice(space.sides[0], sum(space.sides))
        ends = [
            _ranks_of_targets(scorer.block, edges, known, apart, right, False, max_cells),
            _ranks_of_targets(
                lambda b, a: scorer.block(a, b).T, edges[:, ::-1], known[:, ::-1], apart, left, False, max_cells
            ),
        ]
    elif space.directed:
        ends = [_ranks_of_targets(scorer.block, edges, known, apart, slice(0, space.num_nodes), True, max_cells)]
    else:  # both ends at once: each row is scored once
        edges, known = (np.concatenate([pairs, pairs[:, ::-1]]) for pairs in (edges, known))
        ranks = _ranks_of_targets(scorer.block, edges, known, apart, slice(0, space.num_nodes), True, max_cells)
        ends = np.split(ranks, 2)
    result: NDArray[np.float64] = np.mean([1.0 / ranks for ranks in ends], axis=0)
    return result


def ranks_among(logits: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each edge among non-edges of its own: the mean of the best and the worst that ties allow.

    Args:
        logits: shape (edges,).
        others: shape (edges, non-edges): of each edge's own.
    Returns:
        Shape (edges,), from 1.
    Example:
        >>> ranks_among(np.array([1.0, 1.0]), np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]]))
        array([2., 2.])
    """
    above, tied = ((others > logits[:, None]).sum(axis=1), (others == logits[:, None]).sum(axis=1))
    ranks: NDArray[np.float64] = 1 + above + tied / 2
    return ranks


def _ranks_of_targets(
    block: Callable[[slice, slice], NDArray[np.float32]],
    edges: Pairs,
    recorded: Pairs,
    apart: NDArray[np.int64],
    columns: slice,
    loops: bool,
    max_cells: int,
) -> NDArray[np.float64]:
    """Rank of each edge's target among the columns that its source could have; `loops`: the source is a column too.

    `apart`: nodes that are left out.
    """
    apart = apart[(apart >= columns.start) & (apart < columns.stop)]
    recorded = recorded[np.argsort(recorded[:, 0], kind="stable")]
    order = np.argsort(edges[:, 0], kind="stable")
    ranks = np.empty(len(edges))
    for rows in _runs(np.unique(edges[:, 0]), max(1, max_cells // (columns.stop - columns.start))):
        logits = block(rows, columns)
        first, last = np.searchsorted(edges[order, 0], [rows.start, rows.stop])
        for place in order[first:last]:
            source, target = edges[place]
            row = logits[source - rows.start]
            mine = row[target - columns.start]
            start, stop = np.searchsorted(recorded[:, 0], [source, source + 1])
            out = np.concatenate([recorded[start:stop, 1], [source]] if loops else [recorded[start:stop, 1]])
            out = (np.union1d(out, apart) if len(apart) else out) - columns.start
            others = row[out]  # the edge itself is among them
            higher = np.count_nonzero(row > mine) - np.count_nonzero(others > mine)
            tied = np.count_nonzero(row == mine) - np.count_nonzero(others == mine)
            ranks[place] = 1 + higher + tied / 2
    return ranks


def _runs(nodes: NDArray[np.int64], max_rows: int) -> Iterator[slice]:
    """Cover the nodes (increasing) with slices of at most `max_rows` rows that bridge gaps of up to four."""
    start = stop = int(nodes[0])
    for node in nodes.tolist():
        if node - stop > 4 or node + 1 - start > max_rows:
            yield slice(start, stop)
            start = node
        stop = node + 1
    yield slice(start, stop)


Interval = tuple[float, float]
AT_RANDOM = 0.5
"""The share of non-edges below an edge that is placed at random."""


def roc_auc_interval(held_out: HeldOut, *, kind: Kind = "S") -> Interval:
    """95 % interval of the area under the ROC curve.

    Example:
        >>> held_out = HeldOut.from_logits(np.arange(50.0), np.arange(-50.0, 40.0), 90)
        >>> [round(end, 2) for end in roc_auc_interval(held_out)], roc_auc_interval(held_out, kind="F")
        ([0.77, 0.86], (0.8222222222222222, 0.8222222222222222))
    """
    ladder, value = held_out.ladder, metrics.roc_auc(held_out)
    terms = 1.0 - (ladder.non_edges_at_least + ladder.non_edges_above) / (2 * held_out.num_non_edges)
    below = held_out.num_edges - ladder.edges_at_least
    # A non-edge above the rung, tied with it, and so on down: what it takes from the mean.
    losses = np.column_stack([below + ladder.edges, below + ladder.edges / 2]).ravel()
    sampled = _variance_of_sample(held_out, losses / held_out.num_edges / held_out.num_non_edges)
    # One more sampled non-edge, above half of the edges, for the lower end.
    weights = [part.weight for part in held_out.non_edges.sampled_parts]
    unseen = AT_RANDOM * max(weights, default=0.0) / held_out.num_non_edges
    if kind == "F":
        return (
            _on_log_odds(value - unseen, sampled + unseen**2, Z95)[0],
            _on_log_odds(value, sampled, Z95)[1],
        )
    if held_out.num_edges < FEW_EDGES:
        return 0.0, 1.0
    more = np.append(terms, AT_RANDOM), np.append(ladder.edges, 1.0)
    fewer = float(np.average(more[0], weights=more[1])) - unseen
    low, _ = _on_log_odds(fewer, _variance_of_mean(*more) + sampled + unseen**2, _t(more[1]))
    _, high = _on_log_odds(value, _variance_of_mean(terms, ladder.edges) + sampled, _t(ladder.edges))
    # All test edges alike are no proof that the next one would be.
    if len(terms) == 1 and ladder.non_edges_above[0] > 0:
        high = max(high, wilson(value * held_out.num_edges, held_out.num_edges)[1])
    return min(low, value), high


def average_precision_interval(held_out: HeldOut, *, kind: Kind = "S") -> Interval:
    """95 % interval of average precision, at the prevalence that `held_out` states.

    Example:
        >>> held_out = HeldOut.from_logits(np.arange(50.0), np.arange(-50.0, 40.0), 90)
        >>> [round(end, 2) for end in average_precision_interval(held_out)]
        [0.62, 0.78]
    """
    ladder, value, scores = held_out.ladder, metrics.average_precision(held_out), held_out.non_edges
    tp = ladder.edges_at_least
    place = np.searchsorted(scores.anchors, ladder.logits)
    fewest, most = non_edges_interval(scores, np.array([part.at_least[place] for part in scores.parts]))
    low, high = (float(ladder.edges @ (tp / (tp + each))) / held_out.num_edges for each in (most, fewest))
    if kind == "F":
        return min(low, value), max(high, value)
    if held_out.num_edges < FEW_EDGES:
        return 0.0, 1.0
    terms = _influences(held_out)
    variance = _variance_of_mean(terms, ladder.edges)
    if variance == 0.0:  # all edges alike, which is no proof that the next one would be
        of_edges = wilson(value * held_out.num_edges, held_out.num_edges)
    else:
        of_edges = _on_log_odds(value, variance, _t(ladder.edges))
    return (
        max(0.0, value - hypot(value - of_edges[0], value - min(low, value))),
        min(1.0, value + hypot(of_edges[1] - value, max(high, value) - value)),
    )


def average_precision_gain(one: HeldOut, other: HeldOut) -> tuple[float, Interval]:
    """Average precision of one scorer less that of another on the same edges, and its 95 % interval: edges are drawn anew.

    Args:
        one: the edges in the same order as in the other.
        other: against non-edges of the same number.
    Returns:
        The difference; its interval reaches as far as it can with fewer than 10 edges.
    Example:
        >>> edges = np.arange(50.0)
        >>> one = HeldOut.from_logits(edges + 20, np.arange(-50.0, 40.0), 90)
        >>> value, (low, high) = average_precision_gain(one, HeldOut.from_logits(edges, np.arange(-50.0, 40.0), 90))
        >>> round(value, 2), round(low, 2), round(high, 2)
        (0.22, 0.16, 0.28)
    """
    value = metrics.average_precision(one) - metrics.average_precision(other)
    if one.num_edges < FEW_EDGES:
        return value, (-1.0, 1.0)
    influences = [_influences(each)[np.searchsorted(-each.ladder.logits, -each.edge_logits)] for each in (one, other)]
    count = np.ones(one.num_edges)
    of_edges = _t(count) * float(np.sqrt(_variance_of_mean(influences[0] - influences[1], count)))
    sampled = [average_precision_interval(each, kind="F") for each in (one, other)]
    half = hypot(of_edges, *((high - low) / 2 for low, high in sampled))
    return value, (value - half, value + half)


def _influences(held_out: HeldOut) -> Floats:
    """Shape (rungs,): what an edge of each rung adds to average precision: its own precision, and its part in those below."""
    ladder = held_out.ladder
    tp, fp = ladder.edges_at_least, ladder.non_edges_at_least
    return np.asarray(tp / (tp + fp) + _from_here_down(ladder.edges * fp / (tp + fp) ** 2))


def _from_here_down(steps: Floats) -> Floats:
    return np.cumsum(steps[::-1])[::-1]


def _variance_of_mean(values: Floats, counts: Floats) -> float:
    spread = float(np.average((values - np.average(values, weights=counts)) ** 2, weights=counts))
    return spread / max(float(counts.sum()) - 1, 1.0)


def _variance_of_sample(held_out: HeldOut, losses: Floats) -> float:
    """From the draw of the non-edges; `losses`: of one in each cell (above rung 0, tied with it, above rung 1, ...)."""
    place = np.searchsorted(held_out.non_edges.anchors, held_out.ladder.logits)
    values = np.append(losses, 0.0)[:, None]  # and below the last rung
    total = 0.0
    for part in held_out.non_edges.sampled_parts:
        corners = np.column_stack([part.above[place], part.at_least[place]]).ravel()
        counts = np.diff(corners, prepend=0.0, append=part.num_scored)
        total += float(part.variance_of_sum(values, counts)[0, 0])
    return total


def _t(counts: Floats) -> float:
    return float(stdtrit(counts.sum() - 1, 0.975))


def _on_log_odds(value: float, variance: float, quantile: float) -> Interval:
    if variance == 0.0 or not 0.0 < value < 1.0:
        return value, value
    middle, half = float(logit(value)), quantile * float(np.sqrt(variance)) / (value * (1 - value))
    return float(expit(middle - half)), float(expit(middle + half))
