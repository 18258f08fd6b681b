"""Stack work: what models on hidden edges cost, counted from sizes alone, so that a budget can ask before they start."""

from dataclasses import dataclass
from math import exp

from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.structural.landmarks import COUNT as LANDMARKS
from linkodds.models.structural.masked_edges import StackOptions
from linkodds.models.structural.node_inputs import FEATURE_HOPS, FEATURE_RANKS
from linkodds.models.structural.stack import CLOSE_PAIRS, CLOSE_SHARE, FEWER, GROUPS, NUM_CLOSE
from linkodds.models.structural.structural_counts import (
    BROAD_FEATURE_HOPS,
    BROAD_FEATURE_INPUTS,
    BROAD_INPUTS,
    INPUTS,
    RANKS,
)
from linkodds.models.structural.structural_gae import BROAD_WIDTHS, CLOSE_WIDTHS, EPOCHS, MEMBERS
from linkodds.models.training.cost_model import Work

_DOUBLE = 8
_WALKS, _ACROSS = 9, 8
"""Sparse products from a row: of all entries, or of those from one side of a bipartite graph to the other."""
_STEP_BYTES = 12
"""Of an entry in such a product: its value and place, and the cell that it is added to, mostly in the cache."""
_VISIT_BYTES = 200
"""A pair that falls through a tree waits for some four reads, one after the other."""
_BIN_BYTES = 15
"""A row that is added to a histogram of an input, in all levels of a tree."""
_SPECTRAL_STEPS, _EXTRA, _QR = 12, 32, 40
"""Products of a spectral approximation, its columns beside the rank, and operations for each node and pair of columns."""
_USUAL_HOPS = 15
"""To the end of a graph: products that one landmark takes."""


@dataclass(frozen=True)
class StackSizes:
    """All that the work of a stack depends on.

    Args:
        nodes: of the graph.
        rows: nodes that every pair has one of: all, or those of the smaller side.
        columns: nodes that the other end is one of.
        edges: train edges.
        pairs: admissible pairs.
        directed: whether edges have a direction.
        bipartite: whether every edge crosses sides.
        dimensions: of the features as they are multiplied; 0 without features.
    Example:
        >>> from linkodds.models.training.cost_model import nominal_seconds
        >>> yeast = StackSizes(2375, 2375, 2375, 9354, 2_819_125, directed=False, bipartite=False, dimensions=0)
        >>> 1 < nominal_seconds(stack_work(yeast)) < 60
        True
    """

    nodes: int
    rows: int
    columns: int
    edges: int
    pairs: int
    directed: bool
    bipartite: bool
    dimensions: int

    @staticmethod
    def of(split: Split, features: Features | None) -> "StackSizes":
        """The sizes of a fit on a split."""
        space = split.space
        sides = space.sides or (space.num_nodes, space.num_nodes)
        dimensions = 0 if features is None else min(FEATURE_RANKS[-1], *features.matrix.shape)
        is_bipartite = space.sides is not None
        return StackSizes(
            space.num_nodes,
            min(sides),
            max(sides),
            len(split.train),
            space.num_pairs,
            space.directed,
            is_bipartite,
            dimensions,
        )

    @property
    def inputs(self) -> int:
        """Columns that trees of the close stage read."""
        return len(INPUTS) + (len(FEATURE_HOPS) * len(FEATURE_RANKS) + 1 if self.dimensions else 0)

    @property
    def broad_inputs(self) -> int:
        """Columns that trees of the broad stage read."""
        return len(BROAD_INPUTS) + (len(BROAD_FEATURE_INPUTS) if self.dimensions else 0)

    @property
    def close_share(self) -> float:
        """Of all pairs, those that get every input and every tree."""
        return min(1.0, max(CLOSE_SHARE, CLOSE_PAIRS / max(self.pairs, 1)))

    def zeros(self, options: StackOptions) -> float:
        """In a fold."""
        seen = min(options.sources, self.rows) * self.columns
        return min(options.zeros, options.zeros_per_edge * self.edges / options.folds, seen)


def stack_work(sizes: StackSizes, options: StackOptions | None = None) -> Work:
    """Folds, trees, and one pass over all pairs, which an evaluation needs too.

    Args:
        sizes: of the graph.
        options: how much to do; None: by the size of the graph.
    """
    options = options or StackOptions.of_size(sizes.edges, sizes.pairs)
    return hiding_work(sizes, options) + trees_work(sizes, options) + scoring_work(sizes, options)


def hiding_work(sizes: StackSizes, options: StackOptions | None = None) -> Work:
    """Counts on the message graph and, fold by fold, on graphs that hide its edges.

    Args:
        sizes: of the graph.
        options: how much to do; None: by the size of the graph.
    """
    options = options or StackOptions.of_size(sizes.edges, sizes.pairs)
    return (options.folds + 1) * spectral_work(sizes) + options.folds * fold_work(sizes, options)


