"""Numbers and foreign text as people read them: the same in the terminal, the report and the page; and as safe CSV cells."""

import base64
import csv
import io
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

SEVERITIES = {"error": "✖", "warning": "▲", "info": "●"}
"""A sign beside each severity's own word, so that colour is never the only mark."""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_STEERING = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
)  # re-order or break a line


class HasInterval(Protocol):
    """What is shown of a measured quantity: its value with both ends of its interval, or the reason why there is none."""

    @property
    def value(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def reason(self) -> str | None: ...


def ratio_text(prevalence: float) -> str:
    """A prevalence in (0, 1] as one edge to so many absent pairs.

    Example:
        >>> ratio_text(1 / 80), ratio_text(0.4)
        ('1 : 79', '1 : 1.50')
    """
    return f"1 : {number_text((1 - prevalence) / prevalence)}" if prevalence > 0 else "no edge"


def number_text(value: float | None) -> str:
    """A number with three digits, or whole with grouped thousands; "n/a" for None.

    Example:
        >>> [number_text(x) for x in (0.12345, 78.47, 12345.6, 3, 0.0000123, None)]
        ['0.123', '78.5', '12,346', '3', '1.23×10⁻⁵', 'n/a']
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    if abs(value) >= 999.5 or value == int(value):
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}×10{str(int(exponent)).translate(_RAISED)}"
    return f"{value:#.3g}".rstrip(".")


def quantity_text(quantity: HasInterval | None) -> str:
    """A measured quantity with its 95 % interval, or why there is none.

    Example:
        >>> from linkodds.metrics.intervals import Quantity
        >>> quantity_text(Quantity(0.5, 0.4, 0.6)), quantity_text(Quantity.missing("no edge"))
        ('0.500 [0.400, 0.600]', 'n/a: no edge')
    """
    if quantity is None:
        return "n/a"
    bounds = f" {bounds_text(quantity)}" if interval_of(quantity) else ""
    if (value := number_of(quantity)) is not None:
        return f"{number_text(value)}{bounds}"
    return f"n/a{bounds}: {plain_text(quantity.reason)}" if quantity.reason else f"n/a{bounds}"


def bounds_text(quantity: HasInterval) -> str:
    """The interval of a measured quantity alone; why there is no value; or nothing.

    Example:
        >>> from linkodds.metrics.intervals import Quantity
        >>> bounds_text(Quantity(0.5, 0.4, 0.6)), bounds_text(Quantity.missing("no edge"))
        ('[0.400, 0.600]', 'no edge')
    """
    bounds = interval_of(quantity)
    if bounds is not None:
        return f"[{number_text(bounds[0])}, {number_text(bounds[1])}]"
    return plain_text(quantity.reason or "", 120)


def number_of(quantity: HasInterval | float | None) -> float | None:
    """The value of a measured quantity, or of a bare number; None where there is none.

    Example:
        >>> from linkodds.metrics.intervals import Quantity
        >>> number_of(Quantity(0.5, 0.4, 0.6)), number_of(2), number_of(Quantity.missing("no edge")), number_of(None)
        (0.5, 2.0, None, None)
    """
    value = getattr(quantity, "value", quantity)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def plain_text(value: Any, limit: int = 400) -> str:
    r"""Text from outside as it may be shown: no control or direction-changing characters, not longer than `limit`.

    Letters of every script stay; what would steer a terminal or re-order a line becomes a visible escape.

    Example:
        >>> plain_text("a\x1b[31mb\u202ec"), plain_text("x" * 1000, limit=5)
        ('a\\x1b[31mb\\u202ec', 'xxxx… (1000 characters)')
    """
    text = str(value)
    length = len(text)
    if length > limit:
        text = text[: limit - 1]
    shown = "".join(
        ascii(each)[1:-1] if unicodedata.category(each) in {"Cc", "Cs"} or each in _STEERING else each for each in text
    )
    return shown if length <= limit else f"{shown}… ({length} characters)"


def interval_of(quantity: HasInterval | None) -> tuple[float, float] | None:
    """Both ends of the 95 % interval of a measured quantity; None where it has none.

    Example:
        >>> from linkodds.metrics.intervals import Quantity
        >>> interval_of(Quantity(0.5, 0.4, 0.6)), interval_of(Quantity(0.5))
        ((0.4, 0.6), None)
    """
    if quantity is None or quantity.low is None or quantity.high is None:
        return None
    return float(quantity.low), float(quantity.high)


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
