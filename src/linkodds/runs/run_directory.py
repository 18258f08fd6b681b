"""Run directory: written whole under another name, renamed once it is, and held against its hashes when it is read."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from linkodds.errors import BrokenRun, LinkoddsError, RunError, RunExists

FORMAT = "linkodds.run/1"
MANIFEST = "manifest.json"
_ALWAYS_THERE = (
    *("config.yaml", "nodes.parquet", "split.npz", "scores.npz", "calibration.json", "decision.json"),
    *("history.csv", "evaluation.json", "predictions.parquet", "cost.json"),
)
_CHECKPOINTS = "checkpoints"
_BEING_WRITTEN = ".new"
WEIGHTS, TREES = "model.safetensors", "trees.txt"
TRIALS, FEATURES, COSINES = "tuning.csv", "features.npz", "feature-cosines.safetensors"
LINK_RATE = "link_rate.npz"
_IN_A_PARTIAL_RUN = {
    *_ALWAYS_THERE,
    WEIGHTS,
    TREES,
    TRIALS,
    COSINES,
    FEATURES,
    LINK_RATE,
    "embeddings.parquet",
    "report.html",
    MANIFEST,
    _CHECKPOINTS,
}


class PartialRun:
    """RUN.partial/, the directory a run is written in before it is renamed to RUN.

    Used as a context: bad input removes it, Ctrl-C leaves it, so does any other failure once there is a checkpoint;
    `commit` turns it into RUN.

    Args:
        out: RUN.
        force: whether an existing RUN may be replaced (when the new one is complete).
        resume: whether to go on with what an interrupted fit left there, instead of replacing it.
    Raises:
        RunExists: RUN is there and `force` is False, or it is something else than a run.
    """

    def __init__(self, out: Path, *, force: bool, resume: bool = False) -> None:
        if out.name in ("", ".."):
            raise RunExists(f"{out} is a directory that others are named by; give RUN a name of its own.")
        if out.exists() or out.is_symlink():
            if not force:
                raise RunExists(f"{out} exists; choose another --out, or give --force to replace it.")
            if not (out / MANIFEST).is_file():
                raise RunExists(f"{out} is no run directory, so --force does not replace it; choose another --out.")
        self.out = out
        self.path = out.with_name(out.name + ".partial")
        self.checkpoints = self.path / _CHECKPOINTS
        self.resume = resume

    def __enter__(self) -> "PartialRun":
        if self.resume:
            return self
        if self.path.exists() or self.path.is_symlink():
            if not _is_left_by_a_fit(self.path):
                raise RunExists(f"{self.path} is not what an interrupted fit left; move it, or choose another --out.")
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception):
            return
        is_bad_input = isinstance(error, LinkoddsError) and not isinstance(error, RunError)
        if is_bad_input or not any(self.checkpoints.glob("*.json")):
            shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        """Write one file: whenever the process is killed, the old one or the new one is there."""
        new = self.path / f"{name}{_BEING_WRITTEN}"
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / name)

    def commit(self) -> Path:
        """Drop the checkpoints, add the manifest and rename to RUN."""
        for unfinished in self.path.glob(f"*{_BEING_WRITTEN}"):
            unfinished.unlink()
        (self.path / MANIFEST).unlink(missing_ok=True)  # of a fit that was killed just before the renaming
        hashes = {file.name: _sha256(file) for file in sorted(self.path.iterdir()) if file != self.checkpoints}
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.write(MANIFEST, json.dumps({"format": FORMAT, "sha256": hashes}, indent=1).encode())
        old = self.out.with_name(self.out.name + ".replaced")
        if self.out.exists():
            shutil.rmtree(old, ignore_errors=True)
            self.out.rename(old)
        self.path.rename(self.out)
        shutil.rmtree(old, ignore_errors=True)
        return self.out


def verify(path: Path) -> None:
    if not path.is_dir():
        raise BrokenRun(f"{path} is no directory; a run is made by 'linkodds fit EDGES --out RUN'.")
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        hashes = dict(manifest["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenRun(
            f"{path}: {MANIFEST} is missing or unreadable, so this is no complete run. Fit it again."
        ) from error
    if manifest.get("format") != FORMAT:
        raise BrokenRun(
            f"{path}: written in format {manifest.get('format')!r}; this version of linkodds reads {FORMAT!r}. "
            "Open it with the version named in its config.yaml, or fit it again."
        )
    for name, digest in hashes.items():
        if "/" in name or "\\" in name or name.startswith("."):
            raise BrokenRun(f"{path}: {MANIFEST} names {name!r}, which is no file of a run.")
        if name == "report.html":  # rebuilt at will from the rest
            continue
        if not (path / name).is_file():
            raise BrokenRun(f"{path}: {name} is missing. Fit the run again.")
        if _sha256(path / name) != digest:
            raise BrokenRun(f"{path}: {name} was changed or cut off after the run was written. Fit the run again.")
    unnamed = next((name for name in _ALWAYS_THERE if name not in hashes), None)
    if unnamed is not None:
        raise BrokenRun(f"{path}: {MANIFEST} does not name {unnamed}, so this is no complete run. Fit it again.")


def _is_left_by_a_fit(path: Path) -> bool:
    """Whether a directory holds nothing but what a fit writes."""
    return path.is_dir() and all(file.name.removesuffix(_BEING_WRITTEN) in _IN_A_PARTIAL_RUN for file in path.iterdir())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
