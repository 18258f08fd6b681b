"""Hidden edges: training rows for the stack, from graphs that hide the edges that it is to learn from."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.graph.cut_off import cut_off_nodes
from linkodds.graph.features import Features
from linkodds.graph.split import Split, adjacency
from linkodds.models.structural.node_inputs import feature_directions
from linkodds.models.structural.structural_counts import CUT_OFF, StructuralCounts
from linkodds.pairs import KnownPairs, Pairs, PairSpace


@dataclass(frozen=True)
class StackOptions:
    """How much a fit does.

    Args:
        folds: each hides as large a part of the train edges; more of them cost time and help.
        zeros: in each fold, at most.
        zeros_per_edge: of the hidden edges of a fold, at most.
        sources: in each fold, nodes that the zeros have an end among.
        broad_rounds: trees in the model of all pairs.
        close_rounds: trees in the model of the pairs near the top.
    """

    folds: int = 10
    zeros: int = 40_000
    zeros_per_edge: int = 100
    sources: int = 256
    broad_rounds: int = 25
    close_rounds: int = 150

    @staticmethod
    def of_size(num_edges: int, num_pairs: int) -> "StackOptions":
        """As usual; with few train edges twice the folds, and in a small graph fewer zeros.

        Args:
            num_edges: to train on.
            num_pairs: admissible ones.
        Example:
            >>> few, many = StackOptions.of_size(1_700, 54_946), StackOptions.of_size(9_354, 2_819_125)
            >>> (few.folds, few.zeros), (many.folds, many.zeros)
            ((20, 7849), (10, 40000))
        """
        usual = StackOptions()
        return replace(
            usual,
            folds=2 * usual.folds if num_edges < FEW_EDGES else usual.folds,
            zeros=min(usual.zeros, max(5_000, num_pairs // 7)),
        )


FEW_EDGES = 3_000
"""Below so many train edges a fold costs little, and each hides too many of them."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows of all folds.

    A node that a fold leaves without an edge would teach that such a node has one hidden, so no row has it for an end; its
    edges stand apart, to be given a logit like all others.

    Args:
        inputs: shape (rows, inputs), float32.
        is_edge: shape (rows,): a hidden train edge, or a pair without a train edge.
        weights: shape (rows,), float64: 1 for an edge; how many pairs a zero stands for, divided by the folds.
        pairs: shape (rows, 2).
        apart_inputs: shape (edges, inputs): of the train edges that are no rows, from the graphs that hid them.
        apart: shape (edges, 2): these edges.
    """

    inputs: NDArray[np.float32]
    is_edge: NDArray[np.bool_]
    weights: NDArray[np.float64]
    pairs: Pairs
    apart_inputs: NDArray[np.float32]
    apart: Pairs

    def of_train_edges(self) -> tuple[NDArray[np.float32], Pairs]:
        """Inputs and ends of all train edges, each once."""
        inputs = np.concatenate([self.inputs[self.is_edge], self.apart_inputs])
        return inputs, np.concatenate([self.pairs[self.is_edge], self.apart])


@dataclass(frozen=True, eq=False)
class HiddenEdges:
    """What models on hidden edges are made of: the same for all of them.

    Args:
        counts: on the message graph, which pairs are scored on.
        rows: from graphs that hid their edges.
    """

    counts: StructuralCounts
    rows: Rows

    @staticmethod
    def of(
        split: Split,
        features: Features | None,
        seeds: np.random.SeedSequence,
        options: StackOptions | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> "HiddenEdges":
        """Count on the message graph, and hide its edges fold by fold; see `training_rows`."""
        graph_seed, rows_seed = seeds.spawn(2)
        counts = StructuralCounts.of(split.message_graph(), split.space, features, np.random.default_rng(graph_seed))
        return HiddenEdges(counts, training_rows(split, features, rows_seed, options, say))


PRIOR_EDGES = 50
"""The folds have as much say in the share of cut-off edges as so many validation edges."""


def cut_off_offset(counts: StructuralCounts, rows: Rows, validation: Pairs) -> float:
    """What is to be added to the logit of a pair that no path connects, natural log of odds.

    A graph that hides edges has more pairs without a path than the message graph, and most of them hide no edge of the
    fold; so the odds of such a pair come out too low, and in a tree-like graph a large part of the edges to be found are
    such pairs. Their share among the validation edges, against their share of all pairs, says what the odds are.

    Args:
        counts: of the message graph.
        rows: from graphs that hid its edges.
        validation: shape (edges, 2); without any the offset is 0.
    """
    is_cut_off = rows.inputs[:, counts.names.index("distance")] == CUT_OFF
    weights = rows.weights[~rows.is_edge]
    of_edges = float(is_cut_off[rows.is_edge].mean())
    of_zeros = float(weights[is_cut_off[~rows.is_edge]].sum() / weights.sum())
    of_pairs = counts.cut_off_share
    if not len(validation) or not all(0 < share < 1 for share in (of_edges, of_zeros, of_pairs)):
        return 0.0
    odds = of_pairs / (1 - of_pairs) * of_edges / (1 - of_edges) * (1 - of_zeros) / of_zeros
    expected = odds / (1 + odds)  # of the validation edges, if a cut-off pair were what it is in the folds
    found = int((counts.components[validation[:, 0]] != counts.components[validation[:, 1]]).sum())
    share = (found + PRIOR_EDGES * expected) / (len(validation) + PRIOR_EDGES)
    return round(float(np.log(share / (1 - share) / odds)), 6)


def training_rows(
    split: Split,
    features: Features | None,
    seeds: np.random.SeedSequence,
    options: StackOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Rows:
    """Hide each fold of the train edges in turn, and take their inputs, and those of zeros, from what is left.

    Half of the zeros are drawn from the pairs with a common neighbour (paths of length 3 in a bipartite graph), half from
    the others; each is weighted to its true pool. Pairs with a node that a fold leaves without an edge are no rows, see `Rows`.
    """
    rng = np.random.default_rng(seeds)
    train, space = split.train, split.space
    options = options or StackOptions.of_size(len(train), space.num_pairs)
    others = None if split.others is None else split.others.pairs
    directions = None if features is None else feature_directions(features, rng)  # no edge has a part in them
    fold_of = rng.permutation(len(train)) % options.folds
    parts: list[Rows] = []
    for fold in range(options.folds):
        hidden = train[fold_of == fold]
        seen = train[fold_of != fold]
        known = KnownPairs(space, train, cut_off_nodes(seen, hidden, space, others))
        graph = adjacency(seen, space)
        counts = StructuralCounts.of(graph, space, features, rng, directions=directions)
        is_apart = known.touches_nodes(hidden)
        hidden, apart = hidden[~is_apart], hidden[is_apart]
        count = min(options.zeros, options.zeros_per_edge * len(hidden))
        zeros, weights = _zeros(graph, known, count, options.sources, rng)
        pairs = np.concatenate([hidden, zeros])
        is_edge = np.arange(len(pairs)) < len(hidden)
        weights = np.append(np.ones(len(hidden)), weights / options.folds)
        of_apart = counts.of_pairs(apart)
        parts.append(Rows(counts.of_pairs(pairs), is_edge, weights, pairs, of_apart, apart))
        say(f"hiding edges: fold {fold + 1} of {options.folds}: {len(hidden):,} edges hidden, {len(zeros):,} zeros")
    return Rows(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(Rows)))


def _zeros(
    graph: sp.csr_array, known: KnownPairs, count: int, num_sources: int, rng: np.random.Generator
) -> tuple[Pairs, NDArray[np.float64]]:
    """Pairs that are not known, near ones and others, and how many pairs each stands for.

    All have an end among a few nodes drawn at random, so that there are few rows to count.
    """
    space, total = known.space, known.num_absent
    start, stop = _smaller_side(space)
    sources = start + rng.permutation(stop - start)[:num_sources]
    pools = _seen_from(sources, graph, known)
    stands_for = total / max(sum(len(pool) for pool in pools), 1)  # sources are drawn alike, and so are pairs from them
    pairs, weights = [], []
    for pool in pools:
        chosen = pool[rng.permutation(len(pool))[: count // 2]]
        pairs.append(chosen)
        weights.append(np.full(len(chosen), stands_for * len(pool) / max(len(chosen), 1)))
    return np.concatenate(pairs), np.concatenate(weights)


def _smaller_side(space: PairSpace) -> tuple[int, int]:
    """First and last + 1 of the nodes that every pair has one of: all, or those of the smaller side."""
    if space.sides is None or space.sides[0] <= space.sides[1]:
        return 0, space.num_nodes if space.sides is None else space.sides[0]
    return space.sides[0], space.num_nodes


def _seen_from(sources: NDArray[np.int64], graph: sp.csr_array, known: KnownPairs) -> tuple[Pairs, Pairs]:
    """All pairs that are not known and have a source as an end: those with a short path, and the others.

    A pair of two sources is there twice, or once where every node is a source.
    """
    space = known.space
    a: sp.csr_array = graph.astype(np.float64)
    last = a @ a if space.bipartite else a  # a path of length 3 ends with two steps
    train = adjacency(known.pairs, space)
    every = len(sources) == space.num_nodes and not space.directed
    found: tuple[list[Pairs], list[Pairs]] = [], []
    for begin in range(0, len(sources), 256):
        some = sources[begin : begin + 256]
        reached = (a[some] @ last).toarray() > 0
        absent = ~(train[some].toarray() > 0)
        absent[np.arange(len(some)), some] = False
        if space.sides is not None:
            absent[:, : space.sides[0]] &= some[0] >= space.sides[0]
            absent[:, space.sides[0] :] &= some[0] < space.sides[0]
        if known.nodes is not None:
            absent[np.isin(some, known.nodes)] = False
            absent[:, known.nodes] = False
        if every:
            absent &= np.arange(space.num_nodes) > some[:, None]
        for pool, cells in zip(found, (absent & reached, absent & ~reached), strict=True):
            row, column = np.nonzero(cells)
            pairs = np.column_stack([some[row], column])
            pool.append(pairs if space.directed else np.sort(pairs, axis=1))
    near, far = (np.concatenate([np.empty((0, 2), dtype=np.int64), *pool]) for pool in found)
    return near, far
