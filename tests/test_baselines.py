"""Path counts against dense products and against NetworkX."""

import networkx as nx
import numpy as np
import pytest

from linkodds.baselines import BASELINE_SCORERS, baseline_scorer
from linkodds.errors import OptionError
from linkodds.split import split_edges


@pytest.fixture(params=["communities", "directed_ring", "two_sides"])
def split(request):
    return split_edges(request.getfixturevalue(request.param), rng=np.random.default_rng(0))


def dense_counts(name: str, split) -> np.ndarray:
    """The slow, obvious formulas."""
    a = split.message_graph().toarray().astype(float)
    out, into = a.sum(1), a.sum(0)
    degree = ((a + a.T) > 0).sum(1)
    weights = {
        "common-neighbors": np.ones(len(a)),
        "adamic-adar": np.divide(1, np.log(degree), out=np.zeros(len(a)), where=degree > 1),
        "resource-allocation": np.divide(1, degree, out=np.zeros(len(a)), where=degree > 0),
    }
    if name == "degree":
        return np.outer(out, into)
    if name == "l3":
        back = a.T / np.sqrt(np.maximum(into, 1))[:, None] / np.sqrt(np.maximum(out, 1))[None, :]
        return a @ back @ a
    return a @ np.diag(weights[name]) @ a


@pytest.mark.parametrize("name", BASELINE_SCORERS)
class TestEveryBaseline:
    def test_block_and_pairs_equal_the_dense_formula(self, name, split):
        scorer, n = baseline_scorer(name, split), split.space.num_nodes
        expected = np.log1p(dense_counts(name, split))
        np.testing.assert_allclose(scorer.block(slice(0, n), slice(0, n)), expected, rtol=1e-6, atol=1e-7)
        pairs = np.argwhere(np.ones((n, n)))
        np.testing.assert_allclose(scorer.logits(pairs), expected.ravel(), rtol=1e-9, atol=1e-12)

    def test_block_and_pairs_agree_after_rounding(self, name, split):
        scorer, n = baseline_scorer(name, split), split.space.num_nodes
        block = scorer.block(slice(3, 20), slice(1, n))
        pairs = np.argwhere(np.ones((17, n - 1))) + np.array([3, 1])
        np.testing.assert_allclose(scorer.logits(pairs).astype(np.float32), block.ravel(), rtol=1.2e-7, atol=1e-30)


def test_undirected_counts_equal_networkx(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    graph = nx.Graph(split.train.tolist())
    pairs = [tuple(pair) for pair in split.test.tolist() if set(pair) <= set(graph)]
    array = np.array(pairs)
    for name, oracle in (
        ("degree", nx.preferential_attachment),
        ("adamic-adar", nx.adamic_adar_index),
        ("resource-allocation", nx.resource_allocation_index),
    ):
        expected = [value for _, _, value in oracle(graph, pairs)]
        np.testing.assert_allclose(
            np.expm1(baseline_scorer(name, split).logits(array)), expected, rtol=1e-9, atol=1e-12
        )


def test_a_name_that_is_no_baseline_is_refused(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    with pytest.raises(OptionError, match="'pagerank'; there are degree, common-neighbors"):
        baseline_scorer("pagerank", split)
