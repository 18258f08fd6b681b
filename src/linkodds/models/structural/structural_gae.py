"""Structural autoencoder: embeddings, and exact counts of a pair, into one logit.

The encoder is that of signed-gae: a penalised table whose signed inner product is a logit. Beside it a small network reads
the structural counts of the pair. It learns from train edges hidden from the graph that made their counts, for the counts
of an edge that is there tell that it is there. The table has seen every train edge and would drown the counts if both were
fitted to them; so the logit is a mean of the two, and the share of the table is what validation edges rank best with.

A train edge has the logit that its counts gave while it was hidden; the table, which knows it, has no say in that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, OptionError
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.metrics.held_out import draw_to_choose_by
from linkodds.metrics.metrics import precision_at_each_edge
from linkodds.models.structural.masked_edges import HiddenEdges, StackOptions, cut_off_offset
from linkodds.models.structural.numpy_mlp import NumpyMLP, fit_network
from linkodds.models.structural.out_of_fold_logits import TrainLogits
from linkodds.models.structural.stack import MAX_NODES, cut_of_close_pairs
from linkodds.models.structural.structural_counts import StructuralCounts, Tile, check_of_nodes
from linkodds.models.training.history import Epoch
from linkodds.pairs import Pairs
from linkodds.scorers.scoring import Embeddings, InnerProductScorer, below_float32

SHARES = (0.1, 0.2, 0.3, 0.4)
"""Shares of the table in the logit that are tried; the smallest is the first among equals."""
BROAD_WIDTHS, CLOSE_WIDTHS = (32, 16), (64, 64)
MEMBERS, EPOCHS = 3, 5


@dataclass(frozen=True, eq=False)
class StructuralScorer:
    """logit = (1 - share) * network + share * table; a train edge has the logit of the network while it was hidden.

    A pair that no path connects has `offset` more. The logit of the table is rounded to float32 first, in `logits` as in `block`.

    Every pair gets the logit of a small network from a few counts, and the pairs that it leaves near the top, one in twenty,
    that of a larger one from all counts instead.

    Args:
        counts: inputs on the message graph.
        broad: for every pair.
        close: for the pairs near the top.
        cut: broad logit from which on a pair is close.
        table: the autoencoder, at the same odds.
        share: of the table, between 0 and 1.
        offset: see `cut_off_offset`.
        train_logits: of the train edges.
    """

    counts: StructuralCounts
    broad: NumpyMLP
    close: NumpyMLP
    cut: float
    table: InnerProductScorer
    share: float
    offset: float
    train_logits: TrainLogits

    @property
    def embeddings(self) -> tuple[Embeddings, Embeddings]:
        """Of the table, shape (nodes, dim) each."""
        return self.table.source, self.table.target

    def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Shape (rows, columns), float32; see `Scorer.block`."""
        num_columns = columns.stop - columns.start
        result = np.empty((rows.stop - rows.start, num_columns), dtype=np.float32)
        for some, nodes, tile in self.counts.tiles(rows, columns):
            of_counts = self._of_cells(tile, None).reshape(num_columns, len(nodes)).T
            of_table = self.table.block(slice(int(nodes[0]), int(nodes[-1]) + 1), columns)
            apart = self.counts.components[columns] != self.counts.components[nodes][:, None]
            logits = self._mixed(of_counts, of_table.astype(np.float64), apart)
            self.train_logits.put_into_block(logits, nodes, columns)
            result[some] = logits
        return result

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), float64; see `Scorer.logits`."""
        of_counts = self.logits_of_counts(pairs)
        of_table = self.table.logits(pairs).astype(np.float32).astype(np.float64)
        apart = self.counts.components[pairs[:, 0]] != self.counts.components[pairs[:, 1]]
        result = self._mixed(of_counts, of_table, apart)
        self.train_logits.put_into(result, pairs)
        return result

    def logits_of_counts(self, pairs: Pairs) -> NDArray[np.float64]:
        """Logits of the network alone, shape (pairs,), float64, train edges as if they were none."""
        result = np.empty(len(pairs))
        for tile, places, cells in self.counts.tiles_of(pairs):
            result[places] = self._of_cells(tile, cells)
        return result

    num_screens: ClassVar[int] = 1
    is_same_in_company: ClassVar[bool] = False  # a product of matrices may round otherwise in other company

    def screened(self, pairs: Pairs, least: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logits with the small network alone, and those of the pairs of which these say enough.

        Args:
            pairs: no train edges among them.
            least: of the former; -inf gives all pairs their logit.
        Returns:
            Shape (pairs, 1), float64; and shape (pairs,), -inf where there is none.
        """
        inputs = self.counts.early_of_pairs(pairs)
        names = self.counts.names
        of_counts = self.broad.logits(inputs[:, [names.index(name) for name in self.counts.broad_names]])
        of_table = self.table.logits(pairs).astype(np.float32).astype(np.float64)
        apart = self.counts.components[pairs[:, 0]] != self.counts.components[pairs[:, 1]]
        said, logits = self._mixed(of_counts, of_table, apart), np.full(len(pairs), -np.inf)
        stays = np.flatnonzero(~(said < least[0]))  # NaN stays, to be complained of
        close = stays[of_counts[stays] >= self.cut]
        inputs = inputs[close]
        self.counts.put_late(inputs, pairs[close])
        of_counts[close] = self.close.logits(inputs)
        logits[stays] = self._mixed(of_counts[stays], of_table[stays], apart[stays])
        return said[:, None], logits

    def of_inputs(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logits of the network alone from all inputs, shape (pairs,)."""
        names = self.counts.names
        logits = self.broad.logits(inputs[:, [names.index(name) for name in self.counts.broad_names]])
        close = np.flatnonzero(logits >= self.cut)
        logits[close] = self.close.logits(inputs[close])
        return logits

    def _of_cells(self, tile: Tile, cells: NDArray[np.int64] | None) -> NDArray[np.float64]:
        logits = self.broad.logits(tile.inputs(self.counts.broad_names, cells))
        close = np.flatnonzero(logits >= self.cut)
        logits[close] = self.close.logits(tile.inputs(self.counts.names, close if cells is None else cells[close]))
        return logits

    def _mixed(
        self, of_counts: NDArray[np.float64], of_table: NDArray[np.float64], apart: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        return (1 - self.share) * of_counts + self.share * of_table + np.where(apart, self.offset, 0.0)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All but the message graph, by name."""
        table = self.table
        arrays: dict[str, NDArray[Any]] = {
            "cut_share_offset": np.array([self.cut, self.share, self.offset]),
            "table_source": table.source,
            "table_target": table.target,
            "table_decoder": np.array([table.scale, table.bias, table.num_negative], dtype=np.float64),
            **self.train_logits.to_arrays(),
            **self.counts.to_arrays(),
            **self.broad.to_arrays("broad"),
            **self.close.to_arrays("close"),
        }
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    @staticmethod
    def from_arrays(split: Split, arrays: Mapping[str, NDArray[Any]]) -> "StructuralScorer":
        """The scorer again.

        Args:
            split: its train edges are the message graph.
            arrays: as `to_arrays` gives them.
        Raises:
            BrokenRun: arrays that do not belong to this graph, or to each other.
        """
        space = split.space
        ends = arrays["table_source"], arrays["table_target"]
        for array in ends:
            check_of_nodes(array, space.num_nodes)
        counts, train_logits = StructuralCounts.from_arrays(split, arrays), TrainLogits.from_arrays(split, arrays)
        given, decoder = arrays["cut_share_offset"], arrays["table_decoder"]
        dim = ends[0].shape[1]
        if (
            given.shape != (3,)
            or decoder.shape != (3,)
            or ends[1].shape[1] != dim
            or not np.isfinite([*given, *decoder]).all()
            or not 0 <= given[1] <= 1
            or not (decoder[0] > 0 and 0 <= decoder[2] <= dim and decoder[2] == int(decoder[2]))
        ):
            raise BrokenRun("model.safetensors: cut, share, offset or decoder are none.")
        return StructuralScorer(
            counts,
            NumpyMLP.from_arrays(arrays, "broad", len(counts.broad_names)),
            NumpyMLP.from_arrays(arrays, "close", len(counts.names)),
            float(given[0]),
            InnerProductScorer(
                ends[0], ends[1] if space.directed else ends[0], float(decoder[0]), float(decoder[1]), int(decoder[2])
            ),
            float(given[1]),
            float(given[2]),
            train_logits,
        )


@dataclass(frozen=True, eq=False)
class StructuralModel:
    """A fitted structural-gae; the same fields as a trained autoencoder where both have them.

    Args:
        scorer: logits of pairs.
        effective_odds: edges / non-edges that the network and the table were fitted at.
        history: of the table, one entry an epoch.
        best_epoch: the kept one.
        objective: of the table.
        findings: what there is to say.
    """

    scorer: StructuralScorer
    effective_odds: float
    history: tuple[Epoch, ...]
    best_epoch: int
    objective: str
    findings: tuple[Finding, ...] = ()
    name: str = "structural-gae"

    @property
    def num_parameters(self) -> int:
        """Entries of the table and of the networks, scale, bias and share."""
        scorer = self.scorer
        table, networks = scorer.table, (scorer.broad, scorer.close)
        ends = table.source.size + (0 if table.target is table.source else table.target.size)
        return ends + sum(network.num_parameters for network in networks) + 3

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """See `StructuralScorer.to_arrays`."""
        return self.scorer.to_arrays()


def check_size(split: Split, options: StackOptions | None = None) -> None:
    """Refuse a graph that is too large for exact counts, or too small to hide edges of.

    Raises:
        OptionError: so.
    """
    num_nodes, num_edges = split.space.num_nodes, len(split.train)
    options = options or StackOptions.of_size(num_edges, split.space.num_pairs)
    if num_nodes > MAX_NODES:
        raise OptionError(
            f"--model structural-gae takes up to {MAX_NODES:,} nodes, and this graph has {num_nodes:,}; take signed-gae."
        )
    if num_edges < 2 * options.folds:
        raise OptionError(
            f"--model structural-gae needs {2 * options.folds} train edges at least, and there are {num_edges}."
        )


def fit_structural(
    split: Split,
    features: Features | None,
    table: InnerProductScorer,
    *,
    table_odds: float,
    seeds: np.random.SeedSequence,
    options: StackOptions | None = None,
    hidden: HiddenEdges | None = None,
    chosen: StructuralScorer | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[StructuralScorer, float, Finding]:
    """Fit the networks beside a trained table, and choose the table's share.

    Args:
        split: its train edges are the message graph; validation edges choose the share.
        features: or None; their cosines are among the inputs.
        table: a signed-gae on the same train edges.
        table_odds: the odds at which it was trained.
        seeds: of the folds, the zeros, the spectral starts, the networks and the non-edges that judge.
        options: folds and zeros; None: by the size of the graph.
        hidden: of these seeds and options, where they are made already.
        chosen: whose share and offset are taken; None: the validation edges choose them.
        say: called with one line a stage.
    Returns:
        The scorer, the odds that its logits are at, and what there is to say of the share.
    Raises:
        OptionError: see `check_size`.
    """
    check_size(split, options)
    hidden_seeds, broad_seed, close_seed, judge_seed = seeds.spawn(4)
    hidden = hidden or HiddenEdges.of(split, features, hidden_seeds, options, say)
    counts, rows = hidden.counts, hidden.rows
    is_edge, weights = rows.is_edge, rows.weights
    say(f"structural-gae: fitting on {int(is_edge.sum()):,} hidden edges and {int((~is_edge).sum()):,} zeros")
    odds = float(is_edge.sum()) / float(weights[~is_edge].sum())
    places = [counts.names.index(name) for name in counts.broad_names]
    broad_inputs = np.ascontiguousarray(rows.inputs[:, places])
    broad = fit_network(
        broad_inputs,
        is_edge,
        weights,
        widths=BROAD_WIDTHS,
        epochs=EPOCHS - 2,
        members=1,
        seeds=broad_seed,
        edge_weight=1 / odds,  # half the say each, so that far pairs are learnt too
    )
    # Halfway between two float32: a product of matrices may differ in its last bit from block to block, and many pairs
    # have the same inputs.
    cut = below_float32(cut_of_close_pairs(broad.logits(broad_inputs), rows, split.space))
    close = fit_network(
        rows.inputs, is_edge, weights, widths=CLOSE_WIDTHS, epochs=EPOCHS, members=MEMBERS, seeds=close_seed
    )
    at_odds = replace(table, bias=table.bias + float(np.log(odds / table_odds)))
    offset = cut_off_offset(counts, rows, split.validation) if chosen is None else chosen.offset
    scorer = StructuralScorer(counts, broad, close, cut, at_odds, SHARES[0], offset, TrainLogits.none(split.space))
    if chosen is None:
        share, finding = _chosen_share(scorer, split, np.random.default_rng(judge_seed))
    else:
        share, message = chosen.share, f"structural-gae: the table has {chosen.share:g} of the logit, as before."
        finding = Finding("training", "info", message, "Nothing has to be done.", share)
    inputs, edges = rows.of_train_edges()
    logits = scorer.of_inputs(inputs).astype(np.float32).astype(np.float64)  # the last bits follow threads
    known = TrainLogits.of(edges, logits, split.space)
    return replace(scorer, share=share, train_logits=known), odds, finding


def _chosen_share(scorer: StructuralScorer, split: Split, rng: np.random.Generator) -> tuple[float, Finding]:
    """The share of the table with the best average precision of the validation edges, against drawn non-edges."""
    parts = draw_to_choose_by(split.not_judged(), split.train, len(split.validation), rng).parts
    num_edges = len(split.validation)
    pairs = np.concatenate([split.validation, *(part.sample for part in parts if part.sample is not None)])
    weights = np.concatenate([np.full(part.num_scored, 1 / part.rate) for part in parts])
    of_counts, of_table = scorer.logits_of_counts(pairs), scorer.table.logits(pairs)
    component = scorer.counts.components
    moved = np.where(component[pairs[:, 0]] != component[pairs[:, 1]], scorer.offset, 0.0)
    found = []
    for share in SHARES:
        logits = (1 - share) * of_counts + share * of_table + moved
        precisions = precision_at_each_edge(logits[:num_edges], logits[num_edges:], weights)
        found.append(float(precisions.mean()) if num_edges else 0.0)
    share = SHARES[int(np.argmax(found))]
    tried = ", ".join(f"{each:g} {ap:.4g}" for each, ap in zip(SHARES, found, strict=True))
    message = f"the table has {share:g} of the logit, best by validation average precision of {tried}."
    return share, Finding("training", "info", f"structural-gae: {message}", "Nothing has to be done.", share)
