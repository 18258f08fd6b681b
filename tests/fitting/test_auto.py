"""Auto: what it tries within a budget, what it takes, and the mean of a few, with planted answers."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
import yaml

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun
from linkodds.fitting import auto
from linkodds.fitting.auto import choose
from linkodds.fitting.averaging import best_mean, mean_of
from linkodds.fitting.fit import Fit
from linkodds.fitting.model_selection import HELD_OUT, ModelCandidate, ModelSelection
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import split_edges
from linkodds.links.inference import find_links
from linkodds.metrics.metrics import average_precision
from linkodds.models.families import family_of
from linkodds.models.families import stack as stack_family
from linkodds.models.families.family import SavedModel
from linkodds.models.structural.masked_edges import StackOptions
from linkodds.models.structural.stack import fit_stack
from linkodds.models.structural.structural_costs import StackSizes, stack_work
from linkodds.models.training.cost_model import nominal_seconds
from linkodds.models.training.history import Epoch
from linkodds.models.training.training_loop import TrainedModel
from linkodds.pairs import PairSpace
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import load_run
from linkodds.runs.run_directory import PartialRun
from linkodds.scorers.scoring import InnerProductScorer, Scorer

QUICK: dict[str, Any] = {"hidden": 8, "dim": 4, "epochs": 20, "validate_every": 5, "threads": 1}
SMALL = StackOptions(folds=2, zeros=2000, broad_rounds=5, close_rounds=5)
CPU = torch.device("cpu")


def selection_on(graph: Graph, config: FitConfig) -> ModelSelection:
    return Fit.of(graph, config, device=CPU).select_models()


def two_signals() -> tuple[Graph, np.ndarray, np.ndarray]:
    """350 nodes; the log odds of a pair are the sum of two inner products, which know nothing of each other."""
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=(350, 8)).astype(np.float32) for _ in range(2))
    space = PairSpace(350)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    logits = sum((z[pairs[:, 0]] * z[pairs[:, 1]]).sum(axis=1) for z in (a, b))
    edges = pairs[rng.random(len(pairs)) < 1 / (1 + np.exp(7.5 - logits))]
    return Graph(np.array([str(i) for i in range(350)], dtype=object), edges, space), a, b


def planted(selection: ModelSelection, name: str, z: np.ndarray) -> ModelCandidate:
    scorer = InnerProductScorer(z, z, 1.0, 0.0)
    fitted = None
    if not family_of(name).is_baseline:
        fitted = TrainedModel(name, scorer, {"z": z}, (), 0, 1.0, "all-pairs", 0.0, False, ())
    return ModelCandidate(name, scorer, fitted, selection.setup.held_out(scorer, selection.setup.split, HELD_OUT))


class TestTheMean:
    def test_of_two_independent_signals_is_better_than_both_and_weighs_them_as_they_were_planted(self) -> None:
        graph, a, b = two_signals()
        selection = selection_on(graph, FitConfig(folds=1, split=(0.4, 0.2, 0.2, 0.2)))
        members = [planted(selection, "gae", a), planted(selection, "resource-allocation", 3 * b)]
        mean = best_mean(selection, members)
        assert mean is not None
        for part in HELD_OUT:
            best = max(average_precision(each.parts[part]) for each in members)
            assert average_precision(mean.parts[part]) > 1.3 * best
        slopes = mean.scorer.slopes  # type: ignore[attr-defined]
        assert slopes[0] / slopes[1] == pytest.approx(9, rel=0.35)  # scales of 1 and 9: three times b at both ends

    def test_is_not_taken_where_the_second_is_noise(self) -> None:
        graph, a, b = two_signals()
        selection = selection_on(graph, FitConfig(folds=1, split=(0.4, 0.2, 0.2, 0.2)))
        both = planted(selection, "gae", np.concatenate([a, b], axis=1))
        noise = np.random.default_rng(2).normal(size=a.shape).astype(np.float32)
        weak = planted(selection, "vgae", (0.3 * a + noise).astype(np.float32))
        assert best_mean(selection, [both, weak]) is None

    def test_few_validation_edges_or_folds_leave_it_out(self, communities: Graph) -> None:
        for folds in (1, 2):
            selection = selection_on(communities, FitConfig(folds=folds))
            assert selection.setup.split.validation.shape[0] < 50
            z = np.random.default_rng(0).normal(size=(150, 2)).astype(np.float32)
            assert best_mean(selection, [planted(selection, "gae", z), planted(selection, "l3", z)]) is None


class TestTheChoice:
    def with_candidates(self, monkeypatch, selection: ModelSelection, logits: dict[str, np.ndarray]):
        """Auto's outcome where the contenders have planted embeddings; all that are not named rank at random."""
        rng = np.random.default_rng(5)

        def contend(self, name, *_, **__):
            self.fitting.ledger.spent[name] = 0.0
            return planted(self, name, logits.get(name, rng.normal(size=(350, 8)).astype(np.float32)))

        monkeypatch.setattr(ModelSelection, "fit_candidate", contend)
        return choose(selection)

    def test_a_count_that_is_the_truth_wins_and_it_is_said(self, monkeypatch) -> None:
        graph, a, b = two_signals()
        selection = selection_on(graph, FitConfig(folds=1, degree_calibration="no"))
        truth = np.concatenate([a, b], axis=1)
        outcome = self.with_candidates(monkeypatch, selection, {"resource-allocation": truth, "gae": a})
        assert outcome.winner.name == "resource-allocation"
        assert "No model beat counting here" in outcome.findings[0].message

    def test_counting_as_good_is_said_and_counting_far_behind_is_not(self, monkeypatch) -> None:
        graph, a, b = two_signals()
        selection = selection_on(graph, FitConfig(folds=1, degree_calibration="no"))
        truth, rng = np.concatenate([a, b], axis=1), np.random.default_rng(0)
        one, other = ((truth + 0.2 * rng.normal(size=truth.shape)).astype(np.float32) for _ in range(2))
        monkeypatch.setattr(auto, "best_mean", lambda *_: None)
        worse, better = sorted((one, other), key=lambda z: planted(selection, "l3", z).validation_ap)
        equal = self.with_candidates(monkeypatch, selection, {"resource-allocation": worse, "signed-gae": better})
        assert equal.winner.name == "signed-gae"
        assert "Counting is as good here" in equal.findings[0].message
        behind = self.with_candidates(monkeypatch, selection, {"resource-allocation": a, "signed-gae": truth})
        assert behind.winner.name == "signed-gae"
        assert "ounting" not in behind.findings[0].message

    def test_a_count_that_is_ahead_by_luck_comes_after_the_best_model(self, monkeypatch) -> None:
        graph, a, b = two_signals()
        selection = selection_on(graph, FitConfig(folds=1, degree_calibration="no"))
        truth, rng = np.concatenate([a, b], axis=1), np.random.default_rng(0)
        one, other = ((truth + 0.2 * rng.normal(size=truth.shape)).astype(np.float32) for _ in range(2))
        by_ap = sorted((one, other), key=lambda z: planted(selection, "l3", z).validation_ap)
        monkeypatch.setattr(auto, "best_mean", lambda *_: None)
        outcome = self.with_candidates(monkeypatch, selection, {"signed-gae": by_ap[0], "l3": by_ap[1]})
        assert outcome.candidates["l3"].validation_ap > outcome.candidates["signed-gae"].validation_ap
        assert outcome.winner.name == "signed-gae"
        assert "signed-gae is below l3 by" in outcome.findings[0].message
        # The control: the model it is ahead of by far.
        outcome = self.with_candidates(monkeypatch, selection, {"signed-gae": a, "l3": by_ap[1]})
        assert outcome.winner.name == "l3"


