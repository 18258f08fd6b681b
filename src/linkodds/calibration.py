"""Calibration: the increasing map from a model's logits to probabilities that hold at a stated prevalence.

Fitted on calibration edges and *all* non-edges (or a uniform sample that carries its rate), each class weighted to the
prevalence. Where there is too little to fit, the map falls back step by step, and its `reason` says why:

    platt         logit p = slope * logit + intercept   50 edges or more (10 where logits have no unit of their own)
    bias_only     the intercept alone                   fewer, or a slope that cannot be told from 0
    closed_form   logit prevalence - log odds trained at is added                       no calibration edge at all

A map without an intercept (temperature scaling) is not offered: it cannot move the prior.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite, log
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit

from linkodds.errors import BrokenRun, InvertedRanking, ModelError, OptionError
from linkodds.held_out import HeldOut
from linkodds.intervals import Z95
from linkodds.logistic import fit_line
from linkodds.logit_bins import Floats
from linkodds.metrics import roc_auc

Method = Literal["platt", "bias_only", "closed_form"]
Interval = tuple[float, float]

MIN_EDGES_FOR_SLOPE = 50
"""Calibration edges that a slope and an intercept need, about 25 a parameter."""
MIN_EDGES_WITHOUT_UNIT = 10
"""The same for models that were trained at no odds (counts of paths), where a slope of 1 means nothing: fit early."""
FORMAT = "linkodds.calibration/1"


@dataclass(frozen=True)
class Calibrator:
    """logit p = slope * logit + intercept, for candidates of which a share `prevalence` are edges.

    Args:
        slope: above 0, so that the order of the pairs is kept.
        intercept: log odds of a pair whose logit is 0, at `prevalence`.
        method: how the two were found.
        prevalence: edges among the candidates that the probabilities are for, in (0, 1).
        num_edges: calibration edges used, all folds together.
        num_non_edges: non-edges of the population that each fold was weighted to.
        odds_trained_at: edges / non-edges in the training loss, weights included; None for models without training.
        reason: why not plain Platt scaling, or what to know about the fit; None where there is nothing to say.
        slope_interval: 95 %, None where the slope was not fitted.
        intercept_interval: 95 %, None where the intercept was not fitted.
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

    def __post_init__(self) -> None:
        if not (isfinite(self.slope) and self.slope > 0 and isfinite(self.intercept)):
            raise ValueError(f"slope must be above 0 and intercept finite, not {self.slope} and {self.intercept}")
        _check_prevalence(self.prevalence)

    def calibrated_logit(self, logits: ArrayLike) -> Floats:
        """Log odds at `prevalence` of raw logits, any shape, float64."""
        return self.slope * np.asarray(logits, dtype=np.float64) + self.intercept

    def probability(self, logits: ArrayLike) -> Floats:
        """Probabilities at `prevalence` of raw logits, any shape, float64; rank on logits, these round to 1."""
        return np.asarray(expit(self.calibrated_logit(logits)), dtype=np.float64)

    def logit_of(self, probability: float) -> float:
        """The raw logit that has this probability, in (0, 1).

        Raises:
            OptionError: a probability outside (0, 1).
        """
        if not 0 < probability < 1:
            raise OptionError(f"a probability threshold lies strictly between 0 and 1, not at {probability}.")
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
        return replace(self, intercept=self.intercept + shift, prevalence=prevalence, intercept_interval=moved)

    def to_json(self) -> dict[str, Any]:
        """The calibrator as calibration.json holds it."""
        values = asdict(self)
        intervals = {name: values[name] and list(values[name]) for name in ("slope_interval", "intercept_interval")}
        return {"format": FORMAT, "calibrator": values.pop("method"), **values, **intervals}

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
            )
        except (KeyError, TypeError, ValueError, OptionError) as error:
            raise BrokenRun(f"calibration.json: {type(error).__name__}: {error}. Fit the run again.") from error


