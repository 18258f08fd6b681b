"""report.html of a planted run: order and content, foreign text as text, no connection, a size that can be mailed."""

import base64
import copy
import csv
import hashlib
import html.parser
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from linkodds.calibration import Calibrator
from linkodds.curves import Curves, ReliabilityCurve
from linkodds.decision import Decision
from linkodds.embedding_map import EmbeddingMap
from linkodds.evaluation import STATEMENT
from linkodds.exhibits import Exhibits, TopLinks
from linkodds.held_out import HeldOut
from linkodds.metrics import DegreeBins
from linkodds.operating_points import PrecisionBand, threshold_json
from linkodds.report import render_report, write_page

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


def planted_exhibits(ids: list[str] | None = None) -> Exhibits:
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
    return Exhibits(
        threshold=threshold_json(held_out, calibrator, rules, graph_prevalence=0.4, applied="f1"),
        precision_band=PrecisionBand(np.array([0.1, 0.5, 1.0]), np.array([0.4, 0.1, 5e-4]), np.array([0.9, 0.3, 2e-3])),
        embedding_map=EmbeddingMap(
            np.arange(len(ids)), np.column_stack([np.cos(turn), np.sin(turn)]), 1063, 17, 0.9, 0.97
        ),
        node_ids=np.array(ids, dtype=object),
        degrees=np.arange(len(ids)),
        top_links=TopLinks(pl.DataFrame(links), "Probabilities assume that 600 links are missing."),
    )


def render(run: "PlantedRun | None" = None, exhibits: Exhibits | None = None) -> str:
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


@pytest.fixture(scope="module")
def rendered() -> str:
    return render(PlantedRun())


@pytest.fixture(scope="module")
def page(rendered: str) -> Document:
    return Document(rendered)


