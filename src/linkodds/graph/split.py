"""Split: four disjoint edge sets, at random or by time, and the message graph that every model of a run sees."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import BrokenRun, DegenerateGraph, OptionError, OverlappingParts
from linkodds.graph.cut_off import cut_off_nodes
from linkodds.graph.graph import Graph
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.reading.edge_weights import EdgeWeights, Floats
from linkodds.reading.relations import OtherEdges
from linkodds.reading.times import SplitTimes

PARTS = ("train", "validation", "calibration", "test")


TIES = (
    "edges of one time are never parted: a boundary lies at the change of time that is nearest to the share asked for"
)


def _no_edges() -> Pairs:
    return np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class CutOff:
    """What a split may not be judged by: nodes that it left without a train edge, see `linkodds.graph.cut_off`.

    Args:
        nodes: shape (nodes,), int64, increasing. No pair with one of them is judged, edge or not.
        num_test: test edges that touch them.
        set_aside: shape (edges, 2): their held-out edges where they may not become train edges; else these are train edges.
    """

    nodes: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    num_test: int = 0
    set_aside: Pairs = field(default_factory=_no_edges)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays to stand beside the parts in split.npz; none where no node was cut off."""
        if not len(self.nodes):
            return {}
        named = {"nodes": self.nodes, "num_test": np.array(self.num_test), "set_aside": self.set_aside}
        return {f"cut_off_{name}": array for name, array in named.items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]], space: PairSpace) -> "CutOff":
        """The inverse of `to_arrays`; runs of before have none.

        Raises:
            BrokenRun: nodes or edges that the graph does not have.
        """
        if "cut_off_nodes" not in arrays:
            return CutOff()
        nodes, edges = arrays["cut_off_nodes"], arrays["cut_off_set_aside"]
        for name, each, shape in (("nodes", nodes, nodes.shape[:1]), ("edges", edges, (len(edges), 2))):
            inside = each.dtype == np.int64 and bool(((each >= 0) & (each < space.num_nodes)).all())
            if not inside or each.shape != shape:
                raise BrokenRun(f"split.npz names {name} without train edges that this graph does not have.")
        if not space.is_admissible(edges).all() or (np.diff(nodes) <= 0).any():
            raise BrokenRun("split.npz names edges without train edges that this graph does not have.")
        return CutOff(nodes, int(arrays["cut_off_num_test"]), edges)


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint edge sets of one graph, every undirected pair once.

    The message graph is the train edges, for training, validation, calibration, test and search alike. Training zeros
    are *all* pairs that are not train edges, held-out edges included: to leave just those out would tell the model
    which they are. Non-edges for evaluation are pairs without any recorded edge; pairs with a node that the split cut off
    are no candidates.

    Args:
        train: shape (edges, 2), canonical: the message graph and the training targets.
        validation: early stopping and model choice.
        calibration: calibrator and thresholds.
        test: measured once.
        space: the admissible pairs.
        folds: 1, or the number of models that each leave out another share of train and calibration together, see
            `dealt`; train and calibration are then those of the first of them.
        times: of the edges, where they were split by time.
        weights: of the edges, where they have some.
        others: edges of other kinds, which carry messages.
        cut_off: nodes that the split left without a train edge, and what became of their edges.
    Raises:
        OverlappingParts: two parts share an edge.
    Example:
        >>> edges = [np.array([[0, 1], [1, 2]]), np.array([[0, 2]]), np.array([[1, 3]]), np.array([[2, 3]])]
        >>> split = Split(*edges, PairSpace(4))
        >>> split.message_graph().nnz, split.recorded().num_absent, len(split.message_graph_hash())
        (4, 1, 64)
    """

    train: Pairs
    validation: Pairs
    calibration: Pairs
    test: Pairs
    space: PairSpace
    folds: int = 1
    times: SplitTimes | None = None
    weights: EdgeWeights | None = None
    others: OtherEdges | None = None
    cut_off: CutOff = field(default_factory=CutOff)

    def __post_init__(self) -> None:
        for a, b in combinations(PARTS, 2):
            shared = getattr(self, a)[self.space.contains(getattr(self, b), getattr(self, a))]
            if len(shared):
                raise OverlappingParts(
                    f"{a} and {b} share {len(shared)} edge(s), the first joins nodes {shared[0, 0]} and {shared[0, 1]}. "
                    "Build all parts with one split_edges() call."
                )

    def recorded(self) -> KnownPairs:
        """All recorded edges: what is struck out of a search."""
        return KnownPairs(self.space, self._recorded_edges)

    def not_judged(self) -> KnownPairs:
        """All recorded edges, and all pairs with a node that the split cut off: the rest are the non-edges of an evaluation."""
        return KnownPairs(self.space, self._recorded_edges, self.cut_off.nodes)

    @property
    def num_edges(self) -> int:
        """Recorded edges."""
        return len(self._recorded_edges)

    @property
    def _recorded_edges(self) -> Pairs:
        return np.concatenate([*(getattr(self, part) for part in PARTS), self.cut_off.set_aside])

    def sparing_cut_off(self, folds: int = 1, *, may_train: bool = True) -> "Split":
        """The same without held-out edges of nodes that would have no other edge to be seen by.

        Such a node has a held-out edge for certain, for its id comes from one. Pairs with it would be judged with the answer
        at hand, so they are no candidates, whether edge or non-edge. Between all other nodes held-out edges look as missing
        links do, whatever becomes of these: they turn into train edges, so that a model and a search see of each node what
        the record says of it.

        Args:
            folds: that train and calibration edges will be dealt into: a calibration edge is seen by all models but one.
            may_train: whether the edges may turn into train edges: not if they are later, or the train edges are given. Then
                they are set aside, and the nodes have no edge in the message graph.
        Raises:
            DegenerateGraph: no edge of a part is left.
        Example:
            >>> edges = np.array([[0, 1], [0, 2], [1, 2], [2, 3], [1, 3], [3, 4], [0, 3]])
            >>> split = Split(edges[:3], edges[3:4], edges[4:5], edges[5:], PairSpace(5))
            >>> try: split.sparing_cut_off()
            ... except DegenerateGraph as error: print(str(error)[:63])
            the split leaves no validation edge that can be judged: 4 of 4
        """
        hidden = PARTS[1:] if folds == 1 else ("validation", "test")
        parts = {part: getattr(self, part) for part in PARTS}
        held_out = np.concatenate([parts[part] for part in hidden])
        visible = np.concatenate([parts[part] for part in PARTS if part not in hidden])
        nodes = cut_off_nodes(visible, held_out, self.space, None if self.others is None else self.others.pairs)
        if not len(nodes):
            return self
        is_cut = np.zeros(self.space.num_nodes, dtype=np.bool_)
        is_cut[nodes] = True
        touches = {part: is_cut[parts[part]].any(axis=1) for part in hidden}
        moved = np.concatenate([parts[part][touches[part]] for part in hidden])
        for part in hidden:
            if len(parts[part]) and touches[part].all():
                if self.times is not None:
                    raise DegenerateGraph(
                        f"the split by time leaves no {part} edge that can be judged: {len(moved):,} of {len(held_out):,} later "
                        "edges touch a node that has no edge as early as the train edges, and nothing is known of such a node. "
                        "Give training more of the edges (--split), leave --time out, or give a list of all nodes (--nodes)."
                    )
                raise DegenerateGraph(
                    f"the split leaves no {part} edge that can be judged: {len(moved):,} of {len(held_out):,} edges to be held "
                    "out are the only edges of one of their ends. Without them such a node has no train edge, and it is in the "
                    "graph only because of a held-out edge, which gives the answer away. A one-to-one mapping has no other "
                    "edges to learn from: give a graph with more edges per node, or a list of all nodes, isolated ones "
                    "included (--nodes)."
                )
        kept = {part: parts[part][~touches[part]] for part in hidden}
        train = np.concatenate([self.train, moved]) if may_train else self.train
        times = self.times if self.times is None else self.times.among({part: ~touches[part] for part in hidden})
        cut_off = CutOff(nodes, int(touches["test"].sum()), _no_edges() if may_train else moved)
        return replace(self, **kept, train=train, times=times, cut_off=cut_off)

    def propagated_graph(self) -> sp.csr_array:
        """As `message_graph`, with the strengths of the edges where they have some, of mean 1, and with edges of other kinds."""
        own = adjacency(self.train, self.space, self.strengths())
        return own if self.others is None else sp.csr_array(own.maximum(adjacency(self.others.pairs, self.space)))

    def message_graph(self) -> sp.csr_array:
        """Train edges as a 0/1 CSR matrix, float32, shape (nodes, nodes); symmetric unless the graph is directed."""
        return adjacency(self.train, self.space)

    def confidences(self, pairs: Pairs) -> Floats | None:
        """Shape (pairs,): how sure these edges are; None where nothing says so."""
        if self.weights is None or self.weights.role != "confidence":
            return None
        return self.weights.of(self.space.keys(pairs))

    def strengths(self) -> Floats | None:
        """Shape (train edges,): how much each carries, with the mean 1; None where nothing says so."""
        if self.weights is None or self.weights.role != "strength":
            return None
        values = self.weights.of(self.space.keys(self.train))
        return np.asarray(values / values.mean())

    def message_graph_hash(self) -> str:
        """SHA-256 of the sorted train edges: scores made on different message graphs must not meet.

        Returns:
            64 hexadecimal digits; the same whatever the order of the edges. With folds that of all their hashes.
        """
        if self.folds > 1:
            hashes = "".join(rotation.message_graph_hash() for rotation in self.rotations())
            return hashlib.sha256(hashes.encode()).hexdigest()
        keys = np.sort(self.space.keys(self.train))
        others = b"" if self.others is None else self.others.pairs.tobytes()
        return hashlib.sha256(f"{self.space}".encode() + keys.tobytes() + others).hexdigest()

    def dealt(self, folds: int) -> "Split":
        """The same validation and test edges, with all train and calibration edges dealt into folds (cross-fitting).

        Args:
            folds: 1 is this split as it is; of K, each holds 1 / K of the train and calibration edges.
        Returns:
            A split whose calibration edges are the first fold and whose train edges are all others.
        Raises:
            OptionError: more folds than there are edges to deal out.
        Example:
            >>> edges = np.array([[2, 3], [1, 2], [0, 3], [0, 1], [0, 2], [1, 3]])
            >>> split = Split(edges[:3], edges[4:5], edges[3:4], edges[5:], PairSpace(4)).dealt(2)
            >>> [(len(each.train), len(each.calibration)) for each in split.rotations()]
            [(2, 2), (2, 2)]
        """
        most = len(self.train) + len(self.calibration)
        if not 1 <= folds <= most:
            raise OptionError(f"--folds takes 1 to {most} for this split, not {folds}.")
        if folds == 1:
            return self
        if self.times is not None:
            raise OptionError(
                "--folds deals edges of all times anew, which a split by time forbids; leave --folds out."
            )
        pool = np.concatenate([self.calibration, self.train])
        size = len(np.array_split(pool, folds)[0])
        return replace(self, train=pool[size:], calibration=pool[:size], folds=folds)

    def rotations(self) -> list["Split"]:
        """One split a fold: it calibrates on that fold, and trains and passes messages on all others.

        Every train or calibration edge is a calibration edge once, unless its fold holds all edges of one of its ends: then
        it is a train edge in that fold too, as in `sparing_cut_off`. Without folds, this split alone.
        """
        if self.folds == 1:
            return [replace(self, times=None)]
        pool = np.concatenate([self.calibration, self.train])
        others = None if self.others is None else self.others.pairs
        result = []
        for inside in np.array_split(np.arange(len(pool)), self.folds):
            held_out = np.zeros(len(pool), dtype=np.bool_)
            held_out[inside] = True
            is_cut = np.zeros(self.space.num_nodes, dtype=np.bool_)
            is_cut[self.cut_off.nodes] = True
            is_cut[cut_off_nodes(pool[~held_out], pool[held_out], self.space, others)] = True
            held_out &= ~is_cut[pool].any(axis=1)
            result.append(replace(self, train=pool[~held_out], calibration=pool[held_out], folds=1))
        return result


def adjacency(edges: Pairs, space: PairSpace, values: Floats | None = None) -> sp.csr_array:
    """The edges as a CSR matrix, float32, shape (nodes, nodes); symmetric unless the space is directed. Without values 0/1.

    Example:
        >>> adjacency(np.array([[0, 1]]), PairSpace(2)).toarray()
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    source, target = edges[:, 0], edges[:, 1]
    if not space.directed:
        source, target = np.concatenate([source, target]), np.concatenate([target, source])
    shape = (space.num_nodes, space.num_nodes)
    ones = np.ones(len(source), dtype=np.float32)
    if values is not None:
        ones = np.tile(values, len(source) // max(len(values), 1)).astype(np.float32)
    return sp.csr_array((ones, (source, target)), shape=shape)


def split_edges(
    graph: Graph, *, fractions: tuple[float, float, float, float] = (0.8, 0.05, 0.05, 0.1), rng: np.random.Generator
) -> Split:
    """Deal the edges out at random: train, validation, calibration and test.

    Args:
        graph: at least four edges.
        fractions: of train, validation, calibration and test; each above 0, together 1.
        rng: source of the permutation.
    Returns:
        Parts of round(fraction * edges) edges, at least one each; train takes the rest.
    Raises:
        OptionError: fractions that are not four positive numbers with sum 1.
        DegenerateGraph: fewer than four edges.
    Example:
        >>> graph = Graph(np.array(list("abcdef"), dtype=object),
        ...               np.array([[0, 1], [0, 2], [1, 2], [2, 3], [3, 4], [4, 5]]), PairSpace(6))
        >>> split = split_edges(graph, rng=np.random.default_rng(0))
        >>> [len(part) for part in (split.train, split.validation, split.calibration, split.test)]
        [3, 1, 1, 1]
    """
    if len(fractions) != 4 or min(fractions) <= 0 or abs(sum(fractions) - 1.0) > 1e-9:
        raise OptionError(
            f"--split takes four positive numbers with sum 1, such as 0.8/0.05/0.05/0.1, not {fractions}."
        )
    if graph.num_edges < 4:
        raise DegenerateGraph(
            f"the graph has {graph.num_edges} edge(s); a split into four parts needs at least one for each."
        )
    edges = graph.edges[rng.permutation(graph.num_edges)]
    sizes = [max(1, round(fraction * len(edges))) for fraction in fractions[1:]]
    while sum(sizes) >= len(edges):
        sizes[int(np.argmax(sizes))] -= 1
    validation, calibration, test, train = np.split(edges, np.cumsum(sizes))
    return Split(train, validation, calibration, test, graph.space, weights=graph.weights, others=graph.others)


def split_by_time(graph: Graph, *, fractions: tuple[float, float, float, float]) -> Split:
    """The edges in time order, cut three times.

    Edges of one time are never parted: each boundary is moved to the nearest change of time, to the earlier one of two that
    are equally near, and on to the next where it would leave a part without an edge. With few distinct times the parts are
    therefore of other sizes than the shares say.

    Args:
        graph: with times.
        fractions: of train, validation, calibration and test.
    Returns:
        A split with `times`; every edge of a part is later than every edge of the part before.
    Raises:
        DegenerateGraph: fewer than four distinct times.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> from linkodds.reading.times import EdgeTimes
        >>> edges = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
        >>> times = EdgeTimes(np.array([5, 1, 2, 2, 4, 3]), "integer", "year")
        >>> graph = Graph(np.array(list("abcde"), dtype=object), edges, PairSpace(5), times=times)
        >>> split = split_by_time(graph, fractions=(0.4, 0.2, 0.2, 0.2))
        >>> [split.times.parts[part].tolist() for part in ("train", "validation", "calibration", "test")]
        [[1, 2, 2], [3], [4], [5]]
    """
    times = graph.times
    assert times is not None
    order = np.argsort(times.values, kind="stable")
    values = times.values[order]
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    if len(changes) < len(PARTS) - 1:
        raise DegenerateGraph(
            f"column {times.column!r} has {len(changes) + 1} distinct time(s) among the edges; a split by time into train, "
            "validation, calibration and test needs four at least. Give a finer time, or leave --time out."
        )
    cuts = changes[_nearest(changes, np.cumsum(fractions)[:-1] * len(values))]
    parts = np.split(order, cuts)
    by_part = {part: times.values[chosen] for part, chosen in zip(PARTS, parts, strict=True)}
    train, validation, calibration, test = (graph.edges[chosen] for chosen in parts)
    return Split(
        train,
        validation,
        calibration,
        test,
        graph.space,
        times=SplitTimes(times.column, times.kind, by_part),
        weights=graph.weights,
        others=None if graph.others is None else graph.others.until(by_part["train"].max()),
    )


def _nearest(changes: NDArray[np.intp], wanted: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the changes that are nearest to what is wanted, strictly increasing."""
    after = np.clip(np.searchsorted(changes, wanted), 1, max(len(changes) - 1, 1))
    is_before = wanted - changes[after - 1] <= changes[after] - wanted
    chosen = np.where(is_before, after - 1, after)
    for i in range(1, len(chosen)):
        chosen[i] = max(chosen[i], chosen[i - 1] + 1)
    for i in range(len(chosen)):
        # So many changes at least have to be left for the boundaries that come later.
        chosen[i] = min(chosen[i], len(changes) - len(chosen) + i)
    return chosen
