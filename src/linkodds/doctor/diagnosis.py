"""From what is there (a table, a history, a graph, a split, a run, a file) to findings, ordered by cause."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from linkodds.decision import Decision
from linkodds.delimited import is_text_file
from linkodds.delimited import read_table as read_columns
from linkodds.doctor import graph_rules, history_rules, score_rules
from linkodds.doctor.inputs import History, ScoreTable, read_history, read_table, words
from linkodds.doctor.weighted import CoxFit
from linkodds.errors import MalformedFile, OptionError
from linkodds.findings import Finding
from linkodds.graph import Graph
from linkodds.logit_bins import Floats
from linkodds.pairs import Pairs
from linkodds.reading import read_edges
from linkodds.split import PARTS, Split

CAUSES = ("D19", "D13", "D01", "D02")
"""What explains other findings comes first."""


class SavedRun(Protocol):
    """What the doctor reads of a saved run."""

    @property
    def evaluation(self) -> Mapping[str, Any]: ...
    @property
    def history(self) -> Mapping[str, Sequence[Any]]: ...
    @property
    def split(self) -> Split: ...
    @property
    def decision(self) -> Decision: ...


def order(findings: Iterable[Finding]) -> list[Finding]:
    """Causes before effects, then errors before warnings before information, then by rule; no finding twice.

    Example:
        >>> found = [Finding(id, "error", "", "") for id in ("D08", "D01", "D19", "D08")]
        >>> [finding.id for finding in order(found)]
        ['D19', 'D01', 'D08']
    """
    severities = ("error", "warning", "info")

    def place(finding: Finding) -> tuple[int, int, str]:
        cause = CAUSES.index(finding.id) if finding.id in CAUSES else len(CAUSES)
        return cause, severities.index(finding.severity), finding.id

    return sorted(dict.fromkeys(findings), key=place)


def diagnose_table(table: ScoreTable) -> list[Finding]:
    """D13, D01 to D06 and D08 on labels and scores that a user brings.

    D03 to D06 are left out where D01 or D02 explains them. Under 200 rows only D13 is judged, and that is said.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(400) < 200
        >>> probabilities = 0.5 + 0.2 * rng.random(400)
        >>> [finding.id for finding in diagnose_table(ScoreTable(labels, probabilities, "probability"))]
        ['D01']
    """
    found = [score_rules.nonfinite_scores(table), *table.findings]
    finite = table.finite()
    if table.num_rows < score_rules.MIN_ROWS:
        message = f"{table.num_rows} rows are too few for the rules on scores, which need {score_rules.MIN_ROWS}."
        found.append(Finding("doctor", "info", message, "Bring more pairs.", float(table.num_rows)))
    elif finite is not None:
        found += [rule(finite) for rule in score_rules.RULES]
    return order(_without_effects(found))


def diagnose_history(history: History) -> list[Finding]:
    """D01, D13, D16 and D17 on a training history that a user brings.

    Example:
        >>> loss = [0.72] * 30 + [0.70] * 30
        >>> columns = {"loss": loss, "val_auc": [0.9] * 60}
        >>> [finding.id for finding in diagnose_history(History.from_columns(columns))]
        ['D01']
    """
    return order(_given([history_rules.double_sigmoid_loss(history), *_unstable(history)]))


def diagnose_latents(mean: Floats, log_deviation: Floats | None = None) -> list[Finding]:
    """D13 and D16 on the posterior of a variational model: means and log deviations of shape (nodes, dim)."""
    broken = history_rules.nonfinite_latents(mean, log_deviation)
    return [broken] if broken else _given([history_rules.posterior_collapse(mean=mean, log_deviation=log_deviation)])


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
    return order(_given(found))


def diagnose_split(
    edges: Mapping[str, Pairs], non_edges: Mapping[str, Pairs] | None = None, *, directed: bool = False
) -> list[Finding]:
    """D19, D20 and D21 on the parts of a split.

    Args:
        edges: part -> shape (pairs, 2), node indices below 2**31 as they were used. A part called "message" is the
            message graph, and may overlap "train".
        non_edges: part -> shape (pairs, 2). Those of "train" may hold held-out edges, which training must not know.
        directed: whether (u, v) and (v, u) are two edges.
    Example:
        >>> train, test = np.array([[0, 1], [1, 2]]), np.array([[1, 0], [2, 3]])
        >>> [finding.id for finding in diagnose_split({"train": train, "test": test})]
        ['D19', 'D20']
    """
    found: list[Finding | None] = list(graph_rules.leaks(edges, non_edges or {}, directed=directed))
    if not directed:
        parts = [np.asarray(part) for name, part in edges.items() if name != "message"]  # messages go both ways
        twice = sum(graph_rules.num_both_directions(part) for part in parts)
        found.append(graph_rules.both_directions(twice, sum(map(len, parts)) - twice))
    found.append(graph_rules.self_loops(sum(int((part[:, 0] == part[:, 1]).sum()) for part in edges.values())))
    return order(_given(found))


def diagnose_run(
    *, evaluation: Mapping[str, Any], history: Mapping[str, Sequence[float | None]], split: Split, decision: str
) -> list[Finding]:
    """The rules that apply to a run of linkodds itself, whose losses and decoders take logits.

    D03 and D04 are judged only where the stored decision is "half": a calibrated model of rare edges rightly says no
    to almost all pairs at 0.5.

    Args:
        evaluation: as evaluation.json holds it; without D05 and D06 where it has no such numbers.
        history: columns of history.csv; None for what was not measured at that epoch. Words (events) are skipped.
        split: its four parts.
        decision: the rule that `predict` applies.
    """
    numbers = {name: column for name, column in history.items() if not any(isinstance(value, str) for value in column)}
    found: list[Finding | None] = _unstable(History.from_columns(numbers))
    parts = {part: getattr(split, part) for part in PARTS}
    return order(
        [
            *_given(found),
            *_calibrated(evaluation),
            *_half(evaluation, decision),
            *_audited(evaluation),
            *diagnose_split(parts, directed=split.space.directed),
        ]
    )


def examine(
    target: str | Path,
    *,
    load_run: Callable[[Path], SavedRun],
    num_candidates: float | None = None,
    prevalence: float | None = None,
    features: str | Path | None = None,
    nodes: str | Path | None = None,
) -> list[Finding]:
    """Find out what a path holds, and diagnose it.

    Args:
        target: the directory of a run; a table with a column `label`; a history with a column that is a loss; else an
            edge list, read as `fit` reads it.
        load_run: opens a run.
        num_candidates: for a table: all pairs that the scores are for, its own edges and all non-edges.
        prevalence: for a table: the share of edges among the pairs that the scores are for.
        features: for an edge list: its node features, taken as they are.
        nodes: for an edge list: its node ids.
    Raises:
        MalformedFile: none of these.
        OptionError: an option that does not belong to what the path holds.
    """
    path = Path(target)
    for_tables, for_edges = (num_candidates, prevalence), (features, nodes)
    if path.is_dir():
        _refuse(path, "a run", *for_tables, *for_edges)
        if not (path / "evaluation.json").is_file():
            raise MalformedFile(
                f"{path} is a directory without evaluation.json, so it is no run. Pass a run, or one file."
            )
        run = load_run(path)
        stored = [Finding(**found) for found in run.evaluation["findings"]]
        found = diagnose_run(
            evaluation=run.evaluation, history=run.history, split=run.split, decision=run.decision.rule
        )
        judged = {finding.id for finding in found}
        return order([*found, *(finding for finding in stored if finding.id not in judged)])
    if not path.exists():
        raise MalformedFile(f"{path}: no such file or directory.")
    names = _column_names(path)
    if "label" in names:
        _refuse(path, "a table of scores", *for_edges)
        return diagnose_table(read_table(path, num_candidates=num_candidates, prevalence=prevalence))
    if _is_history(names):
        _refuse(path, "a training history", *for_tables, *for_edges)
        return diagnose_history(read_history(path))
    _refuse(path, "an edge list", *for_tables)
    graph = Graph.from_edges(path, features=features, nodes=nodes, feature_scaling="none")
    return diagnose_graph(graph, rows=read_edges(path).pairs)


def _unstable(history: History) -> list[Finding | None]:
    collapsed = (
        None if history.kl_per_dimension is None else history_rules.posterior_collapse(kl=history.kl_per_dimension)
    )
    return [history_rules.nonfinite_history(history), collapsed, history_rules.kl_spike(history)]


def _calibrated(evaluation: Mapping[str, Any]) -> list[Finding]:
    """D05 and D06 from the evaluation's own numbers."""
    found: list[Finding | None] = []
    metrics, observed = evaluation["metrics"], evaluation["candidates"]["num_edges"]
    ratio = metrics["observed_over_expected"]["value"]
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
    if slope["value"] is not None and slope.get("low") is not None:
        fit = CoxFit(slope["value"], metrics["calibration_intercept"]["value"] or 0.0, slope["low"], slope["high"])
        found.append(score_rules.judge_slope(fit))
    return _given(found)


