"""Logits in narrow bins: a small table through which sums of smooth functions over millions of logits are right."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from linkodds.metrics.non_edges import NUM_CLASSES

MAX_BINS = 1 << 15
CLASS_SHIFT = 48
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LogitBins:
    """Weighted logits of non-edges in narrow bins, one entry a non-empty (degree class, bin), in that order.

    A bin keeps count, mean and deviation, so the two points mean - deviation and mean + deviation, with half of the
    count each, have its first three moments but for the skewness. With bins about a thousandth wide, sums of smooth
    functions (sigmoid, softplus, their derivatives) through these points are right to about 1e-10 relative; with tied
    logits (few distinct values) they are exact.

    Args:
        degree_class: shape (bins,), uint8: 0 to 4 (`DegreeClasses`), all 0 where there are no classes.
        count: shape (bins,), float64: non-edges, weighted to the whole graph.
        mean: shape (bins,), float64: mean logit.
        deviation: shape (bins,), float64: standard deviation of the logits in the bin, at least 0.
        width: of every bin, a power of two; bins start at its multiples.
    Example:
        >>> bins = LogitBins.of([np.array([0.0, 0.0, 2.0], dtype=np.float32)])
        >>> bins.count.tolist(), bins.mean.tolist(), bins.expect(np.square).tolist()
        ([2.0, 1.0], [0.0, 2.0], [4.0, 0.0, 0.0, 0.0, 0.0])
    """

    degree_class: NDArray[np.uint8]
    count: Floats
    mean: Floats
    deviation: Floats
    width: float

    @staticmethod
    def of(logits_by_class: list[NDArray[np.float32]], *, weight: float = 1.0) -> "LogitBins":
        """Bins of logits in memory, one float32 array a class, each logit counting `weight`."""
        return BinSums.of([np.sort(part) for part in logits_by_class]).to_bins(weight)

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
        """Shape (5,): the sum of function(logit) over the non-edges of each degree class; its sum is the total."""
        left, right = function(self.mean - self.deviation), function(self.mean + self.deviation)
        return _sum_by_class(self.degree_class, self.count * (left + right) / 2)

    def num_by_class(self) -> Floats:
        """Shape (5,): non-edges of each degree class."""
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
class BinSums:
    """Sums over bins [i, i + 1) * 2**exponent: dyadic, so coarsening adds neighbours and merging never moves a border.

    The exponent is the smallest that leaves at most MAX_BINS non-empty bins and keeps |i| below 2**46. Both bounds only
    grow when data is added, so the bins depend on the data and not on its order; far outliers do not widen the others.
    """

    exponent: int
    keys: NDArray[np.int64]  # increasing: degree class * 2**CLASS_SHIFT + i
    sums: Floats  # shape (3, bins): count, sum, sum of squares

    @staticmethod
    def of(parts: list[NDArray[np.float32]], lowest_exponent: int = -120) -> "BinSums":
        """Bins of sorted logits, one array a class; `lowest_exponent` saves the search where it is known."""
        filled = [part for part in parts if len(part)]
        largest = max((float(max(-part[0], part[-1])) for part in filled), default=0.0)
        width = max((float(part[-1]) - float(part[0]) for part in filled), default=0.0)
        low = max(lowest_exponent, int(np.frexp(largest)[1]) - 46 if largest else -120)
        if sum(len(_starts(part, low)[0]) for part in parts) > MAX_BINS:
            high = int(np.frexp(2 * len(parts) * width / MAX_BINS)[1])  # at most MAX_BINS / 2 + len(parts) bins
            while low + 1 < high:
                middle = (low + high) // 2
                fits = sum(len(_starts(part, middle)[0]) for part in parts) <= MAX_BINS
                low, high = (low, middle) if fits else (middle, high)
            low = high
        keys, sums = [], []
        for label, part in enumerate(parts):
            starts, index = _starts(part, low)
            exact = part.astype(np.float64)
            keys.append(index + (label << CLASS_SHIFT))
            total = np.add.reduceat(exact, starts) if len(part) else exact
            squares = np.add.reduceat(np.square(exact, out=exact), starts) if len(part) else exact
            sums.append(np.stack([np.diff(starts, append=len(part)).astype(np.float64), total, squares]))
        return BinSums(low, np.concatenate(keys), np.concatenate(sums, axis=1))

    def merged(self, other: "BinSums") -> "BinSums":
        """The sums of both, in the finest bins that hold them."""
        exponent = max(self.exponent, other.exponent)
        while True:
            a, b = self.coarser(exponent), other.coarser(exponent)
            keys, sums = np.concatenate([a.keys, b.keys]), np.concatenate([a.sums, b.sums], axis=1)
            merged = BinSums(exponent, *_added_up(keys, sums))
            if len(merged.keys) <= MAX_BINS:
                return merged
            exponent += 1

    def weighted(self, weight: float) -> "BinSums":
        """The same logits, each counting `weight`: to be merged with others that count something else."""
        return BinSums(self.exponent, self.keys, self.sums * weight)

    def to_bins(self, weight: float) -> LogitBins:
        """As mean and deviation of each bin, every logit counting `weight`."""
        count, total, squares = self.sums
        mean = total / count
        # Rounding in the difference is about 1e-16 mean**2: far below what a smooth function of the logit feels.
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        deviation[count == 1] = 0.0
        return LogitBins(_class_of(self.keys).astype(np.uint8), count * weight, mean, deviation, 2.0**self.exponent)

    def coarser(self, exponent: int) -> "BinSums":
        """The same in bins of 2**exponent, which is no finer."""
        if exponent == self.exponent:
            return self
        start = _class_of(self.keys) << CLASS_SHIFT
        keys = start + ((self.keys - start) >> (exponent - self.exponent))
        return BinSums(exponent, *_added_up(keys, self.sums))


def _class_of(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    return (keys + (1 << (CLASS_SHIFT - 1))) >> CLASS_SHIFT  # |i| is below 2**46


def _added_up(keys: NDArray[np.int64], sums: Floats) -> tuple[NDArray[np.int64], Floats]:
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(keys)), dtype=np.bool_), keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(sums[:, order], starts, axis=1) if len(keys) else sums


def _sum_by_class(degree_class: NDArray[np.uint8], values: Floats) -> Floats:
    return np.bincount(degree_class, weights=values, minlength=NUM_CLASSES).astype(np.float64)


def _starts(part: NDArray[np.float32], exponent: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Where each non-empty bin starts in a sorted part, and its index; the scaling by a power of two is exact."""
    index = np.floor(part * np.float32(2.0**-exponent))
    starts = np.concatenate([np.zeros(min(1, len(part)), dtype=np.intp), np.flatnonzero(index[1:] != index[:-1]) + 1])
    return starts, index[starts].astype(np.int64)
