"""Rules on the non-edges of a split, and on nodes that training never saw: D29 to D32."""

from collections.abc import Mapping

import numpy as np

from linkodds.doctor.graph_rules import num_both_directions, pair_keys
from linkodds.findings import Finding
from linkodds.pairs import Pairs

MIN_PAIRS = 10
"""Fewer pairs than this are chance."""

MOSTLY = 0.75
"""Of the pairs that training left out. Where as many non-edges as edges are held out, half of them are edges: no fault."""

MUCH = 0.02
"""Excess of held-out non-edges that training had, from which it is told; alone it is worth half as much in ROC AUC."""

UNSEEN = 0.1
"""Share of the held-out edges that touch a node without a train edge, from which it is told."""


def negatives_and_nodes(
    edges: Mapping[str, Pairs], non_edges: Mapping[str, Pairs], *, directed: bool
) -> list[Finding | None]:
    """D29 to D32 on the parts of a split that a user brings.

    Args:
        edges: part -> shape (pairs, 2). Training knows "train" and "message"; without either, all parts but "scored".
        non_edges: part -> shape (pairs, 2); "train" are those that the loss saw.
        directed: whether (u, v) and (v, u) are two pairs.
    """
    edges, non_edges = _arrays(edges), _arrays(non_edges)
    known = [name for name in edges if name in ("train", "message")]
    if not known and "scored" in edges:
        known = [name for name in edges if name != "scored"]
    found: list[Finding | None] = [malformed_non_edges(non_edges, directed=directed)]
    if not known:
        return found
    seen = np.concatenate([edges[name] for name in known])
    held_out = {name: part for name, part in edges.items() if name not in known and len(part)}
    if "train" in non_edges:
        others = {name: part for name, part in non_edges.items() if name != "train" and len(part)}
        found.append(left_out_edges(seen, non_edges["train"], held_out, others, directed=directed))
        found += reused_non_edges(non_edges["train"], held_out, others, directed=directed)
    return [*found, *unseen_nodes(seen, held_out, non_edges)]


def left_out_edges(
    train: Pairs,
    train_non_edges: Pairs,
    held_out: Mapping[str, Pairs],
    held_out_non_edges: Mapping[str, Pairs],
    *,
    directed: bool,
) -> Finding | None:
    """D29: of the pairs that are neither train edges nor training non-edges, three quarters or more are held-out edges.

    Args:
        train: shape (edges, 2), all edges that training knew.
        train_non_edges: shape (pairs, 2), what training took for non-edges.
        held_out: part -> shape (edges, 2).
        held_out_non_edges: part -> shape (pairs, 2); they only say which nodes there are.
        directed: whether (u, v) and (v, u) are two pairs.
    """
    if not held_out:
        return None
    used = np.unique(pair_keys(_without_loops(np.concatenate([train, train_non_edges])), directed))
    edges = np.unique(pair_keys(_without_loops(np.concatenate(list(held_out.values()))), directed))
    left_out = int((~np.isin(edges, used)).sum())
    everything = np.concatenate([train, train_non_edges, *held_out.values(), *held_out_non_edges.values()])
    num_left_out = _num_pairs(everything, directed) - len(used)
    if left_out < max(MIN_PAIRS, len(edges) / 2) or left_out < MOSTLY * num_left_out:
        return None
    share = left_out / num_left_out
    message = (
        f"Training had {len(used):,} pairs as edges or non-edges and left out {num_left_out:,}, of which {left_out:,} "
        f"({share:.0%}) are held-out edges: a pair that is missing there is an edge, so the answers can be read off "
        "the training set."
    )
    remedy = (
        "Draw the training non-edges from all pairs that are no train edge, held-out edges among them: training must "
        "not know which of these are edges."
    )
    return Finding("D29", "error", message, remedy, share)


def reused_non_edges(
    train_non_edges: Pairs,
    held_out: Mapping[str, Pairs],
    held_out_non_edges: Mapping[str, Pairs],
    *,
    directed: bool,
) -> list[Finding]:
    """D30: training was told that held-out non-edges are none, and was told so of held-out edges less often.

    Training non-edges that were drawn without a look at the held-out edges hold these as often as other pairs. Only what
    non-edges have beyond that is a leak.

    Args:
        train_non_edges: shape (pairs, 2).
        held_out: part -> shape (edges, 2).
        held_out_non_edges: part -> shape (pairs, 2).
        directed: whether (u, v) and (v, u) are two pairs.
    """
    found = []
    trained = pair_keys(train_non_edges, directed)
    for name, part in held_out_non_edges.items():
        edges = held_out.get(name) if name in held_out else np.concatenate([train_non_edges[:0], *held_out.values()])
        assert edges is not None
        shared = np.isin(pair_keys(part, directed), trained)
        share_of_edges = float(np.isin(pair_keys(edges, directed), trained).mean()) if len(edges) else 0.0
        excess = float(shared.mean()) - share_of_edges
        chance = 3 * np.sqrt(max(share_of_edges * len(part), 1.0)) / len(part)
        if shared.sum() < MIN_PAIRS or excess < MUCH or excess <= chance:
            continue
        message = (
            f"{int(shared.sum()):,} of {len(part):,} {name} non-edges ({shared.mean():.1%}) are training non-edges, too, and "
            f"{share_of_edges:.1%} of the held-out edges are: that a pair was trained as a non-edge tells the answer, "
            f"which alone has a ROC AUC of {0.5 + excess / 2:.3f}."
        )
        remedy = (
            "Draw the non-edges of training and of the evaluation apart, or those of training from all pairs that are no "
            "train edge."
        )
        found.append(Finding("D30", "error" if excess >= 0.1 else "warning", message, remedy, excess))
    return found


