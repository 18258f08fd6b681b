"""A confusion matrix, and what was reported beside it, as people write them down."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linkodds.errors import MalformedFile, OptionError
from linkodds.reading.delimited import is_text_file, read_table
from linkodds.reading.tables import read_bytes

CELLS = ("tn", "fp", "fn", "tp")
_MOST_TEXT = 1 << 16  # bytes; a longer file is no note of four numbers
_CELL = re.compile(r"\b(tn|fp|fn|tp)\b[\"']?\s*[:=]\s*([-+]?[0-9.]+(?:e[-+]?\d+)?)", re.IGNORECASE)
_POSITIVE = ("1", "1.0", "true", "edge", "positive", "pos")
_NEGATIVE = ("0", "0.0", "false", "non-edge", "negative", "neg")


@dataclass(frozen=True)
class ConfusionMatrix:
    """A confusion matrix, as counts or as shares, and the figures that were reported with it.

    Args:
        tn: non-edges called non-edges.
        fp: non-edges called edges.
        fn: edges called non-edges.
        tp: edges called edges.
        figures: name -> value, such as roc_auc, accuracy, f1 (of the edges), f1_weighted or f1_micro.
        prevalence: share of edges among the pairs the decisions are for, in (0, 1); None: not said.
        num_candidates: number of those pairs; None: not said.
    Raises:
        MalformedFile: a negative cell, or no edge or no non-edge at all.
        OptionError: a prevalence outside (0, 1), or fewer candidates than pairs in the matrix.
    Example:
        >>> report = ConfusionMatrix(tn=0, fp=1, fn=0, tp=1, prevalence=1 / 80)
        >>> report.normalised, round(report.ratio), report.precision
        ('rows', 79, 0.5)
    """

    tn: float
    fp: float
    fn: float
    tp: float
    figures: Mapping[str, float] = field(default_factory=dict)
    prevalence: float | None = None
    num_candidates: float | None = None

    def __post_init__(self) -> None:
        cells = ", ".join(f"{name} {getattr(self, name):g}" for name in CELLS)
        if not all(0 <= getattr(self, name) < float("inf") for name in CELLS):
            raise MalformedFile(f"a confusion matrix has four counts of 0 or more, not {cells}.")
        if not (self.tp + self.fn and self.tn + self.fp):
            raise MalformedFile(f"a confusion matrix of edges and non-edges has some of each; here: {cells}.")
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise OptionError(f"--prevalence takes a number between 0 and 1, both excluded, not {self.prevalence}.")
        if self.num_candidates is not None and not self.normalised and self.num_candidates < self.total:
            raise OptionError(
                f"--num-candidates {self.num_candidates:g} is fewer than the {self.total:g} pairs in the matrix."
            )

    @property
    def total(self) -> float:
        """Sum of the cells: the pairs that were judged, if the cells are counts."""
        return self.tn + self.fp + self.fn + self.tp

    @property
    def normalised(self) -> str:
        """What sums to 1: "rows" (shares of the edges and of the non-edges), "columns", "all", or "" for counts."""
        # Digits were cut off where a cell is no whole number, and whole numbers are shares only if each pair is 0 and 1.
        near = 1e-6 if all(float(getattr(self, cell)).is_integer() for cell in CELLS) else 0.011

        def one(*sums: float) -> bool:
            return all(abs(each - 1) <= near for each in sums)

        if one(self.tp + self.fn, self.fp + self.tn):
            return "rows"
        if one(self.tp + self.fp, self.fn + self.tn):
            return "columns"
        return "all" if one(self.total) else ""

    @property
    def ratio(self) -> float | None:
        """Non-edges for each edge among the pairs the decisions are for; None where nothing says it."""
        if self.prevalence is not None:
            return (1 - self.prevalence) / self.prevalence
        if self.num_candidates is not None and not self.normalised:
            return (self.num_candidates - self.tp - self.fn) / (self.tp + self.fn)
        return None

    @property
    def recall(self) -> float:
        """Share of the edges that are called edges; in a matrix of column shares it is not what it says."""
        return self.tp / (self.tp + self.fn)

    @property
    def false_positive_rate(self) -> float:
        """Share of the non-edges that are called edges."""
        return self.fp / (self.fp + self.tn)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of recall and 1 - false positive rate."""
        return (1 + self.recall - self.false_positive_rate) / 2

    @property
    def precision(self) -> float | None:
        """tp / (tp + fp) of the cells as they stand; None where no pair is called an edge."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def f1(self) -> float:
        """F1 of the edges."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn)

    @property
    def weighted_f1(self) -> float:
        """F1 of edges and non-edges, averaged by their numbers: what average="weighted" gives."""
        non_edges = 2 * self.tn / (2 * self.tn + self.fp + self.fn) if self.tn + self.fp + self.fn else 0.0
        return ((self.tp + self.fn) * self.f1 + (self.tn + self.fp) * non_edges) / self.total


