"""A few threads for what takes time, and a bound on the requests that wait for one."""

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class Busy(Exception):
    """So many requests wait already that one more is sent away."""


class BoundedThreads:
    """Runs functions in threads; what cannot start soon is refused instead of piling up.

    Args:
        threads: at most so many functions run at a time.
        waiting: so many more may wait.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._threads, self._most = threads, threads + waiting
        self._num_here = 0

    async def __call__(self, function: Callable[[], T]) -> T:
        """The function's result; called from the event loop's thread only, so that counting needs no lock.

        Raises:
            Busy: too many wait.
        """
        if self._num_here >= self._most:
            raise Busy
        if self._limiter is None:  # belongs to the running loop
            self._limiter = anyio.CapacityLimiter(self._threads)
        self._num_here += 1
        try:
            return await anyio.to_thread.run_sync(function, limiter=self._limiter)
        finally:
            self._num_here -= 1
