"""Latent variables of a variational autoencoder: bounded log deviations, and the KL divergence with its free bits."""

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


def kl_divergence(mean: Tensor, log_deviation: Tensor, free_bits: float = 0.0) -> Tensor:
    """KL(N(mean, exp(log_deviation)^2) || N(0, 1)) in nats, summed over dimensions and nodes, with free bits.

    The quantity is the log *deviation*, log sigma, not the log variance: KL = sum of
    (mean^2 + sigma^2 - 1) / 2 - log sigma (Kingma and Welling, ICLR 2014, appendix B).

    With free bits, nodes * sum over dimensions of max(free_bits, mean over nodes of the KL): a dimension below that has
    no gradient and so nothing to gain from saying even less about the nodes (lambda in Kingma et al., Improved
    variational inference with inverse autoregressive flow, NeurIPS 2016).

    Args:
        mean: shape (nodes, dim).
        log_deviation: shape (nodes, dim).
        free_bits: nats a dimension, in a mean over the nodes; at least 0.
    Returns:
        A scalar, at least nodes * dim * free_bits.
    Example:
        >>> import torch
        >>> mean, log_deviation = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)  # 0.5 nats and none
        >>> kl_divergence(mean, log_deviation), kl_divergence(mean, log_deviation, free_bits=0.2)
        (tensor(0.5000), tensor(0.7000))
    """
    nats = mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation
    if free_bits == 0:
        return 0.5 * nats.sum()
    return (0.5 * nats.sum(dim=0)).clamp(min=free_bits * len(mean)).sum()
