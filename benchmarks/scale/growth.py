"""How preparation and propagation grow with the edges: counted bytes and operations, processor time, and memory under a cap.

Random edges, ten for each node, in a Parquet file of integers; one message graph, 64 columns, two hops, one thread. Each size
runs in a process of its own whose private memory the kernel limits (RLIMIT_DATA) to the cap and 15 %, so more than that
would end it; polars' allocator is told not to keep addresses of memory that it has given back (`retain:false`), which the
limit would count too. Counters are held against `linkodds.sharded.volumes`. One JSON a size in
benchmarks/results/scale/growth/; what is there is skipped. `--scaled` gives the larger sizes a cap that grows with the
edges, so that blocks are as many and it can be told what comes of the edges and what of a tighter cap. `--fit` makes whole
fits, for what the rest of a fit holds.

    python benchmarks/scale/growth.py [--edges N ...] [--folder FOLDER] [--scaled | --fit]
"""

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "scale" / "growth"
EDGES = (100_000, 1_000_000, 4_000_000, 10_000_000)
MEMORY = {100_000: "700MB", 1_000_000: "700MB", 4_000_000: "1GB", 10_000_000: "1GB", 100_000_000: "4GB"}
SCALED = {4_000_000: "1540MB", 10_000_000: "3220MB", 100_000_000: "6220MB"}  # 1e8: ten times what 1 GB leaves for 1e7
WIDTH, HOPS = 64, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, nargs="*", default=EDGES)
    parser.add_argument("--folder", type=Path, help="where shards lie; kept and gone on with, if it is given")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--scaled", action="store_true")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        edges = arguments.edges[0]
        one(
            arguments.one, edges, SCALED.get(edges, MEMORY[edges]) if arguments.scaled else MEMORY[edges], arguments.fit
        )
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for edges in arguments.edges:
        path = RESULTS / f"{'fit-' * arguments.fit}{'scaled-' * arguments.scaled}{edges}.json"
        if path.exists():
            continue
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            folder = Path(scratch) if arguments.folder is None else arguments.folder / str(edges)
            folder.mkdir(exist_ok=True)
            draw(folder / "edges.parquet", edges)
            command = [sys.executable, __file__, "--one", str(folder), "--edges", str(edges)]
            given = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            given["_RJEM_MALLOC_CONF"] = "retain:false"
            done = subprocess.run(
                command + ["--fit"] * arguments.fit + ["--scaled"] * arguments.scaled,
                check=False,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | given,
            )
            if done.returncode:
                raise SystemExit(f"{edges:,} edges: exit code {done.returncode}")
            path.write_text(done.stdout.splitlines()[-1] + "\n")
            shutil.rmtree(folder, ignore_errors=True)
        print(path.read_text(), flush=True)
    report()


def draw(path: Path, edges: int) -> None:
    if path.exists():
        return
    rng, nodes = np.random.default_rng(0), edges // 10
    ends = {name: rng.integers(0, nodes, size=edges, dtype=np.int32) for name in ("source", "target")}
    new = path.with_suffix(".new")
    pl.DataFrame(ends).write_parquet(new)
    new.rename(path)


