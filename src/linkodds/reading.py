"""Reading: files and in-memory tables become an edge list, a list of nodes or a list of pairs, always with text ids."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.delimited import is_text_file, read_table
from linkodds.edge_weights import read_weights
from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.findings import Finding
from linkodds.interop import (
    EdgeList,
    as_array,
    edges_of_adjacency,
    edges_of_networkx,
    edges_of_pyg,
    ignored_columns,
    is_networkx,
    is_pyg,
)
from linkodds.relations import RowsOfKinds, read_kinds
from linkodds.tables import NOISE, Table, is_frame, load_sparse, read_bytes, require_file, table_of_frame
from linkodds.times import TIME_NAMES, looks_like_times, read_times

EDGE_FORMATS = ".csv .tsv .txt (also .gz), .parquet, .npz (SciPy adjacency), .graphml, .gml"
_LOOKED_AT = 1000
"""Rows of a column that may hold times."""


def read_edges(
    edges: Any,
    *,
    source: str | int | None = None,
    target: str | int | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    directed: bool = False,
    time: str | int | None = None,
    weight: str | int | None = None,
    weight_as: str | None = None,
    relation: str | int | None = None,
    predict_kind: str | None = None,
) -> EdgeList:
    """Edges of a file or of an object, as they stand there.

    Args:
        edges: a path, a pandas or polars table, a NetworkX graph, a SciPy sparse adjacency, PyG data, or pairs of ids.
        source: column of the first id, by name, or by number from 1 in a file without header; default the first.
        target: column of the second id; default the second.
        header: whether the first line names the columns; None detects it (the rule is in `delimited.read_table`).
        delimiter: of the columns; None detects it.
        directed: edges have a direction.
        time: column of the times, by name or number, of a table; None where there is none.
        weight: column of the weights, likewise.
        weight_as: confidence or strength.
        relation: column of the kinds of edges, likewise.
        predict_kind: the kind that is predicted; None: the one with most rows.
    Raises:
        MalformedFile: a file that cannot be read as what its name says, with line, column and value.
        DataError: an object that holds no graph.
        OptionError: a format or an option that does not fit.
    Example:
        >>> edges = read_edges(pl.DataFrame({"gene": ["p53", "atm"], "partner": ["mdm2", "p53"]}))
        >>> edges.ids.tolist(), edges.pairs.tolist()
        (['p53', 'mdm2', 'atm'], [[0, 1], [2, 0]])
    """
    options = {"source": source, "target": target, "header": header, "delimiter": delimiter, "time": time}
    options |= {"weight": weight, "relation": relation}
    if predict_kind is not None and relation is None:
        raise OptionError("--predict names a kind of edges; give their column with --relation COL.")
    if relation is not None and weight_as == "strength":
        raise OptionError(
            "--relation and --weight-as strength exclude each other: edges of other kinds have no common unit."
        )
    if (weight is None) != (weight_as is None):
        missing, given = (
            ("--weight COL", "--weight-as") if weight is None else ("--weight-as confidence|strength", "--weight")
        )
        raise OptionError(f"{given} needs {missing} beside it.")
    meant = _Meant(source, target, time, weight, weight_as, relation, predict_kind)
    if isinstance(edges, str | Path):
        path = Path(edges)
        if is_text_file(path) or path.suffix.lower() == ".parquet":
            table = read_table(
                path, header=header, delimiter=delimiter, ids=(source, target), named=(time, weight, relation)
            )
            return _edges_of_table(table, meant, directed)
        require_file(path)
        _refuse(options, path.name)
        return _read_graph_file(path, directed)
    if is_frame(edges):
        _refuse({"header": header, "delimiter": delimiter}, "a data frame")
        return _edges_of_table(table_of_frame(edges), meant, directed)
    _refuse(options, f"a {type(edges).__name__}")
    if is_pyg(edges):
        return edges_of_pyg(edges, directed=directed)
    if sp.issparse(edges):
        return edges_of_adjacency(edges, directed=directed)
    if is_networkx(edges):
        return edges_of_networkx(edges, directed=directed)
    pairs = np.asarray(edges, dtype=object) if isinstance(edges, list | tuple) else as_array(edges)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise DataError(
            f"edges: a {type(edges).__name__} of shape {pairs.shape} is none of: a path ({EDGE_FORMATS}), "
            "a pandas or polars table, a NetworkX graph, a SciPy sparse matrix, PyG data, pairs of shape (edges, 2)."
        )
    text = pl.DataFrame({"source": [_text(u) for u in pairs[:, 0]], "target": [_text(v) for v in pairs[:, 1]]})
    return _edges_of_table(table_of_frame(text), _Meant(), directed)


def read_pairs(
    pairs: Any,
    *,
    source: str | int | None = None,
    target: str | int | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Pairs to predict, in the user's ids and order: the formats and the rules of `read_edges`; any id is allowed.

    No pairs at all are a fine question in Python, where a filter may leave none; a file without a row is refused.

    Returns:
        Source ids and target ids, each of shape (pairs,), text.
    Raises:
        MalformedFile: as `read_edges`.
    Example:
        >>> [ids.tolist() for ids in read_pairs([("p53", "mdm2"), ("p53", 7)])]
        [['p53', 'p53'], ['mdm2', '7']]
    """
    if not isinstance(pairs, str | Path) and np.shape(pairs) in ((0,), (0, 2)):
        nothing = np.empty(0, dtype=object)
        return nothing, nothing
    # A matrix of pairs need not be symmetric, a graph file keeps the direction that it has.
    is_matrix = sp.issparse(pairs) or (isinstance(pairs, str | Path) and Path(pairs).suffix.lower() == ".npz")
    read = read_edges(pairs, source=source, target=target, header=header, delimiter=delimiter, directed=is_matrix)
    return read.ids[read.pairs[:, 0]], read.ids[read.pairs[:, 1]]


