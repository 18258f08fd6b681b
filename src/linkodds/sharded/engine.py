"""Engines: who does the blocks. A stage does not know."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Engine(Protocol):
    """Maps a pure function over block numbers.

    The function finds its inputs by paths, leaves its outputs there, and can be pickled. An engine may lose a worker and
    do a block again, which gives the same bytes; it hands out results in the order of the numbers.
    """

    @property
    def workers(self) -> int:
        """Blocks at a time; each gets an equal share of the memory."""
        ...

    def map(self, work: Callable[[int], Result], numbers: Sequence[int]) -> Iterator[Result]:
        """Yield work(number) for each number, in order."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Threads of this process: NumPy, polars and torch work outside of Python's lock.

    Args:
        workers: threads.
    Example:
        >>> list(LocalEngine(2).map(lambda number: number * number, [3, 1, 2]))
        [9, 1, 4]
    """

    workers: int = 1

    @staticmethod
    def default_workers() -> int:
        """The processors that this process may use, at most 4."""
        return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def map(self, work: Callable[[int], Result], numbers: Sequence[int]) -> Iterator[Result]:
        """See `Engine.map`."""
        if self.workers == 1:
            yield from map(work, numbers)
            return
        with ThreadPoolExecutor(self.workers) as pool:
            waiting: deque[Future[Result]] = deque()
            try:
                for number in numbers:
                    waiting.append(pool.submit(work, number))
                    if (
                        len(waiting) > self.workers
                    ):  # what is done but not entered is lost with the process: keep it little
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
