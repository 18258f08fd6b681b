"""Auto: tries models within a time budget and takes what ranks the validation edges best, a mean of a few included.

The budget is spent as counted work at nominal rates: no clock decides what is tried, so the same seed gives the same bytes.
Models are tried in the order in which they are worth most. One that costs more than what is left is made shorter, or left
out where that would leave too little of it, and the run names it with the seconds that it would take. Counting is cheap:
all baselines are always there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from linkodds.findings import Finding
from linkodds.fitting.averaging import MeanModel, best_mean
from linkodds.fitting.model_selection import FOR_FOLDS, ModelCandidate, ModelSelection
from linkodds.metrics.intervals import Z95
from linkodds.metrics.metrics import precisions_of_edges
from linkodds.models.families import is_baseline

LADDER = ("structural-gae", "stack", "signed-gae", "vgae", "gae")
"""Models that auto tries, those first that were best most often: `docs/auto.md`."""
FEWEST_EPOCHS = 20
"""A training with fewer is left out."""
FEWEST_EDGES = 100
"""Train edges that are needed to hide some."""
LOOKED_AT_TWICE = 3
"""So many of the best get a degree term before auto takes one: it moves some models further than others."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What auto came to.

    Args:
        candidates: all that were measured, by name; the mean is "auto".
        winner: one of them.
        findings: what was chosen and what lost, what was left out of the selection, and what training had to say.
    """

    candidates: Mapping[str, ModelCandidate]
    winner: ModelCandidate
    findings: tuple[Finding, ...]


def choose(selection: ModelSelection) -> Outcome:
    """Try the ladder and the baselines of a selection, and take the best.

    A count has to be ahead of the best model by more than noise; see `learnt_first`. The best by validation average
    precision are looked at again with the degree term that they would get. A mean is taken
    unless one of these is better by more than a standard error; see `best_mean`.

    Args:
        selection: whose names are models of the ladder and baselines.
    """
    candidates, left_out = _tried(selection)
    by_ap = sorted(candidates.values(), key=lambda each: -each.validation_ap)
    ranked, lucky = learnt_first(by_ap)
    mean = best_mean(selection, ranked)
    expected = {each.name: selection.ap_with_degrees(each) for each in ranked[:LOOKED_AT_TWICE]}
    alone = [each for each in ranked[:LOOKED_AT_TWICE] if each.name not in lucky]
    winner = max(alone, key=lambda each: expected[each.name])  # the first of equals
    if mean is not None and isinstance(mean.fitted, MeanModel):
        candidates = candidates | {mean.name: mean}
        expected[mean.name] = selection.ap_with_degrees(mean)
        if expected[mean.name] + mean.fitted.gain_error >= expected[winner.name]:
            winner = mean
    lost = sorted((each for each in candidates.values() if each is not winner), key=lambda each: -each.validation_ap)
    message = f"auto chose {_label(winner)}: validation average precision {_ap(winner, expected)} against "
    message += f"{', '.join(f'{_label(each)} {_ap(each, expected)}' for each in lost)}.{_about(winner)}"
    message += _about_counting(winner, by_ap)
    selection.fitting.say(message)
    remedy = "Name one with --model to have it whatever the validation says."
    findings = [Finding("model", "info", message, remedy, winner.validation_ap)]
    if left_out:
        budget = selection.fitting.budget
        message = f"auto did not try {'; '.join(left_out)}. Its time budget is {budget:g} s, spent as counted work."
        selection.fitting.say(message)
        remedy = "A larger --time-budget tries more, and --model NAME has one whatever it takes."
        findings.append(Finding("model", "info", message, remedy, budget))
    return Outcome(candidates, winner, (*findings, *winner.findings))


def learnt_first(ranked: Sequence[ModelCandidate]) -> tuple[list[ModelCandidate], frozenset[str]]:
    """The ranking without the luck of counts: one above the best model by no more than noise comes after it.

    There are five to eight counts, and with a few hundred validation edges the best of them is ahead of a model as good
    as it, or somewhat better, every other time. What a count has to be ahead by is what a model has to be ahead by before
    nothing is said of counting: 1.96 standard errors of the paired differences in precision at each validation edge.

    Args:
        ranked: the best by validation average precision first.
    Returns:
        The ranking, and the names of the counts that were moved.
    """
    best = next((each for each in ranked if each.fitted is not None), None)
    if best is None:
        return list(ranked), frozenset()
    place = ranked.index(best)
    moved = [each for each in ranked[:place] if not _is_ahead(each, best)]
    before = [each for each in ranked[:place] if each not in moved]
    return [*before, best, *moved, *ranked[place + 1 :]], frozenset(each.name for each in moved)


def _is_ahead(one: ModelCandidate, other: ModelCandidate) -> bool:
    """Whether the validation edges rank one above the other by more than noise."""
    gain, error = _gain(one, other)
    return gain > Z95 * error


def _gain(one: ModelCandidate, other: ModelCandidate) -> tuple[float, float]:
    """Rise of the average precision of the validation edges from the other to the one, and its standard error."""
    gains = precisions_of_edges(one.parts["validation"]) - precisions_of_edges(other.parts["validation"])
    error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf
    return float(gains.mean()), error


def _tried(selection: ModelSelection) -> tuple[dict[str, ModelCandidate], list[str]]:
    """Contenders by name, and who was left out and why."""
    fitting, split = selection.fitting, selection.setup.split.rotations()[0]
    left = fitting.budget * (FOR_FOLDS if selection.setup.split.folds > 1 else 1)
    candidates, left_out = {}, []
    for name in selection.names:
        if fitting.families[name].is_baseline:
            candidates[name] = selection.fit_candidate(name, split)
            continue
        reason = _reason_against(selection, name, left)
        if reason:
            left_out.append(f"{name} ({reason})")
            continue
        candidates[name] = selection.fit_candidate(name, split, seconds=left)
        left -= fitting.ledger.spent[name]
    return candidates, left_out


def _reason_against(selection: ModelSelection, name: str, left: float) -> str:
    """Why a model is not tried; empty where it is."""
    fitting, split = selection.fitting, selection.setup.split
    family = fitting.families[name]
    if not family.averages_folds and split.folds > 1:
        return "no mean of folds is made of it"
    if family.max_nodes is not None and split.space.num_nodes > family.max_nodes:
        return f"it takes up to {family.max_nodes:,} nodes"
    if family.learns_masked_edges and len(split.train) < FEWEST_EDGES:
        return "too few train edges to hide some"
    needed = family.seconds_needed(fitting)
    epochs = family.epochs_for(fitting, left)
    fits = needed <= left or (epochs is not None and epochs >= min(FEWEST_EPOCHS, fitting.config.epochs))
    return "" if fits else f"about {needed:.2g} s, of which {max(left, 0):.2g} s are left"


def _ap(candidate: ModelCandidate, expected: Mapping[str, float]) -> str:
    ap = expected.get(candidate.name, candidate.validation_ap)
    with_degrees = "" if ap == candidate.validation_ap else f" ({ap:.4g} with degrees)"
    return f"{candidate.validation_ap:.4g}{with_degrees}"


def _label(candidate: ModelCandidate) -> str:
    return candidate.fitted.label if isinstance(candidate.fitted, MeanModel) else candidate.name


def _about(winner: ModelCandidate) -> str:
    """What a mean gained."""
    if not isinstance(winner.fitted, MeanModel):
        return ""
    gain, error = winner.fitted.gain, winner.fitted.gain_error
    side = "above" if gain > 0 else "below"
    return f" Cross-validated, the mean is {abs(gain):.2g} {side} its best member (standard error {error:.2g})."


def _about_counting(winner: ModelCandidate, ranked: Sequence[ModelCandidate]) -> str:
    """Whether counting is as good, by the validation edges: where the difference to the best baseline is within noise."""
    baselines = [each for each in ranked if is_baseline(each.name)]
    if not baselines:
        return ""
    best = baselines[0]
    if winner.fitted is None:
        return f" No model beat counting here: {winner.name} is a count and nothing is learnt."
    gain, error = _gain(winner, best)
    if gain > Z95 * error:
        return ""
    side = "above" if gain >= 0 else "below"
    return (
        f" Counting is as good here: {winner.name} is {side} {best.name} by {abs(gain):.2g} on "
        f"{winner.parts['validation'].num_edges} validation edges, and 1.96 standard errors of that are {Z95 * error:.2g}."
    )
