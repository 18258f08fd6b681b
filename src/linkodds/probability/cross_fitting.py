"""Cross-fitting: every train or calibration edge calibrates once, and the model is the mean of all that were trained.

The edges are dealt into K folds (`Split.dealt`). Model k trains and passes messages on all folds but the k-th, so it gives
the edges of that one logits as it gives them to new pairs. New pairs are scored by the mean of the K logits, which is
steadier: its edges stand higher above the non-edges, and logits of single models would calibrate it too flat. So they are
moved to its scale first, by the validation edges: no model was trained on them, and all K and the mean score them.
"""

import numpy as np

from linkodds.graph.split import Split
from linkodds.metrics.logit_bins import Floats

POOLED_FOLDS = 5
SMALL_CALIBRATION, SMALL_GRAPH = 50, 1000
MIN_EDGES_FOR_SPREAD = 10
"""Validation edges from which the ratio of two spreads says more than that both are alike."""


def choose_folds(asked: int | None, split: Split) -> int:
    """What --folds says, else 5 in a graph with under 1,000 edges and 50 of calibration, else 1.

    Example:
        >>> from linkodds.pairs import PairSpace
        >>> edges = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
        >>> split = Split(edges[:3], edges[4:5], edges[3:4], edges[5:], PairSpace(4))
        >>> choose_folds(None, split), choose_folds(2, split)
        (4, 2)
    """
    if asked is not None:
        return asked
    if split.times is not None:  # folds would mix the times
        return 1
    num_edges, pool = len(split.recorded().pairs), len(split.train) + len(split.calibration)
    is_small = len(split.calibration) < SMALL_CALIBRATION and num_edges < SMALL_GRAPH
    return min(POOLED_FOLDS, pool) if is_small else 1


def on_the_scale_of_the_mean(
    logits: Floats, validation: Floats, of_mean: Floats, *, are_counts: bool = False
) -> Floats:
    """Logits of one model's own fold, as the mean of all models would give them to edges that none has seen.

    The validation edges say how: mean and standard deviation of their logits become those that they have under the mean.
    How lucky the draw of the validation edges was hardly matters, for it is the same draw on both sides, and what is
    moved is little.

    Args:
        logits: shape (edges,), of the fold's edges by its model.
        validation: shape (validation edges,), by the same model.
        of_mean: shape (validation edges,), by the mean, in the same order.
        are_counts: logits are log(1 + count), of which many are 0 and stay 0: only their mean is taken over.
    Example:
        >>> on_the_scale_of_the_mean(np.array([1.0, 3.0]), np.linspace(0, 2, 11), np.linspace(1, 2, 11))
        array([1.5, 2.5])
    """
    if are_counts:
        total = float(validation.sum())
        return logits * (float(of_mean.sum()) / total if total > 0 else 1.0)
    deviation = float(validation.std())
    enough = len(validation) >= MIN_EDGES_FOR_SPREAD and deviation > 0
    ratio = float(of_mean.std()) / deviation if enough else 1.0
    return np.asarray(of_mean.mean() + (ratio or 1.0) * (logits - validation.mean()))
