"""Protocols: how papers split a graph, which non-edges they rank its edges against, and what they print.

Figures of two protocols cannot be compared: they hold out other shares and rank against other non-edges, and none of
them is at the base rate of the graph. Here each is dealt as its paper says, with what differs written down in `differs`.
What is the same in all: every edge once; non-edges are pairs without any recorded edge, the same for every model; test
edges and all non-edges of an evaluation stay unknown to training, whose zeros are all pairs that are not train edges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from linkodds.errors import DataError, OptionError
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision, hits_at, roc_auc
from linkodds.metrics.non_edges import draw_non_edges
from linkodds.metrics.ranking import ranks_among
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scorers.scoring import Scorer

ProtocolName = Literal["kipf", "ncn", "heart", "seal"]
NAMES: tuple[str, ...] = get_args(ProtocolName)
HITS, CLOSE_RANK = 100, 10
TITLES = {
    "balanced_average_precision": "AP, 1:1",
    "base_rate_average_precision": "AP at the base rate",
    "connected_roc_auc": "ROC AUC, connected",
    "connected_edges": "connected edges",
    "connected_non_edges": "connected non-edges",
    "hits_at_10": "hits at 10",
}
"""What people call the figures that only protocols have."""


@dataclass(frozen=True)
class Protocol:
    """What a paper does.

    Args:
        name: as `--protocol` takes it.
        title: where it comes from.
        shares: of validation and test edges among all edges; None where files say which they are.
        metrics: what is printed, the first of them first.
        differs: how what is done here is not what the paper did.
        is_refitted: whether models that can be are fitted again with the validation edges, once all is chosen: where the
            paper has none of them, and trains on these edges too.
    """

    name: ProtocolName
    title: str
    shares: tuple[float, float] | None
    metrics: tuple[str, ...]
    differs: str
    is_refitted: bool = False

    @property
    def is_fixed(self) -> bool:
        """Whether files say which edges are held out, so that repetitions differ in the training alone."""
        return self.shares is None


PROTOCOLS: dict[str, Protocol] = {
    each.name: each
    for each in (
        Protocol(
            "kipf",
            "Kipf and Welling (2016): 85/5/10, as many non-edges as edges",
            (0.05, 0.1),
            ("roc_auc", "balanced_average_precision"),
            "shares are rounded, not cut off; validation non-edges are no test edges",
        ),
        Protocol(
            "ncn",
            "Wang, Yang and Zhang (2024): 70/10/20 of the full graph, as many non-edges as edges, one list for all",
            (0.1, 0.2),
            ("hits_at_100", "roc_auc"),
            "splits and non-edges are drawn by other random numbers",
        ),
        Protocol(
            "heart",
            "Li et al. (2023), HeaRT: fixed edges, 500 hard non-edges for each edge",
            None,
            ("mrr", "hits_at_10"),
            "self-loops among the train edges are dropped; splits are repetitions of the training alone",
        ),
        Protocol(
            "seal",
            "Zhang and Chen (2018): 90/10, as many non-edges as edges",
            (0.05, 0.1),
            ("roc_auc", "connected_roc_auc", "connected_edges", "connected_non_edges"),
            "validation edges, 5 % of all, are taken from the 90 %; stack and structural-gae are fitted again with them once "
            "all is chosen, and baselines count on all 90 %; other models see 85 %",
            is_refitted=True,
        ),
    )
}


@dataclass(frozen=True, eq=False)
class ProtocolSplit:
    """One split of a graph as a protocol has it.

    Args:
        protocol: whose.
        split: train, validation and test edges; no calibration edges, which no paper has.
        validation_non_edges: shape (pairs, 2), one list for all edges, or (edges, pairs, 2), each edge's own.
        test_non_edges: the same.
    """

    protocol: Protocol
    split: Split
    validation_non_edges: NDArray[np.int64]
    test_non_edges: NDArray[np.int64]

    def figures(self, scorer: Scorer, part: Literal["validation", "test"]) -> dict[str, float | None]:
        """The protocol's figures of a part; None where there is none, which `reasons` explains.

        Args:
            scorer: of a model that was trained on `split`.
            part: validation for choices, test once.
        """
        edges: Pairs = getattr(self.split, part)
        non_edges = self.validation_non_edges if part == "validation" else self.test_non_edges
        logits = _rounded(scorer.logits(edges))
        others = _rounded(scorer.logits(non_edges.reshape(-1, 2)))
        if non_edges.ndim == 3:
            ranks = ranks_among(logits, others.reshape(non_edges.shape[:2]))
            return {"mrr": float(np.mean(1 / ranks)), "hits_at_10": float(np.mean(ranks <= CLOSE_RANK))}
        one_list = HeldOut.from_logits(logits, others, len(others))
        found: dict[str, float | None] = {
            "roc_auc": roc_auc(one_list),
            "balanced_average_precision": average_precision(one_list.at_prevalence(0.5)),
            "hits_at_100": hits_at(one_list, HITS) if len(others) >= HITS else None,
        }
        if "connected_roc_auc" in self.protocol.metrics:
            near, far = (self._are_connected(pairs) for pairs in (edges, non_edges))
            both = bool(near.any()) and bool(far.any())
            connected = HeldOut.from_logits(logits[near], others[far], int(far.sum())) if both else None
            found["connected_roc_auc"] = None if connected is None else roc_auc(connected)
            found["connected_edges"] = float(near.mean())
            found["connected_non_edges"] = float(far.mean())
        return found

    @property
    def final_split(self) -> Split:
        """What is fitted last: the validation edges are train edges too where the protocol wants that, and none is left."""
        if not self.protocol.is_refitted:
            return self.split
        train = np.concatenate([self.split.train, self.split.validation])
        return replace(self.split, train=train, validation=self.split.validation[:0])

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a figure may be missing."""
        return {
            "hits_at_100": f"fewer than {HITS} non-edges in the list",
            "connected_roc_auc": "no edge, or no non-edge, joins nodes that the train edges connect",
        }

    def _are_connected(self, pairs: Pairs) -> NDArray[np.bool_]:
        """Whether the ends of each pair lie in one component of the message graph."""
        _, component = connected_components(self.split.message_graph(), directed=False)
        same: NDArray[np.bool_] = component[pairs[:, 0]] == component[pairs[:, 1]]
        return same


