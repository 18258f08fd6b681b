"""Objects of other libraries: read as they are, or refused with the call that helps; nothing is walked through without end."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import igraph
import networkx as nx
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch

from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.graph.graph import Graph
from linkodds.reading.reading import read_edges
from linkodds.reading.reading_options import ReadingOptions

PAIRS = [("TP53", "MDM2"), ("MDM2", "ATM")]
NAMES = ["TP53", "MDM2", "ATM", "LONER"]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # PyG, on import


def matrix() -> sp.csr_matrix:
    return sp.csr_matrix(([1.0, 1, 0.5, 0.5], ([0, 1, 1, 2], [1, 0, 2, 1])), shape=(4, 4))


def named_igraph(**options: Any) -> Any:
    graph = igraph.Graph(n=4, edges=[(0, 1), (1, 2)], **options)
    graph.vs["name"] = NAMES
    return graph


def annotated() -> Any:
    none = pd.DataFrame(index=pd.Index([], dtype=object))
    data = anndata.AnnData(obs=pd.DataFrame(index=pd.Index(NAMES, dtype=object)), var=none)
    data.obsp["connectivities"] = matrix()
    return data


def stand_in(module: str, name: str, **members: Any) -> Any:
    """An object whose type has the name of a library that the suite does not install, with the members that are read."""
    kind = type(name, (), {"__module__": module, **members})
    return kind()


def edges_of(graph: Graph) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in graph.ids[graph.edges].tolist()}


WANTED = {frozenset(pair) for pair in PAIRS}
NAMED: dict[str, Callable[[], Any]] = {
    "networkx": lambda: nx.Graph(PAIRS),
    "igraph": named_igraph,
    "AnnData": annotated,
    "pandas": lambda: pd.DataFrame(PAIRS, columns=["source", "target"]),
    "polars": lambda: pl.DataFrame(PAIRS, schema=["source", "target"], orient="row"),
    "StringIO": lambda: io.StringIO("source,target\nTP53,MDM2\nMDM2,ATM\n"),
    "BytesIO of SIF": lambda: io.BytesIO(b"TP53\tpp\tMDM2\tMDM2\nMDM2\tpp\tATM\nLONER\n"),
    "list": lambda: PAIRS,
    "array": lambda: np.array(PAIRS),
    "rustworkx": lambda: stand_in(
        "rustworkx",
        "PyGraph",
        node_indices=lambda _: range(4),
        __getitem__=lambda _, i: NAMES[i],
        weighted_edge_list=lambda _: [(0, 1, None), (1, 2, 3.5)],
    ),
}
NUMBERED: dict[str, Callable[[], Any]] = {
    "edge_index": lambda: np.array([[0, 1, 0, 2], [1, 2, 1, 1]]),
    "edge_index of torch": lambda: torch.tensor([[0, 1, 0, 2], [1, 2, 1, 1]]),
    "pairs of torch": lambda: torch.tensor([[0, 1], [1, 2], [2, 1]]),
    "torch.sparse": lambda: torch.sparse_coo_tensor(
        [[0, 1, 1, 2], [1, 0, 2, 1]], [1.0, 1, 1, 1], (4, 4), check_invariants=True
    ),
    "scipy": matrix,
    "igraph without names": lambda: igraph.Graph(n=4, edges=[(0, 1), (1, 2)]),
}


@pytest.mark.parametrize("kind", NAMED)
def test_names_come_with_the_object(kind: str) -> None:
    graph = Graph.from_edges(NAMED[kind](), bipartite=False)
    assert edges_of(graph) == WANTED
    assert not graph.space.directed


@pytest.mark.parametrize("kind", NUMBERED)
def test_numbers_are_those_of_the_object(kind: str) -> None:
    assert edges_of(Graph.from_edges(NUMBERED[kind](), bipartite=False)) == {frozenset("01"), frozenset("12")}


def test_adj_t_of_pyg_is_read_with_its_direction() -> None:
    from torch_geometric.data import Data

    index = torch.tensor([[0, 0, 3], [1, 2, 1]])
    adj_t = torch.sparse_coo_tensor(index.flip(0), torch.ones(3), (4, 4), check_invariants=True)
    graph = Graph.from_edges(Data(adj_t=adj_t, num_nodes=4), directed=True)
    assert graph.edges.tolist() == [[0, 1], [0, 2], [3, 1]]


def test_direction_weights_and_kinds_are_the_objects_own() -> None:
    arcs = named_igraph(directed=True)
    arcs.es["w"] = [0.25, 0.5]
    graph = Graph.from_edges(arcs, weight="w", weight_as="confidence")
    assert graph.space.directed
    assert graph.ids[graph.edges].tolist() == [list(pair) for pair in PAIRS]
    assert graph.weights is not None
    assert graph.weights.values.tolist() == [0.25, 0.5]
    network = nx.Graph()
    network.add_edge("a", "b", kind="binds")
    network.add_edge("b", "c", kind="cuts")
    read = read_edges(network, ReadingOptions(relation="kind", predict_kind="cuts"))
    assert read.ids[read.pairs].tolist() == [["b", "c"]]
    read = read_edges(annotated(), ReadingOptions(weight="value", weight_as="confidence"))
    assert read.weights is not None
    assert read.weights.values.tolist() == [1, 0.5]


def test_anndata_with_several_matrices_needs_a_key() -> None:
    data = annotated()
    data.obsp["distances"] = matrix()
    with pytest.raises(DataError, match="2 matrices in obsp, 'connectivities', 'distances'; say with key="):
        read_edges(data)
    assert read_edges(data, ReadingOptions(key="distances")).ids.tolist() == NAMES
    modalities = stand_in("mudata", "MuData", mod={"rna": data}, obsp={})
    with pytest.raises(DataError, match="'rna/connectivities', 'rna/distances'; say with key="):
        read_edges(modalities)
    assert read_edges(modalities, ReadingOptions(key="rna/distances")).ids.tolist() == NAMES
    with pytest.raises(OptionError, match="--key"):
        read_edges(nx.path_graph(3), ReadingOptions(key="x"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: (pair for pair in PAIRS), r"a builtins.generator is no graph that is read here; pass list\(pairs\)"),
        (lambda: {"a": ["b"]}, "a builtins.dict is no graph"),
        (lambda: nx.Graph(PAIRS).edges, r"a EdgeView is none of: .*Pass list\(...\)"),
        (lambda: pl.LazyFrame({"a": [1]}), r"frame.collect\(\) makes a table of it"),
        (lambda: np.eye(5), r"dense matrix of shape \(5, 5\) is no list of pairs; pass scipy.sparse.csr_array"),
        (lambda: np.zeros((2, 5), dtype=int), r"a ndarray of shape \(2, 5\) is none of"),
        (lambda: stand_in("torch_geometric.data", "HeteroData", edge_index_dict={}), "to_homogeneous"),
        (lambda: stand_in("dgl", "DGLGraph"), r"pass dgl.to_networkx\(graph\)"),
        (
            lambda: stand_in("somewhere", "Endless", __getitem__=lambda _, i: i, __len__=lambda _: 10**12),
            "a Endless is none of",
        ),
        (lambda: 3, "a int is none of"),
        (lambda: sp.csr_array(np.ones((2, 3))), "is 2 x 3; an adjacency matrix is square"),
    ],
)
def test_what_is_not_read_is_refused_with_the_call_that_helps(value: Callable[[], Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_edges(value())


def test_open_files_are_read_as_their_names_say(tmp_path: Path) -> None:
    path = tmp_path / "a.sif"
    path.write_text("TP53 pp MDM2\nMDM2 pp ATM\nLONER\n")
    for mode in ("r", "rb"):
        with path.open(mode) as file:
            graph = Graph.from_edges(file, bipartite=False)
        assert edges_of(graph) == WANTED
        assert "LONER" in graph.ids
    with path.open() as file:
        file.read()
        with pytest.raises(MalformedFile, match=r"nothing left to read; pass its path, or seek\(0\) first"):
            read_edges(file)
    with pytest.raises(DataError, match="the open file cannot be read"):
        read_edges(file)
    frame = pl.DataFrame(PAIRS, schema=["source", "target"], orient="row")
    frame.write_parquet(tmp_path / "a.parquet")
    with (tmp_path / "a.parquet").open("rb") as opened:
        assert len(read_edges(opened).pairs) == 2


def test_tables_of_duckdb_are_read() -> None:
    import duckdb

    relation = duckdb.sql("SELECT * FROM (VALUES ('TP53', 'MDM2'), ('MDM2', 'ATM')) AS t(source, target)")
    assert edges_of(Graph.from_edges(relation, bipartite=False)) == WANTED
