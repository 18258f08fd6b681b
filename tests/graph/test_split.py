import numpy as np
import pytest

from linkodds.errors import DegenerateGraph, OptionError, OverlappingParts
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, Split, split_edges
from linkodds.pairs import PairSpace


def test_parts_are_disjoint_and_cover_the_edges(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    keys = [communities.space.keys(getattr(split, part)) for part in PARTS]
    np.testing.assert_array_equal(np.sort(np.concatenate(keys)), communities.space.keys(communities.edges))
    total = communities.num_edges
    assert [len(part) for part in keys[1:]] == [round(0.05 * total), round(0.05 * total), round(0.1 * total)]


def test_an_edge_in_two_parts_is_refused_with_its_nodes():
    one, two = np.array([[0, 1]]), np.array([[1, 2]])
    with pytest.raises(OverlappingParts, match="validation and test share 1 edge.*nodes 1 and 2"):
        Split(one, two, np.array([[0, 2]]), two, PairSpace(3))


def test_training_zeros_include_held_out_edges_and_evaluation_non_edges_do_not(communities):
    """Planted leak: a zero set without the held-out edges would tell the model which pairs they are."""
    from linkodds.pairs import KnownPairs

    split = split_edges(communities, rng=np.random.default_rng(0))
    zeros = KnownPairs(split.space, split.train)
    every_zero = zeros.absent_pairs(np.arange(zeros.num_absent))
    assert split.space.contains(every_zero, split.test).all()
    recorded = split.recorded()
    every_non_edge = recorded.absent_pairs(np.arange(recorded.num_absent))
    assert not split.space.contains(communities.edges, every_non_edge).any()


def test_message_graph_holds_train_edges_only(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    graph = split.message_graph()
    assert graph.nnz == 2 * len(split.train)
    for part in ("validation", "calibration", "test"):
        pairs = getattr(split, part)
        assert graph[pairs[:, 0], pairs[:, 1]].sum() == 0


def test_message_graph_hash_depends_on_the_train_edges_alone(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    shuffled = Split(split.train[::-1], split.test, split.calibration, split.validation, split.space)
    assert shuffled.message_graph_hash() == split.message_graph_hash()
    dealt = split.dealt(2)
    hashes = {each.message_graph_hash() for each in (split, dealt, *dealt.rotations())}
    assert len(hashes) == 4


@pytest.mark.parametrize("folds", [2, 5, 7])
def test_every_train_or_calibration_edge_calibrates_once(communities, folds):
    """But for those of nodes that their fold would leave without an edge: these train in it."""
    split = split_edges(communities, rng=np.random.default_rng(0))
    dealt = split.dealt(folds)
    rotations = dealt.rotations()
    pool = np.concatenate([split.calibration, split.train])
    keys = np.concatenate([split.space.keys(each.calibration) for each in rotations])
    num_nodes = communities.num_nodes
    for fold, inside in zip(rotations, np.array_split(pool, folds), strict=True):
        kept = np.isin(split.space.keys(inside), split.space.keys(fold.calibration))
        rest = np.bincount(pool.ravel(), minlength=num_nodes) - np.bincount(inside.ravel(), minlength=num_nodes)
        np.testing.assert_array_equal(kept, (rest[inside] > 0).all(axis=1))
    assert len(np.unique(keys)) == len(keys) >= 0.9 * len(pool)
    assert max(len(each.train) for each in rotations) - min(len(each.train) for each in rotations) <= 30
    assert all(np.array_equal(each.test, split.test) for each in rotations)
    assert all(np.array_equal(each.validation, split.validation) for each in rotations)
    assert split.space.contains(dealt.calibration, rotations[0].calibration).all()
    assert split.space.contains(rotations[0].train, dealt.train).all()
    again = Split(dealt.train, dealt.validation, dealt.calibration, dealt.test, dealt.space, folds)  # as a run is read
    assert [each.message_graph_hash() for each in again.rotations()] == [
        each.message_graph_hash() for each in rotations
    ]


def test_one_fold_is_the_split_itself(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    assert split.dealt(1) is split
    (alone,) = split.rotations()
    np.testing.assert_array_equal(alone.calibration, split.calibration)
    assert alone.message_graph_hash() == split.message_graph_hash()
    most = len(split.train) + len(split.calibration)
    for folds in (0, most + 1):
        with pytest.raises(OptionError, match=f"--folds takes 1 to {most}"):
            split.dealt(folds)


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.9, 0.1, 0.1, 0.1), (1.0, 0.0, 0.0, 0.0)])
def test_bad_fractions_are_refused(communities, fractions):
    with pytest.raises(OptionError, match="four positive numbers"):
        split_edges(communities, fractions=fractions, rng=np.random.default_rng(0))


def test_three_edges_cannot_fill_four_parts():
    graph = Graph(np.array(list("abcd"), dtype=object), np.array([[0, 1], [1, 2], [2, 3]]), PairSpace(4))
    with pytest.raises(DegenerateGraph, match="3 edge"):
        split_edges(graph, rng=np.random.default_rng(0))
