"""The whole job on small graphs: files in, a run out, and what must not happen on the way."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F

from linkodds.config import FitConfig
from linkodds.errors import DegenerateGraph, InvertedRanking, OptionError, RunExists
from linkodds.fitting.pipeline import fit_graph, fit_run
from linkodds.fitting.unseen_nodes import cause_of_inversion
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split, split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import roc_auc
from linkodds.metrics.non_edges import NonEdges
from linkodds.models.autoencoders.objective import AllPairs
from linkodds.models.families import baseline_families, family_of, model_names
from linkodds.models.training.training import train
from linkodds.models.training.training_loop import TrainingTask
from linkodds.pairs import PairSpace
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.record import load_run
from places import CHECK_RUN

BASELINES = tuple(each.name for each in baseline_families())

QUICK = {"hidden": 16, "dim": 8, "epochs": 20, "threads": 1}


def write_edges(graph: Graph, path: Path) -> Path:
    ids = graph.ids[graph.edges]
    pl.DataFrame({"source": ids[:, 0].tolist(), "target": ids[:, 1].tolist()}).write_csv(path)
    return path


@pytest.mark.parametrize(
    ("graph", "model"),
    [
        (graph, model)
        for graph in ("communities", "directed_ring", "two_sides")
        for model in (
            name for name in model_names() if name not in ("stack", "structural-gae", "own-encoder", "own-scorer")
        )
        if graph == "communities" or model not in ("degree", "feature-cosine")
        # Degrees that are all alike rank backwards: the next test. Features are planted in the communities.
        if (graph, model) != ("two_sides", "ncn")  # refused: test_pair_models.py
    ],
)
def test_every_model_on_every_kind_of_graph_leaves_a_run_that_holds(request, tmp_path, graph, model):
    graph = request.getfixturevalue(graph)
    edges = write_edges(graph, tmp_path / "edges.csv")
    reading = ReadingOptions(directed=graph.space.directed, bipartite=graph.space.bipartite or None)
    folds = 1 if model == "degree" else None  # on all edges its slope is told to be below 0
    if model == "feature-cosine":
        groups = np.eye(6)[np.arange(graph.num_nodes) // 25] + np.random.default_rng(0).normal(
            size=(graph.num_nodes, 6)
        )
        pl.DataFrame({"id": graph.ids.tolist()} | dict(zip("abcdef", groups.T, strict=True))).write_csv(
            tmp_path / "features.csv"
        )
        reading = ReadingOptions(features=tmp_path / "features.csv")
    run = fit_run(edges, tmp_path / "run", FitConfig(model=model, folds=folds, **QUICK), reading=reading)
    assert not (tmp_path / "run.partial").exists()
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    loaded = load_run(tmp_path / "run")
    assert evaluation == run.evaluation.to_json() == loaded.evaluation.to_json()
    assert run.evaluation == loaded.evaluation
    np.testing.assert_array_equal(loaded.scorer.logits(run.split.test), run.scorer.logits(run.split.test))
    assert evaluation["graph"]["directed"] == graph.space.directed
    assert evaluation["graph"]["bipartite"] == graph.space.bipartite
    assert set(evaluation["baselines"]) == {*BASELINES} - ({"feature-cosine"} - {model})
    if CHECK_RUN.exists():
        checked = subprocess.run(
            [sys.executable, CHECK_RUN, tmp_path / "run"], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout


def test_a_model_that_ranks_backwards_is_refused_with_its_slope(directed_ring, tmp_path):
    """On a ring all degrees are alike, but those of held-out edges are lower by the edge that was taken out."""
    edges = write_edges(directed_ring, tmp_path / "edges.csv")
    with pytest.raises(InvertedRanking, match="non-edges rank above edges: slope -"):
        fit_run(edges, tmp_path / "run", FitConfig(model="degree", **QUICK), reading=ReadingOptions(directed=True))
    assert not list(tmp_path.glob("run*"))


@pytest.mark.parametrize("directed", [True, False])
def test_later_edges_of_new_nodes_alone_are_refused_with_that_cause(directed):
    """Each paper cites three earlier ones, drawn evenly: every later edge starts at a paper that no train edge knows."""
    rng = np.random.default_rng(0)
    rows = [(f"p{t}", f"p{v}", t) for t in range(20, 420) for v in rng.choice(t, size=3, replace=False)]
    frame = pl.DataFrame(rows, schema=["a", "b", "year"], orient="row")
    graph = Graph.from_edges(frame, time="year", directed=directed)
    with pytest.raises(
        DegenerateGraph, match="240 of 240 later edges touch a node that has no edge as early as the train"
    ):
        fit_graph(graph, FitConfig(model="degree", threads=1))


def test_the_cause_of_a_ranking_upside_down_is_looked_for_in_both_roles_of_a_node():
    """Nodes 3 and 4 end train edges and start none: with a direction, nothing is known of what they start."""
    parts = [np.array(part) for part in ([[0, 3], [1, 4], [2, 0]], [[0, 1]], [[3, 1], [4, 0], [2, 3]], [[1, 2]])]
    directed = cause_of_inversion(Split(*parts, PairSpace(5, directed=True)))
    assert directed.startswith("2 of 3 calibration edges start at a node that starts no train edge")
    assert cause_of_inversion(Split(*map(np.sort, parts), PairSpace(5))) is None  # as pairs, all their nodes are known
    parts[2] = parts[2][1:]
    assert cause_of_inversion(Split(*parts, PairSpace(5, directed=True))) is None  # one of two


def test_same_seed_same_bytes_another_seed_others(communities, tmp_path):
    texts = []
    edges = write_edges(communities, tmp_path / "edges.csv")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit_run(edges, tmp_path / name, FitConfig(model="vgae", seed=seed, **QUICK))
        texts.append((tmp_path / name / "evaluation.json").read_bytes())
    assert texts[0] == texts[1] != texts[2]


def test_auto_takes_the_best_by_validation_and_names_what_lost(communities):
    run = fit_graph(communities, FitConfig(**QUICK))
    finding = next(each for each in run.evaluation.findings if each.id == "model")
    assert run.model in finding.message.split(":")[0]
    for name in {"gae", "vgae", "signed-gae", *BASELINES} - {"feature-cosine", run.model}:
        assert name in finding.message


def test_few_calibration_edges_are_pooled_by_cross_fitting_and_it_says_so(two_sides):
    said = []
    run = fit_graph(two_sides, FitConfig(model="gae", **QUICK), progress=said.append)
    count = len(run.split.calibration) + len(run.split.train)
    calibrating = sum(len(each.calibration) for each in run.split.rotations())  # but for the only edges of nodes
    assert count - 5 < calibrating <= count
    assert two_sides.num_edges < 1000
    assert run.split.folds == run.config["folds"] == run.calibration[0].num_models == 5
    assert run.calibrator.num_edges == run.calibration[0].num_edges == calibrating
    assert any(f"{count} train and calibration edges in 5 folds" in line for line in said)
    assert any(each.id == "folds" for each in run.evaluation.findings)
    trained = []
    with pytest.raises(OptionError, match=f"--folds takes 1 to {count} for this split, not 4000"):
        fit_graph(two_sides, FitConfig(model="gae", folds=4000, **QUICK), on_epoch=trained.append)
    assert not trained
    one = fit_graph(two_sides, FitConfig(model="gae", folds=1, **QUICK))
    assert one.calibrator.num_edges == len(one.split.calibration) < 50


def test_a_random_graph_has_nothing_to_learn_and_leaving_held_out_edges_out_of_the_zeros_would_show():
    """Erdos-Renyi: every pair is alike, so AUC is 0.5 within 4 standard errors of about sqrt(1 / (12 P)).

    The control makes the leak: held-out edges are no zeros in the loss, so the model learns which pairs they are.
    """
    rng = np.random.default_rng(0)
    space = PairSpace(100)
    edges = space.pair_of_rank(np.flatnonzero(rng.random(space.num_pairs) < 0.1))
    graph = Graph(np.array([str(i) for i in range(100)], dtype=object), edges, space)
    split = split_edges(graph, fractions=(0.6, 0.05, 0.05, 0.3), rng=rng)
    wide = {"hidden": 256, "dim": 128}  # room to remember single pairs
    given = FitConfig(epochs=500, patience=500, learning_rate=0.02, dropout=0.0, objective="all-pairs", **wide)
    config = family_of("gae").options(given)

    def test_auc() -> float:
        model = train(TrainingTask("gae", split, None, config, np.random.SeedSequence(1), torch.device("cpu")))
        return roc_auc(HeldOut.from_scorer(model.scorer, split.test, NonEdges(split.recorded())))

    error = np.sqrt(1 / (12 * len(split.test)))
    assert abs(test_auc() - 0.5) < 4 * error

    held_out = torch.from_numpy(np.concatenate([split.validation, split.calibration, split.test]))
    honest = AllPairs.__call__

    def leaking(self, source, target, scale, bias):
        logits = (source[held_out[:, 0]] * target[held_out[:, 1]]).sum(1) * scale + bias
        return honest(self, source, target, scale, bias) - F.softplus(logits).sum() / self.total_weight

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AllPairs, "__call__", leaking)
        assert test_auc() > 0.5 + 4 * error


def test_interrupted_fit_leaves_a_partial_directory_with_its_history(communities, tmp_path):
    def interrupt(epoch):
        if epoch.epoch == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_run(
            write_edges(communities, tmp_path / "edges.csv"),
            tmp_path / "run",
            FitConfig(model="gae", **QUICK),
            on_epoch=interrupt,
        )
    assert not (tmp_path / "run").exists()
    left = {path.name for path in (tmp_path / "run.partial").iterdir()}
    assert left == {"config.yaml", "nodes.parquet", "split.npz", "history.csv", "checkpoints"}
    assert len(pl.read_csv(tmp_path / "run.partial" / "history.csv")) == 12


def test_what_cannot_work_leaves_nothing(communities, tmp_path):
    edges = write_edges(communities, tmp_path / "edges.csv")
    with pytest.raises(OptionError, match="precision>=2"):
        fit_run(edges, tmp_path / "run", FitConfig(decision="precision>=2", **QUICK))
    (tmp_path / "tiny.csv").write_text("a,b\nb,c\nc,d\n")
    with pytest.raises(DegenerateGraph, match="3 edge"):
        fit_run(tmp_path / "tiny.csv", tmp_path / "run", FitConfig(**QUICK))
    assert {path.name for path in tmp_path.iterdir()} == {"edges.csv", "tiny.csv"}


def test_an_existing_run_needs_force_and_stays_until_the_new_one_is_complete(communities, tmp_path):
    edges, out = write_edges(communities, tmp_path / "edges.csv"), tmp_path / "run"
    fit_run(edges, out, FitConfig(model="l3", **QUICK))
    before = (out / "evaluation.json").read_bytes()
    with pytest.raises(RunExists, match="--force"):
        fit_run(edges, out, FitConfig(model="adamic-adar", **QUICK))

    def fail(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fit_run(edges, out, FitConfig(model="gae", **QUICK), force=True, on_epoch=fail)
    assert (out / "evaluation.json").read_bytes() == before
    fit_run(edges, out, FitConfig(model="adamic-adar", **QUICK), force=True)
    assert load_run(out).model == "adamic-adar"
    assert not (tmp_path / "run.partial").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunExists, match="no run directory"):
        fit_run(edges, tmp_path / "mine", FitConfig(**QUICK), force=True)


def test_a_sampled_design_says_so_and_agrees_with_enumeration(communities):
    """Half of the non-edges, weight 2: AUC agrees within 5 standard errors of the sample."""
    exact = fit_graph(communities, FitConfig(model="l3", **QUICK))
    pairs = communities.space.num_pairs
    sampled = fit_graph(communities, FitConfig(model="l3", design="sampled", max_pairs=pairs - 1, **QUICK))
    candidates = sampled.evaluation.candidates
    assert candidates["design"] == "sampled"
    assert candidates["rate"] == pytest.approx((pairs - 1) // 20 / communities.num_non_edges)
    assert candidates["num_pairs"] == exact.evaluation.candidates["num_pairs"]
    error = np.sqrt(1 / (12 * ((pairs - 1) // 20)))
    assert abs(roc_auc(sampled.test) - roc_auc(exact.test)) < 5 * error
