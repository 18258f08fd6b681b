"""RDF N-Triples: a subject, a predicate and an object a line."""

import re

import numpy as np

from linkodds.findings import Finding
from linkodds.reading.formats.parsed import ParsedGraph, built
from linkodds.reading.formats.sources import Source

_NODE = r"<[^<>\"{}|^`\\\x00-\x20]*(?:\\[uU][0-9A-Fa-f]+[^<>\"{}|^`\\\x00-\x20]*)*>|_:[^\s<>\"]+"
_LITERAL = r'"(?:[^"\\\n]|\\.)*"(?:\^\^<[^<>\s]*>|@[A-Za-z0-9-]+)?'
_TRIPLE = re.compile(rf"\s*({_NODE})\s*(<[^<>\s]*>)\s*({_NODE}|{_LITERAL})\s*(?:({_NODE})\s*)?\.\s*(?:#.*)?")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")


def read_ntriples(source: Source) -> ParsedGraph:
    """N-Triples (or N-Quads, whose graph is left aside): IRIs are ids, without brackets; predicates the attribute `predicate`.

    Triples whose object is a text or a number say something of a node and are no edges; they are counted.

    Raises:
        MalformedFile: a line that is no triple, with its number.
    Example:
        >>> from pathlib import Path
        >>> text = b'<http://x/a> <http://x/knows> <http://x/b> .\\n<http://x/a> <http://x/name> "A"@en .\\n'
        >>> graph = read_ntriples(Source(Path("a.nt"), text))
        >>> graph.ids.tolist(), graph.attributes.rows(), len(graph.pairs)
        (['http://x/a', 'http://x/b'], [('http://x/knows',)], 1)
    """
    nodes: dict[str, int] = {}
    pairs, kinds, numbers, num_literals = list[tuple[int, int]](), list[dict[str, str]](), list[int](), 0
    for number, line in source.lines(comment="#"):
        found = _TRIPLE.fullmatch(line)
        if found is None:
            source.refuse(number, f"{line[:60]!r} is no triple '<subject> <predicate> <object> .'.")
        first = nodes.setdefault(_name(found[1]), len(nodes))
        if found[3].startswith('"'):
            num_literals += 1
            continue
        pairs.append((first, nodes.setdefault(_name(found[3]), len(nodes))))
        kinds.append({"predicate": _name(found[2])})
        numbers.append(number)
    findings: tuple[Finding, ...] = ()
    if num_literals:
        message = f"{source.place}: {num_literals} triple(s) have a text or a number for their object and are no edges."
        findings = (Finding("reading", "info", message, "Give what they say as --features.", float(num_literals)),)
    return built(
        list(nodes),
        pairs,
        kinds,
        place=source.place,
        layout="N-Triples",
        unit="line",
        numbers=np.array(numbers, dtype=np.int64),
        findings=findings,
    )


def _name(term: str) -> str:
    text = term[1:-1] if term.startswith("<") else term
    return _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text) if "\\" in text else text
