"""Autoencoder: encoder, heads and decoder together, from the message graph to embeddings and a scorer; and its KL term."""

import math
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from linkodds.config import ModelOptions
from linkodds.graph.features import Features, input_scale
from linkodds.models.autoencoders.encoder import Encoder, GraphEncoder, LinearEncoder, TableEncoder, input_matrix
from linkodds.models.autoencoders.propagation import SparseMatrix
from linkodds.scorers.scoring import InnerProductScorer

Factors = tuple[Tensor, Tensor, Tensor, Tensor]
"""source (nodes, k), target (nodes, k), scale and bias: the logit of (u, v) is scale * <source_u, target_v> + bias."""


def half_negative(dim: int) -> Tensor:
    """Signs of which the last half, or one less where `dim` is odd, are -1. Shape (dim,).

    Example:
        >>> half_negative(5)
        tensor([ 1.,  1.,  1., -1., -1.])
    """
    signs = torch.ones(dim)
    signs[dim - dim // 2 :] = -1
    return signs


@final
class InnerProduct(nn.Module):
    """logit = exp(log_scale) * sum over k of sign_k * source_k * target_k + degree terms + bias.

    Without a bias the mean logit over all pairs of an undirected graph cannot fall below about 0
    (sum of <u_i, u_j> over i, j = |sum of u_i|^2 >= 0), while a sparse graph needs a mean near log(edges / pairs).
    So the bias starts at the log odds at which the model is trained. With positive signs alone the matrix of logits,
    but for the bias, has no negative eigenvalue, and cannot say that two alike nodes avoid each other; fixed signs, +1
    for some dimensions and -1 for the others, make it any symmetric matrix of that rank.

    Args:
        effective_odds: O_eff of the objective, above 0.
        signs: shape (dim,), +1 or -1; None is +1 everywhere.
        log_degrees: shape (nodes,); a learned multiple of the two ends' is added to each logit, from 0. None: no terms.
    Example:
        >>> decoder = InnerProduct(effective_odds=0.01)
        >>> round(decoder.bias.item(), 3), decoder.scale.item()
        (-4.605, 1.0)
    """

    signs: Tensor | None
    log_degrees: Tensor | None

    def __init__(self, effective_odds: float, signs: Tensor | None = None, log_degrees: Tensor | None = None) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.tensor(math.log(effective_odds)))
        self.degree_weight = None if log_degrees is None else nn.Parameter(torch.zeros(()))
        self.register_buffer("signs", signs, persistent=False)
        self.register_buffer("log_degrees", log_degrees, persistent=False)

    @property
    def scale(self) -> Tensor:
        """exp(log_scale), above 0: a larger inner product is never a lower logit."""
        return self.log_scale.exp()

    def factors(self, source: Tensor, target: Tensor) -> Factors:
        """What objectives and scorers take: signs go into the source, each degree term is a column more on both sides.

        Args:
            source: shape (nodes, dim).
            target: shape (nodes, dim).
        Example:
            >>> decoder = InnerProduct(0.5, signs=torch.tensor([1.0, -1.0]), log_degrees=torch.tensor([0.0, 1.0]))
            >>> z = torch.tensor([[1.0, 2.0], [3.0, 1.0]])
            >>> source, target, scale, bias = decoder.factors(z, z)
            >>> source.shape, (scale * (source @ target.T)).tolist()  # degree terms start at 0
            (torch.Size([2, 4]), [[-3.0, 1.0], [1.0, 8.0]])
        """
        if self.signs is not None:
            source = source * self.signs
        if self.log_degrees is None or self.degree_weight is None:
            return source, target, self.scale, self.bias
        terms = (self.degree_weight * self.log_degrees)[:, None]
        ones = torch.ones_like(terms)
        source = torch.cat([source * self.scale, terms, ones], dim=1)
        return source, torch.cat([target, ones, terms], dim=1), torch.ones_like(self.scale), self.bias


INITIAL_EMBEDDING = 0.05
"""Root mean square of the entries of the embeddings before the first step; 0.2 costs AUC, 0.01 makes a false start."""

INITIAL_TABLE = 0.1
"""The same for a free table, under the penalty that it needs."""


