"""Contest: models and baselines on one split, measured alike; the best by validation average precision wins."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.baselines import CosineScorer, baseline_scorer
from linkodds.checkpoint import Checkpoint, Checkpoints, TrainingState
from linkodds.config import AUTOENCODERS, BASELINES, COSTLY, FitConfig
from linkodds.costs import Costs
from linkodds.cross_fitting import on_the_scale_of_the_mean
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
from linkodds.scoring import DegreeAwareScorer, InnerProductScorer, MeanScorer, Scorer, mean_inner_product
from linkodds.split import Split
from linkodds.stack import StackedModel, fit_stack
from linkodds.training import (
    ALL_PAIRS_LIMIT,
    PENALTIES,
    VALIDATION_NON_EDGES,
    TrainedModel,
    choose_objective,
    mean_model,
    train,
)
from linkodds.workload import Sizes

TRIED_BY_AUTO = ("gae", "vgae", "signed-gae")
STACK = "stack"
HELD_OUT = ("validation", "calibration", "test")
LOOKED_AT_TWICE = 3
"""So many of the best get a degree term before auto takes one: it moves some models further than others."""


@dataclass(frozen=True, eq=False)
class Contender:
    """One model or baseline, scored on one split.

    Args:
        name: of the model or baseline.
        scorer: logits of pairs.
        trained: the trained or stacked model; None for a baseline.
        parts: validation, calibration and test edges, each against all non-edges; of a mean of models no calibration
            edges, since all but one of them were trained on each.
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
    def weights(self) -> Mapping[str, NDArray[Any]]:
        """What is saved to have the scorer again; nothing where the split is enough."""
        if self.trained is not None:
            return self.trained.weights
        scorer = self.scorer.base if isinstance(self.scorer, DegreeAwareScorer) else self.scorer
        return scorer.to_arrays() if isinstance(scorer, CosineScorer) else {}

    @property
    def findings(self) -> list[Finding]:
        """What training had to say."""
        return [] if self.trained is None else list(self.trained.findings)


