"""Every rule of the doctor: what triggers it, and what nearly does; the statistics behind them; what a path holds."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from linkodds.doctor import (
    History,
    ScoreTable,
    constant_features,
    diagnose_graph,
    diagnose_history,
    diagnose_latents,
    diagnose_run,
    diagnose_split,
    diagnose_table,
    examine,
    order,
    read_history,
    read_table,
)
from linkodds.doctor.history_rules import reachable_loss, sigmoid_band
from linkodds.doctor.weighted import best_balanced_accuracy, fit_cox, intercept_shift, roc_auc
from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.findings import Finding, Severity
from linkodds.graph import Graph
from linkodds.pairs import PairSpace
from linkodds.split import Split

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
        assert "D05" not in ids(diagnose_table(ScoreTable(labels, np.full(400, 16 / 400), "probability")))
        assert "D05" in ids(diagnose_table(ScoreTable(labels, np.full(400, 18 / 400), "probability")))

    def test_d05_names_the_weight_in_training_when_it_explains_the_shift(self) -> None:
        labels, logits = calibrated()
        odds = labels.sum() / (~labels).sum()
        weighted = ScoreTable(labels, logits + np.log(20.0), "logit", odds_trained_at=20.0 * odds)
        assert "the weight or the sampling in training" in only(diagnose_table(weighted), "D05").message
        unexplained = ScoreTable(labels, logits + np.log(20.0), "logit", odds_trained_at=10.0 * odds)
        assert "in training" not in only(diagnose_table(unexplained), "D05").message

    def test_d05_judges_a_sample_at_its_base_rate(self) -> None:
        """Non-edges sampled 1 in 10: with their number known the probabilities are right, without it they seem off."""
        labels, logits = calibrated()
        kept = labels | (np.random.default_rng(1).random(len(labels)) < 0.1)
        sampled, values = labels[kept], logits[kept]
        assert "D05" in ids(diagnose_table(ScoreTable(sampled, values, "logit")))
        assert diagnose_table(ScoreTable(sampled, values, "logit", weights=np.where(sampled, 1.0, 10.0))) == []
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

    @pytest.mark.parametrize(("ratio", "fires"), [(4.9, False), (5.1, True)])
    def test_d08_near_miss(self, ratio: float, fires: bool) -> None:
        labels, logits = calibrated(1000, mean=0.0)
        prevalence = 1 / (1 + ratio * (~labels).sum() / labels.sum())
        assert ("D08" in ids(diagnose_table(ScoreTable(labels, logits, "logit", prevalence=prevalence)))) == fires
        weights = np.where(labels, 1.0, ratio)
        assert "D08" not in ids(diagnose_table(ScoreTable(labels, logits, "logit", weights=weights)))

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

    def test_roc_auc_is_sklearns(self, rows: tuple[NDArray[np.bool_], Floats, Floats]) -> None:
        labels, logits, weights = rows
        assert roc_auc(*rows) == pytest.approx(roc_auc_score(labels, logits, sample_weight=weights), abs=1e-12)

    def test_best_balanced_accuracy_is_that_of_a_loop_over_thresholds(
        self, rows: tuple[NDArray[np.bool_], Floats, Floats]
    ) -> None:
        labels, logits, weights = rows
        at = {t: balanced_accuracy_score(labels, logits >= t, sample_weight=weights) for t in np.unique(logits)}
        best, threshold = best_balanced_accuracy(*rows)
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


def settling(start: float, end: float, epochs: int = 100) -> Floats:
    return end + (start - end) * np.exp(-np.arange(epochs) / 8)


class TestHistory:
    def test_band_and_reach_by_hand(self) -> None:
        assert sigmoid_band((0.5, 0.5)) == pytest.approx(((np.log(2) + 0.3133) / 2, (np.log(2) + 1.3133) / 2), abs=1e-4)
        prevalence = 1 / 80
        floor = sigmoid_band((prevalence, 1 - prevalence))[0]
        assert floor == pytest.approx((1 - prevalence) * 0.6931 + prevalence * 0.3133, abs=1e-4)
        gap = 1 - np.sqrt(2 * (1 - 0.9))
        wrong = (1 - gap) / 2
        by_hand = -wrong * np.log(wrong) - (1 - wrong) * np.log(1 - wrong)
        assert reachable_loss(0.9, (0.5, 0.5)) == pytest.approx(by_hand, abs=1e-9)
        assert reachable_loss(1.0, (0.5, 0.5)) == 0.0

    @pytest.mark.parametrize(
        ("start", "end", "auc", "severity"),
        [
            (0.724, 0.70, 0.88, "error"),
            (0.724, 0.5033, 0.95, "error"),
            (0.724, 0.5031, 0.95, None),  # under the floor of two sigmoids
            (1.0033, 0.70, 0.88, None),  # above their ceiling: a sum of two means starts at 1.386
            (0.80, 0.60, 0.75, None),  # a weak model: 0.65 is all that its ranking promises
            (0.80, 0.66, 0.75, "error"),
            (0.724, 0.70, None, "warning"),  # no ROC AUC to tell it from a weak model
            (0.69, 0.07, 0.88, None),
        ],
    )
    def test_d01_from_the_loss(self, start: float, end: float, auc: float | None, severity: Severity | None) -> None:
        columns: dict[str, Any] = {"epoch": range(1, 101), "train_loss": settling(start, end)}
        if auc is not None:
            columns["val_roc"] = np.full(100, auc)
        found = diagnose_history(History.from_columns(columns))
        assert [(f.id, f.severity) for f in found] == ([("D01", severity)] if severity else [])

    @pytest.mark.parametrize(("epochs", "fires"), [(50, True), (49, False)])
    def test_d01_needs_epochs(self, epochs: int, fires: bool) -> None:
        columns = {"loss": np.full(epochs, 0.7), "auc": np.full(epochs, 0.9)}
        assert ("D01" in ids(diagnose_history(History.from_columns(columns)))) == fires

    def test_d01_waits_for_a_loss_that_still_falls(self) -> None:
        columns = {"loss": np.linspace(0.75, 0.60, 100), "auc": np.full(100, 0.88)}
        assert diagnose_history(History.from_columns(columns)) == []

    def test_d01_takes_the_kl_out_of_the_loss(self) -> None:
        kl = settling(3.0, 0.4)
        columns = {"loss": settling(0.724, 0.70) + kl, "kld": kl, "auc": np.full(100, 0.9)}
        assert ids(diagnose_history(History.from_columns(columns))) == ["D01"]
        assert ids(diagnose_history(History.from_columns({"recon_loss": settling(0.724, 0.7)} | columns))) == ["D01"]

    def test_d01_of_an_unweighted_loss(self) -> None:
        """A plain mean at 1:79 starts near ln 2, and only two sigmoids keep it there."""
        shares = (1 / 80, 79 / 80)
        collapsed, honest = settling(0.72, 0.695), settling(0.69, 0.06)
        for loss, expected in ((collapsed, ["D01"]), (honest, [])):
            columns = {"loss": loss, "auc": np.full(100, 0.6)}
            assert ids(diagnose_history(History.from_columns(columns, loss_shares=shares))) == expected

    @pytest.mark.parametrize(
        ("column", "value", "fires"),
        [
            ("loss", np.nan, True),
            ("kl_loss", np.inf, True),
            ("max_logvar", 20.5, True),
            ("log_std", -20.5, True),
            ("max_logvar", 19.5, False),
            ("max_logit", 80.5, True),
            ("max_logit", 79.5, False),
            ("val_loss", np.nan, False),  # nothing that was trained on
            ("validation_average_precision", np.nan, False),
        ],
    )
    def test_d13(self, column: str, value: float, fires: bool) -> None:
        columns = {"loss": settling(2.0, 0.3), column: settling(2.0, 0.3)}
        columns[column][40] = value
        found = [f for f in diagnose_history(History.from_columns(columns)) if f.id == "D13"]
        assert len(found) == fires
        if fires:
            assert "at epoch 41" in found[0].message
            assert found[0].severity == "error"
            json.dumps(found[0].to_json(), allow_nan=False)

    def test_d13_on_a_loss_and_a_kl_that_both_overflow(self) -> None:
        """Their difference, the reconstruction, is not a number then, and no warning of numpy's either."""
        columns = {"loss": settling(2.0, 0.3), "kl": settling(2.0, 0.3)}
        columns["loss"][40:] = columns["kl"][40:] = np.inf
        assert "D13" in [f.id for f in diagnose_history(History.from_columns(columns))]

    def test_blank_cells_are_not_nan(self) -> None:
        columns = {"epoch": [1, 2, 3], "loss": [1.0, None, 0.8], "kl": [None, None, None]}
        history = History.from_columns(columns)
        assert diagnose_history(history) == []
        assert history.loss is not None
        assert history.loss.epochs.tolist() == [1, 3]

    def test_d16_from_columns_per_dimension(self) -> None:
        columns = {"loss": np.ones(20), **{f"kl_{i}": np.full(20, 0.009 if i < 9 else 1.0) for i in range(10)}}
        assert only(diagnose_history(History.from_columns(columns)), "D16").statistic == 0.9
        columns["kl_8"] = np.full(20, 0.011)
        assert diagnose_history(History.from_columns(columns)) == []

    def test_d17_no_false_alarm_on_1500_smooth_runs(self) -> None:
        """Falling, rising and warmed-up KL terms with 10 % noise."""
        rng, epochs = np.random.default_rng(0), np.arange(300)
        for run in range(1500):
            scale, time = rng.lognormal(0, 3), rng.uniform(5, 100)
            shapes = (0.1 + np.exp(-epochs / time), 1.01 - np.exp(-epochs / time), np.clip(epochs - time, 0, 80) / 80)
            noisy = scale * shapes[run % 3] * (1 + 0.1 * rng.normal(size=300))
            assert diagnose_history(History.from_columns({"kl": noisy})) == []

    @pytest.mark.parametrize("factor", [5.0, 20.0])
    def test_d17_finds_every_spike(self, factor: float) -> None:
        rng, epochs = np.random.default_rng(1), np.arange(300)
        for _ in range(100):
            kl = rng.lognormal(0, 3) * (1.01 - np.exp(-epochs / rng.uniform(5, 30))) * (1 + 0.1 * rng.normal(size=300))
            at = int(rng.integers(60, 290))
            kl[at : at + 6] *= (
                1 + (factor - 1) * np.array([0.5, 1.0, 0.8, 0.6, 0.4, 0.2])[: 300 - at]
            )  # up, and down again
            found = only(diagnose_history(History.from_columns({"epoch": epochs, "kld": kl})), "D17")
            assert any(f"at epoch {epoch}" in found.message for epoch in (at, at + 1))

    @pytest.mark.parametrize(("factor", "epoch", "fires"), [(3.1, 50, True), (2.9, 50, False), (9.0, 10, False)])
    def test_d17_near_miss(self, factor: float, epoch: int, fires: bool) -> None:
        kl = np.ones(100)
        kl[epoch - 1] = factor
        found = diagnose_history(History.from_columns({"kl": kl}))
        assert ids(found) == (["D17"] if fires else [])

    @pytest.mark.parametrize(
        ("names", "found"),
        [
            (("epoch", "Train Loss", "KLD", "val_AUC"), ("Train Loss", "KLD", "val_AUC")),
            (("epoch", "cost", "kl_divergence", "roc_auc_score"), ("cost", "kl_divergence", "roc_auc_score")),
            (("val_loss", "kl_loss", "loss", "x"), ("loss", "kl_loss", None)),
        ],
    )
    def test_columns_under_the_names_people_use(self, names: tuple[str, ...], found: tuple[str | None, ...]) -> None:
        history = History.from_columns({name: [1.0, 2.0] for name in names})
        curves = (history.loss, history.kl, history.roc_auc)
        assert tuple(curve and curve.name for curve in curves) == found