def test_it_reads_in_the_order_of_what_matters(page: Document) -> None:
    parts = [
        "earns its keep",
        "In the rehearsal, at 1 : 936, 58 of its first 100 candidates",
        "Calibration is fine",
        "Two base rates",
        "1 : 79.1",
        "1 : 936",
        "never the same",
        STATEMENT,
        "Here P is 600",
        "How the edges were split",
        "5,680",
        "Precision and recall",
        "The band holds 95 % intervals",
        "ROC, and what it hides",
        "one percent of the non-edges, is 5,616 pairs",
        "Do the probabilities hold?",
        "What a list of a given length finds",
        "What was measured",
        "[0.185, 0.227]",
        "Decisions",
        "62,311",
        "Move the threshold",
        "what it shows is what it gave, not what it promises",
        "Lists with a stated error",
        "hubs and loners",
        "187,429",
        "Training",
        "epoch 146 were kept",
        "A map of the embeddings",
        "the other 1,033 are left out",
        "trustworthiness 0.970",
        "Against counting neighbours",
        "resource-allocation",
        "As papers print it",
        "0.925",
        "The best new links",
        "600 links are missing",
        "n0",
        "0.250",
        "1 shared neighbour (n4)",
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
    assert all((each or "").startswith(("data:,", "data:text/csv", "#")) for each in references)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_policy_lists_the_hash_of_every_script_and_no_more(rendered: str, page: Document) -> None:
    policy = next(a["content"] or "" for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    scripts = re.findall(r"<script>(.*?)</script>", rendered, flags=re.DOTALL)
    hashes = {"sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"sha256-[^']+", policy)) == hashes
    assert len(scripts) == 3
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
    rendered = render(run)
    assert "alert(1)" in rendered
    assert "<script>alert" not in rendered
    page = Document(rendered)
    assert sum(tag == "script" for tag, _ in page.elements) == 3 + 9  # library, control, page; data of it and 8 figures
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
    assert len(plots) == 8
    assert {plot["aria-describedby"] for plot in plots} == captions
    assert all(plot["aria-label"] for plot in plots)
    assert "balanced_accuracy: precision 0.00804 at recall 0.842" in page.text
    assert "9 in the first 10" in page.text


def test_data_of_figures_parse_and_cannot_end_their_element(rendered: str) -> None:
    blocks = re.findall(r'<script type="application/json" id="data-(\w+)">(.*?)</script>', rendered, flags=re.DOTALL)
    assert [name for name, _ in blocks] == [
        "precision_recall",
        "roc",
        "roc_log",
        "reliability",
        "gains",
        "threshold",
        "degrees",
        "history",
        "embedding_map",
    ]
    for _, block in blocks:
        assert "<" not in block
        assert json.loads(block).keys() & {"data", "rates"}
    (control,) = re.findall(r'<script type="application/json" id="data-threshold">(.*?)</script>', rendered)
    assert json.loads(control) == json.loads(json.dumps(planted_exhibits().threshold))


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
    page = Document(render(run))
    assert "has nothing to train" in page.text
    assert sum(attributes.get("role") == "img" for _, attributes in page.elements) == 7


def test_with_folds_it_does_not_claim_one_message_graph() -> None:
    run = PlantedRun()
    assert "the same message graph" in Document(render(run)).text
    run.evaluation["model"]["folds"] = 5
    text = Document(render(run)).text
    assert "the first of 5 folds" in text
    assert "the same message graph" not in text


def test_numbers_that_are_missing_say_why() -> None:
    run = PlantedRun()
    missing = {"value": None, "low": None, "high": None, "kind": "S", "reason": "too coarse for the top of the list"}
    run.evaluation["metrics"] = dict.fromkeys(run.evaluation["metrics"], missing)
    run.evaluation["baselines"] = {}
    run.evaluation["decisions"] = [run.evaluation["decisions"][-1]]
    run.evaluation["degree_bins"] = run.evaluation["findings"] = []
    page = Document(render(run))
    assert "too coarse for the top of the list" in page.text
    assert "nan" not in page.text.lower().split()
    assert "Nothing was found to be wrong" in page.text


def test_the_same_run_gives_the_same_bytes_and_a_whole_file(rendered: str, tmp_path: Path) -> None:
    write_page(render(), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == rendered
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_put_in_place_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_page(render(), tmp_path / "report.html")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


HOSTILE_IDS = [
    HOSTILE,
    "';DROP",
    "x" * 10_000,
    "שלום \u202egnp",
    "=1+1",
    "+A1",
    "-1",
    "@SUM(A1)",
    "\t=2",
    "a;=3",
    'q",=4',
    "a\r\n=5",
]


def test_ids_from_anywhere_are_text_on_the_page_and_in_every_csv() -> None:
    exhibits = planted_exhibits(HOSTILE_IDS)
    links = exhibits.top_links
    assert isinstance(links, TopLinks)
    every = (
        links.table.head(1)
        .select("logit", "probability", "evidence")
        .join(pl.DataFrame({"source": HOSTILE_IDS, "target": HOSTILE_IDS[::-1]}), how="cross")
    )
    shown = TopLinks(every.select("source", "target", "logit", "probability", "evidence"), HOSTILE)
    rendered = render(exhibits=Exhibits(**{**vars(exhibits), "top_links": shown}))
    assert "<script>alert" not in rendered
    assert "\u202e" not in rendered
    page = Document(rendered)
    assert HOSTILE in page.text
    assert "=1+1" in page.text
    assert "x" * 1_001 not in rendered
    tables = tables_of(page)
    cells = [cell for rows in tables.values() for row in rows for cell in row]
    formulas = [
        cell for cell in cells if cell.lstrip()[:1] in set("=+-@") and not re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", cell)
    ]
    assert formulas == []
    assert {"'=1+1", "'+A1", "'-1", "'@SUM(A1)", "a;'=3"} <= {row[0] for row in tables["linkodds-links.csv"]}
    assert {"'=1+1", "'@SUM(A1)"} <= {row[7] for row in tables["linkodds-embedding-map.csv"]}
    assert not [cell for cell in cells if any(ord(character) < 32 for character in cell)]


def test_every_plotted_value_is_in_a_csv(page: Document) -> None:
    tables = tables_of(page)
    assert sorted(name.removeprefix("linkodds-").removesuffix(".csv") for name in tables) == [
        *("baselines", "degrees", "embedding-map", "gains", "history", "links"),
        *("precision-recall", "reliability", "roc", "roc-log", "thresholds"),
    ]
    planted = planted_curves()
    header, *rows = tables["linkodds-precision-recall.csv"]
    assert header == ["series", "x quantity", "x", "y quantity", "y", "low", "high", "label", "value"]
    model = [(float(row[2]), float(row[4])) for row in rows if row[0] == "model"]
    np.testing.assert_allclose(model, np.column_stack([planted.recall, planted.precision]), rtol=1e-9)
    assert {row[0] for row in rows} >= {"random order: 0.00107", "precision>=0.5", "95 % interval, low end"}
    bins = [row for row in tables["linkodds-reliability.csv"] if row[0] == "observed"]
    np.testing.assert_allclose([float(row[5]) for row in bins], planted.reliability.low[1:], rtol=1e-9)
    assert {row[1] for row in bins} == {"predicted probability"}
    history = tables["linkodds-history.csv"]
    assert ["event", "epoch", "121", "", "", "", "", "KL spike, gradient clipped", ""] in history
    assert len([row for row in history if row[0] == "loss"]) == 200
    assert [row[8] for row in tables["linkodds-embedding-map.csv"][1:]] == [str(i) for i in range(30)]
    points = planted_exhibits().threshold
    header, *rows = tables["linkodds-thresholds.csv"]
    assert len(rows) == len(points["threshold_logit"])
    column = [float(row[header.index("precision, graph")]) for row in rows]
    np.testing.assert_allclose(column, points["rates"][1]["precision"], rtol=1e-9)


def test_the_largest_page_can_be_mailed() -> None:
    """As many nodes and links as a report takes, ids of 10 kB, and 20,000 epochs with an event in each."""
    run = PlantedRun()
    names = [name for name in run.history if name != "event"]
    run.history = {name: [0.123456789 + i for i in range(20_000)] for name in names} | {"event": ["x" * 300] * 20_000}
    run.history["epoch"] = list(range(1, 20_001))
    exhibits = planted_exhibits(["y" * 10_000 + str(i) for i in range(1_200)])
    links = exhibits.top_links
    assert isinstance(links, TopLinks)
    long = TopLinks(pl.concat([links.table.head(1)] * 25), links.assumption)
    rendered = render(run, Exhibits(**{**vars(exhibits), "top_links": long}))
    assert len(rendered.encode()) < 6_000_000
    assert re.search(r"Of 20,000 epochs [56]\d\d are drawn", rendered)


def test_what_was_left_out_says_why() -> None:
    planted = planted_exhibits()
    said = Exhibits(**{**vars(planted), "embedding_map": "l3 has none " + HOSTILE, "top_links": "stopped " + HOSTILE})
    page = Document(render(exhibits=said))
    assert "No map: l3 has none " + HOSTILE in page.text
    assert "stopped " + HOSTILE in page.text
    assert {"linkodds-links.csv", "linkodds-embedding-map.csv"}.isdisjoint(tables_of(page))


def test_everything_that_can_be_used_can_be_reached_by_name(rendered: str, page: Document) -> None:
    """Targets of links exist, ids are given once, every table and link has words for who cannot see it."""
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {
        name
        for _, each in page.elements
        for name in ((each.get("aria-labelledby") or "") + " " + (each.get("aria-describedby") or "")).split()
    }
    targets = {
        (each["href"] or "")[1:]
        for tag, each in page.elements
        if tag == "a" and (each.get("href") or "").startswith("#")
    }
    assert named | targets <= set(ids)
    assert not [each for _, each in page.elements if int(each.get("tabindex") or 0) > 0]
    assert 'class="hidden"> of Precision and recall</span>' in rendered
