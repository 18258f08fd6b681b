"""What drivers of databases raise, as messages: with the place and the cure, and without any secret."""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl

from linkodds.errors import DatabaseError, DataError, OptionError
from linkodds.reading.database_urls import Database

_GONE = re.compile(
    r"server closed the connection|terminating connection|connection (to server|not open|reset|has been closed)"
    r"|no connection to the server|could not (receive|send) data|server terminated|the database system is",
    re.I,
)


@contextmanager
def failures_explained(database: Database, doing: str, query: str | None = None) -> Iterator[None]:
    """What drivers raise becomes a `DatabaseError`; theirs is left out of it, since it may quote the URL.

    Raises:
        DatabaseError: with the place and what the driver says.
    """
    try:
        yield
    except driver_errors() as error:
        explained = _explained(error, database, doing, query)
    else:
        return
    raise explained from None


def driver_errors() -> tuple[type[Exception], ...]:
    """What drivers raise; one that is not loaded has raised nothing."""
    module = sys.modules.get("adbc_driver_manager")
    arrow = () if module is None else (module.Error, module.Warning)
    return (sqlite3.Error, pl.exceptions.PolarsError, *arrow)


def is_gone(error: Exception) -> bool:
    """Whether a driver's error says that the connection was lost."""
    return _GONE.search(str(error)) is not None


def said_by(error: Exception, database: Database) -> str:
    """What a driver said, in one line and without secrets."""
    text = str(error).split("\n\nQuery was")[0]
    text = re.sub(r"^[A-Z_]+: |\[libpq\] |got external error: |\. SQLSTATE: .*$", "", text, flags=re.S)
    text = re.sub(r"(This probably means|Is the server running).*", "", text, flags=re.S)
    # A statement of ours, which the driver repeats, says nothing to a user.
    text = re.sub(
        r"Failed to (prepare|execute) query( '.*')?: (could not begin COPY: )?(ERROR: +)?", "", text, flags=re.S
    )
    return " ".join(database.without_secrets(text).split())[:500].rstrip(" .!?")


def missing_driver(database: Database) -> OptionError:
    """What to say where the driver is not installed."""
    return OptionError(
        f"{database}: the driver of {database.system} is not installed here; pip install 'linkodds[sql]'."
    )


def _explained(error: Exception, database: Database, doing: str, query: str | None) -> DatabaseError:
    said = said_by(error, database)
    place = str(database) if query is None else f"the query on {database.server}"
    if isinstance(error, pl.exceptions.DuplicateError):
        return DatabaseError(f"{place}: two columns have the same name ({said}); give them names of their own with AS.")
    if "Failed to connect" in str(error):
        said = said.removeprefix("Failed to connect: ")
        return DatabaseError(f"{place}: no connection: {said}.{_cure_of_connecting(said)}")
    if is_gone(error):
        return DatabaseError(
            f"{place}: the connection was lost while {doing} ({said}). Run it again when the server is back."
        )
    if query is None:
        said = re.split(r"[.!?]? (Did you mean|LINE 1:)", said)[0]  # of our own statement
    cure = ""
    if "file is not a database" in said:
        cure = " Name a file of SQLite; a table in a text or Parquet file is named without sqlite:///."
    elif query is not None:
        cure = " --query takes one SELECT, and only reads."
    elif re.search(r"does not exist|no such table", said) and database.table is not None:
        cure = _close_names(database)
    return DatabaseError(f"{place}: {said}.{cure}")


def _cure_of_connecting(said: str) -> str:
    if re.search(r"password|authentication", said):
        return " Check the user, and the password: in the URL, in PGPASSWORD or in ~/.pgpass."
    if re.search(r"refused|timeout|timed out|translate host name|unreachable", said):
        return " Is the server running, and are host and port right?"
    return ""


def _close_names(database: Database) -> str:
    """What the user may have meant, best effort: another case, or a schema before a dot."""
    hint = " A name is taken as it is stored, case and all"
    if database.schema is None and database.system != "sqlite":
        hint += "; for a table of a schema that is not searched add schema=S to the URL"
    return f"{hint}."


def no_id(place: str, row: int, name: str, value: Any, kind: str) -> DataError:
    """What to say of a cell that is no id."""
    return DataError(
        f"{place}, row {row}, column {name!r}: {value!r} is of type {kind}; columns of ids hold text or numbers. "
        "Choose others with --source and --target, or make text of it in a --query."
    )
