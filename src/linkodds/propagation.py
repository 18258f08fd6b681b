"""Propagation: constant sparse matrices that multiply dense ones, and the normalised adjacency of a message graph."""

import warnings
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A constant sparse matrix that multiplies dense ones, with the transpose that its backward pass needs.

    On a CPU the product is `embedding_bag`, several times faster than torch's sparse product in float32 (each output row
    is a weighted sum of rows of the dense factor); elsewhere torch's CSR product.

    Example:
        >>> matrix = SparseMatrix.from_scipy(sp.csr_array(np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])))
        >>> (matrix @ torch.tensor([[1.0], [10.0]])).T
        tensor([[20.,  1.,  0.]])
    """

    forward: "_Csr"
    backward: "_Csr"
    order: Tensor  # where each value of the transpose stands in `forward`

    @staticmethod
    def from_scipy(matrix: sp.csr_array, device: torch.device | str = "cpu") -> "SparseMatrix":
        """Copy a SciPy matrix, shape (rows, columns), as float32."""
        matrix = sp.csr_array(matrix)
        matrix.sum_duplicates()
        places = sp.csr_array((np.arange(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
        order = torch.from_numpy(sp.csr_array(places.T).data.astype(np.int64)).to(device)
        return SparseMatrix(_Csr.of(matrix, device), _Csr.of(sp.csr_array(matrix.T), device), order)

    def dropped(self, rate: float, noise: torch.Generator) -> "SparseMatrix":
        """The same matrix with a share of its entries, drawn by `noise`, set to zero and the others scaled up."""
        values = drop(self.forward.values, rate, noise)
        return replace(
            self,
            forward=replace(self.forward, values=values),
            backward=replace(self.backward, values=values[self.order]),
        )

    def __matmul__(self, dense: Tensor) -> Tensor:
        """Shape (rows, dim) from a dense factor of shape (columns, dim)."""
        return cast(Tensor, _SparseProduct.apply(self, dense))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, eq=False)
class _Csr:
    starts: Tensor
    columns: Tensor
    values: Tensor
    shape: tuple[int, int]

    @staticmethod
    def of(matrix: sp.csr_array, device: torch.device | str) -> "_Csr":
        starts, columns = (
            torch.from_numpy(part.astype(np.int32)).to(device) for part in (matrix.indptr, matrix.indices)
        )
        return _Csr(starts, columns, torch.from_numpy(matrix.data.astype(np.float32)).to(device), matrix.shape)

    def times(self, dense: Tensor) -> Tensor:
        values = self.values.to(dense.dtype)
        if dense.device.type != "cpu":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
                return torch.sparse_csr_tensor(self.starts, self.columns, values, size=self.shape) @ dense
        return F.embedding_bag(
            self.columns,
            dense.contiguous(),
            self.starts,
            mode="sum",
            per_sample_weights=values,
            include_last_offset=True,
        )


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, matrix: SparseMatrix, dense: Tensor) -> Tensor:
        ctx.matrix = matrix  # type: ignore[attr-defined]
        return matrix.forward.times(dense)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[None, Tensor]:
        return None, ctx.matrix.backward.times(grads[0])  # type: ignore[attr-defined]


def normalized_adjacency(message_graph: sp.csr_array) -> sp.csr_array:
    """D^-1/2 (A + I) D^-1/2 of the symmetrised message graph (Kipf and Welling, ICLR 2017, eq. 2).

    The self-loops serve propagation only: they are never targets.

    Args:
        message_graph: shape (nodes, nodes), 0/1.
    Returns:
        The same shape, CSR float32. An isolated node keeps its own features (entry 1 on the diagonal).
    Example:
        >>> normalized_adjacency(sp.csr_array(np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=np.float32))).toarray().round(5)
        array([[0.5, 0.5, 0. ],
               [0.5, 0.5, 0. ],
               [0. , 0. , 1. ]], dtype=float32)
    """
    either = message_graph.maximum(message_graph.T) + sp.eye_array(message_graph.shape[0], dtype=np.float32)
    inverse_root = sp.diags_array(either.sum(axis=1) ** -0.5)
    return sp.csr_array(inverse_root @ either @ inverse_root).astype(np.float32)


def drop(values: Tensor, rate: float, noise: torch.Generator) -> Tensor:
    """Dropout with a generator of its own: entries become zero with probability `rate`, the others grow by 1 / (1 - rate).

    Example:
        >>> drop(torch.ones(1000), 0.5, torch.Generator().manual_seed(0)).unique()
        tensor([0., 2.])
    """
    if rate == 0:
        return values
    kept: Tensor = torch.rand(values.shape, generator=noise, device=values.device) >= rate
    return values * kept / (1 - rate)
