"""What the doctor looks at: a table of labels and scores."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from linkodds.errors import MalformedFile, OptionError
from linkodds.findings import Finding
from linkodds.metrics.logit_bins import Floats
from linkodds.reading.delimited import read_table as read_columns
from linkodds.reading.tables import Table

VALUE_COLUMNS = ("probability", "logit", "score")
"""What a table may hold beside its labels; the first one found is read."""

_TAKEN_FOR = {
    "probability": "probabilities, for all lie in [0, 1]",
    "logit": "logits, for some lie below 0",
    "score": "numbers that only rank, such as counts of shared neighbours, for none lies below 0 and some above 1: what is "
    "said of logits and probabilities is not asked of them",
}


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Labels and scores of some pairs, and what is known about the pairs they stand for.

    Args:
        labels: shape (rows,), True for an edge; both kinds occur.
        values: shape (rows,), float64; NaN and infinity are allowed, and are a finding.
        kind: "logit" (any number), "probability" (in [0, 1]), or "score" (any number, which only ranks).
        weights: shape (rows,), how many pairs each row stands for; None: not said.
        num_non_edges: how many non-edges the ones in the table were drawn from; None: not said.
        prevalence: share of edges among the pairs the scores are for, in (0, 1); None: not said.
        odds_trained_at: weight of edges / weight of non-edges in the training loss; None: not said.
        findings: what reading assumed.
        pairs: shape (rows, 2), ids of the two ends as text; None: not there.
    Raises:
        MalformedFile: labels of one kind only, lengths that differ, or a probability outside [0, 1].
        OptionError: a prevalence outside (0, 1), or fewer non-edges in all than in the table.
    Example:
        >>> table = ScoreTable(np.array([True, False]), np.array([0.9, 0.2]), "probability", num_non_edges=80)
        >>> table.row_weights.tolist(), table.ratio, table.logits.round(2).tolist()
        ([1.0, 80.0], 80.0, [2.2, -1.39])
    """

    labels: NDArray[np.bool_]
    values: Floats
    kind: Literal["logit", "probability", "score"]
    weights: Floats | None = None
    num_non_edges: float | None = None
    prevalence: float | None = None
    odds_trained_at: float | None = None
    findings: tuple[Finding, ...] = ()
    pairs: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        weights = self.values if self.weights is None else self.weights
        if not len(self.labels) == len(self.values) == len(weights):
            raise MalformedFile(
                f"{len(self.labels)} labels, {len(self.values)} scores, {len(weights)} weights: one each a row."
            )
        if self.labels.all() or not self.labels.any():
            kind = "edges" if self.labels.any() else "non-edges"
            raise MalformedFile(
                f"all {len(self.labels)} rows are {kind}; the table needs labels 1 (edge) and 0 (non-edge)."
            )
        if self.kind == "probability":
            outside = (self.values < 0) | (self.values > 1)
            if outside.any():
                row = int(np.argmax(outside))
                raise MalformedFile(
                    f"row {row + 1}: probability {self.values[row]:g} is not between 0 and 1. "
                    "If these are logits, name the column 'logit'."
                )
        if self.weights is not None and not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise MalformedFile("weights must be positive, finite numbers: how many pairs a row stands for.")
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise OptionError(f"--prevalence takes a number between 0 and 1, both excluded, not {self.prevalence}.")
        if self.num_non_edges is not None and self.num_non_edges < self.num_rows - self.num_edges:
            raise OptionError(
                f"{self.num_non_edges:g} non-edges in all (--num-candidates less the edges) are fewer than the "
                f"{self.num_rows - self.num_edges} non-edges in the table."
            )

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return len(self.labels)

    @property
    def num_edges(self) -> int:
        """Number of rows that are edges."""
        return int(self.labels.sum())

    @property
    def logits(self) -> Floats:
        """Shape (rows,); probabilities of 0 and 1 become the logits of 1e-15 and 1 - 1e-15, which are finite.

        A score stays what it is, and stands for its order alone.
        """
        if self.kind != "probability":
            return self.values
        p = np.clip(self.values, 1e-15, 1 - 1e-15)
        return np.asarray(np.log(p) - np.log1p(-p))

    @property
    def probabilities(self) -> Floats:
        """Shape (rows,): the values, or the sigmoid of the logits."""
        return self.values if self.kind == "probability" else np.asarray(expit(self.values))

    @property
    def at_base_rate(self) -> bool:
        """Whether `row_weights` lead from the table to the pairs it stands for."""
        return any(known is not None for known in (self.weights, self.num_non_edges, self.prevalence))

    @property
    def row_weights(self) -> Floats:
        """Shape (rows,): the weights, or those that follow from the non-edges in all or the prevalence, or ones."""
        if self.weights is not None:
            return self.weights
        num_non_edges = self.num_rows - self.num_edges
        if self.num_non_edges is not None:
            each = self.num_non_edges / num_non_edges
        elif self.prevalence is not None:
            each = (1 - self.prevalence) / self.prevalence * self.num_edges / num_non_edges
        else:
            each = 1.0
        return np.where(self.labels, 1.0, each)

    @property
    def ratio(self) -> float:
        """Non-edges for each edge among the pairs the table stands for."""
        weights = self.row_weights
        return float(weights[~self.labels].sum() / weights[self.labels].sum())

    def finite(self) -> "ScoreTable | None":
        """The rows whose value is a number, or None when those are of one kind only."""
        keep = np.isfinite(self.values)
        if keep.all():
            return self
        if self.labels[keep].all() or not self.labels[keep].any():
            return None
        weights = None if self.weights is None else self.weights[keep]
        pairs = None if self.pairs is None else self.pairs[keep]
        return replace(self, labels=self.labels[keep], values=self.values[keep], weights=weights, pairs=pairs)


