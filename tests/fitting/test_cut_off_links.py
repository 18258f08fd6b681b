"""No credit for what the split did: planted scorers that know which nodes it cut off, and what lists make of these nodes."""

import networkx as nx
import numpy as np
import pytest

from linkodds.config import FitConfig
from linkodds.errors import DegenerateGraph
from linkodds.fitting.evaluation_setup import EvaluationSetup, Seeds
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, split_edges
from linkodds.metrics.metrics import average_precision, roc_auc
from linkodds.models.structural.masked_edges import training_rows
from linkodds.runs.record import load_run
from linkodds.runs.run_directory import PartialRun
from table_scorer import TableScorer

SPARSE = FitConfig(model="degree", folds=1, threads=1, split=(0.7, 0.1, 0.1, 0.1))


def buyers(seed: int = 0) -> Graph:
    """400 users who have bought one to three of 60 things, some things far more often."""
    rng = np.random.default_rng(seed)
    taste = rng.dirichlet(np.full(60, 0.5))
    bought = [rng.choice(60, size=rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]), replace=False, p=taste) for _ in range(400)]
    return Graph.from_edges([(f"u{u}", f"i{i}") for u, basket in enumerate(bought) for i in basket], bipartite=True)


def random_graph(seed: int = 0, *, listed: bool = False) -> Graph:
    graph = nx.gnm_random_graph(300, 300, seed=seed)
    nodes = [f"n{u}" for u in graph.nodes()] if listed else None
    return Graph.from_edges([(f"n{u}", f"n{v}") for u, v in graph.edges()], nodes=nodes)


def half_listed() -> Graph:
    """A random graph and five of its 38 nodes without an edge."""
    whole = random_graph(listed=True)
    ids = whole.ids[np.union1d(np.unique(whole.edges), np.flatnonzero(whole.degrees() == 0)[:5])]
    return Graph.from_edges(whole.ids[whole.edges].tolist(), nodes=ids.tolist())


@pytest.mark.parametrize(
    "graph", [buyers(), random_graph(), half_listed()], ids=["buyers", "random", "a few are listed"]
)
def test_who_knows_only_which_nodes_have_no_train_edge_scores_one_half(graph: Graph) -> None:
    """Isolated in the train edges as they were dealt, and as they are used. Without sparing, the former has 0.75 and more."""
    dealt = split_edges(graph, fractions=SPARSE.split, rng=np.random.default_rng(Seeds.of(SPARSE.seed).split))
    setup = EvaluationSetup.of(graph, SPARSE)
    for split in (dealt, setup.split):
        is_isolated = np.bincount(split.train.ravel(), minlength=graph.num_nodes) == 0
        scorer = TableScorer(np.add.outer(is_isolated, is_isolated).astype(np.float64))
        for part in setup.held_out(scorer, setup.split, ("validation", "calibration", "test")).values():
            assert roc_auc(part) == 0.5
    of_all = np.concatenate([dealt.test, graph.edges[:0]])
    is_isolated = np.bincount(dealt.train.ravel(), minlength=graph.num_nodes) == 0
    assert is_isolated[of_all].any(axis=1).mean() > 0.25 > 0.2 > is_isolated.mean()


def test_being_handed_the_mask_gains_nothing() -> None:
    graph = buyers()
    dealt = split_edges(graph, fractions=SPARSE.split, rng=np.random.default_rng(Seeds.of(SPARSE.seed).split))
    setup = EvaluationSetup.of(graph, SPARSE)
    mask = np.bincount(dealt.train.ravel(), minlength=graph.num_nodes) == 0
    table = np.random.default_rng(1).normal(size=(graph.num_nodes,) * 2)
    table[dealt.test[:, 0], dealt.test[:, 1]] += 1.0
    plain, handed = (
        setup.held_out(TableScorer(each), setup.split, ("test",))["test"]
        for each in (table, table + 9.0 * np.logical_or.outer(mask, mask))
    )
    assert roc_auc(handed) == roc_auc(plain)
    assert average_precision(handed) == average_precision(plain)


