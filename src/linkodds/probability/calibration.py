"""Calibration: the increasing map from a model's logits to probabilities that hold at a stated prevalence.

Fitted on calibration edges and *all* non-edges (or a uniform sample that carries its rate), each class weighted to the
prevalence. Where there is too little to fit, the map falls back step by step, and its `reason` says why:

    platt         logit p = slope * logit + intercept   50 edges or more (10 where logits have no unit of their own)
    bias_only     the intercept alone                   fewer, or a slope that cannot be told from 0
    closed_form   logit prevalence - log odds trained at is added                       no calibration edge at all

By name there are also beta, isotonic and Venn-Abers (`calibration_curves`), which bend. They never fall, so the order of
pairs is kept, though the last two give many pairs one probability. All move to another prevalence by a shift of the log
odds. A map without an intercept (temperature scaling) is refused: it cannot move the prior.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite, log
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from linkodds.errors import BrokenRun, InvertedRanking, ModelError, OptionError
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.metrics import roc_auc
from linkodds.probability.calibration_curves import Curve, curve_from_json, fit_beta, fit_isotonic, fit_venn_abers
from linkodds.probability.platt import Interval, LineFit, Points, fit_bias, fit_platt, weighted_points

Method = Literal["platt", "bias_only", "closed_form", "beta", "isotonic", "venn_abers"]
Choice = Literal["auto", "platt", "bias", "beta", "isotonic", "venn-abers"]

MIN_EDGES_FOR_SLOPE = 50
"""Calibration edges that a slope and an intercept need, about 25 a parameter."""
MIN_EDGES_WITHOUT_UNIT = 10
"""The same for models that were trained at no odds (counts of paths), where a slope of 1 means nothing: fit early."""
EDGES_FOR_STEPS = 1000
"""Calibration edges from which isotonic and Venn-Abers steps rest on enough of them; below, the reason says so."""
FORMAT = "linkodds.calibration/1"


POOLED_FOLDS = 5
SMALL_CALIBRATION, SMALL_GRAPH = 50, 1000
MIN_EDGES_FOR_SPREAD = 10
"""Validation edges from which the ratio of two spreads says more than that both are alike."""


@dataclass(frozen=True)
class Calibrator:
    """logit p = slope * logit + intercept, or a curve, for candidates of which a share `prevalence` are edges.

    Args:
        slope: above 0, so that the order of the pairs is kept.
        intercept: log odds of a pair whose logit is 0, at `prevalence`. Where there is a curve, slope and intercept are
            the line that it replaces (Platt's).
        method: how the two were found.
        prevalence: edges among the candidates that the probabilities are for, in (0, 1).
        num_edges: calibration edges used, all folds together.
        num_non_edges: non-edges of the population that each fold was weighted to.
        odds_trained_at: edges / non-edges in the training loss, weights included; None for models without training.
        reason: why not plain Platt scaling, or what to know about the fit; None where there is nothing to say.
        slope_interval: 95 %, None where the slope was not fitted.
        intercept_interval: 95 %, None where the intercept was not fitted.
        curve: the map from logits to log odds at `prevalence`, for beta, isotonic and venn_abers alone.
    Example:
        >>> calibrator = Calibrator(0.5, -4.0, "platt", 0.01, 200, 19_800, 0.2)
        >>> calibrator.probability(np.array([0.0, 8.0])).round(3).tolist(), calibrator.logit_of(0.5)
        ([0.018, 0.5], 8.0)
        >>> calibrator.at_prevalence(0.001).probability(np.array([8.0])).round(3).tolist()
        [0.09]
        >>> Calibrator.from_json(calibrator.to_json()) == calibrator
        True
    """

    slope: float
    intercept: float
    method: Method
    prevalence: float
    num_edges: int
    num_non_edges: int
    odds_trained_at: float | None = None
    reason: str | None = None
    slope_interval: Interval | None = None
    intercept_interval: Interval | None = None
    curve: Curve | None = None

    def __post_init__(self) -> None:
        if (self.curve is not None) != (self.method in ("beta", "isotonic", "venn_abers")):
            raise ValueError(f"{self.method} {'needs a' if self.curve is None else 'has no'} curve")
        if not (isfinite(self.slope) and self.slope > 0 and isfinite(self.intercept)):
            raise ValueError(f"slope must be above 0 and intercept finite, not {self.slope} and {self.intercept}")
        _check_prevalence(self.prevalence)

    def calibrated_logit(self, logits: ArrayLike) -> Floats:
        """Log odds at `prevalence` of raw logits, any shape, float64."""
        z = np.asarray(logits, dtype=np.float64)
        return self.slope * z + self.intercept if self.curve is None else self.curve.log_odds(z)

    def probability(self, logits: ArrayLike) -> Floats:
        """Probabilities at `prevalence` of raw logits, any shape, float64; rank on logits, these round to 1."""
        return np.asarray(expit(self.calibrated_logit(logits)), dtype=np.float64)

    def logit_of(self, probability: float) -> float:
        """The raw logit that has this probability, in (0, 1); of several the smallest.

        Steps end: minus infinity where every logit has at least this probability, infinity where none has.

        Raises:
            OptionError: a probability outside (0, 1).
        """
        if not 0 < probability < 1:
            raise OptionError(f"a probability threshold lies strictly between 0 and 1, not at {probability}.")
        if self.curve is not None:
            return self.curve.inverse(float(logit(probability)))
        return float((logit(probability) - self.intercept) / self.slope)

    def at_prevalence(self, prevalence: float) -> "Calibrator":
        """The same map for another prevalence: every odds times odds(prevalence) / odds(self.prevalence).

        Exact if edges and non-edges look as they did, and only their shares differ (Saerens, Latinne and Decaestecker,
        Neural Computation 14, 2002).

        Raises:
            OptionError: a prevalence outside (0, 1).
        """
        _check_prevalence(prevalence)
        shift = float(logit(prevalence) - logit(self.prevalence))
        interval = self.intercept_interval
        moved = None if interval is None else (interval[0] + shift, interval[1] + shift)
        curve = None if self.curve is None else self.curve.shifted(shift)
        intercept = self.intercept + shift
        return replace(self, intercept=intercept, prevalence=prevalence, intercept_interval=moved, curve=curve)

    def to_json(self) -> dict[str, Any]:
        """The calibrator as calibration.json holds it."""
        values = asdict(self)
        intervals = {name: values[name] and list(values[name]) for name in ("slope_interval", "intercept_interval")}
        curve = None if self.curve is None else self.curve.to_json()
        return {"format": FORMAT, "calibrator": values.pop("method"), **values, **intervals, "curve": curve}

    @staticmethod
    def from_json(values: dict[str, Any]) -> "Calibrator":
        """The inverse of `to_json`.

        Raises:
            BrokenRun: another format, a missing key, or values that no calibrator has.
        """
        if values.get("format") != FORMAT:
            raise BrokenRun(f"calibration.json: format is {values.get('format')!r}, this version reads {FORMAT!r}.")
        try:
            odds = values["odds_trained_at"]
            return Calibrator(
                slope=float(values["slope"]),
                intercept=float(values["intercept"]),
                method=_method(values["calibrator"]),
                prevalence=float(values["prevalence"]),
                num_edges=int(values["num_edges"]),
                num_non_edges=int(values["num_non_edges"]),
                odds_trained_at=None if odds is None else float(odds),
                reason=values["reason"],
                slope_interval=_interval(values["slope_interval"]),
                intercept_interval=_interval(values["intercept_interval"]),
                curve=None if values["curve"] is None else curve_from_json(values["curve"]),
            )
        except (KeyError, TypeError, ValueError, OptionError) as error:
            raise BrokenRun(f"calibration.json: {type(error).__name__}: {error}. Fit the run again.") from error


def fit_calibrator(
    held_out: Sequence[HeldOut],
    *,
    prevalence: float,
    odds_trained_at: float | None,
    choice: Choice = "auto",
    cause_of_inversion: str | None = None,
) -> Calibrator:
    """A calibrator at a prevalence, by default weighted Platt scaling, with the fallbacks named at the top of this module.

    Platt scaling minimises prevalence * mean over edges of softplus(-f) + (1 - prevalence) * mean over non-edges of
    softplus(f), f = slope * logit + intercept. If some slope separates all edges from all non-edges the minimum lies at
    infinity; then, and only then, the targets 1 and 0 become (n + 1) / (n + 2) and 1 / (m + 2) for n edges and m
    non-edges (Platt, Advances in Large Margin Classifiers, 1999).

    Intervals are for this design: the numbers of edges and non-edges are fixed, edges are a random draw, non-edges are
    known unless they were sampled. Sandwich covariance; edges that share nodes are taken as independent.

    Args:
        held_out: calibration edges and the non-edges, one a fold; folds weigh alike in the non-edges, edges are pooled.
        prevalence: edges among the candidates that probabilities are wanted for, in (0, 1).
        odds_trained_at: effective edges / non-edges of the training loss; None for models that were not trained.
        choice: auto is bias below the number of edges that a slope needs, and platt from there on. A named one is
            fitted with any number of edges; where it cannot be fitted it falls back as Platt scaling does.
        cause_of_inversion: what an inverted ranking comes from, where that is known; None: swapped labels are looked for.
    Raises:
        InvertedRanking: the slope is below 0 beyond its 95 % interval and the AUC is below 0.5.
        ModelError: no calibration edge and no odds to fall back on.
        OptionError: a prevalence outside (0, 1), odds that are not above 0, or a choice that is none.
    Example:
        >>> rng = np.random.default_rng(0)
        >>> sample = HeldOut.from_logits(rng.normal(2.0, 1.0, 500), rng.normal(0.0, 1.0, 50_000), 50_000)
        >>> calibrator = fit_calibrator([sample], prevalence=0.01, odds_trained_at=1.0)
        >>> calibrator.method, round(calibrator.slope, 1), round(calibrator.intercept)   # truth: 2 z - 2 + logit 0.01
        ('platt', 2.0, -7)
    """
    _check_prevalence(prevalence)
    if odds_trained_at is not None and not (isfinite(odds_trained_at) and odds_trained_at > 0):
        raise OptionError(f"odds_trained_at is a number above 0, or None, not {odds_trained_at}.")
    if choice not in get_args(Choice):
        raise OptionError(refusal_of(choice, prevalence, odds_trained_at))
    num_edges = sum(len(sample.edge_logits) for sample in held_out)
    num_non_edges = int(held_out[0].non_edges.num_non_edges) if held_out else 0

    def calibrator(method: Method, fit: LineFit, reason: str | None, curve: Curve | None = None) -> Calibrator:
        return Calibrator(
            slope=fit.slope,
            intercept=fit.intercept,
            method=method,
            prevalence=prevalence,
            num_edges=num_edges,
            num_non_edges=num_non_edges,
            odds_trained_at=odds_trained_at,
            reason=reason,
            slope_interval=fit.slope_interval,
            intercept_interval=fit.intercept_interval,
            curve=curve,
        )

    if num_edges == 0:
        if odds_trained_at is None:
            raise ModelError(
                "there is no calibration edge, and the model was trained at no known odds: its logits cannot become "
                "probabilities. Give calibration edges with --split."
            )
        exact = LineFit(1.0, float(logit(prevalence)) - log(odds_trained_at), None, None)
        return calibrator("closed_form", exact, "no calibration edge: the odds trained at give way to the prevalence")

    points = weighted_points(held_out, prevalence)
    if points.logits.max() == points.logits.min():
        why = f"all logits are {points.logits[0]:.6g}: every pair gets the prevalence"
        return calibrator("bias_only", fit_bias(points, 1.0), why)
    # Logits of an untrained model have no unit; where its slope cannot be fitted one standard deviation serves as one.
    unit = 1.0 if odds_trained_at is not None else 1.0 / points.deviation()
    needed = MIN_EDGES_WITHOUT_UNIT if odds_trained_at is None else MIN_EDGES_FOR_SLOPE
    if choice == "bias":
        return calibrator("bias_only", fit_bias(points, unit), f"asked for: the slope stays at {unit:.3g}")
    if choice == "auto" and num_edges < needed:
        why = f"{num_edges} calibration edges, {needed} are needed to fit a slope: it stays at {unit:.3g}"
        return calibrator("bias_only", fit_bias(points, unit), why)

    fit = fit_platt(points)
    if fit is None:
        why = f"the slope cannot be estimated, because a few logits are extreme: it stays at {unit:.3g}"
        return calibrator("bias_only", fit_bias(points, unit), why)
    if fit.slope <= 0:
        low, high = fit.slope_interval or (fit.slope, fit.slope)
        auc = float(np.mean([roc_auc(sample) for sample in held_out]))
        seen = f"slope {fit.slope:.3g} (95 %: {low:.3g} to {high:.3g}), AUC {auc:.3f}, {num_edges} calibration edges"
        if high < 0 and auc < 0.5:
            why = cause_of_inversion or (
                "Check that edges and non-edges are not swapped and that larger means likelier (negate a distance); "
                "otherwise train longer, or use another --model."
            )
            raise InvertedRanking(
                f"non-edges rank above edges: {seen}. No increasing map makes such logits probabilities. {why}"
            )
        # A slope of 1 on logits that say nothing is overconfident: take the largest slope that the data allow.
        allowed = min(unit, high) if high > 0 else unit
        why = f"no slope above 0 fits, so the largest that may be true is taken, {allowed:.3g}: {seen}"
        return calibrator("bias_only", fit_bias(points, allowed), why)
    if choice in ("beta", "isotonic", "venn-abers"):
        curve = _fit_curve(choice, points, prevalence)
        if curve is not None:
            method: Method = "venn_abers" if choice == "venn-abers" else choice
            return calibrator(method, fit, _about(choice, num_edges), curve)
        return calibrator("platt", fit, f"no finite {choice} curve fits these logits: a straight line in its place")
    if points.separated:
        why = (
            f"no non-edge ranks above any of {num_edges} calibration edges: targets smoothed, the true slope is larger"
        )
    elif odds_trained_at is None:
        why = (
            f"{num_edges} calibration edges, fewer than {MIN_EDGES_FOR_SLOPE}, but these logits have no unit of their "
            "own, so the slope is fitted all the same: mind its interval"
        )
    else:
        why = f"asked for: {num_edges} calibration edges, fewer than {MIN_EDGES_FOR_SLOPE}; mind the slope's interval"
    return calibrator("platt", fit, why if points.separated or num_edges < MIN_EDGES_FOR_SLOPE else None)


def refusal_of(choice: str, prevalence: float | None = None, odds_trained_at: float | None = None) -> str:
    """Why a calibrator that is not offered is not, in words, with the numbers where they are known.

    Example:
        >>> print(refusal_of("temperature", prevalence=1e-4, odds_trained_at=1.0))
        temperature scaling is a slope without an intercept and cannot move the prior: the model was trained at log odds
        0.00, the candidates are at -9.21. Take platt, or bias.
    """
    if choice != "temperature":
        return f"no calibrator is called {choice!r}; there are {', '.join(get_args(Choice))}."
    numbers = ""
    if prevalence is not None and odds_trained_at is not None:
        trained, wanted = log(odds_trained_at), float(logit(prevalence))
        numbers = f": the model was trained at log odds {trained:.2f}, the candidates are at {wanted:.2f}"
    why = f"temperature scaling is a slope without an intercept and cannot move the prior{numbers}."
    return f"{why} Take platt, or bias."


def _about(choice: Choice, num_edges: int) -> str:
    """What to know of a curve that was asked for."""
    if choice == "beta":
        return "asked for"
    few = f", fewer than the {EDGES_FOR_STEPS} that steps need" if num_edges < EDGES_FOR_STEPS else ""
    if choice == "isotonic":
        return f"asked for: steps on {num_edges} calibration edges{few}"
    return (
        f"asked for: on {num_edges} calibration edges{few}; Venn-Abers is valid at the sample's own share of edges, "
        "and a heuristic at the prevalence of the candidates"
    )


def _fit_curve(choice: Choice, points: Points, prevalence: float) -> Curve | None:
    edges, non_edges = np.split(points.logits, [points.num_edges])
    edge_weights, non_edge_weights = np.split(points.weights, [points.num_edges])
    if choice == "isotonic":
        return fit_isotonic(
            edges, non_edges, edge_weights=edge_weights, non_edge_weights=non_edge_weights, prevalence=prevalence
        )
    if choice == "beta":
        if points.separated:
            return None
        return fit_beta(edges, non_edges, edge_weights=edge_weights, non_edge_weights=non_edge_weights)
    scored = non_edge_weights / non_edge_weights.sum() * points.num_scored
    share = points.num_edges / (points.num_edges + points.num_scored)
    return fit_venn_abers(edges, non_edges, scored).shifted(float(logit(prevalence) - logit(share)))


def _check_prevalence(prevalence: float) -> None:
    if not 0 < prevalence < 1:
        raise OptionError(f"a prevalence lies strictly between 0 and 1, not at {prevalence}.")


def _method(text: str) -> Method:
    if text not in get_args(Method):
        raise ValueError(f"no calibrator is called {text!r}")
    return text  # type: ignore[return-value]


def _interval(values: list[float] | None) -> Interval | None:
    return None if values is None else (float(values[0]), float(values[1]))


def choose_folds(asked: int | None, split: Split) -> int:
    """What --folds says, else 5 in a graph with under 1,000 edges and 50 of calibration, else 1.

    Example:
        >>> from linkodds.pairs import PairSpace
        >>> edges = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
        >>> split = Split(edges[:3], edges[4:5], edges[3:4], edges[5:], PairSpace(4))
        >>> choose_folds(None, split), choose_folds(2, split)
        (4, 2)
    """
    if asked is not None:
        return asked
    if split.times is not None:  # folds would mix the times
        return 1
    num_edges, pool = len(split.recorded().pairs), len(split.train) + len(split.calibration)
    is_small = len(split.calibration) < SMALL_CALIBRATION and num_edges < SMALL_GRAPH
    return min(POOLED_FOLDS, pool) if is_small else 1


def on_the_scale_of_the_mean(
    logits: Floats, validation: Floats, of_mean: Floats, *, are_counts: bool = False
) -> Floats:
    """Logits of one model's own fold, as the mean of all models would give them to edges that none has seen.

    The validation edges say how: mean and standard deviation of their logits become those that they have under the mean.
    How lucky the draw of the validation edges was hardly matters, for it is the same draw on both sides, and what is
    moved is little.

    Args:
        logits: shape (edges,), of the fold's edges by its model.
        validation: shape (validation edges,), by the same model.
        of_mean: shape (validation edges,), by the mean, in the same order.
        are_counts: logits are log(1 + count), of which many are 0 and stay 0: only their mean is taken over.
    Example:
        >>> on_the_scale_of_the_mean(np.array([1.0, 3.0]), np.linspace(0, 2, 11), np.linspace(1, 2, 11))
        array([1.5, 2.5])
    """
    if are_counts:
        total = float(validation.sum())
        return logits * (float(of_mean.sum()) / total if total > 0 else 1.0)
    deviation = float(validation.std())
    enough = len(validation) >= MIN_EDGES_FOR_SPREAD and deviation > 0
    ratio = float(of_mean.std()) / deviation if enough else 1.0
    return np.asarray(of_mean.mean() + (ratio or 1.0) * (logits - validation.mean()))
