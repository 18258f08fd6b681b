"""Graph formats as lines of text, written after their public documentation."""

import lzma
from pathlib import Path

from documented import doc, no
from from_ratings import rated
from known import ARCS, ARCS_FROM_ONE, FROM_ONE, GENES, HARD, UNIPROT, USERS, Known, file

G = GENES


# --- SIF --------------------------------------------------------------------------------------------------------------
def sif(known: Known, by: str = "\t", *, grouped: bool = False, lonely: bool = True) -> str:
    lines = []
    if grouped:
        targets: dict[tuple[str, str], list[str]] = {}
        for e in known.edges:
            targets.setdefault((e.source, e.kind), []).append(e.target)
        lines = [by.join([source, kind, *others]) for (source, kind), others in targets.items()]
    else:
        lines = [by.join([e.source, e.kind, e.target]) for e in known.edges]
    return "\n".join([*lines, *([known.nodes[-1]] if lonely else [])]) + "\n"


SIF = "Cytoscape manual, SIF"
doc("SIF", "tabs.sif", SIF, G, lambda: sif(G), relation="interaction")
doc("SIF", "blanks.sif", SIF, G, lambda: sif(G, " "), relation="interaction")
doc("SIF", "several-targets.sif", SIF, G, lambda: sif(G, grouped=True), relation="interaction")
doc("SIF", "names-with-blanks.sif", SIF, HARD, lambda: sif(HARD), relation="interaction")
doc("SIF", "packed.sif.gz", SIF, G, lambda: sif(G), relation="interaction")
doc("SIF", "several-targets.txt", SIF, G, lambda: sif(G, grouped=True), relation="interaction")
no("SIF", "sif-in-text.txt", SIF, lambda: sif(G), "name it .sif")
doc("SIF", "sif-in-text-no-lonely.txt", SIF, G.joined, lambda: sif(G, lonely=False))
doc("SIF", "windows-lines.sif", SIF, G, lambda: sif(G).replace("\n", "\r\n"), relation="interaction")


@file("SIF", "packed.sif.xz", f"documentation: {SIF}", G)
def _(path: Path) -> None:
    path.write_bytes(lzma.compress(sif(G).encode()))


# --- Pajek ------------------------------------------------------------------------------------------------------------
PAJEK = "Pajek reference manual"


def pajek(known: Known, body: str, *, places: bool = False, quote: str = '"') -> str:
    rows = [
        f"{i} {quote}{node}{quote}" + (f" 0.{i:03d} 0.5 0.5 ellipse" if places else "")
        for i, node in enumerate(known.nodes, 1)
    ]
    return f"*Vertices {len(known.nodes)}\n" + "\n".join(rows) + "\n" + body


def numbered(known: Known, *, weights: bool = False, more: str = "") -> str:
    return (
        "\n".join(
            f"{known.place(e.source) + 1} {known.place(e.target) + 1}{f' {e.weight}' if weights else ''}{more}"
            for e in known.edges
        )
        + "\n"
    )


doc(
    "Pajek",
    "edges-and-places.net",
    PAJEK,
    G,
    lambda: pajek(G, "*Edges\n" + numbered(G, weights=True), places=True),
    weight="weight",
)
doc(
    "Pajek",
    "arcs.net",
    PAJEK,
    ARCS,
    lambda: pajek(ARCS, "*Arcs\n" + numbered(ARCS, weights=True, more=" c Blue")),
    weight="weight",
)
doc("Pajek", "hard-names.net", PAJEK, HARD, lambda: pajek(HARD, "*Edges\n" + numbered(HARD)))
doc(
    "Pajek",
    "comments-and-windows-lines.net",
    PAJEK,
    G,
    lambda: ("% a comment\n*Network small\n" + pajek(G, "% another\n*Edges\n" + numbered(G))).replace("\n", "\r\n"),
)
doc("Pajek", "edgeslist.net", PAJEK, G, lambda: pajek(G, "*Edgeslist\n" + numbered(G)))
doc("Pajek", "without-labels.net", PAJEK, FROM_ONE, lambda: "*vertices 40\n*edges\n" + numbered(FROM_ONE))
doc("Pajek", "in-text.txt", PAJEK, G, lambda: pajek(G, "*Edges\n" + numbered(G)))
doc(
    "Pajek",
    "kinds.net",
    PAJEK,
    Known(G.nodes, ARCS.edges, True),
    lambda: pajek(
        ARCS,
        "".join(
            f'*Arcs :{i} "{kind}"\n'
            + "".join(
                f"{ARCS.place(e.source) + 1} {ARCS.place(e.target) + 1} 1\n" for e in ARCS.edges if e.kind == kind
            )
            for i, kind in enumerate(("binds", "activates", "inhibits"), 1)
        ),
    ),
    relation="relation",
)
doc(
    "Pajek",
    "matrix.net",
    PAJEK,
    G,
    lambda: pajek(
        G,
        "*Matrix\n"
        + "\n".join(
            " ".join(str(int(any({n, m} == {e.source, e.target} for e in G.edges))) for m in G.nodes) for n in G.nodes
        )
        + "\n",
    ),
)
TWO = rated("u", "f", all_of_them=True)


