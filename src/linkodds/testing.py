"""What every model must do, as checks: of ours in the tests, and of a user's own by `check_encoder` and `check_scorer`.

A check raises AssertionError with what was found; none of them is a judgement of how good a model is.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.fitting.reattach_model import given_again, name_of, own_of
from linkodds.graph.features import Features
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import roc_auc
from linkodds.metrics.non_edges import NonEdges
from linkodds.models.autoencoders.custom_encoder import CustomEncoder, ModuleEncoder
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.pairs import Pairs, PairSpace
from linkodds.runs.record import Run, load_run, write_results
from linkodds.runs.run_directory import PartialRun
from linkodds.scorers.function_scoring import FunctionScorer
from linkodds.scorers.scoring import Scorer

EPOCHS = 60


def check_encoder(model: Any, *, num_features: int | None = None, epochs: int = EPOCHS) -> None:
    """Run what our own models have to pass on a user's: on 150 nodes in six planted groups, in some seconds.

    The groups are found; the order of ends, of pairs and of batches does not matter; renamed nodes are embedded as before;
    the same seed gives the same evaluation, bit for bit; a saved run gives the same logits when it is loaded.

    Args:
        model: an `CustomEncoder`, or a module, as for `LinkPredictor(model=...)`.
        num_features: columns of the features that are given; None: the graph has none.
        epochs: of training.
    Raises:
        AssertionError: a check failed; the message says what it found.
        ModelError: outputs of another shape than was asked for, or random ones in eval mode.
    Example:
        >>> from torch import nn
        >>> class Smooth(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.linear = nn.Linear(16, 8)
        ...     def encode(self, x, edge_index):
        ...         source, target = edge_index
        ...         return self.linear(x + x.new_zeros(x.shape).index_add(0, target, x[source]) / 8)
        >>> check_encoder(CustomEncoder(lambda num_features, num_nodes: Smooth(), table=16))
    """
    own = own_of(model)
    if not isinstance(own, CustomEncoder):
        raise AssertionError(
            f"check_encoder takes a module or an CustomEncoder, not {type(model).__name__}; "
            "wrap a function that makes a module: CustomEncoder(function)"
        )
    graph = planted_groups(num_features)
    run = _fitted(graph, own, epochs)
    _check_run(run, _fitted(graph, own, epochs))
    check_finds_groups(run.scorer, run.split)
    _check_renaming(own, run.split, graph.features)
    _check_saving(run, own)


def check_scorer(model: Any) -> None:
    """The same of a function of pairs or an `CustomScorer`, on the same graph without features; it need not find anything.

    Args:
        model: as for `LinkPredictor(model=...)`; it has to score pairs of any graph of 150 nodes.
    Raises:
        AssertionError: a check failed; the message says what it found.
        ModelError: what the function returns is not one number for each pair, or not the same one again.
    Example:
        >>> check_scorer(lambda pairs: -abs(pairs[:, 0] - pairs[:, 1]))
    """
    own = own_of(model)
    if not isinstance(own, CustomScorer):
        raise AssertionError(f"check_scorer takes a function of pairs or an CustomScorer, not {type(model).__name__}")
    graph = planted_groups(None)
    run = _fitted(graph, own, EPOCHS)
    _check_run(run, _fitted(graph, own, EPOCHS))
    _check_saving(run, own)


def planted_groups(num_features: int | None = None) -> Graph:
    """Six groups of 25 nodes; pairs are edges with probability 0.3 inside a group and 0.01 across (about 650 edges).

    Args:
        num_features: columns of blurred group membership and noise; None: no features.
    Example:
        >>> planted_groups().num_nodes, planted_groups(8).features.matrix.shape
        (150, (150, 8))
    """
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(6), 25)
    u, v = np.triu_indices(len(group), k=1)
    is_edge = rng.random(len(u)) < np.where(group[u] == group[v], 0.3, 0.01)
    ids = np.array([f"node{i}" for i in range(len(group))], dtype=object)
    features = None
    if num_features is not None:
        values = rng.normal(size=(len(group), num_features))
        values[:, : min(6, num_features)] += np.eye(6)[group][:, : min(6, num_features)]
        features = Features(values.astype(np.float32), "none")
    edges = np.column_stack([u[is_edge], v[is_edge]]).astype(np.int64)
    return Graph(ids, edges, PairSpace(len(group)), features)


def check_finds_groups(scorer: Scorer, split: Split) -> None:
    """Test edges rank above non-edges, beyond three standard errors of a ROC AUC of chance.

    An AUC of 0.5 has a standard error of at most sqrt((1/P + 1/N) / 12); N is large in the graphs that this is for.
    """
    found = roc_auc(HeldOut.from_scorer(scorer, split.test, NonEdges(split.recorded())))
    least = 0.5 + 3 * 1.05 * np.sqrt(1 / (12 * len(split.test)))
    assert found > least, f"the planted groups were not found: ROC AUC {found:.3f}, chance reaches {least:.3f}"


def check_order_of_ends(scorer: Scorer, pairs: Pairs) -> None:
    """(u, v) and (v, u) have one logit, where edges have no direction.

    A function is always asked with the smaller node number first, so here it is asked itself.
    """
    if isinstance(scorer, FunctionScorer):
        there, back = scorer.given(pairs), scorer.given(np.ascontiguousarray(pairs[:, ::-1]))
        _check_close(there, back, "the order of the ends changes a value", 1e-6)
    _check_close(scorer.logits(pairs), scorer.logits(pairs[:, ::-1]), "the order of the ends changes a logit", 1e-12)


def check_batches(scorer: Scorer, pairs: Pairs) -> None:
    """A pair has the same logit alone, among others, and in any order of them."""
    alone = np.concatenate([scorer.logits(pair[None]) for pair in pairs])
    _check_close(scorer.logits(pairs), alone, "a batch gives other logits than its pairs alone", 1e-12)
    _check_close(scorer.logits(pairs[::-1]), alone[::-1], "the order of the pairs changes a logit", 1e-12)


def check_blocks(scorer: Scorer, rows: slice, columns: slice) -> None:
    """A block of the pair matrix holds the logits of its pairs, rounded to float32. Self-pairs are not looked at."""
    block = scorer.block(rows, columns)
    assert block.dtype == np.float32, f"a block is {block.dtype}, not float32"
    row, column = np.mgrid[rows, columns]
    proper = row != column
    pairs = np.column_stack([row[proper], column[proper]])
    close = np.allclose(scorer.logits(pairs), block[proper], rtol=1.2e-7, atol=1e-6)
    assert close, "a block differs from the logits of its pairs"


def _fitted(graph: Graph, own: CustomEncoder | CustomScorer, epochs: int) -> Run:
    config = FitConfig(model=name_of(own), epochs=epochs, folds=1, degree_calibration="no")
    return fit_graph(graph, config, own=own)


def _check_run(run: Run, again: Run) -> None:
    assert run.evaluation == again.evaluation, "the same seed gave another evaluation"
    check_order_of_ends(run.scorer, run.split.test)
    check_batches(run.scorer, run.split.test[:20])
    check_blocks(run.scorer, slice(5, 25), slice(10, 150))


def _check_renaming(own: CustomEncoder, split: Split, features: Features | None) -> None:
    """New number of node u: place[u]. What the module keeps for each node is renamed with it."""
    num_nodes = split.space.num_nodes
    place = np.random.default_rng(3).permutation(num_nodes)
    rows = np.argsort(place)
    num_features = None if features is None else features.matrix.shape[1]
    encoder = own.build(num_nodes, num_features, torch.Generator().manual_seed(0))
    before = _embedded(encoder, split, None if features is None else np.asarray(features.matrix))
    weights = {
        key: value[torch.from_numpy(rows)] if value.ndim and len(value) == num_nodes else value
        for key, value in encoder.state_dict().items()
    }
    encoder.load_state_dict(weights)
    empty = split.train[:0]
    renamed = replace(
        split, train=split.space.canonical(place[split.train]), validation=empty, calibration=empty, test=empty
    )
    moved = None if features is None else np.asarray(features.matrix)[rows]
    after = _embedded(encoder, renamed, moved)[place]
    largest = float(np.abs(after - before).max() / max(np.abs(before).max(), 1e-30))
    assert largest < 1e-4, f"renamed nodes get other embeddings (by {largest:.2g} of the largest entry)"


@torch.no_grad()
def _embedded(encoder: ModuleEncoder, split: Split, features: NDArray[np.float32] | None) -> NDArray[np.float32]:
    propagation = SparseMatrix.from_scipy(normalized_adjacency(split.message_graph()))
    inputs = None if features is None else torch.from_numpy(features)
    return np.asarray(encoder(propagation, inputs, None).numpy())


def _check_saving(run: Run, own: CustomEncoder | CustomScorer) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with PartialRun(Path(folder) / "run", force=False) as partial:
            write_results(partial, run)
            path = partial.commit()
        loaded = load_run(path)
        try:
            logits = loaded.scorer.logits(run.split.test)
        except Exception:
            logits = given_again(loaded, own).scorer.logits(run.split.test)
    _check_close(logits, run.scorer.logits(run.split.test), "a saved run gives other logits", 1e-6)


def _check_close(found: NDArray[Any], expected: NDArray[Any], what: str, tolerance: float) -> None:
    differs = ~np.isclose(found, expected, rtol=tolerance, atol=tolerance)
    if differs.any():
        k = int(np.argmax(differs))
        raise AssertionError(
            f"{what}: {found[k]:.9g} and {expected[k]:.9g} ({int(differs.sum())} of {len(found)} differ)"
        )


_MATRIX = (
    "the rows of X are edges, two ids each; the check passes a matrix of random numbers with another number of columns, which "
    "is refused, as it would be as an edge list"
)
_NO_GRAPH = "X has two columns of random numbers: a graph in which no node has two edges, whose ranking is inverted"
_SPARSE = "a sparse X is the adjacency matrix of a graph and is read as one"
EXPECTED_FAILED_CHECKS: dict[str, str] = {
    **dict.fromkeys(
        (
            "check_fit_score_takes_y",
            "check_dont_overwrite_parameters",
            "check_positive_only_tag_during_fit",
            "check_estimators_dtypes",
            "check_pipeline_consistency",
            "check_estimators_pickle",
            "check_f_contiguous_array_estimator",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_fit2d_1sample",
            "check_fit2d_1feature",
            "check_dict_unchanged",
        ),
        _MATRIX,
    ),
    **dict.fromkeys(
        (
            "check_estimators_overwrite_params",
            "check_estimators_fit_returns_self",
            "check_readonly_memmap_input",
            "check_fit_idempotent",
            "check_fit_check_is_fitted",
        ),
        _NO_GRAPH,
    ),
    **dict.fromkeys(
        ("check_estimator_sparse_tag", "check_estimator_sparse_array", "check_estimator_sparse_matrix"), _SPARSE
    ),
}
"""Checks of `sklearn.utils.estimator_checks` that cannot apply to `LinkPredictor`, and why: for `check_estimator`."""
