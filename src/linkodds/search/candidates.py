"""Candidates: the pairs that are worth an exact logit where scoring all pairs takes too long, and what is lost by it.

Candidates are the best pairs by each of a few quantities that are cheap for all pairs: weighted counts of walks of two and
three steps, streamed from sparse products, the same divided by the root of both degrees (else the dense parts of a graph
take all places), and inner products of vectors of nodes, searched in tiles. What a list made of them lacks is measured on
this graph: a few rows of the pair matrix are scored whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import NonFiniteScores
from linkodds.metrics.intervals import poisson_interval
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scorers.baselines import BASELINE_SCORERS, PathScorer
from linkodds.scorers.scoring import Embeddings, Scorer
from linkodds.search.pair_search import ALL, CandidateFilter, Ends
from linkodds.search.tiles import Survivors
from linkodds.search.walks import PRODUCTS_AT_A_TIME, num_walks, walks, walks_through

WALKS = ("resource-allocation", "l3")
EACH, FEWEST_EACH, SHARE_EACH = 10, 10_000, 0.0015
"""So many candidates by each quantity for one link of the list, so many at least, and such a share of all pairs: the time is
then about the same share of that of all pairs, however large the graph."""
MOST_EACH = 2_000_000
MAX_WALKS = 1_000_000_000
"""Walks that one count may take: beyond, those through the nodes of the highest degrees are left out."""
SAMPLED_ROWS, FEWEST_ROWS = 0.02, 50
_SAMPLED = 20_000
"""Pairs from which it is guessed how large the best products are."""


@dataclass(frozen=True)
class Recall:
    """How much of a list was found, by rows of the pair matrix that were scored whole.

    Args:
        num_listed: links of the list.
        num_rows: rows that were sampled.
        num_scored: pairs in them.
        num_missed: of these, pairs that belong on the list and are not there.
        value: listed / (listed + missed in all), the latter estimated as num_missed / share of the rows.
        low: lower end of a 95 % interval of `value`: with the upper end of the Poisson interval of num_missed.
        high: upper end: with the lower end of that interval.
    """

    num_listed: int
    num_rows: int
    num_scored: int
    num_missed: int
    value: float
    low: float
    high: float

    def sentence(self) -> str:
        """What to tell the user.

        Example:
            >>> Recall(1000, 50, 60_000, 0, 1.0, 0.87, 1.0).sentence()
            'of the pairs that belong on the list it holds an estimated 100 % (87 % to 100 %): 50 rows of the pair matrix,
            60,000 pairs, were scored whole, and 0 pairs were missing'
        """
        were = "pair was" if self.num_missed == 1 else "pairs were"
        return (
            f"of the pairs that belong on the list it holds an estimated {100 * self.value:.3g} % ({100 * self.low:.3g} % to "
            f"{100 * self.high:.3g} %): {self.num_rows:,} rows of the pair matrix, {self.num_scored:,} pairs, were scored "
            f"whole, and {self.num_missed:,} {were} missing"
        )


def candidate_pairs(
    graph: sp.csr_array,
    recorded: KnownPairs,
    vectors: Sequence[tuple[Embeddings, Embeddings]],
    *,
    ends: Ends = ALL,
    num_each: int,
) -> Pairs:
    """The `num_each` best pairs by each quantity, without recorded edges; shape (pairs, 2), canonical, in row order.

    Args:
        graph: adjacency of the message graph.
        recorded: all recorded edges.
        vectors: source and target vectors, shape (nodes, dim) each, whose inner products say something of links.
        ends: the nodes between which links are looked for.
        num_each: at least 1.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.graph.split import adjacency
        >>> known = KnownPairs(PairSpace(5), np.array([[0, 1], [1, 2], [2, 3], [3, 4]]))
        >>> candidate_pairs(adjacency(known.pairs, known.space), known, [], num_each=9).tolist()  # not (0, 4)
        [[0, 2], [0, 3], [1, 3], [1, 4], [2, 4]]
    """
    chosen = CandidateFilter(recorded, ends)
    a: sp.csr_array = graph.astype(np.float64)
    keys = [found for name in WALKS for found in _best_by_walks(name, a, chosen, ends, num_each)]
    keys += [_best_by_products(source, target, chosen, ends, num_each) for source, target in vectors]
    return chosen.pairs(np.unique(np.concatenate(keys)))


def num_each_for(num_links: int, num_pairs: int) -> int:
    """How many candidates by each quantity a list of so many links takes in a graph of so many pairs.

    Example:
        >>> num_each_for(100, 1_000_000), num_each_for(5_000, 1_000_000), num_each_for(100, 100_000_000)
        (10000, 50000, 150000)
    """
    return min(max(EACH * num_links, FEWEST_EACH, round(SHARE_EACH * num_pairs)), MOST_EACH)


def sampled_rows(recorded: KnownPairs, ends: Ends, rng: np.random.Generator) -> NDArray[np.int64]:
    """Nodes whose rows of the pair matrix are scored whole to measure the recall."""
    rows = _rows(recorded, ends)
    count = min(len(rows), max(FEWEST_ROWS, ceil(SAMPLED_ROWS * len(rows))))
    return np.sort(rng.choice(rows, count, replace=False))


def measure_recall(
    scorer: Scorer,
    recorded: KnownPairs,
    listed: Pairs,
    *,
    ends: Ends,
    rows: NDArray[np.int64],
    lowest: float,
) -> Recall:
    """Score whole rows of the pair matrix, and count what belongs on the list and is not there.

    Args:
        scorer: of the list.
        recorded: all recorded edges.
        listed: the list, canonical.
        ends: the nodes between which links are looked for.
        rows: from `sampled_rows`.
        lowest: logit of the last of them; a pair above it belongs on the list.
    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    chosen = CandidateFilter(recorded, ends)
    keys, num_listed = recorded.space.keys(listed), len(listed)
    num_scored = num_missed = 0
    for some in np.array_split(rows, max(1, len(rows) * recorded.space.num_nodes >> 22)):
        pairs = _row_pairs(chosen, some)
        logits = scorer.logits(pairs)
        if not np.isfinite(logits).all():
            raise NonFiniteScores("a logit is NaN or infinite; the run's weights are damaged, fit it again.")
        belongs = pairs[logits > lowest]
        num_scored += len(pairs)
        num_missed += int((~np.isin(recorded.space.keys(belongs), keys)).sum())
    share = len(rows) / max(len(_rows(recorded, ends)), 1)
    few, many = (float(end) / share for end in poisson_interval(num_missed))
    if share == 1:
        few = many = num_missed

    def recall(missed: float) -> float:
        return num_listed / max(num_listed + missed, 1)

    return Recall(num_listed, len(rows), num_scored, num_missed, recall(num_missed / share), recall(many), recall(few))


