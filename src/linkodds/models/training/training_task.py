"""Training task and trained model: what one training is given, and what it hands back."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.training.checkpoint import Checkpoint, TrainingState
from linkodds.models.training.history import Epoch
from linkodds.scorers.scoring import Scorer


def _never() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """One training: which model, on which edges, with which options and random numbers, and who follows it.

    Training the same task again gives the same model, bit for bit. So does a task that is resumed from a state which
    a task with the same other values has left in its checkpoint.

    Args:
        name: of the model, as `--model` calls it.
        split: train edges carry the messages and are the targets; validation edges choose the epoch that is kept.
        features: shape (nodes, columns); None for a learned table.
        config: sizes, rates and limits; `options` fills in what it leaves open.
        seeds: of the weights, the noise, the sampled pairs and the validation sample.
        device: where to train.
        on_epoch: called after every epoch.
        should_stop: asked before every epoch, once there is a best one; True ends training.
        checkpoint: where to keep the state of the training; None keeps it nowhere.
        resumed: the state to go on from; None starts from the beginning.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
        >>> split = Split(*(edges[[k]] for k in range(4)), PairSpace(5))
        >>> task = TrainingTask("gae", split, None, FitConfig(), np.random.SeedSequence(0), torch.device("cpu"))
        >>> task.config.learning_rate, task.options.learning_rate
        (None, 0.01)
    """

    name: str
    split: Split
    features: Features | None
    config: FitConfig
    seeds: np.random.SeedSequence
    device: torch.device
    on_epoch: Callable[[Epoch], None] | None = None
    should_stop: Callable[[], bool] = _never
    checkpoint: Checkpoint | None = None
    resumed: TrainingState | None = None

    def __post_init__(self) -> None:
        assert self.num_features is None or self.features.matrix.shape[0] == self.num_nodes  # type: ignore[union-attr]

    @property
    def options(self) -> FitConfig:
        """The config, with the model's own values for what it leaves open."""
        return self.config.of_model(self.name)

    @property
    def num_nodes(self) -> int:
        """Nodes of the graph."""
        return self.split.space.num_nodes

    @property
    def num_features(self) -> int | None:
        """Columns of the features; None without any."""
        return None if self.features is None else int(self.features.matrix.shape[1])

    def generators(self) -> "Generators":
        """All random numbers of the training, from the start of each generator."""
        weights, noise, zeros, validation = self.child_seeds()
        return Generators(
            torch_rng(weights, torch.device("cpu")),
            torch_rng(noise, self.device),
            np.random.default_rng(zeros),
            np.random.default_rng(validation),
        )

    def child_seeds(self) -> list[np.random.SeedSequence]:
        """Seeds of the weights, the noise, the sampled pairs and the validation sample: the same at every call.

        They are the first four that `seeds.spawn` gives; `spawn` itself would give others the second time.
        """
        key = self.seeds.spawn_key
        return [np.random.SeedSequence(self.seeds.entropy, spawn_key=(*key, number)) for number in range(4)]


@dataclass(frozen=True, eq=False)
class Generators:
    """The random numbers of one training, each kind from a generator of its own.

    Args:
        weights: of the initial weights; on the CPU, so that a model starts alike on every device.
        noise: of noise and dropout; on the device of the training.
        zeros: of the pairs without an edge that the loss samples, and of the order of the batches.
        validation: of the non-edges that validation takes.
    """

    weights: torch.Generator
    noise: torch.Generator
    zeros: np.random.Generator
    validation: np.random.Generator


def torch_rng(seeds: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    """A torch generator that starts at a NumPy seed.

    Example:
        >>> seeds = np.random.SeedSequence(0)
        >>> torch_rng(seeds, torch.device("cpu")).initial_seed() == int(seeds.generate_state(1)[0])
        True
    """
    return torch.Generator(device=device).manual_seed(int(seeds.generate_state(1)[0]))


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained autoencoder, cut down to what later stages need.

    Args:
        name: of an autoencoder.
        scorer: logits of pairs from the embeddings of the kept epoch.
        weights: name -> float32 array; with the features and the message graph they give the embeddings again. Of a mean
            of models each name begins with "fold-1.", "fold-2." and so on.
        history: one entry an epoch.
        best_epoch: the kept one, first at the highest validation average precision.
        effective_odds: O_eff, the odds at which the objective was trained.
        objective: all-pairs, sampled or subgraph.
        weight_decay: the L2 penalty on the encoder's weights.
        uses_features: whether there were any.
        findings: interventions and warnings.
        was_cut_short: whether `should_stop` ended it.
    """

    name: str
    scorer: Scorer
    weights: dict[str, NDArray[np.float32]]
    history: tuple[Epoch, ...]
    best_epoch: int
    effective_odds: float
    objective: str
    weight_decay: float
    uses_features: bool
    findings: tuple[Finding, ...]
    was_cut_short: bool = False

    @property
    def num_parameters(self) -> int:
        """Number of trained values."""
        return sum(array.size for array in self.weights.values())


def mean_model(models: Sequence[TrainedModel], scorer: Scorer) -> TrainedModel:
    """Several trainings as one model: all weights and findings, and the history of the first.

    Args:
        models: one a fold.
        scorer: of their mean logits.
    """
    first = models[0]
    return replace(
        first,
        scorer=scorer,
        weights={
            f"fold-{k}.{key}": value for k, each in enumerate(models, start=1) for key, value in each.weights.items()
        },
        effective_odds=math.exp(sum(math.log(each.effective_odds) for each in models) / len(models)),
        findings=tuple(dict.fromkeys(finding for each in models for finding in each.findings)),
        was_cut_short=any(each.was_cut_short for each in models),
    )
