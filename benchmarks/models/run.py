"""Every model on real graphs: at the base rate, and under the protocols of papers. Writes docs/models.md.

One JSON a graph, split and model in benchmarks/results/models/PROTOCOL/, measured in a process of its own, so that seconds
and memory are its own too; what is there is skipped, and an interrupted run goes on. Breadth first: split 0 of everything,
then split 1. A model that this version does not have is passed over.

    python benchmarks/models/run.py [--data FOLDER] [--protocol NAME] [--graph NAME] [--model NAME] [--splits N] [--page]
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from page import TIME_BUDGET, write_page
from pyg_recipe import pyg_scorer

from linkodds.comparison.protocols import PROTOCOLS, ProtocolSplit, deal, read_heart
from linkodds.comparison.trials import baselines_for, try_models
from linkodds.config import FitConfig
from linkodds.fitting.evaluation_setup import Seeds
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split, split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision, roc_auc
from linkodds.metrics.non_edges import NonEdges
from linkodds.models.families import model_names
from linkodds.models.training.history import peak_bytes
from linkodds.scorers.baselines import baseline_scorer
from linkodds.scorers.scoring import Scorer

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "models"
DOCS = HERE.parents[1] / "docs"
BASE_RATE, BASELINES, PYG = "base-rate", "baselines", "pyg-vgae"
SEAL = tuple(f"seal_{name}" for name in ("usair", "celegans", "ns", "pb", "yeast", "power", "router"))
GRAPHS = {
    BASE_RATE: (
        *(*SEAL, "lglp_yst", "ppi_shs27k_seq", "cora", "citeseer", "lglp_grq", "skipgnn_ppi", "skipgnn_dti"),
        *("lastfm_asia", "bionev_ndfrt_dda", "bionev_ctd_dda"),
    ),
    "seal": SEAL,
    "kipf": ("cora", "citeseer"),
    "ncn": ("cora", "citeseer", "pubmed"),
    "heart": ("citeseer",),
}
SPLITS = {BASE_RATE: 5, "seal": 10, "kipf": 10, "ncn": 10, "heart": 10}
MODELS = (
    *(BASELINES, PYG, "stack", "signed-gae", "auto", "vgae", "gae", "linear-gae"),
    *("structural-gae", "refined-gae", "ncn", "ncn-as-published"),
)
AS_PUBLISHED = {
    ("ncn", "ncn-as-published"): ("ncn", {"positive_weight": "balanced", "zeros_per_edge": 1, "dropout": 0.7}),
}
"""(protocol, row) -> a model with the weights and the noise of its paper; by default it is made for the base rate."""
MAX_PAIRS = 100_000_000
"""With more pairs than this (pubmed) the choices on validation edges are made against a sample of the non-edges."""


def units(splits: int | None) -> Iterator[tuple[str, str, int, str]]:
    """(protocol, graph, split, model), breadth first, quick models first."""
    known = {*model_names(), BASELINES, PYG}
    for split in range(max(SPLITS.values())):
        for model in MODELS:
            for protocol, graphs in GRAPHS.items():
                is_known = model in known or (protocol, model) in AS_PUBLISHED
                if is_known and split < min(SPLITS[protocol], splits or SPLITS[protocol]):
                    yield from ((protocol, graph, split, model) for graph in graphs)


def measure(data: Path, protocol: str, graph_name: str, split: int, model: str) -> dict:
    path = data / graph_name / "features.npz"
    given = {"features": path} if path.exists() else {}
    edges = data / graph_name / "edges.csv.gz"
    graph = Graph.from_edges(edges, **given)
    start, processor = time.perf_counter(), time.process_time()
    if protocol == BASE_RATE:
        found = of_fit(graph, split, model, Graph.from_edges(edges, feature_scaling="none", **given))
    else:
        trial = dealt(graph, protocol, split, data / graph_name / "splits" / "heart")
        found = of_trial(graph, trial, split, model, Graph.from_edges(edges, feature_scaling="none", **given))
    return {
        "protocol": protocol,
        "graph": graph_name,
        "split": split,
        "model": model,
        "num_nodes": graph.num_nodes,
        "num_edges": graph.num_edges,
        **found,
        "seconds": round(time.perf_counter() - start, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
        "peak_bytes": peak_bytes(),
        "versions": {name: version(name) for name in ("linkodds", "torch", "numpy", "lightgbm", "torch_geometric")},
    }


def dealt(graph: Graph, protocol: str, split: int, heart: Path) -> ProtocolSplit:
    if protocol == "heart":
        return read_heart(graph, heart)
    return deal(graph, PROTOCOLS[protocol], np.random.SeedSequence(split))


def of_fit(graph: Graph, seed: int, model: str, unscaled: Graph) -> dict:
    """What a fit with default options gives; baselines and PyG's model on the split that such a fit has."""
    if model not in (BASELINES, PYG):
        run = fit_graph(
            graph, FitConfig.from_options({"model": model, "seed": seed, "time_budget": TIME_BUDGET, "threads": 1})
        )
        metrics = run.evaluation.metrics
        names = (
            "average_precision",
            "roc_auc",
            "average_precision_lift",
            "calibration_slope",
            "observed_over_expected",
        )
        return {
            "chosen": run.model,
            "metrics": {name: metrics[name].value for name in names},
            "training_seconds": run.cost.get("training", {"seconds": 0.0})["seconds"],
            **sizes(run.split),
        }
    # As a fit deals its split; it may pool train and calibration edges for folds afterwards.
    split = split_edges(graph, rng=np.random.default_rng(Seeds.of(seed).split))
    non_edges = NonEdges(split.recorded())

    def figures(scorer_of: Callable[[Split], Scorer]) -> dict:
        scorer = scorer_of(split)
        found = {part: HeldOut.from_scorer(scorer, getattr(split, part), non_edges) for part in ("validation", "test")}
        return {
            "metrics": {"average_precision": average_precision(found["test"]), "roc_auc": roc_auc(found["test"])},
            "validation": {"average_precision": average_precision(found["validation"])},
        }

    return by_kind(graph, split, seed, model, unscaled, figures, "average_precision") | sizes(split)


