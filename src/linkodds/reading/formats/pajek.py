"""Pajek networks (.net): labelled vertices, then arcs and edges in lists or as a matrix."""

import re
import shlex
from dataclasses import dataclass, field
from dataclasses import replace as replaced

import numpy as np

from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.parsed import ParsedGraph, both_directions, built, chosen
from linkodds.reading.formats.sources import Source

_SECTION = re.compile(r"\*\s*([A-Za-z]+)\s*(.*)")
_RELATION = re.compile(r":\s*(\d+)(?:\s+\"?([^\"]*)\"?)?")


@dataclass
class _Network:
    """What was read so far."""

    count: int = 0
    first_side: int | None = None
    has_matrix: bool = False
    labels: dict[int, str] = field(default_factory=dict)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    arcs: list[bool] = field(default_factory=list)
    attributes: list[dict[str, str]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def add(self, pair: tuple[int, int], arc: bool, attributes: dict[str, str], number: int) -> None:
        self.pairs.append(pair)
        self.arcs.append(arc)
        self.attributes.append(attributes)
        self.numbers.append(number)

    def is_symmetric_matrix(self) -> bool:
        """Whether it has a matrix, and every entry its counterpart."""
        return self.has_matrix and {(v, u) for u, v in self.pairs} == set(self.pairs)


def read_pajek(source: Source) -> ParsedGraph:
    """A network of Pajek: *Vertices, then *Arcs, *Edges, *Arcslist, *Edgeslist or *Matrix.

    Ids are the labels (`names.ids_by_names`), else the numbers. A third number of an arc is the attribute `weight`; the name
    of a relation (*Arcs :2 "likes") the attribute `relation`. *Vertices 10 4 is a network of two sides. Text that is no
    UTF-8 is taken for Windows-1252, which Pajek writes.

    Raises:
        MalformedFile: a line that is none of its section, with its number.
    Example:
        >>> from pathlib import Path
        >>> graph = read_pajek(Source(Path("a.net"), b'*Vertices 3\\n1 "p 53"\\n2 MDM2\\n3 ATM\\n*Edges\\n1 2 0.5\\n'))
        >>> graph.ids.tolist(), graph.pairs.tolist(), graph.directed, graph.attributes.rows()
        (['p 53', 'MDM2', 'ATM'], [[0, 1]], False, [('0.5',)])
    """
    try:
        source.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        source = replaced(source, data=source.data.decode("cp1252", errors="replace").encode())
    net, section, relation, rows = _Network(), "", "", 0
    for number, line in source.lines(comment="%"):
        line = line.strip()
        if line.startswith("/*"):
            continue
        found = _SECTION.fullmatch(line)
        if found and not found[1].lower().startswith("network"):
            if net.count and found[1].lower() == "vertices":
                source.refuse(number, "a second network; keep one network a file.")
            section, relation, rows = found[1].lower(), "", 0
            if section == "vertices":
                _sizes(source, number, found[2], net)
            elif named := _RELATION.match(found[2].strip()):
                relation = (named[2] or named[1]).strip()
        elif found:
            continue
        else:
            _row(source, number, line, section, relation, rows, net)
            rows += 1
    return _parsed(source, net)


def _row(source: Source, number: int, line: str, section: str, relation: str, rows: int, net: _Network) -> None:
    if section == "vertices":
        fields = _fields(source, number, line)
        node = _node(source, number, fields[0], net)
        net.labels[node] = fields[1] if len(fields) > 1 else ""
        return
    fields = line.split() if '"' not in line else _fields(source, number, line)
    about = {"relation": relation} if relation else {}
    if section in ("arcs", "edges"):
        if len(fields) < 2:
            source.refuse(number, f"{line[:60]!r} is no pair of vertices.")
        if len(fields) > 2:
            about["weight"] = fields[2]
        ends = (_node(source, number, fields[0], net), _node(source, number, fields[1], net))
        net.add(ends, section == "arcs", about, number)
    elif section in ("arcslist", "edgeslist"):
        first = _node(source, number, fields[0], net)
        for other in fields[1:]:
            net.add((first, _node(source, number, other, net)), section == "arcslist", about, number)
    elif section == "matrix":
        offset, net.has_matrix = net.first_side or 0, True
        if len(fields) != net.count - offset or rows >= (net.first_side or net.count):
            source.refuse(
                number, f"{len(fields)} values in row {rows + 1} of the matrix; it has {net.count - offset} columns."
            )
        for v, value in enumerate(fields):
            if value.strip("0.-"):
                net.add((rows, v + offset), True, about | {"weight": value}, number)
    else:
        source.refuse(
            number, f"{line[:60]!r} in section *{section or 'none'}; an edge list has *Vertices, *Arcs and *Edges."
        )


def _parsed(source: Source, net: _Network) -> ParsedGraph:
    numbers = [str(i + 1) for i in range(net.count)]
    labels = [net.labels.get(i, "") for i in range(net.count)]
    ids, findings = ids_by_names(numbers, {"label": labels}, source.place)
    side, arcs = None, net.arcs
    if net.first_side is not None:
        side = np.repeat(np.array([0, 1], dtype=np.int64), [net.first_side, net.count - net.first_side])
        arcs = [False] * len(arcs)
    elif net.is_symmetric_matrix():  # a symmetric matrix is an undirected network
        kept = [i for i, (u, v) in enumerate(net.pairs) if u <= v]
        net = replaced(
            net,
            pairs=chosen(net.pairs, kept),
            arcs=[False] * len(kept),
            attributes=chosen(net.attributes, kept),
            numbers=chosen(net.numbers, kept),
        )
        arcs = net.arcs
    rows, pairs, directed, said = both_directions(net.pairs, arcs, source.place)
    return built(
        ids,
        pairs,
        chosen(net.attributes, rows),
        place=source.place,
        layout="Pajek",
        directed=directed,
        unit="line",
        numbers=np.array(chosen(net.numbers, rows), dtype=np.int64),
        numbered=ids == numbers,
        side=side,
        findings=(*findings, *said),
    )


def _sizes(source: Source, number: int, text: str, net: _Network) -> None:
    sizes = text.split()
    if not sizes or not all(map(str.isdigit, sizes[:2])):
        source.refuse(number, f"*Vertices {text[:40]!r}; it takes the number of vertices.")
    net.count = int(sizes[0])
    source.refuse_more_nodes(net.count, number)
    if len(sizes) > 1 and 0 < int(sizes[1]) < net.count:
        net.first_side = int(sizes[1])


def _node(source: Source, number: int, field_: str, net: _Network) -> int:
    if not field_.isdigit() or not 1 <= int(field_) <= net.count:
        source.refuse(number, f"{field_!r} is no vertex; vertices are the numbers 1 to {net.count}.")
    return int(field_) - 1


def _fields(source: Source, number: int, line: str) -> list[str]:
    if '"' not in line:
        return line.split()
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.quotes, lexer.escape, lexer.commenters = True, '"', "", ""
    try:
        return list(lexer)
    except ValueError:
        source.refuse(number, f"a quoted label is not closed: {line[:60]!r}.")
