"""Baselines without training: the floors that a learned model has to beat in the same report.

All but feature-cosine count paths in the message graph. Their "logit" is log(1 + count), an increasing function of the
count that becomes a log odds only after calibration; feature-cosine's is the cosine. In a directed graph paths follow the
arrows, except for L3, whose middle step goes against them (u -> x <- y -> v): nodes that share targets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import OptionError
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.pairs import Pairs
from linkodds.scorers.scoring import Scorer

STOPPING = 0.15
"""Probability that a random walk of `ppr` ends before its next step."""


MOST_VALUES = 20_000_000
_SPARSE = 8
"""A product of sparse matrices pays where it takes fewer products of numbers than one for so many cells."""
_VALUES_AT_A_TIME, _LAST_STEPS_AT_A_TIME = 1 << 22, 1 << 22


@dataclass(frozen=True, eq=False)
class DegreeScorer:
    """log(1 + d_u d_v): preferential attachment.

    Args:
        source: shape (nodes,), float64, degrees of the first end (out-degrees when directed).
        target: shape (nodes,), float64, of the second end (in-degrees when directed).
    Example:
        >>> d = np.array([1.0, 2.0, 3.0])
        >>> np.expm1(DegreeScorer(d, d).logits(np.array([[0, 2], [1, 2]]))).round(6)
        array([3., 6.])
    """

    source: NDArray[np.float64]
    target: NDArray[np.float64]

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        return np.log1p(np.multiply.outer(self.source[rows], self.target[columns])).astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        return np.log1p(self.source[pairs[:, 0]] * self.target[pairs[:, 1]])


@dataclass(frozen=True, eq=False)
class PathScorer:
    """log(1 + weighted number of paths): `left` holds the first steps from the source, `right` the last step to the target.

    The count of a pair is left[u, :] @ middle @ right[:, v], with `middle` left out for paths of length two.

    Args:
        left: shape (nodes, nodes), CSR, float64.
        middle: the same, or None.
        right: the same.
        is_symmetric: whether a pair has the same count from either end.
    """

    left: sp.csr_array
    middle: sp.csr_array | None
    right: sp.csr_array
    is_symmetric: bool = False

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        steps, last = self._steps(rows), _columns_of(self.right, columns)
        if _is_sparse(steps, last):  # most pairs have no path, and the others are not looked for among them
            counts = steps @ last
            counts.data = np.log1p(counts.data).astype(np.float32)
            return np.asarray(counts.toarray())
        return np.log1p(_counts_of_block(steps, last)).astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        work = _num_steps(self.left, self.middle)
        counts = _counts_of_pairs(self._steps, self.right, pairs, work=work, is_symmetric=self.is_symmetric)
        return np.log1p(counts)

    def _steps(self, rows: slice | NDArray[np.int64]) -> sp.csr_array:
        first = self.left[rows]
        return first if self.middle is None else first @ self.middle


@dataclass(frozen=True, eq=False)
class WalkScorer:
    """log(1 + (a_u + b_v) (c_u e_v sum over k of weight_k (step^k)_uv + far)): walks of one, two and three steps.

    Args:
        step: shape (nodes, nodes), CSR, float64.
        weights: of walks of one, two and three steps.
        sums: a and b, shape (nodes,) each.
        factors: c and e, shape (nodes,) each.
        far: what stands for all longer walks.
        is_symmetric: whether `step` is.
    """

    step: sp.csr_array
    weights: tuple[float, float, float]
    sums: tuple[NDArray[np.float64], NDArray[np.float64]]
    factors: tuple[NDArray[np.float64], NDArray[np.float64]]
    far: float
    is_symmetric: bool = False

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        values = _counts_of_block(self._steps(rows), _columns_of(self.step, columns))
        values *= np.multiply.outer(self.factors[0][rows], self.factors[1][columns])
        values += self.far
        values *= np.add.outer(self.sums[0][rows], self.sums[1][columns])
        return np.log1p(values).astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        u, v = pairs[:, 0], pairs[:, 1]
        work = _num_steps(self.step, self.step)
        products = _counts_of_pairs(self._steps, self.step, pairs, work=work, is_symmetric=self.is_symmetric)
        values = products * (self.factors[0][u] * self.factors[1][v]) + self.far
        return np.log1p(values * (self.sums[0][u] + self.sums[1][v]))

    def _steps(self, rows: slice | NDArray[np.int64]) -> sp.csr_array:
        """All but the last step, weighted: rows of w1 I + w2 step + w3 step^2."""
        first = self.step[rows]
        stay = sp.eye_array(self.step.shape[0], format="csr")[rows]
        one, two, three = self.weights
        return sp.csr_array(one * stay + two * first + three * (first @ self.step))


@dataclass(frozen=True, eq=False)
class CosineScorer:
    """The cosine of the features of two nodes, 0 for a node without any.

    Args:
        rows: shape (nodes, features), float32, CSR, each row of length 1 or 0.
    Example:
        >>> scorer = CosineScorer.of(Features(np.array([[3.0, 4.0], [0.0, 2.0]], dtype=np.float32), "none"))
        >>> scorer.logits(np.array([[0, 1]])).round(6)
        array([0.8])
    """

    rows: sp.csr_array

    @staticmethod
    def of(features: Features) -> "CosineScorer":
        """The cosines of these features."""
        matrix = sp.csr_array(features.matrix).astype(np.float64)
        lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        return CosineScorer(sp.csr_array(sp.diags_array(inverse) @ matrix).astype(np.float32))

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "CosineScorer":
        """From what `to_arrays` gave."""
        parts = arrays["features.values"], arrays["features.columns"], arrays["features.starts"]
        shape = (len(parts[2]) - 1, int(arrays["features.count"][0]))
        return CosineScorer(sp.csr_array(parts, shape=shape))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Name -> array, to be saved: a run does not hold the features themselves."""
        return {
            "features.values": self.rows.data,
            "features.columns": self.rows.indices,
            "features.starts": self.rows.indptr,
            "features.count": np.array([self.rows.shape[1]], dtype=np.int64),
        }

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        cosines = self.rows[rows].astype(np.float64) @ self.rows[columns].astype(np.float64).T
        return np.asarray(cosines.toarray(), dtype=np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        cosines = np.empty(len(pairs))
        for chunk in np.array_split(np.arange(len(pairs)), max(1, len(pairs) // 50_000)):
            left, right = (self.rows[pairs[chunk, end]].astype(np.float64) for end in (0, 1))
            cosines[chunk] = left.multiply(right).sum(axis=1)
        return cosines


def kept_features(features: Features | None) -> CosineScorer | None:
    """The cosines of features that are small enough to lie beside a model: up to 20 million values that are not zero."""
    if features is None:
        return None
    matrix = features.matrix
    size = matrix.nnz if sp.issparse(matrix) else int(np.count_nonzero(matrix))
    return CosineScorer.of(features) if size <= MOST_VALUES else None


def _counts_of_block(steps: sp.csr_array, last: sp.csr_array) -> NDArray[np.float64]:
    """steps @ last, dense: where the product is nearly full, sparse times dense is faster than sparse times sparse."""
    if _is_sparse(steps, last):
        return np.asarray((steps @ last).toarray())
    return np.asarray((last.T.tocsr() @ steps.toarray().T).T)


def _is_sparse(steps: sp.csr_array, last: sp.csr_array) -> bool:
    """Whether steps @ last takes so few products that most of it stays 0."""
    num_products = int(np.diff(last.indptr)[steps.indices].sum(dtype=np.int64))
    return _SPARSE * num_products < steps.shape[0] * last.shape[1]


def _columns_of(matrix: sp.csr_array, columns: slice) -> sp.csr_array:
    """Some columns; all of them are no copy."""
    return matrix if columns == slice(0, matrix.shape[1]) else matrix[:, columns]


def _counts_of_pairs(
    steps_of: Callable[[NDArray[np.int64]], sp.csr_array],
    last: sp.csr_array,
    pairs: Pairs,
    *,
    work: NDArray[np.float64],
    is_symmetric: bool,
) -> NDArray[np.float64]:
    """(steps @ last)[u, v] for each pair, shape (pairs,): sums over the last steps to v of what the steps from u hold there.

    Where either end may be the first, v is the one with fewer last steps, for a hub has few partners that are hubs too;
    unless the steps from the hubs are more `work`, shape (nodes,), than is spared by it.
    """
    num_nodes = last.shape[0]
    to_target = last.T.tocsr()
    num_last = np.diff(to_target.indptr)
    first, second = pairs[:, 0], pairs[:, 1]
    if is_symmetric:
        turned = num_last[second] > num_last[first]
        hubs, others = np.where(turned, second, first), np.where(turned, first, second)

        def total(sources: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
            is_source = np.zeros(num_nodes, dtype=np.bool_)
            is_source[sources] = True
            return float(work[is_source].sum()) + float(num_last[targets].sum(dtype=np.int64))

        if total(hubs, others) < total(first, second):
            first, second = hubs, others
    order = np.argsort(first, kind="stable")
    counts = np.zeros(len(pairs))
    chunk = np.cumsum(num_last[second[order]], dtype=np.int64) // _LAST_STEPS_AT_A_TIME
    most_sources = max(1, _VALUES_AT_A_TIME // max(num_nodes, 1))
    held = np.zeros(most_sources * num_nodes)
    for some in np.split(order, np.flatnonzero(np.diff(chunk)) + 1) if len(order) else []:
        sources, starts = np.unique(first[some], return_index=True)
        starts = np.append(starts, len(some))
        for begin in range(0, len(sources), most_sources):
            end = min(begin + most_sources, len(sources))
            places = some[starts[begin] : starts[end]]
            row = np.repeat(np.arange(end - begin), np.diff(starts[begin : end + 1]))
            steps = steps_of(sources[begin:end])
            at = steps.indices + np.repeat(np.arange(end - begin) * num_nodes, np.diff(steps.indptr))
            held[at] = steps.data
            to_some = to_target[second[places]]
            at_row = to_some.indices + np.repeat(row * num_nodes, np.diff(to_some.indptr))
            shape = len(places), len(held)
            counts[places] = sp.csr_array((to_some.data, at_row, to_some.indptr), shape=shape) @ held
            held[at] = 0.0
    return counts


def _num_steps(first: sp.csr_array, then: sp.csr_array | None) -> NDArray[np.float64]:
    """Shape (nodes,): products that the steps from each node take."""
    num_first = np.diff(first.indptr).astype(np.float64)
    if then is None:
        return num_first
    pattern = sp.csr_array((np.ones(first.nnz), first.indices, first.indptr), shape=first.shape)
    return np.asarray(pattern @ np.diff(then.indptr).astype(np.float64))


def _is_symmetric(a: sp.csr_array) -> bool:
    return not sp.csr_array(a - a.T).count_nonzero()


def baseline_scorer(name: str, split: Split, features: Features | None = None) -> Scorer:
    """A baseline on the message graph of a split.

    - `degree`: d_u d_v.
    - `common-neighbors`: number of shared neighbours.
    - `adamic-adar`: shared neighbours, each weighted 1 / log degree (Adamic and Adar, Social Networks 25, 2003).
    - `resource-allocation`: each weighted 1 / degree (Zhou, Lu and Zhang, Eur. Phys. J. B 71, 2009).
    - `l3`: paths u-x-y-v, each weighted 1 / sqrt(d_x d_y) (Kovacs et al., Nature Communications 10, 2019).

    - `katz`: walks of k = 1, 2 and 3 steps, each weighted beta^k (Katz, Psychometrika 18, 1953, cut off), where beta is
      half the inverse of the largest singular value.
    - `ppr`: personalised PageRank of the one node from the other, both ways where undirected: a walk ends with
      probability 0.15 before each step. Up to three steps are exact; longer walks count as having forgotten where they
      began.
    - `feature-cosine`: the cosine of the nodes' features; it does not look at the edges.

    Args:
        name: one of these names.
        split: its train edges are the message graph.
        features: for `feature-cosine`.
    Raises:
        OptionError: another name, or features that are not there.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> part = [np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 4]]), np.array([[1, 4]]), np.array([[2, 4]])]
        >>> split = Split(*part, PairSpace(5))
        >>> pairs = np.array([[0, 2], [0, 3]])
        >>> {name: np.expm1(baseline_scorer(name, split).logits(pairs)).round(3).tolist() for name in BASELINE_SCORERS}
        {'degree': [2.0, 1.0], 'common-neighbors': [1.0, 0.0], 'adamic-adar': [1.443, 0.0],
         'resource-allocation': [0.5, 0.0], 'l3': [0.0, 0.5], 'katz': [1.0, 0.309], 'ppr': [2.054, 1.32]}
    """
    if name not in _BY_NAME:
        raise OptionError(f"no baseline is called {name!r}; there are {', '.join(_BY_NAME)}.")
    return _BY_NAME[name](split, features)


def _cosine(split: Split, features: Features | None) -> Scorer:  # noqa: ARG001
    if features is None:
        raise OptionError("--model feature-cosine: the graph has no node features; give --features FILE.")
    return CosineScorer.of(features)


def _on_message_graph(count: Callable[[sp.csr_array], Scorer]) -> Callable[[Split, Features | None], Scorer]:
    return lambda split, _: count(split.message_graph().astype(np.float64))


def _degree(a: sp.csr_array) -> Scorer:
    return DegreeScorer(np.asarray(a.sum(axis=1), dtype=np.float64), np.asarray(a.sum(axis=0), dtype=np.float64))


def _common_neighbors(a: sp.csr_array) -> Scorer:
    return PathScorer(a, None, a, _is_symmetric(a))


def _adamic_adar(a: sp.csr_array) -> Scorer:
    return PathScorer(a, None, _scale_rows(a, lambda d: 1 / np.log(np.maximum(d, 2))), _is_symmetric(a))


def _resource_allocation(a: sp.csr_array) -> Scorer:
    return PathScorer(a, None, _scale_rows(a, lambda d: 1 / np.maximum(d, 1)), _is_symmetric(a))


def _l3(a: sp.csr_array) -> Scorer:
    back = a.T.tocsr()  # the same matrix when the graph is undirected
    inverse_in = 1 / np.sqrt(np.maximum(a.sum(axis=0), 1))
    inverse_out = 1 / np.sqrt(np.maximum(a.sum(axis=1), 1))
    middle = sp.csr_array(sp.diags_array(inverse_in) @ back @ sp.diags_array(inverse_out))
    return PathScorer(a, middle, a, _is_symmetric(a))


def _katz(a: sp.csr_array) -> Scorer:
    n = a.shape[0]
    beta = 0.5 / _largest_singular_value(a)
    ones, none = np.ones(n), np.zeros(n)
    return WalkScorer(a, (1 / beta, 1.0, beta), (ones, none), (ones, ones), 0.0, _is_symmetric(a))  # over beta^2


def _ppr(a: sp.csr_array) -> Scorer:
    out, into = (np.asarray(a.sum(axis=axis), dtype=np.float64) for axis in (1, 0))
    weight = float(a.sum())
    one, two, three = (float(weight * STOPPING * (1 - STOPPING) ** k) for k in (1, 2, 3))
    far = (1 - STOPPING) ** 4
    if not _is_symmetric(a):  # directed
        step = sp.csr_array(sp.diags_array(1 / np.maximum(out, 1)) @ a)
        return WalkScorer(
            step, (one, two, three), (np.zeros(len(out)), into), (np.ones(len(out)), 1 / np.maximum(into, 1)), far
        )
    # (P^k)_uv + (P^k)_vu = (d_u + d_v) (S^k)_uv / sqrt(d_u d_v), with P = D^-1 A and S = D^-1/2 A D^-1/2
    inverse_root = 1 / np.sqrt(np.maximum(out, 1))
    step = sp.csr_array(sp.diags_array(inverse_root) @ a @ sp.diags_array(inverse_root))
    return WalkScorer(step, (one, two, three), (out, out), (inverse_root, inverse_root), far, is_symmetric=True)


def _largest_singular_value(a: sp.csr_array) -> float:
    """By power iteration from ones: the entries are not negative, so it cannot start at a right angle to the answer."""
    vector, before, size = np.ones(a.shape[1]), 0.0, 1.0
    while abs(size - before) > 1e-13 * size:
        vector = a.T @ (a @ vector)
        before, size = size, float(np.linalg.norm(vector))
        vector /= size
    return float(np.sqrt(size))


def _scale_rows(a: sp.csr_array, weight: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> sp.csr_array:
    """A node on a path of length two has degree 2 at least when undirected; the maxima only guard the nodes on none."""
    degree = (a + a.T).astype(bool).sum(axis=1).astype(np.float64)
    return sp.csr_array(sp.diags_array(weight(degree)) @ a)


BASELINE_SCORERS: dict[str, Callable[[sp.csr_array], Scorer]] = {
    "degree": _degree,
    "common-neighbors": _common_neighbors,
    "adamic-adar": _adamic_adar,
    "resource-allocation": _resource_allocation,
    "l3": _l3,
    "katz": _katz,
    "ppr": _ppr,
}
"""All that look at nothing but the message graph."""

_BY_NAME: dict[str, Callable[[Split, Features | None], Scorer]] = {
    **{name: _on_message_graph(count) for name, count in BASELINE_SCORERS.items()},
    "feature-cosine": _cosine,
}