@pytest.mark.parametrize("model", ["degree", "gae"])
def test_what_is_left_out_is_said_and_lists_share_the_missing_links_among_all_pairs(model: str, tmp_path) -> None:
    config = SPARSE.model_copy(update={"model": model, "epochs": 5})
    with PartialRun(tmp_path / "run", force=False) as partial:
        run = fit_graph(random_graph(), config, partial=partial)
    split, candidates = run.split, run.evaluation.candidates
    raw = split_edges(random_graph(), fractions=config.split, rng=np.random.default_rng(Seeds.of(0).split))
    degrees = np.bincount(raw.train.ravel(), minlength=len(run.ids))
    assert split.cut_off.nodes.tolist() == np.flatnonzero(degrees == 0).tolist()
    inside = int((degrees > 0).sum())
    between = (degrees[np.concatenate([getattr(raw, part) for part in PARTS])] > 0).all(axis=1).sum()
    assert candidates["num_pairs"] == inside * (inside - 1) // 2 - between + len(split.test)
    assert candidates["excluded_edges"] == len(raw.test) - len(split.test) > 0
    graph = run.evaluation.graph
    others = graph["num_edges"] - len(split.test) - candidates["excluded_edges"]
    assert candidates["num_pairs"] + candidates["excluded_pairs"] == graph["num_pairs"] - others
    told = next(each for each in run.evaluation.findings if "without a train edge" in each.message)
    assert f"{len(split.cut_off.nodes)} of {len(run.ids)} nodes" in told.message
    assert f"({candidates['excluded_edges']} of {len(raw.test)} test edges)" in told.message

    recorded = run.recorded
    absent = recorded.absent_pairs(np.arange(recorded.num_absent))
    rates = run.link_rate(run.scorer.logits(absent))
    judged = split.not_judged()
    of_judged = rates[~judged.contains(absent)].sum()
    assert rates.sum() == pytest.approx(1.0, rel=2e-3)  # bins stand for the judged pairs
    assert of_judged < 0.95 * rates.sum()
    read = load_run(tmp_path / "run")
    assert read.split.cut_off.nodes.tolist() == split.cut_off.nodes.tolist()
    assert read.evaluation.candidates == candidates
    np.testing.assert_array_equal(read.link_rate(run.scorer.logits(absent[:50])), rates[:50])
    labels = run.predictions["label"].to_numpy()
    ends = run.predictions.select("source", "target").to_numpy()
    assert not np.isin(ends, run.ids[split.cut_off.nodes]).any()
    assert (labels == 0).sum() == judged.num_absent


def test_a_list_of_all_nodes_keeps_every_pair_a_candidate() -> None:
    graph = random_graph(listed=True)
    run = fit_graph(graph, SPARSE)
    dealt = split_edges(graph, fractions=SPARSE.split, rng=np.random.default_rng(Seeds.of(SPARSE.seed).split))
    assert all(np.array_equal(getattr(run.split, part), getattr(dealt, part)) for part in PARTS)
    assert "excluded_pairs" not in run.evaluation.candidates
    assert run.evaluation.candidates["num_edges"] == 30
    assert not any("without a train edge" in each.message for each in run.evaluation.findings)


def test_a_one_to_one_mapping_is_refused() -> None:
    mapping = Graph.from_edges([(f"a{i}", f"b{i}") for i in range(60)], bipartite=True)
    with pytest.raises(DegenerateGraph, match="A one-to-one mapping has no other edges to learn from"):
        fit_graph(mapping, SPARSE)


@pytest.mark.parametrize("graph", [buyers(), random_graph()], ids=["buyers", "random"])
def test_no_training_row_has_a_node_that_its_fold_leaves_without_an_edge(graph: Graph) -> None:
    """Of the rows of edges such ends were a third; of the zeros 1 in 20, so a model learnt that they mean a link."""
    split = EvaluationSetup.of(graph, SPARSE).split
    rows = training_rows(split, None, np.random.SeedSequence(0))
    folds = np.random.default_rng(np.random.SeedSequence(0)).permutation(len(split.train)) % 20
    seen = {fold: np.bincount(split.train[folds != fold].ravel(), minlength=graph.num_nodes) for fold in range(20)}
    fold_of = dict(zip(split.space.keys(split.train).tolist(), folds.tolist(), strict=True))
    edges = rows.pairs[rows.is_edge]
    for pair in edges.tolist():
        assert seen[fold_of[int(split.space.keys(np.array([pair]))[0])]][pair].min() > 0
    for pair in rows.apart.tolist():
        assert seen[fold_of[int(split.space.keys(np.array([pair]))[0])]][pair].min() == 0
    _, every = rows.of_train_edges()
    assert sorted(split.space.keys(every).tolist()) == sorted(split.space.keys(split.train).tolist())
    assert len(rows.apart) > 0.1 * len(split.train)
    # Zeros stand for all pairs that may be rows, on average over the folds.
    expected = 0.0
    for fold in range(20):
        inside = seen[fold] > 0
        if split.space.sides is None:
            pairs = inside.sum() * (inside.sum() - 1) // 2
        else:
            pairs = inside[: split.space.sides[0]].sum() * inside[split.space.sides[0] :].sum()
        expected += float(pairs - inside[split.train].all(axis=1).sum()) / 20
    assert rows.weights[~rows.is_edge].sum() == pytest.approx(expected, rel=1e-9)
