"""The options that commands take, by name; where an option is not given its value is None."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linkodds.errors import OptionError
from linkodds.reading.database_urls import Database, database_of, is_database_url, place_of

if TYPE_CHECKING:
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


_GRAPH, _MODEL, _TRAINING, _DECISION, _RUN = "Graph", "Model", "Training", "Decision", "Run"
_NEW = "New nodes (models that know a node by its features)"
_ASSUMPTION = "How many links are missing (give one; LOW:HIGH gives a band)"

# arguments
EdgesFile = Annotated[
    Place,
    typer.Argument(
        metavar="EDGES",
        help="Edge list: .csv .tsv .txt (.gz), .parquet, .npz, .graphml, .gml; or a database, "
        "postgresql://USER@HOST/DATABASE?table=NAME, sqlite:///FILE?table=NAME, duckdb:///FILE?table=NAME.",
        parser=read_place,
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        metavar="SELECT",
        help="Of a database: what to read, in the place of ?table=NAME; run read-only.",
        rich_help_panel=_GRAPH,
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

# graph
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="The first line is an edge, not names.", rich_help_panel=_GRAPH)
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        help="Between columns: one character, or its name, such as tab.",
        show_default="detected",
        rich_help_panel=_GRAPH,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(metavar="COL", help="Column of the first end.", show_default="the first", rich_help_panel=_GRAPH),
]
Target = Annotated[
    str | None,
    typer.Option(metavar="COL", help="Column of the second end.", show_default="the second", rich_help_panel=_GRAPH),
]
Nodes = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="All node ids, one a line, isolated ones too.", rich_help_panel=_GRAPH),
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
Directed = Annotated[bool, typer.Option("--directed", help="(u, v) and (v, u) are two pairs.", rich_help_panel=_GRAPH)]
Bipartite = Annotated[
    bool | None,
    typer.Option(
        "--bipartite/--no-bipartite", help="Edges join two sides only.", show_default="detected", rich_help_panel=_GRAPH
    ),
]
Features = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Node features: .csv or .parquet with an id column, .npz or .npy.", rich_help_panel=_GRAPH
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        metavar="COL",
        help="Column of times (integers, numbers, ISO dates): split by time, train first, test last.",
        rich_help_panel=_GRAPH,
    ),
]
Weight = Annotated[
    str | None, typer.Option(metavar="COL", help="Column of weights of the edges.", rich_help_panel=_GRAPH)
]
WeightAs = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="confidence (a probability: weighs loss and calibration) or strength (weighs messages).",
        rich_help_panel=_GRAPH,
    ),
]
Relation = Annotated[
    str | None,
    typer.Option(
        metavar="COL", help="Column of kinds: one is predicted, the others carry messages.", rich_help_panel=_GRAPH
    ),
]
PredictKind = Annotated[
    str | None,
    typer.Option(
        "--predict",
        "--predict-kind",
        metavar="KIND",
        help="The kind that is predicted.",
        show_default="the one with most rows",
        rich_help_panel=_GRAPH,
    ),
]
FeatureScaling = Annotated[
    str | None, typer.Option(metavar="NAME", help="auto, none, standard or row.", rich_help_panel=_GRAPH)
]

# model
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="auto, structural-gae, stack, signed-gae, signed-vgae, refined-gae, ncn, gae, vgae, linear-gae, linear-vgae, or a "
        "baseline: degree, common-neighbors, adamic-adar, resource-allocation, l3, katz, ppr, feature-cosine.",
        rich_help_panel=_MODEL,
    ),
]
Decoder = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="auto, inner-product, signed, hadamard or distmult.", rich_help_panel=_MODEL),
]
Objective = Annotated[
    str | None, typer.Option(metavar="NAME", help="auto, all-pairs, sampled or subgraph.", rich_help_panel=_MODEL)
]
PositiveWeight = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Of an edge in the all-pairs loss: auto, none or balanced.", rich_help_panel=_MODEL
    ),
]
ZerosPerEdge = Annotated[
    int | None, typer.Option(metavar="N", help="Of the sampled objective, each epoch.", rich_help_panel=_MODEL)
]
SubgraphNodes = Annotated[
    int | None, typer.Option(metavar="N", help="Nodes that the subgraph objective draws.", rich_help_panel=_MODEL)
]
SubgraphBy = Annotated[
    str | None, typer.Option(metavar="NAME", help="They are drawn by degree or core.", rich_help_panel=_MODEL)
]
SubgraphAlpha = Annotated[float | None, typer.Option(metavar="X", help="To this power.", rich_help_panel=_MODEL)]
Hidden = Annotated[int | None, typer.Option(metavar="N", help="Width of the first layer.", rich_help_panel=_MODEL)]
BatchEdges = Annotated[
    int | None,
    typer.Option(metavar="N", help="Of refined-gae and ncn: train edges hidden at a time.", rich_help_panel=_MODEL),
]
Dim = Annotated[int | None, typer.Option(metavar="N", help="Dimensions of the embedding.", rich_help_panel=_MODEL)]
WarmUp = Annotated[
    int | None,
    typer.Option(metavar="N", help="Epochs over which that weight rises from 0.", rich_help_panel=_MODEL),
]
FreeBits = Annotated[
    float | None,
    typer.Option(metavar="X", help="Nats that the KL of each dimension counts as at least.", rich_help_panel=_MODEL),
]
Beta = Annotated[
    float | None,
    typer.Option(metavar="X", help="Weight of the KL term of a variational model.", rich_help_panel=_MODEL),
]
Dropout = Annotated[float | None, typer.Option(metavar="P", help="On the input of each layer.", rich_help_panel=_MODEL)]
WeightDecay = Annotated[
    float | None,
    typer.Option(metavar="X", help="L2 penalty on the weights.", show_default="by model", rich_help_panel=_MODEL),
]

# training and decision
LearningRate = Annotated[float | None, typer.Option(metavar="X", help="Of Adam.", rich_help_panel=_TRAINING)]
Schedule = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the learning rate: constant, linear or cosine.", rich_help_panel=_TRAINING),
]
Epochs = Annotated[int | None, typer.Option(metavar="N", help="At most this many.", rich_help_panel=_TRAINING)]
Patience = Annotated[
    int | None,
    typer.Option(metavar="N", help="Epochs without a better validation before stopping.", rich_help_panel=_TRAINING),
]
ValidateEvery = Annotated[
    int | None, typer.Option(metavar="N", help="Epochs between validations.", rich_help_panel=_TRAINING)
]
TimeBudget = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Seconds for all training, as counted work: fewer epochs, and of auto fewer models, where it is short.",
        show_default="300 for auto, else no limit",
        rich_help_panel=_TRAINING,
    ),
]
Tune = Annotated[
    int | None,
    typer.Option(
        metavar="TRIALS",
        min=1,
        help="Search the model's options that are not given, by validation (pip install 'linkodds\\[tune]').",
        rich_help_panel=_TRAINING,
    ),
]
CheckpointEvery = Annotated[
    int | None,
    typer.Option(metavar="N", help="Epochs between checkpoints.", show_default="by size", rich_help_panel=_TRAINING),
]
SplitShares = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="A/B/C/D",
        help="Shares of train, validation, calibration and test edges.",
        rich_help_panel=_TRAINING,
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        help="Cross-fitting: K models, each edge calibrates once, their mean is used.",
        show_default="by size",
        rich_help_panel=_TRAINING,
    ),
]
Calibration = Annotated[
    str | None,
    typer.Option(
        "--calibrator",
        metavar="NAME",
        help="From logits to probabilities: auto, platt, bias, beta, isotonic or venn-abers.",
        rich_help_panel=_DECISION,
    ),
]
DegreeCalibration = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Degrees beside the logit: auto, yes or no.", rich_help_panel=_DECISION),
]
DecisionRule = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="half, balanced_accuracy, f1, f2 (any weight), mcc, precision>=P, recall>=R, cost:FP:FN or budget:K.",
        rich_help_panel=_DECISION,
    ),
]
Design = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="auto, enumerated, sampled or stratified non-edges.", rich_help_panel=_TRAINING),
]
MaxPairs = Annotated[
    int | None,
    typer.Option(metavar="N", help="Enumerate up to so many pairs, score N/20 beyond.", rich_help_panel=_TRAINING),
]

# run
Seed = Annotated[int | None, typer.Option(metavar="N", help="Of the split, weights and samples.", rich_help_panel=_RUN)]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu or cuda.", rich_help_panel=_RUN)]
Threads = Annotated[int | None, typer.Option(metavar="N", help="CPU threads.", rich_help_panel=_RUN)]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="YAML as 'linkodds config' prints it; options win.", rich_help_panel=_RUN
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where an interrupted fit of the same graph stopped; options that are not given are taken from it.",
        rich_help_panel=_RUN,
    ),
]
TensorBoard = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        help="Write the history for TensorBoard while training (pip install 'linkodds\\[track]').",
        rich_help_panel=_RUN,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Fit through files in blocks, for graphs that do not fit the memory: local, or ray (pip install 'linkodds\\[ray]').",
        show_default="in memory",
        rich_help_panel=_RUN,
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Fit through files in blocks that keep within this, such as 4GB.",
        show_default="in memory",
        rich_help_panel=_RUN,
    ),
]
Mlflow = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        metavar="URI",
        help="Log to MLflow, http://... or sqlite:///FILE: history, options, evaluation and report (pip install "
        "'linkodds\\[track]').",
        rich_help_panel=_RUN,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.", rich_help_panel=_RUN)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.", rich_help_panel=_RUN)]

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
    int, typer.Option("--seed", min=0, help="Of which held-out edges calibrate.", rich_help_panel=_SCORES)
]
