"""Weights of edges: confidences in the loss and the calibration, strengths in the messages, and nothing passed over."""

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linkodds.comparison.score_file import read_scores
from linkodds.config import FitConfig
from linkodds.edge_folds import EdgeRows
from linkodds.errors import MalformedFile, OptionError
from linkodds.estimator import LinkPredictor
from linkodds.fitting.auto import LADDER
from linkodds.fitting.edge_support import models_to_try, models_using
from linkodds.fitting.pipeline import fit_graph, fit_run
from linkodds.graph.graph import Graph
from linkodds.graph.split import split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.models.autoencoders.message_graph import MessageGraph
from linkodds.models.autoencoders.objective import AllPairs, Sampled
from linkodds.models.autoencoders.propagation import normalized_adjacency
from linkodds.models.families import families, family_of
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.probability.platt import fit_platt, weighted_points
from linkodds.reading.edge_weights import EdgeWeights
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.record import load_run

QUICK = {"hidden": 16, "dim": 8, "epochs": 20, "threads": 1}


def planted(seed=0, share_false=0.3):
    """Ten communities of 20, and false edges between any two; the false ones have low confidences, the true ones high."""
    rng = np.random.default_rng(seed)
    space = PairSpace(200)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    inside = pairs[:, 0] % 10 == pairs[:, 1] % 10
    true = rng.choice(np.flatnonzero(inside), 900, replace=False)
    false = rng.choice(np.flatnonzero(~inside), round(900 * share_false), replace=False)
    rows = [
        (f"n{a}", f"n{b}", float(c)) for a, b, c in zip(*pairs[true].T, rng.uniform(0.8, 1, len(true)), strict=True)
    ]
    rows += [
        (f"n{a}", f"n{b}", float(c))
        for a, b, c in zip(*pairs[false].T, rng.uniform(0.05, 0.2, len(false)), strict=True)
    ]
    return pl.DataFrame(rows, schema=["a", "b", "score"], orient="row").sample(fraction=1.0, shuffle=True, seed=seed)


def test_the_highest_confidence_and_the_sum_of_strengths_count():
    rows = [("p", "q", 0.5), ("q", "p", 0.75), ("q", "r", 0.25), ("r", "r", 1.0), ("r", "s", 1.0)]
    frame = pl.DataFrame(rows, schema=["a", "b", "w"], orient="row")
    expected = {"confidence": {("p", "q"): 0.75, ("q", "r"): 0.25, ("r", "s"): 1.0}}
    expected["strength"] = expected["confidence"] | {("p", "q"): 1.25}
    for role, values in expected.items():
        graph = Graph.from_edges(frame, weight="w", weight_as=role)
        found = {tuple(graph.ids[edge]): w for edge, w in zip(graph.edges, graph.weights.values, strict=True)}
        assert found == values
        assert graph.weights.of(graph.space.keys(graph.edges[::-1])).tolist() == graph.weights.values[::-1].tolist()
    with pytest.raises(KeyError):
        graph.weights.of(np.array([10**6]))


@pytest.mark.parametrize(
    ("role", "cell", "said"),
    [
        (
            "confidence",
            "1.5",
            "e.csv, line 3, column 'w': 1.5 is no confidence: .* at most 1. Divide scores by their largest value.",
        ),
        ("confidence", "0", "line 3, column 'w': 0 is no confidence: .* at most 1. Drop the rows that are no edges."),
        (
            "confidence",
            "",
            "line 3, column 'w': an empty cell is no confidence: .* at most 1. Write a number, or delete the row.",
        ),
        ("strength", "-2", "line 3, column 'w': -2 is no strength: a finite number above 0"),
        ("strength", "inf", "line 3, column 'w': inf is no strength"),
        ("strength", "much", "line 3, column 'w': much is no strength"),
    ],
)
def test_other_values_are_refused_with_line_column_and_value(tmp_path, role, cell, said):
    path = tmp_path / "e.csv"
    path.write_text(f"source,target,w\na,b,1\nb,c,{cell}\nc,d,1\n")
    with pytest.raises(MalformedFile, match=said):
        Graph.from_edges(path, weight="w", weight_as=role)


