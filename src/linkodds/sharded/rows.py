"""Rows: from arcs to distinct edges by ranges of nodes, the split of the edges, and the rows of the message graphs.

The full message graph has all train edges, as everywhere in linkodds. Each open one lacks a share of them, a fold of
supervision edges: a model learns to rank these, and never sees in its inputs that they are edges.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linkodds.sharded.numbering import Keys, coarse_size, ends_of, sorted_distinct
from linkodds.sharded.store import FinishedBlock, WorkBlock

TRAIN, VALIDATION, CALIBRATION, TEST, SUPERVISION = range(5)
"""Labels of edges; those of fold f of the supervision edges, which are train edges too, have label SUPERVISION + f."""
MOST_FOLDS = 7
"""Folds of supervision edges, at most."""
PERMUTED = 1 << 27
"""Up to so many edges are dealt out by a permutation, as `split_edges` does it; more by a hash of each."""
FULL = "full"
"""The message graph of all train edges."""
_NODE, _FOLD = 30, 3  # bits of a node and of a fold in the key of an entry, 0 where the edge is in no fold


def open_graph(fold: int) -> str:
    """The message graph that the supervision edges of a fold are left out of.

    Example:
        >>> open_graph(2)
        'open-2'
    """
    return f"open-{fold}"


@dataclass(frozen=True)
class SortEdges:
    """Stage: the distinct edges whose smaller end is in a range of nodes, as sorted keys u * 2**32 + v.

    Args:
        folder: of the store.
        batches: how many.
        ranges: first node of each range, and the number of nodes at the end.
        stage: its name.
    """

    folder: Path
    batches: int
    ranges: tuple[int, ...]
    stage: str = "edges"

    def __call__(self, number: int) -> FinishedBlock:
        """Collect one range."""
        block = WorkBlock(self.folder, self.stage, number)
        borders = np.array(self.ranges[number : number + 2], dtype=np.int64) << 33
        parts = []
        for batch in range(self.batches):
            keys = block.mapped(f"arcs/{batch}.keys")
            start, stop = np.searchsorted(keys, borders)
            parts.append(block.took(keys[start:stop]))
        keys = np.concatenate(parts)
        del parts
        block.counts["operations"] += len(keys)
        keys = sorted_distinct(keys)
        num_arcs = len(keys)
        keys >>= 1
        keys = sorted_distinct(keys)
        block.save("keys", keys)
        return block.made(arcs=num_arcs, edges=len(keys))


@dataclass(frozen=True)
class DealEdges:
    """Stage of one block: a label for every edge, in order of the keys, and the held-out edges in the order of the split.

    Up to `PERMUTED` edges the parts are those of `split_edges`, held-out ones in its order. More are dealt by a
    hash of each edge: then sizes are near the shares, and the order is that of the keys.

    Args:
        folder: of the store.
        edges: in each range.
        shares: of train, validation, calibration and test edges.
        supervision: share of the train edges in each fold.
        folds: of supervision edges.
        seed: entropy and spawn key of the split.
        stage: its name.
    """

    folder: Path
    edges: tuple[int, ...]
    shares: tuple[float, float, float, float]
    supervision: float
    folds: int
    seed: tuple[int, tuple[int, ...]]
    stage: str = "split"

    def __call__(self, number: int) -> FinishedBlock:
        """Deal all edges."""
        block = WorkBlock(self.folder, self.stage, number)
        total = sum(self.edges)
        labels = np.zeros(total, dtype=np.uint8)
        held_out = self._permuted(labels) if total <= PERMUTED else {}
        start = 0
        salt = np.random.SeedSequence(self.seed[0], spawn_key=(*self.seed[1], 1)).generate_state(2, np.uint64)
        for part, count in enumerate(self.edges):
            keys, inside = block.load(f"edges/{part}.keys"), labels[start : start + count]
            if total > PERMUTED:
                _hashed(keys, self.shares, int(salt[1]), inside)
            fold = np.floor(uniform_of(keys, int(salt[0])) / self.supervision)
            is_drawn = (fold < self.folds) & (inside == TRAIN)
            inside[is_drawn] = SUPERVISION + fold[is_drawn].astype(np.uint8)
            start += count
        sizes = self._sizes(labels)
        if not sizes[SUPERVISION] or not sizes[TRAIN]:  # a handful of edges: the first train edge is one
            first = np.flatnonzero((labels == TRAIN) | (labels >= SUPERVISION))[:2]
            labels[first[:1]], labels[first[1:]] = SUPERVISION, TRAIN
            sizes = self._sizes(labels)
        for label, name in ((VALIDATION, "validation"), (CALIBRATION, "calibration"), (TEST, "test")):
            places = held_out[label] if held_out else np.flatnonzero(labels == label)
            block.save(name, self._pairs(block, places))
        block.save("labels", labels)
        block.counts["operations"] += total
        names = ("train", "validation", "calibration", "test", "supervision")
        return block.made(**{name: int(size) for name, size in zip(names, sizes, strict=True)})

    @staticmethod
    def _sizes(labels: NDArray[np.uint8]) -> list[int]:
        """Edges of each part; all folds of supervision edges are one."""
        sizes: list[int] = np.bincount(labels, minlength=SUPERVISION + MOST_FOLDS).tolist()
        return [*sizes[:SUPERVISION], sum(sizes[SUPERVISION:])]

    def _permuted(self, labels: NDArray[np.uint8]) -> dict[int, Keys]:
        order = np.random.default_rng(np.random.SeedSequence(self.seed[0], spawn_key=self.seed[1])).permutation(
            len(labels)
        )
        sizes = held_out_sizes(len(labels), self.shares)
        parts = np.split(order[: sum(sizes)], np.cumsum(sizes)[:-1])
        result = {label: part.copy() for label, part in zip((VALIDATION, CALIBRATION, TEST), parts, strict=True)}
        for label, part in result.items():
            labels[part] = label
        return result

    def _pairs(self, block: WorkBlock, places: Keys) -> Keys:
        """Shape (places, 2): edges by their places among all."""
        result = np.empty(len(places), dtype=np.int64)
        start = 0
        for part, count in enumerate(self.edges):
            inside = np.flatnonzero((places >= start) & (places < start + count))
            result[inside] = block.took(block.mapped(f"edges/{part}.keys")[places[inside] - start])
            start += count
        return np.column_stack(ends_of(result))


@dataclass(frozen=True)
class TurnEdges:
    """Stage: the train edges of a range sorted by their larger end, as entries (v, u, fold + 1), 0 for no fold.

    Args:
        folder: of the store.
        edges: in each range.
        stage: its name.
    """

    folder: Path
    edges: tuple[int, ...]
    stage: str = "turned"

    def __call__(self, number: int) -> FinishedBlock:
        """Turn one range."""
        block = WorkBlock(self.folder, self.stage, number)
        u, v, fold = _train(block, self.edges, number)
        turned = (v << _NODE | u) << _FOLD | fold
        turned.sort()
        block.save("keys", turned)
        block.counts["operations"] += len(turned)
        return block.made()


@dataclass(frozen=True)
class MakeRows:
    """Stage: a range of rows of all message graphs, symmetric, as CSR without values; and the supervision edges of the range.

    Args:
        folder: of the store.
        edges: in each range.
        ranges: first node of each range, and the number of nodes at the end.
        folds: of supervision edges.
        stage: its name.
    """

    folder: Path
    edges: tuple[int, ...]
    ranges: tuple[int, ...]
    folds: int
    stage: str = "rows"

    def __call__(self, number: int) -> FinishedBlock:
        """Make one range."""
        block = WorkBlock(self.folder, self.stage, number)
        first, last = self.ranges[number : number + 2]
        u, v, fold = _train(block, self.edges, number)
        for each in range(self.folds):
            inside = fold == each + 1
            block.save(f"supervision-{each}", np.column_stack([u[inside], v[inside]]).astype(np.int32))
        parts = [(u << _NODE | v) << _FOLD | fold]
        del u, v, fold
        borders = np.array([first, last], dtype=np.int64) << (_NODE + _FOLD)
        for part in range(len(self.edges)):
            turned = block.mapped(f"turned/{part}.keys")
            start, stop = np.searchsorted(turned, borders)
            parts.append(block.took(turned[start:stop]))
        entries = np.concatenate(parts)
        del parts
        entries.sort()
        nnz = len(entries)
        for each in range(self.folds + 1):
            kept = entries[(entries & ((1 << _FOLD) - 1)) != each] if each else entries
            block.counts["operations"] += len(kept)
            starts = np.searchsorted(kept, np.arange(first, last + 1, dtype=np.int64) << (_NODE + _FOLD))
            index = np.int32 if len(kept) < 2**31 else np.int64
            name = open_graph(each - 1) if each else FULL
            block.save(f"{name}-starts", starts.astype(index))
            block.save(f"{name}-columns", ((kept >> _FOLD) & ((1 << _NODE) - 1)).astype(index))
        return block.made(entries=nnz)


def held_out_sizes(num_edges: int, shares: tuple[float, float, float, float]) -> list[int]:
    """Sizes of validation, calibration and test, as `linkodds.graph.split.split_edges` takes them.

    Example:
        >>> held_out_sizes(6, (0.8, 0.05, 0.05, 0.1))
        [1, 1, 1]
    """
    sizes = [max(1, round(share * num_edges)) for share in shares[1:]]
    while sum(sizes) >= num_edges:
        sizes[int(np.argmax(sizes))] -= 1
    return sizes


def cut_ranges(costs: NDArray[np.float64], nodes: int, most: float) -> tuple[int, ...]:
    """Ranges of nodes whose cost is at most about so much each: the first node of each, and the number of nodes.

    Args:
        costs: shape (COARSE,): of each part of `coarse_size` nodes.
        nodes: of the graph.
        most: of a range; a single part may cost more.
    Example:
        >>> cut_ranges(np.array([3.0, 3.0, 3.0, 0.0]), 4, 6.0)
        (0, 2, 4)
    """
    size, borders, inside = coarse_size(nodes), [0], 0.0
    for part, cost in enumerate(costs.tolist()):
        if part * size >= nodes:
            break
        if inside and inside + cost > most:
            borders.append(part * size)
            inside = 0.0
        inside += cost
    return (*borders, nodes)


def uniform_of(keys: Keys, salt: int) -> NDArray[np.float64]:
    """Shape (keys,): a number in [0, 1) for each key, by the mixing of SplitMix64 (Steele et al., OOPSLA 2014).

    Example:
        >>> bool(abs(uniform_of(np.arange(10_000), 1).mean() - 0.5) < 0.02)
        True
    """
    with np.errstate(over="ignore"):
        x = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x ^= x >> np.uint64(shift)
            x *= np.uint64(factor)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _hashed(keys: Keys, shares: tuple[float, float, float, float], salt: int, labels: NDArray[np.uint8]) -> None:
    uniform = uniform_of(keys, salt)
    labels[:] = np.searchsorted(np.cumsum(shares)[:3], uniform, side="right")


def _train(block: WorkBlock, edges: tuple[int, ...], number: int) -> tuple[Keys, Keys, Keys]:
    """Both ends of the train edges of a range, and fold + 1 of each, 0 for no fold."""
    start = sum(edges[:number])
    labels = block.took(block.mapped("split/0.labels")[start : start + edges[number]])
    keys = block.load(f"edges/{number}.keys")
    is_train = (labels == TRAIN) | (labels >= SUPERVISION)
    fold = np.maximum(labels[is_train].astype(np.int64) - (SUPERVISION - 1), 0)
    return *ends_of(keys[is_train]), fold
