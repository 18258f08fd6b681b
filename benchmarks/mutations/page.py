"""The page docs/mutations.md, from what run.py has found."""

from pathlib import Path

from blind import BLIND
from mutation import Mutation
from named import NAMED

PAGE = Path(__file__).parents[2] / "docs" / "mutations.md"


def write_page(found: dict[str, dict[str, dict]]) -> None:
    """Write it.

    Args:
        found: list -> name of the mutation -> its line in the results.
    """
    named, blind = found["named"], found["blind"]
    survivors = [
        each for each in (*NAMED, *BLIND) if not (named | blind).get(each.name, {"killed_by": "?"})["killed_by"]
    ]
    lines = [
        "# Tests that can fail: what they say of small errors",
        "",
        "A test is worth something if it fails when the code is wrong. Here the code is made wrong on purpose, one small error",
        "at a time (a term dropped, a quantile off by one, a weight forgotten), in a copy of the source, and the tests of that",
        "module are run on it. Written by `benchmarks/mutations/run.py`, which says how; the exact texts are beside it.",
        "",
        "## Places where tests once noticed nothing",
        "",
        f"{len(NAMED)} errors that an earlier suite let pass. {_share(named)}",
        "",
        *_table(NAMED, named),
        "",
        "## Sixty more",
        "",
        "Chosen all over the statistics from the source alone, before the tests were read; the tests that were missing were",
        f"written afterwards. {_share(blind)}",
        "",
        *_table(BLIND, blind),
        "",
    ]
    if survivors:
        lines += ["## Why the others pass", ""]
        lines += [f"- **{each.name}** (`{each.file}`): {each.survives or 'not explained.'}" for each in survivors]
        lines += [""]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def _share(found: dict[str, dict]) -> str:
    killed = sum(bool(each["killed_by"]) for each in found.values())
    return f"{killed} of the {len(found)} that were tried to the end fail a test now."


def _table(mutations: tuple[Mutation, ...], found: dict[str, dict]) -> list[str]:
    rows = ["| error | where | noticed by |", "|---|---|---|"]
    for each in mutations:
        if each.name not in found:
            rows.append(f"| {each.name} | `{each.file}` | not tried to the end yet |")
            continue
        killed_by = found[each.name]["killed_by"]
        rows.append(f"| {each.name} | `{each.file}` | {f'`{killed_by}`' if killed_by else 'nothing, see below'} |")
    return rows
