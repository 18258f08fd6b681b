"""Graph formats: each as its tools write it, small, with what it holds counted by hand."""

import bz2
import contextlib
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
import scipy.io
import scipy.sparse as sp

from linkodds.errors import DataError, LinkoddsError, MalformedFile, OptionError
from linkodds.graph.graph import Graph
from linkodds.reading.formats.registry import FORMATS
from linkodds.reading.reading import read_edges, read_pairs
from linkodds.reading.reading_options import ReadingOptions

EDGES = {("TP53", "MDM2"), ("MDM2", "ATM")}
NODES = ["TP53", "MDM2", "ATM", "LONER"]

UNDIRECTED_HEAD = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
GRAPHML = {
    "igraph": '<key id="v_name" for="node" attr.name="name" attr.type="string"/><graph id="G" edgedefault="undirected">'
    + "".join(f'<node id="n{i}"><data key="v_name">{name}</data></node>' for i, name in enumerate(NODES))
    + '<edge source="n0" target="n1"/><edge source="n1" target="n2"/></graph>',
    "yed": '<key for="node" id="d6" yfiles.type="nodegraphics"/><graph id="G" edgedefault="directed">'
    + "".join(
        f'<node id="n{i}"><data key="d6"><y:ShapeNode><y:Geometry x="1"/><y:NodeLabel>{name}<y:LabelModel/></y:NodeLabel>'
        "</y:ShapeNode></data></node>"
        for i, name in enumerate(NODES)
    )
    + '<edge source="n0" target="n1" directed="false"/><edge source="n1" target="n2" directed="false"/></graph>',
    "nested": '<graph edgedefault="undirected"><node id="TP53"/><node id="MDM2"><graph id="g:" edgedefault="undirected">'
    '<node id="ATM"/><node id="LONER"/></graph></node>'
    '<edge source="TP53" target="MDM2"/><edge source="MDM2" target="ATM"/></graph>',
}
CX = [
    {"numberVerification": [{"longNumber": 281474976710655}]},
    {"nodes": [{"@id": i, "n": name, "r": f"hgnc:{name}"} for i, name in enumerate(NODES)]},
    {"edges": [{"@id": 0, "s": 0, "t": 1, "i": "binds"}, {"@id": 1, "s": 1, "t": 2, "i": "binds"}]},
    {"edgeAttributes": [{"po": 0, "n": "score", "v": "0.5", "d": "double"}, {"po": 1, "n": "score", "v": "0.75"}]},
    {"status": [{"error": "", "success": True}]},
]
MITAB_CELLS = ["-"] * 15
TEXTS: dict[str, tuple[str, str]] = {
    "SIF": ("a.sif", "TP53\tpp\tMDM2\nMDM2\tpd\tATM\nLONER\n"),
    "TGF": ("a.tgf", "1 TP53\n2 MDM2\n3 ATM\n4 LONER\n#\n1 2\n2 3 binds\n"),
    "SIF, blanks": ("a.sif", "TP53 pp MDM2\nMDM2 pd ATM TP53\nLONER\n"),
    "GraphML of igraph": ("a.graphml", UNDIRECTED_HEAD + GRAPHML["igraph"] + "</graphml>"),
    "GraphML of yEd": (
        "a.graphml",
        UNDIRECTED_HEAD.replace(">", ' xmlns:y="http://www.yworks.com/xml/graphml">') + GRAPHML["yed"] + "</graphml>",
    ),
    "GraphML, nested": ("a.graphml", UNDIRECTED_HEAD + GRAPHML["nested"] + "</graphml>"),
    "GEXF of Gephi": (
        "a.gexf",
        '<gexf xmlns="http://gexf.net/1.3" version="1.3"><graph defaultedgetype="undirected"><nodes>'
        + "".join(f'<node id="{i}" label="{name}"/>' for i, name in enumerate(NODES))
        + '</nodes><edges><edge id="0" source="0" target="1" weight="2.0"/><edge source="1" target="2"/></edges></graph></gexf>',
    ),
    "GML of igraph": (
        "a.gml",
        'Creator "igraph version 1.0.0"\nVersion 1\ngraph\n[\n  directed 0\n'
        + "".join(f'  node\n  [\n    id {i}\n    name "{name}"\n  ]\n' for i, name in enumerate(NODES))
        + "  edge\n  [\n    source 0\n    target 1\n  ]\n  edge\n  [\n    source 1\n    target 2\n  ]\n]\n",
    ),
    "Pajek": ("a.net", '*Vertices 4\n1 "TP53" 0.1 0.2\n2 MDM2\n3 ATM\n4 LONER\n*Edges\n1 2 1\n2 3 0.5\n'),
    "Pajek, matrix": (
        "a.net",
        "*Vertices 4\n1 TP53\n2 MDM2\n3 ATM\n4 LONER\n*Matrix\n0 1 0 0\n1 0 1 0\n0 1 0 0\n0 0 0 0\n",
    ),
    "Pajek, list": ("a.net", "*Network x\n*Vertices 4\n1 TP53\n2 MDM2\n3 ATM\n4 LONER\n*Edgeslist\n2 1 3\n"),
    "node-link": (
        "a.json",
        json.dumps(
            {
                "directed": False,
                "multigraph": False,
                "graph": {},
                "nodes": [{"id": name} for name in NODES],
                "edges": [{"source": "TP53", "target": "MDM2", "w": 1}, {"source": "MDM2", "target": "ATM"}],
            }
        ),
    ),
    "node-link of D3, by place": (
        "a.json",
        json.dumps(
            {
                "nodes": [{"name": name, "group": 1} for name in NODES],
                "links": [{"source": 0, "target": 1, "value": 1}, {"source": 1, "target": 2, "value": 8}],
            }
        ),
    ),
    "graphology": (
        "a.json",
        json.dumps(
            {
                "options": {"type": "undirected", "multi": False, "allowSelfLoops": True},
                "attributes": {},
                "nodes": [{"key": name, "attributes": {"x": 1}} for name in NODES],
                "edges": [
                    {"key": "geid_0", "source": "TP53", "target": "MDM2", "undirected": True},
                    {"key": "geid_1", "source": "MDM2", "target": "ATM", "undirected": True},
                ],
            }
        ),
    ),
    "JSON Graph Format": (
        "a.json",
        json.dumps(
            {
                "graph": {
                    "directed": False,
                    "nodes": {name: {"label": name} for name in NODES},
                    "edges": [{"source": "TP53", "target": "MDM2"}, {"source": "MDM2", "target": "ATM"}],
                }
            }
        ),
    ),
    "adjacency JSON": ("a.json", ""),
    "cyjs": (
        "a.cyjs",
        json.dumps(
            {
                "elements": {
                    "nodes": [{"data": {"id": str(60 + i), "name": name}} for i, name in enumerate(NODES)],
                    "edges": [
                        {"data": {"id": "70", "source": "60", "target": "61"}},
                        {"data": {"id": "71", "source": "61", "target": "62"}},
                    ],
                }
            }
        ),
    ),
    "CX": ("a.cx", json.dumps(CX)),
    "CX2": (
        "a.cx2",
        json.dumps(
            [
                {"CXVersion": "2.0", "hasFragments": False},
                {"attributeDeclarations": [{"nodes": {"name": {"a": "n", "d": "string"}}}]},
                {"nodes": [{"id": i, "v": {"n": name}} for i, name in enumerate(NODES)]},
                {"edges": [{"id": 0, "s": 0, "t": 1, "v": {}}, {"id": 1, "s": 1, "t": 2, "v": {}}]},
            ]
        ),
    ),
    "UCINET, matrix": (
        "a.dl",
        "DL n=4\nformat = fullmatrix\nlabels:\nTP53,MDM2,ATM,LONER\ndata:\n0 1 0 0\n1 0 1 0\n0 1 0 0\n0 0 0 0\n",
    ),
    "UCINET, edges": (
        "a.dl",
        "dl n=4 format=edgelist1\nlabels:\nTP53\nMDM2\nATM\nLONER\ndata:\n1 2 1\n2 3 4.5\n",
    ),
    "UCINET, lower half": (
        "a.dl",
        "dl n=4, format=lowerhalf\nlabels:\nTP53,MDM2,ATM,LONER\ndata:\n0\n1 0\n0 1 0\n0 0 0 0\n",
    ),
    "GDF": (
        "a.gdf",
        "nodedef>name VARCHAR,label VARCHAR\n1,TP53\n2,MDM2\n3,ATM\n4,LONER\n"
        "edgedef>node1 VARCHAR,node2 VARCHAR,directed BOOLEAN\n1,2,false\n2,3,false\n",
    ),
}
NO_LONER = {
    "LGL": ("a.lgl", "# MDM2\nTP53\nATM 2.5\n"),
    "NCOL": ("a.ncol", "TP53 MDM2 0.5\nMDM2 ATM 0.5\n"),
    "adjacency list": ("a.adjlist", "# by networkx\nTP53 MDM2\nMDM2 ATM\nATM\n"),
    "JSON Lines": ("a.jsonl", '{"source": "TP53", "target": "MDM2"}\n{"source": "MDM2", "target": "ATM"}\n'),
    "records": ("a.json", '[{"source": "TP53", "target": "MDM2"}, {"source": "MDM2", "target": "ATM"}]'),
    "N-Triples": (
        "a.nt",
        '<TP53> <http://x/binds> <MDM2> .\n_:b <http://x/name> "a \\"b\\" ."@en .\n<MDM2> <http://x/binds> <ATM> .\n'.replace(
            "_:b", "<TP53>"
        ),
    ),
    "MITAB": (
        "a.txt",
        "#ID(s) interactor A\tID(s) interactor B\n"
        + "\t".join(["uniprotkb:TP53", "uniprotkb:MDM2|intact:EBI-1", *MITAB_CELLS[2:]])
        + "\n"
        + "\t".join(["uniprotkb:MDM2", 'uniprotkb:"ATM"(alias)', *MITAB_CELLS[2:14], "intact-miscore:0.56"])
        + "\n",
    ),
}


