"""Pipeline: read, split, select a model, calibrate, decide, evaluate, save."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from linkodds.config import FitConfig
from linkodds.errors import InvertedRanking, OptionError
from linkodds.evaluation.evaluation import Evaluation
from linkodds.findings import Finding
from linkodds.fitting.auto import choose
from linkodds.fitting.edge_support import refuse_ignored_kinds, refuse_ignored_weights
from linkodds.fitting.fit import Fit, Say
from linkodds.fitting.model_selection import ModelCandidate, ModelSelection
from linkodds.fitting.resuming import InterruptedFit, find_interrupted
from linkodds.fitting.tuning import refuse_without_options
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.non_edge_scores import TallyRunner
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.models.families import AUTO, asked_family, is_baseline
from linkodds.models.families.family import ModelFamily
from linkodds.models.families.fitted_model import Trainer
from linkodds.models.families.own_models import family_of_own
from linkodds.models.families.task import OnStart
from linkodds.models.training.checkpoint import Checkpoints, checkpoint_interval
from linkodds.models.training.history import Costs, Epoch, history_columns, history_csv
from linkodds.models.training.training import choose_device
from linkodds.probability.decision import parse_rule
from linkodds.reading.database_urls import Database
from linkodds.reading.reading_options import ReadingOptions
from linkodds.report import report_data_of, write_report
from linkodds.runs.record import Run, at_path, write_inputs, write_results
from linkodds.runs.run_directory import PartialRun


def fit_run(
    edges: Path | Database,
    out: Path,
    config: FitConfig,
    *,
    reading: ReadingOptions = ReadingOptions(),
    force: bool = False,
    resume: bool = False,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Run:
    """The main job: an edge list in, a run directory out.

    While it trains, RUN.partial holds checkpoints. Ctrl-C (KeyboardInterrupt, which `on_epoch` may raise too) and
    failures leave it with the last complete epoch; bad input leaves nothing. A fit that was resumed ends in the same bytes
    as one that was not interrupted, but for cost.json and the seconds of history.csv, which are measured: cost.json
    counts the process that came to the end.

    Args:
        edges: any file or database that `Graph.from_edges` reads.
        out: RUN; written as RUN.partial and renamed when complete.
        config: all options of the fit.
        reading: how to read the file.
        force: replace an existing run.
        resume: go on with what an interrupted fit left in RUN.partial; from the beginning where it left nothing.
        progress: called with one line a stage.
        on_start: called as each training starts: its name, the most epochs it can take, and its history so far.
        on_epoch: called after every epoch.
    Raises:
        RunExists: RUN is there and `force` is False.
        OptionError: the interrupted fit had other options.
        DataError: it was of another graph, or this one cannot be used.
        BrokenRun: a checkpoint is damaged, or of another version of linkodds or torch.
    """
    asked_family(config.model)  # refused before anything is read
    left = find_interrupted(out) if resume else None
    if resume and left is None and progress is not None:
        progress(f"nothing to resume beside {out}: starting from the beginning.")
    partial = PartialRun(out, force=force, resume=left is not None)
    given = {"edges": str(edges)} | reading.given()
    if left is not None:
        left.refuse_other_options(config.model_dump(mode="json"), given)
        config = left.as_given(config)
    costs = Costs()
    with costs.stage("reading"):
        graph = Graph.read(edges, reading, config.feature_scaling)
    with (
        _ready(
            graph,
            config,
            reading=given,
            partial=partial,
            resumed=left,
            costs=costs,
            progress=progress,
            on_start=on_start,
            on_epoch=on_epoch,
        ) as fit,
        _inputs_written(fit, partial, left),
    ):
        run = fit.run()
        write_results(partial, run)
        write_report(run, report_data_of(run), partial.path / "report.html")
        return at_path(run, partial.commit())


def fit_graph(
    graph: Graph,
    config: FitConfig,
    *,
    reading: Mapping[str, Any] | None = None,
    partial: PartialRun | None = None,
    resumed: InterruptedFit | None = None,
    costs: Costs | None = None,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    own: CustomEncoder | CustomScorer | None = None,
    split: Split | None = None,
    trainer: Trainer | None = None,
    runner: TallyRunner | None = None,
) -> Run:
    """Split, train, calibrate, decide and evaluate a graph; save the run if there is a place for it.

    Args:
        graph: what to learn.
        config: all options of the fit.
        reading: where the graph came from and how it was read, for config.yaml.
        partial: where to save; None keeps the run in memory.
        resumed: what an interrupted fit left in `partial`, to go on with.
        costs: what reading has cost already.
        progress: called with one line a stage.
        on_start: called as each training starts: its name, the most epochs it can take, and its history so far.
        on_epoch: called after every epoch.
        own: a user's encoder or scorer; the config's model is then "own-encoder" or "own-scorer".
        split: of this graph, where it was made elsewhere: what a scorer knew settles it; None: made here.
        trainer: trains in another way than in memory.
        runner: scores non-edges in another way than on threads of this process.
    Raises:
        OptionError: a model that is somebody's own and not given, or options that it cannot have.
    """
    with _ready(
        graph,
        config,
        reading=reading,
        partial=partial,
        resumed=resumed,
        costs=costs,
        progress=progress,
        on_start=on_start,
        on_epoch=on_epoch,
        own=own,
        split=split,
        trainer=trainer,
        runner=runner,
    ) as fit:
        if partial is None:
            return fit.run()
        with _inputs_written(fit, partial, resumed):
            run = fit.run()
            write_results(partial, run)
            write_report(run, report_data_of(run), partial.path / "report.html")
            return at_path(run, partial.commit())


@contextmanager
def _ready(
    graph: Graph,
    config: FitConfig,
    *,
    reading: Mapping[str, Any] | None,
    partial: PartialRun | None,
    resumed: InterruptedFit | None,
    costs: Costs | None,
    progress: Say | None,
    on_start: OnStart | None,
    on_epoch: Callable[[Epoch], None] | None,
    own: CustomEncoder | CustomScorer | None = None,
    split: Split | None = None,
    trainer: Trainer | None = None,
    runner: TallyRunner | None = None,
) -> Iterator[Fit]:
    """A fit that is ready to run, with torch's threads set; see `fit_graph`. What cannot be fitted is refused here."""
    say = progress or (lambda _: None)
    parse_rule(config.decision)  # refused before any work
    family = _family(config, own)
    if config.tune:
        refuse_without_options(family)
    _refuse_what_ignores(graph, config, family)
    device = choose_device(config.device)
    told = () if graph.origin is None else graph.origin.summarised
    for line in () if graph.origin is None else graph.describe().lines():
        say(line)
    for finding in graph.findings:
        if finding not in told:
            say(finding.message)
    with torch_threads(config.threads or (resumed.num_threads if resumed is not None else None)):
        yield Fit.of(
            graph,
            config,
            device=device,
            family=family,
            # where the files lay when it began, so that config.yaml stays what it is
            reading=reading if resumed is None else resumed.reading,
            costs=costs or Costs(),
            say=say,
            on_start=on_start,
            on_epoch=on_epoch,
            split=split,
            checkpoints=None if partial is None else _checkpoints(partial, config, graph),
            trainer=trainer,
            runner=runner,
        )


