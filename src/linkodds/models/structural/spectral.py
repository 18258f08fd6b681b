"""Spectral: node embeddings whose inner products are exact in float64, so that any block gives the same bits.

Trees jump at thresholds: an input that differs in its last bit can change a logit. So embeddings are rounded to a grid
so coarse that every product and every partial sum of an inner product is a float64 without rounding. Then the order of
the sum, the shape of the block and the number of threads make no difference.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

_ITERATIONS = 12
_BETWEEN = 3
_EXTRA = 32
_GRID_BITS = 24
_PAIRS = 256
"""At a time: both ends of so many pairs stay in the cache."""

Floats = NDArray[np.float64]
SparseFloats = sp.csr_array


@dataclass(frozen=True, eq=False)
class LowRank:
    """A matrix as `left * values @ right.T`, largest |value| first.

    Args:
        values: shape (rank,), float64; signed where the matrix is symmetric, singular values elsewhere.
        left: shape (nodes, rank), orthonormal columns.
        right: the same; the same array where the matrix is symmetric.
    """

    values: Floats
    left: Floats
    right: Floats

    def weighted(self, weights: Floats) -> "Embedding":
        """Embeddings whose inner product is left * weights @ right.T, rounded to a grid.

        Args:
            weights: shape (at most rank,), float64.
        """
        root, count = np.sqrt(np.abs(weights)), len(weights)
        return Embedding.rounded(self.left[:, :count] * root * np.sign(weights), self.right[:, :count] * root)


@dataclass(frozen=True, eq=False)
class Embedding:
    """Both ends of an inner product, on a grid on which it is exact.

    Args:
        left: shape (nodes, dim), float32.
        right: the same.
    Example:
        >>> z = Embedding.rounded(np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0, 2.0], [0.5, -1.0]]))
        >>> z.products(np.array([0, 1]), slice(0, 2), (1, 2))  # of the first dimension, then of both
        [array([[1.  , 0.5 ],
               [0.5 , 0.25]]), array([[ 5.  , -1.5 ],
               [-1.5 ,  1.25]])]
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32]

    @staticmethod
    def rounded(left: Floats, right: Floats) -> "Embedding":
        """Round to multiples of 2^(k - 24), where 2^k is above the length of every row.

        A row is then at most 2^24 steps long, a product of two rows and each of its partial sums at most 2^48: float32
        holds the entries, float64 the sums.
        """
        longest = max(float(np.sqrt(np.einsum("nd,nd->n", side, side).max(initial=0.0))) for side in (left, right))
        if longest == 0:
            return Embedding(left.astype(np.float32), right.astype(np.float32))
        step = 2.0 ** (np.ceil(np.log2(longest)) - _GRID_BITS)
        both = [(np.rint(side / step) * step).astype(np.float32) for side in (left, right)]
        return Embedding(*both)

    def products(self, rows: NDArray[np.int64], columns: slice, ranks: tuple[int, ...]) -> list[Floats]:
        """Inner products over the first `ranks` dimensions, each of shape (columns, rows), float64."""
        total, start, result = None, 0, []
        for stop in ranks:
            right, left = self.right[columns, start:stop], self.left[rows, start:stop]
            part = right.astype(np.float64) @ left.astype(np.float64).T
            total = part if total is None else total + part
            result.append(total)
            start = stop
        return result

    def of_pairs(self, sources: NDArray[np.int64], targets: NDArray[np.int64], ranks: tuple[int, ...]) -> list[Floats]:
        """The same for listed pairs, shape (pairs,) each, with the same bits.

        Example:
            >>> z = Embedding.rounded(np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0, 2.0], [0.5, -1.0]]))
            >>> z.of_pairs(np.array([0, 1]), np.array([1, 1]), (1, 2))
            [array([0.5 , 0.25]), array([-1.5 ,  1.25])]
        """
        result = [np.empty(len(sources)) for _ in ranks]
        for begin in range(0, len(sources), _PAIRS):
            some = slice(begin, begin + _PAIRS)
            left = self.left[sources[some], : ranks[-1]].astype(np.float64)
            right = self.right[targets[some], : ranks[-1]].astype(np.float64)
            total, start = np.zeros(len(left)), 0
            for stop, out in zip(ranks, result, strict=True):
                total = total + np.einsum("pd,pd->p", left[:, start:stop], right[:, start:stop])
                out[some] = total
                start = stop
        return result


def low_rank(matrix: SparseFloats, rank: int, rng: np.random.Generator, *, symmetric: bool) -> LowRank:
    """The part of a sparse matrix with the largest |eigenvalues|, or singular values, by subspace iteration.

    A fixed number of steps from a random start: a graph and the same graph less a few edges get approximations of the same
    kind. (Halko, Martinsson and Tropp, SIAM Review 53, 2011, algorithms 4.4 and 5.3.)

    Args:
        matrix: shape (nodes, columns), float64.
        rank: at most the smaller side.
        rng: of the start.
        symmetric: whether the matrix is.
    Example:
        >>> path = sp.csr_array(np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))
        >>> low_rank(path, 2, np.random.default_rng(0), symmetric=True).values.round(6)
        array([-1.414214,  1.414214])
    """
    num_rows, num_columns = matrix.shape
    width = min(rank + _EXTRA, num_rows, num_columns)
    back: SparseFloats = matrix if symmetric else matrix.T.tocsr()
    with threadpool_limits(1, user_api="blas"):  # more threads sum in another order
        basis = np.linalg.qr(matrix @ rng.standard_normal((num_columns, width)))[0]
        for step in range(1, 1 + (_ITERATIONS if symmetric else _ITERATIONS // 2)):
            basis = back @ basis if symmetric else matrix @ (back @ basis)
            if symmetric and step % _BETWEEN and step < _ITERATIONS:  # a few steps lose no direction that matters
                continue
            basis = np.linalg.qr(basis)[0] if step * (2 - symmetric) == _ITERATIONS else _spanning(basis)
        if symmetric:
            values, vectors = np.linalg.eigh(basis.T @ (matrix @ basis))
            order = np.argsort(-np.abs(values), kind="stable")[:rank]
            left = basis @ vectors[:, order]
            return LowRank(values[order], left, left)
        u, values, vt = np.linalg.svd((back @ basis).T, full_matrices=False)
        return LowRank(values[:rank], basis @ u[:, :rank], vt[:rank].T)


def _spanning(columns: Floats) -> Floats:
    """Columns that span the same space, about orthonormal: by Cholesky's factor, which takes a fraction of the time of QR."""
    length = np.sqrt(np.einsum("nd,nd->d", columns, columns))
    columns = columns / np.where(length > 0, length, 1.0)
    try:
        factor = np.linalg.cholesky(columns.T @ columns)
    except np.linalg.LinAlgError:  # fewer directions than columns
        return np.asarray(np.linalg.qr(columns)[0])
    if factor.diagonal().min() < 1e-5:
        return np.asarray(np.linalg.qr(columns)[0])
    return np.asarray(solve_triangular(factor, columns.T, lower=True, overwrite_b=False, check_finite=False).T)