class TestLatents:
    def test_d16_by_kl(self) -> None:
        mean, log_deviation = np.zeros((50, 10)), np.zeros((50, 10))
        mean[:, 0] = np.linspace(-3, 3, 50)
        mean[:, 1] = np.linspace(-3, 3, 50)
        assert diagnose_latents(mean, log_deviation) == []  # 8 of 10 silent, 2 active
        mean[:, 1] = 0.0
        assert only(diagnose_latents(mean, log_deviation), "D16").statistic == 0.9

    def test_d16_by_active_units_where_the_kl_comes_from_the_deviation(self) -> None:
        mean = np.zeros((50, 4))
        mean[:, 0] = np.linspace(-1, 1, 50)
        assert only(diagnose_latents(mean, np.full((50, 4), -1.0)), "D16").statistic == 1.0
        mean[:, 1] = np.linspace(-1, 1, 50)
        assert diagnose_latents(mean, np.full((50, 4), -1.0)) == []

    def test_d13(self) -> None:
        mean = np.random.default_rng(0).normal(size=(5, 2))
        assert diagnose_latents(mean, np.full((5, 2), -19.9)) == []
        assert ids(diagnose_latents(mean, np.full((5, 2), -20.1))) == ["D13"]
        assert ids(diagnose_latents(np.full((5, 2), np.nan))) == ["D13"]


