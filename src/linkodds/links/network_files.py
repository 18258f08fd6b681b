"""A network with what is known of its nodes and edges, as files that other programs open: GraphML, Cytoscape's two."""

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import polars as pl

from linkodds import __version__
from linkodds.errors import DataError
from linkodds.reading.formats.own_files import MARKER, PREDICTED


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes and edges as tables.

    Args:
        nodes: a column id, text, no id twice, and others.
        edges: columns source and target, ids of `nodes`, and others; a pair may be there twice.
        directed: whether the order of source and target means something.
        facts: about the whole, such as its name; GraphML and Cytoscape show them.
    """

    nodes: pl.DataFrame
    edges: pl.DataFrame
    directed: bool = False
    facts: Mapping[str, str | float] = field(default_factory=dict)


def network_of_links(table: pl.DataFrame, *, directed: bool = False) -> Network:
    """The network of a list of predicted links: its nodes are their ends, in order of first appearance.

    The column `interaction` says that the links are new, so that nobody takes them for recorded edges.

    Example:
        >>> network = network_of_links(pl.DataFrame({"source": ["b"], "target": ["a"], "logit": [1.0]}))
        >>> network.nodes["id"].to_list(), network.edges["interaction"].to_list()
        (['b', 'a'], ['new'])
    """
    ends = dict.fromkeys(end for row in table.select("source", "target").rows() for end in row)
    nodes = pl.DataFrame({"id": pl.Series(list(ends), dtype=pl.String)})
    return Network(nodes, table.with_columns(interaction=pl.lit(PREDICTED)), directed, {MARKER: __version__})


def graphml_bytes(network: Network) -> bytes:
    """GraphML; empty cells are left out, each edge has an id of its own, a character that XML forbids is replaced.

    Raises:
        DataError: two ids that only such characters tell apart.
    """
    graph: Any = nx.MultiDiGraph() if network.directed else nx.MultiGraph()
    graph.graph.update({name: for_xml(value) for name, value in network.facts.items()})
    for row in network.nodes.to_dicts():
        graph.add_node(for_xml(row.pop("id")), **_for_graphml(row))
    if len(graph) < len(network.nodes):
        raise DataError(
            "two ids differ only by characters that XML forbids, so GraphML cannot hold both; write .cx2 or .cyjs."
        )
    for i, row in enumerate(network.edges.to_dicts()):
        source, target = (for_xml(row.pop(end)) for end in ("source", "target"))
        graph.add_edge(source, target, key=f"e{i}", **_for_graphml(row))
    buffer = io.BytesIO()
    nx.write_graphml(graph, buffer)
    return buffer.getvalue()


def cyjs_bytes(network: Network) -> bytes:
    """Cytoscape.js JSON, which Cytoscape reads as .cyjs: ids are numbers as text, the user's are `name`.

    Example:
        >>> links = pl.DataFrame({"source": ["p53"], "target": ["mdm2"], "logit": [1.5]})
        >>> json.loads(cyjs_bytes(network_of_links(links)))["elements"]["edges"][0]["data"]
        {'id': 'e0', 'source': '0', 'target': '1', 'logit': 1.5, 'interaction': 'new'}
    """
    place = _places(network)
    nodes = [
        {"data": {"id": str(i), "name": row.pop("id"), "shared_name": name} | _present(row)}
        for i, (name, row) in enumerate(zip(network.nodes["id"], network.nodes.to_dicts(), strict=True))
    ]
    edges = [
        {
            "data": {"id": f"e{i}", "source": str(place[row.pop("source")]), "target": str(place[row.pop("target")])}
            | _present(row)
        }
        for i, row in enumerate(network.edges.to_dicts())
    ]
    return _json(
        {
            "format_version": "1.0",
            "generated_by": "linkodds",
            "target_cytoscapejs_version": "~2.1",
            "directed": network.directed,
            "multigraph": True,
            "data": dict(network.facts),
            "elements": {"nodes": nodes, "edges": edges},
        }
    )


def cx2_bytes(network: Network) -> bytes:
    """CX2, the exchange format of Cytoscape and NDEx; the user's ids are the attribute `name` of nodes.

    Example:
        >>> links = pl.DataFrame({"source": ["p53"], "target": ["mdm2"], "logit": [1.5]})
        >>> aspects = {name: value for each in json.loads(cx2_bytes(network_of_links(links))) for name, value in each.items()}
        >>> aspects["edges"], aspects["nodes"][1]
        ([{'id': 0, 's': 0, 't': 1, 'v': {'logit': 1.5, 'interaction': 'new'}}], {'id': 1, 'v': {'name': 'mdm2'}})
    """
    place = _places(network)
    nodes = [{"id": i, "v": {"name": row.pop("id")} | _present(row)} for i, row in enumerate(network.nodes.to_dicts())]
    edges = [
        {"id": i, "s": place[row.pop("source")], "t": place[row.pop("target")], "v": _present(row)}
        for i, row in enumerate(network.edges.to_dicts())
    ]
    facts: dict[str, Any] = dict(network.facts) | {"directed": network.directed}
    kinds = {str: "string", bool: "boolean"}
    declared = {
        "networkAttributes": {name: {"d": kinds.get(type(value), "double")} for name, value in facts.items()},
        "nodes": {"name": {"d": "string"}} | _declared(network.nodes.drop("id")),
        "edges": _declared(network.edges.drop("source", "target")),
    }
    aspects: dict[str, list[Any]] = {
        "attributeDeclarations": [declared],
        "networkAttributes": [facts],
        "nodes": nodes,
        "edges": edges,
    }
    return _json(
        [
            {"CXVersion": "2.0", "hasFragments": False},
            {"metaData": [{"name": name, "elementCount": len(each)} for name, each in aspects.items()]},
            *({name: each} for name, each in aspects.items()),
            {"status": [{"error": "", "success": True}]},
        ]
    )


NETWORK_FORMATS: Mapping[str, Callable[[Network], bytes]] = {
    ".graphml": graphml_bytes,
    ".cyjs": cyjs_bytes,
    ".cx2": cx2_bytes,
}
"""Suffix and writer."""


def for_xml(value: Any) -> Any:
    r"""Text with U+FFFD for every character that XML forbids; other values as they are.

    Example:
        >>> for_xml("a\x00b"), for_xml(1)
        ('a\ufffdb', 1)
    """
    if not isinstance(value, str):
        return value
    return "".join(
        c if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
        for c in value
    )


def _for_graphml(row: dict[str, Any]) -> dict[str, Any]:
    return {name: for_xml(value) for name, value in _present(row).items()}


def _places(network: Network) -> dict[str, int]:
    return {name: i for i, name in enumerate(network.nodes["id"])}


def _present(row: dict[str, Any]) -> dict[str, Any]:
    """Cells that hold something: JSON has no NaN, and a program takes null for a value."""
    return {
        name: value
        for name, value in row.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _declared(table: pl.DataFrame) -> dict[str, Any]:
    def kind(dtype: pl.DataType) -> str:
        if dtype == pl.Boolean:
            return "boolean"
        return "long" if dtype.is_integer() else "double" if dtype.is_float() else "string"

    return {name: {"d": kind(dtype)} for name, dtype in table.schema.items()}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
