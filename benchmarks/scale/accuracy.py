"""What the decoupled form costs in accuracy: refined-gae in memory against the same model over files.

The same split, seed and options for both; validation average precision chooses the epoch, and then the test edges are
ranked among all non-edges, or where they are many among the same strata of them. A uniform sample is no measure here: on
debian_deps_large two of half a million gave 0.007 and 0.012 for one model. One JSON a graph and form in
benchmarks/results/scale/accuracy/; what is there is skipped. The table goes to docs/scale.md by hand.

    python benchmarks/scale/accuracy.py [--data FOLDER] [--epochs N] [--dim N] [--plain] [--only GRAPH ...] [--form FORM ...]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from linkodds import Graph
from linkodds.config import FitConfig
from linkodds.graph.split import split_edges
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import precisions_of_edges
from linkodds.metrics.non_edges import NonEdges
from linkodds.metrics.strata import draw_strata
from linkodds.models.families import family_of
from linkodds.models.training.history import Epoch
from linkodds.models.training.pair_training import train_pair_model
from linkodds.models.training.training_loop import TrainingTask
from linkodds.pairs import KnownPairs
from linkodds.sharded.engine import LocalEngine
from linkodds.sharded.prepare import Preparation, prepare
from linkodds.sharded.running import HOPS, WIDTH
from linkodds.sharded.sizes import Blocks
from linkodds.sharded.training import DecoupledTrainer
from linkodds.sharded.worker_group import LocalCrew

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "scale" / "accuracy"
GRAPHS = ("wordnet30_large", "debian_deps_large")
FORMS = ("in-memory", "sharded")
NON_EDGES = 20_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--plain", action="store_true", help="without the graph's features")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folds", type=int, help="of supervision edges")
    parser.add_argument("--only", nargs="*", default=GRAPHS)
    parser.add_argument("--form", nargs="*", default=FORMS, choices=FORMS)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in arguments.only:
        for form in arguments.form:
            said = [name, form, f"dim-{arguments.dim}", f"epochs-{arguments.epochs}"]
            said += ["plain"] * arguments.plain + [f"seed-{arguments.seed}"] * (arguments.seed > 0)
            if form == "sharded" and arguments.folds:
                said.append(f"folds-{arguments.folds}")
            path = RESULTS / ("_".join(said) + ".json")
            if not path.exists():
                row = measure(arguments.data / name, form, arguments)
                path.write_text(json.dumps(row, indent=1) + "\n")


def measure(data: Path, form: str, arguments: argparse.Namespace) -> dict:
    edges = data / "edges.csv.gz"
    features = None if arguments.plain else data / "features.npz"
    graph = Graph.from_edges(edges, features=features, bipartite=False)
    config = FitConfig(
        model="refined-gae",
        dim=arguments.dim,
        hidden=arguments.hidden,
        epochs=arguments.epochs,
        seed=arguments.seed,
        threads=1,
    )
    split_seed, model_seed, test_seed, _ = np.random.SeedSequence(arguments.seed).spawn(4)
    split = split_edges(graph, rng=np.random.default_rng(split_seed))
    history = []

    def on_epoch(epoch: Epoch) -> None:
        ap = None if epoch.validation is None else epoch.validation.average_precision
        history.append({"epoch": epoch.epoch, "loss": epoch.loss, "validation_ap": ap})
        print(data.name, form, history[-1], f"{time.process_time() - start:.0f} s", flush=True)

    start = time.process_time()
    task = TrainingTask(
        "refined-gae",
        split,
        graph.features,
        family_of("refined-gae").options(config),
        model_seed,
        torch.device("cpu"),
        on_epoch=on_epoch,
    )
    with tempfile.TemporaryDirectory() as folder:
        if form == "in-memory":
            model = train_pair_model(task)
        else:
            given = {} if arguments.folds is None else {"folds": arguments.folds}
            shape = {"width": WIDTH, "hops": HOPS, "seed": arguments.seed}
            what = Preparation(edges, bipartite=False, features=features, **shape, **given)
            blocks = Blocks(4_000_000_000)
            _, prepared = prepare(what, Path(folder) / "store", LocalEngine(1), blocks, lambda _: None)
            print(f"prepared after {time.process_time() - start:.0f} s, {prepared.folds} folds", flush=True)
            trainer = DecoupledTrainer(prepared, LocalCrew(1), blocks.working // 2)
            model = trainer(task)
        seconds = time.process_time() - start
        recorded = KnownPairs(graph.space, graph.edges)
        non_edges = NonEdges(recorded)
        if recorded.num_absent > NON_EDGES:
            non_edges = draw_strata(recorded, split.train, NON_EDGES, np.random.default_rng(test_seed)).non_edges
        precisions = precisions_of_edges(HeldOut.from_scorer(model.scorer, split.test, non_edges))
    return {
        "graph": data.name,
        "form": form,
        "epochs": len(history),
        "best_epoch": model.best_epoch,
        "validation_ap": max(row["validation_ap"] or 0 for row in history),
        "test_ap": float(precisions.mean()),
        "standard_error": float(precisions.std() / np.sqrt(len(precisions))),
        "test_edges": len(split.test),
        "base_rate": len(graph.edges) / graph.space.num_pairs,
        "cpu_seconds": round(seconds, 1),
        "history": history,
    }


if __name__ == "__main__":
    main()
