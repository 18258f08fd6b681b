"""What the paths given to the doctor hold, and their findings together."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.doctor.confusion import CELLS, holds_report, read_confusion_matrix
from linkodds.doctor.diagnosis import (
    diagnose_confusion_matrix,
    diagnose_graph,
    diagnose_history,
    diagnose_run,
    diagnose_split,
    diagnose_table,
    diagnose_table_on_graph,
)
from linkodds.doctor.history_rules import History, words
from linkodds.doctor.inputs import VALUE_COLUMNS, ScoreTable, read_labels, read_table
from linkodds.doctor.model_rules import ModelScores, scores_rng
from linkodds.doctor.rules import conclude
from linkodds.errors import MalformedFile, OptionError
from linkodds.evaluation.evaluation import Evaluation
from linkodds.findings import Finding
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.pairs import Pairs
from linkodds.probability.decision import Decision
from linkodds.reading.database_urls import Database, place_of
from linkodds.reading.delimited import is_text_file
from linkodds.reading.delimited import read_table as read_columns
from linkodds.reading.reading import read_edges
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.tables import read_bytes
from linkodds.scorers.function_scoring import LostScorer
from linkodds.scorers.scoring import Embeddings, Scorer, base_of

Kind = Literal["run", "report", "table", "history", "edges", "labelled edges", "split"]
Ids = NDArray[np.object_]

_CALLED = {
    "run": "a run",
    "report": "a confusion matrix",
    "table": "a table of scores",
    "history": "a training history",
    "edges": "an edge list",
    "labelled edges": "a labelled part of a split",
    "split": "a split",
}
_NON_EDGE_WORDS = {"neg", "negs", "negative", "negatives", "non", "nonedges", "false", "absent", "zeros"}
_PARTS = {"train": "train", "val": "validation", "calib": "calibration", "test": "test", "mess": "message"}


class SavedRun(Protocol):
    """What the doctor reads of a saved run."""

    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def evaluation(self) -> Evaluation: ...
    @property
    def history(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def split(self) -> Split: ...
    @property
    def decision(self) -> Decision: ...
    @property
    def scorer(self) -> Scorer: ...
    @property
    def embeddings(self) -> tuple[Embeddings, Embeddings] | None: ...


@dataclass(frozen=True)
class Part:
    """One set of pairs of a split: ids of shape (pairs, 2), and whether they are edges."""

    name: str
    ids: Ids
    are_edges: bool


def examine(
    targets: str | Path | Database | Sequence[str | Path | Database],
    *,
    load_run: Callable[[Path], SavedRun],
    num_candidates: float | None = None,
    prevalence: float | None = None,
    features: str | Path | None = None,
    nodes: str | Path | None = None,
    directed: bool = False,
    query: str | None = None,
) -> list[Finding]:
    """Find out what paths hold, and diagnose them together.

    Several edge lists are the parts of one split; those whose name says "neg" hold non-edges. A table of scores with the
    columns source and target, beside edge lists, is also held against them: they are the edges its model knew.

    Args:
        targets: one path or several: the directory of a run; a table with a column `label` and scores; a confusion matrix;
            a history with a column that is a loss; an .npz of index arrays, one a part; else an edge list, read as `fit`
            reads it; or the URL of a database, which is read as an edge list.
        load_run: opens a run.
        num_candidates: for a table or a matrix: all pairs that it is for, its own edges and all non-edges.
        prevalence: for a table or a matrix: the share of edges among the pairs that it is for.
        features: for an edge list: its node features, taken as they are.
        nodes: for an edge list: its node ids.
        directed: edges have a direction, in tables and edge lists.
        query: the SELECT that gives the edges, where one of the targets is a database.
    Raises:
        MalformedFile: none of these.
        OptionError: an option that does not belong to what the paths hold.
    """
    given = [targets] if isinstance(targets, str | Path | Database) else targets
    places = [target if isinstance(target, Database) else place_of(target) for target in given]
    databases = list(dict.fromkeys(place for place in places if isinstance(place, Database)))
    paths = [place for place in places if isinstance(place, Path)]
    if query is not None and len(databases) != 1:
        raise OptionError("--query is for one database among the targets: postgresql://, sqlite:/// or duckdb:///.")
    kinds = {path: _kind(path, alone=len(places) == 1) for path in dict.fromkeys(paths)}
    of_kind = {kind: [path for path in kinds if kinds[path] == kind] for kind in _CALLED}
    judged = of_kind["table"] + of_kind["report"]
    edge_lists: list[Path | Database] = [*of_kind["edges"], *databases]
    all_kinds: dict[Path | Database, Kind] = {
        place: kinds[place] if isinstance(place, Path) else "edges" for place in places
    }
    _refuse(all_kinds, judged, "--prevalence and --num-candidates", "a table of scores", num_candidates, prevalence)
    _refuse(all_kinds, edge_lists, "--features and --nodes", "an edge list", features, nodes)
    base_rate = {"num_candidates": num_candidates, "prevalence": prevalence}
    found: list[Finding] = []
    for path in of_kind["run"]:
        found += _of_run(path, load_run)
    for path in of_kind["report"]:
        found += diagnose_confusion_matrix(read_confusion_matrix(path, **base_rate))
    for path in of_kind["history"]:
        found += diagnose_history(read_history(path))
    tables = [read_table(path, **base_rate) for path in of_kind["table"]]
    for table in tables:
        found += diagnose_table(table, directed=directed)
    parts = [part for path in kinds for part in _parts(path, kinds[path])]
    parts += [_part_of_edges(database, database.name, query) for database in databases]
    if len(edge_lists) == 1:
        edges = edge_lists[0]
        graph = Graph.from_edges(
            edges, features=features, nodes=nodes, directed=directed, feature_scaling="none", query=query
        )
        found += diagnose_graph(graph, rows=read_edges(edges, ReadingOptions(query=query)).pairs)
    elif features is not None:
        raise OptionError(f"--features belongs to one edge list, and {len(edge_lists)} were given.")
    with_ids = [table for table in tables if table.pairs is not None]
    if parts and len(with_ids) == 1:
        found += _of_table_and_parts(with_ids[0], parts, nodes, directed)
    elif len(parts) > 1:
        of_edges, of_non_edges, ids = _numbered(parts)
        found += diagnose_split(of_edges, of_non_edges, directed=directed, ids=ids)
    return conclude(found)


def _of_run(path: Path, load_run: Callable[[Path], SavedRun]) -> list[Finding]:
    if not (path / "evaluation.json").is_file():
        raise MalformedFile(f"{path} is a directory without evaluation.json, so it is no run. Pass a run, or one file.")
    run = load_run(path)
    stored = run.evaluation.findings
    embeddings = run.embeddings
    scores = None
    base = base_of(run.scorer)
    if not isinstance(base, LostScorer):
        scores = ModelScores.of(
            run.scorer,
            run.split,
            scores_rng(run.config["options"]["seed"]),
            embeddings=None if embeddings is None else embeddings[0],
        )
    found = diagnose_run(
        evaluation=run.evaluation, history=run.history, split=run.split, decision=run.decision.rule, scores=scores
    )
    judged = {finding.id for finding in found}
    return conclude([*found, *(finding for finding in stored if finding.id not in judged)])


def _of_table_and_parts(
    table: ScoreTable, parts: Sequence[Part], nodes: str | Path | None, directed: bool
) -> list[Finding]:
    """The split rules on all parts and the table's rows, and D22, D23 and D28 on the graph that they make together."""
    assert table.pairs is not None
    scored = [Part("scored", table.pairs[table.labels], True), Part("scored", table.pairs[~table.labels], False)]
    edges, non_edges, ids = _numbered([*parts, *scored])
    found = diagnose_split(edges, non_edges, directed=directed, ids=ids)
    known = [part.ids for part in parts if part.are_edges]
    if not known:
        return found
    train = np.concatenate(known)
    rows = pl.DataFrame(np.concatenate([train, scored[0].ids]).astype(str), schema=["source", "target"])
    named = {str(name) for part in (*parts, *scored) for name in part.ids.ravel()}
    every = sorted(named) if nodes is None else sorted({*named, *Graph.from_edges(rows, nodes=nodes).ids})
    graph = Graph.from_edges(rows, nodes=every, directed=directed)
    pairs = graph.space.canonical(graph.index_of(train.ravel().tolist()).reshape(-1, 2))
    pairs = np.unique(pairs[graph.space.is_admissible(pairs)], axis=0)
    return [*found, *diagnose_table_on_graph(table, graph, pairs)]