def _audited(evaluation: Mapping[str, Any]) -> list[Finding]:
    """D26 where the audit could select nothing for lack of calibration nulls; no error, since nobody asked for a list."""
    short = [entry for entry in evaluation.get("audit", []) if str(entry.get("reason")).startswith("D26: ")]
    if not short:
        return []
    worst = max(short, key=lambda entry: float(entry["alpha"]))
    message = f"The audit of evaluation.json is empty up to alpha {worst['alpha']:g}: {worst['reason'][5:]}"
    remedy = "Read the audit at a larger alpha, or give the test part a larger share in --split."
    return [Finding("D26", "info", message, remedy, float(worst["num_nulls"]))]


def _half(evaluation: Mapping[str, Any], decision: str) -> list[Finding]:
    """D03 and D04 where the stored decision is one half."""
    half = next((d for d in evaluation["decisions"] if d["rule"] == "half" and d.get("confusion")), None)
    if decision != "half" or half is None:
        return []
    tn, fp, fn, tp = (half["confusion"][cell] for cell in ("tn", "fp", "fn", "tp"))
    share, prevalence = (fp + tp) / (tn + fp + fn + tp), (fn + tp) / (tn + fp + fn + tp)
    auc, balanced = evaluation["metrics"]["roc_auc"]["value"], half["balanced_accuracy"]["value"]
    remedy = "Decide by a rule that fits rare edges: --decision f1, precision>=P, recall>=R or budget:K."
    found = []
    if share >= 0.999 or share <= min(0.001, prevalence / 10):
        ranking = "" if auc is None else f", while the ROC AUC is {auc:.3f}"
        message = f"At a threshold of 0.5, {share:.2%} of the candidates are predicted edges{ranking}."
        found.append(Finding("D03", "warning", message, remedy, share))
    if auc is not None and balanced is not None and auc >= 0.75 and abs(balanced - 0.5) <= 0.02:
        message = (
            f"The ranking is fine (ROC AUC {auc:.3f}) and the threshold of 0.5 is not: balanced accuracy "
            f"{balanced:.3f}."
        )
        found.append(Finding("D04", "warning", message, remedy, balanced))
    return found