def two_mode() -> str:
    names = [f"user {i}" for i in range(1, 16)] + [f"film {i}" for i in range(1, 26)]
    rows = "\n".join(f'{i} "{name}"' for i, name in enumerate(names, 1))
    return (
        f"*Vertices 40 15\n{rows}\n*Edges\n" + "\n".join(f"{e.source} {int(e.target) + 15}" for e in USERS.edges) + "\n"
    )


doc(
    "Pajek",
    "two-mode.net",
    PAJEK,
    TWO.renamed({n: n.replace("u:", "user ").replace("f:", "film ") for n in TWO.nodes}),
    two_mode,
)
no(
    "Pajek",
    "two-networks.paj",
    PAJEK,
    lambda: (
        "*Network one\n" + pajek(G, "*Edges\n" + numbered(G)) + "\n*Network two\n" + pajek(G, "*Edges\n" + numbered(G))
    ),
)


# --- METIS, MatrixMarket, Network Repository --------------------------------------------------------------------------
def metis(known: Known, head: str, *, weights: bool = False, sizes: str = "") -> str:
    places: dict[int, list[tuple[int, int]]] = {i: [] for i in range(len(known.nodes))}
    for e in known.edges:
        u, v, w = known.place(e.source), known.place(e.target), round(100 * e.weight)
        places[u].append((v + 1, w))
        places[v].append((u + 1, w))
    lines = [
        (sizes + " ".join(f"{v} {w}" if weights else str(v) for v, w in others)).strip() for others in places.values()
    ]
    return f"% a comment\n{len(known.nodes)} {len(known.edges)}{head}\n" + "\n".join(lines) + "\n"


MANUAL = "METIS 5 manual, section 4.1"
HUNDREDFOLD = Known(
    FROM_ONE.nodes,
    tuple(type(e)(e.source, e.target, e.kind, float(round(100 * e.weight)), e.year) for e in FROM_ONE.edges),
)
doc("METIS", "plain.graph", MANUAL, FROM_ONE, lambda: metis(FROM_ONE, ""))
doc(
    "METIS",
    "weights-of-edges.graph",
    MANUAL,
    HUNDREDFOLD,
    lambda: metis(FROM_ONE, " 001", weights=True),
    weight="weight",
)
doc("METIS", "weights-of-nodes.graph", MANUAL, FROM_ONE, lambda: metis(FROM_ONE, " 010 2", sizes="3 4 "))
doc(
    "METIS",
    "all-weights.graph",
    MANUAL,
    HUNDREDFOLD,
    lambda: metis(FROM_ONE, " 111 1", weights=True, sizes="9 4 "),
    weight="weight",
)

