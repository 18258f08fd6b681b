"""Rules on labels and scores: what triggers each, and what nearly does; the statistics behind them."""

import re
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from linkodds.doctor import (
    ScoreTable,
    diagnose_table,
)
from linkodds.doctor.score_rules import promise_at_the_top
from linkodds.doctor.weighted import best_balanced_accuracy, best_f1, fit_cox, intercept_shift
from linkodds.errors import MalformedFile, OptionError
from linkodds.findings import Finding

Floats = NDArray[np.float64]
Kind = Literal["logit", "probability"]


def sigmoid(z: Floats) -> Floats:
    return 1 / (1 + np.exp(-z))


def ids(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings]


def only(findings: list[Finding], rule: str) -> Finding:
    (found,) = [finding for finding in findings if finding.id == rule]
    return found


def calibrated(num_rows: int = 20_000, *, mean: float = -3.0, seed: int = 0) -> tuple[NDArray[np.bool_], Floats]:
    """Labels drawn from the logits beside them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(mean, 1.5, size=num_rows)
    return rng.random(num_rows) < sigmoid(logits), logits


def spread(low: float, high: float, num_rows: int = 400) -> Floats:
    return np.linspace(low, high, num_rows)


HALF = np.arange(400) % 2 == 1  # labels without any relation to `spread`


class TestScores:
    def test_a_calibrated_table_is_silent(self) -> None:
        labels, logits = calibrated()
        assert diagnose_table(ScoreTable(labels, logits, "logit")) == []
        assert diagnose_table(ScoreTable(labels, sigmoid(logits), "probability")) == []

    @pytest.mark.parametrize(
        ("kind", "low", "high", "fires"),
        [
            ("probability", 0.5, 0.731, True),
            ("probability", 0.5 - 9e-7, 0.7310586 + 9e-7, True),
            ("probability", 0.499, 0.731, False),
            ("probability", 0.5, 0.7312, False),
            ("probability", 0.6, 0.6, False),  # a constant is another illness
            ("logit", 0.0, 1.0, True),
            ("logit", -0.001, 1.0, False),
            ("logit", 0.0, 1.001, False),
        ],
    )
    def test_d01_double_sigmoid(self, kind: Kind, low: float, high: float, fires: bool) -> None:
        found = diagnose_table(ScoreTable(HALF, spread(low, high), kind))
        assert ("D01" in ids(found)) == fires
        if fires:
            assert ids(found) == ["D01"]  # D03 to D06 are its effects
            assert found[0].severity == "error"

    @pytest.mark.parametrize(
        ("kind", "low", "high", "fires"),
        [
            ("probability", 0.5, 0.7321, True),
            ("probability", 0.5, 0.7319, False),
            ("probability", 0.4999, 0.99, False),
            ("logit", 0.0, 1.01, True),
            ("logit", 0.0, 1.004, False),
            ("logit", -1e-3, 5.0, False),
        ],
    )
    def test_d02_positive_only(self, kind: Kind, low: float, high: float, fires: bool) -> None:
        found = diagnose_table(ScoreTable(HALF, spread(low, high), kind))
        assert ("D02" in ids(found)) == fires
        if fires:
            assert ids(found) == ["D02"]

    @pytest.mark.parametrize(
        ("num_above", "fires"),
        [(9990, "all are"), (9989, ""), (10, "none is"), (11, ""), (0, "none is"), (5000, "")],
    )
    def test_d03_constant_decisions(self, num_above: int, fires: str) -> None:
        """10,000 pairs, one edge in ten: .999 of them above 0.5, or no more than .001."""
        values = np.where(np.arange(10_000) < num_above, 0.6, 0.4)
        values[:5] += 0.2
        labels = np.arange(10_000) % 10 == 3
        found = [f for f in diagnose_table(ScoreTable(labels, values, "probability")) if f.id == "D03"]
        assert len(found) == bool(fires)
        assert not fires or fires in found[0].message

    def test_d03_counts_pairs_by_weight(self) -> None:
        """One of 200 rows is above 0.5; as an edge among 10,000 pairs it is next to nothing."""
        labels = np.arange(200) < 100
        values = np.where(np.arange(200) == 0, 0.9, 0.1)
        assert "D03" not in ids(diagnose_table(ScoreTable(labels, values, "probability")))
        assert "D03" in ids(diagnose_table(ScoreTable(labels, values, "probability", num_non_edges=1_000_000.0)))

    @pytest.mark.parametrize(
        ("recall_at_half", "inverted", "fires"), [(0.03, False, True), (0.05, False, False), (0.03, True, False)]
    )
    def test_d04_threshold_only(self, recall_at_half: float, inverted: bool, fires: bool) -> None:
        """500 edges above 500 non-edges, all but a few below 0.5: balanced accuracy (1 + recall) / 2."""
        labels = np.arange(1000) < 500
        logits = np.linspace(-1.0, -9.0, 1000)
        logits[: int(500 * recall_at_half)] += 5.0
        table = ScoreTable(~labels if inverted else labels, logits, "logit")
        found = [f for f in diagnose_table(table) if f.id == "D04"]
        assert len(found) == fires
        if fires:
            assert found[0].statistic == pytest.approx((1 + recall_at_half) / 2)
            assert "balanced accuracy is 1.000 at logit -4.99" in found[0].remedy

    @pytest.mark.parametrize(("shift", "fires"), [(np.log(20.0), True), (0.35, True), (0.2, False), (-0.4, True)])
    def test_d05_prior_mismatch(self, shift: float, fires: bool) -> None:
        labels, logits = calibrated()
        found = [f for f in diagnose_table(ScoreTable(labels, logits + shift, "logit")) if f.id == "D05"]
        assert len(found) == fires
        if fires:
            undone = float(found[0].remedy.split()[1])
            assert undone == pytest.approx(-shift, abs=0.1)  # 1,700 edges: standard error about 0.03

    def test_d05_is_silent_within_the_noise_of_few_edges(self) -> None:
        """Observed / expected 0.5 on 8 edges: (16 - 8) / sqrt(8) is below 3."""
        labels = np.arange(400) < 8
        slightly = spread(0.99, 1.01)  # scores that are all alike are no scores
        assert "D05" not in ids(diagnose_table(ScoreTable(labels, slightly * 16 / 400, "probability")))
        assert "D05" in ids(diagnose_table(ScoreTable(labels, slightly * 18 / 400, "probability")))

    def test_d05_names_the_weight_in_training_when_it_explains_the_shift(self) -> None:
        labels, logits = calibrated()
        odds = labels.sum() / (~labels).sum()
        weighted = ScoreTable(labels, logits + np.log(20.0), "logit", odds_trained_at=20.0 * odds)
        assert "the weight or the sampling in training" in only(diagnose_table(weighted), "D05").message
        unexplained = ScoreTable(labels, logits + np.log(20.0), "logit", odds_trained_at=10.0 * odds)
        assert "in training" not in only(diagnose_table(unexplained), "D05").message

    def test_d05_judges_a_sample_at_its_base_rate(self) -> None:
        """Non-edges sampled 1 in 6: with their number known the probabilities are right, without it they seem off."""
        labels, logits = calibrated()
        kept = labels | (np.random.default_rng(1).random(len(labels)) < 1 / 6)
        sampled, values = labels[kept], logits[kept]
        assert "D05" in ids(diagnose_table(ScoreTable(sampled, values, "logit")))
        assert diagnose_table(ScoreTable(sampled, values, "logit", weights=np.where(sampled, 1.0, 6.0))) == []
        known = diagnose_table(ScoreTable(sampled, values, "logit", num_non_edges=float((~labels).sum())))
        assert ids(known) == ["D08"]  # the sample itself has no weights

    @pytest.mark.parametrize(
        ("factor", "meaning"),
        [(2.0, "overconfident"), (0.5, "underconfident"), (1.15, ""), (0.87, ""), (-1.0, "inverted")],
    )
    def test_d06_slope(self, factor: float, meaning: str) -> None:
        """A logit stretched by a factor has the slope 1 / factor; 20,000 pairs give it within 0.03 or so."""
        labels, logits = calibrated(mean=-1.0)
        found = [f for f in diagnose_table(ScoreTable(labels, factor * logits, "logit")) if f.id == "D06"]
        assert len(found) == bool(meaning)
        if meaning:
            assert meaning in found[0].message
            assert found[0].statistic == pytest.approx(1 / factor, rel=0.05)
            assert found[0].severity == ("error" if factor < 0 else "warning")

    def test_d06_is_silent_where_the_interval_is_wide(self) -> None:
        labels, logits = calibrated(200, mean=-2.0, seed=3)
        assert "D06" not in ids(diagnose_table(ScoreTable(labels, 1.4 * logits, "logit")))

    @pytest.mark.parametrize(
        ("precision", "ratio", "restated"),
        [(0.95, 80, 0.19), (0.95, 1000, 0.0187), (0.99, 80, 0.55), (0.99, 1e4, 0.0098), (0.999, 1e6, 0.001)],
    )
    def test_d08_restates_precision_at_the_base_rate(self, precision: float, ratio: float, restated: float) -> None:
        """The table of precisions on a balanced set and at the base rate."""
        num_false = round(10_000 * (1 - precision))
        labels = np.arange(20_000) < 10_000
        logits = np.where(labels, 2.0, -6.0)
        logits[:num_false] = -6.0  # precision tp / (tp + fp) with tp + fp = 10,000
        logits[10_000 : 10_000 + num_false] = 2.0
        found = only(diagnose_table(ScoreTable(labels, logits, "logit", num_non_edges=10_000 * ratio)), "D08")
        assert f"a precision of {precision:.3f} here" in found.message
        said = float(found.message.split(" at the base rate")[0].split()[-1])
        assert said == pytest.approx(restated, rel=0.06)

    def test_d08_counts_no_false_positive_as_up_to_three(self) -> None:
        """None of 1,000 non-edges leaves a rate of up to 3 / 1,000: at 80 : 1, 1,000 true ones and 240 false."""
        labels = np.arange(2_000) < 1_000
        logits = np.where(labels, 2.0, -6.0) + 0.1 * np.arange(2_000) / 2_000
        found = only(diagnose_table(ScoreTable(labels, logits, "logit", num_non_edges=80_000)), "D08")
        said = float(found.message.split("as little as ")[1].split()[0])
        assert said == pytest.approx(1_000 / 1_240, rel=1e-3)

    @pytest.mark.parametrize(("ratio", "fires"), [(4.9, False), (5.1, True)])
    def test_d08_near_miss(self, ratio: float, fires: bool) -> None:
        labels, logits = calibrated(1000, mean=0.0)
        prevalence = 1 / (1 + ratio * (~labels).sum() / labels.sum())
        assert ("D08" in ids(diagnose_table(ScoreTable(labels, logits, "logit", prevalence=prevalence)))) == fires
        weights = np.where(labels, 1.0, ratio)
        assert "D08" not in ids(diagnose_table(ScoreTable(labels, logits, "logit", weights=weights)))

    def test_d11_is_not_said_of_a_constant_nor_of_two_classes(self) -> None:
        found = diagnose_table(ScoreTable(HALF, np.full(400, 0.73), "probability"))
        assert [(f.id, f.severity) for f in found] == [("D34", "error")]
        assert "All 400 pairs have the probability 0.73" in found[0].message
        (two,) = (f for f in diagnose_table(ScoreTable(HALF, np.where(HALF, 0.2, 0.3), "probability")) if f.id == "D11")
        assert "two classes of pairs, not scores" in two.message
        (hard,) = diagnose_table(ScoreTable(HALF, HALF.astype(float), "probability"))
        assert "decisions, not scores" in hard.message

    def test_d12_names_what_made_probabilities_exact(self) -> None:
        """A float32 sigmoid; a few steps, as of isotonic regression; both without an answer that is called impossible."""
        labels = np.arange(2000) < 1000
        rng = np.random.default_rng(0)
        rounded = sigmoid(np.where(labels, rng.normal(14, 4, 2000), rng.normal(-9, 3, 2000)))
        found = only(diagnose_table(ScoreTable(labels, rounded.astype(np.float32).astype(float), "probability")), "D12")
        assert found.severity == "warning"
        assert "in float32 the sigmoid is 1 from a logit of 17 on" in found.message
        steps = np.select([np.arange(2000) < 300, np.arange(2000) < 1500], [1.0, 0.5], 0.0)
        found = only(diagnose_table(ScoreTable(labels, steps, "probability")), "D12")
        assert found.severity == "warning"
        assert "float32" not in found.message
        assert "3 distinct values" in found.message
        assert "300 of 2,000 pairs have probability 1 and 500 of 2,000 pairs have probability 0" in found.message

    def test_d12_is_an_error_where_an_edge_has_probability_0(self) -> None:
        labels, logits = calibrated()
        p = sigmoid(logits)
        lowest = np.argsort(p)[:4000]
        assert "D12" not in ids(diagnose_table(ScoreTable(labels, p, "probability")))
        num_edges = int(labels[lowest].sum())
        assert num_edges > 0
        p[lowest] = 0.0
        found = only(diagnose_table(ScoreTable(labels, p, "probability")), "D12")
        assert found.severity == "error"
        assert f"{num_edges} edge(s) have probability 0, which calls them impossible" in found.message
        assert "float32" not in found.message

    def test_d12_says_steps_of_the_ties_of_a_forest(self) -> None:
        labels, logits = calibrated(2000)
        tied = only(diagnose_table(ScoreTable(labels, np.floor(4 * sigmoid(logits)) / 4 + 0.01, "probability")), "D12")
        assert "of 4 distinct values, as those of trees" in tied.message.replace("one of", "of")
        assert "rounded" not in tied.message

    def test_d33_a_sigmoid_fitted_to_probabilities(self) -> None:
        """Sum and slope are right by construction, and D05 and D06 silent; the log odds of the same table are fine."""
        rng = np.random.default_rng(0)
        logits = rng.normal(-6.0, 2.0, size=20_000)
        labels, p = rng.random(20_000) < sigmoid(logits), sigmoid(logits + 6)  # p: of a training with balanced classes
        assert "D33" not in ids(diagnose_table(ScoreTable(labels, sigmoid(logits), "probability")))
        model = LogisticRegression(C=1e6).fit(p[:, None], labels)
        fitted = model.predict_proba(p[:, None])[:, 1]
        everything = diagnose_table(ScoreTable(labels, fitted, "probability"))
        assert {"D05", "D06"}.isdisjoint(ids(everything))
        found = only(everything, "D33")
        num_rows, promised, held = (float(x.replace(",", "")) for x in re.findall(r"[\d,.]+\d", found.message)[:3])
        top = np.argsort(-fitted, kind="stable")[: int(num_rows)]
        assert (promised, held) == (pytest.approx(fitted[top].sum(), rel=0.01), labels[top].sum())

    def test_d33_is_silent_on_calibrated_tables_and_samples(self) -> None:
        """300 tables, half of them with one non-edge in five kept: nothing at a chance of 1e-4 a length."""
        fired = 0
        for seed in range(300):
            labels, logits = calibrated(2000, mean=-4.0, seed=seed)
            kept = np.ones(2000, dtype=bool)
            if seed % 2:
                kept = labels | (np.random.default_rng(1000 + seed).random(2000) < 0.2)
            weights = np.where(labels, 1.0, 5.0 if seed % 2 else 1.0)
            table = ScoreTable(labels[kept], logits[kept], "logit", weights=weights[kept])
            fired += promise_at_the_top(table) is not None
        assert fired == 0

    def test_d13_overflow(self) -> None:
        labels, logits = calibrated(400)
        logits[7] = np.nan
        found = diagnose_table(ScoreTable(labels, logits, "logit"))
        assert ids(found) == ["D13"]  # the rest of the table is judged, and fine
        assert "the first in row 8" in found[0].message
        logits[7] = 80.5
        assert "D13" in ids(diagnose_table(ScoreTable(labels, logits, "logit")))
        logits[7] = 79.5
        assert "D13" not in ids(diagnose_table(ScoreTable(labels, logits, "logit")))

    def test_a_table_without_finite_scores_is_one_finding(self) -> None:
        assert ids(diagnose_table(ScoreTable(HALF, np.full(400, np.nan), "logit"))) == ["D13"]

    def test_under_200_rows_say_so(self) -> None:
        found = diagnose_table(ScoreTable(HALF[:199], spread(0.5, 0.73, 199), "probability"))
        assert [(f.id, f.severity, f.statistic) for f in found] == [("doctor", "info", 199.0)]
        assert ids(diagnose_table(ScoreTable(HALF[:200], spread(0.5, 0.73, 200), "probability"))) == ["D01"]

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"labels": np.ones(3, dtype=bool)}, MalformedFile, "all 3 rows are edges"),
            ({"values": np.array([0.1, 3.2, 0.2])}, MalformedFile, "row 2: probability 3.2"),
            ({"values": np.zeros(2)}, MalformedFile, "3 labels, 2 scores"),
            ({"weights": np.array([1.0, 0.0, 1.0])}, MalformedFile, "weights must be positive"),
            ({"prevalence": 1.0}, OptionError, "not 1.0"),
            ({"num_non_edges": 1.0}, OptionError, "are fewer than the 2 non-edges"),
        ],
    )
    def test_refuses_what_is_no_table(self, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
        valid = {"labels": np.array([True, False, False]), "values": np.full(3, 0.5), "kind": "probability"}
        with pytest.raises(error, match=message):
            ScoreTable(**(valid | arguments))


class TestWeightedStatistics:
    @pytest.fixture
    def rows(self) -> tuple[NDArray[np.bool_], Floats, Floats]:
        rng = np.random.default_rng(5)
        logits = rng.normal(size=500).round(1)  # with ties
        return rng.random(500) < sigmoid(1.3 * logits - 1), logits, rng.gamma(2.0, size=500)

    def test_sklearns_weighted_areas_are_those_of_loops_over_pairs_and_edges(self) -> None:
        """400 tables with ties: the rules take scikit-learn's word for ties and for rows that stand for several pairs."""
        rng = np.random.default_rng(6)
        for _ in range(400):
            labels = rng.permutation(np.arange(size := rng.integers(2, 40)) < rng.integers(1, size))
            logits, weights = rng.normal(size=size).round(rng.integers(0, 3)), rng.gamma(2.0, size=size)
            edges, non_edges = logits[labels][:, None], logits[~labels]
            wins = weights[labels] @ ((edges > non_edges) + 0.5 * (edges == non_edges)) @ weights[~labels]
            auc = wins / (weights[labels].sum() * weights[~labels].sum())
            assert roc_auc_score(labels, logits, sample_weight=weights) == pytest.approx(auc, abs=1e-12)
            precisions = [weights[labels & (logits >= z)].sum() / weights[logits >= z].sum() for z in logits[labels]]
            expected = np.average(precisions, weights=weights[labels])
            found = average_precision_score(labels, logits, sample_weight=weights)
            assert found == pytest.approx(expected, abs=1e-12)

    def test_best_balanced_accuracy_is_that_of_a_loop_over_thresholds(
        self, rows: tuple[NDArray[np.bool_], Floats, Floats]
    ) -> None:
        labels, logits, weights = rows
        at = {t: balanced_accuracy_score(labels, logits >= t, sample_weight=weights) for t in np.unique(logits)}
        best, threshold = best_balanced_accuracy(*rows)
        assert best == pytest.approx(max(at.values()), abs=1e-12)
        assert at[threshold] == pytest.approx(best, abs=1e-12)

    def test_best_f1_is_that_of_a_loop_over_thresholds(self, rows: tuple[NDArray[np.bool_], Floats, Floats]) -> None:
        labels, logits, weights = rows
        at = {t: f1_score(labels, logits >= t, sample_weight=weights) for t in np.unique(logits)}
        best, threshold = best_f1(*rows)
        assert best == pytest.approx(max(at.values()), abs=1e-12)
        assert at[threshold] == pytest.approx(best, abs=1e-12)

    def test_cox_fit_is_sklearns(self, rows: tuple[NDArray[np.bool_], Floats, Floats]) -> None:
        labels, logits, weights = rows
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
            logits[:, None], labels, sample_weight=weights
        )
        fit = fit_cox(*rows)
        assert fit is not None
        assert (fit.slope, fit.intercept) == pytest.approx((model.coef_[0, 0], model.intercept_[0]), abs=1e-5)

    def test_interval_of_the_slope_covers_the_truth(self) -> None:
        """Edges all kept, non-edges 1 in 5 with weight 5: 95 % of 300 intervals, give or take 3 * 1.26 %."""
        covered = 0
        for seed in range(300):
            labels, logits = calibrated(2000, mean=-2.0, seed=seed)
            kept = labels | (np.random.default_rng(1000 + seed).random(2000) < 0.2)
            fit = fit_cox(labels[kept], logits[kept], np.where(labels, 1.0, 5.0)[kept])
            assert fit is not None
            covered += fit.low <= 1.0 <= fit.high
        assert 0.912 <= covered / 300 <= 0.988

    @pytest.mark.parametrize("logits", [[0.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    def test_no_cox_fit_without_a_maximum(self, logits: list[float]) -> None:
        assert fit_cox(np.array([True, False, False]), np.array(logits), np.ones(3)) is None

    def test_intercept_shift_makes_expected_what_is_observed(
        self, rows: tuple[NDArray[np.bool_], Floats, Floats]
    ) -> None:
        labels, logits, weights = rows
        shifted = sigmoid(logits + intercept_shift(*rows))
        assert weights @ shifted == pytest.approx(weights[labels].sum(), rel=1e-8)
