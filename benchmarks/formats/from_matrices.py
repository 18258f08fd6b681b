"""Files as anndata, mudata, SciPy and NumPy write them."""

from pathlib import Path
from typing import Any

import anndata
import mudata
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp
from frames import separated
from from_networkx import packed
from known import (
    ARCS,
    ARCS_FROM_ONE,
    ARCS_FROM_ZERO,
    FROM_ONE,
    FROM_ZERO,
    GENES,
    QUOTED,
    USERS,
    Edge,
    Known,
    file,
    made_by,
    refused,
)

SP = made_by("scipy")
NP = made_by("numpy")
AD = made_by("anndata")
MU = made_by("mudata")


# --- anndata, mudata --------------------------------------------------------------------------------------------------
def square(known: Known, *, one_way: bool = False) -> Any:
    n = len(known.nodes)
    rows = [known.place(edge.source) for edge in known.edges]
    columns = [known.place(edge.target) for edge in known.edges]
    weights = [edge.weight for edge in known.edges]
    matrix = sp.csr_matrix((weights, (rows, columns)), shape=(n, n))
    return matrix if one_way else sp.csr_matrix(matrix + matrix.T)


def annotated(known: Known, *, one_way: bool = False, keys: tuple[str, ...] = ("connectivities",)) -> Any:
    data = anndata.AnnData(
        np.zeros((len(known.nodes), 3), dtype=np.float32),
        obs=pd.DataFrame(index=list(known.nodes)),
        var=pd.DataFrame(index=["x", "y", "z"]),
    )
    for key in keys:
        data.obsp[key] = square(known, one_way=one_way)
    return data


@file("AnnData, MuData", "neighbours-anndata.h5ad", AD, GENES, weight="value")
def _(path: Path) -> None:
    annotated(GENES).write_h5ad(path)


@file("AnnData, MuData", "hard-names-packed-anndata.h5ad", AD, QUOTED)
def _(path: Path) -> None:
    annotated(QUOTED).write_h5ad(path, compression="gzip")


@file("AnnData, MuData", "key-anndata.h5ad", AD, GENES, options={"key": "distances"})
def _(path: Path) -> None:
    annotated(GENES, keys=("connectivities", "distances")).write_h5ad(path)


@refused("AnnData, MuData", "two-matrices-anndata.h5ad", AD, "--key")
def _(path: Path) -> None:
    annotated(GENES, keys=("connectivities", "distances")).write_h5ad(path)


@file("AnnData, MuData", "arcs-anndata.h5ad", AD, ARCS, options={"directed": True})
def _(path: Path) -> None:
    annotated(ARCS, one_way=True).write_h5ad(path)


@refused("AnnData, MuData", "arcs-nobody-asked-for-anndata.h5ad", AD, "--directed")
def _(path: Path) -> None:
    annotated(ARCS, one_way=True).write_h5ad(path)


@refused("AnnData, MuData", "no-matrix-anndata.h5ad", AD, "obsp")
def _(path: Path) -> None:
    annotated(GENES, keys=()).write_h5ad(path)


@file("AnnData, MuData", "mudata.h5mu", MU, GENES, options={"key": "rna/connectivities"})
def _(path: Path) -> None:
    mudata.MuData({"rna": annotated(GENES), "atac": annotated(GENES)}).write(str(path))


@refused("AnnData, MuData", "anndata.zarr", AD)
def _(path: Path) -> None:
    annotated(GENES).write_zarr(path)


# --- SciPy, NumPy -----------------------------------------------------------------------------------------------------
def lower(known: Known, dtype: Any = float) -> Any:
    return sp.coo_array(square(known).astype(dtype))


for name, known, options, of_weight in (
    ("real-symmetric-scipy.mtx", FROM_ONE, {"symmetry": "symmetric"}, "value"),
    ("real-general-scipy.mtx", FROM_ONE, {"symmetry": "general"}, "value"),
    ("pattern-scipy.mtx", FROM_ONE, {"field": "pattern", "symmetry": "symmetric"}, None),
    ("with-comment-scipy.mtx", FROM_ONE, {"comment": "a small graph\nin two lines"}, "value"),
):

    @file("MatrixMarket", name, SP, known, weight=of_weight)
    def _(path: Path, known: Known = known, options: dict[str, Any] = options) -> None:
        scipy.io.mmwrite(path, lower(known), **options)


@file("MatrixMarket", "integers-scipy.mtx", SP, FROM_ONE)
def _(path: Path) -> None:
    matrix = lower(FROM_ONE)
    matrix.data[:] = 3
    scipy.io.mmwrite(path, matrix.astype(np.int64))


@file("MatrixMarket", "arcs-scipy.mtx", SP, ARCS_FROM_ONE, weight="value")
def _(path: Path) -> None:
    scipy.io.mmwrite(path, sp.coo_array(square(ARCS_FROM_ONE, one_way=True)))


