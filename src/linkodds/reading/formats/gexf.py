"""GEXF, the format of Gephi: nodes in each other, edges of three types, declared attributes with defaults."""

from collections.abc import Mapping

import numpy as np

from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.parsed import ParsedGraph, both_directions, built, chosen
from linkodds.reading.formats.sources import Source
from linkodds.reading.formats.xml_elements import walk_xml

_OF_EDGES = ("label", "weight", "kind", "start", "end")


class _Reader:
    """What was read so far."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes: dict[str, dict[str, str]] = {}
        self.edges: list[tuple[str, str, str, dict[str, str], int]] = []
        self.titles: dict[tuple[str, str], str] = {}
        self.defaults: dict[tuple[str, str], str] = {}
        self.default_type = "undirected"
        self.of, self.attribute = "node", ""
        self.owners: list[tuple[str, dict[str, str]]] = []
        self.num_graphs = 0

    def start(self, name: str, attributes: Mapping[str, str], line: int) -> None:
        if name == "graph":
            self.num_graphs += 1
            self.default_type = attributes.get("defaultedgetype", "undirected")
            if self.num_graphs > 1:
                self.source.refuse(line, "a second graph; keep one graph a file.")
        elif name == "attributes":
            self.of = attributes.get("class", "node")
        elif name == "attribute":
            self.attribute = attributes.get("id", "")
            self.titles[self.of, self.attribute] = attributes.get("title", self.attribute)
        elif name == "node":
            self._node(attributes, line)
        elif name == "edge":
            self._edge(attributes, line)
        elif name == "attvalue" and self.owners:
            of, about = self.owners[-1]
            key = attributes.get("for", attributes.get("id", ""))
            if attributes.get("value", "").strip():
                about[self.titles.get((of, key), key)] = attributes["value"].strip()

    def end(self, name: str, text: str, _: int) -> None:
        if name in ("node", "edge"):
            self.owners.pop()
        elif name == "default" and text.strip():
            self.defaults[self.of, self.attribute] = text.strip()

    def _with_defaults(self, of: str) -> dict[str, str]:
        return {self.titles[key]: value for key, value in self.defaults.items() if key[0] == of}

    def _node(self, attributes: Mapping[str, str], line: int) -> None:
        node = attributes.get("id")
        if node is None or node in self.nodes:
            self.source.refuse(line, "a node without id." if node is None else f"the node {node!r} is there already.")
        self.nodes[node] = self._with_defaults("node")
        if attributes.get("label"):
            self.nodes[node]["label"] = attributes["label"]
        self.owners.append(("node", self.nodes[node]))

    def _edge(self, attributes: Mapping[str, str], line: int) -> None:
        ends = [attributes.get(end) for end in ("source", "target")]
        if None in ends:
            self.source.refuse(line, "an edge without source or target.")
        about = self._with_defaults("edge") | {name: attributes[name] for name in _OF_EDGES if attributes.get(name)}
        kind = attributes.get("type", self.default_type).lower()
        if kind not in ("directed", "undirected", "mutual"):
            self.source.refuse(line, f"type {kind!r} is none of directed, undirected, mutual.")
        self.edges.append((str(ends[0]), str(ends[1]), kind, about, line))
        self.owners.append(("edge", about))


def read_gexf(source: Source) -> ParsedGraph:
    """A GEXF file; ids are the labels where nodes are numbered (`names.ids_by_names`), direction is that of its edges.

    Label, weight, kind, start and end of edges are attributes, with those that the file declares.

    Raises:
        MalformedFile: no GEXF, an id that is there twice, an edge of a node that is not there; with the line.
    Example:
        >>> from pathlib import Path
        >>> text = b'<gexf><graph><nodes><node id="0" label="a"/><node id="1" label="b"/></nodes><edges>'
        >>> graph = read_gexf(Source(Path("a.gexf"), text + b'<edge source="0" target="1" weight="2"/></edges></graph></gexf>'))
        >>> graph.ids.tolist(), graph.attributes.rows()
        (['a', 'b'], [('2',)])
    """
    reader = _Reader(source)
    walk_xml(source, reader.start, reader.end)
    if not reader.num_graphs:
        source.refuse(None, "no element graph; is it GEXF?")
    numbers = list(reader.nodes)
    place = {node: i for i, node in enumerate(numbers)}
    for first, second, _, _, line in reader.edges:
        lost = next((end for end in (first, second) if end not in place), None)
        if lost is not None:
            source.refuse(line, f"{lost!r} is none of the {len(numbers)} nodes.")
    columns = dict.fromkeys(name for about in reader.nodes.values() for name in about)
    attributes = {name: [about.get(name, "") for about in reader.nodes.values()] for name in columns}
    ids, about_ids = ids_by_names(numbers, attributes, source.place, "node attribute")
    kinds = [kind for _, _, kind, _, _ in reader.edges]
    one_way = [kind == "directed" for kind in kinds]
    pairs = [(place[u], place[v]) for u, v, *_ in reader.edges]
    rows, both, directed, said = both_directions(pairs, one_way, source.place)
    if pairs and all(kind == "mutual" for kind in kinds):
        rows, both, directed = [*rows, *rows], [*both, *((v, u) for u, v in both)], True
    return built(
        ids,
        both,
        chosen([about for *_, about, _ in reader.edges], rows),
        place=source.place,
        layout="GEXF",
        directed=directed,
        unit="line",
        numbers=np.array(chosen([line for *_, line in reader.edges], rows), dtype=np.int64),
        findings=(*about_ids, *said),
    )
