"""Resuming: whether what an interrupted fit left belongs to the fit that is asked for, and what it was asked for then."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, DataError, OptionError, RunExists
from linkodds.graph.features import Features
from linkodds.graph.split import PARTS, Split

FILES = ("edges", "nodes", "features")
"""Where the files of a fit lie may change between its two parts; what they hold may not."""


@dataclass(frozen=True)
class InterruptedFit:
    """What an interrupted fit left.

    Args:
        path: RUN.partial.
        config: its config.yaml.
    """

    path: Path
    config: dict[str, Any]

    @property
    def options(self) -> dict[str, Any]:
        """Option -> value, all of them."""
        return dict(self.config["options"])

    def as_given(self, config: FitConfig) -> FitConfig:
        """The same config, in which those options count as given that did then: a search takes the others."""
        given = self.config.get("given", config.model_fields_set)
        return FitConfig.from_options({name: getattr(config, name) for name in given if name in FitConfig.model_fields})

    @property
    def reading(self) -> dict[str, Any]:
        """How the graph was read: what was given."""
        return dict(self.config["reading"])

    @property
    def num_threads(self) -> int:
        """CPU threads it had; with another number sums round differently."""
        return int(self.config["num_threads"])

    @property
    def reading_options(self) -> dict[str, Any]:
        """The options of reading, with paths as paths."""
        given = ((name, value) for name, value in self.reading.items() if name != "edges")
        return {name: Path(value) if name in FILES else value for name, value in given}

    def refuse_other_options(self, options: Mapping[str, Any], reading: Mapping[str, Any]) -> None:
        """Raise unless a fit is asked for with the same options.

        Args:
            options: all of them.
            reading: how to read the graph; where the files lie is not compared.
        Raises:
            OptionError: one differs; it names both values.
        """
        for name in options:
            self._refuse_other(name, self.options.get(name), options[name])
        for name in sorted((self.reading.keys() | reading.keys()) - {*FILES}):
            self._refuse_other(name, self.reading.get(name), reading.get(name))

    def refuse_other_fit(
        self, config: Mapping[str, Any], ids: NDArray[np.object_], split: Split, features_hash: str | None
    ) -> None:
        """Raise unless versions, device and graph are those of the interrupted fit.

        Args:
            config: of the fit that is to go on, as config.yaml would hold it.
            ids: shape (nodes,).
            split: the four edge sets.
            features_hash: of the features in use, see `hash_of_features`.
        Raises:
            BrokenRun: other versions of the packages that compute, or files that cannot be read.
            OptionError: another device.
            DataError: another graph.
        """
        then, now = self.config["versions"], config["versions"]
        differing = [f"{name} {then.get(name)} (now {now[name]})" for name in now if then.get(name) != now[name]]
        if differing:
            raise BrokenRun(
                f"{self.path} was made with {', '.join(differing)}, and the rest of the fit could come out otherwise. "
                "Install what it was made with, or leave --resume out to start anew."
            )
        self._refuse_other("device", self.config["device"], config["device"])
        differs = self._what_differs(config, ids, split, features_hash)
        if differs:
            raise DataError(
                f"{self.path} holds a fit of another graph: {differs} differ from what was read now. "
                "Give the EDGES and --features of that fit, or leave --resume out to start anew."
            )

    def _what_differs(
        self, config: Mapping[str, Any], ids: NDArray[np.object_], split: Split, features_hash: str | None
    ) -> str:
        try:
            ids_then = pl.read_parquet(self.path / "nodes.parquet")["id"].to_list()
            with np.load(self.path / "split.npz", allow_pickle=False) as parts:
                same_edges = all(np.array_equal(parts[part], getattr(split, part)) for part in PARTS)
        except Exception as error:  # whatever a damaged file makes of the libraries that read it
            raise BrokenRun(
                f"{self.path}: damaged ({type(error).__name__}: {error}). Leave --resume out to start anew."
            ) from error
        if ids_then != ids.tolist():
            return f"the ids of the nodes ({len(ids_then):,} then, {len(ids):,} now)"
        if self.config["graph"].get("features_hash") != features_hash:
            return "the features"
        return "" if same_edges and self.config["graph"] == config["graph"] else "the edges"

    def _refuse_other(self, name: str, then: Any, now: Any) -> None:
        if then != now:
            option = "--" + name.replace("_", "-")
            raise OptionError(
                f"{option}: the fit in {self.path} has {_shown(then)}, not {_shown(now)}. Leave the option out to go on "
                "with that, or leave --resume out to start anew."
            )


def find_interrupted(out: Path) -> InterruptedFit | None:
    """What an interrupted fit left beside RUN; None where it left nothing that one could go on from.

    Raises:
        RunExists: RUN is there, so that nothing was interrupted.
        BrokenRun: RUN.partial cannot be read.
    """
    path = out.with_name(out.name + ".partial")
    is_left = (path / "config.yaml").is_file()
    if out.exists():
        what = f"move it away to go on with the fit in {path}" if is_left else "there is nothing to resume"
        raise RunExists(f"{out} is complete; {what}.")
    if not is_left:
        return None
    try:
        config = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
        left = InterruptedFit(path, dict(config))
        facts = left.options, left.reading, left.num_threads, dict(config["versions"]), dict(config["graph"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise BrokenRun(
            f"{path}: config.yaml is not as this version of linkodds writes it ({type(error).__name__}). "
            "Leave --resume out to start anew."
        ) from error
    assert facts
    return left


def hash_of_features(features: Features) -> str:
    """SHA-256 of scaled features, 64 hexadecimal digits.

    Example:
        >>> one = Features(np.array([[1.0], [0.0]], dtype=np.float32), "none")
        >>> len(hash_of_features(one)), hash_of_features(one) == hash_of_features(Features(one.matrix + 1, "none"))
        (64, False)
    """
    matrix: Any = features.matrix
    digest = hashlib.sha256(f"{features.scaling} {matrix.shape} {matrix.dtype}".encode())
    for array in (matrix,) if isinstance(matrix, np.ndarray) else (matrix.indptr, matrix.indices, matrix.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "/".join(map(str, value))
    return "none" if value is None else str(value)
