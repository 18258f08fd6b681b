"""Node features: read with or without ids, checked to be finite numbers, scaled on the way in."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import BadFeatures, OptionError
from linkodds.findings import Finding
from linkodds.reading.delimited import is_text_file, read_table
from linkodds.reading.tables import NOISE, Table, is_frame, load_sparse, read_bytes, require_file, table_of_frame

Scaling = Literal["auto", "none", "standard", "row"]

_SPARSE = 0.25  # share of entries other than zero up to which CSR is kept; above, it saves little and centring pays
_CHUNK = 64  # columns that are in float64 at once


@dataclass(frozen=True, eq=False)
class Features:
    """Node features, one row a node in the graph's order, already scaled.

    Args:
        matrix: shape (nodes, features), float32, dense or CSR; every value finite.
        scaling: what was done on the way in: "none", "standard" (zero mean, unit deviation) or "row" (rows of
            unit length).
        names: one name a column; empty when the file had none.
        center: of "standard", shape (features,): what was subtracted from each column; None where none was.
        factor: of "standard", shape (features,): what each column was then multiplied by.
    """

    matrix: NDArray[np.float32] | sp.csr_array
    scaling: str
    names: tuple[str, ...] = ()
    center: NDArray[np.float64] | None = None
    factor: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features as read: rows in the order of the file, values as they are there.

    Args:
        place: what messages call it.
        matrix: shape (rows, features), numbers, dense or CSR.
        ids: one id a row, or None when rows go by their number.
        names: one name a column, or ().
        table: where the cells came from, None for arrays.
    """

    place: str
    matrix: NDArray[Any] | sp.csr_array
    ids: NDArray[np.object_] | None = None
    names: tuple[str, ...] = ()
    table: Table | None = None

    def where(self, row: int) -> str:
        """The place of a row, such as "features.csv, line 17"."""
        return self.table.where(row) if self.table else f"{self.place}, row {row} (from 0)"

    def refuse_not_finite(self, row_ids: NDArray[np.object_]) -> None:
        """Raise unless every value is a finite number.

        Args:
            row_ids: shape (rows,), the node of each row, for the message.
        Raises:
            BadFeatures: text, an empty cell, NaN or infinity; with row, node and column.
        """
        matrix: Any = self.matrix
        values = matrix.data if _is_sparse(matrix) else matrix
        finite = np.isfinite(values)
        if finite.all():
            return
        if _is_sparse(matrix):
            entry = int(np.argmin(finite))
            row = int(np.searchsorted(matrix.indptr, entry, side="right")) - 1
            column, value = int(matrix.indices[entry]), repr(float(values[entry]))
        else:
            row, column = divmod(int(np.argmin(finite)), values.shape[1])
            value = repr(float(values[row, column]))
        if self.table is not None:
            value = repr(self.table.load([column + 1])[row, 0])
        name = repr(self.names[column]) if self.names else f"{column} (from 0)"
        raise BadFeatures(
            f"{self.where(row)}, node {row_ids[row]!r}, column {name}: {value} is no finite number "
            f"({int((~finite).sum())} such value(s)). Fill it in, or drop the column."
        )


