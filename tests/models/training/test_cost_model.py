"""Counted work and memory against counts by hand, and what is said and decided before a training."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse as sp

from linkodds.config import FitConfig
from linkodds.errors import OptionError
from linkodds.fitting.pipeline import fit_graph, fit_run
from linkodds.graph.features import Features
from linkodds.graph.split import split_edges
from linkodds.models.families import family_of
from linkodds.models.training import cost_model
from linkodds.models.training.cost_model import Sizes, Work, nominal_seconds
from linkodds.models.training.estimates import Clock, Memory, TimeBudget, announcement

# 3 nodes, 2 edges (so 2 x 2 + 3 = 7 entries in the normalised adjacency), 3 pairs; a table of 3 x 4, embeddings of 2.
TINY = Sizes(
    nodes=3,
    edges=2,
    pairs=3,
    inputs=3,
    input_kind="table",
    input_entries=12,
    hidden=4,
    dim=2,
    directed=False,
    variational=False,
    dropout=False,
    objective="all-pairs",
    zeros_per_edge=5,
    validation_pairs=10,
    validate_every=5,
)


class TestCountsByHand:
    def test_sparse_product(self) -> None:
        """7 entries with a row of 4 floats (16 bytes) and 8 bytes each, and a result of 3 x 4 floats: 7 x 24 + 48."""
        assert cost_model.sparse_product_work(rows=3, entries=7, columns=4) == Work(bytes=216, calls=1)

    def test_dense_product(self) -> None:
        """Each of the 3 x 2 results is 4 multiplications and 4 additions."""
        assert cost_model.dense_product_work(3, 4, 2).flops == 48

    def test_encoder_of_a_table(self) -> None:
        """Propagations of 4 and of 2 columns, forward and backward, ReLU on 3 x 4 values twice; 3 products of 48 flops."""
        propagations = 2 * (7 * (16 + 8) + 3 * 16) + 2 * (7 * (8 + 8) + 3 * 8)
        work = cost_model.encoder_work(TINY)
        assert (work.bytes, work.flops, work.draws) == (propagations + 2 * 8 * 12, 3 * 48, 0)

    def test_encoder_of_dense_features(self) -> None:
        """5 features: 3 x 5 by 5 x 4 forward, and its transpose for the weight's gradient: 2 x 120 flops more."""
        dense = replace(TINY, inputs=5, input_kind="dense", input_entries=15)
        assert cost_model.encoder_work(dense).flops == 3 * 48 + 2 * 120

    def test_encoder_of_sparse_features(self) -> None:
        """6 entries with a row of 4 floats each, forward and backward; no flops more than those of a table."""
        sparse = replace(TINY, inputs=5, input_kind="sparse", input_entries=6)
        table, work = cost_model.encoder_work(TINY), cost_model.encoder_work(sparse)
        assert (work.bytes - table.bytes, work.flops) == (2 * (6 * 24 + 48), table.flops)

    def test_dropout_draws_once_for_four_inputs_or_hidden_values(self) -> None:
        assert cost_model.encoder_work(replace(TINY, dropout=True)).draws == 12 / 4 + 12 / 4

    def test_all_pairs(self) -> None:
        """A pair: 2 x dim flops for the logit and for each of the two gradients; a sigmoid (1) and a softplus (2)."""
        work = cost_model.all_pairs_work(3, dim=2)
        assert (work.flops, work.exponentials, work.bytes) == (3 * 12, 9, 0)

    def test_listed_pairs(self) -> None:
        """A pair of 2-dimensional ends: 16 bytes for its logit, 2 x (8 + 8) for the gradients, 80 in passes.

        Beside them both gradients are written, 3 x 2 floats each."""
        assert cost_model.listed_pairs_work(5, nodes=3, dim=2).bytes == 5 * (16 + 32 + 80) + 2 * 24

    def test_sampled_draws_its_zeros(self) -> None:
        work = cost_model.objective_work(replace(TINY, objective="sampled"))
        assert (work.draws, work.exponentials, work.flops) == (10, 3 * 12, 0)

    def test_a_subgraph_of_all_nodes_decodes_what_all_pairs_do(self) -> None:
        whole = cost_model.objective_work(replace(TINY, objective="subgraph", subgraph_nodes=3))
        every = cost_model.objective_work(TINY)
        assert (whole.flops, whole.exponentials) == (every.flops, every.exponentials)

    def test_latent_variables_are_those_of_a_variational_model(self) -> None:
        assert cost_model.latent_work(TINY) == Work()
        work = cost_model.latent_work(replace(TINY, variational=True))
        assert (work.draws, work.exponentials) == (3 * 2, 2 * 3 * 2)

    def test_parameters_and_optimizer(self) -> None:
        """3 x 4 and 4 x 2 weights, scale and bias; heads double the second, and so does a direction."""
        assert TINY.parameters == 12 + 8 + 2
        assert replace(TINY, variational=True, directed=True).parameters == 12 + 32 + 2
        assert cost_model.optimizer_work(TINY).bytes == 22 * 7 * 8

    def test_a_linear_encoder_propagates_once(self) -> None:
        """A table of 3 x 2, which is the first weight: 7 entries with 2 columns, forward and backward."""
        linear = replace(TINY, encoder="linear", input_entries=6)
        assert cost_model.encoder_work(linear).bytes == 2 * (7 * (8 + 8) + 3 * 8)
        assert cost_model.encoder_work(linear).flops == 0
        assert linear.parameters == 3 * 2 + 2

    def test_a_free_table_costs_no_encoder_and_features_beside_it_two_propagations(self) -> None:
        """5 features: 3 x 5 by 5 x 2, forward and for the weight's gradient: 2 x 60 flops; the sum is 2 passes of 3 x 2."""
        free = replace(TINY, encoder="free")
        assert cost_model.encoder_work(free).bytes == cost_model.encoder_work(free).flops == 0
        beside = replace(free, inputs=5, input_kind="dense", input_entries=15)
        work = cost_model.encoder_work(beside)
        assert (work.flops, work.bytes) == (2 * 60, 4 * (7 * (8 + 8) + 3 * 8) + 2 * 8 * 6)
        assert (free.parameters, beside.parameters) == (3 * 2 + 2, 3 * 2 + 5 * 2 + 2)

    def test_an_epoch_holds_its_share_of_a_validation(self) -> None:
        often, rarely = (cost_model.epoch_work(replace(TINY, validate_every=every)) for every in (1, 1_000_000_000))
        assert often.bytes - rarely.bytes == pytest.approx(cost_model.validation_work(TINY).bytes)

    def test_an_objective_without_a_count_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="'ranking'"):
            cost_model.objective_work(replace(TINY, objective="ranking"))


