"""Function scorers: any function of pairs as a scorer, and what stands in for one that no file holds."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, ModelError, NonFiniteScores
from linkodds.pairs import Pairs, PairSpace

Values = Literal["score", "logit", "probability"]
PairFunction = Callable[[Pairs], Any]
"""Pairs of node numbers, shape (pairs, 2), int64, the smaller first unless edges have a direction -> shape (pairs,)."""

_CHUNK = 1 << 20
_LEAST = 1e-15  # a probability of 0 or 1 counts as this far from it, as the doctor has it


@dataclass(frozen=True, eq=False)
class FunctionScorer:
    """A function of pairs as a scorer: it is asked for pairs of the graph alone, and by one thread at a time.

    Args:
        function: pairs -> values; larger is more likely an edge.
        space: of the graph.
        values: what it gives: logits or scores, which are taken as they are, or probabilities, whose log odds are.
        name: for messages.
        embeddings: of the nodes as source and as target, shape (nodes, dim) each, where it has some.
    Example:
        >>> scorer = FunctionScorer(lambda pairs: pairs.sum(axis=1), PairSpace(3), "score", "sum")
        >>> scorer.logits(np.array([[0, 2], [2, 1]])), scorer.block(slice(0, 2), slice(0, 2)).tolist()
        (array([2., 3.]), [[0.0, 1.0], [1.0, 0.0]])
    """

    function: PairFunction
    space: PairSpace
    values: Values
    name: str
    embeddings: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)

    def given(self, pairs: Pairs) -> NDArray[np.float64]:
        """What the function itself says of canonical pairs, shape (pairs,).

        Raises:
            ModelError: not one number for each pair.
            NonFiniteScores: a value is NaN or infinite, or no probability where that was said.
        """
        parts = [np.zeros(0)]
        for start in range(0, len(pairs), _CHUNK):
            part = np.ascontiguousarray(pairs[start : start + _CHUNK])
            with self._lock:
                returned = self.function(part)
            values = np.asarray(returned)
            if values.shape != (len(part),) or values.dtype.kind not in "fiub":
                raise ModelError(
                    f"{self.name}: for {len(part)} pairs the function returned shape {values.shape} of type {values.dtype}; "
                    f"it has to return one number for each, shape ({len(part)},)."
                )
            parts.append(values.astype(np.float64))
        values = np.concatenate(parts)
        is_bad = ~np.isfinite(values)
        if self.values == "probability":
            is_bad |= (values < 0) | (values > 1)
        if is_bad.any():
            first = int(np.argmax(is_bad))
            what = "no probability" if np.isfinite(values[first]) else "no finite number"
            raise NonFiniteScores(
                f"{self.name}: the value of pair ({pairs[first, 0]}, {pairs[first, 1]}) is {values[first]:g}, {what}; "
                f"{int(is_bad.sum()):,} of {len(pairs):,} values are like that. Mend the function, or say values='score'."
            )
        return values

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        values = self.given(self.space.canonical(pairs))
        if self.values != "probability":
            return values
        values = np.clip(values, _LEAST, 1 - _LEAST)
        return np.asarray(np.log(values) - np.log1p(-values))

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`. Cells that are no pair of the graph are 0."""
        row, column = np.mgrid[rows, columns]
        pairs = self.space.canonical(np.column_stack([row.ravel(), column.ravel()]))
        usable = self.space.is_admissible(pairs)
        logits = np.zeros(len(pairs), dtype=np.float32)
        logits[usable] = self.logits(pairs[usable])
        return logits.reshape(row.shape)


@dataclass(frozen=True, eq=False)
class LostScorer:
    """In the place of a scorer that was Python code: what it made is saved, and it is not. Whoever asks it is told.

    Args:
        name: of the model.
        embeddings: as for `FunctionScorer`.
    """

    name: str
    embeddings: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:  # noqa: ARG002
        """Refuse; see `Scorer.block`."""
        self._refuse()

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:  # noqa: ARG002
        """Refuse; see `Scorer.logits`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise BrokenRun(
            f"this run's model, {self.name}, is Python code of its author's, and no file of a run ever holds code. Its "
            "evaluation and its report are here; to score pairs with it, give it again: "
            "LinkPredictor.load(RUN, model=...) with what was given to fit."
        )
