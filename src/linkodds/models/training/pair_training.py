"""Training of pair autoencoders: batches of train edges that are hidden from the message graph while they are learnt."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from linkodds.config import FitConfig
from linkodds.errors import NonFiniteScores, OptionError
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.autoencoders.autoencoder import encoder_inputs
from linkodds.models.autoencoders.custom_encoder import CustomEncoder, OwnAutoencoder
from linkodds.models.autoencoders.encoder import input_matrix
from linkodds.models.autoencoders.message_graph import MessageGraph
from linkodds.models.autoencoders.pair_decoder import PairAutoencoder, scaled_inputs
from linkodds.models.training.checkpoint import Checkpoint, Recorder, TrainingState
from linkodds.models.training.cost_model import choose_batches
from linkodds.models.training.divergence_guard import Safeguard
from linkodds.models.training.history import Epoch
from linkodds.models.training.training import TrainedModel, Validator, best_ap, is_over, torch_rng
from linkodds.pairs import KnownPairs, Pairs


def train_pair_model(
    name: str,
    split: Split,
    features: Features | None,
    config: FitConfig,
    *,
    seeds: np.random.SeedSequence,
    device: torch.device,
    on_epoch: Callable[[Epoch], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: Checkpoint | None = None,
    resumed: TrainingState | None = None,
    own: CustomEncoder | None = None,
) -> TrainedModel:
    """Train refined-gae or ncn and keep the epoch with the best validation average precision.

    An epoch goes through the train edges in batches. While a batch is learnt its edges are hidden from the message graph
    (`MessageGraph`), for propagation and for common neighbours alike. Beside it stand uniformly drawn zeros: all pairs that
    are no train edges, held-out edges included. loss = mean of softplus(-logit) over the edges of the batch + mean of
    softplus(logit) over its zeros / O_eff. With O_eff = 1 / zeros_per_edge every pair weighs the same; balanced, O_eff is 1.

    Args:
        name: refined-gae or ncn.
        split: train edges carry the messages and are the targets; validation edges choose the epoch.
        features: or None for a learned table.
        config: sizes, rates and limits.
        seeds: of the weights, the noise, batches and zeros, and the validation sample.
        device: where to train.
        on_epoch: called after every epoch.
        should_stop: asked before every epoch, once there is a best one; True ends training.
        checkpoint: where to keep the state of the training; None keeps it nowhere.
        resumed: the state to go on from, made with the same other arguments; see `train`.
        own: a user's module that encodes and decodes, in the place of the name's.
    Raises:
        NonFiniteScores: the loss was NaN or infinite before the first validation.
        OptionError: ncn in a bipartite graph, where nodes of the two sides have no common neighbours.
    """
    if name == "ncn" and split.space.bipartite:
        raise OptionError(
            "--model ncn adds up what the common neighbours of two nodes are, and nodes of two sides have none in a bipartite "
            "graph; take refined-gae or signed-gae."
        )
    config = config.of_model(name)
    weight_seed, noise_seed, zeros_seed, validation_seed = seeds.spawn(4)
    known = KnownPairs(split.space, split.train)
    odds = 1.0 if config.positive_weight == "balanced" else 1.0 / config.zeros_per_edge
    rng = np.random.default_rng(zeros_seed)  # batches and zeros: its state is in the checkpoints
    num_nodes, num_features = split.space.num_nodes, None if features is None else features.matrix.shape[1]
    weights_rng = torch_rng(weight_seed, torch.device("cpu"))
    graph, message_graph = MessageGraph(split, device), split.message_graph()
    whole, neighbors = graph.whole, graph.neighbors_without(np.empty(0, dtype=np.int64))
    model: PairAutoencoder | OwnAutoencoder
    if own is not None:
        inputs = encoder_inputs(features, device)
        model = OwnAutoencoder(own.build(num_nodes, num_features, weights_rng).to(device), split.space)
        model.encoder.dim(whole, inputs, directed=split.space.directed)
    else:
        inputs = scaled_inputs(input_matrix(features, device))
        model = PairAutoencoder(
            name,
            num_nodes,
            num_features,
            config,
            directed=split.space.directed,
            effective_odds=odds,
            rng=weights_rng,
        ).to(device)
    num_batches = choose_batches(len(split.train), config)
    assert config.learning_rate is not None
    assert config.validate_every is not None
    guard = Safeguard(
        model,
        weight_decay=config.weight_decay or 0.0,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        epochs=config.epochs,
    )
    noise = torch_rng(noise_seed, device)
    validate = Validator(split, np.random.default_rng(validation_seed))
    recorder = Recorder(checkpoint, guard, noise, rng)
    history = [] if resumed is None else recorder.resume(resumed)
    no_kl = torch.zeros(())

    def loss_of(batch: NDArray[np.int64]) -> Tensor:
        ranks = rng.integers(0, known.num_absent, size=len(batch) * config.zeros_per_edge)
        pairs = np.concatenate([split.train[batch], known.absent_pairs(ranks)])
        others = graph.neighbors_without(batch) if model.pools else None
        embeddings = model.encoder(graph.without(batch), inputs, noise)
        logits = model.decoder(embeddings, pairs, others, noise)
        return F.softplus(-logits[: len(batch)]).mean() + F.softplus(logits[len(batch) :]).mean() / odds

    with recorder.rescue():
        is_done = resumed is not None and resumed.is_done
        while not (is_done or is_over(history, guard, config) or (guard.kept_epoch and should_stop())):
            epoch = len(history) + 1
            start = time.perf_counter()
            losses = []
            for batch in np.array_split(rng.permutation(len(split.train)), num_batches):
                loss = loss_of(batch)
                event = guard.step(loss, no_kl, epoch=epoch)
                losses.append(loss.item() * len(batch) / len(split.train))
                if event:
                    break
            seconds = time.perf_counter() - start

            validation = None
            if not event and (epoch % config.validate_every == 0 or epoch == config.epochs):
                with torch.no_grad():
                    validation = validate(_InTraining(model, model.encoder(whole, inputs, None), neighbors))
                if validation.average_precision > best_ap(history, guard):
                    guard.keep(epoch)
            mean_loss = sum(losses) if math.isfinite(sum(losses)) and not event else None
            kl = None if mean_loss is None else 0.0
            history.append(Epoch(epoch, mean_loss, mean_loss, kl, seconds, validation, event))
            recorder.after_epoch(history)
            if on_epoch is not None:
                on_epoch(history[-1])

    if not guard.kept_epoch:
        raise NonFiniteScores(
            f"{name}: the loss was not finite before the first validation, at {guard.learning_rate:g} as the learning rate "
            "too. Scale the features (--feature-scaling standard)."
        )
    recorder.after_training(history)
    guard.restore()
    weights = {key: value.cpu().numpy().astype(np.float32) for key, value in model.state_dict().items()}
    return TrainedModel(
        name,
        model.scorer(whole, inputs, message_graph),
        weights,
        tuple(history),
        guard.kept_epoch,
        odds,
        "sampled",
        config.weight_decay or 0.0,
        features is not None,
        tuple(guard.findings),
        was_cut_short=not is_over(history, guard, config),
    )


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
