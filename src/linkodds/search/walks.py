"""Walks along recorded edges: how many lead from one node to another, and how long the shortest is."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.graph.split import adjacency
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scorers.baselines import PathScorer

PRODUCTS_AT_A_TIME = 1 << 22
"""Products of entries that are held in memory at a time, about."""


def neighbor_matrix(recorded: KnownPairs) -> sp.csr_array:
    """Recorded edges without their direction, shape (nodes, nodes), 0/1.

    Example:
        >>> from linkodds.pairs import PairSpace
        >>> neighbor_matrix(KnownPairs(PairSpace(2, directed=True), np.array([[1, 0]]))).toarray()
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    graph = adjacency(recorded.pairs, recorded.space)
    return sp.csr_array(graph.maximum(graph.T))


def distances(neighbors: sp.csr_array, pairs: Pairs, *, most: int) -> NDArray[np.int64]:
    """Shape (pairs,): how many edges lead from one end to the other at least; 0 where it is more than `most`, or no way.

    Example:
        >>> from linkodds.pairs import PairSpace
        >>> chain = neighbor_matrix(KnownPairs(PairSpace(4), np.array([[0, 1], [1, 2], [2, 3]])))
        >>> distances(chain, np.array([[0, 2], [0, 3]]), most=2).tolist()
        [2, 0]
    """
    result = np.zeros(len(pairs), dtype=np.int64)
    for start in range(0, len(pairs), 1024):
        sources, row = np.unique(pairs[start : start + 1024, 0], return_inverse=True)
        targets = pairs[start : start + 1024, 1]
        frontier = neighbors[sources]
        found = np.zeros(len(targets), dtype=np.int64)
        for hops in range(1, most + 1):
            at = np.asarray(frontier[row, targets]).ravel() > 0
            found[at & (found == 0)] = hops
            if hops == most or (found > 0).all():
                break
            frontier = frontier @ neighbors
            frontier.data[:] = 1.0
        result[start : start + 1024] = found
    return result


def walks(
    counts: PathScorer, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Some rows of the counts, a few at a time: row, column and weighted number of walks where there is any."""
    steps = [each for each in (counts.middle, counts.right) if each is not None]
    work: NDArray[np.float64] = np.ones(counts.left.shape[0])
    for step in reversed((counts.left, *steps)):
        work = np.asarray(_pattern(step) @ work).ravel()
    chunk = (np.cumsum(work[rows]) // PRODUCTS_AT_A_TIME).astype(np.int64)
    for some in np.split(rows, np.flatnonzero(np.diff(chunk)) + 1):
        if not len(some):
            continue
        found = counts.left[some]
        for step in steps:
            found = found @ step
        row, column = found.nonzero()
        yield some[row], column.astype(np.int64), found.data


def num_walks(counts: PathScorer, most: float = np.inf) -> float:
    """How many walks there are, those through nodes of a degree above `most` left out."""
    first, last, middle = walks_through(counts)
    stays = np.maximum(first, last) <= most
    if middle is None:
        return float((first * last * stays).sum())
    return float((first * stays) @ (middle @ (last * stays)))


def walks_through(counts: PathScorer) -> tuple[NDArray[np.float64], NDArray[np.float64], sp.csr_array | None]:
    """Steps that lead into and out of each node, shape (nodes,) each, and which node is reached from which in between."""
    first = np.asarray(_pattern(counts.left).sum(axis=0), dtype=np.float64).ravel()
    last = np.diff(counts.right.indptr).astype(np.float64)
    return first, last, None if counts.middle is None else _pattern(counts.middle)


def _pattern(matrix: sp.csr_array) -> sp.csr_array:
    return sp.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
