"""Reading: files, databases and in-memory tables become edges, a list of nodes or a list of pairs, always with text ids."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.reading.database_urls import Database, place_of
from linkodds.reading.databases import read_database
from linkodds.reading.delimited import is_text_file, read_table, table_of_text
from linkodds.reading.edge_columns import edges_of_table, in_order_of_ids
from linkodds.reading.formats.own_files import recorded_alone
from linkodds.reading.formats.parsed import ParsedGraph, edges_of_parsed
from linkodds.reading.formats.registry import FORMATS, format_of, format_of_content, read_file, refuse_unknown
from linkodds.reading.formats.sources import Source
from linkodds.reading.interop import (
    EdgeList,
    edges_of_adjacency,
    edges_of_pyg,
    is_pyg,
)
from linkodds.reading.objects import array_of, frame_of_object, parsed_of_array, parsed_of_object, text_of_open_file
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.tables import (
    NOISE,
    Table,
    is_frame,
    load_sparse,
    read_bytes,
    require_file,
    table_of_frame,
    unpacked,
)
from linkodds.reading.two_kinds import with_sides

EDGE_FORMATS = (
    ".csv .tsv .txt .edges, .parquet, .npz (SciPy adjacency), "
    f"{' '.join(suffix for form in FORMATS for suffix in form.suffixes)} (text also .gz .bz2 .xz .zst), or a database "
    "(postgresql://, sqlite:/// or duckdb:///, with ?table=NAME)"
)


def read_edges(edges: Any, options: ReadingOptions = ReadingOptions()) -> EdgeList:
    """Edges of a file or of an object, as they stand there; of a database in the order of their ids.

    The rows of a table have no order: a server may send them in another one after an update. So the nodes are numbered in
    the order of their ids, and the same rows are the same graph.

    Args:
        edges: a path, the URL of a database, a pandas or polars table, a NetworkX graph, a SciPy sparse adjacency, PyG
            data, or pairs of ids.
        options: how to read them; `nodes`, `bipartite` and `features` are for what makes a graph of the edges.
    Raises:
        MalformedFile: a file that cannot be read as what its name says, with line, column and value.
        DatabaseError: a database that cannot be reached or read.
        DataError: an object that holds no graph.
        OptionError: a format or an option that does not fit.
    Example:
        >>> edges = read_edges(pl.DataFrame({"gene": ["p53", "atm"], "partner": ["mdm2", "p53"]}))
        >>> edges.ids.tolist(), edges.pairs.tolist()
        (['p53', 'mdm2', 'atm'], [[0, 1], [2, 0]])
    """
    read = with_sides(_read(edges, options, warns_of_times=True), options)
    return in_order_of_ids(read) if isinstance(_place_of(edges), Database) else read


def _place_of(edges: Any) -> Any:
    return place_of(edges) if isinstance(edges, str) else edges


def _read(edges: Any, options: ReadingOptions, *, warns_of_times: bool = False) -> EdgeList:
    of_text = {"--no-header": options.header, "--delimiter": options.delimiter}
    of_tables = {"--source": options.source, "--target": options.target, **of_text, **dict(options.beside_ends)}
    directed, edges = bool(options.directed), _place_of(edges)
    if isinstance(edges, Database):
        _refuse(of_text, "a database")
        return edges_of_table(read_database(edges, options.query), options, warns_of_times=warns_of_times)
    if options.query is not None:
        raise OptionError(
            "--query is for a database: postgresql://, sqlite:/// or duckdb:/// in the place of the file."
        )
    if isinstance(edges, Path):
        return _read_file(edges, options, warns_of_times=warns_of_times)
    opened = text_of_open_file(edges)
    if opened is not None:
        return _read_opened(*opened, options, warns_of_times=warns_of_times)
    edges = frame_of_object(edges)
    if is_frame(edges):
        _refuse({**of_text, "--key": options.key}, "a data frame")
        return edges_of_table(table_of_frame(edges), options, warns_of_times=warns_of_times)
    parsed = parsed_of_object(edges, options.key)
    if parsed is not None:
        _refuse(of_text, f"a {type(edges).__name__}")
        return edges_of_parsed(parsed, options, directed=options.directed, warns_of_times=warns_of_times)
    _refuse({**of_tables, "--key": options.key}, f"a {type(edges).__name__}")
    if is_pyg(edges):
        return edges_of_pyg(edges, directed=directed)
    if sp.issparse(edges):
        return edges_of_adjacency(edges, directed=directed)
    pairs = array_of(edges)
    as_index = None if pairs is None else parsed_of_array(pairs)
    if as_index is not None:
        return edges_of_parsed(as_index, options, directed=options.directed)
    if pairs is None or pairs.ndim != 2 or pairs.shape[1] != 2:
        of_shape = "" if pairs is None else f" of shape {pairs.shape}"
        raise DataError(
            f"edges: a {type(edges).__name__}{of_shape} is none of: a path ({EDGE_FORMATS}), a table, a graph of NetworkX, "
            "igraph, rustworkx, NetworKit, scikit-network or PyG, AnnData, a sparse matrix, pairs of shape (edges, 2). "
            "Pass list(...) of something that runs over pairs."
        )
    text = pl.DataFrame({"source": [_text(u) for u in pairs[:, 0]], "target": [_text(v) for v in pairs[:, 1]]})
    return edges_of_table(table_of_frame(text), ReadingOptions(directed=directed))


def read_pairs(
    pairs: Any, options: ReadingOptions = ReadingOptions()
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Pairs to predict, in the user's ids and order: the formats and the rules of `read_edges`; any id is allowed.

    Those of a database are in the order that it sends them in: a query with ORDER BY settles it.

    No pairs at all are a fine question in Python, where a filter may leave none; a file without a row is refused.

    Returns:
        Source ids and target ids, each of shape (pairs,), text.
    Raises:
        MalformedFile: as `read_edges`.
    Example:
        >>> [ids.tolist() for ids in read_pairs([("p53", "mdm2"), ("p53", 7)])]
        [['p53', 'p53'], ['mdm2', '7']]
    """
    if not isinstance(pairs, str | Path) and np.shape(pairs) in ((0,), (0, 2)):
        nothing = np.empty(0, dtype=object)
        return nothing, nothing
    # A matrix of pairs need not be symmetric, a graph file keeps the direction that it has.
    is_matrix = sp.issparse(pairs) or (isinstance(pairs, str | Path) and Path(pairs).suffix.lower() == ".npz")
    read = _read(pairs, options.model_copy(update={"directed": is_matrix}))
    return read.ids[read.pairs[:, 0]], read.ids[read.pairs[:, 1]]


