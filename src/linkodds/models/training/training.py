"""Training: graph and split in, a frozen model out, one visible loop."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linkodds.config import TABLES, FitConfig
from linkodds.doctor import diagnose_latents
from linkodds.errors import NonFiniteScores, OptionError
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision, best_balanced_accuracy, best_f1_confusion, roc_auc
from linkodds.metrics.strata import draw_to_choose_by
from linkodds.models.autoencoders.autoencoder import Autoencoder, encoder_inputs
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.objective import Objective, objective_for
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.models.training.checkpoint import Checkpoint, Recorder, TrainingState
from linkodds.models.training.divergence_guard import Safeguard
from linkodds.models.training.history import Epoch, Validation
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.scorers.scoring import Scorer

ALL_PAIRS_LIMIT = 20_000_000
"""The objective `auto` takes all pairs up to this many, a few tenths of a second an epoch on two cores."""

PENALTIES = (0.9, 0.4, 0.18)
"""L2 penalties that a table tries, in units of `noise_decay`, from strong to weak."""

KL_SHARE = 1 / 40
"""So much of these penalties a signed-vgae takes as the weight of its KL: what is drawn about the means holds them back too."""


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained autoencoder, cut down to what later stages need.

    Args:
        name: of an autoencoder.
        scorer: logits of pairs from the embeddings of the kept epoch.
        weights: name -> float32 array; with the features and the message graph they give the embeddings again. Of a mean
            of models each name begins with "fold-1.", "fold-2." and so on.
        history: one entry an epoch.
        best_epoch: the kept one, first at the highest validation average precision.
        effective_odds: O_eff, the odds at which the objective was trained.
        objective: all-pairs, sampled or subgraph.
        weight_decay: the L2 penalty on the encoder's weights.
        uses_features: whether there were any.
        findings: interventions and warnings.
        was_cut_short: whether `should_stop` ended it.
    """

    name: str
    scorer: Scorer
    weights: dict[str, NDArray[np.float32]]
    history: tuple[Epoch, ...]
    best_epoch: int
    effective_odds: float
    objective: str
    weight_decay: float
    uses_features: bool
    findings: tuple[Finding, ...]
    was_cut_short: bool = False

    @property
    def num_parameters(self) -> int:
        """Number of trained values."""
        return sum(array.size for array in self.weights.values())


def mean_model(models: Sequence[TrainedModel], scorer: Scorer) -> TrainedModel:
    """Several trainings as one model: all weights and findings, and the history of the first.

    Args:
        models: one a fold.
        scorer: of their mean logits.
    """
    first = models[0]
    return replace(
        first,
        scorer=scorer,
        weights={
            f"fold-{k}.{key}": value for k, each in enumerate(models, start=1) for key, value in each.weights.items()
        },
        effective_odds=math.exp(sum(math.log(each.effective_odds) for each in models) / len(models)),
        findings=tuple(dict.fromkeys(finding for each in models for finding in each.findings)),
        was_cut_short=any(each.was_cut_short for each in models),
    )


class Validator:
    """Validation edges against a fixed sample of non-edges (`draw_to_choose_by`), weighted to the true base rate."""

    def __init__(self, split: Split, rng: np.random.Generator) -> None:
        recorded = split.recorded()
        self.edges = split.validation
        self.non_edges = draw_to_choose_by(recorded, split.train, len(self.edges), rng)

    def __call__(self, scorer: Scorer) -> Validation:
        """Measure a scorer.

        Raises:
            NonFiniteScores: a logit is NaN or infinite.
        """
        held_out = HeldOut.from_scorer(scorer, self.edges, self.non_edges, threads=1)
        f1 = best_f1_confusion(held_out)
        return Validation(
            roc_auc(held_out),
            average_precision(held_out),
            best_balanced_accuracy(held_out),
            f1.f1,
            f1.tn,
            f1.fp,
            f1.fn,
            f1.tp,
        )


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


