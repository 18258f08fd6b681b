"""Measuring: every number of an evaluation with its interval, or the reason why it has none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, log_expit

from linkodds.evaluation.evaluation import DECIDED, BaselineResult, Evaluation, MeasuredDecision, whole
from linkodds.findings import Finding
from linkodds.graph.split import PARTS, Split
from linkodds.metrics import metrics as measure
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import (
    FEW_EDGES,
    Z95,
    Quantity,
    Resamples,
    bootstrap,
    confusion_interval,
    non_edges_needed,
    poisson_interval,
    wilson,
)
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.ranking import average_precision_interval, roc_auc_interval
from linkodds.probability.calibration import Calibrator
from linkodds.probability.decision import Decision

FIFTHS = ("lowest", "low", "middle", "high", "highest")
HITS = (20, 50, 100)
LIST_LENGTH = 100
MAX_WEIGHT, MENTIONED_WEIGHT = 0.02, 0.005
"""Shares of the test edges that one sampled non-edge may stand for before figures are refused, or it is mentioned."""
MIN_SAMPLED = 10
"""Sampled non-edges at or above a threshold that a precision needs."""


def evaluate(
    test: HeldOut,
    calibrator: Calibrator,
    decisions: Sequence[Decision],
    *,
    reciprocal_ranks: Floats | None,
    split: Split,
    model: Mapping[str, Any],
    baselines: Mapping[str, BaselineResult],
    findings: Sequence[Finding] = (),
    audit: Sequence[Mapping[str, Any]] = (),
    rng: np.random.Generator,
) -> Evaluation:
    """Measure everything once, on the test edges against all non-edges.

    Args:
        test: scored with the thresholds of the decisions among its anchors; restated by `at_prevalence` if wanted.
        calibrator: at the prevalence of `test`.
        decisions: fixed on the calibration edges.
        reciprocal_ranks: shape (edges,), from `linkodds.metrics.ranking`; None leaves the mean reciprocal rank out.
        split: the parts, for the base rates and the message graph.
        model: name, num_parameters, epochs and what else is to be said of it.
        baselines: each measured on the same candidates.
        findings: of earlier stages.
        audit: of error-controlled selection.
        rng: for the bootstrap.
    Raises:
        ValueError: the calibrator is for another prevalence, the hash is of another message graph, or a threshold was
            not scored.
    """
    if abs(calibrator.prevalence / test.prevalence - 1) > 1e-6:
        raise ValueError(f"calibrator for prevalence {calibrator.prevalence}, candidates at {test.prevalence}")
    if test.message_graph_hash not in ("", split.message_graph_hash()):
        raise ValueError("the test edges were scored on another message graph than this split's")
    sizes = {part: len(getattr(split, part)) for part in PARTS}
    num_edges, space = split.num_edges, split.space
    ratio = num_edges / space.num_pairs
    ranked = _ranking(test, calibrator.calibrated_logit, reciprocal_ranks, ratio, rng)
    fifths = measure.degree_bins(test, calibrator.calibrated_logit)
    return Evaluation(
        graph={
            "num_nodes": space.num_nodes,
            "num_edges": num_edges,
            "num_pairs": space.num_pairs,
            "directed": space.directed,
            "bipartite": space.bipartite,
        },
        candidates={
            "num_pairs": whole(test.num_pairs),
            "num_edges": test.num_edges,
            "prevalence": test.prevalence,
            "design": test.design,
            "rate": test.non_edges.rate,
            **_strata(test),
            **_excluded(split),
        },
        model=model,
        metrics={**ranked["metrics"], **_calibration(test, calibrator.calibrated_logit, fifths)},
        at_graph_ratio=ranked["at_graph_ratio"],
        balanced=ranked["balanced"],
        fixed_graph=_fixed_graph(test, decisions),
        decisions=[_measured(test, decision) for decision in decisions],
        degree_bins=_fifth_rows(test, fifths),
        baselines=baselines,
        findings=[*findings, *_resolution_findings(test)],
        audit=audit,
        message_graph=split.message_graph_hash(),
        split={**sizes, "fractions": {part: size / num_edges for part, size in sizes.items()}},
        calibrator=calibrator.to_json(),
    )


def _ranking(
    test: HeldOut,
    calibrated: measure.LogitMap,
    reciprocal_ranks: Floats | None,
    ratio: float,
    rng: np.random.Generator,
) -> dict[str, dict[str, Quantity]]:
    """Everything that the bootstrap over test edges serves, from one set of repetitions."""
    num_edges, num_pairs, prevalence = test.num_edges, test.num_pairs, test.prevalence
    at_ratio, balanced = test.at_prevalence(ratio), test.at_prevalence(0.5)
    edges = calibrated(test.edge_logits)
    losses, squares = -log_expit(edges), np.square(expit(-edges))
    length = min(LIST_LENGTH, num_pairs)
    statistics: dict[str, Callable[[Resamples], Floats]] = {
        "r_precision": lambda r: r.precision_at(num_edges),
        "precision_at_100": lambda r: r.precision_at(length),
        "losses": lambda r: r.mean(losses),
        "squares": lambda r: r.mean(squares),
    }
    if reciprocal_ranks is not None:
        statistics["mrr"] = lambda r: r.mean(reciprocal_ranks)
    ends = bootstrap(test, statistics, rng=rng) | {
        "roc_auc": roc_auc_interval(test),
        "average_precision": average_precision_interval(test),
        "at_ratio": average_precision_interval(at_ratio),
        "balanced": average_precision_interval(balanced),
    }
    coarse = _too_coarse(test)

    def share(value: float, name: str, factor: float = 1.0) -> Quantity:
        few = f"fewer than {FEW_EDGES} held-out edges: any value is possible" if num_edges < FEW_EDGES else None
        low, high = (0.0, 1.0) if few else ends[name]
        return Quantity.around(factor * value, (factor * low, factor * high), reason=few or coarse)

    def listed(k: float, name: str) -> Quantity:
        if k > num_pairs:
            return Quantity.missing(f"{num_pairs:,.0f} candidates, fewer than {k:,.0f}")
        if coarse:
            return Quantity.missing(coarse)
        value, interval = measure.precision_at(test, k), ends[name]
        if interval[0] == interval[1]:  # no repetition found another edge, which is no proof that none could be
            low, high = poisson_interval(value * k)
            interval = float(low) / k, min(1.0, float(high) / k)
        return Quantity.around(value, interval)

    def proper(value: float, name: str, of_edges: Floats, constant: float) -> tuple[Quantity, Quantity]:
        """A mean loss over all candidates, and its skill against a constant forecast."""
        sampled = Z95 * _sampling_error(test, calibrated, name) / num_pairs
        down, up = (np.hypot((end - of_edges.mean()) * num_edges / num_pairs, sampled) for end in ends[name])
        low, high = value - down, value + up
        skill = Quantity.around(1 - value / constant, (1 - high / constant, 1 - low / constant))
        return Quantity.around(value, (low, high)), skill

    log_loss, log_loss_skill = proper(
        measure.log_loss(test, calibrated), "losses", losses, measure.log_loss_of_constant(test)
    )
    _, brier_skill = proper(measure.brier(test, calibrated), "squares", squares, prevalence * (1 - prevalence))
    no_interval = "no interval: a maximum over thresholds, whose bootstrap is biased upwards"
    return {
        "metrics": {
            "roc_auc": share(measure.roc_auc(test), "roc_auc"),
            "average_precision": share(measure.average_precision(test), "average_precision"),
            "average_precision_lift": share(measure.average_precision(test), "average_precision", 1 / prevalence),
            "r_precision": listed(num_edges, "r_precision"),
            "best_f1": Quantity.missing(coarse) if coarse else Quantity(measure.best_f1(test), reason=no_interval),
            "precision_at_100": listed(LIST_LENGTH, "precision_at_100"),
            **{f"hits_at_{k}": _hits(test, k) for k in HITS},
            "mrr": Quantity.missing("full rows were not ranked")
            if reciprocal_ranks is None
            else share(float(reciprocal_ranks.mean()), "mrr"),
            "log_loss": log_loss,
            "log_loss_skill": log_loss_skill,
            "brier_skill": brier_skill,
        },
        "at_graph_ratio": {
            "average_precision": share(measure.average_precision(at_ratio), "at_ratio"),
            "best_f1": Quantity.missing(coarse) if coarse else Quantity(measure.best_f1(at_ratio), reason=no_interval),
        },
        "balanced": {
            "roc_auc": share(measure.roc_auc(balanced), "roc_auc"),
            "average_precision": share(measure.average_precision(balanced), "balanced"),
        },
    }


def _hits(test: HeldOut, k: int) -> Quantity:
    if k > test.num_non_edges:
        return Quantity.missing(f"{test.num_non_edges:,.0f} non-edges, fewer than {k}")
    reached = test.ladder.non_edges_at_least >= k
    weight = test.non_edges.weight_at(float(test.ladder.logits[np.argmax(reached) if reached.any() else -1]))
    if test.design != "enumerated" and k < MIN_SAMPLED * weight:
        scored = k / weight
        return Quantity.missing(
            f"the {k} best non-edges are {scored:.3g} of the sampled ones, fewer than {MIN_SAMPLED}"
        )
    value = measure.hits_at(test, k)
    return Quantity.around(value, wilson(value * test.num_edges, test.num_edges))


def _calibration(test: HeldOut, calibrated: measure.LogitMap, fifths: measure.DegreeBins) -> dict[str, Quantity]:
    line = measure.calibration_line(test, calibrated)
    if line is None:
        apart = "no finite line fits: the logits hardly vary, or edges and non-edges do not overlap"
        slope = intercept = Quantity.missing(apart)
    else:
        errors = Z95 * np.sqrt(np.diag(line.covariance))
        slope, intercept = (
            Quantity.around(value, (value - error, value + error))
            for value, error in zip((line.slope, line.intercept), errors.tolist(), strict=True)
        )
    no_interval = "no interval: a sum of absolute differences, whose bootstrap is biased upwards"
    by_degree = Quantity.missing("no degree classes were given")
    if test.degree_ranges is not None:
        by_degree = Quantity(measure.degree_relative_ece(fifths), reason=no_interval)
    return {
        "observed_over_expected": _over_expected(float(fifths.observed.sum()), float(fifths.expected.sum())),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "relative_ece": Quantity(measure.relative_ece(measure.reliability(test, calibrated)), reason=no_interval),
        "degree_relative_ece": by_degree,
    }


def _over_expected(observed: float, expected: float) -> Quantity:
    """Observed over expected edges: the observed ones are a Poisson count, the expected ones a sum over candidates."""
    if expected <= 0:
        return Quantity.missing("no edge is expected")
    low, high = poisson_interval(observed)
    return Quantity.around(observed / expected, (float(low) / expected, float(high) / expected))


def _fifth_rows(test: HeldOut, fifths: measure.DegreeBins) -> list[dict[str, Any]]:
    if test.degree_ranges is None:
        return []
    rows = zip(FIFTHS, test.degree_ranges, fifths.num_pairs, fifths.observed, fifths.expected, strict=True)
    return [
        {
            "name": name,
            "low": int(products[0]),
            "high": int(products[1]),
            "num_pairs": whole(num_pairs),
            "observed": whole(observed),
            "expected": float(expected),
            "observed_over_expected": _over_expected(float(observed), float(expected)),
        }
        for name, products, num_pairs, observed, expected in rows
        if num_pairs > 0
    ]


def _measured(test: HeldOut, decision: Decision) -> MeasuredDecision:
    if decision.threshold_logit is None:
        reason = decision.reason or "no threshold keeps this promise"
        return MeasuredDecision(decision, None, dict.fromkeys(DECIDED, Quantity.missing(reason)))
    confusion = measure.confusion_at(test, decision.threshold_logit)
    sampled = test.non_edges.effective_count(decision.threshold_logit)
    measured = {}
    for name, statistic in DECIDED.items():
        value = statistic(confusion)
        if value is None:
            what = "nothing is" if confusion.tp + confusion.fp == 0 else "everything is"
            measured[name] = Quantity.missing(f"undefined: {what} decided to be an edge")
            continue
        interval = confusion_interval(test, decision.threshold_logit, statistic)
        if name == "precision" and sampled < MIN_SAMPLED:
            reason = (
                f"the sampled non-edges that reach the threshold count as {sampled:.0f}, fewer than {MIN_SAMPLED}: "
                f"interval only; {_advice(test, value, confusion.tp)}"
            )
            measured[name] = Quantity(None, *interval, reason=reason)
        else:
            measured[name] = Quantity.around(value, interval)
    return MeasuredDecision(decision, confusion, measured)


def _sampling_error(test: HeldOut, calibrated: measure.LogitMap, name: str) -> float:
    """Standard error of the sum of losses over sampled non-edges; 0 when they were enumerated."""

    def loss(z: Floats) -> Floats:
        return -log_expit(-calibrated(z)) if name == "losses" else np.square(expit(calibrated(z)))

    variance = 0.0
    for part in test.non_edges.sampled_parts:
        z, weights = part.bins.points()
        variance += float(part.variance_of_sum(loss(z)[:, None], weights)[0, 0])
    return float(np.sqrt(variance))


def _strata(test: HeldOut) -> dict[str, Any]:
    """The strata with what was scored of each, where there are any."""
    rows = [
        {"name": part.name, "num_non_edges": whole(part.num_non_edges), "num_scored": part.num_scored}
        for part in test.non_edges.strata
    ]
    return {"strata": rows} if rows else {}


def _excluded(split: Split) -> dict[str, int]:
    """Candidates that are left out because the split cut an end off, and the test edges among them; none of a whole split."""
    if not len(split.cut_off.nodes):
        return {}
    num_edges = split.cut_off.num_test
    pairs = split.recorded().num_absent - split.not_judged().num_absent + num_edges
    return {"excluded_pairs": pairs, "excluded_edges": num_edges}


def _fixed_graph(test: HeldOut, decisions: Sequence[Decision]) -> dict[str, Quantity]:
    """Kind F: these edges, other sampled non-edges; the values are those of the rehearsal."""
    measured = {
        "roc_auc": (measure.roc_auc(test), roc_auc_interval(test, kind="F")),
        "average_precision": (measure.average_precision(test), average_precision_interval(test, kind="F")),
    }
    for decision in decisions:
        threshold = decision.threshold_logit
        value = None if threshold is None else measure.confusion_at(test, threshold).precision
        if threshold is not None and value is not None:
            interval = confusion_interval(test, threshold, lambda c: c.precision, kind="F")
            measured[f"precision of {decision.rule}"] = value, interval
    coarse = _too_coarse(test)
    return {
        name: Quantity.around(value, interval, kind="F", reason=coarse) for name, (value, interval) in measured.items()
    }


def _weight_at_median(test: HeldOut) -> float:
    """How many non-edges one scored non-edge stands for around the logit that half of the held-out edges reach."""
    ladder = test.ladder
    return test.non_edges.weight_at(float(ladder.logits[np.argmax(ladder.edges_at_least >= test.num_edges / 2)]))


def _too_coarse(test: HeldOut) -> str | None:
    weight = _weight_at_median(test)
    if test.design == "enumerated" or weight <= MAX_WEIGHT * test.num_edges:
        return None
    return (
        f"a sampled non-edge stands for {weight:,.3g}, more than {MAX_WEIGHT:.0%} of the {test.num_edges} "
        "held-out edges: too coarse for the top of the list"
    )


def _advice(test: HeldOut, precision: float | None, num_found: float) -> str:
    """How many uniformly sampled non-edges would do, for whoever can afford them."""
    expected = float(np.clip(0.5 if precision is None else precision, 0.05, 0.95))
    needed = non_edges_needed(expected, num_found=max(num_found, 1.0), num_non_edges=test.num_non_edges)
    if needed >= test.num_non_edges:
        return "a half-width of 0.05 takes all non-edges: --design enumerated"
    return f"a half-width of 0.05 takes about {needed:,} uniformly sampled ones: --max-pairs {20 * needed}"


def _resolution_findings(test: HeldOut) -> list[Finding]:
    weight = _weight_at_median(test)
    if test.design == "enumerated" or weight <= MENTIONED_WEIGHT * test.num_edges:
        return []
    message = (
        f"Around the median test edge each of the {test.non_edges.num_scored:,} sampled non-edges stands for {weight:,.3g}, "
        f"{weight / test.num_edges:.2g} of the number of test edges: figures about the top of the list are uncertain."
    )
    severity = "error" if _too_coarse(test) else "warning"
    found = test.num_edges / 2
    precision = found / (found + test.ladder.non_edges_at_least[np.argmax(test.ladder.edges_at_least >= found)])
    remedy = f"Score more non-edges: for the precision of half the test edges {_advice(test, precision, found)}."
    return [Finding("D24", severity, message, remedy, weight)]  # type: ignore[arg-type]
