"""Run: everything a fit leaves behind, as a value and as a directory that is safe to open."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import safetensors.numpy
import scipy.sparse as sp
import yaml
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, LinkoddsError
from linkodds.evaluation.curves import Curves, curves
from linkodds.evaluation.evaluation import Evaluation
from linkodds.graph.features import Features
from linkodds.graph.split import PARTS, CutOff, Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.non_edges import degrees_of
from linkodds.models.families import AUTO, families, family_of, model_names
from linkodds.models.families.family import SavedModel
from linkodds.models.training.history import history_csv
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.probability.calibration import Calibrator
from linkodds.probability.decision import Decision
from linkodds.probability.degree_term import DegreeTerm
from linkodds.probability.deployment import LinkRate, fit_link_rate
from linkodds.reading.edge_weights import EdgeWeights
from linkodds.reading.relations import OtherEdges
from linkodds.reading.times import SplitTimes
from linkodds.runs.run_directory import COSINES, FEATURES, LINK_RATE, TREES, TRIALS, WEIGHTS, PartialRun, verify
from linkodds.runs.trees_text import add_trees_of_text
from linkodds.scorers.baselines import CosineScorer
from linkodds.scorers.pair_scoring import embeddings_of
from linkodds.scorers.scoring import Embeddings, MeanOddsScorer, Scorer, base_of

MOST_MEMBERS = 8
"""Of a mean that is read."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished fit.

    Args:
        config: options as resolved, versions, seed, and the facts that other programs need (model, objective, kernel).
        model: name of the fitted model.
        ids: shape (nodes,), the user's ids as text.
        split: the four edge sets.
        scorer: logits of pairs.
        weights: name -> array, empty for baselines; of feature-cosine the features.
        calibrator: logit -> probability in the rehearsal.
        decision: the rule that predict applies.
        evaluation: what the test edges showed.
        history: column -> values, one an epoch; empty for baselines.
        test: the test edges against all non-edges.
        calibration: the calibration edges likewise; with folds all that calibrate, moved to the scale of the mean, and second
            the validation edges, on which promises have to be kept too.
        link_rate: logit -> probability of a new link for each that is missing, counted on the first calibration sample and
            the test edges.
        predictions: test pairs with label, logit, probability, weight.
        cost: stage -> seconds and peak bytes.
        path: where it lies, None before it is saved.
        feature_cosines: unit rows of the nodes' features, for evidence; None without any, or where they are too large to keep.
        trials: of a search among options, one row each; None without one.
        features: scaled, of a model that can embed new nodes with them; None of any other.
    Example:
        >>> from linkodds import Graph, LinkPredictor
        >>> ring = Graph.from_edges([(f"a{i}", f"a{(i + step) % 40}") for i in range(40) for step in (1, 2, 3)])
        >>> run = LinkPredictor(model="common-neighbors", folds=1, threads=1).fit(ring).run_
        >>> run.model, len(run.split.test), run.evaluation.candidates["num_edges"], run.scorer.logits(run.split.test).shape
        ('common-neighbors', 12, 12, (12,))
    """

    config: dict[str, Any]
    model: str
    ids: NDArray[np.object_]
    split: Split
    scorer: Scorer
    weights: Mapping[str, NDArray[Any]]
    calibrator: Calibrator
    decision: Decision
    evaluation: Evaluation
    history: dict[str, list[Any]]
    test: HeldOut
    calibration: tuple[HeldOut, ...]
    link_rate: LinkRate
    predictions: pl.DataFrame
    cost: dict[str, Any]
    path: Path | None = None
    feature_cosines: CosineScorer | None = None
    trials: pl.DataFrame | None = None
    features: Features | None = None
    index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {name: i for i, name in enumerate(self.ids)})

    @cached_property
    def curves(self) -> Curves:
        """Precision-recall, ROC, reliability and gains of the test edges, from the saved counts."""
        return curves(self.test, self.calibrator)

    @cached_property
    def recorded(self) -> KnownPairs:
        """All recorded edges, made once: asking about a few pairs should not sort all edges again."""
        return self.split.recorded()

    @property
    def embeddings(self) -> tuple[Embeddings, Embeddings] | None:
        """Source and target embeddings, shape (nodes, dim) each; None for a baseline."""
        return embeddings_of(base_of(self.scorer))


def write_inputs(partial: PartialRun, config: dict[str, Any], ids: NDArray[np.object_], split: Split) -> None:
    """What is known before training: nodes.parquet, split.npz and, when these are there, config.yaml."""
    nodes = pl.DataFrame({"index": np.arange(len(ids)), "id": pl.Series(ids.tolist(), dtype=pl.String)})
    partial.write("nodes.parquet", parquet_bytes(nodes))
    times = {} if split.times is None else split.times.to_arrays()
    weights = {} if split.weights is None else split.weights.to_arrays()
    others = {} if split.others is None else split.others.to_arrays()
    partial.write(
        "split.npz",
        _npz({part: getattr(split, part) for part in PARTS} | times | weights | others | split.cut_off.to_arrays()),
    )
    partial.write("config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())


def write_results(partial: PartialRun, run: Run) -> None:
    """Everything else but the report."""
    write_inputs(partial, run.config, run.ids, run.split)
    if run.weights:
        partial.write(WEIGHTS, safetensors.numpy.save(dict(run.weights)))
    if run.embeddings is not None:
        partial.write("embeddings.parquet", parquet_bytes(_embedding_table(run)))
    if run.features is not None:
        partial.write(FEATURES, _npz(_feature_arrays(run.features)))
    if run.feature_cosines is not None:
        partial.write(COSINES, safetensors.numpy.save(run.feature_cosines.to_arrays()))
    if run.trials is not None:
        partial.write(TRIALS, run.trials.write_csv().encode())
    partial.write("calibration.json", _json(run.calibrator.to_json()))
    partial.write("decision.json", _json(run.decision.to_json()))
    partial.write("history.csv", history_csv(run.history))
    partial.write("evaluation.json", _json(run.evaluation.to_json()))
    partial.write("scores.npz", _npz(_all_scores(run)))
    partial.write(LINK_RATE, _npz(run.link_rate.to_arrays()))
    partial.write("predictions.parquet", parquet_bytes(run.predictions))
    partial.write("cost.json", _json(run.cost))


def run_id(run: Run) -> str:
    """What a row in a database says that it came from: the first 16 digits of the SHA-256 of evaluation.json."""
    return hashlib.sha256(_json(run.evaluation.to_json())).hexdigest()[:16]


def load_run(path: Path | str) -> Run:
    """Open a run directory; every file is held against its hash first, and nothing in it is ever executed.

    Raises:
        BrokenRun: no run, files missing or changed, or another format version.
    """
    path = Path(path)
    verify(path)
    try:
        return _read(path)
    except LinkoddsError as error:
        raise BrokenRun(f"{path}: {error} Fit the run again.") from error
    except Exception as error:  # whatever a damaged file makes of the libraries that read it
        raise BrokenRun(f"{path}: damaged ({type(error).__name__}: {error}). Fit the run again.") from error


def _read(path: Path) -> Run:
    config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    ids = _read_ids(path / "nodes.parquet")
    facts = config["graph"]
    space = PairSpace(len(ids), facts["directed"], tuple(facts["sides"]) if facts["sides"] else None)
    with np.load(path / "split.npz", allow_pickle=False) as parts:
        by_part = {part: _read_part(parts[part], space) for part in PARTS}
        times, edge_weights = SplitTimes.from_arrays(dict(parts)), EdgeWeights.from_arrays(dict(parts))
        others, cut_off = OtherEdges.from_arrays(dict(parts), space), CutOff.from_arrays(dict(parts), space)
    split = Split(
        **by_part,
        space=space,
        folds=int(config.get("folds", 1)),
        times=times,
        weights=edge_weights,
        others=others,
        cut_off=cut_off,
    )
    with np.load(path / "scores.npz", allow_pickle=False) as arrays:
        scores = _read_scores(dict(arrays))
    test, *calibration = scores
    if test.message_graph_hash != split.message_graph_hash():
        raise BrokenRun("scores.npz belongs to another message graph than split.npz.")
    model = config["model"]
    is_stored = (path / WEIGHTS).is_file()
    weights = safetensors.numpy.load_file(path / WEIGHTS) if is_stored else {}
    if (path / TREES).is_file():
        weights = add_trees_of_text(weights, path / TREES)
    saved = SavedModel(
        split,
        weights,
        embeddings=_read_embeddings(path / "embeddings.parquet"),
        decoder=config.get("decoder", {}),
        own_name=str(config.get("own", {}).get("name", "")),
    )
    is_mean = model == AUTO
    if model not in model_names():
        raise BrokenRun(
            f"this run is of {model!r}, a model that this linkodds does not have: add it as docs/add-a-model.md says, or "
            "open it inside `with linkodds.models.families.registered(...)`."
        )
    scorer: Scorer = _mean_scorer(config["members"], saved) if is_mean else family_of(model).load(saved)
    if (term := DegreeTerm.from_json(config["degree_term"])).is_used:
        scorer = term.applied(scorer, degrees_of(split.train, space))
    return Run(
        config=config,
        model=model,
        ids=ids,
        split=split,
        scorer=scorer,
        weights=weights,
        calibrator=Calibrator.from_json(_load_json(path / "calibration.json")),
        decision=Decision.from_json(_load_json(path / "decision.json")),
        evaluation=Evaluation.from_json(_load_json(path / "evaluation.json")),
        history=_read_history(path / "history.csv"),
        test=test,
        calibration=tuple(calibration),
        link_rate=_read_link_rate(path / LINK_RATE, [calibration[0], test]),
        predictions=pl.read_parquet(path / "predictions.parquet"),
        cost=_load_json(path / "cost.json"),
        path=path,
        feature_cosines=_read_cosines(path / COSINES, len(ids)),
        trials=pl.read_csv(path / TRIALS) if (path / TRIALS).is_file() else None,
        features=_read_features(path / FEATURES, facts["feature_scaling"], len(ids)),
    )


def _read_embeddings(path: Path) -> tuple[Embeddings, Embeddings] | None:
    return _sides(pl.read_parquet(path)) if path.is_file() else None


def _mean_scorer(members: list[dict[str, Any]], saved: SavedModel) -> MeanOddsScorer:
    """The mean that auto took; each member's arrays stand behind its number."""
    if len(members) > MOST_MEMBERS:
        raise BrokenRun(f"config.yaml names {len(members)} members of a mean of at most {MOST_MEMBERS}.")
    scorers = []
    for k, member in enumerate(members, start=1):
        if member["model"] not in [each.name for each in families() if each.is_in_comparisons]:
            raise BrokenRun(f"config.yaml names a member {member['model']!r}, which is no model.")
        prefix = f"member-{k}."
        own = {name.removeprefix(prefix): array for name, array in saved.weights.items() if name.startswith(prefix)}
        scorers.append(family_of(member["model"]).load(replace(saved, weights=own, embeddings=None)))
    lines = [(float(member["slope"]), float(member["intercept"])) for member in members]
    return MeanOddsScorer(tuple(scorers), tuple(slope for slope, _ in lines), tuple(each for _, each in lines))


