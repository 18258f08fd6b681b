"""Runs as other programs' files, read back with those programs' own readers where they are installed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata
import networkx as nx
import numpy as np
import pytest

from linkodds import cli
from linkodds.config import FitConfig
from linkodds.errors import OptionError, RunError
from linkodds.estimator import LinkPredictor
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.exporting import EXPORTS, export_run, faiss_of
from linkodds.links.inference import find_links
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run

pytestmark = pytest.mark.filterwarnings("ignore:builtin type .wig:DeprecationWarning")  # faiss, on import

SMALL = {"hidden": 8, "dim": 4, "epochs": 3, "threads": 1}


def fitted(graph: Graph, model: str = "gae", **options: Any) -> Run:
    return fit_graph(graph, FitConfig(model=model, **(SMALL | options)))


def exported(run: Run, out: Path, top: int = 7) -> Path:
    export_run(run, out, MissingLinksAssumption().deployment(run), top=top)
    return out


def edges_of(graph: Graph) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in graph.ids[graph.edges].tolist()}


@pytest.fixture(scope="module")
def graph() -> Graph:
    rng = np.random.default_rng(7)
    u, v = np.triu_indices(60, k=1)
    is_edge = rng.random(len(u)) < np.where(u % 4 == v % 4, 0.4, 0.03)
    pairs = np.array([[f"g{a}", f"g{b}"] for a, b in zip(u[is_edge], v[is_edge], strict=True)], dtype=object)
    hostile = {"g1": '<a & "b">', "g2": "007"}
    return Graph.from_edges([[hostile.get(end, end) for end in pair] for pair in pairs], bipartite=False)


@pytest.fixture(scope="module")
def run(graph: Graph) -> Run:
    return fitted(graph)


def test_cytoscape_gets_the_recorded_edges_and_the_best_new_links(run: Run, graph: Graph, tmp_path: Path) -> None:
    network = json.loads(exported(run, tmp_path / "run.cyjs").read_text(encoding="utf-8"))
    name = {node["data"]["id"]: node["data"]["name"] for node in network["elements"]["nodes"]}
    assert list(name.values()) == graph.ids.tolist()
    degrees = {node["data"]["name"]: node["data"]["degree"] for node in network["elements"]["nodes"]}
    assert list(degrees.values()) == graph.degrees().tolist()
    edges = [edge["data"] for edge in network["elements"]["edges"]]
    recorded = {frozenset((name[e["source"]], name[e["target"]])) for e in edges if e["interaction"] == "recorded"}
    assert recorded == edges_of(graph)
    links = find_links(run, MissingLinksAssumption().deployment(run), top=7)
    new = [e for e in edges if e["interaction"] == "new"]
    assert [(name[e["source"]], name[e["target"]], e["probability"]) for e in new] == links.select(
        "source", "target", "probability"
    ).rows()
    assert all("q_value" not in edge for edge in edges)  # empty cells are left out
    assert "links are missing" in network["data"]["assumption"]


def test_cx2_holds_the_same_network(run: Run, tmp_path: Path) -> None:
    network = json.loads(exported(run, tmp_path / "run.cyjs").read_text(encoding="utf-8"))["elements"]
    first, meta, *aspects, last = json.loads(exported(run, tmp_path / "run.cx2").read_text(encoding="utf-8"))
    assert first == {"CXVersion": "2.0", "hasFragments": False}
    assert last["status"][0]["success"]
    content = {name: value for each in aspects for name, value in each.items()}
    assert {each["name"]: each["elementCount"] for each in meta["metaData"]} == {n: len(v) for n, v in content.items()}
    assert [node["v"]["name"] for node in content["nodes"]] == [each["data"]["name"] for each in network["nodes"]]
    for ours, theirs in zip(content["edges"], network["edges"], strict=True):
        ends = {"id": f"e{ours['id']}", "source": str(ours["s"]), "target": str(ours["t"])}
        assert ends | ours["v"] == theirs["data"]
    (declared,) = content["attributeDeclarations"]
    python = {"string": str, "long": int, "double": float}
    for part in ("nodes", "edges"):
        for each in content[part]:
            assert all(type(value) is python[declared[part][name]["d"]] for name, value in each["v"].items())


def test_graphml_is_the_network_again(run: Run, graph: Graph, tmp_path: Path) -> None:
    network = nx.read_graphml(exported(run, tmp_path / "run.graphml"))
    assert not network.is_directed()
    assert list(network) == graph.ids.tolist()
    kinds = [kind for *_, kind in network.edges(data="interaction")]
    assert (kinds.count("recorded"), kinds.count("new")) == (graph.num_edges, 7)


def test_anndata_has_nodes_as_observations(run: Run, graph: Graph, tmp_path: Path) -> None:
    data = anndata.read_h5ad(exported(run, tmp_path / "run.h5ad"))
    assert data.obs_names.tolist() == graph.ids.tolist()
    assert data.obs["degree"].tolist() == graph.degrees().tolist()
    assert run.embeddings is not None
    np.testing.assert_array_equal(data.obsm["X_linkodds"], run.embeddings[0])
    assert (data.obsp["recorded"] != graph.to_scipy()).nnz == 0
    links = find_links(run, MissingLinksAssumption().deployment(run), top=7)
    for name in ("probability", "logit"):
        dense = data.obsp[name].toarray()
        assert data.obsp[name].nnz == 14
        for u, v, value in links.select("source", "target", name).rows():
            i, j = graph.index_of([u, v])
            assert dense[i, j] == dense[j, i] == value
    assert data.uns["linkodds"]["num_links"] == 7
    assert data.uns["linkodds"]["model"] == "gae"


def test_directed_bipartite_and_features_are_kept(directed_ring: Graph, two_sides: Graph, tmp_path: Path) -> None:
    arcs = fitted(directed_ring)
    data = anndata.read_h5ad(exported(arcs, tmp_path / "arcs.h5ad"))
    assert {"X_linkodds", "X_linkodds_target"} <= set(data.obsm)
    assert (data.obsp["recorded"] != directed_ring.to_scipy()).nnz == 0
    assert data.obsp["probability"].nnz == 7
    assert nx.read_graphml(exported(arcs, tmp_path / "arcs.graphml")).is_directed()
    sides = fitted(two_sides, "resource-allocation")
    table = anndata.read_h5ad(exported(sides, tmp_path / "sides.h5ad"))
    assert table.obs["side"].value_counts().to_dict() == {"A": 80, "B": 60, "": 0}
    assert not table.obsm
    featured = Graph.from_edges(two_sides.to_polars(), nodes=two_sides.ids, features=np.eye(140)[:, :20])
    known = LinkPredictor("gae", **SMALL).fit(featured).to_anndata()
    assert featured.features is not None
    assert known.X.shape == (140, 20)
    assert "probability" not in known.obsp


def test_an_index_ranks_as_the_model_does(run: Run, two_sides: Graph, tmp_path: Path) -> None:
    import faiss

    paths = export_run(run, tmp_path / "run.faiss", MissingLinksAssumption().deployment(run)).paths
    index = faiss.read_index(str(paths[0]))
    with np.load(paths[1], allow_pickle=False) as beside:
        ids, queries, bias = beside["ids"], beside["queries"], float(beside["bias"])
    assert ids.tolist() == run.ids.tolist()
    products, places = index.search(queries[[5]], len(ids))
    others = places[0] != 5
    pairs = np.sort(np.column_stack([np.full(others.sum(), 5), places[0][others]]), axis=1)
    base = getattr(run.scorer, "base", run.scorer)
    np.testing.assert_allclose(products[0][others] + bias, base.logits(pairs), rtol=1e-5, atol=1e-5)
    bipartite = fitted(two_sides, "signed-gae", weight_decay=0.01)
    made = faiss_of(bipartite)
    products, places = made.index.search(made.queries[[3]], 100)
    assert set(places[0]) == {-1, *range(80, 140)}  # side B alone
    found = places[0] >= 0
    pairs = np.column_stack([np.full(found.sum(), 3), places[0][found]])
    base = getattr(bipartite.scorer, "base", bipartite.scorer)
    np.testing.assert_allclose(products[0][found] + made.bias, base.logits(pairs), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_written_is_refused(run: Run, graph: Graph, tmp_path: Path, monkeypatch: Any) -> None:
    deployment = MissingLinksAssumption().deployment(run)
    with pytest.raises(OptionError, match=r"run\.gexf.*\.h5ad, \.graphml, \.cyjs, \.cx2 or \.faiss"):
        export_run(run, tmp_path / "run.gexf", deployment)
    with pytest.raises(RunError, match="there is no directory"):
        export_run(run, tmp_path / "none" / "run.cx2", deployment)
    with pytest.raises(OptionError, match="resource-allocation has no embeddings"):
        export_run(fitted(graph, "resource-allocation"), tmp_path / "run.faiss", deployment)
    for module, suffix in (("anndata", "h5ad"), ("faiss", "faiss")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(OptionError, match=rf"pip install 'linkodds\[{module}\]'"):
            export_run(run, tmp_path / f"run.{suffix}", deployment)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["run.cx2", "run.faiss"])
def test_interrupted_while_writing_it_leaves_what_was_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """An index and its arrays belong together: neither is replaced before both are written."""
    deployment = MissingLinksAssumption().deployment(run)
    paths = export_run(run, tmp_path / name, deployment).paths
    before = [path.read_bytes() for path in paths]

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*((Path, "write_bytes") if name == "run.cx2" else (np, "savez")), interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_run(run, tmp_path / name, deployment, top=3)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert [path.read_bytes() for path in paths] == before


def test_lists_of_links_and_commands_write_them_too(run: Run, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    predictor = LinkPredictor("gae", **SMALL)
    predictor.run_ = run
    predictor.save(tmp_path / "run")
    assert predictor.export(tmp_path / "run.cx2", top=3) == [tmp_path / "run.cx2"]

    def linkodds(*words: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["linkodds", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert not left.value.code
        return capsys.readouterr()

    for suffix in ("cyjs", "cx2"):
        out = tmp_path / f"links.{suffix}"
        linkodds("find", str(tmp_path / "run"), "--out", str(out), "--top", "5")
        said = json.loads(out.read_text(encoding="utf-8"))
        assert len(said["elements"]["edges"] if suffix == "cyjs" else said[5]["edges"]) == 5
    for suffix in EXPORTS:
        out = tmp_path / f"all{suffix}"
        shown = linkodds("export", str(tmp_path / "run"), "--out", str(out), "--top", "5", "--json")
        said = json.loads(shown.out)
        assert said["out"][0] == str(out)
        assert said["num_links"] == (None if suffix == ".faiss" else 5)
        assert "links are missing" in shown.err or suffix == ".faiss"


def test_the_formats_are_not_imported_before_they_are_needed() -> None:
    code = (
        "import sys, linkodds.links.exporting, linkodds.estimator; "
        "print({'anndata', 'faiss', 'mlflow', 'torch_geometric'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
