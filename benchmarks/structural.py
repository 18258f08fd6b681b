"""structural-gae beside the stack, signed-gae and vgae on real graphs, the same splits: average precision at the base rate.

Writes one JSON a graph, model and seed to benchmarks/results/structural/ and skips what is there, then docs/structural.md.

    python benchmarks/structural.py --data FOLDER [--only GRAPH] [--models NAME ...] [--seeds N ...] [--threads N] [--page]
"""

import argparse
import json
import math
import resource
import statistics
import time
from pathlib import Path

from linkodds.config import FitConfig
from linkodds.graph import Graph
from linkodds.pipeline import fit_graph

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "structural"
GRAPHS = (
    *("seal_yeast", "seal_pb", "cora", "lglp_yst", "ppi_shs27k_seq", "citeseer", "seal_router", "lglp_grq"),
    *("seal_celegans", "seal_ns"),
)
MODELS = ("structural-gae", "stack", "signed-gae", "vgae")


def measure(folder: Path, graph_name: str, model: str, seed: int, threads: int) -> dict:
    features = folder / graph_name / "features.npz"
    graph = Graph.from_edges(folder / graph_name / "edges.csv.gz", features=features if features.exists() else None)
    start, processor = time.perf_counter(), time.process_time()
    run = fit_graph(graph, FitConfig(model=model, seed=seed, threads=threads))
    metrics = run.evaluation["metrics"]
    return {
        "graph": graph_name,
        "model": model,
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "test_edges": len(run.split.test),
        **{name: metrics[name]["value"] for name in ("roc_auc", "average_precision", "calibration_slope")},
        "observed_over_expected": metrics["observed_over_expected"]["value"],
        "degree_term": run.config["degree_term"]["kind"],
        "baselines": {name: each["average_precision"] for name, each in run.evaluation["baselines"].items()},
        "findings": [each["message"] for each in run.evaluation["findings"] if each["id"] == "training"],
        "versions": run.config["versions"],
    }


def table(rows: list[dict]) -> str:
    found = {(row["graph"], row["model"], row["seed"]): row for row in rows}
    lines = [
        "# structural-gae beside the stack",
        "",
        "Average precision at the base rate: test edges against all non-edges, default options and split (80/5/5/10). Made by",
        "`benchmarks/structural.py`; one file for each fit lies in `benchmarks/results/structural/`, and where it has none, in",
        "`stack/` and `quality/` beside it. CPU: seconds of one core for the whole fit, other programs beside it. What was chosen was chosen on other splits.",
        "",
        f"| graph | seed | {' | '.join(MODELS)} | best baseline | structural-gae / stack | CPU s | CPU s, stack |",
        f"|---|---|{'---|' * (len(MODELS) + 4)}",
    ]
    ratios: dict[str, list[float]] = {model: [] for model in MODELS[1:]}
    for graph in GRAPHS:
        for seed in sorted({row["seed"] for row in rows}):
            own = found.get((graph, MODELS[0], seed))
            if own is None:
                continue
            others = {model: found.get((graph, model, seed)) for model in MODELS}
            for model in ratios:
                if (other := others[model]) is not None:
                    ratios[model].append(own["average_precision"] / other["average_precision"])
            cells = ["" if row is None else f"{row['average_precision']:.4f}" for row in others.values()]
            stack = others["stack"]
            seconds = "" if stack is None else f"{stack['processor_seconds']:.0f}"
            ratio = "" if stack is None else f"{own['average_precision'] / stack['average_precision']:.2f}"
            lines.append(
                f"| {graph} | {seed} | {' | '.join(cells)} | {max(own['baselines'].values()):.4f} | {ratio} "
                f"| {own['processor_seconds']:.0f} | {seconds} |"
            )
    means = [
        f"{math.exp(statistics.mean(map(math.log, ratio))):.3f} of {model} ({len(ratio)} fits)"
        for model, ratio in ratios.items()
        if ratio
    ]
    return "\n".join([*lines, "", f"Geometric mean of the ratios: structural-gae has {', '.join(means)}.", ""])


def load() -> list[dict]:
    """All fits of these splits: those of the other two benchmarks where this one has none."""
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    there = {(row["graph"], row["model"], row["seed"]) for row in rows}
    others = [
        {"model": folder, **json.loads(path.read_text())}
        for folder in ("stack", "quality")
        for path in sorted((HERE / "results" / folder).glob("*-[0-9]*.json"))
    ]
    return [*rows, *(row for row in others if (row["graph"], row["model"], row["seed"]) not in there)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--only", nargs="+", default=GRAPHS)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    plan = [(g, m, seed) for seed in arguments.seeds for m in arguments.models for g in arguments.only]
    for graph, model, seed in [] if arguments.page else plan:
        path = arguments.results / f"{graph}-{model}-{seed}.json"
        if not path.exists():
            result = measure(arguments.data, graph, model, seed, arguments.threads)
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(path.name, f"AP {result['average_precision']:.4f} {result['processor_seconds']} s", flush=True)
    if arguments.results == RESULTS:
        (HERE.parent / "docs" / "structural.md").write_text(table(load()))


if __name__ == "__main__":
    main()