def _read_cosines(path: Path, num_nodes: int) -> CosineScorer | None:
    if not path.is_file():
        return None
    features = CosineScorer.from_arrays(safetensors.numpy.load_file(path))
    columns = features.rows.indices
    if features.rows.shape[0] != num_nodes or not np.isfinite(features.rows.data).all():
        raise BrokenRun(f"{path.name} does not fit the nodes of this graph.")
    if len(columns) and not 0 <= columns.min() <= columns.max() < features.rows.shape[1]:
        raise BrokenRun(f"{path.name} names features that there are not.")
    return features


def _read_ids(path: Path) -> NDArray[np.object_]:
    column = pl.read_parquet(path)["id"]
    if column.dtype != pl.String or column.null_count() or column.n_unique() < len(column):
        raise BrokenRun(f"{path.name}: the ids are not one distinct text a node.")
    return np.array(column.to_list(), dtype=object)


def _read_part(pairs: NDArray[Any], space: PairSpace) -> Pairs:
    """Edges of a part, all of them pairs of the graph: a wrong index would read some other node's numbers."""
    is_list = pairs.dtype == np.int64 and pairs.ndim == 2 and pairs.shape[1] == 2
    inside = is_list and bool(((pairs >= 0) & (pairs < space.num_nodes)).all())
    if not inside or not space.is_admissible(pairs).all():
        raise BrokenRun("split.npz holds pairs that this graph does not have.")
    return pairs


