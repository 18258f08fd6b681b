"""Scoring: blocks of pairs become counts in shards, which merge in their order; see `linkodds.metrics.non_edge_scores`."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from linkodds.metrics.logit_bins import BinSums
from linkodds.metrics.non_edge_scores import ChunkTallies, Tally
from linkodds.sharded.engine import Engine
from linkodds.sharded.store import FinishedBlock, Store, WorkBlock

PREFIX = "tallies-"
_PROBES = 1000


@dataclass(frozen=True)
class TallyGroups:
    """Stage: the counts of one group of blocks of pairs.

    Args:
        folder: of the store.
        work: makes them.
        stage: its name.
    """

    folder: Path
    work: ChunkTallies
    stage: str

    def __call__(self, number: int) -> FinishedBlock:
        """Score one group."""
        block = WorkBlock(self.folder, self.stage, number)
        tally = self.work(number)
        block.save("counts", np.stack([tally.at_least, tally.above]))
        block.save("keys", tally.bins.keys)
        block.save("sums", tally.bins.sums)
        block.counts["operations"] += int(tally.bins.sums[0].sum())
        return block.made(exponent=tally.bins.exponent)


@dataclass(frozen=True, eq=False)
class StoredTallies:
    """Runs the scoring of non-edges over an engine and keeps what is done: a `linkodds.metrics.non_edge_scores.TallyRunner`.

    What was scored is known by the logits of edges: another model, or another graph, has a stage of its own.

    Args:
        store: where the counts go.
        engine: does the groups.
        say: called with one line a stage.
    """

    store: Store
    engine: Engine
    say: Callable[[str], None]

    def __call__(self, work: ChunkTallies) -> Iterator[Tally]:
        """The tallies of all groups, in order."""
        if work.num_groups < 1:
            return
        stage, folder = PREFIX + _fingerprint(work), self.store.folder
        groups = range(work.num_groups)
        for made in self.store.run(self.engine.map, TallyGroups(folder, work, stage), stage, groups, self.say):
            block = WorkBlock(folder, stage, made.number)
            at_least, above = block.load(f"{stage}/{made.number}.counts")
            keys, sums = (block.load(f"{stage}/{made.number}.{name}") for name in ("keys", "sums"))
            yield Tally(at_least, above, BinSums(made.counts["exponent"], keys, sums))


def _fingerprint(work: ChunkTallies) -> str:
    part = work.non_edges.parts[work.part]
    digest = hashlib.sha256(f"{work.part} {part.name} {part.size} {part.num_scored} {work.exponent}".encode())
    if work.classes is not None:
        digest.update(np.array(work.classes.cuts, dtype=np.int64).tobytes())
    digest.update(np.asarray(work.anchors, dtype=np.float64).tobytes())
    digest.update(work.scorer.logits(work.non_edges.known.pairs[:_PROBES]).astype(np.float32).tobytes())
    if part.sample is not None:
        digest.update(np.ascontiguousarray(part.sample[:_PROBES]).tobytes())
    return digest.hexdigest()[:16]
