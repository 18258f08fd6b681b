"""Whether sharded fits that lose a process end in the bytes of one that nobody disturbed.

For each engine and each of the three stages (prepare, fit, score): a fit whose process gets SIGKILL at a random instant of
the stage, ten times. With `local` that is the whole process, and the same command then runs again with --resume. With
`ray` it is a worker that just does a block, or trains; the fit itself has to go on, and the graph whose scoring is disturbed
is larger, since one chunk of pairs is scored without tasks. All files that hold results are compared with those of the undisturbed fit. One JSON a kill in benchmarks/results/scale/kills/; what is there is skipped.

    python benchmarks/scale/kills.py [--engine local|ray] [--kills N]
"""

import argparse
import hashlib
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import numpy as np

from linkodds.config import FitConfig
from linkodds.models.training.history import Epoch
from linkodds.reading.reading_options import ReadingOptions
from linkodds.sharded.ray_engine import started
from linkodds.sharded.running import fit_sharded

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "scale" / "kills"
STAGES = ("prepare", "fit", "score")
NAMES = {b"p": "prepare", b"f": "fit", b"s": "score", b"e": "end"}
SAME_BYTES = (
    "evaluation.json",
    "model.safetensors",
    "embeddings.parquet",
    "calibration.json",
    "scores.npz",
    "split.npz",
)
OPTIONS = {"model": "refined-gae", "dim": 16, "hidden": 8, "batch_edges": 400, "patience": 50, "checkpoint_every": 2}
EPOCHS = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("local", "ray"))
    parser.add_argument("--kills", type=int, default=10)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        edges = communities(Path(folder) / "edges.tsv")
        for engine in ("local", "ray") if arguments.engine is None else (arguments.engine,):
            todo = [
                (stage, number)
                for number in range(arguments.kills)
                for stage in STAGES
                if not (RESULTS / f"{engine}-{stage}-{number}.json").exists()
            ]
            if todo:
                (kill_local if engine == "local" else kill_ray)(edges, Path(folder) / engine, todo)
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    print(f"{sum(row['same'] for row in rows)} of {len(rows)} ended in the undisturbed answer")


def communities(path: Path, nodes: int = 260, between: float = 0.002) -> Path:
    """Edges within groups of 26 nodes mostly."""
    rng, groups = np.random.default_rng(0), nodes // 26
    u, v = np.triu_indices(nodes, 1)
    is_edge = rng.random(len(u)) < np.where(u % groups == v % groups, 0.25, between)
    path.write_text("".join(f"n{a}\tn{b}\n" for a, b in np.column_stack([u, v])[is_edge].tolist()))
    return path


def fit(edges: Path, out: Path, engine: str, tell: int, *, resume: bool = False, workers: int = 1) -> None:
    """A fit that tells the stage that it is in as letters p, f, s, e, written to a file descriptor."""
    config = FitConfig(**OPTIONS, epochs=EPOCHS, threads=workers)

    def say(line: str) -> None:
        print(f"{time.monotonic():.2f}", line, flush=True)
        if line.startswith("training "):
            os.write(tell, b"f")
        elif line.startswith("calibrating") or "validation average precision" in line:
            os.write(tell, b"s")

    def on_epoch(epoch: Epoch) -> None:
        if epoch.epoch == EPOCHS:
            os.write(tell, b"s")

    os.write(tell, b"p")
    options = {"reading": ReadingOptions(bipartite=False), "memory": "2GB", "engine": engine, "resume": resume}
    fit_sharded(edges, out, config, **options, progress=say, on_epoch=on_epoch)
    os.write(tell, b"e")


def digest(out: Path) -> dict[str, str]:
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in SAME_BYTES}


class Child:
    """A fit in a process of its own, forked so that nothing has to be imported again."""

    def __init__(self, log: Path, *what: object, **how: object) -> None:
        ours, theirs = os.pipe()
        self.pid, self._file = os.fork(), ours
        if self.pid == 0:
            code = 1
            try:
                os.close(ours)
                with log.open("a") as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
                    fit(*what, theirs, **how)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.close(theirs)
        self.stage, self.since = "", {}

    def wait_for(self, stage: str, seconds: float = 600) -> bool:
        """Until a stage has begun: whether it has."""
        while self.stage != stage:
            if not self.hear(seconds):
                return False
        return True

    def hear(self, seconds: float) -> bool:
        """One more word within so many seconds: whether there was one."""
        if not select.select([self._file], [], [], seconds)[0]:
            return False
        word = os.read(self._file, 1)
        if not word:
            return False
        name = NAMES[word]
        self.since.setdefault(name, time.monotonic())
        self.stage = name
        return True

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> int:
        """Its exit code."""
        while self.hear(600):
            pass
        os.close(self._file)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def undisturbed(edges: Path, folder: Path) -> tuple[dict[str, str], dict[str, float]]:
    """The hashes of an undisturbed fit, and the seconds of its stages."""
    out = folder / f"whole-{edges.stem}"
    child = Child(folder / "log", edges, out, "local")
    if child.ended():
        raise SystemExit((folder / "log").read_text())
    times = [child.since[name] for name in (*STAGES, "end")]
    return digest(out), dict(zip(STAGES, np.diff(times).tolist(), strict=True))


