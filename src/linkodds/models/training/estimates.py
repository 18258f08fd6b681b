"""Preflight: what a training will take, said before it starts, and how many epochs a time budget allows."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from linkodds.errors import OptionError
from linkodds.findings import Finding
from linkodds.models.training import cost_model, pair_cost_model
from linkodds.models.training.cost_model import Sizes, nominal_seconds, peak_bytes

IMPOSSIBLE = 4
"""A training whose estimate is beyond this many times the machine's memory is refused; the estimate is not that far off."""

CLOCK_FACTOR = 2
"""A clock ends training where it takes this many times its budget,"""
CLOCK_GRACE = 5.0
"""and this many seconds more: libraries that start, and matrices that are made before the first epoch, are not counted."""

_CURES = {
    "weights": "Smaller --hidden and --dim need less.",
    "layers": "Smaller --hidden and --dim need less.",
    "objective": "Fewer --zeros-per-edge need less.",
    "validation": "Smaller --hidden and --dim need less.",
    "evaluation": "A smaller --max-pairs needs less.",
    "libraries": "Close other programs.",
}


@dataclass(frozen=True)
class Memory:
    """Main memory of this machine in bytes; None where it cannot be known.

    Args:
        total: all of it, or the limit of the container that the program runs in.
        available: what a new program can have without others being moved to disk.
    """

    total: int | None
    available: int | None

    @staticmethod
    def here(meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")) -> "Memory":
        """The memory of the machine that this runs on.

        Args:
            meminfo: what Linux says about memory.
            limit: what Linux says about the container's limit, "max" or bytes.
        """
        total, available = _of_linux(meminfo)
        if total is None and {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= set(getattr(os, "sysconf_names", ())):
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        try:
            most = int(limit.read_text(encoding="ascii"))
        except (OSError, ValueError):  # no such limit, or "max"
            return Memory(total, available)
        return Memory(min(total or most, most), min(available or most, most))


def epoch_seconds(sizes: Sizes) -> float:
    """Nominal seconds of an epoch of any model, counted as its encoder works: in batches, or on all train edges at once."""
    counted_by = pair_cost_model if sizes.encoder == "mixing" else cost_model
    return nominal_seconds(counted_by.epoch_work(sizes))


def announcement(name: str, epochs: int, sizes: Sizes, memory: Memory) -> list[str]:
    """What to tell the user before a training: how long it may take, and whether it fits the memory.

    Args:
        name: of the training.
        epochs: the most that it can take.
        sizes: of the training.
        memory: of this machine.
    Returns:
        One line; a second one, with the cure, where the estimate is above the memory that is available.
    Raises:
        OptionError: the estimate is above four times the machine's memory.
    Example:
        >>> sizes = Sizes(1000, 5000, 499_500, 1000, "table", 128_000, 128, 64, False, False, True, "all-pairs", 5, 500_000, 5)
        >>> announcement("gae", 300, sizes, Memory(None, None))[0].startswith("gae: up to 300 epochs of about 0.0")
        True
    """
    seconds = epoch_seconds(sizes)
    parts = peak_bytes(sizes)
    needed = sum(parts.values())
    cure = _CURES[max(parts, key=lambda part: parts[part])]
    if memory.total is not None and needed > IMPOSSIBLE * memory.total:
        raise OptionError(
            f"{name} would need about {_size(needed)} of memory, and this machine has {_size(memory.total)}. {cure}"
        )
    counted = f"{epochs:,} epoch{'' if epochs == 1 else 's'}"
    lines = [
        f"{name}: up to {counted} of about {_duration(seconds)}, so up to {_duration(epochs * seconds)}, "
        f"and about {_size(needed)} (estimated from the sizes, for two CPU cores)"
    ]
    if memory.available is not None and needed > memory.available:
        lines.append(
            f"{name} may not fit the memory: it needs about {_size(needed)}, and {_size(memory.available)} are free. {cure}"
        )
    return lines


def search_announcement(num_pairs: int, seconds: float, num_bytes: float) -> str:
    """What to tell the user before a search for links.

    Example:
        >>> search_announcement(4_998_453, 0.0123, 3e7)
        '4,998,453 pairs: at most about 0.012 s and 0.03 GB; those that cannot be on the list are skipped'
    """
    return (
        f"{num_pairs:,} pairs: at most about {_duration(seconds)} and {_size(num_bytes)}; those that cannot be on the list "
        "are skipped"
    )


def candidates_announcement(num_candidates: int, num_pairs: int, seconds: float, num_bytes: float) -> str:
    """What to tell the user before a search among candidates.

    Example:
        >>> candidates_announcement(80_000, 4_998_453, 1.23, 3e7)
        '80,000 candidates of 4,998,453 pairs: about 1.2 s and 0.03 GB; what the list lacks is measured at the end'
    """
    return (
        f"{num_candidates:,} candidates of {num_pairs:,} pairs: about {_duration(seconds)} and {_size(num_bytes)}; what the list "
        "lacks is measured at the end"
    )


def all_pairs_announcement(seconds: float) -> str:
    """What a search of all pairs would have taken.

    Example:
        >>> all_pairs_announcement(3_000)
        '(--search exhaustive would take about 50 min).'
    """
    return f"(--search exhaustive would take about {_duration(seconds)})."


@dataclass(frozen=True)
class TimeBudget:
    """Seconds for all trainings of a fit, shared evenly, spent as counted work at the nominal rates.

    Args:
        seconds: for all of them together; None is no limit.
        trainings: how many there will be.
    Example:
        >>> TimeBudget(60.0, trainings=2).share
        30.0
    """

    seconds: float | None
    trainings: int

    @property
    def share(self) -> float | None:
        """Seconds for each training."""
        return None if self.seconds is None else self.seconds / self.trainings

    def epochs(self, sizes: Sizes, most: int) -> int:
        """How many epochs a training may take: what its share pays for, at least one validation, at most `most`."""
        if self.share is None:
            return most
        paid = int(min(self.share / epoch_seconds(sizes), most))
        return min(most, max(paid, sizes.validate_every))


def shortened(budget: float | None, name: str, epochs: int, most: int) -> Finding:
    """What to say of a training that ended because its share of a time budget was spent."""
    return Finding(
        "training",
        "info",
        f"A time budget of {budget:g} s, spent as counted work, allowed {name} {epochs:,} of {most:,} epochs.",
        "Give a larger --time-budget if validation average precision was still rising.",
        float(epochs),
    )


class Clock:
    """The last resort of a time budget: says when a training has taken more than twice what it should, and 5 seconds.

    It counts the processor's seconds on each thread, so that other programs do not end a training.

    Args:
        allowed: seconds for this training; None never rings.
        threads: that share the work.
        spent: seconds of it that were taken before.
    Example:
        >>> Clock(None, spent=1e9)(), Clock(1.0, spent=7.5)()
        (False, True)
    """

    def __init__(self, allowed: float | None, *, threads: int = 1, spent: float = 0.0) -> None:
        self.allowed, self.threads, self.spent = allowed, threads, spent
        self.start = time.process_time()

    def __call__(self) -> bool:
        """Whether the time is over."""
        taken = self.spent + (time.process_time() - self.start) / self.threads
        return self.allowed is not None and taken > CLOCK_FACTOR * self.allowed + CLOCK_GRACE

    def finding(self, name: str, epochs: int) -> Finding:
        """What to say of a training that was ended by the clock."""
        return Finding(
            "training",
            "warning",
            f"Training took more than {CLOCK_FACTOR} times the {self.allowed:.3g} s that its time budget allowed, so a clock "
            f"ended {name} after {epochs:,} epochs: this run is not reproducible.",
            "For a run that is, give --epochs instead of --time-budget.",
            float(epochs),
        )


def _of_linux(meminfo: Path) -> tuple[int | None, int | None]:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None, None
    values = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
    return values.get("MemTotal"), values.get("MemAvailable")


def _duration(seconds: float) -> str:
    """Two digits and a unit.

    Example:
        >>> _duration(0.0312), _duration(9.1), _duration(119), _duration(600), _duration(10_000)
        ('0.031 s', '9.1 s', '120 s', '10 min', '2.8 h')
    """
    value, unit = (
        (seconds, "s") if seconds < 120 else (seconds / 60, "min") if seconds < 7200 else (seconds / 3600, "h")
    )
    return f"{float(f'{value:.2g}'):,g} {unit}"


def _size(number: float) -> str:
    """Bytes in GB, two digits.

    Example:
        >>> _size(184e6), _size(24e9), _size(123e9)
        ('0.18 GB', '24 GB', '120 GB')
    """
    return f"{float(f'{number / 1e9:.2g}'):,g} GB"
