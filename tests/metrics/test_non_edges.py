"""Non-edges: streams cover each one once, draws are uniform, degree fifths equal a count over explicit pairs."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from linkodds.errors import NotEnoughNonEdges
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.pairs import Block, KnownPairs, Pairs, PairSpace

SPACES = [PairSpace(30), PairSpace(19, directed=True), PairSpace(31, sides=(12, 17))]
IDS = ["undirected", "directed", "bipartite"]


class RankScorer:
    """The logit of a pair is its rank in the space, so that every pair can be told from its logit."""

    def __init__(self, space: PairSpace) -> None:
        self.space = space

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        u, v = np.meshgrid(np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop), indexing="ij")
        return self.logits(np.column_stack([u.ravel(), v.ravel()])).reshape(u.shape).astype(np.float32)

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        return self.space.rank_of_pair(pairs).astype(np.float64)


def some_edges(space: PairSpace, count: int, seed: int = 0) -> Pairs:
    return space.pair_of_rank(np.random.default_rng(seed).choice(space.num_pairs, count, replace=False))


@pytest.mark.parametrize("space", SPACES, ids=IDS)
@pytest.mark.parametrize("max_cells", [1, 64, 1 << 21])
def test_stream_gives_every_non_edge_once(space: PairSpace, max_cells: int) -> None:
    edges = some_edges(space, 40)
    classes = DegreeClasses.of(edges[:30], space, excluded=edges[:30])
    non_edges = NonEdges(KnownPairs(space, edges))
    seen, labels = (
        np.concatenate(column)
        for column in zip(*non_edges.stream(RankScorer(space), classes=classes, max_cells=max_cells), strict=True)
    )
    expected = np.setdiff1d(np.arange(space.num_pairs), space.rank_of_pair(edges))
    np.testing.assert_array_equal(np.sort(seen).astype(np.int64), expected)
    np.testing.assert_array_equal(labels, classes.of_pairs(space.pair_of_rank(seen.astype(np.int64))))
    assert non_edges.num_scored == non_edges.num_non_edges == len(expected)


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_stream_of_a_sample_gives_its_pairs(space: PairSpace) -> None:
    edges = some_edges(space, 40)
    drawn = draw_non_edges(KnownPairs(space, edges), 50, np.random.default_rng(1))
    assert drawn.sample is not None
    seen = np.concatenate([logits for logits, _ in drawn.stream(RankScorer(space), max_cells=7)])
    np.testing.assert_array_equal(seen, space.rank_of_pair(drawn.sample))
    assert (drawn.design, drawn.rate) == ("sampled", 50 / (space.num_pairs - 40))


@pytest.mark.parametrize("space", SPACES, ids=IDS)
@pytest.mark.parametrize("count", [1, 60, 150, "all"])
def test_drawn_pairs_are_distinct_admissible_non_edges(space: PairSpace, count: int | str) -> None:
    edges = some_edges(space, 40)
    known = KnownPairs(space, edges)
    number = known.num_absent if count == "all" else int(count)
    sample = draw_non_edges(known, number, np.random.default_rng(2)).sample
    assert sample is not None
    assert len(np.unique(space.keys(sample))) == len(sample) == number
    assert space.is_admissible(sample).all()
    assert not space.contains(edges, sample).any()


@pytest.mark.parametrize("count", [3, 9])  # both sides of one half: drawn, and drawn by leaving out
def test_draws_are_uniform(count: int) -> None:
    space = PairSpace(6)
    known = KnownPairs(space, some_edges(space, 3))
    rng, repetitions = np.random.default_rng(3), 2000
    hits = np.zeros(space.num_pairs)
    for _ in range(repetitions):
        sample = draw_non_edges(known, count, rng).sample
        assert sample is not None
        hits[space.rank_of_pair(sample)] += 1
    hits = np.delete(hits, space.rank_of_pair(known.pairs))
    # Each of 12 pairs is in a draw with probability count / 12. Inclusions of one draw are negatively correlated, so
    # sum (hits - mean)^2 / variance * 11 / 12 is chi-squared with 11 degrees of freedom.
    share = count / 12
    statistic = ((hits - repetitions * share) ** 2 / (repetitions * share * (1 - share))).sum() * 11 / 12
    assert statistic < chi2.ppf(0.999, 11)


def test_too_many_are_refused_with_the_numbers() -> None:
    known = KnownPairs(PairSpace(4), np.array([[0, 1]]))
    with pytest.raises(NotEnoughNonEdges, match="asked for 6 non-edges, but the graph has 5"):
        draw_non_edges(known, 6, np.random.default_rng(0))


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_degree_bins_equal_a_count_over_all_candidates(space: PairSpace) -> None:
    edges = some_edges(space, 60)
    train, excluded = edges[:40], edges[:50]
    classes = DegreeClasses.of(train, space, excluded=excluded)
    out, into = (np.bincount(train[:, side], minlength=space.num_nodes) for side in (0, 1))
    if not space.directed:
        out = into = out + into
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    candidates = pairs[~space.contains(excluded, pairs)]
    products = np.sort((out[candidates[:, 0]] + 1) * (into[candidates[:, 1]] + 1))
    fifth = len(products) / 5
    assert classes.cuts == tuple(products[int(np.ceil(k * fifth - 1e-9)) - 1] for k in (1, 2, 3, 4))
    assert classes.limits == (products[0], products[-1])
    sizes = np.bincount(classes.of_pairs(candidates), minlength=5)
    for (low, high), size in zip(classes.ranges, sizes, strict=True):
        assert size == np.count_nonzero((products >= low) & (products <= high))
    for block in space.blocks(max_cells=50):
        assert isinstance(block, Block)
        rows, columns = np.nonzero(block.admissible)
        inside = np.column_stack([rows + block.rows.start, columns + block.columns.start])
        np.testing.assert_array_equal(classes.of_block(block)[rows, columns], classes.of_pairs(inside))


def test_classes_stay_exact_for_hubs_of_a_million_edges() -> None:
    hub = np.array([1, 10**6, 10**6 + 1])
    classes = DegreeClasses(hub, hub, (10**6, 10**12), (1, (10**6 + 1) ** 2))
    pairs = np.array([[0, 1], [0, 2], [1, 1], [1, 2], [2, 2]])
    assert classes.of_pairs(pairs).tolist() == [0, 1, 1, 2, 2]
    block = Block(slice(0, 3), slice(0, 3), np.ones((3, 3), dtype=np.bool_))
    assert classes.of_block(block)[pairs[:, 0], pairs[:, 1]].tolist() == [0, 1, 1, 2, 2]