class TestTheBudget:
    def test_a_stack_that_does_not_fit_is_named_with_its_seconds(self, communities: Graph, monkeypatch) -> None:
        monkeypatch.setattr("linkodds.fitting.fit.LADDER", ("stack", "signed-gae", "vgae", "gae"))
        split = split_edges(communities, rng=np.random.default_rng(0))
        budget = 0.9 * nominal_seconds(stack_work(StackSizes.of(split, None)))
        run = fit_graph(communities, FitConfig(folds=1, time_budget=budget, **QUICK))
        (finding,) = [each for each in run.evaluation.findings if "did not try" in each.message]
        needed = nominal_seconds(stack_work(StackSizes.of(run.split, None)))
        assert finding.message.startswith(
            f"auto did not try stack (about {needed:.2g} s, of which {budget:.2g} s are left)."
        )
        assert {*run.config["epochs_allowed"]} == {"signed-gae", "vgae", "gae"}
        assert sum(run.config["seconds_counted"].values()) < budget
        assert "stack" not in run.config["seconds_counted"]

    def test_without_any_budget_to_speak_of_it_counts(self, communities: Graph) -> None:
        run = fit_graph(communities, FitConfig(folds=1, time_budget=1e-6, **QUICK))
        assert family_of(run.model).is_baseline
        (finding,) = [each for each in run.evaluation.findings if "did not try" in each.message]
        for name in auto.LADDER:
            assert f"{name} (about" in finding.message

    def test_a_budget_in_the_middle_shortens_and_what_is_left_goes_to_the_next(
        self, communities: Graph, monkeypatch
    ) -> None:
        monkeypatch.setattr(auto, "LADDER", ("signed-gae", "gae"))
        monkeypatch.setattr("linkodds.fitting.fit.LADDER", ("signed-gae", "gae"))
        long = {**QUICK, "epochs": 1000, "patience": 1000}
        alone = selection_on(communities, FitConfig(folds=1, **long)).fitting
        e = {name: alone.seconds_needed(name) / 1000 for name in ("signed-gae", "gae")}
        budget = 30.5 * e["signed-gae"] + 1e-9
        run = fit_graph(communities, FitConfig(folds=1, time_budget=budget, **long))
        assert run.config["epochs_allowed"] == {"signed-gae": 30}
        assert 30 * e["signed-gae"] <= run.config["seconds_counted"]["signed-gae"] <= budget
        assert "did not try gae" in " ".join(each.message for each in run.evaluation.findings)
        enough = 1000.5 * (e["signed-gae"] + e["gae"])
        both = fit_graph(communities, FitConfig(folds=1, time_budget=enough, **{**long, "patience": 50}))
        assert both.config["epochs_allowed"] == {"signed-gae": 1000, "gae": 1000}

    def test_the_trainings_of_other_folds_have_their_share_of_it(self, communities: Graph) -> None:
        """Of three folds each gets a third; their graphs have fewer edges, so an epoch costs less, but not half."""
        allowed = {}

        def started(_name: str, epochs: int, _history: Sequence[Epoch]) -> None:
            allowed[folds] = epochs
            raise KeyboardInterrupt  # what it costs to train does not matter here

        for folds in (1, 3):
            options = {**QUICK, "epochs": 10**6}
            config = FitConfig(model="gae", weight_decay=0.0, folds=folds, time_budget=2.0, **options)
            with pytest.raises(KeyboardInterrupt):
                fit_graph(communities, config, on_start=started)
        assert 100 < allowed[1] < 10**6
        assert allowed[1] / 3 < allowed[3] < 2 * allowed[1] / 3


