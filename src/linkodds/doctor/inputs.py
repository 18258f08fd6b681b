"""What the doctor looks at: a table of labels and scores, and the history of a training."""

import re
from collections.abc import Mapping, Sequence
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

HELD_OUT = {"val", "valid", "validation", "test", "eval", "dev"}
"""Words that say that a column of a history is of edges that were not trained on."""


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Labels and scores of some pairs, and what is known about the pairs they stand for.

    Args:
        labels: shape (rows,), True for an edge; both kinds occur.
        values: shape (rows,), float64; NaN and infinity are allowed, and are a finding.
        kind: "logit" (any number) or "probability" (in [0, 1]).
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
    kind: Literal["logit", "probability"]
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
        """Shape (rows,); probabilities of 0 and 1 become the logits of 1e-15 and 1 - 1e-15, which are finite."""
        if self.kind == "logit":
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


@dataclass(frozen=True, eq=False)
class Curve:
    """One column of a history: the epochs it was written at, and its values (NaN and infinity stay, blanks do not)."""

    name: str
    epochs: Floats
    values: Floats


@dataclass(frozen=True, eq=False)
class History:
    """The columns of a training history, found by what they are and not by how they are spelled.

    Args:
        curves: one a column, in the file's order.
        loss_shares: weight of the edges and of the non-edges in the reconstruction loss, which is
            shares[0] * mean over edges + shares[1] * mean over non-edges. Balanced by default; (prevalence,
            1 - prevalence) for a plain mean over all pairs.
    Example:
        >>> history = History.from_columns({"epoch": [1, 2], "train_loss": [0.9, 0.7], "kld": [0.1, None]})
        >>> history.kl.values.tolist(), history.loss.name, history.roc_auc is None
        ([0.1], 'train_loss', True)
    """

    curves: tuple[Curve, ...]
    loss_shares: tuple[float, float] = (0.5, 0.5)

    @staticmethod
    def from_columns(
        columns: Mapping[str, Sequence[float | None] | Floats], *, loss_shares: tuple[float, float] = (0.5, 0.5)
    ) -> "History":
        """A history from columns of equal length; None is a blank cell (a value that was not written at that epoch)."""
        num_rows = max((len(column) for column in columns.values()), default=0)
        epochs = np.arange(1, num_rows + 1, dtype=np.float64)
        for name, column in columns.items():
            if name.strip().lower() in ("epoch", "epochs", "step") and all(value is not None for value in column):
                epochs = np.asarray(column, dtype=np.float64)
        curves = []
        for name, column in columns.items():
            kept = np.array([value is not None for value in column], dtype=np.bool_)
            values = np.array([np.nan if value is None else value for value in column], dtype=np.float64)
            curves.append(Curve(name, epochs[: len(kept)][kept], values[kept]))
        return History(tuple(curves), loss_shares)

    @property
    def loss(self) -> Curve | None:
        """The training loss as a whole."""
        return self._find({"loss", "cost", "elbo"})

    @property
    def kl(self) -> Curve | None:
        """The KL term as a whole."""
        return self._find({"kl", "kld"})

    @property
    def reconstruction(self) -> Curve | None:
        """The reconstruction term, or loss minus KL where only those were written, or the loss."""
        own = self._find({"reconstruction", "recon", "rec", "bce", "nll"})
        loss, kl = self.loss, self.kl
        if own is None and loss is not None and kl is not None and np.array_equal(loss.epochs, kl.epochs):
            with np.errstate(invalid="ignore"):  # where both overflowed
                return Curve(f"{loss.name} - {kl.name}", loss.epochs, loss.values - kl.values)
        return own or loss

    @property
    def roc_auc(self) -> Curve | None:
        """Area under the ROC curve: of held-out edges where a name says so, else of whatever pairs it was measured on."""
        held_out = self.roc_aucs[1]
        return held_out or next((c for c in self.curves if words(c.name) & {"auc", "roc", "auroc"}), None)

    @property
    def roc_aucs(self) -> tuple[Curve | None, Curve | None]:
        """The columns of the ROC AUC on train edges and on held-out edges, each None where no name says which it is."""
        train, held_out = (
            next((c for c in self.curves if words(c.name) & {"auc", "roc", "auroc"} and words(c.name) & sample), None)
            for sample in ({"train", "training"}, HELD_OUT)
        )
        return train, held_out

    @property
    def log_deviations(self) -> list[Curve]:
        """Columns of log variances or log deviations."""
        return [
            c
            for c in self.curves
            if re.sub(r"[^a-z]", "", c.name.lower()).endswith(("logvar", "logstd", "logdeviation"))
        ]

    @property
    def logits(self) -> list[Curve]:
        """Columns of logits, such as the largest one of an epoch."""
        return [curve for curve in self.curves if words(curve.name) & {"logit", "logits"}]

    @property
    def kl_per_dimension(self) -> Floats | None:
        """Shape (dim,): last KL of each dimension where the columns are kl_0, kl_1, ..., None otherwise."""
        each = [c for c in self.curves if re.fullmatch(r"kld?(_dim(ension)?)?_?\d+", c.name.lower()) and len(c.values)]
        return np.array([curve.values[-1] for curve in each]) if len(each) > 1 else None

    def _find(self, names: set[str]) -> Curve | None:
        # A training term: "kl" is the term, "kl_3" a dimension of it, "val_loss" another sample, "bce_loss" no total.
        parts = {"kl", "kld", "reconstruction", "recon", "rec", "bce", "nll"}
        for curve in self.curves:
            found = words(curve.name)
            if (
                found & names
                and not found & HELD_OUT
                and not (found & parts) - names
                and not re.search(r"\d$", curve.name)
            ):
                return curve if len(curve.values) else None
        return None


def words(name: str) -> set[str]:
    """The lower-case words of a column name.

    Example:
        >>> sorted(words("val_ROC-AUC"))
        ['auc', 'roc', 'val']
    """
    return set(re.split(r"[^a-z0-9]+", name.strip().lower()))


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
            `weight`, `source` and `target`. A `score` is taken for a probability when all lie in [0, 1], and that is reported.
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
    if name == "score":
        kind = "probabilities, for all lie in [0, 1]" if in_unit else "logits, for some lie outside [0, 1]"
        message = f"The column 'score' is taken for {kind}."
        findings.append(Finding("reading", "info", message, "Name it 'logit' or 'probability' to settle it."))
    elif len(value_names) > 1:
        message = f"Judged by the column '{name}'."
        findings.append(Finding("reading", "info", message, "Drop it to have the other one judged."))
    labels = _labels(table, named["label"])
    ends = [named[end] for end in ("source", "target") if end in named]
    return ScoreTable(
        labels,
        values,
        "logit" if name == "logit" or (name == "score" and not in_unit) else "probability",
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


def read_history(path: str | Path) -> History:
    """The numeric columns of a training history; blank cells are values that were not written at that epoch.

    Raises:
        MalformedFile: no column that is a loss.
    """
    table = read_columns(Path(path))
    columns: dict[str, list[float | None]] = {}
    for position, name in enumerate(table.names):
        text = table.load([position]).to_series()
        values = text.cast(pl.Float64, strict=False)
        if bool((values.is_not_null() | (text == "")).all()):  # a column with words in it ("event") is not a curve
            columns[name] = values.to_list()
    history = History.from_columns(columns)
    if history.reconstruction is None:
        raise MalformedFile(
            f"{table.place} has the columns {', '.join(table.names)}, none of which is a training loss in numbers."
        )
    return history


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
