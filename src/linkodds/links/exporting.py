"""A run as other programs' files: a network with its best new links, AnnData, a faiss index of its embeddings."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from linkodds.errors import OptionError, RunError
from linkodds.graph.graph_objects import adjacency_of, sides_of
from linkodds.links.inference import find_links
from linkodds.links.link_search import NotExhaustive
from linkodds.links.network_files import NETWORK_FORMATS, Network
from linkodds.probability.deployment import Deployment
from linkodds.reading.database_urls import shows_a_url
from linkodds.reading.formats.own_files import KIND, MARKER, PREDICTED, RECORDED
from linkodds.runs.record import Run
from linkodds.scorers.scoring import InnerProductScorer, base_of

if TYPE_CHECKING:
    import anndata
    import faiss

EXPORTS = (".h5ad", *NETWORK_FORMATS, ".faiss")

_NO_PRODUCT = (
    "This model's logits are no inner products of its embeddings: the index finds candidates, and predict gives their "
    "probabilities."
)
_DEGREE_TERM = (
    "The run's logits have a degree term, which no inner product holds: the index ranks without it; predict has it."
)


@dataclass(frozen=True)
class ExportSummary:
    """What was written.

    Args:
        paths: the files.
        num_links: new links in them; None for an index.
        notes: what there is to know about them, one sentence each.
    """

    paths: tuple[Path, ...]
    num_links: int | None
    notes: tuple[str, ...]


def export_run(run: Run, out: Path, deployment: Deployment, *, top: int = 100) -> ExportSummary:
    """Write a run to a file whose suffix says how: .h5ad, .graphml, .cyjs, .cx2 or .faiss.

    Args:
        run: a finished run.
        out: replaced as one when it is there; an index also writes `out`.npz, see `faiss_of`.
        deployment: what the probabilities of new links rest on; not used for an index.
        top: new links, the best of all pairs; 0: none. Not used for an index.
    Raises:
        OptionError: a suffix that is no format, a package that is not installed, or a run without embeddings (index).
        RunError: a directory of that name, or no directory to put the file in.
    """
    if shows_a_url(out):
        raise OptionError("--out takes the name of a file, not a URL.")
    suffix = out.suffix.lower()
    if suffix not in EXPORTS:
        *most, last = EXPORTS
        raise OptionError(f"--out {out}: the name ends in {suffix or 'no suffix'}; use {', '.join(most)} or {last}.")
    if out.is_dir():
        raise RunError(f"--out {out} is a directory; name a file.")
    if not out.parent.is_dir():
        raise RunError(f"--out {out}: there is no directory {out.parent}; make it first.")
    if suffix == ".faiss":
        return _export_index(run, out)
    links, notes = None, [deployment.assumption]
    if top:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            links = find_links(run, deployment, top=top)
        notes += [str(each.message) for each in caught if issubclass(each.category, NotExhaustive)]
    if suffix == ".h5ad":
        data = anndata_of(run, links, deployment.assumption)
        _write_aside({out: lambda aside: data.write_h5ad(aside)})
    else:
        network = network_of(run, links, deployment.assumption)
        _write_aside({out: lambda aside: aside.write_bytes(NETWORK_FORMATS[suffix](network))})
    return ExportSummary((out,), 0 if links is None else len(links), tuple(notes))


def network_of(run: Run, links: pl.DataFrame | None, assumption: str) -> Network:
    """Recorded edges and the best new links, told apart by the column `interaction`: recorded or new.

    Nodes have a degree, and in a bipartite graph a side, "A" or "B". New links have the columns of `find`.

    Args:
        run: a finished run.
        links: as `find_links` gives them, or None.
        assumption: what their probabilities rest on.
    """
    recorded = _recorded(run)
    ends = run.ids[recorded]
    edges = pl.DataFrame(
        {
            "source": pl.Series(ends[:, 0].tolist(), dtype=pl.String),
            "target": pl.Series(ends[:, 1].tolist(), dtype=pl.String),
            KIND: pl.Series([RECORDED] * len(ends), dtype=pl.String),
        }
    )
    if links is not None:
        edges = pl.concat([edges, links.with_columns(pl.lit(PREDICTED).alias(KIND))], how="diagonal")
    name = "linkodds" if run.path is None else run.path.name
    version = str(run.config["versions"]["linkodds"])
    facts: dict[str, str | float] = {"name": name, MARKER: version, "model": run.model, "assumption": assumption}
    return Network(_node_table(run, recorded), edges, run.split.space.directed, facts)


def anndata_of(run: Run, links: pl.DataFrame | None, assumption: str) -> "anndata.AnnData":
    """The run as AnnData: a row (obs) is a node.

    - `obs`: degree; in a bipartite graph side, "A", "B" or "".
    - `obsm`: X_linkodds, the embeddings, shape (nodes, dim), of the source in a directed graph; X_linkodds_target.
    - `obsp`: recorded, 1 at every edge, int32, so that products of it count; probability and logit of the best new links,
      and nothing at other pairs. CSR, symmetric unless directed.
    - `uns["linkodds"]`: version, model, assumption, num_links, directed.
    - `X`: the features that the run keeps, scaled; none otherwise.

    Args:
        run: a finished run.
        links: as `find_links` gives them, or None.
        assumption: what their probabilities rest on.
    Raises:
        OptionError: AnnData is not installed.
    """
    try:
        import anndata
        import pandas as pd
    except ImportError as error:
        raise OptionError("AnnData is not installed here; pip install 'linkodds[anndata]'.") from error
    recorded, space = _recorded(run), run.split.space
    nodes = _node_table(run, recorded)
    links = pl.DataFrame() if links is None else links
    facts = {
        "version": str(run.config["versions"]["linkodds"]),
        "model": run.model,
        "assumption": assumption,
        "num_links": len(links),
        "directed": space.directed,
    }
    # Text as objects: what pandas makes of text by itself, AnnData does not write.
    obs = pd.DataFrame({"degree": nodes["degree"].to_numpy()}, index=pd.Index(nodes["id"].to_list(), dtype=object))
    if "side" in nodes.columns:
        kinds = pd.Index(["A", "B", ""], dtype=object)
        obs["side"] = pd.Categorical.from_codes(sides_of(space), categories=kinds)
    features: Any = None
    width, names = 0, list[str]()
    if run.features is not None:
        features, width = run.features.matrix, run.features.matrix.shape[1]
        names = list(run.features.names) or [f"feature{i}" for i in range(width)]
    var = pd.DataFrame(index=pd.Index(names, dtype=object))
    data = anndata.AnnData(X=features, obs=obs, var=var, uns={"linkodds": facts})
    if run.embeddings is not None:
        source, target = run.embeddings
        data.obsm["X_linkodds"] = source
        if target is not source:
            data.obsm["X_linkodds_target"] = target
    data.obsp["recorded"] = sp.csr_matrix(adjacency_of(recorded, space))
    if len(links):
        ends = np.array([[run.index[end] for end in row] for row in links.select("source", "target").rows()])
        for name in ("probability", "logit"):
            values = links[name].to_numpy()
            arcs = ends if space.directed else np.concatenate([ends, ends[:, ::-1]])
            weights = values if space.directed else np.tile(values, 2)
            data.obsp[name] = sp.csr_matrix((weights, (arcs[:, 0], arcs[:, 1])), shape=(space.num_nodes,) * 2)
    return data


@dataclass(frozen=True, eq=False)
class FaissIndex:
    """An index of target embeddings, and what to ask it with.

    `index.search(queries[[u]], k)` gives logit - bias of the k nodes with the largest logit, node places as labels; pairs
    with a recorded edge are among them, and so is u itself where both ends are of one kind.

    Args:
        index: exact inner products (IndexFlatIP) under node places; in a bipartite graph side B alone.
        queries: shape (nodes, dim), float32: source embeddings with the decoder's scale and signs in them.
        bias: log odds of a pair whose product is 0.
        notes: what the logits have that the index has not.
    """

    index: "faiss.IndexIDMap2"
    queries: NDArray[np.float32]
    bias: float
    notes: tuple[str, ...] = ()


def faiss_of(run: Run) -> FaissIndex:
    """A faiss index of a run's embeddings: the best partners of a node among millions, by inner product.

    Raises:
        OptionError: faiss is not installed, or the run has no embeddings.
    """
    if run.embeddings is None:
        raise OptionError(
            f"the model {run.model} has no embeddings, so there is nothing to index; use one that has, such as gae."
        )
    try:
        import faiss
    except ImportError as error:
        raise OptionError("faiss is not installed here; pip install 'linkodds[faiss]'.") from error
    scorer = base_of(run.scorer)
    notes = [] if scorer is run.scorer else [_DEGREE_TERM]
    if isinstance(scorer, InnerProductScorer):
        queries, targets, bias = scorer.signed * np.float32(scorer.scale), scorer.target, scorer.bias
    else:
        notes.append(_NO_PRODUCT)
        (queries, targets), bias = run.embeddings, 0.0
    sides = run.split.space.sides
    places = np.arange(len(run.ids), dtype=np.int64)
    if sides is not None:
        places = places[sides[0] : sum(sides)]
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(targets.shape[1]))
    index.add_with_ids(np.ascontiguousarray(targets[places], dtype=np.float32), places)
    return FaissIndex(index, np.ascontiguousarray(queries, dtype=np.float32), float(bias), tuple(notes))


def _export_index(run: Run, out: Path) -> ExportSummary:
    made = faiss_of(run)
    import faiss

    beside = out.with_name(out.name + ".npz")

    def write_arrays(aside: Path) -> None:
        with aside.open("wb") as file:
            np.savez(file, ids=run.ids.astype(np.str_), queries=made.queries, bias=made.bias)

    _write_aside({out: lambda aside: faiss.write_index(made.index, str(aside)), beside: write_arrays})
    return ExportSummary((out, beside), None, made.notes)


def _write_aside(files: Mapping[Path, Callable[[Path], Any]]) -> None:
    """A file is there as a whole, or not at all; files that belong together come after all are written."""
    asides = {out: out.with_name(out.name + ".partial") for out in files}
    try:
        for out, write in files.items():
            write(asides[out])
        for out, aside in asides.items():
            aside.replace(out)
    finally:
        for aside in asides.values():
            aside.unlink(missing_ok=True)


def _recorded(run: Run) -> NDArray[np.int64]:
    space = run.split.space
    pairs = run.split.recorded().pairs
    return pairs[np.argsort(space.keys(pairs))]


def _node_table(run: Run, recorded: NDArray[np.int64]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "id": pl.Series(run.ids.tolist(), dtype=pl.String),
        "degree": np.bincount(recorded.ravel(), minlength=len(run.ids)),
    }
    if run.split.space.bipartite:
        columns["side"] = np.array(["A", "B", ""], dtype=object)[sides_of(run.split.space)].tolist()
    return pl.DataFrame(columns)
