"""Rules on a run: what triggers each, and what nearly does."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from linkodds.doctor import ModelScores, diagnose_run, examine
from linkodds.findings import Finding, Severity
from linkodds.graph.split import Split
from linkodds.pairs import PairSpace
from linkodds.scorers.scoring import InnerProductScorer
from planted_evaluation import evaluation_of


def ids(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings]


def evaluation(**changes: Any) -> dict[str, Any]:
    """The numbers of evaluation.json that the doctor reads, of a run with nothing wrong."""
    metrics = {
        "roc_auc": {"value": 0.9},
        "average_precision": {"value": 0.3},
        "observed_over_expected": {"value": 1.02},
        "calibration_slope": {"value": 1.0, "low": 0.9, "high": 1.1},
        "calibration_intercept": {"value": 0.0},
    }
    half = {"rule": "half", "confusion": {"tn": 9900, "fp": 0, "fn": 100, "tp": 0}, "balanced_accuracy": {"value": 0.5}}
    return {
        "graph": {"num_edges": 1000, "num_pairs": 10_900},
        "candidates": {"num_edges": 100, "num_pairs": 10_000, "prevalence": 0.01},
        "model": {"name": "vgae"},
        "metrics": metrics | changes,
        "baselines": {"degree": {"roc_auc": 0.8}, "l3": {"roc_auc": 0.85}},
        "decisions": [half],
        "findings": [],
    }


def split_of_a_run() -> Split:
    parts = ([[0, 1], [1, 2]], [[0, 2]], [[1, 3]], [[2, 3]])
    return Split(*(np.array(part) for part in parts), PairSpace(5))


class TestRun:
    def test_a_saved_run_is_judged_anew_and_keeps_what_its_fit_said(self, tmp_path: Path) -> None:
        (tmp_path / "evaluation.json").write_text("{}")
        stored = [Finding("calibration", "info", "few edges", "more"), Finding("D06", "warning", "as seen in fit", "-")]
        embeddings = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
        run = SimpleNamespace(
            evaluation=evaluation_of(
                evaluation(calibration_slope={"value": 0.5, "low": 0.4, "high": 0.6})
                | {"findings": [f.to_json() for f in stored]}
            ),
            history={},
            split=split_of_a_run(),
            decision=SimpleNamespace(rule="f1"),
            config={"options": {"seed": 0}},
            scorer=InnerProductScorer(embeddings, embeddings, 1.0, -2.0),
            embeddings=(embeddings, embeddings),
        )
        found = examine(tmp_path, load_run=lambda _: run)
        assert ids(found)[0] == "D06"
        assert "calibration" in ids(found)
        assert "slope is 0.500" in found[0].message

    def judge(
        self,
        decision: str = "f1",
        history: dict[str, Any] | None = None,
        half: dict[str, Any] | None = None,
        **changes: Any,
    ) -> list[Finding]:
        said = evaluation(**changes)
        said["decisions"] = [half] if half else said["decisions"]
        return diagnose_run(
            evaluation=evaluation_of(said), history=history or {}, split=split_of_a_run(), decision=decision
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
        assert ids(self.judge(decision="half")) == ["D03"]  # and D04 is its effect
        few = {
            "rule": "half",
            "confusion": {"tn": 9880, "fp": 20, "fn": 98, "tp": 2},
            "balanced_accuracy": {"value": 0.509},
        }
        assert ids(self.judge(decision="half", half=few)) == ["D04"]
        assert ids(self.judge(decision="half", half=few, roc_auc={"value": 0.74})) == []

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

    def test_d22_needs_degrees_to_come_near_the_average_precision(self) -> None:
        """The ranking is that of degrees to 0.97; at the base rate the model has 0.3, and degrees are told."""
        rng = np.random.default_rng(0)
        products = rng.normal(size=2000)
        edges, none = rng.normal(1.5, 1.0, size=300), np.zeros(0)
        hubs = {"test": np.zeros(300, dtype=bool), "non_edges": np.zeros(2000, dtype=bool)}
        logits = products + 0.2 * rng.normal(size=2000)
        scores = ModelScores(edges, edges, logits, none, {"test": edges, "non_edges": products}, hubs)
        for of_degree, fires in ((0.05, False), (0.199, False), (0.201, True)):
            said = evaluation()
            said["baselines"] = {"degree": {"roc_auc": 0.8, "average_precision": of_degree}}
            found = diagnose_run(
                evaluation=evaluation_of(said), history={}, split=split_of_a_run(), decision="f1", scores=scores
            )
            assert ids(found) == (["D22"] if fires else []), of_degree
            assert not fires or "average precision is 1.49 times that of degrees" in found[0].message
