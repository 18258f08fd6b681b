"""New nodes: a twin of a known node has its logits, lost nodes find their links again, and what cannot be is refused."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from typer.testing import CliRunner

from linkodds.cli import app
from linkodds.config import FitConfig
from linkodds.errors import BadFeatures, DataError, LinkoddsError, OptionError, UnknownNode
from linkodds.estimator import LinkPredictor
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.features import Features, read_features, scale_features, scaled_like
from linkodds.graph.graph import Graph
from linkodds.links.inference import links_of_new_nodes, score_new_pairs
from linkodds.runs.inductive import with_new_nodes
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import load_run, write_results
from linkodds.runs.run_directory import PartialRun
from linkodds.scorers.scoring import MeanOddsScorer

CONFIG = FitConfig(
    hidden=16, dim=8, epochs=30, dropout=0.0, folds=1, degree_calibration="no", threads=1, learning_rate=0.03
)


def raw_features(ids, groups=6):
    """Six columns, the planted group blurred, as a table; not centred and in other units, so that scaling matters."""
    group = np.arange(len(ids)) * groups // len(ids)
    values = 3.0 + 5.0 * np.eye(groups)[group] + 2.0 * np.random.default_rng(0).normal(size=(len(ids), groups))
    return pl.DataFrame({"id": list(ids)} | {f"x{i}": values[:, i] for i in range(groups)})


def fitted(graph, table, model="vgae", scaling="auto", **options):
    features, _ = scale_features(table.drop("id").to_numpy(), scaling, tuple(table.columns[1:]))
    return fit_graph(
        replace(graph, features=features),
        CONFIG.model_copy(update={"model": model, "feature_scaling": scaling} | options),
    )


def twin_of(run, table, node, name="twin"):
    """Features and message edges of a known node under a new name."""
    row = table.filter(pl.col("id") == run.ids[node]).with_columns(pl.lit(name).alias("id"))
    pairs = [
        tuple(name if end == node else run.ids[end] for end in pair)
        for pair in run.split.train.tolist()
        if node in pair
    ]
    return row, pairs


class TestTwin:
    @pytest.mark.parametrize(
        ("graph", "model"),
        [
            ("directed_ring", "gae"),
            ("directed_ring", "linear-vgae"),
            ("two_sides", "gae"),
            ("communities", "vgae"),
            ("communities", "linear-gae"),
            ("communities", "feature-cosine"),
        ],
    )
    def test_has_the_logits_of_the_node_that_it_is_like(self, request, graph, model):
        graph = request.getfixturevalue(graph)
        table = raw_features(graph.ids)
        run = fitted(graph, table, model, degree_calibration="yes" if graph.space.directed else "no")
        self.check(run, table)

    @pytest.mark.parametrize("options", [{"scaling": "none"}, {"scaling": "row"}, {"folds": 2}])
    def test_whatever_the_scaling_and_the_folds(self, communities, options):
        table = raw_features(communities.ids)
        run = fitted(communities, table, **options)
        if run.split.folds > 1:  # each fold has a message graph of its own, and no node is a twin in all of them
            row, pairs = twin_of(run, table, 7)
            new = with_new_nodes(run, row, edges=pairs)
            assert new.scorer.source.shape[1] == run.scorer.source.shape[1]
            return
        self.check(run, table)

    def check(self, run, table):
        node = int(run.split.train[0, 0])
        row, pairs = twin_of(run, table, node)
        new = with_new_nodes(run, row, edges=pairs)
        others = np.array([i for i in range(len(run.ids)) if i != node])
        directions = ((0, 1), (1, 0)) if run.split.space.directed else ((0, 1),)
        for order in directions:
            known = run.split.space.canonical(np.column_stack([np.full(len(others), node), others])[:, order])
            twins = new.space.canonical(np.column_stack([np.full(len(others), len(run.ids)), others])[:, order])
            usable = run.split.space.is_admissible(known)
            assert (new.is_admissible(twins) == usable).all()
            expected = run.scorer.logits(known[usable])
            np.testing.assert_allclose(new.logits(twins[usable]), expected, atol=2e-5 * np.abs(expected).max() + 1e-6)
            assert np.ptp(expected) > 0.1
        recorded = run.split.recorded().pairs
        np.testing.assert_array_equal(new.scorer.logits(recorded), run.scorer.logits(recorded))

    def test_of_a_mean_of_models(self, communities):
        table = raw_features(communities.ids)
        runs = [fitted(communities, table, model) for model in ("vgae", "feature-cosine")]
        members = [{"model": run.model, "slope": 2.0, "intercept": -1.0} for run in runs]
        mean = replace(
            runs[0],
            model="auto",
            config=runs[0].config | {"members": members},
            scorer=MeanOddsScorer(tuple(run.scorer for run in runs), (2.0, 2.0), (-1.0, -1.0)),
            weights={f"member-{k}.{name}": a for k, run in enumerate(runs, 1) for name, a in run.weights.items()},
        )
        self.check(mean, table)
        members[1]["model"] = "stack"
        with pytest.raises(OptionError, match="the mean of this run has stack in it"):
            with_new_nodes(mean, table)

    def test_sparse_features_stay_sparse_and_are_scaled_alike(self):
        rng = np.random.default_rng(0)
        matrix = sp.random_array((50, 30), density=0.1, rng=rng, format="csr") * 7
        for scaling in ("row", "standard", "none"):
            known, _ = scale_features(matrix, scaling)
            again = scaled_like(known, matrix[[3, 9]].toarray())
            assert sp.issparse(again)
            np.testing.assert_array_equal(again.toarray(), known.matrix[[3, 9]].toarray())
        dense = rng.normal(size=(40, 70)) * 9 + 4
        known, _ = scale_features(dense, "standard")
        np.testing.assert_array_equal(scaled_like(known, dense[5:8]), known.matrix[5:8])


class TestLostNodes:
    @pytest.mark.parametrize("model", ["gae", "linear-vgae", "feature-cosine"])
    def test_rank_their_true_links_above_others(self, communities, model):
        """Every 15th node is taken out with all its edges and given back with its features alone.

        An AUC of 0.5 has a standard error of sqrt((1/P + 1/N) / 12); the planted groups reach well beyond four of them.
        """
        lost = np.arange(0, 150, 15)
        run, table = without(communities, lost, model)
        names = communities.ids[lost]
        new = with_new_nodes(run, table, nodes=names.tolist())
        is_edge = np.zeros((150, 150), dtype=bool)
        is_edge[communities.edges[:, 0], communities.edges[:, 1]] = True
        is_edge |= is_edge.T
        kept = np.setdiff1d(np.arange(150), lost)
        u, v = (each.ravel() for each in np.meshgrid(lost, kept, indexing="ij"))
        scored, has_new = score_new_pairs(run, new, communities.ids[u], communities.ids[v], MissingLinksAssumption())
        labels, logits = is_edge[u, v], scored.logits
        above = (logits[labels][:, None] > logits[~labels][None, :]).mean()
        error = np.sqrt((1 / labels.sum() + 1 / (~labels).sum()) / 12)
        assert has_new.all()
        assert above > 0.5 + 4 * error
        # A node without edges: the graph's ratio, so on average about as many links as pairs of the graph have edges.
        ratio = run.evaluation.graph["num_edges"] / run.evaluation.graph["num_pairs"]
        assert ratio / 5 < scored.probabilities.mean() < 5 * ratio

    def test_find_lists_each_admissible_pair_once_the_best_first(self, directed_ring):
        lost = np.array([5, 25, 45])
        run, table = without(directed_ring, lost, "gae")
        new = with_new_nodes(run, table, nodes=directed_ring.ids[lost].tolist(), edges=[("n5", "n6"), ("n25", "n5")])
        found = new.find_links(top=None, threshold=None)
        count = 60
        expected = {(u, v) for u in range(count) for v in range(count) if u != v and max(u, v) >= new.num_known} - set(
            map(tuple, new.recorded.tolist())
        )
        assert set(map(tuple, found.pairs.tolist())) == expected
        assert len(found.pairs) == len(expected)
        assert (np.diff(found.logits) <= 0).all()
        np.testing.assert_array_equal(new.find_links(top=7, threshold=None).pairs, found.pairs[:7])
        each = new.find_links(top=None, threshold=None, per_node=2)
        assert len(each.pairs) == 6

    def test_find_in_an_undirected_graph_has_no_pair_twice(self, communities):
        lost = np.array([5, 25])
        run, table = without(communities, lost, "linear-gae")
        new = with_new_nodes(run, table, nodes=communities.ids[lost].tolist())
        assert len(new.find_links(top=None, threshold=None).pairs) == 2 * 148 + 1
        links = links_of_new_nodes(run, new, top=4)
        assert len(links) == 4
        assert links["evidence"][0].endswith("new node with 0")


def without(graph, lost, model):
    """A run of the graph without some nodes, and the features of all."""
    kept = np.setdiff1d(np.arange(graph.num_nodes), lost)
    stays = ~np.isin(graph.edges, lost).any(axis=1)
    edges = [tuple(pair) for pair in graph.ids[graph.edges[stays]]]
    table = raw_features(graph.ids)
    rest = Graph.from_edges(
        edges,
        nodes=graph.ids[kept].tolist(),
        features=table.filter(pl.col("id").is_in(graph.ids[kept].tolist())),
        directed=graph.space.directed,
        bipartite=False if not graph.space.directed else None,
    )
    return fit_graph(rest, CONFIG.model_copy(update={"model": model})), table


@pytest.fixture(scope="module")
def run():
    rng = np.random.default_rng(0)
    edges = [(f"a{u}", f"a{v}") for u, v in np.argwhere(np.triu(rng.random((40, 40)) < 0.15, 1))]
    ids = [f"a{i}" for i in range(40)]
    graph = Graph.from_edges(edges, nodes=ids, features=raw_features(ids), bipartite=False)
    return fit_graph(graph, CONFIG.model_copy(update={"model": "gae", "epochs": 10}))


class TestRefusals:
    def new(self, **columns):
        values = {"id": ["new"]} | {f"x{i}": [1.0] for i in range(6)} | columns
        return pl.DataFrame(values)

    @pytest.mark.parametrize(("model", "why"), [("signed-gae", "vector of its own"), ("l3", "recorded graph alone")])
    def test_models_that_know_a_node_otherwise(self, communities, model, why):
        run = fitted(communities, raw_features(communities.ids), model, epochs=5, weight_decay=0.01)
        with pytest.raises(OptionError, match=why):
            with_new_nodes(run, self.new())

    def test_a_run_without_features(self, communities):
        run = fit_graph(communities, CONFIG.model_copy(update={"model": "gae", "epochs": 5}))
        assert run.features is None
        with pytest.raises(OptionError, match="without node features"):
            with_new_nodes(run, self.new())

    @pytest.mark.parametrize(
        ("given", "error", "why"),
        [
            ({"features": None, "nodes": ["new"]}, OptionError, "--features"),
            ({"features": np.ones((1, 6))}, OptionError, "--nodes"),
            ({"features": np.ones((2, 6)), "nodes": ["new"]}, BadFeatures, "2 rows for 1 ids"),
            ({"features": np.ones((1, 5)), "nodes": ["new"]}, BadFeatures, "5 features"),
            ({"features": np.array([[np.nan] * 6]), "nodes": ["new"]}, BadFeatures, "no finite number"),
            ({"features": np.full((1, 6), 1e300), "nodes": ["new"]}, BadFeatures, "too large"),
            ({"features": np.ones((1, 6)), "nodes": ["a3"]}, DataError, "'a3' is a node of the run already"),
        ],
    )
    def test_nodes_and_features_that_do_not_fit(self, run, given, error, why):
        with pytest.raises(error, match=why):
            with_new_nodes(run, **given)

    def test_columns_and_rows_that_do_not_fit(self, run):
        other = self.new().rename({"x2": "weight"})
        with pytest.raises(BadFeatures, match="'weight' stands where 'x2' was"):
            with_new_nodes(run, other)
        with pytest.raises(BadFeatures, match="no row for the new node 'lost'"):
            with_new_nodes(run, self.new(), nodes=["new", "lost"])
        with pytest.raises(UnknownNode, match="'stray' is neither"):
            with_new_nodes(run, pl.concat([self.new(), self.new(id=["stray"])]), nodes=["new"])

    @pytest.mark.parametrize(
        ("edge", "error", "why"),
        [
            (("new", "nobody"), UnknownNode, "neither new nor in the run"),
            (("new", "new"), DataError, "itself"),
            (("a1", "a2"), DataError, "two nodes of the run"),
        ],
    )
    def test_edges_that_do_not_fit(self, run, edge, error, why):
        with pytest.raises(error, match=why):
            with_new_nodes(run, self.new(), edges=[("new", "a1"), edge])

    def test_edges_to_both_sides(self, two_sides):
        table = raw_features(two_sides.ids)
        run = fitted(two_sides, table, epochs=5)
        row = table[:1].with_columns(pl.lit("new").alias("id"))
        new = with_new_nodes(run, row, edges=[("new", "disease3")])
        assert new.is_admissible(np.array([[0, 140], [80, 140]])).tolist() == [False, True]
        assert with_new_nodes(run, row).is_admissible(np.array([[0, 140], [80, 140]])).all()
        with pytest.raises(DataError, match="both sides"):
            with_new_nodes(run, row, edges=[("new", "disease3"), ("drug4", "new")])

    def test_a_damaged_file_of_features(self, run, tmp_path):
        with PartialRun(tmp_path / "run", force=False) as partial:
            write_results(partial, replace(run, features=Features(np.ones((3, 6), dtype=np.float32), "standard")))
            partial.commit()
        with pytest.raises(LinkoddsError, match=r"features\.npz does not fit"):
            load_run(tmp_path / "run")


class TestFromOutside:
    def test_predict_find_and_the_estimator_agree(self, communities, tmp_path):
        table = raw_features(communities.ids)
        run, _ = without(communities, np.array([10]), "vgae")
        with PartialRun(tmp_path / "run", force=False) as partial:
            write_results(partial, run)
            partial.commit()
        assert read_features(table).names == load_run(tmp_path / "run").features.names
        table[10:11].write_csv(tmp_path / "new.csv")
        pairs = [("node10", "node11"), ("node3", "node10"), ("node1", "node2"), ("node10", "ghost")]
        (tmp_path / "pairs.csv").write_text("a,b\n" + "".join(f"{u},{v}\n" for u, v in pairs), encoding="utf-8")
        (tmp_path / "edges.csv").write_text("a,b\nnode10,node11\n", encoding="utf-8")
        out = tmp_path / "out.csv"
        asked = ["--features", str(tmp_path / "new.csv"), "--edges", str(tmp_path / "edges.csv"), "--out", str(out)]
        done = CliRunner().invoke(
            app, ["predict", str(tmp_path / "run"), str(tmp_path / "pairs.csv"), *asked, "--json"]
        )
        assert done.exit_code == 1  # the ghost
        summary = json.loads(done.stdout)
        assert "nothing is guaranteed" in summary["assumption"]
        rows = pl.read_csv(out)
        assert rows["known"].to_list() == [1, 0, int(("node1", "node2") in named_edges(communities)), None]
        assert rows["new"].to_list() == [1, 1, 0, None]
        predictor = LinkPredictor.load(tmp_path / "run")
        given = {"features": table, "new_nodes": ["node10"], "edges": [("node11", "node10")]}
        probabilities = predictor.predict_proba(pairs[:3], **given)[:, 1]
        np.testing.assert_allclose(probabilities, rows["probability"][:3].to_numpy(), rtol=1e-12)
        with pytest.raises(UnknownNode, match="ghost"):
            predictor.predict_proba(pairs, **given)
        done = CliRunner().invoke(app, ["find", str(tmp_path / "run"), *asked, "--top", "5"])
        assert done.exit_code == 0, done.output
        assert pl.read_csv(out)["logit"].to_list() == predictor.find_links(5, **given)["logit"].to_list()
        done = CliRunner().invoke(app, ["find", str(tmp_path / "run"), *asked, "--fdr", "0.1", "--mode", "discover"])
        assert done.exit_code == 2


def named_edges(graph):
    return set(map(tuple, graph.ids[graph.edges].tolist()))
