"""Scorers: what every trained model and baseline becomes, so that evaluation and search need neither torch nor a GPU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import BrokenRun
from linkodds.pairs import Pairs
from linkodds.scorers.surface import Surface

Embeddings = NDArray[np.float32]
_CHUNK = 1 << 14
_PAIRS = 1 << 10
"""At a time: both ends of so many pairs stay in the cache."""
_SPARSE = 4
"""Where fewer base logits than one in so many are not 0, those alone are computed, and the others looked up."""


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
    def signed(self) -> Embeddings:
        """The source with the signs in it, which is exact: logit = scale * <signed[u], target[v]> + bias."""
        if not self.num_negative:
            return self.source
        signs = np.ones(self.source.shape[1], dtype=np.float32)
        signs[-self.num_negative :] = -1
        return self.source * signs

    @cached_property
    def ends(self) -> tuple[Embeddings, Embeddings]:
        """`signed` and `target`, each node's numbers side by side: else to take some rows would copy all of them."""
        source = np.ascontiguousarray(self.signed)
        return source, source if self.target is self.signed else np.ascontiguousarray(self.target)

    def to_arrays(self) -> dict[str, NDArray[np.float32] | NDArray[np.float64]]:
        """Everything by name; the target only where it is another array than the source."""
        decoder = np.array([self.scale, self.bias, self.num_negative], dtype=np.float64)
        arrays: dict[str, NDArray[np.float32] | NDArray[np.float64]] = {"source": self.source, "decoder": decoder}
        return arrays if self.target is self.source else arrays | {"target": self.target}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]], num_nodes: int) -> "InnerProductScorer":
        """The scorer again.

        Args:
            arrays: as `to_arrays` gives them.
            num_nodes: of the graph.
        Raises:
            BrokenRun: arrays that do not belong to this graph.
        """
        source = arrays["source"]
        target = arrays.get("target", source)
        for side in (source, target):
            if side.dtype != np.float32 or side.ndim != 2 or len(side) != num_nodes or not np.isfinite(side).all():
                raise BrokenRun("model.safetensors does not fit the nodes of this graph.")
        scale, bias, num_negative = (float(value) for value in arrays["decoder"])
        width = source.shape[1]
        if target.shape[1] != width or not (np.isfinite([scale, bias]).all() and num_negative in range(width + 1)):
            raise BrokenRun("model.safetensors holds no decoder for these embeddings.")
        return InnerProductScorer(source, target, scale, bias, int(num_negative))

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        product = self.signed[rows].astype(np.float64) @ self.target[columns].astype(np.float64).T
        product *= self.scale
        product += self.bias
        return product.astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        products = np.empty(len(pairs))
        for start in range(0, len(pairs), _PAIRS):
            some = slice(start, start + _PAIRS)
            source, target = (  # einsum would cast through a buffer, which takes twice as long
                side.take(nodes, axis=0).astype(np.float64)
                for side, nodes in zip(self.ends, pairs[some].T, strict=True)
            )
            np.einsum("pd,pd->p", source, target, out=products[some])
        return products * self.scale + self.bias


