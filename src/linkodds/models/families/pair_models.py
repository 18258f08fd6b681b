"""Pair models: autoencoders trained on batches of train edges that are hidden meanwhile, with decoders that look at a pair."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from linkodds.config import Architecture, Defaults, FitConfig
from linkodds.errors import OptionError
from linkodds.models.families.autoencoders import AutoencoderFamily

if TYPE_CHECKING:
    from linkodds.models.families.fitted_model import Trainer

PAIR_DEFAULTS = Defaults(decoder="hadamard", objective="sampled", dim=256, hidden=64, learning_rate=0.005, patience=40)


@dataclass(frozen=True, kw_only=True)
class PairFamily(AutoencoderFamily):
    """An autoencoder with batches of hidden edges."""

    defaults: Defaults = PAIR_DEFAULTS
    uses_confidence: bool = False
    uses_strength: str = "always"  # type: ignore[assignment]

    def check_options(self, config: FitConfig) -> None:
        """Raise for options that this model does not take.

        Raises:
            OptionError: a decoder or an objective of another model.
        """
        super().check_options(config)
        if config.objective not in ("auto", "sampled"):
            raise OptionError(
                f"--objective {config.objective} is not for {self.name}: it is trained on batches of edges that are hidden "
                "from the message graph meanwhile, with drawn zeros. Leave it out, or take signed-gae."
            )

    def in_memory(self, penalty: float | None) -> "Trainer":
        """What trains it on this machine."""
        from linkodds.models.training.pair_training import train_pair_model

        return train_pair_model


FAMILIES = (
    PairFamily(
        name="refined-gae",
        help="several propagations, mixed, and a network on the product of both ends",
        architecture=Architecture("mixing", propagations=3),
        decoders=("hadamard", "inner-product", "signed", "distmult"),
        has_decoupled_form=True,
    ),
    PairFamily(
        name="ncn",
        help="the same with the common neighbours of a pair added up",
        architecture=Architecture("mixing", propagations=1, pools=True),
        decoders=("hadamard",),
    ),
)
