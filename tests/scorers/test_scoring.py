"""Scoring: what does not depend on how arrays lie in memory."""

import numpy as np
import pytest

from linkodds.scorers.scoring import Embeddings, InnerProductScorer

WIDE = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
PAIRS = np.random.default_rng(1).integers(0, 50, size=(3000, 2))
VIEWS = {"half of a wider array": WIDE[:, :6], "column by column": np.asfortranarray(WIDE[:, :6])}


@pytest.mark.parametrize("num_negative", [0, 2])
@pytest.mark.parametrize("source", VIEWS.values(), ids=VIEWS)
def test_rows_are_taken_from_what_lies_row_by_row(source: Embeddings, num_negative: int) -> None:
    """To take rows of any other array, numpy copies all of it each time: 250 s in place of 2 on 118,000 nodes."""
    whole = np.ascontiguousarray(source)
    expected = InnerProductScorer(whole, whole, 2.0, -1.0, num_negative).logits(PAIRS)
    for target in (source, source.copy(order="A"), WIDE[:, 6:]):
        scorer = InnerProductScorer(source, target, 2.0, -1.0, num_negative)
        assert all(side.flags.c_contiguous for side in scorer.ends)
        signs = np.where(np.arange(6) < 6 - num_negative, 1.0, -1.0)
        by_hand = 2.0 * (source[PAIRS[:, 0]].astype(np.float64) * signs * target[PAIRS[:, 1]]).sum(axis=1) - 1.0
        np.testing.assert_allclose(scorer.logits(PAIRS), by_hand, rtol=1e-12, atol=1e-12)
        if np.array_equal(target, source):
            np.testing.assert_array_equal(scorer.logits(PAIRS), expected)


def test_one_array_for_both_ends_is_copied_once() -> None:
    view = VIEWS["half of a wider array"]
    first, second = InnerProductScorer(view, view, 1.0, 0.0).ends
    assert first is second
