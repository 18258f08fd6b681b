"""Deployment: from the rehearsal, where some edges were hidden, to probabilities of links that nobody has recorded.

How many links are missing cannot be learnt from the record: it is an assumption, M. If they look like held-out edges
(selected completely at random; Elkan and Noto, KDD 2008), a share n_b / n of them lies in a range b of logits that holds
n_b of n held-out edges, and so does that share of the N_b non-edges there:

    P(link | b) = min(1, M * (n_b / n) / N_b).

This is linear in the odds that b has in the rehearsal, and not a shift of the logit, because the missing links are among
the non-edges that were counted. A calibrator that is a straight line in the logit runs past the most that the counts
allow just where lists of new links live, so the ranges are counted here, and made to rise with the logit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, isotonic_regression
from scipy.stats import beta

from linkodds.errors import BrokenRun, OptionError, UnkeptPromise
from linkodds.formatting import number_text
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logit_bins import Floats, LogitBins
from linkodds.metrics.non_edge_scores import NonEdgeScores
from linkodds.probability.assumed_values import Assumed, num_missing, refuse_interval
from linkodds.scorers.scoring import below_float32

EDGES_IN_A_RANGE = 20
"""Held-out edges in each range of logits, so that its rate is known to about a quarter; of n < 400, sqrt(n).

Ranges of 20 where few edges were held out mix the top of the list with pairs far below it: with 40 of them on three
real graphs the best 200 pairs were said to hold 1 to 29 % of the links they held, in ranges of 6, 60 to 87 %.
"""
EDGES_AT_THE_TOP = (5, 5, 10)
"""The best held-out edges in smaller ranges: a few that stand out would else be mixed with hundreds of pairs below them.

Planted, with one link in ten or twenty far above the rest and 200 or 800 held out, the best 100 pairs held 1.8 and 1.5
times the stated links without this, 1.1 with it. Where none stands out, 200 held-out edges then state 14 % too many in the
best 150, and 800 state 4 % too many in the best 600.
"""
EDGES_FOR_A_BOUND = 30
FEWEST_LINKS = 20
"""A list has at least so many pairs: the expected share of true ones among fewer says next to nothing of them."""
CONFIDENCE = 0.95
_STEEPEST = 64.0
"""Slope of the log rate in the lowest range, at most: a step, for ranges whose logits are nearly all the same."""


@dataclass(frozen=True, eq=False)
class LinkRate:
    """Probability of a link for each link that is missing in all, by logit.

    Between the knots its logarithm is a straight line, beyond them a constant.

    Args:
        logits: shape (knots,), float64, increasing.
        log_rates: shape (knots,), float64, not decreasing: natural log of (n_b / n) / N_b.
        num_edges: held-out edges that were counted.
        most_missing: no more links than this can be missing and look like held-out edges, with 95 % confidence at the
            threshold that says so; infinity where fewer than 30 edges were held out.
    Example:
        >>> rate = LinkRate(np.array([0.0, 2.0]), np.log([0.001, 0.1]), 200, np.inf)
        >>> rate(np.array([-5.0, 1.0, 9.0])).round(4), LinkRate.from_arrays(rate.to_arrays()).num_edges
        (array([0.001, 0.01 , 0.1  ]), 200)
    """

    logits: Floats
    log_rates: Floats
    num_edges: int
    most_missing: float

    def __call__(self, logits: Floats) -> Floats:
        """Rates of any logits, the same shape."""
        return np.asarray(np.exp(np.interp(logits, self.logits, self.log_rates)))

    def shared_with(self, more: float) -> "LinkRate":
        """The same for more pairs than it was counted on: rates add up to 1 over both.

        Args:
            more: what these rates add up to over the others, 0 at least.
        Example:
            >>> rate = LinkRate(np.array([0.0]), np.log([0.1]), 200, 30.0).shared_with(0.25)
            >>> rate(np.array([1.0])).round(3), rate.most_missing
            (array([0.08]), 37.5)
        """
        return replace(self, log_rates=self.log_rates - np.log1p(more), most_missing=self.most_missing * (1 + more))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Field -> array, as a run stores it."""
        return {name: np.asarray(getattr(self, name)) for name in LinkRate.__dataclass_fields__}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "LinkRate":
        """The inverse of `to_arrays`.

        Raises:
            BrokenRun: an array is missing, or they are no function of the logit.
        """
        missing = next((name for name in LinkRate.__dataclass_fields__ if name not in arrays), None)
        if missing is not None:
            raise BrokenRun(f"a stored link rate lacks {missing!r}.")
        logits, log_rates = arrays["logits"], arrays["log_rates"]
        is_function = (
            logits.dtype == log_rates.dtype == np.float64
            and logits.ndim == 1
            and len(logits) > 0
            and logits.shape == log_rates.shape
            and np.isfinite([logits, log_rates]).all()
            and (np.diff(logits) > 0).all()
        )
        if not is_function:
            raise BrokenRun("a stored link rate needs as many finite rates as logits, float64, the logits increasing.")
        num_edges, most_missing = int(arrays["num_edges"]), float(arrays["most_missing"])
        if not (num_edges > 0 and most_missing > 0):  # not: NaN is caught too
            raise BrokenRun(f"a stored link rate of {num_edges} edges and at most {most_missing} missing links.")
        return LinkRate(logits, log_rates, num_edges, most_missing)


