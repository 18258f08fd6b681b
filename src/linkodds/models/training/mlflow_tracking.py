"""A fit in MLflow: each training with its history while it runs, and what came of it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linkodds.errors import OptionError
from linkodds.evaluation.evaluation import Evaluation
from linkodds.models.training.history import Epoch
from linkodds.reading.database_urls import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "linkodds"
ARTIFACTS = ("evaluation.json", "config.yaml", "history.csv", "report.html")
_LONGEST_PARAM = 500


class MlflowLog:
    """One run of MLflow for the fit, and one below it for each training.

    A server that fails while training goes on is said once and then left alone: a fit is worth more than its log.

    Args:
        client: of the tracking server.
        experiment: its id.
        run: id of the run of the fit.
        say: words for the user.
    """

    def __init__(self, client: "MlflowClient", experiment: str, run: str, say: Callable[[str], None]) -> None:
        self._client, self._experiment, self._run, self._say = client, experiment, run, say
        self._training: str | None = None
        self._has_failed = False

    def on_start(self, name: str, epochs: int, history: Sequence[Epoch]) -> None:
        """A training starts; `history` is what it has already."""

        def start() -> None:
            self._end_training("FINISHED")
            tags = {"mlflow.parentRunId": self._run}
            self._training = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
            self._client.log_param(self._training, "epochs", epochs)
            for epoch in history:
                self._write(epoch)

        self._try(start)

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch is over."""
        self._try(lambda: self._write(epoch))

    def on_end(self, path: Path, evaluation: Evaluation, options: Mapping[str, Any]) -> None:
        """The fit is over.

        Args:
            path: the run directory, whose evaluation, config, history and report become artifacts.
            evaluation: its metrics with their interval as NAME, NAME_low and NAME_high.
            options: as resolved, the params.
        """

        def end() -> None:
            from mlflow.entities import Metric, Param

            params = [Param(name, str(value)[:_LONGEST_PARAM]) for name, value in options.items() if value is not None]
            params.append(Param("fitted_model", str(evaluation.model["name"])))
            now = _milliseconds()
            metrics = [
                Metric(name + suffix, float(value), now, 0)
                for name, metric in evaluation.metrics.items()
                for value, suffix in ((metric.value, ""), (metric.low, "_low"), (metric.high, "_high"))
                if value is not None
            ]
            self._client.log_batch(self._run, metrics=metrics, params=params)
            for name in ARTIFACTS:
                if (path / name).is_file():
                    self._client.log_artifact(self._run, str(path / name))

        self._try(end)

    def close(self, status: str) -> None:
        """End the runs that are open: "FINISHED", "FAILED" or "KILLED"."""

        def close() -> None:
            self._end_training(status)
            self._client.set_terminated(self._run, status)

        self._try(close)

    def _write(self, epoch: Epoch) -> None:
        from mlflow.entities import Metric, RunTag

        terms = {"loss": epoch.loss, "reconstruction": epoch.reconstruction, "kl": epoch.kl}
        if epoch.validation is not None:
            terms |= {f"validation/{name}": value for name, value in asdict(epoch.validation).items()}
        now = _milliseconds()
        metrics = [Metric(name, value, now, epoch.epoch) for name, value in terms.items() if value is not None]
        tags = [RunTag(f"event.{epoch.epoch}", epoch.event)] if epoch.event else []
        assert self._training is not None
        self._client.log_batch(self._training, metrics=metrics, tags=tags)

    def _end_training(self, status: str) -> None:
        if self._training is not None:
            self._client.set_terminated(self._training, status)
            self._training = None

    def _try(self, log: Callable[[], None]) -> None:
        if self._has_failed:
            return
        from mlflow.exceptions import MlflowException

        try:
            log()
        except (MlflowException, OSError) as error:
            self._has_failed = True
            self._say(f"--mlflow: nothing more is logged there: {_first_line(error)}")


@contextmanager
def mlflow_log(uri: str, name: str, say: Callable[[str], None]) -> Iterator[MlflowLog]:
    """A run of MLflow's experiment "linkodds" that is open inside, and ends as what is inside does.

    Nothing is sent elsewhere: MLflow's usage statistics are off unless MLFLOW_DISABLE_TELEMETRY says otherwise.

    Args:
        uri: of the tracking server, http://... or sqlite:///FILE.
        name: of the run.
        say: words for the user.
    Raises:
        OptionError: MLflow is not installed, or no run can be made there.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it is read on import
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise OptionError(
            "--mlflow: MLflow is not installed here; pip install 'linkodds[track]', or leave the option out."
        ) from error
    problem = None
    try:
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(EXPERIMENT)
        experiment = client.create_experiment(EXPERIMENT) if known is None else known.experiment_id
        run = client.create_run(experiment, run_name=name).info.run_id
    except (MlflowException, OSError, ImportError) as error:
        problem = without_password(f"--mlflow {uri}: no run can be made there: {_first_line(error)}", uri)
    if problem is not None:
        raise OptionError(problem)  # not from the error, which repeats the URI with its password
    log = MlflowLog(client, experiment, run, lambda line: say(without_password(line, uri)))
    try:
        yield log
    except BaseException as error:
        log.close("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    log.close("FINISHED")


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
