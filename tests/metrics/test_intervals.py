"""Intervals: against scipy, by hand, and how often they cover a known truth."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest, gamma, norm, poisson, t

from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import (
    Quantity,
    Resamples,
    bootstrap,
    confusion_interval,
    non_edges_interval,
    poisson_interval,
    wilson,
)
from linkodds.metrics.non_edge_scores import NonEdgeScores
from linkodds.metrics.ranking import average_precision_interval, roc_auc_interval


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (411, 5000)])
def test_wilson_equals_scipy(count: int, total: int) -> None:
    expected = binomtest(count, total).proportion_ci(method="wilson")
    assert wilson(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_all_there_is_has_no_width() -> None:
    assert wilson(3, 7, rate=1.0) == (3 / 7, 3 / 7)


def test_poisson_interval_leaves_half_of_five_percent_on_each_side() -> None:
    counts = np.array([1, 5, 40])
    low, high = poisson_interval(counts)
    np.testing.assert_allclose(poisson.sf(counts - 1, low), 0.025, rtol=1e-9)
    np.testing.assert_allclose(poisson.cdf(counts, high), 0.025, rtol=1e-9)
    assert poisson_interval(0)[0] == 0.0


def test_quantity_says_why_there_is_no_value() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Quantity(None)
    with pytest.raises(ValueError, match="not a finite quantity"):
        Quantity(float("nan"))
    with pytest.raises(ValueError, match="value outside its interval"):
        Quantity(0.5, 0.6, 0.7)
    for quantity in (Quantity(0.5, 0.4, 0.6), Quantity.missing("too few"), Quantity(1.0, reason="no interval")):
        assert Quantity.from_json(quantity.to_json()) == quantity
    assert Quantity.around(0.5, (0.6, 0.7)) == Quantity(0.5, 0.5, 0.7)


def test_same_seed_same_ends() -> None:
    held_out = HeldOut.from_logits(np.arange(100.0), np.arange(-300.0, 50.0), 350)
    ends = [bootstrap(held_out, {"auc": Resamples.roc_auc}, rng=np.random.default_rng(3)) for _ in range(2)]
    assert ends[0] == ends[1]


def test_resampled_statistics_are_those_of_a_held_out_with_repeated_edges() -> None:
    """One repetition, drawn by hand: the ladder's counts move as if the edges had been listed anew."""
    rng = np.random.default_rng(4)
    edges, non_edges = np.round(rng.normal(1, 2, 40)), np.round(rng.normal(0, 2, 400))
    held_out = HeldOut.from_logits(edges, non_edges, 400)
    seen: list[Resamples] = []

    def keep(resamples: Resamples) -> np.ndarray:
        seen.append(resamples)
        return resamples.roc_auc()

    bootstrap(held_out, {"auc": keep}, rng=rng, repetitions=5)
    for row, drawn in enumerate(seen[0].drawn):
        again = HeldOut.from_logits(edges[drawn], non_edges, 400)
        assert seen[0].roc_auc()[row] == pytest.approx(metrics.roc_auc(again), abs=1e-12)
        assert seen[0].precision_at(60)[row] == pytest.approx(metrics.precision_at(again, 60), abs=1e-12)
        assert seen[0].mean(edges)[row] == pytest.approx(edges[drawn].mean())


# Edges are normal around 2, non-edges the fixed quantiles of a standard normal: every truth can be computed.
NON_EDGES = norm.ppf((np.arange(20_000) + 0.5) / 20_000).astype(np.float32)
THRESHOLD = 2.25


def truths(num_edges: int) -> dict[str, float]:
    population = norm.ppf((np.arange(200_000) + 0.5) / 200_000) + 2.0
    held_out = HeldOut.from_logits(population, NON_EDGES, len(NON_EDGES), thresholds=(THRESHOLD,))
    held_out = held_out.at_prevalence(num_edges / (num_edges + len(NON_EDGES)))
    table = metrics.confusion_at(held_out, THRESHOLD)
    return {
        "roc_auc": metrics.roc_auc(held_out),
        "average_precision": metrics.average_precision(held_out),
        "precision_at_100": metrics.precision_at(held_out, 100 * len(population) / num_edges),
        "precision": table.precision or 0.0,
        "f1": table.f1,
    }


