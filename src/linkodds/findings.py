"""What linkodds has to say about data, split, training or scores: one finding, one cause, one cure."""

from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Args:
        id: rule id of the doctor ("D04") or the name of a stage ("reading", "split", "training", "calibration", "decision").
        severity: error (results cannot be used), warning (read with care), info.
        message: what was seen and what it means, with the numbers, in one sentence.
        remedy: what to do.
        statistic: the number that triggered it, None where there is none.
    Example:
        >>> Finding("D21", "warning", "3 self-loops among the labels.", "Drop them.", 3.0).to_json()["id"]
        'D21'
    """

    id: str
    severity: Severity
    message: str
    remedy: str
    statistic: float | None = None

    def to_json(self) -> dict[str, str | float | None]:
        """The finding as evaluation.json and `doctor --json` write it."""
        return asdict(self)
