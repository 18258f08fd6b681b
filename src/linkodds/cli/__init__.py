"""The command line: options in, one call into the library, results on stdout, words and progress on stderr.

Nothing heavy is imported at the top of these files: `linkodds --help` answers without torch, numpy or polars, and every
command imports what it needs once its options have been read.
"""

from linkodds.cli import comparing, exporting, fitting, inspecting, links, runs, serving  # noqa: F401  (they register their commands)
from linkodds.cli.app import app, main

__all__ = ["app", "main"]
