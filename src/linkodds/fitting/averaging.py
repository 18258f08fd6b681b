"""Averaging: the mean log odds of the best two or three models, unless it lowers validation average precision.

Models err in different places. Each is moved to log odds at the rehearsal's prevalence by a line that is fitted on
the validation edges (Platt), so that models and counts stand on one scale; their mean is a scorer like any other.

The lines are fitted on the edges that judge, so what the mean gains is cross-validated: each fifth of the validation
edges is ranked with lines of the other four.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.findings import Finding
from linkodds.fitting.model_selection import HELD_OUT, ModelCandidate, ModelSelection
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.metrics import precision_at_each_edge
from linkodds.models.families import AUTO, is_baseline
from linkodds.models.training.history import Epoch
from linkodds.probability.platt import fit_platt, weighted_points
from linkodds.scorers.scoring import InnerProductScorer, MeanOddsScorer

MOST_MEMBERS = 3
MOST_PAIRS = 40_000_000
"""Up to so many pairs the logits of a few models for all of them fit the memory, 4 bytes each."""
FOLDS = 5
MIN_EDGES = 50
"""Validation edges without which nothing is averaged."""
DIGITS = 6
"""Significant digits of slopes and intercepts: sums that round otherwise on more threads give the same ones."""


@dataclass(frozen=True, eq=False)
class MeanModel:
    """A mean of candidate models, with the fields of any fitted model.

    Args:
        members: as they were on their own, without degree terms.
        scorer: their mean log odds.
        effective_odds: edges / non-edges that the lines were fitted at.
        gain: rise of the average precision over the best member, cross-validated on the validation edges.
        gain_error: its standard error, edges drawn anew.
    """

    members: tuple[ModelCandidate, ...]
    scorer: MeanOddsScorer
    effective_odds: float
    gain: float
    gain_error: float
    name: str = AUTO
    objective: str = "mean"

    @property
    def label(self) -> str:
        """What to call it in words."""
        *first, last = (each.name for each in self.members)
        return f"the mean of {', '.join(first)} and {last}"

    @property
    def history(self) -> tuple[Epoch, ...]:
        """Of the first member that was trained in epochs."""
        return next((each.fitted.history for each in self.members if each.fitted and each.fitted.history), ())

    @property
    def best_epoch(self) -> int:
        """Of the member whose history this has."""
        return next((each.fitted.best_epoch for each in self.members if each.fitted and each.fitted.history), 0)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of all members."""
        return tuple(dict.fromkeys(finding for each in self.members for finding in each.findings))

    @property
    def num_parameters(self) -> int:
        """Of all members, and their lines."""
        return sum(2 + (each.fitted.num_parameters if each.fitted else 0) for each in self.members)

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """Those of each member behind its number: member-1, member-2; its embeddings beside them, if it has any."""
        arrays: dict[str, NDArray[Any]] = {}
        for k, member in enumerate(self.members, start=1):
            arrays |= {f"member-{k}.{name}": array for name, array in member.weights.items()}
            if isinstance(member.scorer, InnerProductScorer):
                embeddings = member.scorer.to_arrays()
                arrays |= {f"member-{k}.embeddings.{name}": array for name, array in embeddings.items()}
        return arrays

    def to_json(self) -> list[dict[str, Any]]:
        """The members and their lines, as config.yaml holds them."""
        lines = zip(self.members, self.scorer.slopes, self.scorer.intercepts, strict=True)
        return [{"model": each.name, "slope": slope, "intercept": intercept} for each, slope, intercept in lines]


