"""Checkpoints: trainings written down so that a fit that was cut short goes on as if nothing had happened.

Each training has two files in RUN.partial/checkpoints/: NAME-FOLD.HASH.safetensors with all tensors and NAME-FOLD.json
with the rest. The JSON is written last, by a rename, and holds the hash of the other file: whenever the process is
killed, the last complete checkpoint is there and can be told from a damaged one. Nothing is ever unpickled.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from linkodds.errors import BrokenRun
from linkodds.findings import Finding
from linkodds.models.training.divergence_guard import DivergenceGuard, GuardState
from linkodds.models.training.history import Epoch
from linkodds.pairs import PairSpace

FORMAT = "linkodds.checkpoint/1"
FOLDER = "checkpoints"
SMALL_GRAPH = 1_000_000
"""Pairs up to which an epoch takes so little that a checkpoint (about 15 ms) is worth writing less often."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A training at the end of an epoch.

    Args:
        history: all epochs so far.
        guard: weights, Adam and what the divergence guard knows.
        noise: state of the generator of noise and dropout.
        zeros: state of the generator that the objective draws zeros from.
        is_done: whether the training has ended; then `guard` holds no moments, and its weights are the kept ones.
    """

    history: tuple[Epoch, ...]
    guard: GuardState
    noise: Tensor
    zeros: dict[str, Any]
    is_done: bool = False


@dataclass(frozen=True)
class Checkpoints:
    """Where the checkpoints of a fit go, and how often.

    Args:
        folder: RUN.partial/checkpoints.
        every: epochs between two of them.
        on_write: called with the history of a training after each of its checkpoints.
    """

    folder: Path
    every: int
    on_write: Callable[[Sequence[Epoch]], None] = lambda _: None

    def of(self, name: str, fold: int) -> "Checkpoint":
        """The checkpoint of one training.

        Args:
            name: of the model.
            fold: of calibration, 0 for the first split.
        """
        return Checkpoint(self, f"{name}-{fold}")


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint of one training: nothing, or its last complete state.

    Args:
        of_fit: folder and interval.
        name: model and fold, the start of its files' names.
    """

    of_fit: Checkpoints
    name: str

    @property
    def every(self) -> int:
        """Epochs between two checkpoints."""
        return self.of_fit.every

    @property
    def path(self) -> Path:
        """The JSON file."""
        return self.of_fit.folder / f"{self.name}.json"

    def write(self, state: TrainingState) -> None:
        """Replace the checkpoint; a kill at any time leaves the old one or the new one."""
        folder = self.path.parent
        folder.mkdir(exist_ok=True)
        unnamed = folder / f"{self.name}.safetensors.new"
        safetensors.torch.save_file(_tensors(state), unnamed)
        digest = _sha256(unnamed)
        tensors = folder / f"{self.name}.{digest[:16]}.safetensors"
        _sync(unnamed)
        unnamed.replace(tensors)
        rest = _rest(state)
        document = {"format": FORMAT, "tensors": tensors.name, "sha256": digest, "sha256_of_state": _digest(rest)}
        new = self.path.with_name(f"{self.name}.json.new")
        new.write_text(json.dumps({**document, "state": rest}, allow_nan=False), encoding="utf-8")
        _sync(new)
        _sync(folder)  # the tensors' name before the name that points to it
        new.replace(self.path)
        _sync(folder)
        for old in folder.glob(f"{self.name}.*.safetensors"):
            if old != tensors:
                old.unlink()
        self.of_fit.on_write(state.history)

    def read(self) -> TrainingState | None:
        """The state to go on from, on the CPU; None where none was written.

        Raises:
            BrokenRun: a file is cut off, changed or lost.
        """
        if not self.path.exists():
            return None
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            is_whole = document["sha256_of_state"] == _digest(document["state"])
            name, digest = str(document["tensors"]), document["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._broken(self.path, f"no readable checkpoint ({type(error).__name__})") from error
        if document.get("format") != FORMAT:
            raise self._broken(self.path, f"format {document.get('format')!r}, this version reads {FORMAT!r}")
        if not is_whole or not re.fullmatch(rf"{re.escape(self.name)}\.[0-9a-f]{{16}}\.safetensors", name):
            raise self._broken(self.path, "changed after it was written")
        path = self.path.with_name(name)
        if not path.is_file():
            raise self._broken(path, "missing")
        if _sha256(path) != digest:
            raise self._broken(path, "changed or cut off after it was written")
        try:
            return _state(safetensors.torch.load_file(path), document["state"])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise self._broken(self.path, f"not as linkodds writes it ({type(error).__name__})") from error

    def _broken(self, path: Path, what: str) -> BrokenRun:
        return BrokenRun(
            f"{path}: {what}. Delete {self.path} to train {self.name.rpartition('-')[0]} from its beginning with --resume, "
            "or leave --resume out to start all anew."
        )


class Recorder:
    """Keeps the checkpoint of a training up to date while it runs; without a checkpoint it does nothing.

    The generators' states are remembered after each epoch, so that an epoch that is broken off before it changed the
    weights can still be taken back.

    Args:
        checkpoint: where to write, or None.
        guard: of the training.
        noise: generator of noise and dropout.
        zeros: generator that the objective draws from.
    """

    def __init__(
        self, checkpoint: Checkpoint | None, guard: DivergenceGuard, noise: torch.Generator, zeros: np.random.Generator
    ) -> None:
        self._checkpoint, self._guard, self._noise, self._zeros = checkpoint, guard, noise, zeros
        self._state: TrainingState | None = None  # at the end of the last complete epoch
        self._written: TrainingState | None = None

    def resume(self, state: TrainingState) -> list[Epoch]:
        """Bring guard and generators to a state; the history so far."""
        self._guard.resume(state.guard)
        self._noise.set_state(state.noise)
        self._zeros.bit_generator.state = state.zeros
        self._state = self._written = self._now(state.history)
        return list(state.history)

    def after_epoch(self, history: Sequence[Epoch]) -> None:
        """Remember the end of an epoch, and write it when its turn has come."""
        if self._checkpoint is None:
            return
        self._state = self._now(history)
        if len(history) % self._checkpoint.every == 0:
            self._write(self._state)

    def after_training(self, history: Sequence[Epoch]) -> None:
        """Write that the training has ended, with the weights that it keeps."""
        if self._checkpoint is None:
            return
        state = self._now(history)
        self._write(replace(state, guard=replace(state.guard, weights=state.guard.kept, moments={}), is_done=True))

    @contextmanager
    def rescue(self) -> Iterator[None]:
        """Write the last complete epoch when the block is left by an exception, Ctrl-C included.

        Where the weights have changed since (it broke off between the step and the end of the epoch), what was written
        before stands. So it does where writing fails too: the exception that is passed on is the first one.
        """
        try:
            yield
        except BaseException:
            state = self._state
            if state is not None and state is not self._written and state.guard.num_changes == self._guard.num_changes:
                with suppress(OSError):
                    self._write(state)
            raise

    def _now(self, history: Sequence[Epoch]) -> TrainingState:
        return TrainingState(
            tuple(history), self._guard.state, self._noise.get_state(), dict(self._zeros.bit_generator.state)
        )

    def _write(self, state: TrainingState) -> None:
        assert self._checkpoint is not None
        self._checkpoint.write(state)
        self._written = state


def checkpoint_interval(every: int | None, space: PairSpace) -> int:
    """Epochs between two checkpoints: as asked, else 25, or 100 in a graph of up to a million pairs.

    Example:
        >>> checkpoint_interval(None, PairSpace(1000)), checkpoint_interval(None, PairSpace(3000))
        (100, 25)
    """
    if every is not None:
        return every
    return 100 if space.num_pairs <= SMALL_GRAPH else 25


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    guard = state.guard
    groups = {"kept": guard.kept, "moments": guard.moments} | ({} if state.is_done else {"weights": guard.weights})
    named = {f"{group}:{name}": value for group, values in groups.items() for name, value in values.items()}
    return {name: value.detach().contiguous() for name, value in {**named, "noise": state.noise}.items()}


def _rest(state: TrainingState) -> dict[str, Any]:
    guard = state.guard
    best = guard.kept_epoch and state.history[guard.kept_epoch - 1].validation
    return {
        "epoch": len(state.history),
        "best_epoch": guard.kept_epoch,
        "best_validation_average_precision": best.average_precision if best else None,
        "is_done": state.is_done,
        "learning_rate": guard.learning_rate,
        "kl_nats": list(guard.kl_nats),
        "num_changes": guard.num_changes,
        "findings": [finding.to_json() for finding in guard.findings],
        "zeros": state.zeros,
        "history": [epoch.to_json() for epoch in state.history],
    }


def _state(tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> TrainingState:
    def group(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    kept = group("kept:")
    guard = GuardState(
        kept if rest["is_done"] else group("weights:"),
        kept,
        rest["best_epoch"],
        group("moments:"),
        rest["learning_rate"],
        tuple(rest["kl_nats"]),
        tuple(Finding(**finding) for finding in rest["findings"]),
        rest["num_changes"],
    )
    history = tuple(Epoch.from_json(epoch) for epoch in rest["history"])
    return TrainingState(history, guard, tensors["noise"], rest["zeros"], rest["is_done"])


def _digest(rest: Any) -> str:
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder, before the next step."""
    if path.is_dir() and os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
