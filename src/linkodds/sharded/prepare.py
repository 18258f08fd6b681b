"""Prepare: from edge lists to rows of the message graphs and H in blocks, all stages in order."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse import csgraph

from linkodds import __version__
from linkodds.errors import DegenerateGraph, OptionError
from linkodds.fitting.evaluation_setup import Seeds
from linkodds.graph.assembling import align_features
from linkodds.graph.features import Features, Scaling, read_features, scale_features
from linkodds.pairs import Pairs
from linkodds.reading.delimited import is_text_file
from linkodds.reading.tables import PACKED_SUFFIXES
from linkodds.sharded.batches import Batch, Layout, Unpack, find_files, layout_of, plan_batches
from linkodds.sharded.engine import Engine
from linkodds.sharded.hops import Columns, Hop, JoinHops, MakeTable, row_columns
from linkodds.sharded.numbering import COARSE, FindFirst, ListIds, NumberEdges, RankFirst, coarse_size, ends_of
from linkodds.sharded.rows import (
    FULL,
    MOST_FOLDS,
    PERMUTED,
    DealEdges,
    MakeRows,
    SortEdges,
    TurnEdges,
    cut_ranges,
    open_graph,
)
from linkodds.sharded.sizes import Blocks
from linkodds.sharded.store import FinishedBlock, Header, Store, WorkBlock

Say = Callable[[str], None]
_MOST_NODES = 1 << 30
MOST_FEATURES = 1024
"""Columns of features, at most."""
FOLDED = 16_000_000_000
"""Bytes of H in all open message graphs, about, that decide how many folds there are where nobody says it."""
_CHECKED = 1 << 22
_MIN_CYCLES = 10  # see `linkodds.graph.assembling`


@dataclass(frozen=True)
class Preparation:
    """What to prepare, and how.

    Args:
        edges: a file, a folder or a pattern.
        source: column of the first id.
        target: column of the second id.
        header: None detects it.
        delimiter: None detects it.
        bipartite: False takes all pairs as candidates without a look at the graph; None looks.
        shares: of train, validation, calibration and test edges.
        supervision: share of the train edges that is kept out of the inputs and ranked while training, in each fold.
        folds: of supervision edges, each with a message graph of its own; None takes `folds_of`.
        seed: of the fit.
        width: columns of the random table.
        hops: K.
        features: a file of node features, that stand in X before the random table. They are read into memory.
        feature_scaling: see `linkodds.graph.features.scale_features`.
    """

    edges: Path
    source: str | int | None = None
    target: str | int | None = None
    header: bool | None = None
    delimiter: str | None = None
    bipartite: bool | None = None
    shares: tuple[float, float, float, float] = (0.8, 0.05, 0.05, 0.1)
    supervision: float = 0.125
    folds: int | None = None
    seed: int = 0
    width: int = 64
    hops: int = 2
    features: Path | None = None
    feature_scaling: Scaling = "auto"


@dataclass(frozen=True)
class AlignFeatures:
    """Stage of one block: a row of scaled features for each node, and the ids of nodes that have no edge.

    Args:
        folder: of the store.
        batches: how many.
        features: their file.
        scaling: see `linkodds.graph.features.scale_features`.
        stage: its name.
    """

    folder: Path
    batches: int
    features: Path
    scaling: Scaling
    stage: str = "features"

    def __call__(self, number: int) -> FinishedBlock:
        """Read, align and scale them."""
        block = WorkBlock(self.folder, self.stage, number)
        table = read_features(self.features)
        names = [block.texts(f"arcs/{batch}.names").to_list() for batch in range(self.batches)]
        ids = np.array([name for part in names for name in part], dtype=object)
        everyone, rows = align_features(ids, table)
        if table.matrix.shape[1] > MOST_FEATURES:
            raise OptionError(
                f"{table.place}: {table.matrix.shape[1]:,} features; sharded fits take up to {MOST_FEATURES:,}, since H has a "
                "dense row for each node. Leave --features out, or give fewer (truncated SVD)."
            )
        scaled, _ = scale_features(table.matrix[rows], self.scaling, table.names)
        matrix: Any = scaled.matrix
        block.save("rows", matrix if isinstance(matrix, np.ndarray) else matrix.toarray())
        block.save_texts("names", pl.Series(everyone[len(ids) :].tolist(), dtype=pl.String))
        block.counts["operations"] += matrix.shape[0] * matrix.shape[1]
        return block.made(nodes=len(everyone), width=matrix.shape[1])


@dataclass(frozen=True)
class PreparedStore:
    """A store that is ready to be fitted.

    Args:
        folder: of the store.
        nodes: of the graph.
        edges: in each range.
        ranges: first node of each range, and the number of nodes at the end.
        columns: of X.
        hops: K.
        sizes: edges of train (supervision edges not among them), validation, calibration, test and supervision.
        folds: of supervision edges.
        batches: how many.
        said: what reading found, as `linkodds.graph.assembling` counts it: rows, loops, repeats, reversed.
        num_features: columns of X that are features, the first ones.
    """

    folder: Path
    nodes: int
    edges: tuple[int, ...]
    ranges: tuple[int, ...]
    columns: Columns
    hops: int
    sizes: dict[str, int]
    folds: int
    batches: int
    said: dict[str, int]
    num_features: int = 0

    @property
    def has_features(self) -> bool:
        """Whether there are any."""
        return self.num_features > 0

    @property
    def num_edges(self) -> int:
        """Distinct edges."""
        return sum(self.edges)

    def ids(self) -> NDArray[np.object_]:
        """Shape (nodes,): the user's ids, in memory."""
        block = WorkBlock(self.folder, "", 0)
        parts = [block.texts(f"arcs/{batch}.names").to_list() for batch in range(self.batches)]
        if self.has_features:
            parts.append(block.texts("features/0.names").to_list())
        return np.array([name for part in parts for name in part], dtype=object)

    def held_out(self, part: str) -> Pairs:
        """Shape (edges, 2): validation, calibration or test edges, in the order of the split."""
        return WorkBlock(self.folder, "", 0).load(f"split/0.{part}")

    def supervision(self, fold: int) -> Pairs:
        """Shape (edges, 2): the supervision edges of a fold."""
        block = WorkBlock(self.folder, "", 0)
        parts = [block.load(f"rows/{part}.supervision-{fold}") for part in range(len(self.edges))]
        return np.concatenate(parts).astype(np.int64)

    def all_edges(self) -> tuple[Pairs, NDArray[np.uint8]]:
        """All edges in the order of their keys, and their labels; in memory."""
        block = WorkBlock(self.folder, "", 0)
        keys = np.concatenate([block.load(f"edges/{part}.keys") for part in range(len(self.edges))])
        return np.column_stack(ends_of(keys)), block.load("split/0.labels")

    def features(self, scaling: Scaling) -> Features | None:
        """The features as they were scaled, in memory; None without any."""
        if not self.has_features:
            return None
        return Features(WorkBlock(self.folder, "", 0).load("features/0.rows"), scaling)

    def rows(self, graph: str) -> list[NDArray[np.float32]]:
        """H by ranges, mapped into memory."""
        block = WorkBlock(self.folder, "", 0)
        return [block.mapped(f"{graph}-hops/{part}.rows") for part in range(len(self.edges))]