def made(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def edges_of(graph: Graph) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in graph.ids[graph.edges].tolist()}


def adjacency_json() -> str:
    graph = nx.Graph(sorted(EDGES))
    graph.add_node("LONER")
    return json.dumps(nx.adjacency_data(graph))


@pytest.mark.parametrize("kind", TEXTS)
def test_a_format_gives_its_names_edges_and_lonely_nodes(kind: str, tmp_path: Path) -> None:
    name, text = TEXTS[kind]
    graph = Graph.from_edges(made(tmp_path, name, text or adjacency_json()), bipartite=False)
    wanted = {frozenset(edge) for edge in EDGES}
    if kind == "SIF, blanks":
        wanted |= {frozenset({"MDM2", "TP53"})}
    assert sorted(graph.ids) == sorted(NODES)
    assert edges_of(graph) == wanted
    assert not graph.space.directed


@pytest.mark.parametrize("kind", NO_LONER)
def test_a_list_of_edges_gives_its_names_and_edges(kind: str, tmp_path: Path) -> None:
    graph = Graph.from_edges(made(tmp_path, *NO_LONER[kind]), bipartite=False)
    assert edges_of(graph) == {frozenset(edge) for edge in EDGES}
    assert not graph.space.directed


def test_every_format_has_a_test() -> None:
    tested = {Path(name).suffix for name, _ in (*TEXTS.values(), *NO_LONER.values())}
    tested |= {".mtx", ".graph", ".h5ad", ".arrow", ".xlsx"}
    assert [form.name for form in FORMATS if form.suffixes and not tested & set(form.suffixes)] == ["PSI-MITAB"]


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", None)]
)
@pytest.mark.parametrize("kind", ["SIF", "GraphML of igraph", "CX2"])
def test_packed_files_are_read(kind: str, suffix: str, pack: Any, tmp_path: Path) -> None:
    name, text = TEXTS[kind]
    if pack is None:
        pack = pytest.importorskip("zstandard").ZstdCompressor().compress
    graph = Graph.from_edges(made(tmp_path, name + suffix, pack(text.encode())), bipartite=False)
    assert edges_of(graph) == {frozenset(edge) for edge in EDGES}
    table = made(tmp_path, "t.csv" + suffix, pack(b"source,target\nTP53,MDM2\nMDM2,ATM\n"))
    assert edges_of(Graph.from_edges(table, bipartite=False)) == {frozenset(edge) for edge in EDGES}


