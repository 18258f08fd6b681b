"""Pipeline: read, split, hold the contest, calibrate, decide, evaluate, save."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import sklearn
import torch
from numpy.typing import NDArray

from linkodds import __version__
from linkodds.baselines import kept_features
from linkodds.calibration import Calibrator, fit_calibrator
from linkodds.checkpoint import Checkpoints, checkpoint_interval
from linkodds.config import BASELINES, FitConfig
from linkodds.contest import STACK, TRIED_BY_AUTO, Contender, Contest, as_in_blocks
from linkodds.costs import Costs
from linkodds.cross_fitting import choose_folds
from linkodds.decision import STANDARD_RULES, Decision, decide, parse_rule
from linkodds.doctor import ModelScores, conclude, constant_features, diagnose_run, scores_rng
from linkodds.errors import InvertedRanking, OptionError
from linkodds.evaluation import BaselineResult, Evaluation
from linkodds.features import Features
from linkodds.findings import Finding
from linkodds.graph import Graph
from linkodds.held_out import HeldOut
from linkodds.history import Epoch, history_columns, history_csv
from linkodds.measuring import evaluate
from linkodds.metrics import average_precision, roc_auc
from linkodds.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.propagation import choose_kernel
from linkodds.ranks import reciprocal_ranks
from linkodds.record import PartialRun, Run, at_path, write_inputs, write_results
from linkodds.report import write_report
from linkodds.resuming import Interrupted, find_interrupted, hash_of_features
from linkodds.scoring import Scorer
from linkodds.search import MAX_LINKS
from linkodds.selection import audit_entries, audit_rng
from linkodds.split import split_edges
from linkodds.strata import Strata, draw_strata
from linkodds.training import TrainedModel, choose_device

Say = Callable[[str], None]
OnStart = Callable[[str, int, Sequence[Epoch]], None]

SAVED_NON_EDGES = 100_000
SAMPLE_SHARE = 20
SEARCHED = 20
"""Times --max-pairs: up to so many pairs are searched once for the best by the final logits, to be a stratum."""
TOP_FACTOR = 10
"""So many of them for each test edge, at most a quarter of what is scored."""
_DESIGNS = {"enumerated": "all enumerated", "sampled": "sampled", "stratified": "from strata"}


@dataclass(frozen=True)
class ReadingOptions:
    """How to read the edge list; see `Graph.from_edges`."""

    nodes: Path | None = None
    source: str | None = None
    target: str | None = None
    header: bool | None = None
    delimiter: str | None = None
    directed: bool = False
    bipartite: bool | None = None
    features: Path | None = None


def fit_run(
    edges: Path,
    out: Path,
    config: FitConfig,
    *,
    reading: ReadingOptions = ReadingOptions(),
    force: bool = False,
    resume: bool = False,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Run:
    """The main job: an edge list in, a run directory out.

    While it trains, RUN.partial holds checkpoints. Ctrl-C (KeyboardInterrupt, which `on_epoch` may raise too) and
    failures leave it with the last complete epoch; bad input leaves nothing. A fit that was resumed ends in the same bytes
    as one that was not interrupted, but for cost.json and the seconds of history.csv, which are measured: cost.json
    counts the process that came to the end.

    Args:
        edges: any file that `Graph.from_edges` reads.
        out: RUN; written as RUN.partial and renamed when complete.
        config: all options of the fit.
        reading: how to read the file.
        force: replace an existing run.
        resume: go on with what an interrupted fit left in RUN.partial; from the beginning where it left nothing.
        progress: called with one line a stage.
        on_start: called as each training starts: its name, the most epochs it can take, and its history so far.
        on_epoch: called after every epoch.
    Raises:
        RunExists: RUN is there and `force` is False.
        OptionError: the interrupted fit had other options.
        DataError: it was of another graph, or this one cannot be used.
        BrokenRun: a checkpoint is damaged, or of another version of linkodds or torch.
    """
    left = find_interrupted(out) if resume else None
    if resume and left is None and progress is not None:
        progress(f"nothing to resume beside {out}: starting from the beginning.")
    partial = PartialRun(out, force=force, resume=left is not None)
    given = {"edges": str(edges)} | {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(reading).items()
        if value is not None and (name, value) != ("directed", False)
    }
    if left is not None:
        left.refuse_other_options(config.model_dump(mode="json"), given)
    costs = Costs()
    with costs.stage("reading"):
        graph = Graph.from_edges(
            edges,
            features=reading.features,
            nodes=reading.nodes,
            source=reading.source,
            target=reading.target,
            header=reading.header,
            delimiter=reading.delimiter,
            directed=reading.directed,
            bipartite=reading.bipartite,
            feature_scaling=config.feature_scaling,
        )
    return fit_graph(
        graph,
        config,
        reading=given,
        partial=partial,
        resumed=left,
        costs=costs,
        progress=progress,
        on_start=on_start,
        on_epoch=on_epoch,
    )


def fit_graph(
    graph: Graph,
    config: FitConfig,
    *,
    reading: Mapping[str, Any] | None = None,
    partial: PartialRun | None = None,
    resumed: Interrupted | None = None,
    costs: Costs | None = None,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Run:
    """Split, train, calibrate, decide and evaluate a graph; save the run if there is a place for it.

    Args:
        graph: what to learn.
        config: all options of the fit.
        reading: where the graph came from and how it was read, for config.yaml.
        partial: where to save; None keeps the run in memory.
        resumed: what an interrupted fit left in `partial`, to go on with.
        costs: what reading has cost already.
        progress: called with one line a stage.
        on_start: called as each training starts: its name, the most epochs it can take, and its history so far.
        on_epoch: called after every epoch.
    """
    say = progress or (lambda _: None)
    costs = costs or Costs()
    parse_rule(config.decision)  # refused before any work
    device = choose_device(config.device)
    for finding in graph.findings:
        say(finding.message)
    if resumed is not None:
        reading = resumed.reading  # where the files lay then, so that config.yaml stays what it is
    with _torch_threads(config.threads or (resumed.num_threads if resumed is not None else None)):
        fit = _Fit(graph, config, dict(reading or {}), device, costs, say, on_start, on_epoch)
        if partial is None:
            return fit.run()
        settings = fit.settings(None)
        if resumed is not None:
            resumed.refuse_other_fit(settings, graph.ids, fit.split, settings["graph"]["features_hash"])
        with partial:
            fit.checkpoints = Checkpoints(
                partial.checkpoints,
                checkpoint_interval(config.checkpoint_every, graph.space),
                lambda epochs: partial.write("history.csv", history_csv(history_columns(epochs))),
            )
            if resumed is None:
                write_inputs(partial, settings, graph.ids, fit.split)
            run = fit.run()
            write_results(partial, run)
            write_report(run, partial.path / "report.html")
            return at_path(run, partial.commit())


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def evaluate_models(
    graph: Graph,
    names: Sequence[str],
    config: FitConfig,
    *,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> dict[str, Evaluation | str]:
    """Every model and baseline on the one split that the seed of `config` gives, each calibrated and measured as in a fit.

    Args:
        graph: what to learn.
        names: of models; "auto" is what a fit would take: one of those it tries, or a baseline. All baselines are measured
            whether they are named or not.
        config: all options of the fit but `model`.
        progress: called with one line a stage.
        on_start: called as each training starts.
        on_epoch: called after every epoch.
    Returns:
        Name -> its evaluation, without the mean reciprocal rank; or the reason why it has none (an inverted ranking). The
        validation average precision is `model["validation_average_precision"]`, for "auto" `model["name"]` is who won.
    """
    parse_rule(config.decision)
    device = choose_device(config.device)
    with _torch_threads(config.threads):
        fit = _Fit(graph, config, {}, device, Costs(), progress or (lambda _: None), on_start, on_epoch)
        fit.announce()
        tried = TRIED_BY_AUTO if "auto" in names else ()
        contest = fit.contest(list(dict.fromkeys([*(name for name in names if name != "auto"), *tried])))
        contenders = contest.contenders()
        best = ""
        if "auto" in names:
            best = contest.best([each for each in contenders.values() if each.name in (*tried, *BASELINES)])[0].name
        result: dict[str, Evaluation | str] = {}
        for name, contender in contenders.items():
            if name not in (*names, *BASELINES, best):
                continue
            try:
                measured = fit.measured(contest, contender, contender.findings)
                with fit.costs.stage("evaluation"):
                    evaluation = fit.evaluated(measured, None, {})
            except InvertedRanking as error:
                result[name] = str(error)
                continue
            ap = measured.contender.validation_ap
            result[name] = replace(evaluation, model={**evaluation.model, "validation_average_precision": ap})
    return {"auto": result[best], **result} if best else result


@dataclass(frozen=True, eq=False)
class _Measured:
    """What came of a contender: as it is used, its calibration samples and calibrator, decisions, and the scored test edges."""

    contender: Contender
    calibration: tuple[HeldOut, ...]
    calibrator: Calibrator
    decisions: Sequence[Decision]
    test: HeldOut
    findings: Sequence[Finding]


class _Fit:
    """The stages of one fit, in order; `run` tells the story."""

    def __init__(
        self,
        graph: Graph,
        config: FitConfig,
        reading: dict[str, Any],
        device: torch.device,
        costs: Costs,
        say: Say,
        on_start: OnStart | None,
        on_epoch: Callable[[Epoch], None] | None,
    ) -> None:
        self.graph, self.config, self.reading, self.device, self.costs = graph, config, reading, device, costs
        self.say, self.on_start, self.on_epoch = say, on_start, on_epoch
        self.checkpoints: Checkpoints | None = None
        self.features, self.findings = _informative_features(graph)
        self.split_seed, self.train_seed, self.sample_seed, self.saved_seed = np.random.SeedSequence(config.seed).spawn(
            4
        )
        split = split_edges(graph, fractions=config.split, rng=np.random.default_rng(self.split_seed))
        if config.model == STACK and (config.folds or 1) > 1:
            raise OptionError("--folds averages models, and a mean of stacks is not saved yet; leave --folds out.")
        self.split = split.dealt(1 if config.model == STACK else choose_folds(config.folds, split))
        recorded = self.split.recorded()
        parts = self.split
        self.strata: Strata | None = None
        within = graph.space.num_pairs <= config.max_pairs
        design = ("enumerated" if within else "stratified") if config.design == "auto" else config.design
        count = max(min(config.max_pairs // SAMPLE_SHARE, recorded.num_absent), 1)
        rng = np.random.default_rng(self.sample_seed)
        if design == "stratified":
            self.strata = draw_strata(recorded, parts.train, count, rng)
            self.non_edges = self.strata.non_edges
        else:
            self.non_edges = NonEdges(recorded) if design == "enumerated" else draw_non_edges(recorded, count, rng)
        excluded = np.concatenate([parts.train, parts.validation, parts.calibration])
        seen = np.concatenate([parts.validation, parts.calibration])
        self.classes = DegreeClasses.of(
            parts.train, graph.space, excluded=excluded, fifths_of=seen if len(seen) else parts.test
        )
        self.hash = parts.message_graph_hash()

    def run(self) -> Run:
        self.announce()
        contest = self.contest()
        contenders, winner, findings = contest.hold()
        measured = self.measured(contest, winner, findings)
        winner, trained = measured.contender, measured.contender.trained
        baselines = {
            name: BaselineResult(roc_auc(each.parts["test"]), average_precision(each.parts["test"]))
            for name, each in (
                (name, contest.mean_baseline(contenders[name])) for name in BASELINES if name in contenders
            )
        }
        with self.costs.stage("evaluation"):
            ranks = reciprocal_ranks(winner.scorer, self.split.test, self.split.recorded())
            evaluation = self.evaluated(measured, ranks, baselines).to_json()
        history = history_columns(trained.history if trained else ())
        stored = next(each for each in measured.decisions if each.rule == str(parse_rule(self.config.decision)))
        embeddings = trained.scorer.source if isinstance(trained, TrainedModel) else None
        rng = scores_rng(self.config.seed)
        judged = ModelScores.of(winner.scorer, self.split, rng, embeddings=embeddings)
        seen = diagnose_run(
            evaluation=evaluation, history=history, split=self.split, decision=stored.rule, scores=judged
        )
        evaluation["findings"] = [
            each.to_json()
            for each in conclude([*seen, *_decision_findings(stored, measured.calibrator), *measured.findings])
        ]
        return Run(
            config=self.settings(winner)
            | ({} if self.config.time_budget is None else {"epochs_allowed": contest.epochs_allowed()}),
            model=winner.name,
            ids=self.graph.ids,
            split=self.split,
            scorer=winner.scorer,
            weights=winner.weights,
            calibrator=measured.calibrator,
            decision=stored,
            evaluation=evaluation,
            history=history,
            test=measured.test,
            calibration=measured.calibration,
            predictions=self.predictions(winner.scorer, measured.calibrator),
            cost=self.costs.stages,
            features=kept_features(self.graph.features),
        )

    def announce(self) -> None:
        graph = self.graph
        self.say(
            f"{graph.num_nodes:,} nodes, {graph.num_edges:,} edges, {graph.space.num_pairs:,} pairs: "
            f"one edge for {graph.num_non_edges / graph.num_edges:,.0f} absent pairs; "
            f"{self.non_edges.num_scored:,} non-edges {_DESIGNS[self.non_edges.design]}."
        )

    def contest(self, names: Sequence[str] = ()) -> Contest:
        return Contest(
            split=self.split,
            features=self.features,
            config=self.config,
            non_edges=self.non_edges,
            classes=self.classes,
            seeds=self.train_seed,
            device=self.device,
            costs=self.costs,
            say=self.say,
            names=tuple(names),
            on_start=self.on_start,
            on_epoch=self.on_epoch,
            checkpoints=self.checkpoints,
        )

    def measured(self, contest: Contest, winner: Contender, findings: Sequence[Finding]) -> "_Measured":
        """A contender of the first fold, made into what is used, calibrated, decided with and scored on test."""
        winner, folds = contest.mean_of_folds(winner)
        about_folds = contest.about_folds(winner, folds)
        winner, about_degrees = contest.with_degrees(winner, self.config.degree_calibration)
        calibration = contest.calibration_samples(winner, folds)
        self.say(f"calibrating and deciding on {calibration[0].num_edges:,} edges")
        num_test = len(self.split.test)
        prevalence = num_test / (num_test + self.non_edges.num_non_edges)
        with self.costs.stage("calibration"):
            calibrator = fit_calibrator(
                calibration[:1], prevalence=prevalence, odds_trained_at=winner.odds, choice=self.config.calibrator
            )
            rules = {str(rule): rule for rule in (*STANDARD_RULES, parse_rule(self.config.decision))}
            decisions = [decide(rule, calibration, calibrator, num_test_edges=num_test) for rule in rules.values()]
        self.say(f"measuring on {num_test:,} test edges")
        with self.costs.stage("evaluation"):
            test = self.score(winner.scorer, self.split.test, decisions)
        said = [*self.graph.findings, *self.findings, *findings, *about_folds, *about_degrees]
        return _Measured(winner, calibration, calibrator, decisions, test, [*said, *contest.budget_findings])

    def evaluated(
        self, measured: "_Measured", ranks: NDArray[np.float64] | None, baselines: Mapping[str, BaselineResult]
    ) -> Evaluation:
        winner, trained = measured.contender, measured.contender.trained
        return evaluate(
            measured.test,
            measured.calibrator,
            measured.decisions,
            reciprocal_ranks=ranks,
            split=self.split,
            model={
                "name": winner.name,
                "num_parameters": 0 if trained is None else trained.num_parameters,
                "epochs": 0 if trained is None else len(trained.history),
                "folds": self.split.folds,
                "degree_term": winner.degree_term and winner.degree_term.to_json(),
            },
            baselines=baselines,
            findings=measured.findings,
            audit=audit_entries(measured.test, audit_rng(self.config.seed)),
            rng=np.random.default_rng(self.saved_seed),
        )

    def score(self, scorer: Scorer, edges: Any, decisions: Sequence[Decision]) -> HeldOut:
        thresholds = [each.threshold_logit for each in decisions if each.threshold_logit is not None]
        return HeldOut.from_scorer(
            scorer,
            edges,
            self.non_edges_of(scorer, len(edges)),
            classes=self.classes,
            thresholds=np.array(thresholds),
            message_graph_hash=self.hash,
            threads=self.config.threads,
        )

    def non_edges_of(self, scorer: Scorer, num_edges: int) -> NonEdges:
        """Those that everybody is measured on; of strata also the best by this scorer, where a search can be afforded."""
        count = self.non_edges.num_scored
        if self.strata is None or self.graph.space.num_pairs > SEARCHED * self.config.max_pairs:
            return self.non_edges
        return self.strata.with_top(scorer, max(min(TOP_FACTOR * num_edges, count // 4, MAX_LINKS), 1))

    def predictions(self, scorer: Scorer, calibrator: Calibrator) -> pl.DataFrame:
        """Test edges, and all non-edges where they are few, else a uniform sample weighted up to their number."""
        recorded = self.split.recorded()
        count = min(SAVED_NON_EDGES, recorded.num_absent)
        sample = draw_non_edges(recorded, count, np.random.default_rng(self.saved_seed)).sample
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
                "weight": np.repeat([1.0, recorded.num_absent / count], [num_edges, count]),
            }
        )

    def settings(self, winner: Contender | None) -> dict[str, Any]:
        """What config.yaml holds: options as given and as resolved, versions, and facts for whoever opens the run."""
        graph, trained = self.graph, winner.trained if winner else None
        facts: dict[str, Any] = {
            "format": "linkodds.run/1",
            "versions": {
                "linkodds": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
                "polars": pl.__version__,
            },
            "reading": self.reading,
            "options": self.config.model_dump(mode="json"),
            "graph": {
                "directed": graph.space.directed,
                "sides": list(graph.space.sides) if graph.space.sides else None,
                "feature_scaling": self.features.scaling if self.features else None,
                "features_hash": hash_of_features(self.features),
            },
            "message_graph_hash": self.hash,
            "device": self.device.type,
            "num_threads": torch.get_num_threads(),
        }
        if winner is not None:
            facts |= {
                "model": winner.name,
                "folds": self.split.folds,
                "degree_term": winner.degree_term and winner.degree_term.to_json(),
            }
        if trained is not None:
            as_given, taken = (
                each.model_dump(mode="json") for each in (self.config, self.config.of_model(trained.name))
            )
            facts |= {
                "options_of_model": {name: value for name, value in taken.items() if value != as_given[name]},
                "objective": trained.objective,
                "effective_odds": trained.effective_odds,
                "best_epoch": trained.best_epoch,
            }
        if isinstance(trained, TrainedModel):
            facts |= {
                "weight_decay": trained.weight_decay,
                "uses_features": trained.uses_features,
                "decoder": {
                    "scale": trained.scorer.scale,
                    "bias": trained.scorer.bias,
                    "num_negative_dimensions": trained.scorer.num_negative,
                },
                "propagation": choose_kernel(self.device, torch.float32),
            }
        return facts


def _informative_features(graph: Graph) -> tuple[Features | None, list[Finding]]:
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
