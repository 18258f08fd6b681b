"""Inference: what is done with a finished run: restate its evaluation, predict given pairs, list new links."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.database_tables import DatabaseTable
from linkodds.decision import Decision, decide, parse_rule
from linkodds.deployment import Assumed, Deployment, assume_missing, assumed_value, fit_link_rate
from linkodds.doctor.run_rules import impossible_prior
from linkodds.errors import OptionError, UnkeptPromise
from linkodds.evaluation import Evaluation
from linkodds.evidence import Evidence
from linkodds.expectation import expected_links
from linkodds.findings import Finding
from linkodds.held_out import HeldOut
from linkodds.inductive import NOT_GUARANTEED, WithNewNodes
from linkodds.link_files import partial_path, table_writer, way_of_partial, write_notes
from linkodds.listing import ALL_PAIRS, LinkSearch, NotExhaustive, Scope, list_partners
from linkodds.measuring import evaluate
from linkodds.reading import read_pairs
from linkodds.record import Run
from linkodds.search import FoundPairs
from linkodds.split import PARTS


@dataclass(frozen=True)
class Assumption:
    """At most one of the three ways to say how many links are missing, as a number or as an interval (low, high).

    None of them means as many as the test set held.
    """

    prevalence: Assumed | None = None
    expected_missing: Assumed | None = None
    label_frequency: Assumed | None = None

    @staticmethod
    def from_text(prevalence: str | None, expected_missing: str | None, label_frequency: str | None) -> "Assumption":
        """The options as they are typed: a number, or LOW:HIGH.

        Raises:
            OptionError: text that is neither.
        """
        given = {"prevalence": prevalence, "expected_missing": expected_missing, "label_frequency": label_frequency}
        return Assumption(
            **{
                name: assumed_value(f"--{name.replace('_', '-')}", text)
                for name, text in given.items()
                if text is not None
            }
        )

    def deployment(self, run: Run) -> Deployment:
        """The run's probabilities under this assumption.

        Raises:
            OptionError: more than one, or out of range.
        """
        return assume_missing(
            fit_link_rate(held_out_of(run)),
            num_non_edges=run.split.recorded().num_absent,
            num_test_edges=len(run.split.test),
            num_edges=sum(len(getattr(run.split, part)) for part in PARTS),
            prevalence=self.prevalence,
            expected_missing=self.expected_missing,
            label_frequency=self.label_frequency,
        )


@dataclass(frozen=True)
class PredictionSummary:
    """How many rows were written, and how many of them are empty and why."""

    num_rows: int
    num_unknown: int
    num_inadmissible: int
    assumption: str


@dataclass(frozen=True)
class LinkSummary:
    """How many links were written, how many of them are expected to be true, under which assumption, and how they were found.

    `expected_links_interval` holds the number of true links with 95 % probability, were the assumption right, and
    is None for links of new nodes, on which nothing was measured;
    `expected_links_band` are the expectations at both ends of an interval, where one is assumed. `search` is None for lists
    of partners.
    """

    num_links: int
    expected_links: float
    assumption: str
    expected_links_interval: tuple[float, float] | None
    expected_links_band: tuple[float, float] | None = None
    search: dict[str, Any] | None = None
    search_sentence: str | None = None


def evaluate_run(run: Run, assumption: Assumption = Assumption()) -> dict[str, Any]:
    """The evaluation of a run as evaluation.json holds it; at the prevalence of an assumption, if one is made.

    Under an interval every figure is at the geometric mean, and its `band` holds the values at both ends, the smaller
    first; `low` and `high` stay what the test edges leave open at the mean. `restated` says what was assumed, and what the
    lists of new links that the decisions make would be worth.

    Raises:
        OptionError: an assumption that is out of range.
    """
    if assumption == Assumption():
        return run.evaluation
    deployment = assumption.deployment(run)
    # A stated prevalence is that of the candidates; a number of edges stands beside the non-edges, as the test edges do.
    others = 0.0 if assumption.prevalence is not None else 1.0

    def prevalence_of(num_missing: float) -> float:
        return num_missing / (run.test.num_non_edges + others * num_missing)

    prevalence = prevalence_of(deployment.num_missing)
    restated = _restated(run, prevalence, _prior_findings(assumption, deployment))
    said: dict[str, Any] = {
        "prevalence": prevalence,
        "from": run.evaluation["candidates"]["prevalence"],
        "num_missing": deployment.num_missing,
        "assumption": deployment.assumption,
        "new_links": [_new_links(run, deployment, each) for each in run.evaluation["decisions"]],
    }
    if deployment.band is not None:
        ends = [prevalence_of(end) for end in deployment.band]
        said["band"] = {"prevalence": ends, "num_missing": list(deployment.band)}
        low, high = (_restated(run, end, []) for end in ends)
        _add_bands(restated["metrics"], low["metrics"], high["metrics"])
        for each in zip(restated["decisions"], low["decisions"], high["decisions"], strict=True):
            _add_bands(*each)
    return {**restated, "restated": said}


def _restated(run: Run, prevalence: float, findings: list[Finding]) -> dict[str, Any]:
    """All figures as if edges had been held out until they make up `prevalence` of the candidates."""
    measured = Evaluation.from_json(run.evaluation)
    restated = evaluate(
        run.test.at_prevalence(prevalence),
        run.calibrator.at_prevalence(prevalence),
        [each.decision for each in measured.decisions],
        reciprocal_ranks=None,
        split=run.split,
        model=measured.model,
        baselines={},
        findings=[*measured.findings, *findings],
        rng=np.random.default_rng(run.config["options"]["seed"]),
    ).to_json()
    restated["metrics"]["mrr"] = run.evaluation["metrics"]["mrr"]  # ranks do not know the prevalence
    restated["candidates"] = {**run.evaluation["candidates"], "prevalence": prevalence}
    return restated


def _add_bands(quantities: dict[str, Any], low: dict[str, Any], high: dict[str, Any]) -> None:
    """Give every measured quantity the values that it has at both ends of an interval."""
    for name, quantity in quantities.items():
        if isinstance(quantity, dict) and quantity.get("value") is not None:
            ends = [end[name].get("value") for end in (low, high)]
            quantities[name] = {**quantity, "band": None if None in ends else sorted(ends)}


def _new_links(run: Run, deployment: Deployment, decision: dict[str, Any]) -> dict[str, Any]:
    """How many pairs without an edge pass a decision, and the mean of their probabilities.

    That is precision against reality: the missing links are among these pairs, while the figures of the rehearsal are
    against the record and count a missing link as an error.
    """
    row = {"rule": decision["rule"], "num_pairs": 0.0, "expected_precision": None}
    threshold = decision["threshold_logit"]
    if threshold is None:
        return {**row, "reason": decision["reason"]}
    logits, weights = run.test.non_edges.bins.points()
    passing = logits >= threshold
    if not passing.any():
        return {**row, "reason": "no pair without an edge passes"}
    logits, weights = logits[passing], weights[passing]
    row |= {"num_pairs": run.test.non_edges.num_at_least(threshold)}
    row |= {"expected_precision": float(np.average(deployment.probability(logits), weights=weights))}
    bounds = deployment.bounds(logits)
    if bounds is not None:
        row |= {"band": [float(np.average(end, weights=weights)) for end in bounds]}
    return row


def _prior_findings(assumption: Assumption, deployment: Deployment) -> list[Finding]:
    """D27: more missing links than the record allows. A stated prevalence may be that of other candidates, so it passes."""
    most = deployment.rate.most_missing
    if assumption.prevalence is not None:
        return []
    found = impossible_prior(deployment.num_missing if deployment.band is None else deployment.band[1], most)
    return [] if found is None else [found]


def decision_of(run: Run, rule: str | None) -> Decision:
    """The stored decision, or the one that another rule gives on the calibration edges.

    Raises:
        OptionError: no such rule.
        UnkeptPromise: a rule whose promise the calibration edges cannot keep.
    """
    if rule is None:
        decision = run.decision
    else:
        decision = decide(parse_rule(rule), run.calibration, run.calibrator, num_test_edges=len(run.split.test))
    if decision.threshold_logit is None:
        raise UnkeptPromise(f"{decision.rule}: {decision.reason}")
    return decision


@dataclass(frozen=True, eq=False)
class PairTable:
    """Given pairs in the order given; rows that are no pair of this graph have logit and probability NaN.

    Args:
        logits: shape (pairs,), float64.
        probabilities: shape (pairs,), float64.
        bounds: the probabilities at both ends of an assumed interval, shape (pairs,) each; None without one.
        is_known: shape (pairs,): recorded edges.
        is_unknown_id: shape (pairs,): an id that the graph does not have.
        is_inadmissible: shape (pairs,): a node with itself, or two nodes of one side of a bipartite graph.
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    is_known: NDArray[np.bool_]
    is_unknown_id: NDArray[np.bool_]
    is_inadmissible: NDArray[np.bool_]


