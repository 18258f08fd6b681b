"""Tables of collections of networks and of ratings, after what their sites say of the columns."""

from typing import Any

from documented import table
from from_ratings import rated
from known import ARCS_FROM_ZERO, DRUGS, FROM_ONE, FROM_ZERO, SPARSE_NUMBERS, USERS

SNAP_HEAD = (
    "# Undirected graph: ../../data/output/small.ungraph.txt\n# Small\n# Nodes: 39 Edges: 90\n# FromNodeId\tToNodeId\n"
)
table(
    "com-small.ungraph.txt",
    "SNAP, ungraph",
    SPARSE_NUMBERS.joined,
    "{u}|{v}",
    above=SNAP_HEAD,
    group="SNAP",
)
table(
    "com-small.ungraph.txt.gz",
    "SNAP, ungraph",
    SPARSE_NUMBERS.joined,
    "{u}|{v}",
    above=SNAP_HEAD,
    group="SNAP",
)
table(
    "wiki-Vote.txt",
    "SNAP, directed graph",
    ARCS_FROM_ZERO.joined,
    "{u}|{v}",
    above=SNAP_HEAD.replace("Undirected", "Directed"),
    group="SNAP",
    options={"directed": True},
)
table(
    "facebook_combined.txt",
    "SNAP, no header",
    FROM_ZERO.joined,
    "{u}|{v}",
    by=" ",
    group="SNAP",
)
table(
    "soc-sign-epinions.txt",
    "SNAP, signed network",
    FROM_ZERO.joined,
    "{u}|{v}|1",
    above="# Directed graph: soc-sign-epinions\n# FromNodeId\tToNodeId\tSign\n",
    group="SNAP",
)
table(
    "soc-sign-bitcoinotc.csv",
    "SNAP, Bitcoin OTC: source, target, rating, time",
    FROM_ONE.joined,
    "{u}|{v}|{stars}|{seconds}.72836",
    by=",",
    group="SNAP",
)
table(
    "email-Eu-core-temporal.txt",
    "SNAP, temporal network",
    FROM_ZERO.joined,
    "{u}|{v}|{seconds}",
    by=" ",
    group="SNAP",
)
table(
    "CollegeMsg.txt",
    "SNAP, temporal network in seconds since 1970",
    FROM_ONE.joined,
    "{u}|{v}|{seconds}",
    by=" ",
    group="SNAP",
)
table(
    "musae_chameleon_edges.csv",
    "MUSAE, id1 and id2",
    FROM_ZERO.joined,
    "{u}|{v}",
    "id1|id2",
    by=",",
    group="SNAP",
)
table(
    "twitch_edges.csv",
    "Twitch of PyG, from and to",
    FROM_ZERO.joined,
    "{u}|{v}",
    "from|to",
    by=",",
    group="raw data of PyG",
)
table(
    "lastfm_asia_edges.csv",
    "LastFM Asia, node_1 and node_2",
    FROM_ZERO.joined,
    "{u}|{v}",
    "node_1|node_2",
    by=",",
    group="raw data of PyG",
)
table(
    "SMALL_A.txt",
    "TUDataset, DS_A.txt: both directions, comma and blank",
    FROM_ONE.joined,
    "{u}|{v}",
    by=", ",
    group="raw data of PyG",
    below="".join(f"{e.target}, {e.source}\n" for e in FROM_ONE.edges),
)
table(
    "edge.csv.gz",
    "OGB, raw/edge.csv.gz",
    FROM_ZERO.joined,
    "{u}|{v}",
    by=",",
    group="raw data of PyG",
)
table(
    "out1_graph_edges.txt",
    "Geom-GCN, out1_graph_edges.txt",
    FROM_ZERO.joined,
    "{u}|{v}",
    "node_id|node_id",
    group="raw data of PyG",
)
table(
    "cora.cites",
    "LINQS, Cora: cited, citing",
    SPARSE_NUMBERS.joined,
    "{u}|{v}",
    group="raw data of PyG",
    outcome="refused",
    words="",
)
table(
    "cora-cites.txt",
    "LINQS, Cora: cited, citing",
    SPARSE_NUMBERS.joined,
    "{u}|{v}",
    group="raw data of PyG",
)
table(
    "network.dat",
    "LFR benchmark program: each edge twice, from 1",
    FROM_ONE.joined,
    "{u}|{v}",
    below="".join(f"{e.target}\t{e.source}\n" for e in FROM_ONE.edges),
    group="edge list of numbers",
)

for name, by, header, options in (
    ("u.data", "\t", "", {"separate_ids": True}),
    ("ml-100k.txt", "\t", "", {"separate_ids": True}),
    ("ratings.csv", ",", "userId|movieId|rating|timestamp", {}),
    ("ratings-with-option.csv", ",", "userId|movieId|rating|timestamp", {"separate_ids": True}),
):
    left, right = ("userId", "movieId") if header else ("left", "right")
    more: dict[str, Any] = {"outcome": "refused"} if name == "u.data" else {}
    table(
        name,
        "MovieLens",
        rated(left, right),
        "{u}|{v}|{stars}|{seconds}",
        header,
        by=by,
        of=USERS,
        group="ratings",
        options=options,
        **more,
    )
table(
    "nobody-said-ml-100k.txt",
    "MovieLens 100K without header",
    rated("left", "right"),
    "{u}|{v}|{stars}|{seconds}",
    of=USERS,
    group="ratings",
    outcome="warned",
    words="two kinds of things",
)
table(
    "ratings.dat",
    "MovieLens 1M, fields between ::",
    rated("left", "right"),
    "{u}|{v}|{stars}|{seconds}",
    by="::",
    of=USERS,
    group="ratings",
    options={"separate_ids": True},
)
table(
    "ratings_Beauty.csv",
    "Amazon reviews, ratings only: user, item, rating, time",
    DRUGS,
    "{u}|{v}|{w}|{seconds}",
    by=",",
    group="ratings",
    options={"bipartite": True},
)
KONECT = "% {} {}\n% 90 40 40\n"
for name, head, known, known_options in (
    ("out.small", "sym unweighted", FROM_ONE, {}),
    ("konect.txt", "sym unweighted", FROM_ONE, {}),
    ("arcs-konect.txt", "asym unweighted", ARCS_FROM_ZERO, {}),
):
    reading = known if name != "arcs-konect.txt" else ARCS_FROM_ZERO.renamed({str(i): str(i + 1) for i in range(40)})
    table(
        name,
        "KONECT, TSV format",
        reading,
        "{u}|{v}",
        by=" ",
        above=KONECT.format(*head.split()).replace("90 40", f"{len(reading.edges)} 40"),
        group="KONECT",
        options=known_options,
    )
table(
    "weights-konect.txt",
    "KONECT, posweighted with times",
    FROM_ONE,
    "{u}|{v}|{w}|{seconds}",
    by="\t",
    above="% sym posweighted\n% 90 40 40\n",
    group="KONECT",
    weight="weight",
)
table(
    "two-sides-konect.txt",
    "KONECT, bip",
    rated("left", "right", all_of_them=True),
    "{u}|{v}",
    by=" ",
    above="% bip unweighted\n% 110 15 25\n",
    of=USERS,
    group="KONECT",
)