class TestASavedMean:
    @pytest.fixture
    def saved(self, communities: Graph, tmp_path: Path, monkeypatch):
        """A mean of all kinds of members, which is forced to win."""
        names = ("stack", "gae", "resource-allocation")

        def forced(selection, ranked):
            members = [next(each for each in ranked if each.name == name) for name in names]
            return mean_of(selection, members, [(1.0, 0.0), (0.5, -1.0), (2.0, 0.25)], 1.0, 1.0)

        monkeypatch.setattr(auto, "best_mean", forced)
        monkeypatch.setattr("linkodds.fitting.fit.LADDER", ("stack", "gae"))
        monkeypatch.setattr(stack_family, "fit_stack", partial(fit_stack, options=SMALL))
        config = FitConfig(folds=1, degree_calibration="yes", **QUICK)
        return fit_graph(communities, config, partial=PartialRun(tmp_path / "run", force=False)), tmp_path / "run"

    def test_is_the_same_when_loaded_and_in_blocks_and_a_spoilt_one_is_refused(self, saved) -> None:
        run, path = saved
        loaded = load_run(path)
        everything = slice(0, 150), slice(0, 150)
        block = loaded.scorer.block(*everything)
        np.testing.assert_array_equal(block, run.scorer.block(*everything))
        test = run.split.test
        np.testing.assert_array_equal(loaded.scorer.logits(test).astype(np.float32), block[test[:, 0], test[:, 1]])
        assert (loaded.model, loaded.evaluation.model["name"]) == ("auto", "auto")
        assert loaded.evaluation.model["members"] == ["stack", "gae", "resource-allocation"]
        assert [each["slope"] for each in loaded.config["members"]] == [1.0, 0.5, 2.0]
        found, again = (find_links(each, MissingLinksAssumption().deployment(each), top=20) for each in (run, loaded))
        assert found.equals(again)
        self.spoil(path)

    def spoil(self, path: Path) -> None:
        """Another hash would tell, so the checks behind it are asked."""
        import linkodds.runs.record as record

        config, weights = yaml.safe_load((path / "config.yaml").read_text()), path / "model.safetensors"
        arrays, split = safetensors.numpy.load_file(weights), load_run(path).split
        members = config["members"]
        saved = SavedModel(split, {})

        def mean(members: list[dict[str, Any]], weights: dict[str, np.ndarray]) -> Scorer:
            return record._mean_scorer(members, replace(saved, weights=weights))

        assert mean(members, weights=arrays).slopes == (1.0, 0.5, 2.0)
        for spoilt, message in (
            ([{**members[0], "model": "auto"}], "'auto', which is no model"),
            ([{**members[0], "model": "../x"}], "which is no model"),
            (members * 3, "9 members"),
            ([{**members[2], "slope": 0.0}], "slope above 0"),
            ([{**members[2], "intercept": float("nan")}], "finite intercept"),
            ([], "at least one member"),
        ):
            with pytest.raises((BrokenRun, ValueError), match=message):
                mean(spoilt, weights=arrays)
        key = "member-2.embeddings.source"
        for array in (arrays[key][:-1], arrays[key] * np.nan, arrays[key].astype(np.float64)):
            with pytest.raises(BrokenRun, match="nodes of this graph"):
                mean(members, weights=arrays | {key: array})
        for decoder in ([1.0, np.inf, 0], [1.0, 0.0, 5], [1.0, 0.0, 0.5]):
            with pytest.raises(BrokenRun, match="no decoder"):
                mean(members, weights=arrays | {"member-2.embeddings.decoder": np.array(decoder)})
