"""Volumes: what each stage reads, writes and computes, as formulas; the counters of a fit are held against them."""

import math
from dataclasses import dataclass

from linkodds.sharded.hops import row_columns
from linkodds.sharded.numbering import COARSE
from linkodds.sharded.prepare import PreparedStore
from linkodds.sharded.rows import FULL, open_graph
from linkodds.sharded.store import Store

Counts = tuple[float, float, float]


@dataclass(frozen=True)
class Volumes:
    """Sizes of a fit, from which its volumes follow.

    Args:
        rows: R, of the edge lists.
        edges: E, distinct ones.
        nodes: N.
        listed: D, distinct ids of each batch, all batches together.
        id_bytes: s, of an id's text, and 16.
        input_bytes: of the edge lists.
        batches: B.
        buckets: of ids.
        segments: g, in which the listed ids are ranked.
        ranges: of nodes.
        slices: c, of columns.
        width: d, columns of X.
        num_features: of these.
        hops: K.
        folds: F.
        supervision: share of the train edges in each fold.
        train: share of the edges that are train edges.
    Example:
        >>> small = Volumes(10**6, 10**6, 10**5, 10**5, 22.0, 12 * 10**6, 1, 1, 1, 1, 1, 128, 0, 3, 7)
        >>> [round(each / 1e6) for each in small.stages()["full-hop-1"]]
        [58, 51, 205]
    """

    rows: int
    edges: int
    nodes: int
    listed: int
    id_bytes: float
    input_bytes: int
    batches: int
    buckets: int
    segments: int
    ranges: int
    slices: int
    width: int
    num_features: int
    hops: int
    folds: int
    supervision: float = 0.125
    train: float = 0.8

    def stages(self) -> dict[str, Counts]:
        """Stage -> bytes read, bytes written and operations of the preparation."""
        rows, edges, nodes, listed, text = self.rows, self.edges, self.nodes, self.listed, self.id_bytes
        batches, buckets, folds = self.batches, self.buckets, self.folds
        train, held_out = self.train * edges, (1 - self.train) * edges
        graphs = {FULL: 2 * train}
        for fold in range(folds):
            graphs[open_graph(fold)] = 2 * train * (1 - self.supervision)
        entries, starts = sum(graphs.values()), 4 * nodes * len(graphs)
        supervision = folds * self.supervision * train
        of_buckets = 8 * batches * buckets
        result: dict[str, Counts] = {
            "ids": (self.input_bytes, 8 * rows + listed * (text + 4) + of_buckets, 2 * rows),
            "firsts": (listed * (text + 4), 8 * listed + of_buckets, listed),
            "ranks": (8 * listed * self.segments + of_buckets, listed / 4 + of_buckets, listed),
            "arcs": (
                8 * rows + listed * (text + 12) + of_buckets,
                8 * rows + nodes * text + 8 * COARSE * batches,
                rows,
            ),
            "edges": (8 * rows, 8 * edges, rows),
            "split": (8 * edges + 8 * held_out, edges + 16 * held_out, edges),
            "turned": (9 * edges, 8 * train, train),
            "rows": (9 * edges + 8 * train, 4 * entries + starts + 8 * supervision, entries),
        }
        if self.num_features:
            size = nodes * self.num_features
            result["features"] = (nodes * text, 4 * size, size)
        table, joined = nodes * self.width, nodes * row_columns(self.width, self.hops)
        for graph, of_graph in graphs.items():
            given = 4 * nodes * self.num_features
            result[f"{graph}-hop-0"] = (4 * nodes + given, 4 * table, table)
            read = 4 * table + self.slices * (4 * of_graph + 4 * nodes)
            for hop in range(1, self.hops + 1):
                result[f"{graph}-hop-{hop}"] = (read, 4 * table, of_graph * self.width)
            result[f"{graph}-hops"] = (4 * nodes + 4 * joined, 4 * joined, joined)
        return result

    def disk(self) -> float:
        """Bytes that lie on the disk at most: H of all graphs, the hops of one of them, rows, edges and ids."""
        graphs = 1 + self.folds
        hops = 4 * self.nodes * row_columns(self.width, self.hops)
        rows = 2 * 4 * self.train * self.edges * graphs
        return graphs * hops + hops + rows + 8 * self.rows + 9 * self.edges + self.nodes * self.id_bytes

    def step(self, batch: float, zeros: int, parts: int) -> float:
        """Bytes of H that a step of training reads: the distinct nodes of each of its parts, were all pairs drawn alike.

        Args:
            batch: edges of a step.
            zeros: for each edge.
            parts: of a step.
        """
        ends = 2 * batch * (1 + zeros) / parts
        return parts * -self.nodes * math.expm1(-ends / self.nodes) * 4 * row_columns(self.width, self.hops)


def volumes_of(store: Store, prepared: PreparedStore, input_bytes: int, segment: int) -> Volumes:
    """The sizes of a preparation that is done.

    Args:
        store: of it.
        prepared: what came out.
        input_bytes: of its edge lists.
        segment: places that were ranked at a time.
    """
    totals = store.totals()
    listed, of_names = totals["firsts"]["operations"], totals["firsts"]["read"]
    supervision = prepared.sizes["supervision"]
    train = prepared.sizes["train"] + supervision
    return Volumes(
        rows=prepared.said["rows"],
        edges=prepared.num_edges,
        nodes=prepared.nodes,
        listed=listed,
        id_bytes=of_names / listed - 4,
        input_bytes=input_bytes,
        batches=prepared.batches,
        buckets=totals["firsts"]["blocks"],
        segments=max(1, math.ceil(listed / segment)),
        ranges=len(prepared.edges),
        slices=len(prepared.columns.slices),
        width=prepared.columns.width,
        num_features=prepared.num_features,
        hops=prepared.hops,
        folds=prepared.folds,
        supervision=supervision / train / prepared.folds,
        train=train / prepared.num_edges,
    )
