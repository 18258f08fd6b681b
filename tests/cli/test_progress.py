"""The progress bar of a fit, drawn into a string as a terminal would get it."""

import io
import re
import time

import pytest
from rich.console import Console

from linkodds.cli.progress import shown
from linkodds.models.training.history import Epoch, Validation


def epoch(number: int, loss: float | None, average_precision: float | None = None) -> Epoch:
    validation = None if average_precision is None else Validation(0.9, average_precision, *6 * [0.5])
    return Epoch(number, loss, loss, 0.0, seconds=0.01, validation=validation)


def drawn(console: Console) -> list[str]:
    """Lines without control codes."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", console.file.getvalue()).replace("\r", "\n").split("\n")


@pytest.fixture
def terminal() -> Console:
    return Console(force_terminal=True, file=io.StringIO(), width=100, color_system=None)


def test_loss_average_precision_pace_and_time_left_are_shown(terminal: Console) -> None:
    with shown(terminal) as (_, on_start, on_epoch):
        on_start("vgae-fold-2", 300, [])
        for number, ap in enumerate((0.25, 0.125, None), start=1):
            time.sleep(0.02)  # a pace needs two moments
            on_epoch(epoch(number, 0.5 / number, ap))
    last = [line for line in drawn(terminal) if "3/300" in line][-1]
    assert last.startswith("vgae-fold-2 ")
    assert "loss 0.167 AP 0.125 best 0.25" in last
    assert re.search(r"\d epochs/s \d:\d\d:\d\d", last)


def test_a_slow_training_has_seconds_an_epoch_and_a_loss_that_is_not_finite_is_said(terminal: Console) -> None:
    """Half an epoch a second: two moments in this test's own clock."""
    moments = iter(range(0, 1000, 2))
    with shown(terminal, clock=lambda: float(next(moments))) as (_, on_start, on_epoch):
        on_start("gae", 10, [])
        for number in (1, 2, 3):
            on_epoch(epoch(number, None))
    last = [line for line in drawn(terminal) if "3/10" in line][-1]
    assert "loss not finite" in last
    assert "s/epoch" in last


def test_each_training_starts_anew_and_a_resumed_one_where_it_stopped(terminal: Console) -> None:
    with shown(terminal) as (_, on_start, on_epoch):
        on_start("gae", 300, [])
        on_epoch(epoch(1, 0.5, 0.75))
        on_start("vgae", 200, [epoch(1, 0.5, 0.375), epoch(2, 0.4)])
        on_epoch(epoch(3, 0.3, 0.25))
    last = [line for line in drawn(terminal) if "3/200" in line][-1]
    assert last.startswith("vgae ")
    assert "AP 0.25 best 0.375" in last


def test_a_line_a_stage_stands_above_the_bar(terminal: Console) -> None:
    with shown(terminal) as (say, on_start, on_epoch):
        on_start("gae", 300, [])
        on_epoch(epoch(1, 0.5))
        say("gae: validation [bold]average\x1b[31m precision 0.1")
    assert r"gae: validation [bold]average\x1b[31m precision 0.1" in drawn(terminal)


def test_nothing_but_lines_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as (say, on_start, on_epoch):
        on_start("gae", 300, [])
        on_epoch(epoch(1, 0.5, 0.25))
        say("training gae")
    assert capsys.readouterr() == ("", "training gae\n")
