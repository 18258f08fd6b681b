"""Square matrices of pairs whose rows have names."""

from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import DataError
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
        raise DataError(f"{place} is {shape}; a matrix of pairs is square, one row and one column a node.")
    count = matrix.shape[0]
    entries = sp.coo_array(matrix)
    entries.sum_duplicates()
    values = entries.data.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"{place}: {values[~np.isfinite(values)][0]} is no finite number; store edges only.")
    present = values != 0
    pairs = np.column_stack([entries.row[present], entries.col[present]]).astype(np.int64)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    pairs, values = pairs[order], values[present][order]
    keys, reverse = pairs[:, 0] * count + pairs[:, 1], pairs[:, 1] * count + pairs[:, 0]
    one_way = ~np.isin(keys, reverse)
    if directed is None and not one_way.any():
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
    )
    return graph
