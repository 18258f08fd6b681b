"""Tiles: the pairs of two lists of nodes in rectangles, each with the largest logit that it can hold.

For scorers that rise with an inner product. |<x, y>| <= |x| |y| bounds a whole tile before it is computed; its products
are then made in float32, and what may reach a floor is told with the interval that its float64 logit lies in:

    |fl(<x, y>) - <x, y>| <= (d + 16) 2^-23 |x| |y| + d 2^-125

which is twice the bound for sums of d products in any order (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1), and room for underflow and for symmetric logits whose factors were rounded once more. Every step from
a product to a logit rises, rounded as it is, so the ends of an interval of products give the ends of an interval of
logits.
"""

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from linkodds.scorers.scoring import DegreeAwareScorer, InnerProductScorer, Scorer, base_of

Floats = NDArray[np.float64]
Nodes = NDArray[np.int64]
_LARGEST = 1e37
_ROUNDING = 2.0**-23
_NORM_SLACK = 1.0 + 1e-9


@dataclass(frozen=True, eq=False)
class Survivors:
    """Cells that may reach a floor.

    Args:
        source: shape (cells,), nodes.
        target: shape (cells,), nodes.
        low: shape (cells,), the logit is this or more.
        high: shape (cells,), the logit is this or less.
    """

    source: Nodes
    target: Nodes
    low: Floats
    high: Floats


