"""The documentation: every block of code on its pages runs and prints what the page shows; every link and anchor holds.

A fence names what happens to it. `python` runs, and what it prints stands in the `output` fence below it. `console`
holds commands after `$`, with what they print, words on stderr among it; `linkodds` runs in this process, anything else in
a shell. `text` is not run. A line `...` in an output stands for lines that the page leaves out. Decimals may differ by
2 % and whole numbers by 5 %, for another processor rounds otherwise and may keep another epoch; words may not.

To write what the blocks print into their pages: python tests/test_docs.py PAGE.md ...
"""

import contextlib
import io
import itertools
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
from markdown_it import MarkdownIt
from pygments.lexers import get_lexer_by_name
from pygments.token import Error
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

from linkodds import cli
from linkodds.doctor import RULES
from linkodds.findings import Finding
from places import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDE = DOCS / "guide"
RUN, SHOWN, DIRECTIVES = {"python", "console"}, {"output", "text"}, {"{toctree}", "{eval-rst}"}
RUN_ELSEWHERE = {DOCS / "doctor.md"}  # each rule from a fresh start: test_doctor_rules.py
WIDTH = "88"  # columns of the terminal that the pages show
NUMBER = re.compile(r"(?<![\w.])([-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fences(page: Path) -> list[str]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    assert not any(token.type == "code_block" for token in tokens), f"{name(page)}: an indented block names no language"
    return [token.info.strip() for token in tokens if token.type == "fence"]


# Running a page


@dataclass
class Printed:
    """What a block printed: where its output stands on the page, and what is there instead."""

    start: int
    end: int
    shown: str
    text: str


def run_page(page: Path) -> list[Printed]:
    """Run a page's blocks in order, in the folder we are in, and hand back every output with what it should be."""
    printed: list[Printed] = []
    said = [""]

    def run_python(example: Example) -> None:
        assert said[0] == "", (
            f"{name(page)}: a block before line {example.line} prints {said[0]!r}, and no output is shown"
        )
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile("\n" * example.line + example.parsed, str(page), "exec", dont_inherit=True), example.namespace)
        said[0] = out.getvalue()

    def compare_output(example: Example) -> None:
        assert said[0], f"{name(page)}, line {example.line}: this is the output of no block"
        start = example.region.start + example.parsed.offset
        printed.append(Printed(start, start + len(example.parsed), example.parsed, said[0]))
        said[0] = ""

    def run_console(example: Example) -> None:
        start = example.region.start + example.parsed.offset
        for part in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", example.parsed, re.M):
            printed.append(Printed(start + part.start(2), start + part.end(2), part[2], run_command(part[1])))

    evaluators = {"python": run_python, "output": compare_output, "console": run_console}
    parsers = [CodeBlockParser(language, evaluator) for language, evaluator in evaluators.items()]
    for example in Document.parse(str(page), *parsers).examples():
        example.evaluate()
    assert said[0] == "", f"{name(page)}: the last block prints {said[0]!r}, and no output is shown"
    return printed


