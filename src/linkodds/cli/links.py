"""Commands that say which links there are: `predict` for given pairs, `find` among all pairs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, counted, printable, say
from linkodds.cli.progress import share_shown

if TYPE_CHECKING:
    from linkodds.links.database_tables import DatabaseTable
    from linkodds.links.error_control import ControlledList
    from linkodds.reading.database_urls import Database
    from linkodds.runs.inductive import WithNewNodes
    from linkodds.runs.record import Run


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
    from linkodds.links.inference import predict_run
    from linkodds.runs.missing_links import MissingLinksAssumption
    from linkodds.runs.record import load_run

    loaded = load_run(run)
    place = _place_to_write(out, to, append, loaded)
    summary = predict_run(
        loaded,
        pairs,
        place,
        decision=decision,
        assumption=MissingLinksAssumption.from_text(prevalence, expected_missing, label_frequency),
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
    from linkodds.links.database_tables import DatabaseTable
    from linkodds.runs.record import run_id

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
    from linkodds.runs.inductive import with_new_nodes

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
    from linkodds.links.error_control import list_links
    from linkodds.links.inference import find_run, find_run_of_new_nodes
    from linkodds.links.link_files import notes_beside, table_writer
    from linkodds.links.link_request import LinkRequest
    from linkodds.links.link_search import Scope
    from linkodds.runs.missing_links import MissingLinksAssumption
    from linkodds.runs.record import load_run

    assumption = MissingLinksAssumption.from_text(prevalence, expected_missing, label_frequency)
    request = LinkRequest(
        top=top,
        decision=decision,
        fdr=fdr,
        unobserved=unobserved,
        mode=mode,
        precision=precision,
        scope=Scope(from_nodes, to_nodes, within_hops, per_node),
        of_new_nodes=(nodes, features, edges) != (None, None, None),
        resume=resume,
    )
    loaded = load_run(run)
    place = _place_to_write(out, to, append, loaded)
    if request.kind not in ("best", "of new nodes"):
        writer = table_writer(place, directed=loaded.split.space.directed)
        with share_shown("searching") as on_block:
            controlled = list_links(loaded, request, assumption=assumption, search=search, on_block=on_block)
        with notes_beside(place, controlled.to_json()):
            writer(controlled.table)
        _print_list(controlled, place, as_json)
        return
    new = _new_nodes(loaded, nodes, features, edges)
    if new is not None:
        summary = find_run_of_new_nodes(
            loaded, new, place, top=request.most, decision=decision, assumption=assumption, per_node=per_node
        )
    else:
        with share_shown("searching") as on_block:
            summary = find_run(
                loaded,
                place,
                top=request.most,
                decision=decision,
                assumption=assumption,
                scope=request.scope,
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
