import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from forged_run import forge
from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, RunExists
from linkodds.estimator import LinkPredictor
from linkodds.fitting.pipeline import fit_graph
from linkodds.models.families import family_of
from linkodds.runs.record import load_run
from linkodds.runs.run_directory import MANIFEST, PartialRun


@pytest.fixture
def saved(communities, tmp_path):
    predictor = LinkPredictor(model="gae", hidden=8, dim=4, epochs=10, folds=1, threads=1).fit(communities)
    return predictor, predictor.save(tmp_path / "run")


def test_a_loaded_run_is_the_saved_one(saved):
    predictor, path = saved
    run, before = load_run(path), predictor.run_
    np.testing.assert_array_equal(run.ids, before.ids)
    np.testing.assert_array_equal(run.split.test, before.split.test)
    np.testing.assert_array_equal(run.embeddings[0], before.embeddings[0])
    pairs = run.split.recorded().pairs
    np.testing.assert_array_equal(run.scorer.logits(pairs), before.scorer.logits(pairs))
    np.testing.assert_array_equal(run.test.edge_logits, before.test.edge_logits)
    assert len(run.calibration) == len(before.calibration)
    assert run.calibrator == before.calibrator
    assert run.decision == before.decision
    assert run.history["loss"] == pytest.approx(before.history["loss"])
    assert run.history["epoch"] == list(range(1, 11))


def test_weights_give_the_embeddings_again(saved):
    """model.safetensors is the whole model: encoder on the message graph = embeddings.parquet."""
    import torch

    from linkodds.models.autoencoders.autoencoder import Autoencoder
    from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency

    run = load_run(saved[1])
    config = family_of("gae").options(FitConfig(hidden=8, dim=4))
    rng = torch.Generator().manual_seed(0)
    model = Autoencoder(len(run.ids), None, config, directed=False, effective_odds=1.0, rng=rng)
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in run.weights.items()})
    mean = model.mean(SparseMatrix.from_scipy(normalized_adjacency(run.split.message_graph())), None)
    np.testing.assert_allclose(mean.detach().numpy(), run.embeddings[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "name", ["split.npz", "evaluation.json", "embeddings.parquet", "calibration.json", "config.yaml"]
)
def test_a_file_that_was_cut_off_edited_or_lost_is_named(saved, name):
    _, path = saved
    whole = (path / name).read_bytes()
    for broken in (whole[: len(whole) // 2], whole + b" "):
        (path / name).write_bytes(broken)
        with pytest.raises(BrokenRun, match=f"{name} was changed or cut off"):
            load_run(path)
    (path / name).unlink()
    with pytest.raises(BrokenRun, match=f"{name} is missing"):
        load_run(path)


def test_another_version_and_no_run_at_all(saved, tmp_path):
    _, path = saved
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "format": "linkodds.run/9"}))
    with pytest.raises(BrokenRun, match=r"linkodds.run/9.*reads 'linkodds.run/1'"):
        load_run(path)
    (path / "manifest.json").write_text(json.dumps({**manifest, "sha256": {"../../etc/passwd": "0"}}))
    with pytest.raises(BrokenRun, match="no file of a run"):
        load_run(path)
    (path / "manifest.json").write_text("{")
    with pytest.raises(BrokenRun, match="unreadable"):
        load_run(path)
    with pytest.raises(BrokenRun, match="no directory"):
        load_run(tmp_path / "nowhere")


def test_scores_of_another_message_graph_are_refused(communities, saved):
    from dataclasses import replace

    from linkodds.runs.record import write_results

    other = fit_graph(communities, FitConfig(model="l3", seed=5, threads=1))
    mixed = replace(saved[0].run_, test=other.test)
    with PartialRun(saved[1], force=True) as partial:
        write_results(partial, mixed)
        path = partial.commit()
    with pytest.raises(BrokenRun, match="another message graph"):
        load_run(path)


def npz_of(**parts):
    file = io.BytesIO()
    np.savez(file, **parts)
    return file.getvalue()


def parquet_of(ids):
    file = io.BytesIO()
    pl.DataFrame({"index": range(len(ids)), "id": ids}).write_parquet(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", b"[1, 2]"),
        ("config.yaml", b'!!python/object/apply:os.system ["true"]'),
        ("evaluation.json", b"{}"),
        ("evaluation.json", b"[]"),
        ("calibration.json", b"{}"),
        ("decision.json", b'"f1"'),
        ("history.csv", b""),
        ("nodes.parquet", parquet_of(list(range(150)))),
        ("nodes.parquet", parquet_of(["same"] * 150)),
        ("nodes.parquet", parquet_of(["node0", "node1"])),
        ("split.npz", npz_of(**{part: np.array([[-1, 2]]) for part in ("train", "validation", "calibration", "test")})),
        (
            "split.npz",
            npz_of(**{part: np.array([[0.5, 2]]) for part in ("train", "validation", "calibration", "test")}),
        ),
    ],
)
def test_a_forged_file_is_refused_as_a_broken_run_that_is_named(saved, name, content):
    _, path = saved
    forge(path, name, content)
    with pytest.raises(BrokenRun, match=f"(?s){path}: .*again"):
        load_run(path)


def test_a_manifest_that_vouches_for_nothing_is_refused(saved):
    _, path = saved
    (path / MANIFEST).write_text(json.dumps({"format": "linkodds.run/1", "sha256": {}}))
    with pytest.raises(BrokenRun, match="does not name config.yaml"):
        load_run(path)


def test_a_directory_that_only_happens_to_be_called_partial_is_left_alone(tmp_path):
    precious = tmp_path / "run.partial" / "notes.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    with (
        pytest.raises(RunExists, match=r"run.partial is not what an interrupted fit left"),
        PartialRun(tmp_path / "run", force=False),
    ):
        pass
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("out", [".", "..", "run/.."])
def test_a_run_needs_a_name_of_its_own(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunExists, match="a name of its own"):
        PartialRun(Path(out), force=True)
