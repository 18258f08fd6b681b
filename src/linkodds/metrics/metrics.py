"""Metrics on HeldOut: every one is weighted to all candidates, so it holds at the prevalence that HeldOut states.

Ties are decided once: counts at a threshold include everything tied with it; the area under the ROC curve
gives half for a tie; precision in a list of k gives the expectation over random orders of ties.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit, log_expit

from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logistic import fit_line
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edges import NUM_CLASSES

LogitMap = Callable[[Floats], Floats]
"""From raw logits to calibrated ones (log odds at the prevalence of the HeldOut it is applied to)."""

NUM_PROBABILITY_BINS = 16  # half decades from 1e-8 to 1; whatever is below is counted in the first


@dataclass(frozen=True)
class Confusion:
    """Counts of candidates by record and decision; non-edges are weighted, so fp and tn may be fractions.

    Args:
        tn: non-edges below the threshold.
        fp: non-edges at or above it.
        fn: edges below it.
        tp: edges at or above it.
    Example:
        >>> table = Confusion(tn=90, fp=5, fn=1, tp=4)
        >>> round(table.precision, 3), table.recall, round(table.f1, 3), round(table.mcc, 3)
        (0.444, 0.8, 0.571, 0.569)
    """

    tn: float
    fp: float
    fn: float
    tp: float

    @property
    def precision(self) -> float | None:
        """tp / (tp + fp); None where nothing is called an edge."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float:
        """tp / (tp + fn)."""
        return self.tp / (self.tp + self.fn)

    @property
    def false_positive_rate(self) -> float:
        """fp / (fp + tn)."""
        return self.fp / (self.fp + self.tn)

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn)."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn)

    @property
    def balanced_accuracy(self) -> float:
        """(recall + 1 - false positive rate) / 2; the same at every prevalence."""
        return (self.recall + self.tn / (self.tn + self.fp)) / 2

    @property
    def mcc(self) -> float | None:
        """Matthews correlation; None where everything, or nothing, is called an edge."""
        tn, fp, fn, tp = self.tn, self.fp, self.fn, self.tp
        scale = sqrt(tp + fp) * sqrt(tn + fn) * sqrt(tp + fn) * sqrt(tn + fp)
        return (tp * tn - fp * fn) / scale if scale else None


def confusion_at(held_out: HeldOut, threshold: float) -> Confusion:
    """Counts at `logit >= threshold`; the threshold must be settled by the anchors (give it when scoring).

    Raises:
        ValueError: the non-edges at the threshold were not counted.
    Example:
        >>> confusion_at(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2), 0.5)
        Confusion(tn=1.0, fp=1.0, fn=0.0, tp=2.0)
    """
    tp = float(np.count_nonzero(held_out.edge_logits >= threshold))
    fp = held_out.non_edges.num_at_least(threshold)
    return Confusion(held_out.num_non_edges - fp, fp, held_out.num_edges - tp, tp)


def roc_auc(held_out: HeldOut) -> float:
    """Share of (edge, non-edge) pairs in the right order, ties half; the same at every prevalence.

    Example:
        >>> roc_auc(HeldOut.from_logits([2.0, 0.5], [1.0, 0.5], 2))
        0.625
    """
    ladder = held_out.ladder
    beaten = 1.0 - (ladder.non_edges_at_least + ladder.non_edges_above) / (2 * held_out.num_non_edges)
    return float(beaten @ ladder.edges) / held_out.num_edges


def average_precision(held_out: HeldOut) -> float:
    """Mean over the edges of the precision at their logit, as scikit-learn's average_precision_score.

    Example:
        >>> average_precision(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2))  # (1 / 1 + 2 / 3) / 2
        0.8333333333333333
    """
    ladder = held_out.ladder
    precision = ladder.edges_at_least / (ladder.edges_at_least + ladder.non_edges_at_least)
    return float(ladder.edges @ precision) / held_out.num_edges


def precisions_of_edges(held_out: HeldOut) -> Floats:
    """Precision of the list that ends with each edge, shape (edges,); their mean is the average precision.

    Example:
        >>> precisions_of_edges(HeldOut.from_logits([0.5, 2.0], [1.0, 0.0], 2)).round(3).tolist()
        [0.667, 1.0]
    """
    ladder = held_out.ladder
    rung = np.searchsorted(-ladder.logits, -held_out.edge_logits)
    true, false = ladder.edges_at_least[rung], ladder.non_edges_at_least[rung]
    return np.asarray(true / (true + false))


