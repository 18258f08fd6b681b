"""Deployment: from the rehearsal, where some edges were hidden, to probabilities of links that nobody has recorded.

In the rehearsal a candidate is an edge with the calibrated probability p. Among the unrecorded pairs the edges are those
that are missing from the record, and how many there are cannot be learnt from the record: it is an assumption. If M links
are missing and look like held-out edges (selected completely at random; Elkan and Noto, KDD 2008), then out of
N non-edges, P held-out edges and a pair with rehearsal odds p / (1 - p),

    P(link) = min(1, (M / P) * p / (1 - p)),

linear in the odds rather than a shift of the logit, because the missing links are among the non-edges that p was
calibrated against.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkodds.calibration import Calibrator
from linkodds.errors import OptionError


@dataclass(frozen=True)
class Deployment:
    """Probabilities of new links under one assumption about how many are missing.

    Args:
        calibrator: of the rehearsal, at its own prevalence.
        num_missing: M, the assumed number of unrecorded links among the non-edges, above 0.
        num_non_edges: N, pairs without a recorded edge.
        assumption: the sentence that goes beside every probability.
    Example:
        >>> calibrator = Calibrator(1.0, 0.0, "platt", 0.01, 100, 9900)
        >>> deployment = assume_missing(calibrator, num_non_edges=9900, num_test_edges=100, num_edges=1000)
        >>> deployment.probability(np.array([-2.0, 3.0])).round(3).tolist()
        [0.135, 1.0]
        >>> deployment.assumption
        'Probabilities assume that 100 links are missing, as many as the test set held, and look like recorded ones.'
    """

    calibrator: Calibrator
    num_missing: float
    num_non_edges: int
    assumption: str

    def probability(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape (pairs,), float64: probability that each unrecorded pair is a link."""
        prevalence = self.calibrator.prevalence
        num_held_out = self.num_non_edges * prevalence / (1 - prevalence)
        with np.errstate(over="ignore"):
            odds = np.exp(self.calibrator.calibrated_logit(logits))
        return np.minimum(1.0, self.num_missing / num_held_out * odds)


def assume_missing(
    calibrator: Calibrator,
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
        calibrator: of the rehearsal.
        num_non_edges: pairs without a recorded edge.
        num_test_edges: the default number of missing links.
        num_edges: recorded edges, for `label_frequency`.
        prevalence: missing links among the non-edges, in (0, 1).
        expected_missing: their number, above 0 and below `num_non_edges`.
        label_frequency: share of all true links that the record holds, in (0, 1): M = num_edges (1 - c) / c.
    Raises:
        OptionError: more than one of the three, or a value out of its range.
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
    return Deployment(
        calibrator,
        missing,
        num_non_edges,
        f"Probabilities assume that {missing:,.0f} links are missing{source} and look like recorded ones.",
    )