def read_features(features: Any) -> FeatureTable:
    """Features of a file or of an object.

    Tables (.csv, .tsv, .txt, .parquet, pandas, polars) are joined by their first column, the ids as text; the index of
    a pandas table takes its place when it is named or holds no integers. Arrays (.npz, .npy, NumPy, SciPy, torch) have
    one row a node and no ids.

    Raises:
        MalformedFile: a file that cannot be read as what its name says.
        BadFeatures: an array that is not a matrix of numbers; an id that is there twice or empty.
        OptionError: an unknown format.
    Example:
        >>> import polars as pl
        >>> table = read_features(pl.DataFrame({"gene": ["p53"], "length": [393]}))
        >>> table.ids.tolist(), table.matrix.tolist(), table.names
        (['p53'], [[393.0]], ('length',))
    """
    if isinstance(features, str | Path):
        path = Path(features)
        if is_text_file(path) or path.suffix.lower() == ".parquet":
            return _features_of_table(read_table(path, ids=(None,)))
        require_file(path)
        if path.suffix.lower() not in (".npz", ".npy"):
            raise OptionError(
                f"{path.name}: the name ends in {path.suffix or 'no suffix'}, an unknown format; "
                "features are read from .csv .tsv .txt (also .gz) and .parquet with an id column, .npz and .npy."
            )
        return _matrix_table(_load_array(path), path.name)
    if is_frame(features):
        return _features_of_table(table_of_frame(features, index_as_ids=True))
    if not _is_sparse(features):
        try:
            features = np.asarray(features.detach().cpu().numpy() if hasattr(features, "detach") else features)
        except ValueError as error:
            raise BadFeatures("features: the rows are not all of one length; a matrix has as many in each.") from error
    return _matrix_table(features, "features")


def scale_features(
    matrix: NDArray[Any] | sp.csr_array, scaling: Scaling = "auto", names: tuple[str, ...] = ()
) -> tuple[Features, tuple[Finding, ...]]:
    """Scale finite features and store them as float32: CSR where at most a quarter of the entries is not zero.

    - "row": x_ij / sqrt(sum_j x_ij^2), rows of unit length; a row of zeros stays zero.
    - "standard": (x_ij - mean_j) / deviation_j with statistics in float64 (deviation with divisor n); a constant column
      becomes zero. CSR is divided by the deviation and not centred, since centring would fill it.
    - "auto": "row" for a matrix that is kept as CSR and has no negative value (words, one-hot), else "standard".

    Returns:
        The features, and findings: the scaling chosen, zero rows, constant columns.
    Raises:
        BadFeatures: a value beyond float32.
        OptionError: another word.
    Example:
        >>> scale_features(np.array([[1.0, 5.0], [3.0, 5.0]]))[0].matrix.tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
        >>> scale_features(np.array([[3.0, 4.0], [0.0, 0.0]]), "row")[0].matrix
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """
    if scaling not in get_args(Scaling):
        raise OptionError(f"--feature-scaling takes {', '.join(get_args(Scaling))}; not {scaling!r}.")
    values: Any = matrix
    stored = values.data if _is_sparse(values) else values
    share = np.count_nonzero(stored) / max(1, values.shape[0] * values.shape[1])
    if share <= _SPARSE:
        values = sp.csr_array(values)
    elif _is_sparse(values):
        values = values.toarray()
    sparse, negative = _is_sparse(values), bool((stored < 0).any())
    chosen = ("row" if sparse and not negative else "standard") if scaling == "auto" else scaling
    scaled, count = values, 0
    center = factor = None
    with np.errstate(over="ignore"):  # a square or a sum that becomes infinite is refused
        if chosen == "row":
            scaled, count = _rows_to_unit_length(values)
        elif chosen == "standard":
            scaled, center, factor = _columns_to_standard(values)
            count = int((factor == 0).sum())
    with np.errstate(over="ignore"):
        scaled = scaled.astype(np.float32)
    if not np.isfinite(scaled.data if sparse else scaled).all():
        raise BadFeatures("some features are too large for float32 (3.4e38). Rescale them, or use standard scaling.")
    done = {
        "row": "rows of unit length",
        "standard": "zero mean and unit deviation a column",
        "none": "values as they are",
    }
    if chosen == "standard" and sparse:
        done["standard"] = "columns divided by their deviation, not centred, to stay sparse"
    message = (
        f"{values.shape[1]} features, {share:.1%} of the values not zero, kept {'sparse' if sparse else 'dense'}; "
        f"scaling {chosen}: {done[chosen]}."
    )
    remedy = "--feature-scaling none, standard or row settles it otherwise."
    findings = [Finding("reading", "info", message, remedy, float(share))]
    if count:
        message, remedy = {
            "row": (
                f"{count} of {values.shape[0]} nodes have no feature: their rows are zero.",
                "Check that it is meant.",
            ),
            "standard": (f"{count} of {values.shape[1]} features are constant and become zero.", "Drop those columns."),
        }[chosen]
        findings.append(Finding("reading", "warning", message, remedy, float(count)))
    return Features(scaled, chosen, names, center, factor), tuple(findings)