class TestGraph:
    @pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
    def test_d14(self, form: Any) -> None:
        matrix = np.random.default_rng(0).normal(size=(30, 300))
        assert constant_features(form(matrix)) is None
        matrix[:, [1, 280]] = (0.0, 7.0)
        found = constant_features(form(matrix))
        assert found is not None
        assert (found.severity, found.statistic) == ("warning", pytest.approx(2 / 300))
        assert "the first is column 2" in found.message
        whole = constant_features(form(np.ones((30, 300))))
        assert whole is not None
        assert whole.severity == "error"

    @pytest.mark.parametrize(("deviation", "fires"), [(0.9e-6, True), (1.5e-6, False)])
    def test_d14_near_miss(self, deviation: float, fires: bool) -> None:
        column = np.where(np.arange(30) % 2, deviation, -deviation)
        assert (constant_features(np.column_stack([column, np.arange(30.0)])) is not None) == fires

    def test_d20_d21_and_what_reading_said(self) -> None:
        graph = Graph.from_edges([("a", "b"), ("b", "a"), ("b", "b"), ("b", "c"), ("b", "c")])
        found = diagnose_graph(graph, rows=np.array([[0, 1], [1, 0], [1, 1], [1, 2], [1, 2]]))
        assert [f.statistic for f in found if f.id in ("D20", "D21")] == [0.5, 1.0]
        said = [f.message for f in found if f.id == "reading" and "dropped" in f.message]
        assert said == ["1 duplicate edge(s) dropped: every edge counts once."]  # the others are told by the rules
        assert ids(diagnose_graph(graph, rows=np.array([[0, 1], [1, 2]]))).count("reading") == len(found) - 2

    def test_directed_graphs_have_both_directions(self) -> None:
        graph = Graph(np.array(list("abc"), dtype=object), np.array([[0, 1], [1, 0]]), PairSpace(3, directed=True))
        assert diagnose_graph(graph, rows=graph.edges) == []


