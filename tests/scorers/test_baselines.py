"""Path counts against dense products and against NetworkX."""

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import spearmanr
from sklearn.metrics.pairwise import cosine_similarity

from linkodds.errors import OptionError
from linkodds.graph.features import Features
from linkodds.graph.split import split_edges
from linkodds.scorers.baselines import BASELINE_SCORERS, CosineScorer, baseline_scorer


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
    if name == "katz":
        beta = 0.5 / np.linalg.norm(a, 2)
        return (beta * a + beta**2 * a @ a + beta**3 * a @ a @ a) / beta**2
    if name == "ppr":
        step = a / np.maximum(out, 1)[:, None]
        walks = sum(0.15 * 0.85**k * np.linalg.matrix_power(step, k) for k in (1, 2, 3))
        values = walks * a.sum() + 0.85**4 * into[None, :]
        return values if split.space.directed else values + values.T
    return a @ np.diag(weights[name]) @ a


@pytest.mark.parametrize("name", BASELINE_SCORERS)
class TestEveryBaseline:
    def test_block_and_pairs_equal_the_dense_formula(self, name, split):
        scorer, n = baseline_scorer(name, split), split.space.num_nodes
        expected = np.log1p(dense_counts(name, split))
        np.testing.assert_allclose(scorer.block(slice(0, n), slice(0, n)), expected, rtol=1e-6, atol=1e-7)
        pairs = np.argwhere(np.ones((n, n)))
        np.testing.assert_allclose(scorer.logits(pairs), expected.ravel(), rtol=1e-9, atol=1e-12)

    def test_pairs_in_small_pieces_are_the_same(self, name, split, monkeypatch):
        scorer, n = baseline_scorer(name, split), split.space.num_nodes
        pairs = np.random.default_rng(1).permutation(np.argwhere(np.ones((n, n))))[:400]
        at_once = scorer.logits(pairs)
        monkeypatch.setattr("linkodds.scorers.baselines._LAST_STEPS_AT_A_TIME", 100)
        monkeypatch.setattr("linkodds.scorers.baselines._VALUES_AT_A_TIME", 3 * n)
        np.testing.assert_array_equal(scorer.logits(pairs), at_once)
        assert not len(scorer.logits(pairs[:0]))

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


def test_ppr_ranks_as_personalised_pagerank_does(communities):
    """The oracle walks on for ever; ours forgets after three steps. Another node's ranking would not agree."""
    split = split_edges(communities, rng=np.random.default_rng(0))
    graph = nx.Graph(split.train.tolist())
    nodes = sorted(graph)
    scorer = baseline_scorer("ppr", split)
    agreement, control = [], []
    for node in nodes[:10]:
        to = nx.pagerank(graph, alpha=0.85, personalization={node: 1}, tol=1e-10)
        others = [other for other in nodes if other != node and not graph.has_edge(node, other)]
        # Both ways, as in an undirected graph: from the other to this one it is d_u / d_v times as much.
        oracle = [to[other] * (1 + graph.degree[node] / graph.degree[other]) for other in others]
        for first, into in ((node, agreement), ((node + 75) % communities.num_nodes, control)):
            pairs = np.array([[first, other] for other in others])
            into.append(spearmanr(scorer.logits(pairs), oracle).statistic)
    assert min(agreement) > 0.75 > max(control)


def test_feature_cosines_are_those_of_scikit_learn(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    n = communities.num_nodes
    values = np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32)
    values[3] = 0
    pairs = np.argwhere(np.ones((n, n)))
    for matrix in (values, sp.csr_array(np.maximum(values, 0))):
        scorer = baseline_scorer("feature-cosine", split, Features(matrix, "none"))
        expected = cosine_similarity(matrix)
        np.testing.assert_allclose(scorer.block(slice(0, n), slice(0, n)), expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scorer.logits(pairs), expected.ravel(), rtol=1e-5, atol=1e-6)
        again = CosineScorer.from_arrays(scorer.to_arrays())
        np.testing.assert_array_equal(again.logits(pairs), scorer.logits(pairs))


def test_feature_cosine_asks_for_features(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    with pytest.raises(OptionError, match="--model feature-cosine: the graph has no node features; give --features"):
        baseline_scorer("feature-cosine", split)


def test_a_name_that_is_no_baseline_is_refused(communities):
    split = split_edges(communities, rng=np.random.default_rng(0))
    with pytest.raises(OptionError, match="'pagerank'; there are degree, common-neighbors"):
        baseline_scorer("pagerank", split)
