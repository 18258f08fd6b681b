"""The demonstration graph: its truth is what it says, and the comparison counts right."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linkodds.comparison.demo import _edge_probabilities, _scaled_to_sum, compare_with_truth, demo_graph, run_demo
from linkodds.errors import RunExists
from linkodds.pairs import PairSpace


def test_graph_has_the_size_and_imbalance_of_the_origin_case() -> None:
    graph, hidden = demo_graph(np.random.default_rng(0))
    assert graph.num_nodes == 3163
    # Sums of independent draws: their deviation is at most the root of their mean, 250 and 84; four of them.
    expected = graph.space.num_pairs / 80
    assert graph.num_edges == pytest.approx(expected, abs=4 * expected**0.5)
    assert len(hidden) == pytest.approx(expected / 9, abs=4 * (expected / 9) ** 0.5)
    assert not graph.space.contains(graph.edges, hidden).any()
    assert graph.space.is_admissible(hidden).all()


def test_same_seed_same_graph() -> None:
    one, two = (demo_graph(np.random.default_rng(5), num_nodes=100)[0] for _ in range(2))
    assert np.array_equal(one.edges, two.edges)


def test_edges_are_drawn_with_their_probabilities() -> None:
    """Likely pairs are edges as often as their probabilities say, in each tenth of them."""
    rng = np.random.default_rng(3)
    space = PairSpace(400)
    pairs = space.pair_of_rank(np.arange(space.num_pairs))
    probabilities = _scaled_to_sum(_edge_probabilities(pairs, 400, 5, rng), 4000.0)
    graph, hidden = demo_graph(np.random.default_rng(3), num_nodes=400, num_groups=5, ratio=3600 / space.num_pairs)
    # The same generator state draws the same groups and hubs first, so these are that graph's probabilities.
    is_edge = space.contains(np.concatenate([graph.edges, hidden]), pairs)
    for part in np.array_split(np.argsort(probabilities), 10):
        deviation = np.sqrt((probabilities[part] * (1 - probabilities[part])).sum())
        assert abs(is_edge[part].sum() - probabilities[part].sum()) < 4 * deviation


def test_scaling_reaches_the_sum_under_the_cap() -> None:
    probabilities = _scaled_to_sum(np.array([1.0, 2.0, 1000.0]), 1.55)
    assert probabilities == pytest.approx([0.2, 0.4, 0.95])


def test_promise_that_fails_is_said() -> None:
    """100 links at one half: a deviation of 5, doubled; 100 held-out edges add one tenth of 50, so 2 * sqrt(50)."""
    probabilities = np.full(100, 0.5)
    for num_true, words in ((10, "differ by more than chance"), (36, "agree"), (65, "differ by more than chance")):
        is_hidden_edge = np.arange(100) < num_true
        promise, truth = compare_with_truth(probabilities, is_hidden_edge, prevalence=0.02, num_held_out=100)
        assert "50.0 ± 14.1 of the 100" in promise
        assert f"{num_true} of them are hidden edges" in truth
        assert "would hold 2.0" in truth
        assert words in truth


def test_demo_runs_and_writes_what_it_says(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    lines = run_demo(out, num_nodes=600)
    for name in ("edges.csv", "hidden.csv", "nodes.txt", "links.csv", "run/evaluation.json", "run/report.html"):
        assert (out / name).stat().st_size > 0
    assert lines[-1] == f"report: {out / 'run' / 'report.html'}"
    links, hidden = pl.read_csv(out / "links.csv"), pl.read_csv(out / "hidden.csv")
    true_ones = {frozenset(pair) for pair in hidden.iter_rows()}
    found = sum(frozenset(pair) in true_ones for pair in links.select("source", "target").iter_rows())
    assert f"Truth: {found} of them" in lines[-2]
    assert f"{links['probability'].sum():.1f} ±" in lines[-3]


def test_demo_does_not_write_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("mine\n")
    with pytest.raises(RunExists, match="--force"):
        run_demo(tmp_path)
    assert (tmp_path / "edges.csv").read_text() == "mine\n"
