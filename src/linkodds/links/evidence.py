"""Evidence: what the record says about a pair, its ranks by the baselines among it; and, of trees, what moved its logit."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import OptionError
from linkodds.graph.split import Split
from linkodds.models.families import baseline_families
from linkodds.models.structural.stack import StackScorer
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.scorers.baselines import CosineScorer, DegreeScorer, PathScorer
from linkodds.scorers.scoring import Scorer, base_of
from linkodds.search.candidates import MAX_WALKS
from linkodds.search.walks import distances, neighbor_matrix, num_walks, walks

_ROUNDING = 1e-9


def is_counted(scorer: Scorer) -> bool:
    """Whether ranks by this scorer are counted exactly: products of degrees, and walks where there are a billion at most."""
    return isinstance(scorer, DegreeScorer) or (isinstance(scorer, PathScorer) and num_walks(scorer) <= MAX_WALKS)


def num_at_or_above(scorer: Scorer, recorded: KnownPairs, pairs: Pairs) -> NDArray[np.int64]:
    """Pairs without a recorded edge whose logit is that of each given pair or more, shape (pairs,).

    Degree products are counted by distinct degrees; walks are streamed from sparse products.

    Args:
        scorer: a baseline that `is_counted`.
        recorded: all recorded edges.
        pairs: shape (pairs, 2), canonical.
    Raises:
        OptionError: another scorer.
    Example:
        >>> from linkodds.graph.split import adjacency
        >>> chain = KnownPairs(PairSpace(4), np.array([[0, 1], [1, 2], [2, 3]]))
        >>> a = adjacency(chain.pairs, chain.space).astype(np.float64)
        >>> num_at_or_above(PathScorer(a, None, a), chain, np.array([[0, 2], [0, 3]])).tolist()
        [2, 3]
    """
    anchors = scorer.logits(pairs) - _ROUNDING
    rising, place = np.unique(anchors, return_inverse=True)
    above = np.zeros(len(rising), dtype=np.int64)  # of how many pairs each anchor is the largest at or below
    if isinstance(scorer, DegreeScorer):
        values, counts = _degree_products(scorer, recorded.space)
        at = np.searchsorted(rising, np.log1p(values), side="right") - 1
        np.add.at(above, at[at >= 0], counts[at >= 0])
        at = np.searchsorted(rising, scorer.logits(recorded.pairs), side="right") - 1
        np.subtract.at(above, at[at >= 0], 1)
    elif isinstance(scorer, PathScorer):
        non_edges = _NonEdges(recorded)
        for found in walks(scorer, non_edges.rows):
            logits = non_edges.logits(*found, floor=float(rising[0]))
            at = np.searchsorted(rising, logits, side="right") - 1
            above += np.bincount(at, minlength=len(rising))
    else:
        raise OptionError("ranks are counted for products of degrees and for numbers of walks alone.")
    result = np.cumsum(above[::-1])[::-1]
    result[rising <= 0] = recorded.num_absent  # no walk, or no degree: every pair has as many
    return np.asarray(result[place], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class HighestLogits:
    """The highest logits of walks among pairs without a recorded edge, counted once for many questions.

    Args:
        scorer: whose logits.
        rising: shape (kept,), float64.
        floor: pairs at or below are not kept; 0 where none with a walk was left out.
        num_absent: pairs without a recorded edge.
    Example:
        >>> from linkodds.graph.split import adjacency
        >>> chain = KnownPairs(PairSpace(4), np.array([[0, 1], [1, 2], [2, 3]]))
        >>> a = adjacency(chain.pairs, chain.space).astype(np.float64)
        >>> highest = HighestLogits.of(PathScorer(a, None, a), chain, most=1)
        >>> highest.num_at_or_above(np.array([[0, 2], [0, 3]])).tolist()  # -1: more than are kept
        [-1, 3]
        >>> HighestLogits.of(PathScorer(a, None, a), chain).num_at_or_above(np.array([[0, 2], [1, 3]])).tolist()
        [2, 2]
    """

    scorer: PathScorer
    rising: NDArray[np.float64]
    floor: float
    num_absent: int

    @classmethod
    def of(cls, scorer: PathScorer, recorded: KnownPairs, most: int = 1_000_000) -> "HighestLogits":
        """Memory for `most` logits and one block of walks; ties at the lowest kept are kept or left out together."""
        parts: list[NDArray[np.float64]] = []
        floor, size = 0.0, 0
        non_edges = _NonEdges(recorded)
        for found in walks(scorer, non_edges.rows):
            parts.append(non_edges.logits(*found, floor=floor))
            size += len(parts[-1])
            if size > 2 * most:
                parts, floor = _cut(parts, most)
                size = len(parts[0])
        if size > most:
            parts, floor = _cut(parts, most)
        return cls(scorer, np.sort(np.concatenate([np.empty(0), *parts])), floor, recorded.num_absent)

    def num_at_or_above(self, pairs: Pairs) -> NDArray[np.int64]:
        """As the function of that name counts; -1 where it is more than are kept."""
        anchors = self.scorer.logits(pairs) - _ROUNDING
        counted = len(self.rising) - np.searchsorted(self.rising, anchors, side="left")
        counted[anchors <= self.floor] = -1
        counted[anchors <= 0] = self.num_absent
        return counted.astype(np.int64)


def _cut(parts: list[NDArray[np.float64]], most: int) -> tuple[list[NDArray[np.float64]], float]:
    """The logits above the one that follows the `most` highest, and that one."""
    logits = np.concatenate(parts)
    floor = float(np.partition(logits, len(logits) - most - 1)[len(logits) - most - 1])
    return [logits[logits > floor]], floor


class _NonEdges:
    """What stays of pairs with walks when recorded edges, and pairs that are none, are taken out."""

    def __init__(self, recorded: KnownPairs) -> None:
        self._space = recorded.space
        self._keys = np.sort(recorded.space.keys(recorded.pairs))
        self.rows = np.arange(recorded.space.num_nodes if recorded.space.sides is None else recorded.space.sides[0])

    def logits(
        self, row: NDArray[np.int64], column: NDArray[np.int64], count: NDArray[np.float64], floor: float
    ) -> NDArray[np.float64]:
        """Logits at or above the floor."""
        logits = np.log1p(count)
        keep = (logits >= floor) & (column > row if not self._space.directed else column != row)
        found: Pairs = np.column_stack([row[keep], column[keep]])
        admissible = self._space.is_admissible(found)
        wanted = self._space.keys(found[admissible])
        is_known = self._keys[np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)] == wanted
        kept: NDArray[np.float64] = logits[keep][admissible][~is_known]
        return kept


def _degree_products(scorer: DegreeScorer, space: PairSpace) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct products of the degrees of two nodes, and how many admissible pairs have each."""
    source, target = scorer.source, scorer.target
    if space.sides is not None:
        source, target = source[: space.sides[0]], target[space.sides[0] : sum(space.sides)]
    (a, num_a), (b, num_b) = (np.unique(side, return_counts=True) for side in (source, target))
    values, counts = np.multiply.outer(a, b).ravel(), np.multiply.outer(num_a, num_b).ravel()
    if space.sides is None:
        own = source * target  # a node with itself
        values, counts = np.concatenate([values, own]), np.concatenate([counts, np.full(len(own), -1)])
    distinct, at = np.unique(values, return_inverse=True)
    total = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(total, at, counts)
    return distinct, total if space.directed or space.sides is not None else total // 2


