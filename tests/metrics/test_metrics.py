"""Metrics on a graph small enough to list: scikit-learn on the explicit candidates says the same to nine digits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import sklearn.metrics as oracle
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.pairs import KnownPairs, PairSpace
from table_scorer import TableScorer

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Listed:
    """The same candidates twice: as HeldOut and one by one."""

    held_out: HeldOut
    is_edge: NDArray[np.bool_]
    logits: Floats
    weights: Floats
    degree_class: NDArray[np.uint8]

    def probability(self) -> Floats:
        return expit(calibrated(self.logits))


def calibrated(logits: Floats) -> Floats:
    return 0.8 * logits - 3.0


SPACES = {
    "undirected": PairSpace(60),
    "directed": PairSpace(45, directed=True),
    "bipartite": PairSpace(90, sides=(40, 45)),
}


def listed(space: PairSpace, *, tied: bool, sampled: bool, prevalence: float | None) -> Listed:
    rng = np.random.default_rng(11)
    edges = space.pair_of_rank(rng.choice(space.num_pairs, 150, replace=False))
    test, excluded = edges[:50], edges[50:]
    table = rng.normal(size=(space.num_nodes, space.num_nodes)) * 2
    table[test[:, 0], test[:, 1]] += 2.0
    scorer = TableScorer(np.round(table) if tied else table)
    known = KnownPairs(space, edges)
    non_edges = draw_non_edges(known, 500, rng) if sampled else NonEdges(known)
    classes = DegreeClasses.of(excluded, space, excluded=excluded)
    held_out = HeldOut.from_scorer(scorer, test, non_edges, classes=classes, thresholds=(1.25,))
    if prevalence is not None:
        held_out = held_out.at_prevalence(prevalence)
    pairs = non_edges.sample
    if pairs is None:
        pairs = space.pair_of_rank(np.setdiff1d(np.arange(space.num_pairs), space.rank_of_pair(edges)))
    both = np.concatenate([test, pairs])
    is_edge = np.arange(len(both)) < len(test)
    weights = np.where(is_edge, 1.0, held_out.num_non_edges / len(pairs))
    logits = scorer.logits(both).astype(np.float32).astype(np.float64)
    return Listed(held_out, is_edge, logits, weights, classes.of_pairs(both))


@pytest.fixture(
    params=[
        pytest.param((name, tied, sampled, prevalence), id=f"{name}-{'tied' if tied else 'distinct'}-{design}")
        for name in SPACES
        for tied in (False, True)
        for design, sampled, prevalence in [("all", False, None), ("sample", True, None), ("restated", False, 0.2)]
    ]
)
def candidates(request: pytest.FixtureRequest) -> Listed:
    name, tied, sampled, prevalence = request.param
    return listed(SPACES[name], tied=tied, sampled=sampled, prevalence=prevalence)


def equal(value: float | None, expected: float) -> None:
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_ranking(candidates: Listed) -> None:
    y, z, w = candidates.is_edge, candidates.logits, candidates.weights
    equal(metrics.roc_auc(candidates.held_out), oracle.roc_auc_score(y, z, sample_weight=w))
    equal(metrics.average_precision(candidates.held_out), oracle.average_precision_score(y, z, sample_weight=w))


def test_precision_at_each_edge_is_that_of_a_loop() -> None:
    """With ties among edges and across; a non-edge may stand for several."""
    rng = np.random.default_rng(0)
    edges, others = rng.integers(0, 9, 40).astype(float), rng.integers(-5, 7, 500).astype(float)
    weights = rng.gamma(2.0, size=500)
    by_hand = [(edges >= z).sum() / ((edges >= z).sum() + (others >= z).sum()) for z in edges]
    each = metrics.precision_at_each_edge(edges, others)
    np.testing.assert_allclose(each, by_hand, rtol=1e-12)
    held_out = HeldOut.from_logits(edges, others, num_non_edges=500)
    np.testing.assert_allclose(each, metrics.precisions_of_edges(held_out), rtol=1e-12)
    equal(each.mean(), metrics.average_precision(held_out))
    judged = np.arange(0, 40, 3)
    true = [(edges >= z).sum() for z in edges[judged]]
    false = [weights[others >= z].sum() for z in edges[judged]]
    some = metrics.precision_at_each_edge(edges, others, weights, judged=judged)
    np.testing.assert_allclose(some, np.array(true) / np.add(true, false), rtol=1e-12)


@pytest.mark.parametrize("threshold", [1.25, "highest edge", "lowest edge", "middle edge"])
def test_confusion(candidates: Listed, threshold: float | str) -> None:
    y, w = candidates.is_edge, candidates.weights
    ordered = np.sort(candidates.held_out.edge_logits)
    places = {"lowest edge": 0, "middle edge": len(ordered) // 2, "highest edge": -1}
    at = float(ordered[places[threshold]]) if isinstance(threshold, str) else threshold
    found = metrics.confusion_at(candidates.held_out, at)
    said = candidates.logits >= at
    counts = oracle.confusion_matrix(y, said, sample_weight=w).ravel()
    np.testing.assert_allclose([found.tn, found.fp, found.fn, found.tp], counts, rtol=1e-9)
    equal(found.precision, oracle.precision_score(y, said, sample_weight=w))
    equal(found.recall, oracle.recall_score(y, said, sample_weight=w))
    equal(found.f1, oracle.f1_score(y, said, sample_weight=w))
    equal(found.balanced_accuracy, oracle.balanced_accuracy_score(y, said, sample_weight=w))
    equal(found.mcc, oracle.matthews_corrcoef(y, said, sample_weight=w))


def test_best_thresholds(candidates: Listed) -> None:
    y, z, w = candidates.is_edge, candidates.logits, candidates.weights
    # Optima sit on edge logits; a hundred others are tried all the same.
    everywhere = np.unique(np.concatenate([z[y], np.quantile(z, np.linspace(0, 1, 100), method="nearest")]))
    equal(metrics.best_f1(candidates.held_out), max(oracle.f1_score(y, z >= t, sample_weight=w) for t in everywhere))
    best = max(oracle.balanced_accuracy_score(y, z >= t, sample_weight=w) for t in everywhere)
    equal(metrics.best_balanced_accuracy(candidates.held_out), best)


def test_probabilities(candidates: Listed) -> None:
    y, w, p = candidates.is_edge, candidates.weights, candidates.probability()
    equal(metrics.log_loss(candidates.held_out, calibrated), oracle.log_loss(y, p, sample_weight=w))
    equal(metrics.brier(candidates.held_out, calibrated), oracle.brier_score_loss(y, p, sample_weight=w))
    constant = np.full(len(y), np.average(y, weights=w))
    equal(metrics.log_loss_of_constant(candidates.held_out), oracle.log_loss(y, constant, sample_weight=w))


def test_calibration_line(candidates: Listed) -> None:
    z = calibrated(candidates.logits)
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=500)
    model.fit(z[:, None], candidates.is_edge, sample_weight=candidates.weights)
    line = metrics.calibration_line(candidates.held_out, calibrated)
    assert line is not None
    assert line.slope == pytest.approx(model.coef_[0, 0], rel=1e-9)
    assert line.intercept == pytest.approx(model.intercept_[0], rel=1e-9)


def test_degree_bins(candidates: Listed) -> None:
    bins = metrics.degree_bins(candidates.held_out, calibrated)
    for part in range(5):
        inside = candidates.degree_class == part
        weights = candidates.weights[inside]
        equal(bins.num_pairs[part], weights.sum())
        equal(bins.observed[part], candidates.is_edge[inside].sum())
        equal(bins.expected[part], weights @ candidates.probability()[inside])
    gap = np.abs(bins.observed - bins.expected).sum() / 50
    equal(metrics.degree_relative_ece(bins), gap)


def test_reliability_counts_half_decades(candidates: Listed) -> None:
    found = metrics.reliability(candidates.held_out, calibrated)
    p = candidates.probability()
    place = np.digitize(p, 10.0 ** np.arange(-7.5, 0.0, 0.5))
    rows = [
        (np.average(p[place == k], weights=candidates.weights[place == k]), candidates.is_edge[place == k].sum())
        for k in np.unique(place)
    ]
    np.testing.assert_array_equal(found.num_edges, [edges for _, edges in rows])
    assert found.num_edges.sum() == 50
    # A bin of logits that straddles a half decade may fall on either side of it as a whole.
    np.testing.assert_allclose(found.mean_probability, [mean for mean, _ in rows], rtol=2e-2)
    assert found.num_pairs.sum() == pytest.approx(candidates.held_out.num_pairs)


@pytest.mark.parametrize("tied", [False, True])
def test_lists_equal_the_mean_over_random_orders_of_ties(tied: bool) -> None:
    candidates = listed(SPACES["undirected"], tied=tied, sampled=False, prevalence=None)
    total = len(candidates.logits)
    for k in (1, 7, 50, 100, total):
        # Expected number of edges among the first k: all of the strictly better ones, a share of the tied ones.
        last = np.sort(candidates.logits)[-k]
        better, tied_ones = candidates.logits > last, candidates.logits == last
        room = k - better.sum()
        expected = candidates.is_edge[better].sum() + candidates.is_edge[tied_ones].sum() * room / tied_ones.sum()
        equal(metrics.precision_at(candidates.held_out, k), expected / k)
    equal(metrics.r_precision(candidates.held_out), metrics.precision_at(candidates.held_out, 50))
    with pytest.raises(ValueError, match=f"a list of {total + 1:,} out of {total:,} candidates"):
        metrics.precision_at(candidates.held_out, total + 1)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("k", [1, 5, 20, 100])
def test_hits_equal_the_benchmark_definition(tied: bool, k: int) -> None:
    candidates = listed(SPACES["directed"], tied=tied, sampled=False, prevalence=None)
    edges, non_edges = candidates.logits[candidates.is_edge], candidates.logits[~candidates.is_edge]
    equal(metrics.hits_at(candidates.held_out, k), np.mean(edges > np.sort(non_edges)[-k]))


SAMPLED: dict[str, tuple[Callable[[HeldOut], float], Callable[[Floats, Floats], Floats]]] = {
    # The metric, and what one non-edge (of logit z) adds to its mean over non-edges.
    "roc_auc": (metrics.roc_auc, lambda z, edges: (edges[None, :] > z[:, None]).mean(axis=1)),
    "log_loss": (lambda h: metrics.log_loss(h, calibrated), lambda z, _: np.logaddexp(0.0, calibrated(z))),
    "brier": (lambda h: metrics.brier(h, calibrated), lambda z, _: expit(calibrated(z)) ** 2),
    "false_positive_rate": (
        lambda h: metrics.confusion_at(h, 1.25).false_positive_rate,
        lambda z, _: (z >= 1.25).astype(np.float64),
    ),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_a_sample_is_off_by_its_sampling_error(name: str) -> None:
    """Means over a sample without replacement: exact on average, and as spread as the theory of such samples says."""
    metric, added = SAMPLED[name]
    full = listed(SPACES["undirected"], tied=False, sampled=False, prevalence=None)
    edges, non_edges = full.logits[full.is_edge], full.logits[~full.is_edge]
    rng, runs, size = np.random.default_rng(12), 300, 400
    values = np.array(
        [
            metric(
                HeldOut.from_logits(
                    edges, rng.choice(non_edges, size, replace=False), len(non_edges), thresholds=(1.25,)
                )
            )
            for _ in range(runs)
        ]
    )
    error = np.sqrt(added(non_edges, edges).var(ddof=1) / size * (1 - size / len(non_edges)))
    if name in ("log_loss", "brier"):  # means over all candidates
        error *= len(non_edges) / len(full.logits)
    off = (values - metric(full.held_out)) / error
    # The mean of 300 standard normal deviates is beyond 3.5 / sqrt(300) with probability 5e-4, and a deviate beyond 3
    # with probability 0.0027: more than 6 of 300 with probability 2e-5.
    assert abs(off.mean()) < 3.5 / np.sqrt(runs)
    assert np.count_nonzero(np.abs(off) > 3) <= 6


def test_undefined_values_are_none_and_not_zero() -> None:
    nothing = metrics.Confusion(tn=5, fp=0, fn=2, tp=0)
    assert (nothing.precision, nothing.mcc, nothing.f1) == (None, None, 0.0)
    everything = metrics.Confusion(tn=0, fp=5, fn=0, tp=2)
    assert everything.mcc is None
    assert everything.balanced_accuracy == 0.5


@pytest.mark.parametrize(
    ("edges", "non_edges"), [([1.0, 1.0], [1.0, 1.0]), ([2.0, 3.0], [0.0, 1.0]), ([0.0, 1.0], [1.0, 3.0])]
)
def test_no_calibration_line_where_none_is_finite(edges: list[float], non_edges: list[float]) -> None:
    assert metrics.calibration_line(HeldOut.from_logits(edges, non_edges, 2), calibrated) is None


def test_relative_ece_merges_small_bins_by_hand() -> None:
    bins = metrics.Reliability(
        mean_probability=np.array([1e-3, 1e-2, 0.1, 0.5]),
        num_pairs=np.array([2000.0, 1000.0, 200.0, 4.0]),  # expected: 2, 10, 20, 2
        num_edges=np.array([1.0, 5.0, 30.0, 1.0]),
    )
    # 2 + 1 < 10, so the first joins the second: |12 - 6|; the last, 2 + 1, joins the third: |22 - 31|.
    assert metrics.relative_ece(bins) == pytest.approx((6 + 9) / 37)


def test_calibration_line_of_calibrated_data_is_the_identity() -> None:
    """Logits drawn so that logit p = z holds: slope 1 and intercept 0 within the line's own standard errors."""
    rng = np.random.default_rng(13)
    z = rng.normal(-4.0, 1.5, size=200_000).astype(np.float32)
    is_edge = rng.random(len(z)) < expit(z)
    line = metrics.calibration_line(HeldOut.from_logits(z[is_edge], z[~is_edge], int((~is_edge).sum())), np.positive)
    assert line is not None
    errors = np.sqrt(np.diag(line.covariance))
    # Two-sided 1e-3 for a normal deviate is 3.3.
    assert abs(line.slope - 1) < 3.3 * errors[0]
    assert abs(line.intercept) < 3.3 * errors[1]


