"""structural-gae: one logit for a pair wherever it is asked, train edges hidden, both parts in it, the same bytes again."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, OptionError
from linkodds.fitting.pipeline import fit_graph, fit_run
from linkodds.graph.split import Split, split_edges
from linkodds.models.families import structural_gae as structural_family
from linkodds.models.structural.masked_edges import StackOptions, training_rows
from linkodds.models.structural.structural_gae import SHARES, StructuralModel, StructuralScorer, fit_structural
from linkodds.models.training.history import Epoch
from linkodds.pairs import PairSpace
from linkodds.runs.record import load_run
from linkodds.runs.run_directory import PartialRun
from linkodds.scorers.scoring import InnerProductScorer
from planted_blocks import KINDS, above_chance, blocks, check_bits, check_same_arrays, check_same_logits, group_features

SMALL = StackOptions(folds=4, zeros=400)


def some_table(directed: bool, seed: int = 0) -> InnerProductScorer:
    """A table that knows nothing."""
    source, target = np.random.default_rng(seed).normal(size=(2, 60, 4)).astype(np.float32) * 0.1
    return InnerProductScorer(source, target if directed else source, 1.5, 0.0, 2)


@cache
def fitted(kind: str, threads: int = 1) -> tuple[Split, StructuralModel]:
    split = split_edges(blocks(*KINDS[kind]), rng=np.random.default_rng(0))
    features = group_features() if kind == "undirected" else None
    with threadpool_limits(threads, user_api="blas"):
        scorer, odds, finding = fit_structural(
            split,
            features,
            some_table(split.space.directed),
            table_odds=1.0,
            seeds=np.random.SeedSequence(1),
            options=SMALL,
        )
    return split, StructuralModel(scorer, odds, (), 0, "all-pairs", (finding,))


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def test_blocks_and_pairs_have_the_same_bits_and_both_orders_too(kind):
    split, model = fitted(kind)
    check_bits(model.scorer, split)


def test_it_finds_what_was_planted_beside_a_table_that_knows_nothing(kind):
    split, model = fitted(kind)
    found, chance = above_chance(model.scorer, split)
    assert found > chance


def test_the_logit_is_the_mean_of_both_parts_and_a_train_edge_has_the_one_it_had_while_hidden():
    split, model = fitted("undirected")
    scorer = model.scorer
    rows = training_rows(split, group_features(), np.random.SeedSequence(1).spawn(4)[0].spawn(2)[1], SMALL)
    expected = scorer.of_inputs(rows.inputs[rows.is_edge]).astype(np.float32)
    np.testing.assert_array_equal(scorer.logits(rows.pairs[rows.is_edge]), expected)
    of_table = scorer.table.logits(split.test).astype(np.float32).astype(np.float64)
    expected = (1 - scorer.share) * scorer.of_inputs(scorer.counts.of_pairs(split.test)) + scorer.share * of_table
    np.testing.assert_allclose(scorer.logits(split.test), expected, rtol=1e-12)
    assert scorer.table.bias == pytest.approx(np.log(model.effective_odds))  # it was trained at even odds


@pytest.mark.parametrize(("knows", "expected"), [(5.0, False), (-5.0, True)])
def test_a_table_that_knows_the_answer_gets_more_than_the_smallest_share(knows, expected):
    """The control: a table that says the opposite gets the smallest."""
    split, _ = fitted("undirected")
    hot = np.eye(60, dtype=np.float32)
    target = np.zeros((60, 60), dtype=np.float32)
    for u, v in split.validation:
        target[u, v] = target[v, u] = knows
    table = InnerProductScorer(target, hot, 1.0, 0.0)
    scorer, _, finding = fit_structural(
        split, None, table, table_odds=1.0, seeds=np.random.SeedSequence(1), options=SMALL
    )
    assert scorer.share == finding.statistic
    assert (scorer.share == SHARES[0]) == expected


def test_the_number_of_threads_does_not_change_a_byte():
    one, two = (fitted("undirected", threads)[1].weights for threads in (1, 2))
    check_same_arrays(one, two)


def test_arrays_give_the_same_scorer(kind):
    split, model = fitted(kind)
    again = StructuralScorer.from_arrays(split, model.weights)
    check_same_logits(again, model.scorer)
    assert model.num_parameters > again.table.source.size * (1 + split.space.directed)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("adjacency_left", lambda x: x[:-1]),
        ("adjacency_left", lambda x: x[:, :-1]),
        ("cubic_right", lambda x: x * np.float32(np.nan)),
        ("roles_source", lambda x: x[:, :-1]),
        ("train_edges", lambda x: x + 1),
        ("train_logits", lambda x: x[:-1]),
        ("cut_share_offset", lambda x: x + 1),
        ("table_source", lambda x: x[:-1]),
        ("table_target", lambda x: x[:, :-1]),
        ("table_decoder", lambda x: -x),
        ("close.0.0", lambda x: x[:-1]),
    ],
)
def test_arrays_of_another_graph_are_refused(name, spoil):
    split, model = fitted("undirected")
    arrays = model.weights | {name: spoil(model.weights[name])}
    with pytest.raises(BrokenRun, match=r"model\.safetensors"):
        StructuralScorer.from_arrays(split, arrays)


def test_too_few_edges_to_hide_and_folds_are_refused():
    path = np.column_stack([np.arange(10), np.arange(1, 11)])
    split = Split(path[:7], path[7:8], path[8:9], path[9:], PairSpace(11))
    with pytest.raises(OptionError, match="8 train edges"):
        fit_structural(split, None, some_table(False), table_odds=1.0, seeds=np.random.SeedSequence(0), options=SMALL)
    with pytest.raises(OptionError, match="structural-gae"):
        fit_graph(blocks(False, None), FitConfig(model="structural-gae", folds=2))


def test_an_interrupted_table_goes_on_and_ends_in_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(structural_family, "fit_structural", partial(fit_structural, options=SMALL))
    graph = blocks(False, None)
    ids = graph.ids[graph.edges]
    edges = tmp_path / "edges.csv"
    edges.write_text("source,target\n" + "\n".join(f"{u},{v}" for u, v in ids) + "\n")
    config = FitConfig(model="structural-gae", epochs=12, dim=6, checkpoint_every=4, threads=1)
    epochs: list[int] = []

    def interrupt(epoch: Epoch) -> None:
        epochs.append(epoch.epoch)
        if len(epochs) == 6:
            raise KeyboardInterrupt

    fit_run(edges, tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        fit_run(edges, tmp_path / "run", config, on_epoch=interrupt)
    fit_run(edges, tmp_path / "run", config, resume=True, on_epoch=interrupt)
    assert epochs[6:] == list(range(epochs[5] + 1, 13))
    for name in ("model.safetensors", "embeddings.parquet", "evaluation.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_saved_run_gives_the_same_logits_and_embeddings(tmp_path, monkeypatch):
    monkeypatch.setattr(structural_family, "fit_structural", partial(fit_structural, options=SMALL))
    config = FitConfig(model="structural-gae", epochs=20, dim=6, threads=1)
    run = fit_graph(blocks(False, None), config, partial=PartialRun(tmp_path / "run", force=False))
    loaded = load_run(tmp_path / "run")
    check_same_logits(loaded.scorer, run.scorer)
    assert loaded.evaluation.model["name"] == "structural-gae"
    assert loaded.embeddings is not None
    assert loaded.embeddings[0].shape == (60, 6)
    assert len(loaded.history["epoch"]) <= 20


def test_pairs_that_no_path_connects_have_the_offset_more():
    """The message graph is cut in two; a pair across has 2.5 more, in `logits`, `block` and `screened`, others nothing."""
    split, model = fitted("undirected")
    half = np.arange(60) < 30
    whole = model.scorer.counts.adjacency.tocoo()
    stays = half[whole.row] == half[whole.col]
    cut = sp.csr_array((whole.data[stays], (whole.row[stays], whole.col[stays])), shape=whole.shape)
    without = replace(model.scorer, counts=replace(model.scorer.counts, adjacency=cut), offset=0.0)
    shifted = replace(without, offset=2.5)
    pairs = split.space.pair_of_rank(np.arange(split.space.num_pairs))
    pairs = pairs[~split.space.contains(split.train, pairs)]  # a train edge keeps the logit that it had while hidden
    expected = np.where(half[pairs[:, 0]] != half[pairs[:, 1]], 2.5, 0.0)
    assert (without.counts.components[half] == without.counts.components[0]).all()
    assert (without.counts.components[~half] == without.counts.components[30]).all()
    whole_block = slice(0, 60), slice(0, 60)
    for by_pair in (
        lambda scorer: scorer.logits(pairs),
        lambda scorer: scorer.block(*whole_block)[tuple(pairs.T)],
        lambda scorer: scorer.screened(pairs, (-np.inf,))[0][:, 0],
    ):
        np.testing.assert_allclose(by_pair(shifted) - by_pair(without), expected, atol=1e-5)