def prepare(
    what: Preparation, folder: Path, engine: Engine, blocks: Blocks, say: Say, *, graphs: tuple[str, ...] | None = None
) -> tuple[Store, PreparedStore]:
    """Do what is not done yet.

    Args:
        what: to prepare.
        folder: of the store; goes on with what is there.
        engine: does the blocks.
        blocks: sizes of blocks.
        say: called with one line a stage.
        graphs: message graphs that H is wanted for; None: for all.
    Raises:
        DataError: edge lists that cannot be read or used.
        OptionError: options that do not fit, or too little memory.
        BrokenRun: a damaged shard.
        RunError: a full disk.
    """
    if len(what.shares) != 4 or min(what.shares) <= 0 or abs(sum(what.shares) - 1) > 1e-9:
        raise OptionError(f"--split takes four positive numbers with sum 1, not {what.shares}.")
    files = find_files(what.edges)
    store = Store(folder, _header(what, files, blocks))
    packed = tuple(file for file in files if file.suffix.lower() in PACKED_SUFFIXES)
    store.run(engine.map, Unpack(folder, packed), "text", range(len(packed)), say)
    texts = {file: folder / "text" / f"{number}.text" for number, file in enumerate(packed)}
    layouts = [_layout(what, file, texts.get(file)) for file in files]
    batches: tuple[Batch, ...] = tuple(
        batch
        for layout in layouts
        for batch in plan_batches(layout, batch_rows=blocks.batch_rows, batch_bytes=blocks.batch_bytes)
    )
    say(f"reading {len(files)} file{'s' * (len(files) > 1)} in {len(batches)} batches ({layouts[0].said})")
    buckets = blocks.buckets(sum(_most_rows(batch) for batch in batches))
    listing = store.run(engine.map, ListIds(folder, batches, buckets), "ids", range(len(batches)), say)
    listed = tuple(made.counts["ids"] for made in listing)
    rows = sum(made.counts["rows"] for made in listing)
    store.run(engine.map, FindFirst(folder, listed), "firsts", range(buckets), say)
    (ranked,) = store.run(engine.map, RankFirst(folder, listed, buckets, blocks.segment), "ranks", range(1), say)
    nodes = ranked.counts["nodes"]
    if nodes > _MOST_NODES:
        raise OptionError(f"{nodes:,} nodes: sharded fits number up to {_MOST_NODES:,}.")
    numbering = NumberEdges(folder, listed, buckets, nodes)
    arcs = store.run(engine.map, numbering, "arcs", range(len(batches)), say)
    store.drop("ids", "firsts", "ranks")

    num_features = 0
    if what.features is not None:
        aligning = AlignFeatures(folder, len(batches), what.features, what.feature_scaling)
        (aligned,) = store.run(engine.map, aligning, "features", range(1), say)
        nodes, num_features = aligned.counts["nodes"], aligned.counts["width"]
    block = WorkBlock(folder, "", 0)
    ends = sum(block.load(f"arcs/{batch}.ends") for batch in range(len(batches)))
    width = num_features + what.width
    folds = folds_of(nodes, width, what.hops) if what.folds is None else what.folds
    row_bytes = row_columns(width, what.hops) * 4
    coarse = coarse_size(nodes)
    if coarse != coarse_size(ranked.counts["nodes"]):  # parts of other nodes: no more is known than that all are alike
        ends = np.full(COARSE, np.asarray(ends).sum() / COARSE)
    costs = np.array([blocks.range_cost(count, coarse, row_bytes) for count in np.asarray(ends).tolist()])
    assert len(costs) == COARSE
    ranges = cut_ranges(costs, nodes, blocks.share)
    numbers = range(len(ranges) - 1)
    sorting = store.run(engine.map, SortEdges(folder, len(batches), ranges), "edges", numbers, say)
    edges = tuple(made.counts["edges"] for made in sorting)
    _refuse_degenerate(nodes, sum(edges))
    if what.bipartite is None:
        _refuse_bipartite(folder, edges, nodes, blocks)
    if sum(edges) <= PERMUTED:
        blocks.refuse_split(sum(edges))
    split_seed = Seeds.of(what.seed).split
    seed = (what.seed, tuple(int(each) for each in split_seed.spawn_key))
    dealing = DealEdges(folder, edges, what.shares, what.supervision, folds, seed)
    (dealt,) = store.run(engine.map, dealing, "split", range(1), say)
    store.run(engine.map, TurnEdges(folder, edges), "turned", numbers, say)
    store.run(engine.map, MakeRows(folder, edges, ranges, folds), "rows", numbers, say)
    store.drop("turned")
    columns = Columns(width, blocks.slice_columns(nodes, width))
    for graph in (*map(open_graph, range(folds)), FULL) if graphs is None else graphs:
        propagate(store, engine, graph, ranges, columns, what, say)
    proper, loops = (sum(made.counts[name] for made in arcs) for name in ("proper", "loops"))
    num_arcs = sum(made.counts["arcs"] for made in sorting)
    said = {"rows": rows, "loops": loops, "repeats": proper - num_arcs, "reversed": num_arcs - sum(edges)}
    sizes = {name: dealt.counts[name] for name in ("train", "validation", "calibration", "test", "supervision")}
    return store, PreparedStore(
        folder, nodes, edges, ranges, columns, what.hops, sizes, folds, len(batches), said, num_features
    )


