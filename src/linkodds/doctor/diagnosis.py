"""From what is in hand (a table, a report, a history, a graph, a split, a run) to findings, ordered by cause:
what explains another finding comes first and takes its place. The rules on a run find in its files what the others look at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from linkodds.doctor import (
    confusion_rules,
    graph_rules,
    history_rules,
    model_rules,
    negative_rules,
    score_rules,
    tie_rules,
)
from linkodds.doctor.confusion import ConfusionMatrix
from linkodds.doctor.history_rules import History
from linkodds.doctor.inputs import ScoreTable
from linkodds.doctor.model_rules import ModelScores
from linkodds.doctor.rules import conclude
from linkodds.doctor.weighted import CoxFit
from linkodds.evaluation.evaluation import Evaluation
from linkodds.findings import Finding
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS, Split
from linkodds.metrics.logit_bins import Floats
from linkodds.pairs import Pairs
from linkodds.scorers.baselines import baseline_scorer

HEURISTICS = ("degree", "common-neighbors", "adamic-adar", "resource-allocation", "l3")
"""What a model is held against where its graph is there."""

PROBABILITY_RULES = (*tie_rules.RULES, *score_rules.RULES)
"""Rules on finite logits or probabilities."""

SCORE_RULES = (*tie_rules.RULES, *score_rules.ON_A_RANKING)
"""Rules on finite scores that only rank."""


def diagnose_table(table: ScoreTable, *, directed: bool = False) -> list[Finding]:
    """D13, D01 to D06, D08, D10 to D12, D24, D33 and D34 on labels and scores that a user brings.

    Scores of no unit (counts of neighbours) are judged as a ranking: D06 where it is inverted, D08, D11 to D13, D24, D34.
    With the ids of the pairs also D19 (a pair labelled both ways), D20, D21 and D31. What another finding explains is
    left out. Under 200 rows the scores are judged by D13 only, and that is said.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(400) < 200
        >>> probabilities = 0.5 + 0.2 * rng.random(400)
        >>> [finding.id for finding in diagnose_table(ScoreTable(labels, probabilities, "probability"))]
        ['D01']
    """
    found: list[Finding | None] = [score_rules.nonfinite_scores(table), *table.findings]
    finite = table.finite()
    if table.num_rows < score_rules.MIN_ROWS:
        message = f"{table.num_rows} rows are too few for the rules on scores, which need {score_rules.MIN_ROWS}."
        found.append(Finding("doctor", "info", message, "Bring more pairs.", float(table.num_rows)))
    elif finite is not None:
        found += [rule(finite) for rule in (SCORE_RULES if finite.kind == "score" else PROBABILITY_RULES)]
    if table.pairs is not None:
        ids, rows = np.unique(table.pairs.astype(str), return_inverse=True)
        rows = rows.reshape(-1, 2).astype(np.int64)
        names = {"scored": rows[table.labels]}, {"scored": rows[~table.labels]}
        found += diagnose_split(*names, directed=directed, ids=ids)
    return conclude(found)


def diagnose_values(labels: NDArray[np.bool_], values: Floats, kind: str, weights: Floats) -> list[Finding]:
    """What `diagnose_table` says of the values of somebody's scorer on edges and a sample of all non-edges.

    Scores of no kind are judged as such: by D11, D12 and D34 alone. What a sample is too small for (D24) is left out: the
    run measures on more.

    Args:
        labels: shape (pairs,), True for an edge.
        values: shape (pairs,), finite.
        kind: "score", "logit" or "probability".
        weights: shape (pairs,), how many pairs each stands for.
    Example:
        >>> labels, weights = np.arange(400) < 200, np.ones(400)
        >>> values = np.where(labels, 1.0, 0.0)
        >>> [[each.id for each in diagnose_values(labels, values, kind, weights)] for kind in ("score", "probability")]
        [['D11'], ['D11']]
    """
    if kind == "score":
        table = ScoreTable(labels, values, "score", weights=weights)
        return conclude(rule(table) for rule in tie_rules.RULES)
    table = ScoreTable(labels, values, "probability" if kind == "probability" else "logit", weights=weights)
    return [each for each in diagnose_table(table) if each.id != "D24"]


def diagnose_table_on_graph(table: ScoreTable, graph: Graph, train: Pairs) -> list[Finding]:
    """D22, D23 and D28 on a table with the ids of its pairs, and the edges that its scores were made from.

    Args:
        table: with `pairs`, all of them nodes of the graph.
        graph: train edges and the table's edges.
        train: shape (edges, 2), canonical pairs of the graph.
    """
    finite = table.finite()
    if finite is None or finite.pairs is None or finite.num_rows < score_rules.MIN_ROWS:
        return []
    rows = graph.space.canonical(graph.index_of(finite.pairs.ravel().tolist()).reshape(-1, 2))
    split = Split(train, *(np.zeros((0, 2), dtype=np.int64),) * 3, space=graph.space)
    labels, logits, weights = finite.labels, finite.logits, finite.row_weights
    heuristics = {
        name: float(roc_auc_score(labels, baseline_scorer(name, split).logits(rows), sample_weight=weights))
        for name in HEURISTICS
    }
    auc = float(roc_auc_score(labels, logits, sample_weight=weights))
    precision = float(average_precision_score(labels, logits, sample_weight=weights)) if finite.at_base_rate else None
    by_degree = baseline_scorer("degree", split).logits(rows)
    of_degree = float(average_precision_score(labels, by_degree, sample_weight=weights))
    precisions = None if precision is None else (precision, of_degree)
    found: list[Finding | None] = [
        model_rules.hub_dominance(ModelScores.of_table(rows, labels, logits, split), precisions),
        model_rules.too_good(auc, precision, heuristics),
    ]
    if finite.at_base_rate:
        held_out = finite.num_edges / graph.num_edges
        prevalence = 1 / (1 + finite.ratio)
        found.append(
            model_rules.base_rate_of_the_graph(
                prevalence, held_out, graph.num_edges, graph.space.num_pairs, what="The table"
            )
        )
    return conclude(found)


def diagnose_confusion_matrix(report: ConfusionMatrix) -> list[Finding]:
    """D03, D04 and D07 to D10 on a confusion matrix and the figures reported with it.

    Example:
        >>> [finding.id for finding in diagnose_confusion_matrix(ConfusionMatrix(tn=0, fp=1, fn=0, tp=1))]
        ['D07', 'D03']
    """
    found = [rule(report) for rule in confusion_rules.ALWAYS]
    if report.normalised or report.total >= confusion_rules.MIN_PAIRS:
        found += [rule(report) for rule in confusion_rules.ON_COUNTS]
    else:
        message = f"{report.total:g} pairs are too few for the rules on counts, which need {confusion_rules.MIN_PAIRS}."
        found.append(Finding("doctor", "info", message, "Bring more pairs.", report.total))
    return conclude(found)


def diagnose_history(history: History) -> list[Finding]:
    """D01, D13, D16, D17, D18 and D25 on a training history that a user brings.

    Example:
        >>> loss = [0.72] * 30 + [0.70] * 30
        >>> columns = {"loss": loss, "val_auc": [0.9] * 60}
        >>> [finding.id for finding in diagnose_history(History.from_columns(columns))]
        ['D01']
    """
    twice, flat = history_rules.double_sigmoid_loss(history), history_rules.loss_at_ln2(history)
    if twice and flat and twice.severity == "warning":
        twice = None  # without a ROC AUC that tells them apart, a loss at ln 2 is taken for what it is more often
    return conclude([twice, flat, history_rules.train_test_gap_of(history), *_unstable(history)])


def diagnose_latents(mean: Floats, log_deviation: Floats | None = None) -> list[Finding]:
    """D13 and D16 on the posterior of a variational model: means and log deviations of shape (nodes, dim)."""
    broken = history_rules.nonfinite_latents(mean, log_deviation)
    return conclude([broken or history_rules.posterior_collapse(mean=mean, log_deviation=log_deviation)])


def diagnose_graph(graph: Graph, *, rows: Pairs | None = None) -> list[Finding]:
    """D14, D20 and D21 on a graph and what reading dropped; the findings of reading come along.

    Args:
        graph: with its features, or without.
        rows: shape (rows, 2), the edge list as it was, self-loops and repeats included; any numbering of the nodes.
    Example:
        >>> graph = Graph.from_edges([("a", "b"), ("b", "a"), ("b", "b"), ("b", "c")])
        >>> rows = np.array([[0, 1], [1, 0], [1, 1], [1, 2]])
        >>> [finding.id for finding in diagnose_graph(graph, rows=rows)]
        ['D20', 'D21', 'reading']
    """
    found: list[Finding | None] = list(graph.findings)
    if rows is not None:
        # The rules say what reading said, and why it matters.
        found = [f for f in graph.findings if "self-loop(s) dropped" not in f.message and "reversed" not in f.message]
        found.append(graph_rules.self_loops(int((rows[:, 0] == rows[:, 1]).sum())))
        if not graph.space.directed:
            found.append(graph_rules.both_directions(graph_rules.num_both_directions(rows), graph.num_edges))
    if graph.features is not None:
        found.append(graph_rules.constant_features(graph.features.matrix))
    return conclude(found)


def diagnose_split(
    edges: Mapping[str, Pairs],
    non_edges: Mapping[str, Pairs] | None = None,
    *,
    directed: bool = False,
    ids: NDArray[Any] | None = None,
) -> list[Finding]:
    """D19 to D21 and D29 to D32 on the parts of a split.

    Args:
        edges: part -> shape (pairs, 2), node indices below 2**31 as they were used. A part called "message" is the
            message graph, and may overlap "train".
        non_edges: part -> shape (pairs, 2). Those of "train" may hold held-out edges, which training must not know.
        directed: whether (u, v) and (v, u) are two edges.
        ids: shape (nodes,), what the user calls each node; None: by its number.
    Example:
        >>> train, test = np.array([[0, 1], [1, 2]]), np.array([[1, 0], [2, 3]])
        >>> [finding.id for finding in diagnose_split({"train": train, "test": test})]
        ['D19', 'D20']
    """
    found = _pairs_in_parts(edges, non_edges or {}, directed, ids)
    return conclude([*found, *negative_rules.negatives_and_nodes(edges, non_edges or {}, directed=directed)])


def _pairs_in_parts(
    edges: Mapping[str, Pairs], non_edges: Mapping[str, Pairs], directed: bool, ids: NDArray[Any] | None
) -> list[Finding | None]:
    """D19, D20 and D21."""
    found: list[Finding | None] = list(graph_rules.leaks(edges, non_edges, directed=directed, ids=ids))
    if not directed:
        parts = [np.asarray(part) for name, part in edges.items() if name != "message"]  # messages go both ways
        twice = sum(graph_rules.num_both_directions(part) for part in parts)
        found.append(graph_rules.both_directions(twice, sum(map(len, parts)) - twice))
    found.append(graph_rules.self_loops(sum(int((part[:, 0] == part[:, 1]).sum()) for part in edges.values())))
    return found


def diagnose_run(
    *,
    evaluation: Evaluation,
    history: Mapping[str, Sequence[float | None]],
    split: Split,
    decision: str,
    scores: ModelScores | None = None,
) -> list[Finding]:
    """The rules that apply to a run of linkodds itself, whose losses and decoders take logits.

    D03 and D04 are judged only where the stored decision is "half": a calibrated model of rare edges rightly says no
    to almost all pairs at 0.5.

    Args:
        evaluation: what was measured; without D05 and D06 where it has no such numbers.
        history: columns of history.csv; None for what was not measured at that epoch. Words (events) are skipped.
        split: its four parts.
        decision: the rule that `predict` applies.
        scores: what the model makes of some pairs; None leaves D12, D15, D22, D23 and D25 out.
    """
    numbers = {name: column for name, column in history.items() if not any(isinstance(value, str) for value in column)}
    parts = {part: getattr(split, part) for part in PARTS}
    return conclude(
        [
            *_unstable(History.from_columns(numbers)),
            *calibrated(evaluation),
            *half(evaluation, decision),
            audited(evaluation.audit),
            base_rate(evaluation),
            *(modelled(evaluation, scores) if scores else []),
            *_pairs_in_parts(parts, {}, split.space.directed, None),
        ]
    )


def _unstable(history: History) -> list[Finding | None]:
    each = history.kl_per_dimension
    collapsed = None if each is None else history_rules.posterior_collapse(kl=each)
    return [history_rules.nonfinite_history(history), collapsed, history_rules.kl_spike(history)]


def calibrated(evaluation: Evaluation) -> list[Finding | None]:
    """D05 and D06 from the evaluation's own numbers."""
    found: list[Finding | None] = []
    metrics, observed = evaluation.metrics, evaluation.candidates["num_edges"]
    ratio = metrics["observed_over_expected"].value
    if ratio and not 0.8 <= ratio <= 1.25:
        expected = observed / ratio
        if abs(observed - expected) > 3 * max(observed, 1) ** 0.5:
            message = (
                f"{observed} test edges observed, {expected:.6g} expected from the probabilities (observed / expected "
                f"{ratio:.3g})."
            )
            remedy = "Calibrate on more edges: a larger calibration share in --split, or --folds."
            found.append(Finding("D05", "warning", message, remedy, ratio))
    slope = metrics["calibration_slope"]
    if slope.value is not None and slope.low is not None and slope.high is not None:
        fit = CoxFit(slope.value, metrics["calibration_intercept"].value or 0.0, slope.low, slope.high)
        found.append(score_rules.judge_slope(fit))
    return found


