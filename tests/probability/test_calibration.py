"""Calibration against scikit-learn, planted populations, and the identities of a change of prevalence."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from linkodds.errors import BrokenRun, InvertedRanking, ModelError, OptionError
from linkodds.metrics.held_out import HeldOut
from linkodds.probability.calibration import Calibrator, fit_calibrator

Logits = NDArray[np.float64]


def normal_logits(num_edges: int, num_non_edges: int, *, shift: float = 2.0, seed: int = 0) -> tuple[Logits, Logits]:
    """Edges N(shift, 1), non-edges N(0, 1), rounded to float32: the true calibrated slope is `shift`."""
    rng = np.random.default_rng(seed)
    draws = rng.normal(shift, 1.0, num_edges), rng.normal(0.0, 1.0, num_non_edges)
    return tuple(draw.astype(np.float32).astype(np.float64) for draw in draws)  # type: ignore[return-value]


def sklearn_platt(edges: Logits, non_edges: Logits, prevalence: float) -> tuple[float, float]:
    z, y = np.concatenate([edges, non_edges]), np.repeat([1, 0], [len(edges), len(non_edges)])
    weights = np.where(y == 1, prevalence / len(edges), (1 - prevalence) / len(non_edges)) * len(edges) / prevalence
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-13, max_iter=500)
    model.fit(z[:, None], y, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


@pytest.mark.parametrize("prevalence", [0.5, 300 / 40_300, 1e-5])
def test_platt_equals_scikit_learn_on_all_pairs(prevalence: float) -> None:
    edges, non_edges = normal_logits(300, 40_000)
    fitted = fit_calibrator([HeldOut.from_logits(edges, non_edges, 40_000)], prevalence=prevalence, odds_trained_at=1.0)
    slope, intercept = sklearn_platt(edges, non_edges, prevalence)
    assert fitted.method == "platt"
    assert fitted.reason is None
    assert fitted.slope == pytest.approx(slope, rel=1e-6)
    assert fitted.intercept == pytest.approx(intercept, rel=1e-6)


def test_platt_is_exact_through_the_bins_of_a_million_non_edges() -> None:
    edges, non_edges = normal_logits(500, 1_000_000)  # far more distinct logits than bins
    sample = HeldOut.from_logits(edges, non_edges, 1_000_000)
    assert len(sample.non_edges.bins.count) < 40_000
    fitted = fit_calibrator([sample], prevalence=sample.prevalence, odds_trained_at=1.0)
    slope, intercept = sklearn_platt(edges, non_edges, sample.prevalence)
    assert (fitted.slope, fitted.intercept) == pytest.approx((slope, intercept), rel=1e-6)


def test_sampled_non_edges_stand_for_the_population() -> None:
    edges, non_edges = normal_logits(400, 20_000)
    sampled = fit_calibrator([HeldOut.from_logits(edges, non_edges, 2_000_000)], prevalence=2e-4, odds_trained_at=1.0)
    assert (sampled.slope, sampled.intercept) == pytest.approx(sklearn_platt(edges, non_edges, 2e-4), rel=1e-6)
    known = fit_calibrator([HeldOut.from_logits(edges, non_edges, 20_000)], prevalence=2e-4, odds_trained_at=1.0)
    assert sampled.slope == pytest.approx(known.slope)
    assert sampled.num_non_edges == 2_000_000
    assert width(sampled.slope_interval) > width(known.slope_interval)  # the sample adds its own error


def width(interval: tuple[float, float] | None) -> float:
    assert interval is not None
    return interval[1] - interval[0]


@pytest.mark.parametrize("num_scored", [4_000, 1_000])
def test_intervals_cover_what_all_edges_would_give(num_scored: int) -> None:
    """Case-control design: non-edges fixed (or a fresh sample of them), edges drawn anew; 400 draws, 95 % intervals."""
    many, population = normal_logits(200_000, 4_000)
    truth = fit_calibrator([HeldOut.from_logits(many, population, 4_000)], prevalence=0.01, odds_trained_at=1.0)
    rng = np.random.default_rng(1)
    covered = np.zeros(2)
    repetitions = 400
    for _ in range(repetitions):
        edges, scored = rng.choice(many, 150), rng.choice(population, num_scored, replace=False)
        fitted = fit_calibrator([HeldOut.from_logits(edges, scored, 4_000)], prevalence=0.01, odds_trained_at=1.0)
        for i, (interval, value) in enumerate(
            [(fitted.slope_interval, truth.slope), (fitted.intercept_interval, truth.intercept)]
        ):
            assert interval is not None
            covered[i] += interval[0] <= value <= interval[1]
    # 3 standard errors of a share at 400 draws, and 2 % for the Wald interval of a skewed estimate at 150 edges.
    assert (covered / repetitions > 0.95 - 3 * np.sqrt(0.95 * 0.05 / repetitions) - 0.02).all(), covered
    assert (covered / repetitions < 0.95 + 3 * np.sqrt(0.95 * 0.05 / repetitions) + 0.01).all(), covered


@pytest.mark.parametrize(("weight", "rate"), [(1, 1), (1, 0.01), (20, 0.01), (1 / 0.015, 1), (1, 0.015)])
def test_closed_form_undoes_weights_and_sampling(weight: float, rate: float) -> None:
    """Acceptance T1: a logistic model trained with positive weights on sampled zeros; O/E within [0.9, 1.1]."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=200_000)
    is_edge = rng.random(len(x)) < expit(1.2 * x - 4.8)
    kept = is_edge | (rng.random(len(x)) < rate)
    model = LogisticRegression(C=np.inf).fit(
        x[kept, None], is_edge[kept], sample_weight=np.where(is_edge[kept], weight, 1.0)
    )
    odds = weight * is_edge.sum() / (kept & ~is_edge).sum()
    calibrator = fit_calibrator([], prevalence=is_edge.mean(), odds_trained_at=odds)
    assert calibrator.method == "closed_form"
    expected = calibrator.probability(model.decision_function(x[:, None])).sum()
    assert 0.9 < is_edge.sum() / expected < 1.1


