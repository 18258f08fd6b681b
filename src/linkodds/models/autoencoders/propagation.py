"""Propagation: constant sparse matrices that multiply dense ones, and the normalised adjacency of a message graph."""

import warnings
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from linkodds.pairs import Pairs


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A sparse matrix that multiplies dense ones, with the transpose that the backward pass of the product needs.

    In float32 on a CPU the product is `embedding_bag` (each output row is a weighted sum of rows of the dense factor),
    several times faster than torch's own CSR product, which is taken elsewhere: see `choose_kernel`.

    Args:
        starts: shape (rows + 1,), where each row's entries begin.
        columns: shape (entries,).
        values: shape (entries,).
        transposed_starts: the same for the transpose.
        transposed_columns: likewise.
        order: shape (entries,), the place in `values` of each value of the transpose.
        shape: rows, columns.
        kernel: of the product in float32, chosen for the device when the matrix is made.
    Example:
        >>> matrix = SparseMatrix.from_scipy(sp.csr_array(np.array([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])))
        >>> (matrix @ torch.tensor([[1.0], [10.0]])).T
        tensor([[20.,  1.,  0.]])
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    transposed_starts: Tensor
    transposed_columns: Tensor
    order: Tensor
    shape: tuple[int, int]
    kernel: str

    @staticmethod
    def from_scipy(matrix: sp.csr_array, device: torch.device | str = "cpu") -> "SparseMatrix":
        """Copy a SciPy matrix, shape (rows, columns), as float32; entries given twice become their sum."""
        matrix = sp.csr_array(matrix)
        matrix.sum_duplicates()
        return SparseMatrix.from_rows(matrix.indptr, matrix.indices, matrix.data, shape=matrix.shape, device=device)

    @staticmethod
    def from_pairs(
        pairs: Pairs,
        num_nodes: int,
        device: torch.device | str = "cpu",
        values: NDArray[np.floating] | None = None,
    ) -> "SparseMatrix":
        """A matrix of shape (nodes, nodes) with an entry 1, or its value, for each of the pairs, in row order."""
        ones = np.ones(len(pairs), dtype=np.float32) if values is None else values.astype(np.float32)
        matrix = sp.csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(num_nodes, num_nodes))
        return SparseMatrix.from_scipy(matrix, device)

    @staticmethod
    def from_rows(
        starts: NDArray[np.integer],
        columns: NDArray[np.integer],
        values: NDArray[np.floating] | None = None,
        *,
        shape: tuple[int, int],
        device: torch.device | str = "cpu",
    ) -> "SparseMatrix":
        """From the three arrays of a CSR matrix; here an entry may be there twice. Without values they are ones."""
        index = np.int32 if len(columns) < 2**31 else np.int64
        starts, columns = starts.astype(index, copy=False), columns.astype(index, copy=False)
        if values is None:
            values = np.ones(len(columns), dtype=np.float32)
        places: NDArray[np.integer] = np.arange(len(columns), dtype=index)
        transposed: sp.csc_array = sp.csr_array((places, columns, starts), shape=shape).tocsc()

        def copied(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        return SparseMatrix(
            copied(starts),
            copied(columns),
            copied(values.astype(np.float32, copy=False)),
            copied(transposed.indptr),
            copied(transposed.indices),
            copied(transposed.data),
            shape,
            choose_kernel(torch.device(device), torch.float32),
        )

    def with_values(self, values: Tensor) -> "SparseMatrix":
        """The same entries with other values, shape (entries,)."""
        return replace(self, values=values)

    def dropped(self, rate: float, noise: torch.Generator) -> "SparseMatrix":
        """The same matrix with a share of its entries, drawn by `noise`, set to zero and the others scaled up."""
        return self.with_values(drop(self.values, rate, noise))

    def __matmul__(self, dense: Tensor) -> Tensor:
        """Shape (rows, dim) from a dense factor of shape (columns, dim); differentiable in the factor."""
        if not (dense.requires_grad and torch.is_grad_enabled()):
            return self.product(dense)
        return cast(Tensor, _SparseProduct.apply(self, dense, False))  # type: ignore[no-untyped-call]

    def transposed_times(self, dense: Tensor) -> Tensor:
        """The product of the transpose, shape (columns, dim), from shape (rows, dim); differentiable in the factor."""
        return cast(Tensor, _SparseProduct.apply(self, dense, True))  # type: ignore[no-untyped-call]

    def product(self, dense: Tensor, *, is_transposed: bool = False) -> Tensor:
        """The product of the matrix, or of its transpose, with a dense factor; not differentiable.

        Args:
            dense: shape (columns, dim), or (rows, dim) for the transpose.
            is_transposed: whether the transpose is meant.
        """
        starts, columns, values, shape = self.starts, self.columns, self.values, self.shape
        if is_transposed:
            starts, columns, shape = self.transposed_starts, self.transposed_columns, (shape[1], shape[0])
            values = values.index_select(0, self.order)
        values = values.to(dense.dtype)
        if self.kernel == "sparse_csr" or dense.dtype != torch.float32:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=_IN_BETA)
                return torch.sparse_csr_tensor(starts, columns, values, size=shape, check_invariants=False) @ dense
        if not len(columns):  # a bag of nothing at all is refused
            return dense.new_zeros(shape[0], dense.shape[1])
        return F.embedding_bag(
            columns, dense.contiguous(), starts, mode="sum", per_sample_weights=values, include_last_offset=True
        )

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """<left[u], right[v]> for each stored entry (u, v), shape (entries,), not differentiable.

        Args:
            left: shape (rows, dim).
            right: shape (columns, dim).
        Example:
            >>> matrix = SparseMatrix.from_pairs(np.array([[0, 1], [1, 1]]), 2)
            >>> matrix.products(torch.tensor([[2.0], [3.0]]), torch.tensor([[5.0], [7.0]]))
            tensor([14., 21.])
        """
        if left.device.type == "cpu" and torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=_IN_BETA)
                nothing = left.new_zeros(len(self.columns))
                pattern = torch.sparse_csr_tensor(
                    self.starts, self.columns, nothing, size=self.shape, check_invariants=False
                )
            products: Tensor = torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0)
            return products.values()
        rows = torch.repeat_interleave(torch.arange(self.shape[0], device=left.device), self.starts.diff())
        parts = [
            (left.index_select(0, u) * right.index_select(0, v)).sum(dim=1)
            for u, v in zip(torch.split(rows, _GATHERED), torch.split(self.columns, _GATHERED), strict=True)
        ]
        return torch.cat(parts)


