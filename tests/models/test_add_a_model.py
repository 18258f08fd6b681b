"""Adding a model is one file and one line: done in a copy of the sources, with the file that the docs page shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import polars as pl
import pytest

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, OptionError
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.models.families import FILES, families, family_of, registered
from linkodds.models.families.baselines import BaselineFamily
from linkodds.runs.record import load_run
from linkodds.scorers.baselines import baseline_scorer
from places import ROOT

PAGE = ROOT / "docs" / "add-a-model.md"


def file_of_the_page() -> str:
    """The first block of the page: what its reader writes into a file."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    assert found is not None
    return found[1]


@pytest.fixture
def added(tmp_path: Path) -> Path:
    """A copy of the sources with the page's file, and one line more in the registry."""
    package = tmp_path / "src" / "linkodds"
    shutil.copytree(ROOT / "src" / "linkodds", package, ignore=shutil.ignore_patterns("__pycache__"))
    folder = package / "models" / "families"
    (folder / "jaccard.py").write_text(file_of_the_page(), encoding="utf-8")
    registry = folder / "__init__.py"
    text = registry.read_text(encoding="utf-8")
    last = f'    "{FILES[-1]}",\n'
    assert text.count(last) == 1
    registry.write_text(text.replace(last, f'{last}    "jaccard",\n'), encoding="utf-8")
    return tmp_path


def test_the_file_is_short() -> None:
    assert len(file_of_the_page().splitlines()) < 30


def test_one_file_and_one_line_are_a_model_of_the_command_line(added: Path, communities: Graph) -> None:
    edges = added / "edges.csv"
    pl.DataFrame(communities.ids[communities.edges].tolist(), schema=["source", "target"], orient="row").write_csv(
        edges
    )

    def linkodds(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "linkodds", *arguments],
            cwd=added,
            env=os.environ | {"PYTHONPATH": str(added / "src"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    linkodds("fit", str(edges), "--model", "jaccard", "--folds", "1", "--degree-calibration", "no", "--out", "run")
    run = added / "run"
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert evaluation["model"]["name"] == "jaccard"
    assert {"jaccard", "l3"} <= set(evaluation["baselines"])

    # What it scored is what networkx counts on the train edges.
    with np.load(run / "split.npz") as parts:
        train = parts["train"]
    graph = nx.empty_graph(communities.num_nodes)
    graph.add_edges_from(train.tolist())
    ids = pl.read_parquet(run / "nodes.parquet")["id"].to_list()
    place = {name: number for number, name in enumerate(ids)}
    predictions = pl.read_parquet(run / "predictions.parquet").head(300)
    pairs = [(place[u], place[v]) for u, v in predictions.select("source", "target").iter_rows()]
    expected = [share for _, _, share in nx.jaccard_coefficient(graph, pairs)]
    np.testing.assert_allclose(predictions["logit"].to_numpy(), expected, atol=1e-7)

    linkodds("find", "run", "--top", "5", "--out", "links.csv")
    assert len(pl.read_csv(added / "links.csv")) == 5
    (run / "report.html").unlink()
    linkodds("report", "run")
    assert "jaccard" in (run / "report.html").read_text(encoding="utf-8")
    linkodds("compare", str(edges), "--models", "jaccard,l3", "--splits", "2", "--folds", "1", "--out", "compared")
    compared = json.loads((added / "compared" / "comparison.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in compared["models"]][:2] == ["jaccard", "l3"]


def test_a_run_of_a_model_that_is_not_there_says_so(communities: Graph, tmp_path: Path) -> None:
    from linkodds.runs.record import write_results
    from linkodds.runs.run_directory import PartialRun

    mine = BaselineFamily(name="mine", help="", count=lambda split, _: baseline_scorer("l3", split))
    with registered(mine):
        run = fit_graph(communities, FitConfig(model="mine", folds=1, threads=1))
        with PartialRun(tmp_path / "run", force=False) as partial:
            write_results(partial, run)
            partial.commit()
        again = load_run(tmp_path / "run")
    pairs = communities.edges[:50]
    np.testing.assert_array_equal(again.scorer.logits(pairs), run.scorer.logits(pairs))
    with pytest.raises(BrokenRun, match="'mine', a model that this linkodds does not have"):
        load_run(tmp_path / "run")
    with pytest.raises(OptionError, match="'l3' is a model of linkodds already"), registered(family_of("l3")):
        pass


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(communities: Graph) -> None:
    with pytest.raises(
        OptionError, match="--model: takes 'auto', 'gae', .*, 'stack', 'degree', .*'own-scorer', not 'gat'"
    ):
        fit_graph(communities, FitConfig(model="gat"))


def test_every_family_has_a_name_of_its_own_and_a_line_of_help() -> None:
    names = [each.name for each in families()]
    assert len(set(names)) == len(names) > 18
    assert all(each.help and "\n" not in each.help for each in families())


def test_names_and_help_are_known_without_torch() -> None:
    code = (
        "import sys; from linkodds.models.families import families; [each.help for each in families()]; "
        "print([name for name in ('torch', 'lightgbm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