def precision_at_each_edge(
    edges: NDArray[np.floating[Any]],
    non_edges: NDArray[np.floating[Any]],
    weights: Floats | None = None,
    *,
    judged: NDArray[np.intp] | None = None,
) -> Floats:
    """As `precisions_of_edges`, from logits and without a HeldOut; non-edges are counted in one pass, not sorted.

    Args:
        edges: shape (edges,), logits.
        non_edges: shape (non-edges,), logits.
        weights: shape (non-edges,), how many non-edges each stands for; None: one each.
        judged: shape (judged,), places of the edges that are asked for; None: all.
    Returns:
        Shape (judged,): edges at or above the logit of each / all pairs at or above it.
    Example:
        >>> precision_at_each_edge(np.array([3.0, 1.0]), np.array([2.0, 0.0])).round(3).tolist()
        [1.0, 0.667]
    """
    order = np.sort(edges)
    below = np.bincount(np.searchsorted(order, non_edges, side="right"), weights, minlength=len(order) + 1)
    false = np.cumsum(below[::-1])[::-1][1:]  # non-edges at or above each edge of the order
    at = np.searchsorted(order, edges if judged is None else edges[judged], side="left")
    true = len(order) - at
    return np.asarray(true / (true + false[at]))


def precision_at(held_out: HeldOut, k: float) -> float:
    """Expected share of edges among the k candidates with the highest logits, ties in random order.

    Raises:
        ValueError: k is not above 0, or there are fewer than k candidates.
    Example:
        >>> precision_at(HeldOut.from_logits([2.0, 0.5], [1.0, 0.5], 2), 3)  # the third is an edge or not
        0.5
    """
    if not 0 < k <= held_out.num_pairs:
        raise ValueError(f"a list of {k:,} out of {held_out.num_pairs:,.0f} candidates")
    return float(np.interp(k, *_list_gains(held_out))) / k


def _list_gains(held_out: HeldOut) -> tuple[Floats, Floats]:
    """Corners of the line (length of the list, expected edges in it), shape (2 rungs + 1,) each, from (0, 0)."""
    ladder = held_out.ladder
    found_before = ladder.edges_at_least - ladder.edges
    lengths = np.column_stack(
        [found_before + ladder.non_edges_above, ladder.edges_at_least + ladder.non_edges_at_least]
    )
    found = np.column_stack([found_before, ladder.edges_at_least])
    return np.concatenate([[0.0], lengths.ravel()]), np.concatenate([[0.0], found.ravel()])


def r_precision(held_out: HeldOut) -> float:
    """Precision of a list as long as there are edges; equal to its recall.

    Example:
        >>> r_precision(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2))
        0.5
    """
    return precision_at(held_out, held_out.num_edges)


def hits_at(held_out: HeldOut, k: int) -> float:
    """Share of the edges above the k-th best non-edge (Open Graph Benchmark), over all non-edges.

    Example:
        >>> hits_at(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2), 1)
        0.5
    """
    ladder = held_out.ladder
    return float(ladder.edges[ladder.non_edges_at_least < k].sum()) / held_out.num_edges


def best_f1_confusion(held_out: HeldOut) -> Confusion:
    """Counts at the threshold with the highest F1 on these very edges: a ceiling, not what a decision will reach."""
    ladder = held_out.ladder
    f1 = 2 * ladder.edges_at_least / (held_out.num_edges + ladder.edges_at_least + ladder.non_edges_at_least)
    return _rung(held_out, int(np.argmax(f1)))


def _rung(held_out: HeldOut, rung: int) -> Confusion:
    tp, fp = (float(count[rung]) for count in (held_out.ladder.edges_at_least, held_out.ladder.non_edges_at_least))
    return Confusion(held_out.num_non_edges - fp, fp, held_out.num_edges - tp, tp)


def best_f1(held_out: HeldOut) -> float:
    """The highest F1 that any threshold reaches.

    Example:
        >>> best_f1(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2))
        0.8
    """
    return best_f1_confusion(held_out).f1


def best_balanced_accuracy(held_out: HeldOut) -> float:
    """The highest balanced accuracy that any threshold reaches.

    Example:
        >>> best_balanced_accuracy(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2))
        0.75
    """
    ladder = held_out.ladder
    margin = ladder.edges_at_least / held_out.num_edges - ladder.non_edges_at_least / held_out.num_non_edges
    return float((1.0 + margin.max()) / 2)


def log_loss(held_out: HeldOut, calibrated: LogitMap) -> float:
    """Mean negative log likelihood of all candidates, nats, from logits and never from rounded probabilities."""
    edges = -log_expit(calibrated(held_out.edge_logits)).sum()
    non_edges = held_out.non_edges.bins.expect(lambda z: -log_expit(-calibrated(z))).sum()
    return float(edges + non_edges) / held_out.num_pairs


def log_loss_of_constant(held_out: HeldOut) -> float:
    """Log loss of the forecast "prevalence" for every candidate, nats: the entropy of the prevalence."""
    return float(entr(held_out.prevalence) + entr(1.0 - held_out.prevalence))


def brier(held_out: HeldOut, calibrated: LogitMap) -> float:
    """Mean squared error of the probabilities over all candidates."""
    edges = np.square(expit(-calibrated(held_out.edge_logits))).sum()
    non_edges = held_out.non_edges.bins.expect(lambda z: np.square(expit(calibrated(z)))).sum()
    return float(edges + non_edges) / held_out.num_pairs


@dataclass(frozen=True, eq=False)
class DegreeBins:
    """Candidates, recorded edges and expected edges (sum of probabilities) by degree class, shape (5,) each."""

    num_pairs: Floats
    observed: Floats
    expected: Floats


