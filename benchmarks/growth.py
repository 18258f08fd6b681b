"""How training with the `sampled` objective grows with the edges: counted work, time and memory from 1e5 to 1e7 edges.

Graphs are drawn by `make_synthetic.py` of the data folder, ten edges for each node; a default gae (hidden 128, 64
dimensions, 5 zeros for each edge) trains for a few epochs, each size in a process of its own. Writes
benchmarks/results/growth/*.json, skipping what is there, and docs/growth.md.

    python benchmarks/growth.py [--data FOLDER] [--threads N]
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from contestants.arena import peak, resident
from linkodds.config import FitConfig
from linkodds.graph.graph import Graph
from linkodds.graph.split import split_edges
from linkodds.models.families import family_of
from linkodds.models.training.cost_model import Sizes, epoch_work, peak_bytes
from linkodds.models.training.training import train
from linkodds.models.training.training_loop import TrainingTask
from linkodds.pairs import PairSpace

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "growth"
EDGES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
EPOCHS = {100_000: 20, 300_000: 10, 1_000_000: 6, 3_000_000: 4, 10_000_000: 3}
CACHE_BYTES = 32 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        torch.set_num_threads(arguments.threads)
        print(json.dumps(measure(arguments.train)))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for edges in EDGES:
        path = RESULTS / f"{edges}.json"
        if path.exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder) / "edges.npy"
            np.save(drawn, draw(arguments.data, edges))
            command = [sys.executable, __file__, "--train", str(drawn), "--threads", str(arguments.threads)]
            environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        result = json.loads(done.stdout.splitlines()[-1]) | {"threads": arguments.threads}
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(edges, result, flush=True)
    rows = [json.loads((RESULTS / f"{edges}.json").read_text()) for edges in EDGES]
    (HERE.parent / "docs" / "growth.md").write_text(page(rows))


def draw(data: Path, edges: int) -> np.ndarray:
    specification = importlib.util.spec_from_file_location("make_synthetic", data / "make_synthetic.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    drawn, _ = module.dcsbm(edges // 10, edges, max(edges // 10_000, 20), 0.25, 2.5, 0)
    return drawn


def measure(path: Path) -> dict:
    edges = np.load(path).astype(np.int64)
    num_nodes = len(edges) // 10
    ids = np.arange(num_nodes).astype(str).astype(object)
    graph = Graph(ids, edges, PairSpace(num_nodes))
    start = time.perf_counter()
    split = split_edges(graph, rng=np.random.default_rng(0))
    splitting = time.perf_counter() - start
    epochs = EPOCHS[len(edges)]
    config = family_of("gae").options(FitConfig(objective="sampled", epochs=epochs, validate_every=epochs))
    sizes = Sizes.of(split, None, config, objective="sampled", validation_non_edges=500_000)
    work = epoch_work(replace(sizes, validate_every=10**9))
    before = resident()
    model = train(TrainingTask("gae", split, None, config, np.random.SeedSequence(0), torch.device("cpu")))
    seconds = [epoch.seconds for epoch in model.history]
    return {
        "edges": len(edges),
        "nodes": num_nodes,
        "bytes": work.bytes,
        "flops": work.flops,
        "exponentials": work.exponentials,
        "draws": work.draws,
        "epoch_seconds": statistics.median(seconds[1:]),
        "epochs_measured": seconds,
        "splitting_seconds": splitting,
        "peak_bytes": peak(),
        "peak_bytes_before_training": before,
        "expected_bytes": sum(peak_bytes(sizes).values()),
        "embedding_bytes": 4 * num_nodes * config.dim,
        "hidden_bytes": 4 * num_nodes * config.hidden,
        "validation_average_precision": model.history[-1].validation.average_precision,
    }


def slope(rows: list[dict], key: str) -> float:
    return float(np.polyfit(np.log([row["edges"] for row in rows]), np.log([row[key] for row in rows]), 1)[0])


def page(rows: list[dict]) -> str:
    counted = {key: slope(rows, key) for key in ("bytes", "flops", "exponentials", "draws")}
    # The widest arrays (nodes x hidden) leave the cache first, the embeddings last; between the two is the edge itself.
    inside = [row for row in rows if row["hidden_bytes"] <= CACHE_BYTES]
    outside = [row for row in rows if row["embedding_bytes"] > CACHE_BYTES]
    lines = [
        "# How training grows with the edges",
        "",
        "`gae`, objective `sampled`, default sizes, ten edges for each node, made by `benchmarks/growth.py`, torch",
        f"threads: {rows[0]['threads']}. Work is counted from the sizes (`linkodds.models.training.cost_model`); time is the median of the epochs",
        "after the first; memory is the peak of the whole process, graph and split included.",
        "",
        "| edges | nodes | GB moved | GFLOP | exp, millions | seconds an epoch | microseconds an edge | peak GB | as announced, GB | embeddings, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        announced = row["expected_bytes"] + row["peak_bytes_before_training"]
        lines.append(
            f"| {row['edges']:,} | {row['nodes']:,} | {row['bytes'] / 1e9:.3g} | {row['flops'] / 1e9:.3g} "
            f"| {row['exponentials'] / 1e6:.3g} | {row['epoch_seconds']:.3g} | {1e6 * row['epoch_seconds'] / row['edges']:.2f} "
            f"| {row['peak_bytes'] / 1e9:.2f} | {announced / 1e9:.2f} | {row['embedding_bytes'] / 1e6:,.1f} |"
        )
    lines += [
        "",
        "Slopes of log work against log edges: "
        + ", ".join(f"{key} {value:.3f}" for key, value in counted.items())
        + ".",
        "Of time: "
        + "; ".join(
            f"{slope(part, 'epoch_seconds'):.2f} from {part[0]['edges']:,} to {part[-1]['edges']:,} edges ({where})"
            for part, where in ((inside, "all arrays in the 32 MB cache"), (outside, "none of them in it"))
            if len(part) > 1
        )
        + ".",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
