"""Files as NetworkX writes them."""

import bz2
import gzip
import json
import lzma
import pickle
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import scipy.io
import zstandard
from known import ARCS, ARCS_FROM_ZERO, DRUGS, FROM_ONE, FROM_ZERO, GENES, HARD, QUOTED, Known, file, made_by, refused

NX = made_by("networkx")


HEADS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}


def network(known: Known, *, attributes: bool = True, integers: bool = False, multi: bool = False) -> Any:
    """A NetworkX graph."""
    kinds: Any = (
        (nx.MultiDiGraph if known.directed else nx.MultiGraph)
        if multi
        else (nx.DiGraph if known.directed else nx.Graph)
    )
    graph = kinds()
    text = int if integers else str
    graph.add_nodes_from(map(text, known.nodes))
    for edge in known.edges:
        about = {"kind": edge.kind, "weight": edge.weight, "year": edge.year} if attributes else {}
        graph.add_edge(text(edge.source), text(edge.target), **about)
    return graph


def packed(suffix: str, path: Path, write: Any) -> None:
    """A file that some program packed afterwards."""
    plain = path.with_name(path.name.removesuffix(suffix))
    write(plain)
    path.write_bytes(HEADS[suffix](plain.read_bytes()))
    plain.unlink()


# --- lists of edges ---------------------------------------------------------------------------------------------------
ALL = ["kind", "weight", "year"]
for name, known, options in (
    ("genes.edgelist", GENES, {"data": False}),
    ("genes.txt", GENES, {"data": False}),
    ("genes.tsv", GENES, {"data": False, "delimiter": "\t"}),
    ("genes.csv", GENES, {"data": False, "delimiter": ","}),
    ("numbers.edgelist", FROM_ZERO, {"data": False}),
    ("with-empty-data.edgelist", FROM_ZERO, {"data": True}),
    ("genes.edgelist.gz", GENES, {"data": False}),
    ("genes.edgelist.bz2", GENES, {"data": False}),
    ("names-with-blanks.tsv", HARD, {"data": False, "delimiter": "\t"}),
):

    @file("edge list of NetworkX", name, NX, known.joined)
    def _(path: Path, known: Known = known, options: dict[str, Any] = options) -> None:
        nx.write_edgelist(network(known, attributes=False), path, **options)


for name, known, options in (
    ("with-data.edgelist", GENES, {"data": True}),
    ("with-data.txt", FROM_ZERO, {"data": True}),
    ("with-data-arcs.edgelist", ARCS, {"data": True}),
    ("with-data.csv", GENES, {"data": True, "delimiter": ","}),
    ("with-data.edgelist.gz", GENES, {"data": True}),
    ("names-with-blanks-and-data.tsv", HARD, {"data": True, "delimiter": "\t"}),
):
    chosen = {"directed": True} if known.directed else {}

    @file("edge list of NetworkX", name, NX, known.joined, options=chosen, relation="kind", weight="weight")
    def _(path: Path, known: Known = known, options: dict[str, Any] = options) -> None:
        nx.write_edgelist(network(known), path, **options)


@file("edge list of NetworkX", "three-columns.edgelist", NX, GENES.joined)
def _(path: Path) -> None:
    nx.write_edgelist(network(GENES), path, data=["kind", "weight"])


@file("edge list of NetworkX", "weights.txt", NX, FROM_ONE.joined)
def _(path: Path) -> None:
    nx.write_weighted_edgelist(network(FROM_ONE), path)


@file("edge list of NetworkX", "weights.tsv", NX, GENES.joined)
def _(path: Path) -> None:
    nx.write_weighted_edgelist(network(GENES), path, delimiter="\t")


@file("edge list of NetworkX", "bipartite.edgelist", NX, DRUGS.loose)
def _(path: Path) -> None:
    graph = network(DRUGS, attributes=False)
    for i, node in enumerate(DRUGS.nodes):
        graph.nodes[node]["bipartite"] = int(i >= 15)
    nx.bipartite.write_edgelist(graph, path, data=False)


# --- adjacency lists --------------------------------------------------------------------------------------------------
for name, known in (
    ("genes.adjlist", GENES),
    ("arcs.adjlist", ARCS),
    ("numbers.adjlist", FROM_ZERO),
    ("genes.adjlist.gz", GENES),
):
    chosen = {"directed": True} if known.directed else {}

    @file("adjacency list", name, NX, known, options=chosen)
    def _(path: Path, known: Known = known) -> None:
        nx.write_adjlist(network(known), path)


@refused("adjacency list", "genes.multiline_adjlist", NX, "read_multiline_adjlist")
def _(path: Path) -> None:
    nx.write_multiline_adjlist(network(GENES), path)


