"""Baselines without training: the floors that a learned model has to beat in the same report.

Each counts paths in the message graph. Their "logit" is log(1 + count), an increasing function of the count that becomes
a log odds only after calibration. In a directed graph paths follow the arrows, except for L3, whose middle step goes
against them (u -> x <- y -> v): nodes that share targets.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import OptionError
from linkodds.pairs import Pairs
from linkodds.scoring import Scorer
from linkodds.split import Split


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
    """

    left: sp.csr_array
    middle: sp.csr_array | None
    right: sp.csr_array

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        if self.middle is None:
            counts = (self._steps(rows) @ self.right[:, columns]).toarray()
        else:  # the last product is nearly full: sparse times dense is faster than sparse times sparse
            counts = (self.right[:, columns].T.tocsr() @ self._steps(rows).toarray().T).T
        return np.asarray(np.log1p(counts), dtype=np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        counts = np.zeros(len(pairs))
        to_target = self.right.T.tocsr()
        order = np.argsort(pairs[:, 0], kind="stable")
        for chunk in np.array_split(order, max(1, len(order) // 50_000)):
            if not len(chunk):
                continue
            sources, row = np.unique(pairs[chunk, 0], return_inverse=True)
            steps = self._steps(sources)
            counts[chunk] = steps[row].multiply(to_target[pairs[chunk, 1]]).sum(axis=1)
        return np.log1p(counts)

    def _steps(self, rows: slice | NDArray[np.int64]) -> sp.csr_array:
        first = self.left[rows]
        return first if self.middle is None else first @ self.middle


def baseline_scorer(name: str, split: Split) -> Scorer:
    """A baseline on the message graph of a split.

    - `degree`: d_u d_v.
    - `common-neighbors`: number of shared neighbours.
    - `adamic-adar`: shared neighbours, each weighted 1 / log degree (Adamic and Adar, Social Networks 25, 2003).
    - `resource-allocation`: each weighted 1 / degree (Zhou, Lu and Zhang, Eur. Phys. J. B 71, 2009).
    - `l3`: paths u-x-y-v, each weighted 1 / sqrt(d_x d_y) (Kovacs et al., Nature Communications 10, 2019).

    Args:
        name: one of the five names.
        split: its train edges are the message graph.
    Raises:
        OptionError: another name.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> part = [np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 4]]), np.array([[1, 4]]), np.array([[2, 4]])]
        >>> split = Split(*part, PairSpace(5))
        >>> pairs = np.array([[0, 2], [0, 3]])
        >>> {name: np.expm1(baseline_scorer(name, split).logits(pairs)).round(3).tolist() for name in BASELINE_SCORERS}
        {'degree': [2.0, 1.0], 'common-neighbors': [1.0, 0.0], 'adamic-adar': [1.443, 0.0],
         'resource-allocation': [0.5, 0.0], 'l3': [0.0, 0.5]}
    """
    if name not in BASELINE_SCORERS:
        raise OptionError(f"no baseline is called {name!r}; there are {', '.join(BASELINE_SCORERS)}.")
    a: sp.csr_array = split.message_graph().astype(np.float64)
    return BASELINE_SCORERS[name](a)


def _degree(a: sp.csr_array) -> Scorer:
    return DegreeScorer(np.asarray(a.sum(axis=1), dtype=np.float64), np.asarray(a.sum(axis=0), dtype=np.float64))


def _common_neighbors(a: sp.csr_array) -> Scorer:
    return PathScorer(a, None, a)


def _adamic_adar(a: sp.csr_array) -> Scorer:
    return PathScorer(a, None, _scale_rows(a, lambda d: 1 / np.log(np.maximum(d, 2))))


def _resource_allocation(a: sp.csr_array) -> Scorer:
    return PathScorer(a, None, _scale_rows(a, lambda d: 1 / np.maximum(d, 1)))


def _l3(a: sp.csr_array) -> Scorer:
    back = a.T.tocsr()  # the same matrix when the graph is undirected
    inverse_in = 1 / np.sqrt(np.maximum(a.sum(axis=0), 1))
    inverse_out = 1 / np.sqrt(np.maximum(a.sum(axis=1), 1))
    middle = sp.csr_array(sp.diags_array(inverse_in) @ back @ sp.diags_array(inverse_out))
    return PathScorer(a, middle, a)


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
}
