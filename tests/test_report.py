"""report.html of a planted run: order and content, foreign text as text, no connection, a size that can be mailed."""

import base64
import copy
import hashlib
import html.parser
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linkodds.curves import Curves, ReliabilityCurve
from linkodds.evaluation import STATEMENT
from linkodds.metrics import DegreeBins
from linkodds.report import render_report, write_report

HOSTILE = "<script>alert(1)</script>"


def planted_curves() -> Curves:
    """600 edges; precision falls as 1 / (1 + recall^3) and the first of five bins holds no edge."""
    recall = np.arange(1, 601) / 600
    found = 600 * recall
    length = np.round(found / (0.9 / (1 + 60 * recall**3) + 0.001))
    precision = found / length
    return Curves(
        threshold_logit=np.linspace(3, -6, 600),
        threshold_probability=np.linspace(0.9, 1e-4, 600),
        recall=recall,
        precision=precision,
        false_positive_rate=(length - found) / 561_687,
        list_length=length,
        edges_found=found,
        reliability=ReliabilityCurve(
            predicted=np.array([1e-5, 2e-4, 3e-3, 0.03, 0.2, 0.5]),
            observed=np.array([0.0, 2.4e-4, 2.8e-3, 0.034, 0.18, 0.56]),
            low=np.array([0.0, 1.9e-4, 2.4e-3, 0.029, 0.15, 0.42]),
            high=np.array([3e-5, 3.0e-4, 3.2e-3, 0.040, 0.22, 0.73]),
            num_edges=np.array([0.0, 90, 160, 150, 140, 60]),
            num_candidates=np.array([120_000.0, 380_000, 57_000, 4_400, 780, 107]),
        ),
        degree_ranges=None,
        degree_bins=DegreeBins(np.zeros(5), np.zeros(5), np.zeros(5)),
    )


def quantity(value: float, spread: float = 0.1) -> dict[str, Any]:
    return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread), "kind": "S"}


def decision(rule: str, tp: int, fp: int, **more: Any) -> dict[str, Any]:
    fn, tn = 600 - tp, 561_687 - fp
    recall, precision = tp / 600, tp / (tp + fp)
    return {
        "rule": rule,
        "threshold_probability": 0.11,
        "threshold_logit": -2.1,
        "confusion": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        "precision": quantity(precision),
        "recall": quantity(recall),
        "f1": quantity(2 * tp / (2 * tp + fp + fn)),
        "balanced_accuracy": quantity((recall + tn / (tn + fp)) / 2),
        "mcc": quantity(0.4),
        "promise": None,
        "reason": None,
        **more,
    }


