"""Comparison: intervals over splits that cover, the same splits for all, and a comparison that can be gone on with."""

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import binomtest, t
from typer.testing import CliRunner

import linkodds.comparison.comparison as comparing
from linkodds.cli import app
from linkodds.cli.comparing import compare
from linkodds.cli.fitting import fit
from linkodds.comparison.comparison import METRICS, Plan, compare_models, compared
from linkodds.comparison.protocols import PROTOCOLS, deal
from linkodds.comparison.repeats import differences, half_width, repeated
from linkodds.comparison.trials import try_models
from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, OptionError, RunExists
from linkodds.evaluation.evaluation import Evaluation
from linkodds.fitting.auto import LADDER
from linkodds.fitting.pipeline import evaluate_models, fit_graph
from linkodds.graph.graph import Graph
from linkodds.models.families import baseline_families
from linkodds.models.families import stack as stack_family
from linkodds.models.structural.masked_edges import StackOptions
from linkodds.models.structural.stack import fit_stack
from linkodds.scorers.baselines import baseline_scorer

BASELINES = tuple(each.name for each in baseline_families())

QUICK: dict[str, Any] = {"hidden": 16, "dim": 8, "epochs": 10, "threads": 1, "folds": 1}


class TestIntervals:
    def test_by_hand(self) -> None:
        found = repeated([0.1, 0.3, 0.2, 0.4], test_share=0.125)
        half = t.ppf(0.975, 3) * np.std([0.1, 0.3, 0.2, 0.4], ddof=1) * np.sqrt(0.25 + 0.125)
        assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25 - half, 0.25 + half))

    def test_the_corrected_interval_covers_and_that_of_independent_draws_does_not(self) -> None:
        """Squared error of a mean, 10 random splits of one data set, 1,000 data sets. Tests: exact binomial, one-sided.

        The target is the expected error of a mean of 800 normal values, 1 + 1 / 800. Control: s / sqrt(J).
        """
        rng = np.random.default_rng(0)
        num_splits, num_values, num_train, num_test, repetitions = 10, 1000, 800, 100, 1000
        target, share = 1 + 1 / num_train, num_test / num_train
        covered = {"corrected": 0, "independent": 0}
        for _ in range(repetitions):
            data = rng.normal(size=num_values)
            dealt = data[np.argsort(rng.random((num_splits, num_values)), axis=1)]
            centre = dealt[:, :num_train].mean(axis=1, keepdims=True)
            errors = np.square(dealt[:, -num_test:] - centre).mean(axis=1)
            deviation = float(errors.std(ddof=1))
            for name, each in (("corrected", share), ("independent", 0.0)):
                covered[name] += abs(errors.mean() - target) <= half_width(deviation, num_splits, each)
        assert binomtest(covered["corrected"], repetitions, 0.95, "less").pvalue > 0.05
        assert binomtest(covered["independent"], repetitions, 0.95, "less").pvalue < 1e-6

    def test_differences_are_paired(self) -> None:
        """What the split does to both falls out: the interval is that of the differences."""
        luck = np.array([0.0, 0.3, -0.2, 0.1])
        ours, theirs = 0.5 + luck + [0.0, 0.01, 0.0, 0.01], 0.4 + luck
        found = differences(ours.tolist(), theirs.tolist(), test_share=0.125)
        assert found.low is not None
        assert found.low > 0
        assert repeated(ours.tolist(), test_share=0.125).low < 0.5  # type: ignore[operator]
        assert found.value == pytest.approx(0.105)

    def test_no_interval_without_a_spread_and_no_mean_of_some_splits(self) -> None:
        assert repeated([0.2], test_share=0.1).reason == "one split shows no spread"
        alike = repeated([0.2, 0.2], test_share=0.1)
        assert (alike.value, alike.low) == (0.2, None)
        missing = repeated([0.2, None, 0.3], test_share=0.1, reason="inverted")
        assert missing.value is None
        assert missing.reason == "missing on 1 of 3 splits: inverted"


