"""Structural autoencoder: a signed-gae beside a small network over exact counts of a pair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from linkodds.config import Architecture, Defaults
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.families import autoencoders
from linkodds.models.families.family import SavedModel
from linkodds.models.families.stack import MaskedEdgesFamily, masked_edges, say_unbounded
from linkodds.models.families.task import FitTask, ModelFitting
from linkodds.models.structural.stack import node_vectors
from linkodds.models.structural.structural_costs import StackSizes, hiding_work, structural_work
from linkodds.models.structural.structural_gae import StructuralModel, StructuralScorer, check_size, fit_structural
from linkodds.models.training.cost_model import nominal_seconds
from linkodds.models.training.estimates import TimeBudget
from linkodds.scorers.scoring import DegreeAwareScorer, Embeddings, InnerProductScorer, Scorer

if TYPE_CHECKING:
    from linkodds.models.families.fitted_model import FittedModel

TABLE = next(each for each in autoencoders.FAMILIES if each.name == "signed-gae")
"""The model whose table is a part of this one."""


@dataclass(frozen=True, kw_only=True)
class StructuralFamily(MaskedEdgesFamily):
    """The table, and the networks beside it."""

    defaults: Defaults = TABLE.defaults
    architecture: Architecture = TABLE.architecture
    searches_weight_decay: bool = True
    candidate_share: float = 0.5

    def seconds_needed(self, fitting: ModelFitting) -> float:
        """All epochs of the table, and what the networks take."""
        table = fitting.config.epochs * TABLE.epoch_seconds(fitting)
        return table + self._seconds_of_networks(fitting, fitting.split)

    def epochs_for(self, fitting: ModelFitting, seconds: float) -> int:
        """The most epochs of the table beside the networks."""
        seconds -= self._seconds_of_networks(fitting, fitting.split)
        return int(min(max(seconds, 0.0) / TABLE.epoch_seconds(fitting), fitting.config.epochs))

    def had_all_epochs(self, fitting: ModelFitting) -> bool:
        """See `ModelFamily.had_all_epochs`."""
        return fitting.ledger.epochs_allowed[self.name] == fitting.config.epochs

    def _seconds_of_networks(self, fitting: ModelFitting, split: Split) -> float:
        """Without the hidden edges themselves where another model has paid for them."""
        sizes = StackSizes.of(split, fitting.features)
        paid = nominal_seconds(hiding_work(sizes)) if fitting.ledger.masked else 0.0
        return nominal_seconds(structural_work(sizes)) - paid

    def fit(self, task: FitTask) -> StructuralModel:
        """A signed-gae without features at the middle penalty, then the networks beside it."""
        from linkodds.models.training.training import PENALTIES

        fitting, ledger = task.fitting, task.fitting.ledger
        check_size(task.split)
        budget, networks = task.config.time_budget, self._seconds_of_networks(fitting, task.split)
        if task.seconds is not None:
            budget = max(task.seconds - networks, 0.0)
        epochs = TimeBudget(budget, 1 + fitting.further).epochs(TABLE.sizes(fitting), task.config.epochs)
        ledger.epochs_allowed[self.name] = epochs
        config = task.config.model_copy(update={"epochs": epochs})
        table = TABLE.train(task, self.name, None, config, penalty=PENALTIES[1], payer=self.name)
        ledger.spend(self.name, networks)
        say_unbounded(
            task, "The time budget bounds the table of structural-gae alone: the rest follows the size of the graph."
        )
        assert isinstance(table.scorer, InnerProductScorer)
        with fitting.costs.stage("training"):
            scorer, odds, finding = fit_structural(
                task.split,
                task.features,
                table.scorer,
                table_odds=table.effective_odds,
                seeds=task.seeds,
                hidden=masked_edges(task),
                say=task.say,
            )
        findings = (*table.findings, finding)
        return StructuralModel(scorer, odds, table.history, table.best_epoch, table.objective, findings)

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
        """The networks on more train edges, with the table and the share that were chosen."""
        assert isinstance(fitted, StructuralModel)
        chosen = fitted.scorer
        return fit_structural(
            split,
            features,
            chosen.table,
            table_odds=fitted.effective_odds,
            seeds=seeds,
            chosen=chosen,
            say=say,
        )[0]

    def load(self, saved: SavedModel) -> Scorer:
        """From its arrays."""
        return StructuralScorer.from_arrays(saved.split, saved.weights)

    def candidate_vectors(self, scorer: Scorer) -> Sequence[tuple[Embeddings, Embeddings]]:
        """The table, which alone knows most links, and smoothed features."""
        base = scorer.base if isinstance(scorer, DegreeAwareScorer) else scorer
        if not isinstance(base, StructuralScorer):
            return super().candidate_vectors(scorer)
        return [(base.table.signed, base.table.target), *node_vectors(base.counts)[2:]]


FAMILIES = (
    StructuralFamily(
        name="structural-gae",
        help="a signed-gae beside a small network over short walks, spectral products and features of a pair",
    ),
)
