"""Delimited text: delimiter, header, comments and quotes are found out from the lines; every error names its line."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import MalformedFile, OptionError
from linkodds.reading.tables import Table, read_bytes, read_parquet, unpacked_name

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".tab2", ".tab3", ".edges", ".edgelist", ".el", ".links", ".dat")
"""Of delimited text; .gz, .bz2, .xz or .zst may stand behind."""

_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_DELIMITER_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "space"}
_SAMPLE = 1000  # lines that settle delimiter and header
_NUMBER_WORDS = {"nan", "inf", "-inf", "+inf", "infinity", "-infinity"}  # float() takes them, ids may be them
_HEADER_WORDS = (
    "source target src dst dest destination from to head tail subject object node vertex gene protein drug "
    "disease compound chemical molecule substance phenotype species user item author paper article page package "
    "entity interactor regulator tf parent child start end begin left right sender receiver recipient follower "
    "followee citing cited partner id name symbol word synset person member actor"
)
_HEADER_QUALIFIERS = "a b i j u v x y 1 2 0 id ids name symbol label key index code no number official one two"
_LETTER_HEADERS = {("a", "b"), ("u", "v"), ("i", "j"), ("x", "y"), ("s", "t")}


def is_text_file(path: Path) -> bool:
    """Whether the suffix says delimited text.

    Example:
        >>> is_text_file(Path("edges.csv.gz")), is_text_file(Path("edges.parquet"))
        (True, False)
    """
    return unpacked_name(path).endswith(TEXT_SUFFIXES)


def read_table(
    path: Path,
    *,
    header: bool | None = None,
    delimiter: str | None = None,
    ids: Sequence[str | int | None] = (None,),
    named: Sequence[str | int | None] = (),
) -> Table:
    """A delimited text file or a Parquet file as a table.

    Blank lines and lines that begin with `#` are skipped, a byte order mark and carriage returns are taken away, and
    blanks around a cell are not part of it. The delimiter is the one of tab, comma, semicolon, `|` and runs of blanks
    that gives most lines the same number of fields, two or more. The first line is a header when

    - a column was asked for by a name that it holds, or
    - none of its id cells appears in the lines below nor differs from one of them by digits only, and as many of its
      cells as there are id columns are usual column names ("source", "gene_a", "FromNodeId"; for one id column an
      empty first cell counts), or
    - its id cells are no numbers, and some column below it holds numbers only.

    Args:
        path: .csv, .tsv, .txt (also .gz) or .parquet.
        header: None detects it.
        delimiter: one character, or "tab", "space", ...; None detects it.
        ids: names of the id columns, None where the default (the first ones) is meant.
        named: names of other columns that were asked for; None is no name.
    Raises:
        MalformedFile: not there, not text, empty, ragged; with file and line.
        OptionError: a delimiter of more than one character, or an option that the format has no use for.
    """
    if path.suffix.lower() == ".parquet":
        if header is not None or delimiter is not None:
            raise OptionError(
                f"{path.name}: --no-header and --delimiter are for text files; a Parquet file needs neither."
            )
        return read_parquet(path)
    return table_of_text(path, read_bytes(path), header=header, delimiter=delimiter, ids=ids, named=named)


def looks_like_header(rows: list[list[str]], *, num_ids: int) -> bool:
    """Whether the first of these rows names the columns; the rule is in `read_table`.

    Args:
        rows: cells of the first lines, stripped, all rows of one width.
        num_ids: number of id columns, the first ones.
    Example:
        >>> looks_like_header([["source", "target"], ["p53", "mdm2"]], num_ids=2)
        True
        >>> looks_like_header([["p53", "mdm2"], ["atm", "p53"]], num_ids=2)
        False
        >>> looks_like_header([["tf", "bait", "weight"], ["p53", "mdm2", "0.5"]], num_ids=2)
        True
    """
    first, below = rows[0], rows[1:]
    id_cells = first[:num_ids]
    seen = {cell for row in below for cell in row[:num_ids]}
    stems = {_stem(cell) for cell in seen}
    if any(cell in seen or (any(map(str.isdigit, cell)) and _stem(cell) in stems) for cell in id_cells if cell):
        return False
    words = sum(map(_is_header_word, first[: num_ids + 1] if "" in id_cells else id_cells))
    if words >= num_ids or (num_ids == 1 and first[0] == ""):
        return True
    if tuple(cell.lower() for cell in id_cells) in _LETTER_HEADERS:
        return bool(seen) and all(len(cell) > 1 or cell.isdigit() for cell in seen)
    if any(_is_number(cell) or cell == "" for cell in id_cells):
        return False
    return any(
        cell != ""
        and cell.lower() not in _NUMBER_WORDS | {"na", "null", "none", "n/a", "-", ".", "?"}
        and not _is_number(cell)
        and bool(column)
        and all(map(_is_number, column))
        for cell, column in ((cell, [row[i] for row in below if row[i]]) for i, cell in enumerate(first))
    )


def table_of_text(
    path: Path,
    data: bytes,
    *,
    header: bool | None = None,
    delimiter: str | None = None,
    ids: Sequence[str | int | None] = (None,),
    named: Sequence[str | int | None] = (),
    lines_before: int = 0,
) -> Table:
    """Delimited text in memory as a table: a whole file, or some of its lines; the rules are in `read_table`.

    Args:
        path: where the text is from, for messages.
        data: whole lines.
        header: None detects it.
        delimiter: None detects it.
        ids: names of the id columns.
        named: names of other columns that were asked for.
        lines_before: lines of the file that come before, so that messages name the right ones.
    Raises:
        MalformedFile: as `read_table`.
        OptionError: likewise.
    Example:
        >>> table_of_text(Path("edges.csv"), b"a,b\\nc,d\\n", header=False, ids=(None, None)).load([0, 1]).rows()
        [('a', 'b'), ('c', 'd')]
    """
    separator = _check_delimiter(delimiter)
    data, numbers, num_comments = _clean_lines(path, _as_text(path, data, lines_before))
    numbers += lines_before
    sample = data[: _end_of_line(data, _SAMPLE)].decode()
    separator = separator or _sniff_delimiter(path, sample, int(numbers[0]))
    layout = f"{_DELIMITER_NAMES.get(separator, repr(separator))}-separated, "
    data = _without_plain_quotes(data, separator)
    if b'"' in data:
        rows, numbers = _parse_quoted(path, data, numbers, separator)
        head, width = rows[:_SAMPLE], Counter(len(row) for row in rows[:_SAMPLE]).most_common(1)[0][0]
        _refuse_ragged(path, np.array([len(row) for row in rows]), numbers, width, separator)

        def columns(positions: list[int]) -> pl.DataFrame:
            return pl.DataFrame(
                {str(i): [row[i] for row in rows] for i in positions},
                schema=dict.fromkeys(map(str, positions), pl.String),
            )
    else:
        if separator == " ":
            data, separator = _tabs_for_blanks(data), "\t"
        counts = _count_fields(data, separator)
        width = Counter(counts[:_SAMPLE].tolist()).most_common(1)[0][0]
        _refuse_ragged(path, counts, numbers, width, separator)
        head = [line.split(separator) for line in data[: _end_of_line(data, _SAMPLE)].decode().split("\n")[:-1]]

        def columns(positions: list[int]) -> pl.DataFrame:
            # Quotes are handled above and comments are gone, so nothing is left for the parser to interpret.
            frame = pl.read_csv(
                io.BytesIO(data),
                has_header=False,
                separator=separator,
                quote_char=None,
                infer_schema=False,
                columns=sorted(positions),
            )
            return frame.rename(dict(zip(frame.columns, map(str, sorted(positions)), strict=True)))

    if width < len(ids):
        raise MalformedFile(
            f"{path.name}, line {numbers[0]}: one column only, {head[0][0]!r}. "
            f"Expected at least {len(ids)} columns, separated by tab, comma, semicolon, | or blanks; "
            "settle it with --delimiter."
        )
    head = [[cell.strip() for cell in row] for row in head]
    asked = [str(name) for name in (*ids, *named) if name is not None and not str(name).isdigit()]
    if header is None:
        header = any(name in head[0] for name in asked) or looks_like_header(head, num_ids=len(ids))
    names = tuple(head[0]) if header else tuple(str(i + 1) for i in range(width))
    skipped = int(header)
    if len(numbers) == skipped:
        cure = "It needs rows." if asked else "Pass --no-header if it is data."
        raise MalformedFile(f"{path.name}: a header line ({', '.join(names[:5])}) and no row below it. {cure}")

    def load(positions: list[int]) -> pl.DataFrame:
        frame = columns(positions).slice(skipped).select(pl.all().str.strip_chars().fill_null(""))
        return frame.select([str(i) for i in positions])

    layout += f"{'with' if header else 'without'} header"
    layout += f", {num_comments} comment line(s) skipped" if num_comments else ""
    return Table(path.name, names, layout, "line", numbers[skipped:], load)


def has_rows(data: bytes) -> bool:
    """Whether any line is neither blank nor a comment.

    Example:
        >>> has_rows(b"# nothing\\n\\n"), has_rows(b"a b\\n")
        (False, True)
    """
    return any(line.strip() and not line.lstrip().startswith(b"#") for line in io.BytesIO(data))


def _as_text(path: Path, data: bytes, lines_before: int) -> bytes:
    """UTF-8 bytes with line feeds only."""
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
        line = data.count(b"\n", 0, bad) + 1 + lines_before
        raise MalformedFile(
            f"{path.name}, line {line}: byte 0x{data[bad]:02x} is no UTF-8 text."
            f"{kind or ' Save the table as UTF-8 text.'}"
        )
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data if data.endswith(b"\n") else data + b"\n"


def _clean_lines(path: Path, data: bytes) -> tuple[bytes, NDArray[np.int64], int]:
    """The data without blank and comment lines, the number of each line that is left, and how many were comments."""
    raw = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(raw == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]])
    begin = starts.copy()
    while (
        indented := np.isin(raw[begin], (ord(" "), ord("\t")))
    ).any():  # every line ends in a line feed, so this stops
        begin[indented] += 1
    blank, comment = raw[begin] == ord("\n"), raw[begin] == ord("#")
    keep = ~(blank | comment)
    if not keep.any():
        raise MalformedFile(f"{path.name}: the file is empty but for {int(comment.sum())} comment line(s).")
    if not keep.all():
        data = raw[np.repeat(keep, ends - starts)].tobytes()
    return data, np.flatnonzero(keep).astype(np.int64) + 1, int(comment.sum())


def _tabs_for_blanks(data: bytes) -> bytes:
    """One tab for every run of blanks inside a line, none at its ends."""
    raw = np.frombuffer(data, dtype=np.uint8)
    blank = (raw == ord(" ")) | (raw == ord("\t"))
    raw = np.where(blank, np.uint8(ord("\t")), raw)
    after = np.concatenate([[True], (blank | (raw == ord("\n")))[:-1]])
    raw = raw[~(blank & after)]
    trailing = (raw == ord("\t")) & np.append(raw[1:] == ord("\n"), False)
    return bytes(raw[~trailing])


def _end_of_line(data: bytes, count: int) -> int:
    """Where line number `count` ends, or the end of the data."""
    end = -1
    for _ in range(count):
        found = data.find(b"\n", end + 1)
        if found < 0:
            return len(data)
        end = found
    return end + 1


def _check_delimiter(delimiter: str | None) -> str | None:
    if delimiter is None:
        return None
    single = _DELIMITERS.get(delimiter, delimiter)
    if len(single) != 1 or not single.isascii() or single in '"#\n\r':
        accepted = ", ".join(_DELIMITER_NAMES.values())
        raise OptionError(f"--delimiter takes one character (not a quote or #), or {accepted}; not {delimiter!r}.")
    return single


def _sniff_delimiter(path: Path, sample: str, first_line: int) -> str:
    lines = sample.split("\n")[:-1][:100]
    best, best_share = "", 0.0
    for separator in _DELIMITER_NAMES:
        counts = Counter(len(_fields(line, separator)) for line in lines)
        width, count = counts.most_common(1)[0]
        if width >= 2 and count / len(lines) > best_share:
            best, best_share = separator, count / len(lines)
    if not best:
        raise MalformedFile(
            f"{path.name}, line {first_line}: one column only, {lines[0][:60]!r}. "
            "Expected two columns or more, separated by tab, comma, semicolon, | or blanks; settle it with --delimiter."
        )
    return best


def _fields(line: str, separator: str) -> list[str]:
    if '"' in line:
        try:
            skip = separator == " "
            return next(csv.reader([line.strip(" ")], delimiter=separator, skipinitialspace=skip, strict=True), [])
        except csv.Error:  # quotes end elsewhere: not this delimiter
            return [line]
    return line.split() if separator == " " else line.split(separator)


def _count_fields(data: bytes, separator: str) -> NDArray[np.int64]:
    raw = np.frombuffer(data, dtype=np.uint8)
    delimiters = np.flatnonzero(raw == ord(separator))
    ends = np.flatnonzero(raw == ord("\n"))
    return np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1


def _without_plain_quotes(data: bytes, separator: str) -> bytes:
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


def _parse_quoted(
    path: Path, data: bytes, numbers: NDArray[np.int64], separator: str
) -> tuple[list[list[str]], NDArray[np.int64]]:
    lines = data.decode().split("\n")[:-1]
    source = (line.strip(" ") + "\n" for line in lines) if separator == " " else (line + "\n" for line in lines)
    reader = csv.reader(source, delimiter=separator, skipinitialspace=separator == " ", strict=True)
    rows, starts = [], []
    start = 0
    try:
        for row in reader:
            rows.append(row)
            starts.append(start)
            start = reader.line_num
    except csv.Error as error:
        raise MalformedFile(
            f"{path.name}, line {numbers[start]}: a quoted name is not closed, or goes on after its quote: "
            f"{lines[start][:60]!r} ({error}). "
            'Write a quote inside a quoted name twice ("").'
        ) from error
    return rows, numbers[np.array(starts)]


def _refuse_ragged(
    path: Path, counts: NDArray[np.int64], numbers: NDArray[np.int64], width: int, separator: str
) -> None:
    ragged = np.flatnonzero(counts != width)
    if len(ragged):
        first = int(ragged[0])
        others = f" ({len(ragged)} such lines)" if len(ragged) > 1 else ""
        raise MalformedFile(
            f"{path.name}, line {numbers[first]}: {counts[first]} {_DELIMITER_NAMES.get(separator, repr(separator))}-"
            f"separated field(s), where most lines have {width}{others}. Complete the line, quote names that hold the "
            "delimiter, or settle it with --delimiter."
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.lower() not in _NUMBER_WORDS


def _stem(cell: str) -> str:
    return re.sub(r"\d+", "0", cell.lower())


def _is_header_word(cell: str) -> bool:
    """ "source", "gene_a", "FromNodeId", "user id 2": usual words, with usual qualifiers."""
    parts = [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+", cell)]
    words, qualifiers = set(_HEADER_WORDS.split()), set(_HEADER_QUALIFIERS.split())
    usual = [not words.isdisjoint({part, part.removesuffix("s"), part.removesuffix("id")}) for part in parts]
    return any(usual) and all(known or part in qualifiers for part, known in zip(parts, usual, strict=True))
