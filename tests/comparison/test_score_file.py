"""A file of scores: what it can show is shown, and is what the same values give otherwise; what it cannot is refused."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from linkodds.cli import app
from linkodds.comparison.score_file import evaluate_file, evaluate_list, evaluate_sample, read_scores, what_is_scored
from linkodds.config import FitConfig
from linkodds.errors import DataError, MalformedFile, OptionError, UnknownNode
from linkodds.graph.graph import Graph
from linkodds.metrics.metrics import average_precision
from linkodds.runs.record import load_run
from linkodds.testing import planted_groups

CONFIG = FitConfig(threads=1)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return planted_groups()


@pytest.fixture(scope="module")
def held_out(graph):
    """Two hundred edges that the scorer did not know."""
    return graph.edges[np.random.default_rng(0).permutation(graph.num_edges)[:200]]


def score(pairs):
    """Right about groups, blurred; a float32 holds it."""
    noise = np.random.default_rng(1).normal(size=150)
    return (2.0 * (pairs[:, 0] // 25 == pairs[:, 1] // 25) + noise[pairs[:, 0]] + noise[pairs[:, 1]]).astype(np.float32)


def candidates(graph, held_out):
    every = graph.space.pair_of_rank(np.arange(graph.space.num_pairs))
    return every[~graph.space.contains(graph.edges, every) | graph.space.contains(held_out, every)]


def write(path, graph, pairs, values=None, column="score"):
    values = score(pairs) if values is None else values
    ends = {name: graph.ids[pairs[:, k]].tolist() for k, name in enumerate(("source", "target"))}
    pl.DataFrame({**ends, column: values}).write_csv(path)
    return path


def write_edges(path, graph, pairs):
    pl.DataFrame({name: graph.ids[pairs[:, k]].tolist() for k, name in enumerate("uv")}).write_csv(path)
    return path


def test_all_candidates_give_a_run_and_a_sample_of_them_agrees(graph, held_out, tmp_path):
    pairs = candidates(graph, held_out)
    file = read_scores(write(tmp_path / "all.csv", graph, pairs[::-1][:, ::-1]), graph)  # any order, either direction
    assert what_is_scored(file, None) == "all"
    assert (len(file.known), file.num_candidates) == (graph.num_edges - 200, len(pairs))
    run = evaluate_file(file, CONFIG)
    assert run.test.num_edges == 200 - 1 - 66
    assert not any("(u, v) and (v, u)" in each.message for each in run.evaluation.findings)  # a pair has one row
    non_edges = pairs[~graph.space.contains(graph.edges, pairs)]
    above = score(run.split.test)[:, None] - score(non_edges)[None, :]
    oracle = ((above > 0) + 0.5 * (above == 0)).mean()
    assert run.evaluation.metrics["roc_auc"].value == pytest.approx(oracle, abs=1e-9)

    drawn = non_edges[np.random.default_rng(5).permutation(len(non_edges))[:4000]]
    sample = read_scores(write(tmp_path / "some.csv", graph, np.concatenate([held_out, drawn])), graph)
    with pytest.raises(OptionError, match="4,200 of the 10,[0-9]+ candidates, .* --scored uniform .* --scored top"):
        what_is_scored(sample, None)
    assert what_is_scored(sample, "uniform") == "uniform"
    evaluation = evaluate_sample(sample, CONFIG)
    assert evaluation.candidates["design"] == "sampled"
    assert evaluation.candidates["num_pairs"] == run.evaluation.candidates["num_pairs"]
    measured = evaluation.metrics["roc_auc"]
    # 4,000 of 10,509 non-edges: an AUC from them has a standard error below sqrt(1 / (12 * 4000)) = 0.0046.
    assert measured.value == pytest.approx(oracle, abs=4 * 0.0046)
    assert evaluation.metrics["mrr"].value is None
    assert any("drawn uniformly" in each.message for each in evaluation.findings)


def test_a_list_of_the_best_gives_precision_and_recall_by_hand(graph, held_out, tmp_path):
    pairs = candidates(graph, held_out)
    best = pairs[np.argsort(-score(pairs), kind="stable")[:300]]
    hidden = write_edges(tmp_path / "hidden.csv", graph, held_out)
    file = read_scores(write(tmp_path / "best.csv", graph, best), graph, hidden)
    assert what_is_scored(file, "top") == "top"
    listed = evaluate_list(file)
    is_true = graph.space.contains(held_out, best)
    for row in listed["at"]:
        found = is_true[: row["k"]].sum()
        assert row["num_true"] == pytest.approx(found, abs=1)  # ties at the end count in proportion
        assert row["recall"] == pytest.approx(row["num_true"] / 200)
        assert row["lift"] == pytest.approx(row["num_true"] / row["k"] / (200 / len(pairs)))
    assert "roc_auc" in listed["not_said"]
    with pytest.raises(OptionError, match="held-out edges have no score"):
        what_is_scored(file, "uniform")
    with pytest.raises(OptionError, match="--scored all: best.csv scores 300 of"):
        what_is_scored(file, "all")


def test_non_edges_that_are_no_uniform_sample_are_refused(graph, held_out, tmp_path):
    """Neighbours of the three busiest nodes: an easy or a hard set, and no sample of all."""
    pairs = candidates(graph, held_out)
    non_edges = pairs[~graph.space.contains(graph.edges, pairs)]
    busiest = np.argsort(-graph.degrees())[:3]
    near = non_edges[np.isin(non_edges, busiest).any(axis=1)]
    file = read_scores(write(tmp_path / "near.csv", graph, np.concatenate([held_out, near])), graph)
    with pytest.raises(OptionError, match="no uniform sample: their mean log degree product"):
        what_is_scored(file, "uniform")


def test_values_of_known_edges_change_nothing(graph, held_out, tmp_path):
    every = graph.space.pair_of_rank(np.arange(graph.space.num_pairs))
    path = write(tmp_path / "every.csv", graph, every)
    with pytest.raises(DataError, match="scores all 6[0-9]+ edges, .* --held-out"):
        read_scores(path, graph)
    hidden = write_edges(tmp_path / "hidden.csv", graph, held_out)
    file, other = read_scores(path, graph, hidden), write(tmp_path / "all.csv", graph, candidates(graph, held_out))
    without = read_scores(other, graph)
    np.testing.assert_array_equal(file.pairs, without.pairs)
    assert average_precision(evaluate_file(file, CONFIG).test) == average_precision(evaluate_file(without, CONFIG).test)


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("source,target,score", "no row below it. It needs rows"),
        ("source,target\nnode0,node1", "needs source, target and one of probability, logit, score"),
        ("source,target,score\nnode0,node1,nan", "row 1: score"),
        ("source,target,score\nnode0,node0,1", "row 1: score"),
        ("source,target,probability\nnode0,node1,0.5\nnode1,node2,1.5", "row 2: probability '1.5'"),
        ("source,target,score\nnode0,node1,1\nnode1,node0,2", "row 2: .'node1', 'node0'. has 2 here and 1"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_row(graph, tmp_path, lines, match):
    path = tmp_path / "scores.csv"
    path.write_text(lines + "\n")
    with pytest.raises(MalformedFile, match=match):
        read_scores(path, graph)


def test_an_unknown_id_is_named_with_its_row(graph, held_out, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("source,target,score\nnode0,node1,1\nnode1,nobody,1\n")
    with pytest.raises(UnknownNode, match=r"scores.csv, row 2: 'nobody' is no node of --edges, which have 150"):
        read_scores(path, graph)
    good = write(tmp_path / "good.csv", graph, candidates(graph, held_out))
    with pytest.raises(UnknownNode, match=r"--held-out .*scores.csv, row 2: 'nobody'"):
        read_scores(good, graph, path)


def _interrupt(*_):
    raise KeyboardInterrupt


def test_the_command_line(graph, held_out, tmp_path, monkeypatch):
    edges = write_edges(tmp_path / "edges.csv", graph, graph.edges)
    hidden = write_edges(tmp_path / "hidden.csv", graph, held_out)
    pairs = candidates(graph, held_out)
    all_of_them = write(tmp_path / "all.csv", graph, pairs)
    best = write(tmp_path / "best.csv", graph, pairs[np.argsort(-score(pairs))[:100]])

    def call(*words):
        return CliRunner().invoke(app, ["evaluate", *map(str, words)])

    done = call("--scores", all_of_them, "--edges", edges, "--out", tmp_path / "run", "--json")
    assert done.exit_code == 0, done.output
    evaluation = json.loads(done.stdout)
    assert evaluation["model"]["name"] == "all.csv"
    assert load_run(tmp_path / "run").evaluation.to_json() == evaluation
    assert "all.csv" in (tmp_path / "run" / "report.html").read_text()
    again = ("--scores", all_of_them, "--edges", edges, "--out", tmp_path / "run")
    assert call(*again).exit_code == 1
    with monkeypatch.context() as patched:
        patched.setattr("linkodds.fitting.pipeline.write_report", _interrupt)
        stopped = call(*again, "--force")
    assert stopped.exit_code == 130
    assert "and may be deleted" in stopped.stderr  # evaluate has nothing that goes on
    assert load_run(tmp_path / "run").evaluation.to_json() == evaluation
    assert call(*again, "--force").exit_code == 0
    done = call("--scores", best, "--edges", edges, "--held-out", hidden, "--scored", "top")
    assert done.exit_code == 0, done.output
    assert "first 100: precision" in done.stdout
    assert "Assumed, and not checked" in done.stderr
    for words, says in (
        (("--scores", best), "--scores FILE goes with --edges"),
        (("--scores", best, "--edges", edges), "--scored uniform"),
        (("--scores", best, "--edges", edges, "--scored", "top"), "needs --held-out"),
        (("--edges", edges), "--edges belong(s) to --scores"),
        ((), "takes a RUN"),
    ):
        refused = call(*words)
        assert refused.exit_code == 2
        assert says in refused.stderr
