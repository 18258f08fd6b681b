"""Baselines: counts on the train edges, measured beside every model. Nothing is fitted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.families.family import ModelFamily, SavedModel
from linkodds.scorers.baselines import CosineScorer, baseline_scorer
from linkodds.scorers.scoring import MeanScorer, Scorer

if TYPE_CHECKING:
    from linkodds.models.families.fitted_model import FittedModel
    from linkodds.models.families.task import FitTask, ModelFitting


@dataclass(frozen=True, kw_only=True)
class BaselineFamily(ModelFamily):
    """A count: a scorer from the train edges of a split, and the node features.

    Args:
        count: split and features -> scorer; None: the one of this name in `linkodds.scorers.baselines`.
    Example:
        >>> from linkodds.models.families import family_of
        >>> family_of("l3").is_baseline, family_of("katz").is_costly
        (True, True)
    """

    count: Callable[[Split, Features | None], Scorer] | None = None
    is_baseline: bool = field(default=True, init=False)
    weighs_calibration: bool = field(default=True, init=False)
    untrained: str = field(default="{name} is a count, of certain edges", init=False)
    untunable: str = field(default="{name} is a count and has no options.", init=False)

    def seconds_needed(self, fitting: "ModelFitting") -> float:
        """Counting is cheap beside any training."""
        return 0.0

    def fit(self, task: "FitTask") -> None:
        """Nothing."""
        return None

    def unfitted_scorer(
        self,
        split: Split,
        features: Features | None,
        ids: NDArray[np.object_] | None = None,
    ) -> Scorer:
        """The count on the train edges of a split."""
        if self.count is None:
            return baseline_scorer(self.name, split, features)
        return self.count(split, features)

    def refit_scorer(
        self,
        fitted: "FittedModel | None",
        split: Split,
        features: Features | None,
        *,
        seeds: np.random.SeedSequence,
        threads: int,
        say: Callable[[str], None],
    ) -> Scorer:
        """The same count on the train edges of another split."""
        return self.unfitted_scorer(split, features)

    def load(self, saved: SavedModel) -> Scorer:
        """Counted again on the train edges; the mean of the folds, where there are any."""
        counts = [self.unfitted_scorer(rotation, None) for rotation in saved.split.rotations()]
        return counts[0] if len(counts) == 1 else MeanScorer(tuple(counts))

    def why_ignores_weights(self, role: str) -> str:
        """See `ModelFamily.why_ignores_weights`."""
        return "it counts every edge the same"


@dataclass(frozen=True, kw_only=True)
class CosineFamily(BaselineFamily):
    """The cosine of the nodes' features: it does not look at edges, so its features are saved."""

    def load(self, saved: SavedModel) -> Scorer:
        """From the saved features."""
        return CosineScorer.from_arrays(saved.weights)


FAMILIES = (
    BaselineFamily(name="degree", help="product of the degrees"),
    BaselineFamily(name="common-neighbors", help="number of common neighbours"),
    BaselineFamily(name="adamic-adar", help="common neighbours, each weighted 1 / log degree"),
    BaselineFamily(name="resource-allocation", help="common neighbours, each weighted 1 / degree"),
    BaselineFamily(name="l3", help="paths of three steps, weighted by the degrees between"),
    BaselineFamily(name="katz", help="walks of up to three steps, longer ones weighted less", is_costly=True),
    BaselineFamily(name="ppr", help="personalised PageRank of one node from the other", is_costly=True),
    CosineFamily(
        name="feature-cosine",
        help="cosine of the node features",
        is_costly=True,
        needs_features=True,
        is_inductive=True,
    ),
)
