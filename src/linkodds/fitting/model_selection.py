"""Contest: models and baselines on one split, measured alike; with folds, the mean of a model of each fold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.evaluation.temporal_metrics import SplitComparison
from linkodds.findings import Finding
from linkodds.fitting.evaluation_setup import EvaluationSetup
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, Split, split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.non_edge_scores import score_non_edges
from linkodds.metrics.non_edges import degrees_of
from linkodds.models.families import AUTO, baseline_families
from linkodds.models.families.fitted_model import FittedModel
from linkodds.models.families.task import FitTask, ModelFitting
from linkodds.models.training.training import ALL_PAIRS_LIMIT
from linkodds.models.training.training_loop import TrainedModel, mean_model
from linkodds.pairs import PairSpace
from linkodds.probability.calibration import on_the_scale_of_the_mean
from linkodds.probability.degree_term import Choice, DegreeTerm, choose_degree_term
from linkodds.scorers.baselines import CosineScorer
from linkodds.scorers.scoring import InnerProductScorer, MeanScorer, Scorer, base_of, mean_inner_product

HELD_OUT = ("validation", "calibration", "test")
COUNTED = ("resource-allocation", "l3")
"""Baselines that are counted on a random split too, beside the one that is best on the split by time."""
FOR_FOLDS = 0.5
"""Share of the budget that is kept for the trainings of the winner on the other folds, where there are any."""


@dataclass(frozen=True, eq=False)
class ModelCandidate:
    """One model or baseline, scored on one split.

    Args:
        name: of the model or baseline.
        scorer: logits of pairs.
        fitted: the model; None for a baseline.
        parts: validation, calibration and test edges, each against all non-edges; of a mean of models no calibration
            edges, since all but one of them were trained on each.
        degree_term: what was decided about it; None where that was not asked yet. In use, it is part of the scorer.
    """

    name: str
    scorer: Scorer
    fitted: FittedModel | None
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
        return None if self.fitted is None else self.fitted.effective_odds

    @property
    def weights(self) -> Mapping[str, NDArray[Any]]:
        """What is saved to have the scorer again; nothing where the split is enough."""
        if self.fitted is not None:
            return self.fitted.weights
        scorer = base_of(self.scorer)
        return scorer.to_arrays() if isinstance(scorer, CosineScorer) else {}

    @property
    def findings(self) -> list[Finding]:
        """What training had to say."""
        return [] if self.fitted is None else list(self.fitted.findings)


@dataclass(frozen=True, eq=False)
class ModelSelection:
    """What all candidate models share.

    Args:
        setup: edges and non-edges that all are measured on.
        fitting: makes a model of a name.
        names: models that take part, and then baselines; see `entries`.
    """

    setup: EvaluationSetup
    fitting: ModelFitting
    names: tuple[str, ...]

    def fit_candidate(
        self,
        name: str,
        split: Split | None = None,
        fold: int = 0,
        like: FittedModel | None = None,
        seconds: float | None = None,
    ) -> ModelCandidate:
        """Train (or count) on a split, and score its held-out edges and all non-edges in one pass.

        Args:
            name: a model or a baseline.
            split: one of the rotations of the setup's split; None: the first.
            fold: number of the rotation.
            like: see `FitTask`.
            seconds: see `FitTask`.
        """
        fitting = self.fitting
        if split is None:
            split = self.setup.split.rotations()[0]
        fitted = fitting.families[name].fit(FitTask(fitting, split, fold, like, seconds))
        scorer = self.unfitted_scorer(name, split) if fitted is None else fitted.scorer
        with fitting.costs.stage("evaluation" if fitted else "baselines"):
            candidate = ModelCandidate(name, scorer, fitted, self.setup.held_out(scorer, split, HELD_OUT))
        epochs = f", epoch {fitted.best_epoch} of {len(fitted.history)} kept" if fitted and fitted.history else ""
        fitting.say(f"{name}: validation average precision {candidate.validation_ap:.4g}{epochs}")
        return candidate

    def on_random_split(
        self, graph: Graph, candidates: Mapping[str, ModelCandidate], rng: np.random.Generator
    ) -> SplitComparison | None:
        """The best cheap baseline here and on a random split of the same sizes, against the same non-edges.

        Args:
            graph: that was split by time.
            candidates: by name, the baselines among them; without a cheap one the answer is None.
            rng: of the random split.
        """
        cheap = [each.name for each in baseline_families() if each.name in candidates and not each.is_costly]
        if not cheap:
            return None
        counts = [len(getattr(self.setup.split, part)) for part in PARTS]
        sizes = [count / sum(counts) for count in counts]  # later edges that are set aside are of no part
        split = split_edges(graph, fractions=(sizes[0], sizes[1], sizes[2], sizes[3]), rng=rng).sparing_cut_off()
        known = self.setup.non_edges.known  # both are measured between nodes that have train edges by time
        validation, test = (part[~known.touches_nodes(part)] for part in (split.validation, split.test))
        if not len(validation) or not len(test):
            return None
        split = replace(split, validation=validation, test=test)
        best = max(cheap, key=lambda name: candidates[name].validation_ap)
        found = {}
        with self.fitting.costs.stage("baselines"):
            for name in dict.fromkeys((best, *(each for each in COUNTED if each in cheap))):
                scorer = self.unfitted_scorer(name, split)
                found[name] = self.setup.held_out(scorer, split, ("validation", "test"))
        at_random = max(found, key=lambda name: average_precision(found[name]["validation"]))
        return SplitComparison((best, candidates[best].parts["test"]), (at_random, found[at_random]["test"]))

    def unfitted_scorer(self, name: str, split: Split) -> Scorer:
        """A count on the train edges of a split, or what a user has made."""
        return self.fitting.families[name].unfitted_scorer(split, self.fitting.features, self.fitting.ids)

    def about_degrees(self, winner: ModelCandidate, after: ModelCandidate) -> list[Finding]:
        """What a degree term changes, and say it; nothing where none was asked for.

        Args:
            winner: without a term.
            after: the same as `with_degree_term` gives it.
        """
        term = after.degree_term
        if term is None or (not term.is_used and term.gain is None):  # not asked for, or nothing to judge it by
            return []
        message = (
            f"degrees beside the logit: {f'the {term.kind}' if term.is_used else 'no'} term is used: {term.reason}."
        )
        if term.is_used:
            before, now = winner.validation_ap, after.validation_ap
            message += f" Validation average precision was {before:.4g} without it, and is {now:.4g} with it."
        self.fitting.say(message)
        remedy = "--degree-calibration yes or no has it one way, whatever the validation edges say."
        return [Finding("calibration", "info", message, remedy, term.gain)]

    def with_degree_term(self, candidate: ModelCandidate, split: Split, choice: Choice) -> ModelCandidate:
        """A candidate model with what is decided about its degree term, in use or not.

        Args:
            candidate: without a term.
            split: that it was fitted on.
            choice: auto, yes or no.
        """
        term = self._degree_term(candidate, split, choice)
        if not term.is_used:
            return replace(candidate, degree_term=term)
        with self.fitting.costs.stage("calibration"):
            scorer = term.applied(candidate.scorer, degrees_of(split.train, split.space))
            parts = self.setup.held_out(scorer, split, candidate.parts)
        return replace(candidate, scorer=scorer, parts=parts, degree_term=term)

    def _degree_term(self, candidate: ModelCandidate, split: Split, choice: Choice) -> DegreeTerm:
        with self.fitting.costs.stage("calibration"):
            return choose_degree_term(
                choice,
                candidate.parts["validation"],
                split.validation,
                candidate.scorer,
                self.setup.non_edges,
                degrees_of(split.train, split.space),
                prevalence=self.setup.prevalence,
                threads=self.setup.threads,
            )

    def ap_with_degrees(self, candidate: ModelCandidate) -> float:
        """Validation average precision with the degree term that it would get, if any.

        The term would be fitted on these very edges, so what it adds is taken from its cross-validation.
        """
        ap = candidate.validation_ap
        term = self._degree_term(candidate, self.setup.split.rotations()[0], self.fitting.config.degree_calibration)
        return ap * (1 + term.precision_gain) if term.is_used and term.precision_gain is not None else ap


def entries(asked: Iterable[str], space: PairSpace, *, has_features: bool) -> tuple[str, ...]:
    """Who takes part: those asked for, and all baselines that a graph of this size can afford.

    Args:
        asked: models and baselines.
        space: of the graph.
        has_features: whether there are features to compare.
    Example:
        >>> entries(["l3"], PairSpace(100_000), has_features=False)
        ('l3', 'degree', 'common-neighbors', 'adamic-adar', 'resource-allocation')
    """
    asked = tuple(asked)
    is_small = space.num_pairs <= ALL_PAIRS_LIMIT
    counted = [
        each
        for each in baseline_families()
        if (is_small or not each.is_costly) and (has_features or not each.needs_features)
    ]
    return (*asked, *(each.name for each in counted if each.name not in asked))


def mean_of_folds(
    selection: ModelSelection, winner: ModelCandidate, seconds: float | None = None
) -> tuple[ModelCandidate, list[ModelCandidate]]:
    """The mean of the winner's models of all folds, and these; without folds the winner and none.

    Args:
        selection: that it won.
        winner: of the first fold, without a degree term.
        seconds: of counted work for each other fold; None: as the config's budget is shared.
    """
    setup, fitting = selection.setup, selection.fitting
    if setup.split.folds == 1:
        return winner, []
    rotations = setup.split.rotations()
    count = len(setup.split.train) + len(setup.split.calibration)
    fitting.say(f"cross-fitting: {count:,} train and calibration edges in {len(rotations)} folds, each calibrates once")
    folds, like = [winner], winner.fitted
    folds += [
        selection.fit_candidate(winner.name, rotation, fold, like, seconds)
        for fold, rotation in enumerate(rotations[1:], start=1)
    ]
    products = [fold.scorer for fold in folds if isinstance(fold.scorer, InnerProductScorer)]
    scorer: Scorer = MeanScorer(tuple(fold.scorer for fold in folds))
    if len(products) == len(folds):
        scorer = mean_inner_product(products)
    elif isinstance(winner.scorer, CosineScorer):  # of features alone, the same in every fold
        scorer = winner.scorer
    models = [fold.fitted for fold in folds if isinstance(fold.fitted, TrainedModel)]
    with fitting.costs.stage("evaluation"):
        parts = setup.held_out(scorer, setup.split, ("validation", "test"))
    trained = mean_model(models, scorer) if models else None
    mean = ModelCandidate(winner.name, scorer, trained, parts)
    fitting.say(f"mean of {len(folds)}: {_gain(mean, folds)}")
    return mean, folds


def calibration_samples(
    selection: ModelSelection, winner: ModelCandidate, folds: Sequence[ModelCandidate]
) -> tuple[HeldOut, ...]:
    """The calibration edges as the winner scores edges that it has not seen, against the non-edges as it scores them.

    With folds each edge has the logit of the one model that has not seen it, moved to the scale of the mean. Where
    the mean has a degree term, each model gets one of its own; one that gets none is left out. The validation edges come
    second then: the mean scores them itself, though they chose the epochs, and promises have to be kept on them too.

    Args:
        selection: that it won.
        winner: with or without a degree term.
        folds: the models whose mean it is, without degree terms; empty for a single one.
    """
    setup, fitting = selection.setup, selection.fitting
    if not folds:
        return (winner.parts["calibration"],)
    is_used, of_mean = winner.degree_term is not None and winner.degree_term.is_used, winner.parts["validation"]
    edges, logits = [], []
    for fold, (candidate, rotation) in enumerate(zip(folds, setup.split.rotations(), strict=True)):
        other = selection.with_degree_term(candidate, rotation, "yes" if is_used else "no")
        if other.degree_term is None or other.degree_term.is_used != is_used:  # its logits are on another scale
            fitting.say(f"fold {fold + 1} is left out of calibration: no degree term fits its model")
            continue
        if "calibration" not in other.parts:  # its fold holds nothing but the only edges of nodes
            continue
        own = other.parts["calibration"].edge_logits, other.parts["validation"].edge_logits
        moved = on_the_scale_of_the_mean(*own, of_mean.edge_logits, are_counts=winner.odds is None)
        edges.append(rotation.calibration)
        logits.append(moved.astype(np.float32).astype(np.float64))
    if not edges:
        fitting.say("the validation edges calibrate instead")
        return (of_mean,)
    pooled = np.concatenate(logits)
    with fitting.costs.stage("calibration"):
        scores = score_non_edges(
            winner.scorer,
            setup.non_edges,
            anchors=np.concatenate([pooled, *(part.edge_logits for part in winner.parts.values())]),
            classes=setup.classes,
            threads=setup.threads,
        )
    moved_sample = HeldOut(
        pooled,
        scores,
        setup.classes.of_pairs(np.concatenate(edges)),
        setup.classes.ranges,
        setup.split.message_graph_hash(),
        num_models=len(folds),
        confidences=setup.split.confidences(np.concatenate(edges)),
    )
    return moved_sample, of_mean


def about_folds(winner: ModelCandidate, folds: Sequence[ModelCandidate]) -> list[Finding]:
    """What a mean of models is, and what it gained; nothing without folds."""
    if not folds:
        return []
    message = (
        f"Cross-fitting: the model is the mean of {len(folds)}, each trained without another fold of the train and "
        f"calibration edges, all of which calibrate. {_gain(winner, folds)[0].upper()}"
        f"{_gain(winner, folds)[1:]}. Promises of decisions are approximate."
    )
    return [Finding("folds", "info", message, "--folds 1 keeps one model and exact promises.", len(folds))]


def mean_baseline(selection: ModelSelection, baseline: ModelCandidate) -> ModelCandidate:
    """A baseline as it is compared with the model: with folds the mean of its counts on all message graphs."""
    setup, fitting = selection.setup, selection.fitting
    if setup.split.folds == 1:
        return baseline
    scorer = MeanScorer(
        tuple(selection.unfitted_scorer(baseline.name, rotation) for rotation in setup.split.rotations())
    )
    with fitting.costs.stage("baselines"):
        return ModelCandidate(
            baseline.name,
            scorer,
            None,
            setup.held_out(scorer, setup.split, ("validation", "test")),
        )


def _gain(mean: ModelCandidate, folds: Sequence[ModelCandidate]) -> str:
    single = float(np.mean([fold.validation_ap for fold in folds]))
    return f"validation average precision {mean.validation_ap:.4g}, of its models {single:.4g} on average"


def seconds_for_folds(selection: ModelSelection) -> float | None:
    """What each training of the winner on another fold may take; None where no budget bounds it."""
    config, others = selection.fitting.config, selection.setup.split.folds - 1
    if config.model != AUTO or not others:
        return None
    return FOR_FOLDS * selection.fitting.budget / others