def _parts(path: Path, kind: Kind) -> list[Part]:
    stem = path.name.split(".")[0]
    if kind == "edges":
        return [_part_of_edges(path, stem)]
    if kind == "labelled edges":
        ids, labels = read_labels(path)
        return [Part(stem, ids[labels], True), Part(stem, ids[~labels], False)]
    if kind == "split":
        parts = []
        with np.load(io.BytesIO(read_bytes(path)), allow_pickle=False) as arrays:
            for name in arrays.files:
                parts.append(Part(name, _index_pairs(path, name, arrays[name]), not words(name) & _NON_EDGE_WORDS))
        return parts
    return []


def _part_of_edges(edges: Path | Database, name: str, query: str | None = None) -> Part:
    listed = read_edges(edges, ReadingOptions(query=query))
    return Part(name, listed.ids[listed.pairs], not words(name) & _NON_EDGE_WORDS)


def _index_pairs(path: Path, name: str, array: NDArray[Any]) -> Ids:
    """Shape (pairs, 2): indices as text, whichever way the array lies; two pairs are taken to be rows."""
    if array.ndim == 2 and array.shape[0] == 2 != array.shape[1]:
        array = array.T
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise MalformedFile(
            f"{path.name}: {name} has shape {array.shape} and type {array.dtype}; a part of a split has two columns of "
            "node indices."
        )
    return array.astype(str).astype(object)