MTX = "MatrixMarket exchange formats; SuiteSparse and Network Repository"
doc(
    "MatrixMarket",
    "suitesparse.mtx",
    MTX,
    FROM_ONE,
    lambda: (
        "%%MatrixMarket matrix coordinate pattern symmetric\n%-----\n% UF Sparse Matrix Collection\n% kind: undirected graph\n%-----\n40 40 90\n"
        + "".join("{1} {0}\n".format(*sorted((int(e.source), int(e.target)))) for e in FROM_ONE.edges)
    ),
)
doc(
    "MatrixMarket",
    "banner-in-small-letters.mtx",
    MTX,
    ARCS_FROM_ONE,
    lambda: "%%matrixmarket matrix coordinate pattern general\n40 40 95\n" + numbered(ARCS_FROM_ONE),
)
doc("MatrixMarket", "no-banner-network-repository.mtx", MTX, FROM_ONE, lambda: "40 40 90\n" + numbered(FROM_ONE))
doc(
    "MatrixMarket",
    "symmetric-and-upper.mtx",
    MTX,
    FROM_ONE,
    lambda: (
        "%%MatrixMarket matrix coordinate pattern symmetric\n40 40 90\n"
        + "".join("{} {}\n".format(*sorted((int(e.source), int(e.target)))) for e in FROM_ONE.edges)
    ),
)
no(
    "MatrixMarket",
    "complex.mtx",
    MTX,
    lambda: "%%MatrixMarket matrix coordinate complex general\n3 3 2\n1 2 0.5 0.5\n2 3 1 1\n",
    "complex",
)
NR = "Network Repository, edge lists"
doc("Network Repository", "soc-small.edges", NR, FROM_ONE.joined, lambda: numbered(FROM_ONE))
doc("Network Repository", "comments.edges", NR, FROM_ONE.joined, lambda: "% sym unweighted\n" + numbered(FROM_ONE))
doc("Network Repository", "percent.edges", NR, FROM_ONE.joined, lambda: "%  a small network\n" + numbered(FROM_ONE))
doc("Network Repository", "commas.edges", NR, FROM_ONE.joined, lambda: numbered(FROM_ONE).replace(" ", ","))
doc(
    "Network Repository",
    "weights-and-times.edges",
    NR,
    FROM_ONE.joined,
    lambda: "".join(f"{e.source},{e.target},{e.weight},{1082040961 + 9 * i}\n" for i, e in enumerate(FROM_ONE.edges)),
)

# --- LGL, NCOL, UCINET ------------------------------------------------------------------------------------------------
LGL = "LGL, formats of large graph layout"


def lgl(known: Known, weights: bool) -> str:
    lines = []
    for node in known.nodes:
        lines.append(f"# {node}")
        lines += [f"{e.target} {e.weight}" if weights else e.target for e in known.edges if e.source == node]
    return "\n".join(lines) + "\n"


doc("LGL", "plain.lgl", LGL, G, lambda: lgl(G, False))
doc("LGL", "weights.lgl", LGL, G, lambda: lgl(G, True), weight="weight")
doc("NCOL", "plain.ncol", LGL, G.joined, lambda: "".join(f"{e.source} {e.target}\n" for e in G.edges))
doc(
    "NCOL",
    "weights.ncol",
    LGL,
    G.joined,
    lambda: "".join(f"{e.source} {e.target} {e.weight}\n" for e in G.edges),
    weight="weight",
)

DL = "UCINET, DL language"
LABELS = ",\n".join(f'"{n}"' if " " in n else n for n in G.nodes)


def ones(known: Known, by: str = " ") -> str:
    held = {frozenset((e.source, e.target)) for e in known.edges}
    return "\n".join(by.join(str(int(frozenset((n, m)) in held)) for m in known.nodes) for n in known.nodes) + "\n"


doc(
    "UCINET DL", "full-matrix.dl", DL, G, lambda: f"dl n = 40 format = fullmatrix\nlabels:\n{LABELS}\ndata:\n" + ones(G)
)
doc(
    "UCINET DL",
    "edge-list.dl",
    DL,
    Known(G.nodes, G.edges),
    lambda: f"DL N=40\nFORMAT = EDGELIST1\nLABELS:\n{LABELS}\nDATA:\n" + numbered(G, weights=True),
    weight="weight",
)
doc(
    "UCINET DL",
    "embedded-labels.dl",
    DL,
    Known(ARCS.joined.nodes, ARCS.edges, True),
    lambda: (
        "DL n=39 format=edgelist1\nlabels embedded:\ndata:\n"
        + "".join(f"{e.source} {e.target} {e.weight}\n" for e in ARCS.edges)
    ),
    weight="weight",
    options={"directed": True},
)
doc(
    "UCINET DL",
    "node-list.dl",
    DL,
    Known(G.nodes, ARCS.edges, True),
    lambda: (
        f"DL n=40 format=nodelist1\nlabels:\n{LABELS}\ndata:\n"
        + "".join(
            f"{ARCS.place(n) + 1} "
            + " ".join(str(ARCS.place(e.target) + 1) for e in ARCS.edges if e.source == n)
            + "\n"
            for n in ARCS.nodes
            if any(e.source == n for e in ARCS.edges)
        )
    ),
    options={"directed": True},
)
doc(
    "UCINET DL",
    "two-modes.dl",
    DL,
    rated("u", "f", all_of_them=True),
    lambda: (
        "dl nr=15 nc=25 format=fullmatrix\nrow labels:\n"
        + ",".join(f"u:{i}" for i in range(1, 16))
        + "\ncolumn labels:\n"
        + ",".join(f"f:{i}" for i in range(1, 26))
        + "\ndata:\n"
        + "\n".join(
            " ".join(str(int(any((e.source, e.target) == (str(i), str(j)) for e in USERS.edges))) for j in range(1, 26))
            for i in range(1, 16)
        )
        + "\n"
    ),
)

