"""Reading: files, databases and in-memory tables become edges, a list of nodes or a list of pairs, always with text ids."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import MalformedFile
from linkodds.reading.database_urls import Database, place_of
from linkodds.reading.edge_columns import in_order_of_ids
from linkodds.reading.interop import EdgeList
from linkodds.reading.opening import Found, edges_of_found, open_source
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.tables import read_bytes
from linkodds.reading.two_kinds import with_sides


def read_edges(edges: Any, options: ReadingOptions = ReadingOptions(), found: Found | None = None) -> EdgeList:
    """Edges of a file or of an object, as they stand there; of a database in the order of their ids.

    The rows of a table have no order: a server may send them in another one after an update. So the nodes are numbered in
    the order of their ids, and the same rows are the same graph.

    Args:
        edges: a path, the URL of a database, a pandas or polars table, a NetworkX graph, a SciPy sparse adjacency, PyG
            data, or pairs of ids.
        options: how to read them; `nodes`, `bipartite` and `features` are for what makes a graph of the edges.
        found: what they hold, where they were opened already.
    Raises:
        MalformedFile: a file that cannot be read as what its name says, with line, column and value.
        DatabaseError: a database that cannot be reached or read.
        DataError: an object that holds no graph.
        OptionError: a format or an option that does not fit.
    Example:
        >>> import polars as pl
        >>> edges = read_edges(pl.DataFrame({"gene": ["p53", "atm"], "partner": ["mdm2", "p53"]}))
        >>> edges.ids.tolist(), edges.pairs.tolist()
        (['p53', 'mdm2', 'atm'], [[0, 1], [2, 0]])
    """
    found = open_source(edges, options) if found is None else found
    read = with_sides(edges_of_found(found, options, warns_of_times=True), options)
    return in_order_of_ids(read) if isinstance(_place_of(edges), Database) else read


def _place_of(edges: Any) -> Any:
    return place_of(edges) if isinstance(edges, str) else edges


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
    options = options.model_copy(update={"directed": is_matrix})
    read = edges_of_found(open_source(pairs, options), options, warns_of_times=False)
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


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name