def read_nodes(nodes: Any) -> NDArray[np.object_]:
    """All nodes of a graph, in order: a file with one id a line (blank and `#` lines skipped), or ids.

    Args:
        nodes: a path (.gz is decompressed), or any iterable of ids.
    Returns:
        Shape (nodes,), text ids.
    Raises:
        MalformedFile: an id that is there twice, or no id at all.
    Example:
        >>> read_nodes(["p53", 7]).tolist()
        ['p53', '7']
    """
    if not isinstance(nodes, str | Path):
        values: Iterable[Any] = nodes.tolist() if hasattr(nodes, "tolist") else nodes
        names, lines, place = [str(name) for name in values], None, "nodes"
    else:
        place = Path(nodes).name
        try:
            text = read_bytes(Path(nodes)).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MalformedFile(
                f"{place}: byte {error.start} is no UTF-8 text; a file of nodes has one id a line."
            ) from error
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        numbered = [(i, line.strip()) for i, line in enumerate(text.split("\n"), 1)]
        numbered = [(i, line) for i, line in numbered if line and not line.startswith("#")]
        lines, names = [i for i, _ in numbered], [_unquote(name) for _, name in numbered]
    first_place: dict[str, int] = {}
    for i, name in enumerate(names):
        if not name or name in first_place:
            where = f"{place}, line {lines[i]}" if lines else f"{place}, entry {i}"
            problem = f"the id {name!r} is there already; one line a node." if name else "an empty id."
            raise MalformedFile(f"{where}: {problem}")
        first_place[name] = i
    if not names:
        raise MalformedFile(f"{place}: no node; expected one id a line.")
    return np.array(names, dtype=object)


