"""Figures of a model: its training, and its embeddings in a plane."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from linkodds.figures.style import (
    BLUE,
    DASHES,
    GREEN,
    NEUTRAL,
    ORANGE,
    PURPLE,
    VERMILLION,
    new_figure,
    plain_label,
    set_style,
)

MAX_EVENTS = 5  # more labels would cover each other


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
    set_style(figure, height=520)
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
            line={"color": (BLUE, VERMILLION, PURPLE)[index % 3], "width": 2, "dash": DASHES[index]},
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
                text=plain_label(str(event)),
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


def _numbers(column: Sequence[Any]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None or value == "" else float(value) for value in column], dtype=np.float64)


def draw_embedding_map(places: NDArray[np.float64], degrees: NDArray[np.int64], names: Sequence[str]) -> go.Figure:
    """Nodes in a plane, coloured by degree on a log scale; large degrees are larger too, so that colour is not needed.

    Args:
        places: shape (nodes, 2).
        degrees: shape (nodes,), recorded edges of each node.
        names: of the nodes, as text that may hold anything.
    Example:
        >>> figure = draw_embedding_map(np.zeros((2, 2)), np.array([1, 9]), ["a", "<b>"])
        >>> figure.data[0].marker.color.round(2).tolist(), figure.data[0].text
        ([0.3, 1.0], ('a', '&lt;b&gt;'))
    """
    figure = new_figure()
    order = np.argsort(degrees, kind="stable")  # the few large ones on top
    tens = np.log10(degrees[order] + 1.0)
    most = max(float(tens.max(initial=0.0)), 1e-9)
    ticks = [d for d in (0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 100_000) if np.log10(d + 1.0) <= most + 1e-9]
    figure.add_scatter(
        x=places[order, 0],
        y=places[order, 1],
        name="nodes",
        text=[plain_label(names[i], 60) for i in order],
        customdata=degrees[order],
        mode="markers",
        marker={
            "color": tens,
            "cmin": 0.0,
            "colorscale": "Cividis",
            "size": 4 + 8 * tens / most,
            "opacity": 0.85,
            "line": {"width": 0.5, "color": NEUTRAL},
            "colorbar": {
                "title": {"text": "degree"},
                "tickvals": [float(np.log10(d + 1.0)) for d in ticks],
                "ticktext": [f"{d:,}" for d in ticks],
                "thickness": 12,
                "outlinewidth": 0,
            },
        },
        hovertemplate="%{text}: degree %{customdata:,}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(height=520, margin={"b": 24})
    figure.update_xaxes(showgrid=False, showline=False, showticklabels=False, ticks="")
    figure.update_yaxes(showgrid=False, showline=False, showticklabels=False, ticks="", scaleanchor="x")
    return figure
