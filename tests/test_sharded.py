"""Sharded fits: whatever the blocks, the same numbers as in memory; whenever they are killed, the same bytes."""

import gzip
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from linkodds import Graph
from linkodds.config import FitConfig
from linkodds.database_urls import Database
from linkodds.errors import (
    BadFeatures,
    BrokenRun,
    DataError,
    DegenerateGraph,
    MalformedFile,
    OptionError,
    RunError,
    RunExists,
)
from linkodds.history import Epoch
from linkodds.non_edge_scores import score_non_edges
from linkodds.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.pair_decoder import ROW_LENGTH
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.pipeline import ReadingOptions
from linkodds.propagation import normalized_adjacency
from linkodds.record import load_run
from linkodds.scoring import InnerProductScorer
from linkodds.sharded.engine import LocalEngine
from linkodds.sharded.hops import random_rows
from linkodds.sharded.model import HopEncoder
from linkodds.sharded.numbering import sorted_distinct
from linkodds.sharded.prepare import Preparation, Prepared, prepare
from linkodds.sharded.ray_engine import started
from linkodds.sharded.rows import FULL, SUPERVISION, TRAIN, open_graph
from linkodds.sharded.running import fit_sharded
from linkodds.sharded.scoring import StoredTallies
from linkodds.sharded.sizes import Blocks, parse_memory
from linkodds.sharded.store import MANIFEST, Block, Header, Store
from linkodds.sharded.volumes import Volumes, volumes_of
from linkodds.split import adjacency, split_edges

WIDTH, HOPS = 12, 2


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of tiny shards would wait for the disk longer than for anything else."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Small(Blocks):
    """Blocks of any size, far below what a real cap of memory would give."""

    def __init__(self, rows: int, buckets: int, entries: int, columns: int) -> None:
        for name, value in (("memory", 1), ("workers", 1), ("sizes", (rows, buckets, entries, columns))):
            object.__setattr__(self, name, value)

    batch_rows = property(lambda self: self.sizes[0])  # type: ignore[assignment]
    batch_bytes = property(lambda self: 8 * self.sizes[0])  # type: ignore[assignment]
    working = property(lambda _: 1 << 40)  # type: ignore[assignment]
    share = property(lambda self: self.sizes[2])  # type: ignore[assignment]
    segment = property(lambda _: 64)  # type: ignore[assignment]

    def buckets(self, rows: int) -> int:  # noqa: ARG002
        return self.sizes[1]  # type: ignore[attr-defined,no-any-return]

    def range_cost(self, entries: float, nodes: float, row_bytes: int) -> float:  # noqa: ARG002
        return entries

    def slice_columns(self, nodes: int, width: int) -> int:  # noqa: ARG002
        return self.sizes[3]  # type: ignore[attr-defined,no-any-return]

    def refuse_split(self, edges: int) -> None:
        """Anything goes."""


COARSE_BLOCKS, FINE_BLOCKS = (1 << 20, 1, 1 << 30, WIDTH), (15, 3, 40, 5)


def prepared(
    edges: Path, folder: Path, sizes: tuple[int, int, int, int] = FINE_BLOCKS, workers: int = 1, **options: Any
) -> tuple[Store, Prepared]:
    what = Preparation(edges, bipartite=False, width=WIDTH, hops=HOPS, **({"folds": 2} | options))
    return prepare(what, folder, LocalEngine(workers), Small(*sizes), lambda _: None)


def write_edges(path: Path, edges: NDArray[np.integer]) -> Path:
    names = [(f"n{u}", f"n{v}") for u, v in edges.tolist()]
    if path.suffix == ".parquet":
        pl.DataFrame(names, schema=["from", "to"], orient="row").write_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress("".join(f"{u},{v}\n" for u, v in names).encode()))
    else:
        path.write_text("# a comment\nsource\ttarget\n\n" + "".join(f"{u}\t{v}\n" for u, v in names))
    return path