def test_direction_is_what_the_format_says(tmp_path: Path) -> None:
    arcs = {
        "a.graphml": '<graphml><graph edgedefault="directed"><node id="a"/><node id="b"/><node id="c"/>'
        '<edge source="a" target="b"/><edge source="b" target="c"/></graph></graphml>',
        "a.gexf": '<gexf><graph defaultedgetype="directed"><nodes><node id="a"/><node id="b"/><node id="c"/></nodes><edges>'
        '<edge source="a" target="b"/><edge source="b" target="c"/></edges></graph></gexf>',
        "a.gml": 'graph [ directed 1 node [ id 0 label "a" ] node [ id 1 label "b" ] node [ id 2 label "c" ] '
        "edge [ source 0 target 1 ] edge [ source 1 target 2 ] ]",
        "a.net": "*Vertices 3\n1 a\n2 b\n3 c\n*Arcs\n1 2\n2 3\n",
        "a.json": '{"directed": true, "nodes": [{"id": "a"}, {"id": "b"}, {"id": "c"}], '
        '"links": [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}]}',
        "out.x": "% asym unweighted\n1 2\n2 3\n",
        "a.gdf": "nodedef>name VARCHAR\na\nb\nc\nedgedef>node1 VARCHAR,node2 VARCHAR,directed BOOLEAN\na,b,true\nb,c,true\n",
    }
    for name, text in arcs.items():
        graph = Graph.from_edges(made(tmp_path, name, text))
        assert graph.space.directed, name
        assert graph.edges.tolist() == [[0, 1], [1, 2]], name
    matrix = sp.coo_array(([1.0, 1.0], ([0, 1], [1, 2])), shape=(3, 3))
    scipy.io.mmwrite(tmp_path / "a.mtx", matrix)
    assert Graph.from_edges(tmp_path / "a.mtx").ids[Graph.from_edges(tmp_path / "a.mtx").edges].tolist() == [
        ["1", "2"],
        ["2", "3"],
    ]
    mixed = made(tmp_path, "m.net", "*Vertices 3\n1 a\n2 b\n3 c\n*Arcs\n1 2\n*Edges\n2 3\n")
    graph = Graph.from_edges(mixed)
    assert graph.ids[graph.edges].tolist() == [["a", "b"], ["b", "c"], ["c", "b"]]
    assert any("1 arc(s) and 1 edge(s)" in finding.message for finding in graph.findings)
    with pytest.raises(OptionError, match="has no directions"):
        Graph.from_edges(made(tmp_path, *TEXTS["Pajek"]), directed=True)
    assert Graph.from_edges(made(tmp_path, *TEXTS["SIF"]), directed=True).space.directed


