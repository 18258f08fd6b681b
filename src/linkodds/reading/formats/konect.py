"""Numbered pairs below lines that begin with %: KONECT and the Network Repository."""

import io
import re

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.findings import Finding
from linkodds.reading.delimited import table_of_text
from linkodds.reading.formats.matrices import numbered_graph
from linkodds.reading.formats.parsed import ParsedGraph
from linkodds.reading.formats.sources import Source
from linkodds.reading.tables import Table

KONECT_HEADER = re.compile(rb"%\s*(sym|asym|bip)(\s+[a-z]+)?\s*[\r\n]", re.IGNORECASE)
_COLUMNS = ("weight", "time")


def read_konect(source: Source) -> ParsedGraph:
    """A file of KONECT: `% sym|asym|bip WEIGHTS`, `% edges nodes nodes` where it knows, then pairs with weight and time.

    The header settles the direction. The two columns of a bipartite network are different things under the same numbers, so
    their ids are "left:1" and "right:1".

    Raises:
        MalformedFile: a line that is no pair of numbers.
    Example:
        >>> from pathlib import Path
        >>> graph = read_konect(Source(Path("out.x"), b"% bip unweighted\\n1 1\\n1 2\\n"))
        >>> graph.ids.tolist(), graph.side.tolist(), graph.pairs.tolist()
        (['left:1', 'right:1', 'right:2'], [0, 1, 1], [[0, 1], [0, 2]])
    """
    lines = source.text.split("\n")
    header = lines[0].lstrip("% ").lower().split()
    kind, weights = header[0], header[1] if len(header) > 1 else "unweighted"
    counts = [line.lstrip("% ").split() for line in lines[1:3] if line.startswith("%")]
    told = next(([int(each) for each in row[:3]] for row in counts if len(row) >= 3 and all(map(str.isdigit, row))), [])
    values, numbers = numbers_of_rows(source, "%")
    findings = []
    if told:
        source.refuse_more_nodes(max(told[1:]), 2)
    if told and told[0] != len(values):
        message = f"{source.place}: the header says {told[0]} edges, and there are {len(values)}."
        findings.append(Finding("reading", "warning", message, "Load the file again, unless it is meant to be a part."))
    if weights in ("signed", "dynamic", "multisigned"):
        message = f"{source.place} is {weights}: rows with a negative weight are read as edges like the others."
        findings.append(Finding("reading", "warning", message, "Drop the rows that are no edges, or no longer."))
    return numbered_graph(
        source.place,
        f"KONECT, {kind} {weights}",
        values,
        numbers,
        names=_COLUMNS,
        directed=kind == "asym",
        sizes=(told[1], told[2]) if told else None,
        two_sides=("left", "right") if kind == "bip" else None,
        findings=findings,
    )


def read_percent_table(source: Source) -> Table:
    """Delimited text below lines that begin with %, as the Network Repository has it.

    Raises:
        MalformedFile: as `delimited.table_of_text`.
    """
    blanked = re.sub(r"(?m)^%.*$", "", source.text)
    return table_of_text(source.path, blanked.encode(), ids=(None, None))


def numbers_of_rows(source: Source, comment: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Shape (rows, columns), the numbers of every line that is no comment, NaN where a row is shorter; and their lines.

    Raises:
        MalformedFile: a field that is no number, or one field alone, with its line.
    """
    lines = list(source.lines(comment=comment))
    if not lines:
        source.refuse(None, "no row below the header.")
    text = "\n".join("\t".join(line.replace(",", " ").split()) for _, line in lines) + "\n"
    width = max(line.count("\t") for line in text.split("\n")) + 1
    schema = {str(i): pl.String for i in range(width)}
    frame = pl.read_csv(io.StringIO(text), has_header=False, separator="\t", schema=schema, quote_char=None)
    values = frame.select(pl.all().cast(pl.Float64, strict=False))
    numbers = np.array([number for number, _ in lines], dtype=np.int64)
    cells = values.fill_null(float("nan")).to_numpy()
    bad = np.isnan(cells) & frame.select(pl.all().is_not_null()).to_numpy()
    if width < 2 or bad.any() or np.isnan(cells[:, :2]).any():
        row = int(np.argmax(bad.any(axis=1) | np.isnan(cells[:, : min(width, 2)]).any(axis=1))) if width > 1 else 0
        source.refuse(
            int(numbers[row]), f"{lines[row][1].strip()[:60]!r} is no pair of numbers with its weight and time."
        )
    return cells, numbers
