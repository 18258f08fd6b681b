"""Custom scorers: pair scorers that a user supplies; what is checked of them, and what is assumed."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from linkodds.errors import ModelError, OptionError
from linkodds.findings import Finding
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.non_edges import draw_non_edges
from linkodds.pairs import Pairs
from linkodds.scorers.function_scoring import FunctionScorer, PairFunction, Values

NUM_CHECKED = 1000
"""Pairs of each kind that are asked for twice, and in both orders."""


@dataclass(frozen=True, eq=False)
class CustomScorer:
    """A link predictor of the user's, to be evaluated, calibrated and decided with; nothing of it is trained here.

    Give either a function of pairs, which is then assumed to be made without the held-out edges; or `fit`, which gets the
    graph of the train edges alone and returns such a function, so that nothing of that kind has to be assumed.

    Args:
        function: pairs of node numbers, shape (pairs, 2), int64, in the order of `Graph.ids`, -> one number each, larger
            for what is more likely an edge. In an undirected graph the smaller number comes first.
        fit: graph of the train edges, with all nodes and their features -> such a function.
        values: "score" (any order of the pairs), "logit" or "probability". Of the last two the doctor judges also what
            they say themselves, before they are calibrated.
        name: in the report; None: that of the function.
    Raises:
        OptionError: neither or both of function and fit, other values, or the name of a model of linkodds.
    Example:
        >>> CustomScorer(lambda pairs: -abs(pairs[:, 0] - pairs[:, 1]), name="nearby numbers").values
        'score'
    """

    function: PairFunction | None = None
    fit: Callable[[Graph], PairFunction] | None = None
    values: Values = "score"
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.function is None) == (self.fit is None):
            raise OptionError(
                "CustomScorer takes a function of pairs, or fit, which makes one from the train edges; give one."
            )
        for given in (self.function, self.fit):
            if given is not None and not callable(given):
                raise OptionError(f"CustomScorer takes a function, got {type(given).__name__}.")
        if self.values not in get_args(Values):
            raise OptionError(f"values has to be one of {', '.join(get_args(Values))}, got {self.values!r}.")
        name = called(self.name, self.function or self.fit)
        object.__setattr__(self, "name", name)

    def scorer(self, graph_ids: NDArray[np.object_], split: Split, features: Any) -> FunctionScorer:
        """The scorer on a split, checked on some of its pairs.

        Args:
            graph_ids: shape (nodes,).
            split: its train edges are what `fit` gets.
            features: of the graph, or None.
        Raises:
            ModelError: the same pairs have other values when they are asked for again.
        """
        function = self.function
        if self.fit is not None:
            function = self.fit(_of_train_edges(graph_ids, split, features))
        assert function is not None
        assert self.name is not None
        scorer = FunctionScorer(function, split.space, self.values, self.name)
        pairs = _some_pairs(split)
        once = scorer.given(pairs)
        again = scorer.given(pairs[::-1])[::-1]
        differs = ~np.isclose(once, again, rtol=1e-6, atol=1e-9)
        if differs.any():
            first = int(np.argmax(differs))
            raise ModelError(
                f"{self.name}: pair ({pairs[first, 0]}, {pairs[first, 1]}) has the value {once[first]:g}, and {again[first]:g} "
                "when it is asked for again among the same pairs in another order. A scorer gives each pair one number: "
                "switch dropout and sampling off (eval mode), and use no statistics of the batch."
            )
        return scorer

    def findings(self, scorer: FunctionScorer, split: Split) -> list[Finding]:
        """What is assumed of it, and what its values look like."""
        found = [self._assumption(split)]
        if not split.space.directed:
            found += _asymmetry(scorer, split)
        return found

    def _assumption(self, split: Split) -> Finding:
        held_out = len(split.validation) + len(split.calibration) + len(split.test)
        if self.fit is not None:
            message = (
                f"{self.name} was given the {len(split.train):,} train edges and the node features alone. What else it read "
                "(files, pretrained weights) is not known here: figures hold if none of that knew the held-out edges."
            )
            return Finding("own-scorer", "info", message, "Make it from what it is given.", float(held_out))
        message = (
            f"Assumed, and not checked: {self.name} was made without the {held_out:,} validation, calibration and test edges. "
            "A scorer that has seen them cannot be told from a good one by its values, and every figure here would be too good."
        )
        remedy = (
            "Make it from the train edges alone: LinkPredictor.split_of(graph) gives the split of this seed beforehand, and "
            "CustomScorer(fit=...) is handed them."
        )
        return Finding("own-scorer", "warning", message, remedy, float(held_out))


def _of_train_edges(graph_ids: NDArray[np.object_], split: Split, features: Any) -> Graph:
    """The train edges with their times and weights, and all nodes."""
    keys = split.space.keys(split.train)
    order = np.argsort(keys)
    times, weights = split.times, split.weights
    return Graph(
        graph_ids,
        split.train[order],
        split.space,
        features,
        times=None if times is None else times.of("train").of(order),
        weights=None if weights is None else weights.among(np.searchsorted(weights.keys, keys[order])),
    )


def called(name: str | None, given: Any) -> str:
    """The name of a user's model: as said, else that of its function or class.

    Raises:
        OptionError: it is empty.
    Example:
        >>> called(None, np.dot), called(None, lambda pairs: pairs)
        ('dot', 'own function')
    """
    if name is None:
        own = given if inspect.isroutine(given) or inspect.isclass(given) else type(given)
        name = str(getattr(own, "__name__", "own model"))
        name = "own function" if name == "<lambda>" else name
    if not name.strip():
        raise OptionError(f"name={name!r}: that is empty; give your model a name.")
    return name


def judged_values(
    scorer: FunctionScorer, split: Split, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Labels, the function's own values, and how many pairs each stands for: test edges and uniform non-edges.

    Args:
        scorer: of the split.
        split: its test edges.
        count: of non-edges, at most.
        rng: draws them.
    """
    known = split.not_judged()
    count = min(count, known.num_absent)
    non_edges = draw_non_edges(known, count, rng).sample
    assert non_edges is not None
    values = scorer.given(np.concatenate([split.test, non_edges]))
    labels = np.repeat([True, False], [len(split.test), count])
    return labels, values, np.where(labels, 1.0, known.num_absent / count)