MIN_LOG_DEVIATION, MAX_LOG_DEVIATION = -6.0, 2.0
INITIAL_LOG_DEVIATION = -2.0
"""Added to the head of the log deviations: with weights near 0 a deviation of 1 would drown the means from the start."""


def encoder_inputs(features: Features | None, device: torch.device | str) -> SparseMatrix | Tensor | None:
    """Features as the first layer takes them: raw ones that are large are divided, all of them, by one number.

    The number is the length of their mean row or their root mean square, whichever is larger, and never below 1. Adam
    moves every weight by about the learning rate a step. Where the features have a mean, that moves a hidden unit the
    same way for all nodes, by up to learning rate * sum_j |mean_j|: with raw counts by many times its size, and a unit
    that goes below 0 for all nodes is off for good (ReLU). One number keeps what the features say: it is a choice of
    initial weights and of a learning rate for the first layer. Features scaled on the way in stay as they are.

    Args:
        features: or None for a learned table.
        device: where to put them.
    Example:
        >>> encoder_inputs(Features(np.array([[30.0, 0.0], [50.0, 60.0]], dtype=np.float32), "none"), "cpu")
        tensor([[0.6000, 0.0000],
                [1.0000, 1.2000]])
    """
    if features is None or features.scaling != "none":
        return input_matrix(features, device)
    values: Any = features.matrix
    return input_matrix(
        Features((values / input_scale(features)).astype(np.float32), features.scaling, features.names), device
    )


