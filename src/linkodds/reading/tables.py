"""Tables: files, packed or not, and data frames as columns of text or numbers that know the line each cell came from."""

import bz2
import difflib
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.findings import Finding

_LEAST_BOUND = 1 << 28
_MOST_RATIO = 200
"""Text of edges packs ten times, repetitive text fifty times; a bomb packs a thousand times."""


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        return zstd.ZstdFile(file)  # type: ignore[no-any-return,unused-ignore]
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError as error:
        raise OptionError(".zst is read by the package zstandard: pip install 'linkodds[formats]'.") from error
    reader: Any = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(file, read_across_frames=True)
    return io.BufferedReader(reader)


_OPENERS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item,return-value]
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _open_zstd,
}
PACKED_SUFFIXES = tuple(_OPENERS)
_PACKED_FORMATS = (".graphmlz", ".jgfz")
"""Suffixes of igraph and JGF whose files are gzip data though no .gz says so."""
_NOISE = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def _opener(path: Path) -> Callable[[IO[bytes]], IO[bytes]] | None:
    suffix = path.suffix.lower()
    return _OPENERS[".gz"] if suffix in _PACKED_FORMATS else _OPENERS.get(suffix)


def unpacked_name(path: Path) -> str:
    """The name in small letters, without the suffix of the compression.

    Example:
        >>> unpacked_name(Path("Edges.SIF.bz2")), unpacked_name(Path("edges.csv"))
        ('edges.sif', 'edges.csv')
    """
    name = path.name.lower()
    return next((name.removesuffix(each) for each in PACKED_SUFFIXES if name.endswith(each)), name)


def unpacked(path: Path, data: bytes) -> bytes:
    """The content of a file that was read, unpacked where its name ends in .gz, .bz2, .xz or .zst.

    Raises:
        MalformedFile: it is not packed that way, or holds more than 200 times its size (and more than 256 MiB).
        OptionError: a package is not installed.
    Example:
        >>> unpacked(Path("edges.csv.gz"), gzip.compress(b"a,b")), unpacked(Path("edges.csv"), b"a,b")
        (b'a,b', b'a,b')
    """
    opener = _opener(path)
    if opener is None:
        return data
    bound = max(_LEAST_BOUND, _MOST_RATIO * len(data))
    try:
        with opener(io.BytesIO(data)) as file:
            content = file.read(bound + 1)
    except Exception as error:
        told = _unreadable(path, error)
        if told is error:
            raise
        raise told from error
    if len(content) > bound:
        raise MalformedFile(
            f"{path.name}: {len(data):,} bytes unpack to more than {bound:,}, which no list of edges does; "
            "unpack the file yourself if it is one."
        )
    return content


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file to be read from its begin, unpacked where its name says so.

    Raises:
        MalformedFile: it is not packed that way, on opening or while it is read.
        OSError: the system's own failures, such as a full disk.
    """
    opener = _opener(path)
    with path.open("rb") as file:
        try:
            if opener is None:
                yield file
            else:
                with opener(file) as inner:
                    yield inner
        except Exception as error:
            told = _unreadable(path, error)
            if told is error:
                raise
            raise told from error


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, unpacked.

    Raises:
        MalformedFile, OptionError: as `unpacked`.
    """
    with open_unpacked(path) as file:
        return file.read(count)


def _unreadable(path: Path, error: Exception) -> Exception:
    """What stands for an error of the unpacker; other errors are themselves."""
    is_zstd = type(error).__name__ == "ZstdError"
    of_the_system = isinstance(error, OSError) and error.errno is not None
    if of_the_system or not (is_zstd or isinstance(error, _NOISE)):
        return error
    return MalformedFile(
        f"{path.name}: cannot be read ({error}). Is it complete, and compressed if it ends in {path.suffix}?"
    )


