"""Pair network: a small perceptron from the inputs of a pair to its logit, trained by NumPy alone, on one core.

Counts span many powers of ten, so each input is taken as sign(x) log(1 + |x| / its usual size) and standardised, edges and
zeros having half the say each: among all pairs nearly every count is 0. Edges weigh more while training, which keeps the
gradient of the few from drowning; the closed form takes it back, so that logits are log odds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from linkodds.errors import BrokenRun

Floats32 = NDArray[np.float32]
EDGE_WEIGHT = 30.0
_CLIP = 4.0
_CHUNK = 1 << 13
_BATCHES, _BATCH_ROWS, _STEPS = 100, (32, 1024), 600
_LEARNING_RATE, _DECAY, _WARM_UP = 0.003, 1e-4, 100
_MOMENTS = (0.9, 0.999)


@dataclass(frozen=True, eq=False)
class NumpyMLP:
    """The mean logit of several perceptrons with ReLU.

    Args:
        usual: shape (inputs,): the size that an input is divided by.
        mean: shape (inputs,): of what is standardised.
        deviation: shape (inputs,), positive.
        members: of each perceptron its matrices, shape (columns before + 1, columns), the bias in the last row; float32,
            as all arrays are.
    Example:
        >>> one = np.ones(1, dtype=np.float32)
        >>> network = NumpyMLP(one, 0 * one, one, ((np.array([[2.0], [-1.0]], dtype=np.float32),),))
        >>> network.logits(np.array([[0.0], [np.e - 1], [1 - np.e]], dtype=np.float32)).round(6)  # 2 log(1 + x) - 1
        array([-1.,  1., -3.])
    """

    usual: Floats32
    mean: Floats32
    deviation: Floats32
    members: tuple[tuple[Floats32, ...], ...]

    @property
    def num_parameters(self) -> int:
        """Entries of all matrices."""
        return sum(matrix.size for member in self.members for matrix in member)

    def standardised(self, inputs: Floats32) -> NDArray[np.float64]:
        """Shape (pairs, inputs), float64: what the first matrix multiplies."""
        scaled = inputs.astype(np.float64) / self.usual
        scaled = np.copysign(np.log1p(np.abs(scaled)), scaled)
        x: NDArray[np.float64] = np.clip((scaled - self.mean) / self.deviation, -_CLIP, _CLIP)
        return x

    def logits(self, inputs: Floats32) -> NDArray[np.float64]:
        """Shape (pairs,), float64.

        Args:
            inputs: shape (pairs, inputs), float32.
        """
        total = np.zeros(len(inputs))
        for start in range(0, len(inputs), _CHUNK):  # what is between stays in the cache
            part = slice(start, start + _CHUNK)
            x = self.standardised(inputs[part])
            for member in self._as_float64:
                hidden = x
                for matrix in member[:-1]:
                    hidden = np.maximum(hidden @ matrix[:-1] + matrix[-1], 0.0)
                total[part] += (hidden @ member[-1][:-1] + member[-1][-1])[:, 0]
        return total / len(self.members)

    @property
    def _as_float64(self) -> list[list[NDArray[np.float64]]]:
        return [[matrix.astype(np.float64) for matrix in member] for member in self.members]

    def to_arrays(self, prefix: str) -> dict[str, Floats32]:
        """All arrays, by names that begin with `prefix`."""
        arrays = {f"{prefix}.{name}": getattr(self, name) for name in ("usual", "mean", "deviation")}
        for number, member in enumerate(self.members):
            arrays |= {f"{prefix}.{number}.{layer}": matrix for layer, matrix in enumerate(member)}
        return arrays

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str, num_inputs: int) -> "NumpyMLP":
        """The network again.

        Args:
            arrays: as `to_arrays` gives them, among others.
            prefix: of their names.
            num_inputs: of a pair.
        Raises:
            BrokenRun: shapes that do not follow each other, or values that are no finite float32.
        """
        own = {name: array for name, array in arrays.items() if name.startswith(f"{prefix}.")}
        usual, mean, deviation = (own.pop(f"{prefix}.{name}") for name in ("usual", "mean", "deviation"))
        places = sorted(tuple(map(int, name.split(".")[-2:])) for name in own)
        count, depth = len({number for number, _ in places}), len({layer for _, layer in places})
        if not places or places != [(number, layer) for number in range(count) for layer in range(depth)]:
            raise BrokenRun(f"model.safetensors lacks a matrix of {prefix}.")
        members = tuple(tuple(own[f"{prefix}.{n}.{layer}"] for layer in range(depth)) for n in range(count))
        arrays_are_well = all(
            each.dtype == np.float32 and np.isfinite(each).all()
            for each in (usual, mean, deviation, *(matrix for member in members for matrix in member))
        )
        fit = all(each.shape == (num_inputs,) for each in (usual, mean, deviation))
        for member in members:
            width = num_inputs
            for matrix in member:
                fit = fit and matrix.ndim == 2 and len(matrix) == width + 1
                width = matrix.shape[1] if matrix.ndim == 2 else -1
            fit = fit and width == 1
        if not arrays_are_well or not fit or not ((usual > 0).all() and (deviation > 0).all()):
            raise BrokenRun(f"model.safetensors: {prefix} does not fit the inputs of a pair.")
        return NumpyMLP(usual, mean, deviation, members)


def fit_network(
    inputs: Floats32,
    is_edge: NDArray[np.bool_],
    weights: NDArray[np.float64],
    *,
    widths: tuple[int, ...],
    epochs: int,
    members: int,
    seeds: np.random.SeedSequence,
    edge_weight: float = EDGE_WEIGHT,
) -> NumpyMLP:
    """Train perceptrons on the cross-entropy of rows. On one core, so that any number of threads gives the same bits.

    Args:
        inputs: shape (rows, inputs), float32.
        is_edge: shape (rows,); both kinds must be there.
        weights: shape (rows,), float64: how many pairs a row stands for; the logits are log odds under them.
        widths: of the hidden layers.
        epochs: passes over the rows; more where they are so few that it would take fewer than 600 steps.
        members: perceptrons, each with a start and an order of rows of its own.
        seeds: of these.
        edge_weight: how many times more an edge weighs while training; the logits are those of none.
    """
    usual = np.array([np.median(np.abs(column[column != 0])) if column.any() else 1.0 for column in inputs[is_edge].T])
    blank = np.zeros(len(usual), dtype=np.float32)
    plain = NumpyMLP(_positive(usual), blank, blank + 1, ())
    with np.errstate(over="ignore"):
        x = np.log1p(np.abs(inputs.astype(np.float64) / plain.usual))
    x = np.copysign(x, inputs)
    shares = np.where(is_edge, 0.5 * weights / weights[is_edge].sum(), 0.5 * weights / weights[~is_edge].sum())
    mean = shares @ x
    deviation = np.sqrt(shares @ np.square(x - mean))
    scaled = NumpyMLP(plain.usual, mean.astype(np.float32), _positive(deviation), ())
    rows = np.column_stack(
        [np.clip((x - scaled.mean) / scaled.deviation, -_CLIP, _CLIP), np.ones(len(x))]  # 1 for the bias
    ).astype(np.float32)
    del x
    trained_at = np.where(is_edge, edge_weight, 1.0) * weights
    with threadpool_limits(1, user_api="blas"):
        fitted = tuple(
            _fit_member(rows, is_edge, trained_at, edge_weight, widths, epochs, np.random.default_rng(seed))
            for seed in seeds.spawn(members)
        )
    return NumpyMLP(scaled.usual, scaled.mean, scaled.deviation, fitted)


def _positive(values: NDArray[np.float64]) -> Floats32:
    """The values, and 1 where one is 0 or all but 0."""
    return np.where(values > 1e-9, values, 1.0).astype(np.float32)


def _fit_member(
    rows: Floats32,
    is_edge: NDArray[np.bool_],
    weights: NDArray[np.float64],
    edge_weight: float,
    widths: tuple[int, ...],
    epochs: int,
    rng: np.random.Generator,
) -> tuple[Floats32, ...]:
    """Adam with decoupled weight decay; the learning rate rises, then falls as a cosine to 0."""
    columns = (rows.shape[1] - 1, *widths, 1)
    matrices = []
    for before, after in pairwise(columns):
        size = np.sqrt(2.0 / before) if after > 1 else np.sqrt(0.1 / before)
        matrices.append(np.vstack([rng.normal(size=(before, after)) * size, np.zeros(after)]).astype(np.float32))
    matrices[-1][-1] = np.log(weights[is_edge].sum() / weights[~is_edge].sum())
    first, second = ([np.zeros_like(matrix) for matrix in matrices] for _ in range(2))
    label, weight = is_edge.astype(np.float32), (weights / weights.mean()).astype(np.float32)
    size_of_batch = min(max(len(rows) // _BATCHES, _BATCH_ROWS[0]), _BATCH_ROWS[1])
    per_epoch = -(-len(rows) // size_of_batch)
    epochs = max(epochs, -(-_STEPS // per_epoch))
    step, total = 0, epochs * per_epoch
    for _ in range(epochs):
        order = rng.permutation(len(rows))
        for start in range(0, len(rows), size_of_batch):
            batch = order[start : start + size_of_batch]
            gradients = _gradients(matrices, rows[batch], label[batch], weight[batch])
            step += 1
            rate = _LEARNING_RATE * min(1.0, step / _WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / total))
            root = np.sqrt(1 - _MOMENTS[1] ** step)
            for place, (matrix, gradient) in enumerate(zip(matrices, gradients, strict=True)):
                first[place] += np.float32(1 - _MOMENTS[0]) * (gradient - first[place])
                second[place] += np.float32(1 - _MOMENTS[1]) * (gradient * gradient - second[place])
                move = first[place] / (np.sqrt(second[place]) + np.float32(1e-8 * root))
                matrix *= np.float32(1 - rate * _DECAY)
                matrix -= np.float32(rate * root / (1 - _MOMENTS[0] ** step)) * move
    matrices[-1][-1] -= np.float32(np.log(edge_weight))
    return tuple(matrices)


def _gradients(matrices: list[Floats32], x: Floats32, label: Floats32, weight: Floats32) -> list[Floats32]:
    """Of the mean weighted cross-entropy; x has a column of ones at its end."""
    layers = [x]
    for matrix in matrices[:-1]:
        hidden = np.empty((len(x), matrix.shape[1] + 1), dtype=np.float32)
        np.maximum(layers[-1] @ matrix, 0, out=hidden[:, :-1])
        hidden[:, -1] = 1
        layers.append(hidden)
    logit = (layers[-1] @ matrices[-1])[:, 0]
    probability = 0.5 * (1 + np.tanh(0.5 * logit))
    back = (weight * (probability - label) / np.float32(len(x)))[:, None]
    gradients: list[Floats32] = []
    for layer, matrix in zip(reversed(layers), reversed(matrices), strict=True):
        gradients.append(layer.T @ back)
        back = (back @ matrix[:-1].T) * (layer[:, :-1] > 0)
    return gradients[::-1]
