"""Command `inspect`: how a file is read, before anything is fitted."""

import json
from typing import Any

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, printable, say
from linkodds.reading.graph_options import EdgeListOptions


@app.command(cls=Command)
@opt.made_of(EdgeListOptions)
def inspect(
    edges: opt.EdgesFile,
    as_json: opt.AsJson = False,
    **typed: Any,
) -> None:
    """Say how EDGES is read: format, columns, the two ends and why, three edges, and the 'fit' command for it.

    Of a large file some rows are read, and the numbers say so. Exit code 1 where a fit would refuse the file, or where it
    can be read in more than one way: the readings are shown, each with the options that settle it.
    """
    from linkodds.graph.inspecting import inspect_source
    from linkodds.reading.reading_options import ReadingOptions

    found = inspect_source(edges, ReadingOptions.from_options(opt.given(EdgeListOptions, typed)))
    print(json.dumps(found.to_json(), indent=2, allow_nan=False) if as_json else printable(str(found)))
    if found.refused is not None:
        first = found.refused.splitlines()[0].rstrip(":")  # the readings are shown above
        say(f"error: {f'{first.rstrip(chr(46))}.' if found.ambiguous else found.refused}")
        raise typer.Exit(1)
