"""Numbers and foreign text as people read them: the same digits in the terminal, in the report and on the page."""

import math
import unicodedata
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
