"""Contest: models and baselines on one split, measured alike; the best by validation average precision wins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.baselines import baseline_scorer
from linkodds.checkpoint import Checkpoint, Checkpoints, TrainingState
from linkodds.config import BASELINES, FitConfig
from linkodds.costs import Costs
from linkodds.degree_term import Choice, DegreeTerm, choose_degree_term
from linkodds.features import Features
from linkodds.findings import Finding
from linkodds.held_out import HeldOut
from linkodds.history import Epoch
from linkodds.metrics import average_precision
from linkodds.non_edge_scores import score_non_edges
from linkodds.non_edges import DegreeClasses, NonEdges, degrees_of
from linkodds.pairs import Pairs
from linkodds.preflight import Clock, Memory, TimeBudget, announcement, shortened
from linkodds.scoring import Scorer
from linkodds.split import PARTS, Split
from linkodds.stack import StackedModel, fit_stack
from linkodds.training import VALIDATION_NON_EDGES, TrainedModel, choose_objective, train
from linkodds.workload import Sizes

AUTOENCODERS = ("gae", "vgae")
STACK = "stack"
POOLED_FOLDS = 5
SMALL_CALIBRATION, SMALL_GRAPH = 50, 1000


@dataclass(frozen=True, eq=False)
class Contender:
    """One model or baseline, scored on one split.

    Args:
        name: of the model or baseline.
        scorer: logits of pairs.
        trained: the trained or stacked model; None for a baseline.
        parts: validation, calibration and test edges, each against all non-edges.
        degree_term: what was decided about it; None where that was not asked yet. In use, it is part of the scorer.
    """

    name: str
    scorer: Scorer
    trained: TrainedModel | StackedModel | None
    parts: dict[str, HeldOut]
    degree_term: DegreeTerm | None = None

    @property
    def validation_ap(self) -> float:
        """Average precision of the validation edges against all non-edges."""
        return average_precision(self.parts["validation"])

    @property
    def odds(self) -> float | None:
        """Edges / non-edges that the logits are the log odds for; None where they are counts and not log odds."""
        if self.degree_term is not None and self.degree_term.is_used:
            return self.degree_term.odds
        return None if self.trained is None else self.trained.effective_odds

    @property
    def findings(self) -> list[Finding]:
        """What training had to say."""
        return [] if self.trained is None else list(self.trained.findings)


@dataclass(frozen=True, eq=False)
class Contest:
    """What all contenders share.

    Args:
        split: its train edges are the message graph, its validation edges judge.
        features: or None.
        config: the options of the fit.
        non_edges: all of them, or a sample.
        classes: degree classes of the message graph.
        seeds: of every training.
        device: where to train.
        costs: gets what each stage takes.
        say: called with one line a stage.
        on_start: called as each training starts, with its name, the most epochs it can take, and its history so far,
            which is empty unless it is resumed.
        on_epoch: called after every epoch.
        checkpoints: where the state of each training is kept, and taken from; None keeps it nowhere.
        budget_findings: gets what there is to say of trainings that a time budget made shorter.
    """

    split: Split
    features: Features | None
    config: FitConfig
    non_edges: NonEdges
    classes: DegreeClasses
    seeds: np.random.SeedSequence
    device: torch.device
    costs: Costs
    say: Callable[[str], None]
    on_start: Callable[[str, int, Sequence[Epoch]], None] | None = None
    on_epoch: Callable[[Epoch], None] | None = None
    checkpoints: Checkpoints | None = None
    budget_findings: list[Finding] = field(default_factory=list)

    def hold(self) -> tuple[dict[str, Contender], Contender, list[Finding]]:
        """Every contender by name, the winner, and what there is to say about the choice."""
        self.rotations()  # more folds than the edges give are refused before any training
        contenders = {name: self.contend(name, self.split) for name in self._names()}
        winner, findings = self._choose(contenders)
        return contenders, winner, findings

    def contend(self, name: str, split: Split, fold: int = 0) -> Contender:
        """Train (or count) on a split, and score its held-out edges and all non-edges in one pass.

        Args:
            name: a model or a baseline.
            split: of the contest, or one of its rotations.
            fold: number of the rotation, 0 for the contest's own split; it seeds the training and names its checkpoint.
        """
        trained: TrainedModel | StackedModel | None = None
        if name in AUTOENCODERS:
            trained = self._trained(name, split, fold)
        elif name == STACK:
            trained = self._stacked(split, fold)
        scorer = baseline_scorer(name, split) if trained is None else trained.scorer
        with self.costs.stage("evaluation" if trained else "baselines"):
            contender = Contender(name, scorer, trained, self._held_out(scorer, split))
        epochs = f", epoch {trained.best_epoch} of {len(trained.history)} kept" if trained and trained.history else ""
        self.say(f"{name}: validation average precision {contender.validation_ap:.4g}{epochs}")
        return contender

    def with_degrees(self, winner: Contender, choice: Choice) -> tuple[Contender, list[Finding]]:
        """The winner with a degree term in its scorer where its validation edges ask for one, and what that changes.

        Args:
            winner: without a term.
            choice: auto, yes or no.
        """
        after = self._with_degrees(winner, self.split, choice)
        term = after.degree_term
        if term is None or (not term.is_used and term.gain is None):  # not asked for, or nothing to judge it by
            return after, []
        message = (
            f"degrees beside the logit: {f'the {term.kind}' if term.is_used else 'no'} term is used: {term.reason}."
        )
        if term.is_used:
            before, now = winner.validation_ap, after.validation_ap
            message += f" Validation average precision was {before:.4g} without it, and is {now:.4g} with it."
        self.say(message)
        remedy = "--degree-calibration yes or no has it one way, whatever the validation edges say."
        return after, [Finding("calibration", "info", message, remedy, term.gain)]

    def epochs_allowed(self) -> dict[str, int]:
        """The most epochs of each model that is trained: --epochs, or what its share of the time budget pays for."""
        names = [name for name in self._names() if name in AUTOENCODERS]
        budget = TimeBudget(self.config.time_budget, trainings=len(names) + len(self.rotations()) - 1)
        return {name: budget.epochs(self._sizes(name), self.config.epochs) for name in names}

    def rotations(self) -> list[Split]:
        """The splits whose calibration sets are pooled, the contest's own first.

        Raises:
            OptionError: more folds than the edges give.
        """
        split, count = self.split, len(self.split.calibration)
        if self.config.folds is not None:
            return split.rotations(self.config.folds)
        num_edges = sum(len(getattr(split, part)) for part in PARTS)
        few = count < SMALL_CALIBRATION and num_edges < SMALL_GRAPH
        return split.rotations(min(POOLED_FOLDS, (len(split.train) + count) // count) if few else 1)

    def calibration_samples(self, winner: Contender) -> list[HeldOut]:
        """Calibration edges of the winner and, with several folds, of models trained on the other rotations.

        Where the winner's logits have a degree term, the others get one of their own; one that gets none is left out.
        """
        further = self.rotations()[1:]
        if further:
            count = len(self.split.calibration)
            self.say(f"pooling {len(further) + 1} disjoint sets of {count} calibration edges by cross-fitting")
        samples, is_used = [winner.parts["calibration"]], winner.degree_term is not None and winner.degree_term.is_used
        for fold, rotation in enumerate(further, start=1):
            other = self._with_degrees(self.contend(winner.name, rotation, fold), rotation, "yes" if is_used else "no")
            if other.degree_term is not None and other.degree_term.is_used == is_used:
                samples.append(other.parts["calibration"])
            else:  # its logits are on another scale
                self.say(f"set {fold + 1} is left out: no degree term fits its model")
        return samples

    def _with_degrees(self, contender: Contender, split: Split, choice: Choice) -> Contender:
        degrees = degrees_of(split.train, split.space)
        num_test = len(split.test)
        with self.costs.stage("calibration"):
            term = choose_degree_term(
                choice,
                contender.parts["validation"],
                split.validation,
                contender.scorer,
                self.non_edges,
                degrees,
                prevalence=num_test / (num_test + self.non_edges.num_non_edges),
                threads=self.config.threads,
            )
            if not term.is_used:
                return replace(contender, degree_term=term)
            scorer = term.applied(contender.scorer, degrees)
            return replace(contender, scorer=scorer, parts=self._held_out(scorer, split), degree_term=term)

    def _held_out(self, scorer: Scorer, split: Split) -> dict[str, HeldOut]:
        """Validation, calibration and test edges against all non-edges, in one pass over them."""
        parts = {part: getattr(split, part) for part in ("validation", "calibration", "test")}
        logits = {part: as_in_blocks(scorer, pairs) for part, pairs in parts.items()}
        scores = score_non_edges(
            scorer,
            self.non_edges,
            anchors=np.concatenate(list(logits.values())),
            classes=self.classes,
            threads=self.config.threads,
        )
        return {
            part: HeldOut(
                logits[part], scores, self.classes.of_pairs(pairs), self.classes.ranges, split.message_graph_hash()
            )
            for part, pairs in parts.items()
        }

    def _names(self) -> list[str]:
        asked = [*AUTOENCODERS] if self.config.model == "auto" else [self.config.model]
        return [*asked, *(name for name in BASELINES if name not in asked)]

    def _choose(self, contenders: dict[str, Contender]) -> tuple[Contender, list[Finding]]:
        """The named model, or for auto the best by validation average precision; baselines compete under auto only."""
        if self.config.model != "auto":
            winner = contenders[self.config.model]
            return winner, winner.findings
        ranked = sorted(contenders.values(), key=lambda each: -each.validation_ap)
        winner = ranked[0]
        lost = ", ".join(f"{each.name} {each.validation_ap:.4g}" for each in ranked[1:])
        by_counting = " No autoencoder beat counting here." if winner.trained is None else ""
        ap = f"validation average precision {winner.validation_ap:.4g}"
        message = f"auto chose {winner.name}: {ap} against {lost}.{by_counting}"
        self.say(message)
        remedy = "Name one with --model to have it whatever the validation says."
        return winner, [Finding("model", "info", message, remedy, winner.validation_ap), *winner.findings]

    def _trained(self, name: str, split: Split, fold: int) -> TrainedModel:
        """Say what a training will take, train, and say what a time budget did to it."""
        label = f"{name}-fold-{fold + 1}" if fold else name
        epochs = self.epochs_allowed()[name]
        objective = choose_objective(self.config, split.space)
        self.say(f"training {name}, {objective} objective ({split.space.num_pairs:,} pairs) on {self.device.type}")
        memory = Memory.here() if self.device.type == "cpu" else Memory(None, None)
        for line in announcement(label, epochs, self._sizes(name), memory):
            self.say(line)
        checkpoint = None if self.checkpoints is None else self.checkpoints.of(name, fold)
        resumed = self._resumed(checkpoint)
        if self.on_start is not None:
            self.on_start(label, epochs, () if resumed is None else resumed.history)
        clock = Clock(self.config.time_budget, spent=self.costs.seconds("training"))
        with self.costs.stage("training"):
            trained = train(
                name,
                split,
                self.features,
                self.config.model_copy(update={"epochs": epochs}),
                seeds=self._seeds(fold),
                device=self.device,
                on_epoch=self.on_epoch,
                should_stop=clock,
                checkpoint=checkpoint,
                resumed=resumed,
            )
        num_epochs = len(trained.history)
        if trained.was_cut_short:
            self.budget_findings.append(clock.finding(label, num_epochs))
        elif num_epochs == epochs < self.config.epochs and not fold:
            self.budget_findings.append(shortened(self.config.time_budget, name, epochs, self.config.epochs))
        return trained

    def _stacked(self, split: Split, fold: int) -> StackedModel:
        if self.config.time_budget is not None and not fold:
            message = "The time budget does not bound the stack: its work follows the size of the graph alone."
            self.budget_findings.append(
                Finding("training", "info", message, "Take another --model to keep a budget.", None)
            )
        with self.costs.stage("training"):
            return fit_stack(
                split, self.features, seeds=self._seeds(fold), threads=torch.get_num_threads(), say=self.say
            )

    def _sizes(self, name: str) -> Sizes:
        sample = self.non_edges.sample
        return Sizes.of(
            name,
            self.split,
            self.features,
            self.config,
            objective=choose_objective(self.config, self.split.space),
            validation_non_edges=min(VALIDATION_NON_EDGES, self.non_edges.num_non_edges),
            sampled_non_edges=0 if sample is None else len(sample),
        )

    def _resumed(self, checkpoint: Checkpoint | None) -> TrainingState | None:
        state = None if checkpoint is None else checkpoint.read()
        if state is not None:
            epochs = f"{len(state.history)} epoch{'' if len(state.history) == 1 else 's'}"
            self.say(f"trained before: {epochs}" if state.is_done else f"going on after {epochs}")
        return state

    def _seeds(self, fold: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seeds.entropy, spawn_key=(*self.seeds.spawn_key, fold))


def as_in_blocks(scorer: Scorer, pairs: Pairs) -> NDArray[np.float64]:
    """Logits of pairs, rounded to float32 as blocks hold them, as float64. Shape (pairs,)."""
    return scorer.logits(pairs).astype(np.float32).astype(np.float64)
