"""Candidates, what they lack, what a list of them says; and the evidence beside a link, against slow and plain counts."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from linkodds.config import FitConfig
from linkodds.errors import OptionError, RunError
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.features import Features
from linkodds.graph.graph import Graph
from linkodds.graph.split import adjacency, split_edges
from linkodds.links.error_control import expected_list, list_links
from linkodds.links.evidence import HighestLogits, attribution, is_counted, num_at_or_above
from linkodds.links.inference import find_links, find_run
from linkodds.links.link_files import partial_path
from linkodds.links.link_request import LinkRequest
from linkodds.links.link_search import ALL_PAIRS, LinkSearch, NotExhaustive, Scope
from linkodds.links.screening import ScreenedPairs
from linkodds.metrics.held_out import HeldOut
from linkodds.models.structural.masked_edges import StackOptions
from linkodds.models.structural.stack import FIRST_TREES, fit_stack
from linkodds.models.structural.trees import BinaryTree
from linkodds.pairs import KnownPairs, PairSpace
from linkodds.probability.deployment import assume_missing, fit_link_rate
from linkodds.probability.expected_links import expected_links
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.scorers.baselines import BASELINE_SCORERS
from linkodds.scorers.scoring import DegreeAwareScorer, InnerProductScorer
from linkodds.scorers.surface import PiecewiseLinear, Surface
from linkodds.search.candidates import candidate_pairs, measure_recall, sampled_rows
from linkodds.search.nearby import GivenPairs
from linkodds.search.pair_search import ALL, Ends, PairSearch, find_pairs
from linkodds.search.top_per_node import find_partners
from linkodds.search.walks import num_walks

SPACES = (PairSpace(40), PairSpace(40, directed=True), PairSpace(40, sides=(15, 22)))


def known_pairs(space: PairSpace, rng: np.random.Generator) -> KnownPairs:
    return KnownPairs(space, space.pair_of_rank(rng.choice(space.num_pairs, 60, replace=False)))


@pytest.fixture
def run(communities):
    return fit_graph(communities, FitConfig(model="resource-allocation", threads=1))


@pytest.mark.parametrize("space", SPACES)
def test_candidates_hold_the_best_pairs_by_each_quantity_and_no_recorded_edge(space):
    rng = np.random.default_rng(0)
    known = known_pairs(space, rng)
    a = adjacency(known.pairs, space).astype(np.float64)
    z = rng.normal(size=(40, 3)).astype(np.float32)
    ends = Ends(np.arange(0, 40, 2), None)
    for each in (ALL, ends):
        found = space.keys(candidate_pairs(a, known, [(z, z)], ends=each, num_each=25))
        assert (np.diff(found) > 0).all()
        assert not np.isin(found, space.keys(known.pairs)).any()
        everything = find_pairs(InnerProductScorer(z, z, 1.0, 0.0), known, top=10_000, ends=each).pairs
        assert np.isin(found, space.keys(everything)).all()
        assert np.isin(space.keys(everything[:25]), found).all()
        for name in ("resource-allocation", "l3"):
            logits = BASELINE_SCORERS[name](a).logits(everything)
            at = np.sort(logits)[-25]
            best = everything[(logits > at + 1e-9) & (logits > 0)]  # those that tie with the last may be others
            assert np.isin(space.keys(best), found).all()


def test_candidates_for_their_degrees_have_edges_out_of_the_source_and_edges_into_the_target():
    """Walks of two or three steps over the root of out-degree times in-degree, pair by pair; the best five are candidates."""
    rng, space = np.random.default_rng(3), PairSpace(40, directed=True)
    # Sources with many edges out, targets with many in: the other way round ranks these pairs differently.
    u, v = rng.integers(0, 40, (2, 4000)) ** 2 // 40, 39 - rng.integers(0, 40, (2, 4000)) ** 2 // 40
    drawn = np.unique(np.column_stack([u[0], v[0]])[u[0] != v[0]], axis=0)
    known = KnownPairs(space, drawn[rng.choice(len(drawn), 150, replace=False)])
    a = adjacency(known.pairs, space).astype(np.float64)
    out, into = (np.maximum(np.asarray(a.sum(axis=axis)), 1.0) for axis in (1, 0))
    everything = known.absent_pairs(np.arange(known.num_absent))
    found = space.keys(candidate_pairs(a, known, [], num_each=5))
    for name in ("resource-allocation", "l3"):
        for_degrees = np.expm1(BASELINE_SCORERS[name](a).logits(everything)) / np.sqrt(
            out[everything[:, 0]] * into[everything[:, 1]]
        )
        best = everything[np.argsort(-for_degrees, kind="stable")[:5]]
        assert np.isin(space.keys(best), found).all()


@pytest.mark.parametrize("space", SPACES)
def test_the_recall_of_all_rows_is_what_was_left_out(space):
    """With every row scored the estimate is a count: seven of the best twenty pairs were no candidates."""
    rng = np.random.default_rng(1)
    known = known_pairs(space, rng)
    z = rng.normal(size=(40, 3)).astype(np.float32)
    scorer = InnerProductScorer(z, z, 1.0, 0.0)
    best = find_pairs(scorer, known, top=21)
    left = best.pairs[7:20]
    rows = sampled_rows(known, ALL, rng)  # fewer than 50 rows: all of them
    recall = measure_recall(scorer, known, left, ends=ALL, rows=rows, lowest=float(best.logits[20]))
    assert (recall.num_missed, recall.num_scored) == (7, known.num_absent)
    assert recall.value == recall.low == recall.high == 13 / 20
    assert "35" not in recall.sentence()
    assert "65 %" in recall.sentence()


def test_the_recall_of_some_rows_is_right_on_average():
    """400 draws of 50 of 400 rows: the estimated number of missed pairs has the mean 40; their interval holds it mostly."""
    rng = np.random.default_rng(2)
    space = PairSpace(400)
    known = KnownPairs(space, space.pair_of_rank(rng.choice(space.num_pairs, 500, replace=False)))
    z = rng.normal(size=(400, 6)).astype(np.float32)
    scorer = InnerProductScorer(z, z, 1.0, 0.0)
    best = find_pairs(scorer, known, top=101)
    kept = best.pairs[rng.permutation(100)[:60]]
    missed, covered = [], 0
    for _ in range(100):
        rows = sampled_rows(known, ALL, rng)
        found = measure_recall(scorer, known, kept, ends=ALL, rows=rows, lowest=float(best.logits[100]))
        missed.append(found.num_missed * 400 / 50)
        assert found.value == pytest.approx(60 / (60 + missed[-1]))
        covered += found.low <= 0.6 <= found.high
    # A row holds up to several of the 40, so their number varies more than a Poisson count of 5; 3 standard errors.
    assert abs(np.mean(missed) - 40) < 3 * np.std(missed) / 10
    assert covered >= 80


def test_a_list_of_candidates_says_so_and_goes_on_where_it_stopped(run, tmp_path):
    whole = find_links(run, MissingLinksAssumption().deployment(run), top=30)
    with pytest.warns(NotExhaustive, match="of the pairs that belong on the list it holds an estimated"):
        short = find_links(run, MissingLinksAssumption().deployment(run), top=30, search="candidates")
    assert short.equals(whole)  # few pairs: every one with a common neighbour is a candidate
    summary = find_run(run, tmp_path / "links.csv", top=30, search="candidates")
    notes = json.loads((tmp_path / "links.csv.json").read_text())
    assert notes["search"]["way"] == "candidates"
    assert notes["search"]["num_candidates"] == summary.search["num_candidates"] > 30
    assert notes["search"]["recall"]["value"] == 1.0 > notes["search"]["recall"]["low"]
    assert notes["assumption"] == summary.assumption
    low, high = notes["expected_links_interval"]
    assert low <= notes["expected_links"] <= high
    exhaustive = find_run(run, tmp_path / "links.csv", top=30)
    assert exhaustive.search == {
        "way": "exhaustive",
        "num_pairs": run.split.recorded().num_absent,
        "num_candidates": None,
        "recall": None,
    }

    def interrupt(_share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_run(run, tmp_path / "links.csv", top=30, search="candidates", on_block=interrupt)
    resumed = find_run(run, tmp_path / "links.csv", top=30, resume=True)  # the way is that of the list
    assert resumed == summary
    assert pl.read_csv(tmp_path / "links.csv", infer_schema=False)["source"].to_list() == whole["source"].to_list()


def test_auto_takes_candidates_only_where_all_pairs_would_take_too_long(run):
    assert LinkSearch(run, ALL_PAIRS, top=5, threshold=None).way == "exhaustive"
    short = LinkSearch(run, ALL_PAIRS, top=5, threshold=None, seconds=0.0)
    assert short.way == "candidates"
    assert "--search exhaustive would take about" in short.announcement()
    with pytest.raises(OptionError, match="--search takes auto, exhaustive, candidates, not some"):
        LinkSearch(run, ALL_PAIRS, top=5, threshold=None, way="some")
    with pytest.raises(OptionError, match="leave --search candidates out"):
        LinkSearch(run, Scope(within_hops=2), top=5, threshold=None, way="candidates")


def test_partners_are_gone_on_with(run, tmp_path):
    out = tmp_path / "partners.csv"
    find_run(run, out, scope=Scope(per_node=2))
    whole = out.read_bytes()
    calls = []

    def interrupt(share):
        calls.append(share)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "linkodds.links.link_search.find_partners", lambda *a, **k: find_partners(*a, **k, max_cells=5_000)
        )
        with pytest.raises(KeyboardInterrupt):
            find_run(run, out, scope=Scope(per_node=2), on_block=interrupt)
        assert "nodes_done" in partial_path(out).read_text()
        again = []
        find_run(run, out, scope=Scope(per_node=2), resume=True, on_block=again.append)
    assert out.read_bytes() == whole
    with pytest.raises(RunError, match="there is no"):
        find_run(run, out, scope=Scope(per_node=2), resume=True)


@pytest.fixture(scope="module")
def planted_stack():
    """A stack on 300 nodes in 15 groups, and the edges it was fitted on."""
    rng, space = np.random.default_rng(7), PairSpace(300)
    u, v = np.triu_indices(300, 1)
    edges = np.column_stack([u, v])[rng.random(len(u)) < np.where(u // 20 == v // 20, 0.3, 0.005)]
    graph = Graph(np.array([str(i) for i in range(300)], dtype=object), edges, space)
    split = split_edges(graph, rng=np.random.default_rng(0))
    options = StackOptions(folds=4, zeros=4000, broad_rounds=10, close_rounds=60)
    return fit_stack(split, None, seeds=np.random.SeedSequence(1), options=options).scorer, split.recorded()


def test_pairs_that_the_first_trees_rule_out_are_none_of_the_best(planted_stack):
    stack, recorded = planted_stack
    pairs = recorded.absent_pairs(np.arange(0, recorded.num_absent, 2))
    flat = PiecewiseLinear((0.0, 9.0), (0.0, 0.0))
    surface = Surface((), (2.0,), (2.0,), (0.0, 9.0), flat, flat, PiecewiseLinear((0.0, 9.0), (-1.0, 1.0)))
    degrees = 1 + np.arange(300) % 9
    for scorer in (stack, DegreeAwareScorer(stack, surface, (degrees, degrees))):

        def search(given, scorer=scorer):
            return PairSearch(scorer, recorded, top=100, candidates=given)

        def screened(scorer=scorer):
            rng = np.random.default_rng(0)
            return ScreenedPairs(scorer, stack, pairs, num_wanted=100, max_pairs=2_000, rng=rng)

        plain, quick, given = search(GivenPairs(scorer, pairs, max_pairs=2_000)), search(screened()), screened()
        assert list(plain.steps()) == list(quick.steps())
        whole = quick.found()
        assert np.isin(recorded.space.keys(plain.found().pairs), recorded.space.keys(whole.pairs)).mean() >= 0.98
        np.testing.assert_array_equal(whole.logits, scorer.logits(whole.pairs))
        scored = sum(len(given.survivors(step, -np.inf).low) for step in range(len(given.cells)))
        assert 100 <= scored < len(pairs) / 4
        first, again = search(screened()), search(screened())
        for _ in range(3):
            next(first_steps := first.steps())
            first_steps.close()
        again.resume(first.num_done, first.found().pairs)
        list(again.steps())
        np.testing.assert_array_equal(again.found().pairs, whole.pairs)


def test_nothing_is_ruled_out_where_a_long_list_is_wanted_or_the_first_trees_say_nothing(planted_stack):
    stack, recorded = planted_stack
    pairs = recorded.absent_pairs(np.arange(0, recorded.num_absent, 20))
    everything = np.sort(stack.logits(pairs))

    def logits(scorer, num_wanted):
        given = ScreenedPairs(scorer, scorer, pairs, num_wanted=num_wanted, max_pairs=500, rng=np.random.default_rng(0))
        found = [given.survivors(step, -np.inf).low for step in range(len(given.cells))]
        return np.sort(np.concatenate(found))

    np.testing.assert_array_equal(logits(stack, len(pairs) // 2), everything)
    said, logits_of_all = stack.screened(pairs, (-np.inf, -np.inf))
    np.testing.assert_array_equal(np.sort(logits_of_all), everything)
    tree = BinaryTree((), (), (), (), (0.5,))
    dull = replace(stack.close[0], trees=(tree,) * FIRST_TREES + stack.close[0].trees)
    nothing_said = replace(stack.broad, trees=(tree,))
    silent = replace(stack, broad=nothing_said, close=(dull, *stack.close[1:]), cut=-100.0)
    np.testing.assert_array_equal(logits(silent, 10), np.sort(silent.logits(pairs)))
    assert said[:, 0].max() > said[:, 0].min()


def test_scopes_of_a_stack_are_searched_among_candidates_and_gone_on_with(run, tmp_path):
    options = StackOptions(folds=4, zeros=2000, broad_rounds=5, close_rounds=30)
    scorer = fit_stack(run.split, None, seeds=np.random.SeedSequence(1), options=options).scorer
    run = replace(run, scorer=scorer)
    some, others = ([str(name) for name in run.ids[places]] for places in (slice(0, 30), slice(20, 90)))
    out = tmp_path / "links.csv"

    def interrupt(_share):
        raise KeyboardInterrupt

    for scope in (Scope(from_nodes=some), Scope(to_nodes=some), Scope(from_nodes=some, to_nodes=others)):
        whole = LinkSearch(run, scope, top=20, threshold=None, way="exhaustive").run_to_end(None, None, None)
        search = LinkSearch(run, scope, top=20, threshold=None, way="candidates")
        found = search.run_to_end(None, None, None)
        # Few pairs: every one that a walk or a vector speaks for is a candidate.
        assert np.isin(run.split.space.keys(whole.pairs), run.split.space.keys(found.pairs)).mean() >= 0.95
        assert search.searched(found).num_candidates > 20
    for scope, search in ((Scope(from_nodes=some), "candidates"), (Scope(from_nodes=some, within_hops=2), "auto")):
        summary = find_run(run, out, top=20, scope=scope, search=search)
        once = out.read_bytes()
        with pytest.raises(KeyboardInterrupt):
            find_run(run, out, top=20, scope=scope, search=search, on_block=interrupt)
        assert find_run(run, out, top=20, scope=scope, resume=True) == summary
        assert out.read_bytes() == once


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", ["degree", "common-neighbors", "adamic-adar", "resource-allocation", "l3", "katz"])
def test_ranks_of_baselines_equal_those_among_all_pairs(space, name):
    rng = np.random.default_rng(3)
    known = known_pairs(space, rng)
    scorer = BASELINE_SCORERS[name](adjacency(known.pairs[:50], space).astype(np.float64))
    absent = known.absent_pairs(np.arange(known.num_absent))
    if name == "katz":
        assert not is_counted(scorer)
        with pytest.raises(OptionError, match="walks alone"):
            num_at_or_above(scorer, known, absent)
        return
    counted = num_at_or_above(scorer, known, absent)
    logits = scorer.logits(absent)
    plain = [int((logits >= logit - 1e-9).sum()) for logit in logits]
    assert counted.tolist() == plain
    if name != "degree":
        for most in (1, 7, 40, 10_000):
            kept = HighestLogits.of(scorer, known, most=most).num_at_or_above(absent)
            assert (kept[kept >= 0] == counted[kept >= 0]).all()
            assert (counted[kept < 0] > most).all()
            assert ((kept >= 0) | (counted > most)).all()


@pytest.mark.parametrize("kind", ["undirected", "directed", "bipartite"])
def test_what_moved_a_logit_adds_up_to_it(kind):
    rng = np.random.default_rng(5)
    space = {"undirected": SPACES[0], "directed": SPACES[1], "bipartite": SPACES[2]}[kind]
    edges = space.pair_of_rank(rng.choice(space.num_pairs, 150, replace=False))
    split = split_edges(
        Graph(np.array([str(i) for i in range(40)], dtype=object), edges, space), rng=np.random.default_rng(0)
    )
    features = Features(np.eye(4, dtype=np.float32)[np.arange(40) % 4], "none")
    options = StackOptions(folds=4, zeros=400, broad_rounds=5, close_rounds=12)
    scorer = fit_stack(split, features, seeds=np.random.SeedSequence(1), options=options).scorer
    cut = float(np.median(scorer.logits(split.recorded().absent_pairs(np.arange(split.recorded().num_absent)))))
    scorer = replace(scorer, cut=cut)  # half of the pairs each way
    pairs = split.recorded().absent_pairs(np.arange(0, split.recorded().num_absent, 3))
    found = attribution(scorer, pairs, np.random.default_rng(0))
    np.testing.assert_allclose(found.base + found.added.sum(axis=1), scorer.logits(pairs), atol=1e-9)
    assert 0 < found.is_close.sum() < len(pairs)
    assert {"shared neighbours", "features"} < set(found.kinds)
    assert "other counts" not in found.kinds
    assert all(len(found.sentence(i)) > 20 for i in range(len(pairs)))
    flat = PiecewiseLinear((0.0, 9.0), (0.0, 0.0))
    surface = Surface((), (2.0,), (2.0,), (0.0, 9.0), flat, flat, PiecewiseLinear((0.0, 9.0), (-1.0, -1.0)))
    degrees = np.arange(1, 41)
    term = DegreeAwareScorer(scorer, surface, (degrees, degrees))
    found = attribution(term, pairs, np.random.default_rng(0))
    np.testing.assert_allclose(found.base + found.added.sum(axis=1), term.logits(pairs), atol=1e-9)
    assert found.kinds[-1] == "the degree term"
    assert (
        attribution(scorer=BASELINE_SCORERS["degree"](split.message_graph().astype(np.float64)), pairs=pairs, rng=rng)
        is None
    )


def test_the_interval_holds_the_number_of_true_links():
    """100 graphs of planted logits: 95 % wanted; 0.95 less 3 standard errors of 100 draws is 0.88."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(100):
        zeros, missing = rng.normal(0, 1, 20_000), rng.normal(2.5, 1, 60)
        sample = HeldOut.from_logits(rng.normal(2.5, 1, 100), np.concatenate([zeros, missing]), num_non_edges=20_060)
        deployment = assume_missing(
            fit_link_rate([sample]), num_non_edges=20_060, num_test_edges=100, num_edges=900, expected_missing=60
        )
        logits = np.concatenate([zeros, missing])
        best = np.argsort(-logits)[:150]
        found = expected_links([sample], deployment, logits[best])
        held += found.low <= (best >= 20_000).sum() <= found.high
    assert held >= 88


