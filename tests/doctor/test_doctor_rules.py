"""All 34 rules: a case that triggers each, and one just beside it that does not; every rule has its section in the docs."""

import doctest
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from linkodds.doctor import (
    RULES,
    ConfusionMatrix,
    History,
    ModelScores,
    ScoreTable,
    conclude,
    constant_features,
    diagnose_confusion_matrix,
    diagnose_history,
    diagnose_latents,
    diagnose_split,
    diagnose_table,
)
from linkodds.doctor.diagnosis import audited, impossible_prior
from linkodds.doctor.model_rules import base_rate_of_the_graph, embedding_collapse, hub_dominance, too_good
from linkodds.doctor.rules import CAUSES, EXPLAINED_BY
from linkodds.doctor.score_rules import promise_at_the_top
from linkodds.errors import InsufficientCalibration
from linkodds.findings import Finding
from linkodds.probability.selection import ErrorControl, PairCounts, Treatment
from places import ROOT

PAGE = ROOT / "docs" / "doctor.md"
Floats = NDArray[np.float64]
Case = Callable[[Any], list[Finding]]
HALF = np.arange(400) % 2 == 1


def calibrated(mean: float = -3.0) -> tuple[NDArray[np.bool_], Floats]:
    rng = np.random.default_rng(0)
    logits = rng.normal(mean, 1.5, size=20_000)
    return rng.random(20_000) < 1 / (1 + np.exp(-logits)), logits


def uniform(low: float, high: float) -> list[Finding]:
    return diagnose_table(ScoreTable(HALF, np.linspace(low, high, 400), "probability"))


def share_above_half(num_above: int) -> list[Finding]:
    values = np.where(np.arange(10_000) < num_above, 0.6, 0.4) + np.linspace(0, 0.01, 10_000)
    return diagnose_table(ScoreTable(np.arange(10_000) % 10 == 3, values, "probability"))


def recall_at_half(recall: float) -> list[Finding]:
    logits = np.linspace(-1.0, -9.0, 1000)
    logits[: int(500 * recall)] += 5.0
    return diagnose_table(ScoreTable(np.arange(1000) < 500, logits, "logit"))


def shifted(shift: float) -> list[Finding]:
    labels, logits = calibrated()
    return diagnose_table(ScoreTable(labels, logits + shift, "logit"))


def stretched(factor: float) -> list[Finding]:
    labels, logits = calibrated(mean=-1.0)
    return diagnose_table(ScoreTable(labels, factor * logits, "logit"))


def non_edges_left_out(ratio: float) -> list[Finding]:
    labels, logits = calibrated(mean=0.0)
    prevalence = 1 / (1 + ratio * (~labels).sum() / labels.sum())
    return diagnose_table(ScoreTable(labels, logits, "logit", prevalence=prevalence))


def weighted_f1(num_edges: int) -> list[Finding]:
    """Of 10,000 pairs; 30 of the edges are found, with 10 false ones."""
    report = ConfusionMatrix(tn=9990 - num_edges, fp=10, fn=num_edges - 30, tp=30)
    figures = {"f1": report.f1, "f1_weighted": report.weighted_f1}
    return diagnose_confusion_matrix(ConfusionMatrix(report.tn, report.fp, report.fn, report.tp, figures))


def distinct_scores(num: int) -> list[Finding]:
    return diagnose_table(ScoreTable(HALF, np.arange(400) % num / num, "probability"))


def tied(num: int) -> list[Finding]:
    """2,000 pairs, 1,000 edges: 5 / 1,000 of them may be tied."""
    logits = np.random.default_rng(0).normal(size=2000)
    logits[np.argsort(logits)[-num:]] = logits.max()
    return diagnose_table(ScoreTable(np.arange(2000) % 2 == 0, logits, "logit"))


def largest_logit(logit: float) -> list[Finding]:
    labels, logits = calibrated()
    logits[7] = logit
    return diagnose_table(ScoreTable(labels, logits, "logit"))


def feature_deviation(deviation: float) -> list[Finding]:
    column = np.where(np.arange(30) % 2, deviation, -deviation)
    return conclude([constant_features(np.column_stack([column, np.arange(30.0)]))])


def singular_values(first: float) -> list[Finding]:
    """exp(entropy) of the shares (first, 3/4 and 1/4 of the rest): 1.85 at 0.8, 2.29 at 0.7."""
    axes = np.diag(np.sqrt([first, 0.75 * (1 - first), 0.25 * (1 - first), 0.0, 0.0]))
    return conclude([embedding_collapse(np.concatenate([axes, -axes]).astype(np.float32), np.linspace(-1, 1, 50))])


def silent_dimensions(num: int) -> list[Finding]:
    mean = np.zeros((50, 10))
    mean[:, num:] = np.linspace(-3, 3, 50)[:, None]
    return diagnose_latents(mean, np.zeros((50, 10)))


def spike(factor: float) -> list[Finding]:
    kl = np.ones(100)
    kl[60] = factor
    return diagnose_history(History.from_columns({"kl": kl}))


