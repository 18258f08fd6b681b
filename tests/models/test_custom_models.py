"""Models of a user's own: what goes through the seam is what our own models are, and what is wrong with one is said."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import expit
from torch import nn

from linkodds import CustomEncoder, CustomScorer, LinkPredictor
from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, ModelError, NonFiniteScores, OptionError
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.models.autoencoders.custom_encoder import drawing_from
from linkodds.models.autoencoders.encoder import GraphEncoder
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.report import render_report
from linkodds.report.report_data import report_data_of
from linkodds.testing import check_encoder, check_scorer, planted_groups

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its own, of torch.jit
    from torch_geometric.nn import GAT, GCN, GraphSAGE

QUICK = {"epochs": 20, "threads": 1}


class OurGae(nn.Module):
    """The encoder of gae behind the public seam: it gets x and edge_index, and torch's own generator."""

    def __init__(self, num_inputs: int, dropout: float, num_nodes: int) -> None:
        super().__init__()
        self.encoder = GraphEncoder(num_inputs, 128, 64, dropout, torch.default_generator)
        self.num_nodes = num_nodes

    def encode(self, x, edge_index):
        source, target = edge_index.numpy()
        ones = np.ones(len(source), dtype=np.float32)
        adjacency = sp.csr_array((ones, (source, target)), shape=(self.num_nodes, self.num_nodes))
        propagation = SparseMatrix.from_scipy(normalized_adjacency(adjacency))
        return self.encoder(propagation, x, torch.default_generator if self.training else None)

    def scale_outputs(self, factor):
        self.encoder.scale_outputs(factor)


