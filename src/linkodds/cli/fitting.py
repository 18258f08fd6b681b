"""Commands that make something from nothing: `demo`, `fit` and `config`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from linkodds.cli import options as opt
from linkodds.cli.app import Command, app, say
from linkodds.cli.progress import shown


@app.command(cls=Command)
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory to make.")],
    force: opt.Force = False,
) -> None:
    """Fit a graph whose missing links are known, and compare promise and truth."""
    from linkodds.demo import run_demo

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
    nodes: opt.Nodes = None,
    directed: opt.Directed = False,
    bipartite: opt.Bipartite = None,
    features: opt.Features = None,
    feature_scaling: opt.FeatureScaling = None,
    model: opt.Model = None,
    objective: opt.Objective = None,
    positive_weight: opt.PositiveWeight = None,
    zeros_per_edge: opt.ZerosPerEdge = None,
    hidden: opt.Hidden = None,
    dim: opt.Dim = None,
    beta: opt.Beta = None,
    warm_up: opt.WarmUp = None,
    dropout: opt.Dropout = None,
    weight_decay: opt.WeightDecay = None,
    learning_rate: opt.LearningRate = None,
    epochs: opt.Epochs = None,
    patience: opt.Patience = None,
    validate_every: opt.ValidateEvery = None,
    split: opt.SplitShares = None,
    folds: opt.Folds = None,
    decision: opt.DecisionRule = None,
    max_pairs: opt.MaxPairs = None,
    seed: opt.Seed = None,
    device: opt.Device = None,
    threads: opt.Threads = None,
    config: opt.ConfigFile = None,
    force: opt.Force = False,
    as_json: opt.AsJson = False,
) -> None:
    """Read a graph, split, train, calibrate, decide, evaluate, and save it all in RUN.

    Defaults of the options that are not given: 'linkodds config'.
    """
    from linkodds.config import FitConfig, read_config

    given = {
        "feature_scaling": feature_scaling,
        "model": model,
        "objective": objective,
        "positive_weight": positive_weight,
        "zeros_per_edge": zeros_per_edge,
        "hidden": hidden,
        "dim": dim,
        "beta": beta,
        "warm_up": warm_up,
        "dropout": dropout,
        "weight_decay": weight_decay,
        "learning_rate": learning_rate,
        "epochs": epochs,
        "patience": patience,
        "validate_every": validate_every,
        "split": split,
        "folds": folds,
        "decision": decision,
        "max_pairs": max_pairs,
        "seed": seed,
        "device": device,
        "threads": threads,
    }
    from_file = read_config(config) if config is not None else {}
    settings = FitConfig.from_options(from_file | {name: value for name, value in given.items() if value is not None})

    from linkodds.pipeline import ReadingOptions, fit_run
    from linkodds.summary import print_summary

    reading = ReadingOptions(
        nodes=nodes,
        source=source,
        target=target,
        header=False if no_header else None,
        delimiter=delimiter,
        directed=directed,
        bipartite=bipartite,
        features=features,
    )
    with shown(settings.epochs) as (progress, on_epoch):
        run = fit_run(edges, out, settings, reading=reading, force=force, progress=progress, on_epoch=on_epoch)
    if as_json:
        print(json.dumps(run.evaluation, indent=2, allow_nan=False))
        return
    from rich.console import Console

    print_summary(run.evaluation, Console())
    print(f"report: {out / 'report.html'}")


@app.command(cls=Command)
def config() -> None:
    """Print every option of 'fit' with its default and meaning, as YAML for --config."""
    from linkodds.config import commented_yaml

    print(commented_yaml(), end="")
