"""Everything linkodds refuses, as one tree.

LinkoddsError
├── DataError               the user's data cannot be used            exit code 1
│   ├── MalformedFile       a file that cannot be read as what it was given as
│   ├── AmbiguousReading    a source that can be read in more than one way
│   │   └── AmbiguousEnds   a table whose ends can be any of several columns
│   ├── UnknownNode         an id that the graph does not have
│   ├── BadFeatures         features that do not fit the nodes, or are not finite numbers
│   ├── DegenerateGraph     too few nodes, edges or non-edges to learn from
│   ├── OverlappingParts    two parts of a split share an edge
│   └── NotEnoughNonEdges   more non-edges asked for than the graph has
├── RunError                a run directory that cannot be written or trusted       1
│   ├── RunExists           it is there already
│   └── BrokenRun           truncated, edited, or of another format version
├── DatabaseError           a database that cannot be reached, read or written      1
├── ModelError              training or calibration cannot give what was promised   1
│   ├── NonFiniteScores     a logit or a loss is NaN or infinite
│   ├── UnkeptPromise       no threshold is sure to keep what a decision rule promises
│   ├── InsufficientCalibration  too few calibration nulls for any list at this error rate
│   ├── NotExchangeable     pairs held against each other that the model met differently
│   └── InvertedRanking     non-edges rank above edges
└── OptionError             an option that linkodds does not accept                 2
"""

from dataclasses import asdict, dataclass
from shlex import quote
from typing import Any


class LinkoddsError(Exception):
    """Base of all errors that linkodds raises on purpose; `exit_code` is what the command line returns.

    Example:
        >>> issubclass(MalformedFile, LinkoddsError), MalformedFile.exit_code, OptionError.exit_code
        (True, 1, 2)
    """

    exit_code = 1


class DataError(LinkoddsError):
    """The user's data cannot be used."""


class MalformedFile(DataError):
    """A file that cannot be read as what it was given as; the message names file, line and value."""


@dataclass(frozen=True)
class PossibleReading:
    """One of several ways to read a source.

    Args:
        says: what the source is taken for.
        options: of the command line, which settle it; empty where the source has to change.
        edges: the first three, read this way.
        source: column of the first end, where the ends are in question.
        target: column of the second end.
        command: of the fit that reads it this way, where it is known.
    """

    says: str
    options: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    source: str | None = None
    target: str | None = None
    command: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `linkodds inspect --json` prints it."""
        return asdict(self) | {"options": " ".join(map(quote, self.options))}


class AmbiguousReading(DataError):
    """A source that can be read in more than one way.

    Args:
        message: what is not clear, and what settles it.
        possible: the readings.
    """

    def __init__(self, message: str, possible: tuple[PossibleReading, ...] = ()) -> None:
        super().__init__(message)
        self.possible = possible


class AmbiguousEnds(AmbiguousReading):
    """A table whose ends can be any of several columns; the message has three edges of each reading."""

    @property
    def readings(self) -> tuple[tuple[str | None, str | None], ...]:
        """The two columns of each reading."""
        return tuple((each.source, each.target) for each in self.possible)


class UnknownNode(DataError):
    """An id that the graph does not have."""


class BadFeatures(DataError):
    """Features that do not fit the nodes, or that are not finite numbers."""


class DegenerateGraph(DataError):
    """Too few nodes, edges or non-edges to learn anything from."""


class OverlappingParts(DataError):
    """Two parts of a split share an edge."""


class NotEnoughNonEdges(DataError):
    """More non-edges were asked for than the graph has."""


class RunError(LinkoddsError):
    """A run directory that cannot be written or trusted."""


class RunExists(RunError):
    """The run directory is there already."""


class BrokenRun(RunError):
    """A run directory that is truncated, edited, or of another format version."""


class DatabaseError(LinkoddsError):
    """A database that cannot be reached, read or written; no message holds a password."""


class ModelError(LinkoddsError):
    """Training or calibration cannot give what was promised."""


class NonFiniteScores(ModelError):
    """A logit or a loss is NaN or infinite."""


class UnkeptPromise(ModelError):
    """A decision rule that promises more than the calibration edges can vouch for."""


class InsufficientCalibration(ModelError):
    """Too few calibration nulls for any list at the error rate asked for; the message says how many it takes."""


class NotExchangeable(ModelError):
    """Calibration nulls and candidates that were scored on different message graphs or met differently in training."""


class InvertedRanking(ModelError):
    """The model ranks non-edges above edges, so no increasing map of its logits is a probability."""


class OptionError(LinkoddsError):
    """An option, or a value of one, that linkodds does not accept."""

    exit_code = 2
