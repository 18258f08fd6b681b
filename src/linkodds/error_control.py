"""Error control on a run: the audit on held-out edges, lists among unobserved pairs, and lists from a prior.

Three modes, which promise different things, so the caller has to choose:

    audit       on the held-out edges: of what is selected at alpha, how much is in the record
    masked      among pairs whose status nobody has looked at: on average at most alpha of the list is false, if the false
                ones among them were left unobserved at random
    discover    among all pairs without a recorded edge: expected, not guaranteed, since no pair is known to be no link
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.deployment import Deployment, longest_list, most_pairs, refuse_impossible_prior
from linkodds.errors import DataError, OptionError, UnknownNode
from linkodds.held_out import HeldOut
from linkodds.inference import Assumption, link_table
from linkodds.intervals import poisson_interval
from linkodds.link_files import table_writer
from linkodds.non_edge_scores import score_non_edges
from linkodds.non_edges import NonEdges, draw_non_edges
from linkodds.pairs import KnownPairs, Pairs
from linkodds.reading import read_pairs
from linkodds.record import Run
from linkodds.search import FoundPairs, find_pairs
from linkodds.selection import (
    SMALLEST_LIST,
    Audit,
    ErrorControl,
    PairCounts,
    Treatment,
    audit_rng,
    refuse_alpha,
)

MASKED_PROMISE = (
    "On average over repetitions at most a share {alpha:g} of such a list is false, if the false ones among the unobserved "
    "pairs were left unobserved at random (not by degree, interest or anything else that the model sees) and alpha was "
    "chosen before looking. Recorded zeros that are links after all make it more cautious."
)
DISCOVER_PROMISE = (
    "Model-based, not guaranteed: it rests on the number of missing links that is assumed, and on missing links looking "
    "like recorded ones."
)
AUDIT_PROMISE = (
    "Candidates are the test edges and half of the non-edges (all of them would hold about twice as many false ones at the "
    "same threshold); a pair counts as false if it is not in the record. At most a share {alpha:g} of the list is false on "
    "average over repetitions, not in each one; for an alpha chosen after looking it does not hold."
)
PICKED = 0.5
"""Unobserved pairs that look less false than this may have been picked by what the model sees."""
_SAMPLE_SHARE = 20


@dataclass(frozen=True)
class ControlledList:
    """What was written, and what may be said of it.

    Args:
        mode: "masked", "discover" or "precision".
        level: alpha, or the expected precision that was asked for.
        num_links: pairs in the file.
        expected_links: sum of their stated probabilities.
        promise: what holds, and under which condition.
        assumption: behind the stated probabilities.
        details: what else `--json` prints.
    """

    mode: str
    level: float
    num_links: int
    expected_links: float
    promise: str
    assumption: str
    details: dict[str, Any]


def audit_run(run: Run, alpha: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Select among the test edges and half of the non-edges at alpha, the other half being calibration nulls.

    The halves are those of evaluation.json. A run whose non-edges were sampled is scored again, all of them.

    Returns:
        The entry for alpha, as evaluation.json has it, and for each stored decision what its threshold, fixed before,
        selects among the same candidates, with a bound on its share of false pairs that holds with 90 % probability.
    Raises:
        OptionError: alpha is not between 0 and 1.
        InsufficientCalibration: at this alpha nothing could be selected, whatever the logits.
    """
    refuse_alpha(alpha)
    decisions = [each for each in run.evaluation["decisions"] if each["threshold_logit"] is not None]
    test = run.test
    if test.design != "enumerated":
        test = HeldOut.from_scorer(
            run.scorer,
            run.split.test,
            NonEdges(run.split.recorded()),
            thresholds=np.array([each["threshold_logit"] for each in decisions]),
            message_graph_hash=test.message_graph_hash,
            threads=run.config["options"]["threads"],
        )
    audit = Audit.of(test, audit_rng(run.config["options"]["seed"]))
    audit.control.require_nulls(alpha, audit.num_edges)
    fixed = [{"rule": each["rule"], **audit.at_fixed(each["threshold_logit"])} for each in decisions]
    return audit.entry(alpha), fixed


