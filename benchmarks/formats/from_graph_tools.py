"""Files as igraph, rustworkx, NetworKit, DyNetx, Tulip, scikit-network and JGF write them."""

from pathlib import Path
from typing import Any

import dynetx
import igraph
import jgf
import networkit as nk
import rustworkx as rx
import scipy.sparse as sp
from from_networkx import TOLD_APART
from known import (
    ARCS,
    ARCS_FROM_ONE,
    ARCS_FROM_ZERO,
    FROM_ONE,
    FROM_ZERO,
    GENES,
    QUOTED,
    Known,
    file,
    made_by,
    refused,
)
from tulip import tlp

IG = made_by("igraph")
RX = made_by("rustworkx")
NK = made_by("networkit")
TULIP = made_by("tulip-python")


# --- igraph -----------------------------------------------------------------------------------------------------------
def igraph_of(known: Known, *, names: bool = True, attributes: bool = True) -> Any:
    """An igraph graph."""
    pairs = [(known.place(edge.source), known.place(edge.target)) for edge in known.edges]
    graph = igraph.Graph(n=len(known.nodes), edges=pairs, directed=known.directed)
    if names:
        graph.vs["name"] = list(known.nodes)
    if attributes:
        graph.es["kind"] = [edge.kind for edge in known.edges]
        graph.es["weight"] = [edge.weight for edge in known.edges]
    return graph


for suffix, group in ((".graphml", "GraphML"), (".graphmlz", "GraphML"), (".gml", "GML")):
    for name, known in (("genes", GENES), ("arcs", ARCS), ("hard-names", QUOTED)):
        if suffix == ".graphmlz" and name != "genes":
            continue

        @file(group, f"{name}-igraph{suffix}", IG, known, relation="kind", weight="weight")
        def _(path: Path, known: Known = known) -> None:
            igraph_of(known).write(str(path))


@file("GraphML", "without-names-igraph.graphml", IG, FROM_ZERO.renamed([f"n{i}" for i in range(40)]))
def _(path: Path) -> None:
    igraph_of(FROM_ZERO, names=False, attributes=False).write(str(path))


@file("GML", "without-names-igraph.gml", IG, FROM_ZERO)
def _(path: Path) -> None:
    igraph_of(FROM_ZERO, names=False, attributes=False).write(str(path))


@file(
    "GraphML",
    "one-name-twice-igraph.graphml",
    IG,
    GENES.renamed({k: v.replace("(", "(n") for k, v in TOLD_APART.items()}),
)
def _(path: Path) -> None:
    graph = igraph_of(GENES)
    graph.vs["name"] = ["TP53" if i < 2 else name for i, name in enumerate(GENES.nodes)]
    graph.write(str(path))


for name, known in (("genes", GENES), ("arcs", ARCS)):

    @file("Pajek", f"{name}-igraph.net", IG, known, weight="weight")
    def _(path: Path, known: Known = known) -> None:
        graph = igraph_of(known)
        graph.vs["id"] = graph.vs["name"]  # what igraph writes as labels
        graph.write(str(path))


@file("Pajek", "without-names-igraph.net", IG, FROM_ONE)
def _(path: Path) -> None:
    igraph_of(FROM_ONE, names=False, attributes=False).write(str(path))


@file("NCOL", "genes-igraph.ncol", IG, GENES.joined, weight="weight")
def _(path: Path) -> None:
    igraph_of(GENES).write_ncol(str(path), names="name", weights="weight")


@file("NCOL", "without-weights-igraph.ncol", IG, GENES.joined)
def _(path: Path) -> None:
    igraph_of(GENES).write_ncol(str(path), names="name", weights=None)


@file("NCOL", "ncol-igraph.txt", IG, GENES.joined, weight=None)
def _(path: Path) -> None:
    igraph_of(GENES).write_ncol(str(path), names="name", weights="weight")


@file("LGL", "genes-igraph.lgl", IG, GENES, weight="weight")
def _(path: Path) -> None:
    igraph_of(GENES).write_lgl(str(path), names="name", weights="weight", isolates=True)


@file("LGL", "without-weights-igraph.lgl", IG, GENES.joined)
def _(path: Path) -> None:
    igraph_of(GENES).write_lgl(str(path), names="name", weights=None, isolates=False)


@file("edge list of numbers", "igraph.edgelist", IG, FROM_ZERO.joined)
def _(path: Path) -> None:
    igraph_of(FROM_ZERO).write_edgelist(str(path))


@file("table of pandas", "edges-and-their-numbers-igraph.csv", IG, FROM_ZERO.joined, relation="kind", weight="weight")
def _(path: Path) -> None:
    igraph_of(FROM_ZERO).get_edge_dataframe().to_csv(path)


@refused("matrix in a table", "adjacency-igraph.txt", IG)
def _(path: Path) -> None:
    igraph_of(FROM_ZERO).write_adjacency(str(path), sep=" ")


@refused("not read", "dimacs-igraph.txt", IG)
def _(path: Path) -> None:
    graph = igraph_of(ARCS_FROM_ONE, attributes=False)
    graph.write_dimacs(str(path), source=0, target=1, capacity=[1.0] * graph.ecount())