def deal(graph: Graph, protocol: Protocol, seeds: np.random.SeedSequence) -> ProtocolSplit:
    """A random split as a protocol has it, with as many non-edges as edges.

    Non-edges of test and validation are drawn together and uniformly, so none is in both; nothing leaves them out of the
    zeros of training.

    Args:
        graph: to split.
        protocol: one that has shares.
        seeds: of the split and the non-edges.
    Raises:
        OptionError: the protocol is one of fixed files, or the graph has too few edges for it.
        NotEnoughNonEdges: the graph is too dense for as many non-edges.
    Example:
        >>> from linkodds.pairs import PairSpace
        >>> ring = np.array([[i, i + 1] for i in range(39)])
        >>> graph = Graph(np.array([str(i) for i in range(40)], dtype=object), ring, PairSpace(40))
        >>> trial = deal(graph, PROTOCOLS["seal"], np.random.SeedSequence(0))
        >>> [len(getattr(trial.split, part)) for part in ("train", "validation", "calibration", "test")]
        [33, 2, 0, 4]
        >>> trial.validation_non_edges.shape, trial.test_non_edges.shape
        ((2, 2), (4, 2))
    """
    if protocol.shares is None:
        raise OptionError(f"--protocol {protocol.name}: its edges are fixed; give its files with --protocol-files.")
    num_validation, num_test = (round(share * graph.num_edges) for share in protocol.shares)
    if min(num_validation, num_test) < 1:
        raise OptionError(
            f"--protocol {protocol.name}: {graph.num_edges} edges leave {num_validation} for validation and {num_test} for "
            "test; it needs one at least for each."
        )
    of_edges, of_non_edges = (np.random.default_rng(each) for each in seeds.spawn(2))
    edges = graph.edges[of_edges.permutation(graph.num_edges)]
    test, validation, train = np.split(edges, [num_test, num_test + num_validation])
    sample = draw_non_edges(KnownPairs(graph.space, graph.edges), num_test + num_validation, of_non_edges).sample
    assert sample is not None
    drawn = sample[of_non_edges.permutation(len(sample))]  # they come sorted
    split = Split(train, validation, _no_edges(), test, graph.space)
    return ProtocolSplit(protocol, split, drawn[num_test:], drawn[:num_test])


