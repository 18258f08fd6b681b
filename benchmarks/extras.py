"""Does linkodds install into an empty environment, alone and with each extra, and work there?

Builds sdist and wheel, then for nothing and for each extra: a new virtual environment, the wheel installed with the versions
of constraints.txt, a smoke test of what the extra is for, the seconds of `import linkodds`. It downloads. One JSON an extra
in benchmarks/results/extras/; what is there is not done again. docs/installing.md is the table.

    python benchmarks/extras.py [--only EXTRA ...] [--page]
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "extras"
PAGE = ROOT / "docs" / "installing.md"

FIT = """
import networkx as nx
from linkodds import Graph, LinkPredictor
graph = Graph.from_edges(nx.powerlaw_cluster_graph(120, 4, 0.7, seed=0))
predictor = LinkPredictor("gae", epochs=10, hidden=16, dim=8, threads=1).fit(graph)
predictor.save("run")
"""
SMOKE: dict[str, list[str]] = {
    "": [
        "python -m linkodds --version",
        "linkodds --help",
        f"python -c '{FIT}'",
        "linkodds find run --out links.csv --top 5",
        "linkodds export run --out run.cx2",
        "linkodds report run",
    ],
    "pyg": [
        f"""python -c '{FIT}
from torch_geometric.nn import GCN
assert (Graph.from_edges(graph.to_pyg()).edges == graph.edges).all()
own = LinkPredictor(GCN(128, 16, num_layers=2, out_channels=8), epochs=5, threads=1).fit(graph)
assert own.evaluation_.metrics["average_precision"].value > 0'"""
    ],
    "track": [
        f"""python -c '{FIT}
graph.to_polars().write_csv("edges.csv")'""",
        "linkodds fit edges.csv --out tracked --model gae --epochs 5 --tensorboard events --mlflow sqlite:///mlflow.db",
        "ls events/gae*/events.out.tfevents* && ls mlruns/*/*/artifacts/report.html",
    ],
    "tune": [
        f"""python -c '{FIT}
LinkPredictor("gae", epochs=5, tune=2, threads=1).fit(graph)'"""
    ],
    "sql": [
        f"""python -c '{FIT}
import duckdb
graph.to_polars().write_csv("edges.csv")
duckdb.connect("edges.duckdb").read_csv("edges.csv").create("edges")'""",
        "linkodds fit duckdb:///edges.duckdb?table=edges --out from-table --model gae --epochs 5",
        "linkodds find from-table --top 3 --to sqlite:///links.db?table=links",
    ],
    "ray": [
        f"""python -c '{FIT}
graph.to_polars().write_csv("edges.csv")'""",
        "linkodds fit edges.csv --out sharded --engine ray --threads 1 --model linear-gae --epochs 5",
    ],
    "anndata": [
        f"""python -c '{FIT}
import anndata
predictor.export("run.h5ad", top=3)
assert anndata.read_h5ad("run.h5ad").obsm["X_linkodds"].shape[0] == 120'"""
    ],
    "formats": [
        """python -c '
import zstandard
from pathlib import Path
from linkodds import Graph
Path("edges.csv.zst").write_bytes(zstandard.compress(b"source,target\\na,b\\nb,c\\n"))
assert Graph.from_edges("edges.csv.zst").num_edges == 2'"""
    ],
    "faiss": [
        f"""python -c '{FIT}
import faiss
predictor.export("run.faiss")
assert faiss.read_index("run.faiss").ntotal == 120'"""
    ],
    "test": ["python -m pytest --version", "python -m build --version", "python -c 'import nbclient, ipykernel'"],
    "docs": ["python -m sphinx --version", "python -c 'import myst_nb, furo'"],
    "bench": ["python -c 'import faiss, torch_geometric'"],
    "check": ["ruff --version", "mypy --version", "lint-imports --help"],
}
"""What has to work with each extra; "" is linkodds alone."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="*", help="extras to do, again if need be")
    arguments.add_argument("--page", action="store_true", help="only write the page")
    given = arguments.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    there = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    todo = [each for each in SMOKE if not each or each in there]
    todo = [each for each in todo if not given.page and (each in (given.only or ()) or not result_of(each).is_file())]
    if given.only:
        todo = [each for each in todo if each in given.only]
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        wheel = built_wheel(Path(folder)) if todo else None
        for extra in todo:
            assert wheel is not None
            result = tried(wheel, extra, Path(folder) / "environment")
            result_of(extra).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(f"{extra or 'alone'}: {'ok' if result['works'] else result['said']}", flush=True)
            failed |= not result["works"]
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(failed)


def result_of(extra: str) -> Path:
    return RESULTS / f"{extra or 'alone'}.json"


def built_wheel(folder: Path) -> Path:
    """The wheel that is made from the sdist, in environments of its own."""
    run([sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(ROOT)], ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def tried(wheel: Path, extra: str, environment: Path) -> dict[str, Any]:
    """Install into a new environment, smoke-test, measure, remove."""
    run([sys.executable, "-m", "venv", str(environment)], ROOT)
    folder = environment / "work"
    folder.mkdir()
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    try:
        begun = time.monotonic()
        run([*pip, "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), what], folder)
        seconds = time.monotonic() - begun
        listed = json.loads(run([*pip, "list", "--format", "json"], folder))
        run([*pip, "check"], folder)
        for command in SMOKE[extra]:
            run(["bash", "-ec", command], folder, environment)
        return {
            "works": True,
            "install_seconds": round(seconds, 1),
            "packages": len(listed),
            "megabytes": round(sum(file.lstat().st_size for file in environment.rglob("*")) / 1e6),
            "import_seconds": round(import_seconds(environment), 4),
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
    except subprocess.CalledProcessError as error:
        return {"works": False, "said": (error.stderr or error.stdout or "")[-2000:]}
    finally:
        shutil.rmtree(environment)


def import_seconds(environment: Path) -> float:
    """Median of seven new processes: `import linkodds` alone, with Python started already."""
    code = "import time; t = time.perf_counter(); import linkodds; print(time.perf_counter() - t)"
    python = str(environment / "bin" / "python")
    return sorted(float(run([python, "-c", code], environment)) for _ in range(7))[3]


def run(command: list[str], folder: Path, environment: Path | None = None) -> str:
    """What a command printed; PYTHONPATH does not reach it."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if environment is not None:
        variables["PATH"] = f"{environment / 'bin'}:{variables['PATH']}"
    return subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True, text=True).stdout


