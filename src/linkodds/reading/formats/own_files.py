"""Files that linkodds wrote: recorded edges are edges again, and predicted ones are not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from linkodds.errors import DataError
from linkodds.findings import Finding
from linkodds.reading.formats.parsed import ParsedGraph

MARKER = "linkodds"
"""An attribute of the whole network; its value is the version that wrote it."""
KIND = "interaction"
RECORDED, PREDICTED = "recorded", "new"


def is_ours(graph: ParsedGraph, facts: Mapping[str, Any], sides: Sequence[str] = ()) -> ParsedGraph:
    """The graph, with a mark where these attributes of the whole network say that linkodds wrote it, and then with its sides.

    Args:
        graph: as parsed.
        facts: attributes of the whole network.
        sides: the attribute `side` of nodes, "A", "B" or "".
    """
    if MARKER not in facts:
        return graph
    side = None
    if any(sides):
        side = np.array([{"A": 0, "B": 1}.get(each, 2) for each in sides], dtype=np.int64)
    return replace(graph, ours=True, side=side)


def recorded_alone(graph: ParsedGraph) -> ParsedGraph:
    """Of a network that linkodds wrote the recorded edges alone; any other network as it is.

    Raises:
        DataError: it holds predicted links alone.
    Example:
        >>> from linkodds.reading.formats.parsed import built
        >>> kinds = [{"interaction": "recorded"}, {"interaction": "new"}]
        >>> graph = built(["a", "b", "c"], [(0, 1), (1, 2)], kinds, place="run.cx2", layout="CX2")
        >>> recorded_alone(is_ours(graph, {"linkodds": "1"})).pairs.tolist(), len(recorded_alone(graph).pairs)
        ([[0, 1]], 2)
    """
    if not graph.ours or graph.attributes is None:
        return graph
    names = graph.attributes.columns
    # A list of links that was written before they were marked has logits and no kind.
    mark = (graph.attributes[KIND] == PREDICTED).to_numpy() if KIND in names else None
    predicted = np.full(len(graph.pairs), "logit" in names) if mark is None else mark
    if len(predicted) and predicted.all():
        raise DataError(
            f"{graph.place} was written by linkodds and holds predicted links alone, which are no edges. Fit on the edges "
            "that are known; predict takes this file as pairs."
        )
    findings = graph.findings
    if predicted.any():
        message = f"{graph.place} was written by linkodds: {int(predicted.sum())} predicted link(s) in it are no edges."
        remedy = "Confirmed ones belong into the edge list; predict takes this file as pairs."
        findings = (*findings, Finding("reading", "warning", message, remedy, float(predicted.sum())))
    kept = np.flatnonzero(~predicted)
    return replace(
        graph,
        pairs=graph.pairs[kept],
        numbers=kept + 1 if graph.numbers is None else graph.numbers[kept],
        attributes=_of_recorded(graph.attributes[kept.tolist()]),
        findings=findings,
    )


def _of_recorded(attributes: pl.DataFrame) -> pl.DataFrame | None:
    """Columns that say something of recorded edges, and the kind no more, which is one."""
    kept = [name for name in attributes.columns if name != KIND and (attributes[name] != "").any()]
    return attributes.select(kept) if kept else None
