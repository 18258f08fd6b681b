"""HeldOut: logits of held-out edges with counts of all non-edges, so that no metric can miss the base rate."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import DegenerateGraph, NonFiniteScores
from linkodds.metrics.logit_bins import Floats, LogitBins
from linkodds.metrics.non_edge_scores import NonEdgeScores, StratumScores, TallyRunner, score_non_edges
from linkodds.metrics.non_edges import DegreeClasses, Design, NonEdges, draw_non_edges
from linkodds.metrics.strata import draw_strata
from linkodds.pairs import KnownPairs, Pairs
from linkodds.scorers.scoring import Scorer

_STRATUM = "stratum-"


CHOSEN_BY = 500_000
"""Non-edges that are drawn uniformly to choose an epoch or an option by; all of them where there are fewer."""
CHOSEN_BY_IN_STRATA = 10_000_000
"""And at most in strata, where a uniform sample would be too coarse."""
COARSE = 0.1
"""It is where a non-edge stands for more than this share of the held-out edges: one of them at the head of the list decides."""


@dataclass(frozen=True, eq=False)
class ThresholdCounts:
    """Counts of edges and non-edges at each distinct logit of an edge, from the highest rung down.

    Raising a threshold from one rung to the next only drops non-edges, so every optimal threshold sits on a rung.

    Args:
        logits: shape (rungs,), strictly decreasing.
        edges: shape (rungs,): edges with this logit.
        edges_at_least: shape (rungs,): edges with this logit or a higher one.
        non_edges_at_least: shape (rungs,): weighted non-edges, the same.
        non_edges_above: shape (rungs,): weighted non-edges with a higher logit; less than at_least where tied.
    """

    logits: Floats
    edges: Floats
    edges_at_least: Floats
    non_edges_at_least: Floats
    non_edges_above: Floats

    def choice(self, most: int) -> NDArray[np.intp]:
        """Indices of at most so many rungs: half evenly, half dense at the top, where precision changes fastest."""
        rungs = len(self.logits)
        if rungs <= most:
            return np.arange(rungs)
        even = np.linspace(0, rungs - 1, most // 2)
        dense = np.geomspace(1, rungs, most // 2) - 1
        return np.unique(np.round(np.concatenate([even, dense])).astype(np.intp))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out edges against all non-edges of the graph: everything a metric, a calibrator or a decision may look at.

    Args:
        edge_logits: shape (edges,), float64, each a float32 value: the logits of the held-out edges, order kept.
        non_edges: counts at (at least) every edge logit, and bins.
        edge_classes: shape (edges,), uint8: degree class of each edge (`DegreeClasses`); zeros where there are none.
        degree_ranges: shape (5, 2), int64: range of the degree product of each class, or None without classes.
        message_graph_hash: of the graph the logits were computed on; scores of two graphs must not be mixed.
        num_models: 1, or how many models scored the edges, each those that it had not seen (see `on_the_scale_of_the_mean`);
            what is promised from them is approximate.
        confidences: shape (edges,), how sure each edge is, which calibration weighs it by; None: all the same.
    Raises:
        DegenerateGraph: no held-out edge.
        NonFiniteScores: an edge logit is NaN or infinite.
        ValueError: an edge logit is no anchor of `non_edges`.
    Example:
        >>> held_out = HeldOut.from_logits([2.0, 0.5], [1.0, 0.5, -1.0, -2.0], num_non_edges=4)
        >>> held_out.num_edges, held_out.num_pairs, round(held_out.prevalence, 3), held_out.design
        (2, 6.0, 0.333, 'enumerated')
        >>> held_out.ladder.non_edges_at_least.tolist()
        [0.0, 2.0]
    """

    edge_logits: Floats
    non_edges: NonEdgeScores
    edge_classes: NDArray[np.uint8]
    degree_ranges: NDArray[np.int64] | None = None
    message_graph_hash: str = ""
    num_models: int = 1
    confidences: Floats | None = None

    def __post_init__(self) -> None:
        if len(self.edge_logits) == 0:
            raise DegenerateGraph("there is no held-out edge to measure anything with; give this part of --split more.")
        if not np.isfinite(self.edge_logits).all():
            bad = int(np.count_nonzero(~np.isfinite(self.edge_logits)))
            raise NonFiniteScores(
                f"{bad:,} of {len(self.edge_logits):,} logits of held-out edges are NaN or infinite. "
                "Training diverged: lower --learning-rate, or check the features with `linkodds doctor`."
            )
        if not np.isin(self.edge_logits, self.non_edges.anchors).all():
            raise ValueError("every edge logit must be an anchor of the non-edge scores")
        if len(self.edge_classes) != len(self.edge_logits):
            raise ValueError("one degree class for each edge")
        if self.confidences is not None and len(self.confidences) != len(self.edge_logits):
            raise ValueError("one confidence for each edge")

    @staticmethod
    def from_scorer(
        scorer: Scorer,
        edges: Pairs,
        non_edges: NonEdges,
        *,
        classes: DegreeClasses | None = None,
        thresholds: Floats | tuple[float, ...] = (),
        message_graph_hash: str = "",
        threads: int | None = None,
        runner: TallyRunner | None = None,
    ) -> "HeldOut":
        """Score held-out edges and non-edges in one pass.

        Args:
            scorer: gives the logits.
            edges: shape (edges, 2), canonical: the held-out edges, no pair twice.
            non_edges: all pairs without a recorded edge, or a sample of them.
            classes: degree classes of the message graph.
            thresholds: decisions to be measured on these scores; their counts are exact too.
            message_graph_hash: `Split.message_graph_hash()`.
            threads: see `score_non_edges`; changes no number.
            runner: see `score_non_edges`.
        Raises:
            DegenerateGraph: no edges.
            NonFiniteScores: a logit is NaN or infinite.
        """
        logits = scorer.logits(edges).astype(np.float32).astype(np.float64)
        scores = score_non_edges(
            scorer,
            non_edges,
            anchors=np.concatenate([logits[np.isfinite(logits)], np.asarray(thresholds, dtype=np.float64)]),
            classes=classes,
            threads=threads,
            runner=runner,
        )
        return HeldOut(
            edge_logits=logits,
            non_edges=scores,
            edge_classes=np.zeros(len(edges), dtype=np.uint8) if classes is None else classes.of_pairs(edges),
            degree_ranges=None if classes is None else classes.ranges,
            message_graph_hash=message_graph_hash,
        )

    @staticmethod
    def from_logits(
        edge_logits: Any, non_edge_logits: Any, num_non_edges: int, *, thresholds: Floats | tuple[float, ...] = ()
    ) -> "HeldOut":
        """Held-out edges and a uniform sample of non-edges whose logits are in memory.

        Args:
            edge_logits: shape (edges,), rounded to float32 here.
            non_edge_logits: shape (scored,), rounded to float32 here.
            num_non_edges: non-edges of the graph, which the sample stands for; `scored` when it is all of them.
            thresholds: further logits at which exact counts are wanted.
        Raises:
            DegenerateGraph: no edges.
            NonFiniteScores: a logit is NaN or infinite.
            ValueError: no non-edge logits, or more of them than non-edges.
        """
        logits = np.asarray(edge_logits, dtype=np.float32).astype(np.float64)
        anchors = np.concatenate([logits[np.isfinite(logits)], np.asarray(thresholds, dtype=np.float64)])
        scores = NonEdgeScores.of(np.asarray(non_edge_logits), anchors=anchors, num_non_edges=num_non_edges)
        return HeldOut(logits, scores, np.zeros(len(logits), dtype=np.uint8))

    @property
    def num_edges(self) -> int:
        """Held-out edges."""
        return len(self.edge_logits)

    @property
    def num_non_edges(self) -> float:
        """Weight of all non-edges: their number in the graph unless restated at another prevalence."""
        return self.non_edges.num_non_edges

    @property
    def num_pairs(self) -> float:
        """Candidates: held-out edges and non-edges together."""
        return self.num_edges + self.num_non_edges

    @property
    def prevalence(self) -> float:
        """Held-out edges among the candidates."""
        return self.num_edges / self.num_pairs

    @property
    def design(self) -> Design:
        """How non-edges were chosen: "enumerated", "sampled" or "stratified"."""
        return self.non_edges.design

    @cached_property
    def ladder(self) -> ThresholdCounts:
        """Counts at each distinct edge logit, highest first."""
        logits, edges = np.unique(self.edge_logits, return_counts=True)
        place = np.searchsorted(self.non_edges.anchors, logits)
        edges_down = edges[::-1].astype(np.float64)
        return ThresholdCounts(
            logits=logits[::-1],
            edges=edges_down,
            edges_at_least=np.cumsum(edges_down),
            non_edges_at_least=self.non_edges.at_least[place][::-1],
            non_edges_above=self.non_edges.above[place][::-1],
        )

    def at_prevalence(self, prevalence: float) -> "HeldOut":
        """The same logits with the non-edges reweighted so that edges make up `prevalence` of the candidates.

        Args:
            prevalence: in (0, 1); the graph's own ratio, 0.5 for the 1:1 figures of papers, or an assumption.
        Example:
            >>> held_out = HeldOut.from_logits([2.0], [1.0, 0.0, -1.0, -2.0], num_non_edges=4)
            >>> held_out.at_prevalence(0.5).num_non_edges
            1.0
        """
        if not 0.0 < prevalence < 1.0:
            raise ValueError(f"a prevalence lies between 0 and 1, not at {prevalence}")
        weight = self.num_edges * (1.0 - prevalence) / prevalence
        return replace(self, non_edges=self.non_edges.scaled(weight / self.num_non_edges))

    def of(self, chosen: NDArray[Any]) -> "HeldOut":
        """Some of the edges, by index or mask, against the same non-edges."""
        confidences = None if self.confidences is None else self.confidences[chosen]
        return replace(
            self,
            edge_logits=self.edge_logits[chosen],
            edge_classes=self.edge_classes[chosen],
            confidences=confidences,
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays to save with `numpy.savez_compressed`; `from_arrays` reads them back.

        Example:
            >>> held_out = HeldOut.from_logits([2.0], [1.0, 0.0], num_non_edges=2)
            >>> HeldOut.from_arrays(held_out.to_arrays()).prevalence == held_out.prevalence
            True
        """
        scores, bins = self.non_edges, self.non_edges.bins
        return {
            "edge_logits": self.edge_logits.astype(np.float32),
            "edge_classes": self.edge_classes,
            "degree_ranges": np.empty((0, 2), dtype=np.int64) if self.degree_ranges is None else self.degree_ranges,
            "message_graph_hash": np.array(self.message_graph_hash),
            "num_models": np.array(self.num_models),
            **({} if self.confidences is None else {"confidences": self.confidences}),
            "anchors": scores.anchors,
            "at_least": scores.at_least,
            "above": scores.above,
            "num_non_edges": np.array(scores.num_non_edges),
            "num_scored": np.array(scores.num_scored),
            "rate": np.array(scores.rate),
            **_bin_arrays(bins),
            **{
                f"{_STRATUM}{i}.{name}": array
                for i, part in enumerate(scores.strata)
                for name, array in _stratum_arrays(part).items()
            },
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "HeldOut":
        """The inverse of `to_arrays`; also takes an open `.npz` file.

        Raises:
            KeyError: an array is missing.
        """
        ranges = arrays["degree_ranges"]
        return HeldOut(
            edge_logits=arrays["edge_logits"].astype(np.float64),
            non_edges=NonEdgeScores(
                anchors=arrays["anchors"],
                at_least=arrays["at_least"],
                above=arrays["above"],
                num_non_edges=float(arrays["num_non_edges"]),
                num_scored=int(arrays["num_scored"]),
                rate=float(arrays["rate"]),
                bins=_bins(arrays),
                strata=tuple(_strata(arrays)),
            ),
            edge_classes=arrays["edge_classes"],
            degree_ranges=ranges if len(ranges) else None,
            message_graph_hash=str(arrays["message_graph_hash"]),
            num_models=int(arrays["num_models"]) if "num_models" in arrays else 1,  # runs of before had none
            confidences=None if "confidences" not in arrays else arrays["confidences"].astype(np.float64),
        )


def _bin_arrays(bins: LogitBins) -> dict[str, NDArray[Any]]:
    return {
        "bin_class": bins.degree_class,
        "bin_count": bins.count,
        "bin_mean": bins.mean,
        "bin_deviation": bins.deviation,
        "bin_width": np.array(bins.width),
    }


def _bins(arrays: Mapping[str, NDArray[Any]]) -> LogitBins:
    return LogitBins(
        degree_class=arrays["bin_class"],
        count=arrays["bin_count"],
        mean=arrays["bin_mean"],
        deviation=arrays["bin_deviation"],
        width=float(arrays["bin_width"]),
    )


def _stratum_arrays(part: StratumScores) -> dict[str, NDArray[Any]]:
    return {
        "name": np.array(part.name),
        "num_non_edges": np.array(part.num_non_edges),
        "num_scored": np.array(part.num_scored),
        "rate": np.array(part.rate),
        "at_least": part.at_least,
        "above": part.above,
        **_bin_arrays(part.bins),
    }


def _strata(arrays: Mapping[str, NDArray[Any]]) -> Iterator[StratumScores]:
    """The strata of an array file, in their order; none where there was one rate."""
    for i in count():
        prefix = f"{_STRATUM}{i}."
        own = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
        if not own:
            return
        yield StratumScores(
            name=str(own["name"]),
            num_non_edges=float(own["num_non_edges"]),
            num_scored=int(own["num_scored"]),
            rate=float(own["rate"]),
            at_least=own["at_least"],
            above=own["above"],
            bins=_bins(own),
        )


def num_chosen_by(num_non_edges: float, num_edges: int) -> int:
    """How many non-edges choices are made by: in strata so many that half of them would not be too coarse for the rest.

    On wordnet30_large, where a uniform one would stand for 14,000, three uniform samples gave 0.0021, 0.0067 and 0.0071
    for an average precision of 0.0004, and two million in strata 0.0004 to 0.0005.

    Args:
        num_non_edges: of the graph.
        num_edges: held-out edges beside them.
    Example:
        >>> num_chosen_by(3_000_000, 500), num_chosen_by(2_000_000_000, 20_000), num_chosen_by(7_000_000_000, 9_000)
        (500000, 2000000, 10000000)
    """
    enough = num_non_edges / (COARSE * num_edges)
    count = CHOSEN_BY if enough <= CHOSEN_BY else min(2 * enough, CHOSEN_BY_IN_STRATA)
    return int(min(count, num_non_edges))


def draw_to_choose_by(known: KnownPairs, train: Pairs, num_edges: int, rng: np.random.Generator) -> NonEdges:
    """Non-edges to choose an epoch or an option by: a uniform sample, or strata where that would be too coarse.

    Args:
        known: the recorded edges.
        train: see `draw_strata`.
        num_edges: held-out edges beside them.
        rng: source of the draws.
    """
    count = num_chosen_by(known.num_absent, num_edges)
    if count > CHOSEN_BY:
        return draw_strata(known, train, count, rng).non_edges
    return draw_non_edges(known, count, rng)
