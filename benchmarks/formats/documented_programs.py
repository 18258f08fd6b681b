"""GraphML, GEXF, CX and JSON of programs that no package manager has, and what is not read, after their documentation."""

import json
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from documented import doc, no
from known import ARCS, FROM_ONE, FROM_ZERO, GENES, QUOTED, Known

G = GENES

# --- GraphML of programs ----------------------------------------------------------------------------------------------
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def yed(known: Known) -> str:
    def node(i: int, name: str) -> str:
        return f'<node id="n{i}"><data key="d5"><y:ShapeNode><y:Geometry height="30.0" width="30.0" x="{i}" y="0"/><y:NodeLabel alignment="center">{escape(name)}</y:NodeLabel></y:ShapeNode></data></node>'

    nodes = [node(i, name) for i, name in enumerate(known.nodes)]
    edges = [
        f'<edge id="e{i}" source="n{known.place(e.source)}" target="n{known.place(e.target)}"><data key="d9"><y:PolyLineEdge><y:Arrows source="none" target="standard"/><y:EdgeLabel>{e.kind}</y:EdgeLabel></y:PolyLineEdge></data></edge>'
        for i, e in enumerate(known.edges)
    ]
    return (
        f'{HEAD}<!--Created by yEd 3.23-->\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">'
        '<key for="node" id="d5" yfiles.type="nodegraphics"/><key for="edge" id="d9" yfiles.type="edgegraphics"/><key attr.name="url" attr.type="string" for="node" id="d3"/>'
        f'<graph edgedefault="directed" id="G">{"".join(nodes)}{"".join(edges)}</graph></graphml>'
    )


doc("GraphML", "yed.graphml", "yEd, GraphML", Known(G.nodes, ARCS.edges, True), lambda: yed(ARCS), relation="label")


def cytoscape_graphml(known: Known) -> str:
    nodes = "".join(
        f'<node id="{100 + i}"><data key="n">{escape(name)}</data><data key="sn">{escape(name)}</data><data key="sel">false</data></node>'
        for i, name in enumerate(known.nodes)
    )
    edges = "".join(
        f'<edge source="{100 + known.place(e.source)}" target="{100 + known.place(e.target)}"><data key="en">{escape(e.source)} ({e.kind}) {escape(e.target)}</data><data key="in">{e.kind}</data></edge>'
        for e in known.edges
    )
    return (
        f'{HEAD}<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="n" for="node" attr.name="name" attr.type="string"/><key id="sn" for="node" attr.name="shared name" attr.type="string"/>'
        '<key id="sel" for="node" attr.name="selected" attr.type="boolean"/><key id="en" for="edge" attr.name="name" attr.type="string"/><key id="in" for="edge" attr.name="interaction" attr.type="string"/>'
        f'<graph id="small" edgedefault="directed">{nodes}{edges}</graph></graphml>'
    )


doc(
    "GraphML",
    "cytoscape.graphml",
    "Cytoscape 3, export as GraphML",
    G,
    lambda: cytoscape_graphml(G),
    relation="interaction",
)
doc(
    "GraphML",
    "hard-names-cytoscape.graphml",
    "Cytoscape 3, export as GraphML",
    QUOTED,
    lambda: cytoscape_graphml(QUOTED),
    relation="interaction",
)


def gephi_graphml(known: Known) -> str:
    nodes = "".join(
        f'<node id="n{i}"><data key="label">{escape(name)}</data><data key="size">10.0</data><data key="x">{i}.5</data></node>'
        for i, name in enumerate(known.nodes)
    )
    edges = "".join(
        f'<edge id="e{i}" source="n{known.place(e.source)}" target="n{known.place(e.target)}"><data key="weight">{e.weight}</data></edge>'
        for i, e in enumerate(known.edges)
    )
    return (
        f'{HEAD}<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key attr.name="label" attr.type="string" for="node" id="label"/><key attr.name="weight" attr.type="double" for="edge" id="weight"/>'
        f'<key attr.name="size" attr.type="float" for="node" id="size"/><key attr.name="x" attr.type="float" for="node" id="x"/><graph edgedefault="{"directed" if known.directed else "undirected"}">{nodes}{edges}</graph></graphml>'
    )


