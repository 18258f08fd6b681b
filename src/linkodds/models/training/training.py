"""Training of autoencoders: every epoch is one step on all train edges, with the whole message graph."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from linkodds.config import FitConfig
from linkodds.doctor import diagnose_latents
from linkodds.errors import OptionError
from linkodds.models.autoencoders.autoencoder import Autoencoder, encoder_inputs
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.objective import Objective, objective_for
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.models.training.training_loop import StepLoss, TrainedModel, TrainingTask, run_epochs, trained_model
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.scorers.scoring import InnerProductScorer

ALL_PAIRS_LIMIT = 20_000_000
"""The objective `auto` takes all pairs up to this many, a few tenths of a second an epoch on two cores."""

PENALTIES = (0.9, 0.4, 0.18)
"""L2 penalties that a table tries, in units of `noise_decay`, from strong to weak."""

KL_SHARE = 1 / 40
"""So much of these penalties a signed-vgae takes as the weight of its KL: what is drawn about the means holds them back too."""


def choose_objective(config: FitConfig, space: PairSpace) -> str:
    """The objective's name: what the config says, or by the number of pairs.

    Example:
        >>> choose_objective(FitConfig(), PairSpace(1000)), choose_objective(FitConfig(), PairSpace(100_000))
        ('all-pairs', 'sampled')
    """
    if config.objective != "auto":
        return config.objective
    return "all-pairs" if space.num_pairs <= ALL_PAIRS_LIMIT else "sampled"


def noise_decay(objective: Objective, edges: KnownPairs) -> float:
    """The weight decay at which the L2 penalty of a free table is as strong as the noise of the edges.

    Beside the objective's sum the penalty is a soft threshold on the eigenvalues of (edges times their weight, less what
    the model expects of them): what is below it is not learnt. Of a random graph with mean degree d they reach 2 sqrt(d)
    times the edges' weight w (Furedi and Komlos, Combinatorica 1, 1981), half of it where an edge has probability 1/2,
    as all start in a balanced objective. So the unit is w sqrt(d), over the total weight that the sum is divided by.

    Args:
        objective: in use; its edge weight and total weight count.
        edges: train edges.
    Example:
        >>> import numpy as np
        >>> edges = KnownPairs(PairSpace(4), np.array([[0, 1], [2, 3]]))  # mean degree 1, 4 absent pairs
        >>> noise_decay(objective_for("all-pairs", edges, FitConfig(positive_weight="balanced"), device=torch.device("cpu"),
        ...             rng=np.random.default_rng()), edges)  # w = 2, total weight 8
        0.25
    """
    mean_degree = 2 * len(edges.pairs) / edges.space.num_nodes
    return objective.edge_weight * math.sqrt(mean_degree) / objective.total_weight


def choose_device(name: str) -> torch.device:
    """The torch device of `--device`.

    Raises:
        OptionError: cuda was asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError(
            "--device cuda: torch sees no CUDA device here; use --device cpu, or install a CUDA build of torch."
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def train(task: TrainingTask, *, penalty: float = PENALTIES[0], own: CustomEncoder | None = None) -> TrainedModel:
    """Train an autoencoder on the message graph of a split and keep the epoch with the best validation average precision.

    An epoch is one step on all train edges.

    Args:
        task: of gae, vgae, linear-gae, linear-vgae, signed-gae or signed-vgae.
        penalty: the weight decay in units of the noise of the edges, where the config leaves it open; see `noise_decay`.
        own: a user's encoder, in the place of the name's.
    Raises:
        NonFiniteScores: the loss was NaN or infinite before the first validation.
    """
    split, features, device, config = task.split, task.features, task.device, task.config
    generators = task.generators()
    known = KnownPairs(split.space, split.train)
    objective_name = choose_objective(config, split.space)
    objective = objective_for(
        objective_name, known, config, device=device, rng=generators.zeros, confidences=split.confidences(split.train)
    )
    inputs = encoder_inputs(features, device)
    propagation = SparseMatrix.from_scipy(normalized_adjacency(split.propagated_graph()), device)
    encoder = None
    if own is not None:
        encoder = own.build(task.num_nodes, task.num_features, generators.weights).to(device)
        config = config.model_copy(update={"dim": encoder.dim(propagation, inputs, directed=split.space.directed)})
    model = Autoencoder(
        task.num_nodes,
        task.num_features,
        config,
        directed=split.space.directed,
        effective_odds=objective.effective_odds,
        rng=generators.weights,
        encoder=encoder,
    ).to(device)
    model.prepare(propagation, inputs)
    # The KL of a variational table is its penalty: the same prior, on the means and on what they may be off by.
    is_prior = model.variational and config.architecture.is_table
    weight_decay = config.weight_decay
    if weight_decay is None:
        weight_decay = penalty * (KL_SHARE if is_prior else 1.0) * noise_decay(objective, known)
    kl_weight = weight_decay * objective.total_weight if is_prior else config.beta

    def losses(epoch: int) -> Iterator[StepLoss]:
        outputs = model.encoder(propagation, inputs, generators.noise)
        embeddings, kl_nats = model.sample(outputs, generators.noise)
        reconstruction = objective(*model.decoder.factors(*model.ends(embeddings)))
        kl = kl_weight * min(1.0, epoch / max(config.warm_up, 1)) * kl_nats / objective.total_weight
        yield StepLoss(reconstruction, len(split.train), kl, kl_nats)

    @torch.no_grad()
    def scorer() -> InnerProductScorer:
        return model.scorer(model.mean(propagation, inputs))

    result = run_epochs(
        task, model, losses, scorer, generators=generators, weight_decay=0.0 if is_prior else weight_decay
    )
    trained = trained_model(
        task,
        result,
        model,
        scorer(),
        effective_odds=objective.effective_odds,
        objective=objective_name,
        weight_decay=weight_decay,
        uses_features=features is not None,
    )
    if not model.variational:
        return trained
    with torch.no_grad():
        collapsed = diagnose_latents(*model.posterior(propagation, inputs))
    return replace(trained, findings=(*trained.findings, *collapsed))
