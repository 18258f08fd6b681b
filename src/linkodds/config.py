"""FitConfig: every option of `linkodds fit`, its default and its meaning, in one frozen value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from linkodds.errors import OptionError

AutoencoderName = Literal["gae", "vgae", "linear-gae", "linear-vgae", "signed-gae", "signed-vgae", "refined-gae", "ncn"]
BaselineName = Literal[
    "degree", "common-neighbors", "adamic-adar", "resource-allocation", "l3", "katz", "ppr", "feature-cosine"
]
OwnName = Literal["own-encoder", "own-scorer"]
AUTOENCODERS: tuple[str, ...] = get_args(AutoencoderName)
VARIATIONAL: tuple[str, ...] = ("vgae", "linear-vgae", "signed-vgae")
TABLES: tuple[str, ...] = ("signed-gae", "signed-vgae")
"""Autoencoders with a free row for each node, under a prior that is chosen on the validation edges."""
PAIR_MODELS: tuple[str, ...] = ("refined-gae", "ncn")
"""Autoencoders trained on batches of train edges that are hidden meanwhile, with decoders that look at a pair."""
DECODERS: dict[str, tuple[str, ...]] = {
    **{name: ("inner-product", "signed") for name in AUTOENCODERS},
    "refined-gae": ("hadamard", "inner-product", "signed", "distmult"),
    "ncn": ("hadamard",),
    "own-encoder": ("inner-product", "signed"),
}
"""What --decoder may be, by model."""
NUM_PROPAGATIONS: dict[str, int] = {"refined-gae": 3, "ncn": 1}
"""How far a node of a pair model sees."""
NUM_LAYERS = 2
"""Hidden layers of the network of a hadamard decoder."""
LEAST_BATCHES = 8
"""An epoch of a pair model has so many batches at least, so that an eighth of the train edges is hidden at most."""
BASELINES: tuple[str, ...] = get_args(BaselineName)
STACK, STRUCTURAL = "stack", "structural-gae"
OWN_ENCODER, OWN_SCORER = "own-encoder", "own-scorer"
OWN: tuple[str, ...] = get_args(OwnName)
"""A user's own, given in Python."""
RESERVED_NAMES = ("auto", *AUTOENCODERS, *BASELINES, STACK, STRUCTURAL, *OWN)
ON_HIDDEN_EDGES = (STRUCTURAL, STACK)
"""Models that learn from train edges hidden from the graph that made their inputs; up to 30,000 nodes, and no folds."""
COSTLY = ("katz", "ppr", "feature-cosine")
"""Baselines that stand beside every model in a small graph, and only where they are named in a large one."""


