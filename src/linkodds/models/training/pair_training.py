"""Training of pair autoencoders: batches of train edges that are hidden from the message graph while they are learnt."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from linkodds.errors import OptionError
from linkodds.graph.cut_off import cut_off_nodes
from linkodds.graph.split import Split
from linkodds.models.autoencoders.autoencoder import encoder_inputs
from linkodds.models.autoencoders.custom_encoder import CustomEncoder, OwnAutoencoder
from linkodds.models.autoencoders.encoder import input_matrix
from linkodds.models.autoencoders.message_graph import MessageGraph
from linkodds.models.autoencoders.pair_decoder import PairAutoencoder, scaled_inputs
from linkodds.models.training.cost_model import choose_batches
from linkodds.models.training.training_loop import StepLoss, TrainedModel, TrainingTask, run_epochs, trained_model
from linkodds.pairs import KnownPairs, Pairs


def train_pair_model(task: TrainingTask, *, own: CustomEncoder | None = None) -> TrainedModel:
    """Train refined-gae or ncn and keep the epoch with the best validation average precision.

    An epoch goes through the train edges in batches. While a batch is learnt its edges are hidden from the message graph
    (`MessageGraph`), for propagation and for common neighbours alike; edges whose hiding leaves a node without any are not
    learnt, for seeing that would be enough. Beside it stand uniformly drawn zeros: all pairs that
    are no train edges, held-out edges included. loss = mean of softplus(-logit) over the edges of the batch + mean of
    softplus(logit) over its zeros / O_eff. With O_eff = 1 / zeros_per_edge every pair weighs the same; balanced, O_eff is 1.

    Args:
        task: of refined-gae or ncn.
        own: a user's module that encodes and decodes, in the place of the name's.
    Raises:
        NonFiniteScores: the loss was NaN or infinite before the first validation.
        OptionError: ncn in a bipartite graph, where nodes of the two sides have no common neighbours.
    """
    split, features, device, config = task.split, task.features, task.device, task.config
    if config.architecture.pools and split.space.bipartite:
        raise OptionError(
            f"--model {task.name} adds up what the common neighbours of two nodes are, and nodes of two sides have none in a "
            "bipartite graph; take refined-gae or signed-gae."
        )
    generators = task.generators()
    known = KnownPairs(split.space, split.train)
    odds = 1.0 if config.positive_weight == "balanced" else 1.0 / config.zeros_per_edge
    graph, message_graph = MessageGraph(split, device), split.message_graph()
    whole, neighbors = graph.whole, graph.neighbors_without(np.empty(0, dtype=np.int64))
    model: PairAutoencoder | OwnAutoencoder
    if own is not None:
        inputs = encoder_inputs(features, device)
        model = OwnAutoencoder(own.build(task.num_nodes, task.num_features, generators.weights).to(device), split.space)
        model.encoder.dim(whole, inputs, directed=split.space.directed)
    else:
        inputs = scaled_inputs(input_matrix(features, device))
        model = PairAutoencoder(
            task.num_nodes,
            task.num_features,
            config,
            directed=split.space.directed,
            effective_odds=odds,
            rng=generators.weights,
        ).to(device)
    num_batches, weight_decay = choose_batches(len(split.train), config), config.weight_decay or 0.0

    def losses(_: int) -> Iterator[StepLoss]:
        for batch in np.array_split(generators.zeros.permutation(len(split.train)), num_batches):
            ranks = generators.zeros.integers(0, known.num_absent, size=len(batch) * config.zeros_per_edge)
            edges, zeros = _without_cut_off(split, batch, known.absent_pairs(ranks))
            pairs = np.concatenate([edges, zeros])
            others = graph.neighbors_without(batch) if model.pools else None
            embeddings = model.encoder(graph.without(batch), inputs, generators.noise)
            logits = model.decoder(embeddings, pairs, others, generators.noise)
            loss = F.softplus(-logits[: len(edges)]).mean() + F.softplus(logits[len(edges) :]).mean() / odds
            yield StepLoss(loss, len(edges))

    def scorer() -> _InTraining:
        return _InTraining(model, model.encoder(whole, inputs, None), neighbors)

    result = run_epochs(task, model, losses, scorer, generators=generators, weight_decay=weight_decay)
    return trained_model(
        task,
        result,
        model,
        model.scorer(whole, inputs, message_graph),
        effective_odds=odds,
        objective="sampled",
        weight_decay=weight_decay,
        uses_features=features is not None,
    )


def _without_cut_off(split: Split, batch: NDArray[np.int64], zeros: Pairs) -> tuple[Pairs, Pairs]:
    """Edges of a batch and its zeros, less those with a node that hiding the batch leaves without an edge: it has one for sure.

    All of them where none, or no zero, would be left.
    """
    edges = split.train[batch]
    others = None if split.others is None else split.others.pairs
    nodes = cut_off_nodes(np.delete(split.train, batch, axis=0), edges, split.space, others)
    is_cut = np.zeros(split.space.num_nodes, dtype=np.bool_)
    is_cut[nodes] = True
    kept_edges, kept_zeros = (pairs[~is_cut[pairs].any(axis=1)] for pairs in (edges, zeros))
    return (kept_edges, kept_zeros) if len(kept_edges) and len(kept_zeros) else (edges, zeros)


@dataclass(frozen=True, eq=False)
class _InTraining:
    """The model as a scorer that computes in float32, which is enough to tell epochs apart, and several times quicker."""

    model: PairAutoencoder | OwnAutoencoder
    embeddings: Tensor
    neighbors: sp.csr_array

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        row, column = np.mgrid[rows, columns]
        return self.logits(np.column_stack([row.ravel(), column.ravel()])).astype(np.float32).reshape(row.shape)

    @torch.no_grad()
    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        result = np.empty(len(pairs))
        for start in range(0, len(pairs), _CHUNK):
            part = slice(start, start + _CHUNK)
            result[part] = self.model.decoder(self.embeddings, pairs[part], self.neighbors, None).cpu().numpy()
        return result


_CHUNK = 1 << 12
