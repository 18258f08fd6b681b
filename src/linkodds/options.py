"""Every option of a fit, once: name, type, default, range and help text; those of reading are in `reading.graph_options`.

`FitConfig` and `ReadingOptions` check them, the command line and `LinkPredictor` are made from them: to add one, add its
line here or there. Both modules are light, so that `linkodds --help` answers at once.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

C = TypeVar("C")

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
        of_one_fit: it makes no sense for a comparison of models.
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
    of_one_fit: bool = False
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
        return self.words + f"; default {self.shown_default}." * bool(self.shown_default)

    @property
    def words(self) -> str:
        """What it is, with those of its values that the text does not name, and its range."""
        unnamed = any(choice not in self.option.text for choice in self.choices)
        said = ", ".join(self.choices) if unnamed else self.option.range
        return f"{self.option.text} ({said})" if said else self.option.text

    @property
    def shown_default(self) -> str:
        """The default in words; empty for a switch."""
        default = self.option.default if self.default is None else self.default
        if default is None or default is False:
            return ""
        return "/".join(map(str, default)) if isinstance(default, tuple) else str(default)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a choice; none of any other option."""
        return get_args(self.kind) if getattr(self.kind, "__origin__", None) is Literal else ()


@cache
def options_of(holder: type[Any]) -> Mapping[str, NamedOption]:
    """Name -> option, in their order.

    Args:
        holder: a class, one of those below, or one with more of them.
    Example:
        >>> list(options_of(MachineOptions)), options_of(MachineOptions)["device"].default
        (['seed', 'device', 'threads'], 'auto')
    """
    found = {}
    for name, annotated in get_type_hints(holder, include_extras=True).items():
        for beside in getattr(annotated, "__metadata__", ()):
            if isinstance(beside, Option):
                found[name] = NamedOption(name, annotated.__origin__, getattr(holder, name), beside)
    return found


def options_given(values: object, holder: type) -> dict[str, Any]:
    """Name -> value of the options that differ from their defaults; `tune` searches the others.

    Args:
        values: an object with the options as attributes.
        holder: the class of options.
    """
    defaults = {name: each.default for name, each in options_of(holder).items()}
    values_now = {name: getattr(values, name) for name in defaults}
    return {
        name: value
        for name, value in values_now.items()
        if type(value) is not type(defaults[name]) or value != defaults[name]
    }


def described(text: str | None, options: Mapping[str, NamedOption]) -> str:
    """A docstring in which the line `options: ...` has become a line for each option.

    Args:
        text: with that line in its Args.
        options: name -> option.
    """
    told = set(re.findall(r"^ +(\w+): ", text or "", flags=re.M))
    lines = [f"\\g<1>{each.name}: {each.help}" for each in options.values() if each.name not in told]
    return re.sub("^( +)options: .*$", "\n".join(lines), text or "", flags=re.M)


def shows_options(cls: type[C]) -> type[C]:
    """Decorate a dataclass of options: its signature has plain types, its docstring a line for each option."""
    holder: Any = cls
    options = options_of(holder)
    kinds = {name: each.kind for name, each in options.items()}
    constructor = holder.__init__
    constructor.__annotations__ = {name: kinds.get(name, kind) for name, kind in constructor.__annotations__.items()}
    cls.__doc__ = described(cls.__doc__, options)
    return cls


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


