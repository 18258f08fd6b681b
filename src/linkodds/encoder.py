"""Encoders: from features, or none, and the message graph to embeddings."""

from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from linkodds.features import Features
from linkodds.propagation import SparseMatrix, drop


def input_matrix(features: Features | None, device: torch.device | str) -> SparseMatrix | Tensor | None:
    """Features as what the first layer multiplies: sparse stays sparse, None means a learned table."""
    if features is None:
        return None
    if isinstance(features.matrix, np.ndarray):
        return torch.from_numpy(features.matrix.astype(np.float32)).to(device)
    return SparseMatrix.from_scipy(features.matrix, device)


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
        hidden = torch.relu(propagation @ self._first_product(inputs, noise))
        if noise is not None:
            hidden = drop(hidden, self.dropout, noise)
        return propagation @ (hidden @ self.second)

    def _first_product(self, inputs: SparseMatrix | Tensor | None, noise: torch.Generator | None) -> Tensor:
        """X W1 with dropout on the entries of X; without features, on the entries of the table."""
        if inputs is None:
            return self.first if noise is None else drop(self.first, self.dropout, noise)
        if noise is not None:
            inputs = (
                inputs.dropped(self.dropout, noise)
                if isinstance(inputs, SparseMatrix)
                else drop(inputs, self.dropout, noise)
            )
        return inputs @ self.first


def _glorot(rows: int, columns: int, rng: torch.Generator) -> Tensor:
    bound = float((6.0 / (rows + columns)) ** 0.5)
    uniform: Tensor = torch.rand(rows, columns, generator=rng)
    return uniform * (2 * bound) - bound
