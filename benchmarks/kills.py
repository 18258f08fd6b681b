"""Whether a fit that was killed and resumed ends in the bytes of one that nobody disturbed.

Fits a real graph (default options, --model auto, --epochs 100) once without disturbance, then again and again: each time
the process gets SIGKILL at a random instant of the time that the first took, every third is killed once more while it is
resumed, and then it is resumed to its end. One row a fit goes to benchmarks/results/kills.json, which skips what is
there, then one table to docs/resume.md.

    python benchmarks/kills.py --data FOLDER [--graph NAME] [--kills N] [--epochs N] [--threads N] [--results FOLDER]
"""

import argparse
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SAME_BYTES = (
    *("evaluation.json", "model.safetensors", "embeddings.parquet", "calibration.json", "decision.json"),
    *("scores.npz", "predictions.parquet", "config.yaml", "nodes.parquet", "split.npz"),
)


def fit(command: list[str], *, kill_after: float | None = None) -> tuple[bool, float, list[str]]:
    """Run a fit, perhaps not to its end: whether it was killed, its seconds, and the lines that it drew.

    Its stderr is a terminal, so that the progress bar tells how many epochs it had made.
    """
    ours, theirs = pty.openpty()
    drawn: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # that is how a terminal ends
            while chunk := os.read(ours, 65536):
                drawn.append(chunk)

    start = time.perf_counter()
    environment = {**os.environ, "COLUMNS": "200", "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    seconds = time.perf_counter() - start
    reader.join()
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(drawn).decode(errors="replace"))
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n" + "\n".join(lines))
    return process.returncode != 0, seconds, lines


def stage(out: Path, lines: list[str]) -> tuple[str, int]:
    """Where a fit was when it was killed, by what it had said and written, and the epoch on its progress bar."""
    if out.exists():
        return "after the end", 0
    if not (out.with_name(out.name + ".partial") / "config.yaml").exists():
        return "start, reading", 0
    place, epoch = "start, reading", 0
    for line in lines:
        if found := re.match(r"training (\w+),", line):
            place, epoch = f"training {found[1]}", 0
        elif found := re.match(rf"{place.removeprefix('training ')}\S* .* (\d+)/\d+ ", line):
            epoch = int(found[1])
        elif re.match(r"[\w-]+: validation", line):
            place, epoch = "between trainings", 0
        elif re.match("calibrating|measuring", line):
            place, epoch = "calibration and evaluation", 0
    return place, epoch