def page() -> str:
    """docs/installing.md."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    brings = {
        name: ", ".join(each.partition(">")[0] for each in needs if not each.startswith("linkodds"))
        for name, needs in extras.items()
    }
    rows = []
    for extra in SMOKE:
        if not result_of(extra).is_file():
            continue
        result = json.loads(result_of(extra).read_text(encoding="utf-8"))
        name = f"`linkodds[{extra}]`" if extra else "`linkodds`"
        if not result["works"]:
            rows.append(f"| {name} | {brings.get(extra, '')} | fails | | | |")
            continue
        rows.append(
            f"| {name} | {brings.get(extra, '')} | {result['packages']} | {result['megabytes']:,} | "
            f"{result['install_seconds']:.0f} | {1000 * result['import_seconds']:.1f} |"
        )
    return INTRODUCTION + "\n".join(rows) + "\n" + REST


INTRODUCTION = """# Installing

`pip install .` from a clone, or the wheel that `make package` builds. Python 3.11 or newer. Extras bring what only some need:
`pip install '.[pyg,track]'`.

Each row is a new, empty environment: sdist built, wheel built from it, installed with the versions of `constraints.txt`,
`pip check`, and a smoke test of what the extra is for. Seconds and sizes are with PyTorch's CPU build, on a shared machine at
low priority with a near package index, so of an order only; `import linkodds` is the median of seven processes. An extra without a row was not tried yet.
`bench` was tried at a load average of 13 to 18 on two cores, so its seconds say little.

| install | brings, beside what linkodds needs | packages | MB | seconds | import, ms |
|---|---|---|---|---|---|
"""
REST = """
Made by `benchmarks/extras.py`; it downloads, so it is no part of `make test`, which builds sdist and wheel and installs the
wheel into a bare environment that borrows the packages of the suite.

## Shell completion

`linkodds --install-completion` for bash, zsh, fish or PowerShell; `--show-completion` prints the script.

## In a container

The `Dockerfile` serves a run: a user without rights, the CPU build of PyTorch, a health check. It has not been built where this
was written, where no Docker is; `tests/test_distribution.py` holds what it says against the project.

```text
docker build -t linkodds .
docker run --rm -p 127.0.0.1:8350:8350 -v "$PWD/run:/runs/run:ro" -e LINKODDS_TOKEN=at-least-16-characters linkodds
```

Beyond this machine `serve` answers only who brings the token: open http://localhost:8350/?token=at-least-16-characters.
"""


if __name__ == "__main__":
    main()
