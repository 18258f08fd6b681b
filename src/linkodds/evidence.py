"""Evidence: what the record says about a pair, in a line beside its probability."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.baselines import baseline_scorer
from linkodds.config import BASELINES, COSTLY
from linkodds.nearby import distances, neighbor_matrix
from linkodds.pairs import Pairs
from linkodds.scoring import Scorer
from linkodds.split import Split

NUM_NAMED_NEIGHBORS = 5
FARTHEST = 3
"""Distances beyond are not told apart: to find them takes as long as the search."""
_NUM_SAMPLED = 4_000
_CHUNK = 500


def evidence(ids: NDArray[np.object_], split: Split, pairs: Pairs) -> list[str]:
    """One line a pair: shared neighbours, degrees, distance on the recorded graph, and how the baselines rank it.

    Baselines count paths in the message graph, as in the evaluation; their ranks are shares of 4,000 pairs without a
    recorded edge, the same ones at every call.

    Args:
        ids: shape (nodes,), the user's ids.
        split: of the run.
        pairs: shape (pairs, 2), canonical.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> part = [np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 4]]), np.array([[1, 4]]), np.array([[2, 4]])]
        >>> print(evidence(np.array(list("abcde"), dtype=object), Split(*part, PairSpace(5)), np.array([[0, 2]]))[0])
        2 shared neighbours (b, e); degrees 2 (60 % of nodes have more) and 3 (none has more); distance 2; of other pairs
        at or above it by degree 50 %, common-neighbors 50 %, adamic-adar 50 %, resource-allocation 50 %, l3 100 %
    """
    if not len(pairs):
        return []
    recorded = split.recorded()
    neighbors = neighbor_matrix(recorded)
    degree = np.diff(neighbors.indptr)
    rising = np.sort(degree)
    more = 1.0 - np.searchsorted(rising, degree, side="right") / len(degree)
    hops = distances(neighbors, pairs, most=FARTHEST)
    above = _shares_above(split, pairs)
    lines = []
    for i, (u, v) in enumerate(pairs.tolist()):
        ends = " and ".join(f"{degree[each]} ({_share_of_nodes(float(more[each]))})" for each in (u, v))
        distance = f"distance {hops[i]}" if hops[i] else f"distance above {FARTHEST}"
        ranks = ", ".join(f"{name} {_percent(float(share[i]))}" for name, share in above.items())
        shared = _shared(ids, neighbors, degree, u, v)
        lines.append(f"{shared}; degrees {ends}; {distance}; of other pairs at or above it by {ranks}")
    return lines


def _shared(ids: NDArray[np.object_], neighbors: sp.csr_array, degree: NDArray[np.int32], u: int, v: int) -> str:
    """The neighbours that both ends have; named are those with the fewest others."""
    first, second = (neighbors.indices[neighbors.indptr[i] : neighbors.indptr[i + 1]] for i in (u, v))
    shared = np.intersect1d(first, second)
    named = shared[np.argsort(degree[shared], kind="stable")][:NUM_NAMED_NEIGHBORS]
    names = ", ".join(str(ids[i]) for i in named) + (", ..." if len(shared) > len(named) else "")
    return f"{len(shared)} shared neighbour{'' if len(shared) == 1 else 's'}{f' ({names})' if len(shared) else ''}"


def _shares_above(split: Split, pairs: Pairs) -> dict[str, NDArray[np.float64]]:
    """For each baseline the share of sampled pairs without a recorded edge that it ranks at or above each pair."""
    recorded = split.recorded()
    count = min(_NUM_SAMPLED, recorded.num_absent)
    if count == recorded.num_absent:
        ranks = np.arange(count)
    else:  # spread evenly over all of them, from a place of its own in each stretch
        width = recorded.num_absent // count
        ranks = np.arange(count) * width + np.random.default_rng(0).integers(0, width, count)
    sample = recorded.absent_pairs(ranks)
    shares = {}
    for name in (each for each in BASELINES if each not in COSTLY):
        scorer = baseline_scorer(name, split)
        rising = np.sort(_logits(scorer, sample))
        shares[name] = 1.0 - np.searchsorted(rising, _logits(scorer, pairs) - 1e-9, side="left") / count
    return shares


def _logits(scorer: Scorer, pairs: Pairs) -> NDArray[np.float64]:
    """A few pairs at a time: paths of length three from many sources are nearly a full matrix."""
    parts = [scorer.logits(pairs[start : start + _CHUNK]) for start in range(0, len(pairs), _CHUNK)]
    return np.concatenate([np.empty(0), *parts])


def _share_of_nodes(share: float) -> str:
    return f"{_percent(share)} of nodes have more" if share > 0 else "none has more"


def _percent(share: float) -> str:
    """Two digits.

    Example:
        >>> _percent(0.12345), _percent(0.00012), _percent(0.0)
        ('12 %', '0.012 %', '0 %')
    """
    return f"{float(f'{100 * share:.2g}'):g} %"
