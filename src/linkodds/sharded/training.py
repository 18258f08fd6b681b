"""Training of decoupled autoencoders: minibatches of supervision edges over H, in steps that any number of workers share.

While it learns the supervision edges of a fold, a model sees H of the message graph that lacks them: no edge tells of itself,
and nothing has to be hidden in each step. Validation and everything after it take H of the full message graph. A step is of
one fold; an epoch goes through all folds, their steps in random order.

A step is cut into `GRADIENT_PARTS` parts, however many workers there are. Each part gives its share of the loss and of the
gradient, computed on one thread in float32 with noise of its own; they are added up in float64, in their order.
"""

import math
import mmap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from linkodds.graph.split import adjacency
from linkodds.models.autoencoders.pair_decoder import WeightedProduct
from linkodds.models.training.checkpoint import Checkpoints
from linkodds.models.training.training_loop import (
    StepLoss,
    TrainedModel,
    TrainingTask,
    run_epochs,
    torch_rng,
    trained_model,
)
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.scorers.pair_scoring import PairScorer
from linkodds.scorers.scoring import InnerProductScorer
from linkodds.sharded.model import DecoupledAutoencoder
from linkodds.sharded.prepare import PreparedStore
from linkodds.sharded.rows import FULL, open_graph
from linkodds.sharded.worker_group import Part, WorkerGroup

GRADIENT_PARTS = 8
"""Parts of a step, whatever the number of workers."""
_EMBEDDED = 1 << 14  # rows at a time
_TOUCHED = 1 << 16  # bytes that a system may map around a row that is read


class HopRows:
    """Rows of H, read from the files that hold them.

    Args:
        rows: H by ranges, mapped.
        ranges: first node of each range, and the number of nodes at the end.
        memory: bytes of mapped pages to keep at most, about.
    """

    def __init__(self, rows: Sequence[NDArray[np.float32]], ranges: Sequence[int], memory: int) -> None:
        self._rows, self._ranges, self._memory = rows, np.array(ranges), memory
        self._touched = 0
        self.read = 0
        """Bytes of rows that were asked for."""
        self._lock = threading.Lock()

    @property
    def num_nodes(self) -> int:
        """Rows in all."""
        return int(self._ranges[-1])

    def of(self, nodes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Shape (nodes, columns): the rows of some nodes.

        Args:
            nodes: in increasing order.
        """
        borders = np.searchsorted(nodes, self._ranges)
        parts = [
            self._rows[part][nodes[start:stop] - self._ranges[part]]
            for part, (start, stop) in enumerate(pairwise(borders.tolist()))
            if stop > start
        ]
        result = np.concatenate(parts)
        with self._lock:
            self.read += result.nbytes
            self._touched += len(nodes) * _TOUCHED
            if self._touched > self._memory:
                self._forget()
        return result

    def _forget(self) -> None:
        """Give mapped pages back; they stay in the system's cache as long as there is room."""
        self._touched = 0
        for rows in self._rows:
            pages: Any = getattr(rows, "_mmap", None)
            if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)


def _batches(sizes: Sequence[int], batch_edges: int, rng: np.random.Generator) -> list[tuple[int, NDArray[np.int64]]]:
    """Fold and edges of each step of an epoch: the edges of each fold in random order, all steps in random order."""
    batches = [
        (fold, batch)
        for fold, size in enumerate(sizes)
        if size
        for batch in np.array_split(rng.permutation(size), math.ceil(size / batch_edges))
    ]
    return [batches[place] for place in rng.permutation(len(batches))]


