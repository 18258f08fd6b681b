"""Decoupled autoencoders: embeddings are linear in what propagation has made once, z = sum over k of H_k W_k."""

import math
from typing import final

import torch
from torch import Tensor, nn

from linkodds.config import ModelOptions
from linkodds.models.autoencoders.autoencoder import half_negative
from linkodds.models.autoencoders.encoder import Pace
from linkodds.models.autoencoders.pair_decoder import ROW_LENGTH, HadamardDecoder, WeightedProduct

_NO_LENGTH = 1e-12
_SHORT = 1e-3  # added to a length before its logarithm: there are rows of zeros


@final
class HopEncoder(nn.Module):
    """z = sum over k of (h_k W_k + log|x_k| L_k) + c log(degree + 1) + b, where h_k is row x_k of H, of length 1.

    A row of P^k X grows with the degree of its node; of length 1, and times a learned gain a column, the products of rows say
    what their nodes have in common. The lengths and the degree stand beside them. Features and table are normalised each for
    itself, and have a length each.

    There is no dropout: in memory it falls on the features of single nodes and averages out over a neighbourhood, while an
    entry of H is the neighbourhood itself. On debian_deps_large it cost five sixths of the average precision.

    Args:
        width: columns of each hop.
        num_features: the first of these, which are features; the others are a random table.
        hops: K.
        num_outputs: columns of W.
        mean_degree: whose logarithm counts as 0.
        rng: source of the initial weights, on the CPU: one orthogonal matrix for all hops, so that z begins as the sum of
            all h_k, turned.
    """

    def __init__(
        self,
        width: int,
        num_features: int,
        hops: int,
        num_outputs: int,
        *,
        mean_degree: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.groups = [each for each in (num_features, width - num_features) if each]
        first = torch.cat([_turned(each, num_outputs, rng) for each in self.groups])
        self.weights = nn.Parameter(first.repeat(hops + 1, 1, 1))
        self.gains = nn.Parameter(torch.ones(hops + 1, width))
        self.lengths = nn.Parameter(torch.zeros((hops + 1) * len(self.groups), num_outputs))
        self.degree = nn.Parameter(torch.zeros(num_outputs))
        self.shift = nn.Parameter(torch.zeros(num_outputs))
        self._scales = [ROW_LENGTH, 1.0] if num_features else [1.0]
        self._typical = math.log(mean_degree + 1)

    def forward(self, rows: Tensor) -> Tensor:
        """Shape (rows, outputs) from rows of H."""
        hops, width = self.gains.shape
        parts = torch.split(rows[:, :-1].reshape(len(rows), hops, width), self.groups, dim=2)
        lengths = [part.norm(dim=2) for part in parts]
        normal = [
            part * (scale / length.clamp(min=_NO_LENGTH))[:, :, None]
            for part, length, scale in zip(parts, lengths, self._scales, strict=True)
        ]
        inputs, degrees = torch.cat(normal, dim=2) * self.gains, rows[:, -1:] - self._typical
        return (
            inputs.view(len(rows), hops * width) @ self.weights.view(hops * width, -1)
            + torch.log(torch.cat(lengths, dim=1) + _SHORT) @ self.lengths
            + degrees * self.degree
            + self.shift
        )

    def paces(self) -> list[Pace]:
        """See `Encoder.paces`."""
        return [Pace([self.weights]), Pace([self.gains, self.lengths, self.degree, self.shift], weight_decay=0.0)]


def _turned(num_inputs: int, num_outputs: int, rng: torch.Generator) -> Tensor:
    """Shape (inputs, outputs): an orthogonal matrix, scaled so that rows keep their length on average."""
    result = nn.init.orthogonal_(torch.empty(num_inputs, num_outputs), generator=rng)
    return result * (math.sqrt(num_outputs / num_inputs) if num_outputs < num_inputs else 1.0)


@final
class DecoupledAutoencoder(nn.Module):
    """`HopEncoder` and the decoder of the model in memory.

    Args:
        width: columns of each hop.
        num_features: see `HopEncoder`.
        hops: K.
        config: hidden, dim, dropout and decoder, as the model's family takes them.
        mean_degree: see `HopEncoder`.
        effective_odds: O_eff of the objective.
        rng: source of the initial weights.
    """

    decoder: HadamardDecoder | WeightedProduct

    def __init__(
        self,
        width: int,
        num_features: int,
        hops: int,
        config: ModelOptions,
        *,
        mean_degree: float,
        effective_odds: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        sizes_of_rows = width, num_features, hops, config.dim
        self.encoder = HopEncoder(*sizes_of_rows, mean_degree=mean_degree, rng=rng)
        if config.decoder == "hadamard":
            sizes = config.dim, config.hidden, config.dropout
            self.decoder = HadamardDecoder(*sizes, common_neighbors=None, effective_odds=effective_odds, rng=rng)
            return
        relation = half_negative(config.dim) if config.decoder == "signed" else torch.ones(config.dim)
        is_learned = config.decoder == "distmult"
        if is_learned:
            relation = torch.randn(config.dim, generator=rng)
        self.decoder = WeightedProduct(config.dim, relation, is_learned=is_learned, effective_odds=effective_odds)
