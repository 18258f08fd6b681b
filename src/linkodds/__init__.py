"""linkodds: the odds of every missing link.

From an edge list to probabilities that hold at the graph's real base rate, decisions by a named rule, lists of new
links over all pairs, and a report that says whether to believe them.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "ControlledList",
    "CustomEncoder",
    "CustomScorer",
    "EdgeKFold",
    "EdgeRows",
    "Evaluation",
    "Finding",
    "FitConfig",
    "Graph",
    "LinkPredictor",
    "NodeEmbedding",
    "Run",
    "__version__",
    "doctor",
    "errors",
    "load_run",
    "testing",
]
_HOMES = {
    "ControlledList": "links.error_control",
    "CustomEncoder": "models.autoencoders.custom_encoder",
    "CustomScorer": "models.autoencoders.custom_scorer",
    "EdgeKFold": "edge_folds",
    "EdgeRows": "edge_folds",
    "Evaluation": "evaluation.evaluation",
    "Finding": "findings",
    "FitConfig": "config",
    "Graph": "graph.graph",
    "LinkPredictor": "estimator",
    "NodeEmbedding": "node_embedding",
    "Run": "runs.record",
    "load_run": "runs.record",
}
_MODULES = ("doctor", "errors", "testing")
_FORMER = {"OwnEncoder": "CustomEncoder", "OwnScorer": "CustomScorer"}

if TYPE_CHECKING:
    from linkodds import doctor, errors, testing
    from linkodds.config import FitConfig
    from linkodds.edge_folds import EdgeKFold, EdgeRows
    from linkodds.estimator import LinkPredictor
    from linkodds.evaluation.evaluation import Evaluation
    from linkodds.findings import Finding
    from linkodds.graph.graph import Graph
    from linkodds.links.error_control import ControlledList
    from linkodds.models.autoencoders.custom_encoder import CustomEncoder
    from linkodds.models.autoencoders.custom_scorer import CustomScorer
    from linkodds.node_embedding import NodeEmbedding
    from linkodds.runs.record import Run, load_run


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: importing linkodds loads neither torch nor numpy."""
    from importlib import import_module

    if name in _FORMER:
        from warnings import warn

        warn(f"linkodds.{name} is now linkodds.{_FORMER[name]}.", DeprecationWarning, stacklevel=2)
        name = _FORMER[name]
    if name in _HOMES:
        return getattr(import_module(f"linkodds.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"linkodds.{name}")
    raise AttributeError(f"module 'linkodds' has no attribute {name!r}")
