"""The commands that make a run and look at one: what goes to stdout, what to stderr. Nothing is mocked."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import Result

from command_line import run_cli
from linkodds.comparison.demo import demo_graph
from linkodds.config import FitConfig


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 genes, one edge for 24 absent pairs, none of them hidden from anybody but nature."""
    graph, _ = demo_graph(np.random.default_rng(1), num_nodes=300, ratio=1 / 25, num_groups=8)
    path = tmp_path_factory.mktemp("data") / "edges.csv"
    ends = {end: graph.ids[graph.edges[:, i]] for i, end in enumerate(("source", "target"))}
    pl.DataFrame(ends).write_csv(path)
    return path


@pytest.fixture(scope="module")
def fitted(edges: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, run_cli("fit", edges, "--out", out, "--model", "gae", "--epochs", 20, "--folds", 1, "--json")


KILLED = ("--model", "gae", "--epochs", "200", "--folds", "1", "--threads", "1", "--checkpoint-every", "5")


@pytest.fixture(scope="module")
def whole(edges: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a fit that nobody disturbs."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert run_cli("fit", edges, "--out", out, *KILLED).exit_code == 0
    return out


@contextmanager
def training_of_its_own(edges: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """The same fit in a process of its own, with its first checkpoint on the disk; it is gone when the block ends."""
    command = [sys.executable, "-m", "linkodds", "fit", str(edges), "--out", str(out), *KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 60
            checkpoint = Path(f"{out}.partial") / "checkpoints" / "gae-0.json"
            while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert checkpoint.exists()
            yield process
        finally:
            process.kill()


class TestFit:
    def test_json_is_one_document_and_what_was_saved(self, fitted: tuple[Path, Result]) -> None:
        out, result = fitted
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout) == json.loads((out / "evaluation.json").read_text(encoding="utf-8"))

    def test_words_are_on_stderr_without_escapes(self, fitted: tuple[Path, Result]) -> None:
        assert fitted[1].stderr.strip()
        assert "\x1b" not in fitted[1].stderr

    def test_a_run_that_is_there_needs_force(self, fitted: tuple[Path, Result], edges: Path, tmp_path: Path) -> None:
        out = tmp_path / "run"
        shutil.copytree(fitted[0], out)
        before = (out / "evaluation.json").read_bytes()
        arguments = ["fit", edges, "--out", out, "--model", "degree"]
        refused = run_cli(*arguments)
        assert refused.exit_code == 1
        assert "--force" in refused.stderr
        assert (out / "evaluation.json").read_bytes() == before
        assert run_cli(*arguments, "--force").exit_code == 0
        assert json.loads((out / "evaluation.json").read_text(encoding="utf-8"))["model"]["name"] == "degree"

    def test_options_win_over_the_config_file_and_it_over_defaults(self, edges: Path, tmp_path: Path) -> None:
        (tmp_path / "options.yaml").write_text("model: l3\nseed: 7\ndecision: mcc\n")
        out = tmp_path / "run"
        result = run_cli("fit", edges, "--out", out, "--config", tmp_path / "options.yaml", "--model", "degree")
        assert result.exit_code == 0, result.stderr
        options = (out / "config.yaml").read_text(encoding="utf-8")
        for line in ("model: degree", "seed: 7", "decision: mcc", f"epochs: {FitConfig().epochs}"):
            assert re.search(rf"^\s*{line}$", options, flags=re.MULTILINE), line

    def test_text_names_the_report(self, edges: Path, tmp_path: Path) -> None:
        result = run_cli("fit", edges, "--out", tmp_path / "run", "--model", "degree")
        assert result.exit_code == 0
        assert f"report: {tmp_path / 'run' / 'report.html'}" in result.stdout

    def test_interrupted_leaves_no_run_but_says_what_is_left_and_goes_on_from_there(
        self, edges: Path, tmp_path: Path, whole: Path
    ) -> None:
        """Ctrl-C in a training: what is left is its last epoch, wherever that stands between two checkpoints."""
        out = tmp_path / "run"
        with training_of_its_own(edges, out) as process:
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        partial = Path(f"{out}.partial")
        assert process.returncode == 130, stderr
        assert stdout == ""
        assert "stopping after this epoch" in stderr
        assert f"{partial} holds what was done so far; go on with: linkodds fit {edges} --out {out} --resume" in stderr
        assert "Traceback" not in stderr
        assert not out.exists()
        state = json.loads((partial / "checkpoints" / "gae-0.json").read_text(encoding="utf-8"))["state"]
        assert len(pl.read_csv(partial / "history.csv")) == state["epoch"] >= 5
        assert run_cli("fit", edges, "--out", out, "--resume").exit_code == 0
        assert (out / "evaluation.json").read_bytes() == (whole / "evaluation.json").read_bytes()

    def test_killed_and_resumed_is_the_same_run(self, edges: Path, tmp_path: Path, whole: Path) -> None:
        out = tmp_path / "run"
        with training_of_its_own(edges, out) as process:
            process.kill()
            process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        result = run_cli("fit", edges, "--out", out, "--resume")
        assert result.exit_code == 0, result.stderr
        assert re.search(r"^going on after \d+ epochs$", result.stderr, flags=re.MULTILINE)
        for name in ("evaluation.json", "model.safetensors", "config.yaml", "scores.npz", "predictions.parquet"):
            assert (out / name).read_bytes() == (whole / name).read_bytes(), name

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_full_disk_is_said(self) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "linkodds", "config"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 1
        assert "disk is full" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    @pytest.mark.parametrize("option", ["--help", "--version"])
    def test_a_full_disk_is_said_outside_of_commands_too(self, option: str) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "linkodds", option],
                check=False,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith("error: the disk is full")

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
    def test_a_directory_that_may_not_be_written_is_named(self, edges: Path, tmp_path: Path) -> None:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        result = run_cli("fit", edges, "--out", locked / "run", "--model", "degree")
        assert result.exit_code == 1
        assert "locked" in result.stderr


class TestOnARun:
    def test_evaluate_prints_what_was_saved(self, fitted: tuple[Path, Result]) -> None:
        result = run_cli("evaluate", fitted[0], "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout) == json.loads(fitted[1].stdout)

    def test_evaluate_restates_at_another_prevalence(self, fitted: tuple[Path, Result]) -> None:
        saved = json.loads(fitted[1].stdout)
        restated = json.loads(run_cli("evaluate", fitted[0], "--prevalence", 0.2, "--json").stdout)
        assert restated["metrics"]["roc_auc"]["value"] == pytest.approx(saved["metrics"]["roc_auc"]["value"])
        assert restated["metrics"]["average_precision"]["value"] > saved["metrics"]["average_precision"]["value"]

    def test_evaluate_prints_both_base_rates(self, fitted: tuple[Path, Result]) -> None:
        result = run_cli("evaluate", fitted[0])
        assert result.exit_code == 0
        assert "graph" in result.stdout
        assert "rehearsal" in result.stdout

    def test_predict_keeps_order_and_ids_and_counts_the_unknown(
        self, fitted: tuple[Path, Result], tmp_path: Path
    ) -> None:
        (tmp_path / "pairs.csv").write_text("source,target\nGENE0009,GENE0004\nNOBODY,GENE0001\nGENE0002,GENE0002\n")
        result = run_cli("predict", fitted[0], tmp_path / "pairs.csv", "--out", tmp_path / "answers.csv")
        assert result.exit_code == 1
        assert "1 of 3 pairs have an id that the graph does not have" in result.stderr
        assert "1 of 3 pairs are no pair" in result.stderr
        answers = pl.read_csv(tmp_path / "answers.csv")
        assert answers.columns == ["source", "target", "logit", "probability", "decision", "known"]
        assert answers["source"].to_list() == ["GENE0009", "NOBODY", "GENE0002"]
        assert answers["probability"].is_null().to_list() == [False, True, True]

    def test_predict_of_known_ids_is_done(self, fitted: tuple[Path, Result], tmp_path: Path) -> None:
        (tmp_path / "pairs.csv").write_text("GENE0009,GENE0004\n")
        result = run_cli("predict", fitted[0], tmp_path / "pairs.csv", "--out", tmp_path / "answers.csv")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.strip().endswith("answers.csv: 1 pair")

    def test_find_lists_the_best_first_and_no_recorded_edge(
        self, fitted: tuple[Path, Result], edges: Path, tmp_path: Path
    ) -> None:
        result = run_cli("find", fitted[0], "--out", tmp_path / "links.csv", "--top", 40)
        assert result.exit_code == 0, result.stderr
        assert "missing" in result.stderr  # the assumption that the probabilities rest on
        links = pl.read_csv(tmp_path / "links.csv")
        assert links.columns[:5] == ["source", "target", "logit", "probability", "q_value"]
        assert len(links) == 40
        assert links["logit"].is_sorted(descending=True)
        recorded = {frozenset(pair) for pair in pl.read_csv(edges).iter_rows()}
        assert not recorded & {frozenset(pair) for pair in links.select("source", "target").iter_rows()}

    def test_find_between_chosen_nodes_and_for_each_node(self, fitted: tuple[Path, Result], tmp_path: Path) -> None:
        (tmp_path / "some.txt").write_text("GENE0009\nGENE0004\n")
        out = ["--out", tmp_path / "links.jsonl"]
        result = run_cli("find", fitted[0], *out, "--from-nodes", tmp_path / "some.txt", "--within-hops", 3, "--top", 5)
        assert result.exit_code == 0, result.stderr
        assert "pairs: at most about" in result.stderr
        rows = [json.loads(line) for line in (tmp_path / "links.jsonl").read_text().splitlines()]
        assert rows
        assert all({row["source"], row["target"]} & {"GENE0009", "GENE0004"} for row in rows)
        result = run_cli("find", fitted[0], *out, "--from-nodes", tmp_path / "some.txt", "--per-node", 3)
        assert result.stdout.startswith(f"{out[1]}: 6 new links"), result.stderr
        for options in (["--per-node", "2", "--precision", "0.5"], ["--resume"]):
            assert run_cli("find", fitted[0], "--out", tmp_path / "none.csv", *options).exit_code in (1, 2)
        assert not (tmp_path / "none.csv").exists()

    def test_more_expected_links_mean_higher_probabilities(self, fitted: tuple[Path, Result], tmp_path: Path) -> None:
        few, many = tmp_path / "few.csv", tmp_path / "many.csv"
        run_cli("find", fitted[0], "--out", few, "--expected-missing", 10)
        run_cli("find", fitted[0], "--out", many, "--expected-missing", 1000)
        few_links, many_links = pl.read_csv(few), pl.read_csv(many)
        assert len(few_links) == 100
        assert few_links["source"].to_list() == many_links["source"].to_list()
        assert (few_links["probability"] < many_links["probability"]).all()

    def test_an_interval_gives_bands(self, fitted: tuple[Path, Result], tmp_path: Path) -> None:
        band = ["--expected-missing", "10:40"]
        links, answers = tmp_path / "links.csv", tmp_path / "answers.csv"
        found = run_cli("find", fitted[0], "--out", links, *band, "--json")
        said = json.loads(found.stdout)
        assert said["expected_links_band"][0] < said["expected_links"] < said["expected_links_band"][1]
        assert "10 to 40 links are missing" in said["assumption"]
        assert said["assumption"] in found.stderr
        predicted = json.loads(run_cli("predict", fitted[0], links, "--out", answers, *band, "--json").stdout)
        assert (predicted["num_rows"], predicted["assumption"]) == (100, said["assumption"])
        assert (pl.read_csv(answers)["probability_low"] < pl.read_csv(answers)["probability_high"]).all()
        restated = run_cli("evaluate", fitted[0], *band)
        assert "over the assumed interval" in restated.stdout
        assert "not guaranteed" in restated.stdout
        assert said["assumption"] in restated.stderr

    def test_report_is_written_anew(self, fitted: tuple[Path, Result], tmp_path: Path) -> None:
        out = tmp_path / "run"
        shutil.copytree(fitted[0], out)
        (out / "report.html").unlink()
        result = run_cli("report", out)
        assert result.exit_code == 0, result.stderr
        assert result.stdout.strip() == f"report: {out / 'report.html'}"
        assert (out / "report.html").stat().st_size > 0

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["--prevalence", "0.1", "--expected-missing", "5"], "--prevalence and --expected-missing"),
            (["--prevalence", "1.5"], "--prevalence"),
            (["--label-frequency", "0"], "--label-frequency"),
            (["--expected-missing", "nan"], "--expected-missing"),
            (["--expected-missing", "1e12"], "--expected-missing"),
            (["--prevalence", "0.1-0.2"], "two as LOW:HIGH (such as 0.002 or 0.001:0.004)"),
            (["--expected-missing", "200:100"], "write 100:200"),
        ],
    )
    def test_impossible_assumptions_are_wrong_usage(
        self, fitted: tuple[Path, Result], tmp_path: Path, options: list[str], named: str
    ) -> None:
        (tmp_path / "pairs.csv").write_text("GENE0009,GENE0004\n")
        out = ["--out", tmp_path / "out.csv"]
        for command in (
            ["evaluate", fitted[0]],
            ["predict", fitted[0], tmp_path / "pairs.csv", *out],
            ["find", fitted[0], *out],
        ):
            result = run_cli(*command, *options)
            assert (result.exit_code, result.stdout) == (2, "")
            assert named in result.stderr
        assert not (tmp_path / "out.csv").exists()


