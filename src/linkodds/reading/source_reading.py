"""How a source of edges was read: its format, its columns as a sample shows them, the two ends, and why these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from linkodds.reading.column_names import are_paired, are_two_kinds, entity_of, is_attribute, tokens
from linkodds.reading.column_values import Column, Type, are_two_names
from linkodds.reading.times import TIME_NAMES, looks_like_times

_WEIGHTS = frozenset(
    ("weight", "weights", "score", "scores", "rating", "confidence", "probability", "count", "importance")
)
_NAMES_OF_KINDS = (
    "relation relations relationship rel interaction interactions predicate metaedge edgetype edge type types kind kinds "
    "effect mechanism action mode category class association"
)
_KINDS = frozenset(_NAMES_OF_KINDS.split())
"""Words that name a kind: of an edge, or of a node."""
_MOST_KINDS = 100
ROLES = {"--time": "time", "--weight": "weight", "--relation": "kind", "--label": "label"}
"""Option -> the role of its column."""


@dataclass(frozen=True)
class ColumnSummary:
    """A column, or an attribute of edges, as a sample of the rows shows it.

    Args:
        name: of the column.
        type: integer, decimal, text or empty; "not looked at" where only the columns that were asked for were read.
        role: what it is, or looks like: source, target, kind, weight, time, label, name of source, name of target,
            row number, constant, empty, attribute (its name says so) or other.
        distinct: different values in the sample.
        examples: three of them.
        values: of a kind all of them, the most frequent first.
    """

    name: str
    type: Type
    role: str
    distinct: int
    examples: tuple[str, ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceReading:
    """How a source of edges was read.

    Args:
        place: what messages call it.
        format: of the file or object.
        delimiter: of delimited text, by its name.
        header: whether the first line names the columns; None where there are no lines.
        columns: of a table, or the attributes of edges.
        source: place of the column of the first end; None where the format has edges.
        target: place of the column of the second end.
        why: what says that these are the ends.
        rows: so many rows were looked at for the columns.
    """

    place: str
    format: str
    delimiter: str | None = None
    header: bool | None = None
    columns: tuple[ColumnSummary, ...] = ()
    source: int | None = None
    target: int | None = None
    why: str = ""
    rows: int = 0

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two ends; empty where there are no columns."""
        if self.source is None or self.target is None:
            return "", ""
        return self.columns[self.source].name, self.columns[self.target].name

    @property
    def relations(self) -> tuple[str, tuple[str, ...]]:
        """The column of the kinds of edges, and these kinds; empty where no column looks like one."""
        kinds = [each for each in self.columns if each.role == "kind" and each not in self._of_nodes()]
        if not kinds:
            return "", ()
        named = [each for each in kinds if not _KINDS.isdisjoint(tokens(each.name))]
        best = (named or kinds)[0]
        return best.name, best.values

    @property
    def node_types(self) -> tuple[str, ...]:
        """The kinds of nodes, where two columns hold them, or where the names of the ends are two kinds of things."""
        held = self._of_nodes()
        if held:
            return tuple(dict.fromkeys(value for each in held for value in each.values))
        source, target = self.names
        return (source, target) if are_two_kinds(source, target) else ()

    def _of_nodes(self) -> tuple[ColumnSummary, ...]:
        """Two columns of kinds whose names are a pair, such as x_type and y_type."""
        kinds = [each for each in self.columns if each.role == "kind"]
        for i, one in enumerate(kinds):
            for other in kinds[i + 1 :]:
                if are_paired(one.name, other.name):
                    return one, other
        return ()


def summaries(
    columns: Sequence[Column], ends: tuple[int, int] | None, used: Mapping[int, str]
) -> tuple[ColumnSummary, ...]:
    """What each column is, or looks like.

    Args:
        columns: as a sample of the rows shows them.
        ends: places of the two ends; None for attributes of edges.
        used: place of a column that was asked for -> its role.
    Example:
        >>> import polars as pl
        >>> from linkodds.reading.column_values import columns_of
        >>> rows = pl.DataFrame({"0": ["a", "b", "a"], "1": ["b", "c", "c"], "2": ["0.5", "1", "0.25"]})
        >>> [each.role for each in summaries(columns_of(("gene_a", "gene_b", "score"), rows), (0, 1), {})]
        ['source', 'target', 'weight']
    """
    found = []
    for place, column in enumerate(columns):
        role = _role(columns, place, ends, used)
        values: tuple[str, ...] = ()
        if role == "kind":
            counts = column.cells.filter(column.cells != "").value_counts(sort=True)
            values = tuple(counts.to_series(0).head(_MOST_KINDS).to_list())
        found.append(ColumnSummary(column.name, column.type, role, column.distinct, column.examples, values))
    return tuple(found)


def called(name: str, *, other: str) -> str:
    """What the things of a column are called, "left" and "right" where it has no name.

    Example:
        >>> called("userId", other="left"), called("1", other="left")
        ('user', 'left')
    """
    return entity_of(name) or (name if name and not name.isdigit() else other)


def _role(columns: Sequence[Column], place: int, ends: tuple[int, int] | None, used: Mapping[int, str]) -> str:
    column, words = columns[place], tokens(columns[place].name)
    if ends is not None and place in ends:
        return "source" if place == ends[0] else "target"
    if place in used:
        return used[place]
    if column.type == "not looked at":
        return "other"
    if column.type == "empty" or column.is_constant:
        return "empty" if column.type == "empty" else "constant"
    if column.is_times or (column.name.lower() in TIME_NAMES and looks_like_times(column.cells)):
        return "time"
    for end, of in zip(ends or (), ("source", "target"), strict=False):
        if are_two_names(columns[end], column):
            return f"name of {of}"
    if column.is_row_number or (column.is_all_distinct and "id" in words):
        return "row number"
    is_kind = not _KINDS.isdisjoint(words)
    few = column.distinct <= max(2, min(_MOST_KINDS, column.filled // (2 if is_kind else 5)))
    if is_kind and few and column.type != "decimal":
        return "kind"
    if column.type == "decimal" or (column.type == "integer" and not _WEIGHTS.isdisjoint(words)):
        return "weight"
    if is_attribute(column.name, [each.name for each in columns]):
        return "attribute"
    return "kind" if column.type == "text" and few else "other"
