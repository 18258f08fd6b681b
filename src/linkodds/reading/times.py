"""Times of edges: a column of integers, floats or ISO dates as numbers that can be ordered, and back as text."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, MalformedFile

Kind = Literal["integer", "float", "date"]

TIME_NAMES = (
    *("time", "times", "timestamp", "timestamps", "ts", "datetime", "date", "dates", "year", "years", "yr", "day"),
    *("month", "published", "created", "created_at"),
)
"""Names of columns, in small letters, that are taken for times when nobody said so."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_EXPECTED = "a time is an integer, a number, or an ISO date such as 2020-01-31 or 2020-01-31T12:00:00"


@dataclass(frozen=True, eq=False)
class EdgeTimes:
    """One time for each edge, or for each row as read.

    Args:
        values: shape (edges,), int64 or float64; of dates the microseconds since 1970, in UTC where they have a zone.
        kind: what the column holds.
        column: its name.
    Example:
        >>> times = EdgeTimes(np.array([0, 86_400_000_000]), "date", "published")
        >>> times.text(times.values[1]), times.span(times.values[1] - times.values[0])
        ('1970-01-02', '1 days')
    """

    values: NDArray[Any]
    kind: Kind
    column: str

    def text(self, value: Any) -> str:
        """A time as the column writes it; a date without its clock where that is midnight."""
        return time_text(value, self.kind)

    def span(self, distance: Any) -> str:
        """The distance between two times: days for dates, else the column's own unit."""
        number = float(distance) / (_DAY if self.kind == "date" else 1)
        return f"{number:.6g}{' days' if self.kind == 'date' else ''}"

    def of(self, chosen: NDArray[Any]) -> "EdgeTimes":
        """The times of some of the edges, by index or mask."""
        return EdgeTimes(self.values[chosen], self.kind, self.column)


