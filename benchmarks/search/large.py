"""Large graphs end to end with the defaults: `fit` and `find --top 1000` as a user calls them, in bounded memory.

Each command is a process of its own with --threads threads and an address space of 8 GB at most. Written are its seconds by
the clock and of the processor (the fair measure where other work shares the machine), its largest resident memory, the
machine's load before and after, and the lines it printed, each with the second at which it came. Wanted are 15 minutes for
both commands together.

One JSON a graph in benchmarks/results/search/large/; what is there is skipped, and a finished fit in --runs is not made
anew while its measurement lies beside it.

    python benchmarks/search/large.py [--data FOLDER] [--runs FOLDER] [--only GRAPH] [--threads N]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search" / "large"
GRAPHS = ("debian_deps_large", "wordnet30_large")
TOP, MOST_BYTES = 1000, 8_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument(
        "--runs", type=Path, default=HERE.parents[1] / "build" / "large", help="where runs and lists are kept"
    )
    parser.add_argument("--only", choices=GRAPHS)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for name in GRAPHS if arguments.only is None else (arguments.only,):
        path = RESULTS / f"{name}.json"
        if not path.exists():
            row = measure(arguments.data / name, arguments.runs, name, arguments.threads)
            path.write_text(json.dumps(row, indent=1) + "\n")


def measure(data: Path, runs: Path, name: str, threads: int) -> dict:
    run, fit_measured = runs / name, runs / f"{name}.fit.json"
    if not (run.is_dir() and fit_measured.exists()):
        given = [str(data / "edges.csv.gz"), "--features", str(data / "features.npz")]
        fit = timed(["fit", *given, "--out", str(run), "--threads", str(threads), "--force"], threads)
        fit_measured.write_text(json.dumps(fit) + "\n")
    fit = json.loads(fit_measured.read_text())
    find = timed(["find", str(run), "--top", str(TOP), "--out", str(runs / f"{name}.csv")], threads)
    for command in (fit, find):
        command["said"] = [line.replace(f"{runs}{os.sep}", "") for line in command["said"]]
    meta = json.loads((data / "meta.json").read_text())
    return {"graph": name, "threads": threads, "nodes": meta["nodes"], "edges": meta["edges"], "fit": fit, "find": find}


def timed(words: list[str], threads: int) -> dict:
    """Run a command of linkodds, and say what it took.

    Raises:
        SystemExit: it failed.
    """
    load, start = os.getloadavg(), time.monotonic()
    command = [sys.executable, "-m", "linkodds", *words]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
    limited = {name: str(threads) for name in names} | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | limited,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES)),
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(f"{time.monotonic() - start:.1f} s: {line.rstrip()}")
        print(said[-1], flush=True)
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{words[0]} failed")
    return {
        "seconds": time.monotonic() - start,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": 1024 * used.ru_maxrss,
        "load": [load[0], os.getloadavg()[0]],
        "said": said,
    }


if __name__ == "__main__":
    main()
