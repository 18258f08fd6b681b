"""Lines of text: bytes without blank and comment lines, the number of each line that is left, and what the comments were."""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import MalformedFile

MARKS = b"#%"
"""A line that begins with one of these is a comment, unless it is a row of ids that begin so."""


@dataclass(frozen=True)
class Lines:
    """The lines of a text.

    Args:
        data: the rows, each ended by a line feed.
        numbers: shape (rows,), the line of each in the file, from 1.
        above: the comment lines before the first row.
        num_comments: all comment lines.
        num_marked: rows that begin as comments do.
        attributes: of each row the braces at its end, where all rows have them, as networkx.write_edgelist writes them.
    """

    data: bytes
    numbers: NDArray[np.int64]
    above: tuple[str, ...]
    num_comments: int
    num_marked: int = 0
    attributes: tuple[bytes, ...] = ()

    def head(self, count: int) -> list[str]:
        """The first rows."""
        return self.data[: end_of_line(self.data, count)].decode().split("\n")[:-1]


def has_rows(data: bytes) -> bool:
    """Whether any line is neither blank nor a comment.

    Example:
        >>> has_rows(b"# nothing\\n\\n"), has_rows(b"a b\\n")
        (False, True)
    """
    return any(line.strip() and not line.lstrip().startswith((b"#", b"%")) for line in io.BytesIO(data))


def as_text(path: Path, data: bytes, lines_before: int | NDArray[np.int64]) -> bytes:
    """UTF-8 bytes with line feeds only.

    Args:
        path: where the text is from, for messages.
        data: whole lines.
        lines_before: lines of the file that come before; or the line of each of these.
    Raises:
        MalformedFile: bytes that are no UTF-8 text, with their line.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", errors="replace").encode()
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode()
        bad = data.find(b"\0")
    except UnicodeDecodeError as error:
        bad = error.start
    if bad >= 0:
        kinds = {
            b"\x1f\x8b": "gzip data: name it .gz",
            b"PAR1": "Parquet: name it .parquet",
            b"PK": "a zip, npz or xlsx file: save it as CSV",
        }
        kind = next((f" It looks like {name}." for magic, name in kinds.items() if data.startswith(magic)), "")
        place = data.count(b"\n", 0, bad)
        line = place + 1 + lines_before if isinstance(lines_before, int) else lines_before[place]
        raise MalformedFile(
            f"{path.name}, line {line}: byte 0x{data[bad]:02x} is no UTF-8 text."
            f"{kind or ' Save the table as UTF-8 text.'}"
        )
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data if data.endswith(b"\n") else data + b"\n"


def split_lines(path: Path, data: bytes, separator: str | None) -> Lines:
    """The rows and the comments of a text.

    A line that begins with # or % is a row like the others, ids and all, where it has as many fields as most rows, nothing
    blank behind its mark, and rows stand above it or other ids in the file begin with the mark.

    Args:
        path: where the text is from, for messages.
        data: whole lines, as `as_text` makes them.
        separator: of the fields; None where it is not known yet.
    Raises:
        MalformedFile: no row.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(raw == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]])
    begin = starts.copy()
    while (
        indented := np.isin(raw[begin], (ord(" "), ord("\t")))
    ).any():  # every line ends in a line feed, so this stops
        begin[indented] += 1
    blank, marked = raw[begin] == ord("\n"), np.isin(raw[begin], tuple(MARKS))
    keep = ~(blank | marked)
    places = np.flatnonzero(marked)
    above: tuple[str, ...] = ()
    if len(places):
        rows = _marked_rows(data, starts, ends, places, keep, separator)
        keep[rows] = True
        first = int(np.argmax(keep)) if keep.any() else len(keep)
        above = tuple(data[starts[i] : ends[i]].decode().strip() for i in places[places < first][-200:])
    else:
        rows = places
    num_comments = len(places) - len(rows)
    if not keep.any():
        raise MalformedFile(f"{path.name}: the file is empty but for {num_comments} comment line(s).")
    if not keep.all():
        data = raw[np.repeat(keep, ends - starts)].tobytes()
    return Lines(data, np.flatnonzero(keep).astype(np.int64) + 1, above, num_comments, len(rows))


