"""Split by time: train edges before validation edges before calibration edges before test edges."""

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import DegenerateGraph
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, Split
from linkodds.reading.times import SplitTimes

TIES = (
    "edges of one time are never parted: a boundary lies at the change of time that is nearest to the share asked for"
)


def split_by_time(graph: Graph, *, fractions: tuple[float, float, float, float]) -> Split:
    """The edges in time order, cut three times.

    Edges of one time are never parted: each boundary is moved to the nearest change of time, to the earlier one of two that
    are equally near, and on to the next where it would leave a part without an edge. With few distinct times the parts are
    therefore of other sizes than the shares say.

    Args:
        graph: with times.
        fractions: of train, validation, calibration and test.
    Returns:
        A split with `times`; every edge of a part is later than every edge of the part before.
    Raises:
        DegenerateGraph: fewer than four distinct times.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.reading.times import EdgeTimes
        >>> edges = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
        >>> times = EdgeTimes(np.array([5, 1, 2, 2, 4, 3]), "integer", "year")
        >>> graph = Graph(np.array(list("abcde"), dtype=object), edges, PairSpace(5), times=times)
        >>> split = split_by_time(graph, fractions=(0.4, 0.2, 0.2, 0.2))
        >>> [split.times.parts[part].tolist() for part in ("train", "validation", "calibration", "test")]
        [[1, 2, 2], [3], [4], [5]]
    """
    times = graph.times
    assert times is not None
    order = np.argsort(times.values, kind="stable")
    values = times.values[order]
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    if len(changes) < len(PARTS) - 1:
        raise DegenerateGraph(
            f"column {times.column!r} has {len(changes) + 1} distinct time(s) among the edges; a split by time into train, "
            "validation, calibration and test needs four at least. Give a finer time, or leave --time out."
        )
    cuts = changes[_nearest(changes, np.cumsum(fractions)[:-1] * len(values))]
    parts = np.split(order, cuts)
    by_part = {part: times.values[chosen] for part, chosen in zip(PARTS, parts, strict=True)}
    train, validation, calibration, test = (graph.edges[chosen] for chosen in parts)
    return Split(
        train,
        validation,
        calibration,
        test,
        graph.space,
        times=SplitTimes(times.column, times.kind, by_part),
        weights=graph.weights,
        others=None if graph.others is None else graph.others.until(by_part["train"].max()),
    )


def _nearest(changes: NDArray[np.intp], wanted: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the changes that are nearest to what is wanted, strictly increasing."""
    after = np.clip(np.searchsorted(changes, wanted), 1, max(len(changes) - 1, 1))
    is_before = wanted - changes[after - 1] <= changes[after] - wanted
    chosen = np.where(is_before, after - 1, after)
    for i in range(1, len(chosen)):
        chosen[i] = max(chosen[i], chosen[i - 1] + 1)
    for i in range(len(chosen)):
        # So many changes at least have to be left for the boundaries that come later.
        chosen[i] = min(chosen[i], len(changes) - len(chosen) + i)
    return chosen