def read_heart(graph: Graph, folder: Path) -> ProtocolSplit:
    """HeaRT's fixed split of a graph with its hard non-edges.

    Args:
        graph: whose edges are the files' together.
        folder: with train_pos, valid_pos and test_pos (.csv.gz, a header and two ids a line), heart_valid_neg.npz and
            heart_test_neg.npz (array `neg`, shape (edges, pairs, 2), ids as in the others).
    Raises:
        OptionError: a file is missing.
        DataError: the files are of another graph, or what they hold does not fit together.
    """
    protocol = PROTOCOLS["heart"]
    names = [f"{part}_pos.csv.gz" for part in ("train", "valid", "test")]
    lists = [f"heart_{part}_neg.npz" for part in ("valid", "test")]
    missing = [name for name in (*names, *lists) if not (folder / name).is_file()]
    if missing:
        raise OptionError(f"--protocol heart: {folder} has no {missing[0]}; it needs {', '.join((*names, *lists))}.")
    parts = [_edges_of(graph, folder / name) for name in names]
    train, validation, test = parts
    split = Split(train, validation, _no_edges(), test, graph.space)
    together = np.concatenate(parts)
    strange = ~graph.space.contains(graph.edges, together)
    if strange.any() or len(together) != graph.num_edges:
        raise DataError(
            f"{folder}: holds {len(together):,} edges, {int(strange.sum()):,} of them not in the graph, which has "
            f"{graph.num_edges:,}. Give the graph that the files are of."
        )
    non_edges = []
    for name, edges in zip(lists, parts[1:], strict=True):
        with np.load(folder / name, allow_pickle=False) as file:
            found = file["neg"]
        if found.ndim != 3 or found.shape[0] != len(edges) or found.shape[2] != 2:
            raise DataError(f"{folder / name}: shape {found.shape}, but there are {len(edges)} edges to rank.")
        pairs = np.column_stack([_nodes_of(graph, found[..., end].ravel(), folder / name) for end in (0, 1)])
        non_edges.append(graph.space.canonical(pairs).reshape(found.shape))
    return ProtocolSplit(protocol, split, non_edges[0], non_edges[1])


def _edges_of(graph: Graph, path: Path) -> Pairs:
    """Edges in the order of the file, which that of the lists of non-edges follows; without self-loops."""
    ids = np.loadtxt(path, dtype=str, delimiter=",", skiprows=1, ndmin=2)
    pairs = np.column_stack([_nodes_of(graph, ids[:, end], path) for end in (0, 1)])
    pairs = graph.space.canonical(pairs[pairs[:, 0] != pairs[:, 1]])
    if len(np.unique(pairs, axis=0)) < len(pairs):
        raise DataError(f"{path}: an edge is there twice.")
    return pairs


def _nodes_of(graph: Graph, ids: NDArray[Any], path: Path) -> NDArray[np.int64]:
    index = graph.index_of(ids, missing=-1)
    if (index < 0).any():
        raise DataError(f"{path}: {str(ids[int(np.argmax(index < 0))])!r} is no node of the graph.")
    return index


def _no_edges() -> Pairs:
    return np.empty((0, 2), dtype=np.int64)


def _rounded(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """To float32, as logits are compared everywhere."""
    return logits.astype(np.float32).astype(np.float64)
