"""Comparison: several models and all baselines on the same splits, with intervals over splits and paired differences."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linkodds import __version__
from linkodds.comparison.comparison_figure import draw_comparison, metric_title
from linkodds.comparison.protocols import NAMES, PROTOCOLS, ProtocolSplit, deal, read_heart
from linkodds.comparison.repeats import MetricOverSplits, differences, repeated
from linkodds.comparison.trials import ProtocolResult, baselines_for, try_models
from linkodds.config import FitConfig
from linkodds.errors import BrokenRun, LinkoddsError, OptionError, RunExists
from linkodds.evaluation.evaluation import Evaluation
from linkodds.fitting.fit import Say
from linkodds.fitting.pipeline import evaluate_models
from linkodds.graph.graph import Graph
from linkodds.graph.split import PARTS
from linkodds.models.families import AUTO, baseline_families, families, is_baseline
from linkodds.models.families.task import OnStart
from linkodds.models.training.history import Epoch

FORMAT = "linkodds.comparison/1"
METRICS = (
    *("average_precision", "average_precision_lift", "r_precision", "precision_at_100", "roc_auc"),
    *("log_loss_skill", "calibration_slope", "observed_over_expected"),
)
INTERVAL = (
    "corrected resampled t interval (Nadeau and Bengio, 2003), approximate: mean +- t s sqrt(1 / splits + test / train)"
)
OF_TRAINING = (
    "t interval over trainings on one fixed split, which says nothing of other splits: mean +- t s sqrt(1 / splits)"
)
BASE_RATE = "base-rate"
RESULT, FIGURE, _SETTINGS, _SPLITS = "comparison.json", "comparison.svg", "settings.json", "splits"


@dataclass(frozen=True)
class Plan:
    """What is compared, and how often.

    Args:
        models: names, the first is what the others are compared with; baselines take part anyway.
        splits: how many, with the seeds `config.seed` and following.
        config: all options of the fits but `model`.
        protocol: base-rate, or that of a paper (`linkodds.comparison.protocols`).
        protocol_files: the folder of a protocol's fixed edges.
    Raises:
        OptionError: no model, one that is none or is named twice, fewer than two splits, a protocol that is none or lacks
            its files, or an option that a protocol has no use for.
    """

    models: tuple[str, ...]
    splits: int
    config: FitConfig
    protocol: str = BASE_RATE
    protocol_files: Path | None = None

    def __post_init__(self) -> None:
        known = (AUTO, *(each.name for each in families() if each.is_in_comparisons))
        unknown = [name for name in self.models if name not in known]
        if unknown or not self.models:
            named = repr(unknown[0]) if unknown else "none"
            raise OptionError(f"--models takes names with commas between, not {named}; there are {', '.join(known)}.")
        if len(set(self.models)) < len(self.models):
            raise OptionError(f"--models names a model twice: {', '.join(self.models)}.")
        if self.splits < 2:
            raise OptionError(f"--splits takes 2 or more, for one split shows no spread, not {self.splits}.")
        if self.protocol not in (BASE_RATE, *NAMES):
            raise OptionError(f"--protocol takes {BASE_RATE}, {', '.join(NAMES)}, not {self.protocol!r}.")
        is_fixed = self.protocol != BASE_RATE and PROTOCOLS[self.protocol].is_fixed
        if is_fixed and self.protocol_files is None:
            raise OptionError(
                f"--protocol {self.protocol}: its edges are fixed; give the folder that holds them with --protocol-files."
            )
        if not is_fixed and self.protocol_files is not None:
            raise OptionError(f"--protocol-files: {self.protocol} deals its splits itself; leave the folder out.")
        if self.protocol != BASE_RATE:
            usual = FitConfig()
            for option in ("split", "folds", "calibrator", "decision"):
                if getattr(self.config, option) != getattr(usual, option) and getattr(self.config, option) != 1:
                    raise OptionError(
                        f"--{option}: --protocol {self.protocol} has shares of its own, one model and no calibration; "
                        "leave it out."
                    )

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is compared, the first of them first."""
        return (
            METRICS
            if self.protocol == BASE_RATE
            else (*PROTOCOLS[self.protocol].metrics, "base_rate_average_precision")
        )

    @property
    def seeds(self) -> list[int]:
        """One a split."""
        return [self.config.seed + number for number in range(self.splits)]


