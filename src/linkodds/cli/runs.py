"""Commands on what is there already: `evaluate`, `report` and `doctor`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, counted, printable, say
from linkodds.cli.scores import evaluate_scores


@app.command(cls=Command)
def evaluate(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Run directory that 'linkodds fit' wrote; or --scores.")
    ] = None,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
    fdr: Annotated[
        float | None,
        typer.Option(metavar="A", help="Audit instead: select held-out edges with at most this share of false ones."),
    ] = None,
    scores: opt.Scores = None,
    edges: opt.AllEdges = None,
    held_out: opt.HeldOutEdges = None,
    scored: opt.Scored = None,
    nodes: opt.Nodes = None,
    directed: opt.Directed = False,
    out: opt.ScoresOut = None,
    decision: opt.DecisionRule = None,
    seed: opt.ScoresSeed = 0,
    force: opt.Force = False,
    as_json: opt.AsJson = False,
) -> None:
    """Print the evaluation of a run, at its own base rate or at another; or audit error-controlled selection.

    With --scores FILE --edges EDGES: the evaluation of somebody's scores, from a table with source, target and one of
    probability, logit, score. Edges that it does not score, or those that are not --held-out, are taken to be known to
    the scorer.
    """
    from linkodds.errors import OptionError

    if scores is not None:
        if edges is None or run is not None or (prevalence, expected_missing, label_frequency, fdr) != (None,) * 4:
            raise OptionError(
                "--scores FILE goes with --edges EDGES, and without RUN, --prevalence, --expected-missing, --label-frequency "
                "and --fdr."
            )
        evaluate_scores(
            scores,
            edges,
            held_out=held_out,
            scored=scored,
            nodes=nodes,
            directed=directed,
            out=out,
            decision=decision,
            seed=seed,
            force=force,
            as_json=as_json,
        )
        return
    of_scores = {"--edges": edges, "--held-out": held_out, "--scored": scored, "--nodes": nodes, "--out": out}
    given = [name for name, value in (of_scores | {"--decision": decision}).items() if value is not None]
    if run is None or given or directed or seed or force:
        raise OptionError(
            "evaluate takes a RUN, or --scores FILE with --edges EDGES"
            + (f"; {', '.join(given)} belong(s) to --scores." if given else ".")
        )
    from linkodds.runs.missing_links import MissingLinksAssumption, evaluate_run
    from linkodds.runs.record import load_run

    assumption = MissingLinksAssumption.from_text(prevalence, expected_missing, label_frequency)
    if fdr is not None:
        if assumption != MissingLinksAssumption():
            raise OptionError(
                "--fdr audits the run at its own base rate; leave --prevalence, --expected-missing and "
                "--label-frequency out."
            )
        _print_audit(run, fdr, as_json)
        return
    evaluation = evaluate_run(load_run(run), assumption)
    if as_json:
        print(json.dumps(evaluation.to_json(), indent=2, allow_nan=False))
        return
    from rich.console import Console

    from linkodds.report.summary import print_summary

    print_summary(evaluation, Console())
    if evaluation.restated is not None:
        _print_new_links(evaluation.restated)


def _print_new_links(restated: Mapping[str, Any]) -> None:
    """What the list of new links that each decision makes is worth under the assumption: precision against reality."""
    from linkodds.formatting import number_text

    print("new links (pairs without an edge) that pass each decision, and their expected share of true ones:")
    for row in restated["new_links"]:
        if row["expected_precision"] is None:
            print(printable(f"  {row['rule']}: none; {row['reason']}"))
            continue
        band = (
            "".join(f", {number_text(low)} to {number_text(high)}" for low, high in [row["band"]])
            if "band" in row
            else ""
        )
        print(
            f"  {row['rule']}: {row['num_pairs']:,.0f}, {number_text(row['expected_precision'])}{band} (not guaranteed)"
        )
    say(restated["assumption"])


def _print_audit(path: Path, alpha: float, as_json: bool) -> None:
    from linkodds.links.error_control import AUDIT_PROMISE, audit_run
    from linkodds.runs.record import load_run

    run = load_run(path)
    entry, fixed = audit_run(run, alpha)
    promise = AUDIT_PROMISE.format(alpha=alpha)
    if as_json:
        audit = {**entry, "mode": "audit", "promise": promise, "fixed_thresholds": fixed}
        print(json.dumps({**run.evaluation.to_json(), "audit": [audit]}, indent=2, allow_nan=False))
        return
    print(
        f"alpha {alpha:g}: {entry['num_selected']:,} of {entry['num_candidates']:,} candidates selected, "
        f"{entry['num_true']:,} of them test edges: false discovery proportion {entry['false_discovery_proportion']:.3g} "
        f"({entry['num_nulls']:,} calibration nulls)"
    )
    print("thresholds fixed before, with a bound on their share of false pairs that holds with 90 % probability each:")
    for each in fixed:
        print(
            f"  {each['rule']}: {each['num_selected']:,} selected, share {each['false_discovery_proportion']:.3g}, "
            f"at most {each['bound']:.3g}"
        )
    say(promise)


@app.command(cls=Command)
def report(run: opt.RunDirectory) -> None:
    """Write RUN/report.html anew."""
    from linkodds.report import report_data_of, write_report
    from linkodds.runs.record import load_run

    path, loaded = run / "report.html", load_run(run)
    write_report(loaded, report_data_of(loaded), path)
    print(f"report: {path}")


@app.command(cls=Command)
def doctor(
    targets: Annotated[
        list[opt.Place],
        typer.Argument(
            metavar="TARGET...",
            help="A RUN, a table of labels and scores, a confusion matrix, a training history, an edge list (a database "
            "too), or the parts of a split.",
            parser=opt.read_place,
        ),
    ],
    query: opt.Query = None,
    features: opt.Features = None,
    nodes: opt.Nodes = None,
    directed: opt.Directed = False,
    num_candidates: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Table or matrix: all pairs that it is for, not only those in it."),
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(metavar="P", help="Table or matrix: edges among the pairs it is for.")
    ] = None,
    as_json: opt.AsJson = False,
) -> None:
    """Say what is wrong with data, split, training or scores, with cause and cure.

    Several files are judged together: edge lists are the parts of a split ("neg" in a name says non-edges), and a table
    with source and target beside them is held against the graph. The exit code is 1 when a finding is an error.
    """
    from linkodds.doctor import RULES, examine
    from linkodds.runs.record import load_run

    findings = examine(
        targets,
        load_run=load_run,
        num_candidates=num_candidates,
        prevalence=prevalence,
        features=features,
        nodes=nodes,
        directed=directed,
        query=query,
    )
    if as_json:
        print(json.dumps([each.to_json() | {"page": each.page} for each in findings], indent=2, allow_nan=False))
    else:
        for finding in findings:
            what = f"{finding.id}, {RULES[finding.id]}" if finding.id in RULES else finding.id
            lines = [f"{finding.severity} {what}: {finding.message}", finding.remedy]
            print(printable("\n  ".join(lines + [f"See {finding.page}"] * (finding.page is not None))))
        print(counted(len(findings), "finding"))
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)
