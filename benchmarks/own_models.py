"""Models of a user's own on real graphs: gae and gae through the seam, PyG's GCN, GraphSAGE and GAT, a function, a score file.

Each is a whole run, saved with its report. Writes one JSON a graph and model to benchmarks/results/own/ and skips what is there; docs/own-models.md has the table.
seal_celegans was for choosing, by validation average precision, whether outputs that no module scales itself are scaled.

    python benchmarks/own_models.py [--data FOLDER] [--only GRAPH] [--threads N] [--print]
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from torch import nn

from linkodds import CustomEncoder, CustomScorer, Graph, LinkPredictor
from linkodds.comparison.score_file import evaluate_file, read_scores
from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.models.autoencoders.encoder import GraphEncoder
from linkodds.models.autoencoders.propagation import SparseMatrix, normalized_adjacency
from linkodds.runs.record import Run
from linkodds.runs.run_directory import PartialRun

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.nn import GAT, GCN, GraphSAGE

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "own"
CHOSEN_ON = "seal_celegans"
GRAPHS = ("seal_yeast", "cora")


class Scaled(nn.Module):
    """A module whose outputs are multiplied by the number that brings them to the size that ours start with."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("factor", torch.ones(()))

    def encode(self, x, edge_index):
        return self.factor * self.module(x, edge_index)

    def scale_outputs(self, factor):
        self.factor.mul_(factor)


class OurGae(nn.Module):
    """The encoder of gae, from x and edge_index."""

    def __init__(self, num_inputs: int, num_nodes: int) -> None:
        super().__init__()
        self.encoder = GraphEncoder(num_inputs, 128, 64, 0.5, torch.default_generator)
        self.num_nodes = num_nodes
        self.seen: tuple | None = None

    def encode(self, x, edge_index):
        if self.seen is None or self.seen[0] is not edge_index:
            ones, shape = np.ones(edge_index.shape[1], dtype=np.float32), (self.num_nodes, self.num_nodes)
            graph = sp.csr_array((ones, tuple(edge_index.numpy())), shape=shape)
            self.seen = edge_index, SparseMatrix.from_scipy(normalized_adjacency(graph))
        return self.encoder(self.seen[1], x, torch.default_generator if self.training else None)

    def scale_outputs(self, factor):
        self.encoder.scale_outputs(factor)


def common_neighbors(train: Graph):
    """A user's function: how many neighbours two nodes share in the graph of the train edges."""
    shape = (train.num_nodes, train.num_nodes)
    half = sp.csr_array((np.ones(train.num_edges), (train.edges[:, 0], train.edges[:, 1])), shape=shape)
    common = ((half + half.T) @ (half + half.T)).toarray()
    return lambda pairs: common[pairs[:, 0], pairs[:, 1]]


def pyg(kind, **options):
    return lambda columns, _: kind(columns, 128, num_layers=2, out_channels=64, dropout=0.5, **options)


def scaled(make):
    return lambda columns, nodes: Scaled(make(columns, nodes))


KINDS = {"GCN": pyg(GCN), "SAGE": pyg(GraphSAGE), "GAT": pyg(GAT, heads=4)}
FILE = "score file"
"""The values of common_neighbors for all candidates, read from a file."""
MODELS: dict[str, CustomEncoder | CustomScorer | str | None] = {
    "gae": None,
    "gae through the seam": CustomEncoder(
        lambda columns, nodes: OurGae(columns or nodes, nodes), table=None, name="ours"
    ),
    **{name: CustomEncoder(make, table=128, name=name) for name, make in KINDS.items()},
    "common_neighbors": CustomScorer(fit=common_neighbors),
    FILE: FILE,
}
CHOICE = {
    **{name: CustomEncoder(make, table=128, name=name) for name, make in KINDS.items()},
    **{f"{name} scaled": CustomEncoder(scaled(make), table=128, name=name) for name, make in KINDS.items()},
}


