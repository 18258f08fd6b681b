"""Commands that make something from nothing: `demo`, `fit` and `config`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, say
from linkodds.cli.progress import stopping_between_epochs, watched
from linkodds.options import FitOptions
from linkodds.reading.graph_options import EdgeListOptions

if TYPE_CHECKING:
    from linkodds.runs.record import Run


@app.command(cls=Command)
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory to make.")],
    force: opt.Force = False,
) -> None:
    """Fit a graph whose missing links are known, and compare promise and truth."""
    from linkodds.comparison.demo import run_demo

    for line in run_demo(out, force=force, progress=say):
        print(line)


@app.command(cls=Command)
@opt.made_of(EdgeListOptions, FitOptions)
def fit(
    edges: opt.EdgesFile,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Run directory to make.")],
    config: opt.ConfigFile = None,
    engine: opt.Engine = None,
    memory: opt.Memory = None,
    resume: opt.Resume = False,
    tensorboard: opt.TensorBoard = None,
    mlflow: opt.Mlflow = None,
    force: opt.Force = False,
    as_json: opt.AsJson = False,
    **typed: Any,
) -> None:
    """Read a graph, split, train, calibrate, decide, evaluate, and save it all in RUN.

    Defaults of the options that are not given: 'linkodds config'.

    Ctrl-C stops after the current epoch, a second one at once. Progress is kept in RUN.partial, also after a crash or
    kill; --resume continues and writes identical files. Measured time differs: cost.json, where the report shows it, and
    the seconds in history.csv.

    With --engine or --memory, or where EDGES is a folder or a pattern such as 'parts/*.parquet', the graph goes through
    files in RUN.shards, in blocks (docs/scale.md). Run the same command again to go on with the block that is missing.
    """
    if resume and force:
        raise typer.BadParameter("--resume goes on with RUN.partial, --force replaces RUN; give one of them.")
    from linkodds.fitting.resuming import find_interrupted

    left = find_interrupted(out) if resume else None
    settings = opt.config_of(opt.given(FitOptions, typed), config, {} if left is None else left.options)

    from linkodds.fitting.pipeline import fit_run
    from linkodds.reading.reading_options import ReadingOptions
    from linkodds.reading.tables import is_pattern
    from linkodds.report.summary import print_summary

    fit_it: Callable[..., Run | None] = fit_run
    if engine is not None or memory is not None or (isinstance(edges, Path) and (edges.is_dir() or is_pattern(edges))):
        from linkodds.sharded.running import fit_sharded

        fit_it = partial(fit_sharded, engine=engine, memory=memory)

    how = ReadingOptions.from_options(
        {**({} if left is None else left.reading_options), **opt.given(EdgeListOptions, typed)}
    )
    with (
        watched(tensorboard, mlflow, out.name) as (say_stage, on_start, watch_epoch, on_end),
        stopping_between_epochs(say_stage, watch_epoch) as (progress, on_epoch),
    ):
        run = fit_it(
            edges,
            out,
            settings,
            reading=how,
            force=force,
            resume=resume,
            progress=progress,
            on_start=on_start,
            on_epoch=on_epoch,
        )
        if run is not None:
            on_end(out, run.evaluation, run.config["options"])
    if run is None:  # another process of the same fit tells of it
        return
    if as_json:
        print(json.dumps(run.evaluation.to_json(), indent=2, allow_nan=False))
        return
    from rich.console import Console

    print_summary(run.evaluation, Console())
    print(f"report: {out / 'report.html'}")


@app.command(cls=Command)
def config() -> None:
    """Print every option of 'fit' with its default and meaning, as YAML for --config."""
    from linkodds.config import commented_yaml

    print(commented_yaml(), end="")
