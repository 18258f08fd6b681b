"""Search against brute force over graphs and scorers of every kind, ties included."""

from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray

import linkodds.search.tiles
from linkodds.errors import NonFiniteScores, OptionError
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.scorers.baselines import DegreeScorer
from linkodds.scorers.scoring import DegreeAwareScorer, InnerProductScorer, Scorer, below_float32
from linkodds.scorers.surface import PiecewiseLinear, Surface
from linkodds.search.nearby import NearPairs
from linkodds.search.pair_search import Ends, PairSearch, find_pairs
from linkodds.search.top_per_node import find_partners


@dataclass(frozen=True)
class Case:
    """A random question; small graphs with many ties, or logits that differ by less than a float32 can tell."""

    scorer: Scorer
    known: KnownPairs
    ends: Ends
    top: int | None
    threshold: float | None
    within_hops: int | None = None

    def search(self, **options) -> PairSearch:
        return PairSearch(
            self.scorer,
            self.known,
            top=self.top,
            threshold=self.threshold,
            ends=self.ends,
            within_hops=self.within_hops,
            **options,
        )

    def partners_by_brute_force(self, per_node: int) -> list[tuple[int, int, float]]:
        space = self.known.space
        first, second = (
            range(space.num_nodes) if nodes is None else nodes.tolist() for nodes in (self.ends.first, self.ends.second)
        )
        found = []
        for node in sorted(first):
            pairs = space.canonical(np.array([[node, other] for other in sorted(second)]))
            pairs = pairs[space.is_admissible(pairs)]
            pairs = pairs[~space.contains(self.known.pairs, pairs)]
            logits = self.scorer.logits(pairs)
            for i in np.lexsort((pairs[:, 1], pairs[:, 0], -logits))[:per_node]:
                other = int(pairs[i].sum()) - node
                found.append((node, other, float(logits[i])))
        return found

    def brute_force(self) -> tuple[Pairs, NDArray[np.float64]]:
        space = self.known.space
        pairs = self.known.absent_pairs(np.arange(self.known.num_absent))
        first, second = (
            np.isin(np.arange(space.num_nodes), range(space.num_nodes) if nodes is None else nodes)
            for nodes in (self.ends.first, self.ends.second)
        )
        wanted = first[pairs[:, 0]] & second[pairs[:, 1]]
        if not space.directed:
            wanted |= second[pairs[:, 0]] & first[pairs[:, 1]]
        if self.within_hops is not None:
            graph = nx.Graph(self.known.pairs.tolist())
            graph.add_nodes_from(range(space.num_nodes))
            hops = dict(nx.all_pairs_shortest_path_length(graph, cutoff=self.within_hops))
            wanted &= np.array([v in hops[u] for u, v in pairs.tolist()], dtype=np.bool_)
        pairs = pairs[wanted]
        logits = self.scorer.logits(pairs)
        if self.threshold is not None:
            pairs, logits = pairs[logits >= self.threshold], logits[logits >= self.threshold]
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -logits))[: self.top]
        return pairs[order], logits[order]


