"""Curves that bend: against scikit-learn, SciPy's minimiser, one isotonic fit a pair, and planted populations."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import entr, expit, log_expit, logit
from sklearn.isotonic import IsotonicRegression

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, InvertedRanking, OptionError
from linkodds.metrics.held_out import HeldOut
from linkodds.probability import calibration_curves
from linkodds.probability.calibration import Calibrator, fit_calibrator
from linkodds.probability.calibration_curves import (
    BetaCurve,
    Knots,
    curve_from_json,
    fit_beta,
    fit_isotonic,
    fit_venn_abers,
)

Floats = NDArray[np.float64]
CURVED = ("beta", "isotonic", "venn-abers")
EVERY = ("platt", "bias", *CURVED)


def sample(num_edges: int, num_non_edges: int, seed: int = 0, digits: int = 8) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.normal(1.5, 1.5, num_edges).round(digits), rng.normal(-1.0, 1.0, num_non_edges).round(digits)


def test_beta_equals_a_direct_minimisation() -> None:
    edges, non_edges = sample(300, 4000)
    u, v = np.full(300, 0.02 / 300), np.full(4000, 0.98 / 4000)
    curve = fit_beta(edges, non_edges, edge_weights=u, non_edge_weights=v)
    assert curve is not None

    def loss(abc: Floats) -> float:
        a, b, c = abc
        of_edges, of_non_edges = (a * log_expit(z) - b * log_expit(-z) + c for z in (edges, non_edges))
        return -100 * float(u @ log_expit(of_edges) + v @ log_expit(-of_non_edges))

    best = minimize(loss, [1.0, 1.0, 0.0], bounds=[(0, None), (0, None), (None, None)], options={"ftol": 1e-15})
    assert loss(np.array([curve.a, curve.b, curve.c])) <= best.fun * (1 + 1e-10)
    assert [curve.a, curve.b, curve.c] == pytest.approx(best.x.tolist(), rel=1e-3)


def test_beta_keeps_to_its_bounds_as_a_bounded_minimisation_does() -> None:
    """Edges bunch at both ends: without bounds b would be below 0."""
    rng = np.random.default_rng(2)
    edges, non_edges = (
        np.r_[rng.normal(0, 0.5, 150), rng.normal(5, 1, 20)],
        np.r_[rng.normal(-3, 2, 3000), np.full(300, 5)],
    )
    u, v = np.full(len(edges), 0.1 / len(edges)), np.full(len(non_edges), 0.9 / len(non_edges))
    curve = fit_beta(edges, non_edges, edge_weights=u, non_edge_weights=v)
    assert curve is not None
    assert curve.b == 0 < curve.a

    def loss(abc: Floats) -> float:
        a, b, c = abc
        of_edges, of_non_edges = (a * log_expit(z) - b * log_expit(-z) + c for z in (edges, non_edges))
        return -10 * float(u @ log_expit(of_edges) + v @ log_expit(-of_non_edges))

    best = minimize(loss, [1.0, 1.0, 0.0], bounds=[(0, None), (0, None), (None, None)], options={"ftol": 1e-15})
    assert best.x[1] == pytest.approx(0, abs=1e-6)
    assert [curve.a, curve.c] == pytest.approx(best.x[[0, 2]].tolist(), rel=1e-3)


def test_isotonic_equals_scikit_learn_but_for_the_pseudo_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_curves, "PSEUDO_PAIRS", 1e-12)
    edges, non_edges = sample(400, 5000, digits=2)  # with ties
    u, v = np.full(400, 0.01 / 400), np.full(5000, 0.99 / 5000)
    knots = fit_isotonic(edges, non_edges, edge_weights=u, non_edge_weights=v, prevalence=0.01)
    z, y = np.concatenate([edges, non_edges]), np.repeat([1.0, 0.0], [400, 5000])
    oracle = IsotonicRegression(out_of_bounds="clip").fit(z, y, sample_weight=np.concatenate([u, v]))
    at = np.unique(z)
    np.testing.assert_allclose(expit(knots.log_odds(at)), oracle.predict(at), atol=1e-9)


def test_isotonic_steps_are_counted_by_hand() -> None:
    """Two edges above all, then ten non-edges: n = 2, N = 0 and n = 0, N = 10, each with one pair at prevalence 1 / 6."""
    knots = fit_isotonic(
        np.array([3.0, 4.0]),
        np.arange(-10.0, 0.0),
        edge_weights=np.full(2, 1 / 12),
        non_edge_weights=np.full(10, 1 / 12),
        prevalence=1 / 6,
    )
    assert knots.logits == (-10.0, -1.0, 3.0, 4.0)
    low, high = (1 / 6) / (10 + 5 / 6), (2 + 1 / 6) / (5 / 6)
    assert np.exp(knots.log_odds_at) == pytest.approx([low, low, high, high])


def brute_force(z: float, edges: Floats, non_edges: Floats, count: Floats) -> float:
    """Log odds of Venn-Abers by two isotonic fits for this one pair."""
    pair = []
    for label in (0.0, 1.0):
        x = np.concatenate([edges, non_edges, [z]])
        y = np.concatenate([np.ones(len(edges)), np.zeros(len(non_edges)), [label]])
        fit = IsotonicRegression().fit(x, y, sample_weight=np.concatenate([np.ones(len(edges)), count, [1.0]]))
        pair.append(float(fit.predict([z])[0]))
    return float(np.log(pair[1]) - np.log1p(-pair[0]))


@pytest.mark.parametrize("digits", [8, 1])
def test_venn_abers_equals_two_isotonic_fits_a_pair(digits: int) -> None:
    edges, non_edges = sample(60, 500, seed=3, digits=digits)
    count = np.random.default_rng(4).integers(1, 50, 500).astype(np.float64)
    knots = fit_venn_abers(edges, non_edges, count)
    assert knots.logits == tuple(np.unique(edges).tolist())
    each = [brute_force(z, edges, non_edges, count) for z in knots.logits]
    np.testing.assert_allclose(knots.log_odds_at, each, rtol=1e-9)


def test_venn_abers_takes_an_even_choice_of_many_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    edges, non_edges = sample(500, 2000)
    every = fit_venn_abers(edges, non_edges, np.ones(2000))
    monkeypatch.setattr(calibration_curves, "MAX_KNOTS", 40)
    some = fit_venn_abers(edges, non_edges, np.ones(2000))
    assert len(some.logits) == 40
    assert (some.logits[0], some.logits[-1]) == (every.logits[0], every.logits[-1])
    place = np.searchsorted(every.logits, some.logits)
    np.testing.assert_allclose(some.log_odds_at, np.array(every.log_odds_at)[place], rtol=1e-12)


@pytest.mark.parametrize("choice", EVERY)
class TestEveryCalibrator:
    def held_out(self) -> HeldOut:
        edges, non_edges = sample(400, 8000)
        return HeldOut.from_logits(edges, non_edges, 8000)

    def fit(self, choice: str, prevalence: float = 0.01) -> Calibrator:
        return fit_calibrator([self.held_out()], prevalence=prevalence, odds_trained_at=1.0, choice=choice)  # type: ignore[arg-type]

    def test_is_what_was_asked_for_and_says_so(self, choice: str) -> None:
        fitted = self.fit(choice)
        assert fitted.method == {"bias": "bias_only"}.get(choice, choice.replace("-", "_"))
        assert choice == "platt" or "asked for" in str(fitted.reason)

    def test_never_falls_and_stays_inside_0_and_1(self, choice: str) -> None:
        f = self.fit(choice).calibrated_logit(np.linspace(-30, 30, 5001))
        assert (np.diff(f) >= 0).all()
        assert np.isfinite(f).all()

    def test_moves_to_another_prevalence_by_one_shift(self, choice: str) -> None:
        fitted, z = self.fit(choice), np.linspace(-8, 8, 200)
        moved = fitted.at_prevalence(1e-5)
        shift = logit(1e-5) - logit(0.01)
        np.testing.assert_allclose(moved.calibrated_logit(z), fitted.calibrated_logit(z) + shift, atol=1e-9)
        assert moved.intercept == pytest.approx(fitted.intercept + shift)

    def test_survives_json(self, choice: str) -> None:
        fitted = self.fit(choice)
        assert Calibrator.from_json(json.loads(json.dumps(fitted.to_json(), allow_nan=False))) == fitted

    def test_logit_of_is_the_lowest_logit_that_reaches_a_probability(self, choice: str) -> None:
        fitted = self.fit(choice)
        for probability in (1e-4, 0.003, 0.02, 0.2):
            z = fitted.logit_of(probability)
            if np.isfinite(z):
                assert fitted.probability(z) == pytest.approx(probability, rel=1e-6)
                assert fitted.probability(z - 1e-6) <= probability
            else:
                edge = np.array(-50.0 if z < 0 else 50.0)
                assert (fitted.probability(edge) >= probability) == (z < 0)

    def test_folds_are_pooled(self, choice: str) -> None:
        edges, non_edges = sample(400, 8000)
        halves = [HeldOut.from_logits(part, non_edges, 8000) for part in (edges[:200], edges[200:])]
        pooled = fit_calibrator(halves, prevalence=0.01, odds_trained_at=1.0, choice=choice)  # type: ignore[arg-type]
        z = np.unique(np.float32(edges)).astype(np.float64)
        expected = self.fit(choice).calibrated_logit(z)
        if choice == "venn-abers":  # each fold brings its non-edges: every one counts twice in the sample
            rounded = [np.float32(part).astype(np.float64) for part in (edges, non_edges)]
            expected = fit_venn_abers(*rounded, np.full(8000, 2.0)).log_odds(z) + logit(0.01) - logit(400 / 16_400)
        np.testing.assert_allclose(pooled.calibrated_logit(z), expected, atol=1e-6)


@pytest.mark.parametrize("choice", ["platt", *CURVED])
def test_every_calibrator_that_is_fitted_refuses_an_inverted_ranking(choice: str) -> None:
    edges, non_edges = sample(400, 8000)
    upside_down = HeldOut.from_logits(-edges, -non_edges, 8000)
    with pytest.raises(InvertedRanking, match="non-edges rank above edges"):
        fit_calibrator([upside_down], prevalence=0.01, odds_trained_at=1.0, choice=choice)  # type: ignore[arg-type]


def overconfident(num_pairs: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Log odds of pairs, a normal mixture with 1 in 1,000 edges, and the logits of a model that is 2.5 times too sure
    above its kink and 1.5 times below, trained at odds of 1."""
    truth = rng.normal(-9.85, 2.5, num_pairs)
    sure = truth + 7.0
    return truth, np.where(sure > 0, 2.5 * sure, 1.5 * sure)


