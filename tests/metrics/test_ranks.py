"""Reciprocal ranks against a loop over nodes that knows nothing of blocks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from linkodds.metrics.ranking import reciprocal_ranks
from linkodds.pairs import KnownPairs, PairSpace
from table_scorer import TableScorer

SPACES = {
    "undirected": PairSpace(40),
    "directed": PairSpace(30, directed=True),
    "bipartite": PairSpace(50, sides=(20, 25)),  # the last five nodes are on neither side
}


def naive(table: NDArray[np.float64], edge: tuple[int, int], recorded: set[tuple[int, int]], space: PairSpace) -> float:
    """Walk over all nodes once for each end of one edge."""
    u, v = edge
    found = []
    for fixed, moving in [("source", v)] if space.directed else [("source", v), ("target", u)]:
        higher = tied = 0
        for w in range(space.num_nodes):
            pair = (u, w) if fixed == "source" else (w, v)
            canonical = pair if space.directed else (min(pair), max(pair))
            if w == moving or canonical in recorded or not space.is_admissible(np.array([canonical]))[0]:
                continue
            higher += table[canonical] > table[u, v]
            tied += table[canonical] == table[u, v]
        found.append(1.0 / (1 + higher + tied / 2))
    return float(np.mean(found))


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("max_cells", [1, 100, 1 << 21])
def test_equal_to_a_walk_over_all_nodes(name: str, tied: bool, max_cells: int) -> None:
    space = SPACES[name]
    rng = np.random.default_rng(0)
    edges = space.pair_of_rank(rng.choice(space.num_pairs, 120, replace=False))
    table = rng.normal(size=(space.num_nodes, space.num_nodes)).astype(np.float32).astype(np.float64)
    table = np.round(table) if tied else table
    if not space.directed:
        table = np.triu(table, 1) + np.triu(table, 1).T
    some = np.arange(0, space.num_nodes, 2)
    left_out = np.setdiff1d(some, edges[:10]) if tied else some[:0]
    assert len(left_out) > 2 or not tied
    known, edges = KnownPairs(space, edges, left_out), edges[:10] if tied else edges
    recorded = set(map(tuple, known.pairs.tolist()))
    every = space.pair_of_rank(np.arange(space.num_pairs))
    recorded |= set(map(tuple, every[known.touches_nodes(every)].tolist()))
    found = reciprocal_ranks(TableScorer(table), edges[:40], known, max_cells=max_cells)
    expected = [naive(table, (u, v), recorded, space) for u, v in edges[:40].tolist()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_constant_model_gets_the_middle_rank() -> None:
    space = PairSpace(11)
    edge = np.array([[0, 1]])
    found = reciprocal_ranks(TableScorer(np.zeros((11, 11))), edge, KnownPairs(space, edge))
    assert found.tolist() == [1 / 5.5]  # nine other nodes, all tied: 1 + 9 / 2
