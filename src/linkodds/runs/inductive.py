"""Inductive prediction: nodes that a run was not fitted with, embedded by their features and their edges to others.

The encoder runs on the message graph with the new nodes appended. Messages reach them from known nodes and from each
other, none go back: known nodes keep their embeddings and their degrees, and so all logits between them. A new node with
the features and the edges of a known one therefore has its logits, to rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import BadFeatures, DataError, OptionError, UnknownNode
from linkodds.graph.features import Features, FeatureTable, input_scale, read_features, scaled_like
from linkodds.graph.split import Split
from linkodds.models.families import AUTO, family_of
from linkodds.pairs import Pairs, PairSpace
from linkodds.reading.reading import read_nodes, read_pairs
from linkodds.runs.record import Run
from linkodds.scorers.baselines import CosineScorer
from linkodds.scorers.scoring import (
    DegreeAwareScorer,
    Embeddings,
    InnerProductScorer,
    MeanOddsScorer,
    Scorer,
    mean_inner_product,
)
from linkodds.search.pair_search import FoundPairs

NOT_GUARANTEED = (
    "Pairs with a new node: probabilities and decisions were calibrated on pairs of known nodes, so nothing is guaranteed "
    "for them."
)
_UNSIDED, _ANY_SIDE = 2, 3
_CELLS = 1 << 21


@dataclass(frozen=True, eq=False)
class WithNewNodes:
    """A run's graph with new nodes appended.

    Args:
        ids: shape (known + new,), text, the known ones first.
        index: id -> place.
        num_known: nodes that the run was fitted with.
        scorer: logits of pairs of all of them.
        recorded: shape (edges, 2), canonical: those of the run, and those that were given for the new nodes.
        space: of all nodes, without sides.
        sides: shape (known + new,): 0 or 1, 2 for a known node without a side, 3 for a new node without an edge, which may
            be on either; None where the graph is not bipartite.
        has_edges: shape (known + new,): False for a new node without an edge.
    """

    ids: NDArray[np.object_]
    index: Mapping[str, int]
    num_known: int
    scorer: Scorer
    recorded: Pairs
    space: PairSpace
    sides: NDArray[np.int64] | None
    has_edges: NDArray[np.bool_]

    def is_admissible(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Shape (pairs,): no node with itself and, in a bipartite graph, ends on two sides."""
        different: NDArray[np.bool_] = pairs[:, 0] != pairs[:, 1]
        if self.sides is None:
            return different
        first, second = np.sort(self.sides[pairs], axis=1).T
        is_across: NDArray[np.bool_] = ((first == 0) & (second == 1)) | ((first < _UNSIDED) & (second == _ANY_SIDE))
        return different & is_across

    def logits(self, pairs: Pairs) -> NDArray[np.float64]:
        """Shape (pairs,), of admissible pairs; in a bipartite graph side 0 comes first, as in the fit."""
        if self.sides is not None:
            first, second = self.sides[pairs].T
            is_other_way = (first == 1) | (second == 0)
            pairs = np.where(is_other_way[:, None], pairs[:, ::-1], pairs)
        return self.scorer.logits(pairs)

    def is_recorded(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Shape (pairs,), of canonical pairs."""
        return self.space.contains(self.recorded, pairs)

    def find_links(self, *, top: int | None, threshold: float | None, per_node: int | None = None) -> FoundPairs:
        """The best pairs of a new node with any other and without a recorded edge, the highest logit first.

        Args:
            top: how many at most.
            threshold: the smallest logit.
            per_node: how many of each new node at most.
        """
        count, num_new = len(self.ids), len(self.ids) - self.num_known
        kept: list[tuple[Pairs, NDArray[np.float64]]] = []
        rows_at_once = 1 if per_node is not None else max(1, _CELLS // count)
        for start in range(self.num_known, count, rows_at_once):
            rows = np.arange(start, min(start + rows_at_once, count))
            found = []
            for is_source in (True, False) if self.space.directed else (True,):
                pairs = np.stack(np.meshgrid(rows, np.arange(count), indexing="ij"), axis=-1).reshape(-1, 2)
                if not self.space.directed and per_node is None:
                    pairs = pairs[(pairs[:, 1] < pairs[:, 0])]  # of two new nodes each pair once
                elif not is_source:
                    pairs = pairs[pairs[:, 1] < self.num_known][:, ::-1]  # two new nodes: each is a source in its turn
                found.append(pairs)
            pairs = self.space.canonical(np.concatenate(found))
            pairs = pairs[self.is_admissible(pairs) & ~self.is_recorded(pairs)]
            logits = self.logits(pairs)
            if threshold is not None:
                pairs, logits = pairs[logits >= threshold], logits[logits >= threshold]
            best = _best(pairs, logits, per_node if per_node is not None else top)
            kept.append((pairs[best], logits[best]))
            if per_node is None and num_new > rows_at_once:  # what cannot be on the list any more is not held
                pairs, logits = (np.concatenate([each[k] for each in kept]) for k in (0, 1))
                best = _best(pairs, logits, top)
                kept = [(pairs[best], logits[best])]
        pairs, logits = (np.concatenate([each[k] for each in kept]) for k in (0, 1))
        order = _best(pairs, logits, top)
        return FoundPairs(pairs[order], logits[order])


def with_new_nodes(run: Run, features: Any, nodes: Any = None, edges: Any = None) -> WithNewNodes:
    """Read new nodes and embed them.

    Args:
        run: of a model that knows a node by its features alone.
        features: of the new nodes: a table with ids, of which known nodes' rows are passed over where `nodes` says which
            are new, or an array with a row for each of `nodes`. Scaled with the constants of the fit.
        nodes: the new ids; None takes all ids of the features.
        edges: pairs of ids, of which one or both are new; None: the new nodes have no edges.
    Raises:
        OptionError: a model that has nothing to say of new nodes.
        DataError: what cannot be read or used, and which row of it.
    """
    known = _features_of(run)
    if features is None:
        raise OptionError("new nodes are known by their features; give --features FILE.")
    table = read_features(features)
    ids, rows = _new_ids(run, table, nodes)
    if known.names and table.names and table.names != known.names:
        first = next((a, b) for a, b in zip((*table.names, "none"), (*known.names, "none"), strict=False) if a != b)
        raise BadFeatures(
            f"{table.place}: its columns are not those of the fit: {first[0]!r} stands where {first[1]!r} was. "
            "Give the same columns in the same order."
        )
    own: Any = table.matrix
    new = scaled_like(known, own[rows])
    index = {**run.index, **{str(name): len(run.ids) + i for i, name in enumerate(ids)}}
    count = len(run.ids) + len(ids)
    directed = run.split.space.directed
    space = PairSpace(count, directed=directed)
    added = _new_edges(run, index, space, edges)
    has_edges = np.ones(count, dtype=np.bool_)
    has_edges[len(run.ids) :] = np.isin(np.arange(len(run.ids), count), added)
    return WithNewNodes(
        ids=np.concatenate([run.ids, ids]),
        index=index,
        num_known=len(run.ids),
        scorer=_scorer(run, run.scorer, run.model, run.weights, _Appended(known, new, added)),
        recorded=np.concatenate([run.split.recorded().pairs, added]),
        space=space,
        sides=_sides(run, added, count),
        has_edges=has_edges,
    )


def refuse_unless_inductive(run: Run) -> None:
    """Raise unless the model of a run knows a node by its features alone.

    Raises:
        OptionError: why it does not, and what to do.
    """
    is_mean = run.model == AUTO
    members = [str(each["model"]) for each in run.config["members"]] if is_mean else [run.model]
    cure = "Fit again with the new nodes in the graph, or fit --model vgae with --features."
    for name in members:
        whose = f"the mean of this run has {name} in it, and " if is_mean else f"{name}: "
        if reason := family_of(name).why_no_new_nodes():
            raise OptionError(f"{whose}{reason} {cure}")
    if run.features is None:
        raise OptionError(
            f"{run.model}: this run was fitted without node features (or by an earlier version, which did not keep them), so "
            f"it has a learned row for each node, and none for a new one. {cure}"
        )


@dataclass(frozen=True, eq=False)
class _Appended:
    """Known features, those of new nodes scaled alike, and the edges of the new nodes."""

    known: Features
    new: NDArray[np.float32] | sp.csr_array
    edges: Pairs

    @property
    def num_known(self) -> int:
        return int(self.known.matrix.shape[0])

    @property
    def count(self) -> int:
        return self.num_known + int(self.new.shape[0])

    def inputs(self, nodes: NDArray[np.int64]) -> NDArray[np.float64] | sp.csr_array:
        """Rows of the features as the first layer takes them, float64."""
        known: Any = self.known.matrix
        new: Any = self.new
        is_new = nodes >= self.num_known
        parts = [known[nodes[~is_new]], new[nodes[is_new] - self.num_known]]
        stack: Any = sp.vstack(parts, format="csr") if sp.issparse(known) else np.concatenate(parts)
        order = np.argsort(np.argsort(is_new, kind="stable"), kind="stable")
        return (stack[order] / input_scale(self.known)).astype(np.float32).astype(np.float64)  # type: ignore[no-any-return]

    def propagation(self, split: Split) -> sp.csr_array:
        """Shape (all, all): known rows as in training, without what new nodes would add; see `normalized_adjacency`."""
        graph: Any = split.message_graph().astype(np.float64)
        graph = graph.maximum(graph.T).tocoo()
        u, v = self.edges.T
        ends = np.concatenate([graph.row, u, v]), np.concatenate([graph.col, v, u])
        either = sp.coo_array((np.ones(len(ends[0])), ends), shape=(self.count, self.count)).tocsr()
        either.data[:] = 1.0  # both directions of a pair are one tie
        either = sp.csr_array(either + sp.eye_array(self.count))
        to_new = sp.coo_array(either)
        is_kept = ~((to_new.row < self.num_known) & (to_new.col >= self.num_known))
        kept = (to_new.data[is_kept], (to_new.row[is_kept], to_new.col[is_kept]))
        either = sp.csr_array(sp.coo_array(kept, shape=either.shape))
        inverse_root = sp.diags_array(np.asarray(either.sum(axis=1)) ** -0.5)
        return sp.csr_array(inverse_root @ either @ inverse_root)

    def embeddings(self, split: Split, weights: Mapping[str, NDArray[Any]], width: int) -> Embeddings:
        """Embeddings of the new nodes, shape (new, width): the encoder's arithmetic, for the rows that they need.

        Args:
            split: whose train edges carry the messages.
            weights: of the encoder, as training names them.
            width: columns of the mean.
        """
        rows = self.propagation(split)
        new = np.arange(self.num_known, self.count)
        first, second = weights["encoder.first"].astype(np.float64), weights.get("encoder.second")
        if second is None:
            return self._propagated(rows[new], first[:, :width]).astype(np.float32)
        near = np.unique(rows[new].indices)  # whose hidden layer reaches a new node
        hidden = np.maximum(self._propagated(rows[near], first), 0.0)
        return np.asarray(rows[new][:, near] @ (hidden @ second[:, :width].astype(np.float64)), dtype=np.float32)

    def _propagated(self, rows: sp.csr_array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        nodes = np.unique(rows.indices).astype(np.int64)
        return np.asarray(rows[:, nodes] @ (self.inputs(nodes) @ weights))

    def degrees(self, known: NDArray[np.int64], side: int, *, directed: bool) -> NDArray[np.int64]:
        """Degree + 1 of all nodes: those of known ones stay."""
        ends = self.edges[:, side] if directed else self.edges.ravel()
        counts = np.bincount(ends, minlength=self.count)[self.num_known :]
        return np.concatenate([known, counts + 1])


def _scorer(run: Run, scorer: Scorer, model: str, weights: Mapping[str, NDArray[Any]], appended: _Appended) -> Scorer:
    """A scorer with the new nodes behind the known ones."""
    directed = run.split.space.directed
    if isinstance(scorer, DegreeAwareScorer):
        source, target = (appended.degrees(known, side, directed=directed) for side, known in enumerate(scorer.degrees))
        return replace(scorer, base=_scorer(run, scorer.base, model, weights, appended), degrees=(source, target))
    if isinstance(scorer, MeanOddsScorer):
        members = []
        for k, (each, about) in enumerate(zip(scorer.members, run.config["members"], strict=True), start=1):
            prefix = f"member-{k}."
            own = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
            members.append(_scorer(run, each, str(about["model"]), own, appended))
        return replace(scorer, members=tuple(members))
    if isinstance(scorer, CosineScorer):
        new = CosineScorer.of(Features(appended.new, appended.known.scaling))
        return CosineScorer(sp.csr_array(sp.vstack([scorer.rows, new.rows], format="csr")))
    assert isinstance(scorer, InnerProductScorer)
    folds = run.split.rotations()
    parts = []
    for k, split in enumerate(folds, start=1):
        prefix = f"fold-{k}." if len(folds) > 1 else ""
        own = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
        num_outputs = own["encoder.second" if "encoder.second" in own else "encoder.first"].shape[1]
        width = num_outputs // (2 if family_of(model).architecture.variational else 1)
        dim = width // (2 if directed else 1)
        rows = appended.embeddings(split, own, width)
        scale, bias = float(np.exp(own["decoder.log_scale"])), float(own["decoder.bias"])
        parts.append(InnerProductScorer(rows[:, :dim], rows[:, -dim:], scale, bias, scorer.num_negative // len(folds)))
    new_rows = parts[0] if len(parts) == 1 else mean_inner_product(parts)
    source_rows = np.concatenate([scorer.source, new_rows.source])
    target_rows = np.concatenate([scorer.target, new_rows.target]) if directed else source_rows
    return replace(scorer, source=source_rows, target=target_rows)


def _features_of(run: Run) -> Features:
    refuse_unless_inductive(run)
    if run.split.others is not None:
        raise OptionError(
            "this run has edges of other kinds, and new nodes have none: fit without --relation for new nodes."
        )
    if run.split.strengths() is not None:
        raise OptionError(
            "edges of this run have strengths, and those of new nodes have none: fit without --weight for new nodes."
        )
    assert run.features is not None
    return run.features


def _new_ids(run: Run, table: FeatureTable, nodes: Any) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The new ids, and the row of each among the features."""
    if nodes is None and table.ids is None:
        raise OptionError(f"{table.place} has rows without ids; give --nodes with one new id a row.")
    wanted = read_nodes(nodes) if nodes is not None else table.ids
    assert wanted is not None
    row_ids = wanted if table.ids is None else table.ids
    if len(row_ids) != table.matrix.shape[0]:
        raise BadFeatures(f"{table.place}: {table.matrix.shape[0]} rows for {len(row_ids)} ids of --nodes.")
    table.refuse_not_finite(row_ids)
    known = [str(name) for name in wanted if name in run.index]
    if known:
        raise DataError(
            f"{known[0]!r} is a node of the run already ({len(known)} such id(s)), and keeps its embedding. "
            + ("Leave it out of --nodes." if nodes is not None else "Say with --nodes which ids are new.")
        )
    row_of = {str(name): row for row, name in enumerate(row_ids)}
    lost = [str(name) for name in wanted if str(name) not in row_of]
    if lost:
        raise BadFeatures(
            f"{table.place}: no row for the new node {lost[0]!r} ({len(lost)} of {len(wanted)} have none)."
        )
    asked = set(map(str, wanted))
    stray = [str(name) for name in row_ids if str(name) not in asked and str(name) not in run.index]
    if stray:
        raise UnknownNode(
            f"{table.where(row_of[stray[0]])}: {stray[0]!r} is neither in --nodes nor a node of the run "
            f"({len(stray)} such row(s)). Add it to --nodes, or delete the row."
        )
    return wanted, np.array([row_of[str(name)] for name in wanted], dtype=np.int64)


def _new_edges(run: Run, index: Mapping[str, int], space: PairSpace, edges: Any) -> Pairs:
    """Edges of new nodes as canonical pairs, each once."""
    if edges is None:
        return np.empty((0, 2), dtype=np.int64)
    names = read_pairs(edges)
    pairs = np.column_stack(
        [np.fromiter((index.get(str(each), -1) for each in side), dtype=np.int64) for side in names]
    )
    for is_wrong, error, why, cure in (
        ((pairs < 0).any(axis=1), UnknownNode, "an id that is neither new nor in the run", "Add it to the new nodes."),
        (pairs[:, 0] == pairs[:, 1], DataError, "a node with itself", "Delete the row."),
        (
            (pairs < len(run.ids)).all(axis=1),
            DataError,
            "an edge of two nodes of the run, whose graph is what it was fitted on",
            "Delete the row, or fit again with it.",
        ),
    ):
        if is_wrong.any():
            row = int(np.argmax(is_wrong))
            raise error(
                f"edge {row + 1} of the new nodes ({names[0][row]!r}, {names[1][row]!r}): {why} "
                f"({int(is_wrong.sum())} such row(s)). {cure}"
            )
    canonical = space.canonical(pairs)
    return canonical[np.unique(space.keys(canonical), return_index=True)[1]]


def _sides(run: Run, added: Pairs, count: int) -> NDArray[np.int64] | None:
    """The side of each node; that of a new one is the other than those it has edges to."""
    sizes = run.split.space.sides
    if sizes is None:
        return None
    num_known = len(run.ids)
    sides = np.full(count, _ANY_SIDE, dtype=np.int64)
    sides[:num_known] = np.repeat([0, 1, _UNSIDED], [*sizes, num_known - sum(sizes)])
    if ((added >= num_known).all(axis=1)).any():
        raise DataError("an edge joins two new nodes of a bipartite graph, which says no side of them; leave it out.")
    for u, v in added.tolist():  # canonical: the known end first
        taken = 1 - int(sides[u]) if sides[u] < _UNSIDED else _UNSIDED
        if taken == _UNSIDED or sides[v] not in (_ANY_SIDE, taken):
            raise DataError(
                f"new node {v - num_known + 1}: its edges lead to both sides of a bipartite graph, or to a node without a "
                "side. Delete those that are wrong."
            )
        sides[v] = taken
    return sides


def _best(pairs: Pairs, logits: NDArray[np.float64], count: int | None) -> NDArray[np.int64]:
    """Places of the highest logits, the highest first, equal ones by pair."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -logits))
    return order if count is None else order[:count]
