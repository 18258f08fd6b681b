"""Options of one model: those of a fit with nothing left open, and the architecture that they are for."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from linkodds.config import FitConfig

EncoderKind = Literal["two-layer", "linear", "free", "mixing"]
NUM_LAYERS = 2
"""Hidden layers of the network of a hadamard decoder."""
LEAST_BATCHES = 8
"""An epoch of a pair model has so many batches at least, so that an eighth of the train edges is hidden at most."""


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
