"""Shards of a graph: whatever the blocks, the same numbers as in memory; whenever they are killed, the same bytes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linkodds import Graph
from linkodds.config import FitConfig
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
from linkodds.graph.split import adjacency, split_edges
from linkodds.models.autoencoders.propagation import normalized_adjacency
from linkodds.sharded.engine import LocalEngine
from linkodds.sharded.hops import random_rows
from linkodds.sharded.numbering import sorted_distinct
from linkodds.sharded.prepare import Preparation, prepare
from linkodds.sharded.rows import FULL, SUPERVISION, TRAIN, open_graph
from linkodds.sharded.running import fit_sharded
from linkodds.sharded.sizes import Blocks, parse_memory
from linkodds.sharded.store import MANIFEST, WorkBlock
from places import ROOT
from sharded_graphs import (
    COARSE_BLOCKS,
    FINE_BLOCKS,
    WIDTH,
    arcs,
    no_waiting_for_the_disk,  # noqa: F401
    prepared,
    write_edges,
)


def content(folder: Path) -> dict[str, str]:
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


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
import sharded_graphs
from linkodds.sharded.store import WorkBlock
enter, count = WorkBlock._enter, 0
def dying(self, path, digest=None):
    global count
    enter(self, path, digest)
    count += 1
    if count == 50:
        os.kill(os.getpid(), signal.SIGKILL)
WorkBlock._enter = dying
sharded_graphs.prepared(Path(sys.argv[1]), Path(sys.argv[2]))
"""
    store = tmp_path / "killed"
    command = [sys.executable, "-c", code, str(path), str(store), str(ROOT / "tests")]
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

    monkeypatch.setattr(WorkBlock, "write", full)
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
