"""Guard: who may ask. Everything that a request has to pass before a route sees it, and the headers of every answer.

A page of another site can make a browser send requests to 127.0.0.1, and a name under its control can be made to point
there (DNS rebinding). So the Host header has to name this machine, and a request that says it comes from another site is
refused, whatever it asks for. Beyond loopback every request needs the token.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from linkodds.errors import OptionError
from linkodds.serving.limits import LIMITS, Limits

COOKIE = "linkodds"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "sandbox allow-scripts allow-downloads; frame-ancestors 'none'"
"""A report brings its own policy, with the hashes of its scripts; here it runs apart from the page and the API."""

SHORTEST_TOKEN = 16
_HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_WITHOUT_TOKEN = "/healthz"
_SIGN_IN = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>linkodds</title>"
    "<p>This page needs its token. Open the address that <code>linkodds serve</code> printed, or reload if you just did."
)


@dataclass(frozen=True)
class Access:
    """Whom the server answers.

    Args:
        host: that it listens on.
        token: that a request has to bring; None needs none, on a loopback address only.
        names: further names by which it may be called, such as the one of a proxy.
    Raises:
        OptionError: a host beyond loopback without a token, or a token that is too short or no plain ASCII.
    Example:
        >>> access = Access("127.0.0.1")
        >>> access.is_called("localhost:8350"), access.is_called("[::1]:8350"), access.is_called("evil.example:8350")
        (True, True, False)
        >>> Access("0.0.0.0")
        Traceback (most recent call last):
        linkodds.errors.OptionError: --host 0.0.0.0 can be reached from other machines, so it needs --token TEXT.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is None and not self.is_local:
            raise OptionError(f"--host {self.host} can be reached from other machines, so it needs --token TEXT.")
        if self.token is not None:
            plain = all("!" <= each <= "~" for each in self.token)
            if not plain or len(self.token) < SHORTEST_TOKEN:
                raise OptionError(
                    f"--token takes {SHORTEST_TOKEN} or more letters, digits and signs of ASCII, without blanks; such as "
                    "what python -c 'import secrets; print(secrets.token_urlsafe())' prints."
                )

    @property
    def is_local(self) -> bool:
        """Whether it listens on this machine only."""
        return self.host == "localhost" or _is_loopback(self.host)

    def is_called(self, header: str) -> bool:
        """Whether a Host header names this server: an address, which no rebinding can forge, or a known name."""
        name = _host_of(header)
        if name is None:
            return False
        if name in {"localhost", self.host.lower(), *(each.lower() for each in self.names)}:
            return True
        return _is_loopback(name) if self.is_local else _is_address(name)

    def lets_in(self, headers: dict[bytes, list[bytes]]) -> bool:
        """Whether a request brings the token, as a bearer or as the page's cookie; compared in constant time."""
        if self.token is None:
            return True
        given = [each[7:].strip() for each in headers.get(b"authorization", []) if each[:7].lower() == b"bearer "]
        if any([hmac.compare_digest(each, self.token.encode()) for each in given]):  # all of them, in equal time
            return True
        cookies = [part.strip() for each in headers.get(b"cookie", []) for part in each.split(b";")]
        values = [part.partition(b"=")[2] for part in cookies if part.partition(b"=")[0] == COOKIE.encode()]
        return any([hmac.compare_digest(each, self.cookie.encode()) for each in values])

    @property
    def cookie(self) -> str:
        """What the page's cookie holds: it opens this server, and the token cannot be read from it."""
        assert self.token is not None
        return hmac.new(self.token.encode(), b"linkodds page", hashlib.sha256).hexdigest()

    def is_token(self, text: str) -> bool:
        """Whether this is the token; compared in constant time."""
        return self.token is not None and hmac.compare_digest(text.encode(errors="replace"), self.token.encode())


