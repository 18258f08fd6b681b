"""Delimited text: delimiter, header, comments and quotes are found out from the lines; every error names its line."""

import ast
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import MalformedFile, OptionError
from linkodds.findings import Finding
from linkodds.reading.headers import are_names, looks_like_header
from linkodds.reading.samples import Part
from linkodds.reading.tables import Table, read_bytes, read_parquet, unpacked_name
from linkodds.reading.text_lines import (
    Lines,
    as_text,
    count_fields,
    cut_attributes,
    end_of_line,
    fields,
    split_lines,
    tabs_for_blanks,
    without_plain_quotes,
)

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".tab2", ".tab3", ".edges", ".edgelist", ".el", ".links", ".dat")
"""Of delimited text; .gz, .bz2, .xz or .zst may stand behind."""

_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "blank": " ", "space": " "}
_DELIMITER_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "pipe", " ": "blank"}
_SAMPLE = 1000  # lines that settle delimiter and header


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

    Blank lines and comments are skipped, a byte order mark and carriage returns are taken away, and blanks around a cell
    are not part of it. The delimiter is the one of tab, comma, semicolon, `|` and runs of blanks that gives most lines the
    same number of fields, two or more. Which lines that begin with # or % are rows is told in `text_lines.split_lines`.

    The first line is a header when a column was asked for by a name that it holds, or when it looks like one: the rule is
    in `headers.looks_like_header`. A comment line right above the rows is the header where it has as many names as they
    have fields, two usual ones among them, as BioGRID and STRING write it. A header that lacks the first name, as R
    writes it, is of the columns after the first.

    Args:
        path: .csv, .tsv, .txt (also .gz) or .parquet.
        header: None detects it.
        delimiter: one character, or "tab", "blank", ...; None detects it.
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


