"""The terminal summary: every part is there, fits the width, and foreign text steers nothing."""

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from linkodds.report.summary import print_summary, verdict
from planted_evaluation import evaluation_of


def measured(value: float) -> dict[str, float]:
    return {"value": value, "low": 0.9 * value, "high": 1.1 * value}


EVALUATION: dict[str, Any] = {
    "model": {"name": "vgae"},
    "graph": {"num_edges": 7_100, "num_pairs": 568_787},
    "candidates": {"num_pairs": 562_287, "num_edges": 600, "prevalence": 600 / 562_287},
    "metrics": {
        "average_precision": measured(0.206),
        "average_precision_lift": measured(193.0),
        "precision_at_100": measured(0.58),
        "roc_auc": measured(0.9),
        "calibration_slope": measured(0.97),
        "observed_over_expected": measured(1.04),
        "mrr": {"value": None, "reason": "full rows were not ranked"},
    },
    "at_graph_ratio": {"average_precision": measured(0.52)},
    "degree_bins": [
        {"name": "low", "observed_over_expected": measured(0.9)},
        {"name": "middle", "observed_over_expected": {"value": None, "reason": "no edge is expected"}},
        {"name": "high", "observed_over_expected": measured(1.0)},
    ],
    "baselines": {
        "degree": {"roc_auc": 0.711, "average_precision": 0.0147},
        "l3": {"roc_auc": 0.871, "average_precision": 0.148},
    },
    "decisions": [
        {
            "rule": "f1",
            "threshold_logit": -2.1,
            "threshold_probability": 0.11,
            "precision": measured(0.35),
            "recall": measured(0.36),
            "f1": measured(0.355),
            "balanced_accuracy": measured(0.68),
        },
        {
            "rule": "recall>=0.8",
            "threshold_logit": None,
            "threshold_probability": None,
            "reason": "8 calibration edges are too few",
        },
    ],
    "audit": [
        {
            "alpha": 0.05,
            "num_selected": 0,
            "num_true": 0,
            "false_discovery_proportion": 0.0,
            "reason": "D26: too few nulls",
        },
        {"alpha": 0.1, "num_selected": 0, "num_true": 0, "false_discovery_proportion": 0.0},
        {"alpha": 0.3, "num_selected": 1_234, "num_true": 900, "false_discovery_proportion": 334 / 1_234},
    ],
    "findings": [{"id": "D14", "severity": "warning", "message": "3 columns are constant.", "remedy": "Drop them."}],
}


def printed(evaluation: dict[str, Any], width: int = 110, **options: Any) -> str:
    stream = io.StringIO()
    print_summary(evaluation_of(evaluation), Console(file=stream, width=width, **options))
    return stream.getvalue()


def test_every_part_is_printed_in_order() -> None:
    text, place = printed(EVALUATION), 0
    for part in (
        "vgae earns its keep",
        "58 of its first 100 candidates",
        "Calibration is fine",
        "graph: 1 : 79.1",
        "rehearsal: 1 : 936",
        "average precision",
        "0.206",
        "[0.185, 0.227]",
        "full rows were not ranked",
        "at the graph's ratio",
        "0.520",
        "leave out the split itself",
        "low 0.900 [0.810, 0.990], middle n/a: no edge",
        "high 1 [0.900, 1.10]",
        "against the baselines",
        "vgae",
        "l3",
        "0.148",
        "degree",
        "decisions",
        "f1",
        "0.110",
        "0.350",
        "0.360",
        "0.355",
        "0.680",
        "recall>=0.8",
        "none",
        "8 calibration edges",
        "audit: lists with a stated error",
        "D26: too few nulls",
        "nothing",
        "1,234",
        "900",
        "0.271",
        "on average over repetitions",
        "▲ warning D14: 3 columns are constant.",
        "Drop them.",
    ):
        found = text.find(part, place)
        assert found >= 0, f"{part!r} is missing, or comes too early"
        place = found


def test_it_says_the_same_sentence_as_everywhere_else() -> None:
    assert verdict(evaluation_of(EVALUATION)).sentence in " ".join(printed(EVALUATION).split())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line.rstrip()) for line in printed(EVALUATION, width).splitlines()) <= width


def test_a_file_gets_no_colour_codes_and_a_terminal_does() -> None:
    assert "\x1b" not in printed(EVALUATION)
    assert "\x1b[1;32m" in printed(EVALUATION, force_terminal=True, color_system="standard")


def test_foreign_text_is_neither_markup_nor_an_escape() -> None:
    evaluation = copy.deepcopy(EVALUATION)
    hostile = "[red]a[/red]\x1b[2J\u202e:smile:"
    evaluation["findings"] = [{"id": hostile, "severity": "info", "message": hostile, "remedy": hostile}]
    evaluation["decisions"][0]["rule"] = evaluation["model"]["name"] = hostile
    text = printed(evaluation, width=200)
    assert "\x1b" not in text
    assert text.count("[red]a[/red]\\x1b[2J\\u202e:smile:") >= 5


def test_the_calibrator_is_named_with_its_reason() -> None:
    fitted = {"calibrator": "platt", "num_edges": 483, "slope": 1.02, "slope_interval": [0.9, 1.1], "reason": None}
    text = printed({**EVALUATION, "calibrator": fitted})
    assert "calibrator: platt on 483 edges, slope 1.02 [0.900, 1.10]\n" in text
    few = {
        **fitted,
        "calibrator": "bias_only",
        "num_edges": 12,
        "slope_interval": None,
        "reason": "12 edges, \x1b too few",
    }
    assert "calibrator: bias-only on 12 edges, slope 1.02 (12 edges, \\x1b too few)" in printed(
        {**EVALUATION, "calibrator": few}
    )
    curved = {**fitted, "calibrator": "beta", "curve": {"kind": "beta"}, "reason": "asked for"}
    assert "calibrator: beta on 483 edges (asked for)" in printed({**EVALUATION, "calibrator": curved})
