"""Files as polars, pyarrow, DuckDB and openpyxl write them."""

from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
from frames import frame
from known import (
    FROM_ONE,
    GENES,
    QUOTED,
    Known,
    file,
    made_by,
    refused,
)

PL = made_by("polars")
PA = made_by("pyarrow")
DUCK = made_by("duckdb")
XL = made_by("openpyxl")


# --- polars, pyarrow, DuckDB ------------------------------------------------------------------------------------------
def polars_of(known: Known) -> pl.DataFrame:
    return pl.DataFrame(frame(known).to_dict("list"))


@file("table of polars", "polars.csv", PL, QUOTED.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(QUOTED).write_csv(path)


@file("table of polars", "all-quoted-polars.tsv", PL, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(GENES).write_csv(path, separator="\t", quote_style="always")


@file("Parquet", "polars.parquet", PL, QUOTED.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(QUOTED).write_parquet(path)


@file("Arrow, Feather", "polars.arrow", PL, QUOTED.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(QUOTED).write_ipc(path, compression="zstd")


@file("Arrow, Feather", "stream-polars.arrows", PL, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(GENES).write_ipc_stream(path)


@file("JSON Lines", "polars.ndjson", PL, QUOTED.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(QUOTED).write_ndjson(path)


@file("table in JSON", "polars.json", PL, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(GENES).write_json(path)


@file("Excel, OpenDocument", "polars.xlsx", PL, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    polars_of(GENES).write_excel(path)


@refused("not read", "polars.avro", PL, "Parquet")
def _(path: Path) -> None:
    polars_of(GENES).write_avro(path)


def arrow_of(known: Known) -> Any:
    return pa.Table.from_pandas(frame(known), preserve_index=False)


@file("table of pyarrow", "pyarrow.csv", PA, QUOTED.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    pa.csv.write_csv(arrow_of(QUOTED), path)


for name, write in (
    ("pyarrow.feather", lambda table, path: pa.feather.write_feather(table, path)),
    (
        "uncompressed-pyarrow.feather",
        lambda table, path: pa.feather.write_feather(table, path, compression="uncompressed"),
    ),
    (
        "dictionary-pyarrow.arrow",
        lambda table, path: pa.feather.write_feather(
            table.set_column(0, "source", table["source"].dictionary_encode()), path
        ),
    ),
    ("pyarrow.ipc", lambda table, path: _stream(table, path, pa.ipc.new_file)),
    ("stream-pyarrow.arrow", lambda table, path: _stream(table, path, pa.ipc.new_stream)),
):

    @file("Arrow, Feather", name, PA, GENES.joined, relation="kind", weight="weight")
    def _(path: Path, write: Any = write) -> None:
        write(arrow_of(GENES), path)


def _stream(table: Any, path: Path, writer: Any) -> None:
    with writer(str(path), table.schema) as out:
        out.write_table(table)


@refused("not read", "version-1-pyarrow.feather", PA)
def _(path: Path) -> None:
    pa.feather.write_feather(frame(GENES, "source target"), path, version=1)


@file("Parquet", "integers-pyarrow.parquet", PA, FROM_ONE.joined)
def _(path: Path) -> None:
    pa.parquet.write_table(
        pa.table(
            {
                "from": pa.array([int(e.source) for e in FROM_ONE.edges], pa.int32()),
                "to": pa.array([int(e.target) for e in FROM_ONE.edges], pa.uint64()),
            }
        ),
        path,
    )


def duck(known: Known, sql: str) -> None:
    table = frame(known)
    with duckdb.connect() as connection:
        connection.register("edges", table)
        connection.execute(sql)


for name, options in (
    ("duckdb.csv", "HEADER, DELIMITER ','"),
    ("no-header-duckdb.tsv", "HEADER false, DELIMITER '\t'"),
    ("duckdb.csv.gz", "HEADER"),
    ("duckdb.csv.zst", "HEADER, COMPRESSION zstd"),
):
    of_kind = None if "false" in options else "kind"

    @file("table of DuckDB", name, DUCK, QUOTED.joined if of_kind else GENES.joined, relation=of_kind)
    def _(path: Path, options: str = options) -> None:
        if "false" in options:
            duck(GENES, f"COPY (SELECT source, target FROM edges) TO '{path}' (FORMAT csv, {options})")
        else:
            duck(QUOTED, f"COPY (SELECT * FROM edges) TO '{path}' (FORMAT csv, {options})")


@file("Parquet", "duckdb.parquet", DUCK, QUOTED.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    duck(QUOTED, f"COPY (SELECT * FROM edges) TO '{path}' (FORMAT parquet)")


@file("JSON Lines", "duckdb.jsonl", DUCK, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    duck(GENES, f"COPY (SELECT * FROM edges) TO '{path}' (FORMAT json)")


@file("table in JSON", "array-duckdb.json", DUCK, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    duck(GENES, f"COPY (SELECT * FROM edges) TO '{path}' (FORMAT json, ARRAY true)")


@file("JSON Lines", "lines-named-json-duckdb.json", DUCK, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    duck(GENES, f"COPY (SELECT * FROM edges) TO '{path}' (FORMAT json)")


@refused("not read", "base.duckdb", DUCK, "duckdb:///")
def _(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.register("edges", frame(GENES))
        connection.execute("CREATE TABLE links AS SELECT * FROM edges")


# --- openpyxl ---------------------------------------------------------------------------------------------------------
def sheets(path: Path, known: Known, *, several: bool = False, title_rows: bool = False) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "edges"
    if title_rows:
        sheet.append(["", "", "Visual properties", ""])
    sheet.append(["Vertex 1", "Vertex 2", "kind", "weight"])
    for edge in known.edges:
        sheet.append([edge.source, edge.target, edge.kind, edge.weight])
    if several:
        other = book.create_sheet("nodes")
        other.append(["name", "degree"])
        for i, node in enumerate(known.nodes):
            other.append([node, i])
    book.save(path)


@file("Excel, OpenDocument", "one-sheet-openpyxl.xlsx", XL, QUOTED.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    sheets(path, QUOTED)


@file(
    "Excel, OpenDocument",
    "key-openpyxl.xlsx",
    XL,
    GENES.joined,
    options={"key": "edges"},
    relation="kind",
    weight="weight",
)
def _(path: Path) -> None:
    sheets(path, GENES, several=True)


@refused("Excel, OpenDocument", "several-sheets-openpyxl.xlsx", XL, "--key")
def _(path: Path) -> None:
    sheets(path, GENES, several=True)