def table_of_text(
    path: Path,
    data: bytes,
    *,
    header: bool | None = None,
    delimiter: str | None = None,
    ids: Sequence[str | int | None] = (None,),
    named: Sequence[str | int | None] = (),
    lines_before: int = 0,
    some: Part | None = None,
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
        some: which lines of a file these are, where they are not one piece of it.
    Raises:
        MalformedFile: as `read_table`.
        OptionError: likewise.
    Example:
        >>> table_of_text(Path("edges.csv"), b"a,b\\nc,d\\n", header=False, ids=(None, None)).load([0, 1]).rows()
        [('a', 'b'), ('c', 'd')]
    """
    separator = _check_delimiter(delimiter)
    text_data = as_text(path, data, lines_before if some is None else some.numbers)
    lines = cut_attributes(split_lines(path, text_data, separator))
    numbers = lines.numbers + lines_before if some is None else some.numbers[lines.numbers - 1]
    if separator is None and _has_double_colons(lines.head(100)):
        lines = replace(lines, data=lines.data.replace(b"::", b"\t"))
    by = separator or _sniff_delimiter(path, lines.head(_SAMPLE)[:100], int(numbers[0]))
    said = f"{_DELIMITER_NAMES.get(by, repr(by))}-separated"
    text = _split_rows(path, lines.data, numbers, by, header)
    width, numbers = text.width, text.numbers
    if width < len(ids):
        raise MalformedFile(
            f"{path.name}, line {numbers[0]}: one column only, {text.head[0][0]!r}. "
            f"Expected at least {len(ids)} columns, separated by tab, comma, semicolon, | or blanks; "
            "settle it with --delimiter."
        )
    asked = [str(name) for name in (*ids, *named) if name is not None and not str(name).isdigit()]
    above, counted = None, False
    if header is None:
        header = any(name in text.head[0] for name in asked) or looks_like_header(text.head, num_ids=len(ids))
        above = None if header else _names_above(lines.above, by, width, asked)
        others = 0 if some is None or some.total is None else some.total - len(some.numbers)
        counted = not header and _counts_rows(text.head, len(numbers) + others)
    names = text.head[0] if header else above or [str(i + 1) for i in range(width)]
    keys = _attribute_names(lines.attributes)
    skipped = int(header or counted)
    if len(numbers) == skipped:
        cure = "It needs rows." if asked else "Pass --no-header if it is data."
        raise MalformedFile(f"{path.name}: a header line ({', '.join(names[:5])}) and no row below it. {cure}")

    def finish(frame: pl.DataFrame, positions: list[int], rows: NDArray[np.int64] | None) -> pl.DataFrame:
        frame = frame.select(pl.all().str.strip_chars().fill_null(""))
        for i in positions:
            if i >= width:  # an attribute of write_edgelist
                cells = lines.attributes if rows is None else [lines.attributes[row] for row in rows.tolist()]
                frame = frame.with_columns(pl.Series(str(i), _attribute(cells, keys[i - width]), dtype=pl.String))
        return frame.select([str(i) for i in positions])

    def load(positions: list[int]) -> pl.DataFrame:
        frame = text.columns([i for i in positions if i < width] or [0]).slice(skipped)
        return finish(frame, positions, None)

    def pick(rows: NDArray[np.int64]) -> pl.DataFrame:
        return finish(text.rows(rows + skipped), list(range(width + len(keys))), rows)

    layout = f"{said}, {'with' if header else 'without'} header"
    if above is not None:
        layout = f"{said}, names from the comment line above the rows"
    layout += f", below a line that counts {text.head[0][0]} nodes and {text.head[0][1]} edges" if counted else ""
    comments = lines.num_comments - (above is not None)
    layout += f", {comments} comment line(s) skipped" if comments else ""
    return Table(
        path.name,
        (*names, *keys),
        layout,
        "line",
        numbers[skipped:],
        load,
        pick=pick,
        comments=lines.above,
        notes=_notes(path, lines),
        format=f"{said} text",
        delimiter=_DELIMITER_NAMES.get(by, by),
        header=header or above is not None,
    )


@dataclass(frozen=True)
class _Rows:
    """Rows of text, split into fields when asked for.

    Args:
        numbers: shape (rows,), the line of each.
        width: fields of a row.
        head: cells of the first rows, stripped.
        columns: all rows of some columns.
        rows: some rows of all columns.
    """

    numbers: NDArray[np.int64]
    width: int
    head: list[list[str]]
    columns: Callable[[list[int]], pl.DataFrame]
    rows: Callable[[NDArray[np.int64]], pl.DataFrame]


def _split_rows(path: Path, data: bytes, numbers: NDArray[np.int64], separator: str, header: bool | None) -> _Rows:
    data = without_plain_quotes(data, separator)
    if b'"' in data:
        rows, numbers = _parse_quoted(path, data, numbers, separator)
        counts = np.array([len(row) for row in rows])
        width = _width(counts)
        if _lacks_a_name(counts, rows[0], header):
            rows[0], counts = ["", *rows[0]], counts.copy()
            counts[0] = width
        _refuse_ragged(path, counts, numbers, width, separator)
        return _Rows(
            numbers,
            width,
            [[cell.strip() for cell in row] for row in rows[:_SAMPLE]],
            lambda positions: _frame_of(rows, positions),
            lambda chosen: _frame_of([rows[i] for i in chosen.tolist()], list(range(width))),
        )
    given = separator
    if separator == " ":
        data, separator = tabs_for_blanks(data), "\t"
    counts = count_fields(data, separator)
    if (counts != counts[0]).any() and _lacks_a_name(counts, _first_row(data, separator), header):
        data, counts = separator.encode() + data, counts.copy()
        counts[0] += 1
    width = _width(counts)
    _refuse_ragged(path, counts, numbers, width, given)
    head = [line.split(separator) for line in data[: end_of_line(data, _SAMPLE)].decode().split("\n")[:-1]]

    def columns(positions: list[int]) -> pl.DataFrame:
        return _parse(data, separator, positions)

    def rows_of(chosen: NDArray[np.int64]) -> pl.DataFrame:
        ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == ord("\n")) + 1
        starts = np.where(chosen > 0, ends[chosen - 1], 0)
        some = b"".join(data[i:j] for i, j in zip(starts.tolist(), ends[chosen].tolist(), strict=True))
        return _parse(some, separator, list(range(width)))

    stripped = [[cell.strip() for cell in row] for row in head]
    return _Rows(numbers, width, stripped, columns, rows_of)


def _parse(data: bytes, separator: str, positions: list[int]) -> pl.DataFrame:
    # Quotes are handled before and comments are gone, so nothing is left for the parser to interpret.
    frame = pl.read_csv(
        io.BytesIO(data),
        has_header=False,
        separator=separator,
        quote_char=None,
        infer_schema=False,
        columns=sorted(positions),
    )
    return frame.rename(dict(zip(frame.columns, map(str, sorted(positions)), strict=True)))


def _frame_of(rows: list[list[str]], positions: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {str(i): [row[i] for row in rows] for i in positions}, schema=dict.fromkeys(map(str, positions), pl.String)
    )


def _first_row(data: bytes, separator: str) -> list[str]:
    return data[: data.find(b"\n")].decode().split(separator)


def _width(counts: NDArray[np.int64]) -> int:
    return int(Counter(counts[:_SAMPLE].tolist()).most_common(1)[0][0])


def _lacks_a_name(counts: NDArray[np.int64], first: list[str], header: bool | None) -> bool:
    """Whether all rows but the first have one field more: R leaves the name of row names out."""
    if header is False or len(counts) < 2 or (counts[1:] != counts[0] + 1).any():
        return False
    return header is True or are_names(first)


def _has_double_colons(lines: list[str]) -> bool:
    """Whether fields are separated by ::, as those of MovieLens, and by nothing else."""
    counts = {line.count("::") for line in lines}
    return len(counts) == 1 and counts != {0} and not any(mark in line for line in lines for mark in "\t,;| ")


def _counts_rows(head: list[list[str]], num_rows: int) -> bool:
    """Whether the first row is no edge but the numbers of nodes and of edges, as many programs write and take them."""
    if num_rows < 4 or not all(cell.isdigit() for row in head for cell in row[:2]):
        return False
    nodes, edges = map(int, head[0][:2])
    return edges == num_rows - 1 and nodes >= max(int(cell) for row in head[1:] for cell in row[:2])


def _names_above(above: tuple[str, ...], separator: str, width: int, asked: list[str]) -> list[str] | None:
    """The names in the last comment line that says something, where it has one for each field.

    A mark that stands alone is not part of them.
    """
    told = [line for line in above if line.strip("#% \t")]  # CTD has a # alone below the names
    if not told:
        return None
    line = re.sub(r"^[#%]+\s+", "", told[-1])
    names = [cell.strip() for cell in fields(line, separator)]
    if len(names) == width and width > 1 and (are_names(names) or any(name in names for name in asked)):
        return names
    return None


def _attribute_names(attributes: tuple[bytes, ...]) -> list[str]:
    names: dict[str, None] = {}
    for text in attributes[:100]:
        names |= dict.fromkeys(map(str, _literal(text)))
    return list(names)


def _attribute(attributes: Sequence[bytes], name: str) -> list[str]:
    return [str(_literal(text).get(name, "")) for text in attributes]


def _literal(text: bytes) -> dict[Any, Any]:
    try:
        value = ast.literal_eval(text.decode())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _notes(path: Path, lines: Lines) -> tuple[Finding, ...]:
    found = []
    if lines.num_marked:
        message = (
            f"{path.name}: {lines.num_marked} line(s) that begin with # or % are read as rows, with ids that begin so."
        )
        remedy = "If they are comments, or edges that somebody took out, delete them, or put a blank behind the mark."
        found.append(Finding("reading", "warning", message, remedy, float(lines.num_marked)))
    return tuple(found)


def _check_delimiter(delimiter: str | None) -> str | None:
    if delimiter is None:
        return None
    single = _DELIMITERS.get(delimiter, delimiter)
    if len(single) != 1 or not single.isascii() or single in '"#\n\r':
        accepted = ", ".join(_DELIMITER_NAMES.values())
        raise OptionError(f"--delimiter takes one character (not a quote or #), or {accepted}; not {delimiter!r}.")
    return single


def _sniff_delimiter(path: Path, lines: list[str], first_line: int) -> str:
    best, best_share = "", 0.0
    for separator in _DELIMITER_NAMES:
        counts = Counter(len(fields(line, separator)) for line in lines)
        width, count = counts.most_common(1)[0]
        if width >= 2 and count / len(lines) > best_share:
            best, best_share = separator, count / len(lines)
    if not best:
        raise MalformedFile(
            f"{path.name}, line {first_line}: one column only, {lines[0][:60]!r}. "
            "Expected two columns or more, separated by tab, comma, semicolon, | or blanks; settle it with --delimiter."
        )
    return best


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
        alone = len(ragged) == 1 and first == 0
        cure = "Delete it if it counts or describes the rows below, complete" if alone else "Complete"
        raise MalformedFile(
            f"{path.name}, line {numbers[first]}: {counts[first]} {_DELIMITER_NAMES.get(separator, repr(separator))}-"
            f"separated field(s), where most lines have {width}{others}. {cure} the line, quote names that hold the "
            "delimiter, or settle it with --delimiter."
        )