class TestSplit:
    train, test = np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 2], [3, 4]])

    def test_a_clean_split_is_silent(self) -> None:
        both = np.concatenate([self.train, self.train[:, ::-1]])
        edges = {"train": self.train, "test": self.test, "message": both}
        non_edges = {"train": self.test, "validation": np.array([[0, 4]]), "test": np.array([[1, 4]])}
        assert diagnose_split(edges, non_edges) == []

    def test_d19_shared_edge(self) -> None:
        found = diagnose_split({"train": self.train, "test": np.array([[1, 2], [3, 4]])})
        assert ids(found) == ["D19"]
        assert "train and test edges share 1 pair(s), the first joins nodes 1 and 2" in found[0].message

    def test_d19_held_out_edge_in_the_message_graph(self) -> None:
        message = np.concatenate([self.train, self.test[:1]])
        found = diagnose_split({"train": self.train, "test": self.test, "message": message})
        assert ["test and message" in f.message for f in found] == [True]

    @pytest.mark.parametrize(
        ("non_edges", "message"),
        [
            ({"test": [[2, 0]]}, "test non-edges and the edges share 1"),
            ({"train": [[1, 2]]}, "train non-edges and the edges share 1"),
            ({"validation": [[0, 4]], "test": [[4, 0]]}, "validation and test non-edges share 1"),
        ],
    )
    def test_d19_non_edges(self, non_edges: dict[str, Any], message: str) -> None:
        parts = {name: np.array(part) for name, part in non_edges.items()}
        found = diagnose_split({"train": self.train, "test": self.test}, parts)
        assert found[0].id == "D19"
        assert message in found[0].message

    def test_d20_reversed_in_another_part_is_an_error(self) -> None:
        edges = {"train": self.train, "test": np.array([[2, 1]])}
        assert [(f.id, f.severity) for f in diagnose_split(edges)] == [("D19", "error"), ("D20", "error")]
        assert diagnose_split(edges, directed=True) == []

    def test_d20_reversed_in_the_same_part_is_a_warning(self) -> None:
        edges = {"train": np.concatenate([self.train, self.train[:1, ::-1]]), "test": self.test}
        found = only(diagnose_split(edges), "D20")
        assert (found.severity, found.statistic) == ("warning", pytest.approx(1 / 5))
        assert diagnose_split(edges, directed=True) == []

    def test_d21(self) -> None:
        found = diagnose_split({"train": self.train, "test": np.array([[4, 4], [0, 3]])})
        assert [(f.id, f.statistic) for f in found] == [("D21", 1.0)]


