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
def fit(
    edges: opt.EdgesFile,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Run directory to make.")],
    no_header: opt.NoHeader = False,
    delimiter: opt.Delimiter = None,
    source: opt.Source = None,
    target: opt.Target = None,
    query: opt.Query = None,
    nodes: opt.Nodes = None,
    directed: opt.Directed = False,
    bipartite: opt.Bipartite = None,
    features: opt.Features = None,
    time: opt.Time = None,
    weight: opt.Weight = None,
    weight_as: opt.WeightAs = None,
    relation: opt.Relation = None,
    predict_kind: opt.PredictKind = None,
    feature_scaling: opt.FeatureScaling = None,
    model: opt.Model = None,
    decoder: opt.Decoder = None,
    objective: opt.Objective = None,
    positive_weight: opt.PositiveWeight = None,
    zeros_per_edge: opt.ZerosPerEdge = None,
    batch_edges: opt.BatchEdges = None,
    subgraph_nodes: opt.SubgraphNodes = None,
    subgraph_by: opt.SubgraphBy = None,
    subgraph_alpha: opt.SubgraphAlpha = None,
    hidden: opt.Hidden = None,
    dim: opt.Dim = None,
    beta: opt.Beta = None,
    warm_up: opt.WarmUp = None,
    free_bits: opt.FreeBits = None,
    dropout: opt.Dropout = None,
    weight_decay: opt.WeightDecay = None,
    learning_rate: opt.LearningRate = None,
    schedule: opt.Schedule = None,
    epochs: opt.Epochs = None,
    patience: opt.Patience = None,
    validate_every: opt.ValidateEvery = None,
    time_budget: opt.TimeBudget = None,
    tune: opt.Tune = None,
    checkpoint_every: opt.CheckpointEvery = None,
    split: opt.SplitShares = None,
    folds: opt.Folds = None,
    calibrator: opt.Calibration = None,
    degree_calibration: opt.DegreeCalibration = None,
    decision: opt.DecisionRule = None,
    design: opt.Design = None,
    max_pairs: opt.MaxPairs = None,
    seed: opt.Seed = None,
    device: opt.Device = None,
    threads: opt.Threads = None,
    config: opt.ConfigFile = None,
    engine: opt.Engine = None,
    memory: opt.Memory = None,
    resume: opt.Resume = False,
    tensorboard: opt.TensorBoard = None,
    mlflow: opt.Mlflow = None,
    force: opt.Force = False,
    as_json: opt.AsJson = False,
) -> None:
    """Read a graph, split, train, calibrate, decide, evaluate, and save it all in RUN.

    Defaults of the options that are not given: 'linkodds config'.

    Ctrl-C stops after the epoch that is being made, a second one at once. What was done then lies in RUN.partial, also
    after a failure or a kill, and --resume goes on from there to the same bytes. Measured time differs: cost.json,
    where the report shows it, and the seconds in history.csv.

    With --engine or --memory, or where EDGES is a folder or a pattern such as 'parts/*.parquet', the graph goes through
    files in RUN.shards, in blocks (docs/scale.md). Run the same command again to go on with the block that is missing.
    """
    if resume and force:
        raise typer.BadParameter("--resume goes on with RUN.partial, --force replaces RUN; give one of them.")
    from linkodds.config import FitConfig, read_config
    from linkodds.fitting.resuming import FILES, find_interrupted

    given = {
        "feature_scaling": feature_scaling,
        "model": model,
        "decoder": decoder,
        "objective": objective,
        "positive_weight": positive_weight,
        "zeros_per_edge": zeros_per_edge,
        "batch_edges": batch_edges,
        "subgraph_nodes": subgraph_nodes,
        "subgraph_by": subgraph_by,
        "subgraph_alpha": subgraph_alpha,
        "hidden": hidden,
        "dim": dim,
        "beta": beta,
        "warm_up": warm_up,
        "free_bits": free_bits,
        "dropout": dropout,
        "weight_decay": weight_decay,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "epochs": epochs,
        "patience": patience,
        "validate_every": validate_every,
        "time_budget": time_budget,
        "tune": tune,
        "checkpoint_every": checkpoint_every,
        "split": split,
        "folds": folds,
        "calibrator": calibrator,
        "degree_calibration": degree_calibration,
        "decision": decision,
        "design": design,
        "max_pairs": max_pairs,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    from_file = read_config(config) if config is not None else {}
    left = find_interrupted(out) if resume else None
    asked = from_file | {name: value for name, value in given.items() if value is not None}
    settings = FitConfig.from_options(asked if left is None else left.options | asked)

    from linkodds.fitting.pipeline import fit_run
    from linkodds.reading.reading_options import ReadingOptions
    from linkodds.report.summary import print_summary
    from linkodds.sharded.batches import is_pattern

    fit_it: Callable[..., Run | None] = fit_run
    if engine is not None or memory is not None or (isinstance(edges, Path) and (edges.is_dir() or is_pattern(edges))):
        from linkodds.sharded.running import fit_sharded

        fit_it = partial(fit_sharded, engine=engine, memory=memory)

    how_to_read: dict[str, Any] = {
        "nodes": nodes,
        "source": source,
        "target": target,
        "header": False if no_header else None,
        "delimiter": delimiter,
        "directed": directed or None,
        "bipartite": bipartite,
        "features": features,
        "query": query,
        "time": time,
        "weight": weight,
        "weight_as": weight_as,
        "relation": relation,
        "predict_kind": predict_kind,
    }
    before = {} if left is None else left.reading
    known: dict[str, Any] = {
        name: Path(value) if name in FILES else value for name, value in before.items() if name != "edges"
    }
    reading = ReadingOptions(**known | {name: value for name, value in how_to_read.items() if value is not None})
    with (
        watched(tensorboard, mlflow, out.name) as (say_stage, on_start, watch_epoch, on_end),
        stopping_between_epochs(say_stage, watch_epoch) as (progress, on_epoch),
    ):
        run = fit_it(
            edges,
            out,
            settings,
            reading=reading,
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
