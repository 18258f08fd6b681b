"""The command `export`: a run as other programs' files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, counted, say


@app.command(cls=Command)
def export(
    run: opt.RunDirectory,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="File to write: .h5ad (AnnData), .graphml, .cyjs or .cx2 (Cytoscape), .faiss (an index of embeddings).",
        ),
    ],
    top: Annotated[int, typer.Option(metavar="K", min=0, help="New links in it, the K best.")] = 100,
    prevalence: opt.Prevalence = None,
    expected_missing: opt.ExpectedMissing = None,
    label_frequency: opt.LabelFrequency = None,
    as_json: opt.AsJson = False,
) -> None:
    """Write a run for another program: the recorded edges with the best new links, the embeddings, or an index of these."""
    from linkodds.links.exporting import export_run
    from linkodds.runs.missing_links import MissingLinksAssumption
    from linkodds.runs.record import load_run

    loaded = load_run(run)
    deployment = MissingLinksAssumption.from_text(prevalence, expected_missing, label_frequency).deployment(loaded)
    done = export_run(loaded, out, deployment, top=top)
    for note in done.notes:
        say(note)
    if as_json:
        print(json.dumps({"out": [str(path) for path in done.paths], "num_links": done.num_links}, indent=2))
        return
    links = "" if done.num_links is None else f": {counted(done.num_links, 'new link')}"
    print(f"{', '.join(str(path) for path in done.paths)}{links}")
