"""Are probabilities of new links calibrated where the truth is simulated, with a trained model as the score?

Degree-corrected planted partitions of 600 nodes in 40 groups and of 1,500 in 80, about 79 absent pairs for an edge; a quarter
of the true edges is unrecorded.
gae is fitted to the rest, `--expected-missing` is told the number M of the unrecorded ones, and every pair without a
recorded edge gets its probability, as `predict` and `find` state it. In each half-decade of probability that holds 50
expected or true links over all graphs, the links less the expected ones, a number for each graph, must have a mean of 0:
a t test over graphs at level 0.05 / bins. The same is asked of everything together.

Controls, each of which must be rejected in some bin:

    double      twice the number of missing links is assumed
    hubs        the edges are unrecorded in proportion to the product of their nodes' weights, and not at random (own fits)
    line        the calibrator of the rehearsal, a straight line in the logit, moved to the prevalence of the missing links

One line a graph is appended to benchmarks/results/statistics/deployment.jsonl, graphs that are there are skipped; then
deployment.json beside it and docs/deployment.md.

    python benchmarks/statistics/deployment.py [--graphs 60]    # of each size
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.pairs import PairSpace
from linkodds.runs.missing_links import MissingLinksAssumption

HERE = Path(__file__).parents[1]
RESULTS = HERE / "results" / "statistics"
SIZES = ((600, 40), (1500, 80))
"""Nodes and groups."""
PREVALENCE, UNRECORDED = 1 / 80, 0.25
ENDS = 10.0 ** np.arange(-6, 0.5, 0.5)
"""Upper ends of the half-decades; the first holds everything below."""
POPULATED = 50
LEVEL = 0.05
CONFIG = FitConfig(model="gae", hidden=32, dim=16, learning_rate=0.03, epochs=100, folds=1, threads=1)
MUST_HOLD, MUST_FAIL = ("right",), ("double", "hubs", "line")


def measure(nodes: int, groups: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    space = PairSpace(nodes)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    u, v = pairs.T
    group, hub = rng.integers(0, groups, nodes), rng.lognormal(0.0, 0.5, nodes)
    inside = rng.lognormal(5.0, 0.5, groups)
    weight = np.where(group[u] == group[v], inside[group[u]], 1.0) * hub[u] * hub[v]
    is_edge = rng.random(len(pairs)) < np.minimum(weight * PREVALENCE * len(pairs) / weight.sum(), 0.95)
    affinity = (hub[u] * hub[v]) * is_edge
    hidings = {
        "right": is_edge & (rng.random(len(pairs)) < UNRECORDED),
        "hubs": is_edge & (rng.random(len(pairs)) < UNRECORDED * affinity * is_edge.sum() / affinity.sum()),
    }
    ids = np.array([f"n{i}" for i in range(nodes)], dtype=object)
    row: dict[str, Any] = {"nodes": nodes, "seed": seed}
    for name, hidden in hidings.items():
        run = fit_graph(Graph(ids, pairs[is_edge & ~hidden], space), CONFIG.model_copy(update={"seed": seed}))
        number = int(hidden.sum())
        unrecorded = ~is_edge | hidden
        logits, is_link = run.scorer.logits(pairs[unrecorded]), hidden[unrecorded]
        row[name] = counted(
            MissingLinksAssumption(expected_missing=number).deployment(run).probability(logits), is_link
        )
        if name == "right":
            double = MissingLinksAssumption(expected_missing=2 * number).deployment(run)
            row["double"] = counted(double.probability(logits), is_link)
            line = run.calibrator.at_prevalence(number / len(logits))
            row["line"] = counted(line.probability(logits), is_link)
            row["num_missing"] = number
            row["average_precision"] = run.evaluation.metrics["average_precision"].value
    return row


def counted(stated: NDArray[np.float64], is_link: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Expected and true links in each half-decade of probability."""
    place = np.searchsorted(ENDS, stated, side="left")
    return {
        "expected": np.bincount(place, weights=stated, minlength=len(ENDS)).tolist(),
        "links": np.bincount(place, weights=is_link, minlength=len(ENDS)).tolist(),
    }


