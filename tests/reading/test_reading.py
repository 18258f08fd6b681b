"""Files become edge lists: every format, every way to be malformed."""

import contextlib
import csv
import gzip
import io
import re
from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from linkodds.errors import DataError, DegenerateGraph, LinkoddsError, MalformedFile, OptionError, UnknownNode
from linkodds.graph.graph import Graph
from linkodds.reading.headers import looks_like_header
from linkodds.reading.reading import read_edges, read_nodes, read_pairs
from linkodds.reading.reading_options import ReadingOptions

FORMATS = [".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".npz", ".graphml", ".gml"]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(path: Path, **options: object) -> list[tuple[str, str]]:
    edges = read_edges(path, ReadingOptions(**options))
    return [(str(u), str(v)) for u, v in edges.ids[edges.pairs]]


def edge_set(graph: Graph) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in graph.ids[graph.edges]}


def write_edges(path: Path, edges: list[tuple[str, str]]) -> Path:
    """The slow, obvious writer of each format; for .npz ids are places in sorted order."""
    kind = path.name.removeprefix("edges").removesuffix(".gz")
    if kind in (".csv", ".tsv", ".txt"):
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter={".csv": ",", ".tsv": "\t", ".txt": " "}[kind], quoting=csv.QUOTE_ALL)
        writer.writerows([("source", "target"), *edges])
        data = text.getvalue().encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    elif kind == ".parquet":
        pl.DataFrame(edges, schema=["source", "target"], orient="row").write_parquet(path)
    elif kind == ".npz":
        ids = sorted({name for edge in edges for name in edge})
        places = np.array([[ids.index(u), ids.index(v)] for u, v in edges])
        both = np.concatenate([places, places[:, ::-1]])
        sp.save_npz(path, sp.csr_array((np.ones(len(both)), both.T), shape=(len(ids), len(ids))))
    else:
        graph = nx.Graph(edges)
        nx.write_graphml(graph, path) if kind == ".graphml" else nx.write_gml(graph, path)
    return path


names = st.text(st.sampled_from("abAB01.,;|# \t\"'<&é-"), min_size=1, max_size=6).map(str.strip).filter(bool)
hard_names = st.one_of(names, st.sampled_from(["NA", "007", "1.0", "1e3", "null", "nan", "source", "-", "#x"]))
edge_tables = st.lists(st.tuples(hard_names, hard_names), min_size=1, max_size=12)


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=edge_tables)
def test_writing_and_reading_back_gives_the_same_graph(
    suffix: str, edges: list[tuple[str, str]], tmp_path: Path
) -> None:
    # Whole numbers with and without a point are one column of pandas after a merge: 6.0 is read as 6 there.
    assume(not all(re.fullmatch(r"-?\d+(\.0)?", name) for edge in edges for name in edge))
    path = write_edges(tmp_path / f"edges{suffix}", edges)
    options = {"header": True} if suffix.startswith((".csv", ".tsv", ".txt")) else {}
    read = read_edges(path, ReadingOptions(**options))
    ids = read.ids
    if suffix == ".npz":
        assert ids.tolist() == [str(i) for i in range(len(ids))]
        ids = np.array(sorted({name for edge in edges for name in edge}), dtype=object)
    assert {frozenset(pair) for pair in ids[read.pairs]} == {frozenset(edge) for edge in edges}
    if suffix.endswith((".csv", ".tsv", ".txt", ".gz", ".parquet")):
        assert [tuple(pair) for pair in ids[read.pairs]] == edges  # same order, same ends
        seen = list(dict.fromkeys(name for edge in edges for name in edge))
        assert ids.tolist() == seen  # order of first appearance


