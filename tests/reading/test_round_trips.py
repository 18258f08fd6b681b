"""Graphs out to other libraries and back: what comes back is what went out."""

import pickle
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from linkodds.errors import DataError, OptionError
from linkodds.graph.features import Features
from linkodds.graph.graph import Graph

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # PyG, on import

NODES = ["z", "007", "NA", "a", "7", "b"]
TRIANGLE = [("z", "007"), ("007", "a"), ("a", "z"), ("7", "NA")]  # and b alone
PATH = [("z", "007"), ("007", "a"), ("a", "NA")]  # two sides; 7 and b alone


def graphs() -> dict[str, Graph]:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(6, 3)) * [1, 10, 0.1] + 5
    words = sp.random_array((6, 40), density=0.1, rng=rng, format="csr")
    table = pl.DataFrame({"id": NODES[::-1], "mass": [1.0, 2, 3, 4, 5, 9], "charge": [0.0, 1, 0, 1, 0, 1]})
    bipartite = {"nodes": NODES, "bipartite": True}
    return {
        "undirected": Graph.from_edges(TRIANGLE, nodes=NODES),
        "directed": Graph.from_edges([*TRIANGLE, ("007", "z")], nodes=NODES, directed=True),
        "bipartite": Graph.from_edges(PATH, **bipartite),
        "two colours, not bipartite": Graph.from_edges(PATH, nodes=NODES, bipartite=False),
        "standard features": Graph.from_edges(TRIANGLE, nodes=NODES, features=dense, feature_scaling="standard"),
        "features with names": Graph.from_edges(TRIANGLE, features=table),
        "raw features": Graph.from_edges(TRIANGLE, nodes=NODES, features=dense, feature_scaling="none"),
        "sparse features": Graph.from_edges(TRIANGLE, nodes=NODES, features=words),
        "bipartite with features": Graph.from_edges(PATH, features=dense, **bipartite),
        "directed with features": Graph.from_edges(TRIANGLE, nodes=NODES, features=dense, directed=True),
    }


def options(graph: Graph) -> dict[str, Any]:
    space = graph.space
    return {
        "nodes": graph.ids,
        "features": graph.features,
        "directed": space.directed,
        "bipartite": space.bipartite,
    }


WAYS: dict[str, Callable[[Graph], Graph]] = {
    "networkx": lambda graph: Graph.from_edges(graph.to_networkx()),
    "networkx, pickled": lambda graph: Graph.from_edges(pickle.loads(pickle.dumps(graph.to_networkx().copy()))),
    "pyg": lambda graph: Graph.from_edges(graph.to_pyg()),
    "pyg, cloned": lambda graph: Graph.from_edges(graph.to_pyg().clone()),
    "scipy": lambda graph: Graph.from_edges(graph.to_scipy(), **options(graph)),
    "polars": lambda graph: Graph.from_edges(graph.to_polars(), **options(graph)),
}


def dense(features: Features) -> Any:
    return features.matrix if isinstance(features.matrix, np.ndarray) else features.matrix.toarray()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", graphs())
def test_what_comes_back_is_what_went_out(name: str, way: str) -> None:
    graph = graphs()[name]
    again = WAYS[way](graph)
    assert again.ids.tolist() == graph.ids.tolist()
    assert again.edges.tolist() == graph.edges.tolist()
    assert again.space == graph.space
    if graph.features is None:
        assert again.features is None
        return
    assert again.features is not None
    assert type(again.features.matrix) is type(graph.features.matrix)
    assert dense(again.features).dtype == np.float32
    np.testing.assert_array_equal(dense(again.features), dense(graph.features))
    assert (again.features.scaling, again.features.names) == (graph.features.scaling, graph.features.names)
    for ours, theirs in (
        (again.features.center, graph.features.center),
        (again.features.factor, graph.features.factor),
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_the_objects_are_what_their_libraries_expect() -> None:
    graph = graphs()["bipartite with features"]
    network, data, matrix = graph.to_networkx(), graph.to_pyg(), graph.to_scipy()
    sides = nx.bipartite.sets(network.subgraph([name for name in network if network.degree(name)]))
    assert {network.nodes[name]["bipartite"] for name in sides[0]} == {0}
    assert network.nodes[graph.ids[0]]["x"].tolist() == dense(graph.features)[0].tolist()  # type: ignore[arg-type]
    assert data.validate()
    assert data.is_undirected()
    assert (data.num_nodes, data.num_edges, data.num_node_features) == (6, 6, 3)
    assert data.node_id == graph.ids.tolist()
    assert (matrix != matrix.T).nnz == 0
    assert np.asarray(matrix.sum(axis=1)).tolist() == graph.degrees().tolist()
    arcs = graphs()["directed"]
    assert arcs.to_networkx().is_directed()
    assert arcs.to_scipy().nnz == arcs.to_pyg().num_edges == arcs.num_edges == 5
    assert arcs.to_polars().rows()[0] == tuple(arcs.ids[arcs.edges[0]])


def test_objects_may_be_changed_before_they_are_read_again() -> None:
    graph = graphs()["bipartite with features"]
    network = graph.to_networkx()
    network.remove_node("007")
    again = Graph.from_edges(network)
    assert again.space.sides == (2, 1)
    assert again.ids.tolist() == [name for name in graph.ids if name != "007"]
    assert again.features is not None
    assert dense(again.features)[0].tolist() == dense(graph.features)[0].tolist()  # type: ignore[arg-type]
    network.add_node("new")
    with pytest.raises(DataError, match="node 'new' has no x"):
        Graph.from_edges(network)
    data = graph.to_pyg()
    data.node_id = data.node_id[1:]
    with pytest.raises(DataError, match="5 names in node_id for 6 nodes"):
        Graph.from_edges(data)


def test_an_edge_within_a_side_is_refused_where_the_object_says_that_it_is_bipartite() -> None:
    network = graphs()["bipartite"].to_networkx()
    network.add_edge("z", "a")
    with pytest.raises(DataError, match="odd cycle"):
        Graph.from_edges(network)
    assert not Graph.from_edges(network, bipartite=False).space.bipartite


def test_attributes_of_other_peoples_graphs_are_left_alone() -> None:
    network = graphs()["bipartite with features"].to_networkx()
    del network.graph["linkodds"]
    again = Graph.from_edges(network)
    assert again.features is None
    assert not again.space.bipartite


def test_scaled_features_are_not_scaled_again() -> None:
    graph = graphs()["raw features"]
    with pytest.raises(OptionError, match="feature_scaling='row': these features are scaled already"):
        Graph.from_edges(TRIANGLE, nodes=NODES, features=graph.features, feature_scaling="row")