def evaluation(**changes: Any) -> dict[str, Any]:
    """The numbers of evaluation.json that the doctor reads, of a run with nothing wrong."""
    metrics = {
        "roc_auc": {"value": 0.9},
        "observed_over_expected": {"value": 1.02},
        "calibration_slope": {"value": 1.0, "low": 0.9, "high": 1.1},
        "calibration_intercept": {"value": 0.0},
    }
    half = {"rule": "half", "confusion": {"tn": 9900, "fp": 0, "fn": 100, "tp": 0}, "balanced_accuracy": {"value": 0.5}}
    return {
        "candidates": {"num_edges": 100, "num_pairs": 10_000},
        "metrics": metrics | changes,
        "decisions": [half],
        "findings": [],
    }


def split_of_a_run() -> Split:
    parts = ([[0, 1], [1, 2]], [[0, 2]], [[1, 3]], [[2, 3]])
    return Split(*(np.array(part) for part in parts), PairSpace(5))


class TestRun:
    def judge(self, decision: str = "f1", history: dict[str, Any] | None = None, **changes: Any) -> list[Finding]:
        return diagnose_run(
            evaluation=evaluation(**changes), history=history or {}, split=split_of_a_run(), decision=decision
        )

    def test_a_good_run_is_silent_though_it_predicts_nothing_at_half(self) -> None:
        history = {
            "epoch": [1, 2, 3],
            "loss": [0.7, 0.6, 0.5],
            "validation_average_precision": [None, None, 0.2],
            "event": ["", "", "best"],
        }
        assert self.judge(history=history) == []

    def test_d03_and_d04_where_half_is_the_stored_decision(self) -> None:
        assert ids(self.judge(decision="half")) == ["D03", "D04"]
        assert ids(self.judge(decision="half", roc_auc={"value": 0.74})) == ["D03"]

    @pytest.mark.parametrize(
        ("ratio", "fires"), [(1.24, False), (1.26, False), (1.5, True), (0.79, False), (0.7, True)]
    )
    def test_d05(self, ratio: float, fires: bool) -> None:
        """100 edges: a ratio of 1.26 is 2.06 deviations off, 1.5 is 3.3, 0.79 is 2.7, 0.7 is 4.3."""
        assert ids(self.judge(observed_over_expected={"value": ratio})) == (["D05"] if fires else [])

    @pytest.mark.parametrize(
        ("low", "value", "high", "severity"),
        [(0.5, 0.6, 0.79, "warning"), (0.5, 0.6, 0.81, None), (1.3, 1.5, 1.7, "warning"), (-0.3, -0.2, -0.1, "error")],
    )
    def test_d06(self, low: float, value: float, high: float, severity: Severity | None) -> None:
        found = self.judge(calibration_slope={"value": value, "low": low, "high": high})
        assert [(f.id, f.severity) for f in found] == ([("D06", severity)] if severity else [])

    def test_what_could_not_be_measured_is_not_judged(self) -> None:
        none = {"value": None, "reason": "no edges"}
        found = self.judge(observed_over_expected=none, calibration_slope=none, decision="half", roc_auc=none)
        assert ids(found) == ["D03"]

    def test_d13_and_d17_from_the_history(self) -> None:
        kl = [1.0] * 40
        assert ids(self.judge(history={"loss": [1.0] * 40, "kl": [*kl[:30], 9.0, *kl[31:]]})) == ["D17"]
        assert ids(self.judge(history={"loss": [1.0, float("nan")], "kl": [1.0, 1.0]})) == ["D13"]


