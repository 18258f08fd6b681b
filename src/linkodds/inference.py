"""Inference: what is done with a finished run: restate its evaluation, predict given pairs, list new links."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.decision import Decision, decide, parse_rule
from linkodds.deployment import Deployment, assume_missing, fit_link_rate
from linkodds.doctor.run_rules import impossible_prior
from linkodds.errors import OptionError, RunError, UnkeptPromise
from linkodds.evaluation import Evaluation
from linkodds.findings import Finding
from linkodds.measuring import evaluate
from linkodds.pairs import Pairs
from linkodds.reading import read_pairs
from linkodds.record import Run, parquet_bytes
from linkodds.search import FoundPairs, find_pairs
from linkodds.split import PARTS, adjacency

NUM_NAMED_NEIGHBORS = 3


@dataclass(frozen=True)
class Assumption:
    """At most one of the three ways to say how many links are missing; none means as many as the test set held."""

    prevalence: float | None = None
    expected_missing: float | None = None
    label_frequency: float | None = None

    def deployment(self, run: Run) -> Deployment:
        """The run's probabilities under this assumption.

        Raises:
            OptionError: more than one, or out of range.
        """
        return assume_missing(
            fit_link_rate([run.calibration[0], run.test]),
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
    """How many links were written, how many of them are expected to be true, and under which assumption."""

    num_links: int
    expected_links: float
    assumption: str


def evaluate_run(run: Run, assumption: Assumption = Assumption()) -> dict[str, Any]:
    """The evaluation of a run as evaluation.json holds it; at the prevalence of an assumption, if one is made.

    Raises:
        OptionError: an assumption that is out of range.
    """
    if assumption == Assumption():
        return run.evaluation
    deployment = assumption.deployment(run)
    num_missing = deployment.num_missing
    # A stated prevalence is that of the candidates; a number of edges stands beside the non-edges, as the test edges do.
    prevalence = assumption.prevalence or num_missing / (num_missing + run.test.num_non_edges)
    measured = Evaluation.from_json(run.evaluation)
    restated = evaluate(
        run.test.at_prevalence(prevalence),
        run.calibrator.at_prevalence(prevalence),
        [each.decision for each in measured.decisions],
        reciprocal_ranks=None,
        split=run.split,
        model=measured.model,
        baselines={},
        findings=[*measured.findings, *_prior_findings(assumption, deployment)],
        rng=np.random.default_rng(run.config["options"]["seed"]),
    ).to_json()
    restated["metrics"]["mrr"] = run.evaluation["metrics"]["mrr"]  # ranks do not know the prevalence
    restated["candidates"] = {**run.evaluation["candidates"], "prevalence": prevalence}
    restated["restated"] = {"prevalence": prevalence, "from": run.evaluation["candidates"]["prevalence"]}
    return restated


def _prior_findings(assumption: Assumption, deployment: Deployment) -> list[Finding]:
    """D27: more missing links than the record allows. A stated prevalence may be that of other candidates, so it passes."""
    most = deployment.rate.most_missing
    if assumption.prevalence is not None:
        return []
    found = impossible_prior(deployment.num_missing, most)
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
        is_known: shape (pairs,): recorded edges.
        is_unknown_id: shape (pairs,): an id that the graph does not have.
        is_inadmissible: shape (pairs,): a node with itself, or two nodes of one side of a bipartite graph.
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
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
    logits, probabilities = np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    logits[usable] = run.scorer.logits(canonical[usable])
    probabilities[usable] = deployment.probability(logits[usable])
    known = np.zeros(len(pairs), dtype=np.bool_)
    known[usable] = space.contains(run.split.recorded().pairs, canonical[usable])
    return PairTable(logits, probabilities, known, unknown, inadmissible)


def predict_run(
    run: Run,
    pairs: Any,
    out: Path,
    *,
    decision: str | None = None,
    assumption: Assumption = Assumption(),
) -> PredictionSummary:
    """Write source, target, logit, probability, decision and known for the given pairs.

    Args:
        run: a finished run.
        pairs: a file or table of pairs in the user's ids.
        out: .csv, .tsv or .parquet; written aside and renamed.
        decision: a rule; None applies the one stored with the run.
        assumption: about missing links.
    """
    writer = table_writer(out)
    deployment = assumption.deployment(run)
    rule = decision_of(run, decision)
    source, target = read_pairs(pairs)
    table = score_pairs(run, source, target, deployment)
    blank = table.is_unknown_id | table.is_inadmissible

    def column(values: NDArray[Any]) -> pl.Series:
        return pl.Series(values.tolist()).set(pl.Series(blank), None) if len(values) else pl.Series(values)

    frame = pl.DataFrame(
        {
            "source": pl.Series(list(source), dtype=pl.String),
            "target": pl.Series(list(target), dtype=pl.String),
            "logit": column(table.logits),
            "probability": column(table.probabilities),
            "decision": column(rule.passes(table.logits).astype(np.int8)),
            "known": column(table.is_known.astype(np.int8)),
        }
    )
    writer(frame)
    return PredictionSummary(
        len(frame), int(table.is_unknown_id.sum()), int(table.is_inadmissible.sum()), deployment.assumption
    )


def find_run(
    run: Run,
    out: Path,
    *,
    top: int | None = None,
    decision: str | None = None,
    assumption: Assumption = Assumption(),
    on_block: Callable[[float], None] | None = None,
) -> LinkSummary:
    """Write the best new links: source, target, logit, probability, q_value and evidence.

    Args:
        run: a finished run.
        out: .csv, .tsv or .parquet; written aside and renamed.
        top: at most this many.
        decision: only pairs that pass this rule (`budget:K` lists exactly K).
        assumption: about missing links.
        on_block: called with the share of the search done.
    """
    writer = table_writer(out)
    deployment = assumption.deployment(run)
    frame = find_links(run, deployment, top=top, decision=decision, on_block=on_block)
    writer(frame)
    return LinkSummary(len(frame), float(frame["probability"].sum()), deployment.assumption)


def find_links(
    run: Run,
    deployment: Deployment,
    *,
    top: int | None = None,
    decision: str | None = None,
    on_block: Callable[[float], None] | None = None,
) -> pl.DataFrame:
    """The best pairs without a recorded edge, as `find_run` writes them; q_value is empty, since no pair of the record
    is known to be a true non-edge and so there is no valid null set."""
    threshold = None
    if decision is not None:
        rule = parse_rule(decision)
        if rule.name == "budget":
            top = min(int(rule.values[0]), top or int(rule.values[0]))
        else:
            threshold = decision_of(run, decision).threshold_logit
    found = find_pairs(run.scorer, run.split.recorded(), top=top, threshold=threshold, on_block=on_block)
    return link_table(run, found, deployment)


def link_table(
    run: Run, found: FoundPairs, deployment: Deployment, q_values: NDArray[np.float64] | None = None
) -> pl.DataFrame:
    """The table that `find` writes; q_value is empty where none are given, as there is no valid null set."""
    return pl.DataFrame(
        {
            "source": pl.Series(run.ids[found.pairs[:, 0]].tolist(), dtype=pl.String),
            "target": pl.Series(run.ids[found.pairs[:, 1]].tolist(), dtype=pl.String),
            "logit": found.logits,
            "probability": deployment.probability(found.logits),
            "q_value": pl.Series([None] * len(found.pairs) if q_values is None else q_values, dtype=pl.Float64),
            "evidence": pl.Series(evidence(run, found.pairs), dtype=pl.String),
        }
    )


def evidence(run: Run, pairs: Pairs) -> list[str]:
    """One line a pair on the recorded graph: shared neighbours, up to three of them named, and both degrees."""
    edges = run.split.recorded().pairs
    graph = adjacency(edges, run.split.space)
    neighbors = graph.maximum(graph.T).tocsr()
    degree = np.diff(neighbors.indptr)
    lines = []
    for u, v in pairs.tolist():
        first, second = (neighbors.indices[neighbors.indptr[i] : neighbors.indptr[i + 1]] for i in (u, v))
        shared = np.intersect1d(first, second)
        shared = shared[np.argsort(degree[shared], kind="stable")][:NUM_NAMED_NEIGHBORS] if len(shared) else shared
        total = int(np.isin(first, second).sum())
        names = ", ".join(str(run.ids[i]) for i in shared) + (", ..." if total > len(shared) else "")
        noun = "neighbour" if total == 1 else "neighbours"
        lines.append(f"{total} shared {noun}{f' ({names})' if total else ''}; degrees {degree[u]} and {degree[v]}")
    return lines


def table_writer(out: Path) -> Callable[[pl.DataFrame], None]:
    """What writes a table to `out` by its suffix, aside first and then renamed; what cannot work is refused at once.

    Raises:
        OptionError: a suffix that is no format.
        RunError: a directory of that name, or no directory to put the file in.
    """
    formats: dict[str, Callable[[pl.DataFrame], bytes]] = {
        ".csv": lambda table: _csv(table, ","),
        ".tsv": lambda table: _csv(table, "\t"),
        ".parquet": parquet_bytes,
    }
    if out.suffix.lower() not in formats:
        raise OptionError(f"--out {out}: the name ends in {out.suffix or 'no suffix'}; use .csv, .tsv or .parquet.")
    if out.is_dir():
        raise RunError(f"--out {out} is a directory; name a file.")
    if not out.parent.is_dir():
        raise RunError(f"--out {out}: there is no directory {out.parent}; make it first.")
    to_bytes = formats[out.suffix.lower()]

    def write(table: pl.DataFrame) -> None:
        partial = out.with_name(out.name + ".partial")
        try:
            partial.write_bytes(to_bytes(table))
            partial.replace(out)
        except OSError:
            if partial.is_file():
                partial.unlink()
            raise

    return write


def _csv(table: pl.DataFrame, separator: str) -> bytes:
    buffer = io.BytesIO()
    # A line that begins with a bare "#" reads as a comment, so an id that does is quoted.
    is_fragile = table["source"].str.starts_with("#").any()
    table.write_csv(buffer, separator=separator, quote_style="non_numeric" if is_fragile else "necessary")
    return buffer.getvalue()