def test_cytoscape_says_nothing_of_direction_though_it_writes_directed(tmp_path: Path) -> None:
    keys = "".join(f'<key id="{name}" for="node" attr.name="{name}"/>' for name in ("name", "shared name", "selected"))
    nodes = "".join(f'<node id="{100 + i}"><data key="name">{name}</data></node>' for i, name in enumerate(NODES))
    text = f'<graphml>{keys}<graph edgedefault="directed">{nodes}<edge source="100" target="101"/></graph></graphml>'
    graph = Graph.from_edges(made(tmp_path, "c.graphml", text))
    assert not graph.space.directed
    assert graph.ids.tolist() == NODES
    assert any("Cytoscape writes edgedefault='directed'" in finding.message for finding in graph.findings)
    assert Graph.from_edges(tmp_path / "c.graphml", directed=True).space.directed


def test_undirected_wins_over_what_the_format_says(tmp_path: Path) -> None:
    path = made(tmp_path, "a.net", "*Vertices 4\n1 a\n2 b\n3 c\n4 d\n*Arcs\n1 2\n2 1\n2 3\n")
    assert Graph.from_edges(path).num_edges == 3
    graph = Graph.from_edges(path, directed=False)
    assert not graph.space.directed
    assert edges_of(graph) == {frozenset("ab"), frozenset("bc")}


def test_numbers_of_matrices_are_those_of_the_file(tmp_path: Path) -> None:
    path = made(tmp_path, "a.mtx", "%%MatrixMarket matrix coordinate pattern symmetric\n% x\n4 4 2\n2 1\n3 2\n")
    read = read_edges(path)
    assert read.ids.tolist() == ["1", "2", "3", "4"]
    assert {frozenset(pair) for pair in read.ids[read.pairs].tolist()} == {frozenset("12"), frozenset("23")}
    weighted = made(tmp_path, "w.mtx", "%%MatrixMarket matrix coordinate real symmetric\n4 4 2\n2 1 0.5\n3 2 0.25\n")
    weights = read_edges(weighted, ReadingOptions(weight="value", weight_as="strength")).weights
    assert weights is not None
    assert weights.values.tolist() == [0.5, 0.25]
    metis = made(tmp_path, "a.graph", "% c\n4 2 001\n2 7\n1 7 3 9\n2 9\n\n")
    read = read_edges(metis, ReadingOptions(weight="weight", weight_as="strength"))
    assert read.ids[read.pairs].tolist() == [["1", "2"], ["2", "3"]]
    assert read.ids.tolist() == ["1", "2", "3", "4"]
    assert read.weights is not None
    assert read.weights.values.tolist() == [7, 9]
    named = Graph.from_edges(path, nodes=NODES, bipartite=False)
    assert edges_of(named) == {frozenset(edge) for edge in EDGES}


