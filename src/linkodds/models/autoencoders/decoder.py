"""Decoders: from the embeddings of two nodes to the logit of their edge. The last step is never a sigmoid."""

import math
from typing import final

import torch
from torch import Tensor, nn

Factors = tuple[Tensor, Tensor, Tensor, Tensor]
"""source (nodes, k), target (nodes, k), scale and bias: the logit of (u, v) is scale * <source_u, target_v> + bias."""


def half_negative(dim: int) -> Tensor:
    """Signs of which the last half, or one less where `dim` is odd, are -1. Shape (dim,).

    Example:
        >>> half_negative(5)
        tensor([ 1.,  1.,  1., -1., -1.])
    """
    signs = torch.ones(dim)
    signs[dim - dim // 2 :] = -1
    return signs


@final
class InnerProduct(nn.Module):
    """logit = exp(log_scale) * sum over k of sign_k * source_k * target_k + degree terms + bias.

    Without a bias the mean logit over all pairs of an undirected graph cannot fall below about 0
    (sum of <u_i, u_j> over i, j = |sum of u_i|^2 >= 0), while a sparse graph needs a mean near log(edges / pairs).
    So the bias starts at the log odds at which the model is trained. With positive signs alone the matrix of logits,
    but for the bias, has no negative eigenvalue, and cannot say that two alike nodes avoid each other; fixed signs, +1
    for some dimensions and -1 for the others, make it any symmetric matrix of that rank.

    Args:
        effective_odds: O_eff of the objective, above 0.
        signs: shape (dim,), +1 or -1; None is +1 everywhere.
        log_degrees: shape (nodes,); a learned multiple of the two ends' is added to each logit, from 0. None: no terms.
    Example:
        >>> decoder = InnerProduct(effective_odds=0.01)
        >>> round(decoder.bias.item(), 3), decoder.scale.item()
        (-4.605, 1.0)
    """

    signs: Tensor | None
    log_degrees: Tensor | None

    def __init__(self, effective_odds: float, signs: Tensor | None = None, log_degrees: Tensor | None = None) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.tensor(math.log(effective_odds)))
        self.degree_weight = None if log_degrees is None else nn.Parameter(torch.zeros(()))
        self.register_buffer("signs", signs, persistent=False)
        self.register_buffer("log_degrees", log_degrees, persistent=False)

    @property
    def scale(self) -> Tensor:
        """exp(log_scale), above 0: a larger inner product is never a lower logit."""
        return self.log_scale.exp()

    def factors(self, source: Tensor, target: Tensor) -> Factors:
        """What objectives and scorers take: signs go into the source, each degree term is a column more on both sides.

        Args:
            source: shape (nodes, dim).
            target: shape (nodes, dim).
        Example:
            >>> decoder = InnerProduct(0.5, signs=torch.tensor([1.0, -1.0]), log_degrees=torch.tensor([0.0, 1.0]))
            >>> z = torch.tensor([[1.0, 2.0], [3.0, 1.0]])
            >>> source, target, scale, bias = decoder.factors(z, z)
            >>> source.shape, (scale * (source @ target.T)).tolist()  # degree terms start at 0
            (torch.Size([2, 4]), [[-3.0, 1.0], [1.0, 8.0]])
        """
        if self.signs is not None:
            source = source * self.signs
        if self.log_degrees is None or self.degree_weight is None:
            return source, target, self.scale, self.bias
        terms = (self.degree_weight * self.log_degrees)[:, None]
        ones = torch.ones_like(terms)
        source = torch.cat([source * self.scale, terms, ones], dim=1)
        return source, torch.cat([target, ones, terms], dim=1), torch.ones_like(self.scale), self.bias
