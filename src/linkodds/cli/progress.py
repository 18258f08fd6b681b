"""Progress of a fit on stderr: a bar where it is a terminal, a line a stage where it is not."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from linkodds.cli.app import printable, say

if TYPE_CHECKING:
    from linkodds.training import Epoch

Say = Callable[[str], None]
OnEpoch = Callable[["Epoch"], None]


@contextmanager
def shown(epochs: int) -> Iterator[tuple[Say, OnEpoch | None]]:
    """What to call at each stage and after each epoch; the bar goes away when the block ends.

    Args:
        epochs: the most epochs that a training can take.
    Example:
        >>> with shown(epochs=10) as (say, on_epoch):
        ...     on_epoch is None  # stderr is no terminal here
        True
    """
    if not sys.stderr.isatty():
        yield say, None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("epochs", total=epochs, visible=False)

        def on_epoch(record: "Epoch") -> None:
            progress.update(task, completed=record.epoch, visible=record.epoch < epochs)

        def say_above_bar(message: str) -> None:
            progress.update(task, visible=False)
            console.print(printable(message), markup=False, highlight=False)

        yield say_above_bar, on_epoch


@contextmanager
def share_shown(description: str) -> Iterator[Callable[[float], None] | None]:
    """What to call with the share of the work done, None where stderr is no terminal.

    Example:
        >>> with share_shown("searching") as on_block:
        ...     on_block is None
        True
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=1.0)
        yield lambda share: progress.update(task, completed=share)