def test_two_sides_have_two_name_spaces(tmp_path: Path) -> None:
    films = made(tmp_path, "out.films", "% bip posweighted\n% 4 2 3\n1 1 5 100\n1 2 4 101\n2 2 1 102\n2 3 3 103\n")
    matrix = made(tmp_path, "b.mtx", "%%MatrixMarket matrix coordinate pattern general\n2 3 4\n1 1\n1 2\n2 2\n2 3\n")
    pajek = made(tmp_path, "b.net", "*Vertices 5 2\n*Edges\n1 3\n1 4\n2 4\n2 5\n")
    for path, left, right in ((films, "left:", "right:"), (matrix, "row:", "column:"), (pajek, "", "")):
        graph = Graph.from_edges(path)
        assert graph.space.sides == (2, 3)
        offset = 2 if path is pajek else 0
        pairs = [(1, 1), (1, 2), (2, 2), (2, 3)]
        assert edges_of(graph) == {frozenset((f"{left}{u}", f"{right}{v + offset}")) for u, v in pairs}
    times = read_edges(films, ReadingOptions(time="time")).times
    assert times is not None
    assert times.values.tolist() == [100, 101, 102, 103]


def test_kinds_weights_and_times_of_a_format_are_columns(tmp_path: Path) -> None:
    sif = made(tmp_path, "a.sif", "a pp b c\nb pd c\n")
    read = read_edges(sif, ReadingOptions(relation="interaction", predict_kind="pp"))
    assert read.ids[read.pairs].tolist() == [["a", "b"], ["a", "c"]]
    assert read.others is not None
    assert read.others.names == ("pd",)
    assert "Ignored edge attributes: 'interaction'" in read_edges(sif).findings[0].message
    cx = read_edges(made(tmp_path, "a.cx", json.dumps(CX)), ReadingOptions(weight="score", weight_as="confidence"))
    assert cx.weights is not None
    assert cx.weights.values.tolist() == [0.5, 0.75]
    with pytest.raises(MalformedFile, match=r"no column 'scor' for --weight; the columns are 'interaction', 'score'"):
        read_edges(tmp_path / "a.cx", ReadingOptions(weight="scor", weight_as="confidence"))
    with pytest.raises(OptionError, match="--source, --target: for tables only"):
        read_edges(sif, ReadingOptions(source="a"))


def test_names_that_several_nodes_have_are_told_apart_and_said(tmp_path: Path) -> None:
    text = 'graph [ node [ id 10 label "TP53" ] node [ id 11 label "MDM2" ] node [ id 12 label "ATM" ]'
    text += ' node [ id 13 label "MDM2" ]'
    text += " node [ id 14 ] edge [ source 10 target 11 ] edge [ source 13 target 14 ] ]"
    graph = Graph.from_edges(made(tmp_path, "a.gml", text))
    assert sorted(graph.ids) == ["14", "ATM", "MDM2 (11)", "MDM2 (13)", "TP53"]
    warning = next(finding for finding in graph.findings if finding.severity == "warning")
    assert "'MDM2' is that of 2 nodes and 1 node(s) have none, '14' first" in warning.message


def test_tables_in_other_clothes(tmp_path: Path) -> None:
    frame = pl.DataFrame({"source": ["TP53", "MDM2"], "target": ["MDM2", "ATM"], "w": [1, 2]})
    frame.write_ipc(tmp_path / "a.arrow")
    frame.write_ipc(tmp_path / "a.feather", compression="zstd")
    frame.write_ipc_stream(tmp_path / "s.arrow")
    for name in ("a.arrow", "a.feather", "s.arrow"):
        read = read_edges(tmp_path / name, ReadingOptions(weight="w", weight_as="strength"))
        assert read.ids[read.pairs].tolist() == [["TP53", "MDM2"], ["MDM2", "ATM"]]
        assert read.weights is not None
    with pytest.raises(MalformedFile, match="Feather version 1"):
        read_edges(made(tmp_path, "old.feather", b"FEA1xxxx"))
    with pytest.raises(MalformedFile, match="no readable Arrow file"):
        read_edges(made(tmp_path, "bad.arrow", b"nothing"))