def kill_local(edges: Path, folder: Path, todo: list[tuple[str, int]]) -> None:
    folder.mkdir()
    expected, seconds = undisturbed(edges, folder)
    print("undisturbed:", {stage: round(value, 2) for stage, value in seconds.items()}, flush=True)
    for stage, number in todo:
        draw = random.Random(f"{stage} {number}")
        while True:
            out = folder / "run"
            for path in (out, out.with_name("run.shards"), out.with_name("run.partial")):
                shutil.rmtree(path, ignore_errors=True)
            child = Child(folder / "log", edges, out, "local")
            child.wait_for(stage)
            after = draw.uniform(0, seconds[stage])
            end = time.monotonic() + after
            while (left := end - time.monotonic()) > 0 and child.hear(left):
                pass
            child.stop()
            if child.ended() == -signal.SIGKILL and child.stage == stage:
                break  # else it was quicker than the undisturbed one
        left_behind = sorted(path.name for path in folder.glob("run*"))
        code = Child(folder / "log", edges, out, "local", resume=True).ended()
        same = code == 0 and digest(out) == expected
        row = {
            "engine": "local",
            "stage": stage,
            "after": round(after, 3),
            "left": left_behind,
            "code": code,
            "same": same,
        }
        (RESULTS / f"local-{stage}-{number}.json").write_text(json.dumps(row) + "\n")
        print(row, flush=True)
        if not same:
            print((folder / "log").read_text()[-3000:], flush=True)


def kill_ray(edges: Path, folder: Path, todo: list[tuple[str, int]]) -> None:
    """Ray and the process that fits stay; a thread watches the stages and kills workers."""
    folder.mkdir()
    many = communities(folder / "many.tsv", 4_004, 0.0001)
    graphs = {"prepare": edges, "fit": edges, "score": many}
    expected = {each: undisturbed(each, folder)[0] for each in (edges, many)}
    with started("ray", 2):  # no process is forked from here on: Ray does not take that
        for stage, number in todo:
            out = folder / f"run-{stage}-{number}"
            ours, theirs = os.pipe()
            killer = Killer(ours, stage, random.Random(f"{stage} {number}").uniform(0, 0.3))
            killer.start()
            error = ""
            try:
                fit(graphs[stage], out, "ray", theirs, workers=2)
            except Exception as caught:
                error = f"{type(caught).__name__}: {caught}"
            os.close(theirs)
            killer.join()
            os.close(ours)
            same = not error and digest(out) == expected[graphs[stage]]
            row = {"engine": "ray", "stage": stage, "killed": killer.killed, "error": error, "same": same}
            print(row, flush=True)
            shutil.rmtree(out, ignore_errors=True)
            if killer.killed is not None:  # else it was over before a worker was seen
                (RESULTS / f"ray-{stage}-{number}.json").write_text(json.dumps(row) + "\n")


class Killer(threading.Thread):
    """Kills one worker in a stage, once; what it was is `killed`."""

    def __init__(self, file: int, stage: str, after: float) -> None:
        super().__init__()
        self.killed: str | None = None
        self._file, self._stage, self._after = file, stage, after

    def run(self) -> None:
        name, at, end = {"prepare": "_do", "fit": "TrainWorker", "score": "_do"}[self._stage], "", 0.0
        while True:
            if select.select([self._file], [], [], 0.005)[0]:
                word = os.read(self._file, 1)
                if not word:
                    return
                if NAMES[word] != at:
                    at, end = NAMES[word], time.monotonic() + self._after
            if at == self._stage and self.killed is None and time.monotonic() > end:
                self.killed = kill_worker(name, os.getpid())


def kill_worker(name: str, ancestor: int) -> str | None:
    """Kill a worker of Ray that was started below a process and that does what `name` says: its title."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            title = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            if title.startswith("ray::") and name in title and is_below(int(path.name), ancestor):
                os.kill(int(path.name), signal.SIGKILL)
                return title
        except (OSError, ValueError):
            continue
    return None


def is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


if __name__ == "__main__":
    main()
