"""ParsedGraph: what every graph format and graph object becomes, before its attributes are chosen from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import AmbiguousReading, DataError, OptionError, PossibleReading
from linkodds.findings import Finding
from linkodds.pairs import Pairs
from linkodds.reading.column_values import columns_of
from linkodds.reading.edge_columns import of_one_kind, unused_times, weights_of_column
from linkodds.reading.interop import EdgeList, ignored_columns
from linkodds.reading.labels import labelled_rows
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.relations import read_kinds
from linkodds.reading.source_reading import ROLES, SourceReading, summaries
from linkodds.reading.tables import Table, table_of_frame
from linkodds.reading.times import read_times


@dataclass(frozen=True, eq=False)
class ParsedGraph:
    """Nodes, edges and their attributes as the format has them: nothing dropped.

    Args:
        place: what messages call the source.
        layout: its format, for the user to check.
        ids: shape (nodes,), text, no id twice; nodes without an edge among them.
        pairs: shape (edges, 2), places in `ids`.
        directed: what the format says of direction; None where it says nothing.
        attributes: one row an edge; text, "" where there is none, or numbers.
        unit: what `numbers` counts: "line", "edge", "entry", ...
        numbers: shape (edges,), the line or number of each edge; None: from 1.
        numbered: the ids are nothing but row numbers, so that a list of nodes may name them.
        side: shape (nodes,), 0, 1 or 2 (neither), where the format says which side of a bipartite graph a node is on.
        findings: what is to be said of it.
        features: one row a node, or None.
        ours: linkodds wrote it, so that its edges may be predicted ones.
        one_way: edges without a counterpart, in a matrix of which nobody said that it has a direction.
    """

    place: str
    layout: str
    ids: NDArray[np.object_]
    pairs: Pairs
    directed: bool | None = None
    attributes: pl.DataFrame | None = None
    unit: str = "edge"
    numbers: NDArray[np.int64] | None = None
    numbered: bool = False
    side: NDArray[np.int64] | None = None
    findings: tuple[Finding, ...] = ()
    features: Any = None
    ours: bool = False
    one_way: int = 0

    def where(self, row: int) -> str:
        """The place of an edge, such as "ppi.sif, line 17"."""
        return f"{self.place}, {self.unit} {row + 1 if self.numbers is None else self.numbers[row]}"


def edges_of_parsed(
    graph: ParsedGraph, columns: ReadingOptions, *, directed: bool | None = None, warns_of_times: bool = True
) -> EdgeList:
    """The edges, with the attributes that were asked for as times, weights and kinds.

    Args:
        graph: as parsed.
        columns: which attributes are meant.
        directed: whether edges have a direction; None takes what the format says, else they have none.
        warns_of_times: whether to look for an attribute of times that nobody asked for.
    Raises:
        OptionError: source or target, which are for tables; directed=True where the format says that there are none.
        MalformedFile: no such attribute, or a value that is not what it should be.
        DataError: no edge.
    """
    if columns.source is not None or columns.target is not None:
        raise OptionError(f"--source, --target: for tables only, {graph.layout} has no use for it.")
    if directed and graph.directed is False:
        raise OptionError(f"directed: {graph.place} has no directions. Leave directed out, or pass a directed graph.")
    if columns.label is not None:
        graph = _with_label(graph, columns.label)
    if not len(graph.pairs):
        raise DataError(f"{graph.place}: {graph.layout}, {len(graph.ids)} nodes and no edge.")
    if graph.one_way and directed is None:
        first = tuple((str(u), str(v)) for u, v in graph.ids[graph.pairs[:3]])
        raise AmbiguousReading(
            f"{graph.place} is not symmetric: {graph.one_way} of its {len(graph.pairs)} entries have no counterpart, "
            f"such as {first[0][0]} - {first[0][1]}. "
            "Pass --directed (directed=True) if edges have a direction, --undirected (directed=False) if they have none.",
            (
                PossibleReading("edges have a direction", ("--directed",), first),
                PossibleReading("edges have no direction", ("--undirected",), first),
            ),
        )
    is_directed = bool(graph.directed) if directed is None else directed
    findings = list(graph.findings)
    if graph.directed and directed is None:
        message = f"{graph.place} is directed, so its {len(graph.pairs)} edges are read with their direction."
        remedy = "Pass --undirected (directed=False) if the direction means nothing."
        findings.append(Finding("reading", "info", message, remedy))
    read = EdgeList(
        graph.ids,
        graph.pairs,
        is_directed,
        graph.where,
        own_order=True,
        numbered=graph.numbered,
        layout=graph.layout,
        features=graph.features,
        side=None if is_directed else graph.side,
        bipartite=True if graph.side is not None and not is_directed else None,
    )
    read, about = _with_attributes(read, _table_of_attributes(graph), columns, warns_of_times)
    return replace(read, findings=(*findings, *about))


def built(
    ids: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    attributes: Sequence[Mapping[str, Any]],
    *,
    place: str,
    layout: str,
    **facts: Any,
) -> ParsedGraph:
    """A parsed graph of Python lists: one mapping of attributes an edge.

    Example:
        >>> graph = built(["a", "b"], [(0, 1)], [{"kind": "pp"}], place="x.sif", layout="SIF")
        >>> graph.attributes.rows(), graph.where(0)
        ([('pp',)], 'x.sif, edge 1')
    """
    return ParsedGraph(
        place,
        layout,
        np.array(ids, dtype=object),
        np.array(pairs, dtype=np.int64).reshape(-1, 2),
        attributes=frame_of_attributes(attributes),
        **facts,
    )


def frame_of_attributes(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame | None:
    """One column an attribute, as text, in order of first appearance; None where there is none.

    Example:
        >>> frame_of_attributes([{"w": 0.5}, {"w": None, "k": True}]).rows()
        [('0.5', ''), ('', 'true')]
    """
    names = dict.fromkeys(name for row in rows for name in row)
    if not names:
        return None
    return pl.DataFrame(
        {name: pl.Series([text_of_value(row.get(name)) for row in rows], dtype=pl.String) for name in names}
    )


def text_of_value(value: Any) -> str:
    """A value as a cell: "" where it is missing, true and false for flags."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(value)


