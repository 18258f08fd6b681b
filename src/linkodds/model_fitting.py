"""Model fitting: from a model's name to a fitted model, within the time budget, resumed where there is a checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.checkpoint import Checkpoint, Checkpoints, TrainingState
from linkodds.config import AUTOENCODERS, STACK, FitConfig
from linkodds.costs import Costs
from linkodds.features import Features
from linkodds.findings import Finding
from linkodds.history import Epoch
from linkodds.metrics import average_precision
from linkodds.preflight import Clock, Memory, TimeBudget, announcement, shortened
from linkodds.rehearsal import Rehearsal
from linkodds.scoring import Scorer
from linkodds.split import Split
from linkodds.stack import StackedModel, fit_stack
from linkodds.training import PENALTIES, VALIDATION_NON_EDGES, TrainedModel, choose_objective, train
from linkodds.workload import Sizes


class FittedModel(Protocol):
    """What later stages need of any fitted model."""

    @property
    def name(self) -> str:
        """As `--model` calls it."""
        ...

    @property
    def scorer(self) -> Scorer:
        """Logits of pairs."""
        ...

    @property
    def effective_odds(self) -> float:
        """Edges / non-edges that the logits are the log odds for."""
        ...

    @property
    def weights(self) -> Mapping[str, NDArray[Any]]:
        """What is saved to have the scorer again."""
        ...

    @property
    def history(self) -> tuple[Epoch, ...]:
        """One entry an epoch; none where there are no epochs."""
        ...

    @property
    def best_epoch(self) -> int:
        """The kept one; 0 where there are none."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What fitting had to say."""
        ...

    @property
    def num_parameters(self) -> int:
        """Number of fitted values."""
        ...

    @property
    def objective(self) -> str:
        """What was minimised."""
        ...


