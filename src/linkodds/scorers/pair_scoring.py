"""Pair scorers: logits of a small network on two embeddings, and on the common neighbours of both, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import BrokenRun
from linkodds.pairs import Pairs
from linkodds.scorers.function_scoring import FunctionScorer
from linkodds.scorers.scoring import Embeddings, InnerProductScorer, MeanScorer, Scorer

NORM_EPSILON = 1e-5
"""Added to the variance in every layer normalisation, here and in training."""

_CHUNK = 1 << 11  # pairs whose layers stay in the cache

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layer:
    """x -> ReLU(normalised(W x + b) * gain + shift), with mean 0 and variance 1 over the outputs of each pair.

    Args:
        weight: W, shape (outputs, inputs).
        bias: b, shape (outputs,).
        gain: shape (outputs,).
        shift: shape (outputs,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    gain: NDArray[np.float32]
    shift: NDArray[np.float32]

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]], prefix: str) -> "Layer":
        """The layer whose arrays have names that start with `prefix`."""
        return Layer(*(arrays[f"{prefix}.{name}"] for name in ("weight", "bias", "gain", "shift")))

    @cached_property
    def centered(self) -> tuple[Floats, Floats]:
        """W and b less their means over the outputs, so that the outputs have mean 0."""
        weight, bias = self.weight.astype(np.float64), self.bias.astype(np.float64)
        return weight - weight.mean(axis=0), bias - bias.mean()

    def of_products(self, products: Floats) -> Floats:
        """What the layer makes of x, given the products of x with the centred W; they are overwritten."""
        products += self.centered[1]
        size = np.einsum("pw,pw->p", products, products) / products.shape[1]
        products *= (1.0 / np.sqrt(size + NORM_EPSILON))[:, None]
        products *= self.gain
        products += self.shift
        return np.maximum(products, 0.0, out=products)

    def __call__(self, inputs: Floats) -> Floats:
        """Shape (pairs, outputs) from inputs of shape (pairs, inputs)."""
        return self.of_products(inputs @ self.centered[0].T)


@dataclass(frozen=True, eq=False)
class CommonNeighbors:
    """A layer on the sum of the embeddings of the nodes that are neighbours of both ends.

    Args:
        neighbors: shape (nodes, nodes), CSR float64 0/1, symmetric, no diagonal, sorted indices: the message graph.
        embeddings: shape (nodes, width): what is summed.
        layer: on the sum; its product is linear, so each node goes through it once.
        factor: of its outputs.
    """

    neighbors: sp.csr_array
    embeddings: Embeddings
    layer: Layer
    factor: float

    @cached_property
    def projected(self) -> Floats:
        """Each node's embedding times the centred weights of the layer, shape (nodes, outputs)."""
        return self.embeddings.astype(np.float64) @ self.layer.centered[0].T

    @cached_property
    def of_none(self) -> Floats:
        """Outputs for a pair without common neighbours, shape (outputs,)."""
        return np.asarray(self.factor * self.layer.of_products(np.zeros((1, len(self.layer.bias))))[0])

    def of_pairs(self, pairs: Pairs) -> Floats:
        """Outputs, shape (pairs, outputs)."""
        shared: sp.csr_array = sp.csr_array(self.neighbors[pairs[:, 0]].multiply(self.neighbors[pairs[:, 1]]))
        result = np.tile(self.of_none, (len(pairs), 1))
        has_some = np.flatnonzero(np.diff(shared.indptr))
        result[has_some] = self.factor * self.layer.of_products(shared[has_some] @ self.projected)
        return result

    def of_line(self, node: int, others: slice) -> tuple[NDArray[np.intp], Floats]:
        """Which of `others`, counted from its start, have common neighbours with a node, and the outputs of these."""
        start, stop = self.neighbors.indptr[node : node + 2]
        between = self.neighbors.indices[start:stop]
        reached: sp.csr_array = self.neighbors[between][:, others].T.tocsr()
        has_some = np.flatnonzero(np.diff(reached.indptr))
        return has_some, self.factor * self.layer.of_products(reached[has_some] @ self.projected[between])


