"""How fast training is: against the origin case's program, against PyG's VGAE, against the machine itself.

Each contestant runs in a process of its own, in turns with the one it is compared with, several times over; figures are
medians, and every ratio comes from one run of this script. What benchmarks/results/speed/ has already is not measured
again; the table goes to docs/speed.md.

    pip install torch_geometric      # for the part "pyg" only
    python benchmarks/speed.py [--data FOLDER] [--threads N] [--only PART]

Parts: origin, pyg, subgraph, kernels, floor.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from linkodds.config import FitConfig
from linkodds.graph import Graph
from linkodds.objective import AllPairs
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.scoring import InnerProductScorer
from linkodds.split import Split, split_edges
from linkodds.training import Validator, train
from linkodds.workload import Sizes, Work, epoch_work

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "speed"
CPU = torch.device("cpu")
TURNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        torch.set_num_threads(arguments.threads)
        name, *rest = arguments.contestant.split(":")
        print(json.dumps(CONTESTANTS[name](arguments.data, *rest)))
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for part, measure in PARTS.items():
        path = RESULTS / f"{part}.json"
        if not path.exists() and arguments.only in (None, part):
            print(part, flush=True)
            result = {"machine": machine(arguments.threads), **measure(arguments)}
            path.write_text(json.dumps(result, indent=1) + "\n")
    results = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    (HERE.parent / "docs" / "speed.md").write_text(page(results))


def machine(threads: int) -> dict:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {"processor": model, "cores": os.cpu_count(), "threads": threads, "torch": version("torch")}


def contest(arguments: argparse.Namespace, *contestants: str, turns: int = TURNS) -> dict[str, list[dict]]:
    """Run the contestants in turns, each in a fresh process."""
    found: dict[str, list[dict]] = {each: [] for each in contestants}
    for _ in range(turns):
        for each in contestants:
            found[each].append(alone(arguments, each))
    return found


def alone(arguments: argparse.Namespace, contestant: str) -> dict:
    command = [sys.executable, __file__, "--contestant", contestant]
    command += ["--data", str(arguments.data), "--threads", str(arguments.threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    result = json.loads(done.stdout.splitlines()[-1])
    print(" ", contestant, {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}, flush=True)
    return result


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def median(runs: list[dict], key: str) -> float:
    return statistics.median(run[key] for run in runs)


# --- origin: the program of the origin case, dense and in float64, and the same model and objective here


def origin(arguments: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:  # drawing the edges takes more memory than training on them
        path = Path(folder) / "edges.npy"
        np.save(path, origin_edges())
        runs = contest(arguments, f"origin-program:{path}", f"origin-linkodds:{path}")
    return {
        name.split(":")[0].removeprefix("origin-"): {
            "epoch_seconds": median(runs[name], "epoch_seconds"),
            "bytes_above_idle": median(runs[name], "bytes_above_idle"),
            "runs": runs[name],
        }
        for name in runs
    }


NUM_NODES = 3163


def origin_edges() -> np.ndarray:
    """31,333 edges: half of those of `origin_graph`."""
    edges, _ = thread_test().origin_graph(NUM_NODES, np.random.default_rng(0))
    chosen = np.random.default_rng(1).permutation(len(edges))[:31_333]
    return edges[np.sort(chosen)]


def origin_as_graph(edges: np.ndarray) -> Graph:
    return Graph(np.array([str(i) for i in range(NUM_NODES)], dtype=object), edges, PairSpace(NUM_NODES))


def thread_test():
    """The test that reproduces the program holds its code; it is not written twice."""
    import importlib.util

    specification = importlib.util.spec_from_file_location("test_thread", HERE.parent / "tests" / "test_thread.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules["test_thread"] = module
    specification.loader.exec_module(module)
    return module


def origin_program(_: Path, path: str) -> dict:
    """Its epochs, less the validation that it also makes in each of them."""
    program, edges = thread_test(), np.load(path)
    idle, validating = peak(), 0.0
    evaluate = program.evaluate

    def timed(*given):
        nonlocal validating
        start = time.perf_counter()
        result = evaluate(*given)
        validating += time.perf_counter() - start
        return result

    program.evaluate = timed
    epochs, seconds = (2, 6), []
    for count in epochs:  # the difference of the two leaves out what is made once
        validating, start = 0.0, time.perf_counter()
        program.train_thread_program(
            edges, NUM_NODES, given=np.eye(NUM_NODES), hidden=256, dim=128, epochs=count, seed=42
        )
        seconds.append(time.perf_counter() - start - validating)
    return {
        "epoch_seconds": (seconds[1] - seconds[0]) / (epochs[1] - epochs[0]),
        "bytes_above_idle": peak() - idle,
    }


def origin_linkodds(_: Path, path: str) -> dict:
    thread_test()
    edges = np.load(path)
    idle = peak()
    split = split_edges(origin_as_graph(edges), rng=np.random.default_rng(0))
    config = FitConfig(
        hidden=256,
        dim=128,
        dropout=0.0,
        beta=1.0,
        positive_weight="balanced",
        objective="all-pairs",
        epochs=20,
        validate_every=20,
    )
    model = train("vgae", split, None, config, seeds=np.random.SeedSequence(0), device=CPU)
    return {
        "epoch_seconds": statistics.median(epoch.seconds for epoch in model.history),
        "bytes_above_idle": peak() - idle,
    }


# --- pyg: the recipe of PyG's own example, and how long linkodds takes to the validation AUC that it ends with


def pyg(arguments: argparse.Namespace) -> dict:
    found = {}
    for graph, kinds in (
        ("cora", ("dense", "sparse")),
        ("twitch_ptbr", ("dense", "sparse")),
        ("pubmed", ("identity", "table")),
    ):
        turns = []
        for seed in range(TURNS):
            theirs = {kind: alone(arguments, f"pyg-vgae:{graph}:{kind}:{seed}") for kind in kinds}
            quickest = min(theirs, key=lambda kind: theirs[kind]["seconds"])
            target = theirs[quickest]["roc_auc"]
            ours = alone(arguments, f"linkodds-vgae:{graph}:{target}:{seed}")
            turns.append({"pyg": theirs, "quickest": quickest, "linkodds": ours})
        found[graph] = {
            "pyg_seconds": statistics.median(turn["pyg"][turn["quickest"]]["seconds"] for turn in turns),
            "linkodds_seconds": statistics.median(turn["linkodds"]["seconds"] for turn in turns),
            "ratio": statistics.median(
                turn["pyg"][turn["quickest"]]["seconds"] / turn["linkodds"]["seconds"] for turn in turns
            ),
            "turns": turns,
        }
    return {"pyg": version("torch_geometric"), "graphs": found}


def race_graph(data: Path, name: str, seed: str) -> tuple[Graph, Split, Validator]:
    features = data / name / "features.npz"
    graph = Graph.from_edges(data / name / "edges.csv.gz", features=features if features.exists() else None)
    split = split_edges(graph, rng=np.random.default_rng(int(seed)))
    return graph, split, Validator(split, np.random.default_rng(1))


def pyg_vgae(data: Path, name: str, kind: str, seed: str) -> dict:
    """PyG's example: two GCNConv layers, 32 and 16 wide, rows scaled to sum 1, lr 0.01, 200 epochs; it never validates."""
    warnings.simplefilter("ignore")
    from torch_geometric.nn import VGAE, GCNConv

    graph, split, validate = race_graph(data, name, seed)
    num_nodes = graph.num_nodes
    torch.manual_seed(int(seed))
    table = None
    if kind in ("dense", "sparse"):
        original = Graph.from_edges(
            data / name / "edges.csv.gz", features=data / name / "features.npz", feature_scaling="none"
        )
        matrix = sp.csr_array(original.features.matrix).astype(np.float32)
        matrix = sp.csr_array(sp.diags_array(1 / np.maximum(matrix.sum(axis=1), 1)) @ matrix)
        inputs = torch.from_numpy(matrix.toarray().astype(np.float32))
        inputs = inputs.to_sparse() if kind == "sparse" else inputs
    elif kind == "identity":
        inputs = torch.sparse_coo_tensor(torch.arange(num_nodes).repeat(2, 1), torch.ones(num_nodes)).coalesce()
    else:
        table = torch.nn.Embedding(num_nodes, 32)
        inputs = None

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = table
            self.first = GCNConv(32 if table is not None else inputs.shape[1], 32)
            self.mean, self.log_deviation = GCNConv(32, 16), GCNConv(32, 16)

        def forward(self, edges):
            hidden = self.first(inputs if table is None else self.table.weight, edges).relu()
            return self.mean(hidden, edges), self.log_deviation(hidden, edges)

    edges = torch.from_numpy(split.train.T.copy())
    edges = torch.cat([edges, edges.flip(0)], dim=1)
    model = VGAE(Encoder())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    start = time.perf_counter()
    for _ in range(200):
        model.train()
        optimizer.zero_grad()
        z = model.encode(edges)
        loss = model.recon_loss(z, edges) + model.kl_loss() / num_nodes
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    model.eval()
    with torch.no_grad():
        z = model.encode(edges).numpy()
    seen = validate(InnerProductScorer(z, z, 1.0, 0.0))
    return {"seconds": seconds, "roc_auc": seen.roc_auc, "average_precision": seen.average_precision}


