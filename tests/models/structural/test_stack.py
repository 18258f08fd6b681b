"""The stack: one logit for a pair wherever it is asked, train edges hidden, the same bytes again."""

from collections.abc import Sequence
from functools import cache, partial

import numpy as np
import pytest
import safetensors.numpy

from forged_run import forge
from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, OptionError
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split, split_edges
from linkodds.models.families import stack as stack_family
from linkodds.models.structural.masked_edges import (
    PRIOR_EDGES,
    HiddenEdges,
    Rows,
    StackOptions,
    cut_off_offset,
    training_rows,
)
from linkodds.models.structural.stack import (
    GROUPS,
    StackedModel,
    StackScorer,
    _groups,
    _less_hidden_edges,
    fit_stack,
    fit_trees,
    forests_to_arrays,
)
from linkodds.models.structural.trees import BinaryTree, Forest
from linkodds.pairs import PairSpace
from linkodds.runs.record import load_run
from linkodds.runs.run_directory import WEIGHTS, PartialRun
from linkodds.runs.trees_text import HEADER
from planted_blocks import KINDS, above_chance, blocks, check_bits, check_same_arrays, check_same_logits, group_features

SMALL = StackOptions(folds=4, zeros=400, broad_rounds=5, close_rounds=12)


@cache
def fitted(kind: str, threads: int = 1) -> tuple[Split, StackedModel]:
    split = split_edges(blocks(*KINDS[kind]), rng=np.random.default_rng(0))
    features = group_features() if kind == "undirected" else None
    return split, fit_stack(split, features, seeds=np.random.SeedSequence(1), options=SMALL, threads=threads)


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def test_blocks_and_pairs_have_the_same_bits_and_both_orders_too(kind):
    split, model = fitted(kind)
    check_bits(model.scorer, split)


def test_it_finds_what_was_planted(kind):
    """Chance is 0.5; the control is the random graph below."""
    split, model = fitted(kind)
    found, chance = above_chance(model.scorer, split)
    assert found > chance


def test_nothing_is_found_in_a_random_graph():
    """The control: edges that no count foretells. Four deviations around chance."""
    rng = np.random.default_rng(0)
    u, v = np.triu_indices(80, k=1)
    edges = np.column_stack([u, v])[rng.random(len(u)) < 0.2]
    graph = Graph(np.array([str(i) for i in range(80)], dtype=object), edges, PairSpace(80))
    split = split_edges(graph, rng=rng)
    scorer = fit_stack(split, None, seeds=np.random.SeedSequence(0), options=SMALL, threads=1).scorer
    found, chance = above_chance(scorer, split)
    assert abs(found) < chance


def test_the_number_of_threads_does_not_change_a_byte():
    one, two = (fitted("undirected", threads)[1].scorer for threads in (1, 2))
    check_same_arrays(one.to_arrays(), two.to_arrays())


def test_rows_hide_every_train_edge_once_and_zeros_stand_for_all_other_pairs(kind):
    split, _ = fitted(kind)
    rows = training_rows(split, None, np.random.SeedSequence(3), SMALL)
    _, hidden = rows.of_train_edges()  # those of nodes that a fold leaves without an edge stand apart
    assert sorted(map(tuple, hidden)) == sorted(map(tuple, split.train))
    assert len(rows.apart) < 0.1 * len(split.train)
    zeros = rows.pairs[~rows.is_edge]
    assert not split.space.contains(split.train, zeros).any()
    assert split.space.is_admissible(zeros).all()
    num_absent = split.space.num_pairs - len(split.train)
    # Near pairs count exactly; the others by the share of 200 draws in each of 4 folds, deviation 0.5 / sqrt(800) at most.
    assert rows.weights[~rows.is_edge].sum() == pytest.approx(num_absent, rel=4 * 0.5 / np.sqrt(4 * 200))


def test_a_train_edge_has_the_logit_it_had_while_hidden():
    split, model = fitted("undirected")
    rows = training_rows(split, group_features(), np.random.SeedSequence(1).spawn(2)[0].spawn(2)[1], SMALL)
    inputs, edges = rows.of_train_edges()
    np.testing.assert_array_equal(model.scorer.logits(edges), model.scorer.of_inputs(inputs))


def test_arrays_give_the_same_scorer(kind):
    split, model = fitted(kind)
    again = StackScorer.from_arrays(split, model.weights)
    check_same_logits(again, model.scorer)
    check_same_arrays(again.to_arrays(), model.weights)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("adjacency_left", lambda x: x[:-1]),
        ("adjacency_left", lambda x: x[:, :-1]),
        ("cubic_right", lambda x: x * np.float32(np.nan)),
        ("roles_source", lambda x: x[:, :-1]),
        ("roles_target", lambda x: x.astype(np.float64)),
        ("train_edges", lambda x: x + 1),
        ("train_logits", lambda x: x[:-1]),
        ("cut", lambda x: x * np.inf),
        ("broad.left_child", lambda x: x + 70),
        ("close-3.num_inputs", lambda x: x + 1),
    ],
)
def test_arrays_of_another_graph_are_refused(name, spoil):
    split, model = fitted("undirected")
    arrays = model.weights | {name: spoil(model.weights[name])}
    with pytest.raises(BrokenRun, match=r"model\.safetensors"):
        StackScorer.from_arrays(split, arrays)


def test_trees_in_the_place_of_others_are_refused():
    split, model = fitted("undirected")
    with pytest.raises(BrokenRun, match="do not split on the inputs"):
        StackScorer.from_arrays(split, model.weights | forests_to_arrays(model.scorer.forests[::-1]))