def of_trial(graph: Graph, trial: ProtocolSplit, seed: int, model: str, unscaled: Graph) -> dict:
    if model in (BASELINES, PYG):

        def figures(scorer_of: Callable[[Split], Scorer]) -> dict:
            return {
                "metrics": trial.figures(scorer_of(trial.final_split), "test"),
                "validation": trial.figures(scorer_of(trial.split), "validation"),
            }

        first = trial.protocol.metrics[0]
        return by_kind(graph, trial.split, seed, model, unscaled, figures, first) | sizes(trial.split)
    name, options = AS_PUBLISHED.get((trial.protocol.name, model), (model, {}))
    config = FitConfig.from_options({"seed": seed, "threads": 1, "max_pairs": MAX_PAIRS, **options})
    tried = try_models(graph, trial, [name], config)[name]
    return {
        "chosen": tried.chosen,
        "metrics": tried.test | {"base_rate_average_precision": tried.base_rate_average_precision},
        "validation": tried.validation | {"base_rate_average_precision": tried.validation_average_precision},
        "training_seconds": tried.training_seconds,
        **sizes(trial.split),
    }


def by_kind(graph: Graph, split: Split, seed: int, model: str, unscaled: Graph, figures, chosen_by: str) -> dict:
    """Baselines, or PyG's model with its better input (features or identity) by the validation edges."""
    if model == BASELINES:
        return {
            "baselines": {
                name: figures(partial(baseline_scorer, name, features=graph.features)) for name in baselines_for(graph)
            }
        }
    kinds = {"identity": None} | ({} if graph.features is None else {"features": unscaled.features})
    found = {}
    for kind, features in kinds.items():
        start = time.process_time()
        scorer = pyg_scorer(split, features, seed)
        found[kind] = {
            "training_seconds": round(time.process_time() - start, 2),
            **figures(lambda _, scorer=scorer: scorer),
        }
    best = max(found, key=lambda kind: found[kind]["validation"][chosen_by])
    return {"chosen": best, "inputs": found, **found[best]}


def sizes(split: Split) -> dict:
    of_test = hashlib.sha256(np.sort(split.space.keys(split.test)).tobytes()).hexdigest()[:16]
    counts = {f"num_{part}": len(getattr(split, part)) for part in ("train", "validation", "test")}
    return {**counts, "test_edges": of_test}  # rows of one split must agree on it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--protocol", choices=[*GRAPHS])
    parser.add_argument("--graph")
    parser.add_argument("--model")
    parser.add_argument("--splits", type=int, help="at most so many of each protocol")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page")
    parser.add_argument("--unit", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.unit:
        protocol, graph, split, model = given.unit
        print(json.dumps(measure(given.data, protocol, graph, int(split), model), indent=1))
        return
    for unit in () if given.page else units(given.splits):
        protocol, graph, split, model = unit
        asked = zip((given.protocol, given.graph, given.model), (protocol, graph, model), strict=True)
        path = RESULTS / protocol / f"{graph}-{split}-{model}.json"
        if path.exists() or any(wanted not in (None, is_) for wanted, is_ in asked):
            continue
        command = [sys.executable, __file__, "--data", str(given.data), "--unit", *map(str, unit)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        if done.returncode:
            print(f"{path.stem} ({protocol}) failed, see above; the others go on", flush=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(done.stdout)
        result = json.loads(done.stdout)
        print(protocol, path.stem, result.get("metrics", "counted"), f"{result['processor_seconds']} s", flush=True)
    write_page(RESULTS, DOCS)


if __name__ == "__main__":
    main()
