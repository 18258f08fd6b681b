"""Contestants take turns, each in a fresh process of the script that was started."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score

TURNS = 3


def contest(arguments: argparse.Namespace, *contestants: str, turns: int = TURNS) -> dict[str, list[dict]]:
    """Run the contestants in turns, each in a fresh process."""
    found: dict[str, list[dict]] = {each: [] for each in contestants}
    for _ in range(turns):
        for each in contestants:
            found[each].append(alone(arguments, each))
    return found


def alone(arguments: argparse.Namespace, contestant: str) -> dict:
    command = [sys.executable, sys.argv[0], "--contestant", contestant]
    command += ["--data", str(arguments.data), "--threads", str(arguments.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    result = json.loads(done.stdout.splitlines()[-1])
    print(" ", contestant, {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}, flush=True)
    return result


def peak() -> int:
    """Bytes of memory that this process has held at most; getrusage would count the process that started it too."""
    return _status("VmHWM")


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return _status("VmRSS")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def median(runs: list[dict], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def quickest(way, times: int) -> float:
    way()
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        way()
        best = min(best, time.perf_counter() - start)
    return best


def load_all() -> None:
    """What torch and scikit-learn load when they are first used, so that it counts for none of the contestants."""
    weight = torch.ones(2, 2, requires_grad=True)
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    roc_auc_score([0, 1], [0.0, 1.0])