def test_sampled_is_linear_in_the_edges_and_all_pairs_quadratic_in_the_nodes() -> None:
    """Twice the edges cost twice as much again; ten times the nodes have a hundred times the pairs."""
    sampled = [
        cost_model.objective_work(replace(TINY, objective="sampled", edges=edges)).bytes for edges in (1000, 2000, 3000)
    ]
    assert sampled[2] - sampled[1] == sampled[1] - sampled[0] > 0
    flops = [cost_model.objective_work(replace(TINY, nodes=n, pairs=n * n // 2)).flops for n in (1000, 10_000)]
    assert flops[1] == 100 * flops[0]


def test_nominal_seconds_add_up() -> None:
    one = Work(bytes=10e9, flops=80e9, exponentials=1e9, draws=250e6, calls=100e3)
    assert nominal_seconds(one) == pytest.approx(5.0)
    assert nominal_seconds(one + 0.5 * one) == pytest.approx(7.5)


@pytest.mark.parametrize("kind", ["table", "dense", "sparse"])
def test_sizes_are_those_of_the_split_and_the_features(communities, kind) -> None:
    split = split_edges(communities, rng=np.random.default_rng(0))
    matrix = np.eye(150, 7, dtype=np.float32)
    features = {"table": None, "dense": Features(matrix, "none"), "sparse": Features(sp.csr_array(matrix), "none")}[
        kind
    ]
    config = FitConfig(hidden=16, dim=8, dropout=0)
    sizes = Sizes.of(split, features, family_of("vgae").options(config), objective="sampled", validation_non_edges=100)
    assert (sizes.nodes, sizes.edges, sizes.pairs) == (150, len(split.train), 150 * 149 // 2)
    expected = {"table": (150, 150 * 16), "dense": (7, 150 * 7), "sparse": (7, 7)}[kind]
    assert (sizes.inputs, sizes.input_entries, sizes.input_kind) == (*expected, kind)
    assert (sizes.outputs, sizes.dropout, sizes.validation_pairs) == (16, False, 100 + len(split.validation))


class TestTimeBudget:
    """The nominal seconds of an epoch of TINY are e; every number of epochs follows from it by hand."""

    e = nominal_seconds(cost_model.epoch_work(TINY))

    def test_is_shared_evenly(self) -> None:
        assert TimeBudget(100.5 * self.e, trainings=1).epochs(TINY, 300) == 100
        assert TimeBudget(100.5 * self.e, trainings=4).epochs(TINY, 300) == 25

    def test_never_adds_epochs_and_always_pays_for_a_validation(self) -> None:
        assert TimeBudget(1000 * self.e, trainings=1).epochs(TINY, 300) == 300
        assert TimeBudget(0.1 * self.e, trainings=1).epochs(TINY, 300) == TINY.validate_every
        assert TimeBudget(0.1 * self.e, trainings=1).epochs(TINY, 3) == 3
        assert TimeBudget(None, trainings=2).epochs(TINY, 300) == 300

    def test_the_clock_rings_at_twice_what_is_allowed_and_five_seconds(self) -> None:
        assert not Clock(1000.0, spent=2004.0)()
        assert Clock(1000.0, spent=2005.0)()
        assert not Clock(1000.0, threads=2, spent=2004.0)()
        assert "not reproducible" in Clock(10.0, spent=0.0).finding("gae", 7).message


class TestAnnouncement:
    def test_says_epochs_seconds_and_memory(self) -> None:
        seconds = nominal_seconds(cost_model.epoch_work(TINY))
        (line,) = announcement("gae", 300, TINY, Memory(None, None))
        assert line.startswith(
            f"gae: up to 300 epochs of about {seconds:.2g} s, so up to {300 * seconds:.2g} s, and about 0.1"
        )

    def test_too_little_free_memory_is_said_with_the_cure(self) -> None:
        wide = replace(TINY, nodes=1_000_000, hidden=512)
        for memory, count in ((Memory(10**11, 10**11), 1), (Memory(10**11, 10**9), 2), (Memory(10**10, 10**9), 2)):
            assert len(lines := announcement("gae", 300, wide, memory)) == count
        assert "1 GB are free. Smaller --hidden and --dim need less." in lines[1]

    def test_more_than_four_times_the_memory_is_refused(self) -> None:
        many = replace(TINY, objective="sampled", edges=10**8, zeros_per_edge=100)
        with pytest.raises(OptionError, match=r"1,200 GB.*this machine has 8 GB.*--zeros-per-edge"):
            announcement("gae", 300, many, Memory(8 * 10**9, 8 * 10**9))


class TestMemory:
    def test_of_linux_and_of_a_container(self, tmp_path: Path) -> None:
        meminfo, limit = tmp_path / "meminfo", tmp_path / "memory.max"
        meminfo.write_text("MemTotal:       2000 kB\nMemFree:  100 kB\nMemAvailable:   1500 kB\nHugePages_Total: 0\n")
        assert Memory.here(meminfo, limit) == Memory(2_048_000, 1_536_000)
        limit.write_text("max\n")
        assert Memory.here(meminfo, limit) == Memory(2_048_000, 1_536_000)
        limit.write_text("1600000\n")
        assert Memory.here(meminfo, limit) == Memory(1_600_000, 1_536_000)

    def test_what_is_not_known_is_none(self, tmp_path: Path) -> None:
        memory = Memory.here(tmp_path / "absent", tmp_path / "absent")
        assert memory.available is None
        assert memory.total is None or memory.total > 0


class TestFit:
    """A time budget in a whole fit."""

    options: ClassVar[dict[str, Any]] = {"hidden": 16, "dim": 8, "epochs": 200, "threads": 1, "folds": 2}

    def test_a_short_budget_takes_away_epochs_says_so_and_gives_the_same_result_each_time(
        self, communities, monkeypatch
    ) -> None:
        """The gae of the split and the one of the other fold share what 60 epochs of gae cost: 30 each."""
        monkeypatch.setattr(Clock, "__call__", lambda _: False)  # a busy machine is no part of this
        split = split_edges(communities, rng=np.random.default_rng(0))
        config = FitConfig(**self.options, model="gae")
        non_edges = communities.space.num_pairs - communities.num_edges
        sizes = Sizes.of(
            split, None, family_of("gae").options(config), objective="all-pairs", validation_non_edges=non_edges
        )
        budget = 60.5 * nominal_seconds(cost_model.epoch_work(sizes))
        watched: list[tuple[str, int]] = []
        first, second = (
            fit_graph(
                communities,
                config.model_copy(update={"time_budget": budget}),
                on_start=lambda name, epochs, _: watched.append((name, epochs)),
            )
            for _ in range(2)
        )
        assert first.evaluation == second.evaluation
        assert first.config["epochs_allowed"] == {"gae": 30}
        assert watched[:2] == [("gae", 30), ("gae-fold-2", 30)]
        messages = [each.message for each in first.evaluation.findings if each.id == "training"]
        assert sum("allowed gae 30 of 200 epochs" in message for message in messages) == 1

    def test_a_large_budget_changes_nothing(self, communities) -> None:
        options = {**self.options, "model": "gae", "epochs": 10, "folds": 1}
        with_budget, without = (
            fit_graph(communities, FitConfig(**options, time_budget=budget)) for budget in (3600.0, None)
        )
        assert with_budget.evaluation == without.evaluation
        assert with_budget.config["epochs_allowed"] == {"gae": 10}
        assert "epochs_allowed" not in without.config

    def test_the_clock_ends_training_after_a_validation_and_the_run_says_so(self, communities, monkeypatch) -> None:
        monkeypatch.setattr(Clock, "__call__", lambda _: True)
        run = fit_graph(communities, FitConfig(**{**self.options, "model": "gae"}, time_budget=3600.0))
        assert run.evaluation.model["epochs"] == 5
        messages = [each.message for each in run.evaluation.findings if each.severity == "warning"]
        for name in ("gae", "gae-fold-2"):  # what happened to a model of another fold is said too
            assert sum(f"a clock ended {name} after 5 epochs: this run is not reproducible" in m for m in messages) == 1

    def test_what_a_training_will_take_is_said_before_it_starts(self, communities) -> None:
        lines: list[str] = []
        fit_graph(communities, FitConfig(**{**self.options, "model": "gae", "epochs": 5}), progress=lines.append)
        said = [line for line in lines if re.match(r"gae(-fold-2)?: up to 5 epochs of about 0\.\d+ s, so up to", line)]
        assert len(said) == 2
        assert lines.index(said[0]) < next(i for i, line in enumerate(lines) if line.startswith("gae: validation"))

    def test_a_training_that_the_clock_ended_stays_ended_when_the_fit_is_resumed(
        self, communities, tmp_path, monkeypatch
    ) -> None:
        """Cut off right after the training; resumed with a clock that does not ring, it neither trains on nor forgets."""
        ids = communities.ids[communities.edges]
        lines = [f"{source},{target}" for source, target in ids]
        (edges := tmp_path / "edges.csv").write_text("\n".join(["source,target", *lines]) + "\n")
        config = FitConfig(**{**self.options, "model": "gae", "folds": 1}, time_budget=3600.0)

        def stop(line: str) -> None:
            if line.startswith("gae: validation"):
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Clock, "__call__", lambda _: True)
            with pytest.raises(KeyboardInterrupt):
                fit_run(edges, tmp_path / "run", config, progress=stop)
        before: list[int] = []
        run = fit_run(
            edges,
            tmp_path / "run",
            config,
            resume=True,
            on_start=lambda _name, _epochs, history: before.append(len(history)),
        )
        assert (before, run.evaluation.model["epochs"]) == ([5], 5)
        assert any("not reproducible" in each.message for each in run.evaluation.findings)
