"""Evaluation designs end to end: enumeration against scikit-learn, samples and strata against enumeration, refusals."""

import io

import numpy as np
import pytest
import sklearn.metrics as oracle
from scipy.special import expit
from scipy.stats import binom

from linkodds.config import FitConfig
from linkodds.evaluation.measure import evaluate
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import confusion_interval, non_edges_interval, non_edges_needed
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edge_scores import NonEdgeScores
from linkodds.metrics.non_edges import NonEdges
from linkodds.metrics.ranking import average_precision_interval, roc_auc_interval
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.probability.calibration import Calibrator, fit_calibrator
from linkodds.probability.decision import decide, parse_rule
from linkodds.probability.deployment import fit_link_rate
from linkodds.probability.selection import audit_entries
from table_scorer import TableScorer

NEAR, REST = 400, 60_000
TEST_EDGES = 300


@pytest.mark.parametrize("directed", [False, True])
def test_enumeration_equals_scikit_learn_on_three_hundred_nodes(directed: bool) -> None:
    space, rng = PairSpace(300, directed=directed), np.random.default_rng(1)
    edges = space.pair_of_rank(rng.choice(space.num_pairs, 900, replace=False))
    table = rng.normal(size=(300, 300)).astype(np.float32).astype(np.float64) - 4.0
    table[edges[:, 0], edges[:, 1]] += np.float32(2.0)
    table = table.astype(np.float32).astype(np.float64)
    test, known = edges[:200], KnownPairs(space, edges)
    held_out = HeldOut.from_scorer(TableScorer(table), test, NonEdges(known), thresholds=(-2.0,))
    every = space.pair_of_rank(np.arange(space.num_pairs))
    absent = every[~space.contains(edges, every)]
    z = table[tuple(np.concatenate([test, absent]).T)]
    y, said = np.arange(len(z)) < len(test), z >= -2.0
    confusion = metrics.confusion_at(held_out, -2.0)
    pairs = [
        (metrics.average_precision(held_out), oracle.average_precision_score(y, z)),
        (metrics.roc_auc(held_out), oracle.roc_auc_score(y, z)),
        (confusion.f1, oracle.f1_score(y, said)),
        (confusion.mcc, oracle.matthews_corrcoef(y, said)),
        (metrics.brier(held_out, lambda logits: logits), oracle.brier_score_loss(y, expit(z))),
        (metrics.log_loss(held_out, lambda logits: logits), oracle.log_loss(y, expit(z))),
    ]
    for ours, theirs in pairs:
        assert ours == pytest.approx(theirs, rel=0, abs=1e-12)


def planted(rng: np.random.Generator, num_edges: int = TEST_EDGES) -> tuple[Floats, Floats, Floats]:
    """Logits of edges, of a few near non-edges, and of the rest, rounded to float32."""
    parts = rng.normal(3, 1, num_edges), rng.normal(2, 1, NEAR), rng.normal(0, 1, REST)
    return tuple(each.astype(np.float32).astype(np.float64) for each in parts)  # type: ignore[return-value]


def of_strata(edges: Floats, near: Floats, rest: Floats, thresholds: Floats | tuple[float, ...] = ()) -> HeldOut:
    strata = {"near": (near, NEAR), "rest": (rest, REST)}
    scores = NonEdgeScores.of_strata(strata, anchors=np.concatenate([edges, thresholds]))
    return HeldOut(edges, scores, np.zeros(len(edges), dtype=np.uint8))


def test_a_list_of_strata_weighs_as_a_list_with_weights() -> None:
    edges, near, rest = planted(np.random.default_rng(2))
    sample = of_strata(edges, near, rest[:1500], (1.0,))
    z = np.concatenate([edges, near, rest[:1500]])
    y = np.arange(len(z)) < len(edges)
    w = np.repeat([1.0, 1.0, REST / 1500], [len(edges), NEAR, 1500])
    equal = pytest.approx
    assert sample.design == "stratified"
    assert metrics.roc_auc(sample) == equal(oracle.roc_auc_score(y, z, sample_weight=w), rel=1e-12)
    assert metrics.average_precision(sample) == equal(oracle.average_precision_score(y, z, sample_weight=w), rel=1e-12)
    assert metrics.log_loss(sample, lambda x: x) == equal(oracle.log_loss(y, expit(z), sample_weight=w), rel=1e-9)
    assert metrics.brier(sample, lambda x: x) == equal(oracle.brier_score_loss(y, expit(z), sample_weight=w), rel=1e-9)
    assert metrics.confusion_at(sample, 1.0).f1 == equal(oracle.f1_score(y, z >= 1.0, sample_weight=w), rel=1e-12)
    assert metrics.confusion_at(sample, 1.0).fp == equal((w * (z >= 1.0))[~y].sum(), rel=1e-12)


