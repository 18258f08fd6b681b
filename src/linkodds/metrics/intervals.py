"""Quantities with 95 % intervals. Kind "S": other edges could have been held out; the graph and the split stay.

Enumerated non-edges have no sampling error and add nothing; sampled ones add theirs. Edges are taken as independent,
though they share nodes, and neither split nor seed is varied, so intervals are on the narrow side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, hypot, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, gammaincinv
from scipy.stats import chi2

from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.metrics import Confusion, confusion_at
from linkodds.metrics.non_edge_scores import NonEdgeScores

Kind = Literal["S", "F"]
"""Other edges could have been held out; or the graph and its held-out edges stay, and only non-edges were drawn."""
Z95 = 1.959963984540054
FEW_EDGES = 10
ENUMERATED_FROM = 0.3
"""Share of the non-edges from which a sample saves too little."""


@dataclass(frozen=True)
class Quantity:
    """A measured number, or why there is none.

    Args:
        value: None only with a reason.
        low: lower end of the 95 % interval, None where there is no honest one.
        high: upper end.
        kind: "S" (other edges could have been held out) or "F" (fixed graph, only non-edges were sampled).
        reason: why value or interval is missing, or what to mind.
        band: the values at both ends of an assumed interval, the smaller first; None where no interval is assumed.
    Raises:
        ValueError: no value and no reason, a NaN, or a value outside its interval.
    Example:
        >>> Quantity(0.5, 0.4, 0.6).to_json()
        {'value': 0.5, 'low': 0.4, 'high': 0.6, 'kind': 'S'}
        >>> Quantity.missing("fewer than 100 candidates").value is None
        True
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    kind: Kind = "S"
    reason: str | None = None
    band: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        numbers = [float(x) for x in (self.value, self.low, self.high) if x is not None]
        if not np.isfinite(numbers).all():
            raise ValueError(f"not a finite quantity: {self}")
        if self.value is None and not self.reason:
            raise ValueError("a quantity without a value needs a reason")
        if len(numbers) == 3 and not numbers[1] <= numbers[0] <= numbers[2]:
            raise ValueError(f"value outside its interval: {self}")

    @staticmethod
    def missing(reason: str) -> "Quantity":
        """No value, for this reason."""
        return Quantity(None, reason=reason)

    @staticmethod
    def around(
        value: float, interval: tuple[float, float], *, kind: Kind = "S", reason: str | None = None
    ) -> "Quantity":
        """A value with an interval that is stretched to hold it, should a percentile interval miss it."""
        low, high = interval
        return Quantity(float(value), float(min(low, value)), float(max(high, value)), kind, reason)

    def to_json(self) -> dict[str, Any]:
        """As evaluation.json writes it."""
        numbers: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high, "kind": self.kind}
        if self.reason is not None:
            numbers["reason"] = self.reason
        return numbers if self.band is None else {**numbers, "band": list(self.band)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Quantity":
        """The inverse of `to_json`."""
        low, high = values.get("low"), values.get("high")
        low_end, high_end = values.get("band") or (None, None)
        band = None if low_end is None or high_end is None else (low_end, high_end)
        return Quantity(values["value"], low, high, values.get("kind", "S"), values.get("reason"), band)


def wilson(count: float, total: float, *, rate: float = 0.0) -> tuple[float, float]:
    """95 % interval of a share: Wilson's, narrowed by sqrt(1 - rate) when a share `rate` of all was looked at.

    Example:
        >>> [round(end, 3) for end in wilson(0, 10)], wilson(3, 10, rate=1.0)
        ([0.0, 0.278], (0.3, 0.3))
    """
    share, z2 = count / total, Z95**2 * (1.0 - rate)
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def non_edges_needed(precision: float, *, num_found: float, num_non_edges: float, half_width: float = 0.05) -> int:
    """How many uniformly sampled non-edges give a precision a 95 % interval of this half-width: all, if 3 in 10 or more.

    A share (1.96 / half-width)**2 precision**3 (1 - precision) / num_found of all non-edges, whatever their number; drawn
    without replacement. The error of the edges comes on top, and strata need fewer.

    Args:
        precision: about what is expected, in (0, 1).
        num_found: held-out edges at or above the threshold, above 0.
        num_non_edges: of the graph.
        half_width: wished for, above 0.
    Example:
        >>> non_edges_needed(0.5, num_found=1000, num_non_edges=2_000_000)  # a share of 96 / 1000, m / (1 + share)
        175244
    """
    share = (Z95 / half_width) ** 2 * precision**3 * (1 - precision) / num_found
    return int(num_non_edges) if share >= ENUMERATED_FROM else ceil(num_non_edges * share / (1 + share))


def poisson_interval(count: ArrayLike) -> tuple[Floats, Floats]:
    """Exact 95 % interval of the mean of a Poisson count (Garwood, Biometrika 28, 1936), elementwise.

    Example:
        >>> low, high = poisson_interval([0, 10])
        >>> low.round(2).tolist(), high.round(2).tolist()
        ([0.0, 4.8], [3.69, 18.39])
    """
    k = np.asarray(count, dtype=np.float64)
    low = np.where(k > 0, chi2.ppf(0.025, 2 * np.maximum(k, 1e-9)) / 2, 0.0)
    return low, np.asarray(chi2.ppf(0.975, 2 * k + 2) / 2)


def non_edges_interval(scores: NonEdgeScores, counts: Floats) -> tuple[Floats, Floats]:
    """95 % intervals of the number of non-edges at or above some thresholds; points when all were enumerated.

    Clopper and Pearson's for one rate. Strata add up as weighted Poisson counts do (Fay and Feuer, Statistics in Medicine
    16, 1997), where one more non-edge of the largest weight may always have been missed. Distances are narrowed by
    sqrt(1 - rate) for what was looked at. One interval covers at least as often as promised, not all of them together.

    Args:
        scores: of the non-edges.
        counts: shape (parts, thresholds): scored non-edges that pass, each counted once, as `counts_at_least` has them.
    Returns:
        Lower and upper ends, shape (thresholds,) each.
    Example:
        >>> sample = NonEdgeScores.of(np.array([2.0, *range(-999, 0)]), anchors=np.array([1.0]), num_non_edges=100_000)
        >>> ends = non_edges_interval(sample, sample.counts_at_least(1.0)[:, None])  # 1 of 1,000
        >>> [round(float(end[0])) for end in ends]
        [3, 554]
    """
    weights, rates, sizes = (
        np.array([getattr(part, name) for part in scores.parts])[:, None] for name in ("weight", "rate", "num_scored")
    )
    known = (counts * weights * (rates == 1.0)).sum(axis=0)
    sampled = np.flatnonzero(rates[:, 0] < 1.0)
    if len(sampled) == 0:
        return known, known
    if len(sampled) == 1:
        (part,) = scores.sampled_parts
        ends = clopper_pearson(counts[sampled[0]], part.num_scored, rate=part.rate)
        return known + part.num_non_edges * ends[0], known + part.num_non_edges * ends[1]
    counts, weights, rates, sizes = counts[sampled], weights[sampled], rates[sampled], sizes[sampled]
    total = (counts * weights).sum(axis=0)
    variance = (weights**2 * counts * (1 - counts / sizes) * (1 - rates)).sum(axis=0)
    heaviest = int(np.argmax(weights))
    most = float(weights[heaviest, 0])
    low = _gamma_quantile(0.025, total, variance)
    high = _gamma_quantile(0.975, total + most, variance + most**2 * (1 - float(rates[heaviest, 0])))
    return known + np.minimum(low, total), np.minimum(known + np.maximum(high, total), scores.num_non_edges)


def clopper_pearson(count: ArrayLike, total: float, *, rate: float = 0.0) -> tuple[Floats, Floats]:
    """95 % intervals of shares that cover at least as often, narrowed by sqrt(1 - rate) as in `wilson`; elementwise.

    Example:
        >>> [round(float(end), 3) for end in clopper_pearson(0, 10)], float(clopper_pearson(3, 10, rate=1.0)[0])
        ([0.0, 0.308], 0.3)
    """
    k, narrower = np.asarray(count, dtype=np.float64), sqrt(1.0 - rate)
    share = k / total
    low = np.where(k > 0, betaincinv(np.maximum(k, 1e-9), total - k + 1, 0.025), 0.0)
    high = np.where(k < total, betaincinv(k + 1, np.maximum(total - k, 1e-9), 0.975), 1.0)
    return share - (share - low) * narrower, share + (high - share) * narrower


def _floats(ends: tuple[Floats, Floats]) -> tuple[float, float]:
    return ends[0].item(), ends[1].item()


def _gamma_quantile(level: float, mean: Floats, variance: Floats) -> Floats:
    spread = np.where(variance > 0, variance, np.maximum(mean, 1e-300))  # any, where there is none
    scale = spread / np.maximum(mean, 1e-300)
    quantile = scale * gammaincinv(mean / scale, level)
    return np.where(variance > 0, quantile, mean)


def confusion_interval(
    held_out: HeldOut, threshold: float, statistic: Callable[[Confusion], float | None], *, kind: Kind = "S"
) -> tuple[float, float]:
    """95 % interval of a statistic that rises with recall and falls with the false positive rate.

    The interval of the recall (a point for kind F) is pushed through it, and that of the non-edges that pass (a point when
    all are enumerated); the two distances are added in squares (Zou and Donner, Statistics in Medicine 27, 2008).

    Args:
        held_out: where to count; its anchors settle the threshold.
        threshold: fixed without these edges.
        statistic: precision, F1, balanced accuracy, Matthews correlation; None (undefined) is skipped.
        kind: "S" or "F".
    Example:
        >>> held_out = HeldOut.from_logits([2.0] * 8 + [0.0] * 2, [1.0] + [-1.0] * 99, 100, thresholds=(0.5,))
        >>> [round(end, 3) for end in confusion_interval(held_out, 0.5, lambda c: c.recall)]
        [0.444, 0.975]
    """
    confusion = confusion_at(held_out, threshold)
    value, total = statistic(confusion), held_out.num_non_edges
    recall = confusion.recall
    recalls = _floats(clopper_pearson(confusion.tp, held_out.num_edges, rate=0.0 if kind == "S" else 1.0))
    scores = held_out.non_edges
    fps = _floats(non_edges_interval(scores, scores.counts_at_least(threshold)[:, None]))

    def at(recall: float, fp: float) -> float:
        tp = recall * held_out.num_edges
        moved = statistic(Confusion(total - fp, fp, held_out.num_edges - tp, tp))
        return value if moved is None and value is not None else moved if moved is not None else 0.0

    middle = at(recall, confusion.fp)
    low = middle - hypot(middle - at(recalls[0], confusion.fp), middle - at(recall, fps[1]))
    high = middle + hypot(at(recalls[1], confusion.fp) - middle, at(recall, fps[0]) - middle)
    return low, high


@dataclass(frozen=True, eq=False)
class Resamples:
    """Some bootstrap repetitions: edges drawn anew with replacement, non-edges too where they were sampled.

    Args:
        drawn: shape (repetitions, edges): which edges were drawn.
        edges: shape (repetitions, rungs): how often each rung of the ladder was.
        edges_above: shape (repetitions, rungs): edges drawn on higher rungs.
        non_edges_at_least: shape (repetitions or 1, rungs), weighted.
        non_edges_above: shape (repetitions or 1, rungs), weighted.
        num_non_edges: weight of all non-edges.
        tie_sizes: shape (rungs,): edges on each rung of the original ladder.
    """

    drawn: NDArray[np.intp]
    edges: Floats
    edges_above: Floats
    non_edges_at_least: Floats
    non_edges_above: Floats
    num_non_edges: float
    tie_sizes: Floats

    def mean(self, values: Floats) -> Floats:
        """Shape (repetitions,): mean of per-edge values, shape (edges,)."""
        result: Floats = values[self.drawn].mean(axis=1)
        return result

    def roc_auc(self) -> Floats:
        """Shape (repetitions,)."""
        beaten = 1.0 - (self.non_edges_at_least + self.non_edges_above) / (2 * self.num_non_edges)
        result: Floats = (self.edges * beaten).sum(axis=1) / self.drawn.shape[1]
        return result

    def average_precision(self, factor: float = 1.0) -> Floats:
        """Shape (repetitions,); `factor` reweights the non-edges to another prevalence.

        An edge drawn twice is not two edges with a tie: of its copies each sees half of the others above it, or the
        bootstrap would be biased upwards at the top of the list.
        """
        found = self.edges_above + 1 + (self.edges - 1) * (1 - 0.5 / self.tie_sizes)
        found = np.maximum(found, 1e-9)
        precision = found / (found + factor * self.non_edges_at_least)
        result: Floats = (self.edges * precision).sum(axis=1) / self.drawn.shape[1]
        return result

    def precision_at(self, k: float) -> Floats:
        """Shape (repetitions,): expected share of edges in a list of k, ties in random order."""
        before = self.edges_above + self.non_edges_above
        after = self.edges_above + self.edges + self.non_edges_at_least
        reached = after >= k
        rung = np.argmax(reached, axis=1)
        row = np.arange(len(rung))
        above, tied = self.edges_above[row, rung], self.edges[row, rung]
        start, end = before[row, rung], after[row, rung]
        share = np.clip((k - start) / np.maximum(end - start, 1e-9), 0.0, 1.0)
        found = np.where(reached.any(axis=1), above + tied * share, self.drawn.shape[1])
        result: Floats = found / k
        return result


def bootstrap(
    held_out: HeldOut,
    statistics: Mapping[str, Callable[[Resamples], Floats]],
    *,
    rng: np.random.Generator,
    repetitions: int | None = None,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals over resampled held-out edges, all statistics from the same repetitions.

    Args:
        held_out: the edges that are resampled.
        statistics: name to a function of `Resamples`.
        rng: source of the draws.
        repetitions: None takes 1,000, fewer (at least 200) above 20,000 edges.
    Example:
        >>> held_out = HeldOut.from_logits(np.arange(50.0), np.arange(-50.0, 40.0), 90)
        >>> ends = bootstrap(held_out, {"roc_auc": Resamples.roc_auc}, rng=np.random.default_rng(0))
        >>> [round(end, 2) for end in ends["roc_auc"]]
        [0.78, 0.86]
    """
    ladder, num_edges = held_out.ladder, held_out.num_edges
    rungs = len(ladder.logits)
    repetitions = repetitions or int(np.clip(20_000_000 // num_edges, 200, 1000))
    rung_of_edge = np.searchsorted(-ladder.logits, -held_out.edge_logits)
    collected: dict[str, list[Floats]] = {name: [] for name in statistics}
    size = max(1, min(100, 2_000_000 // num_edges))
    for start in range(0, repetitions, size):
        count = min(size, repetitions - start)
        drawn = rng.integers(0, num_edges, size=(count, num_edges))
        places = rung_of_edge[drawn] + rungs * np.arange(count)[:, None]
        edges = np.bincount(places.ravel(), minlength=count * rungs).reshape(count, rungs).astype(np.float64)
        at_least, above = _resampled_non_edges(held_out, count, rng)
        resamples = Resamples(
            drawn, edges, np.cumsum(edges, axis=1) - edges, at_least, above, held_out.num_non_edges, ladder.edges
        )
        for name, statistic in statistics.items():
            collected[name].append(statistic(resamples))
    ends = {name: np.quantile(np.concatenate(parts), [0.025, 0.975]) for name, parts in collected.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _resampled_non_edges(held_out: HeldOut, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Counts on the ladder, redrawn as Poisson where non-edges were sampled, with the finite-population correction."""
    ladder, scores = held_out.ladder, held_out.non_edges
    if held_out.design == "enumerated":
        return ladder.non_edges_at_least[None], ladder.non_edges_above[None]
    place = np.searchsorted(scores.anchors, ladder.logits)
    total = np.zeros((count, 2 * len(place)))
    for part in scores.parts:
        steps = np.diff(np.column_stack([part.above[place], part.at_least[place]]).ravel(), prepend=0.0)
        if part.rate < 1.0:
            steps = np.maximum(np.round(steps), 0.0)
            steps = steps + (rng.poisson(steps, size=(count, len(steps))) - steps) * sqrt(1.0 - part.rate)
        total += np.clip(np.cumsum(steps, axis=-1) * part.weight, 0.0, part.num_non_edges)
    return total[:, 1::2], total[:, 0::2]
