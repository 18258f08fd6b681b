"""Hidden edges: training rows for the stack, from graphs that hide the edges that it is to learn from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.features import Features
from linkodds.non_edges import draw_non_edges
from linkodds.pairs import KnownPairs, Pairs
from linkodds.split import Split, adjacency
from linkodds.structural_counts import StructuralCounts


@dataclass(frozen=True)
class StackOptions:
    """How much a fit does.

    Args:
        folds: each hides as large a part of the train edges; more of them cost time and help.
        zeros: in each fold, at most.
        zeros_per_edge: of the hidden edges of a fold, at most.
        broad_rounds: trees in the model of all pairs.
        close_rounds: trees in the model of the pairs near the top.
    """

    folds: int = 10
    zeros: int = 40_000
    zeros_per_edge: int = 100
    broad_rounds: int = 40
    close_rounds: int = 150


AS_USUAL = StackOptions()


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows of all folds.

    Args:
        inputs: shape (rows, inputs), float32.
        is_edge: shape (rows,): a hidden train edge, or a pair without a train edge.
        weights: shape (rows,), float64: 1 for an edge; how many pairs a zero stands for, divided by the folds.
        pairs: shape (rows, 2).
    """

    inputs: NDArray[np.float32]
    is_edge: NDArray[np.bool_]
    weights: NDArray[np.float64]
    pairs: Pairs


def training_rows(
    split: Split,
    features: Features | None,
    seeds: np.random.SeedSequence,
    options: StackOptions = AS_USUAL,
    say: Callable[[str], None] = lambda _: None,
) -> Rows:
    """Hide each fold of the train edges in turn, and take their inputs, and those of zeros, from what is left.

    Half of the zeros are drawn from the pairs with a common neighbour (paths of length 3 in a bipartite graph), half from
    all pairs, where those near are left out; each is weighted to its true pool.
    """
    rng = np.random.default_rng(seeds)
    train, space = split.train, split.space
    known = KnownPairs(space, train)
    fold_of = rng.permutation(len(train)) % options.folds
    parts: list[tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64], Pairs]] = []
    for fold in range(options.folds):
        hidden = train[fold_of == fold]
        graph = adjacency(train[fold_of != fold], space)
        counts = StructuralCounts.of(graph, space, features, rng)
        count = min(options.zeros, options.zeros_per_edge * len(hidden))
        zeros, weights = _zeros(graph, known, count, rng)
        pairs = np.concatenate([hidden, zeros])
        is_edge = np.arange(len(pairs)) < len(hidden)
        parts.append((counts.of_pairs(pairs), is_edge, np.append(np.ones(len(hidden)), weights / options.folds), pairs))
        say(f"stack: fold {fold + 1} of {options.folds}: {len(hidden):,} edges hidden, {len(zeros):,} zeros")
    inputs, is_edge, weights, pairs = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Rows(inputs, is_edge, weights, pairs)


def _zeros(
    graph: sp.csr_array, known: KnownPairs, count: int, rng: np.random.Generator
) -> tuple[Pairs, NDArray[np.float64]]:
    """Pairs without a train edge, near ones and others, and how many pairs each stands for."""
    space = known.space
    total = known.num_absent
    drawn = draw_non_edges(known, min(count // 2, total), rng).sample
    assert drawn is not None
    a: sp.csr_array = graph.astype(np.float64)
    last = a @ a if space.bipartite else a  # a path of length 3 ends with two steps
    to_target = last.T.tocsr()
    near_drawn = np.zeros(len(drawn), dtype=np.bool_)
    for start in range(0, len(drawn), 10_000):
        some = drawn[start : start + 10_000]
        near_drawn[start : start + 10_000] = (
            np.asarray(a[some[:, 0]].multiply(to_target[some[:, 1]]).sum(axis=1)).ravel() > 0
        )
    far = drawn[~near_drawn]
    near, share = _near_pairs(a, last, known, 4 * count, rng)
    if len(near) == 0:
        return drawn, np.full(len(drawn), total / len(drawn))
    chosen = near[rng.permutation(len(near))[: count // 2]]
    weights = np.concatenate(
        [np.full(len(chosen), len(near) / share / len(chosen)), np.full(len(far), total / len(drawn))]
    )
    return np.concatenate([chosen, far]), weights


def _near_pairs(
    a: sp.csr_array, last: sp.csr_array, known: KnownPairs, enough: int, rng: np.random.Generator
) -> tuple[Pairs, float]:
    """Pairs with a short path and no train edge, from as many sources drawn at random as give enough; share of sources."""
    space = known.space
    sources = rng.permutation(space.sides[0] if space.sides is not None else space.num_nodes)
    found: list[Pairs] = []
    num_found = done = 0
    while done < len(sources) and num_found < enough:
        some = sources[done : done + 256]
        reached = (a[some] @ last).tocoo()
        pairs = np.column_stack([some[reached.row], reached.col]).astype(np.int64)
        pairs = pairs[(pairs[:, 0] != pairs[:, 1]) if space.directed else (pairs[:, 0] < pairs[:, 1])]
        pairs = pairs[space.is_admissible(pairs)]
        pairs = pairs[~space.contains(known.pairs, pairs)]
        found.append(pairs)
        num_found += len(pairs)
        done += len(some)
    return np.concatenate([np.empty((0, 2), dtype=np.int64), *found]), done / len(sources)
