"""Cross-fitting: the mean of the models of all folds, and edges that calibrate it as unseen pairs would."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linkodds.config import FitConfig
from linkodds.estimator import LinkPredictor
from linkodds.fitting.model_selection import ModelSelection
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.inference import find_links
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import calibration_line
from linkodds.pairs import PairSpace
from linkodds.probability.calibration import Calibrator, on_the_scale_of_the_mean
from linkodds.probability.decision import decide, parse_rule
from linkodds.runs.missing_links import MissingLinksAssumption, decision_of
from linkodds.runs.record import load_run
from linkodds.scorers.scoring import InnerProductScorer, MeanScorer, mean_inner_product
from linkodds.search.pair_search import find_pairs
from places import CHECK_RUN

QUICK = {"hidden": 16, "dim": 8, "epochs": 20, "threads": 1}


class TestMeanOfScorers:
    rng = np.random.default_rng(0)
    space = PairSpace(40)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))

    def scorer(self, dim: int, scale: float, bias: float, *, directed: bool = False) -> InnerProductScorer:
        source = self.rng.normal(size=(40, dim)).astype(np.float32)
        target = self.rng.normal(size=(40, dim)).astype(np.float32) if directed else source
        return InnerProductScorer(source, target, scale, bias)

    @pytest.mark.parametrize("directed", [False, True])
    def test_of_inner_products_is_the_mean_logit(self, directed: bool) -> None:
        """float32 vectors: each product is off by some 2**-24 of it, a few hundredfold in sums of up to 20."""
        scorers = [self.scorer(dim, *scale_and_bias, directed=directed) for dim, *scale_and_bias in
                   ((4, 2.0, -1.0), (3, 0.5, -4.0), (4, 1.5, -2.5))]  # fmt: skip
        mean = mean_inner_product(scorers)
        expected = np.mean([scorer.logits(self.pairs) for scorer in scorers], axis=0)
        np.testing.assert_allclose(mean.logits(self.pairs), expected, atol=1e-5)
        assert (mean.target is mean.source) == (not directed)
        assert mean.source.shape == (40, 11)

    def test_blocks_and_logits_agree_to_the_bit(self) -> None:
        mean = MeanScorer((self.scorer(4, 2.0, -1.0), self.scorer(4, 0.7, -3.0), self.scorer(4, 1.1, 0.0)))
        block = mean.block(slice(0, 40), slice(0, 40))
        np.testing.assert_array_equal(
            block[self.pairs[:, 0], self.pairs[:, 1]], mean.logits(self.pairs).astype(np.float32)
        )


class TestOnTheScaleOfTheMean:
    """Single models see signal + noise of their own; their mean sees less noise. Moved logits must calibrate the mean."""

    folds, num_edges, num_validation = 5, 4000, 400

    def samples(self, seed: int) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Logits of unseen edges by the mean, of fold edges and validation edges by single models, of both by the mean."""
        rng = np.random.default_rng(seed)

        def drawn(count: int, shift: float) -> np.ndarray:
            return shift + rng.normal(size=count) + rng.normal(size=(self.folds, count))

        validation = drawn(self.num_validation, 2.0)
        fold_edges = [drawn(self.num_edges // self.folds, 2.0)[k] for k in range(self.folds)]
        return drawn(100_000, 2.0).mean(axis=0), fold_edges, list(validation), drawn(200_000, 0.0).mean(axis=0)

    def test_edges_of_single_models_calibrate_the_mean_once_they_are_moved(self) -> None:
        """Slope of fresh edges on the moved fit is 1 within 4 standard errors of the fits; unmoved, it is off beyond."""
        slopes: dict[str, list[float]] = {"moved": [], "as they are": []}
        for seed in range(6):
            test, fold_edges, validation, non_edges = self.samples(seed)
            of_mean = np.mean(validation, axis=0)
            moved = [on_the_scale_of_the_mean(z, v, of_mean) for z, v in zip(fold_edges, validation, strict=True)]
            truth = calibration_line(HeldOut.from_logits(test, non_edges, len(non_edges)), lambda z: z)
            assert truth is not None
            for name, edges in (("moved", moved), ("as they are", fold_edges)):
                line = calibration_line(
                    HeldOut.from_logits(np.concatenate(edges), non_edges, len(non_edges)), lambda z: z
                )
                assert line is not None
                slopes[name].append(truth.slope / line.slope)
        error = {name: np.std(values, ddof=1) / np.sqrt(len(values)) for name, values in slopes.items()}
        assert abs(np.mean(slopes["moved"]) - 1) < 4 * error["moved"] + 0.005
        assert abs(np.mean(slopes["as they are"]) - 1) > 4 * error["as they are"] + 0.005

    def test_a_model_that_is_the_mean_moves_nothing(self) -> None:
        z, validation = np.linspace(-3, 5, 7), np.linspace(-1, 4, 20)
        np.testing.assert_allclose(on_the_scale_of_the_mean(z, validation, validation), z)
        np.testing.assert_allclose(on_the_scale_of_the_mean(z, validation, validation, are_counts=True), z)

    def test_counts_of_nothing_stay_nothing_and_few_or_equal_edges_keep_their_spread(self) -> None:
        moved = on_the_scale_of_the_mean(
            np.array([0.0, 2.0]), np.array([0.0, 1.0]), np.array([0.0, 0.5]), are_counts=True
        )
        np.testing.assert_allclose(moved, [0.0, 1.0])
        np.testing.assert_allclose(
            on_the_scale_of_the_mean(np.array([0.0]), np.zeros(3), np.zeros(3), are_counts=True), 0
        )
        few = on_the_scale_of_the_mean(np.array([0.0, 2.0]), np.array([0.0, 1.0]), np.array([5.0, 5.5]))
        np.testing.assert_allclose(few, [4.75, 6.75])
        alike = on_the_scale_of_the_mean(np.array([0.0, 2.0]), np.ones(50), np.full(50, 3.0))
        np.testing.assert_allclose(alike, [2.0, 4.0])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, LinkPredictor, Path]:
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(6), 25)
    u, v = np.triu_indices(len(group), k=1)
    is_edge = rng.random(len(u)) < np.where(group[u] == group[v], 0.3, 0.01)
    ids = np.array([f"node{i}" for i in range(len(group))], dtype=object)
    graph = Graph(ids, np.column_stack([u[is_edge], v[is_edge]]).astype(np.int64), PairSpace(len(group)))
    predictor = LinkPredictor(model="gae", folds=3, hidden=16, dim=8, epochs=60, threads=1).fit(graph)
    return graph, predictor, predictor.save(tmp_path_factory.mktemp("folds") / "run")


