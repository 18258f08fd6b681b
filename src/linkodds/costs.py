"""Costs: what each stage of a fit took, kept apart from the results so that these are the same bytes each time."""

import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


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
        unit = 1 if platform.system() == "Darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        self.stages[name] = {"seconds": round(seconds, 3), "peak_bytes": peak}
