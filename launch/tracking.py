"""MLflow: hyperparameters, metrics and reports of jobs go to the server that the settings name.

These scripts send them when a job has ended, since the container has no network.
"""

import json
import logging
import os
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from classifier.errors import UserError
from local import places
from local.trials import Trial, Tuning

MOST_METRICS = 1000  # in a request: LogBatch of MLflow's REST API
Row = tuple[int, Mapping[str, float | None]]


@contextmanager
def experiment(settings: Namespace, unsent: str = "") -> Iterator[tuple[Any, str]]:
    """Yield MLflow's client and the id of the experiment that has the prefix's name, made if it is missing.

    Raises UserError for what the server refuses, and if it is not there; it begins with what is `unsent`.
    """
    places.need("mlflow", "make launch installs it")
    quiet = dict.fromkeys(("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"), "true")
    profile = {"AWS_PROFILE": settings.profile} if settings.profile else {}  # for SageMaker's own servers
    os.environ |= quiet | profile | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # SageMaker's plug-in warns of each URI that is not its own
    try:
        mlflow.set_tracking_uri(settings.mlflow_uri)  # SageMaker's plug-in knows no other than this one
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(settings.prefix)
        yield client, found.experiment_id if found else client.create_experiment(settings.prefix)
    except Exception as error:
        if not type(error).__module__.startswith(("mlflow", "sagemaker_mlflow", "botocore")):  # the last of its plug-in
            raise
        sentence = f"mlflow_uri is {settings.mlflow_uri!r}: {' '.join(str(error).split())[:300]}"
        raise UserError(f"{unsent} is trained, but not in MLflow: {sentence}" if unsent else sentence) from error


def check(settings: Namespace) -> None:
    """Raise UserError if there is to be an MLflow server, and it does not answer: before a job is paid for."""
    if settings.mlflow_uri:
        with experiment(settings):
            pass


def send_job(settings: Namespace, name: str, hyperparameters: Mapping[str, str]) -> None:
    """Send a training job's metrics of all epochs and of the test, and its report, if there is an MLflow server."""
    if not settings.mlflow_uri:
        return
    output = places.RUNS / name / "output/data"
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [(line.pop("epoch", None) or line.pop("best_epoch"), line) for line in lines]
    with experiment(settings, name) as (client, there):
        if run := send_run(client, there, name, hyperparameters, rows):
            client.log_artifact(run, str(output / "report.html"))
            client.set_terminated(run)
    print(f"{name} is in MLflow's experiment {settings.prefix} at {settings.mlflow_uri}")


def send_tuning(settings: Namespace, tuning: Tuning) -> None:
    """Send the metrics of a tuning's trials, each as a run, if there is an MLflow server."""
    if not settings.mlflow_uri:
        return
    with experiment(settings, tuning.name) as (client, there):
        for trial in tuning.measured:
            if run := send_run(client, there, trial.name, trial.hyperparameters, rows_of(trial), tuning=tuning.name):
                client.set_terminated(run)
    print(f"{tuning.name} is in MLflow's experiment {settings.prefix} at {settings.mlflow_uri}")


def rows_of(trial: Trial) -> Iterator[Row]:
    """Yield each epoch's number and metrics."""
    for metric, values in trial.metrics.items():
        for epoch, value in enumerate(values, 1):
            yield epoch, {metric: value}


def send_run(
    client: Any, experiment: str, name: str, hyperparameters: Mapping[str, str], rows: Iterable[Row], **tags: str
) -> str:
    """Send a run's hyperparameters and metrics, and return its id; "" if the experiment has it already."""
    from mlflow.entities import Metric, Param

    sent = f"attributes.run_name = '{name}' and attributes.status = 'FINISHED'"
    if client.search_runs([experiment], sent, max_results=1):
        return ""
    now = int(1000 * time.time())
    metrics = [Metric(key, value, now, epoch) for epoch, row in rows for key, value in row.items() if value is not None]
    run = client.create_run(experiment, tags=tags, run_name=name).info.run_id
    client.log_batch(run, params=[Param(key, value) for key, value in hyperparameters.items()])
    for start in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run, metrics=metrics[start : start + MOST_METRICS])
    return run
