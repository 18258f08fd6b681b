"""Interrupts: the first Ctrl-C lets an epoch of a training come to its end, the second stops at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linkodds.models.training.history import Epoch

Say = Callable[[str], None]
OnEpoch = Callable[["Epoch"], None]


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
