"""Baseline ranks: how many pairs without a recorded edge a baseline puts at or above given ones, exactly."""

import numpy as np
from numpy.typing import NDArray

from linkodds.baselines import DegreeScorer, PathScorer
from linkodds.candidates import MAX_WALKS, num_walks, walks
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.scoring import Scorer

_ROUNDING = 1e-9


def num_at_or_above(scorer: Scorer, recorded: KnownPairs, pairs: Pairs) -> NDArray[np.int64] | None:
    """Pairs without a recorded edge whose logit is that of each given pair or more, shape (pairs,).

    Degree products are counted by distinct degrees; walks are streamed from sparse products. None for another scorer, or
    where that would be more than a billion walks.

    Args:
        scorer: a baseline.
        recorded: all recorded edges.
        pairs: shape (pairs, 2), canonical.
    Example:
        >>> from linkodds.split import adjacency
        >>> chain = KnownPairs(PairSpace(4), np.array([[0, 1], [1, 2], [2, 3]]))
        >>> a = adjacency(chain.pairs, chain.space).astype(np.float64)
        >>> num_at_or_above(PathScorer(a, None, a), chain, np.array([[0, 2], [0, 3]])).tolist()
        [2, 3]
    """
    anchors = scorer.logits(pairs) - _ROUNDING
    rising, place = np.unique(anchors, return_inverse=True)
    above = np.zeros(len(rising), dtype=np.int64)  # of how many pairs each anchor is the largest at or below
    if isinstance(scorer, DegreeScorer):
        values, counts = _degree_products(scorer, recorded.space)
        at = np.searchsorted(rising, np.log1p(values), side="right") - 1
        np.add.at(above, at[at >= 0], counts[at >= 0])
        at = np.searchsorted(rising, scorer.logits(recorded.pairs), side="right") - 1
        np.subtract.at(above, at[at >= 0], 1)
    elif isinstance(scorer, PathScorer) and num_walks(scorer) <= MAX_WALKS:
        space = recorded.space
        keys = np.sort(space.keys(recorded.pairs))
        rows = np.arange(space.num_nodes if space.sides is None else space.sides[0])
        for row, column, count in walks(scorer, rows):
            logits = np.log1p(count)
            keep = (logits >= rising[0]) & (column > row if not space.directed else column != row)
            found: Pairs = np.column_stack([row[keep], column[keep]])
            admissible = space.is_admissible(found)
            wanted = space.keys(found[admissible])
            known = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
            at = np.searchsorted(rising, logits[keep][admissible][~known], side="right") - 1
            above += np.bincount(at[at >= 0], minlength=len(rising))
    else:
        return None
    result = np.cumsum(above[::-1])[::-1]
    result[rising <= 0] = recorded.num_absent  # no walk, or no degree: every pair has as many
    return np.asarray(result[place], dtype=np.int64)


def _degree_products(scorer: DegreeScorer, space: PairSpace) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct products of the degrees of two nodes, and how many admissible pairs have each."""
    source, target = scorer.source, scorer.target
    if space.sides is not None:
        source, target = source[: space.sides[0]], target[space.sides[0] : sum(space.sides)]
    (a, num_a), (b, num_b) = (np.unique(side, return_counts=True) for side in (source, target))
    values, counts = np.multiply.outer(a, b).ravel(), np.multiply.outer(num_a, num_b).ravel()
    if space.sides is None:
        own = source * target  # a node with itself
        values, counts = np.concatenate([values, own]), np.concatenate([counts, np.full(len(own), -1)])
    distinct, at = np.unique(values, return_inverse=True)
    total = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(total, at, counts)
    return distinct, total if space.directed or space.sides is not None else total // 2