@pytest.mark.parametrize("num_edges", [100, 1000])
def test_intervals_cover_the_truth(num_edges: int) -> None:
    rng, runs = np.random.default_rng(5), 200
    truth = truths(num_edges)
    covered = dict.fromkeys(truth, 0)
    for _ in range(runs):
        edges = rng.normal(2.0, 1.0, num_edges)
        held_out = HeldOut.from_logits(edges, NON_EDGES, len(NON_EDGES), thresholds=(THRESHOLD,))
        ends = bootstrap(
            held_out,
            {
                "precision_at_100": lambda r: r.precision_at(100),
            },
            rng=rng,
            repetitions=300,
        )
        ends["roc_auc"], ends["average_precision"] = roc_auc_interval(held_out), average_precision_interval(held_out)
        ends["precision"] = confusion_interval(held_out, THRESHOLD, lambda c: c.precision)
        ends["f1"] = confusion_interval(held_out, THRESHOLD, lambda c: c.f1)
        for name, (low, high) in ends.items():
            covered[name] += low <= truth[name] <= high
    # Nominal 190 of 200. The percentile bootstrap is a first-order method: an error of 0.03 in coverage is granted at
    # 100 edges. 184 expected, standard deviation sqrt(200 * 0.92 * 0.08) = 3.8, three of them below: 172.
    assert all(count >= 172 for count in covered.values()), covered


def test_intervals_of_a_sampled_design_cover_its_own_error() -> None:
    """The edges stay, only the non-edges are sampled: precision has to be covered at least as often as promised."""
    rng, runs = np.random.default_rng(6), 300
    edges = rng.normal(2.0, 1.0, 500)
    exact = HeldOut.from_logits(edges, NON_EDGES, len(NON_EDGES), thresholds=(THRESHOLD,))
    truth = metrics.confusion_at(exact, THRESHOLD).precision
    assert truth is not None
    covered = 0
    for _ in range(runs):
        drawn = rng.choice(NON_EDGES, 4000, replace=False)
        held_out = HeldOut.from_logits(edges, drawn, len(NON_EDGES), thresholds=(THRESHOLD,))
        low, high = confusion_interval(held_out, THRESHOLD, lambda c: c.precision)
        covered += low <= truth <= high
    # At least 285 expected (the interval also allows for other edges); three standard deviations of 3.8 below: 273.
    assert covered >= 273


def test_confusion_interval_of_enumerated_non_edges_is_that_of_the_recall() -> None:
    held_out = HeldOut.from_logits([2.0] * 30 + [0.0] * 20, [3.0] * 10 + [-1.0] * 90, 100, thresholds=(1.0,))
    ends = binomtest(30, 50).proportion_ci(method="exact")
    low, high = ends.low, ends.high
    assert confusion_interval(held_out, 1.0, lambda c: c.recall) == pytest.approx((low, high))
    pushed = tuple(50 * end / (50 * end + 10) for end in (low, high))
    assert confusion_interval(held_out, 1.0, lambda c: c.precision) == pytest.approx(pushed)
    assert confusion_interval(held_out, 1.0, lambda c: c.balanced_accuracy) == pytest.approx(
        ((low + 0.9) / 2, (high + 0.9) / 2)
    )


def test_confusion_interval_where_nothing_is_found() -> None:
    held_out = HeldOut.from_logits([0.0] * 20, [1.0] + [-1.0] * 99, 100, thresholds=(0.5,))
    low, high = confusion_interval(held_out, 0.5, lambda c: c.precision)
    assert low == 0.0
    assert high == pytest.approx(20 * (1 - 0.025 ** (1 / 20)) / (20 * (1 - 0.025 ** (1 / 20)) + 1))  # Clopper-Pearson


def first_resamples(held_out: HeldOut, repetitions: int) -> Resamples:
    """At most 100 at a time are drawn: those."""
    seen: list[Resamples] = []

    def keep(resamples: Resamples) -> np.ndarray:
        seen.append(resamples)
        return resamples.roc_auc()

    bootstrap(held_out, {"auc": keep}, rng=np.random.default_rng(9), repetitions=repetitions)
    return seen[0]


