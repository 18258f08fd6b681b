"""Logits of non-edges as a small table: exact counts at chosen logits, and a fine histogram for smooth sums."""

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
from linkodds.non_edges import MAX_CELLS, NUM_CLASSES, DegreeClasses, NonEdges
from linkodds.pairs import Block, Pairs
from linkodds.scoring import Scorer

MAX_BINS = 1 << 15
CLASS_SHIFT = 48
T = TypeVar("T")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogitBins:
    """Weighted logits of non-edges in narrow bins, one entry a non-empty (degree class, bin), in that order.

    A bin keeps count, mean and deviation, so the two points mean - deviation and mean + deviation, with half of the
    count each, have its first three moments but for the skewness. With bins about a thousandth wide, sums of smooth
    functions (sigmoid, softplus, their derivatives) through these points are right to about 1e-10 relative; with tied
    logits (few distinct values) they are exact.

    Args:
        degree_class: shape (bins,), uint8: 0, 1 or 2 (`DegreeClasses`), all 0 where there are no classes.
        count: shape (bins,), float64: non-edges, weighted to the whole graph.
        mean: shape (bins,), float64: mean logit.
        deviation: shape (bins,), float64: standard deviation of the logits in the bin, at least 0.
        width: of every bin, a power of two; bins start at its multiples.
    Example:
        >>> bins = LogitBins.of([np.array([0.0, 0.0, 2.0], dtype=np.float32)])
        >>> bins.count.tolist(), bins.mean.tolist(), bins.expect(np.square).tolist()
        ([2.0, 1.0], [0.0, 2.0], [4.0, 0.0, 0.0])
    """

    degree_class: NDArray[np.uint8]
    count: Floats
    mean: Floats
    deviation: Floats
    width: float

    @staticmethod
    def of(logits_by_class: list[NDArray[np.float32]], *, weight: float = 1.0) -> "LogitBins":
        """Bins of logits in memory, one float32 array a class, each logit counting `weight`."""
        return _BinSums.of([np.sort(part) for part in logits_by_class]).to_bins(weight)

    def points(self, degree_class: int | None = None) -> tuple[Floats, Floats]:
        """Logits and weights, shape (points,) each, that stand for all non-edges (or for one class) in smooth sums."""
        chosen = slice(None) if degree_class is None else self.degree_class == degree_class
        count, mean, deviation = self.count[chosen], self.mean[chosen], self.deviation[chosen]
        wide = deviation > 0
        return (
            np.concatenate([mean[~wide], mean[wide] - deviation[wide], mean[wide] + deviation[wide]]),
            np.concatenate([count[~wide], count[wide] / 2, count[wide] / 2]),
        )

    def expect(self, function: Callable[[Floats], Floats]) -> Floats:
        """Shape (3,): the sum of function(logit) over the non-edges of each degree class; its sum is the total."""
        left, right = function(self.mean - self.deviation), function(self.mean + self.deviation)
        return _sum_by_class(self.degree_class, self.count * (left + right) / 2)

    def num_by_class(self) -> Floats:
        """Shape (3,): non-edges of each degree class."""
        return _sum_by_class(self.degree_class, self.count)

    def borders(self) -> tuple[Floats, Floats]:
        """Lower borders of the non-empty bins, decreasing, and the weighted number of non-edges at or above each.

        Exact counts (when enumerated) at thresholds that were chosen without looking at edges. Shape (borders,) each.
        """
        index, place = np.unique(np.floor(self.mean / self.width), return_inverse=True)
        return (index * self.width)[::-1], np.cumsum(np.bincount(place, weights=self.count)[::-1])

    def scaled(self, factor: float) -> "LogitBins":
        """The same logits with every weight multiplied by `factor`."""
        return replace(self, count=self.count * factor)


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

    total = reduce(_Tally.merged, _in_order(work, chunks, threads), total)
    return _scores(anchors, total, non_edges.num_non_edges, non_edges.num_scored)


