"""What every model and baseline must do, whatever it is made of; whole runs of each are in test_pipeline.py."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from linkodds.config import FitConfig
from linkodds.graph.features import Features
from linkodds.graph.split import Split, split_edges
from linkodds.models.autoencoders.autoencoder import Autoencoder, encoder_inputs
from linkodds.models.autoencoders.encoder import input_matrix
from linkodds.models.autoencoders.pair_decoder import PairAutoencoder, scaled_inputs
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.models.families import baseline_families, families, family_of
from linkodds.models.training.cost_model import Sizes
from linkodds.models.training.pair_training import train_pair_model
from linkodds.models.training.training import train
from linkodds.models.training.training_loop import TrainingTask
from linkodds.scorers.baselines import baseline_scorer
from linkodds.testing import check_batches, check_blocks, check_finds_groups, check_order_of_ends

AUTOENCODERS = tuple(each.name for each in families() if each.trains_encoder and each.name != "structural-gae")
BASELINES = tuple(each.name for each in baseline_families())
CONFIG = FitConfig(hidden=16, dim=8, epochs=60, dropout=0.2, validate_every=5, threads=1)
WITHOUT_STRUCTURE = ("degree",)
"""Degrees say nothing about the planted groups."""


def some_features(num_nodes: int) -> Features:
    """Six columns: the group that `communities` plants, blurred."""
    values = np.eye(6)[np.arange(num_nodes) * 6 // num_nodes] + np.random.default_rng(0).normal(size=(num_nodes, 6))
    return Features(values.astype(np.float32), "none")


def split_of(graph) -> Split:
    return split_edges(graph, rng=np.random.default_rng(0))


def fitted(name, split, features, **options):
    """The scorer of a model or baseline, and its weights."""
    if name in BASELINES:
        return baseline_scorer(name, split, features), {}
    config = family_of(name).options(CONFIG.model_copy(update=options))
    start = train_pair_model if config.architecture.is_batched else train
    model = start(TrainingTask(name, split, features, config, np.random.SeedSequence(1), torch.device("cpu")))
    return model.scorer, model.weights


@pytest.fixture(scope="module")
def kept() -> dict:
    """Models that several tests look at are trained once."""
    return {}


@pytest.mark.parametrize("name", [*AUTOENCODERS, *BASELINES])
class TestEveryModel:
    @pytest.fixture
    def split(self, communities):
        return split_of(communities)

    @pytest.fixture
    def scorer(self, kept, name, split):
        if name not in kept:
            kept[name] = fitted(name, split, some_features(split.space.num_nodes))[0]
        return kept[name]

    def test_finds_the_planted_groups(self, name, split, scorer):
        if name not in WITHOUT_STRUCTURE:
            check_finds_groups(scorer, split)

    def test_the_order_of_the_ends_does_not_matter(self, split, scorer):
        check_order_of_ends(scorer, split.test)

    def test_a_batch_equals_one_by_one_in_any_order(self, split, scorer):
        check_batches(scorer, split.test[:20])

    def test_blocks_are_the_pairs_in_float32(self, scorer):
        check_blocks(scorer, slice(5, 25), slice(10, 150))

    def test_renamed_nodes_are_scored_as_before(self, name, split, scorer):
        """New index of node u: place[u]. An autoencoder's learned table is renamed with the nodes."""
        n = split.space.num_nodes
        place = np.random.default_rng(3).permutation(n)
        renamed = {part: split.space.canonical(place[getattr(split, part)]) for part in ("train", "test")}
        other = replace(split, train=renamed["train"], test=renamed["test"], validation=empty(), calibration=empty())
        rows = np.argsort(place)
        features = some_features(n)
        moved = Features(np.asarray(features.matrix)[rows], "none")
        if name in BASELINES:
            again = baseline_scorer(name, other, moved)
            np.testing.assert_allclose(again.logits(renamed["test"]), scorer.logits(split.test), rtol=1e-9, atol=1e-9)
            return
        for given, given_moved in ((features, moved), (None, None)):
            model = untrained(name, n, given)
            weights = {
                key: value[torch.from_numpy(rows)] if value.ndim and len(value) == n else value
                for key, value in model.state_dict().items()
            }
            before = logits_of(model, split, given)
            model.load_state_dict(weights)
            after = logits_of(model, other, given_moved)[place][:, place]
            np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())

    def test_directions_are_told_apart_where_edges_have_one(self, name, directed_ring):
        """Arrows point to one of the next six nodes, never back: right more often than wrong by 2 deviations of a sign test.

        A cosine cannot know, and degrees are all but alike.
        """
        split = split_of(directed_ring)
        scorer, _ = fitted(name, split, some_features(60), epochs=150, dropout=0.0)
        forward, backward = scorer.logits(split.test), scorer.logits(split.test[:, ::-1])
        num_right, num_wrong = int((forward > backward).sum()), int((forward < backward).sum())
        assert num_right - num_wrong > 2 * np.sqrt(num_right + num_wrong) or name in ("feature-cosine", "degree")


@pytest.mark.parametrize("with_features", [False, True])
@pytest.mark.parametrize(
    ("graph", "name"),
    [
        (graph, name)
        for graph in ("communities", "directed_ring", "two_sides")
        for name in AUTOENCODERS
        if (graph, name) != ("two_sides", "ncn")  # refused: see test_pair_models.py
    ],
)
def test_counted_parameters_are_those_that_are_trained(request, graph, name, with_features):
    split = split_of(request.getfixturevalue(graph))
    features = some_features(split.space.num_nodes) if with_features else None
    _, weights = fitted(name, split, features, epochs=1, validate_every=1)
    sizes = Sizes.of(split, features, family_of(name).options(CONFIG), objective="all-pairs", validation_non_edges=100)
    assert sizes.parameters == sum(values.size for values in weights.values())


def empty() -> np.ndarray:
    return np.empty((0, 2), dtype=np.int64)


def untrained(name, num_nodes, features):
    rng = torch.Generator().manual_seed(0)
    num_features = None if features is None else features.matrix.shape[1]
    options = family_of(name).options(CONFIG)
    kind = PairAutoencoder if options.architecture.is_batched else Autoencoder
    model = kind(num_nodes, num_features, options, directed=False, effective_odds=0.1, rng=rng)
    for weight in model.encoder.parameters():  # also what starts at 0
        torch.nn.init.normal_(weight, generator=rng)
    return model


@torch.no_grad()
def logits_of(model, split, features) -> np.ndarray:
    """Shape (nodes, nodes)."""
    propagation = SparseMatrix.from_scipy(normalized_adjacency(split.message_graph()))
    n = split.space.num_nodes
    if isinstance(model, PairAutoencoder):
        scorer = model.scorer(propagation, scaled_inputs(input_matrix(features, "cpu")), split.message_graph())
        return scorer.block(slice(0, n), slice(0, n))
    return model.scorer(model.mean(propagation, encoder_inputs(features, "cpu"))).block(slice(0, n), slice(0, n))
