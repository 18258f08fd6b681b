"""PSI-MITAB 2.5 to 2.8: interactions of molecules, whose cells are `database:id(text)|...`."""

import re
from collections.abc import Sequence

import numpy as np

from linkodds.findings import Finding
from linkodds.reading.formats.parsed import ParsedGraph, built
from linkodds.reading.formats.sources import Source

LEAST_COLUMNS = 15
_CELL = re.compile(r'[\w.\- /]+:("(?:[^"\\]|\\.)*"|[^|\t]+)(\|.*)?')
_PART = re.compile(r'([^:|"]+):("(?:[^"\\]|\\.)*"|[^|(]*)(?:\(((?:"(?:[^"\\]|\\.)*"|[^)]*))\))?')
_EMPTY = ("-", "")


def read_mitab(source: Source) -> ParsedGraph:
    """Binary interactions of a MITAB file, without direction.

    Ids are the first of the identifiers in columns 1 and 2, without their database ("P12345" of uniprotkb:P12345) where no
    two databases share one, else with it. Attributes: `interaction type`, `detection method`, and of `confidence` the
    scores by their name ("intact-miscore"). A row with one interactor alone is a node.

    Raises:
        MalformedFile: too few columns, or a cell that is no reference, with its line.
    """
    rows: list[tuple[str, str, int, dict[str, str]]] = []
    for number, line in source.lines(comment="#"):
        cells = line.split("\t")
        if len(cells) < LEAST_COLUMNS:
            source.refuse(number, f"{len(cells)} tab-separated columns; MITAB has {LEAST_COLUMNS} at least.")
        ends = []
        for column in (0, 1):
            if cells[column].strip() in _EMPTY:
                ends.append("")
                continue
            if not is_reference(cells[column]):
                source.refuse(
                    number, f"column {column + 1}, {cells[column][:40]!r}: no identifier such as uniprotkb:P12345."
                )
            ends.append(_first_reference(cells[column]))
        if ends == ["", ""]:
            source.refuse(number, "no interactor at all.")
        rows.append((ends[0], ends[1], number, _about(cells)))
    return _parsed(source, rows)


def _parsed(source: Source, rows: Sequence[tuple[str, str, int, dict[str, str]]]) -> ParsedGraph:
    references = dict.fromkeys(end for first, second, *_ in rows for end in (first, second) if end)
    short = {reference: reference.split(":", 1)[1] for reference in references}
    findings = []
    if len(set(short.values())) < len(short):
        short = {reference: reference for reference in references}
        message = f"{source.place}: two databases have one identifier, so that ids keep their database, {next(iter(short))!r}."
        findings.append(Finding("reading", "info", message, "Name nodes and pairs the same way."))
    nodes = {reference: i for i, reference in enumerate(references)}
    alone = [first or second for first, second, *_ in rows if not first or not second]
    if alone:
        message = f"{source.place}: {len(alone)} row(s) name one interactor alone and are no edges; the node stays."
        findings.append(Finding("reading", "info", message, "Nothing to do.", float(len(alone))))
    joined = [row for row in rows if row[0] and row[1]]
    return built(
        [short[reference] for reference in references],
        [(nodes[first], nodes[second]) for first, second, *_ in joined],
        [about for *_, about in joined],
        place=source.place,
        layout="PSI-MITAB",
        directed=None,
        unit="line",
        numbers=np.array([number for *_, number, _ in joined], dtype=np.int64),
        findings=tuple(findings),
    )


def _about(cells: Sequence[str]) -> dict[str, str]:
    found = {"interaction type": _word(cells[11]), "detection method": _word(cells[6])}
    for name, score, _ in _PART.findall(cells[14]):
        found[name.strip()] = score.strip('"')
    return {name: value for name, value in found.items() if value}


def _word(cell: str) -> str:
    """The text of a term, psi-mi:"MI:0915"(physical association), else the term."""
    found = _PART.match(cell)
    if found is None or cell.strip() in _EMPTY:
        return ""
    return (found[3] or found[2]).strip('"')


def is_reference(cell: str) -> bool:
    """Whether a cell is `database:id`, or several of these."""
    return _CELL.fullmatch(cell.strip()) is not None


def _first_reference(cell: str) -> str:
    found = _PART.match(cell.strip())
    if found is None:
        return cell.strip()
    return found[1].strip() + ":" + found[2].strip().strip(chr(34))