def count_at_least(
    scorer: Scorer, non_edges: NonEdges, thresholds: Floats, *, threads: int | None = None, max_cells: int = MAX_CELLS
) -> Floats:
    """Weighted number of non-edges with logit >= each threshold, by a pass of its own without bins.

    Args:
        scorer: gives the logits.
        non_edges: which pairs.
        thresholds: shape (thresholds,), float64, any order, repeats allowed.
    Returns:
        Shape (thresholds,), float64; exact when enumerated.
    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    ceiling = _ceiling(np.asarray(thresholds, dtype=np.float64))

    def work(chunk: Block | Pairs) -> NDArray[np.intp]:
        (logits,) = non_edges.logits_by_class(scorer, chunk)
        logits.sort()
        _refuse_non_finite(logits)
        return len(logits) - np.searchsorted(logits, ceiling, side="left")

    counts = np.zeros(len(ceiling))
    for part in _in_order(work, non_edges.chunks(max_cells=max_cells), threads):
        counts += part
    return counts * (non_edges.num_non_edges / non_edges.num_scored)


@dataclass(frozen=True, eq=False)
class _BinSums:
    """Sums over bins [i, i + 1) * 2**exponent: dyadic, so coarsening adds neighbours and merging never moves a border.

    The exponent is the smallest that leaves at most MAX_BINS non-empty bins and keeps |i| below 2**46. Both bounds only
    grow when data is added, so the bins depend on the data and not on its order; far outliers do not widen the others.
    """

    exponent: int
    keys: NDArray[np.int64]  # increasing: degree class * 2**CLASS_SHIFT + i
    sums: Floats  # shape (3, bins): count, sum, sum of squares

    @staticmethod
    def of(parts: list[NDArray[np.float32]], lowest_exponent: int = -120) -> "_BinSums":
        """Bins of sorted logits, one array a class; `lowest_exponent` saves the search where it is known."""

        def fits(exponent: int) -> bool:
            return sum(len(_starts(part, exponent)[0]) for part in parts) <= MAX_BINS

        filled = [part for part in parts if len(part)]
        largest = max((float(max(-part[0], part[-1])) for part in filled), default=0.0)
        width = max((float(part[-1]) - float(part[0]) for part in filled), default=0.0)
        low = max(lowest_exponent, int(np.frexp(largest)[1]) - 46 if largest else -120)
        if not fits(low):
            high = int(np.frexp(2 * len(parts) * width / MAX_BINS)[1])  # at most MAX_BINS / 2 + len(parts) bins
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (low, middle) if fits(middle) else (middle, high)
            low = high
        keys, sums = [], []
        for label, part in enumerate(parts):
            starts, index = _starts(part, low)
            exact = part.astype(np.float64)
            keys.append(index + (label << CLASS_SHIFT))
            total = np.add.reduceat(exact, starts) if len(part) else exact
            squares = np.add.reduceat(np.square(exact, out=exact), starts) if len(part) else exact
            sums.append(np.stack([np.diff(starts, append=len(part)).astype(np.float64), total, squares]))
        return _BinSums(low, np.concatenate(keys), np.concatenate(sums, axis=1))

    def merged(self, other: "_BinSums") -> "_BinSums":
        exponent = max(self.exponent, other.exponent)
        while True:
            a, b = self._coarser(exponent), other._coarser(exponent)
            keys, sums = np.concatenate([a.keys, b.keys]), np.concatenate([a.sums, b.sums], axis=1)
            merged = _BinSums(exponent, *_added_up(keys, sums))
            if len(merged.keys) <= MAX_BINS:
                return merged
            exponent += 1

    def to_bins(self, weight: float) -> LogitBins:
        count, total, squares = self.sums
        mean = total / count
        # Rounding in the difference is about 1e-16 mean**2: far below what a smooth function of the logit feels.
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        deviation[count == 1] = 0.0
        return LogitBins(_class_of(self.keys).astype(np.uint8), count * weight, mean, deviation, 2.0**self.exponent)

    def _coarser(self, exponent: int) -> "_BinSums":
        if exponent == self.exponent:
            return self
        start = _class_of(self.keys) << CLASS_SHIFT
        keys = start + ((self.keys - start) >> (exponent - self.exponent))
        return _BinSums(exponent, *_added_up(keys, self.sums))


def _class_of(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    return (keys + (1 << (CLASS_SHIFT - 1))) >> CLASS_SHIFT  # |i| is below 2**46


def _added_up(keys: NDArray[np.int64], sums: Floats) -> tuple[NDArray[np.int64], Floats]:
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(keys)), dtype=np.bool_), keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(sums[:, order], starts, axis=1) if len(keys) else sums


@dataclass(frozen=True, eq=False)
class _Tally:
    at_least: NDArray[np.int64]
    above: NDArray[np.int64]
    bins: _BinSums

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
    return _Tally(at_least, above, _BinSums.of(parts, lowest_exponent))


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


def _sum_by_class(degree_class: NDArray[np.uint8], values: Floats) -> Floats:
    return np.bincount(degree_class, weights=values, minlength=NUM_CLASSES).astype(np.float64)


def _starts(part: NDArray[np.float32], exponent: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Where each non-empty bin starts in a sorted part, and its index; the scaling by a power of two is exact."""
    index = np.floor(part * np.float32(2.0**-exponent))
    starts = np.concatenate([np.zeros(min(1, len(part)), dtype=np.intp), np.flatnonzero(index[1:] != index[:-1]) + 1])
    return starts, index[starts].astype(np.int64)


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


def _in_order(work: Callable[[Block | Pairs], T], chunks: Iterator[Block | Pairs], threads: int | None) -> Iterator[T]:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = threads or min(4, allowed)
    if threads == 1:
        yield from map(work, chunks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[T]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > threads:  # keeps memory to a few blocks
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
