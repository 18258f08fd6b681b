"""Store: a folder of shards, and its manifest, which lists only shards that were fully written and synced.

A block of work writes each of its shards under another name, brings it to the disk, and renames it. Then a line with names,
sizes and hashes goes to the end of the manifest. Whenever the process is killed, the next one finds whole blocks in the
manifest, makes those again that are not there, and drops a last line that was cut off.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from linkodds.errors import BrokenRun, OptionError, RunError, RunExists

FORMAT: Final = "linkodds.shards/1"
MANIFEST = "manifest.jsonl"
_NEW = ".new"
_PIECE = 1 << 22


class Shard(BaseModel):
    """One file of a block.

    Args:
        name: path in the folder.
        bytes: its size.
        sha256: of its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    bytes: int
    sha256: str


class FinishedBlock(BaseModel):
    """A block that is done, as its line in the manifest says.

    Args:
        stage: which work it is of.
        number: of the block.
        shards: what it wrote.
        counts: bytes read and written, operations, and whatever later stages want to know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    stage: str
    number: int
    shards: tuple[Shard, ...]
    counts: dict[str, int]


class Header(BaseModel):
    """The first line: what the shards are made of and how.

    Args:
        format: of the manifest.
        versions: of programs whose change would change shards.
        inputs: path of a file -> bytes.
        changed: path of a file -> when it was last written to, nanoseconds since 1970.
        options: all that results or block sizes depend on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal["linkodds.shards/1"] = FORMAT
    versions: dict[str, str]
    inputs: dict[str, int]
    changed: dict[str, int] = Field(default_factory=dict)
    options: dict[str, Any]


