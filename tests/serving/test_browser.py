"""The page and the report in a real browser: no script of an id runs, no request leaves, and the numbers are the API's."""

import csv
import io
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from linkodds.formatting import number_text
from linkodds.report import report_data_of, write_report
from linkodds.runs.record import load_run
from linkodds.serving.api import guarded_app
from linkodds.serving.guard import Access
from linkodds.serving.server import address, bound_socket, uvicorn_server

fetch = partial(httpx.get, timeout=60.0, verify=False)
post = partial(httpx.post, timeout=60.0, verify=False)

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Alone, without a profile to keep and without asking its maker anything. As root there is no sandbox to be had.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Chromium, and CI must have it")
        pytest.skip("needs Chromium on the path; 'make test' installs Debian's where it may")
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=list(FLAGS)) as found:
        yield found


@dataclass
class Watched:
    """A page, and whatever it did that it should not have."""

    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self._note(said.type in ("error", "warning"), said.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        self.page.on(
            "request", lambda asked: self._note(not asked.url.startswith((self.origin, "data:", "blob:")), asked.url)
        )

    def _note(self, is_fault: bool, text: str) -> None:
        if is_fault:
            self.faults.append(text)


def opened(browser: Browser, url: str, origin: str, width: int = 1280) -> Watched:
    context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    context.set_default_timeout(20_000)
    watched = Watched(context.new_page(), origin)
    watched.page.goto(url)
    return watched


@pytest.fixture
def watched(browser: Browser, live: Any) -> Iterator[Watched]:
    found = opened(browser, live.url + "/", live.url)
    found.page.wait_for_selector("#threshold-control input[type=range]")
    yield found
    found.page.context.close()
    assert found.faults == []


def measures(page: Page) -> dict[str, str]:
    names, values = (page.locator(f".threshold-measures {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def test_the_verdict_comes_first_and_runs_stand_side_by_side(watched, live):
    page, summaries = watched.page, [each.summary for each in live.runs]
    assert page.locator("#headline").inner_text() == summaries[0]["verdict"]["headline"]
    assert page.locator("#assumption").inner_text() == summaries[0]["assumption"]
    shown = page.locator("#figures").inner_text()
    for summary in summaries:
        assert all(figure["text"] in shown for figure in summary["figures"])
    page.select_option("#run", "1")
    assert page.locator("#headline").inner_text() == summaries[1]["verdict"]["headline"]
    page.wait_for_selector("#links-table table")


def test_dragging_the_threshold_shows_the_numbers_of_the_api(watched, live):
    page, table = watched.page, fetch(live.url + "/api/runs/0/thresholds").json()
    slider, last = page.locator("#threshold-control input[type=range]"), len(table["threshold_logit"]) - 1

    def expected() -> dict[str, str]:
        at, rate = last - int(slider.input_value()), table["rates"][0]
        named = {"precision": "precision", "recall": "recall", "F1": "f1", "length of the list": "list_length"}
        return {name: number_text(rate[key][at]) for name, key in named.items()}

    slider.scroll_into_view_if_needed()
    box, seen = slider.bounding_box(), []
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * int(slider.input_value()) / last, y)
    page.mouse.down()
    for share in (0.3, 0.6, 0.9):
        page.mouse.move(box["x"] + box["width"] * share, y, steps=4)
        seen.append(measures(page))
        assert expected().items() <= seen[-1].items()
    page.mouse.up()
    slider.press("ArrowLeft")
    assert expected().items() <= measures(page).items()
    lengths = [float(each["length of the list"].replace(",", "")) for each in seen]
    assert lengths[0] > lengths[1] > lengths[2]


def test_the_list_follows_the_threshold_and_can_be_downloaded(watched, live):
    page = watched.page
    page.wait_for_selector("#links-table table")
    threshold = fetch(live.url + "/api/runs/0/thresholds").json()["threshold_logit"]
    with page.expect_response(lambda answer: "min_logit=" in answer.url) as answered:
        page.check("#links-above")
    above = answered.value.json()
    at = len(threshold) - 1 - int(page.locator("#threshold-control input[type=range]").input_value())
    asked = fetch(live.url + "/api/runs/0/links", params={"limit": 10, "min_logit": threshold[at]})
    assert above == asked.json()
    page.uncheck("#links-above")
    expect(page.locator("#links-download")).to_have_attribute("href", "/api/runs/0/links.csv")
    page.click("#links-on")
    expect(page.locator("#links-said")).to_contain_text("11 to 20")
    with page.expect_download() as downloaded:
        page.click("#links-download")
    content = Path(downloaded.value.path()).read_bytes()
    assert content == fetch(live.url + "/api/runs/0/links.csv").content


def test_a_node_with_a_hostile_id_is_found_and_drawn_as_text(watched, live, hostile_ids):
    page = watched.page
    scripts = page.locator("script").count()
    for name in [*hostile_ids[:4], *hostile_ids[7:12], hostile_ids[14]]:
        page.fill("#query", name[:500])
        page.press("#query", "Enter")
        shown = re.escape(name.replace("\u202e", "\\u202e").replace("\t", "\\u0009")[:100])
        expect(page.locator("#node-view h3 bdi")).to_have_text(re.compile(f"^{shown}"))
        page.wait_for_selector("svg.network")
    assert page.locator("script").count() == scripts
    assert page.locator("main img, main iframe").count() == 0
    page.locator("svg.network g.partner").first.press("Enter")  # with the keyboard, to the first partner
    index = live.runs[0].run.index[hostile_ids[14]]
    best = fetch(f"{live.url}/api/runs/0/nodes/{index}").json()["partners"][0]["index"]
    page.wait_for_url(f"**/#run=0&node={best}")
    partners = fetch(f"{live.url}/api/runs/0/nodes/{best}").json()["partners"]
    page.wait_for_selector("#node-view table")
    shown = page.locator("#node-view tbody tr td:nth-child(2)").all_inner_texts()
    assert [each.split()[0] for each in shown] == [number_text(each["probability"]) for each in partners]


def test_pasted_pairs_get_their_odds(watched, live, hostile_ids):
    page = watched.page
    pairs = [("node20", "node21"), (hostile_ids[0], "node100"), ("=1+1", "node100"), ("a,b;c\td", "node30")]
    text = "\n".join(["node20,node21", f'"{hostile_ids[0]}",node100', "=1+1 node100", "alone", "", "node5\tnode5"])
    page.fill("#pairs-text", text)
    page.click("#pairs-form button[type=submit]")
    page.wait_for_selector("#pairs-table table")
    said = page.locator("#pairs-said").inner_text()
    assert said.startswith("4 pairs. 1 line has no two ids")
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator("#pairs-table tbody tr").all()]
    pairs = [*pairs[:3], ("node5", "node5")]
    answer = post(live.url + "/api/runs/0/predict", json={"pairs": pairs}).json()["rows"]
    assert [row[:2] for row in rows] == [list(pair) for pair in pairs]
    for row, expected in zip(rows, answer, strict=True):
        ends = [expected[f"probability{end}"] for end in ("", "_low", "_high")]
        value, low, high = map(number_text, ends)
        assert row[2] == ("" if expected["problem"] else f"{value} [{low}, {high}]")
    with page.expect_download() as downloaded:
        page.click("#pairs-download")
    table = list(csv.DictReader(io.StringIO(Path(downloaded.value.path()).read_text(encoding="utf-8"))))
    assert [row["source"] for row in table] == ["node20", hostile_ids[0], "'=1+1", "node5"]


def test_an_address_with_the_token_opens_the_page(browser, live):
    bound, token = bound_socket("127.0.0.1", 0), "correct-horse-battery"
    server = uvicorn_server(guarded_app(live.runs, access=Access("127.0.0.1", token), top=10))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        url = address(bound)
        found = opened(browser, f"{url}?token={token}", url)
        found.page.wait_for_selector("#links-table table")
        assert token not in found.page.url
        assert token not in found.page.evaluate("document.cookie")
        assert found.faults == []
        found.page.context.close()
        stranger = opened(browser, url, url)
        assert "needs its token" in stranger.page.locator("body").inner_text()
        stranger.page.context.close()
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_width(browser, live, width):
    for scheme in ("light", "dark"):
        found = opened(browser, live.url + "/#run=0&node=8", live.url, width)
        found.page.emulate_media(color_scheme=scheme)
        found.page.wait_for_selector("svg.network")
        found.page.wait_for_selector("#links-table table")
        sizes = found.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert sizes == [width, width]
        assert found.faults == []
        found.page.context.close()


def test_the_documentation_and_the_report_open_from_the_page(watched, live):
    page = watched.page
    for link, what in (("#report-link", ".plot svg"), ("nav a:last-child", "text=GET /api/runs")):
        page.goto(live.url + "/")
        page.wait_for_selector("#links-table table")
        page.click(link)
        page.wait_for_url(lambda url: url.endswith(("/report", "/docs")))
        page.wait_for_selector(what)


def test_the_report_of_a_run_opens_from_the_disk(browser, live, tmp_path):
    run = load_run(live.paths[0])
    write_report(run, report_data_of(run), tmp_path / "report.html")
    url = (tmp_path / "report.html").as_uri()
    found = opened(browser, url, url)
    found.page.wait_for_selector(".plot svg")
    assert "average precision" in found.page.locator("body").inner_text()
    assert found.faults == []
    found.page.context.close()
