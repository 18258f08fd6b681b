"""Latent variables of a variational autoencoder: bounded log deviations and the KL divergence from the prior."""

from torch import Tensor

MIN_LOG_DEVIATION, MAX_LOG_DEVIATION = -6.0, 2.0
INITIAL_LOG_DEVIATION = -2.0
"""Added to the head of the log deviations: with weights near 0 a deviation of 1 would drown the means from the start."""


def log_deviation(head: Tensor) -> Tensor:
    """Log deviations from the encoder's head: shifted to start near -2, and kept in [-6, 2].

    An unbounded head makes exp(2 log deviation) overflow within some hundred epochs.

    Example:
        >>> import torch
        >>> log_deviation(torch.tensor([-100.0, 0.5, 1000.0]))
        tensor([-6.0000, -1.5000,  2.0000])
    """
    return (head + INITIAL_LOG_DEVIATION).clamp(MIN_LOG_DEVIATION, MAX_LOG_DEVIATION)


def kl_divergence(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """KL(N(mean, exp(log_deviation)^2) || N(0, 1)) in nats, summed over dimensions and nodes.

    The quantity is the log *deviation*, log sigma, not the log variance: KL = sum of
    (mean^2 + sigma^2 - 1) / 2 - log sigma (Kingma and Welling, ICLR 2014, appendix B).

    Args:
        mean: shape (nodes, dim).
        log_deviation: shape (nodes, dim).
    Returns:
        A scalar, at least 0.
    Example:
        >>> import torch
        >>> kl_divergence(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
        tensor(0.5000)
    """
    return 0.5 * (mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation).sum()
