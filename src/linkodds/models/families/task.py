"""Fit task: what the fit of a model is given, and the ledger that it writes its costs and findings into."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.families import AUTO
from linkodds.models.families.family import ModelFamily
from linkodds.models.training.history import Costs, Epoch
from linkodds.scorers.scoring import Scorer

if TYPE_CHECKING:
    import torch

    from linkodds.models.families.fitted_model import FittedModel, Trainer
    from linkodds.models.structural.masked_edges import HiddenEdges
    from linkodds.models.training.checkpoint import Checkpoint, Checkpoints, TrainingState

DEFAULT_SECONDS = 300.0
"""The time budget of auto where none is given; no clock stands behind it."""

OnStart = Callable[[str, int, Sequence[Epoch]], None]


class TrialPruned(Exception):
    """Raised by `on_start` or `on_epoch` to end a training that is not worth going on.

    Args:
        epochs: that it had.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs)
        self.epochs = epochs


@dataclass(eq=False)
class Ledger:
    """What the fits of one run have cost, counted and not measured, and what there is to say of them.

    It is the one thing that fitting a model changes.

    Args:
        findings: of trainings that a time budget made shorter.
        epochs_allowed: model -> the most epochs of each of its trainings.
        spent: model -> nominal seconds.
        masked: fold -> hidden edges, where several models learn from the same ones.
    Example:
        >>> ledger = Ledger()
        >>> ledger.spend("gae", 1.5)
        >>> ledger.spend("gae", 1.0)
        >>> ledger.spent
        {'gae': 2.5}
    """

    findings: list[Finding] = field(default_factory=list)
    epochs_allowed: dict[str, int] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    masked: "dict[int, HiddenEdges]" = field(default_factory=dict)

    def spend(self, name: str, seconds: float) -> None:
        """Add nominal seconds to what a model has taken."""
        self.spent[name] = self.spent.get(name, 0.0) + seconds

    def say(self, finding: Finding) -> None:
        """Keep what there is to say."""
        self.findings.append(finding)


@dataclass(frozen=True, eq=False)
class ModelFitting:
    """What the fits of all models of one run share.

    Args:
        families: name -> family of all that will be fitted or counted; the trained ones share the time budget.
        split: the first of the rotations; work is counted from its sizes.
        features: or None.
        config: the options of the fit.
        further: trainings beyond one for each name: of the other folds.
        seeds: of every training.
        device: where to train.
        threads: that a training may use.
        judge: scorer, split -> average precision of the validation edges against all non-edges.
        num_non_edges: pairs without a recorded edge.
        sampled_non_edges: of these, how many are held in memory for the evaluation; 0 where all are enumerated.
        costs: gets what each stage takes.
        say: called with one line a stage.
        on_start: called as each training starts, with its name, the most epochs it can take, and its history so far,
            which is empty unless it is resumed.
        on_epoch: called after every epoch.
        checkpoints: where the state of each training is kept, and taken from; None keeps it nowhere.
        trainer: trains in another way than in memory; None for these.
        ids: shape (nodes,), for a user's model alone.
        ledger: gets what the fits cost and what there is to say.
    """

    families: Mapping[str, ModelFamily]
    split: Split
    features: Features | None
    config: FitConfig
    further: int
    seeds: np.random.SeedSequence
    device: "torch.device"
    threads: int
    judge: Callable[[Scorer, Split], float]
    num_non_edges: int
    sampled_non_edges: int
    costs: Costs
    say: Callable[[str], None]
    on_start: OnStart | None = None
    on_epoch: Callable[[Epoch], None] | None = None
    checkpoints: "Checkpoints | None" = None
    trainer: "Trainer | None" = None
    ids: NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, dtype=object))
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def budget(self) -> float:
        """Seconds of counted work for all models that auto tries."""
        return self.config.time_budget or DEFAULT_SECONDS

    @property
    def budget_spent(self) -> dict[str, Any]:
        """What config.yaml holds of a time budget: epochs that it allowed, and seconds that were spent, both counted."""
        if self.config.time_budget is None and self.config.model != AUTO:
            return {}
        return {"epochs_allowed": dict(self.ledger.epochs_allowed), "seconds_counted": dict(self.ledger.spent)}

    def seconds_needed(self, name: str) -> float:
        """Nominal seconds of a model with all its epochs, counted from sizes."""
        return self.families[name].seconds_needed(self)

    def is_as_named(self, name: str) -> bool:
        """Whether a candidate is what a fit of `--model NAME` would have: auto may have given it fewer epochs."""
        return self.config.model != AUTO or self.families[name].had_all_epochs(self)

    def alone(self, name: str) -> "ModelFitting":
        """The same for a fit of one model."""
        config = self.config.model_copy(update={"model": name})
        return replace(self, families={name: self.families[name]}, config=config)

    def seeds_of(self, fold: int) -> np.random.SeedSequence:
        """Seeds of the training on a rotation."""
        return np.random.SeedSequence(self.seeds.entropy, spawn_key=(*self.seeds.spawn_key, fold))

    def resumed(self, checkpoint: "Checkpoint | None") -> "TrainingState | None":
        """The state that a checkpoint holds, said aloud; None without one."""
        state = None if checkpoint is None else checkpoint.read()
        if state is not None:
            epochs = f"{len(state.history)} epoch{'' if len(state.history) == 1 else 's'}"
            self.say(f"trained before: {epochs}" if state.is_done else f"going on after {epochs}")
        return state

    def start(self, label: str, epochs: int, resumed: "TrainingState | None") -> None:
        """Tell who follows that a training starts."""
        if self.on_start is not None:
            self.on_start(label, epochs, () if resumed is None else resumed.history)


@dataclass(frozen=True, eq=False)
class FitTask:
    """One model to be fitted on one rotation of the split.

    Args:
        fitting: what it shares with the others.
        split: its train edges are learnt from, its validation edges choose.
        fold: number of the rotation; it seeds the training and names its checkpoint.
        like: a training whose weight decay is taken, and whether it has features; None: the config's, or a search.
        seconds: of counted work that this model may take; None: its even share of the config's time budget.
    """

    fitting: ModelFitting
    split: Split
    fold: int = 0
    like: "FittedModel | None" = None
    seconds: float | None = None

    @property
    def features(self) -> Features | None:
        """Of the nodes, or None."""
        return self.fitting.features

    @property
    def config(self) -> FitConfig:
        """Options of the fit."""
        return self.fitting.config

    @property
    def seeds(self) -> np.random.SeedSequence:
        """Of this training."""
        return self.fitting.seeds_of(self.fold)

    @property
    def say(self) -> Callable[[str], None]:
        """Called with one line a stage."""
        return self.fitting.say
