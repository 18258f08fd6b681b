"""Compression: what a packed text file holds, with a bound on how much that may be."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from linkodds.errors import MalformedFile, OptionError

_LEAST_BOUND = 1 << 28
_MOST_RATIO = 200
"""Text of edges packs ten times, repetitive text fifty times; a bomb packs a thousand times."""


def _open_zstd(file: IO[bytes]) -> IO[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        return zstd.ZstdFile(file)  # type: ignore[no-any-return,unused-ignore]
    except ImportError:
        pass
    try:
        import zstandard
    except ImportError as error:
        raise OptionError(".zst is read by the package zstandard: pip install 'linkodds[formats]'.") from error
    reader: Any = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(file, read_across_frames=True)
    return io.BufferedReader(reader)


_OPENERS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),  # type: ignore[dict-item,return-value]
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _open_zstd,
}
PACKED_SUFFIXES = tuple(_OPENERS)
_NOISE = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def unpacked_name(path: Path) -> str:
    """The name in small letters, without the suffix of the compression.

    Example:
        >>> unpacked_name(Path("Edges.SIF.bz2")), unpacked_name(Path("edges.csv"))
        ('edges.sif', 'edges.csv')
    """
    name = path.name.lower()
    return next((name.removesuffix(each) for each in PACKED_SUFFIXES if name.endswith(each)), name)


def unpacked(path: Path, data: bytes) -> bytes:
    """The content of a file that was read, unpacked where its name ends in .gz, .bz2, .xz or .zst.

    Raises:
        MalformedFile: it is not packed that way, or holds more than 200 times its size (and more than 256 MiB).
        OptionError: a package is not installed.
    Example:
        >>> unpacked(Path("edges.csv.gz"), gzip.compress(b"a,b")), unpacked(Path("edges.csv"), b"a,b")
        (b'a,b', b'a,b')
    """
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        return data
    bound = max(_LEAST_BOUND, _MOST_RATIO * len(data))
    try:
        with opener(io.BytesIO(data)) as file:
            content = file.read(bound + 1)
    except Exception as error:
        told = _unreadable(path, error)
        if told is error:
            raise
        raise told from error
    if len(content) > bound:
        raise MalformedFile(
            f"{path.name}: {len(data):,} bytes unpack to more than {bound:,}, which no list of edges does; "
            "unpack the file yourself if it is one."
        )
    return content


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file to be read from its begin, unpacked where its name says so.

    Raises:
        MalformedFile: it is not packed that way, on opening or while it is read.
        OSError: the system's own failures, such as a full disk.
    """
    opener = _OPENERS.get(path.suffix.lower())
    with path.open("rb") as file:
        try:
            if opener is None:
                yield file
            else:
                with opener(file) as inner:
                    yield inner
        except Exception as error:
            told = _unreadable(path, error)
            if told is error:
                raise
            raise told from error


def first_bytes(path: Path, count: int) -> bytes:
    """The first bytes of a file, unpacked.

    Raises:
        MalformedFile, OptionError: as `unpacked`.
    """
    with open_unpacked(path) as file:
        return file.read(count)


def _unreadable(path: Path, error: Exception) -> Exception:
    """What stands for an error of the unpacker; other errors are themselves."""
    is_zstd = type(error).__name__ == "ZstdError"
    of_the_system = isinstance(error, OSError) and error.errno is not None
    if of_the_system or not (is_zstd or isinstance(error, _NOISE)):
        return error
    return MalformedFile(
        f"{path.name}: cannot be read ({error}). Is it complete, and compressed if it ends in {path.suffix}?"
    )
