"""Description: what a graph is and how it was read, as a value, as text, and as the first lines of a fit."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import PossibleReading
from linkodds.findings import Finding
from linkodds.options import options_of
from linkodds.pairs import Pairs, PairSpace
from linkodds.reading.graph_options import EdgeListOptions
from linkodds.reading.source_reading import ColumnSummary, SourceReading, called

_SHOWN = 3
_MOST_NAMED = 6


@dataclass(frozen=True)
class Sample:
    """The part of a source that was looked at.

    Args:
        rows: so many rows were read.
        total: rows of the whole source, about; None where nobody counted them.
        how: which rows they are, in words.
    """

    rows: int
    total: int | None
    how: str

    @property
    def words(self) -> str:
        """What was read, and what that means for the numbers."""
        of = "" if self.total is None else f" of about {self.total:,}"
        edges = "Edges" if self.total is None else "The number of edges is an estimate;"
        rest = ", nodes" if self.total is None else " nodes"
        return (
            f"A sample: {self.rows:,}{of} rows were read, {self.how}. {edges}{rest}, distinct values and what is left out are "
            "counted in these rows."
        )


@dataclass(frozen=True)
class GraphOrigin:
    """Where a graph comes from, as far as a description says it.

    Args:
        reading: how the source was read.
        num_rows: rows, or edges, as read.
        first_edges: the first of them, in the user's own words.
        loops: self-loops among the rows.
        repeats: rows that repeat an edge.
        reversed: rows that repeat an edge the other way round.
        num_ends: different ids in the first column and in the second.
        summarised: findings that the description says in its own words.
        place: the file or database as it was given; None for an object in memory.
        options: of reading, as they were given.
    """

    reading: SourceReading
    num_rows: int
    first_edges: tuple[tuple[str, str], ...] = ()
    loops: int = 0
    repeats: int = 0
    reversed: int = 0
    num_ends: tuple[int, int] = (0, 0)
    summarised: tuple[Finding, ...] = ()
    place: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class _Described(Protocol):
    """What a description takes of a graph, or of its parts."""

    @property
    def ids(self) -> NDArray[np.object_]: ...
    @property
    def edges(self) -> Pairs: ...
    @property
    def space(self) -> PairSpace: ...
    @property
    def others(self) -> Any: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def origin(self) -> GraphOrigin | None: ...


@dataclass(frozen=True)
class GraphDescription:
    """What a graph is and how it was read; `print(description)` shows it.

    Args:
        place: what messages call the source.
        format: of the file or object.
        delimiter: of delimited text.
        header: whether its first line names the columns; None where there are no lines.
        columns: of a table, or the attributes of edges; each with name, type, role, distinct, examples.
        source: name, or number from 1, of the column of the first end; None where the format has edges.
        target: of the column of the second end.
        why: what says that these are the ends.
        num_rows: rows, or edges, as read.
        num_nodes: nodes, isolated ones too; None where the source was refused.
        num_edges: distinct edges.
        directed: whether they have a direction.
        bipartite: whether they join two sides only.
        sides: nodes of the two sides.
        node_types: kinds of nodes, where the source tells any.
        relation: the column of the kinds of edges.
        relations: these kinds.
        duplicates: rows that repeat an edge.
        reversed_duplicates: rows that repeat an edge the other way round.
        self_loops: rows that join a node with itself.
        isolated_nodes: nodes without an edge.
        first_edges: the first three, in the user's own words.
        command: what fits this source as it was read; None for objects in memory.
        sample: what was read of a large file; None where it was all.
        ambiguous: the readings, where there is more than one.
        refused: why the source cannot be read; None where it can.
        notes: what else is to be said.
    """

    place: str
    format: str
    delimiter: str | None = None
    header: bool | None = None
    columns: tuple[ColumnSummary, ...] = ()
    source: str | None = None
    target: str | None = None
    why: str = ""
    num_rows: int | None = None
    num_nodes: int | None = None
    num_edges: int | None = None
    directed: bool | None = None
    bipartite: bool | None = None
    sides: tuple[int, int] | None = None
    node_types: tuple[str, ...] = ()
    relation: str | None = None
    relations: tuple[str, ...] = ()
    duplicates: int = 0
    reversed_duplicates: int = 0
    self_loops: int = 0
    isolated_nodes: int = 0
    first_edges: tuple[tuple[str, str], ...] = ()
    command: str | None = None
    sample: Sample | None = None
    ambiguous: tuple[PossibleReading, ...] = ()
    refused: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same facts as `linkodds inspect --json` prints them."""
        keys = ("name", "type", "role", "distinct", "examples")
        columns = [{key: getattr(each, key) for key in keys} for each in self.columns]
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        readings = [each.to_json() for each in self.ambiguous]
        sample = None if self.sample is None else vars(self.sample)
        return plain | {"columns": columns, "sample": sample, "ambiguous": readings or False}

    def lines(self) -> list[str]:
        """Two to six plain sentences: how it was read, and what came of it."""
        found = [self._about_columns(), self._about_rows(), *self._about_sides()]
        dropped = [
            f"{count:,} {what if count == 1 else f'{what}s'}"
            for count, what in (
                (self.duplicates, "duplicate"),
                (self.reversed_duplicates, "reversed duplicate"),
                (self.self_loops, "self-loop"),
            )
            if count
        ]
        if dropped:
            found.append(f"Left out: {', '.join(dropped)}.")
        if self.isolated_nodes:
            have = "node has no edge; it is" if self.isolated_nodes == 1 else "nodes have no edge; they are"
            found.append(f"{self.isolated_nodes:,} {have} kept.")
        return found

    def __str__(self) -> str:
        parts = [self.title, *_table_of(self.columns)]
        if self.sample is not None:
            parts.append(self.sample.words)
        if self.refused is None:
            parts += self.lines()
        if self.relations and self.relation is not None:
            parts.append(f"Kinds of edges, in {self.relation!r}: {_named(self.relations)}.")
        if self.node_types:
            parts.append(f"Kinds of nodes: {_named(self.node_types)}.")
        parts += self.notes if self.refused is None else ()
        if self.ambiguous:
            parts.append("It can be read in more than one way:")
            parts += [_shown(each) for each in self.ambiguous]
        if self.command is not None:
            parts.append(f"Fit it with:\n  {self.command}")
        return "\n".join(parts)

    @property
    def title(self) -> str:
        """The source and its format."""
        header = {None: "", True: ", with a header", False: ", without a header"}[self.header]
        return f"{self.place}: {self.format}{header}"

    def _about_columns(self) -> str:
        first = "; ".join(f"{u} - {v}" for u, v in self.first_edges)
        if self.source is None or self.target is None:
            return f"Read as {self._read_as()}. First edges: {first}."
        columns = f"columns {self.source!r} and {self.target!r}" if self.header is not False else self._by_number()
        return f"Read as {self._read_as()}. Edges join {columns}, since {self.why}. First edges: {first}."

    def _by_number(self) -> str:
        return f"columns {self.source} and {self.target}"

    def _read_as(self) -> str:
        return self.title.removeprefix(f"{self.place}: ")

    def _about_rows(self) -> str:
        rows = "" if self.num_rows is None else f"{self.num_rows:,} {'row' if self.source else 'edge'}s as read: "
        about = "" if self.sample is None or self.sample.total is None else "about "
        kind = "directed" if self.directed else "undirected"
        return f"{rows}{self.num_nodes:,} nodes and {about}{self.num_edges:,} {kind} edges."

    def _about_sides(self) -> list[str]:
        if not self.bipartite:
            return []
        a, b = self.sides or (0, 0)
        names = f" ({self.node_types[0]} and {self.node_types[1]})" if len(self.node_types) == 2 else ""
        return [
            f"Two sides, {a:,} and {b:,} nodes{names}: only pairs across are candidates. --no-bipartite takes those within a "
            "side too."
        ]


