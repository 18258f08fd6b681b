"""Decisions: a named rule and the calibration sample in, a threshold and what it promises out.

Every rule works at the prevalence of the test candidates: calibration edges count num_test_edges / num_edges each, and
non-edges are counted as they are. The test edges are never looked at.

    half                p >= 1/2, p from the calibrator
    balanced_accuracy   the largest (TPR + TNR) / 2; at rare edges it floods, mind its expected precision
    f1, mcc             the largest F1, Matthews correlation
    fB                  the largest F-beta, such as f2 (a missed edge weighs more) or f0.5 (a false one does)
    cost:FP:FN          p >= FP / (FP + FN), the cheapest if probabilities hold (Elkan, IJCAI 2001)
    budget:K            about K candidates pass
    recall>=R           guaranteed with 90 % confidence by an order statistic of the calibration edges
    precision>=P        guaranteed with 90 % confidence by tests in a fixed sequence with a second start (Learn then Test,
                        Angelopoulos et al., arXiv 2110.01052; fallback procedure, Wiens, Pharmaceutical Statistics 2,
                        2003), or no threshold at all
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, floor, isfinite, log
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import betabinom, binom

from linkodds.errors import BrokenRun, OptionError
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logit_bins import Floats
from linkodds.probability.calibration import Calibrator
from linkodds.probability.precision_tests import SECOND_START, last_kept, least_recall, precision_grid
from linkodds.scorers.scoring import below_float32

RuleName = Literal["half", "balanced_accuracy", "f1", "f", "mcc", "precision", "recall", "cost", "budget"]

DELTA = 0.1
"""A guaranteed rule may break its promise in this share of all draws of the calibration edges."""
FLOODED = 0.1
"""Expected precision below which a decision carries a caution."""
COVERS = (
    "It holds for recorded edges split at random and scored with the same message graph, against the record: a pair "
    "without a recorded edge counts as a non-edge. It does not cover unrecorded edges that differ from recorded ones, "
    "nor a rule chosen after looking at the results."
)
MAX_LOGIT = 1e30
"""Thresholds beyond are cut to it: no model has such logits, and float32 still holds it."""
FORMS = (
    "half, balanced_accuracy, f1, mcc, fB with a weight B above 0 of recall against precision (f2, f0.5), precision>=P or "
    "recall>=R with 0 < P, R < 1, cost:FP:FN with costs above 0 of a false positive and a false negative, budget:K with a "
    "whole number K of at least 1"
)


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen; made by `parse_rule`.

    Args:
        name: what is optimised or promised.
        values: (P,), (R,), (FP, FN), (K,) or (B,); empty for the other rules.
    Example:
        >>> str(Rule("cost", (20.0, 1.0))), str(Rule("recall", (0.8,)))
        ('cost:20:1', 'recall>=0.8')
    """

    name: RuleName
    values: tuple[float, ...] = ()

    def __str__(self) -> str:
        separator = {"precision": ">=", "recall": ">=", "f": ""}.get(self.name, ":")
        return separator.join([self.name, *(f"{value:.15g}" for value in self.values)])


STANDARD_RULES = (
    Rule("half"),
    Rule("balanced_accuracy"),
    Rule("f1"),
    Rule("mcc"),
    Rule("precision", (0.5,)),
    Rule("recall", (0.8,)),
)
"""Reported in every evaluation, whatever rule the user chose."""