@dataclass(frozen=True, eq=False)
class PairScorer:
    """logit(u, v) = <w, layers(source_u * target_v, elementwise)> + bias, computed in float64.

    What the first layer gives may have the outputs of another one beside it, on the common neighbours of u and v: they
    are added. The sum is over whole neighbourhoods in the message graph; whether u and v are tied themselves does not
    enter it, since neither is a neighbour of itself. It does enter the embeddings of a train edge's ends.

    Args:
        source: shape (nodes, dim).
        target: shape (nodes, dim); the same array as `source` when the graph is undirected.
        layers: at least one.
        weight: w, shape (outputs of the last layer,).
        bias: the logit where all outputs are 0.
        common_neighbors: or None.
    Example:
        >>> z = np.array([[1], [2], [3]], dtype=np.float32)
        >>> one, nothing = np.ones(2, dtype=np.float32), np.zeros(2, dtype=np.float32)
        >>> layer = Layer(np.array([[1], [-1]], dtype=np.float32), nothing, one, nothing)
        >>> scorer = PairScorer(z, z, (layer,), np.array([2, 1], dtype=np.float32), -1.0)
        >>> scorer.logits(np.array([[0, 1]])).round(4)  # 2 and -2 are normalised to 1 and -1; 2 * 1 + 1 * 0 - 1
        array([1.])
    """

    source: Embeddings
    target: Embeddings
    layers: tuple[Layer, ...]
    weight: NDArray[np.float32]
    bias: float
    common_neighbors: CommonNeighbors | None = None

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        num_rows, num_columns = rows.stop - rows.start, columns.stop - columns.start
        result = np.empty((num_rows, num_columns), dtype=np.float32)
        if num_columns < num_rows:  # along the longer side
            source = self.source[rows].astype(np.float64)
            for i in range(num_columns):
                result[:, i] = self._line(self.target, columns.start + i, source, rows)
            return result
        target = self.target[columns].astype(np.float64)
        for i in range(num_rows):
            result[i] = self._line(self.source, rows.start + i, target, columns)
        return result

    def logits(self, pairs: Pairs) -> Floats:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        result = np.empty(len(pairs))
        for start in range(0, len(pairs), _CHUNK):
            part = pairs[start : start + _CHUNK]
            hidden = self.layers[0](self.source[part[:, 0]].astype(np.float64) * self.target[part[:, 1]])
            if self.common_neighbors is not None:
                hidden += self.common_neighbors.of_pairs(part)
            result[start : start + _CHUNK] = self._rest(hidden)
        return result

    def _line(self, side: Embeddings, node: int, others: Floats, places: slice) -> Floats:
        """Logits of one node with many: its embedding goes into the weights of the first layer."""
        weight = self.layers[0].centered[0] * side[node]
        result = np.empty(len(others))
        for start in range(0, len(others), _CHUNK):
            part = others[start : start + _CHUNK]
            hidden = self.layers[0].of_products(part @ weight.T)
            if self.common_neighbors is not None:
                first = places.start + start
                near, outputs = self.common_neighbors.of_line(node, slice(first, first + len(part)))
                none = self.common_neighbors.of_none
                kept = hidden[near] + outputs
                hidden += none
                hidden[near] = kept
            result[start : start + _CHUNK] = self._rest(hidden)
        return result

    def _rest(self, hidden: Floats) -> Floats:
        for layer in self.layers[1:]:
            hidden = layer(hidden)
        return np.asarray(hidden @ self.weight.astype(np.float64) + self.bias)

    @staticmethod
    def from_arrays(
        source: Embeddings, target: Embeddings, arrays: Mapping[str, NDArray[Any]], message_graph: sp.csr_array
    ) -> "PairScorer":
        """The scorer from what training saved.

        Args:
            source: shape (nodes, dim).
            target: the same array where edges have no direction.
            arrays: the decoder's weights by name.
            message_graph: shape (nodes, nodes); its common neighbours count where there is a layer for them.
        Raises:
            BrokenRun: weights that are missing, do not fit each other or the embeddings, or are not finite.
        """
        is_one = target is source
        source = np.ascontiguousarray(source)  # one layout in memory, one order of summation, the same bits
        target = source if is_one else np.ascontiguousarray(target)
        try:
            count = 1 + max(int(name.split(".")[1]) for name in arrays if name.startswith("layers."))
            layers = tuple(Layer.of(arrays, f"layers.{i}") for i in range(count))
            weight, bias = arrays["output.weight"][0], float(arrays["output.bias"][0])
            pool = None
            if "common_neighbors.factor" in arrays:
                sides = [source] if is_one else [source, target]
                pool = CommonNeighbors(
                    neighbors_of(message_graph),
                    np.concatenate(sides, axis=1),
                    Layer.of(arrays, "common_neighbors"),
                    float(arrays["common_neighbors.factor"]),
                )
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise BrokenRun(f"model.safetensors lacks a weight of the decoder ({error}).") from error
        widths = [source.shape[1], *(len(layer.bias) for layer in layers)]
        fits = all(_fits(layer, *sizes) for layer, *sizes in zip(layers, widths[:-1], widths[1:], strict=True))
        fits &= weight.shape == (widths[-1],) and source.shape == target.shape
        if pool is not None:
            fits &= _fits(pool.layer, pool.embeddings.shape[1], widths[1])
        if not fits or not all(np.isfinite(each).all() for each in (source, target, *arrays.values())):
            raise BrokenRun("model.safetensors does not fit the embeddings, or holds NaN.")
        return PairScorer(source, target, layers, weight, bias, pool)