def _feature_arrays(features: Features) -> dict[str, NDArray[Any]]:
    matrix: Any = features.matrix
    arrays: dict[str, NDArray[Any]] = {"names": np.array(features.names, dtype=np.str_)}
    if isinstance(matrix, np.ndarray):
        arrays["values"] = matrix
    else:
        arrays |= {"values": matrix.data, "columns": matrix.indices, "starts": matrix.indptr}
        arrays["count"] = np.array([matrix.shape[1]], dtype=np.int64)
    constants = {"center": features.center, "factor": features.factor}
    return arrays | {name: array for name, array in constants.items() if array is not None}


def _read_features(path: Path, scaling: str, num_nodes: int) -> Features | None:
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        parts = dict(arrays)
    matrix: Any = parts["values"]
    if "starts" in parts:
        shape = (num_nodes, int(parts["count"][0]))
        matrix = sp.csr_array((matrix, parts["columns"], parts["starts"]), shape=shape)
        matrix.check_format(full_check=True)
    width = matrix.shape[1]
    constants = [parts.get(name) for name in ("center", "factor")]
    sizes = [len(each) for each in (*constants, parts["names"]) if each is not None and len(each)]
    if matrix.dtype != np.float32 or matrix.shape[0] != num_nodes or any(size != width for size in sizes):
        raise BrokenRun(f"{path.name} does not fit the nodes of this graph.")
    return Features(matrix, scaling, tuple(map(str, parts["names"])), *constants)