def holds_report(path: Path) -> bool:
    """Whether a file is a report: JSON, or a short text with TN, FP, FN and TP, or a table with those columns."""
    if path.suffix.lower() == ".json":
        return True
    return is_text_file(path) and path.suffix.lower() != ".gz" and len(_cells_in(path)) == len(CELLS)


def read_confusion_matrix(
    path: Path, *, prevalence: float | None = None, num_candidates: float | None = None
) -> ConfusionMatrix:
    """A confusion matrix from JSON, from text such as `TN = 0.0`, or from a table with the columns tn, fp, fn, tp.

    JSON is an object with tn, fp, fn, tp, or with `confusion_matrix` [[tn, fp], [fn, tp]], and any figures beside them; or
    what scikit-learn's `classification_report(output_dict=True)` gives.

    Raises:
        MalformedFile: none of these.
        OptionError: see `ConfusionMatrix`.
    """
    if path.suffix.lower() == ".json":
        try:
            document = json.loads(read_bytes(path))
        except ValueError as error:
            raise MalformedFile(f"{path.name}: no JSON ({error}).") from error
        if not isinstance(document, dict):
            raise MalformedFile(
                f"{path.name}: expected an object with tn, fp, fn and tp, not a {type(document).__name__}."
            )
        cells, figures = _of_classification_report(document) or _of_object(document)
    elif is_text_file(path) and len(cells := _cells_in(path)) == len(CELLS):
        figures = {}
    else:
        cells, figures = _of_table(path)
    if missing := [name for name in CELLS if name not in cells]:
        raise MalformedFile(
            f"{path.name}: no {', '.join(missing)}. A confusion matrix has tn, fp, fn and tp, or confusion_matrix: "
            "[[tn, fp], [fn, tp]]."
        )
    return ConfusionMatrix(**cells, figures=figures, prevalence=prevalence, num_candidates=num_candidates)


def _cells_in(path: Path) -> dict[str, float]:
    if path.stat().st_size > _MOST_TEXT:
        return {}
    found = {}
    for name, value in _CELL.findall(read_bytes(path).decode("utf-8", errors="replace")):
        try:
            found[name.lower()] = float(value)
        except ValueError:
            return {}
    return found


def _of_object(document: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
    flat: dict[str, Any] = {}
    for name, value in document.items():
        flat |= value if isinstance(value, dict) else {name: value}
    named = {re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_"): value for name, value in flat.items()}
    matrix = named.get("confusion_matrix", named.get("confusion"))
    if isinstance(matrix, list) and [len(row) if isinstance(row, list) else 0 for row in matrix] == [2, 2]:
        named |= dict(zip(CELLS, [cell for row in matrix for cell in row], strict=True))
    numbers = {
        name: float(value)
        for name, value in named.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    average = named.get("average")
    if average in ("weighted", "micro"):  # an F1 made with average="weighted"
        for name in ("f1", "f1_score"):
            if name in numbers:
                numbers[f"f1_{average}"] = numbers.pop(name)
    cells = {name: numbers.pop(name) for name in CELLS if name in numbers}
    return cells, numbers


def _of_classification_report(document: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]] | None:
    by_class = {str(name).lower(): value for name, value in document.items() if isinstance(value, dict)}
    edges, non_edges = (
        next((by_class[name] for name in names if "support" in by_class.get(name, {})), None)
        for names in (_POSITIVE, _NEGATIVE)
    )
    if edges is None or non_edges is None:
        return None
    num_edges, num_non_edges = float(edges["support"]), float(non_edges["support"])
    tp, tn = float(edges["recall"]) * num_edges, float(non_edges["recall"]) * num_non_edges
    cells = dict(zip(CELLS, (tn, num_non_edges - tn, num_edges - tp, tp), strict=True))
    figures = {"f1": float(edges["f1-score"])}
    if "accuracy" in document:
        figures["accuracy"] = float(document["accuracy"])
    if "weighted avg" in by_class:
        figures["f1_weighted"] = float(by_class["weighted avg"]["f1-score"])
    return {name: round(value, 6) for name, value in cells.items()}, figures


def _of_table(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    table = read_table(path, header=True) if is_text_file(path) else read_table(path)
    if len(table.lines) != 1:
        raise MalformedFile(
            f"{path.name}: {len(table.lines)} rows; a confusion matrix is one row of tn, fp, fn and tp."
        )
    row = table.load(list(range(len(table.names)))).row(0)
    numbers = {}
    for name, cell in zip(table.names, row, strict=True):
        try:
            numbers[name.lower()] = float(cell)
        except (TypeError, ValueError):
            if name.lower() in CELLS:
                raise MalformedFile(f"{path.name}: {cell!r} in column {name!r} is not a number.") from None
    cells = {name: numbers.pop(name) for name in CELLS if name in numbers}
    return cells, numbers
