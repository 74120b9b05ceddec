"""A tuning job of SageMaker's, read as a Tuning: its training jobs, their metrics over time, the best."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import aws
from trials import COMPLETED, FAILED, RUNNING, STOPPED, Trial, Tuning, read_metrics

SECONDS_BETWEEN_LOOKS = 5
STATUS = {"Completed": COMPLETED, "Stopped": STOPPED, "Failed": FAILED}


def follow(session, name: str, tell: Callable[[Tuning], None]) -> Tuning:
    """The tuning job once it has ended; `tell` is called with what there is until then.

    The metrics of its trials are only read when it has ended, since each takes a look into a log.
    """
    client = session.client("sagemaker")
    while True:
        job = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        tuning = read(client, name, job)
        tell(tuning)
        if job["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"):
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    for trial in tuning.trials:
        trial.metrics = read_metrics(aws.log_lines(session, trial.name, {}))
    return tuning


def read(client, name: str, job: dict) -> Tuning:
    config = job["HyperParameterTuningJobConfig"]
    tuned = [item["Name"] for ranges in config["ParameterRanges"].values() for item in ranges]
    fixed = job["TrainingJobDefinition"].get("StaticHyperParameters", {})
    tuning = Tuning(name, config["HyperParameterTuningJobObjective"]["MetricName"], tuned)
    pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    for summary in (summary for page in pages for summary in page["TrainingJobSummaries"]):
        started = summary.get("TrainingStartTime")
        end = summary.get("TrainingEndTime", datetime.now(UTC))
        metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
        trial = Trial(
            summary["TrainingJobName"],
            fixed | {key: value.strip('"') for key, value in summary["TunedHyperParameters"].items()},
            STATUS.get(summary["TrainingJobStatus"], RUNNING),
            metric and round(metric["Value"], 5),
            (end - started).total_seconds() if started else 0,
            " ".join(summary.get("FailureReason", "").split()),
        )
        tuning.trials.append(trial)
    return tuning
