"""FitConfig: the options of `linkodds fit`, checked, in one frozen value; ModelOptions: these as one model takes them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from linkodds.errors import OptionError
from linkodds.options import FitOptions, options_of

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
    def from_options(cls, options: Mapping[str, Any], caller: str | None = None) -> Self:
        """Checked options from plain ones; what pydantic refuses becomes one OptionError.

        Args:
            options: name -> value.
            caller: whose parameters they are; None: they are of the command line.
        Raises:
            OptionError: an unknown name or a value out of range.
        """
        try:
            return cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            given = str(first["loc"][0]) if first["loc"] else "config"
            name = f"--{given.replace('_', '-')}" if caller is None else f"The {given!r} parameter of {caller}"
            if first["type"] == "extra_forbidden":
                raise OptionError(f"{name}: a config has no such option; 'linkodds config' prints them all.") from error
            if first["type"] == "value_error":  # our own words, which name the value already
                raise OptionError(f"{name}: {first['ctx']['error']}.") from error
            raise OptionError(f"{name}: {first['msg']}, got {first.get('input')!r}.") from error


class FitConfig(FitOptions, CheckedOptions):
    """Options of a fit, those of `linkodds.options`. Unknown names and values out of range are refused.

    Example:
        >>> FitConfig(model="gae", epochs=50).epochs
        50
    """

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
    for name, each in options_of(FitOptions).items():
        default = "/".join(map(str, each.default)) if isinstance(each.default, tuple) else each.default
        lines += [f"# {each.help}", yaml.safe_dump({name: default}).strip()]
    return "\n".join(lines) + "\n"


EncoderKind = Literal["two-layer", "linear", "free", "mixing"]


@dataclass(frozen=True)
class Architecture:
    """What an autoencoder is made of, beside the sizes that options give.

    Args:
        encoder: two-layer (two graph convolutions), linear (one propagation), free (a row for each node, and smoothed
            features beside it) or mixing (several propagations, trained on batches of edges that are hidden meanwhile).
        variational: whether embeddings are drawn from a posterior, with a KL term.
        propagations: how far a node sees, of the mixing encoder.
        pools: whether the decoder adds up the common neighbours of a pair.
    """

    encoder: EncoderKind = "two-layer"
    variational: bool = False
    propagations: int = 0
    pools: bool = False

    @property
    def is_table(self) -> bool:
        """Whether each node has a free row, under a prior whose weight is chosen on the validation edges."""
        return self.encoder == "free"

    @property
    def is_batched(self) -> bool:
        """Whether it is trained on batches of train edges that are hidden from the message graph meanwhile."""
        return self.encoder == "mixing"


@dataclass(frozen=True)
class Defaults:
    """What a model takes for each option that a fit leaves open.

    Args:
        decoder: see `FitConfig`, like all others.
        objective: "auto" goes by the number of pairs.
        positive_weight: none or balanced.
        hidden: width of the hidden layers.
        dim: of the embedding.
        learning_rate: of Adam.
        weight_decay: L2 penalty; of a family that searches it, what is taken where nothing is searched.
        patience: epochs without a rise.
        validate_every: epochs between two validations.
    """

    decoder: str = "inner-product"
    objective: str = "auto"
    positive_weight: str = "none"
    hidden: int = 128
    dim: int = 64
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    patience: int = 200
    validate_every: int = 5


TWO_LAYERS, USUAL_DEFAULTS = Architecture(), Defaults()
"""Of a model that says nothing else."""


class ModelOptions(FitConfig):
    """The options of a fit as one model takes them: none that the model has is open.

    Only the weight decay may be None: the model then takes it in units of the noise of the edges, and searches the unit.

    Example:
        >>> options = ModelOptions.resolve(FitConfig(dim=8), Defaults(learning_rate=0.03), Architecture("linear"))
        >>> options.dim, options.learning_rate, options.architecture.encoder
        (8, 0.03, 'linear')
    """

    architecture: Architecture = Field(exclude=True)

    if TYPE_CHECKING:  # nothing is checked again: `resolve` makes it of a config that was
        decoder: Literal["inner-product", "signed", "hadamard", "distmult"]
        positive_weight: Literal["none", "balanced"]
        hidden: int
        dim: int
        learning_rate: float
        patience: int
        validate_every: int

    @staticmethod
    def resolve(
        config: FitConfig, defaults: Defaults, architecture: Architecture, *, searches_weight_decay: bool = False
    ) -> "ModelOptions":
        """The options of a fit, with a model's defaults for those that are open.

        Args:
            config: of the fit.
            defaults: of the model.
            architecture: of the model.
            searches_weight_decay: whether a weight decay that is open stays open.
        """
        taken = asdict(defaults) | ({"weight_decay": None} if searches_weight_decay else {})
        given = {name: getattr(config, name) for name in FitConfig.model_fields}
        filled = {name: value for name, value in taken.items() if given[name] in (None, "auto")}
        return ModelOptions.model_construct(config.model_fields_set, **(given | filled), architecture=architecture)