def test_the_longest_list_of_a_scope_is_the_longest_there(run):
    """Within a group links are denser than elsewhere, so its list goes on below the threshold of all pairs."""
    assumption = MissingLinksAssumption(expected_missing=200)
    nodes = [str(name) for name in run.ids[:25]]
    scope = Scope(from_nodes=nodes, to_nodes=nodes)
    everything = find_links(run, assumption.deployment(run), top=10_000, scope=scope)
    is_end = np.append(np.diff(everything["logit"].to_numpy()) != 0, True)
    means = np.cumsum(everything["probability"].to_numpy()) / np.arange(1, len(everything) + 1)
    lowest = []
    for precision in (0.15, 0.1):
        found = expected_list(run, precision=precision, mode="precision", assumption=assumption, scope=scope)
        assert len(found.table) == int(np.flatnonzero((means >= precision) & is_end)[-1]) + 1
        assert found.table["target"].to_list() == everything["target"].to_list()[: len(found.table)]
        of_all = expected_list(run, precision=precision, mode="precision", assumption=assumption)
        lowest.append(found.details["threshold_logit"] < of_all.details["threshold_logit"])
    assert any(lowest)
    with pytest.raises(OptionError, match="not one a node"):
        list_links(run, LinkRequest(precision=0.1, scope=Scope(per_node=2)))
    with pytest.raises(OptionError, match="name in --unobserved only the pairs you want"):
        list_links(run, LinkRequest(fdr=0.1, unobserved=[("node0", "node99")], scope=scope))