def choose_kernel(device: torch.device, dtype: torch.dtype) -> str:
    """The product of a sparse with a dense matrix: embedding_bag in float32 on a CPU, torch's CSR product elsewhere.

    embedding_bag has a fast path for float32 alone. Its speed over the CSR product does not turn round at any size that
    was measured (docs/speed.md), nor does cutting the dense factor into slices of columns pay, so neither is asked for.

    Example:
        >>> choose_kernel(torch.device("cpu"), torch.float32), choose_kernel(torch.device("cpu"), torch.float64)
        ('embedding_bag', 'sparse_csr')
    """
    return "embedding_bag" if device.type == "cpu" and dtype == torch.float32 else "sparse_csr"


_GATHERED = 1 << 16
_IN_BETA = "Sparse CSR tensor support is in beta"


class _SparseProduct(torch.autograd.Function):
    """The product of a matrix or of its transpose; the backward pass of one is the other."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, matrix: SparseMatrix, dense: Tensor, is_transposed: bool
    ) -> Tensor:
        ctx.matrix, ctx.is_transposed = matrix, is_transposed  # type: ignore[attr-defined]
        return matrix.product(dense, is_transposed=is_transposed)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[None, Tensor, None]:
        matrix: SparseMatrix = ctx.matrix  # type: ignore[attr-defined]
        is_transposed: bool = ctx.is_transposed  # type: ignore[attr-defined]
        return None, matrix @ grads[0] if is_transposed else matrix.transposed_times(grads[0]), None


def normalized_adjacency(message_graph: sp.csr_array) -> sp.csr_array:
    """D^-1/2 (A + I) D^-1/2 of the symmetrised message graph (Kipf and Welling, ICLR 2017, eq. 2).

    The self-loops serve propagation only: they are never targets.

    Args:
        message_graph: shape (nodes, nodes), 0/1, or strengths with the mean 1.
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

    The rate is taken to the nearest 1/65536: each 64-bit draw decides about four entries, which is several times quicker
    than a uniform number for each.

    Example:
        >>> drop(torch.ones(1000), 0.5, torch.Generator().manual_seed(0)).unique()
        tensor([0., 2.])
    """
    dropped_levels = min(round(rate * _LEVELS), _LEVELS - 1)
    if dropped_levels == 0:
        return values
    draws = torch.empty((values.numel() + 3) // 4, dtype=torch.int64, device=values.device)
    levels = draws.random_(-(2**63), None, generator=noise).view(torch.int16)[: values.numel()].view(values.shape)
    kept = (levels >= dropped_levels - _LEVELS // 2).to(values.dtype)
    return values * kept.mul_(_LEVELS / (_LEVELS - dropped_levels))


_LEVELS = 1 << 16
