"""Ranks of held-out edges among the candidates of their own nodes: full rows, recorded edges left out."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

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
        recorded: all recorded edges, these ones included.
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
    if space.sides is not None:
        left, right = slice(0, space.sides[0]), slice(space.sides[0], sum(space.sides))
        ends = [
            _ranks_of_targets(scorer.block, edges, known, right, False, max_cells),
            _ranks_of_targets(
                lambda b, a: scorer.block(a, b).T, edges[:, ::-1], known[:, ::-1], left, False, max_cells
            ),
        ]
    elif space.directed:
        ends = [_ranks_of_targets(scorer.block, edges, known, slice(0, space.num_nodes), True, max_cells)]
    else:  # both ends at once: each row is scored once
        edges, known = (np.concatenate([pairs, pairs[:, ::-1]]) for pairs in (edges, known))
        ranks = _ranks_of_targets(scorer.block, edges, known, slice(0, space.num_nodes), True, max_cells)
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
    columns: slice,
    loops: bool,
    max_cells: int,
) -> NDArray[np.float64]:
    """Rank of each edge's target among the columns that its source could have; `loops`: the source is a column too."""
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
            out = (
                np.concatenate([recorded[start:stop, 1], [source]] if loops else [recorded[start:stop, 1]])
                - columns.start
            )
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
