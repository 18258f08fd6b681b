"""One Newton solver for calibrators and calibration lines: against scikit-learn, a closed form and repetitions."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from linkodds.metrics.logistic import fit_line, fit_plane

Floats = NDArray[np.float64]


def ones(*logits: Floats) -> dict[str, Floats]:
    return dict(zip(("edge_weights", "non_edge_weights"), (np.ones(len(z)) for z in logits), strict=True))


@pytest.mark.parametrize(("centre", "scale"), [(0.0, 1.0), (1e4, 1.0), (0.0, 1e-6), (-50.0, 1e6)])
@pytest.mark.parametrize("prevalence", [0.5, 1e-6])
def test_weighted_fits_equal_scikit_learn(centre: float, scale: float, prevalence: float) -> None:
    rng = np.random.default_rng(0)
    edges, non_edges = rng.normal(1.5, 1, 80), rng.normal(0, 1, 1000)
    u, v = rng.gamma(2.0, size=80), rng.gamma(2.0, size=1000)
    u, v = prevalence * u / u.sum(), (1 - prevalence) * v / v.sum()
    line = fit_line(centre + scale * edges, centre + scale * non_edges, edge_weights=u, non_edge_weights=v)
    assert line is not None
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    weights = np.concatenate([u, v]) / prevalence
    model.fit(np.concatenate([edges, non_edges])[:, None], np.repeat([1, 0], [80, 1000]), sample_weight=weights)
    assert line.slope * scale == pytest.approx(model.coef_[0, 0], rel=1e-7)
    assert line.intercept + line.slope * centre == pytest.approx(model.intercept_[0], rel=1e-7, abs=1e-7)


def test_soft_targets_have_a_closed_form_on_two_logits() -> None:
    edges, non_edges = np.full(8, 3.0), np.full(98, -1.0)
    line = fit_line(edges, non_edges, **ones(edges, non_edges), targets=(0.9, 0.01))
    assert line is not None
    assert line.slope * 3 + line.intercept == pytest.approx(np.log(9))
    assert line.slope * -1 + line.intercept == pytest.approx(np.log(0.01 / 0.99))


@pytest.mark.parametrize(
    ("edges", "non_edges"),
    [([1.0, 1.0], [1.0, 1.0]), ([2.0, 3.0], [0.0, 2.0]), ([0.0, 1.0], [1.0, 3.0]), ([1.0], [1.0])],
    ids=["equal", "above", "below", "single"],
)
def test_no_line_where_none_is_finite(edges: list[float], non_edges: list[float]) -> None:
    z = np.array(edges), np.array(non_edges)
    assert fit_line(*z, **ones(*z)) is None


def test_equal_logits_have_no_line_with_soft_targets_either() -> None:
    z = np.ones(3), np.ones(5)
    assert fit_line(*z, **ones(*z), targets=(0.8, 0.1)) is None


def test_both_covariances_hold_over_repetitions() -> None:
    """300 draws of 400 edges among 4,000 pairs: the deviation of the slopes is known to 1 / sqrt(600) = 4 %; 4 of those."""
    rng, slopes, sandwich, model = np.random.default_rng(1), [], [], []
    for _ in range(300):
        z = rng.normal(size=4_000)
        is_edge = rng.random(len(z)) < 1 / (1 + np.exp(2.5 - z))
        edges, non_edges = z[is_edge], z[~is_edge]
        line = fit_line(edges, non_edges, **ones(edges, non_edges))
        assert line is not None
        scores = np.concatenate([line.edge_scores, line.non_edge_scores])
        slopes.append(line.slope)
        sandwich.append(line.covariance(scores.T @ scores)[0, 0])
        model.append(line.covariance(line.information)[0, 0])
    assert np.mean(slopes) == pytest.approx(1, abs=4 * np.std(slopes) / np.sqrt(300))
    for variances in (sandwich, model):
        assert np.sqrt(np.mean(variances)) == pytest.approx(np.std(slopes), rel=0.16)


def test_planes_equal_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    edges, non_edges = rng.normal(1.0, 1, (80, 2)) * [3, 0.1], rng.normal(0, 1, (1000, 2)) * [3, 0.1]
    u, v = rng.gamma(2.0, size=80), rng.gamma(2.0, size=1000)
    plane = fit_plane(edges, non_edges, edge_weights=u, non_edge_weights=v)
    assert plane is not None
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    model.fit(np.concatenate([edges, non_edges]), np.repeat([1, 0], [80, 1000]), sample_weight=np.concatenate([u, v]))
    assert [*plane.coefficients, plane.intercept] == pytest.approx([*model.coef_[0], model.intercept_[0]], rel=1e-7)
    np.testing.assert_allclose(plane(edges), model.decision_function(edges), rtol=1e-6)


def test_no_plane_where_none_is_finite() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(500, 2))
    parted = x[:, 0] + x[:, 1] > 1  # neither feature parts them alone
    edges, non_edges = x[parted], x[~parted]
    assert fit_plane(edges, non_edges, **ones(edges, non_edges)) is None
    for useless in (np.ones(500), 2 * x[:, 0]):
        features = np.column_stack([x[:, 0], useless])
        edges, non_edges = features[:100], features[100:]
        assert fit_plane(edges, non_edges, **ones(edges, non_edges)) is None


def test_a_prior_pulls_a_coefficient_like_observations_at_zero() -> None:
    """The loss written out and given to another minimiser; a prior counts in standard deviations of its feature."""
    rng = np.random.default_rng(7)
    edges, non_edges = rng.normal(1.0, 1, (60, 2)) * [3, 0.1], rng.normal(0, 1, (300, 2)) * [3, 0.1]
    prior = np.array([0.0, 25.0])
    weights = {"edge_weights": np.ones(60), "non_edge_weights": np.ones(300)}
    centre = (edges.mean(axis=0) + non_edges.mean(axis=0)) / 2
    spread = np.sqrt((((edges - centre) ** 2).mean(axis=0) + ((non_edges - centre) ** 2).mean(axis=0)) / 2)

    def loss(line: Floats) -> float:
        of_edges, of_non_edges = (x @ line[:2] + line[2] for x in (edges / spread, non_edges / spread))
        cost = np.logaddexp(0, -of_edges).sum() + np.logaddexp(0, of_non_edges).sum()
        return float(cost + prior @ line[:2] ** 2 / 2)

    best = minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    plane, free = fit_plane(edges, non_edges, **weights, prior=prior), fit_plane(edges, non_edges, **weights)
    assert plane is not None
    assert free is not None
    np.testing.assert_allclose([*(plane.coefficients * spread), plane.intercept], best, rtol=1e-4)
    assert abs(plane.coefficients[1]) < 0.8 * abs(free.coefficients[1])
