"""Figures draw what they are given: references, thresholds, intervals; and foreign text stays text."""

import json

import numpy as np

from linkodds.figures import (
    MarkedThreshold,
    draw_gains,
    draw_history,
    draw_precision_recall,
    draw_reliability,
    draw_roc,
    figure_json,
    plotly_js,
)

HALF = MarkedThreshold("half", 0.5, 0.25, 1e-3, 0.5)
RECALL, PRECISION = np.array([0.25, 0.5, 1.0]), np.array([0.8, 0.3, 0.01])


def test_precision_recall_has_the_prevalence_line_and_the_thresholds() -> None:
    nothing_taken = MarkedThreshold("budget:0", 0.0, None, 0.0, 1.0)
    figure = draw_precision_recall(RECALL, PRECISION, prevalence=0.005, points=[HALF, nothing_taken])
    curve, chance, half = figure.data
    np.testing.assert_array_equal(curve.x, RECALL)
    np.testing.assert_array_equal(curve.y, PRECISION)
    assert list(chance.y) == [0.005, 0.005]
    assert (half.name, list(half.x), list(half.y)) == ("half", [0.5], [0.25])
    assert "threshold 0.5" in half.hovertemplate


def test_precision_is_on_a_log_axis_only_where_edges_are_rare() -> None:
    assert draw_precision_recall(RECALL, PRECISION, prevalence=0.005).layout.yaxis.type == "log"
    assert draw_precision_recall(RECALL, PRECISION, prevalence=0.2).layout.yaxis.type is None


def test_every_axis_names_its_quantity() -> None:
    bins = np.array([0.01, 0.1])
    figures = [
        draw_precision_recall(RECALL, PRECISION, prevalence=0.1),
        draw_roc(RECALL, PRECISION),
        draw_gains(RECALL, PRECISION, prevalence=0.1),
    ]
    for figure in figures:
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text
    reliability = draw_reliability(bins, bins, bins, bins, num_edges=bins, num_candidates=bins)
    history = draw_history({"epoch": [1, 2], "loss": [2.0, 1.0], "validation_average_precision": [None, 0.3]})
    for figure in (reliability, history):
        assert [figure.layout[f"{axis}"].title.text for axis in ("yaxis", "yaxis2", "xaxis2")].count(None) == 0


def test_thresholds_have_different_symbols_so_that_colour_is_not_needed() -> None:
    rules = ["half", "balanced_accuracy", "f1", "mcc", "precision>=0.5", "recall>=0.8", "cost:20:1"]
    points = [MarkedThreshold(rule, 0.5, 0.25, 1e-3, 0.5) for rule in rules]
    traces = draw_precision_recall(RECALL, PRECISION, prevalence=0.1, points=points).data[2:]
    assert len({trace.marker.symbol for trace in traces}) == len(rules)


def test_roc_leaves_out_what_a_log_axis_cannot_show() -> None:
    figure = draw_roc(
        np.array([0.0, 0.0, 0.01, 1.0]),
        np.array([0.1, 0.2, 0.6, 1.0]),
        points=[HALF, MarkedThreshold("x", 0.1, 1.0, 0.0, 0.9)],
    )
    assert list(figure.data[0].y) == [0.6, 1.0]
    assert [trace.name for trace in figure.data[2:]] == ["half"]


def test_reliability_shows_intervals_and_an_upper_limit_where_no_edge_was_seen() -> None:
    figure = draw_reliability(
        np.array([1e-4, 0.1]),
        np.array([0.0, 0.2]),
        np.array([0.0, 0.15]),
        np.array([3e-4, 0.27]),
        num_edges=np.array([0.0, 40]),
        num_candidates=np.array([10_000.0, 200]),
    )
    named = {trace.name: trace for trace in figure.data}
    assert list(named["observed"].x) == [0.1]
    np.testing.assert_allclose([*named["observed"].error_y.array, *named["observed"].error_y.arrayminus], [0.07, 0.05])
    assert list(named["no edge: upper limit"].y) == [3e-4]
    assert list(named["edges"].y) == [40]
    np.testing.assert_array_equal(named["identity"].x, named["identity"].y)


def test_history_skips_epochs_without_validation_and_columns_without_numbers() -> None:
    columns = {
        "epoch": [1, 2, 3],
        "loss": [2.0, 1.5, None],
        "kl": [None, "", None],
        "validation_average_precision": [None, 0.2, ""],
    }
    figure = draw_history(columns, kept_epoch=2)
    assert [trace.name for trace in figure.data] == ["loss", "validation average precision"]
    assert list(figure.data[1].x) == [2]
    assert "kept: epoch 2" in [note.text for note in figure.layout.annotations]


def test_history_marks_events_but_not_more_than_can_be_read() -> None:
    columns = {"epoch": list(range(50)), "loss": [1.0] * 50, "event": ["restart"] * 50}
    assert len(draw_history(columns).layout.annotations) == 5


def test_a_spike_of_the_loss_is_put_on_a_log_axis() -> None:
    calm, spike = {"epoch": [1, 2], "loss": [1.0, 0.9]}, {"epoch": [1, 2], "loss": [1.0, 1e6]}
    assert draw_history(calm).layout.yaxis.type is None
    assert draw_history(spike).layout.yaxis.type == "log"


def test_foreign_text_brings_no_markup_and_no_template() -> None:
    hostile = MarkedThreshold('<a href="https://example.org">%{x}</a>' + "x" * 500, 0.5, 0.25, 1e-3, 0.5)
    trace = draw_precision_recall(RECALL, PRECISION, prevalence=0.1, points=[hostile]).data[2]
    assert "<a" not in trace.name
    assert "&lt;a href" in trace.name
    assert len(trace.name) < 120
    assert trace.hovertemplate.count("%{") == 2  # ours


def test_json_of_a_figure_reads_back_and_holds_no_character_of_markup() -> None:
    figure = draw_history({"epoch": [1], "loss": [1.0], "event": ["</script><!-- \u2028 &"]})
    text = figure_json(figure)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == json.loads(figure.to_json())


def test_the_library_is_the_whole_of_plotly_with_line_feeds_only() -> None:
    script = plotly_js()
    assert "plotly.js v" in script[:200]
    assert len(script) > 1_000_000
    assert "\r" not in script
    assert "</script" not in script
