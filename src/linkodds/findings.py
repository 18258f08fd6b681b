"""What linkodds has to say about data, split, training or scores: one finding, one cause, one cure."""

import re
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

    @property
    def page(self) -> str | None:
        """Where the documentation shows what a rule of the doctor finds, None for the findings of a stage.

        Example:
            >>> Finding("D21", "warning", "", "").page, Finding("reading", "info", "", "").page
            ('docs/doctor.md#d21', None)
        """
        return f"docs/doctor.md#{self.id.lower()}" if re.fullmatch(r"D\d\d", self.id) else None

    def to_json(self) -> dict[str, str | float | None]:
        """The finding as evaluation.json writes it; `doctor --json` adds its page."""
        return asdict(self)