doc("GraphML", "gephi.graphml", "Gephi 0.10, export as GraphML", G, lambda: gephi_graphml(G), weight="weight")
doc(
    "GraphML", "arcs-gephi.graphml", "Gephi 0.10, export as GraphML", ARCS, lambda: gephi_graphml(ARCS), weight="weight"
)


def apoc_graphml() -> str:
    nodes = "".join(
        f'<node id="n{i}" labels=":Gene"><data key="labels">:Gene</data><data key="name">{name}</data></node>'
        for i, name in enumerate(ARCS.nodes)
    )
    edges = "".join(
        f'<edge id="e{i}" source="n{ARCS.place(e.source)}" target="n{ARCS.place(e.target)}" label="{e.kind}"><data key="label">{e.kind}</data></edge>'
        for i, e in enumerate(ARCS.edges)
    )
    return f'{HEAD}<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="labels" for="node" attr.name="labels"/><key id="name" for="node" attr.name="name"/><key id="label" for="edge" attr.name="label"/><graph id="G" edgedefault="directed">{nodes}{edges}</graph></graphml>'


doc("GraphML", "apoc-neo4j.graphml", "Neo4j APOC, export.graphml.all", ARCS, apoc_graphml, relation="label")


def nested() -> str:
    first = "".join(f'<node id="{n}"/>' for n in G.nodes[:20])
    second = "".join(f'<node id="{n}"/>' for n in G.nodes[20:])
    inner = [e for e in G.edges if G.place(e.source) >= 20 and G.place(e.target) >= 20]
    outer = [e for e in G.edges if e not in inner]
    text = lambda edges: "".join(f'<edge source="{e.source}" target="{e.target}"/>' for e in edges)  # noqa: E731
    return f'{HEAD}<graphml><graph id="G" edgedefault="undirected">{first}<node id="group"><graph id="group:" edgedefault="undirected">{second}{text(inner)}</graph></node>{text(outer)}</graph></graphml>'


NESTED = Known((*G.nodes, "group"), G.edges)
doc("GraphML", "nested.graphml", "GraphML primer, nested graphs", NESTED, nested)
no(
    "GraphML",
    "two-graphs.graphml",
    "GraphML primer, two graphs in a file",
    lambda: (
        f'{HEAD}<graphml><graph id="a" edgedefault="undirected"><node id="x"/><node id="y"/><edge source="x" target="y"/></graph><graph id="b" edgedefault="undirected"><node id="z"/></graph></graphml>'
    ),
    "--key",
)
no(
    "GraphML",
    "hyperedge.graphml",
    "GraphML primer, hyperedges",
    lambda: (
        f'{HEAD}<graphml><graph edgedefault="undirected"><node id="x"/><node id="y"/><node id="z"/><hyperedge><endpoint node="x"/><endpoint node="y"/><endpoint node="z"/></hyperedge></graph></graphml>'
    ),
    "hyperedge",
)
doc("GraphML", "in-an-xml-suffix.txt", "GraphML primer, named .txt", G, lambda: gephi_graphml(G))


