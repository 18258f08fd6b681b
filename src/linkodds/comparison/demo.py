"""The demonstration: a graph whose every true edge is known, so that promise and truth can be compared."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.errors import RunExists
from linkodds.graph.graph import Graph
from linkodds.pairs import Pairs, PairSpace

NUM_GENES = 3163
RECORDED_RATIO = 1 / 80  # one edge for 79 absent pairs
SHARE_HIDDEN = 0.1
NUM_GROUPS = 20
NUM_LINKS = 500
# Small and fast: under a minute on two cores. One thread, since on graphs of this size a second one gains nothing.
CONFIG = FitConfig(hidden=32, dim=16, learning_rate=0.03, epochs=200, threads=1, time_budget=25)


def demo_graph(
    rng: np.random.Generator,
    *,
    num_nodes: int = NUM_GENES,
    ratio: float = RECORDED_RATIO,
    share_hidden: float = SHARE_HIDDEN,
    num_groups: int = NUM_GROUPS,
) -> tuple[Graph, Pairs]:
    """A gene network with groups and hubs, part of whose true edges nobody has recorded.

    Every pair is a true edge with its own known probability (a degree-corrected planted partition: log-normal hubs,
    groups whose members join far more often among themselves), independently of the others; each true edge is then
    hidden with the same probability. So missing links look like recorded ones, as every default of linkodds assumes.

    Args:
        rng: source of groups, hubs, edges and of what is hidden.
        num_nodes: genes, isolated ones included.
        ratio: recorded edges / pairs, on average.
        share_hidden: hidden edges / true edges, on average.
        num_groups: groups of unequal size.
    Returns:
        The graph of the recorded edges, and the hidden edges, shape (hidden, 2), canonical.
    Example:
        >>> graph, hidden = demo_graph(np.random.default_rng(0), num_nodes=400)
        >>> graph.num_nodes, str(graph.ids[0]), bool(graph.space.contains(graph.edges, hidden).any())
        (400, 'GENE0001', False)
    """
    space = PairSpace(num_nodes)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    probabilities = _edge_probabilities(pairs, num_nodes, num_groups, rng)
    probabilities = _scaled_to_sum(probabilities, ratio * space.num_pairs / (1 - share_hidden))
    true_edges = pairs[rng.random(len(pairs)) < probabilities]
    is_hidden = rng.random(len(true_edges)) < share_hidden
    width = max(4, len(str(num_nodes)))
    ids = np.array([f"GENE{i:0{width}d}" for i in range(1, num_nodes + 1)], dtype=object)
    return Graph(ids, true_edges[~is_hidden], space), true_edges[is_hidden]


def run_demo(
    out: Path,
    *,
    num_nodes: int = NUM_GENES,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Make the graph, fit it, list new links, and compare their probabilities with the truth.

    Writes in `out`: edges.csv and nodes.txt (what linkodds sees), hidden.csv (what it does not), run/ and links.csv.

    Args:
        out: directory to make.
        num_nodes: genes of the graph.
        force: write even if it is there.
        progress: called with one line a stage.
    Returns:
        A few plain sentences: verdict, promise, truth, and where the report is.
    Raises:
        RunExists: `out` is there and `force` is not given.
    """
    from linkodds.fitting.pipeline import fit_run
    from linkodds.links.inference import find_run
    from linkodds.reading.reading_options import ReadingOptions
    from linkodds.report.summary import verdict
    from linkodds.runs.missing_links import MissingLinksAssumption

    if out.exists() and not force:
        raise RunExists(f"{out} is there already. Give another --out, or --force to overwrite it.")
    out.mkdir(parents=True, exist_ok=True)
    graph, hidden = demo_graph(np.random.default_rng(0), num_nodes=num_nodes)
    _write_edges(graph, graph.edges, out / "edges.csv")
    _write_edges(graph, hidden, out / "hidden.csv")
    (out / "nodes.txt").write_text("\n".join(graph.ids) + "\n", encoding="utf-8")
    run = fit_run(
        out / "edges.csv",
        out / "run",
        CONFIG,
        reading=ReadingOptions(nodes=out / "nodes.txt"),
        force=force,
        progress=progress,
        on_epoch=None,
    )
    find_run(run, out / "links.csv", top=NUM_LINKS, assumption=MissingLinksAssumption(expected_missing=len(hidden)))
    links = pl.read_csv(out / "links.csv")
    listed = graph.space.canonical(np.column_stack([graph.index_of(links[end]) for end in ("source", "target")]))
    lowest = float(np.min(links["logit"].to_numpy()))
    counted = (run.calibration[0], run.test)  # what the probabilities of new links are counted on
    num_held_out = sum(int((sample.edge_logits >= lowest).sum()) for sample in counted)
    said = verdict(run.evaluation)
    return [
        f"{graph.num_nodes:,} genes and {graph.num_edges:,} recorded edges, one for {1 / graph.ratio - 1:.0f} absent "
        f"pairs; {len(hidden):,} true edges were hidden.",
        said.headline,
        *said.details,
        *compare_with_truth(
            links["probability"].to_numpy(),
            graph.space.contains(hidden, listed),
            prevalence=len(hidden) / graph.num_non_edges,
            num_held_out=num_held_out,
        ),
        f"report: {out / 'run' / 'report.html'}",
    ]