def test_copies_of_one_edge_see_half_of_each_other_and_edges_with_one_logit_see_all() -> None:
    """Copy by copy; of the copies of an edge each sees half of the others at or above it, of tied edges all."""
    edges = np.array([3.0, 2.0, 2.0, 1.0, 0.0])
    non_edges = np.array([2.5, 1.5, 1.5, 0.5, -1.0])
    resamples = first_resamples(HeldOut.from_logits(edges, non_edges, 5), 50)
    for row, drawn in enumerate(resamples.drawn):
        precisions = []
        for edge in drawn:
            above = np.count_nonzero(edges[drawn] > edges[edge])
            tied = np.count_nonzero(edges[drawn] == edges[edge])
            # Which of the tied ones are copies is forgotten: each is one with probability 1 / (edges with this logit).
            copies = (tied - 1) / np.count_nonzero(edges == edges[edge])
            found = above + 1 + (tied - 1 - copies) + copies / 2
            precisions.append(found / (found + np.count_nonzero(non_edges >= edges[edge])))
        assert resamples.average_precision()[row] == pytest.approx(np.mean(precisions), rel=1e-12)


def test_resampled_counts_scatter_as_a_draw_without_replacement_does() -> None:
    """1,000 of 2,000 non-edges are scored, 400 of them above the edges: each stands for two, with half the variance.

    Of 100 repetitions a standard deviation is known to 1 / sqrt(200) = 7 %; without the correction it is 41 % larger.
    """
    sample = HeldOut.from_logits([0.0, 0.0], np.repeat([1.0, -1.0], [400, 600]), 2_000)
    counts = first_resamples(sample, 100).non_edges_at_least[:, 0]
    assert counts.std() == pytest.approx(2 * np.sqrt(400 * (1 - 0.5)), rel=3 * 0.07)
    assert counts.mean() == pytest.approx(800, abs=3 * 2 * np.sqrt(200 / 100))


def test_strata_are_weighted_poisson_counts_with_a_finite_population_each() -> None:
    """Fay and Feuer by hand: 30 of 100 scored of 200, and 5 of 100 scored of 1,000, pass; one more may, of weight 10."""
    strata = {
        "half": (np.repeat([1.0, -1.0], [30, 70]), 200),
        "tenth": (np.repeat([1.0, -1.0], [5, 95]), 1_000),
    }
    scores = NonEdgeScores.of_strata(strata, anchors=np.array([0.0]))
    mean = 30 * 2 + 5 * 10
    variance = 2**2 * 30 * 0.7 * (1 - 0.5) + 10**2 * 5 * 0.95 * (1 - 0.1)
    upper_mean, upper_variance = mean + 10, variance + 10**2 * (1 - 0.1)
    (low,), (high,) = non_edges_interval(scores, scores.counts_at_least(0.0)[:, None])
    assert low == pytest.approx(gamma.ppf(0.025, mean**2 / variance, scale=variance / mean), rel=1e-9)
    shape, scale = upper_mean**2 / upper_variance, upper_variance / upper_mean
    assert high == pytest.approx(gamma.ppf(0.975, shape, scale=scale), rel=1e-9)


def test_the_interval_of_the_auc_takes_the_quantile_of_as_few_edges_as_there_are() -> None:
    """12 edges: DeLong's variance of the mean of their shares, on the log odds, at the 97.5 % point of t with 11 degrees."""
    edges = np.linspace(-1.0, 3.0, 12)
    shares = np.array([np.mean(np.float32(edge) > NON_EDGES) for edge in edges])
    auc, error = shares.mean(), shares.std(ddof=1) / np.sqrt(12)
    half = t.ppf(0.975, 11) * error / (auc * (1 - auc))
    _, high = roc_auc_interval(HeldOut.from_logits(edges, NON_EDGES, len(NON_EDGES)))
    assert high == pytest.approx(expit(logit(auc) + half), rel=1e-9)


def test_the_draw_of_tied_non_edges_moves_the_auc_by_half_a_tie() -> None:
    """200 of 4,000 non-edges on whole numbers: what each takes from the AUC, one by one, and the variance of their mean."""
    rng = np.random.default_rng(8)
    edges, non_edges = np.round(rng.normal(1, 1, 50)), np.round(rng.normal(0, 1, 200))
    held_out = HeldOut.from_logits(edges, non_edges, 4_000)
    losses = np.array([np.mean(edges < each) + np.mean(edges == each) / 2 for each in non_edges])
    auc = metrics.roc_auc(held_out)
    assert auc == pytest.approx(1 - losses.mean())
    error = np.sqrt(losses.var() * (1 - 200 / 4_000) / 200)
    half = norm.ppf(0.975) * error / (auc * (1 - auc))
    assert roc_auc_interval(held_out, kind="F")[1] == pytest.approx(expit(logit(auc) + half), rel=1e-9)