def malformed_non_edges(non_edges: Mapping[str, Pairs], *, directed: bool) -> Finding | None:
    """D31: non-edges from a node to itself, or listed twice. Under 1 % of doubles are for information.

    Args:
        non_edges: part -> shape (pairs, 2).
        directed: whether (u, v) and (v, u) are two pairs.
    """
    said, num_loops, num_twice, most = [], 0, 0, 0.0
    for name, part in non_edges.items():
        loops = len(part) - len(_without_loops(part))
        pairs = _without_loops(part)
        twice = len(pairs) - len(np.unique(pair_keys(pairs, directed)))
        if not loops and not twice:
            continue
        both = 0 if directed else num_both_directions(pairs)
        orders = f", {both:,} of them in both orders" if both else ""
        counted = [f"{loops:,} self-loop(s)"] * bool(loops)
        counted += [f"{twice:,} row(s) that repeat a pair{orders}"] * bool(twice)
        said.append(f"{' and '.join(counted)} among the {len(part):,} {name} non-edges")
        num_loops, num_twice, most = num_loops + loops, num_twice + twice, max(most, twice / len(part))
    if not said:
        return None
    why = []
    if num_loops:
        why.append("no model gives a self-loop a chance, so such a non-edge is ranked right for free")
    if num_twice:
        why.append("a pair that is listed twice counts twice, and intervals are too narrow")
    remedy = "Draw distinct pairs of two different nodes, each once" + (
        "." if directed else ", whichever end comes first."
    )
    severe = num_loops > 0 or most >= 0.01
    return Finding(
        "D31",
        "warning" if severe else "info",
        f"{'; '.join(said)}: {'; '.join(why)}.",
        remedy,
        float(num_loops + num_twice),
    )


def unseen_nodes(train: Pairs, held_out: Mapping[str, Pairs], non_edges: Mapping[str, Pairs]) -> list[Finding]:
    """D32: a tenth or more of the held-out edges touch a node that has no train edge.

    Args:
        train: shape (edges, 2), all edges that training knew.
        held_out: part -> shape (edges, 2).
        non_edges: part -> shape (pairs, 2); those of the same part are held beside its edges.
    """
    found = []
    nodes = np.unique(train)
    for name, part in held_out.items():
        touches = ~np.isin(part, nodes).all(axis=1)
        if touches.sum() < MIN_PAIRS or touches.mean() < UNSEEN:
            continue
        beside = non_edges.get(name, part[:0])
        others = float((~np.isin(beside, nodes).all(axis=1)).mean()) if len(beside) else None
        compared = "" if others is None else f", and {others:.0%} of the {name} non-edges do"
        message = (
            f"{int(touches.sum()):,} of {len(part):,} {name} edges ({touches.mean():.0%}) touch a node that has no train "
            f"edge{compared}: nothing was learnt of such a node, and that it is listed without a train edge says that a "
            "held-out edge is all it has."
        )
        remedy = (
            "Judge these edges apart from the others, or keep one edge of every node in training; where whole nodes are "
            "held out on purpose (a cold start), use a model of node features and non-edges of the same nodes."
        )
        found.append(Finding("D32", "warning", message, remedy, float(touches.mean())))
    return found


def _arrays(parts: Mapping[str, Pairs]) -> dict[str, Pairs]:
    return {name: np.asarray(part, dtype=np.int64).reshape(-1, 2) for name, part in parts.items()}


def _without_loops(pairs: Pairs) -> Pairs:
    kept: Pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return kept


def _num_pairs(pairs: Pairs, directed: bool) -> int:
    """Pairs that the nodes of these can make: across the sides where no node stands in both columns.

    Example:
        >>> _num_pairs(np.array([[0, 1], [1, 2]]), directed=False), _num_pairs(np.array([[0, 2], [1, 2]]), directed=False)
        (3, 2)
    """
    source, target = np.unique(pairs[:, 0]), np.unique(pairs[:, 1])
    if not np.isin(source, target).any():
        return len(source) * len(target)
    n = len(np.union1d(source, target))
    return n * (n - 1) if directed else n * (n - 1) // 2
