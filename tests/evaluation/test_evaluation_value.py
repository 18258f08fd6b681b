"""The value of evaluation.json: read back as it was written, whatever a newer version adds, and refused where damaged."""

import json
from typing import Any

import pytest

from linkodds.errors import BrokenRun
from linkodds.evaluation.evaluation import Evaluation
from planted_report import EVALUATION, PlantedRun


def test_reading_and_writing_keeps_every_value_and_its_order() -> None:
    written = json.dumps(PlantedRun().evaluation.to_json())
    assert json.dumps(Evaluation.from_json(json.loads(written)).to_json()) == written


def test_keys_of_a_newer_version_are_passed_over() -> None:
    values = PlantedRun().evaluation.to_json()
    assert Evaluation.from_json({**values, "kinds": {"a": 1}}).to_json() == values


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"format": "linkodds.evaluation/2"}, "this version reads"),
        ({"metrics": {"roc_auc": {"value": 0.5, "low": 0.6, "high": 0.7}}}, "outside its interval"),
        ({"metrics": []}, "evaluation.json: AttributeError"),
        ({"findings": [{"id": "D04"}]}, "severity"),
    ],
)
def test_what_is_damaged_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(BrokenRun, match=says):
        Evaluation.from_json({**PlantedRun().evaluation.to_json(), **changed})


@pytest.mark.parametrize("section", ["metrics", "decisions", "findings", "message_graph"])
def test_a_missing_section_is_named(section: str) -> None:
    values = PlantedRun().evaluation.to_json()
    del values[section]
    assert section in {*EVALUATION, "message_graph"}
    with pytest.raises(BrokenRun, match=section):
        Evaluation.from_json(values)