def score_pairs(run: Run, source: Any, target: Any, deployment: Deployment) -> PairTable:
    """Logits and probabilities of pairs in the user's ids, in their order.

    Args:
        source: ids of the first ends, compared as text.
        target: ids of the second ends.
        deployment: the assumption about missing links.
    """
    space = run.split.space
    ends = [np.fromiter((run.index.get(str(name), -1) for name in side), dtype=np.int64) for side in (source, target)]
    pairs = np.column_stack(ends)
    unknown = np.asarray((pairs < 0).any(axis=1))
    canonical = space.canonical(pairs)
    inadmissible = ~unknown & ~space.is_admissible(canonical)
    usable = ~unknown & ~inadmissible
    logits = np.full(len(pairs), np.nan)
    logits[usable] = run.scorer.logits(canonical[usable])
    probabilities, bounds = deployment.probability(logits), deployment.bounds(logits)
    known = np.zeros(len(pairs), dtype=np.bool_)
    known[usable] = run.recorded.contains(canonical[usable])
    return PairTable(logits, probabilities, bounds, known, unknown, inadmissible)


def score_new_pairs(
    run: Run, new: WithNewNodes, source: Any, target: Any, assumption: Assumption
) -> tuple[PairTable, NDArray[np.bool_]]:
    """As `score_pairs`, of pairs that may name new nodes.

    Without a stated assumption a pair with a new node that has no edges is taken to be a link as often as any pair of the
    graph has an edge, since none of that node's links is recorded; other pairs as those of known nodes.

    Args:
        run: a finished run.
        new: see `with_new_nodes`.
        source: ids of the first ends, compared as text.
        target: ids of the second ends.
        assumption: about missing links.
    Returns:
        The table, and which pairs have a new node, shape (pairs,).
    """
    ends = [np.fromiter((new.index.get(str(name), -1) for name in side), dtype=np.int64) for side in (source, target)]
    pairs = new.space.canonical(np.column_stack(ends))
    unknown = np.asarray((pairs < 0).any(axis=1))
    inadmissible = ~unknown & ~new.is_admissible(np.maximum(pairs, 0))
    usable = ~unknown & ~inadmissible
    logits = np.full(len(pairs), np.nan)
    logits[usable] = new.logits(pairs[usable])
    deployment, cold = assumption.deployment(run), cold_start(run, assumption)
    probabilities, bounds = deployment.probability(logits), deployment.bounds(logits)
    is_cold = ~new.has_edges[pairs].all(axis=1)
    probabilities = np.where(is_cold, cold.probability(logits), probabilities)
    known = np.zeros(len(pairs), dtype=np.bool_)
    known[usable] = new.is_recorded(pairs[usable])
    table = PairTable(logits, probabilities, bounds, known, unknown, inadmissible)
    return table, np.asarray((pairs >= new.num_known).any(axis=1))


