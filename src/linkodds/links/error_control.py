"""Error control on a run: the audit on held-out edges, lists among unobserved pairs, and lists from a prior.

Three modes, which promise different things, so the caller has to choose:

    audit       on the held-out edges: of what is selected at alpha, how much is in the record
    masked      among pairs whose status nobody has looked at: on average at most alpha of the list is false, if the false
                ones among them were left unobserved at random
    discover    among all pairs without a recorded edge: expected, not guaranteed, since no pair is known to be no link
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import DataError, OptionError, UnknownNode
from linkodds.links.inference import expected_band, link_table
from linkodds.links.link_request import LinkRequest
from linkodds.links.link_search import ALL_PAIRS, LinkSearch, Scope, SearchSummary
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import poisson_interval
from linkodds.metrics.non_edge_scores import score_non_edges
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, draw_non_edges
from linkodds.pairs import KnownPairs, Pairs
from linkodds.probability.deployment import FEWEST_LINKS, Deployment, longest_list, most_pairs, refuse_impossible_prior
from linkodds.probability.expected_links import expected_links
from linkodds.probability.selection import (
    SMALLEST_LIST,
    Audit,
    ErrorControl,
    PairCounts,
    Treatment,
    audit_rng,
    refuse_alpha,
)
from linkodds.reading.reading import read_pairs
from linkodds.runs.missing_links import MissingLinksAssumption, held_out_of
from linkodds.runs.record import Run
from linkodds.search.pair_search import FoundPairs

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
OTHER_DEGREES = 0.1
"""Unobserved pairs of which more than this would have to change their fifth by degree to look like the nulls are named."""
AS_TESTED = MissingLinksAssumption()
"""As many links are missing as the test set held."""
_SAMPLE_SHARE = 20


@dataclass(frozen=True, eq=False)
class ControlledList:
    """New links with a stated error, and what may be said of them.

    Args:
        mode: "masked", "discover" or "precision".
        level: alpha, or the expected precision that was asked for.
        table: source, target, logit, probability, q_value and evidence, highest logit first; q_value is filled in mode
            "masked" alone, since elsewhere there is no valid null set.
        promise: what holds, and under which condition.
        assumption: behind the stated probabilities.
        warnings: why the promise may not hold for these pairs, where the pairs themselves show it.
        details: numbers behind it, by name.
    Example:
        >>> table = pl.DataFrame({"source": ["a", "a"], "target": ["b", "c"], "probability": [0.5, 0.25]})
        >>> ControlledList("discover", 0.5, table, "not guaranteed", "10 links are missing.", (), {}).expected_links
        0.75
    """

    mode: str
    level: float
    table: pl.DataFrame
    promise: str
    assumption: str
    warnings: tuple[str, ...]
    details: dict[str, Any]

    @property
    def expected_links(self) -> float:
        """Sum of the stated probabilities."""
        return float(self.table["probability"].sum())

    def to_json(self) -> dict[str, Any]:
        """Everything but the table."""
        return {
            "mode": self.mode,
            "level": self.level,
            "num_links": len(self.table),
            "expected_links": self.expected_links,
            "promise": self.promise,
            "assumption": self.assumption,
            "warnings": list(self.warnings),
            **self.details,
        }


def list_links(
    run: Run,
    request: LinkRequest,
    *,
    assumption: MissingLinksAssumption = AS_TESTED,
    search: str = "auto",
    on_block: Callable[[float], None] | None = None,
) -> ControlledList:
    """New links with a stated error.

    Args:
        run: a finished run.
        request: with `fdr` and `unobserved`, with `fdr` and mode "discover", or with `precision`.
        assumption: how many links are missing.
        search: as for `LinkSearch`.
        on_block: called with the share of the search done.
    Raises:
        OptionError: the request states no error.
        LinkoddsError: as `masked_list` and `expected_list`.
    """
    if request.kind == "masked":
        return masked_list(run, request.unobserved, alpha=request.fdr or 0.0, assumption=assumption)
    if request.kind not in ("discover", "precision"):
        raise OptionError("a list with a stated error takes --fdr or --precision.")
    return expected_list(
        run,
        precision=request.precision if request.precision is not None else 1 - (request.fdr or 0.0),
        mode=request.kind,
        assumption=assumption,
        scope=request.scope,
        search=search,
        on_block=on_block,
    )


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
    decisions = {
        each.decision.rule: each.decision.threshold_logit
        for each in run.evaluation.decisions
        if each.decision.threshold_logit is not None
    }
    test = run.test
    if test.design != "enumerated":
        test = HeldOut.from_scorer(
            run.scorer,
            run.split.test,
            NonEdges(run.split.not_judged()),
            thresholds=np.array(list(decisions.values())),
            message_graph_hash=test.message_graph_hash,
            threads=run.config["options"]["threads"],
        )
    audit = Audit.of(test, audit_rng(run.config["options"]["seed"]))
    audit.control.require_nulls(alpha, audit.num_edges)
    fixed = [{"rule": rule, **audit.at_fixed(threshold)} for rule, threshold in decisions.items()]
    return audit.entry(alpha), fixed


def masked_list(
    run: Run, unobserved: Any, *, alpha: float, assumption: MissingLinksAssumption = AS_TESTED
) -> ControlledList:
    """The unobserved pairs that can be listed at alpha, with their q-values; an empty list is an answer too.

    Calibration nulls are all other pairs without a recorded edge (a uniform sample of them where the graph has more pairs
    than --max-pairs). Both were zeros in training and are scored on the same message graph.

    Args:
        run: a finished run.
        unobserved: a file or table of pairs in the user's ids; a pair that is there twice counts once.
        alpha: accepted share of false pairs in the list, on average.
        assumption: behind the column of probabilities; the q-values do not rest on it.
    Raises:
        OptionError: alpha is not between 0 and 1.
        UnknownNode: an id that the graph does not have.
        DataError: a pair that the graph cannot have, or a recorded edge.
        InsufficientCalibration: too few other pairs for so many unobserved ones.
    """
    refuse_alpha(alpha)
    deployment = assumption.deployment(run)
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
    classes = DegreeClasses.of(run.split.train, run.split.space, excluded=run.split.recorded().pairs)
    scores = score_non_edges(run.scorer, nulls, anchors=thresholds, classes=classes, threads=options["threads"])
    control = ErrorControl(
        nulls=PairCounts.of_scores(scores, treatment), candidates=PairCounts.of(logits, thresholds, treatment)
    )
    control.require_nulls(alpha, SMALLEST_LIST)
    threshold = control.threshold(alpha)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -exact))
    chosen = order[: 0 if threshold is None else int(np.count_nonzero(logits >= threshold))]
    found = FoundPairs(pairs[chosen], exact[chosen])
    table = link_table(run, found, deployment, control.q_values(logits[chosen]))
    moved = share_of_other_degrees(classes.of_pairs(pairs), scores.bins.num_by_class())
    return ControlledList(
        mode="masked",
        level=alpha,
        table=table,
        promise=MASKED_PROMISE.format(alpha=alpha),
        assumption=deployment.assumption,
        warnings=_doubts(control.false_share(), moved, len(pairs)),
        details={
            "num_unobserved": len(pairs),
            "num_repeated": num_repeated,
            "num_nulls": control.nulls.num_pairs,
            "estimated_false_share": control.false_share(),
            "share_of_other_degrees": moved,
            "threshold_logit": threshold,
            "smallest_q_value": float(control.q_values().min()),
        },
    )


def share_of_other_degrees(of_unobserved: NDArray[np.uint8], nulls_by_class: NDArray[np.float64]) -> float:
    """Share of the unobserved pairs that would have to lie in another fifth by degree product to be spread like the nulls."""
    shares = np.bincount(of_unobserved, minlength=len(nulls_by_class)) / len(of_unobserved)
    return float(np.abs(shares - nulls_by_class / nulls_by_class.sum()).sum() / 2)


def _doubts(false_share: float, moved: float, num_unobserved: int) -> tuple[str, ...]:
    """Why the unobserved pairs may not have been left unobserved at random, as far as they show it."""
    doubts = []
    if false_share < PICKED:
        doubts.append(
            f"by their logits only about {false_share:.0%} of the unobserved pairs are false. If they were picked with the "
            "help of a model (an earlier list, say), the q-values mean nothing."
        )
    # Five shares of n pairs differ from their expectation by less than this in all but one of a thousand draws.
    noise = np.sqrt((5 * np.log(2) + np.log(1000)) / (2 * num_unobserved))
    if moved > max(OTHER_DEGREES, float(noise)):
        doubts.append(
            f"the unobserved pairs have other degrees than the calibration nulls: {moved:.0%} of them would have to move to "
            "another fifth by degree to be spread alike. Missing links alone can do a part of that; if hubs (or loners) were "
            "looked at less than others, the promise does not hold. Leave unobserved pairs of the same degrees as the rest."
        )
    return tuple(doubts)


def expected_list(
    run: Run,
    *,
    precision: float,
    mode: str,
    assumption: MissingLinksAssumption = AS_TESTED,
    scope: Scope = ALL_PAIRS,
    search: str = "auto",
    on_block: Callable[[float], None] | None = None,
) -> ControlledList:
    """The longest list whose expected share of true links is at least `precision`, under a number of missing links.

    Under an interval the list has to be that good at its low end, and so anywhere in it.

    Args:
        run: a finished run.
        precision: in (0, 1); mode "discover" at alpha asks for 1 - alpha.
        mode: "discover" or "precision", for the summary.
        assumption: how many links are missing.
        scope: where to look; the list is the longest there.
        search: as for `LinkSearch`.
        on_block: called with the share of the search done.
    Raises:
        OptionError: precision is not between 0 and 1.
        UnkeptPromise: no list of 20 pairs is expected to be that precise, or the record rules the assumption out.
    """
    if not 0 < precision < 1:
        raise OptionError(f"--precision takes a share between 0 and 1, such as 0.9, not {precision}.")
    deployment = assumption.deployment(run)
    refuse_impossible_prior(deployment)
    found, searched = _long_enough(run, deployment.fewest, precision, scope, search, on_block)
    length = longest_list(found.logits, deployment.fewest, precision)
    table = link_table(run, FoundPairs(found.pairs[:length], found.logits[:length]), deployment)
    worth = expected_links(held_out_of(run), deployment, found.logits[:length])
    return ControlledList(
        mode=mode,
        level=1 - precision if mode == "discover" else precision,
        table=table,
        promise=DISCOVER_PROMISE,
        assumption=deployment.assumption,
        warnings=(),
        details={
            "guaranteed": False,
            "expected_precision": float(table["probability"].mean()),  # type: ignore[arg-type]
            "expected_links_interval": [worth.low, worth.high],
            "search": searched.to_json(),
            "search_sentence": searched.sentence(),
            "expected_precision_interval": _interval(run, table, float(found.logits[length - 1])),
            "num_missing": deployment.num_missing,
            "num_missing_band": deployment.band and list(deployment.band),
            "expected_links_band": expected_band(table),
            "threshold_logit": float(found.logits[length - 1]),
            "sensitivity": _sensitivity(run, deployment, found.logits[:length], precision),
        },
    )


def _long_enough(
    run: Run,
    deployment: Deployment,
    precision: float,
    scope: Scope,
    search: str,
    on_block: Callable[[float], None] | None,
) -> tuple[FoundPairs, SearchSummary]:
    """The best pairs of a scope, so many that the longest list with this share ends among them.

    The threshold comes from the counts of all pairs. Where links are denser than there the list may go on below it: then
    the mean of all found is still high enough, and the search is made again with a lower one.
    """
    level = precision
    while True:
        threshold = most_pairs(run.test.non_edges, deployment, level)[1]
        looking = LinkSearch(run, scope, top=None, threshold=threshold, way=search)
        found = looking.run_to_end(None, None, on_block)
        mean = float(deployment.probability(found.logits).mean()) if len(found.logits) else 0.0
        enough = len(found.logits) >= FEWEST_LINKS and mean < precision
        if enough or scope.is_everything or level < 1e-4 * precision:
            return found, looking.searched(found)
        level /= 4


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
    """What becomes of the list at the ends of the interval, or should half or twice as many links be missing.

    And how long the list would have been that is asked for under that number alone.
    """
    rows = []
    low, high = deployment.band or (0.5 * deployment.num_missing, 2 * deployment.num_missing)
    for num_missing in (low, deployment.num_missing, high):
        other = replace(deployment, num_missing=num_missing, band=None)
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
