"""CSV that a spreadsheet may open: ids are anybody's text, and a cell that begins with = would be computed."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

# What makes a cell a formula, at its begin or behind anything that some program takes for a separator or a quote.
_FORMULA = re.compile(r"(^|[;,|\t\r\n\"'])(\s*)(?=[=+\-@＝＋－＠])")


def safe_cell(value: Any) -> Any:
    """Text with an apostrophe before what a spreadsheet would take for a formula; nothing is cut. All else as it is.

    Example:
        >>> safe_cell("=HYPERLINK(1)"), safe_cell("-5"), safe_cell(-5.0), safe_cell("TP53"), safe_cell("a;=1")
        ("'=HYPERLINK(1)", "'-5", -5.0, 'TP53', "a;'=1")
    """
    return _FORMULA.sub(r"\1\2'", value) if isinstance(value, str) else value


def safe_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    r"""A table as CSV in UTF-8: text quoted, nothing that a spreadsheet would compute, empty cells for None.

    Example:
        >>> safe_csv(["source", "logit"], [["=1+1", -0.5], ['a"b', None]])
        b'"source","logit"\r\n"\'=1+1",-0.5\r\n"a""b",""\r\n'
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    return buffer.getvalue().encode("utf-8", errors="backslashreplace")
