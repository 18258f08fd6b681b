"""Graphs in memory: the same graph from every kind of object."""

from pathlib import Path
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from linkodds.errors import BadFeatures, DataError, MalformedFile, OptionError, UnknownNode
from linkodds.graph.graph import Graph
from linkodds.reading.reading import read_edges
from linkodds.reading.reading_options import ReadingOptions

PATH = [(0, 1), (1, 2), (2, 3)]  # 0 - 1 - 2 - 3, and node 4 alone


def adjacency(edges: list[tuple[int, int]], num_nodes: int) -> sp.csr_array:
    row, column = np.array(edges).T
    return sp.csr_array((np.ones(len(row)), (row, column)), shape=(num_nodes, num_nodes))


def path_sources() -> dict[str, object]:
    upper = adjacency(PATH, 5)
    graph = nx.Graph(PATH)
    graph.add_node(4)
    arcs = np.array(PATH).T
    return {
        "adjacency": upper + upper.T,
        "csr_matrix": sp.csr_matrix(upper + upper.T),
        "networkx": graph,
        "multigraph": nx.MultiGraph(graph),
        "pyg": SimpleNamespace(edge_index=np.concatenate([arcs, arcs[::-1]], axis=1), num_nodes=5, x=None),
        "pyg one way": SimpleNamespace(edge_index=arcs, num_nodes=5, x=None),
    }


@pytest.mark.parametrize("kind", path_sources())
def test_every_kind_of_graph_is_the_same_graph(kind: str) -> None:
    graph = Graph.from_edges(path_sources()[kind])
    assert graph.ids.tolist() == ["0", "1", "2", "3", "4"]
    assert graph.edges.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert graph.space.num_nodes == 5
    assert not graph.space.directed


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_tables_have_source_and_target_columns(frame: type) -> None:
    table = frame({"w": [1.5, 2.5], "source": ["NA", "007"], "target": [1, 2]})
    read = read_edges(table, ReadingOptions(source="source", target="target"))
    assert read.ids[read.pairs].tolist() == [["NA", "1"], ["007", "2"]]
    assert "Ignored columns: 'w'" in read.findings[0].message
    with pytest.raises(MalformedFile, match=r"no column 'tarket'.*mean 'target'"):
        read_edges(table, ReadingOptions(target="tarket"))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_missing_id_in_a_table_is_refused_with_its_row(frame: type) -> None:
    with pytest.raises(MalformedFile, match="table, row 2, column 'b': an empty id"):
        read_edges(frame({"a": ["x", "y"], "b": ["z", None]}))


def test_pandas_columns_of_any_type_become_text() -> None:
    table = pd.DataFrame({"a": pd.Categorical(["x", "y"]), "b": pd.array([7, 8], dtype="Int64")}, index=[5, 9])
    read = read_edges(table)
    assert read.ids[read.pairs].tolist() == [["x", "7"], ["y", "8"]]


def test_pairs_of_ids_are_edges() -> None:
    for pairs in ([("a", 1), ("b", 1)], np.array([["a", "1"], ["b", "1"]])):
        assert Graph.from_edges(pairs).num_edges == 2


def test_networkx_gives_direction_order_and_isolated_nodes() -> None:
    graph = nx.DiGraph([("b", "a"), ("a", "b"), ("b", "c")])
    graph.add_node("z")
    graph["b"]["a"]["weight"] = 3
    read = Graph.from_edges(graph)
    assert read.space.directed
    assert read.ids.tolist() == ["b", "a", "c", "z"]
    assert read.num_edges == 3
    messages = " ".join(finding.message for finding in read.findings)
    assert "Ignored edge attributes: 'weight'" in messages
    assert "is directed" in messages
    with pytest.raises(OptionError, match="has no directions"):
        Graph.from_edges(nx.path_graph(3), directed=True)
    with pytest.raises(DataError, match="2 nodes have the id '7' as text"):
        Graph.from_edges(nx.Graph([(7, "7"), (7, 8)]))


def test_an_adjacency_is_square_finite_and_symmetric_unless_directed() -> None:
    arcs = adjacency(PATH, 5)
    assert Graph.from_edges(arcs, directed=True).edges.tolist() == [[0, 1], [1, 2], [2, 3]]
    with pytest.raises(
        DataError, match=r"not symmetric: 3 of its 3 entries .* 0 - 1\. Pass --directed \(directed=True\)"
    ):
        Graph.from_edges(arcs)
    with pytest.raises(DataError, match="is 2 x 3; an adjacency matrix is square"):
        Graph.from_edges(sp.csr_array(np.ones((2, 3))))
    with pytest.raises(DataError, match="row 0, column 1: nan is no finite number"):
        Graph.from_edges(sp.csr_array(np.array([[0, np.nan], [1, 0]])))


