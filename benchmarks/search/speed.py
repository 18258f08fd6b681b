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
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from linkodds.pairs import KnownPairs, PairSpace
from linkodds.scoring import InnerProductScorer
from linkodds.search import PairSearch

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search"
PAGE = HERE.parents[1] / "docs" / "search-speed.md"
DIM, TOP, ROWS = 64, 10_000, 1024
SPREADS = {"varied": 0.35, "equal": 0.0}
RACE = {20_000: 2, 50_000: 1, 100_000: 1}
CONTESTANTS = ("linkodds", "blocks", "blocks-torch", "running", "faiss")
GROWTH = (10_000, 20_000, 50_000, 100_000, 200_000)


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
    PAGE.write_text(page())


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


def load(contestant: str, nodes: int, spread: str) -> list[dict]:
    paths = sorted(RESULTS.glob(f"{contestant}-{nodes}-{spread}-*.json"))
    return [json.loads(path.read_text()) for path in paths]


def seconds_of(runs: list[dict]) -> float:
    return statistics.median(run["seconds"] for run in runs)


def page() -> str:
    lines = [
        "# How fast new links are found among all pairs",
        "",
        f"The best {TOP:,} of all pairs without a recorded edge, {DIM} dimensions, one thread, by `benchmarks/search/speed.py`.",
        "Seconds of the processor (median of the turns). `computed` is the share of the pairs that was computed at all,",
        "`of GEMM` the share of the machine's rate for large float32 products that the whole search reaches, `exact` whether",
        "the logits of what was found add up to those that linkodds found (a partner beyond the 50th new one of its node is lost",
        "to faiss).",
        "",
        "| nodes | norms | way | seconds | linkodds is faster by | computed | of GEMM | peak MB | exact |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for nodes in RACE:
        for spread in SPREADS:
            ours = load("linkodds", nodes, spread)
            for contestant in CONTESTANTS:
                runs = load(contestant, nodes, spread)
                if not runs or not ours:
                    continue
                run = runs[0]
                share = f"{statistics.median(r['share_of_gemm'] for r in runs):.2f}" if contestant == "linkodds" else ""
                same = abs(run["sum_of_logits"] - ours[0]["sum_of_logits"]) < 1e-6
                lines.append(
                    f"| {nodes:,} | {spread} | {contestant} | {seconds_of(runs):.3g} "
                    f"| {seconds_of(runs) / seconds_of(ours):.2f} | {run['computed'] / run['pairs']:.2f} | {share} "
                    f"| {max(r['peak_bytes'] for r in runs) / 1e6:,.0f} | {'yes' if same else 'no'} |"
                )
    lines += [
        "",
        "`blocks`: 1,024 rows and all later columns at a time, edges struck out, `numpy.argpartition`, merged; `blocks-torch`:",
        "with `torch.topk`; `running`: only what is above the worst of the best so far is looked at; `faiss`: `IndexFlatIP`,",
        "k = 50 + degree. Equal norms are the control: nothing can be skipped there, so more than 1 is computed (the diagonal",
        "tiles are computed whole).",
        "",
        "## Growth",
        "",
        "| nodes | norms | seconds | ns a pair of the graph | computed | of GEMM | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    slopes: dict[str, float] = {}
    for spread in SPREADS:
        rows = [(nodes, load("linkodds", nodes, spread)) for nodes in GROWTH]
        rows = [(nodes, runs) for nodes, runs in rows if runs]
        for nodes, runs in rows:
            run = runs[0]
            lines.append(
                f"| {nodes:,} | {spread} | {seconds_of(runs):.3g} | {1e9 * seconds_of(runs) / run['pairs']:.2f} "
                f"| {run['computed'] / run['pairs']:.3f} | {run['share_of_gemm']:.2f} | {run['peak_bytes'] / 1e6:,.0f} |"
            )
        if len(rows) > 1:
            at, took = np.log([nodes for nodes, _ in rows]), np.log([seconds_of(runs) for _, runs in rows])
            slopes[spread] = float(np.polyfit(at, took, 1)[0])
    lines += [
        "",
        "Slope of log seconds against log nodes: " + ", ".join(f"{k} norms {v:.2f}" for k, v in slopes.items()) + ".",
    ]
    lines += ["", "## Bars", "", "| bar | asked for | measured |", "|---|---|---|", *bars(slopes)]
    lines += [
        "",
        "## Trained embeddings",
        "",
        "`benchmarks/search/real.py`: a gae of 32 dimensions and 40 epochs, the best 10,000 links; `all pairs` scores each pair",
        "in blocks, as `evaluate` does. The answers are the same.",
        "",
        "| graph | nodes | surface over degrees | seconds | all pairs | faster by | computed |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted((RESULTS / "real").glob("*.json")):
        each = json.loads(path.read_text())
        lines.append(
            f"| {each['graph']} | {each['nodes']:,} | {'yes' if each['surface'] else 'no'} | {each['seconds']:.3g} "
            f"| {each['seconds_of_all_pairs']:.3g} | {each['seconds_of_all_pairs'] / each['seconds']:.1f} "
            f"| {each['computed'] / each['pairs']:.2f} |"
        )
    lines += candidates_table() + promise_table()
    exact = RESULTS / "exact.json"
    if exact.exists():
        found = json.loads(exact.read_text())
        lines += [
            "",
            "## Exactness",
            "",
            f"`benchmarks/search/exact.py`: {found['graphs']} random graphs (undirected, directed, bipartite; up to 60 nodes),",
            "embeddings with ties, near ties and norms over several orders of magnitude, signs, scales, degree terms, surfaces",
            "over degrees, baselines; top K, thresholds, ends, hops, partners of each node, tiles of 4 to 100,000 cells, one and two",
            "threads.",
            "",
            "| what | questions | answers as by brute force |",
            "|---|---|---|",
            *(f"| {each['what']} | {each['questions']:,} | {each['identical']:,} |" for each in found["rows"]),
            "",
            "The controls have to differ somewhere, and the script fails where they do not.",
        ]
    return "\n".join(lines) + "\n"


def candidates_table() -> list[str]:
    rows = [json.loads(path.read_text()) for path in sorted((RESULTS / "candidates").glob("*.json"))]
    if not rows:
        return []
    return [
        "",
        "## Scorers that are no inner product",
        "",
        "`benchmarks/search/candidates.py`: the best 1,000 links, exhaustively and among candidates (the best pairs by",
        "weighted walks of two and three steps, with and without regard to degrees, and by inner products of node vectors).",
        "Of a stack a pilot (an eighth of the rows) gets all trees, the others as long as the first 50 do not rule them out",
        "(both numbers were set before anything was measured).",
        "`of the time` is all of that, and exact logits; measuring what is lacking on whole rows comes on top. 20,000",
        "candidates by each quantity were chosen on seal_router, lglp_yst and citeseer; that larger graphs get 0.15 % of their pairs was decided when",
        "lastfm_asia had been seen with 20,000 (recall 0.974). Wanted are a recall of 0.98, reached on "
        f"{sum(row['recall'] >= 0.98 for row in rows)} of {len(rows)}, and a tenth of the time, reached on "
        f"{sum(row['seconds'] <= 0.1 * row['seconds_of_all_pairs'] for row in rows)}.",
        "",
        "| graph | model | pairs | candidates | recall | the list states | seconds, all pairs | seconds | of the time | seconds to measure |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['graph']} | {row.get('model', 'stack, not screened yet')} | {row['pairs']:,} | {row['candidates']:,} | {row['recall']:.3f} | {row['stated']['value']:.3f} "
            f"({row['stated']['low']:.3f} to {row['stated']['high']:.3f}) | {row['seconds_of_all_pairs']:.1f} "
            f"| {row['seconds']:.2f} | {row['seconds'] / row['seconds_of_all_pairs']:.2f} | {row['seconds_of_recall']:.2f} |"
            for row in rows
        ),
    ]


def promise_table() -> list[str]:
    rows = [json.loads(path.read_text()) for path in sorted((RESULTS / "promise").glob("*.json"))]
    if not rows:
        return []
    observed, expected = (sum(row[name] for row in rows) for name in ("observed", "expected"))
    inside = sum(0.5 <= row["observed"] / row["expected"] <= 2 for row in rows)
    held = sum(row["low"] <= row["observed"] <= row["high"] for row in rows)
    return [
        "",
        "## What a list promises",
        "",
        "`benchmarks/search/promise.py`: a tenth of the edges was hidden before a stack was fitted, `--expected-missing` was told",
        "their number, and the best 1,000 pairs were listed. Stated: the sum of the probabilities, and the interval for the number of",
        f"true links. Pooled over {len(rows)} graphs {observed:,} / {expected:,.0f} = {observed / expected:.2f} (wanted 0.8 to 1.25); within 0.5 to 2 on",
        f"{inside}; the interval holds on {held}.",
        "",
        "| graph | hidden | found in the list | stated | interval | found / stated |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['graph']} | {row['num_hidden']:,} | {row['observed']:,} | {row['expected']:.1f} | {row['low']:,.0f} to "
            f"{row['high']:,.0f} | {row['observed'] / row['expected']:.2f} |"
            for row in rows
        ),
    ]


def bars(slopes: dict[str, float]) -> list[str]:
    """One row a bar; the worst over the sizes."""

    def least(contestants: tuple[str, ...], spread: str) -> str:
        ratios = [
            min(seconds_of(load(each, nodes, spread)) for each in contestants if load(each, nodes, spread))
            / seconds_of(load("linkodds", nodes, spread))
            for nodes in RACE
            if any(load(each, nodes, spread) for each in contestants)
        ]
        return f"{min(ratios):.2f} times"

    plain = ("blocks", "blocks-torch")
    most = max(run["peak_bytes"] for spread in SPREADS for run in load("linkodds", 100_000, spread))
    return [
        f"| faster than plain blocks with top-k, varied norms | 2 times | {least(plain, 'varied')} |",
        f"| faster than faiss, varied norms | 1 time | {least(('faiss',), 'varied')} |",
        f"| control, equal norms ({min(RACE):,} nodes): against plain blocks | none | {least(plain, 'equal')} |",
        f"| the same, against blocks with a running threshold | none | {least(('running',), 'equal')} |",
        f"| the same, against faiss | none | {least(('faiss',), 'equal')} |",
        f"| peak memory at 100,000 nodes | 1 GB | {most / 1e9:.2f} GB |",
        f"| slope of log seconds against log nodes | 2.0 | {max(slopes.values()):.2f} |",
    ]


if __name__ == "__main__":
    main()
