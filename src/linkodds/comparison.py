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
from linkodds.config import AUTOENCODERS, BASELINES, ON_HIDDEN_EDGES, FitConfig
from linkodds.errors import BrokenRun, OptionError, RunExists
from linkodds.evaluation import Evaluation
from linkodds.fit import OnStart, Say
from linkodds.graph import Graph
from linkodds.history import Epoch
from linkodds.pipeline import evaluate_models
from linkodds.repeats import Repeated, differences, repeated

FORMAT = "linkodds.comparison/1"
METRICS = (
    *("average_precision", "average_precision_lift", "r_precision", "precision_at_100", "roc_auc"),
    *("log_loss_skill", "calibration_slope", "observed_over_expected"),
)
INTERVAL = (
    "corrected resampled t interval (Nadeau and Bengio, 2003), approximate: mean +- t s sqrt(1 / splits + test / train)"
)
RESULT, _SETTINGS, _SPLITS = "comparison.json", "settings.json", "splits"


@dataclass(frozen=True)
class Plan:
    """What is compared, and how often.

    Args:
        models: names, the first is what the others are compared with; baselines take part anyway.
        splits: how many, with the seeds `config.seed` and following.
        config: all options of the fits but `model`.
    Raises:
        OptionError: no model, one that is none or is named twice, or fewer than two splits.
    """

    models: tuple[str, ...]
    splits: int
    config: FitConfig

    def __post_init__(self) -> None:
        known = ("auto", *AUTOENCODERS, *ON_HIDDEN_EDGES, *BASELINES)
        unknown = [name for name in self.models if name not in known]
        if unknown or not self.models:
            named = repr(unknown[0]) if unknown else "none"
            raise OptionError(f"--models takes names with commas between, not {named}; there are {', '.join(known)}.")
        if len(set(self.models)) < len(self.models):
            raise OptionError(f"--models names a model twice: {', '.join(self.models)}.")
        if self.splits < 2:
            raise OptionError(f"--splits takes 2 or more, for one split shows no spread, not {self.splits}.")

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
        OptionError: DIR.partial is of another comparison.
    """
    say = progress or (lambda _: None)
    partial = _prepared(out, _settings(graph, plan), force=force, resume=resume)
    measured = []
    for number, seed in enumerate(plan.seeds):
        path = partial / _SPLITS / f"{number}.json"
        if path.is_file():
            say(f"split {number + 1} of {plan.splits} is done already")
        else:
            say(f"split {number + 1} of {plan.splits}, seed {seed}")
            config = plan.config.model_copy(update={"seed": seed})
            found = evaluate_models(graph, plan.models, config, progress=progress, on_start=on_start, on_epoch=on_epoch)
            _write(path, split_to_json(found, seed))
        measured.append(_read(path))
    comparison = compared(plan, measured, {"num_nodes": graph.num_nodes, "num_edges": graph.num_edges})
    _write(partial / RESULT, comparison)
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
    test_share = float(first["split"]["test"]) / float(first["split"]["train"])
    counted = [name for name in BASELINES if all(name in split["models"] for split in splits)]
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
        found: dict[str, Repeated] = {
            metric: repeated(values(name, metric), test_share=test_share, reason=reason(name, metric))
            for metric in METRICS
        }
        row = {"name": name, "is_baseline": name in BASELINES}
        if name == "auto":
            row["chosen"] = [split["models"][name].get("chosen") for split in splits]
        return {**row, "metrics": {metric: each.to_json() for metric, each in found.items()}}

    def validation_ap(name: str) -> float:
        known = [split["models"][name].get("validation_average_precision") for split in splits]
        return -np.inf if None in known else float(np.mean(known))

    best_baseline = max(counted, key=validation_ap)
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
                for metric in METRICS
            }
            gaps.append({"model": name, "against": against, "role": role, "metrics": found})
    return {
        "format": FORMAT,
        "version": __version__,
        "protocol": {
            "name": "random splits, the same for every model",
            "splits": plan.splits,
            "seeds": plan.seeds,
            "message_graphs": [split["message_graph"] for split in splits],
            "num_train": first["split"]["train"],
            "num_test": first["split"]["test"],
            "interval": INTERVAL,
        },
        "options": plan.config.model_dump(mode="json", exclude={"model", "seed"}),
        "graph": {**first["graph"], **graph},
        "candidates": first["candidates"],
        "best_baseline": {"name": best_baseline, "chosen_by": "mean validation average precision"},
        "models": [over_splits(name) for name in names],
        "differences": gaps,
    }


def _settings(graph: Graph, plan: Plan) -> dict[str, Any]:
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
        "options": plan.config.model_dump(mode="json", exclude={"model"}),
        "graph": digest.hexdigest(),
    }


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
