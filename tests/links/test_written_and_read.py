"""What we write we read again: recorded edges are recorded, predicted links are not, and nothing else changes."""

import re
import tempfile
from pathlib import Path
from typing import Any

import anndata
import igraph
import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from linkodds.config import FitConfig
from linkodds.errors import DataError
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.exporting import export_run, network_of
from linkodds.links.inference import find_links
from linkodds.links.link_files import table_writer
from linkodds.links.network_files import NETWORK_FORMATS, Network
from linkodds.reading.formats.own_files import MARKER
from linkodds.reading.reading import read_pairs
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run

names = (
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=8).map(str.strip).filter(bool)
)
hard_names = st.one_of(
    names, st.sampled_from(["NA", "007", "1.0", "n1", "17", "null", '"', "<&>", "#x", "true", "source"])
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs with hostile ids: undirected, directed, or of two sides; some nodes are lonely."""
    ids = draw(st.lists(hard_names, min_size=4, max_size=9, unique=True))
    kind = draw(st.sampled_from(["undirected", "directed", "bipartite"]))
    half = len(ids) // 2
    pairs = [(u, v) for u in range(len(ids)) for v in range(len(ids)) if u != v]
    if kind == "bipartite":
        pairs = [(u, v) for u in range(half) for v in range(half, len(ids))]
    elif kind == "undirected":
        pairs = [(u, v) for u, v in pairs if u < v]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=len(pairs) - 1, unique=True))
    if kind == "bipartite":  # two sides of one node each would be complete
        assume(len({u for u, _ in chosen}) * len({v for _, v in chosen}) > len(chosen))
    edges = [(ids[u], ids[v]) for u, v in chosen]
    whole = [all(re.fullmatch(r"-?\d+(\.0)?", pair[end]) for pair in edges) for end in (0, 1)]
    assume(not all(whole))  # of whole numbers alone 1 and 1.0 are one node
    return Graph.from_edges(edges, nodes=ids, directed=kind == "directed", bipartite=kind == "bipartite")


def some_links(graph: Graph) -> pl.DataFrame:
    """Pairs without an edge as find would list them."""
    held = {tuple(pair) for pair in graph.edges.tolist()}
    n = graph.num_nodes
    free = [(u, v) for u in range(n) for v in range(n) if u != v and (u, v) not in held and (v, u) not in held][:3]
    ends = [[str(graph.ids[u]), str(graph.ids[v])] for u, v in free]
    columns = {
        name: pl.Series([pair[i] for pair in ends], dtype=pl.String) for i, name in enumerate(("source", "target"))
    }
    return pl.DataFrame(columns | {"logit": [-1.5] * len(free), "probability": [0.25] * len(free)})


def network(graph: Graph, links: pl.DataFrame) -> Network:
    """The network of a run, made by hand."""
    ends = graph.ids[graph.edges]
    edges = pl.DataFrame(
        {
            "source": pl.Series(ends[:, 0].tolist(), dtype=pl.String),
            "target": pl.Series(ends[:, 1].tolist(), dtype=pl.String),
            "interaction": ["recorded"] * len(ends),
        }
    )
    edges = pl.concat([edges, links.with_columns(interaction=pl.lit("new"))], how="diagonal")
    nodes: dict[str, Any] = {"id": pl.Series(graph.ids.tolist(), dtype=pl.String), "degree": graph.degrees()}
    if graph.space.sides is not None:
        a, b = graph.space.sides
        nodes["side"] = ["A"] * a + ["B"] * b + [""] * (graph.num_nodes - a - b)
    return Network(pl.DataFrame(nodes), edges, graph.space.directed, {MARKER: "0", "name": "run"})


def assert_same(again: Graph, graph: Graph) -> None:
    assert again.ids.tolist() == graph.ids.tolist()
    assert again.edges.tolist() == graph.edges.tolist()
    assert again.space == graph.space


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(graph=graphs())
def test_every_network_format_gives_the_graph_again_and_no_predicted_link(graph: Graph) -> None:
    links = some_links(graph)
    with tempfile.TemporaryDirectory() as folder:
        for suffix, write in NETWORK_FORMATS.items():
            path = Path(folder) / f"run{suffix}"
            path.write_bytes(write(network(graph, links)))
            bipartite = None if graph.space.bipartite else False
            again = Graph.from_edges(path, bipartite=bipartite)
            assert_same(again, graph)
            said = [
                finding.message
                for finding in again.findings
                if "predicted link(s) in it are no edges" in finding.message
            ]
            assert bool(said) == bool(len(links))
        for name, object_ in (
            ("networkx", graph.to_networkx()),
            ("scipy", graph.to_scipy()),
            ("polars", graph.to_polars()),
        ):
            given_ = {"nodes": graph.ids, "directed": graph.space.directed, "bipartite": graph.space.bipartite}
            assert_same(Graph.from_edges(object_, **({} if name == "networkx" else given_)), graph)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(graph=graphs())
def test_every_list_of_links_is_those_pairs_again(graph: Graph) -> None:
    links = some_links(graph)
    if not len(links):
        return
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".csv", ".tsv", ".parquet", ".jsonl", *NETWORK_FORMATS):
            path = Path(folder) / f"links{suffix}"
            table_writer(path, directed=graph.space.directed)(links)
            columns = {"source": "source", "target": "target"} if suffix in (".csv", ".tsv") else {}
            source, target = read_pairs(path, ReadingOptions(**columns))
            read, wanted = list(zip(source, target, strict=True)), links.select("source", "target").rows()
            if suffix in NETWORK_FORMATS and not graph.space.directed:  # neither order nor ends have one
                assert sorted(map(sorted, read)) == sorted(map(sorted, wanted))
            else:
                assert read == wanted
            if suffix in NETWORK_FORMATS:
                with pytest.raises(DataError, match="holds predicted links alone"):
                    Graph.from_edges(path)


@pytest.fixture(params=["undirected", "directed", "bipartite"])
def run(request: pytest.FixtureRequest, directed_ring: Graph, two_sides: Graph) -> Run:
    rng = np.random.default_rng(3)
    u, v = np.triu_indices(40, k=1)
    chosen = rng.random(len(u)) < 0.15
    pairs = np.column_stack([u, v])[chosen]
    graph = {
        "undirected": Graph.from_edges([[f"g{a}", f"g{b}"] for a, b in pairs.tolist()], bipartite=False),
        "directed": directed_ring,
        "bipartite": two_sides,
    }[request.param]
    return fit_graph(graph, FitConfig(model="gae", hidden=8, dim=4, epochs=3, threads=1))


@pytest.mark.parametrize("suffix", [".h5ad", *NETWORK_FORMATS])
def test_an_exported_run_is_its_graph_again(run: Run, suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"run{suffix}"
    export_run(run, out, MissingLinksAssumption().deployment(run), top=7)
    space = run.split.space
    again = Graph.from_edges(out, bipartite=None if space.bipartite else False)
    assert again.ids.tolist() == run.ids.tolist()
    assert again.space == space
    recorded = np.concatenate([run.split.train, run.split.validation, run.split.calibration, run.split.test])
    assert again.edges.tolist() == recorded[np.argsort(space.keys(recorded))].tolist()


def test_products_of_the_exported_matrix_count() -> None:
    """A star with 200 leaves: two of them share one neighbour, and the hub has 200 walks to itself, which int8 cannot count."""
    graph = Graph.from_edges([("hub", f"leaf{i}") for i in range(200)], bipartite=False)
    matrix = graph.to_scipy()
    assert (matrix @ matrix)[0, 0] == 200


def test_graphml_opens_in_networkx_and_igraph_with_every_edge_apart(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run.graphml"
    deployment = MissingLinksAssumption().deployment(run)
    export_run(run, out, deployment, top=7)
    ids = [
        line.split('id="')[1].split('"')[0] for line in out.read_text(encoding="utf-8").split("\n") if "<edge " in line
    ]
    held = network_of(run, find_links(run, deployment, top=7), deployment.assumption)
    assert len(ids) == len(set(ids)) == len(held.edges)
    graph = igraph.Graph.Read_GraphML(str(out))
    assert graph.is_directed() == run.split.space.directed
    assert (graph.vcount(), graph.ecount()) == (len(run.ids), len(held.edges))
    kinds = np.array(graph.es["interaction"])
    assert np.isnan(np.array(graph.es["probability"])[kinds == "recorded"]).all()  # missing, and not zero
    written = np.array(graph.es["probability"])[kinds == "new"].tolist()
    assert sorted(written) == sorted(held.edges["probability"].drop_nulls().to_list())
    network = nx.read_graphml(out, force_multigraph=True)
    assert network.number_of_edges() == len(held.edges)


def test_anndata_keeps_direction_and_a_type_that_counts(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "run.h5ad"
    export_run(run, out, MissingLinksAssumption().deployment(run), top=3)
    data = anndata.read_h5ad(out)
    assert bool(data.uns["linkodds"]["directed"]) == run.split.space.directed
    assert data.obsp["recorded"].dtype == np.int32
    assert data.obsp["recorded"].sum() == (1 if run.split.space.directed else 2) * sum(
        len(getattr(run.split, part)) for part in ("train", "validation", "calibration", "test")
    )


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl", *NETWORK_FORMATS])
def test_no_list_of_predicted_links_is_read_as_edges(tmp_path: Path, suffix: str) -> None:
    ends = {
        "source": ["a", "b", "c"],
        "target": ["b", "c", "d"],
        "logit": [1.0, 0.5, -1.0],
        "probability": [0.7, 0.6, 0.3],
    }
    nothing = pl.Series([None] * 3, dtype=pl.Float64)
    links = pl.DataFrame({**ends, "q_value": nothing, "evidence": ["2 common neighbors"] * 3})
    path = tmp_path / f"links{suffix}"
    table_writer(path)(links)
    with pytest.raises(DataError, match="predict takes this file as pairs"):
        Graph.from_edges(path)
    source, target = read_pairs(path)  # as pairs it is what it was
    assert set(zip(source.tolist(), target.tolist(), strict=True)) == set(
        zip(ends["source"], ends["target"], strict=True)
    )


def test_lists_in_memory_and_of_predict_are_no_edges_either_unless_a_label_says_which_rows_are() -> None:
    ends = {
        "source": ["a", "b", "c"],
        "target": ["b", "c", "d"],
        "logit": [1.0, 0.5, -1.0],
        "probability": [0.7, 0.6, 0.3],
    }
    frame = pl.DataFrame({**ends, "decision": [True, True, False], "known": [True, False, True]})
    for table in (frame, pd.DataFrame(frame.to_dict(as_series=False))):
        with pytest.raises(DataError, match=r"columns of a list that linkodds wrote \(logit, probability, decision\)"):
            Graph.from_edges(table)
        known = Graph.from_edges(table, label="known")
        assert known.ids[known.edges].tolist() == [["a", "b"], ["c", "d"]]
    # a list of somebody else, with a probability of its own, is what it says
    assert Graph.from_edges(frame.select("source", "target", "probability")).num_edges == 3
