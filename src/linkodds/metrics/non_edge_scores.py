"""Scores of non-edges: one pass over all of them that keeps exact counts at chosen logits, and narrow bins."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from linkodds.errors import NonFiniteScores
from linkodds.metrics.logit_bins import BinSums, Floats, LogitBins
from linkodds.metrics.non_edges import MAX_CELLS, DegreeClasses, Design, NonEdges, Stratum
from linkodds.pairs import Block, Pairs
from linkodds.scorers.scoring import Scorer

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class StratumScores:
    """What is known of one stratum: a uniform sample of it, or all of it, got a logit.

    Args:
        name: what its non-edges have in common.
        num_non_edges: weight of all of them together: their number, unless `scaled`.
        num_scored: how many got a logit.
        rate: share of them that did; 1 when enumerated.
        at_least: shape (anchors,): how many scored ones have a logit >= anchor, each counted once.
        above: shape (anchors,): the same for logit > anchor.
        bins: their logits, weighted to all of the stratum.
    """

    name: str
    num_non_edges: float
    num_scored: int
    rate: float
    at_least: Floats
    above: Floats
    bins: LogitBins

    @property
    def weight(self) -> float:
        """How many non-edges one scored non-edge stands for."""
        return self.num_non_edges / self.num_scored

    def variance_of_sum(self, values: Floats, weights: Floats) -> Floats:
        """Covariance of the estimated sum of `values` over the stratum, from the draw alone; 0 when enumerated.

        Args:
            values: shape (points, k), at points that stand for the scored ones.
            weights: shape (points,), of the points, adding up to anything above 0.
        Returns:
            Shape (k, k): num_non_edges**2 (1 - rate) times the covariance among them / num_scored.
        """
        centred = values - np.average(values, axis=0, weights=weights)
        spread = centred.T @ (centred * (weights / weights.sum())[:, None])
        return np.asarray(self.num_non_edges**2 * (1 - self.rate) / self.num_scored * spread)


@dataclass(frozen=True, eq=False)
class NonEdgeScores:
    """What evaluation, calibration and decisions need to know about the logits of all non-edges.

    Args:
        anchors: shape (anchors,), float64, increasing, no value twice: logits (rounded to float32) or thresholds.
        at_least: shape (anchors,), float64: weighted number of non-edges with logit >= anchor; exact when enumerated.
        above: shape (anchors,), float64: the same for logit > anchor.
        num_non_edges: weight of all non-edges together: their number in the graph, unless `scaled`.
        num_scored: how many got a logit; each counts num_non_edges / num_scored, or what its stratum says.
        rate: share of the graph's non-edges that got a logit; 1 when enumerated.
        bins: all logits in narrow bins, for smooth sums.
        strata: the parts that were sampled at rates of their own; empty where there was one rate.
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
    strata: tuple[StratumScores, ...] = ()

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
        return NonEdgeScores.of_strata({"all": (logits, num_non_edges)}, anchors=anchors)

    @staticmethod
    def of_strata(strata: Mapping[str, tuple[NDArray[np.floating], int]], *, anchors: Floats) -> "NonEdgeScores":
        """Scores of strata whose samples are in memory.

        Args:
            strata: name -> logits of a uniform sample, shape (scored,), and the number of non-edges that it stands for.
            anchors: any shape and order.
        Example:
            >>> strata = {"near": (np.array([1.0, 2.0]), 2), "rest": (np.array([0.0, 3.0]), 20)}
            >>> NonEdgeScores.of_strata(strata, anchors=np.array([1.5])).at_least.tolist()  # 2, and 3 for ten
            [11.0]
        """
        for logits, size in strata.values():
            if not 0 < len(logits) <= size:
                raise ValueError(f"{len(logits):,} logits cannot stand for {size:,} non-edges")
        anchors = np.unique(anchors)
        parts = [(Stratum(name, size, np.empty((len(z), 2), dtype=np.int64)), z) for name, (z, size) in strata.items()]
        tallies = [_tally([np.asarray(z).astype(np.float32)], anchors) for _, z in parts]
        return _scores(anchors, [part for part, _ in parts], tallies)

    @property
    def design(self) -> Design:
        """How the non-edges were chosen; strata that were all enumerated are an enumeration."""
        if self.rate == 1.0:
            return "enumerated"
        return "stratified" if self.strata else "sampled"

    @property
    def weight(self) -> float:
        """How many non-edges one scored non-edge stands for, the same for all.

        Raises:
            ValueError: strata have weights of their own.
        """
        if self.design == "stratified":
            raise ValueError("stratified non-edges have no common weight; see `parts`")
        return self.num_non_edges / self.num_scored

    @property
    def parts(self) -> tuple[StratumScores, ...]:
        """The strata, or the one that everything is."""
        if self.strata:
            return self.strata
        counts = self.at_least / self.weight, self.above / self.weight
        return (StratumScores("all", self.num_non_edges, self.num_scored, self.rate, *counts, self.bins),)

    @property
    def sampled_parts(self) -> tuple[StratumScores, ...]:
        """Those of `parts` that were not enumerated."""
        return tuple(part for part in self.parts if part.rate < 1.0)

    def counts_at_least(self, threshold: float) -> Floats:
        """Scored non-edges of each of `parts` with logit >= threshold, each counted once; shape (parts,)."""
        name, place = self._settled(threshold)
        if name == "nowhere":
            return np.array([float(part.num_scored if place < 0 else 0.0) for part in self.parts])
        return np.array([float(getattr(part, name)[place]) for part in self.parts])

    def weight_at(self, threshold: float) -> float:
        """How many non-edges one scored non-edge stands for around a threshold: with one rate its weight, else a mean.

        (sum of squared weights + largest squared) / (sum of weights + largest), over those at or above the threshold and
        one more that was not seen (Fay and Feuer, Statistics in Medicine 16, 1997): strata far below it count little.
        """
        weights, counts = np.array([part.weight for part in self.parts]), self.counts_at_least(threshold)
        largest = max(part.weight for part in self.sampled_parts or self.parts)
        return float((counts @ weights**2 + largest**2) / (counts @ weights + largest))

    def upper_limit(self, threshold: float, level: float) -> float:
        """How many non-edges may be expected at or above a threshold, where others could have been: Poisson, one-sided.

        Exact for enumerated non-edges (Garwood, Biometrika 28, 1936); Fay and Feuer's for sampled ones.
        """
        weight = self.weight_at(threshold)
        largest = max(part.weight for part in self.sampled_parts or self.parts)
        return float(weight * chi2.ppf(level, 2 * (self.num_at_least(threshold) + largest) / weight) / 2)

    def effective_count(self, threshold: float) -> float:
        """Of how many sampled non-edges the weighted count at a threshold is worth: their number, with one rate.

        Squared count / (sum of squared weights of the sampled ones, or the largest of them); infinite when enumerated.
        """
        weights, counts = np.array([part.weight for part in self.parts]), self.counts_at_least(threshold)
        sampled = np.array([part.rate < 1.0 for part in self.parts])
        if not sampled.any():
            return np.inf
        squared = max(float(counts[sampled] @ weights[sampled] ** 2), float(weights[sampled].max()) ** 2)
        return float(counts @ weights) ** 2 / squared

    def num_at_least(self, threshold: float) -> float:
        """Weighted number of non-edges with logit >= threshold: exact, or refused.

        Raises:
            ValueError: the anchors do not settle it; score with the threshold among the anchors.
        """
        name, place = self._settled(threshold)
        if name == "nowhere":
            return float(self.num_non_edges) if place < 0 else 0.0
        return float(getattr(self, name)[place])

    def _settled(self, threshold: float) -> tuple[Literal["at_least", "above", "nowhere"], int]:
        """Which count is that of a threshold: at_least or above of an anchor; below all logits (-1) or above all (0)."""
        ceiling = _ceiling(np.array([threshold]))[0]
        place = int(np.searchsorted(self.anchors, ceiling))
        if place < len(self.anchors) and self.anchors[place] == ceiling:
            return "at_least", place
        before = float(np.nextafter(ceiling, np.float32(-np.inf)))
        # Between two anchors the count is known where no non-edge lies between them, or no float32 does.
        left = float(self.above[place - 1]) if place else float(self.num_non_edges)
        right = float(self.at_least[place]) if place < len(self.anchors) else 0.0
        if left == right or (place and self.anchors[place - 1] >= before):
            return ("above", place - 1) if place else ("nowhere", -1)
        raise ValueError(f"threshold {threshold!r} is no anchor of these scores, and non-edges lie around it")

    def scaled(self, factor: float) -> "NonEdgeScores":
        """The same logits with the weight of every non-edge multiplied by `factor` (another prevalence)."""
        return replace(
            self,
            at_least=self.at_least * factor,
            above=self.above * factor,
            num_non_edges=self.num_non_edges * factor,
            bins=self.bins.scaled(factor),
            strata=tuple(
                replace(part, num_non_edges=part.num_non_edges * factor, bins=part.bins.scaled(factor))
                for part in self.strata
            ),
        )


