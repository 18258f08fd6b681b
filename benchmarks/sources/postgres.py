"""What it costs to read a graph from PostgreSQL instead of a file, and what a server that is killed while it is written to leaves.

A million random edges among 100,000 nodes, once with text ids and once with integers, as a Parquet file and as a table of
a server that is started on loopback for it. Each reading is a process of its own, by turns; beside the seconds of the
clock stand those of the processors, of reader and server together, which other work on the machine changes less. Then a
million rows are written, and the server gets SIGKILL when it says that it has a random share of them: ten times, half of
them while a new table is made, half while rows are added to one. One entry a measurement goes to
benchmarks/results/postgres.json, which skips what is there, then a table to docs/databases.md.

    python benchmarks/sources/postgres.py [--edges N] [--kills N] [--results FOLDER]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from server import Server, find_programs, running_server

from linkodds.errors import DatabaseError
from linkodds.graph.graph import Graph
from linkodds.links.database_tables import DatabaseTable
from linkodds.reading.database_urls import database_of
from linkodds.reading.databases import read_only

HERE = Path(__file__).parents[1]
REPEATS = 3
NODES = 100_000
MARKS = ("<!-- benchmarks/sources/postgres.py -->", "<!-- end -->")


def read_once(place: str) -> None:
    """Read a graph, and print its seconds, its edges and the peak bytes of this process."""
    start, cpu = time.perf_counter(), time.process_time()
    graph = Graph.from_edges(place)
    seconds = time.perf_counter() - start
    # Of this program alone: ru_maxrss would begin with what the process that started it had.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": time.process_time() - cpu,
                "num_edges": graph.num_edges,
                "peak_bytes": peak,
            }
        )
    )


def edges_of(ids: str, num_edges: int) -> pl.DataFrame:
    ends = np.random.default_rng(0).integers(0, NODES, (num_edges, 2))
    columns = {"source": ends[:, 0].tolist(), "target": ends[:, 1].tolist()}
    if ids == "text":
        columns = {name: [f"P{node:06d}" for node in nodes] for name, nodes in columns.items()}
    return pl.DataFrame(columns)


def statement(server: Server, *texts: str, frame: pl.DataFrame | None = None, table: str = "") -> None:
    from adbc_driver_postgresql.dbapi import connect

    with connect(server.url()) as connection, connection.cursor() as cursor:
        for text in texts:
            cursor.execute(text)
        if frame is not None:
            cursor.adbc_ingest(table, frame, mode="create")
        connection.commit()


def count(server: Server, table: str) -> int | None:
    """Rows of a table; None where there is none."""
    with read_only(database_of(server.url())) as session:
        if session.fetch("SELECT to_regclass($1)::text AS name", table)["name"][0] is None:
            return None
        return int(session.fetch(f"SELECT count(*) AS rows FROM {table}")["rows"][0])


def links(num_rows: int) -> pl.DataFrame:
    """As `predict` makes them."""
    rng = np.random.default_rng(1)
    ends = rng.integers(0, NODES, (num_rows, 2))
    logits = rng.normal(size=num_rows)
    return pl.DataFrame(
        {
            "source": [f"P{node:06d}" for node in ends[:, 0].tolist()],
            "target": [f"P{node:06d}" for node in ends[:, 1].tolist()],
            "logit": logits,
            "probability": 1 / (1 + np.exp(-logits)),
            "decision": (logits > 0).astype(np.int8),
            "known": np.zeros(num_rows, dtype=np.int8),
        }
    )


def killed_write(server: Server, rows: pl.DataFrame, *, append: bool, share: float) -> dict[str, Any]:
    """Write, and kill the server meanwhile; what the message said, and what is in the table once it is up again."""
    table = DatabaseTable(database_of(server.url("?table=links")), "run2", append)
    statement(server, "DROP TABLE IF EXISTS links")
    before = None
    if append:
        DatabaseTable(table.database, "run1").write(rows.head(1000))
        before = 1000
    over = threading.Event()

    def strike() -> None:
        with read_only(database_of(server.url())) as session:
            while not over.is_set():
                session.fetch("SELECT pg_stat_clear_snapshot()::text AS forget")  # or it repeats what it said first
                copied = session.fetch("SELECT coalesce(max(tuples_processed), 0) AS rows FROM pg_stat_progress_copy")
                if copied["rows"][0] >= share * len(rows):
                    server.kill()
                    return
                time.sleep(0.002)

    striking = threading.Thread(target=strike)
    striking.start()
    said = ""
    try:
        table.write(rows)
    except DatabaseError as error:
        said = str(error)
    over.set()
    striking.join()
    if not said:  # it was over before the kill
        server.kill()
    server.start()
    left = count(server, "links")
    whole = (before or 0) + len(rows)
    state = {before: "as before", whole: "complete"}.get(left, "HALF")
    is_right = state == "as before" if said else state == "complete"
    if "only the server knows" in said:
        is_right = state != "HALF"
    return {"append": append, "share": share, "rows_left": left, "state": state, "message": said, "is_right": is_right}


def measure(results: dict[str, Any], save: Any, num_edges: int, kills: int) -> None:
    programs = find_programs()
    if programs is None:
        raise SystemExit("no PostgreSQL here: initdb, postgres and pg_isready are needed")
    with running_server(programs) as server, tempfile.TemporaryDirectory() as folder:
        rows = links(num_edges)
        shares = np.random.default_rng(2).uniform(0.0, 1.0, kills)
        for i, share in enumerate(shares.tolist()):
            if str(i) not in results["kills"]:
                results["kills"][str(i)] = killed_write(server, rows, append=i % 2 == 1, share=share)
                save()
                print(i, results["kills"][str(i)], flush=True)
        for ids in ("text", "integer"):
            wanted = [f"{ids} {i}" for i in range(REPEATS) if f"{ids} {i}" not in results["reading"]]
            if not wanted:
                continue
            path = Path(folder) / f"{ids}.parquet"
            edges_of(ids, num_edges).write_parquet(path)
            statement(server, f"DROP TABLE IF EXISTS {ids}", frame=pl.read_parquet(path), table=ids)
            for key in wanted:
                entry: dict[str, Any] = {"load": os.getloadavg()[0]}
                for name, place in (("parquet", str(path)), ("postgresql", server.url(f"?table={ids}"))):
                    before = server.cpu_seconds()
                    done = subprocess.run(
                        [sys.executable, __file__, "--read", place], check=True, capture_output=True, text=True
                    )
                    entry[name] = json.loads(done.stdout)
                    entry[name]["cpu_seconds"] += server.cpu_seconds() - before
                assert entry["parquet"]["num_edges"] == entry["postgresql"]["num_edges"]
                results["reading"][key] = entry
                save()
                print(key, entry, flush=True)


def page(results: dict[str, Any]) -> str:
    lines = [
        "| ids | from Parquet | from PostgreSQL | ratio of clock times | ratio of processor times | peak memory, Parquet | PostgreSQL |",
        "|---|---|---|---|---|---|---|",
    ]
    for ids in ("text", "integer"):
        entries = [entry for key, entry in results["reading"].items() if key.startswith(ids)]
        cells = [ids]
        for name in ("parquet", "postgresql"):
            clock, cpu = (
                statistics.median(each[name][kind] for each in entries) for kind in ("seconds", "cpu_seconds")
            )
            cells.append(f"{clock:.2f} s (processors: {cpu:.2f} s)")
        for kind in ("seconds", "cpu_seconds"):
            ratios = [each["postgresql"][kind] / each["parquet"][kind] for each in entries]
            cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        for name in ("parquet", "postgresql"):
            peaks = [each[name]["peak_bytes"] for each in entries if each[name]["peak_bytes"] is not None]
            cells.append(f"{max(peaks) / 1e6:.0f} MB" if peaks else "not measured")
        lines.append(f"| {' | '.join(cells)} |")
    loads = [each["load"] for each in results["reading"].values() if "load" in each]
    if loads:
        lines += [
            "",
            f"Load average of the {os.cpu_count()} cores while this was read: {min(loads):.1f} to {max(loads):.1f}.",
        ]
    kills = list(results["kills"].values())
    states = {state: sum(each["state"] == state for each in kills) for state in ("as before", "complete", "HALF")}
    lines += [
        "",
        f"{len(kills)} kills of the server while {results['num_edges']:,} rows were written: "
        f"afterwards the table was as before {states['as before']} times, complete "
        f"{states['complete']} times, half written {states['HALF']} times; what the message said was true "
        f"{sum(each['is_right'] for each in kills)} times.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read_once(given.read)
        return
    path = given.results / "postgres.json"
    empty: dict[str, Any] = {"num_edges": given.edges, "num_nodes": NODES, "reading": {}, "kills": {}}
    results = json.loads(path.read_text()) if path.is_file() else empty

    def save() -> None:
        path.write_text(json.dumps(results, indent=1) + "\n")

    measure(results, save, given.edges, given.kills)
    docs = HERE.parent / "docs" / "databases.md"
    text = docs.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1], 1)[1]
    docs.write_text(f"{before}{MARKS[0]}\n{page(results)}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
