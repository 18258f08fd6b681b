"""Objectives against their dense twins, and the odds they say they train at."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit, logit

from linkodds.models.autoencoders.autoencoder import InnerProduct
from linkodds.models.autoencoders.objective import (
    AllPairs,
    Sampled,
    Subgraph,
    expected_pairs,
    inclusion_probabilities,
    node_weights,
)
from linkodds.pairs import KnownPairs, PairSpace

CPU = torch.device("cpu")
SPACES = [PairSpace(23), PairSpace(23, directed=True), PairSpace(23, sides=(9, 13))]


def planted(space: PairSpace, dtype: torch.dtype = torch.float64):
    """Random embeddings and a tenth of the pairs as edges."""
    rng = np.random.default_rng(0)
    edges = space.pair_of_rank(np.sort(rng.choice(space.num_pairs, space.num_pairs // 10, replace=False)))
    source = torch.from_numpy(rng.normal(size=(space.num_nodes, 4))).to(dtype).requires_grad_()
    target = (
        torch.from_numpy(rng.normal(size=(space.num_nodes, 4))).to(dtype).requires_grad_() if space.directed else source
    )
    scale, bias = (
        torch.tensor(1.3, dtype=dtype, requires_grad=True),
        torch.tensor(-2.0, dtype=dtype, requires_grad=True),
    )
    return KnownPairs(space, edges), source, target, scale, bias


def dense_twin(known: KnownPairs, balanced: bool, source, target, scale, bias):
    """Every admissible pair in one list, torch's own loss, the diagonal nowhere."""
    space = known.space
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    labels = torch.from_numpy(space.contains(known.pairs, pairs)).to(source.dtype)
    logits = (source[pairs[:, 0]] * target[pairs[:, 1]]).sum(1) * scale + bias
    weight = torch.tensor(known.num_absent / len(known.pairs) if balanced else 1.0, dtype=source.dtype)
    total = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="sum")
    return total / (weight * labels.sum() + (1 - labels).sum())