class _Given(torch.autograd.Function):
    """A loss whose gradient is known already."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor], *_: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(gradient * grads[0] for gradient in ctx.gradients))


@dataclass(frozen=True, eq=False)
class _StepInParts:
    """The loss of a step and its gradient, whose parts the workers compute.

    Args:
        model: what is trained.
        crew: computes the parts.
        odds: the odds at which the model is trained.
        noise_seed: of the noise of all parts.
    """

    model: DecoupledAutoencoder
    crew: WorkerGroup
    odds: float
    noise_seed: np.random.SeedSequence

    def loss(self, rows: HopRows, edges: Pairs, zeros: Pairs, *, place: tuple[int, int]) -> Tensor:
        """A scalar, whose backward pass gives the weights the sums of the parts' gradients.

        Args:
            rows: of the message graph that lacks the edges.
            edges: of the step.
            zeros: sampled pairs without an edge.
            place: epoch and number of the step, which its noise follows.
        """
        weights = list(self.model.parameters())
        sizes = [each.numel() for each in weights]
        parts = list(zip(np.array_split(edges, GRADIENT_PARTS), np.array_split(zeros, GRADIENT_PARTS), strict=True))

        def part_of(part: int) -> Part:
            some, others = parts[part]
            pairs = np.concatenate([some, others])
            if not len(pairs):
                return np.zeros(1 + sum(sizes), dtype=np.float32)
            key = (*self.noise_seed.spawn_key, *place, part)
            noise = torch_rng(np.random.SeedSequence(self.noise_seed.entropy, spawn_key=key), torch.device("cpu"))
            nodes, places = np.unique(pairs, return_inverse=True)
            embeddings = self.model.encoder(torch.from_numpy(rows.of(nodes)))
            logits = self.model.decoder(embeddings, places.reshape(pairs.shape), None, noise)
            loss = F.softplus(-logits[: len(some)]).sum() / len(edges)
            loss = loss + F.softplus(logits[len(some) :]).sum() / (self.odds * len(zeros))
            gradients = torch.autograd.grad(loss, weights)
            return torch.cat([loss.detach().view(1), *(each.flatten() for each in gradients)]).numpy()

        total = np.zeros(1 + sum(sizes))
        for each in self.crew.gathered(part_of, GRADIENT_PARTS):
            total += each
        whole = torch.from_numpy(total.astype(np.float32))
        given = [part.view_as(weight) for part, weight in zip(torch.split(whole[1:], sizes), weights, strict=True)]
        loss: Tensor = _Given.apply(whole[0], given, *weights)  # type: ignore[no-untyped-call]
        return loss


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch computes on one thread within the block: sums on more of them may round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class OnlyTrained(Exception):
    """Raised in all processes but the first when training is over: what comes then, the first does alone."""


@dataclass(frozen=True, eq=False)
class DecoupledTrainer:
    """Trains on what was prepared; a `linkodds.fitting.fitted_model.Trainer`.

    Args:
        prepared: of the same graph and split.
        crew: does the parts of each step.
        memory: bytes of mapped pages to keep at most, about.
        followed: the checkpoints of the first process, where this is another one and training goes on from them.
        counts: gets what the training took in this process: steps, and bytes read and sent.
    """

    prepared: PreparedStore
    crew: WorkerGroup
    memory: int
    followed: Path | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def __call__(self, task: TrainingTask) -> TrainedModel:
        """Train and keep the epoch with the best validation average precision; see `train_pair_model`.

        Args:
            task: on the CPU; its features are not looked at, since H is made of them.
        Raises:
            NonFiniteScores: the loss was NaN or infinite before the first validation.
            OnlyTrained: this is not the first process.
        """
        assert task.device.type == "cpu"
        if self.followed is not None:
            task = replace(task, resumed=Checkpoints(self.followed, 1).of(task.name, 0).read())
        if not self.crew.is_first:
            task = replace(task, checkpoint=None)
        with _one_thread():
            return self._train(task)

    def _train(self, task: TrainingTask) -> TrainedModel:
        split, config, prepared = task.split, task.config, self.prepared
        generators = task.generators()
        _, noise_seed, _, _ = task.child_seeds()
        odds = 1.0 if config.positive_weight == "balanced" else 1.0 / config.zeros_per_edge
        model = DecoupledAutoencoder(
            prepared.columns.width,
            prepared.num_features,
            prepared.hops,
            config,
            mean_degree=2 * (prepared.sizes["train"] + prepared.sizes["supervision"]) / prepared.nodes,
            effective_odds=odds,
            rng=generators.weights,
        )
        full = HopRows(prepared.rows(FULL), prepared.ranges, self.memory)
        opened = [
            HopRows(prepared.rows(open_graph(fold)), prepared.ranges, self.memory // prepared.folds)
            for fold in range(prepared.folds)
        ]
        edges = [prepared.supervision(fold) for fold in range(prepared.folds)]
        known, weight_decay = KnownPairs(split.space, split.train), config.weight_decay or 0.0
        step = _StepInParts(model, self.crew, odds, noise_seed)
        self.counts["steps"] = 0

        def losses(epoch: int) -> Iterator[StepLoss]:
            batches = _batches([len(each) for each in edges], config.batch_edges, generators.zeros)
            for number, (fold, batch) in enumerate(batches):
                ranks = generators.zeros.integers(0, known.num_absent, size=len(batch) * config.zeros_per_edge)
                zeros = known.absent_pairs(ranks)
                self.counts["steps"] += 1
                yield StepLoss(step.loss(opened[fold], edges[fold][batch], zeros, place=(epoch, number)), len(batch))

        def scorer() -> PairScorer | InnerProductScorer:
            return self._scorer(model, full, split.space)

        result = run_epochs(task, model, losses, scorer, generators=generators, weight_decay=weight_decay)
        best = scorer()  # all processes make it together
        self.counts.update(read=sum(each.read for each in (full, *opened)), sent=self.crew.sent)
        if not self.crew.is_first:
            raise OnlyTrained
        return trained_model(
            task,
            result,
            model,
            best,
            effective_odds=odds,
            objective="sampled",
            weight_decay=weight_decay,
            uses_features=prepared.has_features,
        )

    @torch.no_grad()
    def _scorer(self, model: DecoupledAutoencoder, rows: HopRows, space: PairSpace) -> PairScorer | InnerProductScorer:
        """The model on embeddings of all nodes, made in blocks of rows by the whole crew."""
        count = rows.num_nodes
        borders = np.linspace(0, count, -(-count // _EMBEDDED) + 1).astype(np.int64)
        longest = int(np.diff(borders).max())

        def embedded(part: int) -> Part:
            nodes = np.arange(borders[part], borders[part + 1])
            with torch.no_grad():
                block: Part = model.encoder(torch.from_numpy(rows.of(nodes))).numpy()
            return np.concatenate([block, np.zeros((longest - len(block), block.shape[1]), dtype=np.float32)])

        parts = self.crew.gathered(embedded, len(borders) - 1)
        kept = [part[:size] for part, size in zip(parts, np.diff(borders).tolist(), strict=True)]
        embeddings = torch.from_numpy(np.concatenate(kept))
        if isinstance(model.decoder, WeightedProduct):
            return model.decoder.scorer(embeddings, embeddings)
        arrays = {name: array.numpy() for name, array in model.decoder.state_dict().items()}
        source = embeddings.numpy()
        return PairScorer.from_arrays(source, source, arrays, adjacency(np.empty((0, 2), dtype=np.int64), space))
