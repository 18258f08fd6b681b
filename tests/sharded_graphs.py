"""Small edge lists and shards of them, for the tests of what is larger than the memory."""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from linkodds.sharded.engine import LocalEngine
from linkodds.sharded.prepare import Preparation, PreparedStore, prepare
from linkodds.sharded.sizes import Blocks
from linkodds.sharded.store import Store

WIDTH, HOPS = 12, 2


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of tiny shards would wait for the disk longer than for anything else."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Small(Blocks):
    """Blocks of any size, far below what a real cap of memory would give."""

    def __init__(self, rows: int, buckets: int, entries: int, columns: int) -> None:
        for name, value in (("memory", 1), ("workers", 1), ("sizes", (rows, buckets, entries, columns))):
            object.__setattr__(self, name, value)

    batch_rows = property(lambda self: self.sizes[0])  # type: ignore[assignment]
    batch_bytes = property(lambda self: 8 * self.sizes[0])  # type: ignore[assignment]
    working = property(lambda _: 1 << 40)  # type: ignore[assignment]
    share = property(lambda self: self.sizes[2])  # type: ignore[assignment]
    segment = property(lambda _: 64)  # type: ignore[assignment]

    def buckets(self, rows: int) -> int:  # noqa: ARG002
        return self.sizes[1]  # type: ignore[attr-defined,no-any-return]

    def range_cost(self, entries: float, nodes: float, row_bytes: int) -> float:  # noqa: ARG002
        return entries

    def slice_columns(self, nodes: int, width: int) -> int:  # noqa: ARG002
        return self.sizes[3]  # type: ignore[attr-defined,no-any-return]

    def refuse_split(self, edges: int) -> None:
        """Anything goes."""


COARSE_BLOCKS, FINE_BLOCKS = (1 << 20, 1, 1 << 30, WIDTH), (15, 3, 40, 5)


def prepared(
    edges: Path, folder: Path, sizes: tuple[int, int, int, int] = FINE_BLOCKS, workers: int = 1, **options: Any
) -> tuple[Store, PreparedStore]:
    what = Preparation(edges, bipartite=False, width=WIDTH, hops=HOPS, **({"folds": 2} | options))
    return prepare(what, folder, LocalEngine(workers), Small(*sizes), lambda _: None)


def write_edges(path: Path, edges: NDArray[np.integer]) -> Path:
    names = [(f"n{u}", f"n{v}") for u, v in edges.tolist()]
    if path.suffix == ".parquet":
        pl.DataFrame(names, schema=["from", "to"], orient="row").write_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress("".join(f"{u},{v}\n" for u, v in names).encode()))
    else:
        path.write_text("# a comment\nsource\ttarget\n\n" + "".join(f"{u}\t{v}\n" for u, v in names))
    return path


def arcs(seed: int, count: int = 120, nodes: int = 30) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, nodes, size=(count, 2))
