"""A graph as other libraries' objects, and what these carry so that it is read back as it was.

A marker, `linkodds`, on a NetworkX graph or on PyG data says that its node attributes are ours: `x` holds features that are
scaled already, `bipartite` (NetworkX) or `side` (PyG) the side of each node. Without it such attributes are not looked at.
"""

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import DataError, OptionError
from linkodds.graph.features import Features
from linkodds.pairs import Pairs, PairSpace
from linkodds.reading.interop import EdgeList, as_array

MARKER = "linkodds"


def networkx_of(ids: NDArray[np.object_], edges: Pairs, space: PairSpace, features: Features | None) -> Any:
    """A `networkx.Graph`, or `DiGraph`; nodes are the ids, in order.

    Node attributes: `x`, float32, shape (features,); in a bipartite graph `bipartite`, 0 or 1.

    Example:
        >>> graph = networkx_of(np.array(["a", "b", "c"], dtype=object), np.array([[0, 1]]), PairSpace(3, sides=(1, 2)), None)
        >>> list(graph.edges), dict(graph.nodes(data="bipartite"))
        ([('a', 'b')], {'a': 0, 'b': 1, 'c': 1})
    """
    graph: Any = nx.DiGraph() if space.directed else nx.Graph()
    graph.add_nodes_from(ids.tolist())
    graph.add_edges_from(ids[edges].tolist())
    graph.graph[MARKER] = _marker(space, features)
    if features is not None:
        for row, name in enumerate(ids.tolist()):
            graph.nodes[name]["x"] = _row(features, row)
    if space.sides is not None:
        for name, side in zip(ids.tolist(), sides_of(space).tolist(), strict=True):
            if side < 2:
                graph.nodes[name]["bipartite"] = side
    return graph


def adjacency_of(edges: Pairs, space: PairSpace) -> sp.csr_array:
    """Shape (nodes, nodes), int32, so that products count: 1 at every edge, in both places unless the graph is directed.

    Example:
        >>> adjacency_of(np.array([[0, 1]]), PairSpace(2)).toarray().tolist()
        [[0, 1], [1, 0]]
    """
    arcs = edges if space.directed else np.concatenate([edges, edges[:, ::-1]])
    shape = (space.num_nodes, space.num_nodes)
    return sp.csr_array((np.ones(len(arcs), dtype=np.int32), (arcs[:, 0], arcs[:, 1])), shape=shape)


def edge_table_of(ids: NDArray[np.object_], edges: Pairs) -> pl.DataFrame:
    """One row an edge: source, target, as text.

    Example:
        >>> edge_table_of(np.array(["a", "b"], dtype=object), np.array([[0, 1]])).rows()
        [('a', 'b')]
    """
    ends = ids[edges]
    return pl.DataFrame(
        {name: pl.Series(ends[:, i].tolist(), dtype=pl.String) for i, name in enumerate(("source", "target"))}
    )


def pyg_arrays_of(
    ids: NDArray[np.object_], edges: Pairs, space: PairSpace, features: Features | None
) -> dict[str, Any]:
    """What PyG data of the graph hold, as arrays: edge_index, num_nodes, x, side, node_id and the marker.

    `edge_index`, shape (2, arcs), has every edge in both directions unless the graph is directed.
    """
    arcs = edges if space.directed else np.concatenate([edges, edges[:, ::-1]])
    held: dict[str, Any] = {"edge_index": np.ascontiguousarray(arcs.T), "num_nodes": space.num_nodes}
    if features is not None:
        values = features.matrix
        held["x"] = values if isinstance(values, np.ndarray) else values.toarray()
    if space.sides is not None:
        held["side"] = sides_of(space)
    return held | {"node_id": ids.tolist(), MARKER: _marker(space, features)}


def sides_of(space: PairSpace) -> NDArray[np.int64]:
    """Shape (nodes,): 0 on side A, 1 on side B, 2 on neither.

    Example:
        >>> sides_of(PairSpace(4, sides=(1, 2))).tolist()
        [0, 1, 1, 2]
    """
    a, b = space.sides or (0, 0)
    return np.repeat([0, 1, 2], [a, b, space.num_nodes - a - b])


