"""How `linkodds serve` holds out under load: 16 clients for a minute against a run of 20,000 nodes, on loopback.

A graph of 20,000 nodes (Holme and Kim, 5 edges a node) is fitted once, kept in --work, and served by a process of its own.
Phases: one client that asks for 100 pairs at a time; 16 of them; 12 of them beside 4 that look at nodes, look ids up and
turn the pages of the list. Every fifth request of a client is /healthz, which computes nothing: the time that it takes is
what the machine and the connection cost, and no request can take less. Each answer is read whole, its status is checked and
every 50th is held against the answer of `linkodds predict`'s function. One JSON a phase in benchmarks/results/serve/, one
table in docs/serve.md; a phase that is there is skipped. The program ends with 1 where a request failed or a bar is missed.

    python benchmarks/serve.py [--seconds 60] [--work FOLDER]
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from linkodds.config import FitConfig
from linkodds.fitting.pipeline import fit_run
from linkodds.links.inference import score_pairs
from linkodds.runs.missing_links import MissingLinksAssumption
from linkodds.runs.record import Run, load_run

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "serve"
PAGE = HERE.parent / "docs" / "serve.md"
NUM_NODES, PAIRS = 20_000, 100
PHASES = {"one client": (1, 0), "16 clients": (16, 0), "12 clients, 4 others": (12, 4)}
MOST_MILLISECONDS, MOST_TIMES, MOST_GROWTH = 100.0, 20.0, 0.10


def fitted(work: Path) -> Path:
    out = work / "run"
    if not out.is_dir():
        work.mkdir(parents=True, exist_ok=True)
        network = nx.powerlaw_cluster_graph(NUM_NODES, 5, 0.5, seed=0)
        lines = [f"PROT{u:05d},PROT{v:05d}\n" for u, v in network.edges]
        (work / "edges.csv").write_text("source,target\n" + "".join(lines), encoding="utf-8")
        fit_run(work / "edges.csv", out, FitConfig(model="gae", epochs=60, threads=1))
    return out


@contextmanager
def server(run: Path) -> Iterator[tuple[str, int, int]]:
    """Host, port and process of a server whose list is ready."""
    command = [sys.executable, "-m", "linkodds", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"http://([\d.]+):(\d+)/", process.stdout.readline())
            assert found is not None
            host, port = found[1], int(found[2])
            asyncio.run(_until_ready(host, port))
            yield host, port, process.pid
        finally:
            process.terminate()


async def _until_ready(host: str, port: int) -> None:
    while True:
        try:
            client = await Client.open(host, port)
            if json.loads((await client.ask("GET", "/api/runs/0/links"))[1])["state"] == "ready":
                return
        except OSError:
            pass
        await asyncio.sleep(0.2)


class Client:
    """A connection that is kept open, with as little work for the client as there can be: both share the cores."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer, self._host = reader, writer, host

    @staticmethod
    async def open(host: str, port: int) -> "Client":
        return Client(*await asyncio.open_connection(host, port), host)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        more = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{more}\r\n".encode() + body)
        await self._writer.drain()
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
        return int(head[9:12]), await self._reader.readexactly(length)