NO_CELLS = Survivors(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class MonotoneProducts:
    """A scorer as a rising function of inner products, one function for each two classes of nodes (their degrees).

    Args:
        scorer: an `InnerProductScorer`, or a `DegreeAwareScorer` on one.
        products: the inner products that it is made of.
        source_class: shape (nodes,), int64.
        target_class: shape (nodes,), int64.
        log_product: shape (source classes, target classes): log of the product of both degrees.
        level: shape (source classes, target classes): the part of the log odds that does not depend on the
            logit.
    """

    scorer: InnerProductScorer | DegreeAwareScorer
    products: InnerProductScorer
    source_class: Nodes
    target_class: Nodes
    log_product: Floats
    level: Floats

    @staticmethod
    def of(scorer: Scorer) -> "MonotoneProducts | None":
        """None where a scorer is no such function, or its numbers are not finite or near the end of float32."""
        products = base_of(scorer)
        if not isinstance(products, InnerProductScorer) or not products.scale > 0:
            return None
        if products.num_negative:  # the signs go into the source
            products = InnerProductScorer(products.signed, products.target, products.scale, products.bias)
        largest = float(_norms(products.source).max(initial=0.0)) * float(_norms(products.target).max(initial=0.0))
        if not max(largest, largest * products.scale + abs(products.bias)) < _LARGEST:  # not: NaN is caught too
            return None
        if isinstance(scorer, DegreeAwareScorer):
            return MonotoneProducts(scorer, products, *scorer.classes, *scorer.parts)
        one_class = np.zeros(len(products.source), dtype=np.int64)
        nothing = np.zeros((1, 1))
        return MonotoneProducts(products, products, one_class, one_class, nothing, nothing)

    @property
    def is_symmetric(self) -> bool:
        """Whether (u, v) and (v, u) have one logit, up to the rounding of float32 factors.

        A source column is then a multiple of the same target column (signs, scale), or the last two change places
        (degree terms).
        """
        if isinstance(self.scorer, DegreeAwareScorer):
            surface, (of_source, of_target) = self.scorer.surface, self.scorer.degrees
            if surface.source != surface.target or not np.array_equal(of_source, of_target):
                return False
        source, target = self.products.source, self.products.target
        if source is target:
            return True
        if source.shape[1] > 2 and _are_multiples(source[:, :-2], target[:, :-2]):
            source, target = source[:, -2:], target[:, -2:]
            return np.array_equal(source, target[:, ::-1]) or _are_multiples(source, target)
        return _are_multiples(source, target)

    def transposed(self) -> "MonotoneProducts":
        """The same with sources and targets in each other's place."""
        base = self.products
        turned = InnerProductScorer(base.target, base.source, base.scale, base.bias)
        of_sources, of_targets = self.target_class, self.source_class
        return MonotoneProducts(self.scorer, turned, of_sources, of_targets, self.log_product.T, self.level.T)

    def logit(self, product: Floats, source_class: Nodes, target_class: Nodes) -> Floats:
        """The logit of an inner product between nodes of two classes; the three are broadcast together."""
        logits = product * self.products.scale + self.products.bias
        if not isinstance(self.scorer, DegreeAwareScorer):
            return np.asarray(logits + np.zeros(np.broadcast_shapes(np.shape(source_class), np.shape(target_class))))
        at = source_class, target_class
        rounded = logits.astype(np.float32).astype(np.float64)
        return np.asarray(self.scorer.surface.of_parts(rounded, self.log_product[at], self.level[at]))

    def product_below(self, logit: float | Floats, source_class: Nodes, target_class: Nodes) -> Floats:
        """An inner product whose logit is below `logit`, not by much: a pair with a smaller one is below it as well."""
        shape = np.broadcast_shapes(np.shape(logit), np.shape(source_class), np.shape(target_class))
        if np.all(logit == -np.inf):
            return np.full(shape, -np.inf)
        if isinstance(self.scorer, DegreeAwareScorer):
            at = source_class, target_class
            base = self.scorer.surface.inverse_of_parts(logit, self.log_product[at], self.level[at])
        else:
            base = np.broadcast_to(np.asarray(logit, dtype=np.float64), shape)
        unbounded = np.isneginf(base)
        base = np.where(unbounded, 0.0, base)
        size = np.abs(base) + abs(self.products.bias)
        base = base - size * 2.0**-23  # the base logit is a float32
        product = (base - self.products.bias) / self.products.scale
        step = (size * 2.0**-23 + 1e-300) / self.products.scale
        for _ in range(64):
            too_high = self.logit(product, source_class, target_class) >= logit
            too_high &= ~unbounded
            if not too_high.any():
                break
            product = np.where(too_high, product - step, product)
            step = step * 2.0
        return np.asarray(np.where(too_high | unbounded, -np.inf, product))


def _are_multiples(source: NDArray[np.float32], target: NDArray[np.float32]) -> bool:
    """Whether each source column is a multiple of the target column, rounded to float32."""
    squares = np.einsum("nk,nk->k", target, target, dtype=np.float64)
    ratios = np.einsum("nk,nk->k", source, target, dtype=np.float64) / np.maximum(squares, 1e-300)
    off = np.abs(source - target * ratios)
    return bool((off <= np.abs(source) * 2.0**-22).all())


def _norms(factors: NDArray[np.float32]) -> Floats:
    wide = np.einsum("nd,nd->n", factors, factors, dtype=np.float64)
    return np.asarray(np.sqrt(wide) * _NORM_SLACK)


@dataclass(frozen=True, eq=False)
class _Side:
    """Nodes in the order of `_arranged`, with what bounds their tiles.

    Args:
        nodes: shape (n,).
        factors: shape (n, d), float32.
        norms: shape (n,).
        classes: shape (n,).
        starts: shape (tiles + 1,).
        atoms: tile, class and largest norm of the nodes of that class in that tile; shape (atoms,) each, by tile.
    """

    nodes: Nodes
    factors: NDArray[np.float32]
    norms: Floats
    classes: Nodes
    starts: Nodes
    atoms: tuple[Nodes, Nodes, Floats]

    @staticmethod
    def of(nodes: Nodes, starts: Nodes, factors: NDArray[np.float32], classes: Nodes) -> "_Side":
        factors, classes = factors[nodes], classes[nodes]
        norms = _norms(factors)
        tile = np.searchsorted(starts, np.arange(len(nodes)), side="right") - 1
        order = np.lexsort((-norms, classes, tile))
        key = np.column_stack([tile, classes])[order]
        first = np.flatnonzero((np.diff(key, axis=0, prepend=-1) != 0).any(axis=1))
        return _Side(nodes, factors, norms, classes, starts, (key[first, 0], key[first, 1], norms[order][first]))

    def atoms_of(self, tile: int) -> tuple[Nodes, Floats]:
        """Classes of a tile, in increasing order, and the largest norm of each."""
        first, last = np.searchsorted(self.atoms[0], [tile, tile + 1])
        return self.atoms[1][first:last], self.atoms[2][first:last]


def _arranged(nodes: Nodes, factors: NDArray[np.float32], classes: Nodes, width: int) -> tuple[Nodes, Nodes]:
    """The nodes in bands of classes, in falling order of norm within each, and where tiles start."""
    by_class = np.argsort(classes[nodes], kind="stable")
    # A band ends with the class that fills a tile, so that no class is spread over more bands than it needs.
    last_of_class = np.flatnonzero(np.diff(classes[nodes][by_class], append=-1)) + 1
    bands, starts = [0], [0]
    for end in last_of_class.tolist():
        if end - bands[-1] >= width or end == len(nodes):
            starts += [*range(bands[-1] + width, end, width), end]
            bands.append(end)
    band = np.empty(len(nodes), dtype=np.int64)
    band[by_class] = np.searchsorted(bands, np.arange(len(nodes)), side="right")
    return nodes[np.lexsort((nodes, -_norms(factors[nodes]), band))], np.array(starts)


class Tiles:
    """All cells of `sources` x `targets`; of a symmetric triangle only one of (u, v) and (v, u).

    Args:
        rising: the scorer.
        sources: shape (rows,), nodes.
        targets: shape (columns,), nodes.
        is_triangle: `sources` and `targets` are the same nodes, and (u, v) stands for (v, u).
        max_cells: cells in a tile.
    """

    def __init__(
        self, rising: MonotoneProducts, sources: Nodes, targets: Nodes, *, is_triangle: bool, max_cells: int
    ) -> None:
        # A list of tiles of more than a few million would cost more than larger tiles do.
        longest = max(len(sources), len(targets), 1)
        width = max(isqrt(max_cells), -(-longest // 2048))
        base = rising.products
        self.rising, self.is_triangle = rising, is_triangle
        rows, starts = _arranged(sources, base.source, rising.source_class, width)
        self._rows = _Side.of(rows, starts, base.source, rising.source_class)
        if not is_triangle:  # else the columns stand in the order of the rows
            rows, starts = _arranged(targets, base.target, rising.target_class, width)
        self._columns = _Side.of(rows, starts, base.target, rising.target_class)
        self._error = (base.source.shape[1] + 16) * _ROUNDING
        self._underflow = base.source.shape[1] * 2.0**-125
        self.bounds, self.places = self._bound_tiles()
        self._products = np.empty(0, dtype=np.float32)
        self._reaches = np.empty(0, dtype=np.bool_)
        self.num_computed = 0

    @property
    def cells(self) -> Nodes:
        """Shape (tiles,): cells of each tile."""
        rows, columns = (np.diff(side.starts) for side in (self._rows, self._columns))
        return np.asarray(rows[self.places[:, 0]] * columns[self.places[:, 1]])

    def corner(self, tile: int, num_cells: int) -> Survivors:
        """About so many cells of a tile, those with the largest norms; of a triangle about half as many."""
        width = isqrt(num_cells) + 1
        return self.survivors(tile, -np.inf, most=(width, width))

    def survivors(self, tile: int, floor: float | Floats, *, most: tuple[int | None, int] | None = None) -> Survivors:
        """The cells of a tile that may have a logit of `floor` or more; a node with itself may be among them.

        Args:
            tile: its place.
            floor: a logit, or shape (rows of the tile,), one for each of `rows_of(tile)`.
            most: look at so many rows and columns only, the first ones; None at all.
        """
        i, j = self.places[tile].tolist()
        (row_classes, row_norms), (column_classes, column_norms) = self._rows.atoms_of(i), self._columns.atoms_of(j)
        most_rows, most_columns = most or (None, None)
        rows = _shortened(self._rows.starts[i : i + 2], most_rows)
        columns = _shortened(self._columns.starts[j : j + 2], most_columns)
        class_of_row, class_of_column = self._rows.classes[rows], self._columns.classes[columns]
        if isinstance(floor, np.ndarray):
            row_place = np.arange(len(class_of_row))
            least = self.rising.product_below(floor[:, None], class_of_row[:, None], column_classes[None, :])
        else:
            row_place = np.searchsorted(row_classes, class_of_row)
            least = self.rising.product_below(floor, row_classes[:, None], column_classes[None, :])
        error = self._error * row_norms.max() * column_norms.max() + self._underflow
        least -= error
        column_place = np.searchsorted(column_classes, class_of_column)
        least_of_row, least_of_column = least.min(axis=1)[row_place], least.min(axis=0)[column_place]
        # Norms fall within a band: the rows, and the columns, that cannot reach the floor are the last ones.
        rows = _up_to_last(rows, self._rows.norms[rows] * column_norms.max() >= least_of_row)
        columns = _up_to_last(columns, self._columns.norms[columns] * row_norms.max() >= least_of_column)
        shape = rows.stop - rows.start, columns.stop - columns.start
        products = self._multiplied(rows, columns, shape)
        with np.errstate(over="ignore"):
            cut = np.nextafter(least_of_row[: shape[0]].astype(np.float32), np.float32(-np.inf))
        reaches = self._reaches[: shape[0] * shape[1]].reshape(shape)
        np.greater_equal(products, cut[:, None], out=reaches)
        row, column = np.divmod(np.flatnonzero(reaches), max(shape[1], 1))
        if self.is_triangle and i == j:  # rows and columns start at the same node
            above = column > row
            row, column = row[above], column[above]
        product = products[row, column].astype(np.float64)
        if least.shape[1] > 1 or len(row_classes) > 1:  # the row was asked for the least of its classes
            enough = product >= least[row_place[row], column_place[column]]
            row, column, product = row[enough], column[enough], product[enough]
        classes = class_of_row[row], class_of_column[column]
        high = self.rising.logit(product + error, *classes)
        low = self.rising.logit(product - error, *classes)
        enough = high >= (floor[row] if isinstance(floor, np.ndarray) else floor)
        nodes = self._rows.nodes[rows][row[enough]], self._columns.nodes[columns][column[enough]]
        return Survivors(*nodes, low[enough], high[enough])

    def rows_of(self, tile: int) -> Nodes:
        """Shape (rows,): the source nodes of a tile, in its order."""
        i = int(self.places[tile, 0])
        return self._rows.nodes[self._rows.starts[i] : self._rows.starts[i + 1]]

    def _multiplied(self, rows: slice, columns: slice, shape: tuple[int, int]) -> NDArray[np.float32]:
        size = shape[0] * shape[1]
        self.num_computed += size
        if len(self._products) < size:
            self._products, self._reaches = np.empty(size, dtype=np.float32), np.empty(size, dtype=np.bool_)
        out = self._products[:size].reshape(shape)
        return np.matmul(self._rows.factors[rows], self._columns.factors[columns].T, out=out)

    def _bound_tiles(self) -> tuple[Floats, Nodes]:
        """The largest logit that a tile can hold, falling, and the places (row tile, column tile) of the tiles."""
        row_tile, row_class, row_norm = self._rows.atoms
        column_tile, column_class, column_norm = self._columns.atoms
        if not len(row_tile) or not len(column_tile):
            return np.empty(0), np.empty((0, 2), dtype=np.int64)
        starts = np.flatnonzero(np.diff(column_tile, prepend=-1))
        bounds = np.full((len(self._rows.starts) - 1, len(self._columns.starts) - 1), -np.inf)
        for tile, of_class, norm in zip(row_tile.tolist(), row_class.tolist(), row_norm.tolist(), strict=True):
            largest = norm * column_norm * (1.0 + self._error) + self._underflow
            of_atoms = self.rising.logit(largest, np.int64(of_class), column_class)  # type: ignore[arg-type]
            np.maximum(bounds[tile], np.maximum.reduceat(of_atoms, starts), out=bounds[tile])
        if self.is_triangle:
            places = np.column_stack(np.triu_indices(len(bounds)))
        else:
            places = np.column_stack([each.ravel() for each in np.indices(bounds.shape)])
        falling = bounds[places[:, 0], places[:, 1]]
        order = np.lexsort((places[:, 1], places[:, 0], -falling))
        return falling[order], places[order]


def _shortened(ends: Nodes, most: int | None) -> slice:
    start, stop = ends.tolist()
    return slice(start, stop if most is None else min(stop, start + most))


def _up_to_last(part: slice, needed: NDArray[np.bool_]) -> slice:
    """The part without what follows the last one that is needed."""
    last = np.flatnonzero(needed)
    return slice(part.start, part.start + (int(last[-1]) + 1 if len(last) else 0))