def cold_start(run: Run, assumption: Assumption) -> Deployment:
    """The deployment for pairs with a node that has no edges: the graph's ratio, unless something else is stated."""
    if assumption != Assumption():
        return assumption.deployment(run)
    graph = run.evaluation["graph"]
    return Assumption(prevalence=graph["num_edges"] / graph["num_pairs"]).deployment(run)


def about_new_nodes(run: Run, assumption: Assumption) -> str:
    """What is said beside the probabilities of pairs with new nodes."""
    if assumption != Assumption():
        return NOT_GUARANTEED
    graph = run.evaluation["graph"]
    return (
        f"{NOT_GUARANTEED} A new node without edges is taken to have links as often as pairs of this graph have an edge "
        f"({graph['num_edges'] / graph['num_pairs']:.3g}), since none of its links is recorded; one with edges as known "
        "nodes. --prevalence states it otherwise."
    )


def predict_run(
    run: Run,
    pairs: Any,
    out: Path | DatabaseTable,
    *,
    decision: str | None = None,
    assumption: Assumption = Assumption(),
    new: WithNewNodes | None = None,
    query: str | None = None,
) -> PredictionSummary:
    """Write source, target, logit, probability, decision and known for the given pairs.

    Under an assumed interval probability_low and probability_high stand beside probability. The decision is the same
    whatever is assumed: its threshold was fixed in the rehearsal.

    Args:
        run: a finished run.
        pairs: a file, a table or the URL of a database: pairs in the user's ids.
        out: .csv, .tsv or .parquet, written aside and renamed; or a table of a database.
        decision: a rule; None applies the one stored with the run.
        assumption: about missing links.
        new: nodes that pairs may name beside those of the run; a column `new` then says which pairs do.
        query: the SELECT that gives the pairs, where they are in a database.
    """
    writer = table_writer(out)
    deployment = assumption.deployment(run)
    rule = decision_of(run, decision)
    source, target = read_pairs(pairs, query=query)
    said, columns = deployment.assumption, {}
    if new is None:
        table = score_pairs(run, source, target, deployment)
    else:
        table, has_new = score_new_pairs(run, new, source, target, assumption)
        said, columns = f"{said} {about_new_nodes(run, assumption)}", {"new": has_new.astype(np.int8)}
    blank = table.is_unknown_id | table.is_inadmissible

    def column(values: NDArray[Any]) -> pl.Series:
        return pl.Series(values.tolist()).set(pl.Series(blank), None) if len(values) else pl.Series(values)

    frame = pl.DataFrame(
        {
            "source": pl.Series(list(source), dtype=pl.String),
            "target": pl.Series(list(target), dtype=pl.String),
            "logit": column(table.logits),
            "probability": column(table.probabilities),
            **{name: column(values) for name, values in _band_columns(table.bounds).items()},
            "decision": column(rule.passes(table.logits).astype(np.int8)),
            "known": column(table.is_known.astype(np.int8)),
            **{name: column(values) for name, values in columns.items()},
        }
    )
    writer(frame)
    return PredictionSummary(len(frame), int(table.is_unknown_id.sum()), int(table.is_inadmissible.sum()), said)


