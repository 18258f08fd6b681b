"""Which columns are the ends of an edge, and which first line is a header: by names and values, never by position alone."""

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from linkodds.errors import AmbiguousEnds, DataError, LinkoddsError, MalformedFile
from linkodds.graph.graph import Graph
from linkodds.reading.headers import looks_like_header
from linkodds.reading.reading import read_edges
from linkodds.reading.reading_options import ReadingOptions
from places import SHARED

SYMBOLS = (
    "TP53 MDM2 HLA-A HLA-DRB1 MARCH1 SEPT9 DEC1 NKX2-5 C9orf72 MT-ND1 7SK NAN INF2 ATM BRCA1 BRCA2 IL-6 EGFR STAT3 KRAS"
)
GENES = SYMBOLS.split()


@pytest.fixture
def formats() -> Path:
    """The folder of small files as real tools write them; without it the test is skipped, in CI it fails."""
    folder = SHARED / "formats"
    if not folder.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("the folder of formats is missing, and CI must have it")
        pytest.skip("needs the folder of formats beside the checkout")
    return folder


def columns_read(path: Path, **options: object) -> tuple[str, str]:
    layout = read_edges(path, ReadingOptions(**options)).layout
    first, second = layout.split("columns ")[-1].split(" and ")
    return first.strip("'"), second.strip("'")


def edges_of(path: Path, **options: object) -> list[tuple[str, str]]:
    read = read_edges(path, ReadingOptions(**options))
    return [(str(u), str(v)) for u, v in read.ids[read.pairs]]


def random_edges(count: int = 60, seed: int = 0) -> list[tuple[str, str]]:
    """Distinct pairs of genes."""
    rng = np.random.default_rng(seed)
    pairs: dict[tuple[str, str], None] = {}
    while len(pairs) < count:
        u, v = rng.choice(len(GENES), 2, replace=False)
        pairs[GENES[u], GENES[v]] = None
    return list(pairs)


def write_rows(path: Path, rows: list[tuple[object, ...]], header: str = "", delimiter: str = "\t") -> Path:
    lines = [delimiter.join(map(str, row)) for row in rows]
    path.write_text("\n".join([*([header] if header else []), *lines]) + "\n")
    return path


def test_every_file_of_the_folder_is_read_right_or_refused(formats: Path) -> None:
    """Nodes and edges as expected.csv has them; what it allows to be refused is refused in words that help."""
    wrong, right = [], 0
    with (formats / "expected.csv").open() as file:
        for row in csv.DictReader(file):
            name, wanted = row["file"], row["wanted"]
            options = {"separate_ids": True} if "option" in wanted else {}
            try:
                graph = Graph.from_edges(formats / name, **options)
            except LinkoddsError as error:
                helps = ("--source", "name it .sif", "label", "stack()")
                ok = "refused" in wanted and any(word in str(error) for word in helps)
                wrong += [] if ok else [(name, str(error))]
            else:
                found = (str(graph.num_nodes), str(graph.num_edges))
                ok = found == (row["nodes"], row["edges"])
                ok &= not row["directed"].startswith("yes") or graph.space.directed
                wrong += [] if ok else [(name, found)]
            right += ok
    assert wrong == []
    assert right == 28


def ids_of_rows(kind: str, seed: int) -> list[list[str]]:
    """31 rows of two ids of one kind."""
    rng = np.random.default_rng(seed)
    if kind == "genes":
        return [list(rng.choice(GENES, 2)) for _ in range(31)]
    make = {
        "numbers": lambda: str(rng.integers(2, 400)),
        "accessions": lambda: f"{rng.choice(list('PQO'))}{rng.integers(10_000, 99_999)}",
        "proteins": lambda: f"9606.ENSP{rng.integers(99_999):011d}",
        "words": lambda: "".join(rng.choice(list("abcdefghij"), rng.integers(3, 8))),
        "entries": lambda: "".join(rng.choice(list("ABCDEFG"), 4)) + "_HUMAN",
        "numbered": lambda: f"gene_{rng.integers(900)}",
        "people": lambda: f"{rng.choice(['Anna', 'Bob', 'Carl', 'Dora'])} {rng.choice(['Meyer', 'Li', 'Kim'])}",
        "tags": lambda: f"{rng.choice(['#', '@'])}{rng.choice(list('abcdef'))}{rng.integers(99)}",
    }[kind]
    return [[make(), make()] for _ in range(31)]


