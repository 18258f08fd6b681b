"""Trials: models trained on a protocol's split as a fit trains them, and ranked against the protocol's non-edges.

Epochs, penalties and what `auto` takes are chosen on the validation edges, by average precision at the base rate as in a
fit: no protocol's metric is aimed at. Nothing is calibrated, for a protocol has no edges for it, and a degree term is left
out unless it is asked for: it would make other baselines of those that papers count.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from linkodds.comparison.protocols import ProtocolSplit
from linkodds.config import FitConfig
from linkodds.fitting.auto import LADDER, choose
from linkodds.fitting.averaging import MeanModel
from linkodds.fitting.evaluation_setup import EvaluationSetup, Seeds, judging_non_edges
from linkodds.fitting.fit import Say, informative_features
from linkodds.fitting.model_selection import ModelCandidate, ModelSelection, entries
from linkodds.fitting.pipeline import torch_threads
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.non_edges import DegreeClasses
from linkodds.models.families import AUTO, baseline_families, family_of
from linkodds.models.families.task import OnStart
from linkodds.models.training.history import Costs, Epoch
from linkodds.models.training.training import choose_device
from linkodds.probability.degree_term import Choice
from linkodds.scorers.scoring import Scorer


@dataclass(frozen=True)
class ProtocolResult:
    """A model's figures in a trial.

    Args:
        chosen: the model itself, or the one that `auto` took.
        validation: the protocol's figures on the validation edges.
        test: on the test edges.
        validation_average_precision: against all non-edges, at the base rate.
        base_rate_average_precision: the same of the test edges.
        training_seconds: of this and all trainings before it, which share one count.
        num_parameters: trained values, 0 for a baseline.
    """

    chosen: str
    validation: dict[str, float | None]
    test: dict[str, float | None]
    validation_average_precision: float
    base_rate_average_precision: float
    training_seconds: float
    num_parameters: int


def try_models(
    graph: Graph,
    trial: ProtocolSplit,
    names: Sequence[str],
    config: FitConfig,
    *,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> dict[str, ProtocolResult]:
    """Every named model on one trial.

    Args:
        graph: for its features.
        trial: of this graph.
        names: of models and baselines; `auto` is what a fit takes.
        config: all options of the fits but `model`; its split, folds and calibrator do not apply.
        progress: called with one line a stage.
        on_start: called as each training starts.
        on_epoch: called after every epoch.
    """
    say = progress or (lambda _: None)
    with torch_threads(config.threads):
        setup, costs = _setup_of(graph, trial, config), Costs()

        def selection_of(name: str) -> ModelSelection:
            given = config.model_copy(update={"model": name, "folds": 1, "degree_calibration": degree_term})
            names = entries(LADDER if name == AUTO else (name,), graph.space, has_features=features is not None)
            fitting = setup.fitting(
                {each: family_of(each) for each in names},
                features=features,
                config=given,
                seeds=train_seed,
                device=choose_device(config.device),
                costs=costs,
                say=say,
                on_start=on_start,
                on_epoch=on_epoch,
            )
            return ModelSelection(setup, fitting, names)

        features = informative_features(graph)[0]
        degree_term: Choice = "yes" if config.degree_calibration == "yes" else "no"
        train_seed = Seeds.of_protocol(config.seed).training
        result: dict[str, ProtocolResult] = {}
        for name in names:
            selection = selection_of(name)
            candidate = choose(selection).winner if name == AUTO else selection.fit_candidate(name, trial.split)
            without, candidate = candidate, selection.with_degree_term(candidate, selection.setup.split, degree_term)
            selection.about_degrees(without, candidate)
            scorer, of_test = candidate.scorer, candidate.parts["test"]
            if trial.protocol.is_refitted and (again := _refit(candidate, selection, trial.final_split)) is not None:
                scorer = again
                of_test = setup.held_out(scorer, trial.split, ("test",))["test"]
            result[name] = ProtocolResult(
                chosen=candidate.fitted.label if isinstance(candidate.fitted, MeanModel) else candidate.name,
                validation=trial.figures(candidate.scorer, "validation"),
                test=trial.figures(scorer, "test"),
                validation_average_precision=candidate.validation_ap,
                base_rate_average_precision=average_precision(of_test),
                training_seconds=costs.seconds("training"),
                num_parameters=0 if candidate.fitted is None else candidate.fitted.num_parameters,
            )
    return result


def baselines_for(graph: Graph) -> tuple[str, ...]:
    """All baselines that the graph has the data for."""
    has_features = informative_features(graph)[0] is not None
    return tuple(each.name for each in baseline_families() if has_features or not each.needs_features)


def _refit(candidate: ModelCandidate, selection: ModelSelection, split: Split) -> Scorer | None:
    """The scorer of a candidate model that was fitted again, or counts again, on more train edges; None where it cannot be.

    Nothing is chosen anew: a stack keeps its options, a structural-gae its share and its table, a mean its lines.
    """
    fitting, fitted = selection.fitting, candidate.fitted
    if candidate.degree_term is not None and candidate.degree_term.is_used:
        return None
    if isinstance(fitted, MeanModel):
        again = [_refit(member, selection, split) for member in fitted.members]
        if not any(again):
            return None
        scorers = tuple(new or old.scorer for new, old in zip(again, fitted.members, strict=True))
        return replace(fitted.scorer, members=scorers)
    with fitting.costs.stage("baselines" if fitted is None else "training"):
        return family_of(candidate.name).refit_scorer(
            fitted,
            split,
            fitting.features,
            seeds=fitting.seeds_of(1),
            threads=fitting.config.threads or 1,
            say=fitting.say,
        )


def _setup_of(graph: Graph, trial: ProtocolSplit, config: FitConfig) -> EvaluationSetup:
    split = trial.split
    sample_seed = Seeds.of_protocol(config.seed).non_edges
    non_edges, _ = judging_non_edges(split, config, np.random.default_rng(sample_seed))
    known = np.concatenate([split.train, split.validation])
    classes = DegreeClasses.of(split.train, graph.space, excluded=known, fifths_of=split.validation)
    return EvaluationSetup(split, non_edges, classes, None, False, config.threads)
