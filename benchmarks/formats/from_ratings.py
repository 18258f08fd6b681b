"""Users and films that share numbers, as they are read when the columns are kept apart."""

import itertools

from known import USERS, Edge, Known


def rated(left: str, right: str, *, all_of_them: bool = False) -> Known:
    """An id of both sides is two nodes, COLUMN:ID each; others stay, unless all are to be marked."""
    first, second = ({getattr(edge, end) for edge in USERS.edges} for end in ("source", "target"))
    both = first | second if all_of_them else first & second
    edges = tuple(
        Edge(
            f"{left}:{e.source}" if e.source in both else e.source,
            f"{right}:{e.target}" if e.target in both else e.target,
            e.kind,
            e.weight,
            e.year,
        )
        for e in USERS.edges
    )
    nodes = tuple(dict.fromkeys(itertools.chain.from_iterable((e.source, e.target) for e in edges)))
    return Known(nodes, edges, bipartite=True)