@final
class Autoencoder(nn.Module):
    """A graph autoencoder or, when variational, a variational one: encoder, heads and inner product.

    gae and vgae have two graph convolutions, linear-gae and linear-vgae one linear propagation, the signed ones a
    free table with linear smoothed features beside it. The encoder's outputs are, side by side, the means and, when
    variational, the log deviations; in a directed graph each of them has a half for a node as source and a half for it as target.

    Args:
        num_nodes: of the graph.
        num_features: or None for a learned table.
        config: hidden, dim, dropout, decoder, free bits and architecture, as the model's family takes them.
        directed: whether source and target embeddings differ.
        effective_odds: O_eff of the objective; its log is the decoder's first bias.
        rng: source of the initial weights.
        encoder: another one than that of the architecture, with `dim` outputs of the config.
    """

    encoder: Encoder

    def __init__(
        self,
        num_nodes: int,
        num_features: int | None,
        config: ModelOptions,
        *,
        directed: bool,
        effective_odds: float,
        rng: torch.Generator,
        encoder: Encoder | None = None,
    ) -> None:
        super().__init__()
        self.width = config.dim * (2 if directed else 1)
        self.dim = config.dim
        self.variational = config.architecture.variational
        self.free_bits = config.free_bits
        self.initial_size = INITIAL_TABLE if config.architecture.is_table else INITIAL_EMBEDDING
        num_outputs = self.width * (2 if self.variational else 1)
        num_inputs = num_nodes if num_features is None else num_features
        if encoder is not None:
            self.encoder = encoder
        elif config.architecture.is_table:
            self.encoder = TableEncoder(num_nodes, num_features, num_outputs, rng)
        elif config.architecture.encoder == "linear":
            self.encoder = LinearEncoder(num_inputs, num_outputs, config.dropout, rng)
        else:
            self.encoder = GraphEncoder(num_inputs, config.hidden, num_outputs, config.dropout, rng)
        self.decoder = InnerProduct(effective_odds, half_negative(self.dim) if config.decoder == "signed" else None)

    @torch.no_grad()
    def prepare(self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None) -> None:
        """Before training: scale the initial heads, and measure the features that stand beside a table.

        The heads are scaled so that the embeddings have root mean square `INITIAL_EMBEDDING` or, of a free table,
        `INITIAL_TABLE`.

        Two averages over neighbours leave embeddings of 0.003 to 0.02 from Glorot's weights, smaller the denser the
        graph, and inner products of nothing: all gradients of the embeddings are near 0 there, and what training does
        first is to rank by degree and then to unlearn it. Scaled by what the graph and the features make of the weights
        (Mishkin and Matas, ICLR 2016, do so for every layer), all graphs start alike.
        """
        if isinstance(self.encoder, TableEncoder) and inputs is not None:
            self.encoder.measure_features(propagation, inputs)
        size = self.mean(propagation, inputs).square().mean().sqrt()
        if torch.isfinite(size) and size > 0:
            self.encoder.scale_outputs(self.initial_size / size)

    def mean(self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None) -> Tensor:
        """Shape (nodes, width): the embeddings, without any noise."""
        outputs: Tensor = self.encoder(propagation, inputs, None)
        return outputs[:, : self.width]

    def posterior(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and log deviations of a variational model, shape (nodes, width) each."""
        outputs: Tensor = self.encoder(propagation, inputs, None)
        mean, head = outputs[:, : self.width], outputs[:, self.width :]
        return mean.double().cpu().numpy(), log_deviation(head).double().cpu().numpy()

    def sample(self, outputs: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Embeddings drawn from the posterior, shape (nodes, width), and their KL in nats, free bits and all.

        The mean and 0 for a gae.

        Args:
            outputs: of the encoder, shape (nodes, width) or, when variational, (nodes, 2 width).
            noise: draws them.
        """
        mean = outputs[:, : self.width]
        if not self.variational:
            return mean, torch.zeros((), device=mean.device)
        log_deviations = log_deviation(outputs[:, self.width :])
        standard = torch.randn(mean.shape, generator=noise, device=mean.device)
        return mean + standard * log_deviations.exp(), kl_divergence(mean, log_deviations, self.free_bits)

    def ends(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Source and target embeddings, shape (nodes, dim) each; the same ones when the graph is undirected."""
        return embeddings[:, : self.dim], embeddings[:, -self.dim :]

    def scorer(self, embeddings: Tensor) -> InnerProductScorer:
        """The decoder on fixed embeddings, for evaluation and search."""
        values = embeddings.detach().cpu().numpy()
        source, target = values[:, : self.dim], values[:, -self.dim :]
        signs = self.decoder.signs
        num_negative = 0 if signs is None else int((signs < 0).sum())
        return InnerProductScorer(source, target, float(self.decoder.scale), float(self.decoder.bias), num_negative)


def log_deviation(head: Tensor) -> Tensor:
    """Log deviations from the encoder's head: shifted to start near -2, and kept in [-6, 2].

    An unbounded head makes exp(2 log deviation) overflow within some hundred epochs.

    Example:
        >>> import torch
        >>> log_deviation(torch.tensor([-100.0, 0.5, 1000.0]))
        tensor([-6.0000, -1.5000,  2.0000])
    """
    return (head + INITIAL_LOG_DEVIATION).clamp(MIN_LOG_DEVIATION, MAX_LOG_DEVIATION)


def kl_divergence(mean: Tensor, log_deviation: Tensor, free_bits: float = 0.0) -> Tensor:
    """KL(N(mean, exp(log_deviation)^2) || N(0, 1)) in nats, summed over dimensions and nodes, with free bits.

    The quantity is the log *deviation*, log sigma, not the log variance: KL = sum of
    (mean^2 + sigma^2 - 1) / 2 - log sigma (Kingma and Welling, ICLR 2014, appendix B).

    With free bits, nodes * sum over dimensions of max(free_bits, mean over nodes of the KL): a dimension below that has
    no gradient and so nothing to gain from saying even less about the nodes (lambda in Kingma et al., Improved
    variational inference with inverse autoregressive flow, NeurIPS 2016).

    Args:
        mean: shape (nodes, dim).
        log_deviation: shape (nodes, dim).
        free_bits: nats a dimension, in a mean over the nodes; at least 0.
    Returns:
        A scalar, at least nodes * dim * free_bits.
    Example:
        >>> import torch
        >>> mean, log_deviation = torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)  # 0.5 nats and none
        >>> kl_divergence(mean, log_deviation), kl_divergence(mean, log_deviation, free_bits=0.2)
        (tensor(0.5000), tensor(0.7000))
    """
    nats = mean.square() + (2 * log_deviation).exp() - 1 - 2 * log_deviation
    if free_bits == 0:
        return 0.5 * nats.sum()
    return (0.5 * nats.sum(dim=0)).clamp(min=free_bits * len(mean)).sum()
