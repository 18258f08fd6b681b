"""What all figures share: numbers, axes, and how a page and a spreadsheet get them.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; every series also has its own symbol or dash.
Backgrounds are transparent, so that the page that shows a figure decides whether it is light or dark.
"""

import html
from collections.abc import Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

Figure = go.Figure
BLUE, VERMILLION, GREEN, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7"
NEUTRAL = "#7A828C"  # reference lines: readable on white and on near-black

DASHES = ("solid", "dash", "dot", "dashdot")


def figure_json(figure: go.Figure) -> str:
    r"""The figure as JSON that can stand inside an HTML script element: no character of it can end the element.

    Example:
        >>> text = figure_json(go.Figure(layout={"title": {"text": "</script>"}}))
        >>> "<" in text, "\\u003c" in text
        (False, True)
    """
    text: str = figure.to_json()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def plotly_js() -> str:
    """The plotting library, as its wheel ships it: what a page inlines once to show `figure_json` without a network.

    Line ends are the ones an HTML parser would make of them, so that a hash of the text holds in the browser.
    """
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")


HEADER = ("series", "x quantity", "x", "y quantity", "y", "low", "high", "label", "value")


def figure_rows(figure: go.Figure) -> Iterator[tuple[Any, ...]]:
    """Every plotted value, one row a point, with the columns of `HEADER`; what a trace does not have is None.

    `low` and `high` are the ends of its error bar, `label` its text, `value` the number that its colour stands for.

    Example:
        >>> figure = go.Figure(layout={"xaxis": {"title": {"text": "recall"}}})
        >>> _ = figure.add_scatter(x=[0.5], y=[2.0], name="a&lt;b", error_y={"array": [1.0], "arrayminus": [0.5]})
        >>> list(figure_rows(figure))
        [('a<b', 'recall', 0.5, None, 2.0, 1.5, 3.0, None, None)]
    """
    for trace in figure.data:
        x_name, y_name = (figure.layout[f"{end}axis{(trace[f'{end}axis'] or end)[1:]}"].title.text for end in "xy")
        if x_name is None and "xaxis2" in figure.layout:  # of two rows that share an axis the last one names it
            x_name = figure.layout["xaxis2"].title.text
        x_name, y_name = (name and name.split(" (")[0] for name in (x_name, y_name))  # without what explains it
        x, y = _column(trace.x), _column(trace.y)
        above, below = _column(trace.error_y.array), _column(trace.error_y.arrayminus)
        texts, numbers = _column(trace.text if not isinstance(trace.text, str) else None), _column(trace.customdata)
        for i in range(len(x)):
            bounds = (y[i] - below[i], y[i] + above[i]) if above and below else (None, None)
            label = html.unescape(texts[i]) if texts else None
            yield (
                html.unescape(trace.name or ""),
                x_name,
                x[i],
                y_name,
                y[i],
                *bounds,
                label,
                numbers[i] if numbers else None,
            )


def _column(values: Any) -> list[Any]:
    """Plain Python values; none for what is no column."""
    if values is None or np.ndim(values) != 1:
        return []
    return [None if isinstance(each, float) and np.isnan(each) else each for each in np.asarray(values).tolist()]


def new_figure() -> go.Figure:
    figure = go.Figure()
    set_style(figure, height=470)
    return figure


def set_style(figure: go.Figure, *, height: int) -> None:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 24, "b": 104},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
        hovermode="closest",
        legend={"orientation": "h", "x": 0, "xref": "container", "y": 0, "yref": "container", "yanchor": "bottom"},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    axis = {"zeroline": False, "ticks": "outside", "ticklen": 4, "automargin": True, "title": {"font": {"size": 13}}}
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)


def plain_label(text: str, limit: int = 60) -> str:
    """Text as plotly shows it: no markup of its own, no template fields, not longer than a legend bears."""
    text = "".join(character if character.isprintable() else " " for character in text)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return html.escape(text).replace("%{", "% {")
