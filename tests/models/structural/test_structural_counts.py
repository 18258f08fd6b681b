"""Structural counts against dense products, and bit for bit in any block."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import shortest_path

from linkodds.graph.features import Features
from linkodds.graph.split import adjacency, split_edges
from linkodds.models.structural.landmarks import MOST_HOPS, Landmarks
from linkodds.models.structural.spectral import Embedding, low_rank
from linkodds.models.structural.structural_counts import BROAD_INPUTS, StructuralCounts, ends_to_count
from linkodds.pairs import PairSpace


@pytest.fixture(params=["communities", "directed_ring", "two_sides"])
def counts(request) -> StructuralCounts:
    split = split_edges(request.getfixturevalue(request.param), rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    features = Features(rng.normal(size=(split.space.num_nodes, 30)).astype(np.float32), "none")
    return StructuralCounts.of(split.message_graph(), split.space, features, rng)


def test_counts_equal_dense_products(counts):
    a = counts.adjacency.toarray()
    out, into = (np.maximum(a.sum(axis), 1) for axis in (1, 0))
    both = np.maximum(((a + a.T) > 0).sum(1), 2)
    w = np.diag(1 / out)
    expected = {
        "cn": a @ a,
        "aa": a @ np.diag(1 / np.log(both)) @ a,
        "ra": a @ w @ a,
        "w3": a @ a @ a,
        "l3": a @ np.diag(1 / np.sqrt(into)) @ a.T @ np.diag(1 / np.sqrt(out)) @ a,
        "s3": a @ w @ a @ w @ a,
        "s4": a @ w @ a @ w @ a @ w @ a,
        "s5": a @ w @ a @ w @ a @ w @ a @ w @ a,
    }
    n = len(a)
    tile = counts.tile(np.arange(n), slice(0, n))
    for name, count in expected.items():
        # The weights are rounded down to multiples of 2^-11 (2^-20 for aa and l3): at most four of 1 / 12 and above here.
        np.testing.assert_allclose(
            tile.counts[name].T, count, rtol=4 * 2**-11 * max(out.max(), into.max()), err_msg=name
        )


def test_every_block_has_the_bits_of_every_other(counts):
    n = counts.space.num_nodes
    whole = counts.tile(np.arange(n), slice(0, n)).inputs(counts.names).reshape(n, n, -1)  # (column, row, input)
    some = counts.tile(np.array([5, 17, 3]), slice(11, 40)).inputs(counts.names).reshape(29, 3, -1)
    np.testing.assert_array_equal(some, whole[11:40][:, [5, 17, 3]])
    pairs = np.random.default_rng(2).integers(0, n, size=(500, 2))
    np.testing.assert_array_equal(counts.of_pairs(pairs), whole[pairs[:, 1], pairs[:, 0]])
    if not counts.space.directed:
        np.testing.assert_array_equal(whole, whole.transpose(1, 0, 2))
    places = [counts.names.index(name) for name in BROAD_INPUTS]
    tile = counts.tile(np.array([5, 17, 3]), slice(11, 40))
    np.testing.assert_array_equal(tile.inputs(BROAD_INPUTS), some.reshape(87, -1)[:, places])


def test_without_the_grid_the_bits_depend_on_the_block():
    """The control of the test above: the same products of embeddings that were not rounded."""
    z = np.random.default_rng(0).normal(size=(300, 128))
    whole = z @ z.T
    assert any((z[i : i + 1] @ z[: i + 3].T != whole[i, : i + 3]).any() for i in range(50))
    grid = Embedding.rounded(z, z)
    (exact,) = grid.products(np.arange(300), slice(0, 300), (128,))
    for i in range(50):
        (row,) = grid.products(np.array([i]), slice(0, i + 3), (128,))
        np.testing.assert_array_equal(row[:, 0], exact[: i + 3, i])


def test_rounding_to_the_grid_moves_a_product_by_no_more_than_the_grid_says():
    z = np.random.default_rng(0).normal(size=(50, 128))
    (rounded,) = Embedding.rounded(z, z).products(np.arange(50), slice(0, 50), (128,))
    length = np.sqrt((z**2).sum(1).max())
    step = 2.0 ** (np.ceil(np.log2(length)) - 24)
    # |<a + e, b + f> - <a, b>| <= |a||f| + |e||b| + |e||f|, where each of 128 entries of e and f is half a step at most.
    error = np.sqrt(128) * step / 2
    np.testing.assert_allclose(rounded, z @ z.T, atol=2 * length * error + error**2, rtol=0)


@pytest.mark.parametrize("directed", [False, True])
def test_low_rank_finds_the_leading_part(directed, communities):
    a = adjacency(communities.edges, PairSpace(150, directed)).astype(np.float64)
    found = low_rank(a, 6, np.random.default_rng(0), symmetric=not directed)
    values = np.linalg.svd(a.toarray(), compute_uv=False)
    np.testing.assert_allclose(np.abs(found.values), values[:6], rtol=1e-6)
    error = a.toarray() - found.left * found.values @ found.right.T
    assert np.linalg.norm(error, 2) == pytest.approx(values[6], rel=1e-3)


def test_bipartite_pairs_have_walks_of_odd_length_only(two_sides):
    split = split_edges(two_sides, rng=np.random.default_rng(0))
    counts = StructuralCounts.of(split.message_graph(), split.space, None, np.random.default_rng(0))
    tile = counts.tile(np.arange(80), slice(80, 140))
    for name in ("cn", "aa", "ra", "s4"):
        assert not tile.counts[name].any()
    for name in ("w3", "l3", "s3", "s5"):
        assert tile.counts[name].any()


def test_landmarks_bound_the_hops_of_every_pair_and_know_those_of_a_landmark():
    """Against all shortest paths of a random tree with a ring beside it; a pair without a path is as far as can be."""
    rng = np.random.default_rng(0)
    tree = np.array([[rng.integers(0, i), i] for i in range(1, 60)])
    ring = np.column_stack([np.arange(60, 70), np.append(np.arange(61, 70), 60)])
    a = adjacency(np.sort(np.concatenate([tree, ring]), axis=1), PairSpace(70)).astype(np.float64)
    landmarks = Landmarks.of(a, 8)
    hops = shortest_path(a, unweighted=True)
    least, most = landmarks.bounds(np.arange(70), slice(0, 70))
    np.testing.assert_array_equal(least[:60, :60] <= hops[:60, :60], True)
    np.testing.assert_array_equal(most[:60, :60] >= hops[:60, :60], True)
    assert (least[:60, 60:] == MOST_HOPS).all()
    nodes = np.argmin(landmarks.hops, axis=1)
    np.testing.assert_array_equal(least[nodes, :60], hops[nodes, :60])
    assert (least[:60, :60] == hops[:60, :60]).mean() > 0.5
    u, v = np.triu_indices(70)
    for of_pairs, of_block in zip(landmarks.bounds_of_pairs(u, v), (least, most), strict=True):
        np.testing.assert_array_equal(of_pairs, of_block[v, u])
    path = sp.csr_array(np.eye(900, k=1) + np.eye(900, k=-1))
    least, most = Landmarks.of(path, 2).bounds_of_pairs(np.array([0, 0, 895]), np.array([899, 30, 899]))
    assert least[0] == most[0] == MOST_HOPS
    assert (least <= [899, 30, 4]).all()
    assert (most >= np.minimum([899, 30, 4], MOST_HOPS)).all()


def test_the_share_of_cut_off_pairs_is_that_of_all_pairs(counts):
    n = counts.space.num_nodes
    pairs = np.argwhere(~np.eye(n, dtype=bool))
    pairs = pairs[counts.space.is_admissible(pairs) & (counts.adjacency[pairs[:, 0], pairs[:, 1]] == 0)]
    if not counts.space.directed:
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    apart = counts.components[pairs[:, 0]] != counts.components[pairs[:, 1]]
    assert counts.cut_off_share == pytest.approx(apart.mean())


def test_few_ends_are_counted_from_and_every_pair_has_one():
    rng = np.random.default_rng(3)
    for num_nodes, num_pairs in ((5, 8), (60, 40), (60, 300), (400, 3000)):
        pairs = np.sort(rng.integers(0, num_nodes, (num_pairs, 2)) ** 2 // num_nodes, axis=1)
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
        turned = ends_to_count(pairs, num_nodes)
        counted = np.unique(pairs[np.arange(len(pairs)), turned.astype(int)])
        uses = np.bincount(pairs.ravel(), minlength=num_nodes)
        by_use = np.unique(np.where(uses[pairs[:, 1]] > uses[pairs[:, 0]], pairs[:, 1], pairs[:, 0]))
        assert len(counted) <= len(by_use)
    assert len(counted) < 0.95 * len(by_use)
    assert ends_to_count(np.empty((0, 2), dtype=np.int64), 3).tolist() == []
    assert ends_to_count(np.array([[1, 1], [0, 1], [2, 2]]), 3).tolist() == [False, True, False]
