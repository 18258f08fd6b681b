"""NodeEmbedding: embeddings of nodes as the columns of a scikit-learn transformer."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from linkodds.errors import DataError, OptionError, UnknownNode
from linkodds.graph.graph import Graph


class NodeEmbedding(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Node ids in, the embeddings that a link predictor learnt out: columns for a classifier of nodes, in a `Pipeline`.

    The graph is a parameter, since a classifier's rows are nodes: no labels are looked at. `set_output` gives the columns
    names, as in any transformer. A `LinkPredictor` itself is none: the logits of edges it was fitted on are no features,
    since it learnt them from these edges.

    Args:
        predictor: an unfitted `LinkPredictor` of a model with embeddings.
        graph: with all nodes that rows will name.
    Example:
        >>> import networkx as nx
        >>> from linkodds import LinkPredictor
        >>> graph = Graph.from_edges(nx.karate_club_graph())
        >>> embedding = NodeEmbedding(LinkPredictor(model="gae", dim=2, epochs=5, folds=1), graph)
        >>> embedding.set_output(transform="pandas").fit_transform(["0", "33"]).columns.tolist()
        ['embedding0', 'embedding1']
    """

    def __init__(self, predictor: Any = None, graph: Graph | None = None) -> None:
        self.predictor = predictor
        self.graph = graph

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Fit the predictor on the graph; rows and labels are not looked at.

        Raises:
            OptionError: no graph or predictor, or a model that has no embeddings.
        """
        del X, y
        if self.predictor is None or self.graph is None:
            raise OptionError("NodeEmbedding takes an unfitted LinkPredictor and the graph of its nodes.")
        self.predictor_ = clone(self.predictor).fit(self.graph)
        if self.predictor_.embeddings_ is None:
            raise OptionError(
                f"{self.predictor_.run_.model} has no embeddings; take model='gae' or another autoencoder."
            )
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Embeddings, shape (rows, dim), float32; rows are node ids, shape (rows,) or (rows, 1).

        Raises:
            UnknownNode: an id that the graph does not have.
            DataError: rows of more than one id.
        """
        check_is_fitted(self, "predictor_")
        given = np.asarray(X, dtype=object)
        if given.ndim not in (1, 2) or (given.ndim == 2 and given.shape[1] != 1):
            raise DataError(
                f"rows are node ids, shape (rows,) or (rows, 1), not {given.shape}; pairs have no embedding."
            )
        names = given.ravel()
        index = self.predictor_.run_.index
        rows = np.fromiter((index.get(str(name), -1) for name in names), dtype=np.int64, count=len(names))
        if (rows < 0).any():
            raise UnknownNode(f"{names[int(np.argmax(rows < 0))]!r} is no node of the graph.")
        return np.asarray(self.predictor_.embeddings_[rows])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns."""
        del input_features
        check_is_fitted(self, "predictor_")
        return np.array([f"embedding{k}" for k in range(self.predictor_.embeddings_.shape[1])], dtype=object)
