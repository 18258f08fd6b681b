"""Pair autoencoders: linear propagation with learned mixing, and decoders that look at a pair and not at a product alone."""

import math
from itertools import pairwise
from typing import final

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from linkodds.config import NUM_LAYERS, ModelOptions
from linkodds.models.autoencoders.autoencoder import half_negative
from linkodds.models.autoencoders.encoder import Pace, first_product
from linkodds.models.autoencoders.propagation import SparseMatrix, drop
from linkodds.pairs import Pairs
from linkodds.scorers.pair_scoring import NORM_EPSILON, PairScorer
from linkodds.scorers.scoring import InnerProductScorer

ROW_LENGTH = 4.0
"""Root mean square length of the rows of the features, as the first layer sees them."""

TABLE_ENTRY = 0.1
"""Root mean square of the entries of a learned table before the first step."""


def scaled_inputs(inputs: SparseMatrix | Tensor | None) -> SparseMatrix | Tensor | None:
    """Features divided by one number, so that their rows have a root mean square length of `ROW_LENGTH`.

    Adam moves every weight by about the learning rate a step, so the size of the inputs says how fast embeddings move.

    Example:
        >>> scaled_inputs(torch.tensor([[3.0, 4.0], [0.0, 5.0]]))
        tensor([[2.4000, 3.2000],
                [0.0000, 4.0000]])
    """
    if inputs is None:
        return None
    values = inputs.values if isinstance(inputs, SparseMatrix) else inputs
    length = float(values.double().square().sum().div(inputs.shape[0]).sqrt())
    if length == 0:
        return inputs
    if isinstance(inputs, SparseMatrix):
        return inputs.with_values(inputs.values * (ROW_LENGTH / length))
    return inputs * (ROW_LENGTH / length)


