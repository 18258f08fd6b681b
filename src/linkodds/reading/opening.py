"""Opening: which reader takes a source of edges, and what it makes of it, before any edge is chosen."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import scipy.sparse as sp

from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.reading.database_urls import Database, place_of
from linkodds.reading.databases import read_database
from linkodds.reading.delimited import is_text_file, read_table, table_of_text
from linkodds.reading.edge_columns import edges_of_table
from linkodds.reading.formats.own_files import recorded_alone
from linkodds.reading.formats.parsed import ParsedGraph, edges_of_parsed
from linkodds.reading.formats.registry import FORMATS, format_of, format_of_content, read_file, refuse_unknown
from linkodds.reading.formats.sources import Source
from linkodds.reading.formats.square import parsed_of_square
from linkodds.reading.interop import EdgeList, edges_of_pyg, is_pyg
from linkodds.reading.objects import array_of, frame_of_object, parsed_of_array, parsed_of_object, text_of_open_file
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.samples import Part, part_of_text, sample_of_parquet
from linkodds.reading.source_reading import SourceReading
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

EDGE_FORMATS = (
    ".csv .tsv .txt .edges, .parquet, .npz (SciPy adjacency), "
    f"{' '.join(suffix for form in FORMATS for suffix in form.suffixes)} (text also .gz .bz2 .xz .zst), or a database "
    "(postgresql://, sqlite:/// or duckdb:///, with ?table=NAME)"
)
Found = Table | ParsedGraph | EdgeList
"""What a source is before its columns or attributes are chosen from; objects that hold nothing else are edges at once."""


def open_source(edges: Any, options: ReadingOptions) -> Found:
    """What a source holds; options that are for another kind of source are refused.

    Args:
        edges: as for `read_edges`.
        options: how to read them.
    Raises:
        DataError, OptionError, DatabaseError: as `read_edges`.
    """
    of_text = {"--no-header": options.header, "--delimiter": options.delimiter}
    of_tables = {"--source": options.source, "--target": options.target, **of_text, **dict(options.beside_ends)}
    directed, edges = bool(options.directed), place_of(edges) if isinstance(edges, str) else edges
    if isinstance(edges, Database):
        refuse_given(of_text, "a database")
        return read_database(edges, options.query)
    if options.query is not None:
        raise OptionError(
            "--query is for a database: postgresql://, sqlite:/// or duckdb:/// in the place of the file."
        )
    if isinstance(edges, Path):
        return _of_file(edges, options)
    opened = text_of_open_file(edges)
    if opened is not None:
        return _of_opened(*opened, options)
    edges = frame_of_object(edges)
    if is_frame(edges):
        refuse_given({**of_text, "--key": options.key}, "a data frame")
        return table_of_frame(edges)
    if sp.issparse(edges):
        refuse_given({**of_text, "--key": options.key}, f"a {type(edges).__name__}")
        return _of_matrix(edges, options, "the adjacency matrix")
    parsed = parsed_of_object(edges, options.key)
    if parsed is not None:
        refuse_given(of_text, f"a {type(edges).__name__}")
        return parsed
    refuse_given({**of_tables, "--key": options.key}, f"a {type(edges).__name__}")
    if is_pyg(edges):
        return edges_of_pyg(edges, directed=directed)
    pairs = array_of(edges)
    as_index = None if pairs is None else parsed_of_array(pairs)
    if as_index is not None:
        return as_index
    if pairs is None or pairs.ndim != 2 or pairs.shape[1] != 2:
        of_shape = "" if pairs is None else f" of shape {pairs.shape}"
        raise DataError(
            f"edges: a {type(edges).__name__}{of_shape} is none of: a path ({EDGE_FORMATS}), a table, a graph of NetworkX, "
            "igraph, rustworkx, NetworKit, scikit-network or PyG, AnnData, a sparse matrix, pairs of shape (edges, 2). "
            "Pass list(...) of something that runs over pairs."
        )
    text = pl.DataFrame({"source": [_text(u) for u in pairs[:, 0]], "target": [_text(v) for v in pairs[:, 1]]})
    read = edges_of_table(table_of_frame(text), ReadingOptions(directed=directed))
    return replace(read, reading=SourceReading("the list of pairs", "pairs of ids"))


def edges_of_found(found: Found, options: ReadingOptions, *, warns_of_times: bool) -> EdgeList:
    """The edges of what a source holds.

    Args:
        found: by `open_source`.
        options: how to read it.
        warns_of_times: whether these are edges to learn from: then columns of times and labels that nobody asked for are
            told of, and predicted links of a file that linkodds wrote are no edges. Pairs to predict are taken as they are.
    """
    if isinstance(found, EdgeList):
        return found
    if isinstance(found, ParsedGraph):
        found = recorded_alone(found) if warns_of_times else found
        return edges_of_parsed(found, options, directed=options.directed, warns_of_times=warns_of_times)
    return edges_of_table(found, options, warns_of_times=warns_of_times)


def open_part(path: Path, options: ReadingOptions) -> tuple[Found, Part] | None:
    """What some rows of a large file hold, and which rows these are; None where the file is small or has to be read whole.

    Args:
        path: of the file.
        options: how to read it.
    Raises:
        DataError, OptionError: as `open_source`.
    """
    if not path.is_file():
        return None
    of_text = {"--no-header": options.header, "--delimiter": options.delimiter}
    if path.suffix.lower() == ".parquet":
        found = sample_of_parquet(path)
        refuse_given({**of_text, "--key": options.key}, path.name)
        return found
    asked = any(given is not None for given in of_text.values())
    form = None if is_text_file(path) and asked else format_of(path)
    if form is not None and not form.by_lines:
        return None
    if form is None and not is_text_file(path):
        return None
    part = part_of_text(path, evenly=form is None)
    if part is None:
        return None
    if form is not None:
        refuse_given(of_text, f"{path.name} ({form.name})")
        return form.read(Source(path, part.data, options.key)), part
    refuse_given({"--key": options.key}, path.name)
    ids, named = (options.source, options.target), [name for _, name in options.beside_ends]
    table = table_of_text(
        path, part.data, header=options.header, delimiter=options.delimiter, ids=ids, named=named, some=part
    )
    return table, part


def _of_file(path: Path, options: ReadingOptions) -> Found:
    """A file, whose name or first lines say what it is."""
    of_tables = {"--no-header": options.header, "--delimiter": options.delimiter}
    form = None if is_text_file(path) and any(given is not None for given in of_tables.values()) else format_of(path)
    if form is not None:
        refuse_given(of_tables, f"{path.name} ({form.name})")
        return read_file(path, form, options.key)
    refuse_given({"--key": options.key}, path.name)
    if is_text_file(path) or path.suffix.lower() == ".parquet":
        ids, named = (options.source, options.target), [name for _, name in options.beside_ends]
        return read_table(path, header=options.header, delimiter=options.delimiter, ids=ids, named=named)
    require_file(path)
    if path.suffix.lower() != ".npz":
        raise refuse_unknown(path, EDGE_FORMATS)
    refuse_given({"--source": options.source, "--target": options.target, **of_tables}, path.name)
    return _of_saved_matrix(path, read_bytes(path), options)


def _of_opened(path: Path, data: bytes, options: ReadingOptions) -> Found:
    """An open file: its name and its first bytes say what it is."""
    of_text = {"--no-header": options.header, "--delimiter": options.delimiter}
    data = unpacked(path, data)
    if not data.strip():
        raise MalformedFile(f"{path.name}: the open file has nothing left to read; pass its path, or seek(0) first.")
    if data.startswith(b"PAR1"):
        return table_of_frame(pl.read_parquet(io.BytesIO(data)))
    if path.suffix.lower() == ".npz":
        return _of_saved_matrix(path, data, options)
    form = format_of_content(path, data)
    if form is None:
        refuse_given({"--key": options.key}, path.name)
        ids, named = (options.source, options.target), [name for _, name in options.beside_ends]
        return table_of_text(path, data, header=options.header, delimiter=options.delimiter, ids=ids, named=named)
    refuse_given(of_text, f"{path.name} ({form.name})")
    return form.read(Source(path, data, options.key))


def _of_saved_matrix(path: Path, data: bytes, options: ReadingOptions) -> ParsedGraph:
    try:
        matrix: Any = load_sparse(data)
    except NOISE as error:
        raise MalformedFile(
            f"{path.name}: not readable as a matrix saved by scipy.sparse.save_npz ({type(error).__name__}: {error})."
        ) from error
    return _of_matrix(matrix, options, path.name)


def _of_matrix(matrix: Any, options: ReadingOptions, place: str) -> ParsedGraph:
    """A sparse matrix; with a direction each of its entries is an edge, else both of a pair are one."""
    return parsed_of_square(matrix, place=place, layout="SciPy sparse matrix", directed=options.directed or None)


def refuse_given(options: dict[str, Any], what: str) -> None:
    """Raise where an option was given that such a source has no use for.

    Raises:
        OptionError: with its name.
    """
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise OptionError(f"{', '.join(given)}: for tables only, {what} has no use for it.")


def _text(name: Any) -> str:
    return "" if name is None or name != name else str(name)  # NaN, the missing value of other libraries, is not itself
