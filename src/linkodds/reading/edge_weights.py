"""Weights of edges: a column of confidences or of strengths."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, MalformedFile, OptionError

Role = Literal["confidence", "strength"]
Floats = NDArray[np.float64]


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
