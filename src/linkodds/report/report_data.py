"""Report data: report content that evaluation.json does not hold, recomputed from the run within seconds."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from threadpoolctl import threadpool_limits

from linkodds.errors import LinkoddsError
from linkodds.evaluation.curves import PrecisionBand, precision_band, threshold_json
from linkodds.links.inference import find_links
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run
from linkodds.search.walks import neighbor_matrix

NUM_LINKS = 25
MAX_SECONDS = 8.0
MAX_PAIRS = 1_000_000_000
"""More pairs are not searched at all: their tiles alone take longer than a report should."""


MAX_NODES = 1_200
"""More are drawn at random and the rest left out: the projection takes about 5 seconds for so many, on one core."""
MIN_NODES = 10
MAX_DIMENSIONS = 50
NEIGHBORS = 15
_STEPS = 500


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Places of nodes in a plane; axes have no meaning and far distances little.

    Args:
        nodes: shape (points,), int64, increasing: which nodes.
        places: shape (points, 2), float64.
        num_nodes: of the graph.
        num_dimensions: principal components that were projected.
        variance_kept: share of the variance of the embeddings that these components hold.
        trustworthiness: 1 where the 15 nearest in the plane are the nearest in the embedding, about 0.5 where they are
            any (Venna and Kaski, Neural Networks 19, 2006).
    """

    nodes: NDArray[np.int64]
    places: NDArray[np.float64]
    num_nodes: int
    num_dimensions: int
    variance_kept: float
    trustworthiness: float


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
    """Recompute the report data of a run; it is the same each time, but for a search that is near its limit of seconds."""
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


def map_embeddings(embeddings: NDArray[Any], rng: np.random.Generator, *, most: int = MAX_NODES) -> EmbeddingMap | str:
    """Principal components, then t-SNE started from the first two (van der Maaten, JMLR 15, 2014), on one thread.

    The same embeddings and generator give the same map: threads would add up in another order.

    Args:
        embeddings: shape (nodes, dim).
        rng: draws the nodes where there are more than `most`, and seeds the projection.
        most: nodes to place.
    Returns:
        The map, or why there is none.
    Example:
        >>> map_embeddings(np.zeros((40, 8)), np.random.default_rng(0))
        'the embeddings of all nodes are the same in all but one direction, so there is nothing to map'
    """
    if len(embeddings) < MIN_NODES:
        return f"{len(embeddings)} nodes are too few to map"
    chosen = rng.choice(len(embeddings), most, replace=False) if len(embeddings) > most else np.arange(len(embeddings))
    nodes = np.sort(chosen).astype(np.int64)
    vectors = np.asarray(embeddings, dtype=np.float64)[nodes]
    with threadpool_limits(1):
        centred = vectors - vectors.mean(axis=0)
        if np.linalg.matrix_rank(centred) < 2:
            return "the embeddings of all nodes are the same in all but one direction, so there is nothing to map"
        components = PCA(min(MAX_DIMENSIONS, *centred.shape), svd_solver="full")
        reduced = components.fit_transform(centred)
        reduced /= reduced[:, 0].std()  # the projection does not mind the scale, its stopping rules do
        projection = TSNE(
            perplexity=min(30.0, (len(nodes) - 1) / 3),
            init="pca",
            max_iter=_STEPS,
            random_state=int(rng.integers(2**31)),
            n_jobs=1,
        )
        places = np.asarray(projection.fit_transform(reduced), dtype=np.float64)
        kept = trustworthiness(reduced, places, n_neighbors=min(NEIGHBORS, (len(nodes) - 1) // 2))
    return EmbeddingMap(
        nodes=nodes,
        places=places,
        num_nodes=len(embeddings),
        num_dimensions=reduced.shape[1],
        variance_kept=min(float(components.explained_variance_ratio_.sum()), 1.0),
        trustworthiness=float(kept),
    )
