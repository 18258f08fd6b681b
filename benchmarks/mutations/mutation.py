"""A mutation: one small error in the source, and the tests that should notice it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """One error.

    Args:
        name: two or three words.
        file: below src/linkodds.
        old: a piece of its text that stands there once.
        new: what stands there instead.
        tests: files below tests; the examples in the docstrings of `file` are run as well.
        survives: why no test can notice it; empty where one should.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    survives: str = ""

    def mutated(self, path: Path) -> str:
        """The text of the file with the error in it.

        Raises:
            SystemExit: the text does not stand there once, so the list has to follow the source.
        """
        if not path.is_file():
            raise SystemExit(f"{self.name}: there is no src/linkodds/{self.file}; say where the code is now.")
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise SystemExit(
                f"{self.name}: src/linkodds/{self.file} holds {self.old!r} {text.count(self.old)} times and not once; "
                "say what stands there now."
            )
        return text.replace(self.old, self.new)
