"""The search among options: what is open, what it costs, what it takes, and how much of it is luck."""

import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from linkodds.config import FitConfig
from linkodds.errors import OptionError
from linkodds.estimator import LinkPredictor
from linkodds.fitting.pipeline import evaluate_models, fit_graph, fit_run
from linkodds.fitting.tuning import optimism
from linkodds.graph.features import Features
from linkodds.models.families import family_of
from linkodds.runs.record import load_run

TINY = {"model": "gae", "epochs": 20, "folds": 1, "threads": 1, "hidden": 16, "tune": 5}


def space_of(name, **options):
    return family_of(name).searched_options(FitConfig(**options), is_all_pairs=True, has_features=True)


def written(graph, folder):
    path = folder / "edges.csv"
    path.write_text("a,b\n" + "".join(f"{u},{v}\n" for u, v in graph.ids[graph.edges]), encoding="utf-8")
    return path


class TestSpace:
    def test_each_model_has_its_own_options(self):
        assert {"hidden", "dropout"} <= set(space_of("gae"))
        assert "beta" in space_of("vgae")
        assert "beta" not in space_of("gae")
        assert set(space_of("signed-gae")) == {"learning_rate", "dim", "penalty", "with_features"}
        assert set(space_of("signed-vgae")) == set(space_of("signed-gae"))  # beta has nothing to weigh there
        assert "positive_weight" not in family_of("gae").searched_options(
            FitConfig(), is_all_pairs=False, has_features=True
        )

    def test_a_given_option_is_kept_even_at_its_default(self):
        assert "dropout" not in space_of("gae", dropout=0.5)
        assert "penalty" not in space_of("signed-gae", weight_decay=0.01)
        assert "dim" in space_of("gae", dim=None)
        assert "positive_weight" in space_of("gae", positive_weight="auto")

    def test_the_defaults_are_in_every_space(self):
        for name in ("gae", "vgae", "linear-gae", "linear-vgae"):
            defaults = family_of(name).options(FitConfig())
            for option, domain in space_of(name).items():
                value = getattr(defaults, option)
                assert value in domain if isinstance(domain, tuple) else domain.low <= value <= domain.high


class TestOptimism:
    def test_of_noise_is_what_the_best_of_as_many_draws_gains(self):
        """The mean of the largest of 10 standard normal draws is 1.539; edges drawn anew double the variance."""
        rng = np.random.default_rng(0)
        found = [optimism(rng.normal(size=(10, 100)), rng) for _ in range(20)]
        assert 1.539 / 10 < np.mean(found) < 1.539 * np.sqrt(2) / 10 * 1.2

    def test_of_one_that_is_far_ahead_is_nothing(self):
        rng = np.random.default_rng(1)
        ahead = rng.normal(size=(10, 400)) + np.array([5.0] + [0.0] * 9)[:, None]
        assert abs(optimism(ahead, rng)) < 0.05  # a standard error of the mean


class TestRefusals:
    @pytest.mark.parametrize("model", ["auto", "stack", "degree", "feature-cosine"])
    def test_models_without_options(self, communities, model):
        with pytest.raises(OptionError, match="--tune"):
            fit_graph(communities, FitConfig(model=model, tune=3))

    def test_nothing_left_open(self, communities):
        given = {"learning_rate": 0.01, "dim": 8, "dropout": 0.1, "weight_decay": 0.0, "positive_weight": "none"}
        with pytest.raises(OptionError, match="leave some open"):
            fit_graph(communities, FitConfig(**TINY, **given))

    def test_without_optuna(self, communities, monkeypatch):
        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(OptionError, match=r"pip install 'linkodds\[tune\]'"):
            fit_graph(communities, FitConfig(**TINY))

    def test_a_comparison(self, communities):
        with pytest.raises(OptionError, match="comparison"):
            evaluate_models(communities, ["gae"], FitConfig(**TINY))


class TestFit:
    def test_takes_the_best_trial_and_says_what_it_was(self, communities):
        """With 20 epochs the default learning rate is far too low; a search that finds no better one is broken."""
        run = fit_graph(communities, FitConfig(**TINY))
        trials = run.trials
        whole = trials.filter(pl.col("state") == "complete")
        best = whole["validation_average_precision"].max()
        taken = trials.filter(pl.col("is_taken"))
        assert len(trials) == 5
        assert taken["validation_average_precision"].to_list() == [best]
        assert trials["learning_rate"][0] == 0.01
        assert best > 1.2 * trials["validation_average_precision"][0]
        assert run.config["tuning"]["options"]["learning_rate"] == taken["learning_rate"][0]
        assert run.config["options_of_model"]["learning_rate"] == taken["learning_rate"][0]
        assert run.config["options"]["hidden"] == 16
        assert "hidden" not in trials.columns
        (finding,) = [each for each in run.evaluation.findings if each.id == "tuning"]
        assert "validation edges chose" in finding.message

    def test_same_seed_same_bytes_also_when_interrupted(self, communities, tmp_path):
        edges, config = written(communities, tmp_path), FitConfig(**TINY, checkpoint_every=3)
        fit_run(edges, tmp_path / "whole", config)
        seen = 0

        def interrupt(_):
            nonlocal seen
            seen += 1
            if seen == 47:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit_run(edges, tmp_path / "cut", config, on_epoch=interrupt)
        again = FitConfig(**config.model_dump())  # as the command line has it: all options count as given
        fit_run(edges, tmp_path / "cut", again, resume=True)
        for name in ("evaluation.json", "tuning.csv", "model.safetensors", "config.yaml"):
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
        assert load_run(tmp_path / "whole").trials["trial"].to_list() == [1, 2, 3, 4, 5]

    def test_a_time_budget_is_for_all_trials(self, communities):
        run = fit_graph(communities, FitConfig(**TINY | {"tune": 1000, "time_budget": 0.05}))
        assert len(run.trials) < 1000
        assert run.config["seconds_counted"]["gae"] <= 0.05
        (finding,) = [each for each in run.evaluation.findings if each.id == "tuning"]
        assert "and not for 1000" in finding.message

    def test_signed_gae_with_folds_and_features(self, communities):
        values = np.random.default_rng(0).normal(size=(150, 4)).astype(np.float32)
        graph = replace(communities, features=Features(values, "none"))
        run = fit_graph(graph, FitConfig(**TINY | {"model": "signed-gae", "tune": 2, "folds": 2}))
        assert run.config["weight_decay"] == run.config["tuning"]["options"]["weight_decay"] > 0
        assert run.evaluation.model["folds"] == 2

    def test_the_estimator_searches_what_it_was_not_told(self, communities):
        predictor = LinkPredictor(model="linear-gae", epochs=10, folds=1, threads=1, dim=8, tune=2).fit(communities)
        assert "dim" not in predictor.run_.trials.columns
        assert "dropout" in predictor.run_.trials.columns
