"""Samples: some rows of a large file, with their lines, so that it can be looked at without being read."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import MalformedFile
from linkodds.reading.tables import PACKED_SUFFIXES, Table, first_bytes, table_of_frame

WHOLE = 8 << 20
"""Bytes of text, unpacked, that are read whole."""
_HEAD, _BLOCK, _BLOCKS, _CHUNK = 1 << 18, 1 << 14, 64, 1 << 20
_ROWS, _SLICES = 50_000, 5


@dataclass(frozen=True, eq=False)
class Part:
    """Some lines of a text, or rows of a table.

    Args:
        data: whole lines; empty where rows of a table were read.
        numbers: shape (lines,): the line or row in the file of each, from 1.
        total: lines or rows of the file, about; None where nobody counted them.
        how: which ones these are, in words.
    """

    data: bytes
    numbers: NDArray[np.int64]
    total: int | None
    how: str


def part_of_text(path: Path, *, evenly: bool) -> Part | None:
    """Lines of a text file from everywhere, or the first ones; None where the file is small enough to be read whole.

    Args:
        path: of the file; of a packed one the first part is taken.
        evenly: whether any line can be read without those above it.
    Raises:
        MalformedFile, OptionError: a packed file that cannot be unpacked.
    """
    packed = path.suffix.lower() in PACKED_SUFFIXES
    size = path.stat().st_size
    if not packed and size <= WHOLE:
        return None
    head = first_bytes(path, WHOLE + 1 if packed or not evenly else _HEAD)
    if packed and len(head) <= WHOLE:
        return None
    end = head.rfind(b"\n") + 1
    if not end or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    if evenly and not packed:
        return _from_everywhere(path, head[:end])
    head = head[:end]
    numbers = np.arange(1, head.count(b"\n") + 1)
    total = None if packed else round(len(numbers) * size / len(head))
    return Part(head, numbers, total, "the first ones of the file")


def sample_of_parquet(path: Path) -> tuple[Table, Part] | None:
    """Rows of a Parquet file from everywhere; None where it has few.

    Raises:
        MalformedFile: no Parquet file.
    """
    try:
        scan = pl.scan_parquet(path, glob=False)
        total = int(scan.select(pl.len()).collect().item())
        if total <= _ROWS:
            return None
        each = _ROWS // _SLICES
        starts = np.linspace(0, total - each, _SLICES).astype(np.int64)
        frame = pl.concat([scan.slice(start, each).collect() for start in starts.tolist()])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MalformedFile(f"{path.name}: no readable Parquet file ({str(error).splitlines()[0]}).") from error
    numbers = (starts[:, None] + np.arange(1, each + 1)).ravel()
    table = replace(table_of_frame(frame), place=path.name, format="Parquet", lines=numbers)
    return table, Part(b"", numbers, total, "in blocks from everywhere in the file")


def _from_everywhere(path: Path, head: bytes) -> Part:
    """The first lines, and blocks of whole lines from everywhere behind them; the lines between are counted only."""
    blocks, lines = [head], [np.arange(1, head.count(b"\n") + 1)]
    chosen = np.unique(np.linspace(len(head) // _CHUNK + 1, path.stat().st_size // _CHUNK, _BLOCKS).astype(np.int64))
    wanted, before, number, last = set(chosen.tolist()), 0, 0, b"\n"
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if number in wanted and (start := chunk.find(b"\n") + 1):
                block = chunk[start : start + _BLOCK]
                block = block[: block.rfind(b"\n") + 1]
                if block and _has_whole_cells(block):
                    first = before + chunk.count(b"\n", 0, start) + 1
                    blocks.append(block)
                    lines.append(np.arange(first, first + block.count(b"\n")))
            before, number, last = before + chunk.count(b"\n"), number + 1, chunk[-1:]
    total = before + (last != b"\n")
    return Part(b"".join(blocks), np.concatenate(lines), total, "in blocks from everywhere in the file")


def _has_whole_cells(block: bytes) -> bool:
    """Whether no quoted cell of these lines goes on in the next line, so that they may begin inside of none."""
    return b'"' not in block or all(line.count(b'"') % 2 == 0 for line in block.split(b"\n"))