def score_non_edges(
    scorer: Scorer,
    non_edges: NonEdges,
    *,
    anchors: Floats,
    classes: DegreeClasses | None = None,
    threads: int | None = None,
    max_cells: int = MAX_CELLS,
    runner: "TallyRunner | None" = None,
) -> NonEdgeScores:
    """Score every non-edge (or the sample) once, block by block, and keep counts only.

    Each block is parted by degree class, sorted, and the anchors are looked up in it: about 25 ns a pair and
    core, memory O(block + anchors + bins). Blocks are merged in their order, so the numbers do not depend on `threads`.

    Args:
        scorer: gives the logits; must be safe to call from several threads.
        non_edges: which pairs; strata are scored one after the other.
        anchors: logits at which counts are wanted, any shape and order; edge logits rounded to float32, thresholds.
        classes: degree classes for the bins; None puts everything in class 0.
        threads: how many blocks at a time; None takes the processors this process may use, at most 4.
        max_cells: pairs in a block, about.
        runner: makes the tallies of groups of blocks in another way than on threads of this process.
    Returns:
        Counts at the distinct anchors and bins, weighted to all non-edges of the graph.
    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    Example:
        >>> from linkodds.pairs import KnownPairs, PairSpace
        >>> from linkodds.scorers.scoring import InnerProductScorer
        >>> z = np.arange(4, dtype=np.float32)[:, None]
        >>> non_edges = NonEdges(KnownPairs(PairSpace(4), np.array([[2, 3]])))
        >>> scores = score_non_edges(InnerProductScorer(z, z, 1.0, 0.0), non_edges, anchors=np.array([2.0]))
        >>> scores.at_least.tolist(), scores.above.tolist()  # the products are 0, 0, 0, 2 and 3
        ([2.0], [1.0])
    """
    anchors = np.unique(anchors)
    exponent = -120
    tallies = []
    for number, part in enumerate(non_edges.parts):
        chunks = non_edges.chunks(part, max_cells=max_cells)
        # The first block alone settles how fine the bins start: from then on every block starts alike, whatever the
        # order in which threads finish.
        total = _tally(non_edges.logits_by_class(scorer, next(chunks), classes), anchors, exponent)
        exponent = total.bins.exponent
        if runner is not None:
            of_groups = ChunkTallies(scorer, non_edges, number, classes, anchors, exponent, max_cells)
            tallies.append(reduce(Tally.merged, runner(of_groups), total))
            continue

        def work(chunk: Block | Pairs, finest: int = exponent) -> Tally:
            return _tally(non_edges.logits_by_class(scorer, chunk, classes), anchors, finest)

        tallies.append(reduce(Tally.merged, in_order(work, chunks, threads), total))
    return _scores(anchors, non_edges.parts, tallies)


