"""Graphs of other libraries in memory, known by the name of their type, so that none of them is imported."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import DataError, OptionError
from linkodds.findings import Finding
from linkodds.reading.formats.names import ids_by_names
from linkodds.reading.formats.parsed import ParsedGraph, built, text_of_value
from linkodds.reading.formats.square import parsed_of_square
from linkodds.reading.interop import as_array, is_networkx

_Read = Callable[[Any, str | None], ParsedGraph]


def parsed_of_object(value: Any, key: str | None) -> ParsedGraph | None:
    """A graph object of a library that is known here; None for anything else.

    Args:
        value: the object.
        key: which matrix of AnnData or MuData.
    Raises:
        DataError: an object that holds no graph, or one that some call turns into what is read; the message has the call.
        OptionError: a key, where there is one graph.
    Example:
        >>> import networkx as nx
        >>> graph = parsed_of_object(nx.path_graph(3), None)
        >>> graph.ids.tolist(), graph.pairs.tolist(), graph.directed
        (['0', '1', '2'], [[0, 1], [1, 2]], False)
    """
    kind = kind_of(value)
    if kind in _CURES:
        raise DataError(f"edges: a {kind} is no graph that is read here; {_CURES[kind]}.")
    reader = _READERS.get(kind)
    if kind == "torch.Tensor" and str(value.layout) == "torch.strided":
        return None  # an array like others
    if reader is None and is_networkx(value):
        reader = _of_networkx
    if reader is None:
        return None
    if key is not None and reader not in (_of_anndata, _of_mudata):
        raise OptionError(f"--key: a {kind} holds one graph; leave key out.")
    return reader(value, key)


def kind_of(value: Any) -> str:
    """Library and name of the type of a value, such as "igraph.Graph"; of a subclass, that of the class that is known.

    Example:
        >>> kind_of([]), kind_of(pl.DataFrame())
        ('builtins.list', 'polars.DataFrame')
    """
    names = [f"{each.__module__.split('.')[0]}.{each.__name__}" for each in type(value).__mro__]
    return next((name for name in names if name in _READERS or name in _CURES), names[0])


def frame_of_object(value: Any) -> Any:
    """A table of pyarrow, DuckDB or dask, or a series of lists, as a polars or pandas frame; other values as they are.

    Raises:
        DataError: a table that must be computed first; with the call.
    """
    kind = kind_of(value)
    if kind in _FRAMES:
        return _FRAMES[kind](value)
    return value


def _of_networkx(graph: Any, _: str | None) -> ParsedGraph:
    nodes = list(graph.nodes)
    ids = _distinct([text_of_value(node) for node in nodes], "the NetworkX graph")
    place = {node: i for i, node in enumerate(nodes)}
    edges = list(graph.edges(data=True))
    return built(
        ids,
        [(place[u], place[v]) for u, v, _ in edges],
        [_plain(about) for *_, about in edges],
        place="the NetworkX graph",
        layout="NetworkX",
        directed=graph.is_directed(),
    )


def _of_igraph(graph: Any, _: str | None) -> ParsedGraph:
    numbers = [str(i) for i in range(graph.vcount())]
    attributes = {name: [text_of_value(value) for value in graph.vs[name]] for name in graph.vs.attributes()}
    ids, said = ids_by_names(numbers, attributes, "the igraph graph", "attribute")
    columns = {name: list(graph.es[name]) for name in graph.es.attributes()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return built(
        ids,
        graph.get_edgelist(),
        [_plain(row) for row in rows],
        place="the igraph graph",
        layout="igraph",
        directed=bool(graph.is_directed()),
        numbered=ids == numbers,
        findings=tuple(said),
    )


def _of_rustworkx(graph: Any, _: str | None) -> ParsedGraph:
    """Payloads of nodes are their ids where they are texts or numbers and differ, or records with a name; else the indices."""
    indices = list(graph.node_indices())
    numbers = [str(i) for i in indices]
    payloads = [graph[i] for i in indices]
    if payloads and all(isinstance(each, dict) for each in payloads):
        names = dict.fromkeys(name for each in payloads for name in each)
        attributes = {name: [text_of_value(each.get(name)) for each in payloads] for name in names}
    else:
        plain = all(isinstance(each, str | int | float) for each in payloads)
        attributes = {"name": [text_of_value(each) for each in payloads]} if plain else {}
    ids, said = ids_by_names(numbers, attributes, "the rustworkx graph", "payload")
    place = {index: i for i, index in enumerate(indices)}
    edges = list(graph.weighted_edge_list())
    return built(
        ids,
        [(place[u], place[v]) for u, v, _ in edges],
        [_plain(each) if isinstance(each, dict) else {} if each is None else {"weight": each} for *_, each in edges],
        place="the rustworkx graph",
        layout="rustworkx",
        directed=type(graph).__name__ == "PyDiGraph",
        findings=tuple(said),
    )


def _of_networkit(graph: Any, _: str | None) -> ParsedGraph:
    nodes = list(graph.iterNodes())
    place = {node: i for i, node in enumerate(nodes)}
    weighted = bool(graph.isWeighted())
    edges = list(graph.iterEdgesWeights()) if weighted else [(u, v, None) for u, v in graph.iterEdges()]
    return built(
        [str(node) for node in nodes],
        [(place[u], place[v]) for u, v, _ in edges],
        [{"weight": weight} for *_, weight in edges] if weighted else [],
        place="the NetworKit graph",
        layout="NetworKit",
        directed=bool(graph.isDirected()),
        numbered=len(nodes) == graph.upperNodeIdBound(),
    )


def _of_bunch(bunch: Any, _: str | None) -> ParsedGraph:
    """A graph of scikit-network: adjacency with names, or biadjacency with names of rows and columns."""
    place = "the scikit-network graph"
    if bunch.get("adjacency") is not None:
        names = bunch.get("names")
        ids = None if names is None else _texts(names)
        return parsed_of_square(bunch["adjacency"], place=place, layout="scikit-network", ids=ids)
    if bunch.get("biadjacency") is None:
        raise DataError(f"{place} has neither adjacency nor biadjacency; it has {', '.join(bunch)}.")
    entries = sp.coo_array(bunch["biadjacency"])
    rows, columns = entries.shape
    sides = [bunch.get("names_row"), bunch.get("names_col")]
    texts = [
        _texts(names) if names is not None else np.array([f"{word}:{i}" for i in range(size)], dtype=object)
        for names, size, word in zip(sides, (rows, columns), ("row", "column"), strict=True)
    ]
    if set(texts[0]) & set(texts[1]):
        texts = [
            np.array([f"{word}:{text}" for text in each], dtype=object)
            for each, word in zip(texts, ("row", "column"), strict=True)
        ]
    present = entries.data != 0
    pairs = np.column_stack([entries.row[present], entries.col[present] + rows]).astype(np.int64)
    values = entries.data[present].astype(np.float64)
    same = not len(values) or (values == values[0]).all()
    return ParsedGraph(
        place,
        "scikit-network, two sides",
        np.concatenate(texts),
        pairs,
        False,
        None if same else pl.DataFrame({"value": values}),
        side=np.repeat(np.array([0, 1], dtype=np.int64), [rows, columns]),
    )


def _of_torch_sparse(tensor: Any, _: str | None) -> ParsedGraph:
    coo = tensor.to_sparse_coo().coalesce().detach().cpu()
    index, values = coo.indices().numpy(), coo.values().numpy()
    matrix = sp.coo_array((values, (index[0], index[1])), shape=tuple(coo.shape))
    return parsed_of_square(matrix, place="the sparse tensor", layout="torch.sparse")


def _of_graphblas(matrix: Any, _: str | None) -> ParsedGraph:
    rows, columns, values = matrix.to_coo()
    shape = (int(matrix.nrows), int(matrix.ncols))
    return parsed_of_square(
        sp.coo_array((np.asarray(values), (rows.astype(np.int64), columns.astype(np.int64))), shape=shape),
        place="the GraphBLAS matrix",
        layout="GraphBLAS",
    )


def _of_anndata(data: Any, key: str | None, prefix: str = "") -> ParsedGraph:
    held = list(data.obsp.keys())
    listed = ", ".join(repr(prefix + name) for name in held)
    if not held:
        raise DataError("the AnnData object has no matrix in obsp; scanpy.pp.neighbors(adata) makes one.")
    if key is None and len(held) > 1:
        raise DataError(f"the AnnData object has {len(held)} matrices in obsp, {listed}; say with key= which one.")
    if key is not None and key not in held:
        raise DataError(f"the AnnData object has no matrix {prefix + key!r} in obsp for key=; there are {listed}.")
    chosen = held[0] if key is None else key
    return parsed_of_square(
        sp.coo_array(data.obsp[chosen]),
        place=f"obsp[{prefix + chosen!r}]",
        layout="AnnData",
        ids=_texts(data.obs_names),
    )


def _of_mudata(data: Any, key: str | None) -> ParsedGraph:
    parts = {f"{name}/{each}": (part, each) for name, part in data.mod.items() for each in part.obsp}
    parts |= {each: (data, each) for each in data.obsp}
    listed = ", ".join(map(repr, parts))
    if not parts:
        raise DataError("the MuData object has no matrix in obsp; scanpy.pp.neighbors(mdata['MODALITY']) makes one.")
    if key is None and len(parts) > 1:
        raise DataError(f"the MuData object has {len(parts)} matrices in obsp, {listed}; say with key= which one.")
    if key is not None and key not in parts:
        raise DataError(f"the MuData object has no matrix {key!r} in obsp for key=; there are {listed}.")
    part, name = parts[next(iter(parts)) if key is None else key]
    return _of_anndata(part, name)


def _of_edge_index_pair(array: NDArray[Any]) -> ParsedGraph:
    """An array of shape (2, edges) of whole numbers, as PyG has it, read as its columns."""
    index = array.astype(np.int64)
    count = int(index.max()) + 1
    message = f"The array of shape {array.shape} is read as edge_index: each column is an edge."
    return ParsedGraph(
        "the array",
        "edge_index",
        np.array([str(i) for i in range(count)], dtype=object),
        index.T,
        numbered=True,
        findings=(Finding("reading", "info", message, "Pass array.T to be sure."),),
    )


def parsed_of_array(array: NDArray[Any]) -> ParsedGraph | None:
    """An array that is no list of pairs, but an edge_index; None for any other.

    Raises:
        DataError: a dense matrix, with the call that makes a sparse one.
    Example:
        >>> parsed_of_array(np.array([[0, 1, 2], [1, 2, 3]])).pairs.tolist()
        [[0, 1], [1, 2], [2, 3]]
    """
    if array.ndim != 2:
        return None
    if len(array) == 2 and array.shape[1] > 2 and array.dtype.kind in "iu" and array.max() > 1 and array.min() >= 0:
        return _of_edge_index_pair(array)
    if array.shape[0] == array.shape[1] and array.shape[0] > 2 and array.dtype.kind in "biuf":
        raise DataError(
            f"edges: a dense matrix of shape {array.shape} is no list of pairs; pass scipy.sparse.csr_array(matrix), with "
            "zeros where there is no edge."
        )
    return None


def array_of(value: Any) -> NDArray[Any] | None:
    """An array of what is one, or a list or tuple of pairs; None for anything else, which is never walked through."""
    if isinstance(value, list | tuple):
        return np.asarray(value, dtype=object)
    is_array = any(hasattr(value, name) for name in ("__array__", "__array_interface__", "detach"))
    return as_array(value) if is_array else None


def text_of_open_file(value: Any) -> tuple[Path, bytes] | None:
    """Name and content of an open file or a StringIO; None for anything else. The file stays open, at its end.

    Raises:
        DataError: a file that is closed, or open for writing.
    Example:
        >>> import io
        >>> text_of_open_file(io.StringIO("a,b"))[1], text_of_open_file([])
        (b'a,b', None)
    """
    if isinstance(value, str | bytes) or not callable(getattr(value, "read", None)):
        return None
    try:
        content = value.read()
    except (OSError, ValueError) as error:
        raise DataError(f"edges: the open file cannot be read ({error}); pass its path.") from error
    data = content.encode() if isinstance(content, str) else content
    if not isinstance(data, bytes):
        raise DataError(
            f"edges: read() of a {type(value).__name__} gives a {type(content).__name__}; pass the path of a file."
        )
    name = getattr(value, "name", None)
    return Path(name if isinstance(name, str) else "open file.txt"), data


def _texts(values: Any) -> NDArray[np.object_]:
    return np.array([text_of_value(value) for value in as_array(values).tolist()], dtype=object)


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that are values."""
    kept = (str, int, float, bool, np.generic)
    return {str(name): value for name, value in attributes.items() if value is None or isinstance(value, kept)}


