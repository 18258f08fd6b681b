"""Source: a file of a graph format in memory, its text and its lines, with what messages call it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from linkodds.errors import MalformedFile


@dataclass(frozen=True)
class Source:
    """A file as it was read.

    Args:
        path: of the file.
        data: its content, unpacked.
        key: which graph, sheet or matrix of the file is meant (`--key`), or None.
    Example:
        >>> source = Source(Path("a.sif"), b"a pp b\\n\\n# c\\n")
        >>> source.place, list(source.lines()), list(source.lines(comment="#"))
        ('a.sif', [(1, 'a pp b'), (3, '# c')], [(1, 'a pp b')])
    """

    path: Path
    data: bytes
    key: str | None = None

    @property
    def place(self) -> str:
        """What messages call the file."""
        return self.path.name

    @cached_property
    def text(self) -> str:
        """The content as text: UTF-8 or, with its mark, UTF-16.

        Raises:
            MalformedFile: it is neither; with the line.
        """
        encoding = "utf-16" if self.data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            text = self.data.decode(encoding)
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise MalformedFile(
                f"{self.place}, line {line}: byte 0x{self.data[error.start]:02x} is no UTF-8 text; save the file as UTF-8."
            ) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def lines(self, comment: str | None = None) -> Iterator[tuple[int, str]]:
        """Number, from 1, and text of each line that is neither blank nor a comment, without blanks at its end."""
        for number, line in enumerate(self.text.split("\n"), 1):
            stripped = line.strip()
            if stripped and not (comment and stripped.startswith(comment)):
                yield number, line.rstrip()

    def refuse_more_nodes(self, count: int, line: int | None) -> None:
        """Raise where a file counts more nodes than it can have anything to say of: one number must not fill the memory.

        Raises:
            MalformedFile: more than a million nodes, and more than ten for each byte.
        """
        if count > max(1_000_000, 10 * len(self.data)):
            self.refuse(line, f"{count:,} nodes in a file of {len(self.data):,} bytes; check the number.")

    def refuse(self, line: int | None, problem: str) -> NoReturn:
        """Raise MalformedFile with the place."""
        where = self.place if line is None else f"{self.place}, line {line}"
        raise MalformedFile(f"{where}: {problem}")
