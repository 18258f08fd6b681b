"""Strata: by hand on a small graph, against a list of all pairs, and unbiased whatever they are worth."""

import numpy as np
import pytest
from numpy.typing import NDArray

from linkodds.metrics.held_out import HeldOut, draw_to_choose_by, num_chosen_by
from linkodds.metrics.metrics import roc_auc
from linkodds.metrics.non_edges import NonEdges, Stratum
from linkodds.metrics.strata import HIGH, NEAR, REST, TOP, Strata, draw_strata
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.search.pair_search import find_pairs
from table_scorer import TableScorer

SPACES = [PairSpace(120), PairSpace(90, directed=True), PairSpace(130, sides=(60, 65))]
IDS = ["undirected", "directed", "bipartite"]


def skewed_edges(space: PairSpace, count: int) -> Pairs:
    """Distinct edges with a few hubs."""
    rng = np.random.default_rng(0)
    ends = (rng.random((40 * count, 2)) ** 2.5 * space.num_nodes).astype(np.int64)
    pairs = space.canonical(ends)
    keys = np.unique(space.keys(pairs[space.is_admissible(pairs)]))
    return np.column_stack(np.divmod(rng.permutation(keys)[:count], space.num_nodes))


def drawn(
    space: PairSpace, count: int, seed: int = 1, left_out: NDArray[np.int64] | None = None
) -> tuple[Strata, Pairs]:
    edges = skewed_edges(space, 200)
    known = KnownPairs(space, edges, left_out)
    return draw_strata(known, edges[:150], count, np.random.default_rng(seed)), edges


@pytest.mark.parametrize("space", SPACES, ids=IDS)
@pytest.mark.parametrize("count", [40, 400, 2000])
@pytest.mark.parametrize("left_out", [None, np.array([0, 3, 40, 77, 80])], ids=["whole", "without nodes"])
def test_strata_are_what_they_are_called_and_their_sizes_are_exact(
    space: PairSpace, count: int, left_out: NDArray[np.int64] | None
) -> None:
    strata, edges = drawn(space, count, left_out=left_out)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    absent = pairs[~space.contains(edges, pairs)]
    if left_out is not None:
        absent = absent[~np.isin(absent, left_out).any(axis=1)]
    labels = strata.of_pairs(absent)
    linked = np.zeros((space.num_nodes, space.num_nodes), dtype=np.int64)
    linked[edges[:150, 0], edges[:150, 1]] = linked[edges[:150, 1], edges[:150, 0]] = 1
    counts = linked.sum(axis=0) <= (strata.largest_degree or space.num_nodes)
    shared = (linked * counts) @ linked.T
    np.testing.assert_array_equal(labels == NEAR, shared[absent[:, 0], absent[:, 1]] > 0)
    assert sum(stratum.size for stratum in strata.non_edges.strata) == len(absent)
    for stratum in strata.non_edges.strata:
        assert stratum.size == np.count_nonzero(labels == stratum.name), stratum.name
        assert stratum.sample is not None
        assert (strata.of_pairs(stratum.sample) == stratum.name).all()
        assert space.is_admissible(stratum.sample).all()
        assert not space.contains(edges, stratum.sample).any()
        assert len(np.unique(space.keys(stratum.sample))) == len(stratum.sample)
    names = [stratum.name for stratum in strata.non_edges.strata]
    assert (NEAR in names) == (not space.bipartite and (strata.largest_degree is None or strata.largest_degree > 1))
    assert REST in names
    if strata.smallest_product is not None:
        product = strata.degrees[0][absent[:, 0]] * strata.degrees[1][absent[:, 1]]
        assert (product[labels == HIGH] >= strata.smallest_product).all()
        assert (product[labels == REST] < strata.smallest_product).all()


@pytest.mark.parametrize("space", SPACES, ids=IDS)
def test_every_pair_of_a_stratum_is_as_likely(space: PairSpace) -> None:
    repetitions = 200
    hits = np.zeros((space.num_nodes, space.num_nodes))
    for seed in range(repetitions):
        strata, edges = drawn(space, 300, seed)
        for stratum in strata.non_edges.strata:
            assert stratum.sample is not None
            hits[stratum.sample[:, 0], stratum.sample[:, 1]] += 1 / stratum.rate
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    absent = pairs[~space.contains(edges, pairs)]
    labels = strata.of_pairs(absent)
    for stratum in strata.non_edges.strata:
        inside = absent[labels == stratum.name]
        weights = hits[inside[:, 0], inside[:, 1]] / repetitions
        if stratum.rate == 1.0:
            assert (weights == 1.0).all()
            continue
        # Weighted hits of a pair have variance (1 - rate) / rate / repetitions; the sum of squares over its variance is
        # about chi-squared, of which the normal limit at six deviations is taken (rates vary a little between draws).
        variance = (1 - stratum.rate) / stratum.rate / repetitions
        statistic = ((weights - 1) ** 2).sum() / variance
        assert abs(statistic - len(inside)) < 6 * np.sqrt(2 * len(inside)) + 0.05 * len(inside), stratum.name


