import numpy as np
import pytest

from linkodds.calibration import Calibrator
from linkodds.deployment import assume_missing
from linkodds.errors import OptionError


def rehearsal(num_non_edges: float, num_edges: float) -> Calibrator:
    """Edge logits N(2, 1), non-edge logits N(0, 1): the log odds of a candidate are 2 z - 2 + log(prevalence odds)."""
    odds = num_edges / num_non_edges
    return Calibrator(2.0, -2.0 + np.log(odds), "platt", odds / (1 + odds), int(num_edges), int(num_non_edges))


def test_probabilities_of_unrecorded_pairs_are_calibrated_where_the_truth_is_planted():
    """Missing links hide among the non-edges that the calibrator saw: 3,000 of 1,003,000, while 1,000 were held out.

    The rehearsal's calibrator is fitted against non-edges that contain the missing links, so its density ratio is
    f1 / f_u with f_u = rho f1 + (1 - rho) f0; the formula is exact for that ratio. In each decade of probability the
    observed number of links lies within 4 standard deviations of the sum of the probabilities.
    """
    rng = np.random.default_rng(0)
    missing, true_non_edges, held_out = 3_000, 1_000_000, 1_000
    logits = np.concatenate([rng.normal(2, 1, missing), rng.normal(0, 1, true_non_edges)])
    is_link = np.arange(len(logits)) < missing
    rho = missing / len(logits)
    ratio = np.exp(2 * logits - 2)  # f1 / f0
    rehearsal_odds = held_out / len(logits) * ratio / (rho * ratio + 1 - rho)
    exact = Calibrator(1.0, 0.0, "platt", held_out / (held_out + len(logits)), held_out, len(logits))
    deployment = assume_missing(
        exact, num_non_edges=len(logits), num_test_edges=held_out, num_edges=10_000, expected_missing=missing
    )
    probability = deployment.probability(np.log(rehearsal_odds))
    for low in 10.0 ** np.arange(-5, 0):
        inside = (probability >= low) & (probability < 10 * low)
        expected = probability[inside].sum()
        spread = np.sqrt((probability[inside] * (1 - probability[inside])).sum())
        assert abs(is_link[inside].sum() - expected) < 4 * spread, (low, is_link[inside].sum(), expected)
    assert probability.sum() == pytest.approx(missing, rel=0.05)


def test_three_ways_to_say_the_same_number():
    calibrator = rehearsal(99_000, 100)
    sizes = {"num_non_edges": 99_000, "num_test_edges": 100, "num_edges": 1000}
    logits = np.linspace(-5, 3, 20)
    by_number = assume_missing(calibrator, **sizes, expected_missing=250)
    by_share = assume_missing(calibrator, **sizes, prevalence=250 / 99_000)
    by_frequency = assume_missing(calibrator, **sizes, label_frequency=0.8)
    for other in (by_share, by_frequency):
        np.testing.assert_allclose(other.probability(logits), by_number.probability(logits), rtol=1e-12)
    by_default = assume_missing(calibrator, **sizes)
    np.testing.assert_allclose(by_number.probability(logits[:5]), 2.5 * by_default.probability(logits[:5]), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prevalence": 0.1, "expected_missing": 5}, "--prevalence and --expected-missing"),
        ({"prevalence": 1.5}, "between 0 and 1, not 1.5"),
        ({"label_frequency": 0.0}, "--label-frequency"),
        ({"expected_missing": 0}, "0 missing links"),
        ({"expected_missing": 1e9}, "99,000 pairs without an edge"),
    ],
)
def test_impossible_assumptions_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        assume_missing(rehearsal(99_000, 100), num_non_edges=99_000, num_test_edges=100, num_edges=1000, **options)
