"""The summary that a fit or an evaluation prints: one console, plain words, the numbers of evaluation.json."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from linkodds.evaluation.evaluation import Evaluation
from linkodds.formatting import SEVERITIES, bounds_text, number_of, number_text, plain_text, quantity_text
from linkodds.metrics.intervals import Quantity
from linkodds.report.verdict import AUDIT_NOTE, INTERVALS_NOTE, METRICS, Verdict, base_rates, comparison, verdict

__all__ = ["Verdict", "print_summary", "verdict"]

_RANKING = ("average_precision", "average_precision_lift", "precision_at_100", "r_precision", "roc_auc", "mrr")
_CALIBRATION = ("log_loss_skill", "observed_over_expected", "calibration_slope", "degree_relative_ece")


def print_summary(evaluation: Evaluation, console: Console) -> None:
    """Print what a fit or an evaluation found: verdict, base rates, metrics, baselines, decisions, audit, findings.

    Args:
        evaluation: of a run.
        console: where to; ids in it are shown as plain text, whatever they hold.
    """
    said = verdict(evaluation)
    colour = {"good": "green", "mixed": "yellow", "bad": "red"}[said.tone]
    console.print()
    console.print(Text(said.headline, style=f"bold {colour}"))
    for detail in said.details:
        console.print(Text(detail))
    console.print()
    for label, rate in base_rates(evaluation).items():
        console.print(Text(f"{label}: {rate}"))
    console.print(_metrics_table(evaluation))
    console.print(Text(INTERVALS_NOTE, style="dim"))
    if evaluation.calibrator:
        console.print(Text(_calibrator(evaluation.calibrator)))
    if evaluation.degree_bins:
        fifths = (
            f"{plain_text(fifth['name'], 20)} {quantity_text(fifth['observed_over_expected'])}"
            for fifth in evaluation.degree_bins
        )
        console.print(Text(f"observed / expected in fifths of the edges by degree: {', '.join(fifths)}\n"))
    if evaluation.time:
        console.print(_horizon_table(evaluation.time))
    if evaluation.baselines:
        console.print(_baselines_table(evaluation))
    if evaluation.decisions:
        console.print(_decisions_table(evaluation))
        for decision in (each.decision for each in evaluation.decisions):
            if decision.reason:
                console.print(Text(f"{plain_text(decision.rule, 40)}: {plain_text(decision.reason, 600)}\n"))
    if evaluation.audit:
        console.print(_audit_table(evaluation))
        console.print(Text(f"{AUDIT_NOTE}\n", style="dim"))
    for finding in evaluation.findings:
        icon = SEVERITIES.get(finding.severity, "●")
        console.print(Text(f"{icon} {finding.severity} {plain_text(finding.id)}: {plain_text(finding.message)}"))
        console.print(Text(f"  {plain_text(finding.remedy)}", style="dim"))


def _calibrator(calibrator: Mapping[str, Any]) -> str:
    """Which calibrator, on how many edges, and why that one where there is something to say."""
    name = plain_text(calibrator["calibrator"], 40).replace("_", "-")
    slope = quantity_text(Quantity(calibrator["slope"], *(calibrator.get("slope_interval") or (None, None))))
    fitted = f"{name} on {number_text(calibrator['num_edges'])} edges"
    line = f", slope {slope}" if calibrator.get("curve") is None else ""
    reason = calibrator.get("reason")
    return f"calibrator: {fitted}{line}{f' ({plain_text(reason)})' if reason else ''}"


def _metrics_table(evaluation: Evaluation) -> Table:
    table = Table(
        box=box.SIMPLE, title="in the rehearsal, over all candidates", title_justify="left", title_style="bold"
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("95 % interval")
    has_band = any(quantity.band is not None for quantity in evaluation.metrics.values())
    if has_band:
        table.add_column("over the assumed interval")
    for key in (*_RANKING, *_CALIBRATION):
        quantity = evaluation.metrics.get(key)
        if quantity is not None:
            band = [_band(quantity)] if has_band else []
            table.add_row(METRICS[key][0], number_text(number_of(quantity)), Text(bounds_text(quantity)), *band)
    restated = evaluation.at_graph_ratio.get("average_precision")
    if restated is not None:
        table.add_row(
            "average precision at the graph's ratio", number_text(number_of(restated)), Text(bounds_text(restated))
        )
    return table


def _band(quantity: Quantity) -> str:
    return "" if quantity.band is None else " to ".join(number_text(end) for end in quantity.band)


def _baselines_table(evaluation: Evaluation) -> Table:
    table = Table(box=box.SIMPLE, title="against the baselines", title_justify="left", title_style="bold")
    table.add_column("model")
    for name in ("average precision", "as counted", "ROC AUC"):
        table.add_column(name, justify="right")
    for row in comparison(evaluation):
        style = "bold" if row.is_model else ""
        figures = (row.average_precision, row.uncorrected, row.roc_auc)
        table.add_row(Text(row.name), *("" if each is None else number_text(each) for each in figures), style=style)
    return table


def _horizon_table(time: Mapping[str, Any]) -> Table:
    table = Table(
        box=box.SIMPLE,
        title="by horizon: test edges by their distance from the end of the train edges",
        title_justify="left",
        title_style="bold",
    )
    for name in ("times", "after", "edges", "average precision", "ROC AUC", "recall of the decision"):
        table.add_column(name, justify="left" if name == "times" else "right")
    for row in time["horizon"]:
        low, high = (plain_text(each, 40) for each in row["after_train_end"])
        table.add_row(
            Text(" to ".join(dict.fromkeys(plain_text(row[end], 40) for end in ("from", "to")))),
            Text(" to ".join(dict.fromkeys((low, high)))),
            number_text(row["num_edges"]),
            *(number_text(number_of(row[name])) for name in ("average_precision", "roc_auc", "recall")),
        )
    return table


def _decisions_table(evaluation: Evaluation) -> Table:
    table = Table(
        box=box.SIMPLE,
        title="decisions, fixed on calibration, measured on test",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("rule", no_wrap=True)
    for name in ("threshold", "precision", "recall", "F1", "balanced accuracy"):
        table.add_column(name, justify="right")
    for each in evaluation.decisions:
        rule = Text(plain_text(each.decision.rule, 40))
        if each.decision.threshold_logit is None:
            table.add_row(rule, "none")
        else:
            measures = (each.measured[key].value for key in ("precision", "recall", "f1", "balanced_accuracy"))
            table.add_row(rule, *map(number_text, (each.decision.threshold_probability, *measures)))
    return table


def _audit_table(evaluation: Evaluation) -> Table:
    table = Table(
        box=box.SIMPLE,
        title="audit: lists with a stated error, of test edges and half of the non-edges",
        title_justify="left",
        title_style="bold",
    )
    for name in ("alpha", "selected", "test edges among them"):
        table.add_column(name, justify="right")
    table.add_column("false")
    for entry in evaluation.audit:
        share, reason = entry.get("false_discovery_proportion"), entry.get("reason")
        said = "nothing" if entry.get("num_selected") == 0 else number_text(share)
        table.add_row(
            f"{entry['alpha']:g}",
            number_text(entry.get("num_selected")),
            number_text(entry.get("num_true")),
            Text(plain_text(reason, 160), style="dim") if reason else said,
        )
    return table
