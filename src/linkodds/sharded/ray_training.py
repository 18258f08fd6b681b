"""Training on workers of Ray: TorchTrainer starts the processes, and starts them again when one is lost."""

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from linkodds.config import FitConfig
from linkodds.errors import RunError
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.training.checkpoint import Checkpoint, Checkpoints, TrainingState
from linkodds.models.training.history import Epoch
from linkodds.models.training.training import TrainedModel
from linkodds.sharded.prepare import PreparedStore
from linkodds.sharded.torchrun import TorchCrew
from linkodds.sharded.training import DecoupledTrainer, OnlyTrained
from linkodds.sharded.worker_group import LocalCrew, WorkerGroup

_FAILURES = 3
COUNTS = "training.json"
"""What the training took in the first worker."""


@dataclass(frozen=True)
class WorkerTraining:
    """What each worker does: train as all processes of a torchrun do, from the last checkpoint, which the first one keeps.

    Args:
        prepared: see `DecoupledTrainer`.
        memory: see `DecoupledTrainer`.
        checkpoints: their folder.
        every: epochs between two of them.
        key: model and fold, the start of their files' names.
        name: of the model.
        split: to train on.
        config: of the training.
        seeds: entropy, spawn key and children so far of the seeds.
    """

    prepared: PreparedStore
    memory: int
    checkpoints: Path
    every: int
    key: str
    name: str
    split: Split
    config: FitConfig
    seeds: tuple[Any, tuple[int, ...], int]

    def __call__(self) -> None:
        """Train to the end."""
        entropy, spawn_key, children = self.seeds
        seeds = np.random.SeedSequence(entropy, spawn_key=spawn_key, n_children_spawned=children)
        crew: WorkerGroup = TorchCrew.joined()
        checkpoint = Checkpoint(Checkpoints(self.checkpoints, self.every), self.key)
        trainer = DecoupledTrainer(self.prepared, crew, self.memory)
        try:
            trainer(
                self.name,
                self.split,
                None,
                self.config,
                seeds=seeds,
                device=torch.device("cpu"),
                checkpoint=checkpoint,
                resumed=checkpoint.read(),
            )
        except OnlyTrained:
            return
        (self.prepared.folder / COUNTS).write_text(json.dumps(trainer.counts))


@dataclass(frozen=True, eq=False)
class RayTrainer:
    """Trains with TorchTrainer on workers of one processor each; a `linkodds.fitting.fitted_model.Trainer`.

    All workers find the files of the fit under the same paths. When one is lost, all start again with the last checkpoint,
    up to three times. The end of the training is a checkpoint too, and this process goes on with that.

    Args:
        prepared: see `DecoupledTrainer`.
        workers: processes.
        memory: bytes of mapped pages to keep at most in each, about.
        folder: of what Ray writes.
        here: trains nothing here, but makes the model of the last checkpoint.
    """

    prepared: PreparedStore
    workers: int
    memory: int
    folder: Path
    here: DecoupledTrainer

    @staticmethod
    def of(prepared: PreparedStore, workers: int, memory: int, folder: Path) -> "RayTrainer":
        """With the other processes' share of the memory for each."""
        return RayTrainer(
            prepared, workers, memory // workers, folder, DecoupledTrainer(prepared, LocalCrew(workers), memory)
        )

    def __call__(
        self,
        name: str,
        split: Split,
        features: Features | None,
        config: FitConfig,
        *,
        seeds: np.random.SeedSequence,
        device: torch.device,
        on_epoch: Callable[[Epoch], None] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        checkpoint: Checkpoint | None = None,
        resumed: TrainingState | None = None,
    ) -> TrainedModel:
        """Train and keep the epoch with the best validation average precision; see `DecoupledTrainer`.

        Raises:
            NonFiniteScores: the loss was NaN or infinite before the first validation.
            RunError: workers were lost more often than they are started again.
        """
        assert checkpoint is not None  # a run that is written has one
        before = 0 if resumed is None else len(resumed.history)
        if resumed is None or not resumed.is_done:
            checkpoint.of_fit.folder.mkdir(exist_ok=True)
            given = seeds.entropy, tuple(int(each) for each in seeds.spawn_key), seeds.n_children_spawned
            folder = checkpoint.of_fit.folder.absolute()
            work = WorkerTraining(
                self.prepared, self.memory, folder, checkpoint.every, checkpoint.name, name, split, config, given
            )
            self._fit(work)
            resumed = checkpoint.read()
            if resumed is None:
                raise RunError(f"--engine ray: the workers left no checkpoint in {folder}. Do they share this folder?")
            checkpoint.of_fit.on_write(resumed.history)
            if on_epoch is not None:  # what the workers did is told afterwards
                for epoch in resumed.history[before:]:
                    on_epoch(epoch)
        model = self.here(
            name,
            split,
            features,
            config,
            seeds=seeds,
            device=device,
            should_stop=should_stop,
            checkpoint=None,
            resumed=resumed,
        )
        counts = self.prepared.folder / COUNTS
        if counts.is_file():
            self.here.counts.update(json.loads(counts.read_text()))
        return model

    def _fit(self, work: WorkerTraining) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        logging.getLogger("ray.train").setLevel(logging.ERROR)
        trainer = TorchTrainer(
            work,
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=ScalingConfig(num_workers=self.workers, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(
                name="training", storage_path=str(self.folder), failure_config=FailureConfig(max_failures=_FAILURES)
            ),
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of Ray, about its own options
                trainer.fit()
        except Exception as error:
            cause = _own_error(error)
            if cause is not None:
                raise cause from None
            raise RunError(
                f"--engine ray: the training failed, started again up to {_FAILURES} times "
                f"({str(error).strip().splitlines()[-1]}). Run the same command again with --resume: it goes on with the last "
                "checkpoint."
            ) from error


def _own_error(error: BaseException) -> BaseException | None:
    """What the training itself raised in a worker, if anything did."""
    from linkodds.errors import LinkoddsError

    for each in getattr(error, "worker_failures", {}).values():
        for candidate in (each, getattr(each, "cause", None), getattr(each, "__cause__", None)):
            if isinstance(candidate, LinkoddsError):
                return candidate
    return None