@dataclass(frozen=True, eq=False)
class SplitTimes:
    """The times of the edges of a split, part by part and in the order of its edges.

    Args:
        column: that they come from.
        kind: what it holds.
        parts: train, validation, calibration and test -> shape (edges,).
    Example:
        >>> parts = {"train": [1, 2], "validation": [3], "calibration": [4], "test": [5, 7]}
        >>> times = SplitTimes("year", "integer", {part: np.array(values) for part, values in parts.items()})
        >>> times.train_end, times.ranges()["test"]
        (2, ('5', '7'))
    """

    column: str
    kind: Kind
    parts: Mapping[str, NDArray[Any]]

    @property
    def train_end(self) -> Any:
        """The last time of a train edge."""
        return self.parts["train"].max().item()

    def of(self, part: str) -> EdgeTimes:
        """The times of one part."""
        return EdgeTimes(self.parts[part], self.kind, self.column)

    def among(self, kept: Mapping[str, NDArray[np.bool_]]) -> "SplitTimes":
        """The times of some edges of each part; of a part that is not named, all."""
        parts = {part: values[kept[part]] if part in kept else values for part, values in self.parts.items()}
        return SplitTimes(self.column, self.kind, parts)

    def ranges(self) -> dict[str, tuple[str, str]]:
        """Part -> its first and last time, as the column writes them."""
        return {
            part: (time_text(values.min(), self.kind), time_text(values.max(), self.kind))
            for part, values in self.parts.items()
        }

    def sentence(self) -> str:
        """Where the parts begin and end, for the terminal."""
        said = [f"{part} {first} to {last}" for part, (first, last) in self.ranges().items()]
        return f"split by time, column {self.column!r}: {', '.join(said)}"

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays to stand beside the edges in split.npz."""
        named = {f"times_{part}": values for part, values in self.parts.items()}
        return {**named, "times_kind": np.array(self.kind), "times_column": np.array(self.column)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "SplitTimes | None":
        """The inverse of `to_arrays`, with the edges of the parts beside the times; None where there are no times.

        Raises:
            BrokenRun: times that are no numbers, or not one for each edge.
        """
        if "times_kind" not in arrays:
            return None
        parts = {name.removeprefix("times_"): arrays[name] for name in arrays if name.startswith("times_")}
        kind, column = str(parts.pop("kind")), str(parts.pop("column"))
        fits = all(
            values.dtype.kind in "if" and len(values) == len(arrays[part]) and np.isfinite(values).all()
            for part, values in parts.items()
        )
        if not fits or set(parts) != {"train", "validation", "calibration", "test"}:
            raise BrokenRun("split.npz holds times that are not one finite number for each edge.")
        if kind not in ("integer", "float", "date"):
            raise BrokenRun(f"split.npz holds times of the unknown kind {kind!r}.")
        return SplitTimes(column, kind, parts)  # type: ignore[arg-type]  # mypy does not narrow by a tuple


def facts_of_times(times: EdgeTimes) -> dict[str, str]:
    """Column, kind and a hash of the times, which a resumed fit must find again.

    Example:
        >>> sorted(facts_of_times(EdgeTimes(np.array([1, 2]), "integer", "year")))
        ['column', 'kind', 'sha256']
    """
    digest = hashlib.sha256(np.ascontiguousarray(times.values).tobytes()).hexdigest()
    return {"column": times.column, "kind": times.kind, "sha256": digest}


def time_text(value: Any, kind: Kind) -> str:
    """A time as its column writes it.

    Example:
        >>> time_text(2015, "integer"), time_text(0.5, "float"), time_text(43_200_000_000, "date")
        ('2015', '0.5', '1970-01-01T12:00:00')
    """
    if kind == "integer":
        return str(int(value))
    if kind == "float":
        return f"{float(value):.10g}"
    try:
        moment = _EPOCH + timedelta(microseconds=int(value))
    except OverflowError:
        return f"{int(value)} microseconds since 1970"
    return moment.date().isoformat() if int(value) % _DAY == 0 else moment.replace(tzinfo=None).isoformat()


def read_times(cells: pl.Series, column: str, where: Callable[[int], str]) -> EdgeTimes:
    """A column of text as times: all integers, all numbers, or all ISO dates.

    Args:
        cells: shape (rows,), text, blanks around it taken away.
        column: its name.
        where: the place of a row, for messages.
    Raises:
        MalformedFile: a cell that is none of these, or is another of these than the first cell, with line, column, value.
    Example:
        >>> read_times(pl.Series(["2020-01-31", "2019-12-31"]), "published", str).kind
        'date'
        >>> read_times(pl.Series(["7", "soon"]), "t", lambda row: f"line {row + 1}")
        Traceback (most recent call last):
        linkodds.errors.MalformedFile: line 2, column 't': 'soon' is no time; a time is an integer, ...
    """
    whole = cells.cast(pl.Int64, strict=False)
    if whole.null_count() == 0:
        return EdgeTimes(whole.to_numpy(), "integer", column)
    number = cells.cast(pl.Float64, strict=False).to_numpy()
    if np.isfinite(number).all():
        return EdgeTimes(number, "float", column)
    distinct = cells.unique(maintain_order=True).to_list()
    moments = {cell: moment for cell in distinct if (moment := _moment(cell)) is not None}
    # A cell such as 20200131 is a number to begin with; beside dates it is one of them.
    zones = {moment.tzinfo is not None for moment in moments.values()}
    if len(moments) == len(distinct) and len(zones) == 1:
        microseconds = [(_aware(moments[cell]) - _EPOCH) // timedelta(microseconds=1) for cell in distinct]
        table = dict(zip(distinct, microseconds, strict=True))
        return EdgeTimes(np.array([table[cell] for cell in cells.to_list()], dtype=np.int64), "date", column)
    raise _refusal(cells, number, moments, column, where)


def looks_like_times(cells: pl.Series) -> bool:
    """Whether a few cells of a column with a name of times are times, at least two of them different.

    Example:
        >>> looks_like_times(pl.Series(["2001", "2002"])), looks_like_times(pl.Series(["2001", "soon"]))
        (True, False)
    """
    try:
        return len(np.unique(read_times(cells, "", str).values)) > 1
    except MalformedFile:
        return False


def _refusal(
    cells: pl.Series,
    number: NDArray[np.float64],
    moments: Mapping[str, datetime],
    column: str,
    where: Callable[[int], str],
) -> MalformedFile:
    def kind_of(row: int) -> str:
        moment = moments.get(cells[row])
        if np.isfinite(number[row]):
            return "a number"
        return "" if moment is None else "a date" + ("" if moment.tzinfo is None else " with a time zone")

    kinds = [kind_of(row) for row in range(len(cells))]
    if "" in kinds:
        row = kinds.index("")
        shown = repr(cells[row]) if cells[row] else "an empty cell"
        cure = "Write the column so" if cells[row] else "Fill it in"
        return MalformedFile(
            f"{where(row)}, column {column!r}: {shown} is no time; {_EXPECTED}. {cure} or delete the row."
        )
    row = next(row for row, kind in enumerate(kinds) if kind != kinds[0])
    return MalformedFile(
        f"{where(row)}, column {column!r}: {cells[row]!r} is {kinds[row]}, where the first, {cells[0]!r}, is {kinds[0]}: "
        "they have no common order. Write all times alike."
    )


def _moment(cell: str) -> datetime | None:
    try:
        return datetime.fromisoformat(f"{cell}-01" if re.fullmatch(r"\d{4}-\d{2}", cell) else cell)
    except ValueError:
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
