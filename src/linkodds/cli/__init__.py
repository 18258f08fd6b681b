"""The command line: options in, one call into the library, results on stdout, words and progress on stderr.

Nothing heavy is imported at the top of these files: `linkodds --help` answers without torch, numpy or polars, and every
command imports what it needs once its options have been read.
"""

import os
import sys

from linkodds.cli import comparing, exporting, fitting, links, runs, serving  # noqa: F401  (they register their commands)
from linkodds.cli.app import app, explain, say

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line on `sys.argv` and leave with its exit code: 0 done, 1 bad data, 2 wrong usage."""
    try:
        app()
    except OSError as error:  # of --help and --version, which run outside any command
        message, exit_code = explain(error)
        say(f"error: {message}")
        sys.exit(exit_code)
    finally:
        try:
            sys.stdout.flush()
        except OSError:  # it has been said; Python would say it again while shutting down, and change the exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
