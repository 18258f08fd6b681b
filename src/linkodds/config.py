"""FitConfig: the options of `linkodds fit`, checked, in one frozen value; ModelOptions: these as one model takes them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from linkodds.errors import OptionError
from linkodds.options import FitOptions, options_of


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


NUM_LAYERS = 2
"""Hidden layers of the network of a hadamard decoder."""

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
