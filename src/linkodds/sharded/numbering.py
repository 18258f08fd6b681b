"""Numbering: ids out of core become node numbers, in order of first appearance, as `linkodds.reading.reading` numbers them.

A batch lists its distinct ids in order of appearance, so the place of an id in the lists of all batches, one after the
other, is its place in that order. Lists are dealt into buckets by a hash of the id: a bucket alone knows where each of
its ids was listed first. A bit for each listed place says whether it was the first of its id, and the number of set bits
before it is the number of the node. So the memory is that of a batch or a bucket, and a quarter of a bit an edge end.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.sharded.batches import Batch
from linkodds.sharded.store import FinishedBlock, WorkBlock

COARSE = 4096
"""Parts of the nodes whose edge ends are counted, to cut the nodes into ranges of about equal work."""
_DIRECTION = 1
Keys = NDArray[np.int64]


@dataclass(frozen=True)
class ListIds:
    """Stage: rows of a batch as places in the list of its distinct ids, and this list by buckets.

    Args:
        folder: of the store.
        batches: all of them.
        buckets: how many.
        stage: its name.
    """

    folder: Path
    batches: tuple[Batch, ...]
    buckets: int
    stage: str = "ids"

    def __call__(self, number: int) -> FinishedBlock:
        """Read one batch."""
        block = WorkBlock(self.folder, self.stage, number)
        source, target = self.batches[number].read(block)
        count = len(source)
        place = np.concatenate([np.arange(0, 2 * count, 2), np.arange(1, 2 * count, 2)]).astype(np.uint32)
        cells = pl.DataFrame({"id": pl.concat([source.rename("id"), target.rename("id")]), "place": place})
        del source, target
        first = cells.select(pl.col("place").min().over("id")).to_series().to_numpy()
        is_first = np.zeros(2 * count, dtype=np.bool_)
        is_first[first] = True
        code_of_place = np.cumsum(is_first, dtype=np.int32) - np.int32(1)
        block.save("codes", code_of_place[first].reshape(2, count))
        listed = np.flatnonzero(first == place)
        ids, codes = cells["id"].gather(listed), code_of_place[place[listed]]
        del cells
        bucket = (ids.hash(0).to_numpy() % np.uint64(self.buckets)).astype(np.int32)
        order = np.lexsort((codes, bucket))
        block.save_texts("ids", ids.gather(order))
        block.save("places", codes[order])
        block.save("starts", np.searchsorted(bucket[order], np.arange(self.buckets + 1)).astype(np.int64))
        block.counts["operations"] += 2 * count
        return block.made(rows=count, ids=len(codes))


@dataclass(frozen=True)
class FindFirst:
    """Stage: where each listed id of a bucket was listed first.

    Args:
        folder: of the store.
        listed: ids in the list of each batch.
        stage: its name.
    """

    folder: Path
    listed: tuple[int, ...]
    stage: str = "firsts"

    def __call__(self, number: int) -> FinishedBlock:
        """Look through one bucket."""
        block = WorkBlock(self.folder, self.stage, number)
        texts, places, counts = [], [], []
        before = 0
        for batch, listed in enumerate(self.listed):
            starts = block.mapped(f"ids/{batch}.starts")
            start, stop = int(starts[number]), int(starts[number + 1])
            counts.append(stop - start)
            texts.append(block.texts(f"ids/{batch}.ids", start, stop))
            places.append(block.took(block.mapped(f"ids/{batch}.places")[start:stop]) + np.int64(before))
            before += listed
        frame = pl.DataFrame({"id": pl.concat(texts), "place": np.concatenate(places)})
        first = frame.select(pl.col("place").min().over("id")).to_series().to_numpy()
        block.save("first", first.astype(np.int64, copy=False))
        block.save("counts", np.array(counts, dtype=np.int64))
        block.counts["operations"] += len(first)
        return block.made()


@dataclass(frozen=True)
class RankFirst:
    """Stage of one block: a bit for each listed place, set where its id was listed first, and the set bits before each word.

    Args:
        folder: of the store.
        listed: ids in the list of each batch.
        buckets: how many.
        segment: places at a time.
        stage: its name.
    """

    folder: Path
    listed: tuple[int, ...]
    buckets: int
    segment: int
    stage: str = "ranks"

    def __call__(self, number: int) -> FinishedBlock:
        """Set all bits."""
        block = WorkBlock(self.folder, self.stage, number)
        total = sum(self.listed)
        words = np.zeros(-(-total // 64), dtype=np.uint64)
        step = max(64, self.segment // 64 * 64)
        firsts = [block.mapped(f"firsts/{bucket}.first") for bucket in range(self.buckets)]
        for start in range(0, total, step):
            flags = np.zeros(step, dtype=np.bool_)
            for first in firsts:
                for at in range(0, len(first), step):
                    places = block.took(first[at : at + step])
                    flags[places[(places >= start) & (places < start + step)] - start] = True
            packed = np.packbits(flags, bitorder="little").view(np.uint64)
            words[start // 64 : start // 64 + len(packed)] = packed[: len(words) - start // 64]
        before = np.zeros(len(words) + 1, dtype=np.int64)
        np.cumsum(np.bitwise_count(words), out=before[1:])
        block.save("words", words)
        block.save("before", before)
        counts = np.stack([block.load(f"firsts/{bucket}.counts") for bucket in range(self.buckets)], axis=1)
        block.save("offsets", np.cumsum(counts, axis=0) - counts)
        block.counts["operations"] += total
        return block.made(nodes=int(before[-1]))


@dataclass(frozen=True)
class NumberEdges:
    """Stage: the rows of a batch as sorted keys of arcs between numbered nodes; and the ids of the nodes that are new in it.

    Self-loops are dropped. A key is smaller end * 2**32 + larger end, times two, plus one where the larger came first.

    Args:
        folder: of the store.
        listed: ids in the list of each batch.
        buckets: how many.
        nodes: of the graph.
        stage: its name.
    """

    folder: Path
    listed: tuple[int, ...]
    buckets: int
    nodes: int
    stage: str = "arcs"

    def __call__(self, number: int) -> FinishedBlock:
        """Number one batch."""
        block = WorkBlock(self.folder, self.stage, number)
        words, before = block.mapped("ranks/0.words"), block.mapped("ranks/0.before")
        offsets = block.mapped("ranks/0.offsets")
        starts, places = block.load(f"ids/{number}.starts"), block.load(f"ids/{number}.places")
        first = np.empty(self.listed[number], dtype=np.int64)
        for bucket in range(self.buckets):
            inside = slice(int(starts[bucket]), int(starts[bucket + 1]))
            offset = int(offsets[number, bucket])
            of_bucket = block.mapped(f"firsts/{bucket}.first")[offset : offset + inside.stop - inside.start]
            first[places[inside]] = block.took(of_bucket)
        place_of_code = np.empty(len(places), dtype=np.int64)
        place_of_code[places] = np.arange(len(places))
        is_new = first == np.arange(len(first)) + sum(self.listed[:number])
        block.save_texts("names", block.texts(f"ids/{number}.ids").gather(place_of_code[is_new]))
        node = _nodes_of(first, words, before)
        del first, place_of_code
        source, target = node[block.load(f"ids/{number}.codes")]
        proper = source != target
        loops = len(source) - int(np.count_nonzero(proper))
        if loops:
            source, target = source[proper], target[proper]
        keys = (np.minimum(source, target) << 32 | np.maximum(source, target)) << _DIRECTION | (source > target)
        num_arcs = len(keys)
        keys = sorted_distinct(keys)
        size = coarse_size(self.nodes)
        smaller, larger = (np.bincount(part // size, minlength=COARSE) for part in ends_of(keys >> _DIRECTION))
        block.save("keys", keys)
        block.save("ends", smaller + larger)
        block.counts["operations"] += num_arcs
        return block.made(loops=loops, proper=num_arcs)


def _nodes_of(first: Keys, words: NDArray[np.uint64], before: Keys) -> Keys:
    """Node numbers of the places where ids were listed first: set bits before them."""
    word, bit = first >> 6, (first & 63).astype(np.uint64)
    below = words[word] & ((np.uint64(1) << bit) - np.uint64(1))
    return np.asarray(before[word] + np.bitwise_count(below))


def coarse_size(nodes: int) -> int:
    """Nodes in each of the `COARSE` parts.

    Example:
        >>> coarse_size(10), coarse_size(4097)
        (1, 2)
    """
    return max(1, -(-nodes // COARSE))


def sorted_distinct(keys: Keys) -> Keys:
    """Each key once, in increasing order; the keys are sorted in place.

    Example:
        >>> sorted_distinct(np.array([3, 1, 3])).tolist()
        [1, 3]
    """
    keys.sort()
    if len(keys) < 2:
        return keys
    kept = np.empty(len(keys), dtype=np.bool_)
    kept[0] = True
    np.not_equal(keys[1:], keys[:-1], out=kept[1:])
    return keys if kept.all() else keys[kept]


def ends_of(keys: NDArray[Any]) -> tuple[Keys, Keys]:
    """Both ends of pairs from keys u * 2**32 + v.

    Example:
        >>> [each.tolist() for each in ends_of(np.array([(1 << 32) | 2]))]
        [[1], [2]]
    """
    return keys >> 32, keys & 0xFFFFFFFF
