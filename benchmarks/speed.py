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
from importlib.metadata import version
from pathlib import Path

import torch

from contestants import floor, kernels, origin, pyg, subgraph

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "speed"


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
    for part, (measure, _) in PARTS.items():
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
            f"Machine: {facts['processor']}, {facts['cores']} cores, threads used: {facts['threads']}, torch {facts['torch']}.",
            "",
        ]
    for part, (_, text) in PARTS.items():
        if part in results:
            lines += [*text(results[part]), ""]
    return "\n".join(lines).rstrip() + "\n"


PARTS = {
    "origin": (origin.origin, origin.origin_page),
    "pyg": (pyg.pyg, pyg.pyg_page),
    "subgraph": (subgraph.subgraph, subgraph.subgraph_page),
    "kernels": (kernels.kernels, kernels.kernels_page),
    "floor": (floor.floor, floor.floor_page),
}
CONTESTANTS = {
    "origin-program": origin.origin_program,
    "origin-linkodds": origin.origin_linkodds,
    "pyg-vgae": pyg.pyg_vgae,
    "linkodds-vgae": pyg.linkodds_vgae,
    "pubmed-gae": subgraph.pubmed_gae,
    "kernels": kernels.kernel_times,
    "floor": floor.floor_of,
}


if __name__ == "__main__":
    main()
