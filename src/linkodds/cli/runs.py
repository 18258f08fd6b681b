"""Commands on what is there already: `evaluate`, `predict`, `find`, `report` and `doctor`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, counted, printable, say
from linkodds.cli.progress import share_shown


@app.command(cls=Command)
def evaluate(
    run: opt.RunDirectory,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
    as_json: opt.AsJson = False,
) -> None:
    """Print the evaluation of a run, at its own base rate or at another."""
    from linkodds.inference import Assumption, evaluate_run
    from linkodds.record import load_run

    evaluation = evaluate_run(load_run(run), Assumption(prevalence, expected_missing, label_frequency))
    if as_json:
        print(json.dumps(evaluation, indent=2, allow_nan=False))
        return
    from rich.console import Console

    from linkodds.summary import print_summary

    print_summary(evaluation, Console())


@app.command(cls=Command)
def predict(
    run: opt.RunDirectory,
    pairs: opt.PairsFile,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Table to write: .csv, .tsv or .parquet.")],
    decision: opt.DecisionRule = None,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
) -> None:
    """Logit, probability and decision of the given pairs, in their order.

    Rows with an id that the graph does not have stay empty, are counted, and make the exit code 1; so do rows that
    are no pair of the graph.
    """
    from linkodds.inference import Assumption, predict_run
    from linkodds.record import load_run

    summary = predict_run(
        load_run(run),
        pairs,
        out,
        decision=decision,
        assumption=Assumption(prevalence, expected_missing, label_frequency),
    )
    say(summary.assumption)
    print(f"{out}: {counted(summary.num_rows, 'pair')}")
    empty = {
        "have an id that the graph does not have": summary.num_unknown,
        "are no pair of this graph (a node with itself, or two nodes of one side)": summary.num_inadmissible,
    }
    for reason, count in empty.items():
        if count:
            say(f"{count:,} of {summary.num_rows:,} pairs {reason}; their rows are empty.")
    if any(empty.values()):
        raise typer.Exit(1)


@app.command(cls=Command)
def find(
    run: opt.RunDirectory,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Table to write: .csv, .tsv or .parquet.")],
    top: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="The K best.", show_default="100, or all that --decision accepts"),
    ] = None,
    decision: opt.DecisionRule = None,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
) -> None:
    """New links: the best of all pairs without a recorded edge."""
    from linkodds.inference import Assumption, find_run
    from linkodds.record import load_run

    if top is None and decision is None:
        top = 100
    with share_shown("searching") as on_block:
        summary = find_run(
            load_run(run),
            out,
            top=top,
            decision=decision,
            assumption=Assumption(prevalence, expected_missing, label_frequency),
            on_block=on_block,
        )
    say(summary.assumption)
    print(f"{out}: {counted(summary.num_links, 'new link')}, {summary.expected_links:,.1f} of them expected to be true")


@app.command(cls=Command)
def report(run: opt.RunDirectory) -> None:
    """Write RUN/report.html anew."""
    from linkodds.record import load_run
    from linkodds.report import write_report

    path = run / "report.html"
    write_report(load_run(run), path)
    print(f"report: {path}")


@app.command(cls=Command)
def doctor(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="A RUN, a table of labels and scores, an edge list, or a training history.",
        ),
    ],
    features: opt.Features = None,
    nodes: opt.Nodes = None,
    num_candidates: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Table of scores: all pairs that they are for, not only those in it."),
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(metavar="P", help="Table of scores: edges among the pairs they are for.")
    ] = None,
    as_json: opt.AsJson = False,
) -> None:
    """Say what is wrong with data, split, training or scores, with cause and cure.

    The exit code is 1 when a finding is an error.
    """
    from linkodds.doctor import examine
    from linkodds.record import load_run

    findings = examine(
        target,
        load_run=load_run,
        num_candidates=num_candidates,
        prevalence=prevalence,
        features=features,
        nodes=nodes,
    )
    if as_json:
        print(json.dumps([finding.to_json() for finding in findings], indent=2, allow_nan=False))
    else:
        for finding in findings:
            print(printable(f"{finding.severity} {finding.id}: {finding.message}\n  {finding.remedy}"))
        print(counted(len(findings), "finding"))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)