def half(evaluation: Evaluation, decision: str) -> list[Finding | None]:
    """D03 and D04 where the stored decision is one half."""
    one = next((each for each in evaluation.decisions if each.decision.rule == "half"), None)
    if decision != "half" or one is None or one.confusion is None:
        return []
    tn, fp, fn, tp = (getattr(one.confusion, cell) for cell in ("tn", "fp", "fn", "tp"))
    share, prevalence = (fp + tp) / (tn + fp + fn + tp), (fn + tp) / (tn + fp + fn + tp)
    auc, balanced = evaluation.metrics["roc_auc"].value, one.measured["balanced_accuracy"].value
    remedy = "Decide by a rule that fits rare edges: --decision f1, precision>=P, recall>=R or budget:K."
    found: list[Finding | None] = []
    if share >= 0.999 or share <= min(0.001, prevalence / 10):
        ranking = "" if auc is None else f", while the ROC AUC is {auc:.3f}"
        message = f"At a threshold of 0.5, {share:.2%} of the candidates are predicted edges{ranking}."
        found.append(Finding("D03", "warning", message, remedy, share))
    if auc is not None and balanced is not None and auc >= 0.75 and abs(balanced - 0.5) <= 0.02:
        message = f"The ranking is fine (ROC AUC {auc:.3f}) and the threshold of 0.5 is not: balanced accuracy {balanced:.3f}."
        found.append(Finding("D04", "warning", message, remedy, balanced))
    return found


