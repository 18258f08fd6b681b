"""History and costs: what was seen in each epoch of a training, and what each stage of a fit took.

Costs are kept apart from the results, so that these are the same bytes each time.
"""

import csv
import io
import platform
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Validation:
    """What a validation sees, at the true base rate: non-edges are sampled once and weighted up to their number."""

    roc_auc: float
    average_precision: float
    balanced_accuracy: float
    f1: float
    tn: float
    fp: float
    fn: float
    tp: float


@dataclass(frozen=True)
class Epoch:
    """One row of the history. loss = reconstruction + kl; `kl` includes beta and the divisor; seconds are of training alone.

    Each of the three is None where it was not finite; `event` then says what was done.

    Example:
        >>> epoch = Epoch(1, 0.7, 0.7, 0.0, 0.01)
        >>> Epoch.from_json(epoch.to_json()) == epoch
        True
    """

    epoch: int
    loss: float | None
    reconstruction: float | None
    kl: float | None
    seconds: float
    validation: Validation | None = None
    event: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Epoch":
        """The epoch that `to_json` gave."""
        validation = values["validation"]
        return Epoch(**{**values, "validation": None if validation is None else Validation(**validation)})


def history_columns(epochs: Sequence[Epoch]) -> dict[str, list[Any]]:
    """Columns of history.csv.

    Example:
        >>> list(history_columns([]))[:4], list(history_columns([]))[-2:]
        (['epoch', 'loss', 'reconstruction', 'kl'], ['seconds', 'event'])
    """
    columns: dict[str, list[Any]] = {
        name: [getattr(epoch, name) for epoch in epochs] for name in ("epoch", "loss", "reconstruction", "kl")
    }
    for name in Validation.__dataclass_fields__:
        columns[f"validation_{name}"] = [
            None if epoch.validation is None else getattr(epoch.validation, name) for epoch in epochs
        ]
    return columns | {name: [getattr(epoch, name) for epoch in epochs] for name in ("seconds", "event")}


def history_csv(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """The history as CSV, an empty cell for None; a header alone for a model without epochs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


@dataclass
class Costs:
    """Seconds of each stage, and the process's peak memory when it ended."""

    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    def seconds(self, name: str) -> float:
        """What a stage has taken so far."""
        return self.stages.get(name, {"seconds": 0.0})["seconds"]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, adding to what the stage has cost already."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start + self.seconds(name)
        self.stages[name] = {"seconds": round(seconds, 3), "peak_bytes": peak_bytes()}


def peak_bytes(status: Path = Path("/proc/self/status")) -> int:
    """The most memory that this process has held.

    Linux counts in getrusage what the parent held when it started this process, so its own high-water mark comes first.

    Args:
        status: where Linux tells it; getrusage is asked where that cannot be read.
    Example:
        >>> peak_bytes() > 1_000_000, peak_bytes(Path("nowhere")) > 1_000_000
        (True, True)
    """
    try:
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, UnicodeDecodeError):
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