class TestARun:
    def test_is_read_back_and_predicts_and_finds_the_same(self, fitted) -> None:
        graph, predictor, path = fitted
        run, read = predictor.run_, load_run(path)
        pairs = graph.space.pair_of_rank(np.arange(0, graph.space.num_pairs, 7))
        np.testing.assert_array_equal(read.scorer.logits(pairs), run.scorer.logits(pairs))
        assert predictor.embeddings_.shape == (150, 24)
        assert {name.partition(".")[0] for name in read.weights} == {"fold-1", "fold-2", "fold-3"}
        assert read.split.folds == read.calibration[0].num_models == read.evaluation.model["folds"] == 3
        deployment = MissingLinksAssumption().deployment(read)
        found = find_links(read, deployment, top=20)
        assert found.equals(predictor.find_links(top=20))
        best = find_pairs(run.scorer, run.split.recorded(), top=20)
        assert found["source"].to_list() == graph.ids[best.pairs[:, 0]].tolist()
        assert LinkPredictor.load(path).get_params()["folds"] == 3

    def test_holds_to_the_contract(self, fitted) -> None:
        if not CHECK_RUN.exists():
            pytest.skip("needs the checker beside the checkout")
        result = subprocess.run([sys.executable, CHECK_RUN, fitted[2]], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout

    def test_promises_say_that_they_are_approximate(self, fitted) -> None:
        promise = decision_of(fitted[1].run_, "recall>=0.8").promise
        assert "Approximate: of 3 models, whose mean scores new pairs, each edge was scored by the one" in promise

    def test_a_promise_is_kept_on_the_validation_edges_too(self) -> None:
        """Edges that were moved too high alone would promise too much; of either sample the stricter threshold counts."""
        rng = np.random.default_rng(0)
        non_edges = rng.normal(size=20_000)
        moved, unseen = rng.normal(4.0, 1.0, 800), rng.normal(2.5, 1.0, 60)
        first = replace(HeldOut.from_logits(moved, non_edges, len(non_edges)), num_models=3)
        second = HeldOut.from_logits(unseen, non_edges, len(non_edges))
        calibrator = Calibrator(1.0, -5.0, "platt", 0.01, 800, 20_000)
        for name, lowest in (("recall>=0.8", True), ("precision>=0.5", False)):
            both, one, other = (
                decide(parse_rule(name), samples, calibrator, num_test_edges=100)
                for samples in ([first, second], [first], [second])
            )
            strict = min if lowest else max
            assert both.threshold_logit == strict(one.threshold_logit, other.threshold_logit) == other.threshold_logit
            assert "the stricter of the two thresholds" in both.promise
        f1 = [decide(parse_rule("f1"), each, calibrator, num_test_edges=100) for each in ([first, second], [first])]
        assert f1[0] == f1[1]
        few = HeldOut.from_logits(unseen[:5], non_edges, len(non_edges))
        refused = decide(parse_rule("recall>=0.8"), [first, few], calibrator, num_test_edges=100)
        assert refused.threshold_logit is None
        assert refused.reason.startswith("on the validation edges, which no model was trained on, 5 calibration edges")

    def test_the_mean_is_of_models_that_have_not_seen_their_fold(self, fitted) -> None:
        """Control for the calibration sample: edges as the mean scores them, two of three models trained on each."""
        run = fitted[1].run_
        pool = np.concatenate([run.split.calibration, run.split.train])
        seen = run.scorer.logits(pool)
        unseen = run.calibration[0].edge_logits
        test = run.test.edge_logits
        error = np.hypot(test.std() / np.sqrt(len(test)), unseen.std() / np.sqrt(len(unseen)))
        assert abs(unseen.mean() - test.mean()) < 4 * error
        assert seen.mean() - test.mean() > 4 * error


def test_a_baseline_is_averaged_too_and_a_fit_asks_for_no_training_twice(communities, tmp_path) -> None:
    predictor = LinkPredictor(model="resource-allocation", folds=4, threads=1).fit(communities)
    run = predictor.run_
    assert isinstance(run.scorer, MeanScorer)
    read = load_run(predictor.save(tmp_path / "run"))
    pairs = communities.space.pair_of_rank(np.arange(0, communities.space.num_pairs, 7))
    np.testing.assert_array_equal(read.scorer.logits(pairs), run.scorer.logits(pairs))
    measured = run.evaluation.metrics["average_precision"].value
    assert run.evaluation.baselines["resource-allocation"].average_precision == measured


def test_the_first_fold_is_the_one_of_the_selection(communities, monkeypatch) -> None:
    trained: list[tuple[str, int]] = []
    contend = ModelSelection.fit_candidate

    def counting(self, name, split=None, fold=0, like=None, seconds=None):
        trained.append((name, fold))
        return contend(self, name, split, fold, like, seconds)

    monkeypatch.setattr(ModelSelection, "fit_candidate", counting)
    fit_graph(communities, FitConfig(model="gae", folds=3, **QUICK))
    assert [fold for name, fold in trained if name == "gae"] == [0, 1, 2]