def at_path(run: Run, path: Path) -> Run:
    """The same run, saved at `path`."""
    return replace(run, path=path)


def _all_scores(run: Run) -> dict[str, NDArray[Any]]:
    """Arrays of the test scores (prefix 0) and of each calibration fold (1, 2, ...)."""
    return {
        f"{i}.{name}": array
        for i, held_out in enumerate((run.test, *run.calibration))
        for name, array in held_out.to_arrays().items()
    }


def _read_scores(arrays: dict[str, NDArray[Any]]) -> list[HeldOut]:
    count = 1 + max(int(name.partition(".")[0]) for name in arrays)
    by_prefix: list[dict[str, NDArray[Any]]] = [{} for _ in range(count)]
    for name, array in arrays.items():
        prefix, _, field_name = name.partition(".")
        by_prefix[int(prefix)][field_name] = array
    return [HeldOut.from_arrays(each) for each in by_prefix]


def _read_link_rate(path: Path, held_out: list[HeldOut]) -> LinkRate:
    """As the fit counted it; counted here for a run that was written before it was stored."""
    if not path.is_file():
        return fit_link_rate(held_out)
    with np.load(path, allow_pickle=False) as arrays:
        return LinkRate.from_arrays(dict(arrays))


def _embedding_table(run: Run) -> pl.DataFrame:
    assert run.embeddings is not None
    source, target = run.embeddings
    columns = {"id": pl.Series(run.ids.tolist(), dtype=pl.String)}
    sides = {"source_": source, "target_": target} if run.split.space.directed else {"": source}
    for prefix, values in sides.items():
        columns |= {f"{prefix}{i}": pl.Series(np.ascontiguousarray(values[:, i])) for i in range(values.shape[1])}
    return pl.DataFrame(columns)


def _sides(table: pl.DataFrame) -> tuple[Embeddings, Embeddings]:
    def side(prefix: str) -> Embeddings:
        return table.select(pl.col(f"^{prefix}[0-9]+$")).to_numpy().astype(np.float32, order="C")

    source = side("source_") if "source_0" in table.columns else side("")
    return source, side("target_") if "target_0" in table.columns else source


def _read_history(path: Path) -> dict[str, list[Any]]:
    with path.open(newline="", encoding="utf-8") as lines:
        header, *rows = csv.reader(lines)
    columns: dict[str, list[Any]] = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    for name in columns.keys() - {"event"}:
        columns[name] = [float(cell) if cell else None for cell in columns[name]]
    return columns


def parquet_bytes(table: pl.DataFrame) -> bytes:
    """A table as Parquet in memory, so that a full disk shows as the operating system's own error."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _load_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
