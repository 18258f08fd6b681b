"""Cut-off links: what is expected of pairs that were not judged since the split cut an end off, and what is said of them."""

import numpy as np
from numpy.typing import NDArray

from linkodds.findings import Finding
from linkodds.graph.split import Split
from linkodds.pairs import Pairs
from linkodds.probability.deployment import LinkRate
from linkodds.scorers.scoring import Scorer

MOST_CELLS = 20_000_000
"""Pairs that are scored at most: with more, of some of the nodes drawn at random, which stand for all."""
MANY = 0.3
"""Share of the test edges from which it is a warning that they could not be judged."""


def over_all_pairs(rate: LinkRate, scorer: Scorer, split: Split, rng: np.random.Generator) -> LinkRate:
    """A rate that was counted on the judged pairs, made to add up to 1 over all pairs without an edge.

    A search lists pairs with cut-off nodes too, by the edges that went back to them. So the missing links are shared out
    among all pairs, in the proportions that were counted.

    Args:
        rate: adds up to 1 over the judged non-edges.
        scorer: of the run.
        split: says which nodes were cut off.
        rng: draws nodes where there are many.
    """
    nodes = split.cut_off.nodes
    if not len(nodes):
        return rate
    at_most = max(1, MOST_CELLS // split.space.num_nodes)
    chosen = np.sort(rng.permutation(nodes)[:at_most])
    recorded, is_cut = split.recorded(), np.zeros(split.space.num_nodes, dtype=np.bool_)
    is_cut[nodes] = True
    total = 0.0
    for node in chosen.tolist():
        pairs = _pairs_of(node, split)
        pairs = pairs[~recorded.contains(pairs)]
        shared = np.where(is_cut[pairs].all(axis=1), 0.5, 1.0)  # is there once more for the other end
        total += float(shared @ rate(scorer.logits(pairs)))
    return rate.shared_with(total * len(nodes) / len(chosen))


def _pairs_of(node: int, split: Split) -> Pairs:
    """All admissible pairs of a node, canonical."""
    space = split.space
    others: NDArray[np.int64] = np.delete(np.arange(space.num_nodes, dtype=np.int64), node)
    pairs = np.column_stack([np.full(len(others), node), others])
    if space.directed:
        return np.concatenate([pairs, pairs[:, ::-1]])
    pairs = space.canonical(pairs)
    return pairs[space.is_admissible(pairs)]


def about_cut_off(split: Split) -> list[Finding]:
    """What became of the nodes that the split cut off; nothing where there is none.

    Args:
        split: of the fit.
    """
    cut_off = split.cut_off
    if not len(cut_off.nodes):
        return []
    num_test = len(split.test) + cut_off.num_test
    went = (
        "their held-out edges are set aside, and they stay without an edge"
        if len(cut_off.set_aside)
        else "their held-out edges went back to the train edges"
    )
    message = (
        f"The split left {len(cut_off.nodes):,} of {split.space.num_nodes:,} nodes without a train edge. Such a node is in the "
        f"graph only because of a held-out edge, so its pairs are not judged ({cut_off.num_test:,} of {num_test:,} test edges): "
        f"{went}. New links of these nodes are listed like all others."
    )
    remedy = "To have all pairs judged, give a list of all nodes, isolated ones included (--nodes)."
    share = cut_off.num_test / num_test
    return [Finding("split", "warning" if share > MANY else "info", message, remedy, share)]
