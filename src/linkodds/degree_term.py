"""Degree terms: a second look at every logit by the degrees of its ends, where held-out edges ask for it.

A model may be right on the whole and wrong for every degree: of pairs of loners fewer are edges than it says, of pairs
of hubs more, and a logit may mean more among loners than among hubs. A calibrator cannot see that, since it is given
logits alone. So with x = log((d_u + 1)(d_v + 1)), d being the degrees in the message graph,

    product        log odds = a z + b + c x
    interaction    log odds = a z + b + c x + e z x

are fitted on the validation edges against all non-edges, and take the place of the logit z: ranking, calibration,
thresholds and lists go on from there. The calibration edges play no part in it, so what is promised on them holds.
"""

from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from linkodds.held_out import HeldOut
from linkodds.intervals import Z95
from linkodds.logistic import Plane, fit_plane
from linkodds.logit_bins import Floats
from linkodds.non_edge_scores import in_order
from linkodds.non_edges import MAX_CELLS, NonEdges
from linkodds.pairs import Block, Pairs
from linkodds.scoring import DegreeAwareScorer, Scorer

Choice = Literal["auto", "yes", "no"]
Kind = Literal["none", "product", "interaction"]
Degrees = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Degree + 1 of every node as a source and as a target, shape (nodes,) each, from `degrees_of`."""

MIN_EDGES = 50
"""Validation edges without which auto adds nothing."""
FOLDS = 5
NUM_LOGIT_BINS, NUM_PRODUCT_BINS = 1024, 128
WIDEST = 12.0
"""Standard deviations of the non-edges around their mean that bins of logits reach at least, where there are any."""


@dataclass(frozen=True)
class DegreeTerm:
    """new logit = (slope + interaction * x) * logit + product * x + intercept, or why there is no such thing.

    Args:
        kind: what was fitted; none leaves the logits alone.
        reason: why, with the numbers.
        slope: a above.
        intercept: b above.
        product: c above.
        interaction: e above, 0 for `product`.
        odds: edges / non-edges that the new logits are the log odds for; None where there are none.
        gain: fall of the log loss, in nats a held-out edge, cross-validated on the validation edges; None where it was
            not measured.
        gain_error: its standard error.
    Example:
        >>> from linkodds.scoring import InnerProductScorer
        >>> z, degrees = np.array([[1], [2]], dtype=np.float32), np.array([1, 8])
        >>> term = DegreeTerm("interaction", "asked for", slope=2.0, intercept=-3.0, product=1.0, interaction=0.5)
        >>> scorer = term.applied(InnerProductScorer(z, z, 1.0, 0.0), (degrees, degrees))
        >>> scorer.logits(np.array([[0, 1]])).round(6).tolist()  # x = log 8: (2 + x / 2) * 2 + x - 3 = 1 + 2 x
        [5.158883]
    """

    kind: Kind
    reason: str
    slope: float = 1.0
    intercept: float = 0.0
    product: float = 0.0
    interaction: float = 0.0
    odds: float | None = None
    gain: float | None = None
    gain_error: float | None = None

    @property
    def is_used(self) -> bool:
        """Whether it changes any logit."""
        return self.kind != "none"

    def applied(self, scorer: Scorer, degrees: Degrees) -> DegreeAwareScorer:
        """The scorer of the new logits; `degrees` from `degrees_of`."""
        source, target = (np.log(side) for side in degrees)  # halves of a constant on both sides keep pairs symmetric
        return DegreeAwareScorer(
            scorer,
            (self.slope / 2 + self.interaction * source, self.slope / 2 + self.interaction * target),
            (self.intercept / 2 + self.product * source, self.intercept / 2 + self.product * target),
        )

    def to_json(self) -> dict[str, Any]:
        """As config.yaml and evaluation.json hold it."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class JointCounts:
    """Non-edges in cells of logit x log degree product: enough to sum smooth functions of both over all of them.

    Cells of NUM_LOGIT_BINS x NUM_PRODUCT_BINS keep a count and the mean of both. What a sum through the means misses is the
    spread inside a cell: with log odds a z + c x and cells h wide and k high about (a^2 h^2 + c^2 k^2) / 24 of a small
    probability, that is 4e-4 for a = c = 1, logits over a range of 40 and log products over one of 12.

    Args:
        points: shape (cells, 2): mean logit and mean log degree product of each cell that holds any.
        weights: shape (cells,): non-edges, weighted to all of the graph.
        strata: cells of each stratum of the non-edges, how many of it got a logit, and the share of it that did.
    """

    points: Floats
    weights: Floats
    strata: tuple[tuple[slice, int, float], ...]

    def variance_of_mean(self, values: Floats) -> float:
        """Of the mean of `values`, shape (cells,), over all non-edges: from the draw of those that were sampled."""
        total, variance = float(self.weights.sum()), 0.0
        for where, num_scored, rate in self.strata:
            mass, of_stratum = self.weights[where] / self.weights[where].sum(), values[where]
            spread = float(mass @ (of_stratum - mass @ of_stratum) ** 2)
            variance += (self.weights[where].sum() / total) ** 2 * spread * (1 - rate) / num_scored
        return float(variance)