def find_masked(run: Run, unobserved: Any, out: Path, *, alpha: float, assumption: Assumption) -> ControlledList:
    """Write the unobserved pairs that can be listed at alpha, with their q-values; an empty list is an answer too.

    Calibration nulls are all other pairs without a recorded edge (a uniform sample of them where the graph has more pairs
    than --max-pairs). Both were zeros in training and are scored on the same message graph.

    Args:
        run: a finished run.
        unobserved: a file or table of pairs in the user's ids; a pair that is there twice counts once.
        out: .csv, .tsv or .parquet; written aside and renamed.
        alpha: accepted share of false pairs in the list, on average.
        assumption: behind the column of probabilities; the q-values do not rest on it.
    Raises:
        OptionError: alpha is not between 0 and 1.
        UnknownNode: an id that the graph does not have.
        DataError: a pair that the graph cannot have, or a recorded edge.
        InsufficientCalibration: too few other pairs for so many unobserved ones.
    """
    refuse_alpha(alpha)
    writer, deployment = table_writer(out), assumption.deployment(run)
    pairs, num_repeated = _unobserved_pairs(run, *read_pairs(unobserved))
    known = KnownPairs(run.split.space, np.concatenate([run.split.recorded().pairs, pairs]))
    if known.num_absent == 0:
        raise DataError(
            "every pair without a recorded edge is called unobserved, so no pair is left as calibration null; "
            "name only those whose status nobody has looked at."
        )
    # Logits as blocks hold them, so that a candidate and a null with one logit are tied.
    exact = run.scorer.logits(pairs)
    logits = exact.astype(np.float32).astype(np.float64)
    treatment = Treatment(run.split.message_graph_hash(), "zeros")
    thresholds = np.unique(logits)[::-1]
    options = run.config["options"]
    nulls = NonEdges(known)
    if run.split.space.num_pairs > options["max_pairs"]:
        count = min(max(options["max_pairs"] // _SAMPLE_SHARE, 1), known.num_absent)
        nulls = draw_non_edges(known, count, audit_rng(options["seed"]))
    scores = score_non_edges(run.scorer, nulls, anchors=thresholds, threads=options["threads"])
    control = ErrorControl(
        nulls=PairCounts.of_scores(scores, treatment), candidates=PairCounts.of(logits, thresholds, treatment)
    )
    control.require_nulls(alpha, SMALLEST_LIST)
    threshold = control.threshold(alpha)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -exact))
    chosen = order[: 0 if threshold is None else int(np.count_nonzero(logits >= threshold))]
    found = FoundPairs(pairs[chosen], exact[chosen])
    table = link_table(run, found, deployment, control.q_values(logits[chosen]))
    writer(table)
    return ControlledList(
        mode="masked",
        level=alpha,
        num_links=len(table),
        expected_links=float(table["probability"].sum()),
        promise=MASKED_PROMISE.format(alpha=alpha),
        assumption=deployment.assumption,
        details={
            "num_unobserved": len(pairs),
            "num_repeated": num_repeated,
            "num_nulls": control.nulls.num_pairs,
            "estimated_false_share": control.false_share(),
            "threshold_logit": threshold,
            "smallest_q_value": float(control.q_values().min()),
        },
    )