def test_expected_equals_observed_at_the_prevalence_fitted_for() -> None:
    edges, non_edges = normal_logits(200, 5_000)
    sample = HeldOut.from_logits(3 * edges - 1, 3 * non_edges - 1, 5_000)
    for enough in (True, False):
        part = sample if enough else HeldOut.from_logits(3 * edges[:30] - 1, 3 * non_edges - 1, 5_000)
        fitted = fit_calibrator([part], prevalence=part.prevalence, odds_trained_at=1.0)
        total = fitted.probability(part.edge_logits).sum() + part.non_edges.bins.expect(fitted.probability).sum()
        assert fitted.method == ("platt" if enough else "bias_only")
        assert total == pytest.approx(part.num_edges, rel=1e-8)


def test_separable_edges_get_a_finite_slope() -> None:
    edges, non_edges = np.linspace(3, 4, 60), np.linspace(-4, -3, 6_000)
    fitted = fit_calibrator([HeldOut.from_logits(edges, non_edges, 6_000)], prevalence=0.01, odds_trained_at=1.0)
    assert fitted.method == "platt"
    assert "no non-edge ranks above any of 60 calibration edges" in str(fitted.reason)
    assert 0 < fitted.slope < 10
    # Platt's smoothed targets are what the fit aims at: 61/62 of edges, 1/6002 of non-edges.
    assert fitted.probability(edges).mean() == pytest.approx(61 / 62, abs=0.01)
    assert fitted.probability(non_edges).mean() == pytest.approx(1 / 6002, rel=0.2)
    touching = HeldOut.from_logits(np.r_[0.0, edges], np.r_[0.0, non_edges], 6_001)  # quasi-separated: still no maximum
    assert np.isfinite(fit_calibrator([touching], prevalence=0.01, odds_trained_at=1.0).slope)


def test_nearly_separable_edges_need_no_smoothing() -> None:
    edges, non_edges = np.linspace(0, 4, 60), np.r_[np.linspace(-4, -1, 6_000), 0.5]
    fitted = fit_calibrator([HeldOut.from_logits(edges, non_edges, 6_001)], prevalence=0.01, odds_trained_at=1.0)
    rounded = [part.astype(np.float32).astype(np.float64) for part in (edges, non_edges)]
    assert fitted.reason is None
    assert (fitted.slope, fitted.intercept) == pytest.approx(sklearn_platt(*rounded, 0.01), rel=1e-6)


def test_a_few_non_edges_above_equal_edges_invert_nothing() -> None:
    """Common neighbours on a tree: 60 edges have none, 1 % of the non-edges have one. 0.99^60 = 0.55: that is chance."""
    sample = HeldOut.from_logits(np.zeros(60), np.r_[np.zeros(990), np.ones(10)], 1_000)
    fitted = fit_calibrator([sample], prevalence=0.01, odds_trained_at=1.0)
    assert fitted.method == "bias_only"
    assert "no slope above 0 fits" in str(fitted.reason)


