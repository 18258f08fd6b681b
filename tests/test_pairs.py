import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from linkodds.pairs import KnownPairs, PairSpace

SPACES = [
    PairSpace(7),
    PairSpace(7, directed=True),
    PairSpace(8, sides=(3, 4)),
    PairSpace(2),
    PairSpace(5, sides=(5, 0)),
]


def all_pairs(space: PairSpace) -> list[tuple[int, int]]:
    """The slow, obvious list, in row order."""
    cells = [(u, v) for u in range(space.num_nodes) for v in range(space.num_nodes)]
    return [
        pair for pair in cells if (space.directed or pair[0] < pair[1]) and space.is_admissible(np.array([pair]))[0]
    ]


@pytest.mark.parametrize("space", SPACES, ids=str)
class TestEverySpace:
    def test_counts_and_ranks_every_pair_once(self, space):
        pairs = np.array(all_pairs(space), dtype=np.int64).reshape(-1, 2)
        assert space.num_pairs == len(pairs)
        np.testing.assert_array_equal(space.rank_of_pair(pairs), np.arange(len(pairs)))
        np.testing.assert_array_equal(space.pair_of_rank(np.arange(len(pairs))), pairs)

    def test_pairs_of_sorted_absent_ranks_are_the_absent_pairs(self, space):
        rng = np.random.default_rng(0)
        for share in (0.0, 0.3, 0.9):
            known = KnownPairs(space, space.pair_of_rank(np.flatnonzero(rng.random(space.num_pairs) < share)))
            for low in range(known.num_absent):
                ranks = np.sort(rng.integers(low, known.num_absent, size=6))
                rows, columns = known.sorted_absent_pairs(ranks)
                np.testing.assert_array_equal(np.column_stack([rows, columns]), known.absent_pairs(ranks))
            assert [len(each) for each in known.sorted_absent_pairs(np.empty(0, dtype=np.int64))] == [0, 0]

    def test_pairs_of_nodes_that_are_left_out_are_known(self, space):
        pairs = np.array(all_pairs(space), dtype=np.int64).reshape(-1, 2)
        for nodes in ([], [1], [0, 4], list(range(space.num_nodes))):
            nodes = [node for node in nodes if node < space.num_nodes]
            known = KnownPairs(space, pairs[::3], np.array(nodes, dtype=np.int64))
            expected = [pair for i, pair in enumerate(pairs.tolist()) if i % 3 and not set(pair) & set(nodes)]
            assert known.num_absent == len(expected)
            ranks = np.arange(len(expected))
            assert known.absent_pairs(ranks).tolist() == expected
            assert np.column_stack(known.sorted_absent_pairs(ranks)).tolist() == expected
            assert (~known.contains(pairs)).sum() == len(expected)
            assert known.touches_nodes(pairs).tolist() == [bool(set(pair) & set(nodes)) for pair in pairs.tolist()]
            cells = []
            for block in space.blocks(max_cells=6):
                rows, columns = np.nonzero(known.absent_cells(block))
                cells += np.column_stack([rows + block.rows.start, columns + block.columns.start]).tolist()
            assert sorted(cells) == expected

    @pytest.mark.parametrize("max_cells", [1, 5, 1000])
    def test_blocks_cover_every_pair_once_in_order(self, space, max_cells):
        found = []
        for block in space.blocks(max_cells=max_cells):
            rows, columns = np.nonzero(block.admissible)
            found += list(zip(rows + block.rows.start, columns + block.columns.start, strict=True))
        assert sorted(found) == all_pairs(space)
        assert len(found) == len(set(found))

    def test_absent_pairs_and_cells_leave_the_known_ones_out(self, space):
        pairs = np.array(all_pairs(space), dtype=np.int64).reshape(-1, 2)
        known = KnownPairs(space, pairs[::3])
        expected = [tuple(pair) for i, pair in enumerate(pairs.tolist()) if i % 3]
        assert known.num_absent == len(expected)
        assert [tuple(pair) for pair in known.absent_pairs(np.arange(known.num_absent)).tolist()] == expected
        cells = []
        for block in space.blocks(max_cells=6):
            rows, columns = np.nonzero(known.absent_cells(block))
            cells += list(zip(rows + block.rows.start, columns + block.columns.start, strict=True))
        assert sorted(cells) == expected


@example(num_nodes=749_999_994, fraction=0.9999999999999999)  # two rows off before the steps
@given(num_nodes=st.integers(2, 3_000_000_000), fraction=st.floats(0, 1, exclude_max=True))
def test_ranks_of_a_large_graph_are_exact_although_float64_is_not(num_nodes, fraction):
    space = PairSpace(num_nodes)
    rank = np.array([int(fraction * space.num_pairs)])
    pair = space.pair_of_rank(rank)
    assert 0 <= pair[0, 0] < pair[0, 1] < num_nodes
    assert space.rank_of_pair(pair)[0] == rank[0]


def test_canonical_sorts_ends_unless_directed():
    pairs = np.array([[3, 1], [0, 2]])
    assert PairSpace(4).canonical(pairs).tolist() == [[1, 3], [0, 2]]
    assert PairSpace(4, directed=True).canonical(pairs).tolist() == [[3, 1], [0, 2]]
