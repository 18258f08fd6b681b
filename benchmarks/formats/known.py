"""Small graphs of which every node and edge is known, and the files that hold them; the standard library alone, for any tool."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

SEED = 20261201
_SYMBOLS = [
    "TP53",
    "MDM2",
    "ATM",
    "CHEK2",
    "BRCA1",
    "BRCA2",
    "PALB2",
    "RAD51",
    "EGFR",
    "GRB2",
    "SOS1",
    "KRAS",
    "BRAF",
    "MAP2K1",
    "MAPK1",
    "MAPK3",
    "MYC",
    "MAX",
    "JUN",
    "FOS",
    "STAT3",
    "JAK2",
    "IL6ST",
    "PTEN",
    "PIK3CA",
    "AKT1",
    "MTOR",
    "RPTOR",
    "TSC1",
    "TSC2",
    "CDK2",
    "CCNE1",
    "RB1",
    "E2F1",
    "CDKN1A",
    "HIF1A",
    "VHL",
    "EPAS1",
    "ESR1",
    "NCOA3",
]
_KINDS = ("binds", "activates", "inhibits")


@dataclass(frozen=True)
class Edge:
    """An edge with what formats say of it."""

    source: str
    target: str
    kind: str
    weight: float
    year: int


@dataclass(frozen=True)
class Known:
    """A graph.

    Args:
        nodes: ids; the last one has no edge.
        edges: no pair twice; where the graph is directed, some pairs run both ways.
        directed: whether the order of the ends means something.
        names: a second name of each node, in the order of `nodes`; empty where there is none.
        bipartite: whether sources and targets are two kinds of things.
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    directed: bool = False
    names: tuple[str, ...] = ()
    bipartite: bool = False

    @property
    def joined(self) -> "Known":
        """Without nodes that have no edge, as lists of edges have it."""
        ends = {end for edge in self.edges for end in (edge.source, edge.target)}
        kept = [i for i, node in enumerate(self.nodes) if node in ends]
        names = tuple(self.names[i] for i in kept) if self.names else ()
        return replace(self, nodes=tuple(self.nodes[i] for i in kept), names=names)

    def renamed(self, names: Mapping[str, str] | Sequence[str]) -> "Known":
        """The same graph under other names."""
        of = dict(zip(self.nodes, names, strict=True)) if not isinstance(names, Mapping) else names
        edges = tuple(replace(edge, source=of[edge.source], target=of[edge.target]) for edge in self.edges)
        return replace(self, nodes=tuple(of[node] for node in self.nodes), edges=edges, names=())

    @property
    def loose(self) -> "Known":
        """Without direction."""
        return replace(self, directed=False)

    def place(self, node: str) -> int:
        """The place of a node, from 0."""
        return self.nodes.index(node)


def graph_of(nodes: Sequence[str], num_edges: int, *, directed: bool = False, seed: int = SEED) -> Known:
    """A graph drawn at random, the last node alone."""
    rng = random.Random(f"{seed} {nodes[0]} {len(nodes)} {directed}")
    joined = list(nodes[:-1])
    pairs: list[tuple[str, str]] = []
    for i, node in enumerate(joined[1:], 1):  # a tree first, so that every node has an edge
        pairs.append((joined[rng.randrange(i)], node))
    held = {frozenset(pair) for pair in pairs}
    while len(pairs) < num_edges:
        u, v = rng.sample(joined, 2)
        if frozenset((u, v)) not in held:
            held.add(frozenset((u, v)))
            pairs.append((u, v))
    if directed:
        pairs += [(v, u) for u, v in pairs[:5]]
    rng.shuffle(pairs)
    edges = tuple(
        Edge(u, v, rng.choice(_KINDS), rng.randrange(2, 99) / 100, rng.randrange(1999, 2025)) for u, v in pairs
    )
    return Known(tuple(nodes), edges, directed)


def two_sides_of(left: Sequence[str], right: Sequence[str], num_edges: int) -> Known:
    """A bipartite graph drawn at random; every node has an edge."""
    rng = random.Random(f"{SEED} {left[0]} {right[0]} {num_edges}")
    pairs = {(left[i % len(left)], right[i % len(right)]): None for i in range(max(len(left), len(right)))}
    while len(pairs) < num_edges:
        pairs[rng.choice(left), rng.choice(right)] = None
    listed = list(pairs)
    rng.shuffle(listed)
    edges = tuple(
        Edge(u, v, rng.choice(_KINDS), float(rng.randrange(1, 6)), rng.randrange(1999, 2025)) for u, v in listed
    )
    return Known((*left, *right), edges, bipartite=True)


