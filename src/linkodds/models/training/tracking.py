"""Tracking: the history of trainings, epoch by epoch, as TensorBoard shows it while they run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from linkodds.errors import OptionError
from linkodds.models.training.history import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

OnStart = Callable[[str, int, Sequence[Epoch]], None]
OnEpoch = Callable[[Epoch], None]


@contextmanager
def tensorboard_events(folder: Path) -> Iterator[tuple[OnStart, OnEpoch]]:
    """What to call as a training starts and after each epoch, to write event files for `tensorboard --logdir FOLDER`.

    Each training has a sub-directory of its name. A second training of the same name there hides the first, and one that
    is resumed has its whole history again. Scalars: loss, reconstruction, kl and validation/NAME; a value that was not
    finite is left out. What the divergence guard did is a text, under event.

    Args:
        folder: made where it is missing.
    Raises:
        OptionError: TensorBoard is not installed, or the folder cannot be made.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise OptionError(
            "--tensorboard: TensorBoard is not installed here; pip install 'linkodds[track]', or leave the option out."
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--tensorboard {folder}: no folder can be made there: {error.strerror}.") from error
    writers: list[SummaryWriter] = []

    def on_start(name: str, epochs: int, history: Sequence[Epoch]) -> None:
        for writer in writers:
            writer.close()
        writers[:] = [SummaryWriter(str(folder / name), purge_step=1)]
        writers[0].add_text("training", f"{name}, up to {epochs} epochs", 0)
        for epoch in history:
            _write(writers[0], epoch)

    def on_epoch(epoch: Epoch) -> None:
        _write(writers[0], epoch)

    try:
        yield on_start, on_epoch
    finally:
        for writer in writers:
            writer.close()


def _write(writer: "SummaryWriter", epoch: Epoch) -> None:
    terms = {"loss": epoch.loss, "reconstruction": epoch.reconstruction, "kl": epoch.kl}
    if epoch.validation is not None:
        terms |= {f"validation/{name}": value for name, value in asdict(epoch.validation).items()}
    for name, value in terms.items():
        if value is not None:
            writer.add_scalar(name, value, epoch.epoch)
    if epoch.event:
        writer.add_text("event", epoch.event, epoch.epoch)