@dataclass(frozen=True, eq=False)
class ModelFitting:
    """What the fitting of all models shares.

    Args:
        rehearsal: its split is what models are fitted on; validation average precision is against its non-edges.
        features: or None.
        config: the options of the fit.
        names: of all that will be fitted, and share the time budget.
        further: trainings beyond one for each name: of the other folds.
        seeds: of every training.
        device: where to train.
        costs: gets what each stage takes.
        say: called with one line a stage.
        on_start: called as each training starts, with its name, the most epochs it can take, and its history so far,
            which is empty unless it is resumed.
        on_epoch: called after every epoch.
        checkpoints: where the state of each training is kept, and taken from; None keeps it nowhere.
        findings: gets what there is to say of trainings that a time budget made shorter.
    """

    rehearsal: Rehearsal
    features: Features | None
    config: FitConfig
    names: tuple[str, ...]
    further: int
    seeds: np.random.SeedSequence
    device: torch.device
    costs: Costs
    say: Callable[[str], None]
    on_start: Callable[[str, int, Sequence[Epoch]], None] | None = None
    on_epoch: Callable[[Epoch], None] | None = None
    checkpoints: Checkpoints | None = None
    findings: list[Finding] = field(default_factory=list)

    def fitted(self, name: str, split: Split, fold: int = 0, like: FittedModel | None = None) -> FittedModel | None:
        """The fitted model of a name; None for a baseline, which is not fitted.

        Args:
            name: a model or a baseline.
            split: one of the rotations of the rehearsal's split.
            fold: number of the rotation; it seeds the training and names its checkpoint.
            like: a training whose weight decay is taken, and whether it has features; None: the config's, or a search.
        """
        if name in AUTOENCODERS:
            return self._trained(name, split, fold, like if isinstance(like, TrainedModel) else None)
        if name == STACK:
            return self._stacked(split, fold)
        return None

    def epochs_allowed(self) -> dict[str, int]:
        """The most epochs of each model that is trained: --epochs, or what its share of the time budget pays for."""
        names = [name for name in self.names if name in AUTOENCODERS]
        trainings = sum(self._num_tries(name) for name in names) + self.further
        budget = TimeBudget(self.config.time_budget, trainings=trainings)
        return {name: budget.epochs(self._sizes(name), self.config.epochs) for name in names}

    def _trained(self, name: str, split: Split, fold: int, like: TrainedModel | None) -> TrainedModel:
        """The training, or the best by validation average precision of those that a search makes.

        A search tries each penalty and, where there are features, the best of them once more without features.
        """
        epochs = self.epochs_allowed()[name]
        config = self.config.model_copy(update={"epochs": epochs})
        if like is not None:
            features = self.features if like.uses_features else None
            config = config.model_copy(update={"weight_decay": like.weight_decay})
            return self._train(name, name, split, features, config, fold)
        if self._num_tries(name) == 1:
            trained = self._train(name, name, split, self.features, config, fold)
        else:
            keys = [f"{name}-penalty-{number}" if number > 1 else name for number in range(1, len(PENALTIES) + 1)]
            tried = [
                self._train(name, key, split, self.features, config, fold, penalty)
                for key, penalty in zip(keys, PENALTIES, strict=True)
            ]
            # Against all non-edges: against the sample that training sees, AP is far noisier at the top of the ranking.
            aps = [
                average_precision(self.rehearsal.held_out(each.scorer, split, ("validation",))["validation"])
                for each in tried
            ]
            if self.features is not None:
                best = config.model_copy(update={"weight_decay": tried[int(np.argmax(aps))].weight_decay})
                tried.append(self._train(name, f"{name}-without-features", split, None, best, fold))
                aps.append(
                    average_precision(self.rehearsal.held_out(tried[-1].scorer, split, ("validation",))["validation"])
                )
            trained = tried[int(np.argmax(aps))]  # the first, which has the strongest penalty, among equals
            trained = replace(trained, findings=(*trained.findings, self._searched(name, trained, tried, aps)))
        num_epochs = len(trained.history)
        if num_epochs == epochs < self.config.epochs and not fold and not trained.was_cut_short:
            self.findings.append(shortened(self.config.time_budget, name, epochs, self.config.epochs))
        return trained

    def _searched(
        self, name: str, trained: TrainedModel, tried: Sequence[TrainedModel], aps: Sequence[float]
    ) -> Finding:
        """What to say of a search, and say it."""
        names = [f"{each.weight_decay:.3g}{self._features_left_out(each)}" for each in tried]
        message = (
            f"{name}: weight decay {trained.weight_decay:.3g}{self._features_left_out(trained)} was best by validation average "
            f"precision, of {', '.join(f'{each} {ap:.4g}' for each, ap in zip(names, aps, strict=True))}."
        )
        self.say(message)
        return Finding("training", "info", message, "--weight-decay names one, and trains once.", trained.weight_decay)

    def _features_left_out(self, trained: TrainedModel) -> str:
        return "" if trained.uses_features or self.features is None else " without features"

    def _num_tries(self, name: str) -> int:
        """Trainings of a model on the contest's own split: several where the weight decay is left open."""
        is_open = self.config.of_model(name).weight_decay is None
        return len(PENALTIES) + (self.features is not None) if is_open else 1

    def _train(
        self,
        name: str,
        key: str,
        split: Split,
        features: Features | None,
        config: FitConfig,
        fold: int,
        penalty: float = PENALTIES[0],
    ) -> TrainedModel:
        """Say what a training will take, train, and say whether a clock ended it.

        Args:
            name: of the model.
            key: what this training of it is called; it names the checkpoint.
            split: to train on.
            features: or None to leave them out.
            config: with the epochs that the time budget allows.
            fold: of the split.
            penalty: see `train`.
        """
        label = f"{key}-fold-{fold + 1}" if fold else key
        objective = choose_objective(config, split.space)
        self.say(f"training {label}, {objective} objective ({split.space.num_pairs:,} pairs) on {self.device.type}")
        memory = Memory.here() if self.device.type == "cpu" else Memory(None, None)
        for line in announcement(label, config.epochs, self._sizes(name), memory):
            self.say(line)
        checkpoint = None if self.checkpoints is None else self.checkpoints.of(key, fold)
        resumed = self._resumed(checkpoint)
        if self.on_start is not None:
            self.on_start(label, config.epochs, () if resumed is None else resumed.history)
        clock = Clock(self.config.time_budget, spent=self.costs.seconds("training"))
        with self.costs.stage("training"):
            trained = train(
                name,
                split,
                features,
                config,
                seeds=self._seeds(fold),
                device=self.device,
                on_epoch=self.on_epoch,
                should_stop=clock,
                checkpoint=checkpoint,
                resumed=resumed,
                penalty=penalty,
            )
        if trained.was_cut_short:
            self.findings.append(clock.finding(label, len(trained.history)))
        return trained

    def _stacked(self, split: Split, fold: int) -> StackedModel:
        if self.config.time_budget is not None and not fold:
            message = "The time budget does not bound the stack: its work follows the size of the graph alone."
            self.findings.append(Finding("training", "info", message, "Take another --model to keep a budget.", None))
        with self.costs.stage("training"):
            return fit_stack(
                split, self.features, seeds=self._seeds(fold), threads=torch.get_num_threads(), say=self.say
            )

    def _sizes(self, name: str) -> Sizes:
        is_listed = self.rehearsal.non_edges.design != "enumerated"
        return Sizes.of(
            name,
            self.rehearsal.split,
            self.features,
            self.config,
            objective=choose_objective(self.config, self.rehearsal.split.space),
            validation_non_edges=min(VALIDATION_NON_EDGES, self.rehearsal.non_edges.num_non_edges),
            sampled_non_edges=self.rehearsal.non_edges.num_scored if is_listed else 0,
        )

    def _resumed(self, checkpoint: Checkpoint | None) -> TrainingState | None:
        state = None if checkpoint is None else checkpoint.read()
        if state is not None:
            epochs = f"{len(state.history)} epoch{'' if len(state.history) == 1 else 's'}"
            self.say(f"trained before: {epochs}" if state.is_done else f"going on after {epochs}")
        return state

    def _seeds(self, fold: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seeds.entropy, spawn_key=(*self.seeds.spawn_key, fold))
