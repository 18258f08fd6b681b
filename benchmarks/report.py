"""How long a report takes: pubmed, fitted once with `auto` and kept in --work; built, and opened in Chromium.

`linkodds report` runs in a process of its own, start and import included; Chromium opens the file from the disk, and the
clock stops when every figure is drawn (the page's load event, a plot in each frame, and one frame painted after it). Each
is measured --times times, and the median and the longest are kept in benchmarks/results/report.json.

    python benchmarks/report.py [--times 5] [--work FOLDER] [--data FOLDER]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_run

HERE = Path(__file__).parent
RESULT = HERE / "results" / "report.json"
MOST_TO_BUILD, MOST_TO_OPEN = 20.0, 2.0
_PAINTED = """() => {
    const empty = [...document.querySelectorAll('.plot')].filter((each) => !each.querySelector('svg'));
    return document.readyState === 'complete' && empty.length === 0;
}"""


def builds(run: Path, times: int) -> dict[str, float]:
    wall, processor = [], []
    for _ in range(times):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-m", "linkodds", "report", str(run)], check=True)
        wall.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {
        "seconds": round(statistics.median(wall), 2),
        "longest_seconds": round(max(wall), 2),
        "processor_seconds": round(statistics.median(processor), 2),
    }


def opens(page: Path, times: int) -> dict[str, float]:
    seconds = []
    with sync_playwright() as playwright:
        system = Path("/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=str(system) if system.is_file() else None)
        for _ in range(times):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            begun = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="load")
            tab.wait_for_function(_PAINTED)
            tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seconds.append(time.perf_counter() - begun)
            num_plots = tab.locator(".plot svg").count()
            tab.close()
        browser.close()
    return {
        "seconds": round(statistics.median(seconds), 2),
        "longest_seconds": round(max(seconds), 2),
        "num_plots": num_plots,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "report")
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    options = parser.parse_args()
    run = options.work / "run"
    if not run.is_dir():
        options.work.mkdir(parents=True, exist_ok=True)
        fit_run(options.data / "pubmed" / "edges.csv.gz", run, FitConfig(time_budget=60, threads=1))
    page = run / "report.html"
    result = {
        "graph": "pubmed",
        "build": builds(run, options.times),
        "open": opens(page, options.times),
        "megabytes": round(page.stat().st_size / 1e6, 2),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    is_met = result["build"]["seconds"] <= MOST_TO_BUILD and result["open"]["seconds"] <= MOST_TO_OPEN
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