class WithDecoder(nn.Module):
    """An encoder and a decoder that no inner product is: a bilinear form, made symmetric."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = GCN(16, 16, num_layers=2, out_channels=8)
        self.form = nn.Parameter(torch.eye(8))
        self.bias = nn.Parameter(torch.tensor(-2.0))

    def encode(self, x, edge_index):
        return self.encoder(x, edge_index)

    def decode(self, z, pairs):
        source, target = z[pairs[0]], z[pairs[1]]
        form = self.form + self.form.T
        return ((source @ form) * target).sum(dim=1) + ((target @ form) * source).sum(dim=1) + self.bias


def page_of(run) -> str:
    return render_report(run, report_data_of(run))


def of_kind(kind, **options):
    return lambda num_features, _: kind(num_features, 32, num_layers=2, out_channels=16, **options)


PYG = {"GCN": of_kind(GCN), "SAGE": of_kind(GraphSAGE), "GAT": of_kind(GAT, heads=2)}


@pytest.mark.parametrize(("num_features", "dropout", "folds"), [(None, 0.5, 1), (8, 0.3, 2)])
def test_our_own_encoder_through_the_seam_has_the_evaluation_of_gae_bit_for_bit(num_features, dropout, folds):
    graph = planted_groups(num_features)
    config = FitConfig(model="gae", dropout=dropout, folds=folds, **QUICK)
    built_in = fit_graph(graph, config).evaluation.to_json()
    own = CustomEncoder(lambda columns, nodes: OurGae(columns or nodes, dropout, nodes), table=None, name="ours")
    seam = fit_graph(graph, config.model_copy(update={"model": "own-encoder"}), own=own).evaluation.to_json()
    assert seam["model"].pop("name") == "ours"
    assert built_in["model"].pop("name") == "gae"
    assert seam == built_in


@pytest.mark.parametrize("name", PYG)
def test_pyg_modules_pass_what_our_models_pass(name):
    check_encoder(CustomEncoder(PYG[name], table=16, name=name), num_features=8 if name == "SAGE" else None, epochs=30)


def test_a_module_that_decodes_itself_passes_too():
    check_encoder(CustomEncoder(lambda _, __: WithDecoder(), table=16), epochs=15)


def test_a_whole_run_is_saved_reported_and_loaded_without_the_class(tmp_path):
    graph = planted_groups(8)
    predictor = LinkPredictor(model=CustomEncoder(PYG["GCN"], name="my GCN"), **QUICK).fit(graph)
    loaded = LinkPredictor.load(predictor.save(tmp_path / "run"))
    pairs = [("node0", "node1"), ("node3", "node99")]
    np.testing.assert_array_equal(loaded.predict_proba(pairs), predictor.predict_proba(pairs))
    assert "my GCN" in page_of(loaded.run_)
    assert loaded.find_links(top=3).equals(predictor.find_links(top=3))
    with pytest.raises(OptionError, match="model of your own"):
        loaded.fit(graph)


def test_a_run_whose_scorer_is_code_says_so_and_takes_it_again(tmp_path):
    graph = planted_groups()
    predictor = LinkPredictor(model=same_group, threads=1).fit(graph)
    path, pairs = predictor.save(tmp_path / "run"), [("node0", "node1"), ("node3", "node99")]
    lost = LinkPredictor.load(path)
    assert lost.evaluation_ == predictor.evaluation_
    with pytest.raises(BrokenRun, match="same_group, is Python code .* LinkPredictor.load"):
        lost.predict_proba(pairs)
    again = LinkPredictor.load(path, model=same_group)
    np.testing.assert_array_equal(again.predict_proba(pairs), predictor.predict_proba(pairs))
    with pytest.raises(OptionError, match="not what this run was made with"):
        LinkPredictor.load(path, model=lambda pairs: pairs[:, 0] * 1.0)


def test_what_a_decoder_learnt_is_loaded_with_its_class(tmp_path):
    own = CustomEncoder(WithDecoder(), table=16)
    predictor = LinkPredictor(model=own, **QUICK).fit(planted_groups())
    path = predictor.save(tmp_path / "run")
    again = LinkPredictor.load(
        path, model=CustomEncoder(WithDecoder(), table=16)
    )  # other weights, before they are loaded
    pairs = [("node0", "node1"), ("node3", "node99")]
    np.testing.assert_allclose(again.decision_function(pairs), predictor.decision_function(pairs), rtol=1e-6)
    assert again.embeddings_.shape == (150, 8)


def same_group(pairs):
    """The planted answer, and a little by number."""
    return (pairs[:, 0] // 25 == pairs[:, 1] // 25) - 1e-3 * pairs.sum(axis=1)


def test_a_function_of_pairs_gets_evaluation_calibration_and_decisions_without_any_training():
    check_scorer(same_group)
    graph = planted_groups()
    predictor = LinkPredictor(model=same_group, seed=3, threads=1).fit(graph)
    evaluation = predictor.evaluation_
    assert (evaluation.model["name"], evaluation.model["epochs"]) == ("same_group", 0)
    split = predictor.split_of(graph)
    np.testing.assert_array_equal(split.test, predictor.run_.split.test)
    recorded = split.not_judged()
    non_edges = recorded.absent_pairs(np.arange(recorded.num_absent))  # the oracle: every pair, one by one
    above = same_group(split.test)[:, None] - same_group(non_edges)[None, :]
    oracle = ((above > 1e-6) + 0.5 * (np.abs(above) <= 1e-6)).mean()
    assert evaluation.metrics["roc_auc"].value == pytest.approx(oracle, abs=1e-3)  # float32 makes some ties
    assert {each.rule for each in (d.decision for d in evaluation.decisions)} >= {"f1", "half"}
    (assumed,) = [each for each in evaluation.findings if each.id == "own-scorer"]
    assert assumed.severity == "warning"
    assert "made without the" in assumed.message


def test_fit_is_handed_the_train_edges_alone_and_then_nothing_has_to_be_assumed():
    graph, seen = planted_groups(8), []

    def neighbours(train: Graph):
        seen.append(train)
        adjacency = sp.csr_array((np.ones(train.num_edges), train.edges.T), shape=(150, 150))
        common = ((adjacency + adjacency.T) @ (adjacency + adjacency.T)).toarray()
        return lambda pairs: common[pairs[:, 0], pairs[:, 1]]

    predictor = LinkPredictor(model=CustomScorer(fit=neighbours), threads=1).fit(graph)
    (train,) = seen
    held_out = np.concatenate([getattr(predictor.run_.split, part) for part in ("validation", "calibration", "test")])
    assert not graph.space.contains(train.edges, held_out).any()
    assert train.num_nodes == 150
    assert train.features is graph.features
    evaluation = predictor.evaluation_
    measured, count = evaluation.metrics["average_precision"].value, evaluation.baselines["common-neighbors"]
    assert measured == pytest.approx(count.average_precision, rel=1e-12)  # it is the same count
    assert [each.severity for each in evaluation.findings if each.id == "own-scorer"] == ["info"]


@pytest.mark.parametrize(
    ("function", "values", "error", "match"),
    [
        (lambda pairs: np.zeros((len(pairs), 2)), "score", ModelError, r"shape \(\d+, 2\)"),
        (lambda pairs: np.full(len(pairs), np.nan), "score", NonFiniteScores, "nan, no finite number"),
        (lambda pairs: np.full(len(pairs), 1.5), "probability", NonFiniteScores, "1.5, no probability"),
        (lambda pairs: pairs[:, 0] - pairs[:, 0].mean(), "score", None, None),
        (lambda pairs: np.random.default_rng().random(len(pairs)), "score", ModelError, "asked for again"),
    ],
)
def test_functions_that_are_no_scorers_are_refused(function, values, error, match):
    own = CustomScorer(function, values=values)
    if error is None:  # the mean over the same pairs is the same: not all that depends on a batch can be seen
        return
    with pytest.raises(error, match=match):
        fit_graph(planted_groups(), FitConfig(model="own-scorer", threads=1), own=own)


def test_a_function_that_knows_directions_is_told_that_edges_have_none():
    predictor = LinkPredictor(model=lambda pairs: 2.0 * pairs[:, 0] + pairs[:, 1], threads=1).fit(planted_groups())
    said = [each.message for each in predictor.evaluation_.findings if each.id == "own-scorer"]
    assert any("(u, v) and (v, u) different values for 100.0%" in each for each in said)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (GCN, "GCN is a class"),
        (17, "model"),
        (CustomEncoder(nn.Identity(), table=4).__class__, "is a class"),
    ],
)
def test_what_is_no_model_is_refused(model, match):
    with pytest.raises(OptionError, match=match):
        LinkPredictor(model=model).fit(planted_groups())


def test_options_that_cannot_be_kept_are_refused():
    graph = planted_groups()
    with pytest.raises(OptionError, match="time-budget"):
        LinkPredictor(model=same_group, time_budget=5.0).fit(graph)
    with pytest.raises(OptionError, match="folds"):
        LinkPredictor(model=same_group, folds=3).fit(graph)
    with pytest.raises(OptionError, match="hadamard is not for own-encoder"):
        LinkPredictor(model=CustomEncoder(GCN(16, 8, 2), name="a"), decoder="hadamard").fit(graph)
    with pytest.raises(OptionError, match="model of linkodds"):
        LinkPredictor(model=CustomScorer(same_group, name="gae")).fit(graph)
    with pytest.raises(OptionError, match="LinkPredictor"):
        fit_graph(graph, FitConfig(model="own-scorer"))


class Noisy(nn.Module):
    def encode(self, x, _):
        return x + torch.rand(())


class Flat(nn.Module):
    def encode(self, x, _):
        return x.sum(dim=1)


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def encode(self, x, _):
        return self.linear(x).detach()


class Whole(nn.Module):
    def encode(self, x, _):
        return x.round().long()


class OneSided(nn.Module):
    """A decoder that tells (u, v) from (v, u)."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def encode(self, x, _):
        return self.linear(x)

    def decode(self, z, pairs):
        return (z[pairs[0]][:, :2] * z[pairs[1]][:, 2:]).sum(dim=1)


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (Noisy(), "two different results"),
        (Flat(), "shape .150, dim."),
        (Detached(), "has no gradient"),
        (Whole(), "encode returned torch.int64"),
    ],
)
def test_encoders_that_are_none_are_refused(module, match):
    with pytest.raises(ModelError, match=match):
        LinkPredictor(model=CustomEncoder(module, table=4), **QUICK).fit(planted_groups())


