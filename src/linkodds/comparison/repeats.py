"""Repeats: one figure over several random splits of one graph, with the interval that their overlap asks for.

Splits of one graph share most of their edges, so their figures are no independent draws, and mean and s / sqrt(J) claim
too much. Nadeau and Bengio (Machine Learning 52, 2003) put the share of test edges beside 1 / J:

    mean +- t (J - 1 degrees of freedom) * s * sqrt(1 / J + test edges / train edges).

It is an approximation: the overlap of the train sets is taken to correlate two figures as that share says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import t

LEVEL = 0.95


@dataclass(frozen=True)
class MetricOverSplits:
    """A figure over several splits.

    Args:
        splits: its value on each; None where it had none there.
        value: the mean, None with a reason.
        low: lower end of the corrected resampled 95 % interval.
        high: upper end.
        deviation: standard deviation over the splits.
        reason: why there is no value or no interval.
    Example:
        >>> round(repeated([0.1, 0.3, 0.2], test_share=0.125).to_json()["value"], 3)
        0.2
    """

    splits: tuple[float | None, ...]
    value: float | None
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As comparison.json holds it."""
        known = {"value": self.value, "low": self.low, "high": self.high, "deviation": self.deviation}
        return {**known, "splits": list(self.splits)} | ({} if self.reason is None else {"reason": self.reason})


def repeated(values: Sequence[float | None], *, test_share: float, reason: str | None = None) -> MetricOverSplits:
    """The mean over splits with its corrected resampled interval.

    Args:
        values: one a split; a single None leaves no mean, for the splits that are left would be chosen by their outcome.
        test_share: test edges / train edges of a split.
        reason: why some are None.
    Example:
        >>> interval = repeated([0.1, 0.3, 0.2], test_share=0.125)
        >>> round(interval.low, 3), round(interval.high, 3)  # 0.2 -+ 4.303 * 0.1 * sqrt(1 / 3 + 1 / 8)
        (-0.091, 0.491)
    """
    splits = tuple(values)
    known = [value for value in splits if value is not None]
    if len(known) < len(splits):
        missing = len(splits) - len(known)
        return MetricOverSplits(
            splits, None, reason=f"missing on {missing} of {len(splits)} splits: {reason or 'no value'}"
        )
    mean = float(np.mean(known))
    if len(known) < 2:
        return MetricOverSplits(splits, mean, reason="one split shows no spread")
    deviation = float(np.std(known, ddof=1))
    if deviation == 0:
        return MetricOverSplits(
            splits, mean, deviation=0.0, reason="the same on every split, which leaves the spread unknown"
        )
    half = half_width(deviation, len(known), test_share)
    return MetricOverSplits(splits, mean, mean - half, mean + half, deviation)


def differences(
    ours: Sequence[float | None], theirs: Sequence[float | None], *, test_share: float, reason: str | None = None
) -> MetricOverSplits:
    """Paired differences, ours - theirs, on the same splits, with the same correction.

    Example:
        >>> round(differences([0.2, 0.4], [0.1, 0.2], test_share=0.125).value, 3)
        0.15
    """
    pairs = zip(ours, theirs, strict=True)
    gaps = [None if a is None or b is None else a - b for a, b in pairs]
    return repeated(gaps, test_share=test_share, reason=reason)


def half_width(deviation: float, num_splits: int, test_share: float) -> float:
    """Half of the corrected resampled interval; with a test share of 0 it is the one of independent draws.

    Example:
        >>> round(half_width(1.0, 10, 0.125) / half_width(1.0, 10, 0.0), 3)
        1.5
    """
    quantile = float(t.ppf((1 + LEVEL) / 2, num_splits - 1))
    return quantile * deviation * sqrt(1 / num_splits + test_share)
