"""Read a file of the corpus with linkodds and say whether the graph is the one that the tool wrote."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linkodds.errors import LinkoddsError
from linkodds.graph.graph import Graph
from linkodds.reading.interop import EdgeList
from linkodds.reading.reading import read_edges
from linkodds.reading.reading_options import ReadingOptions

Known = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a file: right, warned, refused or wrong, and the sentence or the difference."""

    outcome: str
    said: str = ""


def read(path: Path, known: Known) -> Outcome:
    """The outcome of one file."""
    options = dict(known["options"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = Graph.from_edges(path, **options)
    except LinkoddsError as error:
        return Outcome("refused", str(error))
    except Exception as error:  # a traceback is an outcome too
        return Outcome("wrong", f"traceback: {type(error).__name__}: {error}")
    said = [finding.message for finding in graph.findings if finding.severity == "warning"]
    if known["outcome"] == "refused":
        return Outcome("wrong", f"should be refused, and is read as {graph.num_nodes} nodes, {graph.num_edges} edges")
    problems = [_difference(path, graph, reading, known) for reading in known["readings"]]
    if "" in problems:
        return Outcome("right")
    told = " | ".join(said)
    if known["outcome"] == "warned" and known["words"] in told:
        return Outcome("warned", told)
    return Outcome("wrong", problems[0])


def _difference(path: Path, graph: Graph, reading: Known, known: Known) -> str:
    ids = [str(each) for each in graph.ids]
    if set(ids) != set(reading["nodes"]) or len(ids) != len(set(ids)):
        lost, more = sorted(set(reading["nodes"]) - set(ids)), sorted(set(ids) - set(reading["nodes"]))
        return f"{len(ids)} nodes and not {len(set(reading['nodes']))}; lost {lost[:4]}, more {more[:4]}"
    directed = bool(graph.space.directed)
    if directed != reading["directed"]:
        return f"directed is {directed}"
    if reading["bipartite"] and not graph.space.bipartite:
        return "not bipartite"
    held = _keys(((ids[u], ids[v]) for u, v in graph.edges.tolist()), directed)
    wanted = _keys(((u, v) for u, v, *_ in reading["edges"]), directed)
    if held != wanted:
        return f"{len(held)} edges and not {len(wanted)}; lost {sorted(map(sorted, wanted - held))[:2]}, more {sorted(map(sorted, held - wanted))[:2]}"
    return _difference_of_kinds(path, reading, known, directed) or _difference_of_weights(
        path, reading, known, directed
    )


def _keys(pairs: Any, directed: bool) -> set[Any]:
    return {(u, v) if directed else frozenset((u, v)) for u, v in pairs if u != v}


def _key(pair: tuple[str, str], directed: bool) -> Any:
    return pair if directed else frozenset(pair)


def _read(path: Path, known: Known, **more: Any) -> EdgeList:
    options = {name: value for name, value in known["options"].items() if name in ReadingOptions.model_fields}
    return read_edges(path, ReadingOptions(**{**options, **more}))


def _difference_of_kinds(path: Path, reading: Known, known: Known, directed: bool) -> str:
    if known["relation"] is None:
        return ""
    try:
        edges = _read(path, known, relation=known["relation"])
    except LinkoddsError as error:
        return f"--relation {known['relation']}: {error}"
    assert edges.others is not None
    ids = edges.ids
    found = {(_key(tuple(ids[pair]), directed), edges.others.predicted) for pair in edges.pairs}
    names = edges.others.names
    found |= {
        (_key(tuple(ids[pair]), directed), names[code])
        for pair, code in zip(edges.others.pairs, edges.others.codes.tolist(), strict=True)
    }
    wanted = {(_key((u, v), directed), kind) for u, v, kind, _ in reading["edges"]}
    return (
        ""
        if found == wanted
        else f"kinds: {len(wanted - found)} edges have another kind than {known['relation']!r} says"
    )


def _difference_of_weights(path: Path, reading: Known, known: Known, directed: bool) -> str:
    if known["weight"] is None:
        return ""
    try:
        edges = _read(path, known, weight=known["weight"], weight_as="strength")
    except LinkoddsError as error:
        return f"--weight {known['weight']}: {error}"
    assert edges.weights is not None
    found = {
        (_key(tuple(edges.ids[pair]), directed), round(float(value), 5))
        for pair, value in zip(edges.pairs, edges.weights.values.tolist(), strict=True)
    }
    wanted = {(_key((u, v), directed), round(weight, 5)) for u, v, _, weight in reading["edges"]}
    return (
        ""
        if found == wanted
        else f"weights: {len(wanted - found)} edges have another weight than {known['weight']!r} says"
    )
