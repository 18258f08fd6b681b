"""ModelFamily: everything the program asks of a model or baseline, in one value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from linkodds.config import TWO_LAYERS, USUAL_DEFAULTS, Architecture, Defaults, FitConfig, ModelOptions
from linkodds.errors import BrokenRun, OptionError
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.scorers.scoring import DegreeAwareScorer, Embeddings, InnerProductScorer, MeanScorer, Scorer

if TYPE_CHECKING:  # families are imported by whoever needs a name: nothing that trains is loaded with them
    from linkodds.models.families.fitted_model import FittedModel
    from linkodds.models.families.task import FitTask, ModelFitting


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, on a logarithmic scale if `is_log`."""

    low: float
    high: float
    is_log: bool = True


Domain = Range | tuple[Any, ...]
"""Values that a search of options may take."""


@dataclass(frozen=True, eq=False)
class SavedModel:
    """What a run directory holds of a model.

    Args:
        split: of the run.
        weights: name -> array; of a member of a mean its own.
        embeddings: source and target, shape (nodes, dim) each; None where embeddings.parquet is missing or not the model's.
        decoder: what config.yaml says of it.
        own_name: what its author calls a model of a user's own.
    """

    split: Split
    weights: Mapping[str, NDArray[Any]]
    embeddings: tuple[Embeddings, Embeddings] | None = None
    decoder: Mapping[str, Any] = field(default_factory=dict)
    own_name: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelFamily:
    """A model or baseline: its name, its options, how it is fitted, what that costs, and how it is loaded again.

    The fields are what other parts of the program would otherwise ask of its name. A family of a new kind overrides the
    methods; `BaselineFamily` and `AutoencoderFamily` have all of them.

    Args:
        name: as `--model` takes it.
        help: one line.
        defaults: what it takes for options that are left open.
        architecture: of an autoencoder.
        decoders: what `--decoder` may be; empty: any, and nothing comes of it.
        searches_weight_decay: whether a weight decay that is left open is chosen on the validation edges.
        is_baseline: whether it is a count, measured beside every model.
        is_costly: of a baseline, whether it is counted in a large graph only where it is named.
        needs_features: whether it is nothing without node features.
        averages_folds: whether a mean of its models of several folds can be saved.
        learns_masked_edges: whether it learns from train edges hidden from the graph that its inputs come from.
        max_nodes: of a graph that it takes; None: any number.
        is_in_comparisons: whether `compare` and a mean of models take it.
        uses_confidence: whether its loss weighs edges by a confidence.
        uses_strength: whether its messages weigh edges by a strength: always, only with features, or never.
        weighs_calibration: whether a confidence is accepted for the calibration alone.
        untrained: of these, why no loss could weigh it.
        takes_other_edges: whether its messages go along edges of other kinds.
        is_inductive: whether it knows a node by its features alone, so that it can score new nodes.
        has_decoupled_form: whether sharded fits can train it.
        candidate_share: of the usual number of candidates of a search, how many are enough.
        untunable: why `--tune` cannot search its options; empty: it can.
    """

    name: str
    help: str
    defaults: Defaults = USUAL_DEFAULTS
    architecture: Architecture = TWO_LAYERS
    decoders: tuple[str, ...] = ()
    searches_weight_decay: bool = False
    is_baseline: bool = False
    is_costly: bool = False
    needs_features: bool = False
    averages_folds: bool = True
    learns_masked_edges: bool = False
    max_nodes: int | None = None
    is_in_comparisons: bool = True
    uses_confidence: bool = False
    uses_strength: Literal["always", "with features", "never"] = "never"
    weighs_calibration: bool = False
    untrained: str = ""
    takes_other_edges: bool = False
    is_inductive: bool = False
    has_decoupled_form: bool = False
    candidate_share: float = 1.0
    untunable: str = "{name} has no options that are searched."

    # Before a fit

    def options(self, config: FitConfig) -> ModelOptions:
        """The options of a fit as this model takes them.

        Args:
            config: of the fit.
        Raises:
            OptionError: a decoder or an objective that it does not take.
        """
        self.check_options(config)
        return ModelOptions.resolve(
            config, self.defaults, self.architecture, searches_weight_decay=self.searches_weight_decay
        )

    def check_options(self, config: FitConfig) -> None:
        """Raise for options that this model does not take.

        Raises:
            OptionError: a decoder of another model.
        """
        if self.decoders and config.decoder not in ("auto", *self.decoders):
            from linkodds.models.families import families

            others = [each.name for each in families() if each.trains_encoder and config.decoder in each.decoders]
            raise OptionError(
                f"--decoder {config.decoder} is not for {self.name}, which takes {' or '.join(self.decoders)}; "
                f"{' and '.join(others)} take{'s' * (len(others) == 1)} it."
            )

    @property
    def trains_encoder(self) -> bool:
        """Whether it is one of our autoencoders, whose options can be searched and whose epochs share a time budget."""
        return False

    def is_single(self, num_nodes: int, num_features: int | None) -> bool:
        """Whether one model is fitted whatever `--folds` leaves open."""
        return not self.averages_folds

    def has_own_decoder(self, num_nodes: int, num_features: int | None) -> bool:
        """Whether it is a user's model that decodes too, and so learns from single pairs."""
        return False

    def refuse(self, config: FitConfig) -> None:
        """Raise where a fit of this model cannot start, whatever the graph."""

    # What a fit costs, counted from sizes

    def seconds_needed(self, fitting: "ModelFitting") -> float:
        """Nominal seconds of a fit with all its epochs."""
        raise NotImplementedError

    def epochs_for(self, fitting: "ModelFitting", seconds: float) -> int | None:
        """The most epochs of each training for so many seconds in all, 0 where for none; None: it has no epochs."""
        return None

    def had_all_epochs(self, fitting: "ModelFitting") -> bool:
        """Whether what was fitted is what `--model NAME` would have: `auto` may have given it fewer epochs."""
        return True

    # The fit

    def fit(self, task: "FitTask") -> "FittedModel | None":
        """The fitted model; None where there is nothing to fit.

        Args:
            task: the split, the options, and who follows the fit.
        """
        raise NotImplementedError

    def unfitted_scorer(self, split: Split, features: Features | None, ids: NDArray[np.object_]) -> Scorer:
        """Logits of pairs where nothing is fitted: a count on the train edges, or what a user has made."""
        raise NotImplementedError

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
        """The scorer on more train edges with all that was chosen kept; None: it cannot be had without choosing anew."""
        return None

    # Afterwards

    def label(self, name: str) -> str:
        """What people call a model that the program calls `name`."""
        return name

    def degree_choice(self, choice: Literal["auto", "yes", "no"]) -> Literal["auto", "yes", "no"]:
        """Whether a degree term is looked for."""
        return choice

    def findings_on(self, scorer: Scorer, split: Split, seed: int) -> list[Finding]:
        """What is assumed of it, and what its own values look like."""
        return []

    def facts(self, num_features: int | None) -> dict[str, Any]:
        """What config.yaml says of it beside what it says of every model."""
        return {}

    def load(self, saved: SavedModel) -> Scorer:
        """The scorer of a run.

        Raises:
            BrokenRun: arrays that do not belong to this graph.
        """
        raise BrokenRun(f"{self.name} cannot be loaded.")

    def candidate_vectors(self, scorer: Scorer) -> Sequence[tuple[Embeddings, Embeddings]]:
        """Source and target vectors whose inner products say something of links, shape (nodes, dim) each; often none.

        Args:
            scorer: of a run of this model.
        """
        if isinstance(scorer, DegreeAwareScorer):
            return self.candidate_vectors(scorer.base)
        if isinstance(scorer, MeanScorer):
            return [vectors for each in scorer.scorers for vectors in self.candidate_vectors(each)]
        if isinstance(scorer, InnerProductScorer):
            return [(scorer.signed, scorer.target)]
        return []

    def why_no_new_nodes(self) -> str:
        """Why it cannot score a node that it was not fitted with; empty: it can, by the node's features."""
        return "" if self.is_inductive else "it looks at the recorded graph alone, where a new node is not."

    def why_ignores_weights(self, role: str) -> str:
        """Why it passes over edge weights of a role."""
        if role == "strength":
            return "it passes no messages along edges that a strength could weigh"
        return "its loss takes every train edge as certain"