def _given(found: Iterable[Finding | None]) -> list[Finding]:
    return [finding for finding in found if finding is not None]


def _without_effects(found: Iterable[Finding | None]) -> list[Finding]:
    given = _given(found)
    explained = {"D03", "D04", "D05", "D06"} if any(finding.id in ("D01", "D02") for finding in given) else set()
    return [finding for finding in given if finding.id not in explained]


def _column_names(path: Path) -> set[str]:
    """Lower-case column names of a text or Parquet file; empty where it is another kind of file."""
    if not is_text_file(path) and path.suffix.lower() != ".parquet":
        return set()
    table = read_columns(path)
    if len(table.lines) == 1:  # a header alone cannot be told from a row, but for its words
        cells = {str(cell).lower() for cell in table.load(list(range(len(table.names)))).row(0)}
        if "label" in cells or _is_history(cells):
            raise MalformedFile(f"{path}: a header and no row under it; there is nothing to judge.")
    return {name.lower() for name in table.names}


def _is_history(names: set[str]) -> bool:
    """Whether some column counts epochs or is a loss term, and no others look like an edge list."""
    terms = any(
        words(name) & {"epoch", "loss", "cost", "reconstruction", "recon", "kl", "kld", "elbo", "bce"} for name in names
    )
    return terms and not names & {"source", "target"}


def _refuse(path: Path, kind: str, *options: object) -> None:
    if any(option is not None for option in options):
        raise OptionError(
            f"{path} is {kind}. --prevalence and --num-candidates belong to a table of scores, "
            "--features and --nodes to an edge list."
        )
