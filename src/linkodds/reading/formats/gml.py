"""GML: keys and values in brackets in brackets; whoever wrote it."""

import html
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.own_files import is_ours
from linkodds.reading.formats.parsed import ParsedGraph, built
from linkodds.reading.formats.sources import Source

_TOKEN = re.compile(r'\s+|#[^\n]*|"(?P<text>[^"]*)"|(?P<bracket>[\[\]])|(?P<word>[^\s\[\]"]+)')
_MOST_DEPTH = 100
_Items = list[tuple[str, Any, int]]


def read_gml(source: Source) -> ParsedGraph:
    """A GML file; of several graphs the one whose place, from 1, `--key` names.

    Ids are the labels or names of nodes (`names.ids_by_names`), else their numbers. Entities such as &amp; are read in text.

    Raises:
        MalformedFile: brackets that do not close, a node without id, an edge of a node that is not there, several graphs
            and no key; with the line.
    Example:
        >>> from pathlib import Path
        >>> text = b'graph [ node [ id 1 label "a" ] node [ id 2 label "b" ] edge [ source 1 target 2 value 0.5 ] ]'
        >>> graph = read_gml(Source(Path("a.gml"), text))
        >>> graph.ids.tolist(), graph.pairs.tolist(), graph.attributes.rows()
        (['a', 'b'], [[0, 1]], [('0.5',)])
    """
    top = _parse(source)
    graphs = [value for key, value, _ in top if key.lower() == "graph" and isinstance(value, list)]
    if not graphs:
        source.refuse(None, "no graph [ ... ]; is it GML?")
    if source.key is None and len(graphs) > 1:
        source.refuse(None, f"{len(graphs)} graphs; say with --key (key=) which one, 1 to {len(graphs)}.")
    if source.key is not None and source.key not in map(str, range(1, len(graphs) + 1)):
        source.refuse(None, f"no graph {source.key!r} for --key; there are 1 to {len(graphs)}.")
    return _graph(source, graphs[0 if source.key is None else int(source.key) - 1])


def _graph(source: Source, items: _Items) -> ParsedGraph:
    nodes: dict[str, dict[str, str]] = {}
    edges: list[tuple[str, str, dict[str, str], int]] = []
    facts = {key: value for key, value, _ in items if not isinstance(value, list)}
    for key, value, line in items:
        if key == "node" and isinstance(value, list):
            about = _flat(value)
            node = about.pop("id", None)
            if node is None or node in nodes:
                source.refuse(line, "a node without id." if node is None else f"the node {node} is there already.")
            nodes[node] = about
        elif key == "edge" and isinstance(value, list):
            about = _flat(value)
            ends = (about.pop("source", None), about.pop("target", None))
            if None in ends:
                source.refuse(line, "an edge without source or target.")
            edges.append((str(ends[0]), str(ends[1]), about, line))
    place = {node: i for i, node in enumerate(nodes)}
    for first, second, _, line in edges:
        lost = next((end for end in (first, second) if end not in place), None)
        if lost is not None:
            source.refuse(line, f"{lost} is the id of none of the {len(nodes)} nodes.")
    columns = dict.fromkeys(name for about in nodes.values() for name in about)
    attributes = {name: [about.get(name, "") for about in nodes.values()] for name in columns}
    ids, findings = ids_by_names(list(nodes), attributes, source.place, "node attribute")
    if len(ids) == len(set(ids)) and all(re.fullmatch(r"-?\d+", node) is None for node in nodes):
        ids = list(nodes)
    graph = built(
        ids,
        [(place[u], place[v]) for u, v, *_ in edges],
        [about for *_, about, _ in edges],
        place=source.place,
        layout="GML",
        directed=str(facts.get("directed", "0")) == "1",
        unit="line",
        numbers=np.array([line for *_, line in edges], dtype=np.int64),
        findings=tuple(findings),
    )
    return is_ours(graph, facts, attributes.get("side", ()))


def _flat(items: _Items) -> dict[str, str]:
    """Values that are no records, of lists the first."""
    found: dict[str, str] = {}
    for key, value, _ in items:
        if not isinstance(value, list):
            found.setdefault(key, value)
    return found


def _parse(source: Source) -> _Items:
    stack: list[_Items] = [[]]
    key: str | None = None
    line = 1
    for kind, value, line in _tokens(source):
        if kind == "[":
            if key is None or len(stack) > _MOST_DEPTH:
                source.refuse(line, "a bracket without a key before it." if key is None else "brackets too deep.")
            inner: _Items = []
            stack[-1].append((key, inner, line))
            stack.append(inner)
            key = None
        elif kind == "]":
            if key is not None or len(stack) == 1:
                source.refuse(line, f"a bracket closes {'behind the key ' + repr(key) if key else 'that is not open'}.")
            stack.pop()
        elif key is None:
            if kind == "text":
                source.refuse(line, f"the text {value[:40]!r} without a key before it.")
            key = value
        else:
            stack[-1].append((key, html.unescape(value) if kind == "text" else value, line))
            key = None
    if len(stack) > 1 or key is not None:
        source.refuse(line, "the file ends inside a bracket." if len(stack) > 1 else f"the key {key!r} has no value.")
    return stack[0]


def _tokens(source: Source) -> Iterator[tuple[str, str, int]]:
    text, at, line = source.text, 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            source.refuse(line, f"a quoted text is not closed: {text[at : at + 40]!r}.")
        kind = found.lastgroup
        if kind == "bracket":
            yield found[0], found[0], line
        elif kind is not None:
            yield kind, found[kind], line
        line += found[0].count("\n")
        at = found.end()