def audited(audit: Sequence[Mapping[str, Any]]) -> Finding | None:
    """D26 where the audit could select nothing for lack of calibration nulls; no error, since nobody asked for a list."""
    short = [entry for entry in audit if str(entry.get("reason")).startswith("D26: ")]
    if not short:
        return None
    worst = max(short, key=lambda entry: float(entry["alpha"]))
    message = f"The audit of evaluation.json is empty up to alpha {worst['alpha']:g}: {worst['reason'][5:]}"
    remedy = "Read the audit at a larger alpha, or give the test part a larger share in --split."
    return Finding("D26", "info", message, remedy, float(worst["num_nulls"]))


def impossible_prior(num_missing: float, most_missing: float) -> Finding | None:
    """D27: more missing links are assumed than there can be, if they look like the held-out edges.

    Of M missing links among the non-edges a share of recall(t) lies above every threshold t, so M is at most the
    non-edges above t divided by recall(t), whatever t is.

    Args:
        num_missing: the user's number.
        most_missing: the upper confidence bound on the smallest such quotient; `LinkRate.most_missing`.
    Example:
        >>> impossible_prior(101, 100.0).id, impossible_prior(100, 100.0)
        ('D27', None)
    """
    if num_missing <= most_missing:
        return None
    message = (
        f"{num_missing:,.0f} missing links are assumed, but so few non-edges rank among the held-out edges that "
        f"at most about {most_missing:,.0f} links that look like them can be missing."
    )
    remedy = f"Give --expected-missing {int(most_missing)} or fewer, or read the figures as those of another graph."
    return Finding("D27", "warning", message, remedy, num_missing)