def count_jointly(
    scorer: Scorer,
    non_edges: NonEdges,
    degrees: Degrees,
    *,
    limits: tuple[float, float],
    threads: int | None = None,
    max_cells: int = MAX_CELLS,
) -> JointCounts:
    """Score every non-edge (or the sample) once and count it by logit and log degree product.

    Blocks are added up in their order, so the numbers do not depend on `threads`; memory O(block + cells).

    Args:
        scorer: gives the logits.
        non_edges: which pairs.
        degrees: from `degrees_of`, 1 at least.
        limits: lowest and highest logit between which bins are of one width.
        threads: how many blocks at a time, as in `score_non_edges`.
        max_cells: pairs in a block, about.
    """
    source, target = (np.log(side).astype(np.float32) for side in degrees)
    low, high = limits
    per_logit = NUM_LOGIT_BINS / max(high - low, 1e-30)
    per_product = NUM_PRODUCT_BINS / max(float(source.max() + target.max()), 1e-30)

    def work(chunk: Block | Pairs) -> Floats:
        if isinstance(chunk, Block):
            keep = non_edges.known.absent_cells(chunk)
            z = scorer.block(chunk.rows, chunk.columns)[keep]
            product = np.add.outer(source[chunk.rows], target[chunk.columns])[keep]
        else:
            z, product = scorer.logits(chunk).astype(np.float32), source[chunk[:, 0]] + target[chunk[:, 1]]
        row = np.clip((z - low) * per_logit, 0, NUM_LOGIT_BINS - 1).astype(np.int64)
        cell = row * NUM_PRODUCT_BINS + np.minimum((product * per_product).astype(np.int64), NUM_PRODUCT_BINS - 1)
        size = NUM_LOGIT_BINS * NUM_PRODUCT_BINS
        return np.stack([np.bincount(cell, weights=of, minlength=size) for of in (None, z, product)]).astype(np.float64)

    points, weights, strata, start = [], [], [], 0
    for part in non_edges.parts:
        count, *sums = reduce(np.add, in_order(work, non_edges.chunks(part, max_cells=max_cells), threads))
        filled = count > 0
        points.append(np.column_stack([each[filled] / count[filled] for each in sums]))
        weights.append(count[filled] / part.rate)
        strata.append((slice(start, start + len(points[-1])), part.num_scored, part.rate))
        start += len(points[-1])
    return JointCounts(np.concatenate(points), np.concatenate(weights), tuple(strata))


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
    """Fit the terms on the validation edges and, for auto, use the better one where it lowers the log loss beyond noise.

    The test: the validation edges are dealt into five folds; each is measured with what was fitted on the other four, with
    the term and with the logit alone, against all non-edges at `prevalence`. A term is used where the log loss is lower
    by more than 1.96 standard errors of the difference; of two such the one that lowers it more. The error is that of
    the mean over the held-out edges, and of the non-edges where they were sampled; that the fits share edges is left out
    of it. A term under which some pair's logit would count for nothing, or the wrong way round, is not a candidate.

    Args:
        choice: auto; yes to use the better one whatever its gain; no.
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
    x = np.log(degrees[0][edges[:, 0]]) + np.log(degrees[1][edges[:, 1]])
    counts = count_jointly(scorer, non_edges, degrees, limits=_limits(validation), threads=threads)
    fits = _Fits(np.column_stack([validation.edge_logits, x]), counts, prevalence)
    largest = float(np.log(degrees[0].max()) + np.log(degrees[1].max()))
    candidates = [term for kind in ("product", "interaction") if (term := fits.term(kind, largest)) is not None]
    if not candidates:
        return DegreeTerm("none", "no finite term fits under which a higher logit means likelier for every pair")
    best = max(candidates, key=lambda term: -np.inf if term.gain is None else term.gain)
    if best.gain is None or best.gain_error is None:
        seen = "its gain could not be cross-validated"
    else:
        seen = (
            f"cross-validated on {num_edges} validation edges, it {'lowers' if best.gain > 0 else 'raises'} the log loss by "
            f"{abs(best.gain):.3g} nats an edge (standard error {best.gain_error:.2g})"
        )
        if choice == "auto" and best.gain > Z95 * best.gain_error:
            return replace(best, reason=seen)
    if choice == "yes":
        return replace(best, reason=f"asked for; {seen}")
    return DegreeTerm("none", f"{seen}: no gain beyond noise", gain=best.gain, gain_error=best.gain_error)


@dataclass(frozen=True, eq=False)
class _Fits:
    """Planes on (logit, log degree product) of validation edges, shape (edges, 2), against counted non-edges."""

    of_edges: Floats
    counts: JointCounts
    prevalence: float

    def term(self, kind: Kind, largest: float) -> DegreeTerm | None:
        """The term of all edges with its gain; None where none fits, or a logit would not count for more of the same."""
        plane = self.plane(kind, np.arange(len(self.of_edges)))
        if plane is None:
            return None
        slope, product, interaction = np.append(plane.coefficients, 0.0)[:3].tolist()
        if not min(slope, slope + interaction * largest) > 0:
            return None
        gain, error = self.gain(kind) or (None, None)
        odds = self.prevalence / (1 - self.prevalence)
        return DegreeTerm(kind, "", slope, plane.intercept, product, interaction, odds, gain, error)

    def plane(self, kind: Kind, kept: NDArray[np.intp]) -> Plane | None:
        return fit_plane(
            _features(kind, self.of_edges[kept]),
            _features(kind, self.counts.points),
            edge_weights=np.full(len(kept), self.prevalence / len(kept)),
            non_edge_weights=(1 - self.prevalence) * self.counts.weights / self.counts.weights.sum(),
        )

    def gain(self, kind: Kind) -> tuple[float, float] | None:
        """Fall of the log loss against the logit alone, in nats a held-out edge, and its standard error."""
        edges, points = self.of_edges, self.counts.points
        mass, odds = self.counts.weights / self.counts.weights.sum(), self.prevalence / (1 - self.prevalence)
        fold_of = np.arange(len(edges)) % FOLDS  # the split has dealt the edges out at random already
        of_edges, of_non_edges, sampling = np.empty(len(edges)), np.empty(len(edges)), 0.0
        for fold in range(FOLDS):
            inside = fold_of == fold
            if inside.all() or not inside.any():
                return None
            plane, line = (self.plane(each, np.flatnonzero(~inside)) for each in (kind, "none"))
            if plane is None or line is None:
                return None
            f, g = plane(_features(kind, edges[inside])), line(_features("none", edges[inside]))
            of_edges[inside] = log_expit(f) - log_expit(g)
            fall = log_expit(-plane(_features(kind, points))) - log_expit(-line(_features("none", points)))
            of_non_edges[inside] = (mass @ fall) / odds
            sampling += float(inside.mean() * np.sqrt(self.counts.variance_of_mean(fall)) / odds)
        error = np.hypot(np.std(of_edges, ddof=1) / np.sqrt(len(edges)), sampling)
        return float((of_edges + of_non_edges).mean()), float(error)


def _features(kind: Kind, points: Floats) -> Floats:
    """Logit; and log degree product; and the product of both. Shape (points, 1, 2 or 3)."""
    z, x = points.T
    return np.column_stack({"none": [z], "product": [z, x], "interaction": [z, x, z * x]}[kind])


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
