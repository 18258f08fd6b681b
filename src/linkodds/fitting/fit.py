"""Fit: the stages of one fit in order, from a graph in memory to a run in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.doctor import ModelScores, conclude, constant_features, diagnose_run, scores_rng
from linkodds.evaluation.evaluation import BaselineResult, Evaluation
from linkodds.evaluation.measure import evaluate
from linkodds.evaluation.temporal_metrics import time_findings, time_section
from linkodds.findings import Finding
from linkodds.fitting.auto import LADDER, Outcome, choose
from linkodds.fitting.averaging import MeanModel
from linkodds.fitting.cut_off_links import about_cut_off, over_all_pairs
from linkodds.fitting.edge_support import about_weights, models_to_try
from linkodds.fitting.evaluation_setup import EvaluationSetup, Seeds, as_in_blocks
from linkodds.fitting.model_selection import (
    ModelCandidate,
    ModelSelection,
    about_folds,
    calibration_samples,
    entries,
    mean_baseline,
    mean_of_folds,
    seconds_for_folds,
)
from linkodds.fitting.run_config import settings_of_fit, settings_of_winner
from linkodds.fitting.tuning import TuningResult, tune
from linkodds.fitting.unseen_nodes import cause_of_inversion
from linkodds.graph.features import Features
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Quantity
from linkodds.metrics.metrics import average_precision, roc_auc
from linkodds.metrics.non_edge_scores import TallyRunner
from linkodds.metrics.non_edges import draw_non_edges
from linkodds.metrics.ranking import average_precision_gain, reciprocal_ranks
from linkodds.models.families import AUTO, asked_family, baseline_families
from linkodds.models.families.family import ModelFamily
from linkodds.models.families.fitted_model import Trainer
from linkodds.models.families.task import OnStart
from linkodds.models.training.checkpoint import Checkpoints
from linkodds.models.training.history import Costs, Epoch, history_columns
from linkodds.models.training.training_loop import TrainedModel
from linkodds.probability.calibration import Calibrator, fit_calibrator
from linkodds.probability.decision import STANDARD_RULES, Decision, decide, parse_rule
from linkodds.probability.deployment import fit_link_rate
from linkodds.probability.selection import audit_entries, audit_rng
from linkodds.reading.relations import about_kinds
from linkodds.runs.record import Run
from linkodds.scorers.baselines import kept_features
from linkodds.scorers.pair_scoring import embeddings_of
from linkodds.scorers.scoring import Scorer

Say = Callable[[str], None]

SAVED_NON_EDGES = 100_000
DECOUPLED = "encoder.weights"
"""Weights that only a decoupled model has; its hops are not kept, so it embeds no new nodes."""
_DESIGNS = {"enumerated": "all enumerated", "sampled": "sampled", "stratified": "from strata"}


@dataclass(frozen=True, eq=False)
class CalibratedModel:
    """What came of a candidate model: as it is used, calibration samples and calibrator, decisions, and scored test edges."""

    candidate: ModelCandidate
    calibration: tuple[HeldOut, ...]
    calibrator: Calibrator
    decisions: Sequence[Decision]
    test: HeldOut
    findings: Sequence[Finding]


@dataclass(frozen=True, eq=False)
class Fit:
    """The stages of one fit, in order; `run` tells the story.

    Args:
        graph: what to learn.
        config: all options of the fit.
        family: of the model that the config names, or of auto; a user's own model is a part of it.
        reading: where the graph came from and how it was read, for config.yaml.
        device: where to train.
        costs: gets what each stage takes.
        say: called with one line a stage.
        features: of the nodes, that tell them apart; or None.
        findings: what reading the features had to say.
        seeds: of the split, the trainings, the sample of non-edges, and what is saved of them.
        setup: split and non-edges.
        on_start: called as each training starts; see `ModelFitting`.
        on_epoch: called after every epoch.
        checkpoints: where the state of each training is kept, and taken from; None keeps it nowhere.
        trainer: trains in another way than in memory; None in memory.
    """

    graph: Graph
    config: FitConfig
    family: ModelFamily
    reading: Mapping[str, Any]
    device: torch.device
    costs: Costs
    say: Say
    features: Features | None
    findings: Sequence[Finding]
    seeds: Seeds
    setup: EvaluationSetup
    on_start: OnStart | None = None
    on_epoch: Callable[[Epoch], None] | None = None
    checkpoints: Checkpoints | None = None
    trainer: Trainer | None = None

    @staticmethod
    def of(
        graph: Graph,
        config: FitConfig,
        *,
        device: torch.device,
        family: ModelFamily | None = None,
        reading: Mapping[str, Any] | None = None,
        costs: Costs | None = None,
        say: Say = lambda _: None,
        on_start: OnStart | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
        split: Split | None = None,
        checkpoints: Checkpoints | None = None,
        trainer: Trainer | None = None,
        runner: TallyRunner | None = None,
    ) -> "Fit":
        """Split a graph and draw the non-edges: a fit that is ready to run.

        Args:
            graph: what to learn.
            config: all options of the fit.
            device: where to train.
            family: of the model that the config names; None: that of the name.
            reading: where the graph came from and how it was read.
            costs: what reading has cost already.
            say: called with one line a stage.
            on_start: called as each training starts.
            on_epoch: called after every epoch.
            split: of the graph, where it was made elsewhere.
            checkpoints: of the trainings.
            trainer: trains in another way than in memory.
            runner: scores non-edges in another way than on threads of this process.
        """
        family = family or asked_family(config.model)
        features, findings = informative_features(graph)
        single = family.is_single(graph.num_nodes, None if features is None else features.matrix.shape[1])
        setup = EvaluationSetup.of(graph, config, single=single, split=split)
        return Fit(
            graph=graph,
            config=config,
            family=family,
            reading=reading or {},
            device=device,
            costs=costs or Costs(),
            say=say,
            features=features,
            findings=findings,
            seeds=Seeds.of(config.seed),
            setup=replace(setup, runner=runner),
            on_start=on_start,
            on_epoch=on_epoch,
            checkpoints=checkpoints,
            trainer=trainer,
        )

    @property
    def split(self) -> Split:
        """Of the graph."""
        return self.setup.split

    def run(self) -> Run:
        self.announce()
        selection, tuned = self.select_models(), None
        if self.config.model == AUTO:
            outcome = choose(selection)
        else:
            known: dict[str, ModelCandidate] = {}
            if self.config.tune:
                tuned = tune(selection)
                selection, known = tuned.selection, {tuned.winner.name: tuned.winner}
            found = {name: known.get(name) or selection.fit_candidate(name) for name in selection.names}
            winner = found[self.config.model]
            about_tuning = [] if tuned is None else [tuned.finding]
            outcome = Outcome(found, winner, (*about_tuning, *winner.findings))
        candidates = outcome.candidates
        measured = self.calibrate_and_measure(selection, outcome.winner, outcome.findings)
        winner, fitted = measured.candidate, measured.candidate.fitted
        counted = {
            family.name: self.measure_baseline(selection, mean_baseline(selection, candidates[family.name]), measured)
            for family in baseline_families()
            if family.name in candidates
        }
        with self.costs.stage("evaluation"):
            ranks = reciprocal_ranks(winner.scorer, self.split.test, self.split.not_judged())
            evaluated = self.evaluate(measured, ranks, counted)
            link_rate = fit_link_rate([measured.calibration[0], measured.test])
            link_rate = over_all_pairs(
                link_rate, winner.scorer, self.split, np.random.default_rng([self.config.seed, 23])
            )
        history = history_columns(fitted.history if fitted else ())
        stored = next(each for each in measured.decisions if each.rule == str(parse_rule(self.config.decision)))
        about_future: list[Finding] = []
        if self.split.weights is not None:
            about_future.append(about_weights(self.split.weights, winner.name))
        if self.split.others is not None:
            about_future.append(about_kinds(self.split.others))
        if self.split.times is not None:
            rng = np.random.default_rng(self.seeds.split)
            compared = selection.on_random_split(self.graph, candidates, rng)
            section = time_section(measured.test, self.split, stored.threshold_logit, compared)
            evaluated = replace(evaluated, time=section)
            about_future += time_findings(section)
        embeddings = embeddings_of(fitted.scorer) if fitted else None
        rng = scores_rng(self.config.seed)
        judged = ModelScores.of(winner.scorer, self.split, rng, embeddings=embeddings and embeddings[0])
        seen = diagnose_run(
            evaluation=evaluated, history=history, split=self.split, decision=stored.rule, scores=judged
        )
        findings = conclude(
            [*seen, *about_future, *_decision_findings(stored, measured.calibrator), *measured.findings]
        )
        return Run(
            config=self.settings(winner, tuned) | selection.fitting.budget_spent,
            model=winner.name,
            ids=self.graph.ids,
            split=self.split,
            scorer=winner.scorer,
            weights=winner.weights,
            calibrator=measured.calibrator,
            decision=stored,
            evaluation=replace(evaluated, findings=findings),
            history=history,
            feature_cosines=kept_features(self.graph.features),
            test=measured.test,
            calibration=measured.calibration,
            link_rate=link_rate,
            predictions=self.predictions(winner.scorer, measured.calibrator),
            cost=self.costs.stages,
            features=self.features if is_inductive(winner) else None,
            trials=None if tuned is None else tuned.trials,
        )

    def announce(self) -> None:
        graph = self.graph
        self.say(
            f"{graph.num_nodes:,} nodes, {graph.num_edges:,} edges, {graph.space.num_pairs:,} pairs: "
            f"one edge for {graph.num_non_edges / graph.num_edges:,.0f} absent pairs; "
            f"{self.setup.non_edges.num_scored:,} non-edges {_DESIGNS[self.setup.non_edges.design]}."
        )
        if self.split.times is not None:
            self.say(self.split.times.sentence())

    def select_models(self, name: str | None = None) -> ModelSelection:
        """One model, or what auto tries, and baselines on the split.

        Args:
            name: of a model or auto; None: the config's.
        """
        name = name or self.config.model
        asked = models_to_try(LADDER, self.split.weights, self.split.others) if name == AUTO else (name,)
        names = entries(asked, self.split.space, has_features=self.features is not None)
        families = {each: self.family if each == self.family.name else asked_family(each) for each in names}
        fitting = self.setup.fitting(
            families,
            features=self.features,
            config=self.config.model_copy(update={"model": name}),
            seeds=self.seeds.training,
            device=self.device,
            costs=self.costs,
            say=self.say,
            on_start=self.on_start,
            on_epoch=self.on_epoch,
            checkpoints=self.checkpoints,
            trainer=self.trainer,
            ids=self.graph.ids,
        )
        return ModelSelection(self.setup, fitting, names)

    def calibrate_and_measure(
        self, selection: ModelSelection, winner: ModelCandidate, findings: Sequence[Finding]
    ) -> CalibratedModel:
        """A candidate model of the first fold, made into what is used, calibrated, decided with and scored on test."""
        winner, folds = mean_of_folds(selection, winner, seconds_for_folds(selection))
        of_folds = about_folds(winner, folds)
        choice = self.family.degree_choice(self.config.degree_calibration)
        after = selection.with_degree_term(winner, self.split, choice)
        about_degrees = selection.about_degrees(winner, after)
        winner = after
        calibration = calibration_samples(selection, winner, folds)
        self.say(f"calibrating and deciding on {calibration[0].num_edges:,} edges")
        num_test = len(self.split.test)
        with self.costs.stage("calibration"):
            calibrator = fit_calibrator(
                calibration[:1],
                prevalence=self.setup.prevalence,
                odds_trained_at=winner.odds,
                choice=self.config.calibrator,
                cause_of_inversion=cause_of_inversion(self.split),
            )
            rules = {str(rule): rule for rule in (*STANDARD_RULES, parse_rule(self.config.decision))}
            decisions = [decide(rule, calibration, calibrator, num_test_edges=num_test) for rule in rules.values()]
        self.say(f"measuring on {num_test:,} test edges")
        with self.costs.stage("evaluation"):
            test = self.setup.test(winner.scorer, decisions)
        said = [*self.graph.findings, *self.findings, *about_cut_off(self.split), *findings, *of_folds, *about_degrees]
        said += self.family.findings_on(winner.scorer, self.split, self.config.seed)
        return CalibratedModel(
            winner, calibration, calibrator, decisions, test, [*said, *selection.fitting.ledger.findings]
        )

    def measure_baseline(
        self, selection: ModelSelection, counted: ModelCandidate, measured: CalibratedModel
    ) -> BaselineResult:
        """A baseline on the test edges as the model is measured: the validation edges choose its degree term too."""
        choice = self.family.degree_choice(self.config.degree_calibration)
        corrected = selection.with_degree_term(counted, self.split, choice)
        test, term = corrected.parts["test"], corrected.degree_term
        rise = term.precision_gain if term is not None and term.is_used else None
        gain, interval = average_precision_gain(measured.test, test)
        return BaselineResult(
            roc_auc=roc_auc(test),
            average_precision=average_precision(test),
            average_precision_uncorrected=average_precision(counted.parts["test"]),
            validation_average_precision=counted.validation_ap * (1 + (rise or 0.0)),
            gain=Quantity.around(gain, interval),
        )

    def evaluate(
        self, measured: CalibratedModel, ranks: NDArray[np.float64] | None, baselines: Mapping[str, BaselineResult]
    ) -> Evaluation:
        winner, fitted = measured.candidate, measured.candidate.fitted
        return evaluate(
            measured.test,
            measured.calibrator,
            measured.decisions,
            reciprocal_ranks=ranks,
            split=self.split,
            model={
                "name": self.family.label(winner.name),
                "num_parameters": 0 if fitted is None else fitted.num_parameters,
                "epochs": 0 if fitted is None else len(fitted.history),
                "folds": self.split.folds,
                **({"members": [each.name for each in fitted.members]} if isinstance(fitted, MeanModel) else {}),
                "degree_term": winner.degree_term and winner.degree_term.to_json(),
            },
            baselines=baselines,
            findings=measured.findings,
            audit=audit_entries(measured.test, audit_rng(self.config.seed)),
            rng=np.random.default_rng(self.seeds.results),
        )

    def predictions(self, scorer: Scorer, calibrator: Calibrator) -> pl.DataFrame:
        """Test edges, and all non-edges where they are few, else a uniform sample weighted up to their number."""
        known = self.split.not_judged()
        count = min(SAVED_NON_EDGES, known.num_absent)
        sample = draw_non_edges(known, count, np.random.default_rng(self.seeds.results)).sample
        assert sample is not None
        pairs = np.concatenate([self.split.test, sample])
        logits = as_in_blocks(scorer, pairs)
        num_edges = len(self.split.test)
        return pl.DataFrame(
            {
                "source": pl.Series(self.graph.ids[pairs[:, 0]].tolist(), dtype=pl.String),
                "target": pl.Series(self.graph.ids[pairs[:, 1]].tolist(), dtype=pl.String),
                "label": np.repeat(np.array([1, 0], dtype=np.int8), [num_edges, count]),
                "logit": logits,
                "probability": calibrator.probability(logits),
                "weight": np.repeat([1.0, known.num_absent / count], [num_edges, count]),
            }
        )

    def settings(self, winner: ModelCandidate | None, tuned: TuningResult | None = None) -> dict[str, Any]:
        """What config.yaml holds, before and after there is a winner."""
        facts = settings_of_fit(self.config, dict(self.reading), self.graph, self.features, self.split, self.device)
        if winner is None:
            return facts
        facts |= self.family.facts(None if self.features is None else self.features.matrix.shape[1])
        return facts | settings_of_winner(self.config, winner, self.split, self.device, tuned)


def is_inductive(candidate: ModelCandidate) -> bool:
    """Whether a model knows a node by its features alone, so that they are kept for new nodes."""
    fitted = candidate.fitted
    if isinstance(fitted, MeanModel):
        return all(is_inductive(each) for each in fitted.members)
    if isinstance(fitted, TrainedModel) and (not fitted.uses_features or DECOUPLED in fitted.weights):
        return False
    return asked_family(candidate.name).is_inductive


def informative_features(graph: Graph) -> tuple[Features | None, list[Finding]]:
    """The features, or none where they are the same for every node: then a learned table tells the nodes apart."""
    if graph.features is None or (found := constant_features(graph.features.matrix)) is None:
        return graph.features, []
    if found.severity != "error":  # reading has told of single columns, unless it left them as they are
        return graph.features, [found] if graph.features.scaling != "standard" else []
    message = f"{found.message} They were left out, and the model learnt a table with a row for each node."
    return None, [replace(found, severity="warning", message=message)]


def _decision_findings(decision: Decision, calibrator: Calibrator) -> list[Finding]:
    found = []
    if calibrator.reason:
        found.append(
            Finding(
                "calibration",
                "info",
                f"{calibrator.method.replace('_', '-')} calibration: {calibrator.reason}.",
                "Give calibration more edges (--split), more --folds, or name another --calibrator.",
            )
        )
    if decision.threshold_logit is None:
        found.append(Finding("decision", "warning", decision.reason or "", "Choose another rule with --decision."))
    elif decision.caution:
        found.append(
            Finding(
                "decision", "warning", f"{decision.rule} {decision.caution}", "Choose a rule that names its precision."
            )
        )
    return found