class TestDoctor:
    @pytest.fixture
    def probabilities_of_two_sigmoids(self, tmp_path: Path) -> Path:
        """The thread's table: a good ranking, every probability between 0.5 and 0.731."""
        rng = np.random.default_rng(0)
        labels = np.arange(2000) < 1000
        once = 1 / (1 + np.exp(-rng.normal(2.0 * labels, 1.0)))
        path = tmp_path / "scores.csv"
        pl.DataFrame({"label": labels.astype(int), "probability": 1 / (1 + np.exp(-once))}).write_csv(path)
        return path

    def test_an_error_is_exit_code_1_with_cause_and_cure(self, probabilities_of_two_sigmoids: Path) -> None:
        result = run_cli("doctor", probabilities_of_two_sigmoids)
        assert result.exit_code == 1
        assert "D01" in result.stdout
        assert "sigmoid" in result.stdout

    def test_json_is_one_document(self, probabilities_of_two_sigmoids: Path) -> None:
        result = run_cli("doctor", probabilities_of_two_sigmoids, "--json")
        assert result.exit_code == 1
        findings = json.loads(result.stdout)
        assert {"id", "severity", "message", "remedy", "statistic", "page"} == set(findings[0])
        assert findings[0]["page"] == "docs/doctor.md#d01"
        assert "D01" in {finding["id"] for finding in findings}

    def test_a_healthy_run_is_exit_code_0(self, fitted: tuple[Path, Result]) -> None:
        assert run_cli("doctor", fitted[0]).exit_code == 0
