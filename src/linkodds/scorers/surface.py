"""Surfaces: maps from a logit and the degrees of both ends to log odds that rise with the logit for every degree.

    log odds = sum over pieces j of (low_j (1 - t) + high_j t) piece_j(z) + source(a) + target(b) + product(x)

z is the logit, a and b the logs of (degree + 1), x = a + b, and t goes from 0 at the smallest x of the graph to 1 at
its largest. The pieces cut the logit at knots and add up to z; source, target and product are straight between knots. So
a logit may mean more at the top than at the bottom, more among loners than among hubs, and the level may follow the
degrees. All low_j and high_j are above 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PiecewiseLinear:
    """A function that is straight between knots, and is never asked beyond them.

    Args:
        knots: rising.
        values: at the knots.
    """

    knots: tuple[float, ...]
    values: tuple[float, ...]

    def __call__(self, at: Floats) -> Floats:
        """Values, any shape."""
        return np.asarray(np.interp(at, self.knots, self.values))


@dataclass(frozen=True)
class Surface:
    """The map at the top of this module.

    Args:
        logit_knots: where pieces of the logit meet, rising; none for one piece.
        low: slope of each piece at the smallest x, above 0.
        high: slope of each piece at the largest x, above 0.
        products: the smallest and the largest x.
        source: of a, from the smallest to the largest of the graph.
        target: of b; the same as `source` where edges have no direction.
        product: of x; it holds the intercept.
    Example:
        >>> flat = PiecewiseLinear((0.0, 3.0), (0.0, 0.0))
        >>> surface = Surface((1.0,), (1.0, 2.0), (1.0, 4.0), (0.0, 6.0), flat, flat, PiecewiseLinear((0.0, 6.0), (-1.0, 5.0)))
        >>> surface.log_odds(np.array([3.0, 3.0]), np.array([0.0, 3.0]), np.array([0.0, 3.0])).tolist()
        [4.0, 14.0]
        >>> Surface.from_json(surface.to_json()) == surface
        True
    """

    logit_knots: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    products: tuple[float, float]
    source: PiecewiseLinear
    target: PiecewiseLinear
    product: PiecewiseLinear

    def __post_init__(self) -> None:
        if not len(self.low) == len(self.high) == len(self.logit_knots) + 1:
            raise ValueError("a surface has one piece of the logit more than knots")
        if not (min(*self.low, *self.high) > 0 and self.products[0] < self.products[1]):
            raise ValueError("a surface rises with the logit for every product of degrees")

    def log_odds(self, logits: Floats, source: Floats, target: Floats) -> Floats:
        """Log odds of logits between ends of these log degrees; the three are broadcast together."""
        return self.of_parts(logits, source + target, self.level(source, target))

    def level(self, source: Floats, target: Floats) -> Floats:
        """What is added to the pieces of the logit: the same for every pair of nodes of these log degrees."""
        return np.asarray((self.source(source) + self.target(target)) + self.product(source + target))

    def of_parts(self, logits: Floats, product: Floats, level: Floats) -> Floats:
        """Log odds from x and from `level`, computed once for many pairs."""
        smallest, largest = self.products
        t = (product - smallest) / (largest - smallest)
        for j, piece in enumerate(pieces(logits, self.logit_knots)):
            level = level + (self.low[j] + (self.high[j] - self.low[j]) * t) * piece
        return level

    def inverse_of_parts(self, log_odds: float | Floats, product: Floats, level: Floats) -> Floats:
        """The logit at which `of_parts` is about `log_odds`, for each x and level; within rounding.

        Example:
            >>> flat = PiecewiseLinear((0.0, 3.0), (0.0, 0.0))
            >>> rising = PiecewiseLinear((0.0, 6.0), (-1.0, 5.0))
            >>> surface = Surface((1.0,), (1.0, 2.0), (1.0, 4.0), (0.0, 6.0), flat, flat, rising)
            >>> surface.inverse_of_parts(4.0, np.array([0.0, 0.0]), np.array([-1.0, 7.0])).tolist()
            [3.0, -3.0]
        """
        smallest, largest = self.products
        t = (product - smallest) / (largest - smallest)
        slopes = [low + (high - low) * t for low, high in zip(self.low, self.high, strict=True)]
        if not self.logit_knots:
            return np.asarray((log_odds - level) / slopes[0])
        at_knot = level + slopes[0] * self.logit_knots[0]
        logits = self.logit_knots[0] + (log_odds - at_knot) / slopes[0]
        for knot, following, slope in zip(self.logit_knots, (*self.logit_knots[1:], np.inf), slopes[1:], strict=True):
            logits = np.where(log_odds > at_knot, knot + (log_odds - at_knot) / slope, logits)
            if following < np.inf:
                at_knot = at_knot + slope * (following - knot)
        return np.asarray(logits)

    def to_json(self) -> dict[str, Any]:
        """As config.yaml and evaluation.json hold it."""
        values: dict[str, Any] = {
            name: list(getattr(self, name)) for name in ("logit_knots", "low", "high", "products")
        }
        for name in ("source", "target", "product"):
            curve: PiecewiseLinear = getattr(self, name)
            values[name] = {"knots": list(curve.knots), "values": list(curve.values)}
        return values

    @staticmethod
    def from_json(values: dict[str, Any]) -> "Surface":
        """The inverse of `to_json`; KeyError, TypeError or ValueError where it is none."""

        def numbers(given: Any) -> tuple[float, ...]:
            return tuple(float(each) for each in given)

        smallest, largest = numbers(values["products"])
        curves = (
            PiecewiseLinear(numbers(values[name]["knots"]), numbers(values[name]["values"]))
            for name in ("source", "target", "product")
        )
        return Surface(
            numbers(values["logit_knots"]),
            numbers(values["low"]),
            numbers(values["high"]),
            (smallest, largest),
            *curves,
        )


def pieces(logits: Floats, knots: tuple[float, ...]) -> list[Floats]:
    """The parts of logits between knots, one array a piece; they add up to the logits.

    Example:
        >>> [piece.tolist() for piece in pieces(np.array([-1.0, 3.0]), (0.0, 2.0))]
        [[-1.0, 0.0], [0.0, 2.0], [0.0, 1.0]]
    """
    if not knots:
        return [logits]
    ends = zip(knots, (*knots[1:], np.inf), strict=True)
    return [np.minimum(logits, knots[0]), *(np.clip(logits, low, high) - low for low, high in ends)]
