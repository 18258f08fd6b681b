"""An evaluation in words: does the model earn its keep, how did its first hundred candidates fare, is it calibrated.

Everything here reads the `Evaluation` alone, so that it can say nothing that was not saved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from linkodds.evaluation.evaluation import Evaluation
from linkodds.formatting import interval_of, number_of, number_text, plain_text, quantity_text, ratio_text
from linkodds.metrics.intervals import Quantity

Tone = Literal["good", "mixed", "bad"]

METRICS: dict[str, tuple[str, str]] = {
    "average_precision": ("average precision", "area under precision-recall; a random order gives the prevalence"),
    "average_precision_lift": ("lift", "average precision / prevalence; a random order gives 1"),
    "precision_at_100": ("precision at 100", "share of held-out edges among the first 100 candidates"),
    "r_precision": ("R-precision", "the same among as many candidates as there are held-out edges"),
    "best_f1": ("best F1", "the best that any threshold reaches on the test edges; no rule is promised it"),
    "roc_auc": ("ROC AUC", "an edge ranks above a non-edge; says little at this imbalance"),
    "hits_at_20": ("hits at 20", "share of held-out edges with fewer than 20 non-edges at or above"),
    "hits_at_50": ("hits at 50", "the same with 50 non-edges"),
    "hits_at_100": ("hits at 100", "the same with 100 non-edges"),
    "mrr": ("mean reciprocal rank", "of each edge among all candidates of its ends"),
    "log_loss": ("log loss", "nats a candidate, of the calibrated probabilities"),
    "log_loss_skill": ("log loss skill", "1 is perfect, 0 is the constant prevalence"),
    "brier_skill": ("Brier skill", "1 is perfect, 0 is the constant prevalence"),
    "observed_over_expected": (
        "observed / expected",
        "edges seen / sum of probabilities; near 1 for anything calibrated on edges like these, so look at slope and degrees",
    ),
    "calibration_slope": ("calibration slope", "1 is right; below, probabilities are too extreme; above, too timid"),
    "calibration_intercept": ("calibration intercept", "0 is right; the natural log odds to add"),
    "relative_ece": (
        "relative calibration error",
        "expected minus observed edges over bins of probability, in shares of the edges",
    ),
    "degree_relative_ece": ("calibration error by degree", "the same over fifths of the edges by degree product"),
}
"""Key in evaluation.json -> what people call it, and how to read it."""

INTERVALS_NOTE = (
    "Intervals are for this split, had other edges been held out. They leave out the split itself, the seed, and that pairs "
    "share nodes: another fit may well land outside."
)
AUDIT_NOTE = (
    "At each alpha, lists are false to at most that share on average over repetitions; a single list may hold more. False "
    "means not in the record. Choose alpha beforehand: a row picked for its result does not keep its error rate."
)
"""Said once beside the numbers they are about, in the terminal and in the report."""

_FINE = (0.8, 1.25)  # slope and observed / expected that need no correction
_FINE_IN_FIFTH = (0.5, 2.0)


@dataclass(frozen=True)
class Verdict:
    """What a reader has to know first.

    Args:
        headline: does the model earn its keep against the best baseline?
        details: the first hundred candidates, the calibration, and what forbids to use the results, one sentence each.
        tone: good (earns its keep and is calibrated), bad (worse than a baseline, or an error was found), mixed.
    """

    headline: str
    details: tuple[str, ...]
    tone: Tone

    @property
    def sentence(self) -> str:
        """Everything in one line."""
        return " ".join((self.headline, *self.details))


def verdict(evaluation: Evaluation) -> Verdict:
    """Say in words whether the model earns its keep, how its first hundred candidates fared, and if it is calibrated.

    "Better" and "worse" need the 95 % interval of the difference in average precision to leave out 0, the same test edges
    ranked by both (in runs of before, the interval of the model's average precision to leave out the baseline's value);
    "better" also needs the model to be above chance. In between the answer is "no better than".
    """
    headline, ranking = _ranking(evaluation)
    calibration, is_calibrated = _calibration(evaluation)
    errors = [finding.id for finding in evaluation.findings if finding.severity == "error"]
    details = [_first_hundred(evaluation), calibration]
    if errors:
        details.insert(
            0, f"Do not use these numbers yet: {', '.join(map(plain_text, errors))} is reported as an error below."
        )
    if (future := _future(evaluation)) is not None:
        details.append(future)
    tone: Tone = "mixed"
    if errors or ranking == "worse":
        tone = "bad"
    elif ranking == "better" and is_calibrated:
        tone = "good"
    return Verdict(headline, tuple(details), tone)


def best_baseline(evaluation: Evaluation) -> tuple[str, float] | None:
    """Name and average precision of the best baseline other than the model itself; None when there is none.

    The best on the validation edges, as the model was chosen; on the test edges in runs of before, which say no more.
    """
    others = {name: each for name, each in evaluation.baselines.items() if name != evaluation.model["name"]}
    if not others:
        return None
    on_validation = [each.validation_average_precision for each in others.values()]
    is_known = None not in on_validation
    best = max(
        others,
        key=lambda name: (
            (others[name].validation_average_precision or 0.0) if is_known else others[name].average_precision
        ),
    )
    return best, others[best].average_precision


def base_rates(evaluation: Evaluation) -> dict[str, str]:
    """The two base rates, which are never the same number, each as "1 : absent pairs per edge" with its counts."""
    graph, candidates = evaluation.graph, evaluation.candidates
    edges, pairs = number_text(graph["num_edges"]), number_text(graph["num_pairs"])
    restated = evaluation.restated
    held_out_rate = restated["from"] if restated else candidates["prevalence"]
    held_out, among = number_text(candidates["num_edges"]), number_text(candidates["num_pairs"])
    rates = {
        "graph": f"{ratio_text(evaluation.graph_ratio)} ({edges} edges among {pairs} pairs)",
        "rehearsal": f"{ratio_text(held_out_rate)} ({held_out} held-out edges among {among} candidates)",
    }
    if restated:
        rates["restated at"] = f"{ratio_text(restated['prevalence'])} (every figure below)"
    return rates


@dataclass(frozen=True)
class ComparisonRow:
    """One row of the comparison: the model or a baseline; None where a number is not known.

    Args:
        name: of the model or baseline.
        is_model: whether it is the model.
        average_precision: with the degree term where it has one.
        roc_auc: likewise.
        lift: average precision / prevalence.
        uncorrected: average precision of a baseline without a degree term.
    """

    name: str
    is_model: bool
    average_precision: float | None
    roc_auc: float | None
    lift: float | None
    uncorrected: float | None = None


def comparison(evaluation: Evaluation) -> list[ComparisonRow]:
    """The model first, then the baselines from best to worst average precision."""
    prevalence, metrics = evaluation.candidates["prevalence"], evaluation.metrics

    def row(name: str, precision: float | None, roc_auc: float | None, *, is_model: bool = False) -> ComparisonRow:
        lift = None if precision is None or prevalence <= 0 else precision / prevalence
        uncorrected = None if is_model else evaluation.baselines[name].average_precision_uncorrected
        return ComparisonRow(plain_text(name, 60), is_model, precision, roc_auc, lift, uncorrected)

    model = evaluation.model["name"]
    baselines = [
        row(name, each.average_precision, each.roc_auc) for name, each in evaluation.baselines.items() if name != model
    ]
    precision, roc_auc = number_of(metrics.get("average_precision")), number_of(metrics.get("roc_auc"))
    return [
        row(model, precision, roc_auc, is_model=True),
        *sorted(baselines, key=lambda each: -(each.average_precision or -1.0)),
    ]


def _ranking(evaluation: Evaluation) -> tuple[str, Literal["better", "no better", "worse"]]:
    name = _name(evaluation.model)
    quantity = evaluation.metrics.get("average_precision")
    value, interval, best = number_of(quantity), interval_of(quantity), best_baseline(evaluation)
    if value is None:
        return "Average precision is not available, so nothing can be said about the ranking.", "no better"
    measured = f"its average precision of {quantity_text(quantity)}"
    if interval and interval[1] <= evaluation.candidates["prevalence"]:
        return f"{name} ranks no better than chance: {measured} is not above the prevalence.", "worse"
    if best is None and evaluation.restated is not None:
        at = ratio_text(evaluation.candidates["prevalence"])
        said = f"Restated at {at}, {name} has {measured.removeprefix('its ')}"
        return f"{said}; the baselines were measured at the run's own base rate alone.", "no better"
    if best is None:
        return f"{name} was compared with no baseline: {measured} stands alone.", "no better"
    kind = "other baseline" if evaluation.model["name"] in evaluation.baselines else "baseline"
    other = f"the {number_text(best[1])} of the best {kind}, {plain_text(best[0], 60)}"
    if kind == "other baseline":
        name = f"{name}, itself a baseline that learns nothing,"
    if interval is None:
        return (
            f"{name} cannot be told from a baseline: {measured} has no interval to hold against {other}.",
            "no better",
        )
    as_good = "" if kind == "other baseline" else ", so counting is as good"
    gain = evaluation.baselines[best[0]].gain
    low, high = interval[0] - best[1], interval[1] - best[1]
    said = "the interval covers it"
    if gain is not None:
        low, high = interval_of(gain) or (-1.0, 1.0)
        said = f"on the same test edges the difference is {quantity_text(gain)}"
    if low > 0 and interval[0] > evaluation.candidates["prevalence"]:
        times = f", {number_text(value / best[1])} times as much" if best[1] > 0 else ""
        return f"{name} earns its keep: {measured} is better than {other}{times}.", "better"
    if high < 0:
        return f"{name} does not earn its keep: {measured} is worse than {other}: use that instead.", "worse"
    if low > 0:
        return (
            f"{name} does not clearly earn its keep: {measured} is not clearly above the prevalence, that of chance.",
            "no better",
        )
    return (
        f"{name} does not clearly earn its keep: {measured} is no better than {other} ({said}){as_good}.",
        "no better",
    )


def _name(model: Mapping[str, Any]) -> str:
    """Of the model; a mean that auto took is named by its members."""
    members = [plain_text(each, 60) for each in model.get("members") or ()]
    if len(members) < 2:
        return plain_text(model["name"], 60)
    return f"the mean of {', '.join(members[:-1])} and {members[-1]}"


def _first_hundred(evaluation: Evaluation) -> str:
    quantity = evaluation.metrics.get("precision_at_100")
    share = number_of(quantity)
    if share is None:
        return f"Precision among its first 100 candidates: {quantity_text(quantity)}."
    candidates = evaluation.candidates
    few = f" (there were {candidates['num_edges']} to find)" if candidates["num_edges"] < 100 else ""
    found, by_chance = number_text(round(100 * share, 1)), number_text(100 * candidates["prevalence"])
    if evaluation.restated is not None:  # an expectation at another base rate: nobody has seen it
        return f"{found} of its first 100 candidates would be edges, where a random order finds {by_chance}."
    rate = ratio_text(candidates["prevalence"])
    return (
        f"In the rehearsal, at {rate}, {found} of its first 100 candidates were held-out edges{few}, "
        f"where a random order finds {by_chance}."
    )


def _future(evaluation: Evaluation) -> str | None:
    """What was learnt when and measured when, of a split by time."""
    time = evaluation.time
    if not time:
        return None
    train, test = time["parts"]["train"], time["parts"]["test"]
    ends = [plain_text(each, 40) for each in (train["last"], test["first"], test["last"])]
    return (
        f"The split is by time (column {plain_text(time['column'], 40)!r}): learnt from edges up to {ends[0]}, measured on those "
        f"from {ends[1]} to {ends[2]}. Claims about the future rest on this split alone."
    )


def _calibration(evaluation: Evaluation) -> tuple[str, bool]:
    metrics = evaluation.metrics
    slope, ratio = metrics.get("calibration_slope"), metrics.get("observed_over_expected")
    if number_of(slope) is None or number_of(ratio) is None:
        return "Calibration could not be judged.", False
    measured = f"slope {quantity_text(slope)}, observed / expected {quantity_text(ratio)}"
    faults = []
    if (side := _side(slope, _FINE)) != "fine":
        faults.append("probabilities are too extreme" if side == "below" else "probabilities are too timid")
    if (side := _side(ratio, _FINE)) != "fine":
        faults.append("too many edges are expected" if side == "below" else "too few edges are expected")
    if faults:
        return f"Calibration is off: {' and '.join(faults)} ({measured}).", False
    for fifth in evaluation.degree_bins:
        quantity, name = fifth["observed_over_expected"], plain_text(fifth["name"], 40)
        if (side := _side(quantity, _FINE_IN_FIFTH)) != "fine":
            many = "too many" if side == "below" else "too few"
            faults.append(f"{many} edges are expected in the {name} fifth by degree ({quantity_text(quantity)})")
    if faults:
        return f"Calibration is fine on the whole ({measured}), but {' and '.join(faults)}.", False
    if all(_FINE[0] <= (number_of(quantity) or 0.0) <= _FINE[1] for quantity in (slope, ratio)):
        return f"Calibration is fine: {measured}.", True
    return f"Calibration is not shown to be off, though the intervals are wide: {measured}.", True


def _side(quantity: Quantity | None, fine: tuple[float, float]) -> Literal["below", "fine", "above"]:
    """Where a quantity that should be 1 lies; not fine only if its interval, where it has one, leaves 1 out."""
    value = number_of(quantity)
    if value is None or fine[0] <= value <= fine[1]:
        return "fine"
    low, high = interval_of(quantity) or (value, value)
    return "below" if high < 1 else "above" if low > 1 else "fine"
