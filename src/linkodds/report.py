"""report.html: everything a saved run has to say, as one file that works offline and shows foreign text as text."""

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from linkodds import figures
from linkodds.config import FitConfig
from linkodds.curves import Curves, ReliabilityCurve
from linkodds.decision import parse_rule
from linkodds.figures import OperatingPoint
from linkodds.verdict import AUDIT_NOTE, INTERVALS_NOTE, METRICS, base_rates, comparison, verdict
from linkodds.wording import SEVERITIES, bounds_text, number_of, number_text, plain_text, quantity_text, ratio_text

_PARTS = {
    "train": "carry messages and are what the model learns from",
    "validation": "choose the epoch and the model",
    "calibration": "fix the probabilities and the thresholds",
    "test": "are measured once, below",
}
_NO_PROMISE = (
    "No promise: the threshold was fixed on the calibration edges; "
    "the figures above are what it gave on the test edges."
)


class ReportSource(Protocol):
    """What a report reads of a run; a saved run offers it, and so can anything else."""

    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def evaluation(self) -> Mapping[str, Any]: ...
    @property
    def history(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def curves(self) -> Curves: ...
    @property
    def cost(self) -> Mapping[str, Any]: ...


def write_report(run: ReportSource, path: Path) -> None:
    """Write `render_report(run)` to `path`, aside first and then renamed, so that no half report is ever seen."""
    partial = path.with_name(path.name + ".partial")
    html = render_report(run)
    try:
        partial.write_text(html, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def render_report(run: ReportSource) -> str:
    """The report as one HTML document.

    It holds its own style, data and plotting library, and forbids itself every connection (Content-Security-Policy), so
    that it says the same in ten years and gives nothing away. Scripts run only if their hash is listed: text from the
    user's data can never become one.

    Args:
        run: a saved run.
    Returns:
        HTML of about 5 MB, 4.8 of which are the plotting library.
    """
    environment = Environment(
        loader=PackageLoader("linkodds"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain_text, number=number_text, quantity=quantity_text, bounds=bounds_text)
    scripts = [figures.plotly_js(), _source(environment, "report.js")]
    evaluation = run.evaluation
    return environment.get_template("report.html.j2").render(
        evaluation=evaluation,
        verdict=verdict(evaluation),
        base_rates=base_rates(evaluation),
        graph_ratio=evaluation["graph"]["num_edges"] / evaluation["graph"]["num_pairs"],
        ratio=ratio_text,
        metrics=_metric_groups(evaluation),
        split=_split_rows(evaluation),
        folds=evaluation["model"].get("folds", 1),
        figures=_figures(run),
        decisions=_decision_cards(run),
        audit=evaluation.get("audit", []),
        audit_note=AUDIT_NOTE,
        intervals_note=INTERVALS_NOTE,
        comparison=comparison(evaluation),
        severities=SEVERITIES,
        bins=_bin_rows(run.curves.reliability),
        command=_command(run.config),
        options=_options_text(run.config),
        versions=run.config.get("versions") or {},
        cost=_cost_rows(run.cost),
        style=Markup(_source(environment, "report.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_hash(script) for script in scripts],
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _metric_groups(evaluation: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    metrics, restated = evaluation["metrics"], evaluation.get("at_graph_ratio", {})
    groups: dict[str, list[dict[str, Any]]] = {"ranking": [], "probabilities": []}
    for key, (name, meaning) in METRICS.items():
        group = "probabilities" if groups["probabilities"] or key == "log_loss" else "ranking"
        if key in metrics:
            groups[group].append(
                {"name": name, "meaning": meaning, "quantity": metrics[key], "restated": restated.get(key)}
            )
    return groups


def _split_rows(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts = {part: int(evaluation["split"][part]) for part in _PARTS if part in evaluation.get("split", {})}
    total = sum(counts.values())
    return [
        {"part": part, "count": count, "share": count / max(total, 1), "use": _PARTS[part]}
        for part, count in counts.items()
    ]


def _operating_points(evaluation: Mapping[str, Any]) -> list[OperatingPoint]:
    points = []
    for decision in evaluation["decisions"]:
        if decision.get("threshold_logit") is None:
            continue
        counts = decision["confusion"]
        points.append(
            OperatingPoint(
                plain_text(decision["rule"], 40),
                recall=number_of(decision["recall"]) or 0.0,
                precision=number_of(decision["precision"]),
                false_positive_rate=counts["fp"] / max(counts["fp"] + counts["tn"], 1),
                threshold_probability=decision["threshold_probability"],
            )
        )
    return points


def _figures(run: ReportSource) -> dict[str, dict[str, str]]:
    evaluation, curves = run.evaluation, run.curves
    metrics, prevalence = evaluation["metrics"], evaluation["candidates"]["prevalence"]
    num_edges = evaluation["candidates"]["num_edges"]
    non_edges = evaluation["candidates"]["num_pairs"] - num_edges
    points = _operating_points(evaluation)
    marked = "; ".join(
        f"{point.label}: precision {number_text(point.precision)} at recall {number_text(point.recall)}"
        for point in points
    )
    bins = curves.reliability
    drawn = {
        "precision_recall": (
            "Precision and recall",
            figures.draw_precision_recall(curves.recall, curves.precision, prevalence=prevalence, points=points),
            f"Average precision {quantity_text(metrics['average_precision'])}; a random order gives "
            f"{number_text(prevalence)} (dashed). Thresholds, fixed on calibration: {marked or 'none'}.",
        ),
        "roc": (
            "Recall and false positive rate",
            figures.draw_roc(curves.false_positive_rate, curves.recall, points=points),
            f"Area under this curve on linear axes: {quantity_text(metrics['roc_auc'])}. The axis is logarithmic: "
            f"one percent of the non-edges is {number_text(non_edges // 100)} pairs, "
            f"against {number_text(num_edges)} held-out edges.",
        ),
        "gains": (
            "Edges found in the first candidates",
            figures.draw_gains(curves.list_length, curves.edges_found, prevalence=prevalence),
            _gains_caption(curves),
        ),
        "reliability": (
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
        ),
    }
    if run.history.get("epoch"):
        kept = _kept_epoch(run)
        drawn["history"] = (
            "Training history",
            figures.draw_history(run.history, kept_epoch=kept),
            _history_caption(run.history, kept),
        )
    return {
        name: {"title": title, "json": Markup(figures.figure_json(figure)), "caption": caption}
        for name, (title, figure, caption) in drawn.items()
    }


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


def _bin_rows(bins: ReliabilityCurve) -> list[dict[str, float]]:
    names = ("predicted", "observed", "low", "high", "num_edges", "num_candidates")
    columns = [getattr(bins, name).tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


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
    loss = [
        (epoch, number)
        for epoch, value in zip(epochs, history.get("loss", []), strict=False)
        if (number := number_of(value)) is not None
    ]
    if loss:
        parts.append(
            f"Loss {number_text(loss[0][1])} at epoch {loss[0][0]}, {number_text(loss[-1][1])} at epoch {loss[-1][0]}."
        )
    if kept is not None:
        value = next(
            (
                number_of(v)
                for e, v in zip(epochs, history.get("validation_average_precision", []), strict=False)
                if e == kept
            ),
            None,
        )
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


def _decision_cards(run: ReportSource) -> list[dict[str, Any]]:
    applied = run.config.get("options", {}).get("decision")
    applied = str(parse_rule(applied)) if applied else None
    cards = []
    for decision in run.evaluation["decisions"]:
        has_threshold = decision.get("threshold_logit") is not None
        promise = decision.get("promise")
        cards.append(
            {
                **decision,
                "is_applied": decision["rule"] == applied,
                "has_threshold": has_threshold,
                "promise": promise or (decision.get("reason") or _NO_PROMISE if has_threshold else None),
                "is_promised": bool(promise),
            }
        )
    return sorted(cards, key=lambda card: not card["is_applied"])


def _command(config: Mapping[str, Any]) -> str:
    options, reading = config.get("options", {}), dict(config.get("reading", {}))
    edges = _argument(reading.pop("edges", "EDGES"))
    read = [_reading_flag(name, value) for name, value in reading.items()]
    flags = [
        f"--{name.replace('_', '-')} {_argument(value)}"
        for name, value in options.items()
        if value is not None
        and name in FitConfig.model_fields
        and (name in {"model", "seed"} or not _is_default(name, value))
    ]
    return plain_text(" ".join([f"linkodds fit {edges}", *read, *flags, "--out RUN"]), 2000)


def _reading_flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {_argument(value)}"


def _argument(value: Any) -> str:
    return shlex.quote("/".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _is_default(name: str, value: Any) -> bool:
    default = FitConfig.model_fields[name].default
    return bool((tuple(value) if isinstance(value, list) else value) == default)


def _options_text(config: Mapping[str, Any]) -> str:
    def shown(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {plain_text(key, 80): shown(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [shown(each) for each in value[:50]]
        return value if value is None or isinstance(value, bool | int | float) else plain_text(value, 300)

    return yaml.safe_dump(
        {key: value for key, value in shown(config).items() if key != "versions"},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def _cost_rows(cost: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    stages = cost.get("stages", cost)
    return [
        (plain_text(stage, 60), number_of(numbers.get("seconds")), number_of(numbers.get("peak_bytes")))
        for stage, numbers in stages.items()
        if isinstance(numbers, Mapping)
    ]