def linkodds_vgae(data: Path, name: str, target: str, seed: str) -> dict:
    """vgae at PyG's sizes with the sampled objective; the time includes every validation until the target is passed."""
    graph, split, _ = race_graph(data, name, seed)
    config = FitConfig(hidden=32, dim=16, epochs=200, patience=200, objective="sampled")
    seen = []

    def record(epoch) -> None:
        if epoch.validation is not None:
            seen.append((time.perf_counter() - start, epoch.epoch, epoch.validation))

    start = time.perf_counter()
    train("vgae", split, graph.features, config, seeds=np.random.SeedSequence(int(seed)), device=CPU, on_epoch=record)
    total = time.perf_counter() - start
    seconds, epoch, _ = next(each for each in seen if each[2].roc_auc >= float(target))
    best = max((each[2] for each in seen), key=lambda validation: validation.average_precision)
    return {
        "seconds": seconds,
        "epoch": epoch,
        "seconds_of_200_epochs": total,
        "kept_roc_auc": best.roc_auc,
        "kept_average_precision": best.average_precision,
    }


# --- subgraph: FastGAE's question, on pubmed without features


SUBGRAPH_NODES = 3000
SETTINGS = {"balanced, no dropout": ("balanced", 0.0), "unweighted, dropout 0.5": ("none", 0.5)}
SEEDS = 2