def plateau(loss: float) -> list[Finding]:
    columns = {"loss": np.append(np.linspace(1.3, 0.75, 40), np.full(20, loss))}
    return diagnose_history(History.from_columns(columns))


def test_edge(u: int, v: int) -> list[Finding]:
    return diagnose_split({"train": np.array([[0, 1], [1, 2]]), "test": np.array([[u, v]])})


test_edge.__test__ = False  # type: ignore[attr-defined]


def train_edge(u: int, v: int) -> list[Finding]:
    return diagnose_split({"train": np.array([[0, 1], [1, 2], [u, v]]), "test": np.array([[3, 4]])})


def by_degree(correlation: float) -> list[Finding]:
    """Normal logits and log products: a rank correlation of 6 / pi asin(r / 2), 0.82 at 0.83 and 0.78 at 0.79."""
    products, noise = np.random.default_rng(0).normal(size=(2, 20_000))
    logits = correlation * products + np.sqrt(1 - correlation**2) * noise
    edges = np.linspace(1, 3, 500)
    nothing = np.zeros(0)
    hubs = {"test": np.zeros(500, dtype=bool), "non_edges": np.zeros(20_000, dtype=bool)}
    products_of = {"test": edges - 0.2, "non_edges": products}  # an average precision of 0.25, the logits' is 0.34
    return conclude([hub_dominance(ModelScores(edges, edges, logits, nothing, products_of, hubs))])


def weights(per_edge: float) -> list[Finding]:
    """Each non-edge stands for that many; 1,000 edges and more above the best F1."""
    rng = np.random.default_rng(0)
    labels = np.arange(8000) < 2000
    logits = rng.normal(2.0 * labels - 5, 1.0)
    return diagnose_table(ScoreTable(labels, logits, "logit", weights=np.where(labels, 1.0, per_edge * 2000)))


def train_auc(value: float) -> list[Finding]:
    return diagnose_history(History.from_columns({"loss": [1.0], "train_auc": [value], "val_auc": [0.85]}))


def nulls(num: int) -> list[Finding]:
    """n / (alpha k) = 1000 / (0.1 * 20) = 500."""
    alike, thresholds = Treatment("hash", "zeros"), np.array([1.0])
    control = ErrorControl(
        nulls=PairCounts(thresholds, np.array([0]), num, alike),
        candidates=PairCounts(thresholds, np.array([20]), 1000, alike),
    )
    try:
        control.require_nulls(0.1, 20)
    except InsufficientCalibration as error:
        return conclude([audited([{"alpha": 0.1, "reason": str(error), "num_nulls": num}])])
    return conclude([audited([{"alpha": 0.1, "num_nulls": num}])])


def missing(num: float) -> list[Finding]:
    return conclude([impossible_prior(num, 100.0)])


def num_candidates(num: int) -> list[Finding]:
    """100 of the 1,000 edges of a graph of 4,000 nodes."""
    return conclude([base_rate_of_the_graph(100 / num, 0.1, 1000, 4000 * 3999 / 2)])


def pairs_left_out(num: int) -> list[Finding]:
    """30 nodes, 100 edges, 20 of them held out; training left these and `num` non-edges out."""
    u, v = np.triu_indices(30, 1)
    pairs = np.column_stack([u, v])[np.random.default_rng(0).permutation(len(u))]
    return diagnose_split({"train": pairs[:80], "test": pairs[80:100]}, {"train": pairs[100 + num :]})


def used_again(num: int) -> list[Finding]:
    """`num` of 100 test non-edges were trained on, and no test edge."""
    path = np.column_stack([np.arange(300), np.arange(1, 301)])
    edges = {"train": path, "test": path[:50] + np.array([0, 9])}
    non_edges = path[:200] + np.array([0, 20])
    return diagnose_split(edges, {"train": non_edges[100 - num :], "test": non_edges[:100]})


def test_non_edge(u: int, v: int) -> list[Finding]:
    non_edges = {"test": np.array([[0, 3], [1, 4], [u, v]])}
    return diagnose_split({"train": np.array([[0, 1], [1, 2], [3, 4]]), "test": np.array([[0, 2]])}, non_edges)


test_non_edge.__test__ = False  # type: ignore[attr-defined]


def edges_of_unseen_nodes(num: int) -> list[Finding]:
    """`num` of 100 test edges end in a node without a train edge."""
    train = np.column_stack([np.arange(150), np.arange(1, 151)])
    test = np.column_stack([np.arange(100), np.arange(20, 120)])
    test[:num, 1] = 200 + np.arange(num)
    return diagnose_split({"train": train, "test": test})


def edges_at_the_top(num: int) -> list[Finding]:
    """The first 50 of 2,000 rows promise 10 edges and hold `num`: a chance of 3e-5 for 23, of 1.02e-4 for 22."""
    p = np.where(np.arange(2000) < 50, 0.2, 1e-3) - 1e-7 * np.arange(2000)
    labels = ((np.arange(2000) < 50) & (np.arange(2000) >= 50 - num)) | (np.arange(2000) == 1999)
    return conclude([promise_at_the_top(ScoreTable(labels, p, "probability"))])


