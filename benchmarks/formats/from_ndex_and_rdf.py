"""Files as ndex2 and rdflib write them."""

import json
from pathlib import Path
from typing import Any

import ndex2
import rdflib
from from_networkx import TOLD_APART, network, packed
from known import (
    GENES,
    IRIS,
    QUOTED,
    Known,
    file,
    made_by,
    refused,
)
from ndex2.cx2 import CX2Network, NoStyleCXToCX2NetworkFactory

CX = made_by("ndex2")
RDF = made_by("rdflib")


# --- ndex2 ------------------------------------------------------------------------------------------------------------
def nice_cx(known: Known) -> Any:
    graph = network(known)
    for _, _, about in graph.edges(data=True):
        about["interaction"] = about.pop("kind")
    return ndex2.create_nice_cx_from_networkx(graph)


def cx2(known: Known, *, declared: bool = False) -> Any:
    cx = CX2Network()
    cx.set_name("small")
    if declared:
        cx.set_attribute_declarations(
            {
                "nodes": {"name": {"d": "string", "a": "n"}},
                "edges": {"kind": {"d": "string", "a": "k", "v": "binds"}, "weight": {"d": "double", "a": "w"}},
            }
        )
    numbers = {node: cx.add_node(attributes={"name": node}) for node in known.nodes}
    for edge in known.edges:
        about = {"weight": edge.weight}
        if not declared or edge.kind != "binds":
            about["kind"] = edge.kind
        cx.add_edge(source=numbers[edge.source], target=numbers[edge.target], attributes=about)
    return cx


@file("CX", "genes-ndex2.cx", CX, GENES, relation="interaction", weight="weight")
def _(path: Path) -> None:
    path.write_text(json.dumps(nice_cx(GENES).to_cx()), encoding="utf-8")


@file("CX", "hard-names-ndex2.cx", CX, QUOTED)
def _(path: Path) -> None:
    path.write_text(json.dumps(nice_cx(QUOTED).to_cx()), encoding="utf-8")


@file("CX", "cx-in-json-ndex2.json", CX, GENES)
def _(path: Path) -> None:
    path.write_text(json.dumps(nice_cx(GENES).to_cx()), encoding="utf-8")


@file("CX2", "genes-ndex2.cx2", CX, GENES, relation="kind", weight="weight")
def _(path: Path) -> None:
    cx2(GENES).write_as_raw_cx2(str(path))


@file("CX2", "short-names-and-defaults-ndex2.cx2", CX, GENES, relation="kind", weight="weight")
def _(path: Path) -> None:
    cx2(GENES, declared=True).write_as_raw_cx2(str(path))


@file("CX2", "hard-names-ndex2.cx2", CX, QUOTED)
def _(path: Path) -> None:
    cx2(QUOTED).write_as_raw_cx2(str(path))


@file("CX2", "from-cx-ndex2.cx2", CX, GENES, relation="interaction")
def _(path: Path) -> None:
    NoStyleCXToCX2NetworkFactory().get_cx2network(nice_cx(GENES)).write_as_raw_cx2(str(path))


@file("CX2", "one-name-twice-ndex2.cx2", CX, GENES.renamed(TOLD_APART))
def _(path: Path) -> None:
    cx = CX2Network()
    numbers = [cx.add_node(attributes={"name": "TP53" if i < 2 else node}) for i, node in enumerate(GENES.nodes)]
    for edge in GENES.edges:
        cx.add_edge(source=numbers[GENES.place(edge.source)], target=numbers[GENES.place(edge.target)])
    cx.write_as_raw_cx2(str(path))


@file("CX2", "packed-ndex2.cx2.gz", CX, GENES)
def _(path: Path) -> None:
    packed(".gz", path, lambda plain: cx2(GENES).write_as_raw_cx2(str(plain)))


# --- rdflib -----------------------------------------------------------------------------------------------------------
VERB = "http://example.org/is/"


def rdf(known: Known) -> Any:
    graph = rdflib.Graph()
    for edge in known.edges:
        graph.add((rdflib.URIRef(edge.source), rdflib.URIRef(VERB + edge.kind), rdflib.URIRef(edge.target)))
    for node in known.nodes:
        graph.add((rdflib.URIRef(node), rdflib.RDFS.label, rdflib.Literal(node.rsplit("/", 1)[1], lang="en")))
    return graph


WITH_KINDS = IRIS.renamed(IRIS.nodes)
WITH_KINDS = Known(IRIS.nodes, tuple(type(e)(e.source, e.target, VERB + e.kind, e.weight, e.year) for e in IRIS.edges))
for name, form in (("genes-rdflib.nt", "nt"), ("genes-rdflib.nt.gz", "nt"), ("ntriples-rdflib.txt", "nt")):

    @file("N-Triples", name, RDF, WITH_KINDS, relation="predicate")
    def _(path: Path, form: str = form) -> None:
        write = lambda plain: rdf(IRIS).serialize(str(plain), format=form)  # noqa: E731
        packed(".gz", path, write) if path.suffix == ".gz" else write(path)


@file("N-Triples", "genes-rdflib.nq", RDF, WITH_KINDS, relation="predicate")
def _(path: Path) -> None:
    data = rdflib.Dataset()
    named = data.graph(rdflib.URIRef("http://example.org/graph"))
    for triple in rdf(IRIS):
        named.add(triple)
    data.serialize(str(path), format="nquads")


for name, form in (
    ("rdflib.ttl", "turtle"),
    ("rdflib.rdf", "xml"),
    ("rdflib.jsonld", "json-ld"),
    ("rdflib.n3", "n3"),
    ("rdflib.trig", "trig"),
):

    @refused("not read", name, RDF, "serialize")
    def _(path: Path, form: str = form) -> None:
        source: Any = rdf(IRIS)
        if form == "trig":
            source = rdflib.Dataset()
            for triple in rdf(IRIS):
                source.add(triple)
        source.serialize(str(path), format=form)


@refused("other JSON", "jsonld-rdflib.json", RDF)
def _(path: Path) -> None:
    rdf(IRIS).serialize(str(path), format="json-ld")