def test_adjacency_values_loops_and_explicit_zeros_are_no_edges() -> None:
    matrix = sp.coo_array(([2.0, 2.0, 5.0, 0.0, 0.0], ([0, 1, 2, 0, 2], [1, 0, 2, 2, 0])), shape=(3, 3))
    graph = Graph.from_edges(matrix)
    assert graph.edges.tolist() == [[0, 1]]
    messages = " ".join(finding.message for finding in graph.findings)
    assert "1 self-loop(s)" in messages
    assert "Ignored edge attributes: 'value'" in messages


@pytest.mark.parametrize("door", ["object", "file", "open file"])
def test_values_of_an_adjacency_are_weights_where_that_is_asked_for(tmp_path: Path, door: str) -> None:
    matrix = sp.csr_array([[0, 0.5, 0, 0], [0.5, 0, 0.25, 0], [0, 0.75, 0, 0.125], [0, 0, 0.125, 0]])
    sp.save_npz(tmp_path / "edges.npz", matrix)
    with (tmp_path / "edges.npz").open("rb") as file:
        edges = {"object": matrix, "file": tmp_path / "edges.npz", "open file": file}[door]
        graph = Graph.from_edges(edges, weight="value", weight_as="confidence")
    assert graph.weights is not None
    assert graph.edges.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert graph.weights.values.tolist() == [0.5, 0.25, 0.125]
    # (1, 2) is 0.25 above the diagonal and 0.75 below it
    assert any("1 edge(s) have one value above the diagonal" in finding.message for finding in graph.findings)
    arcs = Graph.from_edges(matrix, directed=True, weight="value", weight_as="strength")
    assert arcs.weights is not None
    assert dict(zip(map(tuple, arcs.edges.tolist()), arcs.weights.values.tolist(), strict=True)) == {
        **{(0, 1): 0.5, (1, 0): 0.5, (1, 2): 0.25, (2, 1): 0.75, (2, 3): 0.125, (3, 2): 0.125}
    }
    with pytest.raises(DataError, match="no column 'score' for --weight; the columns are 'value'"):
        Graph.from_edges(matrix, weight="score", weight_as="strength")


def test_nodes_name_the_rows_of_an_adjacency() -> None:
    upper = adjacency(PATH, 5)
    graph = Graph.from_edges(upper + upper.T, nodes=list("abcde"))
    assert graph.ids[graph.edges].tolist() == [["a", "b"], ["b", "c"], ["c", "d"]]
    with pytest.raises(UnknownNode, match="has 2 ids, but the edges come with 5"):
        Graph.from_edges(upper + upper.T, nodes=["a", "b"])


def test_pyg_features_come_along_and_bad_indices_do_not() -> None:
    import torch

    index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    data = SimpleNamespace(edge_index=index, num_nodes=4, x=torch.arange(8.0).reshape(4, 2))
    graph = Graph.from_edges(data, feature_scaling="none")
    assert graph.features is not None
    assert graph.features.matrix.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert Graph.from_edges(data, directed=True).num_edges == 4
    with pytest.raises(DataError, match=r"edge 2: \[1, 2\] is outside the nodes 0 to 1"):
        Graph.from_edges(SimpleNamespace(edge_index=index, num_nodes=2, x=None))
    with pytest.raises(DataError, match=r"shape \(2, edges\), not int64 of shape \(4, 2\)"):
        Graph.from_edges(SimpleNamespace(edge_index=index.T, num_nodes=4, x=None))
    with pytest.raises(DataError, match="to_homogeneous"):
        Graph.from_edges(SimpleNamespace(edge_index_dict={}))


def test_an_array_of_features_follows_the_order_of_the_graph() -> None:
    graph = nx.Graph([("b", "a"), ("a", "c")])
    x = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, 5.0]])
    features = Graph.from_edges(graph, features=x, feature_scaling="none").features
    assert features is not None
    np.testing.assert_array_equal(features.matrix, x)
    with pytest.raises(BadFeatures, match="2 rows, but 3 nodes in the graph"):
        Graph.from_edges(graph, features=x[:2])


def test_rows_that_could_mean_two_orders_are_refused() -> None:
    """Nodes 2, 0, 1 in this order: row 0 may be node 2 or node 0, and a guess would join silently."""
    graph = nx.Graph([(2, 0), (0, 1)])
    with pytest.raises(BadFeatures, match="row 0 may mean the first node of the graph, '2', or node '0'"):
        Graph.from_edges(graph, features=np.eye(3))
    assert Graph.from_edges(graph, features=np.eye(3), nodes=[0, 1, 2]).ids.tolist() == ["0", "1", "2"]
