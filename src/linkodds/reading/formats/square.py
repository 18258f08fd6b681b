"""Square matrices of pairs whose rows have names."""

from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import DataError
from linkodds.findings import Finding
from linkodds.pairs import Pairs
from linkodds.reading.formats.parsed import ParsedGraph


def parsed_of_square(
    matrix: Any, *, place: str, layout: str, ids: NDArray[np.object_] | None = None, directed: bool | None = None
) -> ParsedGraph:
    """Entries that are not zero as edges; values that are not all the same are the attribute `value`.

    Args:
        matrix: shape (nodes, nodes), sparse.
        place: what messages call it.
        layout: its format.
        ids: of the rows; None: their numbers from 0.
        directed: what its source says; None: undirected where it is symmetric, and refused where it is not.
    Raises:
        DataError: not square, not symmetric though nothing says that it is directed, a value that is no number, a name twice.
    Example:
        >>> graph = parsed_of_square(sp.coo_array([[0, 2], [2, 0]]), place="the matrix", layout="matrix")
        >>> graph.pairs.tolist(), graph.directed
        ([[0, 1]], None)
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        shape = " x ".join(map(str, matrix.shape))
        raise DataError(
            f"{place} is {shape}; an adjacency matrix is square, one row and one column a node. "
            "For two sides of a bipartite graph pass scipy.sparse.block_array([[None, B], [B.T, None]])."
        )
    count = matrix.shape[0]
    entries = sp.coo_array(matrix)
    entries.sum_duplicates()
    values = entries.data.astype(np.float64)
    if not np.isfinite(values).all():
        worst = int(np.argmin(np.isfinite(values)))
        row, column = entries.row[worst], entries.col[worst]
        raise DataError(f"{place}, row {row}, column {column}: {values[worst]} is no finite number; store edges only.")
    present = values != 0
    pairs = np.column_stack([entries.row[present], entries.col[present]]).astype(np.int64)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs, values = pairs[order], values[present][order]
    keys, reverse = pairs[:, 0] * count + pairs[:, 1], pairs[:, 1] * count + pairs[:, 0]
    one_way = ~np.isin(keys, reverse)
    findings: list[Finding] = []
    if directed is None and not one_way.any():
        findings += _about_two_values(pairs, values, place)
        kept = pairs[:, 0] <= pairs[:, 1]
        pairs, values = pairs[kept], values[kept]
    names = np.array([str(i) for i in range(count)], dtype=object) if ids is None else ids
    if len(names) != count:
        raise DataError(f"{place}: {len(names)} names for {count} rows.")
    if len(set(names)) < count:
        found, counts = np.unique(names, return_counts=True)
        raise DataError(
            f"{place}: {counts.max()} rows are called {found[counts.argmax()]!r}; give each a name of its own."
        )
    same = not len(values) or (values == values[0]).all()
    graph = ParsedGraph(
        place,
        layout,
        names,
        pairs,
        directed,
        None if same else pl.DataFrame({"value": values}),
        unit="entry",
        numbered=ids is None,
        one_way=int(one_way.sum()) if directed is None else 0,
        findings=tuple(findings),
    )
    return graph


def _about_two_values(pairs: Pairs, values: NDArray[np.float64], place: str) -> list[Finding]:
    """A warning where entry (u, v) and entry (v, u), which are one edge, have two values."""
    upper, lower = pairs[:, 0] < pairs[:, 1], pairs[:, 0] > pairs[:, 1]
    order = np.lexsort((pairs[lower, 0], pairs[lower, 1]))
    number = int((values[upper] != values[lower][order]).sum())
    if not number:
        return []
    message = f"{place}: {number:,} edge(s) have one value above the diagonal and another one below: that above counts."
    remedy = "Pass --directed (directed=True) if these are two edges, or (A + A.T) / 2 for their mean."
    return [Finding("reading", "warning", message, remedy, float(number))]
