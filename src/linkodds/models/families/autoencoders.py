"""Autoencoders: a graph convolution or a table under an inner product, trained on all train edges at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from linkodds.config import Architecture, Defaults, FitConfig
from linkodds.findings import Finding
from linkodds.graph.features import Features
from linkodds.graph.split import Split
from linkodds.metrics.held_out import num_chosen_by
from linkodds.models.families.family import Domain, ModelFamily, Range, SavedModel
from linkodds.models.families.task import FitTask, ModelFitting, TrialPruned
from linkodds.models.training.cost_model import Sizes
from linkodds.models.training.estimates import Clock, Memory, TimeBudget, announcement, epoch_seconds, shortened
from linkodds.scorers.pair_scoring import mean_pair_scorer
from linkodds.scorers.scoring import InnerProductScorer, Scorer

if TYPE_CHECKING:
    from linkodds.models.families.fitted_model import Trainer
    from linkodds.models.training.training_loop import TrainedModel

PENALTY, WITH_FEATURES = "penalty", "with_features"
"""Searched, and not options of their own: the weight decay in units of the noise of the edges, and whether features are used."""

TABLE_DEFAULTS = Defaults(
    decoder="signed", positive_weight="balanced", dim=128, learning_rate=0.03, patience=40, validate_every=10
)
"""Of a model whose nodes have a free row each."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderFamily(ModelFamily):
    """An autoencoder of ours, trained in epochs that share a time budget; with a search of its weight decay, if it has one."""

    decoders: tuple[str, ...] = ("inner-product", "signed")
    uses_confidence: bool = True
    untunable: str = field(default="", init=False)

    @property
    def trains_encoder(self) -> bool:
        """Yes."""
        return True

    # Costs

    def seconds_needed(self, fitting: ModelFitting) -> float:
        """All epochs of all trainings of a search."""
        return self.num_trainings(fitting) * fitting.config.epochs * self.epoch_seconds(fitting)

    def epochs_for(self, fitting: ModelFitting, seconds: float) -> int:
        """See `ModelFamily.epochs_for`."""
        each = self.num_trainings(fitting) * self.epoch_seconds(fitting)
        return int(min(seconds / each, fitting.config.epochs))

    def had_all_epochs(self, fitting: ModelFitting) -> bool:
        """See `ModelFamily.had_all_epochs`."""
        alone = fitting.alone(self.name)
        return fitting.ledger.epochs_allowed[self.name] == self.evenly_shared(alone) == fitting.config.epochs

    def epoch_seconds(self, fitting: ModelFitting) -> float:
        """Nominal seconds of an epoch."""
        return epoch_seconds(self.sizes(fitting))

    def num_trainings(self, fitting: ModelFitting) -> int:
        """Trainings on the first rotation: several where the weight decay is left open."""
        from linkodds.models.training.training import PENALTIES

        is_open = self.options(fitting.config).weight_decay is None
        return len(PENALTIES) + (fitting.features is not None) if is_open else 1

    def evenly_shared(self, fitting: ModelFitting) -> int:
        """The most epochs of each training, where all autoencoders share the config's time budget evenly."""
        sharing = [each for each in fitting.families.values() if isinstance(each, AutoencoderFamily)]
        trainings = sum(each.num_trainings(fitting) for each in sharing) + fitting.further
        return TimeBudget(fitting.config.time_budget, trainings).epochs(self.sizes(fitting), fitting.config.epochs)

    def sizes(self, fitting: ModelFitting) -> Sizes:
        """All that the work of an epoch depends on."""
        from linkodds.models.training.training import choose_objective

        options, split = self.options(fitting.config), fitting.split
        return Sizes.of(
            split,
            fitting.features,
            options,
            objective=choose_objective(options, split.space),
            validation_non_edges=num_chosen_by(fitting.num_non_edges, len(split.validation)),
            sampled_non_edges=fitting.sampled_non_edges,
        )

    # The fit

    def fit(self, task: FitTask) -> "TrainedModel":
        """The training, or the best by validation average precision of those that a search makes.

        A search tries each penalty and, where there are features, the best of them once more without features. Of given
        seconds each training gets an even share of what those before it left.
        """
        from linkodds.models.training.training_loop import TrainedModel

        fitting, ledger, name = task.fitting, task.fitting.ledger, self.name
        like = task.like if isinstance(task.like, TrainedModel) else None
        next_config = self._shares(task, 1 if like is not None else self.num_trainings(fitting))
        if like is not None:
            features = task.features if like.uses_features else None
            config = next_config().model_copy(update={"weight_decay": like.weight_decay})
            return self.train(task, name, features, config)
        if self.num_trainings(fitting) == 1:
            trained = self.train(task, name, task.features, next_config())
        else:
            trained = self._search(task, next_config)
        num_epochs, allowed = len(trained.history), ledger.epochs_allowed[name]
        if allowed <= num_epochs < task.config.epochs and not task.fold and not trained.was_cut_short:
            ledger.say(shortened(fitting.budget, name, num_epochs, task.config.epochs))
        return trained

    def train_trial(self, fitting: ModelFitting, key: str, split: Split) -> "TrainedModel | None":
        """One training with the config's own options and its even share of the time budget; None where it was ended early.

        Args:
            fitting: with the options of the trial.
            key: what this training is called; it names the checkpoint.
            split: the first rotation.
        """
        config = fitting.config.model_copy(update={"epochs": self.evenly_shared(fitting)})
        try:
            return self.train(FitTask(fitting, split), key, fitting.features, config)
        except TrialPruned as ended:
            fitting.ledger.spend(self.name, ended.epochs * self.epoch_seconds(fitting))
            return None

    def _shares(self, task: FitTask, count: int) -> Callable[[], FitConfig]:
        """Gives each of so many trainings the config with its epochs, when it is its turn."""
        fitting, ledger, name, made = task.fitting, task.fitting.ledger, self.name, 0
        before = ledger.spent.get(name, 0.0)

        def next_config() -> FitConfig:
            nonlocal made
            epochs = self.evenly_shared(fitting)
            if task.seconds is not None:
                left = task.seconds - (ledger.spent.get(name, 0.0) - before)
                epochs = TimeBudget(max(left, 0.0), count - made).epochs(self.sizes(fitting), task.config.epochs)
            made += 1
            ledger.epochs_allowed[name] = min(epochs, ledger.epochs_allowed.get(name, epochs))
            return task.config.model_copy(update={"epochs": epochs})

        return next_config

    def _search(self, task: FitTask, next_config: Callable[[], FitConfig]) -> "TrainedModel":
        """The best of several penalties, and of the best of them without features."""
        from linkodds.models.training.training import PENALTIES

        keys = [f"{self.name}-penalty-{number}" if number > 1 else self.name for number in range(1, len(PENALTIES) + 1)]
        tried = [
            self.train(task, key, task.features, next_config(), penalty=penalty)
            for key, penalty in zip(keys, PENALTIES, strict=True)
        ]
        # Against all non-edges: against the sample that training sees, AP is far noisier at the top of the ranking.
        aps = [task.fitting.judge(each.scorer, task.split) for each in tried]
        if task.features is not None:
            best = next_config().model_copy(update={"weight_decay": tried[int(np.argmax(aps))].weight_decay})
            tried.append(self.train(task, f"{self.name}-without-features", None, best))
            aps.append(task.fitting.judge(tried[-1].scorer, task.split))
        trained = tried[int(np.argmax(aps))]  # the first, which has the strongest penalty, among equals
        return replace(trained, findings=(*trained.findings, self._about_search(task, trained, tried, aps)))

    def _about_search(
        self, task: FitTask, trained: "TrainedModel", tried: "Sequence[TrainedModel]", aps: Sequence[float]
    ) -> Finding:
        """What to say of a search, and say it."""

        def called(each: "TrainedModel") -> str:
            left_out = "" if each.uses_features or task.features is None else " without features"
            return f"{each.weight_decay:.3g}{left_out}"

        listed = ", ".join(f"{called(each)} {ap:.4g}" for each, ap in zip(tried, aps, strict=True))
        message = f"{self.name}: weight decay {called(trained)} was best by validation average precision, of {listed}."
        task.say(message)
        return Finding("training", "info", message, "--weight-decay names one, and trains once.", trained.weight_decay)

    def train(
        self,
        task: FitTask,
        key: str,
        features: Features | None,
        config: FitConfig,
        *,
        penalty: float | None = None,
        payer: str | None = None,
    ) -> "TrainedModel":
        """Say what a training will take, train, and say whether a clock ended it.

        Args:
            task: the split to train on, and who follows.
            key: what this training is called; it names the checkpoint.
            features: or None to leave them out.
            config: with the epochs that the time budget allows.
            penalty: the weight decay in units of the noise of the edges, where it is open; None: the first that is tried.
            payer: the model that the seconds are counted for; None: this one.
        """
        from linkodds.models.training.training import choose_objective
        from linkodds.models.training.training_loop import TrainingTask

        fitting, split, fold = task.fitting, task.split, task.fold
        label = f"{key}-fold-{fold + 1}" if fold else key
        options = self.options(config)
        objective = choose_objective(options, split.space)
        task.say(f"training {label}, {objective} objective ({split.space.num_pairs:,} pairs) on {fitting.device.type}")
        memory = Memory.here() if fitting.device.type == "cpu" else Memory(None, None)
        if fitting.trainer is None:
            for line in announcement(label, config.epochs, self.sizes(fitting), memory):
                task.say(line)
        checkpoint = None if fitting.checkpoints is None else fitting.checkpoints.of(key, fold)
        resumed = fitting.resumed(checkpoint)
        fitting.start(label, config.epochs, resumed)
        allowed = None if config.time_budget is None else config.epochs * self.epoch_seconds(fitting)
        clock = Clock(allowed, threads=fitting.threads)
        with fitting.costs.stage("training"):
            training = TrainingTask(
                self.name,
                split,
                features,
                options,
                task.seeds,
                fitting.device,
                on_epoch=fitting.on_epoch,
                should_stop=clock,
                checkpoint=checkpoint,
                resumed=resumed,
            )
            trained = (fitting.trainer or self.in_memory(penalty))(training)
        fitting.ledger.spend(payer or self.name, len(trained.history) * self.epoch_seconds(fitting))
        if trained.was_cut_short:
            fitting.ledger.say(clock.finding(label, len(trained.history)))
        return trained

    def in_memory(self, penalty: float | None) -> "Trainer":
        """What trains it on this machine."""
        from linkodds.models.training.training import PENALTIES, train

        return partial(train, penalty=PENALTIES[0] if penalty is None else penalty)

    # Options that a search may choose

    def searched_options(self, config: FitConfig, *, is_all_pairs: bool, has_features: bool) -> dict[str, Domain]:
        """The options that it has, less those that were given.

        Args:
            config: an option that was set, to something else than auto or null, is given.
            is_all_pairs: whether the objective looks at all pairs; only then have edges a weight.
            has_features: whether there are any to leave out.
        Example:
            >>> from linkodds.models.families import family_of
            >>> space = family_of("linear-gae").searched_options(FitConfig(dim=8), is_all_pairs=True, has_features=False)
            >>> sorted(space)
            ['dropout', 'learning_rate', 'positive_weight', 'weight_decay']
        """
        space: dict[str, Domain] = {"learning_rate": Range(0.002, 0.1), "dim": (16, 32, 64, 128, 256)}
        if self.architecture.is_table:
            space["weight_decay"] = Range(0.05, 2.0)
            if has_features:
                space[WITH_FEATURES] = (True, False)
        else:
            space["dropout"] = Range(0.0, 0.8, is_log=False)
            space["weight_decay"] = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)
            if is_all_pairs:
                space["positive_weight"] = ("none", "balanced")
        if self.architecture.encoder == "two-layer":
            space["hidden"] = (32, 64, 128, 256)
        if self.architecture.variational and not self.architecture.is_table:
            space["beta"] = Range(0.001, 1.0)
        given = {option for option in config.model_fields_set if getattr(config, option) not in (None, "auto")}
        return {
            PENALTY if self.architecture.is_table and option == "weight_decay" else option: domain
            for option, domain in space.items()
            if option not in given
        }

    # Afterwards

    def load(self, saved: SavedModel) -> Scorer:
        """From the embeddings; those of a member of a mean stand among its arrays."""
        if saved.embeddings is None:
            prefix = "embeddings."
            arrays = {name.removeprefix(prefix): a for name, a in saved.weights.items() if name.startswith(prefix)}
            return InnerProductScorer.from_arrays(arrays, saved.split.space.num_nodes)
        return embedding_scorer(saved)

    def why_no_new_nodes(self) -> str:
        """See `ModelFamily.why_no_new_nodes`."""
        if self.architecture.is_table:
            return "it learns a vector of its own for each node, and has none for a new one."
        return super().why_no_new_nodes()