def spectral_work(sizes: StackSizes) -> Work:
    """Two spectral approximations of a graph, its features smoothed over it, and hops from landmarks."""
    entries = sizes.edges * (1 if sizes.directed else 2)
    width = min(RANKS[-1] + _EXTRA, sizes.nodes)
    products = 2 * _SPECTRAL_STEPS * width + (FEATURE_HOPS[-1] + 1) * sizes.dimensions + LANDMARKS * _USUAL_HOPS
    flops = 2 * _QR * sizes.nodes * width**2
    return Work(bytes=products * (entries * _STEP_BYTES + 2 * _DOUBLE * sizes.nodes), flops=flops, calls=200)


def fold_work(sizes: StackSizes, options: StackOptions) -> Work:
    """Walks from the ends of the zeros and of the hidden edges, and the inner products of these pairs."""
    hidden = sizes.edges / options.folds
    sources = min(options.sources, sizes.rows) + sizes.rows * (1 - exp(-hidden / max(sizes.rows, 1))) / 2
    pairs = hidden + sizes.zeros(options)
    dimensions = 4 * RANKS[-1] + (len(FEATURE_HOPS) + 2) * sizes.dimensions
    return (
        sources * walk_work(sizes)
        + Work(bytes=pairs * (3 * _DOUBLE * dimensions + 5 * _DOUBLE * sizes.inputs))
        + Work(bytes=min(options.sources, sizes.rows) * sizes.columns * 3 * _DOUBLE)
    )


def walk_work(sizes: StackSizes) -> Work:
    """All walks from one node."""
    entries = sizes.edges * (1 if sizes.directed or sizes.bipartite else 2)
    return Work(bytes=(_ACROSS if sizes.bipartite else _WALKS) * (entries * _STEP_BYTES + 2 * _DOUBLE * sizes.columns))


def trees_work(sizes: StackSizes, options: StackOptions) -> Work:
    """Both stages; the trees that look for hidden edges see two thirds of the rows, and about half of them are close."""
    rows = sizes.edges + options.folds * sizes.zeros(options)
    close = rows * max(0.5, sizes.close_share)
    trees = NUM_CLOSE * options.close_rounds + GROUPS * (2 / 3) * (options.close_rounds / FEWER)
    cells = close * sizes.inputs * trees + rows * sizes.broad_inputs * options.broad_rounds
    visits = close * options.close_rounds / FEWER + rows * options.broad_rounds
    return Work(bytes=cells * _BIN_BYTES + visits * _VISIT_BYTES, calls=100 * (trees + options.broad_rounds))


def structural_work(sizes: StackSizes, options: StackOptions | None = None) -> Work:
    """Of a structural-gae beside the training of its table: folds, networks, and one pass over all pairs.

    Args:
        sizes: of the graph.
        options: how much to do; None: by the size of the graph.
    """
    options = options or StackOptions.of_size(sizes.edges, sizes.pairs)
    rows = sizes.edges + options.folds * sizes.zeros(options)
    large = sizes.inputs * CLOSE_WIDTHS[0] + CLOSE_WIDTHS[0] * CLOSE_WIDTHS[1]
    small = sizes.broad_inputs * BROAD_WIDTHS[0] + BROAD_WIDTHS[0] * BROAD_WIDTHS[1]
    trained = 6 * rows * (MEMBERS * EPOCHS * large + (EPOCHS - 2) * small)  # forward, and twice as much back
    close = sizes.close_share * sizes.pairs
    scored = 4 * (small * sizes.pairs + MEMBERS * large * close)  # in float64
    moved = 4 * _DOUBLE * MEMBERS * EPOCHS * rows * (sizes.inputs + sum(CLOSE_WIDTHS))
    return (
        hiding_work(sizes, options)
        + Work(bytes=moved, flops=trained)
        + _inputs_work(sizes)
        + Work(bytes=3 * _DOUBLE * sum(BROAD_WIDTHS) * sizes.pairs, flops=scored)
    )


def scoring_work(sizes: StackSizes, options: StackOptions) -> Work:
    """One pass over all pairs: walks, products and few trees; then all inputs and all trees of the close ones."""
    close = sizes.close_share * sizes.pairs
    visits = sizes.pairs * options.broad_rounds + close * NUM_CLOSE * options.close_rounds
    return _inputs_work(sizes) + Work(bytes=visits * _VISIT_BYTES)


def _inputs_work(sizes: StackSizes) -> Work:
    """Few inputs of all pairs, and all inputs of the close ones."""
    close = sizes.close_share * sizes.pairs
    broad = 3 * RANKS[-1] + len(BROAD_FEATURE_HOPS) * sizes.dimensions
    passes = (
        3 * _DOUBLE * (sizes.broad_inputs + 10) + 6 * LANDMARKS
    ) * sizes.pairs + 5 * _DOUBLE * sizes.inputs * close
    further = 3 * _DOUBLE * (RANKS[-1] + len(FEATURE_HOPS) * sizes.dimensions) * close
    flops = 4 * broad * sizes.pairs  # in float64
    return sizes.rows * walk_work(sizes) + Work(bytes=passes + further, flops=flops)