@pytest.mark.parametrize(
    "text",
    [
        "a,b\nb,c\n",
        "a;b\nb;c\n",
        "a|b\nb|c\n",
        "a\tb\nb\tc",
        "a b\nb   c  \n",
        "  a \t b\n\n b  c\n",
        "a,b\r\nb,c\r\n",
        "a,b\rb,c\r",
        "\ufeffa,b\nb,c\n",
        "# made by hand\n#\n\na,b\n  # more\nb,c\n",
        "source,target\na,b\nb,c\n",
        "\ufeffFromNodeId\tToNodeId\na\tb\nb\tc\n",
        '"a","b"\n"b","c"\n',
        ' a , b \n"b",c\n',
    ],
)
def test_delimiter_header_comments_and_marks_are_found_out(text: str, tmp_path: Path) -> None:
    assert rows(write(tmp_path / "edges.txt", text)) == [("a", "b"), ("b", "c")]


def test_utf_16_and_gzip_are_read(tmp_path: Path) -> None:
    assert rows(write(tmp_path / "edges.csv", "é,b\nb,c\n".encode("utf-16"))) == [("é", "b"), ("b", "c")]
    assert rows(write(tmp_path / "edges.csv.gz", gzip.compress(b"a,b\nb,c\n"))) == [("a", "b"), ("b", "c")]


def test_ids_stay_the_text_that_they_are(tmp_path: Path) -> None:
    text = "source,target\nNA,007\n7,1.0\n1,null\nNaN,1e3\n'q',x\"y\n"
    expected = [("NA", "007"), ("7", "1.0"), ("1", "null"), ("NaN", "1e3"), ("'q'", 'x"y')]
    assert rows(write(tmp_path / "edges.csv", text)) == expected
    frame = pl.DataFrame(expected, schema=["u", "v"], orient="row")
    frame.write_parquet(tmp_path / "edges.parquet")
    assert rows(tmp_path / "edges.parquet") == expected


def test_quotes_may_hide_delimiters_line_feeds_and_quotes(tmp_path: Path) -> None:
    text = 'source,target,w\n"a,1","b ""x""",1\n"c\nd",e,2\n'
    path = write(tmp_path / "edges.csv", text)
    assert rows(path) == [("a,1", 'b "x"'), ("c\nd", "e")]
    assert read_edges(path).where(1) == "edges.csv, line 3"


@pytest.mark.parametrize(
    ("first", "below", "expected"),
    [
        (["source", "target"], [["a", "b"]], True),
        (["Gene_A", "Gene B"], [["TP53", "MDM2"]], True),
        (["proteinA", "proteinB"], [["TP53", "MDM2"]], True),
        (["Official Symbol Interactor A", "Official Symbol Interactor B"], [["TP53", "MDM2"]], True),
        (["#node1", "node2"], [["1", "2"]], True),
        (["whatever", "else"], [["1", "2"]], True),
        (["bait", "prey", "weight"], [["TP53", "MDM2", "0.5"]], True),
        (["", "source", "target"], [["0", "TP53", "MDM2"]], True),
        (["u", "v"], [["10", "11"]], True),
        (["source", "target"], [], True),
        (["0", "1"], [["1", "2"]], False),
        (["TP53", "MDM2"], [["ATM", "CHEK2"]], False),
        (["TP53", "MDM2", "0.9"], [["ATM", "CHEK2", "0.5"]], False),
        (["TP53", "MDM2", "NA"], [["ATM", "CHEK2", "0.5"]], False),
        (["node1", "node2"], [["node3", "node4"]], False),
        (["gene", "protein"], [["protein", "drug"]], False),
        (["a", "b"], [["b", "c"]], False),
        (["u", "v"], [["w", "x"]], False),
        (["P53", "17"], [["12", "18"]], False),
    ],
)
def test_header_rule(first: list[str], below: list[list[str]], expected: bool) -> None:
    assert looks_like_header([first, *below], num_ids=2) is expected


def test_columns_go_by_name_or_by_number(tmp_path: Path) -> None:
    named = write(tmp_path / "named.csv", "weight,x,y,when\n1,a,b,2020\n2,b,c,2021\n")
    assert rows(named, source="x", target="y") == [("a", "b"), ("b", "c")]
    assert rows(named, target="x") == [("b", "a"), ("c", "b")]  # x and y belong together
    assert rows(named, source="weight", target="x") == [("1", "a"), ("2", "b")]
    bare = write(tmp_path / "bare.csv", "k,a,b\nl,b,c\n")
    assert rows(bare, source=3, target="2") == [("b", "a"), ("c", "b")]
    indexed = write(tmp_path / "indexed.csv", ",source,target\n0,a,b\n1,b,c\n")
    assert rows(indexed) == [("a", "b"), ("b", "c")]
    assert rows(named, header=False, source="1", target="2")[0] == ("weight", "x")


