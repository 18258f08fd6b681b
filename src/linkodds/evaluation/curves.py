"""Curves and operating points: what every threshold does to the held-out edges, for figures and for a threshold control."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import confusion_interval, poisson_interval
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.metrics import Confusion, DegreeBins, confusion_at
from linkodds.probability.calibration import Calibrator
from linkodds.probability.decision import Decision

MAX_CURVE_POINTS = 400


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Calibration by half decades of probability, empty bins left out; shape (bins,) each.

    Args:
        predicted: mean probability.
        observed: recorded edges / candidates.
        low: lower end of the exact 95 % Poisson interval of the observed rate.
        high: upper end.
        num_edges: recorded edges in the bin.
        num_candidates: candidates in the bin.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    num_edges: Floats
    num_candidates: Floats


@dataclass(frozen=True, eq=False)
class Curves:
    """What figures draw. The first five fields belong together, point by point, from the highest threshold down.

    Args:
        threshold_logit: shape (points,), decreasing: logits of held-out edges.
        threshold_probability: shape (points,), the same ones calibrated.
        recall: shape (points,), increasing.
        precision: shape (points,), at the prevalence of the candidates.
        false_positive_rate: shape (points,).
        list_length: shape (points,): candidates at or above the threshold.
        edges_found: shape (points,): held-out edges among them.
        reliability: observed against predicted rates.
        degree_ranges: shape (5, 2), range of the degree product of each fifth, or None.
        degree_bins: candidates, observed and expected edges of each fifth.
    """

    threshold_logit: Floats
    threshold_probability: Floats
    recall: Floats
    precision: Floats
    false_positive_rate: Floats
    list_length: Floats
    edges_found: Floats
    reliability: ReliabilityCurve
    degree_ranges: NDArray[np.int64] | None
    degree_bins: DegreeBins


def curves(held_out: HeldOut, calibrator: Calibrator) -> Curves:
    """Curves of held-out edges against all non-edges; of many thresholds the top ones and an even choice are kept.

    Args:
        held_out: the test edges.
        calibrator: at the prevalence of `held_out`.
    Example:
        >>> drawn = curves(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2), Calibrator(1.0, 0.0, "platt", 0.5, 2, 2))
        >>> drawn.recall.tolist(), drawn.precision.round(2).tolist(), drawn.list_length.tolist()
        ([0.5, 1.0], [1.0, 0.67], [1.0, 3.0])
    """
    ladder = held_out.ladder
    kept = ladder.choice(MAX_CURVE_POINTS)
    found, false = ladder.edges_at_least[kept], ladder.non_edges_at_least[kept]
    bins = metrics.reliability(held_out, calibrator.calibrated_logit)
    low, high = poisson_interval(bins.num_edges)
    return Curves(
        threshold_logit=ladder.logits[kept],
        threshold_probability=calibrator.probability(ladder.logits[kept]),
        recall=found / held_out.num_edges,
        precision=found / (found + false),
        false_positive_rate=false / held_out.num_non_edges,
        list_length=found + false,
        edges_found=found,
        reliability=ReliabilityCurve(
            predicted=bins.mean_probability,
            observed=bins.num_edges / bins.num_pairs,
            low=np.minimum(low / bins.num_pairs, 1.0),
            high=np.minimum(high / bins.num_pairs, 1.0),
            num_edges=bins.num_edges,
            num_candidates=bins.num_pairs,
        ),
        degree_ranges=held_out.degree_ranges,
        degree_bins=metrics.degree_bins(held_out, calibrator.calibrated_logit),
    )


FORMAT = "linkodds.operating-points/1"
MAX_POINTS = 380
"""Rungs of the ladder that are kept; thresholds of decisions come on top."""
_COUNTS = ("probability", "tp", "fp", "fn", "tn", "list_length")
_SHOWN = ("precision", "recall", "f1", "mcc", "balanced_accuracy")


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """Counts of the held-out candidates at many thresholds, highest first; a pair at or above one is called an edge.

    Args:
        threshold_logit: shape (points,), strictly decreasing: logits of held-out edges, and thresholds of decisions.
        probability: shape (points,), the same calibrated at `prevalence`.
        tp: shape (points,): held-out edges at or above the threshold.
        fp: shape (points,): non-edges at or above it, weighted to all of them.
        fn: shape (points,): held-out edges below it.
        tn: shape (points,): non-edges below it, weighted.
        prevalence: edges among the candidates.
        design: how the non-edges were chosen; only "enumerated" ones are counted and not estimated.
    """

    threshold_logit: Floats
    probability: Floats
    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats
    prevalence: float
    design: str

    @staticmethod
    def of(held_out: HeldOut, calibrator: Calibrator, thresholds: Sequence[float] = ()) -> "OperatingPoints":
        """Points of held-out edges against all non-edges, at the prevalence of the edges among them.

        Args:
            held_out: the test edges.
            calibrator: any prevalence; its probabilities are moved to that of `held_out`.
            thresholds: further logits to have a point at; scored with `held_out`, as those of decisions are.
        Raises:
            ValueError: the non-edges at one of `thresholds` were not counted.
        Example:
            >>> held_out = HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2)
            >>> points = OperatingPoints.of(held_out, Calibrator(1.0, 0.0, "platt", 0.5, 2, 2))
            >>> points.threshold_logit.tolist(), points.tp.tolist(), points.fp.tolist(), points.list_length.tolist()
            ([2.0, 0.5], [1.0, 2.0], [0.0, 1.0], [1.0, 3.0])
            >>> [round(each, 2) for each in points.measure("precision")], points.cost(20.0).tolist()
            ([1.0, 0.67], [1.0, 20.0])
        """
        ladder = held_out.ladder
        kept = ladder.choice(MAX_POINTS)
        added = np.unique(np.setdiff1d(np.asarray(thresholds, dtype=np.float64), ladder.logits[kept]))
        counted = [confusion_at(held_out, threshold) for threshold in added.tolist()]
        logits = np.concatenate([ladder.logits[kept], added])
        tp = np.concatenate([ladder.edges_at_least[kept], [each.tp for each in counted]])
        fp = np.concatenate([ladder.non_edges_at_least[kept], [each.fp for each in counted]])
        order = np.argsort(-logits, kind="stable")
        logits, tp, fp = logits[order], tp[order], fp[order]
        return OperatingPoints(
            threshold_logit=logits,
            probability=calibrator.at_prevalence(held_out.prevalence).probability(logits),
            tp=tp,
            fp=fp,
            fn=held_out.num_edges - tp,
            tn=held_out.num_non_edges - fp,
            prevalence=held_out.prevalence,
            design=held_out.design,
        )

    @property
    def list_length(self) -> Floats:
        """Candidates at or above each threshold, shape (points,)."""
        return self.tp + self.fp

    def cost(self, ratio: float) -> Floats:
        """What the errors cost, in missed edges, if a false positive costs `ratio` times a missed edge; shape (points,)."""
        return ratio * self.fp + self.fn

    def measure(self, name: str) -> list[float | None]:
        """A property of `Confusion` at each point; None where it is not defined."""
        return [getattr(table, name) for table in self._tables()]

    def place_of(self, threshold: float) -> int:
        """Index of the point that decides as `threshold` does: the lowest one at or above it, else the first."""
        return max(int(np.searchsorted(-self.threshold_logit, -threshold, side="right")) - 1, 0)

    def to_json(self) -> dict[str, Any]:
        """Counts, and what follows from them, as columns of plain numbers with ten digits."""
        return {
            "prevalence": self.prevalence,
            "num_pairs": float(self.tp[0] + self.fp[0] + self.fn[0] + self.tn[0]),
            "num_edges": float(self.tp[0] + self.fn[0]),
            **{name: _short(getattr(self, name).tolist()) for name in _COUNTS},
            **{name: _short(self.measure(name)) for name in _SHOWN},
        }

    def _tables(self) -> list[Confusion]:
        counts = zip(self.tn.tolist(), self.fp.tolist(), self.fn.tolist(), self.tp.tolist(), strict=True)
        return [Confusion(*each) for each in counts]


def _short(values: Sequence[float | None]) -> list[float | None]:
    """Ten digits each, whole numbers as such: a page of four hundred points would else be twice as long."""
    short = [None if value is None else float(f"{value:.10g}") for value in values]
    return [int(value) if value is not None and value.is_integer() else value for value in short]


def threshold_json(
    test: HeldOut,
    calibrator: Calibrator,
    decisions: Sequence[Decision],
    *,
    graph_prevalence: float,
    applied: str | None = None,
) -> dict[str, Any]:
    """All that the threshold control of a page shows: points in the rehearsal, and restated at the graph's ratio.

    Args:
        test: the test edges, scored with the thresholds of `decisions`.
        calibrator: of the run.
        decisions: the rules to jump to; those without a threshold are left out.
        graph_prevalence: recorded edges / pairs of the graph.
        applied: the rule that predict applies.
    Returns:
        `threshold_logit` and, for each of `rates`, columns of equal length: at every index one threshold, highest first.
    Example:
        >>> held_out = HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2, thresholds=(0.25,))
        >>> rule = Decision("f1", 0.25, 0.56, 2)
        >>> shown = threshold_json(held_out, Calibrator(1.0, 0.0, "platt", 0.5, 2, 2), [rule], graph_prevalence=0.25)
        >>> shown["rules"], shown["threshold_logit"], [(each["name"], each["fp"]) for each in shown["rates"]]
        ([{'rule': 'f1', 'index': 2, 'applied': False}], [2.0, 0.5, 0.25],
        [('rehearsal', [0, 1, 1]), ('graph', [0, 3, 3])])
    """
    thresholds = {each.rule: each.threshold_logit for each in decisions if each.threshold_logit is not None}
    points = OperatingPoints.of(test, calibrator, list(thresholds.values()))
    restated = OperatingPoints.of(test.at_prevalence(graph_prevalence), calibrator, list(thresholds.values()))
    rates: Mapping[str, OperatingPoints] = {"rehearsal": points, "graph": restated}
    return {
        "format": FORMAT,
        "design": points.design,
        "rules": [
            {"rule": rule, "index": points.place_of(threshold), "applied": rule == applied}
            for rule, threshold in thresholds.items()
        ],
        "threshold_logit": points.threshold_logit.tolist(),
        "rates": [{"name": name, **each.to_json()} for name, each in rates.items()],
    }


@dataclass(frozen=True, eq=False)
class PrecisionBand:
    """95 % intervals of the precision, each at a threshold of its own, as if that one had been fixed before.

    Args:
        recall: shape (points,), increasing.
        low: shape (points,).
        high: shape (points,).
    """

    recall: Floats
    low: Floats
    high: Floats


def precision_band(held_out: HeldOut, num_points: int = 24) -> PrecisionBand:
    """Intervals of the precision at thresholds that are spread evenly over the recall, and a few at the top of the list.

    They are those of decisions (`confusion_interval`), one by one: the curve as a whole may leave them more often.

    Args:
        held_out: the test edges.
        num_points: at most so many, without those at the top.
    Example:
        >>> band = precision_band(HeldOut.from_logits([2.0, 0.5], [1.0, 0.0], 2))
        >>> band.recall.tolist(), bool((band.low <= [1.0, 2 / 3]).all())
        ([0.5, 1.0], True)
    """
    ladder = held_out.ladder
    even = np.linspace(1.0 / num_points, 1.0, num_points) * held_out.num_edges
    wanted = np.concatenate([even, np.geomspace(1.0, even[0], 5)]) if even[0] > 1 else even
    rungs = np.unique(np.searchsorted(ladder.edges_at_least, wanted * (1 - 1e-12)))
    ends = [
        confusion_interval(held_out, float(ladder.logits[rung]), lambda table: table.precision)
        for rung in rungs.tolist()
    ]
    low, high = np.clip(np.array(ends), 0.0, 1.0).T
    return PrecisionBand(ladder.edges_at_least[rungs] / held_out.num_edges, low, high)