GENES = graph_of(_SYMBOLS, 90)
ARCS = graph_of(_SYMBOLS, 90, directed=True)
FROM_ZERO = graph_of([str(i) for i in range(40)], 90)
FROM_ONE = graph_of([str(i) for i in range(1, 41)], 90)
ARCS_FROM_ZERO = graph_of([str(i) for i in range(40)], 90, directed=True)
ARCS_FROM_ONE = graph_of([str(i) for i in range(1, 41)], 90, directed=True)
SPARSE_NUMBERS = graph_of([str(1000 + 37 * i) for i in range(40)], 90)
HARD = graph_of(
    [
        "IL-2 receptor, alpha", "β-catenin", "NF-κB (p65)", "5'-nucleotidase", "Müller cell", "heat shock protein 90",
        "TNF;alpha", "a|b", "x & y", "<unknown>", "p-value = 0.05", "100%", "HLA-A*02:01", "γ/δ T cell", "C:\\temp",
        "#1 hit", "interleukin 6", "IFN-γ", "日本語", "Łódź", "O'Brien", "co–factor", "α1-antitrypsin", "alone, always",
    ],
    40,
)  # fmt: skip
QUOTED = HARD.renamed([name if i else 'the "guardian"' for i, name in enumerate(HARD.nodes)])
USERS = two_sides_of([str(i) for i in range(1, 16)], [str(i) for i in range(1, 26)], 110)
DRUGS = two_sides_of(
    [f"DB{i:05d}" for i in range(1, 16)], [symbol for symbol in _SYMBOLS if symbol != "TP53"][:24], 100
)
IRIS = graph_of([f"http://example.org/gene/{symbol}" for symbol in _SYMBOLS], 90, directed=True)

UNIPROT = {symbol: f"{'PQO'[i % 3]}{10000 + 379 * i}" for i, symbol in enumerate(_SYMBOLS)}
ENTREZ = {symbol: str(200 + 71 * i * (i % 5 + 1) + i) for i, symbol in enumerate(_SYMBOLS)}
ENSEMBL = {symbol: f"ENSP{263000 + 917 * i:011d}" for i, symbol in enumerate(_SYMBOLS)}
STRING = {symbol: f"9606.{name}" for symbol, name in ENSEMBL.items()}


@dataclass(frozen=True)
class Expected:
    """A file of the corpus and what it holds.

    Args:
        group: its format.
        name: of the file, as the tool names it.
        made_by: tool==version, or documentation: what.
        write: makes the file at a path.
        readings: the graph; more than one where the file names each node in several ways.
        options: what a user of this format has to give.
        relation: column or attribute that holds the kinds, to be checked.
        weight: likewise the weights.
        outcome: right, refused, or warned (what is read is not the graph, and a warning says so).
        words: what the refusal or the warning must have in it.
    """

    group: str
    name: str
    made_by: str
    write: Callable[[Path], object]
    readings: tuple[Known, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    relation: str | None = None
    weight: str | None = None
    outcome: str = "right"
    words: str = ""


CORPUS: list[Expected] = []


def file(
    group: str,
    name: str,
    made_by: str,
    *readings: Known,
    options: Mapping[str, Any] | None = None,
    relation: str | None = None,
    weight: str | None = None,
    outcome: str = "right",
    words: str = "",
) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    """Decorate what writes a file, so that it is part of the corpus."""

    def register(write: Callable[[Path], object]) -> Callable[[Path], object]:
        CORPUS.append(Expected(group, name, made_by, write, readings, options or {}, relation, weight, outcome, words))
        return write

    return register


def refused(group: str, name: str, made_by: str, words: str = "", **more: Any) -> Callable[..., Any]:
    """Decorate what writes a file that is no list of edges here."""
    return file(group, name, made_by, outcome="refused", words=words, **more)


def made_by(package: str) -> str:
    """A package of Python with its version."""
    return f"{package}=={version(package)}"


def make(folder: Path) -> None:
    """Write the registered files, each into a folder of its own, with what is known of it beside.

    What is there already is left alone. A tool that fails stops the run: a file must be the tool's own.
    """
    for each in CORPUS:
        place = folder / f"{each.group}--{each.name}".replace(" ", "-").replace("/", "-")
        if (place / "known.json").is_file():
            continue
        place.mkdir(parents=True, exist_ok=True)
        path = place / "file" / each.name
        path.parent.mkdir(exist_ok=True)
        each.write(path)
        known = {
            "group": each.group,
            "file": each.name,
            "made_by": each.made_by,
            "options": dict(each.options),
            "relation": each.relation,
            "weight": each.weight,
            "outcome": each.outcome,
            "words": each.words,
            "readings": [
                {
                    "nodes": reading.nodes,
                    "edges": [[e.source, e.target, e.kind, e.weight] for e in reading.edges],
                    "directed": reading.directed,
                    "bipartite": reading.bipartite,
                }
                for reading in each.readings
            ],
        }
        (place / "known.json").write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")


def delimited(edges: Sequence[Edge], columns: str, by: str = "\t", header: bool = True) -> str:
    """Lines of edges: columns are source, target, kind, weight, year, row (from 0), one (from 1) or a fixed text in quotes."""
    of: dict[str, Callable[[int, Edge], str]] = {
        "source": lambda _, edge: edge.source,
        "target": lambda _, edge: edge.target,
        "kind": lambda _, edge: edge.kind,
        "weight": lambda _, edge: f"{edge.weight:g}",
        "year": lambda _, edge: str(edge.year),
        "row": lambda row, _: str(row),
        "one": lambda row, _: str(row + 1),
    }
    names = columns.split()
    lines = [by.join(names)] if header else []
    lines += [by.join(of[name](row, edge) for name in names) for row, edge in enumerate(edges)]
    return "\n".join(lines) + "\n"