NUM_NAMED_NEIGHBORS = 5
FARTHEST = 3
"""Distances beyond are not told apart: to find them takes as long as the search."""
_NUM_SAMPLED, _MOST_KEPT = 4_000, 1_000_000
_CHUNK = 500


MOST_PAIRS = 2_000
"""Pairs that are explained: half a millisecond each."""
NUM_NAMED = 3
SMALLEST = 0.05
_BACKGROUND_ROWS, _BACKGROUND, _BACKGROUND_POOL = 20, 4_000, 100_000
_DEGREE_TERM = "the degree term"
_KINDS = {
    "degrees": ("low_degree", "high_degree", "degree_product"),
    "shared neighbours": ("cn", "aa", "ra", "jaccard", "salton", "hub_promoted", "n2"),
    "the distance": ("distance", "least_hops", "most_hops"),
    "the edge back": ("is_reciprocated",),
    "longer walks": ("w3", "l3", "s3", "s4", "s5", "n3", "n4", "n5", "l3_per_degrees"),
    "personalised PageRank": ("ppr", "ppr_tail"),
    "the spectrum": ("adjacency_", "normalized_", "cubic"),
    "features": ("cosine_0",),
    "features nearby": ("cosine_",),
    "neighbours' degrees": ("low_mean_neighbor", "high_mean_neighbor", "low_max_neighbor", "high_max_neighbor"),
    "component sizes": ("low_component", "high_component"),
    "clustering": ("low_clustering", "high_clustering"),
    "PageRank": ("low_pagerank", "high_pagerank"),
}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the record says about pairs: shared neighbours, degrees, distance, and how the baselines rank them.

    A pair that is recorded as an edge of another kind than the predicted one is said to be so first.

    Baselines count paths in the message graph, as in the evaluation. A rank is the number of pairs without a recorded edge
    that the baseline puts at or above the pair, this one included; where counting them all would take more than a billion
    walks it is a share of 4,000 such pairs, the same ones at every call, and says "about". Of the first 2,000 pairs of a
    scorer made of trees the line says what moved the logit.

    Args:
        ids: shape (nodes,).
        split: of the run.
        scorer: of the run.
        features: cosines of the nodes' features, where there are any.
        asked_often: walks are counted once and a million of the highest logits kept, so that a question takes
            milliseconds; a rank beyond is "above 1,000,000".
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> part = [np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 4]]), np.array([[1, 4]]), np.array([[2, 4]])]
        >>> split = Split(*part, PairSpace(5))
        >>> print(Evidence(np.array(list("abcde"), dtype=object), split).lines(np.array([[0, 2]]))[0])
        2 shared neighbours (b, e); degrees 2 (60 % of nodes have more) and 3 (none has more); distance 2; of 4 pairs without
        an edge at or above it by degree 2, common-neighbors 2, adamic-adar 2, resource-allocation 2, l3 4
    """

    ids: NDArray[np.object_]
    split: Split
    scorer: Scorer | None = None
    features: CosineScorer | None = None
    asked_often: bool = False

    def lines(self, pairs: Pairs) -> list[str]:
        """One line a pair.

        Args:
            pairs: shape (pairs, 2), canonical.
        """
        if not len(pairs):
            return []
        hops = distances(self._neighbors, pairs, most=FARTHEST)
        canonical = self.split.space.canonical(pairs)
        ranks = {name: rank(canonical) for name, rank in self._rank_by.items()}
        cosines = None if self.features is None else self.features.logits(canonical)
        moved = (
            None if self.scorer is None else attribution(self.scorer, canonical[:MOST_PAIRS], np.random.default_rng(0))
        )
        of_another_kind = self._of_another_kind(pairs)
        lines = []
        for i, (u, v) in enumerate(pairs.tolist()):
            ends = " and ".join(
                f"{self._degree[each]} ({_share_of_nodes(float(self._share_above[each]))})" for each in (u, v)
            )
            distance = f"distance {hops[i]}" if hops[i] else f"distance above {FARTHEST}"
            above = ", ".join(f"{name} {text[i]}" for name, text in ranks.items())
            parts = [f"recorded as an edge of {self._other_kinds}"] if of_another_kind[i] else []
            parts += [_shared(self.ids, self._neighbors, self._degree, u, v), f"degrees {ends}", distance]
            parts += [] if cosines is None else [f"feature cosine {cosines[i]:.2g}"]
            parts += [f"of {self._recorded.num_absent:,} pairs without an edge at or above it by {above}"]
            parts += [] if moved is None or i >= MOST_PAIRS else [moved.sentence(i)]
            lines.append("; ".join(parts))
        return lines

    def _of_another_kind(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Which pairs are edges of a kind that is not predicted, in either direction, shape (pairs,)."""
        others, space = self.split.others, self.split.space
        if others is None:
            return np.zeros(len(pairs), dtype=np.bool_)
        found: NDArray[np.bool_] = space.contains(others.pairs, space.canonical(pairs))
        return found | space.contains(others.pairs, pairs[:, ::-1]) if space.directed else found

    @cached_property
    def _other_kinds(self) -> str:
        """The kind that is not predicted, or the first of several: which of them a pair has is not kept."""
        assert self.split.others is not None
        names = list(self.split.others.counts)
        if len(names) == 1:
            return f"kind {names[0]!r}"
        return f"another kind ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"

    @cached_property
    def _recorded(self) -> KnownPairs:
        return self.split.recorded()

    @cached_property
    def _neighbors(self) -> sp.csr_array:
        return neighbor_matrix(self._recorded)

    @cached_property
    def _degree(self) -> NDArray[np.int32]:
        degree: NDArray[np.int32] = np.diff(self._neighbors.indptr)
        return degree

    @cached_property
    def _share_above(self) -> NDArray[np.float64]:
        """Share of the nodes that have a higher degree than each."""
        rising = np.sort(self._degree)
        share: NDArray[np.float64] = 1.0 - np.searchsorted(rising, self._degree, side="right") / len(rising)
        return share

    @cached_property
    def _sample(self) -> Pairs:
        """Pairs without a recorded edge, spread evenly over all of them, from a place of its own in each stretch."""
        recorded = self._recorded
        count = min(_NUM_SAMPLED, recorded.num_absent)
        width = recorded.num_absent // count
        return recorded.absent_pairs(np.arange(count) * width + np.random.default_rng(0).integers(0, width, count))

    @cached_property
    def _rank_by(self) -> dict[str, Callable[[Pairs], list[str]]]:
        """For each baseline what says where pairs stand among those without a recorded edge."""
        cheap = [each for each in baseline_families() if not (each.is_costly or each.needs_features)]
        scorers = {each.name: each.unfitted_scorer(self.split, None, self.ids) for each in cheap}
        return {name: self._rank_of(scorer) for name, scorer in scorers.items()}

    def _rank_of(self, scorer: Scorer) -> Callable[[Pairs], list[str]]:
        recorded = self._recorded
        if not is_counted(scorer):
            rising = np.sort(_logits(scorer, self._sample))

            def about(pairs: Pairs) -> list[str]:
                shares = 1.0 - np.searchsorted(rising, _logits(scorer, pairs) - 1e-9, side="left") / len(rising)
                return [f"about {_percent(float(share))}" for share in shares]

            return about
        if self.asked_often and isinstance(scorer, PathScorer):
            highest = HighestLogits.of(scorer, recorded, most=_MOST_KEPT)
            return lambda pairs: [
                f"{count:,}" if count >= 0 else f"above {_MOST_KEPT:,}" for count in highest.num_at_or_above(pairs)
            ]
        return lambda pairs: [f"{count:,}" for count in num_at_or_above(scorer, recorded, pairs).tolist()]


