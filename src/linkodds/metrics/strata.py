"""Strata of the non-edges: what may rank high is looked at closely, the rest by a thin sample, every size known exactly.

    common neighbour    pairs that share a neighbour in the message graph: all of them. Where there are more than can be
                        scored, only neighbours up to a degree count, the highest that keeps them within bounds
    high degrees        of the others, those with the largest degree products (at most a hundredth of all pairs, and twenty
                        times what is scored of them): all, or a dense sample
    top of the list     the best by the very logits that are evaluated: all (`with_top`, after a search over all pairs)
    rest                a thin sample

No stratum looks at which edges are held out: non-edges are dealt out by the message graph, and by logits, which are given.
So each sample is uniform in its stratum, a non-edge that was scored stands for size / scored of them (Horvitz and Thompson,
JASA 47, 1952), and weighted counts are unbiased, whatever the strata are worth.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.graph.split import adjacency
from linkodds.metrics.non_edges import NonEdges, Stratum, degrees_of, draw_non_edges
from linkodds.pairs import KnownPairs, Pairs, PairSpace

NEAR, HIGH, TOP, REST = "common neighbour", "high degrees", "top of the list", "rest"
HIGH_SHARE = 0.01
"""Of all pairs at most: those with the largest degree products."""
HIGH_FACTOR = 20
"""So many times more such pairs than are scored at most."""
_PATHS_AT_A_TIME = 1 << 22
Keys = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Strata:
    """How non-edges are dealt out; `draw_strata` makes it.

    Args:
        non_edges: stratified, without a stratum of the model's own top.
        near: shape (pairs,), sorted keys of the pairs with a common neighbour.
        degrees: degree + 1 of every node as a source and as a target.
        smallest_product: of the high degrees; None where there is no such stratum.
        largest_degree: of the neighbours that count; None where all do.
    """

    non_edges: NonEdges
    near: Keys
    degrees: tuple[Keys, Keys]
    smallest_product: int | None
    largest_degree: int | None

    def of_pairs(self, pairs: Pairs) -> NDArray[np.str_]:
        """Shape (pairs,): the name of the stratum of each non-edge."""
        keys = self.non_edges.known.space.keys(pairs)
        is_high = np.zeros(len(pairs), dtype=np.bool_)
        if self.smallest_product is not None:
            is_high = self.degrees[0][pairs[:, 0]] * self.degrees[1][pairs[:, 1]] >= self.smallest_product
        return np.where(_among(keys, self.near), NEAR, np.where(is_high, HIGH, REST))

    def with_top(self, best: Pairs) -> NonEdges:
        """The same with the best non-edges by some logits as a stratum of their own, all scored.

        The samples were drawn without looking at logits, so what is left of each is a uniform sample of what is left of
        its stratum. Where nothing would be left to stand for the rest of a stratum, there is no such stratum.

        Args:
            best: shape (pairs, 2), as a search over all pairs with the logits that are evaluated finds them; at least one.
        """
        known = self.non_edges.known
        best_keys, labels = np.sort(known.space.keys(best)), self.of_pairs(best)
        strata = [Stratum(TOP, len(best), best)]
        for stratum in self.non_edges.strata:
            assert stratum.sample is not None
            left = stratum.sample[~_among(known.space.keys(stratum.sample), best_keys)]
            size = stratum.size - int(np.count_nonzero(labels == stratum.name))
            if size and not len(left):
                return self.non_edges
            if size:
                strata.append(Stratum(stratum.name, size, left))
        return NonEdges(known, strata=tuple(strata))


def draw_strata(known: KnownPairs, train: Pairs, count: int, rng: np.random.Generator) -> Strata:
    """Deal the non-edges into strata and draw about `count` of them: half near, a quarter of high degrees, the rest thin.

    What the first two do not need goes to the rest.

    Args:
        known: the recorded edges.
        train: shape (edges, 2), canonical: the message graph.
        count: how many non-edges to score, at least 1; a few more where a stratum would else be left out.
        rng: source of the draws.
    Example:
        >>> ring = np.array([[i, i + 1] for i in range(9)] + [[0, 9]])
        >>> strata = draw_strata(KnownPairs(PairSpace(10), ring), ring, 20, np.random.default_rng(0)).non_edges.strata
        >>> [(stratum.name, stratum.size, len(stratum.sample)) for stratum in strata]
        [('common neighbour', 10, 10), ('rest', 25, 10)]
    """
    space, degrees = known.space, degrees_of(train, known.space)
    known_keys = np.sort(space.keys(known.pairs))
    near, largest_degree = _near(train, space, max(count // 2, 1))
    near = near[~_among(near, known_keys)]
    near = near[~known.touches_nodes(_pairs_of(near, space))]
    strata = [Stratum(NEAR, len(near), _pairs_of(near, space))] if len(near) else []

    smallest_product, size, high = _high(known, known_keys, near, degrees, max(count // 4, 1), rng)
    if high is not None:
        strata.append(Stratum(HIGH, size, high))
    rest_size = known.num_absent - sum(stratum.size for stratum in strata)
    frame = Strata(NonEdges(known), near, degrees, smallest_product if high is not None else None, largest_degree)
    if rest_size:
        wanted = max(count - sum(stratum.num_scored for stratum in strata), count // 4, 1)
        drawn = min(known.num_absent, -(-wanted * known.num_absent // rest_size))
        while True:
            sample = draw_non_edges(known, drawn, rng).sample
            assert sample is not None
            rest = sample[frame.of_pairs(sample) == REST]
            if len(rest):
                break
            drawn = min(known.num_absent, 2 * drawn)
        strata.append(Stratum(REST, rest_size, rest))
    non_edges = NonEdges(known, strata=tuple(strata))
    return Strata(non_edges, near, degrees, frame.smallest_product, largest_degree)


def _near(train: Pairs, space: PairSpace, most: int) -> tuple[Keys, int | None]:
    """Sorted keys of admissible pairs with a common neighbour, and the largest degree that counts as one."""
    if space.bipartite or not len(train):  # nodes with a common neighbour are on one side
        return np.empty(0, dtype=np.int64), None
    graph = adjacency(train, space).tocsr()
    graph = ((graph + graph.T) > 0).astype(np.float32).tocsr()
    degree = np.diff(graph.indptr).astype(np.int64)
    paths = degree * (degree - 1) // (1 if space.directed else 2)
    order = np.argsort(degree, kind="stable")
    within = np.cumsum(paths[order]) <= most
    largest = None
    if not within.all():
        stop = int(np.argmin(within))  # the first node too many: neither it nor any of its degree
        largest = int(degree[order[stop]]) - 1
        graph = graph[:, np.flatnonzero(degree <= largest)]
    keys = [_joined(graph, rows, space) for rows in _blocks(graph)]
    return np.sort(np.concatenate(keys)) if keys else np.empty(0, dtype=np.int64), largest


def _blocks(graph: sp.csr_array) -> Iterator[slice]:
    """Slices of rows with about _PATHS_AT_A_TIME paths of length two each."""
    by_column = np.asarray(graph.sum(axis=0)).ravel()
    paths = np.cumsum(graph @ by_column)
    num_rows, start = len(paths), 0
    while start < num_rows:
        done = float(paths[start - 1]) if start else 0.0
        stop = max(start + 1, int(np.searchsorted(paths, done + _PATHS_AT_A_TIME, side="right")))
        yield slice(start, stop)
        start = stop


def _joined(graph: sp.csr_array, rows: slice, space: PairSpace) -> Keys:
    """Keys of the pairs of a block of rows that a path of length two joins."""
    product = (graph[rows] @ graph.T).tocoo()
    pairs = np.column_stack([product.row.astype(np.int64) + rows.start, product.col.astype(np.int64)])
    keep = pairs[:, 0] != pairs[:, 1] if space.directed else pairs[:, 0] < pairs[:, 1]
    return space.keys(pairs[keep])


def _high(
    known: KnownPairs,
    known_keys: Keys,
    near: Keys,
    degrees: tuple[Keys, Keys],
    count: int,
    rng: np.random.Generator,
) -> tuple[int, int, Pairs | None]:
    """Smallest degree product, number and (a sample of) the non-edges of high degrees that are not near."""
    space = known.space
    products = _Products.of(space, degrees, known.nodes)
    smallest = products.smallest(min(HIGH_SHARE * space.num_pairs, HIGH_FACTOR * count))
    reach = products.reach(smallest)
    total = int(reach.sum())

    def is_high(pairs: Pairs) -> NDArray[np.bool_]:
        return degrees[0][pairs[:, 0]] * degrees[1][pairs[:, 1]] >= smallest

    of_nodes = (degrees[0] * degrees[1])[products.sources]
    loops = 0 if space.bipartite else int(np.count_nonzero(of_nodes >= smallest))
    size = (total - loops) // products.times_listed
    size -= int(np.count_nonzero(is_high(known.pairs) & ~known.touches_nodes(known.pairs)))
    size -= int(np.count_nonzero(is_high(_pairs_of(near, space))))
    if size <= 0:
        return smallest, 0, None
    starts = np.concatenate([[0], np.cumsum(reach)])

    def fresh(places: Keys) -> Keys:
        pairs = products.pairs(places, starts)
        if products.times_listed == 2:  # once is enough
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        elif not space.bipartite:
            pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        keys = np.sort(space.keys(pairs))  # what is looked up in order is looked up fast
        return keys[~_among(keys, known_keys) & ~_among(keys, near)]

    if size <= 2 * count:
        runs = (np.arange(at, min(at + _PATHS_AT_A_TIME, total)) for at in range(0, total, _PATHS_AT_A_TIME))
        keys = np.sort(np.concatenate([fresh(places) for places in runs]))
        return smallest, size, _pairs_of(keys, space)
    keys = np.empty(0, dtype=np.int64)
    while len(keys) < count:  # dropping repeats and drawing on keeps the set uniform
        missing = min(count - len(keys), _PATHS_AT_A_TIME)
        drawn = fresh(rng.integers(0, total, size=2 * products.times_listed * missing + 100))
        keys = np.sort(np.concatenate([keys, drawn]))
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    return smallest, size, _pairs_of(np.sort(rng.permutation(keys)[:count]), space)


@dataclass(frozen=True, eq=False)
class _Products:
    """Ordered pairs of nodes by the product of their degrees + 1, counted without listing them."""

    source: Keys
    sources: Keys
    targets: Keys  # by falling degree
    falling: Keys
    times_listed: int  # every pair

    @staticmethod
    def of(space: PairSpace, degrees: tuple[Keys, Keys], without: Keys | None = None) -> "_Products":
        every = np.arange(space.num_nodes)
        sources, targets = every, every
        if space.sides is not None:
            sources, targets = every[: space.sides[0]], every[space.sides[0] : sum(space.sides)]
        if without is not None:
            sources, targets = (np.setdiff1d(nodes, without) for nodes in (sources, targets))
        targets = targets[np.argsort(-degrees[1][targets], kind="stable")]
        twice = space.sides is None and not space.directed
        return _Products(degrees[0][sources], sources, targets, degrees[1][targets], 2 if twice else 1)

    def reach(self, smallest: int) -> Keys:
        """Shape (sources,): targets that a source has such a product with, the first of `targets`."""
        needed = -(-smallest // self.source)
        return np.searchsorted(-self.falling, -needed, side="right").astype(np.int64)

    def smallest(self, most: float) -> int:
        """The smallest product that at most about `most` pairs have or exceed, by bisection."""
        low, high = 1, int(self.source.max()) * int(self.falling[0]) + 1
        while low < high:
            middle = (low + high) // 2
            if self.reach(middle).sum() <= self.times_listed * most:
                high = middle
            else:
                low = middle + 1
        return low

    def pairs(self, places: Keys, starts: Keys) -> Pairs:
        """Shape (places, 2): ordered pairs, numbered source by source."""
        row = np.searchsorted(starts, places, side="right") - 1
        return np.column_stack([self.sources[row], self.targets[places - starts[row]]])


def _pairs_of(keys: Keys, space: PairSpace) -> Pairs:
    return np.column_stack(np.divmod(keys, space.num_nodes))


def _among(keys: Keys, ordered: Keys) -> NDArray[np.bool_]:
    """Shape (keys,): which are among the sorted ones."""
    if not len(ordered):
        return np.zeros(len(keys), dtype=np.bool_)
    place = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return np.asarray(ordered[place] == keys)