def links_of_new_nodes(
    run: Run,
    new: WithNewNodes,
    assumption: Assumption = Assumption(),
    *,
    top: int | None = 100,
    decision: str | None = None,
    per_node: int | None = None,
) -> pl.DataFrame:
    """The best pairs of new nodes with any other, as `find_links` has them; evidence says how many edges each end has.

    Args:
        run: a finished run.
        new: see `with_new_nodes`.
        assumption: about missing links.
        top: at most this many; None: all that pass.
        decision: only pairs that pass this rule.
        per_node: the best of each new node, instead of the best of all.
    """
    top, threshold = _limits(run, top, decision)
    found = new.find_links(top=top, threshold=threshold, per_node=per_node)
    source, target = (new.ids[found.pairs[:, end]] for end in (0, 1))
    table, _ = score_new_pairs(run, new, source, target, assumption)
    degrees = np.bincount(new.recorded.ravel(), minlength=len(new.ids))
    names = np.where(np.arange(len(new.ids)) < new.num_known, "known", "new")
    evidence_of = [
        f"{names[u]} node with {degrees[u]} edges and {names[v]} node with {degrees[v]}"
        for u, v in found.pairs.tolist()
    ]
    return pl.DataFrame(
        {
            "source": pl.Series(source.tolist(), dtype=pl.String),
            "target": pl.Series(target.tolist(), dtype=pl.String),
            "logit": found.logits,
            "probability": table.probabilities,
            **_band_columns(table.bounds),
            "q_value": pl.Series([None] * len(source), dtype=pl.Float64),
            "evidence": pl.Series(evidence_of, dtype=pl.String),
        }
    )


def find_run_of_new_nodes(
    run: Run,
    new: WithNewNodes,
    out: Path | DatabaseTable,
    *,
    top: int | None = None,
    decision: str | None = None,
    assumption: Assumption = Assumption(),
    per_node: int | None = None,
) -> LinkSummary:
    """Write the best links of new nodes; see `links_of_new_nodes`."""
    writer = table_writer(out)
    frame = links_of_new_nodes(run, new, assumption, top=top, decision=decision, per_node=per_node)
    writer(frame)
    said = f"{assumption.deployment(run).assumption} {about_new_nodes(run, assumption)}"
    return LinkSummary(len(frame), float(frame["probability"].sum()), said, None, expected_band(frame))