def subgraph(arguments: argparse.Namespace) -> dict:
    """Both objectives with both settings: which suits which is part of the answer."""
    runs: dict[tuple[str, str], list[dict]] = {}
    for seed in range(SEEDS):
        for setting in SETTINGS:
            for objective in ("all-pairs", "subgraph"):
                found = alone(arguments, f"pubmed-gae:{objective}:{setting}:{seed}")
                runs.setdefault((objective, setting), []).append(found)
    return {
        "settings": [
            {"objective": objective, "setting": setting}
            | {key: statistics.mean(run[key] for run in each) for key in each[0]}
            | {"runs": each}
            for (objective, setting), each in runs.items()
        ]
    }


def pubmed_gae(data: Path, objective: str, setting: str, seed: str) -> dict:
    """A gae with a table, 32 and 16 wide, 200 epochs, as FastGAE has it; the best epoch by validation AP is kept."""
    graph = Graph.from_edges(data / "pubmed" / "edges.csv.gz")
    split = split_edges(graph, rng=np.random.default_rng(int(seed)))
    positive_weight, dropout = SETTINGS[setting]
    config = FitConfig(
        hidden=32,
        dim=16,
        dropout=dropout,
        epochs=200,
        patience=200,
        positive_weight=positive_weight,
        objective=objective,
        subgraph_nodes=SUBGRAPH_NODES,
    )
    model = train("gae", split, None, config, seeds=np.random.SeedSequence(int(seed)), device=CPU)
    test = Validator(split, np.random.default_rng(2))
    test.edges = split.test
    seen = test(model.scorer)
    return {
        "epoch_seconds": statistics.median(epoch.seconds for epoch in model.history),
        "test_roc_auc": seen.roc_auc,
        "test_average_precision": seen.average_precision,
        "kept_epoch": model.best_epoch,
        "last_validation_roc_auc": model.history[-1].validation.roc_auc,
        "best_validation_roc_auc": max(each.validation.roc_auc for each in model.history if each.validation),
    }


# --- kernels: the sparse product by embedding_bag, by torch's CSR product, and in slices of columns


def kernels(arguments: argparse.Namespace) -> dict:
    return alone(arguments, "kernels")


def kernel_times(_: Path) -> dict:
    rng, rows = np.random.default_rng(0), []
    for num_nodes in (20_000, 50_000, 100_000, 200_000):
        for dim in (64, 128):
            for dtype in (torch.float32, torch.float64):
                rows.append(sparse_product_times(num_nodes, dim, dtype, rng))
    return {"products": rows}


