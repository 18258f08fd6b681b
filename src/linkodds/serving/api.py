"""API: the routes of `linkodds serve`, JSON under /api, and the page that reads them."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from linkodds.errors import LinkoddsError
from linkodds.formatting import safe_csv
from linkodds.serving import schema
from linkodds.serving.guard import REPORT_POLICY, Access, Guard, error_json
from linkodds.serving.limits import LIMITS, Limits
from linkodds.serving.links import LinkList, LinkLists
from linkodds.serving.pages import docs_page, page_files
from linkodds.serving.served import ServedRun
from linkodds.serving.thread_pool import BoundedThreads, Busy

_PREDICTED = ("source", "target", "logit", "probability", "probability_low", "probability_high", "decision", "known")
_LISTED = ("source", "target", "logit", "probability", "probability_low", "probability_high", "evidence")
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": schema.Error, "description": "The Host header names another server, or the request is malformed."},
    401: {"model": schema.Error, "description": "The token is missing or wrong."},
    403: {"model": schema.Error, "description": "A page of another site asked."},
    404: {"model": schema.Error, "description": "No such run or node."},
    422: {"model": schema.Error, "description": "A value that is not accepted; the message says which."},
    503: {"model": schema.Error, "description": "Too many requests wait; try again after Retry-After seconds."},
}
_BODY_REFUSALS: dict[int | str, dict[str, Any]] = {
    **_REFUSALS,
    408: {"model": schema.Error, "description": "The request did not arrive in time."},
    413: {"model": schema.Error, "description": "The request is too large."},
}
_CSV: dict[str, Any] = {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The table."}

RunIndex = Annotated[int, Path(ge=0, le=LIMITS.runs, description="Place of the run on the command line, from 0.")]
MinLogit = Annotated[
    float | None, Query(allow_inf_nan=False, description="Only links at or above this logit, such as a threshold.")
]


class _Json(JSONResponse):
    """ASCII only: an id may hold half a character, which UTF-8 cannot write."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def guarded_app(runs: Sequence[ServedRun], *, access: Access, top: int = 1000, limits: Limits = LIMITS) -> ASGIApp:
    """The whole server as an ASGI application.

    Args:
        runs: what is served.
        access: whom it answers.
        top: links in each list.
        limits: what a request may ask for.
    """
    return Guard(build_app(runs, top=top, limits=limits), access, limits)


def build_app(runs: Sequence[ServedRun], *, top: int = 1000, limits: Limits = LIMITS) -> FastAPI:
    """The routes alone, without the guard; see `guarded_app`."""
    lists, work = LinkLists(runs, top=top, seconds=limits.list_seconds), BoundedThreads(limits.threads, limits.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        lists.start()
        yield
        lists.close()

    app = FastAPI(
        title="linkodds",
        version=version("linkodds"),
        description="Runs of linkodds: evaluation, probabilities of pairs, likely partners, new links. Ids are text.",
        docs_url=None,  # these load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        default_response_class=_Json,
        # Nothing is measured or sent, whatever the environment says.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    _add_errors(app)
    _add_pages(app, runs, work)
    _add_runs(app, runs, work)
    _add_nodes(app, runs, work)
    _add_links(app, runs, lists, work)
    return app


def _add_runs(app: FastAPI, runs: Sequence[ServedRun], work: BoundedThreads) -> None:
    @app.get("/healthz", response_model=schema.Health, responses={400: _REFUSALS[400], 403: _REFUSALS[403]})
    async def healthz() -> Response:
        """Whether the server answers; needs no token."""
        return _Json({"status": "ok", "version": version("linkodds")})

    @app.get("/api/runs", response_model=schema.Runs, responses=_REFUSALS)
    async def list_runs() -> Response:
        """All runs with verdict and main figures."""
        return _Json({"runs": [{"index": i, **each.summary} for i, each in enumerate(runs)]})

    @app.get("/api/runs/{index}", response_model=schema.RunSummary, responses=_REFUSALS)
    async def one_run(index: RunIndex) -> Response:
        """One run with verdict and main figures."""
        return _Json({"index": index, **_of(runs, index).summary})

    @app.get("/api/runs/{index}/evaluation", response_model=schema.Evaluation, responses=_REFUSALS)
    async def evaluation(index: RunIndex) -> Response:
        """evaluation.json, restated under the assumption that the server was started with."""
        return _Json(_of(runs, index).evaluation.to_json())

    @app.get("/api/runs/{index}/thresholds", response_model=schema.ThresholdTable, responses=_REFUSALS)
    async def thresholds(index: RunIndex) -> Response:
        """Every threshold with what it gives on the held-out edges, in the rehearsal and at the graph's ratio."""
        served = _of(runs, index)
        return await work(lambda: _Json(served.thresholds))

    @app.post("/api/runs/{index}/predict", response_model=schema.Predictions, responses=_BODY_REFUSALS)
    async def predict(index: RunIndex, question: schema.PairsQuestion) -> Response:
        """Logit, probability and decision of pairs, as `linkodds predict`."""
        served = _of(runs, index)
        return await work(lambda: _Json(served.predict(question.pairs, question.decision)))

    @app.post(
        "/api/runs/{index}/predict.csv",
        response_class=Response,
        responses={**_BODY_REFUSALS, 200: _CSV},
    )
    async def predict_csv(index: RunIndex, question: schema.PairsQuestion) -> Response:
        """The same as CSV. An id that a spreadsheet would take for a formula gets an apostrophe before it."""
        served = _of(runs, index)
        return await work(
            lambda: _csv(_PREDICTED, served.predict(question.pairs, question.decision)["rows"], "predictions.csv")
        )


def _add_nodes(app: FastAPI, runs: Sequence[ServedRun], work: BoundedThreads) -> None:
    @app.get("/api/runs/{index}/nodes", response_model=schema.Matches, responses=_REFUSALS)
    async def nodes(
        index: RunIndex,
        q: Annotated[str, Query(max_length=LIMITS.query_characters, description="Part of an id.")] = "",
        limit: Annotated[int, Query(ge=1, le=LIMITS.matches)] = 10,
    ) -> Response:
        """Look an id up: the same id first, then those that begin with the text, then those that hold it."""
        served = _of(runs, index)
        return await work(lambda: _Json(served.matches(q, limit)))

    @app.get("/api/runs/{index}/nodes/{node}", response_model=schema.NodeView, responses=_REFUSALS)
    async def one_node(
        index: RunIndex,
        node: Annotated[int, Path(ge=0, le=2**53, description="Index of the node; look its id up with q.")],
        partners: Annotated[int, Query(ge=1, le=LIMITS.partners, description="How many at most.")] = 10,
    ) -> Response:
        """Likely partners of a node with evidence, its neighbours, and the small network around it."""
        served = _of(runs, index)
        if node >= len(served.run.ids):
            raise HTTPException(404, f"This run has nodes 0 to {len(served.run.ids) - 1:,}, not {node:,}.")
        return await work(lambda: _Json(served.node(node, partners)))


def _add_links(app: FastAPI, runs: Sequence[ServedRun], lists: LinkLists, work: BoundedThreads) -> None:
    @app.get("/api/runs/{index}/links", response_model=schema.Links, responses=_REFUSALS)
    async def links(
        index: RunIndex,
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=LIMITS.links_per_page)] = 50,
        min_logit: MinLogit = None,
    ) -> Response:
        """New links from the best on; found in the background after the start, so look at `state`."""
        served, found = _of(runs, index), lists[index]
        rows = _at_least(found, min_logit)
        end = offset + limit
        return _Json(
            {
                "state": found.state,
                "share": found.share,
                "note": found.note,
                "assumption": served.deployment.assumption,
                "num_links": len(rows),
                "expected_links": sum(row["probability"] for row in rows),
                "offset": offset,
                "limit": limit,
                "next_offset": end if end < len(rows) else None,
                "links": rows[offset:end],
            }
        )

    @app.get("/api/runs/{index}/links.csv", response_class=Response, responses={**_REFUSALS, 200: _CSV})
    async def links_csv(index: RunIndex, min_logit: MinLogit = None) -> Response:
        """The whole list as CSV. An id that a spreadsheet would take for a formula gets an apostrophe before it."""
        _of(runs, index)
        found = lists[index]
        if found.state != "ready":
            raise HTTPException(503, found.note, headers={"Retry-After": "2"})
        return await work(lambda: _csv(_LISTED, _at_least(found, min_logit), "links.csv"))


