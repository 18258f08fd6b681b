"""The figures of a report: what each shows, what it says in words, and its values as CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from markupsafe import Markup

from linkodds import figures
from linkodds.evaluation.curves import Curves
from linkodds.evaluation.evaluation import Evaluation
from linkodds.figures import MarkedThreshold
from linkodds.formatting import csv_text, data_url, interval_of, number_of, number_text, plain_text, quantity_text
from linkodds.report.report_data import ReportData

MAX_EPOCHS = 500
"""A longer history is thinned: a page that holds thousands of rows cannot be mailed."""


class ReportSource(Protocol):
    """What a report reads of a run; a saved run offers it, and so can anything else."""

    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def evaluation(self) -> Evaluation: ...
    @property
    def history(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def curves(self) -> Curves: ...
    @property
    def cost(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page holds it.

    Args:
        title: for who cannot see it.
        json: for the plotting library; no character of it can end a script element.
        caption: its numbers in words.
        csv: every plotted value, as the address of a download.
    """

    title: str
    json: Markup
    caption: str
    csv: str


def draw_all(run: ReportSource, data: ReportData) -> dict[str, PageFigure]:
    """The figures by name, in the order of the page; without `history` or `embedding_map` where there is none."""
    drawn = {
        **_ranking_figures(run, data),
        "reliability": _reliability(run),
        **_degrees(run),
    }
    if run.history.get("epoch"):
        drawn["history"] = _history(run)
    if not isinstance(data.embedding_map, str):
        drawn["embedding_map"] = _embedding_map(data)
    return drawn


def threshold_csv(threshold: Mapping[str, Any]) -> str:
    """What the threshold control shows at each of its places, as the address of a download."""
    columns: dict[str, Sequence[Any]] = {"threshold_logit": threshold["threshold_logit"]}
    for rate in threshold["rates"]:
        columns |= {f"{name}, {rate['name']}": values for name, values in rate.items() if isinstance(values, list)}
    return data_url(csv_text(list(columns), zip(*columns.values(), strict=True)))


def _drawn(title: str, figure: figures.Figure, caption: str, more: Sequence[Sequence[Any]] = ()) -> PageFigure:
    csv = csv_text(figures.HEADER, [*figures.figure_rows(figure), *more])
    return PageFigure(title, Markup(figures.figure_json(figure)), caption, data_url(csv))


def _ranking_figures(run: ReportSource, data: ReportData) -> dict[str, PageFigure]:
    evaluation, curves = run.evaluation, run.curves
    metrics, prevalence = evaluation.metrics, evaluation.candidates["prevalence"]
    num_edges = evaluation.candidates["num_edges"]
    non_edges = evaluation.candidates["num_pairs"] - num_edges
    points = _marked(evaluation)
    marked = "; ".join(
        f"{point.label}: precision {number_text(point.precision)} at recall {number_text(point.recall)}"
        for point in points
    )
    band = data.precision_band
    precision_recall = figures.draw_precision_recall(
        curves.recall, curves.precision, prevalence=prevalence, points=points, band=(band.recall, band.low, band.high)
    )
    roc_axes = {
        log: figures.draw_roc(curves.false_positive_rate, curves.recall, points=points, log=log)
        for log in (False, True)
    }
    return {
        "precision_recall": _drawn(
            "Precision and recall",
            precision_recall,
            f"Average precision {quantity_text(metrics['average_precision'])}; a random order gives "
            f"{number_text(prevalence)} (dashed). The band holds 95 % intervals of the precision, each at a threshold of "
            f"its own. Thresholds, fixed on calibration: {marked or 'none'}.",
        ),
        "roc": _drawn(
            "ROC curve on linear axes",
            roc_axes[False],
            f"As it is usually drawn: area {quantity_text(metrics['roc_auc'])}, the same at every base rate, so it cannot "
            "say how false a list is.",
        ),
        "roc_log": _drawn(
            "ROC curve with a logarithmic false positive rate",
            roc_axes[True],
            f"The same curve where lists are made: the left one hundredth of the other figure, one percent of the "
            f"non-edges, is {number_text(non_edges // 100)} pairs, against {number_text(num_edges)} held-out edges. "
            f"{_first_percent(curves)}",
        ),
        "gains": _drawn(
            "Edges found in the first candidates",
            figures.draw_gains(curves.list_length, curves.edges_found, prevalence=prevalence),
            _gains_caption(curves),
        ),
    }


