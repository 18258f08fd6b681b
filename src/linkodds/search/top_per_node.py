"""Partners: for each node the best other ends of new links, exactly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import NonFiniteScores, OptionError
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scorers.scoring import Scorer
from linkodds.search.pair_search import ALL, MAX_LINKS, CandidateFilter, Ends
from linkodds.search.tiles import NO_CELLS, MonotoneProducts, Nodes, Survivors, Tiles


@dataclass(frozen=True, eq=False)
class Partners:
    """Partners of nodes: by node, then in falling order of the logit; equal logits in order of the pairs.

    Args:
        nodes: shape (links,), int64, the node that the partner is for.
        partners: shape (links,), int64.
        logits: shape (links,), float64, of the canonical pair.
    """

    nodes: Nodes
    partners: Nodes
    logits: NDArray[np.float64]


def find_partners(
    scorer: Scorer,
    recorded: KnownPairs,
    *,
    per_node: int,
    ends: Ends = ALL,
    max_cells: int = 1 << 20,
    on_block: Callable[[float], None] | None = None,
    on_rows: Callable[[Nodes, Partners], None] | None = None,
) -> Partners:
    """For each node of `ends.first` its `per_node` best partners in `ends.second`, no recorded edge among them.

    A pair is listed twice where each end is among the best of the other. In a directed graph a node is the source; in a
    bipartite one the nodes of both sides have partners.

    Args:
        scorer: logits of pairs.
        recorded: all recorded edges; they are left out.
        per_node: how many for each node, at least 1; fewer where there are fewer.
        ends: whose partners, and who may be one.
        max_cells: pairs in a tile.
        on_block: called with the share of the nodes done.
        on_rows: called with some nodes and their partners, as these are known.
    Raises:
        OptionError: `per_node` below 1, or more than 5,000,000 links in all.
        NonFiniteScores: a logit is NaN or infinite.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.scorers.scoring import InnerProductScorer
        >>> z = np.array([[1], [2], [3], [4]], dtype=np.float32)
        >>> known = KnownPairs(PairSpace(4), np.array([[2, 3]]))
        >>> found = find_partners(InnerProductScorer(z, z, 1.0, 0.0), known, per_node=1)
        >>> found.nodes.tolist(), found.partners.tolist(), found.logits.tolist()
        ([0, 1, 2, 3], [3, 3, 1, 1], [4.0, 8.0, 6.0, 8.0])
    """
    candidates = CandidateFilter(recorded, ALL)
    n = recorded.space.num_nodes
    first, second = (np.arange(n) if nodes is None else np.unique(nodes) for nodes in (ends.first, ends.second))
    if per_node < 1 or per_node * len(first) > MAX_LINKS:
        raise OptionError(
            f"--per-node {per_node:,} for {len(first):,} nodes; it takes 1 or more, and {MAX_LINKS:,} links in all."
        )
    lists, done = [], 0
    for nodes, survivors in _by_rows(scorer, recorded, candidates, first, second, per_node, max_cells):
        lists.append(_best(scorer, candidates, survivors, per_node))
        done += len(nodes)
        if on_rows is not None:
            on_rows(nodes, lists[-1])
        if on_block is not None:
            on_block(done / len(first))
    if not lists:
        return Partners(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
    of_nodes = np.concatenate([part.nodes for part in lists])
    partners, logits = (
        np.concatenate([part.partners for part in lists]),
        np.concatenate([part.logits for part in lists]),
    )
    order = np.argsort(of_nodes, kind="stable")
    return Partners(of_nodes[order], partners[order], logits[order])


def _by_rows(
    scorer: Scorer,
    recorded: KnownPairs,
    candidates: CandidateFilter,
    first: Nodes,
    second: Nodes,
    per_node: int,
    max_cells: int,
) -> Iterator[tuple[Nodes, Survivors]]:
    """Some of the nodes at a time, and the cells that may be among their best."""
    space = recorded.space
    rising = MonotoneProducts.of(scorer)
    sides: list[tuple[Nodes, Nodes, bool]] = [(first, second, False)]
    if space.sides is not None:
        ends = np.cumsum(np.array(space.sides))  # side A comes first, nodes of no side last
        first_a, first_b, _ = np.split(first, np.searchsorted(first, ends))
        second_a, second_b, _ = np.split(second, np.searchsorted(second, ends))
        sides = [(first_a, second_b, False), (first_b, second_a, True)]
    for nodes, partners, is_turned in sides:
        if not len(nodes) or not len(partners):
            continue
        if rising is None or not (space.directed or space.sides is not None or rising.is_symmetric):
            yield from _from_blocks(scorer, candidates, nodes, partners, per_node, max_cells, is_turned)
        else:
            turned = rising.transposed() if is_turned else rising
            tiles = Tiles(turned, nodes, partners, is_triangle=False, max_cells=max_cells)
            yield from _from_tiles(scorer, tiles, candidates, per_node)


def _from_tiles(
    scorer: Scorer, tiles: Tiles, candidates: CandidateFilter, per_node: int
) -> Iterator[tuple[Nodes, Survivors]]:
    by_row = np.argsort(tiles.places[:, 0], kind="stable")  # falling bounds within each row of tiles
    for of_row in np.split(by_row, np.flatnonzero(np.diff(tiles.places[by_row, 0])) + 1):
        nodes = tiles.rows_of(int(of_row[0]))
        place = np.full(candidates.recorded.space.num_nodes, -1)
        place[nodes] = np.arange(len(nodes))
        floor = np.full(len(nodes), -np.inf)
        # A floor for each row from a few columns: without it, the first tile would be kept whole.
        few = candidates(tiles.survivors(int(of_row[0]), floor, most=(None, max(64, 4 * per_node))))
        floor = _raised(few, place[few.source], floor, per_node)[1]
        kept = NO_CELLS
        room = 2 * per_node * len(nodes) + 1000
        for tile in of_row.tolist():
            if tiles.bounds[tile] < floor.min():
                break
            kept = _joined(kept, candidates(tiles.survivors(tile, floor)))
            kept, floor = _raised(kept, place[kept.source], floor, per_node)
            if len(kept.low) > room:  # ties, or next to it
                best = _best(scorer, candidates, kept, per_node)
                kept = Survivors(best.nodes, best.partners, best.logits, best.logits)
        yield nodes, kept


def _joined(a: Survivors, b: Survivors) -> Survivors:
    return Survivors(
        np.concatenate([a.source, b.source]),
        np.concatenate([a.target, b.target]),
        np.concatenate([a.low, b.low]),
        np.concatenate([a.high, b.high]),
    )


def _raised(
    cells: Survivors, row: NDArray[np.int64], floor: NDArray[np.float64], per_node: int
) -> tuple[Survivors, NDArray[np.float64]]:
    """The cells that may still be among the best of their row, and the row's floor: its k-th largest lower bound."""
    order = np.lexsort((-cells.low, row))
    rank = _rank_in_group(row[order])
    last = order[rank == per_node - 1]
    floor = floor.copy()
    floor[row[last]] = np.maximum(floor[row[last]], cells.low[last])
    stays = cells.high >= floor[row]
    return Survivors(cells.source[stays], cells.target[stays], cells.low[stays], cells.high[stays]), floor