def _read_file(path: Path, options: ReadingOptions, *, warns_of_times: bool) -> EdgeList:
    """Edges of a file, whose name or first lines say what it is."""
    of_tables = {"--no-header": options.header, "--delimiter": options.delimiter}
    form = None if is_text_file(path) and any(given is not None for given in of_tables.values()) else format_of(path)
    if form is not None:
        _refuse(of_tables, f"{path.name} ({form.name})")
        return _edges_of_found(read_file(path, form, options.key), options, warns_of_times=warns_of_times)
    _refuse({"--key": options.key}, path.name)
    if is_text_file(path) or path.suffix.lower() == ".parquet":
        ids, named = (options.source, options.target), [name for _, name in options.beside_ends]
        table = read_table(path, header=options.header, delimiter=options.delimiter, ids=ids, named=named)
        return edges_of_table(table, options, warns_of_times=warns_of_times)
    require_file(path)
    if path.suffix.lower() != ".npz":
        raise refuse_unknown(path, EDGE_FORMATS)
    _refuse(
        {"--source": options.source, "--target": options.target, **of_tables, **dict(options.beside_ends)}, path.name
    )
    try:
        matrix: Any = load_sparse(read_bytes(path))
    except NOISE as error:
        raise MalformedFile(
            f"{path.name}: not readable as a matrix saved by scipy.sparse.save_npz ({type(error).__name__}: {error})."
        ) from error
    return edges_of_adjacency(matrix, directed=bool(options.directed), place=path.name)


def _read_opened(path: Path, data: bytes, options: ReadingOptions, *, warns_of_times: bool) -> EdgeList:
    """Edges of an open file: its name and its first bytes say what it is."""
    of_text = {"--no-header": options.header, "--delimiter": options.delimiter}
    data = unpacked(path, data)
    if not data.strip():
        raise MalformedFile(f"{path.name}: the open file has nothing left to read; pass its path, or seek(0) first.")
    if data.startswith(b"PAR1"):
        frame = pl.read_parquet(io.BytesIO(data))
        return edges_of_table(table_of_frame(frame), options, warns_of_times=warns_of_times)
    if path.suffix.lower() == ".npz":
        return edges_of_adjacency(load_sparse(data), directed=bool(options.directed), place=path.name)
    form = format_of_content(path, data)
    if form is None:
        _refuse({"--key": options.key}, path.name)
        ids, named = (options.source, options.target), [name for _, name in options.beside_ends]
        return edges_of_table(
            table_of_text(path, data, header=options.header, delimiter=options.delimiter, ids=ids, named=named),
            options,
            warns_of_times=warns_of_times,
        )
    _refuse(of_text, f"{path.name} ({form.name})")
    return _edges_of_found(form.read(Source(path, data, options.key)), options, warns_of_times=warns_of_times)


def _edges_of_found(found: ParsedGraph | Table, options: ReadingOptions, *, warns_of_times: bool) -> EdgeList:
    """Edges of a graph format; predicted links of a file that linkodds wrote are edges where they are read as pairs."""
    if isinstance(found, ParsedGraph):
        found = recorded_alone(found) if warns_of_times else found
        return edges_of_parsed(found, options, directed=options.directed, warns_of_times=warns_of_times)
    return edges_of_table(found, options, warns_of_times=warns_of_times)


def _text(name: Any) -> str:
    return "" if name is None or name != name else str(name)  # NaN, the missing value of other libraries, is not itself


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


def _refuse(options: dict[str, Any], what: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise OptionError(f"{', '.join(given)}: for tables only, {what} has no use for it.")
