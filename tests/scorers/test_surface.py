"""Surfaces: values by hand, always rising with the logit, and fits against scikit-learn and scipy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from linkodds.probability.surface_fitting import LOWEST_SLOPE, WEIGHT_OF_PRIOR, Form, fit_surface
from linkodds.scorers.surface import PiecewiseLinear, Surface, pieces

Floats = NDArray[np.float64]
ENDS = (0.0, 4.0)


def form(*, tilts: bool = True, directed: bool = False, bends: bool = True) -> Form:
    knots = ((0.0, 1.5), (1.0, 2.5), (0.5,) if directed else (1.0, 2.5), (3.0,)) if bends else ((),) * 4
    return Form(*knots, tilts=tilts, directed=directed, sources=ENDS, targets=ENDS)


def planted(seed: int, *, tilt: float, num_points: int = 4000) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Edges and non-edges, shape (_, 3) each, whose true log odds are (1 + tilt x) z + a^2 / 5 + b^2 / 5 - 2."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([2 * rng.normal(size=num_points), *(rng.uniform(*ENDS, (2, num_points)))])
    z, a, b = points.T
    is_edge = rng.random(num_points) < expit((1 + tilt * (a + b)) * z + (a**2 + b**2) / 5 - 2)
    weights = {
        "edge_weights": np.full(is_edge.sum(), 0.3 / is_edge.sum()),
        "non_edge_weights": rng.uniform(0.5, 1.5, (~is_edge).sum()) / (~is_edge).sum(),
    }
    return points[is_edge], points[~is_edge], weights


def test_values_by_hand() -> None:
    surface = Surface(
        (1.0,),
        (1.0, 0.5),
        (3.0, 0.5),
        (0.0, 8.0),
        PiecewiseLinear((0.0, 2.0, 4.0), (0.0, 1.0, 0.0)),
        PiecewiseLinear((0.0, 4.0), (0.0, 8.0)),
        PiecewiseLinear((0.0, 8.0), (-3.0, 5.0)),
    )
    # a = 3, b = 1: x = 4, t = 1/2, slopes 2 and 0.5; level 0.5 + 2 + 1.
    values = surface.log_odds(np.array([-1.0, 1.0, 3.0]), np.array(3.0), np.array(1.0))
    assert values.tolist() == [3.5 - 2, 3.5 + 2, 3.5 + 2 + 1]
    assert Surface.from_json(surface.to_json()) == surface


def test_a_surface_that_falls_is_refused() -> None:
    flat = PiecewiseLinear((0.0, 8.0), (0.0, 0.0))
    for low, high in (((1.0,), (0.0,)), ((-1.0,), (1.0,))):
        with pytest.raises(ValueError, match="rises with the logit"):
            Surface((), low, high, (0.0, 8.0), flat, flat, flat)
    with pytest.raises(ValueError, match="one piece of the logit more than knots"):
        Surface((1.0,), (1.0,), (1.0,), (0.0, 8.0), flat, flat, flat)


def test_pieces_add_up_to_the_logit() -> None:
    z = np.random.default_rng(0).normal(size=100) * 5
    for knots in ((), (0.3,), (-2.0, 0.0, 4.0)):
        assert np.sum(pieces(z, knots), axis=0) == pytest.approx(z, abs=1e-12)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("tilts", [False, True])
def test_a_free_fit_is_that_of_scikit_learn(directed: bool, tilts: bool) -> None:
    """Without bends there is no prior, and with these edges no slope is near its floor."""
    edges, non_edges, weights = planted(0, tilt=0.05)
    shape = form(tilts=tilts, directed=directed, bends=False)
    fitted = fit_surface(shape, edges, non_edges, **weights, slope=1.0)
    assert fitted is not None
    points = np.concatenate([edges, non_edges])
    z, a, b = points.T
    columns = [z, *([a, b] if directed else [a + b]), *([z * (a + b)] if tilts else [])]
    oracle = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(
        np.column_stack(columns),
        np.arange(len(points)) < len(edges),
        sample_weight=np.concatenate(list(weights.values())) * 1e4,
    )
    expected = oracle.decision_function(np.column_stack(columns))
    np.testing.assert_allclose(fitted.log_odds(z, a, b), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("directed", [False, True])
def test_a_bent_fit_under_bounds_is_that_of_scipy(directed: bool) -> None:
    """The truth turns the logit round among hubs, so slopes end on their floor; the optimum is L-BFGS-B's."""
    edges, non_edges, weights = planted(1, tilt=-0.2)
    shape = form(directed=directed)
    fitted = fit_surface(shape, edges, non_edges, **weights, slope=1.0)
    assert fitted is not None
    assert min(fitted.high) == pytest.approx(LOWEST_SLOPE)
    z = np.linspace(-9, 9, 200)
    for a, b in ((0.0, 0.0), (4.0, 4.0), (1.0, 3.0)):
        assert (np.diff(fitted.log_odds(z, np.array(a), np.array(b))) > 0).all()

    of_edges, of_non_edges = (np.column_stack([shape.slopes(p), shape.levels(p)]) for p in (edges, non_edges))
    num_slopes, num_straight = shape.slopes(edges).shape[1], 2 if directed else 1
    parts = ((of_edges, weights["edge_weights"]), (of_non_edges, weights["non_edge_weights"]))
    centre = sum(np.average(x, axis=0, weights=w) for x, w in parts) / 2
    scale = np.sqrt(sum(np.average((x - centre) ** 2, axis=0, weights=w) for x, w in parts) / 2)
    prior = np.full(len(scale), WEIGHT_OF_PRIOR * weights["edge_weights"].mean())
    prior[: num_slopes + num_straight] = 0

    def loss(line: Floats) -> tuple[float, Floats]:
        f, g = (x / scale @ line[:-1] + line[-1] for x in (of_edges, of_non_edges))
        value = -weights["edge_weights"] @ log_expit(f) - weights["non_edge_weights"] @ log_expit(-g)
        pulls = -weights["edge_weights"] * expit(-f), weights["non_edge_weights"] * expit(g)
        slope = of_edges.T @ pulls[0] + of_non_edges.T @ pulls[1]
        gradient = np.append(slope / scale + prior * line[:-1], pulls[0].sum() + pulls[1].sum())
        return float(value + prior @ line[:-1] ** 2 / 2), gradient

    bounds = [(LOWEST_SLOPE * s if i < num_slopes else None, None) for i, s in enumerate(scale)] + [(None, None)]
    best = minimize(
        loss,
        np.append(np.full(len(scale), 0.1), -1.0),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 50_000, "maxfun": 100_000, "maxcor": 50, "ftol": 1e-15, "gtol": 1e-10},
    )
    points = np.concatenate([edges, non_edges])
    oracle = np.column_stack([shape.slopes(points), shape.levels(points)]) / scale @ best.x[:-1] + best.x[-1]
    ours = fitted.log_odds(*points.T)

    def value(f: Floats) -> float:
        n = len(edges)
        return float(-weights["edge_weights"] @ log_expit(f[:n]) - weights["non_edge_weights"] @ log_expit(-f[n:]))

    assert np.abs(ours - oracle).mean() < 2e-3
    assert value(ours) == pytest.approx(value(oracle), rel=1e-6)


def test_parted_edges_have_no_surface() -> None:
    edges = np.column_stack([np.full(20, 5.0) + np.arange(20), *(np.random.default_rng(0).uniform(*ENDS, (2, 20)))])
    non_edges = edges * [-1.0, 1.0, 1.0]
    even = {"edge_weights": np.full(20, 0.05), "non_edge_weights": np.full(20, 0.05)}
    assert fit_surface(form(bends=False), edges, non_edges, **even, slope=1.0) is None
