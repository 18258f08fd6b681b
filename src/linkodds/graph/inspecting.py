"""Inspecting: a source of edges is looked at as a fit would read it, of a large one a sample, and what was found is described."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from linkodds.errors import AmbiguousReading, DataError
from linkodds.graph.assembling import assemble
from linkodds.graph.description import GraphDescription, Sample, describe, fit_command, with_reading
from linkodds.graph.graph import Graph
from linkodds.reading.column_values import columns_of
from linkodds.reading.database_urls import Database
from linkodds.reading.databases import read_database
from linkodds.reading.interop import EdgeList
from linkodds.reading.opening import Found, open_part, open_source
from linkodds.reading.reading import read_edges, read_nodes
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.samples import Part
from linkodds.reading.source_reading import SourceReading, summaries
from linkodds.reading.tables import Table

_ROWS = 100_000
"""Rows of a database that are looked at."""


def inspect_source(edges: Path | Database, options: ReadingOptions = ReadingOptions()) -> GraphDescription:
    """How a file or database is read, and what the graph is; what cannot be read is described as far as it is known.

    Of a large text, Parquet file or database table some rows are read, and `sample` says which. Features are looked at
    where the whole file is.

    Args:
        edges: the file or database.
        options: how to read it.
    Returns:
        The description; `refused` says why a fit would not read it, and `ambiguous` has the readings if there are several.
    Raises:
        OptionError: options that do not fit.
        DatabaseError: a database that cannot be reached or read.
    """
    reading = SourceReading(edges.name if isinstance(edges, Path) else str(edges), "unknown format")
    try:
        found, part = _opened(edges, options)
        reading = _known(found, reading)
        read = read_edges(edges, options, found)
        reading = read.reading or reading
        if part is None:
            return Graph.read(edges, options, rows=read).describe()
        return _of_sample(read, part, edges, options)
    except DataError as error:
        return _refused(error, reading, str(edges), options)


def _opened(edges: Path | Database, options: ReadingOptions) -> tuple[Found, Part | None]:
    """What the source holds, or some rows of it, and which these are."""
    if isinstance(edges, Path):
        return open_part(edges, options) or (open_source(edges, options), None)
    found = open_source(edges, options)
    assert isinstance(found, Table)
    first = read_database(edges, options.query, _ROWS + 1)
    frame = first.load(list(range(len(first.names))))
    if frame.height <= _ROWS:
        return found, None
    numbers = np.arange(1, _ROWS + 1)
    some = replace(first, load=lambda positions: frame.head(_ROWS).select([str(i) for i in positions]), lines=numbers)
    return some, Part(b"", numbers, None, "the first ones that the database sends")


def _of_sample(read: EdgeList, part: Part, edges: Path | Database, options: ReadingOptions) -> GraphDescription:
    """The description of some rows. Whether there are two sides is told by the columns: a sample of any graph may have two."""
    nodes = None if options.nodes is None else read_nodes(options.nodes)
    is_source, is_target = (np.bincount(read.pairs[:, end], minlength=len(read.ids)) > 0 for end in (0, 1))
    apart = not (is_source & is_target).any()
    told = options.bipartite if options.bipartite is not None else read.bipartite
    two_sides = (apart and not read.directed) if told is None else told
    parts = assemble(read, nodes=nodes, bipartite=two_sides)
    assert parts.origin is not None
    parts = replace(parts, origin=replace(parts.origin, place=str(edges), options=options.given()))
    total = part.total
    if total is not None:  # lines; those without an edge are as many elsewhere
        total = round(total * len(read.pairs) / len(part.numbers))
    return describe(parts, Sample(len(read.pairs), total, part.how))


def _known(found: Found, reading: SourceReading) -> SourceReading:
    """What is known of a source before its ends are."""
    if isinstance(found, Table):
        columns = summaries(columns_of(found.names, found.sample(1000)), None, {})
        return replace(
            reading, format=found.format or "table", delimiter=found.delimiter, header=found.header, columns=columns
        )
    if isinstance(found, EdgeList):
        return found.reading or reading
    return replace(reading, format=found.layout)


def _refused(error: DataError, reading: SourceReading, place: str, options: ReadingOptions) -> GraphDescription:
    possible = error.possible if isinstance(error, AmbiguousReading) else ()
    given: dict[str, Any] = options.given()
    readings = tuple(
        replace(each, command=fit_command(place, given, reading, each.options)) if each.options else each
        for each in possible
    )
    described = with_reading(GraphDescription(reading.place, reading.format), reading)
    return replace(described, refused=str(error), ambiguous=readings)
