"""Nodes that a split leaves without an edge: by hand, and by simulation of a record from which links are missing."""

import networkx as nx
import numpy as np
import pytest

from linkodds.errors import BrokenRun, DegenerateGraph
from linkodds.graph.cut_off import cut_off_nodes, names_all_nodes
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, CutOff, Split, split_by_time, split_edges
from linkodds.pairs import PairSpace
from linkodds.reading.times import EdgeTimes

TRAIN = np.array([[0, 1], [1, 2], [0, 2], [2, 3]])
VALIDATION = np.array([[0, 3], [1, 4]])  # node 4 has two recorded edges, both held out
CALIBRATION = np.array([[1, 3], [3, 5]])  # node 5 has one
TEST = np.array([[0, 4], [2, 6], [0, 7], [1, 7]])  # node 6 has one, node 7 two in one part


def test_nodes_whose_edges_are_all_hidden_are_cut_off() -> None:
    hidden = np.concatenate([VALIDATION, CALIBRATION, TEST])
    assert cut_off_nodes(TRAIN, hidden, PairSpace(8)).tolist() == [4, 5, 6, 7]
    assert cut_off_nodes(np.concatenate([TRAIN, hidden]), hidden[:0], PairSpace(8)).tolist() == []


def test_a_list_that_names_nodes_without_an_edge_cuts_none_off_each_side_for_itself() -> None:
    """Side A: five nodes have one edge, so 5 * 4 / 2 = 10 with none are expected, 5 of them at least; side B is not listed."""
    visible, hidden = np.array([[0, 0], [1, 1]]), np.array([[2, 0], [3, 2], [4, 3]])
    for listed, cut_off in ((5, []), (4, list(range(2, 9)))):
        size = 5 + listed
        pairs = [each + np.array([0, size]) for each in (visible, hidden)]
        expected = [*cut_off, size + 2, size + 3]
        assert cut_off_nodes(*pairs, PairSpace(size + 4, sides=(size, 4))).tolist() == expected


def test_a_node_that_edges_of_other_kinds_name_is_not_cut_off() -> None:
    hidden = np.array([[3, 4], [3, 5]])
    assert cut_off_nodes(TRAIN, hidden, PairSpace(6)).tolist() == [4, 5]
    assert cut_off_nodes(TRAIN, hidden, PairSpace(6), others=np.array([[0, 5]])).tolist() == [4]


def test_how_many_nodes_without_an_edge_a_whole_list_has() -> None:
    """Chao's bound by hand: 41 with one edge and 19 with two leave 41 * 40 / (2 * 20) = 41 with none; 21 are half of them."""
    degrees = np.repeat([1, 2, 3], [41, 19, 500])
    assert names_all_nodes(np.append(degrees, np.zeros(21, dtype=np.int64)))
    assert not names_all_nodes(np.append(degrees, np.zeros(20, dtype=np.int64)))
    assert not names_all_nodes(degrees)
    mapping = np.append(np.ones(100, dtype=np.int64), np.zeros(30, dtype=np.int64))
    assert not names_all_nodes(mapping)  # one to one: however many are listed, more were to be expected


