"""Which small errors in the statistics no test notices.

Each mutation of `named.py` and of `blind.py` is put into a copy of src in a temporary folder, and the tests that it names
are run on that copy, with the examples in the docstrings of the changed file, to the first failure. One JSON line a
mutation goes to benchmarks/results/mutations/; a mutation that is there is not tried again while it is the same, and so
are its tests if none of them noticed it. Then two tables to docs/mutations.md. A mutation whose text is not found, or whose tests do not start, ends
the script: then the lists have to follow the source.

    python benchmarks/mutations/run.py [--again] [--lists LISTS] [--only PART OF A NAME] [--results FOLDER]

Every try is a fork of this process, which has loaded what the tests import, but nothing of linkodds. Tests that took
little time before come first.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from blind import BLIND
from mutation import Mutation
from named import NAMED
from page import write_page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mutations"
LISTS = {"named": NAMED, "blind": BLIND}
PATIENCE = 400
"""Seconds of the processor; tests that take longer do so because of the mutation."""
SECONDS = ROOT / ".pytest_cache" / "mutations.json"
"""What each test took when it last ran, to run the quick ones first."""
LOADED = (
    "scipy.stats",
    "scipy.optimize",
    "scipy.sparse",
    "polars",
    "pydantic",
    "torch",
    "sklearn.metrics",
    "hypothesis",
    "networkx",
    "typer",
    "typer.testing",
    "httpx",
    "fastapi",
    "fastapi.testclient",
    "uvicorn",
    "safetensors.numpy",
    "yaml",
    "jinja2",
)


def digest(*parts: str) -> str:
    """A few letters that change with the parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def is_known(mutation: Mutation, line: dict | None) -> bool:
    """Whether the outcome is still right: the mutation is the same, and so are the tests where none noticed it."""
    if line is None or line["mutation"] != of_mutation(mutation):
        return False
    return bool(line["killed_by"]) or line["tests"] == of_tests(mutation)


def of_mutation(mutation: Mutation) -> str:
    return digest(mutation.file, mutation.old, mutation.new, *mutation.tests)


def of_tests(mutation: Mutation) -> str:
    files = sorted({name.partition("::")[0] for name in mutation.tests})
    return digest(*((ROOT / "tests" / name).read_text(encoding="utf-8") for name in files))


class Watch:
    """A plugin: quick tests first, and the first that fails."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.failed = seconds, ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """A test that has not run yet is taken for one of half a second."""
        items.sort(key=lambda item: self.seconds.get(item.nodeid, 0.5))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long it took, and whether it failed."""
        if report.when == "call":
            self.seconds[report.nodeid] = round(report.duration, 3)
        if report.failed and not self.failed:
            self.failed = report.nodeid


def run_tests(source: Path, mutation: Mutation, answer: Path) -> None:
    """Run the tests of a mutation on a copy of src, in a process of its own, and write what they said."""
    sys.path.insert(0, str(source))
    os.environ["PYTHONPATH"] = str(source)  # of what the tests start
    os.chdir(ROOT)
    linkodds = importlib.import_module("linkodds")
    if not Path(str(linkodds.__file__)).is_relative_to(source):
        raise SystemExit(f"the tests would look at {linkodds.__file__} and not at the copy.")
    watch = Watch(json.loads(SECONDS.read_text()) if SECONDS.is_file() else {})
    tests = [str(ROOT / "tests" / name) for name in mutation.tests] + [str(source / "linkodds" / mutation.file)]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=line", f"--rootdir={ROOT}"]
    code = int(pytest.main([*options, *tests], plugins=[watch]))
    SECONDS.parent.mkdir(exist_ok=True)
    SECONDS.write_text(json.dumps({name: took for name, took in watch.seconds.items() if str(source) not in name}))
    answer.write_text(json.dumps({"code": code, "failed": watch.failed}))


def try_out(mutation: Mutation) -> dict:
    """Run the tests on a copy of the source with the error in it; `killed_by` names the first that fails, or is None."""
    for name in mutation.tests:
        if not (ROOT / "tests" / name.partition("::")[0]).is_file():
            raise SystemExit(f"{mutation.name}: there is no tests/{name}; say where its tests are now.")
    with tempfile.TemporaryDirectory() as folder:
        source, said, answer = Path(folder) / "src", Path(folder) / "said.txt", Path(folder) / "answer.json"
        shutil.copytree(ROOT / "src", source)
        mutation.put_into(source)
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException), said.open("w") as file:
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
                signal.setitimer(signal.ITIMER_PROF, PATIENCE)
                run_tests(source, mutation, answer)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        seconds = round(time.perf_counter() - start, 1)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
            return {"killed_by": "its tests do not end", "seconds": seconds}
        found = json.loads(answer.read_text()) if answer.is_file() else {"code": -1, "failed": ""}
        if found["code"] not in (0, 1) or (found["code"] == 1) != bool(found["failed"]):
            raise SystemExit(f"{mutation.name}: pytest ends with {found['code']}\n{said.read_text()[-3000:]}")
    killed_by = None
    if found["failed"]:
        file, _, test = found["failed"].partition("::")
        killed_by = f"{file.removeprefix('tests/')}::{test.partition('[')[0]}"
        if not file.startswith("tests/"):
            killed_by = f"example of {test.removeprefix('linkodds.')}"
    return {"killed_by": killed_by, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--again", action="store_true", help="try all of them, whatever is known")
    parser.add_argument("--only", default="", help="those whose name holds this")
    parser.add_argument("--lists", default=",".join(LISTS), help="which of the lists")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.results.mkdir(parents=True, exist_ok=True)
    for name in LOADED:
        importlib.import_module(name)
    found: dict[str, dict[str, dict]] = {}
    for kind, mutations in LISTS.items():
        path = given.results / f"{kind}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        known = {line["name"]: line for line in lines}
        for mutation in mutations:
            if kind not in given.lists or given.only not in mutation.name:
                continue
            if not given.again and is_known(mutation, known.get(mutation.name)):
                continue
            signs = {"mutation": of_mutation(mutation), "tests": of_tests(mutation)}
            outcome = {"name": mutation.name, **signs, **try_out(mutation)}
            known[mutation.name] = outcome
            print(f"{kind}: {mutation.name}: {outcome['killed_by'] or 'SURVIVES'} ({outcome['seconds']} s)", flush=True)
            rows = [known[each.name] for each in mutations if each.name in known]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[kind] = {each.name: known[each.name] for each in mutations if each.name in known}
        survivors = [name for name, row in found[kind].items() if not row["killed_by"]]
        print(f"{kind}: {len(found[kind])} of {len(mutations)} tried, {len(survivors)} survive: {', '.join(survivors)}")
    if given.results == RESULTS:
        write_page(found)


if __name__ == "__main__":
    main()
