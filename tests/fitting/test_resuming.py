"""Fits that were cut short and went on: byte for byte what they would have been, or a clear refusal."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from typer.testing import CliRunner

from linkodds.cli import app
from linkodds.cli.progress import stopping_between_epochs
from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, DataError, InvertedRanking, OptionError, RunExists
from linkodds.fitting.pipeline import fit_run
from linkodds.graph.graph import Graph
from linkodds.models.families import families
from linkodds.models.training.history import Epoch
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.record import load_run

QUICK = {"hidden": 16, "dim": 8, "threads": 1}
SAME_BYTES = (
    *("evaluation.json", "model.safetensors", "embeddings.parquet", "calibration.json", "decision.json"),
    *("scores.npz", "predictions.parquet", "config.yaml", "nodes.parquet", "split.npz"),
)


def write_graph(graph: Graph, folder: Path, num_edges: int | None = None) -> Path:
    ids = graph.ids[graph.edges[:num_edges]]
    pl.DataFrame({"source": ids[:, 0].tolist(), "target": ids[:, 1].tolist()}).write_csv(folder / "edges.csv")
    (folder / "nodes.txt").write_text("\n".join(graph.ids) + "\n")
    values = np.random.default_rng(0).normal(size=(graph.num_nodes, 5))
    np.save(folder / "features.npy", values)
    return folder / "edges.csv"


def interrupting_at(count: int):
    """An `on_epoch` that breaks a fit off after so many epochs of all trainings together."""
    epochs = 0

    def on_epoch(_: Epoch) -> None:
        nonlocal epochs
        epochs += 1
        if epochs == count:
            raise KeyboardInterrupt

    return on_epoch


def same_files(one: Path, other: Path) -> None:
    for name in SAME_BYTES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    columns = [pl.read_csv(path / "history.csv").drop("seconds") for path in (one, other)]
    assert columns[0].equals(columns[1])
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in other.iterdir())


class TestAFit:
    config = FitConfig(model="gae", epochs=10, folds=2, checkpoint_every=4, **QUICK)

    @pytest.fixture
    def graph(self, communities, tmp_path):
        edges = write_graph(communities, tmp_path)
        return edges, ReadingOptions(nodes=tmp_path / "nodes.txt", features=tmp_path / "features.npy")

    @pytest.fixture
    def left(self, graph, tmp_path):
        """RUN of a fit that was broken off after three epochs, with RUN.partial beside it."""
        out = tmp_path / "run"
        with pytest.raises(KeyboardInterrupt):
            fit_run(graph[0], out, self.config, reading=graph[1], on_epoch=interrupting_at(3))
        return out

    @pytest.mark.parametrize("breaks", [(2,), (6, 7)], ids=["in the first training", "in the first and in the second"])
    def test_broken_off_and_resumed_is_the_same_run(self, graph, tmp_path, breaks):
        edges, reading = graph
        fit_run(edges, tmp_path / "whole", self.config, reading=reading)
        out, said = tmp_path / "run", []
        for number, count in enumerate(breaks):
            with pytest.raises(KeyboardInterrupt):
                fit_run(edges, out, self.config, reading=reading, resume=number > 0, on_epoch=interrupting_at(count))
        fit_run(edges, out, self.config, reading=reading, resume=True, progress=said.append)
        same_files(out, tmp_path / "whole")
        assert not (tmp_path / "run.partial").exists()
        assert any(line.startswith("going on after") for line in said)
        assert load_run(out).model == "gae"

    @pytest.mark.parametrize("model", [each.name for each in families() if each.architecture.is_batched])
    def test_batches_that_were_broken_off_and_resumed_are_the_same_run(self, graph, tmp_path, model):
        config = self.config.model_copy(update={"model": model, "epochs": 6, "validate_every": 2})
        fit_run(graph[0], tmp_path / "whole", config, reading=graph[1])
        for number, count in enumerate((5, 3)):
            with pytest.raises(KeyboardInterrupt):
                fit_run(
                    graph[0],
                    tmp_path / "run",
                    config,
                    reading=graph[1],
                    resume=number > 0,
                    on_epoch=interrupting_at(count),
                )
        fit_run(graph[0], tmp_path / "run", config, reading=graph[1], resume=True)
        same_files(tmp_path / "run", tmp_path / "whole")

    def test_broken_off_among_the_penalties_and_resumed_is_the_same_run(self, graph, tmp_path):
        """Three penalties and one training without features, ten epochs each: broken off in the second and the third."""
        edges, reading = graph
        config = self.config.model_copy(update={"model": "signed-gae"})
        whole = fit_run(edges, tmp_path / "whole", config, reading=reading)
        out, started = tmp_path / "run", []
        for number, count in enumerate((15, 8)):
            with pytest.raises(KeyboardInterrupt):
                fit_run(edges, out, config, reading=reading, resume=number > 0, on_epoch=interrupting_at(count))
        run = fit_run(
            edges,
            out,
            config,
            reading=reading,
            resume=True,
            on_start=lambda *what: started.append((what[0], len(what[2]))),
        )
        same_files(out, tmp_path / "whole")
        assert started == [
            ("signed-gae", 10),
            ("signed-gae-penalty-2", 10),
            ("signed-gae-penalty-3", 3),
            ("signed-gae-without-features", 0),
            ("signed-gae-fold-2", 0),
        ]
        assert run.config["weight_decay"] == whole.config["weight_decay"] > 0
        left_out = not any(name.endswith("encoder.first") for name in run.weights)
        assert left_out != run.config["uses_features"] == whole.config["uses_features"]

    def test_a_fit_may_go_on_after_its_files_were_moved(self, graph, left, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        for name in ("edges.csv", "nodes.txt", "features.npy"):
            (tmp_path / name).rename(tmp_path / "elsewhere" / name)
        folder = tmp_path / "elsewhere"
        moved = ReadingOptions(nodes=folder / "nodes.txt", features=folder / "features.npy")
        run = fit_run(folder / "edges.csv", left, self.config, reading=moved, resume=True)
        assert run.config["reading"]["edges"] == str(graph[0])  # as it would be without the interruption

    def test_a_failure_leaves_a_checkpoint_and_bad_input_leaves_nothing(self, graph, tmp_path, monkeypatch):
        def fail(epoch):
            if epoch.epoch == 3:
                raise RuntimeError("the roof fell in")

        with pytest.raises(RuntimeError):
            fit_run(graph[0], tmp_path / "run", self.config, reading=graph[1], on_epoch=fail)
        assert json.loads((tmp_path / "run.partial" / "checkpoints" / "gae-0.json").read_text())["state"]["epoch"] == 3

        def refuse(*_, **__):
            raise InvertedRanking("non-edges rank above edges")

        monkeypatch.setattr("linkodds.fitting.fit.fit_calibrator", refuse)
        with pytest.raises(InvertedRanking):
            fit_run(graph[0], tmp_path / "other", self.config, reading=graph[1])
        assert not (tmp_path / "other.partial").exists()

    def test_without_resume_what_was_left_is_replaced(self, graph, left, tmp_path):
        fit_run(graph[0], left, FitConfig(model="l3", **QUICK))
        assert load_run(left).model == "l3"
        assert not (tmp_path / "run.partial").exists()

    def test_nothing_left_is_a_beginning(self, graph, tmp_path):
        said = []
        fit_run(graph[0], tmp_path / "run", FitConfig(model="l3", **QUICK), resume=True, progress=said.append)
        assert f"nothing to resume beside {tmp_path / 'run'}: starting from the beginning." in said

    def test_inputs_that_were_being_written_are_no_fit_to_go_on_with(self, graph, tmp_path):
        """A kill before config.yaml, the last of the inputs: neither --resume nor a new fit is in the way of another."""
        for name in ("nodes.parquet", "config.yaml.new"):
            (tmp_path / "run.partial").mkdir()
            (tmp_path / "run.partial" / name).write_bytes(b"half")
            fit_run(graph[0], tmp_path / "run", FitConfig(model="l3", **QUICK), resume=True)
            assert load_run(tmp_path / "run").model == "l3"
            assert not list(tmp_path.glob("*.partial"))
            shutil.rmtree(tmp_path / "run")

    def test_a_finished_run_is_refused(self, graph, tmp_path):
        fit_run(graph[0], tmp_path / "run", FitConfig(model="l3", **QUICK))
        with pytest.raises(RunExists, match="run is complete; there is nothing to resume"):
            fit_run(graph[0], tmp_path / "run", FitConfig(model="l3", **QUICK), resume=True)
        with pytest.raises(KeyboardInterrupt):  # one that was to replace it
            fit_run(graph[0], tmp_path / "run", self.config, force=True, on_epoch=interrupting_at(1))
        with pytest.raises(RunExists, match=r"move it away to go on with the fit in .*run.partial"):
            fit_run(graph[0], tmp_path / "run", self.config, resume=True)

    def test_a_kill_while_results_are_written_is_no_harm(self, graph, left):
        for name in ("manifest.json", "scores.npz", "evaluation.json.new"):
            (left.with_name("run.partial") / name).write_bytes(b"half")
        fit_run(graph[0], left, self.config, reading=graph[1], resume=True)
        assert load_run(left).model == "gae"
        assert not list(left.glob("*.new"))

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            ({"seed": 5}, "--seed: the fit in .*run.partial has 0, not 5"),
            ({"checkpoint_every": 9}, "--checkpoint-every: .* has 4, not 9"),
            ({"threads": None}, "--threads: .* has 1, not none"),
            ({"split": (0.7, 0.1, 0.1, 0.1)}, "--split: .* has 0.8/0.05/0.05/0.1, not 0.7/0.1/0.1/0.1"),
        ],
    )
    def test_another_option_is_refused_with_both_values(self, graph, left, option, words):
        config = FitConfig(**{**self.config.model_dump(), **option})
        self.refused(OptionError, words, graph[0], left, config, graph[1])

    def test_another_way_to_read_is_refused(self, graph, left):
        words = "--directed: .* has none, not True"
        self.refused(OptionError, words, graph[0], left, self.config, graph[1].model_copy(update={"directed": True}))

    def test_another_graph_is_refused(self, graph, left, communities, tmp_path):
        write_graph(communities, tmp_path, num_edges=communities.num_edges - 1)
        self.refused(DataError, "the edges differ", graph[0], left, self.config, graph[1])
        write_graph(communities, tmp_path)
        with (tmp_path / "nodes.txt").open("a") as file:
            file.write("one more\n")
        np.save(tmp_path / "features.npy", np.random.default_rng(0).normal(size=(151, 5)))
        self.refused(DataError, r"ids of the nodes \(150 then, 151 now\)", graph[0], left, self.config, graph[1])

    def test_other_features_are_refused(self, graph, left, tmp_path):
        np.save(tmp_path / "features.npy", np.load(tmp_path / "features.npy") ** 2)
        self.refused(DataError, "another graph: the features differ", graph[0], left, self.config, graph[1])

    @pytest.mark.parametrize(
        ("change", "error", "words"),
        [
            ({"versions": {"torch": "1.0"}}, BrokenRun, r"made with .*torch 1.0 \(now 2\."),
            ({"device": "cuda"}, OptionError, "--device: .* has cuda, not cpu"),
            ({"graph": {}}, DataError, "another graph"),
            ({"options": None}, BrokenRun, "config.yaml is not as this version of linkodds writes it"),
        ],
        ids=["versions", "device", "graph", "damaged"],
    )
    def test_another_machine_is_refused(self, graph, left, change, error, words):
        path = left.with_name("run.partial") / "config.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
        self.refused(error, words, graph[0], left, self.config, graph[1])

    def test_the_number_of_threads_is_that_of_the_interrupted_fit_where_none_is_named(self, graph, tmp_path):
        config = self.config.model_copy(update={"threads": None})
        with pytest.raises(KeyboardInterrupt):
            fit_run(graph[0], tmp_path / "run", config, reading=graph[1], on_epoch=interrupting_at(3))
        path = tmp_path / "run.partial" / "config.yaml"
        before, other = torch.get_num_threads(), torch.get_num_threads() + 1
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"num_threads": other}))
        run = fit_run(graph[0], tmp_path / "run", config, reading=graph[1], resume=True)
        assert run.config["num_threads"] == other
        assert torch.get_num_threads() == before

    def test_damaged_files_are_refused_and_stay(self, graph, left):
        (tensors,) = left.with_name("run.partial").glob("checkpoints/*.safetensors")
        tensors.write_bytes(tensors.read_bytes()[:-8])
        self.refused(BrokenRun, tensors.name, graph[0], left, self.config, graph[1])
        (left.with_name("run.partial") / "split.npz").write_bytes(b"PK")
        self.refused(BrokenRun, "damaged", graph[0], left, self.config, graph[1])

    def refused(self, error, words, edges, out, config, reading):
        before = sorted((path, path.stat().st_size) for path in out.with_name("run.partial").rglob("*"))
        with pytest.raises(error, match=words):
            fit_run(edges, out, config, reading=reading, resume=True)
        assert sorted((path, path.stat().st_size) for path in out.with_name("run.partial").rglob("*")) == before


class TestCommandLine:
    def fit(self, *arguments):
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["fit", *map(str, arguments)])

    def test_options_are_taken_from_the_interrupted_fit(self, communities, tmp_path):
        edges, out = write_graph(communities, tmp_path), tmp_path / "run"
        reading = ReadingOptions(nodes=tmp_path / "nodes.txt", features=tmp_path / "features.npy")
        with pytest.raises(KeyboardInterrupt):
            fit_run(edges, out, TestAFit.config, reading=reading, on_epoch=interrupting_at(2))
        refused = self.fit(edges, "--out", out, "--resume", "--epochs", 11)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "--epochs: the fit in" in refused.stderr
        assert "has 10, not 11" in refused.stderr
        result = self.fit(edges, "--out", out, "--resume", "--epochs", 10)
        assert result.exit_code == 0, result.stderr
        assert "going on after 2 epochs" in result.stderr
        config = load_run(out).config
        assert config["options"] == TestAFit.config.model_dump(mode="json")
        assert config["reading"]["features"] == str(tmp_path / "features.npy")

    def test_resume_and_force_exclude_each_other(self, tmp_path):
        result = self.fit(tmp_path / "edges.csv", "--out", tmp_path / "run", "--resume", "--force")
        assert result.exit_code == 2
        assert "give one of them" in result.stderr

    def test_a_failure_says_how_to_go_on(self, communities, tmp_path, monkeypatch):
        edges, out = write_graph(communities, tmp_path), tmp_path / "run"
        monkeypatch.setattr("linkodds.fitting.fit.fit_calibrator", lambda *_, **__: 1 // 0)
        result = self.fit(edges, "--out", out, "--model", "gae", "--epochs", 5, "--dim", 4, "--folds", 1)
        assert result.exit_code == 1
        assert f"go on with: linkodds fit {edges} --out {out} --resume" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_waits_for_the_end_of_the_epoch(communities, tmp_path, number):
    """Six is no multiple of the interval: the epoch is in the checkpoint because the signal was waited out."""
    edges = write_graph(communities, tmp_path)

    def send(epoch):
        if epoch.epoch == 6:
            os.kill(os.getpid(), number)
            ended.append(epoch.epoch)

    ended, config = [], FitConfig(model="gae", epochs=10, folds=1, checkpoint_every=4, **QUICK)
    before = signal.getsignal(number)
    with (
        pytest.raises(KeyboardInterrupt),
        stopping_between_epochs(lambda _: None, send) as (say, on_epoch),
    ):
        fit_run(edges, tmp_path / "run", config, progress=say, on_epoch=on_epoch)
    assert ended == [6]  # the handler did not raise in the middle
    assert signal.getsignal(number) is before
    folder = tmp_path / "run.partial"
    assert json.loads((folder / "checkpoints" / "gae-0.json").read_text())["state"]["epoch"] == 6
    assert len(pl.read_csv(folder / "history.csv")) == 6


def test_a_signal_outside_a_training_and_a_second_one_stop_at_once():
    with pytest.raises(KeyboardInterrupt), stopping_between_epochs(lambda _: None, None):
        os.kill(os.getpid(), signal.SIGINT)
    reached = []

    def twice(_):
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("after the first")
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("after the second")

    with pytest.raises(KeyboardInterrupt), stopping_between_epochs(lambda _: None, twice) as (_, on_epoch):
        on_epoch(Epoch(1, 0.0, 0.0, 0.0, 0.0))
    assert reached == ["after the first"]
