"""report.html: everything a saved run has to say, as one file that works offline;
it shows foreign text as text, and names the command that
makes the run again.
"""

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from linkodds import figures
from linkodds.config import FitConfig
from linkodds.evaluation.curves import ReliabilityCurve
from linkodds.evaluation.evaluation import STATEMENT, Evaluation
from linkodds.formatting import (
    SEVERITIES,
    bounds_text,
    csv_text,
    data_url,
    number_of,
    number_text,
    plain_text,
    quantity_text,
    ratio_text,
)
from linkodds.probability.decision import parse_rule
from linkodds.report.drawing import ReportSource, draw_all, threshold_csv
from linkodds.report.report_data import ReportData, TopLinks
from linkodds.report.verdict import AUDIT_NOTE, INTERVALS_NOTE, METRICS, base_rates, comparison, verdict

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


def write_report(run: ReportSource, data: ReportData, path: Path) -> None:
    """Write the report of a run to `path`.

    Args:
        run: a saved run.
        data: what is shown beside its evaluation; making it with `report_data_of` takes up to about 20 seconds.
        path: of the page.
    """
    write_page(render_report(run, data), path)


def write_page(html: str, path: Path) -> None:
    """Write a page aside first and then rename it, so that no half report is ever seen."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(html, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def render_report(run: ReportSource, data: ReportData) -> str:
    """The report as one HTML document.

    It holds its own style, data and plotting library, and forbids itself every connection (Content-Security-Policy), so
    that it says the same in ten years and gives nothing away. Scripts run only if their hash is listed: text from the
    user's data can never become one.

    Args:
        run: a saved run.
        data: what is shown beside its evaluation.
    Returns:
        HTML of about 5 MB, 4.8 of which are the plotting library.
    """
    environment = Environment(
        loader=PackageLoader("linkodds.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain_text, number=number_text, quantity=quantity_text, bounds=bounds_text)
    scripts = [_asset("threshold.js"), figures.plotly_js(), _source(environment, "report.js")]
    evaluation = run.evaluation
    return environment.get_template("report.html.j2").render(
        evaluation=evaluation,
        statement=STATEMENT,
        verdict=verdict(evaluation),
        base_rates=base_rates(evaluation),
        graph_ratio=evaluation.graph_ratio,
        ratio=ratio_text,
        metrics=_metric_groups(evaluation),
        split=_split_rows(evaluation),
        time=evaluation.time,
        folds=evaluation.model.get("folds", 1),
        figures=draw_all(run, data),
        threshold=Markup(_json(data.threshold)),
        threshold_csv=threshold_csv(data.threshold),
        no_map=data.embedding_map if isinstance(data.embedding_map, str) else None,
        top_links=_top_links(data.top_links),
        links_csv=_links_csv(data.top_links),
        baselines_csv=_baselines_csv(evaluation),
        decisions=_decision_cards(run),
        audit=evaluation.audit,
        audit_note=AUDIT_NOTE,
        intervals_note=INTERVALS_NOTE,
        comparison=comparison(evaluation),
        severities=SEVERITIES,
        bins=_bin_rows(run.curves.reliability),
        command=command_of(run.config),
        options=options_text(run.config),
        versions=run.config.get("versions") or {},
        cost=cost_rows(run.cost),
        style=Markup(_source(environment, "report.css") + _asset("threshold.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_hash(script) for script in scripts],
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _asset(name: str) -> str:
    return files("linkodds.report").joinpath("assets", name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that can stand inside a script element: no character of it can end the element."""
    text = json.dumps(value, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _metric_groups(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    metrics, restated = evaluation.metrics, evaluation.at_graph_ratio
    groups: dict[str, list[dict[str, Any]]] = {"ranking": [], "probabilities": []}
    for key, (name, meaning) in METRICS.items():
        group = "probabilities" if groups["probabilities"] or key == "log_loss" else "ranking"
        if key in metrics:
            groups[group].append(
                {"name": name, "meaning": meaning, "quantity": metrics[key], "restated": restated.get(key)}
            )
    return groups


def _split_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    counts = {part: int(evaluation.split[part]) for part in _PARTS if part in evaluation.split}
    total = sum(counts.values())
    return [
        {"part": part, "count": count, "share": count / max(total, 1), "use": _PARTS[part]}
        for part, count in counts.items()
    ]


def _decision_cards(run: ReportSource) -> list[dict[str, Any]]:
    applied = run.config.get("options", {}).get("decision")
    applied = str(parse_rule(applied)) if applied else None
    cards = []
    for measured in run.evaluation.decisions:
        decision = measured.decision
        has_threshold = decision.threshold_logit is not None
        cards.append(
            {
                **decision.to_json(),
                **measured.measured,
                "confusion": measured.confusion,
                "is_applied": decision.rule == applied,
                "has_threshold": has_threshold,
                "promise": decision.promise or (decision.reason or _NO_PROMISE if has_threshold else None),
                "is_promised": bool(decision.promise),
            }
        )
    return sorted(cards, key=lambda card: not card["is_applied"])


def _bin_rows(bins: ReliabilityCurve) -> list[dict[str, float]]:
    names = ("predicted", "observed", "low", "high", "num_edges", "num_candidates")
    columns = [getattr(bins, name).tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _top_links(links: TopLinks | str) -> dict[str, Any]:
    if isinstance(links, str):
        return {"rows": [], "reason": links}
    rows = [
        {**row, "evidence": [part for part in row["evidence"].split("; ") if part]} for row in links.table.to_dicts()
    ]
    return {"rows": rows, "reason": "There is no pair without an edge.", "assumption": links.assumption}


def _links_csv(links: TopLinks | str) -> str:
    return "" if isinstance(links, str) else data_url(csv_text(links.table.columns, links.table.rows()))


def _baselines_csv(evaluation: Evaluation) -> str:
    rows = [(row.name, row.average_precision, row.uncorrected, row.lift, row.roc_auc) for row in comparison(evaluation)]
    return data_url(csv_text(["ranked by", "average precision", "as counted", "lift", "ROC AUC"], rows))


def command_of(config: Mapping[str, Any]) -> str:
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


def options_text(config: Mapping[str, Any]) -> str:
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


def cost_rows(cost: Mapping[str, Any]) -> list[tuple[str, float | None, float | None]]:
    stages = cost.get("stages", cost)
    return [
        (plain_text(stage, 60), number_of(numbers.get("seconds")), number_of(numbers.get("peak_bytes")))
        for stage, numbers in stages.items()
        if isinstance(numbers, Mapping)
    ]


def _reading_flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name.replace('_', '-')} {_argument(value)}"


def _argument(value: Any) -> str:
    return shlex.quote("/".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _is_default(name: str, value: Any) -> bool:
    default = FitConfig.model_fields[name].default
    return bool((tuple(value) if isinstance(value, list) else value) == default)