@pytest.mark.parametrize("tile", [(1, 1), (3, 6), (8, 8), None], ids=str)
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
def test_all_pairs_equals_the_dense_twin_in_value_and_gradient(space, balanced, tile):
    known, *arguments = planted(space)
    objective = AllPairs(known, balanced=balanced, device=CPU, tile=tile)
    inputs = list({id(each): each for each in arguments}.values())
    expected = dense_twin(known, balanced, *arguments)
    got = objective(*arguments)
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(torch.autograd.grad(got, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
def test_gradcheck_in_float64(space):
    known, source, target, scale, bias = planted(space)
    objective = AllPairs(known, balanced=False, device=CPU, tile=(5, 10))
    if space.directed:
        assert torch.autograd.gradcheck(objective, (source, target, scale, bias))
    else:
        assert torch.autograd.gradcheck(lambda z, s, b: objective(z, z, s, b), (source, scale, bias))


def test_any_logit_gives_a_finite_loss_and_gradient():
    known, source, _, scale, bias = planted(PairSpace(23), torch.float32)
    objective = AllPairs(known, balanced=True, device=CPU)
    loss = objective(source * 1e4, source * 1e4, scale, bias)
    gradients = torch.autograd.grad(loss, [source, scale, bias])
    assert torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_effective_odds_are_where_the_loss_of_a_constant_logit_is_least():
    """At the optimum of a model that knows nothing, bias = log O_eff: the counter says what the loss does."""
    known, source, *_ = planted(PairSpace(23))
    nothing, one = torch.zeros_like(source), torch.tensor(1.0, dtype=torch.float64)
    objectives = [AllPairs(known, balanced=balanced, device=CPU) for balanced in (False, True)]
    objectives.append(Sampled(known, zeros_per_edge=7, device=CPU, rng=np.random.default_rng(0)))
    for objective in objectives:
        assert objective.total_weight > 0
        bias = torch.tensor(np.log(objective.effective_odds), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(objective(nothing, nothing, one, bias), [bias])
        assert abs(slope.item()) < 1e-12
    assert objectives[0].effective_odds == pytest.approx(len(known.pairs) / known.num_absent)
    assert objectives[1].effective_odds == pytest.approx(1.0)
    assert objectives[2].effective_odds == pytest.approx(1 / 7)


ODDS_PAIRS = {
    "all pairs": lambda known: AllPairs(known, balanced=False, device=CPU),
    "all pairs, balanced": lambda known: AllPairs(known, balanced=True, device=CPU),
    **{
        f"{k} zeros an edge": lambda known, k=k: Sampled(
            known, zeros_per_edge=k, device=CPU, rng=np.random.default_rng(1)
        )
        for k in (1, 5, 20)
    },
    "nodes by degree": lambda known: Subgraph(
        known,
        num_drawn=150,
        weights=node_weights(known, by="degree", alpha=1.0),
        balanced=True,
        device=CPU,
        rng=np.random.default_rng(1),
    ),
}


@pytest.mark.parametrize("name", ODDS_PAIRS)
def test_effective_odds_move_trained_logits_to_the_prevalence(name):
    """Acceptance T1: z - log O_eff + logit prevalence, for five weights of an edge and rates of zeros: O/E in 0.9 to 1.1.

    A logistic population whose two parameters are learnt from 2,500 edges, so the mean is known to 2 %: 0.1 is five
    deviations. Controls: the logits as they are, and nodes drawn by degree. There the pairs that are seen are not uniform,
    so O_eff is right for the start of the bias alone, and only calibration makes probabilities of such logits.
    """
    rng = np.random.default_rng(0)
    space = PairSpace(500)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    x = rng.normal(size=(500, 3))
    affinity = (x[pairs[:, 0]] * x[pairs[:, 1]]).sum(1)
    truth = expit(1.2 * affinity - 6.0)
    known = KnownPairs(space, pairs[rng.random(len(pairs)) < truth])
    objective = ODDS_PAIRS[name](known)
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(np.log(objective.effective_odds), dtype=torch.float64, requires_grad=True)
    optimizer, points, late = torch.optim.Adam([scale, bias], lr=0.05), torch.from_numpy(x), []
    for step in range(160):
        optimizer.zero_grad()
        objective(points, points, scale, bias).backward()
        optimizer.step()
        if step >= 80:
            late.append((scale.item(), bias.item()))
    slope, intercept = np.mean(late, axis=0)
    logits = slope * affinity + intercept
    prevalence = len(known.pairs) / space.num_pairs
    moved = expit(logits - np.log(objective.effective_odds) + logit(prevalence))
    if name == "nodes by degree":
        assert truth.sum() / moved.sum() > 1.25
        return
    assert 0.9 < truth.sum() / moved.sum() < 1.1
    if name != "all pairs":
        assert truth.sum() / expit(logits).sum() < 0.5


@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
@pytest.mark.parametrize("at_a_time", [7, 1 << 18])
def test_sampled_zeros_are_uniform_over_all_pairs_that_are_not_train_edges(space, at_a_time, monkeypatch):
    """Each zero comes up binomially often; at 5.5 sigma a false alarm among fewer than 500 has a chance below 1e-4."""
    monkeypatch.setattr("linkodds.models.autoencoders.objective._ZEROS_AT_A_TIME", at_a_time)
    known, *_ = planted(space)
    objective = Sampled(known, zeros_per_edge=20, device=CPU, rng=np.random.default_rng(1))
    seen = torch.zeros(space.num_nodes, space.num_nodes)
    draws = 200
    for _ in range(draws):
        zeros = objective.draw()
        assert len(zeros.values) == objective.num_zeros
        seen += zeros @ torch.eye(space.num_nodes)
    absent = known.absent_pairs(np.arange(known.num_absent))
    counts = seen[absent[:, 0], absent[:, 1]]
    assert counts.sum() == draws * objective.num_zeros  # none fell on an edge, the diagonal or the wrong side
    expected = draws * objective.num_zeros / known.num_absent
    assert (counts - expected).abs().max() < 5.5 * np.sqrt(expected)


def test_sampled_is_the_mean_cross_entropy_of_its_pairs():
    known, source, _, scale, bias = planted(PairSpace(23))
    objective = Sampled(known, zeros_per_edge=3, device=CPU, rng=np.random.default_rng(4))
    drawn = Sampled(known, zeros_per_edge=3, device=CPU, rng=np.random.default_rng(4)).draw()
    rows = np.repeat(np.arange(23), np.diff(drawn.starts.numpy()))
    pairs = np.concatenate([known.pairs, np.column_stack([rows, drawn.columns.numpy()])])
    labels = torch.cat([torch.ones(len(known.pairs)), torch.zeros(len(rows))]).double()
    logits = (source[pairs[:, 0]] * source[pairs[:, 1]]).sum(1) * scale + bias
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    got = objective(source, source, scale, bias)
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(
        *(torch.autograd.grad(each, [source, scale, bias]) for each in (got, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def subgraph(known: KnownPairs, *, balanced: bool = False, num_drawn: int = 8, seed: int = 0) -> Subgraph:
    weights = node_weights(known, by="degree", alpha=1.0)
    rng = np.random.default_rng(seed)
    return Subgraph(known, num_drawn=num_drawn, weights=weights, balanced=balanced, device=CPU, rng=rng, tile=(4, 8))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
def test_a_subgraph_is_the_dense_twin_of_its_own_pairs(space, balanced):
    known, source, target, scale, bias = planted(space)
    objective = subgraph(known, balanced=balanced)
    chosen, *_ = subgraph(known, balanced=balanced).draw()
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    pairs = pairs[np.isin(pairs, chosen).all(axis=1)]
    assert len(pairs) > 10
    labels = torch.from_numpy(space.contains(known.pairs, pairs)).double()
    logits = (source[pairs[:, 0]] * target[pairs[:, 1]]).sum(1) * scale + bias
    weight = torch.tensor(objective.edge_weight, dtype=torch.float64)
    total = F.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="sum")
    got, expected = objective(source, target, scale, bias), total / objective.divisor
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    inputs = list({id(each): each for each in (source, target, scale, bias)}.values())
    for ours, theirs in zip(*(torch.autograd.grad(each, inputs) for each in (got, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_a_subgraph_estimates_the_weighted_cross_entropy_of_all_pairs_without_bias():
    """The mean of 4,000 draws lies within 4.5 of its own standard errors of the closed form (chance of more: 7e-6)."""
    known, source, target, scale, bias = planted(SPACES[1])
    objective = subgraph(known)
    with torch.no_grad():
        losses = np.array([objective(source, target, scale, bias).item() for _ in range(4000)])
        pairs = known.space.pair_of_rank(np.arange(known.space.num_pairs))
        weight = torch.from_numpy(objective.inclusion[pairs].prod(axis=1))
        labels = torch.from_numpy(known.space.contains(known.pairs, pairs)).double()
        logits = (source[pairs[:, 0]] * target[pairs[:, 1]]).sum(1) * scale + bias
        expected = F.binary_cross_entropy_with_logits(logits, labels, weight=weight, reduction="sum") / weight.sum()
    assert abs(losses.mean() - expected.item()) < 4.5 * losses.std() / np.sqrt(len(losses))


def test_inclusion_probabilities_by_hand_and_to_their_sum():
    weights = np.array([50.0, 10.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    # 50 and 10 are certain: the other 1.5 are shared by 4 + 3 + 2 + 1 = 10, so 0.15 for each unit of weight.
    np.testing.assert_allclose(inclusion_probabilities(weights, 3.5), [1, 1, 0.6, 0.45, 0.3, 0.15, 0], rtol=1e-12)
    np.testing.assert_allclose(inclusion_probabilities(np.ones(10), 4), 0.4)
    np.testing.assert_allclose(inclusion_probabilities(weights, 6), [1, 1, 1, 1, 1, 1, 0])
    np.testing.assert_allclose(inclusion_probabilities(weights, 60), [1, 1, 1, 1, 1, 1, 0])
    rng = np.random.default_rng(0)
    for expected in (2, 17, 400, 999):
        probabilities = inclusion_probabilities(rng.pareto(1.2, 1000) + 1, expected)
        assert probabilities.sum() == pytest.approx(expected, rel=1e-9)
        assert probabilities.max() <= 1


@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
def test_expected_pairs_is_the_sum_over_pairs(space):
    inclusion = np.random.default_rng(0).random(space.num_nodes)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    assert expected_pairs(inclusion, space) == pytest.approx(inclusion[pairs].prod(axis=1).sum(), rel=1e-12)


@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
def test_signs_and_degree_terms_equal_the_dense_twin_in_value_and_gradient(space):
    """The logit with signs, scale, bias and degree terms written out, over every pair; the fused objective sees factors."""
    known, source, target, *_ = planted(space)
    degrees = np.bincount(known.pairs.ravel(), minlength=space.num_nodes)
    log_degrees, signs = torch.from_numpy(np.log1p(degrees)), torch.tensor([1.0, 1.0, -1.0, -1.0]).double()
    decoder = InnerProduct(0.1, signs=signs, log_degrees=log_degrees).double()
    with torch.no_grad():
        decoder.log_scale.fill_(0.3)
        decoder.degree_weight.fill_(0.7)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    labels = torch.from_numpy(space.contains(known.pairs, pairs)).double()
    logits = decoder.scale * (source[pairs[:, 0]] * signs * target[pairs[:, 1]]).sum(1) + decoder.bias
    logits = logits + decoder.degree_weight * (log_degrees[pairs[:, 0]] + log_degrees[pairs[:, 1]])
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    got = AllPairs(known, balanced=False, device=CPU, tile=(4, 8))(*decoder.factors(source, target))
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    inputs = [*{id(each): each for each in (source, target)}.values(), *decoder.parameters()]
    assert len(inputs) >= 4
    for ours, theirs in zip(*(torch.autograd.grad(each, inputs) for each in (got, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mean_logit", [-12.0, -4.0, 0.0, 4.0, 30.0])
def test_in_float32_the_loss_is_within_1e_6_of_the_dense_twin_in_float64(mean_logit):
    """Sparse graphs live at logits near -12, where a sum of many tiny terms can lose its digits."""
    space = PairSpace(400)
    rng = np.random.default_rng(0)
    known = KnownPairs(space, space.pair_of_rank(np.sort(rng.choice(space.num_pairs, 300, replace=False))))
    z = torch.from_numpy(rng.normal(size=(400, 16)).astype(np.float32) * 0.3)
    scale, bias = torch.tensor(1.3), torch.tensor(mean_logit)
    objective = AllPairs(known, balanced=False, device=CPU)
    expected = dense_twin(known, False, *(each.double() for each in (z, z, scale, bias)))
    assert objective(z, z, scale, bias).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("balanced", [False, True])
def test_the_kl_term_weighs_beside_a_subgraph_what_it_weighs_beside_all_pairs(balanced):
    """Every node has an edge and is drawn with probability 1/4: a sixteenth of all pairs is seen, and the KL is that of all."""
    space = PairSpace(24)
    ring = np.array([[i, i + 1] for i in range(23)] + [[0, 23]])
    known = KnownPairs(space, ring)
    some = Subgraph(
        known, num_drawn=6, weights=np.ones(24), balanced=balanced, device=CPU, rng=np.random.default_rng(0)
    )
    everything = AllPairs(known, balanced=balanced, device=CPU)
    assert some.divisor == pytest.approx(everything.total_weight / 16)
    assert some.total_weight == pytest.approx(everything.total_weight)
