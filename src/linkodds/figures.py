"""Figures: draw_* functions draw values that were computed elsewhere and return a plotly figure; they compute nothing.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; every series also has its own symbol or dash.
Backgrounds are transparent, so that the page that shows a figure decides whether it is light or dark.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

BLUE, VERMILLION, GREEN, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7"
NEUTRAL = "#7A828C"  # reference lines: readable on white and on near-black
MAX_EVENTS = 5  # more labels would cover each other
RARE = 0.02  # below this base rate precision is drawn on a log axis

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon", "x")
_MARKER_COLOURS = (VERMILLION, GREEN, ORANGE, PURPLE)
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class OperatingPoint:
    """Where a decision threshold lies on the curves.

    Args:
        label: the rule, as the user wrote it.
        recall: share of the held-out edges at or above the threshold, in [0, 1].
        precision: share of held-out edges among the candidates at or above it, None where nothing is.
        false_positive_rate: share of the non-edges at or above it, in [0, 1].
        threshold_probability: calibrated probability at the threshold.
    Example:
        >>> OperatingPoint("f1", 0.4, 0.35, 1e-3, 0.12).label
        'f1'
    """

    label: str
    recall: float
    precision: float | None
    false_positive_rate: float
    threshold_probability: float


def draw_precision_recall(
    recall: NDArray[np.float64],
    precision: NDArray[np.float64],
    *,
    prevalence: float,
    points: Sequence[OperatingPoint] = (),
) -> go.Figure:
    """Precision against recall, with the prevalence line (what a random order gives) and the decision thresholds.

    Args:
        recall: shape (points,), increasing, in [0, 1].
        precision: shape (points,), at the prevalence.
        prevalence: edges / candidates; below 0.02 the precision axis is logarithmic.
        points: thresholds to mark.
    Returns:
        The figure.
    Example:
        >>> figure = draw_precision_recall(np.array([0.5, 1.0]), np.array([1.0, 0.1]), prevalence=0.01)
        >>> [trace.name for trace in figure.data], figure.layout.yaxis.type
        (['model', 'random order: 0.01'], 'log')
    """
    figure = _figure()
    figure.add_scatter(
        x=recall,
        y=precision,
        name="model",
        mode="lines",
        line={"color": BLUE, "width": 2.5, "shape": "hv"},
        hovertemplate="recall %{x:.3f}, precision %{y:.3g}<extra></extra>",
    )
    figure.add_scatter(
        x=[0, 1],
        y=[prevalence, prevalence],
        name=f"random order: {prevalence:.3g}",
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )
    for index, point in enumerate(points):
        if point.precision is not None:
            _mark(figure, index, point, x=point.recall, y=point.precision, text="recall %{x:.3f}, precision %{y:.3g}")
    figure.update_xaxes(title_text="recall (share of held-out edges found)", range=[-0.01, 1.01])
    figure.update_yaxes(title_text="precision (share of edges in the list)")
    if prevalence < RARE:
        floor = min(prevalence, float(precision.min(initial=1.0)))
        figure.update_yaxes(type="log", range=[np.log10(floor) - 0.15, 0.05], dtick=1, tickformat="~g")
    else:
        figure.update_yaxes(range=[-0.01, 1.03])
    return figure


def draw_roc(
    false_positive_rate: NDArray[np.float64],
    recall: NDArray[np.float64],
    *,
    points: Sequence[OperatingPoint] = (),
) -> go.Figure:
    """Recall against the false positive rate on a log axis: at extreme imbalance all that matters is at the far left.

    Args:
        false_positive_rate: shape (points,), increasing, in [0, 1]; zeros cannot be drawn on the axis and are left out.
        recall: shape (points,).
        points: thresholds to mark.
    Example:
        >>> draw_roc(np.array([0.0, 0.1, 1.0]), np.array([0.2, 0.5, 1.0])).data[0].x
        array([0.1, 1. ])
    """
    visible = false_positive_rate > 0
    rate, found = false_positive_rate[visible], recall[visible]
    lowest = float(rate.min(initial=1.0))
    figure = _figure()
    figure.add_scatter(
        x=rate,
        y=found,
        name="model",
        mode="lines",
        line={"color": BLUE, "width": 2.5, "shape": "vh"},
        hovertemplate="false positive rate %{x:.3g}, recall %{y:.3f}<extra></extra>",
    )
    diagonal = np.geomspace(lowest, 1, 60) if lowest < 1 else np.array([1.0])
    figure.add_scatter(
        x=diagonal,
        y=diagonal,
        name="random order",
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )
    for index, point in enumerate(points):
        if point.false_positive_rate > 0:
            _mark(
                figure,
                index,
                point,
                x=point.false_positive_rate,
                y=point.recall,
                text="false positive rate %{x:.3g}, recall %{y:.3f}",
            )
    figure.update_xaxes(
        title_text="false positive rate (share of non-edges taken)", type="log", dtick=1, tickformat="~g"
    )
    figure.update_yaxes(title_text="recall (share of held-out edges found)", range=[-0.01, 1.03])
    return figure


def draw_gains(list_length: NDArray[np.float64], edges_found: NDArray[np.float64], *, prevalence: float) -> go.Figure:
    """Held-out edges found against the length of the list, both on log axes, with what a random order finds.

    Args:
        list_length: shape (points,), increasing: candidates at or above a threshold.
        edges_found: shape (points,): held-out edges among them.
        prevalence: edges / candidates.
    Example:
        >>> draw_gains(np.array([1.0, 50.0]), np.array([1.0, 9.0]), prevalence=0.01).data[0].y
        array([1., 9.])
    """
    figure = _figure()
    figure.add_scatter(
        x=list_length,
        y=edges_found,
        name="model",
        mode="lines",
        line={"color": BLUE, "width": 2.5},
        hovertemplate="%{y:,.0f} edges in the first %{x:,.0f} candidates<extra></extra>",
    )
    ends = np.array([1.0, list_length.max(initial=1.0)])
    for name, rate, dash in (("all of them", 1.0, "dot"), ("random order", prevalence, "dash")):
        figure.add_scatter(
            x=ends,
            y=rate * ends,
            name=name,
            mode="lines",
            line={"color": NEUTRAL, "width": 1.5, "dash": dash},
            hoverinfo="skip",
        )
    most = float(edges_found.max(initial=1.0))
    figure.update_xaxes(title_text="length of the list (candidates)", type="log", dtick=1)
    figure.update_yaxes(title_text="held-out edges in it", type="log", dtick=1, range=[-0.1, np.log10(most) + 0.2])
    return figure


def draw_reliability(
    predicted: NDArray[np.float64],
    observed: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    *,
    num_edges: NDArray[np.float64],
    num_candidates: NDArray[np.float64],
) -> go.Figure:
    """Observed rate against predicted probability, both on log axes, above the number of candidates and edges a bin.

    Args:
        predicted: shape (bins,), mean calibrated probability.
        observed: shape (bins,), edges / candidates; a bin without an edge is drawn as an arrow at its upper limit.
        low: shape (bins,), lower end of the 95 % Poisson interval of the observed rate.
        high: shape (bins,), upper end.
        num_edges: shape (bins,).
        num_candidates: shape (bins,).
    Example:
        >>> bins = np.array([0.01, 0.1])
        >>> observed, counts = np.array([0.0, 0.12]), np.array([10.0, 10.0])
        >>> figure = draw_reliability(bins, observed, 0 * bins, 2 * bins, num_edges=counts, num_candidates=counts)
        >>> [trace.name for trace in figure.data]
        ['identity', 'observed', 'no edge: upper limit', 'candidates', 'edges']
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.05)
    _style(figure, height=560)
    seen = observed > 0
    spread = np.concatenate([predicted, observed[seen], high[~seen]])
    ends = [float(spread.min(initial=1.0)) / 2, 1.0]
    figure.add_scatter(
        x=ends,
        y=ends,
        name="identity",
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=predicted[seen],
        y=observed[seen],
        name="observed",
        mode="markers",
        marker={"color": BLUE, "size": 9},
        error_y={
            "type": "data",
            "array": (high - observed)[seen],
            "arrayminus": (observed - low)[seen],
            "color": BLUE,
            "thickness": 1.5,
        },
        customdata=np.column_stack([num_edges, num_candidates])[seen],
        hovertemplate="predicted %{x:.3g}, observed %{y:.3g}<br>"
        "%{customdata[0]:,.0f} edges among %{customdata[1]:,.0f} candidates<extra></extra>",
        row=1,
        col=1,
    )
    if not seen.all():
        figure.add_scatter(
            x=predicted[~seen],
            y=high[~seen],
            name="no edge: upper limit",
            mode="markers",
            marker={"color": NEUTRAL, "size": 10, "symbol": "triangle-down-open"},
            hovertemplate="predicted %{x:.3g}, no edge seen, rate below %{y:.3g}<extra></extra>",
            row=1,
            col=1,
        )
    for name, counts, colour, symbol in (
        ("candidates", num_candidates, NEUTRAL, "square"),
        ("edges", num_edges, GREEN, "diamond"),
    ):
        there = counts > 0
        figure.add_scatter(
            x=predicted[there],
            y=counts[there],
            name=name,
            mode="lines+markers",
            marker={"color": colour, "symbol": symbol, "size": 7},
            line={"color": colour, "width": 1},
            hovertemplate=f"%{{y:,.0f}} {name} at %{{x:.3g}}<extra></extra>",
            row=2,
            col=1,
        )
    figure.update_xaxes(type="log", dtick=1, tickformat="~g")
    figure.update_xaxes(title_text="predicted probability", row=2, col=1)
    figure.update_yaxes(title_text="observed rate", type="log", dtick=1, tickformat="~g", row=1, col=1)
    figure.update_yaxes(title_text="number in bin", type="log", row=2, col=1, nticks=4)
    return figure


