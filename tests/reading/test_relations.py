"""Several kinds of edges: one is predicted, the others carry messages, and none may tell the predicted ones."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from torch import nn

from linkodds.config import FitConfig
from linkodds.errors import DataError, MalformedFile, OptionError
from linkodds.estimator import LinkPredictor
from linkodds.fitting.pipeline import fit_graph, fit_run
from linkodds.graph.graph import Graph
from linkodds.graph.split import split_by_time, split_edges
from linkodds.links.evidence import Evidence
from linkodds.models.autoencoders.custom_encoder import CustomEncoder
from linkodds.models.autoencoders.custom_scorer import CustomScorer
from linkodds.models.autoencoders.propagation import normalized_adjacency
from linkodds.models.families import families, family_of
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.relations import about_kinds
from linkodds.runs.record import load_run

SCHEMA = ["a", "b", "kind"]


def two_kinds(num_nodes=150, seed=0):
    """Communities of ten; 'regulates' holds a few of the pairs in one, 'near' most of the others and is told apart."""
    rng = np.random.default_rng(seed)
    u, v = np.triu_indices(num_nodes, 1)
    inside = rng.permutation(np.flatnonzero(u % 15 == v % 15))
    few, many = np.split(inside, [150])
    noise = rng.choice(np.flatnonzero(u % 15 != v % 15), 60, replace=False)
    rows = [(f"n{u[i]}", f"n{v[i]}", "regulates") for i in few] + [(f"n{u[i]}", f"n{v[i]}", "near") for i in many]
    rows += [(f"n{v[i]}", f"n{u[i]}", "near") for i in noise]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").sample(fraction=1.0, shuffle=True, seed=seed)


def decodes_itself(_features, _nodes):
    module = nn.Identity()
    module.encode = lambda x, _: x
    module.decode = lambda z, pairs: (z[pairs[0]] * z[pairs[1]]).sum(dim=1)
    return module


def names(graph, pairs):
    return {frozenset(pair) for pair in graph.ids[pairs].tolist()}


def test_edges_of_one_kind_are_predicted_and_the_others_stand_beside_them():
    frame = two_kinds()
    graph = Graph.from_edges(frame, relation="kind", predict_kind="regulates", bipartite=False)
    by_kind = {kind: {frozenset(row[:2]) for row in frame.rows() if row[2] == kind} for kind in ("regulates", "near")}
    assert names(graph, graph.edges) == by_kind["regulates"]
    assert names(graph, graph.others.pairs) == by_kind["near"]
    assert graph.others.counts == {"near": len(by_kind["near"])}
    assert graph.num_nodes == 150  # those of the other kind are nodes too
    most = Graph.from_edges(frame, relation="kind", bipartite=False)
    assert most.others.predicted == "near"
    assert any(each.severity == "warning" and "because it has most rows" in each.message for each in most.findings)


def test_ends_of_other_edges_follow_the_nodes_where_sides_renumber_them():
    rng = np.random.default_rng(3)
    drugs = sorted({(f"d{a}", f"t{b}", "targets") for a, b in rng.integers(20, size=(150, 2))})
    others = sorted({(f"t{min(a, b)}", f"t{max(a, b)}", "binds") for a, b in rng.integers(20, size=(40, 2)) if a != b})
    frame = pl.DataFrame(others + drugs, schema=SCHEMA, orient="row")
    graph = Graph.from_edges(frame, relation="kind", predict_kind="targets", bipartite=True)
    assert graph.space.bipartite
    assert names(graph, graph.others.pairs) == {frozenset(row[:2]) for row in others}
    assert names(graph, graph.edges) == {frozenset(row[:2]) for row in drugs}
    ids = [f"t{i}" for i in range(20)] + [f"d{i}" for i in range(20)]
    named = Graph.from_edges(frame, relation="kind", predict_kind="targets", bipartite=True, nodes=ids)
    assert names(named, named.others.pairs) == names(graph, graph.others.pairs)


def test_a_reverse_a_copy_and_a_part_are_refused_with_the_figure():
    frame = two_kinds()
    own = [row for row in frame.rows() if row[2] == "regulates"]
    reverse = [(b, a, "is regulated by") for a, b, _ in own[:140]]
    part = [(a, b, "curated") for a, b, _ in own[:20]]
    for rows, said in (
        (reverse, r"93\.3% of the pairs of 'regulates' are edges of 'is regulated by', and 100\.0%"),
        (part, r"13\.3%"),
    ):
        leaky = pl.concat([frame, pl.DataFrame(rows, schema=SCHEMA, orient="row")])
        for directed in (False, True):
            with pytest.raises(DataError, match=f"{rows[0][2]!r} tells the predicted edges: {said}"):
                Graph.from_edges(leaky, relation="kind", predict_kind="regulates", directed=directed)
    half = pl.concat([frame, pl.DataFrame([(b, a, "seen") for a, b, _ in own[:75]], schema=SCHEMA, orient="row")])
    more = pl.DataFrame([(f"n{i}", f"n{i + 1}", "seen") for i in range(0, 140)], schema=SCHEMA, orient="row")
    graph = Graph.from_edges(pl.concat([half, more]), relation="kind", predict_kind="regulates", bipartite=False)
    assert [each.statistic for each in graph.findings if "shows in the other kind" in each.message] == [0.5]


def test_messages_go_over_train_edges_and_all_others_and_no_held_out_edge():
    graph = Graph.from_edges(two_kinds(), relation="kind", predict_kind="regulates", bipartite=False)
    split = split_edges(graph, rng=np.random.default_rng(0))
    dense = np.eye(graph.num_nodes)
    for pairs in (split.train, graph.others.pairs):
        dense[pairs[:, 0], pairs[:, 1]] = dense[pairs[:, 1], pairs[:, 0]] = 1
    root = dense.sum(1) ** -0.5
    found = normalized_adjacency(split.propagated_graph()).toarray()
    np.testing.assert_allclose(found, root[:, None] * dense * root, rtol=1e-5)
    for part in ("validation", "calibration", "test"):
        pairs = getattr(split, part)
        assert (found[pairs[:, 0], pairs[:, 1]] == 0).all()
    assert split.message_graph().nnz == 2 * len(split.train)  # baselines count the predicted kind alone
    alone = split_edges(Graph(graph.ids, graph.edges, graph.space), rng=np.random.default_rng(0))
    assert alone.message_graph_hash() != split.message_graph_hash()


def test_other_edges_that_come_after_the_train_edges_carry_nothing():
    frame = two_kinds().with_row_index("t")
    graph = Graph.from_edges(
        frame, source="a", target="b", relation="kind", predict_kind="regulates", time="t", bipartite=False
    )
    split = split_by_time(graph, fractions=(0.8, 0.05, 0.05, 0.1))
    end = split.times.train_end
    known = {frozenset((a, b)) for t, a, b, kind in frame.rows() if kind == "near" and t <= end}
    assert names(graph, split.others.pairs) == known
    assert 0 < len(known) < len(graph.others.pairs)
    assert f"those up to the last train edge are known ({len(known)} pairs)" in about_kinds(split.others).message
    assert "known in full" in about_kinds(replace(split.others, times=None)).message


def test_what_cannot_be_used_is_refused(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("source,target,kind\na,b,x\nb,c,\nc,d,y\n")
    with pytest.raises(MalformedFile, match="e.csv, line 3, column 'kind': an empty cell is no kind"):
        Graph.from_edges(path, relation="kind")
    frame = two_kinds()
    with pytest.raises(DataError, match=r"no row of the kind 'treats'; there are 'near' \(585\), 'regulates' \(150\)"):
        Graph.from_edges(frame, relation="kind", predict_kind="treats")
    with pytest.raises(DataError, match="holds one kind only, 'near'"):
        Graph.from_edges(frame.filter(pl.col("kind") == "near"), relation="kind")
    with pytest.raises(OptionError, match="--predict names a kind of edges; give their column"):
        Graph.from_edges(frame, predict_kind="near")
    with pytest.raises(OptionError, match="--relation and --weight-as strength exclude each other"):
        Graph.from_edges(frame, relation="kind", weight="kind", weight_as="strength")
    with pytest.raises(
        OptionError, match="no two columns are left for the ids; the columns are 'source', 'target', 'kind'"
    ):
        Graph.from_edges(frame.rename({"a": "source", "b": "target"}), relation="kind", time="target")
    graph = Graph.from_edges(frame, relation="kind", predict_kind="regulates", bipartite=False)
    for own in (CustomScorer(lambda pairs: pairs[:, 0]), CustomEncoder(decodes_itself, table=4)):
        with pytest.raises(OptionError, match="--relation is not for own-"):
            LinkPredictor(model=own).fit(graph)
    for name in (each.name for each in families() if each.is_in_comparisons):
        if not family_of(name).takes_other_edges:
            with pytest.raises(
                OptionError, match=f"--relation is not for {name}: .*give the edges of 'regulates' alone"
            ):
                fit_graph(graph, FitConfig(model=name, threads=1))


def test_a_run_keeps_its_kinds_and_the_other_kind_helps(tmp_path):
    path = tmp_path / "e.csv"
    two_kinds().write_csv(path)
    config = FitConfig(model="gae", hidden=16, dim=8, epochs=60, folds=1, threads=1)
    reading = ReadingOptions(relation="kind", predict_kind="regulates", bipartite=False)
    run = fit_run(path, tmp_path / "run", config, reading=reading)
    loaded = load_run(tmp_path / "run")
    assert loaded.evaluation == run.evaluation
    assert loaded.split.others.pairs.tolist() == run.split.others.pairs.tolist()
    assert loaded.split.others.counts == run.split.others.counts
    assert any("is predicted. Messages go over" in each.message for each in run.evaluation.findings)
    assert "--predict-kind regulates" in (tmp_path / "run" / "report.html").read_text()
    assert LinkPredictor.load(tmp_path / "run").predict_kind == "regulates"
    graph = Graph.from_edges(path, relation="kind", predict_kind="regulates", bipartite=False)
    alone = fit_graph(Graph(graph.ids, graph.edges, graph.space), config)
    auc = [each.evaluation.metrics["roc_auc"].value for each in (run, alone)]
    assert auc[0] > 0.9 > auc[1]


def test_an_encoder_of_ones_own_is_given_the_edges_of_other_kinds_and_no_held_out_edge():
    graph, seen = Graph.from_edges(two_kinds(), relation="kind", predict_kind="regulates", bipartite=False), []

    class Mean(nn.Module):
        def encode(self, x, edge_index):
            seen.append(edge_index)
            return x.index_add(0, edge_index[1], x[edge_index[0]])

    run = LinkPredictor(model=CustomEncoder(Mean(), table=4), epochs=2, folds=1, threads=1).fit(graph).run_
    given = {frozenset(graph.ids[pair]) for pair in seen[0].numpy().T}
    assert given == names(graph, run.split.train) | names(graph, graph.others.pairs)


def test_evidence_says_that_a_pair_is_recorded_as_another_kind():
    """Of all pairs without an edge of the predicted kind those that are 'near', and no others, in either order."""
    graph = Graph.from_edges(two_kinds(), relation="kind", predict_kind="regulates")
    split = split_edges(graph, rng=np.random.default_rng(0))
    near = names(graph, graph.others.pairs)
    pairs = split.recorded().absent_pairs(np.arange(0, 8000, 7))
    pairs = np.concatenate([pairs, graph.others.pairs[:20]])
    lines = Evidence(graph.ids, split).lines(pairs)
    said = [line.startswith("recorded as an edge of kind 'near'; ") for line in lines]
    assert said == [frozenset(pair) in near for pair in graph.ids[pairs].tolist()]
    assert 20 < sum(said) < len(said)
