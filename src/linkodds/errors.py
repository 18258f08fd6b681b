"""Everything linkodds refuses, as one tree.

LinkoddsError
├── DataError               the user's data cannot be used            exit code 1
│   ├── MalformedFile       a file that cannot be read as what it was given as
│   ├── AmbiguousEnds       a table whose edges can be read in more than one way
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


class AmbiguousEnds(DataError):
    """A table whose edges can be read in more than one way.

    Args:
        message: with the edges of each reading, and the options that settle it.
        readings: the two columns of each.
        shown: of the first readings the two columns, and three edges as text.
    """

    def __init__(
        self,
        message: str,
        readings: tuple[tuple[str, str], ...] = (),
        shown: tuple[tuple[str, str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.readings = readings
        self.shown = shown


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