def test_first_edge_layout_and_ignored_columns_are_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "edges.csv", "# v2\nsource,target,weight,time\na,b,1,2\nb,c,1,2\nc,d,1,1\n")
    messages = [finding.message for finding in Graph.from_edges(path).findings]
    assert messages[0] == (
        "First edge as read: 'a' - 'b', edges.csv, line 3 (comma-separated, with header, 1 comment line(s) skipped, "
        "columns 'source' and 'target'); 3 rows."
    )
    assert messages[1] == "Ignored columns: 'weight', 'time'; every edge counts the same."


def test_columns_called_source_and_target_are_the_ends_wherever_they_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "edges.csv", "id,weight,source,target\nx1,2,a,b\ny1,3,b,c\n")
    assert rows(path) == [("a", "b"), ("b", "c")]
    turned = write(tmp_path / "turned.csv", "target,source\nb,a\nc,b\n")
    assert rows(turned) == [("a", "b"), ("b", "c")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"edges.csv: the file is empty"),
        ("\n \n", r"the file is empty"),
        ("# only\n# comments\n", r"empty but for 2 comment line"),
        ("source,target\n", r"header line \(source, target\) and no row"),
        ("# x\nTP53\nMDM2\n", r"edges.csv, line 2: one column only, 'TP53'"),
        ("a,b\nb,c\n# x\nc\nd,e\n", r"edges.csv, line 4: 1 comma-separated field\(s\), where most lines have 2"),
        ("a,b\nb,c\nc,d,e\nd,e\n", r"line 3: 3 comma-separated field"),
        ("a,b,1\nb,,1\n", r"edges.csv, line 2, column '2': an empty id"),
        ("source,target\na,b\n  ,c\n", r"line 3, column 'source': an empty id"),
        ('a,b\n"c,d\ne,f\n', r"edges.csv, line 2: a quoted name is not closed"),
        ('a,b\n"c"x,"d,"\n', r"edges.csv, line 2: a quoted name is not closed, or goes on"),
        (b"\x89PNG\r\n\x1a\n\0\0", r"edges.csv, line 1: byte 0x89 is no UTF-8 text"),
        (b"a,b\nc,\0\n", r"line 2: byte 0x00"),
        (b"a,b\nb\xe9,c\n", r"line 2: byte 0xe9 is no UTF-8 text. Save the table as UTF-8"),
        (gzip.compress(b"a,b\n", mtime=0), r"looks like gzip data: name it .gz"),
        (b"PAR1\xff\xff\xff", r"looks like Parquet"),
    ],
)
def test_a_malformed_text_file_is_refused_with_its_line(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match=r"(?i)" + message):
        read_edges(write(tmp_path / "edges.csv", text))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("suffix", FORMATS)
def test_binary_noise_is_refused(suffix: str, seed: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(seed).bytes(2000)
    with pytest.raises(MalformedFile, match=f"edges{suffix}"):
        read_edges(write(tmp_path / f"edges{suffix}", noise))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_or_an_empty_file_is_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="no such file"):
        read_edges(tmp_path / f"edges{suffix}")
    with pytest.raises(MalformedFile, match=r"(?i)empty|readable|read \("):
        read_edges(write(tmp_path / f"edges{suffix}", b""))


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    edges = [(f"node{i}", f"node{i + 1}") for i in range(200)]
    for suffix in (".csv.gz", ".parquet", ".npz", ".graphml", ".gml"):
        path = write_edges(tmp_path / f"edges{suffix}", edges)
        with pytest.raises(MalformedFile, match=f"edges{suffix}"):
            read_edges(write(path, path.read_bytes()[:-40]))


