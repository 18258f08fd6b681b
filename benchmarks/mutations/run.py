"""Which small errors in the statistics no test notices.

Each mutation of `named.py` and of `blind.py` is put into the loaded package, in a process of its own, and the tests that it
names are run there, with the examples in the docstrings of the changed file, to the first failure. One JSON line a
mutation goes to benchmarks/results/mutations/; a mutation that is there is not tried again while it is the same, and so
are its tests if none of them noticed it. Then two tables to docs/mutations.md. A mutation whose text is not found, or whose tests do not start, ends
the script: then the lists have to follow the source.

    python benchmarks/mutations/run.py [--again] [--lists LISTS] [--only PART OF A NAME] [--results FOLDER]

Every try is a fork of this process, which has imported the package and collected the tests; there the changed functions get
the code that they have in the mutated text, so no file is written and nothing is imported again. Tests that took little time
before come first.
"""

import argparse
import contextlib
import gc
import hashlib
import importlib
import inspect
import json
import os
import pkgutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import pytest
from blind import BLIND
from mutation import Mutation
from named import NAMED
from page import write_page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCE = ROOT / "src"
RESULTS = ROOT / "benchmarks" / "results" / "mutations"
LISTS = {"named": NAMED, "blind": BLIND}
PATIENCE = 400
"""Seconds of the processor; tests that take longer do so because of the mutation."""
SECONDS = ROOT / ".pytest_cache" / "mutations.json"
"""What each test took when it last ran, to run the quick ones first."""
USED_BY_TESTS = (
    "hypothesis",
    "networkx",
    "sklearn.metrics",
    "sklearn.linear_model",
    "typer.testing",
    "httpx",
    "polars",
    "torch",
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


def load() -> None:
    """Import the package as it is, with what its tests use."""
    sys.path.insert(0, str(SOURCE))
    os.environ["PYTHONPATH"] = str(SOURCE)  # of what the tests start
    package = importlib.import_module("linkodds")
    if not Path(str(package.__file__)).is_relative_to(SOURCE):
        raise SystemExit(f"the tests would look at {package.__file__} and not at {SOURCE}.")
    for module in pkgutil.walk_packages(package.__path__, "linkodds."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):  # an extra that is not installed
                importlib.import_module(module.name)
    for name in USED_BY_TESTS:
        importlib.import_module(name)


def put_in(mutation: Mutation) -> None:
    """Give the functions of the loaded module the code that they have in the mutated text.

    Raises:
        SystemExit: no function changes, or the module is not loaded.
    """
    path = SOURCE / "linkodds" / mutation.file
    module = sys.modules.get("linkodds." + mutation.file.removesuffix(".py").replace("/", "."))
    if module is None:
        raise SystemExit(f"{mutation.name}: {mutation.file} cannot be imported here.")
    codes = dict(codes_in(compile(mutation.mutated(path), str(path), "exec", dont_inherit=True)))
    changed = 0
    for function in functions_of(module):
        new = codes.get(function.__code__.co_qualname)
        if new is not None and new != function.__code__:
            function.__code__ = new
            changed += 1
    if not changed:
        raise SystemExit(f"{mutation.name}: no function of {mutation.file} is changed by it.")


def codes_in(code: types.CodeType) -> Iterator[tuple[str, types.CodeType]]:
    """All functions in a compiled module by their qualified names, but for those inside of functions."""
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each.co_qualname, each
            if each.co_flags & inspect.CO_NEWLOCALS == 0 or each.co_name == each.co_qualname.rpartition(".")[2]:
                yield from codes_in(each)


def functions_of(module: types.ModuleType) -> Iterator[types.FunctionType]:
    """Its functions and the methods of its classes, properties and such unwrapped."""
    waiting = [each for each in vars(module).values() if getattr(each, "__module__", None) == module.__name__]
    while waiting:
        each = waiting.pop()
        if isinstance(each, types.FunctionType):
            yield each
        elif isinstance(each, type) and each.__module__ == module.__name__:
            waiting += vars(each).values()
        elif isinstance(each, property):
            waiting += [each.fget]
        elif isinstance(each, staticmethod | classmethod):
            waiting += [each.__func__]
        elif isinstance(each, cached_property):
            waiting += [each.func]


class Trials:
    """A plugin that runs the collected tests of one mutation after the other, each in a fork, in place of all once."""

    def __init__(self, wanted: list[tuple[str, Mutation]], note: Callable[[str, Mutation, dict], None]) -> None:
        self.wanted, self.note = wanted, note
        self.seconds: dict[str, float] = json.loads(SECONDS.read_text()) if SECONDS.is_file() else {}
        self.failed = ""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all mutations."""
        gc.freeze()  # else every fork copies what it only looks at
        for kind, mutation in self.wanted:
            items = [item for item in session.items if self.is_of(mutation, item)]
            for name in mutation.tests:
                if not any(item.nodeid.startswith(f"tests/{name}") for item in items):
                    raise SystemExit(f"{mutation.name}: there is no test in tests/{name}; say where its tests are now.")
            self.note(kind, mutation, self.try_out(mutation, items))
        return True

    def is_of(self, mutation: Mutation, item: pytest.Item) -> bool:
        """Whether a test is one of those that should notice a mutation: named, or an example in the changed file."""
        whole, alone = item.nodeid, item.nodeid.partition("[")[0]
        named = any(
            name in (whole.removeprefix("tests/").partition("::")[0], alone.removeprefix("tests/"))
            for name in mutation.tests
        )
        return named or item.path == SOURCE / "linkodds" / mutation.file

    def try_out(self, mutation: Mutation, items: list[pytest.Item]) -> dict:
        """Run tests, quick ones first, on the code with the error in it; `killed_by` names the one that fails, or is None."""
        items = sorted(items, key=lambda item: self.seconds.get(item.nodeid, 0.5))
        with tempfile.TemporaryDirectory() as folder:
            said, answer = Path(folder) / "said.txt", Path(folder) / "answer.json"
            start = time.perf_counter()
            child = os.fork()
            if child == 0:
                with said.open("w") as file:
                    for stream in (1, 2):
                        os.dup2(file.fileno(), stream)
                    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
                    try:
                        put_in(mutation)
                        for item, after in zip(items, [*items[1:], None], strict=True):
                            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
                            if self.failed:
                                break
                        answer.write_text(json.dumps({"failed": self.failed, "seconds": self.seconds}))
                    except BaseException as error:
                        print(type(error).__name__, error, file=sys.stderr, flush=True)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            seconds = round(time.perf_counter() - start, 1)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
                return {"killed_by": "its tests do not end", "seconds": seconds}
            if not answer.is_file():
                raise SystemExit(f"{mutation.name}: {said.read_text()[-3000:]}")
            found = json.loads(answer.read_text())
        self.seconds = found["seconds"]
        SECONDS.parent.mkdir(exist_ok=True)
        SECONDS.write_text(json.dumps(self.seconds))
        killed_by = None
        if found["failed"]:
            file, _, test = found["failed"].partition("::")
            killed_by = f"{file.removeprefix('tests/')}::{test.partition('[')[0]}"
            if not file.startswith("tests/"):
                killed_by = f"example of {test.removeprefix('linkodds.')}"
        return {"killed_by": killed_by, "seconds": seconds}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how long a test took, and whether it failed."""
        if report.when == "call":
            self.seconds[report.nodeid] = round(report.duration, 3)
        if report.failed and not self.failed:
            self.failed = report.nodeid


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--again", action="store_true", help="try all of them, whatever is known")
    parser.add_argument("--only", default="", help="those whose name holds this")
    parser.add_argument("--lists", default=",".join(LISTS), help="which of the lists")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.results.mkdir(parents=True, exist_ok=True)
    known: dict[str, dict[str, dict]] = {}
    wanted = []
    for kind, mutations in LISTS.items():
        path = given.results / f"{kind}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        known[kind] = {line["name"]: line for line in lines}
        for mutation in mutations:
            mutation.mutated(SOURCE / "linkodds" / mutation.file)  # all texts are looked for first
            is_asked = kind in given.lists.split(",") and given.only in mutation.name
            if is_asked and (given.again or not is_known(mutation, known[kind].get(mutation.name))):
                wanted.append((kind, mutation))

    def note(kind: str, mutation: Mutation, outcome: dict) -> None:
        signs = {"mutation": of_mutation(mutation), "tests": of_tests(mutation)}
        known[kind][mutation.name] = {"name": mutation.name, **signs, **outcome}
        print(
            f"{kind}: {mutation.name}: {outcome['killed_by'] or 'SURVIVES'} ({outcome['seconds']} s)",
            file=sys.stderr,
            flush=True,
        )
        rows = [known[kind][each.name] for each in LISTS[kind] if each.name in known[kind]]
        (given.results / f"{kind}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    if wanted:
        load()
        os.chdir(ROOT)
        tests = {str(ROOT / "tests" / name.partition("::")[0]) for _, mutation in wanted for name in mutation.tests}
        examples = {str(SOURCE / "linkodds" / mutation.file) for _, mutation in wanted}
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            f"--rootdir={ROOT}",
        ]
        code = pytest.main([*options, *sorted(tests), *sorted(examples)], plugins=[Trials(wanted, note)])
        if code != pytest.ExitCode.OK:
            raise SystemExit(f"the tests were not run to the end: pytest ends with {code!r}.")
    for kind, mutations in LISTS.items():
        survivors = [name for name, row in known[kind].items() if not row["killed_by"]]
        print(f"{kind}: {len(known[kind])} of {len(mutations)} tried, {len(survivors)} survive: {', '.join(survivors)}")
    if given.results == RESULTS:
        write_page(known)


if __name__ == "__main__":
    main()