@refused("not read", "igraph.lgr", IG, "read_leda")
def _(path: Path) -> None:
    igraph_of(GENES).write_leda(str(path), names="name", weights=None)


@refused("not read", "igraph.dot", IG, "read_dot")
def _(path: Path) -> None:
    igraph_of(GENES).write_dot(str(path))


@refused("not read", "igraph.pickle", IG, "pickle")
def _(path: Path) -> None:
    igraph_of(GENES).write_pickle(str(path))


@refused("not read", "dot-igraph.txt", IG)
def _(path: Path) -> None:
    igraph_of(GENES).write_dot(str(path))


# --- rustworkx --------------------------------------------------------------------------------------------------------
def rustworkx_of(known: Known, payload: str = "record") -> Any:
    """A rustworkx graph, whose payloads are records, texts or weights."""
    graph: Any = rx.PyDiGraph() if known.directed else rx.PyGraph()
    graph.add_nodes_from([{"name": node} if payload == "record" else node for node in known.nodes])
    for edge in known.edges:
        about = {"kind": edge.kind, "weight": edge.weight} if payload == "record" else edge.weight
        graph.add_edge(known.place(edge.source), known.place(edge.target), about)
    return graph


for name, known in (("genes", GENES), ("arcs", ARCS), ("hard-names", QUOTED)):

    @file("GraphML", f"{name}-rustworkx.graphml", RX, known, relation="kind", weight="weight")
    def _(path: Path, known: Known = known) -> None:
        rx.write_graphml(rustworkx_of(known), str(path))

    @file("node-link JSON", f"{name}-rustworkx.json", RX, known, relation="kind", weight="weight")
    def _(path: Path, known: Known = known) -> None:
        text = {
            "node_attrs": lambda each: each,
            "edge_attrs": lambda each: {key: str(value) for key, value in each.items()},
        }
        rx.node_link_json(rustworkx_of(known), str(path), **text)


@file("node-link JSON", "without-attributes-rustworkx.json", RX, FROM_ZERO)
def _(path: Path) -> None:
    rx.node_link_json(rustworkx_of(FROM_ZERO), str(path))


for name, by in (("rustworkx.edgelist", " "), ("rustworkx.csv", ",")):

    @file("edge list of numbers", name, RX, FROM_ZERO.joined)
    def _(path: Path, by: str = by) -> None:
        rustworkx_of(FROM_ZERO, "weight").write_edge_list(str(path), deliminator=by)


@file("edge list of numbers", "weights-rustworkx.txt", RX, FROM_ZERO.joined)
def _(path: Path) -> None:
    rustworkx_of(FROM_ZERO, "weight").write_edge_list(str(path), weight_fn=str)


@file("MatrixMarket", "rustworkx.mtx", RX, FROM_ONE)  # it writes 1 for each weight
def _(path: Path) -> None:
    rx.write_matrix_market(rustworkx_of(FROM_ONE, "weight"), str(path))


@file("MatrixMarket", "arcs-rustworkx.mtx", RX, ARCS_FROM_ONE)
def _(path: Path) -> None:
    rx.write_matrix_market(rustworkx_of(ARCS_FROM_ONE, "weight"), str(path))


@refused("not read", "rustworkx.dot", RX, "read_dot")
def _(path: Path) -> None:
    path.write_text(rustworkx_of(GENES, "text").to_dot(lambda node: {"label": node}), encoding="utf-8")


# --- NetworKit --------------------------------------------------------------------------------------------------------
def networkit_of(known: Known, *, weighted: bool = False) -> Any:
    """A NetworKit graph."""
    graph = nk.Graph(len(known.nodes), weighted=weighted, directed=known.directed)
    for edge in known.edges:
        graph.addEdge(known.place(edge.source), known.place(edge.target), edge.weight)
    return graph


F = nk.Format
for name, form, known, group in (
    ("tab-from-zero-networkit.tsv", F.EdgeListTabZero, FROM_ZERO.joined, "edge list of numbers"),
    ("tab-from-one-networkit.txt", F.EdgeListTabOne, FROM_ONE.joined, "edge list of numbers"),
    ("blank-from-zero-networkit.edgelist", F.EdgeListSpaceZero, FROM_ZERO.joined, "edge list of numbers"),
    ("blank-from-one-networkit.el", F.EdgeListSpaceOne, FROM_ONE.joined, "edge list of numbers"),
    ("comma-from-one-networkit.csv", F.EdgeListCommaOne, FROM_ONE.joined, "edge list of numbers"),
    ("networkit.graph", F.METIS, FROM_ONE, "METIS"),
    ("networkit.gml", F.GML, FROM_ZERO, "GML"),
    ("networkit.graphml", F.GraphML, FROM_ZERO, "GraphML"),
    ("networkit.gexf", F.GEXF, FROM_ZERO, "GEXF"),
    ("arcs-networkit.gml", F.GML, ARCS_FROM_ZERO, "GML"),
    ("arcs-networkit.graphml", F.GraphML, ARCS_FROM_ZERO, "GraphML"),
    ("arcs-networkit.gexf", F.GEXF, ARCS_FROM_ZERO, "GEXF"),
):

    @file(group, name, NK, known)
    def _(path: Path, known: Known = known, form: Any = form) -> None:
        whole = {40: known, 39: known}[len(known.nodes)]
        nk.writeGraph(networkit_of(whole), str(path), form)