def _rank_in_group(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each entry among those of its group, from 0; equal groups stand together."""
    places = np.arange(len(groups))
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    return places - np.repeat(starts, np.diff(starts, append=len(groups)))


def _best(scorer: Scorer, candidates: CandidateFilter, cells: Survivors, per_node: int) -> Partners:
    pairs: Pairs = candidates.pairs(candidates.keys(cells))
    logits = scorer.logits(pairs)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -logits, cells.source))
    order = order[_rank_in_group(cells.source[order]) < per_node]
    return Partners(cells.source[order], cells.target[order], logits[order])


def _from_blocks(
    scorer: Scorer,
    candidates: CandidateFilter,
    nodes: Nodes,
    partners: Nodes,
    per_node: int,
    max_cells: int,
    is_turned: bool,
) -> Iterator[tuple[Nodes, Survivors]]:
    """For any scorer: whole rows. As a list of pairs, so that a scorer may count from the few nodes, whichever end they are."""
    space = candidates.recorded.space
    step = max(1, max_cells // len(partners))
    for some in np.split(nodes, np.arange(step, len(nodes), step)):
        node, partner = np.repeat(some, len(partners)), np.tile(partners, len(some))
        cells = candidates(Survivors(node, partner, np.empty(len(node)), np.empty(len(node))))
        ends = (cells.target, cells.source) if is_turned else (cells.source, cells.target)
        logits = scorer.logits(space.canonical(np.column_stack(ends)))
        if not np.isfinite(logits).all():
            raise NonFiniteScores("a logit is NaN or infinite; the run's weights are damaged, fit it again.")
        # Beside other pairs the last bits may be others: one float32 is more than that.
        low, high = (
            np.nextafter(logits.astype(np.float32), np.float32(end)).astype(np.float64) for end in (-np.inf, np.inf)
        )
        place = np.searchsorted(some, cells.source)
        nothing = np.full(len(some), -np.inf)
        yield some, _raised(Survivors(cells.source, cells.target, low, high), place, nothing, per_node)[0]
