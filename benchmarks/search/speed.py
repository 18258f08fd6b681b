"""How long the best 10,000 new links among all pairs take: linkodds, plain blocks with top-k, and faiss, one thread each.

Embeddings of 64 dimensions in random directions: with norms that vary as e^(0.35 normal), so that tiles can be skipped,
and, as the control, all of norm 1, so that none can. Five random edges a node are left out. Contestants take turns, each
in a process of its own; seconds are those of the processor, since the machine may be shared, and what is compared was
measured in one run of this script. Writes benchmarks/results/search/*.json, skipping what is there, and docs/search-speed.md.

    python benchmarks/search/speed.py
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from page import CONTESTANTS, DIM, GROWTH, RACE, RESULTS, SPREADS, TOP, write_page

from linkodds.pairs import KnownPairs, PairSpace
from linkodds.scorers.scoring import InnerProductScorer
from linkodds.search.pair_search import PairSearch

ROWS = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=3, metavar=("CONTESTANT", "NODES", "SPREAD"), help=argparse.SUPPRESS)
    parser.add_argument("--page", action="store_true", help="write the page from what has been measured")
    arguments = parser.parse_args()
    if arguments.one:
        contestant, nodes, spread = arguments.one
        print(json.dumps(measure(contestant, int(nodes), spread)))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not arguments.page:
        for nodes, turns in RACE.items():
            for turn in range(turns):
                for contestant in CONTESTANTS:
                    if contestant != "blocks-torch" or nodes == min(RACE):  # slower than blocks already there
                        alone(contestant, nodes, "varied", turn)
        for nodes in GROWTH:
            for spread in SPREADS:
                alone("linkodds", nodes, spread, 0)
        for contestant in CONTESTANTS:
            alone(contestant, min(RACE), "equal", 0)
    write_page()


def alone(contestant: str, nodes: int, spread: str, turn: int) -> None:
    path = RESULTS / f"{contestant}-{nodes}-{spread}-{turn}.json"
    if path.exists():
        return
    command = [sys.executable, __file__, "--one", contestant, str(nodes), spread]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    result = json.loads(done.stdout.splitlines()[-1])
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path.stem, result, flush=True)


def measure(contestant: str, nodes: int, spread: str) -> dict:
    scorer, known = graph(nodes, SPREADS[spread])
    search = {
        "linkodds": by_tiles,
        "blocks": by_blocks,
        "blocks-torch": by_torch,
        "running": by_floor,
        "faiss": by_faiss,
    }
    search[contestant](*graph(2000, SPREADS[spread]))  # libraries start
    before, start, wall = peak(), time.process_time(), time.perf_counter()
    pairs, computed = search[contestant](scorer, known)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    result = {
        "contestant": contestant,
        "nodes": nodes,
        "spread": spread,
        "seconds": seconds,
        "wall_seconds": wall,
        "pairs": nodes * (nodes - 1) // 2,
        "computed": computed,
        "found": len(pairs),
        "sum_of_logits": float(scorer.logits(pairs).sum()),
        "peak_bytes": peak(),
        "peak_bytes_before": before,
    }
    if contestant == "linkodds":
        rate = gemm_rate()
        result |= {"gemm_flops_per_second": rate, "share_of_gemm": 2 * DIM * computed / seconds / rate}
    return result


def graph(nodes: int, sigma: float) -> tuple[InnerProductScorer, KnownPairs]:
    rng = np.random.default_rng(nodes)
    z = rng.normal(size=(nodes, DIM)).astype(np.float32)
    z *= (rng.lognormal(0.0, sigma, (nodes, 1)) / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    space = PairSpace(nodes)
    edges = rng.integers(0, nodes, (5 * nodes, 2))
    edges = np.unique(space.canonical(edges[edges[:, 0] != edges[:, 1]]), axis=0)
    return InnerProductScorer(z, z, 3.0, -6.0), KnownPairs(space, edges)


def by_tiles(scorer: InnerProductScorer, known: KnownPairs) -> tuple[np.ndarray, int]:
    search = PairSearch(scorer, known, top=TOP)
    for _ in search.steps():
        pass
    return search.found().pairs, search.num_computed


def masked_blocks(scorer: InnerProductScorer, known: KnownPairs):
    """float32 products of ROWS rows and all later columns; recorded edges and the lower triangle are -inf."""
    z, n = scorer.source, known.space.num_nodes
    edges = known.pairs[np.argsort(known.pairs[:, 0], kind="stable")]
    out = np.empty(ROWS * n, dtype=np.float32)
    lower = np.tril_indices(ROWS)
    for start in range(0, n, ROWS):
        stop = min(n, start + ROWS)
        block = out[: (stop - start) * (n - start)].reshape(stop - start, n - start)
        np.matmul(z[start:stop], z[start:].T, out=block)
        below = lower if stop - start == ROWS else np.tril_indices(stop - start)
        block[below] = -np.inf
        first, last = np.searchsorted(edges[:, 0], [start, stop])
        block[edges[first:last, 0] - start, edges[first:last, 1] - start] = -np.inf
        yield start, block


def best_of(products: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(products) <= TOP:
        return products, keys
    best = np.argpartition(products, -TOP)[-TOP:]
    return products[best], keys[best]


def by_blocks(scorer: InnerProductScorer, known: KnownPairs) -> tuple[np.ndarray, int]:
    """The TOP best of each block by a partition, merged."""
    best, keys, computed, n = np.empty(0, np.float32), np.empty(0, np.int64), 0, known.space.num_nodes
    for start, block in masked_blocks(scorer, known):
        computed += block.size
        flat = block.ravel()
        at = np.argpartition(flat, -TOP)[-TOP:] if flat.size > TOP else np.arange(flat.size)
        row, column = np.divmod(at, block.shape[1])
        best, keys = best_of(
            np.concatenate([best, flat[at]]), np.concatenate([keys, (row + start) * n + column + start])
        )
    return np.column_stack(np.divmod(keys, n)), computed


def by_torch(scorer: InnerProductScorer, known: KnownPairs) -> tuple[np.ndarray, int]:
    """The same with torch.topk."""
    import torch

    best, keys, computed, n = np.empty(0, np.float32), np.empty(0, np.int64), 0, known.space.num_nodes
    for start, block in masked_blocks(scorer, known):
        computed += block.size
        values, at = torch.topk(torch.from_numpy(block.reshape(-1)), min(TOP, block.size), sorted=False)
        row, column = np.divmod(at.numpy(), block.shape[1])
        best, keys = best_of(
            np.concatenate([best, values.numpy()]), np.concatenate([keys, (row + start) * n + column + start])
        )
    return np.column_stack(np.divmod(keys, n)), computed


def by_floor(scorer: InnerProductScorer, known: KnownPairs) -> tuple[np.ndarray, int]:
    """Blocks again, but only what is above the worst of the best so far is looked at."""
    best, keys, computed, n = np.empty(0, np.float32), np.empty(0, np.int64), 0, known.space.num_nodes
    for start, block in masked_blocks(scorer, known):
        computed += block.size
        flat = block.ravel()
        if len(best) < TOP:
            at = np.argpartition(flat, -TOP)[-TOP:] if flat.size > TOP else np.arange(flat.size)
        else:
            at = np.flatnonzero(flat > best.min())
        row, column = np.divmod(at, block.shape[1])
        best, keys = best_of(
            np.concatenate([best, flat[at]]), np.concatenate([keys, (row + start) * n + column + start])
        )
    return np.column_stack(np.divmod(keys, n)), computed


def by_faiss(scorer: InnerProductScorer, known: KnownPairs) -> tuple[np.ndarray, int]:
    """IndexFlatIP: the 50 + degree best of each node, edges left out afterwards, merged. Nodes of like degree go together."""
    import faiss

    faiss.omp_set_num_threads(1)
    z, n = scorer.source, known.space.num_nodes
    degree = np.bincount(known.pairs.ravel(), minlength=n)
    edges = np.sort(known.space.keys(known.pairs))
    index = faiss.IndexFlatIP(DIM)
    index.add(z)
    best, keys = np.empty(0, np.float32), np.empty(0, np.int64)
    order = np.argsort(degree, kind="stable")
    for start in range(0, n, ROWS):
        nodes = order[start : start + ROWS]
        products, partners = index.search(z[nodes], min(n, 50 + int(degree[nodes].max()) + 1))  # itself is one of them
        u, v, p = np.repeat(nodes, products.shape[1]), partners.ravel(), products.ravel()
        upper = u < v  # the other half comes with the other end; nothing is lost, for both are asked
        if len(best) == TOP:
            upper &= p > best.min()
        key = u[upper] * n + v[upper]
        new = edges[np.minimum(np.searchsorted(edges, key), len(edges) - 1)] != key
        best, keys = best_of(np.concatenate([best, p[upper][new]]), np.concatenate([keys, key[new]]))
    return np.column_stack(np.divmod(keys, n)), n * n


def gemm_rate() -> float:
    """float32 operations a second in a product of two 2048 x 2048 matrices, of the processor's time."""
    a, b = (np.random.default_rng(i).normal(size=(2048, 2048)).astype(np.float32) for i in range(2))
    best = np.inf
    for _ in range(4):
        start = time.process_time()
        np.matmul(a, b)
        best = min(best, time.process_time() - start)
    return 2 * 2048**3 / best


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
