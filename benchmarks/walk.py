"""How far does a reader walk to follow one command? Traces a run of each command and counts what it calls.

On the neural network of C. elegans (297 nodes, 2,148 edges): fit of ten epochs, then report, find and predict of that run.
Counted are functions of linkodds that ran in any thread, import time left out; a function is a `def`, comprehensions and
lambdas belong to the one around them.

    functions   that ran
    modules     with a function that ran
    arrows      module -> module, where a function of one called a function of the other
    depth       most calls of linkodds nested in each other, in one thread

Prints a table, and with --depth the deepest chain of each command; writes benchmarks/results/walk.json.

    python benchmarks/walk.py EDGES [--only COMMAND ...] [--depth]
"""

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from inspect import CO_OPTIMIZED
from io import StringIO
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import linkodds
from linkodds.cli import main

RESULTS = Path(__file__).resolve().parent / "results" / "walk.json"
ROOT = Path(linkodds.__file__).resolve().parent
IMPORTS = "<frozen importlib"


@dataclass
class Walk:
    """What one command called."""

    functions: set[tuple[str, str]] = field(default_factory=set)
    arrows: set[tuple[str, str]] = field(default_factory=set)
    chain: list[str] = field(default_factory=list)

    @property
    def modules(self) -> set[str]:
        """Modules with a function that ran."""
        return {module for module, _ in self.functions}

    def counts(self) -> dict[str, int]:
        """A row of the table."""
        return {
            "functions": len(self.functions),
            "modules": len(self.modules),
            "arrows": len(self.arrows),
            "depth": len(self.chain),
        }


class Tracer:
    """A profile function for one thread, which keeps the linkodds calls that are open."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.names: dict[CodeType, tuple[str, str] | None] = {}

    def name_of(self, code: CodeType) -> tuple[str, str] | None:
        """Module and qualified name of a `def` of linkodds; None for all else."""
        if code not in self.names:
            path = Path(code.co_filename)
            is_def = code.co_flags & CO_OPTIMIZED and not code.co_name.startswith("<")
            is_def = is_def and path.suffix == ".py" and path.is_relative_to(ROOT)
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts) if is_def else ""
            self.names[code] = (module, code.co_qualname) if is_def else None
        return self.names[code]

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or (name := self.name_of(frame.f_code)) is None:
            return
        chain = [name]
        above = frame.f_back
        while above is not None:
            if above.f_code.co_filename.startswith(IMPORTS):
                return  # a function that decorates, or fills a table, when a module is loaded
            if (found := self.name_of(above.f_code)) is not None:
                chain.append(found)
            above = above.f_back
        self.walk.functions.add(name)
        if len(chain) > 1 and chain[1][0] != name[0]:
            self.walk.arrows.add((chain[1][0], name[0]))
        if len(chain) > len(self.walk.chain):
            self.walk.chain = [f"{module}.{function}" for module, function in reversed(chain)]


@contextmanager
def traced() -> Iterator[Walk]:
    """Trace this thread and those started meanwhile."""
    walk = Walk()
    tracer = Tracer(walk)
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def commands(edges: Path, folder: Path) -> dict[str, list[str]]:
    """Command -> arguments; each needs the run of the first."""
    run, pairs = str(folder / "run"), folder / "pairs.csv"
    pairs.write_text("source,target\n1,2\n3,5\n")
    return {
        "fit": ["fit", str(edges), "--model", "gae", "--epochs", "10", "--threads", "1", "--out", run],
        "report": ["report", run],
        "find": ["find", run, "--top", "20", "--out", str(folder / "links.csv")],
        "predict": ["predict", run, str(pairs), "--out", str(folder / "predicted.csv")],
    }


def walk_of(arguments: list[str]) -> Walk:
    """Run one command in this process and trace it."""
    sys.argv = ["linkodds", *arguments]
    with traced() as walk, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        try:
            main()
        except SystemExit as stop:
            if stop.code not in (0, None):
                raise
    return walk


def measure() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("edges", type=Path)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--depth", action="store_true", help="print the deepest chain")
    parser.add_argument("--modules", action="store_true", help="print the modules, with their functions counted")
    options = parser.parse_args()
    rows: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for command, arguments in commands(options.edges, Path(folder)).items():
            walk = walk_of(arguments)
            if options.only and command not in options.only:
                continue
            rows[command] = walk.counts()
            print(f"{command:8} " + "  ".join(f"{name} {count:4}" for name, count in rows[command].items()))
            if options.depth:
                print("".join(f"{i:6} {call}\n" for i, call in enumerate(walk.chain, start=1)), end="")
            if options.modules:
                for module in sorted(walk.modules):
                    ran = [function for where, function in walk.functions if where == module]
                    print(f"  {module} {len(ran)}: {', '.join(sorted(ran)[:6])}")
    if not options.only:
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    measure()
