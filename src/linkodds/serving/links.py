"""Lists of new links: one a run, found in the background after the start, so that the page is there at once."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from linkodds.errors import LinkoddsError
from linkodds.links.inference import find_links
from linkodds.links.link_search import ALL_PAIRS, Scope
from linkodds.search.pair_search import PairSearch
from linkodds.serving.served import ServedRun

NEAR = Scope(within_hops=2)
_OVERTIME = 5.0  # times the estimate's limit, where the estimate was wrong


@dataclass(frozen=True, eq=False)
class LinkList:
    """The best new links of a run, or how far the search for them is.

    Args:
        state: waiting, searching, ready, or refused.
        share: of the search that is done, 0 to 1.
        rows: as `linkodds find --top K` writes them.
        note: what was searched, or why nothing was.
    """

    state: Literal["waiting", "searching", "ready", "refused"]
    share: float
    rows: tuple[dict[str, Any], ...]
    note: str


class _Stopped(Exception):
    """The server closes, or the search takes far longer than estimated."""


class LinkLists:
    """Finds the list of each run, one after the other, in a thread of its own.

    All pairs are searched where that takes `seconds` at most by its estimate; else pairs that share a recorded
    neighbour; else there is no list. The note says which.

    Args:
        runs: in their order.
        top: links a list.
        seconds: that a search may take.
    """

    def __init__(self, runs: Sequence[ServedRun], *, top: int, seconds: float) -> None:
        self._runs, self._top, self._seconds = runs, top, seconds
        self._lists = [LinkList("waiting", 0.0, (), "Other runs come first.") for _ in runs]
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._find_all, name="links", daemon=True)

    def __getitem__(self, index: int) -> LinkList:
        return self._lists[index]

    def start(self) -> None:
        """Begin to search."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the block that is searched now."""
        self._is_closed.set()
        self._thread.join(timeout=30.0)

    def _find_all(self) -> None:
        for i, served in enumerate(self._runs):
            if self._is_closed.is_set():
                return
            try:
                served.prepare()
                self._lists[i] = self._found(i, served)
            except _Stopped:
                self._lists[i] = LinkList("refused", 0.0, (), f"The search took too long; {_ELSEWHERE}")
            except (LinkoddsError, MemoryError) as error:
                self._lists[i] = LinkList("refused", 0.0, (), f"No list: {error}")

    def _found(self, i: int, served: ServedRun) -> LinkList:
        run = served.run
        scope, note = ALL_PAIRS, f"The best {self._top:,} of all pairs without a recorded edge."
        seconds = PairSearch(run.scorer, run.recorded, top=self._top).expected()[1]
        if seconds > self._seconds:
            scope = NEAR
            note = (
                f"The best {self._top:,} of the pairs that share a recorded neighbour; all pairs would take about "
                f"{seconds:,.0f} seconds. {_ELSEWHERE}"
            )
            nearby = PairSearch(run.scorer, run.recorded, top=self._top, within_hops=NEAR.within_hops).expected()[1]
            if nearby > self._seconds:
                return LinkList(
                    "refused", 0.0, (), f"No list: a search would take about {seconds:,.0f} seconds. {_ELSEWHERE}"
                )
        begun = time.monotonic()

        def on_block(share: float) -> None:
            if self._is_closed.is_set() or time.monotonic() - begun > _OVERTIME * self._seconds:
                raise _Stopped
            self._lists[i] = LinkList("searching", min(max(share, 0.0), 1.0), (), note)

        table = find_links(run, served.deployment, top=self._top, scope=scope, on_block=on_block)
        return LinkList("ready", 1.0, tuple(_rows(table)), note)


_ELSEWHERE = "'linkodds find' makes a list of any length."


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    bounds = {"probability_low", "probability_high"}
    return [{**dict.fromkeys(bounds - row.keys()), **row} for row in table.drop("q_value").to_dicts()]
