"""Hops: H = [X, P X, ..., P^K X] in blocks of rows, P = D^-1/2 (A + I) D^-1/2 as in `linkodds.models.autoencoders.propagation`.

Kept between hops is G = D^-1/2 H, because then a hop needs no values: G' = D^-1 (A + I) G, sums over neighbours and the node
itself. A hop reads whole columns of G, so columns go through in slices that fit the memory; rows come out in blocks.
The sum over a row is made in one order whatever the block, so blocks and slices change no bit.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from linkodds.sharded.store import FinishedBlock, WorkBlock

Rows = NDArray[np.float32]
_AT_A_TIME = 1 << 15


@dataclass(frozen=True)
class Columns:
    """How the columns of X are cut into slices.

    Args:
        width: of X, a multiple of 4.
        step: of a slice.
    Example:
        >>> Columns(10, 4).slices
        [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """

    width: int
    step: int

    @property
    def slices(self) -> list[slice]:
        """All of them."""
        return [slice(at, min(at + self.step, self.width)) for at in range(0, self.width, self.step)]


def random_rows(first: int, last: int, width: int, seed: int) -> Rows:
    """Rows of a table of random signs / sqrt(width): unit rows, nearly orthogonal, each known from its number alone.

    The inner product of two different rows has mean 0 and variance 1 / width, so products of sums of rows estimate how much
    the sums have in common (Achlioptas, JCSS 66, 2003).

    Args:
        first: row.
        last: row, not included.
        width: columns.
        seed: of the table.
    Example:
        >>> bool((random_rows(3, 5, 64, 7) == random_rows(0, 9, 64, 7)[3:5]).all())
        True
    """
    words = -(-width // 64)
    skipped = first * words
    bits = np.random.Philox(key=seed)
    bits.advance(skipped // 4)
    raw = bits.random_raw((last - first) * words + skipped % 4)[skipped % 4 :]
    signs = np.unpackbits(raw.astype("<u8").view(np.uint8), bitorder="little").reshape(last - first, words * 64)
    return (signs[:, :width].astype(np.float32) * 2 - 1) * np.float32(width**-0.5)


def row_columns(width: int, hops: int) -> int:
    """Columns of H: X and each hop, and the logarithm of the degree.

    Example:
        >>> row_columns(128, 3)
        513
    """
    return (hops + 1) * width + 1


@dataclass(frozen=True)
class MakeTable:
    """Stage: D^-1/2 X of a range of rows, in slices of columns.

    Args:
        folder: of the store.
        graph: full or open.
        ranges: first node of each range, and the number of nodes at the end.
        columns: of X.
        seed: of the random table.
        features: a .npy with a row for each node, float32, whose columns are the first of X, before the random table.
    """

    folder: Path
    graph: str
    ranges: tuple[int, ...]
    columns: Columns
    seed: int
    features: Path | None = None

    @property
    def stage(self) -> str:
        """Its name."""
        return f"{self.graph}-hop-0"

    def __call__(self, number: int) -> FinishedBlock:
        """Make one range."""
        block = WorkBlock(self.folder, self.stage, number)
        first, last = self.ranges[number : number + 2]
        degrees = np.diff(block.load(f"rows/{number}.{self.graph}-starts")) + np.float32(1)
        rows = np.empty((last - first, self.columns.width), dtype=np.float32)
        for start in range(0, len(rows), _AT_A_TIME):  # what is between is wider than float32
            part = slice(start, min(start + _AT_A_TIME, len(rows)))
            rows[part] = self._inputs(block, first + part.start, first + part.stop) / np.sqrt(degrees[part])[:, None]
        for place, part in enumerate(self.columns.slices):
            block.save(f"slice-{place}", rows[:, part])
        block.counts["operations"] += rows.size
        return block.made()

    def _inputs(self, block: WorkBlock, first: int, last: int) -> Rows:
        """X of some rows."""
        width = self.columns.width
        if self.features is None:
            return random_rows(first, last, width, self.seed)
        given = block.took(np.load(self.features, mmap_mode="r", allow_pickle=False)[first:last])
        return np.hstack([given, random_rows(first, last, width - given.shape[1], self.seed)])


@dataclass(frozen=True)
class Hop:
    """Stage: one hop of a slice of columns and a range of rows; the number is slice * ranges + range.

    Args:
        folder: of the store.
        graph: full or open.
        ranges: first node of each range, and the number of nodes at the end.
        columns: of X.
        hop: from 1.
    """

    folder: Path
    graph: str
    ranges: tuple[int, ...]
    columns: Columns
    hop: int
    _kept: "_Kept" = field(default_factory=lambda: _Kept(), compare=False, repr=False)

    @property
    def stage(self) -> str:
        """Its name."""
        return f"{self.graph}-hop-{self.hop}"

    def __call__(self, number: int) -> FinishedBlock:
        """Make one range of one slice."""
        place, part = divmod(number, len(self.ranges) - 1)
        block = WorkBlock(self.folder, self.stage, number)
        dense = self._kept.get(place, lambda: self._slice(place, block))
        starts = block.load(f"rows/{part}.{self.graph}-starts")
        columns = block.load(f"rows/{part}.{self.graph}-columns")
        degrees = np.diff(starts) + np.float32(1)
        first, last = self.ranges[part : part + 2]
        if part == 0:  # whoever reads the slice, it is counted once
            block.counts["read"] += dense.nbytes
        if len(columns):
            bags = torch.from_numpy(columns), dense, torch.from_numpy(starts)
            sums = F.embedding_bag(*bags, mode="sum", include_last_offset=True).numpy()
        else:  # a bag of nothing at all is refused
            sums = np.zeros((last - first, dense.shape[1]), dtype=np.float32)
        sums += dense[first:last].numpy()
        sums /= degrees.astype(np.float32)[:, None]
        block.save("rows", sums)
        block.counts["operations"] += len(columns) * dense.shape[1]
        return block.made()

    def _slice(self, place: int, block: WorkBlock) -> torch.Tensor:
        inside = self.columns.slices[place]
        dense = np.empty((self.ranges[-1], inside.stop - inside.start), dtype=np.float32)
        for part in range(len(self.ranges) - 1):
            name = f"{self.graph}-hop-{self.hop - 1}/" + slice_name(self.hop - 1, place, part, len(self.ranges) - 1)
            dense[self.ranges[part] : self.ranges[part + 1]] = block.mapped(name)
        return torch.from_numpy(dense)


class _Kept:
    """The slice that a process has in memory; a copy in another process starts with none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._place, self._value = -1, torch.empty(0)

    def get(self, place: int, make: Any) -> torch.Tensor:
        with self._lock:
            if place != self._place:
                self._value = torch.empty(0)
                self._place, self._value = place, make()
            return self._value

    def __reduce__(self) -> tuple[type["_Kept"], tuple[()]]:
        return _Kept, ()


@dataclass(frozen=True)
class JoinHops:
    """Stage: H = [X, P X, ..., P^K X] of a range of rows, one row of `row_columns` numbers a node: the last is log(degree + 1).

    Args:
        folder: of the store.
        graph: full or open.
        ranges: first node of each range, and the number of nodes at the end.
        columns: of X.
        hops: K.
    """

    folder: Path
    graph: str
    ranges: tuple[int, ...]
    columns: Columns
    hops: int

    @property
    def stage(self) -> str:
        """Its name."""
        return f"{self.graph}-hops"

    def __call__(self, number: int) -> FinishedBlock:
        """Join one range."""
        block = WorkBlock(self.folder, self.stage, number)
        first, last = self.ranges[number : number + 2]
        degrees = np.diff(block.load(f"rows/{number}.{self.graph}-starts")).astype(np.float32) + np.float32(1)
        joined = np.empty((last - first, row_columns(self.columns.width, self.hops)), dtype=np.float32)
        for hop in range(self.hops + 1):
            for place, inside in enumerate(self.columns.slices):
                name = f"{self.graph}-hop-{hop}/" + slice_name(hop, place, number, len(self.ranges) - 1)
                start = hop * self.columns.width
                joined[:, start + inside.start : start + inside.stop] = block.load(name)
        joined[:, :-1] *= np.sqrt(degrees)[:, None]
        joined[:, -1] = np.log(degrees)
        block.save("rows", joined)
        block.counts["operations"] += joined.size
        return block.made()


def slice_name(hop: int, place: int, part: int, parts: int) -> str:
    """Shard of a slice of columns and a range of rows in the folder of its hop."""
    return f"{part}.slice-{place}" if hop == 0 else f"{place * parts + part}.rows"
