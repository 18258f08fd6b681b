"""Attribution: what moved the logit of a pair up or down, for scorers made of trees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linkodds.models.structural.stack import StackScorer
from linkodds.pairs import Pairs
from linkodds.scorers.scoring import Scorer, base_of

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
