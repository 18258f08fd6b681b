"""Graphs with three planted groups, and what every scorer that hides train edges has to do on them."""

import numpy as np

from linkodds.graph.features import Features
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import roc_auc
from linkodds.metrics.non_edges import NonEdges
from linkodds.pairs import PairSpace
from linkodds.scorers.scoring import Scorer

KINDS = {"undirected": (False, None), "directed": (True, None), "bipartite": (False, (30, 30))}
NO_SIGNAL = 4 * 0.29
"""The deviation of the ROC AUC of m edges without a signal is 0.29 / sqrt(m); four of them."""


def blocks(directed: bool, sides: tuple[int, int] | None) -> Graph:
    """60 nodes in three groups by number; a pair is an edge with probability 0.5 in a group and 0.03 across."""
    rng = np.random.default_rng(2)
    u, v = np.nonzero(~np.eye(60, dtype=bool))
    space = PairSpace(60, directed, sides)
    pairs = np.column_stack([u, v])
    pairs = pairs[(directed | (u < v)) & space.is_admissible(pairs)]
    edges = pairs[rng.random(len(pairs)) < np.where(pairs[:, 0] % 3 == pairs[:, 1] % 3, 0.5, 0.03)]
    return Graph(np.array([f"n{i}" for i in range(60)], dtype=object), edges, space)


def group_features() -> Features:
    """One column a group."""
    return Features(np.eye(3, dtype=np.float32)[np.arange(60) % 3], "none")


def check_bits(scorer: Scorer, split: Split) -> None:
    """A pair has the same bits alone, in a block, in part of one and in any order; both orders too without a direction."""
    n = split.space.num_nodes
    pairs = np.argwhere(np.ones((n, n), dtype=bool))
    whole = scorer.block(slice(0, n), slice(0, n))
    np.testing.assert_array_equal(scorer.logits(pairs).astype(np.float32), whole.ravel())
    np.testing.assert_array_equal(scorer.block(slice(7, 9), slice(20, n)), whole[7:9, 20:])
    shuffled = np.random.default_rng(0).permutation(len(pairs))[:200]
    np.testing.assert_array_equal(scorer.logits(pairs[shuffled]).astype(np.float32), whole.ravel()[shuffled])
    if not split.space.directed:
        np.testing.assert_array_equal(whole, whole.T)


def check_same_logits(one: Scorer, two: Scorer) -> None:
    """All pairs, bit for bit."""
    everything = slice(0, 60), slice(0, 60)
    np.testing.assert_array_equal(one.block(*everything), two.block(*everything))


def check_same_arrays(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> None:
    """Bit for bit."""
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


def above_chance(scorer: Scorer, split: Split) -> tuple[float, float]:
    """How far the ROC AUC of the held-out edges is above 0.5, and how far chance gets."""
    non_edges = NonEdges(split.recorded())
    logits = np.concatenate([chunk for chunk, _ in non_edges.stream(scorer)])
    edges = np.concatenate([split.validation, split.calibration, split.test])
    auc = roc_auc(HeldOut.from_logits(scorer.logits(edges), logits, non_edges.num_non_edges))
    return auc - 0.5, NO_SIGNAL / np.sqrt(len(edges))
