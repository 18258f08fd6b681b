"""Embedding map: embeddings in the plane, near ones near each other, and how far that was kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

MAX_NODES = 1_200
"""More are drawn at random and the rest left out: the projection takes about 5 seconds for so many, on one core."""
MIN_NODES = 10
MAX_DIMENSIONS = 50
NEIGHBORS = 15
_STEPS = 500


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Places of nodes in a plane; axes have no meaning and far distances little.

    Args:
        nodes: shape (points,), int64, increasing: which nodes.
        places: shape (points, 2), float64.
        num_nodes: of the graph.
        num_dimensions: principal components that were projected.
        variance_kept: share of the variance of the embeddings that these components hold.
        trustworthiness: 1 where the 15 nearest in the plane are the nearest in the embedding, about 0.5 where they are
            any (Venna and Kaski, Neural Networks 19, 2006).
    """

    nodes: NDArray[np.int64]
    places: NDArray[np.float64]
    num_nodes: int
    num_dimensions: int
    variance_kept: float
    trustworthiness: float


def map_embeddings(embeddings: NDArray[Any], rng: np.random.Generator, *, most: int = MAX_NODES) -> EmbeddingMap | str:
    """Principal components, then t-SNE started from the first two (van der Maaten, JMLR 15, 2014), on one thread.

    The same embeddings and generator give the same map: threads would add up in another order.

    Args:
        embeddings: shape (nodes, dim).
        rng: draws the nodes where there are more than `most`, and seeds the projection.
        most: nodes to place.
    Returns:
        The map, or why there is none.
    Example:
        >>> map_embeddings(np.zeros((40, 8)), np.random.default_rng(0))
        'the embeddings of all nodes are the same in all but one direction, so there is nothing to map'
    """
    if len(embeddings) < MIN_NODES:
        return f"{len(embeddings)} nodes are too few to map"
    chosen = rng.choice(len(embeddings), most, replace=False) if len(embeddings) > most else np.arange(len(embeddings))
    nodes = np.sort(chosen).astype(np.int64)
    vectors = np.asarray(embeddings, dtype=np.float64)[nodes]
    with threadpool_limits(1):
        centred = vectors - vectors.mean(axis=0)
        if np.linalg.matrix_rank(centred) < 2:
            return "the embeddings of all nodes are the same in all but one direction, so there is nothing to map"
        components = PCA(min(MAX_DIMENSIONS, *centred.shape), svd_solver="full")
        reduced = components.fit_transform(centred)
        reduced /= reduced[:, 0].std()  # the projection does not mind the scale, its stopping rules do
        projection = TSNE(
            perplexity=min(30.0, (len(nodes) - 1) / 3),
            init="pca",
            max_iter=_STEPS,
            random_state=int(rng.integers(2**31)),
            n_jobs=1,
        )
        places = np.asarray(projection.fit_transform(reduced), dtype=np.float64)
        kept = trustworthiness(reduced, places, n_neighbors=min(NEIGHBORS, (len(nodes) - 1) // 2))
    return EmbeddingMap(
        nodes=nodes,
        places=places,
        num_nodes=len(embeddings),
        num_dimensions=reduced.shape[1],
        variance_kept=min(float(components.explained_variance_ratio_.sum()), 1.0),
        trustworthiness=float(kept),
    )
