"""Deployment: from the rehearsal, where some edges were hidden, to probabilities of links that nobody has recorded.

How many links are missing cannot be learnt from the record: it is an assumption, M. If they look like held-out edges
(selected completely at random; Elkan and Noto, KDD 2008), a share n_b / n of them lies in a range b of logits that holds
n_b of n held-out edges, and so does that share of the N_b non-edges there:

    P(link | b) = min(1, M * (n_b / n) / N_b).

This is linear in the odds that b has in the rehearsal, and not a shift of the logit, because the missing links are among
the non-edges that were counted. A calibrator that is a straight line in the logit runs past the most that the counts
allow just where lists of new links live, so the ranges are counted here, and made to rise with the logit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.stats import beta

from linkodds.errors import OptionError, UnkeptPromise
from linkodds.held_out import HeldOut
from linkodds.logit_bins import Floats, LogitBins
from linkodds.non_edge_scores import NonEdgeScores
from linkodds.scoring import below_float32
from linkodds.wording import number_text

EDGES_IN_A_RANGE = 20
"""Held-out edges in each range of logits, so that its rate is known to about a quarter; of n < 400, sqrt(n).

Ranges of 20 where few edges were held out mix the top of the list with pairs far below it: with 40 of them on three
real graphs the best 200 pairs were said to hold 1 to 29 % of the links they held, in ranges of 6, 60 to 87 %.
"""
EDGES_FOR_A_BOUND = 30
FEWEST_LINKS = 20
"""A list has at least so many pairs: the expected share of true ones among fewer says next to nothing of them."""
CONFIDENCE = 0.95


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
    """

    logits: Floats
    log_rates: Floats
    num_edges: int
    most_missing: float

    def __call__(self, logits: Floats) -> Floats:
        """Rates of any logits, the same shape."""
        return np.asarray(np.exp(np.interp(logits, self.logits, self.log_rates)))


def fit_link_rate(samples: Sequence[HeldOut]) -> LinkRate:
    """Count held-out edges and non-edges in ranges of logits.

    Args:
        samples: parts of one split, scored by one model against the same non-edges; the first one's non-edges are
            counted, so its anchors have to hold the edge logits of all.
    Example:
        >>> rng = np.random.default_rng(0)
        >>> sample = HeldOut.from_logits(rng.normal(2, 1, 500), rng.normal(0, 1, 100_000), num_non_edges=100_000)
        >>> rate = fit_link_rate([sample])
        >>> (500 * rate(np.array([1.0, 3.0]))).round(3)  # the odds there are 0.005 exp(2 z - 2): 0.005 and 0.273
        array([0.005, 0.273])
    """
    non_edges = samples[0].non_edges
    edges = np.sort(np.concatenate([sample.edge_logits for sample in samples]))[::-1]
    ends, num_edges, num_non_edges = _ranges(edges, non_edges)
    rates = isotonic_regression(num_edges / num_non_edges, weights=num_non_edges, increasing=False).x / len(edges)
    centres = _centres(ends, non_edges.bins)[::-1]
    keep = np.concatenate([[True], np.diff(centres) > 0])
    log_rates = np.log(np.maximum(rates[::-1][keep], 1e-300))
    return LinkRate(centres[keep], log_rates, len(edges), _most_missing(edges, non_edges))


def _ranges(edges: Floats, non_edges: NonEdgeScores) -> tuple[Floats, Floats, Floats]:
    """Lowest logit, held-out edges and non-edges of each range, from the highest down; every range has a non-edge.

    Every 20th edge (of n < 400, every sqrt(n)-th) ends a range; edges with one logit are not parted, and the last range
    takes all that is below.
    """
    size = min(EDGES_IN_A_RANGE, isqrt(len(edges)))
    ends = np.unique(edges[size - 1 :: size])[::-1]
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


