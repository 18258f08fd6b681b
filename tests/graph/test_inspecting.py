"""Inspecting: what is said of a source is what a hand count finds, and the command it proposes reads it the same way."""

import gzip
import json
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

from command_line import run_cli
from linkodds.graph.graph import Graph
from linkodds.graph.inspecting import inspect_source
from linkodds.reading import samples
from linkodds.reading.reading_options import ReadingOptions

KEYS = {
    *("format", "columns", "source", "target", "num_nodes", "num_edges", "directed", "bipartite", "node_types"),
    *("relations", "ambiguous", "command"),
}  # CONTRACT, section 7
PROTEINS = """row,protein_a,effect,protein_b,score
1,TP53,activates,MDM2,0.5
2,MDM2,inhibits,ATM,0.25
3,TP53,activates,ATM,0.75
4,ATM,binds,CHEK2,0.125
5,CHEK2,binds,ATM,0.125
6,TP53,binds,MDM2,0.5
7,RB1,binds,RB1,0.5
8,RB1,binds,TP53,0.5
"""


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def inspected(path: object, *options: str) -> dict[str, Any]:
    result = run_cli("inspect", path, *options, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert set(found) >= KEYS
    return found


class TestOfATable:
    """Eight rows, counted by hand."""

    def test_every_fact_is_the_hand_count(self, tmp_path: Path) -> None:
        path = written(tmp_path / "proteins.csv", PROTEINS)
        found = inspected(path)
        assert (found["format"], found["delimiter"], found["header"]) == ("comma-separated text", "comma", True)
        assert [(each["name"], each["type"], each["role"], each["distinct"]) for each in found["columns"]] == [
            ("row", "integer", "attribute", 8),
            ("protein_a", "text", "source", 5),
            ("effect", "text", "kind", 3),
            ("protein_b", "text", "target", 5),
            ("score", "decimal", "weight", 4),
        ]
        assert found["columns"][1]["examples"] == ["TP53", "MDM2", "ATM"]
        assert (found["source"], found["target"], found["why"]) == (
            "protein_a",
            "protein_b",
            "their names belong together",
        )
        # TP53-MDM2, MDM2-ATM, TP53-ATM, ATM-CHEK2, RB1-TP53; row 6 repeats row 1, row 5 turns row 4 round, row 7 is a loop
        assert (found["num_rows"], found["num_nodes"], found["num_edges"]) == (8, 5, 5)
        assert (found["duplicates"], found["reversed_duplicates"], found["self_loops"]) == (1, 1, 1)
        assert (found["directed"], found["bipartite"], found["isolated_nodes"]) == (False, False, 0)
        assert (found["relation"], found["relations"]) == ("effect", ["binds", "activates", "inhibits"])
        assert found["first_edges"] == [["TP53", "MDM2"], ["MDM2", "ATM"], ["TP53", "ATM"]]
        assert found["ambiguous"] is False
        assert found["sample"] is None

    def test_options_change_it_as_they_change_a_fit(self, tmp_path: Path) -> None:
        path = written(tmp_path / "proteins.csv", PROTEINS)
        nodes = written(tmp_path / "nodes.txt", "TP53\nMDM2\nATM\nCHEK2\nRB1\nLONER\nOTHER\n")
        found = inspected(path, "--directed", "--nodes", str(nodes), "--time", "row")
        # with a direction ATM-CHEK2 and CHEK2-ATM are two edges
        assert (found["directed"], found["num_edges"], found["num_nodes"], found["isolated_nodes"]) == (True, 6, 7, 2)
        assert found["columns"][0]["role"] == "time"

    def test_the_text_has_the_same_facts(self, tmp_path: Path) -> None:
        path = written(tmp_path / "proteins.csv", PROTEINS)
        text = run_cli("inspect", path).stdout
        for words in (
            "proteins.csv: comma-separated text, with a header",
            "Edges join columns 'protein_a' and 'protein_b', since their names belong together.",
            "First edges: TP53 - MDM2; MDM2 - ATM; TP53 - ATM.",
            "8 rows as read: 5 nodes and 5 undirected edges.",
            "Left out: 1 duplicate, 1 reversed duplicate, 1 self-loop.",
            "Kinds of edges, in 'effect': binds, activates, inhibits.",
            "--source protein_a --target protein_b",
        ):
            assert words in text
        assert str(Graph.from_edges(path).describe()) + "\n" == text

    def test_second_names_times_and_two_kinds_of_things(self, tmp_path: Path) -> None:
        rows = "".join(f"{1 + i % 6},name{i % 6},{1 + i % 5},{1_600_000_000 + 977 * i * i}\n" for i in range(29))
        path = written(tmp_path / "ratings.csv", "userId,userName,movieId,timestamp\n" + rows)
        found = inspected(path)
        roles = [each["role"] for each in found["columns"]]
        assert roles == ["source", "name of source", "target", "time"]
        # users 1 to 6 and films 1 to 5 are eleven nodes; of the 30 pairs all meet once but the last
        assert (found["bipartite"], found["sides"], found["num_nodes"], found["num_edges"]) == (True, [6, 5], 11, 29)
        assert found["node_types"] == ["userId", "movieId"]
        assert found["first_edges"][0] == ["1", "1"]  # the user's own words, not userId:1


class TestOfFormats:
    """Path a - b - c - d and a node e, as each door brings it."""

    @staticmethod
    def made(folder: Path) -> dict[str, Path]:
        network = nx.Graph([("a", "b"), ("b", "c"), ("c", "d")])
        network.add_node("e")
        for suffix, write in (("graphml", nx.write_graphml), ("gml", nx.write_gml), ("gexf", nx.write_gexf)):
            write(network, folder / f"edges.{suffix}")
        matrix = sp.csr_array(nx.to_numpy_array(network, dtype=np.int64))
        sp.save_npz(folder / "edges.npz", matrix)
        pairs = list(network.edges)
        pl.DataFrame(pairs, schema=["source", "target"], orient="row").write_parquet(folder / "edges.parquet")
        written(folder / "edges.sif", "a pp b\nb pp c\nc pd d\ne\n")
        written(folder / "edges.jsonl", "".join(json.dumps({"source": u, "target": v}) + "\n" for u, v in pairs))
        written(folder / "edges.net", '*Vertices 5\n1 "a"\n2 "b"\n3 "c"\n4 "d"\n5 "e"\n*Edges\n1 2\n2 3\n3 4\n')
        with gzip.open(folder / "edges.tsv.gz", "wt") as file:
            file.write("a\tb\nb\tc\nc\td\n")
        return {path.name: path for path in folder.iterdir()}

    def test_nodes_and_edges_of_each(self, tmp_path: Path) -> None:
        for name, path in self.made(tmp_path).items():
            found = inspected(path)
            has_loner = name.split(".")[1] in ("graphml", "gml", "gexf", "npz", "sif", "net")
            assert (found["num_edges"], found["num_nodes"]) == (3, 5 if has_loner else 4), name
            assert found["isolated_nodes"] == has_loner, name
            assert found["directed"] is False, name
            expected = ["0", "1"] if name == "edges.npz" else ["a", "b"]
            assert found["first_edges"][0] == expected, name

    def test_kinds_of_a_format_are_relations(self, tmp_path: Path) -> None:
        found = inspected(self.made(tmp_path)["edges.sif"])
        assert (found["relation"], found["relations"]) == ("interaction", ["pp", "pd"])

    def test_a_database(self, tmp_path: Path) -> None:
        with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
            connection.execute("CREATE TABLE edges (source TEXT, target TEXT)")
            connection.executemany("INSERT INTO edges VALUES (?, ?)", [("a", "b"), ("b", "c"), ("c", "d")])
            connection.commit()
        found = inspected(f"sqlite:///{tmp_path / 'a.db'}?table=edges")
        assert (found["format"], found["num_nodes"], found["num_edges"]) == ("SQLite database", 4, 3)

    def test_the_command_reads_it_the_same_way_and_fits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        written(tmp_path / "my proteins.csv", PROTEINS)
        paths = [*self.made(tmp_path).values(), tmp_path / "my proteins.csv"]
        for path in paths:
            found = inspected(path.name)
            program, command, *words = shlex.split(found["command"])
            assert (program, command) == ("linkodds", "fit")
            place = words.index("--out")
            again = inspected(*words[:place], *words[place + 2 :])
            assert [again[key] for key in ("num_nodes", "num_edges", "first_edges", "sides")] == [
                found[key] for key in ("num_nodes", "num_edges", "first_edges", "sides")
            ], path.name
        rng = np.random.default_rng(0)
        rows = [f"{i},{a},{b}\n" for i, (a, b) in enumerate(rng.integers(0, 40, (300, 2)))]
        written(tmp_path / "edges list.csv", "nr,gene_a,gene_b\n" + "".join(rows))
        _, *words = shlex.split(inspected("edges list.csv", "--directed")["command"])
        result = run_cli(*words, "--model", "common-neighbors")
        assert result.exit_code == 0, result.stderr
        assert (tmp_path / "edges-list-run" / "config.yaml").exists()
        assert inspected("edges list.csv")["command"].split("--out ")[1].startswith("edges-list-run-2 ")


class TestRefused:
    """Exit code 1, with the readings or with one sentence."""

    def test_two_readings_with_three_edges_and_the_option_of_each(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        rows = [(f"d{rng.integers(40)}", f"g{rng.integers(40)}", f"t{rng.integers(40)}") for _ in range(200)]
        path = written(tmp_path / "three.txt", "".join(" ".join(row) + "\n" for row in rows))
        result = run_cli("inspect", path, "--json")
        found = json.loads(result.stdout)
        assert result.exit_code == 1
        assert {each["options"] for each in found["ambiguous"]} == {
            f"--source {i} --target {j}" for i, j in ((1, 2), (1, 3), (2, 3))
        }
        for each in found["ambiguous"]:
            i, j = int(each["source"]) - 1, int(each["target"]) - 1
            assert each["edges"] == [[row[i], row[j]] for row in rows[:3]]
            again = inspected(path, *shlex.split(each["options"]))
            assert (again["source"], again["target"]) == (each["source"], each["target"])
        assert found["command"] is None
        text = run_cli("inspect", path)
        assert (text.exit_code, text.stderr.count("\n")) == (1, 1)
        assert "--source 1 --target 3" in text.stdout

    def test_a_matrix_of_which_nobody_said_that_it_has_a_direction(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.mtx", "%%MatrixMarket matrix coordinate pattern general\n3 3 3\n1 2\n2 3\n3 1\n")
        sp.save_npz(tmp_path / "a.npz", sp.csr_array([[0, 1, 0], [0, 0, 1], [0, 1, 0]]))
        for name, first in ((path.name, ["1", "2"]), ("a.npz", ["0", "1"])):
            result = run_cli("inspect", tmp_path / name, "--json")
            found = json.loads(result.stdout)
            if result.exit_code == 0:  # a format that says so
                assert found["directed"] is True, name
                continue
            assert [each["options"] for each in found["ambiguous"]] == ["--directed", "--undirected"], name
            assert found["ambiguous"][0]["edges"][0] == first, name
            assert inspected(tmp_path / name, "--directed")["num_edges"] == 3, name

    def test_labels_that_may_say_that_rows_are_no_edges(self, tmp_path: Path) -> None:
        path = written(tmp_path / "pairs.csv", "a,b,label\nx,y,0\nx,z,1\ny,z,1\nz,u,0\nx,u,1\n")
        result = run_cli("inspect", path, "--json")
        found = json.loads(result.stdout)
        assert result.exit_code == 1
        assert found["ambiguous"][0]["options"] == "--label label"
        assert found["ambiguous"][0]["edges"] == [["x", "z"], ["y", "z"], ["x", "u"]]
        assert found["ambiguous"][1]["edges"] == [["x", "y"], ["x", "z"], ["y", "z"]]
        assert inspected(path, "--label", "label")["num_edges"] == 3

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("empty.csv", b"", "the file is empty"),
            ("blank.csv", b"\n\n", "the file is empty"),
            ("header.csv", b"source,target\n", "and no row below it"),
            ("noise.csv", bytes(range(256)) * 40, "is no UTF-8 text"),
            ("noise.parquet", bytes(range(256)) * 40, "no readable Parquet file"),
            ("noise.npz", bytes(range(256)) * 40, "not readable as a matrix"),
            ("noise.h5ad", bytes(range(256)) * 40, "noise.h5ad"),
            ("noise.xlsx", bytes(range(256)) * 40, "noise.xlsx"),
            ("noise.csv.gz", b"no gzip at all", "cannot be read"),
            ("one.txt", b"a\nb\nc\n", "one column only"),
            ("torn.csv", b"a,b\nc\n", "line 2: 1 comma-separated field"),
            ("loops.csv", b"a,a\nb,b\n", "no edge left"),
            ("complete.csv", b"a,b\nb,c\na,c\n", "complete graph"),
            (".", None, "is a directory"),
            ("absent.csv", None, "there is no such file"),
        ],
    )
    def test_hostile_files_are_one_sentence(self, tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        result = run_cli("inspect", path)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.stderr
        assert words in result.stderr
        assert "Traceback" not in result.stderr
        found = json.loads(run_cli("inspect", path, "--json").stdout)
        assert words in found["refused"]
        assert (found["command"], found["num_edges"]) == (None, None)

    def test_wrong_usage_is_2_and_names_the_column(self, tmp_path: Path) -> None:
        path = written(tmp_path / "proteins.csv", PROTEINS)
        assert run_cli("inspect", path, "--query", "SELECT 1").exit_code == 2
        assert "--query is for a database" in run_cli("inspect", path, "--query", "SELECT 1").stderr
        assert "Did you mean 'protein_a'?" in run_cli("inspect", path, "--source", "protein_aa").stderr


def test_ids_of_both_ends_are_counted_in_all_rows() -> None:
    """2,000 rows, more than a sample of columns: each row has a source of its own, and seven targets take turns."""
    frame = pl.DataFrame({"source": [f"u{i}" for i in range(2000)], "target": [f"v{i % 7}" for i in range(2000)]})
    columns = {each.role: each.distinct for each in Graph.from_edges(frame).describe().columns}
    assert columns == {"source": 2000, "target": 7}


class TestOfASample:
    """A file of 100,000 rows of which every edge is known."""

    ROWS = 100_000

    @pytest.fixture
    def large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(samples, "WHOLE", 1 << 19)
        monkeypatch.setattr(samples, "_CHUNK", 1 << 15)
        monkeypatch.setattr(samples, "_BLOCK", 1 << 10)
        monkeypatch.setattr(samples, "_HEAD", 1 << 14)
        lines = (f"n{i},m{i % 977},{i / 7:.3f}1\n" for i in range(self.ROWS))
        return written(tmp_path / "large.csv", "# made here\nsource,target,score\n" + "".join(lines))

    def test_rows_are_counted_and_edges_estimated(self, large: Path) -> None:
        found = inspected(large)
        sample = found["sample"]
        assert sample["total"] == pytest.approx(self.ROWS, rel=1e-3)
        assert sample["rows"] < self.ROWS / 5
        assert found["num_edges"] == pytest.approx(self.ROWS, rel=1e-3)  # no row repeats another
        assert found["num_nodes"] < self.ROWS / 2
        assert (found["bipartite"], found["header"]) == (True, True)
        text = run_cli("inspect", large).stdout
        assert f"A sample: {sample['rows']:,} of about {sample['total']:,} rows were read" in text

    def test_blocks_come_from_everywhere_under_their_own_lines(self, large: Path) -> None:
        part = samples.part_of_text(large, evenly=True)
        assert part is not None
        lines = large.read_bytes().split(b"\n")
        for number, line in zip(part.numbers, part.data.split(b"\n")[:-1], strict=True):
            assert lines[number - 1] == line
        tenths = np.unique(part.numbers * 10 // (self.ROWS + 3))
        assert tenths.tolist() == list(range(10))
        assert part.total == self.ROWS + 2
        large.write_bytes(large.read_bytes()[:-1])  # a last line without its end is a line
        cut = samples.part_of_text(large, evenly=True)
        assert cut is not None
        assert cut.total == self.ROWS + 2

    def test_an_error_names_the_line_of_the_file(self, large: Path) -> None:
        part = samples.part_of_text(large, evenly=True)
        assert part is not None
        line = int(part.numbers[-3])
        lines = large.read_text().split("\n")
        cut = lines[line - 1].rsplit(",", 1)
        lines[line - 1] = f"{cut[0]};{cut[1]}"  # as long as before, one field less
        large.write_text("\n".join(lines))
        assert f"large.csv, line {line}: 2 comma-separated field(s)" in run_cli("inspect", large).stderr

    def test_of_a_packed_file_the_first_rows(self, large: Path) -> None:
        packed = large.with_name("large.csv.gz")
        packed.write_bytes(gzip.compress(large.read_bytes()))
        found = inspected(packed)
        assert found["sample"]["total"] is None
        assert found["sample"]["how"] == "the first ones of the file"
        assert found["num_edges"] == found["sample"]["rows"]  # each row is an edge of its own

    def test_of_parquet_and_databases(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        frame = pl.DataFrame({"source": [f"n{i}" for i in range(5000)], "target": [f"m{i % 97}" for i in range(5000)]})
        frame.write_parquet(tmp_path / "a.parquet")
        monkeypatch.setattr(samples, "_ROWS", 1000)
        found = inspected(tmp_path / "a.parquet")
        assert (found["sample"]["rows"], found["sample"]["total"], found["num_edges"]) == (1000, 5000, 5000)
        monkeypatch.setattr("linkodds.graph.inspecting._ROWS", 700)
        with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
            connection.execute("CREATE TABLE edges (source TEXT, target TEXT)")
            connection.executemany("INSERT INTO edges VALUES (?, ?)", frame.rows())
            connection.commit()
        found = inspected(f"sqlite:///{tmp_path / 'a.db'}?table=edges")
        assert (found["sample"]["rows"], found["sample"]["total"]) == (700, None)
        assert found["num_edges"] == 700

    def test_lines_of_a_format(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(samples, "WHOLE", 1 << 12)
        path = written(tmp_path / "a.sif", "".join(f"n{i:05d}\tpp\tm{i:05d}\n" for i in range(2000)))
        found = inspected(path)
        # a line is 17 bytes, so 4,097 bytes hold 241 whole ones
        assert (found["sample"]["rows"], found["sample"]["total"], found["num_edges"]) == (241, 2000, 2000)


def test_neither_torch_nor_the_network_libraries_are_loaded(tmp_path: Path) -> None:
    path = written(tmp_path / "proteins.csv", PROTEINS)
    code = (
        "import sys; from typer.testing import CliRunner; from linkodds.cli import app; "
        f"done = CliRunner().invoke(app, ['inspect', {str(path)!r}]); "
        "print(done.exit_code, sorted({'torch', 'pandas', 'sklearn', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "0 []"


def test_objects_describe_themselves() -> None:
    network = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")])
    nx.set_edge_attributes(network, 0.5, "confidence")
    facts = Graph.from_edges(network).describe()
    assert (facts.format, facts.directed, facts.num_nodes, facts.num_edges, facts.self_loops) == (
        "NetworkX",
        True,
        3,
        3,
        1,
    )
    assert [each.name for each in facts.columns] == ["confidence"]
    assert facts.command is None
    frame = Graph.from_edges(pl.DataFrame({"gene": ["a", "b"], "partner": ["b", "c"], "w": ["1", "2"]}))
    described = frame.describe()
    assert (described.format, described.source, described.target) == ("polars table", "gene", "partner")
    assert inspect_options(described.to_json())
    with pytest.raises(AttributeError):
        described.format = "other"  # type: ignore[misc]


def inspect_options(found: dict[str, Any]) -> bool:
    return json.loads(json.dumps(found))["num_edges"] == 2


def test_names_that_begin_with_a_dash_and_blanks_can_be_pasted(tmp_path: Path) -> None:
    rows = "".join(f"{i % 3}.5,g{i % 7},h{i % 5}\n" for i in range(20))
    path = written(tmp_path / "a.csv", "score,-from id,-to id\n" + rows)
    found = inspect_source(path, ReadingOptions(source="-from id", target="-to id"))
    assert found.command is not None
    words = shlex.split(found.command)
    assert "--source=-from id" in words
    place = words.index("--out")
    assert inspected(*words[2:place], *words[place + 2 :])["source"] == "-from id"