@contextmanager
def _inputs_written(fit: Fit, partial: PartialRun, resumed: InterruptedFit | None) -> Iterator[None]:
    """Inside, RUN.partial holds what the fit starts from: written now, or found to be that of the interrupted fit."""
    settings = fit.settings(None)
    if resumed is not None:
        resumed.refuse_other_fit(settings, fit.graph.ids, fit.split, settings["graph"]["features_hash"])
    with partial:
        if resumed is None:
            write_inputs(partial, settings, fit.graph.ids, fit.split)
        yield


def _family(config: FitConfig, own: CustomEncoder | CustomScorer | None) -> ModelFamily:
    """The family of what is fitted.

    Raises:
        OptionError: a name that there is not, a model of a user's own that was not given, or options that it cannot have.
    """
    family = asked_family(config.model) if own is None else family_of_own(own)
    if config.model != family.name:
        raise OptionError(f"with a model of your own the config's model is {family.name!r}, not {config.model!r}.")
    family.refuse(config)
    return family


def _checkpoints(partial: PartialRun, config: FitConfig, graph: Graph) -> Checkpoints:
    """Where the trainings of a fit keep their states, beside the history of the one that goes on."""
    return Checkpoints(
        partial.checkpoints,
        checkpoint_interval(config.checkpoint_every, graph.space),
        lambda epochs: partial.write("history.csv", history_csv(history_columns(epochs))),
    )


