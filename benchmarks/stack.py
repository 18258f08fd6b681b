"""What the stack reaches on real graphs: ranking, calibration, seconds and memory; and a control that must fail.

Writes one JSON a graph and seed to benchmarks/results/stack/ and skips what is there, then docs/stack.md. The figures of
vgae and of the baselines are those of the same split: benchmarks/results/quality/ and the same fit.

    python benchmarks/stack.py --data FOLDER [--only GRAPH] [--seeds N] [--threads N] [--page]
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.graph import Graph
from linkodds.held_out import HeldOut
from linkodds.hidden_edges import Rows, training_rows
from linkodds.metrics import average_precision
from linkodds.non_edges import NonEdges
from linkodds.pipeline import fit_graph
from linkodds.split import split_edges
from linkodds.stack import fit_trees
from linkodds.structural_counts import StructuralCounts

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "stack"
QUALITY = HERE / "results" / "quality"
GRAPHS = (
    *("seal_usair", "seal_celegans", "seal_ns", "seal_yeast", "cora", "citeseer", "seal_router", "seal_power"),
    *("seal_pb", "ppi_shs27k_seq", "lglp_yst", "lglp_grq", "skipgnn_dti", "skipgnn_ppi", "lastfm_asia"),
    *("bionev_ndfrt_dda", "bionev_ctd_dda"),
)
CONTROL = "seal_yeast"


def read(folder: Path, graph_name: str) -> Graph:
    features = folder / graph_name / "features.npz"
    return Graph.from_edges(folder / graph_name / "edges.csv.gz", features=features if features.exists() else None)


def measure(folder: Path, graph_name: str, seed: int, threads: int) -> dict:
    graph = read(folder, graph_name)
    start, processor = time.perf_counter(), time.process_time()
    run = fit_graph(graph, FitConfig(model="stack", seed=seed, threads=threads))
    metrics = run.evaluation["metrics"]
    return {
        "graph": graph_name,
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
        "training_seconds": run.cost["training"]["seconds"],
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "num_parameters": run.evaluation["model"]["num_parameters"],
        "prevalence": run.evaluation["candidates"]["prevalence"],
        **{name: metrics[name]["value"] for name in ("roc_auc", "average_precision", "calibration_slope")},
        "observed_over_expected": metrics["observed_over_expected"]["value"],
        "degree_term": run.config["degree_term"],
        "baselines": {name: each["average_precision"] for name, each in run.evaluation["baselines"].items()},
        "versions": run.config["versions"],
    }


def control(folder: Path, threads: int) -> dict:
    """The same trees fitted on train edges that are in the graph their inputs come from: what hiding is there against."""
    graph = read(folder, CONTROL)
    split = split_edges(graph, rng=np.random.default_rng(np.random.SeedSequence(0).spawn(4)[0]))
    graph_seed, rows_seed, tree_seed = np.random.SeedSequence(0).spawn(4)[1].spawn(3)
    counts = StructuralCounts.of(split.message_graph(), split.space, None, np.random.default_rng(graph_seed))
    rows = training_rows(split, None, rows_seed)
    shown = Rows(counts.of_pairs(rows.pairs), rows.is_edge, rows.weights, rows.pairs)
    non_edges = NonEdges(split.recorded())
    found = {}
    for name, each, share in (("hidden", rows, 0.8), ("shown", shown, 0.8), ("zeros_as_they_are", rows, 1.0)):
        scorer = fit_trees(counts, each, recorded_share=share, seeds=tree_seed, threads=threads)
        logits = np.concatenate([chunk for chunk, _ in non_edges.stream(scorer)])
        held_out = HeldOut.from_logits(scorer.logits(split.test), logits, non_edges.num_non_edges)
        found[name] = average_precision(held_out)
    return {
        "graph": CONTROL,
        "seed": 0,
        "average_precision": found,
        "fails_as_it_must": found["shown"] < found["hidden"],
    }


def page(rows: list[dict], checked: dict | None) -> str:
    lines = [
        "# What the stack reaches",
        "",
        "`--model stack`, default split (80/5/5/10), test edges against all non-edges. Made by `benchmarks/stack.py`; one file",
        "for each fit lies in `benchmarks/results/stack/`. `±` is the standard deviation over seeds (split and fit together).",
        "The best baseline is the best on the same test edges, chosen after the fact, so it flatters them; `vgae` is the one of",
        "[quality.md](quality.md), with the same splits. Slope: of the calibration on the test edges, 1 is right.",
        "Seconds are of the processor, one thread, for the whole fit with its evaluation; memory is the peak of the process.",
        "",
        "| graph | seeds | AP at the base rate | best baseline | vgae | AUC | slope | seconds | memory, GB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for graph in GRAPHS:
        group = [row for row in rows if row["graph"] == graph]
        if not group:
            continue
        baseline = statistics.mean(max(row["baselines"].values()) for row in group)
        lines.append(
            f"| {graph} | {len(group)} | {spread([row['average_precision'] for row in group], 4)} | {baseline:.4f} "
            f"| {vgae(graph, [row['seed'] for row in group])} | {spread([row['roc_auc'] for row in group], 4)} "
            f"| {spread([row['calibration_slope'] for row in group], 2)} "
            f"| {statistics.mean(row['processor_seconds'] for row in group):.0f} "
            f"| {max(row['peak_bytes'] for row in group) / 1e9:.1f} |"
        )
    missing = [graph for graph in GRAPHS if all(row["graph"] != graph for row in rows)]
    if missing:
        lines += ["", f"Not measured: {', '.join(missing)}."]
    if checked is not None:
        hidden, shown = (checked["average_precision"][name] for name in ("hidden", "shown"))
        lines += [
            "",
            f"Control, {checked['graph']}, seed 0: the same trees fitted on train edges that their inputs had seen reach an",
            f"average precision of {shown:.4f}; with the edges hidden it is {hidden:.4f}. The control "
            f"{'fails, as it must' if checked['fails_as_it_must'] else 'DID NOT FAIL'}.",
            "Without the lower weights of zeros that may hide an edge it is "
            f"{checked['average_precision']['zeros_as_they_are']:.4f}. These three are without a degree term.",
        ]
    return "\n".join(lines) + "\n"


def vgae(graph: str, seeds: list[int]) -> str:
    paths = [QUALITY / f"{graph}-vgae-{seed}.json" for seed in seeds]
    found = [json.loads(path.read_text())["average_precision"] for path in paths if path.exists()]
    return spread(found, 4) if found else "not measured"


def spread(values: list[float], digits: int) -> str:
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--only")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--page", action="store_true", help="only write the page from what is there")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    checked = RESULTS / "control.json"
    for seed in range(0 if arguments.page else arguments.seeds):
        for graph in GRAPHS:
            path = RESULTS / f"{graph}-{seed}.json"
            if path.exists() or (arguments.only and arguments.only != graph):
                continue
            result = measure(arguments.data, graph, seed, arguments.threads)
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(path.name, f"AP {result['average_precision']:.4f} AUC {result['roc_auc']:.4f}", flush=True)
        if not checked.exists() and not arguments.only:
            result = control(arguments.data, arguments.threads)
            checked.write_text(json.dumps(result, indent=1) + "\n")
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*-[0-9].json"))]
    text = page(rows, json.loads(checked.read_text()) if checked.exists() else None)
    (HERE.parent / "docs" / "stack.md").write_text(text)


if __name__ == "__main__":
    main()
