"""History: what was seen in each epoch of a training, as values, as columns, and as the CSV of a run."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