def _first_percent(curves: Curves) -> str:
    """How much of the recall is reached within one percent of the non-edges."""
    within = curves.false_positive_rate <= 0.01
    recall = float(curves.recall[within].max(initial=0.0))
    return f"At a rate of 0.01 the recall is {number_text(recall)}."


def _marked(evaluation: Evaluation) -> list[MarkedThreshold]:
    points = []
    for each in evaluation.decisions:
        counts, probability = each.confusion, each.decision.threshold_probability
        if counts is None or probability is None:
            continue
        points.append(
            MarkedThreshold(
                plain_text(each.decision.rule, 40),
                recall=each.measured["recall"].value or 0.0,
                precision=each.measured["precision"].value,
                false_positive_rate=counts.fp / max(counts.fp + counts.tn, 1),
                threshold_probability=probability,
            )
        )
    return points


def _gains_caption(curves: Curves) -> str:
    """How many edges the longest drawn lists of at most 10, 100, 1,000 and 10,000 candidates hold."""
    lists = []
    for limit in (10, 100, 1000, 10_000):
        within = int(np.searchsorted(curves.list_length, limit, side="right")) - 1
        if within >= 0:
            lists.append(
                f"{number_text(curves.edges_found[within])} in the first {number_text(curves.list_length[within])}"
            )
    return f"Held-out edges: {', '.join(dict.fromkeys(lists)) or 'none before the 10,000th candidate'}."


def _reliability(run: ReportSource) -> PageFigure:
    bins, metrics = run.curves.reliability, run.evaluation.metrics
    return _drawn(
        "Reliability",
        figures.draw_reliability(
            bins.predicted,
            bins.observed,
            bins.low,
            bins.high,
            num_edges=bins.num_edges,
            num_candidates=bins.num_candidates,
        ),
        "Points on the dashed line are probabilities that hold. Bars are 95 % Poisson intervals. "
        f"Slope {quantity_text(metrics['calibration_slope'])}, observed / expected "
        f"{quantity_text(metrics['observed_over_expected'])}. {len(bins.predicted)} bins, from a probability of "
        f"{number_text(float(bins.predicted.min()))} to {number_text(float(bins.predicted.max()))}.",
    )


def _degrees(run: ReportSource) -> dict[str, PageFigure]:
    fifths = run.evaluation.degree_bins
    measured = [fifth["observed_over_expected"] for fifth in fifths]
    values = np.array([np.nan if (value := number_of(each)) is None else value for each in measured])
    if not (values > 0).any():
        return {}
    ends = [interval_of(each) or (value, value) for each, value in zip(measured, values.tolist(), strict=True)]
    low, high = np.array(ends, dtype=np.float64).T
    names = [str(fifth["name"]) for fifth in fifths]
    said = ", ".join(
        f"{plain_text(name, 40)} {quantity_text(each)}" for name, each in zip(names, measured, strict=True)
    )
    return {
        "degrees": _drawn(
            "Observed over expected edges by degree",
            figures.draw_degree_calibration(names, values, low, high),
            f"Observed / expected by degree, from loners to hubs, with 95 % intervals: {said}.",
        )
    }


def _history(run: ReportSource) -> PageFigure:
    kept = _kept_epoch(run)
    all_epochs, caption = len(run.history["epoch"]), _history_caption(run.history, kept)
    history = _thinned(run.history, kept)
    if len(history["epoch"]) < all_epochs:
        caption += (
            f" Of {number_text(all_epochs)} epochs {number_text(len(history['epoch']))} are drawn; history.csv has all."
        )
    epochs = zip(history["epoch"], history.get("event", []), strict=False)
    events: list[Sequence[Any]] = [
        ("event", "epoch", epoch, *[None] * 4, plain_text(event, 80), None) for epoch, event in epochs if event
    ]
    if kept is not None:
        events.append(("kept weights", "epoch", kept, *[None] * 6))
    return _drawn("Training history", figures.draw_history(history, kept_epoch=kept), caption, events)