NOISE = (
    *(ValueError, LookupError, TypeError, ArithmeticError, OSError, EOFError, SyntaxError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What the parsers of other libraries raise, from their innards, for a file that is not what its name says."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by position, read when asked for.

    Args:
        place: what messages call it: a file name, or "the pandas table".
        names: one a column; "1", "2", ... when a file has no header.
        layout: how the file was taken to be, for the user to check; "" for frames.
        unit: what `lines` counts: "line" or "row".
        lines: shape (rows,), the line or row of each row, from 1; of a database, whose rows are counted as they are
            loaded, a range without an end.
        load: from column positions to a frame of text columns; an empty or missing cell is "".
        native: the column as float64 where it is stored as numbers, None where it is text; missing values are NaN.
        pick: from row places to a frame of all columns, as text; None: all is loaded for it.
        comments: the comment lines above the rows.
        notes: what reading the text found out.
        format: of the file or object, for people.
        delimiter: of delimited text, by its name.
        header: whether the first line of text names the columns; None where there are no lines.
    """

    place: str
    names: tuple[str, ...]
    layout: str
    unit: str
    lines: NDArray[np.int64] | range
    load: Callable[[list[int]], pl.DataFrame]
    native: Callable[[int], NDArray[np.float64] | None] = lambda _: None
    pick: Callable[[NDArray[np.int64]], pl.DataFrame] | None = None
    comments: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()
    format: str = ""
    delimiter: str | None = None
    header: bool | None = None

    def sample(self, count: int = 10_000) -> pl.DataFrame:
        """Some rows of all columns: all where there are at most twice as many, else blocks of rows from everywhere.

        Blocks, because rows of one thing often stand together; from everywhere, because files are often sorted.
        """
        everything = list(range(len(self.names)))
        if self.pick is None:
            frame = self.load(everything)
            return frame if frame.height <= 2 * count else frame.gather_every(frame.height // count)
        return self.pick(spread_rows(len(self.lines), count))

    def where(self, row: int) -> str:
        """The place of a row, such as "edges.csv, line 17"."""
        return f"{self.place}, {self.unit} {self.lines[row]}"

    def numbers(self, positions: list[int]) -> NDArray[np.float64]:
        """Shape (rows, positions): the columns as numbers; NaN where a cell is empty or text."""
        matrix = np.empty((len(self.lines), len(positions)), dtype=np.float64)
        stored = {i: self.native(i) for i in positions}
        texts = [i for i in positions if stored[i] is None]
        if texts:
            flags = {"true": "1", "false": "0", "True": "1", "False": "0"}
            cells = self.load(texts).select(
                pl.all().replace(flags).cast(pl.Float64, strict=False).fill_null(float("nan"))
            )
            matrix[:, [k for k, i in enumerate(positions) if stored[i] is None]] = cells.to_numpy()
        for k, i in enumerate(positions):
            if stored[i] is not None:
                matrix[:, k] = stored[i]
        return matrix

    def position(self, name: str | int, *, option: str) -> int:
        """Place of the column with this name.

        Raises:
            MalformedFile: there is no such column, or more than one.
        """
        found = [i for i, other in enumerate(self.names) if other == str(name)]
        found = found or [i for i, other in enumerate(self.names) if other.lstrip("# ") == str(name)]
        if len(found) == 1:
            return found[0]
        problem = "no column" if not found else f"{len(found)} columns are called"
        close = difflib.get_close_matches(str(name), self.names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close and not found else ""
        listed = ", ".join(repr(other) for other in self.names[:20]) + (", ..." if len(self.names) > 20 else "")
        numbered = " (there is no header, so columns go by number)" if "without header" in self.layout else ""
        raise MalformedFile(f"{self.place}: {problem} {name!r} for {option}; the columns are {listed}{numbered}.{hint}")


def spread_rows(num_rows: int, count: int) -> NDArray[np.int64]:
    """Places of about `count` rows in blocks of 100 from everywhere, increasing; all where there are at most twice as many.

    Example:
        >>> len(spread_rows(150, 100)), spread_rows(10**6, 200).tolist()[99:101]
        (150, [99, 999900])
    """
    if num_rows <= 2 * count:
        return np.arange(num_rows)
    starts = np.linspace(0, num_rows - 100, max(count // 100, 2)).astype(np.int64)
    return np.unique((starts[:, None] + np.arange(100)).ravel())


def load_sparse(data: bytes) -> Any:
    """A matrix of `scipy.sparse.save_npz`, its indices checked; nothing is ever unpickled.

    Raises:
        ValueError: indices outside the matrix; or whatever else SciPy raises on noise.
    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> sp.save_npz(file, sp.csr_array([[0, 1]]))
        >>> load_sparse(file.getvalue()).shape
        (1, 2)
    """
    matrix = sp.load_npz(io.BytesIO(data))
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)  # else an index out of range reads memory that is not the matrix's
    return matrix


def is_frame(value: Any) -> bool:
    """Whether this is a pandas or polars data frame, told without importing pandas.

    Example:
        >>> is_frame(pl.DataFrame({"a": [1]})), is_frame([1])
        (True, False)
    """
    return isinstance(value, pl.DataFrame) or (hasattr(value, "iloc") and hasattr(value, "columns"))


def table_of_frame(frame: Any, *, index_as_ids: bool = False) -> Table:
    """A pandas or polars data frame as a table; cells become text, missing ones "".

    Args:
        frame: the data frame.
        index_as_ids: let the index of a pandas frame be the first column, when it is named or holds no integers.
    Example:
        >>> table_of_frame(pl.DataFrame({"a": [7, None], "b": ["x", "NA"]})).load([0, 1]).rows()
        [('7', 'x'), ('', 'NA')]
    """
    if isinstance(frame, pl.DataFrame):
        return _table_of_polars(frame, "the polars table", "polars table")
    names = [str(name) for name in frame.columns]
    series = [frame.iloc[:, i] for i in range(len(names))]
    index = frame.index
    if index_as_ids and (index.name is not None or getattr(index.dtype, "kind", "O") not in "iu"):
        names.insert(0, str(index.name if index.name is not None else "index"))
        series.insert(0, index)

    def load(positions: list[int]) -> pl.DataFrame:
        return pl.DataFrame(
            {str(i): _text_of(series[i]) for i in positions}, schema=dict.fromkeys(map(str, positions), pl.String)
        )

    def native(position: int) -> NDArray[np.float64] | None:
        column = series[position]
        if getattr(column.dtype, "kind", "O") not in "fiub":
            return None
        numbers: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers

    def pick(rows: NDArray[np.int64]) -> pl.DataFrame:
        return pl.DataFrame(
            {str(i): _text_of(each.take(rows) if each is index else each.iloc[rows]) for i, each in enumerate(series)},
            schema=dict.fromkeys(map(str, range(len(names))), pl.String),
        )

    lines = np.arange(1, len(frame) + 1)
    return Table("the pandas table", tuple(names), "", "row", lines, load, native, pick, format="pandas table")


def read_parquet(path: Path, num_rows: int | None = None) -> Table:
    """A Parquet file as a table; cells become text, missing ones "".

    Args:
        path: of the file.
        num_rows: so many rows, the first; None takes all.
    Raises:
        MalformedFile: not there, or no Parquet file.
    """
    require_file(path)
    try:
        return _table_of_polars(pl.read_parquet(path, glob=False, n_rows=num_rows), path.name, "Parquet")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MalformedFile(f"{path.name}: no readable Parquet file ({str(error).splitlines()[0]}).") from error


def _text_of(series: Any) -> list[str]:
    missing = series.isna().tolist() if hasattr(series, "isna") else [False] * len(series)
    return ["" if gone else str(value) for value, gone in zip(series.tolist(), missing, strict=True)]


def _table_of_polars(frame: pl.DataFrame, place: str, form: str) -> Table:
    def load(positions: list[int]) -> pl.DataFrame:
        try:
            cells = frame.select(pl.nth(i).cast(pl.String).fill_null("").alias(str(i)) for i in positions)
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"{place}: columns of ids and features hold text or numbers, not lists or records: {error}"
            ) from error
        return cells

    def native(position: int) -> NDArray[np.float64] | None:
        column = frame.to_series(position)
        if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            return None
        return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()

    def pick(rows: NDArray[np.int64]) -> pl.DataFrame:
        some, cells = frame[rows], {}
        for i, column in enumerate(some.get_columns()):
            try:
                cells[str(i)] = column.cast(pl.String).fill_null("")
            except pl.exceptions.PolarsError:  # lists or records: nothing that an end could hold
                cells[str(i)] = pl.Series([""] * some.height, dtype=pl.String)
        return pl.DataFrame(cells)

    lines = np.arange(1, frame.height + 1)
    return Table(place, tuple(frame.columns), "", "row", lines, load, native, pick, format=form)


def require_file(path: Path) -> None:
    """Raise unless the path is a file.

    Raises:
        MalformedFile: a directory, or nothing; with the name that comes closest.
    """
    if path.is_dir():
        raise MalformedFile(f"{path} is a directory; name a file.")
    if not path.is_file():
        folder = path.parent
        close = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], n=1) if folder.is_dir() else []
        raise MalformedFile(f"{path}: there is no such file." + (f" Did you mean {close[0]!r}?" if close else ""))


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked when its name ends in .gz, .bz2, .xz or .zst.

    Raises:
        MalformedFile: not there, not readable, empty, not packed that way, or far larger than a list of edges can be.
    """
    require_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MalformedFile(f"{path.name}: cannot be read ({error}).") from error
    data = unpacked(path, data)
    if not data.strip():
        raise MalformedFile(f"{path.name}: the file is empty.")
    return data


def is_pattern(edges: Path) -> bool:
    """Whether a path that is no file has * or ? or [ in it.

    Example:
        >>> is_pattern(Path("parts/*.parquet")), is_pattern(Path("edges.csv"))
        (True, False)
    """
    return not edges.exists() and any(mark in str(edges) for mark in "*?[")