def test_a_module_with_nothing_to_call_is_refused_and_a_fixed_one_is_taken():
    with pytest.raises(OptionError, match="neither encode nor forward"):
        LinkPredictor(model=CustomEncoder(nn.Module(), table=4), **QUICK).fit(planted_groups())
    groups = torch.eye(6)[torch.arange(150) // 25]
    fixed = CustomEncoder(nn.Embedding.from_pretrained(groups), table=None, name="fixed")
    fixed.module.encode = lambda _x, _edges: fixed.module.weight
    assert LinkPredictor(model=fixed, **QUICK).fit(planted_groups()).evaluation_.metrics["roc_auc"].value > 0.8


def test_a_decoder_that_knows_directions_does_not_pass():
    with pytest.raises(AssertionError, match="the order of the ends changes a value"):
        check_encoder(CustomEncoder(OneSided(), table=4), epochs=5)
    with pytest.raises(AssertionError, match="CustomEncoder.function."):
        check_encoder(lambda _features, _nodes: OneSided())


def test_the_given_module_is_not_trained_in_place_and_torchs_generator_is_left_alone():
    module = GCN(16, 8, num_layers=2, out_channels=4, dropout=0.5)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.get_rng_state()
    LinkPredictor(model=module, folds=1, **QUICK).fit(planted_groups())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_the_generator_is_put_back_after_an_error():
    state = torch.get_rng_state()

    def fail() -> None:
        with drawing_from(torch.Generator().manual_seed(1)):
            torch.rand(3)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", ["double sigmoid", "no bias"])
def test_the_report_names_what_is_wrong_with_the_program_of_the_thread(kind):
    """Its model as a scorer: what its loss saw (a sigmoid of sigmoids), and what it evaluated (one sigmoid, no bias)."""
    graph = planted_groups()
    z = np.abs(np.random.default_rng(0).normal(size=(150, 4))) + np.eye(6)[np.arange(150) // 25][:, :4]

    def program(pairs):
        once = expit(np.einsum("pd,pd->p", z[pairs[:, 0]], z[pairs[:, 1]]))
        return expit(once) if kind == "double sigmoid" else once

    own = CustomScorer(program, values="probability", name="the thread's program")
    run = fit_graph(graph, FitConfig(model="own-scorer", threads=1), own=own)
    found = {each.id: each.message for each in run.evaluation.findings}
    expected = "D01" if kind == "double sigmoid" else "D02"
    assert "The values that the thread's program gave, before they were calibrated here" in found[expected]
    assert found[expected].removeprefix("The values").count("The ") <= 3
    assert expected in page_of(run)