def sparse_product_times(num_nodes: int, dim: int, dtype: torch.dtype, rng: np.random.Generator) -> dict:
    entries = 10 * num_nodes
    columns = torch.from_numpy(rng.integers(num_nodes, size=entries).astype(np.int32))
    starts = np.searchsorted(np.sort(rng.integers(num_nodes, size=entries)), np.arange(num_nodes + 1))
    starts = torch.from_numpy(starts.astype(np.int32))
    values, dense = torch.rand(entries, dtype=dtype), torch.randn(num_nodes, dim, dtype=dtype)

    def bags(part):
        return F.embedding_bag(columns, part, starts, mode="sum", per_sample_weights=values, include_last_offset=True)

    def sliced(width):
        out = torch.empty(num_nodes, dim, dtype=dtype)
        for left in range(0, dim, width):
            out[:, left : left + width] = bags(dense[:, left : left + width].contiguous())
        return out

    warnings.simplefilter("ignore")
    csr = torch.sparse_csr_tensor(starts, columns, values, size=(num_nodes, num_nodes), check_invariants=False)
    ways = {"embedding_bag": lambda: bags(dense), "sparse_csr": lambda: csr @ dense}
    ways |= {f"slices of {width}": (lambda width=width: sliced(width)) for width in (16, 32, 64) if width < dim}
    nanoseconds = {name: quickest(way, 5) / entries * 1e9 for name, way in ways.items()}
    return {"nodes": num_nodes, "entries": entries, "dim": dim, "dtype": str(dtype).split(".")[1], **nanoseconds}


def quickest(way, times: int) -> float:
    way()
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        way()
        best = min(best, time.perf_counter() - start)
    return best


# --- floor: counted work of an epoch at the rates of this machine, beside the epoch


def floor(arguments: argparse.Namespace) -> dict:
    return {"epochs": [alone(arguments, f"floor:{name}") for name in ("origin", "cora", "seal_yeast", "twitch_ptbr")]}


def floor_of(data: Path, name: str) -> dict:
    """A vgae with the all-pairs objective and default options (for "origin" hidden 256 and 128 dimensions)."""
    features = None
    if name == "origin":
        graph = origin_as_graph(origin_edges())
        config = FitConfig(hidden=256, dim=128, objective="all-pairs", epochs=40, validate_every=40)
    else:
        given = data / name / "features.npz"
        graph = Graph.from_edges(data / name / "edges.csv.gz", features=given if given.exists() else None)
        features = graph.features
        config = FitConfig(objective="all-pairs", epochs=40, validate_every=40)
    split = split_edges(graph, rng=np.random.default_rng(0))
    sizes = Sizes.of("vgae", split, features, config, objective="all-pairs", validation_non_edges=0)
    work = training_work(sizes)
    rates = machine_rates()
    model = train("vgae", split, features, config, seeds=np.random.SeedSequence(0), device=CPU)
    again = machine_rates()  # the machine is shared: the better of before and after
    rates = {key: max(rates[key], again[key]) for key in rates}
    seconds = {key: getattr(work, key) / rates[key] for key in rates}
    measured = statistics.median(epoch.seconds for epoch in model.history)
    objective_seconds = objective_alone(split, config.dim)
    pairs = split.space.num_pairs
    objective_floor = 6 * config.dim * pairs / rates["flops"] + 3 * pairs / rates["exponentials"]
    return {
        "graph": name,
        "nodes": graph.num_nodes,
        "pairs": pairs,
        "hidden": config.hidden,
        "dim": config.dim,
        "work": {key: getattr(work, key) for key in rates},
        "rates_a_second": rates,
        "floor_seconds": sum(seconds.values()),
        "floor_seconds_by_kind": seconds,
        "epoch_seconds": measured,
        "ratio": measured / sum(seconds.values()),
        "objective_floor_seconds": objective_floor,
        "objective_seconds": objective_seconds,
        "objective_ratio": objective_seconds / objective_floor,
    }


def training_work(sizes: Sizes) -> Work:
    """An epoch without its share of a validation, which is not in the measured seconds."""
    from dataclasses import replace

    return epoch_work(replace(sizes, validate_every=10**9))


def objective_alone(split: Split, dim: int) -> float:
    z = (0.3 * torch.randn(split.space.num_nodes, dim, generator=torch.Generator().manual_seed(0))).requires_grad_()
    scale, bias = torch.tensor(1.0, requires_grad=True), torch.tensor(-4.0, requires_grad=True)
    objective = AllPairs(KnownPairs(split.space, split.train), balanced=False, device=CPU)
    return quickest(lambda: objective(z, z, scale, bias).backward(), 10)