def with_what_is_ours(read: EdgeList, source: Any) -> EdgeList:
    """The edges with ids, features and sides of an object that we made; the edges alone of any other.

    Raises:
        DataError: it was changed, so that its nodes have features or ids no longer.
    """
    marker = getattr(source, "graph", None) or {}
    if hasattr(source, "nodes") and isinstance(marker, dict) and isinstance(marker.get(MARKER), dict):
        return _of_networkx(read, source, marker[MARKER])
    marker = getattr(source, MARKER, None)
    return _of_pyg(read, source, marker) if isinstance(marker, dict) and hasattr(source, "edge_index") else read


def _of_networkx(read: EdgeList, graph: Any, marker: dict[str, Any]) -> EdgeList:
    features = None
    if marker["features"] is not None:
        rows = [x for _, x in graph.nodes(data="x")]
        lost = next((name for name, x in graph.nodes(data="x") if x is None), None)
        if lost is not None:
            raise DataError(
                f"the NetworkX graph: node {lost!r} has no x and the others have; give it one, or pass features=."
            )
        features = _features(np.stack(rows), marker["features"])
    side = None
    if marker["bipartite"]:
        side = np.array([2 if each is None else each for _, each in graph.nodes(data="bipartite")], dtype=np.int64)
    return replace(read, features=features, side=side, bipartite=marker["bipartite"])


def _of_pyg(read: EdgeList, data: Any, marker: dict[str, Any]) -> EdgeList:
    names = getattr(data, "node_id", None)
    if names is None or len(names) != len(read.ids):
        raise DataError(
            f"the PyG data: {0 if names is None else len(names)} names in node_id for {len(read.ids)} nodes; select "
            f"node_id along with the nodes, or delete the attribute {MARKER}."
        )
    x = getattr(data, "x", None)
    given = marker["features"]
    features = x if x is None or given is None else _features(as_array(x), given)
    side = as_array(data.side) if marker["bipartite"] else None
    return replace(
        read,
        ids=np.array([str(name) for name in names], dtype=object),
        numbered=False,
        features=features,
        side=side,
        bipartite=marker["bipartite"],
    )


def _marker(space: PairSpace, features: Features | None) -> dict[str, Any]:
    """Plain values only, so that PyG and NetworkX can copy and save them."""
    facts = None
    if features is not None:
        facts = {
            "scaling": features.scaling,
            "names": list(features.names),
            "center": None if features.center is None else features.center.tolist(),
            "factor": None if features.factor is None else features.factor.tolist(),
            "is_sparse": _is_sparse(features),
        }
    return {"directed": space.directed, "bipartite": space.bipartite, "features": facts}


def _features(matrix: NDArray[Any], facts: dict[str, Any]) -> Features:
    values = np.asarray(matrix, dtype=np.float32)
    center, factor = (None if facts[name] is None else np.array(facts[name]) for name in ("center", "factor"))
    stored = sp.csr_array(values) if facts["is_sparse"] else values
    return Features(stored, facts["scaling"], tuple(facts["names"]), center, factor)


def _is_sparse(features: Features) -> bool:
    return not isinstance(features.matrix, np.ndarray)


def _row(features: Features, row: int) -> NDArray[np.float32]:
    values: Any = features.matrix
    if not _is_sparse(features):
        return values[row]  # type: ignore[no-any-return]
    dense = np.zeros(values.shape[1], dtype=np.float32)
    start, stop = values.indptr[row : row + 2]
    dense[values.indices[start:stop]] = values.data[start:stop]
    return dense


def pyg_data(held: dict[str, Any]) -> Any:
    """A `torch_geometric.data.Data` of these attributes, arrays as tensors.

    Raises:
        OptionError: PyG is not installed.
    """
    try:
        from torch_geometric.data import Data
    except ImportError as error:
        raise OptionError("to_pyg: PyG is not installed here; pip install 'linkodds[pyg]'.") from error
    import torch

    tensors = {
        name: torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
        for name, value in held.items()
    }
    return Data(**tensors)
