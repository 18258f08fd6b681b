"""Contestants take turns, each in a fresh process of the script that was started."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
