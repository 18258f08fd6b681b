"""MLflow: what a fit logs, read back through MLflow's own client."""

import math
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

from linkodds.cli.progress import watched
from linkodds.config import FitConfig
from linkodds.errors import OptionError
from linkodds.fitting.pipeline import fit_run
from linkodds.graph.graph import Graph
from linkodds.models.training.history import Epoch, Validation
from linkodds.models.training.mlflow_tracking import MlflowLog, mlflow_log

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # MLflow's own, of SQLAlchemy and protobuf
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them: making them takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copy(empty, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)  # artifacts of an SQLite server lie in ./mlruns
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def runs(uri: str) -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("linkodds")
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_a_fit_is_a_run_with_its_trainings_below_it(communities: Graph, uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    edges = tmp_path / "edges.csv"
    communities.to_polars().write_csv(edges)
    config = FitConfig(model="gae", hidden=8, dim=4, epochs=3, threads=1, folds=1)
    with watched(None, uri, "mine") as (say, on_start, on_epoch, on_end):
        run = fit_run(edges, tmp_path / "run", config, progress=say, on_start=on_start, on_epoch=on_epoch)
        on_end(tmp_path / "run", run.evaluation, run.config["options"])
    logged = runs(uri)
    fit, training = logged["mine"], logged["gae"]
    assert training.data.tags["mlflow.parentRunId"] == fit.info.run_id
    assert {fit.info.status, training.info.status} == {"FINISHED"}
    client = MlflowClient(tracking_uri=uri)
    losses = {each.step: each.value for each in client.get_metric_history(training.info.run_id, "loss")}
    assert losses == dict(zip(run.history["epoch"], run.history["loss"], strict=True))
    for name, metric in run.evaluation.metrics.items():
        for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
            if getattr(metric, key) is not None:
                assert math.isclose(fit.data.metrics[name + suffix], getattr(metric, key))
    assert fit.data.params["fitted_model"] == "gae"
    assert fit.data.params["epochs"] == "3"
    artifacts = {each.path for each in client.list_artifacts(fit.info.run_id)}
    assert artifacts == {"evaluation.json", "config.yaml", "history.csv", "report.html"}


def test_events_and_what_is_not_finite(uri: str) -> None:
    with mlflow_log(uri, "fit", print) as log:
        log.on_start("vgae", 3, [Epoch(1, 0.5, 0.25, 0.25, 0.1, Validation(*(i / 10 for i in range(8))))])
        log.on_epoch(Epoch(2, None, None, None, 0.1, event="back to epoch 1"))
    training = runs(uri)["vgae"].data
    assert training.metrics["loss"] == 0.5  # the last one that was finite
    assert training.metrics["validation/average_precision"] == 0.1
    assert training.tags["event.2"] == "back to epoch 1"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_fit_that_ends_early_says_so(uri: str, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), mlflow_log(uri, "fit", print) as log:
        _start_and_raise(log, error)
    assert {run.info.status for run in runs(uri).values()} == {status}


def test_a_server_that_goes_away_does_not_end_the_fit(uri: str) -> None:
    said: list[str] = []
    with mlflow_log(uri, "fit", said.append) as log:
        log.on_start("gae", 3, [])
        log._client.log_batch = _gone  # type: ignore[method-assign]
        for number in (1, 2):
            log.on_epoch(Epoch(number, 0.5, 0.5, 0.0, 0.1))
    assert said == ["--mlflow: nothing more is logged there: the server is gone"]


def _start_and_raise(log: MlflowLog, error: type[BaseException]) -> None:
    log.on_start("gae", 3, [])
    raise error


def _gone(*_: Any, **__: Any) -> None:
    raise ConnectionError("the server is gone\nand more")


def test_what_cannot_be_logged_to_is_said_before_the_fit(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(OptionError, match="--mlflow nonsense://x: no run can be made there"),
        mlflow_log("nonsense://x", "fit", print),
    ):
        pass
    secret = "nonsense://ann:s3cret@x"
    with pytest.raises(OptionError, match=r"ann:\*\*\*@x") as caught, mlflow_log(secret, "fit", print):
        pass
    assert "s3cret" not in "".join(traceback.format_exception(caught.value)).replace(secret, "")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(OptionError, match=r"pip install 'linkodds\[track\]'"), mlflow_log(uri, "fit", print):
        pass
