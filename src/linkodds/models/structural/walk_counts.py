"""Walk counts: weighted numbers of the walks of two to five steps between nodes, exact in float64.

Weights lie on grids on which no sum rounds, so the counts have the same bits in whatever order, and by whichever way, they
are summed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.models.structural.spectral import Floats
from linkodds.pairs import PairSpace

WALKS = ("cn", "aa", "ra", "w3", "l3", "s3", "s4", "s5")
"""Common neighbours, plain and by 1 / log(degree) and 1 / degree; walks of three steps, plain and by 1 / sqrt of the two
degrees between; walks of three to five steps by 1 / degree of all nodes between."""
_SPARSE = 8
"""Two steps are counted walk by walk where there are fewer of them than one in so many of what edges x rows would take."""


@dataclass(frozen=True, eq=False)
class WalkCounts:
    """Walks on a graph.

    Args:
        adjacency: shape (nodes, nodes), float64, 1 where there is an edge.
        space: its nodes and what pairs of them are.
    Example:
        >>> ring = sp.csr_array(np.roll(np.eye(5), 1, axis=1) + np.roll(np.eye(5), -1, axis=1))
        >>> counts = WalkCounts(ring, PairSpace(5)).between(np.array([0]), slice(0, 5))
        >>> counts["cn"].ravel().tolist(), counts["w3"].ravel().tolist()
        ([2.0, 0.0, 1.0, 1.0, 0.0], [0.0, 3.0, 1.0, 1.0, 3.0])
    """

    adjacency: sp.csr_array
    space: PairSpace

    def between(
        self, rows: NDArray[np.int64], columns: slice, wanted: NDArray[np.int64] | None = None
    ) -> dict[str, Floats]:
        """Walks from rows to columns.

        Args:
            rows: shape (rows,), node indices, any order.
            columns: nodes.
            wanted: of the columns, counted from the first: elsewhere the counts of longer walks may be 0; None: all.
        Returns:
            One of `WALKS` -> shape (columns, rows), float64.
        """
        return (
            self._across(rows, columns, wanted) if self._is_across(rows, columns) else self._any(rows, columns, wanted)
        )

    def _any(self, rows: NDArray[np.int64], columns: slice, wanted: NDArray[np.int64] | None) -> dict[str, Floats]:
        back, weights = self.back, self._weights
        to_columns = _last_step(back if columns == slice(0, self.space.num_nodes) else back[columns], wanted)
        against = self.adjacency if self.space.directed else back
        first = self.adjacency[rows]
        if _SPARSE * self._num_walks[rows].sum() < back.nnz * len(rows):
            once = np.ones((self.space.num_nodes, 1))
            cn, ra, aa = _second_steps(first, (once, weights["inverse"], weights["log"]), self.adjacency)
            (both_in,) = _second_steps(first, (weights["root_in"],), self.back)
        else:
            dense = _turned(first)
            cn, ra, aa = back @ dense, back @ (weights["inverse"] * dense), back @ (weights["log"] * dense)
            both_in = against @ (weights["root_in"] * dense)
        s3 = back @ (weights["inverse"] * ra)
        s4 = back @ (weights["inverse"] * s3)
        return {
            "cn": cn[columns],
            "aa": aa[columns],
            "ra": ra[columns],
            "w3": to_columns(cn),
            "l3": to_columns(weights["root_out"] * both_in),
            "s3": s3[columns],
            "s4": s4[columns],
            "s5": to_columns(weights["inverse"] * s4),
        }

    def _across(self, rows: NDArray[np.int64], columns: slice, wanted: NDArray[np.int64] | None) -> dict[str, Floats]:
        """The same where each row is on one side of a bipartite graph, and each column on the other: half of the work."""
        num_left = (self.space.sides or (0, 0))[0]
        left, right = slice(0, num_left), slice(num_left, self.space.num_nodes)
        near, far = (left, right) if columns.start >= num_left else (right, left)  # of the rows, of the columns
        to_far, to_near = self._across_adjacency if near == right else self._across_adjacency[::-1]
        some = slice(columns.start - far.start, columns.stop - far.start)
        to_columns = _last_step(to_far if columns == far else to_far[some], wanted)
        weights = {name: (each[near], each[far]) for name, each in self._weights.items()}
        inverse_near, inverse_far = weights["inverse"]
        first = to_near[rows - near.start].toarray().T.copy()
        s3 = to_far @ (inverse_near * (to_near @ (inverse_far * first)))
        s4 = to_near @ (inverse_far * s3)
        root_near, root_far = weights["root_out"][0], weights["root_in"][1]
        nothing = np.zeros((some.stop - some.start, len(rows)))
        return {
            **dict.fromkeys(("cn", "aa", "ra", "s4"), nothing),
            "w3": to_columns(to_near @ first),
            "l3": to_columns(root_near * (to_near @ (root_far * first))),
            "s3": s3[some],
            "s5": to_columns(inverse_near * s4),
        }

    def _is_across(self, rows: NDArray[np.int64], columns: slice) -> bool:
        if self.space.sides is None or not len(rows):
            return False
        num_left = self.space.sides[0]
        if columns.start >= num_left:
            return bool(rows.max() < num_left)
        return bool(rows.min() >= num_left and columns.stop <= num_left)

    @cached_property
    def back(self) -> sp.csr_array:
        """The transposed adjacency: counts of one step more are this times the counts so far."""
        return self.adjacency.T.tocsr() if self.space.directed else self.adjacency

    @cached_property
    def _num_walks(self) -> Floats:
        """Walks of two steps from each node, shape (nodes,)."""
        return np.asarray(self.adjacency @ np.diff(self.adjacency.indptr).astype(np.float64))

    @cached_property
    def _across_adjacency(self) -> tuple[sp.csr_array, sp.csr_array]:
        """Of a bipartite graph: left x right, and right x left."""
        num_left = (self.space.sides or (0, 0))[0]
        return self.adjacency[:num_left][:, num_left:], self.adjacency[num_left:][:, :num_left]

    @cached_property
    def _weights(self) -> dict[str, Floats]:
        """Weights of the nodes on a walk, shape (nodes, 1) each, on grids on which the counts are exact.

        s5 has four weights of 1 / degree, and is at most the largest degree: 4 b + log2(degree) <= 52 bits. l3 has two
        weights, and at most degree^2 walks.
        """
        out, into = (np.asarray(self.adjacency.sum(axis=axis), dtype=np.float64) for axis in (1, 0))
        both = out if not self.space.directed else (self.adjacency + self.adjacency.T).astype(bool).sum(axis=1)
        bits = int(np.ceil(np.log2(max(out.max(initial=1), into.max(initial=1), 2))))

        def on_grid(weights: Floats, num_bits: int) -> Floats:
            scale = 2.0 ** max(num_bits, 0)
            return (np.floor(weights * scale) / scale)[:, None]

        return {
            "log": on_grid(1 / np.log(np.maximum(both, 2.0)), 20),
            "inverse": on_grid(1 / np.maximum(out, 1.0), (52 - bits) // 4),
            "root_in": on_grid(1 / np.sqrt(np.maximum(into, 1.0)), min(20, (52 - 2 * bits) // 2)),
            "root_out": on_grid(1 / np.sqrt(np.maximum(out, 1.0)), min(20, (52 - 2 * bits) // 2)),
        }


def _second_steps(first: sp.csr_array, weights: Sequence[Floats], onto: sp.csr_array) -> list[Floats]:
    """Walks of two steps from some rows by the weight of the node between, walk by walk; shape (nodes, rows) each.

    Args:
        first: shape (rows, nodes), their edges.
        weights: shape (nodes, 1) each.
        onto: the matrix of the second step, by the node that is left.
    """
    count, (num_rows, num_nodes) = len(weights), first.shape
    data = np.concatenate([first.data * each[first.indices, 0] for each in weights])
    starts = np.concatenate([[0], *(first.indptr[1:] + k * first.nnz for k in range(count))])
    shape = (count * num_rows, num_nodes)
    both = sp.csr_array((data, np.tile(first.indices, count), starts), shape=shape) @ onto
    return [_turned(both[k * num_rows : (k + 1) * num_rows]) for k in range(count)]


def _turned(matrix: sp.csr_array) -> Floats:
    """Dense, and its transpose: one row of it a node."""
    return np.asarray(matrix.toarray(order="F").T)


def _last_step(matrix: sp.csr_array, wanted: NDArray[np.int64] | None) -> Callable[[Floats], Floats]:
    """Counts of one step less -> those at the rows of the matrix, or at the wanted ones and 0 elsewhere."""
    if wanted is None or 2 * len(wanted) > matrix.shape[0]:
        return lambda counts: np.asarray(matrix @ counts)
    few = matrix[wanted]

    def step(counts: Floats) -> Floats:
        found = np.zeros((matrix.shape[0], counts.shape[1]))
        found[wanted] = few @ counts
        return found

    return step