def test_a_missing_column_lists_those_that_exist(tmp_path: Path) -> None:
    path = write(tmp_path / "edges.csv", "source,target\na,b\n")
    with pytest.raises(MalformedFile, match=r"no column 'sorce' for --source; .* 'source', 'target'.* mean 'source'"):
        read_edges(path, ReadingOptions(source="sorce"))
    bare = write(tmp_path / "bare.csv", "a,b\nb,c\n")
    with pytest.raises(MalformedFile, match=r"no column 'x'.*'1', '2' \(there is no header"):
        read_edges(bare, ReadingOptions(source="x"))
    twice = write(tmp_path / "twice.csv", "gene,gene,w\na,b,1\n")
    with pytest.raises(MalformedFile, match=r"2 columns are called 'gene'"):
        read_edges(twice, ReadingOptions(source="gene", target="w"))


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "edges.csv", "source,target\na,b\n")
    with pytest.raises(OptionError, match="two columns, not 'source' twice"):
        read_edges(path, ReadingOptions(source="source", target="source"))
    with pytest.raises(OptionError, match="--delimiter takes one character"):
        read_edges(path, ReadingOptions(delimiter="::"))
    with pytest.raises(
        OptionError, match=r"ends in .weird, an unknown format. If it is text.*Edges are read from .csv"
    ):
        read_edges(write(tmp_path / "edges.weird", "PK"))
    with pytest.raises(MalformedFile, match="is a directory; name a file"):
        read_edges(tmp_path)
    with pytest.raises(MalformedFile, match="nowhere.xlsx: there is no such file"):
        read_edges(tmp_path / "nowhere.xlsx")
    with pytest.raises(OptionError, match=r"delimiter: for tables only, a Graph has no use"):
        read_edges(nx.path_graph(3), ReadingOptions(delimiter=","))
    with pytest.raises(OptionError, match="a Parquet file needs neither"):
        read_edges(tmp_path / "edges.parquet", ReadingOptions(header=False))


@pytest.mark.parametrize("delimiter", ["tab", "\t", "\\t"])
def test_a_given_delimiter_settles_it(delimiter: str, tmp_path: Path) -> None:
    path = write(tmp_path / "edges.txt", "a,1\tb,1\nb,1\tc,1\n")
    assert rows(path, delimiter=delimiter) == [("a,1", "b,1"), ("b,1", "c,1")]
    with pytest.raises(MalformedFile, match="line 1: one column only"):
        read_edges(path, ReadingOptions(delimiter="|"))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "edges.npz", data=np.array([{"a": 1}], dtype=object))
    with pytest.raises(MalformedFile, match="not readable as a matrix saved by"):
        read_edges(tmp_path / "edges.npz")


def test_indices_outside_the_matrix_are_refused(tmp_path: Path) -> None:
    """SciPy would read memory that is not the matrix's."""
    parts = {
        "format": b"csr",
        "shape": (3, 3),
        "data": np.ones(2),
        "indices": np.array([1, 10**6]),
        "indptr": [0, 1, 2, 2],
    }
    np.savez(tmp_path / "edges.npz", **parts)
    with pytest.raises(MalformedFile, match="indices"):
        read_edges(tmp_path / "edges.npz")


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_are_refused_or_read_but_never_crash(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = write_edges(tmp_path / f"edges{suffix}", [(f"n{i % 17}", f"m{i * 7 % 23}") for i in range(40)]).read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 8)):
            damaged[place] = rng.choice(np.frombuffer(b'\n\t",# \0\xff9', dtype=np.uint8))
        with contextlib.suppress(LinkoddsError):
            Graph.from_edges(write(tmp_path / f"edges{suffix}", bytes(damaged)))


def test_gml_and_graphml_know_their_direction(tmp_path: Path) -> None:
    graph = nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")])
    nx.write_graphml(graph, tmp_path / "edges.graphml")
    nx.write_gml(graph, tmp_path / "edges.gml")
    for name in ("edges.graphml", "edges.gml"):
        assert Graph.from_edges(tmp_path / name).num_edges == 3
        assert Graph.from_edges(tmp_path / name).space.directed
    write(tmp_path / "bare.gml", "graph [ node [ id 7 ] node [ id 8 ] edge [ source 7 target 8 ] ]")
    assert rows(tmp_path / "bare.gml") == [("7", "8")]