@pytest.mark.parametrize("edges", [[0.5], [0.5, 0.5, 0.5]])
def test_one_edge_or_equal_ones_do_not_make_the_line_certain(edges: list[float]) -> None:
    """Their scores have no spread, so the sandwich alone would give an interval of no width."""
    line = metrics.calibration_line(HeldOut.from_logits(edges, np.linspace(-3, 2, 500), 500), np.positive)
    assert line is not None
    assert np.sqrt(line.covariance[0, 0]) > 0.3


def test_relative_ece_goes_on_merging_until_ten_are_together() -> None:
    """Observed and expected together: 4, 4 and 4 are merged, 10 stands alone, and so does 18."""
    bins = metrics.Reliability(
        mean_probability=np.array([1e-4, 1e-3, 1e-2, 0.1, 0.5]),
        num_pairs=np.array([30_000.0, 1_000.0, 300.0, 40.0, 20.0]),  # expected: 3, 1, 3, 4, 10
        num_edges=np.array([1.0, 3.0, 1.0, 6.0, 8.0]),
    )
    assert metrics.relative_ece(bins) == pytest.approx((abs(7 - 5) + abs(4 - 6) + abs(10 - 8)) / 19)


def test_sampled_non_edges_make_the_calibration_line_less_sure_by_hand() -> None:
    """The sandwich from its parts: edges drawn with replacement, 400 of 20,000 non-edges without."""
    rng = np.random.default_rng(3)
    edges, non_edges = (rng.normal(mean, 1, size).astype(np.float32) for mean, size in ((2, 100), (0, 400)))
    line = metrics.calibration_line(HeldOut.from_logits(edges, non_edges, 20_000), np.positive)
    assert line is not None
    x = np.column_stack([np.concatenate([edges, non_edges]), np.ones(500)]).astype(np.float64)
    y, w = np.repeat([1.0, 0.0], [100, 400]), np.repeat([1.0, 50.0], [100, 400])
    p = expit(x @ [line.slope, line.intercept])
    bread = np.linalg.inv((x.T * (w * p * (1 - p))) @ x)
    scores = x * (y - p)[:, None]
    of_edges = 100 * np.cov(scores[:100].T)
    of_non_edges = 20_000**2 * (1 - 400 / 20_000) / 400 * np.cov(scores[100:].T, ddof=0)
    np.testing.assert_allclose(line.covariance, bread @ (of_edges + of_non_edges) @ bread, rtol=1e-4)
    assert np.trace(bread @ of_non_edges @ bread) > 0.1 * np.trace(line.covariance)
