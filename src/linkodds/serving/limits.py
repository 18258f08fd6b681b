"""Limits: how much one request may ask for, and how much of everything waits at most."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the server takes; more is refused with 413, 422 or 503, never cut short in silence.

    Args:
        body_bytes: of a request.
        body_seconds: until a request has arrived.
        pairs: in one question.
        id_characters: of an id in a question.
        query_characters: of a search for ids.
        links_per_page: rows of the list in one answer.
        matches: ids that a search gives back.
        partners: of a node.
        threads: that compute.
        waiting: requests that wait for one of them.
        connections: open at a time.
        list_seconds: that the list of new links may take by its estimate, before fewer pairs are looked at.
        runs: side by side.
    """

    body_bytes: int = 4 << 20
    body_seconds: float = 30.0
    pairs: int = 10_000
    id_characters: int = 20_000
    query_characters: int = 500
    links_per_page: int = 500
    matches: int = 50
    partners: int = 50
    threads: int = 2
    waiting: int = 64
    connections: int = 256
    list_seconds: float = 60.0
    runs: int = 50


LIMITS = Limits()