def folds_of(nodes: int, width: int, hops: int) -> int:
    """Folds of supervision edges: as many as H of their message graphs may take about `FOLDED` bytes, from 1 to `MOST_FOLDS`.

    They follow from the graph alone, so that memory and workers change no result.

    Example:
        >>> [folds_of(nodes, 128, 3) for nodes in (10**5, 2 * 10**6, 10**7)]
        [7, 3, 1]
    """
    return max(1, min(MOST_FOLDS, FOLDED // (4 * nodes * row_columns(width, hops))))


def propagate(
    store: Store, engine: Engine, graph: str, ranges: tuple[int, ...], columns: Columns, what: Preparation, say: Say
) -> None:
    """H of one message graph: the table, hop after hop, and all joined by rows."""
    numbers, folder = range(len(ranges) - 1), store.folder
    seed = int(np.random.SeedSequence(what.seed, spawn_key=(17,)).generate_state(1, np.uint64)[0])
    features = None if what.features is None else folder / "features" / "0.rows.npy"
    table = MakeTable(folder, graph, ranges, columns, seed, features)
    store.run(engine.map, table, table.stage, numbers, say)
    for hop in range(1, what.hops + 1):
        work = Hop(folder, graph, ranges, columns, hop)
        store.run(engine.map, work, work.stage, range(len(columns.slices) * len(numbers)), say)
        del work  # and the slice that it keeps
    join = JoinHops(folder, graph, ranges, columns, what.hops)
    store.run(engine.map, join, join.stage, numbers, say)
    store.drop(*(f"{graph}-hop-{hop}" for hop in range(what.hops + 1)))


def _header(what: Preparation, files: list[Path], blocks: Blocks) -> Header:
    options: dict[str, Any] = {
        name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
        for name, value in vars(what).items()
        if name != "edges"
    }
    options |= {"memory": blocks.memory, "workers": blocks.workers}
    versions = {
        "linkodds": __version__,
        "numpy": np.__version__,
        "polars": pl.__version__,
        "torch": str(torch.__version__),
    }
    found = {str(file): file.stat() for file in [*files, *([what.features] if what.features else [])]}
    return Header(
        versions=versions,
        inputs={path: about.st_size for path, about in found.items()},
        changed={path: about.st_mtime_ns for path, about in found.items()},
        options=options,
    )


def _layout(what: Preparation, file: Path, text: Path | None) -> Layout:
    if text is None and is_text_file(file):
        text = file
    return layout_of(file, text, source=what.source, target=what.target, header=what.header, delimiter=what.delimiter)


def _most_rows(batch: Batch) -> int:
    """Rows of a batch, at most, of the ids that there usually are: a line of text has four bytes at least, mostly twelve."""
    return (batch.end - batch.begin) // (1 if batch.layout.text is None else 8) + 1


def _refuse_degenerate(nodes: int, edges: int) -> None:
    if edges < 4:
        raise DegenerateGraph(f"the graph has {edges} edge(s); a split into four parts needs at least one for each.")
    if edges == nodes * (nodes - 1) // 2:
        raise DegenerateGraph(f"all {edges} pairs are edges: a complete graph has no non-edge to predict.")


def _refuse_bipartite(folder: Path, edges: tuple[int, ...], nodes: int, blocks: Blocks) -> None:
    """An odd cycle among the first few million edges settles it for nearly all graphs; else all edges are looked at."""
    block = WorkBlock(folder, "", 0)
    keys = block.took(block.mapped("edges/0.keys")[:_CHECKED])
    distinct, place = np.unique(np.concatenate(ends_of(keys)), return_inverse=True)
    pairs = place.reshape(2, -1).T
    labels = _components(np.arange(2 * len(distinct), dtype=np.int32), pairs, len(distinct))
    if (labels[: len(distinct)] == labels[len(distinct) :]).any():
        return
    if 64 * nodes > blocks.working:
        raise OptionError(
            f"{folder}: whether the graph is bipartite takes {64 * nodes:,} bytes to find out. Pass --no-bipartite if links "
            "within a side are possible."
        )
    labels = np.arange(2 * nodes, dtype=np.int32)
    for part in range(len(edges)):
        of_part = block.mapped(f"edges/{part}.keys")
        for start in range(0, len(of_part), _CHECKED):
            pairs = np.column_stack(ends_of(np.array(of_part[start : start + _CHECKED])))
            labels = _components(labels, pairs, nodes)
            if (labels[:nodes] == labels[nodes:]).any():
                return
    # As many components as the graph has, twice: every one of them comes with its mirror image.
    if sum(edges) - nodes + len(np.unique(labels)) // 2 >= _MIN_CYCLES:
        raise OptionError(
            "the graph is bipartite: its edges never close an odd cycle. Sharded fits take all pairs as candidates; pass "
            "--no-bipartite if links within a side are possible, or fit without --engine and --memory."
        )


def _components(labels: NDArray[np.int32], pairs: Pairs, nodes: int) -> NDArray[np.int32]:
    """Components of the double cover, joined along more edges."""
    source = labels[np.concatenate([pairs[:, 0], pairs[:, 1]])]
    target = labels[np.concatenate([pairs[:, 1], pairs[:, 0]]) + nodes]
    size = len(labels)
    graph = sp.coo_array((np.ones(len(source), dtype=np.int8), (source, target)), shape=(size, size))
    _, component = csgraph.connected_components(graph.tocsr(), directed=False)
    return component[labels].astype(np.int32)
