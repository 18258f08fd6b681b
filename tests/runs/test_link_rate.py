"""The map from logit to probability of a new link: stored by the fit, read by everything after it."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun
from linkodds.fitting.pipeline import fit_run
from linkodds.links.inference import predict_run
from linkodds.probability.deployment import fit_link_rate
from linkodds.runs.missing_links import MissingLinksAssumption, held_out_of
from linkodds.runs.record import load_run

STORED = "link_rate.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on four groups of 25 nodes; pairs are edges with probability 0.3 inside a group and 0.02 across."""
    path = tmp_path_factory.mktemp("link-rate")
    rng, group = np.random.default_rng(0), np.repeat(np.arange(4), 25)
    u, v = np.triu_indices(len(group), k=1)
    is_edge = rng.random(len(u)) < np.where(group[u] == group[v], 0.3, 0.02)
    pl.DataFrame({"source": u[is_edge], "target": v[is_edge]}).write_csv(path / "edges.csv")
    fit_run(path / "edges.csv", path / "run", FitConfig(model="resource-allocation", threads=1))
    return path / "run"


def copied(folder: Path, to: Path, stored: bytes | None) -> Path:
    """The run with another link rate under a manifest that fits it; None: without one, as before they were stored."""
    to.mkdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in manifest["sha256"]:
        (to / name).write_bytes((folder / name).read_bytes())
    if stored is None:
        (to / STORED).unlink()
        del manifest["sha256"][STORED]
    else:
        (to / STORED).write_bytes(stored)
        manifest["sha256"][STORED] = hashlib.sha256(stored).hexdigest()
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def test_what_is_stored_is_what_would_be_counted_again_to_the_last_bit(folder: Path) -> None:
    run = load_run(folder)
    counted = fit_link_rate(held_out_of(run))
    stored = np.load(folder / STORED, allow_pickle=False)
    for name, array in counted.to_arrays().items():
        assert stored[name].dtype == array.dtype
        np.testing.assert_array_equal(stored[name], array)
        np.testing.assert_array_equal(getattr(run.link_rate, name), array)
    assert len(counted.logits) > 3  # a rate that is the same everywhere would prove little


def test_a_run_of_before_predicts_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    before = copied(folder, tmp_path / "before", None)
    rows = pl.read_parquet(folder / "predictions.parquet").head(200).select("source", "target")
    rows.write_csv(tmp_path / "pairs.csv")
    for name, path in (("now", folder), ("before", before)):
        predict_run(load_run(path), tmp_path / "pairs.csv", tmp_path / f"{name}.csv")
    assert (tmp_path / "now.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()


def test_the_stored_rate_is_the_one_that_is_used(folder: Path, tmp_path: Path) -> None:
    """A rate of one in a thousand everywhere: with 20 missing links every pair has a probability of 0.02."""
    buffer = io.BytesIO()
    arrays = {"logits": np.array([0.0]), "log_rates": np.log([0.001]), "num_edges": 9, "most_missing": np.inf}
    np.savez(buffer, allow_pickle=False, **arrays)
    run = load_run(copied(folder, tmp_path / "flat", buffer.getvalue()))
    deployment = MissingLinksAssumption(expected_missing=20).deployment(run)
    np.testing.assert_allclose(deployment.probability(np.array([-3.0, 0.0, 5.0])), 0.02)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"logits": None}, "lacks 'logits'"),
        ({"logits": np.array([0.0, 0.0])}, "the logits increasing"),
        ({"logits": np.array([0.0, np.nan])}, "finite"),
        ({"logits": np.array([0, 1])}, "float64"),
        ({"log_rates": np.array([-5.0])}, "as many"),
        ({"most_missing": np.array(np.nan)}, "missing links"),
    ],
)
def test_a_rate_that_is_no_function_of_the_logit_is_refused(folder: Path, tmp_path: Path, changed, says) -> None:
    arrays = {
        "logits": np.array([0.0, 1.0]),
        "log_rates": np.array([-9.0, -5.0]),
        "num_edges": 9,
        "most_missing": 100.0,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in (arrays | changed).items() if array is not None})
    with pytest.raises(BrokenRun, match=says):
        load_run(copied(folder, tmp_path / "broken", buffer.getvalue()))
