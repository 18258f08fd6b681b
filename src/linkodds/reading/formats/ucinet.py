"""UCINET DL: a header of settings, labels, and data as a matrix or as lists."""

import re

import numpy as np

from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.parsed import ParsedGraph, built
from linkodds.reading.formats.sources import Source

_SETTING = re.compile(r"\b(nr|nc|nm|n|format)\s*[= ]\s*([A-Za-z0-9]+)", re.IGNORECASE)
_MARK = re.compile(r"^\s*(row |column |col |level |matrix )?(labels embedded|labels|data)\s*:?\s*$", re.IGNORECASE)
_MATRICES = ("fullmatrix", "fm", "lowerhalf", "upperhalf")
_LISTS = ("edgelist1", "el1", "edgelist2", "el2", "nodelist1", "nl1", "nodelist2", "nl2")


def read_ucinet(source: Source) -> ParsedGraph:
    """A DL file of UCINET: full matrices, half matrices, and lists of edges or nodes, of one side or two.

    Ids are the labels, else the numbers from 1. A value is the attribute `weight`. A symmetric matrix is undirected, any
    other directed; a list says nothing of direction.

    Raises:
        MalformedFile: a setting, a label or a value that does not fit, with its line.
    Example:
        >>> from pathlib import Path
        >>> graph = read_ucinet(Source(Path("a.dl"), b"dl n=3 format=edgelist1\\nlabels:\\nA,B,C\\ndata:\\n1 2\\n"))
        >>> graph.ids.tolist(), graph.pairs.tolist()
        (['A', 'B', 'C'], [[0, 1]])
    """
    head, labels, embedded, body = _sections(source)
    settings = {name.lower(): value.lower() for name, value in _SETTING.findall(head)}
    kind = settings.get("format", "fullmatrix")
    if int(settings.get("nm", "1")) > 1:
        source.refuse(1, f"nm={settings['nm']} matrices in one file; keep one of them.")
    if kind not in (*_MATRICES, *_LISTS):
        source.refuse(1, f"format={kind} is none of {', '.join((*_MATRICES, *_LISTS))}.")
    two = "nr" in settings or "nc" in settings or kind in ("edgelist2", "el2", "nodelist2", "nl2")
    try:
        sizes = [int(settings["nr"]), int(settings["nc"])] if two else [int(settings["n"])] * 2
    except (KeyError, ValueError):
        source.refuse(1, "no size; a DL file begins with 'dl n=NUMBER', or nr= and nc= for two sides.")
    source.refuse_more_nodes(max(sizes), 1)
    sides = _Sides(source, sizes, two, labels, embedded)
    rows = _matrix(source, sides, kind, body, embedded) if kind in _MATRICES else _lists(source, sides, kind, body)
    return _parsed(source, sides, rows, kind)


class _Sides:
    """Nodes of the rows and of the columns, which are one unless the file has two sides."""

    def __init__(
        self, source: Source, sizes: list[int], two: bool, labels: dict[str, list[str]], embedded: bool
    ) -> None:
        self.source, self.sizes, self.two, self.embedded = source, sizes, two, embedded
        given = [labels.get("row", labels.get("", [])), labels.get("column", labels.get("", []) if not two else [])]
        self.labels: list[list[str]] = given if two else [given[0], given[0]]
        self.places = [{name: i for i, name in enumerate(names)} for names in self.labels]
        if not two:
            self.places[1] = self.places[0]

    def place(self, end: int, text: str, number: int) -> int:
        """Place of a node, by its label or number."""
        places, size = self.places[end], self.sizes[end]
        if self.embedded or (text in places and not text.isdigit()):
            if text not in places and len(places) >= size:
                self.source.refuse(number, f"{text!r} is label {len(places) + 1}, and there are {size} nodes.")
            found = places.setdefault(text, len(places))
            if len(places) > len(self.labels[end]):
                self.labels[end].append(text)
        elif text.isdigit() and 1 <= int(text) <= size:
            found = int(text) - 1
        else:
            self.source.refuse(number, f"{text!r} is no node; nodes are labels, or the numbers 1 to {size}.")
        return found + (self.sizes[0] if self.two and end else 0)


_Rows = list[tuple[tuple[int, int], dict[str, str], int]]