def judged(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Each populated bin, and all together: the ratio, and whether the difference is 0 beyond chance over graphs."""
    expected, links = (np.array([row[name][each] for row in rows]) for each in ("expected", "links"))
    totals = np.maximum(expected.sum(axis=0), links.sum(axis=0))
    bins = [(f"{ENDS[i]:.2g}", expected[:, i], links[:, i]) for i in np.flatnonzero(totals >= POPULATED)]
    bins.append(("all", expected.sum(axis=1), links.sum(axis=1)))
    table = []
    for upper, stated, true in bins:
        difference = true - stated
        error = difference.std(ddof=1) / np.sqrt(len(rows))
        probability = 2 * float(student.sf(abs(difference.mean()) / error, len(rows) - 1))
        table.append(
            {
                "up_to": upper,
                "expected": float(stated.sum()),
                "links": float(true.sum()),
                "ratio": float(true.sum() / stated.sum()),
                "p": probability,
                "holds": probability >= LEVEL / len(bins),
            }
        )
    return {"name": name, "bins": table, "holds": all(each["holds"] for each in table)}


def page(sections: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]) -> str:
    lines = [
        "# Probabilities of new links where the truth is simulated",
        "",
        "Planted graphs at about 1 : 79, a quarter of the true edges unrecorded; gae as the score, told how many are missing.",
        "True links over expected ones by half-decade of the stated probability, summed over the graphs. A bin is rejected (✗)",
        f"where a t test over graphs finds a difference at level {LEVEL} / bins. Made by `benchmarks/statistics/deployment.py`.",
        "",
        "`right` must hold in every bin. The others must not: `double` assumes twice as many missing links, `hubs` lacks the",
        "edges of hubs more often than others, `line` is the rehearsal's calibrator, moved to the right prevalence.",
    ]
    for rows, results in sections:
        missing = np.mean([row["num_missing"] for row in rows])
        precision = np.mean([row["average_precision"] for row in rows])
        lines += [
            "",
            f"## {rows[0]['nodes']:,} nodes",
            "",
            f"{len(rows)} graphs, {missing:,.0f} links missing on average, average precision {precision:.3f} in the rehearsal.",
            "",
        ]
        uppers = [f"{end:.2g}" for end in ENDS] + ["all"]
        cells = {each["name"]: {row["up_to"]: row for row in each["bins"]} for each in results}
        lines += [f"| probability up to | {' | '.join(cells)} |", "|---|" + "---|" * len(cells)]
        for upper in uppers:
            if any(upper in each for each in cells.values()):
                texts = [
                    f"{row['ratio']:.2f} of {row['expected']:,.0f}{'' if row['holds'] else ' ✗'}" if row else ""
                    for row in (each.get(upper) for each in cells.values())
                ]
                lines.append(f"| {upper} | {' | '.join(texts)} |")
        verdicts = [
            f"{each['name']}: {'no bin rejected' if each['holds'] else 'rejected'}"
            + ("" if each["holds"] == (each["name"] in MUST_HOLD) else ", **against the claim**")
            for each in results
        ]
        lines += ["", "; ".join(verdicts) + "."]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=60)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "deployment.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["nodes"], row["seed"]) for row in rows}
    start = time.perf_counter()
    for nodes, groups in SIZES:
        for seed in range(arguments.graphs):
            if (nodes, seed) not in done:
                rows.append(measure(nodes, groups, seed))
                with path.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(f"{nodes} nodes, graph {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    sections = []
    for nodes, _ in SIZES:
        of_size = [row for row in rows if row["nodes"] == nodes]
        if of_size:
            sections.append((of_size, [judged(of_size, name) for name in (*MUST_HOLD, *MUST_FAIL)]))
    said = [{"nodes": part[0]["nodes"], "graphs": len(part), "results": results} for part, results in sections]
    (RESULTS / "deployment.json").write_text(json.dumps(said, indent=1) + "\n")
    text = page(sections)
    (HERE.parent / "docs" / "deployment.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
