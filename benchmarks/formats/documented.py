"""What files after public documentation have in common: rows by a template, saved as their names say."""

import bz2
import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from known import ARCS, ENSEMBL, ENTREZ, GENES, STRING, UNIPROT, Edge, Known, file, refused

G, ARROWS = GENES.joined, ARCS.joined
BY_ENTREZ, BY_UNIPROT, BY_ENSEMBL, BY_STRING = (G.renamed(names) for names in (ENTREZ, UNIPROT, ENSEMBL, STRING))
BY_SYMBOL_OR_ID = (G, BY_ENTREZ, BY_UNIPROT)
_NAMES = {"entrez": ENTREZ, "uniprot": UNIPROT, "ensembl": ENSEMBL, "string": STRING}


def cells(known: Known, edge: Edge, i: int) -> dict[str, object]:
    """What a template may name: u and v, the ends; u_entrez, v_string, ...; what is said of the edge; made-up cells."""
    ends = {"u": edge.source, "v": edge.target}
    named = {f"{end}_{name}": of.get(node, "") for name, of in _NAMES.items() for end, node in ends.items()}
    places = {f"{end}_at": known.place(node) for end, node in ends.items()}
    percent = round(100 * edge.weight)
    edges_own = {
        "kind": edge.kind,
        "w": edge.weight,
        "year": edge.year,
        "i": i,
        "row": i + 1,
        "stars": int(edge.weight),
    }
    made_up = {
        "percent": percent,
        "thousand": 10 * percent,
        "triple": 3 * edge.weight,
        "third": {"binds": 0, "activates": 1, "inhibits": 2}[edge.kind],
        "activates": edge.kind == "activates",
        "inhibits": edge.kind == "inhibits",
        "effect": {"activates": "up-regulates", "inhibits": "down-regulates"}.get(edge.kind, "unknown"),
        "letter": "ABC"[i % 3],
        "few": f"{7000 + i % 9:07d}",
        "tiny": f"{10.0 ** -(i % 40):.1e}",
        "pmid": 9000000 + 7 * i,
        "seconds": 1082040961 + 977 * i,
        "says": "Directed" if known.directed else "Undirected",
    }
    return {**ends, **named, **places, **edges_own, **made_up}


def text_of(known: Known, row: str, header: str = "", by: str = "\t", above: str = "", below: str = "") -> str:
    """A table: the header and a row for each edge, whose fields | parts in the templates and `by` in the text."""
    head = [by.join(header.split("|"))] if header else []
    rows = [by.join(field.format(**cells(known, e, i)) for field in row.split("|")) for i, e in enumerate(known.edges)]
    return above + "\n".join([*head, *rows]) + "\n" + below


def save(path: Path, text: str) -> None:
    """Text, packed where the name says so."""
    data = text.encode()
    path.write_bytes({".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)(data))


def table(
    name: str,
    title: str,
    readings: Known | Sequence[Known],
    row: str,
    header: str = "",
    *,
    by: str = "\t",
    above: str = "",
    below: str = "",
    group: str = "table of a database",
    of: Known | None = None,
    **more: Any,
) -> None:
    """Register a table that is read; `of` is the graph that its rows are made of, where `readings` have other names."""
    whole = (readings,) if isinstance(readings, Known) else tuple(readings)
    known = of or whole[0]
    file(group, name, f"documentation: {title}", *whole, **more)(
        lambda path: save(path, text_of(known, row, header, by, above, below))
    )


def doc(group: str, name: str, title: str, known: Known, text: Callable[[], str], **more: Any) -> None:
    """Register a text that is read."""
    file(group, name, f"documentation: {title}", known, **more)(lambda path: save(path, text()))


def no(group: str, name: str, title: str, text: Callable[[], str], words: str = "") -> None:
    """Register a text that is refused, in a sentence with these words."""
    refused(group, name, f"documentation: {title}", words)(lambda path: save(path, text()))
