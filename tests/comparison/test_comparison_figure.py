"""The figure of a comparison: marks stand where the axis says, and nothing is written over anything else."""

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from linkodds.comparison.comparison_figure import LETTER, WIDTH, axis_ticks, draw_comparison

SVG = "{http://www.w3.org/2000/svg}"


def row(name: str, value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    found = {"value": value, "low": low, "high": high}
    return {"name": name, "is_baseline": name != "gae", "metrics": {"roc_auc": found}}


def figure_of(*rows: dict[str, Any]) -> ElementTree.Element:
    comparison = {
        "protocol": {"metrics": ["roc_auc"], "splits": 3, "name": "random splits, as ever"},
        "models": rows,
        "best_baseline": {"name": "l3", "chosen_by": "mean validation ROC AUC"},
    }
    return ElementTree.fromstring(draw_comparison(comparison))


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


ROWS = row("gae", 0.75, 0.7, 0.8), row("l3", 0.6), row("resource-allocation", 0.65, 0.61, 0.69), row("ppr", None)


def test_marks_and_intervals_stand_at_their_values_on_the_axis() -> None:
    figure = figure_of(*ROWS)
    labels = [text for text in figure.iter(f"{SVG}text") if text.attrib["text-anchor"] == "middle"]
    ticks = {float(text.text or ""): float(text.attrib["x"]) for text in labels[:-1]}  # the last is the axis title
    (low, x_low), *_, (high, x_high) = sorted(ticks.items())

    def x_of(value: float) -> Any:
        return pytest.approx(x_low + (value - low) / (high - low) * (x_high - x_low), abs=0.02)

    model, *_ = figure.iter(f"{SVG}circle")
    assert float(model.attrib["cx"]) == x_of(0.75)
    squares = [each for each in figure.iter(f"{SVG}rect") if each.attrib["width"] == "9"]
    assert [float(each.attrib["x"]) + 4.5 for each in squares[:2]] == [x_of(0.6), x_of(0.65)]
    bars = [numbers(line, "x1", "x2") for line in figure.iter(f"{SVG}line") if line.attrib["stroke-width"] == "2"]
    assert [bar for bar in bars if bar[0] != bar[1]] == [[x_of(0.7), x_of(0.8)], [x_of(0.61), x_of(0.69)]]
    dashed = [numbers(line, "x1", "x2") for line in figure.iter(f"{SVG}line") if "4" in line.attrib["stroke-dasharray"]]
    assert dashed[0] == [x_of(0.6), x_of(0.6)]


def test_no_text_runs_into_another_or_out_of_the_figure() -> None:
    figure = figure_of(*ROWS, row("a-model-whose-name-is-long", 0.123456, 0.111111, 0.133333))
    lines: dict[float, list[tuple[float, float]]] = {}
    for text in figure.iter(f"{SVG}text"):
        x, y = numbers(text, "x", "y")
        width = LETTER * len(text.text or "")
        start = x - {"start": 0.0, "middle": width / 2, "end": width}[text.attrib["text-anchor"]]
        lines.setdefault(y, []).append((start, start + width))
    for spans in map(sorted, lines.values()):
        assert spans[0][0] >= 0
        assert spans[-1][1] <= WIDTH
        assert all(before[1] < after[0] for before, after in pairwise(spans))


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.113, 0.291), (-0.0043, 0.058), (0.5, 0.5), (0.0, 0.0), (3, 1e6)]
)
def test_ticks_enclose_what_is_drawn_at_equal_round_steps(low: float, high: float) -> None:
    ticks = axis_ticks(low, high)
    steps = [after - before for before, after in pairwise(ticks)]
    assert 3 <= len(ticks) <= 8
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert steps == pytest.approx([steps[0]] * len(steps))
