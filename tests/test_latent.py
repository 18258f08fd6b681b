import numpy as np
import pytest
import torch

from linkodds.latent import kl_divergence, log_deviation


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
