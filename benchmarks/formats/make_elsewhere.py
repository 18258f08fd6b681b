"""Write the files of tools that apt and npm have, and those after public documentation; the standard library alone.

python make_elsewhere.py FOLDER NODE_MODULES
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import documented_graphs  # noqa: F401
import documented_kinds  # noqa: F401
import documented_networks  # noqa: F401
import documented_programs  # noqa: F401
import documented_proteins  # noqa: F401
from known import ARCS, CORPUS, FROM_ONE, GENES, QUOTED, Known, file, make, refused

HERE = Path(__file__).resolve().parent


def version_of(*command: str) -> str:
    """What a tool says of its version; empty where it is not here."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


# --- R: igraph, data.table, base --------------------------------------------------------------------------------------
R = version_of("Rscript", "-e", "cat(R.version$major, R.version$minor, sep='.')")
R_HEAD = """
suppressMessages(library(igraph))
edges <- read.csv("edges.csv", stringsAsFactors = FALSE)
nodes <- read.csv("nodes.csv", stringsAsFactors = FALSE)
g <- graph_from_data_frame(edges, directed = DIRECTED, vertices = nodes)
"""


def by_r(path: Path, known: Known, script: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = "\n".join(f"{e.source},{e.target},{e.kind},{e.weight:g},{e.year}" for e in known.edges)
        (Path(folder) / "edges.csv").write_text(f"source,target,kind,weight,year\n{rows}\n")
        (Path(folder) / "nodes.csv").write_text("name\n" + "\n".join(known.nodes) + "\n")
        head = R_HEAD.replace("DIRECTED", "TRUE" if known.directed else "FALSE")
        code = head + script.replace("PATH", json.dumps(str(path)))
        subprocess.run(["Rscript", "-e", code], cwd=folder, check=True, capture_output=True, text=True)


if R:
    IGRAPH_R = f"igraph of R {R} (apt r-cran-igraph)"
    BASE = f"R {R} (apt r-base-core)"
    for group, name, known, script, kind in (
        ("GraphML", "genes-r-igraph.graphml", GENES, "write_graph(g, PATH, 'graphml')", "kind"),
        ("GraphML", "arcs-r-igraph.graphml", ARCS, "write_graph(g, PATH, 'graphml')", "kind"),
        ("GML", "genes-r-igraph.gml", GENES, "write_graph(g, PATH, 'gml')", "kind"),
        ("NCOL", "genes-r-igraph.ncol", GENES.joined, "write_graph(g, PATH, 'ncol')", None),
        ("LGL", "genes-r-igraph.lgl", GENES, "write_graph(g, PATH, 'lgl', isolates = TRUE)", None),
    ):

        @file(group, name, IGRAPH_R, known, relation=kind, weight="weight" if kind else None)
        def _(path: Path, known: Known = known, script: str = script) -> None:
            by_r(path, known, script)

    for name, script, kind in (
        ("write-csv-r.csv", "write.csv(as_data_frame(g), PATH)", "kind"),
        ("write-csv-no-row-names-r.csv", "write.csv(as_data_frame(g), PATH, row.names = FALSE)", "kind"),
        ("write-csv2-r.csv", "write.csv2(as_data_frame(g), PATH, row.names = FALSE)", "kind"),
        ("write-table-r.txt", "write.table(as_data_frame(g), PATH)", "kind"),
        (
            "write-table-no-quotes-r.tsv",
            "write.table(as_data_frame(g), PATH, sep = '\\t', quote = FALSE, row.names = FALSE)",
            "kind",
        ),
        (
            "write-table-bare-r.txt",
            "write.table(as_edgelist(g), PATH, quote = FALSE, row.names = FALSE, col.names = FALSE)",
            None,
        ),
        ("as-edgelist-r.csv", "write.csv(as_edgelist(g), PATH)", None),
        ("as-edgelist-no-row-names-r.csv", "write.csv(as_edgelist(g), PATH, row.names = FALSE)", None),
        ("data-table-r.csv", "data.table::fwrite(as_data_frame(g), PATH)", "kind"),
        ("data-table-r.tsv.gz", "data.table::fwrite(as_data_frame(g), PATH, sep = '\\t')", "kind"),
    ):

        @file("table of R", name, BASE, GENES.joined, relation=kind)
        def _(path: Path, script: str = script) -> None:
            by_r(path, GENES, script)

    for name, script, words in (
        ("adjacency-r.csv", "write.csv(as.matrix(as_adjacency_matrix(g)), PATH)", "one row for each edge"),
        (
            "adjacency-r.txt",
            "write.table(as.matrix(as_adjacency_matrix(g)), PATH, quote = FALSE, sep = '\\t')",
            "one row for each edge",
        ),
    ):

        @refused("matrix in a table", name, BASE, words)
        def _(path: Path, script: str = script) -> None:
            by_r(path, GENES, script)

    @refused("not read", "graph.rds", BASE, "readRDS")
    def _(path: Path) -> None:
        by_r(path, GENES, "saveRDS(g, PATH)")


# --- graph-tool, graphviz, METIS --------------------------------------------------------------------------------------
GT = version_of("/usr/bin/python3", "-c", "import graph_tool; print(graph_tool.__version__.split()[0])")
GT_CODE = """
import json, sys
from graph_tool import Graph
about = json.load(open(sys.argv[1]))
g = Graph(directed=about["directed"])
name, kind, weight = g.new_vp("string"), g.new_ep("string"), g.new_ep("double")
place = {}
for node in about["nodes"]:
    place[node] = g.add_vertex(); name[place[node]] = node
for u, v, k, w in about["edges"]:
    e = g.add_edge(place[u], place[v]); kind[e], weight[e] = k, w
g.vp["name"], g.ep["kind"], g.ep["weight"] = name, kind, weight
g.save(sys.argv[2])
"""


def by_graph_tool(path: Path, known: Known) -> None:
    with tempfile.TemporaryDirectory() as folder:
        about = Path(folder) / "graph.json"
        edges = [[e.source, e.target, e.kind, e.weight] for e in known.edges]
        about.write_text(json.dumps({"directed": known.directed, "nodes": known.nodes, "edges": edges}))
        subprocess.run(["/usr/bin/python3", "-c", GT_CODE, str(about), str(path)], check=True, capture_output=True)


if GT:
    for group, name, known in (
        ("GraphML", "genes-graph-tool.graphml", GENES),
        ("GraphML", "arcs-graph-tool.graphml", ARCS),
        ("GraphML", "hard-names-graph-tool.graphml", QUOTED),
        ("GraphML", "genes-graph-tool.graphml.gz", GENES),
        ("GML", "genes-graph-tool.gml", GENES),
        ("GML", "arcs-graph-tool.gml", ARCS),
    ):

        @file(group, name, f"graph-tool {GT} (apt python3-graph-tool)", known, relation="kind", weight="weight")
        def _(path: Path, known: Known = known) -> None:
            by_graph_tool(path, known)

    for name, words in (("genes-graph-tool.gt", "graph_tool"), ("genes-graph-tool.dot", "read_dot")):

        @refused("not read", name, f"graph-tool {GT} (apt python3-graph-tool)", words)
        def _(path: Path) -> None:
            by_graph_tool(path, GENES)


DOT = "graphviz (apt)" if shutil.which("gv2gml") else ""


def dot_text(known: Known) -> str:
    arrow = "->" if known.directed else "--"
    quoted = {node: '"' + node.replace('"', '\\"') + '"' for node in known.nodes}
    lines = [f"{quoted[node]};" for node in known.nodes]
    lines += [
        f'{quoted[e.source]} {arrow} {quoted[e.target]} [kind="{e.kind}", weight={round(100 * e.weight)}];'
        for e in known.edges
    ]
    return f"{'digraph' if known.directed else 'graph'} g {{\n" + "\n".join(lines) + "\n}\n"


def by_graphviz(path: Path, known: Known, *command: str) -> None:
    done = subprocess.run(command, input=dot_text(known), capture_output=True, text=True, check=True)
    path.write_text(done.stdout, encoding="utf-8")


if DOT:
    for name, known in (("genes-graphviz.gml", GENES), ("arcs-graphviz.gml", ARCS)):

        @file("GML", name, DOT, known, relation="kind")
        def _(path: Path, known: Known = known) -> None:
            by_graphviz(path, known, "gv2gml")

    @refused("other JSON", "graphviz.json", DOT)
    def _(path: Path) -> None:
        by_graphviz(path, GENES, "dot", "-Tjson")

    @refused("not read", "graphviz.gxl", DOT)
    def _(path: Path) -> None:
        by_graphviz(path, GENES, "gv2gxl")

    @refused("not read", "graphviz.gv", DOT, "read_dot")
    def _(path: Path) -> None:
        path.write_text(dot_text(GENES), encoding="utf-8")

    @refused("not read", "plain-graphviz.txt", DOT)
    def _(path: Path) -> None:
        by_graphviz(path, GENES, "dot", "-Tplain")


if shutil.which("graphchk"):

    @file("METIS", "graphchk.graph", "METIS 5.1.0 (apt metis)", FROM_ONE)
    def _(path: Path) -> None:
        places: dict[int, list[int]] = {i: [] for i in range(1, 41)}
        for edge in FROM_ONE.edges:
            places[int(edge.source)].append(int(edge.target))
        lines = [" ".join(map(str, others)) for others in places.values()]  # each edge once, which graphchk mends
        with tempfile.TemporaryDirectory() as folder:
            broken = Path(folder) / "in.graph"
            broken.write_text("\n".join(["40 45", *lines]) + "\n")  # graphchk counts what it finds twice
            subprocess.run(["graphchk", str(broken), str(path)], check=True, capture_output=True)


# --- JavaScript -------------------------------------------------------------------------------------------------------
JS = {
    name: f"{name} {at} (npm)" for name, at in json.loads((HERE / "package.json").read_text())["dependencies"].items()
}
SCRIPTS: list[tuple[str, str, str, str, Known, str | None, str | None]] = [
    ("graphology", "genes-graphology.json", "graphology", "json", GENES, "kind", "weight"),
    ("graphology", "arcs-graphology.json", "graphology", "json", ARCS, "kind", "weight"),
    ("graphology", "hard-names-graphology.json", "graphology", "json", QUOTED, "kind", "weight"),
    ("GEXF", "genes-graphology.gexf", "graphology-gexf", "gexf", GENES, "kind", "weight"),
    ("GEXF", "arcs-graphology.gexf", "graphology-gexf", "gexf", ARCS, "kind", "weight"),
    ("GEXF", "hard-names-graphology.gexf", "graphology-gexf", "gexf", QUOTED, "kind", None),
    ("Cytoscape.js", "genes-cytoscape.cyjs", "cytoscape", "cyjs", GENES, "kind", "weight"),
    ("Cytoscape.js", "genes-cytoscape.json", "cytoscape", "cyjs", GENES, "kind", "weight"),
    ("Cytoscape.js", "elements-alone-cytoscape.json", "cytoscape", "elements", GENES, "kind", "weight"),
    ("Cytoscape.js", "hard-names-cytoscape.json", "cytoscape", "cyjs", QUOTED, "kind", "weight"),
    ("other JSON", "graphlib.json", "@dagrejs/graphlib", "graphlib", GENES, None, None),
    ("other JSON", "arcs-graphlib.json", "@dagrejs/graphlib", "graphlib", ARCS, None, None),
    ("other JSON", "ngraph.json", "ngraph.tojson", "ngraph", GENES, None, None),
    ("table of JavaScript", "papaparse.csv", "papaparse", "papaparse", QUOTED.joined, "kind", "weight"),
    ("table of JavaScript", "papaparse.tsv", "papaparse", "papaparse-tabs", QUOTED.joined, "kind", "weight"),
    (
        "N-Triples",
        "n3.nt",
        "n3",
        "n3",
        GENES.renamed([f"http://example.org/{i}" for i in range(40)]).joined,
        None,
        None,
    ),
]


def by_node(path: Path, known: Known, what: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        about = Path(folder) / "graph.json"
        edges = [[e.source, e.target, e.kind, e.weight] for e in known.edges]
        about.write_text(json.dumps({"directed": known.directed, "nodes": known.nodes, "edges": edges}))
        script = Path(sys.argv[2]) / "write.mjs"
        script.write_bytes((HERE / "write.mjs").read_bytes())
        subprocess.run(["node", str(script), what, str(about), str(path)], check=True, capture_output=True)


if shutil.which("node"):
    for group, name, package, what, known, kind, weight in SCRIPTS:

        @file(group, name, JS[package], known, relation=kind, weight=weight)
        def _(path: Path, known: Known = known, what: str = what) -> None:
            by_node(path, known, what)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    print(len(CORPUS))
