"""Assembling: repeats dropped and counted, the two sides found, nodes re-numbered, nothing lost."""

import itertools
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkodds.errors import DataError, DegenerateGraph, OptionError
from linkodds.graph.graph import Graph

GRID = [(f"d{i}", f"t{(i + j) % 8}") for i in range(8) for j in (0, 1, 3)]  # 24 edges, 16 nodes, 9 cycles


def named(graph: Graph) -> set[tuple[str, str]]:
    return {(str(u), str(v)) for u, v in graph.ids[graph.edges]}


def said(graph: Graph, text: str) -> float | None:
    found = [finding.statistic for finding in graph.findings if text in finding.message]
    assert len(found) <= 1
    return found[0] if found else None


def test_duplicates_reversed_duplicates_and_loops_are_dropped_and_counted() -> None:
    edges = [("a", "b"), ("a", "b"), ("b", "a"), ("b", "a"), ("c", "c"), ("b", "c"), ("x", "x")]
    graph = Graph.from_edges(edges)
    assert graph.num_nodes == 4
    assert {frozenset(edge) for edge in named(graph)} == {frozenset("ab"), frozenset("bc")}
    assert said(graph, "self-loop") == 2
    assert said(graph, "duplicate edge(s)") == 2  # the second (a, b), the second (b, a)
    assert said(graph, "reversed duplicate") == 1
    assert said(graph, "isolated") == 1  # x has a self-loop only


def test_in_a_directed_graph_reversed_is_another_edge() -> None:
    graph = Graph.from_edges([("a", "b"), ("b", "a"), ("a", "b"), ("b", "c")], directed=True)
    assert named(graph) == {("a", "b"), ("b", "a"), ("b", "c")}
    assert said(graph, "reversed") is None
    assert said(graph, "duplicate edge(s)") == 1


@settings(max_examples=60, deadline=None)
@given(
    edges=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=60),
    directed=st.booleans(),
    shuffle=st.randoms(use_true_random=False),
)
def test_a_graph_is_the_set_of_its_edges(edges: list[tuple[int, int]], directed: bool, shuffle: object) -> None:
    """Against NetworkX, in any order of the rows; edges are canonical, sorted and admissible."""
    oracle = (nx.DiGraph if directed else nx.Graph)()
    oracle.add_nodes_from(str(node) for node in range(12))
    oracle.add_edges_from((str(u), str(v)) for u, v in edges if u != v)
    shuffled = list(edges)
    shuffle.shuffle(shuffled)  # type: ignore[attr-defined]
    try:
        graph = Graph.from_edges(shuffled, nodes=range(12), directed=directed, bipartite=False)
    except DegenerateGraph:
        assert oracle.number_of_edges() == 0
        return
    assert graph.ids.tolist() == [str(node) for node in range(12)]
    oriented = named(graph) if directed else {tuple(sorted(edge)) for edge in named(graph)}
    assert oriented == {edge if directed else tuple(sorted(edge)) for edge in oracle.edges}
    assert (np.diff(graph.space.keys(graph.edges)) > 0).all()
    assert graph.space.is_admissible(graph.edges).all()
    dropped = sum(said(graph, text) or 0 for text in ("self-loop", "duplicate edge(s)", "reversed"))
    assert dropped == len(edges) - graph.num_edges


def test_a_bipartite_graph_is_detected_and_reported() -> None:
    graph = Graph.from_edges([*GRID, ("d0", "t5"), ("d1", "t6")])  # 26 - 16 + 1 = 11 independent cycles
    assert graph.space.sides == (8, 8)
    assert all(name.startswith("d") for name in graph.ids[:8])
    assert said(graph, "Read as bipartite: edges join 8 nodes with 8 others") == 64
    assert Graph.from_edges([*GRID, ("d0", "t5"), ("d1", "t6")], bipartite=False).space.sides is None
    assert Graph.from_edges([*GRID, ("d0", "t5"), ("d1", "t6")], directed=True).space.sides is None
    assert Graph.from_edges([*GRID, ("d0", "t5"), ("d1", "t6"), ("d0", "d1")]).space.sides is None


def test_nine_even_cycles_may_be_an_accident_and_ten_are_not() -> None:
    assert Graph.from_edges(GRID).space.sides is None  # 24 - 16 + 1 = 9
    assert Graph.from_edges([*GRID, ("d0", "t5")]).space.sides == (8, 8)
    tree = nx.balanced_tree(2, 8)  # always two-colourable
    assert Graph.from_edges(tree).space.sides is None