def test_every_calibrator_against_the_oracle_at_one_edge_in_a_thousand() -> None:
    """2,000 calibration edges and 200,000 sampled non-edges; losses over 2 million fresh pairs by their known log odds,
    so that no labels add noise. k free parameters cost a chi-square of k degrees over 2, in nats of all 2,000 edges; its
    99.9 % point is 8.1 for the three of beta. A step is a parameter: twice as many nats as steps are the tolerance for
    isotonic, and for Venn-Abers, which is smoother. A straight line
    loses more at the kink, and a model that keeps its slope nearly everything."""
    rng = np.random.default_rng(0)
    truth, z = overconfident(4_000_000, rng)
    is_edge = rng.random(len(truth)) < expit(truth)
    edges, non_edges = z[is_edge][:2000], rng.choice(z[~is_edge], 200_000, replace=False)
    fresh, logits = overconfident(2_000_000, rng)
    p = expit(fresh)
    prevalence = float(p.mean())
    assert prevalence == pytest.approx(1e-3, rel=0.1)
    entropy = float(entr(prevalence) + entr(1 - prevalence))
    one_nat = prevalence / 2000 / entropy  # of the calibration edges, on the relative scale

    def relative_log_loss(f: Floats) -> float:
        return float(-(p * log_expit(f) + (1 - p) * log_expit(-f)).mean()) / entropy

    held_out = HeldOut.from_logits(edges, non_edges, int((~is_edge).sum()))
    oracle, lost, steps = relative_log_loss(fresh), {}, 0
    for choice in EVERY:
        fitted = fit_calibrator([held_out], prevalence=prevalence, odds_trained_at=1.0, choice=choice)  # type: ignore[arg-type]
        f = fitted.calibrated_logit(logits)
        lost[choice] = relative_log_loss(f) - oracle
        assert p.sum() / expit(f).sum() == pytest.approx(1, abs=0.1), choice
        if choice == "isotonic":
            steps = len(set(fitted.curve.log_odds_at))  # type: ignore[union-attr]
    assert lost["beta"] < 8.1 * one_nat
    assert max(lost["isotonic"], lost["venn-abers"]) < 2 * steps * one_nat
    assert 2 * lost["beta"] < lost["platt"] < 0.01 < 0.1 < lost["bias"]
    closed_form = fit_calibrator([], prevalence=prevalence, odds_trained_at=1.0)
    assert relative_log_loss(logits) > 10  # raw: the prior of the training
    assert (
        relative_log_loss(closed_form.calibrated_logit(logits)) > 1
    )  # the mean moved, the slope wrong: worse than a constant


