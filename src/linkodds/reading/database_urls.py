"""Database URLs: taken apart once, where they come in, so that nothing that is shown or saved ever holds the password."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from linkodds.errors import OptionError

System = Literal["postgresql", "sqlite", "duckdb"]

_SYSTEMS: dict[str, System] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
}
_FORMS = {
    "postgresql": "postgresql://USER@HOST:PORT/DATABASE?table=NAME",
    "sqlite": "sqlite:///FILE?table=NAME (sqlite:////FILE from the root)",
    "duckdb": "duckdb:///FILE?table=NAME (duckdb:////FILE from the root)",
}
# With a slash too few a URL is still no file: its message would show the password.
_URL = re.compile(rf"[A-Za-z][A-Za-z0-9+.]*://|({'|'.join(_SYSTEMS)}):", re.I)
_HOST = r"(\[[0-9A-Fa-f:.%]+\]|[^@:/?#\[\],\s]*)(:\d+)?"
_AUTHORITY = re.compile(rf"(?:(?P<user>[^@:/?#]*)(?::(?P<password>[^@:/?#]*))?@)?(?P<hosts>{_HOST}(?:,{_HOST})*)")
_SECRET = re.compile(r"passw|secret|token|sslkey")


@dataclass(frozen=True)
class Database:
    """A database, and perhaps a table in it. Its text and its repr have no password.

    Args:
        system: whose.
        shown: the URL without its secrets.
        path: the file; None for a server.
        table: name as it is stored, case and all; None when a query says what to read.
        schema: of the table, None where the server looks for itself.
        uri: for the driver, with the password.
        secrets: what no message may hold.
    """

    system: System
    shown: str
    path: Path | None = None
    table: str | None = None
    schema: str | None = None
    uri: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.shown

    @property
    def name(self) -> str:
        """A short name: that of the table, or of the database."""
        return self.table or self.shown.split("?")[0].rsplit("/", 1)[-1] or self.system

    @property
    def server(self) -> str:
        """The URL without table and schema, and without secrets."""
        return self.shown.split("?")[0]

    def without_secrets(self, text: str) -> str:
        """The text with *** for every secret in it. One of one or two characters hides in any text, so it stays.

        Example:
            >>> database_of("postgresql://ann:s3cr%40t@db/bio").without_secrets("no such user: s3cr@t or s3cr%40t")
            'no such user: *** or ***'
        """
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) > 2:
                text = text.replace(secret, "***")
        return text

    def with_table(self, option: str) -> "Database":
        """Itself, if it names a table.

        Raises:
            OptionError: it does not.
        """
        if self.table is None:
            raise OptionError(f"{option} {self}: which table? Add ?table=NAME to the URL.")
        return self


def is_database_url(text: str) -> bool:
    """Whether this is the URL of something, not the name of a file.

    Example:
        >>> is_database_url("postgresql://db/bio?table=edges"), is_database_url("postgresql:/db"), is_database_url("a.csv")
        (True, True, False)
    """
    return _URL.match(text) is not None


def without_password(text: str, url: str) -> str:
    """The text with *** for the password of any URL, one of a database or of a server.

    Example:
        >>> without_password("no answer from http://ann:s3cret@host:5000/", "http://ann:s3cret@host:5000")
        'no answer from http://ann:***@host:5000/'
    """
    before, at, _ = url.partition("://")[2].rpartition("@")
    password = before.partition(":")[2]
    if not at or not password:
        return text
    for secret in (password, unquote(password)):
        text = text.replace(f":{secret}@", ":***@")
        if len(secret) > 2:
            text = text.replace(secret, "***")
    return text


def shows_a_url(path: Path) -> bool:
    """Whether a URL was given where a file was meant: it may hold a password, so it should be neither shown nor made.

    Example:
        >>> shows_a_url(Path("postgresql://ann:s3cret@db/bio")), shows_a_url(Path("runs/bio"))
        (True, False)
    """
    first = path.parts[0] if path.parts else ""
    return (
        len(path.parts) > 1 and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.]+:", first) is not None and not Path(first).exists()
    )


def place_of(text: str | Path) -> Path | Database:
    """What an argument names: a database where it is a URL, else a file.

    Example:
        >>> place_of("edges.csv").name, place_of("sqlite:///bio.db?table=edges").name
        ('edges.csv', 'edges')
    """
    return database_of(text) if isinstance(text, str) and is_database_url(text) else Path(text)


def database_of(url: str) -> Database:
    """Take a URL apart. `table` and `schema` in its query are ours, the rest is for the driver.

    Args:
        url: postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=S&table=NAME&sslmode=require (each part but the scheme
            may be missing: libpq takes it from PGHOST, PGUSER, PGPASSWORD, PGSERVICE, ~/.pgpass, ...), sqlite:///FILE or
            duckdb:///FILE.
    Raises:
        OptionError: another scheme, or not of this form; the message repeats no part of the URL that may be a password.
    Example:
        >>> database_of("postgresql://ann:s3cret@db:5433/bio?table=Edges&sslmode=require")
        Database(system='postgresql', shown='postgresql://ann@db:5433/bio?table=Edges&sslmode=require', path=None,
        table='Edges', schema=None)
        >>> database_of("sqlite:////data/bio.db?table=edges").path
        PosixPath('/data/bio.db')
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        if is_database_url(url):
            raise OptionError(_unreadable(_SYSTEMS[url.split(":")[0].lower()]))
        raise OptionError(f"no URL of a database; such a one is {', '.join(_FORMS.values())}.")
    if scheme.lower() not in _SYSTEMS:
        shown = scheme if re.fullmatch(r"[A-Za-z0-9+.]{1,30}", scheme) else "that"
        raise OptionError(f"{shown}:// is no database that linkodds reads; use {', '.join(_FORMS.values())}.")
    system = _SYSTEMS[scheme.lower()]
    where, _, query = rest.partition("?")
    authority, slash, path = where.partition("/")
    parts = _AUTHORITY.fullmatch(authority)
    given = [tuple(pair.partition("=")[::2]) for pair in query.split("&") if pair]
    if (
        parts is None
        or "@" in path
        or re.search(r"[\s\x00-\x1f#]|%(?![0-9A-Fa-f]{2})|%00", rest)
        or any(not re.fullmatch(r"[a-z_]+", name) for name, _ in given)
    ):
        raise OptionError(_unreadable(system))
    ours = {name: unquote(value) for name, value in given if name in ("table", "schema") and value}
    kept = [(name, value) for name, value in given if name not in ("table", "schema")]
    password = parts["password"] or ""
    hidden = [value for name, value in kept if _SECRET.search(name)]
    secrets = tuple({text for raw in (password, *hidden) for text in (raw, unquote(raw)) if text})
    user = "" if parts["user"] is None else f"{parts['user']}@"
    harmless = [f"{name}={value}" for name, value in given if not _SECRET.search(name)]
    shown = f"{scheme.lower()}://{user}{parts['hosts']}{slash}{path}" + ("?" + "&".join(harmless) if harmless else "")
    database = Database(system, shown, table=ours.get("table"), schema=ours.get("schema"))
    if system == "postgresql":
        options = "&".join(f"{name}={value}" for name, value in kept)
        uri = f"postgresql://{authority}{slash}{path}" + (f"?{options}" if options else "")
        return replace(database, uri=uri, secrets=secrets)
    if kept:
        names = " and ".join(repr(name) for name, _ in kept)
        schema = " and schema=NAME" if system == "duckdb" else ""
        raise OptionError(f"{system}: after the ? stands table=NAME{schema}, and nothing like {names}.")
    if authority or not path:
        raise OptionError(f"{system}: a file is named as {_FORMS[system]}, with three slashes.")
    return replace(database, path=Path(unquote(path)))


def _unreadable(system: System) -> str:
    """Without the URL: where its parts cannot be told from each other, any of them may be the password."""
    return (
        f"the {system} URL cannot be taken apart; its form is {_FORMS[system]}. In a user, password or name write "
        "@ : / ? # & % and blanks as %40 %3A %2F %3F %23 %26 %25 %20, or leave the password out and set PGPASSWORD."
    )