def content(folder: Path) -> dict[str, str]:
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def arcs(seed: int, count: int = 120, nodes: int = 30) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, nodes, size=(count, 2))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    nodes=st.integers(6, 40),
    sizes=st.tuples(st.integers(8, 60), st.integers(1, 4), st.integers(20, 200), st.integers(3, WIDTH)),
    suffix=st.sampled_from([".tsv", ".parquet", ".csv.gz"]),
    workers=st.integers(1, 3),
    folds=st.integers(1, 7),
)
def test_any_blocks_give_the_graph_the_split_and_the_hops_of_memory(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    nodes: int,
    sizes: tuple[int, int, int, int],
    suffix: str,
    workers: int,
    folds: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = write_edges(folder / f"edges{suffix}", arcs(seed, 5 * nodes, nodes))
    graph = Graph.from_edges(path, bipartite=False)
    split = split_edges(graph, rng=np.random.default_rng(np.random.SeedSequence(0).spawn(4)[0]))
    _, made = prepared(path, folder / "store", sizes, workers, folds=folds)

    assert made.ids().tolist() == graph.ids.tolist()
    edges, labels = made.all_edges()
    assert np.array_equal(edges, graph.edges)
    for part in ("validation", "calibration", "test"):
        assert np.array_equal(made.held_out(part), getattr(split, part))
    train = edges[(labels == TRAIN) | (labels >= SUPERVISION)]
    assert np.array_equal(np.sort(graph.space.keys(train)), np.sort(graph.space.keys(split.train)))
    assert made.folds == folds
    table = np.concatenate(made.rows(FULL))[:, :WIDTH]
    is_train = (labels == TRAIN) | (labels >= SUPERVISION)
    graphs = {FULL: train} | {open_graph(f): edges[is_train & (labels != SUPERVISION + f)] for f in range(folds)}
    for fold in range(folds):
        assert np.array_equal(made.supervision(fold), edges[labels == SUPERVISION + fold])
    for name, message_edges in graphs.items():
        degrees = np.bincount(message_edges.ravel(), minlength=len(graph.ids)) + 1.0
        propagation = normalized_adjacency(adjacency(message_edges, graph.space)).astype(np.float64)
        hops = [table, propagation @ table, propagation @ (propagation @ table)]
        hops.append(np.log(degrees)[:, None])
        np.testing.assert_allclose(np.concatenate(made.rows(name)), np.concatenate(hops, axis=1), atol=1e-6)


def test_blocks_change_no_bit_and_neither_do_threads(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(1))
    _, coarse = prepared(path, tmp_path / "coarse", COARSE_BLOCKS)
    _, fine = prepared(path, tmp_path / "fine", FINE_BLOCKS, workers=3)
    assert len(coarse.ranges) == 2 < len(fine.ranges)
    for graph in (FULL, open_graph(0), open_graph(1)):
        assert np.array_equal(np.concatenate(coarse.rows(graph)), np.concatenate(fine.rows(graph)))


def test_what_is_dropped_is_counted_as_reading_counts_it(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.csv.gz", np.array([[0, 1], [1, 0], [0, 1], [2, 2], [1, 2], [2, 3], [3, 4]]))
    _, made = prepared(path, tmp_path / "store", (1, 2, 3, 4))
    assert made.said == {"rows": 7, "loops": 1, "repeats": 1, "reversed": 1}


def test_a_folder_and_a_pattern_are_read_file_by_file(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    edges = arcs(2)
    write_edges(parts / "a.tsv", edges[:50])
    write_edges(parts / "b.parquet", edges[50:])
    whole = Graph.from_edges(write_edges(tmp_path / "whole.tsv", edges), bipartite=False)
    for number, path in enumerate((parts, parts / "*.*", tmp_path / "*" / "[ab].*")):
        _, made = prepared(path, tmp_path / f"store-{number}")
        assert made.ids().tolist() == whole.ids.tolist()
        assert np.array_equal(made.all_edges()[0], whole.edges)
    with pytest.raises(MalformedFile, match="no file fits"):
        prepared(parts / "*.csv", tmp_path / "none")


def test_features_are_aligned_and_scaled_as_in_memory(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(8))
    ids = [f"n{i}" for i in np.random.default_rng(1).permutation(34)]  # four nodes or more without an edge
    values = np.random.default_rng(2).normal(3, 2, size=(34, 5))
    table = pl.DataFrame({"id": ids} | {f"f{i}": values[:, i] for i in range(5)})
    table.write_csv(tmp_path / "features.csv")
    graph = Graph.from_edges(path, features=tmp_path / "features.csv", bipartite=False)
    assert graph.features is not None
    _, made = prepared(path, tmp_path / "store", (15, 2, 50, 3), features=tmp_path / "features.csv")
    assert made.ids().tolist() == graph.ids.tolist()
    assert np.array_equal(made.all_edges()[0], graph.edges)
    features = made.features("auto")
    assert features is not None
    assert np.array_equal(features.matrix, graph.features.matrix)
    assert made.num_features == 5
    rows = np.concatenate(made.rows(FULL))
    np.testing.assert_allclose(rows[:, :5], features.matrix, atol=1e-5)
    np.testing.assert_allclose(rows[:, 5 : 5 + WIDTH] ** 2, 1 / WIDTH, rtol=1e-4)  # the random signs
    table.head(20).write_csv(tmp_path / "features.csv")
    with pytest.raises(BadFeatures, match="no row for node"):
        prepared(path, tmp_path / "other", features=tmp_path / "features.csv")


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the library catches it."""


def test_killed_anywhere_it_goes_on_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_edges(tmp_path / "edges.csv.gz", arcs(3, 60, 20))
    sizes = (30, 2, 90, 7)
    prepared(path, tmp_path / "whole", sizes)
    expected = content(tmp_path / "whole")
    sync, left = os.fsync, 0

    def dying(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", dying)
    left = 1 << 40
    prepared(path, tmp_path / "counted", sizes)
    num_syncs = (1 << 40) - left
    assert num_syncs > 40
    for point in range(2, num_syncs, num_syncs // 5):
        folder = tmp_path / f"killed-{point}"
        left = point
        with pytest.raises(Killed):
            prepared(path, folder, sizes)
        manifest = folder / MANIFEST
        if manifest.is_file():  # a line that was cut off as well
            manifest.write_bytes(manifest.read_bytes() + b'{"stage":"id')
        left = 1 << 40
        prepared(path, folder, sizes)
        assert content(folder) == expected


def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(4))
    prepared(path, tmp_path / "whole")
    code = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_sharded
from linkodds.sharded.store import Block
enter, count = Block._enter, 0
def dying(self, path, digest=None):
    global count
    enter(self, path, digest)
    count += 1
    if count == 50:
        os.kill(os.getpid(), signal.SIGKILL)
Block._enter = dying
test_sharded.prepared(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    store = tmp_path / "killed"
    command = [sys.executable, "-c", code, str(path), str(store), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -9
    assert (store / MANIFEST).is_file()
    prepared(path, store)
    assert content(store) == content(tmp_path / "whole")


def test_a_damaged_shard_is_named_with_its_cure_and_a_lost_one_is_made_again(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(5))
    prepared(path, tmp_path / "store")
    expected = content(tmp_path / "store")
    shard = tmp_path / "store" / "rows" / "1.full-columns.npy"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(BrokenRun, match=r"1\.full-columns\.npy is damaged.*Delete this file and run"):
        prepared(path, tmp_path / "store")
    shard.unlink()
    # What these rows were made of was dropped: the message says so.
    with pytest.raises(BrokenRun, match=r"turned/0\.keys\.npy is gone.*delete"):
        prepared(path, tmp_path / "store")
    prepared(path, tmp_path / "other")
    lost = tmp_path / "other" / "edges" / "0.keys.npy"
    lost.unlink()
    prepared(path, tmp_path / "other")
    made_again = content(tmp_path / "other")
    del made_again[MANIFEST], expected[MANIFEST]
    assert made_again == expected


def test_other_options_inputs_or_folders_are_refused(tmp_path: Path) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(6))
    prepared(path, tmp_path / "store")
    with pytest.raises(OptionError, match="seed = 0, not 1"):
        prepared(path, tmp_path / "store", seed=1)
    with path.open("a") as file:
        file.write("n1\tn2\n")
    with pytest.raises(OptionError, match=r"edges\.tsv = \d+, not"):
        prepared(path, tmp_path / "store")
    other = write_edges(tmp_path / "other.tsv", arcs(6))
    with pytest.raises(OptionError, match=r"of other files: .*edges\.tsv is one of them"):
        prepared(other, tmp_path / "store")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(RunExists, match="move it"):
        prepared(path, tmp_path / "full")
    (tmp_path / "store" / MANIFEST).write_text("{}\n")
    with pytest.raises(BrokenRun, match="first line"):
        prepared(path, tmp_path / "store")


def test_a_file_that_was_written_to_is_another_one_and_so_is_its_namesake(tmp_path: Path) -> None:
    """Neither name nor size tells: a row was changed for another one, and folders hold files of one name."""
    path = write_edges(tmp_path / "edges.tsv", arcs(6))
    prepared(path, tmp_path / "store")
    before = path.stat()
    *rows, last = path.read_text().splitlines()
    path.write_text("\n".join([*rows, "\t".join(reversed(last.split("\t")))]) + "\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert path.stat().st_size == before.st_size
    with pytest.raises(OptionError, match=r"edges\.tsv before it was last written to"):
        prepared(path, tmp_path / "store")
    for day in ("1", "2"):
        (tmp_path / day).mkdir()
        write_edges(tmp_path / day / "part.tsv", arcs(int(day)))
    store, _ = prepared(tmp_path / "*" / "part.tsv", tmp_path / "both")
    assert len(store.header.inputs) == 2


@pytest.mark.parametrize("text", ["", "a\tb\nc\n", "a\tb\nb\tc\n"])
def test_a_fit_of_what_is_refused_leaves_no_shards_and_the_next_one_runs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "edges.tsv"
    path.write_text(text)
    with pytest.raises(DataError):
        fit_sharded(path, tmp_path / "run", FitConfig())
    assert [each.name for each in tmp_path.iterdir()] == ["edges.tsv"]


def test_a_full_disk_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_edges(tmp_path / "edges.tsv", arcs(7))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Block, "write", full)
    with pytest.raises(RunError, match="no space left on the disk in ids.*goes on"):
        prepared(path, tmp_path / "store")
    monkeypatch.undo()
    prepared(path, tmp_path / "store")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a\tb\nc\td\ne\t\n" + "x\ty\n" * 9, MalformedFile, r"e\.tsv, line 3, column '2': an empty id"),
        ("a\tb\n" * 9 + "c\td\te\n" + "a\tb\n" * 9, MalformedFile, r"e\.tsv, line 10: 3 tab-separated"),
        ("a\tb\nb\tc\n", DegenerateGraph, "2 edge"),
        ("a\tb\nb\tc\na\tc\n" * 3, DegenerateGraph, "3 edge"),
        ("a\tb\n" * 7 + 'a\t"b\nc"\n', MalformedFile, "goes on in the next line"),
    ],
)
def test_bad_edge_lists_are_named_by_line(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "e.tsv").write_text(text)
    with pytest.raises(error, match=message):
        prepared(tmp_path / "e.tsv", tmp_path / "store", (4, 1, 100, 4), header=False, delimiter="tab")


def test_a_bipartite_graph_is_not_taken_for_another(tmp_path: Path) -> None:
    edges = np.array([(u, v) for u in range(8) for v in range(8, 16) if (u + v) % 3])
    path = write_edges(tmp_path / "edges.tsv", edges)
    blocks = Blocks(memory=4_000_000_000)
    with pytest.raises(OptionError, match="is bipartite"):
        prepare(Preparation(path), tmp_path / "a", LocalEngine(), blocks, lambda _: None)
    write_edges(path, np.concatenate([edges, [[0, 1], [8, 9], [0, 9]]]))
    _, made = prepare(Preparation(path), tmp_path / "b", LocalEngine(), blocks, lambda _: None)
    assert made.num_edges == len(np.unique(np.sort(np.concatenate([edges, [[0, 1], [8, 9], [0, 9]]]), axis=1), axis=0))


def test_random_rows_are_unit_and_nearly_orthogonal() -> None:
    rows = random_rows(0, 500, 256, 3).astype(np.float64)
    products = rows @ rows.T
    np.testing.assert_allclose(np.diag(products), 1, atol=1e-6)
    others = products[np.triu_indices(500, 1)]
    # Variance 1 / width over 124,750 products: the mean of squares is within 5 standard errors.
    assert abs(np.mean(others**2) * 256 - 1) < 5 * np.sqrt(2 / len(others))
    assert abs(others.mean()) < 5 / np.sqrt(256 * len(others))
    for width in (1, 63, 64, 65, 200):
        assert np.array_equal(random_rows(7, 11, width, 5), random_rows(0, 20, width, 5)[7:11])


def test_sizes_follow_the_cap() -> None:
    small, large = Blocks(memory=parse_memory("1GB")), Blocks(memory=parse_memory("4GB"))
    assert small.batch_rows < large.batch_rows
    assert small.buckets(10**8) > large.buckets(10**8)
    assert small.slice_columns(10**7, 64) < large.slice_columns(10**7, 64) <= 64
    with pytest.raises(OptionError, match="libraries alone"):
        Blocks(memory=10**8)
    with pytest.raises(OptionError, match="not 'much'"):
        parse_memory("much")
    with pytest.raises(OptionError, match="a column of"):
        small.slice_columns(10**9, 64)


def test_sorted_distinct_of_nothing() -> None:
    assert sorted_distinct(np.empty(0, dtype=np.int64)).tolist() == []


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
    auc = run.evaluation["metrics"]["roc_auc"]["value"]
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
    ):
        with pytest.raises(OptionError, match=message):
            fit_sharded(path, tmp_path / "run", config, reading=reading)
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
