"""Walk counts have the same bits whichever way they are summed."""

import numpy as np
import pytest
import scipy.sparse as sp

import linkodds.models.structural.walk_counts
from linkodds.graph.split import adjacency, split_edges
from linkodds.models.structural.walk_counts import WALKS, WalkCounts
from linkodds.pairs import PairSpace


def tree_with_hub(nodes: int = 400) -> WalkCounts:
    """A random tree, and a node that a quarter of the others are tied to."""
    rng = np.random.default_rng(0)
    edges = {(int(rng.integers(0, i)), i) for i in range(1, nodes)} | {(7, i) for i in range(8, nodes, 4)}
    space = PairSpace(nodes)
    return WalkCounts(adjacency(np.array(sorted(edges)), space).astype(np.float64), space)


@pytest.fixture(params=["communities", "directed_ring", "two_sides", "tree_with_hub"])
def walks(request: pytest.FixtureRequest) -> WalkCounts:
    if request.param == "tree_with_hub":
        return tree_with_hub()
    split = split_edges(request.getfixturevalue(request.param), rng=np.random.default_rng(0))
    graph: sp.csr_array = split.message_graph().astype(np.float64)
    return WalkCounts(graph, split.space)


@pytest.mark.parametrize("share", [0, 10**9], ids=["walk by walk", "all nodes at once"])
def test_both_ways_of_two_steps_have_the_same_bits(
    walks: WalkCounts, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = walks.space.num_nodes
    rows, columns = np.array([3, 0, n - 1, 9]), slice(2, n - 5)
    expected = walks.between(rows, columns)
    monkeypatch.setattr(linkodds.models.structural.walk_counts, "_SPARSE", share)
    found = walks.between(rows, columns)
    assert set(found) == set(WALKS)
    for name in WALKS:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_a_sparse_graph_is_counted_walk_by_walk_and_a_hub_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    walks, by_walk = tree_with_hub(), []
    few = linkodds.models.structural.walk_counts._second_steps
    monkeypatch.setattr(
        linkodds.models.structural.walk_counts, "_second_steps", lambda *args: by_walk.append(1) or few(*args)
    )
    leaf, everything = int(np.argmin(walks._num_walks)), slice(0, walks.space.num_nodes)
    walks.between(np.array([7]), everything)
    assert not by_walk
    walks.between(np.array([leaf]), everything)
    assert by_walk


def test_wanted_columns_have_the_same_bits(walks: WalkCounts) -> None:
    n = walks.space.num_nodes
    across = n if walks.space.sides is None else walks.space.sides[0]
    for rows, columns in ((np.array([5, 1, n - 2]), slice(0, n)), (np.array([5, 1]), slice(n - across, n))):
        whole = walks.between(rows, columns)
        wanted = np.array([0, 4, columns.stop - columns.start - 1])
        few = walks.between(rows, columns, wanted)
        for name in WALKS:
            np.testing.assert_array_equal(few[name][wanted], whole[name][wanted], err_msg=name)
        elsewhere = np.setdiff1d(np.arange(columns.stop - columns.start), wanted)
        assert not few["w3"][elsewhere].any()  # the control: they were not counted
        assert whole["w3"][elsewhere].any()


def test_walks_of_more_steps_have_one_degree_more_each() -> None:
    """A ring in which everyone knows the next two on both sides: k steps are A^k, by 1/4 for each node between."""
    dense = sum(np.roll(np.eye(11), shift, axis=1) for shift in (-2, -1, 1, 2))
    walks = WalkCounts(sp.csr_array(dense), PairSpace(11)).between(np.arange(11), slice(0, 11))
    for steps in (3, 4, 5):
        expected = np.linalg.matrix_power(dense, steps) / 4 ** (steps - 1)
        np.testing.assert_allclose(walks[f"s{steps}"], expected, rtol=1e-12)