def _centres(ends: Floats, bins: LogitBins) -> Floats:
    """Mean logit of the non-edges of each range: there its mean rate is about right for the pairs that it is stated for."""
    points, weights = bins.points()
    place = np.minimum(np.searchsorted(-ends, -points, side="left"), len(ends) - 1)
    total = np.bincount(place, weights=weights, minlength=len(ends))
    sums = np.bincount(place, weights=weights * points, minlength=len(ends))
    return np.divide(sums, total, out=ends.copy(), where=total > 0)


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

    Args:
        rate: from the held-out edges.
        num_missing: M, the assumed number of unrecorded links among the non-edges, above 0.
        assumption: the sentence that goes beside every probability.
    """

    rate: LinkRate
    num_missing: float
    assumption: str

    def probability(self, logits: Floats) -> Floats:
        """Shape (pairs,), float64: probability that each unrecorded pair is a link."""
        return np.minimum(1.0, self.num_missing * self.rate(logits))


def assume_missing(
    rate: LinkRate,
    *,
    num_non_edges: int,
    num_test_edges: int,
    num_edges: int,
    prevalence: float | None = None,
    expected_missing: float | None = None,
    label_frequency: float | None = None,
) -> Deployment:
    """An assumption about missing links, from at most one of the three options; by default as many as the test set held.

    Args:
        rate: from `fit_link_rate`.
        num_non_edges: pairs without a recorded edge.
        num_test_edges: the default number of missing links.
        num_edges: recorded edges, for `label_frequency`.
        prevalence: missing links among the non-edges, in (0, 1).
        expected_missing: their number, above 0 and below `num_non_edges`.
        label_frequency: share of all true links that the record holds, in (0, 1): M = num_edges (1 - c) / c.
    Raises:
        OptionError: more than one of the three, or a value out of its range.
    Example:
        >>> rate = LinkRate(np.array([0.0]), np.array([-9.2]), 100, np.inf)
        >>> assume_missing(rate, num_non_edges=9900, num_test_edges=100, num_edges=1000).assumption
        'Probabilities assume that 100 links are missing, as many as the test set held, and look like recorded ones.'
    """
    named = {
        "--prevalence": prevalence,
        "--expected-missing": expected_missing,
        "--label-frequency": label_frequency,
    }
    given = {name: value for name, value in named.items() if value is not None}
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} say the same thing twice; give one of them.")
    if not given:
        missing, source = float(num_test_edges), ", as many as the test set held,"
    else:
        (name, value), *_ = given.items()
        if name != "--expected-missing" and not 0 < value < 1:
            raise OptionError(f"{name} takes a number between 0 and 1, not {value}.")
        missing = {
            "--prevalence": lambda: value * num_non_edges,
            "--expected-missing": lambda: float(value),
            "--label-frequency": lambda: num_edges * (1 - value) / value,
        }[name]()
        source = f" ({name} {value:g})"
        if not 0 < missing < num_non_edges:
            raise OptionError(
                f"{name} {value:g} means {missing:,.0f} missing links, but there are {num_non_edges:,} pairs without an edge."
            )
    assumption = (
        f"Probabilities assume that {number_text(missing)} links are missing{source} and look like recorded ones."
    )
    if missing > rate.most_missing:
        assumption += (
            f" The record speaks against it: so few non-edges rank among the held-out edges that at most about "
            f"{number_text(rate.most_missing)} such links can be missing. Read the probabilities as upper limits, or "
            "lower --expected-missing."
        )
    return Deployment(rate, missing, assumption)


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
        UnkeptPromise: M is above what the held-out edges allow with 95 % confidence.
    """
    most = deployment.rate.most_missing
    if deployment.num_missing > most:
        raise UnkeptPromise(
            f"D27: the list would rest on {deployment.num_missing:,.0f} missing links, but so few non-edges rank among "
            f"the held-out edges that at most about {most:,.0f} links that look like them can be missing. Give "
            f"--expected-missing {int(most)} or fewer."
        )