# --- PSI-MITAB --------------------------------------------------------------------------------------------------------
MITAB = "PSI-MITAB 2.5 to 2.8, HUPO-PSI"
HEADERS = [
    "#ID(s) interactor A",
    "ID(s) interactor B",
    "Alt. ID(s) interactor A",
    "Alt. ID(s) interactor B",
    "Alias(es) interactor A",
    "Alias(es) interactor B",
    "Interaction detection method(s)",
    "Publication 1st author(s)",
    "Publication Identifier(s)",
    "Taxid interactor A",
    "Taxid interactor B",
    "Interaction type(s)",
    "Source database(s)",
    "Interaction identifier(s)",
    "Confidence value(s)",
]


def mitab(columns: int, header: bool) -> str:
    lines = ["\t".join([*HEADERS, *(f"column {i}" for i in range(16, columns + 1))])] if header else []
    for i, e in enumerate(G.edges):
        first = [
            f"uniprotkb:{UNIPROT[e.source]}",
            f"uniprotkb:{UNIPROT[e.target]}",
            "intact:EBI-1",
            "intact:EBI-2",
            f"psi-mi:{e.source.lower()}_human(display_long)|uniprotkb:{e.source}(gene name)",
            f"uniprotkb:{e.target}(gene name)",
            'psi-mi:"MI:0018"(two hybrid)',
            f"Smith et al. ({e.year})",
            f"pubmed:{9000000 + i}",
            "taxid:9606(human)",
            "taxid:9606(human)",
            f'psi-mi:"MI:0915"({e.kind})',
            'psi-mi:"MI:0469"(IntAct)',
            f"intact:EBI-{1000 + i}",
            f"intact-miscore:{e.weight}",
        ]
        lines.append("\t".join([*first, *["-"] * (columns - 15)]))
    return "\n".join(lines) + "\n"


BY_UNIPROT = G.joined.renamed({n: UNIPROT[n] for n in G.joined.nodes})
for name, columns, header in (
    ("intact.mitab", 15, True),
    ("intact.txt", 42, True),
    ("mint.txt", 15, False),
    ("version-2.6.mitab26", 36, True),
    ("version-2.7.mitab27", 42, False),
    ("version-2.8.txt", 46, True),
):
    doc(
        "PSI-MITAB",
        name,
        MITAB,
        BY_UNIPROT,
        lambda columns=columns, header=header: mitab(columns, header),
        relation="interaction type",
        weight="intact-miscore",
    )

# --- GDF --------------------------------------------------------------------------------------------------------------
GDF = "GUESS and Gephi, GDF"


def gdf(known: Known, *, directed: bool = False, numbers: bool = False) -> str:
    quote = lambda text: "'" + text + "'" if "," in text or " " in text else text  # noqa: E731
    name = {node: str(i) if numbers else quote(node) for i, node in enumerate(known.nodes)}
    nodes = "".join(f"{name[n]},{quote(n)},{i}.5\n" for i, n in enumerate(known.nodes))
    edges = "".join(f"{name[e.source]},{name[e.target]},{e.weight},{str(directed).lower()}\n" for e in known.edges)
    return f"nodedef>name VARCHAR,label VARCHAR,width DOUBLE\n{nodes}edgedef>node1 VARCHAR,node2 VARCHAR,weight DOUBLE,directed BOOLEAN\n{edges}"


doc("GDF", "names.gdf", GDF, G, lambda: gdf(G), weight="weight")
doc("GDF", "numbers.gdf", GDF, G, lambda: gdf(G, numbers=True), weight="weight")
doc("GDF", "arcs.gdf", GDF, ARCS, lambda: gdf(ARCS, directed=True), weight="weight")


doc(
    "edge list of numbers",
    "counts-first.txt",
    "a list below its numbers of nodes and edges, as programs of algorithm courses take it",
    FROM_ONE.joined,
    lambda: "40 90\n" + numbered(FROM_ONE),
)
