"""What real tools write and what one would not guess of it; benchmarks/formats has a file of the tool itself for each."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from linkodds.errors import AmbiguousEnds, LinkoddsError, MalformedFile, OptionError
from linkodds.graph.graph import Graph
from linkodds.reading.reading import read_edges
from linkodds.reading.reading_options import ReadingOptions

GENES = ["TP53", "MDM2", "ATM", "CHEK2", "BRCA1", "BRCA2", "PALB2", "RAD51", "EGFR", "GRB2", "SOS1", "KRAS"]
PATH = [(u, v) for u, v in itertools.pairwise(GENES)]


def made(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def pairs_of(graph: Graph) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in graph.ids[graph.edges].tolist()}


def warnings_of(graph: Graph) -> str:
    return " ".join(finding.message for finding in graph.findings if finding.severity == "warning")


WANTED = {frozenset(pair) for pair in PATH}


# --- graph formats ----------------------------------------------------------------------------------------------------
def test_graphmlz_and_jgfz_are_packed_though_no_suffix_says_so(tmp_path: Path) -> None:
    nodes, edges = (
        "".join(f'<node id="{n}"/>' for n in GENES),
        "".join(f'<edge source="{u}" target="{v}"/>' for u, v in PATH),
    )
    text = f'<graphml><graph edgedefault="undirected">{nodes}{edges}</graph></graphml>'
    assert pairs_of(Graph.from_edges(made(tmp_path, "a.graphmlz", gzip.compress(text.encode())))) == WANTED
    jgf = {"graph": {"directed": False, "nodes": {n: {} for n in GENES}}}
    jgf["graph"]["edges"] = [{"source": u, "target": v} for u, v in PATH]  # type: ignore[assignment]
    packed = made(tmp_path, "a.jgfz", gzip.compress(json.dumps(jgf).encode()))
    assert pairs_of(Graph.from_edges(packed)) == WANTED
    with pytest.raises(MalformedFile, match="compressed"):
        Graph.from_edges(made(tmp_path, "b.graphmlz", text))


def test_a_banner_of_matrix_market_in_small_letters_says_the_same(tmp_path: Path) -> None:
    text = "%%{}atrix{}arket matrix coordinate pattern general\n4 4 3\n1 2\n2 3\n3 1\n"
    for m in ("m", "M"):
        graph = Graph.from_edges(made(tmp_path, f"{m}.mtx", text.format(m, m)))
        assert graph.space.directed
        assert graph.num_nodes == 4
        assert graph.ids[graph.edges].tolist() == [["1", "2"], ["2", "3"], ["3", "1"]]


def test_a_label_that_is_a_number_gives_way_to_a_name(tmp_path: Path) -> None:
    """NetworkX writes its own number as the label of a node in GML; the symbol is an attribute beside it."""
    nodes = "".join(f'node [ id {i} label "{i}" symbol "{n}" ]\n' for i, n in enumerate(GENES))
    edges = "".join(f"edge [ source {i} target {i + 1} ]\n" for i in range(len(PATH)))
    assert pairs_of(Graph.from_edges(made(tmp_path, "a.gml", f"graph [\n{nodes}{edges}]\n"))) == WANTED
    alone = nodes.replace("symbol", "mass").replace('"TP53"', "5")
    for number, name in enumerate(GENES):
        alone = alone.replace(f'"{name}"', str(number % 3))
    assert Graph.from_edges(made(tmp_path, "b.gml", f"graph [\n{alone}{edges}]\n")).ids.tolist() == [
        str(i) for i in range(len(GENES))
    ]


def test_two_networks_of_pajek_are_not_one(tmp_path: Path) -> None:
    one = "*Vertices 3\n1 a\n2 b\n3 c\n*Edges\n1 2\n2 3\n"
    assert Graph.from_edges(made(tmp_path, "a.net", one)).num_edges == 2
    with pytest.raises(MalformedFile, match="line 8: a second network; keep one"):
        Graph.from_edges(made(tmp_path, "a.paj", one + one))


def test_a_header_of_sif_is_no_edge(tmp_path: Path) -> None:
    rows = "".join(f"{u}\tGiG\t{v}\n" for u, v in PATH)
    graph = Graph.from_edges(made(tmp_path, "hetionet.sif", "source\tmetaedge\ttarget\n" + rows))
    assert pairs_of(graph) == WANTED
    assert any("names the columns" in finding.message for finding in graph.findings)
    assert pairs_of(Graph.from_edges(made(tmp_path, "plain.sif", rows))) == WANTED
    kinds = "source\tbinds\ttarget\n" + rows  # two nodes may have such names
    assert len(pairs_of(Graph.from_edges(made(tmp_path, "odd.sif", kinds)))) == len(WANTED) + 1


def test_tgf_in_a_text_file_is_known_by_its_lone_mark(tmp_path: Path) -> None:
    nodes = "".join(f"{i} {n}\n" for i, n in enumerate(GENES))
    edges = "".join(f"{i} {i + 1}\n" for i in range(len(PATH)))
    assert pairs_of(Graph.from_edges(made(tmp_path, "a.txt", f"{nodes}#\n{edges}"))) == WANTED
    with pytest.raises(MalformedFile, match="line 14: '0 77' does not begin with the ids of two of the 12 nodes"):
        Graph.from_edges(made(tmp_path, "a.tgf", f"{nodes}#\n0 77\n"))
    ring = "a b\nb c\nc a\n#\na d\n"  # a list of edges with a comment between
    assert Graph.from_edges(made(tmp_path, "b.txt", ring), bipartite=False).num_edges == 4


def test_json_of_several_libraries(tmp_path: Path) -> None:
    places = {n: i for i, n in enumerate(GENES)}
    graphlib = {
        "options": {"directed": False},
        "nodes": [{"v": n} for n in GENES],
        "edges": [{"v": u, "w": v} for u, v in PATH],
    }
    ngraph = {"nodes": [{"id": n} for n in GENES], "links": [{"fromId": u, "toId": v} for u, v in PATH]}
    elements = {
        "nodes": [{"data": {"id": n}, "group": "nodes"} for n in GENES],
        "edges": [{"data": {"id": f"e{u}", "source": u, "target": v, "kind": "binds"}} for u, v in PATH],
    }
    rustworkx = {
        "directed": False,
        "nodes": [{"id": i, "data": {"name": n}} for n, i in places.items()],
        "links": [
            {"source": places[u], "target": places[v], "id": i, "data": {"w": "1"}} for i, (u, v) in enumerate(PATH)
        ],
    }
    for name, value in (("graphlib", graphlib), ("ngraph", ngraph), ("elements", elements), ("rustworkx", rustworkx)):
        graph = Graph.from_edges(made(tmp_path, f"{name}.json", json.dumps(value)))
        assert pairs_of(graph) == WANTED, name
        assert not graph.space.directed
    graphlib["options"] = {"directed": True}
    assert Graph.from_edges(made(tmp_path, "directed.json", json.dumps(graphlib))).space.directed
    lines = "\n".join(json.dumps({"source": u, "target": v}) for u, v in PATH)
    assert pairs_of(Graph.from_edges(made(tmp_path, "lines.json", lines))) == WANTED


def test_a_graph_that_says_nothing_of_direction_is_directed_by_the_json_graph_format_and_a_warning_says_so(
    tmp_path: Path,
) -> None:
    edges = [{"source": u, "target": v} for u, v in PATH]
    graph = {"graph": {"nodes": {n: {} for n in GENES}, "edges": edges}}
    read = Graph.from_edges(made(tmp_path, "a.jgf", json.dumps(graph)))
    assert read.space.directed
    assert "does not say whether it is directed" in warnings_of(read)
    assert not Graph.from_edges(made(tmp_path, "a.jgf", json.dumps(graph)), directed=False).space.directed


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        ({"columns": ["a"], "index": [0], "data": [[1]]}, "orient='split'"),
        ({"graphs": []}, "keep one of them"),
        ([{"type": "node", "id": "0"}, {"type": "relationship", "start": {"id": "0"}}], "apoc.export.csv.query"),
        (
            {"nodes": [{"id": "a"}], "edges": [{"source_id": "a", "target_id": "a"}]},
            "it holds 'source_id', 'target_id'. Name",
        ),
    ],
)
def test_json_that_is_not_read_says_what_helps(value: object, cure: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile) as caught:
        Graph.from_edges(made(tmp_path, "a.json", json.dumps(value)))
    assert cure in str(caught.value)


# --- tables -----------------------------------------------------------------------------------------------------------
def test_a_line_that_counts_nodes_and_edges_is_no_edge(tmp_path: Path) -> None:
    rows = [(0, 1), (1, 2), (2, 3), (3, 0)]
    text = "".join(f"{u} {v}\n" for u, v in rows)
    graph = Graph.from_edges(made(tmp_path, "a.txt", "4 4\n" + text), bipartite=False)
    assert graph.num_edges == 4
    assert sorted(graph.ids) == ["0", "1", "2", "3"]
    assert "counts 4 nodes and 4 edges" in read_edges(tmp_path / "a.txt").layout
    for first in ("4 3\n", "2 4\n"):  # another number of rows, or of nodes, is no count of them
        assert len(read_edges(made(tmp_path, "b.txt", first + text)).pairs) == 5
    with pytest.raises(MalformedFile, match="line 1: 1 blank-separated.*Delete it if it counts"):
        Graph.from_edges(made(tmp_path, "train2id.txt", "4\n" + text))


def test_whole_numbers_of_savetxt_are_whole_numbers(tmp_path: Path) -> None:
    pairs = np.array([[0, 1], [1, 2], [2, 10], [10, 0]])
    np.savetxt(tmp_path / "a.txt", pairs)
    assert read_edges(tmp_path / "a.txt").ids.tolist() == ["0", "1", "2", "10"]
    text = (tmp_path / "a.txt").read_text().replace("1.000000000000000000e+01", "1.050000000000000000e+00")
    with pytest.raises(MalformedFile, match="a number with decimals, no id"):
        read_edges(made(tmp_path, "b.txt", (text + "1.5e+00 2.0e+00\n") * 3))


def test_a_point_is_dropped_where_one_column_has_it_and_the_other_not(tmp_path: Path) -> None:
    merged = read_edges(made(tmp_path, "merged.csv", "source,target\n1,2.0\n2,3.0\n3,1.0\n"))
    assert merged.ids.tolist() == ["1", "2", "3"]
    versions = read_edges(made(tmp_path, "versions.csv", "source,target\n1,2.0\n1.0,2\n3,1.0\n"))
    assert versions.ids.tolist() == ["1", "2.0", "1.0", "2", "3"]  # both in one column: two texts


def test_matrices_are_known_by_the_names_of_their_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, values in (("weights", rng.normal(size=(12, 12))), ("links", (rng.random((12, 12)) < 0.3).astype(int))):
        frame = pd.DataFrame(values, index=GENES, columns=GENES)
        for by in ",\t;":
            frame.to_csv(tmp_path / f"{name}.csv", sep=by)
            with pytest.raises(MalformedFile, match="a matrix of numbers with 12 rows and 12 columns, whose names"):
                Graph.from_edges(tmp_path / f"{name}.csv")


def test_a_name_that_stands_in_its_own_column_does_not_hide_the_header(tmp_path: Path) -> None:
    """The column PK of PharmGKB holds PK."""
    rows = "".join(f"PA{i}\t{u}\tGene\tPA{i + 1}\t{v}\tGene\tassociated\tPK\n" for i, (u, v) in enumerate(PATH))
    head = "Entity1_id\tEntity1_name\tEntity1_type\tEntity2_id\tEntity2_name\tEntity2_type\tAssociation\tPK\n"
    graph = Graph.from_edges(made(tmp_path, "relationships.tsv", head + rows), bipartite=False)
    assert graph.num_edges == len(PATH)
    assert not {"Entity1_id", "Entity1_name"} & set(graph.ids)


def test_sources_beside_source_are_no_end(tmp_path: Path) -> None:
    rows = "".join(f"{u},{v},1,SIGNOR;KEGG\n" for u, v in PATH)
    graph = Graph.from_edges(made(tmp_path, "omnipath.csv", "source,target,is_directed,sources\n" + rows))
    assert pairs_of(graph) == WANTED


def test_three_kinds_of_things_in_a_row_are_not_two(tmp_path: Path) -> None:
    rows = "".join(f"{100 + i % 12}\t{GENES[i % 12]}\tHP:{i % 9:07d}\tterm {i % 9}\tOMIM:{i % 7}\n" for i in range(90))
    head = "ncbi_gene_id\tgene_symbol\thpo_id\thpo_name\tdisease_id\n"
    with pytest.raises(AmbiguousEnds) as caught:
        Graph.from_edges(made(tmp_path, "genes_to_phenotype.txt", head + rows))
    assert "--source" in str(caught.value)


def test_names_stand_behind_a_mark_though_a_lone_mark_is_below_them(tmp_path: Path) -> None:
    """As CTD writes it; the last column holds another text in each row."""
    rows = "".join(f"drug {u},{v},{u} affects {v}\n" for u, v in [*PATH, *((b, a) for a, b in PATH[:4])])
    above = "# Fields:\n# ChemicalName,GeneSymbol,Interaction\n#\n"
    assert "'ChemicalName' and 'GeneSymbol'" in read_edges(made(tmp_path, "ctd.csv", above + rows)).layout


NODE_TABLES = {
    "many rows": "gene,entrez,chromosome\n" + "".join(f"G{i},{7 * i + 100},chr{i % 5}\n" for i in range(40)),
    "numbers beside": "Id,Label,Degree,modularity_class\n"
    + "".join(f"{i},G{i},{3 + i % 5},{i % 4}\n" for i in range(40)),
    "Gephi": "Id,Label,timeset,modularity_class\n" + "".join(f"{i + 10},{n},,{i % 4}\n" for i, n in enumerate(GENES)),
    "two columns": "Id,Label\n" + "".join(f"{i + 10},{n}\n" for i, n in enumerate(GENES)),
    "Neo4j": ":ID,name,:LABEL\n" + "".join(f"{i + 10},{n},Gene\n" for i, n in enumerate(GENES)),
    "annotation": "gene\tentrez\tchromosome\tdescription\n"
    + "".join(f"{n}\t{7 * i + 100}\tchr{i % 5}\ttext of {n}\n" for i, n in enumerate(GENES)),
    "features": "id,group,age\n" + "".join(f"{n},{i % 3},{20 + 3 * i}\n" for i, n in enumerate(GENES)),
}


@pytest.mark.parametrize("kind", NODE_TABLES)
def test_a_table_of_nodes_is_no_list_of_edges(kind: str, tmp_path: Path) -> None:
    with pytest.raises(MalformedFile, match="looks like a table of nodes.*--features or --nodes"):
        Graph.from_edges(made(tmp_path, "nodes.txt", NODE_TABLES[kind]))


def test_one_to_one_lists_stay_lists_of_edges(tmp_path: Path) -> None:
    drugs = [f"DB{i:05d}" for i in range(len(GENES))]
    rows = "".join(f"{d},{n},0.{i + 1}\n" for i, (d, n) in enumerate(zip(drugs, GENES, strict=True)))
    for head in ("drug,gene,score\n", "shop,visitor,score\n"):
        graph = Graph.from_edges(made(tmp_path, "pairs.csv", head + rows))
        assert (graph.num_nodes, graph.num_edges) == (24, 12)
    numbered = "".join(f"{i},{d},{n}\n" for i, (d, n) in enumerate(zip(drugs, GENES, strict=True)))
    assert Graph.from_edges(made(tmp_path, "pairs.csv", "id,kunde,artikel\n" + numbered)).num_edges == 12


def test_tables_of_cytoscape_hide_the_ends(tmp_path: Path) -> None:
    rows = "".join(f'"{i}","{u} (pp) {v}","{u} (pp) {v}{i % 2}"\n' for i, (u, v) in enumerate(PATH))
    with pytest.raises(MalformedFile, match="Export, Network to File"):
        Graph.from_edges(made(tmp_path, "edges.csv", '"SUID","name","shared name"\n' + rows))


def test_fields_between_double_colons_are_fields(tmp_path: Path) -> None:
    rows = "".join(f"{u}::{v}::{1 + (u + v) % 5}::{978300760 + u}\n" for u in range(1, 7) for v in range(2, 12, u))
    read = read_edges(made(tmp_path, "ratings.dat", rows), ReadingOptions(separate_ids=True))
    assert len(read.pairs) == rows.count("\n")
    assert read.bipartite


def test_two_counts_without_names_are_doubted(tmp_path: Path) -> None:
    """Users 1 to 6 and films 1 to 11 in columns without a header: a number with itself is a user and a film."""
    rows = "".join(f"{u}\t{v}\t3\n" for u in range(1, 7) for v in range(1, 12) if (u + v) % 2 == 0)
    graph = Graph.from_edges(made(tmp_path, "u.txt", rows))
    assert "they may count two kinds of things" in warnings_of(graph)
    assert "--separate-ids" in " ".join(finding.remedy for finding in graph.findings)
    apart = Graph.from_edges(tmp_path / "u.txt", separate_ids=True)
    assert "two kinds of things" not in warnings_of(apart)
    ring = "".join(f"{i}\t{i % 9 + 1}\n" for i in range(1, 10)) + "3\t3\n"
    assert "two kinds" not in warnings_of(Graph.from_edges(made(tmp_path, "ring.txt", ring)))


def test_an_unknown_suffix_of_a_text_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"If it is text with a column for each end, name it .txt"):
        Graph.from_edges(made(tmp_path, "network.abc", "a b 1\nb c 1\n"))
    with pytest.raises(LinkoddsError) as caught:
        Graph.from_edges(made(tmp_path, "network.xyz", b"\0\1\2"))
    assert "name it .txt" not in str(caught.value)
