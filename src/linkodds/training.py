"""Training: graph and split in, a frozen model out, one visible loop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linkodds.autoencoder import Autoencoder
from linkodds.config import FitConfig
from linkodds.doctor import diagnose_latents
from linkodds.encoder import input_matrix
from linkodds.errors import NonFiniteScores, OptionError
from linkodds.features import Features
from linkodds.findings import Finding
from linkodds.held_out import HeldOut
from linkodds.metrics import average_precision, best_balanced_accuracy, best_f1_confusion, roc_auc
from linkodds.non_edges import draw_non_edges
from linkodds.objective import AllPairs, Sampled
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.propagation import SparseMatrix, normalized_adjacency
from linkodds.safeguard import Safeguard
from linkodds.scoring import InnerProductScorer, Scorer
from linkodds.split import Split

ALL_PAIRS_LIMIT = 20_000_000
"""The objective `auto` takes all pairs up to this many, a few tenths of a second an epoch on two cores."""

VALIDATION_NON_EDGES = 500_000
"""Size of the fixed sample of non-edges that validation uses while training; all of them where there are fewer."""


@dataclass(frozen=True)
class Validation:
    """What a validation sees, at the true base rate: non-edges are sampled once and weighted up to their number."""

    roc_auc: float
    average_precision: float
    balanced_accuracy: float
    f1: float
    tn: float
    fp: float
    fn: float
    tp: float


@dataclass(frozen=True)
class Epoch:
    """One row of the history. loss = reconstruction + kl; `kl` includes beta and the divisor; seconds are of training alone.

    The three are None where the loss was not finite; `event` then says what was done.
    """

    epoch: int
    loss: float | None
    reconstruction: float | None
    kl: float | None
    seconds: float
    validation: Validation | None = None
    event: str = ""


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained autoencoder, cut down to what later stages need.

    Args:
        name: gae or vgae.
        scorer: logits of pairs from the embeddings of the kept epoch.
        weights: name -> float32 array; with the features and the message graph they give the embeddings again.
        history: one entry an epoch.
        best_epoch: the kept one, first at the highest validation average precision.
        effective_odds: O_eff, the odds at which the objective was trained.
        objective: all-pairs or sampled.
        findings: interventions and warnings.
    """

    name: str
    scorer: InnerProductScorer
    weights: dict[str, NDArray[np.float32]]
    history: tuple[Epoch, ...]
    best_epoch: int
    effective_odds: float
    objective: str
    findings: tuple[Finding, ...]

    @property
    def num_parameters(self) -> int:
        """Number of trained values."""
        return sum(array.size for array in self.weights.values())


class Validator:
    """Validation edges against a fixed uniform sample of non-edges, weighted to the true base rate."""

    def __init__(self, split: Split, rng: np.random.Generator) -> None:
        recorded = split.recorded()
        self.edges = split.validation
        self.num_non_edges = recorded.num_absent
        self.non_edges = draw_non_edges(recorded, min(VALIDATION_NON_EDGES, self.num_non_edges), rng)

    def __call__(self, scorer: Scorer) -> Validation:
        """Measure a scorer.

        Raises:
            NonFiniteScores: a logit is NaN or infinite.
        """
        sample = self.non_edges.sample
        logits = (
            [np.concatenate([chunk for chunk, _ in self.non_edges.stream(scorer)])]
            if sample is None
            else [scorer.logits(sample)]
        )
        held_out = HeldOut.from_logits(scorer.logits(self.edges), logits[0], self.num_non_edges)
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
) -> TrainedModel:
    """Train `gae` or `vgae` on the message graph of a split and keep the epoch with the best validation average precision.

    Args:
        name: gae or vgae.
        split: train edges carry the messages and are the targets; validation edges choose the epoch.
        features: or None for a learned table.
        config: sizes, rates and limits.
        seeds: of the weights, the noise, the zeros and the validation sample.
        device: where to train.
        on_epoch: called after every epoch.
    Raises:
        NonFiniteScores: the loss was NaN or infinite before the first validation.
    """
    weight_seed, noise_seed, zeros_seed, validation_seed = seeds.spawn(4)
    known = KnownPairs(split.space, split.train)
    objective: AllPairs | Sampled
    if (objective_name := choose_objective(config, split.space)) == "all-pairs":
        objective = AllPairs(known, balanced=config.positive_weight == "balanced", device=device)
    else:
        rng = np.random.default_rng(zeros_seed)
        objective = Sampled(known, zeros_per_edge=config.zeros_per_edge, device=device, rng=rng)
    model = Autoencoder(
        split.space.num_nodes if features is None else features.matrix.shape[1],
        config,
        variational=name == "vgae",
        directed=split.space.directed,
        effective_odds=objective.effective_odds,
        rng=_torch_rng(weight_seed, torch.device("cpu")),
    ).to(device)
    inputs = input_matrix(features, device)
    propagation = SparseMatrix.from_scipy(normalized_adjacency(split.message_graph()), device)
    guard = Safeguard(model, weight_decay=config.weight_decay, learning_rate=config.learning_rate)
    noise = _torch_rng(noise_seed, device)
    validate = Validator(split, np.random.default_rng(validation_seed))
    history: list[Epoch] = []
    best_epoch, best_ap = 0, -math.inf

    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        embeddings, kl_nats = model.sample(propagation, inputs, noise)
        reconstruction = objective(*model.ends(embeddings), model.decoder.scale, model.decoder.bias)
        kl = config.beta * min(1.0, epoch / max(config.warm_up, 1)) * kl_nats / objective.total_weight
        loss = reconstruction + kl
        event = guard.step(loss, kl_nats, epoch=epoch)
        seconds = time.perf_counter() - start

        validation = None
        if not event and (epoch % config.validate_every == 0 or epoch == config.epochs):
            with torch.no_grad():
                validation = validate(model.scorer(model.mean(propagation, inputs)))
            if validation.average_precision > best_ap:
                best_epoch, best_ap = epoch, validation.average_precision
                guard.keep(epoch)
        terms = (_finite(loss), _finite(reconstruction), _finite(kl))
        history.append(Epoch(epoch, *terms, seconds, validation, event))
        if on_epoch is not None:
            on_epoch(history[-1])
        if guard.gave_up or epoch - best_epoch >= config.patience + config.validate_every * (best_epoch == 0):
            break

    if not best_epoch:
        raise NonFiniteScores(
            f"{name}: the loss was not finite before the first validation, at {guard.learning_rate:g} as the learning rate "
            "too. Scale the features (--feature-scaling standard)."
        )
    findings = list(guard.findings)
    guard.restore()
    with torch.no_grad():
        scorer = model.scorer(model.mean(propagation, inputs))
        if model.variational:
            findings += diagnose_latents(*model.posterior(propagation, inputs))
    weights = {key: value.cpu().numpy().astype(np.float32) for key, value in model.state_dict().items()}
    return TrainedModel(
        name, scorer, weights, tuple(history), best_epoch, objective.effective_odds, objective_name, tuple(findings)
    )


def _finite(term: Tensor) -> float | None:
    return term.item() if math.isfinite(term.item()) else None


def _torch_rng(seeds: np.random.SeedSequence, device: torch.device) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(int(seeds.generate_state(1)[0]))