def both_directions(
    pairs: Sequence[tuple[int, int]], one_way: Sequence[bool], place: str
) -> tuple[list[int], list[tuple[int, int]], bool | None, list[Finding]]:
    """The edges of a graph that may have arcs and edges side by side.

    Args:
        pairs: places of the ends.
        one_way: whether each has a direction.
        place: what messages call it.
    Returns:
        The edge that each row comes from, the rows, whether they have a direction, and what is to be said.
    Example:
        >>> rows, pairs, directed, said = both_directions([(0, 1), (1, 2)], [True, False], "a.net")
        >>> rows, pairs, directed, said[0].message
        ([0, 1, 1], [(0, 1), (1, 2), (2, 1)], True, 'a.net has 1 arc(s) and 1 edge(s): an edge counts in both directions.')
    """
    arcs = sum(one_way)
    if arcs in (0, len(pairs)):
        return list(range(len(pairs))), list(pairs), bool(arcs) if pairs else None, []
    rows, both = [], []
    for i, ((u, v), is_arc) in enumerate(zip(pairs, one_way, strict=True)):
        rows.append(i)
        both.append((u, v))
        if not is_arc:
            rows.append(i)
            both.append((v, u))
    message = f"{place} has {arcs} arc(s) and {len(pairs) - arcs} edge(s): an edge counts in both directions."
    remedy = "Pass --undirected (directed=False) if no direction means anything."
    return rows, both, True, [Finding("reading", "warning", message, remedy, float(arcs))]


def chosen(values: Sequence[Any], rows: Iterable[int]) -> list[Any]:
    """The values of some rows."""
    return [values[row] for row in rows]


def _table_of_attributes(graph: ParsedGraph) -> Table:
    frame = pl.DataFrame() if graph.attributes is None else graph.attributes
    count = len(graph.pairs)
    numbers = np.arange(1, count + 1) if graph.numbers is None else graph.numbers
    return replace(table_of_frame(frame), place=graph.place, layout=graph.layout, unit=graph.unit, lines=numbers)


def _with_label(graph: ParsedGraph, label: str | int) -> ParsedGraph:
    """The edges whose label is above 0; the nodes stay."""
    table = _table_of_attributes(graph)
    place = table.position(label, option="--label")
    rows = labelled_rows(table.load([place]).to_series(), table, place)
    left_out = len(graph.pairs) - len(rows)
    message = f"{left_out:,} edge(s) whose attribute {label!r} is not above 0 are left out."
    assert graph.attributes is not None
    return replace(
        graph,
        pairs=graph.pairs[rows],
        numbers=rows + 1 if graph.numbers is None else graph.numbers[rows],
        attributes=graph.attributes[rows.tolist()],
        findings=(*graph.findings, Finding("reading", "info", message, "Nothing to do.", float(left_out))),
    )


def _with_attributes(
    read: EdgeList, table: Table, columns: ReadingOptions, warns_of_times: bool
) -> tuple[EdgeList, list[Finding]]:
    places = {option: table.position(name, option=option) for option, name in columns.beside_ends if name is not None}
    if len(set(places.values())) < len(places):
        raise OptionError(f"{table.place}: {' and '.join(places)} name one attribute; each is one of its own.")
    taken = tuple(places.values())
    rest = [name for i, name in enumerate(table.names) if i not in taken]
    findings = [ignored_columns(rest, "edge attributes")] if rest else []
    if warns_of_times:
        known = columns_of(table.names, table.sample()) if table.names else []
        about = summaries(known, None, {place: ROLES[option] for option, place in places.items()})
        of_sample = max((len(each.cells) for each in known), default=0)
        read = replace(read, reading=SourceReading(table.place, table.layout, columns=about, rows=of_sample))
    cells = {option: table.load([i]).to_series() for option, i in places.items()}
    if (i := places.get("--time")) is not None:
        read = replace(read, times=read_times(cells["--time"], table.names[i], table.where))
    elif warns_of_times:
        findings += unused_times(table, taken)
    if (i := places.get("--weight")) is not None:
        read = replace(read, weights=weights_of_column(table, i, cells["--weight"], columns.weight_as))
    if (i := places.get("--relation")) is not None:
        of = table.names[i]
        predicted, names, codes, said = read_kinds(cells["--relation"], of, columns.predict_kind, table.where)
        read, findings = of_one_kind(read, of, predicted, names, codes), [*findings, *said]
    return read, findings
