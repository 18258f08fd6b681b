"""The command line for the tests: run in this process, wide and without colours."""

from typer.testing import CliRunner, Result

from linkodds.cli import app

WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


def run_cli(*arguments: object) -> Result:
    return CliRunner(env=WIDE).invoke(app, [str(argument) for argument in arguments])
