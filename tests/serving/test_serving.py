"""What `linkodds serve` answers: the numbers of the commands, ids as text, its page, and the command that starts it."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
from functools import partial
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from linkodds.cli import app as command_line
from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_graph
from linkodds.links.inference import find_run, predict_run
from linkodds.links.link_search import Scope
from linkodds.runs.missing_links import MissingLinksAssumption, evaluate_run
from linkodds.runs.record import load_run
from linkodds.serving.api import build_app
from linkodds.serving.limits import LIMITS
from linkodds.serving.served import ServedRun

# Patient, and without reading certificates for plain HTTP.
fetch = partial(httpx.get, timeout=60.0, verify=False)
post = partial(httpx.post, timeout=60.0, verify=False)

BAND = MissingLinksAssumption(expected_missing=(20.0, 80.0))
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def get(live: Any, path: str, **params: Any) -> Any:
    answer = fetch(live.url + path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestTheNumbersOfTheCommands:
    def test_predict(self, live, tmp_path):
        ids = live.runs[0].run.ids.tolist()
        pairs = [(ids[i], ids[(7 * i + 3) % 150]) for i in range(60)] + [("nobody", ids[0]), (ids[5], ids[5])]
        pl.DataFrame(pairs, schema=["source", "target"], orient="row").write_parquet(tmp_path / "pairs.parquet")
        for i, path in enumerate(live.paths):
            predict_run(load_run(path), tmp_path / "pairs.parquet", tmp_path / "out.parquet", assumption=BAND)
            expected = pl.read_parquet(tmp_path / "out.parquet").to_dicts()
            answer = post(f"{live.url}/api/runs/{i}/predict", json={"pairs": pairs}).json()
            assert (answer["num_unknown"], answer["num_inadmissible"]) == (1, 1)
            assert [row["problem"] for row in answer["rows"][-2:]] == ["unknown id", "no pair of this graph"]
            for row in answer["rows"]:
                row.pop("problem")
            assert answer["rows"] == expected

    def test_predict_by_another_rule(self, live):
        ids = live.runs[0].run.ids.tolist()
        pairs = [(ids[i], ids[j]) for i in range(20, 60) for j in range(i)]
        answer = post(f"{live.url}/api/runs/0/predict", json={"pairs": pairs, "decision": "recall>=0.8"}).json()
        f1 = post(f"{live.url}/api/runs/0/predict", json={"pairs": pairs}).json()
        counts = [sum(row["decision"] for row in each["rows"]) for each in (answer, f1)]
        assert answer["decision"] == "recall>=0.8"
        assert counts[0] > counts[1] > 0

    def test_links(self, live, tmp_path):
        for i, path in enumerate(live.paths):
            find_run(load_run(path), tmp_path / "links.parquet", top=300, assumption=BAND)
            expected = pl.read_parquet(tmp_path / "links.parquet").drop("q_value")
            parts = [get(live, f"/api/runs/{i}/links", offset=offset, limit=120) for offset in (0, 120, 240, 360)]
            assert [part["next_offset"] for part in parts] == [120, 240, None, None]
            assert [row for part in parts for row in part["links"]] == expected.to_dicts()
            assert parts[0]["expected_links"] == pytest.approx(expected["probability"].sum())
            threshold = expected["logit"][57]
            above = get(live, f"/api/runs/{i}/links", min_logit=threshold)
            assert above["num_links"] == (expected["logit"] >= threshold).sum()

    def test_partners_of_a_node(self, live, tmp_path):
        for i, path in enumerate(live.paths):
            run = load_run(path)
            scope = Scope(from_nodes=[run.ids[40]], per_node=7)
            find_run(run, tmp_path / "partners.parquet", assumption=BAND, scope=scope)
            expected = pl.read_parquet(tmp_path / "partners.parquet").to_dicts()
            view = get(live, f"/api/runs/{i}/nodes/40", partners=7)
            for column in ("logit", "probability", "probability_low", "probability_high", "evidence"):
                assert [row[column] for row in view["partners"]] == [row[column] for row in expected]
            assert [row["id"] for row in view["partners"]] == [row["target"] for row in expected]

    def test_the_network_around_a_node_holds_recorded_edges_only(self, live):
        recorded = {tuple(pair) for pair in live.runs[0].run.split.recorded().pairs.tolist()}
        view = get(live, "/api/runs/0/nodes/40", partners=10)
        nodes = [each["index"] for each in view["network"]["nodes"]]
        assert len(set(nodes)) == len(nodes)
        assert nodes[:9] == [40, *(each["index"] for each in view["partners"][:8])]
        drawn = {tuple(sorted((nodes[u], nodes[v]))) for u, v in view["network"]["edges"]}
        assert drawn == {pair for pair in recorded if set(pair) <= set(nodes)}
        neighbors = {v if u == 40 else u for u, v in recorded if 40 in (u, v)}
        assert view["num_neighbors"] == len(neighbors)
        assert {each["index"] for each in view["neighbors"]} == neighbors

    def test_evaluation_and_summary(self, live):
        for i, path in enumerate(live.paths):
            expected = evaluate_run(load_run(path), BAND)
            evaluation = get(live, f"/api/runs/{i}/evaluation")
            assert evaluation == json.loads(json.dumps(expected.to_json()))
            summary = get(live, f"/api/runs/{i}")
            assert summary == get(live, "/api/runs")["runs"][i]
            by_key = {each["key"]: each for each in summary["figures"]}
            assert by_key["average_precision"]["value"] == evaluation["metrics"]["average_precision"]["value"]
            assert "20 to 80 links are missing" in summary["assumption"]

    def test_thresholds_give_the_confusion_matrices_of_the_evaluation(self, live):
        for i, path in enumerate(live.paths):
            table = get(live, f"/api/runs/{i}/thresholds")
            places = {each["rule"]: each["index"] for each in table["rules"]}
            decisions = json.loads((path / "evaluation.json").read_text())["decisions"]
            assert set(places) == {each["rule"] for each in decisions if each["threshold_logit"] is not None}
            for each in (each for each in decisions if each["rule"] in places):
                at = {name: table["rates"][0][name][places[each["rule"]]] for name in ("tp", "fp", "fn", "tn")}
                assert at == pytest.approx({name: each["confusion"][name] for name in at})

    def test_looking_ids_up(self, live):
        found = get(live, "/api/runs/0/nodes", q="NODE14", limit=5)
        assert [each["id"] for each in found["matches"]] == ["node140", "node141", "node142", "node143", "node144"]
        assert found["num_matches"] == 10
        exact = get(live, "/api/runs/0/nodes", q="node14")
        assert exact["num_matches"] == 10  # node14 itself has a hostile id
        assert get(live, "/api/runs/0/nodes", q="ode20", limit=1)["matches"][0]["id"] == "node20"


@pytest.mark.parametrize("graph", ["directed_ring", "two_sides"])
def test_partners_where_edges_have_a_direction_or_two_sides(graph, request, tmp_path):
    run = fit_graph(request.getfixturevalue(graph), FitConfig(model="l3", threads=1))
    served = ServedRun.of(run, graph, MissingLinksAssumption())
    for node in (3, 59):
        scope = Scope(from_nodes=[run.ids[node]], per_node=5)
        find_run(run, tmp_path / "partners.parquet", scope=scope)
        expected = pl.read_parquet(tmp_path / "partners.parquet")
        view = served.node(node, 5)
        assert [each["id"] for each in view["partners"]] == expected["target"].to_list()
        assert [each["probability"] for each in view["partners"]] == expected["probability"].to_list()
        assert [each["evidence"] for each in view["partners"]] == expected["evidence"].to_list()
        known = [tuple(pair) for pair in run.ids[run.recorded.pairs].tolist()]
        drawn = [[view["network"]["nodes"][end]["id"] for end in edge] for edge in view["network"]["edges"]]
        assert all((u, v) in known or (v, u) in known for u, v in drawn)


class TestHostileIds:
    def test_they_come_back_as_they_are(self, live, hostile_ids):
        for i, name in enumerate(hostile_ids):
            found = get(live, "/api/runs/0/nodes", q=name[: LIMITS.query_characters])
            assert found["matches"][0] | {"degree": 0} == {"index": i, "id": name, "degree": 0}
        pairs = [[name, "node100"] for name in hostile_ids]
        answer = post(f"{live.url}/api/runs/1/predict", json={"pairs": pairs}).json()
        assert [row["source"] for row in answer["rows"]] == list(hostile_ids)
        assert all(row["problem"] is None for row in answer["rows"])

    @pytest.mark.parametrize("of_links", [True, False])
    def test_no_cell_of_a_download_is_a_formula(self, live, hostile_ids, of_links):
        if of_links:
            answer = fetch(f"{live.url}/api/runs/1/links.csv")
        else:
            pairs = [[name, "node100"] for name in hostile_ids]
            answer = post(f"{live.url}/api/runs/1/predict.csv", json={"pairs": pairs})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"].startswith("attachment")
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert len(rows) == (300 if of_links else len(hostile_ids))
        cells = [row[column] for row in rows for column in ("source", "target", *(["evidence"] if of_links else []))]
        for cell in cells:  # as a program sees it that parts lines at other signs
            assert not [part for part in re.split('[;,|\t"]', cell) if part.lstrip().startswith(FORMULA)]
        assert any(cell.startswith("'") for cell in cells)
        if not of_links:  # the apostrophe is all that differs
            assert [row["source"].replace("'", "") for row in rows] == [name.replace("'", "") for name in hostile_ids]

    def test_half_a_character_is_refused_in_words(self, live):
        body = b'{"pairs": [["\\ud800", "node100"]]}'
        answer = post(f"{live.url}/api/runs/0/predict", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "invalid"


class TestThePage:
    def test_it_has_no_inline_script_and_names_no_other_host(self, live):
        for path in ("/", "/docs"):
            answer = fetch(live.url + path)
            assert answer.headers["content-type"].startswith("text/html")
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=|javascript:", answer.text)
            assert not re.search(r"(?:src|href)=[\"'](?!/|#)", answer.text)
            for asset in re.findall(r"(?:src|href)=[\"'](/static/[^\"']+)", answer.text):
                assert fetch(live.url + asset).status_code == 200

    def test_the_report_runs_apart(self, live):
        answer = fetch(f"{live.url}/runs/1/report")
        assert answer.status_code == 200
        assert "sandbox allow-scripts" in answer.headers["content-security-policy"]
        assert "same-origin" not in answer.headers["content-security-policy"]

    def test_docs_name_every_route(self, live):
        text = fetch(live.url + "/docs").text
        paths = get(live, "/openapi.json")["paths"]
        assert {"/healthz", "/api/runs", "/api/runs/{index}/predict", "/api/runs/{index}/links"} <= set(paths)
        assert all(path in text for path in paths)

    def test_every_answer_has_the_headers(self, live):
        for path in ("/", "/healthz", "/nothing", "/api/runs/99", "/api/runs/x"):
            headers = fetch(live.url + path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"]
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers


class TestTheCommand:
    def run(self, *arguments: object) -> Any:
        return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(command_line, ["serve", *map(str, arguments)])

    def test_wrong_usage(self, live, tmp_path):
        port = live.url.rpartition(":")[2]
        for arguments, message in (
            ((live.paths[0], "--host", "0.0.0.0"), "needs --token"),
            ((live.paths[0], "--port", port), "name another --port"),
            ((live.paths[0], "--port", 0, "--prevalence", "2"), "between 0 and 1"),
            ((live.paths[0], "--token", "short"), "16 or more"),
        ):
            done = self.run(*arguments)
            assert done.exit_code == 2
            assert message in done.stderr
        assert self.run(tmp_path / "none", "--port", 0).exit_code == 1

    def test_it_starts_answers_and_stops_at_once(self, live):
        command = [sys.executable, "-m", "linkodds", "serve", *map(str, live.paths), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            for _ in range(100):
                try:
                    health = fetch(url + "healthz")
                    break
                except httpx.ConnectError:
                    pass
            assert health.json()["status"] == "ok"
            names = [each["name"] for each in fetch(url + "api/runs").json()["runs"]]
            assert names == ["gae", "resource-allocation"]
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert said.endswith("stopped.\n")


def test_a_request_names_no_file(live) -> None:
    """Routes take indices and texts only; what is served was read at the start."""
    routes = [each.path for each in build_app(live.runs).routes]
    assert {re.sub(r"\{\w+\}", "{}", each) for each in routes} == {
        "/openapi.json",
        "/healthz",
        "/",
        "/docs",
        "/static/{}",
        "/runs/{}/report",
        "/api/runs",
        "/api/runs/{}",
        *(f"/api/runs/{{}}/{each}" for each in ("evaluation", "thresholds", "predict", "predict.csv", "links")),
        *(f"/api/runs/{{}}/{each}" for each in ("links.csv", "nodes", "nodes/{}")),
    }
    assert np.isfinite(live.runs[0].deployment.num_missing)
