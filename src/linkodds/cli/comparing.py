"""The command that compares: `compare`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app
from linkodds.cli.progress import shown, stopping_between_epochs
from linkodds.options import FitOptions
from linkodds.reading.graph_options import GraphOptions

if TYPE_CHECKING:
    from rich.console import Console

TABLES = (
    ("average_precision", "average_precision_lift", "r_precision", "precision_at_100"),
    ("roc_auc", "log_loss_skill", "calibration_slope", "observed_over_expected"),
)
GAPS = ("average_precision", "roc_auc", "log_loss_skill")


@app.command(cls=Command)
@opt.made_of(GraphOptions, FitOptions, only_of_fit=False)
def compare(
    edges: opt.EdgesFile,
    models: Annotated[
        str,
        typer.Option(metavar="A,B,C", help="Models, with commas between; the baselines take part anyway."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory to make, with comparison.json and comparison.svg.")
    ],
    splits: Annotated[
        int, typer.Option(metavar="J", help="Random splits, the same for every model; from --seed on.")
    ] = 10,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="base-rate: against all non-edges; kipf, ncn, heart or seal: split, non-edges and metrics of that paper.",
        ),
    ] = "base-rate",
    protocol_files: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The fixed edges and non-edges that heart needs.")
    ] = None,
    config: opt.ConfigFile = None,
    resume: opt.Resume = False,
    force: opt.Force = False,
    as_json: opt.AsJson = False,
    **typed: Any,
) -> None:
    """Several models and all baselines on the same splits: means, intervals, paired differences.

    Takes the options of 'fit'. --resume goes on with the splits that DIR.partial does not hold yet.
    """
    if resume and force:
        raise typer.BadParameter("--resume goes on with DIR.partial, --force replaces DIR; give one of them.")
    from linkodds.comparison.comparison import Plan, compare_models

    settings = opt.config_of(opt.given(FitOptions, typed), config).model_copy(update={"model": "auto"})
    plan = Plan(tuple(name.strip() for name in models.split(",")), splits, settings, protocol, protocol_files)

    from linkodds.graph.graph import Graph
    from linkodds.reading.reading_options import ReadingOptions

    graph = Graph.read(edges, ReadingOptions.from_options(opt.given(GraphOptions, typed)), settings.feature_scaling)
    with shown() as (say_stage, on_start, watch), stopping_between_epochs(say_stage, watch) as (progress, on_epoch):
        comparison = compare_models(
            graph,
            plan,
            out,
            force=force,
            resume=resume,
            progress=progress,
            on_start=on_start,
            on_epoch=on_epoch,
        )
    if as_json:
        print(json.dumps(comparison, indent=2, allow_nan=False))
        return
    from rich.console import Console

    print_comparison(comparison, Console())
    print(f"comparison: {out / 'comparison.json'}")
    print(f"figure: {out / 'comparison.svg'}")


def print_comparison(comparison: Mapping[str, Any], console: "Console") -> None:
    """Print the means with their intervals, and the differences from the best baseline and from the first model.

    Args:
        comparison: comparison.json, parsed.
        console: where to.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from linkodds.comparison.comparison_figure import metric_title
    from linkodds.formatting import ratio_text

    protocol, graph, candidates = (comparison[key] for key in ("protocol", "graph", "candidates"))
    console.print()
    console.print(
        Text(f"{protocol['splits']} {protocol['name']}; seeds {protocol['seeds'][0]} to {protocol['seeds'][-1]}")
    )
    is_paper = protocol["key"] != "base-rate"
    if is_paper:
        console.print(Text(f"protocol {protocol['key']}: {protocol['title']}; here {protocol['differs']}"))
    tables = (tuple(protocol["metrics"]),) if is_paper else TABLES
    gaps_of = tuple(protocol["metrics"][:2]) if is_paper else GAPS
    console.print(Text(f"graph: {ratio_text(graph['num_edges'] / graph['num_pairs'])}"))
    console.print(
        Text(
            f"{'the list' if is_paper else 'rehearsal'}, which the figures are for: {ratio_text(candidates['prevalence'])}"
        )
    )
    for columns in tables:
        table = Table(
            box=box.SIMPLE, title="mean ± half of the 95 % interval", title_justify="left", title_style="bold"
        )
        table.add_column("model", no_wrap=True)
        for key in columns:
            table.add_column(metric_title(key), justify="right")
        for row in comparison["models"]:
            cells = (_cell(row["metrics"][key]) for key in columns)
            table.add_row(row["name"], *cells, style="" if row["is_baseline"] else "bold")
        console.print(table)
    baseline = comparison["best_baseline"]["name"]
    for role, title in (
        ("best baseline", f"less {baseline}, the baseline with the best {comparison['best_baseline']['chosen_by']}"),
        ("first model", f"less {comparison['models'][0]['name']}"),
    ):
        rows = [each for each in comparison["differences"] if each["role"] == role]
        if not rows:
            continue
        gaps = Table(box=box.SIMPLE, title=title, title_justify="left", title_style="bold")
        gaps.add_column("model", no_wrap=True)
        for key in gaps_of:
            gaps.add_column(metric_title(key), justify="right")
        for each in rows:
            gaps.add_row(each["model"], *(_cell(each["metrics"][key], sign="+") for key in gaps_of))
        console.print(gaps)
    console.print(Text(f"Intervals: {protocol['interval']}."))
    for row in comparison["models"]:
        reasons = sorted({each["reason"] for each in row["metrics"].values() if each.get("reason")})
        for reason in reasons:
            console.print(Text(f"{row['name']}: {reason}", style="dim"))


def _cell(figure: Mapping[str, Any], sign: str = "") -> str:
    if figure["value"] is None:
        return "none"
    value = f"{figure['value']:{sign}.3g}"
    return value if figure["low"] is None else f"{value} ± {(figure['high'] - figure['low']) / 2:.1g}"