# --- GEXF -------------------------------------------------------------------------------------------------------------
def gexf(known: Known, *, version: str = "1.3") -> str:
    nodes = "".join(
        f'<node id="{i}" label={quoteattr(name)}><attvalues><attvalue for="degree" value="3"/></attvalues><viz:size value="10.0"/><viz:position x="{i}.5" y="1.0"/><viz:color r="10" g="20" b="30"/></node>'
        for i, name in enumerate(known.nodes)
    )
    edges = "".join(
        f'<edge id="{i}" source="{known.place(e.source)}" target="{known.place(e.target)}" weight="{e.weight}" kind="{e.kind}"/>'
        for i, e in enumerate(known.edges)
    )
    kind = "directed" if known.directed else "undirected"
    return (
        f'{HEAD}<gexf xmlns="http://gexf.net/{version}" version="{version}" xmlns:viz="http://gexf.net/{version}/viz"><meta lastmodifieddate="2026-11-02"><creator>Gephi 0.10.1</creator></meta>'
        f'<graph defaultedgetype="{kind}" mode="static"><attributes class="node" mode="static"><attribute id="degree" title="Degree" type="integer"/></attributes><nodes>{nodes}</nodes><edges>{edges}</edges></graph></gexf>'
    )


for name, known in (("gephi.gexf", G), ("arcs-gephi.gexf", ARCS), ("hard-names-gephi.gexf", QUOTED)):
    doc(
        "GEXF",
        name,
        "GEXF 1.3 and Gephi 0.10",
        known,
        lambda known=known: gexf(known),
        relation="kind",
        weight="weight",
    )


# --- CX, CX2, JSON ----------------------------------------------------------------------------------------------------
def cytoscape_cx2() -> str:
    nodes = [
        {"id": 100 + i, "x": 1.5 * i, "y": 2.0, "v": {"name": n, "selected": False}} for i, n in enumerate(G.nodes)
    ]
    edges = [
        {
            "id": 500 + i,
            "s": 100 + G.place(e.source),
            "t": 100 + G.place(e.target),
            "v": {"interaction": e.kind, "name": f"{e.source} ({e.kind}) {e.target}"},
        }
        for i, e in enumerate(G.edges)
    ]
    cx: list[Any] = [
        {"CXVersion": "2.0", "hasFragments": False},
        {"metaData": [{"name": "nodes", "elementCount": len(nodes)}]},
        {
            "attributeDeclarations": [
                {
                    "nodes": {"name": {"d": "string"}, "selected": {"d": "boolean"}},
                    "edges": {"interaction": {"d": "string"}, "name": {"d": "string"}},
                }
            ]
        },
        {"networkAttributes": [{"name": "small"}]},
        {"nodes": nodes},
        {"edges": edges},
        {"visualProperties": [{"default": {}}]},
        {"status": [{"success": True}]},
    ]
    return json.dumps(cx)


doc("CX2", "cytoscape.cx2", "CX2 specification and Cytoscape 3.10", G, cytoscape_cx2, relation="interaction")


def cx_of_cytoscape() -> str:
    cx: list[Any] = [
        {"numberVerification": [{"longNumber": 281474976710655}]},
        {"metaData": []},
        {"nodes": [{"@id": 10 + i, "n": n} for i, n in enumerate(G.nodes)][:20]},
        {"nodes": [{"@id": 10 + i, "n": n} for i, n in enumerate(G.nodes)][20:]},
        {
            "edges": [
                {"@id": 900 + i, "s": 10 + G.place(e.source), "t": 10 + G.place(e.target), "i": e.kind}
                for i, e in enumerate(G.edges)
            ]
        },
        {
            "edgeAttributes": [
                {"po": 900 + i, "n": "weight", "v": str(e.weight), "d": "double"} for i, e in enumerate(G.edges)
            ]
        },
        {"status": [{"error": "", "success": True}]},
    ]
    return json.dumps(cx)


doc("CX", "fragments-cytoscape.cx", "CX 1.0 specification", G, cx_of_cytoscape, relation="interaction", weight="weight")
JGF = "JSON Graph Format, version 1 and 2"


