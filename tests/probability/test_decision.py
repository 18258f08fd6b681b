"""Decisions against slow scans of all thresholds, hand calculations, and simulations of what is promised."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, betabinom, binom, norm

from linkodds.errors import BrokenRun, OptionError
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.non_edge_scores import NonEdgeScores
from linkodds.probability.calibration import Calibrator, fit_calibrator
from linkodds.probability.decision import DELTA, STANDARD_RULES, Decision, decide, parse_rule
from linkodds.probability.precision_tests import SECOND_SHARE, last_kept, precision_grid

Logits = NDArray[np.float64]
UNIT = Calibrator(1.0, 0.0, "platt", 0.5, 100, 100)


def normal_sample(num_edges: int = 150, num_non_edges: int = 8_000, *, shift: float = 2.0, seed: int = 0) -> HeldOut:
    rng = np.random.default_rng(seed)
    return HeldOut.from_logits(rng.normal(shift, 1, num_edges), rng.normal(0, 1, num_non_edges), num_non_edges)


def quality(name: str, tp: float, fp: float, edges: float, non_edges: float) -> float:
    """The textbook formulas on four counts."""
    fn, tn = edges - tp, non_edges - fp
    if name == "balanced_accuracy":
        return (tp / edges + tn / non_edges) / 2
    if name == "f1":
        return 2 * tp / (2 * tp + fp + fn)
    if name == "f2":
        return 5 * tp / (5 * tp + fp + 4 * fn)
    return (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))


@pytest.mark.parametrize("name", ["balanced_accuracy", "f1", "f2", "mcc"])
@pytest.mark.parametrize("num_test_edges", [20, 300])
def test_maximisers_beat_every_threshold_at_the_test_prevalence(name: str, num_test_edges: int) -> None:
    rng = np.random.default_rng(1)
    edges, non_edges = rng.normal(1.5, 1, 60).round(1), rng.normal(0, 1, 900).round(1)  # many ties
    decision = decide(
        parse_rule(name), [HeldOut.from_logits(edges, non_edges, 900)], UNIT, num_test_edges=num_test_edges
    )
    edges, non_edges = edges.astype(np.float32), non_edges.astype(np.float32)

    def at(threshold: float) -> float:
        tp, fp = np.mean(edges >= threshold) * num_test_edges, np.sum(non_edges >= threshold)
        return quality(name, float(tp), float(fp), num_test_edges, 900)

    assert decision.threshold_logit is not None
    every = np.unique(np.r_[edges, non_edges])[1:]  # MCC is 0/0 where all pass
    assert at(decision.threshold_logit) == pytest.approx(max(at(t) for t in every), rel=1e-12)
    assert np.abs(edges - decision.threshold_logit).min() < 1e-6  # the best threshold sits on an edge
    passing = np.sum(non_edges >= decision.threshold_logit)
    tp = np.mean(edges >= decision.threshold_logit) * num_test_edges
    assert decision.expected_precision == pytest.approx(tp / (tp + passing))
    assert decision.expected_recall == pytest.approx(tp / num_test_edges)
    assert decision.num_edges == 60


def test_test_prevalence_matters_to_f1_and_not_to_balanced_accuracy() -> None:
    sample = normal_sample()
    rare, common = (
        [
            decide(parse_rule(rule), [sample], UNIT, num_test_edges=n).threshold_logit
            for rule in ("f1", "balanced_accuracy")
        ]
        for n in (15, 3_000)
    )
    assert rare[0] is not None
    assert common[0] is not None
    assert rare[0] > common[0] + 0.5
    assert rare[1] == common[1]


def test_half_and_cost_are_the_calibrator_turned_round() -> None:
    sample = normal_sample()
    calibrator = fit_calibrator([sample], prevalence=sample.prevalence, odds_trained_at=1.0)
    half = decide(parse_rule("half"), [sample], calibrator, num_test_edges=150)
    dear = decide(parse_rule("cost:20:1"), [sample], calibrator, num_test_edges=150)
    assert half.threshold_probability == 0.5
    assert half.threshold_logit == pytest.approx(-calibrator.intercept / calibrator.slope, rel=1e-6)
    assert dear.threshold_probability == pytest.approx(20 / 21)
    assert float(calibrator.probability(dear.threshold_logit)) == pytest.approx(20 / 21, rel=1e-5)
    # Half is cost 1:1.
    assert (
        decide(parse_rule("cost:3:3"), [sample], calibrator, num_test_edges=150).threshold_logit == half.threshold_logit
    )


def test_cost_rule_is_cheapest_where_probabilities_hold() -> None:
    """Edges N(2, 1), non-edges N(0, 1), prevalence 1 %: the true map is 2 z - 2 + logit 0.01."""
    calibrator = Calibrator(2.0, -2.0 + np.log(0.01 / 0.99), "platt", 0.01, 100, 9_900)
    decision = decide(parse_rule("cost:1:8"), [normal_sample()], calibrator, num_test_edges=80)
    t = np.linspace(-2, 6, 80_001)
    cost = 1 * 0.99 * norm.sf(t) + 8 * 0.01 * norm.cdf(t - 2)
    assert decision.threshold_logit == pytest.approx(t[np.argmin(cost)], abs=2e-4)


@pytest.mark.parametrize("budget", [1, 50, 400, 10**9])
def test_budget_lets_about_as_many_pass(budget: int) -> None:
    rng = np.random.default_rng(0)
    edges, non_edges = rng.normal(2, 1, 150), rng.normal(0, 1, 8_000)
    sample = HeldOut.from_logits(edges, non_edges, 8_000)
    decision = decide(parse_rule(f"budget:{budget}"), [sample], UNIT, num_test_edges=150)
    passing = int(decision.passes(np.r_[edges, non_edges].astype(np.float32)).sum())
    assert min(budget, 8_150) - 2 <= passing <= budget


def test_budget_says_when_ties_exceed_it() -> None:
    tied = HeldOut.from_logits(np.ones(60), np.repeat([0.0, 1.0], [900, 40]), 940)
    decision = decide(parse_rule("budget:10"), [tied], UNIT, num_test_edges=60)
    assert "about 100 candidates share the highest logits" in str(decision.caution)


@pytest.mark.parametrize(("n", "wanted", "k"), [(500, 0.8, 89), (100, 0.5, 44), (11, 0.8, 1)])
def test_recall_takes_the_order_statistic(n: int, wanted: float, k: int) -> None:
    """k = 89 for n = 500 and r = 0.8, where the naive rule takes 100; the Beta form of the same condition agrees."""
    candidates = np.arange(1, n + 1)
    assert np.flatnonzero(beta.cdf(wanted, n - candidates + 1, candidates) <= DELTA)[-1] + 1 == k
    sample = normal_sample(num_edges=n)
    decision = decide(parse_rule(f"recall>={wanted}"), [sample], UNIT, num_test_edges=100)
    assert decision.threshold_logit == pytest.approx(np.sort(sample.edge_logits)[k - 1], rel=1e-6)
    assert decision.expected_recall == pytest.approx((n - k + 1) / n)
    assert decision.promise is not None
    for words in (
        f"90% confidence over the draw of the {n} calibration edges",
        f"at least {wanted:.1%}",
        "100 test edges",
    ):
        assert words in decision.promise
    assert "does not cover unrecorded edges" in decision.promise


def test_recall_says_how_many_edges_it_takes() -> None:
    decision = decide(parse_rule("recall>=0.8"), [normal_sample(num_edges=10)], UNIT, num_test_edges=100)
    assert decision.threshold_logit is None
    assert decision.promise is None
    assert decision.reason is not None
    assert "10 calibration edges are too few" in decision.reason
    assert "takes 11." in decision.reason  # 0.8**11 = 0.086, 0.8**10 = 0.107
    assert "recall 0.79 or less" in decision.reason  # 0.1**(1/10) = 0.794
    assert not decision.passes([1e9]).any()


def at_most(broken: NDArray[np.bool_], share: float) -> bool:
    return bool(broken.mean() <= share + 2 * np.sqrt(share * (1 - share) / len(broken)))


def test_recall_promise_is_kept_and_the_naive_rule_breaks_it() -> None:
    """Acceptance T5: 500 draws of 120 calibration edges; population recall is known from the normal law."""
    rng = np.random.default_rng(5)
    non_edges = rng.normal(0, 1, 200)
    kept, on_test, naive = [], [], []
    for _ in range(500):
        edges = rng.normal(2, 1, 120)
        sample = HeldOut.from_logits(edges, non_edges, 200)
        decision = decide(parse_rule("recall>=0.8"), [sample], UNIT, num_test_edges=60)
        assert decision.threshold_logit is not None
        assert decision.promise is not None
        kept.append(norm.sf(decision.threshold_logit - 2) < 0.8)
        promised = float(decision.promise.split("60 test edges, at least ")[1].split("%")[0]) / 100
        on_test.append(np.mean(rng.normal(2, 1, 60) >= decision.threshold_logit) < promised)
        naive.append(norm.sf(np.quantile(edges, 0.2) - 2) < 0.8)
    assert at_most(np.array(kept), DELTA)
    assert at_most(np.array(on_test), DELTA)
    assert np.mean(kept) > 0.03  # the order statistic is tight: k + 1 would break it
    assert np.mean(naive) > 0.35


def naive_precision_threshold(edges: Logits, non_edges: Logits, weight: float, num_test: int, wanted: float) -> float:
    """The lowest threshold whose counted precision is enough."""
    thresholds = np.sort(edges)
    tp = (len(edges) - np.arange(len(edges))) / len(edges) * num_test
    fp = (len(non_edges) - np.searchsorted(np.sort(non_edges), thresholds)) * weight
    return float(thresholds[np.argmax(tp / (tp + fp) >= wanted)])


@pytest.mark.parametrize("num_scored", [100_000, 20_000])
def test_precision_promise_is_kept_and_the_naive_rule_breaks_it(num_scored: int) -> None:
    """Acceptance T5: 300 draws of 300 calibration edges, and of the sample where there is one; truth in 100,000."""
    rng = np.random.default_rng(6)
    population = rng.normal(0, 1, 100_000).astype(np.float32).astype(np.float64)
    ordered = np.sort(population)
    num_test, wanted = 400, 0.5

    def precision(threshold: float) -> float:
        tp = num_test * norm.sf(threshold - 3.0)
        return float(tp / (tp + len(ordered) - np.searchsorted(ordered, threshold)))

    broken, naive, recalls = [], [], []
    for _ in range(300):
        edges = rng.normal(3.0, 1, 300)
        scored = population if num_scored == len(population) else rng.choice(population, num_scored, replace=False)
        sample = HeldOut.from_logits(edges, scored, len(population))
        decision = decide(parse_rule(f"precision>={wanted}"), [sample], UNIT, num_test_edges=num_test)
        broken.append(decision.threshold_logit is not None and precision(decision.threshold_logit) < wanted)
        recalls.append(decision.expected_recall or 0.0)
        weight = len(population) / num_scored
        naive.append(precision(naive_precision_threshold(edges, scored, weight, num_test, wanted)) < wanted)
    assert at_most(np.array(broken), DELTA)
    assert np.mean(naive) > 0.25
    possible = norm.sf(
        ordered[np.argmax([precision(t) >= wanted for t in ordered[-2000:]]) + len(ordered) - 2000] - 3.0
    )
    # A promise that is kept by promising nothing would be no use: most of the reachable recall is had.
    assert np.mean(recalls) > (0.75 if num_scored == len(population) else 0.5) * possible


def test_precision_text_names_sample_confidence_and_limits() -> None:
    sample = normal_sample(num_edges=300, num_non_edges=20_000, shift=4.0)
    decision = decide(parse_rule("precision>=0.5"), [sample], UNIT, num_test_edges=200)
    assert decision.promise is not None
    for words in ("90% confidence", "300 calibration edges", "all non-edges are counted", "50.0%", "200 test edges",
                  "against the record", "does not cover", "new links"):  # fmt: skip
        assert words in decision.promise
    assert decision.expected_precision is not None
    assert decision.expected_precision > 0.5
    bigger = HeldOut.from_logits(sample.edge_logits, np.random.default_rng(0).normal(size=20_000), 40_000)
    sampled = decide(parse_rule("precision>=0.5"), [bigger], UNIT, num_test_edges=200)
    assert "of 20,000 sampled non-edges" in str(sampled.promise)


def test_precision_out_of_reach_says_by_how_much() -> None:
    decision = decide(parse_rule("precision>=0.9"), [normal_sample(shift=0.5)], UNIT, num_test_edges=150)
    assert decision.threshold_logit is None
    assert decision.threshold_probability is None
    assert decision.reason is not None
    assert "no threshold is sure to have precision 0.9" in decision.reason
    assert "of 150 calibration edges pass" in decision.reason
    assert "--split" in decision.reason
    assert "150 test edges afford 16.7 non-edges" in decision.reason
    sampled = HeldOut.from_logits(normal_sample(shift=0.5).edge_logits, np.linspace(-3, 3, 8_000), 80_000)
    decision = decide(parse_rule("precision>=0.9"), [sampled], UNIT, num_test_edges=150)
    assert "score all non-edges and not a share of 0.1 (--max-pairs)" in str(decision.reason)
    sample = HeldOut.from_logits(np.full(3, 6.0), np.r_[np.full(5, 5.0), np.linspace(-3, 0, 895)], 900)
    few = decide(parse_rule("precision>=0.5"), [sample], UNIT, num_test_edges=9)
    assert "3 of 3 calibration edges pass" in str(few.reason)
    assert "not even all of them would be enough" in str(few.reason)  # 0.1 ** (1 / 3) = 0.46 is below 5 / 9
    # No edge above the best non-edge; 26 of 40 above the eighth are enough at 0.1, and not at the 0.02 that is left.
    logits = np.r_[5.0, np.full(7, 3.0), np.linspace(-3, 0, 892)]
    odd = HeldOut.from_logits(np.r_[np.full(26, 4.0), np.full(14, -1.0)], logits, 900)
    reason = str(decide(parse_rule("precision>=0.8"), [odd], UNIT, num_test_edges=60).reason)
    assert "with 8 non-edges, 26 of 40 calibration edges pass" in reason
    assert "this threshold alone would pass, but a stricter one failed first" in reason


def test_precision_of_a_separating_model_with_few_test_edges() -> None:
    """8 test edges afford 0.9 non-edges at precision 0.9: only a threshold above all of them will do."""
    sample = HeldOut.from_logits(np.linspace(3, 4, 30), np.linspace(-3, 0, 5_000), 5_000)
    decision = decide(parse_rule("precision>=0.9"), [sample], UNIT, num_test_edges=8)
    assert decision.threshold_logit is not None
    assert 0 < decision.threshold_logit < 3
    assert decision.expected_precision == 1.0


def test_precision_of_tied_counts() -> None:
    """Counts of paths: the top value is shared by more non-edges than are affordable, so nothing can be promised."""
    sample = HeldOut.from_logits(np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0], [900, 100]), 1_000)
    decision = decide(parse_rule("precision>=0.8"), [sample], UNIT, num_test_edges=100)
    assert decision.threshold_logit is None
    assert "with 0 non-edges, 0 of 100 calibration edges pass" in str(decision.reason)


def test_precision_of_small_samples_gets_a_second_start() -> None:
    """10 missing links score like edges: the strict start fails, a looser threshold is fine, and the promise is kept."""
    rng = np.random.default_rng(8)
    non_edges = np.r_[rng.normal(0, 1, 2_390), rng.normal(3, 1, 10)].astype(np.float32).astype(np.float64)
    broken, given, naive = [], [], []
    for _ in range(300):
        edges = rng.normal(3, 1, 40)
        decision = decide(
            parse_rule("precision>=0.8"), [HeldOut.from_logits(edges, non_edges, 2_400)], UNIT, num_test_edges=80
        )
        threshold = decision.threshold_logit
        given.append(threshold is not None)

        def is_broken(threshold: float) -> bool:
            tp = 80 * norm.sf(threshold - 3)
            return bool(tp < 0.8 * (tp + np.sum(non_edges >= threshold)))

        broken.append(threshold is not None and is_broken(threshold))
        naive.append(is_broken(naive_precision_threshold(edges, non_edges, 1.0, 80, 0.8)))
    assert at_most(np.array(broken), DELTA)
    assert not at_most(np.array(naive), DELTA)
    assert np.mean(given) > 0.3


def test_balanced_accuracy_floods_and_says_so() -> None:
    sample = normal_sample(num_edges=100, num_non_edges=100_000)
    decision = decide(parse_rule("balanced_accuracy"), [sample], UNIT, num_test_edges=100)
    assert decision.expected_precision is not None
    assert decision.expected_precision < 0.01
    assert decision.caution is not None
    assert f"{decision.expected_precision:.2%} are expected to be edges" in decision.caution
    assert "of 100,100 candidates" in decision.caution
    assert decide(parse_rule("f1"), [sample], UNIT, num_test_edges=100_000).caution is None


def test_half_that_says_no_to_everything_says_so() -> None:
    calibrator = Calibrator(1e-20, -9.0, "platt", 1e-4, 100, 10**6)  # its 0.5 lies beyond every float32 logit
    decision = decide(parse_rule("half"), [normal_sample()], calibrator, num_test_edges=100)
    assert decision.threshold_logit is not None
    assert np.isfinite(decision.threshold_logit)
    assert (decision.expected_precision, decision.expected_recall) == (None, 0.0)
    assert "highest probability is about 0.000123" in str(decision.caution)


def test_thresholds_part_float32_from_float64_alike() -> None:
    sample = normal_sample()
    for rule in STANDARD_RULES:
        threshold = decide(rule, [sample], UNIT, num_test_edges=150).threshold_logit
        assert threshold is not None or rule.name == "precision"
        if threshold is not None and rule.name != "half":
            passing = sample.edge_logits >= threshold
            nudged = sample.edge_logits * (1 + 1e-9)  # float64 logits that round to the same float32
            assert ((nudged >= threshold) == passing).all()


def test_folds_are_pooled_by_rank() -> None:
    """A second model with logits on another scale adds its edges where they stand among its own non-edges."""
    one, two = normal_sample(num_edges=80, seed=1), normal_sample(num_edges=80, seed=2)
    stretched = HeldOut.from_logits(
        10 * two.edge_logits + 3, 10 * np.random.default_rng(3).normal(size=8_000) + 3, 8_000
    )
    for name in ("f1", "balanced_accuracy", "recall>=0.8", "budget:200"):
        alone = decide(parse_rule(name), [one], UNIT, num_test_edges=160)
        pooled = decide(parse_rule(name), [one, stretched], UNIT, num_test_edges=160)
        assert pooled.num_edges == 160
        assert pooled.threshold_logit == pytest.approx(alone.threshold_logit, abs=0.6)
        assert ("2 models scored the edges" in str(pooled.promise)) == (pooled.promise is not None)
    same = decide(parse_rule("f1"), [one, one], UNIT, num_test_edges=160)
    assert same.threshold_logit == decide(parse_rule("f1"), [one], UNIT, num_test_edges=160).threshold_logit


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("precision>=1.5", "precision>=1.5: a precision that can be promised lies strictly between 0 and 1"),
        ("recall>=1", "recall>=1: a recall that can be promised"),
        ("recall>=0", "recall>=0: its values have to be above 0"),
        ("precision>=half", "precision>=half: half should be a number"),
        ("precision>=nan", "precision>=nan: its values have to be above 0"),
        ("cost:20", "cost:20: no such decision rule"),
        ("cost:20:-1", "cost:20:-1: its values have to be above 0"),
        ("budget:0", "budget:0: its values have to be above 0"),
        ("budget:2.5", "budget:2.5: a budget is a whole number"),
        ("f0", "f0: its values have to be above 0"),
        ("f-1", "f-1: no such decision rule"),
        ("f1.2.3", "f1.2.3: 1.2.3 should be a number"),
        ("accuracy", "accuracy: no such decision rule"),
        ("", ": no such decision rule"),
    ],
)
def test_rules_that_do_not_exist_are_refused_with_those_that_do(text: str, problem: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_rule(text)
    message = str(caught.value)
    assert message.startswith(problem)
    for form in ("half, balanced_accuracy, f1, mcc", "precision>=P", "recall>=R", "cost:FP:FN", "budget:K"):
        assert form in message


@pytest.mark.parametrize(
    "text", ["half", "balanced_accuracy", "f1", "mcc", "precision>=0.5", "recall>=0.8", "cost:20:1", "budget:100",
             "f2", "f0.5"]
)  # fmt: skip
def test_rules_read_back_as_written(text: str) -> None:
    assert str(parse_rule(text)) == text
    assert parse_rule(f" {text} ") == parse_rule(text)
    assert parse_rule("f1.0") == parse_rule("f1")


def test_json_round_trip() -> None:
    for rule in STANDARD_RULES:
        decision = decide(rule, [normal_sample(num_edges=20)], UNIT, num_test_edges=20)
        assert Decision.from_json(json.loads(json.dumps(decision.to_json(), allow_nan=False))) == decision
    with pytest.raises(BrokenRun, match="'threshold_logit'"):
        Decision.from_json({"rule": "f1"})


@pytest.mark.parametrize("tied", [False, True])
def test_no_more_non_edges_pass_than_the_sample_bounds(tied: bool) -> None:
    """At all planned thresholds together, in at least 1 - delta of the samples: 300 of them, one-sided 99.9 %."""
    rng = np.random.default_rng(0)
    population = rng.exponential(size=50_000)
    if tied:
        population = np.floor(4 * population)
    broken = 0
    for _ in range(300):
        drawn = rng.choice(population, 5_000, replace=False)
        scores = NonEdgeScores.of(drawn, anchors=np.zeros(1), num_non_edges=50_000)
        thresholds, counts, most = precision_grid(scores, 800.0, 0.05)
        assert (most > counts).all()
        broken += bool(((population >= thresholds[:, None]).sum(axis=1) > most).any())
    assert broken <= binom.ppf(0.999, 300, 0.05)


def test_delta_is_lost_at_the_first_failure_and_a_share_of_it_starts_anew() -> None:
    """26 of 40 edges pass the second threshold: enough at all of delta, and at what a second start has, or not enough."""
    passing = np.array([0.0, 26.0])
    at_all, at_the_share = (beta.ppf(level, 26, 40 - 26 + 1) for level in (DELTA, DELTA * SECOND_SHARE))

    def kept(needed: float, *, strict_passes: bool, starts_anew: bool) -> int | None:
        first = np.array([40.0, 26.0]) if strict_passes else passing
        return last_kept(first, 40, np.array([0.5, needed]), np.array([False, starts_anew]), DELTA)

    assert kept(at_all - 1e-9, strict_passes=True, starts_anew=False) == 1
    assert kept(at_all + 1e-9, strict_passes=True, starts_anew=False) == 0
    assert kept(0.01, strict_passes=False, starts_anew=False) is None
    assert kept(at_the_share - 1e-9, strict_passes=False, starts_anew=True) == 1
    assert kept(at_the_share + 1e-9, strict_passes=False, starts_anew=True) is None


def test_the_recall_and_a_sample_of_non_edges_share_delta() -> None:
    """1,000 of 10,000 non-edges, all with one logit below all n edges: the only threshold lies between.

    100 test edges afford ten sampled non-edges. Nine counts from 1 to 9 are planned; of the first, one, at most the
    1 - d / 9 quantile of Beta(2, 999) of all pass, and n of n edges say that recall is at least d ** (1 / n). Both at
    d = delta / 2 take more edges than both at delta.
    """

    def enough(level: float) -> int:
        most = 10_000 * beta.ppf(1 - level / 9, 2, 999)
        return int(np.flatnonzero(level ** (1 / np.arange(1.0, 100)) * 100 >= most)[0]) + 1

    needed = enough(DELTA / 2)
    assert needed > enough(DELTA)
    for num_edges, is_given in ((needed - 1, False), (needed, True)):
        sample = HeldOut.from_logits(np.full(num_edges, 3.0), np.zeros(1_000), 10_000)
        decision = decide(parse_rule("precision>=0.5"), [sample], UNIT, num_test_edges=100)
        assert (decision.threshold_logit is not None) == is_given


def test_the_recall_of_the_test_edges_is_that_of_the_order_statistic_of_few_edges() -> None:
    """The lowest of 11 edges: of many test edges a share of Beta(11, 1) passes, more than 0.1 ** (1 / 11) in nine of ten."""
    decision = decide(parse_rule("recall>=0.8"), [normal_sample(num_edges=11)], UNIT, num_test_edges=10_000)
    assert betabinom.ppf(DELTA, 10_000, 11, 1) / 10_000 == pytest.approx(0.1 ** (1 / 11), abs=1e-3)
    assert "of the 10000 test edges, at least 81.1%" in str(decision.promise)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_promise_of_several_models_is_kept_on_either_sample(order: tuple[int, int]) -> None:
    """Of two samples that would each do, whichever comes first, precision takes the higher threshold, recall the lower."""
    apart = [normal_sample(num_edges=300, num_non_edges=20_000, shift=shift, seed=2) for shift in (3.5, 4.5)]
    samples = [apart[i] for i in order]
    of_several = [replace(sample, num_models=5) for sample in samples]
    for rule, strictest in (("precision>=0.5", max), ("recall>=0.8", min)):
        alone = [decide(parse_rule(rule), [sample], UNIT, num_test_edges=200).threshold_logit for sample in samples]
        assert None not in alone
        assert alone[0] != alone[1]
        both = decide(parse_rule(rule), of_several, UNIT, num_test_edges=200)
        assert both.threshold_logit == strictest(alone)  # type: ignore[type-var]
        assert "the stricter of the two thresholds is taken" in str(both.promise)
