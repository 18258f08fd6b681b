"""AnnData and MuData files: a matrix of pairs in obsp of .h5ad and .h5mu."""

import io
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import OptionError
from linkodds.reading.formats.own_files import MARKER, RECORDED, is_ours
from linkodds.reading.formats.parsed import ParsedGraph
from linkodds.reading.formats.sources import Source
from linkodds.reading.formats.square import parsed_of_square
from linkodds.reading.tables import NOISE


def read_annotated(source: Source) -> ParsedGraph:
    """The graph in `obsp` of an .h5ad or .h5mu file; where there are several, the one that `--key` names.

    Ids are the names of obs. A matrix of one modality of an .h5mu file is "MODALITY/KEY". Of a file that linkodds wrote it
    is `recorded`.

    Raises:
        OptionError: h5py is not installed.
        MalformedFile: no HDF5, no obsp, several and no key, or data that lie in other files.
    """
    try:
        import h5py
    except ImportError as error:
        raise OptionError(
            f"{source.place}: AnnData files are read by h5py: pip install 'linkodds[anndata]'."
        ) from error
    try:
        with h5py.File(io.BytesIO(source.data), "r") as file:
            graphs = _graphs(source, file)
            ours = file["uns"][MARKER] if MARKER in file.get("uns", ()) else None
            key = _chosen(source, sorted(graphs), is_our_file=ours is not None)
            group, obs = graphs[key]
            graph = parsed_of_square(
                _matrix(source, group),
                place=f"{source.place}, obsp {key!r}",
                layout="AnnData",
                ids=_names(source, obs),
                directed=True
                if ours is not None and bool(ours["directed"][()] if "directed" in ours else False)
                else None,
            )
            if ours is None or key != RECORDED:
                return graph
            sides = obs["side"]["categories"].asstr()[:][obs["side"]["codes"][:]].tolist() if "side" in obs else ()
            return is_ours(graph, {MARKER: ""}, sides)
    except NOISE as error:
        source.refuse(None, f"not readable as an AnnData file ({error}).")


def _graphs(source: Source, file: Any) -> dict[str, tuple[Any, Any]]:
    """Key -> matrix and obs, of the whole and of every modality."""
    found = {}
    parts = [("", file)] + [(f"{name}/", _inner(source, file["mod"], name)) for name in file.get("mod", ())]
    for prefix, part in parts:
        for name in part.get("obsp", ()):
            found[prefix + name] = (_inner(source, part["obsp"], name), part["obs"])
    return found


def _inner(source: Source, group: Any, name: str) -> Any:
    """A member of a group that lies in this file."""
    import h5py

    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        source.refuse(None, f"{name!r} lies in another file; save the data as one.")
    inner = group[name]
    if isinstance(inner, h5py.Dataset) and inner.external:
        source.refuse(None, f"{name!r} lies in another file; save the data as one.")
    return inner


def _chosen(source: Source, keys: list[str], *, is_our_file: bool) -> str:
    if not keys:
        source.refuse(None, "no matrix in obsp; scanpy.pp.neighbors(adata) makes one, or give the edges as a table.")
    if source.key is not None:
        if source.key not in keys:
            source.refuse(None, f"no matrix {source.key!r} for --key; obsp has {', '.join(map(repr, keys))}.")
        return source.key
    if is_our_file and RECORDED in keys:
        return RECORDED
    if len(keys) > 1:
        source.refuse(
            None, f"obsp has {len(keys)} matrices, {', '.join(map(repr, keys))}; say with --key (key=) which one."
        )
    return keys[0]


def _matrix(source: Source, stored: Any) -> sp.coo_array:
    kind = stored.attrs.get("encoding-type", stored.attrs.get("h5sparse_format", ""))
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind in ("csr_matrix", "csc_matrix", "csr", "csc"):
        shape = stored.attrs.get("shape", stored.attrs.get("h5sparse_shape"))
        parts = [_inner(source, stored, name)[:] for name in ("data", "indices", "indptr")]
        make = sp.csr_array if kind.startswith("csr") else sp.csc_array
        rows, columns = (int(each) for each in shape)
        matrix: Any = make(tuple(parts), shape=(rows, columns))
        matrix.check_format(full_check=True)
        return sp.coo_array(matrix)
    return sp.coo_array(np.asarray(stored[:]))


def _names(source: Source, obs: Any) -> NDArray[np.object_]:
    name = obs.attrs.get("_index", "_index")
    index = _inner(source, obs, name.decode() if isinstance(name, bytes) else str(name))
    values = index[:] if hasattr(index, "shape") else _inner(source, index, "values")[:]
    return np.array([each.decode() if isinstance(each, bytes) else str(each) for each in values], dtype=object)