def parse_rule(text: str) -> Rule:
    """A rule from the text of `--decision`.

    Raises:
        OptionError: no such rule, or a value out of its range.
    Example:
        >>> parse_rule("precision >= 0.50"), str(parse_rule("cost:20:1"))
        (Rule(name='precision', values=(0.5,)), 'cost:20:1')
    """
    form = (
        r"(half|balanced_accuracy|f1|mcc)|(precision|recall)>=([^:]+)|(cost):([^:]+):([^:]+)|(budget):([^:]+)"
        r"|(f)([0-9.][0-9.e+-]*)"
    )
    match = re.fullmatch(form, re.sub(r"\s+", "", text))
    if match is None:
        raise OptionError(f"{text}: no such decision rule. --decision takes {FORMS}.")
    name, *numbers = (group for group in match.groups() if group is not None)
    try:
        values = tuple(float(number) for number in numbers)
    except ValueError:
        raise OptionError(f"{text}: {' and '.join(numbers)} should be a number. --decision takes {FORMS}.") from None
    problem = None
    if not all(isfinite(value) and value > 0 for value in values):
        problem = "its values have to be above 0"
    elif name in ("precision", "recall") and values[0] >= 1:
        problem = f"a {name} that can be promised lies strictly between 0 and 1"
    elif name == "budget" and not values[0].is_integer():
        problem = "a budget is a whole number of candidates"
    if problem:
        raise OptionError(f"{text}: {problem}. --decision takes {FORMS}.")
    return Rule("f1") if (name, values) == ("f", (1.0,)) else Rule(name, values)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Decision:
    """A threshold, fixed on the calibration sample, and what may be said about it.

    Args:
        rule: as `parse_rule` reads it.
        threshold_logit: pairs at or above are decided to be edges; None where no threshold keeps the promise.
        threshold_probability: the same on the calibrator's scale.
        num_edges: calibration edges it was fixed on.
        expected_precision: at the prevalence of the test candidates, as counted on the calibration sample; None where
            nothing passes. Not part of any promise.
        expected_recall: share of the calibration edges that pass.
        promise: what is guaranteed, on which sample, with which confidence, and what is not covered.
        reason: why there is no threshold, with the numbers and what to do.
        caution: what a reader of the decision should know, None where nothing.
    Example:
        >>> Decision("half", -1.0, 0.5, 200, 0.7, 0.2).passes([-2.0, -1.0, 3.0]).tolist()
        [False, True, True]
    """

    rule: str
    threshold_logit: float | None
    threshold_probability: float | None
    num_edges: int
    expected_precision: float | None = None
    expected_recall: float | None = None
    promise: str | None = None
    reason: str | None = None
    caution: str | None = None

    def passes(self, logits: ArrayLike) -> NDArray[np.bool_]:
        """Which raw logits are decided to be edges, same shape; none where there is no threshold."""
        logits = np.asarray(logits, dtype=np.float64)
        return logits >= (np.inf if self.threshold_logit is None else self.threshold_logit)

    def to_json(self) -> dict[str, Any]:
        """All fields, by name."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> "Decision":
        """The inverse of `to_json`; other keys are ignored.

        Raises:
            BrokenRun: a key is missing.
        """
        try:
            return Decision(**{name: values[name] for name in Decision.__dataclass_fields__})
        except KeyError as error:
            raise BrokenRun(f"a stored decision lacks {error}. Fit the run again.") from error


def decide(rule: Rule, calibration: Sequence[HeldOut], calibrator: Calibrator, *, num_test_edges: int) -> Decision:
    """The threshold of a rule, fixed on the calibration sample for the test candidates.

    With several folds the threshold is for the model of the first. An edge of another fold stands where it does among
    that fold's own non-edges, since logits of models trained apart need not share a scale; guarantees are then
    approximate, and their text says so.

    With a sample that several models have scored (`HeldOut.num_models`) another may follow, of edges that none of them was
    trained on: a promise then has to be kept on either, and the stricter threshold is taken.

    Args:
        rule: from `parse_rule`.
        calibration: calibration edges and the non-edges, one a fold, none empty.
        calibrator: gives the probability at the threshold, and the threshold of `half` and `cost`.
        num_test_edges: edges among the test candidates, at least 1.
    Returns:
        A decision whose threshold lies halfway between two float32 logits, so that float32 and float64 logits agree.
    Example:
        >>> sample = HeldOut.from_logits(np.array([1.0, 2.0, 3.0]), np.array([-1.0, 0.0, 1.5, -2.0]), 4)
        >>> calibrator = Calibrator(1.0, 0.0, "platt", 0.5, 3, 4)
        >>> decision = decide(parse_rule("f1"), [sample], calibrator, num_test_edges=3)
        >>> round(decision.threshold_logit, 3), decision.expected_precision, decision.expected_recall
        (1.0, 0.75, 1.0)
    """
    if calibration[0].num_models > 1:
        return _with_folds(rule, calibration, calibrator, num_test_edges)
    sample = _Sample.of(calibration, num_test_edges)
    match rule.name:
        case "half" | "cost":
            probability = rule.values[0] / sum(rule.values) if rule.values else 0.5
            decision = _decision(rule, sample, calibrator, calibrator.logit_of(probability))
            return replace(decision, threshold_probability=probability)
        case "balanced_accuracy" | "f1" | "f" | "mcc":
            return _decision(rule, sample, calibrator, float(sample.thresholds[np.argmax(_quality(rule, sample))]))
        case "budget":
            num_passing = sample.num_passing / sample.num_edges * num_test_edges + sample.num_non_edges_at_least
            within = int(np.searchsorted(num_passing, rule.values[0] * (1 + 1e-12), side="right")) - 1
            return _decision(rule, sample, calibrator, float(sample.thresholds[max(within, 0)]))
        case "recall":
            return _guaranteed_recall(rule, sample, calibrator)
        case "precision":
            return _guaranteed_precision(rule, sample, calibrator)


@dataclass(frozen=True, eq=False)
class _Sample:
    """The calibration sample as seen from the first fold's model: what passes at every threshold with a known count.

    Args:
        folds: the calibration sample.
        num_edges: calibration edges of all folds.
        num_test_edges: edges among the test candidates.
        thresholds: shape (thresholds,), decreasing: edge logits of the first fold and borders of its bins.
        num_non_edges_at_least: shape (thresholds,): weighted non-edges of the first fold that pass.
        num_passing: shape (thresholds,): calibration edges of all folds that pass.
    """

    folds: Sequence[HeldOut]
    num_edges: int
    num_test_edges: int
    thresholds: Floats
    num_non_edges_at_least: Floats
    num_passing: Floats

    @staticmethod
    def of(folds: Sequence[HeldOut], num_test_edges: int) -> "_Sample":
        first = folds[0]
        borders, counts = first.non_edges.bins.borders()
        thresholds, place = np.unique(np.concatenate([first.ladder.logits, borders]), return_index=True)
        counts = np.concatenate([first.ladder.non_edges_at_least, counts])[place][::-1]
        passing = _num_passing(folds, thresholds[::-1], counts)
        return _Sample(folds, sum(fold.num_edges for fold in folds), num_test_edges, thresholds[::-1], counts, passing)


def _num_passing(folds: Sequence[HeldOut], thresholds: Floats, counts: Floats) -> Floats:
    """Calibration edges that pass, shape (thresholds,); edges of further folds by their place among their non-edges."""
    first, *others = folds
    passing = first.num_edges - np.searchsorted(np.sort(first.edge_logits), thresholds, side="left")
    for fold in others:
        places = np.repeat(fold.ladder.non_edges_at_least / fold.num_non_edges, fold.ladder.edges.astype(np.int64))
        passing = passing + np.searchsorted(places, counts / first.num_non_edges * (1 + 1e-12), side="right")
    return passing.astype(np.float64)


def _quality(rule: Rule, sample: _Sample) -> Floats:
    """What the rule wants largest, shape (thresholds,), at the prevalence of the test candidates."""
    edges, non_edges = float(sample.num_test_edges), sample.folds[0].num_non_edges
    tp, fp = sample.num_passing / sample.num_edges * edges, sample.num_non_edges_at_least
    if rule.name == "balanced_accuracy":
        return np.asarray(tp / edges - fp / non_edges)
    if rule.name in ("f1", "f"):
        weight = rule.values[0] ** 2 if rule.values else 1.0
        return np.asarray((1 + weight) * tp / (tp + fp + weight * edges))
    # MCC = (TPR - FPR) sqrt(pi (1 - pi) / (q (1 - q))), q the share that passes; 0 where all or nothing passes.
    share = (tp + fp) / (edges + non_edges)
    spread = share * (1 - share)
    return np.where(spread > 1e-300, (tp / edges - fp / non_edges) / np.sqrt(np.maximum(spread, 1e-300)), 0.0)


def _decision(rule: Rule, sample: _Sample, calibrator: Calibrator, threshold: float, promise: str = "") -> Decision:
    threshold = below_float32(float(np.clip(threshold, -MAX_LOGIT, MAX_LOGIT)))
    first = sample.folds[0].non_edges
    try:
        fp = first.num_at_least(threshold)
    except ValueError:  # between two anchors: to within half a narrow bin
        logits, weights = first.bins.points()
        fp = float(weights[logits >= threshold].sum())
    recall = float(_num_passing(sample.folds, np.array([threshold]), np.array([fp]))[0]) / sample.num_edges
    num_passing = recall * sample.num_test_edges + fp
    precision = recall * sample.num_test_edges / num_passing if num_passing else None
    caution = None
    if precision is None:
        top = float(calibrator.probability(sample.thresholds[0]))
        caution = (
            f"says no to every pair of the calibration sample, whose highest probability is about {top:.3g}. "
            "Links this rare need a lower threshold: f1 or budget:K give one."
        )
    elif rule.name == "budget" and num_passing > rule.values[0] * (1 + 1e-12):
        caution = (
            f"exceeds the budget: about {num_passing:,.0f} candidates share the highest logits and cannot be told "
            "apart. A list of exactly K pairs, ties settled by node, comes from `linkodds find --top K`."
        )
    elif precision < FLOODED:
        caution = (
            f"floods: about {num_passing:,.0f} of {sample.num_test_edges + first.num_non_edges:,.0f} candidates pass, "
            f"of which {precision:.2%} are expected to be edges. For a list to act on take precision>=P or budget:K."
        )
    return Decision(
        rule=str(rule),
        threshold_logit=threshold,
        threshold_probability=float(calibrator.probability(threshold)),
        num_edges=sample.num_edges,
        expected_precision=precision,
        expected_recall=recall,
        promise=promise or None,
        caution=caution,
    )


def _guaranteed_recall(rule: Rule, sample: _Sample, calibrator: Calibrator) -> Decision:
    """The k-th smallest calibration edge, k the largest with P(Binomial(n, 1 - r) <= k - 1) <= delta."""
    (wanted,), n, num_test = rule.values, sample.num_edges, sample.num_test_edges
    k = int(np.count_nonzero(binom.cdf(np.arange(n), n, 1 - wanted) <= DELTA))
    if k == 0:
        reason = (
            f"{n} calibration edges are too few to promise recall {wanted:g} with {1 - DELTA:.0%} confidence; it takes "
            f"{ceil(log(DELTA) / log(wanted))}. Give calibration a larger share in --split, use --folds, or ask for "
            f"recall {0.99 * DELTA ** (1 / n):.2g} or less."
        )
        return Decision(str(rule), None, None, n, reason=reason)
    threshold = float(sample.thresholds[np.argmax(sample.num_passing >= n - k + 1)])
    on_test = floor(1000 * betabinom.ppf(DELTA, num_test, n - k + 1, k) / num_test) / 1000  # as printed, never more
    promise = (
        f"With {1 - DELTA:.0%} confidence over the draw of the {n} calibration edges, at least {wanted:.1%} of all "
        f"edges that could have been held out like them pass; of the {num_test} test edges, at least {on_test:.1%}. "
        f"{COVERS} It says nothing of precision.{_note_on_folds(sample)}"
    )
    return _decision(rule, sample, calibrator, threshold, promise)


def _guaranteed_precision(rule: Rule, sample: _Sample, calibrator: Calibrator) -> Decision:
    """Tests over borders of the non-edges' bins, chosen by count alone, strictest first; the last that passes is taken.

    Precision is at least p where edges * TPR * (1 - p) >= FP * p. With all non-edges scored FP is known, and only the
    TPR has a lower Clopper-Pearson bound, at delta. With a sample the two share delta.
    """
    (wanted,), n, num_test = rule.values, sample.num_edges, sample.num_test_edges
    scores = sample.folds[0].non_edges
    delta = DELTA if scores.rate == 1.0 else DELTA / 2
    affordable = num_test * (1 - wanted) / wanted
    thresholds, counts, most = precision_grid(scores, affordable, delta)
    passing = _num_passing(sample.folds, thresholds, counts)
    kept = last_kept(passing, n, most / affordable, counts >= SECOND_START * affordable, delta)
    if kept is None:
        return Decision(str(rule), None, None, n, reason=_too_imprecise(rule, sample, counts, most, passing, delta))
    design = "all non-edges are counted" if scores.rate == 1.0 else f"and of {scores.num_scored:,} sampled non-edges"
    promise = (
        f"With {1 - DELTA:.0%} confidence over the draw of the {n} calibration edges ({design}), at least {wanted:.1%} "
        f"of the pairs that pass are edges where {num_test} test edges are drawn like them; a single test set scatters "
        f"around that. {COVERS} It says nothing of recall, nor of new links, whose prevalence is an "
        f"assumption.{_note_on_folds(sample)}"
    )
    return _decision(rule, sample, calibrator, float(thresholds[kept]), promise)


def _too_imprecise(rule: Rule, sample: _Sample, counts: Floats, most: Floats, passing: Floats, delta: float) -> str:
    """Why no threshold keeps precision>=P: the one that came closest, and what it lacks."""
    (wanted,), n, num_test = rule.values, sample.num_edges, sample.num_test_edges
    least = num_test * least_recall(passing, n, delta)
    precision = least / np.maximum(least + most, 1e-300)
    best = int(np.argmax(precision))
    could = num_test * least_recall(np.arange(1.0, n + 1), n, delta)
    enough = np.flatnonzero(could * (1 - wanted) >= most[best] * wanted)
    if precision[best] >= wanted:
        lacks = (
            "this threshold alone would pass, but a stricter one failed first; choosing afterwards voids the guarantee"
        )
    else:
        lacks = f"it would take about {enough[0] + 1}" if len(enough) else "not even all of them would be enough"
    tried = f"Of {len(counts)} tried the closest: with" if len(counts) > 1 else "The only one worth a try: with"
    rate = sample.folds[0].non_edges.rate
    scored = "" if rate == 1.0 else f"score all non-edges and not a share of {rate:.2g} (--max-pairs), "
    return (
        f"no threshold is sure to have precision {wanted:g} ({num_test} test edges afford "
        f"{num_test * (1 - wanted) / wanted:,.1f} non-edges if all pass). {tried} {counts[best]:,.0f} non-edges, "
        f"{passing[best]:.0f} of {n} calibration edges pass, so precision is at least {precision[best]:.2g} with "
        f"{1 - DELTA:.0%} confidence; {lacks}. Ask for less, {scored}calibrate on more edges (--split, --folds), or use f1, "
        "which promises nothing."
    )


def _with_folds(rule: Rule, calibration: Sequence[HeldOut], calibrator: Calibrator, num_test_edges: int) -> Decision:
    """The first sample decides; of a promise the stricter of all samples, since edges moved to another scale only resemble
    those of the scorer."""
    count = calibration[0].num_models
    samples = calibration if rule.name in ("recall", "precision") else calibration[:1]
    found = [
        decide(rule, [replace(sample, num_models=1)], calibrator, num_test_edges=num_test_edges) for sample in samples
    ]
    for decision, where in zip(found, ("", "on the validation edges, which no model was trained on, "), strict=False):
        if decision.threshold_logit is None:
            return replace(decision, reason=f"{where}{decision.reason}")
    thresholds = [each.threshold_logit or 0.0 for each in found]
    chosen = found[int(np.argmin(thresholds) if rule.name == "recall" else np.argmax(thresholds))]
    if chosen.promise is None:
        return chosen
    note = (
        f" Approximate: of {count} models, whose mean scores new pairs, each edge was scored by the one that had not seen "
        "it, or by all, but then it helped to choose how long they were trained; the stricter of the two thresholds is taken."
    )
    return replace(chosen, promise=chosen.promise + note)


def _note_on_folds(sample: _Sample) -> str:
    if len(sample.folds) == 1:
        return ""
    return f" Approximate: {len(sample.folds)} models scored the edges, trained alike on message graphs of one size."