def _add_pages(app: FastAPI, runs: Sequence[ServedRun], work: BoundedThreads) -> None:
    files = page_files()

    def answer(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "No such file of the page.")
        return Response(files[name].content, media_type=files[name].media_type)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return answer("index.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return answer(name)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(docs_page(app.openapi()), media_type="text/html")

    @app.get("/runs/{index}/report", include_in_schema=False)
    async def report(index: RunIndex) -> Response:
        served = _of(runs, index)
        html = await work(lambda: served.report)
        return Response(html, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})


def _of(runs: Sequence[ServedRun], index: int) -> ServedRun:
    if index >= len(runs):
        raise HTTPException(404, f"There are runs 0 to {len(runs) - 1}, not {index}.")
    return runs[index]


def _at_least(found: LinkList, min_logit: float | None) -> Sequence[dict[str, Any]]:
    return found.rows if min_logit is None else [row for row in found.rows if row["logit"] >= min_logit]


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], name: str) -> Response:
    content = safe_csv(columns, ([_cell(row[column]) for column in columns] for row in rows))
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="text/csv", headers=headers)


def _cell(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _add_errors(app: FastAPI) -> None:
    def answers(kind: type[Exception]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return app.exception_handler(kind)

    @answers(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed", 503: "not_ready"}
        code = codes.get(error.status_code, "refused")
        return _Json(error_json(code, str(error.detail)), error.status_code, headers=dict(error.headers or {}))

    @answers(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return _Json(error_json("invalid", _in_words(error)), 422)

    @answers(LinkoddsError)
    async def not_accepted(_: Request, error: LinkoddsError) -> Response:
        return _Json(error_json("refused", str(error)), 422)

    @answers(Busy)
    async def busy(_: Request, __: Busy) -> Response:
        message = "Too many requests wait already; try again in a second."
        return _Json(error_json("busy", message), 503, headers={"Retry-After": "1"})

    @answers(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return _Json(
            error_json("failed", "unexpected error (a bug in linkodds); the terminal of the server shows it."), 500
        )


def _in_words(error: RequestValidationError) -> str:
    """Where and what, without the value: that may be megabytes of anybody's text."""
    said = [
        f"{'.'.join(str(each)[:60] for each in fault['loc'][:6])}: {str(fault['msg'])[:200]}"
        for fault in list(error.errors())[:5]
    ]
    return "; ".join(said)
