"""linkodds: the odds of every missing link.

From an edge list to probabilities that hold at the graph's real base rate, decisions by a named rule, lists of new
links over all pairs, and a report that says whether to believe them.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["EdgeKFold", "EdgeRows", "Graph", "LinkPredictor", "NodeEmbedding", "OwnEncoder", "OwnScorer", "__version__"]
_HOMES = {
    "EdgeKFold": "edge_folds",
    "EdgeRows": "edge_folds",
    "Graph": "graph",
    "LinkPredictor": "estimator",
    "NodeEmbedding": "node_embedding",
    "OwnEncoder": "own_encoder",
    "OwnScorer": "own_scorer",
}

if TYPE_CHECKING:
    from linkodds.edge_folds import EdgeKFold, EdgeRows
    from linkodds.estimator import LinkPredictor
    from linkodds.graph import Graph
    from linkodds.node_embedding import NodeEmbedding
    from linkodds.own_encoder import OwnEncoder
    from linkodds.own_scorer import OwnScorer


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: importing linkodds loads neither torch nor numpy."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"linkodds.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'linkodds' has no attribute {name!r}")