def test_pairs_that_the_small_network_rules_out_are_none_of_the_best(communities):
    run = fit_graph(communities, FitConfig(model="structural-gae", threads=1, epochs=10, degree_calibration="no"))
    model, recorded = run.scorer, run.split.recorded()
    pairs = recorded.absent_pairs(np.arange(0, recorded.num_absent, 2))
    given = ScreenedPairs(model, model, pairs, num_wanted=60, max_pairs=2_000, rng=np.random.default_rng(0))
    plain = PairSearch(model, recorded, top=60, candidates=GivenPairs(model, pairs, max_pairs=2_000))
    quick = PairSearch(model, recorded, top=60, candidates=given)
    assert list(plain.steps()) == list(quick.steps())
    found = quick.found()
    assert np.isin(recorded.space.keys(plain.found().pairs), recorded.space.keys(found.pairs)).mean() >= 0.95
    np.testing.assert_allclose(found.logits, model.logits(found.pairs), rtol=1e-6)
    said, logits = model.screened(pairs, (-np.inf,))
    np.testing.assert_allclose(logits, model.logits(pairs), rtol=1e-5, atol=1e-5)
    assert said.shape == (len(pairs), 1)
    assert (model.screened(pairs, (float(np.median(said)),))[1] == -np.inf).mean() > 0.4
    scored = sum(len(given.survivors(step, -np.inf).low) for step in range(len(given.cells)))
    assert 60 <= scored < len(pairs)


@pytest.mark.parametrize("space", SPACES)
def test_walks_through_nodes_of_few_edges_are_counted_one_by_one(space):
    """A node stays if neither its edges in nor its edges out are too many."""
    graph = adjacency(known_pairs(space, np.random.default_rng(4)).pairs, space).astype(np.float64)
    dense = graph.toarray()
    into, out = dense.sum(axis=0), dense.sum(axis=1)
    counts = BASELINE_SCORERS["resource-allocation"](graph)
    for most in (1, 2, 3, np.inf):
        assert num_walks(counts, most) == sum(
            into[node] * out[node] for node in range(40) if into[node] <= most and out[node] <= most
        )
