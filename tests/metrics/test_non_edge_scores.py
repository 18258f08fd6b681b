"""Scores of non-edges: counts against explicit lists, smooth sums against exact ones, and no trace of the blocks."""

import numpy as np
import pytest
from scipy.special import expit, log_expit

from linkodds.errors import NonFiniteScores
from linkodds.metrics import logit_bins
from linkodds.metrics.logit_bins import MAX_BINS, LogitBins
from linkodds.metrics.non_edge_scores import NonEdgeScores, score_non_edges
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.scorers.scoring import InnerProductScorer
from table_scorer import TableScorer


def graph(space: PairSpace, num_edges: int = 60) -> tuple[Pairs, NonEdges, DegreeClasses]:
    ranks = np.random.default_rng(0).choice(space.num_pairs, num_edges, replace=False)
    edges = space.pair_of_rank(ranks)
    return edges, NonEdges(KnownPairs(space, edges)), DegreeClasses.of(edges[20:], space, excluded=edges[20:])


SPACES = [PairSpace(40), PairSpace(30, directed=True), PairSpace(45, sides=(20, 22))]
IDS = ["undirected", "directed", "bipartite"]


@pytest.mark.parametrize("space", SPACES, ids=IDS)
@pytest.mark.parametrize("tied", [False, True])
def test_counts_equal_an_explicit_list(space: PairSpace, tied: bool) -> None:
    table = 4 * np.random.default_rng(1).normal(size=(space.num_nodes, space.num_nodes))
    scorer = TableScorer(np.round(table) if tied else table)
    edges, non_edges, classes = graph(space)
    listed = np.concatenate([logits for logits, _ in non_edges.stream(scorer)])
    thresholds = np.array([0.3000000001, -1.7, 1e300, -np.inf])
    anchors = np.concatenate([scorer.logits(edges).astype(np.float32), thresholds])
    scores = score_non_edges(scorer, non_edges, anchors=anchors, classes=classes, max_cells=100)
    assert (np.diff(scores.anchors) > 0).all()
    for anchor, at_least, above in zip(scores.anchors, scores.at_least, scores.above, strict=True):
        assert at_least == np.count_nonzero(listed.astype(np.float64) >= anchor)
        assert above == np.count_nonzero(listed.astype(np.float64) > anchor)
        assert scores.num_at_least(float(anchor)) == at_least


@pytest.mark.parametrize("max_bins", [MAX_BINS, 64])
def test_neither_block_size_nor_threads_matter(max_bins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logit_bins, "MAX_BINS", max_bins)
    rng = np.random.default_rng(2)
    z = rng.normal(size=(300, 4)).astype(np.float32)
    scorer = InnerProductScorer(z, z, 1.3, -2.0)
    edges, non_edges, classes = graph(PairSpace(300), 400)
    anchors = scorer.logits(edges).astype(np.float32).astype(np.float64)
    first, *others = (
        score_non_edges(scorer, non_edges, anchors=anchors, classes=classes, threads=threads, max_cells=max_cells)
        for threads, max_cells in [(1, 500), (4, 500), (2, 10_000), (1, 1 << 21)]
    )
    for other in others:
        np.testing.assert_array_equal(first.at_least, other.at_least)
        np.testing.assert_array_equal(first.above, other.above)
        assert first.bins.width == other.bins.width
        np.testing.assert_array_equal(first.bins.count, other.bins.count)
        np.testing.assert_allclose(first.bins.mean, other.bins.mean, rtol=1e-12)
        np.testing.assert_allclose(first.bins.deviation, other.bins.deviation, atol=1e-7)
    np.testing.assert_array_equal(first.bins.mean, others[0].bins.mean)  # threads alone: to the last bit
    np.testing.assert_array_equal(first.bins.deviation, others[0].bins.deviation)
    assert len(first.bins.count) <= max_bins


