"""Progress of a fit: a bar on stderr where it is a terminal, a line a stage elsewhere, events for TensorBoard and MLflow;
and what Ctrl-C does to it.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linkodds.cli.app import printable, say

if TYPE_CHECKING:
    from rich.console import Console

    from linkodds.evaluation.evaluation import Evaluation
    from linkodds.models.training.history import Epoch

Say = Callable[[str], None]
OnStart = Callable[[str, int, "Sequence[Epoch]"], None]
OnEpoch = Callable[["Epoch"], None]
OnEnd = Callable[[Path, "Evaluation", Mapping[str, Any]], None]


@contextmanager
def shown(
    console: "Console | None" = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[Say, OnStart, OnEpoch]]:
    """What to call at each stage, as a training starts and after each epoch; the bar goes away when the block ends.

    Args:
        console: where to draw the bar; None takes stderr, and no bar where that is no terminal.
        clock: seconds, for the pace and the time left.
    Example:
        >>> with shown() as (say, on_start, on_epoch):
        ...     on_start("gae", 300, [])  # stderr is no terminal here: nothing is drawn
    """
    if console is None and not sys.stderr.isatty():
        yield say, lambda *_: None, lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = console or Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        MofNCompleteColumn(),
        TextColumn("{task.fields[now]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, get_time=clock) as progress:
        task = progress.add_task("", total=None, visible=False, now="")
        validations: list[float] = []

        def on_start(name: str, epochs: int, history: "Sequence[Epoch]") -> None:
            validations[:] = [each.validation.average_precision for each in history if each.validation is not None]
            progress.reset(task, total=epochs, completed=len(history), visible=True, description=name, now="")

        def on_epoch(record: "Epoch") -> None:
            if record.validation is not None:
                validations.append(record.validation.average_precision)
            progress.update(task, completed=record.epoch, now=_in_words(record, validations, progress.tasks[0].speed))

        def say_above_bar(message: str) -> None:
            progress.update(task, visible=False)
            console.print(printable(message), markup=False, highlight=False)

        yield say_above_bar, on_start, on_epoch


@contextmanager
def watched(
    tensorboard: Path | None, mlflow: str | None = None, name: str = ""
) -> Iterator[tuple[Say, OnStart, OnEpoch, OnEnd]]:
    """As `shown` and, where they are named, write for TensorBoard and MLflow too.

    Args:
        tensorboard: the folder, or None.
        mlflow: the tracking server, or None.
        name: of the run in MLflow.
    Raises:
        OptionError: what is named is not installed, or cannot be written to.
    """
    with ExitStack() as stack:
        say_stage, draw_start, draw_epoch = stack.enter_context(shown())
        starts, epochs, ends = [draw_start], [draw_epoch], list[OnEnd]()
        if tensorboard is not None:
            from linkodds.models.training.tracking import tensorboard_events

            write_start, write_epoch = stack.enter_context(tensorboard_events(tensorboard))
            starts.append(write_start)
            epochs.append(write_epoch)
        if mlflow is not None:
            from linkodds.models.training.mlflow_tracking import mlflow_log

            log = stack.enter_context(mlflow_log(mlflow, name, say_stage))
            starts.append(log.on_start)
            epochs.append(log.on_epoch)
            ends.append(log.on_end)

        def on_start(name: str, most: int, history: "Sequence[Epoch]") -> None:
            for each in starts:
                each(name, most, history)

        def on_epoch(record: "Epoch") -> None:
            for each in epochs:
                each(record)

        def on_end(path: Path, evaluation: "Evaluation", options: Mapping[str, Any]) -> None:
            for each in ends:
                each(path, evaluation, options)

        yield say_stage, on_start, on_epoch, on_end


def _in_words(record: "Epoch", validations: list[float], pace: float | None) -> str:
    """The state of a training, short enough for a line of 80 columns; `pace` is in epochs a second."""
    said = ["loss not finite" if record.loss is None else f"loss {record.loss:.3g}"]
    if validations:
        said.append(f"AP {validations[-1]:.3g} best {max(validations):.3g}")
    if pace:
        said.append(f"{pace:.3g} epochs/s" if pace >= 1 else f"{1 / pace:.3g} s/epoch")
    return " ".join(said)


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


@contextmanager
def stopping_between_epochs(say: Say, on_epoch: OnEpoch | None) -> Iterator[tuple[Say, OnEpoch]]:
    """What to call at each stage and after each epoch, so that Ctrl-C or SIGTERM stops a training where nothing is lost.

    Once a training has made an epoch, and up to the next line that is said, the first signal only asks to stop: the
    callbacks raise KeyboardInterrupt when their turn comes. Another one, or one at any other time, raises it at once.

    Args:
        say: called with one line a stage.
        on_epoch: called after every epoch, or None.
    Example:
        >>> lines = []
        >>> with stopping_between_epochs(lines.append, None) as (say, on_epoch):
        ...     say("training")
        >>> lines
        ['training']
    """
    is_training = is_asked = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal is_asked
        if is_asked or not is_training:
            raise KeyboardInterrupt
        is_asked = True
        # Not print: the signal may have come while something else was being printed.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"\nstopping after this epoch; again: at once\n")

    def say_and_stop(line: str) -> None:
        nonlocal is_training
        is_training = False
        say(line)
        if is_asked:
            raise KeyboardInterrupt

    def after_epoch(epoch: "Epoch") -> None:
        nonlocal is_training
        is_training = True
        if on_epoch is not None:
            on_epoch(epoch)
        if is_asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread
        yield say_and_stop, after_epoch
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield say_and_stop, after_epoch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