def test_the_top_by_the_logits_is_a_stratum_of_its_own() -> None:
    space = PairSpace(120)
    strata, edges = drawn(space, 300)
    table = np.random.default_rng(2).normal(size=(120, 120))
    scorer = TableScorer(table)
    with_top = strata.with_top(find_pairs(scorer, strata.non_edges.known, top=50).pairs)
    assert with_top.design == "stratified"
    assert sum(stratum.size for stratum in with_top.strata) == with_top.num_non_edges
    top = next(stratum for stratum in with_top.strata if stratum.name == TOP)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    absent = pairs[~space.contains(edges, pairs)]
    best = np.sort(scorer.logits(absent))[-50:]
    assert top.sample is not None
    np.testing.assert_array_equal(np.sort(scorer.logits(top.sample)), best)
    for before, after in zip(strata.non_edges.strata, with_top.strata[1:], strict=True):
        assert before.name == after.name
        taken = np.count_nonzero(strata.of_pairs(top.sample) == before.name)
        assert after.size == before.size - taken
        assert after.sample is not None
        assert not space.contains(top.sample, after.sample).any()


@pytest.mark.parametrize("top", [0, 60])
def test_weighted_figures_are_unbiased(top: int) -> None:
    """Mean over draws against full enumeration, for figures that are linear in the non-edges."""
    space = PairSpace(120)
    edges = skewed_edges(space, 200)
    known, test = KnownPairs(space, edges), edges[150:]
    degree = np.bincount(edges[:150].ravel(), minlength=120)
    table = np.random.default_rng(3).normal(size=(120, 120)) + np.log1p(np.add.outer(degree, degree))
    table[test[:, 0], test[:, 1]] += 2.0
    scorer = TableScorer(table)

    def figures(sample: NonEdges) -> list[float]:
        held_out = HeldOut.from_scorer(scorer, test, sample)
        counts = held_out.ladder.non_edges_at_least
        return [roc_auc(held_out), counts[len(test) // 2], counts[len(test) // 10]]

    rows = []
    for seed in range(100):
        strata = draw_strata(known, edges[:150], 500, np.random.default_rng(seed))
        rows.append(figures(strata.with_top(find_pairs(scorer, known, top=top).pairs) if top else strata.non_edges))
    off = np.abs(np.mean(rows, axis=0) - figures(NonEdges(known)))
    assert (off <= 4 * np.std(rows, axis=0, ddof=1) / np.sqrt(100) + 1e-9).all()
    if top:  # what it is for: the head of the list is counted exactly
        assert off[2] < 1e-9


def test_strata_that_miss_a_non_edge_are_refused() -> None:
    known = KnownPairs(PairSpace(4), np.array([[0, 1]]))
    with pytest.raises(ValueError, match="not the 5 non-edges together"):
        NonEdges(known, strata=(Stratum("some", 4, np.array([[0, 2]])),))
    with pytest.raises(ValueError, match="at least one pair"):
        NonEdges(known, strata=(Stratum("some", 5, np.empty((0, 2), dtype=np.int64)),))


def test_choices_are_made_by_strata_where_a_uniform_sample_is_coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 7,140 - 200 non-edges 100 are drawn: each stands for 69 of them, which is a tenth of 694 edges; else twice what were."""
    monkeypatch.setattr("linkodds.metrics.held_out.CHOSEN_BY", 100)
    monkeypatch.setattr("linkodds.metrics.held_out.CHOSEN_BY_IN_STRATA", 400)
    space = PairSpace(120)
    edges = skewed_edges(space, 200)
    known, rng = KnownPairs(space, edges), np.random.default_rng(0)
    assert [num_chosen_by(6940, edges) for edges in (694, 693, 347, 100)] == [100, 200, 399, 400]
    fine, coarse = (draw_to_choose_by(known, edges[:150], num_edges, rng) for num_edges in (694, 693))
    assert (fine.design, fine.num_scored) == ("sampled", 100)
    assert coarse.design == "stratified"
    assert coarse.num_non_edges == 6940
    assert num_chosen_by(90, 1) == 90


@pytest.mark.parametrize("count", [40, 100, 400, 2000])
def test_half_of_the_draws_may_be_near_and_neighbours_count_up_to_the_degree_that_keeps_them_within(count: int) -> None:
    """A node of degree d joins d (d - 1) / 2 pairs: of all degrees up to the largest that counts at most count / 2."""
    strata, edges = drawn(PairSpace(120), count)
    degree = np.bincount(edges[:150].ravel(), minlength=120)
    joined = [
        int((degree[degree <= most] * (degree[degree <= most] - 1) // 2).sum()) for most in range(degree.max() + 1)
    ]
    within = max(most for most, pairs in enumerate(joined) if pairs <= count // 2)
    assert (strata.largest_degree or degree.max()) == within