def _refuse_what_ignores(graph: Graph, config: FitConfig, family: ModelFamily) -> None:
    """Raise where the model would pass over the weights or the other kinds of edges."""
    if graph.weights is None and graph.others is None:
        return
    num_features = None if graph.features is None else graph.features.matrix.shape[1]
    decodes = family.has_own_decoder(graph.num_nodes, num_features)
    has_features = graph.features is not None
    refuse_ignored_weights(graph.weights, config, family, has_features=has_features, decodes=decodes)
    refuse_ignored_kinds(graph.others, family, decodes=decodes)


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """torch's number of threads, put back afterwards; None leaves it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def evaluate_models(
    graph: Graph,
    names: Sequence[str],
    config: FitConfig,
    *,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> dict[str, Evaluation | str]:
    """Every model and baseline on the one split that the seed of `config` gives, each calibrated and measured as in a fit.

    Args:
        graph: what to learn.
        names: of models; "auto" is what a fit would take: one of those it tries, or a baseline. All baselines are measured
            whether they are named or not.
        config: all options of the fit but `model`.
        progress: called with one line a stage.
        on_start: called as each training starts.
        on_epoch: called after every epoch.
    Returns:
        Name -> its evaluation, without the mean reciprocal rank; or the reason why it has none (an inverted ranking). The
        validation average precision is `model["validation_average_precision"]`, for "auto" `model["name"]` is who won, or
        auto where it is a mean, of `model["members"]`.
    """
    parse_rule(config.decision)
    for name in names:
        asked_family(name).refuse(config)
    if config.tune:
        raise OptionError(
            "--tune is of 'linkodds fit'; a comparison takes each model as its options say. Leave it out."
        )
    device = choose_device(config.device)
    with torch_threads(config.threads):
        say = progress or (lambda _: None)
        fit = Fit.of(graph, config, device=device, say=say, on_start=on_start, on_epoch=on_epoch)
        fit.announce()
        entered: dict[str, tuple[ModelSelection, ModelCandidate, Sequence[Finding]]] = {}
        known: dict[str, ModelCandidate] = {}
        for name in sorted(names, key=lambda each: each != AUTO):  # auto first: others may have what it has fitted
            selection = fit.select_models(name)
            if name == AUTO:
                outcome = choose(selection)
                entered[name] = selection, outcome.winner, outcome.findings
                found = {each: outcome.candidates[each] for each in outcome.candidates if each != name}
                known |= {each: found[each] for each in found if selection.fitting.is_as_named(each)}
            else:
                found = {each: known.get(each) or selection.fit_candidate(each) for each in selection.names}
                known |= found
            new = [each for each in found if each == name or (is_baseline(each) and each not in entered)]
            entered |= {each: (selection, found[each], found[each].findings) for each in new}
        result: dict[str, Evaluation | str] = {}
        for name, (selection, candidate, findings) in entered.items():
            try:
                measured = fit.calibrate_and_measure(selection, candidate, findings)
                with fit.costs.stage("evaluation"):
                    evaluation = fit.evaluate(measured, None, {})
            except InvertedRanking as error:
                result[name] = str(error)
                continue
            ap = measured.candidate.validation_ap
            result[name] = replace(evaluation, model={**evaluation.model, "validation_average_precision": ap})
    return result