@refused("adjacency list", "multiline.txt", NX)
def _(path: Path) -> None:
    nx.write_multiline_adjlist(network(GENES), path)


@refused("adjacency list", "adjlist.txt", NX)
def _(path: Path) -> None:
    nx.write_adjlist(network(GENES), path)


# --- GML, GraphML, GEXF, Pajek ----------------------------------------------------------------------------------------
def doubled() -> Any:
    """Numbered nodes, two of which have one label."""
    graph = nx.Graph()
    for i, node in enumerate(GENES.nodes):
        graph.add_node(i, name="TP53" if i < 2 else node)
    graph.add_edges_from((GENES.place(edge.source), GENES.place(edge.target)) for edge in GENES.edges)
    return graph


def numbered(known: Known, attribute: str) -> Any:
    """Numbered nodes, whose names are an attribute."""
    graph: Any = nx.DiGraph() if known.directed else nx.Graph()
    for i, node in enumerate(known.nodes):
        graph.add_node(i, **{attribute: node})
    for edge in known.edges:
        graph.add_edge(known.place(edge.source), known.place(edge.target), kind=edge.kind, weight=edge.weight)
    return graph


TOLD_APART = {node: f"TP53 ({i})" if i < 2 else node for i, node in enumerate(GENES.nodes)}
for suffix, write, group in (
    (".gml", nx.write_gml, "GML"),
    (".graphml", nx.write_graphml, "GraphML"),
    (".gexf", nx.write_gexf, "GEXF"),
):
    for name, known, options in (
        ("genes", GENES, {}),
        ("arcs", ARCS, {}),
        ("hard-names", QUOTED, {}),
        ("several-edges", GENES, {"multi": True}),
    ):

        @file(group, f"{name}-networkx{suffix}", NX, known, relation="kind", weight="weight")
        def _(path: Path, known: Known = known, options: dict[str, Any] = options, write: Any = write) -> None:
            write(network(known, **options), path)

    @file(group, f"numbers-networkx{suffix}", NX, FROM_ZERO, relation="kind", weight="weight")
    def _(path: Path, write: Any = write) -> None:
        write(network(FROM_ZERO, integers=True), path)

    if suffix != ".gexf":

        @file(group, f"named-by-attribute-networkx{suffix}", NX, GENES, relation="kind", weight="weight")
        def _(path: Path, write: Any = write) -> None:
            graph = numbered(GENES, "name")
            write(graph, path)

        @file(group, f"one-name-twice-networkx{suffix}", NX, GENES.renamed(TOLD_APART))
        def _(path: Path, write: Any = write) -> None:
            write(doubled(), path)

    for end in (".gz", ".bz2", ".xz", ".zst"):
        if suffix == ".graphml" or end == ".gz":

            @file(group, f"packed-networkx{suffix}{end}", NX, GENES)
            def _(path: Path, write: Any = write, end: str = end) -> None:
                packed(end, path, lambda plain: write(network(GENES), plain))


@file("GEXF", "labels-networkx.gexf", NX, GENES)
def _(path: Path) -> None:
    graph = numbered(GENES, "label")
    nx.write_gexf(graph, path)


@file("GEXF", "version-1.1-networkx.gexf", NX, ARCS)
def _(path: Path) -> None:
    nx.write_gexf(network(ARCS), path, version="1.1draft")


@file("GML", "labels-networkx.gml", NX, GENES)
def _(path: Path) -> None:
    graph = numbered(GENES, "symbol")
    nx.write_gml(graph, path)


for name, known in (("genes", GENES), ("arcs", ARCS), ("numbers", FROM_ZERO)):

    @file("Pajek", f"{name}-networkx.net", NX, known, weight="weight")
    def _(path: Path, known: Known = known) -> None:
        graph = network(known, attributes=False)
        for edge in known.edges:
            graph.edges[edge.source, edge.target]["weight"] = edge.weight
        nx.write_pajek(graph, path)


@file("Pajek", "blanks-networkx.net", NX, HARD)
def _(path: Path) -> None:
    nx.write_pajek(network(HARD, attributes=False), path)


@file("Pajek", "packed-networkx.net.gz", NX, GENES)
def _(path: Path) -> None:
    packed(".gz", path, lambda plain: nx.write_pajek(network(GENES, attributes=False), plain))


# --- JSON -------------------------------------------------------------------------------------------------------------
for name, known, options in (
    ("edges-networkx.json", GENES, {"edges": "edges"}),
    ("links-networkx.json", GENES, {"edges": "links"}),
    ("arcs-networkx.json", ARCS, {"edges": "links"}),
    ("hard-names-networkx.json", QUOTED, {"edges": "edges"}),
):

    @file("node-link JSON", name, NX, known, relation="kind", weight="weight")
    def _(path: Path, known: Known = known, options: dict[str, Any] = options) -> None:
        path.write_text(json.dumps(nx.node_link_data(network(known), **options)), encoding="utf-8")