class TestAComparison:
    plan = Plan(("l3", "gae"), 2, FitConfig(seed=5, **QUICK))

    def test_every_model_has_the_splits_and_the_figures_of_a_fit(self, communities, tmp_path) -> None:
        found = compare_models(communities, self.plan, tmp_path / "out")
        assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == found
        assert not (tmp_path / "out.partial").exists()
        rows = {row["name"]: row for row in found["models"]}
        assert list(rows) == ["l3", "gae", *(name for name in BASELINES if name not in ("l3", "feature-cosine"))]
        for model in ("l3", "gae"):
            run = fit_graph(communities, FitConfig(model=model, seed=6, **QUICK))
            assert found["protocol"]["message_graphs"][1] == run.evaluation.message_graph
            for metric in METRICS:
                assert rows[model]["metrics"][metric]["splits"][1] == run.evaluation.metrics[metric].value
        best = found["best_baseline"]["name"]
        gap = next(each for each in found["differences"] if (each["model"], each["role"]) == ("gae", "best baseline"))
        ours, theirs = (rows[name]["metrics"]["roc_auc"]["splits"] for name in ("gae", best))
        assert gap["metrics"]["roc_auc"]["splits"] == [a - b for a, b in zip(ours, theirs, strict=True)]

    @pytest.mark.parametrize("names", [["auto"], ["linear-gae", "auto"]])
    def test_auto_is_what_a_fit_takes(self, communities, names: list[str]) -> None:
        config = FitConfig(seed=6, **QUICK)
        found = evaluate_models(communities, names, config)
        run = fit_graph(communities, config)
        auto = found["auto"]
        assert isinstance(auto, Evaluation)
        assert auto.model["name"] == run.model
        assert auto.metrics["roc_auc"].value == run.evaluation.metrics["roc_auc"].value
        assert {*names} <= {*found} <= {*names, *BASELINES, run.model}

    def test_the_best_baseline_is_chosen_on_validation_and_an_inverted_one_has_no_figures(self) -> None:
        def split(seed: int) -> dict[str, Any]:
            figures = {metric: 0.1 + 0.01 * seed for metric in METRICS}
            models = {
                name: {
                    "chosen": name,
                    "validation_average_precision": 0.5 if name == "l3" else 0.1,
                    "metrics": dict(figures),
                }
                for name in ("gae", *BASELINES)
            }
            models["common-neighbors"]["metrics"] = {metric: 0.9 for metric in METRICS}  # best on test alone
            models["degree"] = {"reason": "non-edges rank above edges"}
            sizes = {"train": 800, "validation": 50, "calibration": 50, "test": 100}
            return {"seed": seed, "message_graph": "", "split": sizes, "graph": {}, "candidates": {}, "models": models}

        found = compared(Plan(("gae",), 2, FitConfig()), [split(0), split(1)], {})
        assert found["best_baseline"]["name"] == "l3"
        degree = next(row for row in found["models"] if row["name"] == "degree")
        assert degree["metrics"]["roc_auc"]["value"] is None
        assert "non-edges rank above edges" in degree["metrics"]["roc_auc"]["reason"]

    def test_broken_off_and_gone_on_with_it_is_the_same_and_measures_no_split_twice(
        self, communities, tmp_path, monkeypatch
    ) -> None:
        whole = compare_models(communities, self.plan, tmp_path / "whole")
        seeds: list[int] = []
        honest = comparing.evaluate_models

        def stopping(graph, names, config, **more):
            seeds.append(config.seed)
            if seeds == [5, 6]:
                raise KeyboardInterrupt
            return honest(graph, names, config, **more)

        monkeypatch.setattr(comparing, "evaluate_models", stopping)
        out = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            compare_models(communities, self.plan, out)
        with pytest.raises(OptionError, match="begun with other splits"):
            compare_models(communities, Plan(("l3", "gae"), 3, self.plan.config), out, resume=True)
        assert compare_models(communities, self.plan, out, resume=True) == whole
        assert seeds == [5, 6, 6]
        with pytest.raises(RunExists, match="--force"):
            compare_models(communities, self.plan, out)

    def test_what_is_no_comparison_is_left_alone(self, communities, tmp_path) -> None:
        (tmp_path / "out").mkdir()
        with pytest.raises(RunExists, match="no comparison"):
            compare_models(communities, self.plan, tmp_path / "out", force=True)
        (tmp_path / "new.partial").mkdir()
        with pytest.raises(RunExists, match="not what an interrupted comparison left"):
            compare_models(communities, self.plan, tmp_path / "new")
        folder = tmp_path / "damaged.partial"
        (folder / "splits").mkdir(parents=True)
        (folder / "settings.json").write_text("{")
        with pytest.raises(BrokenRun, match="unreadable"):
            compare_models(communities, self.plan, tmp_path / "damaged", resume=True)

    @pytest.mark.parametrize(
        ("models", "splits", "said"),
        [(("gea",), 5, "'gea'"), ((), 5, "not none"), (("gae", "gae"), 5, "twice"), (("gae",), 1, "2 or more")],
    )
    def test_a_plan_that_makes_no_sense_is_refused(self, models, splits, said) -> None:
        with pytest.raises(OptionError, match=said):
            Plan(models, splits, FitConfig())


