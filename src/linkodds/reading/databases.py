"""Databases: PostgreSQL and DuckDB through their Arrow drivers, SQLite through Python's own, read in streams of columns.

What is read is read in one read-only transaction: PostgreSQL refuses writing in it whatever a query calls, SQLite and
DuckDB files are opened for reading alone. A query stands in brackets behind FROM, as one statement, so it can only select.
Names of tables and columns are quoted as identifiers; ids never become part of a statement.
"""

import os
import re
import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, final
from urllib.parse import quote

import polars as pl

from linkodds.errors import DatabaseError, DataError, OptionError
from linkodds.reading.database_failures import failures_explained, missing_driver, no_id
from linkodds.reading.database_urls import Database
from linkodds.reading.tables import Table, require_file

_BATCH = 50_000  # rows of SQLite at a time
_SECONDS_TO_CONNECT = 15
_NAMES = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "duckdb": "DuckDB"}
# These come as they are; all others that are not refused are made text by the database.
_AS_IT_IS = {
    *("smallint", "integer", "bigint", "text", "character varying", "name", "boolean", "real", "double precision"),
    *("tinyint", "utinyint", "usmallint", "uinteger", "ubigint", "varchar", "float", "double"),
}
_NO_ID = re.compile(r"bytea|blob|bit\b.*|json.*|xml|record|variant|tsvector|hstore|.*\]|(struct|map|union)\b.*", re.I)


class Session(ABC):
    """One transaction on a database."""

    @abstractmethod
    def fetch(self, statement: str, *values: Any) -> pl.DataFrame:
        """All rows of a statement, as columns."""

    @abstractmethod
    def execute(self, statement: str) -> None:
        """Run a statement that has no rows."""

    @abstractmethod
    def names_of(self, relation: str) -> list[str]:
        """Names of the columns."""

    @abstractmethod
    def types_of(self, relation: str, names: list[str]) -> list[str]:
        """Type of each of these columns, as the database calls it; "" where a column has no type of its own."""

    @abstractmethod
    def insert(self, table: str, schema: str | None, frame: pl.DataFrame) -> None:
        """Add the rows of a frame to a table that has columns of these names."""

    @abstractmethod
    def commit(self) -> None:
        """Keep what was written; a session that ends without it leaves the database as it was."""

    def text_columns(self, relation: str, names: list[str], place: str) -> pl.DataFrame:
        """Columns as text, in the order of the rows; a NULL is ""."""
        types = dict(zip(names, self.types_of(relation, names), strict=True))
        for name, kind in types.items():
            if _NO_ID.fullmatch(kind):
                first = self.fetch(f"SELECT CAST({quoted(name)} AS text) AS value FROM {relation} LIMIT 1")
                value = first["value"][0] if first.height else None
                raise no_id(place, 1, name, value, kind)
        columns = ", ".join(
            quoted(name) if kind.lower() in _AS_IT_IS else f"CAST({quoted(name)} AS text) AS {quoted(name)}"
            for name, kind in types.items()
        )
        return self.fetch(f"SELECT {columns} FROM {relation}").select(pl.all().cast(pl.String).fill_null(""))


@final
class _ArrowSession(Session):
    """PostgreSQL and DuckDB: rows come and go as Arrow batches, by COPY where the server is PostgreSQL."""

    def __init__(self, connection: Any, database: Database) -> None:
        self._connection, self._database = connection, database

    def fetch(self, statement: str, *values: Any) -> pl.DataFrame:
        if self._database.system == "duckdb":
            _refuse_several(statement)
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return pl.DataFrame(cursor.fetch_arrow())

    def execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def names_of(self, relation: str) -> list[str]:
        return self.fetch(f"SELECT one_row.* {_one_row(relation)}").columns

    def types_of(self, relation: str, names: list[str]) -> list[str]:
        if self._database.system == "duckdb":
            described = self.fetch(f"DESCRIBE SELECT {', '.join(map(quoted, names))} FROM {relation}")
            return [str(kind) for kind in described["column_type"]]
        kinds = ", ".join(f"pg_typeof(one_row.{quoted(name)})::text AS {quoted(name)}" for name in names)
        return [str(kind) for kind in self.fetch(f"SELECT {kinds} {_one_row(relation)}").row(0)]

    def insert(self, table: str, schema: str | None, frame: pl.DataFrame) -> None:
        into = table
        if (
            self._database.system == "duckdb"
        ):  # its driver fills columns by their place, so they pass by a table of ours
            columns = ", ".join(quoted(name) for name in frame.columns)
            into = "linkodds_rows"
            self.execute(f"CREATE TEMP TABLE {into} AS SELECT {columns} FROM {relation_of(table, schema)} LIMIT 0")
        with self._connection.cursor() as cursor:
            if into == table:
                cursor.adbc_ingest(table, frame, mode="append", db_schema_name=schema)
                return
            cursor.adbc_ingest(into, frame, mode="append", temporary=True)
        self.execute(f"INSERT INTO {relation_of(table, schema)} ({columns}) SELECT {columns} FROM {into}")
        self.execute(f"DROP TABLE {into}")

    def commit(self) -> None:
        self._connection.commit()


