"""Families: every model and baseline that `--model` takes, each a value in a file of this package.

In: options, a split and who follows the fit. Out: a fitted model, its cost, its scorer loaded again. A model is added by
its file and its line in `FILES` (docs/add-a-model.md); nothing else names it. Importing a family loads no torch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

from linkodds.errors import OptionError
from linkodds.models.families.family import ModelFamily

AUTO = "auto"
"""Not a model: `linkodds.fitting.auto` tries several, and takes the best."""
AUTOMATIC = ModelFamily(
    name=AUTO,
    help="what fits the time budget of several models, and the baselines: the best, or a mean of the best",
    untunable="auto tries several models as they are, and the options of one model are searched.",
)
"""What there is to ask of the name auto."""

FILES = (
    "autoencoders",
    "pair_models",
    "structural_gae",
    "stack",
    "baselines",
    "own_models",
)
"""Files of this package whose `FAMILIES` are known, in the order in which models are listed."""

_registered: list[ModelFamily] = []


def families() -> tuple[ModelFamily, ...]:
    """All models and baselines, in the order in which they are listed.

    Example:
        >>> [each.name for each in families() if each.is_baseline][:3]
        ['degree', 'common-neighbors', 'adamic-adar']
    """
    return (*_of_files(), *_registered)


def family_of(name: str) -> ModelFamily:
    """The family of a name.

    Raises:
        OptionError: there is none; it lists those that there are.
    Example:
        >>> family_of("vgae").architecture.variational
        True
        >>> family_of("gat")
        Traceback (most recent call last):
        linkodds.errors.OptionError: --model: takes 'auto', 'gae', ..., 'own-encoder', 'own-scorer', not 'gat'.
    """
    for each in families():
        if each.name == name:
            return each
    raise OptionError(f"--model: {refusal(name)}.")


def asked_family(name: str) -> ModelFamily:
    """The family of what `--model` says, auto included.

    Raises:
        OptionError: there is none.
    """
    return AUTOMATIC if name == AUTO else family_of(name)


def refusal(name: str) -> str:
    """What to say of a name that there is not, with those that there are."""
    return f"takes {', '.join(map(repr, model_names()))}, not {name!r}"


def model_names() -> tuple[str, ...]:
    """What `--model` takes."""
    return (AUTO, *(each.name for each in families()))


def baseline_families() -> tuple[ModelFamily, ...]:
    """All baselines."""
    return tuple(each for each in families() if each.is_baseline)


def is_baseline(name: str) -> bool:
    """Whether a name is that of a baseline."""
    return any(each.name == name for each in baseline_families())


@contextmanager
def registered(*added: ModelFamily) -> Iterator[None]:
    """Know more models inside a `with` block, without a line in `FILES`: to try one, or for a run of one to be opened.

    Args:
        added: models with names of their own.
    Raises:
        OptionError: a name is taken.
    Example:
        >>> from linkodds.models.families.baselines import BaselineFamily
        >>> with registered(BaselineFamily(name="mine", help="a count of mine")):
        ...     is_baseline("mine")
        True
        >>> is_baseline("mine")
        False
    """
    for each in added:
        if each.name in model_names():
            raise OptionError(f"{each.name!r} is a model of linkodds already; give yours a name of its own.")
    before = list(_registered)
    _registered.extend(added)
    try:
        yield
    finally:
        _registered[:] = before


@cache
def _of_files() -> tuple[ModelFamily, ...]:
    modules = [import_module(f"{__name__}.{file}") for file in FILES]
    return tuple(family for module in modules for family in module.FAMILIES)
