"""Structural counts: what a message graph says of a pair, for rows of the pair matrix, in bounded memory, exact.

Walks are counted by sparse products from a few sources at a time, never through a matrix of all pairs. Weights of the
nodes on a walk are rounded to a grid on which every sum is exact in float64, so a pair has the same bits in any block,
and from either end where the graph has no direction. Cross-side pairs of a bipartite graph have no common neighbour;
their walks of length 3 and 5 carry what the others carry elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from linkodds.errors import BrokenRun
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.structural.landmarks import Landmarks
from linkodds.models.structural.node_inputs import (
    FEATURE_HOPS,
    FEATURE_RANKS,
    ROLES,
    feature_directions,
    node_roles,
    normalized,
    smoothed,
)
from linkodds.models.structural.spectral import Embedding, Floats, low_rank
from linkodds.models.structural.walk_counts import WALKS, WalkCounts
from linkodds.pairs import Pairs, PairSpace

RANKS = (8, 32, 128)
CUBIC_RANK = 64
RESTART = 0.15
CUT_OFF = 7.0
"""The "distance" of a pair that no path connects."""
_EXACT_STEPS = 5
_TILE, _TILE_OF_PAIRS = 1 << 16, 1 << 17
"""Cells to count at a time so that what is held stays in the cache; twice as many where few of them are looked at."""

_SPECTRAL = tuple(f"{name}_{rank}" for name in ("adjacency", "normalized") for rank in RANKS)
_FEATURES = (*(f"cosine_{hops}_{rank}" for hops in FEATURE_HOPS for rank in FEATURE_RANKS), "cosine_to_neighbors")
_PRODUCTS = {
    **{name: tuple(f"{name}_{rank}" for rank in RANKS) for name in ("adjacency", "normalized")},
    **{name: (name,) for name in ("cubic", "ppr_tail")},
    **{f"cosine_{hops}": tuple(f"cosine_{hops}_{rank}" for rank in FEATURE_RANKS) for hops in FEATURE_HOPS},
    "cosine_to_neighbors": ("cosine_to_neighbors",),
}
"""Inputs that are inner products, by their embedding."""
_FEW = 16
"""A product is taken pair by pair where fewer than one in so many cells is asked for."""
_DERIVED = (
    *("distance", "degree_product", "jaccard", "salton", "hub_promoted"),
    *("n2", "n3", "n4", "n5", "l3_per_degrees", "ppr", "is_reciprocated"),
    *("low_component", "high_component"),
)
_HOPS = ("least_hops", "most_hops")
"""Bounds from landmarks."""
INPUTS = (
    *(f"{which}_{role}" for which in ("low", "high") for role in ROLES),
    *WALKS,
    *_SPECTRAL,
    *("cubic", "ppr_tail"),
    *_DERIVED,
    *_HOPS,
)
BROAD_INPUTS = (
    *(f"{which}_{role}" for which in ("low", "high") for role in (*ROLES, "component")),
    *("ra", "w3", "l3", "s3", "s4", "s5", "distance", "degree_product", "n2", "n3", "n4", "n5", "ppr"),
    *_SPECTRAL,
    *_HOPS,
)
"""Where a pair has no short path, little tells it from others but its ends, their features, and how far apart they are."""
BROAD_FEATURE_HOPS = (0, 2)
BROAD_FEATURE_INPUTS = tuple(f"cosine_{hops}_{rank}" for hops in BROAD_FEATURE_HOPS for rank in FEATURE_RANKS)


@dataclass(frozen=True, eq=False)
class StructuralCounts:
    """Inputs of a pair from a message graph, and from node features where there are any.

    Args:
        adjacency: shape (nodes, nodes), CSR, float64, 0/1.
        space: the admissible pairs.
        roles: of each node as a source and as a target, shape (nodes, 5) each, float32, in the order of `ROLES`; twice the
            same where edges have no direction.
        embeddings: name -> adjacency, cubic, normalized, ppr_tail, and cosine_H for each number of hops and
            cosine_to_neighbors where there are features.
    """

    adjacency: sp.csr_array
    space: PairSpace
    roles: tuple[NDArray[np.float32], NDArray[np.float32]]
    embeddings: dict[str, Embedding]

    @staticmethod
    def of(
        adjacency: sp.csr_array,
        space: PairSpace,
        features: Features | None,
        rng: np.random.Generator,
        *,
        directions: Floats | None = None,
    ) -> "StructuralCounts":
        """Everything about the nodes that pairs need.

        Args:
            adjacency: of the message graph, as `Split.message_graph` gives it.
            space: the admissible pairs.
            features: or None.
            rng: of the starts of the spectral approximations.
            directions: `feature_directions` of the features, where they are there already.
        """
        a: sp.csr_array = adjacency.astype(np.float64)
        a.sort_indices()
        symmetric = not space.directed
        rank = min(RANKS[-1], space.num_nodes)
        plain = low_rank(a, rank, rng, symmetric=symmetric)
        normal_matrix = normalized(a)
        normal = low_rank(normal_matrix, rank, rng, symmetric=symmetric)
        kept = (1 - RESTART) * normal.values
        embeddings = {
            "adjacency": plain.weighted(plain.values),
            "cubic": plain.weighted((plain.values[:CUBIC_RANK] / max(abs(plain.values[0]), 1e-9)) ** 3),
            "normalized": normal.weighted(normal.values),
            "ppr_tail": normal.weighted(RESTART * kept ** (_EXACT_STEPS + 1) / (1 - kept)),
        }
        if features is not None:
            directions = feature_directions(features, rng) if directions is None else directions
            embeddings |= smoothed(directions, normal_matrix, symmetric=symmetric)
        roles = node_roles(a)
        return StructuralCounts(a, space, (roles, node_roles(a.T.tocsr()) if space.directed else roles), embeddings)

    @property
    def names(self) -> tuple[str, ...]:
        """All inputs, in the order of the columns that trees split on."""
        return INPUTS + (_FEATURES if self.has_features else ())

    @property
    def broad_names(self) -> tuple[str, ...]:
        """The inputs that every pair gets, in the order of the columns."""
        return BROAD_INPUTS + (BROAD_FEATURE_INPUTS if self.has_features else ())

    @property
    def has_features(self) -> bool:
        """Whether there are node features."""
        return "cosine_0" in self.embeddings

    @property
    def is_complete(self) -> bool:
        """Whether every embedding is there, both sides alike."""
        names = {"adjacency", "cubic", "normalized", "ppr_tail"}
        if self.has_features:
            names |= {f"cosine_{hops}" for hops in FEATURE_HOPS} | {"cosine_to_neighbors"}
        return set(self.embeddings) == names and all(
            each.left.shape == each.right.shape for each in self.embeddings.values()
        )

    def tile_rows(self, num_columns: int) -> int:
        """How many rows to count at a time, so that what is held stays in the cache."""
        return max(1, _TILE // max(num_columns, 1))

    def tile(self, rows: NDArray[np.int64], columns: slice, wanted: NDArray[np.int64] | None = None) -> "Tile":
        """Counts of all pairs rows x columns.

        Args:
            rows: shape (rows,), node indices, any order.
            columns: of the pair matrix.
            wanted: the only columns whose cells will be asked for, counted from the first; None: all.
        """
        counts = self.walks.between(rows, columns, wanted)
        if self.space.directed:
            counts["is_reciprocated"] = self.walks.back[columns][:, rows].toarray()
        return Tile(self, rows, columns, counts)

    def tiles(self, rows: slice, columns: slice) -> Iterator[tuple[slice, NDArray[np.int64], "Tile"]]:
        """Yield (some, nodes, tile): the pairs rows x columns, a few rows at a time; `some` are their places from 0."""
        step = self.tile_rows(columns.stop - columns.start)
        for start in range(rows.start, rows.stop, step):
            nodes = np.arange(start, min(start + step, rows.stop))
            yield slice(start - rows.start, start - rows.start + len(nodes)), nodes, self.tile(nodes, columns)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All but the message graph, by name."""
        arrays: dict[str, NDArray[Any]] = {"roles_source": self.roles[0], "roles_target": self.roles[1]}
        for name, embedding in self.embeddings.items():
            arrays |= {f"{name}_left": embedding.left, f"{name}_right": embedding.right}
        return arrays

    @staticmethod
    def from_arrays(split: Split, arrays: Mapping[str, NDArray[Any]]) -> "StructuralCounts":
        """The same again.

        Args:
            split: its train edges are the message graph.
            arrays: as `to_arrays` gives them, others beside them.
        Raises:
            BrokenRun: arrays of other nodes, or with some missing.
        """
        by_side = {name.removesuffix("_left"): array for name, array in arrays.items() if name.endswith("_left")}
        embeddings = {name: Embedding(left, arrays[f"{name}_right"]) for name, left in by_side.items()}
        roles = arrays["roles_source"], arrays["roles_target"]
        for array in (*roles, *(side for each in embeddings.values() for side in (each.left, each.right))):
            check_of_nodes(array, split.space.num_nodes)
        counts = StructuralCounts(split.message_graph().astype(np.float64), split.space, roles, embeddings)
        if any(side.shape[1] != len(ROLES) for side in roles) or not counts.is_complete:
            raise BrokenRun("model.safetensors lacks what the model reads.")
        return counts

    def of_pairs(self, pairs: Pairs) -> NDArray[np.float32]:
        """Shape (pairs, inputs), float32: all inputs of the given pairs."""
        matrix = self.early_of_pairs(pairs)
        self.put_late(matrix, pairs)
        return matrix

    def early_of_pairs(self, pairs: Pairs) -> NDArray[np.float32]:
        """Shape (pairs, inputs), float32: the inputs of the given pairs without the products that broad inputs do not need.

        These are the larger half of the work; `put_late` puts them in, of those pairs that are worth it.
        """
        late = {name for each in self._late for name in _PRODUCTS[each]}
        early = tuple(name for name in self.names if name not in late)
        columns = np.array([self.names.index(name) for name in early])
        matrix = np.empty((len(pairs), len(self.names)), dtype=np.float32)
        for tile, places, cells in self.tiles_of(pairs):
            matrix[np.ix_(places, columns)] = tile.inputs(early, cells)
        return matrix

    def put_late(self, matrix: NDArray[np.float32], pairs: Pairs) -> None:
        """Put the other inputs into what `early_of_pairs` gave of these pairs: the same bits as in a tile."""
        for each in self._late:
            products = self.embeddings[each].of_pairs(pairs[:, 0], pairs[:, 1], _ranks(each))
            for name, product in zip(_PRODUCTS[each], products, strict=True):
                matrix[:, self.names.index(name)] = product

    @cached_property
    def _late(self) -> list[str]:
        """Embeddings whose products no broad input needs."""
        needed = {each for each in _PRODUCTS if any(name in self.broad_names for name in _PRODUCTS[each])} | {
            "ppr_tail"
        }
        return [each for each in _PRODUCTS if each in self.embeddings and each not in needed]

    def tiles_of(self, pairs: Pairs) -> Iterator[tuple["Tile", NDArray[np.intp], NDArray[np.int64]]]:
        """Yield (tile, places, cells): pairs by one of their ends; `places` of the pairs, and their `cells` in the tile.

        Where edges have no direction either end may be the row: as `ends_to_count` has it, or the one on the smaller side
        of a bipartite graph, so that there are few rows to count.
        """
        space, columns = self.space, slice(0, self.space.num_nodes)
        rows, others = pairs[:, 0], pairs[:, 1]
        if space.sides is not None and space.is_admissible(pairs).all():
            smaller_is_right = space.sides[1] < space.sides[0]
            columns = slice(0, space.sides[0]) if smaller_is_right else slice(space.sides[0], space.num_nodes)
            turned = (rows >= space.sides[0]) != smaller_is_right
            rows, others = np.where(turned, others, rows), np.where(turned, rows, others)
        elif not space.directed:
            turned = ends_to_count(pairs, space.num_nodes)
            rows, others = np.where(turned, others, rows), np.where(turned, rows, others)
        order = np.argsort(rows, kind="stable")
        sources, starts = np.unique(rows[order], return_index=True)
        starts = np.append(starts, len(pairs))
        step = max(1, _TILE_OF_PAIRS // max(columns.stop - columns.start, 1))
        for begin in range(0, len(sources), step):
            some = sources[begin : begin + step]
            places = order[starts[begin] : starts[min(begin + step, len(sources))]]
            column = others[places] - columns.start
            yield (
                self.tile(some, columns, np.unique(column)),
                places,
                column * len(some) + np.searchsorted(some, rows[places]),
            )

    @cached_property
    def walks(self) -> WalkCounts:
        """Of the message graph."""
        return WalkCounts(self.adjacency, self.space)

    @cached_property
    def components(self) -> NDArray[np.int32]:
        """Connected component of each node, shape (nodes,)."""
        labels: NDArray[np.int32] = connected_components(self.adjacency, directed=False)[1]
        return labels

    @cached_property
    def component_sizes(self) -> Floats:
        """Nodes in the component of each node, shape (nodes,)."""
        return np.bincount(self.components).astype(np.float64)[self.components]

    @property
    def cut_off_share(self) -> float:
        """Of the admissible pairs that are no edges, those that no path connects."""
        size = np.bincount(self.components).astype(np.float64)
        if self.space.sides is None:
            joined = float((size * (size - 1)).sum()) / (1 if self.space.directed else 2)
        else:
            of_left = np.bincount(self.components[: self.space.sides[0]], minlength=len(size))
            joined = float((of_left * (size - of_left)).sum())
        num_edges = self.adjacency.nnz // (1 if self.space.directed else 2)
        return (self.space.num_pairs - joined) / max(self.space.num_pairs - num_edges, 1)

    @cached_property
    def landmarks(self) -> Landmarks:
        """Of the message graph."""
        return Landmarks.of(self.adjacency)


@dataclass(frozen=True, eq=False)
class Tile:
    """Counts of some rows x columns of the pair matrix; cell c is column c // rows and row c % rows.

    Args:
        of: the graph's.
        rows: shape (rows,), node indices.
        columns: of the pair matrix.
        counts: name -> shape (columns, rows), float64: walks, and the spectral products that all cells were asked for.
    """

    of: StructuralCounts
    rows: NDArray[np.int64]
    columns: slice
    counts: dict[str, Floats]

    def inputs(self, names: tuple[str, ...], cells: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Shape (cells, names), float32: inputs of the given cells, or of all."""
        num_rows = len(self.rows)
        wanted = [each for each in _PRODUCTS if any(name in names for name in _PRODUCTS[each])]
        if "ppr" in names and "ppr_tail" not in wanted:
            wanted.append("ppr_tail")
        missing = [each for each in wanted if _PRODUCTS[each][0] not in self.counts]
        size = (self.columns.stop - self.columns.start) * num_rows
        if cells is None or len(cells) > size // _FEW:
            for each in missing:
                products = self.of.embeddings[each].products(self.rows, self.columns, _ranks(each))
                self.counts.update(zip(_PRODUCTS[each], products, strict=True))
            if _HOPS[0] in names and _HOPS[0] not in self.counts:
                bounds = self.of.landmarks.bounds(self.rows, self.columns)
                self.counts.update(zip(_HOPS, bounds, strict=True))
            missing = []
        is_all, cells = cells is None, np.arange(size) if cells is None else cells
        picked = {name: count.ravel() if is_all else count.ravel()[cells] for name, count in self.counts.items()}
        column, row = np.divmod(cells, num_rows)
        ends = self.rows[row], column + self.columns.start
        for each in missing:
            picked |= zip(_PRODUCTS[each], self.of.embeddings[each].of_pairs(*ends, _ranks(each)), strict=True)
        if _HOPS[0] in names and _HOPS[0] not in self.counts:
            picked |= zip(_HOPS, self.of.landmarks.bounds_of_pairs(*ends), strict=True)
        derived = _derived(self.of, picked, ends, names)
        matrix = np.empty((len(cells), len(names)), dtype=np.float32)
        for place, name in enumerate(names):
            matrix[:, place] = derived[name] if name in derived else picked[name]
        return matrix


def _ranks(embedding: str) -> tuple[int, ...]:
    if len(_PRODUCTS[embedding]) == 1:
        return (2 * FEATURE_RANKS[-1],)  # all dimensions, however many there are
    return RANKS if embedding in ("adjacency", "normalized") else FEATURE_RANKS


def _derived(
    of: StructuralCounts,
    counts: dict[str, Floats],
    ends: tuple[NDArray[np.int64], NDArray[np.int64]],
    names: tuple[str, ...],
) -> dict[str, NDArray[np.floating]]:
    """What follows from the counts and the nodes, by operations whose result IEEE 754 fixes to the last bit."""
    source, target = (side[end] for side, end in zip(of.roles, ends, strict=True))
    symmetric = not of.space.directed
    result: dict[str, NDArray[np.floating]] = {}
    for place, role in enumerate(ROLES):
        a, b = source[:, place], target[:, place]
        result[f"low_{role}"] = np.minimum(a, b) if symmetric else a
        result[f"high_{role}"] = np.maximum(a, b) if symmetric else b
    a, b = (np.maximum(side[:, 0].astype(np.float64), 1.0) for side in (source, target))
    product = a * b
    root = np.sqrt(product)
    connected = of.components[ends[0]] == of.components[ends[1]]
    sizes = [of.component_sizes[end] for end in ends]
    result["low_component"] = np.minimum(*sizes) if symmetric else sizes[0]
    result["high_component"] = np.maximum(*sizes) if symmetric else sizes[1]
    result["distance"] = np.select(
        [counts["cn"] > 0, counts["w3"] > 0, counts["s4"] > 0, counts["s5"] > 0, connected],
        [2.0, 3.0, 4.0, 5.0, 6.0],
        CUT_OFF,
    )
    steps = [counts[name] / root for name in ("ra", "s3", "s4", "s5")]
    ppr = RESTART * (1 - RESTART) ** 2 * steps[0]
    for power, step in enumerate(steps[1:], start=3):
        ppr = ppr + RESTART * (1 - RESTART) ** power * step
    result["ppr"] = ppr + counts["ppr_tail"]
    if "n2" in names:
        result["degree_product"] = product
        result |= {f"n{power}": step for power, step in enumerate(steps, start=2)}
    if "jaccard" in names:
        cn = counts["cn"]
        result["jaccard"] = cn / np.maximum(a + b - cn, 1.0)
        result["salton"] = cn / root
        result["hub_promoted"] = cn / np.minimum(a, b)
        result["l3_per_degrees"] = counts["l3"] / root
        result["is_reciprocated"] = counts.get("is_reciprocated", np.zeros(len(a)))
    return result


def check_of_nodes(array: NDArray[Any], num_nodes: int) -> None:
    """Refuse an array that has no row of finite float32 for each node.

    Raises:
        BrokenRun: it has not.
    """
    if array.dtype != np.float32 or array.ndim != 2 or len(array) != num_nodes or not np.isfinite(array).all():
        raise BrokenRun("model.safetensors does not fit the nodes of this graph.")


def ends_to_count(pairs: Pairs, num_nodes: int) -> NDArray[np.bool_]:
    """Shape (pairs,): whether the second end of a pair is the one to count from, so that few nodes are counted from.

    Nodes of few pairs are spared, as many as can be: of no pair both ends.

    Example:
        >>> ends_to_count(np.array([[0, 1], [1, 2], [2, 3], [3, 4]]), 5).tolist()  # from 1 and 3
        [True, False, True, False]
    """
    uses = np.bincount(pairs.ravel(), minlength=num_nodes)
    place = np.empty(num_nodes, dtype=np.int64)
    place[np.argsort(uses, kind="stable")] = np.arange(num_nodes)
    is_counted = np.zeros(num_nodes, dtype=np.bool_)
    is_counted[pairs[pairs[:, 0] == pairs[:, 1], 0]] = True
    left = ~is_counted[pairs].any(axis=1)
    u, v = pairs[left, 0], pairs[left, 1]
    while len(u):
        is_lowest = np.ones(num_nodes, dtype=np.bool_)
        is_lowest[np.where(place[u] < place[v], v, u)] = False
        is_counted[v[is_lowest[u]]] = True
        is_counted[u[is_lowest[v]]] = True
        left = ~(is_counted[u] | is_counted[v])
        u, v = u[left], v[left]
    first, second = is_counted[pairs[:, 0]], is_counted[pairs[:, 1]]
    return second & (~first | (uses[pairs[:, 1]] > uses[pairs[:, 0]]))
