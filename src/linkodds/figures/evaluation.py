"""Figures of an evaluation: precision and recall, ROC, gains by list length; reliability, and what is expected by degree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from linkodds.figures.style import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, VERMILLION, new_figure, plain_label, set_style

RARE = 0.02  # below this base rate precision is drawn on a log axis
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon", "x")
_MARKER_COLOURS = (VERMILLION, GREEN, ORANGE, PURPLE)


@dataclass(frozen=True)
class MarkedThreshold:
    """Where a decision threshold lies on the curves.

    Args:
        label: the rule, as the user wrote it.
        recall: share of the held-out edges at or above the threshold, in [0, 1].
        precision: share of held-out edges among the candidates at or above it, None where nothing is.
        false_positive_rate: share of the non-edges at or above it, in [0, 1].
        threshold_probability: calibrated probability at the threshold.
    Example:
        >>> MarkedThreshold("f1", 0.4, 0.35, 1e-3, 0.12).label
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
    points: Sequence[MarkedThreshold] = (),
    band: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> go.Figure:
    """Precision against recall, with the prevalence line (what a random order gives) and the decision thresholds.

    Args:
        recall: shape (points,), increasing, in [0, 1].
        precision: shape (points,), at the prevalence.
        prevalence: edges / candidates; below 0.02 the precision axis is logarithmic.
        points: thresholds to mark.
        band: recall, and both ends of the 95 % interval of the precision there; shape (ends,) each.
    Returns:
        The figure.
    Example:
        >>> figure = draw_precision_recall(np.array([0.5, 1.0]), np.array([1.0, 0.1]), prevalence=0.01)
        >>> [trace.name for trace in figure.data], figure.layout.yaxis.type
        (['model', 'random order: 0.01'], 'log')
    """
    figure = new_figure()
    if band is not None:
        for name, ends in (("95 % interval, low end", band[1]), ("95 % interval, high end", band[2])):
            figure.add_scatter(
                x=band[0],
                y=ends,
                name=name,
                mode="lines",
                line={"color": BLUE, "width": 1, "dash": "dot"},
                fill=None if ends is band[1] else "tonexty",
                fillcolor="rgba(0, 114, 178, 0.15)",
                showlegend=False,
                hoverinfo="skip",
            )
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
        lowest = precision if band is None else np.append(precision, band[1][band[1] > 0])
        floor = max(min(prevalence, float(lowest.min(initial=1.0))), prevalence / 10)
        figure.update_yaxes(type="log", range=[np.log10(floor) - 0.15, 0.05], dtick=1, tickformat="~g")
    else:
        figure.update_yaxes(range=[-0.01, 1.03])
    return figure


def draw_roc(
    false_positive_rate: NDArray[np.float64],
    recall: NDArray[np.float64],
    *,
    points: Sequence[MarkedThreshold] = (),
    log: bool = True,
) -> go.Figure:
    """Recall against the false positive rate: at extreme imbalance all that matters is at the far left.

    Args:
        false_positive_rate: shape (points,), increasing, in [0, 1].
        recall: shape (points,).
        points: thresholds to mark.
        log: whether the axis of the rate is logarithmic; zeros cannot be drawn on it and are left out.
    Example:
        >>> draw_roc(np.array([0.0, 0.1, 1.0]), np.array([0.2, 0.5, 1.0])).data[0].x
        array([0.1, 1. ])
    """
    visible = false_positive_rate > (0 if log else -1)
    rate, found = false_positive_rate[visible], recall[visible]
    lowest = float(rate.min(initial=1.0))
    figure = new_figure()
    figure.add_scatter(
        x=rate,
        y=found,
        name="model",
        mode="lines",
        line={"color": BLUE, "width": 2.5, "shape": "vh"},
        hovertemplate="false positive rate %{x:.3g}, recall %{y:.3f}<extra></extra>",
    )
    if log:
        diagonal = np.geomspace(lowest, 1, 60) if lowest < 1 else np.array([1.0])
    else:
        diagonal = np.array([0.0, 1.0])
        rate, found = np.concatenate([[0.0], rate]), np.concatenate([[0.0], found])
    figure.add_scatter(
        x=diagonal,
        y=diagonal,
        name="random order",
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )
    for index, point in enumerate(points):
        if point.false_positive_rate > 0 or not log:
            _mark(
                figure,
                index,
                point,
                x=point.false_positive_rate,
                y=point.recall,
                text="false positive rate %{x:.3g}, recall %{y:.3f}",
            )
    figure.update_xaxes(title_text="false positive rate (share of non-edges taken)")
    figure.update_xaxes({"type": "log", "dtick": 1, "tickformat": "~g"} if log else {"range": [-0.01, 1.01]})
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
    figure = new_figure()
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


def _mark(figure: go.Figure, index: int, point: MarkedThreshold, *, x: float, y: float, text: str) -> None:
    label = plain_label(point.label)
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
    set_style(figure, height=560)
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


def draw_degree_calibration(
    names: Sequence[str],
    observed_over_expected: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> go.Figure:
    """Observed / expected edges in classes by degree, on a log axis with the line at 1.

    Args:
        names: of the classes, from the fewest degrees up.
        observed_over_expected: shape (classes,); NaN where a class has none.
        low: shape (classes,), lower end of the 95 % interval.
        high: shape (classes,), upper end.
    Example:
        >>> figure = draw_degree_calibration(["low", "high"], np.array([0.5, 1.1]), np.array([0.2, 1]), np.array([1, 1.3]))
        >>> [trace.name for trace in figure.data], figure.layout.yaxis.type
        (['as expected', 'observed / expected'], 'log')
    """
    figure = new_figure()
    places = list(range(len(names)))
    labels = [plain_label(name, 24) for name in names]
    figure.add_scatter(
        x=[-0.5, len(names) - 0.5],
        y=[1, 1],
        name="as expected",
        mode="lines",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dash"},
        hoverinfo="skip",
    )
    there = observed_over_expected > 0  # a class without an observed edge has no place on this axis
    middle = observed_over_expected[there]
    figure.add_scatter(
        x=np.array(places)[there],
        y=middle,
        text=[labels[i] for i in np.flatnonzero(there)],
        name="observed / expected",
        mode="markers",
        marker={"color": BLUE, "size": 11, "symbol": "diamond"},
        error_y={
            "type": "data",
            "array": high[there] - middle,
            "arrayminus": middle - low[there],
            "color": BLUE,
            "thickness": 1.5,
        },
        hovertemplate="%{text}: observed / expected %{y:.3g}<extra></extra>",
    )
    ends = np.concatenate([[0.5, 2.0], middle, low[there][low[there] > 0], high[there]])
    reach = [np.log10(max(float(ends.min()) / 1.2, 0.02)), np.log10(min(float(ends.max()) * 1.2, 50.0))]
    figure.update_xaxes(title_text="fifth of the edges, by degree product", tickvals=places, ticktext=labels)
    figure.update_yaxes(title_text="observed / expected edges", type="log", range=reach, tickformat="~g", nticks=8)
    return figure