@final
class _SqliteSession(Session):
    """SQLite: a cell has a type of its own, whatever its column says, so cells are looked at one by one."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fetch(self, statement: str, *values: Any) -> pl.DataFrame:
        cursor = self._connection.execute(statement, values)
        names = [column[0] for column in cursor.description]
        return pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)

    def execute(self, statement: str) -> None:
        self._connection.execute(statement)

    def names_of(self, relation: str) -> list[str]:
        return [column[0] for column in self._connection.execute(f"SELECT * FROM {relation} LIMIT 0").description]

    def types_of(self, relation: str, names: list[str]) -> list[str]:  # noqa: ARG002
        return ["" for _ in names]

    def insert(self, table: str, schema: str | None, frame: pl.DataFrame) -> None:
        columns = ", ".join(quoted(name) for name in frame.columns)
        places = ", ".join("?" for _ in frame.columns)
        self._connection.executemany(
            f"INSERT INTO {relation_of(table, schema)} ({columns}) VALUES ({places})", frame.iter_rows()
        )

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def text_columns(self, relation: str, names: list[str], place: str) -> pl.DataFrame:
        statement = f"SELECT {', '.join(map(quoted, names))} FROM {relation}"
        batches: list[pl.DataFrame] = []
        num_read = 0
        cursor = self._connection.execute(statement)
        while True:
            try:
                rows = cursor.fetchmany(_BATCH)
            except sqlite3.OperationalError as error:
                if "decode" in str(error):
                    self._refuse_undecodable(statement, names, place)
                raise
            if not rows:
                break
            columns = zip(names, zip(*rows, strict=True), strict=True)
            batches.append(
                pl.DataFrame(
                    [
                        pl.Series(name, _as_text(cells, place, num_read, name), dtype=pl.String)
                        for name, cells in columns
                    ]
                )
            )
            num_read += len(rows)
        return pl.concat(batches) if batches else pl.DataFrame(schema=dict.fromkeys(names, pl.String))

    def _refuse_undecodable(self, statement: str, names: list[str], place: str) -> None:
        self._connection.text_factory = bytes
        for row, cells in enumerate(self._connection.execute(statement), 1):
            for name, cell in zip(names, cells, strict=True):
                try:
                    _ = cell.decode() if isinstance(cell, bytes) else None
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{place}, row {row}, column {name!r}: {cell[:60]!r} is no UTF-8 text at byte {error.start}."
                    ) from None


def read_database(database: Database, query: str | None = None, limit: int | None = None) -> Table:
    """A table of a database, or the rows of a query, as a table whose columns are fetched when asked for.

    Each load is one statement, and rows may come in another order from one to the next: load all columns at once.

    Args:
        database: names a table, unless there is a query.
        query: one SELECT, without parameters.
        limit: so many rows at most, whichever come first; None takes all.
    Raises:
        DatabaseError: not reachable, no such table, not readable, or lost in the middle.
        MalformedFile: the file of the database is not there.
        OptionError: both a table and a query, or none; or the driver is not installed.
        DataError: from `load`: cells that are no ids, with row, column and value.
    """
    if (database.table is None) == (query is None):
        raise OptionError(
            f"{database}: name a table (?table=NAME in the URL) or pass --query, "
            f"{'one of the two' if query is not None else 'so that it is clear what to read'}."
        )
    if query is None:
        place, relation = str(database), relation_of(str(database.table), database.schema)
    else:
        place, relation = f"the query on {database.server}", f"(\n{_one_select(query)}\n) AS the_query"
    if limit is not None:
        relation = f"(SELECT * FROM {relation} LIMIT {limit:d}) AS first_rows"
    with read_only(database, query) as session:
        names = tuple(session.names_of(relation))

    def load(positions: list[int]) -> pl.DataFrame:
        wanted = [names[i] for i in positions]
        with read_only(database, query) as session:
            frame = session.text_columns(relation, wanted, place)
        return frame.rename({names[i]: str(i) for i in positions})

    return Table(place, names, "", "row", range(1, sys.maxsize), load, format=f"{_NAMES[database.system]} database")


@contextmanager
def read_only(database: Database, query: str | None = None) -> Iterator[Session]:
    """A transaction in which nothing can be written; failures become a `DatabaseError` without any secret."""
    with failures_explained(database, "reading", query), _connected(database, writing=False) as session:
        yield session


@contextmanager
def writing(database: Database) -> Iterator[Session]:
    """A transaction that ends as if it had not been, unless it is committed."""
    with _connected(database, writing=True) as session:
        yield session


def quoted(name: str) -> str:
    """An identifier, whatever it holds.

    Raises:
        OptionError: a zero byte, which no database can name anything with.
    Example:
        >>> quoted('edges"; DROP TABLE edges; --')
        '"edges""; DROP TABLE edges; --"'
    """
    if "\0" in name:
        raise OptionError(f"{name!r} cannot be the name of a table or a column.")
    return '"' + name.replace('"', '""') + '"'


def relation_of(table: str, schema: str | None) -> str:
    """The table as a statement names it."""
    return quoted(table) if schema is None else f"{quoted(schema)}.{quoted(table)}"


@contextmanager
def _connected(database: Database, *, writing: bool) -> Iterator[Session]:
    if database.path is not None:
        _refuse_other_file(database, writing=writing)
    if database.system == "sqlite":
        assert database.path is not None
        mode = "rwc" if writing else "ro"
        name = f"file:{quote(str(database.path.absolute()))}?mode={mode}"
        with closing(sqlite3.connect(name, uri=True, timeout=30, isolation_level=None)) as connection:
            if writing:
                connection.execute("BEGIN IMMEDIATE")
            yield _SqliteSession(connection)
        return
    connection = _arrow_connection(database, writing=writing)
    try:
        session = _ArrowSession(connection, database)
        if database.system == "postgresql":
            # Rows in the order in which they lie, not in that of another scan that is under way.
            session.execute("SET synchronize_seqscans = off")
            if database.table is not None:
                session.execute("SET max_parallel_workers_per_gather = 0")
            session.execute(f"SET TRANSACTION READ {'WRITE' if writing else 'ONLY'}")
        yield session
    finally:
        with suppress(Exception):  # a connection that is gone cannot be closed well, and what was lost was said
            connection.rollback()
        with suppress(Exception):
            connection.close()


def _refuse_other_file(database: Database, *, writing: bool) -> None:
    """DuckDB opens a CSV file too, as a database in memory, and what is written there is gone."""
    assert database.path is not None
    if not writing:
        require_file(database.path)
    elif database.path.is_dir():
        raise DatabaseError(f"{database}: {database.path} is a directory; name a file.")
    if database.system == "duckdb" and database.path.exists():
        with database.path.open("rb") as file:
            head = file.read(16)
        if head[8:12] != b"DUCK":
            cure = (
                "use sqlite:///"
                if head.startswith(b"SQLite format 3")
                else "a text or Parquet file needs no duckdb:///"
            )
            raise DatabaseError(f"{database}: {database.path} is no file of DuckDB; name one, or {cure}.")


def _arrow_connection(database: Database, *, writing: bool) -> Any:
    try:
        if database.system == "postgresql":
            from adbc_driver_postgresql import dbapi
        else:
            import adbc_driver_duckdb
            from adbc_driver_manager import dbapi
    except ImportError:
        raise missing_driver(database) from None
    if database.system == "postgresql":
        options = ["application_name=linkodds"] if "application_name=" not in database.uri else []
        if "connect_timeout=" not in database.uri and "PGCONNECT_TIMEOUT" not in os.environ:
            options.append(f"connect_timeout={_SECONDS_TO_CONNECT}")
        mark = "&" if "?" in database.uri else "?"
        return dbapi.connect(database.uri + (mark + "&".join(options) if options else ""))
    assert database.path is not None
    # A whole path: DuckDB takes some names, such as :memory:, for something else than a file.
    options_of = {"path": str(database.path.absolute()), "access_mode": "AUTOMATIC" if writing else "READ_ONLY"}
    return dbapi.connect(
        driver=adbc_driver_duckdb.driver_path(),
        entrypoint="duckdb_adbc_init",
        db_kwargs=options_of | {"autoinstall_known_extensions": "false"},
    )


def _one_row(relation: str) -> str:
    """A FROM that has one row of NULLs, with the names and types of the columns, whatever rows there are."""
    return f"FROM (SELECT 1) AS one LEFT JOIN (SELECT * FROM {relation} LIMIT 0) AS one_row ON true"


def _one_select(query: str) -> str:
    text = query.strip().rstrip(";").rstrip()
    if not text:
        raise OptionError("--query is empty; it takes one SELECT.")
    return text


def _refuse_several(statement: str) -> None:
    """DuckDB's driver runs all statements of a text; the others refuse more than one themselves."""
    import duckdb

    try:
        count = len(duckdb.extract_statements(statement))
    except duckdb.Error:
        return  # it says what is wrong when it is run
    if count != 1:
        raise OptionError("--query takes one SELECT, and it is several statements.")


def _as_text(cells: tuple[Any, ...], place: str, num_before: int, name: str) -> list[str]:
    """Cells of SQLite as text. Integers and reals as Python writes them, as from a Parquet file."""
    kinds = set(map(type, cells))
    if kinds == {str}:
        return list(cells)
    if bytes in kinds:
        row = next(i for i, cell in enumerate(cells) if isinstance(cell, bytes))
        raise no_id(place, num_before + row + 1, name, cells[row][:60], "blob")
    return ["" if cell is None else str(cell) for cell in cells]