def read_nodes(nodes: Any) -> NDArray[np.object_]:
    """All nodes of a graph, in order: a file with one id a line (blank and `#` lines skipped), or ids.

    Args:
        nodes: a path (.gz is decompressed), or any iterable of ids.
    Returns:
        Shape (nodes,), text ids.
    Raises:
        MalformedFile: an id that is there twice, or no id at all.
    Example:
        >>> read_nodes(["p53", 7]).tolist()
        ['p53', '7']
    """
    if not isinstance(nodes, str | Path):
        values: Iterable[Any] = nodes.tolist() if hasattr(nodes, "tolist") else nodes
        names, lines, place = [str(name) for name in values], None, "nodes"
    else:
        place = Path(nodes).name
        try:
            text = read_bytes(Path(nodes)).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MalformedFile(
                f"{place}: byte {error.start} is no UTF-8 text; a file of nodes has one id a line."
            ) from error
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        numbered = [(i, line.strip()) for i, line in enumerate(text.split("\n"), 1)]
        numbered = [(i, line) for i, line in numbered if line and not line.startswith("#")]
        lines, names = [i for i, _ in numbered], [_unquote(name) for _, name in numbered]
    first_place: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name or name in first_place:
            where = f"{place}, line {lines[i]}" if lines else f"{place}, entry {i}"
            problem = f"the id {name!r} is there already; one line a node." if name else "an empty id."
            raise MalformedFile(f"{where}: {problem}")
        first_place[name] = i
    if not names:
        raise MalformedFile(f"{place}: no node; expected one id a line.")
    return np.array(names, dtype=object)


@dataclass(frozen=True)
class _Meant:
    """The columns that were asked for."""

    source: str | int | None = None
    target: str | int | None = None
    time: str | int | None = None
    weight: str | int | None = None
    weight_as: str | None = None
    relation: str | int | None = None
    predict_kind: str | None = None


def _edges_of_table(table: Table, meant: _Meant, directed: bool) -> EdgeList:
    source, target, time, weight = meant.source, meant.target, meant.time, meant.weight
    if len(table.names) < 2:
        raise MalformedFile(
            f"{table.place}: one column only ({', '.join(table.names)}); an edge list has two columns of ids."
        )
    chosen = [
        None if name is None else table.position(name, option=option)
        for name, option in ((source, "--source"), (target, "--target"))
    ]
    of_times = None if time is None else table.position(time, option="--time")
    of_weights = None if weight is None else table.position(weight, option="--weight")
    of_kinds = None if meant.relation is None else table.position(meant.relation, option="--relation")
    taken = [place for place in (of_times, of_weights, of_kinds) if place is not None]
    # A column without a name is a row index that some program wrote, so it is no default.
    free = [i for i, name in enumerate(table.names) if name != "" and i not in (*chosen, *taken)]
    positions = [free.pop(0) if place is None and free else place for place in chosen]
    if None in positions or positions[0] == positions[1]:
        raise OptionError(f"{table.place}: --source and --target are two columns, not {source!r} twice.")
    first, second = (int(place) for place in positions if place is not None)
    named = ("--time", time, of_times), ("--weight", weight, of_weights), ("--relation", meant.relation, of_kinds)
    for option, name, place in named:
        if place is not None and (place in (first, second) or taken.count(place) > 1):
            raise OptionError(f"{table.place}: {option} names a column of its own, not {name!r} twice.")
    if not len(table.lines):
        raise DataError(f"{table.place} has no row.")
    frame = table.load([first, second])
    columns = [frame.get_column(str(i)) for i in (first, second)]
    for position, column in zip((first, second), columns, strict=True):
        empty = (column == "").arg_max()
        if empty is not None and column[empty] == "":
            raise MalformedFile(
                f"{table.where(empty)}, column {table.names[position]!r}: an empty id. "
                f"Fill it in or delete the {table.unit}."
            )
    ids, pairs = _number_ids(columns[0], columns[1])
    times = None
    if of_times is not None:
        times = read_times(table.load([of_times]).to_series(), table.names[of_times], table.where)
    weights = None
    if of_weights is not None:
        cells = table.load([of_weights]).to_series()
        numbers = table.numbers([of_weights])[:, 0]
        weights = read_weights(
            numbers, meant.weight_as, table.names[of_weights], table.where, lambda row: str(cells[row])
        )
    ignored = [name for i, name in enumerate(table.names) if i not in (first, second, *taken)]
    findings = [ignored_columns(ignored)] if ignored else []
    if times is None:
        findings += _unused_times(table, (first, second, *taken))
    lower = [name.lower() for name in table.names]
    if source is None and target is None and {"source", "target"} <= set(lower) and lower[first] != "source":
        used = f"{table.names[first]!r} and {table.names[second]!r}"
        message = f"{table.place} has columns 'source' and 'target', but the first two are {used}."
        findings.append(
            Finding("reading", "warning", message, "Pass --source source --target target if those are meant.")
        )
    layout = f"{table.layout or 'table'}, columns {table.names[first]!r} and {table.names[second]!r}"
    read = EdgeList(ids, pairs, directed, table.where, layout=layout, times=times, weights=weights)
    if of_kinds is not None:
        kinds, of = table.load([of_kinds]).to_series(), table.names[of_kinds]
        predicted, names, codes, said = read_kinds(kinds, of, meant.predict_kind, table.where)
        read, findings = _of_one_kind(read, of, predicted, names, codes), [*findings, *said]
    return replace(read, findings=tuple(findings))