@refused("SNAP", "snap-networkit.txt", NK, "Delete it")  # a line "p 39 90 u u 0", which files of SNAP have not
def _(path: Path) -> None:
    nk.writeGraph(networkit_of(FROM_ZERO), str(path), F.SNAP)


@file("METIS", "weights-networkit.metis", NK, FROM_ONE, weight="weight")
def _(path: Path) -> None:
    nk.writeGraph(networkit_of(FROM_ONE, weighted=True), str(path), F.METIS)


for name, form in (
    ("networkit.gt", F.GraphToolBinary),
    ("networkit.nkb", F.NetworkitBinary),
    ("networkit.dot", F.DOT),
    ("networkit.thrill", F.ThrillBinary),
):

    @refused("not read", name, NK)
    def _(path: Path, form: Any = form) -> None:
        nk.writeGraph(networkit_of(FROM_ZERO), str(path), form)


@file("MatrixMarket", "cover-of-mat-networkit.mtx", "scipy, as NetworKit's algebraic adjacency", ARCS_FROM_ONE)
def _(path: Path) -> None:
    import scipy.io

    scipy.io.mmwrite(path, nk.algebraic.adjacencyMatrix(networkit_of(ARCS_FROM_ONE)))


# --- DyNetx, Tulip, scikit-network, JGF -------------------------------------------------------------------------------
def over_time(known: Known) -> Any:
    graph = dynetx.DynGraph()
    for edge in known.edges:
        graph.add_interaction(edge.source, edge.target, t=edge.year)
    return graph


@file("edges over time", "snapshots-dynetx.txt", "dynetx==0.3.2", GENES.joined)
def _(path: Path) -> None:
    dynetx.write_snapshots(over_time(GENES), str(path))


@file("edges over time", "interactions-dynetx.txt", "dynetx==0.3.2", GENES.joined)
def _(path: Path) -> None:
    dynetx.write_interactions(over_time(GENES), str(path), delimiter="\t")


def tulip_of(known: Known) -> Any:
    graph = tlp.newGraph()
    nodes = [graph.addNode({"viewLabel": node}) for node in known.nodes]
    for edge in known.edges:
        graph.addEdge(nodes[known.place(edge.source)], nodes[known.place(edge.target)], {"kind": edge.kind})
    return graph


@file("GML", "tulip.gml", TULIP, Known(GENES.nodes, GENES.edges, directed=True))  # Tulip knows no other graphs
def _(path: Path) -> None:
    tlp.exportGraph("GML Export", tulip_of(GENES), str(path))


@refused("not read", "tulip.tlp", TULIP, "Tulip")
def _(path: Path) -> None:
    tlp.exportGraph("TLP Export", tulip_of(GENES), str(path))


@refused("other JSON", "tulip.json", TULIP)
def _(path: Path) -> None:
    tlp.exportGraph("JSON Export", tulip_of(GENES), str(path))


def jxnf(known: Known, **facts: Any) -> dict[str, Any]:
    pairs = [(known.place(edge.source), known.place(edge.target)) for edge in known.edges]
    return {"node-count": len(known.nodes), "edges": pairs, **facts}


@file("JSON Graph Format", "undirected-jgf.jgf", "jgf==0.2.2", FROM_ZERO)
def _(path: Path) -> None:
    jgf.save([jxnf(FROM_ZERO, directed=False)], str(path), compressed=False)


@file("JSON Graph Format", "directed-jgf.jgf", "jgf==0.2.2", ARCS_FROM_ZERO)
def _(path: Path) -> None:
    jgf.save([jxnf(ARCS_FROM_ZERO, directed=True)], str(path), compressed=False)


@file("JSON Graph Format", "nothing-said-jgf.jgf", "jgf==0.2.2", FROM_ZERO, outcome="warned", words="direct")
def _(path: Path) -> None:
    jgf.save([jxnf(FROM_ZERO)], str(path), compressed=False)


@file("JSON Graph Format", "packed-jgf.jgfz", "jgf==0.2.2", FROM_ZERO)
def _(path: Path) -> None:
    jgf.save([jxnf(FROM_ZERO, directed=False)], str(path))


@file("SciPy matrix", "adjacency-sknetwork.npz", "scikit-network==0.33.5", FROM_ZERO)
def _(path: Path) -> None:
    from sknetwork.data import from_edge_list

    pairs = [(int(e.source), int(e.target)) for e in FROM_ZERO.edges]
    adjacency = sp.csr_matrix(from_edge_list(pairs, directed=False, reindex=False, matrix_only=True))
    adjacency.resize(40, 40)
    sp.save_npz(path, adjacency)
