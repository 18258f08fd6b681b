"""How a table was read: its columns as a sample shows them, the two ends, and what the other columns are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from linkodds.reading.column_names import is_attribute, tokens
from linkodds.reading.column_values import Column, are_two_names

_WEIGHTS = frozenset(
    ("weight", "weights", "score", "scores", "rating", "confidence", "probability", "count", "importance")
)


@dataclass(frozen=True, eq=False)
class TableReading:
    """How a table was read.

    Args:
        layout: delimiter, header and comments, in words.
        columns: as a sample of the rows shows them.
        source: place of the first end.
        target: place of the second.
        why: what says that these are the ends.
        used: place of a column that was asked for -> what for.
    """

    layout: str
    columns: tuple[Column, ...]
    source: int
    target: int
    why: str
    used: Mapping[int, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, str]:
        """The names of the two ends."""
        return self.columns[self.source].name, self.columns[self.target].name

    def roles(self) -> list[str]:
        """What each column is, or looks like."""
        return [self._role(i) for i in range(len(self.columns))]

    def _role(self, place: int) -> str:
        if place in (self.source, self.target):
            return "source" if place == self.source else "target"
        if place in self.used:
            return self.used[place]
        column = self.columns[place]
        for end, of in ((self.source, "source"), (self.target, "target")):
            if are_two_names(self.columns[end], column):
                return f"name of {of}"
        if column.type == "empty" or column.is_constant:
            return column.type if column.type == "empty" else "constant"
        if column.is_times:
            return "time"
        if column.is_row_number or (column.is_all_distinct and "id" in tokens(column.name)):
            return "row number"
        if column.type == "decimal" or (column.type == "integer" and not _WEIGHTS.isdisjoint(tokens(column.name))):
            return "weight"
        few = column.distinct <= max(2, min(100, column.filled // 5))
        named = is_attribute(column.name, [each.name for each in self.columns])
        return "kind" if column.type == "text" and few else "attribute" if named else "other"