def _marked_rows(
    data: bytes,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    places: NDArray[np.int64],
    keep: NDArray[np.bool_],
    separator: str | None,
) -> NDArray[np.int64]:
    """Those of the marked lines that are rows."""
    plain = np.flatnonzero(keep)
    shown = [data[starts[i] : ends[i]].decode().rstrip("\n") for i in (plain if len(plain) else places)[:200]]
    widths: dict[str, int] = {}
    for mark in [separator] if separator is not None else ["\t", ",", ";", "|", " "]:
        width, count = Counter(len(fields(line, mark)) for line in shown).most_common(1)[0]
        if width >= 2 and count * 2 > len(shown):
            widths[mark] = width
            break
    if not widths:
        return places[:0]
    ((by, width),) = widths.items()
    candidates = []
    for i in places.tolist():
        line = data[starts[i] : ends[i]].decode().strip()
        if re.match(r"[#%]+[\s#%]|[#%]+$", line) is None and len(fields(line, by)) == width:
            candidates.append(i)
    first = int(plain[0]) if len(plain) else -1
    marks = any(cell.strip()[:1] in ("#", "%") for line in shown for cell in fields(line, by)[len(plain) == 0 :])
    if not marks and len(plain):  # then ids may begin so, or lines be commented out: only those among the rows are kept
        candidates = [i for i in candidates if i > first]
    elif not marks and (len(candidates) < 2 or len(candidates) < len(places)):
        candidates = []
    return np.array(candidates, dtype=np.int64)


def cut_attributes(lines: Lines) -> Lines:
    """Rows without the braces at their ends, `0 1 {'weight': 4}`, where every row has them.

    Example:
        >>> cut = cut_attributes(Lines(b"0 1 {'w': 4, 'y': 2}\\n1 2 {}\\n", np.array([1, 2]), (), 0))
        >>> cut.data, cut.attributes
        (b'0 1\\n1 2\\n', (b"{'w': 4, 'y': 2}", b'{}'))
    """
    first = lines.data[: lines.data.find(b"\n")].rstrip()
    if not first.endswith(b"}") or b"{" not in first:
        return lines
    found = re.findall(rb"(\{[^\n]*\})[ \t]*\n", lines.data)
    if len(found) != len(lines.numbers):
        return lines
    data = re.sub(rb"[ \t,;|]*\{[^\n]*\}[ \t]*\n", b"\n", lines.data)
    return Lines(data, lines.numbers, lines.above, lines.num_comments, lines.num_marked, tuple(found))


def fields(line: str, separator: str) -> list[str]:
    """The fields of one line; one field where its quotes end elsewhere.

    Example:
        >>> fields('"a,1",b', ","), fields(" a  b ", " ")
        (['a,1', 'b'], ['a', 'b'])
    """
    if '"' in line:
        try:
            skip = separator == " "
            return next(csv.reader([line.strip(" ")], delimiter=separator, skipinitialspace=skip, strict=True), [])
        except csv.Error:  # quotes end elsewhere: not this delimiter
            return [line]
    return line.split() if separator == " " else line.split(separator)


def tabs_for_blanks(data: bytes) -> bytes:
    """One tab for every run of blanks inside a line, none at its ends."""
    raw = np.frombuffer(data, dtype=np.uint8)
    blank = (raw == ord(" ")) | (raw == ord("\t"))
    raw = np.where(blank, np.uint8(ord("\t")), raw)
    after = np.concatenate([[True], (blank | (raw == ord("\n")))[:-1]])
    raw = raw[~(blank & after)]
    trailing = (raw == ord("\t")) & np.append(raw[1:] == ord("\n"), False)
    return bytes(raw[~trailing])


def end_of_line(data: bytes, count: int) -> int:
    """Where line number `count` ends, or the end of the data."""
    end = -1
    for _ in range(count):
        found = data.find(b"\n", end + 1)
        if found < 0:
            return len(data)
        end = found
    return end + 1


def count_fields(data: bytes, separator: str) -> NDArray[np.int64]:
    """Shape (rows,): the fields of each row; quotes hide nothing.

    Example:
        >>> count_fields(b"a,b\\nc\\n", ",").tolist()
        [2, 1]
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    delimiters = np.flatnonzero(raw == ord(separator))
    ends = np.flatnonzero(raw == ord("\n"))
    return np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1


def without_plain_quotes(data: bytes, separator: str) -> bytes:
    """The data without its quotes when none of them hides a delimiter, a line feed or a quote; else as it is."""
    raw = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(raw == ord('"'))
    if len(quotes) == 0 or len(quotes) % 2:
        return data
    blank = (raw == ord("\t")) if separator == " " else False
    borders = np.flatnonzero((raw == ord(separator)) | (raw == ord("\n")) | blank)
    border = np.zeros(len(raw) + 1, dtype=np.bool_)
    border[borders] = border[-1] = True  # what lies before the first byte is found at place -1
    opening, closing = quotes[::2], quotes[1::2]
    plain = border[opening - 1] & border[closing + 1]
    plain &= np.searchsorted(borders, opening) == np.searchsorted(borders, closing)
    return raw[raw != ord('"')].tobytes() if plain.all() else data