GROUPS = 64
"""Groups of blocks that a runner gets for each part, at most; their number does not depend on who runs them."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of some non-edges at all anchors, and their bins; what merges.

    Args:
        at_least: shape (anchors,): logits at or above each.
        above: shape (anchors,): logits above each.
        bins: sums over the logits.
    """

    at_least: NDArray[np.int64]
    above: NDArray[np.int64]
    bins: BinSums

    def merged(self, other: "Tally") -> "Tally":
        """The counts of both."""
        return Tally(self.at_least + other.at_least, self.above + other.above, self.bins.merged(other.bins))


@dataclass(frozen=True, eq=False)
class ChunkTallies:
    """The work on one part of the non-edges but its first chunk, in groups: a pure function of the group's number.

    Args:
        scorer: gives the logits.
        non_edges: which pairs.
        part: place among their parts.
        classes: degree classes.
        anchors: sorted, no value twice.
        exponent: of the finest bins.
        max_cells: pairs in a block, about.
    """

    scorer: Scorer
    non_edges: NonEdges
    part: int
    classes: DegreeClasses | None
    anchors: Floats
    exponent: int
    max_cells: int

    @property
    def num_groups(self) -> int:
        """Groups, numbered from 0; none where one chunk is all."""
        return min(GROUPS, self._num_chunks - 1)

    def __call__(self, group: int) -> Tally:
        """The tally of one group, its chunks merged in their order."""
        first, last = (1 + (self._num_chunks - 1) * at // self.num_groups for at in (group, group + 1))
        return reduce(Tally.merged, map(self._of_chunk, range(first, last)))

    @property
    def _num_chunks(self) -> int:
        sample = self.non_edges.parts[self.part].sample
        return len(self._rows) if sample is None else -(-len(sample) // self.max_cells)

    @cached_property
    def _rows(self) -> list[tuple[int, int]]:
        return list(self.non_edges.known.space.block_rows(max_cells=self.max_cells))

    def _of_chunk(self, number: int) -> Tally:
        sample = self.non_edges.parts[self.part].sample
        chunk: Block | Pairs
        if sample is None:
            chunk = self.non_edges.known.space.block(*self._rows[number])
        else:
            chunk = sample[number * self.max_cells : (number + 1) * self.max_cells]
        return _tally(self.non_edges.logits_by_class(self.scorer, chunk, self.classes), self.anchors, self.exponent)


TallyRunner = Callable[[ChunkTallies], Iterable[Tally]]
"""The tallies of all groups, in their order."""


def _tally(parts: list[NDArray[np.float32]], anchors: Floats, lowest_exponent: int = -120) -> Tally:
    ceiling, floor = _ceiling(anchors), -_ceiling(-anchors)
    at_least, above = np.zeros(len(anchors), dtype=np.int64), np.zeros(len(anchors), dtype=np.int64)
    for part in parts:
        part.sort()
        _refuse_non_finite(part)
        at_least += len(part) - np.searchsorted(part, ceiling, side="left")
        above += len(part) - np.searchsorted(part, floor, side="right")
    return Tally(at_least, above, BinSums.of(parts, lowest_exponent))


def _scores(anchors: Floats, parts: Sequence[Stratum], tallies: Sequence[Tally]) -> NonEdgeScores:
    weights = [part.size / part.num_scored for part in parts]
    weighted = list(zip(tallies, weights, strict=True))
    sums = reduce(BinSums.merged, (tally.bins.weighted(weight) for tally, weight in weighted))
    num_scored, num_non_edges = sum(part.num_scored for part in parts), sum(part.size for part in parts)
    strata = (
        StratumScores(
            name=part.name,
            num_non_edges=float(part.size),
            num_scored=part.num_scored,
            rate=part.rate,
            at_least=tally.at_least.astype(np.float64),
            above=tally.above.astype(np.float64),
            bins=tally.bins.coarser(sums.exponent).to_bins(weight),
        )
        for part, (tally, weight) in zip(parts, weighted, strict=True)
    )
    return NonEdgeScores(
        anchors=anchors,
        at_least=np.sum([tally.at_least.astype(np.float64) * weight for tally, weight in weighted], axis=0),
        above=np.sum([tally.above.astype(np.float64) * weight for tally, weight in weighted], axis=0),
        num_non_edges=float(num_non_edges),
        num_scored=num_scored,
        rate=num_scored / num_non_edges,
        bins=tallies[0].bins.to_bins(weights[0]) if len(parts) == 1 else sums.to_bins(1.0),
        strata=tuple(strata) if len(parts) > 1 else (),
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
    work: Callable[[Block | Pairs], Result], chunks: Iterator[Block | Pairs], threads: int | None
) -> Iterator[Result]:
    """What `work` makes of each chunk, in the order of the chunks, `threads` of them at a time."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = threads or min(4, allowed)
    if threads == 1:
        yield from map(work, chunks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > threads:  # keeps memory to a few blocks
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
