"""Landmarks: bounds on the shortest path between two nodes, from the distances of each to a few landmark nodes.

In a tree-like graph most pairs that will be linked are further apart than walks are counted, and most that will not be are
further still. If u is d hops from a landmark and v is e hops, u and v are at least |d - e| and at most d + e hops apart.
Hops are whole numbers, so a pair has the same bounds in any block.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

COUNT = 32
UNREACHED, _LONGEST = 1000, 400
MOST_HOPS = 64
"""Bounds of this many hops stand for more, and for no path."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Hops from a few nodes to all, direction left aside.

    Args:
        hops: shape (landmarks, nodes), int16; `UNREACHED` where there is no path, and very long paths cut short.
    Example:
        >>> path = sp.csr_array(np.eye(5, k=1) + np.eye(5, k=-1))
        >>> landmarks = Landmarks.of(path, 2)
        >>> landmarks.hops
        array([[1, 0, 1, 2, 3],
               [4, 3, 2, 1, 0]], dtype=int16)
        >>> landmarks.bounds_of_pairs(np.array([0, 2]), np.array([3, 2]))
        (array([3., 0.]), array([3., 2.]))
    """

    hops: NDArray[np.int16]

    @staticmethod
    def of(adjacency: sp.csr_array, count: int = COUNT) -> "Landmarks":
        """The node with most neighbours, then each time one that is farthest from all so far, the first of equals.

        Args:
            adjacency: shape (nodes, nodes), CSR, 0/1.
            count: of the landmarks, fewer where all nodes that they reach are landmarks.
        """
        around = (adjacency + adjacency.T).astype(bool).astype(np.float32).tocsr()
        num_nodes = around.shape[0]
        found: list[NDArray[np.int16]] = []
        nearest = np.full(num_nodes, UNREACHED, dtype=np.int16)
        node = int(np.argmax(around.sum(axis=1))) if num_nodes else 0
        while len(found) < min(count, num_nodes):
            found.append(_hops_from(node, around))
            nearest = np.minimum(nearest, found[-1])
            reached = np.where(nearest < UNREACHED, nearest, 0)
            node = int(np.argmax(reached))
            if not reached[node]:
                break
        return Landmarks(np.array(found, dtype=np.int16).reshape(-1, num_nodes))

    def bounds(self, rows: NDArray[np.int64], columns: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """At least and at most so many hops apart, shape (columns, rows) each, float64.

        Args:
            rows: shape (rows,), node indices.
            columns: of the pair matrix.
        """
        return self._bounds(self.hops[:, columns][:, :, None], self.hops[:, rows][:, None, :])

    def bounds_of_pairs(
        self, sources: NDArray[np.int64], targets: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for listed pairs, shape (pairs,) each, float64."""
        return self._bounds(self.hops[:, sources], self.hops[:, targets])

    def _bounds(self, a: NDArray[np.int16], b: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = np.broadcast_shapes(a.shape[1:], b.shape[1:])
        least, most = np.zeros(shape, dtype=np.int16), np.full(shape, MOST_HOPS, dtype=np.int16)
        for one, other in zip(a, b, strict=True):
            np.maximum(least, np.abs(one - other), out=least)
            np.minimum(most, one + other, out=most)
        return np.minimum(least, MOST_HOPS).astype(np.float64), most.astype(np.float64)


def _hops_from(node: int, around: sp.csr_array) -> NDArray[np.int16]:
    hops = np.full(around.shape[0], UNREACHED, dtype=np.int16)
    front, step = np.zeros(around.shape[0], dtype=np.float32), 0
    front[node] = 1
    while front.any():
        hops[front > 0] = min(step, _LONGEST)
        step += 1
        front = ((around @ front > 0) & (hops == UNREACHED)).astype(np.float32)
    return hops
