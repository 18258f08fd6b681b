"""Degree terms: counts against lists, fits against scikit-learn, planted terms found and absent ones left out."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.inference import score_pairs
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.logistic import fit_plane
from linkodds.metrics.metrics import degree_bins, degree_relative_ece
from linkodds.metrics.non_edges import DegreeClasses, NonEdges, degrees_of, draw_non_edges
from linkodds.models.families import family_of
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.probability.degree_term import DegreeTerm, choose_degree_term, preferred
from linkodds.probability.surface_fitting import JointCounts, count_jointly
from linkodds.report import report_data_of, write_report
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import load_run, write_results
from linkodds.runs.run_directory import PartialRun
from linkodds.scorers.scoring import DegreeAwareScorer, InnerProductScorer
from linkodds.scorers.surface import PiecewiseLinear, Surface
from table_scorer import TableScorer

Floats = NDArray[np.float64]
QUICK = {"hidden": 16, "dim": 8, "epochs": 20, "threads": 1}


SPACES = [PairSpace(40), PairSpace(30, directed=True), PairSpace(45, sides=(20, 22))]
IDS = ["undirected", "directed", "bipartite"]


@pytest.mark.parametrize("space", SPACES, ids=IDS)
@pytest.mark.parametrize("sampled", [False, True])
def test_counts_stand_for_every_non_edge(space: PairSpace, sampled: bool) -> None:
    rng = np.random.default_rng(0)
    scorer = TableScorer(3 * rng.normal(size=(space.num_nodes, space.num_nodes)))
    edges = space.pair_of_rank(np.sort(rng.choice(space.num_pairs, 90, replace=False)))
    known, degrees = KnownPairs(space, edges), degrees_of(edges, space)
    non_edges = draw_non_edges(known, 200, rng) if sampled else NonEdges(known)
    pairs = known.absent_pairs(np.arange(known.num_absent)) if non_edges.sample is None else non_edges.sample
    z, a, b = scorer.logits(pairs), np.log(degrees[0][pairs[:, 0]]), np.log(degrees[1][pairs[:, 1]])

    def counted(**how: int) -> JointCounts:
        return count_jointly(scorer, non_edges, degrees, limits=(-12.0, 12.0), **how)

    counts = counted()
    mass = counts.weights / counts.weights.sum()
    assert counts.weights.sum() == pytest.approx(known.num_absent)
    assert mass @ counts.points[:, 0] == pytest.approx(z.mean(), rel=1e-6, abs=1e-6)
    assert mass @ (counts.points[:, 1] + counts.points[:, 2]) == pytest.approx((a + b).mean(), rel=1e-9)
    if space.directed or space.bipartite:
        assert (mass @ counts.points)[1:].tolist() == pytest.approx([a.mean(), b.mean()], rel=1e-9)
    through_cells = mass @ expit(counts.points @ [0.8, 0.5, 0.5] - 2)
    # Degrees of 1 to about 12 have a bin each, so only logits are spread, over 24 / 512: 0.8^2 * 0.047^2 / 24 = 6e-5.
    assert through_cells == pytest.approx(expit(0.8 * z + 0.5 * (a + b) - 2).mean(), rel=6e-5)
    again = counted(threads=3, max_cells=100), counted(threads=1, max_cells=100)
    assert np.array_equal(again[0].points, again[1].points)
    np.testing.assert_allclose(again[0].points, counts.points, rtol=1e-6, atol=1e-6)


class Planted:
    """Nodes with heavy-tailed degrees, normal logits, and pairs that are edges with known log odds a z + b + c x + e z x."""

    def __init__(
        self, seed: int, *, num_nodes: int, product: float, interaction: float, intercept: float, tail: float = 0.0
    ) -> None:
        rng = np.random.default_rng(seed)
        self.space = PairSpace(num_nodes)
        pairs = self.space.pair_of_rank(np.arange(self.space.num_pairs))
        table = rng.normal(size=(num_nodes, num_nodes)) * 2
        if tail:  # most logits in a bunch, one in five hundred far above, where the edges are
            table = np.where(rng.random(table.shape) < 0.002, rng.normal(8, 3, table.shape), 0.2 * table - 2)
        self.scorer = TableScorer(np.triu(table, 1) + np.triu(table, 1).T)
        popular = rng.pareto(1.5, num_nodes) + 0.3
        self.train = pairs[
            rng.random(len(pairs)) < np.minimum(0.5, 0.004 * popular[pairs[:, 0]] * popular[pairs[:, 1]])
        ]
        self.degrees = degrees_of(self.train, self.space)
        rest = pairs[~self.space.contains(self.train, pairs)]
        z, x = self.features(rest).T
        is_edge = rng.random(len(rest)) < expit(z + intercept + product * x + interaction * z * x)
        held_out = rng.permutation(rest[is_edge])
        self.validation, self.test = np.array_split(held_out, 2)
        self.absent = rest[~is_edge]
        self.non_edges = NonEdges(KnownPairs(self.space, np.concatenate([self.train, held_out])))
        self.prevalence = len(self.test) / (len(self.test) + len(self.absent))

    def features(self, pairs: Pairs) -> Floats:
        x = np.log(self.degrees[0][pairs[:, 0]] * self.degrees[1][pairs[:, 1]])
        return np.column_stack([self.scorer.logits(pairs).astype(np.float32), x])

    def term_logits(self, term: DegreeTerm, pairs: Pairs) -> Floats:
        return term.applied(self.scorer, self.degrees).logits(pairs)

    def term(self, choice: Literal["auto", "yes", "no"] = "auto") -> DegreeTerm:
        return choose_degree_term(
            choice,
            HeldOut.from_scorer(self.scorer, self.validation, self.non_edges),
            self.validation,
            self.scorer,
            self.non_edges,
            self.degrees,
            prevalence=self.prevalence,
        )


def test_the_draw_of_strata_is_felt_by_the_mean_over_all_of_them() -> None:
    """Two strata by hand: 0.9 of the weight with variance 4, a tenth of it scored as 50; 0.1 of it with variance 1, all."""
    counts = JointCounts(
        np.zeros((4, 3)), np.array([450.0, 450.0, 50.0, 50.0]), ((slice(0, 2), 50, 0.1), (slice(2, 4), 100, 1.0))
    )
    values = np.array([1.0, 5.0, 0.0, 2.0])
    assert counts.variance_of_mean(values) == pytest.approx(0.9**2 * 4 * (1 - 0.1) / 50)


def test_a_gain_is_less_sure_where_non_edges_were_sampled(monkeypatch) -> None:
    """A share f of the non-edges: the variance of the gain grows by (1 - f) / m of the variance among them over the odds.

    The loss of the non-edges falls by d at each; five folds have nearly the same d. Of 2,000 the variance is known to 10 %
    or so, and the fits are those of other edges: a third is granted.
    """
    monkeypatch.setattr("linkodds.probability.degree_term.KINDS", ("product",))
    planted = Planted(1, num_nodes=200, product=0.6, interaction=0.0, intercept=-6.0)
    whole = planted.term("yes")
    known = planted.non_edges.known
    planted.non_edges = draw_non_edges(known, 2_000, np.random.default_rng(0))
    some = planted.term("yes")
    assert some.kind == whole.kind == "product"
    odds = planted.prevalence / (1 - planted.prevalence)
    edges, absent = planted.features(planted.validation), planted.features(planted.absent)
    planes = [
        fit_plane(
            edges[:, columns],
            absent[:, columns],
            edge_weights=np.full(len(edges), planted.prevalence / len(edges)),
            non_edge_weights=np.full(len(absent), (1 - planted.prevalence) / len(absent)),
        )
        for columns in (slice(None), slice(0, 1))
    ]
    with_term, without = (plane(absent[:, : len(plane.coefficients)]) for plane in planes if plane is not None)
    fall = log_expit(-with_term) - log_expit(-without)
    of_sample = fall.std() / odds * np.sqrt((1 - 2_000 / known.num_absent) / 2_000)
    assert whole.gain_error is not None
    assert some.gain_error is not None
    assert np.sqrt(some.gain_error**2 - whole.gain_error**2) == pytest.approx(of_sample, rel=1 / 3)


@pytest.mark.parametrize("tail", [0.0, 1.0], ids=["normal", "edges far above the bunch of non-edges"])
def test_a_planted_interaction_is_found_as_scikit_learn_finds_it_on_every_pair(tail: float) -> None:
    """Bends gain nothing here and are not taken; through cells the log odds are right to 0.05, a sixth of their noise or less."""
    planted = Planted(1, num_nodes=500, product=0.6, interaction=-0.08, intercept=-7.0, tail=tail)
    term = planted.term()
    assert term.kind == "interaction"
    assert f"on {len(planted.validation)} validation edges, it lowers the log loss by" in term.reason
    edges, absent = planted.features(planted.validation), planted.features(planted.absent)
    points = np.concatenate([edges, absent])
    weights = np.repeat([1.0, (1 / planted.prevalence - 1) * len(edges) / len(absent)], [len(edges), len(absent)])
    oracle = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=500)
    features = np.column_stack([points, points.prod(axis=1)])
    oracle.fit(features, np.repeat([1, 0], [len(edges), len(absent)]), sample_weight=weights)
    found = planted.term_logits(term, planted.validation)
    np.testing.assert_allclose(found, oracle.decision_function(features[: len(edges)]), atol=0.05)
    assert term.odds == pytest.approx(planted.prevalence / (1 - planted.prevalence))


def test_the_gains_are_those_of_five_folds_over_every_pair() -> None:
    planted = Planted(1, num_nodes=300, product=0.6, interaction=0.0, intercept=-6.0)
    term = planted.term("yes")
    assert term.kind == "product"
    edges, absent = planted.features(planted.validation), planted.features(planted.absent)
    num_edges = len(edges)
    fold, odds = np.arange(num_edges) % 5, planted.prevalence / (1 - planted.prevalence)
    of_edges, gains, rises, before = (np.empty(num_edges) for _ in range(4))
    for k in range(5):
        inside = fold == k
        falls, precisions = [], []
        for columns in (slice(None), slice(0, 1)):
            n = int((~inside).sum())
            plane = fit_plane(
                edges[~inside, columns],
                absent[:, columns],
                edge_weights=np.full(n, planted.prevalence / n),
                non_edge_weights=np.full(len(absent), (1 - planted.prevalence) / len(absent)),
            )
            assert plane is not None
            f, g = plane(edges[inside, columns]), plane(absent[:, columns])
            falls.append([log_expit(f), log_expit(-g)])
            true = np.array([(f >= z).sum() for z in f]) * num_edges / len(f)
            precisions.append(true / (true + np.array([(g >= z).sum() for z in f])))
        of_edges[inside] = falls[0][0] - falls[1][0]
        gains[inside] = of_edges[inside] + (falls[0][1] - falls[1][1]).mean() / odds
        rises[inside], before[inside] = precisions[0] - precisions[1], precisions[1]
    root = np.sqrt(num_edges)
    assert term.gain == pytest.approx(gains.mean(), rel=0.02)
    assert term.gain_error == pytest.approx(of_edges.std(ddof=1) / root, rel=0.02)
    assert term.precision_gain == pytest.approx(rises.mean() / before.mean(), rel=0.02)
    assert term.precision_gain_error == pytest.approx(rises.std(ddof=1) / root / before.mean(), rel=0.02)


def test_a_term_repairs_what_is_expected_by_degree() -> None:
    """Fresh test edges: every fifth of the candidates is within 3.3 Poisson errors of what is expected, where some
    were off by factors."""
    planted = Planted(2, num_nodes=600, product=0.8, interaction=-0.1, intercept=-8.0)
    classes = DegreeClasses.of(
        planted.train, planted.space, excluded=np.concatenate([planted.train, planted.validation])
    )
    term = planted.term()
    off = {}
    for name, scorer in (("without", planted.scorer), ("with", term.applied(planted.scorer, planted.degrees))):
        validation, test = (
            HeldOut.from_scorer(scorer, part, planted.non_edges, classes=classes)
            for part in (planted.validation, planted.test)
        )
        features = validation.edge_logits[:, None], *validation.non_edges.bins.points()
        line = fit_plane(
            features[0],
            features[1][:, None],
            edge_weights=np.full(len(features[0]), planted.prevalence / len(features[0])),
            non_edge_weights=(1 - planted.prevalence) * features[2] / features[2].sum(),
        )
        assert line is not None
        if name == "with":  # the new logits are log odds at the prevalence already, but for the spread inside cells
            assert [*line.coefficients, line.intercept] == pytest.approx([1.0, 0.0], abs=0.02)
        bins = degree_bins(test, lambda z, line=line: line(np.asarray(z)[:, None]))
        off[name] = degree_relative_ece(bins)
        z = (bins.observed - bins.expected) / np.sqrt(bins.expected)
        assert (np.abs(z) < 3.3).all() == (name == "with")
    assert off["with"] < off["without"] / 2


def test_no_term_is_used_where_logits_say_all_there_is() -> None:
    """One-sided at 2.5 % for each of three terms: at most 7.5 % of 40 graphs, and 3 standard errors of that."""
    used = [
        Planted(seed, num_nodes=110, product=0.0, interaction=0.0, intercept=-4.0).term().is_used for seed in range(40)
    ]
    assert sum(used) <= 40 * 0.075 + 3 * np.sqrt(40 * 0.075 * 0.925)


def test_few_edges_are_not_asked_unless_told_to() -> None:
    planted = Planted(3, num_nodes=150, product=0.6, interaction=0.0, intercept=-8.0)
    assert len(planted.validation) < 50
    term = planted.term()
    assert (term.kind, term.reason) == (
        "none",
        f"{len(planted.validation)} validation edges, 50 are needed to judge it",
    )
    assert planted.term("yes").reason.startswith("asked for; cross-validated on")
    assert planted.term("no") == DegreeTerm("none", "not asked for")


def test_no_term_turns_a_logit_round() -> None:
    """The true slope falls from 1 among loners to -1 among hubs: the fitted one stops short of 0."""
    planted = Planted(4, num_nodes=400, product=0.5, interaction=-0.25, intercept=-5.0)
    largest = 2 * np.log(planted.degrees[0].max())
    assert 1 - 0.25 * largest < 0
    surface = planted.term("yes").surface
    assert surface is not None
    smallest = 2 * np.log(planted.degrees[0].min())
    assert surface.products == pytest.approx((smallest, largest))
    assert 0 < min(surface.high) < 0.05 < max(surface.low)


def test_blocks_and_pairs_agree_and_are_symmetric() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(50, 8)).astype(np.float32)
    degrees = (rng.integers(1, 200, 50),) * 2
    end, product = (
        PiecewiseLinear((0.0, 2.0, 6.0), (0.3, 0.1, 0.7)),
        PiecewiseLinear((0.0, 5.0, 12.0), (-3.0, -2.0, 1.8)),
    )
    surface = Surface((0.5,), (1.7, 1.0), (0.4, 1.2), (0.0, 12.0), end, end, product)
    scorer = DegreeTerm("surface", "", surface).applied(InnerProductScorer(z, z, 1.3, -2.0), degrees)
    everything = slice(0, 50)
    block = scorer.block(everything, everything)
    pairs = np.argwhere(np.ones((50, 50)))
    np.testing.assert_array_equal(scorer.logits(pairs).astype(np.float32), block.ravel())
    np.testing.assert_array_equal(block, block.T)
    base, (u, v) = scorer.base.logits(pairs), pairs.T
    expected = surface.log_odds(base, np.log(degrees[0][u]), np.log(degrees[1][v]))
    np.testing.assert_allclose(scorer.logits(pairs), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="none cannot be applied"):
        DegreeTerm("none", "").applied(scorer, degrees)


@pytest.mark.parametrize(("graph", "model"), [("communities", "vgae"), ("directed_ring", "gae"), ("two_sides", "l3")])
def test_a_run_with_a_term_is_saved_and_read_back(request, tmp_path, graph, model):
    graph = request.getfixturevalue(graph)
    run = fit_graph(graph, FitConfig(model=model, degree_calibration="yes", **QUICK))
    assert isinstance(run.scorer, DegreeAwareScorer)
    said = run.evaluation.model["degree_term"]
    assert said == run.config["degree_term"]
    assert said["reason"].startswith("asked for")
    assert any("degrees beside the logit" in finding.message for finding in run.evaluation.findings)
    with PartialRun(tmp_path / "run", force=False) as partial:
        write_results(partial, run)
        write_report(run, report_data_of(run), partial.path / "report.html")
        partial.commit()
    read = load_run(tmp_path / "run")
    pairs = graph.space.pair_of_rank(np.arange(0, graph.space.num_pairs, 7))
    np.testing.assert_array_equal(read.scorer.logits(pairs), run.scorer.logits(pairs))
    assert (read.embeddings is None) == (model == "l3")
    ids = graph.ids[pairs]
    table = score_pairs(read, ids[:, 0], ids[:, 1], MissingLinksAssumption().deployment(read))
    np.testing.assert_array_equal(table.logits, run.scorer.logits(pairs))


def test_models_of_all_folds_get_terms_of_their_own_and_one_without_is_left_out(
    communities: Graph, monkeypatch
) -> None:
    options = FitConfig(model="l3", degree_calibration="yes", folds=3, **QUICK)
    run = fit_graph(communities, options)
    folds = [len(each.calibration) for each in run.split.rotations()]
    assert run.calibration[0].num_edges == sum(folds) > 0.95 * (len(run.split.train) + len(run.split.calibration))
    calls = []

    def second_fold_has_none(*given: object, **more: object) -> DegreeTerm:
        calls.append(given)  # the mean comes first, then the folds
        return DegreeTerm("none", "") if len(calls) == 3 else choose_degree_term(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("linkodds.fitting.model_selection.choose_degree_term", second_fold_has_none)
    said: list[str] = []
    left = fit_graph(communities, options, progress=said.append)
    assert left.calibration[0].num_edges == run.calibration[0].num_edges - folds[1]
    assert "fold 2 is left out of calibration: no degree term fits its model" in said


FLAT = Surface((), (1.0,), (1.0,), (0.0, 1.0), *(PiecewiseLinear((0.0, 1.0), (0.0, 0.0)),) * 3)


def test_auto_takes_the_best_term_that_costs_no_order() -> None:
    """Gains beyond 1.96 errors count; falls of average precision beyond a fiftieth and 1.96 errors rule out."""
    small = DegreeTerm("product", "", FLAT, 0.01, 0.2, 0.1, -0.19, 0.1)
    large = DegreeTerm("surface", "", FLAT, 0.01, 0.5, 0.1, -0.2, 0.1)
    assert preferred([small, large], 60).kind == "product"
    assert preferred([small, replace(large, precision_gain=-0.19)], 60).kind == "surface"
    assert preferred([small, replace(large, precision_gain=-0.019, precision_gain_error=0.001)], 60).kind == "surface"
    assert preferred([small, replace(large, precision_gain=-0.021, precision_gain_error=0.001)], 60).kind == "product"
    costly = preferred([large], 60)
    assert (costly.kind, costly.surface, costly.gain) == ("none", None, 0.5)
    assert costly.reason.endswith(
        "lowers average precision by 20.0% (10.0%): average precision on these edges would suffer"
    )
    noise = preferred([replace(small, gain=0.19)], 60)
    assert (noise.is_used, noise.reason.endswith("no gain beyond noise")) == (False, True)
    unknown = preferred([DegreeTerm("product", "", FLAT)], 60)
    assert unknown.reason == "its gain could not be cross-validated: no gain beyond noise"


def test_auto_takes_the_model_that_is_best_with_its_term(communities: Graph, monkeypatch) -> None:
    """Counting wins here by itself; a term that would raise what autoencoders reach tenfold makes one of them win."""

    def planted(*given: object, **_: object) -> DegreeTerm:
        is_product = isinstance(given[3], InnerProductScorer)
        return DegreeTerm("product", "", FLAT, 0.01, 0.5, 0.1, 9.0 if is_product else 0.0, 0.1)

    monkeypatch.setattr("linkodds.fitting.fit.LADDER", ("gae", "vgae", "signed-gae"))
    monkeypatch.setattr("linkodds.fitting.auto._is_ahead", lambda *_: True)  # the luck of counts is held elsewhere
    options = FitConfig(folds=1, **QUICK)
    assert family_of(fit_graph(communities, options).model).is_baseline
    monkeypatch.setattr("linkodds.fitting.model_selection.choose_degree_term", planted)
    monkeypatch.setattr("linkodds.fitting.auto.LOOKED_AT_TWICE", 20)
    said: list[str] = []
    assert family_of(fit_graph(communities, options, progress=said.append).model).trains_encoder
    (choice,) = [line for line in said if line.startswith("auto chose")]
    assert choice.count("with degrees)") == 3


def test_without_a_term_nothing_changes(communities: Graph) -> None:
    run = fit_graph(communities, FitConfig(model="l3", degree_calibration="no", **QUICK))
    assert not isinstance(run.scorer, DegreeAwareScorer)
    assert run.evaluation.model["degree_term"]["kind"] == "none"
    assert not any("degrees beside" in finding.message for finding in run.evaluation.findings)


@pytest.mark.parametrize(("given", "meant"), [(True, "yes"), (False, "no"), ("auto", "auto")])
def test_yaml_says_yes_and_no_in_its_own_way(given: object, meant: str) -> None:
    assert FitConfig.from_options({"degree_calibration": given}).degree_calibration == meant


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.9])
def test_logits_of_0_are_looked_up_and_all_cells_are_as_their_pairs(share):
    """Strips of rows with few paths, none, and many: whichever way a block is made, a cell is the pair's logit in float32."""
    rng = np.random.default_rng(0)

    class Counts:
        values = np.where(rng.random((90, 700)) < share, rng.normal(size=(90, 700)), 0).astype(np.float32)

        def block(self, rows: slice, columns: slice) -> NDArray[np.float32]:
            return self.values[rows, columns]

        def logits(self, pairs: Pairs) -> NDArray[np.float64]:
            return self.values[pairs[:, 0], pairs[:, 1]].astype(np.float64)

    ends = PiecewiseLinear((0.0, 1.0, 5.0), (0.3, -1.0, 2.0))
    surface = Surface(
        (-0.2, 0.5), (1.0, 0.3, 2.0), (0.5, 2.5, 0.1), (0.0, 9.0), ends, ends, PiecewiseLinear((0.0, 9.0), (-4.0, 1.0))
    )
    degrees = rng.integers(1, 60, size=700)
    scorer = DegreeAwareScorer(Counts(), surface, (degrees, degrees))
    rows, columns = slice(3, 90), slice(5, 700)
    pairs = np.stack(np.meshgrid(np.arange(3, 90), np.arange(5, 700), indexing="ij"), axis=-1).reshape(-1, 2)
    expected = scorer.logits(pairs).astype(np.float32).reshape(87, 695)
    np.testing.assert_array_equal(scorer.block(rows, columns), expected)