@final
class MixingEncoder(nn.Module):
    """z = sum over k of softmax(a)_k h_k with h_0 = X W, h_1 = P h_0, h_(k+1) = P dropout(LayerNorm(h_k)).

    The propagation is linear (He et al., LightGCN, SIGIR 2020): only the mixing a, W and the gains of the normalisation
    are learnt (Ma et al., Reconsidering the performance of GAE in link prediction, 2024). Without features X is the
    identity and W a table with a row for each node, orthogonal at first: the inner products of sums of orthogonal rows
    count what the sums have in common.

    Args:
        num_inputs: number of features, or of nodes where a table is learnt.
        width: columns of W.
        num_propagations: at least 1.
        dropout: on X (the table, where there are no features) and where it stands above, while training.
        is_table: whether there are no features.
        rng: source of the initial weights, on the CPU.
    """

    def __init__(
        self,
        num_inputs: int,
        width: int,
        num_propagations: int,
        dropout: float,
        *,
        is_table: bool,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        first = torch.empty(num_inputs, width)
        if is_table:
            nn.init.orthogonal_(first, generator=rng)
            first *= TABLE_ENTRY * math.sqrt(max(num_inputs, width))
        else:
            nn.init.xavier_uniform_(first, generator=rng)
        self.first = nn.Parameter(first)
        self.mixing = nn.Parameter(torch.zeros(num_propagations + 1))
        self.gains = nn.Parameter(torch.ones(num_propagations - 1, width))
        self.shifts = nn.Parameter(torch.zeros(num_propagations - 1, width))
        self.dropout = dropout

    def forward(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, noise: torch.Generator | None
    ) -> Tensor:
        """Shape (nodes, width), float32; `noise` draws the dropout, None is the mean network without any."""
        shares = torch.softmax(self.mixing, dim=0)
        hidden = first_product(inputs, self.first, self.dropout, noise)
        mixed = shares[0] * hidden
        for step in range(1, len(shares)):
            if step > 1:
                normal = (hidden.shape[1],)
                hidden = F.layer_norm(hidden, normal, self.gains[step - 2], self.shifts[step - 2], NORM_EPSILON)
                hidden = hidden if noise is None else drop(hidden, self.dropout, noise)
            hidden = propagation @ hidden
            mixed = mixed + shares[step] * hidden
        return mixed

    def paces(self) -> list[Pace]:
        """See `Encoder.paces`; the penalty is on W alone."""
        return [Pace([self.first]), Pace([self.mixing, self.gains, self.shifts], weight_decay=0.0)]


@final
class NormalLayer(nn.Module):
    """Linear, LayerNorm, ReLU; see `pair_scoring.Layer`, which computes the same."""

    def __init__(self, num_inputs: int, num_outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        bound = math.sqrt(1 / num_inputs)
        self.weight = nn.Parameter((torch.rand(num_outputs, num_inputs, generator=rng) * 2 - 1) * bound)
        self.bias = nn.Parameter((torch.rand(num_outputs, generator=rng) * 2 - 1) * bound)
        self.gain = nn.Parameter(torch.ones(num_outputs))
        self.shift = nn.Parameter(torch.zeros(num_outputs))

    def of_products(self, products: Tensor) -> Tensor:
        """From the products of the inputs with the weights."""
        return torch.relu(F.layer_norm(products + self.bias, products.shape[-1:], self.gain, self.shift, NORM_EPSILON))

    def forward(self, inputs: Tensor) -> Tensor:
        """Shape (pairs, outputs)."""
        return self.of_products(inputs @ self.weight.T)


@final
class CommonNeighborLayer(nn.Module):
    """A layer on the sum of the embeddings of the common neighbours (Wang et al., NCN, ICLR 2024), times a factor."""

    def __init__(self, width: int, num_outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        layer = NormalLayer(width, num_outputs, rng)
        self.weight, self.bias, self.gain, self.shift = layer.weight, layer.bias, layer.gain, layer.shift
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, embeddings: Tensor, pairs: Pairs, neighbors: sp.csr_array) -> Tensor:
        """Shape (pairs, outputs).

        Args:
            embeddings: shape (nodes, width).
            pairs: shape (pairs, 2).
            neighbors: as `MessageGraph.neighbors_without` gives it.
        """
        shared = sp.csr_array(neighbors[pairs[:, 0]].multiply(neighbors[pairs[:, 1]]))
        matrix = SparseMatrix.from_scipy(shared, embeddings.device)
        sums = matrix @ (embeddings @ self.weight.T) + self.bias
        return self.factor * torch.relu(F.layer_norm(sums, sums.shape[-1:], self.gain, self.shift, NORM_EPSILON))


@final
class HadamardDecoder(nn.Module):
    """logit(u, v) = <w, layers(source_u * target_v)> + b; the common neighbours come in beside the first layer.

    Args:
        dim: of the embeddings.
        hidden: outputs of each layer.
        dropout: after each layer, while training.
        common_neighbors: width of what is summed over them; None leaves them out.
        effective_odds: O_eff of the objective; its log is the first bias.
        rng: source of the initial weights, on the CPU.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        dropout: float,
        *,
        common_neighbors: int | None,
        effective_odds: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.dim = dim
        widths = [dim, *[hidden] * NUM_LAYERS]
        self.layers = nn.ModuleList(NormalLayer(*sizes, rng) for sizes in pairwise(widths))
        self.common_neighbors = None if common_neighbors is None else CommonNeighborLayer(common_neighbors, hidden, rng)
        self.output = nn.Linear(hidden, 1)
        with torch.no_grad():
            nn.init.xavier_uniform_(self.output.weight, generator=rng)
            self.output.bias.fill_(math.log(effective_odds))
        self.dropout = dropout

    def forward(
        self, embeddings: Tensor, pairs: Pairs, neighbors: sp.csr_array | None, noise: torch.Generator | None
    ) -> Tensor:
        """Logits, shape (pairs,).

        Args:
            embeddings: shape (nodes, dim), or (nodes, 2 dim) with a half as source and one as target.
            pairs: shape (pairs, 2).
            neighbors: where common neighbours count.
            noise: draws the dropout; None is the mean network.
        """
        hidden: Tensor = self.layers[0](_products(embeddings, pairs, self.dim))
        if self.common_neighbors is not None and neighbors is not None:
            hidden = hidden + self.common_neighbors(embeddings, pairs, neighbors)
        for layer in self.layers[1:]:
            hidden = layer(hidden if noise is None else drop(hidden, self.dropout, noise))
        logits: Tensor = self.output(hidden if noise is None else drop(hidden, self.dropout, noise))
        return logits.squeeze(1)


@final
class WeightedProduct(nn.Module):
    """logit(u, v) = exp(log_scale) * sum over k of r_k source_uk target_vk + bias (DistMult: Yang et al., ICLR 2015).

    Args:
        dim: of the embeddings.
        relation: first r, shape (dim,).
        is_learned: whether r is learnt (distmult) or stays (inner-product: all 1; signed: half of them -1).
        effective_odds: O_eff of the objective; its log is the first bias.
    """

    relation: Tensor

    def __init__(self, dim: int, relation: Tensor, *, is_learned: bool, effective_odds: float) -> None:
        super().__init__()
        self.dim = dim
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.full((), math.log(effective_odds)))
        if is_learned:
            self.relation = nn.Parameter(relation)
        else:
            self.register_buffer("relation", relation, persistent=False)

    def forward(
        self,
        embeddings: Tensor,
        pairs: Pairs,
        neighbors: sp.csr_array | None,  # noqa: ARG002 - one signature for all decoders
        noise: torch.Generator | None,  # noqa: ARG002
    ) -> Tensor:
        """Logits, shape (pairs,); see `HadamardDecoder`."""
        return self.log_scale.exp() * (_products(embeddings, pairs, self.dim) @ self.relation) + self.bias

    def scorer(self, source: Tensor, target: Tensor) -> InnerProductScorer:
        """An inner product: sqrt(|r|) goes into both ends, so that it stays symmetric, negative dimensions last."""
        order = torch.argsort((self.relation < 0).to(torch.int8), stable=True)
        root = self.relation.abs().sqrt()
        is_one = source.data_ptr() == target.data_ptr()
        first = (source * root)[:, order].cpu().numpy()
        second = first if is_one else (target * root)[:, order].cpu().numpy()
        num_negative = int((self.relation < 0).sum())
        return InnerProductScorer(first, second, float(self.log_scale.exp()), float(self.bias), num_negative)


def _products(embeddings: Tensor, pairs: Pairs, dim: int) -> Tensor:
    """source_u * target_v, shape (pairs, dim)."""
    places = torch.from_numpy(np.ascontiguousarray(pairs.T)).to(embeddings.device)
    source, target = F.embedding(places[0], embeddings), F.embedding(places[1], embeddings)
    return source[:, :dim] * target[:, -dim:]


@final
class PairAutoencoder(nn.Module):
    """refined-gae or ncn: `MixingEncoder` and a decoder.

    Args:
        num_nodes: of the graph.
        num_features: or None for a learned table.
        config: hidden, dim, dropout, decoder and architecture, as the model's family takes them.
        directed: whether source and target embeddings differ.
        effective_odds: O_eff of the objective.
        rng: source of the initial weights.
    """

    decoder: HadamardDecoder | WeightedProduct

    def __init__(
        self,
        num_nodes: int,
        num_features: int | None,
        config: ModelOptions,
        *,
        directed: bool,
        effective_odds: float,
        rng: torch.Generator,
    ) -> None:
        super().__init__()
        self.dim = config.dim
        width = config.dim * (2 if directed else 1)
        self.encoder = MixingEncoder(
            num_nodes if num_features is None else num_features,
            width,
            config.architecture.propagations,
            config.dropout,
            is_table=num_features is None,
            rng=rng,
        )
        if config.decoder == "hadamard":
            self.decoder = HadamardDecoder(
                config.dim,
                config.hidden,
                config.dropout,
                common_neighbors=width if config.architecture.pools else None,
                effective_odds=effective_odds,
                rng=rng,
            )
        else:
            relation = half_negative(config.dim) if config.decoder == "signed" else torch.ones(config.dim)
            if config.decoder == "distmult":
                relation = torch.randn(config.dim, generator=rng)
            is_learned = config.decoder == "distmult"
            self.decoder = WeightedProduct(config.dim, relation, is_learned=is_learned, effective_odds=effective_odds)

    @property
    def pools(self) -> bool:
        """Whether common neighbours count."""
        return isinstance(self.decoder, HadamardDecoder) and self.decoder.common_neighbors is not None

    @torch.no_grad()
    def scorer(
        self, propagation: SparseMatrix, inputs: SparseMatrix | Tensor | None, message_graph: sp.csr_array
    ) -> PairScorer | InnerProductScorer:
        """The decoder on the embeddings without any noise, for evaluation and search."""
        embeddings: Tensor = self.encoder(propagation, inputs, None)
        source, target = embeddings[:, : self.dim], embeddings[:, -self.dim :]
        if isinstance(self.decoder, WeightedProduct):
            return self.decoder.scorer(source, target)
        arrays = {name: array.float().cpu().numpy() for name, array in self.decoder.state_dict().items()}
        first = source.cpu().numpy()
        second = first if embeddings.shape[1] == self.dim else target.cpu().numpy()
        return PairScorer.from_arrays(first, second, arrays, message_graph)
