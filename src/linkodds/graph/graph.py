"""Graph: the frozen value that reading makes and every later stage starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import DegenerateGraph, OptionError, UnknownNode
from linkodds.findings import Finding
from linkodds.graph.assembling import assemble
from linkodds.graph.description import GraphDescription, GraphOrigin, describe
from linkodds.graph.features import Features as Features  # part of a Graph, so it is found beside it
from linkodds.graph.features import Scaling, read_features
from linkodds.graph.graph_objects import adjacency_of, edge_table_of, networkx_of, pyg_arrays_of, with_what_is_ours
from linkodds.options import FeatureOptions
from linkodds.pairs import Pairs, PairSpace
from linkodds.reading.database_urls import Database
from linkodds.reading.edge_weights import EdgeWeights
from linkodds.reading.graph_options import EdgeListOptions
from linkodds.reading.interop import EdgeList
from linkodds.reading.reading import read_edges, read_nodes
from linkodds.reading.reading_options import ReadingOptions, takes_keywords_of
from linkodds.reading.relations import OtherEdges
from linkodds.reading.times import EdgeTimes


@dataclass(kw_only=True)
class GraphKeywords(FeatureOptions, EdgeListOptions):
    """The keywords of `Graph.from_edges`."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph with the user's ids: every edge once, no self-loops, isolated nodes kept.

    Args:
        ids: shape (nodes,), text ids, no id twice.
        edges: shape (edges, 2), int64, canonical for `space`, sorted by key, no edge twice.
        space: the admissible pairs; says whether the graph is directed or bipartite.
        features: node features, or None.
        findings: what reading dropped, detected or assumed.
        times: of the edges, in their order, or None; with them a fit splits by time.
        weights: of the edges, or None: confidences or strengths.
        others: edges of other kinds, which carry messages; or None.
        origin: how it was read, for `describe`; None for a graph that was not.
    Raises:
        DegenerateGraph: fewer than two nodes, no edge, or no non-edge.
    Example:
        >>> ids = np.array(["p53", "mdm2", "atm"], dtype=object)
        >>> graph = Graph(ids, np.array([[0, 1]]), PairSpace(3))
        >>> graph.num_edges, graph.num_non_edges, graph.degrees().tolist(), graph.index_of(["atm"]).tolist()
        (1, 2, [1, 1, 0], [2])
    """

    ids: NDArray[np.object_]
    edges: Pairs
    space: PairSpace
    features: Features | None = None
    findings: tuple[Finding, ...] = ()
    times: EdgeTimes | None = None
    weights: EdgeWeights | None = None
    others: OtherEdges | None = None
    origin: GraphOrigin | None = None
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {name: i for i, name in enumerate(self.ids)})
        if len(self._index) != len(self.ids) or len(self.ids) != self.space.num_nodes:
            raise ValueError("ids must be unique, one a node")
        if self.times is not None and len(self.times.values) != len(self.edges):
            raise ValueError("one time for each edge")
        if self.weights is not None and not np.array_equal(self.weights.keys, self.space.keys(self.edges)):
            raise ValueError("one weight for each edge, under its key")
        if self.num_nodes < 2:
            raise DegenerateGraph(
                f"the graph has {self.num_nodes} node(s); link prediction needs at least two nodes and two edges."
            )
        if self.num_edges == 0:
            raise DegenerateGraph(
                "the graph has no edge left after dropping self-loops; check which two columns hold the ids."
            )
        if self.num_non_edges == 0:
            raise DegenerateGraph(
                f"all {self.space.num_pairs} pairs are edges: a complete graph has no non-edge, so there is nothing to predict."
            )

    @staticmethod
    @takes_keywords_of(GraphKeywords)
    def from_edges(edges: Any, options: dict[str, Any]) -> "Graph":
        """Read a graph; what was dropped, detected or assumed is in its `findings`.

        Duplicate edges, in an undirected graph also reversed ones, and self-loops are dropped; isolated nodes are kept.
        Ids are always text: "NA", "007" and "1.0" stay what they are. Features are a path or a table with ids in its first
        column; or a path (.npz .npy) or an array whose row i is the i-th of `nodes`, else the i-th node of a graph object,
        else the node with integer id i; or the `features` of another graph, which are scaled already and stay as they are.
        A NetworkX graph, GraphML and GML know for themselves whether they are directed. Of an edge that is there more than
        once the first time counts, the highest confidence, and the sum of strengths.

        Args:
            edges: a path (.csv .tsv .txt, also .gz; .parquet; .npz with a SciPy adjacency; .graphml; .gml), the URL of a
                database (postgresql://USER@HOST/DATABASE?table=NAME, sqlite:///FILE?table=NAME, duckdb:///FILE?table=NAME),
                a pandas or polars table, a NetworkX graph, a SciPy sparse adjacency, PyG data, or pairs of ids.
            options: keywords.
        Raises:
            DataError: what cannot be read or used, with file, line, column and value; see `linkodds.errors`.
            DatabaseError: a database that cannot be reached or read.
            OptionError: options that exclude each other, or that the format has no use for.
        Example:
            >>> graph = Graph.from_edges([("p53", "mdm2"), ("mdm2", "p53"), ("p53", "atm")], nodes=["atm", "mdm2", "p53", "NA"])
            >>> graph.ids[graph.edges].tolist()
            [['atm', 'p53'], ['mdm2', 'p53']]
            >>> [finding.message for finding in graph.findings if finding.severity == "warning"]
            ['1 reversed duplicate(s) dropped: (u, v) and (v, u) are one edge.']
        """
        feature_scaling = options.pop("feature_scaling", "auto")
        return Graph.read(edges, ReadingOptions.from_options(options), feature_scaling)

    @staticmethod
    def read(
        edges: Any, options: ReadingOptions, feature_scaling: Scaling = "auto", *, rows: EdgeList | None = None
    ) -> "Graph":
        """Read a graph as `from_edges` does, with the options in one value.

        Args:
            edges: as for `from_edges`.
            options: how to read them.
            feature_scaling: see `linkodds.graph.features.scale_features`.
            rows: what `edges` holds, where it was read already.
        """
        read = read_edges(edges, options) if rows is None else rows
        if not isinstance(edges, str | Path | Database):  # a file knows nothing that we wrote into an object
            read = with_what_is_ours(read, edges)
        given = options.features if options.features is not None else read.features
        if isinstance(given, Features) and feature_scaling not in ("auto", given.scaling):
            raise OptionError(
                f"feature_scaling={feature_scaling!r}: these features are scaled already ({given.scaling})."
            )
        parts = assemble(
            read,
            nodes=None if options.nodes is None else read_nodes(options.nodes),
            features=given if given is None or isinstance(given, Features) else read_features(given),
            bipartite=options.bipartite,
            feature_scaling=feature_scaling,
        )
        if parts.origin is not None:
            place = str(edges) if isinstance(edges, str | Path | Database) else None
            parts = replace(parts, origin=replace(parts.origin, place=place, options=options.given()))
        return Graph(**vars(parts))

    @property
    def num_nodes(self) -> int:
        """Number of nodes, isolated ones included."""
        return self.space.num_nodes

    @property
    def num_edges(self) -> int:
        """Number of distinct edges."""
        return len(self.edges)

    @property
    def num_non_edges(self) -> int:
        """Number of admissible pairs without a recorded edge."""
        return self.space.num_pairs - self.num_edges

    @property
    def ratio(self) -> float:
        """The graph's ratio, edges / all admissible pairs: one of the two base rates."""
        return self.num_edges / self.space.num_pairs

    def degrees(self) -> NDArray[np.int64]:
        """Shape (nodes,): number of edges at each node, incoming and outgoing together when directed."""
        return np.bincount(self.edges.ravel(), minlength=self.num_nodes)

    def index_of(self, names: Any, *, missing: int | None = None) -> NDArray[np.int64]:
        """Shape (names,): node indices of the ids (compared as text).

        Args:
            names: ids.
            missing: what stands for an id that the graph does not have; None: such an id is refused.
        Raises:
            UnknownNode: an id that the graph does not have, without `missing`.
        """
        absent = -1 if missing is None else missing
        found = np.fromiter((self._index.get(str(name), absent) for name in names), dtype=np.int64)
        if missing is None and (found < 0).any():
            name = list(names)[int(np.argmax(found < 0))]
            raise UnknownNode(
                f"{name!r} is no node of this graph ({self.num_nodes} nodes, the first is {self.ids[0]!r})."
            )
        return found

    def describe(self) -> GraphDescription:
        """What this graph is and how it was read: format, columns, ends and why, sizes, direction, sides, first edges.

        Returns:
            A frozen value; as text it is what `linkodds inspect` prints.
        Example:
            >>> facts = Graph.from_edges([("p53", "mdm2"), ("mdm2", "p53"), ("p53", "atm")]).describe()
            >>> facts.num_nodes, facts.num_edges, facts.directed, facts.reversed_duplicates
            (3, 2, False, 1)
            >>> print("\\n".join(facts.lines()))
            Read as pairs of ids. First edges: p53 - mdm2; mdm2 - p53; p53 - atm.
            3 edges as read: 3 nodes and 2 undirected edges.
            Left out: 1 reversed duplicate.
        """
        return describe(self)

    def reading_as(self, asked: Mapping[str, Any]) -> dict[str, str]:
        """Option -> value of the columns beside the ends that the edges were read with, as config.yaml keeps them.

        Args:
            asked: options of reading, to be held against how the graph was read.
        Raises:
            OptionError: it was not read so.
        """
        read = {} if self.times is None else {"time": self.times.column}
        if self.weights is not None:
            read |= {"weight": self.weights.column, "weight_as": self.weights.role}
        if self.others is not None:
            read |= {"relation": self.others.column, "predict_kind": self.others.predicted}
        for name, value in asked.items():
            is_so = str(value) == read.get(name)
            if name == "feature_scaling":
                is_so = self.features is None or value == self.features.scaling
            if not is_so:
                raise OptionError(
                    f"{name}={value!r}: this graph was not read so. Read it with Graph.from_edges(..., {name}={value!r})."
                )
        return read

    def to_networkx(self) -> Any:
        """A NetworkX `Graph`, or `DiGraph`, that `from_edges` reads back as this graph.

        Nodes are the ids. Where there are features, node attribute `x` holds them as they are here, scaled, shape
        (features,), float32; in a bipartite graph `bipartite` is 0 or 1, as NetworkX has it.

        Example:
            >>> graph = Graph.from_edges([("p53", "mdm2"), ("p53", "atm")], nodes=["atm", "mdm2", "p53", "NA"])
            >>> again = Graph.from_edges(graph.to_networkx())
            >>> again.ids.tolist() == graph.ids.tolist(), (again.edges == graph.edges).all(), again.space == graph.space
            (True, np.True_, True)
        """
        return networkx_of(self.ids, self.edges, self.space, self.features)

    def to_pyg(self) -> Any:
        """PyG `Data` that `from_edges` reads back as this graph.

        `edge_index` has every edge in both directions unless the graph is directed; `x` the features, dense, scaled;
        `side` 0, 1 or 2 (neither) in a bipartite graph; `node_id` the ids, a list.

        Raises:
            OptionError: PyG is not installed.
        """
        from linkodds.graph.graph_objects import pyg_data

        return pyg_data(pyg_arrays_of(self.ids, self.edges, self.space, self.features))

    def to_scipy(self) -> sp.csr_array:
        """Adjacency, shape (nodes, nodes), int32, rows in the order of `ids`; symmetric unless the graph is directed.

        It holds edges alone: `Graph.from_edges(matrix, nodes=graph.ids, features=graph.features,
        directed=graph.space.directed, bipartite=graph.space.bipartite)` is this graph again.
        """
        return adjacency_of(self.edges, self.space)

    def to_polars(self) -> pl.DataFrame:
        """One row an edge: source, target. `from_edges` makes this graph of it with the same options as of `to_scipy`."""
        return edge_table_of(self.ids, self.edges)
