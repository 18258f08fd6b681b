"""Databases for the tests: a PostgreSQL server of our own, and an empty database of each system."""

import contextlib
import importlib.util
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from linkodds.errors import DataError
from linkodds.reading.reading import read_pairs
from linkodds.reading.reading_options import ReadingOptions
from places import ROOT

_spec = importlib.util.spec_from_file_location("linkodds_server", ROOT / "benchmarks" / "sources" / "server.py")
assert _spec is not None
assert _spec.loader is not None
servers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(servers)

HOSTILE = "x'); DROP TABLE edges; --"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A server of our own; where PostgreSQL is not installed its tests are skipped, in CI they fail."""
    programs = servers.find_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is missing, and CI must have it")
        pytest.skip("needs PostgreSQL (initdb and postgres)")
    with servers.running_server(programs) as server:
        yield server


def statements(url: str, *texts: str) -> None:
    """Run statements on a PostgreSQL or DuckDB database, and keep what they do."""
    from adbc_driver_manager import dbapi

    if url.startswith("postgresql"):
        from adbc_driver_postgresql.dbapi import connect

        connection = connect(url.split("?")[0])
    else:
        import adbc_driver_duckdb

        path = url.split("?")[0].removeprefix("duckdb:///")
        connection = dbapi.connect(
            driver=adbc_driver_duckdb.driver_path(), entrypoint="duckdb_adbc_init", db_kwargs={"path": path}
        )
    with connection, connection.cursor() as cursor:
        for text in texts:
            cursor.execute(text)
        connection.commit()


class Anywhere:
    """A database of one of the three systems, empty at first."""

    def __init__(self, base: str) -> None:
        self.base = base

    def run(self, *texts: str) -> None:
        if self.base.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(self.base.removeprefix("sqlite:///"))) as connection:
                for text in texts:
                    connection.execute(text)
                connection.commit()
        else:
            statements(self.base, *texts)

    def url(self, table: str) -> str:
        return f"{self.base}?table={table}"

    def rows(self, query: str) -> list[list[str]]:
        return [list(row) for row in zip(*read_pairs(self.base, ReadingOptions(query=query)), strict=True)]


@pytest.fixture(params=["postgresql", "sqlite", "duckdb"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Anywhere]:
    if request.param != "postgresql":
        yield Anywhere(f"{request.param}:///{tmp_path / 'file.db'}")
        return
    server = request.getfixturevalue("postgres")
    statements(server.url(), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    yield Anywhere(server.url())


@contextlib.contextmanager
def killed(postgres: Any, doing: str) -> Iterator[None]:
    """SIGKILL to the backend that is at work on a statement like this, once it has been for a moment."""
    found: list[int] = []

    def strike() -> None:
        query = (
            "SELECT pid::text AS a, query AS b FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() "
            f"AND query LIKE '%{doing}%' AND clock_timestamp() - query_start > interval '0.3 s'"
        )
        for _ in range(600):
            with contextlib.suppress(DataError):  # nobody is
                found.append(int(read_pairs(postgres.url(), ReadingOptions(query=query))[0][0]))
                os.kill(found[0], signal.SIGKILL)
                return
            time.sleep(0.05)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        time.sleep(0.1)  # the server notices, and ends all other connections
        postgres.wait()
        assert found