def measure(folder: Path, graph_name: str, own: CustomEncoder | CustomScorer | str | None, threads: int) -> dict:
    features = folder / graph_name / "features.npz"
    graph = Graph.from_edges(folder / graph_name / "edges.csv.gz", features=features if features.exists() else None)
    model = {CustomEncoder: "own-encoder", CustomScorer: "own-scorer"}.get(type(own), "gae")
    said = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "run"
        if own == FILE:
            named = written_scores(graph, Path(scratch))
        start = time.perf_counter()
        partial = PartialRun(place, force=False)
        if own == FILE:
            file = read_scores(named[0], graph, named[1])
            run = evaluate_file(file, FitConfig(threads=threads), partial=partial, progress=said.append)
        else:
            config = FitConfig(model=model, threads=threads)
            run = fit_graph(graph, config, own=own, partial=partial, progress=said.append)
        seconds = time.perf_counter() - start
        report = (place / "report.html").stat().st_size
    return {**summary(run, said, model), "seconds": round(seconds, 1), "report_bytes": report}


def written_scores(graph: Graph, folder: Path) -> tuple[Path, Path]:
    """What common_neighbors says of all pairs but the train edges, and the edges that it did not have."""
    train = LinkPredictor(CustomScorer(fit=common_neighbors), seed=0).split_of(graph).train
    u, v = np.triu_indices(graph.num_nodes, 1)
    pairs = np.column_stack([u, v])[~graph.space.contains(train, np.column_stack([u, v]))]
    knowing = Graph(graph.ids, train, graph.space)
    hidden = graph.edges[~graph.space.contains(train, graph.edges)]
    scores, held_out = folder / "scores.parquet", folder / "held-out.csv"
    ends = {"source": graph.ids[pairs[:, 0]].tolist(), "target": graph.ids[pairs[:, 1]].tolist()}
    pl.DataFrame({**ends, "score": common_neighbors(knowing)(pairs)}).write_parquet(scores)
    ends = {"source": graph.ids[hidden[:, 0]].tolist(), "target": graph.ids[hidden[:, 1]].tolist()}
    pl.DataFrame(ends).write_csv(held_out)
    return scores, held_out


def summary(run: Run, said: list[str], model: str) -> dict:
    evaluation = run.evaluation.to_json()
    metrics = evaluation["metrics"]
    validated = next((each for each in said if each.startswith(f"{model}: validation")), "")
    names = ("roc_auc", "average_precision", "observed_over_expected", "calibration_slope", "mrr")
    return {
        "validation": validated,
        "epochs": evaluation["model"]["epochs"],
        "num_parameters": evaluation["model"]["num_parameters"],
        "metrics": {name: metrics[name] for name in names},
        "best_baseline": max((each["average_precision"], name) for name, each in evaluation["baselines"].items()),
        "seconds_of_training": round(run.cost.get("training", {}).get("seconds", 0.0), 1),
        "digest": digest({**evaluation, "model": {**evaluation["model"], "name": ""}}),
    }


def digest(evaluation: dict) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(evaluation, sort_keys=True).encode()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--print", action="store_true")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    plan = [(CHOSEN_ON, name, own) for name, own in CHOICE.items()]
    plan += [(graph, name, own) for graph in GRAPHS for name, own in MODELS.items()]
    for graph, name, own in plan:
        path = RESULTS / f"{graph}-{name.replace(' ', '-')}.json"
        if not arguments.print and not path.exists() and arguments.only in (None, graph):
            result = measure(arguments.data, graph, own, arguments.threads)
            path.write_text(json.dumps(result, indent=1) + "\n")
            print(path.name, flush=True)
        if arguments.print and path.exists():
            result = json.loads(path.read_text())
            values = " ".join(f"{key} {each['value']:.4g}" for key, each in result["metrics"].items() if each["value"])
            print(f"{graph} {name}: {values} | {result['validation']} | {result['seconds']} s {result['digest']}")


if __name__ == "__main__":
    main()
