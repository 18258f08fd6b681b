"""Baselines are measured as the model is: what a fit says of one beside a model, a fit of it alone says too."""

import numpy as np
import pytest

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import average_precision
from linkodds.metrics.ranking import average_precision_gain
from linkodds.report.verdict import best_baseline, comparison


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("choice", ["yes", "no"])
def test_a_baseline_beside_a_model_has_the_figures_of_its_own_fit(communities: Graph, choice: str, folds: int) -> None:
    options = {"degree_calibration": choice, "folds": folds, "threads": 1, "split": (0.6, 0.15, 0.1, 0.15)}
    beside = fit_graph(communities, FitConfig(model="degree", **options)).evaluation.baselines
    for name in ("common-neighbors", "l3"):
        alone = fit_graph(communities, FitConfig(model=name, **options)).evaluation
        assert beside[name].average_precision == alone.metrics["average_precision"].value
        assert beside[name].roc_auc == alone.metrics["roc_auc"].value
        if choice == "no":
            assert beside[name].average_precision_uncorrected == beside[name].average_precision
        else:
            assert beside[name].average_precision_uncorrected != beside[name].average_precision
        gain = alone.baselines[name].gain
        assert gain is not None
        assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_the_best_is_the_best_on_the_validation_edges_and_is_shown_with_both_figures(communities: Graph) -> None:
    evaluation = fit_graph(communities, FitConfig(model="degree", folds=1, degree_calibration="yes")).evaluation
    others = {name: each for name, each in evaluation.baselines.items() if name != "degree"}
    found = best_baseline(evaluation)
    assert found is not None
    assert found[0] == max(others, key=lambda name: others[name].validation_average_precision or 0.0)
    assert found[1] == others[found[0]].average_precision
    rows = {row.name: row.uncorrected for row in comparison(evaluation)}
    assert rows["degree"] is None
    assert rows["l3"] == others["l3"].average_precision_uncorrected
    value = evaluation.metrics["average_precision"].value
    assert value is not None
    for each in others.values():
        assert each.gain is not None
        assert each.gain.value == pytest.approx(value - each.average_precision, abs=1e-12)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_the_interval_of_a_difference_is_that_of_a_bootstrap_of_the_edges(shared: float) -> None:
    """Scores that share nine tenths of their noise differ far less than their intervals apart would say."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=600)
    edges = [2.0 + np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=600) for _ in range(2)]
    others = [rng.normal(size=20_000) for _ in range(2)]
    both = [HeldOut.from_logits(e, o, 20_000) for e, o in zip(edges, others, strict=True)]
    value, (low, high) = average_precision_gain(*both)
    assert value == average_precision(both[0]) - average_precision(both[1])
    drawn = []
    for _ in range(400):
        some = rng.integers(0, 600, 600)
        one, other = (
            average_precision(HeldOut.from_logits(e[some], o, 20_000)) for e, o in zip(edges, others, strict=True)
        )
        drawn.append(one - other)
    assert (high - low) / (2 * 1.964) == pytest.approx(np.std(drawn, ddof=1), rel=0.12)


def test_nine_edges_say_nothing_of_a_difference() -> None:
    one = HeldOut.from_logits(np.arange(9.0), np.arange(20.0), 20)
    assert average_precision_gain(one, one) == (0.0, (-1.0, 1.0))