def _distinct(ids: list[str], place: str) -> list[str]:
    if len(set(ids)) < len(ids):
        names, counts = np.unique(ids, return_counts=True)
        raise DataError(
            f"{place}: {counts.max()} nodes have the id {str(names[counts.argmax()])!r} as text; "
            "give every node an id of its own."
        )
    return ids


_READERS: dict[str, _Read] = {
    "igraph.Graph": _of_igraph,
    "rustworkx.PyGraph": _of_rustworkx,
    "rustworkx.PyDiGraph": _of_rustworkx,
    "networkit.Graph": _of_networkit,
    "sknetwork.Dataset": _of_bunch,
    "sknetwork.Bunch": _of_bunch,
    "torch.Tensor": _of_torch_sparse,
    "graphblas.Matrix": _of_graphblas,
    "anndata.AnnData": _of_anndata,
    "mudata.MuData": _of_mudata,
}
_CURES = {
    "torch_geometric.HeteroData": "data.to_homogeneous() makes one graph of it",
    "dgl.DGLGraph": "pass dgl.to_networkx(graph)",
    "dgl.DGLHeteroGraph": "pass dgl.to_networkx(graph)",
    "graph_tool.Graph": "pass graph.get_edges(), pairs of numbers",
    "polars.LazyFrame": "frame.collect() makes a table of it",
    "torch_sparse.SparseTensor": "tensor.to_scipy() makes a SciPy matrix of it",
    "jax.ArrayImpl": "pass numpy.asarray(array)",
    "builtins.dict": "pass pairs, list(graph.edges), or a table",
    "builtins.set": "pass a list of pairs",
    "builtins.generator": "pass list(pairs)",
    "pandas.Series": "pass a frame with two columns, series.reset_index()",
    "polars.Series": "pass a frame with two columns",
    "stellargraph.StellarGraph": "pass graph.to_networkx()",
    "pyspark.DataFrame": "pass frame.toPandas()",
}
_FRAMES: dict[str, Callable[[Any], Any]] = {
    "pyarrow.Table": pl.from_arrow,
    "pyarrow.RecordBatch": pl.from_arrow,
    "duckdb.DuckDBPyRelation": lambda relation: relation.df(),
    "_duckdb.DuckDBPyRelation": lambda relation: relation.df(),
    "dask.DataFrame": lambda frame: frame.compute(),
    "dask_expr.DataFrame": lambda frame: frame.compute(),
}
