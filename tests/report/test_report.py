"""report.html of a planted run: order and content, foreign text as text, no connection, a size that can be mailed."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from linkodds.evaluation.evaluation import STATEMENT
from linkodds.report import write_page
from linkodds.report.report_data import ReportData, TopLinks
from planted_report import (
    HOSTILE,
    Document,
    PlantedRun,
    planted_curves,
    planted_exhibits,
    render,
    tables_of,
)


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
    run.said["model"]["name"] = hostile
    run.said["baselines"][hostile] = {"roc_auc": 0.5, "average_precision": 0.5}
    run.said["decisions"][0] |= {"rule": hostile, "caution": hostile, "promise": hostile}
    run.said["degree_bins"][0]["name"] = hostile
    run.said["metrics"]["mrr"] = {"value": None, "reason": hostile}
    run.said["candidates"]["design"] = hostile
    run.said["findings"] = [{"id": hostile, "severity": hostile, "message": hostile, "remedy": hostile}]
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
    run.said["model"] = {"name": "l3", "num_parameters": 0, "epochs": 0}
    page = Document(render(run))
    assert "has nothing to train" in page.text
    assert sum(attributes.get("role") == "img" for _, attributes in page.elements) == 7


def test_with_folds_it_does_not_claim_one_message_graph() -> None:
    run = PlantedRun()
    assert "the same message graph" in Document(render(run)).text
    run.said["model"]["folds"] = 5
    text = Document(render(run)).text
    assert "the first of 5 folds" in text
    assert "the same message graph" not in text


def test_numbers_that_are_missing_say_why() -> None:
    run = PlantedRun()
    missing = {"value": None, "low": None, "high": None, "kind": "S", "reason": "too coarse for the top of the list"}
    run.said["metrics"] = dict.fromkeys(run.said["metrics"], missing)
    run.said["baselines"] = {}
    run.said["decisions"] = [run.said["decisions"][-1]]
    run.said["degree_bins"] = run.said["findings"] = []
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
    rendered = render(exhibits=ReportData(**{**vars(exhibits), "top_links": shown}))
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
    rendered = render(run, ReportData(**{**vars(exhibits), "top_links": long}))
    assert len(rendered.encode()) < 6_000_000
    assert re.search(r"Of 20,000 epochs [56]\d\d are drawn", rendered)


def test_what_was_left_out_says_why() -> None:
    planted = planted_exhibits()
    said = ReportData(**{**vars(planted), "embedding_map": "l3 has none " + HOSTILE, "top_links": "stopped " + HOSTILE})
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