def degree_bins(held_out: HeldOut, calibrated: LogitMap) -> DegreeBins:
    """Observed and expected edges by degree class; everything is in the first class where no classes were given."""
    observed = _by_class(held_out, np.ones(held_out.num_edges))
    expected = _by_class(held_out, expit(calibrated(held_out.edge_logits)))
    expected += held_out.non_edges.bins.expect(lambda z: expit(calibrated(z)))
    return DegreeBins(held_out.non_edges.bins.num_by_class() + observed, observed, expected)


def degree_relative_ece(bins: DegreeBins) -> float:
    """Sum over the fifths by degree product of |expected - observed| edges, as a share of the observed ones."""
    return float(np.abs(bins.expected - bins.observed).sum() / bins.observed.sum())


@dataclass(frozen=True, eq=False)
class Reliability:
    """Candidates by half decade of probability, empty bins left out; every field has shape (bins,).

    Args:
        mean_probability: expected edges / pairs.
        num_pairs: candidates in the bin, weighted.
        num_edges: recorded edges among them.
    """

    mean_probability: Floats
    num_pairs: Floats
    num_edges: Floats


def reliability(held_out: HeldOut, calibrated: LogitMap) -> Reliability:
    """Bin all candidates by half decades of their probability, from 1e-8 (and below) to 1.

    Non-edges go by the points of their `LogitBins`: where a narrow bin straddles a border, half of it may be dealt to
    the wrong side, which moves the relative ECE by about 1e-4 of itself.
    """
    z, weight = held_out.non_edges.bins.points()
    edges = calibrated(held_out.edge_logits)
    logits = np.concatenate([edges, calibrated(z)])
    weights = np.concatenate([np.ones(len(edges)), weight])
    places = np.floor(2 * log_expit(logits) / np.log(10)) + NUM_PROBABILITY_BINS
    places = np.clip(places, 0, NUM_PROBABILITY_BINS - 1).astype(np.intp)
    num_pairs, expected = (
        np.bincount(places, weights=values, minlength=NUM_PROBABILITY_BINS).astype(np.float64)
        for values in (weights, weights * expit(logits))
    )
    num_edges = np.bincount(places[: len(edges)], minlength=NUM_PROBABILITY_BINS).astype(np.float64)
    filled = num_pairs > 0
    return Reliability(expected[filled] / num_pairs[filled], num_pairs[filled], num_edges[filled])


def relative_ece(bins: Reliability) -> float:
    """Sum over half decades of |expected - observed| edges, as a share of the observed ones.

    Bins with fewer than 10 edges, observed and expected together, are merged with the next higher ones, the last with
    the bin before it.
    """
    merged: list[list[float]] = []
    growing = False
    for expected, observed in zip(bins.mean_probability * bins.num_pairs, bins.num_edges, strict=True):
        if growing:
            merged[-1] = [merged[-1][0] + expected, merged[-1][1] + observed]
        else:
            merged.append([expected, observed])
        growing = sum(merged[-1]) < 10
    if growing and len(merged) > 1:
        last = merged.pop()
        merged[-1] = [merged[-1][0] + last[0], merged[-1][1] + last[1]]
    return sum(abs(expected - observed) for expected, observed in merged) / float(bins.num_edges.sum())


@dataclass(frozen=True, eq=False)
class CalibrationLine:
    """Recalibration on the data themselves, logit p = slope * calibrated logit + intercept; 1 and 0 are ideal.

    Args:
        slope: below 1 overconfident, above 1 underconfident.
        intercept: of the joint fit, so it moves with the slope.
        covariance: shape (2, 2), of (slope, intercept): edges resampled; non-edges too where they were sampled.
    """

    slope: float
    intercept: float
    covariance: Floats


def calibration_line(held_out: HeldOut, calibrated: LogitMap) -> CalibrationLine | None:
    """Logistic regression of the record on the calibrated logit over all candidates (Cox, Biometrika 45, 1958).

    Returns:
        None where no finite line is best (constant logits, all edges on one side of all non-edges) or none can be told.
    """
    strata = [part.bins.points() for part in held_out.non_edges.parts]
    points, weights = (np.concatenate(each) for each in zip(*strata, strict=True))
    edges = calibrated(held_out.edge_logits)
    line = fit_line(edges, calibrated(points), edge_weights=np.ones(held_out.num_edges), non_edge_weights=weights)
    if line is None:
        return None
    # One edge, or edges that all look alike, have no spread of their own: then take the model's.
    variance = held_out.num_edges * np.cov(line.edge_scores.T) if np.ptp(edges) > 0 else line.information
    ends = np.cumsum([len(z) for z, _ in strata])[:-1]
    for part, (_, of_part), rows in zip(
        held_out.non_edges.parts, strata, np.split(line.non_edge_scores, ends), strict=True
    ):
        variance = variance + part.variance_of_sum(rows, of_part)
    return CalibrationLine(line.slope, line.intercept, line.covariance(variance))


def _by_class(held_out: HeldOut, values: Floats) -> Floats:
    return np.bincount(held_out.edge_classes, weights=values, minlength=NUM_CLASSES).astype(np.float64)