class TestTheCommand:
    def test_takes_every_option_of_fit_that_makes_sense(self) -> None:
        of_one_run = {"model", "checkpoint_every", "tensorboard", "mlflow", "tune"}
        of_one_run |= {
            "time",
            "weight",
            "weight_as",
            "relation",
            "predict_kind",
            "label",
        }  # its splits are random, its edges alike
        of_one_run |= {"engine", "memory"}  # it holds its graph in memory
        of_fit, ours = (set(inspect.signature(command).parameters) for command in (fit, compare))
        assert of_fit - of_one_run <= ours
        assert ours - of_fit == {"models", "splits", "protocol", "protocol_files"}

    def test_prints_a_table_or_json(self, communities, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr("linkodds.fitting.fit.LADDER", ("gae", "vgae"))
        lines = [",".join(pair) for pair in communities.ids[communities.edges]]
        (edges := tmp_path / "edges.csv").write_text("\n".join(["source,target", *lines]) + "\n")
        given = ["compare", str(edges), "--models", "auto", "--splits", "2", "--folds", "1", "--threads", "1"]
        given += ["--hidden", "8", "--dim", "4", "--epochs", "5"]
        table = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "a")])
        assert table.exit_code == 0, table.output
        assert "corrected resampled t interval" in table.stdout
        assert "1 : 16.8" in table.stdout
        document = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "b"), "--json"])
        assert document.exit_code == 0, document.output
        found = json.loads(document.stdout)
        assert found["format"] == "linkodds.comparison/1"
        assert found == json.loads((tmp_path / "a" / "comparison.json").read_text())
        assert len(found["models"][0]["chosen"]) == 2


