"""Matrices as text: MatrixMarket, METIS; and what all graphs of numbered nodes have in common."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import scipy.io
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import MalformedFile
from linkodds.findings import Finding
from linkodds.reading.formats.parsed import ParsedGraph
from linkodds.reading.formats.sources import Source
from linkodds.reading.tables import NOISE

_BANNER = b"%%MatrixMarket"


def numbered_graph(
    place: str,
    layout: str,
    values: NDArray[np.float64],
    numbers: NDArray[np.int64] | None,
    *,
    names: Sequence[str] = (),
    directed: bool | None,
    sizes: tuple[int, int] | None = None,
    two_sides: tuple[str, str] | None = None,
    unit: str = "line",
    findings: Sequence[Finding] = (),
) -> ParsedGraph:
    """A graph whose nodes are numbers from 1.

    Args:
        place: what messages call it.
        layout: its format.
        values: shape (edges, columns): two numbers of nodes, then the attributes.
        numbers: of the lines.
        names: of the attributes.
        directed: what the format says.
        sizes: nodes of the two columns, where it says so; else the largest numbers.
        two_sides: words before the numbers, where the columns are different things.
        unit: what `numbers` counts.
        findings: what is to be said.
    Raises:
        MalformedFile: a number that is no node.
    """
    ends = values[:, :2].astype(np.int64)
    largest = ends.max(axis=0)
    first = 0 if ends.min() == 0 and sizes is None else 1
    rows = np.arange(1, len(ends) + 1) if numbers is None else numbers
    if sizes is None:
        counted = [int(each) + 1 - first for each in largest]
    else:
        counted = [max(sizes)] * 2 if two_sides is None else list(sizes)
    wrong = (ends < first) | (ends - first >= counted if two_sides or sizes else ends < first) | (ends != values[:, :2])
    if wrong.any():
        row, end = np.argwhere(wrong)[0]
        shown = f"{values[row, end]:.12g}"
        raise MalformedFile(
            f"{place}, {unit} {rows[row]}: {shown} is no node; nodes are the numbers {first} to {counted[end] - 1 + first}."
        )
    if two_sides is None:
        count = max(counted)
        ids = [str(i + first) for i in range(count)]
        pairs, side = ends - first, None
    else:
        ids = [f"{word}:{i + first}" for word, size in zip(two_sides, counted, strict=True) for i in range(size)]
        pairs = np.column_stack([ends[:, 0] - first, ends[:, 1] - first + counted[0]])
        side = np.repeat(np.array([0, 1], dtype=np.int64), counted)
        a, b = two_sides
        message = (
            f"{place}: the two columns are different things under the same numbers, so ids are '{a}:1' and '{b}:1'."
        )
        findings = [*findings, Finding("reading", "info", message, "Name pairs for predict the same way.")]
    columns = {name: _as_integers(values[:, 2 + i]) for i, name in enumerate(names) if values.shape[1] > 2 + i}
    return ParsedGraph(
        place,
        layout,
        np.array(ids, dtype=object),
        pairs,
        False if two_sides else directed,
        pl.DataFrame(columns) if columns else None,
        unit=unit,
        numbers=numbers,
        numbered=two_sides is None,
        side=side,
        findings=tuple(findings),
    )


def read_matrix_market(source: Source) -> ParsedGraph:
    """A MatrixMarket file: a sparse matrix, square or of two sides, whose banner says whether it is symmetric.

    Nodes are the numbers of the file, from 1; of a matrix that is not square "row:1" and "column:1". Values that are not
    all the same are the attribute `value`.

    Raises:
        MalformedFile: no readable matrix, or a dense table of numbers.
    """
    banner = source.data.lstrip()[: len(_BANNER)]
    if banner.lower() != _BANNER.lower():
        return _without_banner(source)
    if banner != _BANNER:  # rustworkx writes it in small letters, which SciPy does not take
        source = replace(source, data=_BANNER + source.data.lstrip()[len(_BANNER) :])
    try:
        rows, columns, _, layout, field, symmetry = scipy.io.mminfo(io.BytesIO(source.data))
        if field == "complex" or symmetry in ("skew-symmetric", "hermitian"):
            source.refuse(1, f"a {field} {symmetry} matrix; edges are entries of a real general or symmetric one.")
        source.refuse_more_nodes(max(rows, columns), 2)
        if layout == "array" and rows * columns > max(1 << 20, 8 * len(source.data)):
            source.refuse(2, f"{rows} x {columns} values are more than the file holds.")
        matrix: Any = scipy.io.mmread(io.BytesIO(source.data))
    except NOISE as error:
        source.refuse(None, f"not readable as a MatrixMarket file ({error}).")
    name = f"MatrixMarket, {symmetry}"
    if layout == "array":
        if not np.isin(matrix, (0, 1)).all():
            source.refuse(
                1,
                "a dense matrix of numbers, which is no list of edges; keep the values that are edges and save them by "
                "scipy.io.mmwrite(file, scipy.sparse.coo_array(matrix > LIMIT)).",
            )
        matrix = sp.coo_array(matrix)
    entries = sp.coo_array(matrix)
    present = entries.data != 0
    u, v, data = entries.row[present], entries.col[present], entries.data[present].astype(np.float64)
    square = rows == columns
    directed = False if square and symmetry == "symmetric" else not _is_symmetric(u, v, rows) if square else False
    if square and not directed:
        kept = u >= v
        u, v, data = v[kept], u[kept], data[kept]
    order = np.lexsort((v, u))
    values = np.column_stack([u + 1, v + 1, data])[order]
    same = len(values) and (data == data[0]).all()
    return numbered_graph(
        source.place,
        name,
        values[:, :2] if same else values,
        None,
        names=("value",),
        directed=directed,
        sizes=(rows, columns),
        two_sides=None if square else ("row", "column"),
        unit="entry",
    )


def _without_banner(source: Source) -> ParsedGraph:
    """The Network Repository leaves the banner out of some files; then `rows columns entries` comes first."""
    from linkodds.reading.formats.konect import numbers_of_rows

    values, numbers = numbers_of_rows(source, "%")
    n, m, count = (int(each) for each in np.nan_to_num(values[0, :3])) if values.shape[1] > 2 else (0, 0, 0)
    if not n or count != len(values) - 1:
        source.refuse(
            int(numbers[0]),
            "no banner %%MatrixMarket and no line 'rows columns entries' that counts the rows below it.",
        )
    source.refuse_more_nodes(max(n, m), int(numbers[0]))
    return numbered_graph(
        source.place,
        "MatrixMarket without banner",
        values[1:],
        numbers[1:],
        names=("value",) if not np.isnan(values[1:, 2:]).any() else (),
        directed=None,
        sizes=(n, m),
        two_sides=None if n == m else ("row", "column"),
    )


def read_metis(source: Source) -> ParsedGraph:
    """A METIS file: `nodes edges [format [weights]]`, then the neighbours of node 1, 2, ... a line, from 1.

    Weights of edges are the attribute `weight`; weights and sizes of nodes are left aside.

    Raises:
        MalformedFile: numbers that do not fit the first line, or an edge that only one of its ends lists.
    Example:
        >>> from pathlib import Path
        >>> graph = read_metis(Source(Path("a.graph"), b"3 1\\n2\\n1\\n\\n"))
        >>> graph.ids.tolist(), graph.pairs.tolist()
        (['1', '2', '3'], [[0, 1]])
    """
    lines = [(i, line) for i, line in enumerate(source.text.split("\n"), 1) if not line.lstrip().startswith("%")]
    while lines and not lines[0][1].strip():
        del lines[0]
    head = lines[0][1].split()
    if len(head) not in (2, 3, 4) or not all(map(str.isdigit, head)):
        source.refuse(
            lines[0][0], f"{lines[0][1][:60]!r} is no head of a METIS file: nodes, edges, and a format of 0 and 1."
        )
    n, m = int(head[0]), int(head[1])
    flags = (head[2] if len(head) > 2 else "0").zfill(3)
    skip = (flags[0] == "1") + (int(head[3]) if len(head) > 3 else 1) * (flags[1] == "1")
    step = 1 + (flags[2] == "1")
    body = lines[1 : n + 1]
    if len(body) < n or any(line.strip() for _, line in lines[n + 1 :]):
        source.refuse(
            lines[0][0], f"{n} nodes, but {sum(1 for _, line in lines[1:])} line(s) below it; one line a node."
        )
    found: list[tuple[int, int, str, int]] = []
    for u, (number, line) in enumerate(body):
        fields = line.split()[skip:]
        if len(fields) % step:
            source.refuse(number, f"{len(fields)} numbers are no neighbours with their weights.")
        for i in range(0, len(fields), step):
            other = fields[i]
            if not other.isdigit() or not 1 <= int(other) <= n:
                source.refuse(number, f"{other!r} is no node; nodes are the numbers 1 to {n}.")
            found.append((u, int(other) - 1, fields[i + 1] if step == 2 else "", number))
    listed = {(u, v) for u, v, _, _ in found}
    lost = next(((u, v, number) for u, v, _, number in found if (v, u) not in listed), None)
    if lost is not None:
        u, v, number = lost
        source.refuse(
            number, f"node {u + 1} lists {v + 1}, and {v + 1} does not list {u + 1}; METIS has each edge twice."
        )
    once = [each for each in found if each[0] <= each[1]]
    if len(found) != 2 * m and len(once) != m:
        source.refuse(lines[0][0], f"the first line says {m} edges, and there are {len(once)}.")
    return ParsedGraph(
        source.place,
        "METIS",
        np.array([str(i + 1) for i in range(n)], dtype=object),
        np.array([(u, v) for u, v, _, _ in once], dtype=np.int64).reshape(-1, 2),
        False,
        pl.DataFrame({"weight": [weight for _, _, weight, _ in once]}) if step == 2 else None,
        unit="line",
        numbers=np.array([number for *_, number in once], dtype=np.int64),
        numbered=True,
    )


def _is_symmetric(u: NDArray[np.int64], v: NDArray[np.int64], n: int) -> bool:
    keys = u.astype(np.int64) * n + v
    return bool(np.array_equal(np.sort(keys), np.sort(v.astype(np.int64) * n + u)))


def _as_integers(values: NDArray[np.float64]) -> NDArray[np.float64] | NDArray[np.int64]:
    """Whole numbers as integers, so that times are what the file writes."""
    whole = np.isfinite(values).all() and (values == np.round(values)).all() and (np.abs(values) < 1 << 53).all()
    return values.astype(np.int64) if whole else values
