"""A planted run with everything that a report shows, and its page as a browser reads it."""

import base64
import copy
import csv
import html.parser
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from linkodds.evaluation.curves import Curves, PrecisionBand, ReliabilityCurve, threshold_json
from linkodds.evaluation.evaluation import Evaluation
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.metrics import DegreeBins
from linkodds.probability.calibration import Calibrator
from linkodds.probability.decision import Decision
from linkodds.report import render_report
from linkodds.report.report_data import EmbeddingMap, ReportData, TopLinks
from planted_evaluation import evaluation_of

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
    said: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(EVALUATION))
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

    @property
    def evaluation(self) -> Evaluation:
        return evaluation_of(self.said)


def planted_exhibits(ids: list[str] | None = None) -> ReportData:
    """Three rules on 40 edges; as many nodes in the plane as there are ids; two new links."""
    ids = ids or [f"n{i}" for i in range(30)]
    logits = np.linspace(3, -2, 40)
    held_out = HeldOut.from_logits(logits, np.linspace(1, -9, 200), 200, thresholds=(-2.1,))
    calibrator = Calibrator(1.0, -1.0, "platt", 0.1, 40, 200)
    rules = [Decision(rule, -2.1, 0.1, 40) for rule in ("half", "f1")]
    links = {
        "source": [ids[0], ids[1]],
        "target": [ids[2], ids[3]],
        "logit": [2.5, -1.25],
        "probability": [0.25, 0.125],
        "evidence": [f"1 shared neighbour ({ids[4]}); degrees 2 and 3; distance 2"] * 2,
    }
    turn = np.linspace(0, 6, len(ids))
    return ReportData(
        threshold=threshold_json(held_out, calibrator, rules, graph_prevalence=0.4, applied="f1"),
        precision_band=PrecisionBand(np.array([0.1, 0.5, 1.0]), np.array([0.4, 0.1, 5e-4]), np.array([0.9, 0.3, 2e-3])),
        embedding_map=EmbeddingMap(
            np.arange(len(ids)), np.column_stack([np.cos(turn), np.sin(turn)]), 1063, 17, 0.9, 0.97
        ),
        node_ids=np.array(ids, dtype=object),
        degrees=np.arange(len(ids)),
        top_links=TopLinks(pl.DataFrame(links), "Probabilities assume that 600 links are missing."),
    )


def render(run: "PlantedRun | None" = None, exhibits: ReportData | None = None) -> str:
    return render_report(run or PlantedRun(), exhibits or planted_exhibits())


def tables_of(page: "Document") -> dict[str, list[list[str]]]:
    """The CSV behind every download link, parsed, by file name."""
    tables = {}
    for tag, attributes in page.elements:
        if tag == "a" and "download" in attributes:
            _, _, body = (attributes["href"] or "").partition("data:text/csv;charset=utf-8;base64,")
            text = base64.b64decode(body, validate=True).decode()
            tables[attributes["download"] or ""] = list(csv.reader(io.StringIO(text)))
    return tables


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
