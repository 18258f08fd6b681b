"""Tables of links in databases: made or added to in one transaction, with the run and the time of each row."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from linkodds.errors import DatabaseError, LinkoddsError, OptionError
from linkodds.reading.database_failures import driver_errors, failures_explained, is_gone, said_by
from linkodds.reading.database_urls import Database
from linkodds.reading.databases import Session, quoted, relation_of, writing

# Columns of every table of links, so that one which is not can be told before a search.
_ALWAYS: dict[str, pl.DataType] = {
    "source": pl.String(),
    "target": pl.String(),
    "logit": pl.Float64(),
    "run_id": pl.String(),
    "written_at": pl.Datetime(),
}
_EMPTY_FILE = 12288  # bytes of a DuckDB file without a table
# What each column is in a table that is made, and what it may be in one that is there: binary rows are not converted.
_TYPES: dict[type[pl.DataType], dict[str, tuple[str, tuple[str, ...]]]] = {
    pl.String: {
        "postgresql": ("text", ("text", "character varying")),
        "sqlite": ("TEXT", ()),
        "duckdb": ("VARCHAR", ("VARCHAR",)),
    },
    pl.Float64: {
        "postgresql": ("double precision", ("double precision",)),
        "sqlite": ("REAL", ()),
        "duckdb": ("DOUBLE", ("DOUBLE",)),
    },
    pl.Int16: {
        "postgresql": ("smallint", ("smallint",)),
        "sqlite": ("INTEGER", ()),
        "duckdb": ("SMALLINT", ("SMALLINT", "INTEGER", "BIGINT")),
    },
    pl.Datetime: {
        "postgresql": ("timestamp with time zone", ("timestamp with time zone",)),
        "sqlite": ("TEXT", ()),
        "duckdb": ("TIMESTAMP WITH TIME ZONE", ("TIMESTAMP WITH TIME ZONE",)),
    },
}


@dataclass(frozen=True)
class DatabaseTable:
    """Where links go: a table of a database.

    Args:
        database: names the table.
        run_id: goes into each row, with the time.
        append: add to a table that is there; where there is none it is made all the same.
    Raises:
        OptionError: the URL names no table.
    """

    database: Database
    run_id: str
    append: bool = False

    def __post_init__(self) -> None:
        self.database.with_table("--to")

    def __str__(self) -> str:
        return str(self.database)

    def refuse_unusable(self) -> None:
        """Raise where the table is there and may not be added to: before a search, not after it.

        Raises:
            DatabaseError: it is there and `append` is False, or is no table of links; or the database cannot be reached.
        """
        if self.database.path is not None and not self.database.path.exists():
            if not self.database.path.absolute().parent.is_dir():
                raise DatabaseError(f"--to {self}: there is no directory {self.database.path.parent}; make it first.")
            return
        with failures_explained(self.database, "looking for the table"), writing(self.database) as session:
            if self._is_there(session):
                self._refuse_other_columns(session, _ALWAYS)

    def write(self, links: pl.DataFrame) -> None:
        """Write all rows, or none: one transaction, which a server that goes away has never seen.

        Args:
            links: as `find` or `predict` makes it; columns `run_id` and `written_at` (UTC) are added.
        Raises:
            DatabaseError: the table is there and `append` is False; its columns do not fit; or the database failed.
        """
        rows = self._with_run(links)
        path = self.database.path
        is_new_file = path is not None and not path.exists()
        committing = False
        try:
            with writing(self.database) as session:
                if self._is_there(session):
                    self._refuse_other_columns(session, rows.schema)
                else:
                    session.execute(self._create(rows))
                session.insert(str(self.database.table), self.database.schema, rows)
                committing = True
                session.commit()
        except (LinkoddsError, KeyboardInterrupt):
            _forget(self.database, is_new_file)
            raise
        except driver_errors() as error:
            _forget(self.database, is_new_file)
            explained = self._explained(error, rows, committing=committing)
        else:
            return
        raise explained

    def _with_run(self, links: pl.DataFrame) -> pl.DataFrame:
        now = datetime.now(UTC).replace(microsecond=0)
        rows = links.with_columns(
            pl.lit(self.run_id).alias("run_id"), pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("written_at")
        )
        if self.database.system == "sqlite":  # which has no type for times
            rows = rows.with_columns(pl.lit(now.isoformat()).alias("written_at"))
        return rows.with_columns(pl.col(pl.Int8, pl.Int64).cast(pl.Int16))

    def _is_there(self, session: Session) -> bool:
        table, schema = str(self.database.table), self.database.schema
        if self.database.system == "postgresql":
            found = (
                session.fetch("SELECT to_regclass($1)::text AS name", relation_of(table, schema))["name"][0] is not None
            )
        elif self.database.system == "duckdb":
            where = "current_schema()" if schema is None else "?"
            statement = (
                "SELECT table_name FROM information_schema.tables WHERE table_catalog = current_database() "
                f"AND lower(table_name) = lower(?) AND lower(table_schema) = lower({where})"
            )
            found = session.fetch(statement, table, *([] if schema is None else [schema])).height > 0
        else:
            if schema is not None:
                raise OptionError(f"--to {self}: SQLite has no schemas; leave schema= out.")
            statement = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) = lower(?)"
            found = session.fetch(statement, table).height > 0
        if found and not self.append:
            raise DatabaseError(
                f"--to {self}: the table is there already. Pass --append to add to it, or name another."
            )
        return found

    def _create(self, rows: pl.DataFrame) -> str:
        columns = ", ".join(f"{quoted(name)} {self._types(kind)[0]}" for name, kind in rows.schema.items())
        return f"CREATE TABLE {relation_of(str(self.database.table), self.database.schema)} ({columns})"

    def _types(self, kind: pl.DataType) -> tuple[str, tuple[str, ...]]:
        return _TYPES[kind.base_type()][self.database.system]

    def _refuse_other_columns(self, session: Session, columns: Mapping[str, pl.DataType]) -> None:
        relation = relation_of(str(self.database.table), self.database.schema)
        there = session.names_of(relation)
        missing = [name for name in columns if name not in there]
        if missing:
            raise DatabaseError(
                f"--to {self}: the table has no column {missing[0]!r} (of {', '.join(columns)} it has "
                f"{len(columns) - len(missing)}). Add it, or name a table that is not there yet."
            )
        for name, kind in zip(columns, session.types_of(relation, list(columns)), strict=True):
            accepted = self._types(columns[name])[1]
            if accepted and kind not in accepted:
                raise DatabaseError(
                    f"--to {self}: column {name!r} is {kind}, and has to be {' or '.join(accepted)}. "
                    "Change it, or name a table that is not there yet."
                )

    def _explained(self, error: Exception, rows: pl.DataFrame, *, committing: bool) -> DatabaseError:
        said = re.split(r" LINE \d+:", said_by(error, self.database))[0]
        if committing and is_gone(error):
            return DatabaseError(
                f"--to {self}: the connection was lost at the very end ({said}), and only the server knows whether it kept "
                f"the {rows.height:,} rows: all of them or none. Look for run_id {self.run_id!r} before you run it again."
            )
        if is_gone(error):
            return DatabaseError(
                f"--to {self}: the connection was lost while writing ({said}). Nothing was written: all rows come in one "
                "transaction. Run it again when the server is back."
            )
        return DatabaseError(f"--to {self}: {said}. Nothing was written.")


def _forget(database: Database, is_new_file: bool) -> None:
    """Remove a file without any table that opening a database made."""
    path, most = database.path, _EMPTY_FILE if database.system == "duckdb" else 0
    if is_new_file and path is not None and path.is_file() and path.stat().st_size <= most:
        path.unlink()
