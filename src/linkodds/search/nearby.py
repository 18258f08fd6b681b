"""Nearby pairs: those that a few recorded edges lead from one end to the other, or that are given."""

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import NonFiniteScores, OptionError
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scorers.scoring import Scorer
from linkodds.search.tiles import Survivors
from linkodds.search.walks import neighbor_matrix


class NearPairs:
    """The pairs within so many hops, a few rows at a time; the same methods as `Tiles`, without bounds.

    Args:
        scorer: any.
        recorded: the edges that lead from one end to the other.
        hops: at least 2.
        first: shape (nodes,), bool; one end of a pair is among these,
        second: and the other among these; where edges have a direction, in this order.
        max_cells: pairs looked at at a time, about.
    """

    def __init__(
        self,
        scorer: Scorer,
        recorded: KnownPairs,
        hops: int,
        first: NDArray[np.bool_],
        second: NDArray[np.bool_],
        *,
        max_cells: int,
    ) -> None:
        if hops < 2:
            raise OptionError(f"--within-hops takes 2 or more, not {hops}: pairs one hop apart are recorded edges.")
        self._scorer, self._space, self._hops = scorer, recorded.space, hops
        self._first, self._second = first, second
        self._neighbors = neighbor_matrix(recorded)
        n = recorded.space.num_nodes
        degree = np.diff(self._neighbors.indptr).astype(np.float64)
        most = np.minimum(degree + self._neighbors @ degree if hops == 2 else np.full(n, float(n)), n)
        rows = np.flatnonzero((first if recorded.space.directed else first | second) & (degree > 0))
        chunk = (np.cumsum(most[rows]) // max(max_cells, 1)).astype(np.int64)
        self._chunks = np.split(rows, np.flatnonzero(np.diff(chunk)) + 1) if len(rows) else []
        self.cells = np.array([int(most[each].sum()) for each in self._chunks], dtype=np.int64)
        self.bounds = np.full(len(self._chunks), np.inf)
        self.num_computed = 0

    def survivors(self, tile: int, floor: float) -> Survivors:
        """As `Tiles.survivors`; both bounds are the logit itself."""
        rows = self._chunks[tile]
        reached = frontier = self._neighbors[rows]
        for _ in range(self._hops - 1):
            frontier = frontier @ self._neighbors
            frontier.data[:] = 1.0  # whether there is a path, not how many: these would overflow
            reached = reached.maximum(frontier)
        row, v = reached.nonzero()
        u = rows[row]
        wanted = self._first[u] & self._second[v]
        if not self._space.directed:
            wanted = (v > u) & (wanted | (self._second[u] & self._first[v]))
        pairs: Pairs = np.column_stack([u, v]).astype(np.int64)
        wanted &= self._space.is_admissible(pairs)
        logits = self._scorer.logits(pairs[wanted])
        self.num_computed += len(logits)
        if not np.isfinite(logits).all():
            raise NonFiniteScores("a logit is NaN or infinite; the run's weights are damaged, fit it again.")
        pairs, logits = pairs[wanted][logits >= floor], logits[logits >= floor]
        return Survivors(pairs[:, 0], pairs[:, 1], logits, logits)


class GivenPairs:
    """Pairs that somebody chose, a few rows at a time; the same methods as `Tiles`, without bounds.

    Args:
        scorer: any.
        pairs: shape (pairs, 2), canonical, in row order.
        max_pairs: looked at at a time.
    """

    is_final = False
    """Whether a logit has the same bits whatever other pairs are asked for with it: then it is not computed again."""

    def __init__(self, scorer: Scorer, pairs: Pairs, *, max_pairs: int) -> None:
        self._scorer, self._pairs = scorer, pairs
        self._starts = np.append(np.arange(0, len(pairs), max(max_pairs, 1)), len(pairs))
        self.cells = np.diff(self._starts)
        self.bounds = np.full(len(self.cells), np.inf)
        self.num_computed = 0

    def survivors(self, tile: int, floor: float) -> Survivors:
        """As `Tiles.survivors`; both bounds are the logit itself."""
        some = slice(self._starts[tile], self._starts[tile + 1])
        self.num_computed += int(self.cells[tile])
        pairs, logits = self._scored(some)
        if not np.isfinite(logits).all():
            raise NonFiniteScores("a logit is NaN or infinite; the run's weights are damaged, fit it again.")
        pairs, logits = pairs[logits >= floor], logits[logits >= floor]
        return Survivors(pairs[:, 0], pairs[:, 1], logits, logits)

    def _scored(self, some: slice) -> tuple[Pairs, NDArray[np.float64]]:
        """Some of the pairs and their logits: all of them, or those that are worth one."""
        return self._pairs[some], self._scorer.logits(self._pairs[some])
