"""Search: the best pairs among all that carry no recorded edge, exactly, in bounded memory."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import NonFiniteScores, OptionError
from linkodds.pairs import Block, KnownPairs, Pairs
from linkodds.scorers.scoring import Scorer
from linkodds.search.nearby import GivenPairs, NearPairs
from linkodds.search.tiles import NO_CELLS, MonotoneProducts, Nodes, Survivors, Tiles

MAX_LINKS = 5_000_000
_BYTES_A_CELL = 32
_BYTES_A_LINK = 200


@dataclass(frozen=True, eq=False)
class FoundPairs:
    """Pairs in falling order of their logit; equal logits in order of the node indices.

    Args:
        pairs: shape (pairs, 2), int64, canonical, none of them recorded.
        logits: shape (pairs,), float64.
    """

    pairs: Pairs
    logits: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ends:
    """Which pairs are searched: one end in `first`, the other in `second`; where edges have a direction, from `first`.

    Args:
        first: shape (nodes,), int64; None is every node.
        second: the same.
    """

    first: Nodes | None = None
    second: Nodes | None = None


ALL = Ends()


def find_pairs(
    scorer: Scorer,
    recorded: KnownPairs,
    *,
    top: int | None = None,
    threshold: float | None = None,
    ends: Ends = ALL,
    within_hops: int | None = None,
    max_cells: int = 1 << 20,
    on_block: Callable[[float], None] | None = None,
) -> FoundPairs:
    """The `top` pairs without a recorded edge, those at or above a logit threshold, or the former among the latter.

    All pairs are scored in float32 tiles, but for tiles that cannot hold a pair of the answer; what may belong to it is
    scored again pair by pair in float64, and ordered by (-logit, u, v). So neither the size of the tiles nor ties nor
    threads change the answer. Memory O(tile + answer).

    Args:
        scorer: logits of pairs.
        recorded: all recorded edges; they are left out.
        top: how many, at least 1; fewer come back where the graph has fewer candidates.
        threshold: smallest logit that is accepted.
        ends: the nodes between which links are looked for.
        within_hops: only pairs that so many recorded edges or fewer lead from one end to the other, whatever their direction.
        max_cells: pairs in a tile.
        on_block: called with the share of the search done.
    Raises:
        OptionError: neither `top` nor `threshold`, or a threshold that more than 5,000,000 pairs pass.
        NonFiniteScores: a logit is NaN or infinite.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.scorers.scoring import InnerProductScorer
        >>> z = np.array([[1], [2], [3], [4]], dtype=np.float32)
        >>> scorer = InnerProductScorer(z, z, scale=1.0, bias=0.0)
        >>> known = KnownPairs(PairSpace(4), np.array([[2, 3]]))
        >>> found = find_pairs(scorer, known, top=2)
        >>> found.pairs.tolist(), found.logits.tolist()
        ([[1, 3], [1, 2]], [8.0, 6.0])
        >>> find_pairs(scorer, known, top=9, ends=Ends(np.array([0]), np.array([2, 1]))).pairs.tolist()
        [[0, 2], [0, 1]]
    """
    search = PairSearch(
        scorer, recorded, top=top, threshold=threshold, ends=ends, within_hops=within_hops, max_cells=max_cells
    )
    for share in search.steps():
        if on_block is not None:
            on_block(share)
    return search.found()


class PairSearch:
    """A search that goes step by step, and can say after each what it has found so far.

    Args:
        scorer: logits of pairs.
        candidates: the only pairs to look at; None: all. The other arguments are those of `find_pairs`.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.scorers.scoring import InnerProductScorer
        >>> z = np.array([[1], [2], [3], [4]], dtype=np.float32)
        >>> search = PairSearch(InnerProductScorer(z, z, 1.0, 0.0), KnownPairs(PairSpace(4), np.array([[2, 3]])), top=1)
        >>> list(search.steps()), search.found().pairs.tolist()
        ([1.0], [[1, 3]])
    """

    def __init__(
        self,
        scorer: Scorer,
        recorded: KnownPairs,
        *,
        top: int | None = None,
        threshold: float | None = None,
        ends: Ends = ALL,
        within_hops: int | None = None,
        candidates: GivenPairs | None = None,
        max_cells: int = 1 << 20,
    ) -> None:
        if top is None and threshold is None:
            raise OptionError("say how many links (--top K) or which ones (--decision RULE).")
        self.limit = MAX_LINKS if top is None else top
        if not 1 <= self.limit <= MAX_LINKS:
            raise OptionError(f"--top takes 1 to {MAX_LINKS:,}, not {self.limit:,}.")
        self._top, self._threshold = top, threshold
        self._scorer, self._filter = scorer, CandidateFilter(recorded, ends)
        self._is_final = False
        self._parts: list[Tiles | _Blocks | NearPairs | GivenPairs]
        if candidates is not None:
            self._parts = [candidates]
            self._is_final = candidates.is_final
        elif within_hops is None:
            self._parts = [*_parts(scorer, recorded, ends, max_cells, self.limit, self._filter)]
        else:
            first, second = self._filter.in_first, self._filter.in_second
            self._parts = [NearPairs(scorer, recorded, within_hops, first, second, max_cells=max_cells)]
        bounds = np.concatenate([np.empty(0), *(each.bounds for each in self._parts)])
        order = np.argsort(-bounds, kind="stable")
        part = np.repeat(np.arange(len(self._parts)), [len(each.bounds) for each in self._parts])
        place = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(len(each.bounds)) for each in self._parts)])
        cells = np.concatenate([np.empty(0, dtype=np.int64), *(each.cells for each in self._parts)])
        self._steps, self._bounds = np.column_stack([part, place])[order], bounds[order]
        self._cells = np.concatenate([[0], np.cumsum(cells[order])])
        floor = -np.inf if threshold is None else threshold
        self._kept = _Kept(0, max(floor, self._early_floor()), np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))

    @property
    def num_cells(self) -> int:
        """Cells of all steps together; those of a tile that cannot hold a pair of the answer are never computed."""
        return int(self._cells[-1])

    @property
    def num_computed(self) -> int:
        """Cells computed so far."""
        return sum(part.num_computed for part in self._parts)

    @property
    def num_done(self) -> int:
        """Steps taken, or skipped by `resume`."""
        return self._kept.num_done

    @property
    def num_steps(self) -> int:
        """Steps there are, the ones that may be skipped included."""
        return len(self._steps)

    def expected(self) -> tuple[int, float, float]:
        """Pairs (cells of all steps), and at most about how many seconds and bytes the search takes: one step is timed."""
        size = np.diff(self._cells)
        if not len(size):
            return 0, 0.0, 0.0
        large = np.flatnonzero(2 * size >= size.max())
        step = int(large[len(large) // 2])  # the first ones have more to keep than most, the last ones less
        which, place = self._steps[step].tolist()
        part = self._parts[which]
        computed = part.num_computed
        start = time.perf_counter()
        low, few = self._filter(part.survivors(place, self._kept.floor)).low, int(size[step]) // 1000 + 1
        if isinstance(part, Tiles):  # others take as long whatever the floor is
            floor = self._kept.floor if len(low) < few else float(np.partition(low, -few)[-few])  # as it soon will be
            start = time.perf_counter()
            self._filter(part.survivors(place, floor))
        part.num_computed = computed
        seconds = (time.perf_counter() - start) / max(int(size[step]), 1) * self.num_cells
        answer = 0 if self._top is None else self.limit
        return self.num_cells, seconds, float(_BYTES_A_CELL * int(size.max()) + _BYTES_A_LINK * answer)

    def steps(self) -> Iterator[float]:
        """Take the steps that are left; yields the share of the work done after each.

        It may be left between any two lines, by an interrupt: `found` and `num_done` then are those of the last step.
        """
        while self.num_done < len(self._steps) and self._bounds[self.num_done] >= self._kept.floor:
            which, place = self._steps[self.num_done].tolist()
            cells = self._filter(self._parts[which].survivors(place, self._kept.floor))
            self._kept = self._settled(
                _Kept(
                    self.num_done + 1,
                    self._kept.floor,
                    np.concatenate([self._kept.keys, self._filter.keys(cells)]),
                    np.concatenate([self._kept.low, cells.low]),
                    np.concatenate([self._kept.high, cells.high]),
                )
            )
            # Bounds fall: all tiles after the first one below the floor are skipped.
            needed = max(self.num_done, int(np.searchsorted(-self._bounds, -self._kept.floor, side="right")))
            yield float(self._cells[self.num_done] / max(self._cells[needed], 1))

    def found(self) -> FoundPairs:
        """The best of the pairs seen so far: all of them, once the steps are done."""
        return self._exact(self._kept)

    def resume(self, num_done: int, pairs: Pairs) -> None:
        """Go on where another search of the same kind stopped.

        Args:
            num_done: its steps.
            pairs: what it had found by then.
        """
        logits = self._scorer.logits(pairs)
        keys = self._filter.recorded.space.keys(pairs)
        self._kept = self._settled(_Kept(num_done, self._kept.floor, keys, logits, logits))

    def _exact(self, kept: "_Kept") -> FoundPairs:
        pairs = self._filter.pairs(kept.keys)
        logits = kept.low if self._is_final else self._scorer.logits(pairs)
        if self._threshold is not None:
            pairs, logits = pairs[logits >= self._threshold], logits[logits >= self._threshold]
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -logits))
        if self._top is None and len(order) > self.limit:
            raise _too_many()
        return FoundPairs(pairs[order[: self.limit]], logits[order[: self.limit]])

    def _early_floor(self) -> float:
        """The floor that a few promising pairs give: without it, the first tile would be kept whole."""
        if self._top is None or not len(self._steps):
            return -np.inf
        which, place = self._steps[0].tolist()
        tiles = self._parts[which]
        if not isinstance(tiles, Tiles):  # a few cells cost as much as their rows
            return -np.inf
        low = self._filter(tiles.corner(place, 4 * self.limit)).low
        return float(np.partition(low, -self.limit)[-self.limit]) if len(low) >= self.limit else -np.inf

    def _settled(self, kept: "_Kept") -> "_Kept":
        """Without the pairs that cannot be in the answer any more, and with a higher floor, if there are many."""
        room = self.limit + max(self.limit // 4, 1 << 12)
        if len(kept.keys) <= room:
            return kept
        if self._top is None and np.count_nonzero(kept.low >= kept.floor) > self.limit:
            raise _too_many()
        floor = max(kept.floor, float(np.partition(kept.low, -self.limit)[-self.limit]))
        stays = kept.high >= floor
        kept = _Kept(kept.num_done, floor, kept.keys[stays], kept.low[stays], kept.high[stays])
        if len(kept.keys) <= room:
            return kept
        found = self._exact(kept)  # ties, or next to it: told apart by their exact logits and by their nodes
        if len(found.logits) == self.limit:
            floor = max(floor, float(found.logits[-1]))
        return _Kept(kept.num_done, floor, self._filter.recorded.space.keys(found.pairs), found.logits, found.logits)


@dataclass(frozen=True, eq=False)
class _Kept:
    """What a search holds after a step; replaced as one, so that an interrupt finds a whole one."""

    num_done: int
    floor: float
    keys: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def _too_many() -> OptionError:
    return OptionError(f"more than {MAX_LINKS:,} pairs pass this rule; name a stricter one, or --top K.")


class CandidateFilter:
    """Which cells are candidates: pairs of the graph without a recorded edge.

    Args:
        recorded: all recorded edges.
        ends: the nodes between which links are looked for.
    """

    def __init__(self, recorded: KnownPairs, ends: Ends) -> None:
        self.recorded = recorded
        self._known = np.sort(recorded.space.keys(recorded.pairs))
        n = recorded.space.num_nodes
        self.in_first, self.in_second = (_mask(nodes, n) for nodes in (ends.first, ends.second))

    def __call__(self, cells: Survivors) -> Survivors:
        u, v = cells.source, cells.target
        space = self.recorded.space
        keep = u != v
        if space.sides is not None:
            keep = space.is_admissible(space.canonical(np.column_stack([u, v])))
        keys = self.keys(cells)
        if len(self._known):
            place = np.minimum(np.searchsorted(self._known, keys), len(self._known) - 1)
            keep &= self._known[place] != keys
        return Survivors(u[keep], v[keep], cells.low[keep], cells.high[keep])

    def between(self, u: Nodes, v: Nodes) -> NDArray[np.bool_]:
        """Shape (cells,): whether a cell lies between the ends."""
        wanted = self.in_first[u] & self.in_second[v]
        if not self.recorded.space.directed:
            wanted |= self.in_second[u] & self.in_first[v]
        return wanted

    def keys(self, cells: Survivors) -> NDArray[np.int64]:
        """Shape (cells,): keys of the canonical pairs."""
        space = self.recorded.space
        return space.keys(space.canonical(np.column_stack([cells.source, cells.target])))

    def pairs(self, keys: NDArray[np.int64]) -> Pairs:
        """Shape (keys, 2): the inverse of `keys`."""
        return np.column_stack(np.divmod(keys, np.int64(self.recorded.space.num_nodes)))


def _mask(nodes: Nodes | None, num_nodes: int) -> NDArray[np.bool_]:
    mask = np.full(num_nodes, nodes is None)
    if nodes is not None:
        mask[nodes] = True
    return mask


def _parts(
    scorer: Scorer, recorded: KnownPairs, ends: Ends, max_cells: int, limit: int, candidates: CandidateFilter
) -> "list[Tiles | _Blocks]":
    """Rectangles that hold each pair once; blocks of all pairs where the scorer gives no bounds, or not for (v, u)."""
    space = recorded.space
    rising = MonotoneProducts.of(scorer)
    is_undirected = not space.directed and space.sides is None
    if rising is None or (is_undirected and not rising.is_symmetric):
        return [_Blocks(scorer, recorded, ends, max_cells, limit, candidates)]
    first, second = candidates.in_first, candidates.in_second
    both = first & second
    rectangles = [(first, second)]
    triangles: list[NDArray[np.bool_]] = []
    if is_undirected:
        rectangles = [(first & ~second, second), (both, second & ~first)]
        triangles = [both]
    elif space.sides is not None:
        a, b = (np.zeros(space.num_nodes, dtype=np.bool_) for _ in space.sides)
        a[: space.sides[0]] = b[space.sides[0] : sum(space.sides)] = True
        rectangles = [(a & first, b & second), (a & second & ~first, b & first), (a & both, b & first & ~second)]
    return [
        Tiles(rising, np.flatnonzero(sources), np.flatnonzero(targets), is_triangle=is_triangle, max_cells=max_cells)
        for sources, targets, is_triangle in (
            *((*each, False) for each in rectangles),
            *((each, each, True) for each in triangles),
        )
        if sources.any() and targets.any()
    ]


class _Blocks:
    """All pairs in row order, for any scorer; the same methods as `Tiles`, without bounds."""

    def __init__(
        self,
        scorer: Scorer,
        recorded: KnownPairs,
        ends: Ends,
        max_cells: int,
        limit: int,
        candidates: CandidateFilter,
    ) -> None:
        self._scorer, self._recorded, self._limit, self._candidates = scorer, recorded, limit, candidates
        self._has_ends = ends.first is not None or ends.second is not None
        self._max_cells = max_cells
        self.cells = np.array([block.admissible.size for block in self._blocks()], dtype=np.int64)
        self.bounds = np.full(len(self.cells), np.inf)
        self.num_computed = 0
        self._at, self._rest = 0, self._blocks()

    def survivors(self, tile: int, floor: float) -> Survivors:
        """As `Tiles.survivors`; recorded edges and pairs between other ends are not among them."""
        if tile < self._at:
            self._at, self._rest = 0, self._blocks()
        while True:
            block = next(self._rest)
            self._at += 1
            if self._at > tile:
                break
        candidates = self._recorded.absent_cells(block)
        if self._has_ends:
            (u, v), first, second = (block.rows, block.columns), self._candidates.in_first, self._candidates.in_second
            wanted = np.logical_and.outer(first[u], second[v])
            if not self._recorded.space.directed:
                wanted |= np.logical_and.outer(second[u], first[v])
            candidates &= wanted
            if not candidates.any():
                return NO_CELLS
        logits = self._scorer.block(block.rows, block.columns)
        self.num_computed += logits.size
        if not np.isfinite(logits).all():
            raise NonFiniteScores("a logit is NaN or infinite; the run's weights are damaged, fit it again.")
        # One float32 below the float64 floor: rounding never moves a pair of the answer further than that.
        candidates &= logits >= np.nextafter(np.float32(floor), np.float32(-np.inf))
        passing = logits[candidates]
        if len(passing) > self._limit:  # a first block: its own best `limit` pairs are all that can stay
            smallest = np.partition(passing, -self._limit)[-self._limit]
            candidates &= logits >= np.nextafter(smallest, np.float32(-np.inf))
        row, column = np.nonzero(candidates)
        logit = logits[row, column]
        low, high = (np.nextafter(logit, np.float32(end)).astype(np.float64) for end in (-np.inf, np.inf))
        return Survivors(row + block.rows.start, column + block.columns.start, low, high)

    def _blocks(self) -> Iterator[Block]:
        return self._recorded.space.blocks(max_cells=self._max_cells)
