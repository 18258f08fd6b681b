"""Encoders: from features, or none, and the message graph to embeddings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
import torch
from torch import Tensor, nn

from linkodds.graph.features import Features
from linkodds.models.autoencoders.propagation import SparseMatrix, drop


def input_matrix(features: Features | None, device: torch.device | str) -> SparseMatrix | Tensor | None:
    """Features as what the first layer multiplies: sparse stays sparse, None means a learned table."""
    if features is None:
        return None
    if isinstance(features.matrix, np.ndarray):
        return torch.from_numpy(features.matrix.astype(np.float32)).to(device)
    return SparseMatrix.from_scipy(features.matrix, device)


_COLUMNS = 256  # features that are smoothed at a time where they are measured


class Encoder(Protocol):
    """What an autoencoder asks of its encoder, which is a torch module."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Its weights."""
        ...

    def __call__(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, noise: torch.Generator | None
    ) -> Tensor:
        """Shape (nodes, outputs), float32; `noise` draws the dropout, None is the mean network without any."""
        ...

    def scale_outputs(self, factor: Tensor) -> None:
        """Multiply weights such that all outputs grow by this factor."""
        ...

    def paces(self) -> list["Pace"]:
        """All weights, with how they are trained."""
        ...


@dataclass(frozen=True, eq=False)
class Pace:
    """How some of an encoder's weights are trained.

    Args:
        weights: the same as one parameter group of the optimizer.
        learning_rate: factor of the learning rate.
        weight_decay: factor of the weight decay.
    """

    weights: list[nn.Parameter]
    learning_rate: float = 1.0
    weight_decay: float = 1.0


@final
class GraphEncoder(nn.Module):
    """Two graph convolutions: H = ReLU(P X W1), outputs = P H W2, where P is the normalised adjacency.

    All heads (mean and log deviation; source and target in a directed graph) are columns of W2, so they share one
    propagation. Without features X is the identity: W1 itself is a learned table with a row for each node.

    Args:
        num_inputs: number of features, or of nodes when there are none.
        hidden: columns of W1.
        num_outputs: columns of W2.
        dropout: on the features (the table, where there are none) and on H, while training.
        rng: source of the initial weights (Glorot and Bengio, AISTATS 2010), on the CPU.
    """

    def __init__(self, num_inputs: int, hidden: int, num_outputs: int, dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Parameter(_glorot(num_inputs, hidden, rng))
        self.second = nn.Parameter(_glorot(hidden, num_outputs, rng))
        self.dropout = dropout

    def forward(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, noise: torch.Generator | None
    ) -> Tensor:
        """Shape (nodes, outputs), float32; `noise` draws the dropout, None is the mean network without any."""
        hidden = torch.relu(propagation @ first_product(inputs, self.first, self.dropout, noise))
        if noise is not None:
            hidden = drop(hidden, self.dropout, noise)
        return propagation @ (hidden @ self.second)

    def scale_outputs(self, factor: Tensor) -> None:
        """See `Encoder.scale_outputs`."""
        self.second.mul_(factor)

    def paces(self) -> list[Pace]:
        """See `Encoder.paces`."""
        return [Pace(list(self.parameters()))]


@final
class LinearEncoder(nn.Module):
    """One propagation and nothing that bends: outputs = P X W (Salha et al., Keep it simple, ECML-PKDD 2020).

    Without features X is the identity: W itself is a learned table with a row for each node.

    Args:
        num_inputs: number of features, or of nodes when there are none.
        num_outputs: columns of W.
        dropout: on the features (the table, where there are none), while training.
        rng: source of the initial weights, on the CPU.
    """

    def __init__(self, num_inputs: int, num_outputs: int, dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        self.first = nn.Parameter(_glorot(num_inputs, num_outputs, rng))
        self.dropout = dropout

    def forward(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, noise: torch.Generator | None
    ) -> Tensor:
        """Shape (nodes, outputs), float32; see `Encoder`."""
        return propagation @ first_product(inputs, self.first, self.dropout, noise)

    def scale_outputs(self, factor: Tensor) -> None:
        """See `Encoder.scale_outputs`."""
        self.first.mul_(factor)

    def paces(self) -> list[Pace]:
        """See `Encoder.paces`."""
        return [Pace(list(self.parameters()))]


@final
class TableEncoder(nn.Module):
    """A free row for each node and, where there are features, what they say beside it: outputs = Z + P (P (X W)).

    Z is not smoothed over the neighbours: whom exactly a node is tied to is what the top of a ranking needs.

    An L2 penalty is a normal prior. With W penalised by the mean square length of the rows of P P X, times as much as Z,
    features and table share the prior variance of the outputs alike, whatever the number and the units of the features.
    Adam moves each weight by about the learning rate a step, and so an output by that times the sum of |P P X| over its
    row: divided by the mean of those, both parts move at one pace.

    Args:
        num_nodes: rows of Z.
        num_features: rows of W; None: no features and no W.
        num_outputs: columns of both.
        rng: source of the initial weights, on the CPU; those of Z are normal, those of W 0, so that both start as one.
    """

    def __init__(self, num_nodes: int, num_features: int | None, num_outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(num_nodes, num_outputs, generator=rng))
        self._feature_sizes = 1.0, 1.0
        self.first = None if num_features is None else nn.Parameter(torch.zeros(num_features, num_outputs))

    def forward(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, noise: torch.Generator | None
    ) -> Tensor:
        """Shape (nodes, outputs), float32; there is nothing that `noise` would draw."""
        if self.first is None:
            return self.table
        return self.table + propagation @ (propagation @ first_product(inputs, self.first, 0.0, noise))

    def scale_outputs(self, factor: Tensor) -> None:
        """See `Encoder.scale_outputs`."""
        for weight in self.parameters():
            weight.mul_(factor)

    def paces(self) -> list[Pace]:
        """See `Encoder.paces`; to be asked after `measure_features`."""
        if self.first is None:
            return [Pace([self.table])]
        absolute, square = self._feature_sizes
        return [Pace([self.table]), Pace([self.first], learning_rate=1 / absolute, weight_decay=square)]

    @torch.no_grad()
    def measure_features(self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor) -> None:
        """Take the sizes of the rows of P P X, a few columns at a time; those of features that are all 0 count as 1."""
        num_features = inputs.shape[1]
        absolute = square = 0.0
        for start in range(0, num_features, _COLUMNS):
            columns = torch.eye(num_features, min(_COLUMNS, num_features - start), device=self.table.device)
            smoothed = propagation @ (propagation @ (inputs @ columns.roll(start, dims=0)))
            absolute += float(smoothed.abs().sum(dtype=torch.float64))
            square += float(smoothed.square().sum(dtype=torch.float64))
        if absolute > 0:
            self._feature_sizes = absolute / len(self.table), square / len(self.table)


def first_product(
    inputs: SparseMatrix | Tensor | None, weight: Tensor, dropout: float, noise: torch.Generator | None
) -> Tensor:
    """X W with dropout on the entries of X; without features, on the entries of the table W."""
    if inputs is None:
        return weight if noise is None else drop(weight, dropout, noise)
    if noise is not None:
        inputs = inputs.dropped(dropout, noise) if isinstance(inputs, SparseMatrix) else drop(inputs, dropout, noise)
    return inputs @ weight


def _glorot(rows: int, columns: int, rng: torch.Generator) -> Tensor:
    bound = float((6.0 / (rows + columns)) ** 0.5)
    uniform: Tensor = torch.rand(rows, columns, generator=rng)
    return uniform * (2 * bound) - bound
