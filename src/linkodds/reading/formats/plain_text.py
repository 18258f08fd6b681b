"""Plain lists of neighbours: SIF of Cytoscape, LGL and NCOL of igraph, adjacency lists of NetworkX."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from linkodds.findings import Finding
from linkodds.reading.column_names import is_attribute_word, named_ends
from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.parsed import ParsedGraph, built
from linkodds.reading.formats.sources import Source


class _Nodes(dict[str, int]):
    """Ids in order of first appearance."""

    def place(self, name: str) -> int:
        return self.setdefault(name, len(self))


def read_sif(source: Source) -> ParsedGraph:
    """SIF: a node, a kind and any number of targets a line; a node alone is a lonely one.

    Fields are separated by tabs where any line has one, else by blanks. The kinds are the attribute `interaction`.

    Raises:
        MalformedFile: a line of two fields, or an empty one, with its number.
    Example:
        >>> from pathlib import Path
        >>> graph = read_sif(Source(Path("a.sif"), b"a pp b c\\nd\\n"))
        >>> graph.ids.tolist(), graph.pairs.tolist(), graph.attributes["interaction"].to_list()
        (['a', 'b', 'c', 'd'], [[0, 1], [0, 2]], ['pp', 'pp'])
    """
    has_tabs = "\t" in source.text
    nodes, pairs, kinds, numbers = _Nodes(), list[tuple[int, int]](), list[dict[str, str]](), list[int]()
    head: list[str] = []
    for number, line in source.lines():
        fields = [field.strip() for field in line.split("\t")] if has_tabs else line.split()
        if not pairs and not head and _is_head(fields):
            head = fields
            continue
        if len(fields) == 2:
            source.refuse(
                number,
                f"two fields, {line.strip()[:60]!r}; a line of SIF is a node, a kind and its targets, or a node alone. "
                "Name a list of pairs .txt.",
            )
        if "" in fields:
            source.refuse(number, f"an empty field, {line[:60]!r}; a line of SIF is a node, a kind and its targets.")
        first = nodes.place(fields[0])
        for target in fields[2:]:
            pairs.append((first, nodes.place(target)))
            kinds.append({"interaction": fields[1]})
            numbers.append(number)
    facts: dict[str, Any] = {"unit": "line", "numbers": np.array(numbers, dtype=np.int64)}
    if head:
        message = f"{source.place}: the first line, {' '.join(head)!r}, names the columns and is no edge."
        facts["findings"] = (Finding("reading", "info", message, "SIF has no such line; delete it to be sure."),)
    return built(list(nodes), pairs, kinds, place=source.place, layout="SIF", **facts)


def _is_head(fields: Sequence[str]) -> bool:
    """Whether a line of three fields names the columns, source, metaedge, target, as Hetionet's has it."""
    plain = [ends for ends in named_ends(fields) if (ends.source, ends.target) == (0, 2) and not ends.rank]
    return len(fields) == 3 and bool(plain) and is_attribute_word(fields[1])


def read_sif_as_text(source: Source) -> ParsedGraph:
    """SIF in a file whose name says text: read where a line has several targets, else it may be a table with a broken line.

    Raises:
        MalformedFile: three fields a line and some with one: both readings are named.
    """
    lines = [(number, line.rstrip("\t").split("\t")) for number, line in source.lines(comment="#")]
    if max(len(fields) for _, fields in lines) == 3:
        number, fields = next((number, fields) for number, fields in lines if len(fields) == 1)
        first = next(fields for _, fields in lines if len(fields) == 3)
        source.refuse(
            number,
            f"one field, {fields[0][:40]!r}, where other lines have three. If this is SIF ({first[0]!r} and {first[2]!r} are "
            f"nodes, {first[1]!r} is a kind, one field is a node without edges), name it .sif; if it is a table, complete or "
            "delete the line.",
        )
    return read_sif(source)