@dataclass(kw_only=True, init=False, repr=False, eq=False)
class ModelOptions:
    """What is trained, and how."""

    model: Annotated[
        str,
        Option(
            "Model to fit: structural-gae (a signed-gae beside a small network over counts of short walks, spectral products and "
            "features), stack (boosted trees over the same counts), signed-gae, signed-vgae, refined-gae, ncn, gae, vgae, "
            "linear-gae, linear-vgae; or a baseline: degree, common-neighbors, adamic-adar, resource-allocation, l3, katz, "
            "ppr, feature-cosine; or auto: what fits the time budget of structural-gae, stack, signed-gae, vgae and gae, and "
            "the baselines, the best by validation average precision or the mean of the best two or three",
            MODEL,
            of_one_fit=True,
        ),
    ] = "auto"
    decoder: Annotated[
        Literal["auto", "inner-product", "signed", "hadamard", "distmult"],
        Option(
            "Decoder: inner-product; signed, with half of the dimensions counted negative; hadamard, a network on the "
            "elementwise product; distmult, with a learned weight for each dimension; auto is signed for signed-gae and "
            "signed-vgae, hadamard for refined-gae and ncn, inner-product for the others",
            MODEL,
        ),
    ] = "auto"
    objective: Annotated[
        Literal["auto", "all-pairs", "sampled", "subgraph"],
        Option(
            "Training objective: all-pairs, every pair, exact; sampled, train edges and uniformly drawn zeros; subgraph, all "
            "pairs of a few nodes, drawn for each epoch; auto goes by the number of pairs",
            MODEL,
        ),
    ] = "auto"
    positive_weight: Annotated[
        Literal["auto", "none", "balanced"],
        Option(
            "Weight of an edge in the loss of all-pairs, refined-gae and ncn: none is 1, balanced as much as all zeros "
            "together (calibration undoes it); auto is balanced for signed-gae and signed-vgae, none for the others",
            MODEL,
        ),
    ] = "auto"
    zeros_per_edge: Annotated[
        int, Option("Zeros drawn for each train edge and epoch by the sampled objective", MODEL, ge=1, le=1000)
    ] = 5
    subgraph_nodes: Annotated[
        int, Option("Nodes drawn for each epoch by the subgraph objective, on average", MODEL, ge=2)
    ] = 5000
    subgraph_by: Annotated[
        Literal["degree", "core"],
        Option("Draw the nodes of the subgraph objective by degree or by core number", MODEL),
    ] = "degree"
    subgraph_alpha: Annotated[
        float,
        Option(
            "Exponent of the degree (or core number) by which --subgraph-nodes are drawn; 0 draws all alike",
            MODEL,
            ge=0,
            le=10,
        ),
    ] = 1.0
    batch_edges: Annotated[
        int,
        Option(
            "Train edges per batch (refined-gae, ncn), an eighth of them at most; they are hidden from the message graph "
            "meanwhile",
            MODEL,
            ge=1,
        ),
    ] = 8192
    hidden: Annotated[
        int | None,
        Option(
            "Width of the first graph convolution of gae and vgae, or of the decoder's layers of refined-gae and ncn",
            MODEL,
            default="128, or 64 for the latter",
            ge=1,
            le=4096,
        ),
    ] = None
    dim: Annotated[
        int | None,
        Option(
            "Dimensions of the embedding",
            MODEL,
            default="128 for signed-gae and signed-vgae, 256 for refined-gae and ncn, 64 for the others",
            ge=1,
            le=2048,
        ),
    ] = None
    learning_rate: Annotated[
        float | None,
        Option(
            "Learning rate of Adam",
            TRAINING,
            default="0.03 for signed-gae and signed-vgae, 0.005 for refined-gae and ncn, 0.01 for the others",
            gt=0,
            le=1,
        ),
    ] = None
    schedule: Annotated[
        Literal["constant", "linear", "cosine"],
        Option(
            "Schedule of the learning rate: constant, or linear or cosine, which fall to 0 at the last epoch", TRAINING
        ),
    ] = "constant"
    dropout: Annotated[
        float,
        Option(
            "Share of entries dropped while training, of the features (or the learned table) and of the hidden layer; "
            "signed-gae and signed-vgae have none",
            MODEL,
            "P",
            ge=0,
            lt=1,
        ),
    ] = 0.5
    beta: Annotated[
        float,
        Option(
            "Weight of the KL term of a variational model, summed over nodes and divided as the cross-entropy is; 1 gives the "
            "evidence lower bound",
            MODEL,
            ge=0,
        ),
    ] = 0.05
    warm_up: Annotated[int, Option("Epochs over which the weight of the KL term rises from 0 to beta", MODEL, ge=0)] = 0
    free_bits: Annotated[
        float,
        Option("Nats that the KL of each dimension, a mean over the nodes, counts as at least; 0 is none", MODEL, ge=0),
    ] = 0.0
    weight_decay: Annotated[
        float | None,
        Option(
            "L2 penalty of Adam on the encoder's weights, never on scale and bias; of signed-vgae it weighs the KL, in the "
            "place of beta",
            MODEL,
            default="the best of a few by validation average precision for signed-gae and signed-vgae, 0 for the others",
            ge=0,
        ),
    ] = None
    epochs: Annotated[int, Option("Largest number of epochs", TRAINING, ge=1)] = 300
    patience: Annotated[
        int | None,
        Option(
            "Epochs without a better validation average precision before training stops; the best epoch is kept",
            TRAINING,
            default="40 for signed-gae, signed-vgae, refined-gae and ncn, 200 for the others",
            ge=1,
        ),
    ] = None
    validate_every: Annotated[
        int | None,
        Option(
            "Epochs between two validations",
            TRAINING,
            default="10 for signed-gae and signed-vgae, 5 for the others",
            ge=1,
        ),
    ] = None
    time_budget: Annotated[
        float | None,
        Option(
            "Seconds for all training, spent as counted work at nominal rates, so alike on any clock; where they are few, "
            "fewer epochs, and fewer models of auto",
            TRAINING,
            "S",
            "300 for auto, no limit for the others",
            gt=0,
        ),
    ] = None
    tune: Annotated[
        int | None,
        Option(
            "Trials of a search over the options of the model that are not given, judged by validation average precision; "
            "the first has the defaults (pip install 'linkodds[tune]')",
            TRAINING,
            "TRIALS",
            "none",
            of_one_fit=True,
            ge=1,
            le=10_000,
        ),
    ] = None
    checkpoint_every: Annotated[
        int | None,
        Option(
            "Epochs between two checkpoints of an unfinished fit",
            TRAINING,
            default="25, or 100 with up to a million pairs",
            of_one_fit=True,
            ge=1,
        ),
    ] = None
    split: Annotated[
        tuple[float, float, float, float],
        Option("Shares of train, validation, calibration and test edges", TRAINING, "A/B/C/D"),
    ] = (0.8, 0.05, 0.05, 0.1)
    folds: Annotated[
        int | None,
        Option(
            "Folds of cross-fitting: train a model without each fold of train and calibration edges, calibrate on all of them "
            "and use the mean",
            TRAINING,
            "K",
            "1, or 5 with under 1,000 edges, 50 of calibration",
            ge=1,
        ),
    ] = None
    calibrator: Annotated[
        Literal["auto", "platt", "bias", "beta", "isotonic", "venn-abers"],
        Option(
            "Map from logits to probabilities; auto is platt (slope and intercept), or bias (the intercept alone) on few edges",
            DECISION,
        ),
    ] = "auto"
    degree_calibration: Annotated[
        Literal["auto", "yes", "no"],
        Option(
            "Correct logits for the degrees of both nodes before calibrating; auto does where it lowers the validation log "
            "loss and not average precision",
            DECISION,
        ),
    ] = "auto"
    decision: Annotated[
        str,
        Option(
            "Rule that turns probabilities into decisions: half, balanced_accuracy, f1, f2 (any weight), mcc, precision>=P, "
            "recall>=R, cost:FP:FN or budget:K",
            DECISION,
            "RULE",
        ),
    ] = "f1"
    design: Annotated[
        Literal["auto", "enumerated", "sampled", "stratified"],
        Option(
            "Non-edges to evaluate on: enumerated, all; sampled, a uniform sample; stratified, those that may rank high "
            "closely and the rest thinly; auto is enumerated up to --max-pairs, stratified beyond",
            TRAINING,
        ),
    ] = "auto"
    max_pairs: Annotated[
        int,
        Option(
            "Largest number of pairs that are all evaluated by --design auto; samples and strata score a twentieth of this "
            "many non-edges",
            TRAINING,
            ge=1,
        ),
    ] = 1_000_000_000


@dataclass(kw_only=True, init=False, repr=False, eq=False)
class MachineOptions:
    """Where a fit runs, and with which seed."""

    seed: Annotated[int, Option("Random seed for split, weights and samples", RUN, ge=0)] = 0
    device: Annotated[
        Literal["auto", "cpu", "cuda"], Option("Device to train on; auto is cuda where there is one", RUN)
    ] = "auto"
    threads: Annotated[int | None, Option("Threads of the CPU", RUN, default="that of torch", ge=1, le=1024)] = None


class FitOptions(MachineOptions, FeatureOptions, ModelOptions):
    """All options of a fit."""