def scaled_like(known: Features, matrix: NDArray[Any] | sp.csr_array) -> NDArray[np.float32] | sp.csr_array:
    """Rows of new nodes, scaled with the constants of known ones, stored as these are.

    Args:
        known: as `scale_features` gave them.
        matrix: shape (new nodes, features), as read; every value finite.
    Returns:
        Shape (new nodes, features), float32, CSR where the known ones are.
    Raises:
        BadFeatures: another number of columns, or a value beyond float32.
    Example:
        >>> known, _ = scale_features(np.array([[1.0, 5.0], [3.0, 5.0]]))
        >>> scaled_like(known, np.array([[4.0, 9.0]])).tolist()  # mean 2, deviation 1; the constant column stays 0
        [[2.0, 0.0]]
    """
    values: Any = matrix
    if values.shape[1] != known.matrix.shape[1]:
        raise BadFeatures(
            f"the new nodes have {values.shape[1]} features, and those that the run was fitted on have "
            f"{known.matrix.shape[1]}; give the same columns."
        )
    if _is_sparse(known.matrix):
        values = sp.csr_array(values)
    elif _is_sparse(values):
        values = values.toarray()
    with np.errstate(over="ignore"):
        if known.scaling == "row":
            values, _ = _rows_to_unit_length(values)
        elif known.factor is not None:
            values = values.astype(np.float64)
            if _is_sparse(values):
                values.data = values.data * known.factor[values.indices]
                values.eliminate_zeros()
            else:
                values = (values if known.center is None else values - known.center) * known.factor
        values = values.astype(np.float32)
    if not np.isfinite(values.data if _is_sparse(values) else values).all():
        raise BadFeatures("some features of the new nodes are too large for float32 (3.4e38) once scaled.")
    return values  # type: ignore[no-any-return]


def input_scale(features: Features) -> np.float64:
    """What a first layer divides features by: 1 where they were scaled on the way in; see `autoencoder.encoder_inputs`."""
    if features.scaling != "none":
        return np.float64(1.0)
    values: Any = features.matrix
    mean = np.asarray(values.mean(axis=0, dtype=np.float64)).ravel()
    stored = (values if isinstance(values, np.ndarray) else values.data).astype(np.float64)
    root_mean_square = np.sqrt(np.square(stored).sum() / max(1, values.shape[0] * values.shape[1]))
    return np.float64(max(1.0, np.linalg.norm(mean), root_mean_square))  # it may be beyond float32


def _is_sparse(matrix: Any) -> bool:
    return bool(sp.issparse(matrix))


def _rows_to_unit_length(matrix: Any) -> tuple[Any, int]:
    matrix = matrix.astype(np.float64)
    if _is_sparse(matrix):
        length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    else:
        length = np.sqrt(np.einsum("nf,nf->n", matrix, matrix))
    if not np.isfinite(length).all():
        raise BadFeatures("some features are too large: their squares are beyond float64. Rescale them.")
    factor = np.divide(1.0, length, out=np.zeros_like(length), where=length != 0)
    if _is_sparse(matrix):
        matrix.data *= np.repeat(factor, np.diff(matrix.indptr))
        return matrix, int((length == 0).sum())
    return matrix * factor[:, None], int((length == 0).sum())


