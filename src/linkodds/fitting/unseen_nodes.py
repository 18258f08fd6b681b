"""Calibration edges of nodes that training never saw, where they are what turns a ranking upside down."""

import numpy as np

from linkodds.graph.split import Split


def cause_of_inversion(split: Split) -> str | None:
    """Why non-edges may rank above the calibration edges of a split: most of these touch a node without a train edge.

    In a directed graph such a node is a source that starts no train edge, or a target that ends none.

    Returns:
        One or two sentences with the cure, or None where half of the calibration edges or fewer are so.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> part = np.array([[0, 3], [1, 4], [1, 2]])
        >>> split = Split(np.array([[0, 1], [0, 2]]), np.array([[0, 6]]), part, np.array([[0, 5]]), PairSpace(7))
        >>> print(cause_of_inversion(split))
        2 of 3 calibration edges touch a node that has no train edge, and a model of the graph puts such nodes last. Give
        training more of the edges (--split), or take a model of node features.
    """
    space, train, edges = split.space, split.train, split.calibration
    sources = np.zeros(space.num_nodes, dtype=np.bool_)
    targets = np.zeros(space.num_nodes, dtype=np.bool_)
    sources[train[:, 0]], targets[train[:, 1]] = True, True
    if not space.directed:
        sources = targets = sources | targets
    num_unseen = int((~(sources[edges[:, 0]] & targets[edges[:, 1]])).sum())
    if 2 * num_unseen <= len(edges):
        return None
    what = "start at a node that starts no train edge or end at one that ends none" if space.directed else None
    what = what or "touch a node that has no train edge"
    later = "" if split.times is None else f"; they are later by column {split.times.column!r}, when new nodes come"
    cure = "Give training more of the edges (--split), or take a model of node features"
    cure += "." if split.times is None else ", or leave --time out to learn of the nodes that are there."
    count = f"All {num_unseen:,}" if num_unseen == len(edges) else f"{num_unseen:,} of {len(edges):,}"
    return f"{count} calibration edges {what}{later}, and a model of the graph puts such nodes last. {cure}"
