"""Decoders: from the embeddings of two nodes to the logit of their edge. The last step is never a sigmoid."""

import math
from typing import final

import torch
from torch import Tensor, nn


@final
class InnerProduct(nn.Module):
    """logit = exp(log_scale) * <source, target> + bias.

    Without a bias the mean logit over all pairs of an undirected graph cannot fall below about 0
    (sum of <u_i, u_j> over i, j = |sum of u_i|^2 >= 0), while a sparse graph needs a mean near log(edges / pairs).
    So the bias starts at the log odds at which the model is trained.

    Args:
        effective_odds: O_eff of the objective, above 0.
    Example:
        >>> decoder = InnerProduct(effective_odds=0.01)
        >>> round(decoder.bias.item(), 3), decoder.scale.item()
        (-4.605, 1.0)
    """

    def __init__(self, effective_odds: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.tensor(math.log(effective_odds)))

    @property
    def scale(self) -> Tensor:
        """exp(log_scale), above 0: a larger inner product is never a lower logit."""
        return self.log_scale.exp()
