"""Edge columns: which columns of a table are the ends, times, weights and kinds of edges; its rows become an edge list."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.findings import Finding
from linkodds.reading.column_values import columns_of
from linkodds.reading.edge_weights import EdgeWeights, read_weights
from linkodds.reading.ends import Ends, choose_ends
from linkodds.reading.interop import EdgeList, ignored_columns
from linkodds.reading.labels import doubtful_rows, labelled_rows, refuse_predicted
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.relations import RowsOfKinds, read_kinds
from linkodds.reading.source_reading import ROLES, SourceReading, summaries
from linkodds.reading.tables import Table
from linkodds.reading.times import TIME_NAMES, looks_like_times, read_times

_LOOKED_AT = 1000
"""Rows of a column that may hold times, and of columns when the ends were asked for."""


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
    if warns_of_times and columns.label is None:
        refuse_predicted(table)
    chosen, beside = _places(table, columns)
    ends = chosen.source, chosen.target
    taken = [place for place in beside if place is not None]
    frame = table.load([*ends, *taken])  # at once: rows of a database may come in another order next time
    if not frame.height:
        raise DataError(f"{table.place} has no row.")
    reading = _how_read(table, chosen, columns, beside, frame) if warns_of_times else None
    if len(beside) > 3 and beside[3] is not None:
        rows = labelled_rows(frame.get_column(str(beside[3])), table, beside[3])
        left_out, frame, table = frame.height - len(rows), frame[rows], _rows_of(table, rows)
    source, target = (frame.get_column(str(i)) for i in ends)
    for position, column in zip(ends, (source, target), strict=True):
        empty = (column == "").arg_max()
        if empty is not None and column[empty] == "":
            raise MalformedFile(
                f"{table.where(empty)}, column {table.names[position]!r}: an empty id. "
                f"Fill it in or delete the {table.unit}."
            )
    if table.unit == "row" and warns_of_times:  # frames keep the blanks that files lose; pairs are looked up either way
        source, target = source.str.strip_chars(), target.str.strip_chars()
    source, target = _without_points(source, target)
    ids, pairs = _number_ids(source, target)
    of_times, of_weights, of_kinds = beside[:3]
    times = weights = None
    if of_times is not None:
        times = read_times(frame.get_column(str(of_times)), table.names[of_times], table.where)
    if of_weights is not None:
        weights = weights_of_column(table, of_weights, frame.get_column(str(of_weights)), columns.weight_as)
    findings = _about_columns(table, ends, taken)
    if len(beside) > 3:
        message = f"{left_out:,} row(s) whose label in column {columns.label!r} is not above 0 are left out."
        findings.append(Finding("reading", "info", message, "Nothing to do.", float(left_out)))
    directed = bool(columns.directed)
    if warns_of_times:
        if len(table.names) > 2 + len(taken):
            findings += doubtful_rows(table, ends, taken)
        said, told = _direction_told(table, [*ends, *taken])
        if columns.directed is None:
            directed, findings = told, [*findings, *said]
    if times is None and warns_of_times:
        findings += unused_times(table, (*ends, *taken))
    layout = f"{table.layout or 'table'}, columns {table.names[ends[0]]!r} and {table.names[ends[1]]!r}"
    read = EdgeList(ids, pairs, directed, table.where, layout=layout, times=times, weights=weights, reading=reading)
    if of_kinds is not None:
        kinds, of = frame.get_column(str(of_kinds)), table.names[of_kinds]
        predicted, names, codes, said = read_kinds(kinds, of, columns.predict_kind, table.where)
        read, findings = of_one_kind(read, of, predicted, names, codes), [*findings, *said]
    return replace(read, findings=tuple(findings))


def id_columns(table: Table, source: str | int | None, target: str | int | None) -> tuple[int, int]:
    """Places of the two columns of ids of an edge list.

    Args:
        table: an edge list.
        source: name of the first; None: by names and values.
        target: name of the second.
    Raises:
        MalformedFile: there are no two columns, or none of this name.
        OptionError: one column for both.
        DataError: a list of predicted links that linkodds wrote.
    """
    refuse_predicted(table)
    ends = _places(table, ReadingOptions(source=source, target=target))[0]
    return ends.source, ends.target


def _places(table: Table, columns: ReadingOptions) -> tuple[Ends, tuple[int | None, ...]]:
    """The two ends, and the positions of what is beside them."""
    beside = tuple(
        None if name is None else table.position(name, option=option) for option, name in columns.beside_ends
    )
    ends = choose_ends(table, columns.source, columns.target, [place for place in beside if place is not None])
    for (option, name), place in zip(columns.beside_ends, beside, strict=True):
        if place is not None and (place in (ends.source, ends.target) or beside.count(place) > 1):
            raise OptionError(f"{table.place}: {option} names a column of its own, not {name!r} twice.")
    return ends, beside


def _how_read(
    table: Table, ends: Ends, columns: ReadingOptions, beside: tuple[int | None, ...], frame: pl.DataFrame
) -> SourceReading:
    """How the table was read. Columns of a database that were not asked for would have to be fetched again: they are left."""
    known = list(ends.columns)
    if not known:
        known = columns_of(table.names, frame.head(_LOOKED_AT) if table.pick is None else table.sample(_LOOKED_AT))
    used = zip(columns.beside_ends, beside, strict=True)
    roles = {place: ROLES[option] for (option, _), place in used if place is not None}
    places = ends.source, ends.target
    rows = max(len(each.cells) for each in known)
    of_text = table.delimiter, table.header
    return SourceReading(
        table.place, table.format or "table", *of_text, summaries(known, places, roles), *places, ends.why, rows
    )


def weights_of_column(table: Table, position: int, cells: pl.Series, role: str | None) -> EdgeWeights:
    numbers = table.native(position)
    if numbers is None:
        numbers = cells.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return read_weights(numbers, role, table.names[position], table.where, lambda row: str(cells[row]))


def _about_columns(table: Table, ends: tuple[int, int], taken: list[int]) -> list[Finding]:
    ignored = [name for i, name in enumerate(table.names) if i not in (*ends, *taken)]
    return [*table.notes, *([ignored_columns(ignored)] if ignored else [])]


def _rows_of(table: Table, rows: NDArray[np.int64]) -> Table:
    """Some rows of a table, for the places of messages and for columns that are looked at."""
    lines = np.array([table.lines[row] for row in rows.tolist()])
    native = table.native

    def numbers(position: int) -> NDArray[np.float64] | None:
        column = native(position)
        return None if column is None else column[rows]

    return replace(table, lines=lines, load=lambda positions: table.load(positions)[rows], native=numbers, pick=None)


def _direction_told(table: Table, taken: list[int]) -> tuple[list[Finding], bool]:
    """Whether a column Type, as Gephi writes it, says Directed of every edge; and a finding where it says so of any."""
    for i, name in enumerate(table.names):
        if i in taken or name.lower() != "type":
            continue
        cells = table.load([i]).to_series().str.to_lowercase()
        number = int((cells == "directed").sum())
        if not number or not bool(cells.is_in(["directed", "undirected", "mutual"]).all()):
            continue
        if number == len(cells):
            message = f"Column {name!r} says Directed of every edge, so the edges are read with their direction."
            return [
                Finding("reading", "info", message, f"Delete column {name!r} if the direction means nothing.")
            ], True
        message = f"Column {name!r} says Directed of {number:,} of {len(cells):,} edges; all are read as undirected."
        remedy = "Pass --directed to read all with a direction, an undirected edge in both."
        return [Finding("reading", "warning", message, remedy, float(number))], False
    return [], False


def _without_points(source: pl.Series, target: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The ids, 6.0 written as 6 where all ids are whole numbers, in one column with a point and in the other without.

    pandas makes floats of a column of integers once a cell is missing, of one column and not of the other. numpy.savetxt
    writes integers as 1.200000000000000000e+01 unless told otherwise: where all ids of both columns are so, they are 12.
    """
    if len(source) and "e" in source[0] and re.fullmatch(_WRITTEN_OUT, source[0]):
        whole = [_whole(each) for each in (source, target)]
        if whole[0] is not None and whole[1] is not None:
            return whole[0], whole[1]
    pointed = [each.str.ends_with(".0") for each in (source, target)]
    mixed = any(each.any() and not each.all() for each in pointed)  # in one column 6 and 6.0 are two texts
    if mixed or pointed[0].all() == pointed[1].all():
        return source, target
    if not all(each.str.contains(r"^-?\d+(\.0)?$").all() for each in (source, target)):
        return source, target
    first, second = (each.str.strip_suffix(".0") for each in (source, target))
    return first, second


_WRITTEN_OUT = r"[+-]?\d\.\d+e[+-]\d+"


def _whole(cells: pl.Series) -> pl.Series | None:
    """Whole numbers with an exponent as integers; None where one is not."""
    if not cells.str.contains(f"^{_WRITTEN_OUT}$").all():
        return None
    numbers = cells.cast(pl.Float64)
    if not ((numbers % 1 == 0) & (numbers.abs() < 1 << 53)).all():
        return None
    return numbers.cast(pl.Int64).cast(pl.String)


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
    # As np.unique does it, without its sort of all cells: where a place is written twice, the last one stays.
    first = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    places = np.sort(first[first >= 0])
    rank = np.empty(len(first), dtype=np.int64)
    rank[codes[places]] = np.arange(len(places))
    row, end = np.divmod(places, 2)
    ids = np.array(cells.gather(row + end * len(source)).to_list(), dtype=object)
    return ids, rank[codes].reshape(-1, 2)
