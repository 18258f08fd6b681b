"""Objectives: what a graph autoencoder minimises, always on logits, always saying at which odds it trains.

Binary cross-entropy over pairs is softplus(-z) for an edge and softplus(z) for a zero. Training zeros are all pairs that
are not train edges. Its optimum has the logit log(f1/f0) + log(O_eff), where O_eff is the total weight of the edges over
the total weight of the zeros that were used: the odds at which a pair with no evidence either way is called an edge.
"""

from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from linkodds.pairs import KnownPairs, PairSpace


class AllPairs:
    """Exact mean cross-entropy over all pairs, in row blocks; no N x N array is kept and the diagonal is out.

    loss = (w * sum over train edges of softplus(-z) + sum over all other pairs of softplus(z)) / (w * edges + others),
    with z = scale * <source, target> + bias and w = 1, or w = others / edges when balanced. The balanced form is the
    `pos_weight` with `norm` of Kipf's GAE: there `norm` = N^2 / (2 (N^2 - 2E)) only rescales the mean so that edges and
    zeros weigh 1/2 each, which is what dividing by the total weight does here.

    Args:
        edges: train edges, canonical.
        balanced: weigh edges so that they count as much as the zeros.
        max_cells: largest block, in pairs.
    """

    def __init__(self, edges: KnownPairs, *, balanced: bool, device: torch.device, max_cells: int = 1 << 17) -> None:
        self.space = edges.space
        self.pairs = torch.from_numpy(edges.pairs).to(device)
        others = edges.num_absent
        self.edge_weight = others / len(edges.pairs) if balanced else 1.0
        self.total_weight = self.edge_weight * len(edges.pairs) + others
        self.effective_odds = self.edge_weight * len(edges.pairs) / others
        self.max_cells = max_cells

    def __call__(self, source: Tensor, target: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """The loss, a scalar; differentiable in all four arguments."""
        zeros = cast(Tensor, _AllPairsSoftplus.apply(source, target, scale, bias, self.space, self.max_cells))  # type: ignore[no-untyped-call]
        logits = (source[self.pairs[:, 0]] * target[self.pairs[:, 1]]).sum(dim=1) * scale + bias
        # softplus(z) of the edges is part of the sum over all pairs: take it out where they are put in.
        edges = (self.edge_weight * F.softplus(-logits) - F.softplus(logits)).sum()
        return (zeros + edges) / self.total_weight


class _AllPairsSoftplus(torch.autograd.Function):
    """Sum of softplus(z) over all admissible pairs, with the gradient computed in the same pass over the blocks."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        source: Tensor,
        target: Tensor,
        scale: Tensor,
        bias: Tensor,
        space: PairSpace,
        max_cells: int,
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float64, device=source.device)
        d_source, d_target = torch.zeros_like(source), torch.zeros_like(target)
        d_bias = torch.zeros((), dtype=torch.float64, device=source.device)
        for rows, columns, diagonal in _rectangles(space, max_cells):
            left, right = source[rows], target[columns]
            logits = (left * scale) @ right.T + bias
            slope = torch.sigmoid(logits)
            value = F.softplus(logits)
            if diagonal is not None:  # cells of these columns that are no pair, or belong to a later block
                keep = _keep(rows, space, source.device)
                slope[:, diagonal] *= keep
                value[:, diagonal] *= keep
            total += value.sum(dim=1).sum(dtype=torch.float64)
            d_bias += slope.sum(dim=1).sum(dtype=torch.float64)
            d_source[rows] += slope @ right
            d_target[columns] += slope.T @ left
        # z is linear in scale * source and in bias; d_source, d_target are sums of slope times the other end.
        d_scale = (d_source * source).sum()
        ctx.save_for_backward(d_source * scale, d_target * scale, d_scale, d_bias.to(source.dtype))
        return total.to(source.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_source, d_target, d_scale, d_bias = ctx.saved_tensors  # type: ignore[attr-defined]
        (grad,) = grads
        return grad * d_source, grad * d_target, grad * d_scale, grad * d_bias, None, None


def _rectangles(space: PairSpace, max_cells: int) -> list[tuple[slice, slice, slice | None]]:
    """Blocks without their N x N masks: (rows, columns, the columns of the block where some cells are no pair)."""
    result: list[tuple[slice, slice, slice | None]] = []
    num_rows = space.sides[0] if space.sides is not None else space.num_nodes
    start = 0
    while start < num_rows:
        if space.sides is not None:
            columns = slice(space.sides[0], sum(space.sides))
        else:
            columns = slice(0 if space.directed else start, space.num_nodes)
        stop = min(num_rows, start + max(1, max_cells // (columns.stop - columns.start)))
        diagonal = None if space.sides is not None else slice(start - columns.start, stop - columns.start)
        result.append((slice(start, stop), columns, diagonal))
        start = stop
    return result


def _keep(rows: slice, space: PairSpace, device: torch.device) -> Tensor:
    """Square mask of the diagonal part of a block: off the diagonal when directed, above it otherwise."""
    size = rows.stop - rows.start
    ones = torch.ones(size, size, device=device)
    return 1 - torch.eye(size, device=device) if space.directed else torch.triu(ones, diagonal=1)


class Sampled:
    """Mean cross-entropy over the train edges and `zeros_per_edge` zeros each, drawn anew and uniformly every time.

    Its cost is linear in the edges. Zeros are drawn with replacement from all pairs that are not train edges, held-out
    edges included. Edges and zeros weigh 1 each, so O_eff = 1 / zeros_per_edge whatever the graph.

    Args:
        edges: train edges, canonical.
        zeros_per_edge: at least 1.
        rng: source of the zeros.
    """

    def __init__(
        self, edges: KnownPairs, *, zeros_per_edge: int, device: torch.device, rng: np.random.Generator
    ) -> None:
        self.known = edges
        self.pairs = torch.from_numpy(edges.pairs).to(device)
        self.num_zeros = zeros_per_edge * len(edges.pairs)
        self.total_weight = float(len(edges.pairs) + self.num_zeros)
        self.effective_odds = 1.0 / zeros_per_edge
        self.rng = rng

    def __call__(self, source: Tensor, target: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        """The loss, a scalar; differentiable in all four arguments."""
        ranks = self.rng.integers(self.known.num_absent, size=self.num_zeros)
        zeros = torch.from_numpy(self.known.absent_pairs(ranks)).to(self.pairs.device)
        pairs = torch.cat([self.pairs, zeros])
        products = (F.embedding(pairs[:, 0], source) * F.embedding(pairs[:, 1], target)).sum(dim=1)
        logits = products * scale + bias
        signed = torch.cat([-logits[: len(self.pairs)], logits[len(self.pairs) :]])
        return F.softplus(signed).sum() / self.total_weight