def fit_link_rate(samples: Sequence[HeldOut]) -> LinkRate:
    """Count held-out edges and non-edges in ranges of logits.

    Args:
        samples: parts of one split, scored by one model against the same non-edges; the first one's non-edges are
            counted, so its anchors have to hold the edge logits of all.
    Raises:
        ValueError: non-edges restated at another prevalence: their counts are no longer those of the graph.
    Example:
        >>> rng = np.random.default_rng(0)
        >>> sample = HeldOut.from_logits(rng.normal(2, 1, 500), rng.normal(0, 1, 100_000), num_non_edges=100_000)
        >>> rate = fit_link_rate([sample])
        >>> (500 * rate(np.array([1.0, 3.0]))).round(3)  # the odds there are 0.005 exp(2 z - 2): 0.005 and 0.273
        array([0.005, 0.268])
    """
    non_edges = samples[0].non_edges
    in_graph = non_edges.num_scored / non_edges.rate
    if abs(non_edges.num_non_edges / in_graph - 1) > 1e-9:
        raise ValueError(
            f"{non_edges.num_non_edges:,.1f} non-edges, restated from {in_graph:,.0f}: count those of the graph"
        )
    edges = np.sort(np.concatenate([sample.edge_logits for sample in samples]))[::-1]
    ends, num_edges, num_non_edges = ranges_of(edges, non_edges)
    rates = isotonic_regression(num_edges / num_non_edges, weights=num_non_edges, increasing=False).x / len(edges)
    centres = _centres(ends, edges, non_edges.bins)[::-1]
    keep = np.concatenate([[True], np.diff(centres) > 0])
    centres, log_rates = centres[keep], np.log(np.maximum(rates[::-1][keep], 1e-300))
    if len(ends) > 1 and len(centres) > 1:
        centres, log_rates = _with_falling_end(centres, log_rates, non_edges.bins, ends[-2], num_edges[-1] / len(edges))
    # Straight lines between the knots move a few links up or down: in all they are as many as are missing.
    points, weights = non_edges.bins.points()
    in_all = float(weights @ np.exp(np.interp(points, centres, log_rates)))
    return LinkRate(centres, log_rates - np.log(in_all), len(edges), _most_missing(edges, non_edges))


