"""The options that commands take, by name; where an option is not given its value is None."""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linkodds.errors import OptionError
from linkodds.options import RUN, FitOptions, NamedOption, options_of
from linkodds.reading.database_urls import Database, database_of, is_database_url, place_of
from linkodds.reading.graph_options import EdgeListOptions

if TYPE_CHECKING:
    from linkodds.config import FitConfig

    Place = Path | Database
else:
    Place = Path  # typer has no use for unions: it takes what the parser makes


def read_place(text: str) -> Place:
    """A file or a database, as it is typed. A password goes no further than this: what is made of it does not show it."""
    try:
        return place_of(text)
    except OptionError as error:
        raise typer.BadParameter(str(error)) from None


def read_table_url(text: str) -> Database:
    """A table of a database, as it is typed."""
    if not is_database_url(text):
        raise typer.BadParameter("--to takes the URL of a database, and this is none; for a file use --out FILE.")
    try:
        return database_of(text).with_table("--to")
    except OptionError as error:
        raise typer.BadParameter(str(error)) from None


_NEW = "New nodes (models that know a node by its features)"
_ASSUMPTION = "How many links are missing (give one; LOW:HIGH gives a band)"


def made(each: NamedOption) -> Any:
    """An option of the command line, as typer takes it."""
    return typer.Option(
        *(each.option.flags or (f"--{each.name.replace('_', '-')}",)),
        metavar=each.option.metavar or {int: "N", float: "X", str: "NAME"}.get(_shape(each)),
        help=f"{each.words}.".replace("[", "\\["),
        show_default=each.shown_default or False,
        rich_help_panel=each.option.panel,
    )


def _shape(each: NamedOption) -> type:
    """What a user types: a number, a path, a switch or text."""
    if each.kind is Any:
        return Path
    for shape in (int, float, bool):
        if each.kind in (shape, shape | None):
            return shape
    return str


def _is_switch_off(each: NamedOption) -> bool:
    """Whether it can only be switched off, as --no-header does."""
    return any(flag.startswith("--no-") for flag in each.option.flags)


