"""CSV that a spreadsheet may open: ids are anybody's text, and a cell that begins with = would be computed."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_STARTS_A_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def safe_cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula, with an apostrophe before it; all else as it is.

    Example:
        >>> safe_cell("=HYPERLINK(1)"), safe_cell("-5"), safe_cell(-5.0), safe_cell("TP53"), safe_cell(" +1")
        ("'=HYPERLINK(1)", "'-5", -5.0, 'TP53', "' +1")
    """
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def _is_formula(text: str) -> bool:
    """Some programs skip blanks before the sign."""
    return text.startswith(_STARTS_A_FORMULA) or text.lstrip().startswith(_STARTS_A_FORMULA)


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
