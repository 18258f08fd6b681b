"""New edges: how a run ranks edges that came to light after it was fitted."""

from typing import Any

import numpy as np

from linkodds.errors import DataError
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.non_edges import NonEdges, draw_non_edges
from linkodds.pairs import KnownPairs
from linkodds.reading.reading import read_pairs
from linkodds.runs.record import Run

MAX_SCORED = 50_000_000


def average_precision_of(run: Run, edges: Any) -> float:
    """Average precision of edges that the run was not fitted with, against all pairs that are neither these nor its own.

    Beyond 50,000,000 pairs it is against a uniform sample of so many, drawn with a fixed seed.

    Args:
        run: a finished run.
        edges: pairs of ids; recorded edges and repeats are left out. One with an unknown node counts as not found.
    Raises:
        DataError: nothing is left.
    """
    space = run.split.space
    source, target = read_pairs(edges)
    ends = [np.fromiter((run.index.get(str(name), -1) for name in side), dtype=np.int64) for side in (source, target)]
    pairs = np.column_stack(ends)
    is_known = (pairs >= 0).all(axis=1)
    lost = {tuple(sorted(each)) for each in zip(source[~is_known], target[~is_known], strict=True)}
    pairs = space.canonical(pairs[is_known])
    pairs = np.unique(pairs[space.is_admissible(pairs)], axis=0)
    pairs = pairs[~run.recorded.contains(pairs)]
    if not len(pairs):
        raise DataError(
            f"none of the {len(source):,} edges is one that this run can be judged on: they are its own, or unknown to it."
        )
    known = KnownPairs(space, np.concatenate([run.recorded.pairs, pairs]))
    non_edges = NonEdges(known)
    if known.num_absent > MAX_SCORED:
        non_edges = draw_non_edges(known, MAX_SCORED, np.random.default_rng(0))
    precision = average_precision(HeldOut.from_scorer(run.scorer, pairs, non_edges))
    return float(precision * len(pairs) / (len(pairs) + len(lost)))
