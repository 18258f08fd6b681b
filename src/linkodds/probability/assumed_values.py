"""Assumed values: what a user says of the number of missing links, in one of three ways, as a number or as an interval."""

from math import isfinite

from linkodds.errors import OptionError

Assumed = float | tuple[float, float]
"""A value that somebody assumes, or an interval of them, low end first."""


def refuse_interval(name: str, ends: tuple[float, float]) -> None:
    """Refuse what is no number of this option, or an interval with its high end first."""
    for end in ends:
        if not isfinite(end) or (name != "--expected-missing" and not 0 < end < 1):
            wanted = "a number" if name == "--expected-missing" else "a number between 0 and 1"
            raise OptionError(f"{name} takes {wanted}, not {end:g}; or an interval of them as LOW:HIGH.")
    if ends[0] > ends[1]:
        raise OptionError(f"{name} {ends[0]:g}:{ends[1]:g} has its high end first; write {ends[1]:g}:{ends[0]:g}.")


def num_missing(name: str, value: float, *, num_non_edges: int, num_edges: int) -> float:
    """M, the number of missing links that a value of an option stands for.

    Args:
        name: --prevalence, --expected-missing or --label-frequency.
        value: of it.
        num_non_edges: pairs without a recorded edge.
        num_edges: recorded edges.
    Raises:
        OptionError: none, or more than there are pairs without an edge.
    Example:
        >>> num_missing("--label-frequency", 0.5, num_non_edges=9_900, num_edges=100)
        100.0
    """
    missing = {
        "--prevalence": lambda: value * num_non_edges,
        "--expected-missing": lambda: float(value),
        "--label-frequency": lambda: num_edges * (1 - value) / value,
    }[name]()
    if not 0 < missing < num_non_edges:
        raise OptionError(
            f"{name} {value:g} means {missing:,.0f} missing links, but there are {num_non_edges:,} pairs without an edge."
        )
    return missing


def assumed_value(name: str, text: str) -> Assumed:
    """A number, or an interval LOW:HIGH, of an option.

    Raises:
        OptionError: neither.
    Example:
        >>> assumed_value("--prevalence", "0.002"), assumed_value("--prevalence", "0.001:0.004")
        (0.002, (0.001, 0.004))
    """
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) == 1:
        return values[0]
    if len(values) == 2:
        return values[0], values[1]
    example = {"--expected-missing": "500 or 200:1000", "--label-frequency": "0.8 or 0.7:0.9"}.get(
        name, "0.002 or 0.001:0.004"
    )
    raise OptionError(f"{name} takes a number, or two as LOW:HIGH (such as {example}), not {text!r}.")
