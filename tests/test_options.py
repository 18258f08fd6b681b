"""An option stands once: in `linkodds.options`; whatever takes it is made from there."""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from linkodds import Graph, LinkPredictor
from linkodds.config import FitConfig, commented_yaml
from linkodds.options import FitOptions, options_of
from linkodds.reading.graph_options import EdgeListOptions
from linkodds.reading.reading_options import ReadingOptions
from places import ROOT

SOURCE = ROOT / "src" / "linkodds"
NEW = '    new_option: Annotated[int, Option("Number of the new option", MODEL, ge=1)] = 3\n'
"""The one line that adds an option."""


def declarations(name: str) -> list[str]:
    """Places of a class attribute, or of a parameter in the modules that take options, with this name."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        where = path.relative_to(SOURCE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_attribute = isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name
            if is_attribute and "Option(" in ast.unparse(node):
                found.append(where)
            takes = where in ("cli/fitting.py", "cli/comparing.py", "config.py")
            constructor = isinstance(node, ast.FunctionDef) and (takes or node.name == "__init__")
            if constructor and name in {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}:
                found.append(where)
    return found


@pytest.mark.parametrize("name", ["subgraph_alpha", "patience", "decision"])
def test_an_option_stands_in_one_place_with_its_help(name: str) -> None:
    assert declarations(name) == ["options.py"]
    text = options_of(FitOptions)[name].option.text
    # Sources break a string over lines: its first words are what can be looked for.
    words = " ".join(text.split()[:6])
    holding = [path for path in SOURCE.rglob("*.py") if words in path.read_text(encoding="utf-8")]
    assert [path.name for path in holding] == ["options.py"]


def test_a_line_added_in_one_place_is_an_option_everywhere(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "linkodds", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "linkodds" / "options.py"
    text = path.read_text(encoding="utf-8")
    place = text.index("    zeros_per_edge: Annotated[")
    path.write_text(text[:place] + NEW + text[place:], encoding="utf-8")

    def said(*command: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 2), done.stderr
        return done.stdout + done.stderr

    for command in ("fit", "compare"):
        assert re.search(r"--new-option +N +Number of the new option", said("-m", "linkodds", command, "--help"))
    assert "new_option: 3" in said("-m", "linkodds", "config")
    refused = said("-m", "linkodds", "fit", "none.csv", "--out", "run", "--new-option", "0")
    assert "--new-option: Input should be greater than or equal to 1, got 0" in refused
    code = "from linkodds import LinkPredictor; print(LinkPredictor(new_option=5).get_params()['new_option'])"
    assert said("-c", code) == "5\n"


def test_config_and_predictor_have_the_options_and_defaults_of_the_list() -> None:
    options = options_of(FitOptions)
    assert {name: each.default for name, each in options.items()} == FitConfig().model_dump()
    assert list(FitConfig.model_fields) == list(options)
    parameters = inspect.signature(LinkPredictor).parameters
    assert {name: parameters[name].default for name in options} == FitConfig().model_dump()
    assert parameters["subgraph_alpha"].annotation is float
    assert "subgraph_alpha: Exponent of the degree" in (LinkPredictor.__doc__ or "")
    assert set(options_of(EdgeListOptions)) == set(ReadingOptions.model_fields)


def test_graphs_take_the_options_of_reading_as_keywords() -> None:
    parameters = inspect.signature(Graph.from_edges).parameters
    assert list(parameters) == ["edges", *options_of(EdgeListOptions), "feature_scaling"]
    assert "weight: Column of edge weights" in (Graph.from_edges.__doc__ or "")
    with pytest.raises(TypeError, match="bogus"):
        Graph.from_edges([("a", "b"), ("b", "c")], bogus=1)  # type: ignore[call-arg]


def test_every_option_says_what_it_is_and_ends_with_its_default() -> None:
    for name, each in (options_of(FitOptions) | options_of(EdgeListOptions)).items():
        first = each.help.split()[0]
        assert first[0].isupper(), name
        assert first.lower() not in ("of", "at", "to", "they", "by", "from"), name
        is_switch = each.default is False
        assert is_switch or re.search(r"; default [^;]+(; [^;]+)?\.$", each.help), name


def test_the_yaml_names_the_range_and_the_default() -> None:
    lines = commented_yaml().splitlines()
    place = lines.index("subgraph_alpha: 1.0")
    assert lines[place - 1].endswith("0 draws all alike (0 to 10); default 1.0.")
    assert lines[lines.index("dim: null") - 1].startswith("# Dimensions of the embedding (1 to 2,048); default 128 for")