class CheckedOptions(BaseModel):
    """Options whose names, types and ranges are checked when they are put together; a frozen value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Checked options from plain ones; what pydantic refuses becomes one OptionError.

        Raises:
            OptionError: an unknown name or a value out of range.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            name = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else "config"
            if first["type"] == "extra_forbidden":
                raise OptionError(f"{name}: a config has no such option; 'linkodds config' prints them all.") from error
            if first["type"] == "value_error":  # our own words, which name the value already
                raise OptionError(f"{name}: {first['ctx']['error']}.") from error
            raise OptionError(f"{name}: {first['msg']}, got {first.get('input')!r}.") from error


class FitConfig(CheckedOptions):
    """Options of a fit. Unknown names and values out of range are refused.

    Example:
        >>> FitConfig(model="gae", epochs=50).epochs
        50
    """

    model: Literal["auto", AutoencoderName, "structural-gae", "stack", BaselineName, OwnName] = Field(
        "auto",
        description="auto: of structural-gae, stack, signed-gae, vgae and gae what fits the time budget, and the baselines; the "
        "best by validation average precision, or the mean of the best two or three; or the name of one of them "
        "(structural-gae: a signed-gae beside a small network over counts of short walks, spectral products and features; stack: "
        "boosted trees over the same counts), or linear-gae, linear-vgae, signed-vgae, refined-gae or ncn; own-encoder "
        "and own-scorer are given in Python",
    )
    decoder: Literal["auto", "inner-product", "signed", "hadamard", "distmult"] = Field(
        "auto",
        description="signed: an inner product in which half of the dimensions count negative; hadamard: a network on the "
        "elementwise product; distmult: an inner product with a learned weight for each dimension; auto: signed for signed-gae "
        "and signed-vgae, hadamard for refined-gae and ncn, inner-product for the others",
    )
    objective: Literal["auto", "all-pairs", "sampled", "subgraph"] = Field(
        "auto",
        description="all-pairs: every pair, exact; sampled: train edges and uniformly drawn zeros; subgraph: all pairs of a few "
        "nodes, drawn anew every epoch; auto: by the number of pairs",
    )
    positive_weight: Literal["auto", "none", "balanced"] = Field(
        "auto",
        description="of an edge in the all-pairs loss, and of refined-gae and ncn: none is 1, balanced as much as all zeros "
        "beside it; calibration undoes it; auto: balanced for signed-gae and signed-vgae, none for the others",
    )
    zeros_per_edge: int = Field(
        5, ge=1, le=1000, description="sampled objective: zeros drawn for each train edge, every epoch anew"
    )
    subgraph_nodes: int = Field(
        5000,
        ge=2,
        description="subgraph objective: nodes drawn on average, every epoch anew; all where there are fewer",
    )
    subgraph_by: Literal["degree", "core"] = Field(
        "degree", description="subgraph objective: what a node's chance to be drawn follows"
    )
    subgraph_alpha: float = Field(
        1.0, ge=0, le=10, description="subgraph objective: the power of the degree or core number; 0 draws all alike"
    )
    batch_edges: int = Field(
        8192,
        ge=1,
        description="of refined-gae and ncn: at most so many train edges, and an eighth of them, are hidden from the message "
        "graph and learnt at a time",
    )
    hidden: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="width of the first graph convolution of gae and vgae, of the decoder's layers of refined-gae and ncn; null: "
        "128, or 64 for the latter",
    )
    dim: int | None = Field(
        None,
        ge=1,
        le=2048,
        description="dimensions of the embedding; null: 128 for signed-gae and signed-vgae, 256 for refined-gae and ncn, 64 for "
        "the others",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="of Adam; null: 0.03 for signed-gae and signed-vgae, 0.005 for refined-gae and ncn, 0.01 for the others",
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="of the learning rate: constant, or falling to 0 at the last of the epochs"
    )
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="on the features (the learned table, where there are none) and on the hidden layer, while training; "
        "signed-gae and signed-vgae have none",
    )
    beta: float = Field(
        0.05,
        ge=0,
        description="weight of the KL of a variational model, summed over nodes and divided as the cross-entropy is; 1: evidence "
        "lower bound",
    )
    warm_up: int = Field(0, ge=0, description="epochs over which the weight of the KL term rises from 0 to beta")
    free_bits: float = Field(
        0.0,
        ge=0,
        description="nats that the KL of each dimension, a mean over the nodes, counts as at least; 0 is none",
    )
    weight_decay: float | None = Field(
        None,
        ge=0,
        description="L2 penalty of Adam on the encoder's weights, never on scale and bias; null: for signed-gae and "
        "signed-vgae the best of a few by validation average precision, 0 for the others; of signed-vgae it weighs the "
        "KL, in the place of beta",
    )
    epochs: int = Field(300, ge=1, description="at most this many")
    patience: int | None = Field(
        None,
        ge=1,
        description="stop when validation average precision has not risen for this many epochs; the best epoch is kept; null: 40 "
        "for signed-gae, signed-vgae, refined-gae and ncn, 200 for the others",
    )
    validate_every: int | None = Field(
        None,
        ge=1,
        description="epochs between two validations; null: 10 for signed-gae and signed-vgae, 5 for the others",
    )
    time_budget: float | None = Field(
        None,
        gt=0,
        description="seconds for all training, spent as counted work at nominal rates, so on any clock alike; null: 300 for "
        "auto, no limit for the others",
    )
    tune: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="search the options of the model that are left open in so many trials, judged by validation average "
        "precision, the first with the defaults (pip install 'linkodds[tune]'); null: none",
    )
    checkpoint_every: int | None = Field(
        None,
        ge=1,
        description="epochs between two checkpoints of an unfinished fit; null: 25, or 100 with up to a million pairs",
    )
    split: tuple[float, float, float, float] = Field(
        (0.8, 0.05, 0.05, 0.1), description="shares of train, validation, calibration and test edges"
    )
    folds: int | None = Field(
        None,
        ge=1,
        description="cross-fitting: deal train and calibration edges into this many folds, train a model without each, calibrate "
        "on all of them and use the mean; null: 1, or 5 with under 1,000 edges, 50 of calibration",
    )
    calibrator: Literal["auto", "platt", "bias", "beta", "isotonic", "venn-abers"] = Field(
        "auto",
        description="from logits to probabilities; auto: platt (slope and intercept), or bias (the intercept alone) on few edges",
    )
    degree_calibration: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="add a multiple of the log degree product to the logits; auto: where it lowers the validation log loss and "
        "not average precision",
    )
    decision: str = Field(
        "f1",
        description="rule that predict applies: half, balanced_accuracy, f1, f2 (any weight), mcc, precision>=P, recall>=R, "
        "cost:FP:FN, budget:K",
    )
    design: Literal["auto", "enumerated", "sampled", "stratified"] = Field(
        "auto",
        description="non-edges to evaluate on: enumerated, all; sampled, a uniform sample; stratified, those that may rank high "
        "closely and the rest thinly; auto: enumerated up to max_pairs, stratified beyond",
    )
    max_pairs: int = Field(
        1_000_000_000,
        ge=1,
        description="auto enumerates up to so many pairs; samples and strata score a twentieth of this many non-edges",
    )
    feature_scaling: Literal["auto", "none", "standard", "row"] = Field(
        "auto",
        description="of node features: auto is row for sparse counts and standard for the rest; none leaves them as they "
        "are, but for one number that large ones are divided by before the first layer",
    )
    seed: int = Field(0, ge=0, description="of the split, the weights, the samples")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    threads: int | None = Field(None, ge=1, le=1024, description="of the CPU; null: torch's default")

    @field_validator("split", mode="before")
    @classmethod
    def _split_from_text(cls, value: Any) -> Any:
        try:
            shares = [float(part) for part in (value.split("/") if isinstance(value, str) else value)]
        except (TypeError, ValueError):
            shares = []
        if len(shares) != 4 or not min(shares) > 0 or not abs(sum(shares) - 1) <= 1e-9:
            raise ValueError(f"four positive numbers with sum 1, such as 0.8/0.05/0.05/0.1, not {value!r}")
        return tuple(shares)

    @field_validator("calibrator", mode="before")
    @classmethod
    def _no_temperature(cls, value: Any) -> Any:
        if value == "temperature":
            raise ValueError(
                "temperature scaling is a slope without an intercept and cannot move the prior; take platt, or bias"
            )
        return value

    @field_validator("degree_calibration", mode="before")
    @classmethod
    def _yes_of_yaml(cls, value: Any) -> Any:
        return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value

    def of_model(self, name: str) -> "FitConfig":
        """The same options with those that were left open as this model takes them; only the weight decay may stay open.

        Args:
            name: of an autoencoder, or structural-gae, which holds a signed-gae; any other name gets the options of gae.
        Raises:
            OptionError: a decoder or an objective that this model does not take.
        Example:
            >>> [FitConfig(learning_rate=0.5).of_model(name).dim for name in ("gae", "signed-gae", "ncn")]
            [64, 128, 256]
        """
        self._refuse_what_does_not_fit(name)
        taken: dict[str, Any] = {
            "decoder": "inner-product",
            "positive_weight": "none",
            "dim": 64,
            "learning_rate": 0.01,
            "hidden": 128,
        }
        taken |= {"patience": 200, "validate_every": 5, "weight_decay": 0.0}
        if name in (*TABLES, "structural-gae"):
            taken |= {"decoder": "signed", "positive_weight": "balanced", "dim": 128, "learning_rate": 0.03}
            taken |= {"patience": 40, "validate_every": 10, "weight_decay": None}
        if name in PAIR_MODELS:
            taken |= {
                "decoder": "hadamard",
                "objective": "sampled",
                "dim": 256,
                "hidden": 64,
                "learning_rate": 0.005,
            }
            taken |= {"patience": 40}
        is_open = {option for option in taken if getattr(self, option) in (None, "auto")}
        return self.model_copy(update={option: taken[option] for option in is_open})

    def _refuse_what_does_not_fit(self, name: str) -> None:
        takes = DECODERS.get(name, ())
        if self.decoder != "auto" and takes and self.decoder not in takes:
            others = [each for each in AUTOENCODERS if self.decoder in DECODERS[each]]
            raise OptionError(
                f"--decoder {self.decoder} is not for {name}, which takes {' or '.join(takes)}; {' and '.join(others)} "
                f"take{'s' * (len(others) == 1)} it."
            )
        if name in PAIR_MODELS and self.objective not in ("auto", "sampled"):
            raise OptionError(
                f"--objective {self.objective} is not for {name}: it is trained on batches of edges that are hidden from the "
                "message graph meanwhile, with drawn zeros. Leave it out, or take signed-gae."
            )


def read_config(path: Path) -> dict[str, Any]:
    """Options of a YAML file, as `linkodds config` prints it.

    Raises:
        OptionError: the file is no YAML mapping.
    """
    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OptionError(f"{path}: no readable YAML: {error}") from error
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise OptionError(f"{path}: expected 'option: value' lines, found {type(options).__name__}.")
    return {str(name).replace("-", "_"): value for name, value in options.items()}


def commented_yaml() -> str:
    """Every option with its default and what it means, as YAML that `--config` reads back.

    Example:
        >>> print(commented_yaml().splitlines()[1])
        model: auto
    """
    lines = []
    for name, field in FitConfig.model_fields.items():
        default = "/".join(map(str, field.default)) if name == "split" else field.default
        lines += [f"# {field.description}", yaml.safe_dump({name: default}).strip()]
    return "\n".join(lines) + "\n"