def test_temperature_is_refused_with_the_distance_that_it_could_not_move() -> None:
    """Acceptance T10: a slope alone leaves a logit of 0 at 0.5, whatever the prevalence."""
    edges, non_edges = sample(400, 8000)
    held_out = [HeldOut.from_logits(edges, non_edges, 8000)]
    with pytest.raises(OptionError, match=r"cannot move the prior: .* trained at log odds -1\.61, .* at -9\.21"):
        fit_calibrator(held_out, prevalence=1e-4, odds_trained_at=0.2, choice="temperature")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no calibrator is called 'magic'; there are auto, platt, bias, beta"):
        fit_calibrator(held_out, prevalence=1e-4, odds_trained_at=0.2, choice="magic")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="--calibrator: temperature scaling .* cannot move the prior; take platt"):
        FitConfig.from_options({"calibrator": "temperature"})


def test_few_edges_fall_back_by_default_and_not_by_name() -> None:
    edges, non_edges = sample(49, 8000)
    held_out = [HeldOut.from_logits(edges, non_edges, 8000)]
    by_default = fit_calibrator(held_out, prevalence=0.006, odds_trained_at=1.0)
    by_name = fit_calibrator(held_out, prevalence=0.006, odds_trained_at=1.0, choice="platt")
    assert (by_default.method, by_name.method) == ("bias_only", "platt")
    assert "asked for: 49 calibration edges, fewer than 50" in str(by_name.reason)
    steps = fit_calibrator(held_out, prevalence=0.006, odds_trained_at=1.0, choice="isotonic")
    assert "49 calibration edges, fewer than the 1000 that steps need" in str(steps.reason)