def _rows(recorded: KnownPairs, ends: Ends) -> NDArray[np.int64]:
    """Nodes that can be the first end of a pair between the given ends."""
    space, chosen = recorded.space, CandidateFilter(recorded, ends)
    is_row = chosen.in_first.copy() if space.directed else chosen.in_first | chosen.in_second
    if space.sides is not None:
        is_row[space.sides[0] :] = False
    return np.flatnonzero(is_row)


def _row_pairs(chosen: CandidateFilter, rows: NDArray[np.int64]) -> Pairs:
    """All pairs whose first end is among `rows`, without recorded edges."""
    space = chosen.recorded.space
    u, v = (each.ravel() for each in np.meshgrid(rows, np.arange(space.num_nodes), indexing="ij"))
    if not space.directed:
        u, v = u[v > u], v[v > u]
    wanted = chosen.between(u, v)
    nothing = np.zeros(int(wanted.sum()))
    cells = chosen(Survivors(u[wanted], v[wanted], nothing, nothing))
    return np.column_stack([cells.source, cells.target])


def _best_by_walks(
    name: str, a: sp.csr_array, chosen: CandidateFilter, ends: Ends, num_each: int
) -> list[NDArray[np.int64]]:
    """Keys of the `num_each` pairs with the largest count, and with the largest count for their degrees.

    Pairs without a walk are not among them.
    """
    counts = BASELINE_SCORERS[name](a)
    assert isinstance(counts, PathScorer)
    roots = [1 / np.sqrt(np.maximum(np.asarray(a.sum(axis=axis)), 1.0)) for axis in (1, 0)]
    best, best_for_degrees = _Best(num_each), _Best(num_each)
    for row, column, count in walks(_without_hubs(counts), _rows(chosen.recorded, ends)):
        for_degrees = count * roots[0][row] * roots[1][column]
        keep = (count > best.floor) | (for_degrees > best_for_degrees.floor)
        if not chosen.recorded.space.directed:
            keep &= column > row
        keep[keep] = chosen.between(row[keep], column[keep])
        cells = chosen(Survivors(row[keep], column[keep], count[keep], for_degrees[keep]))
        keys = chosen.keys(cells)
        best.add(keys, cells.low)
        best_for_degrees.add(keys, cells.high)
    return [best.found(), best_for_degrees.found()]


