"""Operating points: what every threshold does to the held-out edges, for a control that a reader moves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linkodds.calibration import Calibrator
from linkodds.decision import Decision
from linkodds.held_out import HeldOut
from linkodds.logit_bins import Floats
from linkodds.metrics import Confusion, confusion_at

FORMAT = "linkodds.operating-points/1"
MAX_POINTS = 380
"""Rungs of the ladder that are kept; thresholds of decisions come on top."""
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
        """Counts, and what follows from them, as columns of plain numbers."""
        return {
            "prevalence": self.prevalence,
            "num_pairs": float(self.tp[0] + self.fp[0] + self.fn[0] + self.tn[0]),
            "num_edges": float(self.tp[0] + self.fn[0]),
            **{name: getattr(self, name).tolist() for name in ("probability", "tp", "fp", "fn", "tn", "list_length")},
            **{name: self.measure(name) for name in _SHOWN},
        }

    def _tables(self) -> list[Confusion]:
        counts = zip(self.tn.tolist(), self.fp.tolist(), self.fn.tolist(), self.tp.tolist(), strict=True)
        return [Confusion(*each) for each in counts]


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
        [('rehearsal', [0.0, 1.0, 1.0]), ('graph', [0.0, 3.0, 3.0])])
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