def one(folder: Path, edges: int, cap: str, with_fit: bool) -> None:
    """Measure one size; print one line of JSON."""
    from linkodds.sharded.engine import LocalEngine
    from linkodds.sharded.prepare import Preparation, prepare
    from linkodds.sharded.rows import FULL
    from linkodds.sharded.sizes import Blocks, parse_memory
    from linkodds.sharded.volumes import volumes_of

    memory = parse_memory(cap)
    base = resident("VmRSS")
    start, wall = time.process_time(), time.perf_counter()
    begun: list[tuple[str, float]] = []

    def say(line: str) -> None:
        print(
            f"{time.perf_counter() - wall:.1f} s, {resident('VmHWM') / 1e6:.0f} MB: {line}", file=sys.stderr, flush=True
        )
        begun.append((line.partition(":")[0], time.process_time()))

    if with_fit:
        print(json.dumps(whole_fit(folder, edges, cap, say)))
        return
    limit = int(1.15 * memory)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    blocks = Blocks(memory)
    what = Preparation(folder / "edges.parquet", bipartite=False, width=WIDTH, hops=HOPS, folds=1)
    store, prepared = prepare(what, folder / "store", LocalEngine(1), blocks, say, graphs=(FULL,))
    seconds = time.process_time() - start
    ends = [at for _, at in begun[1:]] + [time.process_time()]
    by_stage: dict[str, float] = {}
    for (stage, at), end in zip(begun, ends, strict=True):
        by_stage[stage] = by_stage.get(stage, 0.0) + end - at
    totals = store.totals()
    formulas = volumes_of(store, prepared, totals["ids"]["read"], blocks.segment).stages()
    ratios = {
        f"{stage} {name}": totals[stage][name] / value
        for stage in totals
        for name, value in zip(("read", "written", "operations"), formulas[stage], strict=True)
        if value
    }
    row = {
        "edges": edges,
        "distinct": prepared.num_edges,
        "nodes": prepared.nodes,
        "memory": memory,
        "limit": limit,
        "base": base,
        "peak": resident("VmHWM"),
        "cpu_seconds": round(seconds, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "propagating": round(sum(value for stage, value in by_stage.items() if "-hop" in stage), 2),
        "read": sum(total["read"] for total in totals.values()),
        "written": sum(total["written"] for total in totals.values()),
        "operations": sum(total["operations"] for total in totals.values()),
        "furthest_from_formula": max(ratios.items(), key=lambda pair: abs(math.log(pair[1]))),
        "stages": totals,
        "seconds": {stage: round(value, 2) for stage, value in by_stage.items()},
    }
    print(json.dumps(row))


def whole_fit(folder: Path, edges: int, memory: str, say) -> dict:
    """A whole fit of two epochs: what fitting and scoring hold beside the cap of the preparation."""
    from linkodds.config import FitConfig
    from linkodds.reading.reading_options import ReadingOptions
    from linkodds.sharded.running import fit_sharded

    start, peaks = time.process_time(), {}

    def say_peak(line: str) -> None:
        say(line)
        peaks[line[:40]] = resident("VmHWM")

    config = FitConfig(model="linear-gae", dim=32, epochs=2, batch_edges=65_536, threads=1)
    fit_sharded(
        folder / "edges.parquet",
        folder / "run",
        config,
        reading=ReadingOptions(bipartite=False),
        memory=memory,
        progress=say_peak,
    )
    lines = [line for line in peaks if line.startswith(("training:", "score:"))]
    return {
        "edges": edges,
        "memory": memory,
        "cpu_seconds": round(time.process_time() - start, 1),
        "peak_before_training": next(value for line, value in peaks.items() if line.startswith("training ")),
        "peak": resident("VmHWM"),
        "said": lines,
    }


def resident(what: str) -> int:
    """Bytes of a line of /proc/self/status."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(what))
    return int(line.split()[1]) * 1024


def report() -> None:
    """Sizes and slopes, for docs/scale.md."""
    print("| edges | `--memory` | peak resident | seconds of processor, in hops | bytes read | written | operations |")
    print("|---|---|---|---|---|---|---|")
    found = []
    for pattern in ("[0-9]*.json", "scaled-*.json"):
        rows = [json.loads(path.read_text()) for path in RESULTS.glob(pattern)]
        found.append(sorted(rows, key=lambda row: row["edges"]))
        for row in found[-1]:
            sizes = f"{row['read'] / 1e9:.3g} GB | {row['written'] / 1e9:.3g} GB | {row['operations'] / 1e9:.3g}e9"
            spent = f"{row['cpu_seconds']:.1f}, {row['propagating']:.1f}"
            print(
                f"| {row['edges']:,} | {row['memory'] / 1e6:,.0f} MB | {row['peak'] / 1e6:,.0f} MB | {spent} | {sizes} |"
            )
    furthest = max(
        (row["furthest_from_formula"] for rows in found for row in rows), key=lambda pair: abs(math.log(pair[1]))
    )
    print("furthest from its formula:", furthest)
    of_scaled = [row for row in found[0] if row["edges"] == 1_000_000] + found[1]
    for rows in (found[0], of_scaled):
        for one_row, other in pairwise(rows):
            by = math.log(other["edges"] / one_row["edges"])
            names = ("read", "written", "operations", "cpu_seconds", "propagating")
            slopes = {name: round(math.log(other[name] / one_row[name]) / by, 3) for name in names}
            print(f"{one_row['edges']:,} to {other['edges']:,} at {other['memory'] / 1e6:,.0f} MB: slopes {slopes}")


if __name__ == "__main__":
    main()
