"""Fits over shards: one run whoever computes, counters that are those of the formulas, and the decoupled model."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linkodds.config import FitConfig
from linkodds.errors import (
    BadFeatures,
    DataError,
    OptionError,
)
from linkodds.metrics.non_edge_scores import score_non_edges
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.models.autoencoders.pair_decoder import ROW_LENGTH
from linkodds.models.training.history import Epoch
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.reading.database_urls import Database
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.record import load_run
from linkodds.scorers.scoring import InnerProductScorer
from linkodds.sharded.engine import LocalEngine
from linkodds.sharded.model import HopEncoder
from linkodds.sharded.ray_engine import started
from linkodds.sharded.running import fit_sharded
from linkodds.sharded.scoring import StoredTallies
from linkodds.sharded.store import MANIFEST, Header, Store
from linkodds.sharded.volumes import Volumes, volumes_of
from sharded_graphs import (
    arcs,
    no_waiting_for_the_disk,  # noqa: F401
    prepared,
    write_edges,
)


def communities(path: Path, seed: int = 0, nodes: int = 240, groups: int = 8) -> Path:
    """Edges within groups mostly: something to learn."""
    rng = np.random.default_rng(seed)
    u, v = np.triu_indices(nodes, 1)
    is_edge = rng.random(len(u)) < np.where(u % groups == v % groups, 0.35, 0.01)
    return write_edges(path, np.column_stack([u, v])[is_edge])


def fitted(edges: Path, out: Path, model: str = "refined-gae", **options: Any) -> dict[str, bytes]:
    config = FitConfig(model=model, epochs=6, dim=16, hidden=8, batch_edges=60, patience=50, **options)  # type: ignore[arg-type]
    fit_sharded(edges, out, config, reading=ReadingOptions(bipartite=False), memory="2GB")
    return {name: (out / name).read_bytes() for name in ("evaluation.json", "model.safetensors", "split.npz")}


@pytest.mark.parametrize("model", ["linear-gae", "refined-gae"])
def test_any_number_of_workers_makes_the_same_run(tmp_path: Path, model: str) -> None:
    path = communities(tmp_path / "edges.tsv")
    one = fitted(path, tmp_path / "one", model, threads=1)
    three = fitted(path, tmp_path / "three", model, threads=3)
    assert one == three
    assert not (tmp_path / "one.shards").exists()
    run = load_run(tmp_path / "one")
    auc = run.evaluation.metrics["roc_auc"].value
    assert auc > 0.75


def test_an_interrupted_training_goes_on_to_the_same_run(tmp_path: Path) -> None:
    path = communities(tmp_path / "edges.tsv")
    whole = fitted(path, tmp_path / "whole", threads=1, checkpoint_every=2)
    config = FitConfig(model="refined-gae", epochs=6, dim=16, hidden=8, batch_edges=60, patience=50, checkpoint_every=2)
    out, reading = tmp_path / "killed", ReadingOptions(bipartite=False)

    def stop(epoch: Epoch) -> None:
        if epoch.epoch == 5:
            raise KeyboardInterrupt

    config = config.model_copy(update={"threads": 1})
    with pytest.raises(KeyboardInterrupt):
        fit_sharded(path, out, config, reading=reading, memory="2GB", on_epoch=stop)
    assert (tmp_path / "killed.shards" / MANIFEST).is_file()
    fit_sharded(path, out, config, reading=reading, memory="2GB", resume=True)
    assert {name: (out / name).read_bytes() for name in whole} == whole


def test_what_sharded_fits_do_not_take_is_refused(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(1))
    for config, reading, message in (
        (FitConfig(model="vgae"), ReadingOptions(), "--model vgae: sharded fits take linear-gae or refined-gae"),
        (FitConfig(), ReadingOptions(directed=True), "--directed"),
        (FitConfig(folds=5), ReadingOptions(), "--folds"),
        (FitConfig(), ReadingOptions(query="SELECT 1"), "--query"),
        (FitConfig(), ReadingOptions(time="year"), "--time"),
        (FitConfig(), ReadingOptions(weight="w", weight_as="strength"), "--weight"),
        (FitConfig(), ReadingOptions(relation="kind"), "--relation"),
        (FitConfig(), ReadingOptions(label="tested"), "--label: not for sharded fits"),
        (FitConfig(), ReadingOptions(separate_ids=True), "--separate-ids: not for sharded fits"),
        (FitConfig(), ReadingOptions(key="first"), "--key: not for sharded fits"),
    ):
        with pytest.raises(OptionError, match=message):
            fit_sharded(path, tmp_path / "run", config, reading=reading)
    (tmp_path / "links.csv").write_text(
        "source,target,logit,probability,q_value,evidence\na,b,1.0,0.7,,none\nb,c,0.5,0.6,,none\n"
    )
    with pytest.raises(DataError, match="predicted links are no edges"):
        fit_sharded(tmp_path / "links.csv", tmp_path / "run", FitConfig(model="linear-gae"))
    with pytest.raises(OptionError, match="not a database"):
        fit_sharded(Database("sqlite", "sqlite:///links.db"), tmp_path / "run", FitConfig())
    with pytest.raises(OptionError, match="--engine takes local or ray, not 'spark'"):
        fit_sharded(path, tmp_path / "run", FitConfig(), engine="spark")
    assert not (tmp_path / "run.shards").exists()


@pytest.mark.parametrize("is_sample", [False, True])
def test_stored_tallies_are_those_of_one_pass_and_are_kept(tmp_path: Path, is_sample: bool) -> None:
    rng = np.random.default_rng(0)
    space = PairSpace(90)
    edges = space.pair_of_rank(np.sort(rng.choice(space.num_pairs, 300, replace=False)))
    known, z = KnownPairs(space, edges), rng.normal(size=(90, 4)).astype(np.float32)
    non_edges = draw_non_edges(known, 1500, rng) if is_sample else NonEdges(known)
    classes = DegreeClasses.of(edges, space, excluded=edges)
    scorer = InnerProductScorer(z, z, 1.0, -1.0)
    anchors = scorer.logits(edges).astype(np.float32).astype(np.float64)
    options: dict[str, Any] = {"anchors": anchors, "classes": classes, "max_cells": 70}
    whole = score_non_edges(scorer, non_edges, **options)
    store = Store(tmp_path / "store", Header(versions={}, inputs={}, options={}))
    said: list[str] = []
    for workers in (1, 3):
        runner = StoredTallies(store, LocalEngine(workers), said.append)
        parts = score_non_edges(scorer, non_edges, runner=runner, **options)
        assert np.array_equal(parts.at_least, whole.at_least)
        assert np.array_equal(parts.above, whole.above)
        assert parts.num_scored == whole.num_scored
        assert np.array_equal(parts.bins.count, whole.bins.count)
        np.testing.assert_allclose(parts.bins.mean, whole.bins.mean, rtol=1e-12)
    assert len(said) == 1  # the second time nothing was left to do
    other = InnerProductScorer(z, z, 2.0, -1.0)
    score_non_edges(other, non_edges, runner=StoredTallies(store, LocalEngine(), said.append), **options)
    assert len(said) == 2


def test_two_processes_of_torchrun_on_a_folder_make_the_run_of_one(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    path = communities(tmp_path / "parts" / "edges.tsv")
    one, two = tmp_path / "one", tmp_path / "two"
    config = FitConfig(model="linear-gae", epochs=5, dim=8, batch_edges=60, threads=1)
    fit_sharded(path, one, config, reading=ReadingOptions(bipartite=False))
    fit = ["-m", "linkodds", "fit", str(path.parent), "--model", "linear-gae", "--epochs", "5", "--no-bipartite"]
    fit += ["--threads", "1", "--dim", "8", "--batch-edges", "60", "--out", str(two)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, *fit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report:") == 1
    assert "bytes read" in done.stderr
    for name in ("evaluation.json", "model.safetensors", "embeddings.parquet"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_tasks_of_ray_make_the_run_of_threads_and_raise_the_errors_of_the_stages(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    path = communities(tmp_path / "edges.tsv")
    config = FitConfig(model="linear-gae", epochs=5, dim=8, batch_edges=60, threads=2)

    def refuse_three(number: int) -> int:
        if number == 3:
            raise BadFeatures("number 3 is refused")
        if number == 4 and not (tmp_path / "lost").exists():
            (tmp_path / "lost").touch()
            os._exit(1)
        return 10 * number

    with started("ray", 2) as engine_of_ray:
        for engine in ("local", "ray"):
            fit_sharded(path, tmp_path / engine, config, reading=ReadingOptions(bipartite=False), engine=engine)
        for name in ("evaluation.json", "model.safetensors", "embeddings.parquet"):
            assert (tmp_path / "local" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()
        assert list(engine_of_ray.map(refuse_three, [5, 4, 6])) == [50, 40, 60]  # 4 is lost once and done again
        assert (tmp_path / "lost").exists()
        with pytest.raises(BadFeatures, match="^number 3 is refused$"):
            list(engine_of_ray.map(refuse_three, [1, 2, 3, 5]))


def test_training_counts_what_it_reads_and_says_what_it_holds(tmp_path: Path) -> None:
    path = communities(tmp_path / "edges.tsv")
    config, said = FitConfig(model="linear-gae", epochs=5, dim=8, batch_edges=60, threads=1), []
    fit_sharded(path, tmp_path / "run", config, reading=ReadingOptions(bipartite=False), progress=said.append)
    (line,) = [each for each in said if each.startswith("training: ")]
    read, sent, steps = (int(each.replace(",", "")) for each in re.findall(r"\d[\d,]*", line))
    run = load_run(tmp_path / "run")
    nodes, train, folds = 240, len(run.split.train), 7
    # A fold has an eighth of the train edges, in steps of at most 60; validation once an epoch at the fifth, and the end.
    assert steps == pytest.approx(5 * folds * np.ceil(train / 8 / 60), abs=5 * folds)
    volumes = Volumes(0, 0, nodes, 1, 1.0, 0, 1, 1, 1, 1, 1, 128, 0, 3, folds)
    batch = 5 * folds * train / 8 / steps
    assert read == pytest.approx(steps * volumes.step(batch, 5, 8) + 2 * 4 * nodes * 513, rel=0.1)
    assert sent == 0
    assert not any("--memory bounds" in each for each in said)  # 4 GB are plenty here


def test_an_engine_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    path = write_edges(tmp_path / "edges.tsv", arcs(1))
    with pytest.raises(OptionError, match=r"pip install 'linkodds\[ray\]'"):
        fit_sharded(path, tmp_path / "run", FitConfig(), engine="ray")
    assert not (tmp_path / "run.shards").exists()


def test_counters_are_those_of_the_formulas(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(9, 6000, 700))
    store, made = prepared(path, tmp_path / "store", (400, 2, 5000, 5))
    totals = store.totals()
    volumes = volumes_of(store, made, path.stat().st_size, 64)
    assert min(volumes.ranges, volumes.slices, volumes.batches, volumes.folds) > 1
    stages = volumes.stages()
    assert stages.keys() == totals.keys()
    for stage, formulas in stages.items():
        for name, value in zip(("read", "written", "operations"), formulas, strict=True):
            assert totals[stage][name] == pytest.approx(value, rel=0.1), (stage, name)


def test_embeddings_are_the_formula_by_hand() -> None:
    """Two hops of three columns, the first of them a feature; the last node has no feature and no neighbour."""
    rng = np.random.default_rng(0)
    hops = rng.normal(size=(4, 2, 3))
    hops[3, :, 0] = hops[3, 1] = 0
    log_degree = rng.normal(size=(4, 1))
    encoder = HopEncoder(3, 1, 1, 2, mean_degree=4.0, rng=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for each in encoder.parameters():
            each.copy_(torch.from_numpy(rng.normal(size=tuple(each.shape))))
    values = {name: each.detach().numpy().astype(np.float64) for name, each in encoder.named_parameters()}
    rows = np.hstack([hops.reshape(4, 6), log_degree]).astype(np.float32)
    for node in range(4):
        expected = (log_degree[node, 0] - np.log(5)) * values["degree"] + values["shift"]
        for k in range(2):
            feature, table = hops[node, k, :1], hops[node, k, 1:]
            lengths = [np.linalg.norm(feature), np.linalg.norm(table)]
            row = np.concatenate([feature * ROW_LENGTH / max(lengths[0], 1e-12), table / max(lengths[1], 1e-12)])
            expected = expected + row * values["gains"][k] @ values["weights"][k]
            expected = expected + np.log(np.array(lengths) + 1e-3) @ values["lengths"][k::2]
        got = encoder(torch.from_numpy(rows))[node].detach().numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
