"""The figure of a comparison: a dot and an interval for each model, as SVG that a page or a paper can take."""

import html
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from linkodds.comparison.protocols import TITLES
from linkodds.report.verdict import METRICS

BLUE, NEUTRAL = "#0072B2", "#7A828C"
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "linkodds", "font.family": "sans-serif", "font.size": 10}


def metric_title(metric: str) -> str:
    """What people call a figure of comparison.json.

    Example:
        >>> metric_title("roc_auc"), metric_title("balanced_average_precision")
        ('ROC AUC', 'AP, 1:1')
    """
    return METRICS[metric][0] if metric in METRICS else TITLES[metric]


def draw_comparison(comparison: Mapping[str, Any]) -> str:
    """SVG: the first metric of every model with its interval; models as dots, baselines as squares.

    Args:
        comparison: comparison.json, parsed.
    """
    metric = comparison["protocol"]["metrics"][0]
    rows = [row for row in comparison["models"] if row["metrics"][metric]["value"] is not None]
    best = comparison["best_baseline"]["name"]
    figure = Figure(figsize=(7, 1.1 + 0.3 * len(rows)), layout="constrained")
    with matplotlib.rc_context(_STYLE):
        axes = figure.subplots()
        for place, row in enumerate(rows):
            found, is_baseline = row["metrics"][metric], row["is_baseline"]
            colour, marker = (NEUTRAL, "s") if is_baseline else (BLUE, "o")
            if found["low"] is not None:
                axes.plot([found["low"], found["high"]], [place, place], color=colour, linewidth=2)
            axes.plot([found["value"]], [place], marker=marker, color=colour, linestyle="none")
            if row["name"] == best:
                axes.axvline(found["value"], color=NEUTRAL, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes.invert_yaxis()
        over = f"{comparison['protocol']['splits']} {comparison['protocol']['name'].partition(',')[0]}"
        axes.set_xlabel(f"{metric_title(metric)}; mean and 95 % interval over {over}")
        axes.spines[["top", "right"]].set_visible(False)
        return as_svg(figure, _alternative(comparison, rows, metric))


def as_svg(figure: Figure, alternative: str) -> str:
    """The figure as SVG, the same bytes for the same figure, with a text for those who cannot see it.

    Args:
        figure: to write.
        alternative: what it shows, in words and numbers.
    """
    with matplotlib.rc_context(_STYLE):
        figure.savefig(file := StringIO(), format="svg", metadata={"Date": None, "Creator": "linkodds"})
    head, start, rest = file.getvalue().partition("<svg ")
    attributes, end, body = rest.partition(">")
    return f'{head}{start}role="img" {attributes}{end}\n <title>{html.escape(alternative)}</title>{body}'


def _alternative(comparison: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], metric: str) -> str:
    figures = "; ".join(_in_words(row["name"], row["metrics"][metric]) for row in rows)
    baseline = comparison["best_baseline"]
    return (
        f"{metric_title(metric)} of {len(rows)} models and baselines: {figures}. "
        f"The dashed line is {baseline['name']}, the baseline with the best {baseline['chosen_by']}."
    )


def _in_words(name: str, found: Mapping[str, Any]) -> str:
    interval = "" if found["low"] is None else f" ({found['low']:.3g} to {found['high']:.3g})"
    return f"{name} {found['value']:.3g}{interval}"