def read_table(
    path: str | Path,
    *,
    num_candidates: float | None = None,
    prevalence: float | None = None,
    odds_trained_at: float | None = None,
) -> ScoreTable:
    """Labels and scores from .csv, .tsv or .parquet.

    Args:
        path: a file with a column `label` (1 edge, 0 non-edge), one of `probability`, `logit`, `score`, and perhaps
            `weight`, `source` and `target`. A `score` is taken for a probability when all lie in [0, 1], for a logit when
            some lie below 0, else for a number that only ranks (a count of neighbours), and that is reported.
        num_candidates: all pairs that the scores are for: the table's edges and all non-edges.
        prevalence: see `ScoreTable`.
        odds_trained_at: see `ScoreTable`.
    Raises:
        MalformedFile: a missing column, a label that is not 0 or 1, a value that is no number.
        OptionError: see `ScoreTable`.
    """
    table = read_columns(Path(path), ids=("label",))
    named = {name.lower(): position for position, name in enumerate(table.names)}
    value_names = [name for name in VALUE_COLUMNS if name in named]
    if "label" not in named or not value_names:
        raise MalformedFile(
            f"{table.place} has the columns {', '.join(table.names)}; a table of scores needs 'label' (1 edge, 0 "
            "non-edge) "
            "and one of 'probability', 'logit', 'score'."
        )
    name = value_names[0]
    values = _numbers(table, named[name])
    findings = []
    in_unit = bool(((values >= 0) & (values <= 1))[np.isfinite(values)].all())
    kind: Literal["logit", "probability", "score"] = "probability" if name == "probability" else "logit"
    if name == "score":
        kind = "probability" if in_unit else "logit" if bool((values < 0).any()) else "score"
        message = f"The column 'score' is taken for {_TAKEN_FOR[kind]}."
        findings.append(Finding("reading", "info", message, "Name it 'logit' or 'probability' to settle it."))
    elif len(value_names) > 1:
        message = f"Judged by the column '{name}'."
        findings.append(Finding("reading", "info", message, "Drop it to have the other one judged."))
    labels = _labels(table, named["label"])
    ends = [named[end] for end in ("source", "target") if end in named]
    return ScoreTable(
        labels,
        values,
        kind,
        weights=_numbers(table, named["weight"]) if "weight" in named else None,
        num_non_edges=None if num_candidates is None else num_candidates - int(labels.sum()),
        prevalence=prevalence,
        odds_trained_at=odds_trained_at,
        findings=tuple(findings),
        pairs=table.load(ends).to_numpy() if len(ends) == 2 else None,
    )


def read_labels(path: Path) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Pairs of ids, shape (rows, 2), and labels of a part of a split that says which of its rows are edges.

    Raises:
        MalformedFile: fewer than two other columns, or a label that is not 0 or 1.
    """
    table = read_columns(path, ids=("label",))
    place = [name.lower() for name in table.names].index("label")
    ends = [position for position in range(len(table.names)) if position != place][:2]
    if len(ends) < 2:
        raise MalformedFile(f"{table.place} has a label and no two columns of ids beside it.")
    return table.load(ends).to_numpy(), _labels(table, place)


def _labels(table: Table, position: int) -> NDArray[np.bool_]:
    known = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
    texts = table.load([position]).to_series().str.to_lowercase().to_list()
    for row, text in enumerate(texts):
        if text not in known:
            raise MalformedFile(f"{table.where(row)}: label {text!r} is neither 1 (edge) nor 0 (non-edge).")
    return np.array([known[text] for text in texts], dtype=np.bool_)


def _numbers(table: Table, position: int) -> Floats:
    text = table.load([position]).to_series()
    values = text.cast(pl.Float64, strict=False)
    if values.null_count():
        row = int(values.is_null().arg_max() or 0)
        name = table.names[position]
        raise MalformedFile(f"{table.where(row)}: {text[row]!r} in column '{name}' is not a number.")
    return values.to_numpy().astype(np.float64)
