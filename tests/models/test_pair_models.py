"""refined-gae and ncn: what is hidden stays hidden, the NumPy scorer is the network, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, OptionError
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.features import Features
from linkodds.graph.split import Split, split_edges
from linkodds.models.autoencoders.encoder import input_matrix
from linkodds.models.autoencoders.message_graph import MessageGraph
from linkodds.models.autoencoders.pair_decoder import MixingEncoder, PairAutoencoder, scaled_inputs
from linkodds.models.autoencoders.propagation import normalized_adjacency
from linkodds.models.families import families, family_of
from linkodds.models.training.pair_training import train_pair_model
from linkodds.models.training.training_loop import TrainingTask
from linkodds.pairs import KnownPairs
from linkodds.runs.record import load_run
from linkodds.runs.run_directory import PartialRun
from linkodds.scorers.pair_scoring import PairScorer, mean_pair_scorer

PAIR_MODELS = tuple(each.name for each in families() if each.architecture.is_batched)
CONFIG = FitConfig(hidden=8, dim=6, epochs=3, dropout=0.2, validate_every=1, threads=1)


@pytest.fixture(params=["communities", "directed_ring"])
def split(request) -> Split:
    return split_edges(request.getfixturevalue(request.param), rng=np.random.default_rng(0))


def some_features(num_nodes: int) -> Features:
    return Features(np.random.default_rng(1).normal(size=(num_nodes, 5)).astype(np.float32), "none")


def model_of(name: str, split: Split, **options) -> PairAutoencoder:
    """Random weights, none of them 0 or 1."""
    rng = torch.Generator().manual_seed(0)
    model = PairAutoencoder(
        split.space.num_nodes,
        None,
        family_of(name).options(CONFIG.model_copy(update=options)),
        directed=split.space.directed,
        effective_odds=1.0,
        rng=rng,
    )
    for weight in model.parameters():
        torch.nn.init.normal_(weight, generator=rng)
    return model


def test_hidden_edges_are_gone_from_the_messages_and_from_the_common_neighbours(split):
    """The oracle: the adjacency built anew from the edges that are left."""
    graph, hidden = MessageGraph(split, "cpu"), np.arange(0, len(split.train), 3)
    both_ways = np.concatenate([split.train[hidden], split.train[hidden][:, ::-1]])
    left = split.train[~split.space.contains(both_ways, split.train)]  # of two arrows between two nodes none is left
    others = replace(split, train=left)
    identity = torch.eye(split.space.num_nodes)
    expected = normalized_adjacency(others.message_graph()).toarray()
    np.testing.assert_allclose((graph.without(hidden) @ identity).numpy(), expected, atol=1e-6)
    message_graph = others.message_graph()
    neighbors = graph.neighbors_without(hidden).toarray()
    np.testing.assert_array_equal(neighbors, message_graph.maximum(message_graph.T).toarray())
    whole = normalized_adjacency(split.message_graph()).toarray()
    np.testing.assert_allclose((graph.whole @ identity).numpy(), whole, atol=1e-6)
    assert np.abs(expected - whole).max() > 0.1


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_a_batch_never_sees_its_own_edges(name, split):
    """Logits of hidden edges are the same, bit for bit, in a graph that never had them."""
    hidden = np.arange(0, len(split.train), 4)
    others = replace(split, train=np.delete(split.train, hidden, axis=0))
    if split.space.contains(others.train[:, ::-1], split.train[hidden]).any():
        pytest.skip("an arrow back is hidden with the arrow")
    model = model_of(name, split)
    logits = []
    for each, batch in ((MessageGraph(split, "cpu"), hidden), (MessageGraph(others, "cpu"), np.empty(0, np.int64))):
        embeddings = model.encoder(each.without(batch), None, None)
        logits.append(model.decoder(embeddings, split.train[hidden], each.neighbors_without(batch), None))
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)
    seen = model.encoder(MessageGraph(split, "cpu").whole, None, None)
    neighbors = MessageGraph(split, "cpu").neighbors_without(np.empty(0, np.int64))
    assert (model.decoder(seen, split.train[hidden], neighbors, None) - logits[0]).abs().max() > 0.01  # the control


@pytest.mark.parametrize(
    ("name", "decoder"), [(name, each) for name in PAIR_MODELS for each in family_of(name).decoders]
)
def test_the_scorer_is_the_network(name, decoder, split):
    """All pairs, as torch computes them in float64, against blocks and pairs in NumPy."""
    model, n = model_of(name, split, decoder=decoder), split.space.num_nodes
    graph = MessageGraph(split, "cpu")
    scorer = model.scorer(graph.whole, None, split.message_graph())
    pairs = np.argwhere(np.ones((n, n), dtype=np.bool_))
    embeddings = model.encoder(graph.whole, None, None).double()
    neighbors = graph.neighbors_without(np.empty(0, np.int64))
    expected = model.double().decoder(embeddings, pairs, neighbors, None).detach().numpy()
    size = np.abs(expected).max()
    np.testing.assert_allclose(scorer.logits(pairs), expected, rtol=0, atol=1e-5 * size)
    whole = scorer.block(slice(0, n), slice(0, n))
    np.testing.assert_allclose(whole.ravel(), expected, rtol=0, atol=1e-5 * size)
    np.testing.assert_allclose(scorer.block(slice(0, n), slice(3, 5)), whole[:, 3:5], rtol=1.2e-7, atol=1e-6)
    if split.space.directed:
        assert np.abs(whole - whole.T).max() > 0.01 * size
    else:
        np.testing.assert_array_equal(whole, whole.T)


def test_a_pair_pools_the_same_whether_it_is_an_edge_or_not(split):
    """A train edge's own ends are no common neighbours of it: with the embeddings held, its logit does not change."""
    scorer = model_of("ncn", split).scorer(MessageGraph(split, "cpu").whole, None, split.message_graph())
    edge = split.train[7:8]
    without = replace(split, train=np.delete(split.train, 7, axis=0))
    arrays = {name: array.numpy() for name, array in model_of("ncn", split).decoder.state_dict().items()}
    again = PairScorer.from_arrays(scorer.source, scorer.target, arrays, without.message_graph())
    np.testing.assert_array_equal(again.logits(edge), scorer.logits(edge))
    assert not np.array_equal(again.logits(split.train), scorer.logits(split.train))