def random_case(rng: np.random.Generator) -> Case:
    n = int(rng.integers(3, 60))
    kind = rng.choice(["undirected", "directed", "bipartite"])
    space = PairSpace(n, bool(kind == "directed"), (n // 2, n - n // 2 - int(n > 4)) if kind == "bipartite" else None)
    scorer = random_scorer(rng, n, is_symmetric=bool(kind == "undirected"))
    ranks = rng.choice(space.num_pairs, rng.integers(1, max(space.num_pairs, 2)), replace=False)
    known = KnownPairs(space, space.pair_of_rank(ranks))
    first = rng.permutation(n)[: rng.integers(1, n)] if rng.random() < 0.4 else None
    second = rng.permutation(n)[: rng.integers(1, n)] if rng.random() < 0.4 else None
    top = int(rng.integers(1, 30)) if rng.random() < 0.7 else None
    of_some_pair = float(scorer.logits(space.pair_of_rank(rng.integers(0, space.num_pairs, 1)))[0])
    threshold = of_some_pair if top is None or rng.random() < 0.5 else None
    within_hops = int(rng.integers(2, 5)) if rng.random() < 0.15 else None
    if within_hops is not None:  # few edges: else all pairs are near each other
        known = KnownPairs(space, known.pairs[: n // 2])
    return Case(scorer, known, Ends(first, second), top, threshold, within_hops)


def random_scorer(rng: np.random.Generator, n: int, *, is_symmetric: bool) -> Scorer:
    """Signs, scale, bias, degree terms as columns, a surface over degrees; embeddings that tie, nearly tie or vary."""
    if rng.random() < 0.1:
        degrees = rng.integers(0, 5, n).astype(np.float64)
        return DegreeScorer(degrees, degrees)
    dim = int(rng.integers(1, 9))
    z = rng.integers(-2, 3, (n, dim)).astype(np.float32)
    how = rng.integers(0, 4)
    if how == 1:
        z += (rng.random((n, dim)) * 1e-6).astype(np.float32)
    elif how >= 2:
        z = (rng.normal(size=(n, dim)) * rng.lognormal(0, 3 if how == 2 else 0, (n, 1))).astype(np.float32)
    source, target = z * rng.choice([-1, 1], dim).astype(np.float32), z
    if not is_symmetric and rng.random() < 0.5:
        target = rng.permutation(z)
    scale, bias = float(rng.choice([1.0, 0.7, 3.3])), float(rng.choice([0.0, -4.4, 2.0]))
    if rng.random() < 0.3:
        terms = (rng.integers(0, 4, (n, 1)) * 0.3).astype(np.float32)
        ones = np.ones_like(terms)
        source, target = np.hstack([source * np.float32(scale), terms, ones]), np.hstack([target, ones, terms])
        scale = 1.0
    products = InnerProductScorer(source, target, scale, bias)
    if rng.random() < 0.4:
        return products
    degrees = rng.integers(1, rng.choice([5, 60]), n)
    of_source, of_target = (PiecewiseLinear((0.0, 2.5, 5.0), tuple(rng.normal(size=3))) for _ in range(2))
    knots = tuple(np.sort(rng.normal(0, 3, rng.integers(0, 3))).tolist())
    low, high = (tuple(rng.uniform(0.1, 3, len(knots) + 1).tolist()) for _ in range(2))
    of_product = PiecewiseLinear((0.0, 10.0), tuple(rng.normal(size=2)))
    surface = Surface(knots, low, high, (0.0, 10.0), of_source, of_source if is_symmetric else of_target, of_product)
    return DegreeAwareScorer(products, surface, (degrees, degrees if is_symmetric else rng.permutation(degrees)))


@pytest.mark.parametrize("batch", range(4))
def test_every_option_equals_brute_force(batch):
    rng = np.random.default_rng(batch)
    for _ in range(40):
        case, max_cells = random_case(rng), int(rng.choice([4, 50, 1000, 100_000]))
        found = find_pairs(
            case.scorer,
            case.known,
            top=case.top,
            threshold=case.threshold,
            ends=case.ends,
            within_hops=case.within_hops,
            max_cells=max_cells,
        )
        pairs, logits = case.brute_force()
        np.testing.assert_array_equal(found.pairs, pairs)
        np.testing.assert_array_equal(found.logits, logits)


def test_the_partners_of_each_node_equal_brute_force():
    rng = np.random.default_rng(100)
    for _ in range(60):
        case, per_node, max_cells = random_case(rng), int(rng.integers(1, 6)), int(rng.choice([4, 50, 1000]))
        found = find_partners(case.scorer, case.known, per_node=per_node, ends=case.ends, max_cells=max_cells)
        listed = zip(found.nodes.tolist(), found.partners.tolist(), found.logits.tolist(), strict=True)
        assert list(listed) == case.partners_by_brute_force(per_node)


def test_without_room_for_rounding_the_answer_is_another(monkeypatch):
    """The check above can fail: bounds that leave rounding out lose pairs."""
    monkeypatch.setattr(linkodds.search.tiles, "_ROUNDING", -(2.0**-23))
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(100):
        case = random_case(rng)
        search = case.search()
        list(search.steps())
        found = search.found()
        wrong += not np.array_equal(found.pairs, case.brute_force()[0])
    assert wrong > 0


def test_tiles_that_cannot_hold_a_pair_of_the_answer_are_never_computed():
    """A tenth of the nodes has norms ten times as large, and the others cannot reach the best logits among those."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 8)).astype(np.float32)
    z[:60] *= 10
    known = KnownPairs(PairSpace(600), np.array([[0, 1]]))
    search = PairSearch(InnerProductScorer(z, z, 1.0, 0.0), known, top=20, max_cells=900)
    shares = list(search.steps())
    assert search.num_computed < 0.05 * search.num_cells
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    even = z / np.linalg.norm(z, axis=1, keepdims=True)  # equal norms: nothing to skip
    search = PairSearch(InnerProductScorer(even, even, 1.0, 0.0), known, top=20, max_cells=900)
    list(search.steps())
    assert search.num_computed >= search.num_cells


def test_a_search_goes_on_where_another_stopped():
    rng = np.random.default_rng(1)
    for _ in range(20):
        case = random_case(rng)
        stopped, resumed = case.search(max_cells=50), case.search(max_cells=50)
        for _ in zip(range(3), stopped.steps(), strict=False):
            pass
        resumed.resume(stopped.num_done, stopped.found().pairs)
        list(resumed.steps())
        np.testing.assert_array_equal(resumed.found().pairs, case.brute_force()[0])


def test_many_ties_stay_within_memory():
    """All pairs of 300 nodes tie; no more than the answer and a few thousand more wait at any time."""
    z = np.ones((300, 2), dtype=np.float32)
    search = PairSearch(
        InnerProductScorer(z, z, 1.0, 0.0), KnownPairs(PairSpace(300), np.array([[0, 1]])), top=5, max_cells=1000
    )
    assert max(len(search.found().pairs) for _ in search.steps()) == 5
    assert search.found().pairs.tolist() == [[0, j] for j in range(2, 7)]


def test_the_threshold_of_a_decision_gives_the_same_pairs_by_block_and_by_pair():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 5)).astype(np.float32)
    scorer, known = InnerProductScorer(z, z, 1.0, -2.0), KnownPairs(PairSpace(60), np.array([[0, 1]]))
    pairs = known.absent_pairs(np.arange(known.num_absent))
    for chosen in rng.choice(len(pairs), 50, replace=False):
        threshold = below_float32(float(np.float32(scorer.logits(pairs[[chosen]])[0])))
        found = find_pairs(scorer, known, threshold=threshold, max_cells=100)
        by_block = sum(
            int((scorer.block(b.rows, b.columns)[known.absent_cells(b)] >= threshold).sum())
            for b in known.space.blocks()
        )
        assert len(found.pairs) == by_block == int((scorer.logits(pairs) >= threshold).sum())


def test_refusals():
    z = np.array([[1.0], [np.nan], [2.0]], dtype=np.float32)
    known = KnownPairs(PairSpace(3), np.array([[0, 1]]))
    with pytest.raises(OptionError, match="--top"):
        find_pairs(InnerProductScorer(z, z, 1.0, 0.0), known)
    with pytest.raises(OptionError, match="not 0"):
        find_pairs(InnerProductScorer(z, z, 1.0, 0.0), known, top=0)
    with pytest.raises(NonFiniteScores, match="NaN"):
        find_pairs(InnerProductScorer(z, z, 1.0, 0.0), known, top=1)


def test_fewer_candidates_than_asked_for_are_all_returned():
    z = np.ones((3, 1), dtype=np.float32)
    found = find_pairs(InnerProductScorer(z, z, 1.0, 0.0), KnownPairs(PairSpace(3), np.array([[0, 1]])), top=10)
    assert found.pairs.tolist() == [[0, 2], [1, 2]]


def test_rows_of_near_pairs_are_taken_together_up_to_the_cells_that_were_allowed():
    """A star joins all its leaves: each of them is a row of many pairs, and few rows are looked at at a time."""
    star = np.column_stack([np.zeros(60, dtype=np.int64), np.arange(1, 61)])
    known = KnownPairs(PairSpace(61, directed=True), star)
    z, everyone = np.ones((61, 1), dtype=np.float32), np.ones(61, dtype=np.bool_)
    near = NearPairs(InnerProductScorer(z, z, 1.0, 0.0), known, 2, everyone, everyone, max_cells=200)
    computed = []
    for tile in range(len(near.cells)):
        before = near.num_computed
        near.survivors(tile, -np.inf)
        computed.append(near.num_computed - before)
    assert sum(computed) == 61 * 60  # all ordered pairs: those of the middle are one step apart, the others two
    assert (np.array(computed) <= near.cells).all()
    assert max(computed) <= 200 + 60  # the last row begins within


def test_products_below_the_smallest_normal_float32_are_no_ties():
    """Each of the 64 terms is about one step of the denormal float32, so every sum is off by a few; in float64 none is.

    The scale makes logits of about 1 of them.
    """
    rng = np.random.default_rng(0)
    z = (rng.normal(size=(40, 64)) * 3e-23).astype(np.float32)
    known = KnownPairs(PairSpace(40), np.array([[0, 1]]))
    scorer = InnerProductScorer(z, z, 1e44, 0.0)
    pairs = known.absent_pairs(np.arange(known.num_absent))
    logits = scorer.logits(pairs)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -logits))
    for top in (1, 5, 20):
        found = find_pairs(scorer, known, top=top, max_cells=50)
        np.testing.assert_array_equal(found.pairs, pairs[order[:top]])
    threshold = float(logits[order[30]])
    np.testing.assert_array_equal(find_pairs(scorer, known, threshold=threshold).pairs, pairs[order[:31]])