@file("node-link JSON", "several-edges-networkx.json.gz", NX, GENES, relation="kind", weight="weight")
def _(path: Path) -> None:
    path.write_bytes(
        gzip.compress(json.dumps(nx.node_link_data(network(GENES, multi=True), edges="links"), indent=1).encode())
    )


@file("node-link JSON", "numbers-networkx.json", NX, ARCS_FROM_ZERO)
def _(path: Path) -> None:
    path.write_text(
        json.dumps(nx.node_link_data(network(ARCS_FROM_ZERO, integers=True), edges="links")), encoding="utf-8"
    )


@file("node-link JSON", "names-beside-networkx.json", NX, GENES)
def _(path: Path) -> None:
    path.write_text(json.dumps(nx.node_link_data(numbered(GENES, "name"), edges="links")), encoding="utf-8")


@file("Cytoscape.js", "cytoscape-data-networkx.json", NX, GENES, relation="kind", weight="weight")
def _(path: Path) -> None:
    path.write_text(json.dumps(nx.cytoscape_data(network(GENES))), encoding="utf-8")


@file("Cytoscape.js", "arcs-networkx.cyjs", NX, ARCS, relation="kind", weight="weight")
def _(path: Path) -> None:
    path.write_text(json.dumps(nx.cytoscape_data(network(ARCS))), encoding="utf-8")


@file("other JSON", "adjacency-data-networkx.json", NX, GENES, relation="kind", weight="weight")
def _(path: Path) -> None:
    path.write_text(json.dumps(nx.adjacency_data(network(GENES))), encoding="utf-8")


@refused("other JSON", "dict-of-lists-networkx.json", NX)
def _(path: Path) -> None:
    path.write_text(json.dumps(nx.to_dict_of_lists(network(GENES))), encoding="utf-8")


@refused("other JSON", "tree-data-networkx.json", NX)
def _(path: Path) -> None:
    tree = nx.DiGraph([("root", "a"), ("root", "b"), ("a", "c")])
    path.write_text(json.dumps(nx.tree_data(tree, root="root")), encoding="utf-8")


# --- tables and matrices of NetworkX ----------------------------------------------------------------------------------
@file("table of pandas", "to-pandas-edgelist.csv", NX, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    nx.to_pandas_edgelist(network(GENES)).to_csv(path, index=False)


@file("table of pandas", "to-pandas-edgelist-with-index.csv", NX, GENES.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    nx.to_pandas_edgelist(network(GENES)).to_csv(path)


@refused("matrix in a table", "to-pandas-adjacency.csv", NX, "one row for each edge")
def _(path: Path) -> None:
    nx.to_pandas_adjacency(network(GENES, attributes=False), dtype=int).to_csv(path)


@refused("matrix in a table", "to-pandas-adjacency-weights.tsv", NX, "one row for each edge")
def _(path: Path) -> None:
    nx.to_pandas_adjacency(network(GENES)).to_csv(path, sep="\t")


@refused("matrix in a table", "to-numpy-array.txt", NX, "one row for each edge")
def _(path: Path) -> None:
    np.savetxt(path, nx.to_numpy_array(network(GENES, attributes=False)), fmt="%d")


@file("MatrixMarket", "to-scipy-networkx.mtx", NX, FROM_ONE, weight="value")
def _(path: Path) -> None:
    scipy.io.mmwrite(path, nx.to_scipy_sparse_array(network(FROM_ONE)))


# --- what is not read --------------------------------------------------------------------------------------------------
@refused("not read", "graph.g6", NX, "read_graph6")
def _(path: Path) -> None:
    nx.write_graph6(nx.convert_node_labels_to_integers(network(GENES)), path)


@refused("not read", "graph.s6", NX, "read_sparse6")
def _(path: Path) -> None:
    nx.write_sparse6(nx.convert_node_labels_to_integers(network(GENES)), path)


@refused("not read", "graph.tex", NX)
def _(path: Path) -> None:
    nx.write_latex(network(GENES), str(path), pos=nx.circular_layout(network(GENES)))


@refused("not read", "network-text.txt", NX)
def _(path: Path) -> None:
    nx.write_network_text(network(GENES), str(path), end="\n")


@refused("not read", "graph.gpickle", NX, "pickle")
def _(path: Path) -> None:
    path.write_bytes(pickle.dumps(network(GENES)))
