"""Relations: graphs with several kinds of edges, one of which is predicted while the others carry messages."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, DataError, MalformedFile
from linkodds.findings import Finding
from linkodds.pairs import Pairs, PairSpace
from linkodds.reading.times import EdgeTimes

LEAK, MUCH, LEAST = 0.8, 0.3, 0.01
"""Shares of overlap from which a kind is refused, from which it is a warning, and below which a part tells too little."""
_LISTED = 8


@dataclass(frozen=True, eq=False)
class RowsOfKinds:
    """Rows of other kinds as read.

    Args:
        column: of the kinds.
        predicted: the kind that is predicted.
        names: of the other kinds.
        codes: shape (rows,), place of each row's kind in `names`.
        pairs: shape (rows, 2), as in an `EdgeList`.
        times: of the rows, or None.
    """

    column: str
    predicted: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]
    pairs: Pairs
    times: EdgeTimes | None = None


@dataclass(frozen=True, eq=False)
class OtherEdges:
    """Pairs that are edges of other kinds than the predicted one.

    Args:
        pairs: shape (pairs, 2), canonical, sorted by key, no pair twice whatever its kinds; self-loops are gone.
        column: of the kinds.
        predicted: the kind that is predicted.
        counts: other kind -> its distinct pairs.
        times: shape (pairs,), the first time of each, or None.
    """

    pairs: Pairs
    column: str
    predicted: str
    counts: Mapping[str, int]
    times: NDArray[Any] | None = None

    def until(self, end: Any) -> "OtherEdges":
        """Those that are there at a time: a later one would tell what the train edges cannot know."""
        if self.times is None:
            return self
        known = self.times <= end
        return OtherEdges(self.pairs[known], self.column, self.predicted, self.counts, self.times[known])

    def facts(self) -> dict[str, str]:
        """Column, kind and a hash, which a resumed fit must find again."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pairs).tobytes()).hexdigest()
        return {"column": self.column, "predicted": self.predicted, "sha256": digest}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays to stand beside the edges in split.npz."""
        return {
            "others_pairs": self.pairs,
            "others_column": np.array(self.column),
            "others_predicted": np.array(self.predicted),
            "others_kinds": np.array(list(self.counts), dtype=np.str_),
            "others_counts": np.array(list(self.counts.values()), dtype=np.int64),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]], space: PairSpace) -> "OtherEdges | None":
        """The inverse of `to_arrays`; None where there are no other kinds.

        Raises:
            BrokenRun: pairs of nodes that the graph does not have.
        """
        if "others_pairs" not in arrays:
            return None
        pairs = arrays["others_pairs"]
        is_list = pairs.dtype == np.int64 and pairs.ndim == 2 and pairs.shape[1] == 2
        if not is_list or not ((pairs >= 0) & (pairs < space.num_nodes)).all():
            raise BrokenRun("split.npz holds edges of other kinds between nodes that this graph does not have.")
        counts = zip(arrays["others_kinds"].tolist(), arrays["others_counts"].tolist(), strict=True)
        return OtherEdges(pairs, str(arrays["others_column"]), str(arrays["others_predicted"]), dict(counts))


def read_kinds(
    cells: pl.Series, column: str, predict: str | None, where: Callable[[int], str]
) -> tuple[str, tuple[str, ...], NDArray[np.int64], list[Finding]]:
    """The kind that is predicted, the others, and of each row the place of its kind among the others, -1 for the predicted.

    Args:
        cells: shape (rows,), text.
        column: its name.
        predict: the kind; None takes the one with most rows, and says so.
        where: the place of a row, for messages.
    Raises:
        MalformedFile: an empty cell.
        DataError: one kind only, or no row of the kind that is asked for.
    Example:
        >>> predicted, others, codes, _ = read_kinds(pl.Series(["binds", "treats", "binds"]), "kind", "treats", str)
        >>> predicted, others, codes.tolist()
        ('treats', ('binds',), [0, -1, 0])
    """
    empty = (cells == "").arg_max()
    if empty is not None and cells[empty] == "":
        raise MalformedFile(
            f"{where(empty)}, column {column!r}: an empty cell is no kind. Fill it in or delete the row."
        )
    counted = cells.value_counts(sort=True).rows()
    counted.sort(key=lambda row: (-row[1], row[0]))
    listed = ", ".join(f"{name!r} ({count:,})" for name, count in counted[:_LISTED])
    listed += ", ..." if len(counted) > _LISTED else ""
    if len(counted) == 1:
        raise DataError(f"column {column!r} holds one kind only, {listed}: leave --relation out.")
    names = [name for name, _ in counted]
    if predict is not None and predict not in names:
        raise DataError(f"column {column!r} has no row of the kind {predict!r}; there are {listed}.")
    predicted = names[0] if predict is None else predict
    others = tuple(name for name in names if name != predicted)
    place = {predicted: -1} | {name: code for code, name in enumerate(others)}
    codes = np.array([place[name] for name in cells.to_list()], dtype=np.int64)
    said = f"Kinds in column {column!r}: {listed}. Predicted: {predicted!r}; edges of the others carry messages."
    remedy = "Drop the rows of kinds that say nothing about it."
    if predict is not None:
        return predicted, others, codes, [Finding("reading", "info", said, remedy, float(len(names)))]
    said += " It was taken because it has most rows."
    remedy = "Name the kind with --predict (predict_kind=)."
    return predicted, others, codes, [Finding("reading", "warning", said, remedy, float(len(names)))]


def joined_kinds(rows: RowsOfKinds, pairs: Pairs, edges: Pairs, space: PairSpace) -> tuple[OtherEdges, list[Finding]]:
    """The edges of other kinds in the numbers of the graph, unless one of them tells the predicted edges.

    A kind leaks where it holds nearly the same pairs as the predicted one, in either direction, as the reverse of a relation
    does ("treats" and "is treated by"): then a held-out edge is in plain sight. It is found by the overlap of pairs without
    direction: the share of predicted edges whose pair is of this kind, and the share of this kind's that are predicted edges.

    Args:
        rows: as read.
        pairs: shape (rows, 2), their ends as the graph numbers its nodes.
        edges: of the predicted kind, canonical.
        space: of the graph.
    Raises:
        DataError: a kind of which either share is 0.8 or more, with the figures; a part of the predicted kind that covers less
            than a hundredth of it is let in.
    """
    findings: list[Finding] = []
    proper = pairs[:, 0] != pairs[:, 1]
    pairs, codes = space.canonical(pairs[proper]), rows.codes[proper]
    num_nodes = np.int64(space.num_nodes)

    def undirected(some: Pairs) -> NDArray[np.int64]:
        return np.unique(np.minimum(some[:, 0], some[:, 1]) * num_nodes + np.maximum(some[:, 0], some[:, 1]))

    predicted, counts = undirected(edges), {}
    for code, name in enumerate(rows.names):
        own = undirected(pairs[codes == code])
        counts[name] = len(own)
        shared = int(np.isin(own, predicted).sum())
        of_predicted, of_own = shared / max(len(predicted), 1), shared / max(len(own), 1)
        said = (
            f"{of_predicted:.1%} of the pairs of {rows.predicted!r} are edges of {name!r}, and {of_own:.1%} of the pairs of "
            f"{name!r} are edges of {rows.predicted!r}"
        )
        if of_predicted >= LEAK or (of_own >= LEAK and of_predicted >= LEAST):
            raise DataError(
                f"column {rows.column!r}: kind {name!r} tells the predicted edges: {said} ({shared:,} pairs, directions aside). "
                f"It is the reverse, a copy or a part of {rows.predicted!r}, and shows held-out edges. Drop its rows."
            )
        if of_predicted >= MUCH:
            message = f"Column {rows.column!r}: {said}. Where both are known at once, a held-out edge shows in the other kind."
            remedy = f"Drop the rows of {name!r} if they would not be known for new pairs."
            findings.append(Finding("reading", "warning", message, remedy, of_predicted))
    keys = space.keys(pairs)
    distinct, first = np.unique(keys, return_index=True)
    times = None
    if rows.times is not None:
        values = rows.times.values[proper]
        times = values[first]
        np.minimum.at(times, np.searchsorted(distinct, keys), values)
    return OtherEdges(pairs[first], rows.column, rows.predicted, counts, times), findings


def about_kinds(others: OtherEdges) -> Finding:
    """What the other kinds did, and what did not look at them."""
    kinds = ", ".join(f"{name!r} ({count:,} pairs)" for name, count in list(others.counts.items())[:_LISTED])
    known = "known in full"
    if others.times is not None:
        known = f"of which those up to the last train edge are known ({len(others.pairs):,} pairs)"
    message = (
        f"Of column {others.column!r} {others.predicted!r} is predicted. Messages go over its train edges and over {kinds} "
        f"alike, {known}. Baselines, degrees, candidates and the evaluation look at the predicted kind alone: a pair that "
        "is an edge of another kind is a candidate."
    )
    return Finding(
        "reading", "info", message, "Compare with a fit on the predicted kind alone.", float(len(others.pairs))
    )
