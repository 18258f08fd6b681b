"""Databases: what is read from PostgreSQL, SQLite and DuckDB, and that a URL never shows its password."""

import contextlib
import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from command_line import run_cli
from database_places import HOSTILE, Anywhere, killed, servers, statements
from linkodds.errors import DatabaseError, DataError, LinkoddsError, MalformedFile, OptionError
from linkodds.graph.graph import Graph
from linkodds.reading.database_urls import database_of, is_database_url
from linkodds.reading.reading import read_edges
from linkodds.reading.reading_options import ReadingOptions


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

    @pytest.mark.parametrize("url", ["postgresql:/ann:S3cr@db/bio?table=e", "postgres:ann:S3cr@db/bio", "SQLITE:/x.db"])
    def test_one_with_a_slash_too_few_is_no_file(self, url: str) -> None:
        assert is_database_url(url)
        for command in ("fit", "doctor", "predict"):
            arguments = ["run", url] if command == "predict" else [url]
            result = run_cli(command, *arguments, *([] if command == "doctor" else ["--out", "nowhere.csv"]))
            assert result.exit_code == 2
            assert "its form is" in result.output
            assert "S3cr" not in result.output

    @pytest.mark.parametrize(
        "arguments",
        [
            ["fit", "edges.csv", "--out", "URL"],
            ["fit", "edges.csv", "--out", "run", "--nodes", "URL"],
            ["find", "run", "--out", "URL"],
            ["export", "run", "--out", "URL"],
            ["report", "URL"],
            ["serve", "run", "URL"],
            ["evaluate", "--scores", "URL", "--edges", "edges.csv"],
        ],
        ids=" ".join,
    )
    def test_one_in_the_place_of_a_file_is_neither_shown_nor_made(
        self, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        url = "postgresql://ann:S3cr@db/bio.cx2"
        result = run_cli("--traceback", *(url if each == "URL" else each for each in arguments))
        assert result.exit_code == 2
        assert "not a URL" in result.output
        assert "S3cr" not in result.output
        assert not any(tmp_path.iterdir())

    def test_what_else_stands_behind_the_question_mark_is_named_without_its_value(self) -> None:
        with pytest.raises(OptionError, match="nothing like 'tabel'") as caught:
            database_of("sqlite:///bio.db?tabel=S3cr")
        assert "S3cr" not in str(caught.value)
        with pytest.raises(OptionError, match="no URL of a database"):
            database_of("links.csv")

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
        read = read_edges(anywhere.url("e%20d%22x"), ReadingOptions(source="From", target="to"))
        assert read.ids[read.pairs].tolist() == [["NA", "-12345678901"], ["b", "7"]]
        assert [finding.message for finding in read.findings] == [
            "Ignored columns: 'score'; every edge counts the same."
        ]
        with pytest.raises(MalformedFile, match="no column 'Form' for --source.*Did you mean 'From'"):
            read_edges(anywhere.url("e%20d%22x"), ReadingOptions(source="Form"))
        with pytest.raises(OptionError, match="delimiter: for tables only, a database has no use for it"):
            read_edges(anywhere.url("e%20d%22x"), ReadingOptions(delimiter=","))

    def test_times_weights_and_kinds_are_columns_of_a_table_or_a_query_and_stay_with_their_edges(
        self, anywhere: Anywhere, tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(5)
        rows = [
            (
                f"n{u}",
                f"n{v}",
                f"20{rng.integers(10, 20)}-01-02",
                int(rng.integers(1, 9)),
                "xy"[int(rng.random() < 0.3)],
            )
            for u, v in rng.integers(40, size=(300, 2)).tolist()
        ]
        values = [
            ", ".join(f"('{u}', '{v}', '{day}', {w}, '{kind}')" for u, v, day, w, kind in some)
            for some in (rows, rows[::-1])
        ]
        columns = "(a text, b text, day date, w integer, kind text)"
        for name, listed in zip(("there", "back"), values, strict=True):
            anywhere.run(f"CREATE TABLE {name} {columns}", f"INSERT INTO {name} VALUES {listed}")
        path = tmp_path / "e.csv"
        pl.DataFrame(rows, schema=["a", "b", "day", "w", "kind"], orient="row").write_csv(path)
        options = {"time": "day", "relation": "kind", "predict_kind": "x", "bipartite": False}
        half = 'SELECT a, b, day AS "when", w / 10.0 AS sure, kind FROM back'

        def facts(graph: Graph) -> Any:
            ids, others = graph.ids, graph.others
            weights = np.zeros(graph.num_edges) if graph.weights is None else graph.weights.values
            times = np.zeros(graph.num_edges) if graph.times is None else graph.times.values
            return (
                {
                    frozenset(ids[e]): (t, w)
                    for e, t, w in zip(graph.edges, times.tolist(), weights.tolist(), strict=True)
                },
                None
                if others is None
                else {frozenset(ids[e]): t for e, t in zip(others.pairs, others.times.tolist(), strict=True)},
            )

        read = [Graph.from_edges(each, **options) for each in (path, anywhere.url("there"), anywhere.url("back"))]
        assert facts(read[0]) == facts(read[1]) == facts(read[2])
        assert np.array_equal(read[1].others.pairs, read[2].others.pairs)
        assert np.array_equal(read[1].times.values, read[2].times.values)
        sums = [
            Graph.from_edges(each, weight="w", weight_as="strength", time="day", bipartite=False)
            for each in (path, anywhere.url("there"), anywhere.url("back"))
        ]
        assert facts(sums[0]) == facts(sums[1])
        assert sums[1].weights.values.tolist() == sums[2].weights.values.tolist()
        asked = Graph.from_edges(
            anywhere.base, query=half, weight="sure", weight_as="confidence", bipartite=False, time="when"
        )
        assert asked.weights.values.max() == 0.8
        assert np.array_equal(asked.times.values, sums[2].times.values)
        with pytest.raises(MalformedFile, match=r"row \d+, column 'w': \d is no confidence.*at most 1. Divide scores"):
            Graph.from_edges(anywhere.url("there"), weight="w", weight_as="confidence")
        with pytest.raises(MalformedFile, match="no column 'year' for --time; the columns are 'a', 'b', 'day'"):
            Graph.from_edges(anywhere.url("there"), time="year")
        unused = [
            each for each in Graph.from_edges(anywhere.url("there")).findings if "looks like times" in each.message
        ]
        assert len(unused) == 1
        assert not any("looks like" in each.message for each in read[1].findings)

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
                read_edges(anywhere.base, ReadingOptions(query=writes))
        with pytest.raises(OptionError, match="name a table"):
            read_edges(anywhere.base)
        with pytest.raises(OptionError, match="one of the two"):
            read_edges(anywhere.url("e"), ReadingOptions(query=query))
        with pytest.raises(OptionError, match="--query is for a database"):
            read_edges([("a", "b")], ReadingOptions(query=query))
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
            read_edges(url, ReadingOptions(target="c"))
        assert servers.PASSWORD not in str(caught.value)
        with pytest.raises(DataError, match=r"(?i)row 1, column 'b': .*1.* is of type integer\[\];"):
            read_edges(url, ReadingOptions(source="c", target="b"))
        assert sorted(read_edges(url, ReadingOptions(source="c", target="d")).ids) == ["1.50", uuid]
        assert sorted(read_edges(url, ReadingOptions(source="e", target="f")).ids) == ["2020-01-31", "true"]

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
            with pytest.raises(
                DatabaseError, match=r"(is not a database\. Name|no file of DuckDB; name) .* text or Parquet"
            ):
                read_edges(f"{system}:///{tmp_path / 'text.db'}?table=e")
            with pytest.raises(MalformedFile, match="there is no such file"):
                read_edges(f"{system}:///{tmp_path / 'none.db'}?table=e")
            assert not (tmp_path / "none.db").exists()
        with contextlib.closing(sqlite3.connect(tmp_path / "lite.db")) as connection:
            connection.execute("CREATE TABLE e (a text)")
        with pytest.raises(DatabaseError, match="use sqlite:///"):
            read_edges(f"duckdb:///{tmp_path / 'lite.db'}?table=e")
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
            read_edges(postgres.url(), ReadingOptions(query="SELECT spoil() AS a, 'b' AS b"))

    def test_a_server_that_goes_away_while_it_sends_is_one_message(self, postgres: Any) -> None:
        # About 0.5 MB a second, so that the kill comes in the middle of what is sent.
        slow = "SELECT repeat('a', 5000) || n AS a, 'b' || pg_sleep(0.01) AS b FROM generate_series(1, 1000) AS n"
        with (
            pytest.raises(DatabaseError, match="the connection was lost while reading") as caught,
            killed(postgres, "COPY"),
        ):
            read_edges(postgres.url(), ReadingOptions(query=slow))
        assert servers.PASSWORD not in "".join(traceback.format_exception(caught.value))