def _thinned(history: Mapping[str, Sequence[Any]], kept: int | None) -> dict[str, list[Any]]:
    """At most about `MAX_EPOCHS` rows, evenly chosen, and those of the kept weights and of the first events."""
    epochs, events = history["epoch"], history.get("event", [])
    places = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), MAX_EPOCHS)).round().astype(int)).tolist()
    marked = [i for i, event in enumerate(events) if event][:100]
    marked += [i for i, epoch in enumerate(epochs) if epoch == kept]
    rows = sorted({*places, *marked})
    return {name: [column[i] for i in rows if i < len(column)] for name, column in history.items()}


def _kept_epoch(run: ReportSource) -> int | None:
    """The epoch whose weights are the model: as recorded, else the first best on validation, as training does."""
    recorded = run.config.get("best_epoch")
    if recorded is not None:
        return int(recorded)
    values = zip(run.history["epoch"], run.history.get("validation_average_precision", []), strict=False)
    known = [(number, int(epoch)) for epoch, value in values if (number := number_of(value)) is not None]
    return max(known, key=lambda item: (item[0], -item[1]))[1] if known else None


def _history_caption(history: Mapping[str, Sequence[Any]], kept: int | None) -> str:
    epochs, parts = [int(epoch) for epoch in history["epoch"]], []
    loss = _known(epochs, history.get("loss", []))
    if loss:
        (first, before), (last, after) = loss[0], loss[-1]
        parts.append(f"Loss {number_text(before)} at epoch {first}, {number_text(after)} at epoch {last}.")
    if kept is not None:
        value = dict(_known(epochs, history.get("validation_average_precision", []))).get(kept)
        parts.append(
            f"The weights of epoch {kept} were kept, where validation average precision was {number_text(value)}."
        )
    events = [
        f"epoch {epoch}: {plain_text(event, 80)}"
        for epoch, event in zip(epochs, history.get("event", []), strict=False)
        if event
    ]
    parts.append(
        f"Events: {'; '.join(events[:12])}{' and more' if len(events) > 12 else ''}."
        if events
        else "No event was recorded."
    )
    return " ".join(parts)


def _known(epochs: Sequence[int], column: Sequence[Any]) -> list[tuple[int, float]]:
    pairs = zip(epochs, column, strict=False)
    return [(epoch, number) for epoch, value in pairs if (number := number_of(value)) is not None]


def _embedding_map(data: ReportData) -> PageFigure:
    shown = data.embedding_map
    assert not isinstance(shown, str)
    degrees = data.degrees[shown.nodes]
    names = [plain_text(data.node_ids[node], 40) for node in shown.nodes]
    count = f"All {number_text(shown.num_nodes)} nodes"
    if len(shown.nodes) < shown.num_nodes:
        left_out = number_text(shown.num_nodes - len(shown.nodes))
        count = f"{number_text(len(shown.nodes))} nodes, drawn at random; the other {left_out} are left out"
    return _drawn(
        "Map of the embeddings",
        figures.draw_embedding_map(shown.places, degrees, names),
        f"{count}. Colour and size are the degree, from {number_text(int(degrees.min()))} to "
        f"{number_text(int(degrees.max()))} recorded edges. t-SNE of {shown.num_dimensions} principal components, which "
        f"hold {100 * shown.variance_kept:.0f} % of the variance; trustworthiness {number_text(shown.trustworthiness)} (1: "
        "the nearest in the plane are the nearest in the embedding, 0.5: chance). Axes mean nothing and far distances "
        "little, and near each other is not a probability: the decoder gives that.",
    )
