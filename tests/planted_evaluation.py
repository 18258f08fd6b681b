"""An evaluation from the few numbers that a test is about."""

from collections.abc import Mapping
from typing import Any

from linkodds.evaluation.evaluation import DECIDED, FORMAT, Evaluation
from linkodds.probability.decision import Decision

UNKNOWN = {"value": None, "reason": "not planted"}
_MAPPINGS = (
    *("graph", "candidates", "model", "metrics", "at_graph_ratio", "balanced"),
    *("fixed_graph", "baselines", "split", "calibrator"),
)
_LISTS = ("decisions", "degree_bins", "findings", "audit")
_EMPTY: dict[str, Any] = {
    **{name: {} for name in _MAPPINGS},
    **{name: [] for name in _LISTS},
    "message_graph": "",
}
_DECISION = {**dict.fromkeys(Decision.__dataclass_fields__), "num_edges": 1, "confusion": None}


def evaluation_of(values: Mapping[str, Any]) -> Evaluation:
    """What evaluation.json would say with these values and nothing else measured.

    Args:
        values: any of its sections, and of each baseline and decision what matters.
    """
    baselines = {
        name: {"roc_auc": 0.5, "average_precision": 0.0, **each} for name, each in values.get("baselines", {}).items()
    }
    decisions = [{**_DECISION, **dict.fromkeys(DECIDED, UNKNOWN), **each} for each in values.get("decisions", [])]
    changed = {"baselines": baselines, "decisions": decisions}
    return Evaluation.from_json({"format": FORMAT, **_EMPTY, **values, **changed})
