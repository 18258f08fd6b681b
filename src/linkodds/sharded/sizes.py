"""Sizes: how large blocks may be under a cap of memory, and what each stage reads, writes and computes; all formulas."""

import re
from dataclasses import dataclass

from linkodds.errors import OptionError

BASE = 420_000_000
"""Bytes of the interpreter and the libraries before any work."""
PER_ROW = 500
"""Bytes of memory for a row of a batch while its ids are listed."""
PER_TEXT = 30
"""Bytes of memory for a byte of text in a batch while it is parsed."""
PER_ID = 200
"""Bytes of memory for a listed id of a bucket."""
PER_ENTRY = 40
"""Bytes of memory for an entry of a range of rows while it is sorted."""
HELD_EDGE, HELD_NODE = 100, 100
"""Bytes of memory for an edge, and for a node beside its embedding, from the training on; estimates."""
_MOST_ROWS, _LEAST_ROWS = 1 << 22, 16
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_memory(text: str) -> int:
    """Bytes of a size such as 4GB or 512 MiB.

    Raises:
        OptionError: no size.
    Example:
        >>> parse_memory("4GB"), parse_memory("1.5 gib")
        (4000000000, 1610612736)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?b)?\s*", text.lower())
    if found is None or (found[2] or "") not in _UNITS:
        raise OptionError(f"--memory takes a size such as 4GB or 512MB, not {text!r}.")
    return int(float(found[1]) * _UNITS[found[2] or ""])


def held(nodes: int, edges: int, dim: int) -> int:
    """Bytes that training, scoring and the report hold, about: edges, ids and embeddings, none of which is out of core yet.

    Example:
        >>> held(10**6, 10**7, 64)
        2288000000
    """
    return BASE + HELD_EDGE * edges + (HELD_NODE + 3 * 4 * dim) * nodes


@dataclass(frozen=True)
class Blocks:
    """Block sizes that follow from a cap of memory.

    Args:
        memory: bytes that the process may hold.
        workers: blocks at a time in one process.
    Raises:
        OptionError: less than any work takes.
    Example:
        >>> Blocks(memory=4_000_000_000, workers=2).batch_rows
        1790000
    """

    memory: int
    workers: int = 1

    def __post_init__(self) -> None:
        if self.memory < BASE + 100_000_000:
            raise OptionError(
                f"--memory {self.memory:,} bytes: the libraries alone take {BASE:,}; give at least {BASE + 100_000_000:,}."
            )

    @property
    def working(self) -> int:
        """Bytes for arrays."""
        return self.memory - BASE

    @property
    def share(self) -> int:
        """Bytes of a block."""
        return self.working // self.workers

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        return max(_LEAST_ROWS, min(_MOST_ROWS, self.share // (2 * PER_ROW)))

    @property
    def batch_bytes(self) -> int:
        """Bytes of text of a batch, were rows as short as 16 bytes."""
        return max(_LEAST_ROWS, min(16 * _MOST_ROWS, self.share // (2 * (PER_TEXT + PER_ROW // 16))))

    def buckets(self, rows: int) -> int:
        """Buckets of ids for at most so many rows, were every id in them another one."""
        return max(1, min(4096, -(-2 * rows * PER_ID // self.share)))

    @property
    def segment(self) -> int:
        """Places at a time, a few bytes each."""
        return max(64, self.share // 32)

    def range_cost(self, entries: float, nodes: float, row_bytes: int) -> float:
        """Bytes of memory for a range of rows: its entries while they are sorted, or H of its rows while it is joined."""
        return max(entries * PER_ENTRY, nodes * (2 * row_bytes + 32))

    def slice_columns(self, nodes: int, width: int) -> int:
        """Columns of a slice, of which one process holds one, in half of the working memory.

        Raises:
            OptionError: not even one column.
        """
        columns = self.working // 2 // (4 * nodes)
        if columns < 1:
            needed = BASE + 8 * nodes
            raise OptionError(
                f"--memory: a column of {nodes:,} nodes takes {4 * nodes:,} bytes; give at least {needed:,}."
            )
        step = min(columns, width)
        return -(-width // -(-width // step))

    def refuse_split(self, edges: int) -> None:
        """Refuse a permutation of the edges that does not fit.

        Raises:
            OptionError: with the memory that it takes.
        """
        needed = BASE + 11 * edges
        if needed > self.memory:
            raise OptionError(f"--memory: dealing out {edges:,} edges takes {needed:,} bytes; give at least that.")
