"""Protocols: a fitted model, and a trainer."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from linkodds.findings import Finding
from linkodds.models.training.history import Epoch
from linkodds.scorers.scoring import Scorer

if TYPE_CHECKING:
    from linkodds.models.training.training_loop import TrainedModel, TrainingTask


class FittedModel(Protocol):
    """What later stages need of any fitted model."""

    @property
    def name(self) -> str:
        """As `--model` calls it."""
        ...

    @property
    def scorer(self) -> Scorer:
        """Logits of pairs."""
        ...

    @property
    def effective_odds(self) -> float:
        """Edges / non-edges that the logits are the log odds for."""
        ...

    @property
    def weights(self) -> Mapping[str, NDArray[Any]]:
        """What is saved to have the scorer again."""
        ...

    @property
    def history(self) -> tuple[Epoch, ...]:
        """One entry an epoch; none where there are no epochs."""
        ...

    @property
    def best_epoch(self) -> int:
        """The kept one; 0 where there are none."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What fitting had to say."""
        ...

    @property
    def num_parameters(self) -> int:
        """Number of fitted values."""
        ...

    @property
    def objective(self) -> str:
        """What was minimised."""
        ...


class Trainer(Protocol):
    """Trains an autoencoder in another way than in memory."""

    def __call__(self, task: "TrainingTask") -> "TrainedModel":
        """See `train`."""
        ...
