"""Listing: the search for new links of a run, with its restrictions in the user's ids, that can stop and go on."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from linkodds.errors import OptionError, RunError, UnknownNode
from linkodds.link_files import read_partial, write_partial
from linkodds.partners import find_partners
from linkodds.preflight import search_announcement
from linkodds.reading import read_nodes
from linkodds.record import Run
from linkodds.search import Ends, FoundPairs, PairSearch
from linkodds.tiles import Nodes

SECONDS_BETWEEN_PARTIALS = 30.0


@dataclass(frozen=True)
class Scope:
    """Where new links are looked for; all pairs by default.

    Args:
        from_nodes: one end is among these: a file with one id a line, or ids; in a directed graph the source.
        to_nodes: the other end is among these; in a directed graph the target.
        within_hops: at most so many recorded edges lead from one end to the other.
        per_node: so many best partners of each node (of `from_nodes`), instead of the best of all pairs.
    """

    from_nodes: Any = None
    to_nodes: Any = None
    within_hops: int | None = None
    per_node: int | None = None

    def ends(self, run: Run) -> Ends:
        """The nodes as indices.

        Raises:
            UnknownNode: an id that the graph does not have.
        """
        return Ends(_indices(run, "--from-nodes", self.from_nodes), _indices(run, "--to-nodes", self.to_nodes))


ALL_PAIRS = Scope()


def _indices(run: Run, option: str, given: Any) -> Nodes | None:
    if given is None:
        return None
    ids = read_nodes(given)
    places = np.array([run.index.get(name, -1) for name in ids.tolist()], dtype=np.int64)
    if (places < 0).any():
        unknown = [str(name) for name in ids[places < 0]]
        raise UnknownNode(
            f"{option}: {len(unknown):,} of {len(ids):,} ids are not in the graph, first {unknown[0]!r}; leave them out."
        )
    return places


def list_partners(
    run: Run, scope: Scope, top: int | None, threshold: float | None, on_block: Callable[[float], None] | None
) -> FoundPairs:
    """The partners of each node, as pairs (node, partner), at or above a threshold if there is one.

    Raises:
        OptionError: a number of links in all, or a distance, beside `per_node`.
    """
    assert scope.per_node is not None
    if top is not None or scope.within_hops is not None:
        raise OptionError("--per-node says how many links there are; leave --top, budget rules and --within-hops out.")
    found = find_partners(
        run.scorer, run.split.recorded(), per_node=scope.per_node, ends=scope.ends(run), on_block=on_block
    )
    pairs = np.column_stack([found.nodes, found.partners])
    passes = np.ones(len(pairs), dtype=np.bool_) if threshold is None else found.logits >= threshold
    return FoundPairs(pairs[passes], found.logits[passes])


class LinkSearch:
    """The search for the best of all pairs of a run.

    Args:
        run: a finished run.
        scope: where to look; its `per_node` is not used.
        top: how many at most.
        threshold: the smallest logit.
        max_cells: pairs in a step.
    """

    def __init__(
        self, run: Run, scope: Scope, *, top: int | None, threshold: float | None, max_cells: int = 1 << 20
    ) -> None:
        self._run, ends = run, scope.ends(run)
        self._search = PairSearch(
            run.scorer,
            run.split.recorded(),
            top=top,
            threshold=threshold,
            ends=ends,
            within_hops=scope.within_hops,
            max_cells=max_cells,
        )
        asked = [top, threshold, scope.within_hops, self._search.num_steps, run.split.message_graph_hash()]
        digest = hashlib.sha256(repr(asked).encode())
        for nodes in (ends.first, ends.second):
            digest.update(b"all" if nodes is None else nodes.tobytes())
        # Logits of some pairs stand for the weights.
        recorded = run.split.recorded()
        digest.update(run.scorer.logits(recorded.pairs[:1000]).tobytes())
        self._fingerprint = digest.hexdigest()

    def announcement(self) -> str:
        """What the search takes at most."""
        num_cells, seconds, num_bytes = self._search.expected()  # tiles on the diagonal hold a pair twice
        return search_announcement(min(num_cells, self._run.split.space.num_pairs), seconds, num_bytes)

    def resume(self, partial: Path) -> None:
        """Go on from a list that `run_to_end` left.

        Raises:
            RunError: there is none, or it belongs to another run or other options.
        """
        state, table = read_partial(partial)
        if state.get("search") != self._fingerprint:
            raise RunError(
                f"{partial} belongs to another run or other options; give the same ones, or leave --resume out."
            )
        index = self._run.index
        pairs = np.array(
            [[index[u], index[v]] for u, v in table.select("source", "target").iter_rows()], dtype=np.int64
        )
        self._search.resume(int(state["num_done"]), pairs.reshape(-1, 2))

    def run_to_end(
        self,
        partial: Path | None,
        to_table: Callable[[FoundPairs], pl.DataFrame] | None,
        on_block: Callable[[float], None] | None,
    ) -> FoundPairs:
        """Take all steps. Every half minute, and when interrupted, the best so far are written to `partial`.

        Args:
            partial: where; None writes nothing.
            to_table: what makes a table of them.
            on_block: called with the share done.
        """
        share, written = 0.0, time.monotonic()

        def write() -> None:
            if partial is not None and to_table is not None:
                state = {"search": self._fingerprint, "num_done": self._search.num_done}
                write_partial(partial, to_table(self._search.found()), share, state)

        try:
            for share in self._search.steps():
                if on_block is not None:
                    on_block(share)
                if time.monotonic() - written > SECONDS_BETWEEN_PARTIALS:
                    write()
                    written = time.monotonic()
        except KeyboardInterrupt:
            write()
            raise
        return self._search.found()
