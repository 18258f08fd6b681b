"""Decoupled autoencoders: embeddings are linear in what propagation has made once, z = sum over k of H_k W_k."""

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from linkodds.config import FitConfig
from linkodds.decoder import half_negative
from linkodds.encoder import Pace
from linkodds.pair_decoder import ROW_LENGTH, PairNetwork, WeightedProduct
from linkodds.propagation import drop

MODELS = ("linear-gae", "refined-gae")
"""Models that have a decoupled form."""


@final
class HopEncoder(nn.Module):
    """z = sum over k of h_k W_k, where h_k is row k of H with length 1, times a learned gain a column.

    A row of P^k X grows with the degree of its node; of length 1, the products of rows say what their nodes have in common.

    Args:
        width: columns of each hop.
        hops: K.
        num_outputs: columns of W.
        dropout: on h, while training.
        has_features: then rows have length `ROW_LENGTH`, as in memory.
        rng: source of the initial weights, on the CPU: one orthogonal matrix for all hops, so that z begins as the sum of
            all h_k, turned.
    """

    def __init__(
        self, width: int, hops: int, num_outputs: int, dropout: float, *, has_features: bool, rng: torch.Generator
    ) -> None:
        super().__init__()
        first = torch.empty(width, num_outputs)
        nn.init.orthogonal_(first, generator=rng)
        scale = math.sqrt(num_outputs / width) if num_outputs < width else 1.0
        self.weights = nn.Parameter((first * scale).repeat(hops + 1, 1, 1))
        self.gains = nn.Parameter(torch.ones(hops + 1, width))
        self.dropout = dropout
        self.length = ROW_LENGTH if has_features else 1.0

    def forward(self, rows: Tensor, noise: torch.Generator | None) -> Tensor:
        """Shape (rows, outputs) from rows of H; `noise` draws the dropout, None is the mean network without any."""
        hops, width = self.gains.shape
        inputs = F.normalize(rows.view(len(rows), hops, width), dim=2, eps=1e-12) * (self.length * self.gains)
        if noise is not None:
            inputs = drop(inputs, self.dropout, noise)
        return inputs.view(len(rows), hops * width) @ self.weights.view(hops * width, -1)

    def paces(self) -> list[Pace]:
        """See `Encoder.paces`."""
        return [Pace([self.weights]), Pace([self.gains], weight_decay=0.0)]


@final
class DecoupledAutoencoder(nn.Module):
    """`HopEncoder` and the decoder of the model in memory.

    Args:
        name: one of `MODELS`.
        width: columns of each hop.
        hops: K.
        config: hidden, dim, dropout and decoder, as `FitConfig.of_model` gives them.
        has_features: see `HopEncoder`.
        effective_odds: O_eff of the objective.
        rng: source of the initial weights.
    """

    decoder: PairNetwork | WeightedProduct

    def __init__(
        self,
        name: str,
        width: int,
        hops: int,
        config: FitConfig,
        *,
        has_features: bool,
        effective_odds: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        config = config.of_model(name)
        assert config.dim is not None
        assert config.hidden is not None
        self.encoder = HopEncoder(width, hops, config.dim, config.dropout, has_features=has_features, rng=rng)
        if config.decoder == "hadamard":
            sizes = config.dim, config.hidden, config.dropout
            self.decoder = PairNetwork(*sizes, common_neighbors=None, effective_odds=effective_odds, rng=rng)
            return
        relation = half_negative(config.dim) if config.decoder == "signed" else torch.ones(config.dim)
        is_learned = config.decoder == "distmult"
        if is_learned:
            relation = torch.randn(config.dim, generator=rng)
        self.decoder = WeightedProduct(config.dim, relation, is_learned=is_learned, effective_odds=effective_odds)
