"""Inference: what is done with a finished run: predict given pairs, list new links."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import DataError, OptionError, UnknownNode
from linkodds.links.database_tables import DatabaseTable
from linkodds.links.evidence import Evidence
from linkodds.links.link_files import notes_beside, partial_path, table_writer, way_of_partial
from linkodds.links.link_search import ALL_PAIRS, LinkSearch, NotExhaustive, Scope, list_partners
from linkodds.probability.decision import parse_rule
from linkodds.probability.deployment import Deployment
from linkodds.probability.expected_links import expected_links
from linkodds.reading.reading import read_pairs
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.inductive import NOT_GUARANTEED, WithNewNodes
from linkodds.runs.missing_links import MissingLinksAssumption, decision_of, held_out_of
from linkodds.runs.record import Run
from linkodds.search.pair_search import FoundPairs


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

    def refuse_blanks(self, source: NDArray[np.object_], target: NDArray[np.object_]) -> None:
        """Raise where a row is no pair of this graph.

        Raises:
            UnknownNode: an id that the graph does not have.
            DataError: a node with itself, or two nodes of one side.
        """
        for bad, error, why in (
            (self.is_unknown_id, UnknownNode, "an id that this graph does not have"),
            (self.is_inadmissible, DataError, "no pair of this graph: a node with itself, or two nodes of one side"),
        ):
            if bad.any():
                first = int(np.argmax(bad))
                raise error(
                    f"pair {first} ({source[first]!r}, {target[first]!r}): {why}. {int(bad.sum())} such pair(s) in all."
                )


def score_pairs(run: Run, source: Any, target: Any, deployment: Deployment) -> PairTable:
    """Logits and probabilities of pairs in the user's ids, in their order.

    Args:
        source: ids of the first ends, compared as text.
        target: ids of the second ends.
        deployment: the assumption about missing links.
    """
    space = run.split.space
    ends = [
        np.fromiter((run.index.get(str(name), run.index.get(str(name).strip(), -1)) for name in side), dtype=np.int64)
        for side in (source, target)
    ]
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
    run: Run, new: WithNewNodes, source: Any, target: Any, assumption: MissingLinksAssumption
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


def cold_start(run: Run, assumption: MissingLinksAssumption) -> Deployment:
    """The deployment for pairs with a node that has no edges: the graph's ratio, unless something else is stated."""
    if assumption != MissingLinksAssumption():
        return assumption.deployment(run)
    return MissingLinksAssumption(prevalence=run.evaluation.graph_ratio).deployment(run)


def about_new_nodes(run: Run, assumption: MissingLinksAssumption) -> str:
    """What is said beside the probabilities of pairs with new nodes."""
    if assumption != MissingLinksAssumption():
        return NOT_GUARANTEED
    return (
        f"{NOT_GUARANTEED} A new node without edges is taken to have links as often as pairs of this graph have an edge "
        f"({run.evaluation.graph_ratio:.3g}), since none of its links is recorded; one with edges as known "
        "nodes. --prevalence states it otherwise."
    )


def predict_run(
    run: Run,
    pairs: Any,
    out: Path | DatabaseTable,
    *,
    decision: str | None = None,
    assumption: MissingLinksAssumption = MissingLinksAssumption(),
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
    writer = table_writer(out, directed=run.split.space.directed)
    deployment = assumption.deployment(run)
    rule = decision_of(run, decision)
    source, target = read_pairs(pairs, ReadingOptions(query=query))
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
    assumption: MissingLinksAssumption = MissingLinksAssumption(),
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
    assumption: MissingLinksAssumption = MissingLinksAssumption(),
    per_node: int | None = None,
) -> LinkSummary:
    """Write the best links of new nodes; see `links_of_new_nodes`."""
    writer = table_writer(out, directed=run.split.space.directed)
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
    assumption: MissingLinksAssumption = MissingLinksAssumption(),
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
    writer = table_writer(out, directed=run.split.space.directed)
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
    with notes_beside(out, {"mode": "best", **vars(summary)}):
        writer(frame)
    return summary


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
