"""Scorers: what every trained model and baseline becomes, so that evaluation and search need neither torch nor a GPU."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from linkodds.pairs import Pairs

Embeddings = NDArray[np.float32]
_CHUNK = 1 << 14


class Scorer(Protocol):
    """Logits of pairs. `block` and `logits` agree on every pair after rounding to float32."""

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Logits of all pairs rows x columns, shape (rows, columns), float32: the float64 logit, rounded."""
        ...

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Logits of the given pairs, shape (pairs,), float64; the order is kept."""
        ...


@dataclass(frozen=True, eq=False)
class InnerProductScorer:
    """logit(u, v) = scale * sum over k of sign[k] source[u, k] target[v, k] + bias, computed in float64.

    Args:
        source: shape (nodes, dim), float32.
        target: shape (nodes, dim), float32; the same array as `source` when the graph is undirected.
        scale: positive factor.
        bias: added to every logit, the log odds of a pair whose product is 0.
        num_negative: so many of the last dimensions have sign -1, the others +1.
    Example:
        >>> z = np.array([[1, 0], [2, 1], [0, 3]], dtype=np.float32)
        >>> scorer = InnerProductScorer(z, z, scale=2.0, bias=-1.0)
        >>> scorer.logits(np.array([[0, 1], [1, 2]]))
        array([3., 5.])
        >>> scorer.block(slice(0, 1), slice(1, 3))
        array([[ 3., -1.]], dtype=float32)
    """

    source: Embeddings
    target: Embeddings
    scale: float
    bias: float
    num_negative: int = 0

    @cached_property
    def _signed(self) -> Embeddings:
        """The source with the signs in it, which is exact."""
        if not self.num_negative:
            return self.source
        signs = np.ones(self.source.shape[1], dtype=np.float32)
        signs[-self.num_negative :] = -1
        return self.source * signs

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        product = self._signed[rows].astype(np.float64) @ self.target[columns].astype(np.float64).T
        product *= self.scale
        product += self.bias
        return product.astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        products = np.empty(len(pairs))
        for start in range(0, len(pairs), _CHUNK):  # both gathered sides stay in the cache
            source, target = pairs[start : start + _CHUNK].T
            np.einsum(
                "pd,pd->p",
                self._signed[source],
                self.target[target],
                dtype=np.float64,
                out=products[start : start + _CHUNK],
            )
        return products * self.scale + self.bias


@dataclass(frozen=True, eq=False)
class DegreeAwareScorer:
    """logit(u, v) = (slope of u + slope of v) * base logit + term of u + term of v: any scorer, seen by its ends.

    The base logit is rounded to float32 first, in `logits` as in `block`, so that both compute with the same numbers.

    Args:
        base: any scorer.
        slopes: of the sources and of the targets, shape (nodes,) each, float64; the same array where undirected.
        terms: the same.
    Example:
        >>> z = np.array([[1], [2]], dtype=np.float32)
        >>> halves, terms = np.array([0.5, 1.0]), np.array([0.5, 0.25])
        >>> scorer = DegreeAwareScorer(InnerProductScorer(z, z, 1.0, 0.0), (halves, halves), (terms, terms))
        >>> scorer.logits(np.array([[0, 1]])), scorer.block(slice(0, 1), slice(1, 2))  # 1.5 * 2 + 0.75
        (array([3.75]), array([[3.75]], dtype=float32))
    """

    base: Scorer
    slopes: tuple[NDArray[np.float64], NDArray[np.float64]]
    terms: tuple[NDArray[np.float64], NDArray[np.float64]]

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        logits = np.add.outer(self.slopes[0][rows], self.slopes[1][columns])
        logits *= self.base.block(rows, columns)
        logits += np.add.outer(self.terms[0][rows], self.terms[1][columns])
        return logits.astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        source, target = pairs[:, 0], pairs[:, 1]
        logits = (self.slopes[0][source] + self.slopes[1][target]) * self.base.logits(pairs).astype(np.float32)
        return np.asarray(logits + (self.terms[0][source] + self.terms[1][target]))


def below_float32(logit: float) -> float:
    """The float64 threshold halfway between the smallest float32 at or above `logit` and the float32 before it.

    Blocks hold logits rounded to float32, `Scorer.logits` the same ones in float64. Against such a threshold both give
    the same decision, so `evaluate`, `predict` and `find` agree on every pair (but for exact halves).

    Example:
        >>> t = below_float32(1.0)
        >>> t < 1.0 < t + 1e-7, np.float32(1.0) >= t, np.nextafter(np.float32(1.0), np.float32(0.0)) >= t
        (True, np.True_, np.False_)
    """
    at = np.float32(logit)
    if float(at) < logit:
        at = np.nextafter(at, np.float32(np.inf))
    before = np.nextafter(at, np.float32(-np.inf))
    return (float(at) + float(before)) / 2.0
