"""EdgeList: what every source of edges becomes; and the sources that are graphs already, known by their shape."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import DataError
from linkodds.findings import Finding
from linkodds.pairs import Pairs
from linkodds.reading.edge_weights import EdgeWeights
from linkodds.reading.relations import RowsOfKinds
from linkodds.reading.source_reading import SourceReading
from linkodds.reading.times import EdgeTimes


@dataclass(frozen=True, eq=False)
class EdgeList:
    """Edges as read: nothing dropped, nothing reordered.

    Args:
        ids: shape (nodes,), text ids, no id twice, in order of first appearance or in the source's own order.
        pairs: shape (rows, 2), int64 places in `ids`, source and target as read.
        directed: whether the edges have a direction.
        where: the place of a row, for messages.
        own_order: the source has an order of nodes of its own, so row i of an array of features is `ids[i]`.
        numbered: the ids are nothing but row numbers, so a list of nodes may name them.
        layout: how a table was read, for the user to check; empty for graphs.
        findings: what reading detected or ignored.
        features: a matrix that came along, one row a node, or None.
        side: shape (nodes,), 0, 1 or 2 (neither), where the source says which side of a bipartite graph a node is on.
        bipartite: what the source says of itself, None where it says nothing.
        times: one for each row, or None.
        weights: likewise.
        first: the first rows in the source's own words, where ids were changed; else none.
        reading: how its source was read; None where nobody will ask.
        others: rows of other kinds, where `pairs` are those of one kind; `where` counts them after these.
    """

    ids: NDArray[np.object_]
    pairs: Pairs
    directed: bool
    where: Callable[[int], str]
    own_order: bool = False
    numbered: bool = False
    layout: str = ""
    findings: tuple[Finding, ...] = ()
    features: Any = None
    side: NDArray[np.int64] | None = None
    bipartite: bool | None = None
    times: EdgeTimes | None = None
    weights: EdgeWeights | None = None
    others: RowsOfKinds | None = None
    first: tuple[tuple[str, str], ...] = ()
    reading: SourceReading | None = None


def is_networkx(value: Any) -> bool:
    """Whether this is a NetworkX graph, told without importing NetworkX."""
    return all(hasattr(value, name) for name in ("is_directed", "nodes", "edges", "adj"))


def is_pyg(value: Any) -> bool:
    """Whether this is a PyG `Data`, or looks like one: it has an `edge_index`."""
    return hasattr(value, "edge_index") or hasattr(value, "edge_index_dict")


def as_array(value: Any) -> NDArray[Any]:
    """A NumPy array of an array or of a tensor on any device.

    Example:
        >>> as_array([1, 2]).tolist()
        [1, 2]
    """
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


def edges_of_pyg(data: Any, *, directed: bool = False, place: str = "the PyG data") -> EdgeList:
    """Edges of a PyG `Data`: `edge_index` or `adj_t`, `num_nodes` and, when there is one, `x` as features.

    PyG stores an undirected edge in both directions. Where it does so throughout, each edge is read once; where it does
    not, the edges are read as undirected all the same, and a finding says how many have one direction only.

    Raises:
        DataError: an edge_index of the wrong shape, or with an index that is no node.
    Example:
        >>> from types import SimpleNamespace
        >>> data = SimpleNamespace(edge_index=np.array([[0, 1], [1, 0]]), num_nodes=3, x=None)
        >>> edges_of_pyg(data).pairs.tolist(), edges_of_pyg(data).ids.tolist()
        ([[0, 1]], ['0', '1', '2'])
    """
    given = getattr(data, "edge_index", None)
    if given is None and getattr(data, "adj_t", None) is not None:
        given = _index_of_transposed(data.adj_t)
    if given is None:
        raise DataError(
            f"{place} has no edge_index; turn heterogeneous data into one graph with data.to_homogeneous()."
        )
    index = as_array(given)
    if index.ndim != 2 or len(index) != 2 or index.dtype.kind not in "iu":
        raise DataError(
            f"{place}: edge_index holds integers of shape (2, edges), not {index.dtype} of shape {index.shape}."
        )
    pairs = index.T.astype(np.int64)
    ours = getattr(data, "linkodds", None)  # of Graph.to_pyg
    directed = directed or (isinstance(ours, dict) and bool(ours.get("directed")))
    x = getattr(data, "x", None)
    num_nodes = getattr(data, "num_nodes", None)
    if num_nodes is None:
        num_nodes = len(x) if x is not None else int(pairs.max(initial=-1)) + 1
    outside = ((pairs < 0) | (pairs >= num_nodes)).any(axis=1)
    if outside.any():
        first = int(np.argmax(outside))
        raise DataError(f"{place}, edge {first}: {pairs[first].tolist()} is outside the nodes 0 to {num_nodes - 1}.")
    findings: tuple[Finding, ...] = ()
    if not directed:
        one_way = int(_one_way(pairs, num_nodes).sum())
        if one_way == 0:
            pairs = pairs[pairs[:, 0] <= pairs[:, 1]]
        else:
            message = f"{place}: {one_way} of {len(pairs)} edges have one direction only; all are read as undirected."
            findings = (Finding("reading", "warning", message, "Pass directed=True if the direction means something."),)
    return _numbered(int(num_nodes), pairs, directed, place, "PyG data", findings, None if x is None else x)


def ignored_columns(names: list[str], kind: str = "columns") -> Finding:
    """The finding that names what was not used.

    Example:
        >>> ignored_columns(["weight"]).message
        "Ignored columns: 'weight'; every edge counts the same."
    """
    listed = ", ".join(repr(name) if name else "the one without a name" for name in names)
    return Finding(
        "reading",
        "info",
        f"Ignored {kind}: {listed}; every edge counts the same.",
        "Say with --time, --weight or --relation what they are; or drop the rows that are no edges (low weights, say) before "
        "the fit.",
        float(len(names)),
    )


def _index_of_transposed(adjacency: Any) -> NDArray[Any]:
    """The edge_index of `adj_t`, whose rows are targets: a SparseTensor of torch_sparse, or a sparse tensor of torch."""
    if hasattr(adjacency, "coo"):
        target, source, _ = adjacency.coo()
    else:
        target, source = adjacency.to_sparse_coo().coalesce().indices()
    return np.stack([as_array(source), as_array(target)])


def _one_way(pairs: Pairs, num_nodes: int) -> NDArray[np.bool_]:
    keys, reverse = pairs[:, 0] * np.int64(num_nodes) + pairs[:, 1], pairs[:, 1] * np.int64(num_nodes) + pairs[:, 0]
    return ~np.isin(keys, reverse)


def _numbered(
    num_nodes: int,
    pairs: Pairs,
    directed: bool,
    place: str,
    form: str,
    findings: tuple[Finding, ...],
    features: Any = None,
) -> EdgeList:
    ids = np.array([str(i) for i in range(num_nodes)], dtype=object)
    return EdgeList(
        ids,
        pairs,
        directed,
        lambda row: f"{place}, edge {row + 1}",
        own_order=True,
        numbered=True,
        findings=findings,
        features=features,
        reading=SourceReading(place, form),
    )