def jgf(known: Known, second: bool) -> str:
    edges = [
        {
            "source": str(known.place(e.source)),
            "target": str(known.place(e.target)),
            "relation": e.kind,
            "metadata": {"weight": e.weight},
        }
        for e in known.edges
    ]
    nodes: Any = (
        {str(i): {"label": n} for i, n in enumerate(known.nodes)}
        if second
        else [{"id": str(i), "label": n} for i, n in enumerate(known.nodes)]
    )
    return json.dumps(
        {"graph": {"directed": known.directed, "type": "genes", "label": "small", "nodes": nodes, "edges": edges}}
    )


doc("JSON Graph Format", "version-2.json", JGF, G, lambda: jgf(G, True), relation="relation", weight="weight")
doc(
    "JSON Graph Format", "arcs-version-1.jgf", JGF, ARCS, lambda: jgf(ARCS, False), relation="relation", weight="weight"
)
no(
    "JSON Graph Format",
    "several-graphs.json",
    JGF,
    lambda: json.dumps({"graphs": [json.loads(jgf(G, True))["graph"]] * 2}),
)
doc(
    "node-link JSON",
    "d3-force.json",
    "d3-force, nodes with id and links",
    G,
    lambda: json.dumps(
        {
            "nodes": [{"id": n, "group": i % 5} for i, n in enumerate(G.nodes)],
            "links": [{"source": e.source, "target": e.target, "value": e.weight} for e in G.edges],
        }
    ),
    weight="value",
)
doc(
    "node-link JSON",
    "d3-places.json",
    "d3-force, links by places of nodes with names",
    G,
    lambda: json.dumps(
        {
            "nodes": [{"name": n, "group": i % 5} for i, n in enumerate(G.nodes)],
            "links": [{"source": G.place(e.source), "target": G.place(e.target), "value": e.weight} for e in G.edges],
        }
    ),
    weight="value",
)
doc(
    "node-link JSON",
    "vis-network.json",
    "vis-network, nodes with id and label, edges from and to",
    G,
    lambda: json.dumps(
        {
            "nodes": [{"id": i + 1, "label": n} for i, n in enumerate(G.nodes)],
            "edges": [{"from": G.place(e.source) + 1, "to": G.place(e.target) + 1, "label": e.kind} for e in G.edges],
        }
    ),
    relation="label",
)
doc(
    "graphology",
    "sigma.json",
    "sigma.js 1, nodes and edges with ids",
    G,
    lambda: json.dumps(
        {
            "nodes": [{"id": f"n{i}", "label": n, "x": i, "y": 0, "size": 3} for i, n in enumerate(G.nodes)],
            "edges": [
                {"id": f"e{i}", "source": f"n{G.place(e.source)}", "target": f"n{G.place(e.target)}"}
                for i, e in enumerate(G.edges)
            ],
        }
    ),
)
no(
    "other JSON",
    "wiki-cs-data.json",
    "WikiCS of PyG, raw/data.json",
    lambda: json.dumps(
        {
            "features": [[0.1, 0.2]] * 40,
            "labels": [0] * 40,
            "links": [[FROM_ZERO.place(e.target) for e in FROM_ZERO.edges if e.source == n] for n in FROM_ZERO.nodes],
        }
    ),
)
no(
    "other JSON",
    "hetionet-v1.0.json",
    "Hetionet, JSON",
    lambda: json.dumps(
        {
            "metanode_kinds": ["Gene"],
            "nodes": [{"kind": "Gene", "identifier": 200 + i, "name": n} for i, n in enumerate(G.nodes)],
            "edges": [
                {
                    "source_id": ["Gene", 200 + G.place(e.source)],
                    "target_id": ["Gene", 200 + G.place(e.target)],
                    "kind": e.kind,
                    "direction": "both",
                }
                for e in G.edges
            ],
        }
    ),
)
no(
    "other JSON",
    "apoc-export.json",
    "Neo4j APOC, export.json.all: nodes and relationships as lines",
    lambda: (
        "".join(
            json.dumps({"type": "node", "id": str(i), "labels": ["Gene"], "properties": {"name": n}}) + "\n"
            for i, n in enumerate(G.nodes)
        )
        + "".join(
            json.dumps(
                {
                    "id": str(i),
                    "type": "relationship",
                    "label": e.kind,
                    "start": {"id": str(G.place(e.source)), "labels": ["Gene"]},
                    "end": {"id": str(G.place(e.target)), "labels": ["Gene"]},
                }
            )
            + "\n"
            for i, e in enumerate(G.edges)
        )
    ),
)
no(
    "other JSON",
    "adjacency-object.json",
    "an object of neighbours",
    lambda: json.dumps({n: [e.target for e in G.edges if e.source == n] for n in G.nodes}),
)