def run_command(line: str) -> str:
    """What a terminal shows after a command."""
    if not line.startswith("linkodds"):
        done = subprocess.run(
            line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout
    shown = io.StringIO()
    with (
        contextlib.redirect_stdout(shown),
        contextlib.redirect_stderr(shown),
        mock.patch.object(sys, "argv", shlex.split(line, comments=True)),
        mock.patch.dict(os.environ, {"COLUMNS": WIDTH, "TERM": "dumb", "NO_COLOR": "1"}),
        contextlib.suppress(SystemExit),
    ):
        cli.main()
    return re.sub(r"[ \t]+$", "", shown.getvalue(), flags=re.M).strip("\n") + "\n"


def same(shown: str, got: str) -> bool:
    r"""Whether a page shows what was printed.

    Example:
        >>> same("AUC 0.880\n...\nlast\n", "AUC 0.881\n\none\ntwo\nlast\n"), same("3 pairs", "4 pairs"), same("a", "a\nb")
        (True, False, False)
    """
    lines = [line.split() for line in got.splitlines() if line.strip()]
    at, skipping = 0, False
    for expected in (line for line in shown.splitlines() if line.strip()):
        if expected.strip() == "...":
            skipping = True
            continue
        while at < len(lines) and skipping and not same_line(expected, " ".join(lines[at])):
            at += 1
        if at == len(lines) or not same_line(expected, " ".join(lines[at])):
            return False
        at, skipping = at + 1, False
    return skipping or at == len(lines)


def same_line(shown: str, got: str) -> bool:
    ours, theirs = NUMBER.split(" ".join(shown.split())), NUMBER.split(got)
    return len(ours) == len(theirs) and all(
        same_number(a, b) if i % 2 else a == b for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
    )


def same_number(shown: str, got: str) -> bool:
    a, b = (float(each.replace(",", "")) for each in (shown, got))
    return math.isclose(a, b, rel_tol=0.02, abs_tol=0.002) if "." in shown else math.isclose(a, b, rel_tol=0.05)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first page of the guide leaves: the others go on from there."""
    folder = tmp_path_factory.mktemp("guide")
    with contextlib.chdir(folder):
        check(GUIDE / "fit.md")
    return folder


def check(page: Path) -> None:
    for each in run_page(page):
        line = page.read_text(encoding="utf-8")[: each.start].count("\n") + 1
        if not same(each.shown, each.text):
            pytest.fail(f"{name(page)}, line {line}: it prints\n{each.text}", pytrace=False)


def has_code(page: Path) -> bool:
    return page not in RUN_ELSEWHERE and any(fence in RUN for fence in fences(page))


@pytest.mark.parametrize("page", [page for page in PAGES if has_code(page)], ids=name)
def test_what_a_page_shows_is_what_its_blocks_print(page: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if page.parent == GUIDE:
        folder = request.getfixturevalue("fitted")
        if page == GUIDE / "fit.md":
            return  # the fixture ran it
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    with contextlib.chdir(tmp_path):
        check(page)


def test_a_page_that_shows_something_else_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    code = "```python\nprint(f'{2 + 2} pairs')\n```\n"
    page.write_text(code + "\n```output\n4 pairs\n```\n\n```console\n$ echo one; echo two\none\n...\n```\n")
    with mock.patch(f"{__name__}.ROOT", tmp_path):
        check(page)
        page.write_text(code + "\n```output\n5 pairs\n```\n")
        with pytest.raises(pytest.fail.Exception, match="line 6: it prints\n4 pairs"):
            check(page)
        page.write_text(code)
        with pytest.raises(AssertionError, match="no output is shown"):
            check(page)


# Fences, links and the order of pages


def test_every_block_runs_or_says_that_it_does_not() -> None:
    for page in PAGES:
        unknown = set(fences(page)) - RUN - SHOWN - DIRECTIVES
        assert not unknown, f"{name(page)}: fences of {unknown}; those that are not run are called text"
    for page in RUN_ELSEWHERE:
        assert set(fences(page)) <= {"python", "text"}


def test_every_block_can_be_coloured() -> None:
    """What `make docs` refuses: a line of output that begins with # is a command to the lexer, and one quote in it an error."""
    for page in PAGES:
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and token.info.strip() in RUN:
                kinds = [kind for kind, _ in get_lexer_by_name(token.info.strip()).get_tokens(token.content)]
                assert Error not in kinds, (
                    f"{name(page)}: a block of {token.info.strip()} cannot be read: {token.content}"
                )


def headings_and_anchors(page: Path) -> set[str]:
    """Anchors of a page as a code host and the built site have them."""
    text = page.read_text(encoding="utf-8")
    tokens = MarkdownIt().parse(text)
    titles = [after.content for token, after in itertools.pairwise(tokens) if token.type == "heading_open"]
    slugs = {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


def links(page: Path) -> Iterator[str]:
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        for child in token.children or ():
            for key in ("href", "src"):
                if child.attrGet(key):
                    yield str(child.attrGet(key))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name)
def test_links_and_anchors_hold(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link} leads nowhere"
        if page.is_relative_to(DOCS):
            assert target.is_relative_to(DOCS), f"{name(page)}: {link} leaves the site"
        if anchor:
            assert anchor in headings_and_anchors(target), f"{name(page)}: {link} has no such anchor"


def test_every_page_is_in_the_contents_once() -> None:
    """A new page is put into a list of docs/index.md."""
    listed: list[Path] = [DOCS / "index.md"]
    for page in PAGES:
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence" and token.info.strip() == "{toctree}":
                for entry in (line for line in token.content.splitlines() if line and not line.startswith(":")):
                    listed += sorted(page.parent.glob(f"{entry}.md"))
    assert sorted(listed) == PAGES


def test_no_page_takes_the_place_of_one_that_sphinx_makes() -> None:
    assert not {page.stem for page in DOCS.glob("*.md")} & {"search", "genindex", "py-modindex"}


def test_findings_lead_to_sections_of_the_docs() -> None:
    anchors = headings_and_anchors(DOCS / "doctor.md")
    for rule in RULES:
        path, _, anchor = str(Finding(rule, "info", "", "").page).partition("#")
        assert ROOT / path == DOCS / "doctor.md"
        assert anchor in anchors


def test_every_command_has_a_page() -> None:
    commands = {each.callback.__name__ for each in cli.app.registered_commands if each.callback}
    assert commands <= {page.stem for page in GUIDE.glob("*.md")}


def write(page: Path) -> None:
    """Put what the blocks print into a page; outputs with `...` in them stay."""
    text = page.read_text(encoding="utf-8")
    for each in reversed(run_page(page)):
        if not same(each.shown, each.text):
            print(f"{page}: {'look at' if '...' in each.shown else 'new'}\n{each.text}")
        if "...\n" not in each.shown:
            text = text[: each.start] + each.text + text[each.end :]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    pages = [Path(argument).resolve() for argument in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if any(page.parent == GUIDE for page in pages):
            write(GUIDE / "fit.md")
        for page in pages:
            if page != GUIDE / "fit.md":
                write(page)
