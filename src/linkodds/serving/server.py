"""Server: a socket, and uvicorn on it."""

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from linkodds.errors import OptionError
from linkodds.serving.limits import LIMITS, Limits


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        OptionError: the port is taken, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off (40 ms an answer) only where the protocol is named
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise OptionError(
            f"--host {host} --port {port}: {error.strerror or error}; name another --port (0 takes a free one), or an "
            "address of this machine."
        ) from error
    return bound


def address(bound: socket.socket) -> str:
    """Where a browser finds the server: on every address, it is named by the loopback one.

    Example:
        >>> with bound_socket("127.0.0.1", 0) as bound:
        ...     address(bound).startswith("http://127.0.0.1:")
        True
    """
    host, port = bound.getsockname()[:2]
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def uvicorn_server(app: ASGIApp, limits: Limits = LIMITS) -> uvicorn.Server:
    """A server that speaks plain HTTP only, logs no addresses and believes no proxy."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,  # a token may stand in an address
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=32 << 10,
        )
    )


def run_server(app: ASGIApp, bound: socket.socket, on_start: Callable[[], None], limits: Limits = LIMITS) -> None:
    """Serve until Ctrl-C."""
    server = uvicorn_server(app, limits)
    on_start()
    try:
        server.run(sockets=[bound])
    except KeyboardInterrupt:  # raised again by uvicorn, once all is closed
        pass
    finally:
        bound.close()
