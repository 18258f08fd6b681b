"""The program of the origin case, dense and in float64, and the same model and objective here."""

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from contestants.arena import contest, load_all, median, peak, resident
from linkodds.config import FitConfig
from linkodds.graph.graph import Graph
from linkodds.graph.split import split_edges
from linkodds.models.families import family_of
from linkodds.models.training.training import train
from linkodds.models.training.training_loop import TrainingTask
from linkodds.pairs import PairSpace

NUM_NODES = 3163


def origin(arguments: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:  # drawing the edges takes more memory than training on them
        path = Path(folder) / "edges.npy"
        np.save(path, origin_edges())
        runs = contest(arguments, f"origin-program:{path}", f"origin-linkodds:{path}")
    return {
        name.split(":")[0].removeprefix("origin-"): {
            "epoch_seconds": median(runs[name], "epoch_seconds"),
            "bytes_above_idle": median(runs[name], "bytes_above_idle"),
            "runs": runs[name],
        }
        for name in runs
    }


def origin_edges() -> np.ndarray:
    """31,333 edges: half of those of `origin_graph`."""
    edges, _ = thread_test().origin_graph(NUM_NODES, np.random.default_rng(0))
    chosen = np.random.default_rng(1).permutation(len(edges))[:31_333]
    return edges[np.sort(chosen)]


def origin_as_graph(edges: np.ndarray) -> Graph:
    return Graph(np.array([str(i) for i in range(NUM_NODES)], dtype=object), edges, PairSpace(NUM_NODES))


def thread_test():
    """The test that reproduces the program holds its code; it is not written twice."""
    specification = importlib.util.spec_from_file_location(
        "test_thread", Path(__file__).parents[2] / "tests" / "test_thread.py"
    )
    module = importlib.util.module_from_spec(specification)
    sys.modules["test_thread"] = module
    specification.loader.exec_module(module)
    return module


def origin_program(_: Path, path: str) -> dict:
    """Its epochs, less the validation that it also makes in each of them."""
    program, edges = thread_test(), np.load(path)
    load_all()
    idle, validating = resident(), 0.0
    evaluate = program.evaluate

    def timed(*given):
        nonlocal validating
        start = time.perf_counter()
        result = evaluate(*given)
        validating += time.perf_counter() - start
        return result

    program.evaluate = timed
    epochs, seconds = (2, 6), []
    for count in epochs:  # the difference of the two leaves out what is made once
        validating, start = 0.0, time.perf_counter()
        program.train_thread_program(
            edges, NUM_NODES, given=np.eye(NUM_NODES), hidden=256, dim=128, epochs=count, seed=42
        )
        seconds.append(time.perf_counter() - start - validating)
    return {
        "epoch_seconds": (seconds[1] - seconds[0]) / (epochs[1] - epochs[0]),
        "bytes_above_idle": peak() - idle,
    }


def origin_linkodds(_: Path, path: str) -> dict:
    thread_test()
    edges = np.load(path)
    load_all()
    idle = resident()
    split = split_edges(origin_as_graph(edges), rng=np.random.default_rng(0))
    config = FitConfig(
        hidden=256,
        dim=128,
        dropout=0.0,
        beta=1.0,
        positive_weight="balanced",
        objective="all-pairs",
        epochs=20,
        validate_every=20,
    )
    model = train(
        TrainingTask(
            "vgae", split, None, family_of("vgae").options(config), np.random.SeedSequence(0), torch.device("cpu")
        )
    )
    return {
        "epoch_seconds": statistics.median(epoch.seconds for epoch in model.history),
        "bytes_above_idle": peak() - idle,
    }


def origin_page(result: dict) -> list[str]:
    theirs, ours = result["program"], result["linkodds"]
    return [
        "## The program of the origin case",
        "",
        "3,163 nodes, 31,333 edges, identity features, hidden 256, 128 dimensions: its dense program in float64, and `vgae`",
        "with the same sizes, the balanced all-pairs objective and no dropout. Memory is the peak above the process before",
        "it made anything.",
        "",
        "| | that program | linkodds | ratio |",
        "|---|---|---|---|",
        f"| seconds an epoch | {theirs['epoch_seconds']:.2f} | {ours['epoch_seconds']:.4f} "
        f"| {theirs['epoch_seconds'] / ours['epoch_seconds']:.1f} |",
        f"| peak memory, MB | {theirs['bytes_above_idle'] / 1e6:,.0f} | {ours['bytes_above_idle'] / 1e6:,.0f} "
        f"| {theirs['bytes_above_idle'] / ours['bytes_above_idle']:.1f} |",
    ]
