"""Crews: who computes the parts of a step of training, so that every process ends up with all of them, in order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.float32]


class WorkerGroup(Protocol):
    """Processes (or threads) that train together: each has the same weights before and after each step.

    The number of parts is fixed, whatever the number of processes, and everybody adds them up in their order: so one process
    and many give the same bits.
    """

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written."""
        ...

    @property
    def sent(self) -> int:
        """Bytes that this process has sent to others."""
        ...

    def gathered(self, work: Callable[[int], Part], count: int) -> list[Part]:
        """work(0), ..., work(count - 1), in order, in every process; all of one shape.

        Args:
            work: a pure function of the number and of what all processes have.
            count: the same in all processes.
        """
        ...


@dataclass(frozen=True)
class LocalCrew:
    """Threads of this process.

    Args:
        workers: threads.
    Example:
        >>> LocalCrew(2).gathered(lambda number: np.full(1, number, dtype=np.float32), 3)
        [array([0.], dtype=float32), array([1.], dtype=float32), array([2.], dtype=float32)]
    """

    workers: int = 1

    @property
    def is_first(self) -> bool:
        """See `WorkerGroup.is_first`."""
        return True

    @property
    def sent(self) -> int:
        """See `WorkerGroup.sent`."""
        return 0

    def gathered(self, work: Callable[[int], Part], count: int) -> list[Part]:
        """See `WorkerGroup.gathered`."""
        if self.workers == 1:
            return list(map(work, range(count)))
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(work, range(count)))
