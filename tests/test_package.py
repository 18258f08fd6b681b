"""The package as a whole: light to import, typed, pinned, without pickle, and a README whose example runs."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import linkodds
from linkodds import errors

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "linkodds").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_importing_linkodds_loads_no_torch() -> None:
    code = "import sys, linkodds; print(linkodds.__version__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [PROJECT["version"], "False"]


def test_only_training_and_what_starts_it_loads_torch() -> None:
    with_torch = {
        "auto",
        "autoencoder",
        "averaging",
        "checkpoint",
        "comparison",
        "contest",
        "cross_entropy",
        "safeguard",
        "decoder",
        "fitted_model",
        "demo",
        "message_graph",
        "pair_decoder",
        "pair_training",
        "encoder",
        "estimator",
        "fit",
        "given_again",
        "own_encoder",
        "testing",
        "future",
        "latent",
        "mean_of_folds",
        "model_fitting",
        "objective",
        "pipeline",
        "propagation",
        "score_file",
        "settings",
        "training",
        "trials",
        "tuning",
    }
    names = {path.stem for path in (ROOT / "src" / "linkodds").glob("*.py")} - with_torch - {"__init__", "__main__"}
    imports = "; ".join(
        f"import linkodds.{name}"
        for name in [*sorted(names), "cli", "doctor", "figures", "report", "serving.api", "serving.server"]
    )
    code = f"import sys; {imports}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_public_names() -> None:
    assert {"Graph", "LinkPredictor"} <= set(linkodds.__all__)
    assert linkodds.Graph.__name__ == "Graph"
    assert linkodds.LinkPredictor.__name__ == "LinkPredictor"
    assert linkodds.__version__ == version("linkodds") == PROJECT["version"]


def test_every_error_is_drawn_in_the_tree_and_has_an_exit_code() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
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
