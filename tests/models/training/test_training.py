import numpy as np
import pytest
import scipy.sparse as sp
import torch

from linkodds.config import FitConfig
from linkodds.errors import NonFiniteScores, OptionError
from linkodds.graph.features import Features
from linkodds.graph.split import split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision, roc_auc
from linkodds.metrics.non_edges import NonEdges
from linkodds.models.autoencoders.autoencoder import Autoencoder
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.models.families import family_of
from linkodds.models.training.training import choose_device, choose_objective, train
from linkodds.models.training.training_loop import TrainingTask
from linkodds.pairs import PairSpace

CPU = torch.device("cpu")
QUICK = {"hidden": 16, "dim": 8, "epochs": 60, "validate_every": 5, "dropout": 0.2}


def fit(name, graph, *, seed=0, features=None, **options):
    split = split_edges(graph, rng=np.random.default_rng(0))
    config = family_of(name).options(FitConfig(**{**QUICK, **options}))
    model = train(TrainingTask(name, split, features, config, np.random.SeedSequence(seed), CPU))
    return split, model


@pytest.mark.parametrize("objective", ["all-pairs", "sampled", "subgraph"])
@pytest.mark.parametrize("name", ["gae", "vgae"])
@pytest.mark.parametrize("graph", ["communities", "directed_ring", "two_sides"])
def test_every_model_finds_the_planted_structure(request, graph, name, objective):
    """Groups, arrows and sides are planted, so held-out edges rank well above chance: AUC 0.5 plus 3 standard errors.

    Hanley and McNeil bound the standard error of an AUC of 0.5 by sqrt((1/P + 1/N) / 12) < 0.55 / sqrt(P) / 2 here.
    """
    split, model = fit(name, request.getfixturevalue(graph), objective=objective, epochs=120, subgraph_nodes=40)
    held_out = HeldOut.from_scorer(model.scorer, split.test, NonEdges(split.recorded()))
    assert roc_auc(held_out) > 0.5 + 3 * np.sqrt(1 / (12 * len(split.test))) * 1.05
    assert model.objective == objective


def test_a_directed_model_tells_the_two_directions_apart(directed_ring):
    split, model = fit("gae", directed_ring, epochs=200, dropout=0.0)
    forward = model.scorer.logits(split.test)
    backward = model.scorer.logits(split.test[:, ::-1])
    assert (forward > backward).mean() > 0.8  # no arrow of the ring ever points back


def test_the_kept_epoch_is_the_first_best_one_by_validation_ap(communities):
    _, model = fit("vgae", communities)
    validated = [epoch for epoch in model.history if epoch.validation is not None]
    best = max(epoch.validation.average_precision for epoch in validated)
    first = next(epoch.epoch for epoch in validated if epoch.validation.average_precision == best)
    assert model.best_epoch == first


def test_validation_ap_in_the_history_is_the_enumerated_one_where_all_non_edges_fit_the_sample(communities):
    split, model = fit("gae", communities)
    exact = average_precision(HeldOut.from_scorer(model.scorer, split.validation, NonEdges(split.recorded())))
    kept = model.history[model.best_epoch - 1].validation
    assert kept.average_precision == pytest.approx(exact, rel=1e-9)
    assert kept.tn + kept.fp + kept.fn + kept.tp == pytest.approx(split.recorded().num_absent + len(split.validation))


def test_same_seed_same_weights_another_seed_others(communities):
    (_, one), (_, same), (_, other) = (fit("vgae", communities, seed=seed) for seed in (4, 4, 5))
    for key in one.weights:
        np.testing.assert_array_equal(one.weights[key], same.weights[key])
    assert not np.array_equal(one.weights["encoder.first"], other.weights["encoder.first"])


def test_beta_changes_the_loss_and_its_divisor_is_the_total_weight_of_the_pairs(communities):
    _, without = fit("vgae", communities, beta=0.0, epochs=5)
    _, half = fit("vgae", communities, beta=0.5, epochs=5)
    _, whole = fit("vgae", communities, beta=1.0, epochs=5)
    assert without.history[0].kl == 0
    assert whole.history[0].kl == pytest.approx(2 * half.history[0].kl, rel=1e-5)
    assert whole.history[0].loss == pytest.approx(whole.history[0].reconstruction + whole.history[0].kl, rel=1e-6)


def test_a_gae_has_no_kl(communities):
    _, model = fit("gae", communities, beta=1.0, epochs=5)
    assert {epoch.kl for epoch in model.history} == {0.0}


def test_patience_stops_and_keeps_the_best(communities):
    _, model = fit("gae", communities, epochs=1000, patience=10, learning_rate=0.05)
    assert len(model.history) < 1000
    assert len(model.history) - model.best_epoch == 10


