"""Evaluation setup: the split, and the non-edges that every candidate is measured against, drawn once a fit from its seeds.

Test edges are hidden as missing links are; what is not train, validation or calibration edge is a candidate.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.errors import DegenerateGraph, OptionError
from linkodds.graph.features import Features
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split, split_by_time, split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.non_edge_scores import TallyRunner, score_non_edges
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.metrics.strata import Strata, draw_strata
from linkodds.models.families.family import ModelFamily
from linkodds.models.families.fitted_model import Trainer
from linkodds.models.families.task import ModelFitting, OnStart
from linkodds.models.training.checkpoint import Checkpoints
from linkodds.models.training.history import Costs, Epoch
from linkodds.pairs import Pairs
from linkodds.probability.calibration import choose_folds
from linkodds.probability.decision import Decision
from linkodds.scorers.scoring import Scorer
from linkodds.search.pair_search import MAX_LINKS, Ends, find_pairs


@dataclass(frozen=True, eq=False)
class Seeds:
    """Streams that are spawned from the seed of a fit; reading one changes none of the others.

    Args:
        split: deals the edges into the parts; on a split by time, the random split that it is held against.
        training: weights, dropout and sampled pairs of every model; each fold and model spawns its own from it.
        non_edges: draws the non-edges that models are measured against.
        results: repetitions of the bootstrap, and the non-edges of predictions.parquet.
    """

    split: np.random.SeedSequence
    training: np.random.SeedSequence
    non_edges: np.random.SeedSequence
    results: np.random.SeedSequence

    @staticmethod
    def of(seed: int) -> "Seeds":
        """The streams of a fit.

        Args:
            seed: as `FitConfig.seed`.
        Example:
            >>> seeds = Seeds.of(0)
            >>> [each.spawn_key for each in (seeds.split, seeds.training, seeds.non_edges, seeds.results)]
            [(0,), (1,), (2,), (3,)]
        """
        return Seeds(*np.random.SeedSequence(seed).spawn(4))

    @staticmethod
    def of_protocol(seed: int) -> "Seeds":
        """The streams of models on the split of a protocol: it is dealt elsewhere, so training has the first.

        Args:
            seed: as `FitConfig.seed`.
        Example:
            >>> seeds = Seeds.of_protocol(0)
            >>> seeds.training.spawn_key, seeds.non_edges.spawn_key
            ((0,), (1,))
        """
        training, non_edges, split, results = np.random.SeedSequence(seed).spawn(4)
        return Seeds(split, training, non_edges, results)


SAMPLE_SHARE = 20
SEARCHED = 20
"""Times --max-pairs: up to so many pairs are searched once for the best by the final logits, to be a stratum."""
TOP_FACTOR = 10
"""So many of them for each test edge, at most a quarter of what is scored."""


@dataclass(frozen=True, eq=False)
class EvaluationSetup:
    """Edges and non-edges of a fit.

    Args:
        split: its train edges are the message graph, its validation edges judge; with folds, those of the first.
        non_edges: all of them, a sample, or strata.
        classes: degree classes of the message graph.
        strata: that the non-edges come from; None where they are enumerated or sampled.
        is_searched: whether strata may have the best by a scorer added.
        threads: for scoring; None: all that there are.
        runner: scores non-edges in another way than on threads of this process; None on these.
    """

    split: Split
    non_edges: NonEdges
    classes: DegreeClasses
    strata: Strata | None
    is_searched: bool
    threads: int | None
    runner: TallyRunner | None = None

    @staticmethod
    def of(
        graph: Graph,
        config: FitConfig,
        *,
        single: bool = False,
        split: Split | None = None,
    ) -> "EvaluationSetup":
        """Split a graph, by time where its edges have times, and draw the non-edges as the config says.

        Args:
            graph: what is learnt.
            config: options of the fit; its seed deals the split and draws the non-edges.
            single: whether the model is one that has no folds.
            split: of this graph, where it was made elsewhere; None: made here.
        Raises:
            OptionError: folds of a model that has none.
        """
        seeds = Seeds.of(config.seed)
        may_train = split is None and graph.times is None  # who made a split has trained on its train edges
        if split is None and graph.times is not None:
            split = split_by_time(graph, fractions=config.split)
        elif split is None:
            split = split_edges(graph, fractions=config.split, rng=np.random.default_rng(seeds.split))
        if single and (config.folds or 1) > 1:
            raise OptionError(
                f"--folds averages models, and a mean of {config.model} models is not saved yet; leave --folds out."
            )
        folds = 1 if single else choose_folds(config.folds, split)
        split = split.sparing_cut_off(folds, may_train=may_train).dealt(folds)
        non_edges, strata = judging_non_edges(split, config, np.random.default_rng(seeds.non_edges))
        seen = np.concatenate([split.validation, split.calibration])
        classes = DegreeClasses.of(
            split.train,
            graph.space,
            excluded=np.concatenate([split.train, split.validation, split.calibration]),
            fifths_of=seen if len(seen) else split.test,
        )
        is_searched = graph.space.num_pairs <= SEARCHED * config.max_pairs
        return EvaluationSetup(split, non_edges, classes, strata, is_searched, config.threads)

    @property
    def prevalence(self) -> float:
        """Share of test edges among the candidates."""
        num_test = len(self.split.test)
        return num_test / (num_test + self.non_edges.num_non_edges)

    def fitting(
        self,
        families: Mapping[str, ModelFamily],
        *,
        features: Features | None,
        config: FitConfig,
        seeds: np.random.SeedSequence,
        device: torch.device,
        costs: Costs,
        say: Callable[[str], None],
        on_start: OnStart | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
        checkpoints: Checkpoints | None = None,
        trainer: Trainer | None = None,
        ids: NDArray[np.object_] | None = None,
    ) -> ModelFitting:
        """What the fits of models on this split share; see `ModelFitting` for the arguments."""

        def judge(scorer: Scorer, split: Split) -> float:
            return average_precision(self.held_out(scorer, split, ("validation",))["validation"])

        is_listed = self.non_edges.design != "enumerated"
        return ModelFitting(
            families=families,
            split=self.split,
            features=features,
            config=config,
            further=self.split.folds - 1,
            seeds=seeds,
            device=device,
            threads=torch.get_num_threads(),
            judge=judge,
            num_non_edges=self.non_edges.num_non_edges,
            sampled_non_edges=self.non_edges.num_scored if is_listed else 0,
            costs=costs,
            say=say,
            on_start=on_start,
            on_epoch=on_epoch,
            checkpoints=checkpoints,
            trainer=trainer,
            ids=np.zeros(0, dtype=object) if ids is None else ids,
        )

    def held_out(self, scorer: Scorer, split: Split, names: Iterable[str]) -> dict[str, HeldOut]:
        """Parts of a split against all non-edges, in one pass over them.

        Args:
            scorer: logits of pairs.
            split: the setup's own, or one of its rotations.
            names: validation, calibration, test.
        """
        parts: dict[str, Pairs] = {part: getattr(split, part) for part in names if len(getattr(split, part))}
        logits = {part: as_in_blocks(scorer, pairs) for part, pairs in parts.items()}
        scores = score_non_edges(
            scorer,
            self.non_edges,
            anchors=np.concatenate(list(logits.values())),
            classes=self.classes,
            threads=self.threads,
            runner=self.runner,
        )
        return {
            part: HeldOut(
                logits[part],
                scores,
                self.classes.of_pairs(pairs),
                self.classes.ranges,
                split.message_graph_hash(),
                confidences=split.confidences(pairs),
            )
            for part, pairs in parts.items()
        }

    def test(self, scorer: Scorer, decisions: Sequence[Decision]) -> HeldOut:
        """The test edges, with exact counts at the thresholds of decisions."""
        edges = self.split.test
        thresholds = [each.threshold_logit for each in decisions if each.threshold_logit is not None]
        return HeldOut.from_scorer(
            scorer,
            edges,
            self._non_edges_of(scorer, len(edges)),
            classes=self.classes,
            thresholds=np.array(thresholds),
            message_graph_hash=self.split.message_graph_hash(),
            threads=self.threads,
            runner=self.runner,
        )

    def _non_edges_of(self, scorer: Scorer, num_edges: int) -> NonEdges:
        """Those that everybody is measured on; of strata also the best by this scorer, where a search can be afforded."""
        count = self.non_edges.num_scored
        if self.strata is None or not self.is_searched:
            return self.non_edges
        top = max(min(TOP_FACTOR * num_edges, count // 4, MAX_LINKS), 1)
        known = self.non_edges.known
        judged = (
            None
            if known.nodes is None or not len(known.nodes)
            else np.setdiff1d(np.arange(known.space.num_nodes), known.nodes)
        )
        found = find_pairs(scorer, known, top=top, ends=Ends(judged, judged))
        return self.strata.with_top(found.pairs)


def judging_non_edges(split: Split, config: FitConfig, rng: np.random.Generator) -> tuple[NonEdges, Strata | None]:
    """The non-edges that held-out edges of a split are measured against, and how they are dealt out, if they are.

    Args:
        split: of the graph.
        config: `design` and `max_pairs` say which.
        rng: source of the draws.
    """
    known = split.not_judged()
    if known.num_absent == 0:
        raise DegenerateGraph(
            f"the split left {len(split.cut_off.nodes):,} nodes without another edge, and all pairs of the others are edges: "
            "there is nothing to rank the held-out edges against. Give a graph with more edges a node."
        )
    within = split.space.num_pairs <= config.max_pairs
    design = ("enumerated" if within else "stratified") if config.design == "auto" else config.design
    count = max(min(config.max_pairs // SAMPLE_SHARE, known.num_absent), 1)
    if design == "stratified":
        strata = draw_strata(known, split.train, count, rng)
        return strata.non_edges, strata
    return (NonEdges(known) if design == "enumerated" else draw_non_edges(known, count, rng)), None


def as_in_blocks(scorer: Scorer, pairs: Pairs) -> NDArray[np.float64]:
    """Logits of pairs, rounded to float32 as blocks hold them, as float64. Shape (pairs,)."""
    return scorer.logits(pairs).astype(np.float32).astype(np.float64)