class Guard:
    """ASGI middleware: Host, origin, token and size of a request; security headers on every answer.

    Args:
        app: what is guarded.
        access: whom it answers.
        limits: how large a request may be, and how long it may take to arrive.
    """

    def __init__(self, app: ASGIApp, access: Access, limits: Limits = LIMITS) -> None:
        self._app, self._access, self._limits = app, access, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on; see `Guard`."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = [(name.lower(), value) for name, value in message.get("headers", [])]
                there = {name for name, _ in sent}
                extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in there]
                message = {**message, "headers": [*sent, *extra]}
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send_guarded, *refusal)
            return
        body = await self._body(headers, receive)
        if not isinstance(body, bytes):
            await _answer(send_guarded, *body)
            return
        await self._app(scope, _replayed(body, receive), send_guarded)

    def _refusal(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> "_Answer | None":
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or not self._access.is_called(hosts[0].decode("latin-1")):
            return _refused(400, "host", "The Host header does not name this server; open the address that it printed.")
        site = [each.decode("latin-1").lower() for each in headers.get(b"sec-fetch-site", [])]
        is_page = scope["path"] == "/" and scope["method"] == "GET"  # a link on another site may open the page itself
        origins = [each.decode("latin-1").lower() for each in headers.get(b"origin", [])]
        own = hosts[0].decode("latin-1").lower()
        is_foreign = any(each.partition("://")[2] != own for each in origins)
        if (is_foreign or any(each not in ("same-origin", "none") for each in site)) and not is_page:
            return _refused(403, "origin", "Pages of other sites may not ask this server.")
        if scope["path"] == _WITHOUT_TOKEN:
            return None
        if is_page and any([self._access.is_token(each) for each in _tokens(scope["query_string"])]):
            cookie = f"{COOKIE}={self._access.cookie}; Path=/; HttpOnly; SameSite=Strict"
            return 303, {"location": "/", "set-cookie": cookie}, b""
        if not self._access.lets_in(headers):
            status, more, body = _refused(401, "token", "This server needs its token: Authorization: Bearer TOKEN.")
            more["www-authenticate"] = "Bearer"
            if scope["path"] == "/":
                more["content-type"], body = "text/html; charset=utf-8", _SIGN_IN.encode()
            return status, more, body
        return None

    async def _body(self, headers: dict[bytes, list[bytes]], receive: Receive) -> "bytes | _Answer":
        """The whole body, or why it is not taken."""
        most = self._limits.body_bytes
        too_large = _refused(413, "too_large", f"A request may have {most:,} bytes; send the pairs in parts.")
        stated = headers.get(b"content-length", [b"0"])[0]
        if not stated.isdigit() or len(stated) > 15 or int(stated) > most:
            return too_large
        if stated == b"0" and b"transfer-encoding" not in headers:
            return b""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return _refused(400, "incomplete", "The request ended early.")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        return too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            return _refused(408, "slow", f"The request did not arrive within {self._limits.body_seconds:g} seconds.")


_Answer = tuple[int, dict[str, str], bytes]


def error_json(code: str, message: str) -> dict[str, Any]:
    """The one shape of every error.

    Example:
        >>> error_json("host", "Which host?")
        {'error': {'code': 'host', 'message': 'Which host?'}}
    """
    return {"error": {"code": code, "message": message}}


def _refused(status: int, code: str, message: str) -> _Answer:
    return status, {"content-type": "application/json"}, json.dumps(error_json(code, message)).encode()


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    sent = {**headers, "content-length": str(len(body)), "connection": "close"}
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _tokens(query: bytes) -> list[str]:
    try:
        return parse_qs(query.decode("latin-1"), max_num_fields=20).get("token", [])
    except ValueError:  # far too many fields
        return []


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once; then whatever comes after."""
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _host_of(header: str) -> str | None:
    """Name or address of a Host header, without its port; None where it is no such header.

    Example:
        >>> _host_of("LocalHost:80"), _host_of("[::1]:80"), _host_of("a:b:c"), _host_of("a@b")
        ('localhost', '::1', None, None)
    """
    name, port = header.strip().lower(), ""
    if name.startswith("["):
        name, bracket, port = name[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return None
        port = port[1:]
    elif ":" in name:
        name, _, port = name.partition(":")
    is_name = bool(name) and all(each.isascii() and (each.isalnum() or each in ".-_:%") for each in name)
    return name if is_name and (not port or port.isdigit()) else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