def train(
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
    penalty: float = PENALTIES[0],
    own: CustomEncoder | None = None,
) -> TrainedModel:
    """Train an autoencoder on the message graph of a split and keep the epoch with the best validation average precision.

    Args:
        name: gae, vgae, linear-gae, linear-vgae, signed-gae or signed-vgae.
        split: train edges carry the messages and are the targets; validation edges choose the epoch.
        features: or None for a learned table.
        config: sizes, rates and limits.
        seeds: of the weights, the noise, the zeros and the validation sample.
        device: where to train.
        on_epoch: called after every epoch.
        should_stop: asked before every epoch, once there is a best one; True ends training.
        checkpoint: where to keep the state of the training; None keeps it nowhere.
        resumed: the state to go on from, made with the same other arguments; the model is then, bit for bit, the one of
            a training that was not interrupted.
        penalty: the weight decay in units of the noise of the edges, where the config leaves it open; see `noise_decay`.
        own: a user's encoder, in the place of the name's.
    Raises:
        NonFiniteScores: the loss was NaN or infinite before the first validation.
    """
    config = config.of_model(name)
    weight_seed, noise_seed, zeros_seed, validation_seed = seeds.spawn(4)
    known = KnownPairs(split.space, split.train)
    zeros = np.random.default_rng(zeros_seed)  # all that is random in an objective: its state is in the checkpoints
    objective_name = choose_objective(config, split.space)
    objective = objective_for(
        objective_name, known, config, device=device, rng=zeros, confidences=split.confidences(split.train)
    )
    num_nodes, num_features = split.space.num_nodes, None if features is None else features.matrix.shape[1]
    weights_rng = torch_rng(weight_seed, torch.device("cpu"))
    inputs = encoder_inputs(features, device)
    propagation = SparseMatrix.from_scipy(normalized_adjacency(split.propagated_graph()), device)
    encoder = None
    if own is not None:
        encoder = own.build(num_nodes, num_features, weights_rng).to(device)
        config = config.model_copy(update={"dim": encoder.dim(propagation, inputs, directed=split.space.directed)})
    model = Autoencoder(
        name,
        num_nodes,
        num_features,
        config,
        directed=split.space.directed,
        effective_odds=objective.effective_odds,
        rng=weights_rng,
        encoder=encoder,
    ).to(device)
    model.prepare(propagation, inputs)
    # The KL of a variational table is its penalty: the same prior, on the means and on what they may be off by.
    is_prior = model.variational and name in TABLES
    weight_decay = config.weight_decay
    if weight_decay is None:
        weight_decay = penalty * (KL_SHARE if is_prior else 1.0) * noise_decay(objective, known)
    assert config.learning_rate is not None
    assert config.validate_every is not None
    kl_weight = weight_decay * objective.total_weight if is_prior else config.beta
    guard = Safeguard(
        model,
        weight_decay=0.0 if is_prior else weight_decay,
        learning_rate=config.learning_rate,
        schedule=config.schedule,
        epochs=config.epochs,
    )
    noise = torch_rng(noise_seed, device)
    validate = Validator(split, np.random.default_rng(validation_seed))
    recorder = Recorder(checkpoint, guard, noise, zeros)
    history = [] if resumed is None else recorder.resume(resumed)

    with recorder.rescue():
        is_done = resumed is not None and resumed.is_done
        while not (is_done or is_over(history, guard, config) or (guard.kept_epoch and should_stop())):
            epoch = len(history) + 1
            start = time.perf_counter()
            embeddings, kl_nats = model.sample(propagation, inputs, noise)
            reconstruction = objective(*model.decoder.factors(*model.ends(embeddings)))
            kl = kl_weight * min(1.0, epoch / max(config.warm_up, 1)) * kl_nats / objective.total_weight
            loss = reconstruction + kl
            event = guard.step(loss, kl_nats, epoch=epoch)
            seconds = time.perf_counter() - start

            validation = None
            if not event and (epoch % config.validate_every == 0 or epoch == config.epochs):
                with torch.no_grad():
                    validation = validate(model.scorer(model.mean(propagation, inputs)))
                if validation.average_precision > best_ap(history, guard):
                    guard.keep(epoch)
            terms = (_finite(loss), _finite(reconstruction), _finite(kl))
            history.append(Epoch(epoch, *terms, seconds, validation, event))
            recorder.after_epoch(history)
            if on_epoch is not None:
                on_epoch(history[-1])

    if not guard.kept_epoch:
        raise NonFiniteScores(
            f"{name}: the loss was not finite before the first validation, at {guard.learning_rate:g} as the learning rate "
            "too. Scale the features (--feature-scaling standard)."
        )
    recorder.after_training(history)
    findings = list(guard.findings)
    guard.restore()
    with torch.no_grad():
        scorer = model.scorer(model.mean(propagation, inputs))
        if model.variational:
            findings += diagnose_latents(*model.posterior(propagation, inputs))
    weights = {key: value.cpu().numpy().astype(np.float32) for key, value in model.state_dict().items()}
    return TrainedModel(
        name,
        scorer,
        weights,
        tuple(history),
        guard.kept_epoch,
        objective.effective_odds,
        objective_name,
        weight_decay,
        features is not None,
        tuple(findings),
        was_cut_short=not is_over(history, guard, config),
    )


def is_over(history: list[Epoch], guard: Safeguard, config: FitConfig) -> bool:
    """Whether all epochs were made, the safeguard gave up, or patience has run out (later before a first validation)."""
    without_rise = len(history) - guard.kept_epoch
    assert config.patience is not None
    assert config.validate_every is not None
    patience = config.patience + config.validate_every * (guard.kept_epoch == 0)
    return len(history) >= config.epochs or guard.gave_up or without_rise >= patience


def best_ap(history: list[Epoch], guard: Safeguard) -> float:
    best = history[guard.kept_epoch - 1].validation if guard.kept_epoch else None
    return -math.inf if best is None else best.average_precision


def _finite(term: Tensor) -> float | None:
    return term.item() if math.isfinite(term.item()) else None


def torch_rng(seeds: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(int(seeds.generate_state(1)[0]))
