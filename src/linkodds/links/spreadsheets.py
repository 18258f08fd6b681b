"""Spreadsheets: CSV that a spreadsheet program shows and never runs."""

import base64
import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from linkodds.formatting import plain_text

MAX_CELL = 1_000
# What makes a cell a formula, at its begin or behind anything that some program takes for a separator.
_FORMULA = re.compile(r"(^|[;,|\t\r\n\"'])(\s*)(?=[=+\-@＝＋－＠])")


def without_formula(text: str) -> str:
    """Text with an apostrophe before what a spreadsheet would take for a formula; nothing is cut.

    Example:
        >>> without_formula("=HYPERLINK(1)"), without_formula("-5"), without_formula("TP53"), without_formula("a;=1")
        ("'=HYPERLINK(1)", "'-5", 'TP53', "a;'=1")
    """
    return _FORMULA.sub(r"\1\2'", text)


def safe_cell(text: Any) -> str:
    r"""Foreign text as a cell: an apostrophe before what would be a formula, control characters as visible escapes.

    Example:
        >>> safe_cell("=HYPERLINK(1)"), safe_cell("a;=1"), safe_cell("p53-like"), safe_cell("\t@x")
        ("'=HYPERLINK(1)", "a;'=1", 'p53-like', '\\t@x')
    """
    return without_formula(plain_text(text, MAX_CELL))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""A table as CSV: numbers with ten digits, None as an empty cell, everything else through `safe_cell`.

    Example:
        >>> csv_text(["id", "logit"], [["=1+1", -0.5], ['a"b,c', None]])
        'id,logit\r\n\'=1+1,-0.5\r\n"a""b,c",\r\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([safe_cell(name) for name in header])
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return buffer.getvalue()


def data_url(text: str) -> str:
    """CSV as an address that a link can hold, so that a page needs no script and no server to offer it.

    Example:
        >>> data_url("a")
        'data:text/csv;charset=utf-8;base64,YQ=='
    """
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode("utf-8", "backslashreplace")).decode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return f"{value:.10g}" if isinstance(value, float) else safe_cell(value)


def safe_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    r"""A table as CSV in UTF-8: text quoted, nothing that a spreadsheet would compute, empty cells for None.

    Example:
        >>> safe_csv(["source", "logit"], [["=1+1", -0.5], ['a"b', None]])
        b'"source","logit"\r\n"\'=1+1",-0.5\r\n"a""b",""\r\n'
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([without_formula(value) if isinstance(value, str) else value for value in row] for row in rows)
    return buffer.getvalue().encode("utf-8", errors="backslashreplace")
