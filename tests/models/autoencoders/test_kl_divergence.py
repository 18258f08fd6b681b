import numpy as np
import pytest
import torch

from linkodds.config import FitConfig
from linkodds.graph.split import split_edges
from linkodds.models.autoencoders.autoencoder import kl_divergence, log_deviation
from linkodds.models.families import family_of
from linkodds.models.training.training import train
from linkodds.models.training.training_loop import TrainingTask


def test_kl_equals_torch_distributions():
    rng = torch.Generator().manual_seed(0)
    mean, log_deviation = torch.randn(30, 5, generator=rng), torch.randn(30, 5, generator=rng)
    posterior = torch.distributions.Normal(mean, log_deviation.exp())
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(kl_divergence(mean, log_deviation), expected)


def test_log_deviation_is_bounded_on_both_sides_and_exp_of_it_stays_finite():
    head = torch.tensor([-1e30, 0.0, 1e30])
    deviation = log_deviation(head).exp()
    assert torch.isfinite(deviation.square()).all()
    assert deviation[1].item() == pytest.approx(np.exp(-2), rel=1e-6)


def test_free_bits_by_hand_two_nodes_two_dimensions():
    """With deviations of 1 a KL is mean^2 / 2: dimension 0 has 0.5 and 1.5 nats, 1 in the mean; dimension 1 has 0.1 and 0.

    A floor of 0.3 leaves dimension 0 its 2 nats and lifts dimension 1 from 0.1 to 2 nodes * 0.3.
    """
    mean = torch.tensor([[1.0, 0.2**0.5], [3.0**0.5, 0.0]], requires_grad=True)
    log_deviation = torch.zeros(2, 2, requires_grad=True)
    assert kl_divergence(mean, log_deviation).item() == pytest.approx(2.1, rel=1e-6)
    free = kl_divergence(mean, log_deviation, free_bits=0.3)
    assert free.item() == pytest.approx(2.6, rel=1e-6)
    free.backward()
    np.testing.assert_allclose(mean.grad, [[1.0, 0.0], [3.0**0.5, 0.0]], rtol=1e-6)  # nothing below the floor
    assert kl_divergence(mean, log_deviation, free_bits=1.5).item() == pytest.approx(2 * 2 * 1.5, rel=1e-6)


def test_the_floor_holds_for_the_mean_over_the_nodes_not_for_each_node():
    """A node at 0 nats keeps its gradient where the others lift the dimension above the floor."""
    mean, log_deviation = torch.tensor([[0.0], [2.0]]), torch.full((2, 1), 0.1, requires_grad=True)
    kl_divergence(mean, log_deviation, free_bits=0.5).backward()  # 0.011 and 2.011 nats: 1.011 in the mean
    np.testing.assert_allclose(log_deviation.grad, np.full((2, 1), np.exp(0.2) - 1), rtol=1e-5)


def test_free_bits_keep_the_dimensions_active_that_a_large_beta_silences(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    findings, variances = {}, {}
    for free_bits in (0.0, 0.5):
        given = FitConfig(hidden=16, dim=8, epochs=150, validate_every=150, dropout=0.2, beta=2.0, free_bits=free_bits)
        config = family_of("vgae").options(given)
        model = train(TrainingTask("vgae", split, None, config, np.random.SeedSequence(0), torch.device("cpu")))
        findings[free_bits] = [finding.id for finding in model.findings]
        variances[free_bits] = model.scorer.source.var(axis=0)
        assert (
            model.history[-1].kl >= config.beta * free_bits * 8 * communities.num_nodes / split.space.num_pairs - 1e-6
        )
    assert findings == {0.0: ["D16"], 0.5: []}
    assert (variances[0.0] < 0.01).all()  # Burda, Grosse and Salakhutdinov's line for an active dimension
    assert (variances[0.5] > 0.1).all()
