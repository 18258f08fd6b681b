"""Is a file of a million edges read as fast as before columns were chosen by names and values?

One graph of a million edges as CSV with a header, TSV without one, and Parquet. Builds take turns: each repetition starts a
process for the former build and one for this one, which loads the file to warm the disk's cache and reads it on the clock.
The figure is the least of the repetitions, of seconds of the processor (one thread), which other programs on the machine
lengthen least; seconds on the clock stand beside.

    git worktree add --detach FOLDER 449ef17
    python benchmarks/reading_speed.py --before FOLDER [--edges N] [--repetitions N]

Writes benchmarks/results/reading_speed.json.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "reading_speed.json"
READ = """
import sys, time
from pathlib import Path
try:
    from linkodds.graph.graph import Graph
except ImportError:  # the former build has no rooms
    from linkodds import Graph
path = Path(sys.argv[1])
path.read_bytes()
wall, cpu = time.perf_counter(), time.process_time()
graph = Graph.from_edges(path)
print(time.perf_counter() - wall, time.process_time() - cpu, graph.num_nodes, graph.num_edges)
"""


def make(folder: Path, num_edges: int) -> dict[str, Path]:
    """The files: ids as proteins have them, a fifth as many nodes as edges, a column of scores in the table with a header."""
    rng = np.random.default_rng(0)
    places = rng.integers(num_edges // 5, size=(num_edges, 2))
    names = np.char.add("9606.ENSP", np.char.zfill(np.arange(num_edges // 5).astype(str), 11))
    frame = pl.DataFrame({"protein1": names[places[:, 0]], "protein2": names[places[:, 1]]})
    scored = frame.with_columns(combined_score=rng.integers(150, 1000, size=num_edges))
    files = {form: folder / f"edges{form}" for form in (".csv", ".tsv", ".parquet")}
    scored.write_csv(files[".csv"])
    frame.write_csv(files[".tsv"], separator="\t", include_header=False)
    scored.write_parquet(files[".parquet"])
    return files


def seconds(source: Path, path: Path) -> tuple[float, float, str]:
    """Seconds of one reading by the build at a source, on the clock and of the processor, and what it read."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, path], env=environment, capture_output=True, text=True, check=True
    )
    wall, cpu, *graph = done.stdout.split()
    return float(wall), float(cpu), " ".join(graph)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the former build")
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    builds = {"before": args.before / "src", "now": HERE.parent / "src"}
    at = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=args.before, capture_output=True, text=True, check=True
    )
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for form, path in make(Path(folder), args.edges).items():
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in builds}
            graphs = set()
            for i in range(args.repetitions):
                for name in list(builds)[:: 1 if i % 2 == 0 else -1]:
                    wall, cpu, graph = seconds(builds[name], path)
                    taken[name].append((wall, cpu))
                    graphs.add(graph)
            assert len(graphs) == 1, graphs  # both read the same graph
            rows[form] = {}
            for k, clock in enumerate(("clock", "processor")):
                least = {name: round(min(each[k] for each in pairs), 3) for name, pairs in taken.items()}
                rows[form][clock] = least | {"ratio": round(least["now"] / least["before"], 3)}
            print(form, rows[form], flush=True)
    facts = {"edges": args.edges, "before": at.stdout.strip(), "python": platform.python_version(), "threads": 1}
    RESULTS.write_text(json.dumps(facts | {"seconds": rows}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["processor"]["ratio"] <= 1.1 for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
