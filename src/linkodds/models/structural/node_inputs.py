"""Node inputs: inputs of the structural pair features that describe one node, from the message graph and node features."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.graph.features import Features
from linkodds.models.structural.spectral import Embedding, Floats, low_rank

FEATURE_RANKS = (16, 128, 384)
FEATURE_HOPS = (0, 1, 2, 4)
ROLES = ("degree", "mean_neighbor_degree", "max_neighbor_degree", "clustering", "pagerank")


def normalized(a: sp.csr_array) -> sp.csr_array:
    """D^-1/2 A D^-1/2."""
    left, right = (1 / np.sqrt(np.maximum(np.asarray(a.sum(axis=axis)), 1.0)) for axis in (1, 0))
    return sp.csr_array(sp.diags_array(left) @ a @ sp.diags_array(right))


def node_roles(a: sp.csr_array) -> NDArray[np.float32]:
    """Degree, mean and largest degree of the neighbours, clustering and PageRank; shape (nodes, 5), float32."""
    num_nodes = a.shape[0]
    degree = np.asarray(a.sum(axis=1), dtype=np.float64)
    divisor = np.maximum(degree, 1.0)
    largest = np.zeros(num_nodes)
    np.maximum.at(largest, np.repeat(np.arange(num_nodes), np.diff(a.indptr)), degree[a.indices])
    undirected = (a + a.T).astype(bool).astype(np.float64).tocsr()
    width = np.asarray(undirected.sum(axis=1), dtype=np.float64)
    triangles = np.asarray((undirected @ undirected).multiply(undirected).sum(axis=1), dtype=np.float64)
    step = a.T.tocsr()
    rank = np.full(num_nodes, 1 / num_nodes)
    for _ in range(50):
        rank = 0.85 * (step @ (rank / divisor) + rank[degree == 0].sum() / num_nodes) + 0.15 / num_nodes
    columns = [
        degree,
        (a @ degree) / divisor,
        largest,
        triangles / np.maximum(width * (width - 1), 1.0),
        rank * num_nodes,
    ]
    return np.column_stack(columns).astype(np.float32)


def feature_directions(features: Features, rng: np.random.Generator) -> Floats:
    """Node features cut down to their leading directions, rows of unit length, shape (nodes, at most 384), float64.

    Columns of sparse features count by log(nodes / nodes that have them): a rare word in common says more than a common one.

    Args:
        features: of the nodes.
        rng: of the start of the spectral approximation.
    """
    x = sp.csr_array(features.matrix.astype(np.float64))
    if sp.issparse(features.matrix):
        nodes_with = np.bincount(x.indices[x.data != 0], minlength=x.shape[1])
        x = sp.csr_array(x @ sp.diags_array(np.log(x.shape[0] / np.maximum(nodes_with, 1))))
    lengths = np.sqrt(np.asarray(x.multiply(x).sum(axis=1)))
    x = sp.csr_array(sp.diags_array(1 / np.where(lengths > 0, lengths, 1.0)) @ x)
    reduced = low_rank(x, min(FEATURE_RANKS[-1], *x.shape), rng, symmetric=False)
    return _unit(reduced.left * reduced.values)


def smoothed(directions: Floats, normal: sp.csr_array, *, symmetric: bool) -> dict[str, Embedding]:
    """Directions smoothed over the message graph, rows of unit length; and those of a node beside its neighbours'."""
    z, result = directions, {}
    for hops in range(FEATURE_HOPS[-1] + 1):
        if hops:
            z = 0.5 * (z + normal @ z)
        if hops in FEATURE_HOPS:
            unit = _unit(z)
            result[f"cosine_{hops}"] = Embedding.rounded(unit, unit)
    out = _unit(normal @ directions)
    into = out if symmetric else _unit(normal.T @ directions)
    # A source's own against what links to the target, and what the source links to against the target's own.
    result["cosine_to_neighbors"] = Embedding.rounded(np.hstack([directions, out]), np.hstack([into, directions]))
    return result


def _unit(rows: Floats) -> Floats:
    """Rows of length 1, or 0 where there is nothing."""
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    result: Floats = np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-12)
    return result
