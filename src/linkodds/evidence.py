"""Evidence: what the record says about a pair, in a line beside its probability."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.attribution import MOST_PAIRS, attribution
from linkodds.baseline_ranks import num_at_or_above
from linkodds.baselines import CosineScorer, baseline_scorer
from linkodds.config import BASELINES, COSTLY
from linkodds.nearby import distances, neighbor_matrix
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scoring import Scorer
from linkodds.split import Split

NUM_NAMED_NEIGHBORS = 5
FARTHEST = 3
"""Distances beyond are not told apart: to find them takes as long as the search."""
_NUM_SAMPLED = 4_000
_CHUNK = 500


def evidence(
    ids: NDArray[np.object_],
    split: Split,
    pairs: Pairs,
    *,
    scorer: Scorer | None = None,
    features: CosineScorer | None = None,
) -> list[str]:
    """One line a pair: shared neighbours, degrees, distance on the recorded graph, and how the baselines rank it.

    Baselines count paths in the message graph, as in the evaluation. A rank is the number of pairs without a recorded edge
    that the baseline puts at or above the pair, this one included; where counting them all would take more than a billion
    walks it is a share of 4,000 such pairs, the same ones at every call, and says "about". Of the first 2,000 pairs of a
    scorer made of trees the line says what moved the logit.

    Args:
        ids: shape (nodes,), the user's ids.
        split: of the run.
        pairs: shape (pairs, 2), canonical.
        scorer: of the run.
        features: cosines of the nodes' features, where there are any.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> part = [np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 4]]), np.array([[1, 4]]), np.array([[2, 4]])]
        >>> print(evidence(np.array(list("abcde"), dtype=object), Split(*part, PairSpace(5)), np.array([[0, 2]]))[0])
        2 shared neighbours (b, e); degrees 2 (60 % of nodes have more) and 3 (none has more); distance 2; of 4 pairs without
        an edge at or above it by degree 2, common-neighbors 2, adamic-adar 2, resource-allocation 2, l3 4
    """
    if not len(pairs):
        return []
    recorded = split.recorded()
    neighbors = neighbor_matrix(recorded)
    degree = np.diff(neighbors.indptr)
    rising = np.sort(degree)
    more = 1.0 - np.searchsorted(rising, degree, side="right") / len(degree)
    hops = distances(neighbors, pairs, most=FARTHEST)
    canonical = split.space.canonical(pairs)
    ranks = _ranks(split, canonical)
    cosines = None if features is None else features.logits(canonical)
    moved = None if scorer is None else attribution(scorer, canonical[:MOST_PAIRS], np.random.default_rng(0))
    lines = []
    for i, (u, v) in enumerate(pairs.tolist()):
        ends = " and ".join(f"{degree[each]} ({_share_of_nodes(float(more[each]))})" for each in (u, v))
        distance = f"distance {hops[i]}" if hops[i] else f"distance above {FARTHEST}"
        above = ", ".join(f"{name} {text[i]}" for name, text in ranks.items())
        parts = [_shared(ids, neighbors, degree, u, v), f"degrees {ends}", distance]
        parts += [] if cosines is None else [f"feature cosine {cosines[i]:.2g}"]
        parts += [f"of {recorded.num_absent:,} pairs without an edge at or above it by {above}"]
        parts += [] if moved is None or i >= MOST_PAIRS else [moved.sentence(i)]
        lines.append("; ".join(parts))
    return lines


def _shared(ids: NDArray[np.object_], neighbors: sp.csr_array, degree: NDArray[np.int32], u: int, v: int) -> str:
    """The neighbours that both ends have; named are those with the fewest others."""
    first, second = (neighbors.indices[neighbors.indptr[i] : neighbors.indptr[i + 1]] for i in (u, v))
    shared = np.intersect1d(first, second)
    named = shared[np.argsort(degree[shared], kind="stable")][:NUM_NAMED_NEIGHBORS]
    names = ", ".join(str(ids[i]) for i in named) + (", ..." if len(shared) > len(named) else "")
    return f"{len(shared)} shared neighbour{'' if len(shared) == 1 else 's'}{f' ({names})' if len(shared) else ''}"


def _ranks(split: Split, pairs: Pairs) -> dict[str, list[str]]:
    """For each baseline where each pair stands among those without a recorded edge."""
    recorded = split.recorded()
    sample: Pairs | None = None
    ranks = {}
    for name in (each for each in BASELINES if each not in COSTLY):
        scorer = baseline_scorer(name, split)
        counted = num_at_or_above(scorer, recorded, pairs)
        if counted is not None:
            ranks[name] = [f"{count:,}" for count in counted.tolist()]
            continue
        sample = _sampled(recorded) if sample is None else sample
        rising = np.sort(_logits(scorer, sample))
        shares = 1.0 - np.searchsorted(rising, _logits(scorer, pairs) - 1e-9, side="left") / len(sample)
        ranks[name] = [f"about {_percent(float(share))}" for share in shares]
    return ranks


def _sampled(recorded: KnownPairs) -> Pairs:
    """Pairs without a recorded edge, spread evenly over all of them, from a place of its own in each stretch."""
    count = min(_NUM_SAMPLED, recorded.num_absent)
    width = recorded.num_absent // count
    return recorded.absent_pairs(np.arange(count) * width + np.random.default_rng(0).integers(0, width, count))


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
