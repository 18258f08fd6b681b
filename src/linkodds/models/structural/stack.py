"""Stack: boosted trees over structural counts, fitted on train edges hidden from the graph that made their inputs.

Two stages. Every pair gets a few inputs and few trees (broad); the pairs that these leave near the top, one in twenty,
get all inputs and many trees (close), whose logit takes the place of the first. A logit is a function of the pair alone,
so evaluation, `predict` and `find` agree on it. A train edge keeps the logit that its inputs gave while it was hidden.

Among the zeros are the links to be found: leaving just those out would tell the model which they are. What is known
without them is the share of the recorded edges that are train edges. With it, models that were not shown a pair say how
likely its zero hides an edge, and the zero counts that much less (Elkan and Noto, KDD 2008).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, OptionError
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.structural.masked_edges import HiddenEdges, Rows, StackOptions, cut_off_offset
from linkodds.models.structural.out_of_fold_logits import TrainLogits
from linkodds.models.structural.structural_counts import CUT_OFF, StructuralCounts, Tile
from linkodds.models.structural.trees import BinaryTree, Forest
from linkodds.models.training.history import Epoch
from linkodds.pairs import Pairs, PairSpace

NUM_CLOSE, GROUPS = 3, 3
FORESTS = ("broad", *(f"close-{k}" for k in range(1, NUM_CLOSE + 1)))
"""What the arrays of each forest stand behind in model.safetensors."""
FEWER = 3
"""Trees that only say how likely a zero hides an edge are so many times fewer, and larger steps."""
CLOSE_SHARE, CLOSE_PAIRS = 0.05, 200_000
MANY_EDGES = 6_000
"""With fewer edges to learn from, leaves are held closer to zero."""
MAX_NODES = 30_000
DIGITS = 6
"""Digits after the point of what is added to logits: sums that round otherwise give the same trees."""
FIRST_TREES = 50
"""Of the first close forest: they tell most pairs that are far from the best."""
_PAIRS_AT_A_TIME = 1 << 16
_FEW = 200
"""Pairs of a row, on average: with fewer, all their inputs are made at once, and the trees called once for many rows."""
_TREES = {
    "objective": "binary",
    "min_data_in_leaf": 100,
    "min_sum_hessian_in_leaf": 1.0,
    "lambda_l2": 10.0,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "max_bin": 63,
    "num_threads": 1,
    "verbose": -1,
}
_BROAD = _TREES | {"learning_rate": 0.15, "num_leaves": 15, "feature_fraction": 0.8}
_CLOSE_RATE = 0.06
_CLOSE = _TREES | {"learning_rate": _CLOSE_RATE, "num_leaves": 15, "feature_fraction": 0.5}


@dataclass(frozen=True, eq=False)
class StackScorer:
    """Logits of the trees; a train edge has the logit it had while it was hidden.

    Args:
        counts: inputs on the message graph.
        broad: for every pair.
        close: their mean is for the pairs near the top.
        cut: broad logit from which on a pair is close.
        train_logits: of the train edges.
    """

    counts: StructuralCounts
    broad: Forest
    close: tuple[Forest, ...]
    cut: float
    train_logits: TrainLogits

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        num_columns = columns.stop - columns.start
        result = np.empty((rows.stop - rows.start, num_columns), dtype=np.float32)
        for some, nodes, tile in self.counts.tiles(rows, columns):
            logits = self._of_cells(tile, None).reshape(num_columns, len(nodes)).T
            self.train_logits.put_into_block(logits, nodes, columns)
            result[some] = logits
        return result

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        result = np.empty(len(pairs))
        order = np.argsort(pairs[:, 0], kind="stable")
        for start in range(0, len(pairs), _PAIRS_AT_A_TIME):
            some = order[start : start + _PAIRS_AT_A_TIME]
            if len(np.unique(pairs[some, 0])) * _FEW < len(some):  # most pairs of their rows: few of them are close
                for tile, places, cells in self.counts.tiles_of(pairs[some]):
                    result[some[places]] = self._of_cells(tile, cells)
            else:
                result[some] = self.of_inputs(self.counts.of_pairs(pairs[some]))
        self.train_logits.put_into(result, pairs)
        return result

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All but the message graph, by name."""
        arrays = {"cut": np.array([self.cut])} | self.train_logits.to_arrays() | self.counts.to_arrays()
        arrays |= forests_to_arrays(self.forests)
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    @staticmethod
    def from_arrays(split: Split, arrays: Mapping[str, NDArray[Any]]) -> "StackScorer":
        """The scorer again.

        Args:
            split: its train edges are the message graph.
            arrays: as `to_arrays` gives them.
        Raises:
            BrokenRun: arrays that do not belong to this graph, or forests that do not belong to these arrays.
        """
        counts, train_logits = StructuralCounts.from_arrays(split, arrays), TrainLogits.from_arrays(split, arrays)
        if not np.isfinite(arrays["cut"]).all():
            raise BrokenRun("model.safetensors: the cut is no number.")
        broad, *close = _forests_from_arrays(arrays)
        if [forest.num_inputs for forest in (broad, *close)] != [len(counts.broad_names)] + [
            len(counts.names)
        ] * NUM_CLOSE:
            raise BrokenRun("model.safetensors: its trees do not split on the inputs that its other arrays make.")
        return StackScorer(counts, broad, tuple(close), float(arrays["cut"][0]), train_logits)

    @property
    def forests(self) -> tuple[Forest, ...]:
        """The broad one, then the close ones."""
        return self.broad, *self.close

    def of_inputs(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits from all inputs, shape (pairs,): what `block` and `logits` make of pairs that are no train edges."""
        names = self.counts.names
        logits = self.broad.logits(inputs[:, [names.index(name) for name in self.counts.broad_names]])
        close = np.flatnonzero(logits >= self.cut)
        logits[close] = self._close(inputs[close])
        return logits

    def _close(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        total = self.close[0].logits(inputs)
        for forest in self.close[1:]:
            total += forest.logits(inputs)
        return total / len(self.close)

    num_screens: ClassVar[int] = 2
    is_same_in_company: ClassVar[bool] = True

    def screened(self, pairs: Pairs, least: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the broad trees and the first close ones say, and logits of the pairs of which both say enough.

        Args:
            pairs: no train edges among them.
            least: for either; -inf twice gives all pairs their logit.
        Returns:
            What they say, shape (pairs, 2), float64: -inf where it was not asked, inf where the logit is the broad one; and
            the logits, shape (pairs,), -inf where there is none.
        """
        inputs = self.counts.early_of_pairs(pairs)
        names = self.counts.names
        said, logits = np.full((len(pairs), 2), -np.inf), np.full(len(pairs), -np.inf)
        said[:, 0] = self.broad.logits(inputs[:, [names.index(name) for name in self.counts.broad_names]])
        stays = ~(said[:, 0] < least[0])  # NaN stays, to be complained of
        is_final = said[:, 0] < self.cut
        final, close = np.flatnonzero(stays & is_final), np.flatnonzero(stays & ~is_final)
        logits[final], said[final, 1] = said[final, 0], np.inf
        inputs = inputs[close]
        self.counts.put_late(inputs, pairs[close])
        said[close, 1] = self._first.logits(inputs)
        wanted = ~(said[close, 1] < least[1])
        logits[close[wanted]] = self._close(inputs[wanted])
        return said, logits

    @cached_property
    def _first(self) -> Forest:
        return Forest(self.close[0].trees[:FIRST_TREES], self.close[0].num_inputs)

    def _of_cells(self, tile: Tile, cells: NDArray[np.int64] | None) -> NDArray[np.float64]:
        logits = self.broad.logits(tile.inputs(self.counts.broad_names, cells))
        close = np.flatnonzero(logits >= self.cut)
        logits[close] = self._close(tile.inputs(self.counts.names, close if cells is None else cells[close]))
        return logits


def forests_to_arrays(forests: Sequence[Forest]) -> dict[str, NDArray[Any]]:
    """The arrays of a stack's forests, the broad one first, each behind its name in `FORESTS` and a point."""
    return {
        f"{forest}.{name}": array
        for forest, each in zip(FORESTS, forests, strict=True)
        for name, array in each.to_arrays().items()
    }


def _forests_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> list[Forest]:
    forests = []
    for forest in FORESTS:
        prefix = f"{forest}."
        try:
            forests.append(
                Forest.from_arrays({key.removeprefix(prefix): arrays[key] for key in arrays if key.startswith(prefix)})
            )
        except BrokenRun as error:
            raise BrokenRun(f"model.safetensors: {forest} trees: {error}") from error
    return forests


@dataclass(frozen=True, eq=False)
class StackedModel:
    """A fitted stack; the same fields as a trained autoencoder where both have them.

    Args:
        scorer: logits of pairs.
        effective_odds: edges / non-edges that the trees were fitted at.
        offset: of pairs that no path connects; it is a part of the trees.
        findings: what there is to say.
    """

    scorer: StackScorer
    effective_odds: float
    offset: float = 0.0
    findings: tuple[Finding, ...] = ()
    name: str = "stack"
    objective: str = "boosting"
    history: tuple[Epoch, ...] = ()
    best_epoch: int = 0

    @property
    def num_parameters(self) -> int:
        """Thresholds and leaf values of all trees."""
        return sum(2 * len(tree.leaf_value) - 1 for forest in self.scorer.forests for tree in forest.trees)

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """The trees, what they read, and the logits of the train edges; see `StackScorer.to_arrays`."""
        return self.scorer.to_arrays()


def node_vectors(counts: StructuralCounts) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Source and target vectors whose inner products are inputs, those that say most of links."""
    names = [name for name in ("adjacency", "cosine_0", "cosine_2") if name in counts.embeddings]
    return [(each.left, each.right) for each in map(counts.embeddings.__getitem__, names)]


def fit_stack(
    split: Split,
    features: Features | None,
    *,
    seeds: np.random.SeedSequence,
    options: StackOptions | None = None,
    threads: int = 1,
    hidden: HiddenEdges | None = None,
    offset: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> StackedModel:
    """Fit the trees on the train edges of a split; held-out edges are zeros like all other pairs without a train edge.

    Args:
        split: its train edges are the message graph.
        features: or None.
        seeds: of the folds, the zeros, the spectral starts and the trees.
        options: how much to do; None: by the size of the graph.
        threads: for the trees; any number gives the same model.
        hidden: of these seeds and options, where they are made already.
        offset: of pairs that no path connects; None: by the validation edges, see `cut_off_offset`.
        say: called with one line a stage.
    Raises:
        OptionError: too many nodes, or too few train edges to hide some.
    """
    num_nodes, num_edges = split.space.num_nodes, len(split.train)
    options = options or StackOptions.of_size(num_edges, split.space.num_pairs)
    if num_nodes > MAX_NODES:
        raise OptionError(
            f"--model stack takes up to {MAX_NODES:,} nodes, and this graph has {num_nodes:,}; take vgae."
        )
    if num_edges < 2 * options.folds:
        raise OptionError(f"--model stack needs {2 * options.folds} train edges at least, and there are {num_edges}.")
    hidden_seeds, tree_seed = seeds.spawn(2)
    hidden = hidden or HiddenEdges.of(split, features, hidden_seeds, options, say)
    counts, rows = hidden.counts, hidden.rows
    say(f"stack: boosting on {int(rows.is_edge.sum()):,} hidden edges and {int((~rows.is_edge).sum()):,} zeros")
    share = num_edges / split.num_edges
    offset = cut_off_offset(counts, rows, split.validation) if offset is None else offset
    scorer = fit_trees(
        counts, rows, recorded_share=share, offset=offset, seeds=tree_seed, options=options, threads=threads
    )
    return StackedModel(scorer, float(rows.is_edge.sum()) / float(rows.weights[~rows.is_edge].sum()), offset)


def fit_trees(
    counts: StructuralCounts,
    rows: Rows,
    *,
    recorded_share: float,
    offset: float = 0.0,
    seeds: np.random.SeedSequence,
    options: StackOptions | None = None,
    threads: int = 1,
) -> StackScorer:
    """Fit both stages on training rows.

    In the broad stage edges and zeros have half the say each: with their own weights the few edges move no leaf of the
    many far pairs, and whatever order these have is by chance. The closed form takes it back.

    Args:
        counts: of the message graph, which pairs are scored on.
        rows: their inputs come from graphs that hid their edges.
        recorded_share: train edges / recorded edges; 1 takes every zero for what it says.
        offset: added to the logits of pairs that no path connects; see `cut_off_offset`.
        seeds: of the trees.
        options: how many trees; None: as usual.
        threads: any number gives the same trees.
    """
    options = options or StackOptions()
    broad_seed, *further = (int(seed) >> 2 for seed in seeds.generate_state(1 + NUM_CLOSE + GROUPS))
    places = [counts.names.index(name) for name in counts.broad_names]
    broad_inputs = np.ascontiguousarray(rows.inputs[:, places])
    every = np.ones(len(rows.is_edge), dtype=np.bool_)
    even, more = _evenly(rows)
    broad = _boost(_BROAD, options.broad_rounds, broad_inputs, even, every, broad_seed)
    broad = _moved(broad, -np.log(more), offset, counts.broad_names)
    first = broad.logits(broad_inputs)
    cut = cut_of_close_pairs(first, rows, counts.space)
    is_close = first >= cut

    few_rounds = max(1, options.close_rounds // FEWER)
    close_trees = _CLOSE | ({"lambda_l2": 50.0} if int(rows.is_edge.sum()) < MANY_EDGES else {})
    quick = close_trees | {"learning_rate": _CLOSE_RATE * options.close_rounds / few_rounds}

    def boost_few(keep: NDArray[np.bool_], seed: int) -> Forest:
        return _boost(quick, few_rounds, rows.inputs, rows, keep, seed)

    def boost(seed: int) -> Forest:
        return _boost(close_trees, options.close_rounds, weighted.inputs, weighted, is_close, seed)

    with ThreadPoolExecutor(max_workers=min(threads, NUM_CLOSE)) as pool:  # one thread a forest: the same bits
        weighted = rows
        if recorded_share < 1:
            groups = _groups(rows.pairs, counts.space)
            others = [is_close & (groups != group) for group in range(GROUPS)]
            shown = list(pool.map(boost_few, others, further[NUM_CLOSE:]))
            weighted = replace(rows, weights=_less_hidden_edges(rows, shown, groups, is_close, recorded_share))
        close = [_moved(forest, 0.0, offset, counts.names) for forest in pool.map(boost, further[:NUM_CLOSE])]
    nothing = TrainLogits.none(counts.space)
    scorer = StackScorer(counts, broad, tuple(close), cut, nothing)
    inputs, edges = rows.of_train_edges()
    return replace(scorer, train_logits=TrainLogits.of(edges, scorer.of_inputs(inputs), counts.space))


def _evenly(rows: Rows) -> tuple[Rows, float]:
    """Rows whose edges together weigh what the zeros do, and how many times more an edge weighs than a zero."""
    edges, zeros = (float(rows.weights[each].sum()) for each in (rows.is_edge, ~rows.is_edge))
    more = zeros / edges
    weights = np.where(rows.is_edge, more, 1.0) * rows.weights
    return replace(rows, weights=weights / weights.mean()), more


def _moved(forest: Forest, by: float, cut_off_by: float, names: tuple[str, ...]) -> Forest:
    """A forest with one stump more, which adds to all logits, and to those of pairs that no path connects."""
    by, cut_off_by = round(float(by), DIGITS), round(float(by + cut_off_by), DIGITS)
    stump = BinaryTree((names.index("distance"),), (CUT_OFF - 0.5,), (-1,), (-2,), (by, cut_off_by))
    return Forest((*forest.trees, stump), forest.num_inputs)


def cut_of_close_pairs(first: NDArray[np.float64], rows: Rows, space: PairSpace) -> float:
    """The broad logit that the wanted share of all non-edges reaches, by the weighted zeros."""
    share = max(CLOSE_SHARE, min(1.0, CLOSE_PAIRS / space.num_pairs))
    zeros, weights = first[~rows.is_edge], rows.weights[~rows.is_edge]
    order = np.argsort(-zeros, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(reached, share))
    return float(zeros[order[place]]) if place < len(order) and share < 1 else float(np.min(first)) - 1e3


def _groups(pairs: Pairs, space: PairSpace) -> NDArray[np.int64]:
    """A group for each pair, by a hash: the same pair is in the same group in every fold."""
    mixed = space.keys(pairs).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed >> np.uint64(40)) % np.uint64(GROUPS)).astype(np.int64)


def _less_hidden_edges(
    rows: Rows, forests: list[Forest], groups: NDArray[np.int64], is_close: NDArray[np.bool_], recorded_share: float
) -> NDArray[np.float64]:
    """Weights with those of the zeros times the probability that they hide no recorded edge.

    If a share c of the edges was labelled at random, a pair with the odds o of being a labelled one, and without a label,
    is an edge with probability (1 - c) / c * o.
    """
    weights = rows.weights.copy()
    for group, forest in enumerate(forests):
        zeros = np.flatnonzero(is_close & (groups == group) & ~rows.is_edge)
        odds = np.exp(forest.logits(rows.inputs[zeros]))
        weights[zeros] *= 1 - np.minimum((1 - recorded_share) / recorded_share * odds, 1.0)
    return weights


def _boost(
    parameters: dict[str, object],
    rounds: int,
    inputs: NDArray[np.float32],
    rows: Rows,
    keep: NDArray[np.bool_],
    seed: int,
) -> Forest:
    import lightgbm  # it takes a second to load

    data = lightgbm.Dataset(inputs[keep], label=rows.is_edge[keep], weight=rows.weights[keep], params=dict(parameters))
    return Forest.of_booster(lightgbm.train(parameters | {"seed": seed}, data, num_boost_round=rounds))
