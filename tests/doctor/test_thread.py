"""The thread as a test: the program that started all this, written from its description, collapses as it said.

A graph variational autoencoder on a graph with 79 absent pairs for each edge: all-ones features, a sigmoid in the
decoder and another one in the loss, pos_weight 79.3, its norm and its KL term (dense, float64), and its evaluation: one
sigmoid of z.z on test edges and as many non-edges, cut at 0.5. The doctor has to name the causes. With raw features its
KL term jumps by many orders of magnitude, for nothing bounds its log deviations; linkodds learns from the same ones.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, roc_auc_score
from torch.nn.functional import binary_cross_entropy_with_logits

from linkodds.config import FitConfig
from linkodds.doctor import (
    ConfusionMatrix,
    History,
    ScoreTable,
    constant_features,
    diagnose_confusion_matrix,
    diagnose_history,
    diagnose_table,
    examine,
    read_confusion_matrix,
)
from linkodds.doctor.confusion import CELLS
from linkodds.doctor.history_rules import sigmoid_band
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.features import Features
from linkodds.graph.graph import Graph
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.pairs import PairSpace
from linkodds.report import render_report
from linkodds.report.report_data import report_data_of
from linkodds.runs.record import load_run

POS_WEIGHT = 79.3


def origin_graph(num_nodes: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """A degree-corrected planted partition with 79.3 absent pairs for each edge.

    Pair (u, v) has the weight theta_u * theta_v (log-normal), six times that inside a community; the edges are a
    weighted sample without replacement (largest log weight + Gumbel noise).

    Returns:
        Edges of shape (edges, 2), u < v, sorted as a sparse matrix lists them, between nodes in no order; num_nodes.
    """
    community = rng.integers(10, size=num_nodes)
    theta = rng.lognormal(0.0, 1.4, size=num_nodes)
    u, v = PairSpace(num_nodes).pair_of_rank(np.arange(num_nodes * (num_nodes - 1) // 2)).T
    log_weight = np.log(theta[u] * theta[v]) + np.where(community[u] == community[v], np.log(6.0), 0.0)
    count = round(len(u) / (1 + POS_WEIGHT))
    chosen = np.sort(np.argpartition(-(log_weight + rng.gumbel(size=len(u))), count)[:count])
    return np.column_stack([u[chosen], v[chosen]]), num_nodes


@dataclass(frozen=True)
class ThreadRun:
    """What the thread's program had in hand at its end."""

    history: dict[str, list[float]]  # the columns it printed, and its KL
    log_deviations: list[float]  # the largest of each epoch, by size
    features: NDArray[np.float64]  # (nodes, features), ones
    loss_inputs: NDArray[np.float64]  # (nodes, nodes) what its loss took for logits
    targets: NDArray[np.float64]  # (nodes, nodes) 0/1, with the diagonal
    loss_shares: tuple[float, float]  # weight of ones and of zeros in its loss
    test_labels: NDArray[np.int64]  # (pairs,) test edges, then as many non-edges
    test_probabilities: NDArray[np.float64]  # (pairs,)
    embedding: NDArray[np.float64]  # (nodes, dim) the means, which it evaluated