def draw_history(history: Mapping[str, Sequence[Any]], *, kept_epoch: int | None = None) -> go.Figure:
    """Loss terms above validation average precision, epoch by epoch; the kept epoch and every event are marked.

    Args:
        history: columns of equal length: epoch, any of loss, reconstruction, kl, validation_average_precision, event.
        kept_epoch: the epoch whose weights are the model.
    Example:
        >>> columns = {"epoch": [1, 2], "loss": [2.0, 1.0], "validation_average_precision": [None, 0.3]}
        >>> figure = draw_history(columns, kept_epoch=2)
        >>> [trace.name for trace in figure.data], figure.layout.shapes[0].x0
        (['loss', 'validation average precision'], 2)
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.5, 0.5], vertical_spacing=0.07)
    _style(figure, height=520)
    epochs = list(history["epoch"])
    largest, smallest = 0.0, np.inf
    for index, term in enumerate(name for name in ("loss", "reconstruction", "kl") if name in history):
        values = _numbers(history[term])
        if np.isnan(values).all():
            continue
        positive = values[values > 0]
        largest, smallest = max(largest, positive.max(initial=0.0)), min(smallest, positive.min(initial=np.inf))
        figure.add_scatter(
            x=epochs,
            y=values,
            name="KL term" if term == "kl" else term,
            mode="lines",
            line={"color": (BLUE, VERMILLION, PURPLE)[index % 3], "width": 2, "dash": _DASHES[index]},
            hovertemplate=f"epoch %{{x}}: {term} %{{y:.4g}}<extra></extra>",
            row=1,
            col=1,
        )
    validation = _numbers(history.get("validation_average_precision", []))
    there = np.flatnonzero(~np.isnan(validation))
    figure.add_scatter(
        x=[epochs[index] for index in there],
        y=validation[there],
        name="validation average precision",
        mode="lines+markers",
        marker={"color": GREEN, "size": 6},
        line={"color": GREEN, "width": 2},
        hovertemplate="epoch %{x}: average precision %{y:.4g}<extra></extra>",
        row=2,
        col=1,
    )
    if kept_epoch is not None:
        figure.add_vline(x=kept_epoch, line={"color": ORANGE, "width": 2, "dash": "dot"}, row="all", col=1)
        figure.add_annotation(
            x=kept_epoch,
            y=1,
            yref="y2 domain",
            xref="x2",
            text=f"kept: epoch {kept_epoch}",
            showarrow=False,
            yanchor="bottom",
            font={"size": 12},
        )
    num_marked = 0
    for epoch, event in zip(epochs, history.get("event", []), strict=False):
        if event and num_marked < MAX_EVENTS:
            num_marked += 1
            figure.add_vline(x=epoch, line={"color": NEUTRAL, "width": 1, "dash": "dash"}, row=1, col=1)
            figure.add_annotation(
                x=epoch,
                y=1,
                xref="x",
                yref="y domain",
                text=_label(str(event)),
                showarrow=False,
                yanchor="bottom",
                font={"size": 11},
            )
    # A spike of a hundredfold would flatten everything else on a linear axis.
    if smallest > 0 and largest > 100 * smallest:
        figure.update_yaxes(type="log", dtick=1, tickformat="~g", row=1, col=1)
    figure.update_xaxes(title_text="epoch", row=2, col=1)
    figure.update_yaxes(title_text="loss (nats a pair)", row=1, col=1)
    figure.update_yaxes(title_text="validation AP", rangemode="tozero", row=2, col=1)
    return figure


def figure_json(figure: go.Figure) -> str:
    r"""The figure as JSON that can stand inside an HTML script element: no character of it can end the element.

    Example:
        >>> figure = draw_history({"epoch": [1], "event": ["</script>"], "loss": [1.0]})
        >>> "<" in figure_json(figure), "\\u003c" in figure_json(go.Figure(layout={"title": {"text": "<b>"}}))
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


def _figure() -> go.Figure:
    figure = go.Figure()
    _style(figure, height=470)
    return figure


def _style(figure: go.Figure, *, height: int) -> None:
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


def _mark(figure: go.Figure, index: int, point: OperatingPoint, *, x: float, y: float, text: str) -> None:
    label = _label(point.label)
    figure.add_scatter(
        x=[x],
        y=[y],
        name=label,
        mode="markers",
        marker={
            "color": _MARKER_COLOURS[index % len(_MARKER_COLOURS)],
            "symbol": _SYMBOLS[index % len(_SYMBOLS)],
            "size": 18 - 1.5 * min(index, 6),  # rules that agree show as nested symbols
            "line": {"width": 1.5, "color": "#FFFFFF"},
        },
        hovertemplate=f"{label}: threshold {point.threshold_probability:.3g}<br>{text}<extra></extra>",
    )


def _label(text: str, limit: int = 60) -> str:
    """Text as plotly shows it: no markup of its own, no template fields, not longer than a legend bears."""
    text = "".join(character if character.isprintable() else " " for character in text)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return html.escape(text).replace("%{", "% {")


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None or value == "" else float(value) for value in column], dtype=np.float64)
