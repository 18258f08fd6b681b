"""What `linkodds inspect` takes for a text and a Parquet file of 100 MB: seconds after the start, and peak memory.

Each measurement is a process of its own; its imports are not counted, its memory is that of the whole process.

    python benchmarks/inspecting.py --out benchmarks/results/inspect.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

SIZE = 100_000_000
CODE = """
import json, resource, sys, time
from pathlib import Path
from linkodds.graph.inspecting import inspect_source
before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
found = inspect_source(Path(sys.argv[1]))
wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])  # of exec on
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
assert found.refused is None and found.sample is not None and "torch" not in sys.modules, found
print(json.dumps({
    "seconds": round(wall, 3), "cpu_seconds": round(cpu, 3), "peak_mb": peak // 1024,
    "rows_read": found.sample.rows, "rows": found.sample.total, "num_edges": found.num_edges,
}))
"""


def made(folder: Path) -> dict[str, Path]:
    """A text of 100 MB of random edges with scores, and a Parquet file of the same rows."""
    rng = np.random.default_rng(0)
    rows = SIZE // 27
    ends = rng.integers(10**6, 10**7 - 1, (rows, 2))
    frame = pl.DataFrame({"source": ends[:, 0], "target": ends[:, 1], "score": rng.uniform(0.01, 0.99, rows)})
    frame = frame.with_columns(("gene" + pl.col(name).cast(pl.String)).alias(name) for name in ("source", "target"))
    frame.write_csv(folder / "edges.tsv", separator="\t", float_precision=3)
    frame.write_parquet(folder / "edges.parquet", compression="uncompressed")
    return {name: folder / name for name in ("edges.tsv", "edges.parquet")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in made(Path(folder)).items():
            done = [
                json.loads(
                    subprocess.run([sys.executable, "-c", CODE, str(path)], check=True, capture_output=True).stdout
                )
                for _ in range(arguments.repeats)
            ]
            best = min(done, key=lambda each: each["seconds"])
            peak = max(each["peak_mb"] for each in done)
            result[name] = best | {"peak_mb": peak, "bytes": path.stat().st_size, "repeats": arguments.repeats}
            print(name, result[name])
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
