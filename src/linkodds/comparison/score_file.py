"""Score files: pairs that somebody's program has scored, held against the edges of a graph: what can be said of them.

What can be said depends on which pairs the file scores. All candidates: everything that is said of a model. A uniform
sample of the non-edges beside the held-out edges: the same but for what looks at whole rows, less precisely. A list of
the best: precision and recall at its lengths, and nothing of ROC AUC, average precision or calibration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from linkodds.config import FitConfig
from linkodds.doctor import conclude, diagnose_values
from linkodds.errors import DataError, MalformedFile, OptionError, UnknownNode
from linkodds.evaluation.evaluation import BaselineResult, Evaluation
from linkodds.evaluation.measure import evaluate
from linkodds.findings import Finding
from linkodds.fitting.fit import Say
from linkodds.fitting.pipeline import fit_graph
from linkodds.graph.graph import Graph
from linkodds.graph.split import Split
from linkodds.metrics.held_out import HeldOut
from linkodds.metrics.intervals import wilson
from linkodds.metrics.metrics import average_precision, precision_at, roc_auc
from linkodds.metrics.non_edges import NonEdges, degrees_of, draw_non_edges
from linkodds.models.autoencoders.custom_scorer import CustomScorer, as_given
from linkodds.models.families import baseline_families
from linkodds.models.families.own_models import SCORER
from linkodds.pairs import KnownPairs, Pairs
from linkodds.probability.calibration import fit_calibrator
from linkodds.probability.decision import STANDARD_RULES, decide, parse_rule
from linkodds.reading.delimited import read_table
from linkodds.reading.reading import read_pairs
from linkodds.runs.record import Run
from linkodds.runs.run_directory import PartialRun
from linkodds.scorers.function_scoring import Values
from linkodds.scorers.scoring import Scorer

Scored = Literal["all", "uniform", "top"]
COLUMNS: tuple[Values, ...] = ("probability", "logit", "score")
FORMAT = "linkodds.list-evaluation/1"
_LEAST_Z = 5.0
"""Standard errors from which a sample of non-edges is not believed to be uniform."""
_LEAST = 1e-15
FEWEST = 4
"""Held-out edges without which nothing is calibrated and measured."""


@dataclass(frozen=True, eq=False)
class ScoreFile:
    """Scored pairs of a graph, each once.

    Args:
        name: of the file.
        graph: all recorded edges.
        pairs: shape (pairs, 2), canonical, sorted by key.
        values: shape (pairs,), as they are in the file.
        kind: what the values are.
        held_out: shape (pairs,), True for edges that the scorer is taken not to have known.
        missed: shape (edges, 2): held-out edges without a value.
        known: shape (edges, 2): all other edges, which the scorer is taken to have known.
    """

    name: str
    graph: Graph
    pairs: Pairs
    values: NDArray[np.float64]
    kind: Values
    held_out: NDArray[np.bool_]
    missed: Pairs
    known: Pairs

    @property
    def num_candidates(self) -> int:
        """Pairs that are no known edge."""
        return self.graph.space.num_pairs - len(self.known)

    @property
    def logits(self) -> NDArray[np.float64]:
        """Shape (pairs,): values, or the log odds of probabilities."""
        if self.kind != "probability":
            return self.values
        p = np.clip(self.values, _LEAST, 1 - _LEAST)
        return np.asarray(np.log(p) - np.log1p(-p))


def read_scores(path: Path, graph: Graph, held_out: Any = None) -> ScoreFile:
    """Read a table with columns source, target and one of probability, logit, score.

    Args:
        path: .csv, .tsv or .parquet.
        graph: all recorded edges; the file's ids are among its nodes.
        held_out: of them those that the scorer did not know, a file or pairs of ids; None: those that the file scores.
    Raises:
        MalformedFile: a missing column, a value that is no finite number, a pair with two values, or no pair of the graph.
        UnknownNode: an id that the graph does not have.
        DataError: held-out edges that are none, or nothing that says which edges the scorer knew.
        OptionError: a graph with times, weights or kinds of edges: nothing of a score file would look at them.
    """
    for what, option in ((graph.times, "time"), (graph.weights, "weight"), (graph.others, "relation")):
        if what is not None:
            raise OptionError(
                f"{path.name}: every edge of a score file counts the same, and --held-out says which are the later ones; read "
                f"the graph without {option}= (column {what.column!r})."
            )
    table = read_table(path, ids=("source", "target"))
    named = {name.lower(): position for position, name in enumerate(table.names)}
    kinds = [kind for kind in COLUMNS if kind in named]
    if "source" not in named or "target" not in named or not kinds:
        raise MalformedFile(
            f"{table.place} has the columns {', '.join(table.names)}; a file of scores needs source, target and one of "
            f"{', '.join(COLUMNS)}."
        )
    frame = table.load([named["source"], named["target"], named[kinds[0]]])
    source, target, given = frame.get_columns()
    values = given.cast(float, strict=False).fill_null(float("nan")).to_numpy()
    space, pairs = graph.space, _places(graph, source.to_list(), target.to_list(), table.place)
    pairs = space.canonical(pairs)
    wrong = ~np.isfinite(values) | ~space.is_admissible(pairs)
    if kinds[0] == "probability":
        wrong |= (values < 0) | (values > 1)
    if wrong.any():
        k = int(np.argmax(wrong))
        raise MalformedFile(
            f"{table.place}, row {k + 1}: {kinds[0]} {given[k]!r} of ({source[k]!r}, {target[k]!r}); each row needs a pair of "
            f"this graph and a number{', from 0 to 1' if kinds[0] == 'probability' else ''}. {int(wrong.sum())} such row(s)."
        )
    keys, first, place = np.unique(space.keys(pairs), return_index=True, return_inverse=True)
    twice = values != values[first][place]
    if twice.any():
        k = int(np.argmax(twice))
        raise MalformedFile(
            f"{table.place}, row {k + 1}: ({source[k]!r}, {target[k]!r}) has {values[k]:g} here and {values[first][place][k]:g} "
            "in another row; a pair has one value. Where edges have a direction pass --directed."
        )
    pairs, values = pairs[first], values[first]
    is_edge = np.isin(keys, space.keys(graph.edges))
    if held_out is None:
        if is_edge.sum() == graph.num_edges:
            raise DataError(
                f"{path.name} scores all {graph.num_edges:,} edges, so nobody can tell which of them the scorer knew. Name those "
                "that it did not know: --held-out FILE."
            )
        return ScoreFile(
            path.name,
            graph,
            pairs,
            values,
            kinds[0],
            is_edge,
            graph.edges[:0],
            graph.edges[~space.contains(pairs, graph.edges)],
        )
    source_ids, target_ids = read_pairs(held_out)
    which = f"--held-out {held_out}" if isinstance(held_out, str | Path) else "--held-out"
    hidden = np.unique(space.canonical(_places(graph, source_ids.tolist(), target_ids.tolist(), which)), axis=0)
    strange = ~space.contains(graph.edges, hidden)
    if strange.any():
        u, v = graph.ids[hidden[int(np.argmax(strange))]]
        raise DataError(
            f"--held-out: ({u!r}, {v!r}) is no edge of --edges, which has all of them, held-out ones too "
            f"({int(strange.sum())} such)."
        )
    known = graph.edges[~space.contains(hidden, graph.edges)]
    is_hidden = space.contains(hidden, pairs)
    kept = is_hidden | ~is_edge  # the values of edges that it knew say nothing
    missed = hidden[~space.contains(pairs, hidden)]
    return ScoreFile(path.name, graph, pairs[kept], values[kept], kinds[0], is_hidden[kept], missed, known)


def _places(graph: Graph, source: list[str], target: list[str], place: str) -> NDArray[np.int64]:
    """Node numbers of pairs of ids, shape (pairs, 2)."""
    names = [*source, *target]
    found = graph.index_of(names, missing=-1)
    if (found < 0).any():
        k = int(np.argmax(found < 0))
        raise UnknownNode(
            f"{place}, row {k % len(source) + 1}: {names[k]!r} is no node of --edges, which have {graph.num_nodes:,}, the first "
            f"{graph.ids[0]!r}. {int((found < 0).sum()):,} such id(s)."
        )
    return np.column_stack(np.split(found, 2))


def what_is_scored(file: ScoreFile, said: Scored | None) -> Scored:
    """Which pairs the file scores: all candidates, which can be seen, or what was said, as far as it can be checked.

    Raises:
        OptionError: not all are scored, and nothing else was said; or what was said cannot be.
    """
    of = f"{len(file.pairs):,} of the {file.num_candidates:,} candidates"
    if len(file.pairs) == file.num_candidates:
        return "all"
    if said == "all":
        raise OptionError(f"--scored all: {file.name} scores {of}. Score the others too, or say uniform or top.")
    if said is None:
        raise OptionError(
            f"{file.name} scores {of}, and which these are decides what can be said. Say --scored uniform (all held-out edges, "
            "and non-edges drawn uniformly), or --scored top (the best by its scores)."
        )
    if said == "uniform" and len(file.missed):
        raise OptionError(
            f"--scored uniform: {len(file.missed):,} held-out edges have no score. Score them all: those that a scorer finds "
            "hard would be missing from every figure."
        )
    if said == "uniform":
        _refuse_another_sample(file)
    return said


def evaluate_file(
    file: ScoreFile, config: FitConfig, *, partial: PartialRun | None = None, progress: Say | None = None
) -> Run:
    """A run of a file that scores all candidates: what a user's function gets, from a table of its values.

    Of the held-out edges a third calibrates and decides, and all others but one are the test edges.

    Args:
        file: of all candidates.
        config: seed, decision, calibrator.
        partial: where to save; None keeps it in memory.
        progress: called with one line a stage.
    """
    keys, values = file.graph.space.keys(file.pairs), file.values
    lowest = float(values.min())

    def looked_up(pairs: Pairs) -> NDArray[np.float64]:
        asked = file.graph.space.keys(file.graph.space.canonical(pairs))
        at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        return np.where(keys[at] == asked, values[at], lowest)  # known edges, which no figure is about

    own = CustomScorer(looked_up, values=file.kind, name=file.name)
    given = config.model_copy(update={"model": SCORER.name})
    return fit_graph(file.graph, given, own=own, split=_split(file, config.seed), partial=partial, progress=progress)


def evaluate_sample(file: ScoreFile, config: FitConfig) -> Evaluation:
    """The evaluation of held-out edges against a uniform sample of non-edges; without ranks in whole rows.

    Args:
        file: of all held-out edges and a uniform sample of the non-edges.
        config: seed, decision, calibrator.
    Raises:
        DataError: no non-edge.
    """
    split = _split(file, config.seed)
    known = split.not_judged()
    is_judged = ~file.held_out & ~known.touches_nodes(file.pairs)
    non_edges = file.pairs[is_judged]
    if not len(non_edges):
        raise DataError(f"{file.name} scores no non-edge, so there is nothing to rank the edges against.")
    logits, of_non_edges = file.logits, file.logits[is_judged]

    def held_out(part: Pairs, thresholds: Sequence[float] = ()) -> HeldOut:
        at = np.searchsorted(file.graph.space.keys(file.pairs), file.graph.space.keys(part))
        return HeldOut.from_logits(logits[at], of_non_edges, known.num_absent, thresholds=tuple(thresholds))

    calibration = held_out(split.calibration)
    prevalence = len(split.test) / (len(split.test) + known.num_absent)
    calibrator = fit_calibrator([calibration], prevalence=prevalence, odds_trained_at=None, choice=config.calibrator)
    rules = {str(rule): rule for rule in (*STANDARD_RULES, parse_rule(config.decision))}
    decisions = [decide(rule, (calibration,), calibrator, num_test_edges=len(split.test)) for rule in rules.values()]
    test = held_out(split.test, [each.threshold_logit for each in decisions if each.threshold_logit is not None])
    sample = NonEdges(known, non_edges)
    counted = {}
    for name, scorer in _counts(split).items():
        measured = HeldOut.from_scorer(scorer, split.test, sample)
        counted[name] = BaselineResult(roc_auc(measured), average_precision(measured))
    labels = np.repeat([True, False], [len(split.test), len(non_edges)])
    at = np.searchsorted(file.graph.space.keys(file.pairs), file.graph.space.keys(split.test))
    values = np.concatenate([file.values[at], file.values[is_judged]])
    weights = np.where(labels, 1.0, known.num_absent / len(non_edges))
    seen = diagnose_values(labels, values, file.kind, weights)
    return evaluate(
        test,
        calibrator,
        decisions,
        reciprocal_ranks=None,
        split=split,
        model={"name": file.name, "num_parameters": 0, "epochs": 0, "folds": 1, "degree_term": None},
        baselines=counted,
        findings=conclude([*assumed(file, "uniform"), *as_given(file.name, seen)]),
        audit=[],
        rng=np.random.default_rng(config.seed),
    )


def _counts(split: Split) -> dict[str, Scorer]:
    """Cheap baselines on the train edges of a split."""
    cheap = [each for each in baseline_families() if not (each.is_costly or each.needs_features)]
    return {each.name: each.unfitted_scorer(split, None, np.zeros(0, dtype=object)) for each in cheap}


def evaluate_list(file: ScoreFile) -> dict[str, Any]:
    """Precision and recall of a list of the best pairs at its lengths, and of baselines; what cannot be said, and why.

    Where values tie at a length, the edges among the tied count in proportion.

    Args:
        file: of the best of all candidates.
    """
    order = np.argsort(-file.logits, kind="stable")
    logits, is_edge = file.logits[order], file.held_out[order]
    num_edges = int(file.held_out.sum()) + len(file.missed)
    num_rows, prevalence = len(logits), num_edges / file.num_candidates
    split = Split(file.known, *(file.graph.edges[:0],) * 2, _all_held_out(file), file.graph.space)
    counts = {
        name: HeldOut.from_scorer(scorer, split.test, NonEdges(split.recorded()))
        for name, scorer in _counts(split).items()
    }
    rows = []
    for k in sorted({each for each in (10, 20, 50, 100, 200, 500, 1000, 10_000) if each < num_rows} | {num_rows}):
        at = logits[k - 1]
        above, tied = logits > at, logits == at
        found = float(is_edge[above].sum() + is_edge[tied].mean() * (k - above.sum()))
        low, high = wilson(found, k)
        rows.append(
            {
                "k": k,
                "num_true": found,
                "precision": {"value": found / k, "low": float(low), "high": float(high), "kind": "S"},
                "recall": found / num_edges,
                "lift": found / k / prevalence,
                "baselines": {name: precision_at(each, k) for name, each in counts.items()},
            }
        )
    only_best = "the pairs that are not on the list have no score"
    return {
        "format": FORMAT,
        "scores": file.name,
        "graph": {"num_nodes": file.graph.num_nodes, "num_edges": file.graph.num_edges},
        "candidates": {"num_pairs": file.num_candidates, "num_edges": num_edges, "prevalence": prevalence},
        "at": rows,
        "not_said": dict.fromkeys(
            ("roc_auc", "average_precision", "mrr", "log_loss", "calibration", "probabilities", "decisions"), only_best
        ),
        "findings": [each.to_json() for each in assumed(file, "top")],
    }


def assumed(file: ScoreFile, scored: Scored) -> list[Finding]:
    """What the figures rest on and nobody can see in the file."""
    num_edges = int(file.held_out.sum()) + len(file.missed)
    message = (
        f"Assumed, and not checked: {file.name} was made without the {num_edges:,} held-out edges; the {len(file.known):,} other "
        "edges are those that it knew. A scorer that has seen them cannot be told from a good one by its values."
    )
    found = [Finding("own-scorer", "warning", message, "Name the held-out edges with --held-out.", float(num_edges))]
    further = {
        "uniform": "the non-edges in the file were drawn uniformly from all of them (their degrees do not speak against it)",
        "top": "no pair that is not in the file would have had a higher value than one that is",
    }
    if scored in further:
        found.append(Finding("own-scorer", "info", f"Assumed: {further[scored]}.", "Score all candidates.", None))
    return found


def _split(file: ScoreFile, seed: int) -> Split:
    nothing = file.graph.edges[:0]
    whole = Split(file.known, nothing, nothing, file.pairs[file.held_out], file.graph.space)
    if len(whole.test) >= FEWEST:
        whole = whole.sparing_cut_off(may_train=False)
    edges = np.random.default_rng([seed, 9]).permutation(whole.test)
    if len(edges) < FEWEST:
        raise DataError(f"{file.name} scores {len(edges)} held-out edge(s); it takes four to calibrate and to measure.")
    third = max(1, len(edges) // 3)
    return replace(whole, validation=edges[:1], calibration=edges[1 : 1 + third], test=edges[1 + third :])


def _all_held_out(file: ScoreFile) -> Pairs:
    return np.concatenate([file.pairs[file.held_out], file.missed])


def _refuse_another_sample(file: ScoreFile) -> None:
    """Degrees of uniform non-edges are those of all non-edges: a sample of neighbours, or by degree, is told by them."""
    non_edges = file.pairs[~file.held_out]
    recorded = KnownPairs(file.graph.space, file.graph.edges)
    count = min(100_000, recorded.num_absent)
    drawn = draw_non_edges(recorded, count, np.random.default_rng(0)).sample
    source, target = degrees_of(file.known, file.graph.space)

    def products(pairs: Pairs) -> NDArray[np.float64]:
        return np.log(source[pairs[:, 0]].astype(np.float64)) + np.log(target[pairs[:, 1]].astype(np.float64))

    assert drawn is not None
    expected, found = products(drawn), products(non_edges)
    error = float(expected.std()) * np.sqrt(1 / max(len(found), 1) + 1 / count)
    z = float(found.mean() - expected.mean()) / error if len(found) and error > 0 else 0.0
    if abs(z) > _LEAST_Z:
        raise OptionError(
            f"--scored uniform: the {len(found):,} non-edges in {file.name} are no uniform sample: their mean log degree product "
            f"is {found.mean():.3f}, that of all non-edges {expected.mean():.3f}, {abs(z):.0f} standard errors away. Draw them "
            "uniformly from all pairs without an edge, or score all."
        )


def texts(result: Mapping[str, Any]) -> list[str]:
    """The lines of `evaluate_list` for a terminal."""
    lines = [
        f"a list of the best {result['at'][-1]['k']:,} of {result['candidates']['num_pairs']:,} candidates, "
        f"{result['candidates']['num_edges']:,} of which are held-out edges:"
    ]
    for row in result["at"]:
        best = max(row["baselines"].items(), key=lambda each: each[1])
        lines.append(
            f"  first {row['k']:,}: precision {row['precision']['value']:.3g} ({row['precision']['low']:.3g} to "
            f"{row['precision']['high']:.3g}), recall {row['recall']:.3g}, {row['lift']:.3g} times chance; best baseline "
            f"{best[0]} {best[1]:.3g}"
        )
    return [*lines, f"not said: {', '.join(result['not_said'])}, for {result['not_said']['roc_auc']}."]
