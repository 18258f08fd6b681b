"""Screening: most candidates of a stack are told from the best by a few of its trees, and are not worth the others.

How much the first trees have to say is read off a pilot: some candidates get all trees, and the least that the first ones
say of any that would belong on a list of twice the length is what all others have to reach.
"""

from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from linkodds.nearby import GivenPairs
from linkodds.pairs import Pairs
from linkodds.scoring import DegreeAwareScorer, Scorer
from linkodds.stack import StackScorer

PILOT = 0.125
"""Share of the candidates, about: those of so many of their rows."""
LONGER = 2.0
"""The pilot's list is so many times longer: what would just be on the list is then well inside."""
FEWEST = 50
"""Links of the pilot's list, at least."""


class ScreenedPairs(GivenPairs):
    """Pairs that get a logit if the first trees do not speak against it; the same methods as `Tiles`, without bounds.

    The same pairs get one whatever was asked before, so a search that goes on where another stopped finds the same.

    Args:
        scorer: the stack, or that with a degree term.
        stack: the stack.
        pairs: shape (pairs, 2), canonical, in row order, no recorded edges.
        num_wanted: how many of the best are wanted.
        max_pairs: looked at at a time.
        rng: chooses the pilot.
    """

    is_final = True

    def __init__(
        self,
        scorer: Scorer,
        stack: StackScorer,
        pairs: Pairs,
        *,
        num_wanted: int,
        max_pairs: int,
        rng: np.random.Generator,
    ) -> None:
        super().__init__(scorer, pairs, max_pairs=max_pairs)
        self._stack, self._num_wanted = stack, num_wanted
        rows = np.unique(pairs[:, 0])
        chosen = rng.choice(rows, ceil(PILOT * len(rows)), replace=False) if len(rows) else rows
        self._is_pilot = np.isin(pairs[:, 0], chosen)

    @property
    def least(self) -> float:
        """What the first trees have to say of a pair at least; -inf where a list is too long to leave pairs out."""
        return self._pilot[0]

    @cached_property
    def _pilot(self) -> tuple[float, NDArray[np.float64]]:
        """`least`, and the logits of the pilot."""
        pilot = self._pairs[self._is_pilot]
        share = len(pilot) / max(len(self._pairs), 1)
        num_listed = max(FEWEST, ceil(LONGER * share * self._num_wanted))
        if num_listed >= len(pilot):
            return -np.inf, np.empty(0)
        first, logits = self._stack.screened(pilot, -np.inf)
        logits = self._of_base(logits, pilot)
        return float(first[np.argpartition(-logits, num_listed)[:num_listed]].min()), logits

    def _scored(self, some: slice) -> tuple[Pairs, NDArray[np.float64]]:
        least, logits_of_pilot = self._pilot
        if least == -np.inf:
            return super()._scored(some)
        pairs, is_pilot = self._pairs[some], self._is_pilot[some]
        before = np.count_nonzero(self._is_pilot[: some.start])
        others = pairs[~is_pilot]
        _, logits = self._stack.screened(others, least)
        stays = logits != -np.inf  # NaN stays, and is complained of
        of_others = self._of_base(logits[stays], others[stays])
        of_pilot = logits_of_pilot[before : before + np.count_nonzero(is_pilot)]
        return np.concatenate([pairs[is_pilot], others[stays]]), np.concatenate([of_pilot, of_others])

    def _of_base(self, logits: NDArray[np.float64], pairs: Pairs) -> NDArray[np.float64]:
        return self._scorer.of_base(logits, pairs) if isinstance(self._scorer, DegreeAwareScorer) else logits