def train_thread_program(
    edges: NDArray[np.int64],
    num_nodes: int,
    *,
    given: NDArray[np.float64] | int,
    hidden: int,
    dim: int,
    epochs: int,
    seed: int,
    dtype: torch.dtype = torch.float64,
    pos_weight: float = POS_WEIGHT,
    two_sigmoids: bool = True,
    kl_divided_twice: bool = True,
    dropout_rate: float = 0.0,
) -> ThreadRun:
    """The thread's program: split, train, and what it evaluated each epoch (validation) and at the end (test).

    `given` is the features, shape (nodes, features), or how many columns of ones; without `two_sigmoids` the decoder
    gives its loss logits, as the implementation that the thread took it from; its KL is a mean over the nodes that is
    divided by their number again, unless not `kl_divided_twice`. Training ends early when the means are no numbers, for
    nothing after it is one.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    num_validation, num_test = len(edges) // 20, len(edges) // 10  # in file order: the thread did not shuffle
    validation, test, train = np.split(edges, [num_validation, num_validation + num_test])
    taken = {tuple(edge) for edge in edges}
    validation_non_edges, test_non_edges = (
        draw_non_edges(len(part), num_nodes, taken, rng) for part in (validation, test)
    )

    adjacency = torch.zeros(num_nodes, num_nodes, dtype=dtype)
    adjacency[train[:, 0], train[:, 1]] = adjacency[train[:, 1], train[:, 0]] = 1.0
    targets = adjacency + torch.eye(num_nodes, dtype=dtype)
    inverse_root = targets.sum(1).rsqrt()
    propagate = (inverse_root[:, None] * targets * inverse_root[None, :]).to_sparse()
    norm = num_nodes**2 / float((num_nodes**2 - adjacency.sum()) * 2)
    edge_weight = torch.tensor(pos_weight, dtype=dtype)
    divisor = num_nodes if kl_divided_twice else 1

    ones = np.ones((num_nodes, given)) if isinstance(given, int) else given
    features = torch.from_numpy(ones).to(dtype)
    shapes = [(features.shape[1], hidden), (hidden, dim), (hidden, dim)]
    weights = [xavier_uniform(shape, generator, dtype) for shape in shapes]
    optimizer = torch.optim.Adam(weights, lr=0.01)
    history: dict[str, list[float]] = {"epoch": [], "train_loss": [], "kld": [], "val_auc": [], "val_ap": []}
    log_deviations: list[float] = []
    dropout = partial(dropped, rate=dropout_rate, generator=generator)
    for epoch in range(1, epochs + 1):
        hidden_layer = torch.relu(propagate @ (dropout(features) @ weights[0]))
        mu = propagate @ (dropout(hidden_layer) @ weights[1])
        logvar = propagate @ (dropout(hidden_layer) @ weights[2])
        z = mu + torch.randn(mu.shape, generator=generator, dtype=dtype) * torch.exp(logvar)
        z = dropout(z)
        recovered = torch.sigmoid(z @ z.T) if two_sigmoids else z @ z.T  # the loss below applies the other one
        cost = norm * binary_cross_entropy_with_logits(recovered, targets, pos_weight=edge_weight)
        kld = -0.5 / divisor * torch.mean(torch.sum(1 + 2 * logvar - mu.pow(2) - logvar.exp().pow(2), 1))
        optimizer.zero_grad()
        (cost + kld).backward()
        optimizer.step()
        log_deviations.append(logvar.abs().max().item())
        finite = bool(torch.isfinite(mu).all())
        auc, average_precision = math.nan, math.nan
        if finite:
            labels, probabilities = evaluate(mu.detach().numpy(), validation, validation_non_edges)
            auc, average_precision = (f(labels, probabilities) for f in (roc_auc_score, average_precision_score))
        row = (epoch, (cost + kld).item(), kld.item(), auc, average_precision)
        for column, value in zip(history, row, strict=True):
            history[column].append(float(value))
        if not finite:
            break

    share = float(targets.sum()) / num_nodes**2
    return ThreadRun(
        history,
        log_deviations,
        features.numpy(),
        recovered.detach().numpy(),
        targets.numpy(),
        (norm * pos_weight * share, norm * (1 - share)),
        *evaluate(mu.detach().nan_to_num().numpy(), test, test_non_edges),
        mu.detach().numpy(),
    )


def evaluate(
    embedding: NDArray[np.float64], edges: NDArray[np.int64], non_edges: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities as the thread made them: one sigmoid of the inner product, edges and non-edges 1:1."""
    pairs = np.concatenate([edges, non_edges])
    product = np.einsum("pd,pd->p", embedding[pairs[:, 0]], embedding[pairs[:, 1]])
    return np.repeat([1, 0], len(edges)), expit(product)