def test_anndata_files_need_a_key_where_there_are_several(tmp_path: Path) -> None:
    import anndata
    import pandas as pd

    graph = sp.csr_matrix(([1.0, 1, 0.5, 0.5], ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(4, 4))
    none = pd.DataFrame(index=pd.Index([], dtype=object))
    data = anndata.AnnData(obs=pd.DataFrame(index=pd.Index(NODES, dtype=object)), var=none)
    data.obsp["connectivities"] = graph
    data.write_h5ad(tmp_path / "one.h5ad")
    assert edges_of(Graph.from_edges(tmp_path / "one.h5ad")) == {frozenset(edge) for edge in EDGES}
    data.obsp["distances"] = sp.csr_matrix(([1.0], ([0], [1])), shape=(4, 4))
    data.write_h5ad(tmp_path / "two.h5ad")
    with pytest.raises(MalformedFile, match="obsp has 2 matrices, 'connectivities', 'distances'; say with --key"):
        read_edges(tmp_path / "two.h5ad")
    read = read_edges(
        tmp_path / "two.h5ad", ReadingOptions(key="connectivities", weight="value", weight_as="confidence")
    )
    assert read.ids.tolist() == NODES
    assert read.weights is not None
    assert read.weights.values.tolist() == [1, 0.5]
    with pytest.raises(DataError, match="is not symmetric: 1 of its 1 entries"):
        read_edges(tmp_path / "two.h5ad", ReadingOptions(key="distances"))
    with pytest.raises(MalformedFile, match="no matrix 'x' for --key; obsp has 'connectivities'"):
        read_edges(tmp_path / "two.h5ad", ReadingOptions(key="x"))
    del data.obsp["connectivities"], data.obsp["distances"]
    data.write_h5ad(tmp_path / "none.h5ad")
    with pytest.raises(MalformedFile, match="no matrix in obsp"):
        read_edges(tmp_path / "none.h5ad")
    with pytest.raises(OptionError, match="--key: .*holds one graph a file"):
        read_edges(made(tmp_path, *TEXTS["SIF"]), ReadingOptions(key="x"))


def test_spreadsheets(tmp_path: Path) -> None:
    workbook = pytest.importorskip("openpyxl").Workbook()
    sheet = workbook.active
    for row in (("source", "target", "w"), ("TP53", 7, 0.5), ("007", "ATM", 1)):
        sheet.append(row)
    workbook.save(tmp_path / "a.xlsx")
    read = read_edges(tmp_path / "a.xlsx", ReadingOptions(weight="w", weight_as="confidence"))
    assert read.ids[read.pairs].tolist() == [["TP53", "7"], ["007", "ATM"]]
    workbook.create_sheet("more").append(("a", "b"))
    workbook.save(tmp_path / "b.xlsx")
    with pytest.raises(MalformedFile, match="2 sheets with rows, 'Sheet', 'more'; say with --key"):
        read_edges(tmp_path / "b.xlsx")
    assert len(read_edges(tmp_path / "b.xlsx", ReadingOptions(key="Sheet")).pairs) == 2
    with pytest.raises(MalformedFile, match="no readable spreadsheet"):
        read_edges(made(tmp_path, "bad.xlsx", b"nothing"))


def test_damage_never_reaches_the_user_as_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, text in (*TEXTS.values(), *NO_LONER.values()):
        whole = (text or adjacency_json()).encode()
        for _ in range(40):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), rng.integers(1, 6)):
                damaged[place] = rng.choice(np.frombuffer(b'\n\t",# \0\xff9{[<', dtype=np.uint8))
            with contextlib.suppress(LinkoddsError):
                Graph.from_edges(made(tmp_path, name, bytes(damaged)))


def test_pairs_are_read_from_graph_formats_too(tmp_path: Path) -> None:
    source, target = read_pairs(made(tmp_path, *TEXTS["SIF"]))
    assert list(zip(source, target, strict=True)) == [("TP53", "MDM2"), ("MDM2", "ATM")]


def test_a_label_of_a_format_leaves_edges_out_and_nodes_in(tmp_path: Path) -> None:
    network = nx.Graph()
    network.add_edge("a", "b", tested=1)
    network.add_edge("b", "c", tested=0)
    network.add_edge("c", "d", tested=1)
    nx.write_graphml(network, tmp_path / "a.graphml")
    for source in (network, tmp_path / "a.graphml"):
        graph = Graph.from_edges(source, label="tested")
        assert graph.ids[graph.edges].tolist() == [["a", "b"], ["c", "d"]]
        assert graph.num_nodes == 4
        assert any("1 edge(s) whose attribute 'tested'" in finding.message for finding in graph.findings)
