"""Rules on what a model makes of pairs and nodes: D12, D15, D22, D23, D25, D28."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from linkodds.doctor.tie_rules import tied_share
from linkodds.findings import Finding
from linkodds.graph.split import Split
from linkodds.metrics.logit_bins import Floats
from linkodds.metrics.non_edges import degrees_of, draw_non_edges
from linkodds.pairs import KnownPairs, Pairs, PairSpace
from linkodds.scorers.scoring import Embeddings, Scorer

NUM_PAIRS = 20_000
"""Pairs of each kind that are scored, at most: a ROC AUC of 20,000 non-edges has a standard error of 0.002 at most from them."""

TOP_SHARE, HUB_SHARE = 0.005, 0.01

NEAR = 1.5
"""A ranking is one by degree only where its average precision is less than so many times that of degrees."""


@dataclass(frozen=True, eq=False)
class ModelScores:
    """Logits of a model on edges and non-edges of a split, with the degrees that the model knew.

    Args:
        train: shape (pairs,), logits of train edges.
        test: shape (pairs,), logits of test edges.
        non_edges: shape (pairs,), logits of uniform non-edges.
        like_edges: shape (pairs,), logits of non-edges whose ends were drawn in proportion to their degrees.
        products: part ("test", "non_edges") -> shape (pairs,), log of (degree + 1)(degree + 1) in the message graph.
        hubs: part -> shape (pairs,), whether an end is among the 1 % of nodes with the most edges.
        embeddings: shape (nodes, dim), or None for a model without.
    """

    train: Floats
    test: Floats
    non_edges: Floats
    like_edges: Floats
    products: Mapping[str, Floats]
    hubs: Mapping[str, NDArray[np.bool_]]
    embeddings: Embeddings | None = None

    @staticmethod
    def of(scorer: Scorer, split: Split, rng: np.random.Generator, *, embeddings: Embeddings | None) -> "ModelScores":
        """Score at most 20,000 pairs of each kind."""
        recorded = split.not_judged()
        test = split.test[rng.permutation(len(split.test))[:NUM_PAIRS]]
        non_edges = draw_non_edges(recorded, min(NUM_PAIRS, recorded.num_absent), rng).sample
        assert non_edges is not None
        source, target = degrees_of(split.train, split.space)
        hubs = _hubs(np.maximum(source, target))
        pairs = {"test": test, "non_edges": non_edges}
        return ModelScores(
            train=scorer.logits(split.train[rng.permutation(len(split.train))[:NUM_PAIRS]]),
            test=scorer.logits(test),
            non_edges=scorer.logits(non_edges),
            like_edges=scorer.logits(non_edges_by_degree(split.train, recorded, split.space, NUM_PAIRS, rng)),
            products={
                name: np.log((source[p[:, 0]] * target[p[:, 1]]).astype(np.float64)) for name, p in pairs.items()
            },
            hubs={name: hubs[p[:, 0]] | hubs[p[:, 1]] for name, p in pairs.items()},
            embeddings=embeddings,
        )

    @staticmethod
    def of_table(pairs: Pairs, labels: NDArray[np.bool_], logits: Floats, split: Split) -> "ModelScores":
        """From logits that are there: `labels` says which of the canonical `pairs`, shape (pairs, 2), are test edges."""
        source, target = degrees_of(split.train, split.space)
        is_hub = _hubs(np.maximum(source, target))
        hubs = is_hub[pairs[:, 0]] | is_hub[pairs[:, 1]]
        products = np.log((source[pairs[:, 0]] * target[pairs[:, 1]]).astype(np.float64))
        none = np.zeros(0)
        return ModelScores(
            train=none,
            test=logits[labels],
            non_edges=logits[~labels],
            like_edges=none,
            products={"test": products[labels], "non_edges": products[~labels]},
            hubs={"test": hubs[labels], "non_edges": hubs[~labels]},
        )


def scores_rng(seed: int) -> np.random.Generator:
    """The generator for `ModelScores.of` of a run with this seed, so that a fit and the doctor judge the same pairs."""
    return np.random.default_rng([seed, 22])


def non_edges_by_degree(
    train: Pairs, recorded: KnownPairs, space: PairSpace, count: int, rng: np.random.Generator
) -> Pairs:
    """Non-edges whose two ends are drawn independently, each in proportion to its degree (Aiyappa et al., ICML 2025).

    Returns:
        Shape (pairs, 2), at most `count` of them: those that are edges or no pairs are left out, repeats stay.
    """
    if space.directed or space.bipartite:
        source, target = train[:, 0], train[:, 1]
    else:
        source = target = train.ravel()
    pairs = space.canonical(np.column_stack([rng.choice(source, count), rng.choice(target, count)]))
    pairs = pairs[space.is_admissible(pairs)]
    return pairs[~space.contains(recorded.pairs, pairs)]


def _hubs(degree: NDArray[np.int64]) -> NDArray[np.bool_]:
    at_least: NDArray[np.bool_] = degree >= np.sort(degree)[-max(1, round(HUB_SHARE * len(degree)))]
    return at_least


def auc_of(edges: Floats, non_edges: Floats) -> float:
    """Chance that an edge ranks above a non-edge."""
    labels = np.repeat([True, False], [len(edges), len(non_edges)])
    return float(roc_auc_score(labels, np.concatenate([edges, non_edges])))


def hub_dominance(scores: ModelScores, average_precisions: tuple[float, float] | None = None) -> Finding | None:
    """D22: the order of the pairs is, by and large, that of their degrees.

    The degree product has to come near the model's average precision, within a factor of 1.5, and any of these has to
    hold: rank correlation of logit and log degree product 0.8 or more over uniform non-edges; the degree product ranks
    the test edges as well as the model (ROC AUC within 0.01) and the correlation is 0.5 or more, for where degrees alone
    have 0.95 a model that uses none ties with them; among non-edges drawn like edges the ROC AUC is 0.6 or less; the top
    0.5 % of the non-edges touches hubs twice as often as the test edges do.

    Args:
        scores: of the model, with the degrees that it knew.
        average_precisions: of the model and of degrees, at the base rate; None: those of the pairs in `scores`.
    """
    precision, of_degree = average_precisions or precisions_of(scores)
    if precision >= NEAR * of_degree:
        return None
    products = scores.products["non_edges"]
    auc, by_degree = auc_of(scores.test, scores.non_edges), auc_of(scores.products["test"], products)
    correlation = rank_correlation(scores.non_edges, products)
    matched = auc_of(scores.test, scores.like_edges) if len(scores.like_edges) >= 200 else None
    in_top, in_test = hub_shares(scores)
    seen = []
    if correlation >= 0.8:
        seen.append(f"the rank correlation of logit and degree product is {correlation:.3f}")
    if by_degree >= auc - 0.01 and correlation >= 0.5:
        seen.append(f"the degree product alone has a ROC AUC of {by_degree:.3f}, the model {auc:.3f}")
    if matched is not None and matched <= 0.6:
        seen.append(f"against non-edges drawn by degree the ROC AUC is {matched:.3f}")
    if in_top >= 2 * in_test and in_top > 0:
        seen.append(
            f"{in_top:.0%} of the top pairs touch one of the 1 % largest nodes, and {in_test:.0%} of the test edges"
        )
    if not seen:
        return None
    seen.append(f"its average precision is {precision / of_degree:.2f} times that of degrees alone")
    message = f"The ranking is one by degree: {'; '.join(seen)}. Hubs come first in any list of new links."
    remedy = (
        "Read the figures by degree and against non-edges drawn like edges, rank within each node, and compare with the "
        "baseline 'degree'; features or another model have to add what degrees do not say."
    )
    return Finding("D22", "warning", message, remedy, correlation)


def precisions_of(scores: ModelScores) -> tuple[float, float]:
    """Average precision of the model and of the degree product on the same test edges and non-edges."""
    labels = np.repeat([True, False], [len(scores.test), len(scores.non_edges)])
    products = np.concatenate([scores.products["test"], scores.products["non_edges"]])
    logits = np.concatenate([scores.test, scores.non_edges])
    return float(average_precision_score(labels, logits)), float(average_precision_score(labels, products))


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation with ties at their mean rank; 0 where one of them is constant.

    Example:
        >>> round(rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([0.0, 5.0, 6.0])), 9)
        1.0
        >>> rank_correlation(np.zeros(3), np.arange(3.0))
        0.0
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def hub_shares(scores: ModelScores) -> tuple[float, float]:
    """Share of pairs with a hub among the highest 0.5 % of the non-edges, and among the test edges."""
    top = np.argsort(-scores.non_edges, kind="stable")[: max(1, round(TOP_SHARE * len(scores.non_edges)))]
    return float(scores.hubs["non_edges"][top].mean()), float(scores.hubs["test"].mean())


def too_good(roc_auc: float, average_precision: float | None, heuristics: Mapping[str, float]) -> Finding | None:
    """D23: near perfect, on edges that no heuristic can rank.

    Args:
        roc_auc: of the model.
        average_precision: at the base rate, None where it is not known.
        heuristics: name -> ROC AUC of each on the same pairs.
    Example:
        >>> too_good(0.999, None, {"degree": 0.7, "l3": 0.85}).id, too_good(0.999, None, {"degree": 0.7, "l3": 0.93})
        ('D23', None)
    """
    if not heuristics or not (roc_auc > 0.995 or (average_precision or 0.0) > 0.95):
        return None
    best = max(heuristics, key=lambda name: heuristics[name])
    if heuristics[best] >= 0.9:
        return None
    reached = f"A ROC AUC of {roc_auc:.4f}" + ("" if average_precision is None else f" (AP {average_precision:.3f})")
    message = (
        f"{reached}, where the best heuristic ({best}) has {heuristics[best]:.3f}: the answers may be in the inputs."
    )
    remedy = (
        "Look for test edges in the message graph and in the features, in both directions: `linkodds doctor` on the files "
        "of the split."
    )
    return Finding("D23", "warning", message, remedy, roc_auc)


def train_test_gap(train: float, test: float) -> Finding | None:
    """D25: ROC AUC of train edges over 0.1 above that of test edges.

    Example:
        >>> train_test_gap(0.99, 0.85).severity, train_test_gap(0.94, 0.85)
        ('info', None)
    """
    if train - test <= 0.1:
        return None
    message = (
        f"Train edges have a ROC AUC of {train:.3f}, held-out edges {test:.3f}: the model knows its own edges by heart, and "
        "probabilities fitted on train edges would be overconfident."
    )
    remedy = "Calibrate on held-out edges only; stop earlier, or use fewer dimensions, dropout or weight decay."
    return Finding("D25", "info", message, remedy, train - test)


def base_rate_of_the_graph(
    prevalence: float, held_out: float, num_edges: float, num_pairs: float, *, what: str = "The evaluation"
) -> Finding | None:
    """D28: the prevalence and the share that was held out imply another density than the graph has.

    Edges are E of N pairs; with a share f of them held out, the prevalence among the candidates is f E / N or a little
    more, for train edges are no candidates. A factor of 1.5 either way is a finding: both directions of an undirected pair
    counted (2), one side of a bipartite graph too many, another graph's number.

    Args:
        prevalence: edges among the pairs that were judged, with weights.
        held_out: judged edges / all edges of the graph.
        num_edges: edges of the graph.
        num_pairs: its admissible pairs.
        what: where the prevalence comes from.
    Example:
        >>> base_rate_of_the_graph(0.001, 0.1, 1000, 100_000) is None  # 100 of 100,000
        True
        >>> round(base_rate_of_the_graph(0.0005, 0.1, 1000, 100_000).statistic, 2)  # 100 of 200,000
        0.5
    """
    if num_edges >= num_pairs:
        return None
    expected = held_out * num_edges / (num_pairs - (1 - held_out) * num_edges)
    factor = prevalence / expected
    if 1 / 1.5 <= factor <= 1.5:
        return None
    message = (
        f"{what} has one edge for {(1 - prevalence) / prevalence:,.4g} non-edges; {held_out:.1%} of the graph's "
        f"{num_edges:,.0f} edges among its {num_pairs:,.0f} pairs are one for {(1 - expected) / expected:,.4g}, "
        f"{max(factor, 1 / factor):.3g} times as {'many' if factor > 1 else 'few'}."
    )
    remedy = (
        "Count the candidates again: undirected pairs once, no self-loops, no train edges, pairs across the sides of a "
        "bipartite graph only; precision changes by that factor."
    )
    return Finding("D28", "warning", message, remedy, factor)


def embedding_collapse(embeddings: Embeddings, logits: Floats) -> Finding | None:
    """D15: all nodes in nearly one place, or on one line, or logits that hardly differ.

    Args:
        embeddings: shape (nodes, dim).
        logits: shape (pairs,), of random pairs.
    Returns:
        A finding when the logits' deviation is under 0.001, the mean cosine of two nodes is above 0.99, or the effective
        rank, exp of the entropy of the squared singular values (Roy and Vetterli, 2007), is under 2; under 1.25, 1.5 and
        1.75 for 2, 3 and 4 dimensions.
    Example:
        >>> rng = np.random.default_rng(0)
        >>> spread = rng.normal(size=(50, 4))
        >>> embedding_collapse(spread, rng.normal(size=99)) is None
        True
        >>> embedding_collapse(1 + 0.01 * spread, rng.normal(size=99)).id
        'D15'
    """
    deviation = float(logits.std())
    cosine, rank = mean_cosine(embeddings), effective_rank(embeddings)
    if deviation < 1e-3:
        seen, statistic = f"the logits of random pairs have a deviation of {deviation:.2g}", deviation
    elif cosine > 0.99:
        seen, statistic = f"two nodes have a mean cosine of {cosine:.4f}", cosine
    elif rank < min(2.0, 1 + (embeddings.shape[1] - 1) / 4):
        seen, statistic = f"the effective rank is {rank:.2f} of {embeddings.shape[1]} dimensions", rank
    else:
        return None
    message = f"The embedding has collapsed: {seen}, so it hardly tells one node from another."
    remedy = (
        "Use fewer layers (oversmoothing), a linear last layer (dead ReLU), a lower learning rate or KL weight, and "
        "features that differ between nodes."
    )
    return Finding("D15", "error", message, remedy, statistic)


def mean_cosine(embeddings: Embeddings) -> float:
    """Mean cosine of two different nodes; those at the origin are left out.

    Example:
        >>> mean_cosine(np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
        0.0
    """
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    units = embeddings[lengths > 0] / lengths[lengths > 0, None]
    n = len(units)
    return float((np.square(units.sum(axis=0)).sum() - n) / (n * (n - 1))) if n > 1 else 1.0


def effective_rank(embeddings: Embeddings) -> float:
    """exp of the entropy of the squared singular values, as shares: 1 for a line, dim for a ball.

    Example:
        >>> round(effective_rank(np.eye(3)), 6), effective_rank(np.ones((3, 2)))
        (3.0, 1.0)
    """
    gram = embeddings.astype(np.float64).T @ embeddings.astype(np.float64)
    values = np.clip(np.linalg.eigvalsh(gram), 0.0, None)
    if values.sum() == 0:
        return 1.0
    shares = values[values > values.sum() * 1e-15] / values.sum()
    return round(float(np.exp(-(shares * np.log(shares)).sum())), 12)


def ties(scores: ModelScores) -> Finding | None:
    """D12 on a model with embeddings: logits of different pairs that are the same number at an end of the scale."""
    if scores.embeddings is None:
        return None
    logits = np.concatenate([scores.test, scores.non_edges]).astype(np.float32)
    return tied_share(logits.astype(np.float64), len(scores.test), "logit")
