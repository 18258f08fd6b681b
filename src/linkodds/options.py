"""Every option of reading and of a fit, once: name, type, default, range and help text.

`ReadingOptions` and `FitConfig` check them, the command line and `LinkPredictor` are made from them: to add one, add its
line here. This module is light, so that `linkodds --help` answers at once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

GRAPH, MODEL, TRAINING, DECISION, RUN = "Graph", "Model", "Training", "Decision", "Run"
"""Panels of `linkodds fit --help`."""


@dataclass(frozen=True)
class Option:
    """What an option means, beside its name, type and default; the range is checked wherever a value is made.

    Args:
        text: what it is, a noun or a verb first, without a full stop.
        panel: of the help page.
        metavar: word for its value; None: by the type.
        default: what is taken where the default is None.
        flags: of the command line; none: the name with two dashes.
        ge: least value allowed; likewise the next three.
        gt: the value has to be above this.
        le: largest value allowed.
        lt: the value has to be below this.
    Example:
        >>> Option("Share of ...", MODEL, ge=0, lt=1).range
        '0 to below 1'
    """

    text: str
    panel: str
    metavar: str | None = None
    default: str | None = None
    flags: tuple[str, ...] = ()
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True  # pydantic reads the range from `__iter__`

    def __iter__(self) -> Iterator[Any]:
        from annotated_types import Ge, Gt, Le, Lt

        bounds = ((Ge, self.ge), (Gt, self.gt), (Le, self.le), (Lt, self.lt))
        yield from (bound(value) for bound, value in bounds if value is not None)

    @property
    def range(self) -> str:
        """The range in words; empty where every value goes."""
        low = f"{self.ge:g}" if self.ge is not None else f"above {self.gt:g}" if self.gt is not None else ""
        high = f"{self.le:,g}" if self.le is not None else f"below {self.lt:g}" if self.lt is not None else ""
        return f"{low} to {high}" if low and high else f"{low} or more" if self.ge is not None else low or high


@dataclass(frozen=True)
class NamedOption:
    """An option with all that is known of it.

    Args:
        name: as in Python and in a configuration file.
        kind: the type, without what is beside it.
        default: its value where it is not given.
        option: the rest.
    """

    name: str
    kind: Any
    default: Any
    option: Option

    @property
    def help(self) -> str:
        """One sentence that ends with the default."""
        default = self.option.default if self.default is None else self.default
        shown = "/".join(map(str, default)) if isinstance(default, tuple) else default
        return self.option.text + ("." if shown is None else f"; default {shown}.")

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a choice; none of any other option."""
        return get_args(self.kind) if getattr(self.kind, "__origin__", None) is Literal else ()


def options_of(holder: type) -> Mapping[str, NamedOption]:
    """Name -> option, in their order.

    Args:
        holder: one of the classes below, or one with more of them.
    Example:
        >>> list(options_of(ColumnOptions))[:2], options_of(ColumnOptions)["time"].default
        (['time', 'weight'], None)
    """
    found = {}
    for name, annotated in get_type_hints(holder, include_extras=True).items():
        for beside in getattr(annotated, "__metadata__", ()):
            if isinstance(beside, Option):
                found[name] = NamedOption(name, annotated.__origin__, getattr(holder, name), beside)
    return found


@dataclass(kw_only=True, init=False, repr=False, eq=False)
class GraphOptions:
    """How a graph is read: where its nodes, ends and features are."""

    nodes: Annotated[
        Any, Option("All node ids, one a line, isolated ones too", GRAPH, "FILE", "those of edges and features")
    ] = None
    source: Annotated[str | int | None, Option("Column of the first end", GRAPH, "COL", "the first")] = None
    target: Annotated[str | int | None, Option("Column of the second end", GRAPH, "COL", "the second")] = None
    header: Annotated[
        bool | None,
        Option("Take the first line as an edge, not as names", GRAPH, default="detected", flags=("--no-header",)),
    ] = None
    delimiter: Annotated[
        str | None,
        Option("Text between columns: one character, or its name, such as tab", GRAPH, "TEXT", "detected"),
    ] = None
    directed: Annotated[bool, Option("Treat (u, v) and (v, u) as two pairs", GRAPH)] = False
    bipartite: Annotated[
        bool | None,
        Option("Edges join two sides only", GRAPH, default="detected", flags=("--bipartite/--no-bipartite",)),
    ] = None
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


@dataclass(kw_only=True, init=False, repr=False, eq=False)
class FeatureOptions:
    """How node features are scaled."""

    feature_scaling: Annotated[
        Literal["auto", "none", "standard", "row"],
        Option(
            "Scaling of node features: auto is row for sparse counts and standard for the rest; none leaves them as they "
            "are, but for one number that large ones are divided by before the first layer",
            GRAPH,
        ),
    ] = "auto"
