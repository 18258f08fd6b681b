"""Commands on what is there already: `evaluate`, `predict`, `find`, `report` and `doctor`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, counted, printable, say
from linkodds.cli.progress import share_shown
from linkodds.cli.scores import evaluate_scores

if TYPE_CHECKING:
    from linkodds.database_tables import DatabaseTable
    from linkodds.database_urls import Database
    from linkodds.error_control import ControlledList
    from linkodds.inductive import WithNewNodes
    from linkodds.record import Run


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
    from linkodds.record import load_run
    from linkodds.restating import Assumption, evaluate_run

    assumption = Assumption.from_text(prevalence, expected_missing, label_frequency)
    if fdr is not None:
        if assumption != Assumption():
            raise OptionError(
                "--fdr audits the run at its own base rate; leave --prevalence, --expected-missing and "
                "--label-frequency out."
            )
        _print_audit(run, fdr, as_json)
        return
    evaluation = evaluate_run(load_run(run), assumption)
    if as_json:
        print(json.dumps(evaluation, indent=2, allow_nan=False))
        return
    from rich.console import Console

    from linkodds.summary import print_summary

    print_summary(evaluation, Console())
    if "restated" in evaluation:
        _print_new_links(evaluation["restated"])


def _print_new_links(restated: dict[str, Any]) -> None:
    """What the list of new links that each decision makes is worth under the assumption: precision against reality."""
    from linkodds.wording import number_text

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
    from linkodds.error_control import AUDIT_PROMISE, audit_run
    from linkodds.record import load_run

    run = load_run(path)
    entry, fixed = audit_run(run, alpha)
    promise = AUDIT_PROMISE.format(alpha=alpha)
    if as_json:
        audit = {**entry, "mode": "audit", "promise": promise, "fixed_thresholds": fixed}
        print(json.dumps({**run.evaluation, "audit": [audit]}, indent=2, allow_nan=False))
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
def predict(
    run: opt.RunDirectory,
    pairs: opt.PairsFile,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Table to write: .csv, .tsv or .parquet.")] = None,
    to: opt.ToTable = None,
    append: opt.Append = False,
    query: opt.Query = None,
    nodes: opt.NewNodes = None,
    features: opt.NewFeatures = None,
    edges: opt.NewEdges = None,
    decision: opt.DecisionRule = None,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
    as_json: opt.AsJson = False,
) -> None:
    """Logit, probability and decision of the given pairs, in their order.

    Rows with an id that the graph does not have stay empty, are counted, and make the exit code 1; so do rows that
    are no pair of the graph. With --features pairs may name new nodes too; nothing is guaranteed for these.
    """
    from linkodds.inference import predict_run
    from linkodds.record import load_run
    from linkodds.restating import Assumption

    loaded = load_run(run)
    place = _place_to_write(out, to, append, loaded)
    summary = predict_run(
        loaded,
        pairs,
        place,
        decision=decision,
        assumption=Assumption.from_text(prevalence, expected_missing, label_frequency),
        new=_new_nodes(loaded, nodes, features, edges),
        query=query,
    )
    say(summary.assumption)
    if as_json:
        print(json.dumps({**_where(place), **vars(summary)}, indent=2, allow_nan=False))
    else:
        print(printable(f"{place}: {counted(summary.num_rows, 'pair')}{_run_named(place)}"))
    empty = {
        "have an id that the graph does not have": summary.num_unknown,
        "are no pair of this graph (a node with itself, or two nodes of one side)": summary.num_inadmissible,
    }
    for reason, count in empty.items():
        if count:
            say(f"{count:,} of {summary.num_rows:,} pairs {reason}; their rows are empty.")
    if any(empty.values()):
        raise typer.Exit(1)


def _place_to_write(out: Path | None, to: "Database | None", append: bool, run: "Run") -> "Path | DatabaseTable":
    from linkodds.database_tables import DatabaseTable
    from linkodds.record import run_id

    if (out is None) == (to is None):
        raise typer.BadParameter("give --out FILE or --to URL, one of the two.")
    if to is not None:
        return DatabaseTable(to, run_id(run), append)
    if append:
        raise typer.BadParameter("--append adds to a table of a database; it goes with --to.")
    assert out is not None
    return out


def _where(place: "Path | DatabaseTable") -> dict[str, str]:
    return {"out": str(place)} if isinstance(place, Path) else {"to": str(place), "run_id": place.run_id}


def _run_named(place: "Path | DatabaseTable") -> str:
    return "" if isinstance(place, Path) else f", with run_id {place.run_id}"


def _new_nodes(
    run: "Run", nodes: Path | None, features: Path | None, edges: "opt.Place | None"
) -> "WithNewNodes | None":
    if (nodes, features, edges) == (None, None, None):
        return None
    from linkodds.inductive import with_new_nodes

    return with_new_nodes(run, features, nodes, edges)


@app.command(cls=Command)
def find(
    run: opt.RunDirectory,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="List to write: .csv, .tsv, .parquet, .jsonl, .graphml, .cyjs or .cx2."),
    ] = None,
    to: opt.ToTable = None,
    append: opt.Append = False,
    top: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="The K best.", show_default="100, or as many as the other options say"),
    ] = None,
    decision: opt.DecisionRule = None,
    precision: Annotated[
        float | None,
        typer.Option(metavar="P", help="The longest list expected to be true to this share; not guaranteed."),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(metavar="A", help="At most this share of false links: with --unobserved, or --mode discover."),
    ] = None,
    unobserved: Annotated[
        opt.Place | None,
        typer.Option(
            metavar="PAIRS",
            help="For --fdr: the pairs whose status nobody has looked at, a file or a table like EDGES.",
            parser=opt.read_place,
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="For --fdr: masked (among --unobserved, controlled on average) or discover (not guaranteed).",
        ),
    ] = None,
    from_nodes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="One end is among these, one id a line; the source where edges have one."),
    ] = None,
    to_nodes: Annotated[Path | None, typer.Option(metavar="FILE", help="The other end is among these.")] = None,
    within_hops: Annotated[
        int | None,
        typer.Option(metavar="H", min=2, help="At most H recorded edges lead from one end to the other."),
    ] = None,
    per_node: Annotated[
        int | None,
        typer.Option(metavar="K", min=1, help="The K best partners of each node, instead of the best of all pairs."),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="exhaustive: all pairs; candidates: those that short walks and node vectors point to, with what is lost "
            "measured; auto: candidates where all pairs would take more than five minutes.",
        ),
    ] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from FILE.partial of an interrupted search.")] = False,
    nodes: opt.NewNodes = None,
    features: opt.NewFeatures = None,
    edges: opt.NewEdges = None,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
    as_json: opt.AsJson = False,
) -> None:
    """New links: the best of all pairs without a recorded edge; with --features those of new nodes alone."""
    from linkodds.error_control import list_links, mode_of_list
    from linkodds.errors import OptionError
    from linkodds.inference import find_run, find_run_of_new_nodes
    from linkodds.link_files import notes_beside, table_writer
    from linkodds.listing import Scope
    from linkodds.record import load_run
    from linkodds.restating import Assumption

    assumption = Assumption.from_text(prevalence, expected_missing, label_frequency)
    scope = Scope(from_nodes, to_nodes, within_hops, per_node)
    lists = {"--precision": precision, "--fdr": fdr, "--top": top, "--decision": decision}
    given = [name for name, value in lists.items() if value is not None]
    if len(given) > 1 and (precision, fdr) != (None, None):
        raise OptionError(f"{' and '.join(given)} each say how long the list is; give one of them.")
    if mode_of_list(fdr=fdr, unobserved=unobserved, mode=mode, precision=precision) is not None:
        if (nodes, features, edges) != (None, None, None):
            raise OptionError(
                "a list with a stated error is of known nodes; leave --nodes, --features and --edges out."
            )
        if resume:
            raise OptionError("a list with a stated error is made at once; leave --resume out.")
        loaded = load_run(run)
        place = _place_to_write(out, to, append, loaded)
        writer = table_writer(place)
        with share_shown("searching") as on_block:
            controlled = list_links(
                loaded,
                fdr=fdr,
                unobserved=unobserved,
                mode=mode,
                precision=precision,
                assumption=assumption,
                scope=scope,
                search=search,
                on_block=on_block,
            )
        with notes_beside(place, controlled.to_json()):
            writer(controlled.table)
        _print_list(controlled, place, as_json)
        return
    if top is None and decision is None and per_node is None:
        top = 100
    loaded = load_run(run)
    place = _place_to_write(out, to, append, loaded)
    new = _new_nodes(loaded, nodes, features, edges)
    if new is not None:
        if replace(scope, per_node=None) != Scope() or resume or (per_node is not None and top is not None):
            raise OptionError(
                "the links of new nodes are listed at once; leave --from-nodes, --to-nodes, --within-hops and --resume out, "
                "and give one of --top and --per-node."
            )
        summary = find_run_of_new_nodes(
            loaded, new, place, top=top, decision=decision, assumption=assumption, per_node=per_node
        )
    else:
        with share_shown("searching") as on_block:
            summary = find_run(
                loaded,
                place,
                top=top,
                decision=decision,
                assumption=assumption,
                scope=scope,
                search=search,
                resume=resume,
                on_start=say,
                on_block=on_block,
            )
    say(summary.assumption)
    if summary.search_sentence is not None:
        say(summary.search_sentence)
    if as_json:
        print(json.dumps({**_where(place), "mode": "best", **vars(summary)}, indent=2, allow_nan=False))
        return
    band = _band_text(summary.expected_links_band)
    line = f"{place}: {counted(summary.num_links, 'new link')}{_run_named(place)}"
    line += f", {summary.expected_links:,.1f}{band} of them expected to be true"
    if summary.expected_links_interval is not None:
        low, high = summary.expected_links_interval
        line += f", {low:,.0f} to {high:,.0f} with 95 % probability were the assumption right"
    print(printable(line))


def _band_text(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f" ({ends[0]:,.1f} to {ends[1]:,.1f})"


def _print_list(controlled: "ControlledList", place: "Path | DatabaseTable", as_json: bool) -> None:
    say(controlled.assumption)
    say(controlled.promise)
    if "search_sentence" in controlled.details:
        say(controlled.details["search_sentence"])
    for warning in controlled.warnings:
        say(f"warning: {warning}")
    if as_json:
        print(json.dumps({**_where(place), **controlled.to_json()}, indent=2, allow_nan=False))
        return
    details = controlled.details
    links = f"{place}: {counted(len(controlled.table), 'new link')}{_run_named(place)}"
    if controlled.mode == "masked":
        if details["num_repeated"]:
            say(f"{counted(details['num_repeated'], 'row')} of --unobserved repeat a pair and do not count.")
        print(
            f"{links} at alpha {controlled.level:g}, of {counted(details['num_unobserved'], 'unobserved pair')}; "
            f"{counted(details['num_nulls'], 'calibration null')}, smallest q-value {details['smallest_q_value']:.3g}"
        )
        return
    band = _band_text(details["expected_links_band"])
    print(f"{links}, {controlled.expected_links:,.1f}{band} of them expected to be true (not guaranteed)")
    low, high = details["expected_precision_interval"]
    print(f"  by the held-out edges that rank as high, {low:.3g} to {high:.3g} of it, were the assumption right")
    half, _, double = details["sensitivity"]
    for row in (half, double):
        print(
            f"  if {row['num_missing']:,.0f} links are missing: {row['expected_precision']:.3g} of this list expected to be "
            f"true; asked for then, it would have about {row['about_num_links']:,} links"
        )


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
    from linkodds.record import load_run

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