def compare_models(
    graph: Graph,
    plan: Plan,
    out: Path,
    *,
    force: bool = False,
    resume: bool = False,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> dict[str, Any]:
    """Fit and measure every model and baseline on every split, and write DIR/comparison.json.

    The splits that are done lie in DIR.partial; an interrupted comparison leaves it, and goes on with `resume`.

    Args:
        graph: to compare on.
        plan: models, splits and options.
        out: DIR, renamed from DIR.partial when complete.
        force: replace DIR, if it is a comparison.
        resume: go on with DIR.partial.
        progress: called with one line a stage.
        on_start: called as each training starts.
        on_epoch: called after every epoch.
    Returns:
        What comparison.json holds.
    Raises:
        RunExists: DIR is there and `force` is False, or it or DIR.partial is something else than a comparison.
        OptionError: DIR.partial is of another comparison, or the graph has times: a comparison is over random splits.
    """
    if graph.weights is not None or graph.others is not None:
        raise OptionError(
            "a comparison counts every edge the same. Read the graph without weight=, or fit each model on it."
        )
    if graph.times is not None:
        raise OptionError(
            f"a comparison is over random splits, and edges with times (column {graph.times.column!r}) have one split. Read "
            "the graph without time=, or fit each model on it."
        )
    say = progress or (lambda _: None)
    fixed = None if plan.protocol_files is None else read_heart(graph, plan.protocol_files)
    partial = _prepared(out, _settings(graph, plan, fixed), force=force, resume=resume)
    measured = []
    try:
        for number, seed in enumerate(plan.seeds):
            path = partial / _SPLITS / f"{number}.json"
            if path.is_file():
                say(f"split {number + 1} of {plan.splits} is done already")
            else:
                say(f"split {number + 1} of {plan.splits}, seed {seed}")
                _write(path, _of_split(graph, plan, fixed, seed, progress, on_start, on_epoch))
            measured.append(_read(path))
    except LinkoddsError:
        if not any((partial / _SPLITS).iterdir()):  # refused before any split was done: nothing to go on with
            shutil.rmtree(partial)
        raise
    comparison = compared(plan, measured, {"num_nodes": graph.num_nodes, "num_edges": graph.num_edges})
    _write(partial / RESULT, comparison)
    (partial / FIGURE).write_text(draw_comparison(comparison), encoding="utf-8")
    old = out.with_name(out.name + ".replaced")
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return comparison


def split_to_json(found: Mapping[str, Evaluation | str], seed: int) -> dict[str, Any]:
    """The figures of one split that a comparison needs.

    Args:
        found: from `evaluate_models`.
        seed: of the split.
    """
    any_found = next(each for each in found.values() if isinstance(each, Evaluation))
    models: dict[str, dict[str, Any]] = {}
    for name, each in found.items():
        if isinstance(each, str):
            models[name] = {"reason": each}
            continue
        models[name] = {
            "chosen": " + ".join(each.model.get("members") or [each.model["name"]]),
            "validation_average_precision": each.model["validation_average_precision"],
            "metrics": {key: each.metrics[key].value for key in METRICS},
            "reasons": {key: each.metrics[key].reason for key in METRICS if each.metrics[key].value is None},
        }
    return {
        "seed": seed,
        "message_graph": any_found.message_graph,
        "split": dict(any_found.split),
        "graph": dict(any_found.graph),
        "candidates": dict(any_found.candidates),
        "models": models,
    }


def trial_to_json(trial: ProtocolSplit, tried: Mapping[str, ProtocolResult], seed: int) -> dict[str, Any]:
    """The figures of one split under a protocol, as `split_to_json` has those at the base rate.

    Args:
        trial: the split with the protocol's non-edges.
        tried: from `try_models`.
        seed: of the split, or of the training where the split is fixed.
    """
    split, space = trial.split, trial.split.space
    sizes = {part: len(getattr(split, part)) for part in PARTS}
    num_non_edges = int(trial.test_non_edges.size) // 2
    primary = trial.protocol.metrics[0]
    models = {}
    for name, each in tried.items():
        metrics = {**each.test, "base_rate_average_precision": each.base_rate_average_precision}
        models[name] = {
            "chosen": each.chosen,
            "validation_average_precision": each.validation_average_precision,
            "validation": each.validation[primary],
            "metrics": metrics,
            "reasons": {key: trial.reasons.get(key) for key, value in metrics.items() if value is None},
        }
    return {
        "seed": seed,
        "message_graph": split.message_graph_hash(),
        "split": sizes,
        "graph": {
            "num_nodes": space.num_nodes,
            "num_edges": sum(sizes.values()),
            "num_pairs": space.num_pairs,
            "directed": space.directed,
            "bipartite": space.bipartite,
        },
        "candidates": {
            "num_pairs": sizes["test"] + num_non_edges,
            "num_edges": sizes["test"],
            "prevalence": sizes["test"] / (sizes["test"] + num_non_edges),
            "design": f"as {trial.protocol.name} has it",
        },
        "models": models,
    }


def compared(plan: Plan, splits: Sequence[Mapping[str, Any]], graph: Mapping[str, Any]) -> dict[str, Any]:
    """comparison.json from what each split gave.

    Differences are paired, against the first model and against the baseline with the best mean validation average
    precision: one chosen on the test edges would be flattered.

    Args:
        plan: models, splits and options.
        splits: each as `split_to_json` gives it.
        graph: what to say of the graph beside what the splits hold.
    """
    first = splits[0]
    paper = None if plan.protocol == BASE_RATE else PROTOCOLS[plan.protocol]
    is_fixed = paper is not None and paper.is_fixed
    test_share = 0.0 if is_fixed else float(first["split"]["test"]) / float(first["split"]["train"])
    judged = "validation_average_precision" if paper is None else "validation"
    counted = [each.name for each in baseline_families() if all(each.name in split["models"] for split in splits)]
    names = [*plan.models, *(name for name in counted if name not in plan.models)]

    def values(name: str, metric: str) -> list[float | None]:
        return [split["models"][name].get("metrics", {}).get(metric) for split in splits]

    def reason(name: str, metric: str) -> str | None:
        for split in splits:
            model = split["models"][name]
            said = model.get("reason") or model.get("reasons", {}).get(metric)
            if said:
                return str(said)
        return None

    def over_splits(name: str) -> dict[str, Any]:
        found: dict[str, MetricOverSplits] = {
            metric: repeated(values(name, metric), test_share=test_share, reason=reason(name, metric))
            for metric in plan.metrics
        }
        row = {"name": name, "is_baseline": is_baseline(name)}
        if name == AUTO:
            row["chosen"] = [split["models"][name].get("chosen") for split in splits]
        return {**row, "metrics": {metric: each.to_json() for metric, each in found.items()}}

    def on_validation(name: str) -> float:
        known = [split["models"][name].get(judged) for split in splits]
        return -np.inf if None in known else float(np.mean(known))

    chosen_by = metric_title("average_precision" if paper is None else plan.metrics[0])
    best_baseline = max(counted, key=on_validation)
    gaps = []
    for role, against in (("best baseline", best_baseline), ("first model", plan.models[0])):
        for name in names:
            if name == against or (role == "first model" and against == best_baseline):
                continue
            found = {
                metric: differences(
                    values(name, metric),
                    values(against, metric),
                    test_share=test_share,
                    reason=reason(name, metric) or reason(against, metric),
                ).to_json()
                for metric in plan.metrics
            }
            gaps.append({"model": name, "against": against, "role": role, "metrics": found})
    return {
        "format": FORMAT,
        "version": __version__,
        "protocol": {
            "name": "random splits, the same for every model" if not is_fixed else "trainings on one fixed split",
            "key": plan.protocol,
            "metrics": list(plan.metrics),
            **({} if paper is None else {"title": paper.title, "differs": paper.differs}),
            "splits": plan.splits,
            "seeds": plan.seeds,
            "message_graphs": [split["message_graph"] for split in splits],
            "num_train": first["split"]["train"],
            "num_test": first["split"]["test"],
            "interval": OF_TRAINING if is_fixed else INTERVAL,
        },
        "options": plan.config.model_dump(mode="json", exclude={"model", "seed"}),
        "graph": {**first["graph"], **graph},
        "candidates": first["candidates"],
        "best_baseline": {"name": best_baseline, "chosen_by": f"mean validation {chosen_by}"},
        "models": [over_splits(name) for name in names],
        "differences": gaps,
    }


def _settings(graph: Graph, plan: Plan, fixed: ProtocolSplit | None) -> dict[str, Any]:
    """What has to be the same for a comparison to be gone on with."""
    digest = hashlib.sha256(json.dumps(graph.ids.tolist()).encode())
    digest.update(np.ascontiguousarray(graph.edges).tobytes())
    if graph.features is not None:
        digest.update(np.asarray(graph.features.matrix.sum(axis=0), dtype=np.float64).tobytes())
    return {
        "format": FORMAT,
        "version": __version__,
        "models": list(plan.models),
        "splits": plan.splits,
        "protocol": plan.protocol,
        "files": None if fixed is None else hashlib.sha256(fixed.test_non_edges.tobytes()).hexdigest(),
        "options": plan.config.model_dump(mode="json", exclude={"model"}),
        "graph": digest.hexdigest(),
    }


def _of_split(
    graph: Graph,
    plan: Plan,
    fixed: ProtocolSplit | None,
    seed: int,
    progress: Say | None,
    on_start: OnStart | None,
    on_epoch: Callable[[Epoch], None] | None,
) -> dict[str, Any]:
    """Every model and baseline on the split of a seed, as its file holds it."""
    config = plan.config.model_copy(update={"seed": seed})
    if plan.protocol == BASE_RATE:
        found = evaluate_models(graph, plan.models, config, progress=progress, on_start=on_start, on_epoch=on_epoch)
        return split_to_json(found, seed)
    trial = fixed or deal(graph, PROTOCOLS[plan.protocol], np.random.SeedSequence(seed))
    names = list(dict.fromkeys([*plan.models, *baselines_for(graph)]))
    tried = try_models(graph, trial, names, config, progress=progress, on_start=on_start, on_epoch=on_epoch)
    return trial_to_json(trial, tried, seed)


def _prepared(out: Path, settings: Mapping[str, Any], *, force: bool, resume: bool) -> Path:
    """DIR.partial with its settings and what it holds of splits."""
    if out.exists() or out.is_symlink():
        if not force:
            raise RunExists(f"{out} exists; choose another --out, or give --force to replace it.")
        if not (out / RESULT).is_file():
            raise RunExists(f"{out} is no comparison, so --force does not replace it; choose another --out.")
    partial = out.with_name(out.name + ".partial")
    if partial.exists():
        if not (partial / _SETTINGS).is_file():
            raise RunExists(f"{partial} is not what an interrupted comparison left; move it, or choose another --out.")
        if not resume:
            shutil.rmtree(partial)
        else:
            then = _read(partial / _SETTINGS)
            differing = [name for name in settings if then.get(name) != settings[name]]
            if differing:
                raise OptionError(
                    f"--resume: {partial} was begun with other {' and '.join(differing)}. Give those, or leave --resume out "
                    "to start anew."
                )
    (partial / _SPLITS).mkdir(parents=True, exist_ok=True)
    _write(partial / _SETTINGS, settings)
    return partial


def _write(path: Path, content: Mapping[str, Any]) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    new.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenRun(
            f"{path}: unreadable ({type(error).__name__}). Delete it to measure this split again."
        ) from error
    if not isinstance(content, dict):
        raise BrokenRun(f"{path}: not as linkodds writes it. Delete it to measure this split again.")
    return content