def _sections(source: Source) -> tuple[str, dict[str, list[str]], bool, list[tuple[int, str]]]:
    """Settings, labels of rows and columns, whether the data hold the labels, and the lines of the data."""
    head, labels, embedded, body, at = "", dict[str, list[str]](), False, list[tuple[int, str]](), "head"
    for number, line in source.lines():
        found = _MARK.fullmatch(line)
        if found and at != "data":
            word, what = (found[1] or "").strip().lower().replace("col", "column", 1), found[2].lower()
            word = "column" if word.startswith("column") else word
            if what == "labels embedded":
                embedded = True
            elif what == "data":
                at = "data"
            else:
                at = "labels " + word
        elif at == "data":
            body.append((number, line))
        elif at == "head":
            head += " " + line
        else:
            names = re.findall(r'"([^"]*)"|([^\s,"]+)', line)
            labels.setdefault(at.removeprefix("labels "), []).extend(a or b for a, b in names)
    if at != "data":
        source.refuse(None, "no line 'data:'; a DL file has its settings, then data:.")
    return head, labels, embedded, body


def _matrix(source: Source, sides: _Sides, kind: str, body: list[tuple[int, str]], embedded: bool) -> _Rows:
    cells: list[tuple[str, int]] = []
    names: list[str] = []
    for i, (number, line) in enumerate(body):
        fields = re.split(r"[\s,]+", line.strip())
        if embedded and i == 0:
            for name in fields:
                sides.place(1, name, number)
            continue
        if embedded:
            names.append(fields[0])
            sides.place(0, fields[0], number)
            fields = fields[1:]
        cells += [(value, number) for value in fields]
    n, m = sides.sizes
    places = [(u, v) for u in range(n) for v in range(m)] if kind in ("fullmatrix", "fm") else []
    if kind == "lowerhalf":
        places = [(u, v) for u in range(n) for v in range(u)]
    elif kind == "upperhalf":
        places = [(u, v) for u in range(n) for v in range(u + 1, n)]
    with_diagonal = n * (n + 1) // 2
    if kind in ("lowerhalf", "upperhalf") and len(cells) == with_diagonal:
        places = [(u, v) for u in range(n) for v in (range(u + 1) if kind == "lowerhalf" else range(u, n))]
    if len(cells) != len(places):
        source.refuse(
            body[-1][0] if body else None, f"{len(cells)} values, where {kind} of {n} x {m} has {len(places)}."
        )
    rows: _Rows = []
    for (u, v), (value, number) in zip(places, cells, strict=True):
        try:
            is_edge = float(value) != 0
        except ValueError:
            source.refuse(number, f"{value!r} is no number.")
        if is_edge:
            rows.append(((u, v + (n if sides.two else 0)), {"weight": value}, number))
    return rows


def _lists(source: Source, sides: _Sides, kind: str, body: list[tuple[int, str]]) -> _Rows:
    rows: _Rows = []
    for number, line in body:
        fields = [a or b for a, b in re.findall(r'"([^"]*)"|([^\s,"]+)', line)]
        first = sides.place(0, fields[0], number)
        if kind.startswith(("nodelist", "nl")):
            rows += [((first, sides.place(1, other, number)), {}, number) for other in fields[1:]]
            continue
        if len(fields) not in (2, 3):
            source.refuse(number, f"{line.strip()[:60]!r} is no pair of nodes with at most a value.")
        if len(fields) == 3 and not _is_number(fields[2]):
            source.refuse(number, f"{fields[2]!r} is no number.")
        if len(fields) == 3 and float(fields[2]) == 0:
            continue
        rows.append(((first, sides.place(1, fields[1], number)), {"weight": fields[2]} if fields[2:] else {}, number))
    return rows


def _parsed(source: Source, sides: _Sides, rows: _Rows, kind: str) -> ParsedGraph:
    pairs = [pair for pair, _, _ in rows]
    directed = None
    if kind in ("lowerhalf", "upperhalf") or sides.two:
        directed = False
    elif kind in ("fullmatrix", "fm"):
        directed = {(v, u) for u, v in pairs} != set(pairs)
        if not directed:
            rows = [row for row in rows if row[0][0] <= row[0][1]]
            pairs = [pair for pair, _, _ in rows]
    words = ("row:", "column:") if sides.two else ("",)
    numbers = [f"{word}{i + 1}" for word, size in zip(words, sides.sizes, strict=False) for i in range(size)]
    labels = [
        name
        for names, size, _ in zip(sides.labels, sides.sizes, words, strict=False)
        for name in (names + [""] * size)[:size]
    ]
    ids, findings = ids_by_names(numbers, {"label": labels}, source.place)
    return built(
        ids,
        pairs,
        [about for _, about, _ in rows],
        place=source.place,
        layout=f"UCINET DL, {kind}",
        directed=directed,
        unit="line",
        numbers=np.array([number for *_, number in rows], dtype=np.int64),
        numbered=ids == numbers,
        side=np.repeat(np.array([0, 1], dtype=np.int64), sides.sizes) if sides.two else None,
        findings=tuple(findings),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