def test_columns_that_share_no_id_are_the_sides() -> None:
    graph = Graph.from_edges([("b", "1"), ("a", "1"), ("c", "2")], nodes=["x", "a", "b", "c", "2", "1"], bipartite=True)
    assert graph.ids.tolist() == ["a", "b", "c", "2", "1", "x"]  # order of the nodes file within a side, unsided last
    assert graph.space.sides == (3, 2)
    assert named(graph) == {("b", "1"), ("a", "1"), ("c", "2")}
    assert any("1 isolated node(s) have no known side" in finding.message for finding in graph.findings)


def test_mixed_columns_are_coloured_component_by_component() -> None:
    """Side A is where most sources are: d1, d2 by two edges to one; e1 in a component of its own."""
    edges = [("d1", "t1"), ("d2", "t1"), ("t2", "d2"), ("e1", "s1")]
    graph = Graph.from_edges(edges, bipartite=True)
    assert graph.ids.tolist() == ["d1", "d2", "e1", "t1", "t2", "s1"]
    assert graph.space.sides == (3, 3)
    assert named(graph) == {("d1", "t1"), ("d2", "t1"), ("d2", "t2"), ("e1", "s1")}


def test_an_odd_cycle_is_named() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "a"), ("x", "y"), ("e", "f")]
    with pytest.raises(DataError, match="5 edges form an odd cycle") as caught:
        Graph.from_edges(edges, bipartite=True)
    names = str(caught.value).split("cycle, ")[1].split(". ")[0].replace("'", "").split(" - ")
    assert names[0] == names[-1]
    assert all({u, v} in [set(edge) for edge in edges] for u, v in itertools.pairwise(names))


@settings(max_examples=60, deadline=None)
@given(edges=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), min_size=1, max_size=40))
def test_sides_exist_when_networkx_says_so(edges: list[tuple[int, int]]) -> None:
    oracle = nx.Graph((u, v) for u, v in edges if u != v)
    if not nx.is_bipartite(oracle):
        with pytest.raises(DataError, match="odd cycle"):
            Graph.from_edges(edges, nodes=range(20), bipartite=True)
        return
    try:
        graph = Graph.from_edges(edges, nodes=range(20), bipartite=True)
    except DegenerateGraph:
        return  # no edge at all, or every pair across
    assert graph.space.sides is not None
    assert graph.space.is_admissible(graph.edges).all()
    assert {frozenset(map(int, edge)) for edge in named(graph)} == {frozenset(edge) for edge in oracle.edges}
    assert sum(graph.space.sides) == oracle.number_of_nodes()
    source_is_a = sum(int(graph.index_of([u])[0] < graph.space.sides[0]) for u, v in edges if u != v)
    if set(u for u, v in edges if u != v).isdisjoint(v for u, v in edges if u != v):
        assert source_is_a == sum(u != v for u, v in edges)


def test_features_follow_their_nodes_to_the_sides() -> None:
    edges = [("t1", "d1"), ("d2", "t1"), ("d2", "t2"), ("d1", "t2"), ("d3", "t1")]
    nodes = ["t1", "t2", "d1", "lone", "d2", "d3"]
    graph = Graph.from_edges(
        edges, nodes=nodes, features=np.arange(1.0, 7)[:, None], bipartite=True, feature_scaling="none"
    )
    assert graph.features is not None
    assert {name: row[0] for name, row in zip(graph.ids, graph.features.matrix, strict=True)} == dict(
        zip(nodes, range(1, 7), strict=True)
    )


def test_directed_and_bipartite_exclude_each_other() -> None:
    with pytest.raises(OptionError, match="--directed and --bipartite exclude"):
        Graph.from_edges(GRID, directed=True, bipartite=True)


def test_an_empty_id_of_a_graph_object_is_refused() -> None:
    with pytest.raises(DataError, match="empty id"):
        Graph.from_edges(nx.Graph([("", "a"), ("a", "b")]))


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("bionev_ctd_dda", (9580, 3185)),
        ("bionev_ndfrt_dda", (12337, 1208)),
        ("skipgnn_dti", (4939, 2404)),
        ("seal_power", None),
        ("seal_router", None),
    ],
)
def test_real_bipartite_graphs_are_detected_and_tree_like_ones_are_not(
    name: str, sides: tuple[int, int] | None, real_data: Path
) -> None:
    assert Graph.from_edges(real_data / name / "edges.csv.gz").space.sides == sides
