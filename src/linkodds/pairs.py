"""Pairs of nodes: which are admissible, one key and one rank for each, and blocks that cover them all."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]
"""Shape (pairs, 2), int64 node indices. Undirected pairs are canonical: the smaller index first."""


@dataclass(frozen=True)
class Block:
    """A rectangle of the pair matrix: `rows` x `columns`; `admissible` is False where a cell is no pair of the space."""

    rows: slice
    columns: slice
    admissible: NDArray[np.bool_]


@dataclass(frozen=True)
class PairSpace:
    """All admissible pairs of a graph: no self-loops, undirected pairs once, bipartite pairs across the sides.

    In a bipartite graph the nodes are numbered side by side: side A is `0 .. sides[0] - 1`, side B follows, and nodes
    that belong to neither (isolated, side unknown) come last and are in no admissible pair. So a canonical pair always
    has its smaller index first, whatever the graph. Pairs are ranked row by row, from 0 to `num_pairs - 1`.

    Args:
        num_nodes: number of nodes, isolated ones included.
        directed: ordered pairs; (u, v) and (v, u) are two pairs.
        sides: sizes of the two sides of a bipartite graph, None otherwise.
    Example:
        >>> PairSpace(4).num_pairs, PairSpace(4, directed=True).num_pairs, PairSpace(5, sides=(2, 2)).num_pairs
        (6, 12, 4)
        >>> space = PairSpace(4)
        >>> space.pair_of_rank(np.arange(6)).tolist()
        [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    """

    num_nodes: int
    directed: bool = False
    sides: tuple[int, int] | None = None

    @property
    def bipartite(self) -> bool:
        """Whether pairs join two sides only."""
        return self.sides is not None

    @property
    def num_pairs(self) -> int:
        """Number of admissible pairs."""
        if self.sides is not None:
            return self.sides[0] * self.sides[1]
        return self.num_nodes * (self.num_nodes - 1) // (1 if self.directed else 2)

    def canonical(self, pairs: Pairs) -> Pairs:
        """The pairs as this space writes them: ends in increasing order unless the graph is directed. Shape (pairs, 2)."""
        pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
        return pairs if self.directed else np.sort(pairs, axis=1)

    def is_admissible(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Shape (pairs,): True where a canonical pair belongs to the space (no self-loop, across sides if bipartite)."""
        source, target = pairs[:, 0], pairs[:, 1]
        if self.sides is not None:
            a, b = self.sides
            return (source < a) & (target >= a) & (target < a + b)
        different: NDArray[np.bool_] = source != target
        return different

    def keys(self, pairs: Pairs) -> NDArray[np.int64]:
        """Shape (pairs,): source * num_nodes + target, unique for each canonical pair and sorted as the pairs are."""
        return pairs[:, 0] * np.int64(self.num_nodes) + pairs[:, 1]

    def contains(self, known: Pairs, pairs: Pairs) -> NDArray[np.bool_]:
        """Shape (pairs,): which canonical `pairs` are among the canonical `known` ones."""
        return np.isin(self.keys(pairs), self.keys(known))

    def rank_of_pair(self, pairs: Pairs) -> NDArray[np.int64]:
        """Shape (pairs,): place of each canonical, admissible pair in row order, from 0."""
        u, v = pairs[:, 0], pairs[:, 1]
        if self.sides is not None:
            return u * self.sides[1] + (v - self.sides[0])
        if self.directed:
            return u * (self.num_nodes - 1) + v - (v > u)
        return self._row_start(u) + v - u - 1

    def pair_of_rank(self, ranks: NDArray[np.int64]) -> Pairs:
        """Shape (ranks, 2): the inverse of `rank_of_pair`."""
        ranks = np.asarray(ranks, dtype=np.int64)
        if self.sides is not None:
            u, v = np.divmod(ranks, max(self.sides[1], 1))
            return np.column_stack([u, v + self.sides[0]])
        n = self.num_nodes
        if self.directed:
            u, v = np.divmod(ranks, n - 1)
            return np.column_stack([u, v + (v >= u)])
        # The row solves u (2n - u - 1) / 2 <= rank; float64 can be rows off in a huge graph, so step to the exact one.
        u = ((2 * n - 1 - np.sqrt((2.0 * n - 1) ** 2 - 8.0 * ranks)) / 2).astype(np.int64)
        u = np.clip(u, 0, n - 2)
        while (step := (self._row_start(u + 1) <= ranks).astype(np.int64) - (self._row_start(u) > ranks)).any():
            u += step
        return np.column_stack([u, ranks - self._row_start(u) + u + 1])

    def row_starts(self) -> NDArray[np.int64]:
        """Shape (nodes + 1,): the rank of the first pair in each row, and `num_pairs` at the end.

        Example:
            >>> PairSpace(4).row_starts().tolist(), PairSpace(4, sides=(1, 2)).row_starts().tolist()
            ([0, 3, 5, 6, 6], [0, 2, 2, 2, 2])
        """
        rows = np.arange(self.num_nodes + 1, dtype=np.int64)
        if self.sides is not None:
            return np.minimum(rows, self.sides[0]) * self.sides[1]
        return rows * (self.num_nodes - 1) if self.directed else self._row_start(rows)

    def blocks(self, *, max_cells: int = 1 << 21) -> Iterator[Block]:
        """Cover every admissible pair exactly once, in row order, with rectangles of at most about `max_cells` cells."""
        for start, stop in self.block_rows(max_cells=max_cells):
            yield self.block(start, stop)

    def block_rows(self, *, max_cells: int = 1 << 21) -> Iterator[tuple[int, int]]:
        """First row of each of `blocks`, and the row after its last one.

        Example:
            >>> list(PairSpace(5).block_rows(max_cells=4))
            [(0, 1), (1, 2), (2, 4)]
        """
        num_rows = self.sides[0] if self.sides is not None else self.num_nodes
        start = 0
        while start < num_rows:
            first, last = self._columns_from(start)
            if first >= last:
                return
            stop = min(num_rows, start + max(1, max_cells // (last - first)))
            yield start, stop
            start = stop

    def block(self, start: int, stop: int) -> Block:
        """The block of some rows: all their admissible pairs."""
        first, last = self._columns_from(start)
        row, column = np.arange(start, stop)[:, None], np.arange(first, last)[None, :]
        if self.sides is not None:
            admissible = np.ones((stop - start, last - first), dtype=np.bool_)
        else:
            admissible = (row != column) if self.directed else (row < column)
        return Block(slice(start, stop), slice(first, last), admissible)

    def _columns_from(self, row: int) -> tuple[int, int]:
        if self.sides is not None:
            return self.sides[0], sum(self.sides)
        return (0 if self.directed else row + 1), self.num_nodes

    def _row_start(self, u: NDArray[np.int64]) -> NDArray[np.int64]:
        return u * (2 * self.num_nodes - u - 1) // 2


@dataclass(frozen=True)
class KnownPairs:
    """A set of canonical pairs that can be struck out of blocks, and asked for the ranks outside it.

    Args:
        space: the admissible pairs.
        pairs: shape (pairs, 2), canonical, admissible, no pair twice; any order.
        nodes: shape (nodes,), increasing: every pair with one of these ends is in the set too; None: no such node.
    Example:
        >>> known = KnownPairs(PairSpace(3), np.array([[0, 2]]))
        >>> known.num_absent, known.absent_pairs(np.array([0, 1])).tolist()
        (2, [[0, 1], [1, 2]])
        >>> KnownPairs(PairSpace(4), np.array([[0, 2]]), nodes=np.array([3])).num_absent
        2
    """

    space: PairSpace
    pairs: Pairs
    nodes: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        among = None if self.nodes is None or not len(self.nodes) else _Remaining.of(self.space, self.pairs, self.nodes)
        object.__setattr__(self, "_remaining", among)
        ranks = np.sort(self.space.rank_of_pair(self.pairs))
        object.__setattr__(self, "_gaps", ranks - np.arange(len(ranks)))  # absent pairs before each known one
        order = np.argsort(self.pairs[:, 0], kind="stable")
        object.__setattr__(self, "_by_row", self.pairs[order])
        object.__setattr__(self, "_row_starts", self.space.row_starts())

    @property
    def num_absent(self) -> int:
        """Number of admissible pairs that are not in the set."""
        remaining: _Remaining | None = self._remaining  # type: ignore[attr-defined]
        return self.space.num_pairs - len(self.pairs) if remaining is None else remaining.known.num_absent

    def touches_nodes(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Shape (pairs,): which have an end among `nodes`."""
        remaining: _Remaining | None = self._remaining  # type: ignore[attr-defined]
        if remaining is None:
            return np.zeros(len(pairs), dtype=np.bool_)
        return np.asarray(~remaining.is_kept[pairs].all(axis=1))

    def contains(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Shape (pairs,): which canonical, admissible `pairs` are in the set.

        Example:
            >>> KnownPairs(PairSpace(3), np.array([[0, 2], [1, 2]])).contains(np.array([[0, 1], [1, 2]])).tolist()
            [False, True]
        """
        gaps: NDArray[np.int64] = self._gaps  # type: ignore[attr-defined]
        known, ranks = gaps + np.arange(len(gaps)), self.space.rank_of_pair(pairs)
        is_known: NDArray[np.bool_] = np.searchsorted(known, ranks, side="right") > np.searchsorted(known, ranks)
        return np.logical_or(is_known, self.touches_nodes(pairs))

    def absent_pairs(self, ranks: NDArray[np.int64]) -> Pairs:
        """Shape (ranks, 2): the absent pairs of these ranks, counting only absent pairs, from 0 to `num_absent - 1`."""
        remaining: _Remaining | None = self._remaining  # type: ignore[attr-defined]
        if remaining is not None:
            return remaining.kept[remaining.known.absent_pairs(ranks)]
        gaps: NDArray[np.int64] = self._gaps  # type: ignore[attr-defined]
        return self.space.pair_of_rank(ranks + np.searchsorted(gaps, ranks, side="right"))

    def sorted_absent_pairs(self, ranks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`absent_pairs` of sorted ranks: both ends, shape (ranks,) each; far quicker where many are near each other.

        Args:
            ranks: in increasing order; a rank may be there twice.
        Example:
            >>> known = KnownPairs(PairSpace(3), np.array([[0, 2]]))
            >>> [each.tolist() for each in known.sorted_absent_pairs(np.array([0, 0, 1]))]
            [[0, 0, 1], [1, 1, 2]]
        """
        if not len(ranks):
            return ranks, ranks
        remaining: _Remaining | None = self._remaining  # type: ignore[attr-defined]
        if remaining is not None:
            rows, columns = remaining.known.sorted_absent_pairs(ranks)
            return remaining.kept[rows], remaining.kept[columns]
        gaps: NDArray[np.int64] = self._gaps  # type: ignore[attr-defined]
        starts: NDArray[np.int64] = self._row_starts  # type: ignore[attr-defined]
        before, after = np.searchsorted(gaps, ranks[[0, -1]], side="right")
        passed = np.bincount(np.searchsorted(ranks, gaps[before:after], side="left"), minlength=len(ranks))
        places = ranks + (before + np.cumsum(passed))  # among all pairs, the known ones included
        top, bottom = np.searchsorted(starts, places[[0, -1]], side="right") - 1
        in_row = np.diff(np.searchsorted(places, starts[top : bottom + 2]))
        rows = np.repeat(np.arange(top, bottom + 1), in_row)
        columns = places - np.repeat(starts[top : bottom + 1], in_row)
        if self.space.sides is not None:
            columns += self.space.sides[0]
        elif self.space.directed:
            columns += columns >= rows
        else:
            columns += rows + 1
        return rows, columns

    def absent_cells(self, block: Block) -> NDArray[np.bool_]:
        """Shape (rows, columns) of the block: True where the cell is an admissible pair outside the set."""
        by_row: Pairs = self._by_row  # type: ignore[attr-defined]
        first, last = np.searchsorted(by_row[:, 0], [block.rows.start, block.rows.stop])
        inside = by_row[first:last]
        inside = inside[(inside[:, 1] >= block.columns.start) & (inside[:, 1] < block.columns.stop)]
        cells = block.admissible.copy()
        cells[inside[:, 0] - block.rows.start, inside[:, 1] - block.columns.start] = False
        remaining: _Remaining | None = self._remaining  # type: ignore[attr-defined]
        if remaining is not None:
            cells[~remaining.is_kept[block.rows]] = False
            cells[:, ~remaining.is_kept[block.columns]] = False
        return cells


@dataclass(frozen=True)
class _Remaining:
    """What is left of a set of pairs without some nodes, numbered anew: the order of pairs stays.

    Args:
        kept: shape (kept nodes,), increasing, by their old numbers.
        is_kept: shape (nodes,).
        known: the pairs of the set between kept nodes, by their new numbers.
    """

    kept: NDArray[np.int64]
    is_kept: NDArray[np.bool_]
    known: KnownPairs

    @staticmethod
    def of(space: PairSpace, pairs: Pairs, nodes: NDArray[np.int64]) -> "_Remaining":
        is_kept = np.ones(space.num_nodes, dtype=np.bool_)
        is_kept[nodes] = False
        sides = None
        if space.sides is not None:
            a, b = space.sides
            sides = int(is_kept[:a].sum()), int(is_kept[a : a + b].sum())
        kept = np.flatnonzero(is_kept)
        number = np.cumsum(is_kept) - 1
        inside = number[pairs[is_kept[pairs].all(axis=1)]]
        return _Remaining(kept, is_kept, KnownPairs(PairSpace(len(kept), space.directed, sides), inside))
