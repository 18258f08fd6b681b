"""The verdict on planted evaluations: what is said must follow from the intervals, and never say more."""

import copy
import re
from typing import Any

import pytest

from linkodds.formatting import number_text, plain_text, quantity_text
from linkodds.metrics.intervals import Quantity
from linkodds.report.verdict import METRICS, base_rates, comparison, verdict
from planted_evaluation import evaluation_of

PLANTED: dict[str, Any] = {
    "model": {"name": "vgae"},
    "graph": {"num_edges": 7_100, "num_pairs": 568_787},
    "candidates": {"num_pairs": 562_287, "num_edges": 600, "prevalence": 600 / 562_287},
    "metrics": {
        "average_precision": {"value": 0.2, "low": 0.18, "high": 0.22},
        "precision_at_100": {"value": 0.58, "low": 0.5, "high": 0.66},
        "calibration_slope": {"value": 0.97, "low": 0.9, "high": 1.04},
        "observed_over_expected": {"value": 1.04, "low": 0.96, "high": 1.13},
    },
    "baselines": {
        "l3": {"average_precision": 0.1, "roc_auc": 0.8},
        "degree": {"average_precision": 0.02, "roc_auc": 0.7},
    },
    "degree_bins": [],
    "findings": [],
}


def planted(**metrics: Any) -> dict[str, Any]:
    evaluation = copy.deepcopy(PLANTED)
    evaluation["metrics"] |= metrics
    return evaluation


@pytest.mark.parametrize(
    ("l3", "words", "tone"),
    [
        (
            0.1,
            r"earns its keep: .* 0.200 \[0.180, 0.220\] is better than the 0.100 of the best baseline, l3, 2 times",
            "good",
        ),
        (0.179, "earns its keep: .* is better than the 0.179", "good"),
        (0.18, "does not clearly earn its keep: .* no better than the 0.180 .*the interval covers it", "mixed"),
        (0.21, "does not clearly earn its keep: .* no better than the 0.210", "mixed"),
        (0.25, "does not earn its keep: .* is worse than the 0.250", "bad"),
    ],
)
def test_better_and_worse_need_an_interval_that_leaves_the_baseline_out(l3: float, words: str, tone: str) -> None:
    evaluation = planted()
    evaluation["baselines"]["l3"]["average_precision"] = l3
    said = verdict(evaluation_of(evaluation))
    assert said.tone == tone
    assert re.search(words, said.headline), said.headline


@pytest.mark.parametrize(
    ("gain", "words", "tone"),
    [
        ((0.1, 0.08, 0.12), "earns its keep: .* is better than the 0.100 of the best baseline, l3, 2 times", "good"),
        (
            (0.1, -0.01, 0.21),
            r"does not clearly earn its keep: .* no better than the 0.100 .*\(on the same test edges the difference is "
            r"0.100 \[-0.0100, 0.210\]\), so counting is as good",
            "mixed",
        ),
        ((-0.1, -0.2, -0.05), "does not earn its keep: .* is worse than the 0.100", "bad"),
    ],
)
def test_where_both_ranked_the_same_edges_their_difference_decides(gain: Any, words: str, tone: str) -> None:
    evaluation = planted()
    value, low, high = gain
    evaluation["baselines"]["l3"] |= {"gain": {"value": value, "low": low, "high": high, "kind": "S"}}
    said = verdict(evaluation_of(evaluation))
    assert said.tone == tone
    assert re.search(words, said.headline), said.headline


def test_the_best_on_the_validation_edges_is_what_a_model_is_held_against() -> None:
    evaluation = planted()
    evaluation["baselines"]["l3"]["validation_average_precision"] = 0.08
    evaluation["baselines"]["degree"]["validation_average_precision"] = 0.09
    assert "the 0.0200 of the best baseline, degree, 10 times" in verdict(evaluation_of(evaluation)).headline


def test_what_is_not_above_chance_does_not_earn_its_keep_whatever_the_baselines_do() -> None:
    chance = PLANTED["candidates"]["prevalence"]
    evaluation = planted(average_precision={"value": 2 * chance, "low": 0.9 * chance, "high": 4 * chance})
    for each in evaluation["baselines"].values():
        each["average_precision"] = chance / 2
        each["gain"] = {"value": 1.5 * chance, "low": chance, "high": 2 * chance, "kind": "S"}
    said = verdict(evaluation_of(evaluation))
    assert said.tone == "mixed"
    assert "does not clearly earn its keep: " in said.headline
    assert "is not clearly above the prevalence, that of chance" in said.headline


def test_the_first_hundred_and_the_calibration_are_in_the_sentence() -> None:
    sentence = verdict(evaluation_of(planted())).sentence
    assert "58 of its first 100 candidates were held-out edges, where a random order finds 0.107." in sentence
    assert "Calibration is fine: slope 0.970 [0.900, 1.04], observed / expected 1.04 [0.960, 1.13]." in sentence


def test_fewer_edges_than_a_hundred_are_mentioned() -> None:
    evaluation = planted()
    evaluation["candidates"]["num_edges"] = 40
    assert "(there were 40 to find)" in verdict(evaluation_of(evaluation)).sentence


def test_a_missing_number_gives_its_reason() -> None:
    missing = {"value": None, "reason": "80 candidates, fewer than 100"}
    assert "n/a: 80 candidates, fewer than 100" in verdict(evaluation_of(planted(precision_at_100=missing))).sentence