def draw_non_edges(
    count: int, num_nodes: int, taken: set[tuple[int, int]], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Uniform non-edges, one try at a time; those drawn are taken from then on."""
    drawn: list[tuple[int, int]] = []
    while len(drawn) < count:
        u, v = sorted(map(int, rng.integers(num_nodes, size=2)))
        if u != v and (u, v) not in taken:
            taken.add((u, v))
            drawn.append((u, v))
    return np.array(drawn, dtype=np.int64)


def dropped(values: torch.Tensor, *, rate: float, generator: torch.Generator) -> torch.Tensor:
    """Each value is 0 with probability `rate`, else divided by 1 - rate; a rate of 0 draws nothing."""
    if rate == 0:
        return values
    return values * (torch.rand(values.shape, generator=generator, dtype=values.dtype) >= rate) / (1 - rate)


def xavier_uniform(shape: tuple[int, int], generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    """Glorot's initial weights, as the implementation that the thread used has them."""
    bound = (6.0 / sum(shape)) ** 0.5
    uniform = torch.rand(shape, generator=generator, dtype=dtype)
    return (2 * bound * uniform - bound).requires_grad_()


@pytest.fixture(scope="module")
def thread() -> ThreadRun:
    """420 nodes give 1,096 edges and so 218 test pairs, enough for the doctor's rules on scores."""
    edges, num_nodes = origin_graph(420, np.random.default_rng(0))
    return train_thread_program(edges, num_nodes, given=1, hidden=64, dim=32, epochs=200, seed=42)


def test_origin_graph_has_the_imbalance_of_the_thread() -> None:
    edges, num_nodes = origin_graph(420, np.random.default_rng(0))
    num_pairs = num_nodes * (num_nodes - 1) // 2
    assert (num_pairs - len(edges)) / len(edges) == pytest.approx(POS_WEIGHT, rel=0.001)
    assert (edges[:, 0] < edges[:, 1]).all()
    assert len(np.unique(edges, axis=0)) == len(edges)


def test_the_program_predicts_an_edge_for_every_pair(thread: ThreadRun) -> None:
    predicted = thread.test_probabilities > 0.5
    tn, fp, fn, tp = confusion_matrix(thread.test_labels, predicted, normalize="true").ravel()
    assert (tn, fp, fn, tp) == (0.0, 1.0, 0.0, 1.0)
    assert (tp + tn) / 2 == 0.5
    assert f1_score(thread.test_labels, predicted, average="weighted") == pytest.approx(1 / 3)
    # Meanwhile the ranking looks fine (0.88 in the thread): ones as features leave the product of two degrees.
    assert roc_auc_score(thread.test_labels, thread.test_probabilities) > 0.8


def test_doctor_names_the_double_sigmoid_from_the_inputs_of_the_loss(thread: ThreadRun) -> None:
    upper = np.triu_indices(len(thread.targets), 1)
    is_edge, declared_logits = thread.targets[upper] == 1, thread.loss_inputs[upper]
    (found,) = [f for f in diagnose_table(ScoreTable(is_edge, declared_logits, "logit")) if f.severity == "error"]
    assert found.id == "D01"
    assert "second sigmoid" in found.message
    twice = 1 / (1 + np.exp(-declared_logits))  # the probabilities that this loss believes in
    assert diagnose_table(ScoreTable(is_edge, twice, "probability"))[0].id == "D01"


def test_doctor_names_the_double_sigmoid_from_the_history(thread: ThreadRun) -> None:
    """With its 79.3 counted on a graph with self-loops and held-out edges, the thread's loss is not quite balanced."""
    assert thread.loss_shares == pytest.approx((0.52, 0.50), abs=0.01)
    assert sigmoid_band(thread.loss_shares)[0] == pytest.approx(0.508, abs=0.001)
    reconstruction = np.subtract(thread.history["train_loss"], thread.history["kld"])
    # No probability is below 0.5 before the second sigmoid: 0.52 * softplus(-1) + 0.50 * softplus(0.5) is the least.
    assert reconstruction.min() > 0.65
    for history in (
        History.from_columns(thread.history),  # taken for balanced
        History.from_columns(thread.history, loss_shares=thread.loss_shares),
    ):
        (found,) = diagnose_history(history)
        assert (found.id, found.severity) == ("D01", "error")


def test_doctor_names_the_positive_only_scores_from_its_evaluation(thread: ThreadRun) -> None:
    table = ScoreTable(thread.test_labels == 1, thread.test_probabilities, "probability")
    assert [finding.id for finding in diagnose_table(table)] == ["D02"]
    at_base_rate = ScoreTable(table.labels, table.values, "probability", prevalence=1 / (1 + POS_WEIGHT))
    assert [finding.id for finding in diagnose_table(at_base_rate)] == ["D02", "D08"]


@pytest.mark.parametrize(
    ("values", "rule"), [("logit", "D01"), ("probability", "D02")], ids=["what its loss took", "what it evaluated"]
)
def test_the_report_names_what_is_wrong_with_it_as_a_scorer(thread: ThreadRun, values: str, rule: str) -> None:
    """Its sigmoid of z.z: for its loss these were logits (two sigmoids); for its 0.5 they were probabilities (no bias)."""
    edges, num_nodes = origin_graph(420, np.random.default_rng(0))
    z = thread.embedding

    def program(pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        return expit(np.einsum("pd,pd->p", z[pairs[:, 0]], z[pairs[:, 1]]))

    own = CustomScorer(program, values=values)
    ids = np.array([str(i) for i in range(num_nodes)], dtype=object)
    config = FitConfig(model="own-scorer", decision="half", threads=1)
    run = fit_graph(Graph(ids, edges, PairSpace(num_nodes)), config, own=own)
    found = {each.id: each for each in run.evaluation.findings}
    assert found[rule].severity == "error"
    assert found[rule].message.startswith("The values that program gave, before they were calibrated here: ")
    assert rule in render_report(run, report_data_of(run))
    assert run.evaluation.metrics["roc_auc"].value > 0.7  # its ranking was never the trouble


def test_doctor_reads_its_confusion_matrix(thread: ThreadRun, tmp_path: Path) -> None:
    """As it was posted, and as its program computed it: shares of rows, a weighted F1, a good ROC AUC beside them."""
    posted = tmp_path / "confusion.txt"
    posted.write_text("TN = 0.0\nFP = 1.0\nFN = 0.0\nTP = 1.0\n")
    found = diagnose_confusion_matrix(read_confusion_matrix(posted))
    assert [finding.id for finding in found] == ["D07", "D03"]  # no counts, and all of them called edges
    assert "(tp + tn) / 2 = 0.500 is the balanced accuracy" in found[0].message
    predicted = thread.test_probabilities > 0.5
    cells = dict(zip(CELLS, confusion_matrix(thread.test_labels, predicted).ravel().tolist(), strict=True))
    figures = {
        "roc_auc": roc_auc_score(thread.test_labels, thread.test_probabilities),
        "f1_weighted": f1_score(thread.test_labels, predicted, average="weighted"),
    }
    counted = ConfusionMatrix(**cells, figures=figures, prevalence=1 / (1 + POS_WEIGHT))
    assert [finding.id for finding in diagnose_confusion_matrix(counted)] == ["D08", "D09", "D03"]


def test_doctor_names_the_spike_of_its_history() -> None:
    """Late in its training its KL jumped and came back, and with it the accuracy fell from 0.80 to 0.71."""
    rng, epochs = np.random.default_rng(0), np.arange(1, 601)
    kl = 0.4 * (1 + 0.05 * rng.normal(size=600))
    kl[449:460] += np.array([0.3, 1.5, 4.0, 3.0, 2.0, 1.5, 1.0, 0.7, 0.5, 0.3, 0.1])
    reconstruction = 0.45 + 0.15 * np.exp(-epochs / 60)
    accuracy = np.where((epochs > 450) & (epochs < 460), 0.71, 0.80)
    columns = {"epoch": epochs, "train_loss": reconstruction + kl, "kld": kl, "val_balanced_acc": accuracy}
    found = diagnose_history(History.from_columns(columns))
    assert [finding.id for finding in found] == ["D17"]
    assert "at epoch 451" in found[0].message
    columns["kld"] = 0.4 * (1 + 0.05 * rng.normal(size=600))
    assert diagnose_history(History.from_columns(columns | {"train_loss": reconstruction + columns["kld"]})) == []


def test_all_that_it_had_together_has_the_cause_first(thread: ThreadRun, tmp_path: Path) -> None:
    """Scores, history, matrix, edges and ones: two sigmoids come first, and what they explain is not said."""
    upper = np.triu_indices(len(thread.targets), 1)
    is_edge, inputs = (thread.targets[upper] == 1).astype(int), thread.loss_inputs[upper]
    pl.DataFrame({"label": is_edge, "logit": inputs}).write_csv(tmp_path / "loss_inputs.csv")
    pl.DataFrame(thread.history).write_csv(tmp_path / "history.csv")
    (tmp_path / "confusion.txt").write_text("TN = 0.0\nFP = 1.0\nFN = 0.0\nTP = 1.0\n")
    edges, num_nodes = origin_graph(420, np.random.default_rng(0))
    pl.DataFrame(edges, schema=["source", "target"]).write_csv(tmp_path / "edges.csv")
    (tmp_path / "nodes.txt").write_text("".join(f"{i}\n" for i in range(num_nodes)))
    np.save(tmp_path / "ones.npy", thread.features)
    found = examine(
        [tmp_path / name for name in ("edges.csv", "confusion.txt", "history.csv", "loss_inputs.csv")],
        load_run=load_run,
        features=tmp_path / "ones.npy",
        nodes=tmp_path / "nodes.txt",
    )
    assert [finding.id for finding in found if finding.severity != "info"] == ["D01", "D01", "D07", "D14"]


def test_doctor_names_the_constant_features(thread: ThreadRun) -> None:
    found = constant_features(thread.features)
    assert found is not None
    assert (found.id, found.severity) == ("D14", "error")


@pytest.mark.parametrize("ones_as_features", [False, True])
def test_linkodds_does_not_collapse_on_the_same_graph(ones_as_features: bool) -> None:
    """Edges and non-edges fall on both sides of its thresholds, at the base rate, and its probabilities add up.

    The observed number of about 110 test edges lies within 4 standard deviations of the sum of the probabilities:
    both the test and the calibration edges (half as many) are random, so one deviation is sqrt(1 / 110 + 1 / 55) = 0.17.
    """
    edges, num_nodes = origin_graph(420, np.random.default_rng(0))
    ids = np.array([str(i) for i in range(num_nodes)], dtype=object)
    features = Features(np.ones((num_nodes, 8), dtype=np.float32), "none") if ones_as_features else None
    graph = Graph(ids, edges, PairSpace(num_nodes), features)
    run = fit_graph(graph, FitConfig(model="vgae", epochs=100, threads=1))
    decision = next(each for each in run.evaluation.decisions if each.decision.rule == "balanced_accuracy")
    tn, fp, fn, tp = (getattr(decision.confusion, key) for key in ("tn", "fp", "fn", "tp"))
    assert tn / (tn + fp) > 0.5
    assert tp / (tp + fn) > 0.5
    assert decision.measured["balanced_accuracy"].value > 0.65
    probabilities = run.calibrator.probability(run.scorer.logits(run.split.recorded().absent_pairs(np.arange(10_000))))
    assert np.median(probabilities) < 0.02
    assert run.evaluation.metrics["observed_over_expected"].value == pytest.approx(1, abs=4 * 0.17)
    if ones_as_features:
        assert any(finding.id == "D14" for finding in run.evaluation.findings)


def communities_with_raw_counts(graph: Graph) -> tuple[Graph, NDArray[np.float64]]:
    """40 counts a node, as a sequencer or a parser gives them: a profile for each group, sizes over two decades.

    The largest are near a thousand. They say a lot about the edges, so what fails on them fails at their scale.
    """
    rng = np.random.default_rng(1)
    profiles = rng.dirichlet(np.ones(40), size=6)
    counts = rng.poisson(rng.lognormal(6.0, 1.0, (graph.num_nodes, 1)) * profiles[np.repeat(np.arange(6), 25)])
    features = Features(counts.astype(np.float32), "none")
    return Graph(graph.ids, graph.edges, graph.space, features), counts.astype(np.float64)


@pytest.mark.parametrize("two_sigmoids", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_raw_features_blow_the_kl_term_up(communities: Graph, dtype: torch.dtype, two_sigmoids: bool) -> None:
    """Its log deviations start in the tens and go to the hundreds; the KL term takes exp of twice that.

    In float64 that is 10^20 and more against a usual value of some hundred; in float32 exp overflows beyond 88 and the
    next epoch has no numbers.
    """
    graph, counts = communities_with_raw_counts(communities)
    num_pairs = graph.space.num_pairs
    run = train_thread_program(
        graph.edges,
        graph.num_nodes,
        given=counts,
        hidden=256,
        dim=128,
        epochs=60,
        seed=0,
        dtype=dtype,
        pos_weight=(num_pairs - graph.num_edges) / graph.num_edges,
        two_sigmoids=two_sigmoids,
    )
    kl = np.array(run.history["kld"])
    rules = {finding.id for finding in diagnose_history(History.from_columns(run.history))}
    if dtype == torch.float32:
        assert not np.isfinite(kl).all()
        assert "D13" in rules
    else:
        assert kl.max() > 1e6 * np.median(kl)
        assert max(run.log_deviations) > 100
    columns = {"epoch": run.history["epoch"], "max_logstd": run.log_deviations}
    assert [finding.id for finding in diagnose_history(History.from_columns(columns))] == ["D13"]


def test_linkodds_learns_from_the_same_raw_features(communities: Graph) -> None:
    """Same graph, features, sizes and learning rate: to the end, all of it finite, and better than chance to the end.

    Chance is the share of edges among the pairs, about 1 in 340. Ranked at random, 31 edges have three times that or
    more in one of some hundred draws; half of the last six validations are above it only when the model has learned,
    and has not lost it again.
    """
    graph, _ = communities_with_raw_counts(communities)
    config = FitConfig(
        model="vgae", hidden=256, dim=128, positive_weight="balanced", epochs=60, patience=60, folds=1, threads=1
    )
    run = fit_graph(graph, config)
    assert len(run.history["epoch"]) == 60
    for column in ("loss", "reconstruction", "kl"):
        assert all(math.isfinite(value) for value in run.history[column])
    assert not any(run.history["event"])
    validated = [value for value in run.history["validation_average_precision"] if value is not None]
    chance = len(run.split.validation) / (run.split.space.num_pairs - len(run.split.train))
    assert np.median(validated[-6:]) > 3 * chance
    assert np.isfinite(run.scorer.logits(run.split.test)).all()
