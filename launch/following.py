"""Follow SageMaker's jobs: read their logs and states while they run, and fetch their output."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from classifier.errors import UserError
from launch.aws import Aws, split_uri
from local import places
from local.trials import Trial, Tuning
from local.tuning_fields import COMPLETED, FAILED, RUNNING, STOPPED

LOGS = "/aws/sagemaker/TrainingJobs"
STATUS = {"Completed": COMPLETED, "Stopped": STOPPED, "Failed": FAILED}


def log_lines(aws: Aws, job: str, seen: set[str]) -> Iterator[str]:
    """Yield the lines of a training job's log whose event ids are not in `seen`, and add these."""
    logs = aws.session.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=LOGS, logStreamNamePrefix=f"{job}/")
    with suppress(logs.exceptions.ResourceNotFoundException):  # nothing has been logged yet
        for event in pages.search("events[]"):
            if event["eventId"] not in seen:
                seen.add(event["eventId"])
                yield event["message"]


def follow_training(aws: Aws, name: str) -> None:
    """Print the job's log until it ends, then unpack its output, such as the report. Raises UserError if it fails."""
    seen, job = set(), {}
    for job in aws.until_ended("TrainingJob", name):
        for line in log_lines(aws, job["TrainingJobName"], seen):
            print(line, flush=True)
    if job["TrainingJobStatus"] == "Failed":
        raise UserError(f"{name} failed: {job.get('FailureReason', 'see its log')}")
    uri = f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{name}/output/output.tar.gz"
    try:
        output = aws.s3.Object(*split_uri(uri)).get()["Body"].read()
    except aws.s3.meta.client.exceptions.NoSuchKey:
        raise UserError(f"{name} is {job['TrainingJobStatus']}, and wrote no report") from None
    with tarfile.open(fileobj=io.BytesIO(output)) as archive:
        archive.extractall(places.RUNS / name / "output/data", filter="data")


def follow_tuning(aws: Aws, name: str) -> Iterator[Tuning]:
    """Yield the tuning job's state every few seconds until it has ended."""
    for job in aws.until_ended("HyperParameterTuningJob", name):
        yield read_tuning(aws, name, job)


def read_metrics(aws: Aws, tuning: Tuning) -> None:
    """Add the metrics of every epoch to the trials, from their logs."""
    for trial in tuning.trials:
        for line in log_lines(aws, trial.name, set()):
            trial.read(line, tuning.objective)


def read_tuning(aws: Aws, name: str, job: dict) -> Tuning:
    """Return the tuning job that `job` describes, with its trials, but without their metrics."""
    config = job["HyperParameterTuningJobConfig"]
    tuned = [item["Name"] for ranges in config["ParameterRanges"].values() for item in ranges]
    fixed = job["TrainingJobDefinition"].get("StaticHyperParameters", {})
    tuning = Tuning(name, config["HyperParameterTuningJobObjective"]["MetricName"], tuned)
    pages = aws.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    for summary in pages.search("TrainingJobSummaries[]"):
        started, ended = summary.get("TrainingStartTime"), summary.get("TrainingEndTime", datetime.now(UTC))
        trial = Trial(
            summary["TrainingJobName"],
            fixed | {key: value.strip('"') for key, value in summary["TunedHyperParameters"].items()},
            STATUS.get(summary["TrainingJobStatus"], RUNNING),
            summary.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
            (ended - started).total_seconds() if started else 0,
            " ".join(summary.get("FailureReason", "").split()),
        )
        tuning.trials.append(trial)
    return tuning
