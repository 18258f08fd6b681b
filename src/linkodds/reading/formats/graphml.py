"""GraphML whole: nested graphs, declared attributes with defaults, labels of yEd; whoever wrote it."""

from collections.abc import Mapping

import numpy as np

from linkodds.findings import Finding
from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.own_files import MARKER, is_ours
from linkodds.reading.formats.parsed import ParsedGraph, both_directions, built, chosen
from linkodds.reading.formats.sources import Source
from linkodds.reading.formats.xml_elements import walk_xml

_LABELS = {"NodeLabel": "label", "EdgeLabel": "label"}
_CYTOSCAPE = {"shared name", "selected"}


class _Reader:
    """What was read so far."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.keys: dict[str, tuple[str, str]] = {}  # id -> name, what it is for
        self.defaults: dict[str, str] = {}
        self.nodes: dict[str, dict[str, str]] = {}
        self.edges: list[tuple[str, str, bool, dict[str, str], int]] = []
        self.graphs: list[str] = []  # the outermost
        self.facts: dict[str, str] = {}
        self.open: list[tuple[str, bool]] = []  # graphs that are open: id, whether directed
        self.owners: list[dict[str, str]] = []
        self.data = self.key = ""
        self.num_undeclared = 0

    def start(self, name: str, attributes: Mapping[str, str], line: int) -> None:
        if name == "key":
            self.key = attributes.get("id", "")
            self.keys[self.key] = (attributes.get("attr.name", self.key), attributes.get("for", "all"))
        elif name == "graph":
            if not self.open:
                self.graphs.append(attributes.get("id") or str(len(self.graphs) + 1))
            self.open.append((self.graphs[-1], attributes.get("edgedefault", "undirected") == "directed"))
            if len(self.open) == 1:
                self.owners.append(self.facts)
        elif name == "node":
            self.owners.append(self._node(attributes.get("id"), line))
        elif name == "edge":
            self._edge(attributes, line)
        elif name == "hyperedge":
            self.source.refuse(line, "a hyperedge joins more than two nodes; write it as the pairs that it stands for.")
        elif name == "data":
            self.data = attributes.get("key", "")

    def end(self, name: str, text: str, _: int) -> None:
        if name == "graph":
            if len(self.open) == 1:
                self.owners.pop()
            self.open.pop()
        elif name in ("node", "edge"):
            self.owners.pop()
        elif name == "default" and self.key in self.keys:
            self.defaults[self.key] = text.strip()
        elif name == "key":
            self.key = ""
        elif name == "data" and self.owners:
            if self.data in self.keys and text.strip():
                self.owners[-1][self.keys[self.data][0]] = text.strip()
            self.data = ""
        elif name in _LABELS and self.owners and text.strip():
            self.owners[-1].setdefault(_LABELS[name], text.strip())

    def _node(self, node: str | None, line: int) -> dict[str, str]:
        if not self._is_meant():
            return {}
        if node is None:
            self.source.refuse(line, "a node without id.")
        if node in self.nodes:
            self.source.refuse(line, f"the node {node!r} is there already; ids are unique in a file.")
        self.nodes[node] = {
            self.keys[key][0]: value for key, value in self.defaults.items() if self._is_for(key, "node")
        }
        return self.nodes[node]

    def _edge(self, attributes: Mapping[str, str], line: int) -> None:
        about = {self.keys[key][0]: value for key, value in self.defaults.items() if self._is_for(key, "edge")}
        self.owners.append(about)
        if not self._is_meant():
            return
        ends = [attributes.get(end) for end in ("source", "target")]
        if None in ends:
            self.source.refuse(line, "an edge without source or target.")
        said = attributes.get("directed")
        directed = (self.open[-1][1] if self.open else False) if said is None else said.lower() in ("true", "1")
        self.edges.append((str(ends[0]), str(ends[1]), directed, about, line))

    def _is_meant(self) -> bool:
        return self.source.key is None or (bool(self.open) and self.open[0][0] == self.source.key)

    def _is_for(self, key: str, what: str) -> bool:
        return self.keys[key][1] in (what, "all")


def read_graphml(source: Source) -> ParsedGraph:
    """A GraphML file, nested graphs with it; of several graphs side by side the one that `--key` names.

    Ids are the names of nodes where the file numbers them (`names.ids_by_names`). Direction is that of `edgedefault`, or of an
    edge for itself; Cytoscape writes directed whatever the network is, so of its files it says nothing.

    Raises:
        MalformedFile: no GraphML, a hyperedge, an id that is there twice, several graphs and no key; with the line.
    Example:
        >>> from pathlib import Path
        >>> text = b'<graphml><graph><node id="a"/><node id="b"/><edge source="a" target="b"/></graph></graphml>'
        >>> graph = read_graphml(Source(Path("a.graphml"), text))
        >>> graph.ids.tolist(), graph.pairs.tolist(), graph.directed
        (['a', 'b'], [[0, 1]], False)
    """
    reader = _Reader(source)
    walk_xml(source, reader.start, reader.end)
    if not reader.graphs:
        source.refuse(None, "no element graph; is it GraphML?")
    if source.key is not None and source.key not in reader.graphs:
        source.refuse(None, f"no graph {source.key!r} for --key; there are {', '.join(map(repr, reader.graphs))}.")
    if source.key is None and len(reader.graphs) > 1:
        listed = ", ".join(map(repr, reader.graphs[:5]))
        source.refuse(None, f"{len(reader.graphs)} graphs side by side, {listed}; say with --key (key=) which one.")
    return _parsed(source, reader)


def _parsed(source: Source, reader: _Reader) -> ParsedGraph:
    declared = len(reader.nodes)
    for first, second, *_ in reader.edges:
        reader.nodes.setdefault(first, {})
        reader.nodes.setdefault(second, {})
    findings = []
    if len(reader.nodes) > declared:
        lost = list(reader.nodes)[declared]
        message = f"{source.place}: {len(reader.nodes) - declared} node(s) are named by edges alone, {lost!r} first."
        findings.append(Finding("reading", "warning", message, "Declare them by <node>, unless that is meant."))
    numbers = list(reader.nodes)
    columns = dict.fromkeys(name for about in reader.nodes.values() for name in about)
    attributes = {name: [about.get(name, "") for about in reader.nodes.values()] for name in columns}
    ids, about_ids = ids_by_names(numbers, attributes, source.place, "node attribute")
    if MARKER in reader.facts:  # we write ids as they are
        ids, about_ids = numbers, []
    place = {node: i for i, node in enumerate(numbers)}
    pairs = [(place[u], place[v]) for u, v, *_ in reader.edges]
    rows, both, directed, said = both_directions(pairs, [arc for _, _, arc, _, _ in reader.edges], source.place)
    if not pairs:
        directed = None
    if directed and {name for name, _ in reader.keys.values()} >= _CYTOSCAPE and not said:
        directed = None
        message = (
            f"{source.place}: Cytoscape writes edgedefault='directed' whatever the network is; read without direction."
        )
        findings.append(
            Finding("reading", "warning", message, "Pass --directed (directed=True) if the direction counts.")
        )
    parsed = built(
        ids,
        both,
        chosen([about for *_, about, _ in reader.edges], rows),
        place=source.place,
        layout="GraphML",
        directed=directed,
        unit="line",
        numbers=np.array(chosen([line for *_, line in reader.edges], rows), dtype=np.int64),
        findings=(*about_ids, *findings, *said),
    )
    return is_ours(parsed, reader.facts, attributes.get("side", ()))
