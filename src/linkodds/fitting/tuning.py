"""Tuning: a search among the options of one model that were left open, judged by the validation edges.

A trial is a training with some options; the first has the defaults. Optuna's tree-structured Parzen estimator (Bergstra
et al., NeurIPS 2011) proposes the others. They are judged by average precision against all non-edges, not against the
sample that training looks at, which only ends trials that are below the median of the others. Test edges are never seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.errors import NonFiniteScores, OptionError
from linkodds.findings import Finding
from linkodds.fitting.model_selection import HELD_OUT, ModelCandidate, ModelSelection
from linkodds.metrics.metrics import average_precision, precisions_of_edges
from linkodds.models.autoencoders.objective import objective_for
from linkodds.models.families import asked_family, families
from linkodds.models.families.autoencoders import PENALTY, WITH_FEATURES, AutoencoderFamily
from linkodds.models.families.family import Domain, ModelFamily, Range
from linkodds.models.families.task import ModelFitting, TrialPruned
from linkodds.models.training.history import Epoch
from linkodds.models.training.training import PENALTIES, choose_objective, noise_decay
from linkodds.models.training.training_loop import TrainedModel
from linkodds.pairs import KnownPairs

if TYPE_CHECKING:
    import optuna

FEWEST_EPOCHS = 20
"""Trials with fewer would be judged by how fast they begin; a time budget makes fewer trials instead."""
FIRST_DRAWS = 6
"""Trials, the defaults among them, before the sampler and the pruner take what they saw into account; half where few."""
RESAMPLES = 500


@dataclass(frozen=True, eq=False)
class TuningResult:
    """What a search came to.

    Args:
        selection: with the options that were taken.
        winner: the model of the best trial.
        options: option -> value of the best trial.
        trials: one row a trial: trial, state, epochs, validation_average_precision, is_taken and the options.
        finding: what was searched and how much of the gain may be luck.
    """

    selection: ModelSelection
    winner: ModelCandidate
    options: Mapping[str, Any]
    trials: pl.DataFrame
    finding: Finding


@dataclass(frozen=True, eq=False)
class _Trial:
    """A trial; without a model where it was ended early, and precisions at the validation edges likewise."""

    options: Mapping[str, Any]
    epochs: int
    trained: TrainedModel | None
    ap: float | None
    precisions: NDArray[np.float64] | None


def refuse_without_options(family: ModelFamily) -> AutoencoderFamily:
    """The family of a model whose options can be searched.

    Raises:
        OptionError: auto, or a model without options; it names those that have some.
    """
    if isinstance(family, AutoencoderFamily):
        return family
    searched = [each.name for each in families() if isinstance(each, AutoencoderFamily)]
    raise OptionError(
        f"--tune: {family.untunable.format(name=family.name)} Name one that has, with --model: {', '.join(searched)}."
    )


def tune(selection: ModelSelection) -> TuningResult:
    """Search the open options of the one model of a selection.

    Same seed, same trials. A time budget is shared evenly by all trials and the trainings on other folds. An interrupted
    search goes on: trials that were made are read from their checkpoints and told to the sampler again.

    Args:
        selection: of one autoencoder and baselines; its config says how many trials.
    Raises:
        OptionError: a model without options, none left open, or Optuna is missing.
    """
    fitting = selection.fitting
    config = fitting.config
    name, split = config.model, selection.setup.split.rotations()[0]
    family = refuse_without_options(asked_family(name))
    is_all_pairs = choose_objective(config, split.space) == "all-pairs"
    has_features = fitting.features is not None
    space = family.searched_options(config, is_all_pairs=is_all_pairs, has_features=has_features)
    if not space:
        raise OptionError(f"--tune: all options of {name} that are searched were given; leave some open.")
    count, shortened = _affordable(fitting, family)
    fitting = replace(fitting, further=fitting.further + count - 1)
    unit = 1.0
    if PENALTY in space:
        known = KnownPairs(split.space, split.train)
        of_model, rng = family.options(config), np.random.default_rng(0)
        objective = objective_for(
            choose_objective(config, split.space), known, of_model, device=torch.device("cpu"), rng=rng
        )
        unit = noise_decay(objective, known)
    searched = ", ".join(space)
    fitting.say(f"{name}: searching {searched} in {count} trials, the first with the defaults")
    first = max(2, min(FIRST_DRAWS, count // 2))
    with _quiet_optuna() as optuna:
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=config.seed, n_startup_trials=first),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=first, n_warmup_steps=config.epochs // 10),
        )
        study.enqueue_trial(_defaults(space, family.options(config)))
        trials: list[_Trial] = []
        for number in range(1, count + 1):
            asked = study.ask()
            options = {option: _suggested(asked, option, domain) for option, domain in space.items()}
            same = next((each for each in trials if each.options == options), None)
            trial = same or _make_trial(replace(selection, fitting=fitting), family, options, unit, asked, number)
            study.tell(asked, trial.ap, state=None if trial.ap is not None else optuna.trial.TrialState.PRUNED)
            best = max([each for each in trials if each.ap is not None], key=lambda each: each.ap or 0.0, default=trial)
            if trial.ap is None or (best is not trial and trial.ap <= (best.ap or 0.0)):
                trial = replace(trial, trained=None)  # one model at a time stays in memory
            elif best is not trial:
                trials[trials.index(best)] = replace(best, trained=None)
            trials.append(trial)
            fitting.say(f"trial {number} of {count}: {_judged(trial)} with {_listed(options)}")
    best = next((each for each in trials if each.trained is not None), trials[0])
    if best.trained is None:
        raise NonFiniteScores(f"{name}: no trial had a finite loss. Scale the features (--feature-scaling standard).")
    with fitting.costs.stage("evaluation"):
        scorer = best.trained.scorer
        winner = ModelCandidate(name, scorer, best.trained, selection.setup.held_out(scorer, split, HELD_OUT))
    taken = _taken(fitting, best.options, unit)
    epochs = family.evenly_shared(fitting)
    fitting.ledger.epochs_allowed[name] = epochs
    if epochs < config.epochs:
        shortened += f" The time budget gave each trial up to about {epochs} of {config.epochs} epochs."
    finding = _finding(name, best, trials, space, config.seed, shortened)
    fitting.say(finding.message)
    table = pl.DataFrame(
        [
            {
                "trial": number,
                "state": "pruned" if each.ap is None else "complete",
                "epochs": each.epochs,
                "validation_average_precision": each.ap,
                "is_taken": each is best,
                **each.options,
            }
            for number, each in enumerate(trials, start=1)
        ]
    )
    options = {option: value for option, value in best.options.items() if option != PENALTY}
    if PENALTY in best.options:
        options["weight_decay"] = best.trained.weight_decay
    features = fitting.features  # of other folds: `FitTask` takes them as the winner did
    return TuningResult(replace(selection, fitting=replace(taken, features=features)), winner, options, table, finding)


def optimism(precisions: NDArray[np.float64], rng: np.random.Generator) -> float:
    """How much better the best of some trials looks on the edges that chose it than on others: the winner's curse.

    The edges are drawn anew with replacement, the best trial is chosen by those drawn, and its mean over them compared
    with its mean over those that were not.

    Args:
        precisions: shape (trials, edges); the mean of a row is that trial's average precision.
        rng: source of the draws.
    Example:
        >>> optimism(np.array([[0.5, 0.5, 0.5]]), np.random.default_rng(0))  # one trial, no choice, no luck
        0.0
    """
    num_edges = precisions.shape[1]
    gaps = []
    for _ in range(RESAMPLES):
        counts = np.bincount(rng.integers(0, num_edges, num_edges), minlength=num_edges)
        left_out = counts == 0
        if not left_out.any():
            continue
        drawn = precisions @ counts / num_edges
        best = int(np.argmax(drawn))
        gaps.append(drawn[best] - precisions[best, left_out].mean())
    return float(np.mean(gaps)) if gaps else 0.0


def _make_trial(
    selection: ModelSelection,
    family: AutoencoderFamily,
    options: Mapping[str, Any],
    unit: float,
    asked: "optuna.Trial",
    number: int,
) -> _Trial:
    fitting, split = selection.fitting, selection.setup.split.rotations()[0]
    last = 0

    def consider(epoch: Epoch) -> None:
        nonlocal last
        last = epoch.epoch
        if epoch.validation is None:
            return
        asked.report(epoch.validation.average_precision, epoch.epoch)
        if asked.should_prune():
            raise TrialPruned(epoch.epoch)

    def on_start(label: str, epochs: int, history: Sequence[Epoch]) -> None:
        if fitting.on_start is not None:
            fitting.on_start(label, epochs, history)
        for epoch in history:  # of a trial that is resumed, to be judged as it was then
            consider(epoch)

    def on_epoch(epoch: Epoch) -> None:
        if fitting.on_epoch is not None:
            fitting.on_epoch(epoch)
        consider(epoch)

    trial = replace(_taken(fitting, options, unit), on_start=on_start, on_epoch=on_epoch)
    try:
        trained = family.train_trial(trial, f"{family.name}-trial-{number}", split)
    except NonFiniteScores:
        trained = None
    if trained is None:
        return _Trial(options, last, None, None, None)
    with fitting.costs.stage("evaluation"):
        held_out = selection.setup.held_out(trained.scorer, split, ("validation",))["validation"]
    ap = average_precision(held_out)
    return _Trial(options, len(trained.history), trained, ap, precisions_of_edges(held_out))


def _taken(fitting: ModelFitting, options: Mapping[str, Any], unit: float) -> ModelFitting:
    """Fitting with the options of a trial."""
    own = {option: value for option, value in options.items() if option not in (PENALTY, WITH_FEATURES)}
    if PENALTY in options:
        own["weight_decay"] = options[PENALTY] * unit
    features = fitting.features if options.get(WITH_FEATURES, True) else None
    return replace(fitting, config=fitting.config.model_copy(update=own), features=features)


def _affordable(fitting: ModelFitting, family: AutoencoderFamily) -> tuple[int, str]:
    """As many trials as were asked for, or as the time budget leaves enough epochs for; and what to say of fewer."""
    asked = fitting.config.tune or 1
    if fitting.config.time_budget is None:
        return asked, ""
    fewest = min(FEWEST_EPOCHS, fitting.config.epochs)
    each = fewest * family.epoch_seconds(fitting)
    count = min(asked, max(1, int(fitting.config.time_budget / each) - fitting.further))
    if count == asked:
        return asked, ""
    return count, (
        f" The time budget of {fitting.config.time_budget:g} s, spent as counted work, has {fewest} epochs for {count} "
        f"trial{'' if count == 1 else 's'} and not for {asked}."
    )


def _defaults(space: Mapping[str, Domain], config: FitConfig) -> dict[str, Any]:
    """What a fit without a search would have, of the penalties and features it tries those it tries first."""
    special = {PENALTY: PENALTIES[0], WITH_FEATURES: True}
    return {option: special.get(option, getattr(config, option, None)) for option in space}


def _suggested(asked: "optuna.Trial", option: str, domain: Domain) -> Any:
    if isinstance(domain, Range):
        value = asked.suggest_float(option, domain.low, domain.high, log=domain.is_log)
        return float(f"{value:.4g}")  # as it is written
    return asked.suggest_categorical(option, domain)


def _judged(trial: _Trial) -> str:
    if trial.ap is None:
        return f"ended after {trial.epochs} epochs, below the median or not finite"
    return f"validation average precision {trial.ap:.4g}"


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{option} {value:g}" if isinstance(value, float) else f"{option} {value}" for option, value in options.items()
    )


def _finding(
    name: str, best: _Trial, trials: Sequence[_Trial], space: Mapping[str, Domain], seed: int, shortened: str
) -> Finding:
    whole = [each.precisions for each in trials if each.precisions is not None]
    precisions = np.stack(whole)
    assert best.ap is not None
    assert best.precisions is not None
    luck = optimism(precisions, np.random.default_rng(seed))
    num_pruned = len(trials) - len(whole)
    message = f"{name}: {len(trials)} trials over {', '.join(space)}"
    message += f", of which {num_pruned} ended early" if num_pruned else ""
    message += f"; the best has validation average precision {best.ap:.4g}, with {_listed(best.options)}."
    gain = 0.0
    if trials[0].precisions is not None:
        differences = best.precisions - trials[0].precisions
        gain = float(differences.mean())
        error = float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else np.inf
        message += f" The defaults have {trials[0].ap:.4g}: {gain:.2g} less, standard error {error:.2g}."
    message += (
        f" {len(best.precisions):,} validation edges chose, and that alone makes the best look about {luck:.2g} better than "
        "it is (edges drawn anew)."
    )
    if gain <= luck:
        message += " So the gain may be luck."
    remedy = "More validation edges (--split) or fewer --tune trials leave less to luck; the test edges were not seen."
    return Finding("tuning", "warning" if gain <= luck else "info", message + shortened, remedy, luck)


@contextmanager
def _quiet_optuna() -> "Iterator[Any]":
    """Optuna with its own log at errors alone, as it was before afterwards."""
    try:
        import optuna
    except ImportError as error:
        raise OptionError("--tune needs Optuna, which is not installed; pip install 'linkodds[tune]'.") from error
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)