EVALUATION: dict[str, Any] = {
    "format": "linkodds.evaluation/1",
    "graph": {"num_nodes": 1063, "num_edges": 7_100, "num_pairs": 568_787, "directed": False, "bipartite": False},
    "candidates": {
        "num_pairs": 562_287,
        "num_edges": 600,
        "prevalence": 600 / 562_287,
        "design": "enumerated",
        "rate": 1.0,
    },
    "model": {"name": "vgae", "num_parameters": 35_024, "epochs": 200},
    "statement": STATEMENT,
    "split": {"train": 5_680, "validation": 355, "calibration": 465, "test": 600, "fractions": {}},
    "metrics": {
        "roc_auc": quantity(0.912, 0.01),
        "average_precision": quantity(0.206),
        "average_precision_lift": quantity(193.0),
        "r_precision": quantity(0.27),
        "best_f1": {
            "value": 0.301,
            "low": None,
            "high": None,
            "kind": "S",
            "reason": "no interval: a maximum over thresholds",
        },
        "precision_at_100": quantity(0.58, 0.15),
        "hits_at_20": quantity(0.06),
        "hits_at_50": quantity(0.15),
        "hits_at_100": quantity(0.21),
        "mrr": quantity(0.123),
        "log_loss": quantity(0.00547),
        "log_loss_skill": quantity(0.31),
        "brier_skill": quantity(0.14),
        "observed_over_expected": quantity(1.04, 0.08),
        "calibration_slope": quantity(0.97, 0.06),
        "calibration_intercept": {"value": -0.06, "low": -0.25, "high": 0.14, "kind": "S"},
        "relative_ece": {"value": 0.061, "low": None, "high": None, "kind": "S"},
        "degree_relative_ece": {"value": None, "reason": "fewer than 10 edges in every bin"},
    },
    "at_graph_ratio": {"average_precision": quantity(0.52), "best_f1": quantity(0.55)},
    "balanced": {"roc_auc": quantity(0.912, 0.01), "average_precision": quantity(0.925, 0.01)},
    "decisions": [
        decision("half", 30, 12),
        decision("balanced_accuracy", 505, 62_311),
        decision("f1", 210, 390),
        decision("mcc", 190, 310),
        decision(
            "precision>=0.5",
            120,
            95,
            promise="Precision of at least 0.5 with probability 0.9, on candidates like the calibration sample.",
        ),
        {
            "rule": "recall>=0.8",
            "threshold_probability": None,
            "threshold_logit": None,
            "reason": "8 calibration edges are too few: 11 are needed.",
        },
    ],
    "audit": [
        {"alpha": 0.1, "num_selected": 0, "num_true": 0, "false_discovery_proportion": 0.0, "reason": f"D26 {HOSTILE}"},
        {"alpha": 0.3, "num_selected": 1234, "num_true": 900, "false_discovery_proportion": 334 / 1234},
    ],
    "baselines": {
        "degree": {"roc_auc": 0.711, "average_precision": 0.0147},
        "common-neighbors": {"roc_auc": 0.792, "average_precision": 0.081},
        "resource-allocation": {"roc_auc": 0.798, "average_precision": 0.107},
        "l3": {"roc_auc": 0.871, "average_precision": 0.148},
    },
    "degree_bins": [
        {
            "name": "low",
            "low": 1,
            "high": 4,
            "num_pairs": 187_429,
            "observed": 21,
            "expected": 24.2,
            "observed_over_expected": quantity(0.868, 0.4),
        },
        {
            "name": "middle",
            "low": 1,
            "high": 4,
            "num_pairs": 187_429,
            "observed": 102,
            "expected": 110.4,
            "observed_over_expected": quantity(0.924, 0.2),
        },
        {
            "name": "high",
            "low": 1,
            "high": 4,
            "num_pairs": 187_429,
            "observed": 477,
            "expected": 442.3,
            "observed_over_expected": quantity(1.078, 0.1),
        },
    ],
    "findings": [
        {
            "id": "D14",
            "severity": "warning",
            "message": "3 of 45 feature columns are constant.",
            "remedy": "They were dropped; check the table.",
            "statistic": 0.067,
        },
        {
            "id": "reading",
            "severity": "info",
            "message": f"First edge as read: {HOSTILE} and \"';DROP TABLE.",
            "remedy": "Nothing to do.",
        },
        {"id": "reading", "severity": "info", "message": "שלום עולם \u202egnp.exe", "remedy": "x" * 10_000},
    ],
}


@dataclass
class PlantedRun:
    evaluation: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(EVALUATION))
    config: dict[str, Any] = field(
        default_factory=lambda: {
            "format": "linkodds.run/1",
            "model": "vgae",
            "best_epoch": 146,
            "versions": {"linkodds": "0.1.0", "torch": "2.13.0", "numpy": "2.3.1"},
            "options": {
                "model": "auto",
                "decision": "f1",
                "seed": 7,
                "dim": 17,
                "split": [0.8, 0.05, 0.05, 0.1],
                "folds": None,
            },
        }
    )
    history: dict[str, list[Any]] = field(
        default_factory=lambda: {
            "epoch": list(range(1, 201)),
            "loss": [0.69 * 0.97**e + 0.08 + (2.0 if e == 120 else 0) for e in range(200)],
            "reconstruction": [0.66 * 0.97**e + 0.06 for e in range(200)],
            "kl": [0.02 * (1 - 0.98**e) + 1e-4 + (2.0 if e == 120 else 0) for e in range(200)],
            "validation_average_precision": [
                None if e % 5 else 0.21 * (1 - 0.96**e) - 2e-6 * max(0, e - 140) ** 2 for e in range(200)
            ],
            "event": ["KL spike, gradient clipped" if e == 120 else None for e in range(200)],
        }
    )
    curves: Curves = field(default_factory=planted_curves)
    cost: dict[str, Any] = field(default_factory=lambda: {"training": {"seconds": 12.3, "peak_bytes": 512_000_000}})