def test_few_edges_keep_the_slope_and_say_so() -> None:
    edges, non_edges = normal_logits(49, 1_000)
    sample = HeldOut.from_logits(edges, non_edges, 1_000)
    fitted = fit_calibrator([sample], prevalence=0.001, odds_trained_at=0.2)
    assert (fitted.method, fitted.slope, fitted.slope_interval) == ("bias_only", 1.0, None)
    assert fitted.reason is not None
    assert fitted.reason.startswith("49 calibration edges, 50 are needed")
    assert fitted.intercept_interval is not None
    assert fitted.intercept_interval[0] < fitted.intercept < fitted.intercept_interval[1]


def test_untrained_models_have_no_slope_to_keep() -> None:
    edges, non_edges = normal_logits(49, 1_000)
    fitted = fit_calibrator([HeldOut.from_logits(edges, non_edges, 1_000)], prevalence=0.04, odds_trained_at=None)
    assert fitted.method == "platt"
    assert "49 calibration edges, fewer than 50" in str(fitted.reason)
    tiny = HeldOut.from_logits(1000 * edges[:9], 1000 * non_edges, 1_000)
    fitted = fit_calibrator([tiny], prevalence=0.009, odds_trained_at=None)
    assert fitted.method == "bias_only"
    assert fitted.slope == pytest.approx(1 / np.std(1000 * non_edges), rel=1e-6)


def test_inverted_ranking_is_refused() -> None:
    edges, non_edges = normal_logits(200, 5_000, shift=-1.0)
    with pytest.raises(InvertedRanking, match=r"slope -1 \(95 %: .*AUC 0\.2.*200 calibration edges.*negate a distance"):
        fit_calibrator([HeldOut.from_logits(edges, non_edges, 5_000)], prevalence=0.01, odds_trained_at=1.0)
    with pytest.raises(InvertedRanking, match="probabilities. New nodes.$"):
        fit_calibrator(
            [HeldOut.from_logits(edges, non_edges, 5_000)],
            prevalence=0.01,
            odds_trained_at=1.0,
            cause_of_inversion="New nodes.",
        )
    with pytest.raises(InvertedRanking, match=r"AUC 0\.000"):  # separated the wrong way round
        fit_calibrator(
            [HeldOut.from_logits(np.linspace(-3, -2, 60), np.linspace(0, 1, 600), 600)],
            prevalence=0.1,
            odds_trained_at=1.0,
        )


def test_slope_below_zero_within_noise_falls_back_to_the_bias() -> None:
    edges, non_edges = normal_logits(60, 5_000)
    edges = edges - edges.mean() - 0.05  # noise: the mean of 60 has a standard error of 0.13
    fitted = fit_calibrator([HeldOut.from_logits(edges, non_edges, 5_000)], prevalence=0.01, odds_trained_at=1.0)
    assert fitted.method == "bias_only"
    assert 0 < fitted.slope < 0.4  # not 1, which would be sure of what nobody knows
    assert "no slope above 0 fits" in str(fitted.reason)


def test_constant_logits_get_the_prevalence() -> None:
    sample = HeldOut.from_logits(np.full(80, 7.0), np.full(500, 7.0), 500)
    for odds in (None, 1.0):
        fitted = fit_calibrator([sample], prevalence=0.003, odds_trained_at=odds)
        assert fitted.method == "bias_only"
        assert float(fitted.probability(7.0)) == pytest.approx(0.003)


def test_nothing_to_fit_takes_the_closed_form_or_refuses() -> None:
    fitted = fit_calibrator([], prevalence=1e-4, odds_trained_at=0.2)
    assert fitted.method == "closed_form"
    assert fitted.intercept == pytest.approx(logit(1e-4) - np.log(0.2))
    with pytest.raises(ModelError, match="no calibration edge"):
        fit_calibrator([], prevalence=1e-4, odds_trained_at=None)


def test_folds_are_pooled() -> None:
    edges, non_edges = normal_logits(400, 5_000)
    whole = fit_calibrator([HeldOut.from_logits(edges, non_edges, 5_000)], prevalence=0.01, odds_trained_at=1.0)
    halves = [HeldOut.from_logits(half, non_edges, 5_000) for half in (edges[:200], edges[200:])]
    pooled = fit_calibrator(halves, prevalence=0.01, odds_trained_at=1.0)
    assert (pooled.slope, pooled.intercept) == pytest.approx((whole.slope, whole.intercept), rel=1e-8)
    assert pooled.num_edges == 400
    assert pooled.slope_interval == pytest.approx(whole.slope_interval, rel=1e-6)


