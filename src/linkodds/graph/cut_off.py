"""Cut-off nodes: those without an edge that a model may see, where their number says something of the held-out edges.

A node is in the graph because it has an edge, so a node without an edge in the message graph must have a held-out one: "no
edge, so a link" is true of every such node of the split, and of no link that is truly missing. Where the list of nodes is
complete, nodes without an edge are usual and say nothing of the kind; so the list is looked at first.
"""

import numpy as np
from numpy.typing import NDArray

from linkodds.pairs import Pairs, PairSpace


def cut_off_nodes(visible: Pairs, hidden: Pairs, space: PairSpace, others: Pairs | None = None) -> NDArray[np.int64]:
    """Nodes of which no edge is visible, where the list of nodes was made from edges; none where no edge is hidden so.

    Those of a few listed nodes without any recorded edge are among them: to judge these alone would say "no edge, so no link".

    Args:
        visible: shape (edges, 2): what a model may see.
        hidden: shape (edges, 2): the other recorded edges.
        space: the admissible pairs; each side of a bipartite graph has a list of its own.
        others: shape (pairs, 2), edges of other kinds: their ends are listed whatever edges of this kind they have.
    Returns:
        Increasing node numbers, int64.
    Example:
        >>> star = np.array([[0, 1], [0, 2], [0, 3]])
        >>> cut_off_nodes(star[:2], star[2:], PairSpace(4)).tolist()
        [3]
    """
    seen, held = (np.bincount(pairs.ravel(), minlength=space.num_nodes) for pairs in (visible, hidden))
    degrees = seen + held
    is_listed = np.zeros(space.num_nodes, dtype=np.bool_)
    if others is not None:
        is_listed[others] = True
    is_cut_off = (seen == 0) & ~is_listed
    starts = np.cumsum([0, *(space.sides or (space.num_nodes,))])
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        hides = is_cut_off[start:stop] & (held[start:stop] > 0)
        if not hides.any() or names_all_nodes(degrees[start:stop][~is_listed[start:stop]]):
            is_cut_off[start:stop] = False
    is_cut_off[starts[-1] :] = False  # on neither side, and in no pair
    return np.flatnonzero(is_cut_off)


def names_all_nodes(degrees: NDArray[np.int64]) -> bool:
    """Whether a list of nodes names those without an edge too, as far as the degrees can tell.

    Of f1 nodes with one recorded edge and f2 with two, at least f1 (f1 - 1) / (2 (f2 + 1)) more are expected with none
    (Chao, Scandinavian Journal of Statistics 11, 1984: how many species were not seen at all). A list that names half as
    many counts as complete; one without any isolated node, or with a few, was made from edges.

    Args:
        degrees: shape (nodes,): recorded edges of each node.
    Example:
        >>> names_all_nodes(np.repeat([0, 1, 2], [37, 37, 18])), names_all_nodes(np.repeat([0, 1, 2], [3, 37, 18]))
        (True, False)
    """
    none, one, two = (int(np.count_nonzero(degrees == k)) for k in range(3))
    return none > 0 and 4 * none * (two + 1) >= one * (one - 1)