def _of_one_kind(
    read: EdgeList, column: str, predicted: str, names: tuple[str, ...], codes: NDArray[np.int64]
) -> EdgeList:
    """The rows of the predicted kind, and the others beside them."""
    kept, rest = np.flatnonzero(codes < 0), np.flatnonzero(codes >= 0)
    order, times, where = np.concatenate([kept, rest]), read.times, read.where
    of_rest = None if times is None else times.of(rest)
    return replace(
        read,
        pairs=read.pairs[kept],
        where=lambda row: where(int(order[row])),
        times=None if times is None else times.of(kept),
        weights=None if read.weights is None else read.weights.rows(kept),
        others=RowsOfKinds(column, predicted, names, codes[rest], read.pairs[rest], of_rest),
    )


def _unused_times(table: Table, taken: tuple[int | None, ...]) -> list[Finding]:
    """A warning where a column that nobody asked for has a name and values of times."""
    for i, name in enumerate(table.names):
        if i in taken or name.lower() not in TIME_NAMES:
            continue
        if looks_like_times(table.load([i]).to_series().head(_LOOKED_AT)):
            message = (
                f"Column {name!r} looks like times, and is not used: the split is random, so that a model learns from "
                "edges that are later than those it is tested on. That says nothing about links of the future, and mostly "
                "flatters."
            )
            remedy = f"Pass --time {name} (time={name!r}) where new links are those of the future."
            return [Finding("reading", "warning", message, remedy)]
    return []


def _number_ids(source: pl.Series, target: pl.Series) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Distinct ids in order of first appearance, and the rows as places in them."""
    cells = pl.concat([source.rename("id"), target.rename("id")])
    codes = cells.cast(pl.Categorical).to_physical().to_numpy().reshape(2, -1).T.ravel()
    distinct, first, place = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[order] = np.arange(len(distinct))
    row, end = np.divmod(first[order], 2)
    ids = np.array(cells.gather(row + end * len(source)).to_list(), dtype=object)
    return ids, rank[place].reshape(-1, 2)


def _read_graph_file(path: Path, directed: bool) -> EdgeList:
    kind = path.suffix.lower()
    if kind not in (".npz", ".graphml", ".gml"):
        raise OptionError(
            f"{path.name}: the name ends in {kind or 'no suffix'}, an unknown format; edges are read from {EDGE_FORMATS}."
        )
    data = read_bytes(path)
    try:
        if kind == ".npz":
            matrix: Any = load_sparse(data)
        else:
            matrix = nx.read_graphml(path) if kind == ".graphml" else _read_gml(path)
    except (*NOISE, nx.NetworkXException) as error:
        expected = {
            ".npz": "a matrix saved by scipy.sparse.save_npz",
            ".graphml": "a GraphML file",
            ".gml": "a GML file",
        }[kind]
        raise MalformedFile(f"{path.name}: not readable as {expected} ({type(error).__name__}: {error}).") from error
    if kind == ".npz":
        return edges_of_adjacency(matrix, directed=directed, place=path.name)
    return edges_of_networkx(matrix, directed=directed, place=path.name)


def _read_gml(path: Path) -> Any:
    try:
        return nx.read_gml(path)
    except nx.NetworkXError as error:
        if "label" not in str(error):
            raise
        return nx.read_gml(path, label="id")  # nodes without labels go by their id


def _text(name: Any) -> str:
    return "" if name is None or name != name else str(name)  # NaN, the missing value of other libraries, is not itself


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


def _refuse(options: dict[str, Any], what: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise OptionError(f"{', '.join(given)}: for tables only, {what} has no use for it.")
