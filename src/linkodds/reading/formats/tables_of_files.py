"""Tables in other clothes: Arrow and Feather, spreadsheets, JSON Lines and lists of records."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from linkodds.errors import MalformedFile, OptionError
from linkodds.reading.formats.parsed import frame_of_attributes
from linkodds.reading.formats.sources import Source
from linkodds.reading.tables import NOISE, Table, table_of_frame

_MOST_UNPACKED, _MOST_RATIO = 1 << 28, 200


def read_arrow(source: Source) -> Table:
    """An Arrow or Feather file (version 2), or an Arrow stream, as a table.

    Raises:
        MalformedFile: it is none, or Feather of version 1.
    """
    if source.data.startswith(b"FEA1"):
        source.refuse(
            None, "Feather version 1; write it again by pyarrow.feather.write_feather(table, file, version=2)."
        )
    file = io.BytesIO(source.data)
    try:
        is_file = source.data.startswith(b"ARROW1")
        frame = pl.read_ipc(file, use_pyarrow=False) if is_file else pl.read_ipc_stream(file)
    except (pl.exceptions.PolarsError, *NOISE) as error:
        source.refuse(None, f"no readable Arrow file ({str(error).splitlines()[0]}).")
    return replace(table_of_frame(frame), place=source.place, format="Arrow")


def read_spreadsheet(source: Source) -> Table:
    """A sheet of an Excel or OpenDocument file as a table: the first row names the columns, cells are text as they show.

    Raises:
        MalformedFile: no such file, several sheets and no `--key`, no such sheet, or more than 200 times unpacked.
        OptionError: the package fastexcel is not installed.
    """
    try:
        import fastexcel
    except ImportError as error:
        raise OptionError(
            f"{source.place}: spreadsheets are read by the package fastexcel: pip install 'linkodds[formats]'; or save it as CSV."
        ) from error
    _refuse_bomb(source)
    try:
        book = fastexcel.read_excel(source.data)
        names = list(book.sheet_names)
        sheets = {name: book.load_sheet(name, dtypes="string", header_row=None) for name in names}
    except Exception as error:  # the library has errors of its own for each way to be broken
        source.refuse(None, f"no readable spreadsheet ({str(error).splitlines()[0]}).")
    held = [name for name in names if sheets[name].height]
    if source.key is not None and source.key not in names:
        source.refuse(None, f"no sheet {source.key!r} for --key; there are {', '.join(map(repr, names))}.")
    if source.key is None and len(held) != 1:
        listed = ", ".join(map(repr, held))
        source.refuse(
            None, f"{len(held)} sheets with rows, {listed}; say with --key (key=) which one." if held else "no row."
        )
    sheet = source.key or held[0]
    frame = sheets[sheet].to_polars().select(pl.all().cast(pl.String).fill_null(""))
    return _below_first_row(frame, f"{source.place}, sheet {sheet!r}")


def read_json_lines(source: Source) -> Table:
    """JSON Lines: one record a line, as a table.

    Raises:
        MalformedFile: a line that is no JSON object, with its number.
    Example:
        >>> from pathlib import Path
        >>> table = read_json_lines(Source(Path("a.jsonl"), b'{"u": "a", "v": 7}\\n{"u": "b", "v": 8}\\n'))
        >>> table.names, table.load([0, 1]).rows()
        (('u', 'v'), [('a', '7'), ('b', '8')])
    """
    records, numbers = list[Mapping[str, Any]](), list[int]()
    for number, line in source.lines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MalformedFile(f"{source.place}, line {number}: no JSON ({error}).") from error
        if not isinstance(record, dict):
            source.refuse(number, f"{line[:60]!r} is no record in braces.")
        records.append(record)
        numbers.append(number)
    table = table_of_records(source, records)
    return replace(
        table, unit="line", lines=np.array(numbers, dtype=np.int64), layout="JSON Lines", format="JSON Lines"
    )


def table_of_records(source: Source, records: Sequence[Mapping[str, Any]]) -> Table:
    """Records as a table; values that are lists or records are left out.

    Raises:
        MalformedFile: records without a plain value.
    """
    if {record.get("type") for record in records} & {"node", "relationship"} and any(
        "start" in each for each in records
    ):
        source.refuse(
            None,
            "nodes and relationships of Neo4j's APOC. Export what you mean as a table: apoc.export.csv.query('MATCH "
            "(a)-[r]->(b) RETURN a.name AS source, type(r) AS kind, b.name AS target', 'edges.csv', {}).",
        )
    plain = [{k: v for k, v in record.items() if not isinstance(v, dict | list)} for record in records]
    frame = frame_of_attributes(plain)
    if frame is None:
        source.refuse(None, "its records hold no plain value; an edge has two ends that are text or numbers.")
    return replace(
        table_of_frame(frame), place=source.place, layout="records of JSON", unit="record", format="JSON records"
    )


def _below_first_row(frame: pl.DataFrame, place: str) -> Table:
    first = [str(cell).strip() for cell in frame.row(0)]
    kept = [i for i, name in enumerate(first) if name or (frame.to_series(i) != "").any()]
    frame = frame.select(pl.nth(kept)).slice(1)
    rows = np.flatnonzero(frame.select(pl.any_horizontal(pl.all() != "")).to_series().to_numpy())
    table = table_of_frame(pl.DataFrame({str(k): frame.to_series(k)[rows.tolist()] for k in range(len(kept))}))
    names = tuple(first[i] for i in kept)
    return replace(table, place=place, names=names, layout="spreadsheet", lines=rows + 2, format="spreadsheet")


def _refuse_bomb(source: Source) -> None:
    if not zipfile.is_zipfile(io.BytesIO(source.data)):
        return
    with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
        size = sum(each.file_size for each in archive.infolist())
    if size > max(_MOST_UNPACKED, _MOST_RATIO * len(source.data)):
        source.refuse(
            None, f"{len(source.data):,} bytes unpack to {size:,}, which no table of edges does; save it as CSV."
        )
