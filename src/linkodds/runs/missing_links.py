"""Restating: what a finished run says of missing links once something is assumed about how many there are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from linkodds.doctor.diagnosis import impossible_prior
from linkodds.errors import UnkeptPromise
from linkodds.evaluation.evaluation import Evaluation
from linkodds.evaluation.measure import evaluate
from linkodds.evaluation.temporal_metrics import restated as restated_time
from linkodds.findings import Finding
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Quantity
from linkodds.probability.assumed_values import Assumed, assumed_value
from linkodds.probability.decision import Decision, decide, parse_rule
from linkodds.probability.deployment import Deployment, assume_missing
from linkodds.runs.record import Run


@dataclass(frozen=True)
class MissingLinksAssumption:
    """At most one of the three ways to say how many links are missing, as a number or as an interval (low, high).

    None of them means as many as the test set held.
    """

    prevalence: Assumed | None = None
    expected_missing: Assumed | None = None
    label_frequency: Assumed | None = None

    @staticmethod
    def from_text(
        prevalence: str | None, expected_missing: str | None, label_frequency: str | None
    ) -> "MissingLinksAssumption":
        """The options as they are typed: a number, or LOW:HIGH.

        Raises:
            OptionError: text that is neither.
        """
        given = {"prevalence": prevalence, "expected_missing": expected_missing, "label_frequency": label_frequency}
        return MissingLinksAssumption(
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
        deployment = assume_missing(
            run.link_rate,
            num_non_edges=run.split.recorded().num_absent,
            num_test_edges=len(run.split.test),
            num_edges=run.split.num_edges,
            prevalence=self.prevalence,
            expected_missing=self.expected_missing,
            label_frequency=self.label_frequency,
        )
        if run.split.times is None:
            return deployment
        first, last = run.split.times.ranges()["test"]
        said = f"The split is by time: these are the links to come in a period like that of the test edges, {first} to {last}."
        return replace(deployment, assumption=f"{deployment.assumption} {said}")


def evaluate_run(run: Run, assumption: MissingLinksAssumption = MissingLinksAssumption()) -> Evaluation:
    """The evaluation of a run; at the prevalence of an assumption, if one is made.

    Under an interval every figure is at the geometric mean, and its `band` holds the values at both ends, the smaller
    first; `low` and `high` stay what the test edges leave open at the mean. `restated` says what was assumed, and what the
    lists of new links that the decisions make would be worth.

    Raises:
        OptionError: an assumption that is out of range.
    """
    if assumption == MissingLinksAssumption():
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
        "from": run.evaluation.candidates["prevalence"],
        "num_missing": deployment.num_missing,
        "assumption": deployment.assumption,
        "new_links": [_new_links(run, deployment, each.decision) for each in run.evaluation.decisions],
    }
    if deployment.band is not None:
        ends = [prevalence_of(end) for end in deployment.band]
        said["band"] = {"prevalence": ends, "num_missing": list(deployment.band)}
        low, high = (_restated(run, end, []) for end in ends)
        decisions = zip(restated.decisions, low.decisions, high.decisions, strict=True)
        restated = replace(
            restated,
            metrics=_with_bands(restated.metrics, low.metrics, high.metrics),
            decisions=[
                replace(each, measured=_with_bands(each.measured, at_low.measured, at_high.measured))
                for each, at_low, at_high in decisions
            ],
        )
    return replace(restated, restated=said)


def _restated(run: Run, prevalence: float, findings: list[Finding]) -> Evaluation:
    """All figures as if edges had been held out until they make up `prevalence` of the candidates."""
    measured, at_prevalence = run.evaluation, run.test.at_prevalence(prevalence)
    restated = evaluate(
        at_prevalence,
        run.calibrator.at_prevalence(prevalence),
        [each.decision for each in measured.decisions],
        reciprocal_ranks=None,
        split=run.split,
        model=measured.model,
        baselines={},
        findings=[*measured.findings, *findings],
        rng=np.random.default_rng(run.config["options"]["seed"]),
    )
    time = measured.time
    if time is not None:
        time = restated_time(time, at_prevalence, run.split, run.decision.threshold_logit)
    return replace(
        restated,
        metrics={**restated.metrics, "mrr": measured.metrics["mrr"]},  # ranks do not know the prevalence
        time=time,
        candidates={**measured.candidates, "prevalence": prevalence},
    )


def _with_bands(
    quantities: Mapping[str, Quantity], low: Mapping[str, Quantity], high: Mapping[str, Quantity]
) -> dict[str, Quantity]:
    """Every measured quantity with the values that it has at both ends of an interval."""

    def with_band(quantity: Quantity, one: float | None, other: float | None) -> Quantity:
        if quantity.value is None or one is None or other is None:
            return quantity
        return replace(quantity, band=(min(one, other), max(one, other)))

    return {name: with_band(each, low[name].value, high[name].value) for name, each in quantities.items()}


def _new_links(run: Run, deployment: Deployment, decision: Decision) -> dict[str, Any]:
    """How many pairs without an edge pass a decision, and the mean of their probabilities.

    That is precision against reality: the missing links are among these pairs, while the figures of the rehearsal are
    against the record and count a missing link as an error.
    """
    row: dict[str, Any] = {"rule": decision.rule, "num_pairs": 0.0, "expected_precision": None}
    threshold = decision.threshold_logit
    if threshold is None:
        return {**row, "reason": decision.reason}
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


def _prior_findings(assumption: MissingLinksAssumption, deployment: Deployment) -> list[Finding]:
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


def held_out_of(run: Run) -> list[HeldOut]:
    """The held-out edges that the rates of links are counted from."""
    return [run.calibration[0], run.test]
