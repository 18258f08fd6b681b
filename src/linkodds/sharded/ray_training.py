"""Training on workers of Ray: TorchTrainer starts the processes, and starts them again when one is lost."""

import json
import logging
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from linkodds.errors import RunError
from linkodds.models.training.checkpoint import Checkpoint, Checkpoints, TrainingState
from linkodds.models.training.training_loop import TrainedModel, TrainingTask
from linkodds.sharded.prepare import PreparedStore
from linkodds.sharded.torchrun import TorchCrew
from linkodds.sharded.training import DecoupledTrainer, OnlyTrained
from linkodds.sharded.worker_group import LocalCrew

_FAILURES = 3
COUNTS = "training.json"
"""What the training took in the first worker."""


@dataclass(frozen=True)
class WorkerTraining:
    """What each worker does: train as all processes of a torchrun do, from the last checkpoint, which the first one keeps.

    Args:
        prepared: see `DecoupledTrainer`.
        memory: see `DecoupledTrainer`.
        task: with its checkpoint in a folder that all workers find.
    """

    prepared: PreparedStore
    memory: int
    task: TrainingTask

    def __call__(self) -> None:
        """Train to the end."""
        assert self.task.checkpoint is not None
        trainer = DecoupledTrainer(self.prepared, TorchCrew.joined(), self.memory)
        try:
            trainer(replace(self.task, resumed=self.task.checkpoint.read()))
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

    def __call__(self, task: TrainingTask) -> TrainedModel:
        """Train and keep the epoch with the best validation average precision; see `DecoupledTrainer`.

        Args:
            task: with a checkpoint, as every run that is written has one.
        Raises:
            NonFiniteScores: the loss was NaN or infinite before the first validation.
            RunError: workers were lost more often than they are started again.
        """
        assert task.checkpoint is not None
        resumed = task.resumed
        if resumed is None or not resumed.is_done:
            resumed = self._trained_by_workers(task, task.checkpoint)
            task.checkpoint.of_fit.on_write(resumed.history)
            if task.on_epoch is not None:  # what the workers did is told afterwards
                for epoch in resumed.history[0 if task.resumed is None else len(task.resumed.history) :]:
                    task.on_epoch(epoch)
        model = self.here(replace(task, on_epoch=None, checkpoint=None, resumed=resumed))
        counts = self.prepared.folder / COUNTS
        if counts.is_file():
            self.here.counts.update(json.loads(counts.read_text()))
        return model

    def _trained_by_workers(self, task: TrainingTask, checkpoint: Checkpoint) -> TrainingState:
        """The end of the training, as the workers left it in the checkpoint."""
        checkpoint.of_fit.folder.mkdir(exist_ok=True)
        folder = checkpoint.of_fit.folder.absolute()  # workers may start elsewhere
        found = Checkpoint(Checkpoints(folder, checkpoint.every), checkpoint.name)
        # Without the features, of which H is made, and without who follows the training in this process.
        sent = TrainingTask(task.name, task.split, None, task.config, task.seeds, task.device, checkpoint=found)
        self._fit(WorkerTraining(self.prepared, self.memory, sent))
        state = checkpoint.read()
        if state is None:
            raise RunError(f"--engine ray: the workers left no checkpoint in {folder}. Do they share this folder?")
        return state

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
