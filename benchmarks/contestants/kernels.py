"""The sparse product by embedding_bag, by torch's CSR product, and in slices of columns."""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from contestants.arena import alone, quickest


def kernels(arguments: argparse.Namespace) -> dict:
    return alone(arguments, "kernels")


def kernel_times(_: Path) -> dict:
    rng, rows = np.random.default_rng(0), []
    for num_nodes in (20_000, 50_000, 100_000, 200_000):
        for dim in (64, 128):
            for dtype in (torch.float32, torch.float64):
                rows.append(sparse_product_times(num_nodes, dim, dtype, rng))
    return {"products": rows}


def sparse_product_times(num_nodes: int, dim: int, dtype: torch.dtype, rng: np.random.Generator) -> dict:
    entries = 10 * num_nodes
    columns = torch.from_numpy(rng.integers(num_nodes, size=entries).astype(np.int32))
    starts = np.searchsorted(np.sort(rng.integers(num_nodes, size=entries)), np.arange(num_nodes + 1))
    starts = torch.from_numpy(starts.astype(np.int32))
    values, dense = torch.rand(entries, dtype=dtype), torch.randn(num_nodes, dim, dtype=dtype)

    def bags(part):
        return F.embedding_bag(columns, part, starts, mode="sum", per_sample_weights=values, include_last_offset=True)

    def sliced(width):
        out = torch.empty(num_nodes, dim, dtype=dtype)
        for left in range(0, dim, width):
            out[:, left : left + width] = bags(dense[:, left : left + width].contiguous())
        return out

    warnings.simplefilter("ignore")
    csr = torch.sparse_csr_tensor(starts, columns, values, size=(num_nodes, num_nodes), check_invariants=False)
    ways = {"embedding_bag": lambda: bags(dense), "sparse_csr": lambda: csr @ dense}
    ways |= {f"slices of {width}": (lambda width=width: sliced(width)) for width in (16, 32, 64) if width < dim}
    nanoseconds = {name: quickest(way, 5) / entries * 1e9 for name, way in ways.items()}
    return {"nodes": num_nodes, "entries": entries, "dim": dim, "dtype": str(dtype).split(".")[1], **nanoseconds}


def kernels_page(result: dict) -> list[str]:
    names = ["embedding_bag", "sparse_csr", "slices of 16", "slices of 32", "slices of 64"]
    lines = [
        "## The sparse product",
        "",
        "Nanoseconds for each stored entry of a matrix with ten entries a row, best of five: `embedding_bag` over the whole",
        "width, torch's CSR product, and `embedding_bag` over slices of so many columns. In float32 the first is the quickest",
        "at every size here, in float64 the second: that is the choice, and there are no slices.",
        "",
        "| nodes | columns | type | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for row in result["products"]:
        cells = [f"{row[name]:.1f}" if name in row else "" for name in names]
        lines.append(f"| {row['nodes']:,} | {row['dim']} | {row['dtype']} | " + " | ".join(cells) + " |")
    return lines