def _columns_to_standard(matrix: Any) -> tuple[Any, NDArray[np.float64] | None, NDArray[np.float64]]:
    """The scaled matrix, the centre of each column (None of a sparse one, which is not centred) and its factor."""
    num_rows, num_columns = matrix.shape
    if _is_sparse(matrix):
        values = matrix.astype(np.float64)
        mean = np.asarray(values.mean(axis=0)).ravel()
        # Two passes: the squares of the stored entries about the mean, and mean^2 for each zero.
        about = sp.csr_array(values, copy=True)
        about.data = (values.data - mean[values.indices]) ** 2
        zeros = num_rows - np.bincount(values.indices, minlength=num_columns)
        deviation = np.sqrt((np.asarray(about.sum(axis=0)).ravel() + zeros * mean**2) / num_rows)
        factor = _inverse(deviation, np.abs(mean))
        values.data = values.data * factor[values.indices]
        values.eliminate_zeros()
        return values, None, factor
    scaled = np.empty(matrix.shape, dtype=np.float32)
    center, factors = np.empty(num_columns), np.empty(num_columns)
    for start in range(0, num_columns, _CHUNK):
        part = slice(start, start + _CHUNK)
        values = matrix[:, part].astype(np.float64)
        center[part] = values.mean(axis=0)
        values -= center[part]
        factors[part] = _inverse(np.sqrt((values**2).mean(axis=0)), np.abs(center[part]))
        scaled[:, part] = values * factors[part]
    return scaled, center, factors


def _inverse(deviation: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / deviation, and 0 where the deviation is no more than rounding about the level."""
    if not np.isfinite(deviation).all():
        raise BadFeatures("some features are too large: their squares are beyond float64. Rescale them.")
    constant = deviation <= 1e-12 * level
    return np.divide(1.0, deviation, out=np.zeros_like(deviation), where=~constant)


def _features_of_table(table: Table) -> FeatureTable:
    width = len(table.names)
    if width < 2:
        raise BadFeatures(
            f"{table.place}: one column only; features are a column of ids and at least one column of numbers."
        )
    ids = np.array(table.load([0]).get_column("0").to_list(), dtype=object)
    first_row: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not name or name in first_row:
            again = (
                f"node {name!r} has a row already, {table.where(first_row[name])}; one row a node."
                if name
                else "an empty id."
            )
            raise BadFeatures(f"{table.where(row)}, column {table.names[0]!r}: {again}")
        first_row[name] = row
    return FeatureTable(table.place, table.numbers(list(range(1, width))), ids, table.names[1:], table)


def _load_array(path: Path) -> Any:
    data = io.BytesIO(read_bytes(path))
    problem = ""
    try:
        if path.suffix.lower() == ".npy":
            return np.load(data, allow_pickle=False)
        with np.load(data, allow_pickle=False) as arrays:
            names = list(arrays.files)
            if "format" not in names:
                matrices = [name for name in names if arrays[name].ndim == 2]
                wanted = [name for name in ("features", "x", "X") if name in matrices] or matrices
                if len(matrices) == 1 or len(wanted) == 1:
                    return arrays[wanted[0]]
                problem = (
                    f"the arrays {', '.join(names)} hold {len(matrices)} matrices; save one, or call it 'features'"
                )
        if not problem:
            return load_sparse(data.getvalue())
    except NOISE as error:  # ValueError for pickled objects, which stay closed
        problem = f"{type(error).__name__}: {error}"
    raise BadFeatures(
        f"{path.name}: no matrix of features ({problem}). "
        "Save it with scipy.sparse.save_npz or numpy.save, without objects."
    )


def _matrix_table(matrix: Any, place: str) -> FeatureTable:
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind not in "fiub":
        shape = " x ".join(map(str, matrix.shape))
        raise BadFeatures(
            f"{place}: features are a matrix of numbers, one row a node, "
            f"not {shape or 'a scalar'} of type {matrix.dtype}."
        )
    if matrix.dtype.kind == "b":
        matrix = matrix.astype(np.uint8)
    if _is_sparse(matrix):
        matrix = sp.csr_array(matrix)
        matrix.sum_duplicates()
    return FeatureTable(place, matrix)
