"""Labels: a column that says which rows are edges and which are pairs that were tested and are none."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import AmbiguousReading, DataError, MalformedFile, PossibleReading
from linkodds.findings import Finding
from linkodds.reading.column_names import tokens
from linkodds.reading.tables import Table

_LABEL_NAMES = (
    "label labels class y truth outcome interaction interacts interacting link islink is_link isedge is_edge edge positive "
    "is_positive is_interaction known exists association associated binding binds ground_truth"
)
_WEIGHT_NAMES = "weight weights w edge_weight rating ratings score strength value sign count"
_OF_LISTS = frozenset(("source", "target", "logit", "probability"))
"""Columns of every list that `find` and `predict` write; beside them is one of the next ones."""
_BESIDE = frozenset(("q_value", "evidence", "decision", "known", "label"))
_LABELS, _WEIGHTS = (frozenset(names.split()) for names in (_LABEL_NAMES, _WEIGHT_NAMES))
_YES = ("1", "1.0", "+1", "true", "yes", "positive", "pos", "t", "y")
_NO = ("0", "0.0", "-1", "-1.0", "false", "no", "negative", "neg", "f", "n")


def labelled_rows(cells: pl.Series, table: Table, position: int) -> NDArray[np.int64]:
    """Places of the rows that are edges: those whose label is a number above 0, or true, yes or positive.

    Raises:
        MalformedFile: a cell that is no label, with its place.
        DataError: no edge among the rows.
    """
    lower = cells.str.to_lowercase()
    numbers = lower.cast(pl.Float64, strict=False)
    yes, no = lower.is_in(_YES), lower.is_in(_NO)
    strange = ((numbers.is_null() | numbers.is_nan()) & ~yes & ~no).to_numpy()
    if strange.any():
        row = int(np.argmax(strange))
        raise MalformedFile(
            f"{table.where(row)}, column {table.names[position]!r}: {cells[row]!r} is no label; write 1 where the row is an edge "
            "and 0 where it is none, or leave --label out."
        )
    rows = np.flatnonzero((yes | (numbers.fill_null(0.0) > 0)).to_numpy())
    if not len(rows):
        raise DataError(f"{table.place}: no row has a {table.names[position]!r} above 0, so there is no edge.")
    return rows


def refuse_predicted(table: Table) -> None:
    """Raise where a table is a list of links that `find` or `predict` wrote: these are predictions, and no edges.

    Raises:
        DataError: with what to do instead.
    """
    names = set(table.names)
    if names >= _OF_LISTS and names & _BESIDE:
        raise DataError(
            f"{table.place} has the columns of a list that linkodds wrote (logit, probability, "
            f"{sorted(names & _BESIDE)[0]}): predicted links are no edges. Fit on the edges that are known; predict takes this "
            "file as pairs. Links that were confirmed belong into the edge list, as source and target alone."
        )


def doubtful_rows(table: Table, ends: tuple[int, int], taken: list[int]) -> list[Finding]:
    """A warning where weights that nobody asked for are below 0; a refusal where a column tells that rows are no edges.

    Args:
        table: an edge list.
        ends: places of the two ends.
        taken: places of the other columns that are used.
    Raises:
        AmbiguousReading: zeros, or a label that is negative, with how many rows and what settles it.
    """
    findings = []
    for i, name in enumerate(table.names):
        called = "_".join(tokens(name))
        if i in (*ends, *taken) or name.isdigit() or called not in _LABELS | _WEIGHTS:
            continue
        try:
            cells = table.load([i]).to_series().str.to_lowercase()
        except DataError:  # lists or records
            continue
        numbers = cells.cast(pl.Float64, strict=False)
        values = cells.unique()
        two = len(values) <= 4 and bool(values.is_in([*_YES, *_NO, ""]).all())
        is_label = called in _LABELS and two
        zeros = int(((numbers == 0) | (cells.is_in(_NO) if is_label else False)).sum())
        below = int((numbers < 0).sum())
        if zeros and (is_label or called in _WEIGHTS):
            example = int(((numbers == 0) | (cells.is_in(_NO) if is_label else False)).arg_max() or 0)
            raise AmbiguousReading(
                f"{table.where(example)}, column {name!r}: {cells[example]}. {zeros:,} of {len(cells):,} rows have no positive "
                f"{name}, so they may be pairs that are no edges. Pass --label {name} (label={name!r}) to take the rows above 0 "
                "as edges and leave the others out; where every row is an edge, delete the column.",
                _readings(table, name, numbers, cells, ends),
            )
        if below:
            message = f"{below:,} of {len(cells):,} rows have a {name} below 0, and each of them counts as an edge."
            remedy = f"Pass --label {name} (label={name!r}) to leave them out."
            findings.append(Finding("reading", "warning", message, remedy, float(below)))
    return findings


def _readings(
    table: Table, name: str, numbers: pl.Series, cells: pl.Series, ends: tuple[int, int]
) -> tuple[PossibleReading, PossibleReading]:
    """Rows above 0 as edges, or all rows."""
    frame = table.load(list(ends))
    source, target = (frame.get_column(str(i)) for i in ends)
    above = np.flatnonzero(((numbers.fill_null(0.0) > 0) | cells.is_in(_YES)).to_numpy())[:3]

    def edges(rows: NDArray[np.int64]) -> tuple[tuple[str, str], ...]:
        return tuple((source[row], target[row]) for row in rows.tolist())

    return (
        PossibleReading(f"rows whose {name!r} is above 0 are edges", ("--label", name), edges(above)),
        PossibleReading(f"every row is an edge: delete column {name!r}", (), edges(np.arange(min(3, len(source))))),
    )
