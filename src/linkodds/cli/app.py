"""The typer app, `--version`, and the one place where an exception becomes a message and an exit code."""

import errno
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from linkodds.errors import LinkoddsError
from linkodds.formatting import plain_text

app = typer.Typer(
    help="The odds of every missing link: calibrated link prediction on sparse graphs at the real base rate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def say(message: str) -> None:
    """Words for the user, on stderr."""
    print(printable(message), file=sys.stderr, flush=True)


def printable(message: str) -> str:
    r"""The message as a terminal may show it: it can hold ids and file names, which are anybody's text.

    Example:
        >>> printable("gene \x1b[31mA")
        'gene \\x1b[31mA'
    """
    return "\n".join(plain_text(line, limit=4000) for line in message.split("\n"))


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "pair"), counted(1200, "pair")
        ('1 pair', '1,200 pairs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Command(TyperCommand):
    """A command whose failures are one message on stderr and an exit code, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see `explain` for what becomes of exceptions."""
        try:
            _refuse_urls_as_files(ctx.params)
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a full disk or a closed pipe still becomes a message
            return result
        except KeyboardInterrupt:
            say(f"interrupted; {_what_is_left(ctx.params)}")
            raise typer.Exit(130) from None
        except Exception as error:
            if _is_for_typer(error):
                raise
            if ctx.find_root().params.get("traceback"):
                traceback.print_exception(error)
            message, exit_code = explain(error)
            say(f"error: {message}")
            if not isinstance(error, LinkoddsError) and _is_left(ctx.params):
                say(_what_is_left(ctx.params))
            raise typer.Exit(exit_code) from None


def explain(error: Exception) -> tuple[str, int]:
    """What to tell the user about an exception, and the exit code.

    Example:
        >>> explain(MemoryError())[1], explain(PermissionError(errno.EACCES, "Permission denied", "run"))
        (1, ('run: permission denied.', 1))
    """
    if isinstance(error, LinkoddsError):
        return str(error), error.exit_code
    text = str(error)
    if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
        return "out of memory. Try --objective sampled, or a smaller --hidden and --dim.", 1
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        return "the disk is full; what was to be written is not complete. Free some space and run again.", 1
    if isinstance(error, OSError) and error.strerror:
        what = error.strerror[0].lower() + error.strerror[1:]
        return (f"{error.filename}: {what}." if error.filename is not None else f"{what}."), 1
    return (
        f"unexpected error (a bug in linkodds): {type(error).__name__}: {text}\n"
        "Please report this, with what 'linkodds --traceback COMMAND ...' prints."
    ), 1


def _refuse_urls_as_files(params: dict[str, Any]) -> None:
    from linkodds.errors import OptionError
    from linkodds.reading.database_urls import shows_a_url

    for name, value in params.items():
        given = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(each, Path) and shows_a_url(each) for each in given):
            what = "RUN" if name in ("run", "runs") else f"--{name.replace('_', '-')}"
            raise OptionError(
                f"{what} takes the name of a file or directory, not a URL. Edges and pairs are read from databases, and --to "
                "writes links into them."
            )


def _is_for_typer(error: Exception) -> bool:
    """Whether typer itself has the right words or exit code for it: usage errors, exits, a closed pipe."""
    if isinstance(error, OSError):
        return error.errno == errno.EPIPE
    return isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "format_message")


def _partial(out: Path) -> Path:
    return Path(f"{str(out).rstrip('/')}.partial")


def _is_left(params: dict[str, Any]) -> bool:
    """Whether a command that failed has left something that can be gone on with."""
    return "resume" in params and any((_partial(params["out"]) / "checkpoints").glob("*.json"))


def _what_is_left(params: dict[str, Any]) -> str:
    out = params.get("out")
    if out is None:
        return "nothing is left behind."
    if not _partial(out).exists():
        return "nothing was written."
    left = f"{_partial(out)} holds what was done so far"
    if "models" in params:
        return f"{left}; the same command with --resume goes on"
    if "edges" in params and "run" not in params:
        return f"{left}; go on with: linkodds fit {shlex.quote(str(params['edges']))} --out {out} --resume"
    if "resume" in params:
        return f"{left}: the best of the pairs seen; the same command with --resume goes on"
    return f"{left} and may be deleted; {out} was not written."


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"linkodds {version('linkodds')}", flush=True)  # a full disk is told while it can be said
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the traceback of an error too, for a bug report.")
    ] = False,
) -> None:
    """Options that stand before the command."""


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
