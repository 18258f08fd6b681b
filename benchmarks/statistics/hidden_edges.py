"""Are probabilities of new links right where the truth is known? Edges hidden before the fit, on eight real graphs.

A tenth of the edges is taken out before `fit` sees the graph; `--expected-missing` is told their number. Then the hidden
edges are counted among the pairs that get a probability, and held against the sum of the probabilities:

    all           all pairs without a recorded edge, by decade of their probability
    hidden        find --top as many as were hidden
    hundred       find --top 100

Pooled over graphs and seeds, observed / expected has to lie in 0.8 to 1.25, for the lists and for every decade in which at
least 200 edges are expected or observed (a Poisson count of 200 has a standard error of 7 %; below that the interval of
the count has to reach into the range). Three controls must leave it:

    graph_ratio   --prevalence is given the graph's ratio, edges / pairs: another of the three prevalences
    triple        --expected-missing is given three times their number
    by_degree     the edges were not hidden at random, but in proportion to the product of their degrees (own fits)

and for comparison `line` puts the calibrator of the rehearsal, moved to the prevalence of the hidden edges, in the place
of the counted rates.

Graphs: of each kind of network in the folder (the words of its list) the set with the most edges between 2,000 and 20,000;
of these the eight with the most edges. One JSON a fit in benchmarks/results/statistics/hidden_edges/, what is there is
skipped; the page is docs/hidden-edges.md.

    python benchmarks/statistics/hidden_edges.py [--data FOLDER] [--only GRAPH] [--runs FOLDER]
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.inference import find_links
from linkodds.metrics.intervals import poisson_interval
from linkodds.pairs import Pairs
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run, load_run
from linkodds.runs.run_directory import PartialRun

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results" / "statistics" / "hidden_edges"
GRAPHS = (
    "genelink_mdc500_string",
    "cora",
    "seal_router",
    "seal_power",
    "seal_yeast",
    "lglp_grq",
    "skipgnn_dti",
    "seal_pb",
)
SEEDS, SEEDS_BY_DEGREE = 5, 1
HIDDEN, EPOCHS = 0.1, 100
DECADES = 10.0 ** np.arange(-7, 1)
"""Upper ends; the first holds everything below."""
RANGE = (0.8, 1.25)
ENOUGH = 200


def hide(graph: Graph, rng: np.random.Generator, *, by_degree: bool) -> tuple[Graph, Pairs]:
    """The graph without a tenth of its edges, and these."""
    degrees = graph.degrees()
    weights = degrees[graph.edges].prod(axis=1) if by_degree else np.ones(graph.num_edges)
    chosen = rng.choice(graph.num_edges, round(HIDDEN * graph.num_edges), replace=False, p=weights / weights.sum())
    is_hidden = np.zeros(graph.num_edges, dtype=bool)
    is_hidden[chosen] = True
    return replace(graph, edges=graph.edges[~is_hidden]), graph.edges[is_hidden]


def fitted(graph: Graph, path: Path | None, seed: int) -> Run:
    if path is not None and path.is_dir():
        return load_run(path)
    config = FitConfig(model="vgae", epochs=EPOCHS, seed=seed, threads=1)
    return fit_graph(graph, config, partial=None if path is None else PartialRun(path, force=False))


def measure(run: Run, hidden: Pairs) -> dict[str, Any]:
    """Observed and expected links under the right number of missing ones, and under wrong assumptions."""
    number, space = len(hidden), run.split.space
    ratio = sum(run.evaluation.split[part] for part in ("train", "validation", "calibration", "test"))
    assumptions = {
        "right": MissingLinksAssumption(expected_missing=number),
        "graph_ratio": MissingLinksAssumption(prevalence=ratio / space.num_pairs),
        "triple": MissingLinksAssumption(expected_missing=3 * number),
    }
    logits, weights = run.test.non_edges.bins.points()
    at_hidden = run.scorer.logits(hidden).astype(np.float32).astype(np.float64)
    links = find_links(run, assumptions["right"].deployment(run), top=max(number, 100))
    ends = [np.array([run.index[each] for each in links[side]]) for side in ("source", "target")]
    is_hidden = space.contains(hidden, space.canonical(np.column_stack(ends)))
    row: dict[str, Any] = {"num_hidden": number}
    for name, assumption in assumptions.items():
        deployment = assumption.deployment(run)
        row[name] = {"all": by_decade(deployment.probability(logits), weights, deployment.probability(at_hidden))}
        listed = (
            links["probability"].to_numpy() if name == "right" else deployment.probability(links["logit"].to_numpy())
        )
        for title, top in (("hidden", number), ("hundred", 100)):
            row[name][title] = by_decade(listed[:top], np.ones(top), listed[:top][is_hidden[:top]])
    line = run.calibrator.at_prevalence(number / run.test.num_non_edges)
    row["line"] = {"all": by_decade(line.probability(logits), weights, line.probability(at_hidden))}
    return row


def by_decade(
    stated: NDArray[np.float64], weights: NDArray[np.float64], of_hidden: NDArray[np.float64]
) -> dict[str, list[float]]:
    """Pairs, expected links and links in each decade of probability."""
    place = np.searchsorted(DECADES, stated, side="left")
    return {
        "pairs": np.bincount(place, weights=weights, minlength=len(DECADES)).tolist(),
        "expected": np.bincount(place, weights=weights * stated, minlength=len(DECADES)).tolist(),
        "observed": np.bincount(np.searchsorted(DECADES, of_hidden, side="left"), minlength=len(DECADES)).tolist(),
    }


def units() -> Iterator[tuple[str, int, bool]]:
    for seed in range(SEEDS):
        yield from ((name, seed, False) for name in GRAPHS)
        if seed < SEEDS_BY_DEGREE:
            yield from ((name, seed, True) for name in GRAPHS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--only")
    parser.add_argument("--runs", type=Path, help="keep the fitted runs here; those that are here are not fitted anew")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name, seed, by_degree in units():
        unit = f"{name}-{seed}{'-by_degree' if by_degree else ''}"
        path = RESULTS / f"{unit}.json"
        if path.exists() or (arguments.only and arguments.only != name):
            continue
        start = time.perf_counter()
        features = arguments.data / name / "features.npz"
        graph = Graph.from_edges(
            arguments.data / name / "edges.csv.gz", features=features if features.exists() else None
        )
        left, hidden = hide(graph, np.random.default_rng([seed, by_degree]), by_degree=by_degree)
        run = fitted(left, arguments.runs and arguments.runs / unit, seed)
        row = {"graph": name, "seed": seed, "by_degree": by_degree, **measure(run, hidden)}
        path.write_text(json.dumps(row) + "\n")
        print(unit, f"{time.perf_counter() - start:.0f} s", summary(row), flush=True)
    text = page([json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))])
    (HERE.parent / "docs" / "hidden-edges.md").write_text(text)
    print(text)


def summary(row: dict[str, Any]) -> str:
    return ", ".join(
        f"{title} {sum(row['right'][title]['observed'])} / {sum(row['right'][title]['expected']):.0f}"
        for title in ("all", "hidden", "hundred")
    )


@dataclass(frozen=True)
class Cell:
    """Links observed and expected somewhere, and whether that is within the range: the ratio, or its interval if few."""

    observed: float
    expected: float

    @property
    def holds(self) -> bool:
        if max(self.observed, self.expected) >= ENOUGH:
            return RANGE[0] <= self.observed / self.expected <= RANGE[1]
        low, high = poisson_interval(self.observed)
        return float(low) / self.expected <= RANGE[1] and float(high) / self.expected >= RANGE[0]

    def __str__(self) -> str:
        mark = "" if self.holds else " ✗"
        return f"{self.observed / self.expected:.2f} ({self.observed:,.0f} / {self.expected:,.0f}){mark}"


def pooled(rows: list[dict[str, Any]], variant: str) -> dict[str, Cell]:
    """The cells that are judged: each list, each decade of all pairs, and these together."""
    cells = {}
    for title in rows[0][variant]:
        observed, expected = (
            np.sum([row[variant][title][name] for row in rows], axis=0) for name in ("observed", "expected")
        )
        cells[TITLES[title]] = Cell(float(observed.sum()), float(expected.sum()))
        if title == "all":
            for i in np.flatnonzero(expected >= 1):
                cells[f"{DECADES[i] / 10:.0e} to {DECADES[i]:.0e}"] = Cell(float(observed[i]), float(expected[i]))
    return cells


TITLES = {"all": "all pairs", "hidden": "find --top (as many as hidden)", "hundred": "find --top 100"}


def page(rows: list[dict[str, Any]]) -> str:
    random = [row for row in rows if not row["by_degree"]]
    by_degree = [row for row in rows if row["by_degree"]]
    columns = {name: pooled(random, name) for name in ("right", "graph_ratio", "triple", "line")}
    if by_degree:
        columns["by_degree"] = pooled(by_degree, "right")
    seeds = len({row["seed"] for row in random})
    lines = [
        "# Probabilities of new links on real graphs, held against hidden edges",
        "",
        f"A tenth of the edges of {len({row['graph'] for row in random})} real graphs was taken out before `fit` saw them, with",
        f"{seeds} seeds each ({len(random)} fits of vgae, default options but {EPOCHS} epochs); `--expected-missing` was told their",
        "number. Hidden edges observed / expected, that is the sum of the stated probabilities, pooled over all fits. ✗: outside",
        f"{RANGE[0]} to {RANGE[1]}, by the ratio where {ENOUGH} links or more are counted, else by its 95 % interval. Made by",
        "`benchmarks/statistics/hidden_edges.py`. How the best held-out edges are counted was changed after a first look at these",
        "graphs (decision 0006), so they are no fresh test of that.",
        "",
        "`right` must hold everywhere; the controls must not: `graph_ratio` takes the graph's ratio for the prevalence of missing",
        "links, `triple` assumes three times their number, and in `by_degree` the edges of hubs were hidden more often than",
        f"others ({len(by_degree)} fits). `line`, for comparison, puts the calibrator of the rehearsal, moved to the prevalence of the",
        "hidden edges, in the place of the counted rates; it makes no list.",
        "",
        f"| pairs | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
    ]
    names = list(TITLES.values())
    names[1:1] = sorted(
        {name for cells in columns.values() for name in cells} - set(names), key=lambda text: float(text.split()[0])
    )
    lines += [f"| {name} | {' | '.join(str(cells.get(name, '')) for cells in columns.values())} |" for name in names]
    lines += [
        "",
        "By graph, `right`:",
        "",
        f"| graph | hidden each | {' | '.join(TITLES.values())} |",
        "|---|---|---|---|---|",
    ]
    for name in GRAPHS:
        of_graph = [row for row in random if row["graph"] == name]
        if of_graph:
            cells = pooled(of_graph, "right")
            texts = [
                f"{cells[title].observed / cells[title].expected:.2f} ({cells[title].observed:,.0f} / {cells[title].expected:,.0f})"
                for title in TITLES.values()
            ]
            lines.append(f"| {name} | {of_graph[0]['num_hidden']:,} | {' | '.join(texts)} |")
    lines += ["", "; ".join(verdict(name, cells) for name, cells in columns.items()) + "."]
    return "\n".join(lines) + "\n"


def verdict(name: str, cells: dict[str, Cell]) -> str:
    broken = sum(not cell.holds for cell in cells.values())
    expected_to_hold = {"right": True, "line": None}.get(name, False)
    against = expected_to_hold is not None and expected_to_hold != (broken == 0)
    return f"{name}: {broken} of {len(cells)} outside{', **against the claim**' if against else ''}"


if __name__ == "__main__":
    main()
