import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from linkodds import Graph, LinkPredictor
from linkodds.config import FitConfig
from linkodds.errors import DataError, OptionError, UnknownNode

QUICK = {"hidden": 16, "dim": 8, "epochs": 30, "threads": 1}


@pytest.fixture
def fitted(communities):
    return LinkPredictor(model="gae", seed=3, **QUICK).fit(communities)


def test_parameters_and_their_defaults_are_those_of_the_command_line():
    reading = dict.fromkeys(("time", "weight", "weight_as", "relation", "predict_kind", "label"))
    assert LinkPredictor().get_params() == FitConfig().model_dump() | reading


def test_the_scaling_of_features_is_for_edges_that_fit_reads(communities):
    columns = np.random.default_rng(2).normal(size=(communities.num_nodes, 3))
    scaled = Graph.from_edges(communities.ids[communities.edges], nodes=communities.ids, features=columns)
    predictor = LinkPredictor(model="common-neighbors", feature_scaling="standard", threads=1).fit(
        scaled
    )  # as auto scales them
    assert predictor.run_.config["options"]["feature_scaling"] == "standard"
    with pytest.raises(OptionError, match="feature_scaling='row': this graph was not read so"):
        LinkPredictor(model="common-neighbors", feature_scaling="row", threads=1).fit(scaled)


def test_clone_set_params_and_not_fitted():
    predictor = LinkPredictor(model="vgae", seed=7).set_params(dim=5)
    assert clone(predictor).get_params() == predictor.get_params()
    with pytest.raises(NotFittedError):
        predictor.predict_proba([("a", "b")])
    with pytest.raises(OptionError, match="'dim' parameter"):
        LinkPredictor(dim=0).fit([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")])


def test_outputs_have_the_shapes_and_meanings_of_scikit_learn(fitted, communities):
    pairs = [("node0", "node1"), ("node140", "node2"), ("node7", "node9")]
    probability = fitted.predict_proba(pairs)
    assert probability.shape == (3, 2)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    logits = fitted.decision_function(pairs)
    np.testing.assert_array_equal(np.argsort(logits), np.argsort(probability[:, 1]))
    np.testing.assert_array_equal(fitted.predict(pairs), (logits >= fitted.run_.decision.threshold_logit).astype(int))
    assert fitted.embeddings_.shape == (communities.num_nodes, 5 * 8)  # a small graph: the mean of five models
    assert fitted.evaluation_.metrics["average_precision"].value > 0


def test_pair_order_does_not_matter_and_batch_equals_one_by_one(fitted):
    pairs = [("node0", "node1"), ("node140", "node2"), ("node7", "node9")]
    batch = fitted.decision_function(pairs)
    np.testing.assert_allclose(fitted.decision_function([pair[::-1] for pair in pairs]), batch, rtol=1e-12)
    np.testing.assert_allclose([fitted.decision_function([pair])[0] for pair in pairs], batch, rtol=1e-12)


def test_save_and_load_give_the_same_answers(fitted, tmp_path):
    loaded = LinkPredictor.load(fitted.save(tmp_path / "run"))
    pairs = [("node0", "node1"), ("node140", "node2")]
    np.testing.assert_array_equal(loaded.predict_proba(pairs), fitted.predict_proba(pairs))
    assert loaded.get_params() == fitted.get_params()
    assert loaded.find_links(top=5).equals(fitted.find_links(top=5))


def test_unknown_ids_and_self_pairs_are_refused_by_name(fitted):
    with pytest.raises(UnknownNode, match="pair 1 .'node0', 'ghost'"):
        fitted.predict_proba([("node0", "node1"), ("node0", "ghost")])
    with pytest.raises(DataError, match="pair 0 .'node4', 'node4'"):
        fitted.predict_proba([("node4", "node4")])