def find_run(
    run: Run,
    out: Path | DatabaseTable,
    *,
    top: int | None = None,
    decision: str | None = None,
    assumption: Assumption = Assumption(),
    scope: Scope = ALL_PAIRS,
    search: str = "auto",
    resume: bool = False,
    on_start: Callable[[str], None] | None = None,
    on_block: Callable[[float], None] | None = None,
) -> LinkSummary:
    """Write the best new links: source, target, logit, probability, q_value and evidence; and to `out`.json what it rests on.

    While it runs, and if it is interrupted, `out`.partial holds the best so far, as CSV, and says so in its first line.
    Beside a table of a database there is neither.

    Args:
        run: a finished run.
        out: .csv, .tsv, .parquet, .jsonl or .graphml, written aside and renamed; or a table of a database.
        top: at most this many.
        decision: only pairs that pass this rule (`budget:K` lists exactly K).
        assumption: about missing links.
        scope: where to look.
        search: "auto", "exhaustive" or "candidates", as for `LinkSearch`.
        resume: go on from `out`.partial.
        on_start: called with what the search will take at most.
        on_block: called with the share of the search done.
    """
    writer = table_writer(out)
    partial = partial_path(out) if isinstance(out, Path) else None
    if resume and partial is None:
        raise OptionError("--resume goes on from a FILE.partial; a search for a table starts anew, so leave it out.")
    deployment = assumption.deployment(run)
    top, threshold = _limits(run, top, decision)
    searched = None
    if scope.per_node is not None:
        found = list_partners(
            run,
            scope,
            top,
            threshold,
            on_block,
            partial=partial,
            to_table=lambda so_far: link_table(run, so_far, deployment),
            resume=resume,
        )
    else:
        way = way_of_partial(partial) if resume and partial is not None else search
        looking = LinkSearch(run, scope, top=top, threshold=threshold, way=way)
        if resume and partial is not None:
            looking.resume(partial)
        if on_start is not None:
            on_start(looking.announcement())
        found = looking.run_to_end(partial, lambda so_far: link_table(run, so_far, deployment), on_block)
        searched = looking.searched(found)
    frame = link_table(run, found, deployment)
    expected = expected_links(held_out_of(run), deployment, found.logits)
    summary = LinkSummary(
        len(frame),
        expected.value,
        deployment.assumption,
        (expected.low, expected.high),
        expected_band(frame),
        None if searched is None else searched.to_json(),
        None if searched is None else searched.sentence(),
    )
    if isinstance(out, Path):
        write_notes(out, {"mode": "best", **vars(summary)})
    writer(frame)
    return summary


def held_out_of(run: Run) -> list[HeldOut]:
    """The held-out edges that the rates of links are counted from."""
    return [run.calibration[0], run.test]


def find_links(
    run: Run,
    deployment: Deployment,
    *,
    top: int | None = None,
    decision: str | None = None,
    scope: Scope = ALL_PAIRS,
    search: str = "auto",
    on_block: Callable[[float], None] | None = None,
) -> pl.DataFrame:
    """The best pairs without a recorded edge, as `find_run` writes them; q_value is empty, since no pair of the record
    is known to be a true non-edge and so there is no valid null set."""
    top, threshold = _limits(run, top, decision)
    if scope.per_node is not None:
        return link_table(run, list_partners(run, scope, top, threshold, on_block), deployment)
    looking = LinkSearch(run, scope, top=top, threshold=threshold, way=search)
    found = looking.run_to_end(None, None, on_block)
    if (searched := looking.searched(found)).recall is not None:
        warnings.warn(searched.sentence(), NotExhaustive, stacklevel=2)
    return link_table(run, found, deployment)


def _limits(run: Run, top: int | None, decision: str | None) -> tuple[int | None, float | None]:
    """How many links at most, and the smallest logit."""
    if decision is None:
        return top, None
    rule = parse_rule(decision)
    if rule.name == "budget":
        return min(int(rule.values[0]), top or int(rule.values[0])), None
    return top, decision_of(run, decision).threshold_logit


def link_table(
    run: Run, found: FoundPairs, deployment: Deployment, q_values: NDArray[np.float64] | None = None
) -> pl.DataFrame:
    """The table that `find` writes; q_value is empty where none are given, as there is no valid null set.

    Under an assumed interval probability_low and probability_high stand beside probability.
    """
    return pl.DataFrame(
        {
            "source": pl.Series(run.ids[found.pairs[:, 0]].tolist(), dtype=pl.String),
            "target": pl.Series(run.ids[found.pairs[:, 1]].tolist(), dtype=pl.String),
            "logit": found.logits,
            "probability": deployment.probability(found.logits),
            **_band_columns(deployment.bounds(found.logits)),
            "q_value": pl.Series([None] * len(found.pairs) if q_values is None else q_values, dtype=pl.Float64),
            "evidence": pl.Series(
                Evidence(run.ids, run.split, run.scorer, run.feature_cosines).lines(found.pairs),
                dtype=pl.String,
            ),
        }
    )


def _band_columns(
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
) -> dict[str, NDArray[np.float64]]:
    return {} if bounds is None else {"probability_low": bounds[0], "probability_high": bounds[1]}


def expected_band(table: pl.DataFrame) -> tuple[float, float] | None:
    """Expected true links of a table at both ends of an assumed interval; None without one."""
    if "probability_low" not in table.columns:
        return None
    return float(table["probability_low"].sum()), float(table["probability_high"].sum())