def machine_rates() -> dict[str, float]:
    """Best of many: bytes copied, operations of a matrix product, evaluations in sigmoid and softplus, random numbers."""
    memory, copy = torch.zeros(16 << 20), torch.empty(16 << 20)
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    product, tile = torch.empty(2048, 2048), torch.randn(128, 2048)
    slopes, generator = torch.empty_like(tile), torch.Generator().manual_seed(0)
    drawn = torch.empty(1 << 20)

    def exponentials() -> None:
        torch.sigmoid(tile, out=slopes)
        F.softplus(tile)

    return {
        "bytes": 2 * 4 * len(memory) / quickest(lambda: copy.copy_(memory), 20),
        "flops": 2 * 2048**3 / quickest(lambda: torch.mm(a, b, out=product), 10),
        "exponentials": 3 * tile.numel() / quickest(exponentials, 100),
        "draws": len(drawn) / quickest(lambda: drawn.uniform_(generator=generator), 20),
    }


CONTESTANTS = {
    "origin-program": origin_program,
    "origin-linkodds": origin_linkodds,
    "pyg-vgae": pyg_vgae,
    "linkodds-vgae": linkodds_vgae,
    "pubmed-gae": pubmed_gae,
    "kernels": kernel_times,
    "floor": floor_of,
}
PARTS = {"origin": origin, "pyg": pyg, "subgraph": subgraph, "kernels": kernels, "floor": floor}


def page(results: dict[str, dict]) -> str:
    lines = ["# How fast training is", ""]
    lines += [
        "Made by `benchmarks/speed.py`; each figure lies in `benchmarks/results/speed/`. Contestants ran in turns on one",
        "machine that other programs use too, each in its own process, and the ratios are what to look at.",
        "",
    ]
    if results:
        facts = next(iter(results.values()))["machine"]
        lines += [
            f"Machine: {facts['processor']}, {facts['cores']} cores, {facts['threads']} threads, torch {facts['torch']}.",
            "",
        ]
    for part, text in PAGES.items():
        if part in results:
            lines += [*text(results[part]), ""]
    return "\n".join(lines).rstrip() + "\n"


def origin_page(result: dict) -> list[str]:
    theirs, ours = result["program"], result["linkodds"]
    return [
        "## The program of the origin case",
        "",
        "3,163 nodes, 31,333 edges, identity features, hidden 256, 128 dimensions: its dense program in float64, and `vgae`",
        "with the same sizes, the balanced all-pairs objective and no dropout. Memory is the peak above the process before",
        "it made anything.",
        "",
        "| | that program | linkodds | ratio |",
        "|---|---|---|---|",
        f"| seconds an epoch | {theirs['epoch_seconds']:.2f} | {ours['epoch_seconds']:.4f} "
        f"| {theirs['epoch_seconds'] / ours['epoch_seconds']:.1f} |",
        f"| peak memory, MB | {theirs['bytes_above_idle'] / 1e6:,.0f} | {ours['bytes_above_idle'] / 1e6:,.0f} "
        f"| {theirs['bytes_above_idle'] / ours['bytes_above_idle']:.1f} |",
    ]