@pytest.mark.parametrize(
    "kind", ["genes", "accessions", "proteins", "words", "entries", "numbered", "people", "numbers", "tags"]
)
def test_usual_headers_are_seen_and_no_first_row_is_lost(kind: str, formats: Path) -> None:
    headers = [line.split(",") for line in (formats / "headers.txt").read_text().splitlines() if line]
    assert len(headers) == 86
    for seed in range(5):
        rows = ids_of_rows(kind, seed)
        assert not looks_like_header(rows, num_ids=2), rows[0]
        # "0,1" above numbers is an edge like the others: nothing tells it from one.
        read_as_edge = [header for header in headers if not looks_like_header([header, *rows[1:]], num_ids=2)]
        assert read_as_edge in ([], [["0", "1"]] if kind == "numbers" else [])


def test_headers_of_text_files_are_read_as_such(formats: Path, tmp_path: Path) -> None:
    rows = random_edges(30)
    for line in (formats / "headers.txt").read_text().splitlines():
        path = write_rows(tmp_path / "edges.csv", rows, line, ",")
        assert set(edges_of(path)) == set(rows) or line in ("target,source", "hashtag,user"), line
        assert edges_of(write_rows(tmp_path / "bare.csv", rows, "", ",")) == rows


@pytest.mark.parametrize(
    "header", ["source,interaction,target", "from,type,to", "head,relation,tail", "Bait,method,Prey"]
)
def test_ends_by_name_wherever_they_stand(header: str, tmp_path: Path) -> None:
    rows = [(u, "pp" if i % 3 else "pd", v) for i, (u, v) in enumerate(random_edges())]
    path = write_rows(tmp_path / "edges.csv", rows, header, ",")
    assert edges_of(path) == random_edges()
    turned = [(v, kind, u) for u, kind, v in rows]
    reverse = ",".join(reversed(header.split(",")))
    assert edges_of(write_rows(tmp_path / "turned.csv", turned, reverse, ","))[0] in (rows[0][::2], rows[0][::-2])


def test_second_names_row_numbers_and_kinds_are_no_ends(tmp_path: Path) -> None:
    """HIPPIE, RegNetwork, row numbers, triples and weights, all without a header."""
    number = {gene: 1000 + 37 * i for i, gene in enumerate(GENES)}
    edges = random_edges(120)
    kinds = ["binds", "inhibits", "activates"]
    for name, rows in {
        "regnetwork": [(u, number[u], v, number[v]) for u, v in edges],
        "hippie": [
            (u, number[u], v, number[v], f"0.{31 * i % 97:02d}", f"pmids:{i}") for i, (u, v) in enumerate(edges)
        ],
        "numbered": [(i + 1, u, v) for i, (u, v) in enumerate(edges)],
        "triples": [(u, kinds[i % 3], v) for i, (u, v) in enumerate(edges)],
        "weighted": [(u, v, i % 7 + 1) for i, (u, v) in enumerate(edges)],
        "kind first": [(kinds[i % 3], u, v) for i, (u, v) in enumerate(edges)],
    }.items():
        assert set(edges_of(write_rows(tmp_path / f"{name}.txt", rows))) == set(edges), name


def test_two_columns_alone_are_the_ends_whatever_they_hold(tmp_path: Path) -> None:
    for rows in (
        [(f"leaf{i}", f"inner{i // 2}") for i in range(40)],  # a tree
        [(f"user{i}", f"book{i % 7}") for i in range(40)],  # one purchase each
        [(f"P{i}", f"ENSG{i}") for i in range(40)],  # one to one
    ):
        assert edges_of(write_rows(tmp_path / "edges.tsv", rows)) == rows


def test_two_readings_are_refused_with_both(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(f"d{rng.integers(40)}", f"g{rng.integers(40)}", f"t{rng.integers(40)}") for _ in range(200)]
    path = write_rows(tmp_path / "edges.txt", rows)
    with pytest.raises(AmbiguousEnds) as caught:
        read_edges(path)
    message = str(caught.value)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        shown = "; ".join(f"{row[i]} - {row[j]}" for row in rows[:3])
        assert f"--source {i + 1} --target {j + 1} reads {shown}" in message
    assert ("1", "2") in caught.value.readings
    assert edges_of(path, source="1", target="3") == [(row[0], row[2]) for row in rows]


def test_values_and_matrices_are_refused_with_what_helps(tmp_path: Path) -> None:
    values = write_rows(tmp_path / "values.csv", [(gene, i / 7) for i, gene in enumerate(GENES)], "gene,score", ",")
    with pytest.raises(MalformedFile, match=r"column 'score': .* is a number with decimals"):
        read_edges(values)
    assert len(read_edges(values, ReadingOptions(source="gene", target="score")).pairs) == len(GENES)
    matrix = [(gene, *(int(i == j) for j in range(len(GENES)))) for i, gene in enumerate(GENES)]
    with pytest.raises(MalformedFile, match=r"a matrix of numbers with 20 rows and 20 columns.*frame.stack\(\)"):
        read_edges(write_rows(tmp_path / "matrix.csv", matrix, ",".join(["gene", *GENES]), ","))


