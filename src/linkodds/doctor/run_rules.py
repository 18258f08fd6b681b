"""Rules on a run of linkodds itself: what the others look at, found in its files."""

from collections.abc import Mapping, Sequence
from typing import Any

from linkodds.doctor import model_rules, score_rules
from linkodds.doctor.model_rules import ModelScores
from linkodds.doctor.weighted import CoxFit
from linkodds.evaluation.evaluation import Evaluation
from linkodds.findings import Finding


def calibrated(evaluation: Evaluation) -> list[Finding | None]:
    """D05 and D06 from the evaluation's own numbers."""
    found: list[Finding | None] = []
    metrics, observed = evaluation.metrics, evaluation.candidates["num_edges"]
    ratio = metrics["observed_over_expected"].value
    if ratio and not 0.8 <= ratio <= 1.25:
        expected = observed / ratio
        if abs(observed - expected) > 3 * max(observed, 1) ** 0.5:
            message = (
                f"{observed} test edges observed, {expected:.6g} expected from the probabilities (observed / expected "
                f"{ratio:.3g})."
            )
            remedy = "Calibrate on more edges: a larger calibration share in --split, or --folds."
            found.append(Finding("D05", "warning", message, remedy, ratio))
    slope = metrics["calibration_slope"]
    if slope.value is not None and slope.low is not None and slope.high is not None:
        fit = CoxFit(slope.value, metrics["calibration_intercept"].value or 0.0, slope.low, slope.high)
        found.append(score_rules.judge_slope(fit))
    return found


def half(evaluation: Evaluation, decision: str) -> list[Finding | None]:
    """D03 and D04 where the stored decision is one half."""
    one = next((each for each in evaluation.decisions if each.decision.rule == "half"), None)
    if decision != "half" or one is None or one.confusion is None:
        return []
    tn, fp, fn, tp = (getattr(one.confusion, cell) for cell in ("tn", "fp", "fn", "tp"))
    share, prevalence = (fp + tp) / (tn + fp + fn + tp), (fn + tp) / (tn + fp + fn + tp)
    auc, balanced = evaluation.metrics["roc_auc"].value, one.measured["balanced_accuracy"].value
    remedy = "Decide by a rule that fits rare edges: --decision f1, precision>=P, recall>=R or budget:K."
    found: list[Finding | None] = []
    if share >= 0.999 or share <= min(0.001, prevalence / 10):
        ranking = "" if auc is None else f", while the ROC AUC is {auc:.3f}"
        message = f"At a threshold of 0.5, {share:.2%} of the candidates are predicted edges{ranking}."
        found.append(Finding("D03", "warning", message, remedy, share))
    if auc is not None and balanced is not None and auc >= 0.75 and abs(balanced - 0.5) <= 0.02:
        message = f"The ranking is fine (ROC AUC {auc:.3f}) and the threshold of 0.5 is not: balanced accuracy {balanced:.3f}."
        found.append(Finding("D04", "warning", message, remedy, balanced))
    return found


def audited(audit: Sequence[Mapping[str, Any]]) -> Finding | None:
    """D26 where the audit could select nothing for lack of calibration nulls; no error, since nobody asked for a list."""
    short = [entry for entry in audit if str(entry.get("reason")).startswith("D26: ")]
    if not short:
        return None
    worst = max(short, key=lambda entry: float(entry["alpha"]))
    message = f"The audit of evaluation.json is empty up to alpha {worst['alpha']:g}: {worst['reason'][5:]}"
    remedy = "Read the audit at a larger alpha, or give the test part a larger share in --split."
    return Finding("D26", "info", message, remedy, float(worst["num_nulls"]))


def impossible_prior(num_missing: float, most_missing: float) -> Finding | None:
    """D27: more missing links are assumed than there can be, if they look like the held-out edges.

    Of M missing links among the non-edges a share of recall(t) lies above every threshold t, so M is at most the
    non-edges above t divided by recall(t), whatever t is.

    Args:
        num_missing: the user's number.
        most_missing: the upper confidence bound on the smallest such quotient; `LinkRate.most_missing`.
    Example:
        >>> impossible_prior(101, 100.0).id, impossible_prior(100, 100.0)
        ('D27', None)
    """
    if num_missing <= most_missing:
        return None
    message = (
        f"{num_missing:,.0f} missing links are assumed, but so few non-edges rank among the held-out edges that "
        f"at most about {most_missing:,.0f} links that look like them can be missing."
    )
    remedy = f"Give --expected-missing {int(most_missing)} or fewer, or read the figures as those of another graph."
    return Finding("D27", "warning", message, remedy, num_missing)


def base_rate(evaluation: Evaluation) -> Finding | None:
    """D28 on the candidates of the evaluation, held against its graph."""
    graph, candidates = evaluation.graph, evaluation.candidates
    if not candidates["num_edges"]:
        return None
    return model_rules.base_rate_of_the_graph(
        candidates["prevalence"],
        candidates["num_edges"] / graph["num_edges"],
        graph["num_edges"],
        graph["num_pairs"],
    )


def modelled(evaluation: Evaluation, scores: ModelScores) -> list[Finding | None]:
    """D12, D15, D22, D23 and D25."""
    metrics = evaluation.metrics
    heuristics = {name: each.roc_auc for name, each in evaluation.baselines.items()}
    known = evaluation.model["name"] in heuristics
    auc, precision = metrics["roc_auc"].value, metrics["average_precision"].value
    test = model_rules.auc_of(scores.test, scores.non_edges)
    return [
        model_rules.ties(scores),
        None if scores.embeddings is None else model_rules.embedding_collapse(scores.embeddings, scores.non_edges),
        model_rules.hub_dominance(scores),
        None if known or auc is None else model_rules.too_good(auc, precision, heuristics),
        # A heuristic finds a train edge in its own neighbourhoods, and learns nothing by heart.
        None if known else model_rules.train_test_gap(model_rules.auc_of(scores.train, scores.non_edges), test),
    ]