def _with_falling_end(
    centres: Floats, log_rates: Floats, bins: LogitBins, border: float, share: float
) -> tuple[Floats, Floats]:
    """The knots with the last range as a line that falls to the lowest non-edge, and holds the links that belong there.

    A constant would state a few links in each of millions of pairs at the bottom that have none, and too few above them.

    Args:
        centres: knots, increasing.
        log_rates: of them.
        bins: of the non-edges.
        border: logit below which the last range lies.
        share: of the held-out edges in it.
    """
    points, weights = bins.points()
    last = points < border
    lowest, start, top = float(points.min()), float(centres[1]), float(log_rates[1])
    if not last.any() or not lowest < start:
        return centres, log_rates
    below = np.minimum(points[last], start) - start

    def excess(slope: float) -> float:
        return float(weights[last] @ np.exp(top + slope * below)) - share

    if excess(0.0) <= 0:  # even as a constant it holds too few: the range is as likely as the one above
        return centres[1:], log_rates[1:]
    steepest = 1.0
    while excess(steepest) > 0 and steepest < _STEEPEST:
        steepest *= 2
    slope = steepest if excess(steepest) > 0 else float(brentq(excess, 0.0, steepest))
    return np.r_[lowest, centres[1:]], np.r_[top + slope * (lowest - start), log_rates[1:]]


def ranges_of(edges: Floats, non_edges: NonEdgeScores) -> tuple[Floats, Floats, Floats]:
    """Lowest logit, held-out edges and non-edges of each range, from the highest down; every range has a non-edge.

    Every 20th edge (of n < 400, every sqrt(n)-th) ends a range, and the first of them are parted further; edges with one
    logit are not parted, and the last range takes all that is below.
    """
    size = min(EDGES_IN_A_RANGE, isqrt(len(edges)))
    first = np.cumsum([few for few in EDGES_AT_THE_TOP if few < size], dtype=np.int64)
    rest = np.arange(size + (first[-1] if len(first) else 0), len(edges) + 1, size)
    if len(rest) and len(edges) - rest[-1] >= EDGES_AT_THE_TOP[0]:  # enough for a range of their own
        rest = np.append(rest, len(edges))
    ends = np.unique(edges[np.concatenate([first, rest]) - 1])[::-1]
    edges_above = np.searchsorted(-edges, -ends, side="right")
    non_edges_above = np.array([non_edges.num_at_least(end) for end in ends])
    edges_above[-1], non_edges_above[-1] = len(edges), non_edges.num_non_edges
    # A range without a non-edge says nothing of non-edges: its edges count with the range below, or the last that has one.
    held = np.diff(non_edges_above, prepend=0.0) > 0
    edges_above[np.flatnonzero(held)[-1]] = len(edges)
    return (
        ends[held],
        np.diff(edges_above[held], prepend=0).astype(np.float64),
        np.diff(non_edges_above[held], prepend=0.0),
    )


def _centres(ends: Floats, edges: Floats, bins: LogitBins) -> Floats:
    """Where in each range its mean rate is about right: halfway between the mean logits of its non-edges and its edges.

    With non-edges of mean m and variance v and a rate exp(s z), the mean rate is exp(s m + s^2 v / 2), that of the logit
    m + s v / 2; the edges there have the mean m + s v. At m itself the wide ranges at the bottom would state up to twice
    the links that are in them.
    """
    points, weights = bins.points()

    def mean(logits: Floats, weights: Floats) -> Floats:
        place = np.minimum(np.searchsorted(-ends, -logits, side="left"), len(ends) - 1)
        total = np.bincount(place, weights=weights, minlength=len(ends))
        sums = np.bincount(place, weights=weights * logits, minlength=len(ends))
        return np.divide(sums, total, out=ends.copy(), where=total > 0)

    return (mean(points, weights) + mean(edges, np.ones(len(edges)))) / 2


def _most_missing(edges: Floats, non_edges: NonEdgeScores) -> float:
    """Above a threshold M * TPR missing links are expected among the non-edges, so M <= upper limit of those there / TPR.

    The limits are one-sided: Clopper-Pearson for the TPR, Poisson for the non-edges (none seen leaves up to 3).
    """
    ranks = np.arange(EDGES_FOR_A_BOUND, len(edges) + 1)
    if not len(ranks):
        return np.inf
    most = np.array([non_edges.upper_limit(logit, CONFIDENCE) for logit in edges[ranks - 1]])
    recall = beta.ppf(1 - CONFIDENCE, ranks, len(edges) - ranks + 1)
    return float(np.min(most / recall))


