"""The command line: what goes to stdout, what to stderr, and the exit codes. Nothing is mocked."""

import errno
import json
import os
import re
import resource
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
import yaml
from typer.testing import CliRunner, Result

from linkodds.cli import app
from linkodds.cli.app import explain
from linkodds.config import FitConfig
from linkodds.demo import demo_graph
from linkodds.errors import DataError, OptionError

COMMANDS = ("compare", "config", "demo", "doctor", "evaluate", "export", "find", "fit", "predict", "report", "serve")
WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def run_cli(*arguments: object) -> Result:
    return CliRunner(env=WIDE).invoke(app, [str(argument) for argument in arguments])


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


class TestWithoutWork:
    """What answers before any heavy library is loaded."""

    def test_version_and_help_answer_in_half_a_second_without_torch(self) -> None:
        for arguments in (["--version"], ["--help"]):
            seconds = []
            for _ in range(3):  # of the processor, the best of three: other programs do not decide
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                done = subprocess.run(
                    [sys.executable, "-m", "linkodds", *arguments], check=True, capture_output=True, text=True
                )
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            assert min(seconds) < 0.5
            assert "linkodds" in done.stdout

    def test_importing_the_command_line_loads_nothing_heavy(self) -> None:
        heavy = (
            "{'torch', 'numpy', 'scipy', 'polars', 'pandas', 'networkx', 'pydantic', 'plotly', 'sklearn', 'fastapi'}"
        )
        code = f"import sys, linkodds.cli; print(sorted({heavy} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == "[]"

    def test_help_lists_exactly_the_commands_there_are(self) -> None:
        listed = re.findall(r"^│ (\w+) ", run_cli("--help").stdout.split("Commands")[1], flags=re.MULTILINE)
        assert sorted(listed) == sorted(COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_help(self, command: str) -> None:
        result = run_cli(command, "--help")
        assert result.exit_code == 0
        assert f"linkodds {command}" in result.stdout or f"root {command}" in result.stdout

    def test_every_field_of_the_config_is_an_option_of_fit(self) -> None:
        options = set(re.findall(r"--([a-z][a-z-]*)", run_cli("fit", "--help").stdout))
        assert {name.replace("_", "-") for name in FitConfig.model_fields} <= options

    def test_config_prints_yaml_that_reads_back_to_the_defaults(self) -> None:
        result = run_cli("config")
        assert FitConfig.from_options(yaml.safe_load(result.stdout)) == FitConfig()


class TestWrongUsage:
    """Exit code 2, and words that name the cure."""

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["fitt"], "'fit'"),
            (["fit", "edges.csv", "--out", "run", "--epoch", "3"], "--epochs"),
            (["fit", "edges.csv"], "--out"),
            (["fit", "--out", "run"], "EDGES"),
            (["fit", "edges.csv", "--out", "run", "--epochs", "many"], "--epochs"),
            (["fit", "edges.csv", "--out", "run", "--epochs", "0"], "--epochs"),
            (["fit", "edges.csv", "--out", "run", "--model", "vgea"], "'vgae'"),
            (["fit", "edges.csv", "--out", "run", "--split", "0.8,0.1,0.1"], "0.8/0.05/0.05/0.1"),
            (["fit", "edges.csv", "--out", "run", "--config", "absent.yaml"], "absent.yaml"),
            (["find", "run", "--out", "links.csv", "--top", "0"], "--top"),
        ],
    )
    def test_is_refused(self, arguments: list[str], named: str) -> None:
        result = run_cli(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert named in result.stderr

    @pytest.mark.parametrize(
        ("option", "value", "words"),
        [
            (
                "--split",
                "0.8/0.1",
                "--split: four positive numbers with sum 1, such as 0.8/0.05/0.05/0.1, not '0.8/0.1'.",
            ),
            ("--split", "1/0/0/0", "--split: four positive numbers with sum 1"),
            ("--split", "a/b/c/d", "not 'a/b/c/d'."),
            ("--split", "nan/nan/nan/nan", "--split: four positive numbers"),
            ("--beta", "inf", "--beta: Input should be a finite number"),
            ("--weight-decay", "inf", "--weight-decay: Input should be a finite number"),
            ("--threads", "100000", "--threads: Input should be less than or equal to 1024"),
        ],
    )
    def test_a_value_out_of_range_is_refused_before_anything_is_read(self, option: str, value: str, words: str) -> None:
        result = run_cli("fit", "no-such-file.csv", "--out", "run", option, value)
        assert result.exit_code == 2
        assert words in result.stderr

    def test_an_unknown_option_of_the_config_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "options.yaml"
        path.write_text("epoch: 3\n")
        result = run_cli("fit", "edges.csv", "--out", tmp_path / "run", "--config", path)
        assert result.exit_code == 2
        assert "epoch" in result.stderr


class TestMessages:
    """What becomes of an exception."""

    @pytest.mark.parametrize(
        ("error", "words", "exit_code"),
        [
            (DataError("edges.csv, line 3: one column."), "edges.csv, line 3: one column.", 1),
            (OptionError("--epochs: too few"), "--epochs: too few", 2),
            (OSError(errno.ENOSPC, "No space left on device"), "disk is full", 1),
            (RuntimeError("ComputeError: No space left on device (os error 28)"), "disk is full", 1),
            (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.csv"), "a.csv: no such file", 1),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 8 GB"), "out of memory", 1),
            (MemoryError(), "out of memory", 1),
            (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero", 1),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_of_an_exception(self, error: Exception, words: str, exit_code: int) -> None:
        message, code = explain(error)
        assert words in message
        assert code == exit_code

    def test_a_missing_file_is_one_line(self, tmp_path: Path) -> None:
        result = run_cli("fit", tmp_path / "absent.csv", "--out", tmp_path / "run")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "absent.csv" in result.stderr
        assert "Traceback" not in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_what_is_no_run_is_named(self, tmp_path: Path) -> None:
        for command in (["evaluate"], ["report"], ["find", "--out", str(tmp_path / "links.csv")]):
            result = run_cli(command[0], tmp_path / "absent", *command[1:])
            assert (result.exit_code, result.stdout) == (1, "")
            assert "absent" in result.stderr
        assert list(tmp_path.iterdir()) == []


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
                [sys.executable, "-m", "linkodds", option], check=False, stdout=full, stderr=subprocess.PIPE, text=True
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