def _shared(ids: NDArray[np.object_], neighbors: sp.csr_array, degree: NDArray[np.int32], u: int, v: int) -> str:
    """The neighbours that both ends have; named are those with the fewest others."""
    first, second = (neighbors.indices[neighbors.indptr[i] : neighbors.indptr[i + 1]] for i in (u, v))
    shared = np.intersect1d(first, second)
    named = shared[np.argsort(degree[shared], kind="stable")][:NUM_NAMED_NEIGHBORS]
    names = ", ".join(str(ids[i]) for i in named) + (", ..." if len(shared) > len(named) else "")
    return f"{len(shared)} shared neighbour{'' if len(shared) == 1 else 's'}{f' ({names})' if len(shared) else ''}"


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


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each kind of input adds to the logits of pairs; `base` and a row of `added` add up to the logit.

    Args:
        kinds: names.
        added: shape (pairs, kinds), natural log of odds.
        base: shape (pairs,), what the pairs that they are held against have on average.
        is_close: shape (pairs,): held against pairs near the top, else against all pairs.
    """

    kinds: tuple[str, ...]
    added: NDArray[np.float64]
    base: NDArray[np.float64]
    is_close: NDArray[np.bool_]

    def sentence(self, pair: int) -> str:
        """What moved one pair up and down most."""
        order = np.argsort(-np.abs(self.added[pair]), kind="stable")
        named = [i for i in order.tolist() if abs(self.added[pair, i]) >= SMALLEST]
        up, down = ([i for i in named if sign * self.added[pair, i] > 0][:NUM_NAMED] for sign in (1, -1))
        parts = [
            f"{verb} by " + ", ".join(f"{self.kinds[i]} {self.added[pair, i]:+.2f}" for i in some)
            for verb, some in (("raised", up), ("lowered", down))
            if some
        ]
        against = "the average pair near the top" if self.is_close[pair] else "the average pair"
        return f"logit {' and '.join(parts) or 'as it is'} against {against}"


def attribution(scorer: Scorer, pairs: Pairs, rng: np.random.Generator) -> Attribution | None:
    """What moved the logits of pairs without a train edge; None for a scorer that is not made of trees.

    Args:
        scorer: any; of a degree term on trees, what it adds is a kind of its own.
        pairs: shape (pairs, 2), canonical.
        rng: of the rows of the pair matrix that the pairs are held against.
    """
    stack = base_of(scorer)
    if not isinstance(stack, StackScorer):
        return None
    counts, nodes = stack.counts, stack.counts.space.num_nodes
    rows = rng.choice(nodes, min(_BACKGROUND_ROWS, nodes), replace=False)
    columns = rng.choice(nodes, min(nodes, _BACKGROUND_POOL // len(rows)), replace=False)
    pool = counts.space.canonical(np.column_stack([each.ravel() for each in np.meshgrid(rows, columns)]))
    if counts.space.directed or counts.space.sides is not None:
        pool = np.concatenate([pool, pool[:, ::-1]])
    pool = pool[counts.space.is_admissible(pool)]
    names, broad = counts.names, np.array([counts.names.index(name) for name in counts.broad_names])
    inputs, background = counts.of_pairs(pairs), counts.of_pairs(pool)
    is_close = stack.broad.logits(inputs[:, broad]) >= stack.cut
    near = background[stack.broad.logits(background[:, broad]) >= stack.cut][:_BACKGROUND]
    added, base = np.zeros((len(pairs), len(names))), np.zeros(len(pairs))
    if len(near):
        for forest in stack.close:
            found = forest.contributions(inputs[is_close], near) / len(stack.close)
            added[is_close] += found[:, :-1]
            base[is_close] += found[:, -1]
    else:  # the cut is above all that was drawn: nothing to hold them against
        base[is_close] = stack.of_inputs(inputs[is_close])
    found = stack.broad.contributions(inputs[~is_close][:, broad], background[:_BACKGROUND, broad])
    added[np.ix_(np.flatnonzero(~is_close), broad)] = found[:, :-1]
    base[~is_close] = found[:, -1]
    kinds = [_kind(name) for name in names]
    titles = tuple(dict.fromkeys(kinds))
    by_kind = np.column_stack([added[:, [kind == title for kind in kinds]].sum(axis=1) for title in titles])
    if scorer is not stack:
        term = scorer.logits(pairs) - (base + by_kind.sum(axis=1))
        titles, by_kind = (*titles, _DEGREE_TERM), np.column_stack([by_kind, term])
    return Attribution(titles, by_kind, base, is_close)


def _kind(name: str) -> str:
    """What an input is about.

    Example:
        >>> _kind("low_degree"), _kind("adjacency_128"), _kind("cosine_2_16"), _kind("something_new")
        ('degrees', 'the spectrum', 'features nearby', 'other counts')
    """
    for kind, names in _KINDS.items():
        if name in names or (
            kind.split()[0] in ("the", "features", "neighbours'", "clustering", "PageRank") and name.startswith(names)
        ):
            return kind
    return "other counts"