SMOOTH = {
    "sigmoid": expit,
    "softplus": lambda z: -log_expit(-z),
    "sigmoid squared": lambda z: np.square(expit(z)),
    "slope": lambda z: expit(z) * expit(-z),
}


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("spread", ["normal", "wide", "outliers", "tied", "tiny"])
def test_smooth_sums_are_right_to_ten_digits(name: str, spread: str) -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(-6.0, 3.0, size=1_000_000).astype(np.float32)
    scale = 1.0
    if spread == "wide":
        logits, scale = logits * 1e6, 1e-6
    elif spread == "outliers":  # a grid from minimum to maximum would put everything else into one bin
        logits[:3] = [1e7, -1e7, 5e6]
    elif spread == "tied":
        logits = np.round(logits)
    elif spread == "tiny":
        logits, scale = logits * np.float32(1e-20), 1e20
    parts = np.array_split(logits, 5)
    bins = LogitBins.of([part.copy() for part in parts], weight=2.0)
    function = SMOOTH[name]
    exact = [2.0 * function(scale * part.astype(np.float64)).sum() for part in parts]
    np.testing.assert_allclose(bins.expect(lambda z: function(scale * z)), exact, rtol=1e-10)
    for part in range(3):
        points, weights = bins.points(part)
        np.testing.assert_allclose(weights @ function(scale * points), exact[part], rtol=1e-10)
    np.testing.assert_array_equal(bins.num_by_class(), [2.0 * len(part) for part in parts])


def test_borders_count_exactly() -> None:
    logits = np.random.default_rng(4).normal(size=100_000).astype(np.float32)
    logits[:10_000] = np.round(logits[:10_000])
    bins = LogitBins.of([logits[:50_000].copy(), logits[50_000:].copy()])
    borders, at_least = bins.borders()
    assert (np.diff(borders) < 0).all()
    ordered = np.sort(logits)
    np.testing.assert_array_equal(at_least, len(ordered) - np.searchsorted(ordered, borders.astype(np.float32)))


def test_a_sample_is_weighted_to_all_non_edges() -> None:
    space = PairSpace(60)
    table = np.random.default_rng(5).normal(size=(60, 60))
    _, everything, classes = graph(space)
    drawn = draw_non_edges(everything.known, 300, np.random.default_rng(6))
    scores = score_non_edges(TableScorer(table), drawn, anchors=np.array([-np.inf, 0.0]), classes=classes)
    assert drawn.sample is not None
    above_zero = np.count_nonzero(TableScorer(table).logits(drawn.sample) >= 0)
    assert scores.at_least == pytest.approx([everything.num_non_edges, above_zero * scores.weight])
    assert scores.weight == everything.num_non_edges / 300
    assert scores.bins.count.sum() == pytest.approx(everything.num_non_edges)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_refused(bad: float) -> None:
    table = np.zeros((40, 40))
    edges, non_edges, _ = graph(PairSpace(40))
    free = next(pair for pair in [(3, 4), (3, 5), (3, 6)] if list(pair) not in edges.tolist())
    table[free] = bad
    with pytest.raises(NonFiniteScores, match=r"1 of .* logits of non-edges"):
        score_non_edges(TableScorer(table), non_edges, anchors=np.zeros(1))


def test_a_threshold_between_anchors_is_settled_or_refused() -> None:
    logits = np.array([-1.0, 0.0, 0.5, 2.0])
    scores = NonEdgeScores.of(logits, anchors=np.array([0.0, 1.0, 2.0]), num_non_edges=4)
    assert scores.num_at_least(1.5) == 1.0  # nothing between 1 and 2
    assert scores.num_at_least(float(np.nextafter(np.float32(0.0), np.float32(1.0))) / 2) == 2.0  # no float32 between
    assert scores.num_at_least(2.5) == 0.0  # nothing above the last anchor
    with pytest.raises(ValueError, match=r"threshold 0.25 is no anchor"):
        scores.num_at_least(0.25)


def test_more_logits_than_non_edges_are_refused() -> None:
    with pytest.raises(ValueError, match="3 logits cannot stand for 2 non-edges"):
        NonEdgeScores.of(np.zeros(3), anchors=np.zeros(1), num_non_edges=2)


def test_scaling_moves_every_weight_and_no_logit() -> None:
    scores = NonEdgeScores.of(np.array([0.0, 1.0]), anchors=np.array([1.0]), num_non_edges=10).scaled(0.1)
    assert (scores.num_non_edges, scores.at_least.tolist(), scores.rate) == (1.0, [0.5], 0.2)
    assert scores.bins.count.sum() == pytest.approx(1.0)