def made_of(*holders: type, only_of_fit: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command: in the place of its `**typed` it takes all options of these classes; `given` tells them apart.

    Args:
        holders: classes of options.
        only_of_fit: whether options that make sense for a single fit only are among them.
    """

    annotated: Any = Annotated  # with a type that is known when the command is made

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for each in signature(command).parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        parameters = []
        for each in (option for holder in holders for option in options_of(holder).values()):
            if each.option.of_one_fit and not only_of_fit:
                continue
            shape: Any = _shape(each)
            is_switch = each.kind is bool or _is_switch_off(each)
            kind = annotated[shape if is_switch else shape | None, made(each)]
            default = False if is_switch else None
            parameters.append(Parameter(each.name, Parameter.KEYWORD_ONLY, default=default, annotation=kind))
        needed = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in own if each.default is Parameter.empty]
        others = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in own if each.default is not Parameter.empty]
        parameters = [*needed, *parameters, *others]
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return decorate


def given(holder: type, typed: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a class that were typed, name -> value; those that were not are left out.

    Args:
        holder: one of the classes that the command was `made_of`.
        typed: all options of these classes, as typer gives them.
    """
    both = [(each, typed[name]) for name, each in options_of(holder).items() if name in typed]
    return {each.name: _meant(each, value) for each, value in both if _is_typed(each, value)}


def _is_typed(each: NamedOption, value: Any) -> bool:
    return value is not None and not (value is False and (each.kind is bool or _is_switch_off(each)))


def _meant(each: NamedOption, value: Any) -> Any:
    return False if _is_switch_off(each) else value


def config_of(
    options: Mapping[str, Any], file: Path | None, before: Mapping[str, Any] = MappingProxyType({})
) -> "FitConfig":
    """The options of a fit: what was typed wins over the file, and this over those of an interrupted fit."""
    from linkodds.config import FitConfig, read_config

    return FitConfig.from_options({**before, **({} if file is None else read_config(file)), **options})


_OF_READING, _OF_FIT = options_of(EdgeListOptions), options_of(FitOptions)

# options of a graph or a fit that other commands take too
Query = Annotated[str | None, made(_OF_READING["query"])]
Nodes = Annotated[Path | None, made(_OF_READING["nodes"])]
Directed = Annotated[bool, made(_OF_READING["directed"])]
Features = Annotated[Path | None, made(_OF_READING["features"])]
DecisionRule = Annotated[str | None, made(_OF_FIT["decision"])]

# arguments
EdgesFile = Annotated[
    Place,
    typer.Argument(
        metavar="EDGES",
        help="Edge list or graph: .csv .tsv .txt .parquet .xlsx .sif .graphml .gexf .cx2 .h5ad and 40 more; or a database, "
        "postgresql://USER@HOST/DATABASE?table=NAME, sqlite:///FILE?table=NAME, duckdb:///FILE?table=NAME.",
        parser=read_place,
    ),
]
ToTable = Annotated[
    Database | None,
    typer.Option(
        "--to",
        metavar="URL",
        help="Table to make, in one transaction, in the place of --out: postgresql://..., sqlite:///... or duckdb:///..., "
        "with ?table=NAME.",
        parser=read_table_url,
    ),
]
Append = Annotated[bool, typer.Option("--append", help="With --to: add to a table that is there.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="RUN", help="Run directory that 'linkodds fit' wrote.")]
PairsFile = Annotated[
    Place, typer.Argument(metavar="PAIRS", help="Pairs of ids, a file or a database like EDGES.", parser=read_place)
]

NewNodes = Annotated[
    Path | None,
    typer.Option("--nodes", metavar="FILE", help="Ids that the run does not know, one a line.", rich_help_panel=_NEW),
]
NewFeatures = Annotated[
    Path | None,
    typer.Option(
        "--features", metavar="FILE", help="Their features, with the columns of the fit.", rich_help_panel=_NEW
    ),
]
NewEdges = Annotated[
    Place | None,
    typer.Option(
        "--edges",
        metavar="EDGES",
        help="Their edges, to known nodes or to each other; a file or a table.",
        rich_help_panel=_NEW,
        parser=read_place,
    ),
]
# run
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="YAML as 'linkodds config' prints it; options win.", rich_help_panel=RUN
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where an interrupted fit of the same graph stopped; options that are not given are taken from it.",
        rich_help_panel=RUN,
    ),
]
TensorBoard = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        help="Write the history for TensorBoard while training (pip install 'linkodds\\[track]').",
        rich_help_panel=RUN,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Fit through files in blocks, for graphs that do not fit the memory: local, or ray (pip install 'linkodds\\[ray]').",
        show_default="in memory",
        rich_help_panel=RUN,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Fit through files in blocks that keep within this, such as 4GB.",
        show_default="in memory",
        rich_help_panel=RUN,
    ),
]
Mlflow = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        metavar="URI",
        help="Log to MLflow, http://... or sqlite:///FILE: history, options, evaluation and report (pip install "
        "'linkodds\\[track]').",
        rich_help_panel=RUN,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.", rich_help_panel=RUN)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.", rich_help_panel=RUN)]

# assumptions about the links that are missing: a number, or an interval as LOW:HIGH
Prevalence = Annotated[
    str | None,
    typer.Option(metavar="P or LOW:HIGH", help="Missing links among the candidates.", rich_help_panel=_ASSUMPTION),
]
ExpectedMissing = Annotated[
    str | None,
    typer.Option(metavar="N or LOW:HIGH", help="Number of missing links.", rich_help_panel=_ASSUMPTION),
]
LabelFrequency = Annotated[
    str | None,
    typer.Option(
        metavar="C or LOW:HIGH", help="Share of all true links that is recorded.", rich_help_panel=_ASSUMPTION
    ),
]

# scores of somebody's program
_SCORES = "Somebody's scores, in the place of a RUN"
Scores = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Table of source, target and a score.", rich_help_panel=_SCORES),
]
AllEdges = Annotated[
    Path | None,
    typer.Option("--edges", metavar="EDGES", help="All recorded edges, held-out ones too.", rich_help_panel=_SCORES),
]
HeldOutEdges = Annotated[
    Path | None,
    typer.Option(
        "--held-out",
        metavar="FILE",
        help="The edges that the scorer did not know.",
        show_default="those with a score",
        rich_help_panel=_SCORES,
    ),
]
Scored = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which pairs have a score: all candidates; uniform, all held-out edges and non-edges drawn uniformly; top, the "
        "best by their scores.",
        show_default="all, if they have",
        rich_help_panel=_SCORES,
    ),
]
ScoresOut = Annotated[
    Path | None,
    typer.Option("--out", metavar="RUN", help="Save as a run, with its report.", rich_help_panel=_SCORES),
]
ScoresSeed = Annotated[
    int,
    typer.Option("--seed", min=0, help="Random seed for the held-out edges that calibrate.", rich_help_panel=_SCORES),
]