@dataclass(frozen=True)
class Deployment:
    """Probabilities of new links under one assumption about how many are missing.

    The third of three prevalences, and the only one that nobody can measure: training has its odds (`effective_odds`),
    the rehearsal its test edges among the candidates (`HeldOut.prevalence`), and this is a number that was assumed.

    Args:
        rate: from the held-out edges.
        num_missing: M, the assumed number of unrecorded links among the non-edges, above 0; of an interval the
            geometric mean of its ends.
        assumption: the sentence that goes beside every probability.
        band: fewest and most missing links, where an interval is assumed.
    """

    rate: LinkRate
    num_missing: float
    assumption: str
    band: tuple[float, float] | None = None

    def probability(self, logits: Floats) -> Floats:
        """Shape (pairs,), float64: probability that each unrecorded pair is a link."""
        return np.minimum(1.0, self.num_missing * self.rate(logits))

    def bounds(self, logits: Floats) -> tuple[Floats, Floats] | None:
        """Probabilities if the fewest and if the most links are missing, shape (pairs,) each; None without an interval.

        Example:
            >>> rate = LinkRate(np.array([0.0]), np.array([-5.0]), 100, np.inf)
            >>> low, high = Deployment(rate, 20.0, "M.", (10.0, 40.0)).bounds(np.array([0.0]))
            >>> low.round(3), high.round(3)
            (array([0.067]), array([0.27]))
        """
        if self.band is None:
            return None
        low, high = (replace(self, num_missing=end).probability(logits) for end in self.band)
        return low, high

    @property
    def fewest(self) -> "Deployment":
        """What still holds at the low end of the interval; itself where there is none."""
        return self if self.band is None else replace(self, num_missing=self.band[0], band=None)


def assume_missing(
    rate: LinkRate,
    *,
    num_non_edges: int,
    num_test_edges: int,
    num_edges: int,
    prevalence: Assumed | None = None,
    expected_missing: Assumed | None = None,
    label_frequency: Assumed | None = None,
) -> Deployment:
    """An assumption about missing links, from at most one of the three options; by default as many as the test set held.

    Args:
        rate: from `fit_link_rate`.
        num_non_edges: pairs without a recorded edge.
        num_test_edges: the default number of missing links.
        num_edges: recorded edges, for `label_frequency`.
        prevalence: missing links among the non-edges, in (0, 1). It and the next two: a number, or an interval.
        expected_missing: their number, above 0 and below `num_non_edges`.
        label_frequency: share of all true links that the record holds, in (0, 1): M = num_edges (1 - c) / c.
    Raises:
        OptionError: more than one of the three, a value out of its range, or an interval with the high end first.
    Example:
        >>> rate = LinkRate(np.array([0.0]), np.array([-9.2]), 100, np.inf)
        >>> assume_missing(rate, num_non_edges=9900, num_test_edges=100, num_edges=1000).assumption
        'Probabilities assume that 100 links are missing among 9,900 pairs without an edge, as many as the test set held,
        and look like recorded ones.'
        >>> band = assume_missing(rate, num_non_edges=9900, num_test_edges=100, num_edges=1000, expected_missing=(50, 200))
        >>> band.num_missing, band.band
        (100.0, (50.0, 200.0))
    """
    named = {
        "--prevalence": prevalence,
        "--expected-missing": expected_missing,
        "--label-frequency": label_frequency,
    }
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} say the same thing twice; give one of them.")
    among = f"links are missing among {number_text(num_non_edges)} pairs without an edge"
    if not given:
        missing, band = float(num_test_edges), None
        what = f"{number_text(missing)} {among}, as many as the test set held, and look like recorded ones."
    else:
        (name, value), *_ = given.items()
        values = value if isinstance(value, tuple) else (value, value)
        refuse_interval(name, values)
        ends = sorted(num_missing(name, each, num_non_edges=num_non_edges, num_edges=num_edges) for each in values)
        missing = ends[0] if ends[0] == ends[1] else sqrt(ends[0] * ends[1])
        band = None if ends[0] == ends[1] else (ends[0], ends[1])
        if band is None:
            what = f"{number_text(missing)} {among} ({name} {values[0]:g}) and look like recorded ones."
        else:
            what = (
                f"{number_text(band[0])} to {number_text(band[1])} {among} ({name} {values[0]:g}:{values[1]:g}) and look "
                f"like recorded ones; the one between low and high is for {number_text(missing)}, the geometric mean."
            )
    assumption = f"Probabilities assume that {what}"
    most = missing if band is None else band[1]
    if most > rate.most_missing:
        assumption += (
            f" The data contradict {'this' if band is None else number_text(most)}: at most about "
            f"{number_text(rate.most_missing)} missing links are compatible with the non-edges that rank among the held-out "
            "edges. Read the probabilities as upper limits, or lower --expected-missing."
        )
    return Deployment(rate, missing, assumption, band)