def best_mean(selection: ModelSelection, ranked: Sequence[ModelCandidate]) -> ModelCandidate | None:
    """The mean of the best two or three, unless it lowers validation average precision by more than a standard error.

    Two are averaged unless that ranks the validation edges worse than the best alone by more than a standard error: where
    two models are nearly as good their mean is better more often than a hundred edges can show (`docs/auto.md`). Two counts
    have no such credit: their mean has to be better by a standard error, and so has a third member.

    Args:
        selection: on whose split they were measured.
        ranked: all candidate models, the best by validation average precision first.
    """
    setup = selection.setup
    pool = _pool(ranked)
    num_edges = pool[0].parts["validation"].num_edges
    if (
        len(pool) < 2
        or setup.split.folds > 1
        or num_edges < MIN_EDGES
        or setup.non_edges.design != "enumerated"
        or setup.split.space.num_pairs > MOST_PAIRS
    ):
        return None
    with selection.fitting.costs.stage("averaging"):
        logits = {each.name: _Logits.of(selection, each) for each in pool}
        known = [each for each in pool if logits[each.name].lines]
        if len(known) < 2 or known[0] is not pool[0]:
            return None
        single = precision_at_each_edge(logits[pool[0].name].edges, logits[pool[0].name].non_edges)
        members: tuple[ModelCandidate, ...] = (known[0], known[1])
        of_pair = _cross_validated([logits[each.name] for each in members])
        gain, error = _mean_and_error(of_pair - single)
        if gain <= (-error if any(each.fitted for each in members) else error):
            return None
        for third in known[2:]:
            of_three = _cross_validated([logits[each.name] for each in (*members[:2], third)])
            added, added_error = _mean_and_error(of_three - of_pair)
            total = _mean_and_error(of_three - single)
            if added > added_error and total[0] > gain:
                members, (gain, error) = (*members[:2], third), total
        return mean_of(selection, members, [logits[each.name].lines[-1] for each in members], gain, error)


def mean_of(
    selection: ModelSelection,
    members: Sequence[ModelCandidate],
    lines: Sequence[tuple[float, float]],
    gain: float,
    error: float,
) -> ModelCandidate:
    """The mean of some candidate models, scored as they were.

    Args:
        selection: on whose split they were measured.
        members: without degree terms.
        lines: slope and intercept of each.
        gain: see `MeanModel`.
        error: of the gain.
    """
    setup = selection.setup
    slopes, intercepts = zip(*lines, strict=True)
    scorer = MeanOddsScorer(tuple(each.scorer for each in members), slopes, intercepts)
    odds = setup.prevalence / (1 - setup.prevalence)
    model = MeanModel(tuple(members), scorer, odds, gain, error)
    return ModelCandidate(model.name, scorer, model, setup.held_out(scorer, setup.split, HELD_OUT))


@dataclass(frozen=True, eq=False)
class _Logits:
    """Of one candidate model: for validation edges and all non-edges, both in float32 so that what is tied stays tied, and its
    lines: of each fold's complement, then of all."""

    edges: NDArray[np.float32]
    non_edges: NDArray[np.float32]
    lines: tuple[tuple[float, float], ...]

    @staticmethod
    def of(selection: ModelSelection, candidate: ModelCandidate) -> "_Logits":
        held_out, setup = candidate.parts["validation"], selection.setup
        non_edges = np.concatenate([chunk for chunk, _ in setup.non_edges.stream(candidate.scorer)])
        fold_of = np.arange(held_out.num_edges) % FOLDS
        kept = [fold_of != fold for fold in range(FOLDS)] + [fold_of >= 0]
        lines = [_line(held_out, each, setup.prevalence) for each in kept]
        found = tuple(line for line in lines if line is not None)
        return _Logits(held_out.edge_logits.astype(np.float32), non_edges, found if len(found) == len(lines) else ())


def _line(held_out: HeldOut, kept: NDArray[np.bool_], prevalence: float) -> tuple[float, float] | None:
    line = fit_platt(weighted_points([held_out.of(kept)], prevalence))
    if line is None or not line.slope > 0 or not np.isfinite([line.slope, line.intercept]).all():
        return None
    return float(f"{line.slope:.{DIGITS}g}"), float(f"{line.intercept:.{DIGITS}g}")


def _cross_validated(members: Sequence[_Logits]) -> Floats:
    """Precision at each validation edge of the mean whose lines are those of the other folds."""
    num_edges = len(members[0].edges)
    result = np.empty(num_edges)
    for fold in range(FOLDS):
        judged = np.arange(fold, num_edges, FOLDS)
        edges, non_edges = np.zeros(num_edges), np.zeros(len(members[0].non_edges))
        for member in members:
            slope, _ = member.lines[fold]
            edges += slope * member.edges
            non_edges += slope * member.non_edges
        result[judged] = precision_at_each_edge(edges, non_edges, judged=judged)
    return result


def _pool(ranked: Sequence[ModelCandidate]) -> list[ModelCandidate]:
    """The best few, and the best baseline."""
    pool = list(ranked[:MOST_MEMBERS])
    counted = [each for each in ranked if is_baseline(each.name)]
    return pool + [each for each in counted[:1] if each not in pool]


def _mean_and_error(values: Floats) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