def describe(graph: _Described, sample: Sample | None = None) -> GraphDescription:
    """The description of a graph.

    Args:
        graph: a graph, or its parts.
        sample: what was read of its source; None: all of it.
    Example:
        >>> from linkodds import Graph
        >>> facts = describe(Graph.from_edges([("p53", "mdm2"), ("mdm2", "p53"), ("p53", "atm")]))
        >>> facts.num_nodes, facts.num_edges, facts.reversed_duplicates, facts.first_edges[0]
        (3, 2, 1, ('p53', 'mdm2'))
    """
    isolated = int((np.bincount(graph.edges.ravel(), minlength=len(graph.ids)) == 0).sum())
    sides = graph.space.sides
    found = GraphDescription(
        "the graph",
        "graph",
        num_nodes=len(graph.ids),
        num_edges=len(graph.edges),
        directed=graph.space.directed,
        bipartite=sides is not None,
        sides=sides,
        isolated_nodes=isolated,
        first_edges=tuple((str(u), str(v)) for u, v in graph.ids[graph.edges[:_SHOWN]]),
    )
    origin = graph.origin
    if origin is None:
        return found
    found = with_reading(found, origin.reading)
    columns = found.columns
    if sample is None:  # all rows were read, so both ends are known to the last id
        columns = tuple(
            replace(each, distinct=origin.num_ends[each.role == "target"])
            if each.role in ("source", "target")
            else each
            for each in columns
        )
    edges, others = len(graph.edges), graph.others
    if sample is not None and sample.total is not None and origin.num_rows:
        edges = round(edges / origin.num_rows * sample.total)
    types = found.node_types
    if sides is not None and not types and all(origin.reading.names) and found.header is not False:
        types = tuple(called(name, other=name) for name in origin.reading.names)
        types = types if types[0] != types[1] else ()
    return replace(
        found,
        columns=columns,
        num_rows=origin.num_rows,
        num_edges=edges,
        node_types=types,
        relation=found.relation if others is None else others.column,
        relations=found.relations if others is None else (others.predicted, *others.counts),
        duplicates=origin.repeats,
        reversed_duplicates=origin.reversed,
        self_loops=origin.loops,
        first_edges=origin.first_edges or found.first_edges,
        command=None if origin.place is None else fit_command(origin.place, origin.options, origin.reading),
        sample=sample,
        notes=tuple(
            f"{each.message} {each.remedy}"
            for each in graph.findings
            if each not in origin.summarised and each.severity != "info"
        )
        + _suggestions(columns),
    )


