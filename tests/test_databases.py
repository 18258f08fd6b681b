"""Databases: what is read from PostgreSQL, SQLite and DuckDB, what is written, and that no password is ever shown."""

import contextlib
import hashlib
import importlib.util
import json
import os
import signal
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from linkodds.cli import app
from linkodds.database_tables import DatabaseTable
from linkodds.database_urls import database_of, is_database_url
from linkodds.doctor import examine
from linkodds.errors import DatabaseError, DataError, LinkoddsError, MalformedFile, OptionError
from linkodds.estimator import LinkPredictor
from linkodds.graph import Graph
from linkodds.reading import read_edges, read_pairs
from linkodds.record import load_run

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("linkodds_server", ROOT / "benchmarks" / "sources" / "server.py")
assert _spec is not None
assert _spec.loader is not None
servers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(servers)

HOSTILE = "x'); DROP TABLE edges; --"
LINKS = pl.DataFrame({"source": ["a", HOSTILE], "target": ["b", "c"], "logit": [1.5, None], "known": [0, 1]})


def run_cli(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [str(argument) for argument in arguments])


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
        return [list(row) for row in zip(*read_pairs(self.base, query=query), strict=True)]


@pytest.fixture(params=["postgresql", "sqlite", "duckdb"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Anywhere]:
    if request.param != "postgresql":
        yield Anywhere(f"{request.param}:///{tmp_path / 'file.db'}")
        return
    server = request.getfixturevalue("postgres")
    statements(server.url(), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    yield Anywhere(server.url())


def links_of(graph: Graph) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in graph.ids[graph.edges].tolist()}


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://ann:{}@db:5433/bio?table=edges",
            "postgres://ann:{}@[::1]/bio",
            "postgresql://db/bio?user=ann&password={}&table=edges",
            "postgresql://ann:{}@one:1,two:2/bio?table=edges&sslpassword={}",
        ],
    )
    def test_a_password_is_in_nothing_that_is_shown(self, url: str) -> None:
        database = database_of(url.format("S3cr%40t", "S3cr%40t"))
        shown = f"{database} {database!r} {database.name} {database.server}"
        assert "S3cr" not in shown
        assert "S3cr%40t" in database.uri
        assert database.without_secrets("S3cr@t S3cr%40t") == "*** ***"

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://ann:S3cr/t@db/bio?table=edges",
            "postgresql://ann:S3cr@t@db/bio?table=edges",
            "postgresql://ann:S3cr#t@db/bio?table=edges",
            "postgresql://ann:S3cr?t@db/bio?table=edges",
            "postgresql://ann:S3cr%zt@db/bio?table=edges",
            "postgresql://ann:S3cr t@db/bio?table=edges",
            "sqlite://ann:S3crt@/bio.db?table=edges",
            "mysql://ann:S3crt@db/bio?table=edges",
        ],
    )
    def test_one_that_cannot_be_told_apart_is_refused_without_repeating_it(self, url: str) -> None:
        with pytest.raises(OptionError) as caught:
            database_of(url)
        assert "S3cr" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
        result = run_cli("fit", url, "--out", "nowhere")
        assert result.exit_code == 2
        assert "S3cr" not in result.output

    def test_files_and_tables(self) -> None:
        assert str(database_of("sqlite:///bio.db?table=e").path) == "bio.db"
        assert str(database_of("duckdb:////data/my%20bio.db?table=e").path) == "/data/my bio.db"
        with_schema = database_of("postgresql://db/bio?schema=S&table=a.b%22c&sslmode=require")
        assert (with_schema.schema, with_schema.table) == ("S", 'a.b"c')
        assert with_schema.uri == "postgresql://db/bio?sslmode=require"
        assert not is_database_url("data/edges.csv")


