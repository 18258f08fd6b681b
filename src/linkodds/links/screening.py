"""Screening: reject most candidates with the cheap part of a model, and score the rest in full.

How much the cheap part has to say is read off a pilot: some candidates get all of the model, and the least that the cheap
part says of any that would belong on a list of twice the length is what all others have to reach.
"""

from functools import cached_property
from math import ceil
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from linkodds.pairs import Pairs
from linkodds.scorers.scoring import DegreeAwareScorer, Scorer
from linkodds.search.nearby import GivenPairs

PILOT = 0.125
"""Share of the candidates, about: those of so many of their rows."""
LONGER = 2.0
"""The pilot's list is so many times longer: what would just be on the list is then well inside."""
FEWEST = 50
"""Links of the pilot's list, at least."""


@runtime_checkable
class ScreenedScorer(Protocol):
    """A scorer that has a cheap part."""

    num_screens: ClassVar[int]
    """Numbers that the cheap part says of a pair."""
    is_same_in_company: ClassVar[bool]
    """Whether a pair has the same logit, to the last bit, whatever pairs are scored with it."""

    def screened(self, pairs: Pairs, least: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What the cheap part says, shape (pairs, screens), and logits of those that reach `least`, -inf of the others."""
        ...


class ScreenedPairs(GivenPairs):
    """Pairs that get a logit if the cheap part does not speak against it; the same methods as `Tiles`, without bounds.

    The same pairs get one whatever was asked before, so a search that goes on where another stopped finds the same.

    Args:
        scorer: the model, or that with a degree term.
        model: the scorer that has a cheap part.
        pairs: shape (pairs, 2), canonical, in row order, no recorded edges.
        num_wanted: how many of the best are wanted.
        max_pairs: looked at at a time.
        rng: chooses the pilot.
    """

    def __init__(
        self,
        scorer: Scorer,
        model: ScreenedScorer,
        pairs: Pairs,
        *,
        num_wanted: int,
        max_pairs: int,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(scorer, pairs, max_pairs=max_pairs)
        self.is_final = model.is_same_in_company
        self._model, self._num_wanted = model, num_wanted
        rows = np.unique(pairs[:, 0])
        chosen = rng.choice(rows, ceil(PILOT * len(rows)), replace=False) if len(rows) else rows
        is_chosen = np.zeros(int(rows.max(initial=-1)) + 1, dtype=np.bool_)
        is_chosen[chosen] = True
        self._is_pilot = is_chosen[pairs[:, 0]]

    @property
    def least(self) -> tuple[float, ...]:
        """What each of the cheap parts has to say of a pair at least; -inf where a list is too long to leave pairs out."""
        return self._pilot[0]

    @cached_property
    def _pilot(self) -> tuple[tuple[float, ...], NDArray[np.float64]]:
        """`least`, and the logits of the pilot."""
        pilot, nothing = self._pairs[self._is_pilot], (-np.inf,) * self._model.num_screens
        share = len(pilot) / max(len(self._pairs), 1)
        num_listed = max(FEWEST, ceil(LONGER * share * self._num_wanted))
        if num_listed >= len(pilot):
            return nothing, np.empty(0)
        said, logits = self._model.screened(pilot, nothing)
        logits = self._of_base(logits, pilot)
        best = np.argpartition(-logits, num_listed)[:num_listed]
        return tuple(said[best].min(axis=0).tolist()), logits

    def _scored(self, some: slice) -> tuple[Pairs, NDArray[np.float64]]:
        least, logits_of_pilot = self._pilot
        if not len(logits_of_pilot):
            return super()._scored(some)
        pairs, is_pilot = self._pairs[some], self._is_pilot[some]
        before = np.count_nonzero(self._is_pilot[: some.start])
        others = pairs[~is_pilot]
        _, logits = self._model.screened(others, least)
        stays = logits != -np.inf  # NaN stays, and is complained of
        of_others = self._of_base(logits[stays], others[stays])
        of_pilot = logits_of_pilot[before : before + np.count_nonzero(is_pilot)]
        return np.concatenate([pairs[is_pilot], others[stays]]), np.concatenate([of_pilot, of_others])

    def _of_base(self, logits: NDArray[np.float64], pairs: Pairs) -> NDArray[np.float64]:
        return self._scorer.of_base(logits, pairs) if isinstance(self._scorer, DegreeAwareScorer) else logits
