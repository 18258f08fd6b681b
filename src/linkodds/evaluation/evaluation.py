"""Evaluation: what evaluation.json says about a model, as a value that is written and read back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from linkodds.errors import BrokenRun
from linkodds.findings import Finding
from linkodds.metrics.intervals import Quantity
from linkodds.metrics.metrics import Confusion
from linkodds.probability.decision import Decision

FORMAT = "linkodds.evaluation/1"
STATEMENT = (
    "Negatives are pairs with no recorded edge. P held-out edges are the only certified positives. In this rehearsal "
    "precision is against the RECORD: a correct prediction of an unrecorded edge counts as an error."
)
DECIDED: dict[str, Callable[[Confusion], float | None]] = {
    "balanced_accuracy": lambda c: c.balanced_accuracy,
    "precision": lambda c: c.precision,
    "recall": lambda c: c.recall,
    "f1": lambda c: c.f1,
    "mcc": lambda c: c.mcc,
}


@dataclass(frozen=True)
class BaselineResult:
    """What a baseline reaches on the same test edges and non-edges, with a degree term as the model may have one.

    Args:
        roc_auc: on the test edges, with its degree term where it got one.
        average_precision: likewise.
        average_precision_uncorrected: as it counts, without a degree term; None in runs of before.
        validation_average_precision: what it is chosen by among the baselines; None where it was not measured.
        gain: average precision of the model less its own, paired over the test edges; None where it was not measured.
    """

    roc_auc: float
    average_precision: float
    average_precision_uncorrected: float | None = None
    validation_average_precision: float | None = None
    gain: Quantity | None = None

    def to_json(self) -> dict[str, Any]:
        """As evaluation.json writes it."""
        return {name: value for name, value in _to_plain(vars(self)).items() if value is not None}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "BaselineResult":
        """The inverse of `to_json`."""
        return BaselineResult(**_with_quantities(values))


@dataclass(frozen=True)
class MeasuredDecision:
    """A decision that was fixed on the calibration edges, measured on the test edges.

    Args:
        decision: rule, threshold, promise.
        confusion: counts over all candidates; None without a threshold.
        measured: balanced_accuracy, precision, recall, f1 and mcc.
    """

    decision: Decision
    confusion: Confusion | None
    measured: Mapping[str, Quantity]

    def to_json(self) -> dict[str, Any]:
        """As evaluation.json writes it."""
        counts = self.confusion and {name: whole(value) for name, value in asdict(self.confusion).items()}
        return {**self.decision.to_json(), "confusion": counts, **_plain(self.measured)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "MeasuredDecision":
        """The inverse of `to_json`."""
        counts = values["confusion"]
        return MeasuredDecision(
            Decision.from_json(dict(values)),
            None if counts is None else Confusion(**counts),
            _quantities({name: values[name] for name in DECIDED}),
        )


@dataclass(frozen=True)
class Evaluation:
    """One model on one split at the true prevalence; `to_json` gives evaluation.json.

    Args:
        graph: num_nodes, num_edges, num_pairs, directed, bipartite.
        candidates: num_pairs, num_edges, prevalence, design, rate of the rehearsal.
        model: name, num_parameters, epochs.
        metrics: over all candidates, in the rehearsal.
        at_graph_ratio: average_precision and best_f1 restated at the graph's own ratio.
        balanced: roc_auc and average_precision with one non-edge for each edge, as papers print it.
        fixed_graph: roc_auc, average_precision and the precision of each decision with intervals of kind F.
        decisions: every decision, measured.
        degree_bins: observed and expected edges in classes by degree product, each with about a fifth of the edges.
        baselines: on the same candidates, with degree terms as the model may have one.
        findings: what to mind.
        audit: error-controlled selections on the held-out edges.
        message_graph: hash of the graph that all logits were computed on.
        split: edges in each part, and their fractions.
        calibrator: as calibration.json holds it.
        time: of a split by time: boundaries, horizons, new nodes, and what a random split would have said.
        restated: where every figure is at an assumed prevalence: what was assumed, the run's own prevalence, and what
            lists of new links would be worth. None for what a fit measured.
    Example:
        >>> from linkodds.metrics.intervals import Quantity
        >>> values = {
        ...     "format": FORMAT, "graph": {"num_edges": 10, "num_pairs": 800}, "candidates": {"prevalence": 0.0025},
        ...     "model": {"name": "l3"}, "metrics": {"roc_auc": {"value": 0.9, "low": 0.8, "high": 0.95}},
        ...     "at_graph_ratio": {}, "balanced": {}, "fixed_graph": {}, "decisions": [], "degree_bins": [],
        ...     "baselines": {}, "findings": [], "audit": [], "message_graph": "", "split": {}, "calibrator": {}}
        >>> evaluation = Evaluation.from_json(values)
        >>> evaluation.metrics["roc_auc"]
        Quantity(value=0.9, low=0.8, high=0.95, kind='S', reason=None, band=None)
        >>> evaluation.model["name"], evaluation.to_json()["metrics"]["roc_auc"]["high"]
        ('l3', 0.95)
    """

    graph: Mapping[str, Any]
    candidates: Mapping[str, Any]
    model: Mapping[str, Any]
    metrics: Mapping[str, Quantity]
    at_graph_ratio: Mapping[str, Quantity]
    balanced: Mapping[str, Quantity]
    fixed_graph: Mapping[str, Quantity]
    decisions: Sequence[MeasuredDecision]
    degree_bins: Sequence[Mapping[str, Any]]
    baselines: Mapping[str, BaselineResult]
    findings: Sequence[Finding]
    audit: Sequence[Mapping[str, Any]]
    message_graph: str
    split: Mapping[str, Any]
    calibrator: Mapping[str, Any]
    time: Mapping[str, Any] | None = None
    restated: Mapping[str, Any] | None = None

    @property
    def graph_ratio(self) -> float:
        """The graph's own base rate: its edges among all pairs."""
        return float(self.graph["num_edges"] / self.graph["num_pairs"])

    def to_json(self) -> dict[str, Any]:
        """What evaluation.json holds: plain values without NaN, the same for the same seed."""
        return {
            "format": FORMAT,
            "statement": STATEMENT,
            "graph": dict(self.graph),
            "split": dict(self.split),
            **({} if self.time is None else {"time": _to_plain(self.time)}),
            "message_graph": self.message_graph,
            "candidates": dict(self.candidates),
            "model": dict(self.model),
            "metrics": _plain(self.metrics),
            "at_graph_ratio": _plain(self.at_graph_ratio),
            "balanced": _plain(self.balanced),
            "fixed_graph": _plain(self.fixed_graph),
            "degree_bins": _to_plain(self.degree_bins),
            "calibrator": dict(self.calibrator),
            "decisions": [decision.to_json() for decision in self.decisions],
            "audit": [dict(entry) for entry in self.audit],
            "baselines": {name: result.to_json() for name, result in self.baselines.items()},
            "findings": [finding.to_json() for finding in self.findings],
            **({} if self.restated is None else {"restated": dict(self.restated)}),
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Evaluation":
        """The inverse of `to_json`; keys that this version does not know are left out.

        Raises:
            BrokenRun: another format, a key is missing, or its value is no quantity, decision or finding.
        """
        if values.get("format") != FORMAT:
            raise BrokenRun(f"evaluation.json: format is {values.get('format')!r}, this version reads {FORMAT!r}.")
        try:
            return Evaluation(
                graph=values["graph"],
                candidates=values["candidates"],
                model=values["model"],
                metrics=_quantities(values["metrics"]),
                at_graph_ratio=_quantities(values["at_graph_ratio"]),
                balanced=_quantities(values["balanced"]),
                fixed_graph=_quantities(values["fixed_graph"]),
                message_graph=values["message_graph"],
                split=values["split"],
                degree_bins=[_with_quantities(each) for each in values["degree_bins"]],
                calibrator=values["calibrator"],
                decisions=[MeasuredDecision.from_json(each) for each in values["decisions"]],
                audit=values["audit"],
                baselines={name: BaselineResult.from_json(each) for name, each in values["baselines"].items()},
                findings=[Finding(**each) for each in values["findings"]],
                time=_with_quantities(values.get("time")),
                restated=values.get("restated"),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BrokenRun(f"evaluation.json: {type(error).__name__}: {error}. Fit the run again.") from error


def _plain(quantities: Mapping[str, Quantity]) -> dict[str, Any]:
    return {name: quantity.to_json() for name, quantity in quantities.items()}


def _quantities(values: Mapping[str, Any]) -> dict[str, Quantity]:
    return {name: Quantity.from_json(value) for name, value in values.items()}


def _to_plain(value: Any) -> Any:
    """Sections whose rows hold quantities among other values, as JSON holds them."""
    if isinstance(value, Quantity):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: _to_plain(each) for name, each in value.items()}
    return [_to_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _with_quantities(value: Any) -> Any:
    """The inverse of `_to_plain`: a quantity is the mapping that has a value."""
    if isinstance(value, Mapping):
        if "value" in value:
            return Quantity.from_json(value)
        return {name: _with_quantities(each) for name, each in value.items()}
    return [_with_quantities(each) for each in value] if isinstance(value, list) else value


def whole(value: float) -> int | float:
    """Whole counts as integers, so that an enumerated design reads as one."""
    return int(value) if float(value).is_integer() else float(value)
