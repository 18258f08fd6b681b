"""Search against brute force, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkodds.errors import NonFiniteScores, OptionError
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.scoring import InnerProductScorer, below_float32
from linkodds.search import find_pairs


def brute_force(scorer, known: KnownPairs, top: int | None, threshold: float | None) -> list[tuple[int, int]]:
    pairs = known.absent_pairs(np.arange(known.num_absent))
    logits = scorer.logits(pairs)
    order = sorted(range(len(pairs)), key=lambda i: (-logits[i], *pairs[i].tolist()))
    kept = [tuple(pairs[i].tolist()) for i in order if threshold is None or logits[i] >= threshold]
    return kept[:top]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_option_equals_brute_force(data):
    """Integer embeddings make many exact ties; others differ by less than a float32 can tell."""
    n = data.draw(st.integers(3, 12))
    kind = data.draw(st.sampled_from(["undirected", "directed", "bipartite"]))
    sides = (n // 2, n - n // 2) if kind == "bipartite" else None
    space = PairSpace(n, kind == "directed", sides)
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    z = rng.integers(-2, 3, size=(n, 2)).astype(np.float32)
    if data.draw(st.booleans()):
        z += (rng.random((n, 2)) * 1e-6).astype(np.float32)
    scorer = InnerProductScorer(z, z if kind == "undirected" else z[::-1].copy(), scale=0.7, bias=-1.0)
    ranks = rng.choice(space.num_pairs, rng.integers(1, space.num_pairs), replace=False)
    known = KnownPairs(space, space.pair_of_rank(ranks))
    top = data.draw(st.one_of(st.none(), st.integers(1, 20)))
    threshold = data.draw(st.one_of(st.none(), st.sampled_from([-1.0, -0.3, 0.4, 5.0]))) if top else -0.3
    found = find_pairs(scorer, known, top=top, threshold=threshold, max_cells=data.draw(st.sampled_from([1, 7, 1000])))
    assert [tuple(pair) for pair in found.pairs.tolist()] == brute_force(scorer, known, top, threshold)
    np.testing.assert_array_equal(found.logits, scorer.logits(found.pairs))


def test_the_threshold_of_a_decision_gives_the_same_pairs_by_block_and_by_pair():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 5)).astype(np.float32)
    scorer, known = InnerProductScorer(z, z, 1.0, -2.0), KnownPairs(PairSpace(60), np.array([[0, 1]]))
    pairs = known.absent_pairs(np.arange(known.num_absent))
    for chosen in rng.choice(len(pairs), 50, replace=False):
        threshold = below_float32(float(np.float32(scorer.logits(pairs[[chosen]])[0])))
        found = find_pairs(scorer, known, threshold=threshold, max_cells=100)
        by_block = sum(
            int((scorer.block(b.rows, b.columns)[known.absent_cells(b)] >= threshold).sum())
            for b in known.space.blocks()
        )
        assert len(found.pairs) == by_block == int((scorer.logits(pairs) >= threshold).sum())


def test_refusals():
    z = np.array([[1.0], [np.nan], [2.0]], dtype=np.float32)
    known = KnownPairs(PairSpace(3), np.array([[0, 1]]))
    with pytest.raises(OptionError, match="--top"):
        find_pairs(InnerProductScorer(z, z, 1.0, 0.0), known)
    with pytest.raises(OptionError, match="not 0"):
        find_pairs(InnerProductScorer(z, z, 1.0, 0.0), known, top=0)
    with pytest.raises(NonFiniteScores, match="NaN"):
        find_pairs(InnerProductScorer(z, z, 1.0, 0.0), known, top=1)


def test_fewer_candidates_than_asked_for_are_all_returned():
    z = np.ones((3, 1), dtype=np.float32)
    found = find_pairs(InnerProductScorer(z, z, 1.0, 0.0), KnownPairs(PairSpace(3), np.array([[0, 1]])), top=10)
    assert found.pairs.tolist() == [[0, 2], [1, 2]]
