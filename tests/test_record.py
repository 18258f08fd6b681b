import json

import numpy as np
import pytest

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun
from linkodds.estimator import LinkPredictor
from linkodds.pipeline import fit_graph
from linkodds.record import load_run


@pytest.fixture
def saved(communities, tmp_path):
    predictor = LinkPredictor(model="gae", hidden=8, dim=4, epochs=10, threads=1).fit(communities)
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

    from linkodds.autoencoder import Autoencoder
    from linkodds.encoder import SparseMatrix, normalized_adjacency

    run = load_run(saved[1])
    config = FitConfig(hidden=8, dim=4)
    rng = torch.Generator().manual_seed(0)
    model = Autoencoder(len(run.ids), config, variational=False, directed=False, effective_odds=1.0, rng=rng)
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

    from linkodds.record import PartialRun, write_results

    other = fit_graph(communities, FitConfig(model="l3", seed=5, threads=1))
    mixed = replace(saved[0].run_, test=other.test)
    with PartialRun(saved[1], force=True) as partial:
        write_results(partial, mixed)
        path = partial.commit()
    with pytest.raises(BrokenRun, match="another message graph"):
        load_run(path)
