"""linkodds: the odds of every missing link.

From an edge list to probabilities that hold at the graph's real base rate, decisions by a named rule, lists of new
links over all pairs, and a report that says whether to believe them.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Graph", "LinkPredictor", "__version__"]

if TYPE_CHECKING:
    from linkodds.estimator import LinkPredictor
    from linkodds.graph import Graph


def __getattr__(name: str) -> Any:
    """Load `Graph` and `LinkPredictor` when they are first used: importing linkodds loads neither torch nor numpy."""
    if name == "Graph":
        from linkodds.graph import Graph

        return Graph
    if name == "LinkPredictor":
        from linkodds.estimator import LinkPredictor

        return LinkPredictor
    raise AttributeError(f"module 'linkodds' has no attribute {name!r}")