@file("MatrixMarket", "packed-scipy.mtx.gz", SP, FROM_ONE)
def _(path: Path) -> None:
    packed(".gz", path, lambda plain: scipy.io.mmwrite(plain, lower(FROM_ONE)))


def rectangle() -> Any:
    rows, columns = ([int(getattr(e, end)) - 1 for e in USERS.edges] for end in ("source", "target"))
    return sp.coo_array(([e.weight for e in USERS.edges], (rows, columns)), shape=(15, 25))


ROWS = separated(USERS, "row", "column")
ROWS = Known(
    tuple(f"row:{i}" for i in range(1, 16)) + tuple(f"column:{i}" for i in range(1, 26)),
    tuple(Edge(f"row:{e.source}", f"column:{e.target}", e.kind, e.weight, e.year) for e in USERS.edges),
    bipartite=True,
)


@file("MatrixMarket", "two-sides-scipy.mtx", SP, ROWS, weight="value")
def _(path: Path) -> None:
    scipy.io.mmwrite(path, rectangle())


@refused("MatrixMarket", "dense-scipy.mtx", SP, "coo_array")
def _(path: Path) -> None:
    scipy.io.mmwrite(path, square(FROM_ONE).toarray())


@refused("MatrixMarket", "skew-symmetric-scipy.mtx", SP, "skew")
def _(path: Path) -> None:
    matrix = sp.coo_array(sp.tril(square(FROM_ONE)))
    scipy.io.mmwrite(path, sp.coo_array(matrix - matrix.T), symmetry="skew-symmetric")


for name, known, options in (("csr-scipy.npz", FROM_ZERO, {}), ("arcs-scipy.npz", ARCS_FROM_ZERO, {"directed": True})):

    @file("SciPy matrix", name, SP, known, options=options)
    def _(path: Path, known: Known = known) -> None:
        sp.save_npz(path, square(known, one_way=known.directed))


@file("SciPy matrix", "coo-scipy.npz", SP, FROM_ZERO)
def _(path: Path) -> None:
    sp.save_npz(path, sp.coo_matrix(square(FROM_ZERO)))


@refused("SciPy matrix", "arcs-nobody-asked-for-scipy.npz", SP, "directed")
def _(path: Path) -> None:
    sp.save_npz(path, square(ARCS_FROM_ZERO, one_way=True))


@refused("SciPy matrix", "rectangle-scipy.npz", SP)
def _(path: Path) -> None:
    sp.save_npz(path, sp.csr_matrix(rectangle()))


@refused("not read", "scipy.mat", SP, "loadmat")
def _(path: Path) -> None:
    scipy.io.savemat(path, {"A": square(FROM_ZERO)})


def array_of(known: Known) -> Any:
    return np.array([(int(e.source), int(e.target)) for e in known.edges])


@file("edge list of numbers", "integers-savetxt.txt", NP, FROM_ZERO.joined)
def _(path: Path) -> None:
    np.savetxt(path, array_of(FROM_ZERO), fmt="%d")


@file("edge list of numbers", "with-header-savetxt.csv", NP, FROM_ZERO.joined)
def _(path: Path) -> None:
    np.savetxt(path, array_of(FROM_ZERO), fmt="%d", delimiter=",", header="source,target")


@file("edge list of numbers", "default-savetxt.txt", NP, FROM_ZERO.joined)
def _(path: Path) -> None:
    np.savetxt(path, array_of(FROM_ZERO))


@file("edge list of numbers", "default-with-weights-savetxt.txt", NP, FROM_ZERO.joined)
def _(path: Path) -> None:
    np.savetxt(path, np.column_stack([array_of(FROM_ZERO), [e.weight for e in FROM_ZERO.edges]]))


@refused("not read", "pairs.npy", NP, "numpy.load")
def _(path: Path) -> None:
    np.save(path, array_of(FROM_ZERO))


@refused("SciPy matrix", "arrays-savez.npz", NP)
def _(path: Path) -> None:
    np.savez(path, edge_index=array_of(FROM_ZERO).T)


@refused("SciPy matrix", "parts-of-a-csr-savez.npz", "numpy, as CitationFull and Amazon of PyG are kept")
def _(path: Path) -> None:
    matrix = sp.csr_matrix(square(FROM_ZERO))
    np.savez(
        path,
        adj_data=matrix.data,
        adj_indices=matrix.indices,
        adj_indptr=matrix.indptr,
        adj_shape=matrix.shape,
        labels=np.zeros(40),
    )


@refused("edge list of numbers", "edge-index-in-two-rows-savetxt.txt", NP)
def _(path: Path) -> None:
    np.savetxt(path, array_of(FROM_ZERO).T, fmt="%d")
