"""Training: what one training is given and hands back, and the one loop over epochs that all models are trained in."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linkodds.config import ModelOptions
from linkodds.errors import NonFiniteScores
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut, draw_to_choose_by
from linkodds.metrics.metrics import average_precision, best_balanced_accuracy, best_f1_confusion, roc_auc
from linkodds.models.training.checkpoint import Checkpoint, Recorder, TrainingState
from linkodds.models.training.divergence_guard import DivergenceGuard, Trainable
from linkodds.models.training.history import Epoch, Validation
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
        config: sizes, rates and limits, as the model's family takes them (`ModelFamily.options`).
        seeds: of the weights, the noise, the sampled pairs and the validation sample.
        device: where to train.
        on_epoch: called after every epoch.
        should_stop: asked before every epoch, once there is a best one; True ends training.
        checkpoint: where to keep the state of the training; None keeps it nowhere.
        resumed: the state to go on from; None starts from the beginning.
    Example:
        >>> from linkodds.config import Architecture, Defaults, FitConfig
        >>> from linkodds.pairs import PairSpace
        >>> edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
        >>> split = Split(*(edges[[k]] for k in range(4)), PairSpace(5))
        >>> options = ModelOptions.resolve(FitConfig(epochs=9), Defaults(), Architecture())
        >>> task = TrainingTask("gae", split, None, options, np.random.SeedSequence(0), torch.device("cpu"))
        >>> task.config.epochs, task.config.learning_rate
        (9, 0.01)
    """

    name: str
    split: Split
    features: Features | None
    config: ModelOptions
    seeds: np.random.SeedSequence
    device: torch.device
    on_epoch: Callable[[Epoch], None] | None = None
    should_stop: Callable[[], bool] = _never
    checkpoint: Checkpoint | None = None
    resumed: TrainingState | None = None

    def __post_init__(self) -> None:
        assert self.num_features is None or self.features.matrix.shape[0] == self.num_nodes  # type: ignore[union-attr]

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


NO_KL = torch.zeros(())
"""The KL term of a model that has none."""


