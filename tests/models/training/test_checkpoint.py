"""Checkpoints: a training that goes on from one is bit for bit what it would have been; torn ones are refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun
from linkodds.graph.features import Features
from linkodds.graph.split import split_edges
from linkodds.models.autoencoders.objective import AllPairs
from linkodds.models.families import family_of
from linkodds.models.training import training_loop
from linkodds.models.training.checkpoint import Checkpoints
from linkodds.models.training.training import train
from linkodds.models.training.training_loop import TrainedModel, TrainingTask

QUICK = {"hidden": 16, "dim": 8, "threads": 1}
OUT_OF_PATIENCE = {"objective": "sampled", "warm_up": 9, "patience": 6, "validate_every": 3, "learning_rate": 0.1}


def train_on(graph, name, config, *, checkpoint=None, resumed=None, features=None):
    split = split_edges(graph, rng=np.random.default_rng(0))
    return train(
        TrainingTask(
            name,
            split,
            features,
            family_of(name).options(config),
            np.random.SeedSequence(3),
            torch.device("cpu"),
            checkpoint=checkpoint,
            resumed=resumed,
        )
    )


def assert_same(one: TrainedModel, other: TrainedModel) -> None:
    assert [replace(epoch, seconds=0.0) for epoch in one.history] == [
        replace(epoch, seconds=0.0) for epoch in other.history
    ]
    assert (one.best_epoch, one.findings) == (other.best_epoch, other.findings)
    for key, values in one.weights.items():
        np.testing.assert_array_equal(values, other.weights[key])
    np.testing.assert_array_equal(one.scorer.source, other.scorer.source)


def broken_at(epoch: int, after: int, honest=AllPairs.__call__):
    """The all-pairs objective with a loss that is NaN at an epoch, in a training that goes on after another one."""
    calls = after

    def call(self, *arguments):
        nonlocal calls
        calls += 1
        return honest(self, *arguments) * (float("nan") if calls == epoch else 1.0)

    return call


@pytest.mark.parametrize(
    ("graph", "name", "options", "nan_at"),
    [
        ("communities", "gae", {"weight_decay": 1e-3, "schedule": "linear"}, 0),
        ("communities", "gae", {"objective": "subgraph", "subgraph_nodes": 60}, 0),
        ("communities", "signed-gae", {"validate_every": 4}, 0),
        ("communities", "signed-vgae", {"validate_every": 4}, 0),
        ("directed_ring", "linear-vgae", {}, 0),
        ("two_sides", "vgae", OUT_OF_PATIENCE, 0),
        ("directed_ring", "vgae", {"schedule": "cosine"}, 7),  # a rollback before the second checkpoint
    ],
    ids=[
        "gae",
        "gae, subgraph",
        "signed-gae",
        "signed-vgae",
        "linear-vgae",
        "vgae, sampled, out of patience",
        "vgae, after a rollback",
    ],
)
def test_a_training_goes_on_from_any_checkpoint_bit_for_bit(request, tmp_path, graph, name, options, nan_at):
    graph = request.getfixturevalue(graph)
    config = FitConfig(**QUICK, epochs=28, **options)
    copies: list[Path] = []

    def keep_a_copy(history):
        copies.append(tmp_path / f"{len(history)}-{len(copies)}")
        shutil.copytree(tmp_path / "all", copies[-1])

    with pytest.MonkeyPatch.context() as patch:
        if nan_at:
            patch.setattr(AllPairs, "__call__", broken_at(nan_at, after=0))
        whole = train_on(graph, name, config, checkpoint=Checkpoints(tmp_path / "all", 5, keep_a_copy).of(name, 0))
    assert [finding.id for finding in whole.findings].count("D13") == (nan_at > 0)
    assert (10 < len(whole.history) < 28) == (options is OUT_OF_PATIENCE)
    assert len(copies) == len(whole.history) // 5 + 1
    for copy in copies:
        checkpoint = Checkpoints(copy, 5).of(name, 0)
        left = checkpoint.read()
        with pytest.MonkeyPatch.context() as patch:
            if nan_at:
                patch.setattr(AllPairs, "__call__", broken_at(nan_at, after=len(left.history)))
            assert_same(train_on(graph, name, config, checkpoint=checkpoint, resumed=left), whole)
    assert left.is_done
    assert not left.guard.moments


@pytest.mark.parametrize("name", ["gae", "linear-gae", "signed-gae"])
def test_features_go_on_bit_for_bit_too(communities, tmp_path, name):
    values = np.random.default_rng(0).normal(size=(communities.num_nodes, 7)).astype(np.float32)
    features, config = Features(values, "none"), FitConfig(**QUICK, epochs=12, validate_every=5)
    whole = train_on(communities, name, config, features=features)
    checkpoint = Checkpoints(tmp_path / "checkpoints", 7).of(name, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AllPairs, "__call__", failing_at(9))
        with pytest.raises(ZeroDivisionError):
            train_on(communities, name, config, features=features, checkpoint=checkpoint)
    left = checkpoint.read()
    assert_same(train_on(communities, name, config, features=features, resumed=left), whole)


def failing_at(epoch: int, honest=AllPairs.__call__):
    calls = 0

    def call(self, *arguments):
        nonlocal calls
        calls += 1
        return 1 // 0 if calls == epoch else honest(self, *arguments)

    return call


class TestWhatIsWrittenAfterAFailure:
    """The last complete epoch where the weights are still its own, else the last one that was written."""

    config = FitConfig(**QUICK, epochs=20, validate_every=5)

    def left_after(self, graph, folder, patched, name, replacement):
        checkpoint = Checkpoints(folder, 4).of("gae", 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(patched, name, replacement)
            with pytest.raises(ZeroDivisionError):
                train_on(graph, "gae", self.config, checkpoint=checkpoint)
        return checkpoint.read()

    def test_in_the_forward_pass(self, communities, tmp_path):
        left = self.left_after(communities, tmp_path / "a", AllPairs, "__call__", failing_at(11))
        assert len(left.history) == 10
        assert_same(train_on(communities, "gae", self.config, resumed=left), train_on(communities, "gae", self.config))

    def test_between_the_step_and_the_end_of_the_epoch(self, communities, tmp_path):
        left = self.left_after(communities, tmp_path / "a", training_loop, "validated", lambda *_: 1 // 0)  # epoch 5
        assert len(left.history) == 4
        assert_same(train_on(communities, "gae", self.config, resumed=left), train_on(communities, "gae", self.config))

    def test_in_the_middle_of_a_step(self, communities, tmp_path):
        honest, calls = torch.optim.Adam.step, 0

        def step(self, *arguments):
            nonlocal calls
            calls += 1
            honest(self, *arguments)
            return 1 // 0 if calls == 11 else None

        left = self.left_after(communities, tmp_path / "a", torch.optim.Adam, "step", step)
        assert len(left.history) == 8

    def test_a_full_disk_leaves_the_first_error(self, communities, tmp_path):
        (tmp_path / "a").write_text("where the folder should be")
        assert self.left_after(communities, tmp_path / "a", AllPairs, "__call__", failing_at(3)) is None


class TestTornFiles:
    @pytest.fixture
    def folder(self, communities, tmp_path):
        folder = tmp_path / "checkpoints"
        train_on(communities, "gae", FitConfig(**QUICK, epochs=5), checkpoint=Checkpoints(folder, 5).of("gae", 0))
        return folder

    def test_two_files_a_training_and_no_others(self, folder):
        assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".safetensors"]

    def test_tensors_without_their_json_are_no_checkpoint(self, folder):
        (folder / "gae-0.json").unlink()
        assert Checkpoints(folder, 5).of("gae", 0).read() is None

    def test_a_kill_before_the_json_leaves_the_last_checkpoint(self, folder, communities, monkeypatch):
        before = Checkpoints(folder, 5).of("gae", 0).read()
        monkeypatch.setattr(Path, "write_text", lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            train_on(communities, "gae", FitConfig(**QUICK, epochs=9), checkpoint=Checkpoints(folder, 7).of("gae", 0))
        after = Checkpoints(folder, 5).of("gae", 0).read()
        assert after.history == before.history

    @pytest.mark.parametrize("kind", ["safetensors", "json"])
    @pytest.mark.parametrize("damage", ["cut off", "changed", "lost"])
    def test_what_is_damaged_is_named(self, folder, kind, damage):
        (path,) = folder.glob(f"*.{kind}")
        whole = path.read_bytes()
        if damage == "lost":
            if kind == "json":
                return  # the test above
            path.unlink()
        else:
            changed = whole.replace(b'"loss": 0', b'"loss": 1') if kind == "json" else whole[:-1] + b"\x7f"
            path.write_bytes(whole[:-100] if damage == "cut off" else changed)
        with pytest.raises(BrokenRun, match=rf"{path.name}: .*Delete .*gae-0.json.*--resume"):
            Checkpoints(folder, 5).of("gae", 0).read()

    def test_another_format(self, folder):
        path = folder / "gae-0.json"
        path.write_text(path.read_text().replace("linkodds.checkpoint/1", "linkodds.checkpoint/9"))
        with pytest.raises(BrokenRun, match=r"linkodds.checkpoint/9"):
            Checkpoints(folder, 5).of("gae", 0).read()