def base_rate(evaluation: Evaluation) -> Finding | None:
    """D28 on the candidates of the evaluation, held against its graph."""
    graph, candidates = evaluation.graph, evaluation.candidates
    if not candidates["num_edges"]:
        return None
    return model_rules.base_rate_of_the_graph(
        candidates["prevalence"],
        candidates["num_edges"] / graph["num_edges"],
        graph["num_edges"],
        graph["num_pairs"],
    )


def modelled(evaluation: Evaluation, scores: ModelScores) -> list[Finding | None]:
    """D12, D15, D22, D23 and D25."""
    metrics = evaluation.metrics
    heuristics = {name: each.roc_auc for name, each in evaluation.baselines.items()}
    known = evaluation.model["name"] in heuristics
    auc, precision = metrics["roc_auc"].value, metrics["average_precision"].value
    test = model_rules.auc_of(scores.test, scores.non_edges)
    by_degree = evaluation.baselines["degree"].average_precision if "degree" in evaluation.baselines else None
    precisions = (precision, by_degree) if precision is not None and by_degree is not None else None
    return [
        model_rules.ties(scores),
        None if scores.embeddings is None else model_rules.embedding_collapse(scores.embeddings, scores.non_edges),
        model_rules.hub_dominance(scores, precisions),
        None if known or auc is None else model_rules.too_good(auc, precision, heuristics),
        # A heuristic finds a train edge in its own neighbourhoods, and learns nothing by heart.
        None if known else model_rules.train_test_gap(model_rules.auc_of(scores.train, scores.non_edges), test),
    ]
