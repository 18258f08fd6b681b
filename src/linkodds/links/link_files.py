"""Tables of links as files or in databases: the formats, and the list that an unfinished search leaves."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from linkodds.errors import MalformedFile, OptionError, RunError
from linkodds.links.database_tables import DatabaseTable
from linkodds.links.network_files import NETWORK_FORMATS, Network, network_of_links
from linkodds.reading.database_urls import shows_a_url
from linkodds.runs.record import parquet_bytes

_STATE = "# state: "


def table_writer(out: Path | DatabaseTable, *, directed: bool = False) -> Callable[[pl.DataFrame], None]:
    """What writes a table to `out`; what cannot work is refused at once.

    A file is written by its suffix, aside first and then renamed; a table of a database in one transaction.

    Args:
        out: where to.
        directed: whether the order of the two ends means something, which a network says.
    Raises:
        OptionError: a suffix that is no format.
        RunError: a directory of that name, or no directory to put the file in.
        DatabaseError: a table that is there and may not be added to, or a database that cannot be reached.
    """
    if isinstance(out, DatabaseTable):
        out.refuse_unusable()
        return out.write
    if shows_a_url(out):
        raise OptionError("--out takes the name of a file, not a URL; a table of a database is written by --to URL.")
    formats: dict[str, Callable[[pl.DataFrame], bytes]] = {
        ".csv": lambda table: _csv(table, ","),
        ".tsv": lambda table: _csv(table, "\t"),
        ".parquet": parquet_bytes,
        ".jsonl": _json_lines,
        **{suffix: partial(_network, to_bytes=write, directed=directed) for suffix, write in NETWORK_FORMATS.items()},
    }
    if out.suffix.lower() not in formats:
        *most, last = formats
        raise OptionError(
            f"--out {out}: the name ends in {out.suffix or 'no suffix'}; use {', '.join(most)} or {last}."
        )
    if out.is_dir():
        raise RunError(f"--out {out} is a directory; name a file.")
    if not out.parent.is_dir():
        raise RunError(f"--out {out}: there is no directory {out.parent}; make it first.")
    to_bytes = formats[out.suffix.lower()]

    def write(table: pl.DataFrame) -> None:
        aside = out.with_name(out.name + ".new")
        try:
            aside.write_bytes(to_bytes(table))
            aside.replace(out)
        except (OSError, KeyboardInterrupt):
            if aside.is_file():
                aside.unlink()
            raise
        if partial_path(out).is_file():  # what a search kept while it ran; until here it can go on
            partial_path(out).unlink()

    return write


def partial_path(out: Path) -> Path:
    """Where an unfinished search keeps its list.

    Example:
        >>> partial_path(Path("links.csv")).name
        'links.csv.partial'
    """
    return out.with_name(out.name + ".partial")


@contextmanager
def notes_beside(out: Path | DatabaseTable, notes: dict[str, Any]) -> Iterator[None]:
    """Put what a list rests on into `out`.json once the list is written; a list that is not written leaves no notes.

    They are a file of their own, for a line above the header of a CSV would break readers that expect none. A table of a
    database has none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = Path(folder) / "links.csv"
        ...     with notes_beside(out, {"assumption": "Probabilities assume ..."}):
        ...         _ = out.write_text("source,target\\n")
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['links.csv', 'links.csv.json']
    """
    if isinstance(out, DatabaseTable):
        yield
        return
    path = out.with_name(out.name + ".json")
    aside = path.with_name(path.name + ".new")
    try:
        aside.write_text(json.dumps(notes, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        yield
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    aside.replace(path)


def write_partial(path: Path, table: pl.DataFrame, share: float, state: dict[str, Any]) -> None:
    """Write the best links so far: CSV after two lines that say that it is unfinished, and how to go on.

    Args:
        path: replaced as one.
        table: as `find` writes it.
        share: of the search that is done.
        state: what `read_partial` gives back.
    """
    aside = path.with_name(path.name + ".new")
    first = f"# unfinished: {share:.0%} of the search is done; --resume goes on with it\n"
    aside.write_bytes((first + _STATE + json.dumps(state) + "\n").encode() + _csv(table, ","))
    aside.replace(path)


def read_partial(path: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The state that `write_partial` was given, and the list, all of it as text.

    Raises:
        RunError: there is no such file.
        MalformedFile: it is not what `write_partial` writes.
    """
    if not path.is_file():
        raise RunError(f"--resume: there is no {path}; start without it.")
    lines = path.read_bytes().split(b"\n", 2)
    try:
        state = json.loads(lines[1].removeprefix(_STATE.encode()))
        table = pl.read_csv(lines[2], infer_schema=False)
        if not isinstance(state, dict) or not {"source", "target"} <= set(table.columns):
            raise ValueError("no state or no pairs")
    except (IndexError, ValueError, pl.exceptions.PolarsError) as error:
        raise MalformedFile(f"{path} is no list of an unfinished search; start without --resume.") from error
    return state, table


def way_of_partial(path: Path) -> str:
    """How the search that left a partial list looks for links.

    Raises:
        RunError, MalformedFile: as `read_partial`.
    """
    return str(read_partial(path)[0].get("way", "auto"))


def _csv(table: pl.DataFrame, separator: str) -> bytes:
    buffer = io.BytesIO()
    # A line that begins with a bare "#" reads as a comment, so an id that does is quoted.
    is_fragile = table["source"].str.starts_with("#").any()
    table.write_csv(buffer, separator=separator, quote_style="non_numeric" if is_fragile else "necessary")
    return buffer.getvalue()


def _json_lines(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_ndjson(buffer)
    return buffer.getvalue()


def _network(table: pl.DataFrame, to_bytes: Callable[[Network], bytes], directed: bool) -> bytes:
    return to_bytes(network_of_links(table, directed=directed))
