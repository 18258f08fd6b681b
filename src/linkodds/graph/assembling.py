"""Assembling: an edge list, a list of nodes and features become the parts of one graph; what was dropped is said."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse import csgraph

from linkodds.errors import BadFeatures, DataError, OptionError, UnknownNode
from linkodds.findings import Finding
from linkodds.graph.description import GraphOrigin
from linkodds.graph.features import Features, FeatureTable, Scaling, scale_features
from linkodds.pairs import Pairs, PairSpace
from linkodds.reading.edge_weights import EdgeWeights
from linkodds.reading.interop import EdgeList
from linkodds.reading.relations import OtherEdges, joined_kinds
from linkodds.reading.times import EdgeTimes

_MIN_CYCLES = 10  # independent cycles, all of even length, that are no accident


@dataclass(frozen=True, eq=False)
class GraphParts:
    """The parts of a graph: see `Graph` for what each one is."""

    ids: NDArray[np.object_]
    edges: Pairs
    space: PairSpace
    features: Features | None
    findings: tuple[Finding, ...]
    times: EdgeTimes | None = None
    weights: EdgeWeights | None = None
    others: OtherEdges | None = None
    origin: GraphOrigin | None = None


def assemble(
    edges: EdgeList,
    *,
    nodes: NDArray[np.object_] | None = None,
    features: FeatureTable | Features | None = None,
    bipartite: bool | None = None,
    feature_scaling: Scaling = "auto",
) -> GraphParts:
    """Join ids, drop self-loops and duplicates, find the two sides of a bipartite graph, align and scale the features.

    Nodes keep the order of `nodes`, else of first appearance, then come nodes that have a feature row only. In a
    bipartite graph they are re-numbered side by side, as `PairSpace` wants it; within a side the order stays.

    Args:
        edges: as read.
        nodes: all ids; None takes those of the edges and of the features.
        features: one row for every node, at least; as read, or `Features`, which are scaled already.
        bipartite: None takes what the source says, else detects it: every component two-colourable, and at least 10
            independent cycles.
        feature_scaling: see `scale_features`.
    Raises:
        UnknownNode: an edge or a feature row for an id that `nodes` does not have.
        BadFeatures: a node without a row, rows that fit no ids, values that are no finite numbers.
        DataError: bipartite=True and an odd cycle.
        OptionError: directed and bipartite together.
    Example:
        >>> read = EdgeList(np.array(["a", "b"], dtype=object), np.array([[0, 1], [1, 0], [1, 1]]), False, str)
        >>> graph = assemble(read, nodes=np.array(["b", "a", "c"], dtype=object))
        >>> graph.edges.tolist(), [finding.statistic for finding in graph.findings]
        ([[0, 1]], [3.0, 1.0, 1.0, 1.0])
    """
    if bipartite is None:
        bipartite = edges.bipartite
    if edges.directed and bipartite:
        raise OptionError("--directed and --bipartite exclude each other: leave one out.")
    ids, pairs, others = _join_all(edges, nodes)
    row_of_node = np.zeros(0, dtype=np.int64)
    table = FeatureTable("features", features.matrix) if isinstance(features, Features) else features
    if table is not None:
        row_ids = _ids_of_rows(table, edges, nodes)
        table.refuse_not_finite(row_ids)
        ids, row_of_node = _join_features(ids, table, row_ids, closed=nodes is not None)
    findings = [_first_edge(edges), *edges.findings] if len(pairs) else list(edges.findings)
    rows = pairs
    pairs, counts = _drop_repeats(pairs, len(ids), edges.directed)
    dropped = dropped_findings(*counts)
    summarised = [
        *findings[: len(findings) - len(edges.findings)],
        *dropped,
    ]  # what a description says in its own words
    findings += dropped
    num_isolated = int((np.bincount(pairs.ravel(), minlength=len(ids)) == 0).sum())
    if num_isolated:
        of_kind = "" if edges.others is None else f" of kind {edges.others.predicted!r}"
        message = f"{num_isolated} of {len(ids)} nodes are isolated: no edge{of_kind} touches them. They are kept."
        summarised.append(
            Finding("reading", "info", message, "Only features can say anything about them.", float(num_isolated))
        )
        findings.append(summarised[-1])

    sides = None
    if bipartite or (bipartite is None and not edges.directed):
        side = _told_sides(edges, ids, pairs) if bipartite else None
        if side is None:
            side = _two_sides(pairs, ids, required=bool(bipartite))
        if side is not None:
            sides = (int((side == 0).sum()), int((side == 1).sum()))
            order = np.argsort(side, kind="stable")
            place = np.empty(len(ids), dtype=np.int64)
            place[order] = np.arange(len(ids))
            ids, pairs, rows = ids[order], place[pairs], place[rows]
            others = place[others]
            row_of_node = row_of_node if features is None else row_of_node[order]
            summarised.append(_sides_finding(sides, len(ids), told=bool(bipartite)))
            findings.append(summarised[-1])
    space = PairSpace(len(ids), directed=edges.directed, sides=sides)
    pairs = space.canonical(pairs)
    pairs = pairs[np.argsort(space.keys(pairs))]
    times = None
    if edges.times is not None:
        times, about_times = _first_times(edges.times, rows, pairs, space)
        findings += about_times
    other_edges = None
    if edges.others is not None:
        other_edges, about_others = joined_kinds(edges.others, others, pairs, space)
        findings += about_others
    weights = None if edges.weights is None else _joined_weights(edges.weights, rows, pairs, space)

    scaled = None
    if isinstance(features, Features):
        scaled = replace(features, matrix=features.matrix[row_of_node])
    elif features is not None:
        scaled, said = scale_features(features.matrix[row_of_node], feature_scaling, features.names)
        findings += said
    origin = _origin(edges, counts, summarised)
    return GraphParts(ids, pairs, space, scaled, tuple(findings), times, weights, other_edges, origin)


def align_features(ids: NDArray[np.object_], features: FeatureTable) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """All ids, those with a feature row only at the end, and the row of each.

    Args:
        ids: of the edges, in order.
        features: as read.
    Raises:
        BadFeatures: a node without a row, rows that fit no ids, values that are no finite numbers.
    Example:
        >>> table = FeatureTable("features", np.zeros((3, 1)), np.array(["c", "a", "b"], dtype=object))
        >>> [each.tolist() for each in align_features(np.array(["b", "c"], dtype=object), table)]
        [['b', 'c', 'a'], [2, 0, 1]]
    """
    edges = EdgeList(ids, np.empty((0, 2), dtype=np.int64), False, str)
    row_ids = _ids_of_rows(features, edges, None)
    features.refuse_not_finite(row_ids)
    return _join_features(ids, features, row_ids, closed=False)


def _origin(edges: EdgeList, counts: tuple[int, int, int], summarised: list[Finding]) -> GraphOrigin | None:
    """What a description will say of the source; None where nobody told how it was read."""
    if edges.reading is None:
        return None
    ends = [int(np.count_nonzero(np.bincount(edges.pairs[:, end]))) for end in (0, 1)]
    first = edges.first or tuple((str(u), str(v)) for u, v in edges.ids[edges.pairs[:3]])
    return GraphOrigin(edges.reading, len(edges.pairs), first, *counts, (ends[0], ends[1]), tuple(summarised))


def _first_edge(edges: EdgeList) -> Finding:
    source, target = edges.ids[edges.pairs[0]]
    layout = f" ({edges.layout})" if edges.layout else ""
    message = f"First edge as read: {source!r} - {target!r}, {edges.where(0)}{layout}; {len(edges.pairs)} rows."
    remedy = "If that is no edge, pass --source, --target, --no-header or --delimiter."
    return Finding("reading", "info", message, remedy, float(len(edges.pairs)))


def _join_all(edges: EdgeList, nodes: NDArray[np.object_] | None) -> tuple[NDArray[np.object_], Pairs, Pairs]:
    """All ids, and the ends of the edges and of those of other kinds as places in them."""
    if edges.others is None:
        return *_join_nodes(edges, nodes), np.empty((0, 2), dtype=np.int64)
    everything = replace(edges, pairs=np.concatenate([edges.pairs, edges.others.pairs]))
    ids, pairs = _join_nodes(everything, nodes)
    count = len(edges.pairs)
    return ids, pairs[:count], pairs[count:]


def _join_nodes(edges: EdgeList, nodes: NDArray[np.object_] | None) -> tuple[NDArray[np.object_], Pairs]:
    if nodes is None:
        if (edges.ids == "").any():
            raise DataError("a node has an empty id; give every node a name.")
        return edges.ids, edges.pairs
    if edges.numbered:
        if len(nodes) != len(edges.ids):
            raise UnknownNode(
                f"--nodes has {len(nodes)} ids, but the edges come with {len(edges.ids)} numbered nodes; "
                "they must match one to one."
            )
        return nodes, edges.pairs
    index = {name: i for i, name in enumerate(nodes)}
    place = np.fromiter((index.get(name, -1) for name in edges.ids), dtype=np.int64, count=len(edges.ids))
    unknown = place < 0
    if unknown.any():
        at_ends = unknown[edges.pairs]
        rows = np.flatnonzero(at_ends.any(axis=1))
        if len(rows):
            end = int(np.argmax(at_ends[rows[0]]))
            where, name = edges.where(int(rows[0])), edges.ids[edges.pairs[rows[0], end]]
        else:
            where, name = "the graph", edges.ids[int(np.argmax(unknown))]
        raise UnknownNode(
            f"{where}: {name!r} is none of the {len(nodes)} ids of --nodes, the first of which is {nodes[0]!r} "
            f"({int(unknown.sum())} such id(s)). Add it there (one id a line), or leave --nodes out."
        )
    return nodes, place[edges.pairs]


def _ids_of_rows(features: FeatureTable, edges: EdgeList, nodes: NDArray[np.object_] | None) -> NDArray[np.object_]:
    """The node of every feature row: its id, else its line in `nodes` or its place in the graph, else its number."""
    if features.ids is not None:
        return features.ids
    num_rows = features.matrix.shape[0]
    numbers = np.array([str(i) for i in range(num_rows)], dtype=object)
    if nodes is not None or edges.own_order:
        order = nodes if nodes is not None else edges.ids
        if len(order) != num_rows:
            listed = "lines in --nodes" if nodes is not None else "nodes in the graph"
            raise BadFeatures(
                f"{features.place}: {num_rows} rows, but {len(order)} {listed}; row i is the i-th of them."
            )
        if nodes is None and set(order) == set(numbers) and (order != numbers).any():
            raise BadFeatures(
                f"{features.place}: row 0 may mean the first node of the graph, {order[0]!r}, or node '0'. "
                "Pass nodes= in the order of the rows, or a table with an id column."
            )
        return order
    known = set(numbers)
    lost = next((name for name in edges.ids if name not in known), None)
    if lost is not None:
        raise BadFeatures(
            f"{features.place}: its {num_rows} rows fit no ids: without --nodes row i is the node with id i, from 0, "
            f"and there is no row for node {lost!r}. Pass --nodes with one id a row, or a table with an id column."
        )
    return numbers


def _join_features(
    ids: NDArray[np.object_], features: FeatureTable, row_ids: NDArray[np.object_], *, closed: bool
) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """All ids, those with a feature row only at the end, and the row of each."""
    row_of = {name: row for row, name in enumerate(row_ids)}
    missing = [name for name in ids if name not in row_of]
    if missing:
        raise BadFeatures(
            f"{features.place}: no row for node {missing[0]!r} ({len(missing)} of {len(ids)} nodes have none; "
            f"the first row is for {row_ids[0]!r}). Add the rows, or drop those nodes from the edges."
        )
    known = set(ids)
    unseen = [name for name in row_ids if name not in known]
    if unseen and closed:
        row = row_of[unseen[0]]
        raise UnknownNode(
            f"{features.where(row)}: {unseen[0]!r} is none of the {len(ids)} ids of --nodes "
            f"({len(unseen)} such row(s)). Add it there, or delete the row."
        )
    everyone = np.concatenate([ids, np.array(unseen, dtype=object)]) if unseen else ids
    return everyone, np.fromiter((row_of[name] for name in everyone), dtype=np.int64, count=len(everyone))


def _drop_repeats(pairs: Pairs, num_nodes: int, directed: bool) -> tuple[Pairs, tuple[int, int, int]]:
    """Each edge once, as it was read first, without self-loops; and how many loops, repeats and reversed rows were dropped."""
    loops = pairs[:, 0] == pairs[:, 1]
    proper = pairs[~loops]
    num_rows = len(proper)
    proper = _first_of_each(proper, proper, num_nodes)
    num_repeated = num_rows - len(proper)
    num_reversed = 0
    if not directed:
        num_arcs = len(proper)
        proper = _first_of_each(proper, np.sort(proper, axis=1), num_nodes)
        num_reversed = num_arcs - len(proper)
    return proper, (int(loops.sum()), num_repeated, num_reversed)


def dropped_findings(num_loops: int, num_repeated: int, num_reversed: int) -> list[Finding]:
    """What is said of rows of an edge list that are no edges of their own; nothing where there are none.

    Example:
        >>> [finding.message for finding in dropped_findings(0, 2, 0)]
        ['2 duplicate edge(s) dropped: every edge counts once.']
    """
    findings = []
    for count, what, cure in (
        (
            num_loops,
            "self-loop(s) dropped: a node is no link to itself",
            "Nothing to do, unless the two columns are wrong.",
        ),
        (
            num_repeated,
            "duplicate edge(s) dropped: every edge counts once",
            "Nothing to do, unless repeats carry a meaning (weight, time).",
        ),
        (
            num_reversed,
            "reversed duplicate(s) dropped: (u, v) and (v, u) are one edge",
            "Pass --directed if the direction means something.",
        ),
    ):
        if count:
            findings.append(Finding("reading", "warning", f"{count} {what}.", cure, float(count)))
    return findings


def _first_times(times: EdgeTimes, rows: Pairs, edges: Pairs, space: PairSpace) -> tuple[EdgeTimes, list[Finding]]:
    """The first time of every edge among its rows, and how many rows came at another time."""
    proper = rows[:, 0] != rows[:, 1]
    place = np.searchsorted(space.keys(edges), space.keys(space.canonical(rows[proper])))
    values = times.values[proper]
    first = np.full(len(edges), values.max(initial=0), dtype=values.dtype)
    np.minimum.at(first, place, values)
    num_later = int((values > first[place]).sum())
    findings = []
    if num_later:
        message = f"{num_later} row(s) repeat an edge at a later time: the first time of each edge counts."
        findings.append(
            Finding("reading", "info", message, "Nothing to do, unless a repeat is a new event.", float(num_later))
        )
    return EdgeTimes(first, times.kind, times.column), findings


def _joined_weights(weights: EdgeWeights, rows: Pairs, edges: Pairs, space: PairSpace) -> EdgeWeights:
    """Of rows that repeat an edge the highest confidence, or the sum of the strengths."""
    proper = rows[:, 0] != rows[:, 1]
    keys = space.keys(edges)
    place = np.searchsorted(keys, space.keys(space.canonical(rows[proper])))
    joined = np.zeros(len(edges))
    (np.maximum if weights.role == "confidence" else np.add).at(joined, place, weights.values[proper])
    return EdgeWeights(joined, keys, weights.role, weights.column)


def _first_of_each(pairs: Pairs, compared: Pairs, num_nodes: int) -> Pairs:
    _, first = np.unique(compared[:, 0] * np.int64(num_nodes) + compared[:, 1], return_index=True)
    kept: Pairs = pairs[np.sort(first)]
    return kept


def _told_sides(edges: EdgeList, ids: NDArray[np.object_], pairs: Pairs) -> NDArray[np.int64] | None:
    """The sides as the source gives them; None where it gives none, or where an edge does not lead from one to the other."""
    if edges.side is None:
        return None
    if edges.numbered and len(edges.side) == len(ids):
        side = edges.side
    else:
        told = dict(zip(edges.ids.tolist(), edges.side.tolist(), strict=True))
        side = np.array([told.get(name, 2) for name in ids], dtype=np.int64)
    return side if (np.sort(side[pairs], axis=1) == [0, 1]).all() else None


def _two_sides(pairs: Pairs, ids: NDArray[np.object_], *, required: bool) -> NDArray[np.int64] | None:
    """Shape (nodes,): 0 for side A, 1 for side B, 2 for nodes without an edge; None when the graph is not bipartite.

    Where the two columns share no id, the source column is side A. Otherwise each component is two-coloured, and side A
    is the colour that more of its source ends have. A two-colouring exists if and only if no node is connected with its
    own copy in the bipartite double cover.
    """
    n = len(ids)
    touched = np.zeros(n, dtype=np.bool_)
    touched[pairs] = True
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    cover = sp.csr_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1] + n)), shape=(2 * n, 2 * n))
    _, label = csgraph.connected_components(cover, directed=False)
    if (label[:n] == label[n:]).any():
        if not required:
            return None
        cycle = _odd_cycle(pairs, n, int(np.argmax(label[:n] == label[n:])))
        shown = " - ".join(repr(ids[node]) for node in [*cycle[:9], *(cycle[:1] if len(cycle) <= 9 else [])])
        raise DataError(
            f"not bipartite: {len(cycle)} edges form an odd cycle, {shown}{' - ...' if len(cycle) > 9 else ''}. "
            "Drop the edge that is wrong, or leave --bipartite out."
        )
    component = np.minimum(label[:n], label[n:])  # a component and its mirror image in the cover are one
    num_cycles = len(pairs) - int(touched.sum()) + len(np.unique(component[touched]))
    if not required and num_cycles < _MIN_CYCLES:
        return None
    is_source = np.zeros(n, dtype=np.bool_)
    is_source[pairs[:, 0]] = True
    if not is_source[pairs[:, 1]].any():
        colour = (~is_source).astype(np.int64)
    else:
        colour = (label[:n] != component).astype(np.int64)
        balance = np.bincount(component[pairs[:, 0]], weights=1.0 - 2.0 * colour[pairs[:, 0]], minlength=2 * n)
        colour ^= (balance < 0)[component]
    colour[~touched] = 2
    return colour


def _odd_cycle(pairs: Pairs, num_nodes: int, start: int) -> list[int]:
    """Nodes of an odd cycle in the component of `start`, which has one: it closes within a level of a search tree."""
    graph = sp.csr_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(num_nodes, num_nodes))
    order, parent = csgraph.breadth_first_order(graph, start, directed=False)
    depth = np.full(num_nodes, -1)
    depth[start] = 0
    for node in order[1:]:
        depth[node] = depth[parent[node]] + 1
    level = (depth[pairs[:, 0]] == depth[pairs[:, 1]]) & (depth[pairs[:, 0]] >= 0)
    left, right = ([int(end)] for end in pairs[int(np.argmax(level))])
    while left[-1] != right[-1]:
        left.append(int(parent[left[-1]]))
        right.append(int(parent[right[-1]]))
    return left + right[-2::-1]


def _sides_finding(sides: tuple[int, int], num_nodes: int, *, told: bool) -> Finding:
    a, b = sides
    rest = num_nodes - a - b
    unsided = f"; {rest} isolated node(s) have no known side and are in no pair" if rest else ""
    if told:
        message = f"Bipartite: {a} nodes on side A, {b} on side B{unsided}."
        remedy = "--no-bipartite takes pairs within a side as candidates too."
        return Finding("reading", "info", message, remedy, float(a * b))
    message = (
        f"Read as bipartite: edges join {a} nodes with {b} others and never two of a kind, "
        f"so only the {a * b} pairs across are candidates{unsided}."
    )
    return Finding(
        "reading",
        "warning",
        message,
        "Pass --no-bipartite (bipartite=False) if links within a side are possible.",
        float(a * b),
    )
