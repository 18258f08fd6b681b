"""MessageGraph: the normalised adjacency of the train edges, from which a batch of them can be hidden."""

from typing import final

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from linkodds.graph.split import Split
from linkodds.models.autoencoders.propagation import SparseMatrix


@final
class MessageGraph:
    """D^-1/2 (A + I) D^-1/2 of the symmetrised train edges, by their strengths, whole or with some train edges hidden.

    A model that is trained to tell an edge which its own messages went over learns to read that edge back, and finds
    nothing where a pair is new. So the edges of a batch are hidden while it is trained on them, in both directions,
    and degrees are those without them. The pattern of the matrix stays: what is hidden has the value 0.

    Args:
        split: its train edges.
        device: of the matrices.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> nothing = np.empty((0, 2), dtype=np.int64)
        >>> graph = MessageGraph(Split(np.array([[0, 1], [1, 2]]), nothing, nothing, nothing, PairSpace(3)), "cpu")
        >>> (graph.without(np.array([1])) @ torch.eye(3)).round(decimals=4)
        tensor([[0.5000, 0.5000, 0.0000],
                [0.5000, 0.5000, 0.0000],
                [0.0000, 0.0000, 1.0000]])
    """

    def __init__(self, split: Split, device: torch.device | str) -> None:
        graph, num_nodes = split.propagated_graph(), split.space.num_nodes
        looped = sp.csr_array(graph.maximum(graph.T) + sp.eye_array(num_nodes, dtype=np.float32))
        looped.sort_indices()
        self._device = device
        self._starts = looped.indptr[:-1]
        self._rows = np.repeat(np.arange(num_nodes), np.diff(looped.indptr))
        self._columns = looped.indices
        self._strengths = looped.data.astype(np.float32)
        self._pattern = SparseMatrix.from_scipy(looped, device)
        keys = self._rows * np.int64(num_nodes) + self._columns
        source, target = split.train[:, 0], split.train[:, 1]
        there, back = source * np.int64(num_nodes) + target, target * np.int64(num_nodes) + source
        self._places = np.searchsorted(keys, np.column_stack([there, back]))

    @property
    def whole(self) -> SparseMatrix:
        """Nothing hidden."""
        return self.without(np.empty(0, dtype=np.int64))

    def without(self, hidden: NDArray[np.int64]) -> SparseMatrix:
        """The matrix with the train edges of these numbers hidden; shape (nodes, nodes)."""
        kept = self._kept(hidden)
        root = np.add.reduceat(kept, self._starts) ** np.float32(-0.5)  # no row is empty: each has its loop
        values = kept * root[self._rows] * root[self._columns]
        return self._pattern.with_values(torch.from_numpy(values).to(self._device))

    def neighbors_without(self, hidden: NDArray[np.int64]) -> sp.csr_array:
        """Who is tied to whom when these train edges are hidden: shape (nodes, nodes), 0/1, no diagonal."""
        kept = (self._kept(hidden) > 0) & (self._rows != self._columns)
        starts = np.concatenate([[0], np.cumsum(np.add.reduceat(kept.astype(np.int64), self._starts))])
        columns = self._columns[kept]
        return sp.csr_array((np.ones(len(columns), dtype=np.float32), columns, starts), shape=self._pattern.shape)

    def _kept(self, hidden: NDArray[np.int64]) -> NDArray[np.float32]:
        kept = self._strengths.copy()
        kept[self._places[hidden].ravel()] = 0.0
        return kept