def fit_calibrator(held_out: Sequence[HeldOut], *, prevalence: float, odds_trained_at: float | None) -> Calibrator:
    """Weighted Platt scaling at a prevalence, with the fallbacks named at the top of this module.

    Minimises prevalence * mean over edges of softplus(-f) + (1 - prevalence) * mean over non-edges of softplus(f),
    f = slope * logit + intercept. If some slope separates all edges from all non-edges the minimum lies at infinity;
    then, and only then, the targets 1 and 0 become (n + 1) / (n + 2) and 1 / (m + 2) for n edges and m non-edges
    (Platt, Advances in Large Margin Classifiers, 1999).

    Intervals are for this design: the numbers of edges and non-edges are fixed, edges are a random draw, non-edges are
    known unless they were sampled. Sandwich covariance; edges that share nodes are taken as independent.

    Args:
        held_out: calibration edges and the non-edges, one a fold; folds weigh alike in the non-edges, edges are pooled.
        prevalence: edges among the candidates that probabilities are wanted for, in (0, 1).
        odds_trained_at: effective edges / non-edges of the training loss; None for models that were not trained.
    Raises:
        InvertedRanking: the slope is below 0 beyond its 95 % interval and the AUC is below 0.5.
        ModelError: no calibration edge and no odds to fall back on.
        OptionError: a prevalence outside (0, 1), or odds that are not above 0.
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
    num_edges = sum(len(sample.edge_logits) for sample in held_out)
    num_non_edges = int(held_out[0].non_edges.num_non_edges) if held_out else 0

    def calibrator(method: Method, fit: "_Fit", reason: str | None) -> Calibrator:
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
        )

    if num_edges == 0:
        if odds_trained_at is None:
            raise ModelError(
                "there is no calibration edge, and the model was trained at no known odds: its logits cannot become "
                "probabilities. Give calibration edges with --split."
            )
        exact = _Fit(1.0, float(logit(prevalence)) - log(odds_trained_at), None, None)
        return calibrator("closed_form", exact, "no calibration edge: the odds trained at give way to the prevalence")

    points = _points(held_out, prevalence)
    if points.logits.max() == points.logits.min():
        why = f"all logits are {points.logits[0]:.6g}: every pair gets the prevalence"
        return calibrator("bias_only", _fit_bias(points, 1.0), why)
    # Logits of an untrained model have no unit; where its slope cannot be fitted one standard deviation serves as one.
    unit = 1.0 if odds_trained_at is not None else 1.0 / points.deviation()
    needed = MIN_EDGES_WITHOUT_UNIT if odds_trained_at is None else MIN_EDGES_FOR_SLOPE
    if num_edges < needed:
        why = f"{num_edges} calibration edges, {needed} are needed to fit a slope: it stays at {unit:.3g}"
        return calibrator("bias_only", _fit_bias(points, unit), why)

    fit = _fit_platt(points)
    if fit is None:
        why = f"no slope can be told from these logits, of which a few lie far out: it stays at {unit:.3g}"
        return calibrator("bias_only", _fit_bias(points, unit), why)
    if fit.slope <= 0:
        low, high = fit.slope_interval or (fit.slope, fit.slope)
        auc = float(np.mean([roc_auc(sample) for sample in held_out]))
        seen = f"slope {fit.slope:.3g} (95 %: {low:.3g} to {high:.3g}), AUC {auc:.3f}, {num_edges} calibration edges"
        if high < 0 and auc < 0.5:
            raise InvertedRanking(
                f"non-edges rank above edges: {seen}. No increasing map makes such logits probabilities. Check that "
                "edges and non-edges are not swapped and that larger means likelier (negate a distance); otherwise "
                "train longer, or use another --model."
            )
        # A slope of 1 on logits that say nothing is overconfident: take the largest slope that the data allow.
        allowed = min(unit, high) if high > 0 else unit
        why = f"no slope above 0 fits, so the largest that may be true is taken, {allowed:.3g}: {seen}"
        return calibrator("bias_only", _fit_bias(points, allowed), why)
    if points.separated:
        why = (
            f"no non-edge ranks above any of {num_edges} calibration edges: targets smoothed, the true slope is larger"
        )
    else:
        why = (
            f"{num_edges} calibration edges, fewer than {MIN_EDGES_FOR_SLOPE}, but these logits have no unit of their "
            "own, so the slope is fitted all the same: mind its interval"
        )
    return calibrator("platt", fit, why if points.separated or num_edges < MIN_EDGES_FOR_SLOPE else None)


@dataclass(frozen=True)
class _Fit:
    slope: float
    intercept: float
    slope_interval: Interval | None
    intercept_interval: Interval | None


@dataclass(frozen=True, eq=False)
class _Points:
    """Edges, then non-edges, as weighted points whose weights sum to the prevalence and to its complement."""

    logits: Floats
    weights: Floats
    targets: Floats
    num_edges: int
    separated: bool
    sampling_variance: float
    """Variance of a mean over the non-edges, in units of the variance among them: 0 when all were scored."""

    def deviation(self) -> float:
        """Standard deviation of the non-edge logits (of all logits, should they be constant)."""
        z, w = self.logits[self.num_edges :], self.weights[self.num_edges :]
        spread = float(np.sqrt(np.average((z - np.average(z, weights=w)) ** 2, weights=w)))
        return spread or float(np.std(self.logits))

    def score_covariance(self, of_edges: Floats, of_non_edges: Floats) -> Floats:
        """Covariance of the weighted sum of per-point scores, (points, k) each: edges drawn, non-edges known or sampled."""
        weights = self.weights[: self.num_edges], self.weights[self.num_edges :]
        variances = 1 / max(self.num_edges - 1, 1), self.sampling_variance
        parts = zip((of_edges, of_non_edges), weights, variances, strict=True)
        return np.asarray(sum(variance * w.sum() ** 2 * _covariance(rows, w) for rows, w, variance in parts))


def _points(held_out: Sequence[HeldOut], prevalence: float) -> _Points:
    edges = np.concatenate([sample.edge_logits for sample in held_out]).astype(np.float64)
    parts = [sample.non_edges.bins.points() for sample in held_out]
    non_edges = np.concatenate([z for z, _ in parts])
    mass = np.concatenate([w / w.sum() for _, w in parts]) / len(parts)
    num_scored = np.array([float(sample.non_edges.num_scored) for sample in held_out])
    rates = num_scored / np.array([float(sample.non_edges.num_non_edges) for sample in held_out])
    separated = bool(non_edges.max() <= edges.min() or edges.max() <= non_edges.min())
    n, m = len(edges), num_scored.sum()
    target_of_edge, target_of_non_edge = ((n + 1) / (n + 2), 1 / (m + 2)) if separated else (1.0, 0.0)
    return _Points(
        logits=np.concatenate([edges, non_edges]),
        weights=np.concatenate([np.full(n, prevalence / n), (1 - prevalence) * mass]),
        targets=np.concatenate([np.full(n, target_of_edge), np.full(len(non_edges), target_of_non_edge)]),
        num_edges=n,
        separated=separated,
        sampling_variance=float(np.sum((1 - rates) / num_scored)) / len(parts) ** 2,
    )


def _covariance(rows: Floats, weights: Floats) -> Floats:
    centred = rows - np.average(rows, axis=0, weights=weights)
    return np.asarray(centred.T @ (centred * (weights / weights.sum())[:, None]))


def _fit_platt(points: _Points) -> _Fit | None:
    edges, non_edges = slice(None, points.num_edges), slice(points.num_edges, None)
    z, w, y = points.logits, points.weights, points.targets
    line = fit_line(
        z[edges],
        z[non_edges],
        edge_weights=w[edges],
        non_edge_weights=w[non_edges],
        targets=(float(y[0]), float(y[-1])),
    )
    if line is None:
        return None
    if points.separated or np.ptp(z[edges]) == 0:
        # Edges that all look alike, or lie beyond the line's steep part, have no spread of their own: take the model's.
        of_scores = line.information * float(w[edges].sum()) / points.num_edges
    else:
        of_scores = points.score_covariance(line.edge_scores, line.non_edge_scores)
    slope_error, intercept_error = (Z95 * np.sqrt(np.diag(line.covariance(of_scores)))).tolist()
    return _Fit(
        line.slope,
        line.intercept,
        (line.slope - slope_error, line.slope + slope_error),
        (line.intercept - intercept_error, line.intercept + intercept_error),
    )


def _fit_bias(points: _Points, slope: float) -> _Fit:
    """The intercept at which probabilities sum to the number of edges, the slope given."""
    z, w = slope * points.logits, points.weights
    prevalence = float(w[: points.num_edges].sum())
    bracket = float(logit(prevalence)) - float(z.max()) - 1.0, float(logit(prevalence)) - float(z.min()) + 1.0
    intercept = float(brentq(lambda b: float(w @ expit(z + b)) - prevalence, *bracket, xtol=1e-12))
    p = expit(z + intercept)
    of_edges, of_non_edges = np.split((p - points.targets)[:, None], [points.num_edges])
    error = float(np.sqrt(points.score_covariance(of_edges, of_non_edges)[0, 0]) / (w @ (p * (1 - p))))
    return _Fit(slope, intercept, None, (intercept - Z95 * error, intercept + Z95 * error))


def _check_prevalence(prevalence: float) -> None:
    if not 0 < prevalence < 1:
        raise OptionError(f"a prevalence lies strictly between 0 and 1, not at {prevalence}.")


def _method(text: str) -> Method:
    for method in ("platt", "bias_only", "closed_form"):
        if text == method:
            return method
    raise ValueError(f"no calibrator is called {text!r}")


def _interval(values: list[float] | None) -> Interval | None:
    return None if values is None else (float(values[0]), float(values[1]))
