"""The package as a whole: light to import, typed, pinned, without pickle, and a README whose example runs."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import linkodds
from linkodds import errors
from places import ROOT

SOURCES = sorted((ROOT / "src" / "linkodds").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_importing_linkodds_loads_no_torch() -> None:
    code = "import sys, linkodds; print(linkodds.__version__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [PROJECT["version"], "False"]


# Rooms that train, or that start a training: all else opens, reads and draws runs without torch.
TRAINING = ("models.autoencoders", "models.training", "fitting", "comparison", "sharded", "testing", "estimator")
# Modules of these rooms that everybody may ask: what work costs, and how long a stage took.
LIGHT = (
    "models.training.cost_model",
    "models.training.pair_cost_model",
    "models.training.history",
)


def module_of(path: Path) -> str:
    """The dotted name of a source file, without `linkodds.`."""
    return ".".join(path.relative_to(ROOT / "src" / "linkodds").with_suffix("").parts).removesuffix(".__init__")


def test_only_rooms_that_train_load_torch() -> None:
    names = {
        name
        for name in map(module_of, SOURCES)
        if name in LIGHT or not f"{name}.".startswith(tuple(f"{room}." for room in TRAINING))
    } - {"__init__", "__main__"}
    assert len({name.partition(".")[0] for name in names}) > 15  # it has looked into the rooms
    assert len(names) > 100
    imports = "; ".join(f"import linkodds.{name}" for name in sorted(names))
    code = f"import sys; {imports}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_a_room_has_few_doors_and_no_file_is_long() -> None:
    package = ROOT / "src" / "linkodds"
    assert len(list(package.glob("*.py"))) <= 12
    assert 12 <= len([path for path in package.iterdir() if (path / "__init__.py").exists()]) <= 18
    lengths = {module_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 450} == {}


def test_contracts_refuse_what_they_are_for(tmp_path: Path) -> None:
    """An import planted in the wrong room breaks the contract that is there to refuse it, and no other."""
    planted = {
        "fitting/model_selection.py": ("import fastapi", "web servers: serving"),
        "metrics/metrics.py": ("import torch", "torch: what trains"),
        "links/link_search.py": ("import plotly", "plotly: figures"),
        "report/verdict.py": ("import typer", "typer: cli"),
        "graph/split.py": ("import duckdb", "databases: reading.databases"),
        "scorers/scoring.py": ("import linkodds.runs.record", "rooms import downwards only"),
        "models/autoencoders/encoder.py": (
            "import linkodds.models.training.training",
            "families over structural models over training over autoencoders",
        ),
    }
    source = tmp_path / "src" / "linkodds"
    shutil.copytree(ROOT / "src" / "linkodds", source, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (line, _) in planted.items():
        text = (source / name).read_text(encoding="utf-8")
        (source / name).write_text(
            re.sub(r"^(?=from |import )", f"{line}\n", text, count=1, flags=re.M), encoding="utf-8"
        )
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "pyproject.toml")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    broken = set(re.findall(r"^(.*?) BROKEN", done.stdout, flags=re.M))
    assert broken == {contract for _, contract in planted.values()}
    for name, (line, _) in planted.items():  # each is named as the culprit, by both its ends
        assert f"{name.removesuffix('.py').replace('/', '.')} -> {line.removeprefix('import ')}" in done.stdout


def test_every_room_says_what_it_is() -> None:
    for path in SOURCES:
        if path.name == "__init__.py":
            said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            assert said, path
            assert len(said) > 60, path


def test_public_names() -> None:
    assert dir(linkodds) == sorted(linkodds.__all__)
    for name in linkodds.__all__:
        assert getattr(linkodds, name) is not None
    for name in ("Graph", "LinkPredictor", "Run", "Evaluation", "FitConfig"):
        assert getattr(linkodds, name).__name__ == name
    assert linkodds.__version__ == version("linkodds") == PROJECT["version"]
    with pytest.warns(DeprecationWarning, match="linkodds.OwnScorer is now linkodds.CustomScorer"):
        assert linkodds.OwnScorer is linkodds.CustomScorer
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = linkodds.Nothing


def test_every_error_is_drawn_in_the_tree_and_has_an_exit_code() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    for each in classes:
        assert issubclass(each, errors.LinkoddsError)
        assert each.exit_code == (2 if issubclass(each, errors.OptionError) else 1)
        assert each.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_pickle_and_no_print_outside_the_command_line(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "joblib", "cloudpickle", "dill"} & {name.split(".")[0] for name in names}
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"torch.load", "torch.save"}
            assert called != "print" or path.parent.name == "cli"
            allowed = [word.value for word in node.keywords if word.arg == "allow_pickle"]
            assert all(isinstance(value, ast.Constant) and value.value is False for value in allowed)


def test_constraints_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    pins = dict(pinned)
    assert len(pins) == len(pinned)  # pip refuses a package that is pinned twice
    wanted = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    names = {re.match(r"[\w.-]+", each)[0].lower() for each in wanted} - {"linkodds"}  # type: ignore[index]
    assert names <= {name.lower().replace("_", "-") for name in pins}
    assert pins["torch"] == "2.13.0"


def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text(encoding="utf-8")


def test_readme_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("average precision 0.")
    assert (tmp_path / "run" / "evaluation.json").is_file()
