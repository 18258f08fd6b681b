"""Small named graphs, and the folder of real ones."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest

from database_places import anywhere, postgres  # noqa: F401 - fixtures
from linkodds.graph.graph import Graph
from linkodds.pairs import PairSpace
from linkodds.serving.served import ServedRun
from places import REAL_DATA

fetch = partial(httpx.get, timeout=60.0, verify=False)


@pytest.fixture
def real_data() -> Path:
    """The folder of real graphs beside the checkout; without it the test is skipped, in CI it fails."""
    if not REAL_DATA.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("the folder of real graphs is missing, and CI must have it")
        pytest.skip("needs the folder of real graphs beside the checkout")
    return REAL_DATA


@pytest.fixture(scope="session")
def communities() -> Graph:
    """Six groups of 25 nodes; pairs are edges with probability 0.3 inside a group and 0.01 across (about 650 edges)."""
    return _communities()


def _communities() -> Graph:
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(6), 25)
    u, v = np.triu_indices(len(group), k=1)
    is_edge = rng.random(len(u)) < np.where(group[u] == group[v], 0.3, 0.01)
    ids = np.array([f"node{i}" for i in range(len(group))], dtype=object)
    return Graph(ids, np.column_stack([u[is_edge], v[is_edge]]).astype(np.int64), PairSpace(len(group)))


@pytest.fixture
def directed_ring() -> Graph:
    """60 nodes; each points to the next six with probability 0.8, never back."""
    rng = np.random.default_rng(3)
    u = np.repeat(np.arange(60), 6)
    v = (u + np.tile(np.arange(1, 7), 60)) % 60
    edges = np.column_stack([u, v])[rng.random(len(u)) < 0.8].astype(np.int64)
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    return Graph(np.array([f"n{i}" for i in range(60)], dtype=object), edges, PairSpace(60, directed=True))


@pytest.fixture
def two_sides() -> Graph:
    """80 drugs and 60 diseases in five groups; cross-side pairs are edges with probability 0.5 in a group, 0.02 across."""
    rng = np.random.default_rng(5)
    drug, disease = np.meshgrid(np.arange(80), np.arange(80, 140), indexing="ij")
    probability = np.where(drug % 5 == disease % 5, 0.5, 0.02)
    is_edge = rng.random(drug.shape) < probability
    edges = np.column_stack([drug[is_edge], disease[is_edge]]).astype(np.int64)
    ids = np.array([f"drug{i}" for i in range(80)] + [f"disease{i}" for i in range(60)], dtype=object)
    return Graph(ids, edges, PairSpace(140, sides=(80, 60)))


HOSTILE_IDS = (
    "<script>alert(1)</script>",
    "\"';DROP TABLE nodes;--",
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil.example";"x")',
    "@SUM(1+1)",
    "+1",
    "-5",
    " =1+1",
    "x" * 10_000,
    "שלום עולם",
    "gpj.\u202eexe",
    "../../../etc/passwd",
    "a,b;c\td",
    "{{7*7}}${7*7}",
    "__proto__",
    "#fragment?token=1&q=2",
    "%00%2e%2e%2f",
    "a;=1+1",
)


@pytest.fixture(scope="session")
def hostile_ids() -> tuple[str, ...]:
    """The first ids of the graph of `saved_runs`."""
    return HOSTILE_IDS


@dataclass(frozen=True)
class LiveServer:
    """A server on loopback, its runs in their order, and where they lie."""

    url: str
    runs: tuple[ServedRun, ...]
    paths: tuple[Path, ...]


@pytest.fixture(scope="session")
def saved_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """A trained model and a count of neighbours on a graph of 150 nodes, 18 of which have ids that mean harm."""
    from linkodds.config import FitConfig
    from linkodds.fitting.pipeline import fit_graph
    from linkodds.runs.record import write_results
    from linkodds.runs.run_directory import PartialRun

    graph = _communities()
    graph.ids[: len(HOSTILE_IDS)] = HOSTILE_IDS
    folder, paths = tmp_path_factory.mktemp("served"), []
    for model in ("gae", "resource-allocation"):
        run = fit_graph(graph, FitConfig(model=model, hidden=16, dim=8, epochs=30, threads=1, folds=1))
        with PartialRun(folder / model, force=False) as partial:
            write_results(partial, run)
            paths.append(partial.commit())
    return tuple(paths)


@pytest.fixture(scope="session")
def live(saved_runs: tuple[Path, ...]) -> Iterator[LiveServer]:
    """The runs of `saved_runs` under a band of 20 to 80 missing links, served without a token; lists are ready."""
    from linkodds.runs.missing_links import MissingLinksAssumption
    from linkodds.serving.api import guarded_app
    from linkodds.serving.guard import Access
    from linkodds.serving.served import open_runs
    from linkodds.serving.server import address, bound_socket, uvicorn_server

    runs = open_runs(saved_runs, MissingLinksAssumption(expected_missing=(20.0, 80.0)))
    bound = bound_socket("127.0.0.1", 0)
    server = uvicorn_server(guarded_app(runs, access=Access(), top=300))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    url = address(bound).rstrip("/")
    deadline = time.monotonic() + 60
    for i in range(len(runs)):
        while not server.started or fetch(f"{url}/api/runs/{i}/links").json()["state"] != "ready":
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield LiveServer(url, runs, saved_runs)
    server.should_exit = True
    thread.join()
    bound.close()
