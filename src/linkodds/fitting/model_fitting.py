"""Model fitting: from a model's name to a fitted model, within the time budget, resumed where there is a checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.config import AUTOENCODERS, ON_HIDDEN_EDGES, OWN_ENCODER, PAIR_MODELS, STACK, STRUCTURAL, FitConfig
from linkodds.findings import Finding
from linkodds.fitting.evaluation_setup import EvaluationSetup
from linkodds.fitting.fitted_model import FittedModel, Trainer, TrialPruned
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.strata import num_chosen_by
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.models.structural.masked_edges import HiddenEdges
from linkodds.models.structural.stack import StackedModel, fit_stack
from linkodds.models.structural.structural_costs import StackSizes, hiding_work, stack_work, structural_work
from linkodds.models.structural.structural_gae import StructuralModel, check_size, fit_structural
from linkodds.models.training.checkpoint import Checkpoint, Checkpoints, TrainingState
from linkodds.models.training.cost_model import Sizes, nominal_seconds
from linkodds.models.training.estimates import Clock, Memory, TimeBudget, announcement, shortened
from linkodds.models.training.history import Epoch
from linkodds.models.training.pair_cost_model import epoch_work
from linkodds.models.training.pair_training import train_pair_model
from linkodds.models.training.timings import Costs
from linkodds.models.training.training import PENALTIES, choose_objective, train
from linkodds.models.training.training_task import TrainedModel, TrainingTask
from linkodds.scorers.scoring import InnerProductScorer

DEFAULT_SECONDS = 300.0
"""The time budget of auto where none is given; no clock stands behind it."""
TABLE = "signed-gae"
"""The model whose table is a part of structural-gae."""


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
        trainer: what trains instead of `train` and `train_pair_model`; None for these.
        own: the user's model where it is one; None: all are ours.
        ids: shape (nodes,), for a user's model alone.
        findings: gets what there is to say of trainings that a time budget made shorter.
        epochs_allowed: gets the most epochs of each model that was trained.
        spent: gets the nominal seconds of each model that was fitted, counted and not measured.
        hidden: gets the hidden edges of each fold, where several models learn from them.
    """

    rehearsal: EvaluationSetup
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
    trainer: Trainer | None = None
    own: CustomEncoder | CustomScorer | None = None
    ids: NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, dtype=object))
    findings: list[Finding] = field(default_factory=list)
    epochs_allowed: dict[str, int] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    hidden: dict[int, HiddenEdges] = field(default_factory=dict)

    def fitted(
        self, name: str, split: Split, fold: int = 0, like: FittedModel | None = None, seconds: float | None = None
    ) -> FittedModel | None:
        """The fitted model of a name; None for a baseline, which is not fitted.

        Args:
            name: a model or a baseline.
            split: one of the rotations of the rehearsal's split.
            fold: number of the rotation; it seeds the training and names its checkpoint.
            like: a training whose weight decay is taken, and whether it has features; None: the config's, or a search.
            seconds: of counted work that this model may take; None: its even share of the config's time budget.
        """
        if name in AUTOENCODERS:
            return self._trained(name, split, fold, like if isinstance(like, TrainedModel) else None, seconds)
        if name == OWN_ENCODER:
            return self._own(split, fold)
        if name == STACK:
            return self._stacked(split, fold, is_planned=seconds is not None)
        if name == STRUCTURAL:
            return self._structural(split, fold, seconds)
        return None

    def tried(self, name: str, key: str, split: Split) -> TrainedModel | None:
        """One training with the config's own options and its even share of the time budget; None where it was ended early.

        Args:
            name: of an autoencoder.
            key: what this training of it is called; it names the checkpoint.
            split: the first rotation of the rehearsal's split.
        """
        config = self.config.model_copy(update={"epochs": self.evenly_shared(name)})
        try:
            return self._train(name, key, split, self.features, config, 0)
        except TrialPruned as ended:
            self.spent[name] = self.spent.get(name, 0.0) + self.seconds_of_epochs(name, ended.epochs)
            return None

    def seconds_of_epochs(self, name: str, epochs: int) -> float:
        """Nominal seconds of so many epochs, counted from sizes."""
        return epochs * self._epoch_seconds(name)

    @property
    def budget_spent(self) -> dict[str, Any]:
        """What config.yaml holds of a time budget: epochs that it allowed, and seconds that were spent, both counted."""
        if self.config.time_budget is None and self.config.model != "auto":
            return {}
        return {"epochs_allowed": dict(self.epochs_allowed), "seconds_counted": dict(self.spent)}

    def seconds_needed(self, name: str) -> float:
        """Nominal seconds of a model with all its epochs, counted from sizes.

        Raises:
            KeyError: a name without a count.
        """
        if name in AUTOENCODERS:
            return self._num_tries(name) * self.config.epochs * self._epoch_seconds(name)
        if name == STRUCTURAL:
            table = self.config.epochs * self._epoch_seconds(TABLE)
            return table + self._seconds_on_hidden_edges(STRUCTURAL, self.rehearsal.split)
        return {STACK: self._seconds_on_hidden_edges(STACK, self.rehearsal.split)}[name]

    def epochs_for(self, name: str, seconds: float) -> int:
        """The most epochs that each training of an autoencoder can have for so many seconds in all; 0 where for none."""
        if name == STRUCTURAL:
            seconds -= self._seconds_on_hidden_edges(STRUCTURAL, self.rehearsal.split)
            return int(min(max(seconds, 0.0) / self._epoch_seconds(TABLE), self.config.epochs))
        return int(min(seconds / (self._num_tries(name) * self._epoch_seconds(name)), self.config.epochs))

    def evenly_shared(self, name: str) -> int:
        """The most epochs of a model that shares the config's time budget evenly with the others."""
        names = [each for each in self.names if each in AUTOENCODERS]
        trainings = sum(self._num_tries(each) for each in names) + self.further
        return TimeBudget(self.config.time_budget, trainings).epochs(self._sizes(name), self.config.epochs)

    def is_as_named(self, name: str) -> bool:
        """Whether a contender is what a fit of `--model NAME` would have: auto may have given it fewer epochs."""
        if self.config.model != "auto" or name not in (*AUTOENCODERS, STRUCTURAL):
            return True
        if name == STRUCTURAL:
            return self.epochs_allowed[name] == self.config.epochs
        alone = replace(self, names=(name,), config=self.config.model_copy(update={"model": name}))
        return self.epochs_allowed[name] == alone.evenly_shared(name) == self.config.epochs

    def _trained(
        self, name: str, split: Split, fold: int, like: TrainedModel | None, seconds: float | None
    ) -> TrainedModel:
        """The training, or the best by validation average precision of those that a search makes.

        A search tries each penalty and, where there are features, the best of them once more without features. Of given
        seconds each training gets an even share of what those before it left.
        """
        count = 1 if like is not None else self._num_tries(name)
        before, made = self.spent.get(name, 0.0), 0

        def next_config() -> FitConfig:
            nonlocal made
            epochs = self.evenly_shared(name)
            if seconds is not None:
                left = seconds - (self.spent.get(name, 0.0) - before)
                epochs = TimeBudget(max(left, 0.0), count - made).epochs(self._sizes(name), self.config.epochs)
            made += 1
            self.epochs_allowed[name] = min(epochs, self.epochs_allowed.get(name, epochs))
            return self.config.model_copy(update={"epochs": epochs})

        if like is not None:
            features = self.features if like.uses_features else None
            config = next_config().model_copy(update={"weight_decay": like.weight_decay})
            return self._train(name, name, split, features, config, fold)
        if count == 1:
            config = next_config()
            trained = self._train(name, name, split, self.features, config, fold)
        else:
            keys = [f"{name}-penalty-{number}" if number > 1 else name for number in range(1, len(PENALTIES) + 1)]
            tried = [
                self._train(name, key, split, self.features, next_config(), fold, penalty)
                for key, penalty in zip(keys, PENALTIES, strict=True)
            ]
            # Against all non-edges: against the sample that training sees, AP is far noisier at the top of the ranking.
            aps = [
                average_precision(self.rehearsal.held_out(each.scorer, split, ("validation",))["validation"])
                for each in tried
            ]
            if self.features is not None:
                best = next_config().model_copy(update={"weight_decay": tried[int(np.argmax(aps))].weight_decay})
                tried.append(self._train(name, f"{name}-without-features", split, None, best, fold))
                held_out = self.rehearsal.held_out(tried[-1].scorer, split, ("validation",))
                aps.append(average_precision(held_out["validation"]))
            trained = tried[int(np.argmax(aps))]  # the first, which has the strongest penalty, among equals
            trained = replace(trained, findings=(*trained.findings, self._searched(name, trained, tried, aps)))
        num_epochs, allowed = len(trained.history), self.epochs_allowed[name]
        if allowed <= num_epochs < self.config.epochs and not fold and not trained.was_cut_short:
            budget = self.config.time_budget or DEFAULT_SECONDS
            self.findings.append(shortened(budget, name, num_epochs, self.config.epochs))
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
        objective = choose_objective(config.of_model(name), split.space)
        self.say(f"training {label}, {objective} objective ({split.space.num_pairs:,} pairs) on {self.device.type}")
        memory = Memory.here() if self.device.type == "cpu" else Memory(None, None)
        if self.trainer is None:
            for line in announcement(label, config.epochs, self._sizes(name), memory):
                self.say(line)
        checkpoint = None if self.checkpoints is None else self.checkpoints.of(key, fold)
        resumed = self._resumed(checkpoint)
        if self.on_start is not None:
            self.on_start(label, config.epochs, () if resumed is None else resumed.history)
        allowed = None if self.config.time_budget is None else config.epochs * self._epoch_seconds(name)
        clock = Clock(allowed, threads=torch.get_num_threads())
        with self.costs.stage("training"):
            in_memory: Trainer = train_pair_model if name in PAIR_MODELS else partial(train, penalty=penalty)
            start = self.trainer or in_memory
            seeds = self._seeds(fold)
            trained = start(
                TrainingTask(
                    name, split, features, config, seeds, self.device, self.on_epoch, clock, checkpoint, resumed
                )
            )
        payer = STRUCTURAL if key == STRUCTURAL else name
        self.spent[payer] = self.spent.get(payer, 0.0) + len(trained.history) * self._epoch_seconds(name)
        if trained.was_cut_short:
            self.findings.append(clock.finding(label, len(trained.history)))
        return trained

    def _own(self, split: Split, fold: int) -> TrainedModel:
        """A user's encoder, trained as ours are; what an epoch of it takes nobody can count beforehand."""
        assert isinstance(self.own, CustomEncoder)
        label = f"{self.own.name}-fold-{fold + 1}" if fold else str(self.own.name)
        num_features = None if self.features is None else self.features.matrix.shape[1]
        start = train_pair_model if self.own.decodes(split.space.num_nodes, num_features) else train
        self.say(f"training {label} on {self.device.type}")
        checkpoint = None if self.checkpoints is None else self.checkpoints.of(OWN_ENCODER, fold)
        resumed = self._resumed(checkpoint)
        if self.on_start is not None:
            self.on_start(label, self.config.epochs, () if resumed is None else resumed.history)
        with self.costs.stage("training"):
            task = TrainingTask(
                OWN_ENCODER,
                split,
                self.features,
                self.config,
                self._seeds(fold),
                self.device,
                on_epoch=self.on_epoch,
                checkpoint=checkpoint,
                resumed=resumed,
            )
            return start(task, own=self.own)

    def _stacked(self, split: Split, fold: int, *, is_planned: bool) -> StackedModel:
        self.spent[STACK] = self.spent.get(STACK, 0.0) + self._seconds_on_hidden_edges(STACK, split)
        if self.config.time_budget is not None and not fold and not is_planned:
            message = "The time budget does not bound the stack: its work follows the size of the graph alone."
            self.findings.append(Finding("training", "info", message, "Take another --model to keep a budget.", None))
        with self.costs.stage("training"):
            hidden = self._hidden(split, fold)
            threads = torch.get_num_threads()
            return fit_stack(
                split, self.features, seeds=self._seeds(fold), threads=threads, hidden=hidden, say=self.say
            )

    def _structural(self, split: Split, fold: int, seconds: float | None) -> StructuralModel:
        """A signed-gae without features at the middle penalty, then the networks beside it."""
        check_size(split)
        budget, networks = self.config.time_budget, self._seconds_on_hidden_edges(STRUCTURAL, split)
        if seconds is not None:
            budget = max(seconds - networks, 0.0)
        epochs = TimeBudget(budget, 1 + self.further).epochs(self._sizes(TABLE), self.config.epochs)
        self.epochs_allowed[STRUCTURAL] = epochs
        config = self.config.model_copy(update={"epochs": epochs})
        table = self._train(TABLE, STRUCTURAL, split, None, config, fold, PENALTIES[1])
        self.spent[STRUCTURAL] = self.spent.get(STRUCTURAL, 0.0) + networks
        if self.config.time_budget is not None and not fold and seconds is None:
            message = (
                "The time budget bounds the table of structural-gae alone: the rest follows the size of the graph."
            )
            self.findings.append(Finding("training", "info", message, "Take another --model to keep a budget.", None))
        assert isinstance(table.scorer, InnerProductScorer)
        with self.costs.stage("training"):
            scorer, odds, finding = fit_structural(
                split,
                self.features,
                table.scorer,
                table_odds=table.effective_odds,
                seeds=self._seeds(fold),
                hidden=self._hidden(split, fold),
                say=self.say,
            )
        findings = (*table.findings, finding)
        return StructuralModel(scorer, odds, table.history, table.best_epoch, table.objective, findings)

    def _hidden(self, split: Split, fold: int) -> HiddenEdges | None:
        """What several models share; None where one alone makes it."""
        if sum(name in ON_HIDDEN_EDGES for name in self.names) < 2:
            return None
        if fold not in self.hidden:
            hidden_seeds, _ = self._seeds(fold).spawn(2)
            self.hidden[fold] = HiddenEdges.of(split, self.features, hidden_seeds, say=self.say)
        return self.hidden[fold]

    def _epoch_seconds(self, name: str) -> float:
        return nominal_seconds(epoch_work(self._sizes(name)))

    def _seconds_on_hidden_edges(self, name: str, split: Split) -> float:
        """Counted; without the hidden edges themselves where another model has paid for them."""
        sizes = StackSizes.of(split, self.features)
        work = {STACK: stack_work, STRUCTURAL: structural_work}[name](sizes)
        return nominal_seconds(work) - (nominal_seconds(hiding_work(sizes)) if self.hidden else 0.0)

    def _sizes(self, name: str) -> Sizes:
        is_listed = self.rehearsal.non_edges.design != "enumerated"
        return Sizes.of(
            name,
            self.rehearsal.split,
            self.features,
            self.config,
            objective=choose_objective(self.config.of_model(name), self.rehearsal.split.space),
            validation_non_edges=num_chosen_by(
                self.rehearsal.non_edges.num_non_edges, len(self.rehearsal.split.validation)
            ),
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