@pytest.mark.parametrize("prevalence", [1e-6, 0.01, 0.5, 0.9])
def test_at_prevalence_moves_the_intercept_alone(prevalence: float) -> None:
    """Acceptance T10: the prior is moved by the intercept, exactly, never by a temperature."""
    calibrator = Calibrator(0.7, -5.0, "platt", 0.001, 100, 99_900, 1.0, None, (0.6, 0.8), (-5.5, -4.5))
    moved = calibrator.at_prevalence(prevalence)
    z = np.linspace(-20, 30, 11)
    ratio = (prevalence / (1 - prevalence)) / (0.001 / 0.999)
    odds = [np.exp(c.calibrated_logit(z)) for c in (calibrator, moved)]
    np.testing.assert_allclose(odds[1], odds[0] * ratio, rtol=1e-12)
    assert (moved.slope, moved.slope_interval, moved.prevalence) == (0.7, (0.6, 0.8), prevalence)
    assert moved.intercept_interval is not None
    assert moved.intercept_interval[0] - moved.intercept == pytest.approx(-0.5)
    back = moved.at_prevalence(0.5).at_prevalence(0.001)
    assert back.intercept == pytest.approx(-5.0, abs=1e-12)


def test_fit_at_another_prevalence_equals_a_shift_when_the_slope_is_right() -> None:
    """With the true logits, fitting for a prevalence and shifting to it are the same thing up to sampling error."""
    edges, non_edges = normal_logits(5_000, 200_000)
    sample = HeldOut.from_logits(edges, non_edges, 200_000)
    at_once = fit_calibrator([sample], prevalence=1e-3, odds_trained_at=1.0)
    shifted = fit_calibrator([sample], prevalence=0.2, odds_trained_at=1.0).at_prevalence(1e-3)
    assert at_once.slope_interval is not None
    assert at_once.slope_interval[0] < shifted.slope < at_once.slope_interval[1]
    # Truth: log density ratio 2 z - 2, plus logit of the prevalence.
    assert at_once.slope_interval[0] < 2.0 < at_once.slope_interval[1]
    assert at_once.intercept_interval is not None
    assert at_once.intercept_interval[0] < logit(1e-3) - 2.0 < at_once.intercept_interval[1]


def test_logit_of_is_the_inverse_and_order_is_kept() -> None:
    calibrator = Calibrator(0.3, -6.0, "platt", 0.01, 100, 9_900)
    for probability in (1e-9, 0.3, 0.999):
        assert float(calibrator.probability(calibrator.logit_of(probability))) == pytest.approx(probability, rel=1e-9)
    z = np.sort(np.random.default_rng(0).normal(size=100))
    assert (np.diff(calibrator.calibrated_logit(z)) > 0).all()
    with pytest.raises(OptionError, match="not at 1"):
        calibrator.logit_of(1.0)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, float("nan")])
def test_prevalence_outside_its_range_is_refused(prevalence: float) -> None:
    with pytest.raises(OptionError, match=f"not at {prevalence}"):
        fit_calibrator([], prevalence=prevalence, odds_trained_at=1.0)
    with pytest.raises(OptionError, match=f"not at {prevalence}"):
        Calibrator(1.0, 0.0, "platt", 0.5, 1, 1).at_prevalence(prevalence)


def test_odds_have_to_be_above_zero() -> None:
    with pytest.raises(OptionError, match=r"not -1\.0"):
        fit_calibrator([], prevalence=0.1, odds_trained_at=-1.0)


def test_json_round_trip_and_refusals() -> None:
    plain = Calibrator(1.5, -3.0, "closed_form", 0.01, 0, 0, 0.2, "no calibration edge")
    full = replace(
        plain, method="platt", slope_interval=(1.0, 2.0), intercept_interval=(-4.0, -2.0), odds_trained_at=None
    )
    for calibrator in (plain, full):
        text = json.dumps(calibrator.to_json(), allow_nan=False)
        assert Calibrator.from_json(json.loads(text)) == calibrator
    values = plain.to_json()
    with pytest.raises(BrokenRun, match="'other/2'"):
        Calibrator.from_json({**values, "format": "other/2"})
    with pytest.raises(BrokenRun, match="KeyError: 'slope'"):
        Calibrator.from_json({name: value for name, value in values.items() if name != "slope"})
    with pytest.raises(BrokenRun, match="slope must be above 0"):
        Calibrator.from_json({**values, "slope": -1.0})
    with pytest.raises(BrokenRun, match="no calibrator is called 'magic'"):
        Calibrator.from_json({**values, "calibrator": "magic"})
