"""Scores of non-edges: one pass over all of them that keeps exact counts at chosen logits, and narrow bins."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import NonFiniteScores
from linkodds.logit_bins import BinSums, Floats, LogitBins
from linkodds.non_edges import MAX_CELLS, DegreeClasses, NonEdges
from linkodds.pairs import Block, Pairs
from linkodds.scoring import Scorer

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class NonEdgeScores:
    """What evaluation, calibration and decisions need to know about the logits of all non-edges.

    Args:
        anchors: shape (anchors,), float64, increasing, no value twice: logits (rounded to float32) or thresholds.
        at_least: shape (anchors,), float64: weighted number of non-edges with logit >= anchor; exact when enumerated.
        above: shape (anchors,), float64: the same for logit > anchor.
        num_non_edges: weight of all non-edges together: their number in the graph, unless `scaled`.
        num_scored: how many got a logit; each counts num_non_edges / num_scored.
        rate: share of the graph's non-edges that got a logit; 1 when enumerated.
        bins: all logits in narrow bins, for smooth sums.
    Example:
        >>> scores = NonEdgeScores.of(np.array([-1.0, 0.0, 0.0, 2.0]), anchors=np.array([0.0, 3.0]), num_non_edges=8)
        >>> scores.at_least.tolist(), scores.above.tolist(), scores.rate
        ([6.0, 0.0], [2.0, 0.0], 0.5)
    """

    anchors: Floats
    at_least: Floats
    above: Floats
    num_non_edges: float
    num_scored: int
    rate: float
    bins: LogitBins

    @staticmethod
    def of(logits: NDArray[np.floating], *, anchors: Floats, num_non_edges: int) -> "NonEdgeScores":
        """Scores of a uniform sample of non-edges that is in memory.

        Args:
            logits: shape (scored,), rounded to float32 here.
            anchors: any shape and order.
            num_non_edges: number of non-edges in the graph, at least `len(logits)`.
        Raises:
            NonFiniteScores: a logit is NaN or infinite.
            ValueError: no logits, or more of them than non-edges.
        """
        if not 0 < len(logits) <= num_non_edges:
            raise ValueError(f"{len(logits):,} logits cannot stand for {num_non_edges:,} non-edges")
        tally = _tally([np.asarray(logits).astype(np.float32)], np.unique(anchors))
        return _scores(np.unique(anchors), tally, num_non_edges, len(logits))

    @property
    def weight(self) -> float:
        """How many non-edges one scored non-edge stands for."""
        return self.num_non_edges / self.num_scored

    def num_at_least(self, threshold: float) -> float:
        """Weighted number of non-edges with logit >= threshold: exact, or refused.

        Raises:
            ValueError: the anchors do not settle it; score with the threshold among the anchors.
        """
        ceiling = _ceiling(np.array([threshold]))[0]
        place = int(np.searchsorted(self.anchors, ceiling))
        if place < len(self.anchors) and self.anchors[place] == ceiling:
            return float(self.at_least[place])
        before = float(np.nextafter(ceiling, np.float32(-np.inf)))
        # Between two anchors the count is known where no non-edge lies between them, or no float32 does.
        left = float(self.above[place - 1]) if place else float(self.num_non_edges)
        right = float(self.at_least[place]) if place < len(self.anchors) else 0.0
        if left == right or (place and self.anchors[place - 1] >= before):
            return left
        raise ValueError(f"threshold {threshold!r} is no anchor of these scores, and non-edges lie around it")

    def scaled(self, factor: float) -> "NonEdgeScores":
        """The same logits with the weight of every non-edge multiplied by `factor` (another prevalence)."""
        return replace(
            self,
            at_least=self.at_least * factor,
            above=self.above * factor,
            num_non_edges=self.num_non_edges * factor,
            bins=self.bins.scaled(factor),
        )


def score_non_edges(
    scorer: Scorer,
    non_edges: NonEdges,
    *,
    anchors: Floats,
    classes: DegreeClasses | None = None,
    threads: int | None = None,
    max_cells: int = MAX_CELLS,
) -> NonEdgeScores:
    """Score every non-edge (or the sample) once, block by block, and keep counts only.

    Each block is parted by degree class, sorted, and the anchors are looked up in it: about 25 ns a pair and
    core, memory O(block + anchors + bins). Blocks are merged in their order, so the numbers do not depend on `threads`.

    Args:
        scorer: gives the logits; must be safe to call from several threads.
        non_edges: which pairs.
        anchors: logits at which counts are wanted, any shape and order; edge logits rounded to float32, thresholds.
        classes: degree classes for the bins; None puts everything in class 0.
        threads: how many blocks at a time; None takes the processors this process may use, at most 4.
        max_cells: pairs in a block, about.
    Returns:
        Counts at the distinct anchors and bins, weighted to all non-edges of the graph.
    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    Example:
        >>> from linkodds.pairs import KnownPairs, PairSpace
        >>> from linkodds.scoring import InnerProductScorer
        >>> z = np.arange(4, dtype=np.float32)[:, None]
        >>> non_edges = NonEdges(KnownPairs(PairSpace(4), np.array([[2, 3]])))
        >>> scores = score_non_edges(InnerProductScorer(z, z, 1.0, 0.0), non_edges, anchors=np.array([2.0]))
        >>> scores.at_least.tolist(), scores.above.tolist()  # the products are 0, 0, 0, 2 and 3
        ([2.0], [1.0])
    """
    anchors = np.unique(anchors)
    chunks = non_edges.chunks(max_cells=max_cells)
    # The first block alone settles how fine the bins start: from then on every block starts alike, whatever the order
    # in which threads finish.
    total = _tally(non_edges.logits_by_class(scorer, next(chunks), classes), anchors)
    exponent = total.bins.exponent

    def work(chunk: Block | Pairs) -> _Tally:
        return _tally(non_edges.logits_by_class(scorer, chunk, classes), anchors, exponent)

    total = reduce(_Tally.merged, in_order(work, chunks, threads), total)
    return _scores(anchors, total, non_edges.num_non_edges, non_edges.num_scored)


@dataclass(frozen=True, eq=False)
class _Tally:
    at_least: NDArray[np.int64]
    above: NDArray[np.int64]
    bins: BinSums

    def merged(self, other: "_Tally") -> "_Tally":
        return _Tally(self.at_least + other.at_least, self.above + other.above, self.bins.merged(other.bins))


def _tally(parts: list[NDArray[np.float32]], anchors: Floats, lowest_exponent: int = -120) -> _Tally:
    ceiling, floor = _ceiling(anchors), -_ceiling(-anchors)
    at_least, above = np.zeros(len(anchors), dtype=np.int64), np.zeros(len(anchors), dtype=np.int64)
    for part in parts:
        part.sort()
        _refuse_non_finite(part)
        at_least += len(part) - np.searchsorted(part, ceiling, side="left")
        above += len(part) - np.searchsorted(part, floor, side="right")
    return _Tally(at_least, above, BinSums.of(parts, lowest_exponent))


def _scores(anchors: Floats, tally: _Tally, num_non_edges: int, num_scored: int) -> NonEdgeScores:
    weight = num_non_edges / num_scored
    return NonEdgeScores(
        anchors=anchors,
        at_least=tally.at_least.astype(np.float64) * weight,
        above=tally.above.astype(np.float64) * weight,
        num_non_edges=float(num_non_edges),
        num_scored=num_scored,
        rate=num_scored / num_non_edges,
        bins=tally.bins.to_bins(weight),
    )


def _ceiling(thresholds: Floats) -> NDArray[np.float32]:
    """The smallest float32 at or above each threshold, so that float32 logits compare as the float64 threshold says."""
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
    return np.where(rounded < thresholds, np.nextafter(rounded, np.float32(np.inf)), rounded)


def _refuse_non_finite(logits: NDArray[np.float32]) -> None:
    """Sorted logits: NaN and +inf come last, -inf first."""
    if len(logits) and not (np.isfinite(logits[0]) and np.isfinite(logits[-1])):
        bad = int(np.count_nonzero(~np.isfinite(logits)))
        raise NonFiniteScores(
            f"{bad:,} of {len(logits):,} logits of non-edges in one block are NaN or infinite. "
            "Training diverged: lower --learning-rate, or check the features with `linkodds doctor`."
        )


def in_order(
    work: Callable[[Block | Pairs], Made], chunks: Iterator[Block | Pairs], threads: int | None
) -> Iterator[Made]:
    """What `work` makes of each chunk, in the order of the chunks, `threads` of them at a time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = threads or min(4, allowed)
    if threads == 1:
        yield from map(work, chunks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Made]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > threads:  # keeps memory to a few blocks
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
