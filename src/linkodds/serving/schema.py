"""Schema: questions and answers of the API as types, which are its OpenAPI document."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from linkodds.serving.limits import LIMITS


class Answer(BaseModel):
    """What every answer is: exactly its fields."""

    model_config = ConfigDict(extra="forbid")


class ErrorText(Answer):
    """What went wrong, for programs and for people."""

    code: str
    message: str


class Error(Answer):
    """The one shape of every error."""

    error: ErrorText


class Health(Answer):
    """The server answers."""

    status: Literal["ok"]
    version: str


class GraphSize(Answer):
    """The graph of a run."""

    num_nodes: int
    num_edges: int
    num_pairs: int = Field(description="All admissible pairs.")
    directed: bool
    bipartite: bool


class Verdict(Answer):
    """The evaluation in words."""

    headline: str
    details: list[str]
    tone: Literal["good", "mixed", "bad"]


class Figure(Answer):
    """A measured quantity of the evaluation with its 95 % interval, as a number and as people read it."""

    key: str = Field(description="Its name under metrics in evaluation.json.")
    name: str
    meaning: str
    value: float | None
    interval: tuple[float, float] | None
    text: str


class Baseline(Answer):
    """The best method that learns nothing."""

    name: str
    average_precision: float


class StoredDecision(Answer):
    """The decision that predict applies."""

    rule: str
    threshold_logit: float | None
    reason: str | None = Field(description="Why there is no threshold.")


class Finding(Answer):
    """What the doctor said of the run."""

    id: str
    severity: str
    message: str
    remedy: str


class RunSummary(Answer):
    """A run in its main figures."""

    index: int
    name: str
    model: str
    graph: GraphSize
    verdict: Verdict
    base_rates: dict[str, str]
    figures: list[Figure]
    best_baseline: Baseline | None
    assumption: str = Field(description="What the probabilities of new links rest on.")
    decision: StoredDecision
    findings: list[Finding]


class Runs(Answer):
    """All runs that are served, in the order given on the command line."""

    runs: list[RunSummary]


Id = Annotated[str, Field(max_length=LIMITS.id_characters)]


class PairsQuestion(Answer):
    """Pairs in the user's ids, and the rule to decide by."""

    pairs: list[tuple[Id, Id]] = Field(max_length=LIMITS.pairs, examples=[[["TP53", "MDM2"]]])
    decision: str | None = Field(
        default=None,
        max_length=60,
        description="A rule as --decision takes it, such as precision>=0.5; null applies the one stored with the run.",
        examples=["f1"],
    )


class PredictedPair(Answer):
    """A pair as `linkodds predict` writes it."""

    source: str
    target: str
    logit: float | None
    probability: float | None
    probability_low: float | None = Field(description="At the low end of an assumed interval; null without one.")
    probability_high: float | None
    decision: bool | None
    known: bool | None = Field(description="Whether the pair is a recorded edge.")
    problem: Literal["unknown id", "no pair of this graph"] | None


class Predictions(Answer):
    """Answers in the order of the question."""

    assumption: str
    decision: str
    reason: str | None = Field(description="Why nothing was decided.")
    num_unknown: int
    num_inadmissible: int
    rows: list[PredictedPair]


class Node(Answer):
    """A node; degree counts its recorded neighbours."""

    index: int
    id: str
    degree: int


class Matches(Answer):
    """Nodes that a text finds: the same id first, then ids that begin with it, then those that hold it."""

    num_matches: int
    matches: list[Node]


class Partner(Node):
    """A node that is likely to be linked, and what the record says about the pair."""

    logit: float
    probability: float
    probability_low: float | None
    probability_high: float | None
    evidence: str


class DrawnNode(Node):
    """A node of the small network."""

    kind: Literal["node", "partner", "shared"]


class DrawnNetwork(Answer):
    """Nodes to draw, and the recorded edges among them as places in that list."""

    nodes: list[DrawnNode]
    edges: list[tuple[int, int]]


class NodeView(Answer):
    """A node with its neighbours, partners and surroundings."""

    node: Node
    assumption: str
    num_neighbors: int
    neighbors: list[Node] = Field(description="At most 50, those with the most edges first.")
    partners: list[Partner]
    network: DrawnNetwork


class Link(Answer):
    """A new link as `linkodds find` writes it."""

    source: str
    target: str
    logit: float
    probability: float
    probability_low: float | None
    probability_high: float | None
    evidence: str


class Links(Answer):
    """A part of the list of new links, or how far the search for it is."""

    state: Literal["waiting", "searching", "ready", "refused"]
    share: float = Field(description="Of the search that is done, 0 to 1.")
    note: str = Field(description="What was searched.")
    assumption: str
    num_links: int = Field(description="In the list, at or above min_logit.")
    expected_links: float = Field(description="Of these expected to be true under the assumption.")
    offset: int
    limit: int
    next_offset: int | None = Field(description="Where the next part begins; null at the end.")
    links: list[Link]


class DecisionRule(Answer):
    """A decision that has a threshold, and its place among the points."""

    rule: str
    index: int
    applied: bool


class Rate(Answer):
    """What each threshold gives at one base rate: columns as long as threshold_logit."""

    name: str
    prevalence: float
    num_pairs: float
    num_edges: float
    probability: list[float]
    tp: list[float]
    fp: list[float]
    fn: list[float]
    tn: list[float]
    list_length: list[float]
    precision: list[float | None]
    recall: list[float | None]
    f1: list[float | None]
    mcc: list[float | None]
    balanced_accuracy: list[float | None]


class ThresholdTable(Answer):
    """Thresholds from the highest on; a pair at or above one is called an edge."""

    format: str
    design: str
    rules: list[DecisionRule]
    threshold_logit: list[float]
    rates: list[Rate]


Evaluation = dict[str, Any]
