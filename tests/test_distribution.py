"""What is handed on: sdist and wheel, installed where nothing else of the project is; types seen from outside; the container.

The wheel goes into a bare environment that borrows the packages of the suite, so nothing is downloaded. Empty environments,
one for each extra, are what `make package` makes.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import linkodds
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

MYPY = """
[mypy]
follow_imports = skip
[mypy-linkodds.*]
follow_imports = silent
[mypy-numpy.*,scipy.*,networkx.*,polars.*,yaml.*]
follow_imports = skip
follow_imports_for_stubs = True
"""
"""The types of other packages are not the question, and reading them takes a minute."""


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is made from it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    # A copy: setuptools leaves folders beside the sources, and other processes of the suite may be building too.
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, folder=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare environment with the wheel; other packages are those of the suite, whose own linkodds it does not see."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        built[1],
        folder=folder,
    )
    # A path in a .pth is searched last, and .pth files that lie there (of an editable install) are not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def test_sdist_and_wheel_hold_what_belongs_to_the_package(built: tuple[Path, Path]) -> None:
    package = ROOT / "src" / "linkodds"
    ours = {
        path.relative_to(ROOT / "src").as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(built[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = wheel.read(f"linkodds-{linkodds.__version__}.dist-info/METADATA").decode()
    assert names == ours  # no tests, and every template, asset and page
    assert "linkodds/py.typed" in names
    assert f"Version: {PROJECT['version']}" in metadata
    assert re.findall(r"^Provides-Extra: (.*)$", metadata, re.M) == list(PROJECT["optional-dependencies"])
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"src/{name}" for name in ours} | {"pyproject.toml", "README.md", "LICENSE"} <= names


def test_the_installed_package_works_as_command_as_module_and_from_python(installed: Path, tmp_path: Path) -> None:
    python, command = installed / "bin" / "python", installed / "bin" / "linkodds"
    where = run(python, "-c", "import linkodds; print(linkodds.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(installed)
    said = f"linkodds {PROJECT['version']}\n"
    assert (
        run(command, "--version", folder=tmp_path)
        == run(python, "-m", "linkodds", "--version", folder=tmp_path)
        == said
    )
    edges = [f"{u},{v}" for u in range(30) for v in range(u) if u % 3 == v % 3 or (u * v) % 11 == 1]
    (tmp_path / "edges.csv").write_text("\n".join(["source,target", *edges]), encoding="utf-8")
    fit = ("fit", "edges.csv", "--out", "run", "--model", "resource-allocation", "--no-bipartite")
    assert "report" in run(command, *fit, folder=tmp_path, OMP_NUM_THREADS="1")
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000  # its templates and assets are there


def test_types_are_seen_from_outside(installed: Path, tmp_path: Path) -> None:
    """As mypy sees them from another project."""
    (tmp_path / "use.py").write_text(
        "from linkodds import Graph, LinkPredictor\n"
        "reveal_type(Graph.from_edges([('a', 'b')]).num_edges)\n"
        "reveal_type(LinkPredictor('gae', seed=1).fit)\n"
        "LinkPredictor('gae', seed='one')\n",
        encoding="utf-8",
    )
    (tmp_path / "mypy.ini").write_text(MYPY, encoding="utf-8")
    options = ("--config-file=mypy.ini", f"--python-executable={installed / 'bin' / 'python'}")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "use.py"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MYPYPATH")},
        capture_output=True,
        text=True,
        check=False,
    )
    first, second, third = (
        line for line in done.stdout.splitlines() if line.startswith("use.py") and "note: See" not in line
    )
    assert 'Revealed type is "int"' in first.replace("builtins.", ""), done.stdout
    assert "linkodds.estimator.LinkPredictor" in second
    assert 'Argument "seed" to "LinkPredictor" has incompatible type "str"; expected "int"' in third


def test_importing_linkodds_loads_nothing_but_itself() -> None:
    """Time follows: a few milliseconds, where torch alone takes seconds."""
    code = "import sys; before = set(sys.modules); import linkodds; print(*sorted(set(sys.modules) - before))"
    loaded = run(sys.executable, "-c", code, folder=ROOT, PYTHONPATH=str(ROOT / "src")).split()
    assert "linkodds" in loaded
    foreign = [name for name in loaded if name.partition(".")[0] not in {"linkodds", *sys.stdlib_module_names}]
    assert foreign == []
    assert [name for name in loaded if name.startswith("linkodds.")] == []
    assert len(loaded) < 40


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str, tmp_path: Path) -> None:
    source = str(ROOT / "src")
    named = {"PYTHONPATH": source, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # else it asks who started it
    script = run(sys.executable, "-m", "linkodds", "--show-completion", shell, folder=tmp_path, **named)
    assert "complete" in script
    words = {
        "bash": {"COMP_WORDS": "linkodds fi", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "linkodds fi"},
        "fish": {"_TYPER_COMPLETE_ARGS": "linkodds fi", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    code = "import sys; from linkodds.cli import app; sys.argv = ['linkodds']; app(prog_name='linkodds')"
    asked = {"_LINKODDS_COMPLETE": f"complete_{shell}", "PYTHONPATH": source, **words[shell]}
    offered = run(sys.executable, "-c", code, folder=tmp_path, **asked)
    assert {"fit", "find"} <= set(re.findall(r"\b(fit|find|fi\w*)\b", offered))
    assert "serve" not in offered


def test_the_container_serves_without_rights_and_says_whether_it_is_well() -> None:
    """No container is built here: what the Dockerfile says is held against the project."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line and not line.startswith("#")]
    steps = [line.split(maxsplit=1) for line in lines]
    last = steps[max(i for i, (word, _) in enumerate(steps) if word == "FROM") :]
    told = dict(last)
    assert told["USER"].isdecimal()
    assert int(told["USER"]) > 0
    assert last.index(["USER", told["USER"]]) > max(i for i, (word, _) in enumerate(last) if word in ("RUN", "COPY"))
    command = yaml.safe_load(told["ENTRYPOINT"])
    assert command[:2] == ["linkodds", "serve"]
    port = command[command.index("--port") + 1]
    assert told["EXPOSE"] == port
    assert f"127.0.0.1:{port}/healthz" in told["HEALTHCHECK"]
    for copied in (shlex.split(line)[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line):
        for name in copied:
            assert (ROOT / name).exists()
            assert f"!{name.removeprefix('./')}" in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def test_the_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]


def test_every_extra_is_tried_in_an_environment_of_its_own() -> None:
    spec = importlib.util.spec_from_file_location("extras", ROOT / "benchmarks" / "extras.py")
    assert spec is not None
    assert spec.loader is not None
    extras = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extras)
    assert {"", *PROJECT["optional-dependencies"]} <= set(extras.SMOKE)
    assert extras.PAGE.read_text(encoding="utf-8") == extras.page()
