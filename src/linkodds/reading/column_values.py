"""Column values: what a sample of rows tells of each column, and of any two of them."""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from linkodds.reading.times import looks_like_times

Type = Literal["integer", "decimal", "text", "empty", "not looked at"]

_DECIMAL = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_SHOWN = 40


@dataclass(frozen=True, eq=False)
class Column:
    """A column as a sample shows it.

    Args:
        name: of the column.
        cells: the sample, text; "" where nothing stands.
        type: of most cells: decimals have digits other than 0 behind the point in some cell.
        distinct: different cells, empty ones aside.
        filled: cells that are not empty.
    """

    name: str
    cells: pl.Series
    type: Type
    distinct: int
    filled: int

    @property
    def values(self) -> pl.Series:
        """The different cells, empty ones aside."""
        return self.cells.filter(self.cells != "").unique()

    @property
    def is_constant(self) -> bool:
        """Whether all rows say the same, in more rows than one."""
        return self.distinct < 2 and self.filled > 1

    @property
    def is_all_distinct(self) -> bool:
        """Whether no two of many rows say the same."""
        return self.filled >= 10 and self.distinct == self.filled

    @property
    def is_row_number(self) -> bool:
        """Whether the cells count the rows, by ones in some stretch of them."""
        if self.type != "integer" or not self.is_all_distinct:
            return False
        numbers = self.cells.head(50).cast(pl.Float64, strict=False).diff().drop_nulls()
        return bool(len(numbers)) and bool((numbers == 1).all())

    @property
    def is_times(self) -> bool:
        """Whether the cells are dates, or seconds or milliseconds since 1970."""
        if self.type == "text":
            return looks_like_times(self.cells) and bool(self.values.str.contains(r"^\d{4}-\d\d").all())
        if self.type != "integer" or self.filled < 2:
            return False
        numbers = self.values.cast(pl.Float64, strict=False)
        return all(5e8 < float(each) < 2.2e9 or 5e11 < float(each) < 2.2e12 for each in (numbers.min(), numbers.max()))  # type: ignore[arg-type]

    @property
    def examples(self) -> tuple[str, ...]:
        """Three different cells, in order."""
        seen = self.cells.filter(self.cells != "").unique(maintain_order=True).head(3).to_list()
        return tuple(cell if len(cell) <= _SHOWN else cell[: _SHOWN - 1] + "…" for cell in seen)


def columns_of(names: tuple[str, ...], sample: pl.DataFrame) -> list[Column]:
    """The columns of a sample; those that are not in it are "not looked at".

    Example:
        >>> table = pl.DataFrame({"0": ["a", "b", ""], "1": ["1", "2", "2"], "2": ["0.5", "1", "2"]})
        >>> [(column.type, column.distinct, column.filled) for column in columns_of(("x", "y", "z"), table)]
        [('text', 2, 2), ('integer', 2, 3), ('decimal', 3, 3)]
    """
    return [
        _column(name, sample.get_column(str(i))) if str(i) in sample.columns else _unread(name)
        for i, name in enumerate(names)
    ]


def _unread(name: str) -> Column:
    return Column(name, pl.Series([], dtype=pl.String), "not looked at", 0, 0)


def _column(name: str, cells: pl.Series) -> Column:
    filled = cells.filter(cells != "")
    if not len(filled):
        return Column(name, cells, "empty", 0, 0)
    kind: Type = "text"
    numbers = filled.str.contains(_DECIMAL).mean()
    if numbers is not None and float(numbers) >= 0.99:  # type: ignore[arg-type]
        values = filled.cast(pl.Float64, strict=False).drop_nulls()
        kind = "integer" if bool((values % 1 == 0).all()) else "decimal"
    return Column(name, cells, kind, filled.n_unique(), len(filled))


def are_two_names(one: Column, other: Column) -> bool:
    """Whether each of two columns tells the other: two names of one thing, which some rows repeat.

    Example:
        >>> ids, names = pl.Series(["1", "2", "1", "2"]), pl.Series(["a", "b", "a", "b"])
        >>> columns = columns_of(("id", "name"), pl.DataFrame({"0": ids, "1": names}))
        >>> are_two_names(*columns)
        True
    """
    if (
        one.distinct < 2
        or other.distinct < 2
        or min(one.distinct, other.distinct) < 0.8 * max(one.distinct, other.distinct)
    ):
        return False
    both = pl.DataFrame({"one": one.cells, "other": other.cells}).filter(
        (pl.col("one") != "") & (pl.col("other") != "")
    )
    pairs = both.n_unique()
    return pairs < 0.9 * both.height and pairs <= 1.05 * max(one.distinct, other.distinct)


def shared_share(one: Column, other: Column) -> float:
    """How much of their vocabulary two columns share, 0 to 1: the mean of the shares in the smaller one and in both.

    Example:
        >>> table = pl.DataFrame({"0": ["a", "b"], "1": ["b", "c"]})
        >>> round(shared_share(*columns_of(("x", "y"), table)), 2)
        0.42
    """
    if not one.distinct or not other.distinct:
        return 0.0
    shared = int(one.values.is_in(other.values.implode()).sum())
    return (shared / min(one.distinct, other.distinct) + shared / (one.distinct + other.distinct - shared)) / 2
