"""Operating points against scikit-learn's weighted figures, and as the control of a page reads them."""

import json
from importlib.resources import files

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, matthews_corrcoef, precision_score, recall_score

from linkodds.evaluation.curves import MAX_POINTS, OperatingPoints, threshold_json
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.non_edge_scores import NonEdgeScores
from linkodds.probability.calibration import Calibrator
from linkodds.probability.decision import Decision

CALIBRATOR = Calibrator(1.5, -4.0, "platt", 0.02, 200, 10_000)


def weighted() -> tuple[HeldOut, np.ndarray, np.ndarray, np.ndarray]:
    """150 edges, and strata of which one was enumerated and one scored a tenth: weights 1 and 10; some logits tied."""
    rng = np.random.default_rng(5)
    edges = np.round(rng.normal(2, 1.5, 150), 1).astype(np.float32)
    near, rest = (np.round(rng.normal(m, 1, n), 1).astype(np.float32) for m, n in ((1, 300), (-1, 500)))
    anchors = np.append(edges.astype(np.float64), 0.55)
    scores = NonEdgeScores.of_strata({"near": (near, 300), "rest": (rest, 5_000)}, anchors=anchors)
    held_out = HeldOut(edges.astype(np.float64), scores, np.zeros(150, dtype=np.uint8))
    logits = np.concatenate([edges, near, rest]).astype(np.float64)
    return held_out, logits, np.arange(950) < 150, np.repeat([1.0, 1.0, 10.0], [150, 300, 500])


@pytest.mark.parametrize("graph_ratio", [None, 0.3])
def test_every_point_agrees_with_scikit_learn_with_weights(graph_ratio: float | None) -> None:
    held_out, logits, is_edge, weights = weighted()
    if graph_ratio is not None:
        held_out = held_out.at_prevalence(graph_ratio)
        weights = np.where(is_edge, 1.0, weights * 150 * (1 - graph_ratio) / graph_ratio / 5_300)
    points = OperatingPoints.of(held_out, CALIBRATOR, [0.55])
    assert 0.55 in points.threshold_logit
    assert (np.diff(points.threshold_logit) < 0).all()
    named = {name: points.measure(name) for name in ("precision", "recall", "f1", "mcc")}
    for i, threshold in enumerate(points.threshold_logit):
        said = {"y_true": is_edge, "y_pred": logits >= threshold, "sample_weight": weights}
        counts = [points.tn[i], points.fp[i], points.fn[i], points.tp[i]]
        np.testing.assert_allclose(counts, confusion_matrix(**said).ravel(), rtol=1e-12)
        assert named["precision"][i] == pytest.approx(precision_score(**said), rel=1e-12)
        assert named["recall"][i] == pytest.approx(recall_score(**said), rel=1e-12)
        assert named["f1"][i] == pytest.approx(f1_score(**said), rel=1e-12)
        assert named["mcc"][i] == pytest.approx(matthews_corrcoef(**said), abs=1e-12)
        assert points.list_length[i] == pytest.approx(weights[logits >= threshold].sum(), rel=1e-12)
        wrong = weights @ (is_edge & (logits < threshold)) + 7 * weights @ (~is_edge & (logits >= threshold))
        assert points.cost(7.0)[i] == pytest.approx(wrong, rel=1e-12)
    at_graph = CALIBRATOR.at_prevalence(held_out.prevalence)
    np.testing.assert_array_equal(points.probability, at_graph.probability(points.threshold_logit))


def test_many_thresholds_are_thinned_and_keep_both_ends() -> None:
    rng = np.random.default_rng(0)
    held_out = HeldOut.from_logits(rng.normal(1, 1, 5_000), rng.normal(0, 1, 10_000), 10_000)
    points = OperatingPoints.of(held_out, CALIBRATOR)
    assert 300 < len(points.threshold_logit) <= MAX_POINTS
    assert points.threshold_logit[[0, -1]].tolist() == [held_out.edge_logits.max(), held_out.edge_logits.min()]
    assert points.tp[-1] == 5_000
    assert (np.diff(points.list_length) > 0).all()


def test_a_rule_is_found_among_the_points_and_restating_moves_non_edges_alone() -> None:
    held_out, *_ = weighted()
    rules = [Decision("f1", 0.55, 0.1, 80), Decision("precision>=0.9", None, None, 80, reason="too few")]
    shown = threshold_json(held_out, CALIBRATOR, rules, graph_prevalence=0.25, applied="f1")
    (rule,) = shown["rules"]
    assert (rule["rule"], rule["applied"], shown["threshold_logit"][rule["index"]]) == ("f1", True, 0.55)
    rehearsal, graph = shown["rates"]
    assert (rehearsal["num_pairs"], graph["num_pairs"]) == (5_450, 600)
    assert rehearsal["tp"] == graph["tp"]
    assert rehearsal["recall"] == graph["recall"]
    np.testing.assert_allclose(np.multiply(rehearsal["fp"], 450 / 5_300), graph["fp"])
    columns = [column for rate in shown["rates"] for column in rate.values() if isinstance(column, list)]
    assert {len(column) for column in columns} == {len(shown["threshold_logit"])}
    json.dumps(shown, allow_nan=False)


def test_the_control_writes_text_only_and_reads_what_is_there() -> None:
    """Names of columns in the script are those of the JSON; nothing is parsed as markup, nothing bound inline."""
    script = files("linkodds.report").joinpath("assets/threshold.js").read_text(encoding="utf-8")
    assert not [
        word
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "http://www.w3.org/1999")
        if word in script
    ]
    assert "\r" not in script
    assert "</" not in script
    held_out, *_ = weighted()
    shown = threshold_json(held_out, CALIBRATOR, [Decision("f1", 0.55, 0.1, 80)], graph_prevalence=0.25)
    assert {"rules", "threshold_logit", "rates"} <= shown.keys()
    for name in ("probability", "precision", "recall", "f1", "mcc", "list_length", "fp", "fn", "tp", "tn"):
        assert name in script
        assert name in shown["rates"][0]