@pytest.mark.parametrize("hidden", [0.0, 0.2])
def test_whole_lists_are_told_from_lists_that_were_made_from_edges(hidden: float) -> None:
    """Degrees of many laws, thinned: the whole list passes, and one that lacks five sixths of the isolated nodes does not."""
    rng = np.random.default_rng(0)
    for mean in (0.7, 1.5, 3.0):
        degrees = rng.binomial(rng.poisson(rng.gamma(1.0, mean, 20_000)), 1 - hidden)
        assert names_all_nodes(degrees)
        isolated = np.flatnonzero(degrees == 0)
        assert not names_all_nodes(np.delete(degrees, isolated[: len(isolated) * 5 // 6]))


def by_hand(**more: bool) -> Split:
    """With an edge more to train on and one to test, so that node 8 keeps one."""
    train, test = np.concatenate([TRAIN, [[1, 8]]]), np.concatenate([TEST, [[0, 8]]])
    return Split(train, VALIDATION, CALIBRATION, test, PairSpace(9)).sparing_cut_off(**more)


def test_held_out_edges_of_cut_off_nodes_go_back_to_train_and_no_others() -> None:
    split = by_hand()
    assert split.cut_off.nodes.tolist() == [4, 5, 6, 7]
    assert split.train.tolist() == [*TRAIN.tolist(), [1, 8], [1, 4], [3, 5], [0, 4], [2, 6], [0, 7], [1, 7]]
    assert [getattr(split, part).tolist() for part in PARTS[1:]] == [[[0, 3]], [[1, 3]], [[0, 8]]]


def test_a_part_of_which_nothing_is_left_is_refused_in_one_sentence() -> None:
    pairs = np.array([[i, 20 + i] for i in range(20)])
    graph = Graph(np.arange(40).astype(str).astype(object), pairs, PairSpace(40, sides=(20, 20)))
    with pytest.raises(DegenerateGraph, match=r"no validation edge that can be judged: 4 of 4 .* one-to-one mapping"):
        split_edges(graph, rng=np.random.default_rng(0)).sparing_cut_off()


def test_excluded_pairs_are_those_with_a_cut_off_end_by_hand() -> None:
    split = by_hand()
    assert split.test.tolist() == [[0, 8]]
    assert split.cut_off.num_test == 4  # [0, 4], [2, 6], [0, 7], [1, 7]
    # 36 pairs and 14 edges; between the nodes 0, 1, 2, 3 and 8 there are 10 pairs and 8 edges.
    assert split.num_edges == 14
    assert split.recorded().num_absent == 22
    assert split.not_judged().num_absent == 2
    assert split.not_judged().absent_pairs(np.arange(2)).tolist() == [[2, 8], [3, 8]]


def test_edges_that_may_not_train_are_set_aside_and_stay_recorded() -> None:
    split = by_hand(may_train=False)
    assert split.train.tolist() == [*TRAIN.tolist(), [1, 8]]
    assert split.cut_off.set_aside.tolist() == [[1, 4], [3, 5], [0, 4], [2, 6], [0, 7], [1, 7]]
    assert split.num_edges == 14
    assert split.recorded().contains(split.cut_off.set_aside).all()
    assert split.sparing_cut_off(may_train=False) is split


def test_times_stay_beside_their_edges() -> None:
    rng = np.random.default_rng(0)
    pairs = PairSpace(40).pair_of_rank(np.sort(rng.choice(780, 90, replace=False)))
    graph = Graph(
        np.arange(40).astype(str).astype(object), pairs, PairSpace(40), times=EdgeTimes(np.arange(90), "integer", "t")
    )
    whole = split_by_time(graph, fractions=(0.4, 0.2, 0.2, 0.2))
    split = whole.sparing_cut_off(may_train=False)
    assert len(split.cut_off.nodes)
    assert split.times is not None
    for part in PARTS:
        np.testing.assert_array_equal(pairs[split.times.parts[part]], getattr(split, part))
    assert np.array_equal(split.train, whole.train)


def test_what_was_cut_off_is_written_and_read_back() -> None:
    for split in (by_hand(), by_hand(may_train=False)):
        read = CutOff.from_arrays(split.cut_off.to_arrays(), split.space)
        assert read.nodes.tolist() == split.cut_off.nodes.tolist()
        assert read.set_aside.tolist() == split.cut_off.set_aside.tolist()
        assert read.num_test == 4
    assert CutOff().to_arrays() == {}
    assert len(CutOff.from_arrays({}, PairSpace(3)).nodes) == 0
    with pytest.raises(BrokenRun, match="nodes"):
        CutOff.from_arrays(by_hand().cut_off.to_arrays(), PairSpace(5))


def of_edges(edges: np.ndarray) -> Graph:
    """A graph whose nodes are those that the edges name."""
    ids, flat = np.unique(edges, return_inverse=True)
    return Graph(ids.astype(str).astype(object), flat.reshape(-1, 2), PairSpace(len(ids)))


@pytest.mark.parametrize("folds", [2, 5])
def test_no_fold_leaves_a_node_without_an_edge(folds: int) -> None:
    graph = of_edges(PairSpace(80).pair_of_rank(np.sort(np.random.default_rng(1).choice(3160, 130, replace=False))))
    split = split_edges(graph, rng=np.random.default_rng(2)).sparing_cut_off(folds).dealt(folds)
    assert len(split.cut_off.nodes)
    calibrated = []
    for rotation in split.rotations():
        seen = np.bincount(rotation.train.ravel(), minlength=graph.num_nodes)
        assert (seen > 0).all()
        assert rotation.num_edges == graph.num_edges
        assert not np.isin(rotation.calibration, split.cut_off.nodes).any()
        calibrated += split.space.keys(rotation.calibration).tolist()
    assert len(set(calibrated)) == len(calibrated)  # at most once
    again = Split(
        split.train, split.validation, split.calibration, split.test, split.space, folds, cut_off=split.cut_off
    )
    assert again.message_graph_hash() == split.message_graph_hash()


def mean_auc(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("degree", [1, 2, 4])
def test_on_random_graphs_degrees_say_nothing_of_the_judged_edges(degree: int) -> None:
    """Nothing can be predicted here. By degrees alone, few edges first, raw held-out edges rank far above non-edges."""
    raw, spared = [], []
    for seed in range(30):
        edges = np.array(sorted(map(sorted, nx.gnm_random_graph(400, 200 * degree, seed=seed).edges())))
        graph = of_edges(edges)
        split = split_edges(graph, fractions=(0.6, 0.1, 0.1, 0.2), rng=np.random.default_rng(seed))
        for found, each in ((raw, split), (spared, split.sparing_cut_off())):
            seen = np.bincount(split.train.ravel(), minlength=graph.num_nodes)  # before anything went back
            known = each.not_judged()
            others = known.absent_pairs(np.random.default_rng(seed).integers(0, known.num_absent, 20_000))
            edges_at, others_at = (-np.log1p(seen[pairs]).sum(axis=1) for pairs in (each.test, others))
            order = np.sort(others_at)
            below = np.searchsorted(order, edges_at) + np.searchsorted(order, edges_at, side="right")
            found.append(float(below.mean()) / (2 * len(order)))
    value, error = mean_auc(spared)
    assert abs(value - 0.5) < 3.5 * error
    value, error = mean_auc(raw)
    assert value > 0.5 + 3.5 * error or degree == 4