def test_unscaled_features_that_overflow_end_in_one_clear_error(communities):
    huge = np.full((communities.num_nodes, 3), 1e30, dtype=np.float32)
    with pytest.raises(NonFiniteScores, match="not finite before the first validation.*--feature-scaling standard"):
        fit("gae", communities, features=Features(huge, "standard"))  # not what it says: raw ones are divided


def test_units_of_the_features_do_not_matter_to_a_signed_gae(communities):
    """Their weights are trained at a pace and under a penalty that follow their size; Adam's epsilon is all that differs."""
    values = np.random.default_rng(0).normal(size=(communities.num_nodes, 7)).astype(np.float32)
    one, other, without = (
        fit("signed-gae", communities, features=features, epochs=20, weight_decay=1e-3)[1].scorer.source
        for features in (Features(values, "standard"), Features(64 * values, "standard"), None)
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-3 * np.abs(one).max())
    assert np.abs(one - without).max() > 0.05 * np.abs(one).max()


def test_the_weight_decay_follows_the_penalty_where_it_is_left_open(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    config, seeds = family_of("signed-gae").options(FitConfig(**{**QUICK, "epochs": 5})), np.random.SeedSequence(0)
    weak, strong = (
        train(TrainingTask("signed-gae", split, None, config, seeds, CPU), penalty=penalty) for penalty in (0.1, 0.3)
    )
    assert strong.weight_decay == pytest.approx(3 * weak.weight_decay)
    n, mean_degree = communities.num_nodes, 2 * len(split.train) / communities.num_nodes
    others = n * (n - 1) / 2 - len(split.train)
    assert weak.weight_decay == pytest.approx(0.1 * others / len(split.train) * np.sqrt(mean_degree) / (2 * others))
    assert fit("signed-gae", communities, epochs=5, weight_decay=0.25)[1].weight_decay == 0.25


def test_the_prior_of_a_variational_table_is_its_penalty(communities):
    """The KL weighs what the L2 penalty weighs, whatever beta is; first the means are near 0 and the deviations exp(-2)."""
    model = fit("signed-vgae", communities, epochs=1, weight_decay=1e-6, beta=7.0)[1]
    nats = (
        np.exp(-4) - 1 + 4
    ) / 2 + 0.1**2 / 2  # of each number of the table: deviations that start at -2, means of size 0.1
    expected = 1e-6 * nats * communities.num_nodes * 8
    assert model.history[0].kl == pytest.approx(expected, rel=0.1)  # the head of the deviations starts at 0.1 as well
    weak, strong = (
        np.square(fit("signed-vgae", communities, epochs=60, weight_decay=decay)[1].scorer.source).mean()
        for decay in (1e-4, 1e-2)
    )
    assert strong < 0.2 * weak


def test_choices_by_size_and_device():
    assert choose_objective(FitConfig(objective="sampled"), PairSpace(10)) == "sampled"
    assert choose_objective(FitConfig(), PairSpace(19_717)) == "sampled"
    assert choose_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="--device cuda"):
            choose_device("cuda")


@pytest.mark.parametrize("directed", [False, True])
def test_embeddings_start_alike_whatever_the_graph_and_the_size_of_the_features(directed):
    """Glorot's weights alone leave root mean squares that differ by orders of magnitude."""
    rng = np.random.default_rng(0)
    adjacency = sp.csr_array((rng.random((200, 200)) < 0.3).astype(np.float32))
    propagation = SparseMatrix.from_scipy(normalized_adjacency(adjacency))
    for inputs in (None, torch.rand(200, 30), 1e-3 * torch.rand(200, 30)):
        model = Autoencoder(
            200,
            None if inputs is None else 30,
            family_of("vgae").options(FitConfig()),
            directed=directed,
            effective_odds=0.1,
            rng=torch.Generator().manual_seed(0),
        )
        before = model.mean(propagation, inputs).square().mean().sqrt().item()
        assert before < 0.02 or before > 0.06
        model.prepare(propagation, inputs)
        assert model.mean(propagation, inputs).square().mean().sqrt().item() == pytest.approx(0.05, rel=1e-4)


def test_embeddings_that_are_all_zero_are_left_alone():
    propagation = SparseMatrix.from_scipy(normalized_adjacency(sp.csr_array((5, 5), dtype=np.float32)))
    rng = torch.Generator().manual_seed(0)
    model = Autoencoder(5, 3, family_of("gae").options(FitConfig()), directed=False, effective_odds=0.1, rng=rng)
    second = model.encoder.second.detach().clone()
    model.prepare(propagation, torch.zeros(5, 3))
    assert torch.equal(model.encoder.second, second)
