"""ReadingOptions: how the edges and nodes of a graph are read, checked when they are put together."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pydantic import model_validator

from linkodds.config import CheckedOptions
from linkodds.errors import OptionError
from linkodds.options import described, options_of
from linkodds.reading.graph_options import EdgeListOptions

P = ParamSpec("P")
R = TypeVar("R")


class ReadingOptions(EdgeListOptions, CheckedOptions):
    """How to read a graph; `linkodds.options` has every field with its meaning.

    A column is named, or has a number from 1 in a file without header.

    Raises:
        OptionError: an option without another that it needs, or beside one that it excludes.
    Example:
        >>> ReadingOptions(weight="score")
        Traceback (most recent call last):
        linkodds.errors.OptionError: --weight needs --weight-as confidence|strength beside it.
    """

    @model_validator(mode="after")
    def _refuse_conflicts(self) -> Self:
        if self.predict_kind is not None and self.relation is None:
            raise OptionError("--predict names a kind of edges; give their column with --relation COL.")
        if self.relation is not None and self.weight_as == "strength":
            raise OptionError(
                "--relation and --weight-as strength exclude each other: edges of other kinds have no common unit."
            )
        if self.weight is None and self.weight_as is not None:
            raise OptionError("--weight-as needs --weight COL beside it.")
        if self.weight is not None and self.weight_as is None:
            raise OptionError("--weight needs --weight-as confidence|strength beside it.")
        return self

    @property
    def beside_ends(self) -> tuple[tuple[str, str | int | None], ...]:
        """Option -> column, of all but the ends."""
        beside = ("--time", self.time), ("--weight", self.weight), ("--relation", self.relation)
        return (*beside, ("--label", self.label)) if self.label is not None else beside

    def given(self) -> dict[str, Any]:
        """Name -> value of the options that are not at their defaults, paths as text, for config.yaml."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, each in type(self).model_fields.items()
            if (value := getattr(self, name)) is not None and value is not each.default
        }


def takes_keywords_of(
    holder: Callable[P, object],
) -> Callable[[Callable[[Any, dict[str, Any]], R]], Callable[Concatenate[Any, P], R]]:
    """Decorate a function of something and of options, so that it takes each option as a keyword of its own.

    Args:
        holder: a class of options; type checkers, `help` and documentation see its fields as keywords.
    Example:
        >>> @takes_keywords_of(ReadingOptions)
        ... def read(edges, options):
        ...     return options
        >>> read("edges.csv", time="year")
        {'time': 'year'}
    """
    assert isinstance(holder, type)
    options = options_of(holder)

    def decorate(function: Callable[[Any, dict[str, Any]], R]) -> Callable[Concatenate[Any, P], R]:
        of_function = signature(function)
        first = next(iter(of_function.parameters.values()))
        keywords = [
            Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=each.kind)
            for each in options.values()
        ]
        shown = Signature([first, *keywords], return_annotation=of_function.return_annotation)

        @wraps(function)
        def called(*given: Any, **keywords: Any) -> R:
            bound = shown.bind(*given, **keywords).arguments
            return function(bound.pop(first.name), bound)

        called.__doc__ = described(function.__doc__, options)
        called.__signature__ = shown  # type: ignore[attr-defined]
        del called.__wrapped__
        return called

    return decorate
