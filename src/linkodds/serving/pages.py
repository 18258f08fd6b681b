"""Pages: the files of the page, read once from the package, and the API's documentation as plain HTML."""

import html
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_SHARED = ("threshold.js", "threshold.css")  # with the report


@dataclass(frozen=True)
class PageFile:
    """A file of the page as it is sent."""

    content: bytes
    media_type: str


def page_files() -> dict[str, PageFile]:
    """Name -> file; a name from a URL is looked up here and never becomes a path.

    Example:
        >>> page_files()["page.css"].media_type
        'text/css'
    """
    package = files("linkodds")
    found = [*(package / "serving" / "page").iterdir(), *(package / "report" / "assets" / name for name in _SHARED)]
    return {
        each.name: PageFile(each.read_bytes(), _MEDIA_TYPES[each.name.rpartition(".")[2]])
        for each in found
        if each.is_file() and each.name.rpartition(".")[2] in _MEDIA_TYPES
    }


def docs_page(openapi: dict[str, Any]) -> str:
    """The OpenAPI document for people: one table a route, no script."""
    sections = [
        _operation(method, path, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>linkodds API</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<link rel='icon' href='/static/icon.svg'><link rel='stylesheet' href='/static/page.css'></head><body><main>"
        f"<h1>API</h1><p>{_text(openapi['info']['description'])} The same for programs: "
        '<a href=\'/openapi.json\'>openapi.json</a>. Errors are <code>{"error": {"code", "message"}}</code>. '
        "With a token, send <code>Authorization: Bearer TOKEN</code>. <a href='/'>Back to the page</a>.</p>"
        f"{''.join(sections)}</main></body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (each["name"], _text(each.get("description", "")), _bounds(each["schema"]))
        for each in operation.get("parameters", [])
    ]
    if "requestBody" in operation:
        rows.append(("body", 'JSON: <code>{"pairs": [["a", "b"], ...], "decision": null}</code>', ""))
    table = "".join(f"<tr><th>{_text(name)}</th><td>{what}</td><td>{bounds}</td></tr>" for name, what, bounds in rows)
    answers = ", ".join(sorted(operation["responses"]))
    return (
        f"<section><h2><code>{method.upper()} {_text(path)}</code></h2>"
        f"<p>{_text(operation.get('description', operation.get('summary', '')))}</p>"
        + (f"<div class='scroll'><table>{table}</table></div>" if rows else "")
        + f"<p class='note'>Answers: {_text(answers)}</p></section>"
    )


def _bounds(schema: dict[str, Any]) -> str:
    names = {"minimum": "from", "maximum": "to", "maxLength": "characters at most", "default": "default"}
    return _text(", ".join(f"{label} {schema[key]!r}" for key, label in names.items() if key in schema))


def _text(value: Any) -> str:
    return html.escape(str(value))
