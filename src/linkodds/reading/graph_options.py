"""Every option of reading, once: name, type, default and help text, as `linkodds.options` has those of a fit."""

from dataclasses import dataclass
from typing import Annotated, Any

from linkodds.options import GRAPH, Option


@dataclass(kw_only=True, init=False, repr=False, eq=False)
class GraphOptions:
    """How a graph is read: where its nodes, ends and features are."""

    nodes: Annotated[
        Any, Option("All node ids, one a line, isolated ones too", GRAPH, "FILE", "those of edges and features")
    ] = None
    source: Annotated[str | int | None, Option("Column of the first end", GRAPH, "COL", "by names and values")] = None
    target: Annotated[str | int | None, Option("Column of the second end", GRAPH, "COL", "by names and values")] = None
    header: Annotated[
        bool | None,
        Option("Take the first line as an edge, not as names", GRAPH, default="detected", flags=("--no-header",)),
    ] = None
    delimiter: Annotated[
        str | None,
        Option("Text between columns: one character, or its name, such as tab", GRAPH, "TEXT", "detected"),
    ] = None
    directed: Annotated[
        bool | None,
        Option(
            "Treat (u, v) and (v, u) as two pairs",
            GRAPH,
            default="what the format says, else undirected",
            flags=("--directed/--undirected",),
        ),
    ] = None
    bipartite: Annotated[
        bool | None,
        Option("Edges join two sides only", GRAPH, default="detected", flags=("--bipartite/--no-bipartite",)),
    ] = None
    separate_ids: Annotated[
        bool,
        Option(
            "Take the two columns as different kinds of things: an id in both is two nodes, told apart as COL:ID", GRAPH
        ),
    ] = False
    features: Annotated[
        Any, Option("Node features: .csv or .parquet with an id column, .npz or .npy", GRAPH, "FILE", "none")
    ] = None
    key: Annotated[
        str | None,
        Option("Graph, sheet or matrix of a file that holds several", GRAPH, "NAME", "the only one"),
    ] = None
    query: Annotated[
        str | None,
        Option("Read-only query of a database, in the place of ?table=NAME", GRAPH, "SELECT", "the whole table"),
    ] = None


@dataclass(kw_only=True, init=False, repr=False, eq=False)
class ColumnOptions:
    """Columns beside the two ends of an edge."""

    time: Annotated[
        str | int | None,
        Option(
            "Column of times (integers, numbers or ISO dates): split by time, train first, test last",
            GRAPH,
            "COL",
            "none, a random split",
        ),
    ] = None
    label: Annotated[
        str | int | None,
        Option(
            "Column of labels: rows above 0 (true, yes) are edges, others are left out",
            GRAPH,
            "COL",
            "none",
        ),
    ] = None
    weight: Annotated[str | int | None, Option("Column of edge weights", GRAPH, "COL", "none")] = None
    weight_as: Annotated[
        str | None,
        Option(
            "Meaning of --weight: confidence (a probability, weighs loss and calibration) or strength (weighs messages)",
            GRAPH,
            "NAME",
            "none",
        ),
    ] = None
    relation: Annotated[
        str | int | None,
        Option("Column of edge kinds: one is predicted, the others carry messages", GRAPH, "COL", "none"),
    ] = None
    predict_kind: Annotated[
        str | None,
        Option(
            "Kind of edges to predict", GRAPH, "KIND", "the kind with most rows", flags=("--predict", "--predict-kind")
        ),
    ] = None


class EdgeListOptions(ColumnOptions, GraphOptions):
    """All options of reading."""
