"""Train logits: what a model that learnt from hidden edges says of its train edges, which its counts know by now."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import BrokenRun
from linkodds.graph.split import Split
from linkodds.pairs import Pairs, PairSpace


@dataclass(frozen=True, eq=False)
class TrainLogits:
    """The logit that each train edge had while it was hidden from the message graph.

    Args:
        matrix: shape (nodes, nodes), CSR, float64; both ways where edges have no direction.
        space: the admissible pairs.
    Example:
        >>> known = TrainLogits.of(np.array([[0, 2]]), np.array([3.5]), PairSpace(3))
        >>> logits = np.zeros(3)
        >>> known.put_into(logits, np.array([[0, 1], [0, 2], [2, 0]]))
        >>> logits.tolist()
        [0.0, 3.5, 3.5]
    """

    matrix: sp.csr_array
    space: PairSpace

    @staticmethod
    def of(edges: Pairs, logits: NDArray[np.float64], space: PairSpace) -> "TrainLogits":
        """Of edges, shape (edges, 2), with their logits."""
        source, target = edges[:, 0], edges[:, 1]
        if not space.directed:
            source, target = np.concatenate([source, target]), np.concatenate([target, source])
            logits = np.concatenate([logits, logits])
        return TrainLogits(sp.csr_array((logits, (source, target)), shape=(space.num_nodes, space.num_nodes)), space)

    @staticmethod
    def none(space: PairSpace) -> "TrainLogits":
        """While a model is fitted: no train edge has one."""
        return TrainLogits.of(np.empty((0, 2), dtype=np.int64), np.empty(0), space)

    def put_into(self, logits: NDArray[np.float64], pairs: Pairs) -> None:
        """Overwrite the logits, shape (pairs,), of those pairs that are train edges."""
        keys, known = self._rising
        if len(keys):
            wanted = self.space.keys(pairs)
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            is_train = keys[place] == wanted
            logits[is_train] = known[place[is_train]]

    def put_into_block(self, logits: NDArray[Any], nodes: NDArray[np.int64], columns: slice) -> None:
        """Overwrite the logits, shape (nodes, columns), of those cells that are train edges."""
        known = self.matrix[nodes][:, columns].tocoo()
        logits[known.row, known.col] = known.data

    @cached_property
    def _rising(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        known = self.matrix.tocoo()
        keys = self.space.keys(np.column_stack([known.row, known.col]).astype(np.int64))
        order = np.argsort(keys)
        return keys[order], known.data[order]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Each edge once: train_edges, shape (edges, 2), int64, and train_logits, shape (edges,), float64."""
        known = self.matrix.tocoo()
        keep = np.ones(known.nnz, dtype=np.bool_) if self.space.directed else known.row < known.col
        edges = np.column_stack([known.row, known.col]).astype(np.int64)[keep]
        return {"train_edges": edges, "train_logits": known.data[keep]}

    @staticmethod
    def from_arrays(split: Split, arrays: Mapping[str, NDArray[Any]]) -> "TrainLogits":
        """The same again.

        Args:
            split: whose train edges these are.
            arrays: as `to_arrays` gives them, others beside them.
        Raises:
            BrokenRun: they are those of other edges.
        """
        space, edges, logits = split.space, arrays["train_edges"], arrays["train_logits"]
        same = edges.shape == split.train.shape and np.array_equal(
            np.sort(space.keys(edges)), np.sort(space.keys(split.train))
        )
        if not same or logits.shape != (len(edges),) or not np.isfinite(logits).all():
            raise BrokenRun("model.safetensors does not fit the train edges of this graph.")
        return TrainLogits.of(edges, logits, space)
