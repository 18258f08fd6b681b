"""GDF of GUESS and Gephi: a table of nodes below nodedef>, a table of edges below edgedef>."""

import csv

import numpy as np

from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.parsed import ParsedGraph, both_directions, built, chosen
from linkodds.reading.formats.sources import Source


def read_gdf(source: Source) -> ParsedGraph:
    """A GDF file; `name` of nodes is their id, or their `label` where names are numbers.

    The column `directed` of edges is their direction, the others are attributes.

    Raises:
        MalformedFile: a row that does not fit its header, or an edge of a node that is not there, with its line.
    Example:
        >>> from pathlib import Path
        >>> text = b"nodedef>name VARCHAR\\na\\nb\\nc\\nedgedef>node1 VARCHAR,node2 VARCHAR,weight DOUBLE\\na,b,0.5\\n"
        >>> graph = read_gdf(Source(Path("a.gdf"), text))
        >>> graph.ids.tolist(), graph.attributes.rows()
        (['a', 'b', 'c'], [('0.5',)])
    """
    columns: list[str] = []
    nodes: list[dict[str, str]] = []
    edges: list[tuple[int, dict[str, str]]] = []
    section = ""
    for number, line in source.lines():
        lower = line.lower()
        if lower.startswith(("nodedef>", "edgedef>")):
            section = lower[:7]
            columns = [part.split()[0].strip("'\"").lower() for part in line[8:].split(",") if part.strip()]
            needed = {"name"} if section == "nodedef" else {"node1", "node2"}
            if not needed <= set(columns):
                source.refuse(number, f"{section}> without {' and '.join(sorted(needed))}: {line[:60]!r}.")
            continue
        if not section:
            source.refuse(number, f"{line[:60]!r} before nodedef>.")
        quote = "'" if "'" in line and '"' not in line else '"'
        row = next(csv.reader([line], quotechar=quote, skipinitialspace=True))
        if len(row) > len(columns):
            source.refuse(number, f"{len(row)} fields below a header of {len(columns)}.")
        cells = dict(zip(columns, (cell.strip() for cell in row), strict=False))
        if section == "nodedef":
            nodes.append(cells)
        else:
            edges.append((number, cells))
    return _parsed(source, nodes, edges)


def _parsed(source: Source, nodes: list[dict[str, str]], edges: list[tuple[int, dict[str, str]]]) -> ParsedGraph:
    names = [cells["name"] for cells in nodes]
    place = {name: i for i, name in enumerate(names)}
    if len(place) < len(names):
        source.refuse(None, f"the node {next(n for i, n in enumerate(names) if place[n] != i)!r} is there twice.")
    pairs, arcs, about, numbers = list[tuple[int, int]](), list[bool](), list[dict[str, str]](), list[int]()
    for number, cells in edges:
        ends = [cells.pop(end, "") for end in ("node1", "node2")]
        lost = next((end for end in ends if end not in place), None)
        if lost is not None:
            source.refuse(number, f"{lost!r} is none of the {len(names)} nodes.")
        pairs.append((place[ends[0]], place[ends[1]]))
        arcs.append(cells.pop("directed", "false").lower() in ("true", "1"))
        about.append(cells)
        numbers.append(number)
    columns = dict.fromkeys(name for cells in nodes for name in cells if name != "name")
    attributes = {name: [cells.get(name, "") for cells in nodes] for name in columns}
    ids, findings = ids_by_names(names, attributes, source.place, "column")
    rows, both, directed, said = both_directions(pairs, arcs, source.place)
    return built(
        ids,
        both,
        chosen(about, rows),
        place=source.place,
        layout="GDF",
        directed=directed,
        unit="line",
        numbers=np.array(chosen(numbers, rows), dtype=np.int64),
        findings=(*findings, *said),
    )
