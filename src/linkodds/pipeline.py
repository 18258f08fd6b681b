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

from linkodds import __version__
from linkodds.calibration import Calibrator, fit_calibrator
from linkodds.checkpoint import Checkpoints, checkpoint_interval
from linkodds.config import BASELINES, FitConfig
from linkodds.contest import Contender, Contest, as_in_blocks
from linkodds.costs import Costs
from linkodds.decision import STANDARD_RULES, Decision, decide, parse_rule
from linkodds.doctor import constant_features, diagnose_run, order
from linkodds.evaluation import BaselineResult
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
from linkodds.selection import audit_entries, audit_rng
from linkodds.split import split_edges
from linkodds.training import TrainedModel, choose_device

Say = Callable[[str], None]
OnStart = Callable[[str, int, Sequence[Epoch]], None]

SAVED_NON_EDGES = 100_000
SAMPLE_SHARE = 20


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
        self.split = split_edges(graph, fractions=config.split, rng=np.random.default_rng(self.split_seed))
        recorded = self.split.recorded()
        if graph.space.num_pairs <= config.max_pairs:
            self.non_edges = NonEdges(recorded)
        else:
            count = min(config.max_pairs // SAMPLE_SHARE, recorded.num_absent)
            self.non_edges = draw_non_edges(recorded, max(count, 1), np.random.default_rng(self.sample_seed))
        parts = self.split
        excluded = np.concatenate([parts.train, parts.validation, parts.calibration])
        seen = np.concatenate([parts.validation, parts.calibration])
        self.classes = DegreeClasses.of(
            parts.train, graph.space, excluded=excluded, fifths_of=seen if len(seen) else parts.test
        )
        self.hash = parts.message_graph_hash()

    def run(self) -> Run:
        graph, split = self.graph, self.split
        self.say(
            f"{graph.num_nodes:,} nodes, {graph.num_edges:,} edges, {graph.space.num_pairs:,} pairs: "
            f"one edge for {graph.num_non_edges / graph.num_edges:,.0f} absent pairs; "
            f"{self.non_edges.num_scored:,} non-edges {'all enumerated' if self.non_edges.sample is None else 'sampled'}."
        )
        contest = Contest(
            split=split,
            features=self.features,
            config=self.config,
            non_edges=self.non_edges,
            classes=self.classes,
            seeds=self.train_seed,
            device=self.device,
            costs=self.costs,
            say=self.say,
            on_start=self.on_start,
            on_epoch=self.on_epoch,
            checkpoints=self.checkpoints,
        )
        contenders, winner, findings = contest.hold()
        winner, about_degrees = contest.with_degrees(winner, self.config.degree_calibration)
        findings += about_degrees
        trained = winner.trained
        self.say(f"calibrating and deciding on {len(split.calibration):,} edges")
        samples = contest.calibration_samples(winner)
        findings += contest.budget_findings
        num_test = len(split.test)
        prevalence = num_test / (num_test + self.non_edges.num_non_edges)
        with self.costs.stage("calibration"):
            calibrator = fit_calibrator(
                samples, prevalence=prevalence, odds_trained_at=winner.odds, choice=self.config.calibrator
            )
            rules = {str(rule): rule for rule in (*STANDARD_RULES, parse_rule(self.config.decision))}
            decisions = [decide(rule, samples, calibrator, num_test_edges=num_test) for rule in rules.values()]

        self.say(f"measuring on {num_test:,} test edges")
        with self.costs.stage("evaluation"):
            test = self.score(winner.scorer, split.test, decisions)
            evaluation = evaluate(
                test,
                calibrator,
                decisions,
                reciprocal_ranks=reciprocal_ranks(winner.scorer, split.test, split.recorded()),
                split=split,
                model={
                    "name": winner.name,
                    "num_parameters": 0 if trained is None else trained.num_parameters,
                    "epochs": 0 if trained is None else len(trained.history),
                    "degree_term": winner.degree_term and winner.degree_term.to_json(),
                },
                baselines={
                    name: BaselineResult(roc_auc(each.parts["test"]), average_precision(each.parts["test"]))
                    for name, each in contenders.items()
                    if name in BASELINES
                },
                findings=[*graph.findings, *self.findings, *findings],
                audit=audit_entries(test, audit_rng(self.config.seed)),
                rng=np.random.default_rng(self.saved_seed),
            ).to_json()
        history = history_columns(trained.history if trained else ())
        stored = next(each for each in decisions if each.rule == str(parse_rule(self.config.decision)))
        seen = diagnose_run(evaluation=evaluation, history=history, split=split, decision=stored.rule)
        evaluation["findings"] = [
            each.to_json()
            for each in order(
                [*seen, *_decision_findings(stored, calibrator), *graph.findings, *self.findings, *findings]
            )
        ]
        return Run(
            config=self.settings(winner)
            | ({} if self.config.time_budget is None else {"epochs_allowed": contest.epochs_allowed()}),
            model=winner.name,
            ids=graph.ids,
            split=split,
            scorer=winner.scorer,
            weights={} if trained is None else trained.weights,
            calibrator=calibrator,
            decision=stored,
            evaluation=evaluation,
            history=history,
            test=test,
            calibration=tuple(samples),
            predictions=self.predictions(winner.scorer, calibrator),
            cost=self.costs.stages,
        )

    def score(self, scorer: Scorer, edges: Any, decisions: Sequence[Decision]) -> HeldOut:
        thresholds = [each.threshold_logit for each in decisions if each.threshold_logit is not None]
        return HeldOut.from_scorer(
            scorer,
            edges,
            self.non_edges,
            classes=self.classes,
            thresholds=np.array(thresholds),
            message_graph_hash=self.hash,
            threads=self.config.threads,
        )

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
            facts |= {"model": winner.name, "degree_term": winner.degree_term and winner.degree_term.to_json()}
        if trained is not None:
            facts |= {
                "objective": trained.objective,
                "effective_odds": trained.effective_odds,
                "best_epoch": trained.best_epoch,
            }
        if isinstance(trained, TrainedModel):
            facts |= {
                "decoder": {"scale": trained.scorer.scale, "bias": trained.scorer.bias},
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
