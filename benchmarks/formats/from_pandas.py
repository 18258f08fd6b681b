"""Files as pandas writes them."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from frames import frame, separated
from known import (
    ARCS,
    DRUGS,
    FROM_ONE,
    FROM_ZERO,
    GENES,
    HARD,
    QUOTED,
    USERS,
    Known,
    file,
    made_by,
    refused,
)

PD = made_by("pandas")


# --- pandas -----------------------------------------------------------------------------------------------------------
for name, known, options in (
    ("plain-pandas.csv", GENES, {"index": False}),
    ("with-index-pandas.csv", GENES, {}),
    ("tabs-pandas.tsv", GENES, {"index": False, "sep": "\t"}),
    ("semicolons-pandas.csv", GENES, {"index": False, "sep": ";"}),
    ("pipes-pandas.txt", GENES, {"index": False, "sep": "|"}),
    ("all-quoted-pandas.csv", GENES, {"index": False, "quoting": 1}),
    ("hard-names-pandas.csv", QUOTED, {"index": False}),
    ("hard-names-pandas.tsv", QUOTED, {"index": False, "sep": "\t"}),
    ("byte-order-mark-pandas.csv", GENES, {"index": False, "encoding": "utf-8-sig"}),
    ("utf-16-pandas.csv", QUOTED, {"index": False, "encoding": "utf-16"}),
    ("windows-lines-pandas.csv", GENES, {"index": False, "lineterminator": "\r\n"}),
    ("packed-pandas.csv.gz", GENES, {"index": False}),
    ("packed-pandas.csv.bz2", GENES, {"index": False}),
    ("packed-pandas.csv.xz", GENES, {"index": False}),
    ("packed-pandas.csv.zst", GENES, {"index": False}),
    ("packed-pandas.tsv.zst", QUOTED, {"index": False, "sep": "\t"}),
):

    @file("table of pandas", name, PD, known.joined, relation="kind", weight="weight")
    def _(path: Path, known: Known = known, options: dict[str, Any] = options) -> None:
        frame(known).to_csv(path, **options)


@file("table of pandas", "arcs-pandas.csv", PD, ARCS.joined, options={"directed": True}, relation="kind")
def _(path: Path) -> None:
    frame(ARCS).to_csv(path, index=False)


@file("table of pandas", "turned-columns-pandas.csv", PD, ARCS.joined, options={"directed": True}, relation="kind")
def _(path: Path) -> None:
    frame(ARCS, "target source kind").to_csv(path, index=False)


@file("table of pandas", "kind-first-pandas.csv", PD, GENES.joined, relation="kind")
def _(path: Path) -> None:
    frame(GENES, "kind source target").to_csv(path, index=False)


for name, columns in (
    ("from-type-to-pandas.csv", "from=source type=kind to=target"),
    ("head-relation-tail-pandas.tsv", "head=source relation=kind tail=target"),
    ("subject-predicate-object-pandas.csv", "subject=source predicate=kind object=target"),
    ("source-interaction-target-pandas.csv", "source interaction=kind target"),
    ("weight-between-pandas.csv", "node1=source weight node2=target"),
    ("year-first-pandas.csv", "year u=source v=target"),
):
    kind = next((c.split("=")[0] for c in columns.split() if c.endswith("=kind")), None)

    @file("table of pandas", name, PD, GENES.joined, relation=kind)
    def _(path: Path, columns: str = columns) -> None:
        frame(GENES, columns).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


@file("table of pandas", "no-header-pandas.csv", PD, GENES.joined)
def _(path: Path) -> None:
    frame(GENES, "source target").to_csv(path, index=False, header=False)


@file("table of pandas", "no-header-and-weights-pandas.csv", PD, FROM_ZERO.joined)
def _(path: Path) -> None:
    frame(FROM_ZERO, "source target weight").to_csv(path, index=False, header=False)


@file("table of pandas", "floats-after-a-merge-pandas.csv", PD, FROM_ONE.joined)
def _(path: Path) -> None:
    left = frame(FROM_ONE, "source target", integers=True)
    known = pd.DataFrame({"target": sorted(set(left["target"])), "number": sorted(set(left["target"]))})
    merged = left.merge(pd.concat([known, pd.DataFrame({"target": [9999]})]), on="target")
    merged[["source", "number"]].rename(columns={"number": "target"}).to_csv(path, index=False)


@file(
    "table of pandas",
    "floats-on-both-sides-pandas.csv",
    PD,
    FROM_ONE.joined,
    FROM_ONE.joined.renamed([f"{n}.0" for n in FROM_ONE.joined.nodes]),
)
def _(path: Path) -> None:
    frame(FROM_ONE, "source target", integers=True).astype(float).to_csv(path, index=False)


@file("table of pandas", "to-string-pandas.txt", PD, GENES.joined)
def _(path: Path) -> None:
    frame(GENES, "source target weight").to_string(path)


@file("table of pandas", "to-string-without-index-pandas.txt", PD, GENES.joined, relation="kind")
def _(path: Path) -> None:
    frame(GENES).to_string(path, index=False)


@file("table of pandas", "labels-pandas.csv", PD, GENES.joined, options={"label": "label"})
def _(path: Path) -> None:
    table = frame(GENES, "source target").assign(label=1)
    absent = [
        (u, v)
        for u, v in itertools.combinations(GENES.joined.nodes, 2)
        if not {(u, v), (v, u)} & {(e.source, e.target) for e in GENES.edges}
    ][:60]
    rest = pd.DataFrame(absent, columns=["source", "target"]).assign(label=0)
    pd.concat([table, rest]).sample(frac=1, random_state=0).to_csv(path, index=False)


@refused("table of pandas", "labels-nobody-asked-for-pandas.csv", PD, "--label label")
def _(path: Path) -> None:
    frame(GENES, "source target").assign(label=[i % 2 for i in range(len(GENES.edges))]).to_csv(path, index=False)


@file(
    "table of pandas",
    "users-and-films-pandas.csv",
    PD,
    separated(USERS, "userId", "movieId"),
    options={"separate_ids": True},
)
@file("table of pandas", "users-and-films-by-header-pandas.csv", PD, separated(USERS, "userId", "movieId"))
def _(path: Path) -> None:
    frame(USERS, "userId=source movieId=target rating=weight year", integers=True).to_csv(path, index=False)


@file("table of pandas", "drugs-and-genes-pandas.csv", PD, DRUGS, options={"bipartite": True})
def _(path: Path) -> None:
    frame(DRUGS, "drug=source gene=target").to_csv(path, index=False)


@refused("matrix in a table", "correlations-pandas.csv", PD, "one row for each edge")
def _(path: Path) -> None:
    rng = np.random.default_rng(1)
    pd.DataFrame(rng.normal(size=(30, 12)), columns=list(GENES.nodes[:12])).corr().to_csv(path)


@refused("matrix in a table", "correlations-without-index-pandas.csv", PD)
def _(path: Path) -> None:
    rng = np.random.default_rng(1)
    pd.DataFrame(rng.normal(size=(30, 12)), columns=list(GENES.nodes[:12])).corr().to_csv(path, index=False)


@refused("matrix in a table", "crosstab-pandas.csv", PD)
def _(path: Path) -> None:
    table = frame(GENES, "source target")
    pd.crosstab(table["source"], table["target"]).to_csv(path)


@refused("matrix in a table", "expression-pandas.tsv", PD)
def _(path: Path) -> None:
    rng = np.random.default_rng(2)
    pd.DataFrame(
        rng.normal(size=(40, 6)).round(3), index=list(GENES.nodes), columns=[f"sample{i}" for i in range(6)]
    ).to_csv(path, sep="\t")


@refused("table of values", "gene-and-score-pandas.csv", PD, "decimals")
def _(path: Path) -> None:
    pd.DataFrame({"gene": GENES.nodes, "score": np.linspace(0.013, 3.1, len(GENES.nodes)).round(3)}).to_csv(
        path, index=False
    )


for name, options in (
    ("records-pandas.json", {"orient": "records"}),
    ("lines-pandas.jsonl", {"orient": "records", "lines": True}),
    ("lines-pandas.jsonl.gz", {"orient": "records", "lines": True}),
):

    @file(
        "JSON Lines" if "lines" in options else "table in JSON",
        name,
        PD,
        QUOTED.joined,
        relation="kind",
        weight="weight",
    )
    def _(path: Path, options: dict[str, Any] = options) -> None:
        frame(QUOTED).to_json(path, **options)


for orient in ("columns", "split", "values", "table"):

    @refused("other JSON", f"{orient}-pandas.json", PD)
    def _(path: Path, orient: Any = orient) -> None:
        frame(GENES).to_json(path, orient=orient)


for name in ("frame-pandas.parquet", "frame-pandas.feather"):

    @file(
        "Parquet" if name.endswith("parquet") else "Arrow, Feather",
        name,
        PD,
        QUOTED.joined,
        relation="kind",
        weight="weight",
    )
    def _(path: Path) -> None:
        table = frame(QUOTED)
        table.to_parquet(path) if path.suffix == ".parquet" else table.to_feather(path)


@file("Parquet", "categories-pandas.parquet", PD, GENES.joined, relation="kind")
def _(path: Path) -> None:
    frame(GENES).astype({"source": "category", "target": "category", "kind": "category"}).to_parquet(path)


@file("Parquet", "ids-in-the-index-pandas.parquet", PD, GENES.joined)
def _(path: Path) -> None:
    frame(GENES, "source target weight").set_index(["source", "target"]).to_parquet(path)


for name, options in (
    ("frame-pandas.xlsx", {"index": False}),
    ("with-index-pandas.xlsx", {}),
    ("frame-pandas.ods", {"index": False}),
):

    @file("Excel, OpenDocument", name, PD, HARD.joined, relation="kind", weight="weight")
    def _(path: Path, options: dict[str, Any] = options) -> None:
        frame(HARD).to_excel(path, **options)


@file("Excel, OpenDocument", "numbers-xlsxwriter.xlsx", PD, FROM_ONE.joined, weight="weight")
def _(path: Path) -> None:
    frame(FROM_ONE, integers=True).to_excel(path, index=False, engine="xlsxwriter")


for name, call in (
    ("frame.dta", "to_stata"),
    ("frame.pkl", "to_pickle"),
    ("frame.xml", "to_xml"),
    ("frame.html", "to_html"),
    ("frame.md", "to_markdown"),
    ("frame.orc", "to_orc"),
):
    if call not in ("to_xml", "to_markdown"):  # these need further packages

        @refused("not read", f"pandas-{name}", PD)
        def _(path: Path, call: str = call) -> None:
            getattr(frame(GENES, "source target weight"), call)(path)
