"""Running: a sharded fit from edge lists to an ordinary run directory."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from linkodds.config import FitConfig
from linkodds.errors import DataError, OptionError
from linkodds.fitting.fit import Say
from linkodds.fitting.pipeline import fit_graph
from linkodds.fitting.resuming import find_interrupted
from linkodds.graph.assembling import dropped_findings
from linkodds.graph.graph import Graph
from linkodds.models.families import AUTO, families, family_of
from linkodds.models.families.fitted_model import Trainer
from linkodds.models.families.task import OnStart
from linkodds.models.training.history import Costs, Epoch
from linkodds.pairs import PairSpace
from linkodds.reading.database_urls import Database
from linkodds.reading.reading_options import ReadingOptions
from linkodds.runs.record import Run
from linkodds.runs.run_directory import PartialRun
from linkodds.sharded.engine import LocalEngine
from linkodds.sharded.prepare import Preparation, PreparedStore, prepare
from linkodds.sharded.ray_engine import ENGINES, started
from linkodds.sharded.ray_training import RayTrainer
from linkodds.sharded.rows import FULL
from linkodds.sharded.scoring import PREFIX, StoredTallies
from linkodds.sharded.sizes import Blocks, held, parse_memory
from linkodds.sharded.store import Store
from linkodds.sharded.torchrun import TorchCrew, is_restarted, is_started_by_torchrun
from linkodds.sharded.training import DecoupledTrainer, OnlyTrained
from linkodds.sharded.worker_group import LocalCrew

FOR_AUTO = "refined-gae"
"""What auto is here: there is no memory to try several."""
DEFAULT_MEMORY = "4GB"
WIDTH, HOPS = 128, 3
"""Columns of the random table, and K. With 64 columns wordnet30_large lost a third of its average precision."""


def fit_sharded(
    edges: Path | Database,
    out: Path,
    config: FitConfig,
    *,
    reading: ReadingOptions = ReadingOptions(),
    memory: str | None = None,
    engine: str | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Say | None = None,
    on_start: OnStart | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Run | None:
    """A fit whose preparation goes through files in RUN.shards, which is deleted when RUN is complete.

    A fit that was interrupted goes on with the shard that is missing when the same command runs again; with `resume` its
    training goes on from the last checkpoint as well.

    Args:
        edges: an edge list, a folder of them, or a pattern; no database.
        out: RUN.
        config: all options of the fit.
        reading: how to read the files.
        memory: what the process may hold while it prepares, such as 4GB; what it takes later is said where it is more.
        engine: local, or ray; None is local.
        force: replace an existing run.
        resume: go on with what an interrupted fit left in RUN.partial.
        progress: called with one line a stage.
        on_start: see `fit_run`.
        on_epoch: see `fit_run`.
    Returns:
        The run; None in all processes of a torchrun but the first, which only train.
    Raises:
        OptionError: options that sharded fits do not take.
        DataError: edge lists that cannot be used.
        RunError: shards or a run that cannot be written or trusted.
    """
    if isinstance(edges, Database):
        raise OptionError(
            "--engine and --memory take files, not a database: leave them out, or write the edges to Parquet files first."
        )
    name = engine or "local"
    if name not in ENGINES:
        raise OptionError(f"--engine takes {' or '.join(ENGINES)}, not {name!r}.")
    crew = TorchCrew.joined() if is_started_by_torchrun() else None
    is_first = crew is None or crew.is_first
    if (crew is not None or name == "ray") and config.time_budget is not None:
        raise OptionError("--time-budget: a clock of one process cannot end a training of several; leave it out.")
    if crew is not None:
        resume = resume or (is_restarted() and out.with_name(out.name + ".partial").exists())
    if not is_first:
        progress, on_start, on_epoch = None, None, None
    say = progress or (lambda _: None)
    left = find_interrupted(out) if resume else None
    partial = PartialRun(out, force=force, resume=left is not None) if is_first else None
    config = _taken(config, reading, say)
    workers = config.threads or LocalEngine.default_workers()
    blocks = Blocks(parse_memory(memory or DEFAULT_MEMORY), workers)
    folder = out.with_name(out.name + ".shards").absolute()  # other processes may work elsewhere
    costs = Costs()
    with started(name if is_first else "local", workers) as maker:
        if crew is not None and not is_first:
            crew.wait()  # then everything is there
        with costs.stage("preparing"), _removed_if_refused(folder):
            store, prepared = prepare(_preparation(edges, reading, config), folder, maker, blocks, say)
        if crew is not None and is_first:
            crew.wait()
        dim = family_of(config.model).options(config).dim
        if (needed := held(prepared.nodes, prepared.num_edges, dim)) > blocks.memory:
            say(f"--memory bounds the preparation; from here on edges, ids and embeddings take about {needed:,} bytes")
        with costs.stage("reading"):
            graph = _graph(prepared, config)
        followed = None if left is None or is_first else left.path / "checkpoints"
        trains = DecoupledTrainer(prepared, crew or LocalCrew(workers), blocks.working // 2, followed)
        trainer: Trainer = trains
        if crew is None and name == "ray":
            of_ray = RayTrainer.of(prepared, workers, blocks.working // 2, folder / "ray")
            trainer, trains = of_ray, of_ray.here
        try:
            run = fit_graph(
                graph,
                config,
                reading={"edges": str(edges), "engine": name} | reading.given(),
                partial=partial,
                resumed=left if is_first else None,
                costs=costs,
                progress=progress,
                on_start=on_start,
                on_epoch=on_epoch,
                runner=StoredTallies(store, maker, lambda _: None),
                trainer=trainer,
            )
        except OnlyTrained:
            return None
        finally:
            if crew is not None:
                crew.leave()
    _say_counts(trains.counts, store, say)
    shutil.rmtree(folder, ignore_errors=True)
    return run


@contextmanager
def _removed_if_refused(folder: Path) -> Iterator[None]:
    """Shards of input or options that are refused are of no use: a folder that was not there before goes with them."""
    is_new = not folder.exists()
    try:
        yield
    except (DataError, OptionError):
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def counted(store: Store) -> dict[str, dict[str, int]]:
    """Stage -> bytes read and written, operations and blocks, of all that the store's manifest names.

    All scoring is one stage, whose operations are pairs, and so are all hops of all message graphs.
    """
    result: dict[str, dict[str, int]] = {}
    for stage, total in store.totals().items():
        is_hop = stage.startswith((f"{FULL}-hop", "open-"))
        name = "score" if stage.startswith(PREFIX) else "hops" if is_hop else stage
        before = result.setdefault(name, dict.fromkeys(total, 0))
        result[name] = {key: before[key] + value for key, value in total.items()}
    return result


def _say_counts(took: dict[str, int], store: Store, say: Say) -> None:
    say(
        f"training: {took['read']:,} bytes read and {took['sent']:,} sent by the first process in {took['steps']:,} steps"
    )
    for stage, total in counted(store).items():
        say(
            f"{stage}: {total['read']:,} bytes read, {total['written']:,} written, {total['operations']:,} operations in "
            f"{total['blocks']:,} blocks"
        )


def _preparation(edges: Path, reading: ReadingOptions, config: FitConfig) -> Preparation:
    return Preparation(
        edges.absolute(),
        source=reading.source,
        target=reading.target,
        header=reading.header,
        delimiter=reading.delimiter,
        bipartite=reading.bipartite,
        shares=config.split,
        seed=config.seed,
        width=WIDTH,
        hops=HOPS,
        features=None if reading.features is None else reading.features.absolute(),
        feature_scaling=config.feature_scaling,
    )


def _taken(config: FitConfig, reading: ReadingOptions, say: Say) -> FitConfig:
    """The options as a sharded fit takes them.

    Raises:
        OptionError: what it does not take.
    """
    refused = {
        "--directed": reading.directed,
        "--bipartite": reading.bipartite is True,
        "--nodes": reading.nodes is not None,
        "--query": reading.query is not None,
        "--time": reading.time is not None,
        "--weight": reading.weight is not None,
        "--relation": reading.relation is not None,
        "--label": reading.label is not None,
        "--separate-ids": reading.separate_ids,
        "--key": reading.key is not None,
        "--folds": (config.folds or 1) > 1,
        "--tune": config.tune is not None,
        "--device cuda": config.device == "cuda",
    }
    for option, is_given in refused.items():
        if is_given:
            raise OptionError(f"{option}: not for sharded fits (--engine, --memory, or a folder of edge lists).")
    model = config.model
    if model == AUTO:
        say(f"model: {FOR_AUTO}, which sharded fits take for auto")
        model = FOR_AUTO
    if not family_of(model).has_decoupled_form:
        able = [each.name for each in families() if each.has_decoupled_form]
        raise OptionError(f"--model {model}: sharded fits take {' or '.join(able)}.")
    return config.model_copy(update={"model": model, "folds": 1, "device": "cpu"})


def _graph(prepared: PreparedStore, config: FitConfig) -> Graph:
    """The graph in memory, with what reading found."""
    edges, _ = prepared.all_edges()
    findings = dropped_findings(*(prepared.said[name] for name in ("loops", "repeats", "reversed")))
    return Graph(
        prepared.ids(), edges, PairSpace(prepared.nodes), prepared.features(config.feature_scaling), tuple(findings)
    )