def most_pairs(non_edges: NonEdgeScores, deployment: Deployment, precision: float) -> tuple[float, float]:
    """About how many non-edges the longest list with an expected share `precision` of true links has, and its threshold.

    From the bins, where the probabilities never rise as the logit falls, so neither does the expected share.

    Returns:
        The number of pairs (0 where not even the best qualifies), and a logit at or below the list's lowest, which at
        least the 20 best pairs reach.
    """
    logits, weights = non_edges.bins.points()
    order = np.argsort(-logits, kind="stable")
    logits, weights = logits[order], weights[order]
    reached = np.cumsum(weights)
    share = np.cumsum(weights * deployment.probability(logits)) / reached
    passing = np.flatnonzero(share >= precision * (1 - 1e-12))
    num_pairs = float(reached[passing[-1]]) if len(passing) else 0.0
    last = max(int(passing[-1]) if len(passing) else 0, int(np.searchsorted(reached, FEWEST_LINKS)))
    width = 2.0 * non_edges.bins.width  # a bin's points lie inside it; the next one is searched too
    return num_pairs, below_float32(float(logits[min(last + 1, len(logits) - 1)]) - width)


def longest_list(logits: Floats, deployment: Deployment, precision: float) -> int:
    """How many of the best pairs have an expected share of true links of at least `precision`.

    The expected share is the mean of the stated probabilities, min(1, M rate): the rates are counted in ranges of
    held-out edges and made to rise with the logit, so the share falls steadily and no lucky dip is selected. Tied pairs
    are taken together or not at all.

    Args:
        logits: shape (pairs,), decreasing: at least all pairs of the list.
        deployment: the assumption about missing links.
        precision: expected share, in (0, 1).
    Raises:
        UnkeptPromise: not even the 20 best pairs are expected to hold so many.
    """
    expected = np.cumsum(deployment.probability(logits)) / np.arange(1, len(logits) + 1)
    is_end = np.append(logits[1:] != logits[:-1], True)
    ends = np.flatnonzero((expected >= precision * (1 - 1e-12)) & is_end) + 1
    if not len(ends) or ends[-1] < FEWEST_LINKS:
        best = expected[min(FEWEST_LINKS, len(logits)) - 1]
        raise UnkeptPromise(
            f"no list of at least {FEWEST_LINKS} pairs is expected to be true to {precision:.3g}: the best "
            f"{min(FEWEST_LINKS, len(logits))} are expected to be to {best:.3g}. {deployment.assumption} Ask for less, "
            "or list the best with --top K."
        )
    return int(ends[-1])


def refuse_impossible_prior(deployment: Deployment) -> None:
    """Refuse to build a list on a number of missing links that the record rules out.

    Raises:
        UnkeptPromise: M (of an interval, the fewest) is above what the held-out edges allow with 95 % confidence.
    """
    most, missing = deployment.rate.most_missing, deployment.fewest.num_missing
    if missing > most:
        raise UnkeptPromise(
            f"D27: the list would rest on {missing:,.0f} missing links, but so few non-edges rank among "
            f"the held-out edges that at most about {most:,.0f} links that look like them can be missing. Give "
            f"--expected-missing {int(most)} or fewer."
        )
