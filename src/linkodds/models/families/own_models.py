"""Models of a user's own: Python code that is given to `LinkPredictor`, and is not saved in a run."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.errors import OptionError
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.models.families.autoencoders import embedding_scorer
from linkodds.models.families.family import ModelFamily, SavedModel
from linkodds.models.families.task import FitTask
from linkodds.scorers.function_scoring import FunctionScorer, LostScorer
from linkodds.scorers.scoring import DegreeAwareScorer, Scorer

if TYPE_CHECKING:
    from linkodds.models.training.training_loop import TrainedModel


@dataclass(frozen=True, kw_only=True)
class OwnFamily(ModelFamily):
    """A model that its author gives in Python.

    Args:
        own: the `CustomEncoder` or `CustomScorer`; None: it was named and not given.
    """

    own: Any = None
    is_in_comparisons: bool = False
    weighs_calibration: bool = True

    def refuse(self, config: FitConfig) -> None:
        """Raise where the code is missing, or a budget cannot be kept.

        Raises:
            OptionError: so.
        """
        if self.own is None:
            raise OptionError(
                f"--model {self.name} is a model of your own, which is Python code: give it to LinkPredictor(model=...), or "
                "have it score pairs into a file for 'linkodds evaluate --scores FILE --edges EDGES'."
            )
        if config.time_budget is not None:
            raise OptionError(
                "--time-budget is spent as counted work, and what a model of your own takes cannot be counted beforehand; "
                "say epochs instead."
            )

    def label(self, name: str) -> str:
        """As its author calls it."""
        return name if name != self.name else str(self.own.name)

    def facts(self, num_features: int | None) -> dict[str, Any]:
        """Its name, and the features that it was made for."""
        return {"own": {"name": self.own.name, "num_features": num_features}}

    def why_ignores_weights(self, role: str) -> str:
        """See `ModelFamily.why_ignores_weights`."""
        if role == "strength":
            return "what you bring is given edges without numbers"
        return super().why_ignores_weights(role)


@dataclass(frozen=True, kw_only=True)
class OwnEncoderFamily(OwnFamily):
    """A module that encodes nodes, and may decode pairs; trained as ours are."""

    decoders: tuple[str, ...] = ("inner-product", "signed")
    takes_other_edges: bool = True

    def is_single(self, num_nodes: int, num_features: int | None) -> bool:
        """Where it decodes: no file could hold its decoder twice."""
        return self.has_own_decoder(num_nodes, num_features)

    def has_own_decoder(self, num_nodes: int, num_features: int | None) -> bool:
        """Whether the logits are the module's own."""
        return self.own is not None and bool(self.own.decodes(num_nodes, num_features))

    def fit(self, task: FitTask) -> "TrainedModel":
        """Trained as ours are; what an epoch of it takes nobody can count beforehand."""
        from linkodds.models.training.pair_training import train_pair_model
        from linkodds.models.training.training import train
        from linkodds.models.training.training_loop import TrainingTask

        fitting, split, fold = task.fitting, task.split, task.fold
        label = f"{self.own.name}-fold-{fold + 1}" if fold else str(self.own.name)
        num_features = None if task.features is None else task.features.matrix.shape[1]
        start = train_pair_model if self.own.decodes(split.space.num_nodes, num_features) else train
        task.say(f"training {label} on {fitting.device.type}")
        checkpoint = None if fitting.checkpoints is None else fitting.checkpoints.of(self.name, fold)
        resumed = fitting.resumed(checkpoint)
        fitting.start(label, task.config.epochs, resumed)
        with fitting.costs.stage("training"):
            training = TrainingTask(
                self.name,
                split,
                task.features,
                self.options(task.config),
                task.seeds,
                fitting.device,
                on_epoch=fitting.on_epoch,
                checkpoint=checkpoint,
                resumed=resumed,
            )
            return start(training, own=self.own)

    def load(self, saved: SavedModel) -> Scorer:
        """From its embeddings, where an inner product decodes them; else what waits for its author's code."""
        if saved.decoder.get("kind") == "own":
            return LostScorer(saved.own_name, saved.embeddings)
        return embedding_scorer(saved)


@dataclass(frozen=True, kw_only=True)
class OwnScorerFamily(OwnFamily):
    """A function of pairs, which is not trained here."""

    averages_folds: bool = False
    untrained: str = "your scorer was not trained here"

    def fit(self, task: FitTask) -> None:
        """Nothing."""
        return None

    def unfitted_scorer(self, split: Split, features: Features | None, ids: NDArray[np.object_]) -> Scorer:
        """The function, or what it makes of the train edges."""
        scorer: Scorer = self.own.scorer(ids, split, features)
        return scorer

    def degree_choice(self, choice: Literal["auto", "yes", "no"]) -> Literal["auto", "yes", "no"]:
        """None where that is left open: it is their ranking that is judged, not what we could make of it."""
        return "no" if choice == "auto" else choice

    def findings_on(self, scorer: Scorer, split: Split, seed: int) -> list[Finding]:
        """What is assumed of it, and what the doctor says of its own values."""
        from linkodds.doctor import diagnose_values, scores_rng
        from linkodds.doctor.model_rules import NUM_PAIRS
        from linkodds.models.autoencoders.custom_scorer import as_given, judged_values

        base = scorer.base if isinstance(scorer, DegreeAwareScorer) else scorer
        assert isinstance(base, FunctionScorer)
        labels, values, weights = judged_values(base, split, NUM_PAIRS, scores_rng(seed))
        found = diagnose_values(labels, values, base.values, weights)
        return [*self.own.findings(base, split), *as_given(base.name, found)]

    def load(self, saved: SavedModel) -> Scorer:
        """What waits for its author's code."""
        return LostScorer(saved.own_name, saved.embeddings)


ENCODER = OwnEncoderFamily(name="own-encoder", help="a module of your own, given in Python")
SCORER = OwnScorerFamily(name="own-scorer", help="a function of pairs of your own, given in Python")
FAMILIES = (ENCODER, SCORER)


def family_of_own(own: Any) -> OwnFamily:
    """The family of a user's encoder or scorer.

    Args:
        own: a `CustomEncoder` or `CustomScorer`.
    Raises:
        OptionError: its name is that of a model of linkodds.
    """
    from linkodds.models.autoencoders.custom_encoder import CustomEncoder
    from linkodds.models.families import model_names

    if own.name in model_names():
        raise OptionError(f"name={own.name!r}: that is a model of linkodds; give yours a name of its own.")
    return replace(ENCODER if isinstance(own, CustomEncoder) else SCORER, own=own)