def memory(pid: int) -> float:
    """Resident MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def phase(run: Run, at: tuple[str, int, int], clients: int, others: int, seconds: float) -> dict[str, Any]:
    host, port, pid = at
    deployment = MissingLinksAssumption().deployment(run)
    times: dict[str, list[float]] = {"predict": [], "healthz": [], "others": []}
    errors: list[str] = []
    num_checked = 0
    until = time.perf_counter() + seconds
    memories: list[float] = []

    async def predicts(number: int) -> None:
        nonlocal num_checked
        rng, client = np.random.default_rng(number), await Client.open(host, port)
        asked = 0
        while time.perf_counter() < until:
            pairs = run.ids[rng.integers(0, len(run.ids), (PAIRS, 2))].tolist()
            body = json.dumps({"pairs": pairs}).encode()
            begun = time.perf_counter()
            status, answer = await client.ask("POST", "/api/runs/0/predict", body)
            times["predict"].append(time.perf_counter() - begun)
            if status != 200:
                errors.append(f"{status}: {answer[:200]!r}")
            elif asked % 50 == 0:
                expected = score_pairs(run, *zip(*pairs, strict=True), deployment)
                given = [row["logit"] for row in json.loads(answer)["rows"]]
                np.testing.assert_array_equal(np.array(given, dtype=float), expected.logits)
                num_checked += 1
            asked += 1
            if asked % 4 == 0:
                begun = time.perf_counter()
                status, _ = await client.ask("GET", "/healthz")
                times["healthz"].append(time.perf_counter() - begun)
                if status != 200:
                    errors.append(f"/healthz: {status}")

    async def looks_around(number: int) -> None:
        rng, client = np.random.default_rng(1000 + number), await Client.open(host, port)
        while time.perf_counter() < until:
            node = int(rng.integers(len(run.ids)))
            paths = (f"/nodes/{node}", f"/nodes?q=PROT{node % 1000:03d}", f"/links?offset={node % 900}", "/thresholds")
            for path in paths:
                begun = time.perf_counter()
                status, answer = await client.ask("GET", f"/api/runs/0{path}")
                times["others"].append(time.perf_counter() - begun)
                if status != 200:
                    errors.append(f"{path}: {status}: {answer[:200]!r}")

    async def watches() -> None:
        while time.perf_counter() < until:
            memories.append(memory(pid))
            await asyncio.sleep(1.0)

    cpu = cpu_seconds(pid)
    await asyncio.gather(watches(), *map(predicts, range(clients)), *map(looks_around, range(others)))
    took = {kind: np.array(each) * 1000 for kind, each in times.items() if each}
    quarter = max(len(memories) // 4, 1)
    return {
        "clients": clients,
        "others": others,
        "seconds": seconds,
        "errors": len(errors),
        "first_errors": errors[:3],
        "num_checked": num_checked,
        "milliseconds": {
            kind: {"count": len(each)} | {f"p{q}": round(float(np.percentile(each, q)), 2) for q in (50, 95, 99, 100)}
            for kind, each in took.items()
        },
        "server_cpu_milliseconds_a_request": round(
            1000 * (cpu_seconds(pid) - cpu) / sum(len(each) for each in took.values()), 2
        ),
        "memory_mb": {
            "first_quarter": round(float(np.median(memories[:quarter])), 1),
            "last_quarter": round(float(np.median(memories[-quarter:])), 1),
        },
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


def page(results: dict[str, dict[str, Any]]) -> tuple[str, bool]:
    """The table, and whether all bars are met."""
    rows, growths = [], []
    for name, each in results.items():
        memory_mb, predict, idle = each["memory_mb"], each["milliseconds"]["predict"], each["milliseconds"]["healthz"]
        growths.append(memory_mb["last_quarter"] / memory_mb["first_quarter"] - 1)
        rows.append(
            f"| {name} | {predict['count']:,} | {predict['p50']:.1f} | {predict['p99']:.1f} | {predict['p100']:.0f} | "
            f"{idle['p50']:.1f} | {idle['p99']:.1f} | "
            f"{each['server_cpu_milliseconds_a_request']:.2f} | {each['errors']} | {memory_mb['first_quarter']:,.0f} to "
            f"{memory_mb['last_quarter']:,.0f} | {each['load_average']:.0f} |"
        )
    one, many = (results[name]["milliseconds"]["predict"]["p99"] for name in ("one client", "16 clients"))
    is_met = (
        one <= MOST_MILLISECONDS
        and many <= MOST_TIMES * one
        and max(growths) <= MOST_GROWTH
        and not any(each["errors"] for each in results.values())
    )
    seconds = {each["seconds"] for each in results.values()}
    checked = sum(each["num_checked"] for each in results.values())
    return (
        f"`/predict` with {PAIRS} pairs against a `gae` run of {NUM_NODES:,} nodes on loopback, "
        f"{'/'.join(f'{each:g}' for each in sorted(seconds))} seconds a phase, made by `benchmarks/serve.py` on "
        f"{next(iter(results.values()))['cores']} cores that server, clients and the machine's other work share (load: how "
        "many processes wanted a core). /healthz, asked by the same "
        "clients, computes nothing: its times are the machine's. Memory: resident MB of the server in the first and in the last quarter of the phase. "
        f"{checked:,} answers were held against the logits of `linkodds predict` and were equal.\n\n"
        "| clients | requests | median ms | p99 ms | longest ms | /healthz median ms | its p99 ms | server CPU ms a request | errors | memory | load |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"Bars: p99 of one client at most {MOST_MILLISECONDS:g} ms (here {one:.1f}); of 16 at most {MOST_TIMES:g} times that "
        f"(here {many / one:.1f}); memory grows at most {MOST_GROWTH:.0%} (here {max(growths):.1%}); no error. "
        f"{'All are met.' if is_met else 'NOT all are met.'}\n",
        is_met,
    )


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--work", type=Path, default=Path("build/serve"))
    given = arguments.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    paths = {name: RESULTS / f"{name.replace(', ', '-').replace(' ', '-')}.json" for name in PHASES}
    if missing := [name for name, path in paths.items() if not path.exists()]:
        saved = fitted(given.work)
        run = load_run(saved)
        with server(saved) as at:
            asyncio.run(phase(run, at, 4, 2, 5.0))  # first requests make what later ones share
            for name in missing:
                result = asyncio.run(phase(run, at, *PHASES[name], given.seconds))
                paths[name].write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                print(name, json.dumps(result), flush=True)
    text, is_met = page({name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()})
    head, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- load -->\n")
    _, mark, after = rest.partition("<!-- end of load -->")
    PAGE.write_text(f"{head}<!-- load -->\n{text}{mark}{after}", encoding="utf-8")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
