"""Stack: boosted trees over exact counts of a pair, learnt from train edges that are hidden meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.families.family import ModelFamily, SavedModel
from linkodds.models.families.task import FitTask, ModelFitting
from linkodds.models.structural.masked_edges import HiddenEdges
from linkodds.models.structural.stack import MAX_NODES, StackedModel, StackScorer, fit_stack, node_vectors
from linkodds.models.structural.structural_costs import StackSizes, hiding_work, stack_work
from linkodds.models.training.cost_model import nominal_seconds
from linkodds.scorers.scoring import DegreeAwareScorer, Embeddings, Scorer

if TYPE_CHECKING:
    from linkodds.models.families.fitted_model import FittedModel


@dataclass(frozen=True, kw_only=True)
class MaskedEdgesFamily(ModelFamily):
    """A model that learns from train edges hidden from the graph that made their counts."""

    learns_masked_edges: bool = True
    averages_folds: bool = False
    max_nodes: int | None = MAX_NODES

    def why_ignores_weights(self, role: str) -> str:
        """See `ModelFamily.why_ignores_weights`."""
        return "it counts every edge the same"


def masked_edges(task: FitTask) -> HiddenEdges | None:
    """The hidden edges that several models of a fit share; None where one alone makes them."""
    fitting, masked = task.fitting, task.fitting.ledger.masked
    if sum(each.learns_masked_edges for each in fitting.families.values()) < 2:
        return None
    if task.fold not in masked:
        hidden_seeds, _ = task.seeds.spawn(2)
        masked[task.fold] = HiddenEdges.of(task.split, task.features, hidden_seeds, say=task.say)
    return masked[task.fold]


def say_unbounded(task: FitTask, message: str) -> None:
    """Say that a time budget does not bound a model, where one was given for it."""
    if task.config.time_budget is not None and not task.fold and task.seconds is None:
        remedy = "Take another --model to keep a budget."
        task.fitting.ledger.say(Finding("training", "info", message, remedy, None))


@dataclass(frozen=True, kw_only=True)
class StackFamily(MaskedEdgesFamily):
    """The boosted trees."""

    untunable: str = "the stack has no open options, its trees are fitted one way."

    def seconds_needed(self, fitting: ModelFitting) -> float:
        """Folds, trees and a pass over all pairs; the hidden edges are paid once."""
        return self._seconds(fitting, fitting.split)

    def _seconds(self, fitting: ModelFitting, split: Split) -> float:
        sizes = StackSizes.of(split, fitting.features)
        paid = nominal_seconds(hiding_work(sizes)) if fitting.ledger.masked else 0.0
        return nominal_seconds(stack_work(sizes)) - paid

    def fit(self, task: FitTask) -> StackedModel:
        """The trees, on all hidden edges."""
        fitting = task.fitting
        fitting.ledger.spend(self.name, self._seconds(fitting, task.split))
        say_unbounded(task, "The time budget does not bound the stack: its work follows the size of the graph alone.")
        with fitting.costs.stage("training"):
            hidden = masked_edges(task)
            return fit_stack(
                task.split,
                task.features,
                seeds=task.seeds,
                threads=fitting.threads,
                hidden=hidden,
                say=task.say,
            )

    def refit_scorer(
        self,
        fitted: "FittedModel | None",
        split: Split,
        features: Features | None,
        *,
        seeds: np.random.SeedSequence,
        threads: int,
        say: Callable[[str], None],
    ) -> Scorer | None:
        """The trees on more train edges, with the offset that was chosen."""
        assert isinstance(fitted, StackedModel)
        return fit_stack(split, features, seeds=seeds, threads=threads, offset=fitted.offset, say=say).scorer

    def load(self, saved: SavedModel) -> Scorer:
        """From the arrays of the trees, and those that they read."""
        return StackScorer.from_arrays(saved.split, saved.weights)

    def candidate_vectors(self, scorer: Scorer) -> Sequence[tuple[Embeddings, Embeddings]]:
        """Those whose inner products are inputs."""
        base = scorer.base if isinstance(scorer, DegreeAwareScorer) else scorer
        return node_vectors(base.counts) if isinstance(base, StackScorer) else super().candidate_vectors(scorer)


FAMILIES = (StackFamily(name="stack", help="boosted trees over short walks, spectral products and features of a pair"),)
