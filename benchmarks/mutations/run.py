"""Which small errors in the statistics no test notices.

Each mutation of `named.py` and of `blind.py` is put into a copy of src in a temporary folder, and the test files that it
names are run on that copy, with the examples in the docstrings of the changed file, to the first failure. One JSON line a
mutation goes to benchmarks/results/mutations/; a mutation that is there is not tried again while neither it nor its tests
have changed. Then one table to docs/mutations.md. A mutation whose text is not found, or whose tests do not start, ends the
script: then the lists have to follow the source.

    python benchmarks/mutations/run.py [--again] [--only PART OF A NAME] [--results FOLDER]
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from blind import BLIND
from mutation import Mutation
from named import NAMED
from page import write_page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LISTS = {"named": NAMED, "blind": BLIND}
PATIENCE = 400
"""Seconds; tests that take longer do so because of the mutation."""


def digest(mutation: Mutation) -> str:
    """Of all that the outcome depends on, but for the rest of the source."""
    parts = [mutation.file, mutation.old, mutation.new]
    parts += [(ROOT / "tests" / name).read_text(encoding="utf-8") for name in mutation.tests]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def try_out(mutation: Mutation) -> dict:
    """Run the tests on a copy of the source with the error in it; `killed_by` names the first that fails, or is None."""
    for name in mutation.tests:
        if not (ROOT / "tests" / name).is_file():
            raise SystemExit(f"{mutation.name}: there is no tests/{name}; say where its tests are now.")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        mutation.put_into(source)
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"}
        where = "import linkodds; print(linkodds.__file__)"
        seen = subprocess.run(
            [sys.executable, "-c", where], env=environment, capture_output=True, text=True, check=True
        )
        if not Path(seen.stdout.strip()).is_relative_to(source):
            raise SystemExit(f"the tests would look at {seen.stdout.strip()} and not at the copy.")
        tests = [str(ROOT / "tests" / name) for name in mutation.tests]
        options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-W", "ignore", f"--rootdir={ROOT}"]
        command = [sys.executable, "-m", "pytest", *options, *tests, str(source / "linkodds" / mutation.file)]
        start = time.perf_counter()
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return {"killed_by": "its tests do not end", "seconds": PATIENCE}
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode not in (0, 1) or (done.returncode == 1) != bool(failed):
        raise SystemExit(f"{mutation.name}: pytest says {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    killed_by = None
    if failed:
        file, _, test = failed[0].partition("::")
        in_source = "linkodds/" in file and not file.startswith("tests/")
        killed_by = f"example of {test}" if in_source else f"{file.removeprefix('tests/')}::{test.partition('[')[0]}"
    return {"killed_by": killed_by, "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--again", action="store_true", help="try all of them, whatever is known")
    parser.add_argument("--only", default="", help="those whose name holds this")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "mutations")
    given = parser.parse_args()
    given.results.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, dict]] = {}
    for kind, mutations in LISTS.items():
        path = given.results / f"{kind}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        known = {line["name"]: line for line in lines}
        for mutation in mutations:
            now = digest(mutation)
            old = known.get(mutation.name)
            if given.only not in mutation.name or (not given.again and old is not None and old["digest"] == now):
                continue
            outcome = {"name": mutation.name, "digest": now, **try_out(mutation)}
            known[mutation.name] = outcome
            print(f"{kind}: {mutation.name}: {outcome['killed_by'] or 'SURVIVES'} ({outcome['seconds']} s)", flush=True)
            rows = [known[each.name] for each in mutations if each.name in known]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[kind] = {each.name: known[each.name] for each in mutations if each.name in known}
    for kind, mutations in LISTS.items():
        survivors = [
            each.name for each in mutations if each.name in found[kind] and not found[kind][each.name]["killed_by"]
        ]
        print(
            f"{kind}: {len(found[kind])} of {len(mutations)} tried, {len(survivors)} survive: {', '.join(survivors) or 'none'}"
        )
    if given.results == ROOT / "benchmarks" / "results" / "mutations":
        write_page(found)


if __name__ == "__main__":
    main()