def neighbors_of(message_graph: sp.csr_array) -> sp.csr_array:
    """Who is tied to whom, whatever the direction: shape (nodes, nodes), CSR float64 0/1, sorted.

    Example:
        >>> neighbors_of(sp.csr_array(np.array([[0, 1], [0, 0]]))).toarray()
        array([[0., 1.],
               [1., 0.]])
    """
    either: sp.csr_array = message_graph.maximum(message_graph.T).astype(np.float64)
    either.sort_indices()
    return either


@runtime_checkable
class HasEmbeddings(Protocol):
    """A scorer that says what its embeddings are; None where it has none."""

    @property
    def embeddings(self) -> tuple[Embeddings, Embeddings] | None:
        """Of sources and targets, shape (nodes, dim) each."""
        ...


def embeddings_of(scorer: Scorer) -> tuple[Embeddings, Embeddings] | None:
    """Source and target embeddings, shape (nodes, dim) each; those of a mean stand side by side. None without any.

    Example:
        >>> z = np.array([[1], [2]], dtype=np.float32)
        >>> embeddings_of(InnerProductScorer(z, z, 1.0, 0.0))[0].shape
        (2, 1)
    """
    if isinstance(scorer, InnerProductScorer | PairScorer):
        return scorer.source, scorer.target
    if isinstance(scorer, HasEmbeddings):
        return scorer.embeddings
    if isinstance(scorer, MeanScorer):
        pairs = [each for each in scorer.scorers if isinstance(each, PairScorer)]
        if len(pairs) == len(scorer.scorers):
            source = np.concatenate([each.source for each in pairs], axis=1)
            is_one = all(each.source is each.target for each in pairs)
            return source, source if is_one else np.concatenate([each.target for each in pairs], axis=1)
    return None


def decoder_facts(scorer: Scorer) -> dict[str, Any]:
    """What config.yaml says of a trained decoder: its kind, and scale, bias and signs of an inner product."""
    if isinstance(scorer, FunctionScorer):
        return {"kind": "own"}
    if not isinstance(scorer, InnerProductScorer):
        return {"kind": "hadamard"}
    return {"scale": scorer.scale, "bias": scorer.bias, "num_negative_dimensions": scorer.num_negative}


def mean_pair_scorer(
    source: Embeddings,
    target: Embeddings,
    arrays: Mapping[str, NDArray[Any]],
    message_graphs: Sequence[sp.csr_array],
) -> Scorer:
    """The scorer of a saved model, or the mean of those of its folds.

    Args:
        source: as `embeddings_of` gives them.
        target: likewise.
        arrays: all weights by name; of folds each begins with "fold-1.", "fold-2." and so on.
        message_graphs: one a fold.
    Raises:
        BrokenRun: see `PairScorer.from_arrays`.
    """
    if source.shape[1] % len(message_graphs):
        raise BrokenRun("embeddings.parquet does not have the same number of dimensions for each fold.")
    sources = np.split(source, len(message_graphs), axis=1)
    targets = sources if target is source else np.split(target, len(message_graphs), axis=1)
    scorers = []
    for fold, graph in enumerate(message_graphs, start=1):
        prefix = "decoder." if len(message_graphs) == 1 else f"fold-{fold}.decoder."
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        scorers.append(PairScorer.from_arrays(sources[fold - 1], targets[fold - 1], own, graph))
    return scorers[0] if len(scorers) == 1 else MeanScorer(tuple(scorers))


def _fits(layer: Layer, num_inputs: int, num_outputs: int) -> bool:
    vectors = layer.bias, layer.gain, layer.shift
    return layer.weight.shape == (num_outputs, num_inputs) and all(each.shape == (num_outputs,) for each in vectors)