def is_ragged_sif(lines: Sequence[str]) -> bool:
    """Whether these lines, of a text file, are SIF with several targets: a node, one of few kinds, nodes.

    Example:
        >>> is_ragged_sif(["a\\tpp\\tb\\tc", "b\\tpp\\td", "e"]), is_ragged_sif(["a\\tb\\t0.5", "b\\tc\\t0.1"])
        (True, False)
    """
    rows = [line.split("\t") for line in lines if line.strip()]
    if len({len(row) for row in rows}) < 2 or any(len(row) == 2 for row in rows):
        return False
    if any(not field.strip() or '"' in field for row in rows for field in row):
        return False
    full = [row for row in rows if len(row) > 2]
    kinds = {row[1] for row in full}
    nodes = {row[0] for row in rows} | {name for row in full for name in row[2:]}
    return len(full) > 1 and len(kinds) <= max(1, len(full) // 2) and not kinds & nodes


def read_tgf(source: Source) -> ParsedGraph:
    """Trivial Graph Format: an id and a label a line, a line #, then two ids and a label a line.

    Ids are the labels (`names.ids_by_names`); labels of edges are the attribute `label`.

    Raises:
        MalformedFile: an id that is there twice, or an edge of a node that is not, with its line.
    Example:
        >>> from pathlib import Path
        >>> graph = read_tgf(Source(Path("a.tgf"), b"1 TP53\\n2 MDM2\\n#\\n1 2 binds\\n"))
        >>> graph.ids.tolist(), graph.pairs.tolist(), graph.attributes.rows()
        (['TP53', 'MDM2'], [[0, 1]], [('binds',)])
    """
    labels, pairs, about, numbers = dict[str, str](), list[tuple[int, int]](), list[dict[str, str]](), list[int]()
    place: dict[str, int] | None = None
    for number, line in source.lines():
        fields = line.split(maxsplit=1 if place is None else 2)
        if line.strip() == "#" and place is None:
            place = {node: i for i, node in enumerate(labels)}
        elif place is None:
            if fields[0] in labels:
                source.refuse(number, f"the node {fields[0]!r} is there already.")
            labels[fields[0]] = fields[1] if len(fields) > 1 else ""
        else:
            lost = next((end for end in fields[:2] if end not in place), None)
            if lost is not None or len(fields) < 2:
                source.refuse(number, f"{line[:60]!r} does not begin with the ids of two of the {len(place)} nodes.")
            pairs.append((place[fields[0]], place[fields[1]]))
            about.append({"label": fields[2]} if len(fields) > 2 else {})
            numbers.append(number)
    if place is None:
        source.refuse(None, "no line '#' between nodes and edges.")
    ids, said = ids_by_names(list(labels), {"label": list(labels.values())}, source.place, "label")
    facts = {"unit": "line", "numbers": np.array(numbers, dtype=np.int64), "findings": tuple(said)}
    return built(ids, pairs, about, place=source.place, layout="Trivial Graph Format", **facts)


def is_tgf(lines: Sequence[str]) -> bool:
    """Whether the lines around a lone # are nodes and edges of them.

    Example:
        >>> is_tgf(["1 TP53", "2 MDM2", "#", "1 2"]), is_tgf(["a b", "#", "c d"])
        (True, False)
    """
    marks = [i for i, line in enumerate(lines) if line.strip() == "#"]
    if len(marks) != 1:
        return False
    above = [line.split() for line in lines[: marks[0]] if line.strip()]
    nodes = [fields[0] for fields in above]
    edges = [line.split()[:2] for line in lines[marks[0] + 1 :] if line.strip()]
    held = set(nodes)
    if not edges or len(held) < len(nodes) or all(len(fields) == 2 and fields[1] in held for fields in above):
        return False  # the last: a list of edges with a comment
    return all(len(ends) == 2 and held.issuperset(ends) for ends in edges)


def read_lgl(source: Source) -> ParsedGraph:
    """LGL: `# node`, then a line for each neighbour, with a weight behind it or not.

    Raises:
        MalformedFile: a neighbour before the first node, or a weight that is no number.
    """
    nodes, pairs, weights, numbers = _Nodes(), list[tuple[int, int]](), list[dict[str, str]](), list[int]()
    first: int | None = None
    for number, line in source.lines():
        if line.startswith("#"):
            fields = line[1:].split()
            if len(fields) != 1:
                source.refuse(number, f"{line[:60]!r} is no node; a line behind # holds one id without blanks.")
            first = nodes.place(fields[0])
            continue
        fields = line.split()
        if first is None or len(fields) > 2:
            source.refuse(number, f"{line[:60]!r} is no neighbour with its weight below a line '# node'.")
        pairs.append((first, nodes.place(fields[0])))
        weights.append(_weight(source, number, fields[1:]))
        numbers.append(number)
    facts = {"directed": False, "unit": "line", "numbers": np.array(numbers, dtype=np.int64)}
    return built(list(nodes), pairs, weights, place=source.place, layout="LGL", **facts)


def read_ncol(source: Source) -> ParsedGraph:
    """NCOL: two nodes a line, with a weight behind them or not; it has no header.

    Raises:
        MalformedFile: another number of fields, or a weight that is no number.
    """
    nodes, pairs, weights, numbers = _Nodes(), list[tuple[int, int]](), list[dict[str, str]](), list[int]()
    for number, line in source.lines(comment="#"):
        fields = line.split()
        if len(fields) not in (2, 3):
            source.refuse(number, f"{len(fields)} fields, {line[:60]!r}; NCOL has two nodes and at most a weight.")
        pairs.append((nodes.place(fields[0]), nodes.place(fields[1])))
        weights.append(_weight(source, number, fields[2:]))
        numbers.append(number)
    facts = {"unit": "line", "numbers": np.array(numbers, dtype=np.int64)}
    return built(list(nodes), pairs, weights, place=source.place, layout="NCOL", **facts)


def read_adjacency_list(source: Source) -> ParsedGraph:
    """An adjacency list as `networkx.write_adjlist` writes it: a node and its neighbours a line, blanks between them."""
    nodes, pairs, numbers = _Nodes(), list[tuple[int, int]](), list[int]()
    for number, line in source.lines(comment="#"):
        name, *neighbours = line.split("#")[0].split()
        first = nodes.place(name)
        for other in neighbours:
            pairs.append((first, nodes.place(other)))
            numbers.append(number)
    facts = {"unit": "line", "numbers": np.array(numbers, dtype=np.int64)}
    return built(list(nodes), pairs, [], place=source.place, layout="adjacency list", **facts)


def _weight(source: Source, number: int, fields: list[str]) -> dict[str, str]:
    if not fields:
        return {}
    try:
        float(fields[0])
    except ValueError:
        source.refuse(number, f"{fields[0]!r} is no number, and a third field is a weight; names hold no blanks.")
    return {"weight": fields[0]}