def test_a_header_behind_a_mark_has_names(tmp_path: Path) -> None:
    edges = random_edges()
    path = write_rows(tmp_path / "a.tsv", [(u, v, 5) for u, v in edges], "# made today\n#node1\tnode2\tcombined_score")
    assert edges_of(path) == edges
    assert edges_of(path, source="node2", target="#node1") == [(v, u) for u, v in edges]
    assert read_edges(path, ReadingOptions(weight="combined_score", weight_as="strength")).weights is not None
    plain = write_rows(tmp_path / "b.tsv", list(edges), "# a comment\n# of two lines")
    assert edges_of(plain) == edges


def test_ids_that_begin_with_a_mark_stay(tmp_path: Path) -> None:
    rows = [(f"#tag{i % 5}", f"user{i % 9}") for i in range(45)]
    for header in ("", "hashtag,user"):
        read = edges_of(write_rows(tmp_path / "tags.csv", rows, header, ","))
        assert {frozenset(pair) for pair in read} == {frozenset(row) for row in rows}
    mixed = write_rows(tmp_path / "mixed.csv", [("a", "b"), ("#c", "d"), ("# said", "by me"), ("b", "c")], "", ",")
    assert edges_of(mixed) == [("a", "b"), ("#c", "d"), ("b", "c")]
    assert any("1 line(s) that begin with #" in finding.message for finding in read_edges(mixed).findings)


def test_attributes_in_braces_are_no_ids(tmp_path: Path) -> None:
    path = tmp_path / "edges.txt"
    path.write_text(
        "0 1 {'weight': 4, 'year': 2020}\n0 2 {'weight': 5, 'year': 2021}\n1 2 {'weight': 1, 'year': 2020}\n"
    )
    assert edges_of(path) == [("0", "1"), ("0", "2"), ("1", "2")]
    weights = read_edges(path, ReadingOptions(weight="weight", weight_as="strength")).weights
    assert weights is not None
    assert weights.values.tolist() == [4.0, 5.0, 1.0]


def test_whole_numbers_with_a_point_are_the_numbers(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "edges.csv", [("6", "7.0"), ("7", "8.0"), ("8", "6.0")], "source,target", ",")
    assert edges_of(path) == [("6", "7"), ("7", "8"), ("8", "6")]
    frame = pd.DataFrame({"source": [6, 7], "target": [7.0, 8.0]})
    assert read_edges(frame).ids.tolist() == ["6", "7", "8"]
    kept = write_rows(tmp_path / "kept.csv", [("6", "7.0"), ("x", "6.0")], "source,target", ",")
    assert edges_of(kept) == [("6", "7.0"), ("x", "6.0")]


@pytest.mark.parametrize(("column", "cells"), [("label", "1010"), ("interaction", "1100"), ("weight", "3205")])
def test_rows_that_may_be_no_edges_are_refused_until_it_is_said(column: str, cells: str, tmp_path: Path) -> None:
    rows = [(u, v, cell) for (u, v), cell in zip(random_edges(4), cells, strict=True)]
    path = write_rows(tmp_path / "edges.csv", rows, f"source,target,{column}", ",")
    with pytest.raises(DataError, match=rf"of 4 rows have no positive {column}.*--label {column}"):
        read_edges(path)
    assert edges_of(path, label=column) == [(u, v) for u, v, cell in rows if cell != "0"]


def test_ratings_below_zero_are_said(tmp_path: Path) -> None:
    rows = [("a", "b", 3), ("b", "c", -2), ("c", "d", 5)]
    path = write_rows(tmp_path / "edges.csv", rows, "source,target,rating", ",")
    assert any("1 of 3 rows have a rating below 0" in finding.message for finding in read_edges(path).findings)
    assert edges_of(path, label="rating") == [("a", "b"), ("c", "d")]


def test_blanks_around_ids_go_in_python_as_in_files(tmp_path: Path) -> None:
    rows = [(" a", "b "), ("b", " c")]
    path = write_rows(tmp_path / "edges.csv", rows, "", ",")
    for edges in (path, rows, pd.DataFrame(rows, columns=["source", "target"])):
        assert read_edges(edges).ids.tolist() == ["a", "b", "c"]


def test_a_type_of_gephi_gives_the_direction(tmp_path: Path) -> None:
    rows = [(u, v, "Directed", i) for i, (u, v) in enumerate(random_edges(10))]
    path = write_rows(tmp_path / "edges.csv", rows, "Source,Target,Type,Id", ",")
    assert read_edges(path).directed
    path = write_rows(tmp_path / "mixed.csv", [*rows, ("a", "b", "Undirected", 11)], "Source,Target,Type,Id", ",")
    assert not read_edges(path).directed
    assert any("says Directed of 10 of 11" in finding.message for finding in read_edges(path).findings)