def test_strata_survive_saving_and_restating() -> None:
    edges, near, rest = planted(np.random.default_rng(3))
    sample = of_strata(edges, near, rest[:1000], (1.0,))
    file = io.BytesIO()
    np.savez_compressed(file, **sample.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        again = HeldOut.from_arrays(arrays)
    assert again.design == "stratified"
    assert roc_auc_interval(again) == roc_auc_interval(sample)
    assert average_precision_interval(again, kind="F") == average_precision_interval(sample, kind="F")
    restated = sample.at_prevalence(0.01)
    assert restated.prevalence == pytest.approx(0.01)
    assert metrics.roc_auc(restated) == pytest.approx(metrics.roc_auc(sample), rel=1e-12)
    assert sum(part.num_non_edges for part in restated.non_edges.parts) == pytest.approx(restated.num_non_edges)
    assert roc_auc_interval(restated, kind="F") == pytest.approx(roc_auc_interval(sample, kind="F"), rel=1e-9)
    with pytest.raises(ValueError, match="no common weight"):
        _ = sample.non_edges.weight


def test_samples_and_strata_lie_within_three_standard_errors_of_enumeration() -> None:
    rng = np.random.default_rng(4)
    edges, near, rest = planted(rng)
    exact = HeldOut.from_logits(edges, np.concatenate([near, rest]), NEAR + REST, thresholds=(2.5,))
    truths = metrics.roc_auc(exact), metrics.average_precision(exact), metrics.confusion_at(exact, 2.5).precision
    within, blind, runs = 0, 0, 60
    for run in range(runs):
        if run % 2:
            sample = of_strata(edges, near, rng.choice(rest, 6000, replace=False), (2.5,))
        else:
            drawn = rng.choice(np.concatenate([near, rest]), 6000, replace=False)
            sample = HeldOut.from_logits(edges, drawn, NEAR + REST, thresholds=(2.5,))
            unweighted = HeldOut.from_logits(edges, drawn, 6000)
            blind += abs(metrics.average_precision(unweighted) - truths[1]) < 0.1
        intervals = [
            roc_auc_interval(sample, kind="F"),
            average_precision_interval(sample, kind="F"),
            confusion_interval(sample, 2.5, lambda c: c.precision, kind="F"),
        ]
        values = metrics.roc_auc(sample), metrics.average_precision(sample), metrics.confusion_at(sample, 2.5).precision
        within += all(
            value - 3 / 1.96 * (value - low) <= truth <= value + 3 / 1.96 * (high - value)
            for value, truth, (low, high) in zip(values, truths, intervals, strict=True)
        )
    # 3 standard errors of three figures: 0.8 % outside at most, were they normal. P(Binomial(60, 0.992) < 57) = 0.001.
    assert within >= 57
    assert blind == 0  # ignoring weights is far off, so this check can fail


@pytest.mark.parametrize("kind", ["S", "F"])
def test_intervals_of_strata_cover(kind: str) -> None:
    """Precision, AUC and average precision, 200 draws of the edges and of the rest's sample."""
    rng, runs = np.random.default_rng(5), 200
    _, near, rest = planted(rng)
    everything = np.concatenate([near, rest])
    quantiles = planted(rng, 20_000)[0]
    whole = HeldOut.from_logits(quantiles, everything, len(everything), thresholds=(2.5,))
    whole = whole.at_prevalence(TEST_EDGES / (TEST_EDGES + len(everything)))

    def values(sample: HeldOut) -> list[float]:
        precision = metrics.confusion_at(sample, 2.5).precision or 0.0
        return [metrics.roc_auc(sample), metrics.average_precision(sample), precision]

    covered = np.zeros(3)
    for _ in range(runs):
        edges = planted(rng)[0]
        exact = HeldOut.from_logits(edges, everything, len(everything), thresholds=(2.5,))
        truth = values(whole if kind == "S" else exact)
        sample = of_strata(edges, near, rng.choice(rest, 3000, replace=False), (2.5,))
        intervals = [
            roc_auc_interval(sample, kind=kind),  # type: ignore[arg-type]
            average_precision_interval(sample, kind=kind),  # type: ignore[arg-type]
            confusion_interval(sample, 2.5, lambda c: c.precision, kind=kind),  # type: ignore[arg-type]
        ]
        covered += [low <= t <= high for t, (low, high) in zip(truth, intervals, strict=True)]
    # Exact one-sided test at 0.05 over three figures and two kinds.
    assert (binom.cdf(covered, runs, 0.95) > 0.05 / 6).all(), covered


def test_counts_of_strata_allow_for_one_unseen() -> None:
    sample = of_strata(np.array([9.0]), np.arange(NEAR) / NEAR, np.zeros(600), (8.0,))  # weight 100, none above 8
    (low,), (high,) = non_edges_interval(sample.non_edges, sample.non_edges.counts_at_least(8.0)[:, None])
    assert low == 0.0
    assert 300 < high < 370  # -log(0.025) = 3.7 of weight 100, a little less for the share that was looked at


def test_where_all_that_were_scored_pass_no_number_overflows() -> None:
    """Nothing varies then, in however many billions."""
    strata = {"near": (np.zeros(100), 10**9), "rest": (np.zeros(200), 6 * 10**9)}
    scores = NonEdgeScores.of_strata(strata, anchors=np.array([-1.0]))
    (low,), (high,) = non_edges_interval(scores, scores.counts_at_least(-1.0)[:, None])
    assert low == high == 7e9


def test_non_edges_needed_is_the_table() -> None:
    """(z / h)^2 p^3 (1 - p), over the edges found: 96 for h = 0.05 and p = 0.5, 29 for p = 0.3."""
    for precision, expected in ((0.5, 96.0), (0.3, 29.0), (0.9, 112.0)):
        needed = non_edges_needed(precision, num_found=10_000, num_non_edges=10**9)
        share = expected / 10_000
        assert needed == pytest.approx(10**9 * share / (1 + share), rel=0.01)
    assert non_edges_needed(0.5, num_found=100, num_non_edges=10**6) == 10**6


def measured(test: HeldOut, rule: str = "f1") -> dict[str, object]:
    """evaluation.json of a held-out sample that stands for a graph of 400 nodes."""
    space = PairSpace(400)
    edges = space.pair_of_rank(np.arange(test.num_edges + 30))
    split = Split(edges[:10], edges[10:20], edges[20:30], edges[30:], space)
    calibrator = fit_calibrator([test], prevalence=test.prevalence, odds_trained_at=1.0)
    decision = decide(parse_rule(rule), [test], calibrator, num_test_edges=test.num_edges)
    return evaluate(
        test,
        calibrator,
        [decision],
        reciprocal_ranks=None,
        split=split,
        model={"name": "planted"},
        baselines={},
        rng=np.random.default_rng(0),
    ).to_json()


def test_as_many_sampled_non_edges_as_edges_are_refused() -> None:
    """One to one: every sampled non-edge stands for 200, and the average precision it gives is far too high."""
    edges, near, rest = planted(np.random.default_rng(6))
    everything = np.concatenate([near, rest])
    drawn = np.random.default_rng(7).choice(everything, len(edges), replace=False)
    exact = HeldOut.from_logits(edges, everything, len(everything))
    poor = measured(HeldOut.from_logits(edges, drawn, len(everything), thresholds=np.unique(drawn)))
    said = poor["metrics"]["average_precision"]  # type: ignore[index]
    assert "too coarse" in said["reason"]
    assert said["low"] < metrics.average_precision(exact)
    (finding,) = [each for each in poor["findings"] if each["id"] == "D24"]  # type: ignore[attr-defined]
    assert finding["severity"] == "error"
    assert "--max-pairs" in finding["remedy"] or "--design enumerated" in finding["remedy"]


def test_strata_that_look_at_the_top_are_not_refused() -> None:
    edges, near, rest = planted(np.random.default_rng(8))
    top, others = rest[rest > 1.5], rest[rest <= 1.5]
    strata = {"near": (near, NEAR), "top": (top, len(top)), "rest": (others[:300], len(others))}
    thresholds = np.concatenate([edges, near, top])
    test = HeldOut(edges, NonEdgeScores.of_strata(strata, anchors=thresholds), np.zeros(len(edges), dtype=np.uint8))
    said = measured(test)
    assert said["candidates"]["design"] == "stratified"  # type: ignore[index]
    assert [each["name"] for each in said["candidates"]["strata"]] == ["near", "top", "rest"]  # type: ignore[index]
    assert said["fixed_graph"]["average_precision"]["kind"] == "F"  # type: ignore[index]


def test_strata_calibrate_as_enumeration_does() -> None:
    rng = np.random.default_rng(9)
    edges, near, rest = planted(rng, 600)
    exact = HeldOut.from_logits(edges, np.concatenate([near, rest]), NEAR + REST)
    truth = fit_calibrator([exact], prevalence=0.01, odds_trained_at=1.0)
    inside = 0
    for _ in range(40):
        sample = of_strata(edges, near, rng.choice(rest, 2000, replace=False))
        fitted = fit_calibrator([sample], prevalence=0.01, odds_trained_at=1.0)
        assert fitted.slope_interval is not None
        assert truth.slope_interval is not None
        width, before = np.ptp(fitted.slope_interval), np.ptp(truth.slope_interval)
        assert width > before  # the draw adds to the error of the edges
        error = np.sqrt(width**2 - before**2) / 2 / 1.96
        inside += abs(fitted.slope - truth.slope) < 1.96 * error
    assert inside >= 33  # 38 expected, binomial deviation 1.4; first-order errors, so three deviations and a little


def test_a_promised_precision_holds_on_strata() -> None:
    """The bound on non-edges holds at every threshold at once, so the promise breaks in at most a tenth of the draws."""
    rng, runs, wanted = np.random.default_rng(10), 100, 0.5
    _, near, rest = planted(rng)
    everything = np.sort(np.concatenate([near, rest]))
    calibrator, broken, kept = Calibrator(1.0, -5.0, "platt", 0.005, 600, NEAR + REST), 0, 0
    for _ in range(runs):
        edges = planted(rng, 600)[0]
        sample = of_strata(edges, near, rng.choice(rest, 20_000, replace=False))
        decision = decide(parse_rule(f"precision>={wanted}"), [sample], calibrator, num_test_edges=600)
        if decision.threshold_logit is None:
            continue
        kept += 1
        tp = 600 * 0.5 * float(np.mean(np.sort(planted(rng, 50_000)[0]) >= decision.threshold_logit)) * 2
        fp = len(everything) - np.searchsorted(everything, decision.threshold_logit)
        broken += tp / (tp + fp) < wanted
    assert kept > runs / 2
    assert broken <= runs * 0.1 + 2 * np.sqrt(runs * 0.1 * 0.9)


def test_an_audit_of_strata_is_left_blank_and_bounds_are_wider() -> None:
    edges, near, rest = planted(np.random.default_rng(11))
    sample = of_strata(edges, near, rest[:1000])
    assert all(entry["num_selected"] is None for entry in audit_entries(sample, np.random.default_rng(0)))
    exact = HeldOut.from_logits(edges, np.concatenate([near, rest]), NEAR + REST)
    assert fit_link_rate([sample]).most_missing > 0.5 * fit_link_rate([exact]).most_missing


@pytest.mark.parametrize("design", ["auto", "stratified"])
def test_a_run_from_strata_agrees_with_enumeration(communities: Graph, design: str) -> None:
    quick = {"model": "l3", "folds": 1, "degree_calibration": "yes"}
    pairs = communities.space.num_pairs
    exact = fit_graph(communities, FitConfig(**quick))
    run = fit_graph(communities, FitConfig(**quick, design=design, max_pairs=pairs - 1))
    assert run.evaluation.candidates["design"] == "stratified"
    names = [each["name"] for each in run.evaluation.candidates["strata"]]
    assert names[0] == "top of the list"
    assert run.test.num_non_edges == exact.test.num_non_edges
    low, high = roc_auc_interval(run.test, kind="F")
    value, truth = (
        metrics.roc_auc(run.test),
        metrics.roc_auc(HeldOut.from_scorer(run.scorer, run.split.test, NonEdges(run.split.recorded()))),
    )
    assert value - 2 * (value - low) <= truth <= value + 2 * (high - value)  # about four standard errors


def test_hits_of_a_few_sampled_non_edges_are_refused() -> None:
    """Every fifth non-edge is scored: the 20 best are four of them, the 50 best ten, and ten are enough."""
    edges, near, rest = planted(np.random.default_rng(12))
    everything = np.concatenate([near, rest])
    drawn = np.random.default_rng(13).choice(everything, len(everything) // 5, replace=False)
    test = HeldOut.from_logits(edges, drawn, len(everything), thresholds=np.unique(drawn))
    said = measured(test)["metrics"]
    assert said["hits_at_20"]["value"] is None  # type: ignore[index]
    assert "the 20 best non-edges are 4 of the sampled ones" in said["hits_at_20"]["reason"]  # type: ignore[index]
    fiftieth = np.sort(drawn)[-10]
    assert said["hits_at_50"]["value"] == np.mean(edges > fiftieth)  # type: ignore[index]
