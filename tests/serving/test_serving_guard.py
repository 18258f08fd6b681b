"""Who may ask `linkodds serve`, how much, for how long, and that no request brings it down."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from linkodds.errors import OptionError
from linkodds.links.inference import find_links
from linkodds.links.link_search import Scope
from linkodds.search.nearby import NearPairs
from linkodds.search.pair_search import PairSearch
from linkodds.serving.api import guarded_app
from linkodds.serving.guard import COOKIE, Access
from linkodds.serving.limits import LIMITS
from linkodds.serving.links import LinkLists
from linkodds.serving.thread_pool import BoundedThreads, Busy

# Patient, and without reading certificates for plain HTTP.
fetch = partial(httpx.get, timeout=60.0, verify=False)
post = partial(httpx.post, timeout=60.0, verify=False)

TOKEN = "correct-horse-battery"


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost@evil", "a b", ""]
    )
    def test_another_host_is_refused(self, live, host):
        answer = fetch(live.url + "/api/runs", headers={"host": host})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "host"

    @pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST"])
    def test_names_of_this_machine_are_not(self, live, host):
        assert fetch(live.url + "/api/runs", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
    )
    def test_pages_of_other_sites_are_refused(self, live, headers):
        question = {"pairs": [["node20", "node100"]]}
        answer = post(live.url + "/api/runs/0/predict", json=question, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")
        own = post(live.url + "/api/runs/0/predict", json=question, headers={"origin": live.url})
        assert own.status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/static/../../../../etc/passwd",
            "/static/..%2f..%2fserved.py",
            "/static/%2e%2e/%2e%2e/served.py",
            "/static/__init__.py",
            "/static//etc/passwd",
            "/static/..\\..\\served.py",
            "/runs/..%2f..%2f/report",
            "/api/runs/../../etc/passwd",
            "/api/runs/0/nodes/..%2f..%2fetc",
        ],
    )
    def test_no_path_leads_to_a_file(self, live, path):
        async def raw() -> bytes:
            host, port = live.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            try:
                return await reader.read()
            finally:
                writer.close()

        answer = asyncio.run(raw())
        assert re.match(rb"HTTP/1.1 (404|422) ", answer)
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["message"]

    def test_beyond_this_machine_it_takes_a_token(self):
        with pytest.raises(OptionError, match="needs --token"):
            Access("0.0.0.0")
        with pytest.raises(OptionError, match="16 or more"):
            Access("127.0.0.1", "short")
        with pytest.raises(OptionError, match="ASCII"):
            Access("127.0.0.1", "clé" * 10)
        beyond = Access("0.0.0.0", TOKEN, ("graphs.example",))
        named = [each for each in ("192.168.1.5:8350", "graphs.example", "evil.example") if beyond.is_called(each)]
        assert named == ["192.168.1.5:8350", "graphs.example"]

    def test_token_as_bearer_and_as_cookie(self, live):
        app = guarded_app(live.runs, access=Access("127.0.0.1", TOKEN))

        async def asked() -> list[httpx.Response]:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:

                async def status(path: str, **headers: str) -> httpx.Response:
                    client.cookies.clear()
                    return await client.get(path, headers=headers)

                first = await status("/?token=" + TOKEN)
                cookie = first.headers["set-cookie"].split(";")[0]
                return [
                    first,
                    await status("/api/runs"),
                    await status("/api/runs", authorization="Bearer " + TOKEN[:-1]),
                    await status("/api/runs", cookie=f"{COOKIE}={TOKEN}"),
                    await status("/api/runs?token=" + TOKEN),
                    await status("/?token=wrong&token=clé"),
                    await status("/"),
                    await status("/static/page.js"),
                    await status("/openapi.json"),
                    await status("/api/runs", authorization="bearer " + TOKEN),
                    await status("/api/runs", cookie=f"other=1; {cookie}"),
                    await status("/healthz"),
                ]

        first, *rest = asyncio.run(asked())
        assert (first.status_code, first.headers["location"]) == (303, "/")
        assert TOKEN not in first.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict"} <= set(first.headers["set-cookie"].split("; "))
        assert [each.status_code for each in rest] == [401] * 8 + [200] * 3
        assert all("www-authenticate" in each.headers for each in rest[:8])


class TestSizes:
    def test_bodies(self, live):
        url, header = live.url + "/api/runs/0/predict", {"content-type": "application/json"}
        large = b" " * (LIMITS.body_bytes + 1)

        def in_parts() -> Any:
            for start in range(0, len(large), 1 << 20):
                yield large[start : start + (1 << 20)]

        for content in (large, in_parts()):
            answer = post(url, content=content, headers=header)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")

    def test_pairs_queries_and_pages(self, live):
        pairs = [["a", "b"]] * (LIMITS.pairs + 1)
        answers = [
            post(live.url + "/api/runs/0/predict", json={"pairs": pairs}),
            post(live.url + "/api/runs/0/predict", json={"pairs": [["a" * (LIMITS.id_characters + 1), "b"]]}),
            post(live.url + "/api/runs/0/predict", json={"pairs": [], "decision": "no such rule"}),
            post(live.url + "/api/runs/0/predict", content=b'{"pairs": []}'),
            fetch(live.url + "/api/runs/0/nodes", params={"q": "a" * (LIMITS.query_characters + 1)}),
            fetch(live.url + "/api/runs/0/links", params={"limit": LIMITS.links_per_page + 1}),
            fetch(live.url + "/api/runs/0/links", params={"min_logit": "nan"}),
            fetch(live.url + "/api/runs/0/nodes/1", params={"partners": LIMITS.partners + 1}),
        ]
        assert [each.status_code for each in answers] == [422] * len(answers)
        assert all(set(each.json()["error"]) == {"code", "message"} for each in answers)
        assert all(len(each.content) < 2000 for each in answers)
        full = post(live.url + "/api/runs/0/predict", json={"pairs": pairs[:-1]}).json()
        assert full["num_unknown"] == LIMITS.pairs

    def test_there_are_no_such_runs_and_nodes(self, live):
        for path in ("/api/runs/2", "/api/runs/0/nodes/150", "/runs/7/report", "/api/runs/3/links.csv", "/api"):
            answer = fetch(live.url + path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert httpx.delete(live.url + "/api/runs").json()["error"]["code"] == "method_not_allowed"

    def test_a_body_that_never_comes(self, live):
        app = guarded_app(live.runs, access=Access(), limits=replace(LIMITS, body_seconds=0.05))

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(5)

        sent: list[dict[str, Any]] = []

        async def ask() -> None:
            scope = {
                "type": "http",
                "method": "POST",
                "path": "/api/runs/0/predict",
                "query_string": b"",
                "headers": [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")],
            }
            parts = slow()

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": await anext(parts), "more_body": True}

            async def send(message: Any) -> None:
                sent.append(message)

            await app(scope, receive, send)

        asyncio.run(ask())
        assert sent[0]["status"] == 408

    def test_who_waits_is_bounded(self):
        work, gate = BoundedThreads(threads=1, waiting=2), Event()

        async def crowd() -> list[Any]:
            asked = [asyncio.create_task(work(gate.wait)) for _ in range(5)]
            await asyncio.sleep(0.05)
            gate.set()
            return await asyncio.gather(*asked, return_exceptions=True)

        answers = asyncio.run(crowd())
        assert answers[:3] == [True] * 3
        assert [type(each) for each in answers[3:]] == [Busy, Busy]

    def test_busy_is_said(self, live):
        app = guarded_app(live.runs, access=Access(), limits=replace(LIMITS, threads=0, waiting=0))

        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
                return await client.get("/api/runs/0/nodes/1")

        answer = asyncio.run(ask())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["error"]["code"] == "busy"

    def test_a_search_that_takes_too_long_is_refused_in_words(self, live):
        lists = LinkLists(live.runs[:1], top=10, seconds=-1.0)
        assert lists[0].state == "waiting"
        lists.start()
        lists.close()
        assert lists[0].state == "refused"
        assert "linkodds find" in lists[0].note

    def test_a_search_of_all_pairs_that_takes_too_long_keeps_to_nearby_ones(self, live, monkeypatch):
        def expected(search: PairSearch) -> tuple[int, float, float]:
            return 0, 1.0 if isinstance(search._parts[0], NearPairs) else 1000.0, 0.0

        monkeypatch.setattr(PairSearch, "expected", expected)
        lists = LinkLists(live.runs[:1], top=10, seconds=60.0)
        lists.start()
        lists._thread.join()
        served = live.runs[0]
        near = find_links(served.run, served.deployment, top=10, scope=Scope(within_hops=2))
        assert [row["logit"] for row in lists[0].rows] == near["logit"].to_list()
        assert "about 1,000 seconds" in lists[0].note


FUZZ = settings(max_examples=5, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


class TestFuzzed:
    @pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    def test_answers_are_what_the_document_says_and_none_is_a_failure(self, live, mode):
        document = schemathesis.openapi.from_url(live.url + "/openapi.json")
        statuses: list[int] = []
        for result in document.get_all_operations():
            operation = result.ok()
            if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
                continue

            @FUZZ
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                if mode is GenerationMode.POSITIVE:  # most runs and nodes that are drawn are not there
                    there = {"index": 2, "node": 150}
                    case.path_parameters = {name: value % there[name] for name, value in case.path_parameters.items()}
                    if isinstance(case.body, dict) and case.body.get("decision"):  # any text is one, few are rules
                        case.body["decision"] = "f1"
                statuses.append(case.call_and_validate().status_code)

            ask()
        assert set(statuses) <= {200, 400, 404, 405, 422}
        assert statuses.count(200 if mode is GenerationMode.POSITIVE else 422) > 15