def two_values(apart: float) -> list[Finding]:
    return diagnose_table(ScoreTable(HALF, np.where(np.arange(400) < 200, 0.73, 0.73 + apart), "probability"))


CASES: dict[str, tuple[Case, tuple[Any, ...], tuple[Any, ...]]] = {
    "D01": (uniform, (0.5, 0.731), (0.499, 0.731)),
    "D02": (uniform, (0.5, 0.7321), (0.4999, 0.99)),
    "D03": (share_above_half, (9990,), (9989,)),
    "D04": (recall_at_half, (0.03,), (0.05,)),
    "D05": (shifted, (0.35,), (0.2,)),
    "D06": (stretched, (2.0,), (1.15,)),
    "D07": (lambda n: diagnose_confusion_matrix(ConfusionMatrix(tn=0, fp=n, fn=0, tp=n)), (1,), (2,)),
    "D08": (non_edges_left_out, (5.1,), (4.9,)),
    "D09": (weighted_f1, (999,), (1000,)),
    "D10": (lambda tp: diagnose_confusion_matrix(ConfusionMatrix(tn=8950, fp=50, fn=1000 - tp, tp=tp)), (60,), (61,)),
    "D11": (distinct_scores, (2,), (3,)),
    "D12": (tied, (11,), (10,)),
    "D13": (largest_logit, (80.5,), (79.5,)),
    "D14": (feature_deviation, (0.9e-6,), (1.5e-6,)),
    "D15": (singular_values, (0.8,), (0.7,)),
    "D16": (silent_dimensions, (9,), (8,)),
    "D17": (spike, (3.1,), (2.9,)),
    "D18": (plateau, (0.6978,), (0.6985,)),
    "D19": (test_edge, (2, 1), (2, 0)),
    "D20": (train_edge, (2, 1), (2, 0)),
    "D21": (train_edge, (2, 2), (2, 3)),
    "D22": (by_degree, (0.83,), (0.79,)),
    "D23": (lambda auc: conclude([too_good(0.996, None, {"l3": auc})]), (0.899,), (0.9,)),
    "D24": (weights, (0.0051,), (0.005,)),
    "D25": (train_auc, (0.951,), (0.949,)),
    "D26": (nulls, (498,), (499,)),
    "D27": (missing, (101,), (100,)),
    "D28": (num_candidates, (4000 * 4000,), (4000 * 3999 / 2 * 1.4,)),
    "D29": (pairs_left_out, (6,), (7,)),
    "D30": (used_again, (10,), (9,)),
    "D31": (test_non_edge, (4, 1), (4, 2)),
    "D32": (edges_of_unseen_nodes, (10,), (9,)),
    "D33": (edges_at_the_top, (29,), (28,)),
    "D34": (two_values, (0.0,), (1e-6,)),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_fires_and_just_beside_it_does_not(rule: str) -> None:
    judge, fires, silent = CASES[rule]
    assert rule in [finding.id for finding in judge(*fires)]
    assert rule not in [finding.id for finding in judge(*silent)]


def test_every_rule_has_a_case_a_name_and_a_section() -> None:
    every = [f"D{i:02}" for i in range(1, 35)]
    assert sorted(CASES) == sorted(RULES) == every
    assert {*CAUSES, *EXPLAINED_BY, *(id for ids in EXPLAINED_BY.values() for id in ids)} <= set(every)
    text = PAGE.read_text(encoding="utf-8")
    for rule in every:
        page = Finding(rule, "info", "", "").page
        assert page is not None
        path, _, anchor = page.partition("#")
        assert PAGE.parents[1] / path == PAGE
        (section,) = re.findall(
            rf'<a id="{anchor}"></a>\n\n## {rule}: {re.escape(RULES[rule])}\n(.*?)(?=<a id=|\Z)', text, re.S
        )
        assert "```python" in section
        assert f"{rule} " in section.split("```python")[1]  # its example shows the finding
        for word in ("**Cause.**", "**Cure.**"):
            assert word in section


def test_no_finding_explains_itself_away() -> None:
    """Following causes never comes back, so that of findings that explain each other one is left."""
    for effect in EXPLAINED_BY:
        seen, ahead = set(), {effect}
        while ahead:
            ahead = {cause for each in ahead for cause in EXPLAINED_BY.get(each, ())} - seen
            seen |= ahead
        assert effect not in seen


def examples() -> list[doctest.DocTest]:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    first, *examples = blocks  # each starts as the first one says
    parser = doctest.DocTestParser()
    return [parser.get_doctest(first + each, {}, f"{PAGE.name} {each[:60]!r}", str(PAGE), 0) for each in examples]


def test_the_examples_of_the_page_print_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    each = examples()
    assert len(each) == len(RULES)
    for example in each:
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0, capsys.readouterr().out