def as_given(name: str, found: Sequence[Finding]) -> list[Finding]:
    """Findings on the values as they came, said to be on these and not on the calibrated probabilities."""
    before = f"The values that {name} gave, before they were calibrated here: "
    return [replace(each, message=f"{before}{each.message}") for each in found]


def _some_pairs(split: Split) -> Pairs:
    """The same ones for the same split: test edges, train edges, non-edges; the order mixed."""
    rng = np.random.default_rng(len(split.train))
    recorded = split.recorded()
    drawn = draw_non_edges(recorded, min(NUM_CHECKED, recorded.num_absent), rng).sample
    pairs = np.concatenate([split.test[:NUM_CHECKED], split.train[:NUM_CHECKED], drawn])
    return np.asarray(pairs[rng.permutation(len(pairs))])


def _asymmetry(scorer: FunctionScorer, split: Split) -> list[Finding]:
    """A function that tells (u, v) from (v, u) where an edge has no direction."""
    pairs = _some_pairs(split)
    there = scorer.given(pairs)
    try:
        back = scorer.given(np.ascontiguousarray(pairs[:, ::-1]))
    except Exception:
        return []
    share = float(np.mean(~np.isclose(there, back, rtol=1e-6, atol=1e-9)))
    if share == 0:
        return []
    message = (
        f"{scorer.name} gives (u, v) and (v, u) different values for {share:.1%} of the pairs, and edges here have no direction. "
        "It was asked with the smaller node number first: other numbers of the nodes would give other figures."
    )
    return [
        Finding("own-scorer", "warning", message, "Have it take both orders and average, or pass --directed.", share)
    ]
