"""Expectation: how many links of a list are expected to be true, and between which numbers they lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import nbinom

from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logit_bins import Floats
from linkodds.probability.deployment import Deployment, ranges_of


@dataclass(frozen=True)
class ExpectedLinks:
    """True links of a list, were the assumption about missing links right.

    Args:
        value: the sum of the stated probabilities.
        low: in 95 of 100 lists the number of true links is this or more, and
        high: this or less.
    """

    value: float
    low: float
    high: float


def expected_links(samples: Sequence[HeldOut], deployment: Deployment, logits: Floats) -> ExpectedLinks:
    """The sum of the probabilities, and an interval for the number of true links.

    The rates behind the probabilities are counts of held-out edges. A list takes a share w of the non-edges in each range,
    so its expectation is as sure as a Poisson count of (sum w n)^2 / sum w^2 n edges, n being those of the range; links are
    then found or not, which adds a Poisson count of its own. Both together are a negative binomial: the interval holds 95 %
    of it. Under an assumed interval it reaches from the low end at the fewest to the high end at the most missing links.

    Args:
        samples: as for `fit_link_rate`.
        deployment: the assumption.
        logits: shape (links,), of the list, in any order.
    Example:
        >>> rng = np.random.default_rng(0)
        >>> sample = HeldOut.from_logits(rng.normal(4, 1, 500), rng.normal(0, 1, 100_000), num_non_edges=100_000)
        >>> from linkodds.probability.deployment import assume_missing, fit_link_rate
        >>> missing = assume_missing(
        ...     fit_link_rate([sample]), num_non_edges=100_000, num_test_edges=500, num_edges=5_000, expected_missing=50
        ... )
        >>> found = expected_links([sample], missing, np.sort(rng.normal(0, 1, 100_000))[-100:])
        >>> found.low < found.value < found.high, expected_links([sample], missing, np.empty(0))
        (True, ExpectedLinks(value=0.0, low=0.0, high=0.0))
    """
    if not len(logits):
        return ExpectedLinks(0.0, 0.0, 0.0)
    edges = np.sort(np.concatenate([sample.edge_logits for sample in samples]))[::-1]
    ends, num_edges, num_non_edges = ranges_of(edges, samples[0].non_edges)
    # What is below all held-out edges counts with the last range.
    place = np.minimum(np.searchsorted(-ends, -logits, side="left"), len(ends) - 1)
    share = np.bincount(place, minlength=len(ends)) / num_non_edges
    counted = float((share * num_edges).sum() ** 2 / (share**2 * num_edges).sum())
    value = float(deployment.probability(logits).sum())
    low_end, high_end = (
        (deployment.probability(logits),) * 2 if (bounds := deployment.bounds(logits)) is None else bounds
    )
    fewest, most = float(low_end.sum()), float(high_end.sum())
    low, high = _interval(fewest, counted)[0], _interval(most, counted)[1]
    return ExpectedLinks(value, min(low, value), max(min(high, float(len(logits))), value))


def _interval(expected: float, counted: float) -> tuple[float, float]:
    if expected == 0:
        return 0.0, 0.0
    size = counted + 0.5  # of a gamma distribution for the mean, Jeffreys' prior
    low, high = (float(nbinom.ppf(level, size, size / (size + expected))) for level in (0.025, 0.975))
    return low, high
