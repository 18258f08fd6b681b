"""CX and CX2, the exchange formats of NDEx and Cytoscape: lists of aspects."""

from collections.abc import Mapping, Sequence
from typing import Any

from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.own_files import is_ours
from linkodds.reading.formats.parsed import ParsedGraph, built, text_of_value
from linkodds.reading.formats.sources import Source

_NAMES = {"n": "name", "r": "represents", "i": "interaction"}
_Values = dict[str, Any]


def is_cx(value: Any) -> bool:
    """Whether this JSON value is CX or CX2: a list of aspects.

    Example:
        >>> is_cx([{"CXVersion": "2.0"}, {"nodes": []}]), is_cx([{"source": "a", "target": "b"}])
        (True, False)
    """
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        return False
    aspects = {name for each in value for name in each}
    return (
        "CXVersion" in aspects
        or "numberVerification" in aspects
        or {"nodes", "edges"} <= aspects
        or ("metaData" in aspects and "nodes" in aspects)
    )


def read_cx(source: Source, fragments: Sequence[Mapping[str, Any]]) -> ParsedGraph:
    """A network of CX or CX2; ids are the names of nodes (`names.ids_by_names`); it says nothing of direction.

    Args:
        source: the file.
        fragments: its JSON value; an aspect may come in several parts.
    Raises:
        MalformedFile: a node without id, or an edge of a node that is not there.
    Example:
        >>> from pathlib import Path
        >>> nodes = [{"id": 0, "v": {"name": "p53"}}, {"id": 1, "v": {"name": "mdm2"}}]
        >>> cx2 = [{"CXVersion": "2.0"}, {"nodes": nodes}, {"edges": [{"id": 0, "s": 0, "t": 1, "v": {"w": 2}}]}]
        >>> graph = read_cx(Source(Path("a.cx2"), b""), cx2)
        >>> graph.ids.tolist(), graph.attributes.rows()
        (['p53', 'mdm2'], [('2',)])
    """
    aspects: dict[str, list[Any]] = {}
    for fragment in fragments:
        for name, items in fragment.items():
            if isinstance(items, list):
                aspects.setdefault(name, []).extend(items)
    is_second = any("CXVersion" in fragment for fragment in fragments)
    declared: Mapping[str, Any] = next(iter(aspects.get("attributeDeclarations", [])), {})
    nodes = _items(source, aspects.get("nodes", []), "id" if is_second else "@id", "node")
    edges = _items(source, aspects.get("edges", []), "id" if is_second else "@id", "edge")
    of_nodes = _attributes(nodes, declared.get("nodes", {}), aspects.get("nodeAttributes", []), is_second)
    of_edges = _attributes(edges, declared.get("edges", {}), aspects.get("edgeAttributes", []), is_second)
    facts: _Values = {}
    for item in aspects.get("networkAttributes", []):
        facts |= item if is_second else {str(item.get("n")): item.get("v")}
    return _parsed(source, nodes, edges, of_nodes, of_edges, facts, "CX2" if is_second else "CX")


def _items(source: Source, items: Sequence[Any], key: str, what: str) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for i, item in enumerate(items):
        if not isinstance(item, dict) or (key not in item and what == "node"):
            source.refuse(None, f"{what} {i + 1} has no {key}: {str(item)[:60]}.")
        found[text_of_value(item.get(key, i))] = item
    return found


def _attributes(
    items: Mapping[str, Mapping[str, Any]], declared: Mapping[str, Any], apart: Sequence[Any], is_second: bool
) -> dict[str, _Values]:
    """The attributes of each item: in it (CX2, where names may be short), or apart (CX)."""
    found: dict[str, _Values] = {}
    if is_second:
        alias = {about["a"]: name for name, about in declared.items() if isinstance(about, dict) and "a" in about}
        defaults = {name: about["v"] for name, about in declared.items() if isinstance(about, dict) and "v" in about}
        for key, item in items.items():
            values = item.get("v") or {}
            found[key] = defaults | {alias.get(name, name): value for name, value in values.items()}
        return found
    for key, item in items.items():
        found[key] = {_NAMES[name]: item[name] for name in _NAMES if name in item}
    for item in apart:
        of = item.get("po")
        for key in of if isinstance(of, list) else [of]:
            if text_of_value(key) in found and not isinstance(item.get("v"), list):
                found[text_of_value(key)].setdefault(str(item.get("n")), item.get("v"))
    return found


def _parsed(
    source: Source,
    nodes: Mapping[str, Any],
    edges: Mapping[str, Any],
    of_nodes: Mapping[str, _Values],
    of_edges: Mapping[str, _Values],
    facts: Mapping[str, Any],
    layout: str,
) -> ParsedGraph:
    place = {key: i for i, key in enumerate(nodes)}
    pairs = []
    for key, edge in edges.items():
        ends = [text_of_value(edge.get(end)) for end in ("s", "t")]
        lost = next((end for end in ends if end not in place), None)
        if lost is not None:
            source.refuse(None, f"edge {key}: {lost!r} is none of the {len(nodes)} nodes.")
        pairs.append((place[ends[0]], place[ends[1]]))
    columns = dict.fromkeys(name for about in of_nodes.values() for name in about)
    attributes = {name: [text_of_value(of_nodes[key].get(name)) for key in nodes] for name in columns}
    ids, findings = ids_by_names(list(nodes), attributes, source.place, "node attribute")
    about = [
        {name: value for name, value in of_edges[key].items() if not isinstance(value, list | dict)} for key in edges
    ]
    directed = {"true": True, "false": False}.get(text_of_value(facts.get("directed")))
    graph = built(ids, pairs, about, place=source.place, layout=layout, directed=directed, findings=tuple(findings))
    return is_ours(graph, facts, attributes.get("side", ()))