def find_expected(
    run: Run,
    out: Path,
    *,
    precision: float,
    mode: str,
    assumption: Assumption,
    on_block: Callable[[float], None] | None = None,
) -> ControlledList:
    """Write the longest list whose expected share of true links is at least `precision`, under a number of missing links.

    Args:
        run: a finished run.
        out: .csv, .tsv or .parquet; written aside and renamed.
        precision: in (0, 1); mode "discover" at alpha asks for 1 - alpha.
        mode: "discover" or "precision", for the summary.
        assumption: how many links are missing.
        on_block: called with the share of the search done.
    Raises:
        OptionError: precision is not between 0 and 1.
        UnkeptPromise: no list of 20 pairs is expected to be that precise, or the record rules the assumption out.
    """
    if not 0 < precision < 1:
        raise OptionError(f"--precision takes a share between 0 and 1, such as 0.9, not {precision}.")
    writer, deployment = table_writer(out), assumption.deployment(run)
    refuse_impossible_prior(deployment)
    _, threshold = most_pairs(run.test.non_edges, deployment, precision)
    found = find_pairs(run.scorer, run.split.recorded(), threshold=threshold, on_block=on_block)
    length = longest_list(found.logits, deployment, precision)
    table = link_table(run, FoundPairs(found.pairs[:length], found.logits[:length]), deployment)
    writer(table)
    return ControlledList(
        mode=mode,
        level=1 - precision if mode == "discover" else precision,
        num_links=length,
        expected_links=float(table["probability"].sum()),
        promise=DISCOVER_PROMISE,
        assumption=deployment.assumption,
        details={
            "guaranteed": False,
            "expected_precision": float(table["probability"].mean()),  # type: ignore[arg-type]
            "expected_precision_interval": _interval(run, table, float(found.logits[length - 1])),
            "num_missing": deployment.num_missing,
            "threshold_logit": float(found.logits[length - 1]),
            "sensitivity": _sensitivity(run, deployment, found.logits[:length], precision),
        },
    )


def _interval(run: Run, table: pl.DataFrame, lowest: float) -> list[float]:
    """95 % interval of the expected share, were the number of missing links right: it is as sure as the count of held-out
    edges that rank as high as the list. It leaves out that the longest list was chosen by these very counts."""
    share = float(table["probability"].mean())  # type: ignore[arg-type]
    count = sum(int((sample.edge_logits >= np.float32(lowest)).sum()) for sample in (run.calibration[0], run.test))
    low, high = poisson_interval(count)
    return [share * float(low) / max(count, 1), min(1.0, share * float(high) / max(count, 1))]


def _sensitivity(
    run: Run, deployment: Deployment, logits: NDArray[np.float64], precision: float
) -> list[dict[str, Any]]:
    """What becomes of the list should half or twice as many links be missing, and how long it would have been."""
    rows = []
    for factor in (0.5, 1.0, 2.0):
        other = replace(deployment, num_missing=factor * deployment.num_missing)
        rows.append(
            {
                "num_missing": other.num_missing,
                "expected_precision": float(other.probability(logits).mean()),
                "about_num_links": round(most_pairs(run.test.non_edges, other, precision)[0]),
            }
        )
    return rows


def _unobserved_pairs(run: Run, source: NDArray[np.object_], target: NDArray[np.object_]) -> tuple[Pairs, int]:
    """Distinct pairs by node index, canonical and in row order, and how many rows repeated one of them."""
    space = run.split.space
    ends = [np.fromiter((run.index.get(str(name), -1) for name in side), dtype=np.int64) for side in (source, target)]
    rows = np.column_stack(ends)
    _refuse_row(np.asarray((rows < 0).any(axis=1)), source, target, "an id that the graph does not have", UnknownNode)
    rows = space.canonical(rows)
    _refuse_row(~space.is_admissible(rows), source, target, "no pair of this graph", DataError)
    recorded = space.contains(run.split.recorded().pairs, rows)
    _refuse_row(recorded, source, target, "a recorded edge, and so not unobserved", DataError)
    keys, first = np.unique(space.keys(rows), return_index=True)
    if not len(keys):
        raise DataError("--unobserved names no pair.")
    return rows[first], len(rows) - len(keys)


def _refuse_row(
    bad: NDArray[np.bool_],
    source: NDArray[np.object_],
    target: NDArray[np.object_],
    what: str,
    error: type[DataError],
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise error(
            f"--unobserved, pair {row + 1}, {source[row]!r} and {target[row]!r}: {what} ({int(bad.sum()):,} of "
            f"{len(bad):,} pairs). Take these rows out."
        )
