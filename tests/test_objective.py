"""Objectives against their dense twins, and the odds they say they train at."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from linkodds.objective import AllPairs, Sampled
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


@pytest.mark.parametrize("max_cells", [7, 100, 10_000])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
def test_all_pairs_equals_the_dense_twin_in_value_and_gradient(space, balanced, max_cells):
    known, *arguments = planted(space)
    objective = AllPairs(known, balanced=balanced, device=CPU, max_cells=max_cells)
    inputs = list({id(each): each for each in arguments}.values())
    expected = dense_twin(known, balanced, *arguments)
    got = objective(*arguments)
    assert got.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(torch.autograd.grad(got, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("space", SPACES, ids=["undirected", "directed", "bipartite"])
def test_gradcheck_in_float64(space):
    known, source, target, scale, bias = planted(space)
    objective = AllPairs(known, balanced=False, device=CPU, max_cells=50)
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
        bias = torch.tensor(np.log(objective.effective_odds), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(objective(nothing, nothing, one, bias), [bias])
        assert abs(slope.item()) < 1e-12
    assert objectives[0].effective_odds == pytest.approx(len(known.pairs) / known.num_absent)
    assert objectives[1].effective_odds == pytest.approx(1.0)
    assert objectives[2].effective_odds == pytest.approx(1 / 7)


def test_sampled_zeros_are_uniform_over_all_pairs_that_are_not_train_edges():
    """Each of the zeros comes up binomially often; with 5 sigma over 228 zeros a false alarm has chance 1e-4."""
    known, source, *_ = planted(PairSpace(23))
    objective = Sampled(known, zeros_per_edge=20, device=CPU, rng=np.random.default_rng(1))
    seen = np.zeros(known.num_absent)
    draws = 200
    for _ in range(draws):
        ranks = objective.rng.integers(known.num_absent, size=objective.num_zeros)
        seen += np.bincount(ranks, minlength=known.num_absent)
    expected = draws * objective.num_zeros / known.num_absent
    assert np.abs(seen - expected).max() < 5 * np.sqrt(expected)
    assert not known.space.contains(known.pairs, known.absent_pairs(np.arange(known.num_absent))).any()
    del source


def test_sampled_is_the_mean_cross_entropy_of_its_pairs():
    known, source, _, scale, bias = planted(PairSpace(23))
    objective = Sampled(known, zeros_per_edge=3, device=CPU, rng=np.random.default_rng(4))
    zeros = known.absent_pairs(np.random.default_rng(4).integers(known.num_absent, size=objective.num_zeros))
    pairs = np.concatenate([known.pairs, zeros])
    labels = torch.cat([torch.ones(len(known.pairs)), torch.zeros(len(zeros))]).double()
    logits = (source[pairs[:, 0]] * source[pairs[:, 1]]).sum(1) * scale + bias
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    assert objective(source, source, scale, bias).item() == pytest.approx(expected.item(), rel=1e-12)
