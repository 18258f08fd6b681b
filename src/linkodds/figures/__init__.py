"""Figures: draw_* functions draw values that were computed elsewhere and return a plotly figure; they compute nothing."""

from linkodds.figures.evaluation import (
    MarkedThreshold,
    draw_degree_calibration,
    draw_gains,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
)
from linkodds.figures.model import draw_embedding_map, draw_history
from linkodds.figures.style import HEADER, Figure, figure_json, figure_rows, plotly_js

__all__ = [
    "HEADER",
    "Figure",
    "MarkedThreshold",
    "draw_degree_calibration",
    "draw_embedding_map",
    "draw_gains",
    "draw_history",
    "draw_precision_recall",
    "draw_reliability",
    "draw_roc",
    "figure_json",
    "figure_rows",
    "plotly_js",
]
