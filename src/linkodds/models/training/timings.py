"""Costs: what each stage of a fit took, kept apart from the results so that these are the same bytes each time."""

import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Costs:
    """Seconds of each stage, and the process's peak memory when it ended."""

    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    def seconds(self, name: str) -> float:
        """What a stage has taken so far."""
        return self.stages.get(name, {"seconds": 0.0})["seconds"]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, adding to what the stage has cost already."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start + self.seconds(name)
        self.stages[name] = {"seconds": round(seconds, 3), "peak_bytes": peak_bytes()}


def peak_bytes(status: Path = Path("/proc/self/status")) -> int:
    """The most memory that this process has held.

    Linux counts in getrusage what the parent held when it started this process, so its own high-water mark comes first.

    Args:
        status: where Linux tells it; getrusage is asked where that cannot be read.
    Example:
        >>> peak_bytes() > 1_000_000, peak_bytes(Path("nowhere")) > 1_000_000
        (True, True)
    """
    try:
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, UnicodeDecodeError):
        unit = 1 if platform.system() == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
