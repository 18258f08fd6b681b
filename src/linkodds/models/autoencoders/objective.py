"""Objectives: what a graph autoencoder minimises, always on logits, always saying at which odds it trains.

Binary cross-entropy over pairs is softplus(-z) for an edge and softplus(z) for a zero. Training zeros are all pairs that
are not train edges. Its optimum has the logit log(f1/f0) + log(O_eff), where O_eff is the total weight of the edges over
the total weight of the zeros that were used: the odds at which a pair with no evidence either way is called an edge. So
logit - log(O_eff) + logit(prevalence) is the logit at another prevalence where the pairs that are used are uniform among
edges and among zeros (`AllPairs`, `Sampled`), and where the model has not learnt its edges by heart.
"""

from typing import Protocol

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from linkodds.config import FitConfig
from linkodds.models.autoencoders.cross_entropy import Tile, entries_cost, zeros_everywhere
from linkodds.models.autoencoders.propagation import SparseMatrix
from linkodds.pairs import KnownPairs, PairSpace


class Objective(Protocol):
    """A mean cross-entropy over pairs with the logit scale * <source_u, target_v> + bias.

    Attributes:
        effective_odds: O_eff.
        edge_weight: of a train edge, where a zero weighs 1.
        total_weight: what the sum that the loss stands for was divided by; a KL term in nats is divided by it too.
    """

    effective_odds: float
    edge_weight: float
    total_weight: float

    def __call__(self, source: Tensor, target: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """The loss, a scalar; differentiable in all four arguments, of shapes (nodes, dim) twice and () twice."""
        ...


def objective_for(
    name: str,
    edges: KnownPairs,
    config: FitConfig,
    *,
    device: torch.device,
    rng: np.random.Generator,
    confidences: NDArray[np.float64] | None = None,
) -> Objective:
    """The objective of a name, with its options.

    Args:
        name: all-pairs, sampled or subgraph.
        edges: train edges.
        config: positive_weight, zeros_per_edge and the options of subgraph.
        device: of the embeddings.
        rng: source of what is drawn.
        confidences: shape (edges,), how sure each is: c of an edge and 1 - c of a zero. None: all are sure. Not for subgraph.
    """
    balanced = config.positive_weight == "balanced"
    if name == "all-pairs":
        return AllPairs(edges, balanced=balanced, device=device, confidences=confidences)
    if name == "sampled":
        per_edge = config.zeros_per_edge
        return Sampled(edges, zeros_per_edge=per_edge, device=device, rng=rng, confidences=confidences)
    if confidences is not None:
        raise ValueError("the subgraph objective takes all edges as sure")
    weights = node_weights(edges, by=config.subgraph_by, alpha=config.subgraph_alpha)
    return Subgraph(edges, num_drawn=config.subgraph_nodes, weights=weights, balanced=balanced, device=device, rng=rng)


class AllPairs:
    """Exact mean cross-entropy over all pairs, tile by tile; no N x N array is kept and the diagonal is out.

    loss = (w * sum over train edges of softplus(-z) + sum over all other pairs of softplus(z)) / (w * edges + others),
    with z = scale * <source, target> + bias and w = 1, or w = others / edges when balanced. The balanced form is the
    `pos_weight` with `norm` of Kipf's GAE: there `norm` = N^2 / (2 (N^2 - 2E)) only rescales the mean so that edges and
    zeros weigh 1/2 each, which is what dividing by the total weight does here.

    Args:
        edges: train edges, canonical.
        balanced: weigh edges so that they count as much as the zeros.
        tile: rows and columns of logits that are made at a time; None suits the device.
        confidences: shape (edges,): an edge of confidence c is c of an edge (weight w c) and 1 - c of a zero.
    """

    def __init__(
        self,
        edges: KnownPairs,
        *,
        balanced: bool,
        device: torch.device,
        tile: Tile | None = None,
        confidences: NDArray[np.float64] | None = None,
    ) -> None:
        self.space = edges.space
        self.entries = SparseMatrix.from_pairs(edges.pairs, edges.space.num_nodes, device, confidences)
        self.is_sure = confidences is None
        sure: float = len(edges.pairs) if confidences is None else float(confidences.sum())
        others = edges.num_absent + (len(edges.pairs) - sure)
        self.edge_weight = others / sure if balanced else 1.0
        self.total_weight = self.edge_weight * sure + others
        self.effective_odds = self.edge_weight * sure / others
        self.tile = tile

    def __call__(self, source: Tensor, target: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """The loss, a scalar; differentiable in all four arguments."""
        zeros = zeros_everywhere(source, target, scale, bias, space=self.space, tile=self.tile)
        # The edges are among "everywhere": they are put in as edges and taken out as zeros, as far as they are sure.
        as_edges: float | Tensor = self.edge_weight
        as_zeros: float | Tensor = -1.0
        if not self.is_sure:
            as_edges, as_zeros = self.edge_weight * self.entries.values, -self.entries.values
        edges = entries_cost(source, target, scale, bias, entries=self.entries, as_edges=as_edges, as_zeros=as_zeros)
        return (zeros + edges) / self.total_weight


class Sampled:
    """Mean cross-entropy over the train edges and `zeros_per_edge` zeros each, drawn anew and uniformly every time.

    Its cost is linear in the edges. Zeros are drawn with replacement from all pairs that are not train edges, held-out
    edges included. Edges and zeros weigh 1 each, so O_eff = 1 / zeros_per_edge whatever the graph.

    Args:
        edges: train edges, canonical.
        zeros_per_edge: at least 1.
        rng: source of the zeros.
        confidences: shape (edges,): an edge of confidence c is c of an edge, and 1 - c of what a pair weighs as a zero.
    """

    def __init__(
        self,
        edges: KnownPairs,
        *,
        zeros_per_edge: int,
        device: torch.device,
        rng: np.random.Generator,
        confidences: NDArray[np.float64] | None = None,
    ) -> None:
        self.known = edges
        self.entries = SparseMatrix.from_pairs(edges.pairs, edges.space.num_nodes, device, confidences)
        self.is_sure = confidences is None
        self.num_zeros = zeros_per_edge * len(edges.pairs)
        self.weight_of_zero = self.num_zeros / edges.num_absent
        self.total_weight = float(len(edges.pairs) + self.num_zeros)
        self.effective_odds = 1.0 / zeros_per_edge
        if confidences is not None:
            sure = float(confidences.sum())
            zeros = self.num_zeros + self.weight_of_zero * (len(edges.pairs) - sure)
            self.total_weight, self.effective_odds = sure + zeros, sure / zeros
        self.edge_weight = 1.0
        self.device = device
        self.rng = rng

    def __call__(self, source: Tensor, target: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """The loss, a scalar; differentiable in all four arguments."""
        as_edges: float | Tensor = 1.0
        as_zeros: float | Tensor = 0.0
        if not self.is_sure:
            as_edges, as_zeros = self.entries.values, self.weight_of_zero * (1.0 - self.entries.values)
        ends = source, target
        edges = entries_cost(*ends, scale, bias, entries=self.entries, as_edges=as_edges, as_zeros=as_zeros)
        zeros = entries_cost(source, target, scale, bias, entries=self.draw(), as_zeros=1.0)
        return (edges + zeros) / self.total_weight

    def draw(self) -> SparseMatrix:
        """New zeros, shape (nodes, nodes): `num_zeros` entries, some perhaps twice.

        They are drawn in row order, a range of ranks at a time: the numbers in the ranges are multinomial, so that all are
        uniform and independent, and what a range needs stays in the cache.
        """
        num_nodes, num_absent = self.known.space.num_nodes, self.known.num_absent
        borders = np.linspace(0, num_absent, -(-self.num_zeros // _ZEROS_AT_A_TIME) + 1).astype(np.int64)
        shares = np.diff(borders) / num_absent
        in_range = self.rng.multinomial(self.num_zeros, shares / shares.sum())
        columns = np.empty(self.num_zeros, dtype=np.int32)
        in_row = np.zeros(num_nodes, dtype=np.int64)
        done = 0
        for low, high, count in zip(borders[:-1], borders[1:], in_range, strict=True):
            ranks = self.rng.integers(low, high, size=count)
            ranks.sort()
            rows, columns[done : done + count] = self.known.sorted_absent_pairs(ranks)
            if count:
                in_row[rows[0] : rows[-1] + 1] += np.bincount(rows - rows[0])
            done += count
        starts = np.concatenate([[0], np.cumsum(in_row)])
        return SparseMatrix.from_rows(starts, columns, shape=(num_nodes, num_nodes), device=self.device)


_ZEROS_AT_A_TIME = 1 << 18


class Subgraph:
    """Mean cross-entropy over all pairs of a few nodes, drawn anew every time, the well-connected ones more often.

    Node u is drawn with probability p_u = min(1, c * weight_u), independently of the others, with c such that
    `num_drawn` are expected; weight is (degree or core number)^alpha (Salha et al., FastGAE, Neural Networks 2021, who
    draw a fixed number). A pair is decoded with probability p_u p_v, edge or zero alike, so the loss is an unbiased
    estimate of the all-pairs cross-entropy in which every pair weighs p_u p_v. For one and the same pair edge and zero
    weigh alike; a model that cannot tell pairs apart sees O_eff = sum of p_u p_v over edges / the same over zeros. One
    that can learns something in between, so no closed form moves its logits to a prevalence: they have to be calibrated.

    Args:
        edges: train edges, canonical.
        num_drawn: nodes that are drawn on average, at least 2.
        weights: shape (nodes,), at least 0, of `node_weights`; a node with weight 0 is never decoded.
        balanced: weigh edges so that they count as much as the zeros on average.
        rng: source of the nodes.
        tile: as for `AllPairs`.
    """

    def __init__(
        self,
        edges: KnownPairs,
        *,
        num_drawn: int,
        weights: NDArray[np.float64],
        balanced: bool,
        device: torch.device,
        rng: np.random.Generator,
        tile: Tile | None = None,
    ) -> None:
        self.space, self.pairs, self.device, self.rng, self.tile = edges.space, edges.pairs, device, rng, tile
        self.inclusion = inclusion_probabilities(weights, num_drawn)
        edge_share = float((self.inclusion[self.pairs[:, 0]] * self.inclusion[self.pairs[:, 1]]).sum())
        zero_share = expected_pairs(self.inclusion, self.space) - edge_share
        self.edge_weight = zero_share / edge_share if balanced else 1.0
        self.divisor = self.edge_weight * edge_share + zero_share
        self.effective_odds = self.edge_weight * edge_share / zero_share
        # The KL of all nodes stands beside the edges of all nodes, of which a draw sees only this share.
        self.total_weight = self.divisor * len(self.pairs) / edge_share

    def __call__(self, source: Tensor, target: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """The loss, a scalar; differentiable in all four arguments."""
        chosen, space, edges = self.draw()
        nodes = torch.from_numpy(chosen).to(self.device)
        ends = source.index_select(0, nodes), target.index_select(0, nodes)
        entries = SparseMatrix.from_pairs(edges, len(chosen), self.device)
        zeros = zeros_everywhere(*ends, scale, bias, space=space, tile=self.tile)
        ones = entries_cost(*ends, scale, bias, entries=entries, as_edges=self.edge_weight, as_zeros=-1.0)
        return (zeros + ones) / self.divisor

    def draw(self) -> tuple[NDArray[np.int64], PairSpace, NDArray[np.int64]]:
        """New nodes, in increasing order; the space of their pairs; and the edges among them, by their new indices."""
        drawn = self.rng.random(len(self.inclusion)) < self.inclusion
        chosen = np.flatnonzero(drawn)
        sides = None
        if self.space.sides is not None:
            a, b = self.space.sides
            sides = int(drawn[:a].sum()), int(drawn[a : a + b].sum())
        index = np.cumsum(drawn) - 1
        edges = index[self.pairs[drawn[self.pairs].all(axis=1)]]
        return chosen, PairSpace(len(chosen), self.space.directed, sides), edges


def node_weights(edges: KnownPairs, *, by: str, alpha: float) -> NDArray[np.float64]:
    """How often `Subgraph` draws each node: its degree or its core number in the train edges, to the power alpha.

    Args:
        edges: train edges.
        by: degree or core (the largest k such that the node is in a subgraph of minimum degree k).
        alpha: 0 draws all nodes alike that have an edge; 1 and 2 are usual for degree and core.
    Returns:
        Shape (nodes,); 0 for a node without train edges.
    Example:
        >>> edges = KnownPairs(PairSpace(5), np.array([[0, 1], [0, 2], [1, 2], [2, 3]]))
        >>> node_weights(edges, by="degree", alpha=1.0).tolist(), node_weights(edges, by="core", alpha=2.0).tolist()
        ([2.0, 2.0, 3.0, 1.0, 0.0], [4.0, 4.0, 4.0, 1.0, 0.0])
    """
    num_nodes = edges.space.num_nodes
    level = np.bincount(edges.pairs.ravel(), minlength=num_nodes).astype(np.float64)
    if by == "core":
        graph: nx.Graph[int] = nx.Graph(map(tuple, edges.pairs.tolist()))
        for node, core in nx.core_number(graph).items():
            level[node] = core
    weights: NDArray[np.float64] = np.where(level > 0, level, 1.0) ** alpha * (level > 0)
    return weights


def inclusion_probabilities(weights: NDArray[np.float64], expected: float) -> NDArray[np.float64]:
    """min(1, c * weight) with c such that they sum to `expected`, or 1 for every positive weight if there are too few.

    Example:
        >>> inclusion_probabilities(np.array([8.0, 1.0, 1.0, 0.0]), 2).tolist()
        [1.0, 0.5, 0.5, 0.0]
    """
    positive = np.sort(weights[weights > 0])[::-1]
    if expected >= len(positive):
        return (weights > 0).astype(np.float64)
    rest = positive.sum() - np.concatenate([[0.0], np.cumsum(positive)[:-1]])  # weight of all but the first k
    certain = np.arange(len(positive))
    factors = (expected - certain) / rest
    fits = np.flatnonzero((factors > 0) & (factors * positive <= 1.0 + 1e-12))  # k are certain, and no other need be
    probabilities: NDArray[np.float64] = np.minimum(1.0, weights * factors[fits[0]])
    return probabilities


def expected_pairs(inclusion: NDArray[np.float64], space: PairSpace) -> float:
    """Sum of p_u p_v over all admissible pairs.

    Example:
        >>> expected_pairs(np.array([1.0, 0.5, 0.5]), PairSpace(3)), expected_pairs(np.ones(3), PairSpace(3, sides=(1, 2)))
        (1.25, 2.0)
    """
    if space.sides is not None:
        a, b = space.sides
        return float(inclusion[:a].sum() * inclusion[a : a + b].sum())
    ordered = float(inclusion.sum() ** 2 - (inclusion**2).sum())
    return ordered if space.directed else ordered / 2