@pytest.mark.parametrize(
    ("metric", "quantity", "words", "calibrated"),
    [
        (
            "calibration_slope",
            {"value": 0.5, "low": 0.4, "high": 0.6},
            "Calibration is off: probabilities are too extreme",
            False,
        ),
        (
            "calibration_slope",
            {"value": 1.6, "low": 1.4, "high": 1.8},
            "Calibration is off: probabilities are too timid",
            False,
        ),
        ("observed_over_expected", {"value": 0.5, "low": 0.4, "high": 0.6}, "too many edges are expected", False),
        ("observed_over_expected", {"value": 2.0, "low": 1.5, "high": 2.6}, "too few edges are expected", False),
        (
            "calibration_slope",
            {"value": 0.7, "low": 0.4, "high": 1.1},
            "not shown to be off, though the intervals are wide",
            True,
        ),
        ("calibration_slope", {"value": None, "reason": "constant logits"}, "could not be judged", False),
    ],
)
def test_calibration_is_off_only_where_the_interval_says_so(
    metric: str, quantity: Any, words: str, calibrated: bool
) -> None:
    said = verdict(evaluation_of(planted(**{metric: quantity})))
    assert words in said.sentence
    assert said.tone == ("good" if calibrated else "mixed")


def test_a_fifth_by_degree_that_is_off_spoils_calibration() -> None:
    evaluation = planted()
    evaluation["degree_bins"] = [{"name": "low", "observed_over_expected": {"value": 0.2, "low": 0.1, "high": 0.3}}]
    said = verdict(evaluation_of(evaluation))
    assert "Calibration is fine on the whole" in said.sentence
    assert "but too many edges are expected in the low fifth by degree (0.200 [0.100, 0.300])." in said.sentence
    assert said.tone == "mixed"


def test_an_error_forbids_to_use_the_numbers() -> None:
    evaluation = planted()
    evaluation["findings"] = [{"id": "D19", "severity": "error", "message": "leak", "remedy": "split again"}]
    said = verdict(evaluation_of(evaluation))
    assert said.tone == "bad"
    assert "Do not use these numbers yet: D19" in said.sentence


def test_chance_is_called_chance() -> None:
    said = verdict(evaluation_of(planted(average_precision={"value": 0.001, "low": 0.0009, "high": 0.00106})))
    assert "no better than chance" in said.headline
    assert said.tone == "bad"


def test_a_baseline_is_held_against_the_others_not_against_itself() -> None:
    evaluation = planted()
    evaluation["model"]["name"] = "l3"
    said = verdict(evaluation_of(evaluation))
    assert "l3, itself a baseline that learns nothing, earns its keep" in said.headline
    assert "best other baseline, degree" in said.headline
    assert [row.name for row in comparison(evaluation_of(evaluation))] == ["l3", "degree"]


def test_without_interval_or_baseline_nothing_is_claimed() -> None:
    assert (
        "cannot be told from a baseline" in verdict(evaluation_of(planted(average_precision={"value": 0.3}))).headline
    )
    alone = planted()
    alone["baselines"] = {}
    assert "compared with no baseline" in verdict(evaluation_of(alone)).headline
    assert {
        verdict(evaluation_of(alone)).tone,
        verdict(evaluation_of(planted(average_precision={"value": 0.3}))).tone,
    } == {"mixed"}


def test_the_two_base_rates_are_both_given() -> None:
    rates = base_rates(evaluation_of(PLANTED))
    assert rates["graph"] == "1 : 79.1 (7,100 edges among 568,787 pairs)"
    assert rates["rehearsal"] == "1 : 936 (600 held-out edges among 562,287 candidates)"


def test_every_metric_has_a_name_and_a_reading() -> None:
    assert len(METRICS) == 18
    assert len({name for name, _ in METRICS.values()}) == 18


def test_text_that_steers_a_terminal_is_made_visible() -> None:
    assert plain_text("\x1b]0;owned\x07\r\u202e\ud800é漢\u200d") == "\\x1b]0;owned\\x07\\r\\u202e\\ud800é漢\u200d"
    assert len(plain_text("x" * 10_000)) < 430


def test_a_precision_that_is_refused_still_shows_its_interval() -> None:
    assert quantity_text(Quantity(None, 0.1, 0.9, reason="few")) == "n/a [0.100, 0.900]: few"
    assert quantity_text(Quantity(0.5, reason="no interval: biased")) == "0.500"


def test_numbers_are_readable_at_every_size() -> None:
    assert [number_text(x) for x in (-0.06, 1e-9, 99.95, 123.4, 999.9, 1e9, float("nan"), float("inf"))] == [
        "-0.0600",
        "1.00×10⁻⁹",
        "100",
        "123",
        "1,000",
        "1,000,000,000",
        "n/a",
        "n/a",
    ]


def test_a_restated_evaluation_says_what_would_be_and_names_both_rates() -> None:
    evaluation = {
        "model": {"name": "vgae"},
        "graph": {"num_edges": 100, "num_pairs": 8_000},
        "candidates": {"num_edges": 10, "num_pairs": 7_910, "prevalence": 0.1},
        "restated": {"prevalence": 0.1, "from": 10 / 7_910},
        "metrics": {
            "average_precision": {"value": 0.5, "low": 0.4, "high": 0.6},
            "precision_at_100": {"value": 0.813, "low": 0.8, "high": 0.9},
        },
        "baselines": {},
    }
    said = verdict(evaluation_of(evaluation))
    assert said.headline.startswith("Restated at 1 : 9, vgae has average precision of 0.5")
    assert said.details[0] == "81.3 of its first 100 candidates would be edges, where a random order finds 10."
    rates = base_rates(evaluation_of(evaluation))
    assert rates["rehearsal"].startswith("1 : 790 ")
    assert rates["restated at"].startswith("1 : 9 ")
