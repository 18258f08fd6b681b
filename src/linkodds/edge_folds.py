"""Edge folds: a graph's edges as rows that scikit-learn can deal out, and a splitter that never parts one edge."""

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import DataError, OptionError
from linkodds.graph.graph import Graph
from linkodds.reading.reading import read_pairs


@dataclass(frozen=True, eq=False)
class EdgeRows:
    """The edges of a graph as rows, for `GridSearchCV` and its like: a part of them is a graph with all the nodes.

    A plain array of pairs works there too; but then a part knows only the nodes that its own edges touch, and no features.

    Args:
        graph: whose edges are meant.
        rows: shape (rows,), which of its edges; None: all.
    Example:
        >>> rows = EdgeRows(Graph.from_edges([("a", "b"), ("b", "c"), ("c", "d")]))
        >>> rows.shape, rows[np.array([0, 2])].to_graph().num_nodes
        ((3, 2), 4)
    """

    graph: Graph
    rows: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and two ends."""
        return (self.graph.num_edges if self.rows is None else len(self.rows)), 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> "EdgeRows":
        """Some of the rows; `key` is an index array, a mask, a slice, or a tuple that begins with one."""
        key = key[0] if isinstance(key, tuple) else key
        rows = np.arange(self.graph.num_edges) if self.rows is None else self.rows
        return EdgeRows(self.graph, np.atleast_1d(rows[key]))

    def to_graph(self) -> Graph:
        """These edges with their times and weights, and all nodes, features and edges of other kinds."""
        if self.rows is None:
            return self.graph
        rows = np.sort(self.rows)
        times, weights = self.graph.times, self.graph.weights
        return Graph(
            self.graph.ids,
            self.graph.edges[rows],
            self.graph.space,
            self.graph.features,
            times=None if times is None else times.of(rows),
            weights=None if weights is None else weights.among(rows),
            others=self.graph.others,
        )

    def ids(self) -> NDArray[np.object_]:
        """Shape (rows, 2): the ends, as the user calls them."""
        edges = self.graph.edges if self.rows is None else self.graph.edges[self.rows]
        return np.asarray(self.graph.ids[edges])


@dataclass(frozen=True)
class EdgeKFold:
    """Cross-validation over edges: each is held out once, and both directions of an edge, and repeats, go together.

    Rows that are one edge in two parts would be known to whoever is judged on them: scikit-learn's own `KFold` deals rows.

    Args:
        n_splits: number of folds, at least 2.
        directed: whether (u, v) and (v, u) are two edges.
        random_state: seed of the shuffle.
    Raises:
        OptionError: fewer than two folds.
    Example:
        >>> pairs = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d")]
        >>> [test.tolist() for _, test in EdgeKFold(3, random_state=1).split(pairs)]
        [[0, 1], [2], [3]]
    """

    n_splits: int = 5
    directed: bool = False
    random_state: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.n_splits, Integral) or self.n_splits < 2:
            raise OptionError(f"n_splits has to be a whole number from 2, got {self.n_splits!r}.")

    def split(
        self, X: Any, y: None = None, groups: None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield (train rows, test rows).

        Args:
            X: `EdgeRows`, or pairs of ids, shape (rows, 2).
            y: ignored, like the next.
            groups: ignored.
        Raises:
            DataError: fewer edges than folds.
        """
        del y, groups
        source, target = X.ids().T if isinstance(X, EdgeRows) else read_pairs(X)
        ends = np.column_stack([source, target]).astype(str)
        if not self.directed and not (isinstance(X, EdgeRows) and X.graph.space.directed):
            ends = np.sort(ends, axis=1)
        edge = np.unique(ends, axis=0, return_inverse=True)[1].ravel()
        num_edges = int(edge.max()) + 1 if len(edge) else 0
        if num_edges < self.n_splits:
            raise DataError(f"{num_edges} edges cannot be dealt into {self.n_splits} folds; ask for fewer.")
        order = np.random.default_rng(self.random_state).permutation(num_edges)
        for part in np.array_split(order, self.n_splits):
            is_test = np.isin(edge, part)
            yield np.flatnonzero(~is_test), np.flatnonzero(is_test)

    def get_n_splits(self, X: Any = None, y: None = None, groups: None = None) -> int:
        """Number of folds."""
        del X, y, groups
        return self.n_splits
