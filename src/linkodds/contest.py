"""Contest: models and baselines on one split, measured alike; the best by validation average precision wins."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from linkodds.baselines import baseline_scorer
from linkodds.config import BASELINES, FitConfig
from linkodds.costs import Costs
from linkodds.features import Features
from linkodds.findings import Finding
from linkodds.held_out import HeldOut
from linkodds.metrics import average_precision
from linkodds.non_edge_scores import score_non_edges
from linkodds.non_edges import DegreeClasses, NonEdges
from linkodds.pairs import Pairs
from linkodds.scoring import Scorer
from linkodds.split import PARTS, Split
from linkodds.training import Epoch, TrainedModel, choose_objective, train

AUTOENCODERS = ("gae", "vgae")
POOLED_FOLDS = 5
SMALL_CALIBRATION, SMALL_GRAPH = 50, 1000


@dataclass(frozen=True, eq=False)
class Contender:
    """One model or baseline, scored on one split.

    Args:
        name: of the model or baseline.
        scorer: logits of pairs.
        trained: the trained model; None for a baseline.
        parts: validation, calibration and test edges, each against all non-edges.
    """

    name: str
    scorer: Scorer
    trained: TrainedModel | None
    parts: dict[str, HeldOut]

    @property
    def validation_ap(self) -> float:
        """Average precision of the validation edges against all non-edges."""
        return average_precision(self.parts["validation"])

    @property
    def findings(self) -> list[Finding]:
        """What training had to say."""
        return [] if self.trained is None else list(self.trained.findings)


@dataclass(frozen=True, eq=False)
class Contest:
    """What all contenders share.

    Args:
        split: its train edges are the message graph, its validation edges judge.
        features: or None.
        config: the options of the fit.
        non_edges: all of them, or a sample.
        classes: degree classes of the message graph.
        seeds: of every training.
        device: where to train.
        costs: gets what each stage takes.
        say: called with one line a stage.
        on_epoch: called after every epoch.
    """

    split: Split
    features: Features | None
    config: FitConfig
    non_edges: NonEdges
    classes: DegreeClasses
    seeds: np.random.SeedSequence
    device: torch.device
    costs: Costs
    say: Callable[[str], None]
    on_epoch: Callable[[Epoch], None] | None = None

    def hold(self) -> tuple[dict[str, Contender], Contender, list[Finding]]:
        """Every contender by name, the winner, and what there is to say about the choice."""
        self.rotations()  # more folds than the edges give are refused before any training
        contenders = {name: self.contend(name, self.split) for name in self._names()}
        winner, findings = self._choose(contenders)
        return contenders, winner, findings

    def contend(self, name: str, split: Split, seeds: np.random.SeedSequence | None = None) -> Contender:
        """Train (or count) on a split, and score its held-out edges and all non-edges in one pass.

        Args:
            name: a model or a baseline.
            split: of the contest, or one of its rotations.
            seeds: of the training; None takes the contest's own.
        """
        trained = None
        if name in AUTOENCODERS:
            objective = choose_objective(self.config, split.space)
            self.say(f"training {name}, {objective} objective ({split.space.num_pairs:,} pairs) on {self.device.type}")
            with self.costs.stage("training"):
                seeds = seeds or self._seeds(0)
                trained = train(
                    name,
                    split,
                    self.features,
                    self.config,
                    seeds=seeds,
                    device=self.device,
                    on_epoch=self.on_epoch,
                )
        scorer = baseline_scorer(name, split) if trained is None else trained.scorer
        with self.costs.stage("evaluation" if trained else "baselines"):
            parts = {part: getattr(split, part) for part in ("validation", "calibration", "test")}
            logits = {part: as_in_blocks(scorer, pairs) for part, pairs in parts.items()}
            scores = score_non_edges(
                scorer,
                self.non_edges,
                anchors=np.concatenate(list(logits.values())),
                classes=self.classes,
                threads=self.config.threads,
            )
            held_out = {
                part: HeldOut(
                    logits[part], scores, self.classes.of_pairs(pairs), self.classes.ranges, split.message_graph_hash()
                )
                for part, pairs in parts.items()
            }
        contender = Contender(name, scorer, trained, held_out)
        kept = f", epoch {trained.best_epoch} of {len(trained.history)} kept" if trained else ""
        self.say(f"{name}: validation average precision {contender.validation_ap:.4g}{kept}")
        return contender

    def rotations(self) -> list[Split]:
        """The splits whose calibration sets are pooled, the contest's own first.

        Raises:
            OptionError: more folds than the edges give.
        """
        split, count = self.split, len(self.split.calibration)
        if self.config.folds is not None:
            return split.rotations(self.config.folds)
        num_edges = sum(len(getattr(split, part)) for part in PARTS)
        few = count < SMALL_CALIBRATION and num_edges < SMALL_GRAPH
        return split.rotations(min(POOLED_FOLDS, (len(split.train) + count) // count) if few else 1)

    def calibration_samples(self, winner: Contender) -> list[HeldOut]:
        """Calibration edges of the winner and, with several folds, of models trained on the other rotations."""
        further = self.rotations()[1:]
        if further:
            count = len(self.split.calibration)
            self.say(f"pooling {len(further) + 1} disjoint sets of {count} calibration edges by cross-fitting")
        return [
            winner.parts["calibration"],
            *(
                self.contend(winner.name, rotation, self._seeds(fold)).parts["calibration"]
                for fold, rotation in enumerate(further, start=1)
            ),
        ]

    def _names(self) -> list[str]:
        asked = [*AUTOENCODERS] if self.config.model == "auto" else [self.config.model]
        return [*asked, *(name for name in BASELINES if name not in asked)]

    def _choose(self, contenders: dict[str, Contender]) -> tuple[Contender, list[Finding]]:
        """The named model, or for auto the best by validation average precision; baselines compete under auto only."""
        if self.config.model != "auto":
            winner = contenders[self.config.model]
            return winner, winner.findings
        ranked = sorted(contenders.values(), key=lambda each: -each.validation_ap)
        winner = ranked[0]
        lost = ", ".join(f"{each.name} {each.validation_ap:.4g}" for each in ranked[1:])
        by_counting = " No autoencoder beat counting here." if winner.trained is None else ""
        ap = f"validation average precision {winner.validation_ap:.4g}"
        message = f"auto chose {winner.name}: {ap} against {lost}.{by_counting}"
        self.say(message)
        remedy = "Name one with --model to have it whatever the validation says."
        return winner, [Finding("model", "info", message, remedy, winner.validation_ap), *winner.findings]

    def _seeds(self, fold: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seeds.entropy, spawn_key=(*self.seeds.spawn_key, fold))


def as_in_blocks(scorer: Scorer, pairs: Pairs) -> NDArray[np.float64]:
    """Logits of pairs, rounded to float32 as blocks hold them, as float64. Shape (pairs,)."""
    return scorer.logits(pairs).astype(np.float32).astype(np.float64)
