"""Non-edges: all of them by blocks, an exact uniform sample or strata; and classes of pairs by degree product."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import NotEnoughNonEdges
from linkodds.pairs import Block, KnownPairs, Pairs, PairSpace
from linkodds.scorers.scoring import Scorer

NUM_CLASSES = 5
MAX_CELLS = 1 << 21


@dataclass(frozen=True, eq=False)
class DegreeClasses:
    """Fifths, by degree product (source degree + 1)(target degree + 1) in the message graph, of candidates or given pairs.

    Class 0 holds products up to `cuts[0]`, class 1 those above and up to `cuts[1]`, and so on, class 4 the rest; pairs with
    the same product are never parted, so the fifths are as equal as ties allow and some may be empty.

    Args:
        source: shape (nodes,), int64: degree + 1 as a source (out-degree when directed).
        target: shape (nodes,), int64: degree + 1 as a target (in-degree when directed).
        cuts: the four products that end classes 0 to 3.
        limits: the smallest and the largest product of a candidate.
    Example:
        >>> star = np.array([[0, 1], [0, 2], [0, 3]])
        >>> classes = DegreeClasses.of(star[:2], PairSpace(4), excluded=star[:2])
        >>> classes.of_pairs(np.array([[1, 2], [0, 3], [2, 3]])).tolist(), classes.ranges.tolist()
        ([3, 2, 0], [[2, 2], [3, 2], [3, 3], [4, 4], [5, 4]])
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    cuts: tuple[int, ...]
    limits: tuple[int, int]

    @staticmethod
    def of(train: Pairs, space: PairSpace, *, excluded: Pairs, fifths_of: Pairs | None = None) -> "DegreeClasses":
        """Exact fifths of the candidates, from the distribution of the degrees and without listing pairs; or of some pairs.

        Fifths of the candidates leave next to no edge in the lowest ones; fifths of held-out edges leave enough in all to
        hold observed edges against expected ones.

        Args:
            train: shape (edges, 2), canonical: the message graph.
            space: the admissible pairs.
            excluded: shape (pairs, 2), canonical: recorded edges that are no candidates (all but the held-out ones).
            fifths_of: shape (pairs, 2), canonical, 1 at least; None stands for all candidates.
        """
        source, target = degrees_of(train, space)
        rows, columns = (slice(None), slice(None)) if space.sides is None else _sides(space.sides)
        ordered = space.sides is not None or space.directed
        row_values, row_counts = np.unique(source[rows], return_counts=True)
        column_values, column_counts = np.unique(target[columns], return_counts=True)
        # Ordered pairs of degrees, less self-loops, less what is no candidate: undirected pairs are counted twice.
        parts = [(np.outer(row_values, column_values).ravel(), np.outer(row_counts, column_counts).ravel())]
        if space.sides is None:
            parts.append((source * target, np.full(space.num_nodes, -1)))
        parts.append((source[excluded[:, 0]] * target[excluded[:, 1]], np.full(len(excluded), -1 if ordered else -2)))
        products, place = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
        weights = np.concatenate([part[1] for part in parts]).astype(np.float64)
        counts = np.bincount(place, weights=weights)
        products, counts = products[counts > 0], counts[counts > 0]
        if len(products) == 0:
            return DegreeClasses(source, target, (1,) * (NUM_CLASSES - 1), (1, 1))
        limits = int(products[0]), int(products[-1])
        if fifths_of is not None:
            products, counts = np.unique(source[fifths_of[:, 0]] * target[fifths_of[:, 1]], return_counts=True)
        reached = np.cumsum(counts) / counts.sum()
        cuts = products[np.searchsorted(reached, np.arange(1, NUM_CLASSES) / NUM_CLASSES - 1e-12)]
        return DegreeClasses(source, target, tuple(np.clip(cuts, *limits).tolist()), limits)

    @property
    def ranges(self) -> NDArray[np.int64]:
        """Shape (5, 2): smallest and largest product of each class; an empty class has largest < smallest."""
        (first, last), cuts = self.limits, np.array(self.cuts)
        return np.column_stack([np.append(first, cuts + 1), np.append(cuts, last)])

    def of_block(self, block: Block) -> NDArray[np.uint8]:
        """Shape (rows, columns) of the block: 0 to 4."""
        # product <= cut  <=>  target <= cut // source: an integer comparison a cut and no product that overflows.
        target = self.target[block.columns].astype(np.int32)[None, :]
        source = self.source[block.rows][:, None]
        classes = np.zeros(block.admissible.shape, dtype=np.uint8)
        for cut in self.cuts:
            classes += target > np.minimum(cut // source, 2**31 - 1).astype(np.int32)
        return classes

    def of_pairs(self, pairs: Pairs) -> NDArray[np.uint8]:
        """Shape (pairs,): 0 to 4."""
        products = self.source[pairs[:, 0]] * self.target[pairs[:, 1]]
        return np.searchsorted(np.array(self.cuts), products, side="left").astype(np.uint8)


def degrees_of(train: Pairs, space: PairSpace) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Degree + 1 of every node as a source and as a target in the message graph, shape (nodes,) each.

    Example:
        >>> [side.tolist() for side in degrees_of(np.array([[0, 1], [0, 2]]), PairSpace(3, directed=True))]
        [[3, 1, 1], [1, 2, 2]]
    """
    source, target = (np.bincount(train[:, side], minlength=space.num_nodes).astype(np.int64) + 1 for side in (0, 1))
    return (source, target) if space.directed else (source + target - 1,) * 2


Design = Literal["enumerated", "sampled", "stratified"]


@dataclass(frozen=True, eq=False)
class Stratum:
    """Non-edges of one kind: all of them, or a uniform sample of them without replacement.

    Args:
        name: what they have in common.
        size: how many there are, exactly.
        sample: shape (pairs, 2), int64: distinct ones that get a logit; None where all do and are not listed.
    Example:
        >>> Stratum("rest", 10, np.array([[0, 1], [0, 2]])).rate
        0.2
    """

    name: str
    size: int
    sample: Pairs | None = None

    @property
    def num_scored(self) -> int:
        """Number of them that get a logit."""
        return self.size if self.sample is None else len(self.sample)

    @property
    def rate(self) -> float:
        """num_scored / size, in (0, 1]."""
        return self.num_scored / self.size


@dataclass(frozen=True, eq=False)
class NonEdges:
    """Pairs without a recorded edge: every one of them, a uniform sample with its rate, or strata with one rate each.

    Args:
        known: the recorded edges; what is not among them is a non-edge.
        sample: shape (pairs, 2), int64: distinct non-edges drawn uniformly; None stands for all of them.
        strata: disjoint, and together all non-edges; empty unless the design is stratified.
    Raises:
        ValueError: strata that are not all non-edges together, or one without any pair to score.
    Example:
        >>> everything = NonEdges(KnownPairs(PairSpace(4), np.array([[0, 1], [2, 3]])))
        >>> everything.design, everything.num_scored, everything.rate
        ('enumerated', 4, 1.0)
    """

    known: KnownPairs
    sample: Pairs | None = None
    strata: tuple[Stratum, ...] = ()

    def __post_init__(self) -> None:
        if self.strata and sum(stratum.size for stratum in self.strata) != self.num_non_edges:
            raise ValueError(f"the strata are not the {self.num_non_edges:,} non-edges together")
        if any(stratum.sample is None or not 0 < len(stratum.sample) <= stratum.size for stratum in self.strata):
            raise ValueError("every stratum lists at least one pair, and at most all of its own")

    @property
    def num_non_edges(self) -> int:
        """Number of non-edges of the graph."""
        return self.known.num_absent

    @property
    def num_scored(self) -> int:
        """Number of non-edges that get a logit."""
        return sum(part.num_scored for part in self.parts)

    @property
    def rate(self) -> float:
        """num_scored / num_non_edges, in (0, 1]."""
        return self.num_scored / self.num_non_edges

    @property
    def design(self) -> Design:
        """How they were chosen."""
        if self.strata:
            return "stratified"
        return "enumerated" if self.sample is None else "sampled"

    @property
    def parts(self) -> tuple[Stratum, ...]:
        """The strata, or the one that everything is."""
        return self.strata or (Stratum("all", self.known.num_absent, self.sample),)

    def chunks(self, part: Stratum, *, max_cells: int = MAX_CELLS) -> Iterator[Block | Pairs]:
        """Work on one of `parts` in pieces of about `max_cells` pairs: blocks of the pair matrix, or slices of a list."""
        if part.sample is None:
            yield from self.known.space.blocks(max_cells=max_cells)
        else:
            for start in range(0, len(part.sample), max_cells):
                yield part.sample[start : start + max_cells]

    def logits_by_class(
        self, scorer: Scorer, chunk: Block | Pairs, classes: DegreeClasses | None = None
    ) -> list[NDArray[np.float32]]:
        """Logits of the non-edges of one chunk, parted by degree class (all in the first when `classes` is None)."""
        if isinstance(chunk, Block):
            logits = scorer.block(chunk.rows, chunk.columns).ravel()
            keep = self.known.absent_cells(chunk).ravel()
            parts = None if classes is None else classes.of_block(chunk).ravel()
        else:
            logits, keep = scorer.logits(chunk).astype(np.float32), np.ones(len(chunk), dtype=np.bool_)
            parts = None if classes is None else classes.of_pairs(chunk)
        if parts is None:
            return [np.compress(keep, logits)]
        return [np.compress((parts == part) & keep, logits) for part in range(NUM_CLASSES)]

    def stream(
        self, scorer: Scorer, *, classes: DegreeClasses | None = None, max_cells: int = MAX_CELLS
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
        """Yield (logits, degree classes), one array each a chunk, until every scored non-edge has come by once."""
        for chunk in (chunk for part in self.parts for chunk in self.chunks(part, max_cells=max_cells)):
            parts = self.logits_by_class(scorer, chunk, classes)
            labels = np.repeat(np.arange(len(parts), dtype=np.uint8), [len(part) for part in parts])
            yield np.concatenate(parts), labels


def draw_non_edges(known: KnownPairs, count: int, rng: np.random.Generator) -> NonEdges:
    """Draw non-edges uniformly and without replacement, whatever the density; no pair is tried twice in vain.

    Args:
        known: the recorded edges.
        count: how many, at least 1.
        rng: source of the draw.
    Returns:
        Non-edges with `count` distinct pairs in row order and their rate.
    Raises:
        NotEnoughNonEdges: the graph has fewer.
    Example:
        >>> known = KnownPairs(PairSpace(4), np.array([[0, 1], [2, 3]]))
        >>> drawn = draw_non_edges(known, 2, np.random.default_rng(0))
        >>> len(drawn.sample), drawn.rate
        (2, 0.5)
    """
    total = known.num_absent
    if not 1 <= count <= total:
        raise NotEnoughNonEdges(
            f"asked for {count:,} non-edges, but the graph has {total:,}; "
            f"ask for 1 to {total:,}, or for all of them by enumeration."
        )
    if count <= total // 2:
        ranks = _distinct(total, count, rng)
    else:
        left_out = _distinct(total, total - count, rng)
        keep = np.ones(total, dtype=np.bool_)
        keep[left_out] = False
        ranks = np.flatnonzero(keep)
    return NonEdges(known, known.absent_pairs(ranks))


def _distinct(total: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` distinct integers below `total`, sorted; drawing on and dropping repeats keeps the set uniform."""
    ranks = np.empty(0, dtype=np.int64)
    while len(ranks) < count:
        ranks = np.concatenate([ranks, rng.integers(0, total, size=count - len(ranks))])
        ranks.sort()  # many times faster than numpy's unique, which hashes
        ranks = ranks[np.concatenate([[True], ranks[1:] != ranks[:-1]])]
    return ranks


def _sides(sides: tuple[int, int]) -> tuple[slice, slice]:
    return slice(0, sides[0]), slice(sides[0], sides[0] + sides[1])