def pyg_page(result: dict) -> list[str]:
    lines = [
        "## PyG's VGAE",
        "",
        f"PyG {result['pyg']}: its `VGAE`, `GCNConv`, `recon_loss` and `kl_loss`, 32 and 16 wide, learning rate 0.01, 200",
        "epochs, without any validation; the quicker of two forms of its input. linkodds: `vgae` of the same sizes, objective",
        "`sampled`, other options default, until a validation (they count) is at least at the AUC that PyG ended with. Same",
        f"train edges, validation edges and non-edges; medians over {TURNS} splits. AP: on validation, at the base rate.",
        "",
        "| graph | PyG's input | PyG's AUC | AP | PyG, s | linkodds, s | at epoch | ratio | linkodds after 200 epochs: AUC | AP | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for graph, each in result["graphs"].items():
        theirs = [turn["pyg"][turn["quickest"]] for turn in each["turns"]]
        ours = [turn["linkodds"] for turn in each["turns"]]
        lines.append(
            f"| {graph} | {each['turns'][0]['quickest']} | {median(theirs, 'roc_auc'):.3f} "
            f"| {median(theirs, 'average_precision'):.4f} | {each['pyg_seconds']:.2f} | {each['linkodds_seconds']:.2f} "
            f"| {median(ours, 'epoch'):g} | {each['ratio']:.1f} | {median(ours, 'kept_roc_auc'):.3f} "
            f"| {median(ours, 'kept_average_precision'):.4f} | {median(ours, 'seconds_of_200_epochs'):.2f} |"
        )
    return lines


def subgraph_page(result: dict) -> list[str]:
    lines = [
        "## Decoding a subgraph",
        "",
        "`gae` on pubmed without features (19,717 nodes, 194 million pairs), 32 and 16 wide, 200 epochs: all pairs, and all",
        f"pairs of {SUBGRAPH_NODES:,} nodes drawn by degree in every epoch. Means over {SEEDS} splits; the epoch with the best",
        "validation AP is kept and tested.",
        "",
        "| objective | setting | seconds an epoch | test AUC | test AP at the base rate | kept epoch | validation AUC, last epoch |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in result["settings"]:
        lines.append(
            f"| {each['objective']} | {each['setting']} | {each['epoch_seconds']:.4f} | {each['test_roc_auc']:.4f} "
            f"| {each['test_average_precision']:.5f} | {each['kept_epoch']:g} | {each['last_validation_roc_auc']:.4f} |"
        )
    best = {
        name: max(
            (each for each in result["settings"] if each["objective"] == name), key=lambda each: each["test_roc_auc"]
        )
        for name in ("all-pairs", "subgraph")
    }
    full, part = best["all-pairs"], best["subgraph"]
    return [
        *lines,
        "",
        f"Each at its better AUC: {part['test_roc_auc']:.4f} by subgraphs against {full['test_roc_auc']:.4f} by all pairs, in",
        f"epochs {full['epoch_seconds'] / part['epoch_seconds']:.1f} times as fast.",
    ]


def kernels_page(result: dict) -> list[str]:
    names = ["embedding_bag", "sparse_csr", "slices of 16", "slices of 32", "slices of 64"]
    lines = [
        "## The sparse product",
        "",
        "Nanoseconds for each stored entry of a matrix with ten entries a row, best of five: `embedding_bag` over the whole",
        "width, torch's CSR product, and `embedding_bag` over slices of so many columns. In float32 the first is the quickest",
        "at every size here, in float64 the second: that is the choice, and there are no slices.",
        "",
        "| nodes | columns | type | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for row in result["products"]:
        cells = [f"{row[name]:.1f}" if name in row else "" for name in names]
        lines.append(f"| {row['nodes']:,} | {row['dim']} | {row['dtype']} | " + " | ".join(cells) + " |")
    return lines


def floor_page(result: dict) -> list[str]:
    lines = [
        "## Against the machine",
        "",
        "Work of one epoch of `vgae` with all pairs, counted from the sizes (`linkodds.workload`), at the rates that the same",
        "process measures: a copy of 64 MB, a product of 2048 x 2048 matrices, sigmoid and softplus on a tile in the cache",
        "(3 evaluations a value), uniform random numbers. The floor is the sum: nothing overlaps, nothing else is done.",
        "",
        "| graph | pairs | hidden, dim | GB | GFLOP | exp, millions | floor, ms | epoch, ms | ratio | objective alone: floor, ms | measured | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in result["epochs"]:
        work = each["work"]
        lines.append(
            f"| {each['graph']} | {each['pairs']:,} | {each['hidden']}, {each['dim']} | {work['bytes'] / 1e9:.3f} "
            f"| {work['flops'] / 1e9:.2f} | {work['exponentials'] / 1e6:.1f} | {1e3 * each['floor_seconds']:.1f} "
            f"| {1e3 * each['epoch_seconds']:.1f} | {each['ratio']:.2f} | {1e3 * each['objective_floor_seconds']:.1f} "
            f"| {1e3 * each['objective_seconds']:.1f} | {each['objective_ratio']:.2f} |"
        )
    rates = result["epochs"][0]["rates_a_second"]
    lines += [
        "",
        f"Rates in the first line: {rates['bytes'] / 1e9:.1f} GB/s, {rates['flops'] / 1e9:.0f} GFLOP/s, "
        f"{rates['exponentials'] / 1e9:.2f} billion evaluations/s, {rates['draws'] / 1e6:.0f} million draws/s.",
    ]
    return lines


PAGES = {
    "origin": origin_page,
    "pyg": pyg_page,
    "subgraph": subgraph_page,
    "kernels": kernels_page,
    "floor": floor_page,
}


if __name__ == "__main__":
    main()