def _best_by_products(
    source: Embeddings, target: Embeddings, chosen: CandidateFilter, ends: Ends, num_each: int
) -> NDArray[np.int64]:
    """Keys of the `num_each` pairs with the largest inner product, as float32 has it: candidates need no more.

    What can be left out from the first block on is guessed from a sample; where that was too much, all is done again.
    """
    space, rows = chosen.recorded.space, _rows(chosen.recorded, ends)
    first_column = 0 if space.sides is None else space.sides[0]
    rng = np.random.default_rng(0)
    u, v = rng.choice(rows, _SAMPLED), rng.integers(first_column, space.num_nodes, _SAMPLED)
    sampled = np.einsum("pd,pd->p", source[u], target[v])[(u != v) & chosen.between(u, v)]
    share = min(2 * num_each / max(len(rows) * (space.num_nodes - first_column) / 2, 1), 1.0)
    guess = float(np.quantile(sampled, 1 - share)) if len(sampled) else -np.inf
    step = max(1, PRODUCTS_AT_A_TIME // 4 // space.num_nodes)
    found = np.empty(0, dtype=np.int64)
    for floor in (guess, -np.inf):
        best = _Best(num_each, floor)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            from_column = first_column if space.directed or space.sides is not None else int(some[0])
            products = source[some] @ target[from_column:].T
            row, column = np.divmod(np.flatnonzero(products.ravel() > best.floor), products.shape[1])
            u, v = some[row], column + from_column
            if not space.directed:
                keep = v > u
                row, column, u, v = row[keep], column[keep], u[keep], v[keep]
            wanted = chosen.between(u, v)
            values = products[row[wanted], column[wanted]].astype(np.float64)
            cells = chosen(Survivors(u[wanted], v[wanted], values, values))
            best.add(chosen.keys(cells), cells.low)
        found = best.found()
        if len(found) == num_each:
            break
    return found


class _Best:
    """The keys with the largest values above `floor` among those added so far."""

    def __init__(self, num: int, floor: float = 0.0) -> None:
        self.num, self.floor = num, floor
        self._keys, self._values = np.empty(0, dtype=np.int64), np.empty(0)

    def add(self, keys: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        above = values > self.floor
        self._keys, self._values = np.append(self._keys, keys[above]), np.append(self._values, values[above])
        if len(self._keys) > 2 * self.num:
            self._cut()
            self.floor = float(self._values.min())

    def found(self) -> NDArray[np.int64]:
        self._cut()
        return self._keys

    def _cut(self) -> None:
        if len(self._keys) > self.num:
            last = np.partition(self._values, -self.num)[-self.num]
            above, ties = np.flatnonzero(self._values > last), np.flatnonzero(self._values == last)
            ties = ties[np.argsort(self._keys[ties], kind="stable")]
            best = np.concatenate([above, ties[: self.num - len(above)]])
            self._keys, self._values = self._keys[best], self._values[best]


def _without_hubs(counts: PathScorer) -> PathScorer:
    """The same without walks through the nodes of the highest degrees, where there are too many walks."""
    first, last, _ = walks_through(counts)
    size = np.maximum(first, last)
    sizes = np.unique(size)[::-1]
    most = next((float(each) for each in sizes if num_walks(counts, float(each)) <= MAX_WALKS), 0.0)
    if most >= sizes[0]:
        return counts
    stays = sp.diags_array((size <= most).astype(np.float64))
    right, middle = sp.csr_array(stays @ counts.right), None
    right.eliminate_zeros()
    if counts.middle is not None:
        middle = sp.csr_array(stays @ counts.middle)
        middle.eliminate_zeros()
    return PathScorer(counts.left, middle, right)
