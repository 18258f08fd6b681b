"""Mean of folds: a model for each fold of the train and calibration edges, all of which calibrate, and their mean."""

from collections.abc import Sequence

import numpy as np

from linkodds.findings import Finding
from linkodds.fitting.model_selection import ModelCandidate, ModelSelection
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.non_edge_scores import score_non_edges
from linkodds.models.training.training_task import TrainedModel, mean_model
from linkodds.probability.calibration import on_the_scale_of_the_mean
from linkodds.scorers.baselines import CosineScorer
from linkodds.scorers.scoring import InnerProductScorer, MeanScorer, Scorer, mean_inner_product


def mean_of_folds(
    contest: ModelSelection, winner: ModelCandidate, seconds: float | None = None
) -> tuple[ModelCandidate, list[ModelCandidate]]:
    """The mean of the winner's models of all folds, and these; without folds the winner and none.

    Args:
        contest: that it won.
        winner: of the first fold, without a degree term.
        seconds: of counted work for each other fold; None: as the config's budget is shared.
    """
    rehearsal, fitting = contest.rehearsal, contest.fitting
    if rehearsal.split.folds == 1:
        return winner, []
    rotations = rehearsal.split.rotations()
    count = len(rehearsal.split.train) + len(rehearsal.split.calibration)
    fitting.say(f"cross-fitting: {count:,} train and calibration edges in {len(rotations)} folds, each calibrates once")
    folds, like = [winner], winner.fitted
    folds += [
        contest.fit_candidate(winner.name, rotation, fold, like, seconds)
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
        parts = rehearsal.held_out(scorer, rehearsal.split, ("validation", "test"))
    trained = mean_model(models, scorer) if models else None
    mean = ModelCandidate(winner.name, scorer, trained, parts)
    fitting.say(f"mean of {len(folds)}: {_gain(mean, folds)}")
    return mean, folds


def calibration_samples(
    contest: ModelSelection, winner: ModelCandidate, folds: Sequence[ModelCandidate]
) -> tuple[HeldOut, ...]:
    """The calibration edges as the winner scores edges that it has not seen, against the non-edges as it scores them.

    With folds each edge has the logit of the one model that has not seen it, moved to the scale of the mean. Where
    the mean has a degree term, each model gets one of its own; one that gets none is left out. The validation edges come
    second then: the mean scores them itself, though they chose the epochs, and promises have to be kept on them too.

    Args:
        contest: that it won.
        winner: with or without a degree term.
        folds: the models whose mean it is, without degree terms; empty for a single one.
    """
    rehearsal, fitting = contest.rehearsal, contest.fitting
    if not folds:
        return (winner.parts["calibration"],)
    is_used, of_mean = winner.degree_term is not None and winner.degree_term.is_used, winner.parts["validation"]
    edges, logits = [], []
    for fold, (contender, rotation) in enumerate(zip(folds, rehearsal.split.rotations(), strict=True)):
        other = contest.with_degree_term(contender, rotation, "yes" if is_used else "no")
        if other.degree_term is None or other.degree_term.is_used != is_used:  # its logits are on another scale
            fitting.say(f"fold {fold + 1} is left out of calibration: no degree term fits its model")
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
            rehearsal.non_edges,
            anchors=np.concatenate([pooled, *(part.edge_logits for part in winner.parts.values())]),
            classes=rehearsal.classes,
            threads=rehearsal.threads,
        )
    moved_sample = HeldOut(
        pooled,
        scores,
        rehearsal.classes.of_pairs(np.concatenate(edges)),
        rehearsal.classes.ranges,
        rehearsal.split.message_graph_hash(),
        num_models=len(folds),
        confidences=rehearsal.split.confidences(np.concatenate(edges)),
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


def mean_baseline(contest: ModelSelection, baseline: ModelCandidate) -> ModelCandidate:
    """A baseline as it is compared with the model: with folds the mean of its counts on all message graphs."""
    rehearsal, fitting = contest.rehearsal, contest.fitting
    if rehearsal.split.folds == 1:
        return baseline
    scorer = MeanScorer(
        tuple(contest.unfitted_scorer(baseline.name, rotation) for rotation in rehearsal.split.rotations())
    )
    with fitting.costs.stage("baselines"):
        return ModelCandidate(
            baseline.name,
            scorer,
            None,
            rehearsal.held_out(scorer, rehearsal.split, ("validation", "test")),
        )


def _gain(mean: ModelCandidate, folds: Sequence[ModelCandidate]) -> str:
    single = float(np.mean([fold.validation_ap for fold in folds]))
    return f"validation average precision {mean.validation_ap:.4g}, of its models {single:.4g} on average"
