"""Exhibits: what a report shows of a run beside its evaluation, each made anew from the run within seconds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.errors import LinkoddsError
from linkodds.evaluation.operating_points import PrecisionBand, precision_band, threshold_json
from linkodds.links.inference import find_links
from linkodds.report.embedding_map import EmbeddingMap, map_embeddings
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run
from linkodds.search.nearby import neighbor_matrix

NUM_LINKS = 25
MAX_SECONDS = 8.0
MAX_PAIRS = 1_000_000_000
"""More pairs are not searched at all: their tiles alone take longer than a report should."""


@dataclass(frozen=True, eq=False)
class TopLinks:
    """The best new links.

    Args:
        table: source, target, logit, probability, evidence; as `find` writes them.
        assumption: what the probabilities rest on.
    """

    table: pl.DataFrame
    assumption: str


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that is not in the evaluation or the curves; a text is the reason why there is none.

    Args:
        threshold: what the threshold control reads (`threshold_json`).
        precision_band: 95 % intervals of the precision along the recall.
        embedding_map: nodes in a plane.
        node_ids: shape (nodes,), the user's ids.
        degrees: shape (nodes,), recorded edges of each node.
        top_links: the best new links with their evidence.
    """

    threshold: Mapping[str, Any]
    precision_band: PrecisionBand
    embedding_map: EmbeddingMap | str
    node_ids: NDArray[np.object_]
    degrees: NDArray[np.int64]
    top_links: TopLinks | str


def report_data_of(run: Run) -> ReportData:
    """Make the exhibits of a run; the same run gives the same ones, but for a search that is near its limit of seconds."""
    return ReportData(
        threshold=threshold_of(run),
        precision_band=precision_band(run.test),
        embedding_map=_mapped(run),
        node_ids=run.ids,
        degrees=np.diff(neighbor_matrix(run.split.recorded()).indptr).astype(np.int64),
        top_links=_top_links(run),
    )


def threshold_of(run: Run) -> dict[str, Any]:
    """What the threshold control shows of a run, from its saved counts alone (`threshold_json`)."""
    return threshold_json(
        run.test,
        run.calibrator,
        [each.decision for each in run.evaluation.decisions],
        graph_prevalence=run.evaluation.graph_ratio,
        applied=run.decision.rule,
    )


def _mapped(run: Run) -> EmbeddingMap | str:
    if run.embeddings is None:
        return f"{run.model} scores pairs without embeddings of nodes"
    return map_embeddings(run.embeddings[0], np.random.default_rng(run.config["options"]["seed"]))


class _TooSlow(Exception):
    pass


def _top_links(run: Run) -> TopLinks | str:
    num_pairs = run.split.space.num_pairs
    cure = "linkodds find RUN --out links.csv --top 25 lists them."
    if num_pairs > MAX_PAIRS:
        return f"Not searched for here: {num_pairs:,} pairs take longer than a report should. {cure}"
    deployment = MissingLinksAssumption().deployment(run)
    try:
        found = find_links(run, deployment, top=NUM_LINKS, on_block=_stop_after(MAX_SECONDS))
    except LinkoddsError as error:  # a report says it; a fit is not lost for it
        return f"The search was refused: {error}"
    except _TooSlow as stopped:
        return f"The search was stopped after {MAX_SECONDS:.0f} seconds, with {stopped} of the pairs looked at. {cure}"
    table = found.select("source", "target", "logit", "probability", "evidence")
    return TopLinks(table, deployment.assumption)


def _stop_after(seconds: float) -> Callable[[float], None]:
    start = time.monotonic()

    def check(share: float) -> None:
        if share < 1 and time.monotonic() - start > seconds:
            raise _TooSlow(f"{share:.0%}")

    return check
