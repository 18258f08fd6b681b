"""HeldOut: counts on the ladder, saving, restating, and what it refuses."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray

from linkodds.errors import DegenerateGraph, NonFiniteScores
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.non_edges import DegreeClasses, NonEdges
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.scorers.scoring import InnerProductScorer


@pytest.fixture
def held_out() -> HeldOut:
    rng = np.random.default_rng(0)
    space = PairSpace(50)
    edges = space.pair_of_rank(rng.choice(space.num_pairs, 100, replace=False))
    z = rng.normal(size=(50, 3)).astype(np.float32)
    return HeldOut.from_scorer(
        InnerProductScorer(z, z, 1.0, -1.0),
        edges[:20],
        NonEdges(KnownPairs(space, edges)),
        classes=DegreeClasses.of(edges[20:], space, excluded=edges[20:]),
        thresholds=(0.25,),
        message_graph_hash="abc",
    )


def test_ladder_by_hand() -> None:
    ladder = HeldOut.from_logits([1.0, 3.0, 1.0], [4.0, 3.0, 2.0, 1.0, 0.0], 10).ladder
    assert ladder.logits.tolist() == [3.0, 1.0]
    assert ladder.edges.tolist() == [1.0, 2.0]
    assert ladder.edges_at_least.tolist() == [1.0, 3.0]
    assert ladder.non_edges_at_least.tolist() == [4.0, 8.0]
    assert ladder.non_edges_above.tolist() == [2.0, 6.0]


def test_saved_and_read_back_without_pickle(held_out: HeldOut) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, **held_out.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        again = HeldOut.from_arrays(arrays)
    assert again.message_graph_hash == "abc"
    before, after = held_out.to_arrays(), again.to_arrays()
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)
    assert average_precision(again) == average_precision(held_out)
    assert again.non_edges.num_at_least(0.25) == held_out.non_edges.num_at_least(0.25)


def test_a_file_of_two_million_non_edges_stays_below_a_megabyte() -> None:
    logits = np.random.default_rng(1).normal(size=2_000_000).astype(np.float32)
    file = io.BytesIO()
    np.savez_compressed(file, **HeldOut.from_logits([0.0, 1.0], logits, len(logits)).to_arrays())
    assert len(file.getvalue()) < 1_000_000


@pytest.mark.parametrize("prevalence", [0.5, 0.01, 1e-6])
def test_restated_at_a_prevalence(held_out: HeldOut, prevalence: float) -> None:
    restated = held_out.at_prevalence(prevalence)
    assert restated.prevalence == pytest.approx(prevalence, rel=1e-12)
    assert restated.num_edges == held_out.num_edges
    assert restated.design == "enumerated"
    assert restated.non_edges.bins.count.sum() == pytest.approx(restated.num_non_edges)
    again = restated.at_prevalence(held_out.prevalence)
    np.testing.assert_allclose(again.ladder.non_edges_at_least, held_out.ladder.non_edges_at_least, rtol=1e-12)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -1.0, np.nan])
def test_no_prevalence_outside_the_open_interval(held_out: HeldOut, prevalence: float) -> None:
    with pytest.raises(ValueError, match="a prevalence lies between 0 and 1"):
        held_out.at_prevalence(prevalence)


def test_edges_are_rounded_as_blocks_are() -> None:
    held_out = HeldOut.from_logits([0.1], [np.float32(0.1)], 1)  # equal in float32, though not in float64
    assert held_out.ladder.non_edges_at_least.tolist() == [1.0]
    assert held_out.ladder.non_edges_above.tolist() == [0.0]


def test_no_edges_are_refused() -> None:
    with pytest.raises(DegenerateGraph, match="no held-out edge"):
        HeldOut.from_logits([], [1.0], 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_edge_logit_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(NonFiniteScores, match="1 of 2 logits of held-out edges"):
        HeldOut.from_logits([0.0, bad], [1.0], 1)


def test_classes_need_one_entry_an_edge(held_out: HeldOut) -> None:
    classes: NDArray[np.uint8] = np.zeros(3, dtype=np.uint8)
    with pytest.raises(ValueError, match="one degree class for each edge"):
        HeldOut(held_out.edge_logits, held_out.non_edges, classes)


def test_edge_logits_have_to_be_anchors(held_out: HeldOut) -> None:
    with pytest.raises(ValueError, match="must be an anchor"):
        HeldOut(held_out.edge_logits + 1.0, held_out.non_edges, held_out.edge_classes)
