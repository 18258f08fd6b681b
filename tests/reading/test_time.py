"""Times of edges: reading, the split by them, horizons, and what a random split would have said."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from typer.testing import CliRunner

from linkodds.cli.app import app
from linkodds.config import FitConfig
from linkodds.errors import DegenerateGraph, MalformedFile, OptionError
from linkodds.estimator import LinkPredictor
from linkodds.evaluation.temporal_metrics import horizon_rows
from linkodds.fitting.pipeline import fit_graph, fit_run
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, Split, split_by_time
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision
from linkodds.pairs import PairSpace
from linkodds.reading.reading_options import ReadingOptions
from linkodds.reading.times import EdgeTimes, SplitTimes, read_times, time_text
from linkodds.report.verdict import verdict
from linkodds.runs.missing_links import MissingLinksAssumption, evaluate_run
from linkodds.runs.record import load_run

DAY = 86_400_000_000


def growing(*, drift=True, seed=0):
    """600 nodes in 60 communities that are dealt anew in each of five eras; without drift the times are dealt out again."""
    rng = np.random.default_rng(seed)
    rows, seen = [], set()
    for era in range(5):
        community = rng.permutation(600) % 60
        u, v = np.triu_indices(600, 1)
        inside = np.flatnonzero(community[u] == community[v])
        for pair in rng.choice(inside, 1300, replace=False):
            if pair not in seen:
                rows.append((f"n{u[pair]}", f"n{v[pair]}", 2000 + era * 10 + int(rng.integers(10))))
            seen.add(pair)
    if not drift:
        years = rng.permutation([year for *_, year in rows])
        rows = [(a, b, int(year)) for (a, b, _), year in zip(rows, years, strict=True)]
    return pl.DataFrame(rows, schema=["a", "b", "year"], orient="row")


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["3", "-1", "9999999999999999999"[:18]], "integer", [3, -1, 999999999999999999]),
        (["3", "1e3", "0.5"], "float", [3.0, 1000.0, 0.5]),
        (["1970-01-02", "1969-12-31"], "date", [DAY, -DAY]),
        (["1970-01-01T00:00:01Z", "1970-01-01T02:00:00+02:00"], "date", [1_000_000, 0]),
        (["1970-02", "1970-01-01"], "date", [31 * DAY, 0]),
        (["19700102", "1970-01-01"], "date", [DAY, 0]),
    ],
)
def test_integers_numbers_and_iso_dates_are_times(cells, kind, values):
    times = read_times(pl.Series(cells), "t", str)
    assert (times.kind, times.values.tolist()) == (kind, values)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1", "2", "soon"], r"line 4, column 't': 'soon' is no time"),
        (["1", "", "2"], r"line 3, column 't': an empty cell is no time"),
        (["1.5", "nan"], r"line 3, column 't': 'nan' is no time"),
        (["2020-01-31", "12.5"], r"line 3, column 't': '12.5' is a number, where the first, '2020-01-31', is a date"),
        (["2020-01-31", "2020-02-31"], r"line 3, column 't': '2020-02-31' is no time"),
        (
            ["2020-01-31T01:00:00Z", "2020-01-31"],
            r"line 3, .* is a date, where the first, .* is a date with a time zone",
        ),
    ],
)
def test_anything_else_is_refused_with_line_column_and_value(tmp_path, cells, said):
    path = tmp_path / "e.csv"
    path.write_text("source,target,t\n" + "".join(f"a{i},b{i},{cell}\n" for i, cell in enumerate(cells)))
    with pytest.raises(MalformedFile, match=f"e.csv, {said}"):
        Graph.from_edges(path, time="t")


def test_times_of_native_columns(tmp_path):
    from datetime import date, datetime

    frame = pl.DataFrame({"a": ["x", "y"], "b": ["z", "z"], "day": [date(1970, 1, 2), date(1970, 1, 1)]})
    frame = frame.with_columns(moment=pl.Series([datetime(1970, 1, 1, 12), datetime(1970, 1, 1)]))
    frame.write_parquet(tmp_path / "e.parquet")
    of_pandas = pd.DataFrame({"a": ["x", "y"], "b": ["z", "z"], "day": pd.to_datetime(["1970-01-02", "1970-01-01"])})
    of_pandas["moment"] = pd.to_datetime(["1970-01-01T12:00", "1970-01-01T00:00"])
    for edges in (tmp_path / "e.parquet", frame, of_pandas):
        assert Graph.from_edges(edges, time="day").times.values.tolist() == [DAY, 0]
        assert Graph.from_edges(edges, time="moment").times.values.tolist() == [DAY // 2, 0]
    assert time_text(DAY // 2, "date") == "1970-01-01T12:00:00"


def test_the_first_time_of_an_edge_counts_whatever_its_direction_and_row():
    rows = [("p", "q", 5), ("q", "r", 4), ("q", "p", 3), ("q", "q", 0), ("q", "r", 9), ("r", "s", 7)]
    frame = pl.DataFrame(rows, schema=["a", "b", "t"], orient="row")
    graph = Graph.from_edges(frame, time="t")
    found = {tuple(graph.ids[edge]): int(time) for edge, time in zip(graph.edges, graph.times.values, strict=True)}
    assert found == {("p", "q"): 3, ("q", "r"): 4, ("r", "s"): 7}
    later = next(each for each in graph.findings if "repeat an edge at a later time" in each.message)
    assert later.statistic == 2
    arcs = Graph.from_edges(frame, time="t", directed=True)
    assert len(arcs.times.values) == 4


def test_times_stay_with_their_edges_where_sides_renumber_the_nodes():
    rng = np.random.default_rng(1)
    rows = {(f"d{a}", f"g{b}") if rng.random() < 0.5 else (f"g{b}", f"d{a}") for a, b in rng.integers(15, size=(80, 2))}
    rows = [(*row, int(time)) for row, time in zip(sorted(rows), rng.permutation(len(rows)), strict=True)]
    graph = Graph.from_edges(pl.DataFrame(rows, schema=["a", "b", "t"], orient="row"), time="t", bipartite=True)
    truth = {}
    for a, b, time in rows:
        truth[frozenset((a, b))] = min(time, truth.get(frozenset((a, b)), time))
    found = {frozenset(graph.ids[edge]): int(t) for edge, t in zip(graph.edges, graph.times.values, strict=True)}
    assert found == truth


def test_a_named_column_makes_the_first_line_a_header_and_is_no_id(tmp_path):
    path = tmp_path / "e.txt"
    path.write_text("when x y\n3 a b\n4 b c\n")
    assert Graph.from_edges(path, time="when").ids.tolist() == ["a", "b", "c"]
    path.write_text("a b 3\nb c 4\n")
    assert Graph.from_edges(path, time=3, header=False).times.values.tolist() == [3, 4]
    with pytest.raises(OptionError, match="--time names a column of its own"):
        Graph.from_edges(path, time=1, source=1, header=False)
    with pytest.raises(OptionError, match="time: for tables only"):
        Graph.from_edges([("a", "b"), ("b", "c")], time="t")


@pytest.mark.parametrize("seed", range(20))
def test_parts_follow_each_other_in_time_and_no_time_is_parted(seed):
    rng = np.random.default_rng(seed)
    space = PairSpace(40)
    edges = space.pair_of_rank(np.sort(rng.choice(space.num_pairs, 200, replace=False)))
    values = rng.integers(int(rng.choice([5, 30, 1000])), size=200)
    graph = Graph(
        np.array([f"n{i}" for i in range(40)], dtype=object), edges, space, times=EdgeTimes(values, "integer", "t")
    )
    split = split_by_time(graph, fractions=(0.8, 0.05, 0.05, 0.1))
    parts = [split.times.parts[part] for part in PARTS]
    assert all(before.max() < after.min() for before, after in pairwise(parts))
    assert sum(map(len, parts)) == 200
    time_of = dict(zip(space.keys(edges).tolist(), values.tolist(), strict=True))
    for part in PARTS:
        assert [time_of[key] for key in space.keys(getattr(split, part)).tolist()] == split.times.parts[part].tolist()


def split_of(values, fractions):
    space = PairSpace(30)
    edges = space.pair_of_rank(np.arange(len(values)))
    times = EdgeTimes(np.array(values), "integer", "t")
    graph = Graph(np.array([f"n{i}" for i in range(30)], dtype=object), edges, space, times=times)
    return {part: each.tolist() for part, each in split_by_time(graph, fractions=fractions).times.parts.items()}


def test_a_boundary_lies_at_the_nearest_change_of_time():
    # Wanted after 5, 7 and 8 edges; changes after 2, 4, 7, 8 and 9.
    assert split_of([1, 1, 2, 2, 3, 3, 3, 4, 5, 6], (0.5, 0.2, 0.1, 0.2)) == {
        "train": [1, 1, 2, 2],
        "validation": [3, 3, 3],
        "calibration": [4],
        "test": [5, 6],
    }
    # All three want the end: they are pushed apart, and every part has an edge.
    assert split_of([1] * 7 + [2, 3, 4], (0.97, 0.01, 0.01, 0.01)) == {
        "train": [1] * 7,
        "validation": [2],
        "calibration": [3],
        "test": [4],
    }
    with pytest.raises(DegenerateGraph, match="has 3 distinct time"):
        split_of([1, 1, 2, 3], (0.25, 0.25, 0.25, 0.25))


def test_horizon_rows_are_what_their_edges_alone_would_give():
    rng = np.random.default_rng(3)
    space = PairSpace(200)
    test_edges = space.pair_of_rank(np.arange(100) * 7)
    others = [space.pair_of_rank(np.arange(start, start + 3)) for start in (15_000, 16_000, 17_000)]
    years = np.sort(rng.integers(10, 20, size=100))
    times = {part: np.arange(3) + k for part, k in zip(PARTS, (0, 3, 6), strict=False)} | {"test": years}
    split = Split(*others, test_edges, space, times=SplitTimes("t", "integer", times))
    logits, noise = rng.normal(2, 1, 100), rng.normal(0, 1, 5000)
    test = HeldOut.from_logits(logits, noise, 5000)
    rows = horizon_rows(test, split, 2.0)
    assert len(rows) == 4
    assert sum(row["num_edges"] for row in rows) == 100
    assert [row["from"] for row in rows[1:]] > [row["to"] for row in rows[:-1]]
    for row in rows:
        inside = (years >= int(row["from"])) & (years <= int(row["to"]))
        alone = HeldOut.from_logits(logits[inside], noise, 5000).at_prevalence(test.prevalence)
        assert row["average_precision"].value == pytest.approx(average_precision(alone), rel=1e-6)
        assert row["recall"].value == pytest.approx((logits[inside].astype(np.float32) >= 2.0).mean())
        assert row["after_train_end"] == [str(int(row["from"]) - 2), str(int(row["to"]) - 2)]


def test_a_random_split_is_said_to_flatter_where_communities_drift_and_not_where_times_mean_nothing():
    config = FitConfig(model="resource-allocation", threads=1)
    found = {}
    for drift in (True, False):
        evaluation = fit_graph(Graph.from_edges(growing(drift=drift), time="year"), config).evaluation
        compared = evaluation.time["random_split"]
        found[drift] = compared["flatters"]
        said = [each.severity for each in evaluation.findings if "random split would" in each.message]
        assert said == ["warning" if drift else "info"]
        if drift:
            precision = compared["average_precision"]
            assert precision["random"].value > 2 * precision["time"].value
    assert found == {True: True, False: False}


def test_a_run_keeps_its_times_and_reproduces_them(tmp_path):
    path = tmp_path / "e.csv"
    growing().write_csv(path)
    config = FitConfig(model="gae", epochs=10, hidden=8, dim=4, threads=1)
    lines = []
    run = fit_run(path, tmp_path / "run", config, reading=ReadingOptions(time="year"), progress=lines.append)
    assert any(line.startswith("split by time, column 'year': train 2000 to ") for line in lines)
    loaded = load_run(tmp_path / "run")
    assert loaded.evaluation == run.evaluation
    assert loaded.split.folds == 1
    assert all(np.array_equal(loaded.split.times.parts[part], run.split.times.parts[part]) for part in PARTS)
    assert horizon_rows(loaded.test, loaded.split, loaded.decision.threshold_logit) == run.evaluation.time["horizon"]
    restated = evaluate_run(loaded, MissingLinksAssumption(prevalence=0.2))
    for row, before in zip(restated.time["horizon"], run.evaluation.time["horizon"], strict=True):
        assert row["roc_auc"].value == pytest.approx(before["roc_auc"].value)
        assert row["average_precision"].value > before["average_precision"].value
    assert "Claims about the future rest on this split alone." in verdict(run.evaluation).sentence
    report = (tmp_path / "run" / "report.html").read_text()
    assert "By horizon" in report
    assert "--time year" in report
    done = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run")])
    assert done.exit_code == 0
    assert "by horizon" in done.output
    assert LinkPredictor.load(tmp_path / "run").time == "year"
    again = LinkPredictor(model="gae", epochs=10, hidden=8, dim=4, threads=1, time="year").fit(path)
    assert again.run_.evaluation == run.evaluation


def test_folds_and_other_columns_are_refused_and_unused_times_are_named():
    frame = growing()
    graph = Graph.from_edges(frame, time="year")
    with pytest.raises(OptionError, match="--folds deals edges of all times anew"):
        fit_graph(graph, FitConfig(model="degree", folds=3, threads=1))
    with pytest.raises(OptionError, match="time='month': this graph was not read so"):
        LinkPredictor(model="degree", time="month").fit(graph)
    with pytest.raises(ValueError, match="one time for each edge"):
        replace(graph, times=graph.times.of(np.arange(3)))
    unused = [each for each in Graph.from_edges(frame).findings if "looks like times" in each.message]
    assert [each.severity for each in unused] == ["warning"]
    assert "--time year" in unused[0].remedy
    assert not [each for each in graph.findings if "looks like times" in each.message]
    scores = frame.with_columns(year=pl.Series(["?"] * len(frame)))
    assert not [each for each in Graph.from_edges(scores).findings if "looks like times" in each.message]


def test_a_column_with_a_name_of_times_that_holds_lists_is_left_alone(tmp_path):
    frame = pl.DataFrame({"a": ["x", "y", "z"], "b": ["y", "z", "w"], "dates": [[1], [2, 3], [4]]})
    frame.write_parquet(tmp_path / "e.parquet")
    assert Graph.from_edges(tmp_path / "e.parquet").num_edges == 3


def test_a_cell_that_is_no_time_is_to_be_written_anew_and_an_empty_one_filled_in(tmp_path):
    for cell, cure in (("01/02/2020", "Write the column so or delete the row"), ("", "Fill it in or delete the row")):
        (tmp_path / "e.csv").write_text(f"source,target,t\na,b,2020-01-01\nb,c,{cell}\n")
        with pytest.raises(MalformedFile, match=f"line 3, column 't': .*{cure}"):
            Graph.from_edges(tmp_path / "e.csv", time="t")
