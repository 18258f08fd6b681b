"""Small named graphs, and the folder of real ones."""

import os
from pathlib import Path

import numpy as np
import pytest

from linkodds.graph import Graph
from linkodds.pairs import PairSpace

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder of real graphs beside the checkout; without it the test is skipped, in CI it fails."""
    if not REAL_DATA.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("the folder of real graphs is missing, and CI must have it")
        pytest.skip("needs the folder of real graphs beside the checkout")
    return REAL_DATA


@pytest.fixture
def communities() -> Graph:
    """Six groups of 25 nodes; pairs are edges with probability 0.3 inside a group and 0.01 across (about 650 edges)."""
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
