"""Features: joined by id or by row, finite, scaled as said."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler, normalize

from linkodds.errors import BadFeatures, MalformedFile, OptionError, UnknownNode
from linkodds.graph.features import read_features, scale_features
from linkodds.graph.graph import Graph

EDGES = [("a", "b"), ("b", "c")]
NUMBERED = [("2", "0"), ("0", "1")]


def dense(graph: Graph) -> np.ndarray:
    assert graph.features is not None
    matrix = graph.features.matrix
    return matrix.toarray() if sp.issparse(matrix) else matrix


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def feature_file(path: Path, ids: list[str], matrix: np.ndarray) -> Path:
    frame = pl.DataFrame({"id": ids, **{f"f{j}": matrix[:, j] for j in range(matrix.shape[1])}})
    if path.suffix == ".npz":
        sp.save_npz(path, sp.csr_array(matrix))
    elif path.suffix == ".npy":
        np.save(path, matrix)
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_are_joined_by_id_whatever_their_order(suffix: str, tmp_path: Path) -> None:
    matrix = np.array([[3.0, 30.5], [1.0, 10.5], [2.0, 20.5]])
    graph = Graph.from_edges(
        EDGES, features=feature_file(tmp_path / f"x{suffix}", ["c", "a", "b"], matrix), feature_scaling="none"
    )
    assert graph.ids.tolist() == ["a", "b", "c"]
    assert dense(graph).tolist() == [[1.0, 10.5], [2.0, 20.5], [3.0, 30.5]]
    assert graph.features is not None
    assert graph.features.names == ("f0", "f1")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_rows_are_lines_of_nodes_else_integer_ids(suffix: str, tmp_path: Path) -> None:
    path = feature_file(tmp_path / f"x{suffix}", ["0", "1", "2"], np.array([[10.0], [11.0], [12.0]]))
    by_number = Graph.from_edges(NUMBERED, features=path, feature_scaling="none")
    assert by_number.ids.tolist() == ["2", "0", "1"]
    assert dense(by_number).ravel().tolist() == [12, 10, 11]
    by_line = Graph.from_edges(EDGES, features=path, nodes=["c", "b", "a"], feature_scaling="none")
    assert dict(zip(by_line.ids, dense(by_line).ravel().tolist(), strict=True)) == {"c": 10, "b": 11, "a": 12}
    with pytest.raises(BadFeatures, match="3 rows, but 4 lines in --nodes"):
        Graph.from_edges(EDGES, features=path, nodes=["c", "b", "a", "d"])
    with pytest.raises(BadFeatures, match=rf"x{suffix}: its 3 rows fit no ids.*no row for node 'a'"):
        Graph.from_edges(EDGES, features=path)
    with pytest.raises(BadFeatures, match="no row for node '3'"):
        Graph.from_edges([*NUMBERED, ("0", "3")], features=path)
    with pytest.raises(BadFeatures, match="no row for node '01'"):  # text ids: '01' is not 1
        Graph.from_edges([*NUMBERED, ("0", "01")], features=path)


def test_the_index_of_a_pandas_table_may_hold_the_ids() -> None:
    by_index = pd.DataFrame({"x": [1.0, 2.0]}, index=["p53", "atm"])
    assert read_features(by_index).ids.tolist() == ["p53", "atm"]
    by_column = pd.DataFrame({"gene": [7, 8], "x": [1, None]}, index=[3, 4])  # an index of integers is row numbers
    table = read_features(by_column)
    assert table.ids.tolist() == ["7", "8"]
    np.testing.assert_array_equal(table.matrix, [[1.0], [np.nan]])
    flags = read_features(pd.DataFrame({"gene": ["a"], "on": [True], "n": pd.array([None], dtype="Int64")}))
    np.testing.assert_array_equal(flags.matrix, [[1.0, np.nan]])


def test_a_feature_row_of_an_unseen_node_is_an_isolated_node(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "id,x\na,1\nnew,5\nb,2\nc,3\n")
    graph = Graph.from_edges(EDGES, features=path, feature_scaling="none")
    assert graph.ids.tolist() == ["a", "b", "c", "new"]
    assert dense(graph).ravel().tolist() == [1, 2, 3, 5]
    assert any("1 of 4 nodes are isolated" in f.message and f.statistic == 1 for f in graph.findings)
    with pytest.raises(UnknownNode, match=r"x.csv, line 3: 'new' is none of the 3 ids of --nodes \(1 such row"):
        Graph.from_edges(EDGES, features=path, nodes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,x\na,1\nb,2\n", r"x.csv: no row for node 'c' \(1 of 3 nodes have none"),
        ("id,x,y\na,1,1\nb,2,abc\nc,1,1\n", r"x.csv, line 3, node 'b', column 'y': 'abc' is no finite number"),
        ("id,x,y\na,1,1\nb,,2\nc,1,1\n", r"line 3, node 'b', column 'x': '' is no finite"),
        ("id,x,y\na,1,1\nb,2,NaN\nc,-inf,1\n", r"line 3, node 'b', column 'y': 'NaN' .*\(2 such value"),
        ("id,x\na,1\nb,2\na,3\n", r"line 4, column 'id': node 'a' has a row already, x.csv, line 2"),
        ("id,x\na,1\n,2\n", r"line 3, column 'id': an empty id"),
        ("id,x\na,1\nb,1e400\nc,2\n", r"node 'b', column 'x': '1e400'"),
    ],
)
def test_bad_feature_tables_are_refused_with_the_cell(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadFeatures, match=message):
        Graph.from_edges(EDGES, features=write(tmp_path / "x.csv", text))


def test_bad_arrays_are_refused_with_row_and_node(tmp_path: Path) -> None:
    bad = np.eye(3)
    bad[1, 2] = np.inf
    for name in ("x.npz", "x.npy"):
        with pytest.raises(BadFeatures, match=f"{name}, row 1 .from 0., node '1', column 2 .from 0.: inf"):
            Graph.from_edges(NUMBERED, features=feature_file(tmp_path / name, ["0", "1", "2"], bad))
    np.save(tmp_path / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(BadFeatures, match=r"objects.npy: no matrix of features .*without objects"):
        read_features(tmp_path / "objects.npy")
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.eye(2))
    with pytest.raises(BadFeatures, match="the arrays a, b hold 2 matrices"):
        read_features(tmp_path / "two.npz")
    np.savez(tmp_path / "dense.npz", anything=np.eye(2), other=np.zeros(3))
    assert read_features(tmp_path / "dense.npz").matrix.tolist() == [[1, 0], [0, 1]]
    for array, message in ((np.ones(3), "not 3 of type float64"), (np.array([["a"]]), "not 1 x 1 of type <U1")):
        with pytest.raises(BadFeatures, match=message):
            read_features(array)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".npy"])
def test_noise_and_missing_files_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix}"
    with pytest.raises(MalformedFile, match="no such file"):
        read_features(path)
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises((MalformedFile, BadFeatures), match=f"x{suffix}"):
        read_features(path)
    path.write_bytes(b"")
    with pytest.raises((MalformedFile, BadFeatures), match=f"x{suffix}"):
        read_features(path)


def test_unknown_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"ends in \.mat, an unknown format; features are read from"):
        read_features(write(tmp_path / "x.mat", "1"))
    with pytest.raises(OptionError, match="takes auto, none, standard, row; not 'z'"):
        scale_features(np.eye(3), "z")  # type: ignore[arg-type]


def test_headers_of_feature_tables(tmp_path: Path) -> None:
    """A header of names or of numbers; none at all; text ids that look alike."""
    for text in (
        "gene,x\nTP53,1\nATM,2\n",
        ",0\nTP53,1\nATM,2\n",
        "TP53,1\nATM,2\n",
        '"","x"\n"TP53","1"\n"ATM","2"\n',
    ):
        assert read_features(write(tmp_path / "x.csv", text)).ids.tolist() == ["TP53", "ATM"]
    assert read_features(write(tmp_path / "x.csv", "node1,1\nnode2,2\n")).ids.tolist() == ["node1", "node2"]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-6, 1.0, 1e6]))
def test_standard_scaling_is_that_of_scikit_learn(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(rng.normal(0, 10, 70), 1, (30, 70)) * unit
    matrix[:, 3] = 0.1 * unit
    features, findings = scale_features(matrix)
    expected = StandardScaler().fit_transform(matrix)
    expected[:, 3] = 0
    np.testing.assert_allclose(features.matrix, expected, atol=1e-5)  # float32 of values below about 5
    assert features.matrix.dtype == np.float32
    assert features.scaling == "standard"
    assert "1 of 70 features are constant" in findings[1].message


def test_sparse_standard_scaling_divides_and_does_not_centre() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random((200, 30)) < 0.1, rng.normal(size=(200, 30)), 0.0)
    values[:, 4] = 0
    matrix = sp.csr_array(values)
    features, findings = scale_features(matrix)
    expected = StandardScaler(with_mean=False).fit_transform(matrix.tocsr()).toarray()
    assert isinstance(features.matrix, sp.csr_array)
    np.testing.assert_allclose(features.matrix.toarray(), expected, rtol=1e-6)
    assert "not centred" in findings[0].message
    assert findings[1].statistic == 1


def test_row_scaling_is_that_of_scikit_learn_and_counts_zero_rows() -> None:
    rng = np.random.default_rng(1)
    values = np.where(rng.random((50, 40)) < 0.05, rng.random((50, 40)), 0.0)
    values[7] = 0
    matrix = sp.csr_array(values)
    num_zero = int((np.asarray(matrix.sum(axis=1)).ravel() == 0).sum())
    features, findings = scale_features(matrix)
    assert features.scaling == "row"
    np.testing.assert_allclose(features.matrix.toarray(), normalize(matrix, norm="l2").toarray(), rtol=1e-6)
    assert f"{num_zero} of 50 nodes have no feature" in findings[1].message
    again, _ = scale_features(matrix.toarray(), "row")  # a dense matrix of mostly zeros is kept as CSR too
    np.testing.assert_array_equal(again.matrix.toarray(), features.matrix.toarray())


@pytest.mark.parametrize(
    ("matrix", "scaling", "is_sparse"),
    [
        (np.eye(10), "row", True),
        (sp.csr_array(np.eye(10)), "row", True),
        (-np.eye(10), "standard", True),
        (np.arange(20.0).reshape(5, 4), "standard", False),
        (sp.csr_array(np.arange(20.0).reshape(5, 4)), "standard", False),
        (np.zeros((3, 2)), "row", True),
    ],
)
def test_auto_takes_rows_for_sparse_counts_and_standard_for_the_rest(
    matrix: np.ndarray, scaling: str, is_sparse: bool
) -> None:
    features, findings = scale_features(matrix)
    assert (features.scaling, sp.issparse(features.matrix)) == (scaling, is_sparse)
    assert f"scaling {scaling}" in findings[0].message
    assert features.matrix.dtype == np.float32


def test_what_float32_cannot_hold_is_refused() -> None:
    with pytest.raises(BadFeatures, match="too large for float32"):
        scale_features(np.array([[1e39, 1.0], [1.0, 2.0]]), "none")
    with pytest.raises(BadFeatures, match="beyond float64"):
        scale_features(np.array([[1e300, 1.0], [-1e300, 2.0]]), "standard")
    with pytest.raises(BadFeatures, match="beyond float64"):
        scale_features(np.array([[1e300, 1.0], [-1e300, 2.0]]), "row")


def test_real_features(real_data: Path) -> None:
    """Word features are row-scaled, expression and sequence features standardised; empty rows are counted."""
    graph = Graph.from_edges(real_data / "citeseer" / "edges.csv.gz", features=real_data / "citeseer" / "features.npz")
    assert graph.num_nodes == 3327
    words = sp.load_npz(real_data / "citeseer" / "features.npz")
    order = graph.ids.astype(np.int64)
    np.testing.assert_array_equal(dense(graph) > 0, words.toarray()[order] > 0)
    messages = " ".join(finding.message for finding in graph.findings)
    assert "48 of 3327 nodes are isolated" in messages
    assert "15 of 3327 nodes have no feature" in messages
    folder = real_data / "ppi_shs27k_seq"
    sequence = Graph.from_edges(folder / "edges.csv.gz", features=folder / "features.npz").features
    assert sequence is not None
    assert sequence.scaling == "standard"
    np.testing.assert_allclose(np.asarray(sequence.matrix).mean(axis=0), 0, atol=1e-5)


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(BadFeatures, match="not all of one length"):
        read_features([[1.0], [1.0, 2.0]])