class Document(html.parser.HTMLParser):
    """What a browser would make of it: the elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._silent += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += data


@pytest.fixture(scope="module")
def rendered() -> str:
    return render_report(PlantedRun())


@pytest.fixture(scope="module")
def page(rendered: str) -> Document:
    return Document(rendered)


def test_it_reads_in_the_order_of_what_matters(page: Document) -> None:
    parts = [
        "earns its keep",
        "58 of its first 100 candidates",
        "Calibration is fine",
        "Two base rates",
        "1 : 79.1",
        "1 : 936",
        "never the same",
        STATEMENT,
        "Here P is 600",
        "How the edges were split",
        "5,680",
        "What was measured",
        "[0.185, 0.227]",
        "Precision and recall",
        "Do the probabilities hold?",
        "Decisions",
        "62,311",
        "Training",
        "epoch 146 were kept",
        "Against counting neighbours",
        "resource-allocation",
        "hubs and loners",
        "187,429",
        "As papers print it",
        "0.925",
        "Findings",
        "3 of 45 feature columns",
        "To make this again",
        "linkodds fit EDGES --model auto --seed 7 --dim 17 --out RUN",
        "torch 2.13.0",
    ]
    text, place = " ".join(page.text.split()), 0
    for part in parts:
        found = text.find(part, place)
        assert found >= 0, f"{part!r} is missing, or comes too early"
        place = found


def test_it_asks_no_network(rendered: str, page: Document) -> None:
    asked = (
        r"<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=\s*[\"']?(?:https?:)?//[^\"' >]+|@import\s+url\(['\"]?https?:"
    )
    assert not re.findall(asked, rendered)
    references = [
        attributes.get(name) for _, attributes in page.elements for name in ("src", "href") if name in attributes
    ]
    assert references == ["data:,"]
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_policy_lists_the_hash_of_every_script_and_no_more(rendered: str, page: Document) -> None:
    policy = next(a["content"] or "" for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    scripts = re.findall(r"<script>(.*?)</script>", rendered, flags=re.DOTALL)
    hashes = {"sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"sha256-[^']+", policy)) == hashes
    assert len(scripts) == 2
    assert "\r" not in rendered  # an HTML parser would turn it into a line feed, and the hash would not hold


def test_it_can_be_mailed(rendered: str) -> None:
    assert len(rendered.encode()) < 6_000_000
    assert rendered.count("plotly.js v") == 1


def test_foreign_text_is_shown_as_text() -> None:
    run = PlantedRun()
    hostile = "<script>alert(1)</script>\"';DROP TABLE edges;--"
    run.evaluation["model"]["name"] = hostile
    run.evaluation["baselines"][hostile] = {"roc_auc": 0.5, "average_precision": 0.5}
    run.evaluation["decisions"][0] |= {"rule": hostile, "caution": hostile, "promise": hostile}
    run.evaluation["degree_bins"][0]["name"] = hostile
    run.evaluation["metrics"]["mrr"] = {"value": None, "reason": hostile}
    run.evaluation["candidates"]["design"] = hostile
    run.evaluation["statement"] = hostile
    run.evaluation["findings"] = [{"id": hostile, "severity": hostile, "message": hostile, "remedy": hostile}]
    run.history["event"][3] = hostile
    run.config |= {"versions": {hostile: hostile}, "path": hostile}
    run.cost[hostile] = {"seconds": 1.0, "peak_bytes": None}
    rendered = render_report(run)
    assert "alert(1)" in rendered
    assert "<script>alert" not in rendered
    page = Document(rendered)
    assert sum(tag == "script" for tag, _ in page.elements) == 2 + 5  # library, page, and the data of five figures
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert hostile in page.text


def test_text_that_turns_a_line_around_is_made_visible_and_isolated(rendered: str) -> None:
    assert "\u202e" not in rendered
    assert "<bdi>שלום עולם \\u202egnp.exe</bdi>" in rendered


def test_long_text_is_cut(rendered: str) -> None:
    assert "x" * 1000 not in rendered
    assert "… (10000 characters)" in rendered


def test_every_figure_says_its_numbers_in_words(page: Document) -> None:
    captions = {attributes.get("id") for tag, attributes in page.elements if tag == "figcaption"}
    plots = [attributes for _, attributes in page.elements if attributes.get("role") == "img"]
    assert len(plots) == 5
    assert {plot["aria-describedby"] for plot in plots} == captions
    assert all(plot["aria-label"] for plot in plots)
    assert "balanced_accuracy: precision 0.00804 at recall 0.842" in page.text
    assert "9 in the first 10" in page.text


def test_data_of_figures_parse_and_cannot_end_their_element(rendered: str) -> None:
    blocks = re.findall(r'<script type="application/json" id="data-(\w+)">(.*?)</script>', rendered, flags=re.DOTALL)
    assert [name for name, _ in blocks] == ["precision_recall", "gains", "roc", "reliability", "history"]
    for _, block in blocks:
        assert "<" not in block
        assert json.loads(block)["data"]


def test_the_rule_that_predict_applies_comes_first(page: Document) -> None:
    text = " ".join(page.text.split())
    assert "f1 applied by predict" in text
    assert text.count("applied by predict") == 1
    assert text.index("f1 applied by predict") < text.index("half probability at least")


def test_a_rule_without_threshold_says_why_and_one_without_promise_says_so(page: Document) -> None:
    assert "No threshold: 8 calibration edges are too few: 11 are needed." in page.text
    assert "with probability 0.9, on candidates like the calibration sample" in page.text
    assert page.text.count("No promise:") == 4


def test_a_model_without_epochs_has_no_history() -> None:
    run = PlantedRun(history={"epoch": [], "loss": []})
    run.evaluation["model"] = {"name": "l3", "num_parameters": 0, "epochs": 0}
    page = Document(render_report(run))
    assert "has nothing to train" in page.text
    assert sum(attributes.get("role") == "img" for _, attributes in page.elements) == 4


def test_with_folds_it_does_not_claim_one_message_graph() -> None:
    run = PlantedRun()
    assert "the same message graph" in Document(render_report(run)).text
    run.evaluation["model"]["folds"] = 5
    text = Document(render_report(run)).text
    assert "the first of 5 folds" in text
    assert "the same message graph" not in text


def test_numbers_that_are_missing_say_why() -> None:
    run = PlantedRun()
    missing = {"value": None, "low": None, "high": None, "kind": "S", "reason": "too coarse for the top of the list"}
    run.evaluation["metrics"] = dict.fromkeys(run.evaluation["metrics"], missing)
    run.evaluation["baselines"] = {}
    run.evaluation["decisions"] = [run.evaluation["decisions"][-1]]
    run.evaluation["degree_bins"] = run.evaluation["findings"] = []
    page = Document(render_report(run))
    assert "too coarse for the top of the list" in page.text
    assert "nan" not in page.text.lower().split()
    assert "Nothing was found to be wrong" in page.text


def test_the_same_run_gives_the_same_bytes_and_a_whole_file(rendered: str, tmp_path: Path) -> None:
    write_report(PlantedRun(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == rendered
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_put_in_place_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_report(PlantedRun(), tmp_path / "report.html")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
