"""Cross-entropy of many pairs at once: the sum and its gradient in one pass, without keeping a logit of every pair.

A pair with the logit z costs softplus(-z) = log(1 + exp(-z)) as an edge and softplus(z) as a zero; both are finite for any
finite z. Their slopes are -sigmoid(-z) and sigmoid(z). All sums here are differentiable once, in `source`, `target`,
`scale` and `bias` of z = scale * <source_u, target_v> + bias; the gradient is made in the forward pass, while the logits
of a tile are in the cache.
"""

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from linkodds.models.autoencoders.propagation import SparseMatrix
from linkodds.pairs import PairSpace

Tile = tuple[int, int]
"""Rows and columns of a tile of logits; the columns are a multiple of the rows."""

CPU_TILE: Tile = (128, 2048)
"""Three such tiles of float32 are 3 MB: they stay in the cache of a core while its three matrix products run."""
GPU_TILE: Tile = (4096, 16384)


def zeros_everywhere(
    source: Tensor, target: Tensor, scale: Tensor, bias: Tensor, *, space: PairSpace, tile: Tile | None = None
) -> Tensor:
    """Sum of softplus(z) over every admissible pair: what they would cost if all were zeros.

    Costs 6 * dim operations and two exponentials a pair, and memory for the gradients and three tiles.

    Args:
        source: shape (nodes, dim).
        target: shape (nodes, dim); may be the same tensor.
        scale: a scalar.
        bias: a scalar.
        space: undirected: every pair once; directed: the diagonal is left out; bipartite: across the sides.
        tile: None takes a size that suits the device.
    Returns:
        A scalar of the inputs' dtype; summed in float64.
    Example:
        >>> z = torch.tensor([[1.0], [2.0], [0.0]])
        >>> total = zeros_everywhere(z, z, torch.tensor(1.0), torch.tensor(-1.0), space=PairSpace(3))
        >>> torch.allclose(total, F.softplus(torch.tensor([2.0, 0.0, 0.0]) - 1.0).sum())
        True
    """
    tile = tile or (CPU_TILE if source.device.type == "cpu" else GPU_TILE)
    return cast(Tensor, _ZerosEverywhere.apply(source, target, scale, bias, space, tile))  # type: ignore[no-untyped-call]


def entries_cost(
    source: Tensor,
    target: Tensor,
    scale: Tensor,
    bias: Tensor,
    *,
    entries: SparseMatrix,
    as_edges: float | Tensor = 0.0,
    as_zeros: float | Tensor = 0.0,
) -> Tensor:
    """Sum of as_edges * softplus(-z) + as_zeros * softplus(z) over the stored entries (u, v) of a sparse matrix.

    Args:
        source: shape (nodes, dim).
        target: shape (nodes, dim).
        scale: a scalar.
        bias: a scalar.
        entries: shape (nodes, nodes); its values do not matter, and an entry may be there twice.
        as_edges: weight of an entry as an edge, or shape (entries,) of each, in the order of the entries' values.
        as_zeros: weight of an entry as a zero, likewise.
    Returns:
        A scalar of the inputs' dtype; summed in float64.
    """
    return cast(Tensor, _EntriesCost.apply(source, target, scale, bias, entries, as_edges, as_zeros))  # type: ignore[no-untyped-call]


class _ZerosEverywhere(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        source: Tensor,
        target: Tensor,
        scale: Tensor,
        bias: Tensor,
        space: PairSpace,
        tile: Tile,
    ) -> Tensor:
        total, d_bias = (torch.zeros((), dtype=torch.float64, device=source.device) for _ in range(2))
        d_source, d_target = torch.zeros_like(source), torch.zeros_like(target)
        scaled = source * scale
        logits_memory, slopes_memory = (source.new_empty(tile[0] * tile[1]) for _ in range(2))
        for rows, columns in tiles(space, tile):
            shape = rows.stop - rows.start, columns.stop - columns.start
            logits, slopes = (memory[: shape[0] * shape[1]].view(shape) for memory in (logits_memory, slopes_memory))
            torch.addmm(bias, scaled[rows], target[columns].T, out=logits)
            torch.sigmoid(logits, out=slopes)
            costs = F.softplus(logits)
            if space.sides is None and columns.start <= rows.start < columns.stop:  # the tile holds the diagonal
                diagonal = slice(rows.start - columns.start, rows.stop - columns.start)
                for part in (slopes[:, diagonal], costs[:, diagonal]):
                    part.fill_diagonal_(0.0) if space.directed else part.triu_(1)
            total += costs.sum()
            d_bias += slopes.sum()
            d_source[rows].addmm_(slopes, target[columns])
            d_target[columns].addmm_(slopes.T, scaled[rows])
        d_scale = (d_source * source).sum()  # z is linear in scale * source; scale is already in d_target
        ctx.save_for_backward(d_source * scale, d_target, d_scale, d_bias.to(source.dtype))
        return total.to(source.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *(grads[0] * gradient for gradient in ctx.saved_tensors), None, None  # type: ignore[attr-defined]


class _EntriesCost(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        source: Tensor,
        target: Tensor,
        scale: Tensor,
        bias: Tensor,
        entries: SparseMatrix,
        as_edges: float | Tensor,
        as_zeros: float | Tensor,
    ) -> Tensor:
        products = entries.products(source, target)
        logits = products * scale + bias
        total = torch.zeros((), dtype=torch.float64, device=source.device)
        slopes = torch.zeros_like(logits)
        if isinstance(as_edges, Tensor):
            total += (as_edges * F.softplus(-logits)).sum()
            slopes.sub_(as_edges * torch.sigmoid(-logits))
        elif as_edges:
            total += as_edges * F.softplus(-logits).sum()
            slopes.sub_(torch.sigmoid(-logits), alpha=as_edges)
        if isinstance(as_zeros, Tensor):
            total += (as_zeros * F.softplus(logits)).sum()
            slopes.add_(as_zeros * torch.sigmoid(logits))
        elif as_zeros:
            total += as_zeros * F.softplus(logits).sum()
            slopes.add_(torch.sigmoid(logits), alpha=as_zeros)
        weighted = entries.with_values(slopes)
        d_source, d_target = weighted.product(target) * scale, weighted.product(source, is_transposed=True) * scale
        ctx.save_for_backward(d_source, d_target, (slopes * products).sum(), slopes.sum())
        return total.to(source.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *(grads[0] * gradient for gradient in ctx.saved_tensors), None, None, None  # type: ignore[attr-defined]


def tiles(space: PairSpace, tile: Tile) -> Iterator[tuple[slice, slice]]:
    """Rectangles that cover every admissible pair once; the diagonal, and what lies below it, only where they cross it.

    Where a rectangle of an undirected space holds the diagonal it starts on it.

    Example:
        >>> [(r.start, r.stop, c.start, c.stop) for r, c in tiles(PairSpace(5), (2, 4))]
        [(0, 2, 0, 4), (0, 2, 4, 5), (2, 4, 2, 5), (4, 5, 4, 5)]
    """
    height, width = tile
    last_row, last_column = space.sides[0] if space.sides else space.num_nodes, sum(space.sides or (space.num_nodes,))
    for top in range(0, last_row, height):
        rows = slice(top, min(top + height, last_row))
        first_column = space.sides[0] if space.sides else (0 if space.directed else top)
        for left in range(first_column, last_column, width):
            yield rows, slice(left, min(left + width, last_column))