class DroppedStages(BaseModel):
    """A line that says that the shards of some stages were deleted because nobody needs them any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    dropped: tuple[str, ...]


class WorkBlock:
    """One block at work: reads and writes shards and counts the bytes of both.

    Args:
        folder: of the store.
        stage: of the block.
        number: of the block.
    """

    def __init__(self, folder: Path, stage: str, number: int) -> None:
        self.folder, self.stage, self.number = folder, stage, number
        self.counts = {"read": 0, "written": 0, "operations": 0}
        self._shards: list[Shard] = []

    def mapped(self, name: str) -> NDArray[Any]:
        """A shard of numbers without reading it: what of it is used has to be counted with `took`."""
        try:
            array: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise self._lost(f"{name}.npy") from error
        except ValueError as error:
            raise BrokenRun(f"{self.folder / name}.npy is damaged ({error}). {CURE}") from error
        return array

    def took(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy in memory of (a part of) a mapped shard; counted."""
        self.counts["read"] += array.nbytes
        return np.array(array)

    def load(self, name: str) -> NDArray[Any]:
        """A whole shard of numbers."""
        return self.took(self.mapped(name))

    def texts(self, name: str, start: int = 0, stop: int | None = None) -> pl.Series:
        """(A part of) a shard of texts."""
        path = self.folder / f"{name}.arrow"
        try:
            part = (
                pl.scan_ipc(path, glob=False).slice(start, None if stop is None else stop - start).collect().to_series()
            )
        except FileNotFoundError as error:
            raise self._lost(f"{name}.arrow") from error
        except pl.exceptions.PolarsError as error:
            raise BrokenRun(f"{path} is damaged ({error}). {CURE}") from error
        self.counts["read"] += text_bytes(part)
        return part

    def save(self, what: str, array: NDArray[Any]) -> None:
        """Write a shard of numbers."""
        array = np.ascontiguousarray(array)

        def write(put: Callable[[bytes | memoryview], None]) -> None:
            shape = f"({array.shape[0]},)" if array.ndim == 1 else str(array.shape)
            text = f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
            text += " " * (-(len(text) + 11) % 64) + "\n"
            put(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
            if array.size:
                whole = memoryview(array.data).cast("B")
                for start in range(0, len(whole), _PIECE):
                    put(whole[start : start + _PIECE])

        self.counts["written"] += array.nbytes
        self.write(f"{what}.npy", write)

    def save_texts(self, what: str, texts: pl.Series) -> None:
        """Write a shard of texts."""
        name = f"{self.number}.{what}.arrow"
        path = self._place(name)
        texts.to_frame("id").rechunk().write_ipc(path.with_name(path.name + _NEW), compression="uncompressed")
        self.counts["written"] += text_bytes(texts)
        self._enter(path)

    def write(self, what: str, content: Callable[[Callable[[bytes | memoryview], None]], None]) -> None:
        """Write a shard of whatever `content` hands to the function that it is given."""
        path = self._place(f"{self.number}.{what}")
        digest = hashlib.sha256()
        with path.with_name(path.name + _NEW).open("wb") as file:

            def put(piece: bytes | memoryview) -> None:
                digest.update(piece)
                file.write(piece)

            content(put)
        self._enter(path, digest.hexdigest())

    def made(self, **counts: int) -> FinishedBlock:
        """The line for the manifest."""
        return FinishedBlock(
            stage=self.stage, number=self.number, shards=tuple(self._shards), counts=self.counts | counts
        )

    def _place(self, name: str) -> Path:
        folder = self.folder / self.stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def _enter(self, path: Path, digest: str | None = None) -> None:
        new = path.with_name(path.name + _NEW)
        with new.open("rb+") as file:
            digest = digest or hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        size = new.stat().st_size
        new.replace(path)
        self._shards.append(Shard(name=str(path.relative_to(self.folder)), bytes=size, sha256=digest))

    def _lost(self, name: str) -> BrokenRun:
        return BrokenRun(
            f"{self.folder / name} is gone, and {self.stage} needs it. Run the same command again, which makes it again; if "
            f"that fails, what it was made of is gone as well: delete {self.folder}."
        )


CURE = "Delete this file and run the same command again: it is made again. If the disk is failing, so will others."


def text_bytes(texts: pl.Series) -> int:
    """Bytes of texts as they count for reading and writing: UTF-8, and 16 for each."""
    return int(texts.str.len_bytes().sum()) + 16 * len(texts)


class Store:
    """A folder of shards with its manifest.

    Args:
        folder: made if it is not there.
        header: what the shards are of; what is in the folder must be of the same.
    Raises:
        RunExists: the folder holds something else.
        OptionError: it holds shards of other options or inputs.
        BrokenRun: a shard is damaged; the message names it and says what to do.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder, self.header = folder, header
        self._made: dict[tuple[str, int], FinishedBlock] = {}
        self._dropped: set[str] = set()
        self.num_lost = 0
        path = folder / MANIFEST
        if path.is_file() and path.stat().st_size:
            self._continue(path)
        elif folder.is_dir() and any(each.name.removesuffix(_NEW) != MANIFEST for each in folder.iterdir()):
            raise RunExists(
                f"{folder} is there and holds no {MANIFEST}, so it is not what a sharded fit left; move it."
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._rewrite()

    def run(
        self,
        engine: "Map",
        work: Callable[[int], FinishedBlock],
        stage: str,
        numbers: Iterable[int],
        say: Callable[[str], None],
    ) -> list[FinishedBlock]:
        """Do the blocks of a stage that are not done, in order, and enter each in the manifest.

        Args:
            engine: maps the work over the blocks.
            work: a pure function of the number and of shards.
            stage: its name.
            numbers: of all blocks.
            say: called with one line where anything is left to do.
        Returns:
            All blocks of the stage, in order.
        Raises:
            RunError: the disk is full.
        """
        numbers = list(numbers)
        missing = [number for number in numbers if (stage, number) not in self._made]
        if missing:
            done = f" ({len(numbers) - len(missing)} done before)" if len(missing) < len(numbers) else ""
            say(f"{stage}: {len(missing)} block{'s' * (len(missing) > 1)}{done}")
        try:
            for made in engine(work, missing):
                self._append(made)
                self._made[made.stage, made.number] = made
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            free = shutil.disk_usage(self.folder).free
            raise RunError(
                f"{self.folder}: no space left on the disk in {stage} ({free:,} bytes free). Free some and run the same command "
                "again: it goes on with the block that is missing."
            ) from error
        return [self._made[stage, number] for number in numbers]

    def drop(self, *stages: str) -> None:
        """Delete the shards of stages that nobody needs any more; that they are done stays in the manifest."""
        fresh = tuple(stage for stage in stages if stage not in self._dropped)
        if fresh:
            self._append(DroppedStages(dropped=fresh))
            self._dropped.update(fresh)
        for stage in stages:
            shutil.rmtree(self.folder / stage, ignore_errors=True)

    def totals(self) -> dict[str, dict[str, int]]:
        """Stage -> bytes read, bytes written, operations and blocks; what was done before a restart is counted too."""
        result: dict[str, dict[str, int]] = {}
        for made in self._made.values():
            total = result.setdefault(made.stage, {"read": 0, "written": 0, "operations": 0, "blocks": 0})
            for name in ("read", "written", "operations"):
                total[name] += made.counts[name]
            total["blocks"] += 1
        return result

    def _continue(self, path: Path) -> None:
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        first, *lines = whole.decode().splitlines() or [""]
        try:
            header = Header.model_validate_json(first)
        except ValidationError as error:
            raise BrokenRun(
                f"{path}: the first line is not that of {FORMAT}. Delete {self.folder} and start again."
            ) from error
        if header != self.header:
            raise OptionError(f"{self.folder}: {_difference(header, self.header)} Give the same ones, or delete it.")
        for line in lines:
            try:
                if '"dropped"' in line[:12]:
                    self._dropped.update(DroppedStages.model_validate_json(line).dropped)
                else:
                    made = FinishedBlock.model_validate_json(line)
                    self._made[made.stage, made.number] = made
            except ValidationError as error:
                raise BrokenRun(f"{path}: a line is damaged ({line[:60]!r}). Delete {self.folder}.") from error
        lost = [key for key, made in self._made.items() if made.stage not in self._dropped and not self._is_there(made)]
        self.num_lost = len(lost)
        for key in lost:
            del self._made[key]
        if lost:
            self._rewrite()
        elif len(whole) < len(content):
            os.truncate(path, len(whole))

    def _is_there(self, made: FinishedBlock) -> bool:
        for shard in made.shards:
            path = self.folder / shard.name
            if not path.is_file():
                return False
            with path.open("rb") as file:
                is_whole = path.stat().st_size == shard.bytes
                is_whole = is_whole and hashlib.file_digest(file, "sha256").hexdigest() == shard.sha256
            if not is_whole:
                raise BrokenRun(f"{path} is damaged: its content is not what {MANIFEST} says. {CURE}")
        return True

    def _append(self, line: FinishedBlock | DroppedStages) -> None:
        with (self.folder / MANIFEST).open("ab") as file:
            file.write(line.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self) -> None:
        lines = [self.header.model_dump_json(), *(made.model_dump_json() for made in self._made.values())]
        if self._dropped:
            lines.append(DroppedStages(dropped=tuple(sorted(self._dropped))).model_dump_json())
        new = self.folder / (MANIFEST + _NEW)
        with new.open("wb") as file:
            file.write(("\n".join(lines) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / MANIFEST)


Map = Callable[[Callable[[int], FinishedBlock], list[int]], Iterable[FinishedBlock]]
"""An engine's `map`: the results of a pure function for each number, in the order of the numbers."""


def _difference(there: Header, asked: Header) -> str:
    for name in ("versions", "inputs", "changed", "options"):
        old: Mapping[str, Any] = getattr(there, name)
        new: Mapping[str, Any] = getattr(asked, name)
        for key in sorted({*old, *new}):
            if old.get(key) == new.get(key):
                continue
            if name == "inputs" and (key not in old or key not in new):
                return f"its shards are of other files: {key} is {'one of them' if key in old else 'none of them'}."
            if name == "changed":
                return f"its shards are of {key} before it was last written to."
            unit = " bytes" if name == "inputs" else ""
            return f"its shards were made with {key} = {old.get(key)!r}, not {new.get(key)!r}{unit}."
    return "its shards were made with other options."