def test_a_curve_that_cannot_be_fitted_gives_way_to_the_line() -> None:
    edges, non_edges = np.linspace(3, 4, 60), np.linspace(-4, -3, 6_000)  # separated: no finite curve
    fitted = fit_calibrator(
        [HeldOut.from_logits(edges, non_edges, 6_000)], prevalence=0.01, odds_trained_at=1.0, choice="beta"
    )
    assert fitted.method == "platt"
    assert "no finite beta curve" in str(fitted.reason)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "spline"}, "no calibration curve is called 'spline'"),
        ({"kind": "beta", "a": -1.0, "b": 1.0, "c": 0.0}, "a and b are at least 0"),
        ({"kind": "knots", "logits": [1.0, 1.0], "log_odds": [0.0, 1.0]}, "the logits of knots increase"),
        ({"kind": "knots", "logits": [1.0, 2.0], "log_odds": [1.0, 0.0]}, "never fall"),
        ({"kind": "knots", "logits": [], "log_odds": []}, "one at least"),
        (None, "beta needs a curve"),
    ],
)
def test_damaged_curves_are_refused(values: dict | None, words: str) -> None:
    good = Calibrator(1.0, 0.0, "beta", 0.1, 100, 100, curve=BetaCurve(1.0, 2.0, 0.0)).to_json()
    with pytest.raises(BrokenRun, match=words):
        Calibrator.from_json({**good, "curve": values})
    assert curve_from_json(good["curve"]) == BetaCurve(1.0, 2.0, 0.0)


def test_inverses_where_a_curve_is_flat() -> None:
    assert BetaCurve(0.0, 1.0, -2.0).inverse(-2.5) == -np.inf
    assert BetaCurve(1.0, 0.0, -2.0).inverse(-1.5) == np.inf
    assert BetaCurve(1.0, 1.0, -2.0).inverse(1e3) == pytest.approx(1002.0)
    knots = Knots((0.0, 1.0, 3.0), (-4.0, -4.0, 0.0))
    assert (knots.inverse(-4.0), knots.inverse(-1.0), knots.inverse(0.0)) == (-np.inf, 2.5, 3.0)
