"""A graph as a data frame, and as it is read where two columns are two kinds of things."""

import itertools
from typing import Any

import pandas as pd
from known import (
    Edge,
    Known,
)


def frame(known: Known, columns: str = "source target kind weight year", *, integers: bool = False) -> pd.DataFrame:
    """A data frame of edges; `a=source` calls a column a."""
    data: dict[str, Any] = {}
    for column in columns.split():
        name, _, of = column.rpartition("=")
        values: list[Any] = [getattr(edge, of) for edge in known.edges]
        data[name or of] = list(map(int, values)) if integers and of in ("source", "target") else values
    return pd.DataFrame(data)


def separated(known: Known, left: str, right: str) -> Known:
    """What --separate-ids says: an id of both sides is two nodes, COLUMN:ID each; others stay."""
    first, second = ({edge.source for edge in known.edges}, {edge.target for edge in known.edges})
    both = first & second
    edges = tuple(
        Edge(
            f"{left}:{e.source}" if e.source in both else e.source,
            f"{right}:{e.target}" if e.target in both else e.target,
            e.kind,
            e.weight,
            e.year,
        )
        for e in known.edges
    )
    nodes = tuple(dict.fromkeys(itertools.chain.from_iterable((e.source, e.target) for e in edges)))
    return Known(nodes, edges, bipartite=True)
