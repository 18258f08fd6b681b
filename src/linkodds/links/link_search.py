"""Listing: the search for new links of a run, with its restrictions in the user's ids, that can stop and go on.

Scorers that rise with an inner product are searched exactly, and quickly. Any other is asked for the logits of all pairs
where that is expected to take no longer than a stated time, else of candidates; then the list says so, and what it lacks.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from linkodds.errors import OptionError, RunError, UnknownNode
from linkodds.links.link_files import read_partial, write_partial
from linkodds.links.screening import ScreenedPairs, ScreenedScorer
from linkodds.models.families import asked_family
from linkodds.models.structural.spectral import low_rank
from linkodds.models.training.estimates import all_pairs_announcement, candidates_announcement, search_announcement
from linkodds.pairs import Pairs
from linkodds.reading.reading import read_nodes
from linkodds.runs.record import Run
from linkodds.scorers.scoring import Embeddings, base_of
from linkodds.search.candidates import Recall, candidate_pairs, measure_recall, num_each_for, sampled_rows
from linkodds.search.nearby import GivenPairs
from linkodds.search.pair_search import MAX_LINKS, Ends, FoundPairs, PairSearch
from linkodds.search.tiles import MonotoneProducts, Nodes
from linkodds.search.top_per_node import Partners, find_partners

SECONDS_BETWEEN_PARTIALS = 30.0
SEARCH_SECONDS = 300.0
"""auto looks at candidates only where all pairs are expected to take longer."""
RANK = 64
SearchWay = Literal["auto", "exhaustive", "candidates"]


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

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return all(each is None for each in (self.from_nodes, self.to_nodes, self.within_hops, self.per_node))

    def ends(self, run: Run) -> Ends:
        """The nodes as indices.

        Raises:
            UnknownNode: an id that the graph does not have.
        """
        return Ends(_indices(run, "--from-nodes", self.from_nodes), _indices(run, "--to-nodes", self.to_nodes))


ALL_PAIRS = Scope()


class NotExhaustive(UserWarning):
    """A list was made of candidates; the message says how many pairs got a logit, and what the list lacks."""


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
    run: Run,
    scope: Scope,
    top: int | None,
    threshold: float | None,
    on_block: Callable[[float], None] | None,
    *,
    partial: Path | None = None,
    to_table: Callable[[FoundPairs], pl.DataFrame] | None = None,
    resume: bool = False,
) -> FoundPairs:
    """The partners of each node, as pairs (node, partner), at or above a threshold if there is one.

    Args:
        run: a finished run.
        scope: where to look, and how many partners.
        top: has to be None.
        threshold: the smallest logit.
        on_block: called with the share of the nodes done.
        partial: where the partners so far are written every half minute, and when interrupted; None is nowhere.
        to_table: what makes a table of them.
        resume: go on from `partial`.
    Raises:
        OptionError: a number of links in all, or a distance, beside `per_node`.
        RunError: `partial` is of another run or other options.
    """
    assert scope.per_node is not None
    if top is not None or scope.within_hops is not None:
        raise OptionError("--per-node says how many links there are; leave --top, budget rules and --within-hops out.")
    ends = scope.ends(run)
    first = np.arange(len(run.ids)) if ends.first is None else np.unique(ends.first)
    fingerprint = _fingerprint(run, ends, ["partners", scope.per_node, threshold, run.split.message_graph_hash()])
    done: list[Nodes] = [np.empty(0, dtype=np.int64)]
    kept = [FoundPairs(np.empty((0, 2), dtype=np.int64), np.empty(0))]

    def so_far() -> FoundPairs:
        pairs, logits = np.concatenate([each.pairs for each in kept]), np.concatenate([each.logits for each in kept])
        order = np.lexsort((-logits, pairs[:, 0]))
        return FoundPairs(pairs[order], logits[order])

    def write() -> None:
        if partial is not None and to_table is not None:
            nodes = np.concatenate(done)
            state = {"search": fingerprint, "nodes_done": nodes.tolist(), "way": "partners"}
            write_partial(partial, to_table(so_far()), len(nodes) / max(len(first), 1), state)

    if resume:
        assert partial is not None
        state, pairs = _left_over(run, partial, fingerprint)
        done.append(np.array(state["nodes_done"], dtype=np.int64))
        kept.append(FoundPairs(pairs, run.scorer.logits(run.split.space.canonical(pairs))))
    left = np.setdiff1d(first, done[-1])
    written = time.monotonic()

    def keep(nodes: Nodes, found: Partners) -> None:
        nonlocal written
        pairs, passes = np.column_stack([found.nodes, found.partners]), np.ones(len(found.nodes), dtype=np.bool_)
        if threshold is not None:
            passes = found.logits >= threshold
        kept.append(FoundPairs(pairs[passes], found.logits[passes]))
        done.append(nodes)
        if time.monotonic() - written > SECONDS_BETWEEN_PARTIALS:
            write()
            written = time.monotonic()

    try:
        find_partners(
            run.scorer,
            run.split.recorded(),
            per_node=scope.per_node,
            ends=Ends(left, ends.second),
            on_block=on_block,
            on_rows=keep,
        )
    except KeyboardInterrupt:
        write()
        raise
    return so_far()


def _fingerprint(run: Run, ends: Ends, asked: list[Any]) -> str:
    """Of a search: a list that another one left must not be gone on with."""
    digest = hashlib.sha256(repr(asked).encode())
    for nodes in (ends.first, ends.second):
        digest.update(b"all" if nodes is None else nodes.tobytes())
    # Logits of some pairs stand for the weights: few, for each may take a row of counts.
    pairs = run.split.recorded().pairs
    digest.update(run.scorer.logits(pairs[:: len(pairs) // 64 + 1]).tobytes())
    return digest.hexdigest()


def _left_over(run: Run, partial: Path, fingerprint: str) -> tuple[dict[str, Any], Pairs]:
    """The state of an interrupted search, and its pairs in the order of their ids.

    Raises:
        RunError: there is none, or it belongs to another run or other options.
    """
    state, table = read_partial(partial)
    if state.get("search") != fingerprint:
        raise RunError(f"{partial} belongs to another run or other options; give the same ones, or leave --resume out.")
    index = run.index
    pairs = [[index[u], index[v]] for u, v in table.select("source", "target").iter_rows()]
    return state, np.array(pairs, dtype=np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class SearchSummary:
    """How a list was looked for.

    Args:
        way: "exhaustive" or "candidates".
        num_pairs: pairs that a search of all would have to look at, each once.
        num_candidates: pairs that were looked at; None where all were.
        recall: what is lacking; None where nothing is.
    """

    way: str
    num_pairs: int
    num_candidates: int | None = None
    recall: Recall | None = None

    def sentence(self) -> str:
        """What to tell the user."""
        if self.recall is None:
            return f"Searched exhaustively: no pair among {self.num_pairs:,} is missing."
        share = self.recall.sentence()
        return f"Not searched exhaustively: {self.num_candidates:,} candidates of {self.num_pairs:,} pairs got a logit; {share}."

    def to_json(self) -> dict[str, Any]:
        """For files and summaries."""
        recall = None if self.recall is None else vars(self.recall)
        return {"way": self.way, "num_pairs": self.num_pairs, "num_candidates": self.num_candidates, "recall": recall}


class LinkSearch:
    """The search for the best of all pairs of a run.

    Args:
        run: a finished run.
        scope: where to look; its `per_node` is not used.
        top: how many at most.
        threshold: the smallest logit.
        way: "exhaustive", "candidates", or "auto", which takes candidates where scoring all pairs would take longer than
            `seconds` and the scorer is no rising function of an inner product.
        seconds: how long scoring all pairs may be expected to take before "auto" takes candidates.
        max_cells: pairs in a step.
    Raises:
        OptionError: another way, or candidates where the pairs within some hops are looked for.
    """

    def __init__(
        self,
        run: Run,
        scope: Scope,
        *,
        top: int | None,
        threshold: float | None,
        way: str = "auto",
        seconds: float = SEARCH_SECONDS,
        max_cells: int = 1 << 20,
    ) -> None:
        if way not in get_args(SearchWay):
            raise OptionError(f"--search takes {', '.join(get_args(SearchWay))}, not {way}.")
        if way == "candidates" and scope.within_hops is not None:
            raise OptionError("--within-hops looks at all pairs within so many hops; leave --search candidates out.")
        self._run, ends = run, scope.ends(run)
        self._ends, self._expected, self._candidates = ends, None, None
        if way != "candidates":
            self._search = PairSearch(
                run.scorer,
                run.split.recorded(),
                top=top,
                threshold=threshold,
                ends=ends,
                within_hops=scope.within_hops,
                max_cells=max_cells,
            )
        if way == "auto" and scope.within_hops is None and MonotoneProducts.of(run.scorer) is None:
            self._expected = self._search.expected()
            way = "candidates" if self._expected[1] > seconds else "exhaustive"
        self.way = "candidates" if way == "candidates" else "exhaustive"
        if self.way == "candidates":
            self._candidates = _candidates(run, ends, top, threshold)
            self._search = PairSearch(
                run.scorer,
                run.split.recorded(),
                top=top,
                threshold=threshold,
                ends=ends,
                candidates=_given(run, self._candidates, top if threshold is None else None, max(max_cells >> 4, 1)),
            )
        asked = [top, threshold, scope.within_hops, self._search.num_steps, run.split.message_graph_hash(), self.way]
        self._fingerprint = _fingerprint(run, ends, asked)

    def announcement(self) -> str:
        """What the search takes at most."""
        exhaustive = self._expected
        num_cells, seconds, num_bytes = (
            self._search.expected() if exhaustive is None or self._candidates is not None else exhaustive
        )
        if self._candidates is None:  # tiles on the diagonal hold a pair twice
            return search_announcement(min(num_cells, self._run.split.space.num_pairs), seconds, num_bytes)
        said = candidates_announcement(num_cells, self._run.split.space.num_pairs, seconds, num_bytes)
        return said if exhaustive is None else f"{said} {all_pairs_announcement(exhaustive[1])}"

    def searched(self, found: FoundPairs) -> SearchSummary:
        """How the list was looked for; of a list of candidates the recall is measured here."""
        recorded = self._run.split.recorded()
        if self._candidates is None:
            return SearchSummary("exhaustive", recorded.num_absent)
        rows = sampled_rows(recorded, self._ends, np.random.default_rng(self._run.config["options"]["seed"]))
        lowest = float(found.logits[-1]) if len(found.logits) else np.inf
        recall = measure_recall(
            self._run.scorer,
            recorded,
            found.pairs,
            ends=self._ends,
            rows=rows,
            lowest=lowest,
        )
        return SearchSummary("candidates", recorded.num_absent, len(self._candidates), recall)

    def resume(self, partial: Path) -> None:
        """Go on from a list that `run_to_end` left.

        Raises:
            RunError: there is none, or it belongs to another run or other options.
        """
        state, pairs = _left_over(self._run, partial, self._fingerprint)
        self._search.resume(int(state["num_done"]), pairs)

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
                state = {"search": self._fingerprint, "num_done": self._search.num_done, "way": self.way}
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


def _candidates(run: Run, ends: Ends, top: int | None, threshold: float | None) -> Pairs:
    about = 0.0 if threshold is None else run.test.non_edges.num_at_least(threshold)
    num_links = min(int(about) if threshold is not None else MAX_LINKS, top or MAX_LINKS)
    recorded = run.split.recorded()
    num_each = num_each_for(num_links, recorded.space.num_pairs)
    num_each = ceil(num_each * asked_family(run.model).candidate_share)
    return candidate_pairs(run.split.message_graph(), recorded, _node_vectors(run), ends=ends, num_each=num_each)


def _node_vectors(run: Run) -> list[tuple[Embeddings, Embeddings]]:
    """Vectors whose inner products say something of links: the scorer's own, or the leading part of the message graph."""
    found: list[tuple[Embeddings, Embeddings]] = []
    for vectors in asked_family(run.model).candidate_vectors(run.scorer):
        if not any(np.array_equal(vectors[0], left) and np.array_equal(vectors[1], right) for left, right in found):
            found.append(vectors)
    if found:
        return found
    graph = run.split.message_graph().astype(np.float64)
    symmetric = not run.split.space.directed
    rng = np.random.default_rng(run.config["options"]["seed"])
    leading = low_rank(graph, min(RANK, graph.shape[0]), rng, symmetric=symmetric)
    embedding = leading.weighted(leading.values)
    return [(embedding.left, embedding.right)]


def _given(run: Run, candidates: Pairs, num_wanted: int | None, max_pairs: int) -> GivenPairs:
    """The candidates; screened where only the best so many are wanted, and the scorer can."""
    base = base_of(run.scorer)
    if num_wanted is None or not isinstance(base, ScreenedScorer):
        return GivenPairs(run.scorer, candidates, max_pairs=max_pairs)
    rng = np.random.default_rng(run.config["options"]["seed"])
    return ScreenedPairs(run.scorer, base, candidates, num_wanted=num_wanted, max_pairs=max_pairs, rng=rng)
