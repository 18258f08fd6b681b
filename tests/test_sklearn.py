"""LinkPredictor among scikit-learn's tools: clone, searches over edges, pipelines, its checks and its words."""

import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from linkodds import CustomEncoder, CustomScorer, EdgeKFold, EdgeRows, LinkPredictor, NodeEmbedding
from linkodds.errors import DataError, OptionError
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.non_edges import NonEdges
from linkodds.pairs import KnownPairs
from linkodds.testing import EXPECTED_FAILED_CHECKS, planted_groups

QUICK = {"epochs": 15, "hidden": 16, "dim": 8, "folds": 1, "threads": 1}


def test_both_directions_of_an_edge_and_repeats_go_together():
    pairs = np.array([("a", "b"), ("b", "a"), ("b", "c"), ("a", "b"), ("c", "d"), ("d", "e")])
    folds = list(EdgeKFold(4, random_state=3).split(pairs))
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(6))
    for train, test in folds:
        known = {frozenset(pair) for pair in pairs[train].tolist()}
        assert not known & {frozenset(pair) for pair in pairs[test].tolist()}
        assert len(train) + len(test) == 6
    leaks = 0
    for train, test in KFold(4, shuffle=True, random_state=0).split(pairs):  # what it is there for
        leaks += bool({frozenset(p) for p in pairs[train].tolist()} & {frozenset(p) for p in pairs[test].tolist()})
    assert leaks
    directed = [test.tolist() for _, test in EdgeKFold(5, directed=True).split(pairs)]
    assert [0, 3] in directed
    with pytest.raises(DataError, match="4 edges cannot be dealt into 5"):
        list(EdgeKFold(5).split(pairs))
    with pytest.raises(OptionError, match="n_splits"):
        EdgeKFold(1)


def test_rows_of_a_graph_keep_all_nodes_and_features():
    graph = planted_groups(8)
    part = EdgeRows(graph)[np.array([5, 2, 9])]
    assert part.shape == (3, 2)
    assert part.to_graph().num_nodes == 150
    assert part.to_graph().features is graph.features
    np.testing.assert_array_equal(part.ids(), graph.ids[graph.edges[[5, 2, 9]]])


def test_grid_search_over_edges_scores_each_on_what_it_did_not_have():
    graph = planted_groups()
    search = GridSearchCV(
        LinkPredictor(**QUICK), {"model": ["gae", "degree"], "dim": np.array([8])}, cv=EdgeKFold(2), error_score="raise"
    ).fit(EdgeRows(graph))
    assert search.best_params_["model"] == "gae"
    assert search.best_estimator_.run_.split.space.num_nodes == 150
    train, test = next(EdgeKFold(2).split(EdgeRows(graph)))
    run = LinkPredictor(model="gae", **QUICK).fit(EdgeRows(graph)[train]).run_
    known = KnownPairs(graph.space, graph.edges)  # by hand: the held-out edges against all that are no edges
    by_hand = average_precision(HeldOut.from_scorer(run.scorer, graph.edges[test], NonEdges(known)))
    rows = [p["model"] for p in search.cv_results_["params"]]
    assert search.cv_results_["split0_test_score"][rows.index("gae")] == pytest.approx(by_hand, rel=1e-12)


def test_plain_pairs_work_too_and_unknown_nodes_are_not_found():
    graph = planted_groups()
    pairs = graph.ids[graph.edges]
    scores = cross_val_score(LinkPredictor(model="resource-allocation", threads=1), pairs, cv=EdgeKFold(3))
    chance = (graph.num_edges / 3) / (graph.space.num_pairs - graph.num_edges * 2 / 3)
    assert (scores > 1.5 * chance).all()  # of about 209 edges: a random order strays from chance by a tenth of it
    predictor = LinkPredictor(model="resource-allocation", threads=1).fit(pairs[:500])
    alone, with_ghost = pairs[500:], np.concatenate([pairs[500:], [("ghost", "node1")]])
    found = predictor.score(alone)
    assert predictor.score(with_ghost) == pytest.approx(found * len(alone) / (len(alone) + 1))
    with pytest.raises(DataError, match="none of the 500 edges"):
        predictor.score(pairs[:500])


def test_clone_keeps_a_model_of_ones_own():
    for model in (nn.Linear(2, 2), CustomEncoder(nn.Identity(), table=4), CustomScorer(np.sum), np.sum):
        copied = clone(LinkPredictor(model=model, seed=4))
        assert type(copied.model) is type(model)
        assert copied.seed == 4


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"dim": 0}, "The 'dim' parameter of LinkPredictor: Input should be greater than or equal to 1, got 0."),
        ({"dropout": 1.0}, "The 'dropout' parameter of LinkPredictor: Input should be less than 1, got 1.0."),
        ({"schedule": "step"}, "The 'schedule' parameter of LinkPredictor: Input should be 'constant', 'linear' or"),
        ({"seed": "x"}, "The 'seed' parameter of LinkPredictor: Input should be a valid integer"),
        ({"model": "gcn"}, "The 'model' parameter of LinkPredictor: takes 'auto', "),
        (
            {"feature_scaling": "log"},
            "The 'feature_scaling' parameter of LinkPredictor: Input should be 'auto', 'none'",
        ),
    ],
)
def test_parameters_are_refused_with_name_range_and_value(parameters, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        LinkPredictor(**parameters).fit(planted_groups())
    assert isinstance(caught.value, OptionError)


@pytest.mark.filterwarnings("ignore")  # scikit-learn's own, of what it skips
def test_scikit_learns_checks_pass_but_those_whose_reason_is_written_down():
    results = check_estimator(LinkPredictor(model="degree", threads=1), on_fail=None, on_skip=None)
    failed = {each["check_name"] for each in results if each["status"] == "failed"}
    assert failed == set(EXPECTED_FAILED_CHECKS)
    passed = {each["check_name"] for each in results if each["status"] == "passed"}
    assert {"check_estimator_cloneable", "check_no_attributes_set_in_init", "check_set_params"} <= passed


def test_embeddings_of_nodes_are_columns_in_a_pipeline():
    """Six groups; chance is right about 1/6 of 75 nodes, give or take 0.043."""
    graph = planted_groups()
    nodes, groups = graph.ids[:, None], np.arange(150) // 25
    embedding = NodeEmbedding(LinkPredictor(model="gae", **{**QUICK, "epochs": 60}), graph)
    steps = [("embedding", embedding), ("scale", StandardScaler()), ("group", LogisticRegression())]
    pipeline = Pipeline(steps).set_output(transform="polars")
    pipeline.fit(nodes[::2], groups[::2])
    assert pipeline.score(nodes[1::2], groups[1::2]) > 1 / 6 + 4 * 0.043
    table = pipeline[:-2].transform(nodes[:3])
    assert table.columns == [f"embedding{k}" for k in range(8)]
    with pytest.raises(OptionError, match="resource-allocation has no embeddings"):
        NodeEmbedding(LinkPredictor(model="resource-allocation"), graph).fit(nodes)
    with pytest.raises(DataError, match=r"shape .rows,. or .rows, 1., not .1, 2."):
        pipeline[:-2].transform([["node0", "node1"]])
