"""The figure of a comparison: a mark and an interval for each model, as SVG that a page or a paper can take."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from linkodds.comparison.protocols import TITLES
from linkodds.report.verdict import METRICS

BLUE, NEUTRAL, INK, GRID = "#0072B2", "#7A828C", "#1F2933", "#E3E7EB"
WIDTH, ROW, TOP, MARGIN = 720, 26, 16, 12
LETTER = 6.6
"""Pixels that a letter of the labels takes at most, on average."""


def metric_title(metric: str) -> str:
    """What people call a figure of comparison.json.

    Example:
        >>> metric_title("roc_auc"), metric_title("balanced_average_precision")
        ('ROC AUC', 'AP, 1:1')
    """
    return METRICS[metric][0] if metric in METRICS else TITLES[metric]


def draw_comparison(comparison: Mapping[str, Any]) -> str:
    """SVG: the first metric of every model with its interval and in digits; models as dots, baselines as squares.

    Args:
        comparison: comparison.json, parsed.
    """
    metric = comparison["protocol"]["metrics"][0]
    rows = [row for row in comparison["models"] if row["metrics"][metric]["value"] is not None]
    best = comparison["best_baseline"]["name"]
    digits = [_digits(row["metrics"][metric]) for row in rows]
    left = MARGIN + LETTER * max((len(row["name"]) for row in rows), default=0) + 12
    right = WIDTH - MARGIN - LETTER * max(map(len, digits), default=0) - 16
    bottom = TOP + ROW * len(rows)
    figure = _Figure(bottom + 92, _alternative(comparison, rows, metric))
    ticks = axis_ticks(*_limits([row["metrics"][metric] for row in rows]))

    def x_of(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (right - left)

    for tick in ticks:
        figure.line(x_of(tick), TOP, x_of(tick), bottom, GRID)
        figure.text(x_of(tick), bottom + 16, f"{tick:.{_decimals(ticks)}f}", anchor="middle")
    figure.line(left, bottom, right, bottom, INK)
    for row in rows:
        if row["name"] == best:
            at = x_of(row["metrics"][metric]["value"])
            figure.line(at, TOP, at, bottom, NEUTRAL, dashes="5 4")
    for place, (row, number) in enumerate(zip(rows, digits, strict=True)):
        y, found = TOP + ROW * (place + 0.5), row["metrics"][metric]
        colour = NEUTRAL if row["is_baseline"] else BLUE
        figure.text(left - 10, y + 4, row["name"], anchor="end")
        figure.text(WIDTH - MARGIN, y + 4, number, anchor="end")
        if found["low"] is not None:
            figure.line(x_of(found["low"]), y, x_of(found["high"]), y, colour, width=2)
            for end in (found["low"], found["high"]):
                figure.line(x_of(end), y - 4, x_of(end), y + 4, colour, width=2)
        figure.mark(x_of(found["value"]), y, colour, is_square=row["is_baseline"])
    over = f"{comparison['protocol']['splits']} {comparison['protocol']['name'].partition(',')[0]}"
    title = f"{metric_title(metric)}; mean and 95 % interval over {over}"
    figure.text((left + right) / 2, bottom + 40, title, anchor="middle")
    y, x = bottom + 70, MARGIN + 8.0
    for name, is_square, colour in (("model", False, BLUE), ("baseline", True, NEUTRAL)):
        figure.mark(x, y, colour, is_square=is_square)
        figure.text(x + 12, y + 4, name)
        x += 12 + LETTER * len(name) + 28
    figure.line(x, y, x + 26, y, NEUTRAL, dashes="5 4")
    figure.text(x + 34, y + 4, f"{best}, the baseline with the best {comparison['best_baseline']['chosen_by']}")
    return figure.svg()


class _Figure:
    """Lines, marks and text on white.

    Args:
        height: in pixels.
        alternative: what it shows, in words and numbers, for those who cannot see it.
    """

    def __init__(self, height: float, alternative: str) -> None:
        size = {"width": str(WIDTH), "height": f"{height:g}", "viewBox": f"0 0 {WIDTH} {height:g}"}
        look = {"font-family": "sans-serif", "font-size": "12", "fill": INK}
        self.root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"} | size | look)
        ElementTree.SubElement(self.root, "title").text = alternative
        self._add("rect", {"width": "100%", "height": "100%", "fill": "#FFFFFF"})

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dashes: str = "none"
    ) -> None:
        style = {"stroke": colour, "stroke-width": f"{width:g}", "stroke-dasharray": dashes}
        self._add("line", {"x1": f"{x1:.2f}", "y1": f"{y1:.2f}", "x2": f"{x2:.2f}", "y2": f"{y2:.2f}"} | style)

    def mark(self, x: float, y: float, colour: str, *, is_square: bool) -> None:
        if is_square:
            place = {"x": f"{x - 4.5:.2f}", "y": f"{y - 4.5:.2f}", "width": "9", "height": "9"}
            self._add("rect", place | {"fill": colour})
        else:
            self._add("circle", {"cx": f"{x:.2f}", "cy": f"{y:.2f}", "r": "5", "fill": colour})

    def text(self, x: float, y: float, words: str, *, anchor: str = "start") -> None:
        self._add("text", {"x": f"{x:.2f}", "y": f"{y:.2f}", "text-anchor": anchor}).text = words

    def svg(self) -> str:
        ElementTree.indent(self.root, " ")
        return ElementTree.tostring(self.root, encoding="unicode") + "\n"

    def _add(self, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
        return ElementTree.SubElement(self.root, tag, attributes)


def axis_ticks(low: float, high: float) -> list[float]:
    """Round numbers at equal steps of 1, 2 or 5 times a power of ten, four to seven, around `low` and `high`.

    Example:
        >>> [round(tick, 3) for tick in axis_ticks(0.113, 0.291)]
        [0.1, 0.15, 0.2, 0.25, 0.3]
    """
    span = (high - low) or abs(high) or 1.0
    low, high = (low, high) if high > low else (low - span / 2, high + span / 2)
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= span / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]


def _decimals(ticks: Sequence[float]) -> int:
    return max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))


def _limits(found: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    ends = [each[end] for each in found for end in ("value", "low", "high") if each[end] is not None]
    return (min(ends), max(ends)) if ends else (0.0, 1.0)


def _digits(found: Mapping[str, Any]) -> str:
    interval = "" if found["low"] is None else f" ({found['low']:.3g} to {found['high']:.3g})"
    return f"{found['value']:.3g}{interval}"


def _alternative(comparison: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    figures = "; ".join(f"{row['name']} {_digits(row['metrics'][metric])}" for row in rows)
    baseline = comparison["best_baseline"]
    return (
        f"{metric_title(metric)} of {len(rows)} models and baselines: {figures}. "
        f"The dashed line is {baseline['name']}, the baseline with the best {baseline['chosen_by']}."
    )