def read_epochs(partial: Path) -> dict[str, int]:
    """Epochs in the checkpoint of each training."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["state"]["epoch"]
        for path in partial.glob("checkpoints/*.json")
    }


def measure(arguments: argparse.Namespace, whole: Path, seconds_whole: float, number: int) -> dict:
    """Kill a fit at an instant that its number decides, resume it, and compare it with the undisturbed one."""
    rng = np.random.default_rng(number)
    out = whole.with_name(f"run-{number}")
    base = command_of(arguments, out)
    kills: list[dict] = []
    for attempt in range(2 if number % 3 == 2 else 1):
        share, killed = rng.uniform(), False
        while not killed:
            killed, seconds, lines = fit(base + ["--resume"] * attempt, kill_after=share * seconds_whole)
            if killed or attempt:
                break
            seconds_whole = seconds  # a faster machine than when the undisturbed fit was timed: again
            shutil.rmtree(out)
        place, epoch = stage(out, lines)
        kept = read_epochs(out.with_name(out.name + ".partial"))
        kills.append(
            {
                "share": round(share, 3),
                "seconds": round(seconds, 2),
                "killed": killed,
                "stage": place,
                "epoch_drawn": epoch,
                "epochs_in_checkpoints": kept,
                "epochs_repeated": max(0, epoch - kept.get(f"{place.removeprefix('training ')}-0", 0)),
            }
        )
        if out.exists():
            break
    if not out.exists():
        fit([*base, "--resume"])
    differing = [name for name in SAME_BYTES if not same(whole / name, out / name)]
    if not same_history(whole / "history.csv", out / "history.csv"):
        differing.append("history.csv")
    shutil.rmtree(out)
    return {"number": number, "kills": kills, "differing": differing}


def same(one: Path, other: Path) -> bool:
    if not one.exists() and not other.exists():  # a baseline has no weights
        return True
    return one.exists() and other.exists() and one.read_bytes() == other.read_bytes()


def same_history(one: Path, other: Path) -> bool:
    """All columns but the seconds, which are measured."""

    def rows(path: Path) -> list[list[str]]:
        lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        place = lines[0].index("seconds")
        return [line[:place] + line[place + 1 :] for line in lines]

    return rows(one) == rows(other)


def command_of(arguments: argparse.Namespace, out: Path) -> list[str]:
    folder = arguments.data / arguments.graph
    features = folder / "features.npz"
    return [
        *(sys.executable, "-m", "linkodds", "fit", str(folder / "edges.csv.gz"), "--out", str(out)),
        *(["--features", str(features)] if features.exists() else []),
        *("--epochs", str(arguments.epochs), "--threads", str(arguments.threads)),
    ]


def table(results: dict) -> str:
    rows = results["fits"]
    num_killed = sum(kill["killed"] for row in rows for kill in row["kills"])
    num_same = sum(not row["differing"] for row in rows)
    lines = [
        "# Killed, resumed, compared",
        "",
        f"`linkodds fit` on {results['graph']} with default options, `--epochs {results['epochs']}` and",
        f"`--threads {results['threads']}`: {results['seconds_undisturbed']:.1f} s when nobody disturbs it. Each of {len(rows)} fits got SIGKILL at a random",
        f"instant of that time, every third another one while it was resumed; {num_killed} kills hit. Then it was resumed to its end and",
        "compared with the undisturbed run. Made by `benchmarks/kills.py`.",
        "",
        f"**{num_same} of {len(rows)} ended in the same bytes**: " + ", ".join(f"`{name}`" for name in SAME_BYTES),
        "where the model has them, and all of `history.csv` but its seconds.",
        "",
        "| fit | killed after | while at | epochs in the checkpoints then | epochs repeated | same bytes |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        for index, kill in enumerate(row["kills"]):
            epochs = ", ".join(
                f"{name.rpartition('-')[0]} {count}" for name, count in kill["epochs_in_checkpoints"].items()
            )
            same_bytes = "yes" if not row["differing"] else "no: " + ", ".join(row["differing"])
            when = f"{kill['seconds']:.1f} s" if kill["killed"] else "it had ended"
            last = index == len(row["kills"]) - 1
            lines.append(
                f"| {row['number'] if index == 0 else ''} | {when} | {kill['stage']} | {epochs or 'none'} | {kill['epochs_repeated']} | {same_bytes if last else ''} |"
            )
    lines += [
        "",
        "Epochs repeated: by the progress bar, which is drawn ten times a second, less those of the checkpoint.",
        "What came after the last checkpoint is made again: with these options at most 24 epochs of one training (99 in a",
        "graph of up to a million pairs), and the stages around the trainings. Ctrl-C and SIGTERM lose no epoch.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--graph", default="seal_yeast")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=HERE / "results", help="kills.json goes there")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "resume.md")
    arguments = parser.parse_args()
    path = arguments.results / "kills.json"
    asked = {"graph": arguments.graph, "epochs": arguments.epochs, "threads": arguments.threads}
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {**asked, "fits": []}
    if {name: results[name] for name in asked} != asked:
        raise SystemExit(f"{path} was measured with other options; move it away to measure again.")
    todo = [number for number in range(arguments.kills) if number not in {row["number"] for row in results["fits"]}]
    with tempfile.TemporaryDirectory() as folder:
        if todo:
            whole = Path(folder) / "whole"
            _, results["seconds_undisturbed"], _ = fit(command_of(arguments, whole))
        for number in todo:
            row = measure(arguments, whole, results["seconds_undisturbed"], number)
            results["fits"].append(row)
            arguments.results.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            stages = ", ".join(f"{kill['seconds']} s {kill['stage']}" for kill in row["kills"])
            print(number, stages, "differs: " + ", ".join(row["differing"]) if row["differing"] else "same", flush=True)
    arguments.page.write_text(table(results), encoding="utf-8")


if __name__ == "__main__":
    main()
