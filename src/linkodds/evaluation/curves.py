"""Curves: the arrays behind the figures, a few hundred points each, from the saved counts alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkodds.metrics import metrics
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import poisson_interval
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.metrics import DegreeBins
from linkodds.probability.calibration import Calibrator

MAX_POINTS = 400


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
    kept = ladder.choice(MAX_POINTS)
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
