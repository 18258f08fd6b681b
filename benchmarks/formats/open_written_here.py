"""Open what linkodds wrote with igraph, NetworkX and ndex2, in the environment of requirements.txt; prints JSON.

python open_written_here.py FOLDER
"""

import html
import json
import sys
from pathlib import Path
from typing import Any

import igraph
import ndex2.cx2
import networkx as nx


def opened(folder: Path) -> dict[str, Any]:
    """What each library says of the files."""
    graph = igraph.Graph.Read_GraphML(str(folder / "run.graphml"))
    names = [html.unescape(name) for name in graph.vs["id"]]  # igraph 1.0.0 gives &#38; for &
    pairs = [
        [names[u], names[v], kind] for (u, v), kind in zip(graph.get_edgelist(), graph.es["interaction"], strict=True)
    ]
    found = {"igraph": {"nodes": names, "edges": pairs, "directed": graph.is_directed(), "ids": graph.ecount()}}
    network = nx.read_graphml(folder / "run.graphml")
    pairs = [[u, v, about["interaction"]] for u, v, about in network.edges(data=True)]
    keys = {(u, v, key) for u, v, key in network.edges(keys=True)} if network.is_multigraph() else set(network.edges)
    found["networkx"] = {"nodes": list(network), "edges": pairs, "directed": network.is_directed(), "ids": len(keys)}
    cx2 = ndex2.cx2.RawCX2NetworkFactory().get_cx2network(json.loads((folder / "run.cx2").read_text(encoding="utf-8")))
    names = {number: node["v"]["name"] for number, node in cx2.get_nodes().items()}
    edges = cx2.get_edges()
    pairs = [[names[edge["s"]], names[edge["t"]], edge["v"]["interaction"]] for edge in edges.values()]
    directed = cx2.get_network_attributes()["directed"]
    found["ndex2"] = {"nodes": list(names.values()), "edges": pairs, "directed": directed, "ids": len(edges)}
    return found


if __name__ == "__main__":
    print(json.dumps(opened(Path(sys.argv[1]))))