def compare_with_truth(
    probabilities: NDArray[np.float64],
    is_hidden_edge: NDArray[np.bool_],
    *,
    prevalence: float,
    num_held_out: int,
) -> list[str]:
    """Promise and truth of a list of links, a sentence each.

    Args:
        probabilities: shape (links,), as stated in the list.
        is_hidden_edge: shape (links,), which of them are truly edges.
        prevalence: hidden edges / candidates, what a list drawn blindly would hold.
        num_held_out: held-out edges that rank as high as the list, on which its probabilities rest.
    Example:
        >>> listed, truth = np.array([0.9, 0.5, 0.2]), np.array([True, False, True])
        >>> for line in compare_with_truth(listed, truth, prevalence=0.01, num_held_out=16):
        ...     print(line)
        Promise: 1.6 ± 1.6 of the 3 new links listed are true, by their probabilities.
        Truth: 2 of them are hidden edges; a list drawn blindly would hold 0.0. Promise and truth agree.
    """
    promised, found = float(probabilities.sum()), int(is_hidden_edge.sum())
    # Twice the deviation of a sum of independent draws, and of the held-out edges that the probabilities rest on.
    drawn = float((probabilities * (1 - probabilities)).sum())
    margin = 2.0 * float(np.sqrt(drawn + promised**2 / max(num_held_out, 1)))
    agree = "agree" if abs(found - promised) <= margin else "differ by more than chance"
    blindly = prevalence * len(probabilities)
    return [
        f"Promise: {promised:.1f} ± {margin:.1f} of the {len(probabilities):,} new links listed are true, "
        "by their probabilities.",
        f"Truth: {found:,} of them are hidden edges; a list drawn blindly would hold {blindly:.1f}. "
        f"Promise and truth {agree}.",
    ]


def _edge_probabilities(pairs: Pairs, num_nodes: int, num_groups: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shape (pairs,): probability of each pair to be a true edge, up to a common factor."""
    group = rng.choice(num_groups, size=num_nodes, p=rng.dirichlet(np.full(num_groups, 5.0)))
    hub = rng.lognormal(0.0, 0.7, size=num_nodes)
    between = rng.gamma(0.3, size=(num_groups, num_groups))  # some pairs of groups meet often, most hardly ever
    affinity = between + between.T + np.diag(np.full(num_groups, 40.0))
    u, v = pairs[:, 0], pairs[:, 1]
    return np.asarray(affinity[group[u], group[v]] * hub[u] * hub[v], dtype=np.float64)


def _scaled_to_sum(weights: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """Probabilities proportional to the weights, capped at 0.95, whose sum is `total`."""
    factor = total / weights.sum()
    for _ in range(50):  # each step makes good what the cap took away
        capped = np.minimum(weights * factor, 0.95)
        factor *= total / capped.sum()
    return np.asarray(np.minimum(weights * factor, 0.95))


def _write_edges(graph: Graph, edges: Pairs, path: Path) -> None:
    pl.DataFrame({"source": graph.ids[edges[:, 0]], "target": graph.ids[edges[:, 1]]}).write_csv(path)
