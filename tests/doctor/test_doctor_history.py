"""Rules on histories and latent variables: what triggers each, and what nearly does."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from linkodds.doctor import (
    History,
    diagnose_history,
    diagnose_latents,
)
from linkodds.doctor.history_rules import reachable_loss, sigmoid_band
from linkodds.findings import Finding, Severity

Floats = NDArray[np.float64]


def ids(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings]


def only(findings: list[Finding], rule: str) -> Finding:
    (found,) = [finding for finding in findings if finding.id == rule]
    return found


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