def test_nodes_are_one_id_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "nodes.txt", '\ufeff# all\r\n a \r\n\r\n"b,1"\r\nNA\r\n')
    assert read_nodes(path).tolist() == ["a", "b,1", "NA"]
    with pytest.raises(MalformedFile, match=r"nodes.txt, line 3: the id 'a' is there already"):
        read_nodes(write(path, "a\nb\na\n"))
    with pytest.raises(MalformedFile, match="no node"):
        read_nodes([])
    with pytest.raises(MalformedFile, match="UTF-8"):
        read_nodes(write(path, b"a\n\xff\n"))


def test_an_edge_of_an_unknown_node_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "edges.csv", "source,target\na,b\nb,x\nx,y\n")
    with pytest.raises(UnknownNode, match=r"edges.csv, line 3: 'x' is none of the 2 ids of --nodes.*\(2 such id"):
        Graph.from_edges(path, nodes=["a", "b"])


def test_pairs_keep_order_ids_and_repeats(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.csv", "source,target\nb,a\nb,a\nzz,a\na,a\n")
    source, target = read_pairs(path)
    assert list(zip(source, target, strict=True)) == [("b", "a"), ("b", "a"), ("zz", "a"), ("a", "a")]
    sp.save_npz(tmp_path / "pairs.npz", sp.csr_array([[0, 1], [0, 0]]))
    assert [ids.tolist() for ids in read_pairs(tmp_path / "pairs.npz")] == [["0"], ["1"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,a\n", r"1 node\(s\)"),
        ("a,b\n", "complete graph"),
        ("a,a\nb,b\nc,c\n", "no edge left after dropping self-loops"),
        ("a,b\nb,c\nc,a\n", "all 3 pairs are edges"),
    ],
)
def test_degenerate_graphs_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DegenerateGraph, match=message):
        Graph.from_edges(write(tmp_path / "edges.csv", text))


def test_objects_that_are_no_graph_are_refused() -> None:
    with pytest.raises(DataError, match="is none of: a path"):
        read_edges(3)
    with pytest.raises(DataError, match=r"shape \(2, 3\)"):
        read_edges([[1, 2, 3], [4, 5, 6]])


def test_plain_quotes_change_nothing(tmp_path: Path) -> None:
    """200,000 rows, quoted and not, against the pairs that were written."""
    ends = np.random.default_rng(0).integers(0, 50_000, (200_000, 2))
    plain = write(tmp_path / "plain.csv", "\n".join(f"g{u},g{v}" for u, v in ends.tolist()))
    quoted = write(tmp_path / "quoted.csv", "\n".join(f'"g{u}","g{v}"' for u, v in ends.tolist()))
    a, b = read_edges(plain), read_edges(quoted)
    assert a.ids.tolist() == b.ids.tolist()
    np.testing.assert_array_equal(a.pairs, b.pairs)
    assert (a.ids[a.pairs] == np.array([[f"g{u}", f"g{v}"] for u, v in ends.tolist()], dtype=object)).all()


def test_real_graphs_keep_their_counts(real_data: Path) -> None:
    for name, num_nodes, num_edges in (("seal_yeast", 2375, 11693), ("lglp_yst", 2284, 6646), ("seal_pb", 1222, 16714)):
        graph = Graph.from_edges(real_data / name / "edges.csv.gz")
        assert (graph.num_nodes, graph.num_edges) == (num_nodes, num_edges)


@pytest.mark.parametrize("nothing", [[], (), np.zeros((0, 2), dtype=int)])
def test_no_pairs_in_python_are_no_pairs(nothing: object) -> None:
    assert [ids.tolist() for ids in read_pairs(nothing)] == [[], []]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_value_in_a_list_of_pairs_is_no_id(missing: object) -> None:
    with pytest.raises(MalformedFile, match="row 2, column 'target': an empty id"):
        read_edges([("a", "b"), ("c", missing)])
