"""Selection: lists of pairs whose share of false ones is controlled on average, by calibration nulls (conformal selection).

A calibration null is a pair known to be no edge that the model met just as it met the candidates.
Of m nulls C(t), and of n candidates R(t), have a logit of at least t (ties count against the candidate). The list

    t* = min {t : (1 + C(t)) n / ((m + 1) R(t)) <= alpha}

is that of Benjamini and Hochberg (JRSS B 57, 1995) on the conformal p-values (1 + C) / (m + 1), and holds at most a share
alpha n0 / n of the n0 false candidates on average (Bates, Candès, Lei, Romano and Sesia, Annals of Statistics 51, 2023).
It needs counts only, so billions of pairs are counted block by block. Thresholds may be any set that does not depend on
which null is in calibration and which is a candidate: the number of false candidates over 1 + C is a supermartingale as
t rises, and the first t to pass is a stopping time. With every candidate's logit among them the list is exactly that of
Benjamini and Hochberg; with fewer it is at most a little shorter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln
from scipy.stats import beta, binom

from linkodds.errors import InsufficientCalibration, NotExchangeable, OptionError
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edge_scores import NonEdgeScores

AUDITED = (0.05, 0.1, 0.2, 0.3)
DELTA = 0.1
"""The bound at a fixed threshold may be broken in this share of all draws of the calibration nulls."""
SMALLEST_LIST = 100
"""Where not even so long a list could be selected, calibration nulls are too few."""
_AUDIT_STREAM = 4
_EXACT_BOUND = 1 << 20

InTraining = Literal["zeros", "left out"]


@dataclass(frozen=True)
class Treatment:
    """How the model met a set of pairs: only pairs that it met alike may be held against each other.

    Args:
        message_graph_hash: `Split.message_graph_hash()` of the graph whose edges carried the messages.
        in_training: "zeros" where they were training zeros, or drawn from the pool of zeros like all others; "left out"
            where training kept away from them.
    """

    message_graph_hash: str
    in_training: InTraining


@dataclass(frozen=True, eq=False)
class PairCounts:
    """How many pairs of a set reach each of some thresholds.

    Args:
        thresholds: shape (thresholds,), float64, strictly decreasing.
        at_least: shape (thresholds,), int64: pairs with logit >= threshold.
        num_pairs: in all.
        treatment: how the model met them.
    Raises:
        ValueError: thresholds that do not fall, or counts that fall or are more than the pairs.
    Example:
        >>> treatment = Treatment("hash", "zeros")
        >>> counts = PairCounts.of(np.array([0.3, 2.0, 1.0]), np.array([2.0, 1.5, 1.0]), treatment)
        >>> counts.at_least.tolist(), counts.merged(counts).num_pairs
        ([1, 1, 2], 6)
    """

    thresholds: Floats
    at_least: NDArray[np.int64]
    num_pairs: int
    treatment: Treatment

    def __post_init__(self) -> None:
        if self.thresholds.shape != self.at_least.shape or not (np.diff(self.thresholds) < 0).all():
            raise ValueError("one count for each threshold, and thresholds that fall")
        steps = np.diff(self.at_least, prepend=0, append=self.num_pairs)
        if (steps < 0).any():
            raise ValueError(f"counts have to rise from 0 to at most the {self.num_pairs:,} pairs")

    @staticmethod
    def of(logits: NDArray[np.floating], thresholds: Floats, treatment: Treatment) -> "PairCounts":
        """Count logits that are in memory, any order."""
        ordered = np.sort(logits)
        at_least = len(ordered) - np.searchsorted(ordered, thresholds, side="left")
        return PairCounts(thresholds, at_least.astype(np.int64), len(ordered), treatment)

    @staticmethod
    def of_scores(scores: NonEdgeScores, treatment: Treatment) -> "PairCounts":
        """The non-edges that were scored (all, or a sample) at their anchors, each counted once."""
        at_least = np.round(scores.at_least / scores.weight).astype(np.int64)
        return PairCounts(scores.anchors[::-1], at_least[::-1], scores.num_scored, treatment)

    def merged(self, other: "PairCounts") -> "PairCounts":
        """The counts of both sets, which share no pair: blocks are counted in any order.

        Raises:
            NotExchangeable: the model met them differently.
            ValueError: other thresholds.
        """
        _refuse_mixture(self, other, "these pairs", "those they are merged with")
        return replace(self, at_least=self.at_least + other.at_least, num_pairs=self.num_pairs + other.num_pairs)


@dataclass(frozen=True, eq=False)
class ErrorControl:
    """Calibration nulls and the candidates they vouch for; made only where both were scored and trained on alike.

    Args:
        nulls: pairs known to be no edge, none of them a candidate, exchangeable with the false candidates.
        candidates: the pairs to select from.
    Raises:
        NotExchangeable: the two were scored on different message graphs, or training met them differently.
    Example:
        >>> treatment, thresholds = Treatment("hash", "zeros"), np.array([3.0, 2.0, 1.0])
        >>> nulls = PairCounts(thresholds, np.array([0, 0, 4]), 99, treatment)
        >>> control = ErrorControl(nulls=nulls, candidates=PairCounts(thresholds, np.array([1, 4, 5]), 20, treatment))
        >>> control.q_values().tolist(), control.threshold(0.1), control.threshold(0.01)
        ([0.05, 0.05, 0.2], 2.0, None)
    """

    nulls: PairCounts
    candidates: PairCounts

    def __post_init__(self) -> None:
        _refuse_mixture(self.nulls, self.candidates, "calibration nulls", "candidates")

    def q_values(self, logits: Floats | None = None) -> Floats:
        """The smallest alpha at which a list reaches down to each logit, in (0, 1].

        Args:
            logits: any shape; None takes the thresholds themselves. Below all thresholds it is 1.
        """
        reached = self.candidates.at_least.astype(np.float64)
        false = (1.0 + self.nulls.at_least) * self.candidates.num_pairs
        ratio = np.divide(
            false, (self.nulls.num_pairs + 1.0) * reached, out=np.full(len(reached), np.inf), where=reached > 0
        )
        at_thresholds = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
        if logits is None:
            return at_thresholds
        place = np.searchsorted(-self.candidates.thresholds, -np.asarray(logits), side="left")
        return np.append(at_thresholds, 1.0)[place]

    def threshold(self, alpha: float) -> float | None:
        """The lowest threshold whose ratio is at most alpha; None where no list has one.

        Raises:
            OptionError: alpha is not between 0 and 1.
        """
        refuse_alpha(alpha)
        passing = np.flatnonzero(self.q_values() <= alpha)
        return float(self.candidates.thresholds[passing[-1]]) if len(passing) else None

    def false_share(self) -> float:
        """About how much of the candidates is false, by Storey's estimate (JRSS B 64, 2002): 2 P(p-value > 1/2), at most 1.

        Candidates left unobserved at random are mostly false, as pairs are; ones that were picked by what the model sees
        hardly look it.
        """
        half = (self.nulls.num_pairs + 1) / 2 - 1  # a candidate with more nulls at or above it has a p-value above 1/2
        place = int(np.searchsorted(self.nulls.at_least, half, side="right"))
        reached = int(self.candidates.at_least[place - 1]) if place else 0
        return min(1.0, 2 * (self.candidates.num_pairs - reached) / self.candidates.num_pairs)

    def require_nulls(self, alpha: float, smallest_list: int) -> None:
        """Refuse an alpha at which no list of `smallest_list` pairs could be selected, whatever the logits.

        With no null above it a list of k pairs has the ratio n / ((m + 1) k), so m + 1 >= n / (alpha k) is needed.

        Raises:
            InsufficientCalibration: with the number of nulls that it takes.
            OptionError: alpha is not between 0 and 1.
        """
        refuse_alpha(alpha)
        smallest_list = max(1, min(smallest_list, self.candidates.num_pairs))
        m, n = self.nulls.num_pairs, self.candidates.num_pairs
        needed = n / (alpha * smallest_list)
        if (m + 1) * (1 + 1e-12) < needed:
            raise InsufficientCalibration(
                f"D26: {m:,} calibration nulls for {n:,} candidates are too few: at alpha {alpha:g} no list of "
                f"{smallest_list:,} pairs or fewer could be selected, however good its logits; that takes "
                f"{ceil(needed - 1e-9) - 1:,} nulls. Give fewer candidates, more nulls, or a larger alpha."
            )


def _refuse_mixture(first: PairCounts, second: PairCounts, what: str, other: str) -> None:
    a, b = first.treatment, second.treatment
    if a.message_graph_hash != b.message_graph_hash:
        raise NotExchangeable(
            f"{what} were scored on message graph {a.message_graph_hash[:12]}, {other} on {b.message_graph_hash[:12]}: "
            "their logits say different things. Score both with one model on one message graph."
        )
    if a.in_training != b.in_training:
        raise NotExchangeable(
            f"in training {what} were {_met(a)}, {other} were {_met(b)}: a model knows what it was trained on. "
            "Treat both alike."
        )
    if not np.array_equal(first.thresholds, second.thresholds):
        raise ValueError(f"{what} and {other} were counted at different thresholds")


def _met(treatment: Treatment) -> str:
    return "zeros" if treatment.in_training == "zeros" else "left out"


def refuse_alpha(alpha: float) -> None:
    """Refuse an error rate that is none.

    Raises:
        OptionError: alpha is not between 0 and 1.
    """
    if not (isfinite(alpha) and 0 < alpha < 1):
        raise OptionError(f"--fdr takes a share between 0 and 1, such as 0.1, not {alpha}.")


def false_discovery_bound(
    nulls_at_least: int, num_nulls: int, *, num_candidates: int, num_selected: int, delta: float = DELTA
) -> float:
    """Upper limit of the share of false pairs at a threshold that does not depend on which nulls are in calibration.

    With C of m nulls at or above it, the false ones among n candidates are at most the 1 - delta quantile V of the
    beta-binomial (n; C + 1, m - C), with probability 1 - delta; so at most V / R of R selected are false. The false
    candidates are taken to be all n, which is on the safe side. Where V exceeds a million its quantile is bounded by a
    beta quantile and a binomial one at half of delta each. Not for a threshold found by scanning, such as t*.

    Example:
        >>> false_discovery_bound(0, 999, num_candidates=1000, num_selected=20)  # 90 %: fewer than 4 of 1,000
        0.15
        >>> false_discovery_bound(5, 5, num_candidates=10, num_selected=5)
        1.0
    """
    c, m, n = nulls_at_least, num_nulls, num_candidates
    if not 0 <= c <= m or num_selected < 1:
        raise ValueError(f"{c} of {m} nulls, {num_selected} selected")
    if c == m:
        return 1.0
    # The quantile is no larger than this: P <= its own upper limit but for delta / 2, and V given P but for delta / 2.
    limit = float(binom.ppf(1 - delta / 2, n, beta.ppf(1 - delta / 2, c + 1, m - c)))
    if limit <= _EXACT_BOUND:
        v = np.arange(int(limit) + 1, dtype=np.float64)
        log_choose = gammaln(n + 1.0) - gammaln(v + 1.0) - gammaln(n - v + 1.0)
        log_mass = log_choose + betaln(v + c + 1.0, n - v + m - c) - betaln(c + 1.0, float(m - c))
        limit = min(limit, float(np.searchsorted(np.cumsum(np.exp(log_mass)), 1 - delta)))
    return min(1.0, limit / num_selected)


@dataclass(frozen=True, eq=False)
class Audit:
    """Held-out edges and half of the non-edges as candidates, the other half as calibration nulls.

    Null means "not in the record". The halves are a fair coin for each non-edge, drawn from the counts alone: given how
    many non-edges lie between two thresholds, the number of them in one half is binomial. So a saved run is audited
    without scoring a pair again.

    Args:
        control: nulls and candidates, at every anchor of the scores.
        edges_at_least: shape (thresholds,), int64: held-out edges among the candidates that reach each threshold.
        num_edges: held-out edges.
    Example:
        >>> rng = np.random.default_rng(0)
        >>> test = HeldOut.from_logits(rng.normal(4, 1, 200), rng.normal(0, 1, 20_000), 20_000)
        >>> entry = Audit.of(test, rng).entry(0.1)
        >>> entry["num_selected"], entry["num_true"], round(entry["false_discovery_proportion"], 3)
        (173, 166, 0.04)
    """

    control: ErrorControl
    edges_at_least: NDArray[np.int64]
    num_edges: int

    @staticmethod
    def of(test: HeldOut, rng: np.random.Generator, *, in_training: InTraining = "zeros") -> "Audit":
        """Deal the non-edges into halves.

        Args:
            test: all non-edges enumerated, at their own number.
            rng: of the coins; `audit_rng` gives the one that evaluation.json is made with.
            in_training: how all non-edges were met; in a run of linkodds as zeros.
        Raises:
            ValueError: sampled or reweighted non-edges, whose list cannot be counted.
        """
        scores = test.non_edges
        if _not_countable(test) is not None:
            raise ValueError("an audit counts pairs: enumerate the non-edges, at their own number")
        treatment = Treatment(test.message_graph_hash, in_training)
        everything = PairCounts.of_scores(scores, treatment)
        steps = np.diff(everything.at_least, prepend=0, append=everything.num_pairs)
        reached = np.cumsum(rng.binomial(steps, 0.5))
        edges = PairCounts.of(test.edge_logits, everything.thresholds, treatment)
        nulls = PairCounts(everything.thresholds, reached[:-1], int(reached[-1]), treatment)
        others = everything.at_least - nulls.at_least + edges.at_least
        candidates = replace(nulls, at_least=others, num_pairs=test.num_edges + everything.num_pairs - int(reached[-1]))
        return Audit(ErrorControl(nulls=nulls, candidates=candidates), edges.at_least, test.num_edges)

    def entry(self, alpha: float) -> dict[str, Any]:
        """What is selected at alpha, as evaluation.json has it; where alpha is out of reach, nothing and why."""
        try:
            self.control.require_nulls(alpha, self.num_edges)
        except InsufficientCalibration as error:
            return {**self._selected(None), "alpha": alpha, "reason": str(error)}
        return {"alpha": alpha, **self._selected(self.control.threshold(alpha))}

    def at_fixed(self, threshold: float, *, delta: float = DELTA) -> dict[str, Any]:
        """What a threshold that was fixed beforehand selects, and the bound on its share of false pairs.

        Args:
            threshold: an anchor of the scores, such as a stored decision's.
            delta: the bound is broken with at most this probability.
        """
        selected = self._selected(threshold)
        place, count = self._place(threshold), selected["num_selected"]
        nulls, candidates = self.control.nulls, self.control.candidates
        bound = 0.0
        if count:
            bound = false_discovery_bound(
                int(nulls.at_least[place]),
                nulls.num_pairs,
                num_candidates=candidates.num_pairs,
                num_selected=count,
                delta=delta,
            )
        return {**selected, "bound": bound, "confidence": 1 - delta}

    def _place(self, threshold: float) -> int:
        place = int(np.searchsorted(-self.control.candidates.thresholds, -threshold))
        if place == len(self.edges_at_least) or self.control.candidates.thresholds[place] != threshold:
            raise ValueError(f"threshold {threshold!r} was not counted")
        return place

    def _selected(self, threshold: float | None) -> dict[str, Any]:
        place = None if threshold is None else self._place(threshold)
        num_selected = 0 if place is None else int(self.control.candidates.at_least[place])
        num_true = 0 if place is None else int(self.edges_at_least[place])
        return {
            "num_selected": num_selected,
            "num_true": num_true,
            "false_discovery_proportion": (num_selected - num_true) / max(num_selected, 1),
            "threshold_logit": threshold,
            "num_candidates": self.control.candidates.num_pairs,
            "num_nulls": self.control.nulls.num_pairs,
        }


def audit_rng(seed: int) -> np.random.Generator:
    """The coins of a run's audit, from its --seed: a stream of their own."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_AUDIT_STREAM,)))


def audit_entries(test: HeldOut, rng: np.random.Generator, alphas: Sequence[float] = AUDITED) -> list[dict[str, Any]]:
    """The audit of evaluation.json, one entry an alpha, all on the same halves; without numbers where it has none."""
    reason = _not_countable(test)
    if reason is not None:
        blank = {"num_selected": None, "num_true": None, "false_discovery_proportion": None, "reason": reason}
        return [{"alpha": alpha, **blank} for alpha in alphas]
    audit = Audit.of(test, rng)
    return [audit.entry(alpha) for alpha in alphas]


def _not_countable(test: HeldOut) -> str | None:
    if test.design == "enumerated" and test.non_edges.weight == 1.0:
        return None
    return "non-edges were sampled, so a list cannot be counted; `linkodds evaluate RUN --fdr A` scores all of them."
