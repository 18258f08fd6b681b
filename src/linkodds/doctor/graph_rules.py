"""Rules on features, edge lists and splits: D14, D19, D20, D21."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.findings import Finding
from linkodds.pairs import Pairs

FEW = 0.1
"""A smaller share of constant columns is for information: a word that no document has left harms nothing."""


def constant_features(matrix: NDArray[np.floating] | sp.csr_array) -> Finding | None:
    """D14: feature columns that are the same for every node: an error if all are, for information if under a tenth.

    Args:
        matrix: shape (nodes, features), dense or CSR.
    Example:
        >>> constant_features(np.ones((4, 3))).severity
        'error'
    """
    constant = _is_constant(matrix)
    num, width = int(constant.sum()), len(constant)
    if not num:
        return None
    if num == width:
        message = (
            f"All {width} feature columns are constant, so all nodes look alike and a graph convolution sees degrees "
            "only; ones are not an identity matrix."
        )
        remedy = (
            "Leave the features out (linkodds then learns a table, one row a node), or use degrees, one-hot ids, "
            "random-walk or biological features."
        )
        return Finding("D14", "error", message, remedy, 1.0)
    message = (
        f"{num} of {width} feature columns are constant (the first is column {int(np.argmax(constant)) + 1}): they "
        "say nothing about any node."
    )
    return Finding("D14", "warning" if num >= FEW * width else "info", message, "Drop them.", num / width)


def self_loops(num: int) -> Finding | None:
    """D21: edges from a node to itself."""
    if num == 0:
        return None
    message = f"{num} self-loop(s) among the edges: as targets they are trivially right and inflate every score."
    return Finding(
        "D21",
        "warning",
        message,
        "Drop them from labels and targets (not A + I); keep them in the propagation only.",
        float(num),
    )


def both_directions(num: int, num_pairs: int) -> Finding | None:
    """D20: undirected edges that are listed in both directions, in one set."""
    if num == 0:
        return None
    message = (
        f"{num} of {num_pairs} edges are listed in both directions: counted twice, they narrow every interval by up "
        "to the square root of 2, and a split that takes rows for edges leaks."
    )
    return Finding(
        "D20",
        "warning",
        message,
        "Count each undirected pair once, before splitting; pass --directed if the direction means something.",
        num / num_pairs,
    )


def leaks(
    edges: Mapping[str, Pairs],
    non_edges: Mapping[str, Pairs],
    *,
    directed: bool,
    ids: NDArray[np.object_] | None = None,
) -> list[Finding]:
    """D19 and D20 across sets: an edge in two parts, a non-edge that is an edge, a non-edge in two parts.

    Args:
        edges: shape (pairs, 2) for each part. The sets "train" and "message" belong together and may overlap.
        non_edges: shape (pairs, 2) for each part; the training ones (key "train") may hold held-out edges, which
            training must not know.
        directed: whether (u, v) and (v, u) are two edges.
        ids: shape (nodes,), what the user calls each node; None: by its number.
    """
    found = []

    def overlap(what: str, a: Pairs, b: Pairs) -> list[Finding]:
        return _overlap(what, a, b, directed, ids)

    for a, b in combinations(edges, 2):
        if {a, b} != {"train", "message"}:
            found += overlap(f"{a} and {b} edges", edges[a], edges[b])
    everything = np.concatenate([np.asarray(part).reshape(-1, 2) for part in edges.values()])
    for name, part in non_edges.items():
        known = edges.get("train", everything[:0]) if name == "train" else everything
        found += overlap(f"{name} non-edges and the edges", part, known)
    held_out = [name for name in non_edges if name != "train"]
    for a, b in combinations(held_out, 2):
        found += overlap(f"{a} and {b} non-edges", non_edges[a], non_edges[b])
    return found


def num_both_directions(pairs: Pairs) -> int:
    """Number of distinct undirected pairs that occur in both directions.

    Example:
        >>> num_both_directions(np.array([[0, 1], [1, 0], [1, 2]]))
        1
    """
    pairs = np.unique(np.asarray(pairs).reshape(-1, 2), axis=0)
    keys = pair_keys(pairs, directed=True)
    return int(np.isin(keys[pairs[:, 0] < pairs[:, 1]], pair_keys(pairs[:, ::-1], directed=True)).sum())


def _overlap(what: str, a: Pairs, b: Pairs, directed: bool, ids: NDArray[np.object_] | None) -> list[Finding]:
    a, b = np.asarray(a).reshape(-1, 2), np.asarray(b).reshape(-1, 2)
    shared = np.isin(pair_keys(a, directed), pair_keys(b, directed))
    if not shared.any():
        return []
    u, v = a[shared][0] if ids is None else ids[a[shared][0]]
    message = (
        f"{what} share {int(shared.sum())} pair(s), the first joins nodes {u} and {v}: what is measured on them was "
        "known before."
    )
    found = [
        Finding(
            "D19",
            "error",
            message,
            "Split again, all parts at once, every undirected pair once, non-edges drawn outside all edges.",
            float(shared.sum()),
        )
    ]
    reversed_only = int((shared & ~np.isin(pair_keys(a, True), pair_keys(b, True))).sum())
    if reversed_only:
        message = (
            f"{what} share {reversed_only} pair(s) in opposite directions: the two directions of an undirected edge "
            "went to different sets."
        )
        found.append(
            Finding(
                "D20", "error", message, "Make every undirected pair one row before splitting.", float(reversed_only)
            )
        )
    return found


def pair_keys(pairs: Pairs, directed: bool) -> NDArray[np.int64]:
    """One number a pair, the same for both orders where edges have no direction, shape (pairs,).

    Example:
        >>> keys = pair_keys(np.array([[2, 1], [1, 2]]), directed=False)
        >>> int(keys[0]) == int(keys[1])
        True
    """
    pairs = np.asarray(pairs, dtype=np.int64) if directed else np.sort(np.asarray(pairs, dtype=np.int64), axis=1)
    return pairs[:, 0] * np.int64(1 << 31) + pairs[:, 1]


def _is_constant(matrix: NDArray[np.floating] | sp.csr_array) -> NDArray[np.bool_]:
    parts = []
    for start in range(0, matrix.shape[1], 256):  # float64 copies of a few columns at a time
        block = matrix[:, start : start + 256]
        if sp.issparse(block):
            block = block.astype(np.float64)
            mean = np.asarray(block.mean(axis=0)).ravel()
            variance = np.asarray((block.multiply(block)).mean(axis=0)).ravel() - mean**2
            spread = block.max(axis=0).toarray().ravel() - block.min(axis=0).toarray().ravel()
        else:
            block = np.asarray(block, dtype=np.float64)
            mean, variance, spread = block.mean(axis=0), block.var(axis=0), np.ptp(block, axis=0)
        parts.append((spread == 0) | (variance < 1e-12 * (1 + mean**2)))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.bool_)
