"""Event files for TensorBoard, read back with TensorBoard's own reader."""

import builtins
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from linkodds.errors import OptionError
from linkodds.models.training.history import Epoch, Validation
from linkodds.models.training.tracking import tensorboard_events


def epoch(number: int, loss: float | None = None, *, validated: bool = False, event: str = "") -> Epoch:
    validation = Validation(*(number + i / 10 for i in range(8))) if validated else None
    terms = (None, None, None) if loss is None else (loss, loss - 0.25, 0.25)
    return Epoch(number, *terms, seconds=0.1, validation=validation, event=event)


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def scalars(events: EventAccumulator, name: str) -> dict[int, float]:
    return {each.step: each.value for each in events.Scalars(name)}


def test_scalars_and_interventions_are_the_history(tmp_path: Path) -> None:
    history = [epoch(1, 0.75), epoch(2, 0.5, validated=True), epoch(3, event="back to epoch 2"), epoch(4, 0.375)]
    with tensorboard_events(tmp_path) as (on_start, on_epoch):
        on_start("vgae", 4, [])
        for each in history:
            on_epoch(each)
    events = read(tmp_path / "vgae")
    for name in ("loss", "reconstruction", "kl"):
        seen = {each.epoch: getattr(each, name) for each in history if each.loss is not None}
        assert scalars(events, name) == pytest.approx(seen, rel=1e-6)  # events hold float32
    assert history[1].validation is not None
    for name, value in asdict(history[1].validation).items():
        assert scalars(events, f"validation/{name}") == pytest.approx({2: value}, rel=1e-6)
    (event,) = events.Tensors("event/text_summary")
    assert (event.step, event.tensor_proto.string_val[0]) == (3, b"back to epoch 2")


def test_every_training_has_a_folder_of_its_own(tmp_path: Path) -> None:
    with tensorboard_events(tmp_path / "new") as (on_start, on_epoch):
        for number, name in enumerate(("gae", "vgae-fold-2"), start=1):
            on_start(name, 1, [])
            on_epoch(epoch(1, float(number)))
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"gae", "vgae-fold-2"}
    assert scalars(read(tmp_path / "new" / "gae"), "loss") == {1: 1.0}
    assert scalars(read(tmp_path / "new" / "vgae-fold-2"), "loss") == {1: 2.0}


def test_a_resumed_training_has_its_whole_history_once(tmp_path: Path) -> None:
    """Killed after epoch 3, resumed from the checkpoint of epoch 2: one value an epoch, the one of the second run."""
    with tensorboard_events(tmp_path) as (on_start, on_epoch):
        on_start("gae", 4, [])
        for number in (1, 2, 3):
            on_epoch(epoch(number, number / 2))
    with tensorboard_events(tmp_path) as (on_start, on_epoch):
        on_start("gae", 4, [epoch(1, 0.5), epoch(2, 1.0)])
        on_epoch(epoch(3, 8.0))
    assert [(each.step, each.value) for each in read(tmp_path / "gae").Scalars("loss")] == [
        (1, 0.5),
        (2, 1.0),
        (3, 8.0),
    ]


def test_without_tensorboard_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_module = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return import_module(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(OptionError, match=r"--tensorboard: .* pip install 'linkodds\[track\]'"),
        tensorboard_events(tmp_path / "events"),
    ):
        pass
    assert not (tmp_path / "events").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("")
    with (
        pytest.raises(OptionError, match="--tensorboard .*events: .*File exists"),
        tensorboard_events(tmp_path / "events"),
    ):
        pass
