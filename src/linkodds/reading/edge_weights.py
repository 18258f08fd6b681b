"""Weights of edges: a column of confidences or of strengths, and which model uses which."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from linkodds.config import (
    AUTOENCODERS,
    BASELINES,
    ON_HIDDEN_EDGES,
    OWN_ENCODER,
    OWN_SCORER,
    PAIR_MODELS,
    TABLES,
    FitConfig,
)
from linkodds.errors import BrokenRun, MalformedFile, OptionError
from linkodds.findings import Finding

Role = Literal["confidence", "strength"]
Floats = NDArray[np.float64]

USED_BY: dict[str, tuple[str, ...]] = {
    "confidence": tuple(name for name in AUTOENCODERS if name not in PAIR_MODELS),
    "strength": tuple(name for name in AUTOENCODERS if name not in TABLES),
}
"""Models whose training looks at the weights; of auto they are the ones that it tries."""
_WHY_NOT = {
    "confidence": "its loss takes every train edge as certain",
    "strength": "it passes no messages along edges that a strength could weigh",
}


@dataclass(frozen=True, eq=False)
class EdgeWeights:
    """One weight for each edge, found by its key.

    Args:
        values: shape (edges,), float64: confidences in (0, 1], or strengths above 0.
        keys: shape (edges,), int64, increasing: `PairSpace.keys` of the edges; of rows as read, their numbers.
        role: what the weights mean.
        column: their name.
    Example:
        >>> weights = EdgeWeights(np.array([0.5, 0.9]), np.array([3, 8]), "confidence", "score")
        >>> weights.of(np.array([8, 3, 8])).tolist()
        [0.9, 0.5, 0.9]
    """

    values: Floats
    keys: NDArray[np.int64]
    role: Role
    column: str

    def of(self, keys: NDArray[np.int64]) -> Floats:
        """Shape (keys,): the weights of edges that have one.

        Raises:
            KeyError: a key without a weight.
        """
        place = np.searchsorted(self.keys, keys)
        place = np.minimum(place, max(len(self.keys) - 1, 0))
        if len(keys) and (self.keys[place] != keys).any():
            raise KeyError("an edge without a weight")
        return self.values[place]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays to stand beside the edges in split.npz."""
        named = {"weights_values": self.values, "weights_keys": self.keys}
        return {**named, "weights_role": np.array(self.role), "weights_column": np.array(self.column)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "EdgeWeights | None":
        """The inverse of `to_arrays`; None where there are no weights.

        Raises:
            BrokenRun: weights that are no positive numbers, or not one for each key.
        """
        if "weights_role" not in arrays:
            return None
        values, keys, role = arrays["weights_values"], arrays["weights_keys"], str(arrays["weights_role"])
        fits = values.dtype == np.float64 and keys.dtype == np.int64 and values.shape == keys.shape == (len(keys),)
        if not fits or role not in get_args(Role) or not (np.isfinite(values) & (values > 0)).all():
            raise BrokenRun("split.npz holds weights that are not one positive number for each edge.")
        return EdgeWeights(
            values, keys, "confidence" if role == "confidence" else "strength", str(arrays["weights_column"])
        )

    def rows(self, chosen: NDArray[np.int64]) -> "EdgeWeights":
        """The weights of some rows as read, numbered anew."""
        return EdgeWeights(self.values[chosen], np.arange(len(chosen)), self.role, self.column)

    def among(self, chosen: NDArray[np.int64]) -> "EdgeWeights":
        """The weights of some of the edges, by rising index, under their keys."""
        return EdgeWeights(self.values[chosen], self.keys[chosen], self.role, self.column)

    def facts(self) -> dict[str, str]:
        """Column, role and a hash, which a resumed fit must find again."""
        digest = hashlib.sha256(np.ascontiguousarray(self.values).tobytes()).hexdigest()
        return {"column": self.column, "as": self.role, "sha256": digest}


def read_weights(
    numbers: Floats, role: str | None, column: str, where: Callable[[int], str], cell: Callable[[int], str]
) -> EdgeWeights:
    """The weights of rows as read.

    Args:
        numbers: shape (rows,), NaN where a cell is no number.
        role: confidence or strength; None was not said.
        column: its name.
        where: the place of a row, for messages.
        cell: what stands there.
    Raises:
        OptionError: a role that is none.
        MalformedFile: a confidence outside (0, 1], or a strength that is not above 0, with line, column and value.
    Example:
        >>> read_weights(np.array([0.5, 7.0]), "confidence", "score", "e.csv, line {}".format, str)
        Traceback (most recent call last):
        linkodds.errors.MalformedFile: e.csv, line 1, column 'score': 1 is no confidence: ...
    """
    if role not in get_args(Role):
        raise OptionError(
            f"--weight {column} needs --weight-as confidence (how sure an edge is: a probability) or --weight-as strength (how "
            f"much it carries), not {role!r}: the two do different things."
        )
    most = 1.0 if role == "confidence" else np.finfo(np.float64).max
    wrong = ~((numbers > 0) & (numbers <= most))  # NaN too
    if wrong.any():
        row = int(np.argmax(wrong))
        shown = cell(row) or "an empty cell"
        wanted = "a number above 0 and at most 1" if role == "confidence" else "a finite number above 0"
        cure = "Write a number, or delete the row"
        if numbers[row] > most:
            cure = "Divide scores by their largest value" if role == "confidence" else cure
        elif numbers[row] <= 0:
            cure = "Drop the rows that are no edges"
        raise MalformedFile(f"{where(row)}, column {column!r}: {shown} is no {role}: {wanted}. {cure}.")
    return EdgeWeights(numbers, np.arange(len(numbers)), "confidence" if role == "confidence" else "strength", column)


def refuse_what_ignores(
    weights: EdgeWeights | None, config: FitConfig, *, has_features: bool, decodes: bool = False
) -> None:
    """Raise where the options name something that would pass the weights over.

    Args:
        weights: of the graph.
        config: of the fit.
        has_features: whether nodes have features: signed-gae sends those along edges, and nothing else.
        decodes: whether a user's encoder has a decoder of its own, which learns from single pairs.
    Raises:
        OptionError: such a model, objective or calibrator; it says which take them.
    """
    if weights is None:
        return
    option, name = f"--weight-as {weights.role}", config.model
    takes = USED_BY[weights.role] + (TABLES if weights.role == "strength" and has_features else ())
    of_confidence = (*BASELINES, OWN_SCORER, *(() if decodes else (OWN_ENCODER,)))  # calibration weighs at least
    if name not in ("auto", *takes) and not (weights.role == "confidence" and name in of_confidence):
        why = _WHY_NOT[weights.role]
        if name in ON_HIDDEN_EDGES or name in BASELINES:
            why = "it counts every edge the same"
        elif weights.role == "strength" and name in (OWN_ENCODER, OWN_SCORER):
            why = "what you bring is given edges without numbers"
        raise OptionError(f"{option} is not for {name}: {why}. Take {', '.join(takes)} or auto, or leave --weight out.")
    if weights.role == "confidence" and config.objective == "subgraph":
        raise OptionError(f"{option} is not for --objective subgraph; take all-pairs or sampled.")
    if weights.role == "confidence" and config.calibrator == "venn-abers":
        raise OptionError(
            f"{option} is not for --calibrator venn-abers, which counts edges; take platt, bias, beta or isotonic."
        )


def tried_by_auto(ladder: tuple[str, ...], weights: EdgeWeights | None) -> tuple[str, ...]:
    """The models of the ladder whose training looks at the weights; all of them without any.

    Example:
        >>> weights = EdgeWeights(np.ones(1), np.arange(1), "strength", "count")
        >>> tried_by_auto(("stack", "signed-gae", "vgae"), weights), tried_by_auto(("stack",), None)
        (('vgae',), ('stack',))
    """
    return ladder if weights is None else tuple(name for name in ladder if name in USED_BY[weights.role])


def about_weights(weights: EdgeWeights, model: str) -> Finding:
    """What the weights did, and what counted every edge the same.

    Args:
        weights: of the graph.
        model: the one in use.
    """
    low, mean, high = weights.values.min(), weights.values.mean(), weights.values.max()
    message = f"Weights: column {weights.column!r} is the {weights.role} of edges ({low:.3g} to {high:.3g}, mean {mean:.3g}). "
    if weights.role == "strength":
        message += "It weighs the messages that a model passes along edges. The loss, calibration,"
    elif model in BASELINES or model == OWN_SCORER:
        why = "your scorer was not trained here" if model == OWN_SCORER else f"{model} is a count, of certain edges"
        message += f"It weighs the calibration alone, for {why}. Validation,"
    else:
        message += (
            "It weighs the loss (an edge of confidence c is c of an edge and 1 - c of a non-edge) and the calibration. "
        )
        message += "Messages,"
    message += " baselines, decisions and the evaluation count every recorded edge the same."
    return Finding("reading", "info", message, "Leave --weight out to count all edges the same.", float(mean))
