"""The command line without a run: help, wrong usage, messages, and the exit codes. Nothing is mocked."""

import errno
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from command_line import run_cli
from linkodds.cli.app import _what_is_left, explain
from linkodds.config import FitConfig
from linkodds.errors import DataError, OptionError

COMMANDS = (
    "compare",
    "config",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "find",
    "fit",
    "inspect",
    "predict",
    "report",
    "serve",
)


OUT_OF_HAND = (["-m", "linkodds", "--version"], ["-m", "linkodds", "--help"])
"""What must answer before anything is loaded that works on graphs."""


class TestWithoutWork:
    """What answers before any heavy library is loaded."""

    def test_version_and_help_take_at_most_twice_as_long_as_the_library_of_the_command_line(self) -> None:
        """The floor is loading typer and its help alone, in turns with ours: a busy machine slows both."""

        def processor_seconds(arguments: list[str]) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
            assert "linkodds" in done.stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        floor = ["-c", "import typer, typer.rich_utils; print('linkodds')"]
        turns = [[processor_seconds(each) for each in (floor, *OUT_OF_HAND)] for _ in range(4)]
        bare, version, help_of_all = (statistics.median(each) for each in zip(*turns, strict=True))
        assert version < 2 * bare
        assert help_of_all < 2 * bare

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

    def test_an_interrupted_search_is_not_a_fit(self, tmp_path: Path) -> None:
        out = tmp_path / "links.csv"
        out.with_name("links.csv.partial").touch()
        said = _what_is_left({"run": Path("run"), "out": out, "edges": None, "resume": False})
        assert "the same command with --resume goes on" in said
        assert "linkodds fit" not in said
