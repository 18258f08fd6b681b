"""Edge columns: which columns of a table are the ends, times, weights and kinds of edges; its rows become an edge list."""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.findings import Finding
from linkodds.reading.edge_weights import EdgeWeights, read_weights
from linkodds.reading.interop import EdgeList, ignored_columns
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.relations import RowsOfKinds, read_kinds
from linkodds.reading.tables import Table
from linkodds.reading.times import TIME_NAMES, looks_like_times, read_times

_LOOKED_AT = 1000
"""Rows of a column that may hold times."""


def edges_of_table(table: Table, columns: ReadingOptions, *, warns_of_times: bool = True) -> EdgeList:
    """The rows of a table as edges, with what else was asked for.

    Args:
        table: of at least two columns.
        columns: which of them are meant, and whether edges have a direction.
        warns_of_times: whether to look for a column of times that nobody asked for.
    Raises:
        MalformedFile: no such column, or a cell that is not what its column should hold, with its place and value.
        OptionError: a column that is asked for twice.
        DataError: no row.
    """
    ends, beside = _places(table, columns)
    taken = [place for place in beside if place is not None]
    frame = table.load([*ends, *taken])  # at once: rows of a database may come in another order next time
    if not frame.height:
        raise DataError(f"{table.place} has no row.")
    source, target = (frame.get_column(str(i)) for i in ends)
    for position, column in zip(ends, (source, target), strict=True):
        empty = (column == "").arg_max()
        if empty is not None and column[empty] == "":
            raise MalformedFile(
                f"{table.where(empty)}, column {table.names[position]!r}: an empty id. "
                f"Fill it in or delete the {table.unit}."
            )
    ids, pairs = _number_ids(source, target)
    of_times, of_weights, of_kinds = beside
    times = weights = None
    if of_times is not None:
        times = read_times(frame.get_column(str(of_times)), table.names[of_times], table.where)
    if of_weights is not None:
        weights = weights_of_column(table, of_weights, frame.get_column(str(of_weights)), columns.weight_as)
    findings = _about_columns(table, columns, ends, taken)
    if times is None and warns_of_times:
        findings += unused_times(table, (*ends, *taken))
    layout = f"{table.layout or 'table'}, columns {table.names[ends[0]]!r} and {table.names[ends[1]]!r}"
    read = EdgeList(ids, pairs, bool(columns.directed), table.where, layout=layout, times=times, weights=weights)
    if of_kinds is not None:
        kinds, of = frame.get_column(str(of_kinds)), table.names[of_kinds]
        predicted, names, codes, said = read_kinds(kinds, of, columns.predict_kind, table.where)
        read, findings = of_one_kind(read, of, predicted, names, codes), [*findings, *said]
    return replace(read, findings=tuple(findings))


def id_columns(table: Table, source: str | int | None, target: str | int | None) -> tuple[int, int]:
    """Places of the two columns of ids.

    Args:
        table: an edge list.
        source: name of the first; None takes the first that has a name.
        target: name of the second.
    Raises:
        MalformedFile: there are no two columns, or none of this name.
        OptionError: one column for both.
    """
    return _places(table, ReadingOptions(source=source, target=target))[0]


def _places(table: Table, columns: ReadingOptions) -> tuple[tuple[int, int], tuple[int | None, ...]]:
    """Positions of the two ends, and of what is beside them."""
    if len(table.names) < 2:
        raise MalformedFile(
            f"{table.place}: one column only ({', '.join(table.names)}); an edge list has two columns of ids."
        )
    chosen = [
        None if name is None else table.position(name, option=option)
        for option, name in (("--source", columns.source), ("--target", columns.target))
    ]
    beside = tuple(
        None if name is None else table.position(name, option=option) for option, name in columns.beside_ends
    )
    # A column without a name is a row index that some program wrote, so it is no default.
    free = [i for i, name in enumerate(table.names) if name != "" and i not in (*chosen, *beside)]
    positions = [free.pop(0) if place is None and free else place for place in chosen]
    if None in positions:
        named = ", ".join(repr(name) for name in table.names)
        raise OptionError(f"{table.place}: no two columns are left for the ids; the columns are {named}.")
    first, second = (int(place) for place in positions if place is not None)
    if first == second:
        raise OptionError(f"{table.place}: --source and --target are two columns, not {columns.source!r} twice.")
    for (option, name), place in zip(columns.beside_ends, beside, strict=True):
        if place is not None and (place in (first, second) or beside.count(place) > 1):
            raise OptionError(f"{table.place}: {option} names a column of its own, not {name!r} twice.")
    return (first, second), beside


def weights_of_column(table: Table, position: int, cells: pl.Series, role: str | None) -> EdgeWeights:
    numbers = table.native(position)
    if numbers is None:
        numbers = cells.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return read_weights(numbers, role, table.names[position], table.where, lambda row: str(cells[row]))


def _about_columns(table: Table, columns: ReadingOptions, ends: tuple[int, int], taken: list[int]) -> list[Finding]:
    ignored = [name for i, name in enumerate(table.names) if i not in (*ends, *taken)]
    findings = [ignored_columns(ignored)] if ignored else []
    lower = [name.lower() for name in table.names]
    if (
        columns.source is None
        and columns.target is None
        and {"source", "target"} <= set(lower)
        and lower[ends[0]] != "source"
    ):
        used = f"{table.names[ends[0]]!r} and {table.names[ends[1]]!r}"
        message = f"{table.place} has columns 'source' and 'target', but the first two are {used}."
        findings.append(
            Finding("reading", "warning", message, "Pass --source source --target target if those are meant.")
        )
    return findings


def of_one_kind(
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


def unused_times(table: Table, taken: tuple[int, ...]) -> list[Finding]:
    """A warning where a column that nobody asked for has a name and values of times."""
    for i, name in enumerate(table.names):
        if i in taken or name.lower() not in TIME_NAMES:
            continue
        try:
            cells = table.load([i]).to_series().head(_LOOKED_AT)
        except DataError:  # it holds what is no text, and nobody asked for it
            continue
        if looks_like_times(cells):
            message = (
                f"Column {name!r} looks like times, and is not used: a random split has a model learn from edges that are "
                "later than those it is tested on. That says nothing about links of the future, and mostly flatters."
            )
            remedy = (
                f"Where new links are those of the future, fit with --time {name} (time={name!r}); of scores from elsewhere, "
                "hold the latest edges out."
            )
            return [Finding("reading", "warning", message, remedy)]
    return []


def in_order_of_ids(edges: EdgeList) -> EdgeList:
    """The same rows, nodes and rows in the order of the ids, whatever order they came in.

    Rows of one edge are in the order of their weights, so that a sum of them is the same to the last bit.
    """
    order = pl.Series(edges.ids.tolist(), dtype=pl.String).arg_sort().to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    pairs = rank[edges.pairs]
    weights = np.zeros(len(pairs)) if edges.weights is None else edges.weights.values
    rows = np.lexsort((weights, pairs[:, 1], pairs[:, 0]))
    place = edges.where(0).rsplit(", ", 1)[0]  # rows are counted as they were sent, which another time may be otherwise
    return replace(
        edges,
        ids=edges.ids[order],
        pairs=pairs[rows],
        where=lambda _: place,
        times=None if edges.times is None else edges.times.of(rows),
        weights=None if edges.weights is None else edges.weights.rows(rows),
        others=None if edges.others is None else replace(edges.others, pairs=rank[edges.others.pairs]),
    )


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