class TestExamine:
    @pytest.fixture
    def thread_table(self, tmp_path: Path) -> Path:
        path = tmp_path / "scores.csv"
        rows = pl.DataFrame({"label": HALF.astype(int), "score": spread(0.5, 0.73)})
        rows.write_csv(path)
        rows.write_parquet(path.with_suffix(".parquet"))
        return path

    @staticmethod
    def look(path: Path, **options: Any) -> list[Finding]:
        def no_run(path: Path) -> Any:
            raise AssertionError(f"{path} is no run")

        return examine(path, load_run=no_run, **options)

    def test_table(self, thread_table: Path) -> None:
        for path in (thread_table, thread_table.with_suffix(".parquet")):
            found = self.look(path)
            assert ids(found) == ["D01", "reading"]
            assert "taken for probabilities" in found[1].message

    @pytest.mark.parametrize("header", ["epoch,loss,kl", "label,probability"])
    def test_a_header_alone_is_nothing_to_judge(self, header: str, tmp_path: Path) -> None:
        (tmp_path / "table.csv").write_text(header + "\n")
        with pytest.raises(MalformedFile, match="table.csv: a header and no row"):
            self.look(tmp_path / "table.csv")

    def test_table_with_prevalence(self, thread_table: Path) -> None:
        assert ids(self.look(thread_table, prevalence=0.01)) == ["D01", "D08", "reading"]
        assert ids(self.look(thread_table, num_candidates=20_200)) == ["D01", "D08", "reading"]

    def test_columns_of_a_table(self, tmp_path: Path) -> None:
        path = tmp_path / "table.tsv"
        path.write_text(
            "source\ttarget\tlabel\tlogit\tprobability\tweight\na\tb\ttrue\t-2\t0.3\t1\na\tc\t0\t1\t0.2\t80.5\n"
        )
        table = read_table(path, odds_trained_at=0.5)
        assert (table.kind, table.values.tolist(), table.labels.tolist()) == ("probability", [0.3, 0.2], [True, False])
        assert (table.row_weights.tolist(), table.odds_trained_at) == ([1.0, 80.5], 0.5)
        path.write_text("Label\tScore\n1\t-2.5\n0\t1\n")
        table = read_table(path)
        assert (table.kind, "taken for logits" in table.findings[0].message) == ("logit", True)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("label,score\n1,0.5\n0,x\n", "line 3: 'x' in column 'score' is not a number"),
            ("label,score\n1,0.5\n2,0.4\n", "line 3: label '2' is neither 1"),
            ("label,score\n1,0.5\n0,\n", "line 3: '' in column 'score'"),
            ("source,target,label\na,b,1\na,c,0\n", "needs 'label' .* and one of 'probability', 'logit', 'score'"),
            ("label,probability\n1,0.5\n0,-0.1\n", "row 2: probability -0.1"),
            ("", "empty"),
        ],
    )
    def test_malformed_tables(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "table.csv"
        path.write_text(text)
        with pytest.raises(MalformedFile, match=message):
            self.look(path)

    def test_history(self, tmp_path: Path) -> None:
        path = tmp_path / "history.csv"
        lines = [f"{i},0.71,{'0.9' if i % 10 == 0 else ''},{'best' if i == 7 else ''}" for i in range(1, 61)]
        path.write_text("epoch,loss,validation_roc_auc,event\n" + "\n".join(lines) + "\n")
        assert ids(self.look(path)) == ["D01"]
        roc_auc_curve = read_history(path).roc_auc
        assert roc_auc_curve is not None
        assert roc_auc_curve.epochs.tolist() == [10, 20, 30, 40, 50, 60]

    def test_history_with_nan(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("epoch,loss,kld\n1,0.7,1.0\n2,nan,inf\n")
        assert "loss is nan at epoch 2" in only(self.look(path), "D13").message

    def test_history_without_a_loss_in_numbers(self, tmp_path: Path) -> None:
        path = tmp_path / "log.csv"
        path.write_text("epoch,loss\n1,high\n2,low\n")
        with pytest.raises(MalformedFile, match="none of which is a training loss"):
            self.look(path)

    def test_history_of_a_model_that_was_not_trained(self, tmp_path: Path) -> None:
        path = tmp_path / "history.csv"
        path.write_text("epoch,seconds,event\n1,0.5,\n")
        with pytest.raises(MalformedFile, match="none of which is a training loss"):
            self.look(path)

    def test_edge_list_with_features(self, tmp_path: Path) -> None:
        edges, features = tmp_path / "edges.tsv", tmp_path / "features.csv"
        edges.write_text("p53\tmdm2\nmdm2\tp53\natm\tatm\natm\tp53\nbrca1\tatm\n")
        features.write_text("id,x,y\np53,1,1\nmdm2,1,2\natm,1,3\nbrca1,1,4\n")
        found = self.look(edges, features=features)
        assert [f.id for f in found if f.id != "reading"] == ["D14", "D20", "D21"]
        assert only(found, "D14").statistic == 0.5

    def test_run(self, tmp_path: Path) -> None:
        (tmp_path / "evaluation.json").write_text("{}")
        stored = [Finding("calibration", "info", "few edges", "more"), Finding("D06", "warning", "as seen in fit", "-")]
        run = SimpleNamespace(
            evaluation=evaluation(calibration_slope={"value": 0.5, "low": 0.4, "high": 0.6})
            | {"findings": [f.to_json() for f in stored]},
            history={},
            split=split_of_a_run(),
            decision=SimpleNamespace(rule="f1"),
        )
        found = examine(tmp_path, load_run=lambda _: run)
        assert ids(found) == ["D06", "calibration"]
        assert "slope is 0.500" in found[0].message

    def test_what_is_nothing_of_this(self, tmp_path: Path) -> None:
        noise = tmp_path / "noise.csv"
        noise.write_bytes(bytes(range(256)) * 20)
        with pytest.raises(DataError):
            self.look(noise)
        with pytest.raises(MalformedFile, match="without evaluation"):
            self.look(tmp_path)
        with pytest.raises(MalformedFile, match="no such file"):
            self.look(tmp_path / "absent.csv")

    def test_options_belong_to_what_the_path_holds(self, thread_table: Path, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match="is a table of scores"):
            self.look(thread_table, features=thread_table)
        history = tmp_path / "history.csv"
        history.write_text("epoch,loss\n1,0.7\n2,0.6\n")
        with pytest.raises(OptionError, match="is a training history"):
            self.look(history, prevalence=0.1)
        edges = tmp_path / "edges.csv"
        edges.write_text("a,b\nb,c\n")
        with pytest.raises(OptionError, match="is an edge list"):
            self.look(edges, num_candidates=5)


def test_order_puts_causes_first_then_errors() -> None:
    severities: list[tuple[str, Severity]] = [
        ("reading", "info"), ("D21", "warning"), ("D08", "error"), ("D02", "error"),
        ("D05", "warning"), ("D01", "warning"), ("D13", "error"), ("D19", "error"),
    ]  # fmt: skip
    found = order(Finding(id, severity, "", "") for id, severity in severities)
    assert ids(found) == ["D19", "D13", "D01", "D02", "D08", "D05", "D21", "reading"]
