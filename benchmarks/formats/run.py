"""Does linkodds read what the field's tools write, or say why not?

Small graphs of which everything is known are written by the tools themselves, or, where a tool cannot be had from pip, npm or
apt, after its public documentation; each file is read with the options that a user of its format has to give, most often
none, and nodes, edges, direction, kinds and weights are held against what went in. The outcome of a file is

- right: the graph is the one that was written;
- refused: a sentence says why, and what helps;
- warned: what is read is not the graph, and a warning says so;
- wrong: anything else, a traceback among it.

Files that are there are not written again, so that a run goes on where it was stopped.

    python benchmarks/formats/run.py [--folder FOLDER] [--only TEXT] [--page]
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "formats.md"
MARK = "The versions are pinned there."
RESULTS = HERE.parent / "results" / "formats.json"
sys.path.insert(0, str(HERE))

from compare import read  # noqa: E402


def prepare(folder: Path) -> dict[str, Path]:
    """Environments of the tools, made once: a virtual one for Python, node_modules for JavaScript."""
    python = folder / "venv" / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True)
    modules = folder / "js"
    if not (modules / "node_modules").is_dir():
        modules.mkdir(exist_ok=True)
        (modules / "package.json").write_bytes((HERE / "package.json").read_bytes())
        subprocess.run(["npm", "install", "--no-fund", "--no-audit", "--silent"], cwd=modules, check=True)
    return {"python": python, "node": modules}


def make(folder: Path) -> None:
    """Have every tool write its files."""
    places = prepare(folder)
    files = folder / "files"
    for command in (
        [places["python"], "-W", "ignore", HERE / "make.py", files],
        [sys.executable, HERE / "make_elsewhere.py", files, places["node"]],
    ):
        subprocess.run([str(each) for each in command], check=True, stdout=subprocess.DEVNULL)


def judged(folder: Path, only: str) -> list[dict[str, Any]]:
    """One row a file, in the order of groups and names."""
    rows = []
    for about in sorted((folder / "files").glob("*/known.json")):
        known = json.loads(about.read_text(encoding="utf-8"))
        path = about.parent / "file" / known["file"]
        if only not in f"{known['group']} {known['file']}":
            continue
        found = read(path, known)
        said = re.sub(" at 0x[0-9a-f]+", "", found.said.replace(str(path.parent) + "/", ""))
        row = {name: known[name] for name in ("group", "file", "made_by", "options")}
        rows.append(row | {"wanted": known["outcome"], "outcome": found.outcome, "said": said})
        if found.outcome == "refused" and known["outcome"] == "refused" and known["words"] not in said:
            rows[-1] |= {"outcome": "wrong", "said": f"{known['words']!r} is not in: {said}"}
    return rows


def page(found: dict[str, Any]) -> None:
    """The table at the end of docs/formats.md."""
    rows, counts = found["files"], Counter(found["counts"])
    makers: dict[str, dict[str, None]] = {}
    outcomes: dict[str, Counter[str]] = {}
    for row in rows:
        maker = "documentation" if row["made_by"].startswith("documentation") else re.split("==| |,", row["made_by"])[0]
        makers.setdefault(row["group"], {})[maker] = None
        outcomes.setdefault(row["group"], Counter())[row["outcome"]] += 1
    by_tools = sum(not row["made_by"].startswith("documentation") for row in rows)
    lines = [
        f"{len(rows)} files, {by_tools} of them by the tools themselves, the rest after public documentation: {counts['right']} are read "
        f"right, {counts['refused']} refused with what helps, {counts['warned']} read with a warning that says what is not sure, "
        f"{counts['wrong']} read wrongly without a word.",
        "",
        "| format | written by | right | refused | warned | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for group in sorted(outcomes, key=str.lower):
        told = " | ".join(str(outcomes[group][each] or "") for each in ("right", "refused", "warned", "wrong"))
        lines.append(f"| {group} | {', '.join(makers[group])} | {told} |")
    text = PAGE.read_text(encoding="utf-8")
    kept = text[: text.index(MARK) + len(MARK)]
    PAGE.write_text(kept + "\n\n" + "\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "linkodds-formats")
    parser.add_argument("--only", default="", help="files whose format or name has this in it; results are not saved")
    parser.add_argument(
        "--page", action="store_true", help="only write the table of docs/formats.md, from results that are there"
    )
    args = parser.parse_args()
    if args.page:
        page(json.loads(RESULTS.read_text(encoding="utf-8")))
        return 0
    args.folder.mkdir(parents=True, exist_ok=True)
    make(args.folder)
    start = time.perf_counter()
    rows = judged(args.folder, args.only)
    counts = Counter(row["outcome"] for row in rows)
    for row in rows:
        if row["outcome"] != row["wanted"]:
            print(f"{row['outcome']:8} {row['group']}: {row['file']}: {row['said'][:300]}")
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()), f"of {len(rows)}")
    if not args.only:
        facts = {
            "linkodds": version("linkodds"),
            "python": platform.python_version(),
            "seconds": round(time.perf_counter() - start, 1),
        }
        RESULTS.write_text(
            json.dumps(facts | {"counts": counts, "files": rows}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