# --- what is not read --------------------------------------------------------------------------------------------------
doc(
    "Trivial Graph Format",
    "yed.tgf",
    "yEd, Trivial Graph Format",
    G,
    relation="label",
    text=lambda: (
        "".join(f"{i + 1} {n}\n" for i, n in enumerate(G.nodes))
        + "#\n"
        + "".join(f"{G.place(e.source) + 1} {G.place(e.target) + 1} {e.kind}\n" for e in G.edges)
    ),
)
doc(
    "Trivial Graph Format",
    "in-text.txt",
    "yEd, Trivial Graph Format, named .txt",
    G,
    text=lambda: (
        "".join(f"{i + 1} {n}\n" for i, n in enumerate(G.nodes))
        + "#\n"
        + "".join(f"{G.place(e.source) + 1} {G.place(e.target) + 1}\n" for e in G.edges)
    ),
)
no(
    "not read",
    "road.gr",
    "9th DIMACS challenge",
    lambda: (
        "c small\np sp 40 90\n" + "".join(f"a {e.source} {e.target} {round(100 * e.weight)}\n" for e in FROM_ONE.edges)
    ),
)
no(
    "not read",
    "graph.col",
    "DIMACS colouring",
    lambda: "c small\np edge 40 90\n" + "".join(f"e {e.source} {e.target}\n" for e in FROM_ONE.edges),
)
no(
    "not read",
    "dimacs-colouring.txt",
    "DIMACS colouring, named .txt",
    lambda: "c small\np edge 40 90\n" + "".join(f"e {e.source} {e.target}\n" for e in FROM_ONE.edges),
)
no(
    "not read",
    "network.xgmml",
    "XGMML",
    lambda: (
        f'{HEAD}<graph label="small" xmlns="http://www.cs.rpi.edu/XGMML"><node id="1" label="a"/><node id="2" label="b"/><edge source="1" target="2"/></graph>'
    ),
    "Cytoscape",
)
no("not read", "interactions.psimi", "PSI-MI XML 2.5", lambda: f"{HEAD}<entrySet/>", "MITAB")
no("not read", "pathway.owl", "BioPAX", lambda: f"{HEAD}<rdf:RDF/>")
no(
    "not read",
    "hsa04110.xml",
    "KEGG, KGML",
    lambda: (
        f'{HEAD}<pathway name="path:hsa04110"><entry id="1" name="hsa:1029"/><relation entry1="1" entry2="2"/></pathway>'
    ),
)
no("not read", "model.sbml", "SBML", lambda: f"{HEAD}<sbml/>")
no("not read", "go-basic.obo", "OBO 1.2", lambda: "format-version: 1.2\n\n[Term]\nid: GO:1\nis_a: GO:2\n")
no(
    "not read",
    "network.vna",
    "VNA of NetDraw",
    lambda: "*node data\nID kind\na 1\n*tie data\nfrom to strength\na b 1\n",
    "dl",
)
no("not read", "session.cys", "Cytoscape session", lambda: "PK\x03\x04", "Cytoscape")
no("not read", "project.gephi", "Gephi project", lambda: "PK\x03\x04", "Gephi")
no("not read", "one-column.txt", "a list of nodes", lambda: "\n".join(G.nodes) + "\n")
