"""Search: the best pairs among all that carry no recorded edge, exactly, in bounded memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import NonFiniteScores, OptionError
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scoring import Scorer

MAX_LINKS = 5_000_000


@dataclass(frozen=True, eq=False)
class FoundPairs:
    """Pairs in falling order of their logit; equal logits in order of the node indices.

    Args:
        pairs: shape (pairs, 2), int64, canonical, none of them recorded.
        logits: shape (pairs,), float64.
    """

    pairs: Pairs
    logits: NDArray[np.float64]


def find_pairs(
    scorer: Scorer,
    recorded: KnownPairs,
    *,
    top: int | None = None,
    threshold: float | None = None,
    max_cells: int = 1 << 21,
    on_block: Callable[[float], None] | None = None,
) -> FoundPairs:
    """The `top` pairs without a recorded edge, those at or above a logit threshold, or the former among the latter.

    All pairs are scored in float32 blocks; what may belong to the answer is scored again pair by pair in float64, and
    ordered by (-logit, u, v). So neither the block size nor ties change the answer. Memory O(block + answer).

    Args:
        scorer: logits of pairs.
        recorded: all recorded edges; they are left out.
        top: how many, at least 1; fewer come back where the graph has fewer candidates.
        threshold: smallest logit that is accepted.
        max_cells: pairs in a block.
        on_block: called with the share of the rows done.
    Raises:
        OptionError: neither `top` nor `threshold`, or a threshold that more than 5,000,000 pairs pass.
        NonFiniteScores: a logit is NaN or infinite.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.scoring import InnerProductScorer
        >>> z = np.array([[1], [2], [3], [4]], dtype=np.float32)
        >>> scorer = InnerProductScorer(z, z, scale=1.0, bias=0.0)
        >>> found = find_pairs(scorer, KnownPairs(PairSpace(4), np.array([[2, 3]])), top=2)
        >>> found.pairs.tolist(), found.logits.tolist()
        ([[1, 3], [1, 2]], [8.0, 6.0])
    """
    if top is None and threshold is None:
        raise OptionError("say how many links (--top K) or which ones (--decision RULE).")
    limit = MAX_LINKS if top is None else top
    if not 1 <= limit <= MAX_LINKS:
        raise OptionError(f"--top takes 1 to {MAX_LINKS:,}, not {limit:,}.")
    best = FoundPairs(np.empty((0, 2), dtype=np.int64), np.empty(0))
    floor = -np.inf if threshold is None else threshold
    waiting: list[Pairs] = []
    num_waiting = 0
    num_rows = recorded.space.sides[0] if recorded.space.sides is not None else recorded.space.num_nodes
    for block in recorded.space.blocks(max_cells=max_cells):
        logits = scorer.block(block.rows, block.columns)
        if not np.isfinite(logits).all():
            raise NonFiniteScores("a logit is NaN or infinite; the run's weights are damaged, fit it again.")
        candidates = recorded.absent_cells(block)
        # One float32 below the float64 floor: rounding never moves a pair of the answer further than that.
        cut = np.nextafter(np.float32(floor), np.float32(-np.inf))
        candidates &= logits >= cut
        passing = logits[candidates]
        if len(passing) > limit:  # a first block: its own best `limit` pairs are all that can stay
            smallest = np.partition(passing, -limit)[-limit]
            candidates &= logits >= np.nextafter(smallest, np.float32(-np.inf))
        rows, columns = np.nonzero(candidates)
        waiting.append(np.column_stack([rows + block.rows.start, columns + block.columns.start]).astype(np.int64))
        num_waiting += len(rows)
        if num_waiting > limit:
            best = _merge(scorer, best, waiting, limit, threshold)
            waiting, num_waiting = [], 0
            if len(best.pairs) == limit:
                if top is None:
                    raise OptionError(f"more than {MAX_LINKS:,} pairs pass this rule; name a stricter one, or --top K.")
                floor = max(floor, float(best.logits[-1]))
        if on_block is not None:
            on_block(block.rows.stop / num_rows)
    return _merge(scorer, best, waiting, limit, threshold)


def _merge(scorer: Scorer, best: FoundPairs, waiting: list[Pairs], limit: int, threshold: float | None) -> FoundPairs:
    new = np.concatenate([np.empty((0, 2), dtype=np.int64), *waiting])
    pairs = np.concatenate([best.pairs, new])
    logits = np.concatenate([best.logits, scorer.logits(new)])
    if threshold is not None:
        pairs, logits = pairs[logits >= threshold], logits[logits >= threshold]
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -logits))[:limit]
    return FoundPairs(pairs[order], logits[order])
