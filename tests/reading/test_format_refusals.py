"""Graph formats: what is broken, or is not read, is refused with its place and with what helps."""

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from linkodds.errors import MalformedFile, OptionError
from linkodds.graph.graph import Graph
from linkodds.reading.formats.registry import CURES
from linkodds.reading.reading import read_edges


def made(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.sif", "a pp b\nc d\n", r"a.sif, line 2: two fields"),
        ("a.txt", "a\tpp\tb\nb\tpp\tc\nc\n", r"a.txt, line 3: one field, 'c'.*name it .sif; if it is a table"),
        ("a.net", "*Vertices 2\n*Arcs\n1 3\n", r"a.net, line 3: '3' is no vertex; vertices are the numbers 1 to 2"),
        ("a.net", "*Vertices 99999999999\n*Arcs\n1 3\n", r"line 1: 99,999,999,999 nodes in a file of 32 bytes"),
        (
            "a.mtx",
            "%%MatrixMarket matrix coordinate pattern general\n9999999999 9999999999 1\n1 2\n",
            "nodes in a file of",
        ),
        ("a.mtx", "%%MatrixMarket matrix array real general\n2 2\n1\n0.5\n0.5\n1\n", "a dense matrix of numbers"),
        ("a.mtx", "%%MatrixMarket matrix coordinate complex general\n2 2 1\n1 2 0 1\n", "a complex general matrix"),
        ("a.mtx", "%%MatrixMarket matrix coordinate pattern general\n2 2 1\n1 7\n", "not readable as a MatrixMarket"),
        ("a.graph", "2 1\n2\n\n", "node 1 lists 2, and 2 does not list 1"),
        ("a.graph", "3 1\n2\n", r"a.graph, line 1: 3 nodes, but"),
        ("a.gml", 'graph [ node [ id 1 label "a" ]', r"a.gml, line 1: the file ends inside a bracket"),
        ("a.gml", "graph [ node [ id 1 ]\nedge [ source 1 target 2 ] ]", "line 2: 2 is the id of none of the 1 nodes"),
        ("a.gml", "graph [ node [ id 1 ] ] graph [ node [ id 1 ] ]", "2 graphs; say with --key"),
        ("a.graphml", "<graphml><graph>\n<node/></graph></graphml>", r"a.graphml, line 2: a node without id"),
        (
            "a.graphml",
            '<graphml><graph id="a"/><graph id="b"/></graphml>',
            "2 graphs side by side, 'a', 'b'; say with --key",
        ),
        ("a.graphml", '<graphml><graph><node id="a"/><node id="a"/></graph></graphml>', "node 'a' is there already"),
        ("a.graphml", "<graphml><graph><hyperedge/></graph></graphml>", "a hyperedge joins more than two"),
        ("a.graphml", "<graphml><graph></graphml>", r"a.graphml, line 1: not readable as XML \(mismatched tag"),
        ("a.graphml", '<!DOCTYPE g [<!ENTITY a "b">]><graphml/>', r"line 1: the file declares an XML entity"),
        ("a.gexf", "<a>" * 2000, "elements more than 1000 deep"),
        (
            "a.gexf",
            "<gexf><graph><nodes/><edges>\n<edge source='1' target='2'/></edges></graph></gexf>",
            "line 2: '1' is none",
        ),
        ("a.json", '{"nodes": [],\n"links": [}', r"a.json, line 2: no JSON"),
        ("a.json", '{"a": 1}', "an object with 'a' is no graph that is read here: node-link"),
        ("a.json", "[" * 100000, "no JSON"),
        (
            "a.json",
            '{"nodes": [{"id": 1}, {"id": "1"}], "links": []}',
            "the node '1' is there twice; ids are compared as text",
        ),
        (
            "a.json",
            '{"nodes": [{"id": "a"}], "links": [{"source": "a", "target": "b"}]}',
            "edge 1: 'b' is none of the 1",
        ),
        ("a.cx2", '[{"CXVersion": "2.0"}, {"nodes": [{"v": {}}]}]', "node 1 has no id"),
        ("a.jsonl", '{"a": 1, "b": 2}\n[1]\n', r"a.jsonl, line 2: '\[1\]' is no record"),
        ("a.nt", "<a> <b> .\n", r"a.nt, line 1: '<a> <b> .' is no triple"),
        (
            "a.gdf",
            "nodedef>name VARCHAR\na\nedgedef>node1 VARCHAR,node2 VARCHAR\na,b\n",
            r"line 4: 'b' is none of the 1",
        ),
        ("a.dl", "dl n=2 format=fullmatrix\ndata:\n0 1\n", "2 values, where fullmatrix of 2 x 2 has 4"),
        ("a.dl", "dl n=2 format=star\ndata:\n", "format=star is none of fullmatrix"),
        ("a.lgl", "TP53\n", r"a.lgl, line 1: 'TP53' is no neighbour"),
        ("a.ncol", "a b c\n", r"a.ncol, line 1: 'c' is no number"),
        ("out.x", "% sym unweighted\n1 a\n", r"out.x, line 2: '1 a' is no pair of numbers"),
        ("out.x", "% sym unweighted\n% 1 2 2\n1 3\n", r"out.x, line 3: 3 is no node; nodes are the numbers 1 to 2"),
        ("a.mitab", "a\tb\n", r"a.mitab, line 1: 2 tab-separated columns"),
        ("a.h5ad", "nothing", "not readable as an AnnData file"),
    ],
)
def test_what_is_broken_is_refused_with_its_place(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match=message):
        Graph.from_edges(made(tmp_path, name, text))


def test_what_is_not_read_says_what_turns_it_into_what_is(tmp_path: Path) -> None:
    for suffix, cure in CURES.items():
        with pytest.raises(OptionError) as caught:
            read_edges(made(tmp_path, f"edges{suffix}", "x y\n"))
        assert cure in str(caught.value)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linkodds.reading.tables._LEAST_BOUND", 1 << 16)
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)):
        with pytest.raises(MalformedFile, match="unpack to more than"):
            read_edges(made(tmp_path, f"a.csv{suffix}", pack(b"a,b\n" * 1_000_000)))


def test_hdf5_of_other_files_is_not_followed(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        file.create_group("obs")
        file.create_group("obsp")["x"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(MalformedFile, match="'x' lies in another file"):
        read_edges(tmp_path / "a.h5ad")