def test_a_weight_needs_its_meaning():
    frame = planted()
    with pytest.raises(OptionError, match="--weight needs --weight-as confidence|strength beside it"):
        Graph.from_edges(frame, weight="score")
    with pytest.raises(OptionError, match="--weight-as needs --weight COL beside it"):
        Graph.from_edges(frame, weight_as="strength")
    with pytest.raises(OptionError, match="not 'trust': the two do different things"):
        Graph.from_edges(frame, weight="score", weight_as="trust")
    graph = Graph.from_edges(frame, weight="score", weight_as="confidence")
    with pytest.raises(OptionError, match="weight_as='strength': this graph was not read so"):
        LinkPredictor(model="gae", weight="score", weight_as="strength").fit(graph)


def small_edges():
    rng = np.random.default_rng(2)
    space = PairSpace(12)
    edges = space.pair_of_rank(np.sort(rng.choice(space.num_pairs, 20, replace=False)))
    factors = [torch.tensor(rng.normal(size=(12, 3)), dtype=torch.float32) for _ in range(2)]
    return KnownPairs(space, edges), rng.uniform(0.1, 1, 20), factors


@pytest.mark.parametrize("balanced", [False, True])
def test_the_loss_of_an_unsure_edge_is_that_of_an_edge_and_a_zero_by_its_confidence(balanced):
    known, sure, (source, target) = small_edges()
    scale, bias = torch.tensor(0.7), torch.tensor(-0.4)
    for each in (source, target, scale, bias):
        each.requires_grad_()
    objective = AllPairs(known, balanced=balanced, device=torch.device("cpu"), confidences=sure)
    pairs = known.space.pair_of_rank(np.arange(known.space.num_pairs))
    c = np.zeros(len(pairs))
    c[known.space.rank_of_pair(known.pairs)] = sure
    c = torch.tensor(c, dtype=torch.float32)
    z = (source[pairs[:, 0]] * target[pairs[:, 1]]).sum(1) * scale + bias
    w = float((1 - c).sum() / c.sum()) if balanced else 1.0
    dense = (w * c * F.softplus(-z) + (1 - c) * F.softplus(z)).sum() / (w * c + (1 - c)).sum()
    inputs = (source, target, scale, bias)
    assert objective(*inputs).item() == pytest.approx(dense.item(), rel=1e-5)
    assert objective.effective_odds == pytest.approx(float(w * c.sum() / (1 - c).sum()), rel=1e-5)
    for found, wanted in zip(
        torch.autograd.grad(objective(*inputs), inputs), torch.autograd.grad(dense, inputs), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_sampled_zeros_are_the_all_pairs_loss_on_average_and_sureness_of_one_changes_nothing():
    known, sure, (source, target) = small_edges()
    one, zero = torch.tensor(1.0), torch.tensor(0.0)
    device = torch.device("cpu")
    sampled = Sampled(known, zeros_per_edge=3, device=device, rng=np.random.default_rng(0), confidences=sure)
    # On average every pair without an edge weighs the same: the loss is that of all pairs with this weight of a zero.
    pairs = known.space.pair_of_rank(np.arange(known.space.num_pairs))
    c = np.zeros(len(pairs))
    c[known.space.rank_of_pair(known.pairs)] = sure
    c, share = torch.tensor(c, dtype=torch.float32), sampled.weight_of_zero
    z = (source[pairs[:, 0]] * target[pairs[:, 1]]).sum(1)
    dense = (c * F.softplus(-z) + share * (1 - c) * F.softplus(z)).sum() / (c + share * (1 - c)).sum()
    losses = [sampled(source, target, one, zero).item() for _ in range(400)]
    assert abs(np.mean(losses) - dense.item()) < 4 * np.std(losses) / 20
    assert np.std(losses) / 20 < 0.01 * dense.item()
    for make in (
        lambda c: AllPairs(known, balanced=True, device=device, confidences=c),
        lambda c: Sampled(known, zeros_per_edge=3, device=device, rng=np.random.default_rng(0), confidences=c),
    ):
        plain, certain = make(None), make(np.ones(20))
        args = source, target, one, zero
        assert certain(*args).item() == pytest.approx(plain(*args).item(), rel=1e-6)
        assert certain.effective_odds == pytest.approx(plain.effective_odds)


def test_calibration_weighs_edges_as_repeating_them_would():
    rng = np.random.default_rng(5)
    edges, noise = rng.normal(1.5, 1, 60), rng.normal(0, 1, 4000)
    counts = rng.integers(1, 5, 60)
    plain = HeldOut.from_logits(edges, noise, 4000)
    weighted = HeldOut(plain.edge_logits, plain.non_edges, plain.edge_classes, confidences=counts / 4)
    repeated = HeldOut.from_logits(np.repeat(edges, counts), noise, 4000)
    found, wanted = (fit_platt(weighted_points([each], 0.01)) for each in (weighted, repeated))
    assert (found.slope, found.intercept) == pytest.approx((wanted.slope, wanted.intercept), rel=1e-5)
    # Copies are no new edges: the interval is that of the independent ones, which is wider.
    assert np.ptp(found.slope_interval) > 1.2 * np.ptp(wanted.slope_interval)
    same = HeldOut(plain.edge_logits, plain.non_edges, plain.edge_classes, confidences=np.full(60, 0.3))
    # By hand: edges are drawn, weighted by their confidence c, and as good as (sum c)^2 / sum c^2 of one weight.
    z = np.concatenate([plain.edge_logits, np.sort(noise.astype(np.float32))]).astype(np.float64)
    w = np.concatenate([0.01 * counts / counts.sum(), np.full(4000, 0.99 / 4000)])
    x = np.column_stack([z, np.ones(len(z))])
    p = 1 / (1 + np.exp(-x @ [found.slope, found.intercept]))
    bread = np.linalg.inv((x.T * (w * p * (1 - p))) @ x)
    scores = x[:60] * (1 - p[:60])[:, None]
    centred = scores - np.average(scores, axis=0, weights=counts)
    spread = (centred.T * counts / counts.sum()) @ centred
    of_edges = 0.01**2 * spread / (counts.sum() ** 2 / (counts**2).sum() - 1)
    error = np.sqrt((bread @ of_edges @ bread)[0, 0])
    assert np.ptp(found.slope_interval) == pytest.approx(2 * 1.96 * error, rel=1e-3)
    alike, unweighted = (fit_platt(weighted_points([each], 0.01)) for each in (same, plain))
    assert alike.slope_interval == pytest.approx(unweighted.slope_interval)
    assert HeldOut.from_arrays(weighted.to_arrays()).confidences.tolist() == (counts / 4).tolist()
    assert weighted.of(np.arange(3)).confidences.tolist() == (counts[:3] / 4).tolist()


def test_strengths_weigh_the_messages_and_their_unit_does_not_matter():
    graph = Graph.from_edges(planted(), weight="score", weight_as="strength")
    values = graph.weights.values
    found = []
    for factor in (1.0, 1000.0):
        weights = EdgeWeights(values * factor, graph.weights.keys, "strength", "w")
        split = split_edges(Graph(graph.ids, graph.edges, graph.space, weights=weights), rng=np.random.default_rng(0))
        found.append(normalized_adjacency(split.propagated_graph()).toarray())
        dense = split.message_graph().toarray()
        row, column = split.train[:, 0], split.train[:, 1]
        own = weights.of(graph.space.keys(split.train))
        dense[row, column] = dense[column, row] = own / own.mean()
        dense += np.eye(len(dense))
        root = dense.sum(1) ** -0.5
        np.testing.assert_allclose(found[-1], root[:, None] * dense * root, rtol=1e-5)
        whole = MessageGraph(split, "cpu").whole @ torch.eye(graph.num_nodes)
        np.testing.assert_allclose(whole.numpy(), found[-1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


@pytest.mark.parametrize("role", ["confidence", "strength"])
def test_a_model_that_would_pass_the_weights_over_is_refused(role):
    graph = Graph.from_edges(planted(), weight="score", weight_as=role)
    for name in (each.name for each in families() if each.is_in_comparisons):
        if name in models_using(role, has_features=False) or (role == "confidence" and family_of(name).is_baseline):
            continue
        with pytest.raises(OptionError, match=f"--weight-as {role} is not for {name}: .*Take .* or leave --weight out"):
            fit_graph(graph, FitConfig(model=name, threads=1))
    assert set(models_to_try(LADDER, graph.weights)) == set(LADDER) & set(models_using(role, has_features=False))
    if role == "confidence":
        with pytest.raises(OptionError, match="not for --objective subgraph"):
            fit_graph(graph, FitConfig(model="gae", objective="subgraph"))
        with pytest.raises(OptionError, match="not for --calibrator venn-abers"):
            fit_graph(graph, FitConfig(model="gae", calibrator="venn-abers"))


def test_a_run_keeps_its_weights_and_says_what_they_did(tmp_path):
    folds = 2
    path = tmp_path / "e.csv"
    planted().write_csv(path)
    config = FitConfig(model="gae", folds=folds, **QUICK)
    reading = ReadingOptions(weight="score", weight_as="confidence")
    run = fit_run(path, tmp_path / "run", config, reading=reading)
    loaded = load_run(tmp_path / "run")
    assert loaded.evaluation == run.evaluation
    assert loaded.split.weights.values.tolist() == run.split.weights.values.tolist()
    calibration = np.concatenate([each.calibration for each in run.split.rotations()])
    np.testing.assert_allclose(loaded.calibration[0].confidences, run.split.confidences(calibration))
    said = [each.message for each in run.evaluation.findings if each.message.startswith("Weights: column 'score'")]
    assert len(said) == 1
    assert "--weight score --weight-as confidence" in (tmp_path / "run" / "report.html").read_text()
    assert LinkPredictor.load(tmp_path / "run").weight_as == "confidence"
    again = LinkPredictor(model="gae", folds=folds, weight="score", weight_as="confidence", **QUICK).fit(path)
    assert again.run_.evaluation == run.evaluation


def test_confidences_lower_the_probabilities_of_planted_false_edges():
    frame = planted()
    probabilities = {}
    for role in ("confidence", None):
        graph = Graph.from_edges(frame, weight=None if role is None else "score", weight_as=role)
        config = FitConfig(model="signed-gae", weight_decay=0.001, folds=1, epochs=60, dim=16, threads=1)
        run = fit_graph(graph, config)
        scores = dict(zip(zip(frame["a"], frame["b"], strict=True), frame["score"], strict=True))
        scores |= {(b, a): score for (a, b), score in scores.items()}
        train = run.split.train
        is_false = np.array([scores[a, b] < 0.5 for a, b in run.ids[train]])
        probabilities[role] = run.calibrator.probability(run.scorer.logits(train[is_false])).mean()
    assert probabilities["confidence"] < 0.5 * probabilities[None]


def test_models_of_ones_own_take_confidences_where_they_can_and_no_strengths():
    graphs = {role: Graph.from_edges(planted(), weight="score", weight_as=role) for role in ("confidence", "strength")}
    seen = []

    def by_number(train):
        seen.append(train)
        return lambda pairs: -np.abs(pairs[:, 0] - pairs[:, 1])

    class Own(nn.Module):
        def encode(self, x, edge_index):
            return x.index_add(0, edge_index[1], x[edge_index[0]])

    class Decodes(Own):
        def decode(self, z, pairs):
            return (z[pairs[0]] * z[pairs[1]]).sum(dim=1)

    models = {"scorer": CustomScorer(fit=by_number), "encoder": CustomEncoder(Own(), table=4)}
    for name, model in models.items():
        with pytest.raises(OptionError, match="--weight-as strength is not for own-.* given edges without numbers"):
            LinkPredictor(model=model).fit(graphs["strength"])
        options = {"epochs": 2, "folds": 1} if name == "encoder" else {}
        run = LinkPredictor(model=model, threads=1, **options).fit(graphs["confidence"]).run_
        (said,) = (each.message for each in run.evaluation.findings if each.message.startswith("Weights"))
        assert ("was not trained here" in said) == (name == "scorer")
        assert run.calibration[0].confidences is not None
    (train,) = seen
    assert train.weights.values.tolist() == graphs["confidence"].weights.of(train.space.keys(train.edges)).tolist()
    with pytest.raises(OptionError, match="--weight-as confidence is not for own-encoder"):
        LinkPredictor(model=CustomEncoder(Decodes(), table=4)).fit(graphs["confidence"])


def test_a_part_of_the_edges_keeps_its_weights_and_times():
    frame = planted().with_row_index("t")
    graph = Graph.from_edges(frame, source="a", target="b", weight="score", weight_as="confidence", time="t")
    rows = np.array([7, 2, 30])
    part = EdgeRows(graph)[rows].to_graph()
    assert part.weights.values.tolist() == graph.weights.values[[2, 7, 30]].tolist()
    assert part.times.values.tolist() == graph.times.values[[2, 7, 30]].tolist()


def test_a_score_file_of_a_graph_with_weights_is_refused(tmp_path):
    graph = Graph.from_edges(planted(), weight="score", weight_as="confidence")
    with pytest.raises(
        OptionError, match=r"s.csv: every edge of a score file counts the same.*without weight= \(column"
    ):
        read_scores(tmp_path / "s.csv", graph)
