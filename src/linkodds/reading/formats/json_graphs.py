"""Graphs as JSON: node-link of NetworkX and D3, graphology, Cytoscape.js, JSON Graph Format, vis.js; and CX of NDEx."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from linkodds.errors import MalformedFile
from linkodds.findings import Finding
from linkodds.reading.formats.cx import is_cx, read_cx
from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.own_files import is_ours
from linkodds.reading.formats.parsed import ParsedGraph, both_directions, built, chosen, text_of_value
from linkodds.reading.formats.sources import Source
from linkodds.reading.formats.tables_of_files import read_json_lines, table_of_records
from linkodds.reading.tables import Table

_ENDS = (
    ("source", "target"),
    ("from", "to"),
    ("start", "end"),
    ("s", "t"),
    ("v", "w"),  # graphlib of Dagre
    ("fromId", "toId"),  # ngraph
)
_IDS = ("id", "key", "name", "label", "v")
_Records = Sequence[Mapping[str, Any]]
_OF_PANDAS = "with pandas: pandas.read_json(file, orient={!r}).to_json('edges.json', orient='records')"
_CURES = (
    ({"graphs"}, "several graphs; keep one of them, as 'graph'"),
    ({"columns", "index", "data"}, _OF_PANDAS.format("split")),
    ({"schema", "data"}, _OF_PANDAS.format("table")),
    ({"objects", "strict"}, "graphviz makes GML of the .gv file: gv2gml graph.gv > edges.gml"),
)


def read_json(source: Source) -> ParsedGraph | Table:
    """A JSON file that holds a graph in one of the usual ways, or a list of records, which is a table.

    Raises:
        MalformedFile: no JSON, or none of these, with what it holds.
    Example:
        >>> from pathlib import Path
        >>> text = b'{"directed": false, "nodes": [{"id": "a"}, {"id": "b"}], "edges": [{"source": "a", "target": "b"}]}'
        >>> graph = read_json(Source(Path("a.json"), text))
        >>> graph.ids.tolist(), graph.pairs.tolist(), graph.directed
        (['a', 'b'], [[0, 1]], False)
    """
    if _are_lines(source.text):
        return read_json_lines(source)
    value = loaded(source)
    if isinstance(value, list) and is_cx(value):
        return read_cx(source, value)
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return table_of_records(source, value)
    if isinstance(value, dict):
        if isinstance(value.get("elements"), dict | list):
            return _cytoscape(source, value)
        if isinstance(value.get("graph"), dict) and "nodes" in value["graph"]:
            return _json_graph_format(source, value["graph"])
        if isinstance(value.get("adjacency"), list) and isinstance(value.get("nodes"), list):
            return _adjacency(source, value)
        edges = next((value[name] for name in ("links", "edges") if isinstance(value.get(name), list)), None)
        if edges is not None and isinstance(value.get("nodes"), list):
            if _are_elements(value["nodes"], "id") and _are_elements(edges, "source", "target"):
                return _cytoscape(source, {"elements": value})
            return _node_link(source, value, edges)
    held = (
        f"an object with {', '.join(map(repr, list(value)[:5]))}" if isinstance(value, dict) else type(value).__name__
    )
    for keys, cure in _CURES:
        if isinstance(value, dict) and keys <= set(value):
            source.refuse(None, f"{held}; {cure}.")
    source.refuse(
        None,
        f"{held} is no graph that is read here: node-link ('nodes' and 'links'), Cytoscape.js ('elements'), CX, or a list "
        "of records with the two ends of an edge; networkx.node_link_data(graph) makes the first.",
    )


def _are_lines(text: str) -> bool:
    """Whether the first two lines are an object each: JSON Lines under another name."""
    lines = [line.strip() for line in text.lstrip().split("\n", 2)[:2]]
    return len(lines) == 2 and all(line.startswith("{") and line.endswith("}") for line in lines)


def _are_elements(values: Any, *needed: str) -> bool:
    """Whether these are nodes or edges of Cytoscape.js, which keep what matters in `data`."""
    return isinstance(values, list) and all(
        isinstance(each, dict)
        and isinstance(each.get("data"), dict)
        and all(name in each["data"] and name not in each for name in needed)
        for each in values
    )


def loaded(source: Source) -> Any:
    """The JSON value.

    Raises:
        MalformedFile: no JSON, with its line; or nested too deep.
    """

    def refuse_constant(name: str) -> float:
        return float("nan") if name == "NaN" else float(name)

    try:
        return json.loads(source.text, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise MalformedFile(f"{source.place}, line {error.lineno}: no JSON ({error.msg}).") from error
    except (RecursionError, ValueError) as error:
        raise MalformedFile(f"{source.place}: no JSON that can be read ({type(error).__name__}).") from error


def _node_link(source: Source, value: Mapping[str, Any], edges: Sequence[Any]) -> ParsedGraph:
    options = value.get("options") if isinstance(value.get("options"), dict) else {}
    said = (options or {}).get("directed", {"directed": True, "undirected": False}.get((options or {}).get("type", "")))
    directed = value.get("directed", said)
    nodes = _records(source, value["nodes"], "node")
    name = next((each for each in _IDS if nodes and all(each in node for node in nodes)), None)
    facts = (
        {**(value.get("graph") or {}), **(value.get("attributes") or {})}
        if isinstance(value.get("graph", {}), dict)
        else {}
    )
    keys: list[Any] = list(range(len(nodes)))
    if name is not None and not (name in ("name", "label") and _are_places(edges, len(nodes))):
        keys = [node[name] for node in nodes]
    return _linked(source, keys, nodes, _records(source, edges, "edge"), directed, "node-link JSON", facts, own=name)


def _cytoscape(source: Source, value: Mapping[str, Any]) -> ParsedGraph:
    elements = value["elements"]
    if isinstance(elements, list):
        data = [each.get("data", {}) for each in _records(source, elements, "element")]
        edges = [each for each in data if "source" in each]
        nodes = [each for each in data if "source" not in each]
    else:
        nodes, edges = (
            [each.get("data", {}) for each in _records(source, elements.get(name, []), name[:-1])]
            for name in ("nodes", "edges")
        )
    facts = value.get("data") if isinstance(value.get("data"), dict) else {}
    if value.get("generated_by") == "linkodds":
        facts = {"linkodds": ""} | dict(facts or {})
    directed = value.get("directed", (facts or {}).get("directed"))
    return _linked(
        source, [node.get("id") for node in nodes], nodes, edges, directed, "Cytoscape.js JSON", facts or {}, own="id"
    )


def _json_graph_format(source: Source, graph: Mapping[str, Any]) -> ParsedGraph:
    given = graph["nodes"]
    if isinstance(given, dict):
        keys, nodes = list(given), [node if isinstance(node, dict) else {} for node in given.values()]
    else:
        nodes = [dict(node) for node in _records(source, given, "node")]
        keys = [node.get("id") for node in nodes]
    nodes = [{**node, **(node.get("metadata") or {})} for node in nodes]
    edges = [{**edge, **(edge.get("metadata") or {})} for edge in _records(source, graph.get("edges", []), "edge")]
    parsed = _linked(source, keys, nodes, edges, graph.get("directed", True), "JSON Graph Format", {}, own="id")
    if "directed" in graph:
        return parsed
    message = f"{source.place} does not say whether it is directed, and by JSON Graph Format that means directed."
    remedy = "Pass --undirected (directed=False) if it has no direction; jgf, for one, leaves it out of such graphs."
    return replace(parsed, findings=(*parsed.findings, Finding("reading", "warning", message, remedy)))


def _adjacency(source: Source, value: Mapping[str, Any]) -> ParsedGraph:
    nodes = _records(source, value["nodes"], "node")
    directed = bool(value.get("directed", False))
    edges, seen = list[dict[str, Any]](), set[tuple[Any, Any, Any]]()
    for node, neighbours in zip(nodes, value["adjacency"], strict=False):
        for other in _records(source, neighbours, "neighbour"):
            ends = (str(node.get("id")), str(other.get("id")), other.get("key"))
            if directed or (ends[1], ends[0], ends[2]) not in seen:
                seen.add(ends)
                edges.append({**other, "source": node.get("id"), "target": other.get("id")} | {"id": None})
    return _linked(source, [node.get("id") for node in nodes], nodes, edges, directed, "adjacency JSON", {}, own="id")


def _linked(
    source: Source,
    keys: Sequence[Any],
    nodes: _Records,
    edges: _Records,
    directed: Any,
    layout: str,
    facts: Mapping[str, Any],
    *,
    own: str | None,
) -> ParsedGraph:
    numbers = [text_of_value(key) for key in keys]
    place = {number: i for i, number in enumerate(numbers)}
    if "" in place or len(place) < len(numbers):
        twice = next(number for i, number in enumerate(numbers) if number == "" or place[number] != i)
        problem = f"the node {twice!r} is there twice" if twice else f"node {numbers.index('') + 1} has no id"
        source.refuse(None, f"{problem}; ids are compared as text.")
    kept, pairs, one_way = [], [], []
    for i, edge in enumerate(edges, 1):
        names = next((ends for ends in _ENDS if ends[0] in edge and ends[1] in edge), None)
        if names is None:
            held = ", ".join(map(repr, list(edge)[:6]))
            source.refuse(
                None, f"edge {i} has no 'source' and 'target' (nor 'from' and 'to'); it holds {held}. Name them so."
            )
        ends = [text_of_value(edge[name]) for name in names]
        lost = next((end for end in ends if end not in place), None)
        if lost is not None:
            source.refuse(None, f"edge {i}: {lost!r} is none of the {len(numbers)} nodes.")
        pairs.append((place[ends[0]], place[ends[1]]))
        one_way.append(not edge["undirected"] if isinstance(edge.get("undirected"), bool) else bool(directed))
        kept.append(_flat(edge, {*names, "undirected", "id", "key", "metadata", "SUID"}))
    about = [_flat(node, {own or "id", "metadata"}) for node in nodes]
    columns = dict.fromkeys(name for each in about for name in each)
    attributes = {name: [text_of_value(each.get(name)) for each in about] for name in columns}
    if own in ("name", "label") and numbers == [str(i) for i in range(len(nodes))]:
        attributes = {own: [text_of_value(node.get(own)) for node in nodes]} | attributes
    ids, said = ids_by_names(numbers, attributes, source.place, "node attribute")
    rows, both, known, mixed = both_directions(pairs, one_way, source.place)
    graph = built(
        ids,
        both,
        chosen(kept, rows),
        place=source.place,
        layout=layout,
        directed=None if directed is None and not any(one_way) else known,
        findings=(*said, *mixed),
    )
    return is_ours(graph, facts, attributes.get("side", ()))


def _flat(record: Mapping[str, Any], without: set[str]) -> dict[str, Any]:
    """Attributes that are values, those of an inner record `attributes` or `data` with them."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if name in ("attributes", "data") and isinstance(value, dict):
            found |= _flat(value, set())
        elif name not in without and not isinstance(value, dict | list):
            found[name] = value
    return found


def _are_places(edges: Sequence[Any], count: int) -> bool:
    """Whether the ends of all edges are places of nodes, as D3 has them."""
    ends = [edge.get(end) for edge in edges if isinstance(edge, dict) for end in ("source", "target")]
    return bool(ends) and all(isinstance(end, int) and not isinstance(end, bool) and 0 <= end < count for end in ends)


def _records(source: Source, values: Any, what: str) -> _Records:
    if not isinstance(values, list) or not all(isinstance(each, dict) for each in values):
        wrong = (
            next((each for each in values if not isinstance(each, dict)), None) if isinstance(values, list) else values
        )
        source.refuse(None, f"{str(wrong)[:60]!r} is no {what}; each is an object in braces.")
    records: _Records = values
    return records