def with_reading(found: GraphDescription, reading: SourceReading) -> GraphDescription:
    """The description with what is known of the source itself."""
    source, target = reading.names
    column, kinds = reading.relations
    return replace(
        found,
        place=reading.place,
        format=reading.format,
        delimiter=reading.delimiter,
        header=reading.header,
        columns=reading.columns,
        source=source or None,
        target=target or None,
        why=reading.why,
        node_types=reading.node_types,
        relation=column or None,
        relations=kinds,
    )


def fit_command(place: str, options: Mapping[str, Any], reading: SourceReading, more: Sequence[str] = ()) -> str:
    """The command that fits a source as it was read: the ends of a table with more columns are named in it.

    Args:
        place: the file or database.
        options: of reading, as they were given.
        reading: how the source was read.
        more: words behind the others.
    Example:
        >>> fit_command("my edges.tsv", {"directed": True, "weight": "w"}, SourceReading("my edges.tsv", "text"))
        "linkodds fit 'my edges.tsv' --out my-edges-run --directed --weight w"
    """
    given = dict(options)
    names = [each.name for each in reading.columns]
    if len(names) > 2 and all(names.count(each) == 1 for each in reading.names):
        given |= dict(zip(("source", "target"), reading.names, strict=True))
    words = ["linkodds", "fit", place, "--out", _free_name(place)]
    for name, each in options_of(EdgeListOptions).items():
        if given.get(name) is not None and given[name] is not each.default:
            words += _typed(name, each.option.flags, given[name])
    return shlex.join([*words, *more])


def _typed(name: str, flags: tuple[str, ...], value: Any) -> list[str]:
    """An option as it is typed."""
    flag = flags[0] if flags else f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        on, _, off = flag.partition("/")
        return [off if off and not value else on]
    return [f"{flag}={value}"] if str(value).startswith("-") else [flag, str(value)]


def _free_name(place: str) -> str:
    """A name for a run that is not taken."""
    stem = "".join(each if each.isalnum() or each in "._" else "-" for each in Path(place.split("?table=")[-1]).name)
    stem = stem.split(".")[0].strip("-_") or "edges"
    number, name = 1, f"{stem}-run"
    while Path(name).exists():
        number += 1
        name = f"{stem}-run-{number}"
    return name


def _suggestions(columns: tuple[ColumnSummary, ...]) -> tuple[str, ...]:
    """What else the columns could be used for."""
    options = {"weight": "--weight {} --weight-as confidence|strength", "time": "--time {}", "kind": "--relation {}"}
    found = [
        options[each.role].format(shlex.quote(each.name)) for each in columns if each.role in options and each.name
    ]
    return (f"Where they mean something, fit can use: {'; '.join(found[:_MOST_NAMED])}.",) if found else ()


def _shown(reading: PossibleReading) -> str:
    first = "; ".join(f"{u} - {v}" for u, v in reading.edges)
    return f"  {reading.says}: {first}" + (f"\n    {reading.command}" if reading.command else "")


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _table_of(columns: tuple[ColumnSummary, ...]) -> list[str]:
    """The columns as lines of a table, aligned."""
    if not columns:
        return []
    rows = [("column", "type", "looks like", "distinct", "examples")]
    rows += [
        (each.name or "(no name)", each.type, each.role, f"{each.distinct:,}", ", ".join(each.examples))
        for each in columns
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = []
    for *cells, examples in rows:
        aligned = [cell.ljust(width) for cell, width in zip(cells[:3], widths, strict=False)]
        lines.append("  " + "  ".join([*aligned, cells[3].rjust(widths[3]), examples]).rstrip())
    return lines