def test_too_few_edges_to_hide_are_refused():
    path = np.column_stack([np.arange(10), np.arange(1, 11)])
    split = Split(path[:7], path[7:8], path[8:9], path[9:], PairSpace(11))
    with pytest.raises(OptionError, match="8 train edges"):
        fit_stack(split, None, seeds=np.random.SeedSequence(0), options=SMALL)


def test_a_saved_run_gives_the_same_logits_and_a_spoilt_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stack_family, "fit_stack", partial(fit_stack, options=SMALL))
    config = FitConfig(model="stack", folds=1, threads=1)
    run = fit_graph(blocks(False, None), config, partial=PartialRun(tmp_path / "run", force=False))
    loaded = load_run(tmp_path / "run")
    check_same_logits(loaded.scorer, run.scorer)
    assert loaded.evaluation.model["name"] == "stack"
    assert loaded.embeddings is None
    assert not (tmp_path / "run" / "trees.txt").exists()
    spoilt = np.array(loaded.weights["close-2.left_child"])
    spoilt[0] = 999
    forge(tmp_path / "run", WEIGHTS, safetensors.numpy.save({**loaded.weights, "close-2.left_child": spoilt}))
    with pytest.raises(BrokenRun, match=r"model\.safetensors: close-2 trees: a tree's children are not"):
        load_run(tmp_path / "run")
    as_before = {name: array for name, array in loaded.weights.items() if not name.startswith(("broad.", "close-"))}
    forge(tmp_path / "run", WEIGHTS, safetensors.numpy.save(as_before))
    with pytest.raises(BrokenRun, match=r"model\.safetensors: broad trees: split_feature is missing"):
        load_run(tmp_path / "run")
    forge(tmp_path / "run", "trees.txt", trees_text(run.scorer.forests))
    check_same_logits(load_run(tmp_path / "run").scorer, run.scorer)


def trees_text(forests: Sequence[Forest]) -> bytes:
    """What a run of before has as trees.txt."""
    lines = [HEADER]
    for forest in forests:
        lines.append(f"forest num_inputs={forest.num_inputs}")
        for tree in forest.trees:
            lines += ["tree", *tree.lines()]
    return "\n".join([*lines, "end", ""]).encode()


def test_zeros_count_less_by_the_chance_that_they_hide_an_edge():
    """By hand: odds 0.5 and 1 edge in 5 unlabelled give 0.25 * 0.5 = 1/8; large odds leave nothing; edges keep theirs."""
    forest = Forest((BinaryTree((0,), (0.0,), (-1,), (-2,), (float(np.log(0.5)), 9.0)),), num_inputs=1)
    inputs = np.array([[-1.0], [1.0], [-1.0], [-1.0]], dtype=np.float32)
    is_edge = np.array([False, False, True, False])
    rows = Rows(inputs, is_edge, np.array([8.0, 3.0, 1.0, 8.0]), *[np.zeros((4, 2), dtype=np.int64)] * 3)
    is_close = np.array([True, True, True, False])
    weights = _less_hidden_edges(rows, [forest], np.zeros(4, dtype=np.int64), is_close, 0.8)
    np.testing.assert_allclose(weights, [7.0, 0.0, 1.0, 8.0], rtol=1e-12)


def test_groups_are_even_and_a_pair_has_one():
    pairs = np.column_stack(np.triu_indices(300, k=1)).astype(np.int64)
    groups = _groups(pairs, PairSpace(300))
    np.testing.assert_array_equal(groups[::-1], _groups(pairs[::-1], PairSpace(300)))
    share = 1 / GROUPS  # multinomial: deviation sqrt(m share (1 - share)); five of them
    assert np.abs(np.bincount(groups, minlength=GROUPS) - len(pairs) * share).max() < 5 * np.sqrt(
        len(pairs) * share * (1 - share)
    )


def test_cut_off_pairs_get_the_odds_that_validation_edges_say():
    """A chain of cliques that falls apart: 3 of 21 validation edges join two parts, by the prior 50 others as expected."""
    cliques = [(i, j) for b in range(0, 60, 5) for i in range(b, b + 5) for j in range(i + 1, b + 5)]
    edges = np.array(cliques + [(b + 4, b + 5) for b in range(0, 55, 5)])
    edges = edges[np.random.default_rng(0).permutation(len(edges))]
    split = Split(edges[:110], edges[110:], edges[:0], edges[:0], PairSpace(60))
    hidden = HiddenEdges.of(split, None, np.random.SeedSequence(0), SMALL)
    counts, rows = hidden.counts, hidden.rows
    apart = rows.inputs[:, counts.names.index("distance")] == 7
    shares = [np.average(apart[each], weights=rows.weights[each]) for each in (rows.is_edge, ~rows.is_edge)]
    of_edges, of_zeros, of_pairs = (share / (1 - share) for share in (*shares, counts.cut_off_share))
    expected = of_pairs * of_edges / of_zeros  # odds that an edge to be found is cut off, as in the folds
    share = (3 + PRIOR_EDGES * expected / (1 + expected)) / (21 + PRIOR_EDGES)
    offset = cut_off_offset(counts, rows, split.validation)
    assert offset == pytest.approx(np.log(share / (1 - share) / expected), abs=1e-6)
    assert cut_off_offset(counts, rows, edges[:0]) == 0
    without, moved = (
        fit_trees(counts, rows, recorded_share=1.0, offset=each, seeds=np.random.SeedSequence(0), options=SMALL)
        for each in (0.0, 2.0)
    )
    pairs = np.column_stack(np.triu_indices(60, k=1)).astype(np.int64)
    pairs = pairs[~split.space.contains(split.train, pairs)]  # those have the logit they had while hidden
    added = moved.logits(pairs) - without.logits(pairs)
    is_apart = counts.components[pairs[:, 0]] != counts.components[pairs[:, 1]]
    np.testing.assert_allclose(added, np.where(is_apart, 2.0, 0.0), atol=1e-9)