def embedding_scorer(saved: SavedModel) -> Scorer:
    """The decoder of a run on its embeddings."""
    assert saved.embeddings is not None
    (source, target), decoder = saved.embeddings, saved.decoder
    if decoder.get("kind") == "hadamard":
        graphs = [each.message_graph() for each in saved.split.rotations()]
        return mean_pair_scorer(source, target, saved.weights, graphs)
    num_negative = int(decoder.get("num_negative_dimensions", 0))
    return InnerProductScorer(source, target, float(decoder["scale"]), float(decoder["bias"]), num_negative)


def _propagating(name: str, help: str, architecture: Architecture, **flags: Any) -> AutoencoderFamily:
    """A model that passes messages along edges, so that it uses all that edges carry, and features alone place a node."""
    return AutoencoderFamily(
        name=name,
        help=help,
        architecture=architecture,
        uses_strength="always",
        takes_other_edges=True,
        is_inductive=True,
        **flags,
    )


FAMILIES = (
    _propagating("gae", "two graph convolutions under an inner product", Architecture()),
    _propagating("vgae", "the same, variational", Architecture(variational=True)),
    _propagating(
        "linear-gae", "one propagation without an activation", Architecture("linear"), has_decoupled_form=True
    ),
    _propagating("linear-vgae", "the same, variational", Architecture("linear", variational=True)),
    AutoencoderFamily(
        name="signed-gae",
        help="a free row for each node under a signed inner product, with a penalty that is searched",
        defaults=TABLE_DEFAULTS,
        architecture=Architecture("free"),
        searches_weight_decay=True,
        uses_strength="with features",
    ),
    AutoencoderFamily(
        name="signed-vgae",
        help="the same, variational",
        defaults=TABLE_DEFAULTS,
        architecture=Architecture("free", variational=True),
        searches_weight_decay=True,
        uses_strength="with features",
    ),
)
