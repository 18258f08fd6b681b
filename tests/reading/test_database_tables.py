"""Tables of links: made or added to as a whole or not at all, and by the commands under the name of the run."""

import contextlib
import hashlib
import json
import sqlite3
import time
import traceback
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import Result

from command_line import run_cli
from database_places import HOSTILE, Anywhere, killed, servers, statements
from linkodds.doctor import examine
from linkodds.errors import DatabaseError, DataError, OptionError
from linkodds.estimator import LinkPredictor
from linkodds.graph.graph import Graph
from linkodds.links.database_tables import DatabaseTable
from linkodds.reading import databases
from linkodds.reading.database_urls import database_of
from linkodds.reading.reading import read_pairs
from linkodds.runs.record import load_run

LINKS = pl.DataFrame({"source": ["a", HOSTILE], "target": ["b", "c"], "logit": [1.5, None], "known": [0, 1]})


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

    @pytest.mark.parametrize("name", ["edges.csv", "lite.db", ":memory:"])
    def test_duckdb_writes_to_files_of_its_own_alone(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It opens the first two, and its own name for memory, without a word: what is written there is gone."""
        monkeypatch.chdir(tmp_path)
        table = DatabaseTable(database_of(f"duckdb:///{name}?table=links"), "run")
        if name == ":memory:":
            table.write(LINKS)
            assert read_pairs("duckdb:///:memory:?table=links")[0].tolist() == ["a", HOSTILE]
            return
        Path("edges.csv").write_text("source,target\na,b\n")
        with contextlib.closing(sqlite3.connect("lite.db")) as connection:
            connection.execute("CREATE TABLE e (a text)")
        before = Path(name).read_bytes()
        with pytest.raises(DatabaseError, match="is no file of DuckDB"):
            table.refuse_unusable()
        with pytest.raises(DatabaseError, match="is no file of DuckDB"):
            table.write(LINKS)
        assert Path(name).read_bytes() == before

    def test_a_table_of_something_else_is_refused_before_a_search(self, anywhere: Anywhere) -> None:
        anywhere.run("CREATE TABLE links (source text, target text)")
        table = DatabaseTable(database_of(anywhere.url("links")), "run", append=True)
        with pytest.raises(DatabaseError, match=r"has no column 'logit' \(of source, .* it has 2\)"):
            table.refuse_unusable()

    @pytest.mark.parametrize("system", ["sqlite", "duckdb"])
    @pytest.mark.parametrize("where", ["insert", "commit"])
    def test_interrupted_while_writing_it_leaves_no_file_and_no_row(
        self, system: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = DatabaseTable(database_of(f"{system}:///{tmp_path / 'there.db'}?table=links"), "run", append=True)
        there.write(LINKS)
        sessions = {"sqlite": databases._SqliteSession, "duckdb": databases._ArrowSession}

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(sessions[system], where, interrupt)
            for table in (there, DatabaseTable(database_of(f"{system}:///{tmp_path / 'new.db'}?table=links"), "run")):
                with pytest.raises(KeyboardInterrupt):
                    table.write(LINKS)
        assert [path.name for path in tmp_path.iterdir()] == ["there.db"]
        assert len(read_pairs(str(there))[0]) == len(LINKS)

    def test_what_the_server_refuses_is_said_without_our_statement(self, postgres: Any) -> None:
        statements(
            postgres.url(),
            "CREATE ROLE reader LOGIN PASSWORD 'r3ader'",
            "GRANT USAGE ON SCHEMA public TO reader",
            "DROP TABLE IF EXISTS locked",
            "CREATE TABLE locked (source text, target text)",
        )
        before, _, place = postgres.url("?table=locked").partition("@")
        url = f"postgresql://reader:r3ader@{place}"
        assert before.startswith("postgresql://postgres:")
        with pytest.raises(DatabaseError, match=r"table=locked: permission denied for table locked\."):
            read_pairs(url)
        with pytest.raises(DatabaseError, match=r"permission denied for schema public\. Nothing was written"):
            DatabaseTable(database_of(url.replace("locked", "fresh")), "run").write(LINKS)
        with pytest.raises(DatabaseError, match=r"schema=none&table=e: schema \"none\" does not exist\. Nothing was"):
            DatabaseTable(database_of(postgres.url("?schema=none&table=e")), "run").write(LINKS)

    def test_a_directory_is_no_database(self, tmp_path: Path) -> None:
        for system in ("sqlite", "duckdb"):
            with pytest.raises(DatabaseError, match="is a directory; name a file"):
                DatabaseTable(database_of(f"{system}:///{tmp_path}?table=links"), "run").refuse_unusable()

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
        with pytest.raises(DatabaseError, match="no connection: .*password authentication failed .*PGPASSWORD"):
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
