"""CSV that a spreadsheet may open: ids are anybody's text, and a cell that begins with = would be computed."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from linkodds.links.spreadsheets import without_formula


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