class TestReading:
    def test_the_graph_is_that_of_the_same_rows_in_a_file_and_not_of_their_order(
        self, anywhere: Anywhere, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(0)
        pairs = rng.integers(0, 30, (60, 2))
        rows = [(f"g{u}", f"g{v}") for u, v in pairs] + [(HOSTILE, "g1"), ("NA", "007")]
        pl.DataFrame(rows, schema=["source", "target"], orient="row").write_parquet(tmp_path / "edges.parquet")
        graphs = []
        for name in ("one", "two"):
            values = ", ".join("('{}', '{}')".format(*(end.replace("'", "''") for end in row)) for row in rows)
            anywhere.run(f"CREATE TABLE {name} (source text, target text)", f"INSERT INTO {name} VALUES {values}")
            graphs.append(Graph.from_edges(anywhere.url(name)))
            rows.reverse()
        of_file = Graph.from_edges(tmp_path / "edges.parquet")
        assert links_of(graphs[0]) == links_of(of_file)
        assert graphs[0].ids.tolist() == graphs[1].ids.tolist() == sorted(of_file.ids.tolist())
        np.testing.assert_array_equal(graphs[0].edges, graphs[1].edges)
        smallest = min(rows)
        first = f"First edge as read: {smallest[0]!r} - {smallest[1]!r}, {database_of(anywhere.url('one'))} (table"
        assert graphs[0].findings[0].message.startswith(first)

    def test_columns_are_chosen_by_name_and_numbers_are_text(self, anywhere: Anywhere) -> None:
        anywhere.run(
            'CREATE TABLE "e d""x" (score float, "to" bigint, "From" varchar(9))',
            """INSERT INTO "e d""x" VALUES (0.5, 7, 'b'), (0.5, -12345678901, 'NA')""",
        )
        read = read_edges(anywhere.url("e%20d%22x"), source="From", target="to")
        assert read.ids[read.pairs].tolist() == [["NA", "-12345678901"], ["b", "7"]]
        assert [finding.message for finding in read.findings] == [
            "Ignored columns: 'score'; every edge counts the same."
        ]
        with pytest.raises(MalformedFile, match="no column 'Form' for --source.*Did you mean 'From'"):
            read_edges(anywhere.url("e%20d%22x"), source="Form")
        with pytest.raises(OptionError, match="delimiter: for tables only, a database has no use for it"):
            read_edges(anywhere.url("e%20d%22x"), delimiter=",")

    def test_a_query_selects_in_its_own_order_and_cannot_write(self, anywhere: Anywhere) -> None:
        anywhere.run(
            "CREATE TABLE e (a text, b text, n int)", "INSERT INTO e VALUES ('x','y',2), ('z','w',3), ('p','q',1)"
        )
        query = "SELECT a, b FROM e WHERE n < 3 ORDER BY n -- all\n;"
        assert anywhere.rows(query) == [["p", "q"], ["x", "y"]]
        for writes in (
            "DELETE FROM e",
            "SELECT 1 a, 2 b) q; DROP TABLE e; SELECT * FROM (SELECT 1 a, 2 b",
            "DROP TABLE e",
        ):
            with pytest.raises(LinkoddsError, match="--query takes one SELECT"):
                read_edges(anywhere.base, query=writes)
        with pytest.raises(OptionError, match="name a table"):
            read_edges(anywhere.base)
        with pytest.raises(OptionError, match="one of the two"):
            read_edges(anywhere.url("e"), query=query)
        with pytest.raises(OptionError, match="--query is for a database"):
            read_edges([("a", "b")], query=query)
        assert len(anywhere.rows("SELECT a, b FROM e")) == 3

    def test_an_empty_cell_a_missing_table_and_no_row_are_named(self, anywhere: Anywhere) -> None:
        anywhere.run(
            "CREATE TABLE e (a text, b text)",
            "INSERT INTO e VALUES ('x','y'), ('z', NULL)",
            "CREATE TABLE n (a text, b text)",
        )
        with pytest.raises(
            MalformedFile, match=r"\?table=e, row 2, column 'b': an empty id\. Fill it in or delete the row"
        ):
            read_edges(anywhere.url("e"))
        with pytest.raises(DataError, match=r"table=n has no row"):
            read_edges(anywhere.url("n"))
        with pytest.raises(DatabaseError, match=r"\?table=nope: .*nope.*A name is taken as it is stored"):
            read_edges(anywhere.url("nope"))

    @pytest.mark.parametrize("system", ["postgresql", "duckdb"])
    def test_columns_that_are_no_ids_are_refused_with_type_and_value(
        self, system: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        base = f"duckdb:///{tmp_path / 'file.db'}" if system == "duckdb" else request.getfixturevalue("postgres").url()
        binary = "blob" if system == "duckdb" else "bytea"
        uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
        statements(
            base,
            "DROP TABLE IF EXISTS odd",
            f"CREATE TABLE odd (a {binary}, b int[], c uuid, d numeric(5,2), e date, f boolean)",
            f"INSERT INTO odd VALUES ('\\x00', ARRAY[1], '{uuid}', 1.5, '2020-01-31', true)",
        )
        url = f"{base}?table=odd"
        with pytest.raises(
            DataError, match=rf"(?i)row 1, column 'a': .*x00' is of type {binary}; columns of ids"
        ) as caught:
            read_edges(url, target="c")
        assert servers.PASSWORD not in str(caught.value)
        with pytest.raises(DataError, match=r"(?i)row 1, column 'b': .*1.* is of type integer\[\];"):
            read_edges(url, source="c", target="b")
        assert sorted(read_edges(url, source="c", target="d").ids) == ["1.50", uuid]
        assert sorted(read_edges(url, source="e", target="f").ids) == ["2020-01-31", "true"]

    def test_cells_of_sqlite_have_types_of_their_own(self, tmp_path: Path) -> None:
        there = Anywhere(f"sqlite:///{tmp_path / 'file.db'}")
        there.run("CREATE TABLE e (a, b)", "INSERT INTO e VALUES (1, 'y'), ('z', 2.5)", "CREATE TABLE blobs (a, b)")
        assert there.rows("SELECT a, b FROM e") == [["1", "y"], ["z", "2.5"]]
        there.run("INSERT INTO blobs VALUES ('x', 'y'), ('x', x'00ff')")
        with pytest.raises(DataError, match=r"row 2, column 'b': b'\\x00\\xff' is of type blob"):
            read_edges(there.url("blobs"))
        there.run("DELETE FROM blobs", "INSERT INTO blobs VALUES ('x', 'y'), (CAST(x'ff' AS text), 'y')")
        with pytest.raises(DataError, match=r"row 2, column 'a': b'\\xff' is no UTF-8 text at byte 0"):
            read_edges(there.url("blobs"))

    def test_files_that_are_no_database_and_missing_drivers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "text.db").write_text("source,target\na,b\n" * 100)
        for system in ("sqlite", "duckdb"):
            with pytest.raises(DatabaseError, match="not a (valid DuckDB )?database"):
                read_edges(f"{system}:///{tmp_path / 'text.db'}?table=e")
            with pytest.raises(MalformedFile, match="there is no such file"):
                read_edges(f"{system}:///{tmp_path / 'none.db'}?table=e")
            assert not (tmp_path / "none.db").exists()
        monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
        with pytest.raises(OptionError, match=r"pip install 'linkodds\[sql\]'"):
            read_edges("postgresql://db/bio?table=e")

    def test_a_query_cannot_write_by_what_it_calls(self, postgres: Any) -> None:
        statements(
            postgres.url(),
            "CREATE OR REPLACE FUNCTION spoil() RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN CREATE TABLE spoilt (a int); RETURN 'x'; END $$",
        )
        with pytest.raises(DatabaseError, match="cannot execute CREATE TABLE in a read-only transaction"):
            read_edges(postgres.url(), query="SELECT spoil() AS a, 'b' AS b")

    def test_a_server_that_goes_away_while_it_sends_is_one_message(self, postgres: Any) -> None:
        # About 0.5 MB a second, so that the kill comes in the middle of what is sent.
        slow = "SELECT repeat('a', 5000) || n AS a, 'b' || pg_sleep(0.01) AS b FROM generate_series(1, 1000) AS n"
        with (
            pytest.raises(DatabaseError, match="the connection was lost while reading") as caught,
            killed(postgres, "COPY"),
        ):
            read_edges(postgres.url(), query=slow)
        assert servers.PASSWORD not in "".join(traceback.format_exception(caught.value))


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
                found.append(int(read_pairs(postgres.url(), query=query)[0][0]))
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


class TestWriting:
    def test_a_table_is_made_added_to_and_refused(self, anywhere: Anywhere) -> None:
        table = database_of(anywhere.url("links%22%3B"))
        DatabaseTable(table, "run1").refuse_unusable()
        DatabaseTable(table, "run1").write(LINKS)
        for use in (DatabaseTable(table, "run2").refuse_unusable, lambda: DatabaseTable(table, "run2").write(LINKS)):
            with pytest.raises(DatabaseError, match="the table is there already. Pass --append"):
                use()
        DatabaseTable(table, "run2", append=True).refuse_unusable()
        DatabaseTable(table, "run2", append=True).write(LINKS)
        ends = anywhere.rows('SELECT source, target FROM "links"";" ORDER BY run_id, source')
        assert ends == [["a", "b"], [HOSTILE, "c"]] * 2
        known = anywhere.rows('SELECT source, known FROM "links"";" WHERE logit IS NULL')
        assert known == [[HOSTILE, "1"]] * 2
        runs = anywhere.rows('SELECT run_id, written_at FROM "links"";" ORDER BY run_id')
        assert [row[0] for row in runs] == ["run1", "run1", "run2", "run2"]
        year = time.gmtime().tm_year
        assert all(row[1].startswith((f"{year}-", f"{year + 1}-")) for row in runs)

    def test_other_columns_are_refused_and_nothing_is_written(self, anywhere: Anywhere) -> None:
        anywhere.run("CREATE TABLE links (source text, target text)", "INSERT INTO links VALUES ('a', 'b')")
        with pytest.raises(DatabaseError, match=r"has no column 'logit' \(of source, target, logit, .* it has 2\)"):
            DatabaseTable(database_of(anywhere.url("links")), "run", append=True).write(LINKS)
        assert anywhere.rows("SELECT source, target FROM links") == [["a", "b"]]
        if anywhere.base.startswith("sqlite"):
            return  # where a column takes anything
        anywhere.run("DROP TABLE links")
        anywhere.run(
            "CREATE TABLE links (written_at date, run_id text, source text, target text, logit text, known int)"
        )
        with pytest.raises(DatabaseError, match=r"column 'logit' is (text|VARCHAR), and has to be (double|DOUBLE)"):
            DatabaseTable(database_of(anywhere.url("links")), "run", append=True).write(LINKS)

    def test_a_row_that_the_database_refuses_takes_all_others_with_it(self, anywhere: Anywhere) -> None:
        anywhere.run(
            "CREATE TABLE links (source text, target text CHECK (target <> 'c'), logit double precision, "
            "known smallint, run_id text, written_at timestamp with time zone)"
        )
        with pytest.raises(DatabaseError, match=r"(?i)check.*Nothing was written"):
            DatabaseTable(database_of(anywhere.url("links")), "run", append=True).write(LINKS)
        with pytest.raises(DataError, match="has no row"):
            anywhere.rows("SELECT source, target FROM links")

    def test_a_file_that_cannot_be_is_refused_and_none_is_left(self, tmp_path: Path) -> None:
        for system in ("sqlite", "duckdb"):
            missing = database_of(f"{system}:///{tmp_path / 'no' / 'file.db'}?table=links")
            with pytest.raises(DatabaseError, match="there is no directory"):
                DatabaseTable(missing, "run").refuse_unusable()
            fresh = database_of(f"{system}:///{tmp_path / 'fresh.db'}?table=links")
            DatabaseTable(fresh, "run").refuse_unusable()
            assert not any(tmp_path.iterdir())
        with pytest.raises(OptionError, match="which table"):
            DatabaseTable(database_of("sqlite:///file.db"), "run")

    def test_a_server_that_goes_away_while_it_writes_is_one_message_and_no_half_table(self, postgres: Any) -> None:
        statements(
            postgres.url(),
            "DROP TABLE IF EXISTS slow",
            "CREATE TABLE slow (source text, target text, logit double precision, known smallint, run_id text, "
            "written_at timestamptz)",
            "CREATE OR REPLACE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$",
            "CREATE TRIGGER slow BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION wait()",
        )
        many = pl.concat([LINKS] * 5000)  # 100 s of it
        table = DatabaseTable(database_of(postgres.url("?table=slow")), "run", append=True)
        with (
            pytest.raises(
                DatabaseError, match="the connection was lost while writing .* Nothing was written"
            ) as caught,
            killed(postgres, "COPY"),
        ):
            table.write(many)
        assert servers.PASSWORD not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(DataError, match="has no row"):
            read_pairs(postgres.url("?table=slow"))


@pytest.fixture(scope="module")
def edges(postgres: Any) -> str:
    """Three rings of 20 nodes, each node joined to the next four."""
    pairs = [
        (20 * ring + i, 20 * ring + (i + step) % 20) for ring in range(3) for i in range(20) for step in (1, 2, 3, 4)
    ]
    values = ", ".join(f"('g{u}', 'g{v}')" for u, v in pairs)
    statements(
        postgres.url(),
        "DROP SCHEMA IF EXISTS bio CASCADE",
        "CREATE SCHEMA bio",
        "CREATE TABLE bio.edges (source text, target text)",
        f"INSERT INTO bio.edges VALUES {values}",
    )
    return str(postgres.url("?schema=bio&table=edges"))


@pytest.fixture(scope="module")
def fitted(edges: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, run_cli("fit", edges, "--out", out, "--model", "adamic-adar")


class TestCommands:
    def test_a_run_holds_the_url_but_no_password(self, fitted: tuple[Path, Result], edges: str) -> None:
        out, result = fitted
        assert result.exit_code == 0, result.output
        shown = str(database_of(edges))
        assert shown in (out / "config.yaml").read_text()
        secrets = [word.encode() for word in (servers.PASSWORD, servers.PASSWORD.replace("%", "%25"))]
        for path in [*out.rglob("*"), None]:
            data = (
                (result.output + result.stderr).encode()
                if path is None
                else path.read_bytes()
                if path.is_file()
                else b""
            )
            assert not any(secret in data for secret in secrets), path

    def test_nor_does_any_failure_show_it_with_its_traceback(self, edges: str, postgres: Any, tmp_path: Path) -> None:
        wrong = edges.replace("pl%25nted", "pl%25nt3d")
        for arguments in (
            ["fit", edges + "x", "--out", tmp_path / "run"],
            ["fit", wrong, "--out", tmp_path / "run"],
            ["fit", edges.replace("pl%25nted", "pl%nted"), "--out", tmp_path / "run"],
            ["fit", edges.replace(str(postgres.port), "1"), "--out", tmp_path / "run"],
            ["fit", edges, "--out", tmp_path / "run", "--source", "nope"],
            ["doctor", edges + "x"],
            ["compare", edges, "--query", "SELECT 1", "--models", "degree", "--out", tmp_path / "c"],
        ):
            result = run_cli("--traceback", *arguments)
            assert result.exit_code in (1, 2)
            assert "error" in result.output.lower()
            assert "nted-" not in result.output
            assert "nt3d-" not in result.output

    def test_the_password_comes_from_the_environment(
        self, fitted: tuple[Path, Result], postgres: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert fitted
        monkeypatch.setenv("PGPASSWORD", servers.PASSWORD)
        url = postgres.url("?schema=bio&table=edges", password=False)
        assert Graph.from_edges(url).num_edges == 240
        monkeypatch.setenv("PGPASSWORD", "wrong")
        with pytest.raises(DatabaseError, match="no connection: .*password authentication failed"):
            Graph.from_edges(url)

    def test_find_and_predict_write_tables_that_name_the_run(
        self, fitted: tuple[Path, Result], anywhere: Anywhere, tmp_path: Path
    ) -> None:
        out, _ = fitted
        run_id = hashlib.sha256((out / "evaluation.json").read_bytes()).hexdigest()[:16]
        found = run_cli("find", out, "--top", 7, "--to", anywhere.url("links"), "--json")
        assert found.exit_code == 0, found.output
        said = json.loads(found.stdout)
        assert (said["run_id"], said["to"]) == (run_id, str(database_of(anywhere.url("links"))))
        run_cli("find", out, "--top", 7, "--out", tmp_path / "links.csv")
        of_file = pl.read_csv(tmp_path / "links.csv")
        rows = anywhere.rows("SELECT source, target FROM links ORDER BY logit DESC, source, target")
        assert sorted(map(tuple, rows)) == sorted(of_file.select("source", "target").rows())
        assert {row[0] for row in anywhere.rows("SELECT run_id, evidence FROM links")} == {run_id}

        again = run_cli("find", out, "--top", 7, "--to", anywhere.url("links"))
        assert again.exit_code == 1
        assert "Pass --append" in again.output
        query = "SELECT source, target FROM links ORDER BY source, target"
        arguments = ["predict", out, anywhere.base, "--query", query]
        answered = run_cli(*arguments, "--to", anywhere.url("answers"))
        assert answered.exit_code == 0, answered.output
        assert f"7 pairs, with run_id {run_id}" in answered.output
        assert run_cli(*arguments, "--to", anywhere.url("answers"), "--append").exit_code == 0
        assert len(anywhere.rows("SELECT source, target FROM answers WHERE known = 0")) == 14
        assert servers.PASSWORD not in found.output + again.output + answered.output

    def test_both_places_none_and_a_resumed_search_are_wrong_usage(
        self, fitted: tuple[Path, Result], tmp_path: Path
    ) -> None:
        to = ["--to", f"sqlite:///{tmp_path / 'file.db'}?table=links"]
        for options in (
            [],
            ["--out", tmp_path / "x.csv", *to],
            ["--out", tmp_path / "x.csv", "--append"],
            [*to, "--resume"],
        ):
            assert run_cli("find", fitted[0], "--top", 3, *options).exit_code == 2
        assert not any(tmp_path.iterdir())

    def test_the_doctor_and_python_read_them_too(self, edges: str) -> None:
        findings = examine(edges, load_run=load_run)
        assert any("First edge as read" in finding.message for finding in findings)
        query = "SELECT target AS a, source AS b FROM bio.edges"
        base = edges.split("?")[0]
        assert [f.id for f in examine([base], load_run=load_run, query=query)] == [f.id for f in findings]
        predictor = LinkPredictor(model="adamic-adar").fit(edges)
        assert predictor.evaluation_.graph["num_edges"] == 240