def _numbered(parts: Sequence[Part]) -> tuple[dict[str, Pairs], dict[str, Pairs], NDArray[Any]]:
    """Parts of edges and of non-edges by name, with nodes numbered across all of them, and the id of each number."""
    ids, numbers = np.unique(np.concatenate([part.ids.ravel() for part in parts]).astype(str), return_inverse=True)
    ends = np.cumsum([part.ids.size for part in parts])[:-1]
    edges: dict[str, Pairs] = {}
    non_edges: dict[str, Pairs] = {}
    for part, of_part in zip(parts, np.split(numbers.astype(np.int64), ends), strict=True):
        into = edges if part.are_edges else non_edges
        called = {role for word in words(part.name) for start, role in _PARTS.items() if word.startswith(start)}
        role = called.pop() if len(called) == 1 else part.name
        into[part.name if role in into else role] = of_part.reshape(-1, 2)
    return edges, non_edges, ids


def _kind(path: Path, *, alone: bool) -> Kind:
    if path.is_dir():
        return "run"
    if not path.exists():
        raise MalformedFile(f"{path}: no such file or directory.")
    if holds_report(path):
        return "report"
    if path.suffix.lower() == ".npz" and _holds_split(path):
        return "split"
    names = _column_names(path)
    if "label" in names and (alone or names & set(VALUE_COLUMNS)):
        return "table"
    if "label" in names:
        return "labelled edges"
    values = [name for name in VALUE_COLUMNS if name in names]
    if values and names.issuperset(("source", "target")):
        raise MalformedFile(
            f"{path}: columns source, target and {values[0]}, and none that says which pairs are edges. Add 'label' (1 edge, 0 "
            "non-edge), or take the labels from the graph: linkodds evaluate --scores FILE --edges EDGES. If these are edges, "
            f"call the column 'weight' in the place of '{values[0]}'."
        )
    if _is_history(names):
        return "history"
    return "report" if names.issuperset(CELLS) else "edges"


def _holds_split(path: Path) -> bool:
    """Whether an .npz names its arrays by parts of a split (a sparse adjacency has indices, indptr, data)."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(path))) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return False  # reading it as an adjacency says what is wrong
    return len(names) > 1 and any(word.startswith("train") for name in names for word in words(name))


def _column_names(path: Path) -> set[str]:
    """Lower-case column names of a text or Parquet file; empty where it is another kind of file."""
    if not is_text_file(path) and path.suffix.lower() != ".parquet":
        return set()
    table = read_columns(path)
    if len(table.lines) == 1:  # a header alone cannot be told from a row, but for its words
        cells = {str(cell).lower() for cell in table.load(list(range(len(table.names)))).row(0)}
        if "label" in cells or _is_history(cells):
            raise MalformedFile(f"{path}: a header and no row under it; there is nothing to judge.")
    return {name.lower() for name in table.names}


def _is_history(names: set[str]) -> bool:
    """Whether some column counts epochs or is a loss term, and no others look like an edge list."""
    terms = any(
        words(name) & {"epoch", "loss", "cost", "reconstruction", "recon", "kl", "kld", "elbo", "bce"} for name in names
    )
    return terms and not names & {"source", "target"}


def _refuse(
    kinds: Mapping[Path | Database, Kind],
    fitting: Sequence[Path | Database],
    options: str,
    belong_to: str,
    *given: object,
) -> None:
    if any(option is not None for option in given) and not fitting:
        path, kind = next(iter(kinds.items()))
        raise OptionError(f"{path} is {_CALLED[kind]}. {options} belong to {belong_to}.")


def read_history(path: str | Path) -> History:
    """The numeric columns of a training history; blank cells are values that were not written at that epoch.

    Raises:
        MalformedFile: no column that is a loss.
    """
    table = read_columns(Path(path))
    columns: dict[str, list[float | None]] = {}
    for position, name in enumerate(table.names):
        text = table.load([position]).to_series()
        values = text.cast(pl.Float64, strict=False)
        if bool((values.is_not_null() | (text == "")).all()):  # a column with words in it ("event") is not a curve
            columns[name] = values.to_list()
    history = History.from_columns(columns)
    if history.reconstruction is None:
        raise MalformedFile(
            f"{table.place} has the columns {', '.join(table.names)}, none of which is a training loss in numbers."
        )
    return history
