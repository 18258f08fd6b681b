"""Batches: edge lists in pieces that are read one at a time, by the rules of `linkodds.reading.reading`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.reading.delimited import is_text_file, table_of_text
from linkodds.reading.edge_columns import id_columns
from linkodds.reading.tables import Table, is_pattern, open_unpacked, read_parquet, require_file, table_of_frame
from linkodds.reading.text_lines import has_rows
from linkodds.sharded.store import FinishedBlock, WorkBlock, text_bytes

_HEAD = 1 << 20  # bytes that settle delimiter, header and columns
_SUFFIXES = ".csv, .tsv, .txt (also .gz .bz2 .xz .zst), .parquet"


@dataclass(frozen=True)
class Layout:
    """How one file is read.

    Args:
        path: of the file.
        text: of the text in it; another path where it was compressed; None for Parquet.
        delimiter: of its columns.
        start: where its rows begin, in bytes: after the line that names the columns.
        columns: places of the two ids.
        names: of these columns.
        said: in words.
    """

    path: Path
    text: Path | None
    delimiter: str | None
    start: int
    columns: tuple[int, int]
    names: tuple[str, str]
    said: str


@dataclass(frozen=True)
class Batch:
    """Some rows of a file: bytes `begin` to `end` of its text (the lines that start there), or rows of a Parquet file."""

    layout: Layout
    begin: int
    end: int

    def read(self, block: WorkBlock) -> tuple[pl.Series, pl.Series]:
        """Source and target ids, text.

        Raises:
            MalformedFile: with file and line or row.
        """
        table = self._parquet() if self.layout.text is None else self._text(block)
        if table is None:
            return pl.Series(dtype=pl.String), pl.Series(dtype=pl.String)
        first, second = (0, 1) if self.layout.text is None else self.layout.columns
        if max(first, second) >= len(table.names):
            raise MalformedFile(f"{table.where(0)}: {len(table.names)} columns, fewer than in the first line.")
        frame = table.load([first, second])
        columns = frame.get_column(str(first)), frame.get_column(str(second))
        for name, column in zip(self.layout.names, columns, strict=True):
            empty = (column == "").arg_max()
            if empty is not None and column[empty] == "":
                where = table.where(empty)
                raise MalformedFile(f"{where}, column {name!r}: an empty id. Fill it in or delete the {table.unit}.")
        if self.layout.text is None:
            block.counts["read"] += text_bytes(columns[0]) + text_bytes(columns[1])
        return columns

    def _parquet(self) -> Table:
        path = self.layout.path
        try:
            frame = pl.scan_parquet(path, glob=False).slice(self.begin, self.end - self.begin).select(
                pl.nth(place).alias(name) for place, name in zip(self.layout.columns, ("source", "target"), strict=True)
            ).collect()  # fmt: skip
        except (pl.exceptions.PolarsError, OSError) as error:
            raise MalformedFile(f"{path.name}: no readable Parquet file ({str(error).splitlines()[0]}).") from error
        table = table_of_frame(frame)
        return Table(path.name, table.names, "", "row", np.asarray(table.lines) + self.begin, table.load)

    def _text(self, block: WorkBlock) -> Table | None:
        assert self.layout.text is not None
        with self.layout.text.open("rb") as file:
            begin = self.begin
            if begin > self.layout.start:  # the line that reaches into this batch belongs to the one before
                file.seek(begin - 1)
                begin += len(file.readline()) - 1
            if begin >= self.end:
                return None
            file.seek(begin)
            data = file.read(self.end - begin)
            if not data.endswith(b"\n"):
                data += file.readline()
        block.counts["read"] += len(data)
        if not has_rows(data):
            return None
        if data.count(b'"') % 2:
            raise MalformedFile(
                f"{self.layout.path.name}, after byte {begin}: a quoted name goes on in the next line. Sharded fits read one "
                "row a line: take the line feeds out of the names, or save the table as Parquet."
            )

        def parsed(lines_before: int) -> Table:
            path, delimiter = self.layout.path, self.layout.delimiter
            return table_of_text(
                path, data, header=False, delimiter=delimiter, ids=(None, None), lines_before=lines_before
            )

        try:
            return parsed(0)
        except MalformedFile:
            parsed(_lines_before(self.layout.text, begin))  # raises, and names the line
            raise


def find_files(edges: Path) -> list[Path]:
    """The edge lists of a path: a file, all files of a folder, or those that fit a pattern with * or ?; by name.

    Raises:
        MalformedFile: there is none.
        OptionError: a file of another format.
    """
    if edges.is_dir():
        found = sorted(each for each in edges.iterdir() if each.is_file() and not each.name.startswith((".", "_")))
        found = [each for each in found if is_text_file(each) or each.suffix.lower() == ".parquet"]
        if not found:
            raise MalformedFile(f"{edges}: a folder without any edge list; expected {_SUFFIXES}.")
        return found
    if is_pattern(edges):
        root = Path(edges.anchor) if edges.anchor else Path()
        found = sorted(each for each in root.glob(str(edges.relative_to(root))) if each.is_file())
        if not found:
            raise MalformedFile(f"{edges}: no file fits this pattern.")
    else:
        require_file(edges)
        found = [edges]
    for each in found:
        if not is_text_file(each) and each.suffix.lower() != ".parquet":
            raise OptionError(f"{each.name}: sharded fits read {_SUFFIXES}; save the graph as one of those.")
    return found


@dataclass(frozen=True)
class Unpack:
    """Stage: compressed text becomes text; the number is that of the file.

    Args:
        folder: of the store.
        files: all edge lists.
        stage: its name.
    """

    folder: Path
    files: tuple[Path, ...]
    stage: str = "text"

    def __call__(self, number: int) -> FinishedBlock:
        """Unpack one file."""
        path = self.files[number]
        block = WorkBlock(self.folder, self.stage, number)

        def copy(put: Callable[[bytes | memoryview], None]) -> None:
            with open_unpacked(path) as file:
                while piece := file.read(_HEAD):
                    put(piece)
                    block.counts["written"] += len(piece)

        block.counts["read"] += path.stat().st_size
        block.write("text", copy)
        return block.made()


def layout_of(
    path: Path,
    text: Path | None,
    *,
    source: str | int | None,
    target: str | int | None,
    header: bool | None,
    delimiter: str | None,
) -> Layout:
    """How a file is read, from its first rows.

    Args:
        path: of the file.
        text: where its text lies; None for Parquet.
        source: column of the first id.
        target: column of the second id.
        header: None detects it.
        delimiter: None detects it.
    """
    if text is None:
        if header is not None or delimiter is not None:
            raise OptionError(f"{path.name}: --no-header and --delimiter are for text files.")
        table = read_parquet(path, 10)
        chosen = id_columns(table, source, target)
        names = table.names[chosen[0]], table.names[chosen[1]]
        return Layout(path, None, None, 0, chosen, names, f"Parquet, columns {names[0]!r} and {names[1]!r}")
    with text.open("rb") as file:
        data = file.read(_HEAD)
        data += file.readline()
    if not data.strip():
        raise MalformedFile(f"{path.name}: the file is empty.")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise MalformedFile(f"{path.name}: UTF-16 text. Save it as UTF-8; sharded fits read nothing else.")
    table = table_of_text(path, data, header=header, delimiter=delimiter, ids=(source, target))
    chosen = id_columns(table, source, target)
    names = table.names[chosen[0]], table.names[chosen[1]]
    found = table.layout.split("-separated")[0]
    said = f"{table.layout}, columns {names[0]!r} and {names[1]!r}"
    single = found[1] if found.startswith("'") else found
    start = _after_header(data) if "with header" in table.layout else 0
    return Layout(path, text, single, start, chosen, names, said)


def plan_batches(layout: Layout, *, batch_rows: int, batch_bytes: int) -> list[Batch]:
    """A file in batches.

    Args:
        layout: of the file.
        batch_rows: rows of a Parquet file in a batch.
        batch_bytes: bytes of text in a batch.
    """
    if layout.text is None:
        try:
            total = int(pl.scan_parquet(layout.path, glob=False).select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise MalformedFile(f"{layout.path.name}: no readable Parquet file.") from error
        step = batch_rows
    else:
        total, step = layout.text.stat().st_size, batch_bytes
    if not total:
        raise DataError(f"{layout.path.name} has no row.")
    return [Batch(layout, begin, min(begin + step, total)) for begin in range(layout.start, total, step)]


def _after_header(data: bytes) -> int:
    """Where the first line ends that is neither blank nor a comment."""
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start) + 1 or len(data)
        line = data[start:stop].removeprefix(b"\xef\xbb\xbf").strip()
        start = stop
        if line and not line.startswith(b"#"):
            break
    return start


def _lines_before(path: Path, stop: int) -> int:
    count = 0
    with path.open("rb") as file:
        while stop > 0 and (piece := file.read(min(_HEAD, stop))):
            count += piece.count(b"\n")
            stop -= len(piece)
    return count