class TestProtocols:
    def test_a_paper_s_protocol_has_its_metrics_and_a_figure(self, communities, tmp_path: Path) -> None:
        plan = Plan(("linear-gae", "auto"), 2, FitConfig(seed=5, **QUICK), protocol="ncn")
        found = compare_models(communities, plan, tmp_path / "out")
        assert found["protocol"]["key"] == "ncn"
        assert found["protocol"]["num_test"] == round(0.2 * communities.num_edges)
        names = ["linear-gae", "auto", *(name for name in BASELINES if name != "feature-cosine")]
        assert [row["name"] for row in found["models"]] == names
        for row in found["models"]:
            assert list(row["metrics"]) == ["hits_at_100", "roc_auc", "base_rate_average_precision"]
            assert all(0 < value < 1 for value in row["metrics"]["roc_auc"]["splits"])
        chosen = dict(zip(names, found["models"], strict=True))["auto"]["chosen"]
        assert all(each in (*LADDER, *BASELINES) or each.startswith("the mean of ") for each in chosen)
        figure = ElementTree.fromstring((tmp_path / "out" / "comparison.svg").read_text())
        title = figure.find("{http://www.w3.org/2000/svg}title")
        assert title is not None
        assert f"linear-gae {found['models'][0]['metrics']['hits_at_100']['value']:.3g} (" in str(title.text)

    def test_training_does_not_learn_what_is_ranked_against(self, communities) -> None:
        """Other non-edges, the same model: their draw reaches nothing but the figures."""
        trial = deal(communities, PROTOCOLS["kipf"], np.random.SeedSequence(0))
        other = replace(trial, test_non_edges=trial.test_non_edges[::-1] * 0 + [[0, 149]])
        config = FitConfig(**QUICK)
        one, two = (try_models(communities, each, ["gae"], config)["gae"] for each in (trial, other))
        assert one.base_rate_average_precision == two.base_rate_average_precision
        assert one.validation == two.validation
        assert one.test != two.test

    @pytest.mark.parametrize("protocol", ["seal", "kipf"])
    def test_validation_edges_are_fitted_on_where_the_paper_has_none_and_the_test_edges_never(
        self, communities, monkeypatch, protocol
    ) -> None:
        trial = deal(communities, PROTOCOLS[protocol], np.random.SeedSequence(0))
        small, seen = StackOptions(folds=2, zeros=500, broad_rounds=5, close_rounds=5), []

        def fit_small(split, *given, **named):
            seen.append((split, named.get("offset")))
            return fit_stack(split, *given, **(named | {"hidden": None, "options": small}))

        monkeypatch.setattr(stack_family, "fit_stack", fit_small)
        found = try_models(communities, trial, ["stack"], FitConfig(threads=1))["stack"]
        dealt = trial.split
        assert seen[0][0].train.tolist() == dealt.train.tolist()
        assert len(seen) == (2 if protocol == "seal" else 1)
        last, offset = seen[-1]
        assert len(last.train) == len(dealt.train) + (len(dealt.validation) if protocol == "seal" else 0)
        assert not dealt.space.contains(last.train, dealt.test).any()
        assert (offset is not None) == (protocol == "seal")  # what was chosen stays
        assert 0.5 < found.test["roc_auc"] <= 1

    def test_a_baseline_is_what_papers_count(self, communities) -> None:
        trial = deal(communities, PROTOCOLS["kipf"], np.random.SeedSequence(0))
        found = try_models(communities, trial, ["common-neighbors"], FitConfig())["common-neighbors"]
        assert found.test == trial.figures(baseline_scorer("common-neighbors", trial.split), "test")

    def test_a_baseline_counts_on_the_validation_edges_too_where_the_paper_has_none(self, communities) -> None:
        trial = deal(communities, PROTOCOLS["seal"], np.random.SeedSequence(0))
        found = try_models(communities, trial, ["common-neighbors"], FitConfig())["common-neighbors"]
        assert sorted(trial.final_split.train.tolist()) == sorted(
            [*trial.split.train.tolist(), *trial.split.validation.tolist()]
        )
        less, more = (baseline_scorer("common-neighbors", each) for each in (trial.split, trial.final_split))
        assert found.test == trial.figures(more, "test") != trial.figures(less, "test")
        assert found.validation == trial.figures(less, "validation")

    def test_what_is_refused_before_any_split_is_done_leaves_nothing(self, tmp_path: Path) -> None:
        tiny = Graph.from_edges([("a", "b"), ("b", "c")])
        with pytest.raises(OptionError, match="2 edges leave 0"):
            compare_models(tiny, Plan(("degree",), 2, FitConfig(), "seal"), tmp_path / "out")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"protocol": "sael"}, "'sael'"),
            ({"protocol": "heart"}, "--protocol-files"),
            ({"protocol": "seal", "protocol_files": Path()}, "deals its splits itself"),
            ({"protocol": "seal", "config": FitConfig(folds=5)}, "--folds"),
        ],
    )
    def test_what_a_protocol_cannot_have_is_refused(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(OptionError, match=said):
            Plan(**{"models": ("gae",), "splits": 2, "config": FitConfig()} | options)