def test_features_of_any_unit_make_the_same_model(split):
    features = some_features(split.space.num_nodes)
    large = Features(np.asarray(features.matrix) * np.float32(1024), "none")
    one, other = (scaled_inputs(input_matrix(each, "cpu")) for each in (features, large))
    torch.testing.assert_close(one, other)
    assert one.square().sum(dim=1).mean().sqrt() == pytest.approx(4.0)


def test_a_learned_table_starts_orthogonal():
    rng = torch.Generator().manual_seed(0)
    table = MixingEncoder(50, 20, 2, 0.0, is_table=True, rng=rng).first.detach()
    products = table.T @ table
    torch.testing.assert_close(products, 0.5 * torch.eye(20))  # entries of 0.1 on average: 50 rows have 0.5 a column


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_zeros_are_all_pairs_but_train_edges_and_held_out_ones_are_among_them(name, split, monkeypatch):
    drawn = []
    absent = KnownPairs.absent_pairs

    def spy(known, ranks):
        pairs = absent(known, ranks)
        if len(known.pairs) == len(split.train):  # not those that validation draws
            drawn.append(pairs)
        return pairs

    monkeypatch.setattr(KnownPairs, "absent_pairs", spy)
    config = family_of(name).options(CONFIG.model_copy(update={"zeros_per_edge": 20}))
    trained = train_pair_model(TrainingTask(name, split, None, config, np.random.SeedSequence(1), torch.device("cpu")))
    zeros = np.concatenate(drawn)
    assert not split.space.contains(split.train, zeros).any()
    held_out = np.concatenate([split.validation, split.calibration, split.test])
    share = split.space.contains(held_out, zeros).mean()
    expected = len(held_out) / (split.space.num_pairs - len(split.train))
    assert abs(share - expected) < 4 * np.sqrt(expected / len(zeros))  # four binomial deviations
    assert trained.effective_odds == 1 / 20


def test_balanced_edges_train_at_even_odds(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    config = family_of("refined-gae").options(CONFIG.model_copy(update={"positive_weight": "balanced", "epochs": 1}))
    seeds, device = np.random.SeedSequence(1), torch.device("cpu")
    trained = train_pair_model(TrainingTask("refined-gae", split, None, config, seeds, device))
    assert trained.effective_odds == 1.0
    # At first every logit is near log(O_eff) = 0: mean over edges + mean over zeros is near 2 log 2.
    assert trained.history[0].loss == pytest.approx(2 * np.log(2), rel=0.3)


@pytest.mark.parametrize("name", PAIR_MODELS)
def test_a_saved_mean_of_folds_gives_the_same_logits(name, communities, tmp_path):
    config = CONFIG.model_copy(update={"model": name, "folds": 2})
    run = fit_graph(communities, config, partial=PartialRun(tmp_path / "run", force=False))
    loaded = load_run(tmp_path / "run")
    everything = slice(0, 150), slice(0, 150)
    np.testing.assert_array_equal(loaded.scorer.block(*everything), run.scorer.block(*everything))
    assert loaded.embeddings[0].shape == (150, 12)


def test_weights_of_another_graph_are_refused(split):
    model = model_of("ncn", split)
    scorer = model.scorer(MessageGraph(split, "cpu").whole, None, split.message_graph())
    arrays = {f"decoder.{name}": array.numpy() for name, array in model.decoder.state_dict().items()}
    source, graphs = scorer.source, [split.message_graph()]
    target = source if scorer.target is source else scorer.target
    assert mean_pair_scorer(source, target, arrays, graphs).logits(split.test).shape == (len(split.test),)
    for name in arrays:
        spoilt = arrays | {name: arrays[name] * np.float32(np.nan)}
        with pytest.raises(BrokenRun, match=r"model\.safetensors"):
            mean_pair_scorer(source, target, spoilt, graphs)
        if name != "decoder.common_neighbors.factor":  # without it there is no such layer
            with pytest.raises(BrokenRun, match=r"model\.safetensors"):
                mean_pair_scorer(source, target, {key: arrays[key] for key in arrays if key != name}, graphs)
    with pytest.raises(BrokenRun, match=r"embeddings\.parquet"):
        mean_pair_scorer(source[:, :5], source[:, :5], arrays, graphs * 2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gae", {"decoder": "hadamard"}, "gae, which takes inner-product or signed; refined-gae and ncn take it"),
        ("ncn", {"decoder": "signed"}, "not for ncn, which takes hadamard"),
        ("refined-gae", {"objective": "all-pairs"}, "--objective all-pairs is not for refined-gae"),
    ],
)
def test_what_a_model_does_not_take_is_refused(communities, name, options, message):
    with pytest.raises(OptionError, match=message):
        fit_graph(communities, CONFIG.model_copy(update={"model": name, **options}))


def test_common_neighbours_of_two_sides_are_refused(two_sides):
    with pytest.raises(OptionError, match="bipartite graph; take refined-gae or signed-gae"):
        fit_graph(two_sides, CONFIG.model_copy(update={"model": "ncn"}))
