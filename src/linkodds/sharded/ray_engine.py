"""Ray: tasks on the processes of a machine, or of several that share a disk."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from linkodds.errors import OptionError, RunError
from linkodds.sharded.engine import Engine, LocalEngine

Result = TypeVar("Result")

ENGINES = ("local", "ray")
_RETRIES = 3


@dataclass(frozen=True)
class RayEngine:
    """Tasks of Ray, of one processor each; a task whose process is lost is done again, up to three times.

    It needs a Ray that is initialised (see `started`). All processes find the files of a fit under the same paths, and
    have the same linkodds.

    Args:
        workers: tasks at a time.
    """

    workers: int = 1

    def map(self, work: Callable[[int], Result], numbers: Sequence[int]) -> Iterator[Result]:
        """See `Engine.map`.

        Raises:
            RunError: a process was lost more often than a task is done again.
        """
        if not numbers:
            return
        ray = _ray()
        task = ray.remote(num_cpus=1, max_retries=_RETRIES, retry_exceptions=False)(_do)
        shared = ray.put(work)  # once, not with each task
        waiting: deque[Any] = deque()
        try:
            for number in numbers:
                waiting.append(task.remote(shared, number))
                if len(waiting) > self.workers:
                    yield _result(ray, waiting.popleft())
            while waiting:
                yield _result(ray, waiting.popleft())
        finally:
            for reference in waiting:
                ray.cancel(reference)


@contextmanager
def started(name: str, workers: int) -> Iterator[Engine]:
    """An engine, which is stopped at the end if it was started here.

    Args:
        name: one of `ENGINES`. Ray joins what is initialised in this process or what RAY_ADDRESS names, else it starts processes
            on this machine.
        workers: blocks at a time.
    Raises:
        OptionError: Ray is not installed.
        RunError: Ray cannot be reached.
    Example:
        >>> with started("local", 2) as engine:
        ...     list(engine.map(lambda number: number + 1, [1, 2]))
        [2, 3]
    """
    if name == "local":
        yield LocalEngine(workers)
        return
    ray = _ray()
    if ray.is_initialized():
        yield RayEngine(workers)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers of each start otherwise
    here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RunError(f"--engine ray: Ray does not start ({str(error).splitlines()[0]}).") from error
    try:
        yield RayEngine(workers)
    finally:
        ray.shutdown()


def _do(work: Callable[[int], Result], number: int) -> Result:
    return work(number)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # the stage's own error, as an engine of threads raises it
    except ray.exceptions.RayError as error:
        raise RunError(
            f"--engine ray: a task was lost {_RETRIES + 1} times ({str(error).splitlines()[0]}). Run the same command again: it "
            "goes on with the block that is missing."
        ) from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise OptionError(
            "--engine ray: Ray is not installed here; pip install 'linkodds[ray]', or take local."
        ) from error
    return ray
