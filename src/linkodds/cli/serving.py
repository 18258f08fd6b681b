"""The command `serve`: runs as a local page and a JSON API."""

from pathlib import Path
from typing import Annotated

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, counted, say


@app.command(cls=Command)
def serve(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories that 'linkodds fit' wrote; several side by side."),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond this machine only with --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes a free one.")] = 8350,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            envvar="LINKODDS_TOKEN",
            show_envvar=True,
            help="What every request has to bring; 16 characters or more. Other users of this machine see a command line, "
            "not its environment.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host", metavar="NAME", help="A name by which browsers call this server; may be given again."
        ),
    ] = None,
    top: Annotated[int, typer.Option(metavar="K", min=1, max=20_000, help="Links in the list of each run.")] = 1000,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
) -> None:
    """Show runs as a page with a JSON API: threshold, partners of a node, odds of pairs, new links. Ctrl-C stops it."""
    from linkodds.errors import OptionError
    from linkodds.runs.missing_links import MissingLinksAssumption
    from linkodds.serving.guard import Access
    from linkodds.serving.limits import LIMITS

    access = Access(host, token, tuple(allowed_host or ()))
    assumption = MissingLinksAssumption.from_text(prevalence, expected_missing, label_frequency)
    if len(runs) > LIMITS.runs:
        raise OptionError(f"{len(runs)} runs; at most {LIMITS.runs} can be shown side by side.")

    from linkodds.serving.api import guarded_app
    from linkodds.serving.served import open_runs
    from linkodds.serving.server import address, bound_socket, run_server

    bound = bound_socket(host, port)  # before the runs are loaded: a taken port is said at once
    try:
        served = open_runs(runs, assumption)
        page = address(bound)

        def on_start() -> None:
            for each in served:
                say(f"{each.name}: {each.deployment.assumption}")
            if token is not None:
                say(f"open {page}?token=TOKEN with the token that you gave; programs send Authorization: Bearer TOKEN.")
            say(f"serving {counted(len(served), 'run')}; API: {page}docs; Ctrl-C stops.")
            print(page, flush=True)

        run_server(guarded_app(served, top=top, access=access), bound, on_start)
    finally:
        bound.close()
    say("stopped.")