@dataclass(frozen=True, eq=False)
class DegreeAwareScorer:
    """The log odds of a surface over the logits of any scorer and the degrees of both ends.

    The base logit is rounded to float32 first, in `logits` as in `block`, so that both compute with the same numbers.

    Args:
        base: any scorer.
        surface: rises with the base logit.
        degrees: degree + 1 of every node as a source and as a target, shape (nodes,) each, int64; twice the same where
            edges have no direction.
    Example:
        >>> from linkodds.scorers.surface import PiecewiseLinear, Surface
        >>> z, flat = np.array([[1], [2]], dtype=np.float32), PiecewiseLinear((0.0, 9.0), (0.0, 0.0))
        >>> surface = Surface((), (2.0,), (2.0,), (0.0, 9.0), flat, flat, PiecewiseLinear((0.0, 9.0), (-1.0, -1.0)))
        >>> degrees = np.array([1, 4])
        >>> scorer = DegreeAwareScorer(InnerProductScorer(z, z, 1.0, 0.0), surface, (degrees, degrees))
        >>> scorer.logits(np.array([[0, 1]])), scorer.block(slice(0, 1), slice(1, 2))  # 2 * 2 - 1
        (array([3.]), array([[3.]], dtype=float32))
    """

    base: Scorer
    surface: Surface
    degrees: tuple[NDArray[np.int64], NDArray[np.int64]]

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        base = self.base.block(rows, columns)
        (product, level), (source, target) = self.parts, self.classes
        sources, targets = source[rows], target[columns]
        logits = np.empty_like(base)
        strip = max(1, _CHUNK // max(base.shape[1], 1))
        for start in range(0, len(base), strip):  # what is between stays in the cache
            part = slice(start, start + strip)
            found = base[part] != 0
            if _SPARSE * np.count_nonzero(found) > found.size:
                at = np.ix_(sources[part], targets)
                logits[part] = self.surface.of_parts(base[part].astype(np.float64), product[at], level[at])
                continue
            logits[part] = self.at_zero[sources[part]].take(targets, axis=1)
            row, column = np.nonzero(found)
            few = sources[part][row], targets[column]
            logits[part][row, column] = self.surface.of_parts(
                base[part][row, column].astype(np.float64), product[few], level[few]
            )
        return logits

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        return self.of_base(self.base.logits(pairs), pairs)

    def of_base(self, logits: NDArray[np.float64], pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64: from the logits of the base."""
        (product, level), (source, target) = self.parts, self.classes
        at = source[pairs[:, 0]], target[pairs[:, 1]]
        return self.surface.of_parts(logits.astype(np.float32).astype(np.float64), product[at], level[at])

    @cached_property
    def classes(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where each node's degree stands among the distinct ones, as a source and as a target."""
        source, target = (np.unique(side, return_inverse=True)[1] for side in self.degrees)
        return source, target

    @cached_property
    def at_zero(self) -> NDArray[np.float32]:
        """What a base logit of 0 becomes for every two distinct degrees: that of most pairs where paths are counted."""
        product, level = self.parts
        return self.surface.of_parts(np.zeros(()), product, level).astype(np.float32)

    @cached_property
    def parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log degree product and level for every two distinct degrees: pairs of nodes are many, these are few."""
        a, b = (np.log(np.unique(side)) for side in self.degrees)
        product = np.add.outer(a, b)
        return product, self.surface.level(a[:, None], b[None, :])


def base_of(scorer: Scorer) -> Scorer:
    """The scorer under a degree term; a scorer without one is its own base.

    Example:
        >>> z = np.array([[1], [2]], dtype=np.float32)
        >>> scorer = InnerProductScorer(z, z, 1.0, 0.0)
        >>> base_of(scorer) is scorer
        True
    """
    return scorer.base if isinstance(scorer, DegreeAwareScorer) else scorer


@dataclass(frozen=True, eq=False)
class MeanScorer:
    """The mean logit of several scorers, each rounded to float32 first, in `logits` as in `block`.

    Args:
        scorers: at least one.
    Example:
        >>> z = np.array([[1], [2]], dtype=np.float32)
        >>> scorer = MeanScorer((InnerProductScorer(z, z, 1.0, 0.0), InnerProductScorer(z, z, 2.0, 1.0)))
        >>> scorer.logits(np.array([[0, 1]])), scorer.block(slice(0, 1), slice(1, 2))  # (2 + 5) / 2
        (array([3.5]), array([[3.5]], dtype=float32))
    """

    scorers: tuple[Scorer, ...]

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        first, *others = self.scorers
        total = first.block(rows, columns).astype(np.float64)
        for scorer in others:
            total += scorer.block(rows, columns)
        return (total / len(self.scorers)).astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        first, *others = self.scorers
        total = first.logits(pairs).astype(np.float32).astype(np.float64)
        for scorer in others:
            total += scorer.logits(pairs).astype(np.float32)
        return np.asarray(total / len(self.scorers))


@dataclass(frozen=True, eq=False)
class MeanOddsScorer:
    """The mean log odds of several scorers, each moved by a line of its own.

    logit(u, v) = mean over members m of slope[m] * logit[m](u, v) + intercept[m], where each member's logit is rounded to
    float32 first, in `logits` as in `block`.

    Args:
        members: at least one.
        slopes: above 0, one a member.
        intercepts: one a member.
    Example:
        >>> z = np.array([[1], [2]], dtype=np.float32)
        >>> members = InnerProductScorer(z, z, 1.0, 0.0), InnerProductScorer(z, z, 2.0, 1.0)
        >>> scorer = MeanOddsScorer(members, slopes=(2.0, 1.0), intercepts=(0.0, -1.0))
        >>> scorer.logits(np.array([[0, 1]])), scorer.block(slice(0, 1), slice(1, 2))  # (2 * 2 + 5 - 1) / 2
        (array([4.]), array([[4.]], dtype=float32))
    """

    members: tuple[Scorer, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.members) == len(self.slopes) == len(self.intercepts) > 0:
            raise ValueError("a mean has at least one member, and a line for each")
        if not (min(self.slopes) > 0 and np.isfinite([*self.slopes, *self.intercepts]).all()):
            raise ValueError("a line has a finite slope above 0, and a finite intercept")

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        return self.of_members([each.block(rows, columns) for each in self.members]).astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        return self.of_members([each.logits(pairs).astype(np.float32) for each in self.members])

    def of_members(self, logits: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """The mean from the logits of each member, all of one shape."""
        total = np.full(logits[0].shape, sum(self.intercepts))
        for slope, each in zip(self.slopes, logits, strict=True):
            total += slope * each.astype(np.float64)
        total /= len(self.members)
        return total


def mean_inner_product(scorers: Sequence[InnerProductScorer]) -> InnerProductScorer:
    """The mean logit of inner products, which is the inner product of their vectors, one beside the other.

    Args:
        scorers: of the same nodes; dimensions may differ.
    Returns:
        A scorer with scale 1 and the mean bias; source and target are one array where they are in all of them.
    Example:
        >>> z = np.array([[1], [2]], dtype=np.float32)
        >>> mean = mean_inner_product([InnerProductScorer(z, z, 1.0, 0.0), InnerProductScorer(z, z, 2.0, 1.0)])
        >>> mean.source.shape, mean.logits(np.array([[0, 1]])).round(6)
        ((2, 2), array([3.5]))
    """
    factors = [np.sqrt(scorer.scale / len(scorers)) for scorer in scorers]
    positive = [scorer.source.shape[1] - scorer.num_negative for scorer in scorers]

    def beside(sides: list[Embeddings]) -> Embeddings:
        scaled = [(side * f).astype(np.float32) for side, f in zip(sides, factors, strict=True)]
        parts = [[each[:, :k] for each, k in zip(scaled, positive, strict=True)]]
        parts += [[each[:, k:] for each, k in zip(scaled, positive, strict=True)]]  # negative dimensions come last
        return np.concatenate([part for group in parts for part in group], axis=1)

    source = target = beside([scorer.source for scorer in scorers])
    if any(scorer.target is not scorer.source for scorer in scorers):
        target = beside([scorer.target for scorer in scorers])
    bias, num_negative = (
        float(np.mean([scorer.bias for scorer in scorers])),
        sum(scorer.num_negative for scorer in scorers),
    )
    return InnerProductScorer(source, target, 1.0, bias, num_negative)


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
