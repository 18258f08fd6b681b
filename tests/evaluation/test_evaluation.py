"""Evaluation: the keys and rules of evaluation.json on small graphs, and the curves beside it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from linkodds.errors import BrokenRun
from linkodds.evaluation.curves import MAX_POINTS, curves
from linkodds.evaluation.evaluation import FORMAT, STATEMENT, BaselineResult, Evaluation
from linkodds.evaluation.measure import evaluate
from linkodds.evaluation.temporal_metrics import new_node_rows
from linkodds.findings import Finding
from linkodds.graph.split import Split
from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.metrics.ranking import reciprocal_ranks
from linkodds.pairs import PairSpace
from linkodds.probability.calibration import Calibrator
from linkodds.probability.decision import Decision
from table_scorer import TableScorer

METRICS = {
    "roc_auc",
    "average_precision",
    "average_precision_lift",
    "r_precision",
    "best_f1",
    "precision_at_100",
    "hits_at_20",
    "hits_at_50",
    "hits_at_100",
    "mrr",
    "log_loss",
    "log_loss_skill",
    "brier_skill",
    "observed_over_expected",
    "calibration_slope",
    "calibration_intercept",
    "relative_ece",
    "degree_relative_ece",
}
SPACES = {
    "undirected": PairSpace(60),
    "directed": PairSpace(45, directed=True),
    "bipartite": PairSpace(90, sides=(40, 45)),
}


def measured(
    space: PairSpace, *, num_test: int = 50, sample: int | None = None, seed: int = 0
) -> tuple[Evaluation, HeldOut]:
    rng = np.random.default_rng(seed)
    edges = space.pair_of_rank(rng.choice(space.num_pairs, 150 + num_test, replace=False))
    split = Split(edges[num_test:-40], edges[-40:-20], edges[-20:], edges[:num_test], space)
    table = rng.normal(size=(space.num_nodes, space.num_nodes))
    table[split.test[:, 0], split.test[:, 1]] += 2.0
    if not space.directed:
        table = np.triu(table, 1) + np.triu(table, 1).T
    scorer, known = TableScorer(2 * table), split.recorded()
    excluded = np.concatenate([split.train, split.validation, split.calibration])
    test = HeldOut.from_scorer(
        scorer,
        split.test,
        NonEdges(known) if sample is None else draw_non_edges(known, sample, rng),
        classes=DegreeClasses.of(split.train, space, excluded=excluded),
        thresholds=(3.0, 1e6),
        message_graph_hash=split.message_graph_hash(),
    )
    calibrator = Calibrator(0.5, -4.0, "platt", test.prevalence, 20, 1000)
    decisions = [
        Decision("f1", 3.0, 0.1, 20),
        Decision("mcc", 1e6, 1.0, 20),
        Decision("precision>=0.9", None, None, 20, reason="20 edges cannot promise it"),
    ]
    evaluation = evaluate(
        test,
        calibrator,
        decisions,
        reciprocal_ranks=reciprocal_ranks(scorer, split.test, known),
        split=split,
        model={"name": "vgae", "num_parameters": 7, "epochs": 3},
        baselines={"degree": BaselineResult(0.6, 0.01)},
        findings=[Finding("reading", "info", "one edge", "none needed")],
        rng=np.random.default_rng(1),
    )
    return evaluation, test


def strict(evaluation: Evaluation) -> dict[str, Any]:
    text = json.dumps(evaluation.to_json(), allow_nan=False)
    result: dict[str, Any] = json.loads(text)
    return result


@pytest.mark.parametrize("name", SPACES)
def test_every_key_is_there_and_adds_up(name: str) -> None:
    space = SPACES[name]
    evaluation, test = measured(space)
    said = strict(evaluation)
    assert said["format"] == FORMAT
    assert said["statement"] == STATEMENT
    assert said["graph"] == {
        "num_nodes": space.num_nodes,
        "num_edges": 200,
        "num_pairs": space.num_pairs,
        "directed": name == "directed",
        "bipartite": name == "bipartite",
    }
    assert said["candidates"]["num_pairs"] == space.num_pairs - 150
    assert said["candidates"]["prevalence"] == 50 / (space.num_pairs - 150)
    assert (said["candidates"]["design"], said["candidates"]["rate"]) == ("enumerated", 1.0)
    assert set(said["metrics"]) == METRICS
    for key in METRICS:
        quantity = said["metrics"][key]
        assert quantity["value"] is not None, key
        if quantity["low"] is None:
            assert "no interval" in quantity["reason"]
        else:
            assert quantity["low"] <= quantity["value"] <= quantity["high"]
    values = {key: said["metrics"][key]["value"] for key in METRICS}
    assert values["average_precision"] == metrics.average_precision(test)
    assert values["average_precision_lift"] == pytest.approx(values["average_precision"] / test.prevalence)
    assert values["log_loss"] == pytest.approx(metrics.log_loss(test, lambda z: 0.5 * z - 4.0))
    constant = metrics.log_loss_of_constant(test)
    assert values["log_loss_skill"] == pytest.approx(1 - values["log_loss"] / constant)
    at_ratio = said["at_graph_ratio"]["average_precision"]["value"]
    assert at_ratio == metrics.average_precision(test.at_prevalence(200 / space.num_pairs))
    assert said["balanced"]["average_precision"]["value"] == metrics.average_precision(test.at_prevalence(0.5))
    assert said["balanced"]["roc_auc"]["value"] == pytest.approx(values["roc_auc"])
    bins = said["degree_bins"]
    assert sum(each["num_pairs"] for each in bins) == said["candidates"]["num_pairs"]
    assert sum(each["observed"] for each in bins) == 50
    assert 50 / sum(each["expected"] for each in bins) == pytest.approx(values["observed_over_expected"])
    assert said["split"]["test"] == 50
    assert sum(said["split"]["fractions"].values()) == pytest.approx(1.0)


def test_decisions_are_measured_on_the_test_edges() -> None:
    said = strict(measured(SPACES["undirected"])[0])
    usual, none_found, refused = said["decisions"]
    tn, fp, fn, tp = (usual["confusion"][cell] for cell in ("tn", "fp", "fn", "tp"))
    assert all(isinstance(count, int) for count in (tn, fp, fn, tp))
    assert tn + fp + fn + tp == said["candidates"]["num_pairs"]
    assert usual["precision"]["value"] == tp / (tp + fp)
    assert usual["recall"]["low"] < tp / 50 < usual["recall"]["high"]
    assert none_found["confusion"]["tp"] == 0
    assert "nothing is decided" in none_found["precision"]["reason"]
    assert none_found["f1"]["value"] == 0.0
    assert refused["confusion"] is None
    assert refused["recall"] == {"value": None, "low": None, "high": None, "kind": "S", "reason": refused["reason"]}


def test_same_seed_same_bytes_and_back_again() -> None:
    first, second = (json.dumps(measured(SPACES["undirected"])[0].to_json()) for _ in range(2))
    assert first == second
    again = Evaluation.from_json(json.loads(first))
    assert json.dumps(again.to_json()) == first


def test_a_broken_file_is_refused() -> None:
    said = strict(measured(SPACES["undirected"])[0])
    with pytest.raises(BrokenRun, match=r"format is 'linkodds.evaluation/9'"):
        Evaluation.from_json({**said, "format": "linkodds.evaluation/9"})
    with pytest.raises(BrokenRun, match="KeyError: 'metrics'"):
        Evaluation.from_json({key: value for key, value in said.items() if key != "metrics"})


def test_one_test_edge_gives_values_and_no_false_certainty() -> None:
    said = strict(measured(SPACES["undirected"], num_test=1)[0])
    for key in ("roc_auc", "average_precision"):
        quantity = said["metrics"][key]
        assert (quantity["low"], quantity["high"]) == (0.0, 1.0)
        assert "fewer than 10 held-out edges" in quantity["reason"]
    low, high = said["metrics"]["observed_over_expected"]["low"], said["metrics"]["observed_over_expected"]["high"]
    assert high > 100 * low  # the Poisson interval of a single edge


def test_too_few_candidates_for_a_list_or_a_rank() -> None:
    """Eight nodes: 28 pairs, so there is no first hundred and there are no 20 best non-edges."""
    space = PairSpace(8)
    edges = space.pair_of_rank(np.arange(16))
    split = Split(edges[:10], edges[10:12], edges[12:14], edges[14:], space)
    table = np.random.default_rng(0).normal(size=(8, 8))
    scorer = TableScorer(table + table.T)
    test = HeldOut.from_scorer(scorer, split.test, NonEdges(split.recorded()))
    evaluation = evaluate(
        test,
        Calibrator(1.0, 0.0, "platt", test.prevalence, 2, 12),
        [],
        reciprocal_ranks=None,
        split=split,
        model={"name": "gae", "num_parameters": 1, "epochs": 1},
        baselines={},
        rng=np.random.default_rng(1),
    )
    said = strict(evaluation)["metrics"]
    assert said["precision_at_100"]["reason"] == "14 candidates, fewer than 100"
    assert said["hits_at_20"]["reason"] == "12 non-edges, fewer than 20"
    assert said["mrr"]["reason"] == "full rows were not ranked"
    assert said["degree_relative_ece"]["reason"] == "no degree classes were given"
    assert evaluation.degree_bins == []


def test_a_coarse_sample_refuses_the_top_of_the_list() -> None:
    said = strict(measured(SPACES["undirected"], sample=100)[0])  # each stands for 15.7 non-edges, 31 % of 50 edges
    assert said["candidates"]["design"] == "sampled"
    for key in ("r_precision", "precision_at_100", "best_f1", "hits_at_20"):
        assert said["metrics"][key]["value"] is None
        assert "sampled" in said["metrics"][key]["reason"]
    assert said["metrics"]["average_precision"]["value"] is not None
    assert [finding["severity"] for finding in said["findings"] if finding["id"] == "D24"] == ["error"]
    assert said["decisions"][1]["precision"]["value"] is None


def test_a_fine_sample_is_close_to_all_non_edges() -> None:
    exact, sampled = (strict(measured(SPACES["undirected"], sample=n)[0])["metrics"] for n in (None, 1500))
    for key in ("roc_auc", "average_precision", "log_loss", "calibration_slope"):
        assert sampled[key]["low"] <= exact[key]["value"] <= sampled[key]["high"], key


def test_what_does_not_belong_together_is_refused() -> None:
    evaluation, test = measured(SPACES["undirected"])
    edges = SPACES["undirected"].pair_of_rank(np.arange(8))
    other = Split(edges[:5], edges[5:6], edges[6:7], edges[7:], SPACES["undirected"])
    arguments: dict[str, Any] = {
        "reciprocal_ranks": None,
        "split": other,
        "model": evaluation.model,
        "baselines": {},
        "rng": np.random.default_rng(0),
    }
    calibrator = Calibrator(0.5, -4.0, "platt", test.prevalence, 20, 1000)
    with pytest.raises(ValueError, match="another message graph"):
        evaluate(test, calibrator, [], **arguments)
    with pytest.raises(ValueError, match=r"calibrator for prevalence 0\.5"):
        evaluate(test, replace(calibrator, prevalence=0.5), [], **arguments)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_logits_the_json_is_strict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space, num_edges = PairSpace(40), int(rng.choice([1, 2, 12, 50]))
    edges = space.pair_of_rank(rng.choice(space.num_pairs, 100, replace=False))
    split = Split(edges[num_edges:60], edges[60:70], edges[70:], edges[:num_edges], space)
    high, low = rng.normal(1, 1, num_edges), rng.normal(0, 1, int(rng.choice([680, 679, 100, 1])))
    scale, shift, digits = [(0, 0, 9), (1, 0, 0), (1, 50, 9), (1, -50, 9), (1e30, 0, 9), (1e-30, 0, 9)][seed % 6]
    threshold = float(rng.choice([0.0, -1e30, 1e30]))
    test = HeldOut.from_logits(
        np.round(scale * high + shift, digits), np.round(scale * low, digits), 680, thresholds=(threshold,)
    )
    test = test.at_prevalence(float(rng.choice([test.prevalence, 1e-9, 0.9])))
    evaluation = evaluate(
        test,
        Calibrator(float(rng.choice([1e-6, 1.0, 30.0])), 5 * rng.normal(), "platt", test.prevalence, 3, 3),
        [Decision("half", threshold, 0.5, 3)],
        reciprocal_ranks=rng.random(num_edges),
        split=split,
        model={"name": "gae", "num_parameters": 0, "epochs": 0},
        baselines={},
        rng=rng,
    )
    assert Evaluation.from_json(strict(evaluation)).to_json() == evaluation.to_json()


def test_curves_are_thinned_and_keep_their_ends() -> None:
    rng = np.random.default_rng(0)
    test = HeldOut.from_logits(rng.normal(2, 1, 5000), rng.normal(0, 1, 50_000), 50_000)
    drawn = curves(test, Calibrator(2.0, -4.3, "platt", test.prevalence, 100, 50_000))
    assert len(drawn.recall) <= MAX_POINTS
    assert drawn.recall[-1] == 1.0
    assert drawn.threshold_logit[0] == test.edge_logits.max()
    assert drawn.threshold_logit[-1] == test.edge_logits.min()
    np.testing.assert_allclose(drawn.precision, drawn.edges_found / drawn.list_length)
    at = 37
    table = metrics.confusion_at(test, float(drawn.threshold_logit[at]))
    assert drawn.recall[at] == table.recall
    assert drawn.precision[at] == table.precision
    assert drawn.false_positive_rate[at] == table.false_positive_rate
    bins = drawn.reliability
    assert bins.num_edges.sum() == 5000
    assert bins.num_candidates.sum() == pytest.approx(55_000)
    assert ((bins.low <= bins.observed) & (bins.observed <= bins.high)).all()


def test_the_interval_of_the_log_loss_is_that_of_the_edges_share_in_it() -> None:
    """Enumerated non-edges add nothing: 1.96 standard errors of a sum over 50 edges, by the number of all candidates.

    The ends are quantiles of 1,000 resamples, known to a few percent, and the losses are skewed: a fifth is granted.
    """
    evaluation, test = measured(SPACES["undirected"])
    losses = np.logaddexp(0, -(0.5 * test.edge_logits - 4.0))
    half = 1.96 * losses.std() * np.sqrt(test.num_edges) / test.num_pairs
    quantity = evaluation.metrics["log_loss"]
    assert quantity.low is not None
    assert quantity.high is not None
    assert (quantity.high - quantity.low) / 2 == pytest.approx(half, rel=0.2)


def test_an_edge_is_new_if_one_of_its_ends_is() -> None:
    """Train edges among nodes 0 to 2; of the test edges one has both ends there, one one, and one none."""
    edges = np.array([[0, 1], [1, 2], [0, 3], [3, 4], [0, 2], [1, 5], [5, 6]])
    split = Split(edges[:2], edges[2:3], edges[3:4], edges[4:], PairSpace(8))
    rows = new_node_rows(HeldOut.from_logits([3.0, 2.0, 1.0], [2.5, 0.0, -1.0], 3), split, 1.5)
    assert rows["num_nodes"] == 4  # 3 to 6
    assert (rows["both_ends_known"]["num_edges"], rows["new_end"]["num_edges"]) == (1, 2)
    assert (rows["both_ends_known"]["recall"].value, rows["new_end"]["recall"].value) == (1.0, 0.5)
