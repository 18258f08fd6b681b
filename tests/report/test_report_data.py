"""The data of a report: a map that keeps planted groups, links that are those of the search, and reasons instead."""

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import pytest

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.links.inference import find_links
from linkodds.report import render_report, report_data
from linkodds.report.report_data import EmbeddingMap, TopLinks, map_embeddings, report_data_of
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run


def grouped(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Four groups in 12 dimensions, 8 standard deviations apart."""
    rng = np.random.default_rng(2)
    group = np.arange(num_nodes) % 4
    return 8 * np.eye(12)[group] + rng.normal(size=(num_nodes, 12)), group


def test_planted_groups_stay_together_and_nodes_that_are_left_out_are_counted() -> None:
    embeddings, group = grouped(400)
    shown = map_embeddings(embeddings, np.random.default_rng(0), most=160)
    assert isinstance(shown, EmbeddingMap)
    assert (len(shown.nodes), shown.num_nodes, shown.num_dimensions) == (160, 400, 12)
    assert (np.diff(shown.nodes) > 0).all()
    distance = np.linalg.norm(shown.places[:, None] - shown.places[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = group[shown.nodes][distance.argmin(axis=1)]
    assert (nearest == group[shown.nodes]).all()
    assert shown.trustworthiness > 0.8
    assert shown.variance_kept == pytest.approx(1.0)


def test_the_same_embeddings_give_the_same_map() -> None:
    embeddings, _ = grouped(60)
    first, second = (map_embeddings(embeddings, np.random.default_rng(4)) for _ in range(2))
    assert isinstance(first, EmbeddingMap)
    assert isinstance(second, EmbeddingMap)
    np.testing.assert_array_equal(first.places, second.places)


@pytest.mark.parametrize("embeddings", [np.ones((50, 3)), np.arange(50.0)[:, None] * np.ones(3), np.ones((3, 2))])
def test_what_has_no_plane_is_not_mapped(embeddings: np.ndarray) -> None:
    assert isinstance(map_embeddings(embeddings, np.random.default_rng(0)), str)


@pytest.fixture(scope="module")
def fitted() -> Callable[[str], Run]:
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(5), 14)
    u, v = np.triu_indices(len(group), k=1)
    is_edge = rng.random(len(u)) < np.where(group[u] == group[v], 0.5, 0.02)
    edges = [(f"=n{a}", f"=n{b}") for a, b in zip(u[is_edge], v[is_edge], strict=True)]
    graph = Graph.from_edges(edges)
    runs = {name: fit_graph(graph, FitConfig(model=name, epochs=5, dim=4, hidden=8, folds=1)) for name in ("gae", "l3")}
    return lambda name: runs[name]


def test_a_report_shows_the_links_of_the_search_and_is_the_same_twice(fitted: Callable[[str], Run]) -> None:
    run = fitted("gae")
    shown = report_data_of(run)
    assert isinstance(shown.top_links, TopLinks)
    wanted = find_links(run, MissingLinksAssumption().deployment(run), top=report_data.NUM_LINKS)
    assert shown.top_links.table.equals(wanted.select(shown.top_links.table.columns))
    assert isinstance(shown.embedding_map, EmbeddingMap)
    assert shown.degrees.sum() == 2 * run.evaluation.graph["num_edges"]
    rendered = render_report(run, shown)
    assert rendered == render_report(run, report_data_of(run))
    for measured in run.evaluation.decisions:  # the control stands where the rules stood
        name = measured.decision.rule
        place = next((rule["index"] for rule in shown.threshold["rules"] if rule["rule"] == name), None)
        if measured.confusion is None:
            assert place is None
        else:
            assert place is not None
            points = shown.threshold["rates"][0]
            assert {name: points[name][place] for name in ("tn", "fp", "fn", "tp")} == asdict(measured.confusion)
            assert points["f1"][place] == pytest.approx(measured.measured["f1"].value, rel=1e-9)


def test_without_embeddings_or_within_no_time_there_is_a_reason(
    fitted: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fitted("l3")
    shown = report_data_of(run)
    assert shown.embedding_map == "l3 scores pairs without embeddings of nodes"
    monkeypatch.setattr(report_data, "MAX_PAIRS", 100)
    assert "2,415 pairs take longer" in str(report_data_of(run).top_links)


def test_a_search_that_takes_too_long_is_stopped() -> None:
    check = report_data._stop_after(0.0)
    check(1.0)  # done: nothing to stop
    with pytest.raises(report_data._TooSlow, match="30%"):
        check(0.3)
