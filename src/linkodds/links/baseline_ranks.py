"""Baseline ranks: how many pairs without a recorded edge a baseline puts at or above given ones, exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import OptionError
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.scorers.baselines import DegreeScorer, PathScorer
from linkodds.scorers.scoring import Scorer
from linkodds.search.candidates import MAX_WALKS, num_walks, walks

_ROUNDING = 1e-9


def is_counted(scorer: Scorer) -> bool:
    """Whether ranks by this scorer are counted exactly: products of degrees, and walks where there are a billion at most."""
    return isinstance(scorer, DegreeScorer) or (isinstance(scorer, PathScorer) and num_walks(scorer) <= MAX_WALKS)


def num_at_or_above(scorer: Scorer, recorded: KnownPairs, pairs: Pairs) -> NDArray[np.int64]:
    """Pairs without a recorded edge whose logit is that of each given pair or more, shape (pairs,).

    Degree products are counted by distinct degrees; walks are streamed from sparse products.

    Args:
        scorer: a baseline that `is_counted`.
        recorded: all recorded edges.
        pairs: shape (pairs, 2), canonical.
    Raises:
        OptionError: another scorer.
    Example:
        >>> from linkodds.graph.split import adjacency
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
    elif isinstance(scorer, PathScorer):
        non_edges = _NonEdges(recorded)
        for found in walks(scorer, non_edges.rows):
            logits = non_edges.logits(*found, floor=float(rising[0]))
            at = np.searchsorted(rising, logits, side="right") - 1
            above += np.bincount(at, minlength=len(rising))
    else:
        raise OptionError("ranks are counted for products of degrees and for numbers of walks alone.")
    result = np.cumsum(above[::-1])[::-1]
    result[rising <= 0] = recorded.num_absent  # no walk, or no degree: every pair has as many
    return np.asarray(result[place], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class HighestLogits:
    """The highest logits of walks among pairs without a recorded edge, counted once for many questions.

    Args:
        scorer: whose logits.
        rising: shape (kept,), float64.
        floor: pairs at or below are not kept; 0 where none with a walk was left out.
        num_absent: pairs without a recorded edge.
    Example:
        >>> from linkodds.graph.split import adjacency
        >>> chain = KnownPairs(PairSpace(4), np.array([[0, 1], [1, 2], [2, 3]]))
        >>> a = adjacency(chain.pairs, chain.space).astype(np.float64)
        >>> highest = HighestLogits.of(PathScorer(a, None, a), chain, most=1)
        >>> highest.num_at_or_above(np.array([[0, 2], [0, 3]])).tolist()  # -1: more than are kept
        [-1, 3]
        >>> HighestLogits.of(PathScorer(a, None, a), chain).num_at_or_above(np.array([[0, 2], [1, 3]])).tolist()
        [2, 2]
    """

    scorer: PathScorer
    rising: NDArray[np.float64]
    floor: float
    num_absent: int

    @classmethod
    def of(cls, scorer: PathScorer, recorded: KnownPairs, most: int = 1_000_000) -> "HighestLogits":
        """Memory for `most` logits and one block of walks; ties at the lowest kept are kept or left out together."""
        parts: list[NDArray[np.float64]] = []
        floor, size = 0.0, 0
        non_edges = _NonEdges(recorded)
        for found in walks(scorer, non_edges.rows):
            parts.append(non_edges.logits(*found, floor=floor))
            size += len(parts[-1])
            if size > 2 * most:
                parts, floor = _cut(parts, most)
                size = len(parts[0])
        if size > most:
            parts, floor = _cut(parts, most)
        return cls(scorer, np.sort(np.concatenate([np.empty(0), *parts])), floor, recorded.num_absent)

    def num_at_or_above(self, pairs: Pairs) -> NDArray[np.int64]:
        """As the function of that name counts; -1 where it is more than are kept."""
        anchors = self.scorer.logits(pairs) - _ROUNDING
        counted = len(self.rising) - np.searchsorted(self.rising, anchors, side="left")
        counted[anchors <= self.floor] = -1
        counted[anchors <= 0] = self.num_absent
        return counted.astype(np.int64)


def _cut(parts: list[NDArray[np.float64]], most: int) -> tuple[list[NDArray[np.float64]], float]:
    """The logits above the one that follows the `most` highest, and that one."""
    logits = np.concatenate(parts)
    floor = float(np.partition(logits, len(logits) - most - 1)[len(logits) - most - 1])
    return [logits[logits > floor]], floor


class _NonEdges:
    """What stays of pairs with walks when recorded edges, and pairs that are none, are taken out."""

    def __init__(self, recorded: KnownPairs) -> None:
        self._space = recorded.space
        self._keys = np.sort(recorded.space.keys(recorded.pairs))
        self.rows = np.arange(recorded.space.num_nodes if recorded.space.sides is None else recorded.space.sides[0])

    def logits(
        self, row: NDArray[np.int64], column: NDArray[np.int64], count: NDArray[np.float64], floor: float
    ) -> NDArray[np.float64]:
        """Logits at or above the floor."""
        logits = np.log1p(count)
        keep = (logits >= floor) & (column > row if not self._space.directed else column != row)
        found: Pairs = np.column_stack([row[keep], column[keep]])
        admissible = self._space.is_admissible(found)
        wanted = self._space.keys(found[admissible])
        is_known = self._keys[np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)] == wanted
        kept: NDArray[np.float64] = logits[keep][admissible][~is_known]
        return kept


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
