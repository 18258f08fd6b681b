"""Two kinds of things: the two columns of an edge list as two name spaces, where user 1 is not film 1."""

from dataclasses import replace

import numpy as np

from linkodds.errors import DataError
from linkodds.findings import Finding
from linkodds.reading.column_names import are_different_words, are_two_kinds
from linkodds.reading.interop import EdgeList
from linkodds.reading.reading_options import ReadingOptions


def with_sides(read: EdgeList, options: ReadingOptions) -> EdgeList:
    """The edges with two name spaces, where that was asked for, or where the names of the columns say so and numbers are in both.

    Args:
        read: as read.
        options: `separate_ids` asks for it; without a direction, and unless `bipartite` is False, names alone can say it.
    Raises:
        DataError: an id that is there already as another is told apart.
    """
    names = read.reading.names if read.reading is not None else ("", "")
    if options.separate_ids:
        return separated(read, names)
    if not any(names) or read.directed or options.bipartite is False:
        return read
    two, different = are_two_kinds(*names), are_different_words(*names)
    if not (two or different):
        return _with_warning_of_counts(read, names)
    shared = np.intersect1d(read.pairs[:, 0], read.pairs[:, 1])
    if not len(shared):
        return read
    first = read.ids[shared[0]]
    if two and all(name.isdigit() for name in read.ids[shared]):  # a word in both columns may be one thing
        told = separated(read, names)
        message = (
            f"Columns {names[0]!r} and {names[1]!r} are two kinds of things, and {len(shared):,} numbers are in both: they are "
            f"two nodes each, such as {names[0]}:{first} and {names[1]}:{first}."
        )
        remedy = "Pass --no-bipartite if an id is one thing wherever it stands."
        return replace(
            told, findings=(*told.findings, Finding("reading", "warning", message, remedy, float(len(shared))))
        )
    message = f"Columns {names[0]!r} and {names[1]!r} share {len(shared):,} ids, such as {first!r}: each is one node."
    remedy = "Pass --separate-ids if the two columns are different kinds of things."
    return replace(read, findings=(*read.findings, Finding("reading", "warning", message, remedy, float(len(shared)))))


def _with_warning_of_counts(read: EdgeList, names: tuple[str, str]) -> EdgeList:
    """A warning where two columns without names count their things each for itself, as ratings of films by users do.

    That is told by numbers that leave none out, from the same first to another last one, and rows of a number with itself.
    """
    is_counted = all(name.isdigit() for name in names) and read.ids[0].isdigit()
    if not is_counted or not (read.pairs[:, 0] == read.pairs[:, 1]).any():
        return read
    spans = []
    for end in (0, 1):
        texts = read.ids[np.bincount(read.pairs[:, end], minlength=len(read.ids)) > 0]
        if not all(text.isdigit() for text in texts):
            return read
        numbers = np.array([int(text) for text in texts], dtype=object)
        if numbers.max() - numbers.min() + 1 != len(numbers):
            return read
        spans.append((numbers.min(), numbers.max()))
    (first, last), (other_first, other_last) = spans
    if first != other_first or abs(last - other_last) < 2:
        return read
    same = int((read.pairs[:, 0] == read.pairs[:, 1]).sum())
    message = (
        f"Column {names[0]} holds the numbers {first} to {last} and column {names[1]} {other_first} to {other_last}, and "
        f"{same:,} row(s) join a number to itself: they may count two kinds of things, such as users and films. Each number "
        "is read as one node."
    )
    remedy = "Pass --separate-ids if the two columns are different kinds of things."
    return replace(read, findings=(*read.findings, Finding("reading", "warning", message, remedy, float(same))))


def separated(read: EdgeList, names: tuple[str, str] = ("", "")) -> EdgeList:
    """The same edges between two sides: an id that is a source and a target becomes two nodes, `COLUMN:ID` each.

    Ids of one side only stay as they are.

    Args:
        read: as read.
        names: of the columns; left and right where they have none.
    Raises:
        DataError: such an id is there already.
    Example:
        >>> read = EdgeList(np.array(["1", "2"], dtype=object), np.array([[0, 0], [0, 1]]), False, str)
        >>> apart = separated(read, ("user", "film"))
        >>> apart.ids[apart.pairs].tolist(), apart.side.tolist()
        ([['user:1', 'film:1'], ['user:1', '2']], [0, 1, 1])
    """
    left, right = ("left", "right") if not all(names) or any(name.isdigit() for name in names) else names
    pairs = read.pairs if read.others is None else np.concatenate([read.pairs, read.others.pairs])
    count = len(read.ids)
    is_source, is_target = (np.bincount(pairs[:, end], minlength=count) > 0 for end in (0, 1))
    both = np.flatnonzero(is_source & is_target)
    ids = np.concatenate([read.ids, np.array([f"{right}:{name}" for name in read.ids[both]], dtype=object)])
    ids[both] = [f"{left}:{name}" for name in read.ids[both]]
    if len(both) and len(set(ids.tolist())) < len(ids):
        twice = next(name for name in ids[both] if (ids == name).sum() > 1)
        raise DataError(
            f"{read.where(0)}: {twice!r} is an id already; call the columns otherwise, so that ids can be told apart."
        )
    moved = np.arange(count)
    moved[both] = count + np.arange(len(both))
    side = np.concatenate([np.where(is_source, 0, np.where(is_target, 1, 2)), np.ones(len(both), dtype=np.int64)])
    pairs = np.column_stack([pairs[:, 0], moved[pairs[:, 1]]])
    others = read.others
    return replace(
        read,
        ids=ids,
        pairs=pairs[: len(read.pairs)],
        others=others if others is None else replace(others, pairs=pairs[len(read.pairs) :]),
        side=side,
        bipartite=True,
        first=tuple((str(u), str(v)) for u, v in read.ids[read.pairs[:3]]),
        own_order=read.own_order and not len(both),
        numbered=read.numbered and not len(both),
    )