@dataclass(frozen=True, eq=False)
class StepLoss:
    """The loss of one step of the optimizer: the sum of two terms, each a scalar with its graph.

    Args:
        reconstruction: of the edges and sampled pairs of the step.
        num_edges: train edges of the step, which are its weight in the mean over the epoch.
        kl: with its factor and divisor.
        kl_nats: the KL term without them, for the divergence guard.
    """

    reconstruction: Tensor
    num_edges: int
    kl: Tensor = NO_KL
    kl_nats: Tensor = NO_KL


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a training came to; the model itself has the weights of the best epoch by then.

    Args:
        history: one entry an epoch.
        best_epoch: the kept one, first at the highest validation average precision.
        findings: what the divergence guard did.
        was_cut_short: whether `should_stop` ended it.
    """

    history: tuple[Epoch, ...]
    best_epoch: int
    findings: tuple[Finding, ...]
    was_cut_short: bool


def validated(held_out: HeldOut) -> Validation:
    """What the history keeps of a validation.

    Args:
        held_out: validation edges against a fixed sample of non-edges, weighted to the true base rate.
    """
    f1 = best_f1_confusion(held_out)
    return Validation(
        roc_auc(held_out),
        average_precision(held_out),
        best_balanced_accuracy(held_out),
        f1.f1,
        f1.tn,
        f1.fp,
        f1.fn,
        f1.tp,
    )


def run_epochs(
    task: TrainingTask,
    model: Trainable,
    losses: Callable[[int], Iterator[StepLoss]],
    scorer: Callable[[], Scorer],
    *,
    generators: Generators,
    weight_decay: float,
) -> TrainingResult:
    """Train a model in place and give it the weights of the epoch with the best validation average precision.

    Args:
        task: its limits, its checkpoint, and who is told of each epoch.
        model: with initial weights.
        losses: epoch, from 1 -> the losses of its steps, each computed after the step before it was made.
        scorer: of the model as it is, for validation.
        generators: of the task; `losses` draws from the same ones, whose states are in the checkpoints.
        weight_decay: L2 penalty on the encoder's weights.
    Raises:
        NonFiniteScores: the loss was NaN or infinite before the first validation, or a logit was in one.
    """
    config = task.config
    guard = DivergenceGuard(
        model,
        weight_decay=weight_decay,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        epochs=config.epochs,
    )
    split, edges = task.split, task.split.validation
    non_edges = draw_to_choose_by(split.not_judged(), split.train, len(edges), generators.validation)
    recorder = Recorder(task.checkpoint, guard, generators.noise, generators.zeros)
    history = [] if task.resumed is None else recorder.resume(task.resumed)
    is_done = task.resumed is not None and task.resumed.is_done

    with recorder.rescue():
        while not (is_done or _is_over(history, guard, config) or (guard.kept_epoch and task.should_stop())):
            epoch, start = len(history) + 1, time.perf_counter()
            steps, event = [], ""
            for step in losses(epoch):  # samples, forward pass, loss
                loss = step.reconstruction + step.kl
                event = guard.step(loss, step.kl_nats, epoch=epoch)  # backward pass, step of the optimizer
                steps.append((step.num_edges, loss.item(), step.reconstruction.item(), step.kl.item()))
                if event:  # a rollback: the rest of the epoch is left out
                    break
            seconds = time.perf_counter() - start

            validation = None
            if not event and (epoch % config.validate_every == 0 or epoch == config.epochs):
                with torch.no_grad():
                    validation = validated(HeldOut.from_scorer(scorer(), edges, non_edges, threads=1))
                if validation.average_precision > _best_ap(history, guard):
                    guard.keep(epoch)
            history.append(Epoch(epoch, *_mean_terms(steps), seconds, validation, event))
            recorder.after_epoch(history)
            if task.on_epoch is not None:
                task.on_epoch(history[-1])

    if not guard.kept_epoch:
        raise NonFiniteScores(
            f"{task.name}: the loss was not finite before the first validation, at {guard.learning_rate:g} as the learning "
            "rate too. Scale the features (--feature-scaling standard)."
        )
    recorder.after_training(history)
    guard.restore()
    was_cut_short = not _is_over(history, guard, config)
    return TrainingResult(tuple(history), guard.kept_epoch, tuple(guard.findings), was_cut_short)


def trained_model(
    task: TrainingTask,
    result: TrainingResult,
    model: Trainable,
    scorer: Scorer,
    *,
    effective_odds: float,
    objective: str,
    weight_decay: float,
    uses_features: bool,
) -> TrainedModel:
    """The model after its training, cut down to what later stages need; see `TrainedModel`.

    Args:
        task: what was trained.
        result: of `run_epochs`.
        model: with the weights of the best epoch.
        scorer: of that model.
        effective_odds: the odds at which the objective was trained.
        objective: all-pairs, sampled or subgraph.
        weight_decay: the L2 penalty on the encoder's weights.
        uses_features: whether there were any.
    """
    return TrainedModel(
        task.name,
        scorer,
        {key: value.cpu().numpy().astype(np.float32) for key, value in model.state_dict().items()},
        result.history,
        result.best_epoch,
        effective_odds,
        objective,
        weight_decay,
        uses_features,
        result.findings,
        result.was_cut_short,
    )


def _is_over(history: Sequence[Epoch], guard: DivergenceGuard, config: ModelOptions) -> bool:
    """Whether all epochs were made, the guard gave up, or patience has run out (later before a first validation)."""
    without_rise = len(history) - guard.kept_epoch
    patience = config.patience + config.validate_every * (guard.kept_epoch == 0)
    return len(history) >= config.epochs or guard.gave_up or without_rise >= patience


def _best_ap(history: Sequence[Epoch], guard: DivergenceGuard) -> float:
    best = history[guard.kept_epoch - 1].validation if guard.kept_epoch else None
    return -math.inf if best is None else best.average_precision


def _mean_terms(
    steps: Sequence[tuple[int, float, float, float]],
) -> tuple[float | None, float | None, float | None]:
    """Loss, reconstruction and KL term of an epoch, as means over its train edges; None where one is not finite."""
    num_edges = sum(edges for edges, *_ in steps)

    def mean_of(which: int) -> float | None:
        mean = sum(step[which] * step[0] / num_edges for step in steps)
        return mean if math.isfinite(mean) else None

    return mean_of(1), mean_of(2), mean_of(3)