@dataclass(frozen=True, eq=False)
class Contest:
    """What all contenders share.

    Args:
        split: its train edges are the message graph, its validation edges judge; with folds, those of the first.
        features: or None.
        config: the options of the fit.
        non_edges: all of them, a sample, or strata.
        classes: degree classes of the message graph.
        seeds: of every training.
        device: where to train.
        costs: gets what each stage takes.
        say: called with one line a stage.
        names: models that take part, beside all baselines; none given: those of `config.model`.
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
    names: tuple[str, ...] = ()
    on_start: Callable[[str, int, Sequence[Epoch]], None] | None = None
    on_epoch: Callable[[Epoch], None] | None = None
    checkpoints: Checkpoints | None = None
    budget_findings: list[Finding] = field(default_factory=list)

    def hold(self) -> tuple[dict[str, Contender], Contender, list[Finding]]:
        """Every contender by name, the winner, and what there is to say about the choice."""
        contenders = self.contenders()
        winner, findings = self._choose(contenders)
        return contenders, winner, findings

    def contenders(self) -> dict[str, Contender]:
        """Every contender by name, on the first fold."""
        first = self.split.rotations()[0]
        return {name: self.contend(name, first) for name in self._names()}

    def contend(self, name: str, split: Split, fold: int = 0, like: TrainedModel | None = None) -> Contender:
        """Train (or count) on a split, and score its held-out edges and all non-edges in one pass.

        Args:
            name: a model or a baseline.
            split: one of the rotations of the contest's split.
            fold: number of the rotation; it seeds the training and names its checkpoint.
            like: a training whose weight decay is taken, and whether it has features; None: the config's, or a search.
        """
        trained: TrainedModel | StackedModel | None = None
        if name in AUTOENCODERS:
            trained = self._trained(name, split, fold, like)
        elif name == STACK:
            trained = self._stacked(split, fold)
        scorer = baseline_scorer(name, split, self.features) if trained is None else trained.scorer
        with self.costs.stage("evaluation" if trained else "baselines"):
            contender = Contender(name, scorer, trained, self._held_out(scorer, split, HELD_OUT))
        epochs = f", epoch {trained.best_epoch} of {len(trained.history)} kept" if trained and trained.history else ""
        self.say(f"{name}: validation average precision {contender.validation_ap:.4g}{epochs}")
        return contender

    def mean_of_folds(self, winner: Contender) -> tuple[Contender, list[Contender]]:
        """The mean of the winner's models of all folds, and these; without folds the winner and none.

        Args:
            winner: of the first fold, without a degree term.
        """
        if self.split.folds == 1:
            return winner, []
        rotations = self.split.rotations()
        count = len(self.split.train) + len(self.split.calibration)
        self.say(
            f"cross-fitting: {count:,} train and calibration edges in {len(rotations)} folds, each calibrates once"
        )
        folds, like = [winner], winner.trained if isinstance(winner.trained, TrainedModel) else None
        folds += [
            self.contend(winner.name, rotation, fold, like) for fold, rotation in enumerate(rotations[1:], start=1)
        ]
        products = [fold.scorer for fold in folds if isinstance(fold.scorer, InnerProductScorer)]
        scorer: Scorer = MeanScorer(tuple(fold.scorer for fold in folds))
        if len(products) == len(folds):
            scorer = mean_inner_product(products)
        elif isinstance(winner.scorer, CosineScorer):  # of features alone, the same in every fold
            scorer = winner.scorer
        models = [fold.trained for fold in folds if isinstance(fold.trained, TrainedModel)]
        with self.costs.stage("evaluation"):
            parts = self._held_out(scorer, self.split, ("validation", "test"))
        trained = mean_model(models, scorer) if models and isinstance(scorer, InnerProductScorer) else None
        mean = Contender(winner.name, scorer, trained, parts)
        self.say(f"mean of {len(folds)}: {self._gain(mean, folds)}")
        return mean, folds

    def about_folds(self, winner: Contender, folds: Sequence[Contender]) -> list[Finding]:
        """What a mean of models is, and what it gained; nothing without folds."""
        if not folds:
            return []
        message = (
            f"Cross-fitting: the model is the mean of {len(folds)}, each trained without another fold of the train and "
            f"calibration edges, all of which calibrate. {self._gain(winner, folds)[0].upper()}"
            f"{self._gain(winner, folds)[1:]}. Promises of decisions are approximate."
        )
        return [Finding("folds", "info", message, "--folds 1 keeps one model and exact promises.", len(folds))]

    def mean_baseline(self, baseline: Contender) -> Contender:
        """A baseline as it is compared with the model: with folds the mean of its counts on all message graphs."""
        if self.split.folds == 1:
            return baseline
        scorer = MeanScorer(
            tuple(baseline_scorer(baseline.name, rotation, self.features) for rotation in self.split.rotations())
        )
        with self.costs.stage("baselines"):
            return Contender(baseline.name, scorer, None, self._held_out(scorer, self.split, ("validation", "test")))

    def _gain(self, mean: Contender, folds: Sequence[Contender]) -> str:
        single = float(np.mean([fold.validation_ap for fold in folds]))
        return f"validation average precision {mean.validation_ap:.4g}, of its models {single:.4g} on average"

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
        further = (len(names) if self.names else 1) * (self.split.folds - 1)
        budget = TimeBudget(self.config.time_budget, trainings=sum(self._num_tries(name) for name in names) + further)
        return {name: budget.epochs(self._sizes(name), self.config.epochs) for name in names}

    def calibration_samples(self, winner: Contender, folds: Sequence[Contender]) -> tuple[HeldOut, ...]:
        """The calibration edges as the winner scores edges that it has not seen, against the non-edges as it scores them.

        With folds each edge has the logit of the one model that has not seen it, moved to the scale of the mean. Where
        the mean has a degree term, each model gets one of its own; one that gets none is left out. The validation edges come
        second then: the mean scores them itself, though they chose the epochs, and promises have to be kept on them too.

        Args:
            winner: with or without a degree term.
            folds: the models whose mean it is, without degree terms; empty for a single one.
        """
        if not folds:
            return (winner.parts["calibration"],)
        is_used, of_mean = winner.degree_term is not None and winner.degree_term.is_used, winner.parts["validation"]
        edges, logits = [], []
        for fold, (contender, rotation) in enumerate(zip(folds, self.split.rotations(), strict=True)):
            other = self._with_degrees(contender, rotation, "yes" if is_used else "no")
            if other.degree_term is None or other.degree_term.is_used != is_used:  # its logits are on another scale
                self.say(f"fold {fold + 1} is left out of calibration: no degree term fits its model")
                continue
            own = other.parts["calibration"].edge_logits, other.parts["validation"].edge_logits
            moved = on_the_scale_of_the_mean(*own, of_mean.edge_logits, are_counts=winner.odds is None)
            edges.append(rotation.calibration)
            logits.append(moved.astype(np.float32).astype(np.float64))
        if not edges:
            self.say("the validation edges calibrate instead")
            return (of_mean,)
        pooled = np.concatenate(logits)
        with self.costs.stage("calibration"):
            scores = score_non_edges(
                winner.scorer,
                self.non_edges,
                anchors=np.concatenate([pooled, *(part.edge_logits for part in winner.parts.values())]),
                classes=self.classes,
                threads=self.config.threads,
            )
        moved_sample = HeldOut(
            pooled,
            scores,
            self.classes.of_pairs(np.concatenate(edges)),
            self.classes.ranges,
            self.split.message_graph_hash(),
            num_models=len(folds),
        )
        return moved_sample, of_mean

    def _with_degrees(self, contender: Contender, split: Split, choice: Choice) -> Contender:
        term = self._degree_term(contender, split, choice)
        if not term.is_used:
            return replace(contender, degree_term=term)
        with self.costs.stage("calibration"):
            scorer = term.applied(contender.scorer, degrees_of(split.train, split.space))
            parts = self._held_out(scorer, split, contender.parts)
        return replace(contender, scorer=scorer, parts=parts, degree_term=term)

    def _degree_term(self, contender: Contender, split: Split, choice: Choice) -> DegreeTerm:
        num_test = len(split.test)
        with self.costs.stage("calibration"):
            return choose_degree_term(
                choice,
                contender.parts["validation"],
                split.validation,
                contender.scorer,
                self.non_edges,
                degrees_of(split.train, split.space),
                prevalence=num_test / (num_test + self.non_edges.num_non_edges),
                threads=self.config.threads,
            )

    def _held_out(self, scorer: Scorer, split: Split, names: Iterable[str]) -> dict[str, HeldOut]:
        """Parts of a split against all non-edges, in one pass over them."""
        parts: dict[str, Pairs] = {part: getattr(split, part) for part in names if len(getattr(split, part))}
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
        asked = [*TRIED_BY_AUTO] if self.config.model == "auto" else [self.config.model]
        asked = [*self.names] or asked
        is_small = self.split.space.num_pairs <= ALL_PAIRS_LIMIT
        floors = [name for name in BASELINES if is_small or name not in COSTLY]
        return [*asked, *(each for each in floors if each not in asked and (self.features or each != "feature-cosine"))]

    def _choose(self, contenders: dict[str, Contender]) -> tuple[Contender, list[Finding]]:
        """The named model, or for auto the best by validation average precision, degree terms included."""
        if self.config.model != "auto":
            winner = contenders[self.config.model]
            return winner, winner.findings
        ranked = sorted(contenders.values(), key=lambda each: -each.validation_ap)
        winner, expected = self.best(ranked)
        lost = ", ".join(
            f"{each.name} {each.validation_ap:.4g}{self._said_of_degrees(each, expected)}"
            for each in ranked
            if each is not winner
        )
        by_counting = " No autoencoder beat counting here." if winner.trained is None else ""
        ap = f"validation average precision {winner.validation_ap:.4g}{self._said_of_degrees(winner, expected)}"
        message = f"auto chose {winner.name}: {ap} against {lost}.{by_counting}"
        self.say(message)
        remedy = "Name one with --model to have it whatever the validation says."
        return winner, [Finding("model", "info", message, remedy, winner.validation_ap), *winner.findings]

    def best(self, contenders: Iterable[Contender]) -> tuple[Contender, dict[str, float]]:
        """What auto takes, and the validation average precision of those that were looked at twice.

        The best by validation average precision are looked at again with the degree term that they would get; the first of
        equals is taken.
        """
        ranked = sorted(contenders, key=lambda each: -each.validation_ap)[:LOOKED_AT_TWICE]
        expected = {each.name: self._ap_with_degrees(each) for each in ranked}
        return max(ranked, key=lambda each: expected[each.name]), expected

    def _ap_with_degrees(self, contender: Contender) -> float:
        """Validation average precision with the degree term that it would get, if any.

        The term would be fitted on these very edges, so what it adds is taken from its cross-validation.
        """
        ap = contender.validation_ap
        term = self._degree_term(contender, self.split.rotations()[0], self.config.degree_calibration)
        return ap * (1 + term.precision_gain) if term.is_used and term.precision_gain is not None else ap

    def _said_of_degrees(self, contender: Contender, expected: Mapping[str, float]) -> str:
        ap = expected.get(contender.name, contender.validation_ap)
        return "" if ap == contender.validation_ap else f" ({ap:.4g} with degrees)"

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
                average_precision(self._held_out(each.scorer, split, ("validation",))["validation"]) for each in tried
            ]
            if self.features is not None:
                best = config.model_copy(update={"weight_decay": tried[int(np.argmax(aps))].weight_decay})
                tried.append(self._train(name, f"{name}-without-features", split, None, best, fold))
                aps.append(average_precision(self._held_out(tried[-1].scorer, split, ("validation",))["validation"]))
            trained = tried[int(np.argmax(aps))]  # the first, which has the strongest penalty, among equals
            trained = replace(trained, findings=(*trained.findings, self._searched(name, trained, tried, aps)))
        num_epochs = len(trained.history)
        if num_epochs == epochs < self.config.epochs and not fold and not trained.was_cut_short:
            self.budget_findings.append(shortened(self.config.time_budget, name, epochs, self.config.epochs))
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
            self.budget_findings.append(clock.finding(label, len(trained.history)))
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
        is_listed = self.non_edges.design != "enumerated"
        return Sizes.of(
            name,
            self.split,
            self.features,
            self.config,
            objective=choose_objective(self.config, self.split.space),
            validation_non_edges=min(VALIDATION_NON_EDGES, self.non_edges.num_non_edges),
            sampled_non_edges=self.non_edges.num_scored if is_listed else 0,
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
