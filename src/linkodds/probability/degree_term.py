"""Degree terms: a second look at every logit by the degrees of its ends, where held-out edges ask for it.

A model may be right on the whole and wrong for every degree: of pairs of loners fewer are edges than it says, of pairs
of hubs more, and a logit may mean more among loners than among hubs. A calibrator cannot see that, since it is given
logits alone. So log odds that follow the degrees as well (`surface`) are fitted on the validation edges against all
non-edges, in three sizes, and take the place of the logit:

    product        a slope, and the log degree product
    interaction    a slope that changes with the log degree product
    surface        the same with bends in the logit, in each degree and in the product; more of them the more edges there are

Ranking, calibration, thresholds and lists go on from there. The calibration edges play no part in it, so what is promised
on them holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import Z95
from linkodds.metrics.logistic import fit_plane
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edges import NUM_CLASSES, NonEdges
from linkodds.pairs import Pairs
from linkodds.probability.surface_fitting import Degrees, Form, JointCounts, count_jointly, fit_surface
from linkodds.scorers.scoring import DegreeAwareScorer, Scorer
from linkodds.scorers.surface import Surface

Choice = Literal["auto", "yes", "no"]
Kind = Literal["none", "product", "interaction", "surface"]
KINDS: tuple[Kind, ...] = ("product", "interaction", "surface")

MIN_EDGES = 50
"""Validation edges without which auto adds nothing."""
FOLDS = 5
EDGES_FOR_A_KNOT, MOST_KNOTS = 100, 6
"""Validation edges for each bend in a degree, and the most of them."""
EDGES_FOR_A_LOGIT_KNOT, MOST_LOGIT_KNOTS = 150, 4
EDGES_BELOW_A_CUT = 20
"""Validation edges below a fifth of the candidates that let the product bend where that fifth ends."""
TOLERATED_FALL = 0.02
"""Share of the average precision that better probabilities may cost."""
WIDEST = 12.0
"""Standard deviations of the non-edges around their mean that bins of logits reach at least, where there are any."""


@dataclass(frozen=True)
class DegreeTerm:
    """The surface whose log odds take the place of the logits, or why there is none.

    Args:
        kind: what was fitted; none leaves the logits alone.
        reason: why, with the numbers.
        surface: None for none.
        odds: edges / non-edges that the new logits are the log odds for; None where there are none.
        gain: fall of the log loss, in nats a held-out edge, cross-validated on the validation edges; None where it was
            not measured.
        gain_error: its standard error.
        precision_gain: rise of the average precision of the validation edges, as a share of it, cross-validated; None as
            above.
        precision_gain_error: its standard error, edges drawn anew.
    """

    kind: Kind
    reason: str
    surface: Surface | None = None
    odds: float | None = None
    gain: float | None = None
    gain_error: float | None = None
    precision_gain: float | None = None
    precision_gain_error: float | None = None

    @property
    def is_used(self) -> bool:
        """Whether it changes any logit."""
        return self.surface is not None

    def applied(self, scorer: Scorer, degrees: Degrees) -> DegreeAwareScorer:
        """The scorer of the new logits; `degrees` from `degrees_of`. ValueError where there is no surface."""
        if self.surface is None:
            raise ValueError("a term that is none cannot be applied")
        return DegreeAwareScorer(scorer, self.surface, degrees)

    def to_json(self) -> dict[str, Any]:
        """As config.yaml and evaluation.json hold it."""
        return vars(self) | {"surface": None if self.surface is None else self.surface.to_json()}

    @staticmethod
    def from_json(values: dict[str, Any]) -> "DegreeTerm":
        """The inverse of `to_json`; KeyError, TypeError or ValueError where it is none."""
        given = values["surface"]
        return DegreeTerm(**{**values, "surface": None if given is None else Surface.from_json(given)})


def choose_degree_term(
    choice: Choice,
    validation: HeldOut,
    edges: Pairs,
    scorer: Scorer,
    non_edges: NonEdges,
    degrees: Degrees,
    *,
    prevalence: float,
    threads: int | None = None,
) -> DegreeTerm:
    """Fit the terms on the validation edges and, for auto, use the best one where it lowers the log loss beyond noise.

    The test: the validation edges are dealt into five folds; each is measured with what was fitted on the other four, with
    the term and with the logit alone, against all non-edges at `prevalence`. A term is used where the log loss is lower
    by more than 1.96 standard errors of the difference; of several the one that lowers it most. Most of what is asked of
    a run is a list, so auto uses none under which average precision, measured in the same way, is lower by more than a
    fiftieth and by more than 1.96 of its standard errors. Errors are those of means over the held-out edges, and of the
    non-edges where they were sampled; that the fits share edges is left out of them.

    Args:
        choice: auto; yes to use the best one whatever its gain; no.
        validation: scored by `scorer`.
        edges: shape (edges, 2): the validation edges, in the order of `validation.edge_logits`.
        scorer: gives the logits.
        non_edges: those of `validation`.
        degrees: of the message graph.
        prevalence: of the candidates that probabilities are wanted for.
        threads: as in `score_non_edges`.
    """
    if choice == "no":
        return DegreeTerm("none", "not asked for")
    num_edges = len(edges)
    if choice == "auto" and num_edges < MIN_EDGES:
        return DegreeTerm("none", f"{num_edges} validation edges, {MIN_EDGES} are needed to judge it")
    counts = count_jointly(scorer, non_edges, degrees, limits=_limits(validation), threads=threads)
    of_edges = np.column_stack(
        [validation.edge_logits, np.log(degrees[0][edges[:, 0]]), np.log(degrees[1][edges[:, 1]])]
    )
    is_ordered = non_edges.known.space.directed or non_edges.known.space.bipartite
    fits = _Fits(of_edges, counts, prevalence, is_ordered, _log_range(degrees[0]), _log_range(degrees[1]))
    candidates, everyone, odds = [], np.arange(num_edges), prevalence / (1 - prevalence)
    for kind in KINDS:
        surface = fits.surface(kind, everyone)
        if surface is not None:
            candidates.append(DegreeTerm(kind, "", surface, odds, *(fits.gains(kind) or (None,) * 4)))
    if not candidates:
        return DegreeTerm("none", "no finite term fits under which a higher logit means likelier for every pair")
    if choice == "yes":
        best = max(candidates, key=_gain)
        return replace(best, reason=f"asked for; {_seen(best, num_edges)}")
    return preferred(candidates, num_edges)


def preferred(candidates: Sequence[DegreeTerm], num_edges: int) -> DegreeTerm:
    """The candidate that lowers the log loss most, beyond noise, and costs no average precision beyond noise; or none.

    Args:
        candidates: terms with their gains, at least one.
        num_edges: validation edges, for the reason.
    """
    for term in sorted(candidates, key=_gain, reverse=True):
        if _is_gain(term) and not _costs_order(term):
            return replace(term, reason=_seen(term, num_edges))
    best = max(candidates, key=_gain)
    why = "average precision on these edges would suffer" if _is_gain(best) else "no gain beyond noise"
    return replace(best, kind="none", surface=None, odds=None, reason=f"{_seen(best, num_edges)}: {why}")


@dataclass(frozen=True, eq=False)
class _Fits:
    """Surfaces on (logit, log degree of source, of target) of validation edges, shape (edges, 3), and counted non-edges."""

    of_edges: Floats
    counts: JointCounts
    prevalence: float
    is_ordered: bool
    sources: tuple[float, float]
    targets: tuple[float, float]

    def surface(self, kind: Kind, kept: NDArray[np.intp]) -> Surface | None:
        """Of these edges; None where no finite one fits."""
        line = self.line(kept)
        form = self.form(kind, self.of_edges[kept])
        if line is None or form is None:
            return None
        edge_weights, non_edge_weights = self.weights(len(kept))
        return fit_surface(
            form,
            self.of_edges[kept],
            self.counts.points,
            edge_weights=edge_weights,
            non_edge_weights=non_edge_weights,
            slope=line[0],
        )

    def line(self, kept: NDArray[np.intp]) -> tuple[float, float] | None:
        """Slope, above 0, and intercept of the line on the logits alone."""
        edge_weights, non_edge_weights = self.weights(len(kept))
        plane = fit_plane(
            self.of_edges[kept, :1],
            self.counts.points[:, :1],
            edge_weights=edge_weights,
            non_edge_weights=non_edge_weights,
        )
        if plane is None or not plane.coefficients[0] > 0:
            return None
        return float(plane.coefficients[0]), plane.intercept

    def weights(self, num_edges: int) -> tuple[Floats, Floats]:
        mass = self.counts.weights / self.counts.weights.sum()
        return np.full(num_edges, self.prevalence / num_edges), (1 - self.prevalence) * mass

    def form(self, kind: Kind, edges: Floats) -> Form | None:
        """Knots at quantiles of these edges; None where all degrees are the same."""
        if not self.sources[0] + self.targets[0] < self.sources[1] + self.targets[1]:
            return None
        z, a, b = edges.T
        if not self.is_ordered:
            a = b = np.concatenate([a, b])
        num_knots = min(MOST_KNOTS, len(edges) // EDGES_FOR_A_KNOT) if kind == "surface" else 0
        num_logit_knots = min(MOST_LOGIT_KNOTS, len(edges) // EDGES_FOR_A_LOGIT_KNOT) if kind == "surface" else 0
        return Form(
            logit_knots=_knots(z, num_logit_knots),
            source_knots=_knots(a, num_knots, self.sources),
            target_knots=_knots(b, num_knots, self.targets),
            product_knots=self.product_knots(edges[:, 1] + edges[:, 2], num_knots),
            tilts=kind != "product",
            directed=self.is_ordered,
            sources=self.sources,
            targets=self.targets,
        )

    def product_knots(self, products: Floats, count: int) -> tuple[float, ...]:
        """Quantiles of the edges' products, and the ends of the candidates' fifths where enough edges lie below.

        Most candidates join nodes of few edges, so quantiles of the edges alone leave all of these to one straight piece.
        """
        knots = _knots(products, count, np.add(self.sources, self.targets))
        if not count:
            return knots
        of_pairs = self.counts.points[:, 1] + self.counts.points[:, 2]
        order = np.argsort(of_pairs, kind="stable")
        reached = np.cumsum(self.counts.weights[order]) / self.counts.weights.sum()
        cuts = of_pairs[order][np.searchsorted(reached, np.arange(1, NUM_CLASSES) / NUM_CLASSES)]
        inside = [cut for cut in cuts.tolist() if (products <= cut).sum() >= EDGES_BELOW_A_CUT and cut < products.max()]
        return tuple(sorted({*knots, *inside}))

    def gains(self, kind: Kind) -> tuple[float, float, float, float] | None:
        """Fall of the log loss and relative rise of average precision against the logit alone, each with its standard error."""
        edges, points, num_edges = self.of_edges, self.counts.points, len(self.of_edges)
        mass, odds = self.counts.weights / self.counts.weights.sum(), self.prevalence / (1 - self.prevalence)
        fold_of = np.arange(num_edges) % FOLDS  # the split has dealt the edges out at random already
        of_edges, of_non_edges, sampling = np.empty(num_edges), np.empty(num_edges), 0.0
        precisions = np.empty((2, num_edges))
        for fold in range(FOLDS):
            inside = fold_of == fold
            if inside.all() or not inside.any():
                return None
            kept = np.flatnonzero(~inside)
            surface, line = self.surface(kind, kept), self.line(kept)
            if surface is None or line is None:
                return None
            f, f0 = surface.log_odds(*edges[inside].T), surface.log_odds(*points.T)
            g, g0 = (line[0] * each[:, 0] + line[1] for each in (edges[inside], points))
            of_edges[inside] = log_expit(f) - log_expit(g)
            fall = log_expit(-f0) - log_expit(-g0)
            of_non_edges[inside] = (mass @ fall) / odds
            sampling += float(inside.mean() * np.sqrt(self.counts.variance_of_mean(fall)) / odds)
            for row, (of_fold, of_points) in enumerate(((f, f0), (g, g0))):
                precisions[row, inside] = _precisions(of_fold, of_points, self.counts.weights, num_edges)
        error = np.hypot(np.std(of_edges, ddof=1) / np.sqrt(num_edges), sampling)
        rise = (precisions[0] - precisions[1]) / precisions[1].mean()
        precision_error = np.std(rise, ddof=1) / np.sqrt(num_edges)
        return float((of_edges + of_non_edges).mean()), float(error), float(rise.mean()), float(precision_error)


def _precisions(edges: Floats, points: Floats, weights: Floats, num_edges: int) -> Floats:
    """Precision of the list that ends with each edge of a fold, the fold standing for all `num_edges`."""
    order = np.argsort(-points, kind="stable")
    above = np.append(0.0, np.cumsum(weights[order]))
    false = above[np.searchsorted(-points[order], -edges, side="right")]
    true = (len(edges) - np.argsort(np.argsort(edges))) * (num_edges / len(edges))
    return np.asarray(true / (true + false))


def _gain(term: DegreeTerm) -> float:
    return -np.inf if term.gain is None else term.gain


def _is_gain(term: DegreeTerm) -> bool:
    return term.gain is not None and term.gain_error is not None and term.gain > Z95 * term.gain_error


def _costs_order(term: DegreeTerm) -> bool:
    rise, error = term.precision_gain, term.precision_gain_error
    return rise is not None and error is not None and rise < -max(TOLERATED_FALL, Z95 * error)


def _seen(term: DegreeTerm, num_edges: int) -> str:
    if term.gain is None or term.precision_gain is None or term.precision_gain_error is None:
        return "its gain could not be cross-validated"
    return (
        f"cross-validated on {num_edges} validation edges, it {'lowers' if term.gain > 0 else 'raises'} the log loss by "
        f"{abs(term.gain):.3g} nats an edge (standard error {term.gain_error:.2g}) and "
        f"{'raises' if term.precision_gain > 0 else 'lowers'} average precision by {abs(term.precision_gain):.1%} "
        f"({term.precision_gain_error:.1%})"
    )


def _knots(values: Floats, count: int, limits: tuple[float, float] | Floats = (-np.inf, np.inf)) -> tuple[float, ...]:
    """Quantiles at equal steps, each once, strictly inside the limits and the values."""
    at = np.unique(np.quantile(values, np.arange(1, count + 1) / (count + 1)))
    low, high = max(limits[0], values.min()), min(limits[1], values.max())
    return tuple(at[(at > low) & (at < high)].tolist())


def _log_range(degrees: NDArray[np.int64]) -> tuple[float, float]:
    return float(np.log(degrees.min())), float(np.log(degrees.max()))


def _limits(held_out: HeldOut) -> tuple[float, float]:
    """Between which logits bins are of one width: all of them, but for outliers far beyond edges and most non-edges.

    Non-edges bunch far below the edges, and those few that do not are what matters: their deviation alone would cut the
    top off.
    """
    z, weights = held_out.non_edges.bins.points()
    mean = float(np.average(z, weights=weights))
    reach = WIDEST * float(np.sqrt(np.average((z - mean) ** 2, weights=weights)))
    low, high = (
        min(float(held_out.edge_logits.min()), mean - reach),
        max(float(held_out.edge_logits.max()), mean + reach),
    )
    return max(float(z.min()), 2 * low - high), min(float(z.max()), 2 * high - low)
