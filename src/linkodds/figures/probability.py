"""Figures of probabilities: reliability, and what is expected by degree."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from linkodds.figures.style import BLUE, GREEN, NEUTRAL, new_figure, plain_label, set_style


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
